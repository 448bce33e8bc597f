"""Designs where two targets stand on the line of two nodes, or close together: certified, never below a bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from disac.designs import DesignResult, design
from disac.simulator import Scenario


def on_the_baseline(offset_m: float = 0.0) -> Scenario:
    """Targets at (0, 0) and (10, offset) between nodes at (-50, 0) and (50, 0)."""
    return Scenario(
        nodes=[[-50.0, 0.0], [50.0, 0.0], [0.0, 50.0]],
        targets=[[0.0, 0.0], [10.0, offset_m]],
        users=[[0.0, -20.0]],
        n_subcarriers=24,
        bandwidth_hz=20e6,
        tx_power=1.0,
        noise_sense=0.01,
    )


@pytest.mark.parametrize("name", ["p2", "p1-noncoherent", "p3"])
def test_echoes_that_are_one_do_not_stop_the_solver(name: str) -> None:
    result = design(name, on_the_baseline(), 20.0)
    assert result.status == "solved"


def test_both_solvers_agree_where_echoes_are_one() -> None:
    native, clarabel = (design("p2", on_the_baseline(), 20.0, solver=solver) for solver in ("native", "clarabel"))
    assert native.status == clarabel.status == "solved"
    assert native.value == pytest.approx(clarabel.value, rel=1e-5)


def test_a_target_just_off_the_baseline() -> None:
    result = design("p2", on_the_baseline(0.01), 20.0)
    assert result.status == "solved"
    assert 1e3 * result.rcrb_m == pytest.approx(1.245738, rel=1e-6)


def test_targets_across_a_circle_of_nodes() -> None:
    angle = 2 * np.pi * np.arange(8) / 8
    nodes = 50 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    scenario = Scenario(nodes=nodes, targets=[[0.0, 0.0], [0.0, 10.0]], users=[[0.0, -20.0]], n_tx=3, n_subcarriers=64)
    assert design("p2", scenario, 10.0).status == "solved"


@pytest.mark.parametrize(("sinr_db", "bound_m2"), [(None, 3.2665), (30.0, 3.9830)])
def test_targets_one_centimetre_apart_are_not_valued_below_their_bound(sinr_db: float | None, bound_m2: float) -> None:
    scenario = Scenario.preset("fig4", targets=[[0.0, 1.0], [0.01, 1.0]])
    result = design("p2", scenario, sinr_db)
    assert result.status == "solved"
    assert result.lower_bound == pytest.approx(bound_m2, rel=1e-4)
    assert result.value >= result.lower_bound


def small_result(name: str) -> DesignResult:
    return design(name, Scenario.preset("fig4", targets=[[0.0, 10.0]], n_tx=2, n_rx=2, n_subcarriers=8), 0.0)


def test_a_value_below_its_bound_is_refused() -> None:
    result = small_result("p2")
    with pytest.raises(ValueError, match=r"value = .*lies below lower_bound"):
        replace(result, value=result.lower_bound * (1 - 1e-7))
    assert replace(result, value=result.lower_bound * (1 - 1e-10)).value < result.lower_bound
    averaged = small_result("p3")
    assert replace(averaged, value=averaged.lower_bound / 2).value < averaged.lower_bound
