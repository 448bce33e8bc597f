"""P.2, the orthogonal design: node l mod N alone serves subcarrier l (Section IV-C)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs.convex import CertifiedSolution, convex_design
from disac.designs.precoding.extraction import data_precoders, factors, outer
from disac.designs.problem.certificate import node_blocks
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.registry import register_design
from disac.designs.result import DesignResult
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]


@register_design("p2", label="P.2", tight=True)
def p2(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """Least CRB under interleaved subcarriers, Eq. (32), with the tight extraction of Theorem 3."""
    return convex_design("p2", RelaxedProblem(scenario, "interleaved", sinr_db), solver, extract)


def extract(problem: RelaxedProblem, certified: CertifiedSolution) -> tuple[ComplexArray, ComplexArray]:
    """Eq. (33)-(34): rank-one data, all the rest of R_nn,l as radar on M_t streams. Covariances stay what they are."""
    s, point = problem.scenario, certified.point
    comm_precoders = data_precoders(s, point.comm_covariances)
    radar = node_blocks(point.covariances, s.n_nodes) - outer(comm_precoders).sum(axis=1)
    radar_precoders = factors(radar) * problem.serves[..., None, None]
    return comm_precoders, np.ascontiguousarray(radar_precoders)
