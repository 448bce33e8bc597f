"""How long and how big a run will be, from what a first batch of it measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from disac.experiments.trials.experiment import RecordValue

_POINT_BYTES, _TRIAL_BYTES = 8, 2
_ROW_BYTES = 5
"""Of a row beside its values: length, pointer and the length of its header."""
_PAGE_SHARE = 0.86
"""Share of its pages that a table of records fills when points are written one after another."""


@dataclass(frozen=True)
class Projection:
    """Time and disk that a number of trials will take.

    Attributes
    ----------
    trials : the trials that are still to run.
    seconds : wall time.
    bytes : growth of the run's file; the log beside it takes about 4 MB more while the run goes on.
    """

    trials: int
    seconds: float
    bytes: float

    def __str__(self) -> str:
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        return f"{trials}: about {duration_text(self.seconds)} and {size_text(self.bytes)}"


def project(trials: int, *, seconds_per_trial: float, bytes_per_row: float, workers: int = 1) -> Projection:
    """Time and disk of ``trials`` more trials that cost what those of a pilot batch did.

    Parameters
    ----------
    seconds_per_trial : time of one trial in one worker [s], set-up and compilation left out.
    bytes_per_row : what one record takes in the file, see `row_bytes`.
    workers : processes that share the trials evenly; the last of them has the largest share.

    Raises
    ------
    ValueError : a number is negative or not finite, or there is no worker.
    """
    for name, value in (("trials", trials), ("seconds_per_trial", seconds_per_trial), ("bytes_per_row", bytes_per_row)):
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} is {value!r}, must be finite and at least 0")
    if workers < 1:
        raise ValueError(f"workers is {workers!r}, must be at least 1")
    return Projection(trials, -(-trials // workers) * seconds_per_trial, trials * bytes_per_row)


def row_bytes(record: Mapping[str, RecordValue]) -> float:
    """Bytes that one record takes in a run's file, by SQLite's record format.

    A float takes 8 bytes, an integer as few as hold it and none for 0 and 1, a text its UTF-8 bytes, NaN none; every
    column takes one byte more for its type, or two for a text of 58 bytes and more.
    """
    sizes = [_value_bytes(part) for value in record.values() for part in _parts(value)]
    return (_ROW_BYTES + _POINT_BYTES + _TRIAL_BYTES + 2 + sum(sizes)) / _PAGE_SHARE


def _parts(value: RecordValue) -> tuple[RecordValue, ...]:
    return (value.real, value.imag) if isinstance(value, complex) else (value,)


def _value_bytes(value: RecordValue) -> int:
    if isinstance(value, str):
        length = len(value.encode())
        return length + (1 if length < 58 else 2)
    if isinstance(value, float):
        return 9 if value == value else 1
    if value in (0, 1):
        return 1
    magnitude = abs(value)
    return 1 + next(size for size in (1, 2, 3, 4, 6, 8) if magnitude < 1 << (8 * size - 1))


def duration_text(seconds: float) -> str:
    """A duration as a person says it: 0.8 s, 42 s, 3 min 20 s, 5 h 10 min, 2 d 3 h."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {name}"
    return f"{whole} s"


def size_text(size: float) -> str:
    """A size in decimal units with two or three digits: 640 B, 53 kB, 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.2g} {unit}"
