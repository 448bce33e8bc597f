"""Where batches run: serially, in a local pool that survives its workers, or on any `concurrent.futures.Executor`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import reduction, resource_tracker
from pathlib import Path
from typing import IO, Any, Literal, ParamSpec, TypeVar

from disac.experiments.campaign.worker import SETUP_MARK, start_worker

P = ParamSpec("P")
T = TypeVar("T")

EXECUTOR_NAMES = ("serial", "pool", "dask", "mpi")
_START_ATTEMPTS = 2
_INHERITS = hasattr(reduction, "DupFd") and hasattr(os, "pread")
"""Whether a worker can inherit an open file; not on Windows."""


class WorkerDied(RuntimeError):
    """The process that ran a task is gone.

    Attributes
    ----------
    cause : "killed" (crash, out of memory, signal) or "timeout".
    in_setup : the point's set-up was running, not its trials.
    trace : what the process could still write: Python tracebacks of a timeout or a crash, empty after SIGKILL.
    """

    def __init__(self, cause: Literal["killed", "timeout"], in_setup: bool, trace: str) -> None:
        super().__init__(f"worker process {'timed out' if cause == 'timeout' else 'died'}")
        self.cause = cause
        self.in_setup = in_setup
        self.trace = trace


class WorkersUnavailable(RuntimeError):
    """Worker processes cannot be started at all, or an executor cannot be used."""


class NoWorkersHere(WorkersUnavailable):
    """This system starts no worker processes at all, so that only the serial executor is left."""


class SerialExecutor(Executor):
    """The reference: runs a task in the calling process when it is submitted."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _DeathLog:
    """File for a worker's last words.

    Where a worker can inherit a descriptor, the file has no name, so that no kill can leave it behind; on Windows the
    worker opens it by its name.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._name = ""
        if _INHERITS:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the slot)
        else:
            descriptor, self._name = tempfile.mkstemp(prefix="disac-worker-")
            os.close(descriptor)

    def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[Any]]:
        """The worker being spawned inherits the descriptor and gets its number, or gets the name."""
        return (str, (self._name,)) if self._file is None else (_inherited, (reduction.DupFd(self._file.fileno()),))

    def read(self) -> str:
        """All that stands in it; the position, which the worker shares, does not move."""
        if self._file is None:
            return Path(self._name).read_text(errors="replace")
        size = os.fstat(self._file.fileno()).st_size
        return os.pread(self._file.fileno(), size, 0).decode(errors="replace")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        else:
            with suppress(OSError):
                os.unlink(self._name)


def _inherited(wrapped: Any) -> int:
    descriptor: int = wrapped.detach()
    return descriptor


@dataclass(frozen=True)
class _Slot:
    process: ProcessPoolExecutor
    pid: int
    log: _DeathLog

    def close(self) -> None:
        self.process.shutdown()
        self.log.close()


def _block_interrupts() -> None:
    """Block Ctrl-C in this thread; workers inherit that, so that none dies of it with a traceback while it starts."""
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # it ends its own start by unblocking Ctrl-C
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


class LocalPool(Executor):
    """Spawned worker processes, each a pool of its own.

    A standard process pool breaks as a whole when one worker dies, and cannot tell which task was at fault. Here every
    slot is a one-process pool: a death is the fault of exactly one task, which gets `WorkerDied`, the slot starts a new
    process for its next task, and the other slots never notice. Workers inherit no open file of the parent.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"workers is {workers}, must be at least 1")
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="disac-slot", initializer=_block_interrupts)
        self._mine = threading.local()
        self._slots: dict[int, _Slot] = {}
        self._lock = threading.Lock()
        self._ending = False

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run now."""
        with self._lock:
            return tuple(self._slots)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._threads.submit(self._run_in_slot, fn, args, kwargs)

    def _run_in_slot(self, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
        slot: _Slot | None = getattr(self._mine, "slot", None)
        if slot is None:
            slot = self._mine.slot = self._start()
        try:
            return slot.process.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self._mine.slot = None
            died = self._bury(slot)
        raise died

    def _start(self) -> _Slot:
        for _ in range(_START_ATTEMPTS):
            log = _DeathLog()
            initial: tuple[Any, ...] = (log,)
            process = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), start_worker, initial)
            try:
                pid = process.submit(os.getpid).result()
            except BrokenProcessPool:
                process.shutdown()
                log.close()
                continue
            except (AttributeError, NotImplementedError, OSError) as error:
                log.close()
                raise NoWorkersHere(f"worker processes cannot be started here: {error}") from error
            slot = _Slot(process, pid, log)
            with self._lock:
                self._slots[pid] = slot
                if self._ending:
                    _kill(pid)
            return slot
        raise WorkersUnavailable(
            "worker processes end while they start. A script that runs a campaign with workers must guard its main "
            "part with `if __name__ == '__main__':`, and cannot be fed through standard input"
        )

    def _bury(self, slot: _Slot) -> WorkerDied:
        with self._lock:
            self._slots.pop(slot.pid, None)
        slot.process.shutdown()
        trace = slot.log.read()
        slot.close()
        in_setup = trace.startswith(SETUP_MARK)
        return WorkerDied("timeout" if "Timeout (" in trace else "killed", in_setup, trace.removeprefix(SETUP_MARK))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers; with ``cancel_futures`` those that are busy are killed, else waited for."""
        with self._lock:
            self._ending = cancel_futures
            for pid in self._slots if cancel_futures else ():
                _kill(pid)
        self._threads.shutdown(wait=True, cancel_futures=cancel_futures)
        for slot in self._slots.values():
            slot.close()
        self._slots.clear()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def is_worker_death(error: BaseException) -> bool:
    """Whether a future failed because its worker died while the executor as a whole goes on."""
    return isinstance(error, WorkerDied) or blames_bystanders(error)


def blames_bystanders(error: BaseException) -> bool:
    """Whether this is Dask's word on a task that was on workers that died, though others on them may have been why."""
    kind = type(error)
    return kind.__name__ == "KilledWorker" and kind.__module__.startswith("distributed")


def check_executor(executor: Executor) -> None:
    """Refuse executors that would hand the run's open store to their workers.

    Raises
    ------
    WorkersUnavailable : a process pool that forks. A forked worker inherits the open database, and OpenMP and Numba
        threads do not survive a fork.
    """
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise WorkersUnavailable(
            "this process pool forks its workers; give it mp_context=multiprocessing.get_context('spawn'), "
            "or pass workers=N and no executor"
        )


def slots_of(executor: Executor, workers: int) -> int:
    """How many tasks an executor runs at a time, as far as it can be known; at least ``workers``."""
    for attribute in ("_max_workers", "num_workers"):
        known = getattr(executor, attribute, None)
        if isinstance(known, int):
            return max(known, workers)
    client = getattr(executor, "_client", None)  # Dask's ClientExecutor
    return max(sum(client.ncores().values()), workers) if client is not None else workers


@contextmanager
def open_executor(name: str, *, workers: int = 1, scheduler: str | None = None) -> Iterator[Executor]:
    """Executor by name, closed at the end.

    Parameters
    ----------
    name : "serial", "pool", "dask" (extra ``disac[dask]``) or "mpi" (extra ``disac[mpi]``; start the program by
        ``mpiexec -n N python -m mpi4py.futures -m disac ...``).
    workers : number of processes of "pool", and of a Dask cluster on this machine.
    scheduler : address of a running Dask scheduler, e.g. "tcp://10.0.0.1:8786"; without one a cluster is started here.

    Raises
    ------
    WorkersUnavailable : the name is unknown, or the extra is not installed.
    """
    if name == "serial":
        yield SerialExecutor()
    elif name == "pool":
        pool = LocalPool(workers)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
    elif name == "dask":
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise WorkersUnavailable(f"executor 'dask' needs the extra disac[dask]: {error}") from None
        if scheduler is not None:
            with Client(scheduler, set_as_default=False) as client:  # type: ignore[no-untyped-call]
                yield client.get_executor()
        else:
            with (
                LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=workers, threads_per_worker=1, dashboard_address=None
                ) as cluster,
                Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
            ):
                yield client.get_executor()
    elif name == "mpi":
        try:
            from mpi4py import MPI  # noqa: F401 (finds the MPI library or raises)
            from mpi4py.futures import MPIPoolExecutor
        except (ImportError, RuntimeError) as error:
            raise WorkersUnavailable(f"executor 'mpi' needs the extra disac[mpi] and an MPI library: {error}") from None
        with MPIPoolExecutor() as executor:
            yield executor
    else:
        raise WorkersUnavailable(f"executor is {name!r}, must be one of {', '.join(EXECUTOR_NAMES)}")
