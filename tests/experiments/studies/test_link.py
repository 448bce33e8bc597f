"""The link experiment: purity of a trial, one X for bits and echoes, and evidence that bounds and theory are met."""

import numpy as np
import pytest
from acceptance import family_wise_level
from scipy.stats import chi2

from disac.designs import design
from disac.experiments.statistics.intervals import clustered_error_rate_interval
from disac.experiments.statistics.summary import count_gross_errors
from disac.experiments.studies.link import LinkCase, LinkExperiment, at_snr
from disac.experiments.trials.experiment import trial_key
from disac.experiments.trials.keys import TrialKey, point_key
from disac.simulator import Scenario

SCENE = Scenario.preset("fig4", targets=[[0.0, 0.0]], n_subcarriers=8)


@pytest.fixture(scope="module")
def case():
    result = design("p2", SCENE, 25.0)
    return LinkCase(
        fields=(("design", "p2"),),
        scenario=SCENE,
        comm_precoders=result.comm_precoders,
        radar_precoders=result.radar_precoders,
    )


def _joint_case(case):
    """Every node sends on every subcarrier, so that what users see depends on the inter-node phases."""
    rng = np.random.default_rng(5)
    n, u, n_sub, m = case.comm_precoders.shape
    comm = 0.03 * (rng.standard_normal((n, u, n_sub, m)) + 1j * rng.standard_normal((n, u, n_sub, m)))
    radar = 0.01 * (rng.standard_normal((n, n_sub, m, 2)) + 1j * rng.standard_normal((n, n_sub, m, 2)))
    return LinkCase(
        fields=(("design", "joint"),),
        scenario=case.scenario,
        comm_precoders=comm,
        radar_precoders=radar,
    )


def _run(experiment, trials, seed=0, point=0):
    chosen = experiment.points()[point]
    context = experiment.prepare(chosen)
    return experiment.run(context, [trial_key(experiment, chosen, seed, t) for t in range(trials)])


def test_points_are_the_product_of_what_is_swept(case):
    experiment = LinkExperiment(
        cases=(case,), snr_db=(0.0, 10.0), modulations=("qpsk", "16qam"), estimators=("ml", "tof-genie")
    )
    points = experiment.points()
    assert len(points) == 4
    assert len({point_key(point) for point in points}) == 4
    assert {"design", "n_symbols", "modulation", "snr_db"} == set(points[0])


def test_a_record_depends_on_its_key_alone(case):
    experiment = LinkExperiment(cases=(case,), snr_db=(10.0,))
    together = _run(experiment, 5)
    point = experiment.points()[0]
    alone = experiment.run(experiment.prepare(point), [trial_key(experiment, point, 0, 3)])
    assert alone == [together[3]]
    assert _run(experiment, 5, seed=1)[0] != together[0]


@pytest.mark.parametrize("radar", ["constant-modulus", "gaussian"])
def test_high_snr_gives_no_bit_error_and_the_true_position(case, radar):
    for record in _run(LinkExperiment(cases=(case,), snr_db=(40.0,), radar=radar), 4):
        assert sum(record[f"bit_errors_known_u{u}"] for u in range(2)) == 0
        assert record["sq_error_m2"] < 1e-3
        assert record["converged"]


@pytest.mark.statistical(false_alarm=1e-12)
def test_measured_snr_follows_the_point(case):
    # the ratio of two single trials has a standard deviation of 10 %: their data carry different power to the target
    low, high = (
        np.mean([record["snr_sense"] for record in _run(LinkExperiment(cases=(case,), snr_db=(snr,)), 60)])
        for snr in (0.0, 20.0)
    )
    assert high / low == pytest.approx(100, rel=0.1)
    assert high / low != pytest.approx(100 * 10**0.1, rel=0.1)
    assert at_snr(SCENE, 13.0).tx_power / at_snr(SCENE, 13.0).noise_sense == pytest.approx(10**1.3)


def test_phases_do_not_matter_when_one_node_serves_a_subcarrier_and_do_otherwise(case):
    fixed = _run(LinkExperiment(cases=(case,), snr_db=(5.0,)), 4)
    assert len({record["ber_theory"] for record in fixed}) == 1
    varying = _run(LinkExperiment(cases=(_joint_case(case),), snr_db=(5.0,)), 4)
    assert len({record["ber_theory"] for record in varying}) == 4


def _bit_error_misses(case, modulation, snr_db, radar, seed, errors_wanted, level):
    """Whether exact conditional theory lies outside the interval of the simulated BER."""
    experiment = LinkExperiment(cases=(case,), snr_db=(snr_db,), modulations=(modulation,), radar=radar)
    point = experiment.points()[0]
    context = experiment.prepare(point)
    errors, bits, theory = [], [], []
    while sum(theory) < errors_wanted:
        record = context.run(trial_key(experiment, point, seed, len(errors)))
        errors.append(sum(record[f"bit_errors_known_u{u}"] for u in range(SCENE.n_users)))
        bits.append(record["bits"])
        theory.append(record["ber_theory"] * bits[-1])
    interval = clustered_error_rate_interval(errors, bits, level)
    return sum(theory) / sum(bits) not in interval


SNR_OF = {"qpsk": -12.0, "16qam": 0.0, "64qam": 5.0, "256qam": 10.0}


@pytest.mark.statistical(false_alarm=1e-7)
@pytest.mark.parametrize("modulation", SNR_OF)
def test_bit_errors_agree_with_exact_theory(case, modulation):
    # family-wise 1 - 1e-8 over the four modulations; at least 400 expected errors each
    level = family_wise_level(1 - 1e-8, 4)
    assert not _bit_error_misses(case, modulation, SNR_OF[modulation], "constant-modulus", 11, 400, level)


def test_the_bit_error_test_can_fail(case):
    level = family_wise_level(1 - 1e-8, 4)
    experiment = LinkExperiment(cases=(case,), snr_db=(0.0,), modulations=("16qam",))
    context = experiment.prepare(experiment.points()[0])
    records = [context.run(TrialKey(11, 1, t)) for t in range(40)]
    errors = [sum(r[f"bit_errors_known_u{u}"] for u in range(2)) for r in records]
    interval = clustered_error_rate_interval(errors, [r["bits"] for r in records], level)
    louder = LinkExperiment(cases=(case,), snr_db=(-3.0,), modulations=("16qam",))
    assert louder.prepare(louder.points()[0]).fixed_ber_theory["ber_theory"] not in interval


@pytest.mark.statistical(false_alarm=1e-7)
def test_exact_theory_holds_for_random_phases_of_a_joint_design(case):
    assert not _bit_error_misses(_joint_case(case), "qpsk", 5.0, "constant-modulus", 3, 400, 1 - 1e-8)


@pytest.mark.statistical(false_alarm=1e-20)
def test_estimated_gains_cost_errors_but_not_at_high_snr(case):
    low, high = (
        _run(LinkExperiment(cases=(case,), snr_db=(snr,), modulations=("16qam",), n_pilots=2), 20)
        for snr in (5.0, 45.0)
    )

    def count(records, kind):
        return sum(record[f"bit_errors_{kind}_u{u}"] for record in records for u in range(2))

    assert count(low, "estimated") > count(low, "known")
    assert count(high, "estimated") <= 5


@pytest.mark.statistical(false_alarm=6e-9)
@pytest.mark.parametrize("name", ["ml", "tof-genie", "aoa-genie", "tof-nuisance", "aoa-nuisance"])
def test_localization_reaches_its_own_bound_at_high_snr(case, name):
    records = _run(LinkExperiment(cases=(case,), snr_db=(30.0,), estimators=(name,)), 60)
    assert count_gross_errors(records, 1) <= 1  # one has a probability of 6e-6, two of 2e-11
    total, degrees = sum(record["mahalanobis2"] for record in records), 2 * len(records)
    low, high = chi2.ppf(5e-10, degrees), chi2.isf(5e-10, degrees)
    assert low < total < high
    assert not low < 4 * total < high
    assert not low < total / 4 < high
