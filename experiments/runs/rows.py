"""Records as rows of an SQL table and back, bit for bit.

SQL columns have no declared type, so that every value keeps its own: a REAL column would turn -0.0 into 0. NaN is NULL,
a complex column ``x`` is the two SQL columns ``x`` and ``x.imag``, a column's kind is the widest of those it has held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.runs.file import StoreError
from disac.experiments.trials.experiment import Record, RecordValue

_NUMBERS = ("bool", "int", "float", "complex")
_KIND_OF: dict[type, str] = {bool: "bool", int: "int", float: "float", complex: "complex", str: "str"}
_DTYPE_OF: dict[str, Any] = {"bool": bool, "int": np.int64}


def widened(kinds: Mapping[str, str], records: Iterable[Record]) -> dict[str, str]:
    """Kinds of all columns after ``records`` have joined those that had ``kinds``; new columns come last.

    Raises
    ------
    StoreError : a column holds both text and numbers, or two columns would have one SQL name.
    """
    wider = dict(kinds)
    for record in records:
        for name, value in record.items():
            kind, known = _KIND_OF[type(value)], wider.get(name)
            if kind == known:
                continue
            if known is not None and "str" in (kind, known):
                raise StoreError(f"column {name!r} holds both text and numbers")
            wider[name] = kind if known is None else max(kind, known, key=_NUMBERS.index)
            _check_names(wider)
    return wider


def _check_names(kinds: Mapping[str, str]) -> None:
    """SQL names do not tell upper from lower case, and two are the table's own."""
    seen = {"point": "the point's key", "trial": "the trial's number"}
    for name, kind in kinds.items():
        for part in sql_names(name, kind):
            other = seen.setdefault(part.lower(), f"column {name!r}")
            if other != f"column {name!r}":
                raise StoreError(f"column {name!r} cannot be stored beside {other}; rename it")


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql_names(name: str, kind: str) -> tuple[str, ...]:
    """SQL columns of a record column."""
    return (name, f"{name}.imag") if kind == "complex" else (name,)


def sql_list(kinds: Mapping[str, str]) -> list[str]:
    """Quoted SQL columns of all record columns."""
    return [quoted(part) for name, kind in kinds.items() for part in sql_names(name, kind)]


def to_row(record: Record, kinds: Mapping[str, str]) -> list[RecordValue | None]:
    """Values for the columns of `sql_list`, None for what the record lacks."""
    values: list[RecordValue | None] = []
    for name, kind in kinds.items():
        value = record.get(name)
        if kind != "complex":
            values.append(value)
        elif isinstance(value, complex):
            values += (value.real, value.imag)
        else:
            values += (value, None if value is None else 0.0)
    return values


def from_row(row: Sequence[Any], kinds: Mapping[str, str]) -> Record:
    """Record of a row of the columns of `sql_list`; an int, bool or text that is NULL was lacking."""
    record: Record = {}
    values = iter(row)
    for name, kind in kinds.items():
        value = next(values)
        if kind == "complex":
            record[name] = complex(_number(value), _number(next(values)))
        elif kind == "float":
            record[name] = _number(value)
        elif value is not None:
            record[name] = bool(value) if kind == "bool" else value
    return record


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)


def to_table(rows: Sequence[Sequence[Any]], kinds: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """One array per record column from rows of the columns of `sql_list`.

    A number that a record lacks is NaN, which turns int and bool columns into float; a lacking text is "".
    """
    columns = iter(zip(*rows, strict=True)) if rows else iter([()] * len(sql_list(kinds)))
    table: dict[str, NDArray[Any]] = {}
    for name, kind in kinds.items():
        values = next(columns)
        if kind == "complex":
            table[name] = np.empty(len(values), dtype=np.complex128)
            table[name].real, table[name].imag = (list(map(_number, part)) for part in (values, next(columns)))
        elif kind == "str":
            table[name] = np.array(["" if value is None else value for value in values], dtype=object)
        elif kind == "float" or None in values:
            table[name] = np.array(list(map(_number, values)), dtype=np.float64)
        else:
            table[name] = np.array(values, dtype=_DTYPE_OF[kind])
    return table
