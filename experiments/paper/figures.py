"""The pictures of Section V in the paper's form: lines for relaxation bounds, markers for the signals sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.paper.sweeps import PAPER_SECONDS, Sweep
from disac.experiments.plotting.figures import design_name, figure, log_ordinate, save
from disac.experiments.statistics.draws import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RealArray = NDArray[np.float64]

X_LABELS = {
    "sinr_db": r"SINR threshold $\Gamma_c$ [dB]",
    "bandwidth_hz": "bandwidth B [MHz]",
    "n_antennas": "antennas per node M",
    "n_subcarriers": "subcarriers L",
    "n_nodes": "nodes N",
}
SERIES_LABELS = {"n_users": "U = {}", "n_targets": "K = {}", "n_nodes": "N = {}"}


@dataclass(frozen=True)
class Look:
    """Name, colour and marker of a line."""

    label: str
    color: str
    marker: str


DESIGN_LOOKS = {
    "p1": Look("P.1, phases known", "#000000", "o"),
    "p1-noncoherent": Look("P.1 block-diagonal", "#CC79A7", "D"),
    "p2": Look("P.2", "#0072B2", "^"),
    "p3": Look("P.3, line: averaged bound", "#D55E00", "s"),
}
MODE_LOOKS = {
    "rcrb_tof": Look("TOF, angles known", "#0072B2", "^"),
    "rcrb_aoa": Look("AOA, delays known", "#D55E00", "s"),
    "rcrb_sent": Look("hybrid", "#000000", "o"),
    "rcrb_tof_nuisance": Look("TOF, angles unknown", "#56B4E9", "v"),
    "rcrb_aoa_nuisance": Look("AOA, delays unknown", "#E69F00", "D"),
}


def plot_sweep(sweep: Sweep, rows: Sequence[Row], stem: Path) -> list[Path]:
    """Draw a figure or table from its summary; trade-offs have a panel per number of users, targets or nodes."""
    design_rows = [row for row in rows if "design" in row and row["draws"] > 0]
    n_panels = len(sweep.series[1]) if sweep.kind == "designs" else 1
    with figure(figsize=(2.1 * n_panels + 1.0 if n_panels > 1 else 4.2, 3.0)) as fig:
        panels = fig.subplots(1, n_panels, sharex=True, sharey=True, squeeze=False)[0]
        match sweep.kind:
            case "modes":
                _draw_modes(panels[0], sweep, design_rows)
            case "designs":
                _draw_designs(panels, sweep, design_rows)
            case "times":
                _draw_times(panels[0], sweep, design_rows)
        for ax in panels:
            ax.set_xlabel(X_LABELS[sweep.x])
            _ticks(ax, sweep, design_rows)
        handles = _handles(panels, sweep, design_rows)
        fig.set_figheight(3.0 + 0.14 * -(-len(handles) // (n_panels + 1)))
        fig.legend(handles=handles, loc="outside upper center", ncols=n_panels + 1)
        return save(fig, stem)


def _abscissa(sweep: Sweep, rows: Sequence[Row]) -> RealArray:
    scale = 1e-6 if sweep.x == "bandwidth_hz" else 1.0
    return scale * np.array([float(row[sweep.x]) for row in rows])


def _millimetres(rows: Sequence[Row], name: str) -> RealArray:
    return 1e3 * _column(rows, name)


def _column(rows: Sequence[Row], name: str) -> RealArray:
    return np.array([float(row.get(name, np.nan)) for row in rows])


def _line(ax: Axes, x: RealArray, rows: Sequence[Row], name: str, color: str, dash: str, **options: Any) -> None:
    """An average over draws as a line, its interval as a band where it is finite."""
    ax.plot(x, _millimetres(rows, f"{name}_m"), dash, color=color, **options)
    low, high = _millimetres(rows, f"{name}_low_m"), _millimetres(rows, f"{name}_high_m")
    if np.all(np.isfinite(high)):
        ax.fill_between(x, low, high, color=color, alpha=0.10, lw=0)


def _draw_modes(ax: Axes, sweep: Sweep, rows: Sequence[Row]) -> None:
    rows = sorted(rows, key=lambda row: float(row[sweep.x]))
    for name, look in MODE_LOOKS.items():
        dash = ":" if "nuisance" in name else "-"
        _line(
            ax, _abscissa(sweep, rows), rows, name, look.color, dash, marker=look.marker, mfc="white", label=look.label
        )
    ax.set_ylabel("RCRB, one symbol [mm]")


def _draw_designs(panels: Sequence[Axes], sweep: Sweep, rows: Sequence[Row]) -> None:
    name, values = sweep.series
    for ax, value in zip(panels, values, strict=True):
        for design, look in DESIGN_LOOKS.items():
            own = [row for row in rows if row["design"] == design and row[name] == value]
            own.sort(key=lambda row: float(row[sweep.x]))
            if own:
                _draw_design(ax, sweep, design, look, own)
        if len(values) > 1:
            ax.set_title(SERIES_LABELS[name].format(value))
    panels[0].set_ylabel("RCRB, one symbol [mm]")


def _draw_design(ax: Axes, sweep: Sweep, design: str, look: Look, rows: Sequence[Row]) -> None:
    """Bound as a line; markers above it by what the extraction loses in the draws that were extracted, often fewer."""
    x = _abscissa(sweep, rows)
    _line(ax, x, rows, "rcrb_bound", look.color, "-")
    bound = _millimetres(rows, "rcrb_bound_m")
    ax.plot(x, bound * _column(rows, "sent_over_bound"), ls="none", marker=look.marker, color=look.color, mfc="white")
    if design == "p1":
        ax.plot(x, bound * _column(rows, "direct_over_bound"), marker="+", ls="none", color=look.color)
        ax.plot(x, _millimetres(rows, "rcrb_phases_m"), "--", color=look.color, lw=0.8)
    if sweep.x == "sinr_db":
        ax.plot(x[-1:], bound[-1:], marker="|", ms=10, mew=1.2, color=look.color)


def _draw_times(ax: Axes, sweep: Sweep, rows: Sequence[Row]) -> None:
    for solver, dash in zip(sweep.solvers, ("-", "--"), strict=True):
        for design, look in DESIGN_LOOKS.items():
            own = [row for row in rows if row["design"] == design and row["solver"] == solver]
            own.sort(key=lambda row: float(row[sweep.x]))
            if not own:
                continue
            median = _column(own, "processor_seconds_median")
            ends = [_column(own, f"processor_seconds_{q}") for q in ("q1", "q3")]
            ax.errorbar(
                _abscissa(sweep, own),
                median,
                yerr=np.abs(np.stack(ends) - median),
                ls=dash,
                color=look.color,
                marker=look.marker,
                mfc="white" if solver == "native" else look.color,
                label=f"{design_name(design)}, {solver}",
            )
    if sweep.x == "n_nodes":
        for (design, seconds), marker in zip(PAPER_SECONDS.items(), "x+1", strict=True):
            color, label = DESIGN_LOOKS[design].color, f"{design_name(design)}, paper"
            ax.plot((2, 3, 4), seconds, ls="none", marker=marker, color=color, label=label)
    ax.set_ylabel("processor time [s], median and quartiles")


def _handles(panels: Sequence[Axes], sweep: Sweep, rows: Sequence[Row]) -> list[Any]:
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    handles = list(panels[-1].get_legend_handles_labels()[0])
    if sweep.kind == "designs":
        handles = _design_handles(sweep, rows)
    if any(isinstance(drawn, PolyCollection) for ax in panels for drawn in ax.collections):
        handles.append(Patch(color="0.85", label="95 % interval"))
    return handles


def _design_handles(sweep: Sweep, rows: Sequence[Row]) -> list[Any]:
    """One per design, with a marker where signals were extracted, and one per kind of line and marker drawn."""
    from matplotlib.lines import Line2D

    def known(name: str, design: str) -> bool:
        return bool(np.isfinite(_column([row for row in rows if row["design"] == design], name)).any())

    designs = [design for design in DESIGN_LOOKS if any(row["design"] == design for row in rows)]
    sent = [design for design in designs if known("sent_over_bound", design)]
    handles = [
        Line2D([], [], color=look.color, marker=look.marker if design in sent else "", mfc="white", label=look.label)
        for design, look in DESIGN_LOOKS.items()
        if design in designs
    ]
    handles.append(Line2D([], [], color="k", label="lines: bound"))
    if sent:
        handles.append(Line2D([], [], color="k", marker="o", mfc="white", ls="none", label="markers: signals sent"))
    if known("direct_over_bound", "p1"):
        handles.append(Line2D([], [], color="k", marker="+", ls="none", label="P.1, direct extraction"))
    if known("rcrb_phases_m", "p1"):
        handles.append(Line2D([], [], color="k", ls="--", lw=0.8, label="P.1, mean over unknown phases"))
    if sweep.x == "sinr_db":
        handles.append(Line2D([], [], color="k", marker="|", ms=10, ls="none", label="certified edge"))
    return handles


def _ticks(ax: Axes, sweep: Sweep, rows: Sequence[Row]) -> None:
    """Plain numbers on logarithmic axes."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    if sweep.x in ("bandwidth_hz", "n_subcarriers"):
        ax.set_xscale("log")
    if sweep.x != "sinr_db":
        ax.set_xticks(
            [1, 2, 5, 10, 20, 50, 100] if sweep.x == "bandwidth_hz" else sorted({row[sweep.x] for row in rows})
        )
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    log_ordinate(ax)
