"""P.4, the sidelobe-limited designs: P.1, P.2 and P.3 with a limit on every link's range sidelobes.

A bound on the accuracy rewards bandwidth, so it moves power to the edges of the band, and the autocorrelation of such a
spectrum hardly falls from its peak: the ambiguities that make a weak target invisible and an estimator leave the bound
are not in the bound. P.4 minimizes the same CRB under :mod:`disac.designs.problem.sidelobes`.

A limit that would limit nothing is a ValueError, not the design without a limit; where some nodes alone have no
sidelobe, a warning names them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from disac.designs.catalogue import p1, p2, p3
from disac.designs.convex import Extraction, assemble, convex_design, solve_certified
from disac.designs.problem.certificate import block_diagonal
from disac.designs.problem.relaxed import RelaxedProblem, Signal
from disac.designs.problem.sidelobes import EXCESS_TOLERANCE, SidelobeLimits, sidelobe_limits
from disac.designs.registry import register_design
from disac.designs.result import DesignResult
from disac.simulator import Scenario


@register_design("p4", label="P.4 (P.1)")
def p4(
    scenario: Scenario, sinr_db: float | None, *, solver: str, sidelobe_db: float | None = None, mainlobe: float = 1.0
) -> DesignResult:
    """P.1 with limited sidelobes: any signals on all subcarriers, so the period is L / B and nothing repeats in it."""
    return _limited("p4", scenario, sinr_db, solver, sidelobe_db, mainlobe, p1.extract)


@register_design("p4-p2", label="P.4 (P.2)")
def p4_p2(
    scenario: Scenario, sinr_db: float | None, *, solver: str, sidelobe_db: float | None = None, mainlobe: float = 1.0
) -> DesignResult:
    """P.2 with limited sidelobes within the period of each node's subcarriers; its extraction keeps every spectrum."""
    return _limited("p4-p2", scenario, sinr_db, solver, sidelobe_db, mainlobe, p2.extract)


@register_design("p4-p3", label="P.4 (P.3)", bounds_value=False)
def p4_p3(
    scenario: Scenario, sinr_db: float | None, *, solver: str, sidelobe_db: float | None = None, mainlobe: float = 1.0
) -> DesignResult:
    """P.3 as published with limited sidelobes of what is sent on each subcarrier, not of its average."""
    return _limited("p4-p3", scenario, sinr_db, solver, sidelobe_db, mainlobe, p3.extract_refined)


SIGNALS: dict[str, Signal] = {"p4": "joint", "p4-p2": "interleaved", "p4-p3": "beamforming-averaged"}
"""Signal model of each design of this module."""


def limits_of(name: str, scenario: Scenario, sidelobe_db: float | None, mainlobe: float = 1.0) -> SidelobeLimits:
    """The limits of design ``name``, one of :data:`SIGNALS`; raises and warns like `sidelobe_limits`."""
    return sidelobe_limits(scenario, RelaxedProblem(scenario, SIGNALS[name], None).serves, sidelobe_db, mainlobe)


def _limited(
    name: str,
    scenario: Scenario,
    sinr_db: float | None,
    solver: str,
    sidelobe_db: float | None,
    mainlobe: float,
    extract: Extraction,
) -> DesignResult:
    limits = limits_of(name, scenario, sidelobe_db, mainlobe)
    problem = RelaxedProblem(scenario, SIGNALS[name], sinr_db, sidelobes=limits)
    if not _always_kept(problem, limits):
        return convex_design(name, problem, solver, extract)
    free = replace(problem, sidelobes=None)
    certified = replace(solve_certified(name, free, solver), sidelobes=limits)
    return assemble(name, free, solver, certified, *extract(free, certified))


def _always_kept(problem: RelaxedProblem, limits: SidelobeLimits) -> bool:
    """Whether every signal of the model keeps the limits: the radar of P.3 alone is the same on all subcarriers.

    Its spectra are flat then. At their own level no signal has room, though all are feasible.
    """
    if problem.signal != "beamforming-averaged" or problem.n_constrained_users:
        return False
    s = problem.scenario
    flat = block_diagonal(np.eye(s.n_tx, dtype=complex) * problem.serves[..., None, None].astype(float))
    return limits.excess(flat) <= EXCESS_TOLERANCE / 100
