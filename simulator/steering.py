"""Steering and delay vectors of Eq. (5) and their derivatives."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ComplexArray = NDArray[np.complex128]


def steering_vector(angle: ArrayLike, n_antennas: int) -> ComplexArray:
    """Steering vector a(theta) of a half-wavelength uniform linear array, element m = exp(+j pi m sin theta).

    Parameters
    ----------
    angle : (...) angles off broadside [rad].
    n_antennas : number of elements M.

    Returns
    -------
    (..., M) steering vectors; element 0 is the phase reference.
    """
    phase = np.pi * np.sin(np.asarray(angle, dtype=float))
    vectors: ComplexArray = np.exp(1j * phase[..., None] * np.arange(n_antennas))
    return vectors


def steering_derivative(angle: ArrayLike, n_antennas: int) -> ComplexArray:
    """Derivative da/dtheta of :func:`steering_vector` [1/rad], shape (..., M)."""
    angle = np.asarray(angle, dtype=float)
    slope = np.pi * np.cos(angle)[..., None] * np.arange(n_antennas)
    derivative: ComplexArray = 1j * slope * steering_vector(angle, n_antennas)
    return derivative


def subcarrier_frequencies(n_subcarriers: int, bandwidth_hz: float) -> NDArray[np.float64]:
    """Baseband frequencies l B / L of the subcarriers, l = 0 first [Hz], shape (L,)."""
    frequencies: NDArray[np.float64] = np.arange(n_subcarriers, dtype=float) * (bandwidth_hz / n_subcarriers)
    return frequencies


def delay_vector(delay_s: ArrayLike, n_subcarriers: int, bandwidth_hz: float) -> ComplexArray:
    """Delay vector d(tau), subcarrier l = exp(-j 2 pi (B/L) l tau), shape (..., L)."""
    phase = (
        2 * np.pi * np.asarray(delay_s, dtype=float)[..., None] * subcarrier_frequencies(n_subcarriers, bandwidth_hz)
    )
    vectors: ComplexArray = np.exp(-1j * phase)
    return vectors
