"""The received echoes against Eq. (5) and (6) written out from positions alone."""

from __future__ import annotations

import numpy as np
import pytest

from disac.simulator import Scenario, synthesize


def general_scene(**fields):
    """M_t != M_r, K = 2, b_nm != b_mn, arrays turned off broadside."""
    rng = np.random.default_rng(7)
    amplitudes = rng.standard_normal((3, 3, 2)) + 1j * rng.standard_normal((3, 3, 2))
    settings = {
        "nodes": [[-40.0, -12.0], [35.0, -20.0], [5.0, 48.0]],
        "targets": [[3.0, 4.0], [-11.0, 17.5]],
        "users": [[0.0, -20.0], [9.0, 20.0]],
        "orientations": [0.3, 2.4, -1.2],
        "n_tx": 3,
        "n_rx": 5,
        "n_subcarriers": 8,
        "n_symbols": 4,
        "bandwidth_hz": 20e6,
        "noise_sense": 0.3,
        "noise_comm": 0.2,
        "amplitudes": amplitudes,
    }
    return Scenario(**{**settings, **fields})


def random_symbols(scenario, *batch, n_symbols=None, seed=1):
    shape = (*batch, scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers, n_symbols or scenario.n_symbols)
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def echoes_from_positions(scenario, X, phases):
    """Eq. (5) and (6), path by path and antenna by antenna, with nothing but numpy."""
    n_nodes, n_tx, n_subcarriers, n_symbols = X.shape
    Y = np.zeros((n_nodes, scenario.n_rx, n_subcarriers, n_symbols), dtype=complex)
    spacing_hz = scenario.bandwidth_hz / n_subcarriers
    for n in range(n_nodes):
        for m in range(n_nodes):
            for k, (x, y) in enumerate(scenario.targets):
                to_rx, to_tx = (x, y) - scenario.nodes[n], (x, y) - scenario.nodes[m]
                delay = (np.sqrt(to_rx @ to_rx) + np.sqrt(to_tx @ to_tx)) / 299_792_458.0
                angle_rx = np.arctan2(to_rx[1], to_rx[0]) - scenario.orientations[n]
                angle_tx = np.arctan2(to_tx[1], to_tx[0]) - scenario.orientations[m]
                b = scenario.amplitudes[n, m, k] * np.exp(1j * (phases[m] - phases[n]))
                for line in range(n_subcarriers):
                    sent = sum(np.exp(1j * np.pi * i * np.sin(angle_tx)) * X[m, i, line] for i in range(n_tx))
                    reflected = b * sent * np.exp(-2j * np.pi * line * spacing_hz * delay)
                    for i in range(scenario.n_rx):
                        Y[n, i, line] += np.exp(1j * np.pi * i * np.sin(angle_rx)) * reflected
    return Y


def relative_error(actual, expected):
    return np.max(np.abs(actual - expected)) / np.max(np.abs(expected))


@pytest.mark.parametrize("n_symbols", [1, 4, 300])
def test_mean_is_equation_6(n_symbols):
    scene = general_scene()
    phases = np.array([0.4, -2.0, 1.1])
    X = random_symbols(scene, n_symbols=n_symbols)
    expected = echoes_from_positions(scene, X, phases)
    assert relative_error(synthesize(scene, X, phases=phases), expected) < 1e-13
    assert relative_error(synthesize(scene, X), echoes_from_positions(scene, X, np.zeros(3))) < 1e-13
