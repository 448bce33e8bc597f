"""A structured primal-dual interior-point solver for all convex designs.

``saddle`` states the form that they share, ``problems`` builds it, ``cones`` scales the semidefinite blocks, ``arrow``
assembles and eliminates the Newton system and ``predictor_corrector`` iterates.
"""

import lazy_loader

# the names are listed once, in __init__.pyi, and each is imported on its first use
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
