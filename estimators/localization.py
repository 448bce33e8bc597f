"""Maximum-likelihood localization of K targets from transmitted and received symbols.

The amplitudes of Eq. (10) are concentrated out. A coarse grid finds candidates; exact Newton steps climb from each to its
own maximum, and the highest one is the estimate. Several targets are found one after the other, each beside those already
found, then refined together and searched again in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from disac.estimators.search import Grid, Search, coarse_grid, main_lobe_m
from disac.estimators.statistics import Statistics, sufficient_statistics
from disac.simulator.geometry import SPEED_OF_LIGHT, node_to_point
from disac.simulator.scenario import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

TIED, FIXED, FREE = 0, 1, 2

MODES: dict[str, tuple[int, int]] = {
    "hybrid": (TIED, TIED),
    "tof-genie": (FIXED, TIED),
    "aoa-genie": (TIED, FIXED),
    "tof-nuisance": (FREE, TIED),
    "aoa-nuisance": (TIED, FREE),
}
"""Rule of the angles and rule of the delays in each mode: tied to the position, fixed at the truth, or free."""

GRAM_FLOOR = 1e-4
"""Relative Schur complement below which single precision no longer tells a candidate from the found targets."""


class NoEstimate(RuntimeError):
    """No candidate position has a finite likelihood, for example because nothing was transmitted."""


@dataclass(frozen=True)
class Estimate:
    """Positions that maximize the likelihood, and how the maximum was reached.

    Attributes
    ----------
    positions : (K, 2) estimated positions [m]; the target with the strongest echo first, in genie modes in the order of
        the scenario's targets.
    amplitudes : (N, N, K) estimated amplitudes b[rx, tx, target]; NaN where the transmitter was silent.
    angles : (N, K) angles off broadside used by the fit [rad]: of the position, known, or estimated, as the mode says.
    delays_s : (N, K) one-way delays used by the fit [s].
    criterion : value of the concentrated likelihood sum_n g_n^H Gamma_n^{-1} g_n.
    noise_variance : estimated variance of one received sample, sigma_s^2 / L.
    gradient_norm : Newton decrement at the estimate, the distance to the maximum in standard deviations.
    iterations : Newton steps of the climb that gave the estimate.
    converged : the climb reached a maximum within the tolerance; False also where the curvature is singular.
    at_edge : the border of the search area holds an estimate; the likelihood rises beyond it.
    mode : name of the mode.
    """

    positions: RealArray
    amplitudes: ComplexArray
    angles: RealArray
    delays_s: RealArray
    criterion: float
    noise_variance: float
    gradient_norm: float
    iterations: int
    converged: bool
    at_edge: bool
    mode: str


@dataclass(frozen=True)
class _Signal:
    """The statistics in the layout of the kernels (see ``likelihood``)."""

    energy: float
    n_samples: int
    active: NDArray[np.int64]
    pair_sub: NDArray[np.int64]
    node_start: NDArray[np.int64]
    overlap_start: NDArray[np.int64]
    overlap_sub: NDArray[np.int64]
    overlap_own: NDArray[np.int64]
    cross: ComplexArray
    gram: ComplexArray
    power: ComplexArray
    orthogonal: bool

    @classmethod
    def of(cls, statistics: Statistics) -> _Signal:
        """Drop the blocks of nodes that are silent on a subcarrier; they are exactly zero."""
        n_nodes = len(statistics.cross)
        transmits = np.einsum("lmimi->ml", statistics.gram).real > 0
        node, sub = np.nonzero(transmits)
        own, other, shared = np.nonzero(transmits[:, None, :] & transmits[None, :, :])
        pair_index = np.zeros(transmits.shape, dtype=np.int64)
        pair_index[node, sub] = np.arange(len(node))
        blocks = own * n_nodes + other
        return cls(
            energy=statistics.energy,
            n_samples=statistics.n_samples,
            active=np.flatnonzero(transmits.any(axis=1)),
            pair_sub=sub,
            node_start=np.searchsorted(node, np.arange(n_nodes + 1)),
            overlap_start=np.searchsorted(blocks, np.arange(n_nodes**2 + 1)),
            overlap_sub=shared,
            overlap_own=pair_index[own, shared],
            cross=np.ascontiguousarray(statistics.cross.transpose(0, 3, 1, 2, 4)[:, node, sub]),
            gram=np.ascontiguousarray(statistics.gram.transpose(0, 1, 3, 2, 4)[shared, other, own]),
            power=np.ascontiguousarray(np.einsum("lmimj->mij", statistics.gram)),
            orthogonal=len(shared) == len(node),
        )


@dataclass(frozen=True)
class _Fit:
    """A set of targets, each at its place in the parameter vector, at one local maximum of their joint likelihood."""

    labels: tuple[int, ...]
    value: float
    point: RealArray
    theta: RealArray
    psi: RealArray
    amplitudes: ComplexArray
    decrement: float
    iterations: int
    converged: bool

    def without(self, index: int) -> tuple[tuple[int, ...], RealArray, RealArray, RealArray]:
        """Labels, positions and link variables of the other targets."""
        keep = [k for k in range(len(self.labels)) if k != index]
        labels = tuple(self.labels[k] for k in keep)
        return labels, self.positions[keep], self.theta[:, keep], self.psi[:, keep]

    @property
    def positions(self) -> RealArray:
        return self.point[: 2 * len(self.labels)].reshape(-1, 2)


@dataclass(frozen=True)
class _Table:
    """Phase factors of every grid point as the grid kernel reads them; one table serves all targets unless a genie
    knows the angles or delays of each."""

    theta: RealArray
    psi: RealArray
    factors: tuple[NDArray[np.float32], ...] = field(repr=False)


class Localizer:
    """Reusable estimator: everything that depends on geometry and grid alone is computed once, then used for each trial.

    Parameters
    ----------
    scenario : nodes, orientations, antennas, bandwidth and number of targets are read; ``targets`` and ``amplitudes``
        are not, except that the genie modes take the known angles or delays from ``targets``.
    mode : "hybrid": angles and delays follow from the position. "tof-genie": the true angles are known and the delays
        locate; "aoa-genie": the reverse. "tof-nuisance": each node's angle to each target is a free nuisance parameter;
        "aoa-nuisance": each node's one-way delay is.
    search : settings of the search.

    Raises
    ------
    ValueError : unknown mode; the message names the choices.
    """

    def __init__(self, scenario: Scenario, mode: str = "hybrid", search: Search | None = None) -> None:
        if mode not in MODES:
            raise ValueError(
                f"mode = {mode!r}: must be one of {', '.join(MODES)}; a genie is told the other quantity of each target, "
                f"a nuisance mode estimates it without using it for the position"
            )
        self.mode = mode
        self.search = search or Search()
        self._rules = np.array(MODES[mode], dtype=np.int64)
        self._n_targets = len(scenario.targets)
        self._n_antennas = (scenario.n_rx, scenario.n_tx)
        self._nodes = np.ascontiguousarray(scenario.nodes)
        self._orientations = np.ascontiguousarray(scenario.orientations)
        self._scale = 2 * np.pi * scenario.bandwidth_hz / scenario.n_subcarriers
        area = scenario.area if self.search.area is None else self.search.area
        self._area = np.array(area, dtype=float)
        step = self.search.step_m
        if step is None:
            tied = self._rules == TIED
            step = main_lobe_m(scenario, self._area, angles=bool(tied[0]), delays=bool(tied[1])) / 3
        self.grid: Grid = coarse_grid(self._area, step)
        offsets = self.grid.points[None] - self._nodes[:, None]
        self._off_limits = np.min(np.sum(offsets**2, axis=2), axis=0) < (self.grid.step_m / 4) ** 2
        self._known = np.empty((2, scenario.n_nodes, self._n_targets))
        if FIXED in self._rules:
            truth = scenario.target_geometry
            self._known = np.stack([truth.angle, self._scale * truth.delay_s])
        self._tables = self._build_tables()

    def __call__(self, X: NDArray[np.complexfloating], Y: NDArray[np.complexfloating]) -> Estimate:
        """Estimate from transmit symbols X (N, M_t, L, T) and received samples Y (N, M_r, L, T)."""
        return self.from_statistics(sufficient_statistics(X, Y))

    def from_statistics(self, statistics: Statistics) -> Estimate:
        """Estimate from the sufficient statistics of one trial.

        Raises
        ------
        NoEstimate : no candidate has a finite likelihood.
        """
        signal = _Signal.of(statistics)
        if len(signal.active) == 0:
            raise NoEstimate("X = 0: no node transmits, so nothing tells where the targets are")
        fits: list[_Fit] = []
        for label, index in self._candidates(signal, None, self.search.n_starts):
            fit = self._climb(signal, [label], *self._at_grid(label, index))
            while fit is not None and len(fit.labels) < self._n_targets:
                fit = self._extend(signal, fit.labels, fit.positions, fit.theta, fit.psi, 1)
            if fit is not None:
                fits.append(fit)
        if not fits:
            raise NoEstimate("no candidate position has a finite likelihood")
        best = max(fits, key=lambda fit: fit.value)
        for _ in range(self.search.max_cycles if self._n_targets > 1 else 0):
            again = [self._extend(signal, *best.without(k), 2) for k in range(self._n_targets)]
            top = max((fit for fit in again if fit is not None), key=lambda fit: fit.value, default=best)
            if top.value <= best.value * (1 + 1e-12):
                break
            best = top
        return self._estimate(signal, best)

    def criterion(self, statistics: Statistics, positions: RealArray) -> float:
        """Concentrated likelihood at given positions (K', 2), free link variables at the values of the positions."""
        from disac.estimators import likelihood

        signal = _Signal.of(statistics)
        positions = np.asarray(positions, dtype=float).reshape(-1, 2)
        theta, psi = self._links(range(len(positions)), positions)
        n_links = 2 * theta.size
        amplitudes = np.empty((len(theta), len(signal.active) * len(positions)), complex)
        value: float = likelihood.evaluate(
            theta, psi, signal.pair_sub, signal.node_start, signal.cross, signal.overlap_start, signal.overlap_sub,
            signal.gram, signal.active, np.empty(n_links), np.empty((n_links, n_links)), amplitudes,
        )  # fmt: skip
        return value

    def _links(self, labels: Sequence[int], positions: RealArray) -> tuple[RealArray, RealArray]:
        """Angles and delays [rad per subcarrier] of labelled positions, (N, K') each; the genie's where it knows."""
        geometry = node_to_point(self._nodes, self._orientations, positions)
        values = [geometry.angle, self._scale * geometry.delay_s]
        for i in (0, 1):
            if self._rules[i] == FIXED:
                values[i] = self._known[i][:, list(labels)]
        return np.ascontiguousarray(values[0]), np.ascontiguousarray(values[1])

    def _build_tables(self) -> list[_Table]:
        n_points = len(self.grid.points)
        points = np.where(
            self._off_limits[:, None], self._nodes.mean(axis=0) + 1e3 * self.grid.step_m, self.grid.points
        )
        tables = []
        for label in range(self._n_targets if FIXED in self._rules else 1):
            theta, psi = self._links([label] * n_points, points)
            z, w = np.exp(-1j * np.pi * np.sin(theta)), np.exp(1j * psi)
            factors = tuple(np.ascontiguousarray(part, dtype=np.float32) for part in (z.real, z.imag, w.real, w.imag))
            tables.append(_Table(theta, psi, factors))
        return tables

    def _at_grid(self, label: int, index: int) -> tuple[RealArray, RealArray, RealArray]:
        """Position (1, 2) and link variables (N, 1) of a grid point."""
        table = self._tables[label if len(self._tables) > 1 else 0]
        return self.grid.points[index : index + 1], table.theta[:, index : index + 1], table.psi[:, index : index + 1]

    def _candidates(
        self, signal: _Signal, found: tuple[tuple[int, ...], RealArray, RealArray] | None, count: int
    ) -> list[tuple[int, int]]:
        """The best ``count`` pairs (label, grid index) for one more target beside the found ones."""
        from disac.estimators import likelihood

        n_nodes, n_overlaps, n_tx = len(self._nodes), len(signal.overlap_sub), signal.cross.shape[3]
        if found is None:
            taken: tuple[int, ...] = ()
            theta = psi = np.empty((n_nodes, 0))
        else:
            taken, theta, psi = found
        n_found = theta.shape[1]
        inverse = np.zeros((n_nodes, n_nodes * n_found, n_nodes * n_found), complex)
        fgram = np.empty((n_overlaps, n_found, n_tx, 1), complex)
        cross = signal.cross
        if n_found:
            cross = np.empty_like(signal.cross)
            distinct = likelihood.project_out(
                theta, psi, signal.pair_sub, signal.cross, signal.overlap_start, signal.overlap_sub, signal.overlap_own,
                signal.gram, signal.active, cross, inverse, fgram,
            )  # fmt: skip
            if not distinct:
                return []
        unit = float(np.abs(signal.power).max())
        scale = float(np.abs(signal.cross).max()) or 1.0
        arrays = [
            part
            for array in (cross / scale, signal.gram / unit, signal.power / unit)
            for part in (np.ascontiguousarray(array.real, np.float32), np.ascontiguousarray(array.imag, np.float32))
        ]
        fgram = fgram / unit
        labels = [label for label in range(len(self._tables)) if len(self._tables) == 1 or label not in taken]
        ranked = []
        gain = np.empty(len(self.grid.points), np.float32)
        for label in labels:
            likelihood.evaluate_grid(
                *self._tables[label].factors, signal.pair_sub, signal.node_start, arrays[0], arrays[1],
                signal.overlap_start, signal.overlap_sub, *arrays[2:], signal.orthogonal, theta, psi, inverse * unit,
                fgram.real.astype(np.float32), fgram.imag.astype(np.float32), np.float32(GRAM_FLOOR), gain,
            )  # fmt: skip
            gain[self._off_limits] = -np.inf
            ranked += [(float(gain[i]), label, i) for i in self.grid.peaks(gain, count)]
        ranked.sort(key=lambda item: -item[0])
        return [(label, index) for _, label, index in ranked[:count]]

    def _extend(
        self,
        signal: _Signal,
        labels: tuple[int, ...],
        positions: RealArray,
        theta: RealArray,
        psi: RealArray,
        count: int,
    ) -> _Fit | None:
        """Best joint fit with one more target, started from the ``count`` best grid points beside the found ones."""
        theta, psi = np.ascontiguousarray(theta), np.ascontiguousarray(psi)
        fits = []
        for label, index in self._candidates(signal, (labels, theta, psi), count):
            point, new_theta, new_psi = self._at_grid(label, index)
            fits.append(
                self._climb(
                    signal,
                    [*labels, label],
                    np.concatenate([positions, point]),
                    np.concatenate([theta, new_theta], axis=1),
                    np.concatenate([psi, new_psi], axis=1),
                )
            )
        return max((fit for fit in fits if fit is not None), key=lambda fit: fit.value, default=None)

    def _climb(
        self, signal: _Signal, labels: Sequence[int], positions: RealArray, theta: RealArray, psi: RealArray
    ) -> _Fit | None:
        """Local maximum reached from a start; None when the start has no finite likelihood."""
        from disac.estimators import likelihood

        theta, psi = np.array(theta, order="C"), np.array(psi, order="C")
        free = [values.ravel() for values, rule in zip((theta, psi), self._rules, strict=True) if rule == FREE]
        point = np.concatenate([np.clip(positions, self._area[:, 0], self._area[:, 1]).ravel(), *free])
        amplitudes = np.empty((len(theta), len(signal.active) * len(labels)), complex)
        value, decrement, iterations, converged = likelihood.refine(
            point, self._rules, self._nodes, self._orientations, self._scale / SPEED_OF_LIGHT, self._area, self.grid.step_m,
            self.search.tolerance, self.search.max_iterations, signal.energy, self._degrees(signal, len(labels)), theta, psi,
            signal.pair_sub, signal.node_start, signal.cross, signal.overlap_start, signal.overlap_sub, signal.gram,
            signal.active, amplitudes,
        )  # fmt: skip
        if value == -np.inf:
            return None
        return _Fit(tuple(labels), value, point, theta, psi, amplitudes, decrement, iterations, converged)

    def _degrees(self, signal: _Signal, n_targets: int) -> float:
        """Complex degrees of freedom that the fit leaves to the noise."""
        n_nodes = len(self._nodes)
        free = n_nodes if FREE in self._rules else 0
        return max(signal.n_samples - n_targets * (n_nodes * len(signal.active) + 1 + free / 2), 1.0)

    def _estimate(self, signal: _Signal, fit: _Fit) -> Estimate:
        n_nodes, n_targets = len(self._nodes), len(fit.labels)
        amplitudes = np.full((n_nodes, n_nodes, n_targets), np.nan + 0j)
        amplitudes[:, signal.active] = fit.amplitudes.reshape(n_nodes, len(signal.active), n_targets)
        if len(self._tables) > 1:
            order = np.argsort(fit.labels)
        else:
            order = np.argsort(-np.nansum(np.abs(amplitudes) ** 2, axis=(0, 1)), kind="stable")
        positions = fit.positions[order]
        at_edge = bool(np.any((positions <= self._area[:, 0]) | (positions >= self._area[:, 1])))
        return Estimate(
            positions=positions,
            amplitudes=amplitudes[:, :, order],
            angles=np.arctan2(np.sin(fit.theta), np.cos(fit.theta))[:, order],
            delays_s=fit.psi[:, order] / self._scale,
            criterion=fit.value,
            noise_variance=max(signal.energy - fit.value, 0.0) / self._degrees(signal, n_targets),
            gradient_norm=fit.decrement,
            iterations=fit.iterations,
            converged=fit.converged,
            at_edge=at_edge,
            mode=self.mode,
        )


def localize(
    scenario: Scenario,
    X: NDArray[np.complexfloating],
    Y: NDArray[np.complexfloating],
    *,
    mode: str = "hybrid",
    search: Search | None = None,
) -> Estimate:
    """Maximum-likelihood positions of the scenario's K targets from one trial.

    Parameters
    ----------
    scenario : as for :class:`Localizer`; neither ``targets`` nor ``amplitudes`` is read except by the genie modes.
    X : (N, M_t, L, T) transmit symbols.
    Y : (N, M_r, L, T) received samples of Eq. (6).
    mode : "hybrid", "tof-genie", "aoa-genie", "tof-nuisance" or "aoa-nuisance".
    search : area, grid and iteration limits.

    Raises
    ------
    ValueError : unknown mode or wrong shapes.
    NoEstimate : no candidate has a finite likelihood.
    """
    return Localizer(scenario, mode, search)(X, Y)
