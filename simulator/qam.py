"""Square QAM with the Gray labels of 3GPP TS 38.211, Sections 5.1.3 to 5.1.6: modulation and hard decisions.

The bits b(0), b(2), ... of a label fix the in-phase level and b(1), b(3), ... the quadrature level, so that a
nearest-point decision is two independent decisions between equally spaced levels, whatever the order.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from disac.simulator.checks import check_bits, check_integer, check_numbers

BitArray = NDArray[np.uint8]
ComplexArray = NDArray[np.complex128]

QAM_ORDERS = (4, 16, 64, 256)
"""Constellation sizes with a Gray table."""


def bits_per_symbol(order: int) -> int:
    """Bits carried by one symbol, log2 of the order.

    Raises
    ------
    ValueError : the order is not 4, 16, 64 or 256.
    """
    if check_integer("order", order) not in QAM_ORDERS:
        raise ValueError(
            f"order = {order!r}: must be one of {', '.join(map(str, QAM_ORDERS))} (QPSK, 16-, 64- or 256-QAM)"
        )
    return int(order).bit_length() - 1


@cache
def _levels(order: int) -> NDArray[np.float64]:
    """Amplitude on one axis of each half label, first bit most significant: (1-2b)[4-(1-2b')[2-(1-2b'')]], scaled."""
    n_bits = bits_per_symbol(order) // 2
    labels = np.arange(2**n_bits)
    level = np.ones(2**n_bits)
    for position in range(n_bits):
        sign = 1 - 2 * ((labels >> position) & 1)
        level = sign * (level if position == 0 else 2**position - level)
    scaled: NDArray[np.float64] = level / np.sqrt(2 * (order - 1) / 3)
    scaled.setflags(write=False)
    return scaled


def constellation(order: int) -> ComplexArray:
    """Points of unit mean energy indexed by label.

    Parameters
    ----------
    order : number of points, 4, 16, 64 or 256.

    Returns
    -------
    (order,) complex points, read-only. Index ``sum_i b(i) 2^(n-1-i)`` holds the point of the bits b(0) ... b(n-1).

    Raises
    ------
    ValueError : unknown order.
    """
    return _points(2 ** bits_per_symbol(order))


@cache
def _points(order: int) -> ComplexArray:
    n_bits = bits_per_symbol(order)
    labels = np.arange(order)
    in_phase, quadrature = np.zeros_like(labels), np.zeros_like(labels)
    for i in range(0, n_bits, 2):
        in_phase = 2 * in_phase + ((labels >> (n_bits - 1 - i)) & 1)
        quadrature = 2 * quadrature + ((labels >> (n_bits - 2 - i)) & 1)
    points: ComplexArray = _levels(order)[in_phase] + 1j * _levels(order)[quadrature]
    points.setflags(write=False)
    return points


@cache
def _decision_table(order: int) -> tuple[float, BitArray]:
    """Spacing of the levels, and the half label of each level counted from the lowest."""
    levels = _levels(order)
    table = np.argsort(levels).astype(np.uint8)
    return float(np.ptp(levels) / (len(levels) - 1)), table


def modulate(bits: BitArray, order: int) -> ComplexArray:
    """Symbols that carry the bits.

    Parameters
    ----------
    bits : (..., S b) array of 0 and 1, b bits for each of S symbols, b(0) of 38.211 first.
    order : number of points, 4, 16, 64 or 256.

    Returns
    -------
    (..., S) complex symbols.

    Raises
    ------
    ValueError : unknown order, a bit that is not 0 or 1, or a last axis that does not hold whole symbols.

    Examples
    --------
    >>> import numpy as np
    >>> from disac.simulator import demodulate, modulate
    >>> symbols = modulate(np.array([0, 0, 0, 0, 1, 0, 1, 1], dtype=np.uint8), 16)
    >>> (symbols * np.sqrt(10)).round(12)
    array([ 1.+1.j, -3.+3.j])
    >>> demodulate(symbols + 0.1, 16)
    array([0, 0, 0, 0, 1, 0, 1, 1], dtype=uint8)
    """
    n_bits = bits_per_symbol(order)
    bits = check_bits("bits", bits)
    if bits.ndim == 0 or bits.shape[-1] % n_bits:
        raise ValueError(f"bits: has shape {bits.shape}, the last axis must be a multiple of {n_bits} for {order}-QAM")
    symbols = np.empty((*bits.shape[:-1], bits.shape[-1] // n_bits), dtype=np.complex128)
    _map_bits(bits.reshape(-1), n_bits, constellation(order), symbols.reshape(-1))
    return symbols


def demodulate(symbols: NDArray[np.complexfloating[Any, Any]], order: int) -> BitArray:
    """Bits of the nearest constellation point, by rounding each axis to its nearest level.

    Parameters
    ----------
    symbols : (..., S) complex observations of unit-gain symbols.
    order : number of points, 4, 16, 64 or 256.

    Returns
    -------
    (..., S b) bits as uint8, in the order that :func:`modulate` takes.

    Raises
    ------
    ValueError : unknown order, or an observation that is not a finite number.
    """
    n_bits = bits_per_symbol(order)
    symbols = np.atleast_1d(np.ascontiguousarray(check_numbers("symbols", symbols)))
    spacing, table = _decision_table(order)
    bits = np.empty((*symbols.shape[:-1], symbols.shape[-1] * n_bits), dtype=np.uint8)
    _slice_axes(symbols.reshape(-1), n_bits, spacing, table, bits.reshape(-1))
    return bits


@njit(cache=True, nogil=True)
def _map_bits(bits, n_bits, points, symbols):  # type: ignore[no-untyped-def]
    for s in range(symbols.size):
        label = 0
        for i in range(s * n_bits, (s + 1) * n_bits):
            label = 2 * label + bits[i]
        symbols[s] = points[label]


@njit(cache=True, nogil=True)
def _slice_axes(symbols, n_bits, spacing, table, bits):  # type: ignore[no-untyped-def]
    half, scale = n_bits // 2, 1 / spacing
    for s in range(symbols.size):
        in_phase = table[_nearest_level(symbols[s].real * scale, table.size)]
        quadrature = table[_nearest_level(symbols[s].imag * scale, table.size)]
        for i in range(half):
            shift = half - 1 - i
            bits[s * n_bits + 2 * i] = (in_phase >> shift) & 1
            bits[s * n_bits + 2 * i + 1] = (quadrature >> shift) & 1


@njit(cache=True, nogil=True)
def _nearest_level(value, n_levels):  # type: ignore[no-untyped-def]
    """Index of the nearest of n levels at unit spacing about zero; NaN gives 0."""
    index = value + 0.5 * n_levels
    if not index > 0:
        return 0
    return int(index) if index < n_levels else n_levels - 1
