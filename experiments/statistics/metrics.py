"""From position estimates to error figures: assignment of estimates to targets, RMSE, bias and its parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

RealArray = NDArray[np.float64]


@dataclass(frozen=True)
class ErrorSummary:
    """Position errors over the trials that gave an estimate; outliers are in every figure.

    Attributes
    ----------
    rmse : sqrt(mean over trials of sum_k |q_hat_k - q_k|^2) [m].
    rmse_axis : (2,) the same for x and y alone, summed over targets; rmse^2 is the sum of their squares [m].
    rmse_target : (K,) the same for each target; rmse^2 is the sum of their squares [m].
    bias : (K, 2) mean error [m].
    deviation : (K, 2) root of the error variance about the bias; rmse^2 = sum of bias^2 + deviation^2 [m].
    trials : trials with an estimate.
    failed : trials without one.
    """

    rmse: float
    rmse_axis: RealArray
    rmse_target: RealArray
    bias: RealArray
    deviation: RealArray
    trials: int
    failed: int


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


def summarize_errors(errors: ArrayLike, failed: int = 0) -> ErrorSummary:
    """Figures of the errors of many trials.

    Parameters
    ----------
    errors : (n, K, 2) errors of the trials that gave an estimate, converged or not [m].
    failed : trials that gave none; they enter no figure and must be shown.

    Raises
    ------
    ValueError : no trial, a wrong shape, or errors that are not finite.
    """
    errors = np.asarray(errors, dtype=float)
    if errors.ndim != 3 or errors.shape[-1] != 2 or errors.shape[0] < 1:
        raise ValueError(f"errors: has shape {errors.shape}, must have shape (n, K, 2) with n >= 1 trials")
    if not np.all(np.isfinite(errors)):
        raise ValueError("errors: every entry must be finite; a trial without an estimate belongs in failed")
    if failed < 0:
        raise ValueError(f"failed = {failed}, must be at least 0")
    mean_square = np.mean(errors**2, axis=0)
    bias = np.mean(errors, axis=0)
    return ErrorSummary(
        rmse=float(np.sqrt(mean_square.sum())),
        rmse_axis=np.sqrt(mean_square.sum(axis=0)),
        rmse_target=np.sqrt(mean_square.sum(axis=1)),
        bias=bias,
        deviation=np.sqrt(np.mean((errors - bias) ** 2, axis=0)),
        trials=errors.shape[0],
        failed=failed,
    )


def rcrb_axis(bound: ArrayLike) -> RealArray:
    """Root bounds of x and of y (..., 2), summed over targets, of a CRB (..., 2K, 2K) ordered x_1..x_K, y_1..y_K [m].

    They are roots of diagonal entries, not of eigenvalues; sqrt(tr C) is the root of the sum of their squares.
    """
    bound = np.asarray(bound, dtype=float)
    if bound.ndim < 2 or bound.shape[-1] != bound.shape[-2] or bound.shape[-1] % 2 or bound.shape[-1] == 0:
        raise ValueError(f"bound: has shape {bound.shape}, must have shape (..., 2K, 2K)")
    variances = np.diagonal(bound, axis1=-2, axis2=-1)
    roots: RealArray = np.sqrt(variances.reshape(*variances.shape[:-1], 2, -1).sum(axis=-1))
    return roots


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
