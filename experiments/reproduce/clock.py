"""How long each part of ``disac reproduce`` took, summed over interruptions."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

TIMES = "times.csv"


@dataclass(frozen=True)
class Took:
    """Wall and processor time of a part, worker processes included [s]."""

    name: str
    wall_s: float
    processor_s: float


class Clock:
    """Adds up the times of the parts of a folder in its ``times.csv``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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
            known = {took.name: took for took in read_times(self._folder)}
            before = known.get(name, Took(name, 0.0, 0.0))
            known[name] = Took(name, before.wall_s + wall, before.processor_s + busy)
            write_times(list(known.values()), self._folder)
            click.echo(f"{name}: {wall:.0f} s, {busy:.0f} s of processor time")


def _processor_seconds() -> float:
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def write_times(times: list[Took], folder: Path) -> None:
    """Write ``times.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TIMES).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "wall_s", "processor_s"])
        writer.writerows([took.name, f"{took.wall_s:.1f}", f"{took.processor_s:.1f}"] for took in times)


def read_times(folder: Path) -> list[Took]:
    """What ``times.csv`` in a folder holds; nothing where there is none."""
    path = folder / TIMES
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [Took(row["name"], float(row["wall_s"]), float(row["processor_s"])) for row in csv.DictReader(file)]
