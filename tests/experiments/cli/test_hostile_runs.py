"""Runs that were made to harm their reader, files that others hold, and pictures that fail: the results stay."""

import json
import os
import subprocess
import sys

import pytest
from campaigns import Noise
from click.testing import CliRunner

from disac.experiments.campaign.runner import run_campaign
from disac.experiments.cli.main import cli
from disac.experiments.cli.printing import printable
from disac.experiments.runs.store import RunWriter
from disac.experiments.trials.stopping import RelativeHalfWidth

SMALL = ("--preset", "fig4", "--set", "n_subcarriers=8", "--set", "n_symbols=2", "--set", "targets=[[0, 0]]")
UNIFORM = ("run", "link", *SMALL, "--design", "uniform", "--sinr-db", "-30", "--snr-db", "20", "--trials", "4")


def _invoke(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "one"
    result = _invoke(*UNIFORM, "--workers", 1, "--out", folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def noise(tmp_path):
    run_campaign(Noise(), tmp_path / "run.sqlite", seed=1, trials=8, batch_size=4)
    return tmp_path / "run.sqlite"


def test_status_checks_every_record(noise):
    result = _invoke("status", "--check", noise)
    assert result.exit_code == 0, result.output
    assert "all digests agree" in result.output
    content = bytearray(noise.read_bytes())
    place = content.index(b"xx")
    content[place] ^= 4
    noise.write_bytes(content)
    assert _invoke("status", noise).exit_code == 0
    for command in (("status", "--check", noise), ("export", noise), ("merge", noise, "--out", noise.with_name("m"))):
        result = _invoke(*command)
        assert result.exit_code == 1
        assert f"{noise} is damaged: trials" in " ".join(result.output.split())


def test_what_a_run_says_does_not_reach_the_terminal_as_commands(noise):
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    with RunWriter(noise, resume=True) as writer, writer.transaction():
        writer.set_meta({"experiment": evil})
        writer.add_point(7, {"snr_db": evil})
        writer.drop_stops()
    for command in ("status", "show"):
        shown = _invoke(command, noise).output
        assert "\\x1b]0;owned" in shown
        assert not set(shown) & set("\x1b\x07\u202e")
    assert printable("a\nb\tc", keep="\n") == "a\nb\\tc"


def test_a_terminal_without_our_characters(tmp_path):
    stopping = RelativeHalfWidth("squared_error", 0.5)
    run_campaign(Noise((0.0,)), tmp_path / "run.sqlite", seed=1, stopping=stopping, trials=500)
    command = [sys.executable, "-m", "disac", "status", str(tmp_path)]
    for environment, sign in (
        ({"PYTHONIOENCODING": "koi8-r"}, b"+-"),
        ({"PYTHONIOENCODING": "ascii"}, b""),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, b""),
    ):
        done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, **environment})
        assert done.returncode == 0, done.stderr
        assert b"within " + sign in done.stdout


def test_compare_exits_2_where_it_cannot_compare(noise, finished, monkeypatch):
    result = _invoke("compare", noise, finished)
    assert result.exit_code == 2
    assert "runs of noise and of link cannot be compared" in result.output

    def break_down(*paths):
        raise ZeroDivisionError

    monkeypatch.setattr("disac.experiments.campaign.operations.compare", break_down)
    assert _invoke("compare", noise, noise).exit_code == 2


def test_a_report_neither_writes_nor_reads_through_links(finished, tmp_path):
    folder, other = tmp_path / "run", tmp_path / "other"
    folder.mkdir()
    for path in finished.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    other.write_text("precious")
    secret = tmp_path / "secret.svg"
    secret.write_text("<svg>secret</svg>")
    (folder / "report.html").symlink_to(other)
    (folder / "stolen.svg").symlink_to(secret)
    for name in ("unstated.txt", "designs.json"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(secret)
    result = _invoke("report", folder)
    assert result.exit_code == 0, result.output
    assert other.read_text() == "precious"
    page = (folder / "report.html").read_text()
    assert "stolen" not in page
    assert "secret" not in page


@pytest.mark.parametrize("name", ["designs.json", "config.toml", "provenance.json"])
@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff\xfe", b"7"])
def test_a_file_that_cannot_be_read_is_named(finished, tmp_path, name, content):
    for path in finished.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_bytes(content)
    for command in (("report", tmp_path), ("run", "link", "--resume", tmp_path)):
        result = _invoke(*command)
        assert isinstance(result.exception, SystemExit | None), result.exception
        if result.exit_code:
            assert str(tmp_path / name) in " ".join(result.output.split())


def test_a_picture_that_fails_leaves_the_table(finished, tmp_path, monkeypatch):
    def fail(*args, **options):
        raise ArithmeticError("no picture today")

    monkeypatch.setattr("disac.experiments.plotting.figures.save_rmse", fail)
    with pytest.warns(UserWarning, match="no picture was drawn: ArithmeticError: no picture today"):
        result = _invoke(*UNIFORM, "--workers", 1, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "summary.csv").read_bytes() == (finished / "summary.csv").read_bytes()


def test_pictures_do_not_depend_on_the_users_settings(tmp_path):
    """Jupyter's backend without its package, TeX without LaTeX, a style that others would see."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nlines.linewidth: 9\nfont.family: serif\n")
    script = (
        "import sys; from disac.experiments.plotting.figures import save_scene; from disac.simulator import Scenario; "
        "from pathlib import Path; save_scene(Scenario.preset('fig4'), Path(sys.argv[1]))"
    )
    usual = {name: value for name, value in os.environ.items() if not name.startswith("MPL")}
    theirs = {"MATPLOTLIBRC": str(tmp_path), "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    for name, environment in (("usual", {}), ("theirs", theirs)):
        command = [sys.executable, "-c", script, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**usual, **environment})
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "theirs.svg").read_bytes() == (tmp_path / "usual.svg").read_bytes()


def test_a_table_that_another_program_holds(tmp_path):
    """A folder of that name stands for a file that Excel holds on Windows."""
    folder = tmp_path / "run"
    assert _invoke(*UNIFORM, "--workers", 1, "--out", folder).exit_code == 0
    whole = (folder / "summary.csv").read_bytes()
    stored = (folder / "run.sqlite").read_bytes()
    (folder / "summary.csv").unlink()
    (folder / "summary.csv").mkdir()
    result = _invoke("run", "link", "--resume", folder, "--workers", 1)
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert f"{folder / 'summary.csv'}: cannot be written" in said
    assert f"all records are safe in {folder / 'run.sqlite'}, and --resume {folder} writes the tables" in said
    (folder / "summary.csv").rmdir()
    assert _invoke("run", "link", "--resume", folder, "--workers", 1).exit_code == 0
    assert (folder / "summary.csv").read_bytes() == whole
    assert len((folder / "run.sqlite").read_bytes()) >= len(stored)
    assert json.loads((folder / "provenance.json").read_text())
