"""Part "pareto" of ``disac reproduce``: what a limit on range sidelobes (P.4) costs, and what it gives back."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from disac.experiments.runs.folder import STORE
from disac.experiments.runs.tables import write_csv
from disac.experiments.statistics.verdicts import Finding, Verdict
from disac.experiments.studies.pareto_front import pareto_summary, plot_pareto
from disac.experiments.studies.pareto_sweep import LIMITED, ParetoSweep, pareto_scene
from disac.experiments.studies.parts import Effort, Part

BASES, QUICK_BASES = ("p2", "p1", "p3"), ("p2",)
TITLES = {"p1": "P.1", "p2": "P.2", "p3": "P.3"}
SINR_DB = (20.0,)
LEVELS_DB = (-4.0, -8.0, -13.0)
DRAWS, QUICK_DRAWS = 20, 3
REALIZATIONS, LOCALIZED = 20, 2


def compute(folder: Path, effort: Effort) -> None:
    """Design and transmit over the draws and write ``summary.csv`` and the picture."""
    from disac.experiments.campaign.runner import run_campaign
    from disac.experiments.paper.job import DrawBar

    folder.mkdir(parents=True, exist_ok=True)
    bases = QUICK_BASES if effort.quick else BASES
    experiment = ParetoSweep(pareto_scene(), bases, SINR_DB, LEVELS_DB, realizations=REALIZATIONS, localized=LOCALIZED)
    with DrawBar("pareto") as bar:
        run_campaign(
            experiment,
            folder / STORE,
            seed=effort.seed,
            trials=QUICK_DRAWS if effort.quick else DRAWS,
            workers=effort.workers,
            batch_size=1,
            progress=bar,
            resume=True,
            rerun_line=effort.rerun_line,
        )
    rows = pareto_summary(folder / STORE, seed=effort.seed)
    write_csv(rows, folder / "summary.csv")
    plot_pareto(rows, folder / "pareto")


def judge(folder: Path) -> Sequence[Finding]:
    """Whether limited designs find the weak target that the unlimited one hides, for less CRB than equal power asks."""
    path = folder / "summary.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["draws"] != "0" and row.get("detection_low")]
    by_design: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_design.setdefault(row["design"], []).append(row)
    return [
        _judged(base, by_design[base][0], by_design[LIMITED[base]], by_design["uniform"][0], by_design["p2"][0])
        for base in BASES
        if {base, LIMITED[base], "uniform", "p2"} <= by_design.keys()
    ]


def _judged(
    base: str,
    free: Mapping[str, str],
    limited: Sequence[Mapping[str, str]],
    equal: Mapping[str, str],
    reference: Mapping[str, str],
) -> Finding:
    """Equal power's RCRB is told as a multiple of the reference's."""
    limited = sorted(limited, key=lambda row: float(row["sidelobe_db"]))
    affordable = float(equal["rcrb_ratio_low"]) * float(reference["rcrb_m"]) / float(free["rcrb_m"])
    holds = [
        float(row["detection_low"]) > float(free["detection_high"]) and float(row["rcrb_ratio_high"]) < affordable
        for row in limited
    ]
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


def _point(row: Mapping[str, str], reference: str) -> str:
    level = f" at {float(row['sidelobe_db']):g} dB" if row["sidelobe_db"] else ""
    cost = ""
    if reference:
        low, high = float(row["rcrb_ratio_low"]), float(row["rcrb_ratio_high"])
        cost = f"RCRB {float(row['rcrb_ratio']):.3f} [{low:.3f}, {high:.3f}] of {reference}'s, "
    return (
        f"{row['design']}{level}: {cost}PSLR {float(row['pslr_db']):.2f} dB, weak target found in "
        f"{float(row['detection']):.3f} [{float(row['detection_low']):.3f}, {float(row['detection_high']):.3f}]"
    )


PART = Part(
    name="pareto",
    title="Sidelobe level against CRB, and a weak target",
    caption=(
        "Left, RCRB of one symbol; right, share of range profiles in which a target 10 dB below another, three "
        "resolution cells away, is one of the two peaks reported; 95 % intervals over draws."
    ),
    compute=compute,
    judge=judge,
    unstated=(
        ("draws", str(DRAWS)),
        ("scene", "ours: two nodes, K = 2, L = 32, so 16 tones a node, B = 100 MHz, M = 4, Gamma_c = 20 dB"),
        ("inter-node phases", "unknown; CRBs are those of known phases, which matters for P.1 and p4 alone"),
        ("sidelobe", "outside the main lobe that equal power on the node's subcarriers has, in one period"),
        ("profile", "monostatic, matched filter, both arrays steered at the weak target, whose direction is known"),
    ),
)
