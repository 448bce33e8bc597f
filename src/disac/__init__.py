"""disac: a waveform-level Monte Carlo testbed for noncoherent distributed ISAC."""

__version__ = "0.1.0"
