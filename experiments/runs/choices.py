"""What a run chose where the paper is silent: ``unstated.txt`` in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from disac.experiments.runs.replacing import replace_text

CHOICES = "unstated.txt"
"""Name of the file that lists what the paper leaves open and what was chosen."""


def write_choices(folder: Path, choices: Sequence[tuple[str, str]]) -> None:
    """Write pairs of topic and choice, a line each."""
    replace_text(folder / CHOICES, "".join(f"{topic}: {choice}\n" for topic, choice in choices))


def read_choices(folder: Path) -> tuple[tuple[str, str], ...]:
    """The pairs that :func:`write_choices` wrote, none without the file."""
    path = folder / CHOICES
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return tuple((topic, choice) for topic, _, choice in (line.partition(": ") for line in lines))
