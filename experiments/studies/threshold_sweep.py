"""Where ML leaves the CRB: simulation, interval errors and Ziv-Zakai bound per design, through the runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from disac.estimators import estimator
from disac.experiments.studies.link import at_snr
from disac.experiments.trials.experiment import Column, Record, content_digest
from disac.experiments.trials.keys import Point, PointValue, TrialKey
from disac.experiments.trials.observation import Transmission
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Row = dict[str, Any]


@dataclass(frozen=True)
class ThresholdCase:
    """One design's signals and the SNRs P_T / sigma_s^2 [dB] at which its echoes are simulated.

    ``known_phases``: whether the inter-node phases are those that the design was made for, in every trial.
    """

    label: str
    comm_precoders: ComplexArray
    radar_precoders: ComplexArray
    snr_db: tuple[float, ...]
    known_phases: bool = False

    @property
    def digest(self) -> str:
        """Hash of the precoders and of what is known (hexadecimal)."""
        return content_digest("known phases" if self.known_phases else "", self.comm_precoders, self.radar_precoders)


@dataclass(frozen=True)
class ThresholdTrial:
    """What is sent at one point, and maximum likelihood of the position."""

    transmission: Transmission
    localizer: Any


@dataclass(frozen=True)
class ThresholdSweep:
    """ML localization of a scenario's one target at low SNR. A trial draws data, phases and noise.

    Attributes
    ----------
    scenario : what is true, one target; its noise is that of each point.
    cases : designs with their SNRs.
    """

    scenario: Scenario
    cases: tuple[ThresholdCase, ...]

    name = "threshold"
    columns: ClassVar[Mapping[str, Column]] = {
        "sq_error_m2": Column("m^2", "squared position error"),
        "error_x_m": Column("m", "error of x"),
        "error_y_m": Column("m", "error of y"),
        "search_failed": Column("1", "whether the truth explains more of the data than the estimate"),
    }

    def __post_init__(self) -> None:
        if self.scenario.n_targets != 1:
            raise ValueError(f"targets: has {self.scenario.n_targets}, the threshold is predicted for 1")

    def config(self) -> dict[str, Any]:
        """What, besides the points, decides a record."""
        return {"scenario": self.scenario.digest, "cases": {case.label: case.digest for case in self.cases}}

    def points(self) -> list[dict[str, PointValue]]:
        """Every case at each of its SNRs."""
        return [{"design": case.label, "snr_db": snr} for case in self.cases for snr in case.snr_db]

    def prepare(self, point: Point) -> ThresholdTrial:
        """The echoes of the point's design at its SNR."""
        (case,) = (case for case in self.cases if case.label == point["design"])
        scenario = at_snr(self.scenario, float(point["snr_db"]))
        sent = Transmission(scenario, case.comm_precoders, case.radar_precoders, known_phases=case.known_phases)
        return ThresholdTrial(sent, estimator("ml")(scenario))

    def run(self, context: ThresholdTrial, keys: Sequence[TrialKey]) -> list[Record]:
        """One record per key."""
        return [self._record(context, key) for key in keys]

    @staticmethod
    def _record(context: ThresholdTrial, key: TrialKey) -> Record:
        statistics, truth = context.transmission.observe(key).statistics, context.transmission.scenario.targets
        estimate = context.localizer.from_statistics(statistics)
        error = estimate.positions[0] - truth[0]
        at_truth = context.localizer.criterion(statistics, truth)
        return {
            "sq_error_m2": float(np.sum(error**2)),
            "error_x_m": float(error[0]),
            "error_y_m": float(error[1]),
            "search_failed": bool(estimate.criterion < at_truth * (1 - 1e-9)),
        }
