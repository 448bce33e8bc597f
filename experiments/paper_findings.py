"""``findings.md``: the table of the paper's claims, written from runs."""

from __future__ import annotations

import math
from pathlib import Path

from disac.experiments.paper_claims import findings
from disac.experiments.paper_evidence import Evidence, every, load_evidence


def write_findings(folder: Path, path: Path, *, command: str) -> Path:
    """Write the table of claims for the figures in ``folder`` as Markdown.

    Parameters
    ----------
    command : what computed the figures.
    """
    evidence = load_evidence(folder)
    path.write_text(findings_text(evidence, command=command), "utf-8")
    return path


def findings_text(evidence: Evidence, *, command: str) -> str:
    """The Markdown of :func:`write_findings`."""
    judged = findings(evidence)
    draws = ", ".join(f"{name} {figure.trials.size}" for name, figure in sorted(evidence.items()))
    gaps = [every(figure, "gap") for figure in evidence.values()]
    worst = max((float(gap.max()) for gap in gaps if gap.size), default=math.nan)
    lines = [
        "# Which of the paper's claims hold?",
        "",
        f"Written by `{command}` from its runs; each figure alone is `disac run FIGURE` with the same options.",
        "Bounds are one-symbol CRBs of the relaxed problems, certified: the largest relative gap between value and",
        f"verified lower bound in these runs is {worst:.1e}. Draws of channels and amplitudes per figure: {draws}.",
        "",
        "Comparisons are paired by draw; a ratio is the geometric mean over draws of a ratio of RCRBs, its interval",
        "Student's t on the logarithm. A claim is confirmed or refuted only where the whole interval, or every draw,",
        "is on one side.",
        "What the waveform says of these claims (RMSE, BER) is not judged here.",
        "",
        "| claim | verdict | effect, 95 % interval | command |",
        "|---|---|---|---|",
    ]
    for finding in judged:
        commands = ", ".join(f"`disac run {name}`" for name in finding.figures)
        lines.append(f"| {finding.claim} | {finding.verdict} | {finding.effect} | {commands} |")
    return "\n".join([*lines, ""])
