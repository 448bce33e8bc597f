"""Assignment against all permutations, and the identities that tie RMSE, axes, targets, bias and deviation."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disac.experiments.statistics import metrics


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), n_targets=st.integers(1, 5))
def test_assignment_is_the_best_permutation(seed: int, n_targets: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.uniform(-10, 10, (n_targets, 2))
    estimates = rng.uniform(-10, 10, (3, n_targets, 2))
    ordered = metrics.assign(estimates, targets)
    for trial in range(3):
        best = min(np.sum((estimates[trial][list(p)] - targets) ** 2) for p in itertools.permutations(range(n_targets)))
        assert np.sum((ordered[trial] - targets) ** 2) == pytest.approx(best, rel=1e-12)
        assert sorted(map(tuple, ordered[trial])) == sorted(map(tuple, estimates[trial]))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), n_targets=st.integers(1, 4))
def test_labels_of_estimates_do_not_matter(seed: int, n_targets: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.uniform(-30, 30, (2, n_targets, 2))
    errors = 0.01 * rng.standard_normal((2, n_targets, 2))
    shuffled = (targets + errors)[:, rng.permutation(n_targets)]
    np.testing.assert_allclose(metrics.position_errors(shuffled, targets), errors, atol=1e-12)


def test_nearest_estimate_first_would_be_worse() -> None:
    """Greedy pairing takes 0 -> 0.9 and leaves a distance of 11; the sum of squares prefers two moderate errors."""
    targets = np.array([[0.0, 0.0], [1.0, 0.0]])
    estimates = np.array([[0.9, 0.0], [-10.0, 0.0]])
    np.testing.assert_array_equal(metrics.assign(estimates, targets), estimates[::-1])


def test_summary_identities() -> None:
    rng = np.random.default_rng(1)
    errors = rng.standard_normal((500, 3, 2)) * [0.1, 0.3] + [0.05, -0.2]
    errors[17] += 80.0
    summary = metrics.summarize_errors(errors, failed=4)
    total = sum(float(np.sum(trial**2)) for trial in errors) / 500
    assert summary.rmse**2 == pytest.approx(total, rel=1e-12)
    assert np.sum(summary.rmse_axis**2) == pytest.approx(total, rel=1e-12)
    assert np.sum(summary.rmse_target**2) == pytest.approx(total, rel=1e-12)
    assert np.sum(summary.bias**2 + summary.deviation**2) == pytest.approx(total, rel=1e-12)
    assert (summary.trials, summary.failed) == (500, 4)
    assert summary.rmse > 5


@pytest.mark.statistical(false_alarm=3e-10)
def test_bias_is_seen_apart_from_variance() -> None:
    """A shrunk estimate beats the unbiased one in MSE and shows it as bias."""
    rng = np.random.default_rng(2)
    truth, noise = np.array([[0.5, 0.0]]), rng.standard_normal((4000, 1, 2))
    unbiased = metrics.summarize_errors(metrics.position_errors(truth + noise, truth))
    shrunk = metrics.summarize_errors(metrics.position_errors(0.5 * (truth + noise), truth))
    assert shrunk.rmse < unbiased.rmse
    np.testing.assert_allclose(shrunk.deviation, unbiased.deviation / 2, rtol=1e-12)
    assert shrunk.bias[0, 0] == pytest.approx(-0.25, abs=0.05)
    assert unbiased.bias[0, 0] != pytest.approx(-0.25, abs=0.05)


def test_root_bounds_are_roots_of_diagonal_entries() -> None:
    bound = np.array([[9e-6, 4e-6], [4e-6, 16e-6]])
    np.testing.assert_allclose(metrics.rcrb_axis(bound), [3e-3, 4e-3], rtol=1e-12)
    assert np.hypot(*metrics.rcrb_axis(bound)) == pytest.approx(5e-3, rel=1e-12)
    assert not np.allclose(np.sort(np.sqrt(np.linalg.eigvalsh(bound))), [3e-3, 4e-3], rtol=0.05)
    two_targets = np.diag([1.0, 3.0, 5.0, 11.0])
    np.testing.assert_allclose(metrics.rcrb_axis(np.stack([two_targets, 4 * two_targets])), [[2, 4], [4, 8]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.assign(np.zeros((2, 3)), np.zeros((2, 2))), r"estimates: has shape \(2, 3\)"),
        (lambda: metrics.assign(np.zeros((2, 2)), np.zeros((3, 2))), r"targets: has shape \(3, 2\)"),
        (lambda: metrics.assign(np.full((1, 2), np.nan), np.zeros((1, 2))), "failed trial"),
        (lambda: metrics.summarize_errors(np.zeros((0, 1, 2))), "n >= 1"),
        (lambda: metrics.summarize_errors(np.full((1, 1, 2), np.inf)), "belongs in failed"),
        (lambda: metrics.summarize_errors(np.zeros((1, 1, 2)), failed=-1), "failed = -1"),
        (lambda: metrics.rcrb_axis(np.eye(3)), "bound: has shape"),
    ],
)
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
