"""A whole figure from command to pages, resumed, extended and checked against a second solver; small and fast."""

import csv
import os
import re
import shutil

import pytest
from click.testing import CliRunner

from disac.experiments.cli.main import cli
from disac.experiments.paper import study as paper_study
from disac.experiments.paper.agreement import Agreement, check_solvers, read_agreement
from disac.experiments.paper.study import load_evidence
from disac.experiments.paper.sweeps import EDGE_MARGIN_DB
from disac.experiments.report.page import write_report
from disac.experiments.reproduce.findings import publish, write_findings, write_gallery
from disac.experiments.runs.choices import read_choices
from disac.experiments.study.protocol import get_study
from disac.experiments.study.run import run_study

SMALL = {"n_antennas": 3, "n_subcarriers": 4, "n_targets": 1, "seed": 1, "draws": 2, "refined": 0}
FIGURES = {
    "fig5": {**SMALL, "sinr_db": (0.0,), "n_users": (1, 2), "designs": ("p1", "p2")},
    "fig8": {**SMALL, "bandwidth_hz": (2e7,), "sinr_db": 10.0},
}


def _run(name, folder, **more):
    study = get_study(name)
    return run_study(study, study.Settings.chosen(FIGURES[name] | more), folder, resume=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    for name in FIGURES:
        _run(name, folder / name)
    return folder


def _rows(folder):
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_figure_leaves_data_picture_and_choices(finished):
    folder = finished / "fig5"
    for suffix in ("png", "svg", "pdf"):
        assert (folder / f"fig5.{suffix}").stat().st_size > 1000
    choices = dict(read_choices(folder))
    assert choices["users' channels"] == "Rayleigh, independent per subcarrier"
    assert choices["draws of both"] == "2, the same for all designs and points"
    assert choices["seed"] == "1"
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
    assert "draws of both: 2" in page
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
        assert last == pytest.approx(float(edge["edge_min_db"]) - EDGE_MARGIN_DB)


def test_going_on_changes_nothing_and_more_draws_leave_no_stale_points(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(paper_study, "plot_sweep", lambda *args: [])
    folder = shutil.copytree(finished / "fig5", tmp_path / "fig5")
    before = (folder / "summary.csv").read_bytes()
    _run("fig5", folder)
    assert (folder / "summary.csv").read_bytes() == before
    _run("fig5", folder, draws=3)
    assert {row["draws"] for row in _rows(folder)} == {"3"}
    (draws,) = load_evidence(tmp_path).values()
    assert len(draws.trials) == 3
    _run("fig5", tmp_path / "fresh", draws=3)
    for name in ("summary.csv", "rerun.txt", "settings.json"):
        assert (folder / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()


def test_times_are_no_part_of_the_summary(finished):
    with (finished / "fig5" / "times.csv").open(newline="") as file:
        times = next(csv.DictReader(file))
    assert float(times["solve_seconds_median"]) > 0
    assert not [name for name in _rows(finished / "fig5")[0] if "seconds" in name]


def test_an_unfinished_figure_is_no_evidence(finished, tmp_path):
    shutil.copytree(finished / "fig5", tmp_path / "fig5")
    (tmp_path / "fig5" / "summary.csv").unlink()
    assert load_evidence(tmp_path) == {}


def test_a_folder_of_other_settings_is_refused(finished):
    with pytest.raises(ValueError, match="--seed: stored 1, given 2"):
        _run("fig5", finished / "fig5", seed=2)
    with pytest.raises(ValueError, match="study: stored fig5, given fig8"):
        _run("fig8", finished / "fig5")
    assert "--seed 1" in (finished / "fig5" / "rerun.txt").read_text()


def test_two_solvers_agree_and_the_pages_say_so(finished):
    evidence = load_evidence(finished)
    found = check_solvers({"fig8": evidence["fig8"]}, finished, seed=1)
    assert len(found) == 12
    assert all(item.overlap for item in found)
    assert read_agreement(finished) == found
    text = write_findings(finished, finished / "findings.md", command="a command").read_text()
    assert "12 of 12 pairs of certified intervals overlap" in text
    assert "P.1 <= P.2" in text
    assert "`disac run fig5 --sinr-db 0" in text
    gallery = write_gallery(finished, finished / "gallery.md", pictures=finished, command="a command").read_text()
    assert "(fig5/fig5.png)" in gallery
    assert "`disac run fig5 --sinr-db 0" in gallery
    assert "draws of both: 2" in gallery


def test_publishing_leaves_pages_with_working_links(finished, tmp_path):
    publish(finished, tmp_path / "docs", command="a command")
    text = (tmp_path / "docs" / "gallery.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) >= 6
    for link in links:
        assert (tmp_path / "docs" / link).is_file(), link


def test_intervals_that_miss_each_other_do_not_overlap():
    assert Agreement("fig5", "p2", 1, 0.0, 1.0, 1.1, 1.05, 1.2).overlap
    assert not Agreement("fig5", "p2", 1, 0.0, 1.0, 1.1, 1.2, 1.3).overlap


SMALL_FIG8 = ["run", "fig8", "--n-antennas", "3", "--n-subcarriers", "4", "--bandwidth-hz", "2e7", "--sinr-db", "10"]
SMALL_FIG8 += ["--draws", "2", "--refined", "0", "--design", "p2", "--workers", "1"]


def test_an_interrupted_figure_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(paper_study, "plot_sweep", interrupt)
    result = CliRunner().invoke(cli, [*SMALL_FIG8, "--out", str(tmp_path / "new")])
    assert result.exit_code == 130
    line = re.search(r"go on with: disac (run fig8 .*)", result.output).group(1)
    monkeypatch.undo()
    assert CliRunner().invoke(cli, line.split()).exit_code == 0
    assert (tmp_path / "new" / "fig8.png").is_file()


def test_a_picture_that_fails_loses_no_table(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("no LaTeX here")

    monkeypatch.setattr(paper_study, "plot_sweep", fail)
    result = CliRunner().invoke(cli, [*SMALL_FIG8, "--out", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert "no picture was drawn: RuntimeError: no LaTeX here" in result.output
    assert (tmp_path / "new" / "summary.csv").is_file()


def test_a_delay_spread_without_a_delay_line_is_refused(tmp_path):
    result = CliRunner().invoke(cli, ["run", "fig8", "--delay-spread-ns", "300", "--out", str(tmp_path / "new")])
    assert result.exit_code == 1
    assert "--delay-spread-ns 300: needs --channel" in result.output
    assert not (tmp_path / "new").exists()


def test_reproduce_refuses_an_unknown_study(tmp_path):
    result = CliRunner().invoke(cli, ["reproduce", "--only", "fig99", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "fig99" in result.output
