"""P.3, the beamforming design: interleaved subcarriers and one radar covariance per node (Section IV-D)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs.certificate import node_blocks
from disac.designs.convex import CertifiedSolution, convex_design
from disac.designs.extraction import data_precoders, factors
from disac.designs.precoders import antenna_power, transmitted_covariances
from disac.designs.registry import register_design
from disac.designs.relaxed import RelaxedProblem
from disac.designs.result import DesignResult
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]


@register_design("p3")
def p3(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """P.3 as published, Eq. (39): F from each node's covariance averaged over its own subcarriers.

    Bound and relaxed value refer to that averaged F and bound nothing; ``value`` is the CRB of the signals sent, Eq.
    (37). The paper's L / N is the node's number of subcarriers, so L need not be a multiple of N.
    """
    return convex_design("p3", RelaxedProblem(scenario, "beamforming-averaged", sinr_db), solver, extract)


@register_design("p3-true")
def p3_true(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """The signals of P.3, Eq. (36), optimized for their own CRB instead of the averaged one."""
    return convex_design("p3-true", RelaxedProblem(scenario, "beamforming", sinr_db), solver, extract)


def extract(problem: RelaxedProblem, certified: CertifiedSolution) -> tuple[ComplexArray, ComplexArray]:
    """Data by Eq. (33), radar by Eq. (40), then all power scaled up to the limit.

    Eq. (40) leaves R_c - w w^H unsent wherever R_c is not rank one. Nothing is violated by that: less is sent than the
    relaxed problem allows. (Putting it into the radar covariance, as Eq. (34) does, would spread one subcarrier's share
    over all of the node's subcarriers and can break their SINR.)
    """
    s, point = problem.scenario, certified.point
    comm_precoders = data_precoders(s, point.comm_covariances)
    radar = node_blocks(point.covariances, s.n_nodes) - point.comm_covariances.sum(axis=1)
    radar_precoders = np.zeros((s.n_nodes, s.n_subcarriers, s.n_tx, s.n_tx), dtype=complex)
    for node in range(s.n_nodes):
        own = problem.serves[node]
        radar_precoders[node, own] = factors(radar[node, own].mean(axis=0))
    power = float(antenna_power(transmitted_covariances(comm_precoders, radar_precoders)).max())
    scale = np.sqrt(max(1.0, s.tx_power / power * (1 - 1e-15)))
    return comm_precoders * scale, radar_precoders * scale
