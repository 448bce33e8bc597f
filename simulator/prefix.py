"""Whether a path fits the cyclic prefix, and what one that does not costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from disac.simulator.checks import check_integer, check_real

INSTANT = 1e-9
"""Two instants nearer than this are one [samples]: rounding must not push a delay of the prefix's length beyond it."""


def whole_samples(delay: float) -> int:
    """Smallest whole number of samples that is not less than a delay [samples], within :data:`INSTANT`."""
    return int(np.ceil(delay - INSTANT))


@dataclass(frozen=True)
class PrefixLoss:
    """Mean power on a subcarrier, over that sent, when all subcarriers carry independent symbols of equal power.

    Attributes
    ----------
    useful : what Eq. (5) still describes, scaled by the square of its remaining amplitude.
    intercarrier : leakage of the other subcarriers of the same symbol.
    intersymbol : what belongs to earlier symbols.
    """

    useful: float
    intercarrier: float
    intersymbol: float


def prefix_loss(delay_s: float, n_subcarriers: int, n_cyclic_prefix: int, bandwidth_hz: float) -> PrefixLoss:
    """What a path of this delay keeps of Eq. (5), and what it adds, after prefix removal and FFT.

    Of the L samples of the window the first n = ceil(tau B - N_cp), 0 <= n <= L, still belong to earlier symbols. For
    delays of up to N_cp + L samples, symbol t is therefore received as

        Y[t] = (I - G) D(tau) X[t] + G D(tau - N_cp / B) X[t - 1],   G_{l,p} = (1/L) sum_{i<n} e^{j 2 pi (p - l) i / L},

    with D the diagonal delay matrix of Eq. (5). As G has diagonal n / L and rows of squared norm n / L, the powers are
    (1 - n/L)^2, (n/L) (1 - n/L) and n/L, and the mean squared departure from Eq. (5) is 2 n / L.

    Examples
    --------
    >>> from disac.simulator import prefix_loss
    >>> prefix_loss(delay_s=0.7e-6, n_subcarriers=16, n_cyclic_prefix=4, bandwidth_hz=10e6)
    PrefixLoss(useful=0.66015625, intercarrier=0.15234375, intersymbol=0.1875)

    Raises
    ------
    ValueError : a value is out of range: a negative delay, for example.
    """
    check_real("delay_s", delay_s, 0, unit="s")
    check_integer("n_subcarriers", n_subcarriers, 1)
    check_integer("n_cyclic_prefix", n_cyclic_prefix, 0)
    check_real("bandwidth_hz", bandwidth_hz, 0, above=True, unit="Hz")
    late = min(max(whole_samples(delay_s * bandwidth_hz - n_cyclic_prefix), 0), n_subcarriers) / n_subcarriers
    return PrefixLoss(useful=(1 - late) ** 2, intercarrier=late * (1 - late), intersymbol=late)
