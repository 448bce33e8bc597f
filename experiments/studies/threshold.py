"""Part "threshold" of ``disac reproduce``: the SNR at which ML leaves the bound, predicted and simulated per design."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from disac.experiments.runs.tables import write_csv
from disac.experiments.statistics.draws import read_draws
from disac.experiments.statistics.verdicts import Finding, Verdict
from disac.experiments.studies.parts import Effort, Part
from disac.experiments.studies.threshold_sweep import (
    LEAVES_AT,
    Row,
    ThresholdCase,
    ThresholdSweep,
    ThresholdTheory,
    simulated_thresholds,
    threshold_rows,
)
from disac.experiments.theory.interval_errors import interval_errors
from disac.experiments.theory.ziv_zakai import ziv_zakai
from disac.simulator import Scenario

THRESHOLDS = "thresholds.csv"
PRESET = "fig7"
DESIGNS: tuple[tuple[str, float | None], ...] = (
    ("p2", 20.0),
    ("p3", 20.0),
    ("uniform", None),
    ("p1-noncoherent", 20.0),
    ("p1", 20.0),
)
QUICK_DESIGNS = DESIGNS[:2]
CORRELATED = ("p1",)
"""Designs whose bound depends on the inter-node phases: these are known in their trials."""
OFFSETS_DB = (-3.0, -2.0, -1.0, -0.5, 0.0, 0.5)
"""SNRs of the simulation relative to the predicted threshold, which is rounded to half a decibel."""
CORRELATED_OFFSETS_DB = (-3.0, 0.0, 6.0, 12.0, 18.0, 24.0)
"""The same for :data:`CORRELATED` designs, whose likelihood has maxima within the main lobe that are not predicted."""
TRIALS, QUICK_TRIALS = 1200, 200
WITHIN_DB = 1.0
"""The threshold counts as predicted where the simulated one lies this near."""
CURVE_DB = (-18.0, -13.0, -9.0, -6.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 4.0, 8.0)


def compute(folder: Path, effort: Effort) -> list[Row]:
    """Design, predict, simulate around the predicted threshold, and write ``summary.csv`` and the picture."""
    from disac.designs import design
    from disac.experiments.campaign.runner import run_campaign
    from disac.experiments.paper.job import DrawBar
    from disac.experiments.studies.sidelobe_figures import plot_threshold

    folder.mkdir(parents=True, exist_ok=True)
    scenario = Scenario.preset(PRESET)
    theory: dict[str, ThresholdTheory] = {}
    cases = []
    for name, threshold in QUICK_DESIGNS if effort.quick else DESIGNS:
        result = design(name, scenario, threshold)
        predicted = ThresholdTheory(
            interval_errors(scenario, result.covariances),
            ziv_zakai(scenario, result.covariances),
            scenario.tx_power,
        )
        theory[name] = predicted
        known = name in CORRELATED
        middle = round(2 * predicted.threshold_db) / 2
        snrs = tuple(middle + offset for offset in (CORRELATED_OFFSETS_DB if known else OFFSETS_DB))
        cases.append(ThresholdCase(name, result.comm_precoders, result.radar_precoders, snrs, known_phases=known))
        with DrawBar(f"threshold, {name}") as bar:
            run_campaign(
                ThresholdSweep(scenario, (cases[-1],)),
                folder / f"{name}.sqlite",
                seed=effort.seed,
                trials=QUICK_TRIALS if effort.quick else TRIALS,
                workers=effort.workers,
                progress=bar,
                resume=True,
                rerun_line=effort.rerun_line,
            )
    points = [point for name in theory for point in read_draws(folder / f"{name}.sqlite")]
    rows = threshold_rows(points, theory, effort.seed)
    write_csv(rows, folder / "summary.csv")
    write_csv(simulated_thresholds(rows, theory), folder / THRESHOLDS)
    plot_threshold(rows, theory, folder / "threshold", relative_db=CURVE_DB)
    return rows


def judge(folder: Path) -> Sequence[Finding]:
    """Whether every design's threshold is predicted within :data:`WITHIN_DB`."""
    path = folder / THRESHOLDS
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    differences = np.array([float(row["difference_db"]) for row in rows])
    verdict: Verdict = "undecided"
    if np.isfinite(differences).all():
        verdict = "confirmed" if np.all(np.abs(differences) < WITHIN_DB) else "only under conditions"
        verdict = "refuted" if np.all(np.abs(differences) >= WITHIN_DB) else verdict
    return [
        Finding(
            f"Interval errors predict within {WITHIN_DB:g} dB where ML's RMSE is {LEAVES_AT:g} times the root CRB",
            verdict,
            "; ".join(_threshold_text(row) for row in rows),
            ("threshold",),
        )
    ]


def _threshold_text(row: Mapping[str, str]) -> str:
    low, high = float(row["simulated_low_db"]), float(row["simulated_high_db"])
    predicted, simulated = float(row["predicted_db"]), float(row["simulated_db"])
    return (
        f"{row['design']}: predicted {predicted:.2f} dB, simulated {simulated:.2f} dB [{low:.2f}, {high:.2f}], "
        f"highest sidelobe of the position {float(row['peak_sidelobe_db']):.1f} dB"
    )


PART = Part(
    name="threshold",
    title="Where maximum likelihood leaves the bound",
    caption="Markers are simulated RMSEs with 95 % intervals.",
    compute=compute,
    judge=judge,
    unstated=(
        ("trials", f"{TRIALS} a point"),
        (
            "scene",
            "Fig. 7: N = 4, K = U = 1, T = 16; one draw; all designs but equal power at Gamma_c = 20 dB",
        ),
        ("inter-node phases", "known for P.1, whose bound depends on them, unknown for the others"),
        ("threshold", f"the SNR P_T/sigma_s^2 at which the RMSE is {LEAVES_AT:g} times the root CRB"),
    ),
)
