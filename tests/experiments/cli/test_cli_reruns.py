"""The line of a run of the link works in any folder."""

import shlex

from click.testing import CliRunner

from disac.experiments.cli.main import cli

SMALL = ["--set", "targets=[[0.0, 5.0]]", "--set", "n_subcarriers=8"]


def _invoke(*words):
    result = CliRunner().invoke(cli, list(map(str, words)))
    assert result.exit_code == 0, result.output


def test_the_line_of_the_link_repeats_its_summary_from_files_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _invoke("design", "uniform", *SMALL, "--sinr-db", -30, "--out", "sent")
    options = ("--scenario=sent/scenario.toml", "--design", "p2,sent/precoders.npz", "--sinr-db", 10)
    _invoke("run", "link", *options, "--snr-db", 20, "--trials", 4, "--workers", 1, "--out", "first")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    command, *words = shlex.split((tmp_path / "first" / "rerun.txt").read_text())
    assert command == "disac"
    assert "--out" not in words
    _invoke(*words)
    (again,) = (tmp_path / "empty" / "runs").iterdir()
    assert (again / "summary.csv").read_bytes() == (tmp_path / "first" / "summary.csv").read_bytes()
