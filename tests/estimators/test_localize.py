"""Contract of the position estimators: truth from clean data, invariances, geometry conventions, errors that teach."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from disac.designs import design
from disac.estimators import MODES, Localizer, NoEstimate, Search, localize, sufficient_statistics
from disac.estimators.ml.multistart import Targets
from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.studies.link import at_snr
from disac.experiments.trials.keys import TrialKey
from disac.experiments.trials.observation import Transmission
from disac.simulator import RandomAmplitudes, Scenario, synthesize
from disac.simulator.geometry import SPEED_OF_LIGHT

TWO_TARGETS = [[1.7, -3.1], [-8.0, 12.4]]


def waveform(scenario, rng, orthogonal=True):
    """Gaussian symbols of power P_T / L per antenna and subcarrier, or all of it on a node's own subcarriers."""
    shape = (scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers, scenario.n_symbols)
    X = rng.standard_normal((*shape, 2)) @ np.array([1, 1j]) * np.sqrt(scenario.tx_power / (2 * scenario.n_subcarriers))
    if orthogonal:
        own = np.arange(scenario.n_nodes)[:, None] == scenario.subcarrier_node
        X *= np.sqrt(scenario.n_nodes) * own[:, None, :, None]
    return X


def paired(positions, truth):
    """Estimates in the order of the truth, by the assignment of least squared distance."""
    distance = np.linalg.norm(truth[:, None] - positions[None], axis=2)
    return positions[linear_sum_assignment(distance**2)[1]]


def worst(estimate, truth):
    """Largest distance between a target and its estimate [m]."""
    return np.linalg.norm(paired(estimate.positions, truth) - truth, axis=1).max()


@pytest.fixture(scope="module")
def noisy():
    """Two targets, orthogonal signals, one noisy trial."""
    scenario = Scenario.preset("fig4", targets=TWO_TARGETS)
    rng = np.random.default_rng(11)
    X = waveform(scenario, rng)
    return scenario, X, synthesize(scenario, X, rng=rng)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_targets", [1, 2])
def test_noiseless_data_gives_the_truth(n_targets, mode):
    scenario = Scenario.preset("fig4", targets=TWO_TARGETS[:n_targets])
    X = waveform(scenario, np.random.default_rng(3))
    estimate = localize(scenario, X, synthesize(scenario, X), mode=mode)
    assert worst(estimate, scenario.targets) < 1e-9
    assert estimate.converged
    assert not estimate.at_edge
    assert estimate.mode == mode
    order = [int(np.argmin(np.linalg.norm(estimate.positions - q, axis=1))) for q in scenario.targets]
    np.testing.assert_allclose(estimate.amplitudes[:, :, order], scenario.amplitudes, atol=1e-8)
    np.testing.assert_allclose(estimate.angles[:, order], scenario.target_geometry.angle, atol=1e-9)
    np.testing.assert_allclose(estimate.delays_s[:, order], scenario.target_geometry.delay_s, atol=1e-17)


@pytest.mark.parametrize(
    "fields",
    [
        {"n_tx": 3, "n_rx": 5},
        {"n_tx": 8, "n_rx": 2, "n_subcarriers": 9, "n_symbols": 5},
        {"orientations": [0.3, 2.0, 1.2, -4.4]},
        {"bandwidth_hz": 40e6},
        {"n_symbols": 1},
    ],
    ids=["M_t < M_r", "uneven subcarriers", "rotated arrays", "wide band", "one symbol"],
)
@pytest.mark.parametrize("orthogonal", [True, False], ids=["orthogonal", "shared"])
def test_noiseless_data_of_any_scene_gives_the_truth(fields, orthogonal):
    scenario = Scenario.preset("fig4", targets=TWO_TARGETS, **fields)
    X = waveform(scenario, np.random.default_rng(4), orthogonal)
    estimate = localize(scenario, X, synthesize(scenario, X))
    assert worst(estimate, scenario.targets) < 1e-8
    assert estimate.converged


def test_genies_keep_the_order_of_the_targets():
    scenario = Scenario.preset("fig4", targets=TWO_TARGETS)
    X = waveform(scenario, np.random.default_rng(5))
    for mode in ("tof-genie", "aoa-genie"):
        for flip in (slice(None), slice(None, None, -1)):
            scene = scenario.replace(targets=scenario.targets[flip], amplitudes=scenario.amplitudes[:, :, flip])
            estimate = localize(scene, X, synthesize(scene, X), mode=mode)
            np.testing.assert_allclose(estimate.positions, scene.targets, atol=1e-9)


@pytest.mark.parametrize("mode", [mode for mode in MODES if "genie" not in mode])
def test_reads_neither_targets_nor_amplitudes(noisy, mode):
    scenario, X, Y = noisy
    poison = {name: np.full_like(getattr(scenario, name), np.nan) for name in ("targets", "amplitudes")}
    clean, poisoned = (localize(s, X, Y, mode=mode) for s in (scenario, scenario.model_copy(update=poison)))
    for name in ("positions", "amplitudes", "angles", "delays_s"):
        assert getattr(clean, name).tobytes() == getattr(poisoned, name).tobytes()
    assert clean.criterion == poisoned.criterion


@pytest.mark.parametrize("mode", MODES)
def test_rigid_motion_of_the_scene_moves_the_estimate(noisy, mode):
    scenario, X, Y = noisy
    angle, shift = 0.83, np.array([310.0, -47.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    area = np.array([[-40.0, 40.0], [-15.0, 50.0]])
    corners = np.array([[x, y] for x in area[0] for y in area[1]]) @ turn.T + shift
    moved = scenario.replace(
        nodes=scenario.nodes @ turn.T + shift,
        targets=scenario.targets @ turn.T + shift,
        users=scenario.users @ turn.T + shift,
        orientations=scenario.orientations + angle,
        area=np.stack([corners.min(axis=0), corners.max(axis=0)], axis=1),
    )
    first = localize(scenario, X, Y, mode=mode, search=Search(area=area))
    second = localize(moved, X, Y, mode=mode)
    np.testing.assert_allclose(
        paired(second.positions, moved.targets), paired(first.positions, scenario.targets) @ turn.T + shift, atol=1e-7
    )


@pytest.mark.parametrize("mode", ["hybrid", "tof-nuisance", "aoa-nuisance"])
def test_shifting_the_search_box_changes_nothing(noisy, mode):
    scenario, X, Y = noisy
    reference = localize(scenario, X, Y, mode=mode)
    for seed in range(3):
        shift = np.random.default_rng(seed).uniform(-5, 5, (2, 1))
        estimate = localize(scenario, X, Y, mode=mode, search=Search(area=scenario.area + shift))
        np.testing.assert_allclose(estimate.positions, reference.positions, atol=1e-7)


@pytest.mark.parametrize("mode", MODES)
def test_order_of_the_nodes_changes_nothing(noisy, mode):
    scenario, X, Y = noisy
    order = np.array([2, 0, 3, 1])
    permuted = scenario.replace(
        nodes=scenario.nodes[order],
        orientations=scenario.orientations[order],
        amplitudes=scenario.amplitudes[np.ix_(order, order)],
        channels=scenario.channels[order],
    )
    first, second = localize(scenario, X, Y, mode=mode), localize(permuted, X[order], Y[order], mode=mode)
    np.testing.assert_allclose(second.positions, first.positions, atol=1e-7)
    np.testing.assert_allclose(second.amplitudes, first.amplitudes[np.ix_(order, order)], rtol=1e-5)


@pytest.mark.parametrize("orthogonal", [True, False], ids=["orthogonal", "shared"])
def test_units_do_not_matter(orthogonal):
    scenario = Scenario.preset("fig4", targets=TWO_TARGETS)
    rng = np.random.default_rng(6)
    X = waveform(scenario, rng, orthogonal)
    Y = synthesize(scenario, X, rng=rng)
    reference = localize(scenario, X, Y)
    for louder, stronger in ((1e-9, 1.0), (1e9, 1.0), (1.0, 1e8), (1.0, 1e-8)):
        estimate = localize(scenario, stronger * X, louder * Y)
        np.testing.assert_allclose(estimate.positions, reference.positions, atol=1e-7)
        np.testing.assert_allclose(estimate.noise_variance, louder**2 * reference.noise_variance, rtol=1e-6)
        np.testing.assert_allclose(estimate.amplitudes, louder / stronger * reference.amplitudes, rtol=1e-5)
    for size in (1e-3, 1e3):
        scaled = scenario.replace(
            **{name: size * getattr(scenario, name) for name in ("nodes", "targets", "users", "area")},
            bandwidth_hz=scenario.bandwidth_hz / size,
        )
        estimate = localize(scaled, X, Y)
        np.testing.assert_allclose(estimate.positions, size * reference.positions, atol=1e-7 * size)


def test_sign_conventions_are_caught():
    """Conjugated samples, a reversed array or carriers counted from the other end do not pass for the right data."""
    scenario = Scenario.preset("fig4", targets=[[11.0, -3.0]])
    X = waveform(scenario, np.random.default_rng(7))
    Y = synthesize(scenario, X)
    right = localize(scenario, X, Y)
    assert worst(right, scenario.targets) < 1e-9
    for name, wrong in (("conjugate", Y.conj()), ("array", Y[:, ::-1]), ("carriers", Y[:, :, ::-1])):
        estimate = localize(scenario, X, wrong)
        assert worst(estimate, scenario.targets) > 1.0, name
        assert estimate.criterion < 0.9 * right.criterion, name


def test_nuisance_angles_absorb_wrong_orientations(noisy):
    """Arrays that point a few degrees off bias the hybrid estimate and do not move the one that frees the angles."""
    scenario, X, Y = noisy
    turned = scenario.replace(orientations=scenario.orientations + np.deg2rad([4.0, -5.0, 3.0, 5.0]))
    right, wrong = (localize(s, X, Y, mode="tof-nuisance") for s in (scenario, turned))
    np.testing.assert_allclose(wrong.positions, right.positions, atol=1e-7)
    assert worst(localize(turned, X, Y), scenario.targets) > 0.1


def test_nuisance_delays_absorb_hardware_delays():
    """Unknown delays in each node's transmit and receive chain do not move the estimate that frees the delays."""
    scenario = Scenario.preset("fig4", targets=TWO_TARGETS)
    X = waveform(scenario, np.random.default_rng(15))
    late = np.array([3e-9, 0.0, 7e-9, 5e-9])
    spectrum = np.exp(-2j * np.pi * np.outer(late, np.arange(16)) * scenario.bandwidth_hz / 16)[:, None, :, None]
    Y = spectrum * synthesize(scenario, spectrum * X)
    estimate = localize(scenario, X, Y, mode="aoa-nuisance")
    assert worst(estimate, scenario.targets) < 1e-9
    delays = scenario.target_geometry.delay_s + late[:, None]
    order = [int(np.argmin(np.linalg.norm(estimate.positions - q, axis=1))) for q in scenario.targets]
    np.testing.assert_allclose(estimate.delays_s[:, order], delays, atol=1e-16)
    assert worst(localize(scenario, X, Y), scenario.targets) > 0.1


def test_one_node_cannot_tell_front_from_back_but_several_can():
    nodes = np.array([[-40.0, -20.0], [35.0, -30.0], [0.0, 45.0]])
    target = np.array([[6.0, 11.0]])
    for n_nodes in (1, 3):
        scenario = Scenario(
            nodes=nodes[:n_nodes], targets=target, users=np.zeros((0, 2)), area=[[-150, 150], [-150, 150]]
        )
        X = waveform(scenario, np.random.default_rng(8))
        statistics = sufficient_statistics(X, synthesize(scenario, X))
        localizer = Localizer(scenario)
        axis = np.array([-np.sin(scenario.orientations[0]), np.cos(scenario.orientations[0])])
        offset = target[0] - nodes[0]
        image = nodes[0] + 2 * (offset @ axis) * axis - offset
        at_target, at_image = (localizer.criterion(statistics, point) for point in (target, image))
        assert at_target == pytest.approx(statistics.energy, rel=1e-12)
        if n_nodes == 1:
            assert at_image == pytest.approx(at_target, rel=1e-12)
        else:
            assert at_image < 0.9 * at_target


def test_delays_alone_repeat_after_an_unambiguous_path():
    """N = 1: a target half an unambiguous path further along its ray has the same delay likelihood."""
    scenario = Scenario(nodes=[[0.0, 0.0]], targets=[[30.0, 40.0]], users=np.zeros((0, 2)))
    rng = np.random.default_rng(9)
    X = waveform(scenario, rng)
    statistics = sufficient_statistics(X, synthesize(scenario, X, rng=rng))
    path = SPEED_OF_LIGHT * scenario.n_subcarriers / scenario.bandwidth_hz
    localizer = Localizer(scenario, "tof-genie")
    here = scenario.targets[0]
    repeated = here + path / 2 * here / np.linalg.norm(here)
    assert localizer.criterion(statistics, repeated) == pytest.approx(localizer.criterion(statistics, here), rel=1e-9)
    nearby = here + path / 7 * here / np.linalg.norm(here)
    assert localizer.criterion(statistics, nearby) < 0.9 * localizer.criterion(statistics, here)


def test_a_ring_of_equal_likelihood_is_not_called_converged():
    """One node that only measures delay knows the distance; the curvature along the circle is zero."""
    scenario = Scenario(nodes=[[0.0, 0.0]], targets=[[30.0, 40.0]], users=np.zeros((0, 2)))
    rng = np.random.default_rng(10)
    X = waveform(scenario, rng)
    estimate = localize(scenario, X, synthesize(scenario, X, rng=rng), mode="tof-genie")
    assert not estimate.converged
    assert np.linalg.norm(estimate.positions) == pytest.approx(50.0, abs=0.1)


def test_a_maximum_just_inside_the_edge_is_found_and_one_outside_is_flagged(noisy):
    scenario, X, Y = noisy
    inside = localize(scenario, X, Y)
    x_max = inside.positions[:, 0].max()
    reference = inside.positions[np.argmax(inside.positions[:, 0])]
    for margin, held in ((1e-4, False), (-0.05, True)):
        area = [[-63.0, x_max + margin], [-55.0, 65.0]]
        estimate = localize(scenario, X, Y, search=Search(area=area))
        assert estimate.at_edge == held
        assert estimate.converged
        assert estimate.positions[:, 0].max() <= x_max + margin
        nearest = estimate.positions[np.argmax(estimate.positions[:, 0])]
        if held:
            assert nearest[0] == x_max + margin
        else:
            np.testing.assert_allclose(nearest, reference, atol=1e-7)


@pytest.mark.parametrize("size", [1000.0, 1.0])
def test_estimates_stay_in_large_and_small_areas(size):
    scenario = Scenario.preset("fig4", targets=[[0.2, -0.1]])
    area = np.array([[-0.45, 0.55], [-0.4, 0.6]]) * size
    rng = np.random.default_rng(12)
    for noise in (1e-2, 1e8):
        scene = scenario.replace(noise_sense=noise)
        X = waveform(scene, rng)
        estimate = localize(scene, X, synthesize(scene, X, rng=rng), search=Search(area=area))
        assert np.all((estimate.positions >= area[:, 0]) & (estimate.positions <= area[:, 1]))
        if noise < 1:
            assert worst(estimate, scene.targets) < 0.01
            assert estimate.converged


def test_a_silent_node_still_receives():
    scenario = Scenario.preset("fig4", targets=TWO_TARGETS)
    for orthogonal in (True, False):
        X = waveform(scenario, np.random.default_rng(13), orthogonal)
        X[2] = 0
        estimate = localize(scenario, X, synthesize(scenario, X))
        assert worst(estimate, scenario.targets) < 1e-9
        assert np.isnan(estimate.amplitudes[:, 2]).all()
        assert np.isfinite(np.delete(estimate.amplitudes, 2, axis=1)).all()


def test_far_pair_is_found_at_30_db():
    """Three resolution cells c / B apart: both targets in at least 99 % of the trials."""
    cell = SPEED_OF_LIGHT / 15e6
    rng = np.random.default_rng(14)
    found = 0
    for seed in range(100):
        angle = rng.uniform(0, np.pi)
        offset = 1.5 * cell * np.array([np.cos(angle), np.sin(angle)])
        scenario = Scenario.preset(
            "fig4",
            bandwidth_hz=15e6,
            targets=[offset, -offset],
            noise_sense=1e-3,
            amplitudes=RandomAmplitudes(seed=seed),
        )
        X = waveform(scenario, rng)
        found += worst(localize(scenario, X, synthesize(scenario, X, rng=rng)), scenario.targets) < 0.1 * cell
    assert found >= 99


@pytest.mark.statistical(false_alarm=1e-11)
def test_noise_variance_is_that_of_a_sample(noisy):
    scenario, X, Y = noisy
    estimate = localize(scenario, X, Y)
    expected, tolerance = scenario.noise_sense_per_subcarrier, 7 / np.sqrt(Y.size)
    assert estimate.noise_variance == pytest.approx(expected, rel=tolerance)
    assert estimate.noise_variance != pytest.approx(2 * expected, rel=tolerance)


def test_a_localizer_gives_the_same_bytes_every_time(noisy):
    scenario, X, Y = noisy
    localizer = Localizer(scenario)
    first = localizer(X, Y)
    localizer(X, Y.conj())
    assert localizer(X, Y).positions.tobytes() == first.positions.tobytes()


@pytest.mark.parametrize("mode", ["tof", "aoa", "Hybrid"])
def test_unknown_mode_names_the_choices(mode):
    with pytest.raises(ValueError, match="hybrid, tof-genie, aoa-genie, tof-nuisance, aoa-nuisance; a genie is told"):
        Localizer(Scenario.preset("fig4"), mode)


def test_wrong_data_is_refused_by_name(noisy):
    scenario, X, Y = noisy
    with pytest.raises(ValueError, match=r"X: has shape \(4, 6, 16\), must have 4 axes"):
        localize(scenario, X[..., 0], Y)
    with pytest.raises(ValueError, match=r"Y: has shape .* to go with X"):
        localize(scenario, X, Y[:, :, :8])
    with pytest.raises(ValueError, match=r"X: has shape .* but the scenario has"):
        localize(scenario, X[:, :3], Y)
    for name in ("X", "Y"):
        arrays = {"X": X.copy(), "Y": Y.copy()}
        arrays[name][1, 2, 1, 4] = np.nan
        with pytest.raises(ValueError, match=f"{name}: entry .* every entry must be finite"):
            localize(scenario, arrays["X"], arrays["Y"])
    with pytest.raises(NoEstimate, match="no node transmits"):
        localize(scenario, 0 * X, Y)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("area", [[0, 0], [0, 1]]),
        ("area", [0, 1]),
        ("step_m", 0.0),
        ("step_m", float("nan")),
        ("n_starts", 0),
        ("n_starts", 2.5),
        ("max_cycles", -1),
        ("max_iterations", 0),
        ("tolerance", 0.0),
    ],
)
def test_wrong_search_settings_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"^{field} = "):
        Search(**{field: value})


def test_an_endless_grid_is_refused():
    with pytest.raises(ValueError, match=r"step_m = 0\.001: gives .* grid points"):
        Localizer(Scenario.preset("fig4"), search=Search(step_m=1e-3))


def test_wide_band_signals_on_shared_subcarriers_are_not_stepped_over():
    """P.1 in Fig. 8's scene at 100 MHz, a draw whose main lobe is half as wide as that of orthogonal signals."""
    shape = PaperScenario.at({"n_nodes": 2, "n_targets": 1, "n_users": 1, "bandwidth_hz": 100e6})
    scenario = shape.draw(TrialKey(0, 0, 1)).replace(n_symbols=16)
    sent = design("p1", scenario, 30.0)
    echo = Transmission(scenario, sent.comm_precoders, sent.radar_precoders, known_phases=True)
    for number in range(3):
        estimate = Localizer(scenario).from_statistics(echo.observe(TrialKey(0, 5, number)).statistics)
        assert np.hypot(*(estimate.positions[0] - scenario.targets[0])) < 0.01


def test_no_maximum_near_the_estimate_is_higher_where_nodes_share_subcarriers():
    """Noisy correlated signals have several maxima in the main lobe; climbs from around find none that is higher."""
    scenario = Scenario.preset("fig7")
    sent = design("p1", scenario, 20.0)
    echo = Transmission(at_snr(scenario, -44.0), sent.comm_precoders, sent.radar_precoders, known_phases=True)
    localizer = Localizer(scenario)
    around = np.linspace(-1, 1, 13) * localizer.grid.step_m
    offsets = np.stack(np.meshgrid(around, around), axis=-1).reshape(-1, 2)
    for number in range(12):
        statistics = echo.observe(TrialKey(0, 5, number)).statistics
        estimate, trial = localizer.from_statistics(statistics), localizer.trial(statistics)
        starts = (Targets((0,), p, *localizer._links([0], p)) for p in (estimate.positions + offsets)[:, None])
        best = max(fit.value for start in starts if (fit := trial.climb(start, 1e-2)) is not None)
        assert best <= estimate.criterion * (1 + 1e-6), number
