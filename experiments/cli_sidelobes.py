"""``disac run sidelobes`` and ``disac run ambiguity``: what a CRB-only design does to range and position sidelobes."""

from __future__ import annotations

from pathlib import Path

import click

from disac.experiments.cli_runs import told_errors
from disac.experiments.cli_scenario import say_warnings, scenario_of, threshold_given

_preset = click.option("--preset", default="fig4", show_default=True, help="The paper's scenario to use.")
_file = click.option(
    "--scenario", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Scenario TOML."
)
_settings = click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Replace a scenario field.")
_out = click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")


@click.command()
@_preset
@_file
@_settings
@click.option("--design", "designs", default="p2,p3", show_default=True, help="Designs, comma separated.")
@click.option("--sinr-db", multiple=True, type=float, help="Threshold Gamma_c [dB]; repeat for several.")
@click.option("--draws", type=click.IntRange(1), default=5, show_default=True, help="Draws of channels and amplitudes.")
@_out
def sidelobes(
    preset: str,
    file: Path | None,
    settings: tuple[str, ...],
    designs: str,
    sinr_db: tuple[float, ...],
    draws: int,
    out: Path | None,
) -> None:
    """Range sidelobes (PSLR, ISLR) of the designs' expected spectra over draws, with intervals.

    Main lobe and period are those of equal power on the same subcarriers. A draw for which a design is infeasible gives
    no profile; the column "draws" says how many remain.
    """
    from disac.experiments.run_folder import new_folder
    from disac.experiments.sidelobes import (
        plot_sidelobe_ratios,
        save_sidelobe_rows,
        sidelobe_study,
        summarize_sidelobes,
    )
    from disac.experiments.summary import write_csv

    scenario, threshold = scenario_of(preset, file, settings)
    say_warnings(scenario)
    names = [name.strip() for name in designs.split(",")]
    with told_errors():
        rows = list(sidelobe_study(scenario, names, sinr_db or (threshold_given(threshold),), draws))
    if not rows:
        raise click.ClickException("no draw is feasible for these designs and thresholds; lower --sinr-db")
    summary = summarize_sidelobes(rows)
    folder = new_folder("sidelobes", out)
    save_sidelobe_rows(rows, folder / "profiles.csv")
    write_csv(summary, folder / "summary.csv")
    plot_sidelobe_ratios(summary, folder / "pslr")
    for row in summary:
        interval = f"[{row['pslr_low_db']:.2f}, {row['pslr_high_db']:.2f}]"
        click.echo(
            f"{row['design']} at {row['sinr_db']:g} dB: PSLR {row['pslr_db']:.2f} dB {interval}, "
            f"{row['pslr_loss_db']:+.2f} dB against equal power, ISLR {row['islr_db']:.2f} dB, "
            f"{row['draws']} of {draws} draws"
        )
    click.echo(f"results in {folder}")


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
    """The likelihood's expected surface over the search area, with its highest sidelobes."""
    from disac.designs import design
    from disac.estimators.ambiguity import ambiguity_surface
    from disac.experiments.run_folder import new_folder
    from disac.experiments.sidelobes import plot_ambiguity

    scenario, threshold = scenario_of(preset, file, settings, sinr_db)
    say_warnings(scenario)
    with told_errors():
        result = design(name, scenario, threshold_given(threshold))
        surface = ambiguity_surface(result.scenario, result.covariances, mode=mode, target=target, others=others)
    folder = new_folder("ambiguity", out)
    plot_ambiguity(result.scenario, surface, folder / "ambiguity")
    for peak in surface.sidelobes[:5]:
        x, y = peak.position
        click.echo(f"sidelobe {peak.level_db:.2f} dB at ({x:.2f}, {y:.2f}) m")
    click.echo(f"{len(surface.sidelobes)} sidelobes in the area; picture in {folder}")


COMMANDS = (sidelobes, ambiguity)
