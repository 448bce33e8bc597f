"""P.1, the unconstrained design: any covariance of the stacked signals of all nodes (Section IV-B)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs.convex import CertifiedSolution, convex_design
from disac.designs.precoding.joint_extraction import fitted
from disac.designs.precoding.measure import measure
from disac.designs.precoding.refinement import WORTHWHILE, refine
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.registry import register_design
from disac.designs.result import RESIDUAL_LIMIT, DesignResult
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]


@register_design("p1", label="P.1")
def p1(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """Least CRB over all signals, Eq. (24), its covariances turned into precoders that keep power and SINR exactly.

    The relaxation is not always tight: ``extraction_loss`` says what the precoders lose against its optimum.
    """
    return convex_design("p1", RelaxedProblem(scenario, "joint", sinr_db), solver, extract)


@register_design("p1-direct", label="P.1, direct extraction")
def p1_direct(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """P.1 without the slow local search: its data fitted into R_l and no more, with nearly the same CRB."""
    return convex_design("p1-direct", RelaxedProblem(scenario, "joint", sinr_db), solver, extract_directly)


def extract_directly(problem: RelaxedProblem, certified: CertifiedSolution) -> tuple[ComplexArray, ComplexArray]:
    """Data fitted into R_l, the rest as radar."""
    return fitted(problem.scenario, problem.sinr, certified.point)


def extract(problem: RelaxedProblem, certified: CertifiedSolution) -> tuple[ComplexArray, ComplexArray]:
    """Data fitted into R_l; where that loses more than 1e-4, or sidelobes, precoders refined from there."""
    s, limits = problem.scenario, certified.sidelobes
    comm, radar = fitted(s, problem.sinr, certified.point)
    before = measure(s, problem.sinr_db, comm, radar, problem.mode, limits)
    kept = before.certificate.residual <= RESIDUAL_LIMIT
    if kept and before.value <= certified.relaxed_value * (1 + WORTHWHILE):
        return comm, radar
    bound = certified.bound
    refined = refine(
        s,
        problem.sinr,
        comm,
        radar,
        power_price=bound.power_price,
        sinr_price=bound.sinr_price,
        mode=problem.mode,
        sidelobes=limits,
        sidelobe_price=bound.sidelobe_price,
    )
    after = measure(s, problem.sinr_db, refined.comm_precoders, refined.radar_precoders, problem.mode, limits)
    if refined.violation > 0 or (kept and after.value >= before.value):
        return comm, radar
    return refined.comm_precoders, refined.radar_precoders
