"""Cramer-Rao bounds of the target positions from the Fisher information (Section III-B)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from disac.designs.bounds import elimination
from disac.designs.bounds.clocks import check_clock_std, clock_prior
from disac.designs.bounds.elimination import EPSILON, PositionInformation
from disac.designs.bounds.fisher import FisherOperator, check_covariances, check_n_symbols
from disac.designs.bounds.information import ComplexArray, InformationBlocks, RealArray
from disac.designs.bounds.motion import MotionOperator
from disac.simulator import Scenario
from disac.simulator.checks import check_instance

WORST_ERROR = 1e-3
"""Largest estimate of the relative rounding error of a bound at which it is a number."""
_FAST_ERROR = 1e-8
"""Largest estimate at which a bound from Gram matrices is taken."""
_AVOIDED = 1e-8
"""Share of the power sent in all directions below which the echoes of a target are looked at more closely."""


class Unidentifiable(ValueError):
    """The signal carries no information, to rounding, on a target's position in some direction.

    Attributes
    ----------
    target : index of the first such target.
    direction : (2,) unit vector in which its position is not identifiable.
    direction_deg : angle of that direction from the x axis, in [0, 180) [degrees].
    condition : factor by which the problem enlarges relative rounding errors on their way into the bound; infinite
        where no digit is left to tell it from one without information.
    """

    def __init__(self, target: int, direction: RealArray, message: str, condition: float = float("inf")) -> None:
        super().__init__(message)
        self.target = target
        self.direction = direction
        self.direction_deg = _angle_deg(direction)
        self.condition = condition

    def __reduce__(self) -> tuple[type[Unidentifiable], tuple[int, RealArray, str, float]]:
        return type(self), (self.target, self.direction, str(self), self.condition)


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
    velocity: bool = False,
) -> RealArray:
    """Cramer-Rao bound of the target positions from ``n_symbols`` OFDM symbols with covariances R[l, i, j].

    Its trace is Eq. (13).

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
    velocity : whether the targets' velocities are unknown too. Then ``n_symbols`` is the whole frame, in which the
        echoes turn, and ``covariances`` may be (3, L, N M_t, N M_t), the :func:`~disac.designs.time_moments` of one
        signal. Hybrid mode only.

    Returns
    -------
    (2K, 2K) bound on the error covariance, order x_1..x_K, y_1..y_K [m^2]; :class:`Bound` reads it. With ``velocity``
    (4K, 4K), order x, y, v_x, v_y [m and m/s].

    Raises
    ------
    Unidentifiable : a position is not determined in some direction, or so badly that rounding decides the bound: its
        ``condition`` says how badly.
    ValueError : wrong shape or value.

    Notes
    -----
    The relative rounding error is estimated and below 1e-8 in all but nearly unidentifiable scenes, and never above
    1e-3: see :func:`position_information`.
    """
    check_n_symbols(n_symbols)
    check_instance("velocity", velocity, bool)
    for matrices in covariances if velocity and np.ndim(covariances) == 4 else [covariances]:
        check_covariances(scenario, matrices)
    clocks = check_clock_std(clock_std_s) > 0 and scenario.n_nodes > 1
    if velocity:
        if mode != "hybrid":
            raise ValueError(f"mode = {mode!r}: must be 'hybrid' where velocities are unknown")
        moving = MotionOperator(scenario, clocks=clocks, clock_offsets_s=clock_offsets_s).blocks(covariances, n_symbols)
        return crb_from_blocks(
            moving.with_nuisance_prior(clock_prior(scenario.n_nodes, clock_std_s)) if clocks else moving
        )
    operator = FisherOperator(scenario, mode, clocks=clocks, clock_offsets_s=clock_offsets_s)
    prior = clock_prior(scenario.n_nodes, clock_std_s) / n_symbols if clocks else None
    return position_information(operator, covariances, prior).covariance / n_symbols


def crb_of_operator(operator: FisherOperator, covariances: ComplexArray) -> RealArray:
    """Position bound of one symbol at an operator that is prepared once: the inner loop of :func:`crb`.

    Parameters
    ----------
    operator : FisherOperator
        The truth.
    covariances : ndarray, shape (L, N M_t, N M_t)
        Hermitian PSD R[l, i, j]; taken as they are.

    Returns
    -------
    ndarray, shape (2K, 2K)
        Bound on the error covariance, order x_1..x_K, y_1..y_K [m^2].

    Raises
    ------
    Unidentifiable
        As in :func:`crb`.

    Examples
    --------
    >>> import numpy as np
    >>> from disac.designs import FisherOperator, crb_of_operator
    >>> from disac.simulator import Scenario
    >>> scene = Scenario.preset("fig7")
    >>> R = np.broadcast_to(np.eye(24), (16, 24, 24)) / 16
    >>> crb_of_operator(FisherOperator(scene), R).shape
    (2, 2)
    """
    return position_information(operator, covariances).covariance


def position_information(
    operator: FisherOperator, covariances: ComplexArray, prior: RealArray | None = None
) -> PositionInformation:
    """The information on positions of one symbol, with every figure right to its stated digits.

    Gram matrices decide where rounding enlarges to no more than 1e-8 in them. Elsewhere the same is computed by
    orthogonal transformations of the derivatives, which lose half as many digits (:mod:`.elimination`).

    Parameters
    ----------
    operator : the truth.
    covariances : (L, D, D) R[l, i, j].
    prior : (Z, Z) prior information on the last Z nuisance parameters; default none.

    Raises
    ------
    Unidentifiable : a position is not determined; or rounding would decide more than 1e-3 of its bound.
    ValueError : wrong shape; covariances that are not positive semidefinite.
    """
    blocks = operator.blocks(covariances)
    if prior is not None:
        blocks = blocks.with_nuisance_prior(prior)
    information = elimination.from_blocks(blocks)
    apart = information.full_rank or elimination.same_point(blocks) is None
    if apart and information.error <= _FAST_ERROR and _are_seen(operator, covariances, blocks):
        return information
    return factor_information(operator, covariances, prior)


def factor_information(
    operator: FisherOperator, covariances: ComplexArray, prior: RealArray | None = None
) -> PositionInformation:
    """:func:`position_information` by orthogonal transformations, which also tell the dependent parameters."""
    factors = operator.triangular_factors(covariances)
    n_targets = operator.scenario.n_targets
    rounding = operator.rounding
    everywhere = operator.blocks(_in_all_directions(operator, covariances))
    reference = (
        np.sqrt(np.diag(everywhere.geometry)),
        np.sqrt(np.einsum("nii->ni", everywhere.amplitude).real),
    )
    information = elimination.from_factors(factors, n_targets, reference, rounding, prior)
    if not information.full_rank:
        _require_apart(elimination.same_columns(factors, n_targets, rounding), operator.scenario)
    return _required(information, rounding, n_targets)


def _node_powers(operator: FisherOperator, covariances: ComplexArray) -> RealArray:
    """(L, N) power that each node sends per antenna on each subcarrier."""
    s = operator.scenario
    diagonal = np.diagonal(covariances, axis1=1, axis2=2).real
    powers: RealArray = diagonal.reshape(s.n_subcarriers, s.n_nodes, s.n_tx).mean(axis=2)
    return powers


def _in_all_directions(operator: FisherOperator, covariances: ComplexArray) -> ComplexArray:
    """Covariances of uncorrelated antennas with the power of each node on each subcarrier."""
    powers = np.repeat(_node_powers(operator, covariances), operator.scenario.n_tx, axis=1)
    return np.asarray(powers[:, :, None] * np.eye(operator.dimension), dtype=complex)


def _are_seen(operator: FisherOperator, covariances: ComplexArray, blocks: InformationBlocks) -> bool:
    """Whether some signal towards each target is more than what rounding leaves where all of them avoid it."""
    s = operator.scenario
    sent = operator.scale * s.n_tx * s.n_rx * _node_powers(operator, covariances).sum(axis=0).max()
    echoes = np.einsum("nii->ni", blocks.amplitude).real.reshape(-1, s.n_targets)
    return bool(echoes.max(axis=0).min() > _AVOIDED * sent)


def _require_apart(pair: tuple[int, int] | None, scenario: Scenario | None = None) -> None:
    if pair is None:
        return
    first, second = pair
    direction: RealArray = np.array([1.0, 0.0])
    where = ""
    if scenario is not None:
        offset = scenario.targets[second] - scenario.targets[first]
        distance = float(np.hypot(*offset))
        direction, where = offset / distance, f", {distance:.3g} m apart"
    raise Unidentifiable(
        first,
        direction,
        f"target {first} is not identifiable: its echoes and those of target {second}{where}, are the same",
    )


def _required(information: PositionInformation, rounding: float, n_targets: int) -> PositionInformation:
    """The information, if its bound is a number."""
    unseen = ~(information.relative_error <= WORST_ERROR)
    if unseen.any():
        best = float(information.relative_error[unseen].min())
        raise _unidentifiable(information.eigenvectors[:, unseen], best / rounding, n_targets)
    return information


def crb_from_fisher(information: RealArray, n_targets: int) -> RealArray:
    """Position bound (2K, 2K) [m^2] of a Fisher information matrix in the order of :class:`FisherOperator`.

    Raises
    ------
    Unidentifiable, ValueError : as in :func:`crb`; a matrix whose size fits no mode.
    """
    return crb_from_blocks(InformationBlocks.from_matrix(information, n_targets))


def crb_from_blocks(blocks: InformationBlocks) -> RealArray:
    """Bound (2K, 2K) on positions [m^2], or (4K, 4K) on positions and velocities, of the information blocks.

    Gram matrices hold half the digits of the derivatives that they come from: nearly unidentifiable scenes are
    ``Unidentifiable`` here sooner than in :func:`crb`. Both coordinates of one target share one scale, so no choice of
    units matters and no axis is special.

    Raises
    ------
    Unidentifiable, ValueError : as in :func:`crb`.
    """
    information = elimination.from_blocks(blocks)
    if not information.full_rank:
        _require_apart(elimination.same_point(blocks))
    return _required(information, EPSILON, blocks.n_targets).covariance


def _unidentifiable(null_vectors: RealArray, condition: float, n_targets: int) -> Unidentifiable:
    """The error for directions (2K or 4K, r) in which the information is null, or drowns in rounding."""
    wanted = "target"
    halves = np.split(null_vectors, len(null_vectors) // (2 * n_targets))
    null_vectors = max(halves, key=np.linalg.norm)
    if null_vectors is not halves[0]:
        wanted = "the velocity of target"
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
            lines.append(f"{wanted} {target} is not identifiable in any direction")
        else:
            lines.append(
                f"{wanted} {target} is not identifiable along ({direction[0]:.6g}, {direction[1]:.6g}), "
                f"{_angle_deg(direction):.6g} degrees from the x axis"
            )
    if condition * EPSILON < 1:
        lines.append(f"rounding errors grow by a condition number of {condition:.2g}, so the bound would be noise")
    return Unidentifiable(*found[0], "; ".join(lines), condition)


def _points_up(direction: RealArray) -> bool:
    return bool(direction[1] > 0 or (direction[1] == 0 and direction[0] > 0))


def _angle_deg(direction: RealArray) -> float:
    return float(np.rad2deg(np.arctan2(direction[1], direction[0])) % 180.0)
