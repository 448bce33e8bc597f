"""Interior points to start from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from disac.designs.problem.refusals import SolverFailure
from disac.designs.solvers.native.bounds import missing_in_leaves, objective
from disac.designs.solvers.native.saddle import Blocks, Iterate, Prices, SaddleProblem

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

STARTING_POWER = 0.8
"""Share of the power limit that the starting point uses."""
STARTING_INTERFERENCE = 0.25
"""Share of what the SINR threshold lets radar disturb that the starting point uses."""
FARTHEST = 2.0
"""Largest SINR shortfall, relative to the threshold, of a point that is worth starting from."""


def _starting_factors(problem: SaddleProblem) -> Blocks:
    """Factors of multiples of the identity that use an equal share of every antenna's power.

    Where a node's radar covariance is shared, all of it disturbs the users. With multiples of the identity r and c for
    radar and data one user's SINR is c / r, so r is kept to a share of c / Gamma.
    """
    sets = problem.field.node_sets
    share = STARTING_POWER * problem.power_limit / sets.counts
    n_members = sum(group.n_members for group in problem.groups if group.senses)
    radar = 0.0
    for shared in problem.shared:
        sinr = float(np.max(np.abs(shared.weights), initial=0.0))
        radar = min(1 / (n_members + 1), STARTING_INTERFERENCE / sinr) if sinr > 0 else 1 / (n_members + 1)
    groups = []
    for group in problem.groups if problem.cones is None else problem.groups[:-1]:
        portion = (
            (1 - radar) / group.n_members if group.senses and group.n_members else 1 / max(1, problem.n_inequalities)
        )
        shape = (group.n_rows, group.n_members, group.size, group.size)
        level = np.sqrt(portion * share[sets.of_sheet])[:, None, None, None]
        groups.append(np.broadcast_to(level * np.eye(group.size, dtype=complex), shape))
    if problem.cones is not None:
        groups.append(_cone_factors(problem, share[sets.of_sheet]))
    shared_factors = [_multiples_of_identity(np.sqrt(radar * share), group.size) for group in problem.shared]
    return Blocks(tuple(groups), tuple(shared_factors))


def _cone_factors(problem: SaddleProblem, power: RealArray) -> ComplexArray:
    """Factors of the cones' blocks c_0 I when multiples of the identity of the given power (A,) are sent."""
    assert problem.cones is not None
    seen = power[:, None] * np.sum(np.abs(problem.cones.vectors) ** 2, axis=1)
    heights = problem.cones.flat[::3] @ seen.ravel()
    return _multiples_of_identity(np.sqrt(heights), 2)[:, None]


def _multiples_of_identity(levels: RealArray, size: int) -> ComplexArray:
    matrices = np.zeros((len(levels), size, size), dtype=np.complex128)
    matrices[:, np.arange(size), np.arange(size)] = levels[:, None]
    return matrices


def starting_covariances(problem: SaddleProblem) -> Blocks:
    """Equal powers below the limit."""
    return _starting_factors(problem).squares()


def starting_point(problem: SaddleProblem) -> Iterate:
    """Equal powers below the limit and prices that make every S positive definite.

    Raises
    ------
    SolverFailure : rounding leaves no such point.
    """
    try:
        return _starting_point(problem)
    except np.linalg.LinAlgError as error:
        raise SolverFailure(f"solver = 'native': no point to start from: {error}") from None


def _starting_point(problem: SaddleProblem) -> Iterate:
    n_in = problem.n_inequalities
    primal = _starting_factors(problem)
    covariances = primal.squares()
    _, weights = objective(problem, problem.fisher(covariances))
    power_slack = problem.power_limit - problem.power(covariances)[: problem.n_antennas]

    zero = Prices(weights, np.zeros(len(problem.limits)), np.zeros_like(problem.thresholds))
    price = -2 * _smallest_eigenvalue(problem.slacks(zero))
    achieved = problem.forms(covariances)[:, :n_in]
    thresholds = problem.thresholds[:, :n_in]
    leaf_slack = np.maximum(achieved - thresholds, 0.1 * (thresholds + np.abs(achieved)))
    leaf = np.zeros_like(problem.thresholds)
    leaf[:, :n_in] = 0.1 * price / leaf_slack
    antennas = np.arange(len(problem.limits)) < problem.n_antennas
    power = np.where(antennas, price, 0.0)
    if problem.cones is not None:
        heights = covariances.groups[-1][:, 0, 0, 0].real
        power[problem.n_antennas :: 3] = 0.1 * price / heights
    prices = Prices(weights, power, leaf)
    if problem.split is not None:
        missing = missing_in_leaves(problem, problem.slacks(prices)).max()
        leaf = leaf + (2 * missing + 0.1 * price) * problem.interior
        prices = Prices(weights, prices.power, leaf)
    lift = max(0.0, -_smallest_eigenvalue(problem.slacks(prices))) + 0.1 * price
    prices = Prices(weights, prices.power + lift * antennas, leaf)
    return Iterate(primal, problem.slacks(prices).map(_cholesky), prices, power_slack, leaf_slack)


def warm_point(problem: SaddleProblem, inner: Iterate) -> Iterate | None:
    """An inner iterate of a similar problem as a starting point of this one; None when it is no help.

    Its residuals are those of a change of the data and shrink with the steps. It is no help when the sizes differ or
    when its covariances are far from meeting the SINR constraints.
    """
    if _shapes(starting_point(problem)) != _shapes(inner):
        return None
    n_in = problem.n_inequalities
    thresholds = problem.thresholds[:, :n_in]
    spare = problem.forms(inner.covariances())[:, :n_in] - thresholds
    if np.any(spare < -FARTHEST * thresholds):
        return None
    return replace(inner, leaf_slack=np.maximum(inner.leaf_slack, spare))


def _shapes(point: Iterate) -> list[tuple[int, ...]]:
    arrays = (*point.primal, point.prices.weights, point.prices.power, point.prices.leaf, point.leaf_slack)
    return [array.shape for array in arrays]


def _cholesky(matrices: ComplexArray) -> ComplexArray:
    return np.asarray(np.linalg.cholesky(matrices), dtype=np.complex128)


def _smallest_eigenvalue(matrices: Blocks) -> float:
    return min(float(np.linalg.eigvalsh(matrix)[..., 0].min()) for matrix in matrices if matrix.size)
