"""``disac run pareto``: sidelobe level against CRB against SINR, at bound level and with transmitted waveforms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from disac.experiments.cli.errors import said_warnings
from disac.experiments.cli.runs import told_errors
from disac.experiments.cli.scenario import say_warnings, scenario_of
from disac.experiments.study.scene import assignment

if TYPE_CHECKING:
    from disac.simulator import Scenario


@click.command()
@click.option("--preset", help="The paper's scenario to use; it needs two targets. Default: a scene made for this.")
@click.option("--scenario", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Scenario TOML.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Replace a scenario field.")
@click.option("--design", "designs", default="p2,p3", show_default=True, help="Designs to limit: p1, p2, p3.")
@click.option("--sinr-db", multiple=True, type=float, help="Threshold Gamma_c [dB]; repeat for several. Default: 20.")
@click.option(
    "--sidelobe-db", multiple=True, type=float, help="Sidelobe level [dB]; repeat. Default: -3, -6, -10, -13, -16."
)
@click.option("--mainlobe", type=click.FloatRange(1), default=1.0, show_default=True, help="Width of the main lobe.")
@click.option("--weak-db", type=float, default=-10.0, show_default=True, help="Weak target below the strong one [dB].")
@click.option(
    "--draws", type=click.IntRange(1), default=10, show_default=True, help="Draws of channels and amplitudes."
)
@click.option("--realizations", type=click.IntRange(1), default=50, show_default=True, help="Transmissions per draw.")
@click.option("--localized", type=click.IntRange(0), default=5, show_default=True, help="How many are localized.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Campaign seed.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes; default: the number of cores.")
@click.option("--quick", is_flag=True, help="Three levels of P.2, two draws of five transmissions.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@click.option(
    "--resume", "resumed", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Go on with a run."
)
def pareto(
    preset: str | None,
    file: Path | None,
    settings: tuple[str, ...],
    designs: str,
    sinr_db: tuple[float, ...],
    sidelobe_db: tuple[float, ...],
    mainlobe: float,
    weak_db: float,
    draws: int,
    realizations: int,
    localized: int,
    seed: int,
    workers: int | None,
    quick: bool,
    out: Path | None,
    resumed: Path | None,
) -> None:
    """Sidelobe level against CRB against SINR, and what a weak target gains by it.

    Every draw is designed without a limit and at every level, and its precoders are sent: realized sidelobes, detection
    of the weak target in range profiles, localization error. --resume goes on with a folder, given the same options.

    \b
    disac run pareto --design p2,p3 --sinr-db 20 --sidelobe-db -6 --sidelobe-db -13 --draws 10
    """
    from disac.experiments.campaign.runner import run_campaign
    from disac.experiments.cli.main import begun_by, chosen
    from disac.experiments.paper.job import DrawBar
    from disac.experiments.runs.folder import STORE, rerun_line, run_folder, usable_cores
    from disac.experiments.runs.tables import write_csv
    from disac.experiments.studies.pareto_front import pareto_summary, plot_pareto, summary_lines
    from disac.experiments.studies.pareto_sweep import ParetoSweep

    scenario = _scene(preset, file, settings)
    say_warnings(scenario)
    if quick:
        designs = designs if chosen("designs") else "p2"
        draws = draws if chosen("draws") else 2
        realizations = realizations if chosen("realizations") else 5
        localized = localized if chosen("localized") else 1
    with told_errors():
        with said_warnings():
            experiment = ParetoSweep(
                scenario,
                tuple(name.strip() for name in designs.split(",")),
                sinr_db or (20.0,),
                sidelobe_db or ((-3.0, -8.0, -13.0) if quick else (-3.0, -6.0, -10.0, -13.0, -16.0)),
                weak_db=weak_db,
                realizations=realizations,
                localized=localized,
                mainlobe=mainlobe,
            )
        folder = run_folder("pareto", out, resumed, begun_by())
        with DrawBar("pareto", every=5) as bar:
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
    rows = pareto_summary(folder / STORE, seed=seed)
    write_csv(rows, folder / "summary.csv")
    for line in summary_lines(rows):
        click.echo(line)
    if not any(row["draws"] for row in rows):
        raise click.ClickException("no draw is feasible for these designs, thresholds and levels")
    plot_pareto(rows, folder / "pareto")
    click.echo(f"seed {seed}, results in {folder}")


def _scene(preset: str | None, file: Path | None, settings: tuple[str, ...]) -> Scenario:
    from disac.experiments.studies.pareto_sweep import pareto_scene

    if preset is not None or file is not None:
        return scenario_of(preset or "", file, settings, float("nan"))[0]
    with told_errors():
        fields = dict(assignment(text) for text in settings)
        return pareto_scene().replace(**fields) if fields else pareto_scene()


COMMANDS = (pareto,)
