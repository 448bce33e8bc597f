"""Study "pareto": what a limit on range sidelobes (P.4) costs in CRB, and what a weak target gains by it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from disac.experiments.plotting.figures import design_name, figure, save, series_marker
from disac.experiments.statistics.draws import PointDraws, without_design
from disac.experiments.statistics.intervals import bootstrap_rmse_interval, clustered_error_rate_interval
from disac.experiments.statistics.means import student_half_width
from disac.experiments.statistics.rounding import text_with_interval
from disac.experiments.statistics.verdicts import Finding, Verdict
from disac.experiments.studies.pareto_sweep import LIMITED, ParetoSweep, pareto_scene
from disac.experiments.study.protocol import Study, register_study
from disac.experiments.study.run import StudyRun
from disac.experiments.study.scene import SceneSettings, assignment, warn_of_contradictions
from disac.experiments.study.settings import Decibels, setting
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
Row = dict[str, Any]

TITLES = {"p1": "P.1", "p2": "P.2", "p3": "P.3"}


class ParetoSettings(SceneSettings):
    """What decides the numbers of the study."""

    default_preset: ClassVar[str | None] = None

    designs: tuple[Literal["p1", "p2", "p3"], ...] = setting(
        ("p2", "p1", "p3"), "Designs to limit: p1, p2, p3.", option="design", quick=("p2",)
    )
    sinr_db: tuple[Decibels, ...] = setting((20.0,), "SINR thresholds Gamma_c [dB].")
    sidelobe_db: tuple[Decibels, ...] = setting((-4.0, -8.0, -13.0), "Sidelobe levels of the limited designs [dB].")
    mainlobe: float = setting(1.0, "Width of the main lobe, in first minima of equal power.", ge=1.0)
    weak_db: float = setting(-10.0, "Weak target below the strong one [dB].", ge=-100.0, le=0.0)
    draws: int = setting(20, "Draws of channels and amplitudes.", quick=3, ge=1, le=1_000_000, grows=True)
    realizations: int = setting(20, "Transmissions per draw.", ge=1)
    localized: int = setting(2, "How many of them are localized.", ge=0)

    def scene(self) -> tuple[Scenario, float | None]:
        """The scenario given, or the one made for this study."""
        if self.preset is not None or self.scenario is not None:
            return super().scene()
        replaced = dict(assignment(text) for text in self.fields)
        return (pareto_scene().replace(**replaced) if replaced else pareto_scene()), None


@register_study("pareto")
class Pareto(Study[ParetoSettings]):
    """Sidelobe level against CRB against SINR, and what a weak target gains by it."""

    summary = "Sidelobe level against CRB, and a weak target's detection."
    about = (
        "Every draw is designed without a limit and at every level, and its precoders are sent: realized sidelobes, "
        "detection of the weak target in range profiles, localization error."
    )
    title = "Sidelobe level against CRB, and a weak target"
    caption = (
        "Left, RCRB of one symbol; right, share of range profiles in which a target 10 dB below another, three "
        "resolution cells away, is one of the two peaks reported; 95 % intervals over draws."
    )
    place = 16
    Settings = ParetoSettings

    def experiment(self, settings: ParetoSettings) -> ParetoSweep:
        """All designs and levels over the draws."""
        scenario, _ = settings.scene()
        warn_of_contradictions(scenario)
        return ParetoSweep(
            scenario,
            settings.designs,
            settings.sinr_db,
            settings.sidelobe_db,
            weak_db=settings.weak_db,
            realizations=settings.realizations,
            localized=settings.localized,
            mainlobe=settings.mainlobe,
        )

    def summarize(self, run: StudyRun[ParetoSettings]) -> list[Row]:
        """One row per design, threshold and level."""
        return summarize_pareto(run.draws(), seed=run.settings.seed)

    def plot(self, run: StudyRun[ParetoSettings], rows: Sequence[Row]) -> None:
        """The front."""
        plot_pareto(rows, run.stem)

    def judge(self, run: StudyRun[ParetoSettings], rows: Sequence[Row]) -> list[Finding]:
        """Whether limited designs find the weak target that the unlimited one hides."""
        return judge_pareto(rows)

    def unstated(self, settings: ParetoSettings) -> tuple[tuple[str, str], ...]:
        """What the paper leaves open."""
        scenario, _ = settings.scene()
        thresholds = ", ".join(f"{value:g}" for value in settings.sinr_db)
        return (
            ("draws", str(settings.draws)),
            (
                "scene",
                f"{settings.preset or settings.scenario or 'ours'}: N = {scenario.n_nodes}, K = 2, "
                f"L = {scenario.n_subcarriers}, so {scenario.n_subcarriers // scenario.n_nodes} tones a node, "
                f"B = {scenario.bandwidth_hz / 1e6:g} MHz, M = {scenario.n_tx}, Gamma_c = {thresholds} dB",
            ),
            ("inter-node phases", "unknown; CRBs are those of known phases, which matters for P.1 and p4 alone"),
            ("sidelobe", "outside the main lobe that equal power on the node's subcarriers has, in one period"),
            ("profile", "monostatic, matched filter, both arrays steered at the weak target, whose direction is known"),
        )

    def failure(self, rows: Sequence[Row]) -> str | None:
        """Where nothing could be designed."""
        if any(row["draws"] for row in rows):
            return None
        return "no draw is feasible for these designs, thresholds and levels"

    def lines(self, run: StudyRun[ParetoSettings], rows: Sequence[Row]) -> Iterator[str]:
        """A line per row, then the verdicts."""
        yield from summary_lines(rows)
        yield from super().lines(run, rows)


def judge_pareto(rows: Sequence[Row]) -> list[Finding]:
    """Whether limited designs find the weak target that the unlimited one hides, for less CRB than equal power asks."""
    by_design: dict[str, list[Row]] = {}
    for row in rows:
        if row["draws"] and "detection_low" in row:
            by_design.setdefault(row["design"], []).append(row)
    return [
        _judged(base, by_design[base][0], by_design[LIMITED[base]], by_design["uniform"][0], by_design["p2"][0])
        for base in ("p2", "p1", "p3")
        if {base, LIMITED[base], "uniform", "p2"} <= by_design.keys()
    ]


def _judged(
    base: str,
    free: Row,
    limited: Sequence[Row],
    equal: Row,
    reference: Row,
) -> Finding:
    """Equal power's RCRB is told as a multiple of the reference's."""
    limited = sorted(limited, key=lambda row: row["sidelobe_db"])
    affordable = equal["rcrb_ratio_low"] * reference["rcrb_m"] / free["rcrb_m"]
    holds = [row["detection_low"] > free["detection_high"] and row["rcrb_ratio_high"] < affordable for row in limited]
    verdict: Verdict = "undecided"
    if any(holds):
        verdict = "confirmed" if all(holds) else "only under conditions"
    parts = [_point(free, ""), *(_point(row, TITLES[base]) for row in limited), _point(equal, TITLES["p2"])]
    return Finding(
        f"Ours: a limit on sidelobes (P.4) gives back the weak target that {TITLES[base]} hides, for less CRB than "
        "equal power",
        verdict,
        "; ".join(parts) + f"; {free['draws']} draws",
        ("pareto",),
    )


def _point(row: Row, reference: str) -> str:
    level = f" at {row['sidelobe_db']:g} dB" if "sidelobe_db" in row else ""
    cost = ""
    if reference:
        low, high = row["rcrb_ratio_low"], row["rcrb_ratio_high"]
        cost = f"RCRB {text_with_interval(row['rcrb_ratio'], low, high)} of {reference}'s, "
    return (
        f"{row['design']}{level}: {cost}PSLR {row['pslr_db']:.2f} dB, weak target found in "
        f"{text_with_interval(row['detection'], row['detection_low'], row['detection_high'])}"
    )


def summarize_pareto(points: Sequence[PointDraws], *, seed: int = 0, level: float = 0.95) -> list[Row]:
    """One row per design, threshold and level.

    ``rcrb_ratio`` is the geometric mean over draws of the RCRB over that of the same design without a limit, draw by
    draw (for equal power: over the first design's at its first threshold), with a Student interval; ``detection``
    pools the range profiles of all draws, with an interval that takes draws as clusters; ``rmse_m`` is the root mean
    square error of both positions over the localized transmissions, with a bootstrap interval over draws, beside the
    root of the mean CRB, ``rcrb_t_m``. One draw has no intervals.
    """
    free = {_key(p): p for p in points if "sidelobe_db" not in p.fields and p.fields["design"] != "uniform"}
    rows = []
    for point in points:
        name = str(point.fields["design"])
        trials = np.array(sorted(point.feasible_trials), dtype=np.intp)
        row: Row = {column: point.fields.get(column) for column in ("design", "sinr_db", "sidelobe_db")}
        row |= {"draws": len(trials), "infeasible_draws": point.infeasible, "failed": point.failed}
        rows.append(row)
        if "lowest_db" in point.columns and row["infeasible_draws"]:
            lowest = np.asarray(point.columns["lowest_db"], dtype=float)
            if np.any(np.isfinite(lowest)):
                row["highest_lowest_db"] = float(np.nanmax(lowest))
        if not len(trials):
            continue
        base = {limited: plain for plain, limited in LIMITED.items()}.get(name, name)
        reference = free.get((base, row["sinr_db"])) if name != "uniform" else next(iter(free.values()), None)
        row["rcrb_m"] = float(np.sqrt(np.mean(point.values("rcrb_m", trials) ** 2)))
        row["pslr_db"] = float(np.mean(point.values("pslr_db", trials)))
        row["realized_pslr_db"] = float(np.mean(point.values("realized_pslr_db", trials)))
        row["largest_gap"] = float(np.max(point.values("gap", trials)))
        if reference is not None:
            both = np.intersect1d(trials, np.array(sorted(reference.feasible_trials), dtype=np.intp))
            ratios = np.log(point.values("rcrb_m", both) / reference.values("rcrb_m", both))
            row |= _geometric(ratios, level)
        looks, detected = point.values("looks", trials), point.values("detected", trials)
        row["looks"], row["detection"] = int(looks.sum()), float(detected.sum() / looks.sum())
        localized, errors = point.values("localized", trials), point.values("sq_error_m2", trials)
        row["localized"] = int(localized.sum())
        row["rcrb_t_m"] = float(np.sqrt(np.mean(point.values("crb_m2", trials))))
        if localized.sum():
            row["rmse_m"] = float(np.sqrt(errors.sum() / localized.sum()))
        if len(trials) > 1:
            rate = clustered_error_rate_interval(detected, looks, level)
            row["detection_low"], row["detection_high"] = rate.low, rate.high
            if localized.sum():
                rng = np.random.Generator(np.random.Philox(seed))
                rmse = bootstrap_rmse_interval(errors / localized, rng=rng, level=level)
                row["rmse_low_m"], row["rmse_high_m"] = rmse.low, rmse.high
    return rows


def _key(point: PointDraws) -> tuple[str, Any]:
    return str(point.fields["design"]), point.fields.get("sinr_db")


def _geometric(logarithms: RealArray, level: float) -> Row:
    """Geometric mean and Student interval of ratios."""
    row: Row = {"rcrb_ratio": float(np.exp(logarithms.mean())) if len(logarithms) else float("nan")}
    if len(logarithms) > 1:
        half = student_half_width(logarithms, level)
        row["rcrb_ratio_low"], row["rcrb_ratio_high"] = (
            float(np.exp(logarithms.mean() + sign * half)) for sign in (-1, 1)
        )
    return row


def summary_lines(rows: Sequence[Row]) -> Iterator[str]:
    """What the terminal shows of a summary."""
    for row in rows:
        head = row["design"]
        head += "" if row.get("sinr_db") is None else f" at {row['sinr_db']:g} dB"
        head += "" if row.get("sidelobe_db") is None else f", sidelobes at {row['sidelobe_db']:g} dB"
        if not row["draws"]:
            lowest = f"; lowest level {row['highest_lowest_db']:.3f} dB" if "highest_lowest_db" in row else ""
            yield f"{head}: {without_design(row)}{lowest}"
            continue
        made = row["draws"] + row["infeasible_draws"] + row.get("failed", 0)
        ends = (row.get(f"detection_{end}", math.nan) for end in ("low", "high"))
        ratio = f" ({row['rcrb_ratio']:.3f} of the reference)" if "rcrb_ratio" in row else ""
        rmse = f", RMSE {row['rmse_m']:.4g} m (CRB {row['rcrb_t_m']:.4g} m)" if "rmse_m" in row else ""
        yield (
            f"{head}: RCRB {row['rcrb_m']:.4g} m{ratio}, PSLR {row['pslr_db']:.2f} dB, sent "
            f"{row['realized_pslr_db']:.2f} dB; weak target found in {text_with_interval(row['detection'], *ends)} of "
            f"{row['looks']} profiles{rmse}; {row['draws']} of {made} draws"
        )


def plot_pareto(rows: Sequence[Row], stem: Path) -> list[Path]:
    """RCRB and detection of the weak target against the sidelobe level, a line per design and threshold."""
    with figure(figsize=(6.4, 3.2)) as fig:
        axes = fig.subplots(1, 2)
        shown = [row for row in rows if row["draws"]]
        plain = {limited: name for name, limited in LIMITED.items()}
        groups: dict[tuple[str, Any], list[Row]] = {}
        for row in shown:
            name = str(row["design"])
            groups.setdefault((plain.get(name, name), row.get("sinr_db")), []).append(row)
        for index, ((name, sinr_db), group) in enumerate(groups.items()):
            own = sorted(group, key=lambda row: float(row["pslr_db"]))
            label = design_name(LIMITED.get(name, name))
            label += "" if sinr_db is None else rf", $\Gamma_c$ = {sinr_db:g} dB"
            style = {"color": f"C{index % 7}", "marker": series_marker(index), "mfc": "white", "label": label}
            style["ls"] = "-" if len(own) > 1 else "none"
            at = np.array([row["pslr_db"] for row in own], dtype=float)
            for ax, column, scale in ((axes[0], "rcrb_m", 1e3), (axes[1], "detection", 1.0)):
                values = scale * np.array([row[column] for row in own], dtype=float)
                ends = [f"{column}_low", f"{column}_high"]
                spread = None
                if all(end in row for row in own for end in ends):
                    low, high = (scale * np.array([row[end] for row in own], dtype=float) for end in ends)
                    spread = np.maximum(np.stack([values - low, high - values]), 0.0)
                ax.errorbar(at, values, yerr=spread, **style)
            free = [row for row in own if row.get("sidelobe_db") is None and name != "uniform"]
            for row in free:
                axes[0].plot(row["pslr_db"], 1e3 * row["rcrb_m"], ls="none", marker="*", ms=9, color=style["color"])
                axes[1].plot(row["pslr_db"], row["detection"], ls="none", marker="*", ms=9, color=style["color"])
        if any(row.get("sidelobe_db") is None and row["design"] != "uniform" for row in shown):
            axes[0].plot([], [], ls="none", marker="*", ms=9, color="0.3", label="without a limit on sidelobes")
        axes[0].set_ylabel("RCRB of one symbol [mm]")
        axes[1].set_ylabel("weak target found in a range profile")
        axes[1].set_ylim(-0.03, 1.03)
        for ax in axes:
            ax.set_xlabel("PSLR of the worst link [dB]")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return save(fig, stem)
