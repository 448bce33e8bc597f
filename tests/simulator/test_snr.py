"""The signal-to-noise ratio asked for is the one measured, whatever the power over subcarriers, users and antennas."""

from __future__ import annotations

import numpy as np
import pytest

from disac.simulator import RandomChannels, Scenario, draw_streams, measured_snr, receive_users, synthesize, transmit


def scene(n_users=1, **fields):
    users = [[10.0 * u, -20.0] for u in range(n_users)]
    settings = {
        "nodes": [[-40.0, -12.0], [35.0, -20.0]],
        "targets": [[3.0, 4.0]],
        "users": users,
        "n_tx": 4,
        "n_rx": 4,
        "n_subcarriers": 32,
        "n_symbols": 4000,
        "channels": RandomChannels(seed=2),
    }
    return Scenario(**{**settings, **fields})


def random_symbols(scenario, weight):
    shape = (scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers, scenario.n_symbols)
    rng = np.random.default_rng(5)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) * weight[:, None]


WEIGHTS = {"flat": np.ones(32), "uneven": np.geomspace(0.01, 3, 32), "one subcarrier": np.eye(32)[7]}


@pytest.mark.statistical(false_alarm=1e-20)
@pytest.mark.parametrize("power", WEIGHTS)
@pytest.mark.parametrize("asked_db", [-10.0, 30.0])
@pytest.mark.parametrize("link", ["echoes", "users"])
def test_snr_in_is_snr_out(link, power, asked_db):
    """0.05 dB at a million samples: the noise power estimate has a standard deviation of 0.0043 dB."""
    scenario = scene(n_users=8)
    X = random_symbols(scenario, WEIGHTS[power])
    receive = synthesize if link == "echoes" else receive_users
    clean = receive(scenario, X)
    assert clean.size >= 1_000_000
    noise = np.mean(np.abs(clean) ** 2) / 10 ** (asked_db / 10) * scenario.n_subcarriers
    noisy_scene = scenario.replace(noise_sense=noise, noise_comm=noise)
    noisy = receive(noisy_scene, X, rng=np.random.default_rng(11))
    measured_db = 10 * np.log10(measured_snr(clean, noisy))
    assert abs(measured_db - asked_db) < 0.05
    assert not abs(measured_db - (asked_db + 0.1)) < 0.05


@pytest.mark.statistical(false_alarm=1e-10)
def test_noise_is_fixed_whatever_the_number_of_users_and_antennas():
    """Mean |z|^2 of n samples has a standard deviation of sigma^2 / sqrt(n): seven of them."""
    for n_users, n_tx in ((1, 4), (4, 4), (4, 8)):
        scenario = scene(n_users=n_users, n_tx=n_tx, n_symbols=500, noise_comm=0.3)
        X = random_symbols(scenario, np.ones(32))
        z = receive_users(scenario, X, rng=np.random.default_rng(n_users)) - receive_users(scenario, X)
        power = np.mean(np.abs(z) ** 2) / (0.3 / 32)
        assert abs(power - 1) < 7 / np.sqrt(z.size)
        assert not abs(power * 32 / 36 - 1) < 7 / np.sqrt(z.size)
        assert abs(np.mean(z.real**2) / np.mean(z.imag**2) - 1) < 7 * np.sqrt(4 / z.size)
        assert abs(np.mean(z**2)) / (0.3 / 32) < 7 / np.sqrt(z.size)


@pytest.mark.statistical(false_alarm=1e-15)
def test_qpsk_over_a_known_gain_has_the_snr_of_its_power_budget():
    """One node, one user, unit gain on one antenna: SNR = P / (sigma_c^2 / L) with P the power per subcarrier."""
    channels = np.zeros((1, 1, 32, 4), dtype=complex)
    channels[..., 0] = 1
    scenario = scene(nodes=[[-40.0, -12.0]], channels=channels, noise_comm=0.1, n_symbols=16_000)
    comm = np.zeros((1, 1, 32, 4), dtype=complex)
    comm[..., 0] = np.sqrt(1 / 32)
    rngs = {"bit_rng": np.random.default_rng(0), "radar_rng": np.random.default_rng(1)}
    X = transmit(comm, np.zeros((1, 32, 4, 0)), draw_streams(scenario, 0, order=4, **rngs))
    noisy = receive_users(scenario, X, rng=np.random.default_rng(2))
    measured_db = 10 * np.log10(measured_snr(receive_users(scenario, X), noisy))
    assert abs(measured_db - 10) < 0.05
    assert not abs(measured_db - 10 * np.log10(10 * 32 / 31)) < 0.05, "one subcarrier too few is seen"


def test_amplitude_of_10_db_has_modulus_root_10():
    clean = np.full(4, np.sqrt(10) * 1j)
    assert measured_snr(clean, clean + np.array([1, -1, 1j, -1j])) == pytest.approx(10, rel=1e-14)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"noisy: has shape \(3,\), must have the shape \(2,\) of clean"):
        measured_snr(np.ones(2, dtype=complex), np.ones(3, dtype=complex))
    with pytest.raises(ValueError, match="noisy: equals clean"):
        measured_snr(np.ones(2, dtype=complex), np.ones(2, dtype=complex))
