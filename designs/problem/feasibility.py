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
_WEAK = 1e-12
"""Gain of a node, relative to the best one of a user, from which on it is given data."""
_LARGEST_ENTRY = 1e14
_UNREACHABLE = 1e-30
"""SINR below which a user counts as out of reach: the lowest that can be asked for, -300 dB."""
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
    sinr_db : threshold that ``comm_precoders`` meet within P_T [dB]; infinite without users, -infinite where a user is
        out of reach.
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
    blocked = unreachable_user(scenario, serves)
    if blocked is not None:
        return _hopeless(scenario, serves, sinr, blocked)
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
    blocked = unreachable_user(scenario, serves)
    if blocked is not None:
        refused = _hopeless(scenario, serves, _UNREACHABLE, blocked)
        return FeasibleEdge(-np.inf, refused.comm_precoders, refused.proof)
    width = 10 ** (EDGE_TOLERANCE_DB / 10) - 1
    feasible: tuple[float, LeastPower] | None = None
    ruled_out: tuple[float, LeastPower] | None = None
    trial = float(_single_user_limit(scenario, serves).min()) * (1 + width)
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


def _largest_amplitude(scenario: Scenario, by_user: Serves) -> RealArray:
    """(U, L) largest amplitude of any antenna that serves the user; 1 where none reaches it."""
    largest = np.max(np.abs(scenario.channels).max(axis=-1) * by_user, axis=0)
    return np.where(largest > 0, largest, 1.0)


def _single_user_limit(scenario: Scenario, serves: Serves) -> RealArray:
    """(U, L) upper bounds on Gamma: all antennas at P_T on this user and subcarrier alone, in phase at each node."""
    sums = np.abs(scenario.channels).sum(axis=-1) ** 2 * _by_user(scenario, serves)
    limit: RealArray = sums.sum(axis=0) * (scenario.tx_power / scenario.noise_comm_per_subcarrier)
    return limit


def unreachable_user(scenario: Scenario, serves: Serves) -> tuple[int, int] | None:
    """First user and subcarrier that no serving node can give even -300 dB of SINR; None if there is none.

    Parameters
    ----------
    serves : as in :func:`least_power`.
    """
    found = np.argwhere(_single_user_limit(scenario, serves) < _UNREACHABLE)
    return (int(found[0][0]), int(found[0][1])) if len(found) else None


def _hopeless(scenario: Scenario, serves: Serves, sinr: float, where: tuple[int, int]) -> LeastPower:
    """The answer where a user is out of reach, proved by a price of its SINR that no signal repays."""
    s = scenario
    price = np.ones((s.n_nodes, s.n_tx))
    uplink = np.zeros((s.n_users, s.n_subcarriers))
    serving = _by_user(scenario, serves)[:, where[0], where[1]]
    gain = float(np.sum(np.abs(s.channels[serving, where[0], where[1]]) ** 2))
    uplink[where] = sinr / gain if gain > 0 else 2 * s.tx_power * price.sum() / s.noise_comm_per_subcarrier
    needed = float(s.noise_comm_per_subcarrier * uplink.sum() / (s.tx_power * price.sum()))
    proof = InfeasibilityProof(float(10 * np.log10(sinr)), price, uplink, needed)
    nothing = np.zeros(s.channels.shape, dtype=complex)
    return LeastPower(needed, np.inf, nothing, proof, np.zeros((0, 0, s.n_users, s.n_tx), dtype=complex))


class _Program:
    """Uplink fixed point and linear program for one threshold.

    Channels are divided by the largest amplitude with which any serving node reaches the user, noise by its square, so
    that no unit and no weak user matters. A node that reaches a user 120 dB more weakly than the best one is given
    none of its data: that costs less than rounding does. Proofs count it.

    With K = H^H diag(p)^-1 H over the users and D_u = diag(mu) but 0 at u, t_u = (I + K D_u)^-1 K e_u holds
    h_i^H (diag(p) + sum_{j != u} mu_j h_j h_j^H)^-1 h_u: no difference of large numbers, whatever the threshold.
    """

    def __init__(self, scenario: Scenario, serves: Serves, sinr: float) -> None:
        self.scenario, self.sinr = scenario, sinr
        by_user = _by_user(scenario, serves)
        self.scale = _largest_amplitude(scenario, by_user)
        self.noise = scenario.noise_comm_per_subcarrier / self.scale**2
        self.nodes, self.subcarriers = np.nonzero(by_user.any(axis=1))
        self.allowed = by_user[self.nodes, :, self.subcarriers]
        self.local = scenario.channels[self.nodes, :, self.subcarriers] / self.scale.T[self.subcarriers][..., None]
        self.by_user = self.allowed & (np.sum(np.abs(self.local) ** 2, axis=-1) > _WEAK)
        self.directions: list[ComplexArray] = []

    def _without_own(self, price: RealArray, uplink: RealArray) -> ComplexArray:
        """(S, U, U) t[s, u, i] of the S serving pairs (n, l) at prices (N, M_t) and uplink powers (U, L)."""
        priced: ComplexArray = self.local / price[self.nodes][:, None, :]
        grams: ComplexArray = self.local.conj() @ priced.swapaxes(1, 2)
        others = uplink.T[self.subcarriers][:, None, :] * (1 - np.eye(grams.shape[1]))
        systems = np.eye(grams.shape[1]) + grams[:, None] * others[:, :, None, :]
        seen = np.linalg.solve(systems, grams.swapaxes(1, 2)[..., None])[..., 0]
        return np.asarray(seen, dtype=np.complex128)

    def uplink_powers(self, price: RealArray) -> RealArray:
        """Fixed point mu (U, L) of the dual uplink, just below it.

        f_u = min_n Gamma / t_uu is concave in mu with slopes Gamma |t_ui|^2 / t_uu^2. Newton steps that raise every mu
        are taken on each subcarrier; elsewhere mu <- f(mu).
        """
        s = self.scenario
        n_users = s.n_users
        uplink = np.zeros((s.n_subcarriers, n_users))
        limit = _HOPELESS * 2 * s.tx_power * price.sum()
        off_diagonal = 1 - np.eye(n_users)
        before = np.inf
        for _ in range(_MAX_UPLINK_STEPS):
            seen = self._without_own(price, uplink.T)
            own = np.where(self.by_user, np.real(np.einsum("suu->su", seen)), 1.0)
            updates = np.where(self.by_user, self.sinr / own, np.inf)
            slopes = self.sinr * np.abs(seen / own[..., None]) ** 2 * off_diagonal
            target = np.full(uplink.shape, np.inf)
            np.minimum.at(target, self.subcarriers, updates)
            jacobian = np.zeros((s.n_subcarriers, n_users, n_users))
            pair, user = np.nonzero(self.by_user & (updates == target[self.subcarriers]))
            jacobian[self.subcarriers[pair], user] = slopes[pair, user]
            residual = target - uplink
            rising = np.all(np.linalg.eigvals(jacobian).real < 1 - 1e-12, axis=1)
            jacobian[~rising] = 0.0
            step = np.linalg.solve(np.eye(n_users) - jacobian, residual[..., None])[..., 0]
            uplink = np.maximum(uplink + step, 0.0)
            moved = np.max(np.abs(step) / np.maximum(uplink, np.finfo(float).tiny))
            settled = moved <= 1e-12 or (moved <= 1e-8 and moved >= before / 2)
            if settled or np.sum(self.noise.T * uplink) > limit:
                break
            before = moved
        return uplink.T * (1 - 1e-11)

    def proof(self, price: RealArray, uplink: RealArray) -> InfeasibilityProof:
        """The lower bound, after raising the prices by whatever rounding and impatience have cost.

        The condition mu_u t_uu <= Gamma at every pair is equivalent to that of :class:`InfeasibilityProof`.
        """
        s = self.scenario
        rounding = 64 * s.n_tx * np.finfo(float).eps
        raised = 0.0
        while True:
            own = np.real(np.einsum("suu->su", self._without_own(price * (1 + raised), uplink)))
            load = np.max(uplink.T[self.subcarriers] * own * self.allowed, initial=0.0) / self.sinr
            if load <= 1 - rounding:
                break
            raised = max(2 * raised, load - 1 + 2 * rounding)
        shifted = price * (1 + raised)
        needed = float(np.sum(self.noise * uplink)) / (s.tx_power * shifted.sum())
        return InfeasibilityProof(float(10 * np.log10(self.sinr)), shifted, uplink / self.scale**2, needed)

    def add_directions(self, price: RealArray, uplink: RealArray) -> None:
        """Add the receive directions of the dual uplink, one for every serving node, user and subcarrier."""
        users = np.eye(self.local.shape[1])
        weights = users - uplink.T[self.subcarriers][:, None, :] * (1 - users) * self._without_own(price, uplink)
        directions: ComplexArray = weights @ (self.local / price[self.nodes][:, None, :])
        size = np.linalg.norm(directions, axis=-1, keepdims=True)
        self.directions.append(directions / np.where(size > 0, size, 1))

    def share_powers(self, level: float) -> tuple[float, ComplexArray, RealArray]:
        """Least power over nonnegative combinations of the directions: power, rank-one precoders, power prices.

        ``level`` is about the answer. A unit of the program is what a user needs where one node reaches it with
        amplitude 1 and nothing disturbs.
        """
        s = self.scenario
        n_users, n_tx, n_subcarriers, n_pairs = s.n_users, s.n_tx, s.n_subcarriers, len(self.nodes)
        stacked = np.stack(self.directions)
        noise = self.noise.T[self.subcarriers]
        gains = np.abs(np.einsum("sim,rsum->rsiu", self.local.conj(), stacked)) ** 2
        own = np.arange(n_users)
        useful = -gains[:, :, own, own]
        gains = gains * np.minimum(self.sinr * noise[:, None, :] / noise[:, :, None], _LARGEST_ENTRY)
        gains[:, :, own, own] = useful
        shape = (len(stacked), n_pairs, n_users)
        column = np.arange(int(np.prod(shape))).reshape(shape)
        users = np.broadcast_to(own[None, None, :, None], gains.shape)
        rows = users * n_subcarriers + self.subcarriers[None, :, None, None]
        columns = np.broadcast_to(column[:, :, None, :], gains.shape)
        size = (n_users * n_subcarriers, column.size)
        sinr_rows = coo_array((gains.ravel(), (rows.ravel(), columns.ravel())), shape=size)
        loads = np.abs(stacked) ** 2 * (self.sinr * noise / (level * s.tx_power))[..., None]
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
        weights = np.maximum(result.x[:-1], 0).reshape(shape) * self.sinr * noise
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
