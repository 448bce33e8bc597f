"""Plain twins of what a design is judged by, term by term, so that no fast formula vouches for itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


def sinr_twin(scenario: Scenario, comm: ComplexArray, radar: ComplexArray) -> RealArray:
    """(U, L) SINR of Eq. (7), linear."""
    sinr = np.zeros((scenario.n_users, scenario.n_subcarriers))
    for u in range(scenario.n_users):
        for m in range(scenario.n_subcarriers):
            signal, rest = 0.0, scenario.noise_comm / scenario.n_subcarriers
            for n in range(scenario.n_nodes):
                h = scenario.channels[n, u, m]
                for i in range(scenario.n_users):
                    power = abs(np.vdot(h, comm[n, i, m])) ** 2
                    signal, rest = (signal + power, rest) if i == u else (signal, rest + power)
                for q in range(radar.shape[-1]):
                    rest += abs(np.vdot(h, radar[n, m, :, q])) ** 2
            sinr[u, m] = signal / rest
    return sinr


def covariances_twin(comm: ComplexArray, radar: ComplexArray) -> ComplexArray:
    """(L, N M_t, N M_t) covariances E[x x^H] of the stacked signal, stream by stream."""
    n_nodes, n_users, n_subcarriers, n_tx = comm.shape
    result = np.zeros((n_subcarriers, n_nodes * n_tx, n_nodes * n_tx), dtype=complex)
    for m in range(n_subcarriers):
        streams = [comm[:, u, m].ravel() for u in range(n_users)]
        streams += [radar[:, m, :, q].ravel() for q in range(radar.shape[-1])]
        for stream in streams:
            result[m] += np.outer(stream, stream.conj())
    return result
