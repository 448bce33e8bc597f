"""Designs that are not solved are marked wherever their numbers stand."""

import csv

from click.testing import CliRunner

from disac.experiments.cli.main import cli
from disac.experiments.runs.design_record import design_mark

SMALL = ["--set", "targets=[[0.0, 5.0]]", "--set", "n_subcarriers=8", "--snr-db", "10,20", "--trials", "3"]


def _run(*words):
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def _rows(folder):
    with (folder / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_an_inaccurate_design_and_given_precoders_are_marked_in_table_csv_picture_and_report(tmp_path, monkeypatch):
    from disac.designs.result import DesignResult

    _run("design", "uniform", *SMALL[:4], "--sinr-db", -30, "--out", tmp_path / "d")
    monkeypatch.setattr(DesignResult, "status", property(lambda result: "inaccurate"))
    sent = tmp_path / "d" / "precoders.npz"
    out = tmp_path / "run"
    told = _run("run", "link", *SMALL, "--sinr-db", 0, "--design", f"p2,{sent}", "--workers", 1, "--out", out)
    assert "* design p2 is inaccurate: relative gap" in told
    assert "precoders of a file; no problem was solved" in told
    statuses = {row["design"]: row["status"] for row in _rows(out)}
    assert statuses == {"p2": "ok, inaccurate", "uniform": "ok, given"}
    assert all(row["note"] for row in _rows(out))
    picture = (out / "rmse.svg").read_text(encoding="utf-8")
    assert "(inaccurate)" in picture
    assert "(given)" in picture
    _run("report", out)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "ok, inaccurate" in page or "is inaccurate: relative gap" in page


def test_a_design_far_above_its_own_problem_says_by_how_much():
    solved = {"fields": {"design": "p3"}, "status": "solved", "relaxed_value_m2": 1.0, "value_m2": 1.43}
    assert design_mark(solved) == ("", "")
    assert design_mark({**solved, "value_m2": 5.8564})[1] == (
        "design p3 sends 142 % of RCRB above the value of its own problem"
    )


ALONE = ["--set", "nodes=[[-50.0,0.0]]", "--set", "targets=[[0.0,0.0]]", "--set", "n_subcarriers=8", "--sinr-db", 0]


def test_a_point_at_which_nothing_is_identifiable_is_marked_before_any_trial(tmp_path):
    words = ["run", "link", *ALONE, "--snr-db", "20", "--trials", "2", "--workers", 1, "--estimator", "tof-genie"]
    result = CliRunner().invoke(cli, [str(word) for word in [*words, "--out", tmp_path / "run"]])
    assert result.exit_code == 1, result.output
    assert "estimator tof-genie: unidentifiable: target 0 is not identifiable" in " ".join(result.output.split())
    (row,) = _rows(tmp_path / "run")
    assert row["status"].startswith("unidentifiable: ")
    assert row["trials"] == "0"
    assert not (tmp_path / "run" / "run.sqlite").exists()


def test_an_estimator_without_a_bound_is_told_of_before_the_run_and_the_other_is_summarized(tmp_path):
    words = [*ALONE, "--snr-db", "20", "--trials", "2", "--workers", 1, "--estimator", "ml,tof-genie"]
    told = _run("run", "link", *words, "--out", tmp_path / "run")
    assert "estimator tof-genie: unidentifiable" in told
    rows = {row["estimator"]: row for row in _rows(tmp_path / "run")}
    assert rows["ml"]["rmse_m"]
    assert rows["tof-genie"]["status"].startswith("unidentifiable")
