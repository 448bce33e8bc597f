"""How long each study of ``disac reproduce`` took, summed over interruptions."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TIMES = "times.csv"


@dataclass(frozen=True)
class SectionTime:
    """Wall and processor time of a study, worker processes included [s]."""

    name: str
    wall_s: float
    processor_s: float


class Clock:
    """Adds up the times of the studies of a folder in its ``times.csv``.

    Parameters
    ----------
    say : told the times of each section as it ends.
    """

    def __init__(self, folder: Path, say: Callable[[str], object] = lambda text: None) -> None:
        self._folder, self._say = folder, say
        self._started = time.perf_counter()

    @property
    def total_s(self) -> float:
        """Wall time since this clock was made [s]."""
        return time.perf_counter() - self._started

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Time what is done inside, add it to what the folder knows of ``name``, and say so."""
        wall, busy = time.perf_counter(), _processor_seconds()
        try:
            yield
        finally:
            wall, busy = time.perf_counter() - wall, _processor_seconds() - busy
            known = {found.name: found for found in read_times(self._folder)}
            before = known.get(name, SectionTime(name, 0.0, 0.0))
            known[name] = SectionTime(name, before.wall_s + wall, before.processor_s + busy)
            write_times(list(known.values()), self._folder)
            self._say(f"{name}: {wall:.0f} s, {busy:.0f} s of processor time")


def _processor_seconds() -> float:
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def write_times(times: list[SectionTime], folder: Path) -> None:
    """Write ``times.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TIMES).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "wall_s", "processor_s"])
        writer.writerows([found.name, f"{found.wall_s:.1f}", f"{found.processor_s:.1f}"] for found in times)


def read_times(folder: Path) -> list[SectionTime]:
    """What ``times.csv`` in a folder holds; nothing where there is none."""
    path = folder / TIMES
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            SectionTime(row["name"], float(row["wall_s"]), float(row["processor_s"])) for row in csv.DictReader(file)
        ]
