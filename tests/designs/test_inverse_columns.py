"""F^-1 E where F is singular: parameters without information, dependent ones, and positions among them."""

from __future__ import annotations

import numpy as np
import pytest

from disac.designs.convex import solve_certified
from disac.designs.problem.certificate import inverse_columns
from disac.designs.problem.relaxed import RelaxedProblem
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario

N_POSITIONS = 2


def information(seed: int = 0, n_nuisance: int = 4) -> np.ndarray:
    """A positive definite (2 + n, 2 + n) matrix with scales twelve decades apart."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((N_POSITIONS + n_nuisance, 20)) * np.logspace(0, 6, N_POSITIONS + n_nuisance)[:, None]
    return factor @ factor.T


def test_regular_matrix_is_inverted() -> None:
    fisher = information()
    scale = 1 / np.sqrt(np.diag(fisher))
    inverse = scale[:, None] * np.linalg.inv(fisher * scale * scale[:, None]) * scale
    np.testing.assert_allclose(inverse_columns(fisher, N_POSITIONS), inverse[:, :N_POSITIONS], rtol=1e-10)


def test_parameter_without_information_is_left_out() -> None:
    fisher = information()
    kept = np.array([0, 1, 2, 4, 6])
    larger = np.zeros((7, 7))
    larger[np.ix_(kept, kept)] = fisher[:5, :5]
    columns = inverse_columns(larger, N_POSITIONS)
    np.testing.assert_allclose(columns[kept], inverse_columns(fisher[:5, :5], N_POSITIONS), rtol=1e-12)
    assert not columns[[3, 5]].any()


def test_dependent_nuisance_parameters_change_nothing() -> None:
    """Two copies of one parameter, a and b, tell only a + b; the positions do not notice how it is split."""
    fisher = information()
    copies = np.eye(6)[:, [0, 1, 2, 3, 4, 5, 5]]
    dependent = copies.T @ fisher @ copies
    columns = inverse_columns(dependent, N_POSITIONS)
    expected = inverse_columns(fisher, N_POSITIONS)
    np.testing.assert_allclose(columns[:N_POSITIONS], expected[:N_POSITIONS], rtol=1e-8)
    selection = np.eye(7)[:, :N_POSITIONS]
    scale = 1 / np.sqrt(np.diag(dependent))
    np.testing.assert_allclose(scale[:, None] * (dependent @ columns), scale[:, None] * selection, atol=1e-8 * scale[0])


def test_position_without_information_is_refused() -> None:
    fisher = information()
    fisher[1] = fisher[:, 1] = 0.0
    with pytest.raises(np.linalg.LinAlgError, match="y of target 0"):
        inverse_columns(fisher, N_POSITIONS)


def test_position_seen_only_together_with_a_nuisance_parameter_is_refused() -> None:
    together = np.eye(6)[[0, 1, 2, 3, 4]]
    together[0, 5] = 1e3
    fisher = together.T @ information()[:5, :5] @ together
    with pytest.raises(np.linalg.LinAlgError, match="x of target 0"):
        inverse_columns(fisher, N_POSITIONS)


@pytest.mark.parametrize("solver", ["native", "clarabel"])
def test_unknown_angles_that_no_antenna_sees_equal_known_ones(solver: str) -> None:
    """With one antenna each way nothing depends on the angles, so TOF with unknown angles is TOF with known ones."""
    angle = 2 * np.pi * np.arange(3) / 3
    scenario = Scenario(
        nodes=50 * np.stack([np.cos(angle), np.sin(angle)], axis=-1),
        targets=[[3.0, 5.0]],
        users=[[4.0, -7.0]],
        n_tx=1,
        n_rx=1,
        n_subcarriers=6,
        bandwidth_hz=20e6,
        amplitudes=RandomAmplitudes(seed=1),
        channels=RandomChannels(seed=1),
    )
    known, unknown = (
        solve_certified("p2", RelaxedProblem(scenario, "interleaved", 0.0, mode), solver)
        for mode in ("tof", "tof-nuisance")
    )
    for certified in (known, unknown):
        assert certified.relaxed_value / certified.bound.value - 1 <= 1e-5
    assert unknown.relaxed_value == pytest.approx(known.relaxed_value, rel=1e-5)
    assert unknown.bound.value <= known.relaxed_value * (1 + 1e-12)
    assert known.bound.value <= unknown.relaxed_value * (1 + 1e-12)
