"""The road shared by all designs that solve a convex problem: feasibility, solver, certificate, extraction, result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from disac.designs.bounds.crb import crb, position_information
from disac.designs.bounds.fisher import FisherOperator
from disac.designs.precoding.extraction import outer
from disac.designs.precoding.measure import measure
from disac.designs.problem.certificate import (
    DualBound,
    FeasiblePoint,
    block_diagonal,
    dual_bound,
    feasible_point,
    node_blocks,
    objective_covariances,
)
from disac.designs.problem.feasibility import largest_feasible_sinr, least_power, unreachable_user
from disac.designs.problem.memory import keep_solution, last_solution, prepared_once
from disac.designs.problem.refusals import Infeasible
from disac.designs.problem.relaxed import RelaxedProblem, RelaxedSolution
from disac.designs.problem.sidelobes import SidelobeLimits
from disac.designs.result import GAP_LIMIT, DesignResult
from disac.designs.solvers.sidelobe_feasibility import strictly_inside

ComplexArray = NDArray[np.complex128]

_EXCHANGES = 8


@dataclass(frozen=True)
class CertifiedSolution:
    """A solver's answer with what is proved about it.

    Attributes
    ----------
    point : feasible covariances.
    relaxed_value : the problem's objective there [m^2].
    bound : verified lower bound.
    solution : the solver's own answer.
    sidelobes : the sidelobe limits at the phases that the bound's prices refer to; None without limits.
    """

    point: FeasiblePoint
    relaxed_value: float
    bound: DualBound
    solution: RelaxedSolution
    sidelobes: SidelobeLimits | None = None


Extraction = Callable[[RelaxedProblem, CertifiedSolution], tuple[ComplexArray, ComplexArray]]
"""Data precoders (N, U, L, M_t) and radar precoders (N, L, M_t, q) from a certified solution of the relaxed problem."""


def solve_relaxed(problem: RelaxedProblem, solver: str) -> RelaxedSolution:
    """The answer of one solver, by name."""
    if solver == "native":
        from disac.designs.solvers.native import solve

        solution = solve(problem, warm_start=last_solution(problem))
        keep_solution(problem, solution)
        return solution
    from disac.designs.solvers.conic import solve_with_cvxpy

    return solve_with_cvxpy(problem, solver)


def strictly_feasible_point(name: str, problem: RelaxedProblem) -> FeasiblePoint:
    """A point with room in every power, SINR and sidelobe limit, of any signal model.

    Raises
    ------
    Infeasible : there is none; :class:`SidelobesInfeasible` when only the sidelobes stand in the way.
    """
    point = _without_sidelobe_limits(name, problem)
    if problem.sidelobes is None or problem.sidelobes.excess(point.covariances) < -1e-3:
        return point
    return strictly_inside(name, problem)


def _without_sidelobe_limits(name: str, problem: RelaxedProblem) -> FeasiblePoint:
    s = problem.scenario
    serves = problem.serves
    data = np.zeros((s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx, s.n_tx), dtype=complex)
    radar_power = 0.5 * s.tx_power / serves.sum(axis=1).max()
    if problem.n_constrained_users:
        power = least_power(s, problem.sends_data, problem.sinr, decide=True)
        if not power.upper < 1:
            edge = largest_feasible_sinr(s, problem.sends_data)
            proof = power.proof if power.lower > 1 else edge.proof
            assert problem.sinr_db is not None
            raise Infeasible(name, problem.sinr_db, edge.sinr_db, proof, unreachable_user(s, problem.sends_data))
        boost = power.upper**-0.5
        data = outer(power.comm_precoders) * boost
        gain = np.sum(np.abs(s.channels) ** 2 * serves[:, None, :, None], axis=(0, 3)).max()
        spare_power = s.tx_power * (1 - power.upper * boost) / serves.sum(axis=1).max()
        radar_power = 0.5 * min(spare_power, (boost - 1) * s.noise_comm_per_subcarrier / gain)
    radar = radar_power * np.eye(s.n_tx) * serves[..., None, None]
    return FeasiblePoint(block_diagonal(data.sum(axis=1) + radar), data, 1.0)


def certify(problem: RelaxedProblem, solution: RelaxedSolution, interior: FeasiblePoint) -> CertifiedSolution:
    """Feasible point and verified bound from a solver's answer."""
    operator = prepared_once(
        problem.scenario, ("fisher", problem.mode), lambda: FisherOperator(problem.scenario, problem.mode)
    )
    point = feasible_point(problem, solution, interior)
    information = position_information(operator, objective_covariances(problem, point.covariances))
    bound = dual_bound(problem, operator, solution, information.inverse_columns())
    return CertifiedSolution(point, float(np.trace(information.covariance)), bound, solution)


def solve_certified(name: str, problem: RelaxedProblem, solver: str) -> CertifiedSolution:
    """Solve a convex design problem and prove what the answer is worth.

    Sidelobe limits are held at a set of phases that grows by the maxima between them until these exceed nothing; the
    feasible point keeps them everywhere. Times and iterations are those of all rounds.

    Raises
    ------
    Infeasible : the SINR threshold is out of reach.
    Unidentifiable : the targets cannot be localized even at uniform power.
    """
    s = problem.scenario
    uniform = block_diagonal(np.eye(s.n_tx, dtype=complex) * problem.serves[..., None, None])
    crb(s, uniform * s.tx_power / s.n_subcarriers, problem.mode)
    interior = strictly_feasible_point(name, problem)
    certified = certify(problem, solve_relaxed(problem, solver), interior)
    for _ in range(_EXCHANGES):
        if problem.sidelobes is None or certified.relaxed_value <= certified.bound.value * (1 + GAP_LIMIT / 10):
            break
        finer = problem.sidelobes.with_maxima_of(certified.solution.covariances)
        if finer is problem.sidelobes:
            break
        problem = replace(problem, sidelobes=finer)
        before = certified.solution
        certified = certify(problem, solve_relaxed(problem, solver), interior)
        total = replace(
            certified.solution,
            solve_seconds=before.solve_seconds + certified.solution.solve_seconds,
            compile_seconds=before.compile_seconds + certified.solution.compile_seconds,
            iterations=before.iterations + certified.solution.iterations,
        )
        certified = replace(certified, solution=total)
    return replace(certified, sidelobes=problem.sidelobes)


def convex_design(name: str, problem: RelaxedProblem, solver: str, extract: Extraction) -> DesignResult:
    """Solve, certify and extract: the whole of a design whose problem is convex."""
    certified = solve_certified(name, problem, solver)
    comm_precoders, radar_precoders = extract(problem, certified)
    return assemble(name, problem, solver, certified, comm_precoders, radar_precoders)


def assemble(
    name: str,
    problem: RelaxedProblem,
    solver: str,
    certified: CertifiedSolution,
    comm_precoders: ComplexArray,
    radar_precoders: ComplexArray,
) -> DesignResult:
    """The result of transmitting given precoders, every figure recomputed from them."""
    point, bound, solution = certified.point, certified.bound, certified.solution
    sent = measure(
        problem.scenario, problem.sinr_db, comm_precoders, radar_precoders, problem.mode, certified.sidelobes
    )
    unit = problem.scenario.tx_power / problem.scenario.n_subcarriers
    radar = node_blocks(point.covariances, problem.scenario.n_nodes) - point.comm_covariances.sum(axis=1)
    parts = (point.covariances, point.comm_covariances, radar)
    lowest = min(float(np.linalg.eigvalsh(matrices).min(initial=0.0)) for matrices in parts)
    skew = max(float(np.abs(matrices - matrices.conj().swapaxes(-1, -2)).max(initial=0.0)) for matrices in parts)
    return DesignResult(
        name=name,
        sinr_db=problem.sinr_db,
        solver=solver,
        scenario=problem.scenario,
        covariances=sent.covariances,
        comm_precoders=comm_precoders,
        radar_precoders=radar_precoders,
        lower_bound=bound.value,
        relaxed_value=certified.relaxed_value,
        value=sent.value,
        value_error=sent.value_error,
        bounds_value=problem.signal != "beamforming-averaged",
        certificate=replace(
            sent.certificate,
            psd_residual=max(0.0, -lowest / unit),
            hermitian_residual=max(sent.certificate.hermitian_residual, skew / unit),
            power_price=bound.power_price,
            sinr_price=bound.sinr_price,
            dual_shift=bound.shift,
            primal_mix=point.mix,
            sidelobe_price=bound.sidelobe_price,
        ),
        solve_seconds=solution.solve_seconds,
        compile_seconds=solution.compile_seconds,
        iterations=solution.iterations,
        solver_status=solution.status,
    )
