"""What the nodes receive: the echoes of Eq. (6), with noise, for one trial or a batch of trials."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, DTypeLike, NDArray

from disac.simulator.checks import check_instance, check_numbers
from disac.simulator.clocks import late_clock, late_start
from disac.simulator.scenario import Scenario
from disac.simulator.steering import delay_vector, steering_vector

AnyComplexArray = NDArray[np.complexfloating[Any, Any]]

_BLOCK = 512
"""Samples (subcarriers times symbols) worked on at once, so that the work arrays stay in cache."""


@dataclass(frozen=True)
class _PathFactors:
    """What a path's echo is made of, in the precision of the samples."""

    steer_tx: AnyComplexArray
    steer_rx: AnyComplexArray
    one_way_delay: AnyComplexArray
    amplitudes: AnyComplexArray
    moves: bool


_FACTORS: dict[tuple[int, str], tuple[weakref.ref[Scenario], _PathFactors]] = {}
"""Factors of the living scenarios by identity: a trial loop calls with the same frozen value again and again."""


def _path_factors(scenario: Scenario, dtype: np.dtype[Any]) -> _PathFactors:
    key = (id(scenario), dtype.str)
    known = _FACTORS.get(key)
    if known is not None and known[0]() is scenario:
        return known[1]
    geometry = scenario.target_geometry
    factors = _PathFactors(
        steer_tx=steering_vector(geometry.angle, scenario.n_tx).astype(dtype),
        steer_rx=steering_vector(geometry.angle, scenario.n_rx).astype(dtype),
        one_way_delay=delay_vector(geometry.delay_s, scenario.n_subcarriers, scenario.bandwidth_hz).astype(dtype),
        amplitudes=scenario.amplitudes.astype(dtype),
        moves=bool(scenario.velocities.any()),
    )
    _FACTORS[key] = (weakref.ref(scenario, lambda _: _FACTORS.pop(key, None)), factors)
    return factors


def synthesize(
    scenario: Scenario,
    X: AnyComplexArray,
    *,
    rng: np.random.Generator | None = None,
    phases: ArrayLike | None = None,
    clock_offsets_s: ArrayLike | None = None,
    out: AnyComplexArray | None = None,
) -> AnyComplexArray:
    """Received samples of every node, Eq. (5) and (6).

    y_{n,l}[t] = sum_{m,k} b_{n,m}^k e^{j(phi_m-phi_n)} d_l(tau_{n,m}^k) a_r(theta_n^k) a_t(theta_m^k)^T x_{m,l}[t] + z
    with tau_{n,m}^k = tau_n^k + tau_m^k + delta_n - delta_m and z of CN(0, sigma_s^2 / L). The echo of a moving target
    turns from symbol to symbol by exp(-j (nu_n^k + nu_m^k) (t - (T-1)/2) T_s), see :attr:`Scenario.doppler_rates`.

    Parameters
    ----------
    scenario : gives geometry, amplitudes b[rx, tx, target] and the noise variance sigma_s^2 / L of each sample.
    X : (..., N, M_t, L, T) complex transmit symbols, complex128 or complex64; leading axes count trials.
    rng : draws the noise, nothing else; None gives the noise-free mean.
    phases : (N,) or (..., N) phases phi_n of the nodes [rad], constant over the T symbols; default zero.
    clock_offsets_s : (N,) clock offsets delta_n of the nodes [s]; default none, as the paper assumes. They change no
        noise sample.
    out : (..., N, M_r, L, T) C-contiguous array of X's type to write into.

    Returns
    -------
    (..., N, M_r, L, T) samples Y, of the precision of X. A batch equals, bit for bit, its trials one after the other.

    Raises
    ------
    ValueError : X, phases, clock_offsets_s or out has a wrong shape or type.

    Examples
    --------
    >>> import numpy as np
    >>> from disac.simulator import Scenario, synthesize
    >>> scene = Scenario.preset("fig4")
    >>> X = np.ones((scene.n_nodes, scene.n_tx, scene.n_subcarriers, scene.n_symbols), dtype=complex)
    >>> synthesize(scene, X, rng=np.random.default_rng(0)).shape
    (4, 6, 16, 16)
    """
    X, batch = check_symbols(scenario, X)
    n_nodes, n_tx, n_subcarriers, n_symbols = X.shape[len(batch) :]
    real = X.real.dtype
    if clock_offsets_s is not None:
        mean = synthesize(scenario, late_start(X, clock_offsets_s, scenario.bandwidth_hz), phases=phases, out=out)
        mean *= late_clock(clock_offsets_s, n_nodes, n_subcarriers, scenario.bandwidth_hz)[:, None, :, None]
        if rng is not None:
            noise, noise_scale = draw_unit_noise(mean.shape, X.dtype, rng, scenario.noise_sense_per_subcarrier)
            mean += real.type(noise_scale) * noise
        return mean
    turns = phase_turns(phases, batch, n_nodes, X.dtype)
    shape = (*batch, n_nodes, scenario.n_rx, n_subcarriers, n_symbols)
    Y, noise_scale = draw_unit_noise(shape, X.dtype, rng, scenario.noise_sense_per_subcarrier, out)

    factors = _path_factors(scenario, X.dtype)
    block = max(1, _BLOCK // n_symbols)
    size = n_symbols * min(block, n_subcarriers)
    n_trials = len(turns)
    _add_echoes(
        X.reshape(n_trials, n_nodes, n_tx, n_subcarriers * n_symbols).view(real),
        factors.steer_tx,
        factors.steer_rx,
        factors.one_way_delay,
        _symbol_turns(scenario, n_symbols, X.dtype, moves=factors.moves),
        factors.amplitudes,
        turns,
        real.type(noise_scale),
        rng is not None,
        n_symbols,
        block,
        np.empty((n_nodes, scenario.n_targets, 2, size), dtype=real),
        np.empty((n_nodes, scenario.n_targets, 2, size), dtype=real),
        np.empty((2, 2 * size), dtype=real),
        np.empty((scenario.n_targets, 2, 2 * size), dtype=real),
        Y.reshape(n_trials, n_nodes, scenario.n_rx, n_subcarriers * n_symbols).view(real),
    )
    return Y


def _symbol_turns(scenario: Scenario, n_symbols: int, dtype: DTypeLike, *, moves: bool) -> AnyComplexArray:
    """Doppler turns exp(-j nu (t - (T-1)/2) T_s) of each leg, (N, K, T); without symbols where all targets rest."""
    if not moves:
        return np.empty((scenario.n_nodes, scenario.n_targets, 0), dtype=dtype)
    times_s = (np.arange(n_symbols) - (n_symbols - 1) / 2) * scenario.symbol_interval_s
    turns: AnyComplexArray = np.exp(-1j * scenario.doppler_rates[..., None] * times_s).astype(dtype)
    return turns


def check_symbols(scenario: Scenario, X: AnyComplexArray) -> tuple[AnyComplexArray, tuple[int, ...]]:
    """X as a C-contiguous array, and its leading axes.

    Raises
    ------
    ValueError : X is not complex, or not of shape (..., N, M_t, L, T) with the scenario's N, M_t and L.
    """
    check_scenario(scenario)
    X = check_numbers("X", X)
    if X.dtype not in (np.complex64, np.complex128):
        raise ValueError(f"X: has type {X.dtype}, must be complex128 or complex64")
    expected = (scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers)
    if X.ndim < 4 or X.shape[-4:-1] != expected or X.shape[-1] == 0:
        sizes = ", ".join(map(str, expected))
        raise ValueError(
            f"X: has shape {X.shape}, must have shape (..., {sizes}, T) (..., N, M_t, L, T) with T at least 1"
        )
    return np.ascontiguousarray(X), X.shape[:-4]


def check_scenario(scenario: object) -> None:
    """Raise TypeError unless this is a :class:`~disac.simulator.Scenario`."""
    check_instance("scenario", scenario, Scenario)


def phase_turns(
    phases: ArrayLike | None, batch: tuple[int, ...], n_nodes: int, dtype: DTypeLike = np.complex128
) -> AnyComplexArray:
    """(trials, N) C-contiguous factors e^{j phi_n}, one row for each entry of the leading axes."""
    turns = np.empty((*batch, n_nodes), dtype=dtype)
    if phases is None:
        turns.fill(1)
    else:
        angles = check_numbers("phases", phases, real=True)
        if angles.shape not in ((n_nodes,), turns.shape):
            raise ValueError(
                f"phases: has shape {angles.shape}, must have shape ({n_nodes},) or {turns.shape} (..., N)"
            )
        turns[...] = np.exp(1j * angles)
    return turns.reshape(-1, n_nodes)


def draw_unit_noise(
    shape: tuple[int, ...],
    dtype: DTypeLike,
    rng: np.random.Generator | None,
    variance: float,
    out: AnyComplexArray | None = None,
) -> tuple[AnyComplexArray, float]:
    """An array whose real and imaginary parts are N(0, 1), and the factor that makes them CN(0, variance).

    Without ``rng`` the array is left uninitialized. The factor is applied where the signal is added.
    """
    check_instance("rng", rng, np.random.Generator, optional=True)
    check_instance("out", out, np.ndarray, optional=True)
    if out is None:
        out = np.empty(shape, dtype=dtype)
    elif out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise ValueError(
            f"out: has shape {out.shape} and type {out.dtype}, must be C-contiguous, {shape}, {np.dtype(dtype)}"
        )
    if rng is not None:
        real = out.real.dtype
        rng.standard_normal(dtype=real.type, out=out.view(real))
    return out, float(np.sqrt(variance / 2))


@njit(cache=True, nogil=True)
def _add_echoes(  # type: ignore[no-untyped-def]
    x,
    steer_tx,
    steer_rx,
    one_way,
    doppler,
    amplitude,
    turns,
    noise_scale,
    noisy,
    n_symbols,
    block,
    lag,
    echo,
    sums,
    field,
    y,
):
    """Scale the unit noise in y (or overwrite it) and add Eq. (6), a block of subcarriers at a time.

    x[b, m, i] and y[b, n, i] hold the real and imaginary part of sample l T + t side by side, so that a complex factor
    acts through sums of contiguous reals. The delay of a path is that of its two legs, d(tau_n + tau_m) =
    d(tau_n) d(tau_m), and so is its Doppler turn, ``doppler[n, k, t]`` for each leg (empty where all targets rest); the
    transmit side of a path is worked out once for all receivers.

    Work arrays: ``lag[n, k]`` is d(tau_n^k), turned, of each sample and ``echo[m, k]`` what target k receives of node
    m, both with real and imaginary parts apart; ``field[k]`` is what arrives from target k, and j times it, parts side
    by side.
    """
    n_trials, n_nodes, n_tx = x.shape[:3]
    n_targets, n_rx = steer_rx.shape[1:]
    n_subcarriers = one_way.shape[2]
    for first in range(0, n_subcarriers, block):
        last = min(first + block, n_subcarriers)
        size = (last - first) * n_symbols
        start, stop = 2 * first * n_symbols, 2 * last * n_symbols
        for n in range(n_nodes):
            for k in range(n_targets):
                _repeat(one_way[n, k, first:last], doppler[n, k], n_symbols, lag[n, k, 0], lag[n, k, 1])
        for b in range(n_trials):
            for m in range(n_nodes):
                for k in range(n_targets):
                    re, im = sums[0, : 2 * size], sums[1, : 2 * size]
                    re[:] = 0
                    im[:] = 0
                    for i in range(0, n_tx - 1, 2):
                        p, q = x[b, m, i, start:stop], x[b, m, i + 1, start:stop]
                        u, v = steer_tx[m, k, i], steer_tx[m, k, i + 1]
                        _add_weighted(re, im, p, u, q, v)
                    if n_tx % 2:
                        p, u = x[b, m, n_tx - 1, start:stop], steer_tx[m, k, n_tx - 1]
                        _add_weighted(re, im, p, u, p, 0 * u)
                    _delay_sent(re, im, lag[m, k, 0], lag[m, k, 1], echo[m, k, 0, :size], echo[m, k, 1, :size])
            for n in range(n_nodes):
                for k in range(n_targets):
                    re, im = sums[0, :size], sums[1, :size]
                    re[:] = 0
                    im[:] = 0
                    for m in range(n_nodes):
                        link = amplitude[n, m, k] * (turns[b, m] * turns[b, n].conjugate())
                        _add_link(re, im, link, echo[m, k, 0], echo[m, k, 1])
                    _delay_received(re, im, lag[n, k, 0], lag[n, k, 1], field[k, 0], field[k, 1])
                for i in range(n_rx):
                    row = y[b, n, i, start:stop]
                    if noisy:
                        for j in range(row.size):
                            row[j] *= noise_scale
                    else:
                        row[:] = 0
                    for k in range(n_targets):
                        weight = steer_rx[n, k, i]
                        _add_pair(row, field[k, 0], weight.real, field[k, 1], weight.imag)


@njit(cache=True, nogil=True)
def _repeat(phasor, doppler, n_symbols, re, im):  # type: ignore[no-untyped-def]
    """Parts of phasor[l] doppler[t] at each of the samples l T + t; an empty ``doppler`` is one of ones."""
    for line in range(phasor.size):
        start = line * n_symbols
        for t in range(n_symbols):
            value = phasor[line] * doppler[t] if doppler.size else phasor[line]
            re[start + t], im[start + t] = value.real, value.imag


@njit(cache=True, nogil=True)
def _add_weighted(total_re, total_im, p, u, q, v):  # type: ignore[no-untyped-def]
    """total_re += Re(u) p + Re(v) q and total_im += Im(u) p + Im(v) q for real p and q."""
    u_re, u_im, v_re, v_im = u.real, u.imag, v.real, v.imag
    for j in range(total_re.size):
        a, c = p[j], q[j]
        total_re[j] += u_re * a + v_re * c
        total_im[j] += u_im * a + v_im * c


@njit(cache=True, nogil=True)
def _add_pair(total, p, u, q, v):  # type: ignore[no-untyped-def]
    """total += u p + v q, all real."""
    for j in range(total.size):
        total[j] += u * p[j] + v * q[j]


@njit(cache=True, nogil=True)
def _add_link(total_re, total_im, link, echo_re, echo_im):  # type: ignore[no-untyped-def]
    """total += link * echo, parts apart."""
    re, im = link.real, link.imag
    for s in range(total_re.size):
        total_re[s] += re * echo_re[s] - im * echo_im[s]
        total_im[s] += re * echo_im[s] + im * echo_re[s]


@njit(cache=True, nogil=True)
def _delay_sent(re, im, lag_re, lag_im, echo_re, echo_im):  # type: ignore[no-untyped-def]
    """echo = lag * (re + j im) where re and im are complex samples with their parts side by side."""
    for s in range(echo_re.size):
        a = re[2 * s] - im[2 * s + 1]
        c = re[2 * s + 1] + im[2 * s]
        echo_re[s] = lag_re[s] * a - lag_im[s] * c
        echo_im[s] = lag_re[s] * c + lag_im[s] * a


@njit(cache=True, nogil=True)
def _delay_received(re, im, lag_re, lag_im, field, turned):  # type: ignore[no-untyped-def]
    """field = lag * (re, im) and turned = j * field, both with the parts side by side."""
    for s in range(re.size):
        a = lag_re[s] * re[s] - lag_im[s] * im[s]
        c = lag_re[s] * im[s] + lag_im[s] * re[s]
        field[2 * s], field[2 * s + 1] = a, c
        turned[2 * s], turned[2 * s + 1] = -c, a
