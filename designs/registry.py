"""Designs by name. A new design is one module with one registered function."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Protocol

from disac.designs.result import DesignResult
from disac.simulator import Scenario

DEFAULT_SOLVER = "native"
"""Solver of the convex problems when none is named."""
SOLVERS = ("native", "clarabel", "scs", "mosek")
"""Solvers that can be named; ``mosek`` needs its own package and licence."""


class Design(Protocol):
    """A registered design: scenario and SINR threshold [dB] in, precoders with their certificate out."""

    def __call__(self, scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult: ...


_BUILT_IN = {
    "p1": "p1",
    "p1-noncoherent": "p1_noncoherent",
    "p2": "p2",
    "p3": "p3",
    "p3-true": "p3",
    "sensing-only": "sensing_only",
    "comm-only": "comm_only",
    "uniform": "uniform",
    "single-node": "single_node",
}
_registered: dict[str, Design] = {}


def register_design(name: str) -> Callable[[Design], Design]:
    """Decorator that makes a function known as design ``name``, from any package."""

    def register(function: Design) -> Design:
        if name in _registered and _registered[name] is not function:
            raise ValueError(f"name = {name!r}: a design of this name is already registered")
        _registered[name] = function
        return function

    return register


def design_names() -> tuple[str, ...]:
    """Names of all designs, built-in ones first."""
    return (*_BUILT_IN, *(name for name in _registered if name not in _BUILT_IN))


def design(name: str, scenario: Scenario, sinr_db: float | None, *, solver: str = DEFAULT_SOLVER) -> DesignResult:
    """Precoders of design ``name`` for every user's SINR at or above ``sinr_db`` on every subcarrier.

    Parameters
    ----------
    name : one of :func:`design_names`.
    scenario : what is true.
    sinr_db : threshold Gamma_c of Eq. (14c) [dB]; None asks for no SINR.
    solver : one of :data:`SOLVERS`.

    Raises
    ------
    Infeasible : the threshold is out of reach; carries the largest feasible one and a proof.
    Unidentifiable : the targets cannot be localized in this geometry.
    ValueError : unknown name or solver, threshold out of range.
    """
    if name not in design_names():
        raise ValueError(f"design = {name!r}: must be one of {', '.join(design_names())}")
    if solver not in SOLVERS:
        raise ValueError(f"solver = {solver!r}: must be one of {', '.join(SOLVERS)}")
    if sinr_db is not None and not -300 <= sinr_db <= 300:
        raise ValueError(f"sinr_db = {sinr_db}: must be a finite number within [-300, 300] dB")
    if name not in _registered:
        importlib.import_module(f"disac.designs.{_BUILT_IN[name]}")
    return _registered[name](scenario, sinr_db, solver=solver)
