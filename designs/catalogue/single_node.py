"""Baseline: one node alone, monostatic radar and all users, as in single-node ISAC."""

from __future__ import annotations

from dataclasses import replace

from disac.designs.bounds.crb import Unidentifiable
from disac.designs.catalogue.p2 import extract
from disac.designs.convex import convex_design
from disac.designs.problem.refusals import Infeasible
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.registry import register_design
from disac.designs.result import DesignResult
from disac.simulator import Scenario


@register_design("single-node", label="single node", tight=True)
def single_node(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """The best single node: every node is tried alone on all subcarriers, the others neither send nor receive.

    The result's ``scenario`` holds that node only, and all its arrays have N = 1.

    Raises
    ------
    Infeasible : no node that locates the targets can give every user ``sinr_db``.
    Unidentifiable : no node alone can locate the targets.
    """
    results, refusals, blind = [], [], []
    for node in range(scenario.n_nodes):
        alone = scenario_of_node(scenario, node)
        try:
            results.append(convex_design("single-node", RelaxedProblem(alone, "interleaved", sinr_db), solver, extract))
        except Infeasible as refusal:
            refusals.append(refusal)
        except Unidentifiable as error:
            blind.append(error)
    if not results and not refusals:
        raise blind[0]
    if not results:
        raise max(refusals, key=lambda refusal: refusal.largest_feasible_sinr_db)
    best = min(results, key=lambda result: result.value)
    return replace(best, solve_seconds=sum(result.solve_seconds for result in results))


def scenario_of_node(scenario: Scenario, node: int) -> Scenario:
    """The scenario in which only one node exists."""
    only = slice(node, node + 1)
    return scenario.replace(
        nodes=scenario.nodes[only],
        orientations=scenario.orientations[only],
        amplitudes=scenario.amplitudes[only, only],
        channels=scenario.channels[only],
        area=scenario.area,
        subcarrier_allocation=None,
    )
