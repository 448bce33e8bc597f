"""Sweeps over the threshold: the designs of single calls, made with less work, and nothing left behind."""

from __future__ import annotations

import numpy as np
import pytest

from disac.designs import DesignResult, Infeasible, design, design_sweep
from disac.designs.solvers.native import problems
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario

THRESHOLDS = [0.0, 3.0, 6.0, 9.0]


def scene(n_users: int = 1) -> Scenario:
    return Scenario(
        nodes=[[50.0, 3.0], [-40.0, 20.0]],
        targets=[[3.0, 5.0]],
        users=np.random.default_rng(3).uniform(-20, 20, (n_users, 2)),
        n_tx=4,
        n_rx=4,
        n_subcarriers=6,
        bandwidth_hz=20e6,
        amplitudes=RandomAmplitudes(seed=1),
        channels=RandomChannels(seed=1),
    )


def designs_of(sweep: list[DesignResult | Infeasible]) -> list[DesignResult]:
    found = [result for result in sweep if isinstance(result, DesignResult)]
    assert len(found) == len(sweep)
    return found


@pytest.mark.parametrize("name", ["p1", "p2", "p3", "p3-true"])
def test_values_are_those_of_single_designs_and_iterations_fewer(name: str) -> None:
    s = scene()
    alone = [design(name, s, threshold) for threshold in THRESHOLDS]
    swept = designs_of(list(design_sweep(name, s, THRESHOLDS)))
    for one, other in zip(alone, swept, strict=True):
        assert other.status == one.status == "solved"
        assert other.sinr_db == one.sinr_db
        assert other.relaxed_value <= one.relaxed_value * (1 + other.gap + one.gap)
        assert other.lower_bound <= one.relaxed_value
        assert one.lower_bound <= other.relaxed_value
        assert other.iterations <= one.iterations
    assert sum(r.iterations for r in swept[1:]) <= 0.85 * sum(r.iterations for r in alone[1:])


def test_the_scenario_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[str] = []
    original = problems._sensing_field

    def counted(relaxed: problems.RelaxedProblem, *arguments: object) -> object:
        prepared.append(relaxed.signal)
        return original(relaxed, *arguments)

    monkeypatch.setattr(problems, "_sensing_field", counted)
    s = scene(2)
    list(design_sweep("p2", s, THRESHOLDS))
    assert prepared == ["interleaved"]
    for threshold in THRESHOLDS:
        design("p2", s, threshold)
    assert len(prepared) == 1 + len(THRESHOLDS)


def test_infeasible_threshold_does_not_end_a_sweep() -> None:
    first, refused, last = design_sweep("p2", scene(), [0.0, 90.0, 3.0])
    assert isinstance(refused, Infeasible)
    assert refused.proof is not None
    assert isinstance(first, DesignResult)
    assert isinstance(last, DesignResult)


def test_designs_outside_a_sweep_do_not_depend_on_it() -> None:
    """Bit by bit, between two steps of a sweep and after an error in one."""
    s = scene()
    before = design("p2", s, 6.0)
    sweep = design_sweep("p2", s, THRESHOLDS)
    next(sweep)
    between = design("p2", s, 6.0)
    with pytest.raises(ValueError, match="sinr_db"):
        list(design_sweep("p2", s, [0.0, float("nan")]))
    after = design("p2", s, 6.0)
    for other in (between, after):
        np.testing.assert_array_equal(other.covariances, before.covariances)
        assert other.iterations == before.iterations


def test_two_sweeps_are_equal_and_with_two_users_equal_single_designs() -> None:
    one, other = (designs_of(list(design_sweep("p2", scene(), THRESHOLDS))) for _ in range(2))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.covariances, second.covariances)
    s = scene(2)
    for threshold, swept in zip(THRESHOLDS[:2], design_sweep("p2", s, THRESHOLDS[:2]), strict=True):
        assert isinstance(swept, DesignResult)
        np.testing.assert_array_equal(swept.covariances, design("p2", s, threshold).covariances)
