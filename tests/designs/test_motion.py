"""Moving targets: reference values of an independent derivation, finite differences of the mean, limits."""

import numpy as np
import pytest

from disac.designs import MotionOperator, Unidentifiable, crb, sample_covariances, time_moments
from disac.designs.bounds.fisher import FisherOperator
from disac.simulator import Scenario, synthesize

NODES = [(-46.19, -19.13), (46.19, -19.13), (-19.13, -46.19), (19.13, -46.19)]
STEPS = {"targets": 1e-6, "velocities": 1e-4}


def reference_scene(n_nodes, target, velocity, bandwidth_hz, carrier_hz):
    """The scene of the reference values: P_T / sigma^2 = 100 and known amplitudes."""
    rx, tx = np.indices((n_nodes, n_nodes))
    amplitudes = np.sqrt(10) * (1 + 0.5 * np.cos(rx - 2 * tx)) * np.exp(1j * (rx + 2 * tx))
    return Scenario(
        nodes=NODES[:n_nodes],
        targets=[target],
        velocities=[velocity],
        users=[],
        bandwidth_hz=bandwidth_hz,
        carrier_hz=carrier_hz,
        amplitudes=amplitudes[..., None],
    )


def isotropic(scene):
    """R_l = (P_T N / L) I on node l mod N."""
    own = np.arange(scene.n_subcarriers)[:, None] % scene.n_nodes == np.arange(scene.n_nodes)
    power = np.repeat(own, scene.n_tx, axis=1) * scene.n_nodes / scene.n_subcarriers
    return power[:, :, None] * np.eye(scene.n_nodes * scene.n_tx, dtype=complex)


def covariance(information):
    """Inverse of an information matrix, scaled first."""
    scale = np.sqrt(np.diag(information))
    return np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)


def frame_matrix(blocks, n_targets):
    """Information matrix of the blocks in the order positions, velocities, Re b, Im b."""
    n_nodes, n_geometry, per_node = blocks.cross.shape
    n_amplitudes = n_nodes * per_node
    matrix = np.zeros((n_geometry + 2 * n_amplitudes,) * 2)
    matrix[:n_geometry, :n_geometry] = blocks.geometry
    cross = blocks.cross.transpose(1, 0, 2).reshape(n_geometry, n_amplitudes)
    amplitude = np.zeros((n_amplitudes, n_amplitudes), dtype=complex)
    for n, block in enumerate(blocks.amplitude):
        own = slice(n * per_node, (n + 1) * per_node)
        amplitude[own, own] = block
    right = np.concatenate([cross.real, -cross.imag], axis=1)
    matrix[:n_geometry, n_geometry:], matrix[n_geometry:, :n_geometry] = right, right.T
    matrix[n_geometry:, n_geometry:] = np.block([[amplitude.real, -amplitude.imag], [amplitude.imag, amplitude.real]])
    return matrix


@pytest.mark.parametrize(
    ("scene", "n_symbols", "position_mm", "velocity_mps"),
    [
        (reference_scene(4, (0.0, 10.0), (3.0, -4.0), 10e6, 3.5e9), 16, 0.656672, 0.0986850),
        (reference_scene(2, (5.0, 10.0), (10.0, 5.0), 20e6, 28e9), 64, 0.382924, 0.005232406),
    ],
)
def test_bounds_have_the_values_of_an_independent_derivation(scene, n_symbols, position_mm, velocity_mps):
    bound = covariance(frame_matrix(MotionOperator(scene).blocks(isotropic(scene), n_symbols), 1))
    assert 1e3 * np.sqrt(np.trace(bound[:2, :2])) == pytest.approx(position_mm, abs=6e-7)
    assert np.sqrt(np.trace(bound[2:4, 2:4])) == pytest.approx(velocity_mps, rel=1e-6)


def test_radial_velocity_of_one_monostatic_link_is_that_of_a_frequency_in_noise():
    scene = reference_scene(1, (0.0, 10.0), (0.0, 0.0), 10e6, 3.5e9).replace(n_symbols=32)
    n_symbols, covariances = 32, isotropic(scene)
    matrix = frame_matrix(MotionOperator(scene).blocks(covariances, n_symbols), 1)
    towards = scene.target_geometry.delay_gradient[0, 0]
    towards = towards / np.linalg.norm(towards)
    # at rest the velocity couples with nothing but the phase of b, from which mid-frame time frees it
    information = towards @ matrix[2:4, 2:4] @ towards
    snr = matrix[4, 4] / 2 * np.abs(scene.amplitudes[0, 0, 0]) ** 2 / n_symbols
    wavenumber = 4 * np.pi * scene.carrier_hz * scene.symbol_interval_s / 299_792_458.0
    assert 1 / information == pytest.approx(6 / (snr * n_symbols * (n_symbols**2 - 1) * wavenumber**2), rel=1e-9)


def moved(scene, field, step, target, axis):
    values = getattr(scene, field).copy()
    values[target, axis] += step
    return scene.replace(**{field: values})


def numeric_information(scene, X):
    """Fisher information of positions, velocities, Re b and Im b by finite differences of the synthesized mean."""
    columns = []
    for field, step in STEPS.items():
        for axis in range(2):
            for target in range(scene.n_targets):
                up, down = (moved(scene, field, sign * step, target, axis) for sign in (1, -1))
                columns.append((synthesize(up, X) - synthesize(down, X)) / (2 * step))
    for unit in (1, 1j):
        for entry in np.ndindex(scene.amplitudes.shape):
            one = np.zeros_like(scene.amplitudes)
            one[entry] = unit
            columns.append(synthesize(scene.replace(amplitudes=one), X))
    slopes = np.stack([column.ravel() for column in columns])
    return 2 / scene.noise_sense_per_subcarrier * (slopes.conj() @ slopes.T).real


def scaled_error(actual, expected):
    scale = np.sqrt(np.diag(expected))
    return np.abs((actual - expected) / np.outer(scale, scale)).max()


def random_symbols(rng, scene):
    shape = (scene.n_nodes, scene.n_tx, scene.n_subcarriers, scene.n_symbols)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def two_movers(n_symbols):
    return Scenario.preset("fig4", n_tx=3, n_rx=3, n_subcarriers=8, users=[], n_symbols=n_symbols).replace(
        velocities=[[30.0, -12.0], [-20.0, 25.0]], carrier_hz=10e9, symbol_interval_s=20e-6
    )


def test_information_of_constant_covariances_is_that_of_the_synthesized_mean():
    rng = np.random.default_rng(3)
    scene = two_movers(n_symbols=5)
    first = random_symbols(rng, scene.replace(n_symbols=1))
    X = first * np.exp(2j * np.pi * rng.uniform(size=5))
    blocks = MotionOperator(scene).blocks(sample_covariances(first), 5)
    assert scaled_error(frame_matrix(blocks, 2), numeric_information(scene, X)) < 1e-6


def test_information_of_one_signal_is_that_of_the_synthesized_mean():
    rng = np.random.default_rng(4)
    scene = two_movers(n_symbols=6).replace(targets=[[0.0, 10.0]], velocities=[[30.0, -12.0]], amplitudes=None)
    own = scene.subcarrier_node[None, :] == np.arange(scene.n_nodes)[:, None]
    X = random_symbols(rng, scene) * own[:, None, :, None]
    blocks = MotionOperator(scene).blocks(time_moments(X), 6)
    assert scaled_error(frame_matrix(blocks, 1), numeric_information(scene, X)) < 1e-6


def test_targets_at_rest_have_the_information_of_a_scene_without_velocities():
    scene = two_movers(n_symbols=7).replace(velocities=np.zeros((2, 2)))
    X = random_symbols(np.random.default_rng(5), scene)
    moments = time_moments(X)
    blocks = MotionOperator(scene).blocks(moments, 7)
    still = FisherOperator(scene).blocks(moments[0])
    assert blocks.geometry[:4, :4] == pytest.approx(7 * still.geometry, rel=1e-9)
    assert blocks.cross[:, :4] == pytest.approx(7 * still.cross, rel=1e-9)
    assert blocks.amplitude == pytest.approx(7 * still.amplitude, rel=1e-9)


def test_one_symbol_knows_nothing_of_velocity():
    scene = two_movers(n_symbols=1)
    blocks = MotionOperator(scene).blocks(isotropic(scene), 1)
    assert not blocks.geometry[4:].any()


@pytest.mark.parametrize(
    ("scene", "n_symbols", "position_mm", "velocity_mps"),
    [
        (reference_scene(4, (0.0, 10.0), (3.0, -4.0), 10e6, 3.5e9), 16, 0.656672, 0.0986850),
        (reference_scene(2, (5.0, 10.0), (10.0, 5.0), 20e6, 28e9), 64, 0.382924, 0.005232406),
    ],
)
def test_crb_with_velocity_is_the_inverse_of_the_frame_information(scene, n_symbols, position_mm, velocity_mps):
    bound = crb(scene, isotropic(scene), n_symbols=n_symbols, velocity=True)
    assert bound.shape == (4, 4)
    assert 1e3 * np.sqrt(np.trace(bound[:2, :2])) == pytest.approx(position_mm, abs=6e-7)
    assert np.sqrt(np.trace(bound[2:, 2:])) == pytest.approx(velocity_mps, rel=1e-6)
    free = crb(scene, isotropic(scene), n_symbols=n_symbols, velocity=True, clock_std_s=np.inf)
    assert np.all(np.linalg.eigvalsh(free - bound) > -1e-9 * np.trace(bound))
    assert np.trace(free[:2, :2]) > np.trace(bound[:2, :2])


def test_unknown_velocities_cost_little_in_position_where_symbols_are_alike():
    scene = two_movers(n_symbols=9).replace(velocities=np.zeros((2, 2)))
    moving = crb(scene, isotropic(scene), n_symbols=9, velocity=True)
    assert moving[:4, :4] == pytest.approx(crb(scene, isotropic(scene), n_symbols=9), rel=1e-9)


def test_a_velocity_that_one_symbol_or_one_link_cannot_tell_is_refused_by_name():
    scene = two_movers(n_symbols=1)
    with pytest.raises(Unidentifiable, match="the velocity of target"):
        crb(scene, isotropic(scene), n_symbols=1, velocity=True)
    with pytest.raises(ValueError, match="mode = 'tof': must be 'hybrid'"):
        crb(scene, isotropic(scene), "tof", n_symbols=4, velocity=True)


def test_wrong_shapes_are_refused():
    scene = two_movers(n_symbols=2)
    with pytest.raises(ValueError, match=r"must have shape \(L, N M_t, N M_t\) or \(3, L, N M_t, N M_t\)"):
        MotionOperator(scene).blocks(np.zeros((2, 8, 12, 12), dtype=complex), 2)
    with pytest.raises(ValueError, match="n_symbols = 0"):
        MotionOperator(scene).blocks(isotropic(scene), 0)
