"""Commands on stored runs (``disac status``, ``show``, ``export``, ``compare``, ``merge``, ``replay``) and ``doctor``.

Each RUN is a run folder or the SQLite file in it; viewers open it read-only, also while it is written.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from disac.experiments.cli.plugins import import_needed
from disac.experiments.cli.printing import tell
from disac.experiments.cli.resume import other_campaign
from disac.experiments.runs.folder import RERUN, STORE, records_kept
from disac.experiments.runs.replacing import replace_text
from disac.experiments.trials.keys import point_key

if TYPE_CHECKING:
    from disac.experiments.studies.link_job import LinkJob

RUN = click.Path(exists=True, path_type=Path)


def store_of(run: Path) -> Path:
    """The SQLite file of a run folder, or the file itself.

    Raises
    ------
    click.ClickException : the folder holds no run.
    """
    path = run / STORE if run.is_dir() else run
    if not path.is_file():
        raise click.ClickException(f"{run}: not a run folder, it has no {STORE}")
    return path


SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "netcdf": ".nc"}
"""File types of ``disac export`` and their suffixes."""


@contextmanager
def told_errors(*, same_options: bool = True) -> Iterator[None]:
    """Turn what a user can mend into a message; anything else keeps its traceback.

    Parameters
    ----------
    same_options : a run that goes on must be given the options it was begun with, so that those that differ are named.
    """
    from disac.experiments.campaign.executors import WorkersUnavailable
    from disac.experiments.runs.store import OtherCampaign, StoreError
    from disac.experiments.trials.experiment import ExperimentError, ImportNeeded

    try:
        yield
    except OtherCampaign as error:
        raise click.ClickException(other_campaign(error, same_options)) from None
    except ImportNeeded as error:
        raise click.ClickException(import_needed(error)) from None
    except (StoreError, WorkersUnavailable, ExperimentError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    except RuntimeError as error:
        from disac.designs.problem.refusals import SolverFailure

        if not isinstance(error, SolverFailure):
            raise
        raise click.ClickException(str(error)) from None


@click.command()
@click.argument("run", type=RUN)
@click.option("--check", is_flag=True, help="Read all records and compare them with the digests written with them.")
def status(run: Path, check: bool) -> None:
    """Say how far a run has come, also while it goes on."""
    from disac.experiments.campaign.operations import status as look

    with told_errors():
        found = look(store_of(run), check=check)
    writer = f", written by {found.writer}" if found.writer else ""
    part = ", shard {} of {}".format(*found.meta["shard"]) if found.meta["shard"] else ""
    tell(
        f"{found.path}: {found.state}{writer}; experiment {found.meta['experiment']}, seed {found.meta['seed']}{part}, "
        f"{found.size_bytes / 1e6:.2f} MB, journal mode {found.journal_mode}"
    )
    for point in found.points:
        failed = f", {point.failed} failed" if point.failed else ""
        stop = point.stop.text if point.stop else "unfinished"
        fields = " ".join(f"{name}={value}" for name, value in point.fields.items())
        tell(f"  {fields}: {point.trials} trials{failed} in {point.seconds:.1f} s; {stop}")
    for lacking in found.missing:
        tell(f"not in this merged run: {lacking}")
    for change in found.code_changes:
        tell(f"not all trials are of the same code: {change}")
    if check:
        tell("every record is what was written: all digests agree")


@click.command()
@click.argument("run", type=RUN)
def show(run: Path) -> None:
    """Print the mean of every recorded quantity at every point, with its standard error."""
    from disac.experiments.campaign.operations import show as look

    with told_errors():
        shown = look(store_of(run))
    for point, means in shown:
        tell(" ".join(f"{name}={value}" for name, value in point.fields.items()))
        width = max((len(name) for name in means), default=0)
        for name, mean in means.items():
            unit = "" if mean.unit == "1" else f" {mean.unit}"
            tell(f"  {name:<{width}}  {mean.mean:.6g} +- {mean.standard_error:.2g}{unit}")


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(SUFFIXES)),
    help="File type; default: that of the suffix of --out, else csv.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; default: beside the run.")
def export(run: Path, kind: str | None, out: Path | None) -> None:
    """Export all records with units and provenance (Parquet and NetCDF need the extra disac[io])."""
    from disac.experiments.runs.export import export as write

    path = store_of(run)
    if kind is None:
        kind = next((name for name, suffix in SUFFIXES.items() if out is not None and out.suffix == suffix), "csv")
    own = "records" if path.name == STORE else f"{path.stem}-records"
    target = out or path.with_name(own + SUFFIXES[kind])
    if target.suffix != SUFFIXES[kind]:
        raise click.UsageError(f"--out {out}: a {kind} file ends in {SUFFIXES[kind]}; others are {', '.join(SUFFIXES)}")
    with told_errors():
        write(path, kind, target)
    tell(f"wrote {target}")


class Trouble(click.ClickException):
    """An error of a command whose exit code 1 is an answer."""

    exit_code = 2


@contextmanager
def _troubles() -> Iterator[None]:
    """Turn errors told to the user into :class:`Trouble`, and end with its exit code after any other error too."""
    try:
        yield
    except click.ClickException as error:
        raise Trouble(error.message) from None
    except Exception:
        traceback.print_exc()
        raise SystemExit(Trouble.exit_code) from None


@click.command()
@click.argument("run_a", type=RUN)
@click.argument("run_b", type=RUN)
def compare(run_a: Path, run_b: Path) -> None:
    """Compare two runs point by point: bytes where they share trials, means where they do not.

    Exits like diff: 0 when both hold the same points and trials in every bit, 1 when they do not, 2 on trouble. What
    else differs in their descriptions (settings, stopping rule, library versions) is told and does not count.
    """
    from disac.experiments.campaign.operations import compare as look

    with _troubles(), told_errors():
        found = look(store_of(run_a), store_of(run_b))
        if found.experiments[0] != found.experiments[1]:
            raise click.ClickException("runs of {} and of {} cannot be compared".format(*found.experiments))
    tell("identical: same points, same trials, every bit" if found.identical else "different records")
    for line in found.description:
        tell(f"described otherwise: {line}")
    for side, points in (("first", found.only_a), ("second", found.only_b)):
        for fields in points:
            tell(f"only in the {side}: {fields}")
    for point in found.points:
        name_of_point = " ".join(f"{name}={value}" for name, value in point.fields.items())
        counts = f"{point.trials_a} and {point.trials_b} trials, {point.common} common, {point.identical} equal"
        tell(f"{name_of_point}: {counts}")
        if point.identical == point.common == point.trials_a == point.trials_b:
            continue
        for name, column in point.columns.items():
            if column.mean_a != column.mean_b:
                tell(f"  {name}: {column.mean_a:.6g} and {column.mean_b:.6g} +- {column.standard_error:.2g}")
    if not found.identical:
        raise SystemExit(1)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RUN)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the merged run.")
def merge(runs: tuple[Path, ...], out: Path) -> None:
    """Merge runs of one campaign (shards, other points, more trials) into one that equals a single run of all.

    What the runs lack of the whole is told; what they hold is summarized, and --resume adds what may still be run.
    """
    from disac.experiments.campaign.operations import merge as join
    from disac.experiments.runs.folder import new_run
    from disac.experiments.studies.link_job import summarize_job

    with told_errors(), new_run("merge", out) as new:
        merged = join([store_of(run) for run in runs], new.staging / STORE)
        job = _keep_set_up(runs, new.staging, merged.meta["rerun"])
    trials = sum(point.trials for point in merged.points)
    tell(f"merged {len(runs)} runs into {out}: {len(merged.points)} points, {trials} trials")
    for lacking in merged.missing:
        tell(f"warning: {lacking} are in none of these runs; merge the run that holds them too", err=True)
    if job is not None:
        stored = {point_key(point.fields) for point in merged.points}
        for fields in job.experiment.points():
            if point_key(fields) not in stored:
                named = " ".join(f"{name}={value}" for name, value in fields.items())
                tell(f"warning: point {named} is in none of these runs; disac run link --resume {out} adds it")
        with told_errors(), records_kept(out):
            summarize_job(job, out, seed=int(merged.meta["seed"]))
        tell(f"summary in {out / 'summary.csv'}")


def _keep_set_up(runs: Sequence[Path], folder: Path, rerun: str) -> LinkJob | None:
    """Write into a merged run what its parts hold beside their records; the job of runs of the link, else None."""
    import shutil

    from disac.experiments.runs.choices import CHOICES
    from disac.experiments.studies.link_job import joined_job, load_job, save_job

    first = runs[0]
    if not first.is_dir():
        return None
    for name in ("designs.json", "provenance.json", CHOICES):
        if (first / name).is_file():
            shutil.copy(first / name, folder)
    if rerun:
        replace_text(folder / RERUN, rerun + "\n")
    if not all((run / "config.toml").is_file() for run in runs):
        return None
    from disac.experiments.runs.store import RunReader
    from disac.experiments.trials.stopping import policy_from_dict

    jobs = [load_job(run) for run in runs]
    with RunReader(folder / STORE) as merged:
        stopping = policy_from_dict(merged.meta()["stopping"])
    joined = joined_job([job for job, _, _ in jobs])
    save_job(joined, folder, seed=jobs[0][1], stopping=stopping)
    return joined


@click.command()
@click.argument("run", type=RUN)
@click.argument("point", type=click.IntRange(0))
@click.argument("trial", type=click.IntRange(0, 2**32 - 1))
def replay(run: Path, point: int, trial: int) -> None:
    """Run trial TRIAL of point number POINT again, alone, and compare it with the stored record bit for bit."""
    from disac.experiments.campaign.operations import replay as again

    with told_errors():
        result = again(None, store_of(run), point, trial)
    row = result.row
    if isinstance(row, dict):
        for name, value in row.items():
            tell(f"{name} = {value!r}")
    else:
        tell(f"failed: {row.kind}: {row.message}")
    if result.identical is None:
        tell("the run has not come to this trial; nothing to compare with")
    elif result.identical:
        tell("identical to the stored record, every bit")
    else:
        raise click.ClickException("differs from the stored record; compare versions and processor in provenance.json")


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("."), help="Folder where runs would go.")
def doctor(folder: Path) -> None:
    """Report versions, solvers, threads, Numba cache and the file system of the run folder."""
    import cvxpy

    from disac.experiments.runs.provenance import provenance
    from disac.experiments.runs.store import file_system_type, is_network_file_system

    facts = provenance()
    python, machine = facts["python"], facts["machine"]
    tell(f"disac {facts['disac']}, Python {python['version']}, {machine['platform']}")
    tell(f"processor: {machine['cpu']}, {machine['usable_cpus']} of {machine['cpus']} cores usable")
    tell("versions: " + ", ".join(f"{name} {version}" for name, version in facts["distributions"].items()))
    solvers: list[str] = cvxpy.installed_solvers()  # type: ignore[no-untyped-call]
    tell("solvers through CVXPY: " + ", ".join(solvers))
    for pool in facts["blas"]:
        tell(f"threads of {pool.get('internal_api')} {pool.get('version')}: {pool.get('num_threads')}")
    cache = os.environ.get("NUMBA_CACHE_DIR") or "__pycache__ beside the sources, or the user's cache folder"
    layer = os.environ.get("NUMBA_THREADING_LAYER", "default")
    tell(f"numba: threading layer {layer} (kernels are serial); cache: {cache}")
    kind = file_system_type(folder)
    remark = "a network file system: runs there use a slower journal" if is_network_file_system(kind) else "local"
    tell(f"run folder {folder.resolve()}: {kind}, {remark}")


COMMANDS = (status, show, export, compare, merge, replay, doctor)
REBUILDING = (merge, replay)
"""Those that may need what a run was begun with ``--import``."""
