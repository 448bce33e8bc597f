"""Beams with nulls: the grid in single precision must not promise more than the exact likelihood has."""

from __future__ import annotations

import numpy as np
import pytest

from disac.designs import design
from disac.estimators import Localizer, NoEstimate, localize, sufficient_statistics
from disac.estimators.ml import multistart
from disac.estimators.ml.likelihood import evaluate_grid
from disac.estimators.ml.multistart import GRAM_FLOOR, Targets
from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.trials.keys import TrialKey
from disac.simulator import Scenario, draw_streams, synthesize, transmit


def scene(noise):
    rng = np.random.default_rng(5)
    amplitudes = (rng.standard_normal((2, 2, 1)) + 1j * rng.standard_normal((2, 2, 1))) / np.sqrt(2)
    return Scenario(
        nodes=[[-40.0, -12.0], [35.0, -20.0]],
        targets=[[3.0, 4.0]],
        users=[[0.0, -20.0]],
        n_tx=4,
        n_rx=4,
        n_subcarriers=8,
        n_symbols=8,
        bandwidth_hz=20e6,
        noise_sense=noise,
        amplitudes=amplitudes,
        area=[[-30.0, 30.0], [-10.0, 50.0]],
    )


def one_beam(s, *, orthogonal):
    """Every node sends one stream on a beam towards the target, whose nulls no other beam fills."""
    rng = np.random.default_rng(9)
    streams = np.exp(0.5j * np.pi * rng.integers(0, 4, (s.n_nodes, s.n_subcarriers, s.n_symbols)))
    if orthogonal:
        streams *= (np.arange(s.n_nodes)[:, None] == s.subcarrier_node)[:, :, None]
    beams = np.exp(-1j * np.pi * np.arange(s.n_tx) * np.sin(s.target_geometry.angle))
    return 0.1 * beams[:, :, None, None] * streams[:, None]


def null_points(s, localizer):
    """Grid points with the least energy of any node's beam, relative to the strongest."""
    points = localizer.grid.points
    offset = points[:, None] - s.nodes
    angles = np.arctan2(offset[..., 1], offset[..., 0]) - s.orientations
    aim = np.sin(s.target_geometry.angle[:, 0])
    elements = np.arange(s.n_tx)
    beam = np.abs(np.exp(1j * np.pi * (np.sin(angles) - aim)[..., None] * elements).sum(axis=-1)) ** 2 / s.n_tx**2
    return np.argsort(beam.min(axis=1))


@pytest.mark.parametrize("orthogonal", [True, False])
def test_the_grid_promises_no_more_than_the_exact_likelihood(orthogonal):
    s = scene(1e3)
    X = one_beam(s, orthogonal=orthogonal)
    localizer = Localizer(s)
    table = localizer._lattice.tables[0]
    rng = np.random.default_rng(3)
    for _ in range(3):
        statistics = sufficient_statistics(X, synthesize(s, X, rng=rng))
        trial = localizer.trial(statistics)
        given = trial.condition(Targets.none(s.n_nodes))
        gain = np.empty(len(localizer.grid.points), np.float32)
        evaluate_grid(
            table.zr, table.zi, table.wr, table.wi, trial.signal, given.residual[0], given.residual[1],
            trial._gram[0], trial._gram[1], given.found.psi, given.inverse, given.beam[0], given.beam[1],
            GRAM_FLOOR, gain,
        )  # fmt: skip
        gain = gain.astype(float) * trial._scale**2 / trial._unit
        exact = np.array([localizer.criterion(statistics, point) for point in localizer.grid.points])
        assert np.all(gain < 1.05 * exact + 1e-3 * exact.max())
        clear = null_points(s, localizer)[len(exact) // 2 :]
        np.testing.assert_allclose(gain[clear], exact[clear], rtol=0.02, atol=1e-3 * exact.max())


def test_the_estimate_is_no_worse_than_the_truth_at_low_snr():
    """Where the truth explains more of the data than the estimate, the search has failed."""
    s = scene(300.0)
    X = one_beam(s, orthogonal=True)
    localizer = Localizer(s)
    rng = np.random.default_rng(8)
    for _ in range(40):
        statistics = sufficient_statistics(X, synthesize(s, X, rng=rng))
        estimate = localizer.from_statistics(statistics)
        assert estimate.criterion > localizer.criterion(statistics, s.targets) * (1 - 1e-9)


def test_without_an_echo_there_is_no_estimate():
    s = scene(1.0)
    X = one_beam(s, orthogonal=True)
    with pytest.raises(NoEstimate, match="no echo of X"):
        localize(s, X, np.zeros((s.n_nodes, s.n_rx, s.n_subcarriers, s.n_symbols), complex))
    other = np.zeros_like(X)
    other[0] = X[0]
    received = np.zeros((s.n_nodes, s.n_rx, s.n_subcarriers, s.n_symbols), complex)
    received[:, :, 1::2] = 1.0
    other[:, :, 1::2] = 0.0
    with pytest.raises(NoEstimate, match="no echo of X"):
        localize(s, other, received)


def genie_statistics(s, seed):
    rng = np.random.default_rng(seed)
    X = np.exp(0.5j * np.pi * rng.integers(0, 4, (s.n_nodes, s.n_tx, s.n_subcarriers, s.n_symbols))) / 8
    X *= (np.arange(s.n_nodes)[:, None] == s.subcarrier_node)[:, None, :, None]
    return sufficient_statistics(X, synthesize(s, X, rng=rng))


def test_a_genie_repairs_targets_caught_in_a_wrong_maximum():
    """From two wrong places to at least what the truth explains; each target keeps what the genie knows of it."""
    s = two_targets()
    localizer = Localizer(s, "tof-genie")
    statistics = genie_statistics(s, 0)
    trial = localizer.trial(statistics)
    wrong = np.array([[-10.0, 20.0], [12.0, 30.0]])
    best = trial.climb(Targets((0, 1), wrong, *localizer._links((0, 1), wrong)), 1e-2)
    truth = localizer.criterion(statistics, s.targets)
    assert best.value < 0.9 * truth
    for _ in range(3):
        best = max([best, *trial._repair(best)], key=lambda fit: fit.value)
        assert sorted(best.targets.labels) == [0, 1]
    assert best.value >= truth


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("mode", ["tof-genie", "aoa-genie"])
def test_a_genie_explains_at_least_what_the_truth_does(mode, seed):
    s = two_targets()
    localizer = Localizer(s, mode)
    statistics = genie_statistics(s, seed)
    estimate = localizer.from_statistics(statistics)
    assert estimate.criterion >= localizer.criterion(statistics, s.targets)
    assert np.hypot(*(estimate.positions - s.targets).T).max() < 1.0


def two_targets():
    rng = np.random.default_rng(7)
    amplitudes = (rng.standard_normal((2, 2, 2)) + 1j * rng.standard_normal((2, 2, 2))) / np.sqrt(2)
    return scene(1e-3).replace(targets=[[3.0, 4.0], [-6.0, 12.0]], amplitudes=amplitudes, n_subcarriers=16)


@pytest.mark.parametrize(("draw", "beam"), [(0, 6), (4, 1)])
def test_a_pair_of_ghosts_is_replaced_as_a_whole(monkeypatch, draw, beam):
    """Fig. 5, P.1's signals at 0 dB: the places where the ellipses of both targets cross are likelier together than a
    target beside any ghost, and in the second draw not even the residual of the ghosts shows the targets: what was
    dropped at first has to be followed."""
    monkeypatch.setattr(multistart, "BEAM", beam)
    s = PaperScenario(n_nodes=2, n_targets=2, n_users=2).draw(TrialKey(0, 0, draw))
    sent = design("p1", s, 0.0)
    localizer = Localizer(s)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        streams = draw_streams(s, sent.radar_precoders.shape[-1], order=4, bit_rng=rng, radar_rng=rng)
        X = transmit(sent.comm_precoders, sent.radar_precoders, streams)
        statistics = sufficient_statistics(X, synthesize(s, X, rng=rng, phases=rng.uniform(0, 2 * np.pi, 2)))
        estimate = localizer.from_statistics(statistics)
        assert estimate.criterion >= localizer.criterion(statistics, s.targets)
