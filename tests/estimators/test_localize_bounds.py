"""Position estimators against the Cramer-Rao bound of their own mode, realized by the symbols of each trial."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2

from disac.designs import crb, sample_covariances
from disac.estimators import MODES, Localizer
from disac.simulator import RandomAmplitudes, Scenario, synthesize

FALSE_ALARM = 1e-9
BOUND = {"hybrid": "hybrid", "tof-genie": "tof", "aoa-genie": "aoa"}


def trials(scenario, mode, count, seed):
    """Errors (count, 2K) in the order of the bound, and the realized bounds (count, 2K, 2K)."""
    rng = np.random.default_rng(seed)
    localizer = Localizer(scenario, mode)
    own = np.arange(scenario.n_nodes)[:, None] == scenario.subcarrier_node
    shape = (scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers, scenario.n_symbols)
    errors, bounds = [], []
    for _ in range(count):
        X = (rng.standard_normal((*shape, 2)) @ np.array([0.5, 0.5j])) * own[:, None, :, None]
        X *= np.sqrt(2 * scenario.n_nodes * scenario.tx_power / scenario.n_subcarriers)
        estimate = localizer(X, synthesize(scenario, X, rng=rng))
        assert estimate.converged
        assert estimate.gradient_norm < 1e-6
        distance = np.linalg.norm(scenario.targets[:, None] - estimate.positions[None], axis=2)
        order = linear_sum_assignment(distance**2)[1]
        errors.append((estimate.positions[order] - scenario.targets).T.ravel())
        bounds.append(crb(scenario, sample_covariances(X), BOUND.get(mode, mode), scenario.n_symbols))
    return np.array(errors), np.array(bounds)


def mahalanobis(errors, bounds):
    """e^T CRB^{-1} e of each trial, chi-square with 2K degrees of freedom for an efficient estimator."""
    return np.einsum("ti,ti->t", errors, np.linalg.solve(bounds, errors[..., None])[..., 0])


def accepted(degrees):
    """Range of a chi-square variable that it leaves with probability `FALSE_ALARM`."""
    return chi2.ppf(FALSE_ALARM / 2, degrees), chi2.isf(FALSE_ALARM / 2, degrees)


@pytest.mark.statistical(false_alarm=1e-8)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_targets", [1, 2])
def test_reaches_the_bound_of_its_mode(n_targets, mode):
    """The mean normalized error of 100 trials lies in the central 1 - 1e-9 of its chi-square law."""
    scenario = Scenario.preset("fig4", targets=[[1.3, 2.1], [-4.0, 13.0]][:n_targets])
    errors, bounds = trials(scenario, mode, 100, seed=n_targets)
    total = mahalanobis(errors, bounds).sum()
    low, high = accepted(errors.size)
    assert low < total < high


@pytest.mark.parametrize(("mode", "other"), [("tof-genie", "hybrid"), ("aoa-genie", "hybrid"), ("hybrid", "tof-genie")])
def test_misses_the_bound_of_another_mode(mode, other):
    """The comparison can fail: against another mode's bound the same errors are far outside."""
    scenario = Scenario.preset("fig4", targets=[[1.3, 2.1]])
    errors, bounds = trials(scenario, mode, 400, seed=1)
    _, wrong = trials(scenario, other, 1, seed=1)
    total = mahalanobis(errors, np.broadcast_to(wrong, bounds.shape)).sum()
    low, high = accepted(errors.size)
    assert not low < total < high


@pytest.mark.statistical(false_alarm=1e-9)
def test_close_pair_reaches_the_bound_of_two_targets():
    """Half a resolution cell c / B apart the bound of one target is far too low, that of two is met."""
    scenario = Scenario.preset("fig4", targets=[[0.0, 0.0], [9.0, 12.0]], amplitudes=RandomAmplitudes(seed=3))
    errors, bounds = trials(scenario, "hybrid", 100, seed=5)
    low, high = accepted(errors.size)
    assert low < mahalanobis(errors, bounds).sum() < high


@pytest.mark.statistical(false_alarm=2e-8)
@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_targets", [1, 2])
def test_rmse_is_the_realized_bound_within_five_percent(n_targets, mode):
    """2000 trials: normalized errors follow their law, and the RMSE, known to 5 %, agrees with the bound."""
    scenario = Scenario.preset("fig4", targets=[[1.3, 2.1], [-4.0, 13.0]][:n_targets])
    errors, bounds = trials(scenario, mode, 2000, seed=10 + n_targets)
    total = mahalanobis(errors, bounds).sum()
    low, high = accepted(errors.size)
    assert low < total < high
    assert not low < 1.1**2 * total < high, "an RMSE that is ten per cent off is rejected"
    squares = np.sum(errors**2, axis=1) / np.trace(bounds, axis1=1, axis2=2).mean()
    half_width = 1.96 * squares.std() / np.sqrt(len(squares))
    assert half_width / 2 < 0.05
    assert abs(squares.mean() - 1) < 7 * half_width / 1.96
