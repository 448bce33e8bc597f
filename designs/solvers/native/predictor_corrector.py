"""Mehrotra's predictor-corrector method on (R, S, Y, p, lambda) for any saddle problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from disac.designs.problem.refusals import SolverFailure
from disac.designs.solvers.native.arrow import NewtonSystem
from disac.designs.solvers.native.bounds import Bracket, Evaluation, bracket, ray_value
from disac.designs.solvers.native.cones import NesterovTodd, positive_step_limit
from disac.designs.solvers.native.saddle import Blocks, Iterate, Prices, SaddleProblem
from disac.designs.solvers.native.starting_point import starting_point

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

Status = Literal["solved", "infeasible", "stalled"]

BOUNDARY_FRACTION = 0.97
"""Share of the way to the boundary of the cones that a step may go."""
SHORTEST_STEP = 1e-4
"""A step shorter than this counts as a stall."""
FEASIBLE = 1e-11
"""Relative violation of the primal constraints up to which a point counts as feasible."""
RAY_MARGIN = 1e-9
"""What a dual ray must gain, relative to its price of power, to count as a proof of infeasibility."""
CLOSE = 1e-3
"""Gap below which predictions are checked and refined; before, only after a step that needed it."""
INNER_GAP = 0.1
"""Gap at which an iterate is kept to start similar problems from."""
POLISHING = 4
"""Iterations that may be spent on making a point feasible once its gap is within tolerance."""
REFINEMENTS = 2
"""Largest number of iterative refinements of a Newton step."""
ROUNDING, PREDICTION = 1e-13, 1e-3
"""Residuals at which refinement ends: relative to the data, and for predictions relative to the right side."""
PATIENCE = 6
"""Iterations without a better bracket, once there is one, after which the method has stalled."""


_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Outcome:
    """Where the method ended.

    Attributes
    ----------
    status : ``solved``, ``infeasible`` (then ``best.prices`` are a dual ray) or ``stalled``.
    best : the point with the smallest gap.
    iterations : Newton systems that were solved.
    inner : an iterate well inside the cones, close enough to the solution to start a similar problem from.
    """

    status: Status
    best: Bracket
    iterations: int
    inner: Iterate


@dataclass(frozen=True)
class Step:
    """A Newton step, ``primal`` and ``dual`` in scaled coordinates; ``refined`` if the factors did not solve it."""

    prices: Prices
    primal: Blocks
    dual: Blocks
    covariances: Blocks
    power_slack: RealArray
    leaf_slack: RealArray
    refined: bool


class Linearization:
    """The optimality conditions at an iterate, linearized.

    The conditions are S = slacks(Y, p, lambda), F(R) Y = E, s_p = P - power(R), s_mu = a(R) - b, and R S, p s_p and
    lambda s_mu equal to one target. Steps of the slacks come from their complementarity, which keeps them accurate when
    they are far smaller than the rounding errors of a(R).

    Raises
    ------
    numpy.linalg.LinAlgError : the iterate is too close to the boundary for floating point.
    """

    def __init__(self, problem: SaddleProblem, here: Evaluation) -> None:
        point = here.point
        self.problem, self.point = problem, point
        n_in = problem.n_inequalities
        prices = point.prices
        self.fisher = here.fisher
        self._combined = here.combined
        self._dual_residual = point.dual_matrices().map(np.subtract, here.slacks)
        self._weights_residual = here.fisher @ prices.weights - problem.selection
        n_antennas = problem.n_antennas
        self._power_price = prices.power[:n_antennas]
        self._power_residual = here.power - problem.limits
        self._power_residual[:n_antennas] += point.power_slack
        self._forms_residual = problem.thresholds - here.forms
        self._forms_residual[:, :n_in] += point.leaf_slack
        self._leaf_price = prices.leaf[:, :n_in]
        self._power_diagonal = np.zeros(len(problem.limits))
        self._power_diagonal[:n_antennas] = point.power_slack / self._power_price
        self._leaf_diagonal = point.leaf_slack / self._leaf_price
        pairs = zip(point.primal, point.dual, strict=True)
        self._scalings = [NesterovTodd.from_factors(primal, dual) for primal, dual in pairs]
        self._system = NewtonSystem(
            problem,
            prices.weights,
            self._combined,
            self.fisher,
            self._scalings,
            self._power_diagonal,
            self._leaf_diagonal,
        )

    def _scale_dual(self, matrices: Blocks) -> Blocks:
        return matrices.map(lambda matrix, scaling: scaling.scale_dual(matrix), self._scalings)

    def _unscale_primal(self, matrices: Blocks) -> Blocks:
        return matrices.map(lambda matrix, scaling: scaling.primal(matrix), self._scalings)

    def step(self, target: float, affine: Step | None = None, *, checked: bool = True) -> Step:
        """Step towards complementarity ``target``; with the second-order terms of an earlier affine step.

        A step that is not ``checked`` is not refined: for predictions where systems are well conditioned.
        """
        problem, point = self.problem, self.point
        n_in = problem.n_inequalities
        n_groups = len(problem.groups)
        residual = self._dual_residual
        weights = -2 * self._weights_residual
        n_antennas = problem.n_antennas
        power = target / self._power_price - point.power_slack
        leaf = target / self._leaf_price - point.leaf_slack
        earlier: list[tuple[ComplexArray, ComplexArray] | None] = [None] * len(self._scalings)
        if affine is not None:
            earlier = list(zip(affine.primal, affine.dual, strict=True))
            power = power - affine.prices.power[:n_antennas] * affine.power_slack / self._power_price
            leaf = leaf - affine.prices.leaf[:, :n_in] * affine.leaf_slack / self._leaf_price
            weights = weights - 2 * problem.fisher(affine.covariances) @ affine.prices.weights
            residual = residual.map(np.add, problem.curvature(affine.prices.weights))
        sums = [scaling.complementarity(target, e) for scaling, e in zip(self._scalings, earlier, strict=True)]
        targets = Blocks(tuple(sums[:n_groups]), tuple(sums[n_groups:]))
        scaled_residual = self._scale_dual(residual)

        rows = self._forms_residual.copy()
        rows[:, :n_in] += leaf
        limits = self._power_residual.copy()
        limits[:n_antennas] += power
        right = Prices(weights, limits, rows)
        offset = self._unscale_primal(scaled_residual.map(np.add, targets))
        prices = self._system.solve(right - problem.gradient(point.prices.weights, offset))
        dual = self._scale_dual(problem.slope(self._combined, prices)).map(
            lambda own, rest: -(own + rest), scaled_residual
        )
        primal = targets.map(np.subtract, dual)
        covariances = self._unscale_primal(primal)
        refined = False
        kept = prices, dual, primal, covariances
        shortfall = float("inf")
        for remaining in range(REFINEMENTS, -1, -1) if checked else ():
            missing = right - self._rows(prices, covariances)
            previous, shortfall = shortfall, self._shortfall(missing, right, exact=affine is not None or target > 0)
            if shortfall > previous:
                prices, dual, primal, covariances = kept
            if shortfall <= 1 or shortfall > previous or not remaining:
                break
            refined = True
            kept = prices, dual, primal, covariances
            extra = self._system.solve(missing)
            slope = self._scale_dual(problem.slope(self._combined, extra))
            prices, dual, primal = prices + extra, dual.map(np.subtract, slope), primal.map(np.add, slope)
            covariances = covariances.map(np.add, self._unscale_primal(slope))
        return Step(
            prices,
            primal,
            dual,
            covariances,
            power - (self._power_diagonal * prices.power)[:n_antennas],
            leaf - self._leaf_diagonal * prices.leaf[:, :n_in],
            refined,
        )

    def _shortfall(self, missing: Prices, right: Prices, *, exact: bool) -> float:
        """Largest residual relative to rounding, or, for a step that only predicts, to what serves that purpose."""
        problem = self.problem
        scales = (1.0, problem.power_limit, float(np.max(problem.thresholds, initial=1.0)))
        pairs = (
            (missing.weights, right.weights),
            (missing.power, right.power),
            (missing.leaf, right.leaf),
        )
        worst = 0.0
        for scale, (rest, whole) in zip(scales, pairs, strict=True):
            allowed = ROUNDING * scale if exact else PREDICTION * float(np.max(np.abs(whole), initial=_TINY))
            worst = max(worst, float(np.max(np.abs(rest), initial=0.0)) / allowed)
        return worst

    def _rows(self, step: Prices, covariances: Blocks) -> Prices:
        """Left sides of the linearized rows of Y, p and lambda."""
        n_in = self.problem.n_inequalities
        diagonal = np.zeros_like(step.leaf)
        diagonal[:, :n_in] = self._leaf_diagonal * step.leaf[:, :n_in]
        own = Prices(2 * self.fisher @ step.weights, self._power_diagonal * step.power, diagonal)
        return own + self.problem.gradient(self.point.prices.weights, covariances)

    def limit(self, step: Step, most: float) -> float:
        """Length up to ``most`` of the step that reaches the boundary of a cone."""
        point = self.point
        n_in = self.problem.n_inequalities
        for value, change in (
            (self._power_price, step.prices.power[: self.problem.n_antennas]),
            (point.power_slack, step.power_slack),
            (self._leaf_price, step.prices.leaf[:, :n_in]),
            (point.leaf_slack, step.leaf_slack),
        ):
            most = positive_step_limit(value, change, most)
        for scaling, primal, dual in zip(self._scalings, step.primal, step.dual, strict=True):
            most = scaling.step_limit(dual, scaling.step_limit(primal, most))
        return most

    def moved(self, step: Step, length: float) -> Iterate:
        """The iterate after a step of some length."""
        point = self.point
        factors = [
            scaling.moved_factors(primal, dual, length)
            for scaling, primal, dual in zip(self._scalings, step.primal, step.dual, strict=True)
        ]
        n_groups = len(self.problem.groups)
        primal, dual = ([pair[i] for pair in factors] for i in (0, 1))
        return Iterate(
            Blocks(tuple(primal[:n_groups]), tuple(primal[n_groups:])),
            Blocks(tuple(dual[:n_groups]), tuple(dual[n_groups:])),
            point.prices + step.prices * length,
            point.power_slack + length * step.power_slack,
            point.leaf_slack + length * step.leaf_slack,
        )


def _is_better(here: Bracket, best: Bracket, tolerance: float) -> bool:
    """Whether a bracket is narrower or, once both are narrow enough, belongs to a point closer to feasible."""
    if here.gap <= tolerance and best.gap <= tolerance:
        return here.violation < best.violation
    return here.gap < best.gap


def run(
    problem: SaddleProblem,
    tolerance: float,
    start: Iterate | None = None,
    max_iterations: int = 80,
    monitor: Callable[[int, Bracket, float], None] | None = None,
) -> Outcome:
    """Iterate until the gap between a feasible value and a verified dual bound is within ``tolerance`` of the value.

    Parameters
    ----------
    problem : the problem.
    tolerance : relative gap.
    start : an interior point; the default one if None.
    max_iterations : more are counted as a stall.
    monitor : called with iteration, bracket and complementarity before every Newton step.

    Raises
    ------
    SolverFailure : rounding leaves no point at all.
    """
    point = starting_point(problem) if start is None else start
    inner = point
    best: Bracket | None = None
    best_iteration = 0
    status: Status = "stalled"
    refined = False
    iteration = polished = 0
    for iteration in range(max_iterations + 1):
        try:
            evaluation = Evaluation.at(problem, point)
            here = bracket(problem, evaluation)
        except np.linalg.LinAlgError:
            if best is None:
                raise SolverFailure("solver = 'native': no point has a value in floating point") from None
            break
        complementarity = point.complementarity(problem.n_inequalities) / problem.degree
        if monitor is not None:
            monitor(iteration, here, complementarity)
        if ray_value(problem, here.prices) > RAY_MARGIN * float(problem.limits @ here.prices.power):
            return Outcome("infeasible", here, iteration, inner)
        within = here.gap <= tolerance
        if here.gap > INNER_GAP:
            inner = point
        if best is None or _is_better(here, best, tolerance):
            best, best_iteration = here, iteration
        polished += best.gap <= tolerance
        if best.gap <= tolerance and (best.violation <= FEASIBLE or polished > POLISHING):
            break
        if iteration - best_iteration >= PATIENCE and best.gap < 1e-2:
            break
        try:
            system = Linearization(problem, evaluation)
            if within:
                step = system.step(complementarity)
            else:
                affine = system.step(0.0, checked=refined or here.gap <= CLOSE)
                centering = (1 - system.limit(affine, 1.0)) ** 3
                step = system.step(centering * complementarity, affine)
            refined = step.refined
            length = BOUNDARY_FRACTION * system.limit(step, 1 / BOUNDARY_FRACTION)
            if not length > SHORTEST_STEP:
                break
            point = system.moved(step, length)
        except np.linalg.LinAlgError:
            break
    assert best is not None
    if best.gap <= tolerance:
        status = "solved"
    return Outcome(status, best, iteration, inner)
