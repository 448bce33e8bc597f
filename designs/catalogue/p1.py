"""P.1, the unconstrained design: any covariance of the stacked signals of all nodes (Section IV-B)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from disac.designs.convex import CertifiedSolution, convex_design
from disac.designs.precoding.combination import improve
from disac.designs.precoding.extraction import WORTHWHILE
from disac.designs.precoding.joint_extraction import fitted
from disac.designs.precoding.measure import try_measure
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
    """P.1 by one step from covariances to precoders: data fitted into R_l, which can lose tens of percent of CRB."""
    return convex_design("p1-direct", RelaxedProblem(scenario, "joint", sinr_db), solver, extract_directly)


def extract_directly(problem: RelaxedProblem, certified: CertifiedSolution) -> tuple[ComplexArray, ComplexArray]:
    """Data fitted into R_l, the rest as radar."""
    return fitted(problem.scenario, problem.sinr, certified.point)


def extract(problem: RelaxedProblem, certified: CertifiedSolution) -> tuple[ComplexArray, ComplexArray]:
    """Data fitted into R_l; where that loses more than 1e-4, or sidelobes, better combinations of the nodes."""
    s, limits = problem.scenario, certified.sidelobes
    start = fitted(s, problem.sinr, certified.point)
    sent = try_measure(s, problem.sinr_db, *start, problem.mode, limits)
    value = np.inf if sent is None or sent.certificate.residual > RESIDUAL_LIMIT else sent.value
    enough = certified.relaxed_value * (1 + WORTHWHILE)
    if value <= enough or not problem.n_constrained_users:
        return start
    improved = improve(replace(problem, sidelobes=limits), start[0], value=value, enough=enough)
    return start if improved is None else improved.precoders
