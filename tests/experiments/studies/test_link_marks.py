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
