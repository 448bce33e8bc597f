"""Baseline: the least CRB that the power limits allow, users ignored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs.convex import CertifiedSolution, convex_design
from disac.designs.precoding.extraction import factors
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.registry import register_design
from disac.designs.result import DesignResult
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]


@register_design("sensing-only", label="sensing only", tight=True, depends_on_sinr=False)
def sensing_only(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """P.1 without its SINR constraints: radar signals alone, correlated across nodes. ``sinr_db`` is not used."""
    del sinr_db
    return convex_design("sensing-only", RelaxedProblem(scenario, "joint", None), solver, extract)


def extract(problem: RelaxedProblem, certified: CertifiedSolution) -> tuple[ComplexArray, ComplexArray]:
    """No data; R_l factored into N M_t radar streams."""
    s, point = problem.scenario, certified.point
    radar = factors(point.covariances).reshape(s.n_subcarriers, s.n_nodes, s.n_tx, -1).transpose(1, 0, 2, 3)
    return np.zeros(s.channels.shape, dtype=complex), np.ascontiguousarray(radar)
