"""Common random numbers: designs, estimators, modulations and thresholds of a run see the same trials."""

from dataclasses import replace

import numpy as np
import pytest

from disac.designs import design
from disac.experiments.campaign.runner import run_campaign
from disac.experiments.studies.link import LinkCase, LinkExperiment
from disac.experiments.trials.experiment import trial_key
from disac.experiments.trials.keys import COMPARED, draw_key
from disac.simulator import Scenario

SCENE = Scenario.preset(
    "fig4", nodes=[[-40.0, -12.0], [35.0, -20.0]], targets=[[1.0, 2.0]], n_tx=2, n_rx=2, n_symbols=4, n_subcarriers=8
)


@pytest.fixture(scope="module")
def experiment():
    cases = []
    for name in ("uniform", "p2"):
        sent = design(name, SCENE, 0.0)
        cases.append(LinkCase((("design", name),), SCENE, sent.comm_precoders, sent.radar_precoders))
    return LinkExperiment(tuple(cases), (0.0, 10.0), ("qpsk", "64qam"), ("ml", "tof-nuisance"))


def _seen(experiment, point, trial=3):
    """Observation of a trial with its noise, sensing and users' [standard deviations]."""
    context = experiment.prepare(point)
    key = trial_key(experiment, point, 5, trial)
    outcome = context.outcome(key)
    seen, sent, s = outcome.observation, context.transmission, context.scenario
    noise = (seen.Y - sent.echoes(seen)) / np.sqrt(s.noise_sense_per_subcarrier)
    users = (outcome.users_samples - sent.users_samples(seen)) / np.sqrt(s.noise_comm_per_subcarrier)
    return seen, noise, users


def test_what_is_compared_sees_the_same_trial(experiment):
    points = [point for point in experiment.points() if point["snr_db"] == 0.0]
    assert len(points) == 4
    first, noise, users = _seen(experiment, points[0])
    for point in points[1:]:
        seen, again, of_users = _seen(experiment, point)
        assert seen.phases.tobytes() == first.phases.tobytes()
        n = min(len(seen.streams.radar), len(first.streams.radar))
        assert seen.streams.radar[:n].tobytes() == first.streams.radar[:n].tobytes()
        n = min(seen.streams.bits.size, first.streams.bits.size)
        np.testing.assert_array_equal(seen.streams.bits.ravel()[:n], first.streams.bits.ravel()[:n])
        np.testing.assert_allclose(again, noise, atol=1e-9)
        np.testing.assert_allclose(of_users, users, atol=1e-9)
    same_modulation = [p for p in points if p["modulation"] == points[0]["modulation"]]
    a, b = (_seen(experiment, point)[0].streams.bits for point in same_modulation)
    assert a.tobytes() == b.tobytes()


def test_other_trials_and_other_snrs_draw_anew(experiment):
    low, high = (p for p in experiment.points() if p["design"] == "p2" and p["modulation"] == "qpsk")
    first, noise, _ = _seen(experiment, low)
    for other in (_seen(experiment, high), _seen(experiment, low, trial=4)):
        assert not np.array_equal(other[0].phases, first.phases)
        assert np.abs(other[1] - noise).max() > 0.1


def test_fields_that_are_compared_enter_no_stream_and_all_others_do():
    point = {"design": "p1", "snr_db": 0.0, "bandwidth_hz": 1e7, "phases": "known", "modulation": "qpsk"}
    for name in COMPARED:
        assert draw_key({**point, name: "other"}) == draw_key(point)
    for name in ("snr_db", "bandwidth_hz", "phases"):
        assert draw_key({**point, name: 7}) != draw_key(point)
    assert draw_key({**point, "phases": 7}, ("phases",)) == draw_key(point, ("phases",))


def test_more_designs_points_and_estimators_change_no_record(experiment, tmp_path):
    alone = replace(experiment, cases=experiment.cases[1:], snr_db=(10.0,), modulations=("qpsk",), estimators=("ml",))
    (point,) = alone.points()
    runs = {
        name: run_campaign(which, tmp_path / name, seed=2, trials=4, workers=workers)
        for name, which, workers in (("alone", alone, 1), ("all", experiment, 1), ("two workers", experiment, 2))
    }
    place = experiment.points().index(point)
    wanted = runs["alone"].records(0)
    for record, more in zip(wanted, runs["all"].records(place), strict=True):
        assert record == {name: more[name] for name in record}
        assert more["tof-nuisance: sq_error_m2"] > 0
        assert more["tof-nuisance: crb_m2"] > more["crb_m2"]
    for index in range(len(experiment.points())):
        assert runs["all"].records(index) == runs["two workers"].records(index)


def test_pilots_have_the_same_noise_for_designs_with_more_radar_streams(experiment):
    """With no radar power the streams do not matter: as many as one likes give the same channel estimate."""
    case = experiment.cases[0]
    few, many = (
        replace(case, radar_precoders=np.zeros((*case.radar_precoders.shape[:3], q), dtype=complex)) for q in (1, 4)
    )
    gains = []
    for one in (few, many):
        here = replace(experiment, cases=(one,), n_pilots=2)
        (point, *_) = here.points()
        gains.append(here.prepare(point).outcome(trial_key(here, point, 5, 0)).users_gains["estimated"])
    np.testing.assert_array_equal(gains[0], gains[1])
