"""What the designs of one scenario share while a sweep makes them.

While a sweep makes a design, :func:`prepared_once` hands out what an earlier one of the same scenario prepared: the
Fisher operator, and the derivatives in the native solver's form. Both are functions of the scenario, so the designs do
not notice. The native solver may also start from the last solution, which :func:`last_solution` holds; that changes the
answer within its certified gap. Nothing outlives a sweep, so no result depends on what ran before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from disac.designs.problem.relaxed import RelaxedProblem
from disac.simulator import Scenario

Value = TypeVar("Value")


@dataclass
class Memory:
    """What the designs of one scenario share."""

    scenario: Scenario
    prepared: dict[tuple[str, ...], Any] = field(default_factory=dict)
    solutions: dict[tuple[str, ...], Any] = field(default_factory=dict)


_memory: ContextVar[Memory | None] = ContextVar("sweep", default=None)


@contextmanager
def remembering(memory: Memory) -> Iterator[None]:
    """Let designs made in this context share what ``memory`` holds."""
    token = _memory.set(memory)
    try:
        yield
    finally:
        _memory.reset(token)


def prepared_once(scenario: Scenario, key: tuple[str, ...], prepare: Callable[[], Value]) -> Value:
    """``prepare()``, or what it returned before under this key in the sweep over this scenario that is going on."""
    memory = _memory.get()
    if memory is None or memory.scenario is not scenario:
        return prepare()
    if key not in memory.prepared:
        memory.prepared[key] = prepare()
    value: Value = memory.prepared[key]
    return value


def last_solution(problem: RelaxedProblem) -> Any:
    """The last solution of this problem at another threshold in the sweep that is going on, where it is of use."""
    memory = _memory.get()
    if memory is None or not _resumes(memory, problem):
        return None
    return memory.solutions.get((problem.signal, problem.mode))


def keep_solution(problem: RelaxedProblem, solution: Any) -> None:
    """Let the sweep that is going on, if any, start from this solution next."""
    memory = _memory.get()
    if memory is not None and _resumes(memory, problem) and solution.status == "solved":
        memory.solutions[problem.signal, problem.mode] = solution


def _resumes(memory: Memory, problem: RelaxedProblem) -> bool:
    plain = problem.sidelobes is None and problem.data_from is None
    return plain and memory.scenario is problem.scenario and problem.n_constrained_users == 1
