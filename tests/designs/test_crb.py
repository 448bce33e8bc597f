"""Position bounds against closed forms, an independent factorization, invariances, and unidentifiable geometries."""

from __future__ import annotations

import pickle
import re

import fisher_twin
import numpy as np
import pytest
from fisher_scenes import circular, random_covariances, random_scenario, random_symbols, twin_scene

from disac.designs import (
    Bound,
    FisherOperator,
    Unidentifiable,
    crb,
    crb_from_fisher,
    fisher_information,
    sample_covariances,
)
from disac.simulator import Scenario

OWN_MODES = ("hybrid", "tof", "aoa", "tof-nuisance", "aoa-nuisance")
LIGHT = 299_792_458.0


def bound_of_derivatives(derivatives, variance, n_positions):
    """Position bound from the QR factor of the real Jacobian of the mean, (P, samples): no Gram matrix is formed."""
    real = np.concatenate([derivatives.real, derivatives.imag], axis=1).T / np.sqrt(variance / 2)
    others_first = np.concatenate([real[:, n_positions:], real[:, :n_positions]], axis=1)
    others_first = others_first / np.linalg.norm(others_first, axis=0)
    scale = np.linalg.norm(real[:, :n_positions], axis=0)
    factor = np.linalg.qr(others_first, mode="r")[-n_positions:, -n_positions:]
    inverse = np.linalg.inv(factor) / scale[:, None]
    return inverse @ inverse.T


def relative(actual, expected):
    """Largest deviation of a bound relative to sqrt(C_pp C_qq)."""
    root = np.sqrt(np.diag(expected))
    return np.max(np.abs(actual - expected) / np.outer(root, root))


@pytest.mark.parametrize("mode", OWN_MODES)
@pytest.mark.parametrize(
    "fields", [{}, {"n_nodes": 4, "n_targets": 1}, {"n_nodes": 2, "n_targets": 3, "seed": 5, "n_subcarriers": 16}]
)
def test_bound_equals_the_one_from_the_differentiated_mean(mode, fields):
    scenario = random_scenario(**fields)
    symbols = random_symbols(scenario, 4)
    derivatives = fisher_twin.jacobian_of_mean(twin_scene(scenario, symbols), mode)
    expected = bound_of_derivatives(derivatives, scenario.noise_sense_per_subcarrier, 2 * scenario.n_targets)
    covariances = sample_covariances(symbols)
    bound = crb(scenario, covariances, mode, 4)
    assert relative(bound, expected) < 1e-8
    information = fisher_information(scenario, covariances, mode, 4)
    np.testing.assert_allclose(crb_from_fisher(information, scenario.n_targets), bound, rtol=1e-12)


@pytest.mark.parametrize("mode", OWN_MODES)
def test_bound_is_the_position_block_of_the_inverse(mode):
    scenario = random_scenario(n_nodes=3, n_targets=1)
    covariances = random_covariances(scenario)
    information = fisher_information(scenario, covariances, mode)
    root = np.sqrt(np.diag(information))
    inverse = np.linalg.inv(information / np.outer(root, root)) / np.outer(root, root)
    assert relative(crb(scenario, covariances, mode), inverse[:2, :2]) < 1e-10


def crossed_pair(range_m=50.0, broadside=0.0, **fields):
    """Two nodes that see the target from the west and from the south, each only its own echo."""
    settings = {
        "nodes": [[-range_m, 0.0], [0.0, -range_m]],
        "targets": [[0.0, 0.0]],
        "users": np.zeros((0, 2)),
        "orientations": [-broadside, np.pi / 2 - broadside],
        "amplitudes": np.eye(2, dtype=complex)[:, :, None],
        "noise_sense": 0.16,
    }
    return Scenario(**{**settings, **fields})


def independent_antennas(scenario, power=1.0):
    dimension = scenario.n_nodes * scenario.n_tx
    return np.broadcast_to(power * np.eye(dimension, dtype=complex), (scenario.n_subcarriers, dimension, dimension))


@pytest.mark.parametrize(("snr_db", "path_ns"), [(20.0, 0.976530), (10.0, 3.088059)])
@pytest.mark.parametrize("mode", ["hybrid", "tof", "tof-nuisance"])
def test_delay_of_one_link_has_its_closed_form(snr_db, path_ns, mode):
    """Var(tau) = 6 / ((2 pi df)^2 SNR L (L^2 - 1)) for an unknown complex amplitude (V23)."""
    scenario = crossed_pair(n_tx=1, n_rx=1, n_subcarriers=16, bandwidth_hz=10e6)
    power = 10 ** (snr_db / 10) * scenario.noise_sense_per_subcarrier
    bound = Bound(crb(scenario, independent_antennas(scenario, power), mode))
    closed = np.sqrt(6 / ((2 * np.pi * 10e6 / 16) ** 2 * 10 ** (snr_db / 10) * 16 * (16**2 - 1)))
    assert closed == pytest.approx(path_ns * 1e-9, rel=1e-6)
    np.testing.assert_allclose([bound.x[0], bound.y[0]], closed * LIGHT / 2, rtol=1e-9)
    if snr_db == 20.0:
        np.testing.assert_allclose(bound.x, 0.146378, rtol=1e-5)


def test_known_amplitude_divides_the_delay_variance_by_its_closed_form():
    """Ratio 2 (2L - 1) / (L + 1) = 3.647059, known amplitude 0.511345 ns (V23)."""
    scenario = crossed_pair(n_tx=1, n_rx=1, n_subcarriers=16, bandwidth_hz=10e6)
    covariances = independent_antennas(scenario, 100 * scenario.noise_sense_per_subcarrier)
    information = fisher_information(scenario, covariances, "tof")
    known = 1 / np.sqrt(information[0, 0])
    assert 2 * known / LIGHT == pytest.approx(0.511345e-9, rel=1e-6)
    assert crb(scenario, covariances, "tof")[0, 0] / known**2 == pytest.approx(2 * 31 / 17, rel=1e-10)


@pytest.mark.parametrize(("degrees", "expected_deg"), [(0.0, 0.0889914), (30.0, 0.102758), (60.0, 0.177983)])
@pytest.mark.parametrize("mode", ["hybrid", "aoa", "aoa-nuisance"])
def test_angle_of_a_monostatic_array_has_its_closed_form(degrees, expected_deg, mode):
    """Var = 6 s2 / (pi^2 cos^2 |b|^2 Mt Mr [(Mt^2 - 1) + (Mr^2 - 1)]), independent waveforms (V26)."""
    scenario = crossed_pair(broadside=np.deg2rad(degrees), n_tx=6, n_rx=6, n_subcarriers=2, bandwidth_hz=1e-3)
    covariances = independent_antennas(scenario, 100 * scenario.noise_sense_per_subcarrier / 2)
    bound = Bound(crb(scenario, covariances, mode))
    closed = np.sqrt(6 / (np.pi**2 * np.cos(np.deg2rad(degrees)) ** 2 * 100 * 36 * 70))
    assert np.rad2deg(closed) == pytest.approx(expected_deg, rel=1e-5)
    np.testing.assert_allclose([bound.x[0], bound.y[0]], 50.0 * closed, rtol=1e-9)


@pytest.mark.parametrize("mode", OWN_MODES)
@pytest.mark.parametrize("shrink", [1e-3, 1e3])
def test_smaller_scene_at_more_bandwidth_has_the_same_bound_in_proportion(mode, shrink):
    scenario = random_scenario()
    small = scenario.replace(
        nodes=scenario.nodes * shrink,
        targets=scenario.targets * shrink,
        users=scenario.users * shrink,
        orientations=scenario.orientations,
        area=scenario.area * shrink,
        bandwidth_hz=scenario.bandwidth_hz / shrink,
    )
    covariances = random_covariances(scenario)
    assert relative(crb(small, covariances, mode) / shrink**2, crb(scenario, covariances, mode)) < 1e-9


@pytest.mark.parametrize("mode", OWN_MODES)
@pytest.mark.parametrize("gain", [1e-6, 1e6])
def test_amplitudes_and_noise_scaled_alike_leave_the_bound(mode, gain):
    scenario = random_scenario()
    scaled = scenario.replace(amplitudes=scenario.amplitudes * gain, noise_sense=scenario.noise_sense * gain**2)
    covariances = random_covariances(scenario)
    assert relative(crb(scaled, covariances, mode), crb(scenario, covariances, mode)) < 1e-9


@pytest.mark.parametrize("mode", OWN_MODES)
def test_turning_and_moving_the_scene_turns_the_bound(mode):
    scenario = random_scenario()
    turn = 0.7
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = scenario.replace(
        nodes=scenario.nodes @ rotation.T + [7.0, -3.0],
        targets=scenario.targets @ rotation.T + [7.0, -3.0],
        orientations=scenario.orientations + turn,
    )
    covariances = random_covariances(scenario)
    both = np.kron(rotation, np.eye(scenario.n_targets))
    expected = both @ crb(scenario, covariances, mode) @ both.T
    assert relative(crb(moved, covariances, mode), expected) < 1e-9


def test_order_of_the_nodes_does_not_matter():
    scenario = random_scenario()
    order = [2, 0, 1]
    permuted = scenario.replace(
        nodes=scenario.nodes[order],
        orientations=scenario.orientations[order],
        amplitudes=scenario.amplitudes[np.ix_(order, order)],
        channels=scenario.channels[order],
    )
    covariances = random_covariances(scenario)
    antennas = np.arange(scenario.n_nodes * scenario.n_tx).reshape(scenario.n_nodes, -1)[order].ravel()
    reordered = covariances[:, antennas][:, :, antennas]
    assert relative(crb(permuted, reordered), crb(scenario, covariances)) < 1e-10


def test_order_of_the_targets_orders_the_bound():
    scenario = random_scenario()
    permuted = scenario.replace(targets=scenario.targets[::-1], amplitudes=scenario.amplitudes[:, :, ::-1])
    covariances = random_covariances(scenario)
    swap = [1, 0, 3, 2]
    assert relative(crb(permuted, covariances)[np.ix_(swap, swap)], crb(scenario, covariances)) < 1e-10


def smallest_relative_eigenvalue(difference, reference):
    inverse_root = np.linalg.inv(np.linalg.cholesky(reference))
    return np.linalg.eigvalsh(inverse_root @ difference @ inverse_root.T)[0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("knows_more", "knows_less"),
    [("tof", "tof-nuisance"), ("aoa", "aoa-nuisance"), ("hybrid", "tof-nuisance"), ("hybrid", "aoa-nuisance")],
)
def test_more_unknowns_never_lower_the_bound(seed, knows_more, knows_less):
    scenario = random_scenario(seed)
    covariances = random_covariances(scenario, seed)
    less, more = crb(scenario, covariances, knows_less), crb(scenario, covariances, knows_more)
    assert smallest_relative_eigenvalue(less - more, more) > -1e-9
    assert np.trace(less) > 1.0001 * np.trace(more)


def test_n_symbols_is_literal():
    scenario = random_scenario(n_symbols=3)
    covariances = random_covariances(scenario)
    np.testing.assert_allclose(crb(scenario, covariances, n_symbols=4), crb(scenario, covariances) / 4, rtol=1e-15)


def test_bound_reads_axes_targets_and_total():
    scenario = random_scenario()
    covariance = crb(scenario, random_covariances(scenario))
    bound = Bound(covariance)
    np.testing.assert_allclose(bound.x**2, np.diag(covariance)[:2])
    np.testing.assert_allclose(bound.y**2, np.diag(covariance)[2:])
    np.testing.assert_allclose(bound.per_target**2, bound.x**2 + bound.y**2)
    assert bound.total**2 == pytest.approx(np.trace(covariance), rel=1e-14)
    example = Bound(np.diag([9e-6, 16e-6]))
    np.testing.assert_allclose([example.x[0], example.y[0], example.total], [3e-3, 4e-3, 5e-3])


@pytest.mark.parametrize("mode", OWN_MODES)
def test_amplitudes_of_a_silent_node_drop_out(mode):
    scenario = random_scenario()
    silent = np.zeros((scenario.n_nodes, scenario.n_tx), dtype=bool)
    silent[1] = True
    covariances = random_covariances(scenario)
    covariances[:, silent.ravel()] = 0
    covariances[:, :, silent.ravel()] = 0
    information = fisher_information(scenario, covariances, mode)
    seen = np.diag(information) > 0
    assert np.sum(~seen) == 2 * scenario.n_nodes * scenario.n_targets
    root = np.sqrt(np.diag(information)[seen])
    inverse = np.linalg.inv(information[np.ix_(seen, seen)] / np.outer(root, root)) / np.outer(root, root)
    n_positions = 2 * scenario.n_targets
    assert relative(crb(scenario, covariances, mode), inverse[:n_positions, :n_positions]) < 1e-8


def weak_second_node(scenario, covariances, power):
    gain = np.ones((scenario.n_nodes, scenario.n_tx))
    gain[1] = np.sqrt(power)
    return covariances * np.outer(gain, gain)


@pytest.mark.parametrize("power", [1e-14, 1e-9, 1e-6])
def test_an_almost_silent_node_has_almost_the_bound_of_a_silent_one_if_signals_are_uncorrelated(power):
    scenario = random_scenario()
    block = np.kron(np.eye(scenario.n_nodes), np.ones((scenario.n_tx, scenario.n_tx)))
    covariances = random_covariances(scenario) * block
    weak = crb(scenario, weak_second_node(scenario, covariances, power))
    silent = crb(scenario, weak_second_node(scenario, covariances, 0.0))
    assert smallest_relative_eigenvalue(silent - weak, silent) > -1e-9
    assert relative(weak, silent) < 100 * power + 1e-9


def test_a_weak_node_that_repeats_the_signals_of_others_costs_information_at_any_power():
    """Its echoes have unknown amplitudes: what is correlated with them is lost, however weak they are."""
    scenario = random_scenario()
    covariances = random_covariances(scenario)
    silent = crb(scenario, weak_second_node(scenario, covariances, 0.0))
    weak = {power: crb(scenario, weak_second_node(scenario, covariances, power)) for power in (1e-6, 1e-9, 1e-12)}
    assert np.trace(weak[1e-6]) > 1.01 * np.trace(silent)
    for bound in weak.values():
        assert smallest_relative_eigenvalue(bound - silent, silent) > -1e-9
        assert relative(bound, weak[1e-6]) < 1e-2
    assert relative(weak[1e-12], weak[1e-9]) < 1e-3


def line_scene(angle, node_positions, target_positions, **fields):
    along = np.array([np.cos(angle), np.sin(angle)])
    n_nodes, n_targets = len(node_positions), len(target_positions)
    rng = np.random.default_rng(11)
    settings = {
        "nodes": np.outer(node_positions, along),
        "targets": np.outer(target_positions, along),
        "users": np.zeros((0, 2)),
        "orientations": (angle + rng.uniform(-0.5, 0.5, n_nodes)) % (2 * np.pi),
        "n_tx": 3,
        "n_rx": 4,
        "n_subcarriers": 8,
        "amplitudes": circular(rng, n_nodes, n_nodes, n_targets),
    }
    return Scenario(**{**settings, **fields})


ANGLES = [0.0, 45.0, 90.0, 117.3]


@pytest.mark.parametrize("angle_deg", ANGLES)
@pytest.mark.parametrize("mode", ["tof", "tof-genie", "tof-nuisance"])
@pytest.mark.parametrize("nodes", [[-50.0], [-50.0, 40.0], [-50.0, 20.0, 70.0]])
def test_delays_along_one_line_leave_the_direction_across_it(angle_deg, mode, nodes):
    scenario = line_scene(np.deg2rad(angle_deg), nodes, [1.0])
    with pytest.raises(Unidentifiable, match="target 0 is not identifiable along") as caught:
        crb(scenario, random_covariances(scenario), mode)
    assert caught.value.target == 0
    assert np.linalg.norm(caught.value.direction) == pytest.approx(1.0)
    away = (caught.value.direction_deg - angle_deg - 90 + 90) % 180 - 90
    assert abs(away) < 1e-5
    assert Bound(crb(scenario, random_covariances(scenario), "hybrid")).total < 1.0


@pytest.mark.parametrize("angle_deg", ANGLES)
@pytest.mark.parametrize("mode", ["aoa", "aoa-genie", "aoa-nuisance"])
@pytest.mark.parametrize("nodes", [[-50.0], [-50.0, 40.0], [-50.0, -20.0, -70.0]])
def test_angles_along_one_line_leave_the_direction_along_it(angle_deg, mode, nodes):
    scenario = line_scene(np.deg2rad(angle_deg), nodes, [1.0])
    with pytest.raises(Unidentifiable, match="target 0 is not identifiable along") as caught:
        crb(scenario, random_covariances(scenario), mode)
    away = (caught.value.direction_deg - angle_deg + 90) % 180 - 90
    assert abs(away) < 1e-5


@pytest.mark.parametrize("mode", ["tof", "aoa", "tof-nuisance", "aoa-nuisance"])
def test_only_the_target_in_line_is_named(mode):
    scenario = line_scene(
        0.4, [-50.0, 40.0], [1.0, 0.0], targets=[[20.0, -25.0], [np.cos(0.4), np.sin(0.4)]], n_subcarriers=16
    )
    with pytest.raises(Unidentifiable) as caught:
        crb(scenario, random_covariances(scenario), mode)
    assert caught.value.target == 1
    assert "target 0" not in str(caught.value)


def test_every_unidentifiable_target_is_named():
    scenario = random_scenario(n_nodes=1, n_targets=3)
    with pytest.raises(Unidentifiable) as caught:
        crb(scenario, random_covariances(scenario), "tof")
    offsets = scenario.targets - scenario.nodes[0]
    across = (np.rad2deg(np.arctan2(offsets[:, 1], offsets[:, 0])) + 90) % 180
    pattern = r"target (\d) is not identifiable along \(\S+, \S+\), (\S+) degrees from the x axis"
    named = {int(target): float(degrees) for target, degrees in re.findall(pattern, str(caught.value))}
    np.testing.assert_allclose([named[target] for target in range(3)], across, atol=1e-3)


def test_the_error_survives_the_way_back_from_a_worker_process():
    scenario = line_scene(0.4, [-50.0, 40.0], [1.0])
    with pytest.raises(Unidentifiable) as caught:
        crb(scenario, random_covariances(scenario), "tof")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.target == caught.value.target
    assert copy.direction_deg == caught.value.direction_deg


@pytest.mark.parametrize(
    ("mode", "fields", "factor"),
    [
        ("tof", {"n_subcarriers": 3}, 0.0),
        ("hybrid", {}, 0.0),
        ("hybrid", {"amplitudes": np.zeros((3, 3, 2))}, 1.0),
        ("aoa", {"n_tx": 1, "n_rx": 1}, 1.0),
    ],
)
def test_no_information_at_all_is_no_number(mode, fields, factor):
    scenario = random_scenario(**fields)
    with pytest.raises(Unidentifiable, match="target 0 is not identifiable in any direction"):
        crb(scenario, factor * random_covariances(scenario), mode)


@pytest.mark.parametrize("n_nodes", [1, 2])
def test_one_subcarrier_leaves_no_delay(n_nodes):
    """The delay of a single subcarrier is a phase that the amplitude absorbs."""
    scenario = random_scenario(n_nodes=n_nodes, n_targets=1, n_subcarriers=2)
    covariances = random_covariances(scenario)
    covariances[0] = 0
    with pytest.raises(Unidentifiable, match="target 0 is not identifiable in any direction"):
        crb(scenario, covariances, "tof")


@pytest.mark.parametrize("offset_m", [1.0, 1e-1, 1e-2, 1e-3])
@pytest.mark.parametrize("mode", ["tof", "aoa"])
def test_a_target_just_off_the_line_keeps_a_right_number(mode, offset_m):
    scenario = line_scene(0.4, [-50.0, 40.0], [1.0])
    across = offset_m * np.array([-np.sin(0.4), np.cos(0.4)])
    scenario = scenario.replace(targets=scenario.targets + across)
    symbols = random_symbols(scenario, 4)
    derivatives = fisher_twin.jacobian_of_mean(twin_scene(scenario, symbols), mode)
    expected = bound_of_derivatives(derivatives, scenario.noise_sense_per_subcarrier, 2)
    bound = crb(scenario, sample_covariances(symbols), mode, 4)
    assert np.trace(bound) == pytest.approx(np.trace(expected), rel=1e-4)


@pytest.mark.parametrize("mode", ["hybrid", "tof", "aoa-nuisance"])
def test_close_targets_have_a_right_number_or_none(mode):
    """The Gram matrix loses twice the digits that its square root loses: the QR factor is the reference."""
    named = []
    for separation_m in (3.0, 0.3, 0.03, 0.01, 0.003, 0.001, 1e-4, 1e-5, 1e-7, 1e-9):
        scenario = random_scenario()
        scenario = scenario.replace(
            targets=[scenario.targets[0], scenario.targets[0] + [0.6 * separation_m, 0.8 * separation_m]]
        )
        symbols = random_symbols(scenario, 3)
        stacked = symbols.reshape(-1, scenario.n_subcarriers, 3).transpose(1, 0, 2)
        derivatives = FisherOperator(scenario, mode).derivatives() @ stacked
        flat = derivatives.reshape(len(derivatives), -1)
        expected = bound_of_derivatives(flat, scenario.noise_sense_per_subcarrier, 4)
        try:
            bound = crb(scenario, sample_covariances(symbols), mode, 3)
        except Unidentifiable:
            named.append(separation_m)
            continue
        assert np.trace(bound) == pytest.approx(np.trace(expected), rel=1e-3)
    assert 3.0 not in named
    assert 0.3 not in named
    assert 1e-3 not in named
    assert 1e-9 in named


@pytest.mark.parametrize("bandwidth_hz", [1e2, 1e4, 1e6, 1e9])
def test_hybrid_bound_of_one_node_stands_over_seven_decades_of_bandwidth(bandwidth_hz):
    scenario = random_scenario(n_nodes=1, n_targets=1, bandwidth_hz=bandwidth_hz)
    covariances = random_covariances(scenario)
    radial = (scenario.targets[0] - scenario.nodes[0]) / np.linalg.norm(scenario.targets[0] - scenario.nodes[0])
    along = radial @ crb(scenario, covariances) @ radial
    reference = radial @ crb(scenario.replace(bandwidth_hz=17e6), covariances) @ radial
    assert along * (bandwidth_hz / 17e6) ** 2 == pytest.approx(reference, rel=1e-3)


def test_covariances_that_are_not_positive_semidefinite_are_refused():
    scenario = random_scenario()
    with pytest.raises(ValueError, match="positive semidefinite") as caught:
        crb(scenario, -random_covariances(scenario))
    assert not isinstance(caught.value, Unidentifiable)


@pytest.mark.parametrize("n_symbols", [0, -1])
def test_number_of_symbols_is_checked(n_symbols):
    scenario = random_scenario()
    with pytest.raises(ValueError, match=f"n_symbols = {n_symbols}: must be a whole number, at least 1"):
        crb(scenario, random_covariances(scenario), n_symbols=n_symbols)


def turned(scenario, covariances, phases):
    """Covariances of the nodes turned by their phases."""
    turn = np.repeat(np.exp(1j * phases), scenario.n_tx)
    return covariances * np.outer(turn, turn.conj())


def test_inter_node_phases_of_amplitudes_and_of_signals_are_the_same():
    """b_nm e^{j(phi_m - phi_n)} sees the signals as if node m sent e^{j phi_m} x_m."""
    scenario = random_scenario()
    phases = np.array([0.3, -1.9, 2.4])
    amplitudes = scenario.amplitudes * np.exp(1j * (phases[None, :] - phases[:, None]))[..., None]
    covariances = random_covariances(scenario)
    assert (
        relative(
            crb(scenario.replace(amplitudes=amplitudes), covariances),
            crb(scenario, turned(scenario, covariances, phases)),
        )
        < 1e-10
    )


@pytest.mark.statistical(false_alarm=1e-20)
def test_unknown_phases_change_no_bound_of_signals_that_are_uncorrelated_between_nodes():
    scenario = random_scenario()
    rng = np.random.default_rng(3)
    covariances = random_covariances(scenario)
    block = np.kron(np.eye(scenario.n_nodes), np.ones((scenario.n_tx, scenario.n_tx)))
    uncorrelated = crb(scenario, covariances * block)
    over_phases = []
    for _ in range(64):
        phases = rng.uniform(0, 2 * np.pi, scenario.n_nodes)
        assert relative(crb(scenario, turned(scenario, covariances * block, phases)), uncorrelated) < 1e-10
        over_phases.append(np.trace(crb(scenario, turned(scenario, covariances, phases))))
    assert np.mean(over_phases) > np.trace(uncorrelated)


@pytest.mark.statistical(false_alarm=1e-9)
def test_realized_bound_is_above_the_expected_one_and_converges_to_it():
    """Means over draws of tr J^-1, each less its first-order term: that has mean zero and makes most of the noise."""
    scenario = random_scenario(n_targets=1, n_subcarriers=16)
    rng = np.random.default_rng(8)
    operator = FisherOperator(scenario)
    information = operator.apply(independent_antennas(scenario))
    expected = np.trace(crb_from_fisher(information, 1))
    columns = np.linalg.inv(information)[:, :2]
    shape = (scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers)
    excess, error = {}, {}
    for n_symbols in (1, 4, 16):
        draws = []
        for _ in range(300):
            realized = operator.apply(sample_covariances(circular(rng, *shape, n_symbols)))
            first_order = -np.trace(columns.T @ (realized - information) @ columns)
            draws.append((np.trace(crb_from_fisher(realized, 1)) - first_order) / expected - 1)
        excess[n_symbols], error[n_symbols] = np.mean(draws), np.std(draws) / np.sqrt(len(draws))
    assert excess[4] - excess[16] > 7 * np.hypot(error[4], error[16])
    assert excess[1] - excess[4] > 7 * np.hypot(error[1], error[4])
    assert excess[16] > 7 * error[16]
    # the second-order term falls as 1 / T; at T = 4 the next one adds a few per cent
    tolerance = 7 * np.hypot(error[16], error[4] / 4)
    assert abs(excess[16] - excess[4] / 4) < 0.2 * excess[16] + tolerance
    assert not abs(excess[16] - excess[4] / 2) < 0.2 * excess[16] + tolerance
