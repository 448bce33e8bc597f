"""Time-domain OFDM against the continuous-time definition, and Eq. (5) within and beyond the cyclic prefix."""

from __future__ import annotations

import numpy as np
import pytest

from disac.simulator import (
    Scenario,
    echo_samples,
    multipath,
    ofdm_demodulate,
    ofdm_modulate,
    prefix_loss,
    synthesize,
)

BANDWIDTH_HZ = 8e6


def random_values(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def stream_at(X, n_cyclic_prefix, instants):
    """The continuous-time stream of prefixed symbols at these instants [samples], summed tone by tone."""
    n_subcarriers, n_symbols = X.shape
    values = np.zeros(len(instants), dtype=complex)
    for i, instant in enumerate(instants):
        symbol = int(np.floor(instant / (n_subcarriers + n_cyclic_prefix)))
        if 0 <= symbol < n_symbols:
            since_useful = instant - symbol * (n_subcarriers + n_cyclic_prefix) - n_cyclic_prefix
            tones = np.exp(2j * np.pi * np.arange(n_subcarriers) * since_useful / n_subcarriers)
            values[i] = X[:, symbol] @ tones / np.sqrt(n_subcarriers)
    return values


@pytest.mark.parametrize(("n_subcarriers", "prefix", "n_symbols"), [(16, 4, 3), (7, 0, 2), (4, 9, 2), (1, 2, 3)])
def test_modulation_is_the_definition_and_inverts(n_subcarriers, prefix, n_symbols):
    X = random_values(n_subcarriers, n_symbols)
    samples = ofdm_modulate(X, prefix)
    assert samples.shape == (n_symbols * (prefix + n_subcarriers),)
    np.testing.assert_allclose(samples, stream_at(X, prefix, np.arange(samples.size)), atol=1e-12)
    np.testing.assert_allclose(ofdm_demodulate(samples, n_subcarriers, prefix), X, atol=1e-12)


def test_transform_is_unitary():
    X = random_values(16, 5)
    samples = ofdm_modulate(X, 0)
    assert np.sum(np.abs(samples) ** 2) == pytest.approx(np.sum(np.abs(X) ** 2), rel=1e-13)


@pytest.mark.parametrize("delay", [0.0, 1.0, 2.37, 3.999, 4.0, 4.2, 11.5, 19.99, 20.0, 27.3, 59.9, 61.0, 500.0])
def test_delayed_stream_is_the_continuous_one_at_a_later_time(delay):
    n_subcarriers, prefix, n_symbols = 16, 4, 3
    X = random_values(n_subcarriers, n_symbols)
    samples = ofdm_modulate(X, prefix)
    received = multipath(
        samples, n_subcarriers, prefix, gains=0.3 - 2j, delays_s=delay / BANDWIDTH_HZ, bandwidth_hz=BANDWIDTH_HZ
    )
    instants = np.arange(samples.size) - delay
    assert received.shape == samples.shape
    np.testing.assert_allclose(received, (0.3 - 2j) * stream_at(X, prefix, instants), atol=1e-11)


def test_paths_add_up():
    samples = ofdm_modulate(random_values(2, 8, 3), 4)
    gains, delays = np.array([1.0, 0.5j, -2.0]), np.array([0.0, 1.3, 7.7]) / BANDWIDTH_HZ
    together = multipath(samples, 8, 4, gains=gains, delays_s=delays, bandwidth_hz=BANDWIDTH_HZ)
    apart = [
        multipath(samples, 8, 4, gains=g, delays_s=d, bandwidth_hz=BANDWIDTH_HZ)
        for g, d in zip(gains, delays, strict=True)
    ]
    np.testing.assert_allclose(together, sum(apart), atol=1e-13)


@pytest.mark.parametrize("delay", [0.0, 0.25, 3.0, 3.9999, 4.0])
def test_within_the_prefix_a_delay_is_the_delay_vector(delay):
    X = random_values(16, 3)
    ramp = np.exp(-2j * np.pi * np.arange(16) * delay / 16)
    received = multipath(
        ofdm_modulate(X, 4), 16, 4, gains=1.0, delays_s=delay / BANDWIDTH_HZ, bandwidth_hz=BANDWIDTH_HZ
    )
    np.testing.assert_allclose(ofdm_demodulate(received, 16, 4), ramp[:, None] * X, atol=1e-12)
    loss = prefix_loss(delay / BANDWIDTH_HZ, 16, 4, BANDWIDTH_HZ)
    assert (loss.useful, loss.intercarrier, loss.intersymbol) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(("delay", "late"), [(4.001, 1), (5.0, 1), (6.3, 3), (13.5, 10), (20.0, 16)])
def test_beyond_the_prefix_the_departure_is_the_closed_form(delay, late):
    n_subcarriers, prefix = 16, 4
    X = random_values(n_subcarriers, 4)
    received = multipath(
        ofdm_modulate(X, prefix),
        n_subcarriers,
        prefix,
        gains=1.0,
        delays_s=delay / BANDWIDTH_HZ,
        bandwidth_hz=BANDWIDTH_HZ,
    )
    line = np.arange(n_subcarriers)
    leak = sum(np.exp(2j * np.pi * (line[None, :] - line[:, None]) * i / 16) for i in range(late)) / 16
    own = np.exp(-2j * np.pi * line * delay / 16)
    previous = np.exp(-2j * np.pi * line * (delay - prefix) / 16)
    before = np.concatenate([np.zeros((16, 1)), X[:, :-1]], axis=1)
    departure = -leak @ (own[:, None] * X) + leak @ (previous[:, None] * before)
    np.testing.assert_allclose(ofdm_demodulate(received, 16, 4) - own[:, None] * X, departure, atol=1e-12)

    loss = prefix_loss(delay / BANDWIDTH_HZ, n_subcarriers, prefix, BANDWIDTH_HZ)
    kept = np.eye(16) - leak
    assert loss.useful == pytest.approx(np.abs(np.diag(kept)[0]) ** 2, abs=1e-14)
    assert loss.intercarrier == pytest.approx(np.sum(np.abs(kept[5]) ** 2) - loss.useful, abs=1e-14)
    assert loss.intersymbol == pytest.approx(np.sum(np.abs(leak[5]) ** 2), abs=1e-14)


@pytest.mark.statistical(false_alarm=1e-11)
def test_mean_power_of_the_departure():
    """Mean |Y - D X|^2 over white symbols is 2 n / L of theirs; seven standard errors measured over the symbols."""
    n_symbols = 4000
    delay, late = 9.4, 6
    X = random_values(16, n_symbols)
    received = multipath(
        ofdm_modulate(X, 4), 16, 4, gains=1.0, delays_s=delay / BANDWIDTH_HZ, bandwidth_hz=BANDWIDTH_HZ
    )
    ramp = np.exp(-2j * np.pi * np.arange(16) * delay / 16)
    departure = np.mean(np.abs(ofdm_demodulate(received, 16, 4) - ramp[:, None] * X)[:, 1:] ** 2, axis=0) / 2
    # Neighbouring symbols share one X, so that the standard error is at most that of n_symbols / 2 independent ones.
    standard_error = departure.std() / np.sqrt(n_symbols / 2)
    assert abs(departure.mean() - 2 * late / 16) < 7 * standard_error
    assert not abs(departure.mean() - 2 * (late + 1) / 16) < 7 * standard_error
    loss = prefix_loss(delay / BANDWIDTH_HZ, 16, 4, BANDWIDTH_HZ)
    dropped = (1 - np.sqrt(loss.useful)) ** 2
    assert dropped + loss.intercarrier + loss.intersymbol == pytest.approx(2 * late / 16, rel=1e-14)


def scene(**fields):
    settings = {
        "nodes": [[-40.0, -12.0], [35.0, -20.0]],
        "targets": [[3.0, 4.0], [-11.0, 17.5]],
        "users": [[0.0, -20.0]],
        "orientations": [0.3, 2.4],
        "n_tx": 3,
        "n_rx": 2,
        "n_subcarriers": 16,
        "n_symbols": 3,
        "bandwidth_hz": 8e6,
    }
    return Scenario(**{**settings, **fields})


@pytest.mark.parametrize("batch", [(), (2,)])
def test_synthesis_is_the_time_domain_path_within_the_prefix(batch):
    scenario = scene(n_cyclic_prefix=4)
    longest = 2 * scenario.target_geometry.delay_s.max() * scenario.bandwidth_hz
    assert 2.0 < longest < 4.0
    X = random_values(*batch, 2, 3, 16, 3)
    samples = echo_samples(scenario, X, phases=[0.4, -1.1])
    assert samples.shape == (*batch, 2, 2, 3 * 20)
    Y = synthesize(scenario, X, phases=[0.4, -1.1])
    np.testing.assert_allclose(ofdm_demodulate(samples, 16, 4), Y, atol=1e-12 * np.abs(Y).max())


def test_too_short_a_prefix_breaks_equation_6_from_the_first_symbol_on():
    scenario = scene(n_cyclic_prefix=1)
    X = random_values(2, 3, 16, 3)
    Y = ofdm_demodulate(echo_samples(scenario, X), 16, 1)
    departure = np.abs(Y - synthesize(scenario, X)).max(axis=(0, 1, 2))
    assert np.all(departure > 0.05 * np.abs(Y).max())


def test_single_precision_stays_single():
    X = random_values(8, 2).astype(np.complex64)
    samples = ofdm_modulate(X, 2)
    received = multipath(samples, 8, 2, gains=1.0, delays_s=1e-7, bandwidth_hz=BANDWIDTH_HZ)
    assert samples.dtype == received.dtype == ofdm_demodulate(received, 8, 2).dtype == np.complex64


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"samples: has shape \(21,\).*N_cp \+ L = 4 \+ 16"):
        ofdm_demodulate(np.zeros(21, dtype=complex), 16, 4)
    with pytest.raises(ValueError, match=r"delays_s: holds -1e-09, must be at least 0 s"):
        multipath(np.zeros(20, dtype=complex), 16, 4, gains=1, delays_s=[1e-9, -1e-9], bandwidth_hz=1e6)
