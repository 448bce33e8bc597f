"""Whether sidelobe levels can be kept at all, and the lowest that can, between signals that keep them and a proof.

Two things stand in the way of a level. The spectrum: no nonnegative powers on a node's tones have lower sidelobes than
those of :func:`lowest_of_comb`, whatever the power. The users: their data need power on every tone, and the rest of
P_T may not be enough to even the spectrum out; :func:`disac.designs.solvers.conic.sidelobe_margin` decides that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from disac.designs.precoders import antenna_power
from disac.designs.problem.certificate import FeasiblePoint, kept_to_cone, price_shift, sinr_margin, spectrum_weights
from disac.designs.problem.refusals import SidelobeProof, SidelobesInfeasible
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.problem.sidelobes import Comb, SidelobeLimits
from disac.designs.solvers.conic import SidelobeMargin, least_peak, sidelobe_margin

RealArray = NDArray[np.float64]

LEVEL_TOLERANCE_DB = 1e-3
"""Width of the interval in which the lowest sidelobe level is certified to lie [dB]."""
_WIDTH = 10 ** (LEVEL_TOLERANCE_DB / 20) - 1
_ROOM = 1e-7
"""Least relative room of a point that counts as strictly feasible."""
_ROUNDS = 12
_TRIALS = 40


@dataclass(frozen=True)
class LowestLevel:
    """The lowest sidelobes of any spectrum on one comb.

    Attributes
    ----------
    upper : amplitude ratio that ``powers`` reach on the whole arc.
    powers : (n,) spectrum, sum 1.
    lower : verified lower bound on the ratio of any spectrum.
    phase, price : (J,) and (J, 3) phases and multipliers that prove it.
    """

    upper: float
    powers: RealArray
    lower: float
    phase: RealArray
    price: RealArray


def lowest_of_comb(comb: Comb, edge: float, phase: RealArray) -> LowestLevel:
    """Least max |r| / r(0) on [edge, pi] over nonnegative spectra; ``phase`` are the phases to begin with."""
    new = phase
    for _ in range(_ROUNDS):
        phase = np.union1d(phase, new)
        waves = comb.waves(phase)
        found, price = least_peak(waves)
        at, values = comb.extrema(found, edge)
        price = kept_to_cone(price)
        pull = price[:, 1] @ waves.real + price[:, 2] @ waves.imag
        lower = float(-pull.max() / price[:, 0].sum())
        upper = float(values.max() / found.sum())
        if upper <= lower * (1 + _WIDTH / 100):
            break
        new = at[values > lower * found.sum()]
    return LowestLevel(upper, found / found.sum(), lower, phase, price)


def strictly_inside(name: str, problem: RelaxedProblem) -> FeasiblePoint:
    """A point with room in every power, SINR and sidelobe limit, the latter on the whole arcs.

    Raises
    ------
    SidelobesInfeasible : there is none, though there is one without the sidelobe limits.
    """
    limits = problem.sidelobes
    assert limits is not None
    lowest = {int(n): lowest_of_comb(limits.combs[n], limits.edge[n], _phases_of(limits, n)) for n in limits.limited}
    if all(limits.level[n] > found.upper * (1 + _ROOM) for n, found in lowest.items()):
        trial = _try(problem)
        if trial.point is not None:
            return trial.point
        if trial.proof is None:
            raise _refusal(name, problem, *_lowest(problem, lowest))
        raise _refusal(name, problem, _lowest(problem, lowest)[0], trial.proof)
    raise _refusal(name, problem, *_lowest(problem, lowest))


def _refusal(name: str, problem: RelaxedProblem, lowest: float, proof: SidelobeProof | None) -> SidelobesInfeasible:
    limits = problem.sidelobes
    assert limits is not None
    asked = float(limits.level[limits.limited].max())
    return SidelobesInfeasible(
        name, problem.sinr_db, 20 * float(np.log10(asked)), 20 * float(np.log10(asked * lowest)), proof
    )


def _phases_of(limits: SidelobeLimits, node: int) -> RealArray:
    return np.unique(limits.phase[limits.node == node])


@dataclass(frozen=True)
class _Trial:
    """A strictly feasible point, or a proof that there is no feasible one, or neither where it is too close to call."""

    point: FeasiblePoint | None
    proof: SidelobeProof | None


def _try(problem: RelaxedProblem) -> _Trial:
    for _ in range(_ROUNDS):
        limits = problem.sidelobes
        assert limits is not None
        margin = sidelobe_margin(problem)
        point = FeasiblePoint(margin.covariances, margin.comm_covariances, 1.0)
        if _has_room(problem, point):
            return _Trial(point, None)
        proof = _proof(problem, margin)
        if proof.power_needed > 1:
            return _Trial(None, proof)
        finer = limits.with_maxima_of(margin.covariances, tolerance=-1e-3)
        if finer is limits or margin.value <= 0:
            break
        problem = replace(problem, sidelobes=finer)
    return _Trial(None, None)


def _has_room(problem: RelaxedProblem, point: FeasiblePoint) -> bool:
    s, limits = problem.scenario, problem.sidelobes
    assert limits is not None
    if antenna_power(point.covariances).max() >= s.tx_power * (1 - _ROOM):
        return False
    if problem.n_constrained_users and sinr_margin(problem, point.covariances, point.comm_covariances).min() <= _ROOM:
        return False
    return limits.excess(point.covariances) <= -_ROOM


def _proof(problem: RelaxedProblem, margin: SidelobeMargin) -> SidelobeProof:
    """The share of P_T that the prices of a margin say is needed at least, after making them dual feasible."""
    s, limits = problem.scenario, problem.sidelobes
    assert limits is not None
    if problem.signal == "joint":
        problem = replace(problem, signal="block-diagonal")
    price, sinr_price = np.maximum(margin.power_price, 0.0), np.maximum(margin.sinr_price, 0.0)
    sidelobe_price = kept_to_cone(margin.sidelobe_price)
    side = s.n_nodes * s.n_tx
    nothing = np.zeros((s.n_subcarriers, side, side), dtype=complex)
    shifted = price + price_shift(problem, price, sinr_price, nothing, sidelobe_price, None)[:, None]
    needed = s.noise_comm_per_subcarrier * sinr_price.sum() / (s.tx_power * shifted.sum())
    return SidelobeProof(limits, sidelobe_price, shifted, sinr_price, float(needed))


def _lowest(problem: RelaxedProblem, lowest: dict[int, LowestLevel]) -> tuple[float, SidelobeProof | None]:
    """Factor on all levels at which they can just be kept, and the proof that a slightly smaller one is too small."""
    limits = problem.sidelobes
    assert limits is not None
    worst = max(lowest, key=lambda n: lowest[n].upper / limits.level[n])
    ruled_out = lowest[worst].lower / limits.level[worst]
    proof: SidelobeProof | None = _spectral_proof(problem, worst, lowest[worst], ruled_out * (1 - 1e-9))
    feasible = 1 / float(limits.level[limits.limited].max())
    trial = max(lowest[worst].upper / limits.level[worst], ruled_out) * (1 + _WIDTH / 2)
    for _ in range(_TRIALS):
        found = _try(replace(problem, sidelobes=limits.at_level(limits.level * trial)))
        if found.point is not None:
            feasible = trial
        else:
            ruled_out, proof = trial, found.proof or proof
        if feasible <= ruled_out * (1 + _WIDTH):
            break
        trial = float(np.sqrt(feasible * ruled_out))
    return feasible, proof


def _spectral_proof(problem: RelaxedProblem, node: int, found: LowestLevel, factor: float) -> SidelobeProof:
    """Multipliers with w < 0 on all tones of a node, at levels ``factor`` times those of the problem."""
    s, limits = problem.scenario, problem.sidelobes
    assert limits is not None
    at_node = np.full(len(found.phase), node)
    ruled_out = replace(
        limits,
        level=limits.level * factor,
        node=at_node,
        target=np.zeros_like(at_node),
        phase=found.phase,
    )
    weights = spectrum_weights(ruled_out, found.price, s.n_subcarriers)[node, 0, limits.combs[node].tones]
    needed = np.inf if weights.max() < 0 else 0.0
    return SidelobeProof(
        ruled_out, found.price, np.zeros((s.n_nodes, s.n_tx)), np.zeros((s.n_users, s.n_subcarriers)), float(needed)
    )
