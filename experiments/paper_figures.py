"""The pictures of Section V in the paper's form: lines for relaxation bounds, markers for the signals sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.figures import figure, save
from disac.experiments.paper_summary import Row
from disac.experiments.paper_sweeps import PAPER_SECONDS, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

X_LABELS = {
    "sinr_db": r"SINR threshold $\Gamma_c$ [dB]",
    "bandwidth_hz": "bandwidth B [MHz]",
    "n_antennas": "antennas per node M",
    "n_subcarriers": "subcarriers L",
    "n_nodes": "nodes N",
}
SERIES_LABELS = {"n_users": "U = {}", "n_targets": "K = {}", "n_nodes": "N = {}"}
_DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Look:
    """Name, colour and marker of a line."""

    label: str
    color: str
    marker: str


DESIGN_LOOKS = {
    "p1": Look("P.1, phases known", "#000000", "o"),
    "p1-noncoherent": Look("P.1, block-diagonal", "#CC79A7", "D"),
    "p2": Look("P.2", "#0072B2", "^"),
    "p3": Look("P.3 (averaged bound)", "#D55E00", "s"),
}
MODE_LOOKS = {
    "rcrb_tof": Look("TOF (angles known)", "#0072B2", "^"),
    "rcrb_aoa": Look("AOA (delays known)", "#D55E00", "s"),
    "rcrb_sent": Look("hybrid", "#000000", "o"),
    "rcrb_tof_nuisance": Look("TOF, angles unknown", "#56B4E9", "v"),
    "rcrb_aoa_nuisance": Look("AOA, delays unknown", "#E69F00", "D"),
}


def plot_sweep(sweep: Sweep, rows: Sequence[Row], stem: Path) -> list[Path]:
    """Draw a figure or table from its summary."""
    design_rows = [row for row in rows if "design" in row and row["draws"] > 0]
    with figure(figsize=(4.6, 3.4)) as fig:
        ax = fig.add_subplot()
        match sweep.kind:
            case "modes":
                _draw_modes(ax, sweep, design_rows)
            case "designs":
                _draw_designs(ax, sweep, design_rows)
            case "times":
                _draw_times(ax, sweep, design_rows)
        ax.set_xlabel(X_LABELS[sweep.x])
        ax.set_yscale("log")
        ax.grid(True, which="minor", axis="y", alpha=0.4)
        _fewer_ticks(ax, sweep)
        return save(fig, stem)


def _abscissa(sweep: Sweep, rows: Sequence[Row]) -> NDArray[np.float64]:
    scale = 1e-6 if sweep.x == "bandwidth_hz" else 1.0
    return scale * np.array([float(row[sweep.x]) for row in rows])


def _column(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    return np.array([float(row.get(name, np.nan)) for row in rows])


def _line(
    ax: Axes, x: NDArray[np.float64], rows: Sequence[Row], name: str, color: str, dash: str, **options: Any
) -> None:
    """An average over draws as a line, its interval as a band where it is finite."""
    ax.plot(x, _column(rows, f"{name}_m"), dash, color=color, **options)
    low, high = _column(rows, f"{name}_low_m"), _column(rows, f"{name}_high_m")
    if np.all(np.isfinite(high)):
        ax.fill_between(x, low, high, color=color, alpha=0.10, lw=0)


def _draw_modes(ax: Axes, sweep: Sweep, rows: Sequence[Row]) -> None:
    rows = sorted(rows, key=lambda row: float(row[sweep.x]))
    x = _abscissa(sweep, rows)
    for name, look in MODE_LOOKS.items():
        dash = ":" if "nuisance" in name else "-"
        _line(ax, x, rows, name, look.color, dash, marker=look.marker, mfc="white", label=look.label)
    ax.set_ylabel("RCRB, one symbol [m]")
    if sweep.x == "bandwidth_hz":
        ax.set_xscale("log")
    ax.legend()


def _draw_designs(ax: Axes, sweep: Sweep, rows: Sequence[Row]) -> None:
    from matplotlib.lines import Line2D

    name, values = sweep.series
    for dash, value in zip(_DASHES, values, strict=False):
        for design, look in DESIGN_LOOKS.items():
            own = [row for row in rows if row["design"] == design and row[name] == value]
            own.sort(key=lambda row: float(row[sweep.x]))
            if not own:
                continue
            x = _abscissa(sweep, own)
            _line(ax, x, own, "rcrb_bound", look.color, dash)
            ax.plot(x, _column(own, "rcrb_sent_m"), ls="none", marker=look.marker, color=look.color, mfc="white")
            if design == "p1":
                ax.plot(x, _column(own, "rcrb_direct_m"), marker="+", ls="none", color=look.color)
                ax.plot(x, _column(own, "rcrb_phases_m"), dash, color="0.6", lw=0.9)
            if sweep.x == "sinr_db":
                ax.plot(x[-1:], _column(own, "rcrb_bound_m")[-1:], marker="|", ms=9, mew=1.2, color=look.color)
    handles = [
        Line2D([], [], color=look.color, marker=look.marker, mfc="white", label=look.label)
        for look in DESIGN_LOOKS.values()
    ]
    handles.append(Line2D([], [], color="0.6", label="P.1, mean over unknown phases"))
    handles.append(Line2D([], [], color="k", marker="+", ls="none", label="P.1, direct extraction"))
    if sweep.x == "sinr_db":
        handles.append(Line2D([], [], color="k", marker="|", ms=9, ls="none", label="certified edge"))
    if len(values) > 1:
        handles += [
            Line2D([], [], color="k", ls=dash, label=SERIES_LABELS[name].format(value))
            for dash, value in zip(_DASHES, values, strict=False)
        ]
    ax.set_ylabel("RCRB, one symbol [m]")
    if sweep.x == "bandwidth_hz":
        ax.set_xscale("log")
    ax.figure.legend(handles=handles, loc="outside upper center", ncols=3)


def _draw_times(ax: Axes, sweep: Sweep, rows: Sequence[Row]) -> None:
    fills = {"native": "white", "clarabel": None}
    for solver, dash in zip(sweep.solvers, _DASHES, strict=False):
        for design, look in DESIGN_LOOKS.items():
            own = [row for row in rows if row["design"] == design and row["solver"] == solver]
            own.sort(key=lambda row: float(row[sweep.x]))
            if not own:
                continue
            median = _column(own, "build_and_solve_seconds_median")
            ends = [_column(own, f"build_and_solve_seconds_{q}") for q in ("q1", "q3")]
            ax.errorbar(
                _abscissa(sweep, own),
                median,
                yerr=np.abs(np.stack(ends) - median),
                ls=dash,
                color=look.color,
                marker=look.marker,
                mfc=fills.get(solver) or look.color,
                label=f"{look.label.split(',')[0].split(' (')[0]}, {solver}",
            )
    if sweep.x == "n_nodes":
        for design, seconds in PAPER_SECONDS.items():
            look = DESIGN_LOOKS[design]
            label = f"{look.label.split(',')[0].split(' (')[0]}, paper"
            ax.plot((2, 3, 4), seconds, ls="none", marker="x", color=look.color, label=label)
        ax.set_xticks((2, 3, 4))
    else:
        ax.set_xscale("log", base=2)
    ax.set_ylabel("time [s], median and quartiles")
    ax.figure.legend(loc="outside upper center", ncols=3)


def _fewer_ticks(ax: Axes, sweep: Sweep) -> None:
    """Plain numbers on logarithmic abscissae."""
    from matplotlib.ticker import ScalarFormatter

    if ax.get_xscale() == "log":
        ticks = (1, 2, 5, 10, 20, 50, 100) if sweep.x == "bandwidth_hz" else sweep.full.grid
        ax.set_xticks(ticks)
        ax.get_xaxis().set_major_formatter(ScalarFormatter())
        ax.minorticks_off() if sweep.x != "bandwidth_hz" else None
