"""What the nodes receive: the echoes of Eq. (6), with noise, for one trial or a batch of trials."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, DTypeLike, NDArray

from disac.simulator.scenario import Scenario
from disac.simulator.steering import delay_vector, steering_vector

AnyComplexArray = NDArray[np.complexfloating[Any, Any]]

_BLOCK = 256
"""Samples (subcarriers times symbols) worked on at once, so that the work arrays stay in the first-level cache."""


def synthesize(
    scenario: Scenario,
    X: AnyComplexArray,
    *,
    rng: np.random.Generator | None = None,
    phases: ArrayLike | None = None,
    out: AnyComplexArray | None = None,
) -> AnyComplexArray:
    """Received samples of every node, Eq. (5) and (6).

    y_{n,l}[t] = sum_{m,k} b_{n,m}^k e^{j(phi_m-phi_n)} d_l(tau_{n,m}^k) a_r(theta_n^k) a_t(theta_m^k)^T x_{m,l}[t] + z
    with tau_{n,m}^k = tau_n^k + tau_m^k and z of CN(0, sigma_s^2 / L).

    Parameters
    ----------
    scenario : gives geometry, amplitudes b[rx, tx, target] and the noise variance sigma_s^2 / L of each sample.
    X : (..., N, M_t, L, T) complex transmit symbols, complex128 or complex64; leading axes count trials.
    rng : draws the noise, nothing else; None gives the noise-free mean.
    phases : (N,) or (..., N) phases phi_n of the nodes [rad], constant over the T symbols; default zero.
    out : (..., N, M_r, L, T) C-contiguous array of X's type to write into.

    Returns
    -------
    (..., N, M_r, L, T) samples Y, of the precision of X. A batch equals, bit for bit, its trials one after the other.

    Raises
    ------
    ValueError : X, phases or out has a wrong shape or type.
    """
    X, batch = check_symbols(scenario, X)
    n_nodes, n_tx, n_subcarriers, n_symbols = X.shape[len(batch) :]
    real = X.real.dtype
    turns = phase_turns(phases, batch, n_nodes)
    shape = (*batch, n_nodes, scenario.n_rx, n_subcarriers, n_symbols)
    Y, noise_scale = draw_unit_noise(shape, X.dtype, rng, scenario.noise_sense_per_subcarrier, out)

    geometry = scenario.target_geometry
    one_way = delay_vector(geometry.delay_s, n_subcarriers, scenario.bandwidth_hz)
    steer_tx = steering_vector(geometry.angle, n_tx)
    steer_rx = steering_vector(geometry.angle, scenario.n_rx)
    block = max(1, _BLOCK // n_symbols)
    width = 2 * n_symbols * min(block, n_subcarriers)
    n_trials = len(turns)
    _add_echoes(
        X.reshape(n_trials, n_nodes, n_tx, -1).view(real),
        steer_tx.astype(X.dtype),
        steer_rx.astype(X.dtype),
        one_way.astype(X.dtype),
        scenario.amplitudes.astype(X.dtype),
        turns.astype(X.dtype),
        real.type(noise_scale),
        rng is not None,
        n_symbols,
        block,
        np.empty((n_nodes, scenario.n_targets, 2, width), dtype=real),
        np.empty((scenario.n_targets, 2, width), dtype=real),
        Y.reshape(n_trials, n_nodes, scenario.n_rx, -1).view(real),
    )
    return Y


def check_symbols(scenario: Scenario, X: AnyComplexArray) -> tuple[AnyComplexArray, tuple[int, ...]]:
    """X as a C-contiguous array, and its leading axes.

    Raises
    ------
    ValueError : X is not complex, or not of shape (..., N, M_t, L, T) with the scenario's N, M_t and L.
    """
    X = np.asarray(X)
    if X.dtype not in (np.complex64, np.complex128):
        raise ValueError(f"X: has type {X.dtype}, must be complex128 or complex64")
    expected = (scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers)
    if X.ndim < 4 or X.shape[-4:-1] != expected or X.shape[-1] == 0:
        sizes = ", ".join(map(str, expected))
        raise ValueError(
            f"X: has shape {X.shape}, must have shape (..., {sizes}, T) (..., N, M_t, L, T) with T at least 1"
        )
    return np.ascontiguousarray(X), X.shape[:-4]


def phase_turns(phases: ArrayLike | None, batch: tuple[int, ...], n_nodes: int) -> NDArray[np.complex128]:
    """(trials, N) factors e^{j phi_n}, one row for each entry of the leading axes."""
    turns = np.ones(n_nodes) if phases is None else np.exp(1j * np.asarray(phases, dtype=float))
    if turns.shape not in ((n_nodes,), (*batch, n_nodes)):
        raise ValueError(
            f"phases: has shape {turns.shape}, must have shape ({n_nodes},) or {(*batch, n_nodes)} (..., N)"
        )
    rows: NDArray[np.complex128] = np.broadcast_to(turns, (*batch, n_nodes)).reshape(-1, n_nodes)
    return rows


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
    x, steer_tx, steer_rx, one_way, amplitude, turns, noise_scale, noisy, n_symbols, block, echo, field, y
):
    """Scale the unit noise in y (or clear it) and add Eq. (6), a block of subcarriers at a time.

    Samples lie as interleaved real and imaginary parts, x[b, m, i, 2 (l T + t)], and every complex factor c acts
    as c v = Re(c) v + Im(c) (j v), so that the long loops run over contiguous reals. The delay of a path is that of its
    two legs, d(tau_n + tau_m) = d(tau_n) d(tau_m); the transmit side of a path is worked out once for all receivers.
    echo[m, k] holds d(tau_m) a_t^T x_m and j times it, field[k] the same of what reaches the receiver.
    """
    n_trials, n_nodes = x.shape[:2]
    n_targets, n_rx = steer_rx.shape[1], steer_rx.shape[2]
    n_subcarriers = one_way.shape[2]
    for b in range(n_trials):
        for first in range(0, n_subcarriers, block):
            n_lines = min(block, n_subcarriers - first)
            start, width = 2 * first * n_symbols, 2 * n_lines * n_symbols
            for m in range(n_nodes):
                for k in range(n_targets):
                    _weighted_sum(x[b, m, :, start : start + width], steer_tx[m, k], echo[m, k, :, :width])
                    _delay(echo[m, k, :, :width], one_way[m, k, first : first + n_lines], turns[b, m], n_symbols)
            for n in range(n_nodes):
                for k in range(n_targets):
                    part = field[k, :, :width]
                    part[0] = 0
                    for m in range(n_nodes):
                        re, im = amplitude[n, m, k].real, amplitude[n, m, k].imag
                        for j in range(width):
                            part[0, j] += re * echo[m, k, 0, j] + im * echo[m, k, 1, j]
                    _delay(part, one_way[n, k, first : first + n_lines], turns[b, n].conjugate(), n_symbols)
                for i in range(n_rx):
                    row = y[b, n, i, start : start + width]
                    if noisy:
                        for j in range(width):
                            row[j] *= noise_scale
                    else:
                        row[:] = 0
                    for k in range(n_targets):
                        re, im = steer_rx[n, k, i].real, steer_rx[n, k, i].imag
                        for j in range(width):
                            row[j] += re * field[k, 0, j] + im * field[k, 1, j]


@njit(cache=True, nogil=True)
def _weighted_sum(rows, weights, out):  # type: ignore[no-untyped-def]
    """out[0] = sum_i weights[i] rows[i] over rows of interleaved complex samples; out[1] is scratch."""
    width = rows.shape[1]
    out[:] = 0
    for i in range(rows.shape[0]):
        re, im = weights[i].real, weights[i].imag
        for j in range(width):
            out[0, j] += re * rows[i, j]
            out[1, j] += im * rows[i, j]
    for j in range(0, width, 2):
        out[0, j] -= out[1, j + 1]
        out[0, j + 1] += out[1, j]


@njit(cache=True, nogil=True)
def _delay(pair, phasor, turn, n_symbols):  # type: ignore[no-untyped-def]
    """Multiply pair[0] by turn and by phasor[l] on each line of T samples, and set pair[1] to j times the result."""
    for line in range(phasor.shape[0]):
        factor = turn * phasor[line]
        re, im = factor.real, factor.imag
        for j in range(2 * line * n_symbols, 2 * (line + 1) * n_symbols, 2):
            a = re * pair[0, j] - im * pair[0, j + 1]
            c = re * pair[0, j + 1] + im * pair[0, j]
            pair[0, j], pair[0, j + 1] = a, c
            pair[1, j], pair[1, j + 1] = -c, a
