"""Tapped-delay-line user channels TDL-A and TDL-D of 3GPP TR 38.901, table 7.7.2, beside independent subcarriers.

A path of delay tau turns what arrives on frequency f by exp(-j 2 pi f tau), as everywhere in the package. The users
receive y = h^H x, so h itself holds the conjugate, exp(+j 2 pi f tau).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disac.simulator.steering import steering_vector

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class DelayProfile:
    """Taps of a channel with unit mean gain.

    Attributes
    ----------
    delays : delays in units of the delay spread.
    powers_db : mean powers [dB], normalized to sum 1 when used.
    specular : whether the first tap is a path of constant modulus; the others are Rayleigh.
    """

    delays: tuple[float, ...]
    powers_db: tuple[float, ...]
    specular: bool

    @property
    def powers(self) -> RealArray:
        """Mean powers, of sum 1."""
        linear = 10 ** (np.array(self.powers_db) / 10)
        return np.asarray(linear / linear.sum())

    @property
    def rms_delay(self) -> float:
        """Root mean square delay spread in units of the nominal one."""
        delays = np.array(self.delays)
        mean = float(self.powers @ delays)
        return float(np.sqrt(self.powers @ (delays - mean) ** 2))

    def frequency_correlation(self, offset: float) -> complex:
        """E[h(f + df) h*(f)] at ``offset`` = df times the delay spread."""
        return complex(self.powers @ np.exp(2j * np.pi * offset * np.array(self.delays)))

    def share_later_than(self, delay: float) -> float:
        """Share of the mean power that arrives later than ``delay``, in units of the delay spread.

        Examples
        --------
        >>> from disac.simulator.tdl import PROFILES
        >>> round(PROFILES["tdl-a"].share_later_than(2.0), 4)
        0.1168
        """
        return float(self.powers[np.array(self.delays) > delay].sum())

    def draw(
        self, rng: np.random.Generator, angles: RealArray, frequencies: RealArray, n_antennas: int
    ) -> ComplexArray:
        """Frequency responses h with y = h^H x.

        Parameters
        ----------
        angles : (N, U) directions of the users off the nodes' broadside [rad], of the specular path.
        frequencies : (L,) subcarrier frequencies times the delay spread.
        n_antennas : M_t; the Rayleigh taps are independent between antennas.

        Returns
        -------
        (N, U, L, M_t).
        """
        pairs = rng.standard_normal((*angles.shape, len(self.delays), n_antennas, 2)) / np.sqrt(2)
        taps = pairs[..., 0] + 1j * pairs[..., 1]
        if self.specular:
            phases = np.exp(2j * np.pi * rng.random(angles.shape))
            taps[:, :, 0] = phases[..., None] * steering_vector(angles, n_antennas).conj()
        turns = np.exp(2j * np.pi * np.outer(frequencies, self.delays)) * np.sqrt(self.powers)
        response: ComplexArray = np.einsum("lp,nupm->nulm", turns, taps)
        return response


PROFILES = {
    "tdl-a": DelayProfile(
        delays=(
            *(0.0, 0.3819, 0.4025, 0.5868, 0.4610, 0.5375, 0.6708, 0.5750, 0.7618, 1.5375, 1.8978, 2.2242, 2.1718),
            *(2.4942, 2.5119, 3.0582, 4.0810, 4.4579, 4.5695, 4.7966, 5.0066, 5.3043, 9.6586),
        ),
        powers_db=(
            *(-13.4, 0.0, -2.2, -4.0, -6.0, -8.2, -9.9, -10.5, -7.5, -15.9, -6.6, -16.7, -12.4),
            *(-15.2, -10.8, -11.3, -12.7, -16.2, -18.3, -18.9, -16.6, -19.9, -29.7),
        ),
        specular=False,
    ),
    "tdl-d": DelayProfile(
        delays=(0.0, 0.0, 0.035, 0.612, 1.363, 1.405, 1.804, 2.596, 1.775, 4.042, 7.937, 9.424, 9.708, 12.525),
        powers_db=(-0.2, -13.5, -18.8, -21.0, -22.8, -17.9, -20.1, -21.9, -22.9, -27.8, -23.6, -24.8, -30.0, -27.7),
        specular=True,
    ),
}
"""Delay profiles by name."""
