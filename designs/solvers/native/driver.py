"""The solver's front door: a design problem in, covariances and prices in physical units out."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache

from threadpoolctl import ThreadpoolController

from disac.designs.problem.relaxed import RelaxedProblem, RelaxedSolution
from disac.designs.solvers.native.predictor_corrector import run
from disac.designs.solvers.native.problems import build
from disac.designs.solvers.native.saddle import Iterate
from disac.designs.solvers.native.starting_point import warm_point


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def single_threaded() -> AbstractContextManager[object]:
    """BLAS on one thread: matrices are small here, and more threads than one only get in each other's way."""
    limited: AbstractContextManager[object] = _thread_pools().limit(limits=1, user_api="blas")
    return limited


@dataclass(frozen=True)
class NativeSolution(RelaxedSolution):
    """A :class:`RelaxedSolution` with the solver's own estimates and where it stood.

    Attributes
    ----------
    value, bound : its estimates of the objective and of the dual bound [m^2].
    inner : interior point that a similar problem may start from.
    """

    value: float
    bound: float
    inner: Iterate = field(repr=False)


def solve(
    problem: RelaxedProblem, *, tolerance: float = 1e-7, warm_start: NativeSolution | None = None
) -> NativeSolution:
    """Solve a convex design problem.

    Parameters
    ----------
    problem : scenario, signal model, SINR threshold and mode.
    tolerance : relative gap between the objective at a feasible point and the dual bound at which to stop.
    warm_start : solution of a similar problem, for instance at the last threshold or bandwidth of a sweep; it is not
        used when the numbers of nodes, targets, users, antennas or subcarriers differ, or when it is too far off.

    Returns
    -------
    NativeSolution, whose ``status`` is ``solved``; ``infeasible``, when ``power_price`` and ``sinr_price`` prove that
    no signals meet the SINR threshold; or ``stalled``, with the best point that was found.

    Raises
    ------
    ValueError : tolerance outside [1e-12, 1e-1].
    Unidentifiable : the targets cannot be localized even at uniform power.
    SolverFailure : rounding leaves no point to start from.
    """
    if not 1e-12 <= tolerance <= 1e-1:
        raise ValueError(f"tolerance = {tolerance}: must be within [1e-12, 1e-1]")
    started = time.perf_counter()
    built = build(problem)
    prepared = time.perf_counter()
    with single_threaded():
        start = None if warm_start is None else warm_point(built.saddle, warm_start.inner)
        outcome = run(built.saddle, tolerance, start)
        if start is not None and outcome.status == "stalled":
            outcome = run(built.saddle, tolerance)
    covariances, comm_covariances = built.covariances(outcome.best.covariances)
    unit = built.units.objective
    return NativeSolution(
        covariances=covariances,
        comm_covariances=comm_covariances,
        power_price=built.power_price(outcome.best.prices),
        sinr_price=built.sinr_price(outcome.best.prices),
        fisher_weights=built.fisher_weights(outcome.best.prices),
        split_price=built.split_price(outcome.best.prices),
        sidelobe_price=built.sidelobe_price(outcome.best.prices),
        status=outcome.status,
        iterations=outcome.iterations,
        solve_seconds=time.perf_counter() - prepared,
        compile_seconds=prepared - started,
        value=unit * outcome.best.value,
        bound=unit * outcome.best.bound,
        inner=outcome.inner,
    )
