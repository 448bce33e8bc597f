"""BER theory against published values, explicit enumeration, its limits, and bits that crossed the simulated link.

Simulated checks count one randomly chosen bit per symbol, which makes the errors of a user and subcarrier independent
given the gains, and accept the exact binomial range with a false alarm of 1e-9 per count (under 100 counts here).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from acceptance import binomial_acceptance
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import erfc, i0e
from scipy.stats import ncx2

from disac.designs.precoders import achieved_sinr
from disac.estimators import detect
from disac.experiments.theory import ber as ber_theory
from disac.simulator import (
    Scenario,
    constellation,
    demodulate,
    draw_streams,
    effective_channels,
    modulate,
    receive_users,
    transmit,
)
from disac.simulator.streams import RadarSequence

FALSE_ALARM = 1e-9
ORDERS = (4, 16, 64, 256)
ComplexArray = NDArray[np.complex128]


def gaussian_tail(x: NDArray[np.float64] | float) -> NDArray[np.float64]:
    tail: NDArray[np.float64] = 0.5 * erfc(np.asarray(x) / np.sqrt(2))
    return tail


def accepts(errors: NDArray[np.int64], trials: int, rate: NDArray[np.float64]) -> NDArray[np.bool_]:
    ranges = [binomial_acceptance(trials, float(p), FALSE_ALARM) for p in rate.ravel()]
    inside = [low <= k <= high for k, (low, high) in zip(errors.ravel(), ranges, strict=True)]
    return np.reshape(inside, rate.shape)


@pytest.mark.parametrize(
    ("order", "published"), [(4, 7.827011e-4), (16, 5.899273e-2), (64, 1.525464e-1), (256, 2.366742e-1)]
)
def test_published_rates_at_10_db(order: int, published: float) -> None:
    assert ber_theory.awgn_ber(10.0, order) == pytest.approx(published, rel=1e-6)


@pytest.mark.parametrize(("order", "published"), [(4, 3.872108e-6), (16, 1.754151e-3), (64, 2.653271e-2)])
def test_published_rates_per_bit_energy(order: int, published: float) -> None:
    bits = np.log2(order)
    assert ber_theory.awgn_ber(10.0 * bits, order) == pytest.approx(published, rel=1e-6)
    assert ber_theory.awgn_ber(10.0, order) != pytest.approx(published, rel=0.1)


def test_16_qam_is_told_from_approximations() -> None:
    q1, q3, q5 = gaussian_tail(np.sqrt(2.0) * np.array([1, 3, 5]))
    exact = ber_theory.awgn_ber(10.0, 16)
    assert exact == pytest.approx((3 * q1 + 2 * q3 - q5) / 4, rel=1e-14)
    assert exact != pytest.approx(0.75 * q1, rel=5e-5)
    symbol_error = 1 - (1 - 1.5 * q1) ** 2
    assert exact != pytest.approx(symbol_error / 4, rel=5e-2)


def bit_table(order: int) -> NDArray[np.int64]:
    n_bits = order.bit_length() - 1
    return (np.arange(order)[:, None] >> np.arange(n_bits - 1, -1, -1)) & 1


def cell_tails(levels: NDArray[np.float64], means: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """P(decision for level j | mean) of one axis, (means, levels), from the edges half way between the levels."""
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    upper = gaussian_tail((edges[:-1] - means[:, None]) / sigma)
    return upper - gaussian_tail((edges[1:] - means[:, None]) / sigma)


def enumerated_ber(
    order: int,
    interferers: list[complex],
    radar: list[complex],
    noise: float,
    alphabet: ComplexArray,
    own: complex = 1.0,
) -> float:
    """Loop over all interfering points, sent labels and decisions; gains relative to what the receiver divides by."""
    points, bits = constellation(order), bit_table(order)
    levels = np.unique(np.round(points.real, 12))
    column = np.argmin(np.abs(points.real[:, None] - levels), axis=1)
    row = np.argmin(np.abs(points.imag[:, None] - levels), axis=1)
    hamming = np.sum(bits[:, None, :] != bits[None, :, :], axis=-1)
    shifts = [0j]
    for gain, symbols in [(g, points) for g in interferers] + [(g, alphabet) for g in radar]:
        shifts = [shift + gain * symbol for shift in shifts for symbol in symbols]
    sigma = np.sqrt(noise / 2)
    rate = 0.0
    for shift in shifts:
        means = own * points + shift
        in_phase, quadrature = cell_tails(levels, means.real, sigma), cell_tails(levels, means.imag, sigma)
        decided = in_phase[:, column] * quadrature[:, row]
        rate += float(np.sum(decided * hamming)) / (order * bits.shape[1] * len(shifts))
    return rate


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("noise", [10.0, 0.3, 0.01])
def test_awgn_against_enumerated_cells(order: int, noise: float) -> None:
    assert ber_theory.awgn_ber(1 / noise, order) == pytest.approx(
        enumerated_ber(order, [], [], noise, constellation(4)), rel=1e-9
    )


def test_a_label_bit_depends_on_one_axis() -> None:
    for order in ORDERS:
        points, bits = constellation(order), bit_table(order)
        for bit in bits.T:
            fixed_by = [
                all(len(set(bit[np.isclose(axis, level)])) == 1 for level in axis)
                for axis in (points.real, points.imag)
            ]
            assert sum(fixed_by) == 1


@pytest.mark.parametrize(
    ("order", "n_users", "n_radar"), [(4, 1, 4), (4, 3, 2), (16, 2, 1), (16, 1, 3), (64, 2, 0), (256, 1, 2)]
)
@pytest.mark.parametrize("noise", [1.0, 0.05, 0.004])
def test_conditional_against_enumeration(order: int, n_users: int, n_radar: int, noise: float) -> None:
    rng = np.random.default_rng([order, n_users, n_radar])
    comm = 0.1 * (rng.standard_normal((n_users, n_users, 2)) + 1j * rng.standard_normal((n_users, n_users, 2)))
    user = np.arange(n_users)
    comm[user, user] = np.exp(1j * rng.uniform(0, 6, (n_users, 2))) * rng.uniform(0.5, 2, (n_users, 2))
    radar = 0.1 * (rng.standard_normal((n_users, n_radar, 2)) + 1j * rng.standard_normal((n_users, n_radar, 2)))
    rates = ber_theory.conditional_ber(comm, radar, noise, order)
    for u, subcarrier in np.ndindex(rates.shape):
        own = comm[u, u, subcarrier]
        expected = enumerated_ber(
            order,
            [comm[u, i, subcarrier] / own for i in range(n_users) if i != u],
            list(radar[u, :, subcarrier] / own),
            noise / abs(own) ** 2,
            constellation(4),
        )
        assert rates[u, subcarrier] == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("order", "n_radar"), [(4, 3), (16, 1), (64, 0)])
@pytest.mark.parametrize("noise", [1.0, 0.05, 0.004])
def test_estimated_gains_against_enumeration(order: int, n_radar: int, noise: float) -> None:
    """Estimates off by some per cent, by a quarter turn, and by more than half the plane."""
    rng = np.random.default_rng([order, n_radar])
    n_cases = 6
    comm = 0.05 * (rng.standard_normal((2, 2, n_cases)) + 1j * rng.standard_normal((2, 2, n_cases)))
    comm[[0, 1], [0, 1]] = np.exp(1j * rng.uniform(0, 6, (2, n_cases)))
    radar = 0.1 * (rng.standard_normal((2, n_radar, n_cases)) + 1j * rng.standard_normal((2, n_radar, n_cases)))
    factors = np.array([1.0, 1.08, 0.9 * np.exp(0.1j), np.exp(-0.3j), 1j, 1.2 * np.exp(2.5j)])
    estimates = np.einsum("uul->ul", comm) * factors
    rates = ber_theory.conditional_ber(comm, radar, noise, order, estimates=estimates)
    for u, case in np.ndindex(rates.shape):
        used = estimates[u, case]
        expected = enumerated_ber(
            order,
            [comm[u, 1 - u, case] / used],
            list(radar[u, :, case] / used),
            noise / abs(used) ** 2,
            constellation(4),
            comm[u, u, case] / used,
        )
        assert rates[u, case] == pytest.approx(expected, rel=1e-9, abs=1e-15)
    known = ber_theory.conditional_ber(comm, radar, noise, order)
    np.testing.assert_allclose(rates[:, 0], known[:, 0], rtol=1e-10)
    assert np.all(rates[:, 4:] > 0.3)


def test_one_noisy_pilot_averages_to_differential_qpsk() -> None:
    """Mean over the noisy pilot by quadrature in polar coordinates, against the closed form for Gray signals."""
    angles = 2 * np.pi * np.arange(128) / 128
    turns = np.exp(1j * angles)
    nodes, mass = np.polynomial.legendre.leggauss(200)
    for snr in (0.5, 4.0, 15.0):
        longest = 1 + 7 / np.sqrt(snr)
        radius = (nodes[:, None] + 1) * longest / 2
        law = snr / np.pi * np.exp(-snr * np.abs(radius * turns - 1) ** 2) * radius * mass[:, None] * longest / 2
        estimates = radius * turns
        comm, radar = np.ones((1, 1, estimates.size)), np.zeros((1, 0, estimates.size))
        rates = ber_theory.conditional_ber(comm, radar, 1 / snr, 4, estimates=estimates.reshape(1, -1))
        mean = float(rates[0] @ law.ravel()) * 2 * np.pi / angles.size
        a, b = np.sqrt(snr * (1 - np.sqrt(0.5))), np.sqrt(snr * (1 + np.sqrt(0.5)))
        closed = ncx2.sf(b**2, 2, a**2) - 0.5 * i0e(a * b) * np.exp(a * b - (a**2 + b**2) / 2)
        assert mean == pytest.approx(closed, rel=1e-9)


def enumerated_tails(amplitudes: NDArray[np.float64], sigma: float, order: int) -> float:
    half_spacing, weights = ber_theory.tail_weights(order)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=amplitudes.size)))
    sums = signs @ amplitudes if amplitudes.size else np.zeros(1)
    return sum(
        float(w * np.mean(gaussian_tail(((2 * k + 1) * half_spacing - sums) / sigma))) for k, w in enumerate(weights)
    )


@settings(deadline=None, max_examples=150)
@given(
    order=st.sampled_from(ORDERS),
    amplitudes=st.lists(st.floats(0, 1.5), max_size=8),
    sigma=st.floats(0.02, 30),
)
def test_tails_to_relative_precision(order: int, amplitudes: list[float], sigma: float) -> None:
    """Signs of any amplitude, open or closed eye, rates from 1/2 to far below rounding: 1e-10 relative."""
    half_spacing, weights = ber_theory.tail_weights(order)
    scaled = half_spacing * np.array(amplitudes)
    rate = np.empty(1)
    ber_theory._tilted_tails(
        scaled[None],
        np.array([half_spacing * sigma]),
        half_spacing * (2.0 * np.arange(weights.size) + 1)[None],
        weights,
        np.empty(scaled.size),
        rate,
    )
    expected = enumerated_tails(scaled, half_spacing * sigma, order)
    assert rate[0] == pytest.approx(expected, rel=1e-10, abs=1e-290)


def test_no_interference_is_awgn() -> None:
    for order in ORDERS:
        for sinr in (1e-6, 1e-2, 1.0, 30.0, 700.0):
            rate = ber_theory.conditional_ber([[[2j]]], np.zeros((1, 0, 1)), 4 / sinr, order)
            assert rate[0, 0] == pytest.approx(ber_theory.awgn_ber(sinr, order), rel=1e-12)


def random_gains(seed: int, n_users: int, n_radar: int) -> tuple[ComplexArray, ComplexArray]:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> ComplexArray:
        return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)

    comm, radar = 0.15 * draw(n_users, n_users, 3), 0.1 * draw(n_users, n_radar, 3)
    user = np.arange(n_users)
    comm[user, user] = draw(n_users, 3) + 1.5
    return comm, radar


def test_gaussian_theory_is_exact_for_one_user_and_gaussian_radar() -> None:
    comm, radar = random_gains(1, 1, 6)
    for noise in (1.0, 0.1, 1e-3):
        exact = ber_theory.conditional_ber(comm, radar, noise, 16, "gaussian")
        np.testing.assert_allclose(exact, ber_theory.gaussian_ber(comm, radar, noise, 16), rtol=1e-12)
        discrete = ber_theory.conditional_ber(comm, radar, noise, 16, "constant-modulus")
        assert np.all(np.abs(discrete / exact - 1) > 1e-6)


def test_bounded_interference_has_no_gaussian_tail() -> None:
    """Open eye at little noise: Gaussian theory promises a floor that is not there."""
    comm = np.array([[[1.0], [0.2]], [[0.2], [1.0]]])
    radar = np.zeros((2, 0, 1))
    exact, gaussian = (rate(comm, radar, 0.01, 4) for rate in (ber_theory.conditional_ber, ber_theory.gaussian_ber))
    assert np.all(gaussian > 1e-7)
    assert np.all(exact < 1e-3 * gaussian)


def test_many_weak_streams_become_gaussian() -> None:
    """The same radar power spread over n streams: the departure from Gaussian theory falls as 1/n (fourth cumulant)."""

    def departure(n_streams: int) -> float:
        turns = np.exp(2j * np.pi * np.arange(n_streams) * (np.sqrt(5) - 1) / 2)
        radar = np.sqrt(0.1 / n_streams) * turns[None, :, None]
        exact = ber_theory.conditional_ber([[[1.0]]], radar, 0.05, 4)
        return float(np.abs(exact / ber_theory.gaussian_ber([[[1.0]]], radar, 0.05, 4) - 1)[0, 0])

    assert departure(1600) < 2e-3
    assert departure(100) / departure(1600) == pytest.approx(16, rel=0.1)


def test_closed_eye_leaves_an_error_floor() -> None:
    """A QPSK interferer with Re c = Im c = 0.6 carries one in four of its sums over the threshold, whatever the SNR."""
    comm = np.array([[[1.0], [0.6 + 0.6j]], [[0.0], [1.0]]])
    rates = ber_theory.conditional_ber(comm, np.zeros((2, 0, 1)), 1e-4, 4)
    assert rates[0, 0] == pytest.approx(0.25, rel=1e-9)
    assert rates[1, 0] == pytest.approx(ber_theory.awgn_ber(1e4, 4), abs=1e-300)


def test_zero_direct_gain_is_guessing() -> None:
    rates = ber_theory.conditional_ber([[[0.0], [1.0]], [[0.0], [1.0]]], np.ones((2, 1, 1)), 0.1, 16)
    assert rates[0, 0] == 0.5
    assert rates[1, 0] < 0.5
    useless = ber_theory.conditional_ber([[[1.0]]], np.ones((1, 1, 1)), 0.1, 16, estimates=[[0.0]])
    assert useless[0, 0] == 0.5
    assert ber_theory.realized_sinr([[[0.0]]], np.ones((1, 1, 1)), 0.1)[0, 0] == 0


def test_rates_depend_only_on_ratios_of_gains() -> None:
    comm, radar = random_gains(3, 3, 4)
    rates = ber_theory.conditional_ber(comm, radar, 0.1, 16)
    turned = np.exp(1j * np.array([0.3, 1.2, -2.0]))[:, None, None] * 5
    np.testing.assert_allclose(ber_theory.conditional_ber(comm * turned, radar * turned, 2.5, 16), rates, rtol=1e-11)
    np.testing.assert_allclose(ber_theory.conditional_ber(comm, radar[:, ::-1] * 1j, 0.1, 16), rates, rtol=1e-11)
    order = [2, 0, 1]
    permuted = ber_theory.conditional_ber(comm[np.ix_(order, order)], radar[order], 0.1, 16)
    np.testing.assert_allclose(permuted, rates[order], rtol=1e-11)
    batch = ber_theory.conditional_ber(np.stack([comm, 2 * comm]), np.stack([radar, 2 * radar]), 0.1, 16)
    np.testing.assert_array_equal(batch[0], rates)


@pytest.mark.statistical(false_alarm=4e-9)
def test_very_low_snr_is_guessing() -> None:
    """-40 dB: 1/2 is the ceiling, 16-QAM stays slightly below because of its outer levels; simulated bits agree."""
    rng = np.random.default_rng(4)
    n_symbols = 400_000
    for order in ORDERS:
        rate = ber_theory.awgn_ber(1e-4, order)
        assert 0.495 < rate < 0.5
        bits = rng.integers(0, 2, (n_symbols, order.bit_length() - 1), dtype=np.uint8)
        noise = rng.standard_normal((n_symbols, 2)) @ np.array([1, 1j]) * np.sqrt(0.5e4)
        wrong = demodulate(modulate(bits, order)[:, 0] + noise, order).reshape(bits.shape) != bits
        picked = wrong[np.arange(n_symbols), rng.integers(0, bits.shape[1], n_symbols)]
        assert accepts(np.array([picked.sum()]), n_symbols, np.array([rate])).all()
        assert not accepts(np.array([picked.sum()]), n_symbols, np.array([0.51])).any()


@pytest.mark.statistical(false_alarm=1e-9)
def test_simulated_16_qam_at_0_db() -> None:
    """1e7 bits; the rates at twice or half the noise, and the first term of the sum alone, are rejected."""
    rng = np.random.default_rng(5)
    n_symbols = 2_500_000
    bits = rng.integers(0, 2, (n_symbols, 4), dtype=np.uint8)
    noise = rng.standard_normal((n_symbols, 2)).view(complex)[:, 0] * np.sqrt(0.5)
    wrong = demodulate(modulate(bits, 16)[:, 0] + noise, 16).reshape(bits.shape) != bits
    errors = np.array([wrong[np.arange(n_symbols), rng.integers(0, 4, n_symbols)].sum()])
    assert accepts(errors, n_symbols, ber_theory.awgn_ber([1.0], 16)).all()
    first_term = 0.75 * gaussian_tail(np.sqrt([0.2]))
    for wrong_rate in (ber_theory.awgn_ber([2.0], 16), ber_theory.awgn_ber([0.5], 16), first_term):
        assert not accepts(errors, n_symbols, wrong_rate).any()


def link_scene(leakage: float, n_symbols: int = 1) -> tuple[Scenario, ComplexArray, ComplexArray]:
    """Two nodes that both serve both users on every subcarrier, and three radar streams shared by the nodes.

    Interference of both kinds is about ``leakage`` times the wanted amplitude.
    """
    scenario = Scenario.preset(
        "fig4",
        nodes=[[-40.0, -20.0], [40.0, -20.0]],
        n_tx=3,
        n_rx=2,
        n_subcarriers=4,
        n_symbols=n_symbols,
    )
    rng = np.random.default_rng(6)

    def draw(*shape: int) -> ComplexArray:
        return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)

    h = scenario.channels
    nulled = h[:, ::-1]
    onto = np.sum(nulled.conj() * h, axis=-1, keepdims=True) / np.sum(np.abs(nulled) ** 2, axis=-1, keepdims=True)
    comm = h - onto * nulled
    comm /= np.linalg.norm(comm, axis=-1, keepdims=True)
    return scenario, comm + 0.3 * leakage * draw(*comm.shape), 0.2 * leakage * draw(2, 4, 3, 3)


def simulated_errors(
    order: int, radar_sequence: RadarSequence, leakage: float, noise_comm: float, n_symbols: int
) -> tuple[NDArray[np.int64], ComplexArray, ComplexArray, float]:
    """Errors (U, L) of one random bit per symbol, the gains at the link's phases, and the noise per sample."""
    scenario, comm_precoders, radar_precoders = link_scene(leakage, n_symbols)
    scenario = scenario.replace(noise_comm=noise_comm)
    bit_rng, radar_rng, noise_rng, pick_rng = np.random.default_rng([7, order]).spawn(4)
    phases = np.array([0.4, 2.0])
    streams = draw_streams(scenario, 3, order=order, radar=radar_sequence, bit_rng=bit_rng, radar_rng=radar_rng)
    X = transmit(comm_precoders, radar_precoders, streams)
    y = receive_users(scenario, X, rng=noise_rng, phases=phases)
    comm, radar = effective_channels(scenario, comm_precoders, radar_precoders, phases)
    wrong = detect(y, np.einsum("uul->ul", comm), order) != streams.bits
    picked = pick_rng.integers(0, wrong.shape[-1], wrong.shape[:-1])
    errors = np.take_along_axis(wrong, picked[..., None], axis=-1)[..., 0].sum(axis=-1)
    return errors, comm, radar, scenario.noise_comm_per_subcarrier


@pytest.mark.statistical(false_alarm=6.4e-8)
@pytest.mark.parametrize("radar_sequence", ["constant-modulus", "gaussian"])
@pytest.mark.parametrize(
    ("order", "leakage", "noise_comm"), [(4, 0.3, 6.0), (16, 0.15, 1.5), (64, 0.06, 0.4), (256, 0.03, 0.1)]
)
def test_simulated_link(order: int, leakage: float, noise_comm: float, radar_sequence: RadarSequence) -> None:
    n_symbols = 60_000
    errors, comm, radar, noise = simulated_errors(order, radar_sequence, leakage, noise_comm, n_symbols)
    exact = ber_theory.conditional_ber(comm, radar, noise, order, radar_sequence)
    assert accepts(errors, n_symbols, exact).all()
    assert not accepts(errors, n_symbols, ber_theory.conditional_ber(comm, radar, 2 * noise, order)).any()
    assert np.all(exact * n_symbols > 100)


@pytest.mark.statistical(false_alarm=8e-9)
def test_simulated_link_tells_exact_from_gaussian_theory() -> None:
    n_symbols, leakage, noise_comm = 40_000, 0.4, 0.02
    errors, comm, radar, noise = simulated_errors(16, "constant-modulus", leakage, noise_comm, n_symbols)
    assert accepts(errors, n_symbols, ber_theory.conditional_ber(comm, radar, noise, 16)).all()
    assert not accepts(errors, n_symbols, ber_theory.gaussian_ber(comm, radar, noise, 16)).all()
    scenario, comm_precoders, radar_precoders = link_scene(leakage)
    scenario = scenario.replace(noise_comm=noise_comm)
    average = ber_theory.average_sinr_ber(scenario, comm_precoders, radar_precoders, 16)
    assert not accepts(errors, n_symbols, average).all()


def test_average_sinr_is_a_mean_of_powers_over_phases() -> None:
    """Eq. (7) from the definition: each gain's power, averaged over a grid of phases that integrates it exactly."""
    scenario, comm_precoders, radar_precoders = link_scene(0.4)
    grid = 2 * np.pi * np.arange(4) / 4
    phases = np.array(list(itertools.product(grid, grid)))
    comm, radar = effective_channels(scenario, comm_precoders, radar_precoders, phases)
    comm_power, radar_power = np.mean(np.abs(comm) ** 2, axis=0), np.mean(np.abs(radar) ** 2, axis=0)
    noise = scenario.noise_comm_per_subcarrier
    average = achieved_sinr(scenario, comm_precoders, radar_precoders)
    for u, subcarrier in np.ndindex(average.shape):
        other = comm_power[u, :, subcarrier].sum() - comm_power[u, u, subcarrier]
        expected = comm_power[u, u, subcarrier] / (other + radar_power[u, :, subcarrier].sum() + noise)
        assert average[u, subcarrier] == pytest.approx(expected, rel=1e-12)
    realized = ber_theory.realized_sinr(comm, radar, noise)
    assert np.ptp(realized, axis=0).min() > 0.05 * average.min()


def test_average_sinr_is_realized_where_one_node_serves() -> None:
    scenario, comm_precoders, radar_precoders = link_scene(0.4)
    for node in range(2):
        comm_precoders[node, :, (1 - node) :: 2] = 0
        radar_precoders[node, (1 - node) :: 2] = 0
    average = achieved_sinr(scenario, comm_precoders, radar_precoders)
    noise = scenario.noise_comm_per_subcarrier
    rates = ber_theory.conditional_ber(*effective_channels(scenario, comm_precoders, radar_precoders), noise, 16)
    for phases in ([0.0, 0.0], [0.7, -2.1]):
        comm, radar = effective_channels(scenario, comm_precoders, radar_precoders, phases)
        np.testing.assert_allclose(ber_theory.realized_sinr(comm, radar, noise), average, rtol=1e-12)
        np.testing.assert_allclose(ber_theory.conditional_ber(comm, radar, noise, 16), rates, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ber_theory.awgn_ber(-1.0, 4), "sinr: holds -1.0"),
        (lambda: ber_theory.awgn_ber(np.nan, 4), "sinr: holds nan"),
        (lambda: ber_theory.awgn_ber(1.0, 8), "order = 8"),
        (
            lambda: ber_theory.conditional_ber(np.ones((2, 1, 4)), np.ones((2, 0, 4)), 1.0, 4),
            r"comm: has shape \(2, 1, 4\)",
        ),
        (lambda: ber_theory.conditional_ber(np.ones((1, 1, 4)), np.ones((1, 0, 3)), 1.0, 4), "radar: has shape"),
        (lambda: ber_theory.conditional_ber(np.ones((1, 1, 4)), np.ones((1, 1, 4)), 0.0, 4), "noise = 0.0"),
        (lambda: ber_theory.conditional_ber(np.full((1, 1, 4), np.nan), np.ones((1, 1, 4)), 1.0, 4), "must be finite"),
        (
            lambda: ber_theory.conditional_ber(np.ones((1, 1, 1)), np.ones((1, 1, 1)), 1.0, 4, "chirp"),
            "radar_sequence = 'chirp'",
        ),
        (
            lambda: ber_theory.conditional_ber(np.ones((1, 1, 1)), np.ones((1, 1, 1)), 1.0, 4, estimates=[1.0]),
            "estimates: has shape",
        ),
    ],
)
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
