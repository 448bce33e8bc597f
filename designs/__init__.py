"""Which signals to send: Fisher information and bounds, the designs P.1 to P.3 and baselines, and their solvers."""

import lazy_loader

if __name__ != "disac.designs":
    raise ImportError(f"import this package as disac.designs, not as {__name__}")

# the names are listed once, in __init__.pyi, and each is imported on its first use
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
