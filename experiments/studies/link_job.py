"""The job behind ``disac run link``: design, campaign, summary, pictures, all in one folder that can be resumed."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from disac.experiments.runs.design_record import design_mark, load_design_records
from disac.experiments.runs.folder import STORE, records_kept
from disac.experiments.runs.reading import read_toml
from disac.experiments.runs.replacing import replace_text
from disac.experiments.runs.tables import write_csv
from disac.experiments.statistics.pairs import pair_rows
from disac.experiments.statistics.summary import Row, infeasible_row, summarize_point
from disac.experiments.studies.link import LinkCase, LinkExperiment, LinkTrial, at_snr
from disac.experiments.studies.link_columns import own_record
from disac.experiments.trials.keys import point_key
from disac.simulator import Scenario

if TYPE_CHECKING:
    from disac.designs import DesignResult
    from disac.designs.precoding.files import SavedPrecoders
    from disac.estimators.base import EstimatorKind
    from disac.experiments.runs.store import PointStatus
    from disac.experiments.trials.stopping import StoppingPolicy


@dataclass(frozen=True)
class LinkJob:
    """An experiment with the points that could not be designed.

    Attributes
    ----------
    experiment : what to run.
    infeasible : (point, reason) of the cases without a solution.
    """

    experiment: LinkExperiment
    infeasible: tuple[tuple[dict[str, Any], str], ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the points' fields, in the order of the table's columns."""
        every = [*self.experiment.points(), *(point for point, _ in self.infeasible)]
        return tuple(dict.fromkeys([*(name for point in every for name in point), "estimator"]))


@dataclass(frozen=True)
class DesignedCases:
    """Cases to transmit, the (point, reason) of those without a solution, and a record of each certificate."""

    cases: tuple[LinkCase, ...]
    infeasible: tuple[tuple[dict[str, Any], str], ...] = ()
    records: tuple[dict[str, Any], ...] = ()


def design_cases(
    scenarios: Sequence[tuple[dict[str, Any], Scenario]],
    *,
    designs: Sequence[str],
    sinr_db: Sequence[float],
    n_symbols: Sequence[int] | None,
    snr_db: Sequence[float],
    resolve: bool,
    solver: str | None,
    say: Callable[[str], None],
) -> DesignedCases:
    """Solve every design at every threshold in every scenario (given with the fields that tell it from the others).

    Parameters
    ----------
    designs : names of registered designs, and paths of files with precoders. A file is one case in each scenario: what
        it sends depends on no threshold.
    resolve : solve anew with the noise of every SNR of the link, not once with the scenario's own.

    Raises
    ------
    ValueError : see :func:`disac.designs.design`.
    """
    from disac.designs import DEFAULT_SOLVER, Infeasible, design
    from disac.designs.precoding.files import is_precoder_file
    from disac.experiments.runs.design_record import design_record

    cases: list[LinkCase] = []
    infeasible: list[tuple[dict[str, Any], str]] = []
    records: list[dict[str, Any]] = []
    shown = _names_of_files([name for name in designs if is_precoder_file(name)], designs, scenarios)
    for (swept, scenario), name, snr in product(scenarios, designs, snr_db if resolve else (None,)):
        own: dict[str, Any] = swept if snr is None else {**swept, "snr_db": float(snr)}
        solved_for = scenario if snr is None else at_snr(scenario, snr)
        for threshold in (None,) if name in shown else sinr_db:
            fields = {"design": name} if threshold is None else {"design": name, "sinr_db": float(threshold)}
            fields |= own
            label = ", ".join(f"{field} = {value}" for field, value in fields.items())
            try:
                result = design(name, solved_for, threshold, solver=solver or DEFAULT_SOLVER)
            except Infeasible as error:
                say(f"{label}: infeasible: {error}")
                infeasible.append((fields, str(error)))
                continue
            say(f"{label}: {_what_is_sent(result, name in shown)}")
            if name in shown:
                kept = {} if result.sinr_db is None else {"sinr_db": result.sinr_db}
                fields = {"design": shown[name], **kept, **own}
            records.append(design_record(result, fields, given=name in shown))
            cases += _cases(fields, result.scenario, result, n_symbols)
    return DesignedCases(tuple(cases), tuple(infeasible), tuple(records))


def _what_is_sent(result: DesignResult, given: bool) -> str:
    """One line on a result: what is proved about it, or of given precoders what they reach."""
    if not given:
        return (
            f"{result.status}, one-symbol RCRB {result.rcrb_m:.4g} m, relative gap {result.gap:.1e}, "
            f"{result.solve_seconds:.2f} s"
        )
    c = result.certificate
    sinr = f", SINR at least {10 * np.log10(c.sinr.min()):.2f} dB" if c.sinr.size and c.sinr.min() > 0 else ""
    power = c.antenna_power.max() / result.scenario.tx_power
    return f"given, one-symbol RCRB {result.rcrb_m:.4g} m{sinr}, at most {power:.4g} P_T an antenna"


def _names_of_files(
    files: Sequence[str], designs: Sequence[str], scenarios: Sequence[tuple[dict[str, Any], Scenario]]
) -> dict[str, str]:
    """What the column ``design`` calls each file: the name that it holds, or its path where another has that name."""
    from disac.designs.precoding.files import load_precoders

    held = {path: load_precoders(path, scenarios[0][1], same_scenario=False).name for path in files}
    every = [*held.values(), *(name for name in designs if name not in held)]
    return {path: name if every.count(name) == 1 else path for path, name in held.items()}


def _cases(
    fields: Mapping[str, Any],
    scenario: Scenario,
    precoders: DesignResult | SavedPrecoders,
    n_symbols: Sequence[int] | None,
) -> list[LinkCase]:
    """The same precoders for every number of OFDM symbols asked for, or the scenario's."""
    return [
        LinkCase(
            fields=tuple(fields.items()),
            scenario=scenario.replace(n_symbols=t),
            comm_precoders=precoders.comm_precoders,
            radar_precoders=precoders.radar_precoders,
        )
        for t in n_symbols or (scenario.n_symbols,)
    ]


def without_unidentifiable(
    experiment: LinkExperiment, say: Callable[[str], None]
) -> tuple[LinkExperiment, tuple[tuple[dict[str, Any], str], ...]]:
    """The experiment without cases that no estimator can localize in, and a row's fields and reason for each of these.

    An estimator whose bound does not exist in a case where another's does is only told of.
    """
    from disac.designs import Unidentifiable

    kept, lost = [], []
    for case in experiment.cases:
        alone = replace(experiment, cases=(case,))
        point = alone.points()[0]
        trial = alone.prepare(point)
        reasons = {}
        for kind in trial.kinds:
            try:
                trial.expected_crb_m2(kind.bound)
            except Unidentifiable as error:
                reasons[kind.name] = f"unidentifiable: {error}"
                label = ", ".join(f"{name} = {value}" for name, value in case.fields)
                say(f"{label}, estimator {kind.name}: unidentifiable: {error}")
        if len(reasons) < len(trial.kinds):
            kept.append(case)
        else:
            fields = {**dict(case.fields), "n_symbols": point["n_symbols"]}
            lost += [({**fields, "estimator": name}, reason) for name, reason in reasons.items()]
    return replace(experiment, cases=tuple(kept)), tuple(lost)


def stopping_policy(
    trials: int, precision: float | None = None, bit_errors: int | None = None, seconds: float | None = None
) -> StoppingPolicy:
    """Policy of the command line's options; ``trials`` is the number, or the cap where another policy is given."""
    from disac.experiments.trials.stopping import (
        ErrorCount,
        FirstOf,
        FixedTrials,
        RelativeHalfWidth,
        TimeLimit,
        TrialCap,
    )

    others: list[StoppingPolicy] = []
    if precision is not None:
        others.append(RelativeHalfWidth("sq_error_m2", precision))
    if bit_errors is not None:
        others.append(ErrorCount("bit_errors", bit_errors))
    if seconds is not None:
        others.append(TimeLimit(seconds))
    return FirstOf((*others, TrialCap(trials))) if others else FixedTrials(trials)


def with_more_trials(stopping: StoppingPolicy, trials: int) -> StoppingPolicy:
    """The policy with more trials per point, or with a higher cap.

    Raises
    ------
    ValueError : ``trials`` is fewer than the policy has.
    """
    from disac.experiments.trials.stopping import FirstOf, FixedTrials, TrialCap

    before = stopping.most_trials or 0
    if trials < before:
        raise ValueError(f"--trials {trials}: the run was begun with {before} trials a point, must be at least as many")
    if isinstance(stopping, FirstOf):
        capped = (TrialCap(trials) if isinstance(part, TrialCap) else part for part in stopping.policies)
        return FirstOf(tuple(capped))
    return FixedTrials(trials)


def extend_job(folder: Path, stopping: StoppingPolicy, trials: int) -> None:
    """Let the folder's run go on to ``trials`` trials a point: its settings and its rerun line say so from now on."""
    from disac.experiments.runs.folder import rerun_line, write_provenance
    from disac.experiments.trials.stopping import policy_to_dict

    settings = read_toml(folder / "config.toml")
    settings["stopping"] = _without_none(policy_to_dict(stopping))
    replace_text(folder / "config.toml", tomli_w.dumps(settings))
    words = shlex.split(rerun_line(folder))
    if "--trials" in words:
        at = words.index("--trials")
        del words[at : at + 2]
    kept = [word for word in words if not word.startswith("--trials=")]
    write_provenance(folder, shlex.join([*kept, "--trials", str(trials)]))


def save_job(
    job: LinkJob, folder: Path, *, seed: int, stopping: StoppingPolicy, shard: tuple[int, int] | None = None
) -> None:
    """Write everything that a resumed run needs: settings as TOML, scenarios and precoders beside it."""
    from disac.designs.precoding.files import SavedPrecoders, save_precoders
    from disac.experiments.trials.stopping import policy_to_dict

    e = job.experiment
    settings: dict[str, Any] = {
        "seed": seed,
        "stopping": _without_none(policy_to_dict(stopping)),
        "snr_db": list(e.snr_db),
        "modulations": list(e.modulations),
        "estimators": list(e.estimators),
        "radar": e.radar,
        "n_pilots": e.n_pilots,
        **({} if shard is None else {"shard": list(shard)}),
        "cases": [],
        "infeasible": [{"reason": reason, **point} for point, reason in job.infeasible],
    }
    for i, case in enumerate(e.cases):
        case.scenario.to_toml(folder / f"scenario-{i}.toml")
        fields = dict(case.fields)
        save_precoders(
            folder / f"precoders-{i}.npz",
            SavedPrecoders(
                name=str(fields.get("design", "")),
                sinr_db=float(fields["sinr_db"]) if "sinr_db" in fields else None,
                scenario_digest=case.scenario.digest,
                comm_precoders=case.comm_precoders,
                radar_precoders=case.radar_precoders,
            ),
        )
        settings["cases"].append(fields)
    (folder / "config.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")


def _without_none(value: Any) -> Any:
    """The value without entries that are None, which TOML cannot hold and which are the defaults."""
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def load_job(folder: Path) -> tuple[LinkJob, int, StoppingPolicy]:
    """The job, seed and stopping policy that :func:`save_job` wrote.

    Raises
    ------
    FileNotFoundError : the folder holds no run.
    """

    path = folder / "config.toml"
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: not a run folder, it has no config.toml")
    settings = read_toml(path)
    try:
        return _job_of(settings, folder)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is damaged: {type(error).__name__}: {error}") from None


def _job_of(settings: dict[str, Any], folder: Path) -> tuple[LinkJob, int, StoppingPolicy]:
    from disac.designs.precoding.files import load_precoders
    from disac.experiments.trials.stopping import policy_from_dict

    cases = []
    for i, fields in enumerate(settings["cases"]):
        scenario = Scenario.from_toml(folder / f"scenario-{i}.toml")
        sent = load_precoders(folder / f"precoders-{i}.npz", scenario)
        cases.append(LinkCase(tuple(fields.items()), scenario, sent.comm_precoders, sent.radar_precoders))
    experiment = LinkExperiment(
        cases=tuple(cases),
        snr_db=tuple(settings["snr_db"]),
        modulations=tuple(settings["modulations"]),
        estimators=tuple(settings["estimators"]),
        radar=settings["radar"],
        n_pilots=settings["n_pilots"],
    )
    infeasible = tuple(
        ({name: value for name, value in item.items() if name != "reason"}, item["reason"])
        for item in settings["infeasible"]
    )
    return LinkJob(experiment, infeasible), settings["seed"], policy_from_dict(settings["stopping"])


def joined_job(jobs: Sequence[LinkJob]) -> LinkJob:
    """The job of runs of one campaign, merged: every SNR and modulation of one of them, combined."""
    experiments = [job.experiment for job in jobs]
    snr_db = list(dict.fromkeys(snr for e in experiments for snr in e.snr_db))
    if all(list(e.snr_db) == sorted(e.snr_db) for e in experiments):
        snr_db.sort()
    experiment = replace(
        experiments[0],
        snr_db=tuple(snr_db),
        modulations=tuple(dict.fromkeys(name for e in experiments for name in e.modulations)),
    )
    infeasible = {point_key(point): (point, reason) for job in jobs for point, reason in job.infeasible}
    return LinkJob(experiment, tuple(infeasible.values()))


def stored_shard(folder: Path) -> tuple[int, int] | None:
    """Part (i, n) of all trials that the folder's run is; None for all of them."""
    part = read_toml(folder / "config.toml").get("shard")
    return None if part is None else (int(part[0]), int(part[1]))


def run_job(
    job: LinkJob,
    folder: Path,
    *,
    seed: int,
    stopping: StoppingPolicy,
    workers: int,
    executor: str | None = None,
    scheduler: str | None = None,
    shard: tuple[int, int] | None = None,
    resume: bool = False,
    timeout_s: float | None = None,
    rerun_line: str = "",
) -> list[Row]:
    """Run or go on with the campaign, and write ``summary.csv`` and the pictures beside its records.

    Parameters
    ----------
    executor, scheduler : see :func:`disac.experiments.campaign.executors.open_executor`; None lets the runner choose.
    shard : part (i, n) of every point's trials.
    resume : go on with the folder's run.
    timeout_s : limit of one trial, in local worker processes only; see
        :func:`disac.experiments.campaign.runner.run_campaign`.
    """
    from disac.experiments.campaign.executors import open_executor
    from disac.experiments.campaign.progress import CampaignBar
    from disac.experiments.campaign.runner import run_campaign

    if job.experiment.cases:
        with ExitStack() as stack:
            bar = stack.enter_context(CampaignBar())
            own = (
                stack.enter_context(open_executor(executor, workers=workers, scheduler=scheduler)) if executor else None
            )
            run_campaign(
                job.experiment,
                folder / STORE,
                seed=seed,
                stopping=stopping,
                workers=workers,
                executor=own,
                shard=shard,
                resume=resume,
                progress=bar,
                timeout_s=timeout_s,
                rerun_line=rerun_line,
            )
    with records_kept(folder):
        return summarize_job(job, folder, seed=seed)


def summarize_job(job: LinkJob, folder: Path, *, seed: int) -> list[Row]:
    """Rows of all points from the stored records, written as ``summary.csv`` with the pictures beside it."""
    rows, errors = _rows(job, folder, seed) if job.experiment.cases else ([], [])
    pair_rows(rows, errors, job.fields, seed)
    _mark_designs(rows, load_design_records(folder))
    blank = dict.fromkeys(job.fields)
    rows = [blank | row for row in rows]
    rows += [infeasible_row(blank | point, reason) for point, reason in job.infeasible]
    write_csv(rows, folder / "summary.csv")
    try:
        plot_job(rows, job, folder)
    except Exception as error:
        warnings.warn(f"{folder}: no picture was drawn: {type(error).__name__}: {error}", stacklevel=2)
    return rows


def _mark_designs(rows: Sequence[Row], records: Sequence[Mapping[str, Any]]) -> None:
    """Say in status and note of every row whose signals are not those of a solved design."""
    for record in records:
        mark, note = design_mark(record)
        for row in rows:
            if note and _is_of(row, record):
                if mark:
                    row["status"] = f"{row['status']}, {mark}"
                row["note"] = "; ".join(filter(None, [row.get("note"), note]))


def _is_of(row: Row, record: Mapping[str, Any]) -> bool:
    """Whether a row's signals are those of the design of this record."""
    return all(row.get(name) == value for name, value in record["fields"].items())


def _rows(job: LinkJob, folder: Path, seed: int) -> tuple[list[Row], list[dict[int, float]]]:
    """One row per point and estimator, and the squared errors of each by trial."""
    from disac.experiments.runs.store import RunReader

    rows: list[Row] = []
    errors: list[dict[int, float]] = []
    with RunReader(folder / STORE) as run:
        held = {point.key: point for point in run.points()}
        for point in job.experiment.points():
            stored = held.get(point_key(point))
            if stored is None:
                continue  # a merged run may lack some
            trials, context = run.records(stored.key), job.experiment.prepare(point)
            for index, kind in enumerate(context.kinds):
                own = {
                    trial: found
                    for trial, record in trials
                    if (found := own_record(record, index, context.estimators)) is not None
                }
                rows.append(_row({**point, "estimator": kind.name}, stored, own, len(trials), context, kind, seed))
                errors.append({trial: float(record["sq_error_m2"]) for trial, record in own.items()})
    return rows, errors


def _row(
    point: dict[str, Any],
    stored: PointStatus,
    own: Mapping[int, Mapping[str, Any]],
    n_records: int,
    context: LinkTrial,
    kind: EstimatorKind,
    seed: int,
) -> Row:
    """The row of one estimator at one point."""
    from disac.designs import Unidentifiable

    try:
        expected = context.expected_crb_m2(kind.bound)
    except Unidentifiable as error:
        return {**point, "trials": 0, "failed": stored.failed + n_records, "status": f"unidentifiable: {error}"}
    return summarize_point(
        point,
        list(own.values()),
        failed=stored.failed + n_records - len(own),
        expected_crb_m2=expected,
        seed=seed,
        stop_reason=stored.stop.text if stored.stop else "interrupted",
    )


def plot_job(rows: Sequence[Row], job: LinkJob, folder: Path) -> list[Path]:
    """RMSE and BER against SNR, or against the numeric field that is swept at one SNR, and the scene."""
    from disac.experiments.plotting.figures import design_name, save_ber, save_rmse, save_scene

    drawn = [row for row in rows if row.get("rmse_m") is not None]
    for record in load_design_records(folder):
        mark, _ = design_mark(record)
        drawn = [
            {**row, "design": f"{design_name(row['design'])} ({mark})"} if mark and _is_of(row, record) else row
            for row in drawn
        ]
    paths: list[Path] = []
    if drawn:
        x = _abscissa(drawn, job.fields)
        drawn = _over_whole_abscissa(drawn, x)
        paths += save_rmse(drawn, folder / "rmse", fields=job.fields, x=x)
        if any("ber" in row for row in drawn):
            theory = list(_theory_between(job.experiment)) if x == "snr_db" else []
            paths += save_ber(drawn, folder / "ber", fields=job.fields, x=x, theory=theory)
    if job.experiment.cases:
        paths += save_scene(job.experiment.cases[0].scenario, folder / "scene")
    return paths


def _theory_between(experiment: LinkExperiment) -> Iterator[Row]:
    """BER theory every decibel between the simulated SNRs, where it does not depend on the trials' phases."""
    if len(experiment.snr_db) < 2:
        return
    grid = np.arange(min(experiment.snr_db), max(experiment.snr_db) + 0.5)
    for point in (point for point in experiment.points() if point["snr_db"] == experiment.snr_db[0]):
        if not experiment.prepare(point).single_node_subcarriers:
            continue
        for snr_db in grid:
            between = {**point, "snr_db": float(snr_db)}
            yield {**between, **experiment.prepare(between).fixed_ber_theory}


def _abscissa(rows: Sequence[Row], fields: Sequence[str]) -> str:
    """The SNR where it varies, else the first numeric field that does."""
    values = {name: {row[name] for row in rows} - {None} for name in fields}
    swept = [name for name, found in values.items() if len(found) > 1 and not isinstance(next(iter(found)), str)]
    return "snr_db" if "snr_db" in swept or not swept else swept[0]


def _over_whole_abscissa(rows: Sequence[Row], x: str) -> list[Row]:
    """Rows in which what does not depend on the abscissa (given precoders, over thresholds) stands at both its ends."""
    known = [row[x] for row in rows if row[x] is not None]
    ends = sorted({min(known), max(known)}) if known else []
    return [each for row in rows for each in ([row] if row[x] is not None else [{**row, x: end} for end in ends])]
