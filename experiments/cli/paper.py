"""``disac run fig4a`` to ``table3``, the other parts of the evaluation, and ``disac reproduce`` for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from disac.experiments.cli.errors import said_warnings
from disac.experiments.cli.runs import told_errors
from disac.experiments.studies.parts import Effort, compute_part, part, part_names, part_summary
from disac.experiments.study.protocol import STUDIES

if TYPE_CHECKING:
    from disac.experiments.paper.job import FigureSettings

FIGURES = {
    "fig4a": "TOF, AOA and hybrid bounds against bandwidth.",
    "fig4b": "TOF, AOA and hybrid bounds against antennas at constant power.",
    "fig5": "Bounds of the designs against the SINR threshold for several numbers of users.",
    "fig6": "Bounds of the designs against the SINR threshold for several numbers of targets.",
    "fig7": "Bounds of the designs against the SINR threshold for two and four nodes.",
    "fig8": "Bounds of the designs against bandwidth.",
    "fig9": "Bounds of the designs against antennas at constant power.",
    "fig10": "Run times against subcarriers, and numbers of variables.",
    "table3": "Run times against nodes.",
}

Command = Callable[..., None]


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order of the help."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_effort_options = _options(
    click.option("--quick", is_flag=True, help="Few draws, coarse grids, no slow general solves."),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Campaign seed."),
    click.option("--workers", type=click.IntRange(1), help="Worker processes; default: the number of cores."),
)
_draw_options = _options(
    click.option("--draws", type=click.IntRange(2), help="Draws of channels and amplitudes per point."),
    click.option("--refined", type=click.IntRange(0), help="How many draws have P.1's precoders refined (slow)."),
)
_channel_options = _options(
    click.option(
        "--channel",
        type=click.Choice(["independent", "tdl-a", "tdl-d"]),
        default="independent",
        show_default=True,
        help="User channels: the paper's, or a tapped delay line of TR 38.901.",
    ),
    click.option(
        "--delay-spread-ns",
        type=click.FloatRange(0, 1e6),
        help="Root mean square delay spread of a tapped delay line; default: 100.",
    ),
)
_resume_option = click.option(
    "--resume", "resumed", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Go on with a run."
)


def _out_option(name: str) -> Callable[[Command], Command]:
    return click.option(
        "--out", type=click.Path(file_okay=False, path_type=Path), help=f"Folder; default: runs/{name}-DATE."
    )


def _settings(workers: int | None, delay_spread_ns: float | None = None, **options: Any) -> FigureSettings:
    from disac.experiments.paper.job import FigureSettings
    from disac.experiments.runs.folder import usable_cores

    if delay_spread_ns is None:
        delay_spread_ns = 100.0
    elif options.get("channel", "independent") == "independent":
        raise click.ClickException(f"--delay-spread-ns {delay_spread_ns:g}: needs --channel tdl-a or tdl-d")
    return FigureSettings(workers=workers or usable_cores(), delay_spread_s=1e-9 * delay_spread_ns, **options)


def _figure_command(name: str, summary: str) -> click.Command:
    @click.command(name, help=f"{summary} The paper's {name}, with what it leaves unstated in unstated.txt.")
    @_effort_options
    @_draw_options
    @_channel_options
    @_out_option(name)
    @_resume_option
    def command(out: Path | None, resumed: Path | None, **options: Any) -> None:
        from disac.experiments.paper.job import run_figure
        from disac.experiments.runs.folder import run_folder

        settings = _settings(**options)
        with told_errors():
            folder = run_folder(name, out, resumed, f"disac run {name} {settings.options}")
        with _resumable(f"disac run {name} {settings.options} --resume {folder}"), said_warnings():
            rows = run_figure(name, folder, settings)
        click.echo(f"{len(rows)} rows in {folder / 'summary.csv'}, picture {folder / (name + '.png')}")

    return command


def _part_command(name: str) -> click.Command:
    @click.command(name, help=f"{part_summary(name)} A part of disac reproduce.")
    @_effort_options
    @_out_option(name)
    @_resume_option
    def command(out: Path | None, resumed: Path | None, quick: bool, seed: int, workers: int | None) -> None:
        from disac.experiments.runs.folder import run_folder

        effort = _effort(name, _settings(workers, quick=quick, seed=seed))
        with told_errors():
            folder = run_folder(name, out, resumed, effort.rerun_line)
        with _resumable(f"{effort.rerun_line} --resume {folder}"):
            compute_part(name, folder, effort)
        for finding in part(name).judge(folder):
            click.echo(f"{finding.verdict}: {finding.claim}: {finding.effect}")
        click.echo(f"results in {folder}")

    return command


def _effort(name: str, settings: FigureSettings) -> Effort:
    line = " ".join(["disac run", name, *(["--quick"] if settings.quick else []), f"--seed {settings.seed}"])
    return Effort(settings.seed, settings.quick, settings.workers, line)


@contextmanager
def _resumable(line: str) -> Iterator[None]:
    """Tell how a run goes on when it is interrupted, and what a user can mend."""
    try:
        with told_errors():
            yield
    except KeyboardInterrupt:
        click.echo(f"interrupted; nothing is lost, go on with: {line}", err=True)
        raise SystemExit(130) from None


def _begin(name: str, folder: Path, line: str) -> None:
    """Begin a run in the folder unless it holds one to go on with."""
    from disac.experiments.runs.folder import begun, run_folder

    with told_errors():
        run_folder(name, folder, folder if begun(folder) else None, line)


COMMANDS = (
    *(_figure_command(name, summary) for name, summary in FIGURES.items()),
    *(_part_command(name) for name in part_names() if name not in STUDIES),
)


@click.command()
@_effort_options
@_draw_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/reproduce"),
    show_default=True,
    help="Folder; goes on with what it holds.",
)
@click.option(
    "--docs",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write findings.md, gallery.md and figures/ into this folder.",
)
@click.option("--check", is_flag=True, help="Also solve three points of every figure by Clarabel and compare (slow).")
@click.option("--only", metavar="NAMES", help="Figures and parts to compute, separated by commas; default: all.")
def reproduce(out: Path, docs: Path | None, check: bool, only: str | None, **options: Any) -> None:
    """Compute every figure and table of the paper's Section V, what the waveform says of them, and a verdict on each
    claim.
    """
    from disac.experiments.paper.agreement import check_solvers
    from disac.experiments.paper.job import run_figure
    from disac.experiments.reproduce.clock import Clock
    from disac.experiments.reproduce.findings import publish, write_findings, write_gallery

    known = (*FIGURES, *part_names())
    names = tuple(name.strip() for name in only.split(",")) if only else known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.ClickException(f"--only {only}: {unknown[0]!r} is not one of {', '.join(known)}")
    settings = _settings(**options)
    clock = Clock(out)
    for name in names:
        with _resumable("the same command"), clock.section(name):
            if name in FIGURES:
                _begin(name, out / name, f"disac run {name} {settings.options}")
                run_figure(name, out / name, settings)
            else:
                effort = _effort(name, settings)
                if name not in STUDIES:
                    _begin(name, out / name, effort.rerun_line)
                compute_part(name, out / name, effort)
    if check:
        with clock.section("check"):
            check_solvers(out, tuple(name for name in names if name in FIGURES), seed=settings.seed, say=click.echo)
    command = f"disac reproduce {settings.options}"
    path = write_findings(out, out / "findings.md", command=command)
    gallery = write_gallery(out, out / "gallery.md", pictures=out, command=command)
    if docs is not None:
        publish(out, docs, command=command)
    click.echo(f"claims: {path}, figures: {gallery}, {clock.total_s:.0f} s in all")
