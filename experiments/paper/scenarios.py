"""The scenarios of the paper's Section V as functions of what its figures vary, with channels and amplitudes per draw.

Draws are common to all points of a figure, so that designs and parameters are compared on the same channels: a draw
with fewer nodes, users or antennas is a part of the draw with more.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from disac.experiments.trials.keys import Point, Purpose, TrialKey
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario
from disac.simulator.geometry import node_to_point
from disac.simulator.presets import PAPER_NODES_M, targets_on_x_axis, users_on_y_axis
from disac.simulator.steering import subcarrier_frequencies
from disac.simulator.tdl import PROFILES

ComplexArray = NDArray[np.complex128]

Layout = Literal["axes", "fig4"]
"""Where targets and users are: spread over the axes (Section V-B) or at the two points each of Section V-A."""

Channel = Literal["independent", "tdl-a", "tdl-d"]
"""User channels: Rayleigh, independent per subcarrier as in the paper, or a tapped delay line of TR 38.901."""

MOST_USERS, MOST_TARGETS, MOST_ANTENNAS = 4, 4, 16
"""Sizes of a draw; a scenario takes its part."""

_MEAN_AMPLITUDE_POWER = 10.0
_ANTENNAS_AT_UNIT_POWER = 6


@dataclass(frozen=True)
class PaperScenario:
    """What the figures of Section V vary.

    Attributes
    ----------
    n_nodes : the first of the paper's four nodes.
    n_antennas : M = M_t = M_r; P_T = 6 / M keeps the power of a node constant, P_T = 1 at the paper's M = 6.
    delay_spread_s : root mean square delay spread of a tapped delay line [s].
    """

    layout: Layout = "axes"
    n_nodes: int = 2
    n_targets: int = 1
    n_users: int = 1
    n_antennas: int = 6
    n_subcarriers: int = 16
    bandwidth_hz: float = 20e6
    channel: Channel = "independent"
    delay_spread_s: float = 100e-9

    def __post_init__(self) -> None:
        for name, most in (
            ("n_nodes", len(PAPER_NODES_M)),
            ("n_targets", MOST_TARGETS),
            ("n_users", MOST_USERS),
            ("n_antennas", MOST_ANTENNAS),
        ):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ValueError(f"{name} = {value}: must be within 1..{most}")
        if self.channel != "independent" and self.channel not in PROFILES:
            raise ValueError(f"channel = {self.channel!r}: must be independent or one of {', '.join(PROFILES)}")
        if not 0 <= self.delay_spread_s < 1:
            raise ValueError(f"delay_spread_s = {self.delay_spread_s}: must be within [0, 1) s")
        if self.layout == "fig4" and (self.n_targets, self.n_users) != (2, 2):
            raise ValueError("layout = 'fig4': has two targets and two users")

    @classmethod
    def at(cls, point: Point) -> PaperScenario:
        """The scenario of a point; fields that it does not name keep their defaults."""
        return cls(**{name: point[name] for name in cls.__dataclass_fields__ if name in point})  # type: ignore[arg-type]

    @property
    def late_user_power(self) -> float:
        """Share of the users' mean power that arrives later than the cyclic prefix of L // 4 samples."""
        if self.channel == "independent" or self.delay_spread_s == 0:
            return 0.0
        prefix_s = (self.n_subcarriers // 4) / self.bandwidth_hz
        return PROFILES[self.channel].share_later_than(prefix_s / self.delay_spread_s)

    def draw(self, key: TrialKey) -> Scenario:
        """The scenario with the channels and amplitudes of a trial, whatever the key's point."""
        targets = np.array([[0.0, 0.0], [0.0, 10.0]]) if self.layout == "fig4" else targets_on_x_axis(self.n_targets)
        channels = self._channels(key)
        amplitudes = RandomAmplitudes(seed=_seed(key, Purpose.AMPLITUDE)).draw(len(PAPER_NODES_M), MOST_TARGETS)
        amplitudes = amplitudes[: self.n_nodes, : self.n_nodes, : self.n_targets]
        amplitudes *= np.sqrt(_MEAN_AMPLITUDE_POWER / np.mean(np.abs(amplitudes) ** 2))
        return Scenario(
            nodes=PAPER_NODES_M[: self.n_nodes],
            targets=targets,
            users=users_on_y_axis(self.n_users),
            n_tx=self.n_antennas,
            n_rx=self.n_antennas,
            n_subcarriers=self.n_subcarriers,
            n_symbols=16,
            bandwidth_hz=self.bandwidth_hz,
            tx_power=_ANTENNAS_AT_UNIT_POWER / self.n_antennas,
            noise_comm=0.01,
            noise_sense=0.01,
            amplitudes=amplitudes,
            channels=np.ascontiguousarray(channels[: self.n_nodes, : self.n_users, :, : self.n_antennas]),
            area=[[-63.0, 57.0], [-55.0, 65.0]],
        )

    def _channels(self, key: TrialKey) -> ComplexArray:
        """Channels of all nodes, the most users and the most antennas."""
        if self.channel == "independent":
            return RandomChannels(seed=_seed(key, Purpose.CHANNEL)).draw(
                len(PAPER_NODES_M), MOST_USERS, self.n_subcarriers, MOST_ANTENNAS
            )
        nodes = np.array(PAPER_NODES_M)
        users = np.resize(users_on_y_axis(self.n_users), (MOST_USERS, 2))
        angles = node_to_point(nodes, np.arctan2(-nodes[:, 1], -nodes[:, 0]), users).angle
        frequencies = subcarrier_frequencies(self.n_subcarriers, self.bandwidth_hz) * self.delay_spread_s
        rng = key.of_all_points().generator(Purpose.CHANNEL)
        return PROFILES[self.channel].draw(rng, angles, frequencies, MOST_ANTENNAS)


def warn_of_late_paths(points: Iterable[Point]) -> None:
    """Warn where users' paths arrive later than the cyclic prefix, with the largest share of power of all points."""
    worst = max(map(PaperScenario.at, points), key=lambda shape: shape.late_user_power, default=PaperScenario())
    if worst.late_user_power > 0:
        prefix_s = (worst.n_subcarriers // 4) / worst.bandwidth_hz
        warnings.warn(
            f"{100 * worst.late_user_power:.2f} % of the users' power ({worst.channel}, delay spread "
            f"{worst.delay_spread_s * 1e9:g} ns) arrives later than the cyclic prefix of {prefix_s * 1e9:g} ns (B = "
            f"{worst.bandwidth_hz / 1e6:g} MHz, L = {worst.n_subcarriers}): the interference that real symbols would "
            "suffer is left out of Eq. (4)",
            stacklevel=2,
        )


def _seed(key: TrialKey, purpose: Purpose) -> int:
    return int(key.of_all_points().generator(purpose).integers(2**63 - 1))
