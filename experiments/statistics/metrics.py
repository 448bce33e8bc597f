"""From position estimates to errors: assignment of estimates to targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

RealArray = NDArray[np.float64]


def assign(estimates: ArrayLike, targets: ArrayLike) -> RealArray:
    """Estimates reordered to the targets so that the sum of squared errors of each trial is smallest.

    The labels of estimates carry no meaning; without this step two swapped targets would count as a gross error. With
    targets closer than the errors the assignment takes the smaller sum, so the error is biased low there.

    Parameters
    ----------
    estimates : (..., K, 2) positions in any order [m].
    targets : (K, 2) or (..., K, 2) true positions [m].

    Returns
    -------
    (..., K, 2) estimates in the order of the targets.

    Raises
    ------
    ValueError : shapes that do not match, positions that are not finite.
    """
    estimates, targets = _positions(estimates, targets)
    n_targets = estimates.shape[-2]
    if n_targets == 1:
        return estimates
    if n_targets == 2:
        swapped = estimates[..., ::-1, :]
        kept_cost = np.sum((estimates - targets) ** 2, axis=(-2, -1))
        swapped_cost = np.sum((swapped - targets) ** 2, axis=(-2, -1))
        closer: RealArray = np.where((swapped_cost < kept_cost)[..., None, None], swapped, estimates)
        return closer

    targets = np.broadcast_to(targets, estimates.shape)
    costs = np.sum((targets[..., :, None, :] - estimates[..., None, :, :]) ** 2, axis=-1)
    ordered = np.empty_like(estimates)
    for trial in np.ndindex(estimates.shape[:-2]):
        ordered[trial] = estimates[trial][linear_sum_assignment(costs[trial])[1]]
    return ordered


def position_errors(estimates: ArrayLike, targets: ArrayLike) -> RealArray:
    """Errors q_hat - q (..., K, 2) after :func:`assign` [m]; parameters and errors as there."""
    errors: RealArray = assign(estimates, targets) - np.asarray(targets, dtype=float)
    return errors


def _positions(estimates: ArrayLike, targets: ArrayLike) -> tuple[RealArray, RealArray]:
    estimates, targets = np.asarray(estimates, dtype=float), np.asarray(targets, dtype=float)
    if estimates.ndim < 2 or estimates.shape[-1] != 2 or estimates.shape[-2] < 1:
        raise ValueError(f"estimates: has shape {estimates.shape}, must have shape (..., K, 2)")
    if targets.shape not in (estimates.shape, estimates.shape[-2:]):
        raise ValueError(
            f"targets: has shape {targets.shape}, must have shape {estimates.shape[-2:]} or {estimates.shape}"
        )
    if not (np.all(np.isfinite(estimates)) and np.all(np.isfinite(targets))):
        raise ValueError("estimates and targets must be finite; a trial without an estimate is a failed trial")
    return estimates, targets
