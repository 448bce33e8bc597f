"""Confidence intervals of error rates and of root mean squared errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainccinv, betaincinv, chdtri, stdtrit

from disac.experiments.statistics.rounding import interval_text, upper_bound_text

RealArray = NDArray[np.float64]


FEW = 20
"""Trials or clusters below which an RMSE's interval is Student's on the logarithm: so few repeat in the resamples."""

OPEN = np.log(1e3)
"""Logarithm of upper end over estimate from which the upper end of an RMSE's interval is left open (infinite)."""

BURST = 2.0
"""Ratio of variances, between clusters over independent trials, from which errors count as coming in bursts."""


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
    >>> print(zero_error_bound(1000))
    < 3.0e-3 (95 %, 0 errors)
    >>> print(clopper_pearson(10, 10_000))
    [4.796e-4, 1.839e-3] (95 %, Clopper-Pearson)
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
            return f"{upper_bound_text(self.high)} ({percent}, {self.method})"
        return f"{interval_text(self.low, self.high)} ({percent}, {self.method})"

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


def zero_error_bound(trials: int, level: float = 0.95) -> Interval:
    """Exact one-sided upper bound 1 - (1 - level)^(1/trials) of a proportion after ``trials`` without an error.

    Raises
    ------
    ValueError : unless trials >= 1 and 0 < level < 1.
    """
    _check_level(level)
    _check_counts(0, trials)
    return Interval(0.0, float(-np.expm1(np.log1p(-level) / trials)), level, "0 errors", one_sided=True)


def share_upper_bound(hits: int, trials: int, level: float = 0.95) -> float:
    """Exact one-sided upper bound of a proportion from ``hits`` in ``trials`` independent trials.

    Examples
    --------
    >>> round(share_upper_bound(0, 200), 4)
    0.0149
    """
    _check_level(level)
    _check_counts(hits, trials)
    return _beta_ends(hits, trials, 1 - level)[1]


def clustered_error_rate_interval(errors: ArrayLike, sizes: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of an error rate whose trials are independent only between clusters.

    A cluster holds what shares a draw: bits of one symbol, users of one resource element, trials of one channel.
    The rate is the ratio of sums p = sum(errors) / sum(sizes); its variance is the one between clusters,
    m / (m - 1) sum_c (e_c - p n_c)^2 / (sum_c n_c)^2 with m clusters. The ends are those of Clopper-Pearson for the
    number of independent trials that would have this variance, at most sum(sizes), reduced by the squared ratio of the
    t quantiles of sum(sizes) - 1 and m - 1 degrees of freedom (Korn and Graubard 1998).

    Where errors come in bursts (a variance of more than twice that of independent trials), the clusters that carry them
    are few, and one worse than all that were seen is likely. The upper end is then at least p exp(t s / p) with s the
    root of that variance and t of (sum e)^2 / sum e^2 degrees of freedom, the number of clusters that carry the errors,
    but at most the upper end for the share of clusters with an error times max(sizes) / mean(sizes).

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
    if variance > BURST * rate * (1 - rate) / n_trials:
        carriers = float(n_errors**2 / np.sum(counts**2))
        worst = spread_of_sizes * _beta_ends(int(np.count_nonzero(counts)), n_clusters, tail)[1]
        with np.errstate(over="ignore"):
            unseen = rate * np.exp(-stdtrit(carriers, tail) * np.sqrt(variance) / rate) if carriers > 1 else np.inf
        high = max(high, float(min(unseen, worst, 1.0)))
    return Interval(low, high, level, "clustered Clopper-Pearson")


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


def bootstrap_rmse_interval(
    squared_errors: ArrayLike,
    *,
    rng: np.random.Generator,
    bounds: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> Interval:
    """Bootstrap-t interval of sqrt(mean squared error) or of its ratio to a bound, resampled by trial or by cluster.

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
    Each resample's logarithm is divided by its own standard error (Hall 1992). Where a few outliers carry the sum, a
    resample without them has a small error, so that the upper end makes room for outliers that the sample lacks; BCa
    ends do not, and cover far too seldom. No interval sees outliers of which the sample holds none: it then holds for
    the RMSE of the trials without them, whose share is at most ``zero_error_bound(n)``. ``docs/statistics.md`` has the
    coverage that was measured. The upper end is infinite where resamples leave it open (one or
    two trials carry the sum). Fewer than 20 trials take Student's quantiles on the logarithm.

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
    method = "bootstrap-t" if clusters is None else "cluster bootstrap-t"
    low, high = _bootstrap_t_root_ratio(numerator, denominator, level, rng, n_resamples)
    return Interval(low, high, level, method)


def _bootstrap_t_root_ratio(
    numerator: RealArray, denominator: RealArray, level: float, rng: np.random.Generator, n_resamples: int
) -> tuple[float, float]:
    """Bootstrap-t ends of sqrt(sum numerator / sum denominator), on the logarithm, over resamples of the rows.

    Fewer than FEW rows take Student's quantiles in place of the resampled ones.
    """
    n, total = numerator.size, float(numerator.sum())
    ratio = total / float(denominator.sum())
    estimate = float(np.sqrt(ratio))
    influence = numerator - ratio * denominator
    error = float(np.sqrt(np.sum(influence**2)) / total) if total > 0 else 0.0
    if not error > 1e-12:
        return estimate, estimate
    tail = (1 - level) / 2
    if n < FEW:
        lowest = float(stdtrit(n - 1, tail)) * (n / (n - 1)) ** 0.5
        highest = -lowest
    else:
        quantiles = _studentized(influence, denominator, ratio, rng, n_resamples)
        lowest, highest = np.quantile(quantiles, [tail, 1 - tail], method="closest_observation")
    grows = -float(lowest) * error / 2
    return estimate * float(np.exp(-highest * error / 2)), estimate * float(np.exp(grows)) if grows < OPEN else np.inf


def _studentized(
    influence: RealArray, denominator: RealArray, ratio: float, rng: np.random.Generator, n_resamples: int
) -> RealArray:
    """(n_resamples,) log of each resample's ratio over the sample's, divided by the resample's own standard error."""
    columns = [influence, influence**2]
    constant = bool(np.all(denominator == denominator[0]))
    if not constant:
        columns += [denominator, denominator**2, influence * denominator]
    first, squares, *others = _resampled_sums(columns, rng, n_resamples)
    d = denominator[0]
    below, below_squares, products = others if others else (influence.size * d, influence.size * d**2, d * first)
    change = first / below
    spread = np.sqrt(np.maximum(squares - 2 * change * products + change**2 * below_squares, 0.0))
    relative = np.maximum(1 + change / ratio, 0.0)
    relative[relative < 1e-12] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        studentized: RealArray = np.log(relative) * relative * ratio * below / spread
    studentized[np.isnan(studentized)] = 0.0
    studentized[relative == 0] = -np.inf
    return studentized


def _resampled_sums(columns: Sequence[RealArray], rng: np.random.Generator, n_resamples: int) -> RealArray:
    """(len(columns), n_resamples) sums of the columns over resampled rows, drawn in blocks that stay in cache."""
    n = columns[0].size
    sums = np.empty((len(columns), n_resamples))
    block = max(1, min(n_resamples, 2**17 // n))
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        rows = rng.integers(0, n, size=(size, n), dtype=np.uint32) + n * np.arange(size, dtype=np.uint32)[:, None]
        times_drawn = np.bincount(rows.ravel(), minlength=size * n).reshape(size, n).astype(float)
        for column, found in zip(columns, sums, strict=True):
            found[start : start + size] = np.einsum("ij,j->i", times_drawn, column)
    return sums


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
