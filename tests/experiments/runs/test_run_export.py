"""Export: every value survives, with units and provenance, in each format."""

import csv
import json
from dataclasses import dataclass

import numpy as np
import pytest
from campaigns import Faulty, Noise

from disac.experiments.campaign.runner import run_campaign
from disac.experiments.runs import export as run_export
from disac.experiments.runs.export import ExportError, export
from disac.experiments.runs.store import RunReader, StoreError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "run"
    run_campaign(Faulty((0.0, 10.0, 20.0), raises=(2,)), path, seed=4, trials=6)
    with RunReader(path) as reader:
        return path, [reader.table(point.key) for point in reader.points()]


def test_csv_holds_every_bit_and_says_what_it_is(tmp_path, run):
    path, tables = run
    export(path, "csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    assert list(rows[0])[:4] == ["snr_db", "design", "trial", "dx"]
    np.testing.assert_array_equal([int(row["trial"]) for row in rows[:5]], [0, 1, 3, 4, 5])
    np.testing.assert_array_equal([float(row["dx"]) for row in rows], np.concatenate([t["dx"] for t in tables]))
    z = [complex(float(row["z_real"]), float(row["z_imag"])) for row in rows]
    np.testing.assert_array_equal(z, np.concatenate([t["z"] for t in tables]))
    described = json.loads((tmp_path / "out.csv.json").read_text())
    assert described["columns"]["dx"] == {"unit": "m", "description": "error in x"}
    assert described["columns"]["z_real"]["unit"] == "1"
    assert described["points"][1] == {
        "snr_db": 10.0,
        "design": "p2",
        "trials": 6,
        "failed": 1,
        "stop": "6 trials asked for",
    }
    assert described["run"]["sessions"][0]["provenance"]["distributions"]["numpy"] == np.__version__
    assert described["run"]["seed"] == "4"


def test_parquet_round_trip(tmp_path, run):
    parquet = pytest.importorskip("pyarrow.parquet")
    path, tables = run
    export(path, "parquet", tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet")
    found = {name: np.array(table[name].to_pylist()) for name in table.column_names}
    for name in ("dx", "squared_error", "bit_errors", "hit", "tag", "trial", "maybe"):
        np.testing.assert_array_equal(found[name], np.concatenate([t[name] for t in tables]))
    np.testing.assert_array_equal(found["z_real"] + 1j * found["z_imag"], np.concatenate([t["z"] for t in tables]))
    assert table.schema.field("dx").metadata[b"unit"] == b"m"
    assert json.loads(table.schema.metadata[b"disac"])["run"]["experiment"] == "faulty"


def test_netcdf_has_named_axes_and_marks_what_is_missing(tmp_path, run):
    xarray = pytest.importorskip("xarray")
    path, tables = run
    export(path, "netcdf", tmp_path / "out.nc")
    with xarray.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as data:
        assert data["dx"].dims == ("snr_db", "design", "trial")
        assert data["dx"].attrs["units"] == "m"
        np.testing.assert_array_equal(data["snr_db"], [0.0, 10.0, 20.0])
        assert list(data["design"].values) == ["p2"]
        np.testing.assert_array_equal(data["recorded"][0, 0], [1, 1, 0, 1, 1, 1])
        for index, table in enumerate(tables):
            cut = data.sel(snr_db=[0.0, 10.0, 20.0][index], design="p2").isel(trial=table["trial"])
            for name in ("dx", "bit_errors", "hit", "tag", "maybe"):
                np.testing.assert_array_equal(cut[name], table[name])
            np.testing.assert_array_equal(cut["z_real"] + 1j * cut["z_imag"], table["z"])
        assert np.isnan(data["dx"][0, 0, 2])
        assert json.loads(data.attrs["disac"])["run"]["seed"] == "4"


@dataclass(frozen=True)
class Uneven(Noise):
    name = "uneven"

    def points(self):
        return [{"snr_db": 0.0, "design": "p2"}, {"snr_db": 5.0, "design": "p1"}, {"snr_db": 7.0}]


def test_netcdf_of_points_that_are_no_grid(tmp_path):
    xarray = pytest.importorskip("xarray")
    result = run_campaign(Uneven(), tmp_path / "run", seed=4, trials=3)
    export(tmp_path / "run", "netcdf", tmp_path / "out.nc")
    with xarray.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as data:
        assert data["dx"].dims == ("point", "trial")
        assert list(data["design"].values) == ["p2", "p1", ""]
        np.testing.assert_array_equal(data["dx"][2], result.table(2)["dx"])


def test_unfinished_points_export_what_they_have(tmp_path):
    xarray = pytest.importorskip("xarray")
    run_campaign(Noise((0.0,)), tmp_path / "run", seed=4, trials=3)
    run_campaign(Faulty((5.0,), setup="raises"), tmp_path / "none", seed=4, trials=3)
    for fmt in ("csv", "parquet", "netcdf"):
        export(tmp_path / "none", fmt, tmp_path / f"none.{fmt}")
    with xarray.open_dataset(tmp_path / "none.netcdf", engine="h5netcdf") as data:
        assert data.sizes["trial"] == 0
    assert (tmp_path / "none.csv").read_text().splitlines() == ["snr_db,design,trial"]


def test_wrong_wishes_are_refused_and_leave_no_file(tmp_path, run, monkeypatch):
    path, _ = run
    with pytest.raises(ExportError, match="'xlsx'"):
        export(path, "xlsx", tmp_path / "out")
    with pytest.raises(StoreError, match="no such run"):
        export(tmp_path / "missing", "csv", tmp_path / "out")

    @dataclass(frozen=True)
    class Taken(Noise):
        def points(self):
            return [{"dx": 1.0, "snr_db": 0.0}]

    monkeypatch.setattr(run_export, "Taken", Taken, raising=False)
    Taken.__module__, Taken.__qualname__ = run_export.__name__, "Taken"
    run_campaign(Taken(), tmp_path / "taken", seed=1, trials=1)
    with pytest.raises(ExportError, match="'dx'"):
        export(tmp_path / "taken", "csv", tmp_path / "out")

    def full(content, out):
        out.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(run_export, "_write_csv", full)
    (tmp_path / "out").write_text("older")
    with pytest.raises(OSError, match="disk full"):
        export(path, "csv", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "older"
    assert not list(tmp_path.glob(".*"))
