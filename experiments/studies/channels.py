"""Study "channels": what tapped-delay-line users change in Fig. 5 and Fig. 7: bounds, order and largest thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from pydantic import model_validator
from scipy.stats import ttest_ind

from disac.experiments.paper.bounds import DesignSweep, EdgeSweep
from disac.experiments.paper.sweeps import Case
from disac.experiments.plotting.figures import design_name, figure, save, series_marker
from disac.experiments.runs.folder import STORE
from disac.experiments.statistics.draws import PointDraws, Row, summarize, summarize_times
from disac.experiments.statistics.means import Ratio
from disac.experiments.statistics.rounding import signed_text_with_interval
from disac.experiments.statistics.verdicts import Finding, Verdict, joint_verdict
from disac.experiments.study.protocol import Campaign, Study, register_study
from disac.experiments.study.run import TIMES, StudyRun
from disac.experiments.study.settings import Decibels, StudySettings, setting
from disac.experiments.trials.keys import PointValue

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RealArray = NDArray[np.float64]

EDGES_STORE = "edges.sqlite"
SAME_WITHIN = 0.05
"""Relative change of an RCRB below which a channel model counts as making no difference."""
EDGE_WITHIN_DB = 1.0
"""Change of the mean largest threshold below which it counts as making none [dB]."""
DESIGNS = {"p1": "P.1", "p1-noncoherent": "block-diagonal P.1", "p2": "P.2", "p3": "P.3"}
SCENES: dict[str, tuple[str, dict[str, PointValue]]] = {
    "fig5": ("Fig. 5, N = 2, K = U = 2", {"n_nodes": 2, "n_targets": 2, "n_users": 2}),
    "fig7-two": ("Fig. 7, N = 2, K = U = 1", {"n_nodes": 2, "n_targets": 1, "n_users": 1}),
    "fig7-four": ("Fig. 7, N = 4, K = U = 1", {"n_nodes": 4, "n_targets": 1, "n_users": 1}),
}
"""Scenes by their names in options, with their titles and fields of a point."""


@dataclass(frozen=True)
class Channels:
    """One model of the users' channels."""

    name: str
    delay_spread_ns: float

    @property
    def fields(self) -> dict[str, PointValue]:
        """The fields of a point."""
        return {"channel": self.name, "delay_spread_s": 1e-9 * self.delay_spread_ns}

    @property
    def label(self) -> str:
        """As in the picture."""
        if self.name == "independent":
            return "independent subcarriers"
        return f"{self.name.upper()}, {self.delay_spread_ns:g} ns"


class ChannelSettings(StudySettings):
    """What decides the numbers of the study."""

    models: tuple[str, ...] = setting(
        ("independent", "tdl-a@100", "tdl-a@30", "tdl-d@100"),
        "Channel models MODEL@NS with their delay spreads [ns]; models are independent (the first), tdl-a and tdl-d.",
        quick=("independent", "tdl-a@100", "tdl-d@100"),
    )
    scenes: tuple[Literal["fig5", "fig7-two", "fig7-four"], ...] = setting(("fig5", "fig7-two", "fig7-four"), "Scenes.")
    sinr_db: tuple[Decibels, ...] = setting((20.0, 30.0), "SINR thresholds Gamma_c [dB].", quick=(30.0,))
    draws: int = setting(8, "Draws of channels and amplitudes.", quick=2, ge=2, grows=True)
    n_antennas: int | None = setting(None, "Antennas per node in place of 6.", ge=1, le=16)
    n_subcarriers: int | None = setting(None, "Subcarriers in place of 16.", ge=4, le=1024)

    @model_validator(mode="after")
    def _reference_first(self) -> Self:
        if self.models[:1] != ("independent",) or len(self.models) < 2:
            raise ValueError(f"models = {', '.join(self.models)}: must be independent and at least one other")
        self.channels()
        return self

    def channels(self) -> tuple[Channels, ...]:
        """The models, independent subcarriers first."""
        found = []
        for text in self.models:
            name, at, spread = text.partition("@")
            if name not in ("independent", "tdl-a", "tdl-d") or (name == "independent") == bool(at):
                raise ValueError(f"models = {text!r}: must be independent, tdl-a@NS or tdl-d@NS")
            try:
                found.append(Channels(name, float(spread or 100.0)))
            except ValueError:
                raise ValueError(f"models = {text!r}: {spread!r} is not a delay spread in ns") from None
        return tuple(found)

    def scene_fields(self) -> dict[str, dict[str, PointValue]]:
        """Fields of the scenes' points by title."""
        own = {"n_antennas": self.n_antennas, "n_subcarriers": self.n_subcarriers}
        replaced = {name: value for name, value in own.items() if value is not None}
        return {title: fields | replaced for title, fields in (SCENES[name] for name in self.scenes)}

    def design_cases(self) -> tuple[Case, ...]:
        """All designs of all scenes under all models."""
        return tuple(
            tuple({"design": design, "solver": "native", "sinr_db": threshold, **scene, **model.fields}.items())
            for scene in self.scene_fields().values()
            for threshold in self.sinr_db
            for model in self.channels()
            for design in DESIGNS
        )

    def edge_cases(self) -> tuple[Case, ...]:
        """Largest thresholds of all scenes under all models."""
        return tuple(
            tuple({"interleaved": kind, **scene, **model.fields}.items())
            for scene in self.scene_fields().values()
            for model in self.channels()
            for kind in (False, True)
        )


@register_study("channels")
class TappedDelayLines(Study[ChannelSettings]):
    """Bounds and largest thresholds with users over tapped delay lines beside independent subcarriers."""

    summary = "Figures 5 and 7 with users over tapped delay lines (TDL-A, TDL-D)."
    title = "Users over tapped delay lines in Fig. 5 and Fig. 7"
    caption = (
        "Top: geometric mean over draws of the bounds, 95 % intervals; the spread of the amplitudes is common to all "
        "models. Bottom: certified edges of all draws, bars at their medians. Any other delay spread: `disac run fig5 "
        "--channel tdl-a --delay-spread-ns 300`."
    )
    place = 12
    Settings = ChannelSettings

    def campaigns(self, run: StudyRun[ChannelSettings]) -> Iterator[Campaign]:
        """Edges and designs."""
        settings = run.settings
        yield Campaign(EdgeSweep("channels", settings.edge_cases()), settings.draws, store=EDGES_STORE)
        yield Campaign(DesignSweep("channels", settings.design_cases()), settings.draws)

    def summarize(self, run: StudyRun[ChannelSettings]) -> list[Row]:
        """One row per point; averages over the draws feasible in all designs of a scene, model and threshold."""
        return _compared(run).rows()

    def other_tables(self, run: StudyRun[ChannelSettings], rows: Sequence[Row]) -> dict[str, list[Row]]:
        """Run times of the designs."""
        return {TIMES: _compared(run).times()}

    def plot(self, run: StudyRun[ChannelSettings], rows: Sequence[Row]) -> None:
        """Bounds and edges."""
        plot_channels(_compared(run), run.stem)

    def judge(self, run: StudyRun[ChannelSettings], rows: Sequence[Row]) -> list[Finding]:
        """What the channel models change."""
        return judge_channels(_compared(run))

    def unstated(self, settings: ChannelSettings) -> tuple[tuple[str, str], ...]:
        """What the paper leaves open."""
        spreads = [f"{model.label}" for model in settings.channels()[1:]]
        return (
            ("draws", str(settings.draws)),
            (
                "users' channels",
                "Rayleigh, independent per subcarrier; beside it TDL-A and TDL-D of TR 38.901 table 7.7.2",
            ),
            ("delay spread", "; ".join(spreads)),
            ("antennas of a node", "taps independent between antennas; TDL-D's specular path has the array's response"),
        )


def _compared(run: StudyRun[ChannelSettings]) -> ChannelComparison:
    return ChannelComparison(
        tuple(run.draws(STORE)),
        tuple(run.draws(EDGES_STORE)),
        run.settings.scene_fields(),
        run.settings.channels(),
    )


@dataclass(frozen=True)
class ChannelComparison:
    """All draws of designs and edges."""

    designs: tuple[PointDraws, ...]
    edges: tuple[PointDraws, ...]

    scenes: Mapping[str, Mapping[str, PointValue]]
    models: tuple[Channels, ...]

    def _together(self) -> Iterator[list[PointDraws]]:
        """Points of the same scene, model and threshold: averages are over the draws feasible in all of them."""
        for scene in self.scenes.values():
            for model in self.models:
                points = _matching(self.designs, {**scene, **model.fields})
                for threshold in sorted({float(point.fields["sinr_db"]) for point in points}):
                    yield [point for point in points if point.fields["sinr_db"] == threshold]

    def rows(self) -> list[Row]:
        """One row per point."""
        designs = [row for points in self._together() for row in summarize(points)]
        return [*designs, *summarize([], self.edges)]

    def times(self) -> list[Row]:
        """Run times, one row per point."""
        return [row for points in self._together() for row in summarize_times(points)]

    @property
    def thresholds_db(self) -> list[float]:
        """Those solved."""
        return sorted({float(point.fields["sinr_db"]) for point in self.designs})

    def edge_db(self, scene: Mapping[str, PointValue], model: Channels, *, interleaved: bool) -> RealArray:
        """Largest threshold of every draw."""
        (point,) = _matching(self.edges, {**scene, **model.fields, "interleaved": interleaved})
        return np.asarray(point.columns["edge_db"], dtype=float)

    def log_rcrb(self, scene: Mapping[str, PointValue], model: Channels, design: str, threshold: float) -> RealArray:
        """Per draw, NaN where infeasible."""
        fields = {**scene, **model.fields, "design": design, "sinr_db": threshold}
        (point,) = _matching(self.designs, fields)
        values: RealArray = 0.5 * np.log(point.values("relaxed_m2", np.arange(point.n_draws)))
        return values


def _matching(points: Sequence[PointDraws], fields: Mapping[str, PointValue]) -> list[PointDraws]:
    return [point for point in points if all(point.fields[name] == value for name, value in fields.items())]


def judge_channels(compared: ChannelComparison) -> list[Finding]:
    """What the channel models change."""
    others = compared.models[1:]
    return [
        *(_same_bounds(compared, model) for model in others),
        *(_same_edges(compared, model) for model in others),
        _same_order(compared),
    ]


def _same_bounds(compared: ChannelComparison, model: Channels) -> Finding:
    parts, ratios = [], []
    for title, scene in compared.scenes.items():
        for design, label in DESIGNS.items():
            logs = [
                compared.log_rcrb(scene, model, design, threshold)
                - compared.log_rcrb(scene, compared.models[0], design, threshold)
                for threshold in compared.thresholds_db
            ]
            ratios.append(Ratio.of_logs(_means(np.array(logs))))
            parts.append(f"{title}, {label} {ratios[-1]}")
    return Finding(
        f"{model.label} users leave the bounds of Fig. 5 and 7 as they are (same thresholds, {SAME_WITHIN:.0%})",
        _same([(r.low, r.high) for r in ratios], 1 - SAME_WITHIN, 1 + SAME_WITHIN),
        f"RCRB over that with independent subcarriers, {_listed(compared.thresholds_db)} dB, same amplitudes: "
        + "; ".join(parts),
        ("channels",),
    )


def _means(logs: RealArray) -> RealArray:
    """Mean over points of each draw that is feasible at all of them."""
    kept: RealArray = logs[:, np.isfinite(logs).all(axis=0)].mean(axis=0)
    return kept


def _same(intervals: Sequence[tuple[float, float]], low: float, high: float) -> Verdict:
    """Whether all quantities lie between ``low`` and ``high``, by their intervals."""

    def verdict(a: float, b: float) -> Verdict:
        if low < a and b < high:
            return "confirmed"
        return "refuted" if a > high or b < low else "undecided"

    return joint_verdict([verdict(*interval) for interval in intervals])


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _same_edges(compared: ChannelComparison, model: Channels) -> Finding:
    parts, intervals = [], []
    for title, scene in compared.scenes.items():
        for interleaved, label in ((False, "P.1"), (True, "P.2, P.3")):
            own, other = (compared.edge_db(scene, m, interleaved=interleaved) for m in (model, compared.models[0]))
            change, half = _difference(own, other)
            intervals.append((change - half, change + half))
            parts.append(f"{title}, {label} {signed_text_with_interval(change, *intervals[-1], 'dB')}")
    changed = sum(low > 0 or high < 0 for low, high in intervals)
    return Finding(
        f"{model.label} users leave the largest feasible threshold as it is (mean within {EDGE_WITHIN_DB:g} dB)",
        _same(intervals, -EDGE_WITHIN_DB, EDGE_WITHIN_DB),
        f"mean over that with independent subcarriers: {'; '.join(parts)}; {changed} of {len(intervals)} intervals "
        "leave out 0 dB",
        ("channels",),
    )


def _difference(first: RealArray, second: RealArray) -> tuple[float, float]:
    """Difference of means with the half width of Welch's 95 % interval."""
    test = ttest_ind(first, second, equal_var=False)
    interval = test.confidence_interval(0.95)
    return float(first.mean() - second.mean()), float(interval.high - interval.low) / 2


def _same_order(compared: ChannelComparison) -> Finding:
    held = tried = 0
    parts = []
    for model in compared.models[1:]:
        for first, second in (("p1", "p1-noncoherent"), ("p1-noncoherent", "p2"), ("p2", "p3")):
            logs = np.concatenate(
                [
                    compared.log_rcrb(scene, model, first, threshold)
                    - compared.log_rcrb(scene, model, second, threshold)
                    for scene in compared.scenes.values()
                    for threshold in compared.thresholds_db
                ]
            )
            logs = logs[np.isfinite(logs)]
            held += int(np.sum(logs <= 1e-5))
            tried += logs.size
            if logs.size:
                parts.append(f"{model.label}: {DESIGNS[first]} over {DESIGNS[second]} {math.exp(logs.mean()):.3f}")
    verdict: Verdict = "confirmed" if held == tried else "refuted" if not held else "only under conditions"
    return Finding(
        "P.1 <= block-diagonal P.1 <= P.2 <= P.3 in CRB (bounds) with tapped-delay-line users too",
        verdict,
        f"holds in {held} of {tried} draws and points; mean ratios of RCRBs: " + "; ".join(parts),
        ("channels",),
    )


_COLORS = ("#000000", "#0072B2", "#56B4E9", "#D55E00")


def plot_channels(compared: ChannelComparison, stem: Path) -> list[Path]:
    """RCRB of every design at the highest threshold, and edges, per scene; one colour per model."""
    threshold = compared.thresholds_db[-1]
    with figure(figsize=(7.6, 5.2)) as fig:
        panels = fig.subplots(2, len(compared.scenes), squeeze=False)
        for column, (title, scene) in enumerate(compared.scenes.items()):
            for i, model in enumerate(compared.models):
                shift = 0.16 * (i - (len(compared.models) - 1) / 2)
                _draw_bounds(panels[0][column], compared, scene, model, threshold, shift)
                _draw_edges(panels[1][column], compared, scene, model, shift)
            panels[0][column].set_title(title)
            panels[0][column].set_xticks(
                range(len(DESIGNS)), [design_name(name).replace(" ", "\n") for name in DESIGNS]
            )
            panels[1][column].set_xticks(range(2), ["P.1", "P.2, P.3"])
            panels[1][column].set_xlim(-0.6, 1.6)
        panels[0][0].set_ylabel(rf"RCRB bound at $\Gamma_c$ = {threshold:g} dB [mm]")
        panels[1][0].set_ylabel("largest threshold [dB]")
        fig.legend(handles=_handles(compared.models), loc="outside upper center", ncols=3)
        return save(fig, stem)


def _style(model: Channels, models: Sequence[Channels]) -> dict[str, Any]:
    index = models.index(model)
    return {"color": _COLORS[index % len(_COLORS)], "marker": series_marker(index), "ls": "none"}


def _handles(models: Sequence[Channels]) -> list[Any]:
    return [
        *(Line2D([], [], mfc="white", label=model.label, **_style(model, models)) for model in models),
        Line2D([], [], color="k", marker="o", mfc="white", ls="none", label="top: mean of the draws, 95 % interval"),
        Line2D([], [], color="k", marker="_", ms=12, ls="none", label="bottom: every draw, bar at the median"),
    ]


def _draw_bounds(
    ax: Axes,
    compared: ChannelComparison,
    scene: Mapping[str, PointValue],
    model: Channels,
    threshold: float,
    shift: float,
) -> None:
    """Geometric mean over draws with the range of its 95 % interval."""
    for place, design in enumerate(DESIGNS):
        ratio = Ratio.of_logs(compared.log_rcrb(scene, model, design, threshold))
        if math.isfinite(ratio.high):
            ends = [[1e3 * (ratio.value - ratio.low)], [1e3 * (ratio.high - ratio.value)]]
            ax.errorbar([place + shift], [1e3 * ratio.value], yerr=ends, mfc="white", **_style(model, compared.models))


def _draw_edges(
    ax: Axes, compared: ChannelComparison, scene: Mapping[str, PointValue], model: Channels, shift: float
) -> None:
    """Every draw's edge as a small marker, their median as a bar."""
    style = _style(model, compared.models)
    for place, interleaved in enumerate((False, True)):
        edges = compared.edge_db(scene, model, interleaved=interleaved)
        ax.plot(np.full(edges.size, place + shift), edges, ms=2, **style)
        ax.plot([place + shift], [np.median(edges)], "_", color=style["color"], ms=12)
