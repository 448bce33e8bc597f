"""Tables of a report: the summary of a run or the means of its columns, as cells of plain text."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from disac.experiments.campaign.operations import ColumnMean
from disac.experiments.runs.store import PointStatus
from disac.experiments.statistics.rounding import text_beside_interval, texts_with_interval, upper_bound_text

_POINTS_SIDE_BY_SIDE = 5
_INFEASIBLE = "infeasible"
_HEADINGS = {"snr_db": "SNR [dB]", "sinr_db": "SINR threshold [dB]", "n_symbols": "symbols T"}
_UNITS = {"_db": "dB", "_hz": "Hz", "_m": "m", "_m2": "m²", "_s": "s", "_rad": "rad", "_deg": "°"}


@dataclass(frozen=True)
class Cell:
    """Text of a cell; ``note`` is set smaller behind it, ``marked`` makes it stand out, ``words`` aligns it left."""

    text: str
    note: str = ""
    marked: bool = False
    words: bool = False


@dataclass(frozen=True)
class Table:
    """Header and rows of equal length, and one sentence on what is the same in all rows."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Summary:
    """``summary.csv`` as it was written: texts by column name.

    Attributes
    ----------
    fields : the swept fields, which are the columns in front of "trials".
    """

    fields: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    @classmethod
    def read(cls, path: Path) -> Summary:
        """Read the file.

        Raises
        ------
        ValueError : it has no column "trials".
        """
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            rows = tuple({name: str(value) for name, value in row.items() if name} for row in reader)
            names = tuple(reader.fieldnames or ())
        if "trials" not in names:
            raise ValueError(f"{path}: not a summary, it has no column 'trials'")
        return cls(names[: names.index("trials")], rows)

    @property
    def infeasible(self) -> int:
        """Number of points whose design problem has no solution."""
        return sum(_is_infeasible(row) for row in self.rows)

    @cached_property
    def _places(self) -> dict[frozenset[tuple[str, str]], list[int]]:
        places: dict[frozenset[tuple[str, str]], list[int]] = {}
        for place, row in enumerate(self.rows):
            point = frozenset((name, row[name]) for name in self.fields if name != "estimator")
            places.setdefault(point, []).append(place)
        return places

    def places_of(self, point: PointStatus) -> list[int]:
        """Numbers of a stored point's rows, one for each estimator that saw its trials; empty when there is none."""
        fields = frozenset((name, str(value)) for name, value in point.fields.items() if name != "estimator")
        return [
            place
            for place in self._places.get(fields, [])
            if "estimator" not in point.fields or self.rows[place]["estimator"] == point.fields["estimator"]
        ]

    def agrees_with(self, points: Sequence[PointStatus]) -> bool:
        """Whether it was made from exactly the trials that are stored now."""
        for point in points:
            rows = [self.rows[place] for place in self.places_of(point)]
            if not rows or any(int(row["trials"]) + int(row.get("failed") or 0) != point.trials for row in rows):
                return False
        return True

    def total(self, name: str) -> int:
        """Sum of a column of counts, 0 where it is lacking."""
        return sum(int(row[name]) for row in self.rows if row.get(name))


def has_a_row_per_point(path: Path) -> bool:
    """Whether a CSV file is the summary of a link run, a row for each point; others hold rows over draws or points."""
    with path.open(newline="", encoding="utf-8") as file:
        names = next(csv.reader(file), [])
    return {"trials", "status"} <= set(names)


def plain_table(path: Path) -> Table:
    """A CSV file with its columns' names, intervals behind the numbers; what is the same in all rows is said once."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{name: str(value or "") for name, value in row.items() if name} for row in csv.DictReader(file)]
    present = list(dict.fromkeys(name for row in rows for name, value in row.items() if value))
    ends = {end for name in present if set(_interval_names(name)) <= set(present) for end in _interval_names(name)}
    names = [name for name in present if name not in ends]
    varying, sentences = _varying(names, [[row[name] for name in names] for row in rows])
    return Table(
        header=tuple(label(name) for name in varying),
        rows=tuple(tuple(_noted(row, name) for name in varying) for row in rows),
        caption=" ".join([f"{path.name}.", *sentences, *(["Brackets hold 95 % intervals."] if ends else [])]),
    )


def _noted(row: Mapping[str, str], name: str) -> Cell:
    """A value as it is, with its interval where it has one."""
    low, high = (row.get(end, "") for end in _interval_names(name))
    if _is_word(row[name]):
        return Cell(row[name], words=True)
    if low and high:
        return Cell(*texts_with_interval(float(row[name]), float(low), float(high)))
    return Cell(number(row[name], 5))


def _is_word(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return bool(text)
    return False


def summary_table(summary: Summary, points: Sequence[PointStatus]) -> Table:
    """One row per point that was run: number, fields that vary, results with their intervals, reason for stopping.

    The columns of a link run have headings of their own; other columns keep their names.
    """
    rows = [row for row in summary.rows if not _is_infeasible(row)]
    present = list(dict.fromkeys(name for row in rows for name, value in row.items() if value))
    varying, sentences = _varying(summary.fields, [[row[name] for name in summary.fields] for row in rows])
    columns = [column for column in _LINK_COLUMNS if column.name in present]
    if "rmse_m" not in present:
        columns = [*_other_columns(present, summary.fields), *columns]
    spotless = [column for column in columns if column.kind == "trouble" and not summary.total(column.name)]
    if spotless:
        columns = [column for column in columns if column not in spotless]
        sentences.append(f"Zero in all rows: {', '.join(column.heading for column in spotless)}.")
    reasons = {row.get("stop_reason", "") for row in rows}
    if len(reasons) == 1:
        sentences.append(f"Stopped because: {reasons.pop()}.")
    level = next((float(row["interval_level"]) for row in rows if row.get("interval_level")), None)
    if level is not None:
        sentences.append(f"Brackets hold {100 * level:g} % intervals.")
    numbers = {place: str(number) for number, point in enumerate(points) for place in summary.places_of(point)}
    return Table(
        header=(
            "#",
            *(label(name) for name in varying),
            *(column.heading for column in columns),
            *(["stopped because"] if reasons else []),
        ),
        rows=tuple(
            (
                Cell(numbers.get(place, "–")),
                *(field_cell(row[name]) for name in varying),
                *(column.cell(row) for column in columns),
                *([Cell(row.get("stop_reason", ""), words=True)] if reasons else []),
            )
            for place, row in enumerate(summary.rows)
            if not _is_infeasible(row)
        ),
        caption=" ".join(sentences),
    )


def infeasible_table(summary: Summary) -> Table:
    """Points whose design problem has no solution, with what was found about it."""
    rows = [row for row in summary.rows if _is_infeasible(row)]
    fields = [name for name in summary.fields if any(row[name] for row in rows)]
    return Table(
        header=(*(label(name) for name in fields), "infeasible because"),
        rows=tuple(
            (
                *(field_cell(row[name]) for name in fields),
                Cell(row["status"].removeprefix(_INFEASIBLE).lstrip(": "), words=True),
            )
            for row in rows
        ),
    )


def _is_infeasible(row: Mapping[str, str]) -> bool:
    return row.get("status", "").startswith(_INFEASIBLE)


@dataclass(frozen=True)
class _Column:
    """A column of the summary with its interval; ``kind`` is what its numbers are.

    One that is to be compared with another, named by ``beside``, has as many digits as that.
    """

    heading: str
    name: str
    kind: str = "value"
    beside: str = ""

    def cell(self, row: Mapping[str, str]) -> Cell:
        text = row.get(self.name, "")
        if not text:
            return Cell("")
        low, high = (row.get(end, "") for end in _interval_names(self.name))
        if self.kind == "count":
            return Cell(text)
        if self.kind == "words":
            return Cell(text, words=True, marked=self.name == "note")
        if self.kind in ("failures", "trouble"):
            return Cell(text, marked=text != "0")
        if self.kind == "rate" and float(text) == 0:
            return Cell(upper_bound_text(float(high)), "no error")
        if self.beside and row.get(self.beside):
            ends = (float(row.get(end, "") or "nan") for end in _interval_names(self.beside))
            return Cell(text_beside_interval(float(text), float(row[self.beside]), *ends))
        if low and high:
            return Cell(*texts_with_interval(float(text), float(low), float(high)))
        return Cell(number(text))


_LINK_COLUMNS = (
    _Column("RMSE [m]", "rmse_m"),
    _Column("RCRB realized [m]", "rcrb_realized_m", beside="rmse_m"),
    _Column("RCRB expected [m]", "rcrb_expected_m", beside="rmse_m"),
    _Column("RMSE / realized RCRB", "ratio"),
    _Column("note", "note", "words"),
    _Column("RMSE over that of", "paired_with", "words"),
    _Column("paired ratio", "paired_ratio"),
    _Column("BER", "ber", "rate"),
    _Column("BER, estimated channel", "ber_estimated", "rate"),
    _Column("BER, theory", "ber_theory", beside="ber"),
    _Column("theory, estimated channel", "ber_estimated_theory", beside="ber_estimated"),
    _Column("trials", "trials", "count"),
    _Column("failed", "failed", "failures"),
    _Column("gross errors", "gross_errors", "trouble"),
    _Column("not converged", "unconverged", "trouble"),
    _Column("at the edge", "at_edge", "trouble"),
    _Column("missed by the search", "search_missed", "trouble"),
)


def _interval_names(name: str) -> tuple[str, str]:
    """Columns of an interval's ends: the unit stays last, as in ``rmse_low_m``."""
    unit = next((unit for unit in ("_m", "_db") if name.endswith(unit)), "")
    stem = name.removesuffix(unit)
    return f"{stem}_low{unit}", f"{stem}_high{unit}"


def _other_columns(names: Sequence[str], fields: Sequence[str]) -> list[_Column]:
    known = {*fields, "status", "stop_reason", "interval_level", "seed"} | {column.name for column in _LINK_COLUMNS}
    ends = {end for name in names for end in _interval_names(name)}
    return [_Column(name, name, "value") for name in names if name not in known | ends]


def _varying(fields: Sequence[str], values: Sequence[Sequence[Any]]) -> tuple[list[str], list[str]]:
    """Fields that differ between rows, and a sentence with the others if there are any."""
    if not values:
        return [], []
    columns = {name: [row[i] for row in values] for i, name in enumerate(fields)}
    varying = [name for name, column in columns.items() if any(value != column[0] for value in column)]
    same = [f"{name} = {field_cell(column[0]).text}" for name, column in columns.items() if name not in varying]
    return varying, [f"In all rows {', '.join(same)}."] if same else []


def points_table(points: Sequence[PointStatus]) -> Table:
    """Every point with its trials, failures, computing time and reason for stopping."""
    fields = list(dict.fromkeys(name for point in points for name in point.fields))
    values = [[point.fields.get(name, "") for name in fields] for point in points]
    varying, sentences = _varying(fields, values)
    return Table(
        header=("#", *(label(name) for name in varying), "trials", "failed", "computing [s]", "stopped because"),
        rows=tuple(
            (
                Cell(str(index)),
                *(field_cell(point.fields.get(name, "")) for name in varying),
                Cell(str(point.trials)),
                Cell(str(point.failed), marked=point.failed > 0),
                Cell(f"{point.seconds:.1f}"),
                Cell(point.stop.text if point.stop is not None else "unfinished", words=True),
            )
            for index, point in enumerate(points)
        ),
        caption=" ".join(sentences),
    )


def means_tables(
    shown: Sequence[tuple[PointStatus, Mapping[str, ColumnMean]]], descriptions: Mapping[str, str]
) -> list[Table]:
    """Mean and standard error of every column, a row per column, a few points side by side in each table."""
    tables = []
    for first in range(0, len(shown), _POINTS_SIDE_BY_SIDE):
        block = shown[first : first + _POINTS_SIDE_BY_SIDE]
        units = {name: mean.unit for _, means in block for name, mean in means.items()}
        rows = []
        for name, unit in units.items():
            known = [means.get(name) for _, means in block]
            note = ", ".join(part for part in ("" if unit == "1" else unit, descriptions.get(name, "")) if part)
            rows.append((Cell(name, note, words=True), *(Cell("") if mean is None else _mean(mean) for mean in known)))
        if rows:
            numbers = (f"point {first + i}" for i in range(len(block)))
            tables.append(Table(("mean (standard error)", *numbers), tuple(rows)))
    return tables


def _mean(mean: ColumnMean) -> Cell:
    value = f"{mean.mean:.4g}"
    return Cell(value, f"({mean.standard_error:.1g})" if mean.standard_error == mean.standard_error else "")


def designs_table(designs: Sequence[Mapping[str, Any]]) -> Table:
    """What is proved about every design: bound, gap, value of what is sent, violation, status."""
    fields = list(dict.fromkeys(name for design in designs for name in design["fields"]))
    varying, sentences = _varying(fields, [[design["fields"].get(name, "") for name in fields] for design in designs])
    return Table(
        header=(
            *(label(name) for name in varying),
            "status",
            "lower bound [m]",
            "relative gap",
            "sent [m]",
            "extraction loss",
            "largest violation",
            "least SINR [dB]",
            "solver",
            "time [s]",
        ),
        rows=tuple(
            (
                *(field_cell(design["fields"].get(name, "")) for name in varying),
                Cell(str(design["status"]), marked=design["status"] != "solved"),
                Cell(number(max(design["lower_bound_m2"], 0.0) ** 0.5)),
                Cell(number(design["gap"], 2)),
                Cell(number(design["value_m2"] ** 0.5)),
                Cell(number(design["extraction_loss"], 2)),
                Cell(number(design["residual"], 2)),
                Cell("" if design["least_sinr_db"] is None else number(design["least_sinr_db"])),
                Cell(str(design["solver"]), words=True),
                Cell(number(design["solve_seconds"], 3)),
            )
            for design in designs
        ),
        caption=" ".join([*sentences, "Lower bound and sent are root CRBs of one OFDM symbol."]),
    )


def label(name: str) -> str:
    """Heading of a swept field: the unit that its name ends with goes into brackets."""
    if name in _HEADINGS:
        return _HEADINGS[name]
    for suffix, unit in _UNITS.items():
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)} [{unit}]"
    return name


def field_cell(value: object) -> Cell:
    """A field's value: floats without trailing zeros, words aligned left."""
    text = str(value)
    try:
        return Cell(f"{float(text):g}")
    except ValueError:
        return Cell(text, words=True)


def number(value: object, digits: int = 4) -> str:
    """A number with so many significant digits; whatever is no number as it is."""
    try:
        return f"{float(str(value)):.{digits}g}"
    except ValueError:
        return str(value)


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and texts of nested settings, as in a TOML file."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield prefix + name, ", ".join(str(item) for item in value) or "none"
        else:
            yield prefix + name, str(value)
