"""Maximum-likelihood localization of K targets from transmitted and received symbols.

The amplitudes of Eq. (10) are concentrated out. A coarse grid finds candidates; exact Newton steps climb from each to
its own maximum, and the highest one is the estimate. Several targets are found one after the other, each beside those
already found, then refined together and searched again in turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.estimators.base import Estimate, NoEstimate
from disac.estimators.ml.likelihood import FIXED, FREE, TIED
from disac.estimators.ml.multistart import SAME, Fit, Lattice, Table, Targets, Trial
from disac.estimators.ml.search import Grid, Search, coarse_grid, main_lobe_m
from disac.estimators.ml.signal import Scene, Signal, kernel_signal
from disac.estimators.ml.statistics import Statistics, sufficient_statistics
from disac.simulator.checks import check_instance
from disac.simulator.geometry import SPEED_OF_LIGHT, node_to_point
from disac.simulator.scenario import Scenario
from disac.simulator.synthesis import check_scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
AnyComplexArray = NDArray[np.complexfloating[Any, Any]]

MODES: dict[str, tuple[int, int]] = {
    "hybrid": (TIED, TIED),
    "tof-genie": (FIXED, TIED),
    "aoa-genie": (TIED, FIXED),
    "tof-nuisance": (FREE, TIED),
    "aoa-nuisance": (TIED, FREE),
}
"""Rule of the angles and rule of the delays in each mode: tied to the position, fixed at the truth, or free."""


@dataclass(frozen=True, kw_only=True)
class LikelihoodEstimate(Estimate):
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

    amplitudes: ComplexArray
    angles: RealArray
    delays_s: RealArray
    criterion: float
    noise_variance: float
    gradient_norm: float
    iterations: int
    at_edge: bool
    mode: str


class Localizer:
    """Reusable estimator: what depends on geometry and grid alone is computed once, then used for every trial.

    Parameters
    ----------
    scenario : nodes, orientations, antennas, bandwidth and number of targets are read; ``targets`` and ``amplitudes``
        are not, except that the genie modes take the known angles or delays from ``targets``.
    mode : "hybrid": angles and delays follow from the position. "tof-genie": the true angles are known and the delays
        locate; "aoa-genie": the reverse. "tof-nuisance": each node's angle to each target is a free nuisance parameter;
        "aoa-nuisance": each node's one-way delay is. Climbs in the nuisance modes start where a tied grid peaks, so
        that arrays or clocks that are off by more than the width of a lobe can lead them astray.
    search : settings of the search.

    Raises
    ------
    ValueError : unknown mode; the message names the choices.
    """

    def __init__(self, scenario: Scenario, mode: str = "hybrid", search: Search | None = None) -> None:
        check_scenario(scenario)
        check_instance("search", search, Search, optional=True)
        if not isinstance(mode, str) or mode not in MODES:
            raise ValueError(
                f"mode = {mode!r}: must be one of {', '.join(MODES)}; a genie is told the other quantity of "
                f"each target, a nuisance mode estimates it without using it for the position"
            )
        self.mode = mode
        self.search = search or Search()
        self._rules = MODES[mode]
        self._n_targets = len(scenario.targets)
        self._sizes = (scenario.n_nodes, scenario.n_rx, scenario.n_tx, scenario.n_subcarriers)
        self._scale = 2 * np.pi * scenario.bandwidth_hz / scenario.n_subcarriers
        area = scenario.area if self.search.area is None else self.search.area
        self._scene = Scene(
            nodes=np.array(scenario.nodes),
            orientations=np.array(scenario.orientations),
            delay_scale=self._scale / SPEED_OF_LIGHT,
            area=np.array(area, dtype=float),
            angle_rule=self._rules[0],
            delay_rule=self._rules[1],
        )
        step = self.search.step_m
        if step is None:
            # the grid is tied in what a nuisance mode leaves free: its lobes are those of both quantities
            angles, delays = (rule != FIXED for rule in self._rules)
            step = main_lobe_m(scenario, self._scene.area, angles=angles, delays=delays) / 2
        self._known: tuple[RealArray | None, RealArray | None] = (None, None)
        if FIXED in self._rules:
            truth = scenario.target_geometry
            known = (truth.angle, self._scale * truth.delay_s)
            self._known = (known[0], None) if self._rules[0] == FIXED else (None, known[1])
        self._lattice = self._lattice_of(step)
        self.grid: Grid = self._lattice.grid

    @cached_property
    def _finer(self) -> Lattice:
        """The lattice for signals that nodes send on the same subcarriers: their main lobe can be half as wide."""
        return self._lattice if self.search.step_m is not None else self._lattice_of(self.grid.step_m / 2)

    def _lattice_of(self, step_m: float) -> Lattice:
        grid = coarse_grid(self._scene.area, step_m)
        offsets = grid.points[None] - self._scene.nodes[:, None]
        usable = np.min(np.sum(offsets**2, axis=2), axis=0) >= (grid.step_m / 4) ** 2
        points = np.where(usable[:, None], grid.points, self._scene.area[:, 1] + grid.step_m)
        labels = range(self._n_targets if FIXED in self._rules else 1)
        return Lattice(grid, [Table.of(*self._links([label] * len(points), points)) for label in labels], usable)

    def __call__(self, X: AnyComplexArray, Y: AnyComplexArray) -> LikelihoodEstimate:
        """Estimate from transmit symbols X (N, M_t, L, T) and received samples Y (N, M_r, L, T).

        Raises
        ------
        ValueError : shapes that disagree with each other or with the scenario, values that are not finite.
        NoEstimate : X or Y is zero, or no candidate has a finite likelihood.
        """
        return self.from_statistics(sufficient_statistics(X, Y))

    def from_statistics(self, statistics: Statistics) -> LikelihoodEstimate:
        """Estimate from the sufficient statistics of one trial.

        Raises
        ------
        NoEstimate : X or Y is zero, or no candidate has a finite likelihood.
        """
        statistics, sent, received = _normalized(statistics)
        trial = self.trial(statistics)
        if len(trial.signal.active) == 0:
            raise NoEstimate("X = 0: no node transmits, so nothing tells where the targets are")
        if not (trial.signal.cross_r.any() or trial.signal.cross_i.any()):
            raise NoEstimate("Y: holds no echo of X, so every position explains it equally well")
        fit = trial.maximize(self._n_targets)
        if fit is None:
            raise NoEstimate("no candidate position has a finite likelihood")
        estimate = self._estimate(trial, fit)
        if not (sent or received):
            return estimate
        return replace(
            estimate,
            amplitudes=estimate.amplitudes * 2.0 ** (received - sent),
            criterion=math.ldexp(estimate.criterion, 2 * received),
            noise_variance=math.ldexp(estimate.noise_variance, 2 * received),
        )

    def criterion(self, statistics: Statistics, positions: RealArray) -> float:
        """Concentrated likelihood at positions (K', 2); nuisance parameters take the values of the positions."""
        positions = np.asarray(positions, dtype=float).reshape(-1, 2)
        labels = tuple(range(len(positions)))
        targets = Targets(labels, positions, *self._links(labels, positions))
        statistics, _, received = _normalized(statistics)
        return math.ldexp(self.trial(statistics).condition(targets).value, 2 * received)

    def missed(self, statistics: Statistics, estimate: LikelihoodEstimate, positions: RealArray) -> bool:
        """Whether positions (K, 2), the truth for example, explain the data better than this trial's estimate does.

        Then the search missed the maximum; an error without a miss is the likelihood's own. Differences of
        log-likelihood below 1e-3 do not count. In nuisance modes the angles or delays of the positions stand for the
        best ones, so that a miss is real, but one can go unseen.
        """
        return self.criterion(statistics, positions) > estimate.criterion + SAME * estimate.noise_variance

    def surface(self, statistics: Statistics) -> NDArray[np.float32]:
        """Criterion of one target at every point of :attr:`grid` (G,), in single precision and a unit of its own.

        Points too near to a node for a direction hold -inf.
        """
        return Trial(self._signal(statistics), self._scene, self._lattice, self.search).surface()

    def trial(self, statistics: Statistics) -> Trial:
        """The likelihood of one trial, to be maximized.

        Raises
        ------
        ValueError : statistics of another scenario.
        """
        signal = self._signal(statistics)
        return Trial(signal, self._scene, self._lattice if signal.orthogonal else self._finer, self.search)

    def _signal(self, statistics: Statistics) -> Signal:
        """The statistics as the kernels read them.

        Raises
        ------
        ValueError : statistics of another scenario.
        """
        n_nodes, n_rx, n_tx, n_subcarriers = self._sizes
        expected = ((n_nodes, n_subcarriers, n_rx, n_nodes, n_tx), (n_subcarriers, n_nodes, n_tx, n_nodes, n_tx))
        if (statistics.cross.shape, statistics.gram.shape) != expected:
            sent, received = statistics.gram.shape[:3], statistics.cross.shape[2]
            raise ValueError(
                f"X: has shape {(sent[1], sent[2], sent[0], 'T')} with M_r = {received} in Y, but the scenario has "
                f"{(n_nodes, n_tx, n_subcarriers, 'T')} with M_r = {n_rx}"
            )
        return kernel_signal(statistics)

    def _links(self, labels: Sequence[int], positions: RealArray) -> tuple[RealArray, RealArray]:
        """Angles and delays [rad per subcarrier] of labelled positions, (N, K') each; the genie's where it knows."""
        geometry = node_to_point(self._scene.nodes, self._scene.orientations, positions)
        angles, delays = self._known
        theta = geometry.angle if angles is None else angles[:, list(labels)]
        psi = self._scale * geometry.delay_s if delays is None else delays[:, list(labels)]
        return np.ascontiguousarray(theta), np.ascontiguousarray(psi)

    def _estimate(self, trial: Trial, fit: Fit) -> LikelihoodEstimate:
        n_nodes, n_targets = len(self._scene.nodes), self._n_targets
        active = trial.signal.active
        amplitudes = np.full((n_nodes, n_nodes, n_targets), np.nan + 0j)
        amplitudes[:, active] = fit.amplitudes.reshape(n_nodes, len(active), n_targets)
        if len(self._lattice.tables) > 1:
            order = np.argsort(fit.targets.labels)
        else:
            order = np.argsort(-np.nansum(np.abs(amplitudes) ** 2, axis=(0, 1)), kind="stable")
        targets, area = fit.targets[[int(k) for k in order]], self._scene.area
        return LikelihoodEstimate(
            positions=targets.positions,
            amplitudes=amplitudes[:, :, order],
            angles=np.arctan2(np.sin(targets.theta), np.cos(targets.theta)),
            delays_s=targets.psi / self._scale,
            criterion=fit.value,
            noise_variance=trial.noise_variance(fit),
            gradient_norm=fit.decrement,
            iterations=fit.evaluations,
            converged=fit.converged,
            at_edge=bool(np.any((targets.positions <= area[:, 0]) | (targets.positions >= area[:, 1]))),
            mode=self.mode,
        )


ORDINARY = 2.0**100
"""Sums of squares up to this, and down to its inverse, are used as they are."""


def _normalized(statistics: Statistics) -> tuple[Statistics, int, int]:
    """Statistics of X and Y divided by powers of two, and those powers' exponents; 0 where the sums are ordinary.

    Products of sums of very small or large samples would leave the range of floating-point numbers. Powers of two
    change no digit.
    """
    sums = (float(np.einsum("lmimi->lmi", statistics.gram).real.max(initial=0.0)), statistics.energy)
    sent, received = (
        0 if total == 0 or 1 / ORDINARY <= total <= ORDINARY else math.frexp(total)[1] // 2 for total in sums
    )
    if not (sent or received):
        return statistics, 0, 0
    scaled = Statistics(
        cross=statistics.cross * 2.0 ** -(sent + received),
        gram=statistics.gram * 2.0 ** (-2 * sent),
        energy=math.ldexp(statistics.energy, -2 * received),
        n_samples=statistics.n_samples,
    )
    return scaled, sent, received


def localize(
    scenario: Scenario,
    X: AnyComplexArray,
    Y: AnyComplexArray,
    *,
    mode: str = "hybrid",
    search: Search | None = None,
) -> LikelihoodEstimate:
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
    NoEstimate : X or Y is zero, or no candidate has a finite likelihood.
    """
    return Localizer(scenario, mode, search)(X, Y)
