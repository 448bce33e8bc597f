"""``findings.md``, the table of the paper's claims, and ``gallery.md``, its figures: both written from runs."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from disac.experiments.paper.agreement import TABLE, Agreement, read_agreement
from disac.experiments.paper.claims import findings
from disac.experiments.paper.evidence import Evidence, every, load_evidence
from disac.experiments.paper.sweeps import sweep, sweep_names
from disac.experiments.reproduce.clock import TIMES, Took, read_times
from disac.experiments.runs.choices import read_choices
from disac.experiments.statistics.verdicts import Finding
from disac.experiments.studies.parts import part, part_findings, part_names


def write_findings(folder: Path, path: Path, *, command: str) -> Path:
    """Write the table of claims for the figures in ``folder`` as Markdown.

    Parameters
    ----------
    command : what computed the figures.
    """
    text = findings_text(
        load_evidence(folder),
        command=command,
        agreement=read_agreement(folder),
        times=read_times(folder),
        others=part_findings(folder),
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
    judged = [*findings(load_evidence(folder)), *part_findings(folder)]
    lines = ["# The paper's figures, computed again", ""]
    for name in (*sweep_names(), *part_names()):
        for picture, table in (
            (pictures / f"{name}.png", pictures / f"{name}.csv"),
            (pictures / name / f"{name}.png", pictures / name / "summary.csv"),
        ):
            if picture.is_file():
                lines += Section.of(name, folder / name).lines(
                    _link(picture, path), _link(table, path), judged, command
                )
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
    for name in (*sweep_names(), *part_names()):
        for source, target in ((f"{name}.png", f"{name}.png"), ("summary.csv", f"{name}.csv")):
            if (folder / name / source).is_file():
                copied.append(Path(shutil.copy(folder / name / source, pictures / target)))
    for table in (TABLE, TIMES):
        if (folder / table).is_file():
            copied.append(Path(shutil.copy(folder / table, pictures / table)))
    return [
        write_findings(folder, docs / "findings.md", command=command),
        write_gallery(folder, docs / "gallery.md", pictures=pictures, command=command),
        *copied,
    ]


def _command(name: str, command: str) -> str:
    """What computes a figure or part as it was in ``command``, a ``disac reproduce`` with options."""
    options = command.removeprefix("disac reproduce").replace(" --check", "")
    return f"disac reproduce --only {name}{options}" if name in part_names() else f"disac run {name}{options}"


def _link(target: Path, page: Path) -> str:
    return Path(os.path.relpath(target, page.parent)).as_posix()


@dataclass(frozen=True)
class Section:
    """A figure's section of the gallery."""

    name: str
    title: str
    caption: str
    unstated: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, name: str, folder: Path) -> Section:
        """That of a figure, table or part, with the choices that its folder holds."""
        if name in part_names():
            return cls(name, part(name).title, part(name).caption, read_choices(folder))
        spec = sweep(name)
        return cls(name, spec.title, f"{spec.compared} {_BARS[spec.kind]}", read_choices(folder))

    def lines(self, picture: str, table: str, judged: Sequence[Finding], command: str) -> list[str]:
        """Markdown with the picture, its command and data, the verdicts it decides and the choices behind it."""
        verdicts = [finding for finding in judged if self.name in finding.figures]
        return [
            f"## {self.name}: {self.title}",
            "",
            f"![{self.title}]({picture})",
            "",
            f"`{_command(self.name, command)}` ([data]({table})). {self.caption}",
            "",
            "What it decides, alone or with others ([findings](findings.md)):",
            "",
            *(f"- {finding.claim}: **{finding.verdict}**" for finding in verdicts),
            "",
            "What the paper leaves unstated, and what was chosen:",
            "",
            *(f"- {topic}: {choice}" for topic, choice in self.unstated),
            "",
        ]


_BARS = {
    "modes": "Bands are 95 % intervals over draws.",
    "designs": "Bands are 95 % intervals over draws.",
    "times": "Medians, bars from the lower to the upper quartile.",
}


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
        spec = sweep(item.figure)
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
    return f"[{low:.7f}, {high:.7f}]"


def _time_lines(times: Sequence[Took], tables: str) -> list[str]:
    if not times:
        return []
    wall, busy = (sum(seconds) / 60 for seconds in zip(*((t.wall_s, t.processor_s) for t in times), strict=True))
    slowest = ", ".join(
        f"{took.name} {took.processor_s / 60:.1f}" for took in sorted(times, key=lambda t: -t.processor_s)[:4]
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
    times: Sequence[Took] = (),
    others: Sequence[Finding] = (),
    tables: str = "",
) -> str:
    """The Markdown of :func:`write_findings`.

    Parameters
    ----------
    others : claims besides those of the figures.
    tables : where the page finds the tables of times and of two solvers, with a slash at its end, or empty.
    """
    draws = ", ".join(f"{name} {evidence[name].trials.size}" for name in sweep_names() if name in evidence)
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
        *_table(findings(evidence), command),
    ]
    if others:
        lines += ["", "## Waveforms, channels and what else was tried", "", *_table(others, command)]
    return "\n".join([*lines, *_agreement_lines(agreement, tables), ""])


def _table(judged: Sequence[Finding], command: str) -> list[str]:
    rows = [
        f"| {finding.claim} | {finding.verdict} | {finding.effect} "
        f"| {', '.join(f'`{_command(name, command)}`' for name in finding.figures)} |"
        for finding in judged
    ]
    return ["| claim | verdict | effect, 95 % interval | command |", "|---|---|---|---|", *rows]
