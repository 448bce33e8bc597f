"""disac: a waveform-level Monte Carlo testbed for noncoherent distributed ISAC."""

from disac.backend import pass_by_missing_backend
from disac.kernel_cache import provide_kernel_cache

__version__ = "0.1.0"

provide_kernel_cache()
pass_by_missing_backend()
