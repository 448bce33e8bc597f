"""The store: one crash-safe SQLite file per run, written by one process, read by any number while the run goes on.

Tables: ``meta`` (JSON values: experiment, configuration, seed, policy, sessions with their provenance), ``points``,
``columns``, ``records`` (a row per trial, an SQL column per record column; the imaginary part of complex column ``x``
is ``x.imag``), ``failures``, ``stops``, ``batches`` (a digest per commit), ``seals`` (a digest of every small table)
and ``timing``. Everything but ``timing`` and the sessions is a function of experiment and seed. The trials of a point
are committed in order and without gaps, one transaction per batch: whatever kills the writer, the file holds a prefix.
With write-ahead logging a power failure may lose the last batches, never their order.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from disac.experiments.runs.file import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    OtherCampaign,
    StoreBusy,
    StoreError,
    StoreFull,
    WriterLock,
    check_header,
    explained,
    file_system_type,
    is_network_file_system,
    sqlite_uri,
    writer_of,
)
from disac.experiments.runs.folder import STORE
from disac.experiments.runs.frames import FrameKind, as_frame, mean_and_error
from disac.experiments.runs.rows import from_row, quoted, sql_list, sql_names, to_row, to_table, widened
from disac.experiments.trials.experiment import Column, Record
from disac.experiments.trials.failure import Failure
from disac.experiments.trials.keys import MAX_TRIALS, Point, point_key
from disac.experiments.trials.stopping import StopReason

__all__ = [
    "BatchTiming",
    "OtherCampaign",
    "PointStatus",
    "RunReader",
    "RunWriter",
    "StoreBusy",
    "StoreError",
    "StoreFull",
    "StoredFailure",
    "StoredPoint",
    "StoredRun",
    "Table",
    "differences",
    "file_system_type",
    "is_network_file_system",
    "read_run",
    "writer_of",
]

Table: TypeAlias = dict[str, NDArray[Any]]
_BUSY_TIMEOUT_S = 60.0
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE points (
    point INTEGER PRIMARY KEY, position INTEGER NOT NULL, first_trial INTEGER NOT NULL, fields TEXT NOT NULL
);
CREATE TABLE columns (
    name TEXT PRIMARY KEY, position INTEGER NOT NULL, kind TEXT NOT NULL, unit TEXT NOT NULL, description TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE records (point INTEGER NOT NULL, trial INTEGER NOT NULL, PRIMARY KEY (point, trial)) WITHOUT ROWID;
CREATE TABLE failures (
    point INTEGER NOT NULL, trial INTEGER NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, trace TEXT NOT NULL,
    PRIMARY KEY (point, trial)
) WITHOUT ROWID;
CREATE TABLE stops (
    point INTEGER PRIMARY KEY, trials INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
    repeatable INTEGER NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE batches (
    point INTEGER NOT NULL, first_trial INTEGER NOT NULL, trials INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (point, first_trial)
) WITHOUT ROWID;
CREATE TABLE seals (name TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE timing (
    point INTEGER NOT NULL, first_trial INTEGER NOT NULL, trials INTEGER NOT NULL, started REAL NOT NULL,
    seconds REAL NOT NULL, worker TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class PointStatus:
    """State of one point: trials from ``first_trial`` on are stored, ``trials`` in number, ``failed`` failures."""

    key: int
    fields: dict[str, Any]
    first_trial: int
    trials: int
    failed: int
    seconds: float
    stop: StopReason | None


@dataclass(frozen=True)
class StoredFailure:
    """A failed trial as stored."""

    trial: int
    failure: Failure


@dataclass(frozen=True)
class BatchTiming:
    """When, how long and where (host:pid) a batch ran."""

    started: float
    seconds: float
    worker: str


class RunReader:
    """Read-only view of a run, also while it is written. Use as a context manager."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the run at ``path``.

        Raises
        ------
        StoreError : no such file, not a run, damaged, or written by a newer version.
        """
        self.path = Path(path)
        if not self.path.is_file():
            raise StoreError(f"{self.path}: no such run")
        check_header(self.path)
        with explained(self.path):
            self._db = self._connect_read_only()
        with explained(self.path):
            if not self._has_schema():
                self._db.close()
                raise StoreError(f"{self.path} holds no run yet")

    def _connect_read_only(self) -> sqlite3.Connection:
        uri = sqlite_uri(self.path.resolve())
        db = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        try:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError:
            db.close()
            log = Path(f"{self.path}-wal")
            if log.exists() and log.stat().st_size > 0:
                raise StoreError(
                    f"{self.path}: its last batches are in {log.name} and cannot be read without write access to the "
                    "folder; copy both files to a folder that can be written"
                ) from None
            # Nobody can be writing here and nothing is left in a log: the file alone is complete.
            db = sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None)
        return db

    def _has_schema(self) -> bool:
        found = self._db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'timing'").fetchone()
        return found is not None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def snapshot(self) -> Iterator[Self]:
        """Everything read inside belongs to one moment of the run."""
        self._query("BEGIN")
        try:
            yield self
        finally:
            self._query("COMMIT")

    def _query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with explained(self.path):
            return self._db.execute(sql, parameters).fetchall()

    def check(self) -> None:
        """Read the whole file and raise `StoreError` when SQLite finds it damaged."""
        problems = [row[0] for row in self._query("PRAGMA integrity_check(3)")]
        if problems != ["ok"]:
            raise StoreError(f"{self.path} is damaged ({'; '.join(problems)}); nothing was changed")

    def verify(self) -> None:
        """Read the whole file and raise `StoreError` unless every stored bit of a result is what was written.

        Timing alone has no digest.
        """
        self.check()
        for name, digest in self._query("SELECT name, digest FROM seals"):
            if name not in _SEALED or self._digest_of_table(name) != digest:
                raise StoreError(f"{self.path} is damaged: the table {name} is not what was written")
        names = [part.strip('"').replace('""', '"') for part in sql_list(self.kinds())]
        following: dict[int, int] = {}
        sealed = 0
        for point, first, trials, digest in self._query("SELECT * FROM batches ORDER BY point, first_trial"):
            if (
                following.setdefault(point, first) != first
                or self._digest_of_batch(names, point, first, trials) != digest
            ):
                raise StoreError(
                    f"{self.path} is damaged: trials {first} to {first + trials - 1} of point {point} are not what was "
                    "written"
                )
            following[point] = first + trials
            sealed += trials
        ((stored,),) = self._query("SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM failures)")
        if stored != sealed:
            raise StoreError(f"{self.path} is damaged: {stored} trials are stored, {sealed} were written")

    def _digest_of_table(self, name: str) -> str:
        return hashlib.sha256(repr(self._query(f"SELECT * FROM {name} ORDER BY 1")).encode()).hexdigest()

    def _digest_of_batch(self, names: Sequence[str], point: int, first: int, trials: int) -> str:
        """Digest of the batch as it is stored; ``names`` are those of the SQL columns of all records."""
        within = "WHERE point = ? AND trial >= ? AND trial < ? ORDER BY trial"
        columns = ", ".join(["trial", *map(quoted, names)])
        where = (point, first, first + trials)
        records = self._query(f"SELECT {columns} FROM records {within}", where)
        failures = self._query(f"SELECT trial, kind, message, trace FROM failures {within}", where)
        return _batch_digest(names, records, failures)

    @property
    def journal_mode(self) -> str:
        """SQLite's journal mode, "wal" while a run is written on a local disk."""
        return str(self._query("PRAGMA journal_mode")[0][0])

    def meta(self) -> dict[str, Any]:
        """Experiment name, configuration, seed, stopping policy, provenance and what else describes the run."""
        return {key: self._json(value) for key, value in self._query("SELECT key, value FROM meta ORDER BY key")}

    def _json(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise StoreError(f"{self.path} is damaged: a description in it is no JSON ({error})") from None

    def points(self) -> list[PointStatus]:
        """Points in the order of the sweep."""
        seconds = dict(self._query("SELECT point, sum(seconds) FROM timing GROUP BY point"))
        stops = {
            row[0]: StopReason(row[1], row[2], bool(row[3]))
            for row in self._query("SELECT point, kind, text, repeatable FROM stops")
        }
        # The trials of a point have no gap, so the largest one tells their number without a scan.
        rows = self._query(
            """
            SELECT point, first_trial, fields,
                   max(coalesce((SELECT max(trial) + 1 FROM records r WHERE r.point = p.point), first_trial),
                       coalesce((SELECT max(trial) + 1 FROM failures f WHERE f.point = p.point), first_trial)),
                   (SELECT count(*) FROM failures f WHERE f.point = p.point)
            FROM points p ORDER BY position, point
            """
        )
        for _, first, _, end, _ in rows:
            if not (isinstance(first, int) and isinstance(end, int) and 0 <= first <= end <= MAX_TRIALS):
                raise StoreError(f"{self.path} is damaged: it counts its trials from {first!r} to {end!r}")
        return [
            PointStatus(
                key=key,
                fields=self._json(fields),
                first_trial=first,
                trials=end - first,
                failed=failed,
                seconds=seconds.get(key, 0.0),
                stop=stops.get(key),
            )
            for key, first, fields, end, failed in rows
        ]

    def find_point(self, wanted: int | str | Point) -> PointStatus:
        """Point by its key, by its number in the sweep (from 0), or by its fields.

        Raises
        ------
        StoreError : there is no such point.
        """
        points = self.points()
        number = point_key(wanted) if isinstance(wanted, Mapping) else int(wanted)
        for position, point in enumerate(points):
            if number in (point.key, position):
                return point
        raise StoreError(f"{self.path} has no point {wanted!r}; give 0..{len(points) - 1}, a key or all fields")

    def kinds(self) -> dict[str, str]:
        """Type of every record column: bool, int, float, complex or str."""
        return dict(self._query("SELECT name, kind FROM columns ORDER BY position"))

    def columns(self) -> dict[str, Column]:
        """Unit and description of every record column."""
        rows = self._query("SELECT name, unit, description FROM columns ORDER BY position")
        return {name: Column(unit, description) for name, unit, description in rows}

    def table(self, point: int, names: Sequence[str] | None = None) -> Table:
        """Columns of a point's successful trials, in trial order; always with "trial".

        A number that a record lacks is NaN, which turns int and bool columns into float; a lacking text is "".
        """
        kinds = self.kinds()
        wanted = {name: kinds[name] for name in (kinds if names is None else names) if name in kinds}
        rows = self._select(wanted, point, 0, None)
        trials = np.array([row[0] for row in rows], dtype=np.int64)
        with self._sound_values():
            return {"trial": trials, **to_table([row[1:] for row in rows], wanted)}

    def records(self, point: int, first: int = 0, stop: int | None = None) -> list[tuple[int, Record]]:
        """Trial number and record of a point's successful trials in ``first`` to ``stop - 1``, in trial order."""
        kinds = self.kinds()
        rows = self._select(kinds, point, first, stop)
        with self._sound_values():
            return [(row[0], from_row(row[1:], kinds)) for row in rows]

    @contextmanager
    def _sound_values(self) -> Iterator[None]:
        try:
            yield
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"{self.path} is damaged: a record holds another kind of value ({error})") from None

    def _select(self, kinds: Mapping[str, str], point: int, first: int, stop: int | None) -> list[tuple[Any, ...]]:
        columns = ", ".join(["trial", *sql_list(kinds)])
        return self._query(
            f"SELECT {columns} FROM records WHERE point = ? AND trial >= ? AND trial < ? ORDER BY trial",
            (point, first, MAX_TRIALS if stop is None else stop),
        )

    def failures(self, point: int) -> list[StoredFailure]:
        """Failed trials of a point in trial order."""
        rows = self._query("SELECT trial, kind, message, trace FROM failures WHERE point = ? ORDER BY trial", (point,))
        return [StoredFailure(row[0], Failure(*row[1:])) for row in rows]

    def rows(self, point: int) -> Iterator[tuple[int, Record | Failure]]:
        """Trial number and record or failure of all trials of a point, in no particular order."""
        yield from self.records(point)
        for failed in self.failures(point):
            yield failed.trial, failed.failure

    def row(self, point: int, trial: int) -> Record | Failure | None:
        """Record or failure of one trial, None when the run has not come to it."""
        for _, record in self.records(point, trial, trial + 1):
            return record
        return next((failed.failure for failed in self.failures(point) if failed.trial == trial), None)

    def same_bits(self, a: Record, b: Record) -> bool:
        """Whether two records would be stored alike, signs of zeros included."""
        kinds = self.kinds()
        if (a.keys() | b.keys()) - kinds.keys():
            return False
        return repr(from_row(to_row(a, kinds), kinds)) == repr(from_row(to_row(b, kinds), kinds))

    def stop_detail(self, point: int) -> str:
        """Traceback behind a stop for a failed set-up, else empty."""
        rows = self._query("SELECT detail FROM stops WHERE point = ?", (point,))
        return str(rows[0][0]) if rows else ""

    def timing(self) -> Table:
        """Wall times and workers of all batches, in the order of their commits."""
        names = ("point", "first_trial", "trials", "started", "seconds", "worker")
        rows = self._query(f"SELECT {', '.join(names)} FROM timing ORDER BY rowid")
        values = zip(*rows, strict=True) if rows else [()] * len(names)
        return {name: np.array(column) for name, column in zip(names, values, strict=True)}

    def digest(self) -> str:
        """SHA-256 over points, records, failures and repeatable stops: equal for runs with the same results.

        Times, workers, provenance, the order of points and of columns, and tracebacks do not enter.
        """
        hashed = hashlib.sha256()
        with self.snapshot():
            for point in sorted(self.points(), key=lambda point: point.key):
                stop = point.stop.kind if point.stop is not None and point.stop.repeatable else ""
                hashed.update(repr((point.key, point.first_trial, point.trials, stop)).encode())
                for trial, record in self.records(point.key):
                    hashed.update(repr((trial, sorted(record.items()))).encode())
                for failed in self.failures(point.key):
                    hashed.update(repr((failed.trial, failed.failure.kind, failed.failure.message)).encode())
        return hashed.hexdigest()


_SEALED = ("columns", "meta", "points", "stops")


def _batch_digest(names: Sequence[str], records: Iterable[Sequence[Any]], failures: Iterable[Sequence[Any]]) -> str:
    """SHA-256 of rows of trial and SQL columns, and of failures, the same when columns are added or become complex."""
    hashed = hashlib.sha256()
    for trial, *values in records:
        told = sorted(
            (name, repr(float(value) if isinstance(value, float) else int(value) if isinstance(value, bool) else value))
            for name, value in zip(names, values, strict=True)
            if value is not None and value == value and not (name.endswith(".imag") and repr(value) == "0.0")
        )
        hashed.update(repr((trial, told)).encode())
    for failure in failures:
        hashed.update(repr(tuple(failure)).encode())
    return hashed.hexdigest()


@dataclass(frozen=True)
class StoredPoint:
    """One point with all its trials in memory."""

    status: PointStatus
    records: list[Record]
    failures: list[StoredFailure]
    columns: Table = field(repr=False)

    @property
    def stop_reason(self) -> str:
        """Why the point ended, as one sentence; "unfinished" while it has not."""
        return self.status.stop.text if self.status.stop is not None else "unfinished"


@dataclass(frozen=True)
class StoredRun:
    """A whole run in memory, as it was at one moment."""

    path: Path
    meta: dict[str, Any]
    points: tuple[StoredPoint, ...]

    units: dict[str, str] = field(default_factory=dict)

    def point(self, wanted: int | Point) -> StoredPoint:
        """Point by its number in the sweep (from 0), or by its fields.

        Raises
        ------
        StoreError : the run has no such point.
        """
        if isinstance(wanted, Mapping):
            found = [point for point in self.points if point.status.key == point_key(wanted)]
        else:
            found = [self.points[wanted]] if 0 <= wanted < len(self.points) else []
        if not found:
            raise StoreError(f"{self.path} has no point {wanted!r}; give 0..{len(self.points) - 1} or all fields")
        return found[0]

    def table(self, point: int | Point = 0, kind: FrameKind = "numpy") -> Any:
        """Records of a point's successful trials, a row per trial.

        Parameters
        ----------
        point : int or mapping
            Number of the point in the sweep (from 0), or its fields.
        kind : "numpy", "pandas" or "xarray"
            Structured array with the column ``trial``, DataFrame or Dataset with the index ``trial``.

        Raises
        ------
        StoreError : the run has no such point.
        ValueError : the kind is unknown, or its package is not installed.
        """
        return as_frame(self.point(point).columns, kind, "trial", self.units)

    def summary(self, kind: FrameKind = "numpy") -> Any:
        """A row per point: its fields, ``trials``, ``failed``, and of every numeric column the mean over trials under
        the column's name and its standard error under NAME_se. A field that a point lacks is NaN or "".

        Parameters
        ----------
        kind : "numpy", "pandas" or "xarray"
        """
        rows: list[dict[str, Any]] = []
        for point in self.points:
            row = {**point.status.fields, "trials": point.status.trials, "failed": point.status.failed}
            for name, values in point.columns.items():
                if name != "trial" and values.dtype != object:
                    row[name], row[f"{name}_se"] = mean_and_error(values)
            rows.append(row)
        names = list(dict.fromkeys(name for row in rows for name in row))
        texts = {name for name in names if any(isinstance(row.get(name), str) for row in rows)}
        columns = {
            name: np.array(
                [row.get(name, "" if name in texts else np.nan) for row in rows], object if name in texts else None
            )
            for name in names
        }
        return as_frame(columns, kind, "point", {**self.units, **{f"{n}_se": u for n, u in self.units.items()}})


def read_run(path: str | os.PathLike[str]) -> StoredRun:
    """Read a run, finished or not, into memory: a run folder or the file in it, written from Python or by a command."""
    file = Path(path)
    with RunReader(file / STORE if file.is_dir() else file) as reader, reader.snapshot():
        points = tuple(
            StoredPoint(
                status,
                [record for _, record in reader.records(status.key)],
                reader.failures(status.key),
                reader.table(status.key),
            )
            for status in reader.points()
        )
        units = {name: column.unit for name, column in reader.columns().items()}
        return StoredRun(reader.path, reader.meta(), points, units)


def remove_run(path: Path) -> None:
    """Delete a run's file and its log, unless it is no run or is being written.

    Raises
    ------
    StoreError : the file is no run of disac, or another process writes it.
    """
    if not path.exists():
        return
    with RunReader(path):
        pass
    lock = WriterLock(path)
    try:
        for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            file.unlink(missing_ok=True)
    finally:
        lock.release()


def differences(name: str, a: object, b: object) -> list[str]:
    """Where two JSON values differ, one line each."""
    return [f"{where} is {x!r:.200} against {y!r:.200}" for where, x, y in _unequal(name, a, b)]


def _unequal(name: str, a: object, b: object) -> Iterator[tuple[str, object, object]]:
    """Name and both values of every leaf in which two JSON values differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in {**a, **b}:
            yield from _unequal(f"{name}.{key}", a.get(key), b.get(key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _unequal(f"{name}[{i}]", x, y)
    elif a != b:
        yield name, a, b


class RunWriter(RunReader):
    """The one writer of a run: creates the file or goes on with it."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        resume: bool = False,
        identity: Mapping[str, object] | None = None,
        begin: Callable[[Self], object] | None = None,
    ) -> None:
        """Create a run, or with ``resume`` go on with it if it exists and its meta values agree with ``identity``.

        Parameters
        ----------
        begin : called with this writer inside the transaction that creates the run, or, for a run that exists, inside
            one of its own: what it adds is there from the first moment or not at all.

        Raises
        ------
        StoreError : the file exists and ``resume`` is false; or it is damaged, newer than this version, or no run.
        OtherCampaign : it is a run of another campaign; names every value that differs.
        StoreBusy : another process writes it.
        """
        self.path = Path(path)
        self._declared: dict[str, Column] = {}
        self._changed: set[str] = set()
        if self.path.exists():
            check_header(self.path)
            if not resume and self.path.stat().st_size > 0:
                raise StoreError(f"{self.path} exists; resume it or choose another name")
        elif not self.path.parent.is_dir():
            raise StoreError(f"{self.path}: the folder {self.path.parent} does not exist")
        try:
            self._lock = WriterLock(self.path)
        except PermissionError as error:
            raise StoreError(f"{self.path} cannot be written: {error}") from None
        try:
            with explained(self.path):
                self._db = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            self._open_for_writing(identity or {}, begin)
        except BaseException:
            if hasattr(self, "_db"):
                self._db.close()
            self._lock.release()
            raise

    def _open_for_writing(self, identity: Mapping[str, object], begin: Callable[[Self], object] | None = None) -> None:
        if self._has_tables():
            self.check()
            known = self.meta()
            changes = [
                f"{where}: stored {stored!r:.200}, given {given!r:.200}"
                for name, value in identity.items()
                for where, stored, given in _unequal(name, known.get(name), value)
            ]
            if changes:
                raise OtherCampaign(self.path, "; ".join(changes))
        elif self._query("SELECT count(*) FROM sqlite_schema") != [(0,)]:
            raise StoreError(f"{self.path} is an SQLite file but not a disac run; nothing was changed")
        self.file_system = file_system_type(self.path)
        self.on_network = is_network_file_system(self.file_system)
        self.without_log = self.on_network or not self._took_log()
        if self.without_log:
            self._query("PRAGMA journal_mode = TRUNCATE")
        self._query(f"PRAGMA synchronous = {'FULL' if self.journal_mode != 'wal' else 'NORMAL'}")
        with self.transaction():
            if not self._has_tables():
                for statement in _SCHEMA.split(";"):
                    self._query(statement)
                self.set_meta(identity)
                self._query(f"PRAGMA user_version = {SCHEMA_VERSION}")
                self._query(f"PRAGMA application_id = {APPLICATION_ID}")
            self._kinds = self.kinds()
            self._next = {point.key: point.first_trial + point.trials for point in self.points()}
            if begin is not None:
                begin(self)

    def _took_log(self) -> bool:
        """Whether the file system lets SQLite keep a write-ahead log, which needs shared memory."""
        try:
            return self._query("PRAGMA journal_mode = WAL") == [("wal",)]
        except StoreBusy:
            raise
        except StoreError:
            return False

    def _has_tables(self) -> bool:
        with explained(self.path):
            return self._has_schema()

    @property
    def journal_note(self) -> str:
        """One sentence on how the file is protected and why."""
        if self.on_network:
            return (
                f"{self.path} is on a network file system ({self.file_system}): rollback journal instead of a "
                "write-ahead log, and viewers may have to wait for the writer"
            )
        if self.without_log:
            return f"{self.path} is on {self.file_system}, which takes no write-ahead log: rollback journal instead"
        return f"{self.path} is on {self.file_system}: journal mode {self.journal_mode}"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        self._query("BEGIN IMMEDIATE")
        try:
            yield
            self._seal(self._changed)
            self._query("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise
        finally:
            self._changed.clear()

    def _seal(self, names: Iterable[str]) -> None:
        """Store the digests of small tables."""
        for name in sorted(names):
            self._query("INSERT OR REPLACE INTO seals VALUES (?, ?)", (name, self._digest_of_table(name)))

    def _touch(self, name: str) -> None:
        """Note that a small table has another content now."""
        if self._db.in_transaction:
            self._changed.add(name)
        else:
            self._seal([name])

    def set_meta(self, values: Mapping[str, object]) -> None:
        """Add or replace descriptions of the run; values are stored as JSON."""
        with explained(self.path):
            self._db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                [(key, json.dumps(value)) for key, value in values.items()],
            )
        self._touch("meta")

    def add_point(self, key: int, fields: Point, first_trial: int = 0) -> None:
        """Append a point to the sweep unless the run has it."""
        if key not in self._next:
            self._query(
                "INSERT INTO points SELECT ?, coalesce(max(position) + 1, 0), ?, ? FROM points",
                (key, first_trial, json.dumps(dict(fields))),
            )
            self._next[key] = first_trial
            self._touch("points")

    def declare_columns(self, columns: Mapping[str, Column]) -> None:
        """Store unit and description of columns that exist already or will.

        Raises
        ------
        StoreError : they are more than an SQLite table takes.
        """
        self._check_width(columns)
        self._declared = dict(columns)
        with explained(self.path):
            self._db.executemany(
                "UPDATE columns SET unit = ?, description = ? WHERE name = ?",
                [(column.unit, column.description, name) for name, column in columns.items()],
            )
        self._touch("columns")

    def _check_width(self, columns: Collection[str]) -> None:
        most = self._db.getlimit(sqlite3.SQLITE_LIMIT_COLUMN) - 2
        if len(columns) > most:
            raise StoreError(
                f"{self.path}: a record has {len(columns)} columns, more than the {most} that an SQLite table takes; "
                "store long arrays in fewer columns"
            )

    def add_timing(self, other: RunReader) -> None:
        """Copy the timing table of another run."""
        table = other.timing()
        with explained(self.path):
            self._db.executemany(
                "INSERT INTO timing VALUES (?, ?, ?, ?, ?, ?)",
                zip(*(values.tolist() for values in table.values()), strict=True),
            )

    def drop_stops(self) -> None:
        """Forget why points stopped, because another policy decides now."""
        self._query("DELETE FROM stops")
        self._touch("stops")

    def commit(
        self,
        point: int,
        first: int,
        rows: Sequence[Record | Failure],
        *,
        timing: BatchTiming | None = None,
        stop: StopReason | None = None,
        detail: str = "",
    ) -> None:
        """Append trials ``first``, ``first + 1``, ... of a point, and with them the reason if they are its last.

        Raises
        ------
        StoreFull : the disk is full; nothing of this batch is stored.
        StoreError : ``first`` is not the point's next trial, or a column mixes text and numbers.
        """
        if first != self._next.get(point):
            raise StoreError(f"{self.path}: trial {first} of point {point} is not the next, {self._next.get(point)}")
        kinds = widened(self._kinds, (row for row in rows if not isinstance(row, Failure)))
        parts = [part for name, kind in kinds.items() for part in sql_names(name, kind)]
        self._check_width(parts)
        numbered = list(enumerate(rows, first))
        records = [(trial, *to_row(row, kinds)) for trial, row in numbered if not isinstance(row, Failure)]
        failures = [(trial, row.kind, row.message, row.trace) for trial, row in numbered if isinstance(row, Failure)]
        with self.transaction():
            self._add_columns(kinds)
            names = ["trial", *map(quoted, parts), "point"]
            with explained(self.path):
                self._db.executemany(
                    f"INSERT INTO records ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                    ((*row, point) for row in records),
                )
                self._db.executemany(
                    "INSERT INTO failures (trial, kind, message, trace, point) VALUES (?, ?, ?, ?, ?)",
                    ((*row, point) for row in failures),
                )
            if rows:
                digest = _batch_digest(parts, records, failures)
                self._query("INSERT INTO batches VALUES (?, ?, ?, ?)", (point, first, len(rows), digest))
            if timing is not None:
                where = (point, first, len(rows), timing.started, timing.seconds, timing.worker)
                self._query("INSERT INTO timing VALUES (?, ?, ?, ?, ?, ?)", where)
            if stop is not None:
                reason = (point, first + len(rows), stop.kind, stop.text, stop.repeatable, detail)
                self._query("INSERT OR REPLACE INTO stops VALUES (?, ?, ?, ?, ?, ?)", reason)
                self._touch("stops")
        self._kinds = kinds
        self._next[point] = first + len(rows)

    def _add_columns(self, kinds: Mapping[str, str]) -> None:
        for position, (name, kind) in enumerate(kinds.items()):
            before = self._kinds.get(name)
            if kind == before:
                continue
            for part in sql_names(name, kind)[len(sql_names(name, before)) if before else 0 :]:
                self._query(f"ALTER TABLE records ADD COLUMN {quoted(part)}")
            if kind == "complex" and before is not None:
                self._query(f"UPDATE records SET {quoted(part)} = 0.0 WHERE {quoted(name)} IS NOT NULL")
            column = self._declared.get(name, Column())
            description = (name, position, kind, column.unit, column.description)
            self._query("INSERT OR REPLACE INTO columns VALUES (?, ?, ?, ?, ?)", description)
            self._touch("columns")

    def close(self) -> None:
        """Fold the log into the file, so that it can be copied alone and read in a read-only folder; free the run."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()
        self._lock.release()
