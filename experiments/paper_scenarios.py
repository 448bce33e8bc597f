"""The scenarios of the paper's Section V as functions of what its figures vary, with channels and amplitudes per draw.

Draws are common to all points of a figure, so that designs and parameters are compared on the same channels: a draw
with fewer nodes, users or antennas is a part of the draw with more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from disac.experiments.keys import Point, Purpose, TrialKey, point_key
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario
from disac.simulator.presets import PAPER_NODES_M, targets_on_x_axis, users_on_y_axis

Layout = Literal["axes", "fig4"]
"""Where targets and users are: spread over the axes (Section V-B) or at the two points each of Section V-A."""

MOST_USERS, MOST_TARGETS, MOST_ANTENNAS = 4, 4, 16
"""Sizes of a draw; a scenario takes its part."""

_MEAN_AMPLITUDE_POWER = 10.0
_ANTENNAS_AT_UNIT_POWER = 6
_ALL_POINTS = point_key({"draw": "common to all points"})


@dataclass(frozen=True)
class PaperScenario:
    """What the figures of Section V vary.

    Attributes
    ----------
    n_nodes : the first of the paper's four nodes.
    n_antennas : M = M_t = M_r; P_T = 6 / M keeps the power of a node constant, P_T = 1 at the paper's M = 6.
    """

    layout: Layout = "axes"
    n_nodes: int = 2
    n_targets: int = 1
    n_users: int = 1
    n_antennas: int = 6
    n_subcarriers: int = 16
    bandwidth_hz: float = 20e6

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
        if self.layout == "fig4" and (self.n_targets, self.n_users) != (2, 2):
            raise ValueError("layout = 'fig4': has two targets and two users")

    @classmethod
    def at(cls, point: Point) -> PaperScenario:
        """The scenario of a point; fields that it does not name keep their defaults."""
        return cls(**{name: point[name] for name in cls.__dataclass_fields__ if name in point})  # type: ignore[arg-type]

    def draw(self, key: TrialKey) -> Scenario:
        """The scenario with the channels and amplitudes of a trial, whatever the key's point."""
        targets = np.array([[0.0, 0.0], [0.0, 10.0]]) if self.layout == "fig4" else targets_on_x_axis(self.n_targets)
        channels = RandomChannels(seed=_seed(key, Purpose.CHANNEL)).draw(
            len(PAPER_NODES_M), MOST_USERS, self.n_subcarriers, MOST_ANTENNAS
        )
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


def common_generator(key: TrialKey, purpose: Purpose) -> np.random.Generator:
    """The stream of one purpose that all points share in one trial."""
    return TrialKey(key.seed, _ALL_POINTS, key.trial).generator(purpose)


def _seed(key: TrialKey, purpose: Purpose) -> int:
    return int(common_generator(key, purpose).integers(2**63 - 1))
