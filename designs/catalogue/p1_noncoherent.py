"""P.1 with block-diagonal covariances: the best design when the phases between nodes are unknown.

Turning node m by an unknown phase phi_m turns R into Phi R Phi^H. The CRB is convex in R, so its mean over independent
uniform phases is at least the CRB of the mean, which is that of blkdiag(R): among all R, block-diagonal ones minimize
this bound, and the problem loses nothing by asking for them.

The relaxation is not tight by itself, in spite of Theorem 2: a user's symbol that two nodes send on one subcarrier is
fully correlated between them, whatever its precoders. Signals are uncorrelated between nodes when one node serves each
user of a subcarrier, while the others send other users' data or radar there. Once it is said which, the problem is
convex again and Theorem 2 loses nothing. Three choices are solved: the node that serves best in the relaxed solution,
the one with the strongest channel, and P.2's, so that the CRB is never above P.2's; it does not depend on the phases at
all. Only where none of them reaches the SINR do several nodes send a symbol, with the precoders of Theorem 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from disac.designs.convex import CertifiedSolution, assemble, solve_certified
from disac.designs.precoding.extraction import data_precoders, factors, outer
from disac.designs.precoding.measure import try_measure
from disac.designs.problem.certificate import node_blocks
from disac.designs.problem.feasibility import least_power
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.registry import register_design
from disac.designs.result import DesignResult
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Precoders = tuple[ComplexArray, ComplexArray]


@register_design("p1-noncoherent", label="P.1 block-diagonal")
def p1_noncoherent(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """Least CRB with R_l = blkdiag(R_nn,l), sent by one node per user and subcarrier where that reaches the SINR.

    ``lower_bound`` is that of all block-diagonal covariances. The precoders are the best for their serving nodes and
    never lose to P.2, whose signals are of the same kind. Near the edge of the SINR one server may not be enough; then
    several nodes send a symbol, ``correlates_nodes`` of the result is True and ``value`` is that of the design's own
    phases, which may lie below ``lower_bound``. Times and iterations are those of all problems solved.
    """

    problem = RelaxedProblem(scenario, "block-diagonal", sinr_db)
    certified = solve_certified("p1-noncoherent", problem, solver)
    served = list(_served(problem, certified, solver)) or [(problem, certified)]
    sent = [shared_data(*pair) for pair in served]
    measured = [try_measure(scenario, sinr_db, comm, radar, problem.mode) for comm, radar in sent]
    values = [np.inf if one is None else one.value for one in measured]
    result = assemble("p1-noncoherent", problem, solver, certified, *sent[int(np.argmin(values))])
    further = [answer.solution for _, answer in served if answer is not certified]
    return replace(
        result,
        solve_seconds=result.solve_seconds + sum(one.solve_seconds for one in further),
        compile_seconds=result.compile_seconds + sum(one.compile_seconds for one in further),
        iterations=result.iterations + sum(one.iterations for one in further),
    )


def _served(
    problem: RelaxedProblem, certified: CertifiedSolution, solver: str
) -> Iterator[tuple[RelaxedProblem, CertifiedSolution]]:
    """The problem solved with one node per user and subcarrier, for every choice of them that reaches the SINR."""
    s = problem.scenario
    if problem.n_constrained_users == 0:
        return
    tried: list[NDArray[np.bool_]] = []
    for server in (best_server(problem, certified), strongest_server(s), s.subcarrier_node[None]):
        data_from = np.arange(s.n_nodes)[:, None, None] == np.broadcast_to(server, (s.n_users, s.n_subcarriers))
        if any(np.array_equal(data_from, before) for before in tried):
            continue
        tried.append(data_from)
        if least_power(s, data_from, problem.sinr, decide=True).upper < 1:
            served = replace(problem, data_from=data_from)
            yield served, solve_certified("p1-noncoherent", served, solver)


def best_server(problem: RelaxedProblem, certified: CertifiedSolution) -> NDArray[np.intp]:
    """(U, L) node that gives each user and subcarrier most of its useful power in the relaxed solution."""
    h, data = problem.scenario.channels, certified.point.comm_covariances
    useful = np.real(np.einsum("nulm,nulmk,nulk->nul", h.conj(), data, h, optimize=True))
    node: NDArray[np.intp] = useful.argmax(axis=0)
    return node


def strongest_server(scenario: Scenario) -> NDArray[np.intp]:
    """(U, L) node with the strongest channel to each user and subcarrier."""
    node: NDArray[np.intp] = np.sum(np.abs(scenario.channels) ** 2, axis=-1).argmax(axis=0)
    return node


def shared_data(problem: RelaxedProblem, certified: CertifiedSolution) -> Precoders:
    """Theorem 2: data as in the relaxed solution, all R_nn,l kept; nodes correlate through data that several send."""
    s, point = problem.scenario, certified.point
    comm = data_precoders(s, point.comm_covariances) * problem.sends_data[..., None]
    rest = node_blocks(point.covariances, s.n_nodes) - outer(comm).sum(axis=1)
    return comm, separate_streams(factors(rest))


def separate_streams(radar: ComplexArray) -> ComplexArray:
    """Radar precoders (N, L, M_t, N q) that give the q streams of every node to that node alone."""
    n_nodes, n_subcarriers, n_tx, n_streams = radar.shape
    separate = np.zeros((n_nodes, n_subcarriers, n_tx, n_nodes, n_streams), dtype=complex)
    own = np.arange(n_nodes)
    separate[own, :, :, own] = radar
    return separate.reshape(n_nodes, n_subcarriers, n_tx, -1)
