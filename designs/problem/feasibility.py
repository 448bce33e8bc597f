"""Which SINR thresholds can be met: the least power that gives every user Gamma_c, and the largest Gamma_c within P_T.

Radar signals only interfere, so both questions concern data precoders alone:

    t*(Gamma) = min max_i P_i / P_T
    subject to  sum_n (1 + 1/Gamma) |h_nul^H w_nul|^2 - sum_n,i |h_nul^H w_nil|^2 >= sigma_c^2 / L.

Data covariances of any rank do no better than precoders (Theorem 2), so the problem is convex. Two bounds close
in on t*:

- from below, uplink-downlink duality: for power prices p with P_T sum p = 1, t* >= (sigma_c^2 / L) sum mu for every
  mu with diag(p_n) + sum_i mu_il h_nil h_nil^H >= (1 + 1/Gamma) mu_ul h_nul h_nul^H for all n, u, l. The largest such
  mu is the fixed point of mu_ul <- min_n Gamma / (h_nul^H (diag(p_n) + sum_{i != u} mu_il h_nil h_nil^H)^-1 h_nul).
  What rounding leaves infeasible is repaired by raising p.
- from above, a linear program over the powers of the precoder directions found so far; its prices give the next p,
  and the fixed point at p the next directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, hstack, vstack

from disac.designs.precoders import achieved_sinr, antenna_power, transmitted_covariances
from disac.designs.problem.refusals import InfeasibilityProof
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Serves = NDArray[np.bool_]

EDGE_TOLERANCE_DB = 1e-4
"""Width of the interval in which the largest feasible threshold is certified to lie [dB]."""
_POWER_TOLERANCE = 1e-6
_PRICE_FLOOR = 1e-6
_IDLE_ROUNDS = 6
_KEPT_ROUNDS = 4
_MAX_TRIALS = 200
_HOPELESS = 1e9
_MAX_UPLINK_STEPS = 200


@dataclass(frozen=True)
class LeastPower:
    """Bounds on t*(Gamma) with the points that prove them.

    Attributes
    ----------
    lower : verified lower bound on t*.
    upper : power max_i P_i / P_T that ``comm_precoders`` use; infinite if none were found.
    comm_precoders : (N, U, L, M_t) precoders that meet Gamma exactly, radar silent.
    proof : prices of the lower bound.
    directions : (R, S, U, M_t) last R precoder directions of the S serving pairs of node and subcarrier.
    """

    lower: float
    upper: float
    comm_precoders: ComplexArray
    proof: InfeasibilityProof
    directions: ComplexArray


@dataclass(frozen=True)
class FeasibleEdge:
    """The largest feasible threshold, between two proofs.

    Attributes
    ----------
    sinr_db : threshold that ``comm_precoders`` meet within P_T [dB]; infinite without users.
    comm_precoders : (N, U, L, M_t) those precoders.
    proof : proof that a threshold at most ``EDGE_TOLERANCE_DB`` higher is infeasible; None without users.
    """

    sinr_db: float
    comm_precoders: ComplexArray
    proof: InfeasibilityProof | None


def least_power(
    scenario: Scenario, serves: Serves, sinr: float, *, decide: bool = False, start: LeastPower | None = None
) -> LeastPower:
    """The least power max_i P_i / P_T at which every user gets ``sinr`` (linear) on every subcarrier.

    Parameters
    ----------
    scenario : with at least one user.
    serves : (N, L) whether node n sends on subcarrier l, or (N, U, L) whether it does so for user u; every subcarrier
        needs a node for every user.
    decide : stop as soon as t* is known to lie below or above 1.
    start : answer at a threshold nearby for the same ``serves``, whose prices and directions are the first.
    """
    program = _Program(scenario, serves, sinr)
    price = np.ones((scenario.n_nodes, scenario.n_tx))
    if start is not None:
        price = start.proof.power_price
        program.directions.extend(start.directions)
    best_price, best_proof = price, program.proof(price, np.zeros((scenario.n_users, scenario.n_subcarriers)))
    upper, best_precoders = np.inf, np.zeros(scenario.channels.shape, dtype=complex)
    idle = 0
    while idle < _IDLE_ROUNDS:
        price = np.maximum(price / np.mean(price), _PRICE_FLOOR)
        uplink = program.uplink_powers(price)
        proof = program.proof(price, uplink)
        idle += 1
        if proof.power_needed > best_proof.power_needed * (1 + _POWER_TOLERANCE / 10):
            best_proof, best_price, idle = proof, price, 0
        lower = best_proof.power_needed
        if lower > _HOPELESS:
            break
        program.add_directions(price, uplink)
        found, precoders, price = program.share_powers(lower)
        if found < upper * (1 - _POWER_TOLERANCE / 10):
            idle = 0
        if found < upper:
            upper, best_precoders = found, precoders
        if upper - lower <= _POWER_TOLERANCE * lower or (decide and (lower > 1 or upper < 1)):
            break
        if idle:
            price = (price / np.mean(price) + best_price / np.mean(best_price)) / 2
    last = np.array(program.directions[-_KEPT_ROUNDS:])
    return LeastPower(best_proof.power_needed, upper, best_precoders, best_proof, last)


def largest_feasible_sinr(scenario: Scenario, serves: Serves) -> FeasibleEdge:
    """The largest SINR threshold that data precoders meet within P_T, certified on both sides.

    Root of log t*(Gamma) = 0 by bracketing: t*(c Gamma) >= c t*(Gamma) for c >= 1 makes Gamma / t*(Gamma) feasible when
    t* > 1 and an upper bound on the edge when t* < 1; inside the bracket regula falsi alternates with bisection. Trials
    are moved by a third of the tolerance to the side that still lacks a proof, so that both sides close.
    """
    if scenario.n_users == 0:
        return FeasibleEdge(np.inf, np.zeros(scenario.channels.shape, dtype=complex), None)
    width = 10 ** (EDGE_TOLERANCE_DB / 10) - 1
    feasible: tuple[float, LeastPower] | None = None
    ruled_out: tuple[float, LeastPower] | None = None
    trial = _single_user_limit(scenario, serves) * (1 + width)
    power: LeastPower | None = None
    undecided = False
    for step in range(_MAX_TRIALS):
        power = least_power(scenario, serves, trial, start=power)
        if power.lower > 1:
            ruled_out = (trial, power)
        elif power.upper <= 1:
            feasible = (trial, power)
        else:
            undecided = True
            end = trial / power.upper * (1 - width / 3)
            trial = end if feasible is None or end > feasible[0] else trial / power.lower * (1 + width / 3)
            continue
        if feasible is None:
            trial /= max(min(power.upper, 1e3), 1 + width / 3) * (1 + width / 3)
        elif ruled_out is None:
            trial = trial / power.lower * (1 + width / 3)
        elif undecided or ruled_out[0] <= feasible[0] * (1 + width):
            break
        else:
            trial = _inside(feasible, ruled_out, width if power is feasible[1] else -width, bisect=step % 4 == 3)
    assert feasible is not None
    assert ruled_out is not None
    return FeasibleEdge(float(10 * np.log10(feasible[0])), feasible[1].comm_precoders, ruled_out[1].proof)


def _inside(
    feasible: tuple[float, LeastPower], ruled_out: tuple[float, LeastPower], width: float, *, bisect: bool
) -> float:
    """Next threshold strictly inside the bracket."""
    ends = np.log([feasible[0], ruled_out[0]])
    needs = np.log([feasible[1].upper, min(ruled_out[1].lower, _HOPELESS)])
    share = 0.5 if bisect else -needs[0] / (needs[1] - needs[0])
    margin = min(abs(width) / 3, (ends[1] - ends[0]) / 3)
    inside = np.clip(
        ends[0] + share * (ends[1] - ends[0]) + np.sign(width) * margin, ends[0] + margin, ends[1] - margin
    )
    return float(np.exp(inside))


def _by_user(scenario: Scenario, serves: Serves) -> Serves:
    """(N, U, L) whether node n serves user u on subcarrier l, from the same for all users too."""
    return np.broadcast_to(serves if serves.ndim == 3 else serves[:, None], scenario.channels.shape[:3])


def _single_user_limit(scenario: Scenario, serves: Serves) -> float:
    """Upper bound on Gamma: all antennas at P_T on the worst user and subcarrier alone, in phase at each node."""
    sums = np.abs(scenario.channels).sum(axis=-1) ** 2 * _by_user(scenario, serves)
    return float(np.min(sums.sum(axis=0)) * scenario.tx_power / scenario.noise_comm_per_subcarrier)


class _Program:
    """Uplink fixed point and linear program for one threshold."""

    def __init__(self, scenario: Scenario, serves: Serves, sinr: float) -> None:
        self.scenario, self.sinr = scenario, sinr
        by_user = _by_user(scenario, serves)
        self.nodes, self.subcarriers = np.nonzero(by_user.any(axis=1))
        self.by_user = by_user[self.nodes, :, self.subcarriers]
        self.local = scenario.channels[self.nodes, :, self.subcarriers]
        self.directions: list[ComplexArray] = []

    def _uplink_covariances(self, price: RealArray, uplink: RealArray) -> ComplexArray:
        """(S, M_t, M_t) matrices diag(p_n) + sum_u mu_ul h h^H of the S serving pairs (n, l)."""
        weighted = self.local * uplink.T[self.subcarriers][..., None]
        matrices: ComplexArray = self.local.swapaxes(1, 2) @ weighted.conj()
        diagonal = np.arange(matrices.shape[-1])
        matrices[:, diagonal, diagonal] += price[self.nodes]
        return matrices

    def uplink_powers(self, price: RealArray) -> RealArray:
        """Fixed point mu (U, L) of the dual uplink, just below it.

        f_u = min_n Gamma (1 / g_uu - mu_u) with g = H^H (diag(p_n) + sum_u mu_u h_u h_u^H)^-1 H is concave with slopes
        Gamma |g_uv|^2 / g_uu^2. Newton steps that raise every mu are taken on each subcarrier; elsewhere mu <- f(mu).
        """
        s = self.scenario
        n_users = s.n_users
        uplink = np.zeros((s.n_subcarriers, n_users))
        limit = _HOPELESS * 2 * s.tx_power * price.sum() / s.noise_comm_per_subcarrier
        off_diagonal = 1 - np.eye(n_users)
        before = np.inf
        for _ in range(_MAX_UPLINK_STEPS):
            matrices = self._uplink_covariances(price, uplink.T)
            gains = self.local.conj() @ np.linalg.solve(matrices, self.local.swapaxes(1, 2))
            own = np.real(np.einsum("suu->su", gains))
            updates = np.where(self.by_user, self.sinr * (1 / own - uplink[self.subcarriers]), np.inf)
            slopes = self.sinr * np.abs(gains) ** 2 / own[..., None] ** 2 * off_diagonal
            target = np.full(uplink.shape, np.inf)
            np.minimum.at(target, self.subcarriers, updates)
            jacobian = np.zeros((s.n_subcarriers, n_users, n_users))
            pair, user = np.nonzero(updates == target[self.subcarriers])
            jacobian[self.subcarriers[pair], user] = slopes[pair, user]
            residual = target - uplink
            rising = np.all(np.linalg.eigvals(jacobian).real < 1 - 1e-12, axis=1)
            jacobian[~rising] = 0.0
            step = np.linalg.solve(np.eye(n_users) - jacobian, residual[..., None])[..., 0]
            uplink = np.maximum(uplink + step, 0.0)
            moved = np.max(np.abs(step) / np.maximum(uplink, np.finfo(float).tiny))
            if moved <= 1e-12 or (moved <= 1e-8 and moved >= before / 2) or uplink.sum() > limit:
                break
            before = moved
        return uplink.T * (1 - 1e-11)

    def proof(self, price: RealArray, uplink: RealArray) -> InfeasibilityProof:
        """The lower bound, after shifting the prices by whatever rounding has cost."""
        matrices = self._uplink_covariances(price, uplink)
        own = (1 + 1 / self.sinr) * uplink.T[self.subcarriers] * self.by_user
        outer = self.local[..., :, None] * self.local[..., None, :].conj()
        slack = np.linalg.eigvalsh(matrices[:, None] - own[..., None, None] * outer)
        rounding = 4 * len(price.T) * np.finfo(float).eps * np.abs(matrices).max(initial=0.0)
        shifted = price + max(0.0, -float(slack.min())) + rounding
        needed = self.scenario.noise_comm_per_subcarrier * uplink.sum() / (self.scenario.tx_power * shifted.sum())
        return InfeasibilityProof(float(10 * np.log10(self.sinr)), shifted, uplink, float(needed))

    def add_directions(self, price: RealArray, uplink: RealArray) -> None:
        """Add the receive directions of the dual uplink, one for every serving node, user and subcarrier."""
        matrices = self._uplink_covariances(price, uplink)
        directions = np.linalg.solve(matrices, self.local.swapaxes(1, 2)).swapaxes(1, 2)
        self.directions.append(directions / np.linalg.norm(directions, axis=-1, keepdims=True))

    def share_powers(self, level: float) -> tuple[float, ComplexArray, RealArray]:
        """Least power over nonnegative combinations of the directions: power, rank-one precoders, power prices.

        ``level`` is about the answer; in units of it the program's numbers are near 1.
        """
        s = self.scenario
        n_users, n_tx, n_subcarriers, n_pairs = s.n_users, s.n_tx, s.n_subcarriers, len(self.nodes)
        stacked = np.stack(self.directions)
        gains = np.abs(np.einsum("sim,rsum->rsiu", self.local.conj(), stacked)) ** 2
        gains *= level * s.tx_power / s.noise_comm
        own = np.arange(n_users)
        gains[:, :, own, own] *= -1 / self.sinr
        shape = (len(stacked), n_pairs, n_users)
        column = np.arange(int(np.prod(shape))).reshape(shape)
        users = np.broadcast_to(own[None, None, :, None], gains.shape)
        rows = users * n_subcarriers + self.subcarriers[None, :, None, None]
        columns = np.broadcast_to(column[:, :, None, :], gains.shape)
        size = (n_users * n_subcarriers, column.size)
        sinr_rows = coo_array((gains.ravel(), (rows.ravel(), columns.ravel())), shape=size)
        loads = np.abs(stacked) ** 2 / n_subcarriers
        antennas = self.nodes[None, :, None, None] * n_tx + np.arange(n_tx)
        antenna_rows = np.broadcast_to(antennas, loads.shape)
        load_columns = np.broadcast_to(column[..., None], loads.shape)
        n_antennas = s.n_nodes * n_tx
        power_rows = coo_array(
            (loads.ravel(), (antenna_rows.ravel(), load_columns.ravel())), shape=(n_antennas, column.size)
        )
        ceiling = coo_array(np.concatenate([np.zeros(size[0]), -np.ones(n_antennas)])[:, None])
        most = np.append(np.where(np.broadcast_to(self.by_user, shape), np.inf, 0.0), np.inf)
        result = linprog(
            np.append(np.zeros(column.size), 1.0),
            A_ub=hstack([vstack([sinr_rows, power_rows]), ceiling]).tocsc(),
            b_ub=np.concatenate([-np.ones(size[0]), np.zeros(n_antennas)]),
            bounds=np.column_stack([np.zeros(column.size + 1), most]),
            method="highs",
        )
        if result.status != 0:
            return np.inf, np.zeros(s.channels.shape, dtype=complex), np.ones((s.n_nodes, n_tx))
        weights = np.maximum(result.x[:-1], 0).reshape(shape) * level * s.tx_power / n_subcarriers
        amplitudes = np.einsum("sum,rsum->rsu", self.local.conj(), stacked)
        combined = np.einsum("rsu,rsum->sum", weights * amplitudes.conj(), stacked)
        signal = np.einsum("rsu,rsu->su", weights, np.abs(amplitudes) ** 2)
        precoders = np.zeros(s.channels.shape, dtype=complex)
        precoders[self.nodes, :, self.subcarriers] = combined / np.sqrt(np.where(signal > 0, signal, 1))[..., None]
        price = np.maximum(-result.ineqlin.marginals[size[0] :], 0).reshape(s.n_nodes, n_tx)
        return *self._meet_threshold(precoders), price

    def _meet_threshold(self, precoders: ComplexArray) -> tuple[float, ComplexArray]:
        """Scale the precoders up to the exact threshold; infinite power where interference alone forbids it."""
        s = self.scenario
        radar = np.zeros((s.n_nodes, s.n_subcarriers, s.n_tx, 0), dtype=complex)
        powers = np.abs(np.einsum("nulm,nilm->uiln", s.channels.conj(), precoders)) ** 2
        received = powers.sum(axis=-1)
        signal = np.einsum("uul->ul", received)
        margin = signal / self.sinr - (received.sum(axis=1) - signal)
        if not np.all(margin > 0):
            return np.inf, precoders
        scale = s.noise_comm_per_subcarrier / float(margin.min())
        precoders = precoders * np.sqrt(scale * (1 + 1e-13))
        used = antenna_power(transmitted_covariances(precoders, radar)).max() / s.tx_power
        if np.min(achieved_sinr(s, precoders, radar)) < self.sinr * (1 - 1e-9):
            return np.inf, precoders
        return float(used), precoders
