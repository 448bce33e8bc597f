"""Cramer-Rao bounds of the target positions from the Fisher information (Section III-B)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disac.designs.bounds.clocks import check_clock_std, clock_prior
from disac.designs.bounds.fisher import FisherOperator, check_covariances, check_n_symbols
from disac.designs.bounds.information import ComplexArray, InformationBlocks, RealArray
from disac.simulator import Scenario

_EPSILON = float(np.finfo(float).eps)
_TOLERANCE = 0.1
"""Largest estimate of the relative rounding error of a bound at which it is still a number."""


class Unidentifiable(ValueError):
    """The signal carries no information, to rounding, on a target's position in some direction.

    Attributes
    ----------
    target : index of the first such target.
    direction : (2,) unit vector in which its position is not identifiable.
    direction_deg : angle of that direction from the x axis, in [0, 180) [degrees].
    """

    def __init__(self, target: int, direction: RealArray, message: str) -> None:
        super().__init__(message)
        self.target = target
        self.direction = direction
        self.direction_deg = _angle_deg(direction)

    def __reduce__(self) -> tuple[type[Unidentifiable], tuple[int, RealArray, str]]:
        return type(self), (self.target, self.direction, str(self))


@dataclass(frozen=True, eq=False)
class Bound:
    """Position bound with its root figures [m].

    Attributes
    ----------
    covariance : (2K, 2K) bound on the error covariance, order x_1..x_K, y_1..y_K [m^2].
    """

    covariance: RealArray

    @property
    def x(self) -> RealArray:
        """(K,) root bound on x of each target [m]."""
        roots: RealArray = np.sqrt(np.diag(self.covariance)[: len(self.covariance) // 2])
        return roots

    @property
    def y(self) -> RealArray:
        """(K,) root bound on y of each target [m]."""
        roots: RealArray = np.sqrt(np.diag(self.covariance)[len(self.covariance) // 2 :])
        return roots

    @property
    def per_target(self) -> RealArray:
        """(K,) root bound on the distance error of each target, sqrt(x^2 + y^2) [m]."""
        roots: RealArray = np.hypot(self.x, self.y)
        return roots

    @property
    def total(self) -> float:
        """Root of the trace over all targets [m]."""
        return float(np.sqrt(np.trace(self.covariance)))


def crb(
    scenario: Scenario,
    covariances: ComplexArray,
    mode: str = "hybrid",
    n_symbols: int = 1,
    *,
    clock_std_s: float = 0.0,
    clock_offsets_s: ArrayLike | None = None,
) -> RealArray:
    """Cramer-Rao bound of the target positions from ``n_symbols`` OFDM symbols with covariances R[l, i, j].

    Parameters
    ----------
    scenario : the truth; its own number of symbols does not enter.
    covariances : (L, N M_t, N M_t) Hermitian PSD: those of a design for the *expected* bound,
        :func:`~disac.designs.sample_covariances` of one signal for its *realized* bound.
    mode : see :class:`~disac.designs.FisherOperator`.
    n_symbols : number of OFDM symbols.
    clock_std_s : standard deviation of every node's independent clock offset [s]; ``math.inf`` for free clocks. The
        prior counts once, whatever the number of symbols: the bound is that of T F + J.
    clock_offsets_s : (N,) true clock offsets [s], which matter where nodes share subcarriers; default none.

    Returns
    -------
    (2K, 2K) bound on the error covariance, order x_1..x_K, y_1..y_K [m^2]; :class:`Bound` reads it.

    Raises
    ------
    Unidentifiable : a position is not determined in some direction.
    ValueError : wrong shape or value.
    """
    check_n_symbols(n_symbols)
    check_covariances(scenario, covariances)
    clocks = check_clock_std(clock_std_s) > 0 and scenario.n_nodes > 1
    operator = FisherOperator(scenario, mode, clocks=clocks, clock_offsets_s=clock_offsets_s)
    blocks = operator.blocks(covariances)
    if not clocks:
        return crb_from_blocks(blocks) / n_symbols
    prior = clock_prior(scenario.n_nodes, clock_std_s) / n_symbols
    return crb_from_blocks(blocks.with_nuisance_prior(prior)) / n_symbols


def crb_from_fisher(information: RealArray, n_targets: int) -> RealArray:
    """Position bound (2K, 2K) [m^2] of a Fisher information matrix in the order of :class:`FisherOperator`.

    Raises
    ------
    Unidentifiable, ValueError : as in :func:`crb`; a matrix whose size fits no mode.
    """
    return crb_from_blocks(InformationBlocks.from_matrix(information, n_targets))


def crb_from_blocks(blocks: InformationBlocks) -> RealArray:
    """Position bound (2K, 2K) [m^2] of the information blocks: the inner loop of :func:`crb`.

    Amplitudes are eliminated receive node by receive node, then the nuisance angles or delays, by Schur complements of
    blocks normalized by their diagonals. Parameters without information (amplitudes of a node that transmits nothing)
    drop out: their rows are zero, and a ridge at the level of rounding replaces the missing diagonal.

    The test for identifiability compares the eigenvalues of the information on positions that is left, relative to the
    information before the elimination, with the rounding error of the eliminations. Both coordinates of one target
    share one scale, so no choice of units matters and no axis is special. Where the estimate of the relative rounding
    error of the bound exceeds 10 %, there is no number.
    """
    n_positions = 2 * blocks.n_targets
    scale = _geometry_scale(blocks)
    rounding = _EPSILON * (len(scale) + 2 * blocks.amplitude.shape[0] * blocks.amplitude.shape[1])

    left = blocks.geometry / np.outer(scale, scale)
    diagonal = np.einsum("nii->ni", blocks.amplitude).real
    amplitude_scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    amplitude = blocks.amplitude / (amplitude_scale[:, :, None] * amplitude_scale[:, None, :])
    cross = blocks.cross / (scale[:, None] * amplitude_scale[:, None, :])
    left, rounding = _eliminate(left, cross, amplitude, rounding)
    if len(left) > n_positions:
        left, rounding = _eliminate(
            left[:n_positions, :n_positions],
            left[None, :n_positions, n_positions:],
            left[None, n_positions:, n_positions:],
            rounding,
        )

    eigenvalues, vectors = np.linalg.eigh(left)
    if eigenvalues[0] < -rounding:
        raise ValueError(
            f"the information on positions has the negative eigenvalue {eigenvalues[0]:.3g} relative to its scale: "
            "the covariances must be Hermitian and positive semidefinite"
        )
    unseen = eigenvalues <= rounding / _TOLERANCE
    if unseen.any():
        raise _unidentifiable(vectors[:, unseen])
    roots = vectors / (np.sqrt(eigenvalues) * scale[:n_positions, None])
    bound: RealArray = roots @ roots.T
    return bound


def _geometry_scale(blocks: InformationBlocks) -> RealArray:
    """Root information of each geometry parameter, one figure for both coordinates of a target; 1 where it is zero."""
    diagonal = np.diag(blocks.geometry).copy()
    if not np.all(np.isfinite(diagonal)):
        raise ValueError("the information is not finite: covariances and amplitudes must be finite")
    n_targets = blocks.n_targets
    diagonal[: 2 * n_targets] = np.tile((diagonal[:n_targets] + diagonal[n_targets : 2 * n_targets]) / 2, 2)
    scale: RealArray = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    return scale


def _eliminate(
    kept: RealArray, cross: NDArray[np.inexact], removed: NDArray[np.inexact], rounding: float
) -> tuple[RealArray, float]:
    """Schur complement kept - sum_n Re(cross_n removed_n^-1 cross_n^H), and the rounding error that it carries.

    A perturbation delta of a removed block changes the complement by X^H delta X with X = removed^-1 cross^H. With a
    ridge of the size of the blocks' own rounding error, a direction without information contributes no more than that.
    """
    ridge = rounding * np.eye(removed.shape[1])
    solved = np.linalg.solve(removed + ridge, cross.conj().swapaxes(1, 2))
    complement = kept - np.einsum("nsa,nat->st", cross, solved).real
    return (complement + complement.T) / 2, rounding * (1.0 + float(np.vdot(solved, solved).real))


def _unidentifiable(null_vectors: RealArray) -> Unidentifiable:
    """The error for null directions (2K, r) of the information on positions."""
    n_targets = len(null_vectors) // 2
    per_target = [np.linalg.svd(null_vectors[[k, n_targets + k]], full_matrices=False) for k in range(n_targets)]
    largest = max(weights[0] for _, weights, _ in per_target)
    lines: list[str] = []
    found: list[tuple[int, RealArray]] = []
    for target, (directions, weights, _) in enumerate(per_target):
        if weights[0] < 0.1 * largest:
            continue
        direction = directions[:, 0] if _points_up(directions[:, 0]) else -directions[:, 0]
        found.append((target, direction))
        if len(weights) > 1 and weights[1] >= 0.1 * largest:
            lines.append(f"target {target} is not identifiable in any direction")
        else:
            lines.append(
                f"target {target} is not identifiable along ({direction[0]:.6g}, {direction[1]:.6g}), "
                f"{_angle_deg(direction):.6g} degrees from the x axis"
            )
    return Unidentifiable(*found[0], "; ".join(lines))


def _points_up(direction: RealArray) -> bool:
    return bool(direction[1] > 0 or (direction[1] == 0 and direction[0] > 0))


def _angle_deg(direction: RealArray) -> float:
    return float(np.rad2deg(np.arctan2(direction[1], direction[0])) % 180.0)
