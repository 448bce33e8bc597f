"""What happens inside a worker: threads pinned to one, set-ups cached, a batch run and its failures isolated."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from typing import Any, TextIO

import numpy as np
from threadpoolctl import threadpool_limits

from disac.experiments.trials.experiment import (
    Column,
    Experiment,
    ExperimentError,
    Record,
    RecordValue,
    columns_of,
    trial_key,
)
from disac.experiments.trials.failure import Failure
from disac.experiments.trials.keys import Point, TrialKey
from disac.registration import import_plugin, missing_plugins

_BLAS_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
SETUP_MARK = "in set-up\n"
_CACHED_SETUPS = 8


@dataclass(frozen=True)
class BatchTask:
    """Consecutive trials ``first`` to ``stop - 1`` of one point.

    Attributes
    ----------
    experiment : the pickled experiment.
    home : `process_name` of the process that runs the campaign.
    limit_s : a local worker ends itself when the run takes longer, the set-up not counted.
    imports : what :func:`disac.registration.import_plugin` has to import before the experiment can be unpickled.
    """

    experiment: bytes
    point: int
    fields: Point
    seed: int
    first: int
    stop: int
    home: str
    limit_s: float | None = None
    imports: tuple[str, ...] = ()


@dataclass(frozen=True)
class BatchOutcome:
    """One record or failure per trial of a task, or the failure of the point's set-up; where and how long it ran."""

    rows: tuple[Record | Failure, ...]
    setup_failure: Failure | None
    started: float
    seconds: float
    worker: str


def pickled(experiment: Experiment) -> bytes:
    """The experiment for another process: by reference to its class, or whole where no process could import that.

    A class that is made in a notebook, at a prompt or inside a function is whole.
    """
    main = sys.modules["__main__"]
    made_here = type(experiment).__module__ == "__main__" and not hasattr(main, "__file__")
    if not made_here:
        with suppress(pickle.PicklingError, AttributeError):
            return pickle.dumps(experiment)
    import cloudpickle

    try:
        whole: bytes = cloudpickle.dumps(experiment)
    except (pickle.PicklingError, TypeError) as error:
        raise ExperimentError(
            f"experiment {experiment.name!r} cannot be handed to worker processes: {error}; save its class in a "
            "FILE.py and import that"
        ) from None
    return whole


def process_name() -> str:
    """Host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


@contextmanager
def pinned_threads() -> Iterator[None]:
    """Hold BLAS and OpenMP at one thread, in this process and in those started meanwhile.

    The number of threads changes the order of sums, so the serial reference needs it as much as workers do. Campaigns
    in several threads share one pin: the first sets it, the last restores what was before.
    """
    _pin.enter()
    try:
        yield
    finally:
        _pin.leave()


class _Pin:
    """The process's one limit of threads, and who still needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._undo = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._undo.callback(self._restore, {name: os.environ.get(name) for name in _BLAS_VARIABLES})
                os.environ.update(dict.fromkeys(_BLAS_VARIABLES, "1"))
                self._undo.enter_context(threadpool_limits(1))
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._undo.close()

    @staticmethod
    def _restore(before: dict[str, str | None]) -> None:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_pin = _Pin()


@contextmanager
def _one_numba_thread() -> Iterator[None]:
    """Hold Numba at one thread in the calling thread, to which alone its limit belongs."""
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _pin_for_good() -> None:
    """Hold BLAS, OpenMP and Numba at one thread for the rest of this process's life."""
    os.environ.update(dict.fromkeys((*_BLAS_VARIABLES, "NUMBA_NUM_THREADS"), "1"))
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(1)
    threadpool_limits(1)


_log: TextIO | None = None


def start_worker(log: int | str) -> None:
    """Initializer of a local worker: leave Ctrl-C to the parent, die with it, tell its death to the file ``log``."""
    global _log
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:

        def die_with(sentinel: int) -> None:
            connection.wait([sentinel])
            os._exit(1)

        threading.Thread(target=die_with, args=(parent.sentinel,), daemon=True).start()
    _log = open(log, "w")  # noqa: SIM115 (open for the life of the process)
    faulthandler.enable(_log)
    _pin_for_good()


def _mark(text: str) -> None:
    if _log is not None:
        _log.seek(0)
        _log.truncate()
        _log.write(text)
        _log.flush()


_experiments: OrderedDict[bytes, Experiment] = OrderedDict()
_setups: OrderedDict[tuple[bytes, int], Any] = OrderedDict()
_cache_lock = threading.RLock()


def clear_caches() -> None:
    """Forget every cached experiment and set-up of this process."""
    with _cache_lock:
        _experiments.clear()
        _setups.clear()


def _set_up(task: BatchTask) -> tuple[Experiment, Any]:
    key = (task.experiment, task.point)
    with _cache_lock:
        if task.experiment not in _experiments:
            for text in missing_plugins(task.imports):
                import_plugin(text)
            _experiments[task.experiment] = pickle.loads(task.experiment)
            while len(_experiments) > 2:
                _experiments.popitem(last=False)
        experiment = _experiments[task.experiment]
        if key not in _setups:
            _mark(SETUP_MARK)
            foreign = task.home != process_name()
            if foreign:
                _pin_for_good()
            _setups[key] = experiment.prepare(dict(task.fields))
            if foreign:
                _pin_for_good()  # the set-up may have loaded another BLAS
            _mark("")
            while len(_setups) > _CACHED_SETUPS:
                _setups.popitem(last=False)
        _setups.move_to_end(key)
        return experiment, _setups[key]


def _plain(name: str, value: object) -> RecordValue:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise TypeError(f"column {name!r} is {value}, an integer must fit 64 bits")
        return value
    if isinstance(value, float | complex | str):
        return value
    raise TypeError(f"column {name!r} is {value!r:.80}, allowed are bool, int, float, complex and str")


def _is_nan(value: RecordValue) -> bool:
    # Only NaN, real or complex, differs from itself; a complex number with one NaN part does too.
    return value != value


def checked_row(record: Mapping[str, RecordValue], columns: Mapping[str, Column]) -> Record | Failure:
    """A record with plain Python scalars, or the failure it stands for."""
    try:
        row = {name: _plain(name, value) for name, value in record.items()}
    except (TypeError, AttributeError) as error:
        return Failure("invalid", str(error))
    for name, value in row.items():
        if _is_nan(value) and (name not in columns or columns[name].required):
            return Failure("nan", f"required column {name!r} is NaN; record: {row!r}")
    for name, column in columns.items():
        if column.required and name not in row:
            return Failure("nan", f"required column {name!r} is missing; record: {row!r}")
    return row


def _failure(error: Exception) -> Failure:
    last = traceback.format_exception_only(error)[-1].strip()
    return Failure("raised", last, "".join(traceback.format_exception(error)))


def _attempt(experiment: Experiment, context: Any, keys: Sequence[TrialKey]) -> tuple[Record | Failure, ...] | Failure:
    try:
        records = experiment.run(context, keys)
        if len(records) != len(keys):
            raise ValueError(f"experiment {experiment.name!r} returned {len(records)} records for {len(keys)} keys")
    except Exception as error:
        return _failure(error)
    columns = columns_of(experiment)
    return tuple(checked_row(record, columns) for record in records)


def _run_rows(experiment: Experiment, context: Any, keys: Sequence[TrialKey]) -> tuple[Record | Failure, ...]:
    rows = _attempt(experiment, context, keys)
    if not isinstance(rows, Failure):
        return rows
    if len(keys) == 1:
        return (rows,)
    return tuple(row for key in keys for row in _run_rows(experiment, context, [key]))


def run_batch(task: BatchTask) -> BatchOutcome:
    """Run a task. A batch that raises is run again trial by trial, so that only the guilty trials fail."""
    with _one_numba_thread() if task.home == process_name() else nullcontext():
        return _run_batch(task)


def _run_batch(task: BatchTask) -> BatchOutcome:
    started = time.time()
    try:
        experiment, context = _set_up(task)
    except Exception as error:
        _mark("")
        return BatchOutcome((), _failure(error), started, time.time() - started, process_name())
    keys = [trial_key(experiment, task.fields, task.seed, trial) for trial in range(task.first, task.stop)]
    begin = time.perf_counter()
    if task.limit_s is not None and _log is not None:
        faulthandler.dump_traceback_later(task.limit_s, exit=True, file=_log)
    try:
        rows = _run_rows(experiment, context, keys)
    finally:
        if task.limit_s is not None:
            faulthandler.cancel_dump_traceback_later()
    return BatchOutcome(rows, None, started, time.perf_counter() - begin, process_name())
