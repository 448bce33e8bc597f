"""Moving targets in the received signals: the turn of every link from symbol to symbol."""

import numpy as np
import pytest

from disac.simulator import Scenario, ScenarioError, synthesize

LIGHT_MPS = 299_792_458.0


def scene(**fields):
    return Scenario.preset("fig4", users=[], n_symbols=6, **fields)


def symbols(s, seed=1):
    rng = np.random.default_rng(seed)
    shape = (s.n_nodes, s.n_tx, s.n_subcarriers, s.n_symbols)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def test_each_link_turns_with_the_rate_of_both_legs():
    s = scene(carrier_hz=28e9, velocities=[[40.0, -10.0], [-15.0, 60.0]], symbol_interval_s=3e-6)
    X = symbols(s)
    expected = np.zeros_like(synthesize(s, X))
    times = (np.arange(6) - 2.5) * 3e-6
    for k in range(2):
        towards = s.targets[k] - s.nodes
        radial = towards @ s.velocities[k] / np.linalg.norm(towards, axis=1)
        for m in range(s.n_nodes):
            only = np.zeros_like(s.amplitudes)
            only[:, m, k] = s.amplitudes[:, m, k]
            echo = synthesize(s.replace(amplitudes=only, velocities=np.zeros((2, 2))), X)
            rate = 2 * np.pi * s.carrier_hz / LIGHT_MPS * (radial + radial[m])
            expected += echo * np.exp(-1j * rate[:, None] * times)[:, None, None, :]
    assert synthesize(s, X) == pytest.approx(expected, rel=1e-9, abs=1e-9 * np.abs(expected).max())


def test_an_approaching_target_has_a_positive_doppler_frequency():
    alone = Scenario(nodes=[[0.0, 0.0]], targets=[[10.0, 0.0]], users=[], orientations=[0.0], n_symbols=2)
    alone = alone.replace(velocities=[[-5.0, 0.0]], carrier_hz=3.5e9, symbol_interval_s=1e-4)
    Y = synthesize(alone, np.ones((1, 6, 16, 2), dtype=complex))
    turn = np.angle(Y[0, 0, 0, 1] / Y[0, 0, 0, 0])
    assert turn / (2 * np.pi * 1e-4) == pytest.approx(2 * 5.0 * 3.5e9 / LIGHT_MPS)


def test_targets_at_rest_give_the_bytes_and_the_digest_of_a_scene_without_velocities():
    s = scene()
    still = scene(velocities=np.zeros((2, 2)), carrier_hz=28e9, symbol_interval_s=1.0)
    X = symbols(s)
    assert np.array_equal(synthesize(still, X), synthesize(s, X))
    assert still.digest == s.digest
    assert scene(velocities=[[1.0, 0.0], [0.0, 0.0]]).digest != s.digest


def test_defaults_follow_what_they_come_from_and_files_keep_them(tmp_path):
    s = scene()
    assert s.symbol_interval_s == pytest.approx(20 / 10e6)
    assert s.replace(bandwidth_hz=20e6).symbol_interval_s == pytest.approx(20 / 20e6)
    assert s.replace(n_subcarriers=32).symbol_interval_s == pytest.approx(40 / 10e6)
    assert s.replace(symbol_interval_s=1e-3).replace(bandwidth_hz=20e6).symbol_interval_s == 1e-3
    assert s.replace(targets=[[1.0, 2.0]], amplitudes=None).velocities.shape == (1, 2)
    moving = s.replace(velocities=[[1.0, 2.0], [3.0, 4.0]], carrier_hz=60e9)
    moving.to_toml(tmp_path / "scene.toml")
    assert Scenario.from_toml(tmp_path / "scene.toml") == moving


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("velocities", [[1.0, 2.0]]),
        ("velocities", [[1.0, np.nan], [0.0, 0.0]]),
        ("carrier_hz", 0.0),
        ("carrier_hz", -1.0),
        ("symbol_interval_s", 0.0),
        ("symbol_interval_s", "long"),
    ],
)
def test_wrong_values_are_refused_by_name(field, value):
    with pytest.raises(ScenarioError, match=field):
        scene(**{field: value})
