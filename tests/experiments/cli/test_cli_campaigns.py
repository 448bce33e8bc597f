"""The command line around a campaign: where it writes, what it sends, how long a trial may take, own experiments."""

import csv
import subprocess
import sys
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from disac.designs import design
from disac.experiments.campaign.operations import experiment_of, replay
from disac.experiments.cli.main import cli
from disac.experiments.cli.options import options_for
from disac.experiments.runs.store import RunReader
from disac.experiments.runs.tables import read_csv
from disac.experiments.studies.link import LinkExperiment
from disac.experiments.study.protocol import get_study, study_names
from disac.experiments.study.settings import options_of
from disac.experiments.trials.experiment import ExperimentError
from disac.simulator import Scenario

SMALL = ("--preset", "fig4", "--set", "n_subcarriers=8", "--set", "n_symbols=2", "--set", "targets=[[0, 0]]")
UNIFORM = ("run", "link", *SMALL, "--design", "uniform", "--sinr-db", "-30", "--snr-db", "20", "--trials", "4")


def _invoke(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "one"
    result = _invoke(*UNIFORM, "--pilots", 4, "--workers", 1, "--out", folder)
    assert result.exit_code == 0, result.output
    return folder


def _digest(folder):
    with RunReader(folder / "run.sqlite") as reader:
        return reader.digest()


def test_every_column_of_a_link_record_has_a_unit_and_a_meaning(finished):
    experiment = experiment_of(finished / "run.sqlite")
    assert isinstance(experiment, LinkExperiment)
    with RunReader(finished / "run.sqlite") as reader:
        stored = reader.columns()
        (point,) = reader.points()
        (_, record), *_ = reader.records(point.key)
    assert list(record) == list(stored)
    assert set(record) <= set(experiment.columns)
    assert [name for name in experiment.columns if name not in record] == ["claimed_m2"], "ML claims no covariance"
    assert all(column.unit and column.description for column in stored.values())
    assert stored["error_x0_m"].unit == "m"


def test_a_column_that_one_case_lacks_is_not_required(finished):
    case = experiment_of(finished / "run.sqlite").cases[0]
    fewer = type(case)(
        (("design", "fewer"),),
        case.scenario.replace(users=case.scenario.users[:1], channels=case.scenario.channels[:, :1]),
        case.comm_precoders[:, :1],
        case.radar_precoders,
    )
    columns = LinkExperiment((case, fewer)).columns
    assert columns["bit_errors_known_u0"].required
    assert not columns["bit_errors_known_u1"].required
    assert "ber_estimated_theory" not in columns


def test_a_link_run_is_rebuilt_from_its_folder_and_replays(finished, tmp_path):
    assert replay(None, finished / "run.sqlite", 0, 3).identical
    moved = tmp_path / "run.sqlite"
    moved.write_bytes((finished / "run.sqlite").read_bytes())
    alone = _invoke("replay", moved, 0, 0)
    assert alone.exit_code == 1
    assert "no config.toml" in alone.output
    for path in finished.iterdir():
        if path.name != "run.sqlite":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    config = tmp_path / "config.toml"
    config.write_text(config.read_text().replace("n_pilots = 4", "n_pilots = 5"))
    with pytest.raises(ExperimentError, match="is not what it was"):
        replay(None, moved, 0, 0)


def test_the_precoders_of_a_run_folder_can_be_sent_again(finished, tmp_path):
    options = ("--snr-db", 20, "--trials", 4, "--pilots", 4, "--workers", 1, "--out", tmp_path / "again")
    sent = ("--scenario", finished / "scenario-0.toml", "--precoders", finished / "precoders-0.npz")
    result = _invoke("run", "link", *sent, *options)
    assert result.exit_code == 0, result.output
    assert "designed for another scenario" not in result.output
    assert _digest(tmp_path / "again") == _digest(finished)


def test_precoders_of_both_formats_make_the_same_run(tmp_path):
    """Also the signs of zeros, which the digest of a case sees: uniform power has many."""
    pytest.importorskip("h5netcdf")
    drawn = _invoke("design", "uniform", *SMALL, "--sinr-db", "-30", "--netcdf", "--out", tmp_path / "d")
    assert drawn.exit_code == 0, drawn.output
    options = ("--snr-db", 20, "--trials", 2, "--workers", 1)
    for suffix in ("npz", "nc"):
        sent = ("--scenario", tmp_path / "d" / "scenario.toml", "--precoders", tmp_path / "d" / f"precoders.{suffix}")
        assert _invoke("run", "link", *sent, *options, "--out", tmp_path / suffix).exit_code == 0
    compared = _invoke("compare", tmp_path / "npz", tmp_path / "nc")
    assert compared.exit_code == 0
    verdict, *points = compared.output.splitlines()
    assert verdict.startswith("identical")
    assert [line.split(":")[1] for line in points] == [" 2 and 2 trials, 2 common, 2 equal"]


def _text(path):
    path.write_text("not an archive")


def _empty(path):
    path.write_bytes(b"")


def _broken_archive(path):
    path.write_bytes(b"PK\x03\x04" + b"\xff" * 200)


def _other_archive(path):
    np.savez(path, x=np.zeros(3))


def _bare_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _foreign_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("comm_precoders.npy", b"nothing")


def _changed(name, change):
    def write(path):
        with np.load(path.parent / "good.npz") as good:
            np.savez(path, **{**good, name: change(good[name])})

    return write


def _not_finite(values):
    return np.where(np.arange(values.size).reshape(values.shape) == 0, np.nan, values)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        *((f, "is not a file of precoders") for f in (_text, _empty, _broken_archive, _bare_array)),
        (_other_archive, "has no array comm_precoders, which a file of precoders needs; it holds x"),
        (_foreign_zip, "is not a file of precoders"),
        (_changed("comm_precoders", _not_finite), "comm_precoders[0, 0, 0, 0] is (nan+0j), must be finite"),
        (_changed("radar_precoders", lambda values: values[..., 0]), "radar_precoders has shape"),
        (_changed("comm_precoders", lambda values: values[:2]), "comm_precoders has shape"),
        (
            _changed("comm_precoders", lambda values: values.astype("U3")),
            "comm_precoders has dtype <U3, must be numbers",
        ),
    ],
)
def test_junk_for_precoders_is_one_clear_line(finished, tmp_path, write, message):
    (tmp_path / "good.npz").write_bytes((finished / "precoders-0.npz").read_bytes())
    write(tmp_path / "sent.npz")
    result = _invoke("run", "link", *SMALL, "--precoders", tmp_path / "sent.npz", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert isinstance(result.exception, SystemExit)
    assert not (tmp_path / "run").exists(), "a run that never began leaves no folder"


def test_where_the_run_goes_is_checked_before_anything_is_solved(tmp_path, monkeypatch):
    def too_late(*args, **options):
        raise AssertionError("solved before --out was checked")

    monkeypatch.setattr("disac.designs.design", too_late)
    (tmp_path / "file").touch()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "something").touch()
    for out, message in (
        (tmp_path / "file" / "run", "Not a directory"),
        (Path("/proc/run"), "No such file or directory"),
        (tmp_path / "used", "not empty"),
    ):
        for command in (UNIFORM, ("design", "p2", *SMALL)):
            result = _invoke(*command, "--out", out)
            assert result.exit_code == 1
            assert message in " ".join(result.output.split())
    assert isinstance(_invoke(*UNIFORM, "--out", tmp_path / "fine").exception, AssertionError)


def test_a_network_file_system_is_told_before_the_run(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("disac.experiments.runs.store.file_system_type", lambda path: "nfs4")
    result = _invoke(*UNIFORM, "--workers", 1, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "network file system (nfs4)" in caplog.text


def test_a_trial_that_takes_too_long_is_a_failed_trial(tmp_path):
    options = ("--trials", 2, "--workers", 1, "--trial-timeout", 0.002, "--out", tmp_path / "run")
    result = _invoke(*UNIFORM[:-2], *options)
    assert result.exit_code == 1, result.output
    with RunReader(tmp_path / "run" / "run.sqlite") as reader:
        (point,) = reader.points()
        failures = reader.failures(point.key)
    assert [failed.failure.kind for failed in failures] == ["timeout", "timeout"]
    assert failures[0].failure.message == "ran longer than 0.002 s"
    result = _invoke(*UNIFORM, "--executor", "serial", "--trial-timeout", 1, "--out", tmp_path / "serial")
    assert result.exit_code == 2
    assert "does not go with --executor serial" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--snr-db", "10,20,10"], "10 is given twice"),
        (["--snr-db", "0:20:10,20"], "20 is given twice"),
        (["--mode", "hybrid,ml"], "ml is given twice"),
        (["--design", "p2, p2"], "p2 is given twice"),
        (["--snr-db", "10,20", "--snr-db", "10"], "10 is given twice"),
        (["--design", "p2", "--design", "p2"], "p2 is given twice"),
        (["--scheduler", "tcp://10.0.0.1:8786"], "needs --executor dask"),
    ],
)
def test_what_would_be_ignored_or_done_twice_is_refused(args, message, tmp_path):
    result = _invoke("run", "link", *args, "--out", tmp_path / "none")
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("options", [["--snr-db", "10", "--snr-db", "20"], ["--snr-db", "10,20"]])
def test_a_list_and_repetition_mean_the_same(options, tmp_path):
    """The last of repeated options was run alone."""
    line = ["--trials", 2, "--mode", "hybrid", "--mode", "tof-genie", "--design", "uniform", "--design", "sensing-only"]
    result = _invoke(
        "run", "link", *SMALL, "--sinr-db", -30, *line, *options, "--workers", 1, "--out", tmp_path / "run"
    )
    assert result.exit_code == 0, result.output
    rows = read_csv(tmp_path / "run" / "summary.csv")
    seen = {(row["design"], row["snr_db"], row["estimator"]) for row in rows}
    assert seen == set(product(("uniform", "sensing-only"), (10, 20), ("ml", "tof-genie")))


def test_an_estimator_without_a_bound_is_marked_and_the_others_are_summarized(tmp_path):
    line = ["--set", "nodes=[[-50.0, 0.0]]", "--mode", "hybrid,tof-genie", "--workers", 1, "--out", tmp_path / "run"]
    result = _invoke(*UNIFORM, *line)
    assert result.exit_code == 0, result.output
    known, unknown = read_csv(tmp_path / "run" / "summary.csv")
    assert (known["status"], known["trials"]) == ("ok", 4)
    assert unknown["status"].startswith("unidentifiable: ")
    assert (tmp_path / "run" / "rmse.png").is_file()


def test_every_option_that_takes_a_list_may_be_repeated():
    for name in study_names():
        settings = get_study(name).Settings
        specs = {spec.field: spec for spec in options_of(settings)}
        for option in options_for(settings):
            assert option.multiple == specs[option.name].many


def test_numbers_out_of_range_are_told(finished, tmp_path):
    result = _invoke("replay", finished, 0, 2**32)
    assert "is not in the range 0<=x<=4294967295" in result.output
    with pytest.raises(ValueError, match=r"trial is 4294967296, must be in 0\.\.2\^32-1"):
        replay(None, finished / "run.sqlite", 0, 2**32)
    result = _invoke("design", "p2", *SMALL, "--sinr-db", "nan")
    assert "--sinr-db nan: must be in [-300, 300]" in result.output
    for wrong in ("30", True, [30.0]):
        with pytest.raises(ValueError, match="must be a finite number within"):
            design("p2", Scenario.preset("fig4", n_subcarriers=8), wrong)


def test_an_executor_that_cannot_be_had_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    result = _invoke(*UNIFORM, "--executor", "mpi", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "needs the extra disac[mpi] and an MPI library" in " ".join(result.output.split())
    assert isinstance(result.exception, SystemExit)


def test_ctrl_c_before_anything_is_stored_leaves_a_run_that_goes_on(finished, tmp_path, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("disac.experiments.campaign.runner.run_campaign", interrupted)
        result = _invoke(*UNIFORM, "--pilots", 4, "--workers", 1, "--out", tmp_path / "run")
    assert result.exit_code == 130, result.output
    assert "go on with: disac run link --resume" in result.output
    assert _invoke("run", "link", "--resume", tmp_path / "run", "--workers", 1).exit_code == 0
    assert _digest(tmp_path / "run") == _digest(finished)


def test_a_reader_that_goes_away_does_not_end_the_run(finished, tmp_path):
    command = [
        sys.executable,
        "-m",
        "disac",
        *UNIFORM,
        "--pilots",
        "4",
        "--workers",
        "1",
        "--out",
        str(tmp_path / "run"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "uniform" in line:
                break
        process.stderr.close()
    assert process.returncode == 0
    assert _digest(tmp_path / "run") == _digest(finished)
    assert (tmp_path / "run" / "summary.csv").exists()


def test_an_own_experiment_of_one_file_has_every_command(tmp_path):
    page = (Path(__file__).resolve().parents[3] / "docs" / "campaigns.md").read_text(encoding="utf-8")
    (tmp_path / "noise.py").write_text(page.split("```python\n")[1].split("```")[0])

    def call(*words):
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert call("noise.py").count("within ±") == 2
    assert "complete" in call("-m", "disac", "status", "noise.sqlite")
    assert "sq_error_m2" in call("-m", "disac", "show", "noise.sqlite")
    assert "identical to the stored record" in call(
        "-m", "disac", "replay", "noise.sqlite", "1", "7", "--import", "noise.py"
    )
    call("-m", "disac", "export", "noise.sqlite", "--out", "noise.csv")
    call("-m", "disac", "report", "noise.sqlite", "--out", "noise.html")
    assert "squared error" in (tmp_path / "noise.html").read_text(encoding="utf-8")
    resumed = "import noise; from disac.experiments import resume; print(resume('noise.sqlite').complete)"
    assert call("-c", resumed) == "True\n"


def _rows(folder):
    with (folder / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_merger_summarizes_what_is_there_and_reruns_by_its_line(tmp_path):
    base = (*UNIFORM[:-4], "--trials", "4", "--workers", "1")
    for name, options in (("a", ("--snr-db", "20")), ("b", ("--snr-db", "10", "--mode", "hybrid"))):
        assert _invoke(*base, *options, "--out", tmp_path / name).exit_code == 0
    result = _invoke("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "both")
    assert result.exit_code == 0, result.output
    assert [row["snr_db"] for row in _rows(tmp_path / "both")] == ["10.0", "20.0"]
    lines = (tmp_path / "both" / "rerun.txt").read_text().strip().split(" && ")
    assert [line.split(" --out ")[-1] for line in lines] == ["part-1", "part-2", "merged"]
    assert "--snr-db 20" in lines[0]
    assert lines[2] == "disac merge part-1 part-2 --out merged"
    assert _invoke("run", "link", "--resume", tmp_path / "both", "--workers", 1).exit_code == 0
    part = _invoke(*base, "--snr-db", "20", "--seed", 1, "--shard", "1/3", "--out", tmp_path / "c")
    assert part.exit_code == 0, part.output
    alone = _invoke("merge", tmp_path / "c", "--out", tmp_path / "part")
    assert "warning: trials 1 to 3 of every point are in none of these runs" in alone.output
    assert "unfinished" in _invoke("status", tmp_path / "part").output
    assert [row["trials"] for row in _rows(tmp_path / "part")] == ["1"]


def test_a_merger_that_fails_leaves_no_folder(finished, tmp_path):
    other = _invoke(*UNIFORM, "--workers", 1, "--seed", 5, "--out", tmp_path / "other")
    assert other.exit_code == 0, other.output
    result = _invoke("merge", finished, tmp_path / "other", "--out", tmp_path / "both")
    assert result.exit_code == 1
    assert not (tmp_path / "both").exists()


def test_two_runs_of_one_folder_are_exported_to_two_files(finished, tmp_path):
    for name in ("run.sqlite", "edges.sqlite"):
        (tmp_path / name).write_bytes((finished / "run.sqlite").read_bytes())
        assert _invoke("export", tmp_path / name).exit_code == 0
    assert {path.name for path in tmp_path.glob("*.csv")} == {"records.csv", "edges-records.csv"}


def test_designs_and_files_share_one_table_and_one_plot(tmp_path, finished):
    """Two files that hold one name, a registered design and a file without facts; none of them is left out."""
    with np.load(finished / "precoders-0.npz") as good:
        np.savez(tmp_path / "mine.npz", comm_precoders=good["comm_precoders"], radar_precoders=good["radar_precoders"])
    for name in ("a", "b"):
        (tmp_path / f"{name}.npz").write_bytes((finished / "precoders-0.npz").read_bytes())
    files = [str(tmp_path / f"{name}.npz") for name in ("mine", "a", "b")]
    sent = ("--design", f"uniform,{files[0]}", "--precoders", files[1], "--precoders", files[2], "--sinr-db", "-30,-20")
    options = ("--snr-db", 20, "--trials", 2, "--workers", 1, "--out", tmp_path / "run")
    scenario = ("--scenario", finished / "scenario-0.toml")
    result = _invoke("run", "link", *scenario, *sent, *options)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "run" / "summary.csv").read_text().splitlines()))
    assert [row["design"] for row in rows] == ["uniform", "uniform", "mine", *files[1:]]
    assert rows[2]["sinr_db"] == ""
    assert len({row["rcrb_expected_m"] for row in rows[2:]}) == 1
    svg = (tmp_path / "run" / "rmse.svg").read_text()
    assert svg
    again = _invoke("run", "link", "--resume", tmp_path / "run", "--workers", 1)
    assert again.exit_code == 0, again.output
    for useless in ("--sinr-db", "--solver"):
        refused = _invoke("run", "link", *scenario, "--precoders", files[0], useless, "5", "--out", tmp_path / "no")
        assert refused.exit_code == 2
        assert f"{useless} would change nothing" in " ".join(refused.output.split())
