"""The two-step estimator: several targets, signals that nodes share, links without a signal, images, refusals."""

import numpy as np
import pytest
from scipy.stats import chi2
from threadpoolctl import threadpool_limits

from disac.designs import crb, design
from disac.estimators import NoEstimate, estimator
from disac.estimators.two_step import TwoStep
from disac.experiments.statistics.metrics import position_errors
from disac.experiments.trials.keys import TrialKey
from disac.experiments.trials.observation import Transmission
from disac.simulator import Scenario, synthesize
from disac.testing.estimators import _symbols


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def sent():
    """P.2 puts power on a few tones of each node, so that the lobe beside the right one is nearly as high."""
    scenario = Scenario.preset("fig4", targets=[[1.3, 2.1]])
    result = design("p2", scenario, 20.0)
    return Transmission(scenario, result.comm_precoders, result.radar_precoders)


@pytest.mark.statistical(false_alarm=3e-9)
def test_errors_have_the_claimed_covariance_which_is_near_the_bound(sent):
    s, localize = sent.scenario, estimator("two-step")(sent.scenario)
    normalized, claimed, squared = [], [], []
    for trial in range(60):
        seen = sent.observe(TrialKey(1, 1, trial))
        found = localize(seen.X, seen.Y)
        error = (found.positions - s.targets).T.ravel()
        normalized.append(error @ np.linalg.solve(found.covariance, error))
        claimed.append(np.trace(found.covariance))
        squared.append(error @ error)
        assert found.converged
        assert found.used == 16
    low, high = chi2.ppf(5e-10, 120), chi2.isf(5e-10, 120)
    assert low < sum(normalized) < high
    assert not low < 4 * sum(normalized) < high
    # RMSE over claimed: at least one degree of freedom a trial
    ratio = np.mean(squared) / np.mean(claimed)
    assert chi2.ppf(5e-10, 60) / 60 < ratio < chi2.isf(5e-10, 60) / 60
    assert np.mean(claimed) == pytest.approx(np.trace(sent.expected_crb()), rel=0.05)


@pytest.mark.parametrize("n_targets", [2, 3])
def test_noise_free_data_of_several_targets_give_the_truth(n_targets):
    scenario = Scenario.preset("fig4", targets=[[1.3, 2.1], [-4.0, 13.0], [14.0, -6.0]][:n_targets], bandwidth_hz=40e6)
    X = _symbols(scenario, np.random.default_rng(2))
    found = TwoStep(scenario)(X, synthesize(scenario, X))
    assert np.abs(position_errors(found.positions, scenario.targets)).max() < 1e-6
    assert found.covariance.shape == (2 * n_targets, 2 * n_targets)


def test_many_symbols_are_compressed_without_loss():
    scenario = Scenario.preset("fig4", targets=[[1.3, 2.1]], n_tx=2, n_symbols=40)
    rng = np.random.default_rng(2)
    X = _symbols(scenario, rng)
    found = TwoStep(scenario)(X, synthesize(scenario, X, rng=rng))
    np.testing.assert_allclose(
        np.trace(found.covariance),
        np.trace(crb(scenario, np.einsum("nilt,mjlt->lnimj", X, X.conj()).reshape(16, 8, 8) / 40, "hybrid", 40)),
        rtol=0.2,
    )


def test_links_without_a_signal_are_left_out():
    scenario = Scenario.preset("fig4", targets=[[1.3, 2.1]])
    amplitudes = scenario.amplitudes.copy()
    amplitudes[2, 1] = amplitudes[0, 3] = 0
    rng = np.random.default_rng(3)
    X = _symbols(scenario, rng)
    X[3] = 0
    blocked = scenario.replace(amplitudes=amplitudes)
    found = TwoStep(scenario)(X, synthesize(blocked, X, rng=rng))
    assert found.used == 11
    error = (found.positions - scenario.targets).ravel()
    assert error @ np.linalg.solve(found.covariance, error) < chi2.isf(1e-9, 2)


def test_paths_beyond_half_a_period_and_images_behind_an_array_are_decided_by_the_other_links():
    """Paths of 100 m at a period of 120 m and less; a node in the midst has the target behind its array."""
    scenario = Scenario.preset("fig4", targets=[[-12.0, 9.0]], bandwidth_hz=20e6)
    nodes = scenario.nodes.copy()
    nodes[2] = [5.0, 9.0]
    scenario = scenario.replace(nodes=nodes, orientations=[*scenario.orientations[:2], 0.3, scenario.orientations[3]])
    X = _symbols(scenario, np.random.default_rng(4))
    found = TwoStep(scenario)(X, synthesize(scenario, X))
    assert np.abs(found.positions - scenario.targets).max() < 1e-6


def test_what_cannot_be_told_is_refused():
    scenario = Scenario.preset("fig4", targets=[[1.3, 2.1]])
    rng = np.random.default_rng(5)
    X = _symbols(scenario, rng)
    Y = synthesize(scenario, X)
    with pytest.raises(NoEstimate, match="no node transmits"):
        TwoStep(scenario)(0 * X, Y)
    with pytest.raises(NoEstimate, match="nothing was received"):
        TwoStep(scenario)(X, 0 * Y)
    noise = rng.standard_normal((2, *Y.shape))
    with pytest.raises(NoEstimate, match="no place of the search area"):
        TwoStep(scenario)(X, noise[0] + 1j * noise[1])
    with pytest.raises(ValueError, match="n_tx = n_rx = 1"):
        TwoStep(scenario.replace(n_tx=1, n_rx=1))
