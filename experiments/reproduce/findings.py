"""``findings.md``, the table of the paper's claims, and ``gallery.md``, its figures: both written from runs."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from disac.experiments.paper.agreement import TABLE, Agreement, read_agreement
from disac.experiments.paper.claims import findings
from disac.experiments.paper.evidence import Evidence, every
from disac.experiments.paper.study import PaperFigure, full_sweep, load_evidence
from disac.experiments.reproduce.clock import TIMES, SectionTime, read_times
from disac.experiments.runs.choices import read_choices
from disac.experiments.statistics.rounding import interval_text
from disac.experiments.statistics.verdicts import Finding
from disac.experiments.study.protocol import Study, reproduced_studies, study_names
from disac.experiments.study.run import SETTINGS, StudyRun
from disac.experiments.study.run import TIMES as STUDY_TIMES


def write_findings(folder: Path, path: Path, *, command: str) -> Path:
    """Write the table of claims for the figures in ``folder`` as Markdown.

    Parameters
    ----------
    command : what computed the figures.
    """
    runs = finished_runs(folder)
    text = findings_text(
        load_evidence(folder),
        command=command,
        agreement=read_agreement(folder),
        times=read_times(folder),
        others=_other_findings(runs),
        commands=_commands(runs),
        tables="figures/" if (path.parent / "figures" / TIMES).is_file() else "",
    )
    path.write_text(text, "utf-8")
    return path


def write_gallery(folder: Path, path: Path, *, pictures: Path, command: str) -> Path:
    """Write a page with every figure of ``folder``, its command, the choices behind it and the verdicts it decides.

    Parameters
    ----------
    pictures : folder that holds NAME.png and NAME.csv, or NAME/NAME.png and NAME/summary.csv.
    command : what computed the figures, a ``disac reproduce`` with options.
    """
    runs = finished_runs(folder)
    judged = [*findings(load_evidence(folder)), *_other_findings(runs)]
    lines = ["# The paper's figures, computed again", ""]
    for run in runs:
        name = run.study.name
        for picture, table in (
            (pictures / f"{name}.png", pictures / f"{name}.csv"),
            (pictures / name / f"{name}.png", pictures / name / "summary.csv"),
        ):
            if picture.is_file():
                lines += _section(run, _link(picture, path), _link(table, path), judged)
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
    for run in finished_runs(folder):
        name = run.study.name
        for source, target in (
            (f"{name}.png", f"{name}.png"),
            ("summary.csv", f"{name}.csv"),
            (f"{STUDY_TIMES}.csv", f"{name}-{STUDY_TIMES}.csv"),
        ):
            if (run.folder / source).is_file():
                copied.append(Path(shutil.copy(run.folder / source, pictures / target)))
    for table in (TABLE, TIMES):
        if (folder / table).is_file():
            copied.append(Path(shutil.copy(folder / table, pictures / table)))
    return [
        write_findings(folder, docs / "findings.md", command=command),
        write_gallery(folder, docs / "gallery.md", pictures=pictures, command=command),
        *copied,
    ]


def finished_runs(folder: Path) -> list[StudyRun[Any]]:
    """The finished runs that a folder of ``disac reproduce`` holds, the paper's in the order of the docs first."""
    names = dict.fromkeys([*(study.name for study in reproduced_studies()), *study_names()])
    folders = [folder / name for name in names]
    runs = [StudyRun.load(place) for place in folders if (place / SETTINGS).is_file()]
    return [run for run in runs if run.is_complete]


def _other_findings(runs: Sequence[StudyRun[Any]]) -> list[Finding]:
    """Claims of the studies that are no figures of the paper: those are judged together."""
    others = [run for run in runs if not isinstance(run.study, PaperFigure)]
    return [finding for run in others for finding in run.study.judge(run, run.rows())]


def _commands(runs: Sequence[StudyRun[Any]]) -> dict[str, str]:
    """What repeats each study."""
    return {run.study.name: run.rerun_line for run in runs}


def _link(target: Path, page: Path) -> str:
    return Path(os.path.relpath(target, page.parent)).as_posix()


def _section(run: StudyRun[Any], picture: str, table: str, judged: Sequence[Finding]) -> list[str]:
    """Markdown with the picture, its command and data, the verdicts it decides and the choices behind it."""
    study: Study[Any] = run.study
    verdicts = [finding for finding in judged if study.name in finding.figures]
    return [
        f"## {study.name}: {study.title}",
        "",
        f"![{study.title}]({picture})",
        "",
        f"`{run.rerun_line}` ([data]({table})). {study.caption}",
        "",
        "What it decides, alone or with others ([findings](findings.md)):",
        "",
        *(f"- {finding.claim}: **{finding.verdict}**" for finding in verdicts),
        "",
        "What the paper leaves unstated, and what was chosen:",
        "",
        *(f"- {topic}: {choice}" for topic, choice in read_choices(run.folder)),
        "",
    ]


def _agreement_lines(agreement: Sequence[Agreement], tables: str) -> list[str]:
    """What two solvers say of three points per figure, figure by figure."""
    if not agreement:
        return []
    overlap = sum(item.overlap for item in agreement)
    widest = max(item.difference for item in agreement)
    lines = [
        "## Two solvers",
        "",
        "Three points per design of the figures below, all points of their times, first draw, solved natively and by",
        "Clarabel; each gives a verified bound and a feasible value, between which the optimum lies. RCRBs in mm; see",
        f"[{TABLE}]({tables}{TABLE}). {overlap} of {len(agreement)} pairs of certified intervals overlap, the values",
        f"differ by at most {widest:.1e}. Points that take Clarabel minutes are not among them: P.1 at N = 4, M > 10.",
        "",
        "| figure | design | series | abscissa | native | Clarabel | overlap |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in agreement:
        spec = full_sweep(item.figure)
        native, other = (
            _certified(ends) for ends in ((item.native_bound, item.native_value), (item.other_bound, item.other_value))
        )
        lines.append(
            f"| {item.figure} | {item.design} | {spec.series[0]} = {item.series} | {spec.x} = {item.x:.6g} | {native} "
            f"| {other} | {'yes' if item.overlap else '**no**'} |"
        )
    return ["", *lines]


def _certified(ends: tuple[float, float]) -> str:
    """RCRBs [mm] of a bound and a value [m^2]."""
    low, high = (1e3 * math.sqrt(end) for end in ends)
    return interval_text(low, high, digits=8)


def _time_lines(times: Sequence[SectionTime], tables: str) -> list[str]:
    if not times:
        return []
    wall, busy = (sum(seconds) / 60 for seconds in zip(*((t.wall_s, t.processor_s) for t in times), strict=True))
    slowest = ", ".join(
        f"{item.name} {item.processor_s / 60:.1f}" for item in sorted(times, key=lambda t: -t.processor_s)[:4]
    )
    return [
        f"Computed in {wall:.1f} min, {busy:.1f} min of processor time (most of it: {slowest}; "
        f"[{TIMES}]({tables}{TIMES})).",
    ]


def findings_text(
    evidence: Evidence,
    *,
    command: str,
    agreement: Sequence[Agreement] = (),
    times: Sequence[SectionTime] = (),
    others: Sequence[Finding] = (),
    commands: Mapping[str, str] | None = None,
    tables: str = "",
) -> str:
    """The Markdown of :func:`write_findings`.

    Parameters
    ----------
    others : claims besides those of the figures.
    commands : what repeats each study, by its name.
    tables : where the page finds the tables of times and of two solvers, with a slash at its end, or empty.
    """
    draws = ", ".join(f"{name} {found.trials.size}" for name, found in evidence.items())
    gaps = [every(figure, "gap") for figure in evidence.values()]
    worst = max((float(gap.max()) for gap in gaps if gap.size), default=math.nan)
    lines = [
        "# Which of the paper's claims hold?",
        "",
        f"Written by `{command}` from its runs; each command below repeats those that decide a claim.",
        *_time_lines(times, tables),
        "Bounds are one-symbol CRBs of the relaxed problems, certified: the largest relative gap between value and",
        f"verified lower bound in these runs is {worst:.1e}. Draws of channels and amplitudes per figure: {draws}.",
        "",
        "Comparisons are paired by draw; a ratio is the geometric mean over draws of a ratio of RCRBs, its interval by",
        "Student's t on the logarithm. A claim is confirmed or refuted only where the whole interval, or every draw,",
        "is on one side; where draws or points disagree it holds only under conditions; where an interval holds both",
        "it is undecided.",
        "",
        "## Bounds",
        "",
        *_table(findings(evidence), commands or {}),
    ]
    if others:
        lines += ["", "## Waveforms, channels and what else was tried", "", *_table(others, commands or {})]
    return "\n".join([*lines, *_agreement_lines(agreement, tables), ""])


def _table(judged: Sequence[Finding], commands: Mapping[str, str]) -> list[str]:
    rows = [
        f"| {finding.claim} | {finding.verdict} | {finding.effect} "
        f"| {', '.join(f'`{commands.get(name, name)}`' for name in finding.figures)} |"
        for finding in judged
    ]
    return ["| claim | verdict | effect, 95 % interval | command |", "|---|---|---|---|", *rows]
