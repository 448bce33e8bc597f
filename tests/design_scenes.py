"""Small scenes for tests of designs, and plain twins of what a design is judged by."""

from __future__ import annotations

import numpy as np

from disac.simulator import RandomAmplitudes, RandomChannels, Scenario

NODES = ((-46.19, -19.13), (46.19, -19.13), (-19.13, -46.19), (19.13, -46.19))
TARGETS = ((3.0, 5.0), (-20.0, 12.0))
USERS = ((0.0, -20.0), (0.0, 20.0), (10.0, 0.0))


def scene(n_nodes=2, n_targets=1, n_users=1, *, seed=0, n_tx=3, n_rx=4, n_subcarriers=5, **fields):
    """A scene with M_t != M_r and L no multiple of N."""
    return Scenario(
        nodes=NODES[:n_nodes],
        targets=TARGETS[:n_targets],
        users=USERS[:n_users],
        n_tx=n_tx,
        n_rx=n_rx,
        n_subcarriers=n_subcarriers,
        amplitudes=RandomAmplitudes(seed=seed),
        channels=RandomChannels(seed=seed),
        bandwidth_hz=20e6,
        **fields,
    )


def sinr_twin(scenario, comm, radar):
    """Eq. (7) term by term."""
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


def covariances_twin(comm, radar):
    """E[x x^H] of the stacked signal, stream by stream."""
    n_nodes, n_users, n_subcarriers, n_tx = comm.shape
    result = np.zeros((n_subcarriers, n_nodes * n_tx, n_nodes * n_tx), dtype=complex)
    for m in range(n_subcarriers):
        streams = [comm[:, u, m].ravel() for u in range(n_users)]
        streams += [radar[:, m, :, q].ravel() for q in range(radar.shape[-1])]
        for stream in streams:
            result[m] += np.outer(stream, stream.conj())
    return result
