"""The command line: ``disac run``, ``presets``, ``describe`` and the commands on stored runs.

Heavy libraries are imported inside the commands, so that help appears at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import disac
from disac.estimators.base import estimator, estimator_names
from disac.experiments.cli import design as cli_design
from disac.experiments.cli import report as cli_report
from disac.experiments.cli import reproduce as cli_reproduce
from disac.experiments.cli import runs as cli_runs
from disac.experiments.cli.errors import said_warnings, say, user_errors
from disac.experiments.cli.plugins import ARGUMENTS, import_given, with_import
from disac.experiments.cli.printing import accept_any_encoding, tell, tell_code_changes
from disac.experiments.cli.runs import told_errors
from disac.experiments.cli.scenario import say_warnings, scenario_of, threshold_given
from disac.experiments.cli.study import Studies, print_table
from disac.experiments.cli.types import ListOption, Names, Numbers, Shard, first_repeated
from disac.experiments.study.scene import assignment

if TYPE_CHECKING:
    from disac.simulator import Scenario
    from disac.simulator.streams import RadarSequence

MODULATIONS = ("qpsk", "16qam", "64qam", "256qam")


class Root(click.Group):
    """The command group; it keeps the arguments as given, so that a run can store the line that repeats it."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse ``args``; click calls this."""
        given = tuple(args)
        import_given(given)
        context = super().make_context(info_name, args, parent, **extra)
        context.meta[ARGUMENTS] = given
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click calls this."""
        with user_errors():
            return super().invoke(ctx)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(disac.__version__, prog_name="disac")
def cli() -> None:
    """Check theory against waveforms for noncoherent distributed sensing and communication (ISAC).

    \b
    First figure:      disac run link
    The paper's scenes: disac presets, disac describe fig4
    """


@cli.group(cls=Studies)
def run() -> None:
    """Run an experiment; results go to a folder with records, summary and pictures."""


@run.command("link", cls=cli_design.DesignCommand)
@click.option("--preset", default="fig4", show_default=True, help="The paper's scenario to use (disac presets).")
@click.option("--scenario", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Scenario TOML.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Replace a scenario field (TOML value).")
@click.option(
    "--design",
    "designs",
    cls=ListOption,
    type=Names(),
    default="p2",
    show_default=True,
    metavar="NAME|FILE,...",
    help="Designs to transmit, comma separated: names (disac design --help lists them) and files of precoders, "
    "which end in .npz or .nc.",
)
@click.option(
    "--precoders",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Transmit the precoders of this file; repeatable. Without --design no design is solved.",
)
@click.option(
    "--sinr-db",
    cls=ListOption,
    type=Numbers(float, -300, 300),
    help="SINR thresholds Gamma_c [dB]; default: the preset's.",
)
@click.option(
    "--snr-db",
    cls=ListOption,
    type=Numbers(float, -100, 100),
    default="-50:30:10",
    show_default=True,
    help="P_T/sigma^2 of the link [dB] (sensing and users alike); numbers and ranges start:stop:step.",
)
@click.option(
    "--sweep", metavar="FIELD=V1,V2,...", help="Repeat for several values of a scenario field (list of TOML values)."
)
@click.option(
    "--quick",
    is_flag=True,
    help="A rough version: 20 trials a point, unless --trials is given. The first run of all compiles its kernels too.",
)
@click.option("--resolve", is_flag=True, help="Solve the design anew at every SNR, not once at the preset's.")
@click.option(
    "--symbols",
    cls=ListOption,
    type=Numbers(int, 1, 65536),
    help="OFDM symbols T per trial; default: the scenario's.",
)
@click.option(
    "--modulation",
    cls=ListOption,
    type=Names(MODULATIONS),
    default="qpsk",
    show_default=True,
    help="QAM of the data.",
)
@click.option(
    "--radar",
    type=click.Choice(["constant-modulus", "gaussian"]),
    default="constant-modulus",
    show_default=True,
    help="Radar sequences.",
)
@click.option(
    "--estimator",
    "estimators",
    cls=ListOption,
    type=Names(),
    default="ml",
    show_default=True,
    help="Estimators of the positions, comma separated; all see the same trials, the first is the reference. Built in: "
    f"{', '.join(estimator_names())}.",
)
@click.option(
    "--mode", "modes", cls=ListOption, type=Names(), hidden=True, help="Other name of --estimator; hybrid is ml."
)
@click.option("--pilots", type=click.IntRange(0), default=0, show_default=True, help="Pilot symbols for the users.")
@click.option("--trials", type=click.IntRange(2), help="Trials per point.  [default: 200]")
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Stop a point when the RMSE's 95 % half-width is below this share of it; --trials is then the cap.",
)
@click.option("--bit-errors", type=click.IntRange(1), help="Stop a point at this many bit errors; --trials caps.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="Stop a point after this computing time (not repeatable).",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Campaign seed.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes; default: the number of cores.")
@click.option(
    "--executor",
    type=click.Choice(["serial", "pool", "dask", "mpi"]),
    help="Where trials run; default: this process for one worker, a pool of processes for more.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Running Dask scheduler, for example tcp://10.0.0.1:8786.")
@click.option("--shard", type=Shard(), metavar="I/N", help="Part I of N of every point's trials, for array jobs.")
@click.option(
    "--trial-timeout",
    type=click.FloatRange(0, min_open=True),
    help="Give a trial up after so many seconds and record it as failed (local worker processes).",
)
@click.option("--solver", help="Solver of the design; default: the project's choice.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Run folder; default: runs/link-DATE.")
@click.option(
    "--resume", "resumed", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Go on with a run."
)
def run_link(
    preset: str,
    file: Path | None,
    settings: tuple[str, ...],
    designs: tuple[str, ...],
    precoders: tuple[str, ...],
    sinr_db: tuple[float, ...] | None,
    snr_db: tuple[float, ...],
    sweep: str | None,
    quick: bool,
    resolve: bool,
    symbols: tuple[int, ...] | None,
    modulation: tuple[str, ...],
    radar: RadarSequence,
    estimators: tuple[str, ...],
    modes: tuple[str, ...] | None,
    pilots: int,
    trials: int | None,
    precision: float | None,
    bit_errors: int | None,
    seconds: float | None,
    seed: int,
    workers: int | None,
    executor: str | None,
    scheduler: str | None,
    shard: tuple[int, int] | None,
    trial_timeout: float | None,
    solver: str | None,
    out: Path | None,
    resumed: Path | None,
) -> None:
    """Transmit a design's waveform, localize and detect, and compare RMSE and BER with their bounds.

    \b
    disac run link                               the paper's Fig. 4 scene, P.2, -50 to 30 dB
    disac run link --snr-db 20 --trials 2000     one point, narrow interval
    disac run link --set "targets=[[0, 0]]"      one target
    """
    from disac.designs.precoding.files import is_precoder_file
    from disac.experiments.runs.design_record import save_design_records
    from disac.experiments.runs.failures import Failures
    from disac.experiments.runs.folder import STORE, check_begun, new_run, rerun_line, usable_cores, write_provenance
    from disac.experiments.runs.store import StoreError
    from disac.experiments.studies.link import LinkExperiment
    from disac.experiments.studies.link_job import (
        LinkJob,
        design_cases,
        extend_job,
        load_job,
        run_job,
        save_job,
        stopping_policy,
        stored_shard,
        summarize_job,
        with_more_trials,
        without_unidentifiable,
    )

    if trial_timeout is not None and executor not in (None, "pool"):
        raise click.UsageError(
            f"--trial-timeout needs local worker processes: it does not go with --executor {executor}"
        )
    if scheduler is not None and executor != "dask":
        raise click.UsageError("--scheduler is the address of a Dask scheduler: it needs --executor dask")
    if resumed is not None:
        refuse_other_options(resumed, "resumed", "workers", "executor", "scheduler", "shard", "trial_timeout", "trials")
        with told_errors():
            check_begun(resumed)
            job, seed, stopping = load_job(resumed)
            if trials is not None:
                stopping = with_more_trials(stopping, trials)
                extend_job(resumed, stopping, trials)
            shard = shard or stored_shard(resumed)
        folder = resumed
    else:
        if file is not None and chosen("preset"):
            raise click.UsageError("--preset and --scenario exclude each other")
        sent = list(designs) if chosen("designs") or not precoders else []
        sent += precoders
        if not sent:
            raise click.UsageError("--design: names no design")
        if (twice := first_repeated(sent)) is not None:
            raise click.UsageError(f"--design and --precoders: {twice} is given twice")
        only_files = all(is_precoder_file(name) for name in sent)
        for useless in ("--sinr-db" if sinr_db else "", "--resolve" if resolve else "", "--solver" if solver else ""):
            if only_files and useless:
                raise click.UsageError(f"files of precoders are sent as they are: {useless} would change nothing")
        localizers = _estimators(estimators, modes)
        scenario, threshold = scenario_of(preset, file, settings)
        stopping = stopping_policy(trials or (20 if quick else 200), precision, bit_errors, seconds)
        if pilots and pilots < scenario.n_users:
            raise click.UsageError(f"--pilots {pilots}: must be 0 or at least the number of users, {scenario.n_users}")
        say_warnings(scenario)
        with told_errors(), new_run("link", out) as new:
            folder = new.folder
            with said_warnings():
                designed = design_cases(
                    _swept(scenario, sweep),
                    designs=sent,
                    sinr_db=sinr_db or (() if only_files else (threshold_given(threshold),)),
                    n_symbols=symbols,
                    snr_db=snr_db,
                    resolve=resolve,
                    solver=solver,
                    say=say,
                )
            experiment = LinkExperiment(
                cases=designed.cases,
                snr_db=() if resolve else snr_db,
                modulations=modulation,
                estimators=localizers,
                radar=radar,
                n_pilots=pilots,
            )
            experiment, unidentifiable = without_unidentifiable(experiment, say)
            job = LinkJob(experiment, (*designed.infeasible, *unidentifiable))
            save_job(job, new.staging, seed=seed, stopping=stopping, shard=shard)
            save_design_records(new.staging, designed.records)
            write_provenance(new.staging, begun_by())
    try:
        with told_errors(same_options=False):
            rows = run_job(
                job,
                folder,
                seed=seed,
                stopping=stopping,
                workers=workers or usable_cores(),
                executor=executor,
                scheduler=scheduler,
                shard=shard,
                resume=resumed is not None,
                timeout_s=trial_timeout,
                rerun_line=rerun_line(folder),
            )
    except KeyboardInterrupt:
        with suppress(StoreError):  # before the first commit there may be no table yet
            _print_rows(summarize_job(job, folder, seed=seed), job.fields, folder, seed)
        say(f"interrupted; nothing is lost, go on with: disac run link --resume {folder}")
        raise SystemExit(130) from None
    _print_rows(rows, job.fields, folder, seed)
    if all(row.get("rmse_m") is None for row in rows):
        failures = Failures.of(folder / STORE) if (folder / STORE).is_file() else None
        if failures is not None and failures.total:
            say(str(failures))
        raise SystemExit(1)


def begun_by() -> str:
    """The line that was typed, without the folder and with files by their absolute paths, so that it works anywhere."""
    import shlex

    words = iter(click.get_current_context().meta[ARGUMENTS])
    kept: list[str] = []
    for word in words:
        option, equals, value = word.partition("=")
        if option == "--out":
            if not equals:
                next(words, None)
        elif option in _FILE_OPTIONS:
            value = value if equals else next(words, "")
            kept += [option, ",".join(_absolute(part) for part in value.split(","))]
        else:
            kept.append(word)
    return shlex.join(["disac", *kept])


_FILE_OPTIONS = ("--scenario", "--precoders", "--design", "--import")
"""Options whose values are files, or may be."""


def _absolute(text: str) -> str:
    """The absolute path of a file that exists; any other text as it is."""
    path = Path(text.strip())
    return str(path.absolute()) if path.is_file() else text


def _estimators(names: tuple[str, ...], modes: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of registered estimators; ``--mode`` says the same of maximum likelihood in other words."""
    option, given = "--estimator", names
    if modes is not None:
        if chosen("estimators"):
            raise click.UsageError("--mode is another name of --estimator: give one of them")
        option, given = "--mode", modes
    wanted = [("ml" if name == "hybrid" else name) for name in given] if modes is not None else list(given)
    if not wanted:
        raise click.UsageError(f"{option}: names no estimator")
    if (twice := first_repeated(wanted)) is not None:
        raise click.UsageError(f"{option} {','.join(given)}: {twice} is given twice")
    for name in wanted:
        try:
            estimator(name)
        except ValueError as error:
            raise click.UsageError(f"{option} {','.join(given)}: {error}") from None
    return tuple(wanted)


def chosen(parameter: str) -> bool:
    """Whether an option was given on the command line, not left at its default."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE


def refuse_other_options(folder: Path, *allowed: str) -> None:
    """Refuse options given on the command line that a resumed run takes from its folder instead."""
    from disac.experiments.runs.folder import RERUN

    context = click.get_current_context()
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.expose_value and parameter.name not in allowed and chosen(str(parameter.name))
    ]
    if given:
        raise click.UsageError(
            f"--resume takes everything from its folder: it does not go with {', '.join(given)}; "
            f"the line that began the run is in {folder / RERUN}"
        )


def _print_rows(rows: Sequence[dict[str, Any]], fields: Sequence[str], folder: Path, seed: int) -> None:
    from disac.experiments.runs.folder import rerun_line
    from disac.experiments.statistics.summary import notes, table_lines

    header, cells = table_lines(rows, fields)
    print_table(header, cells)
    for note in notes(rows):
        click.echo(note)
    click.echo(f"disac {disac.__version__}, seed {seed}, results in {folder}")
    tell_code_changes(folder)
    tell(f"rerun: {rerun_line(folder)}")


@cli.command()
def presets() -> None:
    """List the paper's scenarios, with what the paper leaves unstated and what was chosen."""
    from disac.simulator import preset, preset_names

    for name in preset_names():
        item = preset(name)
        click.echo(f"{click.style(name, bold=True)}  {item.source}")
        for topic, choice in item.unstated:
            click.echo(f"    {topic}: {choice}")


@cli.command()
@click.argument("what", metavar="PRESET|FILE")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Replace a scenario field (TOML value).")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to draw the scene (PNG, SVG and PDF beside each other); default: scene-NAME in this folder.",
)
def describe(what: str, settings: tuple[str, ...], plot: Path | None) -> None:
    """Say what a scenario's numbers mean, warn where they contradict each other, and draw the scene."""
    from disac.experiments.plotting.figures import save_scene

    is_file = Path(what).suffix == ".toml"
    scenario, _ = scenario_of(what, Path(what) if is_file else None, settings)
    click.echo(str(scenario.describe()))
    stem = plot.with_suffix("") if plot else Path(f"scene-{Path(what).stem}")
    try:
        paths = save_scene(scenario, stem)
    except OSError as error:
        say(f"the scene is not drawn: {error}; choose a place with --plot")
        return
    click.echo(f"scene drawn in {', '.join(str(path) for path in paths)}")


def _swept(scenario: Scenario, sweep: str | None) -> list[tuple[dict[str, Any], Scenario]]:
    """The scenario for each value of the swept field, with the field that tells it from the others."""
    if sweep is None:
        return [({}, scenario)]
    name, _, values = sweep.partition("=")
    _, listed = assignment(f"{name}=[{values}]", option="--sweep")
    if any(isinstance(value, list | dict) for value in listed):
        raise click.ClickException(f"--sweep {sweep}: takes numbers or names; set lists with --set in separate runs")
    try:
        return [({name.strip(): value}, scenario.replace(**{name.strip(): value})) for value in listed]
    except ValueError as error:
        raise click.ClickException(f"--sweep {sweep}: {error}") from None


for command in (cli_design.design, cli_report.report, cli_reproduce.reproduce, *cli_runs.COMMANDS):
    cli.add_command(command)
for command in (cli, run, cli_design.design, cli_report.report, cli_reproduce.reproduce, *cli_runs.REBUILDING):
    with_import(command)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; errors that a user can mend are one line, without a traceback."""
    accept_any_encoding()
    cli.main(args=list(args) if args is not None else None, prog_name="disac")
