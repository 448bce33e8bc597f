"""Local refinement of precoders: the CRB itself minimized over what is sent, rank-one coupling of the nodes kept.

The unknowns are the stacked precoders W_l = [data, radar], R_l = W_l W_l^H, so nothing is relaxed. The objective log
tr(E^T F^-1 E) has the derivative -Q_l W_l / tr(E^T F^-1 E) by the conjugate of W_l, Q = F^*(Y Y^T), Y = F^-1 E. Power
and SINR limits enter an augmented Lagrangian, minimized by L-BFGS; both are tightened by a hair so that the result
keeps them, and what still misses them is scaled back. Limits on sidelobes
enter as (|r| / (level r(0)))^2 <= 1 at phases that follow the maxima between rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from disac.designs.bounds.crb import crb_of_operator, position_information
from disac.designs.bounds.fisher import FisherOperator
from disac.designs.precoders import achieved_sinr, antenna_power, stacked_precoders, transmitted_covariances
from disac.designs.problem.sidelobes import SidelobeLimits
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]

_TIGHTENING = 1e-5
_OUTER_ROUNDS = 20
_INNER_ITERATIONS = 100
_WORK = 1e7
_NEAR_LEVEL = -1e-2
"""Relative excess from which on a maximum between the phases becomes a limit."""
_PHASE_STEP = 1e-3
"""Distance to the next phase from which on it does, in units of 1 over the number of tones [rad]."""


@dataclass(frozen=True)
class Refined:
    """Precoders after refinement.

    Attributes
    ----------
    comm_precoders, radar_precoders : as in :class:`disac.designs.result.DesignResult`.
    violation : largest relative violation of a power, SINR or sidelobe limit, 0 when all are kept.
    evaluations : number of gradients computed.
    """

    comm_precoders: ComplexArray
    radar_precoders: ComplexArray
    violation: float
    evaluations: int


_REGULAR = 1e-8
"""Smallest conditional variance of a normalized parameter at which F is inverted without a look at ranks."""


class _Lagrangian:
    """Objective and constraints as functions of the real vector of all precoder entries in units of sqrt(P_T / L)."""

    def __init__(
        self,
        scenario: Scenario,
        sinr: float,
        unknown: IndexArray,
        operator: FisherOperator,
        sidelobes: SidelobeLimits | None = None,
    ) -> None:
        self.scenario, self.sinr, self.operator = scenario, sinr, operator
        self.shape, self.free = unknown.shape, unknown >= 0
        self.unknown = unknown[self.free]
        self.n_unknowns = int(self.unknown.max(initial=-1)) + 1
        s = scenario
        self.n_users = s.n_users if sinr else 0
        self.unit = np.sqrt(s.tx_power / s.n_subcarriers)
        self.evaluations = 0
        self.n_plain = s.n_nodes * s.n_tx + self.n_users * s.n_subcarriers
        self.sidelobes = sidelobes
        n_phases = 0 if sidelobes is None else len(sidelobes)
        self.multipliers, self.penalty = np.zeros(self.n_plain + n_phases), 10.0
        self._waves = np.zeros((0, s.n_subcarriers), dtype=complex)
        if sidelobes is not None:
            self._waves = sidelobes.waves(s.n_subcarriers)
        channels = np.zeros((s.n_subcarriers, s.n_nodes, s.n_tx, s.n_nodes, s.n_users), dtype=complex)
        own = np.arange(s.n_nodes)
        channels[:, own, :, own] = s.channels.transpose(0, 2, 3, 1)
        self.channels = channels.reshape(s.n_subcarriers, s.n_nodes * s.n_tx, -1)

    def start_from_prices(
        self, stacked: ComplexArray, power_price: RealArray, sinr_price: RealArray, sidelobe_price: RealArray
    ) -> None:
        """Multipliers of log CRB and of the constraints as written here, from prices of the CRB in physical units."""
        s = self.scenario
        covariances = stacked @ stacked.conj().swapaxes(1, 2)
        crb = float(np.trace(crb_of_operator(self.operator, covariances)))
        _, _, _, disturbance = self.limits(stacked)
        self.multipliers[: len(power_price)] = power_price * s.tx_power / crb
        if self.n_users:
            self.multipliers[len(power_price) : self.n_plain] = (sinr_price.T * disturbance).ravel() / crb
        if self.sidelobes is not None:
            limits = self.sidelobes
            peak = limits.spectra(covariances).sum(axis=-1)[limits.node, limits.target]
            self.multipliers[self.n_plain :] = sidelobe_price[:, 0] * limits.level[limits.node] * peak / (2 * crb)

    def follow_maxima(self, stacked: ComplexArray) -> float:
        """Let the phases of the sidelobe limits follow the maxima; the largest (|r| / level r(0))^2 - 1."""
        limits = self.sidelobes
        if limits is None:
            return 0.0
        covariances = stacked @ stacked.conj().swapaxes(1, 2)
        finer = limits.with_maxima_of(covariances, _NEAR_LEVEL, _PHASE_STEP)
        if finer is not limits:
            added = np.zeros(len(finer) - len(limits))
            self.sidelobes, self._waves = finer, finer.waves(self.scenario.n_subcarriers)
            self.multipliers = np.concatenate([self.multipliers, added])
        return (1 + limits.excess(covariances)) ** 2 - 1

    def _sidelobe_limits(self, stacked: ComplexArray) -> tuple[RealArray, RealArray, ComplexArray]:
        """(|r| / (level r(0)))^2 - 1 at each phase, r(0) and r, each (J,)."""
        limits = self.sidelobes
        assert limits is not None
        n_nodes, _, n_tx = limits.steering.shape
        split = stacked.reshape(len(stacked), n_nodes, n_tx, -1)
        seen = np.einsum("nki,lnis->nkls", limits.steering, split, optimize=True)
        spectra = np.sum(np.abs(seen) ** 2, axis=-1)[limits.node, limits.target]
        peak = np.sum(spectra * (self._waves != 0), axis=1)
        profile = np.sum(spectra * self._waves, axis=1)
        return np.abs(profile / (limits.level[limits.node] * peak)) ** 2 - 1 + _TIGHTENING, peak, profile

    def _sidelobe_gradient(self, stacked: ComplexArray, active: RealArray) -> ComplexArray:
        """Derivative of sum_j active_j (|r_j| / (level r(0)))^2 by the conjugate of the stacked precoders."""
        limits = self.sidelobes
        assert limits is not None
        _, peak, profile = self._sidelobe_limits(stacked)
        n_nodes, n_targets, n_tx = limits.steering.shape
        scale = 2 * active / (limits.level[limits.node] * peak) ** 2
        slopes = scale[:, None] * (
            np.real(profile.conj()[:, None] * self._waves) - (np.abs(profile) ** 2 / peak)[:, None] * (self._waves != 0)
        )
        weights = np.zeros((n_nodes, n_targets, len(stacked)))
        np.add.at(weights, (limits.node, limits.target), slopes)
        split = stacked.reshape(len(stacked), n_nodes, n_tx, -1)
        pulled: ComplexArray = np.einsum(
            "nkl,nki,nkj,lnjs->lnis", weights, limits.steering.conj(), limits.steering, split, optimize=True
        )
        return pulled.reshape(stacked.shape)

    def complex(self, vector: RealArray) -> ComplexArray:
        """Stacked precoders (L, N M_t, streams) of a vector."""
        real, imaginary = np.split(vector, 2)
        stacked = np.zeros(self.shape, dtype=complex)
        stacked[self.free] = self.unit * (real + 1j * imaginary)[self.unknown]
        return stacked

    def summed(self, stacked: ComplexArray) -> RealArray:
        """Vector of the sums of all entries that stand for the same unknown: the adjoint of :meth:`complex` / unit."""
        entries = stacked[self.free]
        parts = [np.bincount(self.unknown, part, self.n_unknowns) for part in (entries.real, entries.imag)]
        return np.concatenate(parts)

    def vector(self, stacked: ComplexArray) -> RealArray:
        """Vector of stacked precoders, the mean of entries that stand for the same unknown."""
        counts = np.tile(np.bincount(self.unknown, minlength=self.n_unknowns), 2)
        mean: RealArray = self.summed(stacked) / counts / self.unit
        return mean

    def limits(self, stacked: ComplexArray) -> tuple[RealArray, ComplexArray, ComplexArray, ComplexArray]:
        """Constraint values c <= 0: P_i / P_T - 1, log(Gamma (interference + noise) / signal) per l and u, sidelobes.

        The received amplitudes (L, N, U, streams), signal and disturbance (L, U) come along.
        """
        s = self.scenario
        power = np.sum(np.abs(stacked) ** 2, axis=(0, 2)) / s.tx_power - 1 + _TIGHTENING
        sidelobes = np.zeros(0) if self.sidelobes is None else self._sidelobe_limits(stacked)[0]
        if not self.n_users:
            empty = np.zeros((0, 0), dtype=complex)
            return np.concatenate([power, sidelobes]), empty, empty, empty
        received = (self.channels.conj().swapaxes(1, 2) @ stacked).reshape(s.n_subcarriers, s.n_nodes, self.n_users, -1)
        heard = np.sum(np.abs(received) ** 2, axis=1)
        own = np.arange(self.n_users)
        signal = heard[:, own, own]
        disturbance = heard.sum(axis=2) - signal + s.noise_comm_per_subcarrier
        shortfall = np.log(self.sinr * (1 + _TIGHTENING) * disturbance / signal)
        return np.concatenate([power, shortfall.ravel(), sidelobes]), received, signal, disturbance

    def __call__(self, vector: RealArray) -> tuple[float, RealArray]:
        self.evaluations += 1
        s = self.scenario
        stacked = self.complex(vector)
        covariances = stacked @ stacked.conj().swapaxes(1, 2)
        n_positions = 2 * s.n_targets
        columns = _inverse_columns(self.operator, covariances)
        total = float(np.trace(columns[:n_positions]))
        unit = 2.0 ** (np.frexp(total)[1] // 2)
        columns /= unit
        gradient = -2 / (total / unit / unit) * self.operator.adjoint(columns @ columns.T) @ stacked
        limits, received, signal, disturbance = self.limits(stacked)
        active = np.maximum(0.0, self.multipliers + self.penalty * limits)
        value = np.log(total) + float(np.sum(active**2 - self.multipliers**2)) / (2 * self.penalty)
        n_antennas = stacked.shape[1]
        gradient += 2 / s.tx_power * active[:n_antennas, None] * stacked
        if self.n_users:
            weight = active[n_antennas : self.n_plain].reshape(s.n_subcarriers, self.n_users)
            slopes = np.repeat((weight / disturbance)[..., None], stacked.shape[2], axis=2)
            own = np.arange(self.n_users)
            slopes[:, own, own] = -weight / signal
            pull = (received * slopes[:, None]).reshape(s.n_subcarriers, s.n_nodes * self.n_users, -1)
            gradient += 2 * self.channels @ pull
        if self.sidelobes is not None:
            gradient += 2 * self._sidelobe_gradient(stacked, active[self.n_plain :])
        return float(value), self.summed(gradient) * self.unit


def refine(
    scenario: Scenario,
    sinr: float,
    comm_precoders: ComplexArray,
    radar_precoders: ComplexArray,
    *,
    power_price: RealArray,
    sinr_price: RealArray,
    unknown: IndexArray | None = None,
    mode: str = "hybrid",
    sidelobes: SidelobeLimits | None = None,
    sidelobe_price: RealArray | None = None,
) -> Refined:
    """Improve precoders locally.

    Parameters
    ----------
    sinr : Gamma_c, linear; 0 asks for none.
    comm_precoders, radar_precoders : where to start, feasible or nearly so.
    power_price, sinr_price : (D,) and (U, L) prices of a relaxation, the first guess of the multipliers.
    unknown : (L, N M_t, U + q) which unknown each entry of the stacked precoders is, data streams first: -1 for entries
        that stay 0, equal numbers for entries that stay equal. Every entry is its own unknown by default.
    sidelobes, sidelobe_price : sidelobe limits to keep and their prices (J, 3); None for none.
    """
    stacked = stacked_precoders(comm_precoders, radar_precoders)
    unknown = np.arange(stacked.size).reshape(stacked.shape) if unknown is None else unknown
    if sidelobes is not None and not len(sidelobes):
        sidelobes = None
    lagrangian = _Lagrangian(scenario, sinr, unknown, FisherOperator(scenario, mode), sidelobes)
    levels = np.zeros((0, 3)) if sidelobe_price is None else sidelobe_price
    lagrangian.start_from_prices(stacked, power_price, sinr_price, levels)
    budget = int(np.clip(_WORK / stacked.size, 20, 1000))
    vector = lagrangian.vector(stacked)
    worst, between = np.inf, 0.0
    for _ in range(_OUTER_ROUNDS):
        options = {"maxiter": min(_INNER_ITERATIONS, budget), "maxcor": 20}
        answer = minimize(lagrangian, vector, jac=True, method="L-BFGS-B", options=options)
        settled = float(np.abs(answer.x - vector).max()) < 1e-4
        vector = answer.x
        limits = lagrangian.limits(lagrangian.complex(vector))[0]
        lagrangian.multipliers = np.maximum(0.0, lagrangian.multipliers + lagrangian.penalty * limits)
        between = lagrangian.follow_maxima(lagrangian.complex(vector)) + _TIGHTENING
        violation = max(float(np.max(limits, initial=0.0)), 0.0 if sidelobes is None else between)
        if violation > 0.3 * worst and violation > _TIGHTENING / 2:
            lagrangian.penalty *= 3
        worst = violation
        kept = violation < _TIGHTENING
        if (kept and settled) or lagrangian.evaluations > (1 if kept else 2) * budget:
            break
    violation = max(0.0, worst - _TIGHTENING)
    stacked = lagrangian.complex(vector)
    n_users = scenario.n_users
    split = stacked.reshape(scenario.n_subcarriers, scenario.n_nodes, scenario.n_tx, -1)
    precoders = (
        np.ascontiguousarray(split[..., :n_users].transpose(1, 3, 0, 2)),
        np.ascontiguousarray(split[..., n_users:].transpose(1, 0, 2, 3)),
    )
    kept_back = scaled_back(scenario, sinr, *precoders) if violation > 0 and between <= _TIGHTENING else None
    if kept_back is not None:
        precoders, violation = kept_back, 0.0
    return Refined(*precoders, violation=violation, evaluations=lagrangian.evaluations)


def _inverse_columns(operator: FisherOperator, covariances: ComplexArray) -> RealArray:
    """F^-1 E (P, 2K), from one Cholesky factorization of F where it is regular.

    Raises
    ------
    Unidentifiable : a position is not determined.
    """
    n_positions = 2 * operator.scenario.n_targets
    fisher = operator.apply(covariances)
    diagonal = np.diag(fisher)
    if diagonal.min() > 0:
        scale = 1 / np.sqrt(diagonal)
        scaled = fisher * scale[:, None] * scale
        try:
            regular = np.diag(np.linalg.cholesky(scaled)).min() ** 2 > _REGULAR
        except np.linalg.LinAlgError:
            regular = False
        if regular:
            columns: RealArray = scale[:, None] * np.linalg.solve(scaled, np.diag(scale)[:, :n_positions])
            return columns
    return position_information(operator, covariances).inverse_columns()


def scaled_back(
    scenario: Scenario, sinr: float, comm_precoders: ComplexArray, radar_precoders: ComplexArray
) -> tuple[ComplexArray, ComplexArray] | None:
    """Precoders that nearly keep power and SINR, scaled so that they do: no more radar is given up than needed.

    All radar is scaled by one power share 1 - t, all data by the largest that the antennas allow then. SINR grows with
    t, so the least t is found by bisection.

    Parameters
    ----------
    sinr : float
        Gamma_c, linear; 0 asks for none.

    Returns
    -------
    Data and radar precoders, or None where even t = 1 misses the SINR.
    """
    s = scenario
    data_power = antenna_power(transmitted_covariances(comm_precoders, 0 * radar_precoders))
    radar_power = antenna_power(transmitted_covariances(0 * comm_precoders, radar_precoders))
    if not sinr or s.n_users == 0:
        scale = np.sqrt(min(1.0, s.tx_power / float((data_power + radar_power).max())))
        return comm_precoders * scale, radar_precoders * scale
    limit = s.tx_power * (1 - 4 * np.finfo(float).eps)

    def scaled(given_up: float) -> tuple[ComplexArray, ComplexArray] | None:
        spare = limit - (1 - given_up) * radar_power
        if np.any(spare < 0):
            return None
        with np.errstate(divide="ignore"):
            share = float(np.min(np.where(data_power > 0, spare / data_power, np.inf)))
        sent = comm_precoders * np.sqrt(share), radar_precoders * np.sqrt(1 - given_up)
        return sent if np.min(achieved_sinr(s, *sent)) >= sinr else None

    best = scaled(1.0)
    low, high = 0.0, 1.0
    while best is not None and high - low > 1e-9:
        middle = (low + high) / 2
        found = scaled(middle)
        best, low, high = (best, middle, high) if found is None else (found, low, middle)
    return best
