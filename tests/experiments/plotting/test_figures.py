"""Pictures: written without a display, equal for equal data, bounds where there are no errors."""

import math

import pytest

from disac.experiments.plotting.figures import (
    figure,
    log_ordinate,
    save_ber,
    save_rmse,
    save_scene,
    series_of,
    write_beside,
)
from disac.simulator import Scenario

FIELDS = ("estimator", "snr_db")


def _row(snr_db, estimator="ml", ber=1e-3, **more):
    rmse = 10 ** (-snr_db / 20)
    return {
        "snr_db": snr_db,
        "estimator": estimator,
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
    rows = [_row(s, m) for m in ("ml", "tof-genie") for s in (10.0, 0.0)]
    groups = series_of(rows, "snr_db", FIELDS)
    assert list(groups) == ["ML", "ML of delays, angles known"]
    assert [row["snr_db"] for row in groups["ML"]] == [0.0, 10.0]
    assert list(series_of(rows[:2], "snr_db", FIELDS)) == [""]
    designs = [_row(0.0, design=name) for name in ("p2", "uniform", "registered-elsewhere")]
    assert list(series_of(designs, "snr_db", ("design",))) == ["P.2", "equal power", "registered-elsewhere"]


@pytest.mark.parametrize("plot", [save_rmse, save_ber])
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
    assert all(path.stat().st_size > 0 for path in save_scene(Scenario.preset("fig4"), tmp_path / "scene"))


def test_missing_intervals_are_drawn_without_them(tmp_path):
    rows = [_row(0.0, rmse_low_m=math.nan, rmse_high_m=math.nan)]
    save_rmse(rows, tmp_path / "a", fields=FIELDS)


def test_texts_beside_markers_stay_in_the_frame_and_off_each_other():
    places = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5), (0.53, 0.5)]
    with figure(figsize=(3, 3)) as fig:
        ax = fig.add_subplot()
        ax.margins(0.03)
        ax.plot(*zip(*places, strict=True), "o")
        write_beside(fig, ax, places, ["-10.0"] * len(places))
        fig.draw_without_rendering()
        boxes = [text.get_window_extent() for text in ax.texts]
    for i, box in enumerate(boxes):
        assert all(ax.bbox.contains(*corner) for corner in box.corners())
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        assert not any(box.contains(*ax.transData.transform(place)) for place in places)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.9, 1.25, ["0.9", "1", "1.1", "1.2"]),
        (0.9, 3.1, ["1", "1.5", "2", "3"]),
        (0.9, 21, ["1", "2", "5", "10", "20"]),
        (0.9, 1e5, ["1", "10", "100", "1000", "10000", "100000"]),
    ],
)
def test_logarithmic_axes_have_ticks_for_any_range(low, high, labels):
    with figure() as fig:
        ax = fig.add_subplot()
        ax.set_ylim(low, high)
        log_ordinate(ax)
        fig.draw_without_rendering()
        shown = [text.get_text() for text in ax.get_yticklabels() if low <= text.get_position()[1] <= high]
    assert shown == labels


def test_the_ratio_panel_shows_intervals_bias_and_what_lies_above(tmp_path):
    from disac.experiments.plotting.figures import draw_ratio, figure

    rows = [
        {
            "snr_db": 0.0,
            "ratio": 40.0,
            "ratio_low": 30.0,
            "ratio_high": 50.0,
            "rcrb_realized_m": 0.1,
            "bias_x0_m": 0.03,
        },
        {"snr_db": 10.0, "ratio": 1.1, "ratio_low": 1.0, "ratio_high": 1.2, "rcrb_realized_m": 0.1, "bias_x0_m": 0.03},
    ]
    with figure() as fig:
        ax = fig.add_subplot()
        draw_ratio(ax, rows, fields=["snr_db"])
        arrows = [line for line in ax.lines if line.get_marker() == r"$\uparrow$"]
        assert list(arrows[0].get_xdata()) == [0.0]
        (bias,) = (line for line in ax.lines if line.get_marker() == "x")
        assert list(bias.get_ydata()) == pytest.approx([0.3, 0.3])
        assert ax.get_ylim() == (0, 2.5)
        assert ax.get_ylabel() == "RMSE / root CRB"


def test_series_that_are_the_same_numbers_are_said_to_coincide():
    from disac.experiments.plotting.figures import coinciding

    one, two = [{"rmse_m": 1.0}, {"rmse_m": 2.0}], [{"rmse_m": 1.0}, {"rmse_m": 2.1}]
    assert coinciding({"a": one, "b": two, "c": one}) == [("a", "c")]
