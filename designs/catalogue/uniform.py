"""Baseline: the same power in every direction, on every antenna and subcarrier."""

from __future__ import annotations

import time

import numpy as np

from disac.designs.precoding.extraction import factors, outer
from disac.designs.precoding.measure import fixed_design
from disac.designs.registry import register_design
from disac.designs.result import DesignResult
from disac.simulator import Scenario


@register_design("uniform", label="equal power", tight=True, depends_on_sinr=False)
def uniform(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """R_nn,l = (P_T / L) I at every node, as much of it data as isotropy allows.

    The data precoders of a node are sqrt(P_T / L) times the orthonormal vectors nearest to the users' channel
    directions (the polar factor); radar fills the rest of the identity. More users than antennas share the polar
    factor's columns. The SINR is what comes out; asking for more raises ``Infeasible``.
    """
    del solver
    started = time.perf_counter()
    level = scenario.tx_power / scenario.n_subcarriers
    channels = scenario.channels.transpose(0, 2, 3, 1)
    directions = channels / np.maximum(np.linalg.norm(channels, axis=2, keepdims=True), np.finfo(float).tiny)
    left, _, right = np.linalg.svd(directions, full_matrices=False)
    comm_precoders = np.sqrt(level) * (left @ right).transpose(0, 3, 1, 2)
    rest = level * np.eye(scenario.n_tx) - outer(comm_precoders).sum(axis=1)
    n_nodes, n_tx = scenario.n_nodes, scenario.n_tx
    radar_precoders = np.zeros((n_nodes, scenario.n_subcarriers, n_tx, n_nodes, n_tx), dtype=complex)
    for node in range(n_nodes):
        radar_precoders[node, :, :, node] = factors(rest[node])
    radar = radar_precoders.reshape(n_nodes, scenario.n_subcarriers, n_tx, n_nodes * n_tx)
    seconds = time.perf_counter() - started
    return fixed_design(scenario, comm_precoders, radar, name="uniform", sinr_db=sinr_db, solve_seconds=seconds)
