"""Export of a run's records to CSV, Parquet and NetCDF, with units and provenance.

A complex column ``x`` becomes the real columns ``x_real`` and ``x_imag`` of the same unit, in every format: neither CSV
nor Parquet has complex numbers, and NetCDF readers disagree about them.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.runs.replacing import replace_text, replacing
from disac.experiments.runs.store import PointStatus, RunReader, Table
from disac.experiments.trials.experiment import Column

FORMATS = ("csv", "parquet", "netcdf")


class ExportError(ValueError):
    """The run cannot be exported as asked."""


def export(path: str | os.PathLike[str], fmt: str, out: str | os.PathLike[str]) -> None:
    """Write the records of a run, finished or not.

    Parameters
    ----------
    path : the run.
    fmt : "csv": one row per successful trial, and beside it ``<out>.json`` with units and provenance.
        "parquet": the same table, units and provenance as Arrow metadata.
        "netcdf": an array per column over the swept fields and "trial", where the points form a full grid, else over
        "point" and "trial"; a trial that failed or was not run is NaN, 0 or "" and has ``recorded`` = 0.
    out : file to write; it replaces an older one only when it is complete.

    Raises
    ------
    ExportError : the format is unknown, its packages are not installed (``disac[io]``), or a field name is taken twice.
    StoreError : the run cannot be read.
    """
    writers: dict[str, Callable[[_Content, Path], None]] = {
        "csv": _write_csv,
        "parquet": _write_parquet,
        "netcdf": _write_netcdf,
    }
    if fmt not in writers:
        raise ExportError(f"format is {fmt!r}, must be one of {', '.join(FORMATS)}")
    target = Path(out)
    with RunReader(path) as reader, reader.snapshot():
        reader.verify()
        content = _Content(reader)
    try:
        with replacing(target) as partial:
            writers[fmt](content, partial)
    except ImportError as error:
        raise ExportError(f"format {fmt!r} needs the extra disac[io]: {error}") from None
    if fmt == "csv":
        replace_text(target.with_name(f"{target.name}.json"), json.dumps(content.description, indent=1) + "\n")


class _Content:
    """A run in memory with its complex columns split; every point has the same columns."""

    def __init__(self, reader: RunReader) -> None:
        self.points: list[PointStatus] = reader.points()
        self.fields: tuple[str, ...] = tuple(dict.fromkeys(name for p in self.points for name in p.fields))
        self.tables: list[Table] = [dict(_split(reader.table(point.key))) for point in self.points]
        kinds = reader.kinds()
        self.columns: dict[str, Column] = {
            part: column
            for name, column in reader.columns().items()
            for part in ((f"{name}_real", f"{name}_imag") if kinds[name] == "complex" else (name,))
        }
        taken = {"trial", "point", "recorded"}
        if twice := (set(self.fields) & self.columns.keys()) | (taken & {*self.fields, *self.columns}):
            raise ExportError(f"{reader.path}: the name {sorted(twice)[0]!r} would be both a field and a column")
        self.description: dict[str, Any] = {
            "run": reader.meta(),
            "columns": {name: {"unit": c.unit, "description": c.description} for name, c in self.columns.items()},
            "points": [
                {**p.fields, "trials": p.trials, "failed": p.failed, "stop": p.stop.text if p.stop else "unfinished"}
                for p in self.points
            ],
        }

    def field(self, name: str) -> list[Any]:
        """Values of a field over the points, None where a point lacks it."""
        return [point.fields.get(name) for point in self.points]

    def long(self) -> dict[str, NDArray[Any]]:
        """One row per successful trial: fields, trial, columns."""
        counts = [len(table["trial"]) for table in self.tables]
        long = {name: np.repeat(_array(self.field(name)), counts) for name in self.fields}
        for name in ("trial", *self.columns):
            long[name] = np.concatenate([table[name] for table in self.tables])
        return long


def _split(table: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, values in table.items():
        if values.dtype.kind == "c":
            yield f"{name}_real", values.real
            yield f"{name}_imag", values.imag
        else:
            yield name, values


def _array(values: Sequence[Any]) -> NDArray[Any]:
    """Array of numbers or bools if all values are, else of objects."""
    kinds = {type(value) for value in values}
    return np.array(values, dtype=None if kinds in ({bool}, {int}, {float}, {int, float}) else object)


def _write_csv(content: _Content, out: Path) -> None:
    long = content.long()
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(long)
        writer.writerows(zip(*(values.tolist() for values in long.values()), strict=True))


def _write_parquet(content: _Content, out: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    long = content.long()
    fields = []
    arrays = []
    for name, values in long.items():
        array = pyarrow.array(values.tolist() if values.dtype == object else values)
        column = content.columns.get(name)
        metadata = None if column is None else {"unit": column.unit, "description": column.description}
        fields.append(pyarrow.field(name, array.type, metadata=metadata))
        arrays.append(array)
    schema = pyarrow.schema(fields, metadata={"disac": json.dumps(content.description)})
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), out)


def _write_netcdf(content: _Content, out: Path) -> None:
    import h5netcdf  # noqa: F401 (the engine; xarray's own message about it is long)
    import xarray

    n_trials = max((point.first_trial + point.trials for point in content.points), default=0)
    recorded = np.zeros((len(content.points), n_trials), dtype=np.int8)
    for row, table in zip(recorded, content.tables, strict=True):
        row[table["trial"]] = 1
    arrays = {"recorded": recorded}
    for name in content.columns:
        columns = [table[name] for table in content.tables]
        kind: Any = object if any(c.dtype == object for c in columns) else np.result_type(*columns)
        blank: Any = "" if kind is object else np.nan if kind.kind == "f" else 0
        arrays[name] = np.full(recorded.shape, blank, dtype=kind)
        for row, table in zip(arrays[name], content.tables, strict=True):
            row[table["trial"]] = table[name]
    axes = _grid(content)
    if axes is None:
        shape: tuple[int, ...] = recorded.shape
        dimensions: tuple[str, ...] = ("point", "trial")
        coordinates: dict[str, Any] = {
            name: ("point", _array([_blank(value) for value in content.field(name)])) for name in content.fields
        }
    else:
        shape = (*(len(values) for values in axes.values()), n_trials)
        dimensions = (*axes, "trial")
        coordinates = {name: (name, _array(values)) for name, values in axes.items()}
    dataset = xarray.Dataset(
        {
            name: (dimensions, values.reshape(shape), _attributes(content.columns.get(name)))
            for name, values in arrays.items()
        },
        coords={**coordinates, "trial": np.arange(n_trials)},
        attrs={
            "disac": json.dumps(content.description),
            "title": f"disac run {content.description['run']['experiment']}",
        },
    )
    dataset.to_netcdf(out, engine="h5netcdf")


def _attributes(column: Column | None) -> dict[str, str]:
    if column is None:
        return {"description": "1 where the trial has a record"}
    return {"units": column.unit, "description": column.description}


def _blank(value: Any) -> Any:
    return "" if value is None else value


def _grid(content: _Content) -> dict[str, list[Any]] | None:
    """Swept values per field if the points, in their order, are the full product of them, else None."""
    axes = {name: list(dict.fromkeys(content.field(name))) for name in content.fields}
    wanted = [tuple(point.fields.get(name) for name in content.fields) for point in content.points]
    return axes if list(product(*axes.values())) == wanted else None
