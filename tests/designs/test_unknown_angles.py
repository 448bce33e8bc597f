"""Designs for delays where the angles are unknown, but nothing depends on them."""

from __future__ import annotations

import numpy as np
import pytest

from disac.designs.convex import solve_certified
from disac.designs.problem.relaxed import RelaxedProblem
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario


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
