"""Parts of the evaluation beside the paper's figures: waveforms, estimators, channels; small and fast."""

from dataclasses import replace

import numpy as np
import pytest

from disac.designs import Infeasible, design
from disac.designs.precoders import achieved_sinr
from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.statistics.draws import PointDraws
from disac.experiments.statistics.intervals import Interval
from disac.experiments.studies import channels as paper_channels
from disac.experiments.studies import estimators as paper_estimators
from disac.experiments.studies import waveform as paper_verdict
from disac.experiments.studies.waveform import FOUND, DesignTrials, Transmissions, VerdictSettings, within
from disac.experiments.studies.waveform_trial import SceneThresholds, WaveformSweep, feasible_draws
from disac.experiments.theory.ber import realized_sinr
from disac.experiments.trials.experiment import configuration, rebuild
from disac.experiments.trials.keys import TrialKey

SMALL = {"n_nodes": 2, "n_antennas": 3, "n_subcarriers": 4, "n_targets": 1, "n_users": 1}


def _trial(**fields):
    point = {
        **{"design": "p2", "sinr_db": 10.0, "phases": "random", "modulation": "qpsk", "estimator": "ml", "draw": 0},
        **SMALL,
        **fields,
    }
    sweep = WaveformSweep((tuple(point.items()),), draw_seed=5)
    return sweep.prepare(sweep.points()[0])


@pytest.fixture(scope="module")
def joint():
    return _trial(design="p1", n_users=2, sinr_db=3.0)


def test_the_design_is_that_of_the_draw():
    scenario = PaperScenario(**SMALL).draw(TrialKey(5, 0, 3))
    np.testing.assert_array_equal(_trial(draw=3).link.scenario.channels, scenario.channels)


def test_known_phases_are_those_of_the_design(joint):
    key = TrialKey(5, 1, 2)
    sent = joint.link.transmission
    known = replace(joint, link=replace(joint.link, transmission=replace(sent, known_phases=True)))
    assert not known.link.transmission.draw_phases(key).any()
    assert sent.draw_phases(key).std() > 0
    record = known.run(key)
    assert record["expected_m2"] == pytest.approx(known.link.expected_crb_m2("hybrid").sum(), rel=1e-9)
    assert joint.run(key)["expected_m2"] != pytest.approx(record["expected_m2"], rel=1e-3)


def test_phases_do_not_matter_where_nodes_are_uncorrelated():
    trial = _trial()
    expected = {trial.run(TrialKey(5, 1, t))["expected_m2"] for t in range(2)}
    assert expected == {float(trial.link.expected_crb_m2("hybrid").sum())}
    assert trial.run(TrialKey(5, 1, 0))["outages_u0"] == 0


def test_stated_powers_are_those_of_eq_7():
    trial = _trial(n_users=2, design="p1-noncoherent", sinr_db=3.0)
    useful, disturbance = trial.stated_powers
    phases, sent = np.random.default_rng(0).uniform(0, 2 * np.pi, (4000, 2)), trial.link.transmission
    gains = np.einsum("puul->pul", trial.link.gains(phases)[0])
    np.testing.assert_allclose(useful, np.mean(np.abs(gains) ** 2, axis=0).sum(axis=-1), rtol=0.05)
    one = achieved_sinr(trial.link.scenario, sent.comm_precoders, sent.radar_precoders)
    assert np.all(useful / disturbance <= one.max(axis=1))
    assert np.all(useful / disturbance >= one.min(axis=1))


def test_measured_powers_and_outages_are_those_of_the_gains(joint):
    keys = [TrialKey(5, 9, t) for t in range(30)]
    records = [joint.run(key) for key in keys]
    gains = [joint.link.gains(joint.link.transmission.draw_phases(key)) for key in keys]
    noise = joint.link.scenario.noise_comm_per_subcarrier
    for u in range(2):
        useful = np.mean([np.sum(np.abs(comm[u, u]) ** 2) for comm, _ in gains])
        others = np.mean([np.sum(np.abs(comm[u, 1 - u]) ** 2) + np.sum(np.abs(radar[u]) ** 2) for comm, radar in gains])
        assert np.mean([r[f"useful_u{u}"] for r in records]) == pytest.approx(useful, rel=0.05)
        assert np.mean([r[f"disturbance_u{u}"] for r in records]) == pytest.approx(others + 4 * noise, rel=0.1)
        outages = [int(np.sum(realized_sinr(*g, noise)[u] < joint.sinr * (1 - 1e-4))) for g in gains]
        assert [r[f"outages_u{u}"] for r in records] == outages
    assert sum(r["outages_u0"] for r in records) > 0


def test_a_missed_search_is_told_from_a_gross_error_of_the_likelihood(joint, monkeypatch):
    key = TrialKey(5, 1, 0)
    assert not joint.run(key)["search_missed"]
    localizer = type(joint.link.localizers[0])
    honest = localizer.from_statistics

    def lost(self, statistics):
        positions = honest(self, statistics).positions + 20.0
        return replace(honest(self, statistics), positions=positions, criterion=self.criterion(statistics, positions))

    monkeypatch.setattr(localizer, "from_statistics", lost)
    record = joint.run(key)
    assert record["sq_error_m2"] == pytest.approx(800.0, rel=0.01)
    assert record["search_missed"]


def test_the_area_is_scaled_about_its_centre():
    area = _trial(area_side_m=30.0).link.scenario.area
    np.testing.assert_allclose(area, [[-18.0, 12.0], [-10.0, 20.0]])


def test_a_run_of_waveforms_is_rebuilt_from_its_file():
    sweep = WaveformSweep((tuple({"design": "p2", "draw": 1}.items()),), 3)
    assert rebuild(configuration(sweep), sweep.points()) == sweep


def test_draws_that_cannot_reach_the_threshold_are_passed_over():
    fields = tuple(SMALL.items())
    every = feasible_draws(SceneThresholds("x", fields, (0.0,)), 4, 0)
    some = feasible_draws(SceneThresholds("x", fields, (33.0,)), 2, 0)
    assert every == [0, 1, 2, 3]
    assert some != [0, 1]
    skipped = next(draw for draw in range(max(some)) if draw not in some)
    with pytest.raises(Infeasible):
        design("p2", PaperScenario(**SMALL).draw(TrialKey(0, 0, skipped)), 33.0)
    for draw in some:
        assert design("p2", PaperScenario(**SMALL).draw(TrialKey(0, 0, draw)), 33.0).certificate.sinr_shortfall < 1e-6


def _pooled(design, phases, squares, missed=False):
    points = []
    for draw, square in enumerate(squares):
        n = 40
        columns = {
            "trial": np.arange(n),
            "sq_error_m2": np.full(n, square),
            "crb_m2": np.full(n, square),
            "search_missed": np.full(n, float(missed and draw == 0)),
        }
        points.append(PointDraws({"draw": draw, **SMALL}, columns))
    return DesignTrials("fig5", design, phases, 10.0, tuple(points))


def test_designs_are_compared_draw_by_draw():
    first, second = _pooled("p1", "known", [1.0, 4.0, 9.0]), _pooled("p2", "random", [4.0, 16.0, 36.0])
    sent = Transmissions((first, second))
    logs = sent.pairs(("p1", "known"), ("p2", "random"), "sq_error_m2")
    np.testing.assert_allclose(np.exp(logs), [[0.5, 0.5, 0.5]])
    finding = paper_verdict._order(sent, "claim", ("p1", "known"), ("p2", "random"))
    assert finding.verdict == "confirmed"
    assert paper_verdict._order(sent, "claim", ("p2", "random"), ("p1", "known")).verdict == "refuted"


def test_missed_trials_can_be_left_out():
    item = _pooled("p1", "known", [1.0, 4.0], missed=True)
    np.testing.assert_array_equal(item.by_draw(FOUND), [np.nan, 4.0])


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.97, 1.02, "confirmed"), (1.06, 1.2, "refuted"), (0.5, 0.9, "refuted"), (0.9, 1.1, "undecided")],
)
def test_attained_means_that_the_whole_interval_is_near_one(low, high, verdict):
    assert within(Interval(low, high, 0.95, "x"), 0.05) == verdict


def test_theory_that_too_few_intervals_hold_is_refuted():
    assert paper_verdict._covered(9, 10) == "confirmed"
    assert paper_verdict._covered(5, 10) == "refuted"


def test_channel_models_are_compared_by_whole_intervals():
    same = paper_channels._same
    assert same([(0.97, 1.03), (0.99, 1.0)], 0.95, 1.05) == "confirmed"
    assert same([(1.1, 1.3), (0.5, 0.9)], 0.95, 1.05) == "refuted"
    assert same([(1.1, 1.3), (0.99, 1.0)], 0.95, 1.05) == "only under conditions"
    assert same([(0.9, 1.1)], 0.95, 1.05) == "undecided"


def test_the_figures_ofdm_numbers_are_those_of_their_scenes():
    finding = paper_estimators.ofdm_finding()
    assert finding.verdict == "only under conditions"
    assert 2 * np.hypot(46.19, 19.13) == pytest.approx(100.0, abs=0.02)
    assert "fig8 at 100 MHz: longest echo 100 m = 34 samples" in finding.effect
    assert "fig8 at 1 MHz: longest echo 100 m = 1 samples (L = 16), 100%" in finding.effect


def test_scenes_are_named_with_their_thresholds():
    settings = VerdictSettings.chosen({"scenes": ("fig8-wide@5/10",), "n_antennas": 3})
    (scene,) = settings.sent_scenes()
    assert (scene.name, scene.thresholds_db) == ("fig8 at 100 MHz", (5.0, 10.0))
    assert dict(scene.fields)["n_antennas"] == 3
    for wrong in ("fig99@0", "fig5", "fig5@high"):
        with pytest.raises(ValueError, match="must be SCENE@T1/T2"):
            VerdictSettings.chosen({"scenes": (wrong,)}).sent_scenes()
