"""P.1 with block-diagonal covariances: the best design when the phases between nodes are unknown.

Turning node m by an unknown phase phi_m turns R into Phi R Phi^H. The CRB is convex in R, so its mean over independent
uniform phases is at least the CRB of the mean, which is that of blkdiag(R): among all R, block-diagonal ones minimize
this bound, and the problem loses nothing by asking for them.

The relaxation is not tight, though, in spite of Theorem 2: a user's symbol that two nodes send on one subcarrier is
fully correlated between them, whatever its precoders. Signals are uncorrelated between nodes exactly when each user
is served by one node per subcarrier, and such signals are what is sent here; their CRB does not depend on the phases
at all. Only where they cannot reach the SINR do several nodes send a symbol, with the precoders of Theorem 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs import p2
from disac.designs.certificate import node_blocks
from disac.designs.convex import CertifiedSolution, convex_design, solve_certified
from disac.designs.extraction import data_precoders, factors, outer
from disac.designs.measure import measure
from disac.designs.precoders import stacked_precoders
from disac.designs.refinement import refine
from disac.designs.registry import register_design
from disac.designs.relaxed import RelaxedProblem
from disac.designs.result import DesignResult, Infeasible
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Precoders = tuple[ComplexArray, ComplexArray]


@register_design("p1-noncoherent")
def p1_noncoherent(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """Least CRB with R_l = blkdiag(R_nn,l), sent by one node per user and subcarrier where that reaches the SINR.

    ``lower_bound`` is that of all block-diagonal covariances. The precoders are found locally and never lose to P.2,
    whose signals are of the same kind.
    """

    def extract(problem: RelaxedProblem, certified: CertifiedSolution) -> Precoders:
        return _best(problem, solver, certified)

    return convex_design("p1-noncoherent", RelaxedProblem(scenario, "block-diagonal", sinr_db), solver, extract)


def _best(problem: RelaxedProblem, solver: str, certified: CertifiedSolution) -> Precoders:
    s, bound = problem.scenario, certified.bound
    comm, radar = one_server_per_user(problem, certified)
    if problem.n_constrained_users == 0:
        return comm, radar
    refined = refine(
        s,
        problem.sinr,
        comm,
        radar,
        power_price=bound.power_price,
        sinr_price=bound.sinr_price,
        unknown=_entries_in_use(comm, radar),
        mode=problem.mode,
    )
    found: list[Precoders] = []
    if refined.violation == 0:
        found.append((refined.comm_precoders, refined.radar_precoders))
    interleaved = RelaxedProblem(s, "interleaved", problem.sinr_db, problem.mode)
    try:
        comm, radar = p2.extract(interleaved, solve_certified("p1-noncoherent", interleaved, solver))
        found.append((comm, separate_streams(radar)))
    except Infeasible:
        if not found:
            return shared_data(problem, certified)
    return min(found, key=lambda pair: measure(s, problem.sinr_db, pair[0], pair[1], problem.mode).value)


def _entries_in_use(comm: ComplexArray, radar: ComplexArray) -> NDArray[np.intp]:
    """Entries that are 0 stay 0, so that signals that share no stream never correlate."""
    stacked = stacked_precoders(comm, radar)
    used = stacked != 0
    return np.where(used, np.cumsum(used).reshape(used.shape) - 1, -1)


def one_server_per_user(problem: RelaxedProblem, certified: CertifiedSolution) -> Precoders:
    """Data of each user and subcarrier from the node that gives most, radar silent towards all users.

    The SINR may fall short: the other nodes' data are dropped.
    """
    s, point = problem.scenario, certified.point
    comm = data_precoders(s, point.comm_covariances)
    useful = np.abs(np.einsum("nulm,nulm->nul", s.channels.conj(), comm))
    comm = comm * (useful == useful.max(axis=0, initial=0.0))[..., None]
    radar = factors(node_blocks(point.covariances, s.n_nodes) - outer(comm).sum(axis=1))
    if problem.n_constrained_users:
        heard, sizes, _ = np.linalg.svd(
            radar.conj().swapaxes(2, 3) @ s.channels.transpose(0, 2, 3, 1), full_matrices=False
        )
        heard = heard * (sizes > 1e-9 * sizes[..., :1])[..., None, :]
        radar = radar - (radar @ heard) @ heard.conj().swapaxes(2, 3)
    return comm, separate_streams(radar)


def shared_data(problem: RelaxedProblem, certified: CertifiedSolution) -> Precoders:
    """Theorem 2: data from every node as in the relaxed solution, all R_nn,l kept; nodes correlate through the data."""
    s, point = problem.scenario, certified.point
    comm = data_precoders(s, point.comm_covariances)
    rest = node_blocks(point.covariances, s.n_nodes) - outer(comm).sum(axis=1)
    return comm, separate_streams(factors(rest))


def separate_streams(radar: ComplexArray) -> ComplexArray:
    """Radar precoders (N, L, M_t, N q) that give the q streams of every node to that node alone."""
    n_nodes, n_subcarriers, n_tx, n_streams = radar.shape
    separate = np.zeros((n_nodes, n_subcarriers, n_tx, n_nodes, n_streams), dtype=complex)
    own = np.arange(n_nodes)
    separate[own, :, :, own] = radar
    return separate.reshape(n_nodes, n_subcarriers, n_tx, -1)
