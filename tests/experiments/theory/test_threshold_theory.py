"""Interval errors against closed forms, explicit means and simulated estimates."""

from __future__ import annotations

import numpy as np
import pytest

from disac.designs import crb, sample_covariances
from disac.estimators.ambiguity import Signatures, ambiguity_surface
from disac.experiments.theory.interval_errors import interval_errors, principal_angles
from disac.experiments.theory.quadratic_form import quadratic_form_tail
from disac.simulator import Scenario, synthesize

MODES = ["hybrid", "tof-genie", "aoa-genie"]


def scene(**fields):
    amplitudes = np.array([[[1.0], [0.7j]], [[-0.5], [0.9]]])
    settings = {
        "nodes": [[-40.0, -12.0], [35.0, -20.0]],
        "targets": [[3.0, 4.0]],
        "users": [[0.0, -20.0]],
        "orientations": [0.3, 2.4],
        "n_tx": 2,
        "n_rx": 2,
        "n_subcarriers": 16,
        "n_symbols": 4,
        "bandwidth_hz": 20e6,
        "noise_sense": 1.0,
        "noise_comm": 1.0,
        "amplitudes": amplitudes,
        "area": [[-30.0, 30.0], [-10.0, 50.0]],
    }
    return Scenario(**{**settings, **fields})


def symbols(s, *, orthogonal=True):
    rng = np.random.default_rng(4)
    X = np.exp(0.5j * np.pi * rng.integers(0, 4, (s.n_nodes, s.n_tx, s.n_subcarriers, s.n_symbols))) / 4
    if orthogonal:
        X *= (np.arange(s.n_nodes)[:, None] == s.subcarrier_node)[:, None, :, None]
    return X


def two_targets():
    rng = np.random.default_rng(8)
    amplitudes = rng.standard_normal((2, 2, 2)) + 1j * rng.standard_normal((2, 2, 2))
    return scene(targets=[[3.0, 4.0], [-12.0, 20.0]], amplitudes=amplitudes, n_subcarriers=8)


def noise_like(rng, shape, variance):
    return np.sqrt(variance / 2) * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


@pytest.mark.statistical(false_alarm=2e-10)
@pytest.mark.parametrize("orthogonal", [True, False])
def test_pairwise_error_is_the_simulated_one(orthogonal):
    """Random data projected on explicit signature spans, truth against one other position."""
    s = two_targets()
    X = symbols(s, orthogonal=orthogonal)
    signatures = Signatures(s, X)
    other = np.array([[8.0, 9.0]])
    sines, energies, _ = principal_angles(signatures, other, 0)
    noise = 40.0
    scaled = energies * s.n_subcarriers / noise
    expected = quadratic_form_tail(
        np.concatenate([sines, -sines], axis=-1),
        np.concatenate([scaled * (1 - sines) / 2, scaled * (1 + sines) / 2], axis=-1),
    )[0]
    assert 0.01 < expected < 0.4
    mean = synthesize(s, X)
    rng = np.random.default_rng(1)
    n_trials = 20_000
    difference = np.zeros(n_trials)
    for n in range(2):
        data = mean[n].ravel() + noise_like(rng, (n_trials, mean[n].size), noise / s.n_subcarriers)
        for targets, sign in ((s.targets, -1), (np.vstack([other, s.targets[1:]]), 1)):
            columns = []
            for k in range(2):
                for m in range(2):
                    one = np.zeros((2, 2, 2), dtype=complex)
                    one[n, m, k] = 1.0
                    columns.append(synthesize(s.replace(targets=targets, amplitudes=one), X)[n].ravel())
            base, _ = np.linalg.qr(np.array(columns).T)
            difference += sign * np.sum(np.abs(data @ base.conj()) ** 2, axis=1)
    seen = np.mean(difference > 0)
    tolerance = 6.5 * np.sqrt(expected * (1 - expected) / n_trials)
    assert abs(seen - expected) < tolerance
    assert not abs(seen - 1.5 * expected) < tolerance


def test_prediction_tends_to_the_bound_at_high_snr_and_to_the_area_at_low_snr():
    s = scene()
    X = symbols(s)
    intervals = interval_errors(s, X)
    bound = np.trace(crb(s, sample_covariances(X), "hybrid", s.n_symbols))
    assert intervals.crb_per_noise == pytest.approx(bound / s.noise_sense, rel=1e-12)
    assert intervals.mse(1.0) == pytest.approx(bound, rel=1e-9)
    # without information the estimate is uniform over the area; rivals inside the own basin are not counted, so the
    # share of the area outside it is the least that can come out
    outside = len(intervals.positions) * intervals.cell_m2 / np.prod(np.diff(s.area, axis=1))
    assert outside < intervals.outliers(1e4)[0] <= 1
    assert intervals.mse(1e4) < 1.5 * intervals.span_m2
    noise = np.geomspace(1, 1e3, 7)
    assert np.all(np.diff(intervals.mse(noise)) > 0)
    threshold = intervals.threshold_noise(3.0)
    assert intervals.mse(threshold) == pytest.approx(3 * intervals.crb_per_noise * threshold, rel=0.05)
    with pytest.raises(ValueError, match=r"factor = 1\.0"):
        intervals.threshold_noise(1.0)


def simulated_errors(s, X, mode, noise, n_trials, seed):
    from disac.estimators import Localizer
    from disac.estimators.ml.search import Search

    localizer = Localizer(s, mode, Search(n_starts=8))
    mean = synthesize(s, X)
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(n_trials):
        data = mean + noise_like(rng, mean.shape, noise / s.n_subcarriers)
        errors.append(np.sum((localizer(X, data).positions - s.targets) ** 2))
    return np.array(errors)


@pytest.mark.statistical(false_alarm=1e-9)
@pytest.mark.parametrize(("mode", "noise"), [("hybrid", 25.0), ("tof-genie", 22.0)])
def test_outliers_are_as_frequent_as_predicted_within_one_decibel(mode, noise):
    s = scene()
    X = symbols(s)
    intervals = interval_errors(s, X, mode=mode)
    low, high = intervals.outliers(noise * 10 ** (np.array([-1, 1]) / 10))[0]
    errors = simulated_errors(s, X, mode, noise, 5000, seed=5)
    seen = np.mean(errors > 10.0**2)
    assert low < seen < high
    assert not low < seen / 5 < high


@pytest.mark.statistical(false_alarm=1e-9)
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["hybrid", "tof-genie"])
def test_threshold_is_predicted_within_one_decibel(mode):
    s = scene()
    X = symbols(s)
    intervals = interval_errors(s, X, mode=mode)
    threshold = intervals.threshold_noise(2.0)
    for shift_db, side in ((1.0, 1), (-1.0, -1)):
        noise = threshold * 10 ** (shift_db / 10)
        errors = simulated_errors(s, X, mode, noise, 12_000, seed=6)
        assert side * (errors.mean() - 2 * intervals.crb_per_noise * noise) > 0


def test_sidelobes_of_the_surface_are_those_of_the_prediction():
    s = scene()
    X = symbols(s)
    assert (
        interval_errors(s, X, step_m=1.5).surface.sidelobes
        == ambiguity_surface(s, X, others="held", step_m=1.5).sidelobes
    )
