"""Confidence intervals of error rates and of root mean squared errors."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import betainccinv, betaincinv, chdtri, ndtr, ndtri, stdtrit

RealArray = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A confidence interval, or an upper bound where nothing was observed.

    Attributes
    ----------
    low, high : the ends, in the unit of the quantity.
    level : confidence level, 0.95 for 95 %.
    method : how the ends were found.
    one_sided : True if ``high`` alone carries the whole level: an upper bound, drawn as such and not as an error bar.

    Examples
    --------
    >>> print(error_rate_interval(0, 1000))
    < 3.0e-3 (95 %, 0 errors)
    >>> print(error_rate_interval(10, 10_000))
    [4.796e-4, 1.838e-3] (95 %, Clopper-Pearson)
    """

    low: float
    high: float
    level: float
    method: str
    one_sided: bool = False

    def __post_init__(self) -> None:
        _check_level(self.level)
        if not self.low <= self.high:
            raise ValueError(f"low = {self.low}, high = {self.high}: low must not exceed high")

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        percent = f"{100 * self.level:g} %"
        if self.one_sided:
            return f"< {_significant(self.high, 2, ROUND_CEILING)} ({percent}, {self.method})"
        return f"[{_significant(self.low, 4)}, {_significant(self.high, 4)}] ({percent}, {self.method})"

    def scaled(self, factor: float) -> Interval:
        """The interval of ``factor`` times the quantity, ``factor`` >= 0."""
        return Interval(factor * self.low, factor * self.high, self.level, self.method, self.one_sided)


def clopper_pearson(errors: int, trials: int, level: float = 0.95) -> Interval:
    """Exact two-sided interval of a proportion from ``errors`` in ``trials`` independent trials.

    It covers at least at the nominal rate for every true proportion; at few errors it covers more. The ends are beta
    quantiles, accurate in relative terms also at rates below 1e-9.

    Raises
    ------
    ValueError : unless trials >= 1, 0 <= errors <= trials and 0 < level < 1.
    """
    _check_level(level)
    _check_counts(errors, trials)
    low, high = _beta_ends(errors, trials, (1 - level) / 2)
    return Interval(low, high, level, "Clopper-Pearson")


def wilson(errors: int, trials: int, level: float = 0.95) -> Interval:
    """Score interval of a proportion: nominal coverage on average over the true proportion, not for each.

    Raises
    ------
    ValueError : unless trials >= 1, 0 <= errors <= trials and 0 < level < 1.
    """
    _check_level(level)
    _check_counts(errors, trials)
    squared = float(ndtri((1 + level) / 2)) ** 2
    centre = errors + squared / 2
    half_width = np.sqrt(squared * (errors * (trials - errors) / trials + squared / 4))
    low = 0.0 if errors == 0 else float((centre - half_width) / (trials + squared))
    high = 1.0 if errors == trials else float((centre + half_width) / (trials + squared))
    return Interval(low, high, level, "Wilson")


def error_rate_interval(errors: int, trials: int, level: float = 0.95) -> Interval:
    """Interval of an error rate over independent trials: Clopper-Pearson, and at zero errors the one-sided upper bound.

    Raises
    ------
    ValueError : unless trials >= 1, 0 <= errors <= trials and 0 < level < 1.
    """
    return zero_error_bound(trials, level) if errors == 0 else clopper_pearson(errors, trials, level)


def zero_error_bound(trials: int, level: float = 0.95) -> Interval:
    """Exact one-sided upper bound 1 - (1 - level)^(1/trials) of a proportion after ``trials`` without an error.

    Raises
    ------
    ValueError : unless trials >= 1 and 0 < level < 1.
    """
    _check_level(level)
    _check_counts(0, trials)
    return Interval(0.0, float(-np.expm1(np.log1p(-level) / trials)), level, "0 errors", one_sided=True)


def clustered_error_rate_interval(errors: ArrayLike, sizes: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of an error rate whose trials are independent only between clusters.

    A cluster holds what shares a draw: bits of one symbol, users of one resource element, trials of one channel.
    The rate is the ratio of sums p = sum(errors) / sum(sizes); its variance is the one between clusters,
    m / (m - 1) sum_c (e_c - p n_c)^2 / (sum_c n_c)^2 with m clusters. The ends are those of Clopper-Pearson for the
    number of independent trials that would have this variance, at most sum(sizes), reduced by the squared ratio of the
    t quantiles of sum(sizes) - 1 and m - 1 degrees of freedom (Korn and Graubard 1998).

    With no error at all the correlation inside a cluster is invisible. The upper bound then counts clusters, not
    trials: p <= P(a cluster has an error) max(sizes) / mean(sizes), whatever the correlation. Pass as clusters the
    smallest groups that are independent.

    Parameters
    ----------
    errors : (m,) errors per cluster.
    sizes : (m,) or scalar, trials per cluster.
    level : confidence level.

    Raises
    ------
    ValueError : fewer than two clusters, non-integer counts, errors outside 0..sizes, level outside (0, 1).
    """
    _check_level(level)
    counts, totals = np.broadcast_arrays(np.asarray(errors, dtype=float), np.asarray(sizes, dtype=float))
    if counts.ndim != 1 or counts.size < 2:
        raise ValueError(f"errors has shape {counts.shape}, must be (m,) with m >= 2 clusters")
    if not (np.all(counts == np.rint(counts)) and np.all(totals == np.rint(totals))):
        raise ValueError("errors and sizes must be whole numbers")
    if np.any(totals < 1) or np.any(counts < 0) or np.any(counts > totals):
        raise ValueError("each cluster needs sizes >= 1 and 0 <= errors <= sizes")

    n_clusters, n_trials, n_errors = counts.size, totals.sum(), counts.sum()
    spread_of_sizes = float(totals.max() / totals.mean())
    if n_errors == 0:
        return Interval(
            0.0, min(1.0, spread_of_sizes * zero_error_bound(n_clusters, level).high), level, "0 errors", True
        )
    if n_errors == n_trials:
        low = 1.0 - min(1.0, spread_of_sizes * zero_error_bound(n_clusters, level).high)
        return Interval(low, 1.0, level, "clustered Clopper-Pearson")

    rate = n_errors / n_trials
    variance = n_clusters / (n_clusters - 1) * float(np.sum((counts - rate * totals) ** 2)) / n_trials**2
    effective = min(n_trials, rate * (1 - rate) / variance) if variance > 0 else n_trials
    tail = (1 - level) / 2
    effective *= float((stdtrit(n_trials - 1, tail) / stdtrit(n_clusters - 1, tail)) ** 2)
    low, high = _beta_ends(rate * effective, effective, tail)
    return Interval(low, high, level, "clustered Clopper-Pearson")


def binomial_acceptance(trials: int, probability: float, false_alarm: float) -> tuple[int, int]:
    """Counts (lowest, highest) that a test of "``probability`` is right" accepts, false alarm at most ``false_alarm``.

    Each tail holds at most half of ``false_alarm``, by exact binomial quantiles.

    Raises
    ------
    ValueError : unless trials >= 1 and probability and false_alarm are in (0, 1).
    """
    _check_counts(0, trials)
    for name, value in (("probability", probability), ("false_alarm", false_alarm)):
        if not 0 < value < 1:
            raise ValueError(f"{name} = {value}, must be in (0, 1)")
    from scipy.stats import binom

    lowest, highest = binom.ppf(false_alarm / 2, trials, probability), binom.isf(false_alarm / 2, trials, probability)
    return int(lowest), int(highest)


def family_wise_level(level: float, n_intervals: int) -> float:
    """Level of each of ``n_intervals`` so that all hold at once at ``level`` (Bonferroni, any dependence)."""
    _check_level(level)
    if n_intervals < 1:
        raise ValueError(f"n_intervals = {n_intervals}, must be at least 1")
    return 1 - (1 - level) / n_intervals


def chi_square_rmse_interval(rmse: float, degrees_of_freedom: float, level: float = 0.95) -> Interval:
    """Interval rmse * [sqrt(nu / chi2_upper), sqrt(nu / chi2_lower)] of the true RMSE of zero-mean Gaussian errors.

    Parameters
    ----------
    rmse : root of the mean of the squared errors, or its ratio to a known bound.
    degrees_of_freedom : nu, the number of *independent squared errors of equal variance*. The axes of one position
        error have unequal variances and are correlated in general, so 2 K per trial is too many and the interval too
        short: take :func:`effective_degrees_of_freedom`. Outliers break the Gaussian law: prefer
        :func:`bootstrap_rmse_interval`.
    level : confidence level.

    Raises
    ------
    ValueError : unless rmse >= 0, degrees_of_freedom > 0 and 0 < level < 1.
    """
    if not rmse >= 0:
        raise ValueError(f"rmse = {rmse}, must be at least 0")
    low, high = _chi_square_factors(degrees_of_freedom, level)
    return Interval(rmse * low, rmse * high, level, "chi-square")


def effective_degrees_of_freedom(covariance: ArrayLike, n_trials: int) -> float:
    """Degrees of freedom n (tr C)^2 / tr C^2 of the sum of squared errors of n Gaussian vectors (Satterthwaite).

    The chi-square law with that number has the mean and the variance of the sum. It is d n for d independent axes of
    equal variance, and n when one direction dominates.

    Parameters
    ----------
    covariance : (d, d) covariance C of one trial's error vector (a CRB will do).
    n_trials : number of independent trials.
    """
    matrix = np.asarray(covariance, dtype=float)
    if (
        matrix.ndim != 2
        or matrix.shape[0] != matrix.shape[1]
        or not np.all(np.isfinite(matrix))
        or np.trace(matrix) <= 0
    ):
        raise ValueError(f"covariance of shape {matrix.shape} must be a finite (d, d) matrix of positive trace")
    return float(n_trials * np.trace(matrix) ** 2 / np.sum(matrix * matrix.T))


def squared_errors_needed(upper_end: float, level: float = 0.95) -> float:
    """Degrees of freedom at which the upper end of :func:`chi_square_rmse_interval` is ``upper_end`` times the RMSE.

    Parameters
    ----------
    upper_end : e.g. 1.05 for "+5 %", above 1.
    level : confidence level.
    """
    if not 1.0005 <= upper_end <= 10:
        raise ValueError(f"upper_end = {upper_end}, must be in 1.0005..10")
    _check_level(level)
    root = brentq(lambda nu: _chi_square_factors(nu, level)[1] - upper_end, 0.5, 1e9, xtol=1e-6, rtol=1e-12)
    return float(root)


def bootstrap_rmse_interval(
    squared_errors: ArrayLike,
    *,
    rng: np.random.Generator,
    bounds: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> Interval:
    """BCa bootstrap interval of sqrt(mean squared error), or of its ratio to a bound, resampled by trial or by cluster.

    Parameters
    ----------
    squared_errors : (n,) squared error of each trial, summed over whatever shares the trial [m^2]; outliers stay in.
    rng : source of the resampling only.
    bounds : (n,) tr CRB of the same trials [m^2]; the quantity is then sqrt(sum squared_errors / sum bounds).
    clusters : (n,) labels of trials that share a draw (channel, design); whole clusters are resampled.
    level : confidence level.
    n_resamples : bootstrap resamples.

    Notes
    -----
    BCa (Efron 1987) corrects bias and skewness to second order: its coverage error falls as 1/n, unless a few
    outliers carry the sum. An outlier that the sample does not hold is invisible to every interval.

    Raises
    ------
    ValueError : fewer than two trials or clusters, negative or non-finite values, level outside (0, 1).
    """
    _check_level(level)
    if n_resamples < 100:
        raise ValueError(f"n_resamples = {n_resamples}, must be at least 100")
    numerator = _non_negative(squared_errors, "squared_errors")
    denominator = np.ones_like(numerator) if bounds is None else _non_negative(bounds, "bounds")
    if denominator.shape != numerator.shape:
        raise ValueError(f"bounds has shape {denominator.shape}, must match squared_errors {numerator.shape}")
    if np.any(denominator == 0):
        raise ValueError("bounds must be positive")
    if clusters is not None:
        labels = np.asarray(clusters)
        if labels.shape != numerator.shape:
            raise ValueError(f"clusters has shape {labels.shape}, must match squared_errors {numerator.shape}")
        index = np.unique(labels, return_inverse=True)[1]
        numerator = np.bincount(index, numerator).astype(float)
        denominator = np.bincount(index, denominator).astype(float)
    if numerator.size < 2:
        raise ValueError(f"{numerator.size} independent trials or clusters, at least 2 are needed")
    method = "BCa bootstrap" if clusters is None else "BCa cluster bootstrap"
    low, high = _bca_root_ratio(numerator, denominator, level, rng, n_resamples)
    return Interval(low, high, level, method)


def _bca_root_ratio(
    numerator: RealArray, denominator: RealArray, level: float, rng: np.random.Generator, n_resamples: int
) -> tuple[float, float]:
    """BCa ends of sqrt(sum numerator / sum denominator) over resamples of the rows."""
    total_n, total_d = numerator.sum(), denominator.sum()
    estimate = np.sqrt(total_n / total_d)

    left_out = np.sqrt(np.maximum(total_n - numerator, 0) / (total_d - denominator))
    influence = left_out.mean() - left_out
    scale = np.sum(influence**2) ** 1.5
    if scale == 0:
        return float(estimate), float(estimate)
    acceleration = np.sum(influence**3) / (6 * scale)

    resampled = np.sqrt(_resampled_ratios(numerator, denominator, rng, n_resamples))
    below = (np.count_nonzero(resampled < estimate) + np.count_nonzero(resampled <= estimate)) / (2 * n_resamples)
    bias = ndtri(np.clip(below, 0.5 / n_resamples, 1 - 0.5 / n_resamples))
    shifted = bias + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    probabilities = ndtr(bias + shifted / np.maximum(1 - acceleration * shifted, 1e-3))
    low, high = np.quantile(resampled, probabilities)
    return float(low), float(high)


def _resampled_ratios(
    numerator: RealArray, denominator: RealArray, rng: np.random.Generator, n_resamples: int
) -> RealArray:
    """sum numerator / sum denominator of each resample, drawn in blocks that stay in cache."""
    n = numerator.size
    constant = bool(np.all(denominator == denominator[0]))
    values = numerator / (n * denominator[0]) if constant else numerator + 1j * denominator
    ratios = np.empty(n_resamples)
    block = max(1, min(n_resamples, 2**17 // n))
    for start in range(0, n_resamples, block):
        stop = min(start + block, n_resamples)
        rows = rng.integers(0, n, size=(stop - start, n), dtype=np.uint32)
        sums = values.take(rows).sum(axis=1)
        ratios[start:stop] = sums if constant else sums.real / sums.imag
    return ratios


def _beta_ends(hits: float, trials: float, tail: float) -> tuple[float, float]:
    """Clopper-Pearson ends as beta quantiles; the counts may be fractional."""
    low = 0.0 if hits == 0 else float(betaincinv(hits, trials - hits + 1, tail))
    high = 1.0 if hits == trials else float(betainccinv(hits + 1, trials - hits, tail))
    return low, high


def _chi_square_factors(degrees_of_freedom: float, level: float) -> tuple[float, float]:
    _check_level(level)
    if not degrees_of_freedom > 0:
        raise ValueError(f"degrees_of_freedom = {degrees_of_freedom}, must be positive")
    tail = (1 - level) / 2
    upper, lower = chdtri(degrees_of_freedom, [tail, 1 - tail])
    return float(np.sqrt(degrees_of_freedom / upper)), float(np.sqrt(degrees_of_freedom / lower))


def _significant(value: float, digits: int, rounding: str = ROUND_HALF_EVEN) -> str:
    """``value`` to that many significant digits, scientific outside 0.01..9999."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    rounded = float(Context(prec=digits, rounding=rounding).create_decimal(Decimal(value)))
    if 0.01 <= abs(rounded) < 1e4:
        return f"{rounded:.{digits}g}" if abs(rounded) < 10**digits else f"{rounded:.0f}"
    mantissa, exponent = f"{rounded:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _non_negative(values: ArrayLike, name: str) -> RealArray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}, must be (n,)")
    bad = ~(np.isfinite(array) & (array >= 0))
    if np.any(bad):
        first = int(np.argmax(bad))
        raise ValueError(
            f"{name}[{first}] = {array[first]}, every entry must be finite and at least 0 (count failed trials apart)"
        )
    return array


def _check_counts(errors: int, trials: int) -> None:
    if trials < 1 or trials != int(trials):
        raise ValueError(f"trials = {trials}, must be a whole number of at least 1")
    if not 0 <= errors <= trials or errors != int(errors):
        raise ValueError(f"errors = {errors}, must be a whole number in 0..{trials}")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level = {level}, must be in (0, 1)")
