"""Designs by name. A new design is one module with one registered function."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from numbers import Real
from typing import TypeAlias

from disac.designs.result import DesignResult
from disac.simulator import Scenario

DEFAULT_SOLVER = "native"
"""Solver of the convex problems when none is named."""
SOLVERS = ("native", "clarabel", "scs", "mosek")
"""Solvers that can be named; ``mosek`` needs its own package and licence."""


Design: TypeAlias = Callable[..., DesignResult]
"""A registered design: (scenario, sinr_db, solver=...) in, precoders with their certificate out.

One that limits sidelobes takes ``sidelobe_db`` and ``mainlobe`` by these names too.
"""


_BUILT_IN = {
    "p1": "p1",
    "p1-noncoherent": "p1_noncoherent",
    "p2": "p2",
    "p3": "p3",
    "p3-true": "p3",
    "p4": "p4",
    "p4-p2": "p4",
    "p4-p3": "p4",
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


def design(
    name: str,
    scenario: Scenario,
    sinr_db: float | None,
    *,
    solver: str = DEFAULT_SOLVER,
    sidelobe_db: float | None = None,
    mainlobe: float | None = None,
) -> DesignResult:
    """Precoders of design ``name`` for every user's SINR at or above ``sinr_db`` on every subcarrier.

    Parameters
    ----------
    name : one of :func:`design_names`.
    scenario : what is true.
    sinr_db : threshold Gamma_c of Eq. (14c) [dB]; None asks for no SINR.
    solver : one of :data:`SOLVERS`.
    sidelobe_db : P.4 only: highest range sidelobe of any link over its peak [dB]; None for what equal powers on the
        same subcarriers have.
    mainlobe : P.4 only: where the sidelobes begin, in units of the first minimum that equal powers have (default 1).
        It must leave a delay outside the main lobe on some node, and a node with fewer than three subcarriers has none;
        nodes without one are warned of.

    Raises
    ------
    Infeasible : the threshold is out of reach; carries the largest feasible one and a proof.
    SidelobesInfeasible : the sidelobe level is; carries the lowest feasible one and a proof.
    Unidentifiable : the targets cannot be localized in this geometry.
    ValueError : unknown name or solver, threshold out of range; P.4: a limit that would limit no sidelobe.
    """
    if name not in design_names():
        raise ValueError(f"design = {name!r}: must be one of {', '.join(design_names())}")
    if solver not in SOLVERS:
        raise ValueError(f"solver = {solver!r}: must be one of {', '.join(SOLVERS)}")
    is_number = isinstance(sinr_db, Real) and not isinstance(sinr_db, bool)
    if sinr_db is not None and not (is_number and -300 <= sinr_db <= 300):
        raise ValueError(f"sinr_db = {sinr_db!r}: must be a finite number within [-300, 300] dB")
    if name not in _registered:
        importlib.import_module(f"disac.designs.catalogue.{_BUILT_IN[name]}")
    function = _registered[name]
    options = {"sidelobe_db": sidelobe_db, "mainlobe": mainlobe}
    given = {option: value for option, value in options.items() if value is not None}
    ignored = set(given) - set(inspect.signature(function).parameters)
    if ignored:
        raise ValueError(f"{min(ignored)} = {given[min(ignored)]}: design {name} does not limit sidelobes; p4 does")
    return function(scenario, sinr_db, solver=solver, **given)
