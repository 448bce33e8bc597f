"""Tables of a run folder as CSV files: written from rows, read back as the same values."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from disac.experiments.runs.replacing import replacing

Row = dict[str, Any]

_WORDS = {"True": True, "False": False}


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows with the union of their columns, in the order in which they first appear.

    The file is replaced as a whole: a reader sees the old table or the new one.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path) -> list[Row]:
    """Rows as :func:`write_csv` was given them: numbers and truth values are what they were, empty cells are left out.

    A text that reads as a number comes back as one. Nothing where there is no file.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: _value(text) for name, text in row.items() if text != ""} for row in csv.DictReader(file)]


def _value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
