"""Mehrotra's predictor-corrector method on (R, S, Y, p, lambda) for any saddle problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from disac.designs.native.arrow import NewtonSystem
from disac.designs.native.cones import NesterovTodd, adjoint, hermitian, positive_step_limit
from disac.designs.native.saddle import Blocks, Prices, SaddleProblem

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

BOUNDARY_FRACTION = 0.97
VERBOSE = False


@dataclass(frozen=True)
class Iterate:
    """A point in the interior of all cones.

    Attributes
    ----------
    primal, dual : factors L with R = L L^H and S = L L^H.
    prices : (Y, p, lambda).
    power_slack, leaf_slack : (N M_t,) and (L, n_inequalities) positive slacks of the power and SINR constraints.
    """

    primal: Blocks
    dual: Blocks
    prices: Prices
    power_slack: RealArray
    leaf_slack: RealArray

    def covariances(self) -> Blocks:
        """R."""
        return self.primal.map(_square)

    def complementarity(self, n_inequalities: int) -> float:
        """Sum of all complementarity products."""
        products = sum(
            float(np.sum(np.abs(adjoint(dual) @ primal) ** 2))
            for primal, dual in zip(self.primal, self.dual, strict=True)
        )
        return (
            products
            + float(self.prices.power @ self.power_slack)
            + float(np.sum(self.prices.leaf[:, :n_inequalities] * self.leaf_slack))
        )


def _square(factor: ComplexArray) -> ComplexArray:
    return hermitian(factor @ adjoint(factor))


@dataclass(frozen=True)
class Certified:
    value: float
    bound: float
    covariances: Blocks
    prices: Prices

    @property
    def gap(self) -> float:
        return (self.value - self.bound) / self.bound if self.bound > 0 else float("inf")


@dataclass(frozen=True)
class Outcome:
    status: str
    covariances: Blocks
    prices: Prices
    value: float
    bound: float
    iterations: int
    last: Iterate


def objective(problem: SaddleProblem, fisher: RealArray) -> tuple[float, RealArray]:
    """tr(E^T F^-1 E) and F^-1 E; inf when F is singular in floating point."""
    scale = 1 / np.sqrt(np.diagonal(fisher))
    try:
        factor = cho_factor(fisher * scale * scale[:, None], lower=True)
    except np.linalg.LinAlgError:
        return float("inf"), np.full_like(problem.selection, np.nan)
    weights = scale[:, None] * cho_solve(factor, scale[:, None] * problem.selection)
    return float(np.sum(problem.selection * weights)), weights


def dual_bound(problem: SaddleProblem, prices: Prices) -> tuple[float, Prices]:
    """Dual objective after repairing the prices to be dual feasible, and the repaired prices."""
    n_in = problem.n_inequalities
    leaf = prices.leaf.copy()
    leaf[:, :n_in] = np.maximum(leaf[:, :n_in], 0)
    prices = Prices(prices.weights, np.maximum(prices.power, 0), leaf)
    slacks = problem.slacks(prices)
    if any(not group.senses for group in problem.groups):
        leaf += _leaf_shift(problem, slacks)[:, None] * problem.interior
        slacks = problem.slacks(prices)
    shift = np.zeros(problem.n_antennas)
    for group, matrices in zip(problem.groups, slacks.groups, strict=True):
        if group.senses and group.n_members:
            smallest = np.linalg.eigvalsh(matrices)[..., 0].min(axis=1)
            for nodes in problem.field.node_sets:
                shift[nodes.antennas] = np.maximum(shift[nodes.antennas], -smallest[nodes.sheets].min())
    for block, matrix in zip(problem.shared, slacks.shared, strict=True):
        nodes = problem.field.node_sets[block.node_set]
        smallest = float(np.linalg.eigvalsh(matrix)[0])
        shift[nodes.antennas] = np.maximum(shift[nodes.antennas], -smallest / nodes.n_sheets)
    prices = Prices(prices.weights, prices.power + shift, leaf)
    return dual_objective(problem, prices), prices


def _leaf_shift(problem: SaddleProblem, slacks: Blocks) -> RealArray:
    """(L,) what is missing to positive definiteness of the blocks outside F."""
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
    return -problem.power_limit * float(np.sum(prices.power)) + float(np.sum(problem.thresholds * prices.leaf))


def starting_point(problem: SaddleProblem) -> Iterate:
    """Equal powers at half the limit and prices that make every S positive definite."""
    field = problem.field
    n_in = problem.n_inequalities
    per_sheet = sum(group.n_members for group in problem.groups if group.senses) + bool(problem.shared)
    groups = []
    for group in problem.groups:
        level = np.empty(group.n_rows)
        for nodes in field.node_sets:
            level[nodes.sheets] = problem.power_limit / (2 * nodes.n_sheets * (per_sheet if group.senses else n_in))
        shape = (group.n_rows, group.n_members, group.size, group.size)
        groups.append(np.broadcast_to(np.sqrt(level)[:, None, None, None] * np.eye(group.size, dtype=complex), shape))
    shared = []
    for block in problem.shared:
        level_of_node = problem.power_limit / (2 * field.node_sets[block.node_set].n_sheets * per_sheet)
        shared.append(np.sqrt(level_of_node) * np.eye(block.size, dtype=complex))
    primal = Blocks(tuple(groups), tuple(shared))
    covariances = primal.map(_square)
    _, weights = objective(problem, problem.fisher(covariances))
    power_slack = problem.power_limit - problem.power(covariances)

    zero = Prices(weights, np.zeros(problem.n_antennas), np.zeros_like(problem.thresholds))
    price = 2 * max(-float(np.linalg.eigvalsh(m)[..., 0].min()) for m in problem.slacks(zero) if m.size)
    achieved = problem.forms(covariances)[:, :n_in]
    thresholds = problem.thresholds[:, :n_in]
    leaf_slack = np.maximum(achieved - thresholds, 0.1 * (thresholds + np.abs(achieved)))
    leaf = np.zeros_like(problem.thresholds)
    leaf[:, :n_in] = 0.1 * price / leaf_slack
    prices = Prices(weights, np.full(problem.n_antennas, price), leaf)
    if any(not group.senses for group in problem.groups):
        leaf += (2 * _leaf_shift(problem, problem.slacks(prices)).max() + 0.1 * price) * problem.interior
    smallest = min(float(np.linalg.eigvalsh(m)[..., 0].min()) for m in problem.slacks(prices) if m.size)
    prices = Prices(weights, prices.power + max(0.0, -smallest) + 0.1 * price, leaf)
    dual = problem.slacks(prices).map(np.linalg.cholesky)
    return Iterate(primal, dual, prices, power_slack, leaf_slack)


def run(
    problem: SaddleProblem, tolerance: float = 1e-7, start: Iterate | None = None, max_iterations: int = 60
) -> Outcome:
    point = starting_point(problem) if start is None else start
    n_in = problem.n_inequalities
    degree = problem.degree
    best: Certified | None = None
    for iteration in range(max_iterations):
        prices = point.prices
        covariances = point.covariances()
        dual = point.dual.map(_square)
        fisher = problem.fisher(covariances)
        combined = problem.field.combine(prices.weights)
        lifted = problem.lift(problem.field.curvature(combined), prices)
        dual_residual = dual.map(np.add, lifted)
        weights_residual = fisher @ prices.weights - problem.selection
        power_residual = point.power_slack + problem.power(covariances) - problem.power_limit
        forms = problem.forms(covariances)
        forms_residual = problem.thresholds - forms
        forms_residual[:, :n_in] += point.leaf_slack
        mu = point.complementarity(n_in) / degree

        value, _ = objective(problem, fisher)
        bound, repaired = dual_bound(problem, prices)
        if ray_value(problem, repaired) > 0:
            return Outcome("infeasible", covariances, repaired, value, bound, iteration, point)
        feasible = bool(
            np.all(problem.power(covariances) <= problem.power_limit)
            and np.all(forms[:, :n_in] >= problem.thresholds[:, :n_in])
        )
        gap = (value - bound) / abs(value)
        if VERBOSE:
            print(
                f"{iteration:3d} value {value:.9e} bound {bound:.9e} gap {gap:.2e} mu*deg/val {mu * degree / value:.2e} rY {np.abs(weights_residual).max():.1e} rp {np.abs(power_residual).max():.1e} rf {np.abs(forms_residual).max() if forms_residual.size else 0:.1e} rS {max((np.abs(m).max() for m in dual_residual if m.size), default=0):.1e} feas {feasible}"
            )
        if feasible and (best is None or gap < best.gap):
            best = Certified(value, bound, covariances, repaired)
        if feasible and gap < tolerance:
            return Outcome("solved", covariances, repaired, value, bound, iteration, point)

        scalings = [NesterovTodd.from_factors(r, s) for r, s in zip(point.primal, point.dual, strict=True)]
        leaf_price = prices.leaf[:, :n_in]
        power_diagonal, leaf_diagonal = point.power_slack / prices.power, point.leaf_slack / leaf_price
        try:
            system = NewtonSystem(problem, prices.weights, combined, fisher, scalings, power_diagonal, leaf_diagonal)
        except np.linalg.LinAlgError:
            return Outcome("stalled", covariances, repaired, value, bound, iteration, point)

        def direction(target: float, affine=None):
            corrections = [None] * len(scalings)
            residual = dual_residual
            right_y = -2 * weights_residual
            right_power = target / prices.power - point.power_slack + power_residual
            right_leaf = forms_residual.copy()
            right_leaf[:, :n_in] += target / leaf_price - point.leaf_slack
            if affine is not None:
                step_a, primal_a, dual_a, covariance_a, ps_a, ls_a = affine
                corrections = [hermitian(r @ s) for r, s in zip(primal_a, dual_a, strict=True)]
                right_power -= step_a.power * ps_a / prices.power
                right_leaf[:, :n_in] -= step_a.leaf[:, :n_in] * ls_a / leaf_price
                right_y -= 2 * problem.fisher(covariance_a) @ step_a.weights
                second = problem.lift(
                    problem.field.curvature(problem.field.combine(step_a.weights)),
                    Prices(step_a.weights, np.zeros_like(step_a.power), np.zeros_like(step_a.leaf)),
                )
                residual = residual.map(np.add, second)
            targets = [w.complementarity(target, c) for w, c in zip(scalings, corrections, strict=True)]
            scaled_residual = residual.map(lambda m, w: w.scale_dual(m), scalings)
            offset = scaled_residual.map(np.add, targets)
            moved = offset.map(lambda m, w: w.primal(m), scalings)
            right = Prices(right_y, right_power, right_leaf)
            step = system.solve(right - problem.gradient(prices.weights, moved))
            for refinement in range(2):
                slope = problem.slope(combined, step)
                scaled_slope = slope.map(lambda m, w: w.scale_dual(m), scalings)
                dual_step = scaled_slope.map(lambda m, r: -hermitian(m + r), scaled_residual)
                primal_step = dual_step.map(lambda m, t: hermitian(t - m), targets)
                covariance_step = primal_step.map(lambda m, w: w.primal(m), scalings)
                if refinement:
                    break
                rows = problem.gradient(prices.weights, covariance_step)
                diagonal_leaf = np.zeros_like(step.leaf)
                diagonal_leaf[:, :n_in] = leaf_diagonal * step.leaf[:, :n_in]
                rows = rows + Prices(2 * fisher @ step.weights, power_diagonal * step.power, diagonal_leaf)
                step = step + system.solve(right - rows)
            ps = -power_residual - problem.power(covariance_step)
            ls = -forms_residual[:, :n_in] + problem.forms(covariance_step)[:, :n_in]
            return step, primal_step, dual_step, covariance_step, ps, ls

        def limit(d):
            step, primal_step, dual_step, _, ps, ls = d
            lengths = [
                positive_step_limit(prices.power, step.power),
                positive_step_limit(point.power_slack, ps),
                positive_step_limit(leaf_price, step.leaf[:, :n_in]),
                positive_step_limit(point.leaf_slack, ls),
            ]
            for w, a, b in zip(scalings, primal_step, dual_step, strict=True):
                if a.size:
                    lengths += [w.step_limit(a), w.step_limit(b)]
            return min(lengths)

        affine = direction(0.0)
        length = min(1.0, limit(affine))
        sigma = (1 - length) ** 3
        full = direction(sigma * mu, affine)
        length = min(1.0, BOUNDARY_FRACTION * limit(full))
        if VERBOSE:
            print(f"      sigma {sigma:.1e} length {length:.3f}")
        step, primal_step, dual_step, _, ps, ls = full
        primal_factors, dual_factors = [], []
        try:
            for w, a, b in zip(scalings, primal_step, dual_step, strict=True):
                f, g = w.moved_factors(a, b, length)
                primal_factors.append(f)
                dual_factors.append(g)
        except np.linalg.LinAlgError:
            return Outcome("stalled", covariances, repaired, value, bound, iteration, point)
        n_groups = len(problem.groups)
        point = Iterate(
            Blocks(tuple(primal_factors[:n_groups]), tuple(primal_factors[n_groups:])),
            Blocks(tuple(dual_factors[:n_groups]), tuple(dual_factors[n_groups:])),
            prices + step * length,
            point.power_slack + length * ps,
            point.leaf_slack + length * ls,
        )
    return Outcome("iteration limit", covariances, repaired, value, bound, iteration, point)
