"""The threshold experiment: what a trial records, where curves cross, and what a folder decides."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from disac.designs import design
from disac.experiments.runs.tables import read_csv
from disac.experiments.studies.echo_trial import EchoTrial
from disac.experiments.studies.link import LinkCase, LinkTrial
from disac.experiments.studies.threshold import crossing_db, judge_thresholds
from disac.experiments.studies.threshold_sweep import ThresholdCase, ThresholdSweep
from disac.experiments.theory.interval_errors import interval_errors
from disac.experiments.trials.keys import TrialKey
from disac.simulator import Scenario


@pytest.fixture(scope="module")
def sent():
    scene = Scenario.preset("fig7", nodes=[[-40.0, -12.0], [35.0, -20.0]], n_tx=2, n_rx=2, n_symbols=4, n_subcarriers=8)
    return design("uniform", scene, None)


def test_a_trial_is_that_of_the_link(sent):
    """Same symbols, phases, noise and estimate as the link's trial of the same key."""
    key = TrialKey(3, 5, 2)
    trial = EchoTrial(sent.scenario, sent.comm_precoders, sent.radar_precoders)
    case = LinkCase((), sent.scenario, sent.comm_precoders, sent.radar_precoders)
    link = LinkTrial(case, sent.scenario, 4, "hybrid", "constant-modulus", 0, None)
    estimate = trial.localizer.from_statistics(trial.observe(key))
    record = link.run(key)
    error = np.sum((estimate.positions - sent.scenario.targets) ** 2)
    assert error == pytest.approx(record["sq_error_m2"], rel=1e-12)
    assert trial.bound_m2[0, 0] == pytest.approx(link.expected_crb_m2[0], rel=1e-12)


def test_known_phases_are_those_of_the_design(sent):
    """The link with its phases at zero; another configuration than the trial with unknown phases."""

    class Aligned(LinkTrial):
        def draw_phases(self, key):
            return np.zeros(self.scenario.n_nodes)

    key = TrialKey(3, 5, 2)
    cases = [
        ThresholdCase("p1", sent.comm_precoders, sent.radar_precoders, (0.0,), known_phases=known)
        for known in (True, False)
    ]
    known, unknown = (ThresholdSweep(sent.scenario, (case,)) for case in cases)
    trials = [sweep.prepare({"design": "p1", "snr_db": 0.0}) for sweep in (known, unknown)]
    case = LinkCase((), trials[0].scenario, sent.comm_precoders, sent.radar_precoders)
    record = Aligned(case, trials[0].scenario, 4, "hybrid", "constant-modulus", 0, None).run(key)
    errors = [
        np.sum((trial.localizer.from_statistics(trial.observe(key)).positions - sent.scenario.targets) ** 2)
        for trial in trials
    ]
    assert errors[0] == pytest.approx(record["sq_error_m2"], rel=1e-12)
    assert errors[1] != pytest.approx(record["sq_error_m2"], rel=1e-6)
    assert known.config() != unknown.config()


def test_records_and_points(sent):
    case = ThresholdCase("uniform", sent.comm_precoders, sent.radar_precoders, (-20.0, 30.0))
    sweep = ThresholdSweep(sent.scenario, (case,))
    assert sweep.points() == [{"design": "uniform", "snr_db": -20.0}, {"design": "uniform", "snr_db": 30.0}]
    context = sweep.prepare(sweep.points()[1])
    assert context.scenario.noise_sense == pytest.approx(sent.scenario.tx_power * 1e-3)
    (record,) = sweep.run(context, [TrialKey(0, 1, 0)])
    assert record["sq_error_m2"] == pytest.approx(record["error_x_m"] ** 2 + record["error_y_m"] ** 2)
    assert record["sq_error_m2"] < 25 * np.trace(context.bound_m2)
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
