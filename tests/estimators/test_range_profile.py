"""Range profiles against closed forms: Dirichlet kernels, windows, random symbols, edge-loaded spectra."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.signal import get_window

from disac.estimators.range_profile import (
    EchoSpectrum,
    expected_spectrum,
    measured_profile,
    range_profile,
    realized_spectrum,
)
from disac.simulator import Scenario, synthesize
from disac.simulator.qam import constellation

C = 299_792_458.0
BANDWIDTH = 10e6


def spectrum_of(energy, *, allocated=None, inverse=None, n_symbols=1):
    energy = np.asarray(energy, dtype=float)
    allocated = np.ones(len(energy), dtype=bool) if allocated is None else np.asarray(allocated, dtype=bool)
    return EchoSpectrum(energy, inverse, allocated, n_symbols, BANDWIDTH)


def dirichlet(phase, n):
    return (np.sin(n * phase / 2) / (n * np.sin(phase / 2))) ** 2


def scene(n_nodes=1, **fields):
    nodes = [[-50.0, 3.0], [50.0, -8.0], [4.0, 55.0], [-6.0, -52.0]][:n_nodes]
    settings = {
        "nodes": nodes,
        "targets": [[5.0, 2.0]],
        "users": [[0.0, -20.0]],
        "n_tx": 3,
        "n_rx": 4,
        "n_subcarriers": 16,
        "n_symbols": 4,
        "bandwidth_hz": BANDWIDTH,
        "noise_sense": 0.01,
        "noise_comm": 0.01,
        "amplitudes": np.exp(1j * np.arange(n_nodes**2)).reshape(n_nodes, n_nodes, 1),
    }
    return Scenario(**{**settings, **fields})


@pytest.mark.parametrize("n", [2, 3, 4, 7, 16, 64, 1000])
def test_uniform_spectrum_has_the_dirichlet_kernel(n):
    sides = range_profile(spectrum_of(np.ones(n))).sidelobes()
    path = C * n / BANDWIDTH
    assert sides.period_m == pytest.approx(path, rel=1e-14)
    assert sides.mainlobe_m == pytest.approx((-path / n, path / n), rel=1e-9)
    half = 2 * brentq(lambda p: dirichlet(p, n) - 0.5, 1e-9, 2 * np.pi / n, xtol=1e-15)
    assert sides.width_m == pytest.approx(half * path / (2 * np.pi), rel=1e-12)
    assert sides.noise_loss == pytest.approx(1, rel=1e-14)
    if n == 2:
        assert sides.pslr == 0
        assert sides.pslr_db == -np.inf
        return
    first = minimize_scalar(
        lambda p: -dirichlet(p, n), bounds=(2 * np.pi / n, min(4 * np.pi / n, np.pi + 1e-6)), options={"xatol": 1e-12}
    )
    assert sides.pslr == pytest.approx(-first.fun, rel=1e-12)
    assert abs(sides.highest_m) == pytest.approx(first.x * path / (2 * np.pi), rel=1e-6)


def test_odd_three_tones_have_the_sidelobe_one_ninth():
    assert range_profile(spectrum_of(np.ones(3))).sidelobes().pslr == pytest.approx(1 / 9, rel=1e-13)


def test_width_of_sixteen_tones_in_units_of_the_inverse_bandwidth():
    width = range_profile(spectrum_of(np.ones(16))).sidelobes().width_m * BANDWIDTH / C
    assert width == pytest.approx(0.887390, abs=5e-7)
    many = range_profile(spectrum_of(np.ones(4096))).sidelobes().width_m * BANDWIDTH / C
    assert many == pytest.approx(0.885893, abs=5e-7)


def test_integrated_sidelobes_by_brute_force_integration():
    energy = np.array([3.0, 0.2, 1.0, 2.5, 0.7, 1.9])
    profile = range_profile(spectrum_of(energy))
    sides = profile.sidelobes()
    low, high = sides.mainlobe_m
    edges = np.linspace(0, 1, 200_001)[:-1] + 2.5e-6

    def integral(start, stop):
        return np.mean(np.abs(profile.at(start + (stop - start) * edges)) ** 2) * (stop - start)

    inside, outside = integral(low, high), integral(high, low + sides.period_m)
    assert sides.islr == pytest.approx(outside / inside, rel=1e-8)


def test_given_edges_count_whatever_lies_outside_them():
    energy = np.array([100.0, 1.0, 1.0, 1.0])
    profile = range_profile(spectrum_of(energy))
    lobe = profile.period_m / 4
    sides = profile.sidelobes((-lobe, lobe))
    grid = np.linspace(lobe, profile.period_m - lobe, 20_001)
    assert sides.pslr == pytest.approx(np.max(np.abs(profile.at(grid)) ** 2) / energy.sum() ** 2, rel=1e-7)
    assert sides.pslr > 0.8
    flat = range_profile(spectrum_of(np.ones(16)))
    own = flat.sidelobes()
    again = flat.sidelobes(own.mainlobe_m)
    assert again.pslr == pytest.approx(own.pslr, rel=1e-12)
    assert again.islr == pytest.approx(own.islr, rel=1e-12)
    assert "given" in str(again)
    for edges in ((1.0, 2.0), (-1.0, 0.0), (-300.0, 300.0)):
        with pytest.raises(ValueError, match="mainlobe_m = "):
            flat.sidelobes(edges)


def test_many_tones_reach_the_integrated_sidelobe_ratio_of_the_sinc():
    grid = (np.arange(400_000) + 0.5) / 400_000
    inside = 2 * np.mean(np.sinc(grid) ** 2)
    sides = range_profile(spectrum_of(np.ones(2048))).sidelobes()
    assert sides.islr == pytest.approx((1 - inside) / inside, rel=1e-5)


@pytest.mark.parametrize(
    ("window", "pslr_db", "tolerance"),
    [("boxcar", -13.2615, 2e-3), ("hann", -31.468, 3e-3), ("hamming", -42.67, 0.05), ("blackman", -58.11, 0.02)],
)
def test_windows_have_their_textbook_sidelobes(window, pslr_db, tolerance):
    assert range_profile(spectrum_of(np.ones(1024)), window=window).sidelobes().pslr_db == pytest.approx(
        pslr_db, abs=tolerance
    )


@pytest.mark.parametrize("level", [46.0, 70.0])
def test_chebyshev_window_has_the_sidelobe_it_was_made_for(level):
    sides = range_profile(spectrum_of(np.ones(40)), window=("chebwin", level)).sidelobes()
    assert sides.pslr_db == pytest.approx(-level, abs=1e-6)


@pytest.mark.parametrize("n", [5, 16, 129])
def test_noise_loss_of_a_symmetric_hann_window(n):
    sides = range_profile(spectrum_of(np.ones(n)), window="hann").sidelobes()
    assert sides.noise_loss == pytest.approx(1.5 * n / (n - 1), rel=1e-13)


@pytest.mark.statistical(false_alarm=2e-12)
def test_noise_loss_is_the_simulated_loss_of_peak_snr():
    rng = np.random.default_rng(3)
    energy = rng.uniform(0.2, 3.0, 8)
    window = get_window("hamming", 8, fftbins=False)
    profile = range_profile(spectrum_of(energy), window="hamming")
    noise = (rng.standard_normal((500_000, 8)) + 1j * rng.standard_normal((500_000, 8))) / np.sqrt(2)
    output = noise @ (window * np.sqrt(energy))
    snr = np.sum(window * energy) ** 2 / np.mean(np.abs(output) ** 2)
    assert energy.sum() / snr == pytest.approx(profile.noise_loss, rel=0.01)
    assert energy.sum() / snr != pytest.approx(1.0, rel=0.01)


def test_edge_loaded_spectrum_has_full_sidelobes_within_the_allocation():
    energy = np.full(16, 1e-9)
    energy[[0, 15]] = 1.0
    sides = range_profile(spectrum_of(energy)).sidelobes()
    assert sides.pslr_db == pytest.approx(0, abs=1e-6)
    assert sides.period_m == pytest.approx(C * 16 / BANDWIDTH)
    lobe = abs(sides.highest_m) * 15 / sides.period_m
    assert lobe == pytest.approx(round(lobe), abs=1e-6)
    assert round(lobe) != 0
    # power cos^2(15 p / 2), so every one of the 15 lobes holds the same energy
    assert sides.islr == pytest.approx(14, rel=1e-6)
    assert sides.width_m == pytest.approx(sides.period_m / 30, rel=1e-6)


@pytest.mark.parametrize("between", [0.0, 1e-11])
def test_zeros_between_two_tones_do_not_make_the_grid_coarser(between):
    energy = np.full(16, between)
    energy[[0, 15]] = 0.5
    sides = range_profile(spectrum_of(energy, allocated=energy > 0)).sidelobes()
    assert sides.period_m == pytest.approx(C * 16 / BANDWIDTH, rel=1e-14)
    assert sides.pslr_db == pytest.approx(0.0, abs=1e-6)
    lobe = abs(sides.highest_m) / 31.978
    assert lobe == pytest.approx(max(round(lobe), 1), abs=1e-3)
    with pytest.raises(ValueError, match=r"spacing = 4: must divide .* 15"):
        EchoSpectrum(energy, None, energy == 0.5, 1, BANDWIDTH, 4)


def test_a_node_that_leaves_out_its_own_subcarriers_keeps_its_grid():
    s = scene(2)
    X = np.zeros((2, s.n_tx, s.n_subcarriers, 1), dtype=complex)
    own = np.flatnonzero(s.subcarrier_node == 1)
    X[1][:, own[[0, -1]]] = 1.0
    assert realized_spectrum(s, X, 1, 0.0).spacing == 2
    X[1][:, own[1] - 1] = 1.0
    assert realized_spectrum(s, X, 1, 0.0).spacing == 1


def test_two_neighbouring_tones_are_said_to_have_no_sidelobe():
    text = str(range_profile(spectrum_of(np.ones(2))).sidelobes())
    assert "no sidelobe: the main lobe fills the period" in text
    assert "inf" not in text.split("ISLR")[0]


@pytest.mark.parametrize("receive_filter", ["reciprocal", "least-squares"])
def test_filters_that_divide_name_a_null_of_the_beam(receive_filter):
    s = scene(1, n_tx=2, n_rx=2)
    X = np.ones((1, 2, 16, 4), dtype=complex)
    X[0, 1, 3] = -1.0
    for broken in (s, s.replace(targets=[[5.0, 3.0]])):
        assert range_profile(realized_spectrum(broken, X, 0, 0.0)).noise_loss == pytest.approx(1.0)
        with pytest.raises(
            ValueError, match=rf"receive_filter = '{receive_filter}': divides by zero on 1 of 16 .*first: 3"
        ):
            range_profile(realized_spectrum(s, X, 0, 0.0), receive_filter=receive_filter)
        with pytest.raises(ValueError, match="divides by zero"):
            measured_profile(
                s,
                X,
                np.ones((1, 2, 16, 4), complex),
                rx=0,
                tx=0,
                rx_angle=0.0,
                tx_angle=0.0,
                receive_filter=receive_filter,
            )
    X[0, 1] = -1.0
    with pytest.raises(ValueError, match="nothing is sent in this direction"):
        range_profile(realized_spectrum(s, X, 0, 0.0))


@pytest.mark.parametrize("shift", [3, -2])
def test_a_ramp_over_the_subcarriers_moves_the_peak_modulo_the_period(shift):
    """A sampling offset of so many samples (DFT shift theorem): by whole bins c / B, wrapped into one period."""
    s = scene(1)
    X = np.ones((1, s.n_tx, 16, 4), dtype=complex) * np.exp(1j * np.arange(3))[:, None, None]
    Y = synthesize(s, X) * np.exp(2j * np.pi * shift * np.arange(16) / 16)[:, None]
    angle = float(s.target_geometry.angle[0, 0])
    view = {"rx": 0, "tx": 0, "rx_angle": angle, "tx_angle": angle}
    before, after = (measured_profile(s, X, data, **view) for data in (synthesize(s, X), Y))
    moved = after.peak_m - before.peak_m + shift * C / BANDWIDTH
    assert moved / before.period_m == pytest.approx(round(moved / before.period_m), abs=1e-9)


@pytest.mark.parametrize(("n_nodes", "period_m"), [(1, 479.668), (2, 239.834), (4, 119.917)])
def test_period_is_that_of_the_nodes_own_comb(n_nodes, period_m):
    s = scene(n_nodes)
    X = np.zeros((n_nodes, s.n_tx, s.n_subcarriers, 1), dtype=complex)
    for line, node in enumerate(s.subcarrier_node):
        X[node, :, line] = 1.0
    for node in range(n_nodes):
        profile = range_profile(realized_spectrum(s, X, node, 0.0))
        assert profile.period_m == pytest.approx(period_m, abs=5e-4)
        shifted = profile.at(1.7 + profile.period_m)
        assert abs(shifted) == pytest.approx(abs(profile.at(1.7)), rel=1e-12)


def test_expected_and_realized_spectra_see_the_same_direction():
    s = scene(2)
    rng = np.random.default_rng(5)
    X = rng.standard_normal((2, 3, 16, 4)) + 1j * rng.standard_normal((2, 3, 16, 4))
    stacked = X.transpose(2, 0, 1, 3).reshape(16, 6, 4)
    covariances = stacked @ stacked.conj().swapaxes(1, 2) / 4
    expected, realized = expected_spectrum(s, covariances, 1, 0.4), realized_spectrum(s, X, 1, 0.4)
    direct = [sum(abs(sum(np.exp(1j * np.pi * i * np.sin(0.4)) * X[1, i, line, t] for i in range(3))) ** 2 for t in range(4)) for line in range(16)]  # fmt: skip # noqa: E501
    np.testing.assert_allclose(realized.energy, direct, rtol=1e-12)
    np.testing.assert_allclose(expected.energy, direct, rtol=1e-12)
    with pytest.raises(ValueError, match="receive_filter = 'reciprocal'"):
        range_profile(expected, receive_filter="reciprocal")


def test_random_symbols_raise_the_floor_by_their_fourth_moment():
    """Exact expectation over every realization of three 16-QAM symbols, by their three amplitudes."""
    levels, counts = np.unique(np.round(np.abs(constellation(16)) ** 2, 12), return_counts=True)
    share = counts / 16
    null = 2 * np.pi / 3
    power, peak = 0.0, 0.0
    for draw in itertools.product(range(len(levels)), repeat=3):
        weight = np.prod(share[list(draw)])
        profile = range_profile(spectrum_of(levels[list(draw)]))
        power += weight * abs(profile.at(null * profile.period_m / (2 * np.pi))) ** 2
        peak += weight * abs(profile.at(0.0)) ** 2
    moment = float(share @ levels**2)
    assert moment == pytest.approx(1.32, rel=1e-12)
    # three independent symbols of unit power: their energies have variance kappa - 1 each
    excess = 3 * (moment - 1)
    assert power / peak == pytest.approx(excess / (3**2 + excess), rel=1e-12)


@pytest.mark.parametrize(("order", "price_db"), [(4, 0.0), (16, 2.762), (64, 4.290), (256, 5.362)])
def test_noise_price_of_the_reciprocal_filter(order, price_db):
    s = scene(n_tx=1, n_symbols=order)
    rng = np.random.default_rng(order)
    symbols = np.stack([rng.permutation(constellation(order)) for _ in range(16)])
    spectrum = realized_spectrum(s, symbols[None, None], 0, 0.0)
    reciprocal = range_profile(spectrum, receive_filter="reciprocal").sidelobes()
    assert reciprocal.noise_loss_db == pytest.approx(price_db, abs=5e-4)
    uniform = range_profile(spectrum_of(np.ones(16))).sidelobes()
    assert reciprocal.pslr == pytest.approx(uniform.pslr, rel=1e-12)


def test_reciprocal_filter_removes_the_random_floor_that_the_matched_filter_has():
    s = scene(n_tx=1, n_symbols=1)
    rng = np.random.default_rng(0)
    spectrum = realized_spectrum(s, rng.choice(constellation(64), (1, 1, 16, 1)), 0, 0.0)
    flat = range_profile(spectrum_of(np.ones(16))).sidelobes().pslr
    for receive_filter in ("reciprocal", "least-squares"):
        assert range_profile(spectrum, receive_filter=receive_filter).sidelobes().pslr == pytest.approx(flat, rel=1e-12)
    assert range_profile(spectrum).sidelobes().pslr > 1.05 * flat


@pytest.mark.parametrize("receive_filter", ["matched", "reciprocal", "least-squares"])
@pytest.mark.parametrize("window", ["boxcar", "hann"])
def test_measured_profile_peaks_at_the_path_of_the_echo(receive_filter, window):
    s = scene(4, n_subcarriers=64, bandwidth_hz=20e6)
    rng = np.random.default_rng(2)
    X = np.zeros((4, 3, 64, 4), dtype=complex)
    for line, node in enumerate(s.subcarrier_node):
        X[node, :, line] = rng.choice(constellation(16), (3, 4)) + 0.1
    Y = synthesize(s, X)
    geometry = s.target_geometry
    for rx, tx in ((0, 0), (2, 1), (3, 0)):
        profile = measured_profile(
            s, X, Y, rx=rx, tx=tx, rx_angle=geometry.angle[rx, 0], tx_angle=geometry.angle[tx, 0],
            receive_filter=receive_filter, window=window, oversampling=4,
        )  # fmt: skip
        path = geometry.distance_m[rx, 0] + geometry.distance_m[tx, 0]
        miss = (profile.peak_m - path + profile.period_m / 2) % profile.period_m - profile.period_m / 2
        # the matched filter weighs tones by their real energies, so the peak does not move
        assert miss == pytest.approx(0, abs=1e-9)


def test_profile_beyond_the_period_aliases_and_says_its_period():
    s = scene(targets=[[2000.0, 2.0]])
    X = np.ones((1, 3, 16, 2), dtype=complex)
    angle = float(s.target_geometry.angle[0, 0])
    profile = measured_profile(s, X, synthesize(s, X), rx=0, tx=0, rx_angle=angle, tx_angle=angle)
    path = 2 * float(s.target_geometry.distance_m[0, 0])
    assert path > profile.period_m
    assert abs(profile.peak_m) <= profile.period_m / 2 + 1e-9
    assert (profile.peak_m - path) / profile.period_m == pytest.approx(
        round((profile.peak_m - path) / profile.period_m)
    )


def test_metrics_do_not_depend_on_oversampling_and_the_sampled_profile_is_the_continuous_one():
    energy = np.array([1.0, 2.0, 0.3, 4.0, 1.1])
    reference = range_profile(spectrum_of(energy), oversampling=1)
    for oversampling in (2, 3, 16):
        profile = range_profile(spectrum_of(energy), oversampling=oversampling)
        assert profile.sidelobes() == reference.sidelobes()
        assert len(profile.path_m) == 5 * oversampling
        relative = np.abs(profile.at(profile.path_m)) ** 2 / energy.sum() ** 2
        np.testing.assert_allclose(profile.power, relative, rtol=0, atol=1e-14)
        assert profile.power.max() == pytest.approx(1, rel=1e-14)


def test_gaps_in_an_allocation_stay_silent_under_a_window():
    allocated = np.array([True, True, False, True, True, True])
    energy = np.where(allocated, 1.0, 0.0)
    profile = range_profile(spectrum_of(energy, allocated=allocated), window="hann")
    window = get_window("hann", 6, fftbins=False)
    np.testing.assert_allclose(profile.taps, window * allocated)


def test_every_number_is_printed_with_its_definition():
    text = str(range_profile(spectrum_of(np.ones(16)), window="hann").sidelobes())
    for words in ("between the first minima", "PSLR", "ISLR", "-3.01 dB", "noise loss", "period", "479.668", "hann"):
        assert words in text


def test_wrong_input_is_named():
    s, good = scene(2), spectrum_of(np.ones(4))
    for call, words in (
        (lambda: range_profile(good, receive_filter="wiener"), "receive_filter = 'wiener'"),
        (lambda: range_profile(good, window="nonsense"), "window = 'nonsense'"),
        (lambda: range_profile(spectrum_of(np.ones(2)), window="hann"), "window = 'hann'.*zero on all 2"),
        (lambda: range_profile(good, oversampling=0), "oversampling = 0"),
        (lambda: expected_spectrum(s, np.ones((16, 2, 2)), 0, 0.0), "covariances: has shape"),
        (lambda: realized_spectrum(s, np.ones((2, 3, 16)), 0, 0.0), "X: has shape"),
        (lambda: realized_spectrum(s, np.ones((2, 3, 16, 1)), 2, 0.0), "node = 2"),
        (lambda: realized_spectrum(s, np.zeros((2, 3, 16, 1)), 0, 0.0), "node 0 transmits on 0 subcarriers"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
