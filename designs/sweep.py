"""Designs of one scenario at several thresholds, with what depends on the scenario alone prepared once.

While a sweep makes a design, :func:`prepared_once` hands out what an earlier one of the same scenario prepared: the
Fisher operator, and the derivatives in the native solver's form. Both are functions of the scenario, so the designs do
not notice. The native solver may also start from the last solution, which :func:`last_solution` holds; that changes the
answer within its certified gap. Nothing outlives a sweep, so no result depends on what ran before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from disac.designs.registry import DEFAULT_SOLVER, design
from disac.designs.result import DesignResult, Infeasible
from disac.simulator import Scenario

if TYPE_CHECKING:
    from disac.designs.native import NativeSolution
    from disac.designs.relaxed import RelaxedProblem

Value = TypeVar("Value")


@dataclass
class _Memory:
    scenario: Scenario
    prepared: dict[tuple[str, ...], Any] = field(default_factory=dict)
    solutions: dict[tuple[str, ...], NativeSolution] = field(default_factory=dict)


_memory: ContextVar[_Memory | None] = ContextVar("sweep", default=None)


def design_sweep(
    name: str,
    scenario: Scenario,
    sinr_db_values: Iterable[float | None],
    *,
    solver: str = DEFAULT_SOLVER,
    **options: float | None,
) -> Iterator[DesignResult | Infeasible]:
    """Designs of one scenario at several SINR thresholds, each as :func:`disac.designs.design` makes it.

    With one user the native solver starts each threshold from the solution at the last one, which saves a third of its
    iterations; with more users a changed threshold moves the solution too far for that to help.

    Parameters
    ----------
    name, scenario, solver, options : as of :func:`disac.designs.design`.
    sinr_db_values : thresholds Gamma_c [dB]; neighbours in the order given should be close.

    Yields
    ------
    The design at each threshold, in order; where it is out of reach, the :class:`Infeasible` with its proof.

    Raises
    ------
    Unidentifiable, ValueError : as :func:`disac.designs.design`.
    """
    memory = _Memory(scenario)
    for sinr_db in sinr_db_values:
        token = _memory.set(memory)
        result: DesignResult | Infeasible
        try:
            result = design(name, scenario, sinr_db, solver=solver, **options)
        except Infeasible as refusal:
            result = refusal
        finally:
            _memory.reset(token)
        yield result


def prepared_once(scenario: Scenario, key: tuple[str, ...], prepare: Callable[[], Value]) -> Value:
    """``prepare()``, or what it returned before under this key in the sweep over this scenario that is going on."""
    memory = _memory.get()
    if memory is None or memory.scenario is not scenario:
        return prepare()
    if key not in memory.prepared:
        memory.prepared[key] = prepare()
    value: Value = memory.prepared[key]
    return value


def last_solution(problem: RelaxedProblem) -> NativeSolution | None:
    """The last solution of this problem at another threshold in the sweep that is going on, where it is of use."""
    memory = _memory.get()
    if memory is None or not _resumes(memory, problem):
        return None
    return memory.solutions.get((problem.signal, problem.mode))


def keep_solution(problem: RelaxedProblem, solution: NativeSolution) -> None:
    """Let the sweep that is going on, if any, start from this solution next."""
    memory = _memory.get()
    if memory is not None and _resumes(memory, problem) and solution.status == "solved":
        memory.solutions[problem.signal, problem.mode] = solution


def _resumes(memory: _Memory, problem: RelaxedProblem) -> bool:
    plain = problem.sidelobes is None and problem.data_from is None
    return plain and memory.scenario is problem.scenario and problem.n_constrained_users == 1
