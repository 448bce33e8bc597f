"""Designs of one scenario at several thresholds, with what depends on the scenario alone prepared once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from disac.designs.problem.memory import Memory, remembering
from disac.designs.problem.refusals import Infeasible
from disac.designs.registry import DEFAULT_SOLVER, design
from disac.designs.result import DesignResult
from disac.simulator import Scenario
from disac.simulator.checks import check_instance


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
    check_instance("scenario", scenario, Scenario)
    memory = Memory(scenario)
    for sinr_db in sinr_db_values:
        result: DesignResult | Infeasible
        with remembering(memory):
            try:
                result = design(name, scenario, sinr_db, solver=solver, **options)
            except Infeasible as refusal:
                result = refusal
        yield result
