"""The user receiver: pilots and channel estimate, one-tap equalizer, hard Gray decisions and bit errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.simulator.checks import check_bits, check_integer, check_numbers
from disac.simulator.qam import BitArray, bits_per_symbol, demodulate

AnyComplexArray = NDArray[np.complexfloating[Any, Any]]
ComplexArray = NDArray[np.complex128]


def detect(y: AnyComplexArray, gains: AnyComplexArray, order: int) -> BitArray:
    """Bits of every user by one-tap equalization y / g and the nearest constellation point.

    That is the maximum-likelihood decision in Gaussian noise for a known gain; other users and radar streams are taken
    as noise.

    Parameters
    ----------
    y : (..., U, L, T) received samples of Eq. (4).
    gains : (..., U, L) effective scalar gain of each user's own stream, known (the direct entries of
        :func:`disac.simulator.effective_channels`) or from :func:`estimate_gains`. Leading axes broadcast with those
        of y. Where a gain is zero nothing is received: the observation counts as 0 and its bits are guesses, wrong in
        half of the cases.
    order : QAM order, 4, 16, 64 or 256.

    Returns
    -------
    (..., U, L, T, b) bits, in the order that ``Streams.bits`` has.

    Raises
    ------
    ValueError : shapes that do not match, samples or gains that are not finite, an unknown order.
    """
    n_bits = bits_per_symbol(order)
    y, gains = check_numbers("y", y), check_numbers("gains", gains)
    if y.ndim < 3:
        raise ValueError(f"y: has shape {y.shape}, must have shape (..., U, L, T)")
    if gains.ndim < 2 or gains.shape[-2:] != y.shape[-3:-1]:
        raise ValueError(
            f"gains: has shape {gains.shape}, must have shape (..., U, L) = (..., {y.shape[-3]}, {y.shape[-2]})"
        )
    heard = gains != 0
    inverse = np.where(heard, 1 / np.where(heard, gains, 1), 0).astype(np.result_type(y.dtype, np.complex64))
    symbols = y * inverse[..., None]
    return demodulate(symbols, order).reshape(*symbols.shape, n_bits)


def count_bit_errors(detected: BitArray, sent: BitArray) -> NDArray[np.int64]:
    """Wrong bits of each user.

    Parameters
    ----------
    detected, sent : (..., U, L, T, b) bits of the same shape.

    Returns
    -------
    (..., U) counts. The bits of one user are not independent: neighbours share a symbol, its interference, and the
    phases of the trial.

    Raises
    ------
    ValueError : shapes that differ or lack an axis, values other than 0 and 1.
    """
    detected, sent = check_bits("detected", detected), check_bits("sent", sent)
    if detected.shape != sent.shape or detected.ndim < 4:
        raise ValueError(f"detected has shape {detected.shape}, sent {sent.shape}: both must be (..., U, L, T, b)")
    counts: NDArray[np.int64] = np.sum(detected != sent, axis=(-3, -2, -1), dtype=np.int64)
    return counts


def pilot_symbols(n_users: int, n_subcarriers: int, n_pilots: int) -> ComplexArray:
    """Orthogonal unit-modulus pilots of all users over ``n_pilots`` OFDM symbols: the first rows of the DFT matrix.

    Parameters
    ----------
    n_users : users U.
    n_subcarriers : subcarriers L; each carries the same pilots.
    n_pilots : OFDM symbols P spent on pilots, at least U: fewer leave the users' pilots correlated, and every estimate
        then holds the other users' channels whatever the noise.

    Returns
    -------
    (U, L, P) symbols e^{-j 2 pi u t / P}, sent in place of the data symbols with the same precoders.

    Raises
    ------
    ValueError : n_pilots below max(1, U).
    """
    check_integer("n_users", n_users, 0)
    check_integer("n_subcarriers", n_subcarriers, 1)
    if check_integer("n_pilots", n_pilots, 0) < max(1, n_users):
        raise ValueError(f"n_pilots = {n_pilots}: must be at least {max(1, n_users)} for orthogonal pilots")
    rows = np.exp(-2j * np.pi * np.outer(np.arange(n_users), np.arange(n_pilots)) / n_pilots)
    return np.repeat(rows[:, None, :], n_subcarriers, axis=1)


def estimate_gains(y_pilots: AnyComplexArray, pilots: AnyComplexArray) -> AnyComplexArray:
    """Least-squares gain of each user's own stream, sum_t y[t] p_u*[t] / sum_t |p_u[t]|^2 on every subcarrier.

    With the pilots of :func:`pilot_symbols` the other users drop out, and the estimate is unbiased with variance
    (sigma_c^2 / L + radar power at the user) / P.

    Parameters
    ----------
    y_pilots : (..., U, L, P) samples received during the pilots.
    pilots : (U, L, P) pilot symbols of each user.

    Returns
    -------
    (..., U, L) estimated gains.

    Raises
    ------
    ValueError : shapes that do not match, or pilots that are all zero.
    """
    y_pilots, pilots = check_numbers("y_pilots", y_pilots), check_numbers("pilots", pilots)
    if pilots.ndim != 3 or y_pilots.shape[-3:] != pilots.shape:
        raise ValueError(
            f"y_pilots has shape {y_pilots.shape}, pilots {pilots.shape}: must have shapes (..., U, L, P) and (U, L, P)"
        )
    energy = np.sum(np.abs(pilots) ** 2, axis=-1, keepdims=True)
    if np.any(energy == 0):
        raise ValueError("pilots: a user has only zeros on a subcarrier")
    matched = (pilots.conj() / energy).astype(np.result_type(y_pilots.dtype, np.complex64))
    gains: AnyComplexArray = np.einsum("...ulp,ulp->...ul", y_pilots, matched)
    return gains
