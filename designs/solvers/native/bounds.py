"""What an iterate proves: its objective from above and a repaired dual point from below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs

from disac.designs.solvers.native.saddle import Blocks, Iterate, Prices, SaddleProblem

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


LIFTS = (1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10)
"""Enlargements of the diagonal of a normalized information matrix that are tried in turn where rounding decides."""


@dataclass(frozen=True)
class Bracket:
    """A primal and a dual point with their objectives.

    Attributes
    ----------
    covariances : R.
    prices : dual feasible prices.
    value : tr(E^T F(R)^-1 E), with every violated constraint charged at its price.
    bound : dual objective of the prices.
    violation : largest violation of a power or SINR constraint or of an equality, relative to its terms.
    """

    covariances: Blocks
    prices: Prices
    value: float
    bound: float
    violation: float

    @property
    def gap(self) -> float:
        """(value - bound) / value."""
        return (self.value - self.bound) / self.value if np.isfinite(self.value) else float("inf")


def objective(problem: SaddleProblem, fisher: RealArray) -> tuple[float, RealArray]:
    """tr(E^T F^-1 E) and F^-1 E, 0 at parameters that are left out; an estimate where F is singular to rounding.

    Raises
    ------
    numpy.linalg.LinAlgError : F is not positive semidefinite, or no number.
    """
    diagonal = np.diagonal(fisher) + problem.field.absent
    scale = 1 / np.sqrt(np.maximum(diagonal, np.finfo(float).tiny))
    normalized = fisher * scale * scale[:, None]
    factor = None
    for lift in (0.0, *LIFTS):
        np.fill_diagonal(normalized, 1.0 + lift)
        factor, failed = dpotrf(normalized, lower=1)
        if not failed:
            break
    else:
        raise np.linalg.LinAlgError("the information is not positive semidefinite")
    weights = scale[:, None] * dpotrs(factor, scale[:, None] * problem.selection, lower=1)[0]
    return float(np.sum(problem.selection * weights)), weights


@dataclass(frozen=True)
class Evaluation:
    """The maps of a problem at an iterate.

    Attributes
    ----------
    point : the iterate.
    covariances, fisher, power, forms : R, F(R), antenna powers and values of the leaf constraints.
    combined : ``field.combine(Y)``.
    slacks : S as the prices determine it.
    """

    point: Iterate
    covariances: Blocks
    fisher: RealArray
    power: RealArray
    forms: RealArray
    combined: ComplexArray
    slacks: Blocks

    @classmethod
    def at(cls, problem: SaddleProblem, point: Iterate) -> Evaluation:
        """Evaluate a problem at an iterate."""
        covariances = point.covariances()
        combined = problem.field.combine(point.prices.weights)
        lifted = problem.lift(problem.field.curvature(combined), point.prices)
        return cls(
            point,
            covariances,
            problem.fisher(covariances),
            problem.power(covariances),
            problem.forms(covariances),
            combined,
            lifted.map(np.negative),
        )


def bracket(problem: SaddleProblem, here: Evaluation) -> Bracket:
    """What an iterate proves about the optimal value."""
    value, _ = objective(problem, here.fisher)
    repaired = repair(problem, here)
    excess = np.maximum(here.power[: problem.n_antennas] - problem.power_limit, 0)
    missed = np.r_[excess, np.abs(here.power[problem.n_antennas :])]
    n_in = problem.n_inequalities
    shortfall = problem.thresholds - here.forms
    scale = np.where(problem.thresholds > 0, problem.thresholds, 1.0)
    shortfall[:, :n_in] = np.maximum(shortfall[:, :n_in], 0)
    charge = missed @ np.abs(repaired.power) + np.sum(np.abs(shortfall) * np.abs(repaired.leaf))
    violation = max(float(missed.max()) / problem.power_limit, float(np.max(np.abs(shortfall) / scale, initial=0.0)))
    return Bracket(here.covariances, repaired, value + float(charge), dual_objective(problem, repaired), violation)


def repair(problem: SaddleProblem, here: Evaluation) -> Prices:
    """Dual feasible prices: what S lacks to be positive semidefinite is added to the prices of its node's antennas.

    (s Y, s^2 p, s^2 lambda) is dual feasible with (Y, p, lambda); the s of the largest dual objective is taken.
    """
    prices, slacks = here.point.prices, here.slacks
    if problem.split is not None:
        missing = missing_in_leaves(problem, slacks)
        if np.any(missing > 0):
            leaf = prices.leaf + missing[:, None] * problem.interior
            prices = Prices(prices.weights, prices.power, leaf)
            slacks = problem.slacks(prices)
    sets = problem.field.node_sets
    shift = np.zeros(len(sets))
    for group, matrices in zip(problem.groups, slacks.groups, strict=True):
        if group.senses and group.n_members:
            smallest = np.linalg.eigvalsh(matrices)[..., 0].min(axis=1)
            shift = np.maximum(shift, -np.minimum.reduceat(smallest, sets.edges[:-1]))
    for matrices in slacks.shared:
        shift = np.maximum(shift, -np.linalg.eigvalsh(matrices)[:, 0] / sets.counts)
    power = prices.power.copy()
    power[sets.antennas] += shift[:, None]
    prices = Prices(prices.weights, power, prices.leaf)
    gain, cost = float(np.sum(problem.selection * prices.weights)), -ray_value(problem, prices)
    scale = gain / cost if gain > 0 and cost > 0 else 1.0
    return Prices(scale * prices.weights, scale**2 * prices.power, scale**2 * prices.leaf)


def missing_in_leaves(problem: SaddleProblem, slacks: Blocks) -> RealArray:
    """(L,) what the blocks outside F lack to positive semidefiniteness."""
    missing = np.zeros(len(problem.thresholds))
    for group, matrices in zip(problem.groups, slacks.groups, strict=True):
        if not group.senses and group.forms is not None:
            np.maximum.at(missing, group.forms.leaf, -np.linalg.eigvalsh(matrices)[..., 0].min(axis=1))
    return missing


def dual_objective(problem: SaddleProblem, prices: Prices) -> float:
    """2 tr(E^T Y) - P sum p + sum b lambda."""
    return 2 * float(np.sum(problem.selection * prices.weights)) + ray_value(problem, prices)


def ray_value(problem: SaddleProblem, prices: Prices) -> float:
    """-P sum p + sum b lambda; positive at a dual feasible point proves that the constraints cannot be met.

    Q(Y) >= 0, so (0, p, lambda) is dual feasible with (Y, p, lambda), and so is every multiple of it.
    """
    return -float(problem.limits @ prices.power) + float(np.sum(problem.thresholds * prices.leaf))
