"""Paired comparisons of methods that saw the same trials: ratios of RMSEs with intervals, row by row of a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.statistics.intervals import Interval, bootstrap_rmse_interval
from disac.experiments.statistics.means import root_ratio
from disac.experiments.trials.keys import Purpose, TrialKey, point_key

RealArray = NDArray[np.float64]
Row = dict[str, Any]

BOOTSTRAP_PAIRS = 50
"""Paired trials from which the interval is the bootstrap over trials; below it is the delta method with t."""

COMPARED_IN_TABLES = ("estimator", "design", "sinr_db")
"""Fields by which rows of one run are compared, the one that is tried first in front."""


def paired_rmse_ratio(
    squared: RealArray, reference: RealArray, rng: np.random.Generator, level: float = 0.95
) -> tuple[float, Interval]:
    """Ratio of two RMSEs over the same trials, sqrt(sum of squared / sum of reference), with its interval.

    The interval is the bootstrap of :func:`bootstrap_rmse_interval`, which draws trials with both their errors; below
    :data:`BOOTSTRAP_PAIRS` trials the delta method on the logarithm with Student's t. What the trials share cancels in
    both.

    Parameters
    ----------
    squared, reference : (n,) array of float
        Squared errors of two methods in the same trials [m^2], n >= 2.
    rng : numpy.random.Generator
        Source of the resampling only.
    level : float
        Confidence level.

    Examples
    --------
    >>> import numpy as np
    >>> errors = np.random.default_rng(0).exponential(size=100)
    >>> ratio, interval = paired_rmse_ratio(4 * errors, errors, np.random.default_rng(1))
    >>> ratio, round(interval.low, 9), round(interval.high, 9)
    (2.0, 2.0, 2.0)
    """
    if squared.size < BOOTSTRAP_PAIRS or not (reference > 0).all():
        return root_ratio(squared, reference, level)
    ratio = float(np.sqrt(squared.sum() / reference.sum()))
    return ratio, bootstrap_rmse_interval(squared, bounds=reference, rng=rng, level=level)


def pair_rows(rows: Sequence[Row], errors: Sequence[Mapping[int, float]], fields: Sequence[str], seed: int) -> None:
    """Add to each row that can be compared its RMSE over that of another row, over the trials that both have.

    The other row differs in one field alone, and has there the value that comes first in the run: the first estimator
    for the same design, else the first design at the same threshold, else the first threshold. Columns: ``paired_with``
    ("estimator ml"), ``paired_trials``, ``paired_ratio``, ``paired_ratio_low``, ``paired_ratio_high``.

    Parameters
    ----------
    rows : sequence of dict
        Rows of a summary; changed in place.
    errors : sequence of mapping of int to float
        Squared error [m^2] by trial number for each row, empty for a row without results.
    fields : sequence of str
        Names of the swept fields.
    seed : int
        The campaign's seed, which keys the bootstrap.
    """
    places = {tuple(row.get(name) for name in fields): place for place, row in enumerate(rows) if errors[place]}
    first = {name: next((row[name] for row in rows if name in row), None) for name in COMPARED_IN_TABLES}
    for row, own in zip(rows, errors, strict=True):
        for name in COMPARED_IN_TABLES:
            if not own or name not in fields or row.get(name) in (None, first[name]):
                continue
            other = places.get(tuple(first[name] if field == name else row.get(field) for field in fields))
            reference = errors[other] if other is not None else {}
            shared = sorted(own.keys() & reference.keys())
            if len(shared) < 2:
                continue
            point = {field: row[field] for field in fields if row.get(field) is not None}
            rng = TrialKey(seed, point_key(point), 1).generator(Purpose.BOOTSTRAP)
            ratio, interval = paired_rmse_ratio(
                np.array([own[trial] for trial in shared]), np.array([reference[trial] for trial in shared]), rng
            )
            row |= {
                "paired_with": f"{name} {first[name]:g}" if isinstance(first[name], float) else f"{name} {first[name]}",
                "paired_trials": len(shared),
                "paired_ratio": ratio,
                "paired_ratio_low": interval.low,
                "paired_ratio_high": interval.high,
            }
            break
