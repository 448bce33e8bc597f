"""The scenario: validation messages, defaults, replacement, storage, random models, description."""

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disac.simulator import (
    RandomAmplitudes,
    RandomChannels,
    Scenario,
    ScenarioError,
    prefix_loss,
    preset,
    preset_names,
)
from disac.simulator.geometry import SPEED_OF_LIGHT, node_to_point

FIG4 = Scenario.preset("fig4")

WRONG = [
    (
        {"nodes": [[0, 5], [0, 5]]},
        r"nodes\[1\] = \[0\.0, 5\.0\]: same point as nodes\[0\], must be at least 0\.001 m apart",
    ),
    ({"targets": [[-46.19, -19.13]]}, r"targets\[0\] = .*: lies on nodes\[0\], must be at least 0\.001 m away"),
    ({"targets": [[1.0, 2.0], [1.0, 2.0]]}, r"targets\[1\] = .*: same point as targets\[0\]"),
    (
        {"targets": [[0.1 + 0.2, 1.0], [0.3, 1.0]]},
        r"targets\[1\] = .*: same point as targets\[0\], targets must differ",
    ),
    ({"orientations": [90.0, 0, 0, 0]}, r"orientations\[0\] = 90\.0: must be in radians .* looks like degrees"),
    ({"orientations": [0.0]}, r"orientations: has shape \(1,\), must have shape \(4,\)"),
    ({"n_subcarriers": 3}, r"n_subcarriers = 3: L must be at least N = 4"),
    ({"targets": [[np.nan, 0.0]]}, r"targets = .*: entry \[0, 0\] is nan, every entry must be finite"),
    ({"nodes": [[0.0, 1.0, 2.0]]}, r"nodes = .*: has shape \(1, 3\), must have shape \(N, 2\)"),
    ({"channels": np.ones((4, 2, 16, 5))}, r"channels: has shape \(4, 2, 16, 5\), must have shape \(4, 2, 16, 6\)"),
    ({"amplitudes": np.ones((4, 4))}, r"amplitudes = .*: has shape \(4, 4\), must have shape \(N, N, K\)"),
    ({"amplitudes": "strong"}, r"amplitudes = 'strong': must be an array of complex numbers"),
    ({"amplitudes": {"seed": -1}}, r"amplitudes\.seed = -1: .*allowed: >= 0"),
    ({"channels": {"sed": 1}}, r"channels\.sed = 1: unknown field"),
    ({"bandwidth": 1e6}, r"bandwidth = 1000000\.0: unknown field; the fields are nodes, .*bandwidth_hz"),
    ({"bandwidth_hz": -1.0}, r"bandwidth_hz = -1\.0: .*allowed: > 0"),
    ({"bandwidth_hz": "20e6"}, r"bandwidth_hz = '20e6': .*valid number"),
    ({"bandwidth_hz": np.inf}, r"bandwidth_hz = inf: .*finite"),
    ({"n_tx": 6.0}, r"n_tx = 6\.0: .*valid integer.*allowed: >= 1"),
    ({"n_symbols": 0}, r"n_symbols = 0: .*allowed: >= 1"),
    ({"tx_power": 0.0}, r"tx_power = 0\.0: .*allowed: > 0"),
    ({"noise_sense": float("nan")}, r"noise_sense = nan"),
    ({"channel_model": {"seed": 5}}, r"channel_model: follows from channels; give channels = \{seed"),
    ({"targets": []}, r"targets = \[\]: at least 1 is needed"),
    ({"area": [[5.0, -5.0], [0.0, 1.0]]}, r"area = .*min < max"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG, ids=[f"{next(iter(f))}-{i}" for i, (f, _) in enumerate(WRONG)])
def test_wrong_values_name_field_value_and_range(fields, message):
    with pytest.raises(ScenarioError) as caught:
        FIG4.replace(**fields)
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)


def test_every_wrong_field_is_reported_at_once():
    with pytest.raises(ScenarioError) as caught:
        FIG4.replace(n_tx=0, tx_power=-1.0)
    assert "n_tx = 0" in str(caught.value)
    assert "tx_power = -1.0" in str(caught.value)


def test_missing_fields_are_named():
    with pytest.raises(ScenarioError, match="targets: missing"):
        Scenario(nodes=[[0, 0]], users=[])


def test_frozen_and_arrays_read_only():
    with pytest.raises(Exception, match="frozen"):
        FIG4.n_tx = 3
    with pytest.raises(ValueError, match="read-only"):
        FIG4.nodes[0, 0] = 1.0


def test_numpy_scalars_are_taken_as_numbers():
    assert FIG4.replace(n_tx=np.int64(4), bandwidth_hz=np.float64(5e6)).n_tx == 4


def test_defaults_follow_the_fields_they_depend_on():
    scene = Scenario(nodes=[[3, 0], [0, 4]], targets=[[1, 1]], users=[])
    np.testing.assert_allclose(scene.orientations, [np.pi, -np.pi / 2])
    assert scene.n_cyclic_prefix == 4
    assert scene.replace(n_subcarriers=64).n_cyclic_prefix == 16
    assert scene.replace(n_subcarriers=64, n_cyclic_prefix=3).n_cyclic_prefix == 3
    np.testing.assert_allclose(scene.replace(nodes=[[0, -5], [0, 5]]).orientations, [np.pi / 2, -np.pi / 2])
    np.testing.assert_allclose(scene.area, [[1.5 - 2.5, 1.5 + 2.5], [2 - 2.5, 2 + 2.5]])


def test_default_area_does_not_depend_on_the_targets():
    scene = Scenario(nodes=[[30, 0], [0, 40]], targets=[[1, 1]], users=[])
    assert np.array_equal(scene.area, scene.replace(targets=[[2, 17]]).area)


def test_random_models_are_redrawn_for_new_sizes_and_explicit_arrays_are_kept():
    wider = FIG4.replace(n_tx=8)
    assert wider.channels.shape == (4, 2, 16, 8)
    assert np.array_equal(wider.amplitudes, FIG4.amplitudes)
    fixed = FIG4.replace(amplitudes=FIG4.amplitudes * 2)
    assert fixed.amplitude_model is None
    assert np.array_equal(fixed.replace(bandwidth_hz=1e6).amplitudes, FIG4.amplitudes * 2)
    with pytest.raises(ScenarioError, match="amplitudes: has shape"):
        fixed.replace(targets=[[0, 0]])


def test_same_seed_same_draw_other_seed_other_draw():
    assert np.array_equal(RandomAmplitudes(seed=3).draw(2, 2), RandomAmplitudes(seed=3).draw(2, 2))
    assert not np.array_equal(RandomAmplitudes(seed=3).draw(2, 2), RandomAmplitudes(seed=4).draw(2, 2))


@pytest.mark.parametrize("fading", ["rayleigh", "constant"])
def test_amplitudes_have_the_stated_mean_power_in_every_draw(fading):
    b = RandomAmplitudes(seed=7, mean_power_db=10.0, fading=fading).draw(3, 2)
    assert np.mean(np.abs(b) ** 2) == pytest.approx(10.0, rel=1e-12)
    if fading == "constant":
        np.testing.assert_allclose(np.abs(b), 10**0.5)


@pytest.mark.statistical(false_alarm=1e-10)
def test_channels_have_unit_gain_over_the_ensemble_not_per_draw():
    gains = np.array([np.mean(np.abs(RandomChannels(seed=i).draw(2, 2, 8, 4)) ** 2) for i in range(400)])
    # mean of 400 draws of 128 unit-mean exponentials each: standard deviation 1 / sqrt(400 * 128)
    assert abs(gains.mean() - 1) < 6.5 / np.sqrt(400 * 128)
    assert not abs(gains.mean() * 4 / 3 - 1) < 6.5 / np.sqrt(400 * 128)
    assert gains.std() > 0.5 / np.sqrt(128)


@pytest.mark.statistical(false_alarm=1e-16)
def test_channels_are_independent_over_subcarriers_and_antennas():
    h = RandomChannels(seed=1).draw(1, 1, 40000, 2)[0, 0]
    for a, b in ((h[:-1, 0], h[1:, 0]), (h[:, 0], h[:, 1])):
        assert abs(np.mean(a * b.conj())) < 6.5 / np.sqrt(len(a))
        assert abs(np.mean(a * b)) < 6.5 / np.sqrt(len(a))
        assert not abs(np.mean(a * (b + 0.1 * a).conj())) < 6.5 / np.sqrt(len(a)), "a correlation of 0.1 is seen"


@pytest.mark.parametrize("name", preset_names())
def test_presets_survive_a_round_trip(name, tmp_path):
    scene = Scenario.preset(name)
    path = tmp_path / "scene.toml"
    scene.to_toml(path)
    assert Scenario.from_toml(path) == scene
    assert not path.with_suffix(".npz").exists()
    assert preset(name).unstated


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**32),
    bandwidth=st.floats(1.0, 1e10),
    amplitudes=st.booleans(),
)
def test_round_trip_loses_nothing(tmp_path_factory, seed, bandwidth, amplitudes):
    scene = Scenario.preset("fig5", bandwidth_hz=bandwidth, channels=RandomChannels(seed=seed))
    scene = (
        scene.replace(channels=scene.channels * np.exp(1j))
        if not amplitudes
        else scene.replace(amplitudes=scene.amplitudes / 3)
    )
    path = tmp_path_factory.mktemp("scene") / "s.toml"
    scene.to_toml(path)
    again = Scenario.from_toml(path)
    assert again == scene
    assert again.digest == scene.digest


def test_files_that_are_wrong_say_why(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text("nodes = [[")
    with pytest.raises(ScenarioError, match="not a TOML file"):
        Scenario.from_toml(path)
    FIG4.replace(amplitudes=FIG4.amplitudes * 2).to_toml(path)
    path.with_suffix(".npz").unlink()
    with pytest.raises(ScenarioError, match=r"arrays = 's\.npz': no such file"):
        Scenario.from_toml(path)


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(ValueError, match="preset = 'fig3': must be one of fig4, fig5, fig7"):
        Scenario.preset("fig3")


def test_pickles_and_hashes():
    assert pickle.loads(pickle.dumps(FIG4)) == FIG4
    assert hash(FIG4) == hash(Scenario.preset("fig4"))
    assert FIG4 != FIG4.replace(bandwidth_hz=1e6)
    assert FIG4.digest != FIG4.replace(bandwidth_hz=1e6).digest


def test_paper_presets():
    np.testing.assert_allclose(np.hypot(*FIG4.nodes.T), 50.0, atol=6e-3)  # printed to two decimals
    assert FIG4.tx_power / FIG4.noise_comm == pytest.approx(100)
    for name, n, k, u, b in (("fig4", 4, 2, 2, 10e6), ("fig5", 2, 2, 2, 20e6), ("fig7", 4, 1, 1, 20e6)):
        scene = Scenario.preset(name)
        assert (scene.n_nodes, scene.n_targets, scene.n_users, scene.bandwidth_hz) == (n, k, u, b)
        assert (scene.n_tx, scene.n_rx, scene.n_subcarriers) == (6, 6, 16)
        assert not np.any(np.all(np.isclose(scene.targets, scene.area.mean(axis=1)), axis=1))
        assert np.all(np.ptp(scene.area, axis=1) >= 100)


def test_global_angles_of_a_known_case():
    # CASES C25: a device's own azimuth differs from atan2 by a fixed rotation
    nodes = np.array([[0.0, 0.0], [0.0, 0.0]])
    points = np.array([[np.cos(np.deg2rad(32.238)), np.sin(np.deg2rad(32.238))]])
    seen = node_to_point(nodes, np.array([0.0, np.pi / 2]), points)
    np.testing.assert_allclose(np.rad2deg(seen.angle[:, 0]), [32.238, 32.238 - 90], atol=1e-9)


def test_geometry_derivatives_match_central_differences():
    step = 1e-4
    base = FIG4.target_geometry
    for axis in range(2):
        shift = np.zeros(2)
        shift[axis] = step
        plus = node_to_point(FIG4.nodes, FIG4.orientations, FIG4.targets + shift)
        minus = node_to_point(FIG4.nodes, FIG4.orientations, FIG4.targets - shift)
        np.testing.assert_allclose(
            base.angle_gradient[..., axis], (plus.angle - minus.angle) / (2 * step), rtol=1e-7, atol=1e-11
        )
        np.testing.assert_allclose(
            base.delay_gradient[..., axis] * SPEED_OF_LIGHT,
            (plus.distance_m - minus.distance_m) / (2 * step),
            rtol=1e-7,
            atol=1e-9,
        )


def test_description_of_the_paper_scene():
    d = FIG4.describe()
    assert d.symbol_s == pytest.approx(1.6e-6)
    assert d.unambiguous_path_m == pytest.approx(479.668, abs=1e-3)
    assert d.unambiguous_path_interleaved_m == pytest.approx(119.917, abs=1e-3)
    assert d.prefix_needed == 4
    assert not d.warnings


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_cyclic_prefix": 2}, "longer than the cyclic prefix of 200 ns"),
        ({"bandwidth_hz": 100e6}, "longer than one OFDM symbol of 160 ns"),
        ({"bandwidth_hz": 100e6}, "32 of 32 paths are longer than the 11.9917 m"),
        ({"orientations": [0.4, -0.4, 1.2, 2.0]}, "target 0 lies behind node 1"),
        ({"targets": [[0.0, 0.0], [0.0, 200.0]]}, "target 1 at .* lies outside the search area"),
        (
            {"nodes": [[0.0, -50.0], [0.005, -50.0], [50, 0], [-50, 0]]},
            "nodes 0 and 1 are 0.005 m apart: are these degrees",
        ),
    ],
)
def test_contradictions_are_told(fields, message):
    text = str(FIG4.replace(**fields).describe())
    assert re.search(message, text), text


def test_a_path_as_long_as_the_prefix_fits_it():
    distance = 2 * SPEED_OF_LIGHT / 7e6
    s = Scenario(
        nodes=[[0.0, 0.0]],
        targets=[[distance, 0.0]],
        users=[],
        n_cyclic_prefix=4,
        bandwidth_hz=7e6,
        area=[[1.0, 2 * distance], [-distance, distance]],
    )
    about = s.describe()
    assert about.prefix_needed == 4
    assert not [warning for warning in about.warnings if "prefix" in warning]
    late = s.replace(targets=[[distance + 0.1, 0.0]]).describe()
    assert late.prefix_needed == 5
    assert "longer than the cyclic prefix" in late.warnings[0]
    loss = prefix_loss(1e-9, 16, 4, 7e6)
    assert not np.signbit([loss.useful, loss.intercarrier, loss.intersymbol]).any()


def test_an_image_behind_the_array_is_warned_of_where_the_area_holds_it():
    s = Scenario(nodes=[[-50.0, 0.0]], targets=[[-20.0, 5.0]], users=[])
    (warning,) = [text for text in s.describe().warnings if "mirror image at" in text]
    assert "target 0 from its mirror image at (-80, 5) m" in warning
    assert not s.replace(area=[[-50.0, 50.0], [-50.0, 50.0]]).describe().warnings
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = s.replace(
        nodes=s.nodes @ turn.T,
        targets=s.targets @ turn.T,
        orientations=[angle],
        area=[[-100.0, 100.0], [-100.0, 100.0]],
    )
    image = turn @ np.array([-80.0, 5.0])
    assert f"({image[0]:.6g}, {image[1]:.6g})" in "\n".join(turned.describe().warnings)


def test_images_of_several_nodes_need_arrays_along_their_line():
    nodes, area = [[-50.0, 0.0], [50.0, 0.0]], [[-60.0, 60.0], [-60.0, 60.0]]
    along = Scenario(nodes=nodes, targets=[[5.0, 20.0]], users=[], orientations=[np.pi / 2, np.pi / 2], area=area)
    assert "target 0 from its mirror image at (5, -20) m" in "\n".join(along.describe().warnings)
    facing = "\n".join(along.replace(orientations=[0.0, np.pi]).describe().warnings)
    assert "mirror image at" not in facing
    assert "begins on the side that the angles point to" in facing
