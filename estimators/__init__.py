"""What a receiver infers: position estimates from sufficient statistics, and the users' symbol decisions."""

import lazy_loader

if __name__ != "disac.estimators":
    raise ImportError(f"import this package as disac.estimators, not as {__name__}")

# the names are listed once, in __init__.pyi, and each is imported on its first use
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
