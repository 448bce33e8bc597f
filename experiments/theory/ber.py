"""Bit error rate of Gray-labelled square QAM: in Gaussian noise, and exactly under discrete interference.

A bit of square QAM depends on one axis, and a decision errs where the disturbance D of that axis carries the level
over an odd multiple of half the level spacing d. Whatever the symmetric law of D,

    BER = sum_k w_k P(D > (2k - 1) d),    k = 1 .. sqrt(order) - 1,

with weights that only the labels fix (for 16-QAM 3/4, 1/2, -1/4). Three answers follow:

- :func:`gaussian_ber` takes D as Gaussian at the realized SINR: exact with one user and a Gaussian (or no) radar
  sequence, since D given the gains is then Gaussian. With several users or discrete radar symbols it is an
  approximation, too high where errors are rare, because bounded interference has no Gaussian tail.
- :func:`average_sinr_ber` does so at the average SINR of Eq. (7). It is exact only if moreover one node serves each
  subcarrier: Eq. (7) averages powers over the unknown phases between nodes, and no received symbol sees that average.
- :func:`conditional_ber` is exact given the gains: it averages over all combinations of the interfering points.

The first two hold for a receiver that knows its gain; :func:`conditional_ber` also takes the one that it estimated.
"""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfc

from disac.designs.precoders import achieved_sinr
from disac.simulator.qam import bits_per_symbol, constellation
from disac.simulator.scenario import Scenario
from disac.simulator.streams import RadarSequence, radar_alphabet

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@cache
def _error_table(order: int) -> tuple[RealArray, RealArray, RealArray]:
    """Levels, edges and weights of BER = sum_i weights[i] P(D > edges[i] - levels[i]) for unit-energy QAM.

    Level p is taken for level q or a higher one with probability P(D > edge_q - level_p). Summing the Hamming distances
    H(p, q) of the labels by parts, that probability weighs H(p, q) - H(p, q - 1) for q > p; errors downwards mirror
    those upwards. The weights are per bit and averaged over the levels sent.
    """
    points = constellation(order)
    row = np.flatnonzero(np.isclose(points.imag, points.imag.min()))
    labels = row[np.argsort(points[row].real)]
    levels = np.sort(points[row].real)
    distance = np.bitwise_count(labels[:, None] ^ labels[None, :]).astype(float)
    sent, decided = np.triu_indices(levels.size, 1)
    weights = 2 * (distance[sent, decided] - distance[sent, decided - 1]) / (levels.size * bits_per_symbol(order) / 2)
    counted = weights != 0
    edges = (levels[decided] + levels[decided - 1]) / 2
    table = levels[sent][counted], edges[counted], weights[counted]
    for column in table:
        column.setflags(write=False)
    return table


@cache
def tail_weights(order: int) -> tuple[float, RealArray]:
    """Half level spacing d of unit-energy QAM and the weights w_k of BER = sum_k w_k P(D > (2k - 1) d).

    Parameters
    ----------
    order : 4, 16, 64 or 256.

    Returns
    -------
    half_spacing : d.
    weights : (sqrt(order) - 1,) read-only.
    """
    n_levels = 2 ** (bits_per_symbol(order) // 2)
    levels, edges, weights = _error_table(order)
    half_spacing = float(np.ptp(constellation(order).real) / (2 * (n_levels - 1)))
    steps = np.rint((edges - levels) / (2 * half_spacing) - 0.5).astype(int)
    sums = np.bincount(steps, weights, minlength=n_levels - 1).astype(float)
    sums.setflags(write=False)
    return half_spacing, sums


def awgn_ber(sinr: ArrayLike, order: int) -> RealArray:
    """Bit error rate under Gaussian disturbance: sum_k w_k Q((2k - 1) d sqrt(2 SINR)), every term kept.

    Parameters
    ----------
    sinr : (...) mean symbol energy over total disturbance power E_s/N_0, linear; 0 and infinity allowed. Uncoded
        E_b/N_0 is E_s/N_0 over log2(order).
    order : 4, 16, 64 or 256.

    Returns
    -------
    (...) bit error rates; 1/2 at zero SINR.

    Raises
    ------
    ValueError : a negative or undefined SINR, an unknown order.
    """
    sinr = np.asarray(sinr, dtype=float)
    if not np.all(sinr >= 0):
        raise ValueError(f"sinr: holds {np.min(sinr)}, every entry must be at least 0 (linear, not dB)")
    half_spacing, weights = tail_weights(order)
    edges = half_spacing * (2 * np.arange(weights.size) + 1)
    rates: RealArray = 0.5 * (erfc(edges * np.sqrt(sinr)[..., None]) @ weights)
    return rates


def realized_sinr(comm: ArrayLike, radar: ArrayLike, noise: float) -> RealArray:
    """SINR |g_uu|^2 / (sum_i |g_ui|^2 + sum_q |g_uq|^2 + noise) of given gains, the phases between nodes included.

    Parameters
    ----------
    comm : (..., U, U, L) gain of the data stream of user i at user u, see :func:`disac.simulator.effective_channels`.
    radar : (..., U, Q, L) gain of radar stream q at user u.
    noise : variance sigma_c^2 / L of one received sample.

    Returns
    -------
    (..., U, L) linear SINR; zero where the direct gain is zero.
    """
    comm_gains, radar_gains = _checked_gains(comm, radar, noise)
    direct, interfering = _split(np.abs(comm_gains) ** 2)
    sinr: RealArray = direct / (interfering.sum(axis=-1) + np.sum(np.abs(radar_gains) ** 2, axis=-2) + noise)
    return sinr


def gaussian_ber(comm: ArrayLike, radar: ArrayLike, noise: float, order: int) -> RealArray:
    """Bit error rate (..., U, L) of Gaussian theory at :func:`realized_sinr`; parameters as there.

    Exact for one user with a Gaussian radar sequence or none, otherwise an approximation to :func:`conditional_ber`.
    """
    return awgn_ber(realized_sinr(comm, radar, noise), order)


def average_sinr_ber(
    scenario: Scenario, comm_precoders: ComplexArray, radar_precoders: ComplexArray, order: int
) -> RealArray:
    """Bit error rate (U, L) of Gaussian theory at the SINR of Eq. (7); parameters as for ``achieved_sinr``.

    Exact for one user, a Gaussian radar sequence or none, and one node on each subcarrier. With several nodes the error
    rate of a trial depends on its phases, and the mean over phases is not the rate at the mean SINR.
    """
    return awgn_ber(achieved_sinr(scenario, comm_precoders, radar_precoders), order)


def conditional_ber(
    comm: ArrayLike,
    radar: ArrayLike,
    noise: float,
    order: int,
    radar_sequence: RadarSequence = "constant-modulus",
    *,
    estimates: ArrayLike | None = None,
) -> RealArray:
    """Exact bit error rate of every user and subcarrier given the gains, averaged over data, radar symbols and noise.

    The receiver divides by its own gain, known or estimated, and decides for the nearest point. The disturbance of one
    axis is

        D = sum_b beta_b eps_b + sigma w,    eps_b = +-1 equally likely, w ~ N(0, 1), all independent:

    2^p equally spaced levels are sums of p independent signs with amplitudes d, 2 d, 4 d, ..., so every interfering
    QAM symbol c s gives the amplitudes 2^j d Re c and 2^j d Im c, and every radar symbol of the QPSK alphabet two. Both
    axes have the same law, as the alphabets are unchanged by a quarter turn. Gaussian radar sequences belong to sigma.
    The rate equals the mean over all sign combinations, without enumerating them and with a *relative* error far below
    1e-9 down to the smallest double; the cost grows as the interference amplitude over the noise deviation.

    With an estimate g_hat the wanted symbol arrives as kappa s, kappa = g / g_hat: Re kappa scales its levels, and
    through Im kappa its other axis joins D.

    Parameters
    ----------
    comm : (..., U, U, L) gain of the data stream of user i at user u: :func:`disac.simulator.effective_channels`, with
        the phases between nodes where they matter.
    radar : (..., U, Q, L) gain of radar stream q at user u; Q may be 0.
    noise : variance sigma_c^2 / L of one received sample, positive.
    order : QAM order of every user, 4, 16, 64 or 256.
    radar_sequence : law of the radar symbols as in :func:`disac.simulator.draw_streams`.
    estimates : (..., U, L) gains that the receivers divide by, independent of the data's noise and interference;
        default the true ones.

    Returns
    -------
    (..., U, L) bit error rates; 1/2 where a receiver's gain is zero; 0 where the rate is below the smallest double.

    Raises
    ------
    ValueError : gains of the wrong shape or not finite, noise that is not positive, an unknown order or law.
    """
    if radar_sequence not in get_args(RadarSequence):
        raise ValueError(f"radar_sequence = {radar_sequence!r}, must be one of {', '.join(get_args(RadarSequence))}")
    comm_gains, radar_gains = _checked_gains(comm, radar, noise)
    half_spacing, weights = tail_weights(order)
    direct, interfering = _split(comm_gains)
    divisor = direct if estimates is None else np.asarray(estimates, dtype=complex)
    if divisor.shape != direct.shape or not np.all(np.isfinite(divisor)):
        raise ValueError(f"estimates: has shape {divisor.shape}, must be finite and of shape {direct.shape}")
    with np.errstate(divide="ignore", invalid="ignore"):
        own = direct / divisor
        data_ratio = interfering / divisor[..., None]
        radar_ratio = np.moveaxis(radar_gains, -2, -1) / divisor[..., None]
        variance = noise / np.abs(divisor) ** 2

    n_signs = bits_per_symbol(order) // 2
    amplitudes = [_sign_amplitudes(data_ratio, half_spacing, n_signs)]
    alphabet = radar_alphabet(radar_sequence)
    if alphabet is None:
        variance = variance + np.sum(np.abs(radar_ratio) ** 2, axis=-1)
    else:
        amplitudes.append(_sign_amplitudes(radar_ratio, tail_weights(alphabet.size)[0], 1))
    if estimates is None:
        thresholds = np.tile(half_spacing * (2 * np.arange(weights.size) + 1), (direct.size, 1))
    else:
        levels, edges, weights = _error_table(order)
        thresholds = edges - own.real.reshape(-1, 1) * levels
        amplitudes.append(np.abs(own.imag)[..., None] * (half_spacing * 2.0 ** np.arange(n_signs)))
    signs = np.concatenate(amplitudes, axis=-1).reshape(direct.size, -1)
    rates = np.empty(direct.size)
    _tilted_tails(signs, np.sqrt(variance / 2).ravel(), thresholds, weights, np.empty(signs.shape[1]), rates)
    return rates.reshape(direct.shape)


def _checked_gains(comm: ArrayLike, radar: ArrayLike, noise: float) -> tuple[ComplexArray, ComplexArray]:
    comm, radar = np.asarray(comm, dtype=complex), np.asarray(radar, dtype=complex)
    if comm.ndim < 3 or comm.shape[-3] != comm.shape[-2]:
        raise ValueError(f"comm: has shape {comm.shape}, must have shape (..., U, U, L)")
    expected = (*comm.shape[:-2], comm.shape[-1])
    if radar.ndim != comm.ndim or (*radar.shape[:-2], radar.shape[-1]) != expected:
        raise ValueError(f"radar: has shape {radar.shape}, must have shape (..., U, Q, L) to go with comm {comm.shape}")
    if not (np.all(np.isfinite(comm)) and np.all(np.isfinite(radar))):
        raise ValueError("comm and radar must be finite")
    if not 0 < noise < np.inf:
        raise ValueError(f"noise = {noise}, must be positive and finite")
    return comm, radar


def _split(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Direct entries (..., U, L) of (..., U, I, L) and the interfering ones (..., U, L, U - 1)."""
    n_users = values.shape[-3]
    user = np.arange(n_users)
    others = np.array([[i for i in range(n_users) if i != u] for u in range(n_users)], dtype=int).reshape(n_users, -1)
    direct = values[..., user, user, :]
    interfering = np.moveaxis(values[..., user[:, None], others, :], -2, -1)
    return direct, interfering


def _sign_amplitudes(gains: ComplexArray, half_spacing: float, n_signs: int) -> RealArray:
    """Amplitudes (..., 2 C n_signs) of independent signs whose sum is the real part of gains (..., C) times symbols."""
    axes = np.abs(np.concatenate([gains.real, gains.imag], axis=-1))
    amplitudes: RealArray = (axes[..., None] * (half_spacing * 2.0 ** np.arange(n_signs))).reshape(*axes.shape[:-1], -1)
    return amplitudes


@njit(cache=True, nogil=True)
def _tilted_tails(amplitudes, deviations, thresholds, weights, tanhs, rates):  # type: ignore[no-untyped-def]
    """rates[e] = sum_k weights[k] P(D > thresholds[e, k]) of D = sum_b amplitudes[e, b] eps_b + deviations[e] w.

    With the moment generating function M(s) = exp(s^2 sigma^2 / 2) prod_b cosh(beta_b s) the tail is the integral

        P(D > x) = 1 / (2 pi j) int M(s) exp(-s x) / s ds    along Re s = c > 0,

    taken by the trapezoidal rule with step 2 pi / P; for x < 0 it is 1 - P(D > -x). At the saddle point of the smallest
    |x|, K'(c) = x with K = log M, the integrand does not oscillate where it is large, and rounding is relative to the
    tail. Larger thresholds share the path at no larger error.

    Discretization adds sum_{k != 0} exp(c k P) P(D > x + k P). As 0 < K'' <= v, the total variance, Chernoff's bound
    gives its size relative to M(c) exp(-c x): exp(-P^2 / 2 v) for k > 0, and for k < 0 the same where c >= P / v,
    otherwise exp(c^2 v / 2 - c P). Truncation at |Im s| = w drops at most exp(-w^2 sigma^2 / 2), because
    |cosh s| <= cosh(Re s). ``excess`` allows for the log of M(c) exp(-c x) over the tail, as the saddle point
    approximation gives it. Where the saddle is nearer to the pole at 0 than 2 / sqrt(v) (error rates near 1/2), that c
    is taken, and P grows by the largest K'(c) - x.

    ``tanhs`` is work space of one row of amplitudes, for cosh(beta s) = cosh(beta c) [cos(beta w) + j tanh(beta c)
    sin(beta w)] at s = c + j w.
    """
    digits = 34.0
    n_signs, n_thresholds = amplitudes.shape[1], weights.size
    for e in range(rates.size):
        sigma = deviations[e]
        variance = sigma * sigma
        for b in range(n_signs):
            variance += amplitudes[e, b] ** 2
        if not np.isfinite(variance):
            rates[e] = 0.5
            continue

        nearest = np.inf
        certain = 0.0
        for k in range(n_thresholds):
            nearest = min(nearest, abs(thresholds[e, k]))
            if thresholds[e, k] < 0.0:
                certain += weights[k]

        tilt = nearest / variance
        for _ in range(200):
            slope, curvature = tilt * sigma * sigma, sigma * sigma
            for b in range(n_signs):
                beta = amplitudes[e, b]
                tanh = np.tanh(beta * tilt)
                slope += beta * tanh
                curvature += beta * beta * (1.0 - tanh * tanh)
            step = (nearest - slope) / curvature
            tilt += step
            if abs(step) <= 1e-10 * tilt:
                break
        overshoot = 0.0
        if tilt * np.sqrt(variance) < 2.0:
            tilt = 2.0 / np.sqrt(variance)
            overshoot = 2.0 * np.sqrt(variance)

        log_scale = 0.5 * (tilt * sigma) ** 2 - tilt * nearest
        for b in range(n_signs):
            beta = amplitudes[e, b]
            tanhs[b] = np.tanh(beta * tilt)
            log_scale += beta * tilt + np.log1p(np.exp(-2.0 * beta * tilt)) - np.log(2.0)

        excess = np.log(1.0 + tilt * np.sqrt(2.0 * np.pi * variance)) + 2.0
        decay = digits + excess
        period = np.sqrt(2.0 * variance * decay)
        if tilt * variance < period:
            period = decay / tilt + 0.5 * tilt * variance
        spacing = 2.0 * np.pi / (period + overshoot)
        n_terms = int(np.ceil(np.sqrt(2.0 * decay) / (sigma * spacing)))

        total = 0.0
        for n in range(n_terms + 1):
            omega = n * spacing
            s = complex(tilt, omega)
            value = np.exp(complex(-0.5 * (sigma * omega) ** 2, omega * (tilt * sigma * sigma - nearest))) / s
            for b in range(n_signs):
                angle = amplitudes[e, b] * omega
                value *= complex(np.cos(angle), tanhs[b] * np.sin(angle))
            tails = complex(0.0, 0.0)
            for k in range(n_thresholds):
                x = thresholds[e, k]
                tails += (weights[k] if x >= 0.0 else -weights[k]) * np.exp(-s * (abs(x) - nearest))
            total += (0.5 if n == 0 else 1.0) * (value * tails).real
        rates[e] = certain + total * spacing / np.pi * np.exp(log_scale)
