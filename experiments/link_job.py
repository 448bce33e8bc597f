"""The job behind ``disac run link``: design, campaign, summary, pictures, all in one folder that can be resumed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from disac.experiments.link import LinkCase, LinkExperiment, at_snr
from disac.experiments.summary import Row, infeasible_row, summarize_point, write_csv
from disac.simulator import Scenario

STORE = "run.sqlite"
SWEPT = ("design", "sinr_db", "bandwidth_hz", "n_symbols", "modulation", "mode", "snr_db")
"""Fields of a link point, in the order of the table's columns."""


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


def design_cases(
    scenario: Scenario,
    *,
    designs: Sequence[str],
    sinr_db: Sequence[float],
    n_symbols: Sequence[int],
    snr_db: Sequence[float],
    resolve: bool,
    solver: str | None,
    say: Callable[[str], None],
) -> tuple[list[LinkCase], list[tuple[dict[str, Any], str]]]:
    """Solve the designs once at the scenario's own P_T / sigma^2 or, with ``resolve``, at every SNR of the link."""
    from disac.designs import DEFAULT_SOLVER, Infeasible, design

    cases: list[LinkCase] = []
    infeasible: list[tuple[dict[str, Any], str]] = []
    for name in designs:
        for threshold in sinr_db:
            for snr in snr_db if resolve else (None,):
                solved_for = scenario if snr is None else at_snr(scenario, snr)
                where = "" if snr is None else f" at P_T/sigma^2 = {snr:g} dB"
                fields: dict[str, Any] = {"design": name, "sinr_db": float(threshold)}
                if snr is not None:
                    fields["snr_db"] = float(snr)
                try:
                    result = design(name, solved_for, threshold, solver=solver or DEFAULT_SOLVER)
                except Infeasible as error:
                    say(f"design {name}{where}: infeasible: {error}")
                    infeasible.append((fields, str(error)))
                    continue
                say(
                    f"design {name}, Gamma_c = {threshold:g} dB{where}: {result.status}, one-symbol RCRB "
                    f"{result.rcrb_m:.4g} m, relative gap {result.gap:.1e}, {result.solve_seconds:.2f} s"
                )
                cases += [
                    LinkCase(
                        fields=tuple(fields.items()),
                        scenario=solved_for.replace(n_symbols=t),
                        comm_precoders=result.comm_precoders,
                        radar_precoders=result.radar_precoders,
                        covariances=result.covariances,
                    )
                    for t in n_symbols
                ]
    return cases, infeasible


def save_job(job: LinkJob, folder: Path, *, seed: int, trials: int) -> None:
    """Write everything that a resumed run needs: settings as TOML, scenarios and precoders beside it."""
    e = job.experiment
    settings: dict[str, Any] = {
        "seed": seed,
        "trials": trials,
        "snr_db": list(e.snr_db),
        "modulations": list(e.modulations),
        "modes": list(e.modes),
        "radar": e.radar,
        "n_pilots": e.n_pilots,
        "cases": [],
        "infeasible": [{"reason": reason, **point} for point, reason in job.infeasible],
    }
    for i, case in enumerate(e.cases):
        case.scenario.to_toml(folder / f"scenario-{i}.toml")
        np.savez(
            folder / f"precoders-{i}.npz",
            allow_pickle=False,
            comm_precoders=case.comm_precoders,
            radar_precoders=case.radar_precoders,
            covariances=case.covariances,
        )
        settings["cases"].append(dict(case.fields))
    (folder / "config.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")


def load_job(folder: Path) -> tuple[LinkJob, int, int]:
    """The job, seed and number of trials that :func:`save_job` wrote.

    Raises
    ------
    FileNotFoundError : the folder holds no run.
    """
    path = folder / "config.toml"
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: not a run folder, it has no config.toml")
    settings = tomllib.loads(path.read_text(encoding="utf-8"))
    cases = []
    for i, fields in enumerate(settings["cases"]):
        with np.load(folder / f"precoders-{i}.npz", allow_pickle=False) as stored:
            cases.append(
                LinkCase(
                    fields=tuple(fields.items()), scenario=Scenario.from_toml(folder / f"scenario-{i}.toml"), **stored
                )
            )
    experiment = LinkExperiment(
        cases=tuple(cases),
        snr_db=tuple(settings["snr_db"]),
        modulations=tuple(settings["modulations"]),
        modes=tuple(settings["modes"]),
        radar=settings["radar"],
        n_pilots=settings["n_pilots"],
    )
    infeasible = tuple(
        ({name: value for name, value in item.items() if name != "reason"}, item["reason"])
        for item in settings["infeasible"]
    )
    return LinkJob(experiment, infeasible), settings["seed"], settings["trials"]


def run_job(
    job: LinkJob,
    folder: Path,
    *,
    seed: int,
    trials: int,
    workers: int,
    resume: bool = False,
    progress: Any = None,
) -> list[Row]:
    """Run or go on with the campaign, and write ``summary.csv``, the records and the pictures."""
    from disac.experiments.runner import run_campaign
    from disac.experiments.stopping import FixedTrials

    if job.experiment.cases:
        run_campaign(
            job.experiment,
            folder / STORE,
            seed=seed,
            stopping=FixedTrials(trials),
            workers=workers,
            resume=resume,
            progress=progress,
        )
    return summarize_job(job, folder, seed=seed)


def summarize_job(job: LinkJob, folder: Path, *, seed: int) -> list[Row]:
    """Rows of all points from the stored records, written as ``summary.csv`` with the pictures beside it."""
    rows = list(_rows(job, folder, seed))
    rows += [infeasible_row({name: None for name in SWEPT} | point, reason) for point, reason in job.infeasible]
    write_csv(rows, folder / "summary.csv")
    plot_job(rows, job, folder)
    return rows


def _rows(job: LinkJob, folder: Path, seed: int) -> Iterator[Row]:
    from disac.experiments.store import read_run

    if not job.experiment.cases:
        return
    run = read_run(folder / STORE)
    for point in job.experiment.points():
        stored = run.point(point)
        context = job.experiment.prepare(point)
        yield summarize_point(
            point,
            stored.records,
            failed=len(stored.failures),
            expected_crb_m2=context.expected_crb_m2,
            seed=seed,
            stop_reason=stored.stop_reason,
        )


def plot_job(rows: Sequence[Row], job: LinkJob, folder: Path) -> list[Path]:
    """RMSE and BER against SNR, and the scene."""
    from disac.experiments.figures import plot_ber, plot_rmse, plot_scene

    drawn = [row for row in rows if row.get("rmse_m") is not None]
    paths: list[Path] = []
    if drawn:
        paths += plot_rmse(drawn, folder / "rmse", fields=SWEPT)
        if any("ber" in row for row in drawn):
            paths += plot_ber(drawn, folder / "ber", fields=SWEPT)
    if job.experiment.cases:
        paths += plot_scene(job.experiment.cases[0].scenario, folder / "scene")
    return paths
