r"""Where maximum likelihood leaves the Cramer-Rao bound: the method of interval errors.

Concentrated over the amplitudes, the criterion at a position q is the energy of the data inside the span of the
signatures at q. Between the truth and a sidelobe its difference y^H (P_s - P_0) y is an indefinite quadratic form of a
complex Gaussian vector. The eigenvalues of P_s - P_0 are the sines of the principal angles between both spans, with
both signs: a pair of unit directions with cosine c and sine s, where the mean has the component a along the direction
of the truth, adds s (|v_+|^2 - |v_-|^2) with independent v_+, v_- of the noise's variance and
abs(mean)^2 = abs(a)^2 (1 -+ s) / 2.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincc

from disac.designs import crb, sample_covariances
from disac.estimators.ambiguity import (
    AmbiguitySurface,
    Signatures,
    ambiguity_surface,
    default_step_m,
    inverse_root,
)
from disac.experiments.theory.quadratic_form import tail_and_slope
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_TRUTH_STEPS = 120
_METRIC_STEP_M = 1e-2


@dataclass(frozen=True)
class IntervalErrors:
    """What the method of interval errors needs at any noise level, on a grid of cells outside the main lobe.

    Attributes
    ----------
    positions : (G, 2) cells outside the main lobe, the basin from which the expected criterion rises to the truth [m].
    squared_errors : (G,) squared distances from the truth [m^2].
    cell_m2 : area of a cell [m^2].
    sines : (G, I) sines of the principal angles between the signatures there and at the truth, over all receivers.
    energies : (G, I) energy of the mean along the truth's principal vectors.
    metrics : (G, I, 2, 2) how fast the span of a cell moved by d loses its principal vectors, share d^T g d [1/m^2].
    crb_per_noise : local error variance, trace of the target's bound over sigma_s^2 [m^2].
    span_m2 : mean squared error of an estimate that is uniform over the area [m^2], ceiling of the local error.
    n_subcarriers : L, which turns sigma_s^2 into the variance sigma_s^2 / L of a sample.
    surface : the expected criterion with its sidelobes.
    """

    positions: RealArray
    squared_errors: RealArray
    cell_m2: float
    sines: RealArray
    energies: RealArray
    metrics: RealArray
    crb_per_noise: float
    span_m2: float
    n_subcarriers: int
    surface: AmbiguitySurface

    def is_outlier(self, errors: RealArray) -> NDArray[np.bool_]:
        """Whether estimates with errors (S, 2) [m] lie in another basin than the target's."""
        surface = self.surface
        x, y = (np.asarray(surface.main.position) + errors).T
        column = np.clip(np.rint((x - surface.x[0]) / (surface.x[1] - surface.x[0])), 0, len(surface.x) - 1)
        row = np.clip(np.rint((y - surface.y[0]) / (surface.y[1] - surface.y[0])), 0, len(surface.y) - 1)
        summit = _summits(surface.level)
        grid = np.stack(np.meshgrid(surface.x, surface.y), axis=-1).reshape(-1, 2)
        home = summit[np.argmin(np.hypot(*(grid - np.asarray(surface.main.position)).T))]
        outlier: NDArray[np.bool_] = summit[(row * len(surface.x) + column).astype(int)] != home
        return outlier

    def false_maxima(self, noise_sense: float) -> RealArray:
        """Expected number (G,) of local maxima in each cell that exceed the maximum at the truth.

        Poisson clumping: where the difference D of the criteria is positive with probability p and has the tail
        exp(-nu D), an excess is exponential with mean 1 / nu and covers the area 2 pi / (nu sqrt(det H)) on average, H
        the curvature of the criterion, so the density of maxima is p nu sqrt(det H) / (2 pi). Both nu, the saddle
        point, and the energies in H belong to the data that make D = 0. A direction that leaves the span takes its
        energy along, but the one that takes its place brings the noise's: H counts energies above the noise, and half a
        direction more, as the expected Euler characteristic of a chi-square field does, u - n + 1/2 for n complex
        directions at level u (Adler and Taylor, 2007, ch. 15). The maximum at the truth exceeds the value at the true
        position by an exponential variable of mean 1 in units of the noise (two real coordinates).
        """
        energies = self.energies * (self.n_subcarriers / noise_sense)
        weights, parts = difference_forms(self.sines, energies)
        one = np.ones((len(weights), 1))
        p, nu = tail_and_slope(np.hstack([weights, -one]), np.hstack([parts, 0 * one]))
        st = self.sines * nu[:, None]
        cosines = 1 - self.sines**2
        energy = energies * cosines / (1 - st**2) ** 2 + (1 + self.sines * st) / (1 - st**2)
        curvature = 2 * np.einsum("gi,gixy->gxy", energy - 1, self.metrics) + self.metrics.mean(axis=1)
        concave = np.trace(curvature, axis1=1, axis2=2) > 0
        root = np.sqrt(np.where(concave, np.maximum(np.linalg.det(curvature), 0), 0))
        density: RealArray = p * nu * root / (2 * np.pi)
        return density * self.cell_m2

    def mse(self, noise_sense: ArrayLike) -> RealArray:
        """Predicted mean squared position error [m^2] at noise powers sigma_s^2 (...)."""
        outlier, far = self.outliers(noise_sense)
        return self.mse_given(noise_sense, outlier, far)

    def mse_given(self, noise_sense: ArrayLike, outlier: ArrayLike, far: ArrayLike) -> RealArray:
        """Mean squared position error [m^2] of the bound's errors and of outliers, as :meth:`outliers` gives them."""
        local = np.minimum(self.crb_per_noise * np.asarray(noise_sense, dtype=float), self.span_m2)
        total: RealArray = (1 - np.asarray(outlier)) * local + np.asarray(outlier) * np.asarray(far)
        return total

    def threshold_noise(self, factor: float = 2.0) -> float:
        """Noise power sigma_s^2 up to which the predicted error stays below ``factor`` times the bound.

        Raises
        ------
        ValueError : ``factor`` is not above 1, or the error stays below it at every noise level.
        """
        if not factor > 1:
            raise ValueError(f"factor = {factor}: must be > 1")
        ceiling = np.log(self.span_m2 / self.crb_per_noise)
        exponents = np.arange(ceiling - 16, ceiling + 1, 2)

        def excess(exponent: float) -> float:
            noise = float(np.exp(exponent))
            return float(self.mse(noise)) / (factor * self.crb_per_noise * noise) - 1

        for low, high in itertools.pairwise(exponents):
            if excess(float(high)) >= 0:
                for _ in range(9):
                    middle = (low + high) / 2
                    low, high = (low, middle) if excess(middle) >= 0 else (middle, high)
                return float(np.exp((low + high) / 2))
        raise ValueError(f"factor = {factor}: the predicted error never reaches this multiple of the bound")

    def outliers(self, noise_sense: ArrayLike) -> tuple[RealArray, RealArray]:
        """Probability that a maximum outside the main lobe wins, and its mean squared error [m^2].

        The criterion R at the truth is common to all cells: a weak draw lets many maxima win together. Given R the
        number of false maxima is taken to be Poisson, its mean in a cell in proportion to the probability that the
        cell's value exceeds R, so the probability is 1 - exp(-sum) averaged over the law of R, a noncentral chi-square.
        Given R the energy at the truth is shared among the principal directions as it is on average; the cell then
        holds sum_i |c_i z_i + s_i w_i|^2 with w_i the noise outside, whose first three moments a gamma law takes over.

        Parameters
        ----------
        noise_sense : noise powers sigma_s^2 (...).
        """
        noise = np.asarray(noise_sense, dtype=float)
        pairs = np.array([self._outliers_at(float(v)) for v in noise.ravel()])
        return pairs[:, 0].reshape(noise.shape), pairs[:, 1].reshape(noise.shape)

    def _outliers_at(self, noise_sense: float) -> tuple[float, float]:
        from scipy.stats import ncx2

        counts = self.false_maxima(noise_sense)
        energies = self.energies * (self.n_subcarriers / noise_sense)
        energy, size = float(energies[0].sum()), self.sines.shape[1]
        spread = np.sqrt(size + 2 * energy)
        r = np.linspace(max(size + energy - 8 * spread, 1e-9), size + energy + 8 * spread, _TRUTH_STEPS)
        density = 2 * ncx2.pdf(2 * r, 2 * size, 2 * energy) * (r[1] - r[0])
        shape = self._exceedance(energies, r)
        mean = density @ shape
        given = shape * np.divide(counts, mean, out=np.zeros_like(counts), where=mean > 0)
        expected = given.sum(axis=1)
        wins = density * -np.expm1(-expected)
        probability = float(wins.sum())
        far = float(np.sum(wins * (given @ self.squared_errors) / np.maximum(expected, 1e-300)))
        return min(probability, 1.0), far / max(probability, 1e-300)

    def _exceedance(self, energies: RealArray, r: RealArray) -> RealArray:
        """Probability (R, G) that the value of a cell exceeds the criterion r at the truth, given r (R,)."""
        share = (energies + 1) / np.sum(energies + 1, axis=1, keepdims=True)
        s2 = self.sines**2
        kept = (1 - s2) * share
        mean = np.multiply.outer(r, kept.sum(axis=1)) + s2.sum(axis=1)
        variance = np.multiply.outer(r, 2 * np.sum(s2 * kept, axis=1)) + np.sum(s2**2, axis=1)
        third = np.multiply.outer(r, 6 * np.sum(s2**2 * kept, axis=1)) + 2 * np.sum(s2**3, axis=1)
        size, scale = 4 * variance**3 / third**2, third / (2 * variance)
        exceedance: RealArray = gammaincc(size, np.maximum((r[:, None] - mean) / scale + size, 0))
        return exceedance


def interval_errors(
    scenario: Scenario,
    signal: NDArray[np.complexfloating],
    *,
    mode: str = "hybrid",
    target: int = 0,
    step_m: float | None = None,
) -> IntervalErrors:
    """Method of interval errors for one target, the others (if any) held at their true positions.

    Parameters
    ----------
    signal : covariances (L, N M_t, N M_t), for ``scenario.n_symbols`` symbols, or symbols (N, M_t, L, T).
    mode : "hybrid", "tof-genie" or "aoa-genie".
    target : the target whose gross errors are counted.
    step_m : grid step, by default a third of the main lobe's width: the number of false maxima is a smooth integral.
    """
    s = scenario
    if step_m is None:
        step_m = 2 * default_step_m(s, mode)
    surface = ambiguity_surface(s, signal, mode=mode, target=target, others="held", step_m=step_m)
    signatures = Signatures(s, signal, mode)
    positions = np.stack(np.meshgrid(surface.x, surface.y), axis=-1).reshape(-1, 2)
    truth = s.targets[target]
    summit = _summits(surface.level)
    home = summit[np.argmin(np.hypot(*(positions - truth).T))]
    positions = positions[summit != home]
    covariances, n_symbols = signal_covariances(s, signal)
    bound = crb(s, covariances, mode, n_symbols)
    area = s.area
    own = bound[target, target] + bound[s.n_targets + target, s.n_targets + target]
    spread = np.sum((area[:, 1] - area[:, 0]) ** 2) / 12 + np.sum((area.mean(axis=1) - truth) ** 2)
    sines, energies, metrics = principal_angles(signatures, positions, target)
    return IntervalErrors(
        positions=positions,
        squared_errors=np.sum((positions - truth) ** 2, axis=1),
        cell_m2=float((surface.x[1] - surface.x[0]) * (surface.y[1] - surface.y[0])),
        sines=sines,
        energies=energies,
        metrics=metrics,
        crb_per_noise=float(own) / s.noise_sense,
        span_m2=float(spread),
        n_subcarriers=s.n_subcarriers,
        surface=surface,
    )


def principal_angles(
    signatures: Signatures, positions: RealArray, target: int, *, metrics: bool = True
) -> tuple[RealArray, RealArray, RealArray]:
    """Sines (G, I), energies (G, I) and metrics (G, I, 2, 2) as in :class:`IntervalErrors`, the other targets held.

    Without ``metrics`` their array is empty, (0,).
    """
    s = signatures.scenario
    held = [k for k in range(s.n_targets) if k != target]
    labels = [target, *held]
    truth = s.targets[labels][None]
    b = signatures.amplitudes(labels)
    true_gram = signatures.between(truth, truth, labels, labels)
    root_0 = inverse_root(true_gram)
    mean = np.einsum("gnac,gnab,nb->gnc", root_0.conj(), true_gram, b)

    def candidates(points: RealArray) -> RealArray:
        others = np.broadcast_to(s.targets[held], (len(points), len(held), 2))
        return np.concatenate([points[:, None], others], axis=1)

    at = candidates(positions)
    root = inverse_root(signatures.between(at, at, labels, labels))
    cosines = root.conj().swapaxes(-1, -2) @ signatures.between(at, truth, labels, labels) @ root_0
    left, c, right = np.linalg.svd(cosines)
    component = np.abs(np.einsum("gnab,gnb->gna", right, np.broadcast_to(mean, right.shape[:-1]))) ** 2
    sines = np.sqrt(np.maximum(1 - np.minimum(c, 1) ** 2, 0)).reshape(len(positions), -1)
    energies = component.reshape(len(positions), -1)
    if not metrics:
        return sines, energies, np.empty(0)
    vectors = root @ left

    def lost_share(offset: tuple[float, float]) -> RealArray:
        moved = candidates(positions + _METRIC_STEP_M * np.array(offset))
        moved_root = inverse_root(signatures.between(moved, moved, labels, labels))
        kept = moved_root.conj().swapaxes(-1, -2) @ signatures.between(moved, at, labels, labels) @ vectors
        share: RealArray = np.maximum(1 - np.sum(np.abs(kept) ** 2, axis=-2), 0) / _METRIC_STEP_M**2
        return share.reshape(len(positions), -1)

    gxx, gyy, both = lost_share((1, 0)), lost_share((0, 1)), lost_share((1, 1))
    gxy = (both - gxx - gyy) / 2
    return sines, energies, np.stack([gxx, gxy, gxy, gyy], axis=-1).reshape(*gxx.shape, 2, 2)


def difference_forms(sines: RealArray, energies: RealArray) -> tuple[RealArray, RealArray]:
    """Weights and noncentralities (G, 2 I) of the quadratic form, see the module's formula."""
    weights = np.concatenate([sines, -sines], axis=-1)
    parts = np.concatenate([energies * (1 - sines) / 2, energies * (1 + sines) / 2], axis=-1)
    return weights, parts


def _summits(level: RealArray) -> NDArray[np.intp]:
    """Flat index of the local maximum that steepest ascent on the grid reaches from every cell (ny nx,)."""
    ny, nx = level.shape
    index = np.arange(ny * nx).reshape(ny, nx)
    padded = np.pad(level, 1, constant_values=-np.inf)
    best, target = level.copy(), index.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            neighbour = padded[1 + dy : 1 + dy + ny, 1 + dx : 1 + dx + nx]
            higher = neighbour > best
            best[higher] = neighbour[higher]
            target[higher] = (index + dy * nx + dx)[higher]
    parent = target.ravel()
    while not np.array_equal(parent, parent[parent]):
        parent = parent[parent]
    return parent


def signal_covariances(scenario: Scenario, signal: NDArray[np.complexfloating]) -> tuple[ComplexArray, int]:
    """Covariances and number of symbols of a signal given either way."""
    array: ComplexArray = np.asarray(signal, dtype=np.complex128)
    if array.ndim == 3:
        return array, scenario.n_symbols
    return sample_covariances(array), array.shape[3]
