"""An allocation of subcarriers to nodes that trades the ambiguity of delays against the CRB, by exchange.

Judged at equal power on each node's subcarriers, before any design: the CRB, and the highest autocorrelation of any
node's tones outside the resolution cell 1/B and within the whole period L / B. The comb has 0 dB there, its grating
lobes; a block has a main lobe N times as wide. A swap of two subcarriers between nodes keeps their numbers; swaps are
tried at random and kept when they lower ``pslr_weight`` PSLR_dB + RCRB_dB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disac.designs.bounds.crb import crb
from disac.designs.problem.certificate import block_diagonal
from disac.designs.problem.sidelobes import Comb
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]

_OVERSAMPLING = 8


@dataclass(frozen=True)
class AllocationQuality:
    """What an allocation does at equal power.

    Attributes
    ----------
    pslr_db : highest squared autocorrelation of a node's tones over its peak, at delays from 1/B to L / (2 B) [dB].
    rcrb_m : root CRB trace of one symbol [m].
    """

    pslr_db: float
    rcrb_m: float


def equal_power(scenario: Scenario) -> ComplexArray:
    """(L, N M_t, N M_t) covariances of independent antennas that spread P_T evenly over their node's subcarriers."""
    s = scenario
    serves = np.arange(s.n_nodes)[:, None] == s.subcarrier_node
    share = s.tx_power / serves.sum(axis=1)
    return block_diagonal((share[:, None] * serves)[..., None, None] * np.eye(s.n_tx, dtype=complex))


def allocation_quality(scenario: Scenario) -> AllocationQuality:
    """PSLR over the whole period and CRB of the scenario's allocation at equal power.

    Raises
    ------
    Unidentifiable : the targets cannot be localized.
    """
    s = scenario
    levels = []
    for node in range(s.n_nodes):
        tones = np.flatnonzero(s.subcarrier_node == node)
        comb, flat = Comb(tones, 1), np.ones(len(tones))
        levels.append(comb.extrema(flat, 2 * np.pi / s.n_subcarriers)[1].max() / len(tones))
    value = float(np.trace(crb(s, equal_power(s))))
    return AllocationQuality(20 * float(np.log10(max(levels))), float(np.sqrt(value)))


def optimize_allocation(
    scenario: Scenario, rng: np.random.Generator, *, pslr_weight: float = 1.0, patience: int | None = None
) -> Scenario:
    """The scenario with an allocation found by exchange from the one it has; never a worse one.

    Parameters
    ----------
    rng : draws the swaps.
    pslr_weight : decibels of RCRB that one decibel of PSLR is worth, at least 0.
    patience : swaps in a row without gain after which to stop; default 4 L.

    Raises
    ------
    ValueError : weight or patience out of range.
    Unidentifiable : the targets cannot be localized with the first allocation.
    """
    if not 0 <= pslr_weight <= 1e6:
        raise ValueError(f"pslr_weight = {pslr_weight}: must be a number in [0, 1e6]")
    patience = 4 * scenario.n_subcarriers if patience is None else patience
    if patience < 1:
        raise ValueError(f"patience = {patience}: must be at least 1")
    if scenario.n_nodes == 1:
        return scenario
    # explicit arrays, so that a new allocation draws nothing else anew
    best = scenario.replace(subcarrier_allocation=scenario.subcarrier_node)
    cost, idle = _cost(best, pslr_weight), 0
    while idle < patience:
        nodes = best.subcarrier_node.copy()
        first = int(rng.integers(len(nodes)))
        others = np.flatnonzero(nodes != nodes[first])
        second = int(rng.choice(others))
        nodes[[first, second]] = nodes[[second, first]]
        trial = best.replace(subcarrier_allocation=nodes)
        trial_cost = _cost(trial, pslr_weight)
        if trial_cost < cost - 1e-9:
            best, cost, idle = trial, trial_cost, 0
        else:
            idle += 1
    return best


def _cost(scenario: Scenario, pslr_weight: float) -> float:
    s = scenario
    size = _OVERSAMPLING * s.n_subcarriers
    serves = (np.arange(s.n_nodes)[:, None] == s.subcarrier_node).astype(float)
    profiles = np.abs(np.fft.fft(serves, size)[:, _OVERSAMPLING : size // 2 + 1]) / serves.sum(axis=1, keepdims=True)
    rcrb = float(np.sqrt(np.trace(crb(s, equal_power(s)))))
    return pslr_weight * 20 * float(np.log10(profiles.max())) + 20 * float(np.log10(rcrb))
