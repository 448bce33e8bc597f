"""What ``disac reproduce`` does: the parts that compute something, and the claims that each of them judges.

A new claim is one function in the module of its part; a new part is one entry in :data:`_PARTS`. Everything else, the
command ``disac run NAME``, its place in ``disac reproduce``, the rows of findings.md and the section of gallery.md,
follows from the :class:`Part`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

Verdict = Literal["confirmed", "refuted", "only under conditions", "undecided"]


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim that several cases share; under conditions where some confirm and some refute it."""
    kinds = set(verdicts)
    if len(kinds) == 1:
        return verdicts[0]
    apart = kinds >= {"confirmed", "refuted"} or "only under conditions" in kinds
    return "only under conditions" if apart else "undecided"


@dataclass(frozen=True)
class Finding:
    """A claim with what the runs say of it.

    Attributes
    ----------
    claim : the statement, with what it is judged by.
    verdict : confirmed or refuted only where the whole interval, or every draw, lies on one side; undecided where an
        interval holds both.
    effect : numbers behind the verdict, with 95 % intervals.
    figures : names of the figures or parts whose runs were used, each a command ``disac run NAME``.
    """

    claim: str
    verdict: Verdict
    effect: str
    figures: tuple[str, ...]


@dataclass(frozen=True)
class Effort:
    """How a part is to be computed.

    Attributes
    ----------
    seed : campaign seed.
    quick : a rough version, in seconds.
    workers : worker processes.
    rerun_line : command that repeats the run, stored with it.
    """

    seed: int = 0
    quick: bool = False
    workers: int = 1
    rerun_line: str = ""


@dataclass(frozen=True)
class Part:
    """Something that ``disac reproduce`` computes besides the paper's figures.

    Attributes
    ----------
    name : of its command and of its folder. There ``compute`` leaves NAME.png and ``summary.csv``, the only files that
        the docs take.
    title, caption : heading of its section in the gallery, and the sentence under the picture.
    compute : (folder, effort) computes, or goes on with what the folder holds.
    judge : (folder) the claims that a folder decides.
    unstated : pairs of what the paper leaves open and what was chosen.
    """

    name: str
    title: str
    caption: str
    compute: Callable[[Path, Effort], object]
    judge: Callable[[Path], Sequence[Finding]]
    unstated: tuple[tuple[str, str], ...] = ()


CHOICES = "unstated.txt"
"""Name of the file in the folder of a figure or part that lists what the paper leaves open and what was chosen."""


def write_choices(folder: Path, choices: Sequence[tuple[str, str]]) -> None:
    """Write pairs of topic and choice, a line each."""
    (folder / CHOICES).write_text("".join(f"{topic}: {choice}\n" for topic, choice in choices), "utf-8")


def read_choices(folder: Path) -> tuple[tuple[str, str], ...]:
    """The pairs that :func:`write_choices` wrote, none without the file."""
    path = folder / CHOICES
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return tuple((topic, choice) for topic, _, choice in (line.partition(": ") for line in lines))


_PARTS: dict[str, tuple[str, str]] = {
    "verdict": (
        "disac.experiments.paper_verdict:PART",
        "RMSE, SINR, bit errors and outage of every design as sent, inter-node phases known or not.",
    ),
    "estimators": (
        "disac.experiments.paper_estimators:PART",
        "Which estimator attains its bound, from which search area, and what the OFDM numbers allow.",
    ),
    "channels": (
        "disac.experiments.paper_channels:PART",
        "Figures 5 and 7 with users over tapped delay lines (TDL-A, TDL-D).",
    ),
    "sidelobes": ("disac.experiments.paper_sidelobes:PART", "Range sidelobes of the designs over draws."),
    "threshold": (
        "disac.experiments.paper_threshold:PART",
        "The SNR at which maximum likelihood leaves the bound, predicted and simulated.",
    ),
    "weak-target": (
        "disac.experiments.paper_weak_target:PART",
        "RMSE and detection of a target beside a stronger one, 0 to 30 dB weaker.",
    ),
    "pareto": ("disac.experiments.paper_pareto:PART", "Sidelobe level against CRB, and a weak target's detection."),
}
"""Names of the parts in the order of the docs, where each is found (``module:attribute``), and its line of help."""


def part_names() -> tuple[str, ...]:
    """Names of all parts, in the order of the docs."""
    return tuple(_PARTS)


def part_summary(name: str) -> str:
    """What the part ``name`` shows, in a line."""
    return _PARTS[name][1]


def part(name: str) -> Part:
    """The part called ``name``; its module is imported only now.

    Raises
    ------
    ValueError : there is none.
    """
    if name not in _PARTS:
        raise ValueError(f"part = {name!r}: must be one of {', '.join(_PARTS)}")
    module, _, attribute = _PARTS[name][0].partition(":")
    found: Part = getattr(import_module(module), attribute)
    return found


def compute_part(name: str, folder: Path, effort: Effort) -> None:
    """Compute the part ``name``, or go on with what ``folder`` holds, and list its choices there.

    Raises
    ------
    ValueError : there is no such part, or ``folder`` holds one with other settings.
    """
    found = part(name)
    found.compute(folder, effort)
    quick = (("effort", "quick: fewer draws, trials and points than said above"),) if effort.quick else ()
    write_choices(folder, (*found.unstated, ("seed", str(effort.seed)), *quick))


def part_findings(folder: Path) -> list[Finding]:
    """Claims of all parts whose folders ``folder`` holds."""
    return [
        finding
        for name in part_names()
        if (folder / name / "summary.csv").is_file()
        for finding in part(name).judge(folder / name)
    ]
