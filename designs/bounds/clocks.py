"""What clock offsets cost: their prior, and the bias of an estimator that ignores them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from disac.designs.bounds.fisher import FisherOperator, check_covariances
from disac.designs.bounds.information import ComplexArray, RealArray
from disac.simulator import Scenario
from disac.simulator.clocks import check_clock_offsets


def check_clock_std(clock_std_s: float) -> float:
    """The standard deviation of every node's clock offset.

    Parameters
    ----------
    clock_std_s : float
        Standard deviation [s]; infinite where nothing is known of the offsets.

    Raises
    ------
    ValueError
        It is negative or no number.
    """
    is_number = isinstance(clock_std_s, int | float | np.number) and not isinstance(clock_std_s, bool)
    if not (is_number and clock_std_s >= 0):
        raise ValueError(f"clock_std_s = {clock_std_s!r}: must be at least 0 s, or infinite for free clocks")
    return float(clock_std_s)


def clock_prior(n_nodes: int, clock_std_s: float) -> RealArray:
    """Prior information on the offsets of nodes 1 to N - 1 relative to node 0.

    Offsets are independent with the same standard deviation, so their differences to node 0 have the covariance
    sigma^2 (I + 1 1^T).

    Parameters
    ----------
    n_nodes : int
        Number of nodes N.
    clock_std_s : float
        Standard deviation sigma > 0 of each node's offset [s]; infinite for none.

    Returns
    -------
    ndarray, shape (N - 1, N - 1)
        Inverse of that covariance [1/s^2].

    Examples
    --------
    >>> from disac.designs.bounds.clocks import clock_prior
    >>> clock_prior(2, 1e-9)
    array([[5.e+17]])
    """
    size = n_nodes - 1
    if math.isinf(clock_std_s):
        return np.zeros((size, size))
    information: RealArray = (np.eye(size) - 1.0 / n_nodes) / clock_std_s**2
    return information


def clock_bias(
    scenario: Scenario, covariances: ComplexArray, clock_offsets_s: ArrayLike, mode: str = "hybrid"
) -> RealArray:
    """Position bias, to first order, of maximum likelihood that takes all clocks as one.

    The bias of all parameters psi is F_psipsi^{-1} F_psidelta delta; the noise does not matter.

    Parameters
    ----------
    scenario : Scenario
        The truth.
    covariances : ndarray, shape (L, N M_t, N M_t)
        Covariances R[l, i, j] of the signals.
    clock_offsets_s : array_like, shape (N,)
        True offsets [s]; one that all nodes share changes nothing.
    mode : str
        What is estimated, as in :class:`~disac.designs.FisherOperator`.

    Returns
    -------
    ndarray, shape (2K,)
        Mean error of x_1..x_K, y_1..y_K [m].

    Raises
    ------
    ValueError
        Wrong shape or value.

    Examples
    --------
    >>> import numpy as np
    >>> from disac.designs import clock_bias
    >>> from disac.simulator import Scenario
    >>> scene = Scenario.preset("fig7")
    >>> R = np.broadcast_to(np.eye(24), (16, 24, 24)) / 16
    >>> clock_bias(scene, R, [1e-9] * 4).round(12)
    array([0., 0.])
    """
    check_covariances(scenario, covariances)
    offsets = check_clock_offsets(clock_offsets_s, scenario.n_nodes)
    information = FisherOperator(scenario, mode, clocks=True).apply(covariances)
    n_own = len(information) - (scenario.n_nodes - 1)
    own, drive = information[:n_own, :n_own], information[:n_own, n_own:] @ (offsets[1:] - offsets[0])
    diagonal = np.diag(own)
    scale = np.where(diagonal > 0, diagonal, 1.0) ** -0.5
    normalized = own * scale[:, None] * scale
    solution, *_ = np.linalg.lstsq(normalized, scale * drive, rcond=None)
    bias: RealArray = (scale * solution)[: 2 * scenario.n_targets]
    return bias
