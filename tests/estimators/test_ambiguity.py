"""Expected likelihood surfaces against projections written out antenna by antenna, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from disac.estimators.ambiguity import OTHERS, Signatures, TargetCriterion, ambiguity_surface
from disac.simulator import Scenario, synthesize

C = 299_792_458.0


def scene(**fields):
    rng = np.random.default_rng(4)
    settings = {
        "nodes": [[-40.0, -12.0], [35.0, -20.0]],
        "targets": [[3.0, 4.0], [-11.0, 17.5]],
        "users": [[0.0, -20.0]],
        "orientations": [0.3, 2.4],
        "n_tx": 2,
        "n_rx": 3,
        "n_subcarriers": 8,
        "n_symbols": 3,
        "bandwidth_hz": 20e6,
        "noise_sense": 0.3,
        "noise_comm": 0.2,
        "area": [[-60.0, 60.0], [-50.0, 70.0]],
    }
    settings |= fields
    n, k = len(settings["nodes"]), len(settings["targets"])
    amplitudes = rng.standard_normal((n, n, k)) + 1j * rng.standard_normal((n, n, k))
    return Scenario(**{"amplitudes": amplitudes, **settings})


def symbols(s, *, orthogonal=False, seed=1):
    rng = np.random.default_rng(seed)
    shape = (s.n_nodes, s.n_tx, s.n_subcarriers, s.n_symbols)
    X = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    if orthogonal:
        X *= (np.arange(s.n_nodes)[:, None] == s.subcarrier_node)[:, None, :, None]
    return X


def covariances_of(X):
    stacked = X.transpose(2, 0, 1, 3).reshape(X.shape[2], -1, X.shape[3])
    return stacked @ stacked.conj().swapaxes(1, 2) / X.shape[3]


def signature(s, X, n, m, angle_n, angle_m, path_m):
    """Echo of transmitter m at receiver n, one target, as a vector over antenna, subcarrier and symbol."""
    out = np.zeros((s.n_rx, s.n_subcarriers, X.shape[3]), dtype=complex)
    for r in range(s.n_rx):
        for line in range(s.n_subcarriers):
            turn = np.exp(-2j * np.pi * line * s.bandwidth_hz / s.n_subcarriers * path_m / C)
            beam = np.exp(1j * np.pi * np.arange(s.n_tx) * np.sin(angle_m)) @ X[m, :, line]
            out[r, line] = np.exp(1j * np.pi * r * np.sin(angle_n)) * turn * beam
    return out.ravel()


def explained_by_projection(s, X, echoes, candidates, mode, labels):
    """Energy of the noise-free echoes inside the span of the candidates' signatures, by least squares."""
    part = s.replace(targets=s.targets[echoes], amplitudes=s.amplitudes[:, :, echoes])
    Y = synthesize(part, X)
    total = 0.0
    for n in range(s.n_nodes):
        columns = []
        for q, label in zip(candidates, labels, strict=True):
            t = s.targets[label]
            for m in range(s.n_nodes):
                seen = t if mode == "tof-genie" else q
                timed = t if mode == "aoa-genie" else q
                angles = [np.arctan2(*(seen - s.nodes[i])[::-1]) - s.orientations[i] for i in (n, m)]
                path = np.linalg.norm(timed - s.nodes[n]) + np.linalg.norm(timed - s.nodes[m])
                columns.append(signature(s, X, n, m, *angles, path))
        base, _ = np.linalg.qr(np.array(columns).T)
        total += np.linalg.norm(base.conj().T @ Y[n].ravel()) ** 2
    return total


@pytest.mark.parametrize("mode", ["hybrid", "tof-genie", "aoa-genie"])
@pytest.mark.parametrize("orthogonal", [True, False])
def test_criterion_is_the_energy_that_the_candidates_signatures_explain(mode, orthogonal):
    s = scene()
    X = symbols(s, orthogonal=orthogonal)
    signatures = Signatures(s, X, mode)
    pairs = np.array([[[5.0, -3.0], [-8.0, 22.0]], [[-30.0, 40.0], [14.0, 2.0]], [[3.0, 4.0], [-11.0, 17.5]]])
    joint = signatures.explained(pairs, [0, 1], [0, 1])
    one = signatures.explained(pairs[:, :1], [0], [1])
    for i, pair in enumerate(pairs):
        assert joint[i] == pytest.approx(explained_by_projection(s, X, [0, 1], pair, mode, [0, 1]), rel=1e-10)
        assert one[i] == pytest.approx(explained_by_projection(s, X, [1], pair[:1], mode, [0]), rel=1e-10)
    assert joint[2] == pytest.approx(np.sum(np.abs(synthesize(s, X)) ** 2), rel=1e-12)


def test_covariances_give_the_surface_of_symbols_with_these_sample_covariances():
    s = scene()
    X = symbols(s)
    points = np.array([[[1.0, 2.0]], [[-20.0, 30.0]]])
    by_symbols = Signatures(s, X).explained(points)
    by_covariances = Signatures(s, covariances_of(X)).explained(points)
    np.testing.assert_allclose(by_covariances, by_symbols, rtol=1e-12)


def test_criterion_is_the_one_that_the_localizer_maximizes():
    from disac.estimators import Localizer, sufficient_statistics

    s = scene()
    X = symbols(s)
    statistics = sufficient_statistics(X, synthesize(s, X))
    pairs = np.array([[[5.0, -3.0], [-8.0, 22.0]], [[-30.0, 40.0], [14.0, 2.0]]])
    localizer = Localizer(s, "hybrid")
    expected = [localizer.criterion(statistics, pair) for pair in pairs]
    np.testing.assert_allclose(Signatures(s, X).explained(pairs, [0, 1], [0, 1]), expected, rtol=1e-10)


def single(**fields):
    settings = {"nodes": [[0.0, 0.0]], "orientations": [0.0], "targets": [[60.0, 8.0]], "users": [[1.0, -20.0]]}
    return scene(**{**settings, "area": [[5.0, 100.0], [-40.0, 40.0]], **fields})


def dirichlet(phase, n):
    return np.abs(np.exp(1j * np.outer(phase, np.arange(n))).sum(axis=1) / n) ** 2


def test_one_antenna_and_flat_spectrum_give_rings_of_the_dirichlet_kernel():
    s = single(n_tx=1, n_rx=1)
    X = np.ones((1, 1, 8, 3), dtype=complex)
    points = np.random.default_rng(0).uniform((5, -40), (100, 40), (50, 2))
    surface = TargetCriterion(Signatures(s, X), 0, "absent")
    level = surface(points) / surface(s.targets)
    difference = 2 * (np.hypot(*points.T) - np.hypot(*s.targets[0]))
    expected = dirichlet(2 * np.pi * s.bandwidth_hz / s.n_subcarriers * difference / C, 8)
    np.testing.assert_allclose(level, expected, atol=1e-12)


def test_angle_surface_of_uncorrelated_antennas_is_the_product_of_both_array_factors():
    s = single(n_tx=4, n_rx=3)
    covariances = np.broadcast_to(np.eye(4, dtype=complex), (8, 4, 4))
    points = np.random.default_rng(0).uniform((5, -40), (100, 40), (50, 2))
    surface = TargetCriterion(Signatures(s, covariances, "aoa-genie"), 0, "absent")
    level = surface(points) / surface(s.targets)
    angles = np.arctan2(points[:, 1], points[:, 0])
    phase = np.pi * (np.sin(angles) - np.sin(np.arctan2(8.0, 60.0)))
    np.testing.assert_allclose(level, dirichlet(phase, 4) * dirichlet(phase, 3), atol=1e-12)


def test_target_moved_by_half_an_unambiguous_path_has_the_same_likelihood_of_delays():
    s = single(bandwidth_hz=40e6)
    X = symbols(s)
    direction = s.targets[0] / np.hypot(*s.targets[0])
    alias = s.targets[0] + direction * (C * s.n_subcarriers / s.bandwidth_hz / 2)
    surface = TargetCriterion(Signatures(s, X, "tof-genie"), 0, "absent")
    values = surface(np.stack([s.targets[0], alias, s.targets[0] + 3.0 * direction]))
    assert values[1] == pytest.approx(values[0], rel=1e-9)
    assert values[2] < 0.9 * values[0]


def test_interleaving_puts_grating_lobes_where_all_paths_differ_by_its_period():
    """One interleaved node in a monostatic link: its comb of every N-th subcarrier repeats N times sooner."""
    s = scene(targets=[[3.0, 4.0]], n_tx=1, n_rx=1, bandwidth_hz=40e6)
    X = symbols(s, orthogonal=True)
    X[1] = 0.0
    X[0] = np.where(np.abs(X[0]) > 0, 1.0, 0.0)
    s = s.replace(amplitudes=np.array([[[1.0]], [[0.0]]]).reshape(2, 1, 1) * np.ones((2, 2, 1)))
    period = C * s.n_subcarriers / (s.n_nodes * s.bandwidth_hz)
    away = s.targets[0] - s.nodes[0]
    alias = s.targets[0] + away / np.hypot(*away) * period / 2
    surface = TargetCriterion(Signatures(s, X, "tof-genie"), 0, "absent")
    full = np.ones((2, 1, 8, 3), dtype=complex)
    unambiguous = TargetCriterion(Signatures(s, full, "tof-genie"), 0, "absent")
    assert surface(alias[None])[0] == pytest.approx(surface(s.targets)[0], rel=1e-9)
    assert unambiguous(alias[None])[0] < 0.5 * unambiguous(s.targets)[0]


@pytest.mark.parametrize("others", OTHERS)
def test_sidelobes_are_the_local_maxima_of_a_fine_grid(others):
    s = scene(bandwidth_hz=7e6)
    covariances = covariances_of(symbols(s, orthogonal=True))
    found = ambiguity_surface(s, covariances, others=others)
    x, y = np.linspace(-60, 60, 121), np.linspace(-50, 70, 121)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    criterion = TargetCriterion(Signatures(s, covariances), 0, others)
    norm = criterion(np.array([found.main.position]))[0]
    level = criterion(points) / norm
    assert level.max() <= 1 + 1e-12
    grid = level.reshape(121, 121)
    inner = grid[1:-1, 1:-1]
    top = np.ones(inner.shape, dtype=bool)
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            top &= inner >= grid[dy : dy + 119, dx : dx + 119]
    where = np.argwhere(top & (inner > 0.1)) + 1
    known = np.array([peak.position for peak in (found.main, *found.sidelobes)])
    tight = {"xatol": 1e-6, "fatol": 1e-12}
    checked = 0
    for iy, ix in where:
        start = np.array([x[ix], y[iy]])
        # lobes of angle get arbitrarily narrow at a node, and at a held target the surface has no limit
        if min(np.min(np.hypot(*(s.nodes - start).T)) - 15, np.hypot(*(s.targets[1] - start)) - 3) < 0:
            continue
        top_of = minimize(lambda q: -criterion(q[None])[0] / norm, start, method="Nelder-Mead", options=tight)
        assert np.min(np.hypot(*(known - top_of.x).T)) < 0.01
        checked += 1
    assert checked >= 1
    if others != "unmodelled":
        np.testing.assert_allclose(found.main.position, s.targets[0], atol=1e-5)
    levels = [peak.level for peak in found.sidelobes]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] < 1
    assert found.peak_sidelobe.level_db == pytest.approx(10 * np.log10(levels[0]))


def test_candidate_on_a_held_target_adds_nothing():
    s = scene()
    criterion = TargetCriterion(Signatures(s, symbols(s)), 0, "held")
    assert criterion(s.targets)[1] == pytest.approx(0, abs=1e-9 * criterion(s.targets)[0])


def test_wrong_input_is_named():
    s = scene()
    X = symbols(s)
    for call, words in (
        (lambda: ambiguity_surface(s, X, mode="tof-nuisance"), "mode = 'tof-nuisance'"),
        (lambda: ambiguity_surface(s, X, mode="sonar"), "mode = 'sonar'"),
        (lambda: ambiguity_surface(s, X, target=2), "target = 2"),
        (lambda: ambiguity_surface(s, X, others="gone"), "others = 'gone'"),
        (lambda: ambiguity_surface(s, X, area=[[10, 20], [0, 5]]), r"area = .*must hold target 0"),
        (lambda: ambiguity_surface(s, X[0]), "signal: has shape"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


@pytest.mark.parametrize("step_m", [0.0, -1.0])
def test_a_grid_step_must_be_positive(step_m):
    scenario = Scenario.preset("fig7", n_tx=2, n_rx=2, n_subcarriers=8)
    X = np.ones((scenario.n_nodes, 2, 8, 1), dtype=complex)
    with pytest.raises(ValueError, match="must be a finite number, above 0"):
        ambiguity_surface(scenario, X, step_m=step_m)
