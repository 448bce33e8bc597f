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

from disac.experiments.runs.choices import write_choices
from disac.experiments.statistics.verdicts import Finding


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


_PARTS: dict[str, tuple[str, str]] = {
    "verdict": (
        "disac.experiments.studies.waveform:PART",
        "RMSE, SINR, bit errors and outage of every design as sent, inter-node phases known or not.",
    ),
    "estimators": (
        "disac.experiments.studies.estimators:PART",
        "Which estimator attains its bound, from which search area, and what the OFDM numbers allow.",
    ),
    "channels": (
        "disac.experiments.studies.channels:PART",
        "Figures 5 and 7 with users over tapped delay lines (TDL-A, TDL-D).",
    ),
    "sidelobes": ("disac.experiments.studies.sidelobes:PART", "Range sidelobes of the designs over draws."),
    "threshold": (
        "disac.experiments.studies.threshold:PART",
        "The SNR at which maximum likelihood leaves the bound, predicted and simulated.",
    ),
    "weak-target": (
        "disac.experiments.studies.weak_target:PART",
        "RMSE and detection of a target beside a stronger one, 0 to 30 dB weaker.",
    ),
    "pareto": ("disac.experiments.studies.pareto:PART", "Sidelobe level against CRB, and a weak target's detection."),
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
