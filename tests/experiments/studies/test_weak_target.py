"""Two targets of unequal strength: what is recorded, and how shares and verdicts follow from it."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from disac.designs import design
from disac.estimators import Localizer, sufficient_statistics
from disac.experiments.runs.tables import read_csv
from disac.experiments.statistics.draws import PointDraws
from disac.experiments.studies.weak_target import judge_weak_target, plot_weak_target, weak_target_rows
from disac.experiments.studies.weak_target_trial import (
    WeakTargetCase,
    WeakTargetSweep,
    two_peaks,
    weakened,
)
from disac.experiments.trials.keys import TrialKey
from disac.simulator import Scenario, synthesize


@pytest.fixture(scope="module")
def scene():
    return Scenario.preset(
        "fig7",
        nodes=[[-40.0, -12.0], [35.0, -20.0]],
        targets=[[0.0, 0.0], [3.0, 25.0]],
        n_tx=2,
        n_rx=2,
        n_symbols=4,
        n_subcarriers=16,
        noise_sense=1e-6,
    )


@pytest.fixture(scope="module")
def sweep(scene):
    sent = design("uniform", scene, None)
    return WeakTargetSweep(scene, (WeakTargetCase("uniform", sent.comm_precoders, sent.radar_precoders),), (0.0, 20.0))


def test_weakened_sets_the_ratio_of_mean_powers(scene):
    power = np.mean(np.abs(weakened(scene, 17.0).amplitudes) ** 2, axis=(0, 1))
    assert 10 * np.log10(power[0] / power[1]) == pytest.approx(17.0)
    np.testing.assert_array_equal(weakened(scene, 17.0).amplitudes[:, :, 0], scene.amplitudes[:, :, 0])
    assert not np.any(weakened(scene, np.inf).amplitudes[:, :, 1])


def test_records_at_high_snr(sweep):
    points = sweep.points()
    assert points == [{"design": "uniform", "weaker_db": 0.0}, {"design": "uniform", "weaker_db": 20.0}]
    context = sweep.prepare(points[1])
    (record,) = sweep.run(context, [TrialKey(0, 1, 0)])
    assert record["located"] is True
    bound = context.transmission.expected_crb()
    assert record["weak_sq_error_m2"] < 25 * (bound[1, 1] + bound[3, 3])
    assert record["strong_sq_error_m2"] < 25 * (bound[0, 0] + bound[2, 2])
    assert record["gain"] > 100


def test_without_the_weak_target_the_gain_is_noise(sweep):
    absent = WeakTargetSweep(sweep.scenario, sweep.cases)
    (point,) = absent.points()
    records = absent.run(absent.prepare(point), [TrialKey(0, 1, t) for t in range(3)])
    assert all(set(record) == {"gain", "located_in_one_look"} and 0 < record["gain"] < 60 for record in records)


def test_the_second_peak_is_the_highest_apart_from_the_first(scene):
    one = scene.replace(targets=scene.targets[:1], amplitudes=scene.amplitudes[:, :, :1])
    localizer = Localizer(one)
    surface = -np.ones(len(localizer.grid.points), np.float32)
    rows, columns = localizer.grid.shape
    for (row, column), value in {(2, 2): 9.0, (2, 4): 8.0, (rows - 3, columns - 3): 7.0}.items():
        surface[row * columns + column] = value
    points = localizer.grid.points
    expected = points[[2 * columns + 2, (rows - 3) * columns + columns - 3]]
    np.testing.assert_array_equal(two_peaks(localizer, surface, 3 * localizer.grid.step_m), expected)
    np.testing.assert_array_equal(two_peaks(localizer, surface, 1e6), expected[:1])


def test_surface_is_the_exact_criterion(scene):
    sent = design("uniform", scene, None)
    rng = np.random.default_rng(2)
    one = scene.replace(targets=scene.targets[:1], amplitudes=scene.amplitudes[:, :, :1], noise_sense=0.1)
    X = (rng.standard_normal((2, 2, 16, 4)) + 1j * rng.standard_normal((2, 2, 16, 4))) * np.sqrt(
        np.trace(sent.covariances[0]).real
    )
    statistics = sufficient_statistics(X, synthesize(one, X, rng=rng))
    localizer = Localizer(one)
    surface = localizer.surface(statistics).astype(float)
    chosen = np.argsort(-surface)[:40]
    exact = np.array([localizer.criterion(statistics, localizer.grid.points[i]) for i in chosen])
    np.testing.assert_allclose(surface[chosen] / surface[chosen[0]], exact / exact[0], rtol=1e-3)


def made_up(fields, **columns):
    size = len(columns["gain"])
    return PointDraws(fields, {"trial": np.arange(size), **{k: np.array(v) for k, v in columns.items()}})


def test_detection_counts_trials_above_the_quantile_that_are_located():
    gains = np.arange(100.0)
    absent = [made_up({"design": "p2"}, gain=gains, located_in_one_look=[True] * 30 + [False] * 70)]
    point = made_up(
        {"design": "p2", "weaker_db": 10.0},
        gain=[200.0] * 10 + [0.0] * 10,
        located=[True] * 5 + [False] * 5 + [True] * 10,
        located_in_one_look=[True] * 4 + [False] * 16,
        weak_sq_error_m2=np.linspace(1, 2, 20),
        strong_sq_error_m2=np.ones(20),
    )
    bound = np.diag([1.0, 4.0, 2.0, 5.0])
    (row,) = weak_target_rows([point], absent, {("p2", 10.0): bound}, seed=1)
    assert row["detection_threshold"] == pytest.approx(np.quantile(gains, 0.95))
    assert (row["detected"], row["located"], row["one_look"]) == (0.25, 0.75, 0.2)
    assert row["one_look_false"] == 0.3
    assert row["detected_low"] < 0.25 < row["detected_high"]
    assert (row["rcrb_m"], row["strong_rcrb_m"]) == (3.0, pytest.approx(np.sqrt(3.0)))
    assert row["rmse_low_m"] < row["rmse_m"] < row["rmse_high_m"]


def table(shares, place=(0.0, 10.0)):
    rows = []
    for name, levels in shares.items():
        for level, share in levels.items():
            row = {
                "weak_x_m": place[0],
                "weak_y_m": place[1],
                "design": name,
                "weaker_db": level,
                "rcrb_m": 1.0,
                "rmse_m": 2.0,
                "rmse_low_m": 1.5,
                "rmse_high_m": 3.0,
            }
            for key in ("detected", "one_look"):
                row |= {key: share, f"{key}_low": max(share - 0.1, 0), f"{key}_high": min(share + 0.1, 1)}
            rows.append(row)
    return rows


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(("p2", "verdict"), [(0.2, "confirmed"), (0.8, "undecided"), (0.99, "refuted")])
def test_verdict_compares_intervals(tmp_path, p2, verdict):
    rows = table({"p2": {0.0: p2}, "p3": {0.0: 0.75}})
    write(tmp_path / "summary.csv", rows)
    assert {finding.verdict for finding in judge_weak_target(read_csv(tmp_path / "summary.csv"))} == {verdict}
    assert len(plot_weak_target(rows, tmp_path / "weak")) == 3


def test_verdict_takes_all_places(tmp_path):
    there = table({"p2": {20.0: 0.99}, "p3": {20.0: 0.2}, "uniform": {20.0: 0.5}}, (20.0, -10.0))
    write(tmp_path / "summary.csv", table({"p2": {20.0: 0.2}, "p3": {20.0: 0.99}}) + there)
    (finding,) = judge_weak_target(read_csv(tmp_path / "summary.csv"))
    assert finding.verdict == "only under conditions"
    assert "(20, -10) m, 20 dB below the neighbour: p2: 0.99; p3: 0.20; uniform: 0.50" in finding.effect
