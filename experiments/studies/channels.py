"""What tapped-delay-line users change in Fig. 5 and Fig. 7: bounds, order of the designs and largest thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.paper.bounds import DesignSweep, EdgeSweep
from disac.experiments.paper.sweeps import Case
from disac.experiments.plotting.figures import design_name, figure, save, series_marker
from disac.experiments.statistics.draws import PointDraws, Row, read_draws, summarize
from disac.experiments.statistics.means import Ratio
from disac.experiments.statistics.verdicts import Finding, Verdict, together
from disac.experiments.studies.parts import Effort, Part
from disac.experiments.trials.keys import PointValue

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RealArray = NDArray[np.float64]

DESIGNS_STORE, EDGES_STORE = "run.sqlite", "edges.sqlite"
SAME_WITHIN = 0.05
"""Relative change of an RCRB below which a channel model counts as making no difference."""
EDGE_WITHIN_DB = 1.0
"""Change of the mean largest threshold below which it counts as making none [dB]."""


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


MODELS = (
    Channels("independent", 100.0),
    Channels("tdl-a", 100.0),
    Channels("tdl-a", 30.0),
    Channels("tdl-d", 100.0),
)
SCENES: dict[str, dict[str, PointValue]] = {
    "Fig. 5, N = 2, K = U = 2": {"n_nodes": 2, "n_targets": 2, "n_users": 2},
    "Fig. 7, N = 2, K = U = 1": {"n_nodes": 2, "n_targets": 1, "n_users": 1},
    "Fig. 7, N = 4, K = U = 1": {"n_nodes": 4, "n_targets": 1, "n_users": 1},
}
DESIGNS = {"p1": "P.1", "p1-noncoherent": "block-diagonal P.1", "p2": "P.2", "p3": "P.3"}
FULL_THRESHOLDS_DB, FULL_DRAWS = (20.0, 30.0), 8
QUICK_THRESHOLDS_DB, QUICK_DRAWS = (30.0,), 2
QUICK_MODELS = ("independent", "tdl-a", "tdl-d")


def models(quick: bool) -> tuple[Channels, ...]:
    """Those that are compared."""
    return tuple(m for m in MODELS if m.delay_spread_ns == 100.0 and m.name in QUICK_MODELS) if quick else MODELS


def design_cases(quick: bool) -> tuple[Case, ...]:
    """All designs of all scenes under all models."""
    return tuple(
        tuple({"design": design, "solver": "native", "sinr_db": threshold, **scene, **model.fields}.items())
        for scene in SCENES.values()
        for threshold in (QUICK_THRESHOLDS_DB if quick else FULL_THRESHOLDS_DB)
        for model in models(quick)
        for design in DESIGNS
    )


def edge_cases(quick: bool) -> tuple[Case, ...]:
    """Largest thresholds of all scenes under all models."""
    return tuple(
        tuple({"interleaved": kind, **scene, **model.fields}.items())
        for scene in SCENES.values()
        for model in models(quick)
        for kind in (False, True)
    )


def compute(folder: Path, effort: Effort) -> list[Row]:
    """Solve every design under every model, or go on with what the folder holds, and write summary and picture."""
    from disac.experiments.campaign.runner import run_campaign
    from disac.experiments.paper.job import DrawBar
    from disac.experiments.runs.tables import write_csv

    for experiment, store in (
        (EdgeSweep("channels", edge_cases(effort.quick)), EDGES_STORE),
        (DesignSweep("channels", design_cases(effort.quick)), DESIGNS_STORE),
    ):
        with DrawBar("channels", every=50) as bar:
            run_campaign(
                experiment,
                folder / store,
                seed=effort.seed,
                trials=QUICK_DRAWS if effort.quick else FULL_DRAWS,
                workers=effort.workers,
                batch_size=1,
                progress=bar,
                resume=True,
                rerun_line=effort.rerun_line,
            )
    compared = Compared.read(folder)
    rows = list(compared.rows())
    write_csv(rows, folder / "summary.csv")
    plot(compared, folder / "channels")
    return rows


@dataclass(frozen=True)
class Compared:
    """All draws of designs and edges."""

    designs: tuple[PointDraws, ...]
    edges: tuple[PointDraws, ...]

    @classmethod
    def read(cls, folder: Path) -> Compared:
        """From a folder of ``disac run channels``; points without all their draws are left out."""
        found = []
        for store in (DESIGNS_STORE, EDGES_STORE):
            points = read_draws(folder / store)
            most = max(point.n_draws for point in points)
            found.append(tuple(point for point in points if point.n_draws == most))
        return cls(*found)

    def rows(self) -> Iterator[Row]:
        """One row per point; averages over the draws feasible in all designs of the same scene, model and threshold."""
        for scene in SCENES.values():
            for model in MODELS:
                points = _matching(self.designs, {**scene, **model.fields})
                for threshold in sorted({float(point.fields["sinr_db"]) for point in points}):
                    yield from summarize([point for point in points if point.fields["sinr_db"] == threshold])
        yield from summarize([], self.edges)

    @property
    def thresholds_db(self) -> list[float]:
        """Those solved."""
        return sorted({float(point.fields["sinr_db"]) for point in self.designs})

    @property
    def models(self) -> list[Channels]:
        """Those solved, independent subcarriers first."""
        return [model for model in MODELS if _matching(self.edges, model.fields)]

    def edge_db(self, scene: dict[str, PointValue], model: Channels, *, interleaved: bool) -> RealArray:
        """Largest threshold of every draw."""
        (point,) = _matching(self.edges, {**scene, **model.fields, "interleaved": interleaved})
        return np.asarray(point.columns["edge_db"], dtype=float)

    def log_rcrb(self, scene: dict[str, PointValue], model: Channels, design: str, threshold: float) -> RealArray:
        """Per draw, NaN where infeasible."""
        fields = {**scene, **model.fields, "design": design, "sinr_db": threshold}
        (point,) = _matching(self.designs, fields)
        values: RealArray = 0.5 * np.log(point.values("relaxed_m2", np.arange(point.n_draws)))
        return values


def _matching(points: Sequence[PointDraws], fields: dict[str, PointValue]) -> list[PointDraws]:
    return [point for point in points if all(point.fields[name] == value for name, value in fields.items())]


def judge(folder: Path) -> list[Finding]:
    """What the channel models change."""
    compared = Compared.read(folder)
    others = compared.models[1:]
    return [
        *(_same_bounds(compared, model) for model in others),
        *(_same_edges(compared, model) for model in others),
        _same_order(compared),
    ]


def _same_bounds(compared: Compared, model: Channels) -> Finding:
    parts, ratios = [], []
    for title, scene in SCENES.items():
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

    return together([verdict(*interval) for interval in intervals])


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _same_edges(compared: Compared, model: Channels) -> Finding:
    parts, intervals = [], []
    for title, scene in SCENES.items():
        for interleaved, label in ((False, "P.1"), (True, "P.2, P.3")):
            own, other = (compared.edge_db(scene, m, interleaved=interleaved) for m in (model, compared.models[0]))
            change, half = _difference(own, other)
            intervals.append((change - half, change + half))
            parts.append(f"{title}, {label} {change:+.2f} dB [{change - half:+.2f}, {change + half:+.2f}]")
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
    from scipy.stats import ttest_ind

    test = ttest_ind(first, second, equal_var=False)
    interval = test.confidence_interval(0.95)
    return float(first.mean() - second.mean()), float(interval.high - interval.low) / 2


def _same_order(compared: Compared) -> Finding:
    held = tried = 0
    parts = []
    for model in compared.models[1:]:
        for first, second in (("p1", "p1-noncoherent"), ("p1-noncoherent", "p2"), ("p2", "p3")):
            logs = np.concatenate(
                [
                    compared.log_rcrb(scene, model, first, threshold)
                    - compared.log_rcrb(scene, model, second, threshold)
                    for scene in SCENES.values()
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


def plot(compared: Compared, stem: Path) -> list[Path]:
    """RCRB of every design at the highest threshold, and edges, per scene; one colour per model."""
    threshold = compared.thresholds_db[-1]
    with figure(figsize=(7.6, 5.2)) as fig:
        panels = fig.subplots(2, len(SCENES), squeeze=False)
        for column, (title, scene) in enumerate(SCENES.items()):
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


def _style(model: Channels) -> dict[str, Any]:
    index = MODELS.index(model)
    return {"color": _COLORS[index], "marker": series_marker(index), "ls": "none"}


def _handles(models: Sequence[Channels]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        *(Line2D([], [], mfc="white", label=model.label, **_style(model)) for model in models),
        Line2D([], [], color="k", marker="o", mfc="white", ls="none", label="top: mean of the draws, 95 % interval"),
        Line2D([], [], color="k", marker="_", ms=12, ls="none", label="bottom: every draw, bar at the median"),
    ]


def _draw_bounds(
    ax: Axes,
    compared: Compared,
    scene: dict[str, PointValue],
    model: Channels,
    threshold: float,
    shift: float,
) -> None:
    """Geometric mean over draws with the range of its 95 % interval."""
    for place, design in enumerate(DESIGNS):
        ratio = Ratio.of_logs(compared.log_rcrb(scene, model, design, threshold))
        if math.isfinite(ratio.high):
            ends = [[1e3 * (ratio.value - ratio.low)], [1e3 * (ratio.high - ratio.value)]]
            ax.errorbar([place + shift], [1e3 * ratio.value], yerr=ends, mfc="white", **_style(model))


def _draw_edges(ax: Axes, compared: Compared, scene: dict[str, PointValue], model: Channels, shift: float) -> None:
    """Every draw's edge as a small marker, their median as a bar."""
    style = _style(model)
    for place, interleaved in enumerate((False, True)):
        edges = compared.edge_db(scene, model, interleaved=interleaved)
        ax.plot(np.full(edges.size, place + shift), edges, ms=2, **style)
        ax.plot([place + shift], [np.median(edges)], "_", color=style["color"], ms=12)


PART = Part(
    name="channels",
    title="Users over tapped delay lines in Fig. 5 and Fig. 7",
    caption=(
        "Top: geometric mean over draws of the bounds, 95 % intervals; the spread of the amplitudes is common to all "
        "models. Bottom: certified edges of all draws, bars at their medians. Any other delay spread: `disac run fig5 "
        "--channel tdl-a --delay-spread-ns 300`."
    ),
    compute=compute,
    judge=judge,
    unstated=(
        ("draws", str(FULL_DRAWS)),
        ("users' channels", "Rayleigh, independent per subcarrier; beside it TDL-A and TDL-D of TR 38.901 table 7.7.2"),
        ("delay spread", "100 ns, and 30 ns for TDL-A in full"),
        ("antennas of a node", "taps independent between antennas; TDL-D's specular path has the array's response"),
    ),
)
