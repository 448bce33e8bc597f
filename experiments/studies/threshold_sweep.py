"""Where ML leaves the CRB: simulation, interval errors and Ziv-Zakai bound per design, through the runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from disac.experiments.statistics.draws import PointDraws
from disac.experiments.statistics.intervals import bootstrap_rmse_interval
from disac.experiments.studies.echo_trial import EchoTrial
from disac.experiments.studies.link import at_snr
from disac.experiments.theory.interval_errors import IntervalErrors
from disac.experiments.theory.ziv_zakai import ZivZakai
from disac.experiments.trials.experiment import Column, Record, content_digest
from disac.experiments.trials.keys import Point, PointValue, Purpose, TrialKey, point_key
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Row = dict[str, Any]

LEAVES_AT = 2.0
"""ML has left the bound where its RMSE is this many times the root CRB."""


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

    def prepare(self, point: Point) -> EchoTrial:
        """The echoes of the point's design at its SNR."""
        (case,) = (case for case in self.cases if case.label == point["design"])
        return EchoTrial(
            at_snr(self.scenario, float(point["snr_db"])),
            case.comm_precoders,
            case.radar_precoders,
            known_phases=case.known_phases,
        )

    def run(self, context: EchoTrial, keys: Sequence[TrialKey]) -> list[Record]:
        """One record per key."""
        return [self._record(context, key) for key in keys]

    @staticmethod
    def _record(context: EchoTrial, key: TrialKey) -> Record:
        statistics = context.observe(key)
        estimate = context.localizer.from_statistics(statistics)
        error = estimate.positions[0] - context.scenario.targets[0]
        at_truth = context.localizer.criterion(statistics, context.scenario.targets)
        return {
            "sq_error_m2": float(np.sum(error**2)),
            "error_x_m": float(error[0]),
            "error_y_m": float(error[1]),
            "search_failed": bool(estimate.criterion < at_truth * (1 - 1e-9)),
        }


@dataclass(frozen=True)
class ThresholdTheory:
    """Predictions for one design.

    Attributes
    ----------
    intervals, bound : interval errors and Ziv-Zakai bound.
    tx_power : P_T, which turns an SNR into a noise power.
    """

    intervals: IntervalErrors
    bound: ZivZakai
    tx_power: float

    def noise(self, snr_db: float | RealArray) -> RealArray:
        """Noise powers sigma_s^2."""
        return np.asarray(self.tx_power / 10 ** (np.asarray(snr_db, dtype=float) / 10))

    @cached_property
    def threshold_db(self) -> float:
        """SNR at which the predicted RMSE is :data:`LEAVES_AT` times the root CRB [dB]."""
        return float(10 * np.log10(self.tx_power / self.intervals.threshold_noise(LEAVES_AT**2)))

    def row(self, snr_db: float) -> Row:
        """Predictions at one SNR."""
        noise = self.noise(snr_db)
        outliers, far = self.intervals.outliers(noise)
        return {
            "rcrb_m": float(np.sqrt(self.intervals.crb_per_noise * noise)),
            "mie_rmse_m": float(np.sqrt(self.intervals.mse_given(noise, outliers, far))),
            "mie_outliers": float(outliers),
            "zz_rmse_m": float(np.sqrt(self.bound.mse(noise))),
            "zz_coupled_rmse_m": float(np.sqrt(self.bound.mse(noise, "coupled"))),
        }


def threshold_rows(points: Sequence[PointDraws], theory: Mapping[str, ThresholdTheory], seed: int) -> list[Row]:
    """One row per design and SNR: simulated RMSE with its interval beside the predictions.

    ``outliers`` is the share of estimates nearer to another basin of the expected criterion than to the target's.
    """
    rows = []
    for point in points:
        label, snr_db = str(point.fields["design"]), float(point.fields["snr_db"])
        squared = np.asarray(point.columns["sq_error_m2"], dtype=float)
        rng = TrialKey(seed, point_key(point.fields), 0).generator(Purpose.BOOTSTRAP)
        interval = bootstrap_rmse_interval(squared, rng=rng)
        errors = np.stack([np.asarray(point.columns[f"error_{axis}_m"], dtype=float) for axis in "xy"], axis=-1)
        rows.append(
            {
                "design": label,
                "snr_db": snr_db,
                "trials": len(squared),
                "failed": point.failed,
                "rmse_m": float(np.sqrt(squared.mean())),
                "rmse_low_m": interval.low,
                "rmse_high_m": interval.high,
                "outliers": float(np.mean(theory[label].intervals.is_outlier(errors))),
                "search_failed": float(np.mean(point.columns["search_failed"])),
                **theory[label].row(snr_db),
            }
        )
    return sorted(rows, key=lambda row: (list(theory).index(row["design"]), row["snr_db"]))


def crossing_db(snr_db: Sequence[float], ratio: Sequence[float], level: float = LEAVES_AT) -> float:
    """Highest SNR at which a ratio of RMSE to root CRB that falls with the SNR passes ``level`` [dB].

    Linear between points in the logarithm of the ratio; NaN where it does not pass within the points.
    """
    at, logs = np.asarray(snr_db, dtype=float), np.log(np.asarray(ratio, dtype=float) / level)
    above = np.flatnonzero((logs[:-1] > 0) & (logs[1:] <= 0))
    if not len(above):
        return float("nan")
    i = int(above[-1])
    return float(at[i] + (at[i + 1] - at[i]) * logs[i] / (logs[i] - logs[i + 1]))


def simulated_thresholds(rows: Sequence[Row], theory: Mapping[str, ThresholdTheory]) -> list[Row]:
    """One row per design: predicted threshold, simulated one with the crossings of the interval's ends, difference."""
    out = []
    for label, predicted in theory.items():
        own = [row for row in rows if row["design"] == label]
        at = [row["snr_db"] for row in own]
        middle, low, high = (
            crossing_db(at, [row[name] / row["rcrb_m"] for row in own])
            for name in ("rmse_m", "rmse_low_m", "rmse_high_m")
        )
        out.append(
            {
                "design": label,
                "predicted_db": predicted.threshold_db,
                "simulated_db": middle,
                "simulated_low_db": low,
                "simulated_high_db": high,
                "difference_db": predicted.threshold_db - middle,
                "peak_sidelobe_db": predicted.intervals.surface.sidelobes[0].level_db,
            }
        )
    return out
