"""The sidelobe study against range profiles computed by hand, its statistics, and its pictures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from disac.designs import crb, design
from disac.estimators.ambiguity import ambiguity_surface
from disac.experiments import sidelobes
from disac.experiments.threshold_theory import interval_errors
from disac.simulator import Scenario
from disac.simulator.random_models import RandomAmplitudes, RandomChannels


@pytest.fixture(scope="module")
def scene():
    return Scenario.preset("fig7", nodes=[[-40.0, -12.0], [35.0, -20.0]], n_tx=2, n_rx=2, n_symbols=4)


@pytest.fixture(scope="module")
def rows(scene):
    return list(sidelobes.sidelobe_study(scene, ["uniform"], [None], 3, order=16, n_symbols=(1, 8)))


def test_redraw_changes_the_seeds_alone(scene):
    again = sidelobes.redraw(scene, 5)
    np.testing.assert_array_equal(again.amplitudes, RandomAmplitudes(seed=5).draw(2, 1))
    np.testing.assert_array_equal(again.channels, RandomChannels(seed=5).draw(2, 1, 16, 2))
    assert again.replace(amplitudes=scene.amplitude_model, channels=scene.channel_model) == scene


def test_every_profile_of_every_draw_has_a_row(rows):
    keys = {(r.draw, r.node, r.target, r.signal, r.n_symbols) for r in rows}
    signals = [("expected", 4), ("realized", 1), ("realized", 8)]
    assert keys == {(draw, node, 0, *signal) for draw in range(3) for node in range(2) for signal in signals}
    assert len(rows) == len(keys)


def test_uniform_power_has_the_sidelobes_of_equal_energies(rows):
    phase = np.linspace(2 * np.pi / 16, np.pi, 200_001)
    highest = 10 * np.log10(np.max((np.sin(8 * phase) / (16 * np.sin(phase / 2))) ** 2))
    for row in rows:
        assert row.flat_pslr_db == pytest.approx(highest, abs=1e-6)
        if row.signal == "expected":
            assert row.pslr_db == pytest.approx(row.flat_pslr_db, abs=1e-9)
            assert row.own_pslr_db == pytest.approx(row.flat_pslr_db, abs=1e-9)


def test_random_energies_raise_the_sidelobes_less_with_more_symbols(rows):
    def excess(n_symbols):
        chosen = [r for r in rows if r.signal == "realized" and r.n_symbols == n_symbols]
        return np.mean([10 ** (r.islr_db / 10) - 10 ** (r.flat_islr_db / 10) for r in chosen])

    assert 0 < 2 * excess(8) < excess(1)


def test_least_squares_filter_keeps_the_flat_sidelobes_and_pays_in_noise(scene):
    rows = sidelobes.sidelobe_study(
        scene, ["uniform"], [None], 1, order=16, n_symbols=(2,), receive_filters=("least-squares",)
    )
    for row in rows:
        if row.signal == "realized":
            assert row.pslr_db == pytest.approx(row.flat_pslr_db, abs=1e-9)
            assert row.noise_loss_db > 0.1


def test_summary_counts_a_draw_once(rows):
    made_up = [
        dataclasses.replace(rows[0], draw=draw, node=node, pslr_db=level, own_pslr_db=own, rcrb_m=1.0 + draw)
        for draw, node, level, own in [
            (0, 0, -10.0, -10.0),
            (1, 0, -4.0, -4.0),
            (1, 1, -6.0, -np.inf),
            (2, 0, -9.0, -9.0),
        ]
    ]
    (summary,) = sidelobes.summarize_sidelobes(made_up)
    draws = np.array([-10.0, -5.0, -9.0])
    low, high = stats.t.interval(0.95, 2, loc=draws.mean(), scale=stats.sem(draws))
    assert summary["draws"] == 3
    assert summary["pslr_db"] == pytest.approx(-8.0)
    assert summary["pslr_low_db"] == pytest.approx(low)
    assert summary["pslr_high_db"] == pytest.approx(high)
    assert summary["worst_pslr_db"] == pytest.approx((-10 - 4 - 9) / 3)
    assert summary["without_sidelobe"] == 0.25
    assert summary["rcrb_m"] == pytest.approx(np.sqrt((1 + 4 + 9) / 3))
    assert summary["pslr_loss_db"] == pytest.approx(-8.0 - rows[0].flat_pslr_db)


def test_one_draw_has_no_interval(rows):
    (summary,) = sidelobes.summarize_sidelobes([row for row in rows if row.draw == 0 and row.signal == "expected"])
    assert np.isnan(summary["pslr_low_db"])
    assert np.isnan(summary["islr_high_db"])


def test_crb_design_has_higher_sidelobes_than_equal_power(scene):
    result = design("p2", scene, 10.0)
    rows = [r for r in sidelobes.sidelobe_study(scene, ["p2"], [10.0], 1) if r.signal == "expected"]
    assert all(row.pslr_db > row.flat_pslr_db + 1 for row in rows)
    assert rows[0].rcrb_m == pytest.approx(result.rcrb_m, rel=1e-9)
    assert rows[0].rcrb_m == pytest.approx(np.sqrt(np.trace(crb(scene, result.covariances))), rel=1e-9)


def test_rows_are_written_as_csv(rows, tmp_path):
    sidelobes.save_sidelobe_rows(rows, tmp_path / "rows.csv")
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert lines[0].startswith("design,sinr_db,draw,node,target")
    assert len(lines) == len(rows) + 1


def test_pictures_are_written(scene, rows, tmp_path):
    result = design("uniform", scene, None)
    summary = sidelobes.summarize_sidelobes(
        [dataclasses.replace(row, sinr_db=level) for row in rows for level in (10.0, 20.0)]
    )
    surface = ambiguity_surface(scene, result.covariances, step_m=4.0)
    prediction = interval_errors(scene, result.covariances, step_m=4.0)
    snr_db = np.array([-10.0, 0.0])
    paths = [
        *sidelobes.plot_range_profiles([result], tmp_path / "profiles"),
        *sidelobes.plot_sidelobe_ratios(summary, tmp_path / "ratios"),
        *sidelobes.plot_ambiguity(scene, surface, tmp_path / "ambiguity"),
        *sidelobes.plot_threshold(
            {"uniform": prediction}, snr_db, tmp_path / "threshold", tx_power=scene.tx_power,
            barankin={"uniform": np.ones(2)}, simulated={"uniform": [(0.0, 1.0)]},
        ),
    ]  # fmt: skip
    assert len(paths) == 12
    assert all(path.stat().st_size > 1000 for path in paths)


def test_wrong_input_is_named(scene):
    with pytest.raises(ValueError, match="n_draws = 0"):
        next(sidelobes.sidelobe_study(scene, ["uniform"], [None], 0))
    with pytest.raises(ValueError, match="order = None"):
        next(sidelobes.sidelobe_study(scene, ["uniform"], [None], 1, n_symbols=(4,)))
