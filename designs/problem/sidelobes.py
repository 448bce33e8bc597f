"""Limits on the range sidelobes of a design: the autocorrelation of each link's power spectrum outside its main lobe.

A receiver that looks from target k at transmitter m sees the power spectrum p_{m,k,l} = a_t^T R_mm,l a_t^* (a_t the
steering vector of m towards k), whatever its own place, so N K spectra stand for all N^2 K links. Their range profile
is the autocorrelation r_{m,k}(phi) = sum_l p_{m,k,l} exp(j phi i_l) over the phase phi = 2 pi g (B/L) tau, i_l the
place of subcarrier l on the comb of spacing g that the node's subcarriers lie on. It is linear in the covariances,
has period 2 pi, and |r(-phi)| = |r(phi)|; phi = pi is the delay L / (2 g B). The limit

    |r_{m,k}(phi)| <= level_m r_{m,k}(0)     for edge_m <= phi <= pi

is a second-order cone at each phase. The edge is the first minimum of the profile of equal powers on the node's
subcarriers, times a factor that widens the main lobe. In P.1 other nodes are heard on the same subcarriers; their
cross-correlations are not sidelobes of a link, and are not limited.

A node of fewer than three subcarriers has no sidelobe, and one whose edge reaches phi = pi none outside its main lobe:
its links are not limited. Limits that would limit no link at all are refused.

Problems hold the limit at finitely many phases. These are an outer approximation, so a lower bound with them is a
bound for the whole interval; the maxima of a solution between them are found exactly and join them until none exceeds
the limit. The lowest level of n even tones with the edge at 2 pi / n is Dolph's 1 / T_{n-1}(1 / cos(pi / n)).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from disac.simulator import Scenario
from disac.simulator.steering import steering_vector

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]

EXCESS_TOLERANCE = 1e-7
"""Relative excess over the limit between the phases of a problem that calls for more phases."""
_LEAST_TONES = 3
_WHOLE_ARC = np.pi * (1 - 1e-9)
"""Edge from which on the main lobe counts as filling the period [rad]."""
_PHASES_PER_LOBE = 2
_GRID = 64
"""Points per tone of the grid that brackets maxima before Newton's method refines them."""


@dataclass(frozen=True, eq=False)
class Comb:
    """The subcarriers of one node as places on the densest comb that holds them all.

    Attributes
    ----------
    tones : (n,) subcarriers, ascending.
    spacing : g, the largest spacing of a comb that holds them; 0 for a single tone.
    """

    tones: IndexArray
    spacing: int

    @classmethod
    def of(cls, tones: IndexArray) -> Comb:
        """The comb of ascending subcarriers."""
        return cls(tones, int(np.gcd.reduce(np.diff(tones))) if len(tones) > 1 else 0)

    @property
    def places(self) -> IndexArray:
        """(n,) places on the comb, the first 0."""
        places: IndexArray = (self.tones - self.tones[0]) // max(self.spacing, 1)
        return places

    def waves(self, phase: RealArray) -> ComplexArray:
        """(J, n) exp(j phase i_l)."""
        result: ComplexArray = np.exp(1j * np.multiply.outer(np.asarray(phase, dtype=float), self.places))
        return result

    def extrema(self, powers: RealArray, low: float, *, minima: bool = False) -> tuple[RealArray, RealArray]:
        """Phases and values of all local maxima (or minima) of |r| on [low, pi], ends included.

        Parameters
        ----------
        powers : (n,) spectrum on the tones.
        """
        size = _GRID * (int(self.places[-1]) + 1)
        count = max(2, int(np.ceil(size * (np.pi - low) / (2 * np.pi))) + 1)
        grid, step = np.linspace(low, np.pi, count, retstep=True)
        sign = -1.0 if minima else 1.0
        values = sign * np.abs(self.waves(grid) @ powers)
        inner = np.flatnonzero((values[1:-1] >= values[:-2]) & (values[1:-1] >= values[2:])) + 1
        start = grid[inner]
        phase = start.copy()
        for _ in range(8):
            waves = self.waves(phase)
            value, slope, bend = (waves @ ((1j * self.places) ** k * powers) for k in range(3))
            first = (value.conj() * slope).real
            second = np.abs(slope) ** 2 + (value.conj() * bend).real
            move = np.divide(first, second, out=np.zeros_like(first), where=sign * second < 0)
            phase = np.clip(phase - move, np.maximum(start - step, low), np.minimum(start + step, np.pi))
        phase = np.concatenate([phase, [low, np.pi]])
        return phase, np.abs(self.waves(phase) @ powers)


@dataclass(frozen=True, eq=False)
class SidelobeLimits:
    """Limits |r_{m,k}(phi)| <= level_m r_{m,k}(0) on the arcs [edge_m, pi], and the phases where a problem holds them.

    Attributes
    ----------
    combs : the subcarriers of each node.
    level : (N,) amplitude ratio; 1 where a node has no sidelobe.
    edge : (N,) first phase that is limited [rad]; pi or more where the node's main lobe fills the period.
    node, target, phase : (J,) transmitter, target and phase of each limit of the problem.
    steering : (N, K, M_t) transmit steering vectors towards the targets.
    """

    combs: tuple[Comb, ...]
    level: RealArray
    edge: RealArray
    node: IndexArray
    target: IndexArray
    phase: RealArray
    steering: ComplexArray

    def __len__(self) -> int:
        return len(self.phase)

    @property
    def limited(self) -> IndexArray:
        """Nodes that have sidelobes, at least one: three tones or more, and an edge before half the period."""
        return np.flatnonzero(self.edge < _WHOLE_ARC)

    def spectra(self, covariances: ComplexArray) -> RealArray:
        """(N, K, L) power spectra a_t^T R_mm,l a_t^* of covariances (L, N M_t, N M_t)."""
        n_nodes, _, n_tx = self.steering.shape
        split = covariances.reshape(len(covariances), n_nodes, n_tx, n_nodes, n_tx)
        blocks = np.einsum("lninj->nlij", split)
        spectra: RealArray = np.real(
            np.einsum("nki,nlij,nkj->nkl", self.steering, blocks, self.steering.conj(), optimize=True)
        )
        return spectra

    def waves(self, n_subcarriers: int) -> ComplexArray:
        """(J, L) factors exp(j phi_j i_l) of the spectrum in each limit; 0 off the node's subcarriers."""
        result = np.zeros((len(self), n_subcarriers), dtype=complex)
        for node, comb in enumerate(self.combs):
            mine = np.flatnonzero(self.node == node)
            result[np.ix_(mine, comb.tones)] = comb.waves(self.phase[mine])
        return result

    def ratios(self, covariances: ComplexArray) -> RealArray:
        """(N, K) highest |r| / r(0) over the whole arc; 0 where there is none."""
        spectra = self.spectra(covariances)
        result = np.zeros(spectra.shape[:2])
        for node in self.limited:
            comb = self.combs[node]
            for target, spectrum in enumerate(spectra[node]):
                powers = np.maximum(spectrum[comb.tones], 0.0)
                _, values = comb.extrema(powers, self.edge[node])
                result[node, target] = values.max() / max(powers.sum(), np.finfo(float).tiny)
        return result

    def excess(self, covariances: ComplexArray) -> float:
        """Largest relative excess of |r| / r(0) over the level on any arc, negative with room."""
        return float(np.max(self.ratios(covariances)[self.limited] / self.level[self.limited, None])) - 1

    def with_maxima_of(
        self, covariances: ComplexArray, tolerance: float = EXCESS_TOLERANCE, apart: float = 0.0
    ) -> SidelobeLimits:
        """These limits with the phases of all maxima that exceed the level by more than ``tolerance``, or self.

        Parameters
        ----------
        apart : least distance of a new phase to those of the same link, times the number of tones [rad].
        """
        spectra = self.spectra(covariances)
        node, target, phase = [self.node], [self.target], [self.phase]
        for n in self.limited:
            for k, spectrum in enumerate(spectra[n]):
                powers = np.maximum(spectrum[self.combs[n].tones], 0.0)
                at, values = self.combs[n].extrema(powers, self.edge[n])
                new = np.unique(at[values > self.level[n] * powers.sum() * (1 + tolerance)])
                old = self.phase[(self.node == n) & (self.target == k)]
                if apart and len(old):
                    distance = np.abs(new[:, None] - old).min(axis=1)
                    new = new[distance * len(powers) > apart]
                node.append(np.full(len(new), n))
                target.append(np.full(len(new), k))
                phase.append(new)
        if sum(map(len, phase)) == len(self):
            return self
        return replace(self, node=np.concatenate(node), target=np.concatenate(target), phase=np.concatenate(phase))

    def at_level(self, level: RealArray) -> SidelobeLimits:
        """The same arcs and phases with other levels (N,)."""
        return replace(self, level=level)


def sidelobe_limits(
    scenario: Scenario, serves: NDArray[np.bool_], level_db: float | None = None, mainlobe: float = 1.0
) -> SidelobeLimits:
    """Limits for every transmitter and target, with a first set of phases.

    Parameters
    ----------
    serves : (N, L) whether a node transmits on a subcarrier; each node needs one.
    level_db : highest |r|^2 / r(0)^2 [dB]; None for what equal powers on the node's subcarriers have.
    mainlobe : edge of the main lobe in units of the first minimum of equal powers, at least 1.

    Raises
    ------
    ValueError : level or width out of range, or no node has a sidelobe to limit: each has fewer than three subcarriers,
        or no delay outside its main lobe.

    Warns
    -----
    UserWarning : some nodes have no sidelobe to limit, and their links are not limited.
    """
    if level_db is not None and not -300 <= level_db < 0:
        raise ValueError(f"sidelobe_db = {level_db}: must be within [-300, 0) dB")
    if not 1 <= mainlobe <= 1e6:
        raise ValueError(
            f"mainlobe = {mainlobe}: must be a number of at least 1, in units of the equal-power main lobe"
        )
    combs = tuple(Comb.of(np.flatnonzero(row)) for row in serves)
    edge = _edges(combs, mainlobe, serves.shape[1])
    angles = scenario.target_geometry.angle
    level = np.ones(len(combs))
    node, target, phase = [], [], []
    for n, comb in enumerate(combs):
        if edge[n] >= _WHOLE_ARC:
            continue
        flat = np.ones(len(comb.tones))
        level[n] = comb.extrema(flat, edge[n])[1].max() / flat.sum() if level_db is None else 10 ** (level_db / 20)
        lobes = (np.pi - edge[n]) / (2 * np.pi / (comb.places[-1] + 1))
        phases = np.linspace(edge[n], np.pi, max(3, int(np.ceil(_PHASES_PER_LOBE * lobes)) + 1))
        for k in range(scenario.n_targets):
            node.append(np.full(len(phases), n))
            target.append(np.full(len(phases), k))
            phase.append(phases)
    none = np.zeros(0)
    return SidelobeLimits(
        combs=combs,
        level=level,
        edge=edge,
        node=np.concatenate([none, *node]).astype(np.intp),
        target=np.concatenate([none, *target]).astype(np.intp),
        phase=np.concatenate([none, *phase]),
        steering=np.ascontiguousarray(steering_vector(angles, scenario.n_tx)),
    )


def _edges(combs: Sequence[Comb], mainlobe: float, n_subcarriers: int) -> RealArray:
    """(N,) edges of the main lobes [rad]; refuses those that leave no node a sidelobe, warns of nodes without one."""
    counts = [len(comb.tones) for comb in combs]
    if max(counts) < _LEAST_TONES:
        raise ValueError(
            f"n_subcarriers = {n_subcarriers}: no node transmits on more than {max(counts)}, must be at least "
            f"{_LEAST_TONES} on one node; fewer have no sidelobe to limit"
        )
    first = np.array([first_minimum(comb) for comb in combs])
    edge = np.minimum(np.pi, first * mainlobe)
    if edge.min() >= _WHOLE_ARC:
        raise ValueError(
            f"mainlobe = {mainlobe:g}: must be below {np.pi / first.min():g}, beyond which no delay is left outside "
            "the main lobe"
        )
    silent = np.flatnonzero(edge >= _WHOLE_ARC)
    if len(silent):
        shown = ", ".join(f"{n} ({counts[n]} subcarriers)" for n in silent)
        warnings.warn(
            f"nodes without a delay outside the main lobe, whose sidelobes are not limited: {shown}", stacklevel=5
        )
    return edge


def first_minimum(comb: Comb) -> float:
    """Phase of the first minimum of |r| for equal powers [rad]; pi for fewer than three tones, whose lobe is all."""
    if len(comb.tones) < _LEAST_TONES:
        return float(np.pi)
    phase, _ = comb.extrema(np.ones(len(comb.tones)), 0.0, minima=True)
    return float(np.min(phase[phase > 0]))
