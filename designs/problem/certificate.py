"""Proof of what a solver claims: a verified lower bound from its prices and a feasible point from its covariances.

For F > 0, tr(E^T F^-1 E) = max_Y 2 tr(E^T Y) - tr(Y^T F Y), and tr(Y^T F(R) Y) = sum_l tr(Q_l R_l) with Q = F^*(Y Y^T).
With prices p, mu >= 0 of the power and SINR constraints, weak duality bounds every feasible objective from below by

    2 tr(E^T Y) - P_T sum_i p_i + (sigma_c^2 / L) sum_ul mu_ul

provided that the following are positive semidefinite, where A_nl = diag(p_n) - Q_nn,l + sum_u mu_ul h_nul h_nul^H:

- joint: diag(p) - Q_l + blkdiag_n(sum_u mu_ul h h^H - Z_nl) and Z_nl - (1 + 1/Gamma) mu_ul h_nul h_nul^H;
- block-diagonal, interleaved: A_nl and A_nl - (1 + 1/Gamma) mu_ul h_nul h_nul^H, for served (n, l);
- beamforming: the sum over the node's subcarriers of A_nl, and A_nl - (1 + 1/Gamma) mu_ul h_nul h_nul^H; averaged,
  Q_nn,l is replaced by its mean over them.

Limits on sidelobes with prices z_j = (z_0, z_1, z_2), z_0 >= |(z_1, z_2)|, add W_l to the Q_l of every signal sent on
subcarrier l (so not to the averaged Q): W_mm,l = sum_k w_{mkl} a_t^* a_t^T with w_{mkl} = sum over the limits j of
(m, k) of level z_0 + z_1 cos(phi_j i_l) + z_2 sin(phi_j i_l).

Raising p by the most negative eigenvalue makes any prices feasible. Scaling Y by s and (p, mu, z, Z) by s^2 keeps them
so; the best s turns the bound into tr(E^T Y)^2 / (P_T sum p - (sigma_c^2 / L) sum mu).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disac.designs.bounds.crb import crb_of_operator
from disac.designs.bounds.fisher import FisherOperator
from disac.designs.precoders import antenna_power
from disac.designs.problem.relaxed import RelaxedProblem, RelaxedSolution
from disac.designs.problem.sidelobes import EXCESS_TOLERANCE, SidelobeLimits

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class DualBound:
    """A verified lower bound with the dual point that proves it.

    Attributes
    ----------
    value : the bound [m^2]; 0 when the prices prove nothing.
    power_price, sinr_price : (D,) and (U, L) prices after repair and scaling.
    fisher_weights : (P, 2K) Y.
    shift : what was added to the power prices, relative to their mean.
    sidelobe_price : (J, 3) prices of the sidelobe limits after repair and scaling; empty without them.
    """

    value: float
    power_price: RealArray
    sinr_price: RealArray
    fisher_weights: RealArray
    shift: float
    sidelobe_price: RealArray


@dataclass(frozen=True)
class FeasiblePoint:
    """Covariances that keep every constraint of a problem, to rounding.

    Attributes
    ----------
    covariances, comm_covariances : (L, D, D) and (N, U, L, M_t, M_t).
    mix : share of the strictly feasible point in them.
    """

    covariances: ComplexArray
    comm_covariances: ComplexArray
    mix: float


def averaged_over_node(problem: RelaxedProblem, matrices: ComplexArray) -> ComplexArray:
    """(L, D, D) matrices replaced by their mean over the subcarriers of the node that serves each of them."""
    owner = problem.scenario.subcarrier_node
    averaged = np.empty_like(matrices)
    for node in range(problem.scenario.n_nodes):
        averaged[owner == node] = matrices[owner == node].mean(axis=0)
    return averaged


def objective_covariances(problem: RelaxedProblem, covariances: ComplexArray) -> ComplexArray:
    """The covariances that the problem's objective sees: those sent, or their average over each node's subcarriers."""
    if problem.signal == "beamforming-averaged":
        return averaged_over_node(problem, covariances)
    return covariances


def objective(problem: RelaxedProblem, operator: FisherOperator, covariances: ComplexArray) -> float:
    """tr(E^T F^-1 E) of a problem at given covariances [m^2].

    Raises
    ------
    Unidentifiable : as in :func:`~disac.designs.bounds.crb.position_information`.
    """
    return float(np.trace(crb_of_operator(operator, objective_covariances(problem, covariances))))


def node_blocks(covariances: ComplexArray, n_nodes: int) -> ComplexArray:
    """(N, L, M_t, M_t) diagonal blocks R_nn,l."""
    n_subcarriers, dimension, _ = covariances.shape
    n_tx = dimension // n_nodes
    split = covariances.reshape(n_subcarriers, n_nodes, n_tx, n_nodes, n_tx)
    blocks: ComplexArray = np.einsum("lninj->nlij", split)
    return blocks


def block_diagonal(blocks: ComplexArray) -> ComplexArray:
    """(L, D, D) block-diagonal matrices of (N, L, M_t, M_t) blocks."""
    n_nodes, n_subcarriers, n_tx, _ = blocks.shape
    result = np.zeros((n_subcarriers, n_nodes, n_tx, n_nodes, n_tx), dtype=complex)
    for node in range(n_nodes):
        result[:, node, :, node] = blocks[node]
    return result.reshape(n_subcarriers, n_nodes * n_tx, -1)


def dual_bound(
    problem: RelaxedProblem, operator: FisherOperator, solution: RelaxedSolution, at: RealArray
) -> DualBound:
    """The best verified lower bound from a solver's prices.

    Parameters
    ----------
    at : (P, 2K) weights Y to try beside the solver's own, F^-1 E at a feasible point.
    """
    candidates = [at] if solution.fisher_weights is None else [at, solution.fisher_weights]
    bounds = [_dual_bound(problem, operator, solution, weights) for weights in candidates]
    return max(bounds, key=lambda bound: bound.value)


def _dual_bound(
    problem: RelaxedProblem, operator: FisherOperator, solution: RelaxedSolution, weights: RealArray
) -> DualBound:
    s = problem.scenario
    # weights in units of the root of the bound, prices in units of it: squares of extreme ones would leave the range
    unit = abs(float(np.trace(weights[: 2 * s.n_targets]))) or 1.0
    weights = weights / np.sqrt(unit)
    price = np.maximum(solution.power_price / unit, 0.0)
    sinr_price = np.maximum(solution.sinr_price / unit, 0.0) * (problem.n_constrained_users > 0)
    sidelobe_price = kept_to_cone(solution.sidelobe_price) / unit
    split_price = None if solution.split_price is None else solution.split_price / unit
    curvature, lost = operator.curvature(weights)
    shift = price_shift(
        problem, price.reshape(s.n_nodes, s.n_tx), sinr_price, curvature, sidelobe_price, split_price, lost
    )
    shifted = price + np.repeat(shift, s.n_tx)
    gain = float(np.trace(weights[: 2 * s.n_targets]))
    cost = s.tx_power * shifted.sum() - s.noise_comm_per_subcarrier * sinr_price.sum()
    relative_shift = float(shift.max() / max(price.mean(), np.finfo(float).tiny))
    if not (gain > 0 and cost > 0):
        return DualBound(0.0, shifted, sinr_price, weights, relative_shift, sidelobe_price)
    scale = gain / cost
    value = gain * scale * (1 - 8 * _EPSILON * len(shifted))
    square = scale**2
    return DualBound(
        value, shifted * square, sinr_price * square, weights * scale, relative_shift, sidelobe_price * square
    )


def kept_to_cone(sidelobe_price: RealArray | None) -> RealArray:
    """Prices (J, 3) with z_0 raised to |(z_1, z_2)|; (0, 3) for none."""
    if sidelobe_price is None:
        return np.zeros((0, 3))
    first = np.maximum(sidelobe_price[:, 0], np.hypot(sidelobe_price[:, 1], sidelobe_price[:, 2]) * (1 + 4 * _EPSILON))
    return np.column_stack([first, sidelobe_price[:, 1:]])


def spectrum_weights(limits: SidelobeLimits, sidelobe_price: RealArray, n_subcarriers: int) -> RealArray:
    """(N, K, L) weights w_{mkl} with sum_j <z_j, limit_j> = sum w_{mkl} p_{mkl}."""
    waves = limits.waves(n_subcarriers)
    level = limits.level[limits.node, None]
    terms = np.where(waves != 0, sidelobe_price[:, :1] * level, 0.0)
    terms = terms + sidelobe_price[:, 1:2] * waves.real + sidelobe_price[:, 2:] * waves.imag
    n_nodes, n_targets, _ = limits.steering.shape
    weights = np.zeros((n_nodes, n_targets, n_subcarriers))
    np.add.at(weights, (limits.node, limits.target), terms)
    return weights


def sidelobe_pull(limits: SidelobeLimits | None, sidelobe_price: RealArray, n_subcarriers: int) -> ComplexArray:
    """(N, L, M_t, M_t) matrices W_mm,l; a zero that broadcasts without limits."""
    if limits is None or not len(limits):
        return np.zeros((1, 1, 1, 1), dtype=complex)
    weights = spectrum_weights(limits, sidelobe_price, n_subcarriers)
    outer = limits.steering.conj()[..., :, None] * limits.steering[..., None, :]
    pull: ComplexArray = np.einsum("nkl,nkij->nlij", weights, outer)
    return pull


def price_shift(
    problem: RelaxedProblem,
    price: RealArray,
    sinr_price: RealArray,
    curvature: ComplexArray,
    sidelobe_price: RealArray,
    split: ComplexArray | None,
    lost: float = 0.0,
) -> RealArray:
    """(N,) amounts to add to the power prices of each node so that all dual matrices are positive semidefinite.

    Parameters
    ----------
    lost : bound on what rounding did to the ``curvature``, in the spectral norm.
    """
    s = problem.scenario
    users = problem.n_constrained_users
    channels = s.channels[:, :users]
    outer = channels[..., :, None] * channels[..., None, :].conj()
    weighted = sinr_price[None, :users, :, None, None] * outer
    served = np.einsum("nulij->nlij", weighted)
    own = (1 + 1 / problem.sinr) * weighted * problem.sends_data[:, :users, :, None, None] if users else weighted
    diagonal = price[:, None, :, None] * np.eye(s.n_tx) - sidelobe_pull(
        problem.sidelobes, sidelobe_price, s.n_subcarriers
    )

    if problem.signal == "joint":
        split = own.sum(axis=1) if users < 2 or split is None else split
        if users:
            lift = np.linalg.eigvalsh(split[:, None] - own).min(axis=(1, 3))
            split = split + (np.maximum(-lift, 0) + _rounding(split))[..., None, None] * np.eye(s.n_tx)
        matrices = block_diagonal(diagonal + served - split) - curvature
        return np.full(s.n_nodes, _shift(matrices) + lost)

    if problem.signal == "beamforming-averaged":
        curvature = averaged_over_node(problem, curvature)
    matrices = diagonal + served - node_blocks(curvature, s.n_nodes)
    shifts = np.zeros(s.n_nodes)
    for node in range(s.n_nodes):
        mine = problem.serves[node]
        if problem.signal in ("block-diagonal", "interleaved"):
            shifts[node] = _shift(matrices[node, mine])
        else:
            shifts[node] = _shift(matrices[node, mine].mean(axis=0))
        if users:
            shifts[node] = max(shifts[node], _shift(matrices[node, mine] - own[node][:, mine]))
    return shifts + lost


def _rounding(matrices: ComplexArray) -> float:
    return float(8 * matrices.shape[-1] * _EPSILON * np.abs(matrices).max(initial=0.0))


def _shift(matrices: ComplexArray) -> float:
    """Multiple of the identity that makes all matrices positive semidefinite, rounding errors included."""
    return max(0.0, -float(np.linalg.eigvalsh(matrices).min())) + _rounding(matrices)


def sinr_margin(problem: RelaxedProblem, covariances: ComplexArray, comm: ComplexArray) -> RealArray:
    """(U, L) left minus right side of the SINR constraints, in units of the noise sigma_c^2 / L."""
    s = problem.scenario
    channels = s.channels
    received = np.real(np.einsum("nulm,nlmk,nulk->ul", channels.conj(), node_blocks(covariances, s.n_nodes), channels))
    useful = channels * problem.sends_data[..., None]
    own = np.real(np.einsum("nulm,nulmk,nulk->ul", useful.conj(), comm, useful))
    margin: RealArray = ((1 + 1 / problem.sinr) * own - received) / s.noise_comm_per_subcarrier - 1
    return margin


def feasible_point(problem: RelaxedProblem, solution: RelaxedSolution, interior: FeasiblePoint) -> FeasiblePoint:
    """The solver's covariances made feasible: cones by clipping, then as little as needed of a strictly feasible point.

    All constraints are convex, so a mixture keeps whatever both points keep. Finally everything is scaled up to the
    power limit, which raises every SINR and lowers the objective.

    Parameters
    ----------
    interior : a point that keeps power and SINR constraints with room to spare, of the problem's signal model.
    """
    s = problem.scenario
    comm = _clipped(_hermitian(solution.comm_covariances))
    covariances = _kept_to_cones(problem, _hermitian(solution.covariances), comm)
    power, spare = antenna_power(covariances), antenna_power(interior.covariances)
    mix = float(
        np.max(
            (power - s.tx_power) / np.maximum(power - spare, np.finfo(float).tiny),
            initial=0.0,
            where=power > s.tx_power,
        )
    )
    if problem.n_constrained_users:
        margin = sinr_margin(problem, covariances, comm)
        room = sinr_margin(problem, interior.covariances, interior.comm_covariances)
        mix = max(mix, float(np.max(-margin / (room - margin), initial=0.0, where=margin < 0)))
    mix = min(1.0, mix * (1 + 1e-9) + 1e-14)
    if problem.sidelobes is not None:
        mix = _mix_for_sidelobes(problem.sidelobes, covariances, interior.covariances, mix)
    covariances = (1 - mix) * covariances + mix * interior.covariances
    comm = (1 - mix) * comm + mix * interior.comm_covariances
    scale = s.tx_power / float(antenna_power(covariances).max()) * (1 - 2 * _EPSILON)
    return FeasiblePoint(covariances * max(scale, 1.0), comm * max(scale, 1.0), mix)


def _mix_for_sidelobes(limits: SidelobeLimits, covariances: ComplexArray, interior: ComplexArray, mix: float) -> float:
    """The least share, to a hundredth of itself, of at least ``mix`` at which all sidelobes keep their level.

    |r| - level r(0) is convex along the mixture and negative at its end, so it is negative from its only root on.
    """

    def kept(share: float) -> bool:
        return limits.excess((1 - share) * covariances + share * interior) <= 0

    if kept(mix):
        return mix
    high = max(mix, EXCESS_TOLERANCE)
    while high < 1 and not kept(high):
        mix, high = high, min(1.0, 8 * high)
    while high > mix * 1.01 + _EPSILON:
        middle = float(np.sqrt(mix * high)) if mix > 0 else high / 2
        mix, high = (mix, middle) if kept(middle) else (middle, high)
    return high


def _kept_to_cones(problem: RelaxedProblem, covariances: ComplexArray, comm: ComplexArray) -> ComplexArray:
    """Covariances of the signal model with R_nn,l >= sum_u R_c and R_l >= 0."""
    s = problem.scenario
    data = comm.sum(axis=1)
    radar = node_blocks(covariances, s.n_nodes) - data
    if problem.signal == "joint":
        lowest = np.minimum(np.linalg.eigvalsh(covariances)[:, 0], np.linalg.eigvalsh(radar)[..., 0].min(axis=0))
        lift = np.maximum(-lowest, 0.0)
        lifted: ComplexArray = covariances + lift[:, None, None] * np.eye(covariances.shape[-1])
        return lifted
    radar = radar * problem.serves[..., None, None]
    if problem.signal in ("beamforming", "beamforming-averaged"):
        for node in range(s.n_nodes):
            radar[node, problem.serves[node]] = radar[node, problem.serves[node]].mean(axis=0)
    return block_diagonal(data + _clipped(radar))


def _hermitian(matrices: ComplexArray) -> ComplexArray:
    hermitian: ComplexArray = (matrices + matrices.conj().swapaxes(-1, -2)) / 2
    return hermitian


def _clipped(matrices: ComplexArray) -> ComplexArray:
    """Nearest positive semidefinite matrices."""
    values, vectors = np.linalg.eigh(matrices)
    clipped: ComplexArray = (vectors * np.maximum(values, 0)[..., None, :]) @ vectors.conj().swapaxes(-1, -2)
    return clipped
