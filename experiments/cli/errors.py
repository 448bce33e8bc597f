"""Errors and warnings as the terminal shows them: what a user can mend is one line, without a traceback."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from disac.experiments.cli.printing import printable


def say(text: str) -> None:
    """Tell the person, apart from the results that may be piped on."""
    click.echo(text, err=True)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a user can mend into a message; anything else keeps its traceback."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        if isinstance(error, click.exceptions.Exit | click.Abort) or not _can_be_mended(error):
            raise
        raise click.ClickException(printable(str(error), keep="\n")) from None


def _can_be_mended(error: Exception) -> bool:
    """Errors of the machine, of the values given and of a run; no other RuntimeError."""
    if isinstance(error, ValueError | OSError):
        return True
    from disac.designs.problem.refusals import SolverFailure
    from disac.experiments.campaign.executors import WorkersUnavailable
    from disac.experiments.runs.store import StoreError
    from disac.experiments.trials.experiment import ExperimentError

    return isinstance(error, SolverFailure | WorkersUnavailable | StoreError | ExperimentError)


@contextmanager
def said_warnings() -> Iterator[None]:
    """Tell each warning of the library in one line as it comes."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        say(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield
