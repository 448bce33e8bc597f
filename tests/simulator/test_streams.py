"""Streams have the statistics that Eq. (2), (3) and (15) ask for, and X is the precoded sum of Eq. (1)."""

from __future__ import annotations

import numpy as np
import pytest

from disac.simulator import Scenario, Streams, demodulate, draw_streams, radar_alphabet, transmit


def scene(**fields):
    settings = {
        "nodes": [[-40.0, -12.0], [35.0, -20.0], [5.0, 48.0]],
        "targets": [[3.0, 4.0]],
        "users": [[0.0, -20.0], [9.0, 20.0]],
        "n_tx": 3,
        "n_rx": 5,
        "n_subcarriers": 4,
        "n_symbols": 6,
    }
    return Scenario(**{**settings, **fields})


def rngs(seed=0):
    return {"bit_rng": np.random.default_rng([seed, 1]), "radar_rng": np.random.default_rng([seed, 2])}


def random_precoders(scenario, n_streams, seed=0):
    rng = np.random.default_rng(seed)
    n, u, lines, m = scenario.n_nodes, scenario.n_users, scenario.n_subcarriers, scenario.n_tx
    comm = rng.standard_normal((n, u, lines, m, 2)) @ [1, 1j]
    radar = rng.standard_normal((n, lines, m, n_streams, 2)) @ [1, 1j]
    return comm, radar


@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
@pytest.mark.parametrize("order", [4, 64])
def test_shapes_and_bits(batch, order):
    streams = draw_streams(scene(), 7, order=order, batch=batch, **rngs())
    n_bits = int(np.log2(order))
    assert streams.bits.shape == (*batch, 2, 4, 6, n_bits)
    assert streams.bits.dtype == np.uint8
    assert streams.data.shape == (*batch, 2, 4, 6)
    assert streams.radar.shape == (*batch, 7, 4, 6)
    np.testing.assert_array_equal(demodulate(streams.data, order), streams.bits.reshape(*batch, 2, 4, 6 * n_bits))


def test_one_generator_each_for_bits_and_radar():
    one = draw_streams(scene(), 3, order=16, **rngs())
    other = draw_streams(scene(), 5, order=16, radar="gaussian", **rngs())
    again = draw_streams(scene(), 3, order=16, **rngs())
    np.testing.assert_array_equal(one.bits, other.bits)
    np.testing.assert_array_equal(one.bits, again.bits)
    np.testing.assert_array_equal(one.radar, again.radar)
    assert not np.array_equal(one.bits, draw_streams(scene(), 3, order=16, **rngs(1)).bits)


@pytest.mark.statistical(false_alarm=4e-8)
@pytest.mark.parametrize("radar", ["constant-modulus", "gaussian"])
def test_streams_are_white_circular_and_of_unit_power(radar):
    """Every entry of the sample covariance of n samples within six standard deviations, at most 1 / sqrt(n) each
    off the diagonal and sqrt((E|s|^4 - 1) / n) on it."""
    n_symbols = 40_000
    streams = draw_streams(scene(n_symbols=n_symbols), 3, order=16, radar=radar, **rngs())
    rows = np.concatenate([streams.data.reshape(-1, n_symbols), streams.radar.reshape(-1, n_symbols)])
    bound = 6 / np.sqrt(n_symbols)
    covariance = rows @ rows.conj().T / n_symbols
    off_diagonal = ~np.eye(len(rows), dtype=bool)
    assert np.abs(covariance[off_diagonal]).max() < bound
    assert np.abs(np.diag(covariance) - 1).max() < bound
    assert np.abs(rows @ rows.T / n_symbols).max() < np.sqrt(2) * bound
    assert np.abs(rows.mean(axis=1)).max() < bound
    shifted = np.sum(rows[:, 1:] * rows[:, :-1].conj(), axis=1) / n_symbols
    assert np.abs(shifted).max() < bound
    fourth = np.mean(np.abs(streams.radar) ** 4)
    if radar == "constant-modulus":
        np.testing.assert_allclose(np.abs(streams.radar), 1, rtol=0, atol=1e-15)
        assert set(np.unique(streams.radar)) == set(radar_alphabet(radar))
    else:
        # |s|^4 of a circular normal has mean 2 and variance 24 - 4 = 20.
        assert abs(fourth - 2) < 6 * np.sqrt(20 / streams.radar.size)
        assert radar_alphabet(radar) is None
    assert abs(streams.bits.mean() - 0.5) < 6 * 0.5 / np.sqrt(streams.bits.size)
    twice = np.concatenate([rows, rows[:1]])
    assert not np.abs(twice @ twice.conj().T / n_symbols)[-1, :-1].max() < bound, "a stream sent twice is seen"


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_transmit_is_equation_1(batch):
    scenario = scene()
    comm, radar = random_precoders(scenario, 7)
    streams = draw_streams(scenario, 7, order=16, radar="gaussian", batch=batch, **rngs())
    X = transmit(comm, radar, streams)
    assert X.shape == (*batch, 3, 3, 4, 6)
    assert X.flags.c_contiguous
    for index in np.ndindex(batch):
        for n in range(3):
            for line in range(4):
                for t in range(6):
                    expected = comm[n, :, line].T @ streams.data[index][:, line, t]
                    expected = expected + radar[n, line] @ streams.radar[index][:, line, t]
                    np.testing.assert_allclose(X[index][n, :, line, t], expected, rtol=0, atol=1e-13)


@pytest.mark.statistical(false_alarm=2e-8)
@pytest.mark.parametrize("radar", ["constant-modulus", "gaussian"])
@pytest.mark.parametrize("order", [4, 16])
def test_sample_covariance_converges_to_the_precoders(radar, order):
    """R_l = sum_u w w^H + W_s W_s^H over all nodes stacked; entries have a variance of at most R_ii R_jj / T, with
    equality for Gaussian streams, because the kurtosis of every other stream used here is smaller."""
    scenario = scene(n_symbols=20_000)
    comm, precoders = random_precoders(scenario, 9)
    streams = draw_streams(scenario, 9, order=order, radar=radar, **rngs())
    X = transmit(comm, precoders, streams).reshape(9, 4, -1)
    for line in range(4):
        stacked = np.concatenate([comm[:, :, line].swapaxes(1, 2), precoders[:, line]], axis=2).reshape(9, -1)
        expected = stacked @ stacked.conj().T
        power = np.diag(expected).real
        sample = X[:, line] @ X[:, line].conj().T / scenario.n_symbols
        assert np.all(np.abs(sample - expected) < 6.5 * np.sqrt(np.outer(power, power) / scenario.n_symbols))
        assert np.abs(sample - expected.T).max() > 6.5 * power.max() / np.sqrt(scenario.n_symbols)


def test_no_users_and_no_radar_streams():
    scenario = scene(users=np.zeros((0, 2)))
    comm, radar = random_precoders(scenario, 0)
    streams = draw_streams(scenario, 0, order=4, **rngs())
    assert streams.bits.shape == (0, 4, 6, 2)
    np.testing.assert_array_equal(transmit(comm, radar, streams), np.zeros((3, 3, 4, 6)))


def test_wrong_input_is_named():
    scenario = scene()
    with pytest.raises(ValueError, match="radar = 'chirp': must be one of 'constant-modulus', 'gaussian'"):
        draw_streams(scenario, 3, order=4, radar="chirp", **rngs())
    with pytest.raises(ValueError, match="n_radar_streams = -1: must be a whole number, at least 0"):
        draw_streams(scenario, -1, order=4, **rngs())
    with pytest.raises(ValueError, match="order = 5: must be one of"):
        draw_streams(scenario, 3, order=5, **rngs())
    comm, radar = random_precoders(scenario, 3)
    streams = draw_streams(scenario, 3, order=4, **rngs())
    with pytest.raises(ValueError, match=r"comm_precoders: has shape \(3, 1, 4, 3\), must have shape \(3, 2, 4, 3\)"):
        transmit(comm[:, :1], radar, streams)
    with pytest.raises(ValueError, match=r"radar_precoders: has shape \(3, 4, 3, 2\), must have shape \(3, 4, 3, 3\)"):
        transmit(comm, radar[..., :2], streams)


def test_streams_are_a_value():
    streams = draw_streams(scene(), 1, order=4, **rngs())
    assert isinstance(streams, Streams)
    with pytest.raises(AttributeError):
        streams.bits = None
