"""Bounds where information nearly vanishes: those of 50 digits of arithmetic, or refused with a condition number."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from exact_crb import covariances, exact_rcrb, node_powers

from disac.designs import FisherOperator, Unidentifiable, crb, crb_from_blocks, crb_from_fisher, fisher_information
from disac.designs.bounds import crb as bounds
from disac.designs.bounds.clocks import clock_prior
from disac.designs.bounds.crb import WORST_ERROR, position_information
from disac.designs.bounds.elimination import EPSILON
from disac.simulator import Scenario

SMALL: dict[str, object] = {"n_tx": 3, "n_rx": 3, "n_subcarriers": 8}
BASELINE = [[-50.0, 0.0], [50.0, 0.0], [0.0, 50.0]]


def pair(separation_m: float, **fields: object) -> Scenario:
    """Two targets side by side in the middle of four nodes."""
    return Scenario.preset("fig4", targets=[[0.0, 1.0], [separation_m, 1.0]], **{**SMALL, **fields})


def on_the_baseline(offset_m: float = 0.0, nodes: list[list[float]] = BASELINE, **fields: object) -> Scenario:
    """Two targets between the first two nodes, the second one off their line."""
    settings: dict[str, object] = {"users": [[0.0, -20.0]], "n_subcarriers": 24, "bandwidth_hz": 20e6}
    return Scenario(nodes=nodes, targets=[[0.0, 0.0], [10.0, offset_m]], **{**settings, **fields})


def rcrb(scenario: Scenario, powers: np.ndarray) -> float:
    return float(np.sqrt(np.trace(crb(scenario, covariances(scenario, powers)))))


@pytest.mark.parametrize("separation_m", [3.0, 1e-2, 1e-3])
def test_close_targets_have_the_bound_of_exact_arithmetic(separation_m: float) -> None:
    """A ridge of the size of rounding made the trace at 1 cm 2 to 4 % low."""
    scenario = pair(separation_m)
    powers = node_powers(scenario)
    assert rcrb(scenario, powers) == pytest.approx(exact_rcrb(scenario, powers), rel=1e-7)


@pytest.mark.parametrize("separation_m", [1e-7, 1e-9, 1e-11, 1e-12])
def test_closer_targets_are_refused_with_a_condition_number(separation_m: float) -> None:
    scenario = Scenario.preset("fig4", targets=[[0.0, 1.0], [separation_m, 1.0]])
    signals = covariances(scenario, node_powers(scenario))
    with pytest.raises(Unidentifiable, match="target 0 is not identifiable") as caught:
        crb(scenario, signals)
    assert caught.value.condition * EPSILON > WORST_ERROR / 100
    assert pickle.loads(pickle.dumps(caught.value)).condition == caught.value.condition
    with pytest.raises(Unidentifiable):
        crb_from_blocks(FisherOperator(scenario).blocks(signals))


def test_the_estimate_of_the_rounding_error_is_one() -> None:
    for separation_m in (1e-1, 1e-2, 1e-3, 1e-4):
        scenario = pair(separation_m)
        powers = node_powers(scenario)
        information = position_information(FisherOperator(scenario), covariances(scenario, powers))
        error = float(np.sqrt(np.trace(information.covariance))) / exact_rcrb(scenario, powers) - 1
        assert abs(error) < information.error < WORST_ERROR


def test_echoes_that_are_one_leave_positions_identifiable() -> None:
    """Both targets stand on the line of two nodes: their echoes on that link cannot be told apart, and need not be."""
    scenario = on_the_baseline(**SMALL)
    powers = node_powers(scenario, interleaved=False)
    assert rcrb(scenario, powers) == pytest.approx(exact_rcrb(scenario, powers), rel=1e-9)
    for nodes, expected_m in ((BASELINE, 3.029575e-3), (BASELINE[:2], 5.875437e-3)):
        scenario = on_the_baseline(nodes=nodes)
        powers = node_powers(scenario, interleaved=False)
        assert rcrb(scenario, powers) == pytest.approx(expected_m, rel=1e-6)
        information = fisher_information(scenario, covariances(scenario, powers))
        assert np.sqrt(np.trace(crb_from_fisher(information, 2))) == pytest.approx(expected_m, rel=1e-6)


def test_a_target_just_off_the_baseline_is_not_one_on_it() -> None:
    """Two echoes that differ ever so little take a direction from each other, which two that are one do not."""
    bounds = []
    for offset_m in (0.0, 1e-6, 1e-3):
        scenario = on_the_baseline(offset_m, **SMALL)
        powers = node_powers(scenario, interleaved=False)
        bounds.append(exact_rcrb(scenario, powers))
        assert rcrb(scenario, powers) == pytest.approx(bounds[-1], rel=1e-7)
    assert bounds[1] > 1.01 * bounds[0]
    assert bounds[2] == pytest.approx(bounds[1], rel=1e-4)


def test_the_pseudo_inverse_solves_f_y_is_e() -> None:
    scenario = on_the_baseline()
    signals = covariances(scenario, node_powers(scenario))
    fisher = fisher_information(scenario, signals)
    information = position_information(FisherOperator(scenario), signals)
    assert not information.full_rank
    scale = 1 / np.sqrt(np.diag(fisher))
    left = scale[:, None] * (fisher @ information.inverse_columns())
    right = scale[:, None] * np.eye(len(fisher), 4)
    np.testing.assert_allclose(left, right, atol=1e-9 * scale[0])


def test_targets_that_no_signal_reaches_are_refused() -> None:
    """One node with one antenna pair that nulls the target: what is left in floating point is no information."""
    scenario = Scenario(
        nodes=[[0.0, 0.0]],
        orientations=[0.0],
        targets=[[50.0, 0.0]],
        users=[[0.0, -20.0]],
        n_tx=2,
        n_rx=2,
        n_subcarriers=8,
        bandwidth_hz=20e6,
    )
    away = np.array([1.0, -1.0]) / np.sqrt(2)
    toward = np.outer(away, away).astype(complex) + 1e-18 * np.eye(2)
    signals = np.broadcast_to(toward, (8, 2, 2)).copy()
    with pytest.raises(Unidentifiable):
        crb(scenario, signals, "tof")


@pytest.mark.parametrize("gain", [1e-100, 1e100])
def test_extreme_amplitudes_and_noise_leave_the_bound(gain: float) -> None:
    scenario = Scenario.preset("fig4")
    powers = node_powers(scenario)
    scaled = scenario.replace(amplitudes=scenario.amplitudes * gain)
    assert rcrb(scaled, powers) * gain == pytest.approx(rcrb(scenario, powers), rel=1e-9)


@pytest.mark.parametrize("mode", ["hybrid", "tof", "aoa", "tof-nuisance", "aoa-nuisance"])
@pytest.mark.parametrize("clock_std_s", [0.0, 1e-10, np.inf])
def test_orthogonal_transformations_give_what_gram_matrices_give(
    mode: str, clock_std_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = Scenario.preset("fig4", targets=[[0.0, 1.0], [8.0, -5.0]])
    signals = covariances(scenario, node_powers(scenario, interleaved=False))
    operator = FisherOperator(scenario, mode, clocks=clock_std_s > 0)
    prior = clock_prior(scenario.n_nodes, clock_std_s) if clock_std_s > 0 else None
    quick = position_information(operator, signals, prior)
    monkeypatch.setattr(bounds, "_FAST_ERROR", 0.0)
    thorough = position_information(operator, signals, prior)
    assert quick is not thorough
    np.testing.assert_allclose(thorough.covariance, quick.covariance, rtol=1e-8, atol=1e-10 * quick.covariance.max())
    columns = quick.inverse_columns()
    size = np.linalg.norm(columns, axis=1, keepdims=True)
    np.testing.assert_allclose(thorough.inverse_columns() / size, columns / size, atol=1e-7)


@pytest.mark.parametrize("gain", [1e-160, 1e160])
def test_amplitudes_beyond_floating_point_are_refused(gain: float) -> None:
    scenario = Scenario.preset("fig4")
    scaled = scenario.replace(amplitudes=scenario.amplitudes * gain)
    with pytest.raises(ValueError, match=r"amplitudes: the largest is .*, must be within \[1e-120, 1e\+120\]"):
        crb(scaled, covariances(scenario, node_powers(scenario)))


def test_amplitudes_and_noise_scaled_alike_to_the_extreme_leave_the_bound() -> None:
    scenario = Scenario.preset("fig4")
    powers = node_powers(scenario)
    scaled = scenario.replace(amplitudes=scenario.amplitudes * 1e-100, noise_sense=scenario.noise_sense * 1e-200)
    assert rcrb(scaled, powers) == pytest.approx(rcrb(scenario, powers), rel=1e-9)
