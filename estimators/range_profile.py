"""Range profile of one transmitter seen from one direction: what a receiver makes of it, and its sidelobes.

After receive beamforming, the echo of node m from direction theta is s_l[t] = a_t(theta)^T x_{m,l}[t] on subcarrier l,
turned by exp(-j 2 pi l (B/L) tau). A receive filter turns it into one number per subcarrier, the profile is their
Fourier transform over the path length c tau. It repeats with the period c L / (g B), where g is the spacing of the
node's own subcarriers (g = N for the interleaved comb of Eq. 30), or 1, the carrier's, where the node transmits on
others too. A subcarrier of that grid without power is a zero of the spectrum; it does not make the grid coarser.

Path lengths are known modulo the period only: those beyond half a period come out negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from disac.simulator.checks import check_angle, check_choice, check_instance, check_integer, check_numbers
from disac.simulator.geometry import SPEED_OF_LIGHT
from disac.simulator.scenario import Scenario
from disac.simulator.steering import steering_vector
from disac.simulator.synthesis import check_scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Window: TypeAlias = "str | tuple[str | float, ...]"

FILTERS = ("matched", "reciprocal", "least-squares")
"""matched: sum_t y s*. reciprocal (zero forcing): mean_t y / s. least-squares: sum_t y s* / sum_t |s|^2."""

SILENT = 1e-12
"""Share of a node's strongest subcarrier below which a subcarrier counts as not transmitted on."""

NULL = 1e-24
"""Share of the strongest power below which an echo counts as a null of the beam: rounding alone is left of it."""

_GRID = 64
"""Points per tone of the grid that brackets extrema before they are refined; a profile has at most two per tone."""


@dataclass(frozen=True)
class EchoSpectrum:
    """Energies of a node's echo s_l[t] from one direction.

    Attributes
    ----------
    energy : (L,) sum over the symbols of abs(s)^2.
    inverse_energy : (L,) sum over the symbols of 1 / abs(s)^2, zero on subcarriers that the node does not use; None for
        an expected spectrum, which does not tell it.
    allocated : (L,) whether the node transmits on the subcarrier, in any direction.
    n_symbols : number T of OFDM symbols.
    bandwidth_hz : bandwidth B [Hz].
    spacing : spacing g of the grid of subcarriers that the profile is read on: 1 for the carrier's, that of the node's
        own subcarriers where it transmits on no others. It sets the period; zeros of the energy do not.

    Raises
    ------
    ValueError : fewer than two subcarriers are allocated, or they do not lie on the grid.
    """

    energy: RealArray
    inverse_energy: RealArray | None
    allocated: NDArray[np.bool_]
    n_symbols: int
    bandwidth_hz: float
    spacing: int = 1

    def __post_init__(self) -> None:
        if len(self.tones) < 2:
            raise ValueError(f"allocated: holds {len(self.tones)} subcarriers, a range profile needs at least 2")
        apart = np.diff(self.tones)
        if self.spacing < 1 or np.any(apart % self.spacing):
            raise ValueError(
                f"spacing = {self.spacing}: must divide the distances of the allocated subcarriers, "
                f"{int(np.gcd.reduce(apart))} and its divisors"
            )

    @property
    def tones(self) -> NDArray[np.intp]:
        """Indices of the allocated subcarriers."""
        return np.flatnonzero(self.allocated)

    @property
    def period_m(self) -> float:
        """Period c L / (g B) of the profile [m of path]."""
        return SPEED_OF_LIGHT * len(self.energy) / (self.spacing * self.bandwidth_hz)


def expected_spectrum(
    scenario: Scenario, covariances: NDArray[np.complexfloating], node: int, angle: float
) -> EchoSpectrum:
    """Spectrum T a_t^T R_{mm,l} a_t^* of a design, with T = ``scenario.n_symbols``.

    Parameters
    ----------
    covariances : (L, N M_t, N M_t) transmit covariances of the stacked nodes.
    node : transmitting node m.
    angle : direction off the node's broadside [rad].

    Raises
    ------
    ValueError : a shape does not go with the scenario, or the node transmits on fewer than two subcarriers.
    """
    s = scenario
    check_scenario(s)
    size = s.n_nodes * s.n_tx
    covariances = check_numbers("covariances", covariances)
    if covariances.shape != (s.n_subcarriers, size, size):
        raise ValueError(
            f"covariances: has shape {covariances.shape}, "
            f"must have shape {(s.n_subcarriers, size, size)} (L, N M_t, N M_t)"
        )
    check_integer("node", node, 0, s.n_nodes - 1)
    check_angle("angle", angle)
    own = slice(node * s.n_tx, (node + 1) * s.n_tx)
    block = covariances[:, own, own]
    steering = steering_vector(angle, s.n_tx)
    energy = s.n_symbols * np.einsum("i,lij,j->l", steering, block, steering.conj()).real
    allocated = _allocated(np.einsum("lii->l", block).real, node)
    spacing = _spacing(s, allocated, node)
    return EchoSpectrum(np.maximum(energy, 0.0), None, allocated, s.n_symbols, s.bandwidth_hz, spacing)


def realized_spectrum(scenario: Scenario, X: NDArray[np.complexfloating], node: int, angle: float) -> EchoSpectrum:
    """Spectrum of transmitted symbols X (N, M_t, L, T); parameters and errors as in :func:`expected_spectrum`."""
    return _realized(scenario, *_echo(scenario, X, node, angle), node)


def _realized(scenario: Scenario, echo: ComplexArray, allocated: NDArray[np.bool_], node: int) -> EchoSpectrum:
    """Spectrum of echo symbols s[l, t] of a node."""
    power = np.abs(echo) ** 2
    inverse = np.zeros(len(power))
    with np.errstate(divide="ignore"):
        inverse[allocated] = (1 / power[allocated]).sum(axis=1)
    spacing = _spacing(scenario, allocated, node)
    return EchoSpectrum(power.sum(axis=1), inverse, allocated, power.shape[1], scenario.bandwidth_hz, spacing)


@dataclass(frozen=True)
class RangeProfile:
    """Profile p(r) = sum_i taps[i] exp(+j 2 pi i r / period) over the path length r.

    Attributes
    ----------
    taps : (n,) output of filter and window on the comb from the first to the last allocated subcarrier, zero between
        allocated ones.
    period_m : period c L / (g B) of the profile [m of path].
    oversampling : samples of :attr:`path_m` per tap.
    noise_loss : peak signal-to-noise ratio of the unwindowed matched filter over that of this filter, at least 1.
    receive_filter : one of ``FILTERS``.
    window : name of the window over the taps.
    """

    taps: ComplexArray
    period_m: float
    oversampling: int
    noise_loss: float
    receive_filter: str
    window: Window

    @property
    def path_m(self) -> RealArray:
        """Sampled path lengths, one period around zero [m]."""
        size = self.oversampling * len(self.taps)
        samples: RealArray = np.multiply(np.arange(size) - size // 2, self.period_m / size, dtype=float)
        return samples

    @cached_property
    def power(self) -> RealArray:
        """Power at :attr:`path_m` relative to the (interpolated) peak."""
        profile = self._transform(self.oversampling * len(self.taps))
        return np.fft.fftshift(np.abs(profile) ** 2) / abs(self.at(self.peak_m)) ** 2

    @cached_property
    def peak_m(self) -> float:
        """Path length of the highest peak [m], exact whatever the oversampling; of equal peaks the one nearest zero."""
        grid = np.abs(self._transform(_GRID * len(self.taps))) ** 2
        size = len(grid)
        phases = (np.arange(size) + size // 2) % size - size // 2
        ties = np.flatnonzero(grid >= grid.max() * (1 - 1e-12))
        start = phases[ties[np.argmin(np.abs(phases[ties]))]] * 2 * np.pi / size
        phase = self._stationary(np.array([start]), 2 * np.pi / size)[0]
        return float(phase * self.period_m / (2 * np.pi))

    def at(self, path_m: ArrayLike) -> ComplexArray:
        """Profile at any path lengths [m]."""
        phase = np.asarray(path_m, dtype=float) * (2 * np.pi / self.period_m)
        return self._derivatives(phase)[0]

    def sidelobes(self, mainlobe_m: tuple[float, float] | None = None) -> Sidelobes:
        """Main lobe and sidelobes: extrema and integrals of the continuous profile, whatever the oversampling.

        Parameters
        ----------
        mainlobe_m : edges of the main lobe relative to the peak [m]. By default the first minima beside the peak. Given
            edges compare profiles on equal terms, and find the level of one that falls too slowly to have a sidelobe.

        Raises
        ------
        ValueError : the edges do not enclose the peak within one period.
        """
        size = _GRID * len(self.taps)
        step = 2 * np.pi / size
        metres = self.period_m / (2 * np.pi)
        peak = self.peak_m / metres
        phases = np.add(peak, step * np.arange(size + 1), dtype=float)
        power = np.abs(np.fft.ifft(self.taps * np.exp(1j * peak * np.arange(len(self.taps))), size) * size) ** 2
        power = np.append(power, power[0])
        if mainlobe_m is None:
            low, high = self._first_minima(phases, power)
            ends = np.empty(0)
        else:
            low, high = mainlobe_m[0] / metres, mainlobe_m[1] / metres
            if not (low < 0 < high and high - low <= 2 * np.pi * (1 + 1e-12)):
                raise ValueError(
                    f"mainlobe_m = {mainlobe_m}: must be (negative, positive) and at most {self.period_m:.6g} m apart"
                )
            ends = np.array([peak + high, peak + low + 2 * np.pi])
        inner = np.arange(1, size)
        inner = inner[(phases[inner] > peak + high) & (phases[inner] < peak + low + 2 * np.pi)]
        maxima = inner[(power[inner] >= power[inner - 1]) & (power[inner] > power[inner + 1])]
        maxima = maxima[power[maxima] >= 0.9 * power[maxima].max(initial=0.0)]
        at = np.append(self._stationary(phases[maxima], step), ends)
        level, where = 0.0, np.nan
        if len(at):
            values = np.abs(self._derivatives(at)[0]) ** 2
            best = int(np.argmax(values))
            level = float(values[best] / power[0])
            where = float((at[best] - peak + np.pi) % (2 * np.pi) - np.pi)
        total = 2 * np.pi * float(np.vdot(self.taps, self.taps).real)
        inside = min(self._energy(peak + low, peak + high), total)
        return Sidelobes(
            pslr=level,
            islr=(total - inside) / inside,
            width_m=self._half_power_width(phases, power) * metres,
            noise_loss=self.noise_loss,
            mainlobe_m=(low * metres, high * metres),
            edges_given=mainlobe_m is not None,
            highest_m=where * metres,
            period_m=self.period_m,
            receive_filter=self.receive_filter,
            window=self.window,
        )

    def _first_minima(self, phases: RealArray, power: RealArray) -> tuple[float, float]:
        """Phases of the first minima on both sides of the peak, relative to it."""
        size = len(phases) - 1
        rise = np.diff(power) > 0
        right = int(np.argmax(rise)) if rise.any() else size // 2
        left = size - int(np.argmax(~rise[::-1])) if not rise.all() else size // 2
        high, low = self._stationary(phases[[right, left]], phases[1] - phases[0]) - phases[0]
        return float(low) - 2 * np.pi, float(high)

    def _transform(self, size: int) -> ComplexArray:
        profile: ComplexArray = np.fft.ifft(self.taps, size) * size
        return profile

    def _derivatives(self, phase: RealArray) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
        """Profile and its first two derivatives by the phase 2 pi r / period."""
        index = np.arange(len(self.taps))
        waves = np.exp(1j * np.multiply.outer(phase, index))
        return waves @ self.taps, waves @ (1j * index * self.taps), waves @ (-(index**2) * self.taps)

    def _stationary(self, phase: RealArray, reach: float) -> RealArray:
        """Stationary points of the power within ``reach`` of the given phases, by Newton's method."""
        start = phase
        for _ in range(12):
            value, slope, bend = self._derivatives(phase)
            first = (value.conj() * slope).real
            second = np.abs(slope) ** 2 + (value.conj() * bend).real
            step = np.divide(first, second, out=np.zeros_like(first), where=second != 0)
            phase = np.clip(phase - step, start - reach, start + reach)
        return phase

    def _half_power_width(self, phases: RealArray, power: RealArray) -> float:
        """Distance of the half-power points nearest to the peak on both sides [rad]; a period when there are none."""

        def excess(phase: float) -> float:
            return float(np.abs(self._derivatives(np.array([phase]))[0][0]) ** 2 / power[0] - 0.5)

        below = np.flatnonzero(power < 0.5 * power[0])
        if not len(below):
            return 2 * np.pi
        first, last, slack = below[0], below[-1], (phases[1] - phases[0]) / 2
        right = brentq(excess, phases[first - 1] - slack, phases[first] + slack, xtol=1e-15)
        left = brentq(excess, phases[last] - slack, phases[last + 1] + slack, xtol=1e-15)
        return float(right - left + 2 * np.pi)

    def _energy(self, low: float, high: float) -> float:
        """Integral of the power between two phases, in closed form from the autocorrelation of the taps."""
        lags = np.arange(1, len(self.taps))
        correlation = np.correlate(self.taps, self.taps, mode="full")[len(self.taps) :]
        swing = (np.exp(1j * lags * high) - np.exp(1j * lags * low)) / (1j * lags)
        return float(np.vdot(self.taps, self.taps).real * (high - low) + 2 * (correlation @ swing).real)


@dataclass(frozen=True)
class Sidelobes:
    """Sidelobes of a range profile, each number with its definition in :meth:`__str__`.

    Attributes
    ----------
    pslr : peak sidelobe ratio, highest maximum outside the main lobe over the peak (power); 0 without sidelobe. With
        given edges the highest level outside, at an edge or beyond.
    islr : integrated sidelobe ratio, energy outside the main lobe over energy inside, within one period.
    width_m : full width of the main lobe at half power [m of path].
    noise_loss : peak signal-to-noise ratio of the unwindowed matched filter over that of this filter.
    mainlobe_m : edges of the main lobe relative to the peak [m of path].
    edges_given : whether the edges were given; otherwise they are the first minima on both sides.
    highest_m : where the highest sidelobe lies relative to the peak [m of path]; NaN without sidelobe.
    period_m : the period that is searched, c L / (g B) [m of path].
    receive_filter, window : how the profile was made.
    """

    pslr: float
    islr: float
    width_m: float
    noise_loss: float
    mainlobe_m: tuple[float, float]
    edges_given: bool
    highest_m: float
    period_m: float
    receive_filter: str
    window: Window

    @property
    def pslr_db(self) -> float:
        """Peak sidelobe ratio [dB]."""
        return _db(self.pslr)

    @property
    def islr_db(self) -> float:
        """Integrated sidelobe ratio [dB]."""
        return _db(self.islr)

    @property
    def noise_loss_db(self) -> float:
        """Noise loss [dB]."""
        return _db(self.noise_loss)

    def __str__(self) -> str:
        low, high = self.mainlobe_m
        edges = "given" if self.edges_given else "between the first minima beside the peak"
        highest = "level" if self.edges_given else "maximum"
        return "\n".join(
            (
                f"{self.receive_filter} filter, window {self.window}",
                f"period      {self.period_m:.6g} m of path: c L / (g B), g the spacing of the node's own subcarriers, "
                "or 1 where it sends on others too; searched once",
                f"main lobe   {low:.6g} .. {high:.6g} m: {edges}",
                f"PSLR        {self.pslr_db:.2f} dB: highest {highest} outside the main lobe over the peak, "
                f"at {self.highest_m:.6g} m"
                if self.pslr > 0
                else "PSLR        no sidelobe: the main lobe fills the period",
                f"ISLR        {self.islr_db:.2f} dB: energy outside the main lobe over energy inside it",
                f"width       {self.width_m:.6g} m: full width at half power (-3.01 dB)",
                f"noise loss  {self.noise_loss_db:.2f} dB: peak SNR below that of the matched filter without window",
            )
        )


def range_profile(
    spectrum: EchoSpectrum, *, receive_filter: str = "matched", window: Window = "boxcar", oversampling: int = 16
) -> RangeProfile:
    """Noise-free profile of a point echo at path length zero.

    Parameters
    ----------
    spectrum : from :func:`expected_spectrum` or :func:`realized_spectrum`.
    receive_filter : one of ``FILTERS``.
    window : symmetric window in the words of ``scipy.signal.get_window``, such as "hann" or ("taylor", 4, 35), laid
        over the comb from the first to the last allocated subcarrier.
    oversampling : samples of the profile per tap, at least 1.

    Raises
    ------
    ValueError : unknown filter or window, oversampling below 1, a reciprocal filter for an expected spectrum, a filter
        that divides by a null of the beam, or no energy in this direction.
    """
    check_instance("spectrum", spectrum, EchoSpectrum)
    check_choice("receive_filter", receive_filter, FILTERS)
    gain, noise = _gain_and_noise(spectrum, receive_filter)
    window_weights, index = _comb(spectrum, window, oversampling)
    weights = window_weights[index]
    energy = spectrum.energy[spectrum.tones]
    taps = np.zeros(len(window_weights), dtype=complex)
    taps[index] = weights * gain
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = energy.sum() * np.sum(weights**2 * noise, where=weights != 0) / np.sum(weights * gain) ** 2
    return RangeProfile(taps, spectrum.period_m, oversampling, float(loss), receive_filter, window)


def measured_profile(
    scenario: Scenario,
    X: NDArray[np.complexfloating],
    Y: NDArray[np.complexfloating],
    *,
    rx: int,
    tx: int,
    rx_angle: float,
    tx_angle: float,
    receive_filter: str = "matched",
    window: Window = "boxcar",
    oversampling: int = 16,
) -> RangeProfile:
    """Profile of link tx -> target -> rx from received samples Y (N, M_r, L, T), beamformed towards ``rx_angle`` [rad].

    Its peak is the path length of the echo modulo the period. Noise and other echoes are in the taps; ``noise_loss``
    remains that of the filter. Other parameters and errors as in :func:`range_profile`.
    """
    echo, allocated = _echo(scenario, X, tx, tx_angle, node_name="tx", angle_name="tx_angle")
    check_integer("rx", rx, 0, scenario.n_nodes - 1)
    check_angle("rx_angle", rx_angle)
    Y = check_numbers("Y", Y)
    expected = (scenario.n_nodes, scenario.n_rx, scenario.n_subcarriers, echo.shape[1])
    if Y.shape != expected:
        raise ValueError(f"Y: has shape {Y.shape}, must have shape {expected} (N, M_r, L, T)")
    spectrum = _realized(scenario, echo, allocated, tx)
    ideal = range_profile(spectrum, receive_filter=receive_filter, window=window, oversampling=oversampling)
    received = np.einsum("r,rlt->lt", steering_vector(rx_angle, scenario.n_rx).conj(), Y[rx]) / scenario.n_rx
    tones = spectrum.tones
    s, y = echo[tones], received[tones]
    if receive_filter == "matched":
        output = np.sum(y * s.conj(), axis=1)
    elif receive_filter == "reciprocal":
        output = np.mean(y / s, axis=1)
    else:
        output = np.sum(y * s.conj(), axis=1) / spectrum.energy[tones]
    weights, index = _comb(spectrum, window, oversampling)
    taps = np.zeros(len(weights), dtype=complex)
    taps[index] = weights[index] * output
    return RangeProfile(taps, ideal.period_m, oversampling, ideal.noise_loss, receive_filter, window)


def _gain_and_noise(spectrum: EchoSpectrum, receive_filter: str) -> tuple[RealArray, RealArray]:
    """Response to a unit echo and noise variance per unit noise of the filter, at the allocated subcarriers.

    Raises
    ------
    ValueError : unknown filter; nothing is sent in this direction; a filter that divides meets a null of the beam.
    """
    tones = spectrum.tones
    energy = spectrum.energy[tones]
    strongest = energy.max()
    if not strongest > 0:
        raise ValueError("spectrum: holds no energy, nothing is sent in this direction")
    if receive_filter == "matched":
        return energy, energy
    if receive_filter == "least-squares":
        _check_nulls(receive_filter, tones, energy <= NULL * strongest)
        return np.ones(len(tones)), 1 / energy
    if spectrum.inverse_energy is None:
        raise ValueError(
            "receive_filter = 'reciprocal': divides by each symbol, so it needs a realized spectrum; "
            "an expected one takes matched or least-squares"
        )
    inverse = spectrum.inverse_energy[tones]
    _check_nulls(receive_filter, tones, ~(inverse * NULL * strongest < spectrum.n_symbols))
    return np.ones(len(tones)), inverse / spectrum.n_symbols**2


def _check_nulls(receive_filter: str, tones: NDArray[np.intp], null: NDArray[np.bool_]) -> None:
    """Raise ValueError where a filter would divide by a null of the beam."""
    if null.any():
        raise ValueError(
            f"receive_filter = {receive_filter!r}: divides by zero on {null.sum()} of {len(tones)} subcarriers (first: "
            f"{tones[null][0]}), where the beam has a null in this direction; 'matched' does not divide"
        )


def _comb(spectrum: EchoSpectrum, window: Window, oversampling: int) -> tuple[RealArray, NDArray[np.intp]]:
    """Window over the comb between the outermost allocated subcarriers, and the places of the allocated ones on it."""
    from scipy.signal import get_window

    check_integer("oversampling", oversampling, 1)
    index = (spectrum.tones - spectrum.tones[0]) // spectrum.spacing
    if not isinstance(window, str | tuple):
        raise ValueError(f"window = {window!r}: must be a name, or a tuple of a name and numbers")
    try:
        weights: RealArray = get_window(window, int(index[-1]) + 1, fftbins=False)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"window = {window!r}: must be a window of scipy.signal.get_window ({error})") from None
    if weights[index].sum() <= 0:
        raise ValueError(f"window = {window!r}: is zero on all {len(index)} subcarriers of the node")
    return weights, index


def _echo(
    scenario: Scenario,
    X: NDArray[np.complexfloating],
    node: int,
    angle: float,
    *,
    node_name: str = "node",
    angle_name: str = "angle",
) -> tuple[ComplexArray, NDArray[np.bool_]]:
    """Echo symbols s[l, t] of a node in a direction, and on which subcarriers it transmits."""
    check_scenario(scenario)
    X = check_numbers("X", X)
    expected = (scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers)
    if X.ndim != 4 or X.shape[:3] != expected:
        raise ValueError(f"X: has shape {X.shape}, must have shape {(*expected, 'T')} (N, M_t, L, T)")
    check_integer(node_name, node, 0, scenario.n_nodes - 1)
    check_angle(angle_name, angle)
    echo: ComplexArray = np.einsum("i,ilt->lt", steering_vector(angle, scenario.n_tx), X[node])
    return echo, _allocated(np.sum(np.abs(X[node]) ** 2, axis=(0, 2)), node)


def _allocated(power: RealArray, node: int) -> NDArray[np.bool_]:
    used: NDArray[np.bool_] = power > SILENT * power.max()
    if used.sum() < 2:
        raise ValueError(f"node {node} transmits on {used.sum()} subcarriers: a range profile needs at least 2")
    return used


def _spacing(scenario: Scenario, allocated: NDArray[np.bool_], node: int) -> int:
    """Spacing of the node's own subcarriers where it transmits on no others, else 1, that of the carrier."""
    own = scenario.subcarrier_node == node
    return 1 if np.any(allocated & ~own) else int(np.gcd.reduce(np.diff(np.flatnonzero(own))))


def _db(ratio: float) -> float:
    return float(10 * np.log10(ratio)) if ratio > 0 else -np.inf
