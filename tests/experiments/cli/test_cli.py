"""The command line: what it writes, what it says about wrong input, and that workers do not change a byte."""

import csv
import importlib.util
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys

import pytest
from click.testing import CliRunner

from disac.experiments.campaign.progress import CampaignBar
from disac.experiments.cli.main import cli, main

SMALL = ["--set", "targets=[[0.0, 5.0]]", "--set", "n_subcarriers=8"]
SIDELOBES = ["run", "sidelobes", "--preset", "fig4", *SMALL[:2], "--symbols", "", "--draws", 2]
QUICK = ["run", "link", *SMALL, "--snr-db", "10,20", "--trials", "6"]


def _invoke(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def _records(folder):
    with sqlite3.connect(f"file:{folder / 'run.sqlite'}?mode=ro", uri=True) as store:
        return store.execute("select * from records order by 1, 2").fetchall()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "one"
    result = _invoke(*QUICK, "--workers", 1, "--out", folder)
    assert result.exit_code == 0, result.output
    return folder, result


def test_run_link_leaves_everything_behind(finished):
    folder, result = finished
    names = {path.name for path in folder.iterdir()}
    assert {"config.toml", "provenance.json", "rerun.txt", "run.sqlite", "scenario-0.toml", "summary.csv"} <= names
    for stem in ("rmse", "ber", "scene"):
        assert {f"{stem}.png", f"{stem}.svg", f"{stem}.pdf"} <= names
    with (folder / "summary.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["snr_db"]) for row in rows] == [10.0, 20.0]
    for row in rows:
        assert row["status"] == "ok"
        assert int(row["trials"]) == 6
        assert float(row["rmse_low_m"]) <= float(row["rmse_m"]) <= float(row["rmse_high_m"])
        assert float(row["rcrb_expected_m"]) <= 1.1 * float(row["rcrb_realized_m"])
        assert 0 <= float(row["ber"]) <= 0.5
    assert "rerun: disac run link" in result.output


def test_two_workers_give_the_same_bytes(finished, tmp_path):
    folder, _ = finished
    result = _invoke(*QUICK, "--workers", 2, "--out", tmp_path / "two")
    assert result.exit_code == 0, result.output
    assert _records(tmp_path / "two") == _records(folder)
    assert (tmp_path / "two" / "summary.csv").read_bytes() == (folder / "summary.csv").read_bytes()


def test_an_interrupted_run_leaves_a_table_and_can_go_on(finished, tmp_path, monkeypatch):
    folder, _ = finished
    with monkeypatch.context() as patch:
        patch.setattr(CampaignBar, "__call__", _interrupt)
        result = _invoke(*QUICK, "--workers", 1, "--out", tmp_path / "r")
    assert result.exit_code == 130, result.output
    assert "go on with: disac run link --resume" in result.output
    assert (tmp_path / "r" / "summary.csv").exists()
    assert len(_records(tmp_path / "r")) < len(_records(folder))
    result = _invoke("run", "link", "--resume", tmp_path / "r", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert _records(tmp_path / "r") == _records(folder)
    assert (tmp_path / "r" / "summary.csv").read_bytes() == (folder / "summary.csv").read_bytes()


def _interrupt(_, progress):
    raise KeyboardInterrupt


def test_resume_refuses_what_it_would_ignore(finished):
    folder, _ = finished
    result = _invoke("run", "link", "--resume", folder, "--symbols", 3, "--seed", 4)
    assert result.exit_code == 2
    told = result.output.replace("\n", "").replace(" ", "")
    assert f"doesnotgowith--symbols,--seed;thelinethatbegantherunisin{folder / 'rerun.txt'}" in told


def test_resume_adds_trials_after_those_that_are_there(finished, tmp_path):
    folder, _ = finished
    copy, anew = tmp_path / "copy", tmp_path / "anew"
    shutil.copytree(folder, copy)
    before = _records(folder)
    result = _invoke("run", "link", "--resume", copy, "--trials", 2, "--workers", 1)
    assert result.exit_code != 0
    assert "--trials 2: the run was begun with" in result.output
    assert _records(copy) == before
    most = 9
    result = _invoke("run", "link", "--resume", copy, "--trials", most, "--workers", 1)
    assert result.exit_code == 0, result.output
    line = shlex.split((copy / "rerun.txt").read_text())
    assert line[line.index("--trials") + 1] == str(most)
    assert _invoke(*line[1:], "--workers", 1, "--out", anew).exit_code == 0
    assert (anew / "summary.csv").read_bytes() == (copy / "summary.csv").read_bytes()
    assert len(_records(copy)) > len(before)
    assert _records(anew) == _records(copy)


def test_a_scenario_file_needs_a_threshold_and_saved_precoders_keep_the_power(finished, tmp_path):
    folder, _ = finished
    result = _invoke("run", "link", "--scenario", folder / "scenario-0.toml", "--out", tmp_path / "a")
    assert result.exit_code == 2
    assert "has no SINR threshold of its own: give --sinr-db" in " ".join(result.output.split())
    assert _invoke("design", "uniform", *SMALL, "--sinr-db", -30, "--out", tmp_path / "d").exit_code == 0
    sent = tmp_path / "d" / "precoders.npz"
    result = _invoke(*QUICK, "--set", "tx_power=0.5", "--precoders", sent, "--out", tmp_path / "b")
    assert result.exit_code == 1
    assert "at most tx_power = 0.5" in " ".join(result.output.split())


def test_resume_of_a_complete_run_changes_nothing(finished, tmp_path):
    folder, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    result = _invoke("run", "link", "--resume", copy, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert _records(copy) == _records(folder)
    assert (copy / "summary.csv").read_bytes() == (folder / "summary.csv").read_bytes()


def test_a_used_folder_is_refused(finished):
    folder, _ = finished
    result = _invoke(*QUICK, "--out", folder)
    assert result.exit_code != 0
    assert "not empty" in result.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--preset", "fig3"], "preset = 'fig3': must be one of fig4, fig5, fig7"),
        (["--set", "n_subcarriers=3"], "n_subcarriers = 3: L must be at least N = 4"),
        (["--set", "bandwidth=1e6"], "bandwidth = 1000000.0: unknown field"),
        (["--set", "bandwidth_hz"], "must be FIELD=VALUE"),
        (["--set", "bandwidth_hz=fast"], "'fast' is not a TOML value"),
        (["--modulation", "8psk"], "'8psk' is not one of qpsk, 16qam, 64qam, 256qam"),
        (["--mode", "tof"], "estimator = 'tof': must be one of ml, tof-genie"),
        (["--estimator", "mll"], "did you mean 'ml'?"),
        (["--estimator", "ml", "--mode", "hybrid"], "--mode is another name of --estimator"),
        (["--snr-db", "10:0:5"], "is not a number or a range"),
        (["--snr-db", "nan"], "out of range"),
        (["--symbols", "0"], "0 is out of range: must be in [1, 65536]"),
        (["--design", "p9"], "design = 'p9': must be one of"),
        (["--trials", "1"], "1 is not in the range x>=2"),
        (["--sweep", "targets=[0, 0]"], "takes numbers or names"),
        (["--sinr-db", "1000"], "1000.0 is out of range: must be in [-300, 300]"),
        (["--snr-db", "400"], "400.0 is out of range: must be in [-100, 100]"),
        (["--pilots", "1"], "--pilots 1: must be 0 or at least the number of users, 2"),
        (["--set", "channel_model={seed=5}"], "channel_model: follows from channels"),
    ],
)
def test_wrong_input_is_one_clear_line(args, message, tmp_path):
    result = _invoke("run", "link", *args, "--out", tmp_path / "none")
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert not isinstance(result.exception, ValueError)


def test_infeasible_thresholds_are_shown_as_such(tmp_path):
    result = _invoke(*QUICK, "--sinr-db", "20,90", "--workers", 1, "--out", tmp_path / "r")
    assert result.exit_code == 0, result.output
    with (tmp_path / "r" / "summary.csv").open(newline="", encoding="utf-8") as file:
        statuses = [row["status"] for row in csv.DictReader(file)]
    assert statuses[:-1] == ["ok", "ok"]
    assert statuses[-1].startswith("infeasible")
    usable = statuses[-1].split("feasible up to ")[1].removesuffix(" dB")
    result = _invoke("design", "p2", *SMALL, "--sinr-db", usable, "--out", tmp_path / "d")
    assert "p2 by native: solved" in result.output


def test_a_saved_design_is_what_is_transmitted(finished, tmp_path):
    folder, _ = finished
    solved = _invoke("design", "p2", *SMALL, "--out", tmp_path / "design")
    assert solved.exit_code == 0, solved.output
    for text in ("certified lower bound", "relative gap", "SINR of user 1", "power of node 3", "solved"):
        assert text in solved.output
    sent = tmp_path / "design" / "precoders.npz"
    result = _invoke(*QUICK, "--precoders", sent, "--workers", 1, "--out", tmp_path / "link")
    assert result.exit_code == 0, result.output
    assert _records(tmp_path / "link") == _records(folder)
    other = _invoke(*QUICK, "--set", "n_subcarriers=16", "--precoders", sent, "--out", tmp_path / "other")
    assert other.exit_code != 0
    assert "has shape" in other.output


def test_stopping_by_precision_is_stored_and_survives_a_resume(tmp_path):
    options = ["--snr-db", "20", "--precision", "0.2", "--bit-errors", "100000", "--trials", "400"]
    result = _invoke("run", "link", *SMALL, *options, "--workers", 1, "--out", tmp_path / "r")
    assert result.exit_code == 0, result.output
    with (tmp_path / "r" / "summary.csv").open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert 2 < int(row["trials"]) < 400
    assert "asked 0.2" in row["stop_reason"]
    before = _records(tmp_path / "r")
    assert _invoke("run", "link", "--resume", tmp_path / "r", "--workers", 1).exit_code == 0
    assert _records(tmp_path / "r") == before


def test_sidelobes_and_ambiguity_leave_tables_and_pictures(tmp_path):
    options = [*SIDELOBES, "--design", "p2", "--sinr-db", 30, "--workers", 1, "--out", tmp_path / "s"]
    result = _invoke(*options)
    assert result.exit_code == 0, result.output
    assert "p2 at 30 dB, expected: PSLR" in result.output
    names = {path.name for path in (tmp_path / "s").iterdir()}
    assert {"summary.csv", "run.sqlite", "rerun.txt", "sidelobes.png"} <= names
    result = _invoke("run", "ambiguity", *SMALL, "--design", "uniform", "--sinr-db", -30, "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    assert "sidelobes in the area" in result.output
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert {"ambiguity.png", "summary.csv", "rerun.txt", "provenance.json"} <= names
    with (tmp_path / "a" / "summary.csv").open(newline="", encoding="utf-8") as file:
        levels = [float(row["level_db"]) for row in csv.DictReader(file)]
    assert f"{len(levels)} sidelobes in the area" in result.output
    assert levels == sorted(levels, reverse=True)


def test_resume_with_other_options_names_them(tmp_path):
    options = [*SIDELOBES, "--design", "uniform", "--workers", 1]
    folder = tmp_path / "s"
    assert _invoke(*options, "--out", folder).exit_code == 0
    before = (folder / "run.sqlite").read_bytes()
    resumed = _invoke("run", "sidelobes", *SMALL[:2], "--set", "n_tx=5", "--seed", 3, "--resume", folder)
    assert resumed.exit_code == 1
    assert f"{folder} was begun with other options; nothing was changed\n" in resumed.output
    assert f"  --set: stored {SMALL[1]}, given {SMALL[1]},n_tx=5\n  --seed: stored 0, given 3\n" in resumed.output
    assert f"the line that began it is in {folder / 'rerun.txt'}" in resumed.output
    assert "--draws" not in resumed.output
    assert (folder / "run.sqlite").read_bytes() == before
    resumed = _invoke("run", "ambiguity", "--resume", folder)
    assert "holds a run of sidelobes, not of ambiguity" in resumed.output
    resumed = _invoke("run", "sidelobes", "--draws", 1, "--resume", folder)
    assert "--draws: stored 2, given 1" in resumed.output
    assert _invoke("run", "sidelobes", "--draws", 3, "--workers", 1, "--resume", folder).exit_code == 0
    assert _invoke(*options, "--draws", 3, "--out", tmp_path / "fresh").exit_code == 0
    assert (folder / "summary.csv").read_bytes() == (tmp_path / "fresh" / "summary.csv").read_bytes()
    assert (folder / "rerun.txt").read_bytes() == (tmp_path / "fresh" / "rerun.txt").read_bytes()


def test_shards_merge_into_the_single_run(finished, tmp_path):
    folder, _ = finished
    for part in ("1", "2"):
        result = _invoke(*QUICK, "--workers", 1, "--shard", f"{part}/2", "--out", tmp_path / part)
        assert result.exit_code == 0, result.output
    told = _invoke("status", tmp_path / "2").output
    assert "seed 0, shard 2 of 2," in told
    assert told.count(": 3 trials in") == told.count("; 3 trials, the share of shard 2 of 2 in 6 asked for") == 2
    other = _invoke("run", "link", "--resume", tmp_path / "2", "--shard", "1/2", "--workers", 1)
    assert other.exit_code == 1
    assert "shard[0]: stored 2, given 1; nothing was changed" in " ".join(other.output.split())
    again = _invoke("run", "link", "--resume", tmp_path / "2")
    assert again.exit_code == 0, again.output
    result = _invoke("merge", tmp_path / "2", tmp_path / "1", "--out", tmp_path / "both")
    assert result.exit_code == 0, result.output
    assert _records(tmp_path / "both") == _records(folder)
    assert "; 6 trials asked for" in _invoke("status", tmp_path / "both").output
    assert "identical" in _invoke("compare", tmp_path / "both", folder).output
    fewer = _invoke("compare", tmp_path / "both", tmp_path / "1")
    assert "6 and 3 trials, 3 common, 3 equal" in fewer.output
    assert "identical" not in fewer.output
    with (tmp_path / "both" / "summary.csv").open(newline="", encoding="utf-8") as file:
        assert [row["trials"] for row in csv.DictReader(file)] == ["6", "6"]


def test_compare_exits_like_diff(finished, tmp_path):
    folder, _ = finished
    same = _invoke("compare", folder, folder / "run.sqlite")
    assert same.exit_code == 0
    assert "described otherwise" not in same.output
    assert _invoke(*QUICK, "--seed", 1, "--workers", 1, "--out", tmp_path / "seed").exit_code == 0
    other = _invoke("compare", folder, tmp_path / "seed")
    assert other.exit_code == 1
    assert other.output.startswith("different records\ndescribed otherwise: seed is '0' against '1'\n")
    (tmp_path / "empty").mkdir()
    for trouble in (tmp_path / "empty", tmp_path / "nothing"):
        assert _invoke("compare", folder, trouble).exit_code == 2
    (tmp_path / "text.sqlite").write_text("no run")
    assert _invoke("compare", folder, tmp_path / "text.sqlite").exit_code == 2
    assert "Exits like diff: 0 when" in _invoke("compare", "--help").output


def test_records_equal_under_other_settings_count_as_identical(finished, tmp_path):
    """A cap that is not reached is another stopping rule with the same records."""
    folder, _ = finished
    result = _invoke(*QUICK, "--bit-errors", 10**9, "--workers", 1, "--out", tmp_path / "capped")
    assert result.exit_code == 0, result.output
    compared = _invoke("compare", folder, tmp_path / "capped")
    assert compared.exit_code == 0
    assert compared.output.startswith("identical")
    assert "differs" not in compared.output
    assert "described otherwise: stopping.policy is 'FixedTrials' against 'FirstOf'" in compared.output


def test_viewers_and_replay(finished, tmp_path):
    folder, _ = finished
    before = (folder / "run.sqlite").read_bytes()
    result = _invoke("status", folder)
    assert "complete" in result.output
    assert result.output.count(": 6 trials in") == 2
    assert "sq_error_m2" in _invoke("show", folder).output
    assert "identical to the stored record" in _invoke("replay", folder, 1, 4).output
    assert "nothing to compare with" in _invoke("replay", folder, 1, 400).output
    assert _invoke("replay", folder, 7, 0).exit_code != 0
    assert (folder / "run.sqlite").read_bytes() == before


def test_export_holds_every_trial(finished, tmp_path):
    folder, _ = finished
    result = _invoke("export", folder, "--out", tmp_path / "records.csv")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "records.csv").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line and not line.startswith("#")]) == 1 + 12


def test_doctor_names_solvers_threads_and_file_system(tmp_path):
    result = _invoke("doctor", "--folder", tmp_path)
    assert result.exit_code == 0, result.output
    for text in ("CLARABEL", "threads of", "numba", "run folder"):
        assert text in result.output


def test_export_takes_its_format_from_the_suffix(finished, tmp_path):
    folder, _ = finished
    result = _invoke("export", folder, "--out", tmp_path / "records.nc")
    if importlib.util.find_spec("h5netcdf") is None:
        assert "format 'netcdf' needs the extra disac[io]" in result.output
    else:
        assert (tmp_path / "records.nc").read_bytes()[:4] == b"\x89HDF"
    for wrong in (("--out", tmp_path / "records.xyz"), ("--format", "csv", "--out", tmp_path / "other.nc")):
        result = _invoke("export", folder, *wrong)
        assert result.exit_code == 2
        assert "a csv file ends in .csv" in result.output
        assert not wrong[-1].exists()


def test_a_missing_solver_and_a_single_node_on_the_command_line(tmp_path):
    import cvxpy

    if "MOSEK" not in cvxpy.installed_solvers():
        result = _invoke("design", "p2", "--solver", "mosek", "--out", tmp_path / "mosek")
        assert result.exit_code == 1
        assert "Error: solver = 'mosek': is not installed" in result.output
    result = _invoke("design", "single-node", "--sinr-db", 0, "--out", tmp_path / "one")
    assert result.exit_code == 0, result.output
    sent = ("--scenario", tmp_path / "one" / "scenario.toml", "--precoders", tmp_path / "one" / "precoders.npz")
    options = ("--snr-db", 20, "--trials", 2, "--workers", 1, "--out", tmp_path / "run")
    result = _invoke("run", "link", *sent, *options)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", ["status", "show", "export"])
def test_a_folder_without_a_run_is_told(command, tmp_path):
    result = _invoke(command, tmp_path)
    assert result.exit_code != 0
    assert "not a run folder" in result.output


def test_describe_draws_the_scene_and_warns(tmp_path):
    result = _invoke("describe", "fig4", "--set", "bandwidth_hz=100e6", "--plot", tmp_path / "scene.png")
    assert result.exit_code == 0, result.output
    assert "warning: 32 of 32 paths" in result.output
    assert (tmp_path / "scene.svg").exists()


def test_presets_list_what_was_chosen():
    result = _invoke("presets")
    for text in ("fig4", "fig5", "fig7", "which two nodes", "number of OFDM symbols T"):
        assert text in result.output


@pytest.mark.parametrize("command", [[], ["run"], ["run", "link"], ["describe"], ["presets"], ["merge"], ["replay"]])
def test_help_everywhere(command):
    result = _invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: cli" in result.output


def test_output_to_a_file_holds_no_control_characters(tmp_path):
    with (tmp_path / "log").open("w") as log:
        done = subprocess.run(
            [sys.executable, "-m", "disac", *QUICK, "--workers", "1", "--out", str(tmp_path / "r")],
            stderr=log,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "DISPLAY": ":99", "MPLBACKEND": "TkAgg"},
        )
    text = (tmp_path / "log").read_text()
    assert done.returncode == 0, text
    assert not any(ord(c) < 32 and c != "\n" for c in text + done.stdout)
    assert text.strip()


def test_main_is_the_console_script(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert "disac, version" in capsys.readouterr().out


def test_designs_without_a_threshold_ask_for_none(tmp_path):
    """The preset's threshold is not theirs: equal power was refused, and radar alone asked a file for one."""
    result = _invoke("design", "uniform", *SMALL, "--out", tmp_path / "u")
    assert result.exit_code == 0, result.output
    assert re.search(r"time +[\d.]+ s, of which 0\.\d+ s in the solver", result.output)
    scene = str(tmp_path / "u" / "scenario.toml")
    result = _invoke("design", "sensing-only", "--scenario", scene, "--sinr-db", 5, "--out", tmp_path / "s")
    assert result.exit_code == 0, result.output
    assert "sensing-only asks for no SINR, --sinr-db 5 is not used" in result.output
    assert "SINR of user 0          none over subcarriers" in result.output
    assert "inf" not in result.output
    refused = _invoke("design", "uniform", *SMALL, "--sinr-db", 40, "--out", tmp_path / "r")
    assert refused.exit_code == 1
    assert "what it sends is fixed and user" in refused.output


def test_a_design_far_above_the_problem_it_solved_says_so():
    """P.3's averaged objective counts power on one subcarrier as if it lay on all: 3.877 mm became 9.387 mm."""
    from disac.designs import design
    from disac.experiments.cli.design import summary_lines
    from disac.simulator import RandomAmplitudes, RandomChannels, Scenario

    drawn = {"channels": RandomChannels(seed=2), "amplitudes": RandomAmplitudes(seed=2)}
    scenario = Scenario.preset("fig5").replace(n_tx=4, **drawn)
    averaged, true = design("p3", scenario, 10.0), design("p3-true", scenario, 10.0)
    assert averaged.rcrb_excess == pytest.approx(9.387 / 3.877 - 1, abs=2e-3)
    assert any("142 % more RCRB than the problem solved" in line for line in summary_lines(averaged, 1.0))
    assert not any("more RCRB" in line for line in summary_lines(true, 1.0))
    assert true.rcrb_m == pytest.approx(3.103e-3, abs=1e-6)
