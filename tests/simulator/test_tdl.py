"""Tapped delay lines: the one sign of a delay, through samples in time, and the power that arrives too late."""

from __future__ import annotations

import numpy as np
import pytest

from disac.simulator import Scenario, multipath, ofdm_demodulate, ofdm_modulate, receive_users
from disac.simulator.steering import subcarrier_frequencies
from disac.simulator.tdl import PROFILES, DelayProfile

BANDWIDTH_HZ, N_SUBCARRIERS, PREFIX = 20e6, 16, 4


def test_a_tap_of_three_samples_arrives_three_samples_late():
    """The user's samples are those of a stream in time that passes a path of that delay, and peak in bin 3, not 13."""
    line = DelayProfile(delays=(3.0,), powers_db=(0.0,), specular=True)
    frequencies = subcarrier_frequencies(N_SUBCARRIERS, BANDWIDTH_HZ) / BANDWIDTH_HZ
    h = line.draw(np.random.default_rng(2), np.zeros((1, 1)), frequencies, 1)
    s = Scenario(
        nodes=[[-40.0, 0.0]],
        targets=[[0.0, 0.0]],
        users=[[0.0, -20.0]],
        n_tx=1,
        n_subcarriers=N_SUBCARRIERS,
        n_symbols=2,
        bandwidth_hz=BANDWIDTH_HZ,
        channels=h,
    )
    X = np.random.default_rng(3).standard_normal((1, 1, N_SUBCARRIERS, 2)) + 0j
    y = receive_users(s, X)[0]
    gain = h[0, 0, 0, 0].conj()
    sent = ofdm_modulate(X[0, 0], PREFIX)
    late = multipath(sent, N_SUBCARRIERS, PREFIX, gains=gain, delays_s=3 / BANDWIDTH_HZ, bandwidth_hz=BANDWIDTH_HZ)
    np.testing.assert_allclose(y, ofdm_demodulate(late, N_SUBCARRIERS, PREFIX), atol=1e-12)
    response = np.abs(np.fft.ifft(y[:, 0] / X[0, 0, :, 0]))
    assert np.argmax(response) == 3
    assert response[3] == pytest.approx(1.0)


@pytest.mark.parametrize(("spread_s", "share"), [(100e-9, 0.1168), (1000e-9, 0.9868)])
def test_power_later_than_the_prefix_is_that_of_the_table(spread_s, share):
    assert PROFILES["tdl-a"].share_later_than(PREFIX / BANDWIDTH_HZ / spread_s) == pytest.approx(share, abs=5e-5)
