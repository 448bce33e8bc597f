"""The factored derivatives against the dense ones, and the memory that they take."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from disac.designs.bounds.fisher import FisherOperator
from disac.simulator import RandomAmplitudes, Scenario


def scene(n_nodes: int, n_targets: int, n_subcarriers: int, n_rx: int = 5) -> Scenario:
    angle = 2 * np.pi * (np.arange(n_nodes) + 0.2) / n_nodes
    return Scenario(
        nodes=50 * np.stack([np.cos(angle), np.sin(angle)], axis=-1),
        targets=np.random.default_rng(1).uniform(-20, 20, (n_targets, 2)),
        users=np.zeros((0, 2)),
        n_tx=3,
        n_rx=n_rx,
        n_subcarriers=n_subcarriers,
        bandwidth_hz=20e6,
        amplitudes=RandomAmplitudes(seed=2),
    )


@pytest.mark.parametrize("mode", ["hybrid", "tof", "aoa", "tof-nuisance", "aoa-nuisance"])
@pytest.mark.parametrize(("n_targets", "n_rx"), [(1, 5), (3, 4)])
def test_products_over_the_receive_antennas_are_those_of_the_dense_derivatives(
    mode: str, n_targets: int, n_rx: int
) -> None:
    """G_p^H G_q for geometry p, q, and for geometry p and Re b: more subcarriers than are formed at a time."""
    n_nodes, n_subcarriers, n_tx = 2, 70, 3
    operator = FisherOperator(scene(n_nodes, n_targets, n_subcarriers, n_rx), mode)
    factors, dense = operator.derivative_factors(), operator.derivatives()
    n_amplitudes = n_nodes**2 * n_targets
    geometry = np.r_[: 2 * n_targets, 2 * n_targets + 2 * n_amplitudes : operator.n_parameters]
    expected = np.einsum("pnlri,qnlrj->pqnlij", dense[geometry].conj(), dense[geometry])
    found = np.einsum("pnlri,qnlrj->pqnlij", factors.geometry.conj(), factors.geometry)
    largest = np.abs(expected).max(axis=(2, 3, 4, 5), keepdims=True)
    assert np.all(np.abs(found - expected) <= 1e-12 * (largest + np.sqrt(largest * largest.swapaxes(0, 1))))

    links = dense[2 * n_targets : 2 * n_targets + n_amplitudes].reshape(n_nodes, n_nodes, n_targets, *dense.shape[1:])
    for rx, tx, target in np.ndindex(n_nodes, n_nodes, n_targets):
        expected = np.einsum("pnlri,nlrj->pnlij", dense[geometry].conj(), links[rx, tx, target])[:, rx]
        heard = np.einsum("plri,r->pli", factors.geometry[:, rx].conj(), factors.receive[rx, target])
        sent = np.zeros((n_subcarriers, n_nodes, n_tx), dtype=complex)
        sent[:, tx] = factors.transmit[rx, tx, target]
        found = heard[..., None] * sent.reshape(n_subcarriers, 1, -1)
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


def test_memory_is_that_of_the_result() -> None:
    operator = FisherOperator(scene(3, 3, 1024), "hybrid")
    operator.derivative_factors()
    tracemalloc.start()
    try:
        factors = operator.derivative_factors()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 1.5 * (factors.geometry.nbytes + factors.transmit.nbytes)
