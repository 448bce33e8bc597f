"""Where results go: a folder per run, claimed by one process, in which the run's set-up appears all at once.

The files of a set-up are written into ``.setup`` in the folder. Renaming it to ``.ready`` is the moment at which the
run has begun; then its files move into the folder, and whoever opens the folder next ends a move that was cut off. So
a folder holds a whole set-up or none, whatever kills the process, and the line that began it can be given again.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from disac.experiments.runs.file import StoreBusy, WriterLock
from disac.experiments.runs.replacing import replace_text

STORE = "run.sqlite"
"""Name of the file in a run folder that holds the records."""
RERUN = "rerun.txt"
"""Name of the file in a run folder that holds the line that gives the same numbers again."""
_SETUP, _READY = ".setup", ".ready"
_UNDER_WAY = {_SETUP, f"{_SETUP}.lock"}
"""What a set-up that was cut off may leave in a folder in which nothing has begun."""


class FolderError(ValueError):
    """A folder cannot be used for a run as asked; the message names it."""


@dataclass(frozen=True)
class NewRun:
    """A folder claimed for a run.

    Attributes
    ----------
    folder : where the run will be.
    staging : where the files of its set-up are to be written.
    """

    folder: Path
    staging: Path


@contextmanager
def new_run(experiment: str, out: Path | None) -> Iterator[NewRun]:
    """Claim a folder for a new run, to be filled with what the run needs to begin.

    The folder is ``out``, or runs/EXPERIMENT-DATE in this folder; where this folder is read-only, it goes below the
    home folder or, failing that, the temporary one. It is claimed at once: enter the block before anything takes long.
    What the block writes into ``staging`` stands in ``folder`` when the block ends, all of it; after an error none of
    it does, and a folder made here goes again.

    Raises
    ------
    FolderError : ``out`` is not empty, is being set up by another process, or cannot be made or written.
    """
    folder, made = _made(experiment, out)
    try:
        with _claimed(folder):
            if out is not None and _has_begun(folder):
                raise FolderError(f"--out {out}: the folder is not empty; resume it with --resume or choose another")
            staging = folder / _SETUP
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            try:
                yield NewRun(folder, staging)
                staging.rename(folder / _READY)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
            _move_in(folder)
    except BaseException:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise


def begun(folder: Path) -> bool:
    """Whether a run has begun in the folder; a set-up that was cut off while its files moved in is ended first.

    Raises
    ------
    FolderError : the folder is being set up by another process.
    """
    if not folder.is_dir():
        return False
    if (folder / _READY).is_dir():
        with _claimed(folder):
            _move_in(folder)
    return _has_begun(folder)


def check_begun(folder: Path) -> None:
    """Refuse to go on with a folder in which nothing has begun.

    Raises
    ------
    FolderError : there is no run; or see :func:`begun`.
    """
    if not begun(folder):
        raise FolderError(f"{folder}: no run has begun in it; begin one there with --out {folder}")


def run_folder(experiment: str, out: Path | None, resumed: Path | None, line: str) -> Path:
    """The folder ``resumed``, or a new one (:func:`new_run`) that holds nothing but the ``line`` that repeats it.

    Raises
    ------
    FolderError : see :func:`check_begun` and :func:`new_run`.
    """
    if resumed is not None:
        check_begun(resumed)
        return resumed
    with new_run(experiment, out) as new:
        write_provenance(new.staging, line)
    return new.folder


def _has_begun(folder: Path) -> bool:
    return any(entry.name not in _UNDER_WAY for entry in folder.iterdir())


def _move_in(folder: Path) -> None:
    ready = folder / _READY
    if ready.is_dir():
        for entry in list(ready.iterdir()):
            entry.replace(folder / entry.name)
        ready.rmdir()


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    try:
        lock = WriterLock(folder / _SETUP)
    except StoreBusy as error:
        raise FolderError(f"{folder}: another run is being set up in it by {error.owner}") from None
    except OSError as error:
        raise FolderError(f"{folder}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def _made(experiment: str, out: Path | None) -> tuple[Path, bool]:
    """The folder, and whether it is new."""
    if out is not None:
        try:
            try:
                out.mkdir(parents=True)
            except FileExistsError:
                list(out.iterdir())  # a file, or a folder that may not be read
                return out, False
        except OSError as error:
            raise FolderError(f"--out {out}: {error.strerror}") from None
        return out, True
    stamp = f"{experiment}-{datetime.now():%Y%m%d-%H%M%S}"
    for parent in (Path("runs"), Path.home() / "disac-runs", Path(tempfile.gettempdir()) / "disac-runs"):
        for suffix in ("", *(f"-{i}" for i in range(2, 100))):
            folder = parent / (stamp + suffix)
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError:
                break
            return folder, True
    raise FolderError("no folder for results can be written here; choose one with --out")


@contextmanager
def records_kept(folder: Path) -> Iterator[None]:
    """Say of a table or picture that cannot be written that the run itself is safe.

    Raises
    ------
    FolderError : names the file in place of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise FolderError(
            f"{error.filename or folder}: cannot be written ({error.strerror}); all records are safe in "
            f"{folder / STORE}, and --resume {folder} writes the tables without a new trial"
        ) from None


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_provenance(folder: Path, line: str) -> None:
    """Write ``provenance.json`` and :data:`RERUN`, the command ``line`` that repeats the run, in its folder."""
    from disac.experiments.runs.provenance import provenance

    replace_text(folder / "provenance.json", json.dumps(provenance(line), indent=2, default=str) + "\n")
    replace_text(folder / RERUN, line + "\n")


def rerun_line(folder: Path) -> str:
    """The line that :func:`write_provenance` stored."""
    return (folder / RERUN).read_text(encoding="utf-8").strip()
