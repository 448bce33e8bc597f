"""The picture of the waveform's verdict: RMSE, bit errors and outage of every design against the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.paper.figures import DESIGN_LOOKS
from disac.experiments.plotting.figures import bound_line, figure, log_ordinate, save
from disac.experiments.statistics.draws import Row
from disac.experiments.studies.waveform_trial import LABELS, SENT, SceneThresholds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHIFT = 0.04
"""Distance of neighbouring markers at one threshold, over the range of thresholds."""
_HIGHEST = 3.0
"""RMSE over bound from which a marker would leave the panel."""


def plot_verdict(rows: Sequence[Row], scenes: Sequence[SceneThresholds], stem: Path) -> list[Path]:
    """One row of panels per scene."""
    with figure(figsize=(7.6, 2.6 * len(scenes) + 0.6)) as fig:
        panels = fig.subplots(len(scenes), 3, squeeze=False)
        for line, scene in zip(panels, scenes, strict=True):
            thresholds = [float(row["sinr_db"]) for row in rows if row["scene"] == scene.name]
            step = _SHIFT * (max(thresholds) - min(thresholds) or 1.0)
            for i, key in enumerate(SENT):
                own = [row for row in rows if (row["scene"], row["design"], row["phases"]) == (scene.name, *key)]
                own.sort(key=lambda row: float(row["sinr_db"]))
                if own:
                    _draw(line, key, own, step * (i - (len(SENT) - 1) / 2))
            _finish(line, scene, [row for row in rows if row["scene"] == scene.name])
        fig.legend(handles=_handles(rows), loc="outside upper center", ncols=4)
        return save(fig, stem)


def _handles(rows: Sequence[Row]) -> list[Any]:
    """One per design, and one per kind of marker and line drawn."""
    from matplotlib.lines import Line2D

    sent = {(row["design"], row["phases"]) for row in rows}
    handles = [
        Line2D([], [], ls=_dash(key), label=LABELS[key], **{**_style(key), "lw": 0.8}) for key in SENT if key in sent
    ]
    handles.append(Line2D([], [], color="k", marker="o", ls="none", label="measured, 95 % interval"))
    handles.append(Line2D([], [], color="k", lw=0.8, label="realized root CRB, BER in theory"))
    if any(float(row[name]) == 0 for row in rows for name in ("ber", "outage")):
        handles.append(
            Line2D([], [], color="k", marker=r"$\downarrow$", ls="none", ms=7, label="none seen: upper bound")
        )
    if _off_the_panel(rows).any():
        handles.append(Line2D([], [], color="k", marker=r"$\uparrow$", ls="none", ms=7, label="RMSE above the panel"))
    return handles


def _dash(key: tuple[str, str]) -> str:
    return "--" if key == ("p1", "random") else "-"


def _style(key: tuple[str, str]) -> dict[str, Any]:
    """Colour and marker, open where phases that the design knows are unknown."""
    look = DESIGN_LOOKS[key[0]]
    return {"color": look.color, "marker": look.marker, "mfc": "white" if _dash(key) == "--" else look.color}


def _draw(line: Sequence[Axes], key: tuple[str, str], rows: Sequence[Row], shift: float) -> None:
    style = {**_style(key), "ls": "none"}
    x = np.array([float(row["sinr_db"]) for row in rows])
    for ax, name, scale, theory in (
        (line[0], "rmse", 1e3, "rcrb_realized_m"),
        (line[1], "ber", 1.0, "ber_theory"),
        (line[2], "outage", 1.0, None),
    ):
        unit = "_m" if name == "rmse" else ""
        middle, low, high = (
            scale * np.array([float(row[f"{name}{end}{unit}"]) for row in rows]) for end in ("", "_low", "_high")
        )
        if name == "rmse":
            _tell_gross_errors(ax, x + shift, rows, style["color"])
            middle = np.where(_off_the_panel(rows), np.nan, middle)
        seen = ~(middle == 0)
        if theory:
            values = scale * np.array([float(row[theory]) for row in rows])
            bound_line(ax, x, values, _dash(key), style["color"], lw=0.8)
        errors = np.stack([middle - low, high - middle]).clip(min=0)
        ax.errorbar((x + shift)[seen], middle[seen], yerr=errors[:, seen], **style)
        if not seen.all():
            ax.errorbar(
                (x + shift)[~seen],
                high[~seen],
                yerr=0.5 * high[~seen],
                uplims=True,
                **{**style, "marker": "none"},
            )


def _off_the_panel(rows: Sequence[Row]) -> NDArray[np.bool_]:
    return np.array([float(row["rmse_m"]) > _HIGHEST * float(row["rcrb_realized_m"]) for row in rows])


def _tell_gross_errors(ax: Axes, x: NDArray[np.float64], rows: Sequence[Row], color: str) -> None:
    """At the upper edge, the number of trials whose gross errors put the RMSE far beyond the panel."""
    for place, row, off in zip(x, rows, _off_the_panel(rows), strict=True):
        if off:
            ax.text(
                place,
                0.98,
                f"{row['gross_errors']} of {row['trials']} gross \N{RIGHTWARDS ARROW}",
                transform=ax.get_xaxis_transform(),
                color=color,
                fontsize=5,
                rotation=90,
                ha="center",
                va="top",
            )


def _finish(line: Sequence[Axes], scene: SceneThresholds, rows: Sequence[Row]) -> None:
    line[0].set_ylabel("RMSE [mm]")
    line[1].set_ylabel("bit error ratio")
    line[2].set_ylabel("outage")
    line[1].set_title(scene.title)
    for ax in (line[0], line[2]):
        ax.set_xlim(line[1].get_xlim())
    low, high = line[0].get_ylim()
    if low <= 0:  # an interval so wide that its margin on a linear axis passes zero
        line[0].set_yscale("log")
        low, high = line[0].get_ylim()
    line[0].set_ylim(low, high * (high / low) ** 0.25)
    for ax in line:
        ax.set_xticks(sorted({float(row["sinr_db"]) for row in rows}))
        ax.set_xlabel(r"SINR threshold $\Gamma_c$ [dB]")
        log_ordinate(ax)
