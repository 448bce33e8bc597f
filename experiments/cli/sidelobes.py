"""``disac run sidelobes`` and ``disac run ambiguity``: what a CRB-only design does to range and position sidelobes."""

from __future__ import annotations

from pathlib import Path

import click

from disac.experiments.cli.runs import told_errors
from disac.experiments.cli.scenario import say_warnings, scenario_of, threshold_given

_preset = click.option("--preset", default="fig4", show_default=True, help="The paper's scenario to use.")
_file = click.option(
    "--scenario", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Scenario TOML."
)
_settings = click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Replace a scenario field.")
_out = click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")


_seed = click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Campaign seed.")
_workers = click.option("--workers", type=click.IntRange(1), help="Worker processes; default: the number of cores.")


@click.command()
@_preset
@_file
@_settings
@click.option(
    "--design",
    "designs",
    default="p2,p3,uniform",
    show_default=True,
    help="Designs, comma separated; those that know no threshold have one point.",
)
@click.option("--sinr-db", multiple=True, type=float, help="Threshold Gamma_c [dB]; repeat for several.")
@click.option("--draws", type=click.IntRange(1), default=5, show_default=True, help="Draws of channels and amplitudes.")
@click.option("--symbols", multiple=True, type=click.IntRange(1), help="T of realized profiles; repeat for several.")
@_seed
@_workers
@_out
@click.option(
    "--resume", "resumed", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Go on with a run."
)
def sidelobes(
    preset: str,
    file: Path | None,
    settings: tuple[str, ...],
    designs: str,
    sinr_db: tuple[float, ...],
    draws: int,
    symbols: tuple[int, ...],
    seed: int,
    workers: int | None,
    out: Path | None,
    resumed: Path | None,
) -> None:
    """Range sidelobes (PSLR, ISLR) of the designs' signals over draws, with intervals.

    Matched filter; main lobe and period are those of equal power on the same subcarriers. Every draw counts once, and
    the comparison with P.3 is paired by draw. --resume goes on with a folder, given the same options.

    \b
    disac run sidelobes --preset fig7 --design p1,p2,p3,uniform --sinr-db 0 --sinr-db 20 --draws 100 --symbols 16
    """
    from disac.experiments.campaign.runner import run_campaign
    from disac.experiments.cli.main import ARGUMENTS
    from disac.experiments.paper.job import DrawBar
    from disac.experiments.runs.folder import STORE, rerun_line, run_folder, usable_cores
    from disac.experiments.statistics.summary import write_csv
    from disac.experiments.studies.sidelobe_figures import plot_sidelobe_ratios
    from disac.experiments.studies.sidelobe_sweep import SidelobeSweep, sidelobe_summary, summary_lines

    scenario, threshold = scenario_of(preset, file, settings)
    say_warnings(scenario)
    with told_errors():
        experiment = SidelobeSweep(
            scenario,
            tuple(name.strip() for name in designs.split(",")),
            sinr_db or (threshold_given(threshold),),
            n_symbols=symbols,
        )
        folder = run_folder("sidelobes", out, resumed, click.get_current_context().meta[ARGUMENTS])
        with DrawBar("sidelobes") as bar:
            run_campaign(
                experiment,
                folder / STORE,
                seed=seed,
                trials=draws,
                workers=workers or usable_cores(),
                batch_size=1,
                progress=bar,
                resume=resumed is not None,
                rerun_line=rerun_line(folder),
            )
    rows = sidelobe_summary(folder / STORE, experiment.signals)
    write_csv(rows, folder / "summary.csv")
    for line in summary_lines(rows):
        click.echo(line)
    if not any(row["draws"] for row in rows):
        raise click.ClickException("no draw is feasible for these designs and thresholds; lower --sinr-db")
    plot_sidelobe_ratios(rows, folder / "sidelobes")
    click.echo(f"seed {seed}, results in {folder}")


@click.command()
@_preset
@_file
@_settings
@click.option("--design", "name", default="p2", show_default=True, help="Design.")
@click.option("--sinr-db", type=float, help="Threshold Gamma_c [dB]; default: the preset's.")
@click.option(
    "--mode", type=click.Choice(["hybrid", "tof-genie", "aoa-genie"]), default="hybrid", show_default=True, help="Mode."
)
@click.option("--target", type=click.IntRange(0), default=0, show_default=True, help="Target that is moved.")
@click.option(
    "--others",
    type=click.Choice(["absent", "held", "unmodelled"]),
    default="absent",
    show_default=True,
    help="The other targets: not there, held at the truth, or there but not modelled.",
)
@_out
def ambiguity(
    preset: str,
    file: Path | None,
    settings: tuple[str, ...],
    name: str,
    sinr_db: float | None,
    mode: str,
    target: int,
    others: str,
    out: Path | None,
) -> None:
    """The likelihood's expected surface over the search area, with its highest sidelobes.

    A sidelobe is a local maximum outside the basin of the true position; all of them are in sidelobes.csv.
    """
    from disac.designs import design
    from disac.estimators.ambiguity import ambiguity_surface
    from disac.experiments.cli.main import ARGUMENTS
    from disac.experiments.runs.folder import new_run, write_provenance
    from disac.experiments.statistics.summary import write_csv
    from disac.experiments.studies.sidelobe_figures import plot_ambiguity

    scenario, threshold = scenario_of(preset, file, settings, sinr_db)
    say_warnings(scenario)
    with told_errors(), new_run("ambiguity", out) as new:
        result = design(name, scenario, threshold_given(threshold))
        surface = ambiguity_surface(result.scenario, result.covariances, mode=mode, target=target, others=others)
        rows = [{"x_m": p.position[0], "y_m": p.position[1], "level_db": p.level_db} for p in surface.sidelobes]
        write_provenance(new.staging, click.get_current_context().meta[ARGUMENTS])
        plot_ambiguity(result.scenario, surface, new.staging / "ambiguity")
        if rows:
            write_csv(rows, new.staging / "sidelobes.csv")
    for row in rows[:5]:
        click.echo(f"{mode}: sidelobe {row['level_db']:.2f} dB at ({row['x_m']:.2f}, {row['y_m']:.2f}) m")
    click.echo(f"{len(surface.sidelobes)} sidelobes in the area; picture in {new.folder}")


COMMANDS = (sidelobes, ambiguity)
