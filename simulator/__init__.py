"""What is true: scenario, geometry, channels, OFDM streams and the received signals of Eq. (4) and (6)."""

import lazy_loader

if __name__ != "disac.simulator":
    raise ImportError(f"import this package as disac.simulator, not as {__name__}")

# the names are listed once, in __init__.pyi, and each is imported on its first use
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
