"""Every solver on problems with closed-form answers: value, price of power, edge, and honest intervals."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from known_problems import PROBLEMS, KnownProblem

from disac.designs import Infeasible
from disac.designs.convex import solve_certified
from disac.designs.problem.refusals import SolverFailure
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.result import GAP_LIMIT

FEASIBLE = {name: known for name, known in PROBLEMS.items() if known.value is not None}
REFUSED = {name: known for name, known in PROBLEMS.items() if known.value is None}


def relaxed(known: KnownProblem) -> RelaxedProblem:
    return RelaxedProblem(known.scenario, known.signal, known.sinr_db, known.mode)


@functools.cache
def solved(name: str, solver: str):
    try:
        return solve_certified("bank", relaxed(PROBLEMS[name]), solver)
    except SolverFailure as failure:
        if solver == "mosek":
            pytest.skip(f"no licence: {failure}")
        raise


@pytest.mark.parametrize("name", FEASIBLE)
@pytest.mark.parametrize("solver", ["native", "clarabel"])
def test_value_is_the_known_one(name, solver):
    known = FEASIBLE[name]
    certified = solved(name, solver)
    assert certified.bound.value <= known.value * (1 + 1e-9)
    assert certified.relaxed_value >= known.value * (1 - 1e-9)
    assert certified.relaxed_value <= certified.bound.value * (1 + GAP_LIMIT)
    assert certified.relaxed_value == pytest.approx(known.value, rel=GAP_LIMIT)


@pytest.mark.parametrize("name", FEASIBLE)
@pytest.mark.parametrize("solver", ["scs", "mosek"])
def test_interval_holds_the_known_value_however_rough_the_solver(name, solver):
    known = FEASIBLE[name]
    certified = solved(name, solver)
    assert certified.bound.value <= known.value * (1 + 1e-9)
    assert certified.relaxed_value >= known.value * (1 - 1e-9)


@pytest.mark.parametrize("name", [name for name in FEASIBLE if not name.startswith("1e-3 dB")])
@pytest.mark.parametrize("solver", ["native", "clarabel"])
def test_price_of_power_is_the_slope_of_the_value(name, solver):
    known = FEASIBLE[name]
    assert np.sum(solved(name, solver).bound.power_price) == pytest.approx(known.power_price, rel=1e-3)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("solver", ["native", "clarabel", "scs", "mosek"])
def test_refusal_names_the_known_edge(name, solver):
    known = REFUSED[name]
    with pytest.raises(Infeasible) as refusal:
        solved(name, solver)
    assert refusal.value.largest_feasible_sinr_db == pytest.approx(known.edge_db, abs=2e-4)
