r"""Ambiguity of localization: the concentrated likelihood that noise-free echoes give every candidate position.

For data mu made by the targets, the criterion of ``likelihood`` at candidate positions q is the energy of the part of
mu that signatures at q explain,

.. math:: f(q) = \sum_n (\Gamma_n(q, q_0) b_n)^H \, \Gamma_n(q, q)^{-1} \, \Gamma_n(q, q_0) b_n,
          \qquad \Gamma_n(q, q')[a, a'] = \langle\phi_{na}(q), \phi_{na'}(q')\rangle,

with signatures a = (m, k), the echo of transmitter m from target k at receiver n. White noise of variance sigma^2 adds
sigma^2 times the number of signatures to its mean everywhere, so f is the expected surface up to that constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disac.estimators.ml.likelihood import FIXED, FREE
from disac.estimators.ml.localization import MODES
from disac.estimators.ml.search import check_area, coarse_grid, main_lobe_m
from disac.simulator.checks import check_choice, check_integer, check_numbers, check_real
from disac.simulator.geometry import SPEED_OF_LIGHT
from disac.simulator.scenario import Scenario
from disac.simulator.steering import steering_vector
from disac.simulator.synthesis import check_scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

RANK_FLOOR = 1e-10
"""Eigenvalue of a Gram matrix with unit diagonal below which a direction counts as lost."""

OTHERS = ("absent", "held", "unmodelled")
"""absent: only this target's echo exists. held: the other targets exist and are modelled at their true positions.
unmodelled: the other targets exist, the criterion knows of one target only."""

_CHUNK = 4096
_MAX_CLIMB = 80


class Signatures:
    """Inner products between the signatures of any positions, under given transmit signals.

    Parameters
    ----------
    scenario : nodes, arrays, bandwidth; its targets tell a genie mode the known angles or delays.
    signal : (L, N M_t, N M_t) covariances of a design, for ``scenario.n_symbols`` symbols, or (N, M_t, L, T) symbols.
    mode : "hybrid", "tof-genie" or "aoa-genie".

    Raises
    ------
    ValueError : the signal has neither shape, or the mode is unknown or has free link variables.
    """

    def __init__(self, scenario: Scenario, signal: NDArray[np.complexfloating], mode: str = "hybrid") -> None:
        if not isinstance(mode, str) or mode not in MODES or FREE in MODES[mode]:
            allowed = ", ".join(name for name, rules in MODES.items() if FREE not in rules)
            raise ValueError(
                f"mode = {mode!r}: must be one of {allowed}; the criterion has to be a function of position"
            )
        self.scenario = scenario
        self.mode = mode
        self.gram = transmit_gram(scenario, signal)
        self.active: NDArray[np.intp] = np.flatnonzero(np.einsum("lmimi->m", self.gram).real > 0)
        self._sends = np.einsum("lmimi->ml", self.gram).real > 0
        self._scale = 2 * np.pi * scenario.bandwidth_hz / (scenario.n_subcarriers * SPEED_OF_LIGHT)

    def links(self, positions: RealArray, labels: Sequence[int]) -> tuple[RealArray, RealArray]:
        """Angles and delays [rad per subcarrier], (G, K', N) each, of positions (G, K', 2) of the labelled targets."""
        s = self.scenario
        offset = positions[..., None, :] - s.nodes
        links = [np.arctan2(offset[..., 1], offset[..., 0]) - s.orientations, self._scale * np.hypot(*offset.T).T]
        truth = s.target_geometry
        known = [truth.angle, self._scale * truth.distance_m]
        for i in (0, 1):
            if MODES[self.mode][i] == FIXED:
                links[i] = np.broadcast_to(known[i][:, list(labels)].T, offset.shape[:-1])
        return links[0], links[1]

    def between(
        self, a: RealArray, b: RealArray, labels_a: Sequence[int] = (0,), labels_b: Sequence[int] = (0,)
    ) -> ComplexArray:
        """Gram matrices Gamma_n(a, b) of positions a (G, K_a, 2) and b (G or 1, K_b, 2).

        Returns
        -------
        (G, N, A_a, A_b), receivers on axis 1, signatures (m, k) with m over :attr:`active` and k fastest.
        """
        theta_a, psi_a = self.links(a, labels_a)
        theta_b, psi_b = self.links(b, labels_b)
        n_points, n_a, n_nodes = theta_a.shape
        n_b, n_active = theta_b.shape[1], len(self.active)
        out = np.zeros((n_points, n_nodes, n_active, n_a, n_active, n_b), dtype=complex)
        for i in range(n_a):
            for j in range(n_b):
                out[:, :, :, i, :, j] = self._pair(theta_a[:, i], psi_a[:, i], theta_b[:, j], psi_b[:, j])
        return out.reshape(n_points, n_nodes, n_active * n_a, n_active * n_b)

    def _pair(self, theta_a: RealArray, psi_a: RealArray, theta_b: RealArray, psi_b: RealArray) -> ComplexArray:
        s = self.scenario
        n_tx = s.n_tx
        beams_a, beams_b = steering_vector(theta_a, n_tx).conj(), steering_vector(theta_b, n_tx)
        receive = np.sum(steering_vector(theta_a, s.n_rx).conj() * steering_vector(theta_b, s.n_rx), axis=-1)
        turn = np.exp(1j * (psi_a - psi_b))
        out = np.zeros((len(theta_a), s.n_nodes, len(self.active), len(self.active)), dtype=complex)
        for line in range(s.n_subcarriers):
            rotation = turn**line
            for i, m in enumerate(self.active):
                if not self._sends[m, line]:
                    continue
                for j, m2 in enumerate(self.active):
                    if not self._sends[m2, line]:
                        continue
                    echo = np.sum((beams_b[:, m2] @ self.gram[line, m2, :, m, :]) * beams_a[:, m], axis=-1)
                    echo = echo * np.exp(1j * line * (psi_a[:, m] - psi_b[:, m2]))
                    out[:, :, i, j] += echo[:, None] * rotation
        out *= receive[..., None, None]
        return out

    def amplitudes(self, labels: Sequence[int]) -> ComplexArray:
        """True amplitudes (N, A) of the targets, in the order of the signatures of :meth:`between`."""
        chosen = self.scenario.amplitudes[:, self.active][:, :, list(labels)]
        return chosen.reshape(len(chosen), -1)

    def explained(
        self,
        candidates: RealArray,
        labels: Sequence[int] = (0,),
        echoes: Sequence[int] = (0,),
    ) -> RealArray:
        """Criterion f at candidates (G, K', 2) for the noise-free echoes of the targets ``echoes``, shape (G,)."""
        truth = self.scenario.targets[list(echoes)][None]
        b = self.amplitudes(echoes)
        values = np.empty(len(candidates))
        for start in range(0, len(candidates), _CHUNK):
            part = candidates[start : start + _CHUNK]
            score = np.einsum("gnac,nc->gna", self.between(part, truth, labels, echoes), b)
            root = inverse_root(self.between(part, part, labels, labels))
            values[start : start + _CHUNK] = np.sum(
                np.abs(np.einsum("gnac,gna->gnc", root.conj(), score)) ** 2, axis=(1, 2)
            )
        return values


def transmit_gram(scenario: Scenario, signal: NDArray[np.complexfloating]) -> ComplexArray:
    """Sums x_l[t] x_l[t]^H over the symbols, (L, N, M_t, N, M_t), of covariances (times T) or of transmit symbols."""
    s = scenario
    signal = check_numbers("signal", signal)
    size = s.n_nodes * s.n_tx
    if signal.shape == (s.n_subcarriers, size, size):
        gram = s.n_symbols * signal.astype(complex)
    elif signal.ndim == 4 and signal.shape[:3] == (s.n_nodes, s.n_tx, s.n_subcarriers):
        stacked = signal.transpose(2, 0, 1, 3).reshape(s.n_subcarriers, size, -1).astype(complex)
        gram = stacked @ stacked.conj().swapaxes(1, 2)
    else:
        raise ValueError(
            f"signal: has shape {signal.shape}, must be covariances {(s.n_subcarriers, size, size)} (L, N M_t, N M_t) "
            f"or symbols {(s.n_nodes, s.n_tx, s.n_subcarriers, 'T')} (N, M_t, L, T)"
        )
    return gram.reshape(s.n_subcarriers, s.n_nodes, s.n_tx, s.n_nodes, s.n_tx)


def inverse_root(gram: ComplexArray) -> ComplexArray:
    """Matrices W (..., A, A) with W^H Gamma W = I on the range of Gamma; columns of lost directions are zero."""
    diagonal = np.einsum("...aa->...a", gram).real
    scale = np.zeros_like(diagonal)
    np.divide(1.0, np.sqrt(np.maximum(diagonal, 0)), out=scale, where=diagonal > 0)
    values, vectors = np.linalg.eigh(gram * scale[..., :, None] * scale[..., None, :])
    weights = np.zeros_like(values)
    np.divide(1.0, np.sqrt(np.maximum(values, 0)), out=weights, where=values > RANK_FLOOR)
    root: ComplexArray = scale[..., :, None] * vectors * weights[..., None, :]
    return root


@dataclass(frozen=True)
class Peak:
    """A local maximum of the surface within the area: position (x, y) [m] and level relative to the main peak."""

    position: tuple[float, float]
    level: float

    @property
    def level_db(self) -> float:
        """Level [dB]."""
        return float(10 * np.log10(self.level))


@dataclass(frozen=True)
class AmbiguitySurface:
    """Expected criterion of one target over the area, relative to its main peak.

    Attributes
    ----------
    x, y : (nx,), (ny,) grid [m].
    level : (ny, nx) criterion over its main peak.
    main : the highest peak; the true position unless other targets are unmodelled.
    sidelobes : all other local maxima in the area, refined off the grid, the highest first.
    mode, others, target : how the surface was made.
    """

    x: RealArray
    y: RealArray
    level: RealArray
    main: Peak
    sidelobes: tuple[Peak, ...]
    mode: str
    others: str
    target: int

    @property
    def peak_sidelobe(self) -> Peak | None:
        """The highest sidelobe, if there is one."""
        return self.sidelobes[0] if self.sidelobes else None


def default_step_m(scenario: Scenario, mode: str, area: RealArray | None = None) -> float:
    """A sixth of the width of the main lobe across the area [m]."""
    angles, delays = (rule != FIXED for rule in MODES[mode])
    return main_lobe_m(scenario, scenario.area if area is None else area, angles=angles, delays=delays) / 6


def ambiguity_surface(
    scenario: Scenario,
    signal: NDArray[np.complexfloating],
    *,
    mode: str = "hybrid",
    target: int = 0,
    others: str = "absent",
    step_m: float | None = None,
    area: RealArray | None = None,
) -> AmbiguitySurface:
    """Surface of the expected criterion as ``target`` is moved over the area.

    With ``others`` = "held" the value is what the target adds to the criterion of the other ones at their true
    positions, the slice of the joint surface along this target; at another
    target, and at its aliases, it has no limit.

    Parameters
    ----------
    signal : covariances or symbols, see :class:`Signatures`.
    step_m : grid step [m], by default a sixth of the main lobe's width. Lobes of angle narrow towards a node, so near
        to one a smaller step may find more of them.
    area : [[x_min, x_max], [y_min, y_max]] [m], by default the scenario's; must hold the target.

    Raises
    ------
    ValueError : wrong signal, mode, target, ``others``, step or area.
    """
    s = scenario
    check_scenario(s)
    check_integer("target", target, 0, s.n_targets - 1)
    check_choice("others", others, OTHERS)
    area = check_area(s.area if area is None else area)
    truth = s.targets[target]
    if np.any(truth < area[:, 0]) or np.any(truth > area[:, 1]):
        raise ValueError(f"area = {area.tolist()}: must hold target {target} at {truth.tolist()}")
    signatures = Signatures(s, signal, mode)
    if step_m is None:
        step_m = default_step_m(s, mode, area)
    check_real("step_m", step_m, 0, above=True, unit="m")
    surface = TargetCriterion(signatures, target, others)
    grid = coarse_grid(area, step_m)
    x, y = np.unique(grid.points[:, 0]), np.unique(grid.points[:, 1])
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    level = surface(points).reshape(len(y), len(x))
    starts = points[local_maxima(level).ravel()]
    if others != "unmodelled":
        starts = np.vstack([truth, starts])
    at, values = climb(surface, starts, area, max(x[1] - x[0], y[1] - y[0]))
    order = np.argsort(-values, kind="stable")
    kept: list[int] = []
    for i in order:
        if all(np.hypot(*(at[i] - at[j])) > step_m / 4 for j in kept):
            kept.append(int(i))
    peaks = [Peak((float(at[i, 0]), float(at[i, 1])), float(values[i] / values[kept[0]])) for i in kept]
    return AmbiguitySurface(x, y, level / values[kept[0]], peaks[0], tuple(peaks[1:]), mode, others, target)


class TargetCriterion:
    """Expected criterion as a function of the position of one target; see ``OTHERS`` for what becomes of the others."""

    def __init__(self, signatures: Signatures, target: int, others: str) -> None:
        rest = [k for k in range(signatures.scenario.n_targets) if k != target]
        self.signatures = signatures
        self.echoes = [target] if others == "absent" else [target, *rest]
        self.held = rest if others == "held" else []
        self.target = target
        self.offset = 0.0
        if self.held:
            truth = signatures.scenario.targets[self.held][None]
            self.offset = float(signatures.explained(truth, self.held, self.echoes)[0])

    def __call__(self, points: RealArray) -> RealArray:
        """Values (G,) at positions (G, 2)."""
        held = np.broadcast_to(self.signatures.scenario.targets[self.held], (len(points), len(self.held), 2))
        candidates = np.concatenate([points[:, None], held], axis=1)
        return self.signatures.explained(candidates, [self.target, *self.held], self.echoes) - self.offset


def local_maxima(level: RealArray) -> NDArray[np.bool_]:
    """Cells of a (ny, nx) grid not below any of their up to eight neighbours."""
    padded = np.pad(level, 1, constant_values=-np.inf)
    highest = np.ones(level.shape, dtype=bool)
    ny, nx = level.shape
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            if (dy, dx) != (1, 1):
                highest &= level >= padded[dy : dy + ny, dx : dx + nx]
    return highest


def climb(surface: TargetCriterion, starts: RealArray, area: RealArray, step_m: float) -> tuple[RealArray, RealArray]:
    """Local maxima of a surface near the starts, inside the area, all starts together.

    On a 3 x 3 stencil round each point the better of its best point and a Newton step is taken; the stencil widens with
    long steps and shrinks without gain, down to 1e-5 ``step_m``.
    """
    offsets = np.array([(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], dtype=float)
    at = starts.copy()
    values = surface(at)
    steps = np.full(len(at), step_m / 2)
    for _ in range(_MAX_CLIMB):
        going = np.flatnonzero(steps > 1e-5 * step_m)
        if not len(going):
            break
        rows, h = np.arange(len(going)), steps[going]
        around = np.clip(at[going, None] + h[:, None, None] * offsets, area[:, 0], area[:, 1])
        f = surface(around.reshape(-1, 2)).reshape(-1, 9)
        newton = at[going] + _ascent(f) * h[:, None]
        newton = np.clip(newton, area[:, 0], area[:, 1])
        points = np.concatenate([around, newton[:, None]], axis=1)
        f = np.concatenate([f, surface(newton)[:, None]], axis=1)
        best = np.argmax(f, axis=1)
        better = f[rows, best] > values[going] * (1 + 1e-13)
        moved = np.where(better, np.hypot(*(points[rows, best] - at[going]).T), 0.0)
        at[going[better]] = points[rows, best][better]
        values[going[better]] = f[rows, best][better]
        steps[going] = np.clip(moved, h / 4, 2 * h)
    return at, values


def _ascent(f: RealArray) -> RealArray:
    """Newton steps uphill, in stencil widths and at most 2 long, on the quadratics through 3 x 3 stencils (P, 9).

    The step divides by the absolute curvatures, so that it also climbs along a ridge that is not concave.
    """
    slope = np.stack([f[:, 5] - f[:, 3], f[:, 7] - f[:, 1]], axis=-1) / 2
    hxx, hyy = f[:, 5] + f[:, 3] - 2 * f[:, 4], f[:, 7] + f[:, 1] - 2 * f[:, 4]
    hxy = (f[:, 8] - f[:, 6] - f[:, 2] + f[:, 0]) / 4
    curvature, axes = np.linalg.eigh(np.stack([hxx, hxy, hxy, hyy], axis=-1).reshape(-1, 2, 2))
    along = np.einsum("pij,pi->pj", axes, slope)
    along = np.divide(along, np.abs(curvature), out=np.zeros_like(along), where=curvature != 0)
    step = np.einsum("pij,pj->pi", axes, along)
    length = np.maximum(np.hypot(*step.T), 1e-300)
    limited: RealArray = step * (np.minimum(length, 2) / length)[:, None]
    return limited
