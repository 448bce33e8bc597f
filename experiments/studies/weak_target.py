"""Part "weak-target" of ``disac reproduce``: what sidelobes do to a target that is weaker than its neighbour."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disac.experiments.plotting.figures import bound_line, design_name, figure, save, series_marker
from disac.experiments.runs.tables import write_csv
from disac.experiments.statistics.draws import read_draws
from disac.experiments.statistics.verdicts import Finding, Verdict
from disac.experiments.studies.parts import Effort, Part
from disac.experiments.studies.weak_target_trial import (
    FALSE_ALARM,
    Row,
    WeakTargetCase,
    WeakTargetSweep,
    weak_target_rows,
    weakened,
)
from disac.simulator import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SNR_DB = -30.0
TRIALS, QUICK_TRIALS = 100, 60
"""Trials per level; twice as many without the weak target set the detection threshold."""
_SHIFT = 0.016
"""Distance of neighbouring markers at one level, over the range of levels."""


@dataclass(frozen=True)
class Study:
    """A place of the weak target with what is sent there.

    Attributes
    ----------
    place_m : x and y of the weak target [m]; the strong one is at the origin.
    designs : names of the designs with their thresholds [dB].
    weaker_db : levels of the weak target below the strong one [dB].
    """

    place_m: tuple[float, float]
    designs: tuple[tuple[str, float | None], ...]
    weaker_db: tuple[float, ...]

    def scene(self) -> Scenario:
        """Nodes, bandwidth and user of Fig. 7."""
        return Scenario.preset("fig7", targets=[[0.0, 0.0], list(self.place_m)])

    def store(self, folder: Path, present: str) -> Path:
        """File of the trials with the weak target ("present") or without it ("absent")."""
        x, y = self.place_m
        return folder / f"{present}-x{x:g}-y{y:g}.sqlite"


COMPARED: tuple[tuple[str, float | None], ...] = (("p2", 20.0), ("p3", 20.0))
FULL = (
    Study(
        (0.0, 10.0),
        (*COMPARED, ("p1", 20.0), ("p1-noncoherent", 20.0), ("p4-p2", 20.0), ("uniform", None)),
        (0.0, 5.0, 10.0, 20.0, 25.0, 30.0),
    ),
    Study((20.0, -10.0), COMPARED, (10.0, 20.0, 25.0)),
    Study((-25.0, 20.0), COMPARED, (10.0, 20.0, 25.0)),
)
QUICK = (Study((0.0, 10.0), COMPARED, (0.0, 10.0, 20.0)),)


def compute(folder: Path, effort: Effort) -> list[Row]:
    """Design for two equal targets, simulate unequal ones, and write ``summary.csv`` and the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for study in (QUICK if effort.quick else FULL) for row in _studied(study, folder, effort)]
    write_csv(rows, folder / "summary.csv")
    plot_weak_target(_at_first_place(rows), folder / "weak-target")
    return rows


def _studied(study: Study, folder: Path, effort: Effort) -> list[Row]:
    from disac.designs import crb, design
    from disac.experiments.campaign.runner import run_campaign
    from disac.experiments.paper.job import DrawBar
    from disac.experiments.studies.link import at_snr

    designer = study.scene()
    scenario = at_snr(designer, SNR_DB)
    results = {name: design(name, weakened(designer, 0.0), threshold) for name, threshold in study.designs}
    cases = tuple(WeakTargetCase(name, r.comm_precoders, r.radar_precoders) for name, r in results.items())
    trials = QUICK_TRIALS if effort.quick else TRIALS
    for store, weaker_db, n_trials in (("absent", (), 2 * trials), ("present", study.weaker_db, trials)):
        with DrawBar(f"weak-target at {study.place_m[0]:g}, {study.place_m[1]:g} m, {store}", every=100) as bar:
            run_campaign(
                WeakTargetSweep(scenario, cases, weaker_db),
                study.store(folder, store),
                seed=effort.seed,
                trials=n_trials,
                workers=effort.workers,
                progress=bar,
                resume=True,
                rerun_line=effort.rerun_line,
            )
    bounds = {
        (name, level): crb(weakened(scenario, level), result.covariances, "hybrid", scenario.n_symbols)
        for name, result in results.items()
        for level in study.weaker_db
    }
    present, absent = (read_draws(study.store(folder, store)) for store in ("present", "absent"))
    x, y = study.place_m
    return [{"weak_x_m": x, "weak_y_m": y, **row} for row in weak_target_rows(present, absent, bounds, effort.seed)]


def _at_first_place(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if _place(row) == _place(rows[0])]


def _place(row: Mapping[str, Any]) -> tuple[float, float]:
    return float(row["weak_x_m"]), float(row["weak_y_m"])


def plot_weak_target(rows: Sequence[Mapping[str, Any]], stem: Path) -> list[Path]:
    """RMSE of the weak target with its bound, and the shares of trials in which each receiver finds it."""
    with figure(figsize=(6.8, 3.3)) as fig:
        panels = fig.subplots(1, 2)
        names = list(dict.fromkeys(row["design"] for row in rows))
        step = _SHIFT * np.ptp([float(row["weaker_db"]) for row in rows])
        for index, name in enumerate(names):
            own = sorted((row for row in rows if row["design"] == name), key=lambda row: float(row["weaker_db"]))
            _draw_design(panels, own, index, step * (index - (len(names) - 1) / 2))
        panels[0].set_yscale("log")
        panels[0].set_ylabel("error of the weak target [m]")
        panels[1].set_ylabel("share of trials")
        for ax in panels:
            ax.set_xticks(sorted({float(row["weaker_db"]) for row in rows}))
            ax.set_xlabel("weaker than its neighbour by [dB]")
        handles, _ = panels[0].get_legend_handles_labels()
        fig.legend(handles=[*handles, *_handles()], loc="outside lower center", ncols=3)
        return save(fig, stem)


def _draw_design(panels: Sequence[Axes], rows: Sequence[Mapping[str, Any]], index: int, shift: float) -> None:
    """A design's curves; markers are set apart from those of other designs at the same level."""

    def column(key: str) -> Any:
        return np.array([row[key] for row in rows], dtype=float)

    left, right = panels
    color, marker = f"C{index % 7}", series_marker(index)
    at = column("weaker_db")
    bound_line(left, at, column("rcrb_m"), "-", color)
    for ax, key, unit, fill, style in (
        (left, "rmse", "_m", "white", "none"),
        (right, "detected", "", "white", "-"),
        (right, "one_look", "", color, ":"),
    ):
        middle, low, high = (column(f"{key}{end}{unit}") for end in ("", "_low", "_high"))
        ax.errorbar(
            at + shift, middle, yerr=np.stack([middle - low, high - middle]), color=color, marker=marker, mfc=fill,
            ls=style, label=design_name(rows[0]["design"]) if key == "rmse" else None,
        )  # fmt: skip


def _handles() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color="k", marker="o", mfc="white", ls="none", label="left: RMSE, 95 % interval"),
        Line2D([], [], color="k", label="left: root CRB"),
        Line2D([], [], color="k", marker="o", mfc="white", label="right: detected, joint"),
        Line2D([], [], color="k", marker="o", ls=":", label="right: located in one look"),
    ]


def judge(folder: Path) -> Sequence[Finding]:
    """Whether P.3 detects weak targets that P.2 does not."""
    path = folder / "summary.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shares: dict[tuple[float, float], dict[str, dict[float, dict[str, str]]]] = {}
    for row in rows:
        shares.setdefault(_place(row), {}).setdefault(row["design"], {})[float(row["weaker_db"])] = row
    worse = [
        _compared(row, place["p3"][level], "detected")
        for place in shares.values()
        for level, row in place["p2"].items()
    ]
    verdict: Verdict = "undecided"
    if any(side < 0 for side in worse):
        verdict = "only under conditions" if any(side > 0 for side in worse) else "confirmed"
    elif any(side > 0 for side in worse):
        verdict = "refuted"
    parts = []
    for (x, y), place in shares.items():
        levels = ", ".join(f"{level:g}" for level in place["p2"])
        detected = "; ".join(
            f"{name}: " + ", ".join(f"{float(row['detected']):.2f}" for row in own.values())
            for name, own in place.items()
        )
        parts.append(f"share detected at ({x:g}, {y:g}) m, {levels} dB below the neighbour: {detected}")
    return [
        Finding(
            "P.3 detects weaker targets beside a strong one than P.2, whose bound is lower "
            f"(joint maximum likelihood, false alarms {100 * FALSE_ALARM:g} %)",
            verdict,
            "; ".join(parts),
            ("weak-target",),
        )
    ]


def _compared(first: Mapping[str, str], second: Mapping[str, str], key: str) -> int:
    """-1 where the first's share is surely lower (intervals apart), +1 where it is surely higher, else 0."""
    if float(first[f"{key}_high"]) < float(second[f"{key}_low"]):
        return -1
    return int(float(first[f"{key}_low"]) > float(second[f"{key}_high"]))


PART = Part(
    name="weak-target",
    title="A weak target beside a strong one",
    caption="Weak target at (0, 10) m, strong one at the origin; 95 % intervals; designs are set apart sideways.",
    compute=compute,
    judge=judge,
    unstated=(
        ("trials", f"{TRIALS} a point, twice as many without the weak target"),
        ("scene", f"Fig. 7's with a second target, P_T/sigma_s^2 = {SNR_DB:g} dB, T = 16, one amplitude draw"),
        ("design", "at Gamma_c = 20 dB, made for targets of equal strength; equal power knows no threshold"),
        ("inter-node phases", "unknown; root CRBs are those of known phases, which matters for P.1 alone"),
        ("detection", "second target's likelihood gain above its 95 % quantile without the target, and within a lobe"),
    ),
)
