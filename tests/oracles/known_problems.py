"""Design problems whose answers are known in closed form, derived here and not taken from any solver.

One node, one target, hybrid mode. A reflection b s_l exp(j pi m sin(theta) - j 2 pi f_l tau) of signals with power s_l
towards the target carries, with b unknown, the information 2 L |b|^2 M_r / sigma_s^2 times

    J_tau = (2 pi)^2 sum_l s_l (f_l - f_mean)^2            on the delay tau = 2 r / c,
    J_theta = (pi cos theta)^2 (M_r^2 - 1) / 12 sum_l s_l  on the angle,

and none on both together: weights s_l over subcarriers and equal weights over elements form a product, so frequency and
element are uncorrelated. The trace of the position bound is (c/2)^2 / J_tau + r^2 / J_theta.

With one transmit antenna s_l is the power p_l itself; sum_l p_l = P_T whatever is sent, so J_tau is the only choice.
A user with gain g_l asks for p_l >= m_l = Gamma sigma_c^2 / (L g_l), all of it data. What is left, S, goes to the
band's edges, where it adds most to the spread about the mean; with m2 and m1 the second and first moments of m_l about
the middle of the band and w half its width, J_tau / (2 pi)^2 = m2 + S w^2 - max(|m1| - S w, 0)^2 / P_T. The threshold
is out of reach above P_T / sum_l sigma_c^2 / (L g_l).

With two transmit antennas, both at P_T, the beam on the target gives s_l = 4 p_l. It is best for both terms when the
receive array is the wider one: swinging the beam by rho from +1 to -1 trades (M_r^2 - 1) / 12 for 1/4 in J_theta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.designs.problem.relaxed import Signal
from disac.simulator import Scenario

SPEED_OF_LIGHT = 299_792_458.0


@dataclass(frozen=True)
class KnownProblem:
    """A problem and its answer.

    Attributes
    ----------
    scenario, signal, sinr_db, mode : the problem.
    value : least trace of the position bound [m^2]; None when the threshold is out of reach.
    power_price : sum over antennas of the derivative of the value by P_T, negated [m^2 per unit of power].
    edge_db : largest feasible threshold [dB], where it limits anything.
    """

    scenario: Scenario
    signal: Signal
    sinr_db: float | None
    value: float | None
    power_price: float | None = None
    edge_db: float | None = None
    mode: str = "hybrid"


def one_node(n_tx: int = 1, gains: NDArray[np.float64] | None = None, **fields: Any) -> Scenario:
    """A node at (-40, 10) facing +x, a target at (3, -8), eight subcarriers in 24 MHz, a user with power gains g_l."""
    defaults: dict[str, Any] = dict(
        nodes=[[-40.0, 10.0]],
        targets=[[3.0, -8.0]],
        users=np.zeros((0, 2)) if gains is None else [[0.0, 20.0]],
        orientations=[0.0],
        n_tx=n_tx,
        n_rx=5,
        n_subcarriers=8,
        bandwidth_hz=24e6,
        tx_power=2.0,
        noise_comm=0.03,
        noise_sense=0.05,
        amplitudes=np.array([[[0.2 - 0.1j]]]),
    )
    if gains is not None:
        phases = np.exp(1j * np.arange(8.0))
        defaults["channels"] = (np.sqrt(gains) * phases)[None, None, :, None]
    return Scenario(**(defaults | fields))


def bound(s: Scenario, total: float, spread: float) -> tuple[float, float]:
    """Range and cross-range part of the trace for sum_l s_l and sum_l s_l (f_l - f_mean)^2."""
    dx, dy = s.targets[0] - s.nodes[0]
    r = np.hypot(dx, dy)
    cosine = np.cos(np.arctan2(dy, dx) - s.orientations[0])
    gain = 2 * s.n_subcarriers * abs(s.amplitudes[0, 0, 0]) ** 2 * s.n_rx / s.noise_sense
    j_tau = gain * (2 * np.pi) ** 2 * spread
    j_theta = gain * (np.pi * cosine) ** 2 * (s.n_rx**2 - 1) / 12 * total
    return (SPEED_OF_LIGHT / 2) ** 2 / j_tau, r**2 / j_theta


def sensing(s: Scenario, signal: Signal) -> KnownProblem:
    """No users; the radar of P.3 is the same on all subcarriers, all others load the edges of the band."""
    f = (np.arange(s.n_subcarriers) - (s.n_subcarriers - 1) / 2) * s.bandwidth_hz / s.n_subcarriers
    total = s.n_tx**2 * s.tx_power
    spread = total * (np.mean(f**2) if signal.startswith("beamforming") else f[-1] ** 2)
    value = sum(bound(s, total, spread))
    return KnownProblem(s, signal, None, value, power_price=value / s.tx_power)


def serving(s: Scenario, signal: Signal, sinr_db: float) -> KnownProblem:
    """One user, one transmit antenna."""
    f = (np.arange(s.n_subcarriers) - (s.n_subcarriers - 1) / 2) * s.bandwidth_hz / s.n_subcarriers
    per_sinr = s.noise_comm / s.n_subcarriers / np.abs(s.channels[0, 0, :, 0]) ** 2
    edge_db = float(10 * np.log10(s.tx_power / per_sinr.sum()))
    demand = 10 ** (sinr_db / 10) * per_sinr
    spare, w = s.tx_power - demand.sum(), f[-1]
    if spare < 0:
        return KnownProblem(s, signal, sinr_db, None, edge_db=edge_db)
    offset = max(abs(np.sum(demand * f)) - spare * w, 0.0)
    spread = np.sum(demand * f**2) + spare * w**2 - offset**2 / s.tx_power
    slope = w**2 + (2 * offset * w / s.tx_power) + (offset / s.tx_power) ** 2
    along, across = bound(s, s.tx_power, spread)
    return KnownProblem(
        s, signal, sinr_db, along + across, power_price=along * slope / spread + across / s.tx_power, edge_db=edge_db
    )


def crowded(s: Scenario, sinr_db: float) -> KnownProblem:
    """Two users with equal gains g: each signal disturbs the other, p = Gamma (sigma_c^2 / (L g) + p) at the least."""
    g = abs(s.channels[0, 0, 0, 0]) ** 2
    ratio = s.tx_power * g / (2 * s.noise_comm)
    return KnownProblem(s, "joint", sinr_db, None, edge_db=float(10 * np.log10(ratio / (1 + ratio))))


def bearings(signal: Signal) -> KnownProblem:
    """Three nodes, one antenna each, known delays: any spread of full power is optimal, a whole face of solutions."""
    s = Scenario(
        nodes=[[-40.0, 10.0], [35.0, 20.0], [5.0, -45.0]],
        targets=[[3.0, -8.0]],
        users=np.zeros((0, 2)),
        orientations=[0.0, 3.0, 1.5],
        n_tx=1,
        n_rx=4,
        n_subcarriers=7,
        amplitudes=0.1 * np.exp(1j * np.arange(9.0)).reshape(3, 3, 1) * np.arange(1, 10).reshape(3, 3, 1),
    )
    offset = s.targets[0] - s.nodes
    r = np.hypot(*offset.T)
    across = np.stack([-offset[:, 1], offset[:, 0]], axis=1) / r[:, None] ** 2
    cosine = np.cos(np.arctan2(offset[:, 1], offset[:, 0]) - s.orientations)
    gain = 2 * s.n_subcarriers / s.noise_sense * np.sum(np.abs(s.amplitudes[..., 0]) ** 2, axis=1) * s.tx_power
    weight = gain * s.n_rx * (np.pi * cosine) ** 2 * (s.n_rx**2 - 1) / 12
    value = float(np.trace(np.linalg.inv(across.T @ (weight[:, None] * across))))
    return KnownProblem(s, signal, None, value, power_price=value / s.tx_power, mode="aoa")


GAINS = np.array([0.2, 0.7, 0.4, 1.3, 0.5, 0.9, 0.3, 0.6])
STEEP = np.array([0.05, 0.4, 0.8, 1.3, 1.5, 1.9, 2.3, 2.6])
"""Gains that make the least demand so lopsided that near the edge both band edges together cannot balance it."""
SIGNALS: tuple[Signal, ...] = ("joint", "block-diagonal", "interleaved")
ANY_SIGNAL: tuple[Signal, ...] = (*SIGNALS, "beamforming", "beamforming-averaged")


def _edge(gains: NDArray[np.float64]) -> float:
    edge = serving(one_node(gains=gains), "joint", -100.0).edge_db
    assert edge is not None
    return edge


def _crowd(sinr_db: float) -> KnownProblem:
    channels = 0.7 * np.exp(1j * np.arange(16.0)).reshape(1, 2, 8, 1)
    return crowded(one_node(users=[[0.0, 20.0], [5.0, 5.0]], channels=channels), sinr_db)


def _scaled(**factors: float) -> Scenario:
    """The serving problem in other units: of power, of length, of reflection amplitude, of channel gain."""
    s = one_node(gains=GAINS)
    power, length, amplitude, gain = (factors.get(name, 1.0) for name in ("power", "length", "amplitude", "gain"))
    return s.replace(
        tx_power=s.tx_power * power,
        noise_comm=s.noise_comm * power * gain**2,
        noise_sense=s.noise_sense * power * amplitude**2,
        channels=s.channels * gain,
        amplitudes=s.amplitudes * amplitude,
        bandwidth_hz=s.bandwidth_hz / length,
        **{name: getattr(s, name) * length for name in ("nodes", "targets", "users", "area")},
    )


def _beam(n_tx: int) -> Scenario:
    return one_node(n_tx=n_tx, orientations=[0.3])


PROBLEMS = {
    **{f"edges of the band, {signal}": sensing(one_node(), signal) for signal in ANY_SIGNAL},
    **{f"beam of two antennas, {signal}": sensing(_beam(2), signal) for signal in ANY_SIGNAL},
    **{f"one user, {signal}": serving(one_node(gains=GAINS), signal, 12.0) for signal in SIGNALS},
    **{
        f"1e-3 dB below the edge, {signal}": serving(one_node(gains=GAINS), signal, _edge(GAINS) - 1e-3)
        for signal in SIGNALS
    },
    "lopsided demand": serving(one_node(gains=STEEP), "joint", _edge(STEEP) - 0.05),
    "threshold of no weight": serving(one_node(gains=GAINS), "joint", -80.0),
    **{f"face of solutions, {signal}": bearings(signal) for signal in ANY_SIGNAL[1:4]},
    "units of power": serving(_scaled(power=1e-9), "joint", 12.0),
    "units of length": serving(_scaled(length=1e4), "interleaved", 12.0),
    "units of amplitude": serving(_scaled(amplitude=1e-6), "joint", 12.0),
    "units of gain": serving(_scaled(gain=1e5), "block-diagonal", 12.0),
    "1e-3 dB beyond the edge": serving(one_node(gains=GAINS), "joint", _edge(GAINS) + 1e-3),
    "far beyond the edge": serving(one_node(gains=GAINS), "interleaved", _edge(GAINS) + 60.0),
    "users that disturb each other": _crowd(0.0),
}
