"""Scenes on which the Fisher information is compared with its oracles."""

from __future__ import annotations

import numpy as np
from fisher_twin import Scene

from disac.simulator import Scenario


def circular(rng, *shape):
    """Circular normal samples of unit mean power."""
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def random_scenario(seed=0, *, n_nodes=3, n_targets=2, **fields):
    """M_t != M_r, b_nm != b_mn, rotated arrays, nodes on an irregular ring round the targets."""
    rng = np.random.default_rng(seed)
    bearing = 2 * np.pi * np.arange(n_nodes) / n_nodes + rng.uniform(0, 0.9, n_nodes)
    distance = rng.uniform(35, 60, n_nodes)
    targets = rng.uniform(-12, 12, (n_targets, 2)) + 8 * np.arange(n_targets)[:, None]
    settings = {
        "nodes": np.stack([distance * np.cos(bearing), distance * np.sin(bearing)], axis=1),
        "targets": targets,
        "users": [[0.0, -20.0]],
        "orientations": (bearing + np.pi + rng.uniform(-0.7, 0.7, n_nodes) + np.pi) % (2 * np.pi) - np.pi,
        "n_tx": 4,
        "n_rx": 3,
        "n_subcarriers": 7,
        "bandwidth_hz": 17e6,
        "noise_sense": 0.03,
        "amplitudes": circular(rng, n_nodes, n_nodes, n_targets),
    }
    return Scenario(**{**settings, **fields})


def random_symbols(scenario, n_symbols, seed=1):
    """X[n, m_t, l, t] whose nodes and antennas are correlated at random."""
    rng = np.random.default_rng(seed)
    dimension = scenario.n_nodes * scenario.n_tx
    mixing = circular(rng, scenario.n_subcarriers, dimension, dimension)
    stacked = mixing @ circular(rng, scenario.n_subcarriers, dimension, n_symbols)
    return stacked.transpose(1, 0, 2).reshape(scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers, n_symbols)


def random_covariances(scenario, seed=2, rank=None):
    """Positive definite R[l, i, j] with full cross-node blocks."""
    rng = np.random.default_rng(seed)
    dimension = scenario.n_nodes * scenario.n_tx
    roots = circular(rng, scenario.n_subcarriers, dimension, rank or dimension)
    return roots @ roots.conj().swapaxes(1, 2) / dimension


def twin_scene(scenario, symbols):
    """The same trial as plain arrays for the twin."""
    return Scene(
        nodes=np.array(scenario.nodes),
        broadsides=np.array(scenario.orientations),
        targets=np.array(scenario.targets),
        amplitudes=np.array(scenario.amplitudes),
        symbols=symbols,
        n_rx=scenario.n_rx,
        bandwidth_hz=scenario.bandwidth_hz,
        noise_sense=scenario.noise_sense,
    )


def scaled_error(actual, expected):
    """Largest |actual - expected| of information entries relative to sqrt(F_pp F_qq); exact zeros agree."""
    root = np.sqrt(np.diag(expected))
    weight = np.outer(root, root)
    assert not np.any(actual[weight == 0]), "information where there is none"
    seen = weight > 0
    return np.max(np.abs(actual - expected)[seen] / weight[seen])
