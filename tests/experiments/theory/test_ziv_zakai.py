"""The Ziv-Zakai bound against closed cases: one link, high SNR, low SNR."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from disac.designs import crb, sample_covariances
from disac.experiments.theory.ziv_zakai import ZivZakai, ziv_zakai
from disac.simulator import Scenario


def flat_bound(energy, sides=(60.0, 40.0), crb_per_noise=(1e-12, 1e-12)):
    """One link whose echoes from any two positions are orthogonal, on a metre grid."""
    x, y = np.meshgrid(np.arange(-sides[0], sides[0]), np.arange(0, sides[1]))
    offsets = np.stack([x.ravel(), y.ravel()], axis=-1)
    offsets = offsets[np.any(offsets != 0, axis=1)]
    ones = np.ones((len(offsets), 1))
    return ZivZakai(offsets, ones, energy * ones, sides, (1.0, 1.0), np.array(crb_per_noise), 1)


@pytest.mark.parametrize("energy", [0.5, 4.0, 20.0])
def test_one_link_of_orthogonal_echoes_has_the_noncoherent_error_rate(energy):
    """P = exp(-E / 2) / 2, and the variance of the prior times 2 P."""
    bound = flat_bound(energy)
    error = 0.5 * np.exp(-energy / 2)
    np.testing.assert_allclose(bound.decision_error(1.0), error, rtol=1e-8)
    np.testing.assert_allclose(bound.decision_error(1.0, "coupled"), norm.sf(np.sqrt(energy)), rtol=1e-8)
    variance = (60**2 + 40**2) / 12
    assert bound.mse(1.0) == pytest.approx(2 * error * variance, rel=2e-3)


def scene(**fields):
    amplitudes = np.array([[[1.0], [0.7j]], [[-0.5], [0.9]]])
    settings = {
        "nodes": [[-40.0, -12.0], [35.0, -20.0]],
        "targets": [[3.0, 4.0]],
        "users": [[0.0, -20.0]],
        "n_tx": 2,
        "n_rx": 2,
        "n_subcarriers": 8,
        "n_symbols": 4,
        "bandwidth_hz": 20e6,
        "noise_sense": 1.0,
        "noise_comm": 1.0,
        "amplitudes": amplitudes,
        "area": [[-30.0, 30.0], [-10.0, 50.0]],
    }
    return Scenario(**{**settings, **fields})


@pytest.fixture(scope="module")
def prepared():
    s = scene()
    rng = np.random.default_rng(4)
    X = np.exp(0.5j * np.pi * rng.integers(0, 4, (s.n_nodes, s.n_tx, s.n_subcarriers, s.n_symbols))) / 4
    X *= (np.arange(s.n_nodes)[:, None] == s.subcarrier_node)[:, None, :, None]
    return s, X, ziv_zakai(s, X, step_m=3.0)


@pytest.mark.parametrize("decision", ["coupled", "concentrated"])
def test_it_tends_to_the_bound_and_to_the_variance_of_the_prior(prepared, decision):
    s, X, bound = prepared
    local = np.trace(crb(s, sample_covariances(X), "hybrid", s.n_symbols))
    assert bound.mse(1e-4, decision) == pytest.approx(1e-4 * local, rel=2e-3)
    assert bound.mse(1e9, decision) == pytest.approx(2 * 60.0**2 / 12, rel=0.02)


def test_it_grows_with_the_noise_and_the_genie_knows_more(prepared):
    _, _, bound = prepared
    noise = np.geomspace(1.0, 1e4, 9)
    concentrated, coupled = bound.mse(noise), bound.mse(noise, "coupled")
    assert np.all(np.diff(concentrated) > 0)
    assert np.all(np.diff(coupled) > 0)
    assert np.all(coupled <= concentrated * (1 + 1e-9))
    assert concentrated.max() > 1.5 * coupled[np.argmax(concentrated / coupled)]


def test_small_displacements_have_the_error_rate_of_the_fisher_information(prepared):
    """Q(sqrt(delta^T J delta) / 2) with J the inverse of the position's bound."""
    s, X, _ = prepared
    noise = 1e-3
    information = np.linalg.inv(crb(s, sample_covariances(X), "hybrid", s.n_symbols)) / noise
    small = ziv_zakai(s.replace(area=[[2.9, 3.1], [3.9, 4.1]]), X, step_m=0.01)
    near = np.hypot(*small.offsets.T) < 0.05
    expected = norm.sf(np.sqrt(np.einsum("gi,ij,gj->g", small.offsets, information, small.offsets)) / 2)[near]
    assert expected.min() < 0.3
    np.testing.assert_allclose(small.decision_error(noise, "coupled")[near], expected, rtol=0.02)
    np.testing.assert_allclose(small.decision_error(noise)[near], expected, rtol=0.02)
