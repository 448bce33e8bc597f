"""Paired ratios: coverage of their interval, and which rows of a summary are compared."""

import numpy as np
import pytest
from acceptance import binomial_acceptance

from disac.experiments.statistics.pairs import pair_rows, paired_rmse_ratio


def _errors(rng, n):
    """Squared errors of two methods that share nine tenths of their error power; the second has 1.1 times the RMSE."""
    shared, first, second = rng.standard_normal((3, n, 2))
    a, b = (np.sqrt(0.9) * shared + np.sqrt(0.1) * own for own in (first, second))
    return np.sum(a**2, axis=1), 1.1**2 * np.sum(b**2, axis=1)


@pytest.mark.statistical(false_alarm=2e-9)
@pytest.mark.parametrize(("n", "nominal"), [(60, 0.95), (20, 0.95)])
def test_interval_of_a_paired_ratio_covers(n, nominal):
    rng, runs = np.random.default_rng(n), 400
    covers, wrong, widths = 0, 0, []
    for _ in range(runs):
        first, second = _errors(rng, n)
        ratio, interval = paired_rmse_ratio(second, first, rng)
        covers += 1.1 in interval
        wrong += 1.1 * 1.2 in interval
        widths.append((interval.high - interval.low, np.ptp(_of_strangers(second, rng.permutation(first), rng))))
        assert interval.low <= ratio <= interval.high
    low, high = binomial_acceptance(runs, nominal, 1e-9)
    assert low <= covers <= high
    assert not low <= wrong
    paired, strangers = np.mean(widths, axis=0)
    assert paired < 0.6 * strangers


def _of_strangers(second, first, rng):
    interval = paired_rmse_ratio(second, first, rng)[1]
    return interval.low, interval.high


def _row(estimator, design, snr_db):
    return {"design": design, "snr_db": snr_db, "estimator": estimator}


def test_a_row_is_compared_with_the_first_estimator_then_the_first_design():
    fields = ("design", "snr_db", "estimator")
    kinds = [(e, d, s) for s in (0.0, 10.0) for d in ("p1", "p2") for e in ("ml", "mine")]
    rows = [_row(*kind) for kind in kinds]
    size = {"ml": 1.0, "mine": 4.0, "p1": 1.0, "p2": 9.0}
    errors = [{t: size[e] * size[d] * (1.0 + t) for t in range(5 + (e == "ml"))} for e, d, _ in kinds]
    pair_rows(rows, errors, fields, seed=3)
    found = [(row.get("paired_with"), row.get("paired_ratio"), row.get("paired_trials")) for row in rows[:4]]
    assert found == [(None, None, None), ("estimator ml", 2.0, 5), ("design p1", 3.0, 6), ("estimator ml", 2.0, 5)]
    assert [row.get("paired_with") for row in rows[4:]] == [row.get("paired_with") for row in rows[:4]]


def test_rows_without_results_are_left_out():
    rows = [_row("ml", "p1", 0.0), _row("ml", "p2", 0.0), {**_row("ml", "p2", 10.0), "status": "infeasible"}]
    pair_rows(rows, [{}, {0: 1.0, 1: 2.0}, {}], ("design", "snr_db", "estimator"), seed=0)
    assert not any("paired_ratio" in row for row in rows)
