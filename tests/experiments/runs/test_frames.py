"""Runs as tables from Python: structured NumPy always, pandas and xarray where installed; folders; beginning anew."""

import subprocess
import sys

import numpy as np
import pytest
from campaigns import Noise
from click.testing import CliRunner

from disac.experiments import plot_ber, plot_rmse, plot_scene, read_run, run_campaign
from disac.experiments.cli.main import cli
from disac.experiments.runs.file import StoreError
from disac.experiments.runs.frames import as_frame
from disac.simulator import Scenario


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames") / "made" / "run"
    run_campaign(Noise(), f"{folder}/", seed=1, trials=6)
    return folder


def test_a_table_has_a_row_per_trial(folder):
    run = read_run(folder)
    table = run.table(run.points[1].status.fields)
    assert table.dtype.names[0] == "trial"
    np.testing.assert_array_equal(table["trial"], range(6))
    np.testing.assert_array_equal(table["dx"], [record["dx"] for record in run.points[1].records])
    assert np.array_equal(run.table(1)["dx"], table["dx"])
    with pytest.raises(StoreError, match=r"has no point 2; give 0\.\.1 or all fields"):
        run.table(2)


def test_a_summary_has_a_row_per_point(folder):
    run = read_run(folder)
    summary = run.summary()
    np.testing.assert_array_equal(summary["snr_db"], [0.0, 10.0])
    np.testing.assert_array_equal(summary["trials"], [6, 6])
    dx = run.table(0)["dx"]
    assert summary["dx"][0] == pytest.approx(dx.mean())
    assert summary["dx_se"][0] == pytest.approx(dx.std(ddof=1) / np.sqrt(6))


def test_pandas_and_xarray_hold_the_same(folder):
    pytest.importorskip("pandas")
    pytest.importorskip("xarray")
    run = read_run(folder)
    frame, dataset = run.table(0, "pandas"), run.table(0, "xarray")
    assert frame.index.name == "trial"
    np.testing.assert_array_equal(frame["dx"], run.table(0)["dx"])
    np.testing.assert_array_equal(dataset["dx"], run.table(0)["dx"])
    assert (dataset["dx"].dims, dataset["dx"].attrs["units"]) == (("trial",), "m")
    np.testing.assert_array_equal(run.summary("pandas")["dx"], run.summary()["dx"])
    assert run.summary("xarray")["dx_se"].attrs["units"] == "m"
    with pytest.raises(ValueError, match="kind = 'polars': must be one of numpy, pandas, xarray"):
        run.table(0, "polars")


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ValueError, match=r"kind = 'pandas': needs the extra disac\[io\]"):
        as_frame({"x": np.zeros(2)}, "pandas", "trial")


def test_commands_take_what_python_wrote(folder):
    for command in ("status", "show", "report", "export"):
        result = CliRunner().invoke(cli, [command, str(folder)])
        assert result.exit_code == 0, result.output
    replayed = CliRunner().invoke(cli, ["replay", str(folder), "1", "3"])
    assert "identical to the stored record" in replayed.output


def test_only_a_run_is_overwritten(folder, tmp_path):
    run_campaign(Noise(), tmp_path / "run.sqlite", seed=1, trials=2)
    with pytest.raises(StoreError, match="exists"):
        run_campaign(Noise(), tmp_path / "run.sqlite", seed=2, trials=3)
    run_campaign(Noise(), tmp_path / "run.sqlite", seed=2, trials=3, overwrite=True)
    assert [point.status.trials for point in read_run(tmp_path / "run.sqlite").points] == [3, 3]
    with pytest.raises(ValueError, match="resume and overwrite exclude each other"):
        run_campaign(Noise(), tmp_path / "run.sqlite", seed=2, trials=3, overwrite=True, resume=True)
    (tmp_path / "thesis.txt").write_text("my thesis")
    with pytest.raises(StoreError):
        run_campaign(Noise(), tmp_path / "thesis.txt", seed=2, trials=3, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "my thesis"


NOTEBOOK = """
from dataclasses import dataclass
from disac.experiments import Purpose, read_run, replay, run_campaign

@dataclass(frozen=True)
class Cell:
    name = "cell"
    def points(self): return [{"x": 1.0}]
    def prepare(self, point): return point["x"]
    def run(self, context, keys):
        return [{"y": context + float(key.generator(Purpose.BITS).random())} for key in keys]
    @classmethod
    def from_config(cls, settings, points): return cls()

run_campaign(Cell(), "cell/", seed=0, trials=4, workers=2)
assert replay(None, "cell/run.sqlite", 0, 2).identical
print(len(read_run("cell").table(0)))
"""


def test_a_class_of_a_notebook_cell_runs_in_workers(tmp_path):
    """``python -c`` has a ``__main__`` without a file, as a notebook has."""
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
    cell = tmp_path / "cell_of_test.py"
    cell.write_text(NOTEBOOK.split("run_campaign(Cell")[0])
    replayed = subprocess.run(
        [sys.executable, "-m", "disac", "replay", "cell", "0", "2", "--import", cell],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "identical to the stored record" in replayed.stdout, replayed.stderr


def test_plots_draw_into_the_axes_given_and_return_them():
    from matplotlib.figure import Figure

    point = {"snr_db": 0.0, "design": "p2", "trials": 3}
    values = {"rmse_m": 2.0, "rmse_low_m": 1.0, "rmse_high_m": 3.0, "rcrb_realized_m": 1.5, "rcrb_expected_m": 1.4}
    rates = {"ber": 0.1, "ber_low": 0.05, "ber_high": 0.2, "ber_theory": 0.1, "ber_theory_average_sinr": 0.1}
    rows = [{**point, **values, **rates, "design": name, "snr_db": x} for name in ("p2", "p3") for x in (0.0, 10.0)]
    for plot in (plot_rmse, plot_ber):
        ax = Figure().add_subplot()
        assert plot(rows, ax=ax) is ax
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["P.2", "P.3"]
    ax = Figure().add_subplot()
    assert plot_scene(Scenario.preset("fig4"), ax=ax) is ax
