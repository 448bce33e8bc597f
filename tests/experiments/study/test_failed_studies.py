"""Studies whose trials fail: the run says why and ends in failure, and failed is not infeasible."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner

from disac.experiments.cli.main import cli
from disac.experiments.cli.study import study_command
from disac.experiments.statistics.draws import PointDraws
from disac.experiments.studies import pareto, sidelobes
from disac.experiments.study.protocol import Study
from disac.experiments.study.run import run_study
from disac.experiments.study.settings import StudySettings, setting
from disac.experiments.trials.experiment import Column, ExperimentError


@dataclass(frozen=True)
class Failing:
    """Trials of point 1 fail, those of point 2 where ``every``; or the set-up does."""

    every: bool
    at_setup: bool = False
    name = "failing"
    columns: ClassVar = {"value": Column()}

    def points(self):
        return [{"place": 1}, {"place": 2}]

    def prepare(self, point):
        if self.at_setup:
            raise ValueError("no such place")
        return point["place"]

    def run(self, context, keys):
        if self.every or context == 1:
            raise ValueError(f"place {context} is closed")
        return [{"value": 1.0} for _ in keys]


class FailingStudy(Study):
    name = "failing"
    every, at_setup, robust = True, False, False

    class Settings(StudySettings):
        draws: int = setting(3, "Trials.")

    def experiment(self, settings):
        return Failing(self.every, self.at_setup)

    def summarize(self, run):
        if self.robust:
            return [{"draws": 0}]
        return [
            {"mean": float(np.mean(point.columns["value"].sum() / point.columns["value"][:1]))} for point in run.draws()
        ]


def _class(**choices):
    return type("Chosen", (FailingStudy,), choices)()


@pytest.mark.parametrize("robust", [True, False])
def test_a_run_in_which_every_trial_failed_says_why_and_exits_with_failure(robust, tmp_path):
    command = study_command(_class(robust=robust))
    result = CliRunner().invoke(command, ["--workers", "1", "--out", str(tmp_path / "run")])
    assert result.exit_code == 1, result.output
    assert (
        "all 6 trials failed: ValueError: place 1 is closed (3 times); ValueError: place 2 is closed" in result.output
    )


def test_a_set_up_that_fails_is_said_too(tmp_path):
    command = study_command(_class(robust=True, at_setup=True))
    result = CliRunner().invoke(command, ["--workers", "1", "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "no trial could begin: " in result.output
    assert "no such place" in result.output


def test_a_table_that_some_failures_prevent_names_them_and_others_only_warn(tmp_path):
    study = _class(every=False, summarize=lambda self, run: run.draws()[0].columns["value"][0])
    with (
        pytest.warns(UserWarning, match="3 of 6 trials failed"),
        pytest.raises(ExperimentError, match="no table: 3 of 6"),
    ):
        run_study(study, study.Settings(), tmp_path / "run")
    study = _class(every=False, robust=True)
    with pytest.warns(UserWarning, match="place 1 is closed"):
        assert run_study(study, study.Settings(), tmp_path / "other").rows() == [{"draws": 0}]


def test_too_few_subcarriers_are_a_failure_with_its_reason(tmp_path):
    """Was KeyError: 'feasible', and with 4 subcarriers "infeasible in every draw"."""
    line = "run sidelobes --preset fig7 --set n_subcarriers=6 --design p2 --draws 2 --sinr-db 0 --workers 1 --out"
    result = CliRunner().invoke(cli, [*line.split(), str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "node 2 transmits on 1 subcarriers: a range profile needs at least 2" in result.output
    assert "infeasible" not in result.output


def test_failed_draws_are_not_counted_as_infeasible():
    columns = {"trial": np.array([0, 2]), "feasible": np.array([False, False])}
    for module, fields in ((sidelobes, {"design": "p2", "sinr_db": 0.0}), (pareto, {"design": "p2", "sinr_db": 0.0})):
        points = [PointDraws(fields, columns, failed=1)]
        (row,) = (
            module.summarize_sidelobes(points, ["expected"]) if module is sidelobes else module.summarize_pareto(points)
        )
        assert (row["draws"], row["infeasible_draws"], row["failed"]) == (0, 2, 1)
        (line,) = module.summary_lines([row])
        assert line.endswith("1 draws failed, the other 2 are infeasible")
