"""P.3, the beamforming design: interleaved subcarriers and one radar covariance per node (Section IV-D)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs.convex import CertifiedSolution, convex_design
from disac.designs.precoders import antenna_power, transmitted_covariances
from disac.designs.precoding.extraction import WORTHWHILE, data_precoders, factors, outer
from disac.designs.precoding.measure import try_measure
from disac.designs.precoding.refinement import refine
from disac.designs.problem.certificate import node_blocks
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.registry import register_design
from disac.designs.result import RESIDUAL_LIMIT, DesignResult
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]
Precoders = tuple[ComplexArray, ComplexArray]


@register_design("p3", label="P.3", bounds_value=False)
def p3(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """P.3 as published, Eq. (39): F from each node's covariance averaged over its own subcarriers.

    Signals are those of Eq. (35) and Eq. (36), covariances those of Eq. (37), averaged as in Eq. (38).

    Bound and relaxed value refer to that averaged F and bound nothing; ``value`` is the CRB of the signals sent, Eq.
    (37). The paper's L / N is the node's number of subcarriers, so L need not be a multiple of N.
    """
    return convex_design("p3", RelaxedProblem(scenario, "beamforming-averaged", sinr_db), solver, extract)


@register_design("p3-true", label="P.3, own CRB")
def p3_true(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """The signals of P.3, Eq. (36), optimized for their own CRB instead of the averaged one.

    Theorem 2 does not make this relaxation tight: data covariances of higher rank do a radar's work on one
    subcarrier, and what exceeds rank one cannot move into a radar covariance common to all subcarriers. Where Eq.
    (40) loses by it, the precoders are refined.
    """
    return convex_design("p3-true", RelaxedProblem(scenario, "beamforming", sinr_db), solver, extract_refined)


def extract(problem: RelaxedProblem, certified: CertifiedSolution) -> Precoders:
    """Data by Eq. (33), radar by Eq. (40), then all power scaled up to the limit.

    Eq. (40) leaves R_c - w w^H unsent wherever R_c is not rank one. Nothing is violated by that: less is sent than the
    relaxed problem allows. (Putting it into the radar covariance, as Eq. (34) does, would spread one subcarrier's share
    over all of the node's subcarriers and can break their SINR.)
    """
    s, point = problem.scenario, certified.point
    comm_precoders = data_precoders(s, point.comm_covariances)
    radar = node_blocks(point.covariances, s.n_nodes) - point.comm_covariances.sum(axis=1)
    radar_precoders = _common_radar(problem, radar)
    power = float(antenna_power(transmitted_covariances(comm_precoders, radar_precoders)).max())
    scale = np.sqrt(max(1.0, s.tx_power / power * (1 - 1e-15)))
    return comm_precoders * scale, radar_precoders * scale


def extract_refined(problem: RelaxedProblem, certified: CertifiedSolution) -> Precoders:
    """:func:`extract`, refined where it loses more than 1e-4, starting with the unsent power in the common radar.

    Of an averaged objective no loss is known; its precoders are refined where dropping power raised sidelobes.
    """
    s, point, bound = problem.scenario, certified.point, certified.bound
    plain = extract(problem, certified)
    before = try_measure(s, problem.sinr_db, *plain, problem.mode, certified.sidelobes)
    value = np.inf if before is None or before.certificate.residual > RESIDUAL_LIMIT else before.value
    comparable = problem.signal == "beamforming"
    if value <= certified.relaxed_value * (1 + WORTHWHILE) or (np.isfinite(value) and not comparable):
        return plain
    comm = data_precoders(s, point.comm_covariances)
    radar = _common_radar(problem, node_blocks(point.covariances, s.n_nodes) - outer(comm).sum(axis=1))
    refined = refine(
        s,
        problem.sinr,
        comm,
        radar,
        power_price=bound.power_price,
        sinr_price=bound.sinr_price,
        unknown=_unknowns(problem),
        mode=problem.mode,
        sidelobes=certified.sidelobes,
        sidelobe_price=bound.sidelobe_price,
    )
    after = try_measure(s, problem.sinr_db, refined.comm_precoders, refined.radar_precoders, problem.mode)
    if after is None or refined.violation > 0 or after.value >= value:
        return plain
    return refined.comm_precoders, refined.radar_precoders


def _common_radar(problem: RelaxedProblem, radar: ComplexArray) -> ComplexArray:
    """Precoders (N, L, M_t, M_t) of the mean of covariances (N, L, M_t, M_t) over each node's own subcarriers."""
    precoders = np.zeros_like(radar)
    for node, own in enumerate(problem.serves):
        precoders[node, own] = factors(radar[node, own].mean(axis=0))
    return precoders


def _unknowns(problem: RelaxedProblem) -> NDArray[np.intp]:
    """Unknowns of the refinement: data of the serving node free, its radar the same on all its subcarriers."""
    s = problem.scenario
    n_nodes, n_tx, n_users = s.n_nodes, s.n_tx, s.n_users
    unknown = np.full((s.n_subcarriers, n_nodes, n_tx, n_users + n_tx), -1)
    n_data = s.n_subcarriers * n_tx * n_users
    own = (np.arange(s.n_subcarriers), s.subcarrier_node)
    unknown[(*own, slice(None), slice(None, n_users))] = np.arange(n_data).reshape(s.n_subcarriers, n_tx, n_users)
    common = n_data + np.arange(n_nodes * n_tx**2).reshape(n_nodes, n_tx, n_tx)
    unknown[(*own, slice(None), slice(n_users, None))] = common[s.subcarrier_node]
    return unknown.reshape(s.n_subcarriers, n_nodes * n_tx, -1)
