"""What can be done with stored runs: look at them, go on with them, repeat a trial, merge and compare them."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from disac.experiments.campaign.runner import CampaignResult, Progress, Shard, run_campaign
from disac.experiments.campaign.worker import BatchTask, clear_caches, pickled, pinned_threads, process_name, run_batch
from disac.experiments.runs.frames import mean_and_error
from disac.experiments.runs.provenance import code_changes
from disac.experiments.runs.store import PointStatus, RunReader, RunWriter, StoreError, differences, writer_of
from disac.experiments.trials.experiment import Experiment, Record, rebuild
from disac.experiments.trials.failure import Failure
from disac.experiments.trials.keys import MAX_TRIALS, Point
from disac.experiments.trials.stopping import FixedTrials, Prefix, StoppingPolicy, StopReason, policy_from_dict

_MERGE_CHUNK = 4096


@dataclass(frozen=True)
class RunStatus:
    """State of a run as its file holds it now.

    Attributes
    ----------
    writer : the process that writes it, None when nobody does.
    meta : experiment, seed, configuration, policy, shard and sessions with their provenance.
    size_bytes : size of the file and of its write-ahead log.
    """

    path: Path
    meta: dict[str, Any]
    points: tuple[PointStatus, ...]
    writer: str | None
    journal_mode: str
    size_bytes: int

    @property
    def state(self) -> str:
        """ "running", "complete" or "unfinished" (interrupted, or a point's set-up failed)."""
        if self.writer is not None:
            return "running"
        stops = [point.stop for point in self.points]
        done = all(stop is not None and stop.kind != "setup-failed" for stop in stops)
        return "complete" if done and not self.missing else "unfinished"

    @property
    def code_changes(self) -> tuple[str, ...]:
        """What changed between the run's sessions that may change a number: versions, sources, processor."""
        return tuple(code_changes(self.meta.get("sessions", ())))

    @property
    def missing(self) -> tuple[str, ...]:
        """What a merged run lacks of the campaign whose parts it joins, a phrase each; nothing in a run of its own."""
        if "merged_from" not in self.meta:
            return ()
        parts = [(int(index), int(count)) for index, count in self.meta.get("shards", ())]
        lacking = sorted({(i, n) for _, n in parts for i in range(1, n + 1)} - set(parts))
        policy = policy_from_dict(self.meta["stopping"])
        if type(policy) is not FixedTrials:
            return tuple(f"the points of shard {i} of {n}" for i, n in lacking)
        ranges: Counter[tuple[int, int]] = Counter()
        for point in self.points:
            end = point.first_trial + point.trials
            ranges.update(gap for gap in ((0, point.first_trial), (end, policy.trials)) if gap[0] < gap[1])
        return tuple(
            f"trials {first} to {end - 1} of "
            + ("every point" if count == len(self.points) else f"{count} of {len(self.points)} points")
            for (first, end), count in sorted(ranges.items())
        )


def status(path: str | os.PathLike[str], *, check: bool = False) -> RunStatus:
    """Look at a run, also while it is written.

    Parameters
    ----------
    check : read all of it and compare it with the digests that were written with it.

    Raises
    ------
    StoreError : there is no run, or, with ``check``, a bit of its results is not what was written.
    """
    with RunReader(path) as reader, reader.snapshot():
        if check:
            reader.verify()
        log = Path(f"{reader.path}-wal")
        return RunStatus(
            path=reader.path,
            meta=reader.meta(),
            points=tuple(reader.points()),
            writer=writer_of(path),
            journal_mode=reader.journal_mode,
            size_bytes=sum(file.stat().st_size for file in (reader.path, log) if file.exists()),
        )


@dataclass(frozen=True)
class ColumnMean:
    """Mean of a numeric column over the successful trials of a point, and its standard error."""

    mean: complex | float
    standard_error: float
    unit: str


def show(path: str | os.PathLike[str]) -> list[tuple[PointStatus, dict[str, ColumnMean]]]:
    """Every point of a run with the means of its columns; texts are left out."""
    with RunReader(path) as reader, reader.snapshot():
        units = {name: column.unit for name, column in reader.columns().items()}
        shown = []
        for point in reader.points():
            table = reader.table(point.key)
            means = {
                name: ColumnMean(*mean_and_error(values), units[name])
                for name, values in table.items()
                if name != "trial" and values.dtype != object and len(values)
            }
            shown.append((point, means))
        return shown


def experiment_of(path: str | os.PathLike[str]) -> Experiment:
    """Rebuild the experiment of a run from its file, or from what lies beside it.

    Raises
    ------
    ExperimentError : see `disac.experiments.trials.experiment.rebuild`.
    """
    with RunReader(path) as reader, reader.snapshot():
        points = [point.fields for point in reader.points()]
        meta = reader.meta()
        sessions = meta.get("sessions", ())
        imports = sessions[-1]["provenance"].get("imports", ()) if sessions else ()
        return rebuild(meta["config"], points, reader.path.resolve().parent, imports)


def resume(
    path: str | os.PathLike[str],
    *,
    experiment: Experiment | None = None,
    executor: Executor | None = None,
    workers: int = 1,
    progress: Callable[[Progress], object] | None = None,
    timeout_s: float | None = None,
    rerun_line: str = "",
) -> CampaignResult:
    """Go on with an unfinished run with its own seed, policy and shard; see `run_campaign`."""
    meta = status(path).meta
    return run_campaign(
        experiment if experiment is not None else experiment_of(path),
        path,
        seed=int(meta["seed"]),
        stopping=policy_from_dict(meta["stopping"]),
        shard=None if meta["shard"] is None else Shard(*meta["shard"]),
        executor=executor,
        workers=workers,
        progress=progress,
        resume=True,
        timeout_s=timeout_s,
        rerun_line=rerun_line,
    )


@dataclass(frozen=True)
class Replay:
    """One trial run again.

    Attributes
    ----------
    row : its record or failure now.
    stored : what the run holds, None when it has not come to this trial.
    identical : whether they agree in every bit, None when there is nothing to compare.
    """

    point: PointStatus
    trial: int
    row: Record | Failure
    stored: Record | Failure | None
    identical: bool | None


def replay(experiment: Experiment | None, path: str | os.PathLike[str], point: int | str | Point, trial: int) -> Replay:
    """Run one trial of a run again, alone.

    Parameters
    ----------
    experiment : the run's experiment; None rebuilds it from the file.
    point : number of the point in the sweep (from 0), its key, or all its fields.
    trial : number of the trial, also one that the run has not come to.

    Raises
    ------
    StoreError : the run has no such point.
    """
    if not 0 <= trial < MAX_TRIALS:
        raise ValueError(f"trial is {trial}, must be in 0..2^32-1")
    known = experiment if experiment is not None else experiment_of(path)
    with RunReader(path) as reader, reader.snapshot():
        found = reader.find_point(point)
        seed = int(reader.meta()["seed"])
        stored = reader.row(found.key, trial)
        task = BatchTask(pickled(known), found.key, found.fields, seed, trial, trial + 1, process_name())
        clear_caches()
        with pinned_threads():
            outcome = run_batch(task)
        clear_caches()
        row = outcome.setup_failure if outcome.setup_failure is not None else outcome.rows[0]
        return Replay(found, trial, row, stored, None if stored is None else _same(reader, row, stored))


def _same(reader: RunReader, now: Record | Failure, stored: Record | Failure) -> bool:
    if isinstance(now, Failure) or isinstance(stored, Failure):
        return (
            isinstance(now, Failure)
            and isinstance(stored, Failure)
            and (now.kind, now.message) == (stored.kind, stored.message)
        )
    return reader.same_bits(now, stored)


def merge(paths: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> RunStatus:
    """Write the union of runs of one campaign (shards, or runs of other points or more trials) as one run.

    The result equals one run of everything: trials that several runs hold must agree in every bit, and the trials of a
    point must have no gap. What the runs lack of the whole campaign is in :attr:`RunStatus.missing`, and the line that
    gives the same run again in its meta value "rerun".

    Raises
    ------
    StoreError : ``out`` exists; the runs differ in experiment, seed or configuration; a trial differs or is lacking.
    """
    target = Path(out)
    if target.exists():
        raise StoreError(f"{target} exists; choose another name")
    if not paths:
        raise ValueError("merge needs at least one run")
    partial = Path(f"{target}.partial")
    partial.unlink(missing_ok=True)
    try:
        with ExitStack() as stack:
            readers = [stack.enter_context(RunReader(path)) for path in paths]
            for reader in readers:
                stack.enter_context(reader.snapshot())
                reader.verify()
            meta = _common_meta(readers)
            writer = stack.enter_context(RunWriter(partial))
            with writer.transaction():
                writer.set_meta(meta)
                for reader in readers:
                    writer.declare_columns(reader.columns())
            for key, fields in _all_points(readers).items():
                _merge_point(readers, writer, key, fields, policy_from_dict(meta["stopping"]))
            with writer.transaction():
                for reader in readers:
                    writer.add_timing(reader)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return status(target)


def _common_meta(readers: Sequence[RunReader]) -> dict[str, Any]:
    metas = [reader.meta() for reader in readers]
    for reader, meta in zip(readers, metas, strict=True):
        for name in ("experiment", "seed", "config"):
            if meta[name] != metas[0][name]:
                found = differences(name, metas[0][name], meta[name])
                raise StoreError(f"{reader.path} is not of the campaign of {readers[0].path}: {found[0]}")
    longest = max(range(len(readers)), key=lambda i: max((p.trials for p in readers[i].points()), default=0))
    sessions = [session for meta in metas for session in meta["sessions"]]
    return {
        **metas[0],
        "stopping": metas[longest]["stopping"],
        "shard": None,
        "shards": sorted({tuple(part) for meta in metas for part in _shards(meta)}),
        "sessions": sessions,
        "merged_from": [str(reader.path) for reader in readers],
        "rerun": _rerun_of_all(metas),
    }


def _shards(meta: Mapping[str, Any]) -> list[list[int]]:
    """Parts (i, n) of a campaign that a run is or has been merged from."""
    return [meta["shard"]] if meta["shard"] is not None else meta.get("shards", [])


def _rerun_of_all(metas: Sequence[Mapping[str, Any]]) -> str:
    """The one line of a whole campaign where its shards are all there, else the lines of the parts and their merger."""
    lines = [meta.get("rerun") or meta["sessions"][0]["provenance"]["rerun"] for meta in metas]
    if not all(lines):
        return ""
    whole = {_without(line, "--shard", "--workers") for line in lines}
    parts = [(index, count) for meta in metas for index, count in _shards(meta)]
    if len(whole) == 1 and (not parts or {i for i, _ in parts} == set(range(1, parts[0][1] + 1))):
        return _without(lines[0], "--shard")
    folders = [f"part-{i}" for i in range(1, len(lines) + 1)]
    runs = [f"{line} --out {folder}" for line, folder in zip(lines, folders, strict=True)]
    return " && ".join([*runs, f"disac merge {' '.join(folders)} --out merged"])


def _without(line: str, *options: str) -> str:
    """A command line without some of its options and their values."""
    words = iter(shlex.split(line))
    kept = []
    for word in words:
        if word in options:
            next(words, None)
        elif word.partition("=")[0] not in options:
            kept.append(word)
    return shlex.join(kept)


def _all_points(readers: Sequence[RunReader]) -> dict[int, dict[str, Any]]:
    return {point.key: point.fields for reader in readers for point in reader.points()}


def _merge_point(
    readers: Sequence[RunReader], writer: RunWriter, key: int, fields: Point, policy: StoppingPolicy
) -> None:
    rows: dict[int, Record | Failure] = {}
    stops: dict[int, tuple[StopReason, str]] = {}
    for reader in readers:
        for trial, row in reader.rows(key):
            known = rows.setdefault(trial, row)
            if known is not row and not _same(reader, known, row):
                raise StoreError(
                    f"{reader.path}: trial {trial} of point {fields} differs from the same trial elsewhere"
                )
        for point in reader.points():
            if point.key == key and point.stop is not None:
                stops[point.first_trial + point.trials] = (point.stop, reader.stop_detail(key))
    trials = sorted(rows)
    first = trials[0] if trials else 0
    end = first + len(trials)
    if trials and trials[-1] != end - 1:
        lacking = next(trial for trial in range(first, trials[-1]) if trial not in rows)
        raise StoreError(f"trial {lacking} of point {fields} is in none of the runs; merge its shard too")
    stop, detail = stops.get(end, (None, ""))
    if stop is not None and stop.kind == "fixed-trials" and type(policy) is FixedTrials:
        stop = _reason_of_all(first, end, policy)
    writer.add_point(key, fields, first)
    for start in range(first, max(end, first + 1), _MERGE_CHUNK):
        chunk = [rows[trial] for trial in range(start, min(start + _MERGE_CHUNK, end))]
        last = start + len(chunk) == end
        writer.commit(key, start, chunk, stop=stop if last else None, detail=detail if last else "")


def _reason_of_all(first: int, end: int, policy: FixedTrials) -> StopReason | None:
    """Why the trials ``first`` to ``end - 1`` are a point's last: all that were asked for, or their last part."""
    if end < policy.trials:
        return None
    if first == 0:
        return policy.decide(Prefix(policy.trials, {}))
    return StopReason("fixed-trials", f"trials {first} to {end - 1}, the last part of {policy.trials} asked for")


@dataclass(frozen=True)
class ColumnComparison:
    """Means of one column in two runs; ``standard_error`` is that of their difference, paired where trials are."""

    mean_a: float
    mean_b: float
    standard_error: float


@dataclass(frozen=True)
class PointComparison:
    """One point of both runs: trials of each, trials that both have, and how many of these agree in every bit."""

    fields: dict[str, Any]
    trials_a: int
    trials_b: int
    common: int
    identical: int
    columns: dict[str, ColumnComparison]


@dataclass(frozen=True)
class RunComparison:
    """How two runs differ: points that only one has, and the points that both have.

    ``experiments`` are their names. ``description`` holds lines on other differences (seed, configuration, stopping
    policy, library versions), which do not make the records differ.
    """

    experiments: tuple[str, str]
    description: tuple[str, ...]
    only_a: tuple[dict[str, Any], ...]
    only_b: tuple[dict[str, Any], ...]
    points: tuple[PointComparison, ...]

    @property
    def identical(self) -> bool:
        """Whether both hold the same points with the same trials, bit for bit."""
        same = all(p.trials_a == p.trials_b == p.common == p.identical for p in self.points)
        return same and not self.only_a and not self.only_b


def compare(path_a: str | os.PathLike[str], path_b: str | os.PathLike[str]) -> RunComparison:
    """Compare two runs point by point."""
    with RunReader(path_a) as a, RunReader(path_b) as b, a.snapshot(), b.snapshot():
        meta_a, meta_b = a.meta(), b.meta()
        lines = [
            line
            for name in ("experiment", "seed", "config", "stopping")
            for line in differences(name, meta_a[name], meta_b[name])
        ]
        versions_a, versions_b = (meta["sessions"][-1]["provenance"]["distributions"] for meta in (meta_a, meta_b))
        lines += differences("distributions", versions_a, versions_b)
        points_a, points_b = _all_points([a]), _all_points([b])
        paired = meta_a["seed"] == meta_b["seed"]
        return RunComparison(
            experiments=(meta_a["experiment"], meta_b["experiment"]),
            description=tuple(lines),
            only_a=tuple(fields for key, fields in points_a.items() if key not in points_b),
            only_b=tuple(fields for key, fields in points_b.items() if key not in points_a),
            points=tuple(
                _compare_point(a, b, key, fields, paired) for key, fields in points_a.items() if key in points_b
            ),
        )


def _compare_point(a: RunReader, b: RunReader, key: int, fields: dict[str, Any], paired: bool) -> PointComparison:
    rows_a, rows_b = dict(a.rows(key)), dict(b.rows(key))
    common = rows_a.keys() & rows_b.keys()
    table_a, table_b = a.table(key), b.table(key)
    shared = np.isin(table_a["trial"], table_b["trial"]), np.isin(table_b["trial"], table_a["trial"])
    columns = {}
    for name, values in table_a.items():
        other = table_b.get(name)
        if name == "trial" or other is None or {values.dtype.kind, other.dtype.kind} & set("Oc"):
            continue
        x, y = values.astype(float), other.astype(float)
        if not len(x) or not len(y):
            continue
        if paired and shared[0].sum() > 1:
            error = np.std(x[shared[0]] - y[shared[1]], ddof=1) / np.sqrt(shared[0].sum())
        else:
            error = np.sqrt(sum(np.var(v, ddof=1) / len(v) if len(v) > 1 else np.nan for v in (x, y)))
        columns[name] = ColumnComparison(float(np.mean(x)), float(np.mean(y)), float(error))
    return PointComparison(
        fields=fields,
        trials_a=len(rows_a),
        trials_b=len(rows_b),
        common=len(common),
        identical=sum(_same(a, rows_a[trial], rows_b[trial]) for trial in common),
        columns=columns,
    )
