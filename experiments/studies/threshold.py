"""Study "threshold": the SNR at which maximum likelihood leaves the bound, predicted and simulated per design."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disac.experiments.plotting.figures import design_name, figure, save
from disac.experiments.statistics.draws import PointDraws
from disac.experiments.statistics.intervals import bootstrap_rmse_interval
from disac.experiments.statistics.rounding import text_with_interval
from disac.experiments.statistics.verdicts import Finding, Verdict
from disac.experiments.studies.threshold_sweep import ThresholdCase, ThresholdSweep
from disac.experiments.study.protocol import Campaign, Study, register_study
from disac.experiments.study.run import StudyRun
from disac.experiments.study.scene import SceneSettings, warn_of_contradictions
from disac.experiments.study.settings import Decibels, setting
from disac.experiments.theory.interval_errors import IntervalErrors, interval_errors
from disac.experiments.theory.ziv_zakai import ZivZakai, ziv_zakai
from disac.experiments.trials.keys import Purpose, TrialKey, point_key

if TYPE_CHECKING:
    from disac.designs import DesignResult

RealArray = NDArray[np.float64]
Row = dict[str, Any]

THRESHOLDS = "thresholds"
"""Name of the table with a row per design."""
LEAVES_AT = 2.0
"""ML has left the bound where its RMSE is this many times the root CRB."""
CORRELATED = ("p1",)
"""Designs whose bound depends on the inter-node phases: these are known in their trials."""
WITHIN_DB = 1.0
"""The threshold counts as predicted where the simulated one lies this near."""
CURVE_DB = (-18.0, -13.0, -9.0, -6.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 4.0, 8.0)
"""SNRs of the drawn curves, relative to the predicted threshold [dB]."""


class ThresholdSettings(SceneSettings):
    """What decides the numbers of the study."""

    default_preset: ClassVar[str | None] = "fig7"

    designs: tuple[str, ...] = setting(
        ("p2", "p3", "uniform", "p1-noncoherent", "p1"), "Designs.", option="design", quick=("p2", "p3")
    )
    sinr_db: float = setting(20.0, "SINR threshold Gamma_c of the designs that know one [dB].", ge=-300.0, le=300.0)
    offsets_db: tuple[Decibels, ...] = setting(
        (-3.0, -2.0, -1.0, -0.5, 0.0, 0.5),
        "SNRs of the simulation relative to the predicted threshold, which is rounded to half a decibel [dB].",
    )
    correlated_offsets_db: tuple[Decibels, ...] = setting(
        (-3.0, 0.0, 6.0, 12.0, 18.0, 24.0),
        "The same for P.1, whose likelihood has maxima within the main lobe that are not predicted [dB].",
    )
    trials: int = setting(1200, "Trials per point.", quick=200, ge=2, grows=True)
    grid_step_m: float | None = setting(
        None, "Step of the grids of both predictions [m]; default: by the bandwidth.", gt=0.0
    )


@register_study("threshold")
class Threshold(Study[ThresholdSettings]):
    """Where the RMSE of maximum likelihood leaves the bound, by interval errors and by simulation."""

    summary = "The SNR at which maximum likelihood leaves the bound, predicted and simulated."
    title = "Where maximum likelihood leaves the bound"
    caption = "Markers are simulated RMSEs with 95 % intervals."
    place = 14
    Settings = ThresholdSettings

    def campaigns(self, run: StudyRun[ThresholdSettings]) -> Iterator[Campaign]:
        """One per design, round the threshold predicted for it."""
        settings = run.settings
        scenario, _ = settings.scene()
        warn_of_contradictions(scenario)
        for name in settings.designs:
            result, predicted = _predicted(settings, name)
            known = name in CORRELATED
            middle = round(2 * predicted.threshold_db) / 2
            offsets = settings.correlated_offsets_db if known else settings.offsets_db
            snrs = tuple(middle + offset for offset in offsets)
            case = ThresholdCase(name, result.comm_precoders, result.radar_precoders, snrs, known_phases=known)
            yield Campaign(
                ThresholdSweep(scenario, (case,)),
                trials=settings.trials,
                store=f"{name}.sqlite",
                title=f"threshold, {name}",
                unit="trial",
                batch_size=None,
            )

    def summarize(self, run: StudyRun[ThresholdSettings]) -> list[Row]:
        """One row per design and SNR."""
        points = [point for name in run.settings.designs for point in run.draws(f"{name}.sqlite")]
        return threshold_rows(points, _theories(run.settings), run.settings.seed)

    def other_tables(self, run: StudyRun[ThresholdSettings], rows: Sequence[Row]) -> dict[str, list[Row]]:
        """The thresholds, one row per design."""
        return {THRESHOLDS: simulated_thresholds(rows, _theories(run.settings))}

    def plot(self, run: StudyRun[ThresholdSettings], rows: Sequence[Row]) -> None:
        """Simulation and predictions, a panel per design."""
        plot_threshold(rows, _theories(run.settings), run.stem, relative_db=CURVE_DB)

    def judge(self, run: StudyRun[ThresholdSettings], rows: Sequence[Row]) -> list[Finding]:
        """Whether every design's threshold is predicted."""
        return judge_thresholds(run.rows(THRESHOLDS))

    def unstated(self, settings: ThresholdSettings) -> tuple[tuple[str, str], ...]:
        """What the paper leaves open."""
        scenario, _ = settings.scene()
        source = str(settings.scenario or settings.preset or settings.default_preset).replace("fig", "Fig. ")
        return (
            ("trials", f"{settings.trials} a point"),
            (
                "scene",
                f"{source}: N = {scenario.n_nodes}, K = {scenario.n_targets}, U = {scenario.n_users}, "
                f"T = {scenario.n_symbols}; one draw; all designs but equal power at Gamma_c = {settings.sinr_db:g} dB",
            ),
            ("inter-node phases", "known for P.1, whose bound depends on them, unknown for the others"),
            ("threshold", f"the SNR P_T/sigma_s^2 at which the RMSE is {LEAVES_AT:g} times the root CRB"),
        )


@lru_cache(maxsize=16)
def _predicted(settings: ThresholdSettings, name: str) -> tuple[DesignResult, ThresholdTheory]:
    """What a design sends and what is predicted for it."""
    from disac.designs import design, design_info

    scenario, _ = settings.scene()
    result = design(name, scenario, settings.sinr_db if design_info(name).depends_on_sinr else None)
    step: dict[str, Any] = {} if settings.grid_step_m is None else {"step_m": settings.grid_step_m}
    theory = ThresholdTheory(
        interval_errors(scenario, result.covariances, **step),
        ziv_zakai(scenario, result.covariances, **step),
        scenario.tx_power,
    )
    return result, theory


def _theories(settings: ThresholdSettings) -> dict[str, ThresholdTheory]:
    return {name: _predicted(settings, name)[1] for name in settings.designs}


def judge_thresholds(rows: Sequence[Row]) -> list[Finding]:
    """Whether every design's threshold is predicted within :data:`WITHIN_DB`, by the rows of the thresholds."""
    differences = np.array([float(row["difference_db"]) for row in rows])
    verdict: Verdict = "undecided"
    if np.isfinite(differences).all():
        verdict = "confirmed" if np.all(np.abs(differences) < WITHIN_DB) else "only under conditions"
        verdict = "refuted" if np.all(np.abs(differences) >= WITHIN_DB) else verdict
    return [
        Finding(
            f"Interval errors predict within {WITHIN_DB:g} dB where ML's RMSE is {LEAVES_AT:g} times the root CRB",
            verdict,
            "; ".join(_threshold_text(row) for row in rows),
            ("threshold",),
        )
    ]


def _threshold_text(row: Row) -> str:
    low, high = row["simulated_low_db"], row["simulated_high_db"]
    predicted, simulated = row["predicted_db"], row["simulated_db"]
    return (
        f"{row['design']}: predicted {predicted:.2f} dB, simulated {text_with_interval(simulated, low, high)} dB, "
        f"highest sidelobe of the position {row['peak_sidelobe_db']:.1f} dB"
    )


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


def plot_threshold(
    rows: Sequence[Row], theory: Mapping[str, ThresholdTheory], stem: Path, *, relative_db: ArrayLike
) -> list[Path]:
    """Position error against SNR, one panel per design: simulation, CRB, interval errors and Ziv-Zakai bound.

    Parameters
    ----------
    rows : simulated points, see :func:`threshold_rows`.
    theory : predictions by design.
    relative_db : SNRs of the curves relative to each design's predicted threshold [dB], beside those simulated.
    """
    n_columns = min(2, len(theory))
    n_rows = -(-len(theory) // n_columns)
    with figure(figsize=(3.3 * n_columns, 2.6 * n_rows + 0.4)) as fig:
        axes = fig.subplots(n_rows, n_columns, squeeze=False).ravel()
        for ax in axes[len(theory) :]:
            ax.set_axis_off()
        for ax, (label, predicted) in zip(axes, theory.items(), strict=False):
            own = [row for row in rows if row["design"] == label]
            snr, rmse, low, high = (
                np.array([row[name] for row in own]) for name in ("snr_db", "rmse_m", "rmse_low_m", "rmse_high_m")
            )
            at = np.union1d(predicted.threshold_db + np.asarray(relative_db, dtype=float), snr)
            curves = [predicted.row(float(one)) for one in at]
            for column, style, name in (
                ("mie_rmse_m", "-", "interval errors"),
                ("rcrb_m", ":", "root CRB"),
                ("zz_rmse_m", "--", "Ziv-Zakai, concentrated"),
                ("zz_coupled_rmse_m", "-.", "Ziv-Zakai, coupled"),
            ):
                ax.plot(at, [row[column] for row in curves], style, label=name)
            error = np.stack([rmse - low, high - rmse])
            ax.errorbar(snr, rmse, yerr=error, fmt="ko", ms=3, mfc="white", label="simulated, 95 % interval")
            ax.axvline(predicted.threshold_db, color="0.6", lw=0.8, label="predicted threshold")
            ax.set_yscale("log")
            ax.set_title(design_name(label))
            ax.set_xlabel(r"$P_T/\sigma_s^2$ [dB]")
            ax.set_ylabel("position error [m]")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return save(fig, stem)
