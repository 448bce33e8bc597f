"""A sample of the census: symmetric scenes are solved or refused, and nothing of a library leaves a design."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from disac.designs import DesignResult, Unidentifiable, design
from disac.designs.problem.refusals import SolverFailure
from disac.simulator import Scenario

CENSUS = Path(__file__).parents[2] / "benchmarks" / "census.py"


@pytest.fixture
def census(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    spec = importlib.util.spec_from_file_location("census", CENSUS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "census", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not CENSUS.exists(), reason="the benchmarks are not part of this source tree")
def test_symmetric_scenes_are_solved_or_refused(census: ModuleType) -> None:
    small = {"nodes": (2, 3), "antennas": (2, 3), "subcarriers": (6, 8)}
    judged = {seed: census.judged(census.draw(seed, symmetric=True, **small)) for seed in range(15)}
    outcomes = [outcome for outcome, *_ in judged.values()]
    assert set(outcomes) <= {"solved", "refused"}, judged
    assert outcomes.count("solved") >= 10


@pytest.mark.parametrize("separation_m", [1e-1, 1e-3, 1e-4, 1e-5, 1e-7])
@pytest.mark.parametrize("name", ["p2", "p1-noncoherent", "p3"])
def test_close_targets_end_in_a_certified_result_or_a_named_error(name: str, separation_m: float) -> None:
    scenario = Scenario.preset(
        "fig4", targets=[[0.0, 1.0], [separation_m, 1.0]], n_tx=3, n_rx=3, n_subcarriers=8, users=[[0.0, -20.0]]
    )
    try:
        result = design(name, scenario, 10.0)
    except (Unidentifiable, SolverFailure):
        assert separation_m <= 1e-3
        return
    assert isinstance(result, DesignResult)
    if name != "p3":
        assert result.value >= result.lower_bound * (1 - 1e-9 - result.value_error)
