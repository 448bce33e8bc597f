"""Global maximization of one trial's likelihood: several starts, targets added one by one and searched again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from disac.estimators.ml import likelihood
from disac.estimators.ml.likelihood import FIXED, FREE, condition, evaluate_grid, workspace
from disac.estimators.ml.search import Grid, Search
from disac.estimators.ml.signal import Scene, Signal
from disac.simulator.geometry import node_to_point

if TYPE_CHECKING:
    from disac.estimators.ml.likelihood import Work

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

GRAM_FLOOR = np.float32(1e-4)
"""Relative Schur complement below which single precision no longer tells a candidate from the found targets."""

HALF = 0.5
"""Peaks lower than this share of the highest one are not climbed. The grid meets every lobe within its half-power
width, so that a lobe that holds the global maximum shows at least half of it."""

ALIKE = 0.7
"""Share of the highest grid point above which a peak's surroundings are looked at where the angles are known. The lobes
then look alike, and a grid point half a step off its lobe's top loses more than the lobes differ by."""

SHARPER = 4
"""Points per grid step, in both directions, at which those surroundings are looked at."""

BEAM = 6
"""Sets of targets that are kept while targets are added, before any sign that a better one was dropped."""

EXPLORE = 1e-2
"""Newton decrement, in standard deviations, at which climbs end that only compare lobes."""

ZOOM = 9
"""Points per grid step at which the surroundings of an estimate, two steps to either side, are searched again."""

NEAR = 3
"""Peaks there that are climbed."""

SAME = 1e-3
"""Difference of log-likelihood below which two climbs count as having reached the same maximum."""


@dataclass(frozen=True)
class Targets:
    """Some of the targets with their link variables.

    Attributes
    ----------
    labels : which target each one is where a genie knows something of it; 0 otherwise.
    positions : (K', 2) [m].
    theta, psi : (N, K') angles [rad] and delays [rad per subcarrier].
    """

    labels: tuple[int, ...]
    positions: RealArray
    theta: RealArray
    psi: RealArray

    @classmethod
    def none(cls, n_nodes: int) -> Targets:
        """No targets."""
        return cls((), np.empty((0, 2)), np.empty((n_nodes, 0)), np.empty((n_nodes, 0)))

    def __add__(self, other: Targets) -> Targets:
        return Targets(
            self.labels + other.labels,
            np.concatenate([self.positions, other.positions]),
            np.concatenate([self.theta, other.theta], axis=1),
            np.concatenate([self.psi, other.psi], axis=1),
        )

    def __getitem__(self, which: Sequence[int]) -> Targets:
        index = list(which)
        labels = tuple(self.labels[k] for k in index)
        theta, psi = np.ascontiguousarray(self.theta[:, index]), np.ascontiguousarray(self.psi[:, index])
        return Targets(labels, self.positions[index], theta, psi)

    def without(self, k: int) -> Targets:
        """All but one."""
        return self[[i for i in range(len(self.labels)) if i != k]]


@dataclass(frozen=True)
class Fit:
    """Where a climb of the joint likelihood of some targets ended.

    Attributes
    ----------
    targets : the targets there.
    value : concentrated likelihood.
    amplitudes : (N, N_active K') amplitudes, transmitters by targets.
    decrement, evaluations, converged : see :func:`disac.estimators.ml.likelihood.refine`.
    """

    targets: Targets
    value: float
    amplitudes: ComplexArray
    decrement: float
    evaluations: int
    converged: bool


@dataclass(frozen=True)
class Conditioned:
    """The data with some targets found and projected out, in single precision (see ``likelihood.condition``).

    Attributes
    ----------
    found : those targets.
    value : concentrated likelihood of them alone, -inf where they cannot be told apart.
    residual, inverse, beam : for the grid kernel; the leading axis of the first and last is real, imaginary.
    """

    found: Targets
    value: float
    residual: NDArray[np.float32]
    inverse: ComplexArray
    beam: NDArray[np.float32]


@dataclass(frozen=True)
class Table:
    """Link variables (N, G) of every grid point, and their phase factors exp(-j pi sin theta) and exp(j psi) split into
    real and imaginary parts in single precision."""

    theta: RealArray
    psi: RealArray
    zr: NDArray[np.float32]
    zi: NDArray[np.float32]
    wr: NDArray[np.float32]
    wi: NDArray[np.float32]

    @classmethod
    def of(cls, theta: RealArray, psi: RealArray) -> Table:
        """Table of given link variables."""
        z, w = np.exp(-1j * np.pi * np.sin(theta)), np.exp(1j * psi)
        return cls(theta, psi, *(part.astype(np.float32, order="C") for part in (z.real, z.imag, w.real, w.imag)))


@dataclass(frozen=True)
class Lattice:
    """A coarse grid with what depends on it.

    Attributes
    ----------
    grid : the grid.
    tables : one table for all targets, or one for each where a genie knows something of each.
    usable : (G,) grid points that may be candidates.
    """

    grid: Grid
    tables: Sequence[Table]
    usable: NDArray[np.bool_]


class Trial:
    """The likelihood of one trial and the search for its maximum.

    Parameters
    ----------
    signal : statistics of the trial.
    scene : geometry and rules of the link variables.
    lattice : where candidates are looked for.
    search : settings.
    """

    def __init__(self, signal: Signal, scene: Scene, lattice: Lattice, search: Search) -> None:
        self.signal = signal
        self._scene, self._search = scene, search
        self._grid, self._tables, self._usable = lattice.grid, lattice.tables, lattice.usable
        gram = np.stack([signal.gram_r, signal.gram_i]).transpose(0, 3, 1, 2).copy()
        n_nodes = len(scene.nodes)
        for m in signal.active:
            own = slice(*signal.overlap_start[m * n_nodes + m : m * n_nodes + m + 2])
            gram[:, own.start] = gram[:, own].sum(axis=1)
        self._unit = float(np.abs(gram).max(initial=0.0)) or 1.0
        self._gram = (gram / self._unit).astype(np.float32)
        self._scale = max(float(np.abs(part).max(initial=0.0)) for part in (signal.cross_r, signal.cross_i)) or 1.0
        self._work: dict[int, Work] = {}

    def maximize(self, n_targets: int) -> Fit | None:
        """Best fit of K targets; None when no candidate has a finite likelihood.

        A fit that leaves more than noise is a wrong maximum, since K targets explain the data. Then all starts are
        followed, not only those that lead while targets are added, and targets exchanged in the best fits that result.
        """
        fits = self._add_targets(n_targets, BEAM)
        if not fits:
            return None
        best, explained = fits[0], True
        if n_targets > 1:
            best, explained = self._exchange(best)
        for other in () if explained else self._add_targets(n_targets, self._search.n_starts):
            fit, explained = self._exchange(other)
            best = max(best, fit, key=lambda fit: fit.value)
            if explained:
                break
        best = best if self.signal.orthogonal else self._zoom(best)
        polished = self.climb(best.targets, self._search.tolerance)
        return best if polished is None else replace(polished, evaluations=polished.evaluations + best.evaluations)

    def _add_targets(self, n_targets: int, beam: int) -> list[Fit]:
        """The best fits reached by adding targets one by one to the ``beam`` best fits of fewer."""
        fits = self._extend(Targets.none(len(self._scene.nodes)), self._search.n_starts)
        for _ in range(1, n_targets):
            fits = [longer for fit in self._best(fits, beam) for longer in self._extend(fit.targets, 2)]
        return self._best(fits, BEAM)

    def _exchange(self, best: Fit) -> tuple[Fit, bool]:
        """The fit after targets moved elsewhere as long as that explains more, and whether it leaves mere noise."""
        for _ in range(self._search.max_cycles):
            again = self._repair(best)
            if not again:
                return best, True
            again += [fit for k in range(len(best.targets.labels)) for fit in self._search_again(best, k)]
            top = max(again, key=lambda fit: fit.value)
            if top.value <= best.value + SAME * self.noise_variance(best):
                break
            best = top
        return best, False

    def _zoom(self, best: Fit) -> Fit:
        """The highest maximum near the targets of a fit.

        Signals that nodes send on the same subcarriers put maxima into the main lobe that the grid steps over.
        """
        fits = [best, *(fit for k in range(len(best.targets.labels)) for fit in self._search_near(best, k))]
        return max(fits, key=lambda fit: fit.value)

    def _search_near(self, fit: Fit, k: int) -> list[Fit]:
        """Fits with target k at the peaks of a finer grid around it."""
        others = self.condition(fit.targets.without(k))
        steps = self._grid.step_m / ZOOM * np.arange(-2 * ZOOM, 2 * ZOOM + 1)
        offsets = np.stack([np.tile(steps, len(steps)), np.repeat(steps, len(steps))], axis=-1)
        points = fit.targets.positions[k] + offsets
        geometry = node_to_point(self._scene.nodes, self._scene.orientations, points)
        theta, psi = geometry.angle, self._scene.delay_scale * geometry.distance_m
        if self._scene.angle_rule == FIXED:
            theta = np.repeat(fit.targets.theta[:, [k]], len(points), axis=1)
        if self._scene.delay_rule == FIXED:
            psi = np.repeat(fit.targets.psi[:, [k]], len(points), axis=1)
        gain = self._gain(Table.of(theta, psi), others)
        gain[geometry.distance_m.min(axis=0) < self._grid.step_m / 4] = -np.inf
        peaks = Grid(points, (len(steps), len(steps)), float(steps[1] - steps[0])).peaks(gain, NEAR)
        starts = (Targets((fit.targets.labels[k],), points[[i]], theta[:, [i]], psi[:, [i]]) for i in peaks)
        return [new for start in starts if (new := self.climb(others.found + start, EXPLORE)) is not None]

    def noise_variance(self, fit: Fit) -> float:
        """Variance of one sample that the fit leaves unexplained."""
        return max(self.signal.energy - fit.value, 1e-15 * self.signal.energy) / self.degrees(len(fit.targets.labels))

    def degrees(self, n_targets: int) -> float:
        """Complex degrees of freedom that the fit of K' targets leaves to the noise."""
        n_nodes = len(self._scene.nodes)
        free = n_nodes if FREE in (self._scene.angle_rule, self._scene.delay_rule) else 0
        fitted = n_targets * (n_nodes * len(self.signal.active) + 1 + free / 2)
        return max(self.signal.n_samples - fitted, 1.0)

    def work(self, n_targets: int) -> Work:
        """Work arrays of the kernels for K' targets."""
        if n_targets not in self._work:
            self._work[n_targets] = workspace(self.signal, n_targets)
        return self._work[n_targets]

    def condition(self, found: Targets) -> Conditioned:
        """The data with some targets found."""
        signal = self.signal
        n_nodes, n_rx = signal.cross_r.shape[:2]
        n_tx, n_found = len(signal.gram_r), len(found.labels)
        residual = np.empty((2, n_nodes, len(signal.node), n_rx, n_tx), np.float32)
        inverse = np.zeros((n_nodes, n_nodes * n_found, n_nodes * n_found), complex)
        beam = np.empty((2, len(signal.own) + n_nodes, n_found, max(n_tx, n_rx), 1), np.float32)
        value = condition(
            found.theta, found.psi, signal, self.work(n_found), self._scale, self._unit, residual[0], residual[1],
            inverse, beam[0], beam[1],
        )  # fmt: skip
        return Conditioned(found, value, residual, inverse, beam)

    def climb(self, start: Targets, tolerance: float) -> Fit | None:
        """Local maximum near a start; None when the start has no finite likelihood."""
        theta, psi = np.array(start.theta, order="C"), np.array(start.psi, order="C")
        area = self._scene.area
        rules = (self._scene.angle_rule, self._scene.delay_rule)
        free = [values.ravel() for values, rule in zip((theta, psi), rules, strict=True) if rule == FREE]
        point = np.concatenate([np.clip(start.positions, area[:, 0], area[:, 1]).ravel(), *free])
        n_targets = len(start.labels)
        amplitudes = np.empty((len(theta), len(self.signal.active) * n_targets), complex)
        value, decrement, evaluations, converged = likelihood.refine(
            point, self._scene, self.signal, self.work(n_targets), self._grid.step_m, tolerance,
            self._search.max_iterations, self.degrees(n_targets), theta, psi, amplitudes,
        )  # fmt: skip
        if value == -np.inf:
            return None
        targets = Targets(start.labels, point[: 2 * n_targets].reshape(n_targets, 2), theta, psi)
        return Fit(targets, value, amplitudes, decrement, evaluations, converged)

    def _extend(self, found: Targets, count: int) -> list[Fit]:
        """Joint fits with one more target, from the ``count`` best grid points."""
        starts = self._candidates(self.condition(found), count, 0.0)
        return [fit for start in starts if (fit := self.climb(found + start, EXPLORE)) is not None]

    def _search_again(self, fit: Fit, k: int) -> list[Fit]:
        """Fits with target k somewhere else, wherever the grid promises more than half of what it explains now."""
        others = self.condition(fit.targets.without(k))
        here = fit.targets.positions[k]
        starts = self._candidates(others, 2, HALF * (fit.value - others.value))
        elsewhere = [s for s in starts if np.hypot(*(s.positions[0] - here)) > self._grid.step_m]
        return [new for start in elsewhere if (new := self.climb(others.found + start, EXPLORE)) is not None]

    def _repair(self, fit: Fit) -> list[Fit]:
        """Fits reached by adding a target and dropping each one in turn, if what is left of the data is no mere noise.

        Targets closer than a main lobe can be caught together in a wrong local maximum, out of which no single one of
        them leads. What they leave unexplained then looks like a further target. If nothing does, no target belongs
        elsewhere either: moving one of them to q explains no more than keeping it and adding another at q.

        Where a genie knows something of each target, one is added a second time, and its first place is dropped.
        """
        n_links = len(self._scene.nodes) * len(self.signal.active)
        noise_gain = (n_links + 6 * np.sqrt(n_links) + 20) * self.noise_variance(fit)
        least = max(noise_gain, 1e-9 * self.signal.energy)
        starts = self._candidates(self.condition(fit.targets), 4, least, 0.0, again=True)
        larger = [more.targets for start in starts if (more := self.climb(fit.targets + start, EXPLORE)) is not None]
        fewer = [
            more.without(k)
            for more in larger
            for k in range(len(fit.targets.labels))
            if len(self._tables) == 1 or more.labels[k] == more.labels[-1]
        ]
        return [new for start in fewer if (new := self.climb(start, EXPLORE)) is not None]

    def _best(self, fits: list[Fit], count: int) -> list[Fit]:
        """The best fits, those that reached the same maximum taken once."""
        kept: list[Fit] = []
        for fit in sorted(fits, key=lambda fit: -fit.value):
            if not kept or kept[-1].value - fit.value > SAME * self.noise_variance(kept[0]):
                kept.append(fit)
        return kept[:count]

    def _candidates(
        self, given: Conditioned, count: int, least: float, share: float = HALF, *, again: bool = False
    ) -> list[Targets]:
        """The best grid points for one more target beside those found, best first.

        Parameters
        ----------
        count : how many at most.
        least : smallest gain of the likelihood.
        share : smallest gain as a share of the highest one.
        again : also those that a genie knows and that were found already.
        """
        ranked: list[tuple[float, Targets]] = []
        if given.value == -np.inf:
            return []
        for label, table in enumerate(self._tables):
            if len(self._tables) > 1 and label in given.found.labels and not again:
                continue
            gain = self._coarse(table, given)
            if self._scene.angle_rule == FIXED:
                ranked += self._sharpened(label, gain, given, count)
            else:
                ranked += [(float(gain[i]), self._at_grid(label, i)) for i in self._grid.peaks(gain, count)]
        ranked.sort(key=lambda item: -item[0])
        least = max(least / (self._scale**2 / self._unit), share * ranked[0][0] if ranked else 0.0)
        return [start for value, start in ranked[:count] if value >= least]

    def _sharpened(
        self, label: int, gain: NDArray[np.float32], given: Conditioned, count: int
    ) -> list[tuple[float, Targets]]:
        """The ``count`` best grid peaks of a target, each moved to the best point of a finer grid over its cell.

        Delays on a comb of subcarriers repeat, so that with known angles hundreds of lobes are within a few per cent of
        the highest one. They are ranked after their tops were found, or chance would decide which ones are climbed.
        """
        peaks = np.array(self._grid.peaks(gain, gain.size), dtype=int)
        if len(peaks) > count:
            peaks = peaks[gain[peaks] >= ALIKE * gain[peaks[0]]]
        if len(peaks) <= count:
            return [(float(gain[i]), self._at_grid(label, i)) for i in peaks]
        offsets = self._grid.cell(SHARPER)
        points = (self._grid.points[peaks, None] + offsets).reshape(-1, 2)
        theta = np.repeat(self._tables[label].theta[:, :1], len(points), axis=1)
        psi = self._scene.delay_scale * np.linalg.norm(points - self._scene.nodes[:, None], axis=-1)
        values = self._gain(Table.of(theta, psi), given).reshape(len(peaks), len(offsets))
        best = np.argmax(values, axis=1)
        tops = values[np.arange(len(peaks)), best]
        chosen = np.argsort(-tops, kind="stable")[:count]
        where = (len(offsets) * chosen + best[chosen])[:, None]
        return [
            (float(tops[i]), Targets((label,), points[w], theta[:, w], psi[:, w]))
            for i, w in zip(chosen, where, strict=True)
        ]

    def surface(self) -> NDArray[np.float32]:
        """Criterion (G,) of one target at the grid points, in units of its own; -inf where no candidate may be."""
        return self._coarse(self._tables[0], self.condition(Targets.none(len(self._scene.nodes))))

    def _coarse(self, table: Table, given: Conditioned) -> NDArray[np.float32]:
        """Gain (G,) of one more target at every grid point, -inf where no candidate may be."""
        gain = self._gain(table, given)
        gain[~self._usable] = -np.inf
        return gain

    def _gain(self, table: Table, given: Conditioned) -> NDArray[np.float32]:
        """Gain (G,) of one more target at every point of a table."""
        gain = np.empty(table.theta.shape[1], np.float32)
        evaluate_grid(
            table.zr, table.zi, table.wr, table.wi, self.signal, given.residual[0], given.residual[1],
            self._gram[0], self._gram[1], given.found.psi, given.inverse, given.beam[0], given.beam[1],
            GRAM_FLOOR, gain,
        )  # fmt: skip
        return gain

    def _at_grid(self, label: int, index: int) -> Targets:
        table = self._tables[label]
        where = slice(index, index + 1)
        return Targets((label,), self._grid.points[where], table.theta[:, where], table.psi[:, where])
