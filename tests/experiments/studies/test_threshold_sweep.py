"""The threshold experiment: what a trial records, where curves cross, and what a folder decides."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from disac.designs import design
from disac.experiments.runs.tables import read_csv
from disac.experiments.studies.link import LinkTrial
from disac.experiments.studies.threshold import crossing_db, judge_thresholds
from disac.experiments.studies.threshold_sweep import ThresholdCase, ThresholdSweep
from disac.experiments.theory.interval_errors import interval_errors
from disac.experiments.trials.keys import TrialKey
from disac.experiments.trials.observation import Transmission
from disac.simulator import Scenario


@pytest.fixture(scope="module")
def sent():
    scene = Scenario.preset("fig7", nodes=[[-40.0, -12.0], [35.0, -20.0]], n_tx=2, n_rx=2, n_symbols=4, n_subcarriers=8)
    return design("uniform", scene, None)


@pytest.mark.parametrize("known", [False, True])
def test_a_trial_is_that_of_the_link(sent, known):
    """Same symbols, phases, noise and estimate as the link's trial of the same key, phases known or not."""
    key = TrialKey(3, 5, 2)
    case = ThresholdCase("p1", sent.comm_precoders, sent.radar_precoders, (0.0,), known_phases=known)
    trial = ThresholdSweep(sent.scenario, (case,)).prepare({"design": "p1", "snr_db": 0.0})
    (record,) = ThresholdSweep(sent.scenario, (case,)).run(trial, [key])
    precoders = sent.comm_precoders, sent.radar_precoders
    errors = [
        LinkTrial(Transmission(trial.transmission.scenario, *precoders, known_phases=k)).run(key)["sq_error_m2"]
        for k in (known, not known)
    ]
    assert record["sq_error_m2"] == pytest.approx(errors[0], rel=1e-12)
    assert record["sq_error_m2"] != pytest.approx(errors[1], rel=1e-6)


def test_what_is_known_is_part_of_the_configuration(sent):
    known, unknown = (
        ThresholdSweep(sent.scenario, (ThresholdCase("p1", sent.comm_precoders, sent.radar_precoders, (0.0,), k),))
        for k in (True, False)
    )
    assert known.config() != unknown.config()


def test_records_and_points(sent):
    case = ThresholdCase("uniform", sent.comm_precoders, sent.radar_precoders, (-20.0, 30.0))
    sweep = ThresholdSweep(sent.scenario, (case,))
    assert sweep.points() == [{"design": "uniform", "snr_db": -20.0}, {"design": "uniform", "snr_db": 30.0}]
    context = sweep.prepare(sweep.points()[1])
    assert context.transmission.scenario.noise_sense == pytest.approx(sent.scenario.tx_power * 1e-3)
    (record,) = sweep.run(context, [TrialKey(0, 1, 0)])
    assert record["sq_error_m2"] == pytest.approx(record["error_x_m"] ** 2 + record["error_y_m"] ** 2)
    assert record["sq_error_m2"] < 25 * np.trace(context.transmission.expected_crb())
    assert record["search_failed"] is False
    with pytest.raises(ValueError, match="has 2"):
        ThresholdSweep(sent.scenario.replace(targets=[[0.0, 0.0], [1.0, 1.0]], amplitudes=np.ones((2, 2, 2))), ())


def test_crossing_is_linear_in_the_logarithm():
    ratio = [8.0, 4.0, 1.0, 1.0]
    assert crossing_db([-3.0, -2.0, -1.0, 0.0], ratio, 2.0) == pytest.approx(-1.5)
    assert np.isnan(crossing_db([-3.0, -2.0], [8.0, 4.0], 2.0))
    # the last crossing counts, whatever noise did before
    assert crossing_db([0.0, 1.0, 2.0, 3.0], [4.0, 1.0, 4.0, 1.0], 2.0) == pytest.approx(2.5)


def test_outliers_are_estimates_in_other_basins(sent):
    intervals = interval_errors(sent.scenario, sent.covariances, step_m=4.0)
    peaks = np.array([peak.position for peak in intervals.surface.sidelobes])
    far = peaks[np.hypot(*(peaks - sent.scenario.targets[0]).T) > 12.0][:10]
    errors = np.concatenate([np.zeros((1, 2)), [[0.5, -0.5]], far - sent.scenario.targets[0]])
    outlier = intervals.is_outlier(errors)
    assert not outlier[:2].any()
    assert len(far) == 10
    assert outlier[2:].all()


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ((0.4, -0.3), "confirmed"),
        ((0.4, -1.3), "only under conditions"),
        ((1.4, 2.0), "refuted"),
        ((0.1, "nan"), "undecided"),
    ],
)
def test_verdict_follows_the_differences(tmp_path, differences, verdict):
    fields = ["design", "predicted_db", "simulated_db", "simulated_low_db", "simulated_high_db"]
    with (tmp_path / "thresholds.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*fields, "difference_db", "peak_sidelobe_db"])
        for name, difference in zip(("p2", "p3"), differences, strict=True):
            writer.writerow([name, -50, -51, -51.5, -50.5, difference, -3])
    (finding,) = judge_thresholds(read_csv(tmp_path / "thresholds.csv"))
    assert finding.verdict == verdict
    assert "p2: predicted -50.00 dB, simulated -51.00 [-51.50, -50.50] dB" in finding.effect
