"""A study in one file of the user's own: found in help, run, repeated, reported and taken by reproduce."""

import csv
import shlex
import subprocess
import sys

STUDY = '''
from dataclasses import dataclass

from disac.experiments import Column, Purpose
from disac.experiments.study import Study, StudySettings, register_study, setting


@dataclass(frozen=True)
class Throws:
    bias: float = 0.5
    name = "throws"
    columns = {"head": Column("1", "whether the coin shows its head")}

    def points(self):
        return [{"coin": 1}, {"coin": 2}]

    def prepare(self, point):
        return None

    def run(self, context, keys):
        return [{"head": bool(key.generator(Purpose.BITS).random() < self.bias)} for key in keys]


class CoinSettings(StudySettings):
    bias: float = setting(0.5, "Probability of a head.", ge=0.0, le=1.0)
    draws: int = setting(40, "Throws of each coin.", quick=8, ge=1, grows=True)


@register_study("coin")
class Coin(Study[CoinSettings]):
    """Is the coin fair?"""

    summary = "How often a coin shows its head."
    title = "Coins"
    Settings = CoinSettings

    def experiment(self, settings):
        return Throws(settings.bias)

    def summarize(self, run):
        return [{**p.fields, "throws": p.n_draws, "heads": int(p.columns["head"].sum())} for p in run.draws()]

    def unstated(self, settings):
        return [("edge", "never")]
'''


def _disac(folder, *words):
    done = subprocess.run(
        [sys.executable, "-m", "disac", *map(str, words)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_file_is_a_study(tmp_path):
    (tmp_path / "coins.py").write_text(STUDY)
    assert "coin" not in _disac(tmp_path, "run", "--help").split()
    assert "How often a coin shows its head." in _disac(tmp_path, "--import", "coins.py", "run", "--help")
    help_text = " ".join(_disac(tmp_path, "--import", "coins.py", "run", "coin", "--help").split())
    assert "--bias FLOAT RANGE Probability of a head. [default: (0.5); 0.0<=x<=1.0]" in help_text
    assert "with --quick 8" in help_text
    words = ("run", "coin", "--import", "coins.py", "--quick", "--bias", "0.25", "--workers", "2", "--out", "run")
    assert "rerun: disac run coin --quick --bias 0.25" in _disac(tmp_path, *words)
    table = (tmp_path / "run" / "summary.csv").read_bytes()
    assert [row["throws"] for row in csv.DictReader(table.decode().splitlines())] == ["8", "8"]

    (tmp_path / "empty").mkdir()
    _disac(tmp_path / "empty", *shlex.split((tmp_path / "run" / "rerun.txt").read_text())[1:])
    (again,) = (tmp_path / "empty" / "runs").iterdir()
    assert (again / "summary.csv").read_bytes() == table

    _disac(tmp_path, "report", "run", "--out", "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "heads" in page
    assert "edge: never" in page
    _disac(tmp_path, "reproduce", "--import", "coins.py", "--only", "coin", "--quick", "--out", "all")
    assert "disac run coin --quick --seed 0" in (tmp_path / "all" / "coin" / "rerun.txt").read_text()


def _checked(folder, study):
    (folder / "coins.py").write_text(study)
    script = (
        "from disac.registration import import_plugin; import_plugin('coins.py'); "
        "from disac.testing import check_study; check_study('coin')"
    )
    return subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def test_the_contract_suite_passes_it_and_names_what_is_broken(tmp_path):
    done = _checked(tmp_path, STUDY)
    assert done.returncode == 0, done.stderr
    timed = STUDY.replace('"throws": p.n_draws,', '"throws": p.n_draws, "seconds": __import__("time").time(),')
    done = _checked(tmp_path, timed.replace('summary = "How often a coin shows its head."', ""))
    assert done.returncode == 1
    assert "help_names_options: has no summary" in done.stderr
    assert "rerun_repeats_the_run: summary.csv holds run times" in done.stderr
