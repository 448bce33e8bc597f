"""Part "sidelobes" of ``disac reproduce``: is the remark after Eq. (40) true, that P.3 spares the range sidelobes?"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from disac.experiments.runs.folder import STORE
from disac.experiments.statistics.summary import write_csv
from disac.experiments.statistics.verdicts import Finding, Verdict
from disac.experiments.studies.parts import Effort, Part
from disac.experiments.studies.sidelobe_sweep import SidelobeSweep, sidelobe_summary
from disac.simulator import Scenario

DESIGNS = ("p3", "p2", "uniform", "sensing-only", "p1-direct", "p1-noncoherent", "comm-only")
QUICK_DESIGNS = DESIGNS[:4]
SINR_DB = (0.0, 20.0, 35.0)
N_SYMBOLS = (1, 16)
DRAWS, QUICK_DRAWS = 100, 10
NAMES = {"p1-direct": "P.1", "p1-noncoherent": "block-diagonal P.1", "p2": "P.2"}
AVOIDED_WITHIN_DB = 1.0
"""Sidelobes count as those of equal power where the interval of the PSLR lies this near to theirs."""


def compute(folder: Path, effort: Effort) -> None:
    """Profile all designs over the draws and write ``summary.csv`` and the picture."""
    from disac.experiments.campaign.runner import run_campaign
    from disac.experiments.paper.job import DrawBar
    from disac.experiments.studies.sidelobe_figures import plot_sidelobe_ratios

    folder.mkdir(parents=True, exist_ok=True)
    designs = QUICK_DESIGNS if effort.quick else DESIGNS
    experiment = SidelobeSweep(Scenario.preset("fig7"), designs, SINR_DB, n_symbols=N_SYMBOLS)
    with DrawBar("sidelobes") as bar:
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
    rows = sidelobe_summary(folder / STORE, experiment.signals)
    write_csv(rows, folder / "summary.csv")
    plot_sidelobe_ratios(rows, folder / "sidelobes")


def judge(folder: Path) -> Sequence[Finding]:
    """The two halves of the remark, for the expected spectra; realized ones in the effect."""
    path = folder / "summary.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["draws"] != "0"]
    expected = [row for row in rows if row["signal"] == "expected"]
    findings = []
    for name, title in NAMES.items():
        own = [row for row in expected if row["design"] == name and row.get("pslr_loss_over_p3_low_db")]
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
        inside = [abs(float(row[f"pslr_loss{end}_db"])) < AVOIDED_WITHIN_DB for row in p3 for end in ("_low", "_high")]
        outside = [float(row["pslr_loss_low_db"]) > AVOIDED_WITHIN_DB for row in p3]
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


def _signs(rows: Sequence[Mapping[str, str]], stem: str) -> Verdict:
    """Confirmed where every interval is above zero, refuted where every one is below."""
    above = [float(row[f"{stem}_low_db"]) > 0 for row in rows]
    below = [float(row[f"{stem}_high_db"]) < 0 for row in rows]
    if all(above):
        return "confirmed"
    if all(below):
        return "refuted"
    return "only under conditions" if any(above) else "undecided"


def _levels(rows: Sequence[Mapping[str, str]], stem: str) -> str:
    return ", ".join(
        f"{float(row[f'{stem}_db']):+.2f} dB [{float(row[f'{stem}_low_db']):+.2f}, "
        f"{float(row[f'{stem}_high_db']):+.2f}] at {float(row['sinr_db']):g} dB"
        for row in rows
    )


def _draws(rows: Sequence[Mapping[str, str]]) -> str:
    return "feasible draws " + ", ".join(row["draws"] for row in rows)


PART = Part(
    name="sidelobes",
    title="Range sidelobes of the designs",
    caption="Matched filter, expected spectra, means over nodes; bars and bands are 95 % intervals over draws.",
    compute=compute,
    judge=judge,
    unstated=(
        ("draws", str(DRAWS)),
        ("scene", "Fig. 7: N = 4, K = U = 1, L = 16, so 4 subcarriers a node for P.2 and P.3, 16 for the others"),
        (
            "sidelobe",
            "highest level outside the main lobe that equal power on the node's subcarriers has, in one period",
        ),
        ("baselines", "uniform, comm-only and sensing-only know no threshold and are one point each"),
        ("data", "QPSK, constant-modulus radar sequences in the realized profiles"),
    ),
)
