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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.assign(np.zeros((2, 3)), np.zeros((2, 2))), r"estimates: has shape \(2, 3\)"),
        (lambda: metrics.assign(np.zeros((2, 2)), np.zeros((3, 2))), r"targets: has shape \(3, 2\)"),
        (lambda: metrics.assign(np.full((1, 2), np.nan), np.zeros((1, 2))), "failed trial"),
    ],
)
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
