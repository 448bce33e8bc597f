"""Clock offsets in the received signals: the delay of every link, and nothing else."""

import numpy as np
import pytest

from disac.simulator import Scenario, receive_users, synthesize

SCENE = Scenario.preset("fig7", n_symbols=3)
OFFSETS_S = np.array([0.0, 4e-9, -7e-9, 2e-9])


def symbols(rng):
    shape = (SCENE.n_nodes, SCENE.n_tx, SCENE.n_subcarriers, SCENE.n_symbols)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def ramps(offsets):
    return np.exp(-2j * np.pi * SCENE.bandwidth_hz / SCENE.n_subcarriers * np.outer(offsets, np.arange(16)))


def test_each_link_is_late_by_the_receivers_offset_and_early_by_the_senders():
    X = symbols(np.random.default_rng(1))
    expected = np.zeros_like(synthesize(SCENE, X))
    turn = ramps(OFFSETS_S)
    for sender in range(SCENE.n_nodes):
        alone = np.zeros_like(X)
        alone[sender] = X[sender]
        link = turn * turn[sender].conj()
        expected += synthesize(SCENE, alone) * link[:, None, :, None]
    assert synthesize(SCENE, X, clock_offsets_s=OFFSETS_S) == pytest.approx(expected, rel=1e-12)


def test_a_common_offset_changes_nothing_and_noise_stays_the_same():
    X = symbols(np.random.default_rng(2))
    common = synthesize(SCENE, X, clock_offsets_s=np.full(4, 3e-9))
    assert common == pytest.approx(synthesize(SCENE, X), rel=1e-12)
    noise = synthesize(SCENE, X, rng=np.random.default_rng(5)) - synthesize(SCENE, X)
    with_offsets = synthesize(SCENE, X, rng=np.random.default_rng(5), clock_offsets_s=OFFSETS_S)
    assert with_offsets - synthesize(SCENE, X, clock_offsets_s=OFFSETS_S) == pytest.approx(noise, abs=1e-12)


def test_the_users_links_turn_the_other_way():
    X = symbols(np.random.default_rng(3))
    turned = X * ramps(OFFSETS_S).conj()[:, None, :, None]
    assert receive_users(SCENE, X, clock_offsets_s=OFFSETS_S) == pytest.approx(receive_users(SCENE, turned), rel=1e-12)


def test_a_batch_equals_its_trials():
    X = np.stack([symbols(np.random.default_rng(seed)) for seed in (4, 5)])
    together = synthesize(SCENE, X, clock_offsets_s=OFFSETS_S)
    for trial, alone in zip(X, together, strict=True):
        assert np.array_equal(synthesize(SCENE, trial, clock_offsets_s=OFFSETS_S), alone)
