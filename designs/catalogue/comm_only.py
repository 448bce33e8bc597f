"""Baseline: the largest SINR that all users can have, sensing ignored."""

from __future__ import annotations

import time

import numpy as np

from disac.designs.precoding.measure import fixed_design
from disac.designs.problem.feasibility import largest_feasible_sinr, unreachable_user
from disac.designs.problem.refusals import Infeasible
from disac.designs.registry import register_design
from disac.designs.result import DesignResult
from disac.simulator import Scenario


@register_design("comm-only", label="communication only", tight=True, depends_on_sinr=False)
def comm_only(scenario: Scenario, sinr_db: float | None, *, solver: str) -> DesignResult:
    """Max-min SINR by noncoherent joint transmission: data alone, at the certified edge of feasibility.

    The edge is found by :func:`disac.designs.problem.feasibility.largest_feasible_sinr` whatever ``solver`` says.

    Raises
    ------
    ValueError : the scenario has no users.
    Infeasible : the threshold is out of reach; without one too where no node reaches a user.
    """
    del solver
    if scenario.n_users == 0:
        raise ValueError("users = []: comm-only needs at least 1 user")
    started = time.perf_counter()
    everywhere = np.ones((scenario.n_nodes, scenario.n_subcarriers), dtype=bool)
    edge = largest_feasible_sinr(scenario, everywhere)
    where = unreachable_user(scenario, everywhere)
    if where is not None or (sinr_db is not None and sinr_db > edge.sinr_db):
        raise Infeasible("comm-only", sinr_db, edge.sinr_db, edge.proof, where)
    silent = np.zeros((scenario.n_nodes, scenario.n_subcarriers, scenario.n_tx, scenario.n_tx), dtype=complex)
    seconds = time.perf_counter() - started
    return fixed_design(scenario, edge.comm_precoders, silent, name="comm-only", sinr_db=sinr_db, solve_seconds=seconds)
