"""Clock offsets of the nodes: what a common time that is not quite common does to every link."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disac.simulator.steering import delay_vector

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


def check_clock_offsets(offsets_s: ArrayLike, n_nodes: int) -> RealArray:
    """Clock offsets as an array.

    Parameters
    ----------
    offsets_s : array_like, shape (N,)
        Offset delta_n of each node's clock [s].
    n_nodes : int
        Number of nodes N.

    Returns
    -------
    ndarray, shape (N,)

    Raises
    ------
    ValueError
        Wrong shape, or an offset that is not a finite number.
    """
    try:
        offsets = np.asarray(offsets_s, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"clock_offsets_s = {offsets_s!r}: must be {n_nodes} numbers, one per node [s]") from None
    if offsets.shape != (n_nodes,):
        raise ValueError(f"clock_offsets_s: has shape {offsets.shape}, must have shape ({n_nodes},), one per node [s]")
    if not np.all(np.isfinite(offsets)):
        raise ValueError(f"clock_offsets_s = {offsets.tolist()}: every offset must be finite [s]")
    return offsets


def late_start(
    X: NDArray[np.complexfloating], offsets_s: ArrayLike, bandwidth_hz: float
) -> NDArray[np.complexfloating]:
    """Transmit symbols as receivers in common time see them, X[n, m_t, l, t] e^{+j 2 pi (B/L) l delta_n}.

    A node whose clock is late by delta_n counts delays from a later origin: its own reception turns by
    e^{-j 2 pi (B/L) l delta_n} (:func:`late_clock`) and its transmission by the inverse, so that the delay of the link
    from m to n is tau_n + tau_m + delta_n - delta_m and monostatic links do not change.

    Parameters
    ----------
    X : ndarray, shape (..., N, M_t, L, T)
        Transmit symbols.
    offsets_s : array_like, shape (N,)
        Clock offsets delta_n [s].
    bandwidth_hz : float
        Bandwidth B [Hz].

    Returns
    -------
    ndarray, shape of X
        Turned symbols, of the precision of X.
    """
    turns = late_clock(offsets_s, X.shape[-4], X.shape[-2], bandwidth_hz).conj()
    return np.ascontiguousarray(X * turns[:, None, :, None].astype(X.dtype))


def late_clock(offsets_s: ArrayLike, n_nodes: int, n_subcarriers: int, bandwidth_hz: float) -> ComplexArray:
    """Factors e^{-j 2 pi (B/L) l delta_n} of each node's receptions.

    Parameters
    ----------
    offsets_s : array_like, shape (N,)
        Clock offsets delta_n [s].
    n_nodes, n_subcarriers : int
        N and L.
    bandwidth_hz : float
        Bandwidth B [Hz].

    Returns
    -------
    ndarray, shape (N, L)

    Examples
    --------
    >>> from disac.simulator.clocks import late_clock
    >>> late_clock([0.0, 25e-9], n_nodes=2, n_subcarriers=4, bandwidth_hz=10e6)[1].round(3)
    array([ 1.   +0.j   ,  0.924-0.383j,  0.707-0.707j,  0.383-0.924j])
    """
    return delay_vector(check_clock_offsets(offsets_s, n_nodes), n_subcarriers, bandwidth_hz)
