"""Part "weak-target" of ``disac reproduce``: what sidelobes do to a target that is weaker than its neighbour."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from disac.experiments.figures import figure, save, series_marker
from disac.experiments.paper_parts import Effort, Finding, Part, Verdict
from disac.experiments.paper_summary import read_draws
from disac.experiments.summary import write_csv
from disac.experiments.weak_target import (
    FALSE_ALARM,
    Row,
    WeakTargetCase,
    WeakTargetSweep,
    weak_target_rows,
    weakened,
)
from disac.simulator import Scenario

PRESENT, ABSENT = "run.sqlite", "absent.sqlite"
DESIGNS: tuple[tuple[str, float | None], ...] = (("p2", 20.0), ("p3", 20.0))
SNR_DB = -30.0
WEAKER_DB = (0.0, 5.0, 10.0, 20.0, 25.0, 30.0)
QUICK_WEAKER_DB = (0.0, 10.0, 20.0)
TRIALS, QUICK_TRIALS = 100, 60
"""Trials per level; twice as many without the weak target set the detection threshold."""


def scene() -> Scenario:
    """The nodes, bandwidth and user of Fig. 7 with the two targets of Fig. 4."""
    from disac.experiments.link import at_snr

    return at_snr(Scenario.preset("fig7", targets=[[0.0, 0.0], [0.0, 10.0]]), SNR_DB)


def compute(folder: Path, effort: Effort) -> list[Row]:
    """Design for two equal targets, simulate unequal ones, and write ``summary.csv`` and the picture."""
    from disac.designs import crb, design
    from disac.experiments.paper_job import DrawBar
    from disac.experiments.runner import run_campaign

    folder.mkdir(parents=True, exist_ok=True)
    scenario = scene()
    designer = Scenario.preset("fig7", targets=scenario.targets)
    results = {name: design(name, weakened(designer, 0.0), threshold) for name, threshold in DESIGNS}
    cases = tuple(WeakTargetCase(name, r.comm_precoders, r.radar_precoders) for name, r in results.items())
    levels = QUICK_WEAKER_DB if effort.quick else WEAKER_DB
    trials = QUICK_TRIALS if effort.quick else TRIALS
    for store, weaker_db, n_trials in ((ABSENT, (), 2 * trials), (PRESENT, levels, trials)):
        with DrawBar(f"weak-target, {store.removesuffix('.sqlite')}") as bar:
            run_campaign(
                WeakTargetSweep(scenario, cases, weaker_db),
                folder / store,
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
        for level in levels
    }
    rows = weak_target_rows(read_draws(folder / PRESENT), read_draws(folder / ABSENT), bounds, effort.seed)
    write_csv(rows, folder / "summary.csv")
    plot_weak_target(rows, folder / "weak-target")
    return rows


def plot_weak_target(rows: Sequence[Mapping[str, Any]], stem: Path) -> list[Path]:
    """RMSE of the weak target with its bound, and the shares of trials in which each receiver finds it."""
    with figure(figsize=(6.8, 3.2)) as fig:
        left, right = fig.subplots(1, 2)
        for index, name in enumerate(dict.fromkeys(row["design"] for row in rows)):
            own = sorted((row for row in rows if row["design"] == name), key=lambda row: float(row["weaker_db"]))
            color, marker = f"C{index % 7}", series_marker(index)

            def column(key: str, own: Sequence[Mapping[str, Any]] = own) -> Any:
                return np.array([row[key] for row in own], dtype=float)

            at = column("weaker_db")
            left.plot(at, column("rcrb_m"), color=color)
            for ax, key, unit, fill, style in (
                (left, "rmse", "_m", "white", "none"),
                (right, "detected", "", "white", "-"),
                (right, "one_look", "", color, ":"),
            ):
                middle, low, high = (column(f"{key}{end}{unit}") for end in ("", "_low", "_high"))
                ax.errorbar(
                    at, middle, yerr=np.stack([middle - low, high - middle]), color=color, marker=marker, mfc=fill,
                    ls=style, label=name if key == "rmse" else None,
                )  # fmt: skip
        left.set_yscale("log")
        left.set_ylabel("error of the weak target [m]")
        right.set_ylabel("share of trials")
        right.plot([], [], "k-", marker="o", mfc="white", label="detected, joint")
        right.plot([], [], "k:", marker="o", label="located in one look")
        left.plot([], [], "k-", label="root CRB")
        for ax in (left, right):
            ax.set_xlabel("weaker than its neighbour by [dB]")
        handles, labels = left.get_legend_handles_labels()
        more_handles, more_labels = right.get_legend_handles_labels()
        fig.legend(handles + more_handles, labels + more_labels, loc="outside lower center", ncols=3)
        return save(fig, stem)


def judge(folder: Path) -> Sequence[Finding]:
    """Whether P.3 detects weak targets that P.2 does not."""
    path = folder / "summary.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = {(row["design"], float(row["weaker_db"])): row for row in csv.DictReader(file)}
    levels = sorted({level for name, level in rows if name == "p2"})
    worse = [_compared(rows["p2", level], rows["p3", level], "detected") for level in levels]
    verdict: Verdict = "undecided"
    if any(side < 0 for side in worse):
        verdict = "only under conditions" if any(side > 0 for side in worse) else "confirmed"
    elif any(side > 0 for side in worse):
        verdict = "refuted"
    shares = "; ".join(
        f"{name}: " + ", ".join(f"{float(rows[name, level]['detected']):.2f}" for level in levels)
        for name in dict.fromkeys(name for name, _ in rows)
    )
    return [
        Finding(
            "P.3 detects weaker targets beside a strong one than P.2, whose bound is lower "
            f"(joint maximum likelihood, false alarms {100 * FALSE_ALARM:g} %)",
            verdict,
            f"share detected at {', '.join(f'{level:g}' for level in levels)} dB below the neighbour: {shares}",
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
    caption="Intervals are at 95 %; lines on the left are root CRBs.",
    compute=compute,
    judge=judge,
    unstated=(
        ("scene", f"Fig. 7's with the targets of Fig. 4, P_T/sigma_s^2 = {SNR_DB:g} dB, T = 16, one amplitude draw"),
        ("design", "P.2 and P.3 at Gamma_c = 20 dB, made for targets of equal strength"),
        ("detection", "second target's likelihood gain above its 95 % quantile without the target, and within a lobe"),
    ),
)
