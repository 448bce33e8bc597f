"""Studies: one protocol, one way to run them, and the settings from which the command line's options are made."""
