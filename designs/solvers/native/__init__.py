"""A structured primal-dual interior-point solver for all convex designs.

``saddle`` states the form that they share, ``problems`` builds it, ``cones`` scales the semidefinite blocks, ``arrow``
assembles and eliminates the Newton system and ``predictor_corrector`` iterates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from disac.designs.solvers.native.driver import NativeSolution, solve

__all__ = ["NativeSolution", "solve"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from disac.designs.solvers.native import driver

        return getattr(driver, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
