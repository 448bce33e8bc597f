"""A whole figure from command to picture, resumed, extended and checked against a second solver; small and fast."""

import csv
import json
import os
import re
import shutil

import pytest
from click.testing import CliRunner

from disac.experiments.cli import paper as cli_paper
from disac.experiments.paper import figures as paper_figures
from disac.experiments.paper import sweeps as paper_sweeps
from disac.experiments.paper.agreement import Agreement, check_solvers, read_agreement
from disac.experiments.paper.bounds import SIGNALS
from disac.experiments.paper.evidence import load_evidence
from disac.experiments.paper.job import FigureSettings, run_figure
from disac.experiments.paper.sweeps import Effort, Sweep
from disac.experiments.report.page import write_report
from disac.experiments.reproduce.findings import publish, write_findings, write_gallery
from disac.experiments.runs.choices import read_choices
from disac.experiments.studies.parts import part, part_names

SMALL = {"n_nodes": 2, "n_antennas": 3, "n_subcarriers": 4}


def _small(name, x, series, effort, designs, **fixed):
    choices = (("size", "small"),)
    return Sweep(name, f"small {name}", "designs", x, series, SMALL | fixed, effort, effort, choices, designs)


SMALL_SWEEPS = (
    _small("fig5", "sinr_db", ("n_users", (1, 2)), Effort((0.0,), 2), ("p1", "p2")),
    _small("fig8", "bandwidth_hz", ("n_targets", (1,)), Effort((2e7,), 2), tuple(SIGNALS), sinr_db=10.0),
)


@pytest.fixture(scope="module")
def small_sweeps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paper_sweeps, "_SWEEPS", SMALL_SWEEPS)
        yield


@pytest.fixture(scope="module")
def finished(small_sweeps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    for name in ("fig5", "fig8"):
        run_figure(name, folder / name, FigureSettings(seed=1, quick=True))
    return folder


def _rows(folder):
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_figure_leaves_data_picture_and_choices(finished):
    folder = finished / "fig5"
    for suffix in ("png", "svg", "pdf"):
        assert (folder / f"fig5.{suffix}").stat().st_size > 1000
    choices = dict(read_choices(folder))
    assert choices["size"] == "small"
    assert choices["users' channels"] == "Rayleigh, independent per subcarrier"
    assert choices["draws of both, seed"] == "2, the same for all designs and points; seed 1"
    assert choices["SINR thresholds [dB]"].startswith("0, ended")
    rows = _rows(folder)
    assert {row["design"] for row in rows if row["design"]} == {"p1", "p2"}
    for row in rows:
        if row["design"]:
            assert float(row["rcrb_bound_m"]) <= float(row["rcrb_relaxed_m"]) * (1 + 1e-12)
            assert row["infeasible_draws"] == row["failed"] == "0"


def test_a_figure_has_a_report_until_its_tables_are_old(finished, tmp_path):
    folder = shutil.copytree(finished / "fig8", tmp_path / "fig8")
    page = write_report(folder).read_text()
    assert "<td>0.0" in page
    assert "size: small" in page
    assert page.count("<img") == 1
    for path in folder.glob("*.csv"):
        os.utime(path, (0, 0))
    page = write_report(folder).read_text()
    assert "Trials were stored after the tables and plots" in page
    assert "<img" not in page


def test_the_last_point_of_a_threshold_sweep_is_at_the_edge(finished):
    rows = _rows(finished / "fig5")
    for users in ("1", "2"):
        (edge,) = (row for row in rows if row["interleaved"] == "True" and row["n_users"] == users)
        last = max(float(row["sinr_db"]) for row in rows if row["design"] == "p2" and row["n_users"] == users)
        assert last == pytest.approx(float(edge["edge_min_db"]) - paper_sweeps.EDGE_MARGIN_DB)


def test_going_on_changes_nothing_and_more_draws_leave_no_stale_points(finished, small_sweeps, tmp_path, monkeypatch):
    monkeypatch.setattr(paper_figures, "plot_sweep", lambda *args: [])
    folder = shutil.copytree(finished / "fig5", tmp_path / "fig5")
    before = (folder / "summary.csv").read_bytes()
    run_figure("fig5", folder, FigureSettings(seed=1, quick=True))
    assert (folder / "summary.csv").read_bytes() == before
    run_figure("fig5", folder, FigureSettings(seed=1, quick=True, draws=3))
    assert {row["draws"] for row in _rows(folder)} == {"3"}
    (draws,) = load_evidence(tmp_path).values()
    assert len(draws.trials) == 3


def test_an_unfinished_figure_is_no_evidence(finished, small_sweeps, tmp_path):
    shutil.copytree(finished / "fig5", tmp_path / "fig5")
    (tmp_path / "fig5" / "summary.csv").unlink()
    assert load_evidence(tmp_path) == {}


def test_a_folder_of_other_settings_is_refused(finished, small_sweeps):
    with pytest.raises(ValueError, match="another folder"):
        run_figure("fig5", finished / "fig5", FigureSettings(seed=2, quick=True))
    assert json.loads((finished / "fig5" / "figure.json").read_text())["seed"] == 1


def test_two_solvers_agree_and_the_pages_say_so(finished, small_sweeps):
    found = check_solvers(finished, ("fig8",), seed=1)
    assert len(found) == 12
    assert all(item.overlap for item in found)
    assert read_agreement(finished) == found
    text = write_findings(finished, finished / "findings.md", command="a command").read_text()
    assert "12 of 12 pairs of certified intervals overlap" in text
    assert "P.1 <= P.2" in text
    gallery = write_gallery(finished, finished / "gallery.md", pictures=finished, command="a command").read_text()
    assert "(fig5/fig5.png)" in gallery
    assert "size: small" in gallery


def test_publishing_leaves_pages_with_working_links(finished, small_sweeps, tmp_path):
    publish(finished, tmp_path / "docs", command="a command")
    text = (tmp_path / "docs" / "gallery.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) >= 6
    for link in links:
        assert (tmp_path / "docs" / link).is_file(), link


def test_intervals_that_miss_each_other_do_not_overlap():
    assert Agreement("fig5", "p2", 1, 0.0, 1.0, 1.1, 1.05, 1.2).overlap
    assert not Agreement("fig5", "p2", 1, 0.0, 1.0, 1.1, 1.2, 1.3).overlap


def test_the_commands_are_the_figures():
    assert tuple(command.name for command in cli_paper.COMMANDS) == (*cli_paper.FIGURES, *part_names())
    for name in part_names():
        assert part(name).name == name


def test_an_interrupted_figure_says_how_to_go_on(small_sweeps, tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(paper_figures, "plot_sweep", interrupt)
    command = next(command for command in cli_paper.COMMANDS if command.name == "fig8")
    result = CliRunner().invoke(command, ["--quick", "--workers", "1", "--out", str(tmp_path / "new")])
    assert result.exit_code == 130
    line = re.search(r"go on with: disac run (fig8 .*)", result.output).group(1)
    monkeypatch.undo()
    assert CliRunner().invoke(command, line.split()[1:]).exit_code == 0


def test_a_delay_spread_without_a_delay_line_is_refused(tmp_path):
    command = next(command for command in cli_paper.COMMANDS if command.name == "fig8")
    result = CliRunner().invoke(command, ["--delay-spread-ns", "300", "--out", str(tmp_path / "new")])
    assert result.exit_code == 1
    assert "--delay-spread-ns 300: needs --channel" in result.output


def test_the_command_computes_a_figure(small_sweeps, tmp_path):
    command = next(command for command in cli_paper.COMMANDS if command.name == "fig8")
    result = CliRunner().invoke(command, ["--quick", "--workers", "1", "--out", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "new" / "fig8.png").is_file()
    assert (tmp_path / "new" / "rerun.txt").read_text() == "disac run fig8 --quick --seed 0\n"
    assert json.loads((tmp_path / "new" / "provenance.json").read_text())["disac"]
    again = CliRunner().invoke(command, ["--quick", "--seed", "3", "--resume", str(tmp_path / "new")])
    assert again.exit_code == 1
    assert "seed 0, not 3; choose another folder, or see its rerun.txt" in again.output
    assert (tmp_path / "new" / "rerun.txt").read_text() == "disac run fig8 --quick --seed 0\n"


def test_reproduce_refuses_an_unknown_figure(tmp_path):
    result = CliRunner().invoke(cli_paper.reproduce, ["--only", "fig99", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "fig99" in result.output
