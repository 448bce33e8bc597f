"""The waveforms of the paper's designs: a point is one draw of channels and amplitudes, its trials go over the link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from disac.designs.precoders import phase_averaged_powers
from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.studies.link import MODULATIONS, LinkTrial, Outcome
from disac.experiments.trials.experiment import Record
from disac.experiments.trials.keys import Point, PointValue, TrialKey, plain_point
from disac.experiments.trials.observation import Transmission

if TYPE_CHECKING:
    from disac.designs import DesignResult

RealArray = NDArray[np.float64]
Case = tuple[tuple[str, PointValue], ...]

OUTAGE_MARGIN = 1e-4
"""An SINR counts as an outage when it is below the threshold by more than this share: designs meet it exactly."""


SENT = (("p1", "known"), ("p1", "random"), ("p1-noncoherent", "random"), ("p2", "random"), ("p3", "random"))
"""Designs, and whether the inter-node phases are those of the design or unknown."""

LABELS = {
    ("p1", "known"): "P.1, phases known",
    ("p1", "random"): "P.1, phases unknown",
    ("p1-noncoherent", "random"): "P.1 block-diagonal",
    ("p2", "random"): "P.2",
    ("p3", "random"): "P.3",
}


@dataclass(frozen=True)
class SceneThresholds:
    """One of the paper's scenes with the thresholds at which its designs are sent."""

    name: str
    fields: tuple[tuple[str, PointValue], ...]
    thresholds_db: tuple[float, ...]

    @property
    def title(self) -> str:
        """Its figure and sizes."""
        shape = PaperScenario.at(dict(self.fields))
        return f"{self.name.replace('fig', 'Fig. ')}, N = {shape.n_nodes}, K = {shape.n_targets}, U = {shape.n_users}"


def feasible_draws(scene: SceneThresholds, n_draws: int, seed: int) -> list[int]:
    """Numbers of the first draws whose interleaved signals reach the highest threshold; others follow from them."""
    from disac.designs.problem.feasibility import largest_feasible_sinr

    shape = PaperScenario.at(dict(scene.fields))
    found: list[int] = []
    for draw in range(20 * n_draws):
        scenario = shape.draw(TrialKey(seed, 0, draw))
        serves = np.arange(scenario.n_nodes)[:, None] == scenario.subcarrier_node[None, :]
        if largest_feasible_sinr(scenario, serves).sinr_db > max(scene.thresholds_db):
            found.append(draw)
        if len(found) == n_draws:
            break
    return found


@dataclass(frozen=True)
class WaveformSweep:
    """Designs of the paper's scenes sent through the link.

    Attributes
    ----------
    cases : points; each names ``design``, ``sinr_db``, ``phases`` (random or known), ``modulation``, ``estimator``,
        ``draw`` (number of the draw of channels and amplitudes), fields of :class:`PaperScenario` and, optionally,
        ``area_side_m``, the side of the square search area.
    draw_seed : seed of the draws.
    """

    cases: tuple[Case, ...]
    draw_seed: int

    name = "paper-waveform"
    compared: ClassVar[tuple[str, ...]] = ("phases",)

    def config(self) -> dict[str, Any]:
        """What, besides the points, decides a record."""
        return {"draw_seed": self.draw_seed}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], points: Sequence[Point]) -> WaveformSweep:
        """The experiment of a stored run."""
        return cls(tuple(tuple(plain_point(point).items()) for point in points), **config)

    def points(self) -> list[dict[str, PointValue]]:
        """The cases as points."""
        return [dict(case) for case in self.cases]

    def prepare(self, point: Point) -> WaveformTrial:
        """Solve the point's design for its draw."""
        key = TrialKey(self.draw_seed, 0, int(point["draw"]))
        sent = _designed(str(point["design"]), PaperScenario.at(point), key, float(point["sinr_db"]))
        scenario = sent.scenario
        if "area_side_m" in point:
            centre, half = np.mean(scenario.area, axis=1), float(point["area_side_m"]) / 2
            scenario = scenario.replace(area=np.stack([centre - half, centre + half], axis=1))
        transmission = Transmission(
            scenario,
            sent.comm_precoders,
            sent.radar_precoders,
            order=MODULATIONS[str(point["modulation"])],
            known_phases=point["phases"] == "known",
        )
        return WaveformTrial(LinkTrial(transmission, (str(point["estimator"]),)), 10 ** (float(point["sinr_db"]) / 10))

    def run(self, context: WaveformTrial, keys: Sequence[TrialKey]) -> list[Record]:
        """One record per key."""
        return [context.run(key) for key in keys]


@lru_cache(maxsize=4)
def _designed(name: str, shape: PaperScenario, key: TrialKey, sinr_db: float) -> DesignResult:
    """One design, kept for the points that send it in another way."""
    from disac.designs import design

    return design(name, shape.draw(key), sinr_db, solver="native")


@dataclass(frozen=True)
class WaveformTrial:
    """The link with what the paper's claims need besides: expected bound at the trial's phases, SINR and outage.

    Attributes
    ----------
    link : LinkTrial
        The link with one estimator.
    sinr : float
        The threshold, linear.
    """

    link: LinkTrial
    sinr: float

    def run(self, key: TrialKey) -> Record:
        """The link's record with ``expected_m2``, the users' powers and their outages."""
        outcome = self.link.outcome(key)
        record = self.link.record(outcome)
        for name, values in self._powers(outcome).items():
            record |= {f"{name}_u{u}": value for u, value in enumerate(values)}
        return {**record, "expected_m2": self._expected_m2(outcome.observation.phases)}

    @cached_property
    def _expected_m2_of_any_phases(self) -> float:
        return float(self.link.expected_crb_m2(self.link.kinds[0].bound).sum())

    def _expected_m2(self, phases: RealArray) -> float:
        from disac.designs.bounds.phases import crb_over_phases

        if self._uncorrelated_nodes:
            return self._expected_m2_of_any_phases
        s, covariances = self.link.scenario, self.link.transmission.covariances
        bound = crb_over_phases(s, covariances, phases[None, :], self.link.kinds[0].bound)
        return float(bound[0]) / s.n_symbols

    @cached_property
    def _uncorrelated_nodes(self) -> bool:
        """Whether the signals of different nodes are uncorrelated, so that phases cannot change the expected bound."""
        s, covariances = self.link.scenario, self.link.transmission.covariances
        n = s.n_nodes
        blocks = np.abs(covariances).reshape(len(covariances), n, -1, n, s.n_tx).copy()
        blocks[:, range(n), :, range(n)] = 0
        return not blocks.any()

    @cached_property
    def stated_powers(self) -> tuple[RealArray, RealArray]:
        """(U,) useful and disturbing powers of Eq. (7), a mean over the phases, summed over subcarriers."""
        sent = self.link.transmission
        useful, disturbing = phase_averaged_powers(self.link.scenario, sent.comm_precoders, sent.radar_precoders)
        return useful.sum(axis=1), disturbing.sum(axis=1)

    def _powers(self, outcome: Outcome) -> dict[str, list[float] | list[int]]:
        """Per user: powers measured about its known gain and stated by Eq. (7), and subcarriers in outage."""
        from disac.experiments.theory.ber import realized_sinr

        s, seen = self.link.scenario, outcome.observation
        useful = outcome.users_gains["known"][..., None] * seen.streams.data
        received = np.sum(np.abs(useful) ** 2, axis=(1, 2)) / s.n_symbols
        disturbance = np.sum(np.abs(outcome.users_samples - useful) ** 2, axis=(1, 2)) / s.n_symbols
        sinr = realized_sinr(*self.link.gains(seen.phases), s.noise_comm_per_subcarrier)
        below = np.sum(sinr < self.sinr * (1 - OUTAGE_MARGIN), axis=1)
        return {
            "useful": received.tolist(),
            "disturbance": disturbance.tolist(),
            "stated_useful": self.stated_powers[0].tolist(),
            "stated_disturbance": self.stated_powers[1].tolist(),
            "outages": below.tolist(),
        }
