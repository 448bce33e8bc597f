"""P.1, the unconstrained design: any covariance of the stacked signals of all nodes (Section IV-B)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs.certificate import FeasiblePoint
from disac.designs.convex import convex_design
from disac.designs.joint_extraction import fitted
from disac.designs.registry import register_design
from disac.designs.relaxed import RelaxedProblem
from disac.designs.result import DesignResult
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]


@register_design("p1")
def p1(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """Least CRB over all signals, Eq. (24), its covariances turned into precoders that keep power and SINR exactly.

    The relaxation is not tight: ``extraction_loss`` says what the precoders lose against its optimum.
    """
    return convex_design("p1", RelaxedProblem(scenario, "joint", sinr_db), solver, extract)


def extract(problem: RelaxedProblem, point: FeasiblePoint) -> tuple[ComplexArray, ComplexArray]:
    """Data fitted into R_l, see :func:`disac.designs.joint_extraction.fitted`."""
    return fitted(problem.scenario, problem.sinr, point)
