"""OFDM in the time domain: modulation with cyclic prefix, paths with fractional delays, and what a short prefix costs.

Subcarriers lie at l B / L, l = 0 ... L-1. Symbol t is the continuous-time signal

    s_t(v) = L^(-1/2) sum_l X_l[t] e^{j 2 pi l (B/L) v},   -N_cp / B <= v < L / B,   and zero elsewhere,

with v counted from the start of its useful part; the stream is their sum, one every (N_cp + L) / B, silent before the
first. A path of delay tau gives the stream at time minus tau, sampled at the rate B. Within one symbol the signal is a
trigonometric polynomial, so a delay by a fraction of a sample is exact: a phase ramp over the subcarriers. The
transforms are unitary: noise of variance sigma^2 / L per sample has that variance per subcarrier too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disac.simulator.checks import check_integer, check_numbers, check_real
from disac.simulator.geometry import path_delays
from disac.simulator.prefix import whole_samples
from disac.simulator.steering import steering_vector
from disac.simulator.synthesis import check_symbols, phase_turns

if TYPE_CHECKING:
    from disac.simulator.scenario import Scenario

AnyComplexArray = NDArray[np.complexfloating[Any, Any]]


def ofdm_modulate(X: AnyComplexArray, n_cyclic_prefix: int) -> AnyComplexArray:
    """Time-domain samples of OFDM symbols, each led by a copy of its last ``n_cyclic_prefix`` samples.

    Parameters
    ----------
    X : (..., L, T) subcarrier values.
    n_cyclic_prefix : prefix length N_cp [samples]; it may exceed L.

    Returns
    -------
    (..., T (N_cp + L)) samples at the rate B.

    Raises
    ------
    ValueError : X is not an array of finite numbers with two axes, or the prefix is negative.
    """
    X = check_numbers("X", X)
    if X.ndim < 2 or X.shape[-2] == 0:
        raise ValueError(f"X: has shape {X.shape}, must have shape (..., L, T) with L at least 1")
    check_integer("n_cyclic_prefix", n_cyclic_prefix, 0)
    n_subcarriers, n_symbols = X.shape[-2:]
    useful = np.fft.ifft(X.swapaxes(-1, -2), norm="ortho")
    prefixed = np.take(useful, np.arange(-n_cyclic_prefix, n_subcarriers) % n_subcarriers, axis=-1)
    samples: AnyComplexArray = prefixed.reshape(*X.shape[:-2], n_symbols * (n_cyclic_prefix + n_subcarriers))
    return samples


def ofdm_demodulate(samples: AnyComplexArray, n_subcarriers: int, n_cyclic_prefix: int) -> AnyComplexArray:
    """Subcarrier values of each OFDM symbol: drop the prefix, then transform.

    Parameters
    ----------
    samples : (..., T (N_cp + L)) samples at the rate B, the first one opening a prefix.
    n_subcarriers, n_cyclic_prefix : L and N_cp.

    Returns
    -------
    (..., L, T) subcarrier values.

    Raises
    ------
    ValueError : the samples are not a whole number of symbols or not finite, or L or N_cp is out of range.
    """
    useful = _symbols(samples, n_subcarriers, n_cyclic_prefix)[..., n_cyclic_prefix:]
    values: AnyComplexArray = np.fft.fft(useful, norm="ortho").swapaxes(-1, -2)
    return values


def multipath(
    samples: AnyComplexArray,
    n_subcarriers: int,
    n_cyclic_prefix: int,
    *,
    gains: ArrayLike,
    delays_s: ArrayLike,
    bandwidth_hz: float,
) -> AnyComplexArray:
    """Samples of sum_p g_p s(v - tau_p) for the OFDM stream s(v) that has these samples.

    Parameters
    ----------
    samples : (..., T (N_cp + L)) samples of :func:`ofdm_modulate`.
    n_subcarriers, n_cyclic_prefix : L and N_cp.
    gains : (P,) complex gains g_p.
    delays_s : (P,) delays tau_p >= 0 [s], whole samples or not, longer than a symbol or not.
    bandwidth_hz : sampling rate B [Hz].

    Returns
    -------
    Samples of the same shape: as many as went in, so what arrives later than the last of them is not observed.

    Raises
    ------
    ValueError : the samples are not a whole number of symbols, a delay is negative, or a value is not finite.
    """
    check_real("bandwidth_hz", bandwidth_hz, 0, above=True, unit="Hz")
    samples = check_numbers("samples", samples)
    gains, delays_s = check_numbers("gains", gains), check_numbers("delays_s", delays_s, real=True)
    try:
        gains, delays_s = np.broadcast_arrays(np.atleast_1d(gains), np.atleast_1d(delays_s.astype(float)))
    except ValueError:
        raise ValueError(f"gains: has shape {gains.shape}, must go with delays_s of shape {delays_s.shape}") from None
    if np.any(delays_s < 0):
        raise ValueError(f"delays_s: holds {delays_s.min()}, must be at least 0 s")
    spectrum = ofdm_demodulate(samples, n_subcarriers, n_cyclic_prefix)
    received = np.zeros_like(samples)
    for gain, delay in zip(gains, delays_s * bandwidth_hz, strict=True):
        whole = whole_samples(delay)
        if whole >= samples.shape[-1]:
            continue
        ramp = gain * np.exp(2j * np.pi * (whole - delay) / n_subcarriers * np.arange(n_subcarriers))
        advanced = ofdm_modulate(spectrum * ramp.astype(samples.dtype)[:, None], n_cyclic_prefix)
        received[..., whole:] += advanced[..., : samples.shape[-1] - whole]
    return received


def echo_samples(scenario: Scenario, X: AnyComplexArray, *, phases: ArrayLike | None = None) -> AnyComplexArray:
    """Noise-free samples of every receive antenna: Eq. (6) before prefix removal and FFT, whatever the delays.

    Parameters
    ----------
    scenario : gives geometry, amplitudes, bandwidth and cyclic prefix.
    X : (..., N, M_t, L, T) transmit symbols.
    phases : (N,) inter-node phases as in :func:`~disac.simulator.synthesis.synthesize` [rad].

    Returns
    -------
    (..., N, M_r, T (N_cp + L)) complex128 samples; where no delay exceeds the prefix, :func:`ofdm_demodulate` makes of
    them the mean that ``synthesize`` gives.
    """
    X, batch = check_symbols(scenario, X)
    n_subcarriers, prefix = scenario.n_subcarriers, scenario.n_cyclic_prefix
    geometry = scenario.target_geometry
    turns = phase_turns(phases, (), scenario.n_nodes)[0]
    gains = scenario.amplitudes * (turns * turns[:, None].conj())[..., None]
    delays = path_delays(geometry.delay_s)
    steer_tx = steering_vector(geometry.angle, scenario.n_tx)
    steer_rx = steering_vector(geometry.angle, scenario.n_rx)
    sent = ofdm_modulate(np.einsum("nki,...nilt->...nklt", steer_tx, X), prefix)
    received = np.zeros((*batch, scenario.n_nodes, scenario.n_rx, sent.shape[-1]), dtype=sent.dtype)
    for n, m, k in np.ndindex(gains.shape):
        arriving = multipath(
            sent[..., m, k, :],
            n_subcarriers,
            prefix,
            gains=gains[n, m, k],
            delays_s=delays[n, m, k],
            bandwidth_hz=scenario.bandwidth_hz,
        )
        received[..., n, :, :] += steer_rx[n, k][:, None] * arriving[..., None, :]
    return received


def _symbols(samples: AnyComplexArray, n_subcarriers: int, n_cyclic_prefix: int) -> AnyComplexArray:
    samples = check_numbers("samples", samples)
    length = check_integer("n_subcarriers", n_subcarriers, 1) + check_integer("n_cyclic_prefix", n_cyclic_prefix, 0)
    if samples.ndim == 0 or samples.shape[-1] % length:
        raise ValueError(
            f"samples: has shape {samples.shape}, the last axis must be a multiple of N_cp + L = "
            f"{n_cyclic_prefix} + {n_subcarriers}"
        )
    return samples.reshape(*samples.shape[:-1], -1, length)
