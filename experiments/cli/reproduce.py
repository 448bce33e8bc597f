"""``disac reproduce``: all studies of the paper, and the pages on what they decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from disac.experiments.cli.errors import said_warnings, user_errors
from disac.experiments.cli.study import execution_of, resumable
from disac.experiments.cli.types import ListOption, Names
from disac.experiments.study.protocol import Study, get_study, reproduced_studies
from disac.experiments.study.settings import options_of


@click.command()
@click.option("--quick", is_flag=True, help="Few draws, coarse grids, few slow general solves.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Campaign seed.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes; default: the number of cores.")
@click.option("--draws", type=click.IntRange(2), help="Draws of channels and amplitudes per point, in every study.")
@click.option("--refined", type=click.IntRange(0), help="How many draws have P.1's precoders refined (slow).")
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
@click.option(
    "--only",
    cls=ListOption,
    type=Names(),
    metavar="NAMES",
    help="Studies to compute, separated by commas; default: the paper's.",
)
def reproduce(
    quick: bool,
    seed: int,
    workers: int | None,
    draws: int | None,
    refined: int | None,
    out: Path,
    docs: Path | None,
    check: bool,
    only: tuple[str, ...] | None,
) -> None:
    """Compute every figure and table of the paper's Section V, what the waveform says of them, and a verdict on each
    claim.
    """
    from disac.experiments.paper.agreement import check_solvers
    from disac.experiments.paper.study import load_evidence
    from disac.experiments.reproduce.clock import Clock
    from disac.experiments.reproduce.findings import publish, write_findings, write_gallery
    from disac.experiments.study.run import run_study

    given = {"seed": seed, "draws": draws, "refined": refined}
    clock = Clock(out, say=click.echo)
    failed: list[str] = []
    with user_errors(), said_warnings():
        studies = _chosen_studies(only)
        for study in studies:
            own = {option.field for option in options_of(study.Settings)}
            values = {name: value for name, value in given.items() if value is not None and name in own}
            settings = study.Settings.chosen(values, quick=quick)
            with resumable("the same command") as begins, clock.section(study.name):
                run = run_study(
                    study,
                    settings,
                    out / study.name,
                    resume=True,
                    quick=quick,
                    execution=execution_of(workers=workers),
                    begins=begins,
                )
            failed += [f"{study.name}: {found}" for found in run.failures() if found.total]
        if check:
            with clock.section("check"):
                wanted = {study.name for study in studies}
                evidence = {name: found for name, found in load_evidence(out).items() if name in wanted}
                check_solvers(evidence, out, seed=seed, say=click.echo)
        command = _line(quick=quick, check=check, only=only, **given)
        path = write_findings(out, out / "findings.md", command=command)
        gallery = write_gallery(out, out / "gallery.md", pictures=out, command=command)
        if docs is not None:
            publish(out, docs, command=command)
    click.echo(f"claims: {path}, figures: {gallery}, {clock.total_s:.0f} s in all")
    if failed:
        raise click.ClickException("\n".join(failed))


def _chosen_studies(only: tuple[str, ...] | None) -> list[Study[Any]]:
    if only is None:
        return reproduced_studies()
    try:
        return [get_study(name) for name in only]
    except ValueError as error:
        raise click.ClickException(f"--only {','.join(only)}: {error}") from None


def _line(*, quick: bool, check: bool, only: tuple[str, ...] | None, **values: int | None) -> str:
    words = ["disac reproduce", *(["--quick"] if quick else []), *([f"--only {','.join(only)}"] if only else [])]
    words += [f"--{name} {value}" for name, value in values.items() if value is not None]
    return " ".join([*words, *(["--check"] if check else [])])
