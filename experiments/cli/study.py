"""``disac run NAME`` for every study: a command whose options are made from the study's settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import disac
from disac.experiments.cli.errors import said_warnings, say, user_errors
from disac.experiments.cli.options import given_values, options_for
from disac.experiments.cli.plugins import with_import
from disac.experiments.cli.printing import tell, tell_code_changes
from disac.experiments.study.protocol import STUDIES, Study, get_study, study_names
from disac.experiments.study.run import Execution, StudyRun, run_study


class Studies(click.Group):
    """A group with a command for every study that is known."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all studies."""
        return list(dict.fromkeys((*super().list_commands(ctx), *study_names())))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a study, made on demand."""
        known = super().get_command(ctx, cmd_name)
        if known is not None:
            return with_import(known)
        if cmd_name not in STUDIES:
            return None
        with user_errors():
            return with_import(study_command(get_study(cmd_name)))


def execution_options() -> list[click.Option]:
    """Options on where trials run, which change no number."""
    from disac.experiments.cli.types import Shard

    executors = click.Choice(["serial", "pool", "dask", "mpi"])
    return [
        click.Option(["--workers"], type=click.IntRange(1), help="Worker processes; default: the number of cores."),
        click.Option(
            ["--executor"],
            type=executors,
            help="Where trials run; default: this process for one worker, a pool of processes for more.",
        ),
        click.Option(
            ["--scheduler"], metavar="ADDRESS", help="Running Dask scheduler, for example tcp://10.0.0.1:8786."
        ),
        click.Option(
            ["--trial-timeout"],
            type=click.FloatRange(0, min_open=True),
            help="Give a trial up after so many seconds and record it as failed (local worker processes).",
        ),
        click.Option(
            ["--shard"], type=Shard(), metavar="I/N", help="Part I of N of every point's trials, for array jobs."
        ),
    ]


def study_command(study: Study[Any]) -> click.Command:
    """The command that runs a study."""
    folder = click.Path(file_okay=False, path_type=Path)
    resumed = click.Path(exists=True, file_okay=False, path_type=Path)
    options = [
        *options_for(study.Settings),
        click.Option(["--quick"], is_flag=True, help="A rough version: other defaults, as said with each option."),
        *(option for option in execution_options() if study.in_shards or option.name != "shard"),
        click.Option(["--out"], type=folder, help=f"Run folder; default: runs/{study.name}-DATE."),
        click.Option(["--resume", "resumed"], type=resumed, help="Go on with a run, with the options it was begun by."),
    ]

    def callback(**parameters: Any) -> None:
        _run(study, **parameters)

    about = f"{study.summary}\n\n{study.about}".strip()
    return click.Command(study.name, params=list(options), callback=callback, help=about, short_help=study.summary)


def execution_of(
    *,
    workers: int | None,
    executor: str | None = None,
    scheduler: str | None = None,
    trial_timeout: float | None = None,
    shard: tuple[int, int] | None = None,
) -> Execution:
    """Where trials run, by the options of :func:`execution_options`."""
    from disac.experiments.runs.folder import usable_cores

    if trial_timeout is not None and executor not in (None, "pool"):
        raise click.UsageError(
            f"--trial-timeout needs local worker processes: it does not go with --executor {executor}"
        )
    if scheduler is not None and executor != "dask":
        raise click.UsageError("--scheduler is the address of a Dask scheduler: it needs --executor dask")
    return Execution(workers or usable_cores(), executor, scheduler, shard, trial_timeout)


def _run(study: Study[Any], *, out: Path | None, resumed: Path | None, quick: bool, **parameters: Any) -> None:
    from disac.experiments.runs.folder import check_begun

    given = given_values(study.Settings, parameters)
    names = {option.name for option in execution_options()}
    execution = execution_of(**{name: value for name, value in parameters.items() if name in names})
    with user_errors(), said_warnings():
        if resumed is not None:
            check_begun(resumed)
            settings = _resumed_settings(study, resumed, given)
        else:
            settings = study.Settings.chosen(given, quick=quick)
        with resumable(f"disac run {study.name}") as begins:
            resume = resumed is not None
            run = run_study(
                study, settings, resumed or out, resume=resume, quick=quick, execution=execution, begins=begins
            )
        _tell(run)


def _resumed_settings(study: Study[Any], folder: Path, given: dict[str, Any]) -> Any:
    """The settings of a run that goes on, with the options given besides, which :func:`run_study` compares."""
    stored = StudyRun.load(folder)
    if stored.study.name != study.name:
        raise ValueError(f"{folder}: holds a run of {stored.study.name}, not of {study.name}")
    return study.Settings.chosen({**dict(stored.settings), **given})


@contextmanager
def resumable(command: str) -> Iterator[Callable[[StudyRun[Any]], None]]:
    """Tell how a run that is interrupted goes on; the block hands the run to what it is given, once it has begun."""
    begun: list[StudyRun[Any]] = []
    try:
        yield begun.append
    except KeyboardInterrupt:
        for run in begun:
            if run.study.summarizes_part and run.is_complete:
                show(run)
            say(f"interrupted; nothing is lost, go on with: {command} --resume {run.folder}")
        raise SystemExit(130) from None


def _tell(run: StudyRun[Any]) -> None:
    show(run)
    failed = next((found for found in run.failures() if found.total), None)
    failure = run.study.failure(run.rows()) if failed is None else str(failed)
    if failure is not None:
        raise click.ClickException(failure)


def show(run: StudyRun[Any]) -> None:
    """What the terminal shows of a run."""
    rows = run.rows()
    table = run.study.table(run, rows)
    if table is not None:
        print_table(*table)
    for line in run.study.lines(run, rows):
        tell(line)
    click.echo(f"disac {disac.__version__}, seed {run.settings.seed}, results in {run.folder}")
    tell_code_changes(run.folder)
    tell(f"rerun: {run.rerun_line}")


def print_table(header: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Print a table; on a terminal that is narrower its rows are stacked, so that no number is split."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in header:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    needed = table.__rich_measure__(console, console.options.update(width=10_000)).maximum
    if not console.is_terminal:
        console.width = max(console.width, needed)
    if needed <= console.width:
        console.print(table)
        return
    for line in stacked_lines(header, cells, console.width):
        click.echo(line)


def stacked_lines(header: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Rows of a table under each other: a line per cell that holds something, two where one is wider than ``width``."""
    for row in cells:
        for name, text in zip(header, row, strict=True):
            if text and len(name) + 2 + len(text) <= width:
                yield f"{name}: {text}"
            elif text:
                yield from (f"{name}:", f"  {text}")
        yield ""
