"""Pictures: written without a display, equal for equal data, bounds where there are no errors."""

import math

import pytest

from disac.experiments.figures import plot_ber, plot_rmse, plot_scene, series_of
from disac.simulator import Scenario

FIELDS = ("mode", "snr_db")


def _row(snr_db, mode="hybrid", ber=1e-3, **more):
    rmse = 10 ** (-snr_db / 20)
    return {
        "snr_db": snr_db,
        "mode": mode,
        "rmse_m": rmse,
        "rmse_low_m": 0.9 * rmse,
        "rmse_high_m": 1.1 * rmse,
        "rcrb_realized_m": rmse,
        "rcrb_expected_m": 0.99 * rmse,
        "ber": ber,
        "ber_low": 0.5 * ber,
        "ber_high": 2 * ber or 1e-5,
        "ber_theory": max(ber, 1e-6),
        "ber_theory_average_sinr": max(ber, 1e-6),
    } | more


def test_series_are_named_by_the_fields_that_vary():
    rows = [_row(s, m) for m in ("hybrid", "tof-genie") for s in (10.0, 0.0)]
    groups = series_of(rows, "snr_db", FIELDS)
    assert list(groups) == ["hybrid", "tof-genie"]
    assert [row["snr_db"] for row in groups["hybrid"]] == [0.0, 10.0]
    assert list(series_of(rows[:2], "snr_db", FIELDS)) == [""]


@pytest.mark.parametrize("plot", [plot_rmse, plot_ber])
def test_three_formats_and_equal_files_for_equal_data(plot, tmp_path):
    rows = [_row(s, m, ber) for m in ("hybrid", "aoa-genie") for s, ber in ((0.0, 1e-2), (10.0, 1e-4), (20.0, 0.0))]
    first = plot(rows, tmp_path / "a", fields=FIELDS)
    second = plot(rows, tmp_path / "b", fields=FIELDS)
    assert [path.suffix for path in first] == [".png", ".svg", ".pdf"]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_needs_no_display(tmp_path, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    assert all(path.stat().st_size > 0 for path in plot_scene(Scenario.preset("fig4"), tmp_path / "scene"))


def test_missing_intervals_are_drawn_without_them(tmp_path):
    rows = [_row(0.0, rmse_low_m=math.nan, rmse_high_m=math.nan)]
    plot_rmse(rows, tmp_path / "a", fields=FIELDS)
