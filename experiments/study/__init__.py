"""Studies: one protocol, one way to run them, and the settings from which the command line's options are made."""

import lazy_loader

# the names are listed once, in __init__.pyi, and each is imported on its first use
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
