"""Where results go: a folder per run, with the line that reruns it."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import click

from disac.experiments.runs.file import file_system_type, is_network_file_system

STORE = "run.sqlite"
"""Name of the file in a run folder that holds the records."""
RERUN = "rerun.txt"
"""Name of the file in a run folder that holds the line that gives the same numbers again."""


@contextmanager
def fresh_folder(experiment: str, out: Path | None) -> Iterator[Path]:
    """A :func:`new_folder` to be filled; it goes again if an error comes before anything is in it."""
    folder = new_folder(experiment, out)
    try:
        yield folder
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise


def new_folder(experiment: str, out: Path | None) -> Path:
    """Create the folder of a new run: ``out``, or runs/EXPERIMENT-DATE in this folder.

    Where this folder is read-only, the run goes below the home folder or, failing that, the temporary one. A network
    file system is told on standard error.

    Raises
    ------
    click.ClickException : ``out`` exists and is not empty, or cannot be made or written.
    """
    folder = _made(experiment, out)
    kind = file_system_type(folder)
    if is_network_file_system(kind):
        click.echo(f"warning: {folder} is on a network file system ({kind}): the run uses a slower journal", err=True)
    return folder


def _made(experiment: str, out: Path | None) -> Path:
    if out is not None:
        try:
            if out.exists() and any(out.iterdir()):
                raise click.ClickException(
                    f"--out {out}: the folder is not empty; resume it with --resume or choose another"
                )
            out.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=out) as probe:
                probe.write(b"0")
        except OSError as error:
            raise click.ClickException(f"--out {out}: {error.strerror}") from None
        return out
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
            return folder
    raise click.ClickException("no folder for results can be written here; choose one with --out")


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_provenance(folder: Path, arguments: Sequence[str]) -> None:
    """Write ``provenance.json`` and :data:`RERUN` in a new folder."""
    from disac.experiments.runs.provenance import provenance

    line = shlex.join(["disac", *_without_out(arguments)])
    (folder / RERUN).write_text(line + "\n", encoding="utf-8")
    facts = json.dumps(provenance(line), indent=2, default=str)
    (folder / "provenance.json").write_text(facts + "\n", encoding="utf-8")


def _without_out(arguments: Sequence[str]) -> list[str]:
    kept = list(arguments)
    for i, argument in enumerate(kept):
        if argument == "--out":
            return kept[:i] + kept[i + 2 :]
        if argument.startswith("--out="):
            return kept[:i] + kept[i + 1 :]
    return kept


def rerun_line(folder: Path) -> str:
    """The line that :func:`write_provenance` stored."""
    return (folder / RERUN).read_text(encoding="utf-8").strip()
