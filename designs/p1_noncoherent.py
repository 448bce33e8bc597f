"""P.1 with block-diagonal covariances: the best design when the phases between nodes are unknown.

Turning node m by an unknown phase phi_m turns R into Phi R Phi^H. The CRB is convex in R, so its mean over independent
uniform phases is at least the CRB of the mean, which is that of blkdiag(R): among all R, block-diagonal ones minimize
this bound, and the problem loses nothing by asking for them.

Radar streams of different nodes are separate, but a user's data symbol is shared by the nodes, so what is sent has cross
blocks w_n w_m^H. Theorem 2 leaves the phase of every w free. The quadratic (Zadoff-Chu) phase pi n l^2 / L at node n spreads
the cross blocks evenly over all delays, where they sum to about 1 / sqrt(L) of what aligned phases give.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs.certificate import FeasiblePoint, node_blocks
from disac.designs.convex import convex_design
from disac.designs.extraction import data_precoders, factors, outer
from disac.designs.registry import register_design
from disac.designs.relaxed import RelaxedProblem
from disac.designs.result import DesignResult
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]


@register_design("p1-noncoherent")
def p1_noncoherent(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """Least CRB with R_l = blkdiag(R_nn,l); ``value`` includes the cross blocks of the data that all nodes share."""
    return convex_design("p1-noncoherent", RelaxedProblem(scenario, "block-diagonal", sinr_db), solver, extract)


def extract(problem: RelaxedProblem, point: FeasiblePoint) -> tuple[ComplexArray, ComplexArray]:
    """Data by Eq. (27) with quadratic phases; each node's radar on M_t streams of its own. All R_nn,l are kept."""
    s = problem.scenario
    n_nodes, n_subcarriers, n_tx = s.n_nodes, s.n_subcarriers, s.n_tx
    node, subcarrier = np.arange(n_nodes)[:, None], np.arange(n_subcarriers)
    phases = np.exp(1j * np.pi * node * subcarrier**2 / n_subcarriers)
    comm_precoders = data_precoders(s, point.comm_covariances) * phases[:, None, :, None]
    rest = node_blocks(point.covariances, n_nodes) - outer(comm_precoders).sum(axis=1)
    radar_precoders = np.zeros((n_nodes, n_subcarriers, n_tx, n_nodes, n_tx), dtype=complex)
    own = np.arange(n_nodes)
    radar_precoders[own, :, :, own] = factors(rest)
    return comm_precoders, radar_precoders.reshape(n_nodes, n_subcarriers, n_tx, n_nodes * n_tx)
