"""Contract of the position estimators: truth from clean data, invariances, geometry conventions, errors that teach."""

import numpy as np
import pytest

from disac.estimators import Localizer, localize
from disac.simulator import Scenario, synthesize


def waveform(scenario, rng, orthogonal=True):
    """Gaussian symbols of power P_T / L per antenna and subcarrier, or all of it on a node's own subcarriers."""
    shape = (scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers, scenario.n_symbols)
    X = rng.standard_normal((*shape, 2)) @ np.array([1, 1j]) * np.sqrt(scenario.tx_power / (2 * scenario.n_subcarriers))
    if orthogonal:
        X *= (
            np.sqrt(scenario.n_nodes)
            * (np.arange(scenario.n_nodes)[:, None] == scenario.subcarrier_node)[:, None, :, None]
        )
    return X


def matched(estimate, truth):
    """Largest distance between estimates and truth under the better of all assignments."""
    from scipy.optimize import linear_sum_assignment

    distance = np.linalg.norm(estimate.positions[:, None] - truth[None], axis=2)
    return distance[linear_sum_assignment(distance)].max()


@pytest.mark.parametrize("orthogonal", [True, False])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_noiseless_data_gives_the_truth(n_targets, orthogonal):
    scenario = Scenario.preset("fig4", targets=[[1.7, -3.1], [-8.0, 12.4]][:n_targets])
    X = waveform(scenario, np.random.default_rng(3), orthogonal)
    estimate = localize(scenario, X, synthesize(scenario, X))
    assert matched(estimate, scenario.targets) < 1e-9
    assert estimate.converged
    assert not estimate.at_edge


def test_unknown_mode_names_the_choices():
    with pytest.raises(ValueError, match="tof-genie, aoa-genie, tof-nuisance, aoa-nuisance"):
        Localizer(Scenario.preset("fig4"), "tof")
