"""The sidelobe sweep against range profiles computed by hand, its statistics, and its pictures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from disac.designs import crb, design
from disac.estimators.ambiguity import ambiguity_surface
from disac.experiments.statistics.draws import PointDraws
from disac.experiments.studies import sidelobes as sidelobe_study
from disac.experiments.studies import threshold as threshold_study
from disac.experiments.studies.ambiguity import plot_ambiguity
from disac.experiments.studies.sidelobe_sweep import SidelobeSweep, draw_symbols, redraw
from disac.experiments.studies.sidelobes import plot_sidelobe_ratios, summarize_sidelobes, summary_lines
from disac.experiments.studies.threshold import ThresholdTheory, plot_threshold
from disac.experiments.theory.interval_errors import interval_errors
from disac.experiments.theory.ziv_zakai import ziv_zakai
from disac.experiments.trials.keys import TrialKey
from disac.simulator import Scenario


@pytest.fixture(scope="module")
def scene():
    return Scenario.preset("fig7", nodes=[[-40.0, -12.0], [35.0, -20.0]], n_tx=2, n_rx=2, n_symbols=4)


def keys(n):
    return [TrialKey(7, 11, trial) for trial in range(n)]


@pytest.fixture(scope="module")
def records(scene):
    sweep = SidelobeSweep(scene, ("uniform",), (), n_symbols=(1, 8), order=16)
    return sweep.run(sweep.points()[0], keys(3))


def values(records, signal, stem, nodes=(0, 1)):
    return np.array([[record[f"{signal}: {stem} n{node} k0"] for record in records] for node in nodes])


def test_a_draw_is_the_same_at_every_point_and_keeps_the_models(scene):
    first, again, other = (redraw(scene, TrialKey(7, point, trial)) for point, trial in ((1, 0), (2, 0), (1, 1)))
    np.testing.assert_array_equal(first.amplitudes, again.amplitudes)
    np.testing.assert_array_equal(first.channels, again.channels)
    assert not np.array_equal(first.amplitudes, other.amplitudes)
    assert not np.array_equal(first.channels, other.channels)
    assert first.replace(amplitudes=scene.amplitude_model, channels=scene.channel_model) == scene


def test_points_of_baselines_have_no_threshold(scene):
    points = SidelobeSweep(scene, ("p2", "uniform", "comm-only"), (0.0, 20.0)).points()
    assert points == [
        {"design": "p2", "sinr_db": 0.0},
        {"design": "p2", "sinr_db": 20.0},
        {"design": "uniform"},
        {"design": "comm-only"},
    ]


def test_uniform_power_has_the_sidelobes_of_equal_energies(records):
    """Of the Dirichlet kernel of 16 tones, on a grid."""
    phase = np.linspace(2 * np.pi / 16, np.pi, 200_001)
    highest = 10 * np.log10(np.max((np.sin(8 * phase) / (16 * np.sin(phase / 2))) ** 2))
    np.testing.assert_allclose(values(records, "expected", "pslr_db"), highest, atol=1e-6)
    np.testing.assert_allclose(values(records, "expected", "pslr_loss_db"), 0.0, atol=1e-9)
    np.testing.assert_allclose(values(records, "expected", "islr_loss_db"), 0.0, atol=1e-9)


def test_realized_profile_is_the_transform_of_the_energies_sent(scene, records):
    """PSLR by brute force from the symbols: power of the transform of abs(a^T x)^2 beyond the first null."""
    here = redraw(scene, keys(3)[1])
    X = draw_symbols(design("uniform", here, None), 16, 8, keys(3)[1])
    for node in range(2):
        steering = np.exp(1j * np.pi * np.arange(2) * np.sin(here.target_geometry.angle[node, 0]))
        energy = np.sum(np.abs(np.einsum("i,ilt->lt", steering, X[node])) ** 2, axis=1)
        phase = np.linspace(2 * np.pi / 16, 2 * np.pi - 2 * np.pi / 16, 100_001)
        power = np.abs(np.exp(1j * np.outer(phase, np.arange(16))) @ energy) ** 2
        expected = 10 * np.log10(power.max() / energy.sum() ** 2)
        assert values(records, "realized, T = 8", "pslr_db")[node, 1] == pytest.approx(expected, abs=1e-5)


@pytest.mark.statistical(false_alarm=1e-12)
def test_random_energies_raise_the_sidelobes_less_with_more_symbols(scene):
    # over draws excess(1) - 2 excess(8) is 3.3 dB with a standard deviation of 2.1 dB: 36 of them make 9 sigma
    sweep = SidelobeSweep(scene, ("uniform",), (), n_symbols=(1, 8), order=16)
    records = sweep.run(sweep.points()[0], keys(36))

    def excess(n_symbols):
        return np.mean(values(records, f"realized, T = {n_symbols}", "islr_loss_db"))

    assert 0 < 2 * excess(8) < excess(1)
    assert not 0 < 2 * excess(1) < excess(8)


def test_crb_design_has_higher_sidelobes_than_equal_power(scene):
    sweep = SidelobeSweep(scene, ("p2",), (10.0,))
    (record,) = sweep.run(sweep.points()[0], keys(1))
    assert np.all(values([record], "expected", "pslr_loss_db") > 1)
    here = redraw(scene, keys(1)[0])
    bound = crb(here, design("p2", here, 10.0).covariances)
    assert record["rcrb_m"] == pytest.approx(np.sqrt(np.trace(bound)), rel=1e-9)


def test_an_infeasible_draw_says_so(scene):
    sweep = SidelobeSweep(scene, ("p2",), (80.0,))
    (record,) = sweep.run(sweep.points()[0], keys(1))
    assert record["feasible"] is False
    assert np.isnan(record["rcrb_m"])


def made_up(design_name, threshold, levels):
    """Draws with given losses of two profiles each; None is an infeasible draw."""
    columns = {"trial": np.arange(len(levels)), "feasible": np.array([level is not None for level in levels])}
    levels = [(np.nan, np.nan) if level is None else level for level in levels]
    for stem in ("pslr_db", "islr_db", "pslr_loss_db", "islr_loss_db", "width_m"):
        for node in range(2):
            columns[f"expected: {stem} n{node} k0"] = np.array([level[node] for level in levels])
    columns["rcrb_m"] = 1.0 + np.arange(len(levels))
    fields = {"design": design_name} | ({} if threshold is None else {"sinr_db": threshold})
    return PointDraws(fields, columns)


def test_summary_counts_a_draw_once_and_compares_draw_by_draw():
    points = [
        made_up("p2", 10.0, [(4.0, 6.0), (9.0, 9.0), None, (1.0, 3.0)]),
        made_up("p3", 10.0, [(1.0, 1.0), None, (0.0, 0.0), (2.0, 2.0)]),
        made_up("uniform", None, [(0.0, 0.0)] * 4),
    ]
    p2, p3, uniform = summarize_sidelobes(points, ["expected"])
    per_draw = np.array([5.0, 9.0, 2.0])
    low, high = stats.t.interval(0.95, 2, loc=per_draw.mean(), scale=stats.sem(per_draw))
    assert (p2["draws"], p2["infeasible_draws"]) == (3, 1)
    assert p2["pslr_db"] == pytest.approx(per_draw.mean())
    assert p2["pslr_low_db"] == pytest.approx(low)
    assert p2["pslr_high_db"] == pytest.approx(high)
    assert p2["worst_pslr_db"] == pytest.approx((6 + 9 + 3) / 3)
    assert p2["pslr_loss_over_p3_db"] == pytest.approx((4.0 + 0.0) / 2)
    assert p2["rcrb_m"] == pytest.approx(np.sqrt((1 + 4 + 16) / 3))
    assert p3["pslr_loss_over_p3_db"] == 0
    assert uniform["sinr_db"] is None
    assert uniform["pslr_loss_over_p3_db"] == pytest.approx(-1.0)


def test_one_draw_has_no_interval_and_none_no_row_of_levels():
    one, none = summarize_sidelobes([made_up("p3", 1.0, [(1.0, 2.0)]), made_up("p2", 1.0, [None])], ["expected"])
    assert np.isnan(one["pslr_low_db"])
    assert "pslr_db" not in none
    assert list(summary_lines([none])) == ["p2 at 1 dB, expected: infeasible in every draw"]
    (line,) = summary_lines([one])
    assert "[" not in line
    assert line.endswith("1 of 1 draws, no interval from one draw")
    (line,) = summary_lines(summarize_sidelobes([made_up("p3", 1.0, [(1.0, 2.0)] * 2)], ["expected"]))
    assert line.count("[") == 2


def test_pictures_are_written(scene, tmp_path):
    result = design("uniform", scene, None)
    summary = summarize_sidelobes(
        [made_up(name, at, [(1.0, 2.0), (2.0, 3.0)]) for name, at in (("p2", 0.0), ("p2", 9.0), ("uniform", None))],
        ["expected"],
    )
    surface = ambiguity_surface(scene, result.covariances, step_m=4.0)
    small = scene.replace(n_subcarriers=4, channels=scene.channel_model)
    signal = design("uniform", small, None).covariances
    predicted = ThresholdTheory(interval_errors(small, signal, step_m=8.0), ziv_zakai(small, signal, step_m=12.0), 1.0)
    rows = [{"design": "uniform", "snr_db": -20.0, "rmse_m": 2.0, "rmse_low_m": 1.0, "rmse_high_m": 3.0}]
    paths = [
        *plot_sidelobe_ratios(summary, tmp_path / "ratios"),
        *plot_ambiguity(scene, surface, tmp_path / "ambiguity"),
        *plot_threshold(rows, {"uniform": predicted}, tmp_path / "threshold", relative_db=[-5.0, 5.0]),
    ]
    assert len(paths) == 9
    assert all(path.stat().st_size > 1000 for path in paths)


def test_wrong_input_is_named(scene):
    with pytest.raises(ValueError, match="designs = 'p9'"):
        SidelobeSweep(scene, ("p9",), (0.0,))
    with pytest.raises(ValueError, match="n_symbols = "):
        SidelobeSweep(scene, ("p2",), (0.0,), n_symbols=(0,))


@pytest.mark.parametrize(("thresholds", "ticks"), [((20.0,), [20.0]), ((), [])])
def test_fewer_than_two_thresholds_are_the_only_ticks(monkeypatch, tmp_path, thresholds, ticks):
    pictures = []
    monkeypatch.setattr(sidelobe_study, "save", lambda fig, stem: pictures.append(fig) or [])
    points = [made_up("p2", at, [(1.0, 2.0)] * 2) for at in thresholds]
    points.append(made_up("uniform", None, [(1.0, 2.0)] * 2))
    plot_sidelobe_ratios(summarize_sidelobes(points, ["expected"]), tmp_path / "ratios")
    assert all(list(ax.get_xticks()) == ticks for ax in pictures[0].axes)


def test_the_predicted_threshold_is_named(monkeypatch, tmp_path):
    class Predicted:
        threshold_db = -20.0

        def row(self, snr_db):
            return dict.fromkeys(("mie_rmse_m", "rcrb_m", "zz_rmse_m", "zz_coupled_rmse_m"), 10 ** (-snr_db / 20))

    pictures = []
    monkeypatch.setattr(threshold_study, "save", lambda fig, stem: pictures.append(fig) or [])
    rows = [{"design": "p2", "snr_db": -20.0, "rmse_m": 2.0, "rmse_low_m": 1.0, "rmse_high_m": 3.0}]
    plot_threshold(rows, {"p2": Predicted()}, tmp_path / "threshold", relative_db=[-5.0, 5.0])
    (ax,) = pictures[0].axes
    assert ax.get_title() == "P.2"
    assert "predicted threshold" in [text.get_text() for text in pictures[0].legends[0].get_texts()]
