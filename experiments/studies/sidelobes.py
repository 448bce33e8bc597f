"""Study "sidelobes": range sidelobes of designs over draws; is the remark after Eq. (40) true, that P.3 spares them?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from disac.experiments.plotting.figures import design_name, figure, save, series_marker
from disac.experiments.statistics.draws import PointDraws, without_design
from disac.experiments.statistics.means import student_half_width
from disac.experiments.statistics.rounding import signed_text_with_interval
from disac.experiments.statistics.verdicts import Finding, Verdict
from disac.experiments.studies.sidelobe_sweep import SidelobeSweep, signals_of
from disac.experiments.study.protocol import Study, register_study
from disac.experiments.study.run import StudyRun
from disac.experiments.study.scene import SceneSettings, warn_of_contradictions
from disac.experiments.study.settings import Count, Decibels, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RealArray = NDArray[np.float64]
Row = dict[str, Any]

NAMES = {"p1-direct": "P.1", "p1-noncoherent": "block-diagonal P.1", "p2": "P.2"}
REFERENCE = "p3"
"""The design that the paper expects to have the lowest sidelobes; the others are compared with it draw by draw."""

AVOIDED_WITHIN_DB = 1.0
"""Sidelobes count as those of equal power where the interval of the PSLR lies this near to theirs."""


class SidelobeSettings(SceneSettings):
    """What decides the numbers of the study."""

    default_preset: ClassVar[str | None] = "fig7"

    designs: tuple[str, ...] = setting(
        ("p3", "p2", "uniform", "sensing-only", "p1-direct", "p1-noncoherent", "comm-only"),
        "Designs; those that know no threshold have one point.",
        option="design",
        quick=("p3", "p2", "uniform", "sensing-only"),
    )
    sinr_db: tuple[Decibels, ...] = setting((0.0, 20.0, 35.0), "SINR thresholds Gamma_c [dB].")
    symbols: tuple[Count, ...] = setting((1, 16), "Numbers of OFDM symbols T of the realized profiles.")
    draws: int = setting(100, "Draws of channels and amplitudes.", quick=10, ge=1, le=1_000_000, grows=True)


@register_study("sidelobes")
class Sidelobes(Study[SidelobeSettings]):
    """Range sidelobes (PSLR, ISLR) of the designs' signals over draws, and what the remark after Eq. (40) is worth."""

    summary = "Range sidelobes of the designs over draws."
    about = (
        "Matched filter; main lobe and period are those of equal power on the same subcarriers. Every draw counts "
        "once, and the comparison with P.3 is paired by draw."
    )
    title = "Range sidelobes of the designs"
    caption = "Matched filter, expected spectra, means over nodes; bars and bands are 95 % intervals over draws."
    place = 13
    Settings = SidelobeSettings

    def experiment(self, settings: SidelobeSettings) -> SidelobeSweep:
        """All designs over the draws."""
        scenario, _ = settings.scene()
        warn_of_contradictions(scenario)
        return SidelobeSweep(scenario, settings.designs, settings.sinr_db, n_symbols=settings.symbols)

    def summarize(self, run: StudyRun[SidelobeSettings]) -> list[Row]:
        """One row per design, threshold and signal."""
        return summarize_sidelobes(run.draws(), signals_of(run.settings.symbols))

    def plot(self, run: StudyRun[SidelobeSettings], rows: Sequence[Row]) -> None:
        """What the designs add to the sidelobes of equal power."""
        plot_sidelobe_ratios(rows, run.stem)

    def judge(self, run: StudyRun[SidelobeSettings], rows: Sequence[Row]) -> list[Finding]:
        """The two halves of the remark."""
        return judge_sidelobes(rows)

    def unstated(self, settings: SidelobeSettings) -> tuple[tuple[str, str], ...]:
        """What the paper leaves open."""
        scenario, _ = settings.scene()
        return (
            ("draws", str(settings.draws)),
            ("scene", _scene_text(settings, scenario)),
            (
                "sidelobe",
                "highest level outside the main lobe that equal power on the node's subcarriers has, in one period",
            ),
            ("baselines", "uniform, comm-only, sensing-only know no threshold and are one point each"),
            ("data", "QPSK, constant-modulus radar sequences in the realized profiles"),
        )

    def failure(self, rows: Sequence[Row]) -> str | None:
        """Where nothing could be designed."""
        if any(row["draws"] for row in rows):
            return None
        return "no draw is feasible for these designs and thresholds; lower --sinr-db"

    def lines(self, run: StudyRun[SidelobeSettings], rows: Sequence[Row]) -> Iterator[str]:
        """A line per row, then the verdicts."""
        yield from summary_lines(rows)
        yield from super().lines(run, rows)


def _scene_text(settings: SidelobeSettings, scenario: Any) -> str:
    """The scene in a line; of the preset Fig. 7 its figure, sizes and subcarriers per node."""
    source = settings.scenario or settings.preset or settings.default_preset
    n, k, u, size = scenario.n_nodes, scenario.n_targets, scenario.n_users, scenario.n_subcarriers
    return (
        f"{str(source).replace('fig', 'Fig. ')}: N = {n}, K = {k}, U = {u}, L = {size}, so {size // n} subcarriers a "
        f"node for P.2 and P.3, {size} for the others"
    )


def known(row: Mapping[str, Any], name: str) -> bool:
    """Whether a row has a value of this name."""
    return row.get(name) is not None


@dataclass(frozen=True)
class SidelobeDraws:
    """The draws of one point: per-draw means over its profiles, so that a draw counts once."""

    draws: PointDraws

    @property
    def label(self) -> tuple[str, float | None]:
        """Design and threshold."""
        threshold = self.draws.fields.get("sinr_db")
        return str(self.draws.fields["design"]), None if threshold is None else float(threshold)

    @cached_property
    def feasible(self) -> NDArray[np.intp]:
        """Trials in which the design exists."""
        return np.array(sorted(self.draws.feasible_trials), dtype=np.intp)

    def profiles(self, stem: str, signal: str, trials: NDArray[np.intp] | None = None) -> RealArray:
        """(profiles, draws) of a quantity, of the profiles that have it; one row of NaN where none has."""
        names = [n for n in self.draws.columns if n.startswith(f"{signal}: {stem} n")]
        values = np.array([self.draws.values(n, self.feasible if trials is None else trials) for n in names])
        defined = ~np.isnan(values).any(axis=1)
        return values[defined] if defined.any() else np.full((1, values.shape[1]), np.nan)


def summarize_sidelobes(points: Sequence[PointDraws], signals: Sequence[str], level: float = 0.95) -> list[Row]:
    """One row per design, threshold and signal.

    A draw counts once: ``pslr_db`` and ``islr_db`` are means over draws of the mean over its profiles, with Student
    intervals over draws (NaN for one draw); ``worst_pslr_db`` is the mean over draws of the highest profile,
    ``pslr_loss_db`` what the design adds to equal energies on the same subcarriers, ``pslr_loss_over_p3_db`` by how
    much that exceeds P.3's at the same threshold, paired by draw (a baseline without threshold is compared with P.3 at
    its lowest one), and ``pslr_q10_db``, ``pslr_q90_db`` are quantiles over all profiles.
    """
    every = [SidelobeDraws(point) for point in points]
    rows = []
    for item in every:
        name, threshold = item.label
        reference = _reference(every, threshold)
        for signal in signals:
            row: Row = {"design": name, "sinr_db": threshold, "signal": signal}
            row |= {"draws": len(item.feasible), "infeasible_draws": item.draws.infeasible}
            row["failed"] = item.draws.failed
            rows.append(row)
            if not len(item.feasible):
                continue
            for stem in ("pslr", "islr", "pslr_loss", "islr_loss"):
                row |= _with_interval(stem, item.profiles(f"{stem}_db", signal).mean(axis=0), level)
            if reference is not None:
                both = np.intersect1d(item.feasible, reference.feasible)
                for stem in ("pslr_loss", "islr_loss"):
                    mine, its = (each.profiles(f"{stem}_db", signal, both).mean(axis=0) for each in (item, reference))
                    row |= _with_interval(f"{stem}_over_{REFERENCE}", mine - its, level)
            pslr = item.profiles("pslr_db", signal)
            row["worst_pslr_db"] = float(pslr.max(axis=0).mean())
            row["pslr_q10_db"], row["pslr_q90_db"] = (float(q) for q in np.quantile(pslr, (0.1, 0.9)))
            row["width_m"] = float(item.profiles("width_m", signal).mean())
            row["rcrb_m"] = float(np.sqrt(np.mean(item.draws.values("rcrb_m", item.feasible) ** 2)))
    return rows


def _reference(every: Sequence[SidelobeDraws], threshold: float | None) -> SidelobeDraws | None:
    """P.3 at the same threshold, or at its lowest one where there is none."""
    own = [item for item in every if item.label[0] == REFERENCE]
    same = [item for item in own if threshold is None or item.label[1] == threshold]
    return min(same, key=lambda item: item.label[1] or 0.0, default=None)


def _with_interval(stem: str, values: RealArray, level: float) -> Row:
    """Mean over draws and its Student interval."""
    names = (f"{stem}_db", f"{stem}_low_db", f"{stem}_high_db")
    if len(values) < 2:
        return dict(zip(names, (float(np.mean(values)) if len(values) else float("nan"), np.nan, np.nan), strict=True))
    mean = float(values.mean())
    half = student_half_width(values, level)
    return dict(zip(names, (mean, mean - half, mean + half), strict=True))


def plot_sidelobe_ratios(summary: Sequence[Row], stem: Path, *, signal: str = "expected") -> list[Path]:
    """What designs add to the PSLR and ISLR of equal power, against the SINR threshold.

    Means over draws with intervals; baselines without a threshold are lines with bands.
    """
    with figure(figsize=(6.4, 3.2)) as fig:
        axes = fig.subplots(1, 2)
        shown = [row for row in summary if row["signal"] == signal and row["draws"]]
        thresholds = sorted({row["sinr_db"] for row in shown if known(row, "sinr_db")})
        for ax, quantity in zip(axes, ("pslr", "islr"), strict=True):
            dashes = cycle(("--", ":", "-."))
            for index, name in enumerate(dict.fromkeys(row["design"] for row in shown)):
                own = [row for row in shown if row["design"] == name]
                if not known(own[0], "sinr_db"):
                    _draw_baseline(ax, own[0], quantity, color=f"C{index % 7}", ls=next(dashes))
                else:
                    _draw_ratios(ax, own, quantity, index)
            if len(thresholds) < 2:
                ax.set_xticks(thresholds)
            ax.set_xlabel(r"SINR threshold $\Gamma_c$ [dB]")
            ax.set_ylabel(f"{quantity.upper()} above equal power [dB]")
        bounded = any(np.isfinite(row["pslr_loss_low_db"]) for row in shown)
        intervals = "; bars and bands: 95 % intervals" if bounded else ""
        fig.suptitle(f"matched filter, {signal} spectrum{intervals}", fontsize="medium")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return save(fig, stem)


def _draw_baseline(ax: Axes, row: Row, quantity: str, *, color: str, ls: str) -> None:
    ax.axhline(row[f"{quantity}_loss_db"], color=color, ls=ls, label=design_name(row["design"]))
    ax.axhspan(row[f"{quantity}_loss_low_db"], row[f"{quantity}_loss_high_db"], color=color, alpha=0.15, lw=0)


def _draw_ratios(ax: Axes, rows: Sequence[Row], quantity: str, index: int) -> None:
    """A design's means over its thresholds; a line has two of them at least."""
    mean, low, high = (
        np.array([row[f"{quantity}_loss{end}_db"] for row in rows], dtype=float) for end in ("", "_low", "_high")
    )
    ax.errorbar(
        np.array([row["sinr_db"] for row in rows], dtype=float),
        mean,
        yerr=np.nan_to_num(np.stack([mean - low, high - mean])),
        color=f"C{index % 7}",
        ls="-" if len(rows) > 1 else "none",
        marker=series_marker(index),
        mfc="white",
        label=design_name(rows[0]["design"]),
    )


def judge_sidelobes(rows: Sequence[Row]) -> list[Finding]:
    """The two halves of the remark, for the expected spectra; realized ones in the effect."""
    rows = [row for row in rows if row["draws"]]
    expected = [row for row in rows if row["signal"] == "expected"]
    findings = []
    for name, title in NAMES.items():
        own = [row for row in expected if row["design"] == name and known(row, "pslr_loss_over_p3_low_db")]
        if own:
            findings.append(
                Finding(
                    f"Designs for the CRB alone raise the range sidelobes, beamforming (P.3) less: {title}",
                    _signs(own, "pslr_loss_over_p3"),
                    "PSLR above P.3's, each above equal power on its subcarriers: "
                    + _levels(own, "pslr_loss_over_p3")
                    + "; ISLR: "
                    + _levels(own, "islr_loss_over_p3")
                    + f"; {_draws(own)}",
                    ("sidelobes",),
                )
            )
    p3 = [row for row in expected if row["design"] == "p3"]
    if p3:
        inside = [abs(row[f"pslr_loss{end}_db"]) < AVOIDED_WITHIN_DB for row in p3 for end in ("_low", "_high")]
        outside = [row["pslr_loss_low_db"] > AVOIDED_WITHIN_DB for row in p3]
        verdict: Verdict = "undecided"
        if all(inside):
            verdict = "confirmed"
        elif any(outside):
            verdict = "refuted" if all(outside) else "only under conditions"
        realized = [row for row in rows if row["design"] == "p3" and row["signal"] != "expected"]
        findings.append(
            Finding(
                "By spatial precoding alone, P.3 avoids the sidelobes of uneven subcarrier power",
                verdict,
                "P.3's PSLR above equal power: "
                + _levels(p3, "pslr_loss")
                + "".join(
                    f"; {signal}: " + _levels([row for row in realized if row["signal"] == signal], "pslr_loss")
                    for signal in dict.fromkeys(row["signal"] for row in realized)
                ),
                ("sidelobes",),
            )
        )
    return findings


def _signs(rows: Sequence[Row], stem: str) -> Verdict:
    """Confirmed where every interval is above zero, refuted where every one is below."""
    above = [row[f"{stem}_low_db"] > 0 for row in rows]
    below = [row[f"{stem}_high_db"] < 0 for row in rows]
    if all(above):
        return "confirmed"
    if all(below):
        return "refuted"
    return "only under conditions" if any(above) else "undecided"


def _levels(rows: Sequence[Row], stem: str) -> str:
    return ", ".join(
        f"{signed_text_with_interval(*_value_and_ends(row, stem), 'dB')} at {row['sinr_db']:g} dB" for row in rows
    )


def _value_and_ends(row: Row, stem: str) -> tuple[float, float, float]:
    return row[f"{stem}_db"], row.get(f"{stem}_low_db", math.nan), row.get(f"{stem}_high_db", math.nan)


def _draws(rows: Sequence[Row]) -> str:
    return "feasible draws " + ", ".join(str(row["draws"]) for row in rows)


def summary_lines(rows: Sequence[Row]) -> Iterator[str]:
    """What the terminal shows of a summary."""
    for row in rows:
        at = "" if row.get("sinr_db") is None else f" at {row['sinr_db']:g} dB"
        head = f"{row['design']}{at}, {row['signal']}"
        if not row["draws"]:
            yield f"{head}: {without_design(row)}"
            continue
        if math.isnan(row["pslr_db"]):
            yield f"{head}: no sidelobe, the main lobe of two subcarriers a node fills the period"
            continue
        pslr, islr = (signed_text_with_interval(*_value_and_ends(row, stem), "dB") for stem in ("pslr", "islr"))
        yield (
            f"{head}: PSLR {pslr}, {row['pslr_loss_db']:+.2f} dB against equal power; "
            f"ISLR {islr}, {row['islr_loss_db']:+.2f} dB; "
            f"{row['draws']} of {row['draws'] + row['infeasible_draws'] + row.get('failed', 0)} draws"
            f"{'' if row['draws'] > 1 else ', no interval from one draw'}"
        )
