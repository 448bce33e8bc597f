"""``--import``: a design and an experiment of one file, found by every command, in workers, and again by replay."""

import csv
import json
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest
from click.testing import CliRunner

from disac import registration
from disac.designs import design_names, registry
from disac.experiments.campaign.operations import replay
from disac.experiments.cli.main import cli
from disac.experiments.trials.experiment import ExperimentError, ImportNeeded, rebuild

SMALL = ("--preset", "fig4", "--set", "n_tx=2", "--set", "n_rx=2", "--set", "n_subcarriers=8", "--sinr-db", 0)
DESIGN = """
import numpy as np
from disac.designs import fixed_design, register_design


@register_design("mine", label="My beams", depends_on_sinr=False)
def mine(scenario, sinr_db, *, share=1.0):
    s = scenario
    comm = np.sqrt(0.4 * s.tx_power / s.n_subcarriers / max(s.n_users, 1) / s.n_tx) * np.exp(1j * np.angle(s.channels))
    radar = np.zeros((s.n_nodes, s.n_subcarriers, s.n_tx, s.n_tx))
    radar[:] = np.sqrt(0.4 * share * s.tx_power / s.n_subcarriers) * np.eye(s.n_tx)
    return fixed_design(s, comm, radar, name="mine", sinr_db=None)
"""
EXPERIMENT = """
from dataclasses import dataclass
from disac.experiments import Purpose


@dataclass(frozen=True)
class Dice:
    sides: int = 6
    name = "dice"

    def points(self):
        return [{"thrown": 1}]

    def prepare(self, point):
        return None

    def run(self, context, keys):
        return [{"eyes": float(key.generator(Purpose.BITS).integers(self.sides) + 1)} for key in keys]

    @classmethod
    def from_config(cls, settings, points):
        return cls(**settings)
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Modules, plugins and designs of a test are gone after it."""
    modules, designs = set(sys.modules), set(design_names())
    monkeypatch.setattr(registration, "_plugins", {})
    yield
    for name in set(design_names()) - designs:
        del registry._designs._entries[name]
    for name in set(sys.modules) - modules:
        if not name.startswith("disac") and "of_test" in name:
            del sys.modules[name]


def _invoke(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def _disac(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "disac", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_design_of_one_file_is_known_to_commands_pictures_and_the_contract_suite(tmp_path):
    from disac.testing import check_design

    file = tmp_path / "mine_of_test.py"
    file.write_text(DESIGN)
    unknown = _invoke("design", "mine", *SMALL, "--out", tmp_path / "no")
    assert "must be one of" in unknown.output
    assert "mine" in _invoke("design", "--import", file, "--help").output.split("Designs:")[1]
    solved = _invoke("design", "mine", *SMALL, "--import", file, "--out", tmp_path / "design")
    assert solved.exit_code == 0, solved.output
    weaker = ("--option", "share=0.5", "--import", file, "--out", tmp_path / "weaker")
    assert _invoke("design", "mine", *SMALL, *weaker).exit_code == 0
    options = ("--snr-db", "20", "--trials", 2, "--workers", 2, f"--import={file}")
    unknown = _invoke("design", "mine", *SMALL, "--option", "shar=1", "--import", file, "--out", tmp_path / "no")
    assert "design mine does not take shar, its options are share; did you mean 'share'?" in unknown.output
    judged = _invoke("design", tmp_path / "design" / "precoders.npz", *SMALL[:-2], "--out", tmp_path / "judged")
    assert judged.exit_code == 0, judged.output
    run = _invoke("run", "link", *SMALL, *options, "--design", "mine,uniform", "--out", tmp_path / "run")
    assert run.exit_code == 0 or "infeasible" in run.output, run.output
    rows = list(csv.DictReader((tmp_path / "run" / "summary.csv").read_text().splitlines()))
    assert [row["design"] for row in rows] == ["mine", "uniform"]
    assert "mine" in run.output
    rerun = (tmp_path / "run" / "rerun.txt").read_text()
    assert f"--import {file}" in rerun
    assert _invoke("report", tmp_path / "run").exit_code == 0
    assert "mine" in (tmp_path / "run" / "report.html").read_text()
    registration._plugins.clear()
    without = _invoke("run", "link", "--resume", tmp_path / "run")
    assert without.exit_code == 1
    told = without.output.splitlines()[-1]
    assert f"if you trust it, type: disac run link --resume {tmp_path / 'run'} --import {file}" in told
    again = _invoke("run", "link", "--resume", tmp_path / "run", "--import", file, "--workers", 1)
    assert again.exit_code == 0 or "infeasible" in again.output, again.output
    check_design("mine")


def test_an_experiment_of_one_file_runs_in_workers_and_is_replayed_elsewhere(tmp_path):
    file = tmp_path / "dice_of_test.py"
    file.write_text(EXPERIMENT)
    script = (
        "import sys\n"
        "from disac.experiments import run_campaign\n"
        "from disac.registration import import_plugin\n"
        "if __name__ == '__main__':\n"
        "    dice = import_plugin(sys.argv[1]).Dice()\n"
        "    run_campaign(dice, 'run.sqlite', seed=0, trials=8, workers=2)\n"
    )
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "script.py").write_text(script)
    subprocess.run([sys.executable, "script.py", file], cwd=tmp_path, check=True)
    code, told = _disac("replay", tmp_path / "run.sqlite", 0, 3, cwd=tmp_path / "elsewhere")
    assert code == 1
    line = f"disac replay {tmp_path / 'run.sqlite'} 0 3 --import {file}"
    assert told.endswith(f"if you trust it, type: {line}")
    code, told = _disac(*line.split()[1:], cwd=tmp_path / "elsewhere")
    assert (code, told.endswith("identical to the stored record, every bit")) == (0, True)
    moved = tmp_path / "elsewhere" / "dice_of_test.py"
    file.rename(moved)
    code, told = _disac("replay", tmp_path / "run.sqlite", 0, 3, "--import", moved, cwd=tmp_path)
    assert code == 0, told


@pytest.mark.parametrize("text", ["lacking_of_test.py", "no_such_module_of_test"])
def test_what_cannot_be_imported_is_one_line(text):
    told = _invoke("design", "p2", "--import", text)
    assert told.exit_code == 1
    assert re.fullmatch(rf"Error: --import '{text}': .*\n", told.output)


# --- runs that were made by somebody else ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run of one of disac's own experiments."""
    folder = tmp_path_factory.mktemp("crafted") / "run"
    registration._plugins.clear()  # those that other tests imported in this process would be part of the run
    options = ("--snr-db", 20, "--trials", 2, "--workers", 1, "--design", "uniform", "--sinr-db", -30)
    result = _invoke("run", "link", *SMALL[:-2], *options, "--out", folder)
    assert result.exit_code == 0, result.output
    return folder


def _crafted(run, folder, path):
    shutil.copytree(run, folder)
    with sqlite3.connect(folder / "run.sqlite") as db:
        (text,) = db.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()
        config = json.loads(text) | {"class": path}
        db.execute("UPDATE meta SET value = ? WHERE key = 'config'", (json.dumps(config),))
    db.close()


ATTACK = """
#include <stdio.h>
__attribute__((constructor)) static void ran(void) { FILE *f = fopen("ran", "w"); fclose(f); }
"""


def test_a_shared_object_beside_a_run_is_not_loaded(run, tmp_path):
    folder = tmp_path / "RUN"
    _crafted(run, folder, f"ctypes:cdll.{folder}/evil")
    compiler = shutil.which("cc")
    if compiler is not None:
        (tmp_path / "evil.c").write_text(ATTACK)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "evil", tmp_path / "evil.c"], check=True)
        load = f"import ctypes; getattr(ctypes.cdll, {str(folder / 'evil')!r})"
        subprocess.run([sys.executable, "-c", load], cwd=tmp_path, check=True)
        (tmp_path / "ran").unlink()  # it does run where it is loaded
    code, told = _disac("replay", folder, 0, 0, cwd=tmp_path)
    assert code == 1
    assert "it is none of disac's, and a run does not say what is imported" in told
    code, told = _disac("run", "link", "--resume", folder, "--workers", 1, cwd=tmp_path)
    assert code == 1
    assert "other options" in told or "another campaign" in told
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ImportNeeded):
        replay(None, folder / "run.sqlite", 0, 0)


def test_a_module_of_the_standard_library_is_not_run(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["disac", "made"])
    monkeypatch.chdir(tmp_path)
    _crafted(run, tmp_path / "RUN", "venv.__main__:x")
    code, told = _disac("replay", "RUN", 0, 0, cwd=tmp_path)
    assert code == 1
    assert "it is none of disac's" in told
    with pytest.raises(ImportNeeded):
        replay(None, tmp_path / "RUN" / "run.sqlite", 0, 0)
    assert "venv.__main__" not in sys.modules
    assert [path.name for path in tmp_path.iterdir()] == ["RUN"]


@pytest.mark.parametrize("place", ["RUN", "."])
def test_a_module_planted_in_the_run_or_this_folder_is_not_imported(run, tmp_path, place):
    _crafted(run, tmp_path / "RUN", "planted_of_test:Evil")
    (tmp_path / place / "planted_of_test.py").write_text(
        "open('ran', 'w').close()\n" + EXPERIMENT.replace("Dice", "Evil")
    )
    code, told = _disac("replay", "RUN", 0, 0, cwd=tmp_path)
    assert code == 1
    assert "it is none of disac's" in told
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("os:system", ImportNeeded),
        ("disac.experiments.studies.link:LinkCase", ExperimentError),
        ("disac.experiments.studies.link:Path", ImportNeeded),
        ("disac.experiments.studies..link:LinkExperiment", ImportNeeded),
        ("disac.experiments.studies.link", ImportNeeded),
        ("disac.experiments.../../evil:x", ImportNeeded),
        ("", ImportNeeded),
    ],
)
def test_nothing_but_an_experiment_is_built(path, error):
    with pytest.raises(error, match="cannot rebuild the experiment"):
        rebuild({"class": path, "settings": {}}, [])
