"""The search finds the highest maximum in every mode, also where lobes are many and alike."""

from __future__ import annotations

import numpy as np
import pytest

from disac.estimators import MODES, Localizer, sufficient_statistics
from disac.simulator import Scenario, synthesize


def outer_tones(scenario, rng, inner):
    """Symbols of random phase with a share ``inner`` of the power on each subcarrier but a node's two outermost."""
    X = np.zeros((scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers, scenario.n_symbols), dtype=complex)
    for node in range(scenario.n_nodes):
        own = np.flatnonzero(scenario.subcarrier_node == node)
        phases = rng.uniform(0, 2 * np.pi, (scenario.n_tx, len(own), scenario.n_symbols))
        share = np.full(len(own), inner)
        share[[0, -1]] = (1 - inner * (len(own) - 2)) / 2
        X[node][:, own] = np.sqrt(scenario.tx_power * share)[:, None] * np.exp(1j * phases)
    return X


@pytest.mark.parametrize(
    ("targets", "inner", "trials"),
    [([[0.0, 0.0]], 0.0, 3), ([[1.7, -3.1]], 0.1, 3), ([[0.0, 0.0], [6.0, 11.0]], 0.1, 1)],
    ids=["two tones", "four tones", "two targets"],
)
@pytest.mark.parametrize("mode", MODES)
def test_no_maximum_is_lower_than_the_criterion_at_the_truth(mode, targets, inner, trials):
    s = Scenario.preset("fig4", bandwidth_hz=100e6, targets=targets, noise_sense=0.01)
    localizer = Localizer(s, mode)
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        X = outer_tones(s, rng, inner)
        statistics = sufficient_statistics(X, synthesize(s, X, rng=rng))
        assert localizer.from_statistics(statistics).criterion >= localizer.criterion(statistics, s.targets)
