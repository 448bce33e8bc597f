r"""A Ziv-Zakai bound on localization beside the CRB, over the whole range of SNR.

With a uniform prior on a box of sides a_x, a_y, the mean squared error of x is at least (Bell, Steinberg, Ephraim and
Van Trees, 1997)

.. math:: \int_0^{a_x} h \, V\Big\{\max_{\delta: \delta_x = h} (1 - h / a_x)(1 - |\delta_y| / a_y)
          P(\delta)\Big\} dh,

P the least probability of error of a decision between equally likely positions delta apart, and V, valley filling, the
least decreasing majorant. P = 1/2 gives the prior's variance a_x^2 / 12; a Gaussian P(\delta) gives the CRB.

Two choices of P. *coupled*: links have known energies and uniform phases. A genie tells the amplitudes at both
positions, at the second one those that make the echoes most alike, which leaves P = Q(sqrt(sum_i e_i (1 - c_i))), e_i
the energy in units of the noise along the i-th principal vector and c_i the cosine there. No estimator does better, but
the genie spares the loss of adding up links without their phases. *concentrated*: P is the probability that the
concentrated likelihood prefers the wrong position. For one link that is the best decision; for several it is that of
all receivers that estimate the amplitudes, and the curve bounds them alone.

P is taken between the true position and others, as if it depended on the difference of two positions only: the curve
belongs to the target's surroundings, as the CRB does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from disac.designs import crb
from disac.estimators.ambiguity import Signatures, default_step_m
from disac.experiments.theory.interval_errors import difference_forms, principal_angles, signal_covariances
from disac.experiments.theory.quadratic_form import quadratic_form_tail
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
Decision = Literal["coupled", "concentrated"]

_LOCAL_STEPS = 200


@dataclass(frozen=True)
class ZivZakai:
    """What the bound needs at any noise level.

    Attributes
    ----------
    offsets : (G, 2) displacements delta from the true position, x >= 0 and y of either sign or the reverse [m].
    sines, energies : (G, I) of the principal angles, see
        :class:`disac.experiments.theory.interval_errors.IntervalErrors`.
    sides_m : (a_x, a_y) of the box [m].
    step_m : (s_x, s_y) spacing of the displacements [m].
    crb_per_noise : (2,) bounds of x and y over sigma_s^2 [m^2].
    n_subcarriers : L.
    """

    offsets: RealArray
    sines: RealArray
    energies: RealArray
    sides_m: tuple[float, float]
    step_m: tuple[float, float]
    crb_per_noise: RealArray
    n_subcarriers: int

    def mse(self, noise_sense: ArrayLike, decision: Decision = "concentrated") -> RealArray:
        """Bound on the mean squared position error [m^2] at noise powers sigma_s^2 (...)."""
        noise = np.asarray(noise_sense, dtype=float)
        return np.array([self._at(float(v), decision) for v in noise.ravel()]).reshape(noise.shape)

    def decision_error(self, noise_sense: float, decision: Decision = "concentrated") -> RealArray:
        """P (G,) between the true position and each other one."""
        energies = self.energies * (self.n_subcarriers / noise_sense)
        if decision == "coupled":
            cosines = np.sqrt(np.maximum(1 - self.sines**2, 0))
            distance: RealArray = ndtr(-np.sqrt(np.sum(energies * (1 - cosines), axis=1)))
            return distance
        return quadratic_form_tail(*difference_forms(self.sines, energies))

    def _at(self, noise_sense: float, decision: Decision) -> float:
        inside = np.prod(np.maximum(1 - np.abs(self.offsets) / self.sides_m, 0), axis=1)
        wrong = inside * self.decision_error(noise_sense, decision)
        return sum(self._axis(axis, wrong, noise_sense) for axis in (0, 1))

    def _axis(self, axis: int, wrong: RealArray, noise_sense: float) -> float:
        """The integral along one axis: the CRB's Gaussian P where displacements are below a step, then the larger."""
        side, step = self.sides_m[axis], self.step_m[axis]
        index = np.rint(np.abs(self.offsets[:, axis]) / step).astype(int)
        steps = np.zeros(int(index.max()) + 1)
        np.maximum.at(steps, index, wrong)
        deviation = float(np.sqrt(self.crb_per_noise[axis] * noise_sense))
        h = np.union1d(
            np.arange(len(steps)) * step, np.geomspace(min(deviation, step) * 1e-2, side * (1 - 1e-9), _LOCAL_STEPS)
        )
        gaussian = ndtr(-h / (2 * deviation)) * np.maximum(1 - h / side, 0)
        grid = np.where(h >= step, np.interp(h, np.arange(len(steps)) * step, steps, right=0.0), 0.0)
        filled = np.maximum.accumulate(np.maximum(gaussian, grid)[::-1])[::-1]
        return float(np.trapezoid(h * filled, h))


def ziv_zakai(
    scenario: Scenario,
    signal: NDArray[np.complexfloating],
    *,
    mode: str = "hybrid",
    target: int = 0,
    step_m: float | None = None,
) -> ZivZakai:
    """Prepare the bound for one target, the others (if any) held at their true positions.

    Parameters
    ----------
    signal : covariances (L, N M_t, N M_t), for ``scenario.n_symbols`` symbols, or symbols (N, M_t, L, T).
    mode : "hybrid", "tof-genie" or "aoa-genie".
    step_m : grid step of the displacements, by default two thirds of the main lobe's width.
    """
    s = scenario
    step = 4 * default_step_m(s, mode) if step_m is None else step_m
    sides = s.area[:, 1] - s.area[:, 0]
    counts = np.maximum(np.ceil(sides / step), 2).astype(int)
    steps = sides / counts
    x = np.arange(-counts[0], counts[0]) * steps[0]
    y = np.arange(0, counts[1]) * steps[1]
    offsets = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    offsets = offsets[np.any(offsets != 0, axis=1)]
    signatures = Signatures(s, signal, mode)
    sines, energies, _ = principal_angles(signatures, s.targets[target] + offsets, target, metrics=False)
    covariances, n_symbols = signal_covariances(s, signal)
    bound = np.diag(crb(s, covariances, mode, n_symbols))[[target, s.n_targets + target]]
    return ZivZakai(
        offsets=offsets,
        sines=sines,
        energies=energies,
        sides_m=(float(sides[0]), float(sides[1])),
        step_m=(float(steps[0]), float(steps[1])),
        crb_per_noise=bound / s.noise_sense,
        n_subcarriers=s.n_subcarriers,
    )
