"""``disac run fig4a`` to ``table3`` and ``disac reproduce``: the paper's Section V."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from disac.experiments.cli_runs import told_errors

if TYPE_CHECKING:
    from disac.experiments.paper_scenarios import Channel

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

_quick = click.option("--quick", is_flag=True, help="Few draws, coarse grids, no slow general solves.")
_seed = click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Campaign seed.")
_draws = click.option("--draws", type=click.IntRange(2), help="Draws of channels and amplitudes per point.")
_refined = click.option(
    "--refined", type=click.IntRange(0), help="How many of the draws have P.1's precoders refined (slow)."
)
_workers = click.option("--workers", type=click.IntRange(1), help="Worker processes; default: the number of cores.")


def _command(name: str, summary: str) -> click.Command:
    @click.command(name, help=f"{summary} The paper's {name}, with what it leaves unstated in unstated.txt.")
    @_quick
    @_draws
    @_refined
    @_seed
    @_workers
    @click.option(
        "--channel",
        type=click.Choice(["independent", "tdl-a", "tdl-d"]),
        default="independent",
        show_default=True,
        help="User channels: the paper's, or a tapped delay line of TR 38.901 (delay spread 100 ns).",
    )
    @click.option("--out", type=click.Path(file_okay=False, path_type=Path), help=f"Folder; default: runs/{name}-DATE.")
    @click.option(
        "--resume", "resumed", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Go on with a run."
    )
    def command(
        quick: bool,
        draws: int | None,
        refined: int | None,
        seed: int,
        workers: int | None,
        channel: Channel,
        out: Path | None,
        resumed: Path | None,
    ) -> None:
        from disac.experiments.paper_job import run_figure
        from disac.experiments.run_folder import new_folder, usable_cores

        folder = resumed or new_folder(name, out)
        with told_errors():
            rows = run_figure(
                name,
                folder,
                seed=seed,
                quick=quick,
                draws=draws,
                refined=refined,
                channel=channel,
                workers=workers or usable_cores(),
                rerun_line=_rerun_line(f"run {name} --channel {channel}", quick, draws, refined, seed),
            )
        click.echo(f"{len(rows)} rows in {folder / 'summary.csv'}, picture {folder / (name + '.png')}")

    return command


def _rerun_line(command: str, quick: bool, draws: int | None, refined: int | None, seed: int) -> str:
    numbers = {"draws": draws, "refined": refined, "seed": seed}
    options = [f"--{name} {value}" for name, value in numbers.items() if value is not None]
    return " ".join(["disac", command, *(["--quick"] if quick else []), *options])


COMMANDS = tuple(_command(name, summary) for name, summary in FIGURES.items())


@click.command()
@_quick
@_draws
@_refined
@_seed
@_workers
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
@click.option("--only", metavar="NAMES", help="Figures to compute, separated by commas; default: all.")
def reproduce(
    quick: bool,
    draws: int | None,
    refined: int | None,
    seed: int,
    workers: int | None,
    out: Path,
    docs: Path | None,
    check: bool,
    only: str | None,
) -> None:
    """Compute every figure and table of the paper's Section V, and the table of its claims with a verdict on each."""
    from disac.experiments.paper_agreement import check_solvers
    from disac.experiments.paper_findings import publish, write_findings, write_gallery
    from disac.experiments.paper_job import run_figure
    from disac.experiments.run_folder import usable_cores

    names = tuple(name.strip() for name in only.split(",")) if only else tuple(FIGURES)
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise click.ClickException(f"--only {only}: {unknown[0]!r} is not one of {', '.join(FIGURES)}")
    started = time.perf_counter()
    for name in names:
        with told_errors():
            run_figure(
                name,
                out / name,
                seed=seed,
                quick=quick,
                draws=draws,
                refined=refined,
                workers=workers or usable_cores(),
                rerun_line=_rerun_line(f"run {name}", quick, draws, refined, seed),
            )
        click.echo(f"{name}: {out / name / (name + '.png')} ({time.perf_counter() - started:.0f} s)")
    if check:
        check_solvers(out, names, seed=seed, say=click.echo)
    command = _rerun_line("reproduce", quick, draws, refined, seed)
    path = write_findings(out, out / "findings.md", command=command)
    gallery = write_gallery(out, out / "gallery.md", pictures=out)
    if docs is not None:
        publish(out, docs, command=command)
    click.echo(f"claims: {path}, figures: {gallery}, {time.perf_counter() - started:.0f} s in all")
