"""``findings.md``, the table of the paper's claims, and ``gallery.md``, its figures: both written from runs."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from disac.experiments.paper_agreement import TABLE, Agreement, read_agreement
from disac.experiments.paper_claims import Finding, findings
from disac.experiments.paper_evidence import Evidence, every, load_evidence
from disac.experiments.paper_sweeps import sweep, sweep_names


def write_findings(folder: Path, path: Path, *, command: str) -> Path:
    """Write the table of claims for the figures in ``folder`` as Markdown.

    Parameters
    ----------
    command : what computed the figures.
    """
    agreement = read_agreement(folder)
    path.write_text(findings_text(load_evidence(folder), command=command, agreement=agreement), "utf-8")
    return path


def write_gallery(folder: Path, path: Path, *, pictures: Path) -> Path:
    """Write a page with every figure of ``folder``, its command, the choices behind it and the verdicts it decides.

    Parameters
    ----------
    pictures : folder that holds NAME.png and NAME.csv, or NAME/NAME.png and NAME/summary.csv.
    """
    judged = findings(load_evidence(folder))
    lines = ["# The paper's figures, computed again", ""]
    for name in sweep_names():
        for picture, table in (
            (pictures / f"{name}.png", pictures / f"{name}.csv"),
            (pictures / name / f"{name}.png", pictures / name / "summary.csv"),
        ):
            if picture.is_file():
                lines += _figure_lines(name, _link(picture, path), _link(table, path), judged)
    path.write_text("\n".join(lines), "utf-8")
    return path


def publish(folder: Path, docs: Path, *, command: str) -> list[Path]:
    """Put what a reader needs of a run into ``docs``: findings, gallery, and per figure its picture and summary.

    Parameters
    ----------
    folder : of ``disac reproduce``.
    command : what computed it.
    """
    pictures = docs / "figures"
    pictures.mkdir(parents=True, exist_ok=True)
    copied = []
    for name in sweep_names():
        for source, target in ((f"{name}.png", f"{name}.png"), ("summary.csv", f"{name}.csv")):
            if (folder / name / source).is_file():
                copied.append(Path(shutil.copy(folder / name / source, pictures / target)))
    if (folder / TABLE).is_file():
        copied.append(Path(shutil.copy(folder / TABLE, pictures / TABLE)))
    return [
        write_findings(folder, docs / "findings.md", command=command),
        write_gallery(folder, docs / "gallery.md", pictures=pictures),
        *copied,
    ]


def _link(target: Path, page: Path) -> str:
    return Path(os.path.relpath(target, page.parent)).as_posix()


def _figure_lines(name: str, picture: str, table: str, judged: list[Finding]) -> list[str]:
    spec = sweep(name)
    verdicts = [finding for finding in judged if name in finding.figures]
    return [
        f"## {name}: {spec.title}",
        "",
        f"![{spec.title}]({picture})",
        "",
        f"`disac run {name}` ([data]({table})). Bands are 95 % intervals over draws."
        if spec.kind != "times"
        else f"`disac run {name}` ([data]({table})). Medians, bars from the lower to the upper quartile.",
        "",
        "What it decides, alone or with others ([findings](findings.md)):",
        "",
        *(f"- {finding.claim}: **{finding.verdict}**" for finding in verdicts),
        "",
        "What the paper leaves unstated, and what was chosen:",
        "",
        *(f"- {topic}: {choice}" for topic, choice in spec.unstated),
        "",
    ]


def _agreement_lines(agreement: Sequence[Agreement]) -> list[str]:
    if not agreement:
        return []
    overlap = sum(item.overlap for item in agreement)
    widest = max(item.difference for item in agreement)
    return [
        f"Native solver and Clarabel: {overlap} of {len(agreement)} pairs of certified intervals overlap, their values",
        f"differ by at most {widest:.1e} (solvers.csv).",
    ]


def findings_text(evidence: Evidence, *, command: str, agreement: Sequence[Agreement] = ()) -> str:
    """The Markdown of :func:`write_findings`."""
    draws = ", ".join(f"{name} {evidence[name].trials.size}" for name in sweep_names() if name in evidence)
    gaps = [every(figure, "gap") for figure in evidence.values()]
    worst = max((float(gap.max()) for gap in gaps if gap.size), default=math.nan)
    lines = [
        "# Which of the paper's claims hold?",
        "",
        f"Written by `{command}` from its runs; each figure alone is `disac run FIGURE` with the same options.",
        "Bounds are one-symbol CRBs of the relaxed problems, certified: the largest relative gap between value and",
        f"verified lower bound in these runs is {worst:.1e}. Draws of channels and amplitudes per figure: {draws}.",
        *_agreement_lines(agreement),
        "",
        "Comparisons are paired by draw; a ratio is the geometric mean over draws of a ratio of RCRBs, its interval by",
        "Student's t on the logarithm. A claim is confirmed or refuted only where the whole interval, or every draw,",
        "is on one side; where draws or points disagree it holds only under conditions.",
        "What the waveform says of these claims (RMSE, BER) is not judged here.",
        "",
        "| claim | verdict | effect, 95 % interval | command |",
        "|---|---|---|---|",
    ]
    for finding in findings(evidence):
        commands = ", ".join(f"`disac run {name}`" for name in finding.figures)
        lines.append(f"| {finding.claim} | {finding.verdict} | {finding.effect} | {commands} |")
    return "\n".join([*lines, ""])
