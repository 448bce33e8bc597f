"""How evidence is made: campaigns of trials, stored runs, statistics, theory, studies, report and command line."""

import lazy_loader

if __name__ != "disac.experiments":
    raise ImportError(f"import this package as disac.experiments, not as {__name__}")

# the names are listed once, in __init__.pyi, and each is imported on its first use
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
