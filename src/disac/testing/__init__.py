"""Contract suites that designs, estimators and studies pass, the built-in ones and those of other packages alike.

Each raises an `AssertionError` that says which part of the contract is broken, and returns nothing otherwise.
"""

import lazy_loader

# the names are listed once, in __init__.pyi, and each is imported on its first use
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
