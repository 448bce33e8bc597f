"""Legends of the paper's pictures name what is drawn, all of it and nothing else."""

from __future__ import annotations

import math

import pytest

from disac.experiments.paper import figures as paper_figures
from disac.experiments.paper.study import full_sweep
from disac.experiments.studies import estimators as paper_estimators
from disac.experiments.studies import pareto
from disac.experiments.studies import waveform_figure as paper_verdict_figure
from disac.experiments.studies import weak_target as paper_weak_target
from disac.experiments.studies.waveform_trial import SENT, SceneThresholds

PLOTTERS = (paper_estimators, paper_figures, paper_verdict_figure, paper_weak_target, pareto)


@pytest.fixture
def pictures(monkeypatch):
    """The pictures that would be written."""
    kept = []
    for module in PLOTTERS:
        monkeypatch.setattr(module, "save", lambda fig, stem: kept.append(fig) or [])
    return kept


def entries(fig):
    (legend,) = fig.legends
    return dict(zip((text.get_text() for text in legend.get_texts()), legend.legend_handles, strict=True))


def swept(design, at, **columns):
    return {
        "design": design,
        "n_users": 1,
        "sinr_db": at,
        "draws": 2,
        "rcrb_bound_m": 1e-3,
        "rcrb_bound_low_m": math.nan,
        "rcrb_bound_high_m": math.nan,
    } | columns


def test_a_design_without_signals_has_a_line_in_the_legend_and_no_marker(pictures, tmp_path):
    rows = [swept("p1", at) for at in (0.0, 9.0)] + [swept("p2", at, sent_over_bound=1.0) for at in (0.0, 9.0)]
    paper_figures.plot_sweep(full_sweep("fig5"), rows, tmp_path / "fig5")
    named = entries(pictures[0])
    assert named["P.1, phases known"].get_marker() == ""
    assert named["P.2"].get_marker() == "^"
    assert set(named) == {"P.1, phases known", "P.2", "lines: bound", "markers: signals sent", "certified edge"}


def test_extractions_phases_and_bands_are_named_where_they_are_drawn(pictures, tmp_path):
    more = {
        "direct_over_bound": 1.1,
        "rcrb_phases_m": 2e-3,
        "rcrb_phases_low_m": 1e-3,
        "rcrb_bound_low_m": 9e-4,
        "rcrb_bound_high_m": 2e-3,
    }
    paper_figures.plot_sweep(full_sweep("fig5"), [swept("p1", at, **more) for at in (0.0, 9.0)], tmp_path / "fig5")
    assert {"P.1, direct extraction", "P.1, mean over unknown phases", "95 % interval"} <= set(entries(pictures[0]))


def sent(design, phases, rmse=1.0, outage=0.1):
    row = {"scene": "fig5", "design": design, "phases": phases, "sinr_db": 0.0, "gross_errors": 1, "trials": 9}
    for name, value, unit in (("rmse", rmse, "_m"), ("ber", 0.1, ""), ("outage", outage, "")):
        row |= {f"{name}{unit}": value, f"{name}_low{unit}": 0.9 * value, f"{name}_high{unit}": 1.1 * value + 1e-3}
    return row | {"rcrb_realized_m": 1.0, "ber_theory": 0.1}


@pytest.mark.parametrize(("more", "named"), [({}, ()), ({"outage": 0.0}, ("none seen",)), ({"rmse": 9.0}, ("RMSE",))])
def test_upper_bounds_and_what_leaves_the_panel_are_named_where_they_are_drawn(pictures, tmp_path, more, named):
    scene = SceneThresholds("fig5", (("n_nodes", 2), ("n_targets", 2), ("n_users", 2)), (0.0,))
    paper_verdict_figure.plot_verdict([sent(*key, **more) for key in SENT], [scene], tmp_path / "verdict")
    found = list(entries(pictures[0]))
    assert [text for text in found if text.startswith(("none seen", "RMSE"))] == [
        text for text in found if text.startswith(named)
    ]
    assert len(found) == len(SENT) + 2 + len(named)
    assert all(ax.lines for ax in pictures[0].axes)


def test_only_estimators_with_points_are_named_and_one_bandwidth_has_bounds(pictures, tmp_path):
    row = {"bandwidth_hz": 1e7, "area_side_m": paper_estimators.AREA_M, "ratio": 1.0, "ratio_low": 0.9}
    row |= {"ratio_high": 1.1, "rcrb_realized_m": 1e-3}
    paper_estimators.plot_estimators(
        [{**row, "estimator": name} for name in ("ml", "tof-genie")], tmp_path / "estimators"
    )
    named = list(entries(pictures[0]))
    assert named[:2] == ["TOF, angles known", "hybrid"]
    assert len(named) == 4
    across = [line for line in pictures[0].axes[0].lines if list(line.get_xdata()) == [0, 1]]
    assert len(across) == 2


def test_designs_have_the_papers_names(pictures, tmp_path):
    weak = {"weaker_db": 0.0, "rcrb_m": 1.0}
    for name, unit in (("rmse", "_m"), ("detected", ""), ("one_look", "")):
        weak |= {f"{name}{unit}": 0.5, f"{name}_low{unit}": 0.4, f"{name}_high{unit}": 0.6}
    paper_weak_target.plot_weak_target(
        [{**weak, "design": name} for name in ("p2", "p4-p2", "uniform")], tmp_path / "w"
    )
    assert list(entries(pictures[0]))[:3] == ["P.2", "P.4 (P.2)", "equal power"]
    limited = {"draws": 1, "sinr_db": 20.0, "sidelobe_db": -8.0, "pslr_db": -8.0, "rcrb_m": 1e-3, "detection": 0.5}
    equal = {**limited, "design": "uniform", "sinr_db": None, "sidelobe_db": None}
    pareto.plot_pareto([{**limited, "design": "p4-p2"}, equal], tmp_path / "pareto")
    assert list(entries(pictures[1])) == [r"P.4 (P.2), $\Gamma_c$ = 20 dB", "equal power"]
