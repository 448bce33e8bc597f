"""What users receive against Eq. (4) written out, and the bits that X carries to them."""

from __future__ import annotations

import numpy as np
import pytest

from disac.simulator import Scenario, demodulate, draw_streams, effective_channels, receive_users, transmit


def scene(**fields):
    settings = {
        "nodes": [[-40.0, -12.0], [35.0, -20.0], [5.0, 48.0]],
        "targets": [[3.0, 4.0]],
        "users": [[0.0, -20.0], [9.0, 20.0]],
        "n_tx": 4,
        "n_rx": 2,
        "n_subcarriers": 8,
        "n_symbols": 5,
        "noise_comm": 0.2,
    }
    return Scenario(**{**settings, **fields})


def random_complex(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal((*shape, 2)) @ [1, 1j]


def links(scenario, X, phases):
    """Eq. (4) with y = h^H x, link by link."""
    y = np.zeros((scenario.n_users, scenario.n_subcarriers, X.shape[-1]), dtype=complex)
    for u in range(scenario.n_users):
        for line in range(scenario.n_subcarriers):
            for n in range(scenario.n_nodes):
                y[u, line] += np.exp(1j * phases[n]) * (scenario.channels[n, u, line].conj() @ X[n, :, line])
    return y


@pytest.mark.parametrize("n_symbols", [1, 5])
def test_samples_are_equation_4(n_symbols):
    scenario = scene()
    X = random_complex(3, 4, 8, n_symbols)
    phases = np.array([0.3, -2.0, 1.7])
    np.testing.assert_allclose(receive_users(scenario, X, phases=phases), links(scenario, X, phases), atol=1e-13)
    np.testing.assert_allclose(receive_users(scenario, X), links(scenario, X, np.zeros(3)), atol=1e-13)


def test_batch_equals_its_trials():
    scenario = scene()
    X = random_complex(2, 3, 3, 4, 8, 5)
    phases = np.random.default_rng(1).uniform(0, 6, (2, 3, 3))
    together = receive_users(scenario, X, phases=phases, rng=np.random.default_rng(4))
    rng = np.random.default_rng(4)
    for index in np.ndindex(2, 3):
        alone = receive_users(scenario, X[index], phases=phases[index], rng=rng)
        assert np.array_equal(together[index], alone)


def test_single_precision():
    scenario = scene()
    X = random_complex(3, 4, 8, 5)
    y = receive_users(scenario, X.astype(np.complex64))
    assert y.dtype == np.complex64
    exact = receive_users(scenario, X)
    assert np.abs(y - exact).max() < 20 * np.finfo(np.float32).eps * np.abs(exact).max()


@pytest.mark.parametrize("batch", [(), (6,)])
def test_effective_channels_carry_the_streams(batch):
    """The gains of all streams give the same samples as the transmit symbols do."""
    scenario = scene()
    comm, radar = random_complex(3, 2, 8, 4), random_complex(3, 8, 4, 7, seed=1)
    streams = draw_streams(
        scenario, 7, order=16, bit_rng=np.random.default_rng(1), radar_rng=np.random.default_rng(2), batch=batch
    )
    phases = np.random.default_rng(3).uniform(0, 6, (*batch, 3))
    comm_gain, radar_gain = effective_channels(scenario, comm, radar, phases)
    assert comm_gain.shape == (*batch, 2, 2, 8)
    assert radar_gain.shape == (*batch, 2, 7, 8)
    y = np.einsum("...uil,...ilt->...ult", comm_gain, streams.data)
    y += np.einsum("...uql,...qlt->...ult", radar_gain, streams.radar)
    np.testing.assert_allclose(receive_users(scenario, transmit(comm, radar, streams), phases=phases), y, atol=1e-12)


@pytest.mark.parametrize("order", [4, 16, 64, 256])
@pytest.mark.parametrize("serving", ["one node per subcarrier", "all nodes jointly"])
def test_bits_of_x_reach_the_users(order, serving):
    """Zero-forcing data and radar sequences hidden in the null space of the users: every bit comes out, noise-free.

    With one node per subcarrier the unknown phase of that node is a known gain; a joint transmission is zero-forcing
    only for the phases that it was built for."""
    scenario = scene()
    rng = np.random.default_rng(8)
    phases = rng.uniform(0, 2 * np.pi, 3) if serving == "one node per subcarrier" else np.zeros(3)
    comm, radar = np.zeros((3, 2, 8, 4), dtype=complex), np.zeros((3, 8, 4, 3), dtype=complex)
    for line in range(8):
        nodes = [line % 3] if serving == "one node per subcarrier" else [0, 1, 2]
        channel = np.concatenate([scenario.channels[n, :, line] for n in nodes], axis=1).conj()
        comm[nodes, :, line] = np.linalg.pinv(channel).T.reshape(2, len(nodes), 4).swapaxes(0, 1)
        hidden = np.linalg.svd(channel)[2][2:].conj().T
        mixed = hidden @ random_complex(hidden.shape[1], 3, seed=line)
        radar[nodes, line] = 30 * mixed.reshape(len(nodes), 4, 3)
    streams = draw_streams(scenario, 3, order=order, bit_rng=rng, radar_rng=rng)
    X = transmit(comm, radar, streams)
    y = receive_users(scenario, X, phases=phases)
    comm_gain, radar_gain = effective_channels(scenario, comm, radar, phases)
    own = np.einsum("uul->ul", comm_gain)
    assert np.abs(radar_gain).max() < 1e-12
    np.testing.assert_allclose(np.abs(own), 1, atol=1e-12)
    decided = demodulate(y / own[..., None], order)
    np.testing.assert_array_equal(decided.reshape(streams.bits.shape), streams.bits)
    if serving == "all nodes jointly":
        turned = receive_users(scenario, X, phases=[0.0, 2.0, 4.0])
        assert np.any(demodulate(turned, order).reshape(streams.bits.shape) != streams.bits)


def test_noise_is_of_the_scene_alone():
    scenario = scene()
    X = random_complex(3, 4, 8, 5)
    noise = receive_users(scenario, X, rng=np.random.default_rng(2)) - receive_users(scenario, X)
    other = receive_users(scenario, 0 * X, rng=np.random.default_rng(2))
    np.testing.assert_allclose(noise, other, atol=1e-13)
    pairs = np.random.default_rng(2).standard_normal((2, 8, 5, 2)) * np.sqrt(0.2 / 8 / 2)
    np.testing.assert_allclose(other, pairs @ [1, 1j], atol=1e-15)


def test_wrong_input_is_named():
    scenario = scene()
    with pytest.raises(ValueError, match=r"X: has shape \(3, 5, 8, 5\), must have shape \(\.\.\., 3, 4, 8, T\)"):
        receive_users(scenario, random_complex(3, 5, 8, 5))
    with pytest.raises(ValueError, match=r"X: has type float64, must be complex128 or complex64"):
        receive_users(scenario, np.ones((3, 4, 8, 5)))
    with pytest.raises(ValueError, match=r"phases: has shape \(2,\), must have shape \(3,\)"):
        receive_users(scenario, random_complex(3, 4, 8, 5), phases=[0.0, 1.0])
    with pytest.raises(ValueError, match=r"phases: has shape \(2,\)"):
        effective_channels(scenario, random_complex(3, 2, 8, 4), random_complex(3, 8, 4, 3), phases=[0.0, 1.0])
    with pytest.raises(ValueError, match=r"comm_precoders: has shape \(3, 1, 8, 4\)"):
        effective_channels(scenario, random_complex(3, 1, 8, 4), random_complex(3, 8, 4, 3))


def test_no_users():
    scenario = scene(users=np.zeros((0, 2)))
    assert receive_users(scenario, random_complex(3, 4, 8, 5), rng=np.random.default_rng(0)).shape == (0, 8, 5)


EXACT_BER_AT_10_DB = {4: 7.827011e-4, 16: 5.899273e-2, 64: 1.525464e-1, 256: 2.366742e-1}
"""Exact Gray bit error rates at Es/N0 = 10 dB: Gaussian mass of the decision cells weighted by Hamming distance."""


@pytest.mark.statistical(false_alarm=4e-10)
@pytest.mark.parametrize("order", EXACT_BER_AT_10_DB)
def test_bit_error_rate_at_10_db(order):
    """Es = 1 over a unit channel with sigma_c^2 / L = 0.1; seven standard errors of the mean over symbols."""
    scenario = scene(
        nodes=[[-40.0, -12.0]],
        users=[[0.0, -20.0]],
        n_tx=1,
        n_symbols=60_000,
        channels=np.ones((1, 1, 8, 1), dtype=complex),
        noise_comm=0.1 * 8,
    )
    rng = np.random.default_rng(order)
    streams = draw_streams(scenario, 0, order=order, bit_rng=rng, radar_rng=rng)
    X = transmit(np.ones((1, 1, 8, 1)), np.zeros((1, 8, 1, 0)), streams)
    decided = demodulate(receive_users(scenario, X, rng=rng), order).reshape(streams.bits.shape)
    per_symbol = np.mean(decided != streams.bits, axis=-1)
    standard_error = per_symbol.std() / np.sqrt(per_symbol.size)
    assert abs(per_symbol.mean() - EXACT_BER_AT_10_DB[order]) < 7 * standard_error
    assert not abs(per_symbol.mean() - 1.5 * EXACT_BER_AT_10_DB[order]) < 7 * standard_error
