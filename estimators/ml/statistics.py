"""Sufficient statistics of one trial for every position likelihood: the cost of a candidate does not grow with T."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.simulator.checks import check_numbers

ComplexArray = NDArray[np.complex128]
AnyComplexArray = NDArray[np.complexfloating[Any, Any]]


SMALLEST, LARGEST = 1e-140, 1e140
"""Range of the largest sample: squares of such samples, and sums of them, are floating-point numbers."""


@dataclass(frozen=True)
class Statistics:
    """What the likelihood of Eq. (6) needs to know about one trial.

    With x_l[t] the transmit vectors stacked over nodes, the white-noise likelihood depends on the received signal only
    through these sums over the T symbols.

    Attributes
    ----------
    cross : (N, L, M_r, N, M_t) sums of y_{n,l}[t] x_l[t]^H, axes receiver, subcarrier, receive antenna, transmitter,
        transmit antenna.
    gram : (L, N, M_t, N, M_t) sums of x_l[t] x_l[t]^H.
    energy : sum of |y|^2 over all samples.
    n_samples : number N M_r L T of received samples.
    """

    cross: ComplexArray
    gram: ComplexArray
    energy: float
    n_samples: int


def sufficient_statistics(X: AnyComplexArray, Y: AnyComplexArray) -> Statistics:
    """Statistics of the trial with transmit symbols ``X`` and received samples ``Y``.

    Parameters
    ----------
    X : (N, M_t, L, T) transmit symbols.
    Y : (N, M_r, L, T) received samples of Eq. (6).

    Raises
    ------
    ValueError : an array is not four-dimensional, the two disagree in N, L or T, a value is not finite, or all are so
        small or some so large that their squares are no numbers any more.
    """
    X, Y = check_numbers("X", X), check_numbers("Y", Y)
    for name, array in (("X", X), ("Y", Y)):
        if array.ndim != 4:
            raise ValueError(
                f"{name}: has shape {array.shape}, must have 4 axes (nodes, antennas, subcarriers, symbols)"
            )
    n_nodes, n_tx, n_subcarriers, n_symbols = X.shape
    n_rx = Y.shape[1]
    if Y.shape != (n_nodes, n_rx, n_subcarriers, n_symbols):
        raise ValueError(
            f"Y: has shape {Y.shape}, must have shape {(n_nodes, 'M_r', n_subcarriers, n_symbols)} to go with X"
        )
    for name, array in (("X", X), ("Y", Y)):
        largest = max(float(np.abs(part).max(initial=0.0)) for part in (array.real, array.imag))
        if largest and not SMALLEST <= largest <= LARGEST:
            raise ValueError(
                f"{name}: its largest part is {largest:.3g}, must be 0 or within [{SMALLEST:g}, {LARGEST:g}], so that "
                "squares of samples can be told"
            )
    sent = X.transpose(2, 0, 1, 3).reshape(n_subcarriers, n_nodes * n_tx, n_symbols).astype(complex, copy=False)
    received = Y.transpose(2, 0, 1, 3).reshape(n_subcarriers, n_nodes * n_rx, n_symbols).astype(complex, copy=False)
    adjoint = np.ascontiguousarray(sent.conj().swapaxes(1, 2))
    cross = (received @ adjoint).reshape(n_subcarriers, n_nodes, n_rx, n_nodes, n_tx).swapaxes(0, 1)
    gram = (sent @ adjoint).reshape(n_subcarriers, n_nodes, n_tx, n_nodes, n_tx)
    energy = float(np.vdot(received, received).real)
    return Statistics(np.ascontiguousarray(cross), np.ascontiguousarray(gram), energy, Y.size)
