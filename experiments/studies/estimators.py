"""Study "estimators": which estimator attains which CRB, from which prior area, and where the OFDM numbers object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray
from pydantic import Field

from disac.experiments.paper.figures import MODE_LOOKS
from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.paper.study import full_sweep
from disac.experiments.plotting.figures import bound_line, figure, log_ordinate, save
from disac.experiments.statistics.draws import PointDraws, Row
from disac.experiments.statistics.intervals import Interval, bootstrap_rmse_interval, clustered_error_rate_interval
from disac.experiments.statistics.rounding import text_with_interval
from disac.experiments.statistics.verdicts import Finding, Verdict, joint_verdict
from disac.experiments.studies.waveform import ATTAINED_WITHIN, gross_errors, within
from disac.experiments.studies.waveform_trial import Case, SceneThresholds, WaveformSweep, feasible_draws
from disac.experiments.study.protocol import Campaign, Study, register_study
from disac.experiments.study.run import StudyRun
from disac.experiments.study.settings import StudySettings, setting
from disac.experiments.trials.keys import PointValue, TrialKey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from disac.experiments.paper.figures import Look

RealArray = NDArray[np.float64]

AREA_M = 120.0
"""Side of the default search area [m]."""
AREAS_AT_HZ = 10e6
"""Bandwidth at which the other areas are searched [Hz]."""
_SHIFT = 1.06
"""Factor between neighbouring markers at one bandwidth."""

LABELS = {
    "ml": "hybrid ML",
    "tof-genie": "TOF, angles known",
    "aoa-genie": "AOA, delays known",
    "tof-nuisance": "TOF, angles unknown",
    "aoa-nuisance": "AOA, delays unknown",
}
"""The estimators that are compared, and what the claims call them."""

Name = Literal["ml", "tof-genie", "aoa-genie", "tof-nuisance", "aoa-nuisance"]
Hertz = Annotated[float, Field(gt=0.0, le=1e12)]
Metres = Annotated[float, Field(gt=0.0, le=1e5)]


class EstimatorSettings(StudySettings):
    """What decides the numbers of the study."""

    estimators: tuple[Name, ...] = setting(tuple(LABELS), "Estimators.", option="estimator")
    bandwidth_hz: tuple[Hertz, ...] = setting(
        (1e6, 10e6, 100e6), "Bandwidths for every estimator in the area of 120 m [Hz].", quick=(10e6,)
    )
    area_side_m: tuple[Metres, ...] = setting(
        (30.0, 480.0), "Sides of the other square areas, for the hybrid one at 10 MHz [m].", quick=(480.0,)
    )
    draws: int = setting(4, "Draws of channels and amplitudes.", quick=2, ge=2, grows=True)
    trials: int = setting(300, "Trials of each draw.", quick=10, ge=2, grows=True)
    sinr_db: float = setting(30.0, "SINR threshold Gamma_c of P.2 [dB].", ge=-300.0, le=300.0)
    n_antennas: int | None = setting(None, "Antennas per node in place of 6.", ge=1, le=16)
    n_subcarriers: int | None = setting(None, "Subcarriers in place of 16.", ge=4, le=1024)

    @property
    def scene(self) -> dict[str, PointValue]:
        """Fig. 4's scene as fields of :class:`PaperScenario`."""
        own = {"n_antennas": self.n_antennas, "n_subcarriers": self.n_subcarriers}
        fields: dict[str, PointValue] = {"layout": "fig4", "n_nodes": 4, "n_targets": 2, "n_users": 2}
        return fields | {name: value for name, value in own.items() if value is not None}


@register_study("estimators")
class Estimators(Study[EstimatorSettings]):
    """Every estimator at the paper's SNR beside its own bound."""

    summary = "Which estimator attains its bound, from which search area, and what the OFDM numbers allow."
    title = "Which estimator attains its bound, and from which area"
    caption = "Markers: measured RMSE; lines: realized RCRB of each estimator's own bound; 95 % intervals."
    place = 11
    Settings = EstimatorSettings

    def campaigns(self, run: StudyRun[EstimatorSettings]) -> Iterator[Campaign]:
        """Every estimator at every bandwidth in the default area, and the hybrid one at 10 MHz in the others."""
        sweep = WaveformSweep(cases(run.settings), run.settings.seed)
        yield Campaign(sweep, trials=run.settings.trials, unit="trial", batch_size=run.settings.trials)

    def summarize(self, run: StudyRun[EstimatorSettings]) -> list[Row]:
        """One row per estimator, bandwidth and area."""
        return [item.row() for item in grouped(run.draws())]

    def plot(self, run: StudyRun[EstimatorSettings], rows: Sequence[Row]) -> None:
        """RMSE and bounds."""
        plot_estimators(rows, run.stem)

    def judge(self, run: StudyRun[EstimatorSettings], rows: Sequence[Row]) -> list[Finding]:
        """Claims on estimators, area and OFDM numbers."""
        found = grouped(run.draws())
        judged = [*(_attains(found, name) for name in run.settings.estimators), _areas(found)]
        return [*(finding for finding in judged if finding is not None), ofdm_finding()]

    def unstated(self, settings: EstimatorSettings) -> tuple[tuple[str, str], ...]:
        """What the paper leaves open."""
        return (
            (
                "draws, trials of each",
                f"{settings.draws} draws of channels and amplitudes, {settings.trials} trials of each",
            ),
            ("how a target is found", "maximum likelihood over a square search area that knows nothing of the targets"),
            (
                "cyclic prefix",
                "not given in the paper; the link takes it as long enough, the table says where it is not",
            ),
            ("number of OFDM symbols", "16"),
        )


def cases(settings: EstimatorSettings) -> tuple[Case, ...]:
    """Points of the waveforms: each estimator, bandwidth and area in the first draws that reach the threshold."""
    wanted = [(name, bandwidth, AREA_M) for bandwidth in settings.bandwidth_hz for name in settings.estimators]
    wanted += [("ml", AREAS_AT_HZ, area) for area in settings.area_side_m]
    scene = SceneThresholds("fig4", tuple(settings.scene.items()), (settings.sinr_db,))
    draws = feasible_draws(scene, settings.draws, settings.seed)
    return tuple(
        tuple(
            {
                **settings.scene,
                "design": "p2",
                "phases": "random",
                "sinr_db": settings.sinr_db,
                "modulation": "256qam",
                "estimator": name,
                "bandwidth_hz": bandwidth,
                "area_side_m": area,
                "draw": draw,
            }.items()
        )
        for draw in draws
        for name, bandwidth, area in wanted
    )


@dataclass(frozen=True)
class EstimatorTrials:
    """All trials of one estimator at one bandwidth in one area, over the draws."""

    estimator: str
    bandwidth_hz: float
    area_m: float
    points: tuple[PointDraws, ...]

    def column(self, name: str) -> RealArray:
        """A column over all draws' trials."""
        return np.concatenate([np.asarray(point.columns[name], dtype=float) for point in self.points])

    @property
    def ratio(self) -> float:
        """RMSE over realized RCRB."""
        return float(np.sqrt(self.column("sq_error_m2").mean() / self.column("crb_m2").mean()))

    @property
    def interval(self) -> Interval:
        """Its 95 % interval."""
        return bootstrap_rmse_interval(
            self.column("sq_error_m2"), bounds=self.column("crb_m2"), rng=np.random.default_rng(0)
        )

    @property
    def gross(self) -> tuple[int, Interval]:
        """Number of gross errors, and the interval of their rate; draws are the clusters."""
        errors = [gross_errors(point) for point in self.points]
        sizes = [point.columns["trial"].size for point in self.points]
        return sum(errors), clustered_error_rate_interval(errors, sizes)

    @property
    def verdict(self) -> Verdict:
        """Whether the RMSE is the bound's."""
        return within(self.interval, ATTAINED_WITHIN)

    def row(self) -> Row:
        """The row of ``summary.csv``."""
        interval, (gross, rate) = self.interval, self.gross
        return {
            "estimator": self.estimator,
            "bandwidth_hz": self.bandwidth_hz,
            "area_side_m": self.area_m,
            "draws": len(self.points),
            "trials": self.column("trial").size,
            "failed": sum(point.failed for point in self.points),
            "rmse_m": float(np.sqrt(self.column("sq_error_m2").mean())),
            "rcrb_realized_m": float(np.sqrt(self.column("crb_m2").mean())),
            "rcrb_expected_m": float(np.sqrt(self.column("expected_m2").mean())),
            "ratio": self.ratio,
            "ratio_low": interval.low,
            "ratio_high": interval.high,
            "gross_errors": gross,
            "search_missed": int(self.column("search_missed").sum()),
            "gross_low": rate.low,
            "gross_high": rate.high,
        }

    def text(self) -> str:
        """Ratio with interval, and gross errors."""
        interval, (gross, _) = self.interval, self.gross
        n = self.column("trial").size
        missed = int(self.column("search_missed").sum())
        return (
            f"{text_with_interval(self.ratio, interval.low, interval.high)}, {gross} of {n} gross"
            f"{f' ({missed} of them misses of the search)' if missed else ''}"
        )


def grouped(points: Sequence[PointDraws]) -> list[EstimatorTrials]:
    """The points of a run by estimator, bandwidth and area."""
    groups: dict[tuple[str, float, float], list[PointDraws]] = {}
    for point in points:
        if point.columns["trial"].size == 0:
            continue  # no trial has an estimate
        f = point.fields
        key = (str(f["estimator"]), float(f["bandwidth_hz"]), float(f["area_side_m"]))
        groups.setdefault(key, []).append(point)
    return [EstimatorTrials(*key, tuple(found)) for key, found in sorted(groups.items())]


def plot_estimators(rows: Sequence[Row], stem: Path) -> list[Path]:
    """RMSE of every estimator with its own bound against bandwidth, and the hybrid one against the area's side."""
    names = ("tof-genie", "aoa-genie", "ml", "tof-nuisance", "aoa-nuisance")
    with figure(figsize=(7.0, 3.4)) as fig:
        left, right = fig.subplots(1, 2, width_ratios=(3, 2))
        for index, (name, look) in enumerate(zip(names, MODE_LOOKS.values(), strict=True)):
            own = [row for row in rows if row["estimator"] == name and row["area_side_m"] == AREA_M]
            if own:
                own.sort(key=lambda row: float(row["bandwidth_hz"]))
                _draw_mode(left, own, look, ":" if "nuisance" in name else "-", _SHIFT ** (index - 2))
        left.set_xscale("log")
        left.set_xlabel("bandwidth B [MHz]")
        left.set_ylabel("position error, T = 16 [mm]")
        own = [row for row in rows if row["estimator"] == "ml" and row["bandwidth_hz"] == 10e6]
        own.sort(key=lambda row: float(row["area_side_m"]))
        ratio = np.array([row["ratio"] for row in own])
        ends = np.abs(np.array([[row["ratio_low"], row["ratio_high"]] for row in own]).T - ratio)
        right.errorbar([row["area_side_m"] for row in own], ratio, yerr=ends, fmt="ko", mfc="white")
        right.axhline(1.0, color="k", lw=0.8)
        right.set_xscale("log")
        right.margins(x=0.1)
        _plain_ticks(left.xaxis, sorted({row["bandwidth_hz"] / 1e6 for row in rows}))
        _plain_ticks(right.xaxis, [row["area_side_m"] for row in own])
        log_ordinate(left)
        right.set_xlabel("side of the search area [m], B = 10 MHz")
        right.set_ylabel("hybrid: RMSE / realized RCRB")
        handles, _ = left.get_legend_handles_labels()
        fig.legend(handles=[*handles, *_handles()], loc="outside upper center", ncols=4)
        return save(fig, stem)


def _draw_mode(ax: Axes, rows: Sequence[Row], look: Look, dash: str, shift: float) -> None:
    """An estimator's bound, and its RMSE with the interval of their ratio, at a factor ``shift`` off the bandwidth."""
    x = np.array([row["bandwidth_hz"] / 1e6 for row in rows])
    bound = np.array([1e3 * row["rcrb_realized_m"] for row in rows])
    ratio, low, high = (np.array([row[name] for row in rows]) for name in ("ratio", "ratio_low", "ratio_high"))
    bound_line(ax, x, bound, dash, look.color, lw=0.8)
    ends = bound * np.abs(np.stack([ratio - low, high - ratio]))
    ax.errorbar(
        x * shift, bound * ratio, yerr=ends, fmt=look.marker, color=look.color, mfc="white", label=look.label
    )  # fmt: skip


def _handles() -> list[Any]:
    return [
        Line2D([], [], color="k", marker="o", mfc="white", ls="none", label="markers: RMSE, 95 % interval"),
        Line2D([], [], color="k", lw=0.8, label="lines: realized RCRB"),
    ]


def _plain_ticks(axis: Axis, values: Sequence[float]) -> None:
    axis.set_ticks(values)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_ticks([], minor=True)


def _attains(found: Sequence[EstimatorTrials], name: str) -> Finding | None:
    own = [item for item in found if item.estimator == name and item.area_m == AREA_M]
    if not own:
        return None
    return Finding(
        f"At the paper's SNR {LABELS[name]} attains its own CRB (Fig. 4's scene, P.2, 120 m square; RMSE within "
        f"{ATTAINED_WITHIN:.0%} of the realized RCRB)",
        joint_verdict([item.verdict for item in own]),
        "RMSE over realized RCRB: " + "; ".join(f"B = {item.bandwidth_hz / 1e6:g} MHz {item.text()}" for item in own),
        ("estimators",),
    )


def _areas(found: Sequence[EstimatorTrials]) -> Finding | None:
    own = [item for item in found if item.estimator == "ml" and item.bandwidth_hz == 10e6]
    if not own:
        return None
    return Finding(
        "The hybrid CRB is attained from any prior area tried (B = 10 MHz)",
        joint_verdict([item.verdict for item in own]),
        "RMSE over realized RCRB: " + "; ".join(f"square of {item.area_m:g} m {item.text()}" for item in own),
        ("estimators",),
    )


def ofdm_finding() -> Finding:
    """Where Eq. (5) needs a longer prefix or an unambiguous range that the figures' own numbers do not have."""
    from disac.simulator import prefix_loss
    from disac.simulator.geometry import SPEED_OF_LIGHT

    parts, clean = [], []
    for name in ("fig4a", "fig4b", "fig5", "fig6", "fig7", "fig8", "fig9"):
        spec = full_sweep(name)
        value = spec.series[1][-1]
        points = [{**spec.fixed, spec.series[0]: value}]
        if spec.x == "bandwidth_hz":
            points = [{**points[0], "bandwidth_hz": spec.grid[end]} for end in (0, -1)]
        for point in points:
            scenario = PaperScenario.at(point).draw(TrialKey(0, 0, 0))
            about = scenario.describe()
            longest_s = float(about.path_delays_s.max())
            loss = prefix_loss(longest_s, scenario.n_subcarriers, scenario.n_cyclic_prefix, scenario.bandwidth_hz)
            clean.append(about.prefix_needed <= about.prefix_given)
            path, unambiguous = longest_s * SPEED_OF_LIGHT, about.unambiguous_path_interleaved_m
            parts.append(
                f"{name} at {scenario.bandwidth_hz / 1e6:g} MHz: longest echo {path:.0f} m = {about.prefix_needed} "
                f"samples (L = {scenario.n_subcarriers}), {loss.useful:.0%} of its power still as in Eq. (5) with a "
                f"prefix of L/4; interleaved TOF unambiguous to {unambiguous:.0f} m"
            )
    verdict: Verdict = "confirmed" if all(clean) else "refuted" if not any(clean) else "only under conditions"
    return Finding(
        "The figures' OFDM numbers fit Eq. (5): a prefix of a quarter symbol holds every echo",
        verdict,
        "; ".join(parts),
        ("estimators",),
    )
