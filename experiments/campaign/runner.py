"""The runner: keys, batches, order, retries, recording and stopping of a Monte Carlo campaign.

Records depend on seed, point and trial alone. Batches may come back in any order from any executor; they are
committed in trial order, policies see only committed prefixes at fixed checkpoints, and trials computed beyond a stop
are dropped. So one worker, many workers and an interrupted and resumed run leave the same file, timing apart.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from disac.experiments.campaign.executors import (
    LocalPool,
    NoWorkersHere,
    SerialExecutor,
    WorkerDied,
    blames_bystanders,
    check_executor,
    is_worker_death,
    slots_of,
)
from disac.experiments.campaign.interrupts import noticed_interrupts, raise_interrupt
from disac.experiments.campaign.worker import (
    BatchOutcome,
    BatchTask,
    clear_caches,
    pickled,
    pinned_threads,
    process_name,
    run_batch,
)
from disac.experiments.runs.folder import STORE
from disac.experiments.runs.provenance import code_changes, provenance
from disac.experiments.runs.store import (
    BatchTiming,
    PointStatus,
    RunReader,
    RunWriter,
    StoredFailure,
    StoreError,
    Table,
    remove_run,
)
from disac.experiments.trials.experiment import Experiment, ExperimentError, Record, columns_of, configuration
from disac.experiments.trials.failure import Failure
from disac.experiments.trials.keys import Point, plain_point, point_key
from disac.experiments.trials.stopping import (
    FirstOf,
    FixedTrials,
    Prefix,
    StoppingPolicy,
    StopReason,
    TrialCap,
    policy_to_dict,
)
from disac.registration import plugins

_BATCH_SECONDS = 0.5
_MOST_IN_BATCH = 1024
_DEATHS_ALLOWED = 2


@dataclass(frozen=True)
class Shard:
    """Part ``index`` of ``count`` of a campaign, counted from 1, as in ``--shard 2/8`` of an array job.

    With a fixed number of trials every shard takes a contiguous block of the trials of every point. A sequential policy
    needs all trials of a point in one place: then a shard takes every ``count``-th point.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ValueError(f"shard is {self.index}/{self.count}, must be i/n with 1 <= i <= n")

    def split(self, points: Sequence[Point], policy: StoppingPolicy) -> tuple[Sequence[Point], int, StoppingPolicy]:
        """Points of this shard, its first trial, and its policy."""
        if type(policy) is FixedTrials:
            first, stop = ((part * policy.trials) // self.count for part in (self.index - 1, self.index))
            return (points if stop > first else ()), first, _Share(max(stop, 1), first, self, policy.trials)
        return points[self.index - 1 :: self.count], 0, policy


@dataclass(frozen=True)
class _Share(FixedTrials):
    """Stop where a shard's block of a fixed number of trials ends."""

    first: int
    shard: Shard
    asked: int

    def decide(self, prefix: Prefix) -> StopReason | None:
        i, n = self.shard.index, self.shard.count
        return StopReason(
            "fixed-trials",
            f"{self.trials - self.first} trials, the share of shard {i} of {n} in {self.asked} asked for",
        )


@dataclass(frozen=True)
class Progress:
    """What has just been committed, for a progress display.

    Attributes
    ----------
    point, point_index, n_points : the batch's point and its place in the sweep.
    trials, failed : trials committed at that point.
    rows : records and failures of the batch.
    done : trials committed in this call of the runner, over all points.
    expected : upper bound of the trials of this call, None when the policy has none.
    elapsed_s : wall time of this call.
    """

    point: Point
    point_index: int
    n_points: int
    trials: int
    failed: int
    rows: tuple[Record | Failure, ...]
    done: int
    expected: int | None
    elapsed_s: float

    @property
    def trials_per_second(self) -> float:
        """Mean rate of this call."""
        return self.done / self.elapsed_s if self.elapsed_s > 0 else 0.0


@dataclass(frozen=True)
class CampaignResult:
    """A run as its file holds it when the campaign ends. Records stay in the file and are read when asked for."""

    path: Path
    points: tuple[PointStatus, ...]
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every point has its reason to stop and none is a failed set-up."""
        return all(point.stop is not None and point.stop.kind != "setup-failed" for point in self.points)

    @property
    def failed(self) -> int:
        """Failed trials over all points."""
        return sum(point.failed for point in self.points)

    def records(self, index: int) -> list[Record]:
        """Records of the successful trials of point ``index`` of the sweep, in trial order."""
        with RunReader(self.path) as reader:
            return [record for _, record in reader.records(self.points[index].key)]

    def table(self, index: int) -> Table:
        """The same as one array per column, with "trial"."""
        with RunReader(self.path) as reader:
            return reader.table(self.points[index].key)

    def failures(self, index: int) -> list[StoredFailure]:
        """Failed trials of point ``index``."""
        with RunReader(self.path) as reader:
            return reader.failures(self.points[index].key)


class CampaignInterrupted(KeyboardInterrupt):
    """Ctrl-C during a campaign. What was committed is in ``result``, and the run can be resumed."""

    def __init__(self, result: CampaignResult) -> None:
        super().__init__(f"interrupted; {sum(p.trials for p in result.points)} trials are in {result.path}")
        self.result = result


@dataclass(eq=False)
class _PointRun:
    """Progress of one point: committed <= submitted, outcomes waiting for their turn, what the policy looks at."""

    key: int
    fields: Point
    index: int
    committed: int
    limit: int
    submitted: int
    failed: int
    seconds: float
    values: dict[str, list[float]]
    waiting: dict[int, BatchOutcome] = field(default_factory=dict)
    alone: deque[int] = field(default_factory=deque)
    deaths: dict[int, int] = field(default_factory=dict)
    seconds_per_trial: float | None = None
    single: bool = False

    def prefix(self, trials: int) -> Prefix:
        return Prefix(trials, {name: np.array(values) for name, values in self.values.items()})


class _Campaign:
    """State of one call of `run_campaign`."""

    def __init__(
        self,
        experiment: Experiment,
        policy: StoppingPolicy,
        store: RunWriter,
        executor: Executor,
        *,
        seed: int,
        slots: int,
        batch_size: int | None,
        limit_s: float | None,
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self.policy = policy
        self.store = store
        self.executor = executor
        self.seed = seed
        self.slots = slots
        self.window = 1 if isinstance(executor, SerialExecutor) else 2 * slots
        self.batch_size = batch_size
        self.limit_s = limit_s
        self.progress = progress
        self.blob = pickled(experiment)
        self.imports = plugins()
        self.home = process_name()
        self.in_flight: dict[Future[BatchOutcome], tuple[_PointRun, BatchTask]] = {}
        self.suspects: deque[tuple[_PointRun, int]] = deque()
        self.tried_alone: Future[BatchOutcome] | None = None
        self.active: list[_PointRun] = []
        self.begin = time.perf_counter()
        self.done = 0
        self.n_points = 0
        self.expected: int | None = None

    def run(self, keys: Sequence[int]) -> None:
        stored = {point.key: point for point in self.store.points()}
        self.n_points = len(keys)
        for index, key in enumerate(keys):
            point = stored[key]
            if point.stop is None or point.stop.kind == "setup-failed":
                self._open(point, index)
        if self.policy.most_trials is not None:
            self.expected = sum(max(self.policy.most_trials - run.committed, 0) for run in self.active)
        try:
            while self.active:
                self._submit()
                raise_interrupt()
                for future in wait(self.in_flight, return_when=FIRST_COMPLETED).done:
                    self._receive(future)
                raise_interrupt()
        finally:
            for future in self.in_flight:
                future.cancel()

    def _submit(self) -> None:
        """Fill the window. A suspect is tried when nothing else runs, so that whoever dies dies of it."""
        while self.suspects and self.suspects[0][0] not in self.active:
            self.suspects.popleft()
        if self.suspects:
            if not self.in_flight:
                run, trial = self.suspects.popleft()
                task = self._task(run, trial, trial + 1)
                self.tried_alone = self.executor.submit(run_batch, task)
                self.in_flight[self.tried_alone] = run, task
            return
        while len(self.in_flight) < self.window and (found := self._next_task()) is not None:
            self.in_flight[self.executor.submit(run_batch, found[1])] = found

    def _open(self, point: PointStatus, index: int) -> None:
        names = self.policy.columns
        table = self.store.table(point.key, names)
        committed = point.first_trial + point.trials
        run = _PointRun(
            key=point.key,
            fields=point.fields,
            index=index,
            committed=committed,
            limit=0,
            submitted=committed,
            failed=point.failed,
            seconds=point.seconds,
            values={name: list(table.get(name, ())) for name in names},
        )
        self.active.append(run)
        limit = self.policy.checkpoint(max(committed, 1))
        if limit == committed:
            reason = self.policy.decide(run.prefix(committed))
            if reason is not None:
                self._finish(run, (), None, reason)
                return
            limit = self.policy.checkpoint(committed + 1)
        run.limit = self._bounded(limit)

    def _bounded(self, limit: int | None) -> int:
        most = self.policy.most_trials
        if limit is None:
            return 2**32 if most is None else most
        return limit if most is None else min(limit, most)

    def _next_task(self) -> tuple[_PointRun, BatchTask] | None:
        """Next piece of work: lost trials first, then trials certain to be needed, then some that may be."""
        for run in self.active:
            if run.alone:
                trial = run.alone.popleft()
                return run, self._task(run, trial, trial + 1)
        for run in self.active:
            if run.submitted < run.limit:
                return run, self._batch(run, run.limit)
        for run in self.active:
            beyond = self._bounded(self.policy.checkpoint(run.limit + 1))
            if run.submitted < beyond:
                return run, self._batch(run, beyond)
        return None

    def _task(self, run: _PointRun, first: int, stop: int) -> BatchTask:
        return BatchTask(self.blob, run.key, run.fields, self.seed, first, stop, self.home, self.limit_s, self.imports)

    def _batch(self, run: _PointRun, end: int) -> BatchTask:
        left = end - run.submitted
        if run.single:
            size = 1
        elif self.batch_size is not None:
            size = self.batch_size
        elif run.seconds_per_trial is None:
            size = 1
        else:
            goal = _BATCH_SECONDS if self.limit_s is None else min(_BATCH_SECONDS, self.limit_s / 4)
            size = min(int(goal / max(run.seconds_per_trial, 1e-9)), _MOST_IN_BATCH, -(-left // self.slots))
        first = run.submitted
        run.submitted += min(max(size, 1), left)
        return self._task(run, first, run.submitted)

    def _receive(self, future: Future[BatchOutcome]) -> None:
        run, task = self.in_flight.pop(future)
        if run not in self.active:
            return
        error = future.exception()
        if error is None:
            outcome = future.result()
        elif blames_bystanders(error) and future is not self.tried_alone:
            self.suspects.extend((run, trial) for trial in range(task.first, task.stop))
            return
        elif is_worker_death(error):
            lost = self._lost(run, task, error)
            if lost is None:
                return
            outcome = lost
        else:
            raise error
        if outcome.setup_failure is not None:
            trouble = outcome.setup_failure
            self._finish(run, (), None, StopReason("setup-failed", trouble.message), trouble.trace)
            return
        run.seconds_per_trial = outcome.seconds / (task.stop - task.first)
        run.waiting[task.first] = outcome
        while run in self.active and run.committed in run.waiting:
            self._commit(run, run.waiting.pop(run.committed))

    def _lost(self, run: _PointRun, task: BatchTask, error: BaseException) -> BatchOutcome | None:
        """Split a batch whose worker died into trials that run alone; give up a trial that killed its worker twice."""
        died = error if isinstance(error, WorkerDied) else WorkerDied("killed", False, str(error))
        if died.in_setup:
            run.deaths[-1] = run.deaths.get(-1, 0) + 1
            if run.deaths[-1] >= _DEATHS_ALLOWED:
                trouble = Failure(died.cause, "the process died in the set-up of this point, twice", died.trace)
                return BatchOutcome((), trouble, time.time(), 0.0, "")
        elif task.stop - task.first == 1:
            run.deaths[task.first] = run.deaths.get(task.first, 0) + 1
            if died.cause == "timeout" or run.deaths[task.first] >= _DEATHS_ALLOWED:
                late = f"ran longer than {task.limit_s} s"
                row = Failure(died.cause, late if died.cause == "timeout" else "killed its process twice", died.trace)
                return BatchOutcome((row,), None, time.time(), task.limit_s or 0.0, "")
        elif died.cause == "timeout":
            run.single = True
        if blames_bystanders(error):
            self.suspects.append((run, task.first))
        else:
            run.alone.extend(range(task.first, task.stop))
        return None

    def _commit(self, run: _PointRun, outcome: BatchOutcome) -> None:
        after = run.committed + len(outcome.rows)
        for name, values in run.values.items():
            for row in outcome.rows:
                if not isinstance(row, Failure):
                    values.append(self._number(name, row))
        timing = BatchTiming(outcome.started, outcome.seconds, outcome.worker)
        reason = self.policy.overtime(run.seconds + outcome.seconds)
        if after == run.limit:
            decided = self.policy.decide(run.prefix(after))
            reason = decided or reason
        self._finish(run, outcome.rows, timing, reason)
        if reason is None and after == run.limit:
            run.limit = self._bounded(self.policy.checkpoint(after + 1))

    def _number(self, name: str, row: Record) -> float:
        value = row.get(name)
        if not isinstance(value, int | float):
            raise ExperimentError(f"the stopping policy needs column {name!r} as a number; a record has {value!r}")
        return float(value)

    def _finish(
        self,
        run: _PointRun,
        rows: tuple[Record | Failure, ...],
        timing: BatchTiming | None,
        stop: StopReason | None,
        detail: str = "",
    ) -> None:
        self.store.commit(run.key, run.committed, rows, timing=timing, stop=stop, detail=detail)
        run.committed += len(rows)
        run.failed += sum(isinstance(row, Failure) for row in rows)
        run.seconds += timing.seconds if timing is not None else 0.0
        self.done += len(rows)
        if stop is not None:
            self.active.remove(run)
        if self.progress is not None:
            elapsed = time.perf_counter() - self.begin
            self.progress(
                Progress(
                    run.fields,
                    run.index,
                    self.n_points,
                    run.committed,
                    run.failed,
                    rows,
                    self.done,
                    self.expected,
                    elapsed,
                )
            )


def run_campaign(
    experiment: Experiment,
    store_path: str | os.PathLike[str],
    *,
    seed: int,
    stopping: StoppingPolicy | None = None,
    trials: int | None = None,
    executor: Executor | None = None,
    workers: int = 1,
    batch_size: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    shard: Shard | tuple[int, int] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    timeout_s: float | None = None,
    rerun_line: str = "",
) -> CampaignResult:
    """Run an experiment until every point has its reason to stop, and store all records in one file.

    Parameters
    ----------
    experiment : see `Experiment`.
    store_path : SQLite file of the run, in an existing folder; or a run folder, whose file is ``run.sqlite``: one that
        exists, or a text that ends with ``/``, where a folder is made.
    seed : root seed of all random streams.
    stopping, trials : policy; or a fixed number of trials per point; or both, then ``trials`` caps the policy.
    executor : any `concurrent.futures.Executor` whose workers can import this package. Without one the campaign runs
        in this process for ``workers=1`` and in a `LocalPool` for more.
    workers : worker processes; with an executor, how many tasks it is known to run at a time.
    batch_size : trials per task. By default about half a second's worth, from the measured speed. It changes no record.
    progress : called with a `Progress` after every commit.
    shard : part (i, n) of an array job, see `Shard`.
    resume : go on with the file if it exists. Points may be added; seed and configuration must be the same.
    overwrite : delete the run that the file holds, if it is one, and begin anew.
    timeout_s : limit of one trial (set-up not counted), in a local pool only: the worker is ended and the trial
        recorded as failed. A whole batch that takes longer is run again trial by trial.
    rerun_line : command that repeats the run, stored with it.

    Raises
    ------
    ValueError : a parameter or the experiment's points are wrong.
    StoreError : the file exists and neither ``resume`` nor ``overwrite`` is true, is no run, damaged, newer or in use.
    OtherCampaign : the file belongs to another campaign.
    StoreFull : the disk is full. What was committed stays, and the run can be resumed.
    CampaignInterrupted : Ctrl-C, with the partial result.
    """
    policy = _policy(stopping, trials)
    own_pool = executor is None and (workers > 1 or timeout_s is not None)
    _check_numbers(seed=seed, workers=workers, batch_size=batch_size)
    if timeout_s is not None and not (timeout_s > 0 and (own_pool or isinstance(executor, LocalPool))):
        raise ValueError(f"timeout_s is {timeout_s!r}, must be positive and needs a local pool, not {executor!r}")
    if executor is not None:
        check_executor(executor)
    points = [plain_point(point) for point in experiment.points()]
    _check_points(points)
    part = Shard(*shard) if isinstance(shard, tuple) else shard
    identity = {
        "experiment": experiment.name,
        "seed": str(seed),
        "config": configuration(experiment),
        "shard": None if part is None else [part.index, part.count],
    }
    if resume and overwrite:
        raise ValueError("resume and overwrite exclude each other")
    path = _store_file(os.fspath(store_path))
    if overwrite:
        remove_run(path)
    mine, first, own_policy = (points, 0, policy) if part is None else part.split(points, policy)
    begin = time.perf_counter()
    keys: list[int] = []

    def start(store: RunWriter) -> None:
        here = mine
        if {point_key(point) for point in points} <= {point.key for point in store.points()}:
            here = points  # an experiment rebuilt from a shard has the shard's points alone
        for known in store.points():
            if part is None and known.first_trial > 0:
                raise StoreError(
                    f"{store.path}: trials 0 to {known.first_trial - 1} of point {known.fields} are not in it and can "
                    "only be merged into it; merge the run that holds them"
                )
        _describe(store, policy, session)
        store.declare_columns(columns_of(experiment))
        for point in here:
            keys.append(point_key(point))
            store.add_point(keys[-1], point, first)

    with ExitStack() as stack:
        stack.enter_context(pinned_threads())
        session = {
            "started": time.time(),
            "executor": "pool" if own_pool else "serial" if executor is None else type(executor).__name__,
            "workers": workers,
            "provenance": provenance(rerun_line),
        }
        store = RunWriter(path, resume=resume, identity=identity, begin=start)
        stack.callback(store.close)
        if store.without_log:
            logging.getLogger("disac").warning(store.journal_note)
        for change in code_changes(store.meta()["sessions"][-2:]):
            logging.getLogger("disac").warning(f"{store.path} goes on under other code: {change}")

        def run(where: Executor) -> None:
            _Campaign(
                experiment,
                own_policy,
                store,
                where,
                seed=seed,
                slots=slots_of(where, workers),
                batch_size=batch_size,
                limit_s=timeout_s,
                progress=progress,
            ).run(keys)

        interrupted = False
        try:
            with noticed_interrupts():
                try:
                    run(executor or stack.enter_context(_own_executor(workers, own_pool)))
                except NoWorkersHere as error:
                    if executor is not None or timeout_s is not None:
                        raise
                    logging.getLogger("disac").warning(f"{error}; all trials run in this process")
                    run(stack.enter_context(_own_executor(1, False)))
        except KeyboardInterrupt:
            interrupted = True
        stored = {point.key: point for point in store.points()}
        result = CampaignResult(store.path, tuple(stored[key] for key in keys), time.perf_counter() - begin)
    if interrupted:
        raise CampaignInterrupted(result)
    return result


def _store_file(text: str) -> Path:
    """The run's file: that of a run folder, which is made where the text ends with a slash, or the path itself."""
    path = Path(text)
    if text.endswith(("/", os.sep)):
        path.mkdir(parents=True, exist_ok=True)
    return path / STORE if path.is_dir() else path


def _policy(stopping: StoppingPolicy | None, trials: int | None) -> StoppingPolicy:
    if stopping is None:
        if trials is None:
            raise ValueError("give trials=N or a stopping policy")
        return FixedTrials(trials)
    policy = stopping if trials is None else FirstOf((stopping, TrialCap(trials)))
    if policy.most_trials is None and policy.overtime(float("inf")) is None:
        raise ValueError(f"{policy!r} may never stop; add trials=N as its cap")
    return policy


def _check_numbers(*, seed: int, workers: int, batch_size: int | None) -> None:
    if not (isinstance(seed, int) and seed >= 0):
        raise ValueError(f"seed is {seed!r}, must be a non-negative integer")
    if workers < 1:
        raise ValueError(f"workers is {workers!r}, must be at least 1")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}, must be at least 1")


def _check_points(points: Sequence[Point]) -> None:
    seen: dict[int, Point] = {}
    for point in points:
        other = seen.setdefault(point_key(point), point)
        if other is not point:
            raise ValueError(f"points {dict(other)} and {dict(point)} are the same point")
    if not points:
        raise ValueError("the experiment has no points")


def _describe(store: RunWriter, policy: StoppingPolicy, session: dict[str, object]) -> None:
    """Add this session to the run; a policy other than the stored one reopens all points."""
    known = store.meta()
    stopping = policy_to_dict(policy)
    if known.get("stopping", stopping) != stopping:
        store.drop_stops()
    store.set_meta({"stopping": stopping, "sessions": [*known.get("sessions", ()), session]})


@contextmanager
def _own_executor(workers: int, pool: bool) -> Iterator[Executor]:
    if not pool:
        clear_caches()
        try:
            yield SerialExecutor()
        finally:
            clear_caches()
        return
    executor = LocalPool(workers)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
