"""The user receiver: bits through known and estimated gains, pilots, and what a wrong shape says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from acceptance import binomial_acceptance
from numpy.typing import NDArray
from scipy.special import i0e
from scipy.stats import chi2, ncx2

from disac.estimators import count_bit_errors, detect, estimate_gains, pilot_symbols
from disac.experiments.theory.ber import awgn_ber
from disac.simulator import constellation, modulate

FALSE_ALARM = 1e-9
ORDERS = (4, 16, 64, 256)


def draw_bits(rng: np.random.Generator, *shape: int) -> NDArray[np.uint8]:
    return rng.integers(0, 2, shape, dtype=np.uint8)


def draw_noise(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> NDArray[np.complex128]:
    pairs = rng.standard_normal((*shape, 2)) * np.sqrt(variance / 2)
    return pairs[..., 0] + 1j * pairs[..., 1]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_noiseless_bits_come_back(order: int, dtype: type) -> None:
    rng = np.random.default_rng(order)
    bits = draw_bits(rng, 3, 2, 4, 5, order.bit_length() - 1)
    gains = draw_noise(rng, (3, 2, 4), 1.0)
    y = (gains[..., None] * modulate(bits, order)[..., 0]).astype(dtype)
    np.testing.assert_array_equal(detect(y, gains, order), bits)
    np.testing.assert_array_equal(detect(y[1], gains[1], order), bits[1])
    shared = np.broadcast_to(gains[0], (3, 2, 4))[..., None] * modulate(bits, order)[..., 0]
    np.testing.assert_array_equal(detect(shared, gains[0], order), bits)


def test_decisions_are_the_nearest_points() -> None:
    """Explicit search over the constellation for noisy symbols."""
    rng = np.random.default_rng(1)
    y, gains = draw_noise(rng, (2, 3, 50), 2.0), draw_noise(rng, (2, 3), 1.0)
    for order in ORDERS:
        n_bits = order.bit_length() - 1
        detected = detect(y, gains, order)
        labels = detected @ (1 << np.arange(n_bits - 1, -1, -1))
        for u, subcarrier, t in np.ndindex(y.shape):
            distances = np.abs(y[u, subcarrier, t] - gains[u, subcarrier] * constellation(order))
            assert labels[u, subcarrier, t] == np.argmin(distances)


def test_bit_errors_are_counted_per_user() -> None:
    rng = np.random.default_rng(2)
    sent = draw_bits(rng, 4, 3, 5, 6, 2)
    detected = sent.copy()
    detected[0, 1, 2, 3, 0] ^= 1
    detected[0, 1, 4, 5] ^= 1
    detected[3, 2, 0, 0, 1] ^= 1
    expected = np.zeros((4, 3))
    expected[0, 1], expected[3, 2] = 3, 1
    np.testing.assert_array_equal(count_bit_errors(detected, sent), expected)


@pytest.mark.statistical(false_alarm=1e-9)
def test_zero_gain_guesses_half_of_the_bits() -> None:
    rng = np.random.default_rng(3)
    n_symbols = 20_000
    bits = draw_bits(rng, 2, 1, n_symbols, 4)
    gains = np.array([[0.0], [1.0j]])
    y = gains[..., None] * modulate(bits, 16)[..., 0] + draw_noise(rng, (2, 1, n_symbols), 1e-6)
    errors = count_bit_errors(detect(y, gains, 16), bits)
    low, high = binomial_acceptance(4 * n_symbols, 0.5, FALSE_ALARM)
    assert low <= errors[0] <= high
    assert errors[1] == 0
    assert not low <= errors[1] <= high


def test_pilots_are_orthogonal_with_unit_power() -> None:
    pilots = pilot_symbols(3, 2, 5)
    for subcarrier in range(2):
        gram = pilots[:, subcarrier] @ pilots[:, subcarrier].conj().T
        np.testing.assert_allclose(gram, 5 * np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.abs(pilots), 1, rtol=1e-12)


def test_estimate_separates_users() -> None:
    """Without noise the other users' pilots drop out; least squares by a solver gives the same."""
    rng = np.random.default_rng(4)
    comm = draw_noise(rng, (7, 3, 3, 2), 1.0)
    pilots = pilot_symbols(3, 2, 4)
    y = np.einsum("buil,ilp->bulp", comm, pilots)
    estimates = estimate_gains(y, pilots)
    np.testing.assert_allclose(estimates, np.einsum("buul->bul", comm), rtol=1e-12)
    noisy = y + draw_noise(rng, y.shape, 0.5)
    solved = np.linalg.lstsq(pilots[:, 0].T, noisy[5, 1, 0], rcond=None)[0]
    assert estimate_gains(noisy, pilots)[5, 1, 0] == pytest.approx(solved[1], rel=1e-12)


@pytest.mark.statistical(false_alarm=1e-9)
def test_estimate_has_the_stated_variance() -> None:
    """sum |g_hat - g|^2 / (noise / P / 2) is chi-square; the count of P - 1 pilots would be rejected."""
    rng = np.random.default_rng(5)
    n_users, n_pilots, noise, n_trials = 2, 4, 0.3, 3000
    gains = draw_noise(rng, (n_trials, n_users, 1), 1.0)
    pilots = pilot_symbols(n_users, 1, n_pilots)
    y = gains[..., None] * pilots + draw_noise(rng, (n_trials, n_users, 1, n_pilots), noise)
    statistic = np.sum(np.abs(estimate_gains(y, pilots) - gains) ** 2) / (noise / n_pilots / 2)
    degrees = 2 * n_trials * n_users
    low, high = chi2.ppf(FALSE_ALARM / 2, degrees), chi2.isf(FALSE_ALARM / 2, degrees)
    assert low < statistic < high
    assert not low < statistic * (n_pilots - 1) / n_pilots < high


def differential_qpsk_ber(snr_per_bit: float) -> float:
    """Gray differential QPSK: Q_1(a, b) - exp(-(a^2 + b^2) / 2) I_0(a b) / 2 (Proakis)."""
    a, b = np.sqrt(2 * snr_per_bit * (1 - np.sqrt(0.5))), np.sqrt(2 * snr_per_bit * (1 + np.sqrt(0.5)))
    return float(ncx2.sf(b**2, 2, a**2) - 0.5 * i0e(a * b) * np.exp(a * b - (a**2 + b**2) / 2))


@pytest.mark.statistical(false_alarm=1e-9)
def test_one_pilot_is_differential_detection() -> None:
    """QPSK decided against one equally noisy pilot is differential QPSK, 2.3 dB worse than with a known gain."""
    rng = np.random.default_rng(6)
    n_trials, snr = 300_000, 6.0
    bits = draw_bits(rng, n_trials, 1, 1, 1, 2)
    symbols = modulate(bits, 4)[..., 0]
    gains = np.exp(2j * np.pi * rng.random((n_trials, 1, 1)))
    y = gains[..., None] * symbols + draw_noise(rng, symbols.shape, 1 / snr)

    def errors(n_pilots: int) -> int:
        pilots = pilot_symbols(1, 1, n_pilots)
        received = gains[..., None] * pilots + draw_noise(rng, (n_trials, 1, 1, n_pilots), 1 / snr)
        wrong = detect(y, estimate_gains(received, pilots), 4) != bits
        return int(np.count_nonzero(wrong[..., 0]))

    low, high = binomial_acceptance(n_trials, differential_qpsk_ber(snr / 2), FALSE_ALARM)
    assert low <= errors(1) <= high
    known = float(awgn_ber(snr, 4))
    many = errors(64)
    assert not low <= many <= high
    assert many < 1.2 * known * n_trials


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: detect(np.zeros((2, 3), complex), np.ones((2, 3)), 4), r"y: has shape \(2, 3\)"),
        (lambda: detect(np.zeros((2, 3, 1), complex), np.ones((3, 2)), 4), r"gains: has shape \(3, 2\)"),
        (
            lambda: detect(np.zeros((2, 3, 1), complex), np.full((2, 3), np.nan), 4),
            "gains: entry .*every entry must be finite",
        ),
        (lambda: detect(np.zeros((2, 3, 1), complex), np.ones((2, 3)), 32), "order = 32"),
        (lambda: count_bit_errors(np.zeros((1, 1, 1, 2), np.uint8), np.zeros((1, 1, 1, 4), np.uint8)), "shape"),
        (lambda: pilot_symbols(3, 1, 2), "n_pilots = 2: must be at least 3"),
        (lambda: estimate_gains(np.zeros((2, 1, 4), complex), np.ones((2, 1, 3))), "y_pilots has shape"),
        (lambda: estimate_gains(np.zeros((1, 1, 2), complex), np.zeros((1, 1, 2))), "only zeros"),
    ],
)
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
