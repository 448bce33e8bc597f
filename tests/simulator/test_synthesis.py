"""The received echoes against Eq. (5) and (6) written out from positions alone."""

from __future__ import annotations

import numpy as np
import pytest

from disac.simulator import Scenario, synthesize


def general_scene(**fields):
    """M_t != M_r, K = 2, b_nm != b_mn, arrays turned off broadside."""
    rng = np.random.default_rng(7)
    amplitudes = rng.standard_normal((3, 3, 2)) + 1j * rng.standard_normal((3, 3, 2))
    settings = {
        "nodes": [[-40.0, -12.0], [35.0, -20.0], [5.0, 48.0]],
        "targets": [[3.0, 4.0], [-11.0, 17.5]],
        "users": [[0.0, -20.0], [9.0, 20.0]],
        "orientations": [0.3, 2.4, -1.2],
        "n_tx": 3,
        "n_rx": 5,
        "n_subcarriers": 8,
        "n_symbols": 4,
        "bandwidth_hz": 20e6,
        "noise_sense": 0.3,
        "noise_comm": 0.2,
        "amplitudes": amplitudes,
    }
    return Scenario(**{**settings, **fields})


def random_symbols(scenario, *batch, n_symbols=None, seed=1):
    shape = (*batch, scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers, n_symbols or scenario.n_symbols)
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def echoes_from_positions(scenario, X, phases):
    """Eq. (5) and (6), path by path and antenna by antenna, with nothing but numpy."""
    n_nodes, n_tx, n_subcarriers, n_symbols = X.shape
    Y = np.zeros((n_nodes, scenario.n_rx, n_subcarriers, n_symbols), dtype=complex)
    spacing_hz = scenario.bandwidth_hz / n_subcarriers
    for n in range(n_nodes):
        for m in range(n_nodes):
            for k, (x, y) in enumerate(scenario.targets):
                to_rx, to_tx = (x, y) - scenario.nodes[n], (x, y) - scenario.nodes[m]
                delay = (np.sqrt(to_rx @ to_rx) + np.sqrt(to_tx @ to_tx)) / 299_792_458.0
                angle_rx = np.arctan2(to_rx[1], to_rx[0]) - scenario.orientations[n]
                angle_tx = np.arctan2(to_tx[1], to_tx[0]) - scenario.orientations[m]
                b = scenario.amplitudes[n, m, k] * np.exp(1j * (phases[m] - phases[n]))
                for line in range(n_subcarriers):
                    sent = sum(np.exp(1j * np.pi * i * np.sin(angle_tx)) * X[m, i, line] for i in range(n_tx))
                    reflected = b * sent * np.exp(-2j * np.pi * line * spacing_hz * delay)
                    for i in range(scenario.n_rx):
                        Y[n, i, line] += np.exp(1j * np.pi * i * np.sin(angle_rx)) * reflected
    return Y


def relative_error(actual, expected):
    return np.max(np.abs(actual - expected)) / np.max(np.abs(expected))


@pytest.mark.parametrize("n_symbols", [1, 4, 300])
def test_mean_is_equation_6(n_symbols):
    scene = general_scene()
    phases = np.array([0.4, -2.0, 1.1])
    X = random_symbols(scene, n_symbols=n_symbols)
    expected = echoes_from_positions(scene, X, phases)
    assert relative_error(synthesize(scene, X, phases=phases), expected) < 1e-13
    assert relative_error(synthesize(scene, X), echoes_from_positions(scene, X, np.zeros(3))) < 1e-13


@pytest.mark.parametrize(("n_subcarriers", "n_symbols"), [(700, 1), (40, 16), (3, 600)])
def test_blocks_of_subcarriers_join(n_subcarriers, n_symbols):
    """More samples than are worked on at once, in whole and in broken blocks: each subcarrier is as if alone."""
    scene = general_scene(n_subcarriers=n_subcarriers)
    X = random_symbols(scene, n_symbols=n_symbols)
    Y = synthesize(scene, X)
    for line in (0, n_subcarriers // 2, n_subcarriers - 1):
        only = np.zeros_like(X)
        only[:, :, line] = X[:, :, line]
        expected = np.zeros_like(Y)
        expected[:, :, line] = Y[:, :, line]
        np.testing.assert_allclose(synthesize(scene, only), expected, rtol=0, atol=1e-13 * np.abs(Y).max())
    few = general_scene(n_subcarriers=3, bandwidth_hz=scene.bandwidth_hz * 3 / n_subcarriers)
    assert relative_error(Y[:, :, :3], synthesize(few, X[:, :, :3])) < 1e-13


@pytest.mark.parametrize(("n_tx", "n_rx", "n_targets"), [(1, 1, 1), (2, 3, 3), (5, 2, 2)])
def test_odd_and_even_sizes(n_tx, n_rx, n_targets):
    rng = np.random.default_rng(0)
    scene = general_scene(
        n_tx=n_tx,
        n_rx=n_rx,
        targets=rng.uniform(-20, 20, (n_targets, 2)),
        amplitudes=rng.standard_normal((3, 3, n_targets, 2)) @ [1, 1j],
    )
    X = random_symbols(scene)
    phases = rng.uniform(0, 6, 3)
    assert relative_error(synthesize(scene, X, phases=phases), echoes_from_positions(scene, X, phases)) < 1e-13


def test_twin_notices_transposed_amplitudes_and_mirrored_angles():
    """The twin can tell the usual mistakes apart in this scene."""
    scene = general_scene()
    X = random_symbols(scene)
    truth = echoes_from_positions(scene, X, np.zeros(3))
    swapped = scene.replace(amplitudes=scene.amplitudes.swapaxes(0, 1))
    assert relative_error(synthesize(swapped, X), truth) > 0.1
    assert relative_error(synthesize(scene.replace(orientations=scene.orientations + 0.01), X), truth) > 1e-3
    assert relative_error(synthesize(scene, X, phases=[0.0, 0.1, 0.0]), truth) > 1e-2


def test_delay_of_three_samples_peaks_in_bin_3():
    """A path of tau = 3 / B: the inverse transform over subcarriers peaks at +tau B, not at L - tau B."""
    bandwidth_hz = 299_792_458.0 / 10
    scene = Scenario(
        nodes=[[0.0, 0.0]],
        targets=[[15.0, 0.0]],
        users=np.zeros((0, 2)),
        orientations=[0.0],
        bandwidth_hz=bandwidth_hz,
        n_tx=1,
        n_rx=1,
        amplitudes=np.ones((1, 1, 1), dtype=complex),
    )
    Y = synthesize(scene, np.ones((1, 1, 16, 1), dtype=complex))[0, 0, :, 0]
    profile = np.abs(np.fft.ifft(Y))
    assert np.argmax(profile) == 3
    np.testing.assert_allclose(profile, np.eye(16)[3], atol=1e-12)


def test_batch_equals_its_trials_bit_for_bit():
    scene = general_scene()
    X = random_symbols(scene, 2, 3)
    phases = np.random.default_rng(2).uniform(0, 6, (2, 3, 3))
    together = synthesize(scene, X, phases=phases, rng=np.random.default_rng(9))
    rng = np.random.default_rng(9)
    for index in np.ndindex(2, 3):
        assert np.array_equal(together[index], synthesize(scene, X[index], phases=phases[index], rng=rng))
    shared = synthesize(scene, X, phases=phases[0, 0])
    assert np.array_equal(shared[1, 2], synthesize(scene, X[1, 2], phases=phases[0, 0]))


def test_empty_batch():
    scene = general_scene()
    assert synthesize(scene, random_symbols(scene, 0)).shape == (0, 3, 5, 8, 4)


@pytest.mark.parametrize("noisy", [False, True])
def test_writes_into_out(noisy):
    scene = general_scene()
    X = random_symbols(scene, 2)
    expected = synthesize(scene, X, rng=np.random.default_rng(4) if noisy else None)
    out = np.full((2, 3, 5, 8, 4), np.nan + 1j * np.nan)
    returned = synthesize(scene, X, rng=np.random.default_rng(4) if noisy else None, out=out)
    assert returned is out
    assert np.array_equal(out, expected)


def test_repeated_calls_give_identical_bits():
    scene = general_scene(n_subcarriers=64, n_symbols=16)
    X = random_symbols(scene, 2)
    first = synthesize(scene, X)
    out = np.empty_like(first)
    for _ in range(100):
        assert np.array_equal(synthesize(scene, X, out=out), first)


def test_input_is_left_alone_and_may_be_strided():
    scene = general_scene()
    X = random_symbols(scene)
    strided = np.asfortranarray(X)
    kept = strided.copy()
    assert np.array_equal(synthesize(scene, strided), synthesize(scene, X))
    assert np.array_equal(strided, kept)


def test_noise_is_unit_normal_pairs_scaled():
    """Each sample takes two successive normals of the generator: real and imaginary part of variance sigma_s^2 / 2L."""
    scene = general_scene()
    X = random_symbols(scene)
    noise = synthesize(scene, X, rng=np.random.default_rng(3)) - synthesize(scene, X)
    pairs = np.random.default_rng(3).standard_normal((*noise.shape, 2))
    np.testing.assert_allclose(noise, pairs @ [1, 1j] * np.sqrt(0.3 / 8 / 2), rtol=0, atol=1e-13)


def test_single_precision():
    """Relative to the largest sample within ten roundings: one for each factor and sum of a path."""
    scene = general_scene(n_subcarriers=64)
    X = random_symbols(scene)
    exact = synthesize(scene, X)
    single = synthesize(scene, X.astype(np.complex64))
    assert single.dtype == np.complex64
    assert relative_error(single, exact) < 10 * np.finfo(np.float32).eps
    noisy = synthesize(scene, X.astype(np.complex64), rng=np.random.default_rng(3))
    pairs = np.random.default_rng(3).standard_normal((*single.shape, 2), dtype=np.float32)
    expected = pairs @ np.array([1, 1j]) * np.sqrt(0.3 / 64 / 2)
    np.testing.assert_allclose(noisy - single, expected, rtol=0, atol=1e-5 * np.abs(exact).max())


def test_factors_follow_the_scenario():
    """The same call on another value of the same shape sees the new value, and old values are let go."""
    import gc

    from disac.simulator import synthesis

    gc.collect()
    living = len(synthesis._FACTORS)
    scene = general_scene()
    X = random_symbols(scene)
    for amplitude in (1.0, 2.0, 3.0):
        other = scene.replace(amplitudes=amplitude * scene.amplitudes)
        np.testing.assert_allclose(synthesize(other, X), amplitude * synthesize(scene, X), rtol=1e-13)
    del other
    gc.collect()
    assert len(synthesis._FACTORS) == living + 1


def test_phase_common_to_all_nodes_is_not_seen():
    scene = general_scene()
    X = random_symbols(scene)
    phases = np.array([0.4, -2.0, 1.1])
    assert relative_error(synthesize(scene, X, phases=phases + 0.7), synthesize(scene, X, phases=phases)) < 1e-14


def test_wrong_input_is_named():
    scene = general_scene()
    X = random_symbols(scene)
    expected = r"must have shape \(\.\.\., 3, 3, 8, T\) \(\.\.\., N, M_t, L, T\)"
    for wrong in (X[:2], X[:, :2], X[:, :, :7], X[..., :0], X[0]):
        with pytest.raises(ValueError, match=r"X: has shape \([0-9, ]*\), " + expected):
            synthesize(scene, wrong)
    with pytest.raises(ValueError, match="X: has type float64, must be complex128 or complex64"):
        synthesize(scene, X.real)
    with pytest.raises(ValueError, match=r"phases: has shape \(4,\), must have shape \(3,\) or \(3,\)"):
        synthesize(scene, X, phases=np.zeros(4))
    with pytest.raises(ValueError, match=r"phases: has shape \(3, 3\), must have shape \(3,\) or \(2, 3\)"):
        synthesize(scene, random_symbols(scene, 2), phases=np.zeros((3, 3)))
    good = np.empty((3, 5, 8, 4), dtype=complex)
    for wrong in (good[:2], good.astype(np.complex64), np.asfortranarray(good)):
        with pytest.raises(ValueError, match=r"out: has shape .*, must be C-contiguous, \(3, 5, 8, 4\), complex128"):
            synthesize(scene, X, out=wrong)
