"""Intervals against published values, exact enumeration of coverage, and calibration by simulation.

Every simulated check accepts a binomial count by exact quantiles with a false alarm of 1e-9 at the assumed coverage;
seeds are fixed. Each is shown to reject a neighbouring wrong interval.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from acceptance import binomial_acceptance
from numpy.typing import NDArray
from scipy import stats

from disac.experiments.statistics import intervals
from disac.experiments.statistics.intervals import Interval

FALSE_ALARM = 1e-9


def covers_at(level: float, hits: int, runs: int) -> bool:
    lowest, highest = binomial_acceptance(runs, level, FALSE_ALARM)
    return lowest <= hits <= highest


def covers_at_least(level: float, hits: int, runs: int) -> bool:
    return hits >= binomial_acceptance(runs, level, FALSE_ALARM)[0]


def count_hits(runs: int, seed: int, truth: float, interval: Callable[[np.random.Generator], Interval]) -> int:
    rng = np.random.default_rng(seed)
    return sum(truth in interval(rng) for _ in range(runs))


@pytest.mark.parametrize(
    ("errors", "trials", "low", "high"),
    [
        (0, 1000, 0.0, 3.682084e-3),
        (0, 10**6, 0.0, 3.688873e-6),
        (1, 10**5, 2.531780e-7, 5.571516e-5),
        (3, 10**5, 6.186764e-6, 8.767020e-5),
        (10, 10**4, 4.796397e-4, 1.838264e-3),
        (100, 10**6, 8.136471e-5, 1.216255e-4),
        (7, 50, 0.0581917, 0.2673960),
    ],
)
def test_clopper_pearson_published(errors: int, trials: int, low: float, high: float) -> None:
    interval = intervals.clopper_pearson(errors, trials)
    np.testing.assert_allclose((interval.low, interval.high), (low, high), rtol=1e-6)
    theirs = stats.binomtest(errors, trials).proportion_ci(method="exact")
    np.testing.assert_allclose((interval.low, interval.high), (theirs.low, theirs.high), rtol=1e-6, atol=4e-12)
    if 0 < errors:
        tail = stats.beta(errors, trials - errors + 1).ppf(0.025), stats.beta(errors + 1, trials - errors).ppf(0.975)
        np.testing.assert_allclose((interval.low, interval.high), tail, rtol=1e-9)


@pytest.mark.parametrize("trials", [1, 3, 1000, 12345, 10**6, 10**9])
def test_ends_are_exact_at_the_edges(trials: int) -> None:
    assert intervals.clopper_pearson(0, trials).low == 0.0
    assert intervals.clopper_pearson(trials, trials).high == 1.0


def test_zero_error_bound() -> None:
    interval = intervals.zero_error_bound(1000)
    assert interval.one_sided
    assert interval.low == 0.0
    assert interval.high == pytest.approx(2.991250e-3, rel=1e-6)
    assert (1 - interval.high) ** 1000 == pytest.approx(0.05, rel=1e-12)
    assert str(interval) == "< 3.0e-3 (95 %, 0 errors)"
    assert intervals.zero_error_bound(10**15).high == pytest.approx(-np.log(0.05) / 1e15, rel=1e-9)


def exact_coverage(
    function: Callable[[int, int], Interval], trials: int, probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    counts = np.arange(trials + 1)
    ends = [function(int(k), trials) for k in counts]
    low, high = np.array([i.low for i in ends]), np.array([i.high for i in ends])
    inside = (low[:, None] <= probabilities) & (probabilities <= high[:, None])
    return np.sum(stats.binom.pmf(counts[:, None], trials, probabilities) * inside, axis=0)


def test_binomial_coverage_by_enumeration() -> None:
    probabilities = np.linspace(0.003, 0.997, 499)
    exact = exact_coverage(intervals.clopper_pearson, 60, probabilities)
    assert exact.min() >= 0.95
    narrower = exact_coverage(lambda k, n: intervals.clopper_pearson(k, n, 0.9), 60, probabilities)
    assert narrower.min() < 0.95


def test_share_upper_bound_is_exact() -> None:
    assert intervals.share_upper_bound(0, 200) == pytest.approx(intervals.zero_error_bound(200).high, rel=1e-12)
    assert stats.binom.cdf(3, 200, intervals.share_upper_bound(3, 200)) == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize(
    ("degrees", "low", "high"),
    [
        (60, 0.848710, 1.217436),
        (100, 0.878542, 1.160737),
        (120, 0.887906, 1.144742),
        (200, 0.910866, 1.108623),
        (1000, 0.958032, 1.045841),
        (2000, 0.969950, 1.031985),
    ],
)
def test_chi_square_published(degrees: int, low: float, high: float) -> None:
    interval = intervals.chi_square_rmse_interval(1.0, degrees)
    np.testing.assert_allclose((interval.low, interval.high), (low, high), rtol=1e-6)
    tripled = intervals.chi_square_rmse_interval(3.0, degrees)
    np.testing.assert_allclose((tripled.low, tripled.high), (3 * interval.low, 3 * interval.high), rtol=1e-12)


@pytest.mark.statistical(false_alarm=1e-9)
def test_chi_square_coverage_needs_effective_degrees() -> None:
    """Errors along one axis: 2 per trial covers too little, Satterthwaite's number covers at the nominal rate."""
    covariance = np.array([[1.0, 0.55], [0.55, 0.4]])
    factor = np.linalg.cholesky(covariance)
    truth = float(np.sqrt(np.trace(covariance)))
    runs, trials = 3000, 100
    degrees = trials * np.trace(covariance) ** 2 / np.sum(covariance**2)

    def interval(rng: np.random.Generator, nu: float) -> Interval:
        errors = rng.standard_normal((trials, 2)) @ factor.T
        return intervals.chi_square_rmse_interval(float(np.sqrt(np.mean(np.sum(errors**2, axis=1)))), nu)

    assert covers_at(0.95, count_hits(runs, 1, truth, lambda rng: interval(rng, degrees)), runs)
    assert not covers_at(0.95, count_hits(runs, 1, truth, lambda rng: interval(rng, 2 * trials)), runs)


def position_errors(rng: np.random.Generator, trials: int, outlier_rate: float) -> NDArray[np.float64]:
    """Squared errors of correlated axes; with ``outlier_rate`` an error is ten times as large."""
    errors = rng.standard_normal((trials, 2)) @ np.array([[1.0, 0.3], [0.0, 0.5]])
    gross = rng.random(trials) < outlier_rate
    squared: NDArray[np.float64] = np.sum(errors**2, axis=1) * np.where(gross, 100.0, 1.0)
    return squared


@pytest.mark.statistical(false_alarm=2e-9)
@pytest.mark.parametrize(("trials", "outlier_rate"), [(400, 0.0), (200, 0.05)])
def test_bootstrap_coverage(trials: int, outlier_rate: float) -> None:
    """Nominal coverage of the RMSE, also where one in twenty errors is gross: then BCa and Gaussian ends fail."""
    truth = float(np.sqrt((1 + 0.09 + 0.25) * (1 + 99 * outlier_rate)))
    runs = 1000

    def interval(rng: np.random.Generator) -> Interval:
        return intervals.bootstrap_rmse_interval(position_errors(rng, trials, outlier_rate), rng=rng, n_resamples=500)

    def gaussian(rng: np.random.Generator) -> Interval:
        rmse = float(np.sqrt(np.mean(position_errors(rng, trials, outlier_rate))))
        return intervals.chi_square_rmse_interval(rmse, 2 * trials)

    assert covers_at(0.95, count_hits(runs, 2, truth, interval), runs)
    if outlier_rate:
        assert not covers_at(0.95, count_hits(runs, 2, truth, gaussian), runs)


@pytest.mark.statistical(false_alarm=1e-9)
def test_bootstrap_makes_room_for_rare_outliers() -> None:
    """Six outliers expected in 200 trials: BCa ends, which covered 0.86 here, fail this test."""
    truth = float(np.sqrt((1 + 0.09 + 0.25) * (1 + 99 * 0.03)))
    runs = 1500

    def interval(rng: np.random.Generator) -> Interval:
        return intervals.bootstrap_rmse_interval(position_errors(rng, 200, 0.03), rng=rng, n_resamples=400)

    assert covers_at_least(0.93, count_hits(runs, 21, truth, interval), runs)
    assert not covers_at_least(0.93, count_hits(200, 21, 2 * truth, interval), 200)


@pytest.mark.statistical(false_alarm=1e-9)
def test_ratio_bootstrap_coverage() -> None:
    """Squared errors drawn at 1.1^2 times each trial's own bound; the ratio is covered, a wrong ratio is not."""
    runs, trials = 1000, 300

    def interval(rng: np.random.Generator) -> Interval:
        bounds = rng.lognormal(0.0, 0.7, trials)
        squared = 1.21 * bounds * rng.chisquare(2, trials) / 2
        return intervals.bootstrap_rmse_interval(squared, bounds=bounds, rng=rng, n_resamples=500)

    assert covers_at(0.95, count_hits(runs, 3, 1.1, interval), runs)
    assert not covers_at(0.95, count_hits(runs, 3, 1.0, interval), runs)


@pytest.mark.statistical(false_alarm=1e-9)
def test_cluster_bootstrap_coverage() -> None:
    """Ten trials share a design draw that scales their errors: only resampling whole draws covers."""
    runs, draws, per_draw = 800, 150, 10
    labels = np.repeat(np.arange(draws), per_draw)

    def interval(rng: np.random.Generator, clusters: NDArray[np.intp] | None) -> Interval:
        scale = np.repeat(rng.lognormal(0.0, 0.5, draws), per_draw)
        squared = scale * rng.chisquare(2, draws * per_draw) / 2
        return intervals.bootstrap_rmse_interval(squared, rng=rng, clusters=clusters, n_resamples=400)

    truth = float(np.exp(0.125) ** 0.5)
    assert covers_at(0.95, count_hits(runs, 4, truth, lambda rng: interval(rng, labels)), runs)
    assert not covers_at(0.95, count_hits(runs, 4, truth, lambda rng: interval(rng, None)), runs)


@pytest.mark.parametrize("constant", [True, False])
def test_bootstrap_is_its_formula(constant: bool) -> None:
    """The same resamples, each written out: log of the root ratio over its own standard error."""
    rng = np.random.default_rng(5)
    squared = rng.chisquare(2, 300)
    bounds = np.full(300, 1.5) if constant else 1.5 + rng.random(300)
    ours = intervals.bootstrap_rmse_interval(squared, bounds=bounds, rng=np.random.default_rng(6), n_resamples=400)
    rows = np.random.default_rng(6).integers(0, 300, size=(400, 300), dtype=np.uint32)

    def log_and_error(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
        ratio = a.mean() / b.mean()
        return float(np.log(ratio)), float(np.std(a - ratio * b) / a.mean() / np.sqrt(a.size))

    centre, error = log_and_error(squared, bounds)
    found = [log_and_error(squared[chosen], bounds[chosen]) for chosen in rows]
    studentized = np.sort([(log - centre) / own for log, own in found])
    ends = np.exp((centre - error * studentized[[390, 10]]) / 2)
    np.testing.assert_allclose((ours.low, ours.high), ends, rtol=2e-2)
    plain = np.exp((centre + np.array([-1.96, 1.96]) * error) / 2)
    assert ours.low != pytest.approx(plain[0], rel=1e-4)


def test_upper_end_is_open_where_one_trial_carries_the_sum() -> None:
    squared = np.full(100, 1e-6)
    squared[0] = 1e4
    interval = intervals.bootstrap_rmse_interval(squared, rng=np.random.default_rng(0))
    assert interval.high == np.inf
    assert interval.low > 1


def test_bootstrap_is_reproducible_and_scales() -> None:
    squared = np.random.default_rng(8).chisquare(2, 500)
    first = intervals.bootstrap_rmse_interval(squared, rng=np.random.default_rng(9))
    again = intervals.bootstrap_rmse_interval(squared, rng=np.random.default_rng(9))
    metres = intervals.bootstrap_rmse_interval(squared * 1e-6, rng=np.random.default_rng(9))
    assert first == again
    np.testing.assert_allclose((metres.low, metres.high), (first.low * 1e-3, first.high * 1e-3), rtol=1e-12)
    unit_bounds = intervals.bootstrap_rmse_interval(squared, bounds=np.full(500, 4.0), rng=np.random.default_rng(9))
    np.testing.assert_allclose((unit_bounds.low, unit_bounds.high), (first.low / 2, first.high / 2), rtol=1e-12)
    own_cluster = intervals.bootstrap_rmse_interval(squared, clusters=np.arange(500), rng=np.random.default_rng(9))
    np.testing.assert_allclose((own_cluster.low, own_cluster.high), (first.low, first.high), rtol=1e-12)


def test_bootstrap_of_equal_errors_is_a_point() -> None:
    interval = intervals.bootstrap_rmse_interval(np.full(10, 9.0), rng=np.random.default_rng(0))
    assert (interval.low, interval.high) == (3.0, 3.0)


def test_bootstrap_is_fast() -> None:
    rng = np.random.default_rng(10)
    squared, bounds = rng.chisquare(2, 10_000), 1 + rng.random(10_000)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        intervals.bootstrap_rmse_interval(squared, bounds=bounds, rng=rng)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.5


def faded_errors(rng: np.random.Generator, clusters: int, bits: int) -> NDArray[np.int64]:
    """Bit errors of clusters that each share one Rayleigh channel, with error rate exp(-5 |h|^2) / 2."""
    rates = 0.5 * np.exp(-5 * rng.exponential(size=clusters))
    return rng.binomial(bits, rates)


@pytest.mark.statistical(false_alarm=1e-9)
def test_clustered_coverage() -> None:
    """Bits that share a fading channel: nominal coverage between clusters, far less with bits as independent."""
    runs, clusters, bits = 2000, 200, 64

    def clustered(rng: np.random.Generator) -> Interval:
        return intervals.clustered_error_rate_interval(faded_errors(rng, clusters, bits), bits)

    def independent(rng: np.random.Generator) -> Interval:
        return intervals.clopper_pearson(int(faded_errors(rng, clusters, bits).sum()), clusters * bits)

    assert covers_at(0.95, count_hits(runs, 11, 1 / 12, clustered), runs)
    assert not covers_at_least(0.95, count_hits(runs, 11, 1 / 12, independent), runs)


@pytest.mark.statistical(false_alarm=1e-9)
def test_clustered_coverage_of_rare_errors() -> None:
    """Few errors, nearly independent bits: at least nominal, as for Clopper-Pearson."""
    runs, clusters, bits, rate = 2000, 100, 50, 1e-3

    def clustered(rng: np.random.Generator) -> Interval:
        return intervals.clustered_error_rate_interval(rng.binomial(bits, rate, clusters), bits)

    hits = count_hits(runs, 12, rate, clustered)
    assert covers_at_least(0.95, hits, runs)
    assert not covers_at_least(0.95, count_hits(runs, 12, 2 * rate, clustered), runs)


@pytest.mark.statistical(false_alarm=1e-9)
def test_clustered_coverage_of_deep_fades() -> None:
    """Rayleigh fading at 30 dB, 200 channels of 1,000 bits: about two fades carry all errors."""
    runs, snr = 2000, 1e3

    def fades(rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.binomial(1000, stats.norm.sf(np.sqrt(snr * rng.exponential(size=200))))

    truth = 0.5 * (1 - np.sqrt(snr / (2 + snr)))

    def clustered(rng: np.random.Generator) -> Interval:
        return intervals.clustered_error_rate_interval(fades(rng), 1000)

    # measured coverage 0.92
    assert covers_at_least(0.9, count_hits(runs, 13, truth, clustered), runs)
    assert not covers_at_least(0.9, count_hits(runs, 13, 5 * truth, lambda rng: clustered(rng).scaled(0.2)), runs)


def test_clustered_limits() -> None:
    """Clusters of one trial give Clopper-Pearson; whole clusters in error count as one event each."""
    single = np.zeros(4000, dtype=int)
    single[:40] = 1
    plain, clustered = intervals.clopper_pearson(40, 4000), intervals.clustered_error_rate_interval(single, 1)
    np.testing.assert_allclose((clustered.low, clustered.high), (plain.low, plain.high), rtol=2e-3)
    blocks = intervals.clustered_error_rate_interval(single * 25, 25)
    np.testing.assert_allclose((blocks.low, blocks.high), (plain.low, plain.high), rtol=2e-3)
    none = intervals.clustered_error_rate_interval(np.zeros(200, dtype=int), 64)
    assert none.one_sided
    assert none.high == pytest.approx(1 - 0.05 ** (1 / 200), rel=1e-12)
    assert intervals.clustered_error_rate_interval(np.zeros(2, dtype=int), [1, 99]).high == 1.0
    assert intervals.clustered_error_rate_interval([64, 64, 64], 64).high == 1.0


def test_interval_prints_and_scales() -> None:
    assert str(Interval(0.95, 1.05, 0.95, "bootstrap-t")) == "[0.9500, 1.050] (95 %, bootstrap-t)"
    assert str(Interval(4.7964e-4, 12345.6, 0.99, "x")) == "[4.796e-4, 1.235e4] (99 %, x)"
    assert Interval(1.0, 2.0, 0.9, "x").scaled(3) == Interval(3.0, 6.0, 0.9, "x")
    assert 1.5 in Interval(1.0, 2.0, 0.9, "x")
    assert 2.5 not in Interval(1.0, 2.0, 0.9, "x")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: intervals.clopper_pearson(5, 4), "errors = 5, must be a whole number in 0..4"),
        (lambda: intervals.clopper_pearson(0, 0), "trials = 0"),
        (lambda: intervals.clopper_pearson(1, 4, 95), "level = 95"),
        (lambda: intervals.zero_error_bound(10, 1.0), "level = 1.0"),
        (lambda: intervals.clustered_error_rate_interval([1], 4), "at least|m >= 2"),
        (lambda: intervals.clustered_error_rate_interval([5, 0], 4), "errors <= sizes"),
        (lambda: intervals.clustered_error_rate_interval([0.5, 0], 4), "whole numbers"),
        (lambda: intervals.chi_square_rmse_interval(1.0, 0), "degrees_of_freedom = 0"),
        (lambda: intervals.chi_square_rmse_interval(float("nan"), 5), "rmse = nan"),
        (
            lambda: intervals.bootstrap_rmse_interval([1.0, np.nan], rng=np.random.default_rng(0)),
            r"squared_errors\[1\] = nan",
        ),
        (lambda: intervals.bootstrap_rmse_interval([1.0], rng=np.random.default_rng(0)), "at least 2"),
        (
            lambda: intervals.bootstrap_rmse_interval([1.0, 2.0], bounds=[1.0], rng=np.random.default_rng(0)),
            "bounds has shape",
        ),
        (
            lambda: intervals.bootstrap_rmse_interval([1.0, 2.0], bounds=[1.0, 0.0], rng=np.random.default_rng(0)),
            "bounds must be positive",
        ),
        (lambda: Interval(2.0, 1.0, 0.95, "x"), "low must not exceed high"),
    ],
)
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
