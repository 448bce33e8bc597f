"""Designs do not depend on the unit of the amplitudes, however extreme."""

from __future__ import annotations

import pytest

from disac.designs import design
from disac.simulator import Scenario

SMALL = {"n_tx": 3, "n_rx": 3, "n_subcarriers": 8, "users": [[0.0, -10.0], [10.0, 5.0]]}


@pytest.mark.parametrize("gain", [1e-100, 1e100])
@pytest.mark.parametrize(
    ("name", "solver"),
    [("p1-noncoherent", "native"), ("p2", "native"), ("p2", "clarabel"), ("p3", "native"), ("p3-true", "native")],
)
@pytest.mark.filterwarnings("error")
def test_scaled_amplitudes_scale_the_bound(name: str, solver: str, gain: float) -> None:
    scenario = Scenario.preset("fig4", targets=[[0.0, 10.0]], **SMALL)
    plain = design(name, scenario, 5.0, solver=solver)
    scaled = design(name, scenario.replace(amplitudes=scenario.amplitudes * gain), 5.0, solver=solver)
    assert scaled.status == plain.status == "solved"
    assert scaled.value * gain**2 == pytest.approx(plain.value, rel=1e-6)
    assert scaled.lower_bound * gain**2 == pytest.approx(plain.lower_bound, rel=1e-5)


@pytest.mark.filterwarnings("error")
def test_one_target_may_be_far_weaker_than_the_other() -> None:
    scenario = Scenario.preset("fig4", targets=[[0.0, 10.0], [10.0, 5.0]], **SMALL)
    amplitudes = scenario.amplitudes.copy()
    amplitudes[..., 1] *= 1e-100
    for name in ("p2", "p3-true"):
        assert design(name, scenario.replace(amplitudes=amplitudes), 5.0).status == "solved"
