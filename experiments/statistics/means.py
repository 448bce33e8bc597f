"""Means and ratios of values that belong to draws, paired by draw, with intervals by Student's t."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from disac.experiments.statistics.intervals import Interval
from disac.experiments.statistics.rounding import number_text, text_with_interval
from disac.experiments.statistics.verdicts import Verdict

RealArray = NDArray[np.floating[Any]]


def student_half_width(values: RealArray, level: float = 0.95) -> float:
    """Half the width of Student's interval of the mean of (n,) independent values, n >= 2.

    Examples
    --------
    >>> import numpy as np
    >>> round(student_half_width(np.array([1.0, 2.0, 3.0])), 3)
    2.484
    """
    return float(stdtrit(values.size - 1, (1 + level) / 2) * np.std(values, ddof=1) / np.sqrt(values.size))


@dataclass(frozen=True)
class Mean:
    """Mean of a quantity over draws, with its interval by Student's t; open with one draw."""

    value: float
    low: float
    high: float
    draws: int

    @classmethod
    def of(cls, values: RealArray, level: float = 0.95) -> Mean:
        """From each draw's value; those that are not finite are left out."""
        values = values[np.isfinite(values)]
        if values.size == 0:
            return cls(math.nan, -math.inf, math.inf, 0)
        mean = float(values.mean())
        if values.size == 1:
            return cls(mean, -math.inf, math.inf, 1)
        half = student_half_width(values, level)
        return cls(mean, mean - half, mean + half, int(values.size))

    def __str__(self) -> str:
        return _text(self.value, self.low, self.high)

    @property
    def sign(self) -> Verdict:
        """Whether it is positive."""
        return "confirmed" if self.low > 0 else "refuted" if self.high < 0 else "undecided"


@dataclass(frozen=True)
class Ratio:
    """Geometric mean of a positive quantity over draws, with its interval by Student's t on the logarithms."""

    value: float
    low: float
    high: float
    draws: int

    @classmethod
    def of_logs(cls, logs: RealArray, level: float = 0.95) -> Ratio:
        """From the logarithm of each draw's value; one draw or none leaves the interval open."""
        mean = Mean.of(logs, level)
        low, value, high = np.exp([mean.low, mean.value, mean.high])
        return cls(float(value), float(low), float(high), mean.draws)

    def __str__(self) -> str:
        return _text(self.value, self.low, self.high)

    def above(self, level: float) -> Verdict:
        """Whether it is larger than ``level``."""
        return "confirmed" if self.low > level else "refuted" if self.high < level else "undecided"

    def below(self, level: float) -> Verdict:
        """Whether it is smaller than ``level``."""
        return "confirmed" if self.high < level else "refuted" if self.low > level else "undecided"


def _text(value: float, low: float, high: float) -> str:
    return text_with_interval(value, low, high) if math.isfinite(high) else f"{number_text(value)} (one draw)"


def root_ratio(
    numerator: RealArray, denominator: RealArray | None = None, level: float = 0.95
) -> tuple[float, Interval]:
    """Root of mean(numerator) / mean(denominator) over paired draws, with its interval.

    Delta method on the logarithm with Student's t, so that few draws give wide intervals and both ends are positive.

    Parameters
    ----------
    numerator, denominator : (n,) positive values of the same draws; no denominator means 1.

    Examples
    --------
    >>> import numpy as np
    >>> root_ratio(np.array([4.0, 4.0, 4.0]), np.array([1.0, 1.0, 1.0]))[0]
    2.0
    """
    below = np.ones_like(numerator) if denominator is None else denominator
    if numerator.size == 0:
        return float("nan"), Interval(0.0, np.inf, level, "no draw")
    square = float(numerator.mean() / below.mean())
    root = float(np.sqrt(square))
    if numerator.size == 1:
        return root, Interval(0.0, np.inf, level, "one draw")
    influence = (numerator - square * below) / numerator.mean()
    error = float(np.std(influence, ddof=1) / np.sqrt(numerator.size))
    half = float(stdtrit(numerator.size - 1, (1 + level) / 2)) * error / 2
    return root, Interval(root * np.exp(-half), root * np.exp(half), level, "delta method, t")


def mean_over_points(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(points, draws) to the mean over points of each draw that has any."""
    known = np.isfinite(logs)
    counts = known.sum(axis=0)
    sums = np.where(known, logs, 0.0).sum(axis=0)
    means: NDArray[np.float64] = sums[counts > 0] / counts[counts > 0]
    return means
