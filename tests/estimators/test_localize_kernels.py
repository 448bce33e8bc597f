"""The compiled likelihood against the plain numpy twin and against finite differences."""

import numpy as np
import pytest
from likelihood_twin import Twin, link_variables

from disac.estimators import Localizer, Search, sufficient_statistics
from disac.estimators.ml import likelihood as kernels
from disac.estimators.ml.multistart import Targets
from disac.estimators.ml.search import coarse_grid, main_lobe_m
from disac.simulator import Scenario, synthesize


def active_lines(kind, scenario, rng):
    """(N, L) which node transmits where."""
    own = np.arange(scenario.n_nodes)[:, None] == scenario.subcarrier_node
    return {
        "orthogonal": own,
        "shared": np.ones_like(own),
        "ragged": rng.random(own.shape) < 0.5,
        "silent node": own & (np.arange(scenario.n_nodes) != 1)[:, None],
    }[kind]


def trial_of(kind, n_targets=2, seed=0):
    """Scenario, localizer, statistics and trial of a small scene with M_t != M_r."""
    rng = np.random.default_rng(seed)
    scenario = Scenario.preset(
        "fig4", n_tx=3, n_rx=4, n_symbols=7, n_subcarriers=10, targets=[[3.0, -4.0], [-12.0, 9.0]][:n_targets]
    )
    X = rng.standard_normal((4, 3, 10, 7, 2)) @ np.array([1, 1j]) * active_lines(kind, scenario, rng)[:, None, :, None]
    statistics = sufficient_statistics(X, synthesize(scenario, X, rng=rng))
    localizer = Localizer(scenario, search=Search(step_m=7.0))
    return scenario, localizer, statistics, localizer.trial(statistics)


KINDS = ["orthogonal", "shared", "ragged", "silent node"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_found", [0, 1, 2])
def test_grid_gains_equal_the_twin(kind, n_found):
    scenario, localizer, statistics, trial = trial_of(kind)
    twin = Twin(statistics.cross, statistics.gram, scenario.bandwidth_hz)
    found = np.array([[1.0, -2.0], [-20.0, 21.0]])[:n_found]
    theta, tau = link_variables(scenario.nodes, scenario.orientations, found)
    targets = Targets((0,) * n_found, found, *localizer._links(range(n_found), found))
    table = localizer._lattice.tables[0]
    given = trial.condition(targets)
    gain = np.empty(len(localizer.grid.points), np.float32)
    kernels.evaluate_grid(
        table.zr, table.zi, table.wr, table.wi, trial.signal, given.residual[0], given.residual[1],
        trial._gram[0], trial._gram[1], targets.psi, given.inverse, given.beam[0], given.beam[1],
        np.float32(1e-4), gain,
    )  # fmt: skip
    points = localizer.grid.points[localizer._lattice.usable]
    candidates = twin.factors(*link_variables(scenario.nodes, scenario.orientations, points))
    expected = twin.gains(candidates, twin.factors(theta, tau) if n_found else None)
    unit = trial._scale**2 / trial._unit
    np.testing.assert_allclose(unit * gain[localizer._lattice.usable], expected, rtol=1e-4)
    assert given.value == pytest.approx(twin.criterion(theta, tau) if n_found else 0.0, rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_targets", [1, 2, 3])
def test_gradient_and_hessian_are_those_of_the_twin(kind, n_targets):
    """Central differences of the twin's value by every link variable."""
    scenario, localizer, statistics, trial = trial_of(kind)
    twin = Twin(statistics.cross, statistics.gram, scenario.bandwidth_hz)
    points = np.array([[3.5, -4.5], [-11.0, 9.5], [20.0, 30.0]])[:n_targets]
    theta, psi = localizer._links(range(n_targets), points)
    size = 2 * theta.size
    gradient, hessian = np.empty(size), np.empty((size, size))
    amplitudes = np.empty((4, len(trial.signal.active) * n_targets), complex)

    def compiled(x):
        angles, delays = x.reshape(2, 4, n_targets)
        return kernels._likelihood(
            np.ascontiguousarray(angles), np.ascontiguousarray(delays), trial.signal, trial.work(n_targets),
            gradient, hessian, amplitudes,
        )  # fmt: skip

    def plain(x):
        angles, delays = x.reshape(2, 4, n_targets)
        return twin.criterion(angles.T, delays.T / localizer._scale)

    x = np.concatenate([theta.ravel(), psi.ravel()])
    assert compiled(x) == pytest.approx(plain(x), rel=1e-11)
    exact_gradient, exact_hessian = gradient.copy(), hessian.copy()
    np.testing.assert_allclose(exact_hessian, exact_hessian.T, atol=1e-9 * np.abs(exact_hessian).max())
    h = 1e-5
    for i in range(size):
        step = h * (np.arange(size) == i)
        slope = (8 * (plain(x + step) - plain(x - step)) - plain(x + 2 * step) + plain(x - 2 * step)) / (12 * h)
        assert exact_gradient[i] == pytest.approx(slope, abs=2e-7 * np.abs(exact_gradient).max())
        rows = []
        for sign in (1, -1):
            compiled(x + sign * step)
            rows.append(gradient.copy())
        difference = (rows[0] - rows[1]) / (2 * h)
        np.testing.assert_allclose(exact_hessian[i], difference, atol=1e-6 * np.abs(exact_hessian).max())


@pytest.mark.parametrize("kind", ["orthogonal", "shared"])
def test_refinement_ends_where_scipy_ends(kind):
    scenario, _, statistics, trial = trial_of(kind)
    twin = Twin(statistics.cross, statistics.gram, scenario.bandwidth_hz)
    fit = trial.maximize(2)
    start = fit.targets.positions + np.array([[0.3, -0.2], [-0.25, 0.3]])
    positions, value, _ = twin.refine(scenario.nodes, scenario.orientations, start, scenario.area)
    np.testing.assert_allclose(fit.targets.positions, positions, atol=2e-3)
    assert fit.value >= value * (1 - 1e-12)


def test_statistics_hold_all_that_the_likelihood_needs():
    """Energy not explained by a fit equals the squared residual of the samples."""
    rng = np.random.default_rng(2)
    scenario = Scenario.preset("fig4", n_symbols=5)
    X = rng.standard_normal((4, 6, 16, 5, 2)) @ np.array([1, 1j])
    Y = synthesize(scenario, X, rng=rng)
    localizer = Localizer(scenario)
    estimate = localizer(X, Y)
    fitted = scenario.replace(targets=estimate.positions, amplitudes=estimate.amplitudes)
    residual = np.sum(np.abs(Y - synthesize(fitted, X)) ** 2)
    statistics = sufficient_statistics(X, Y)
    assert statistics.energy - estimate.criterion == pytest.approx(residual, rel=1e-9)
    assert statistics.n_samples == Y.size


def test_grid_tiles_the_area_and_peaks_are_local_maxima():
    area = np.array([[-3.0, 4.0], [10.0, 12.0]])
    grid = coarse_grid(area, 0.3)
    assert grid.step_m <= 0.3
    assert np.all((grid.points > area[:, 0]) & (grid.points < area[:, 1]))
    np.testing.assert_allclose(grid.points.mean(axis=0), area.mean(axis=1))
    rows, columns = grid.shape
    surface = np.sin(3 * np.arange(rows))[:, None] + np.cos(2 * np.arange(columns)) + 0.01 * np.arange(columns)
    gain = surface.ravel().copy()
    gain[int(np.argmax(gain))] = -np.inf
    inner = np.pad(gain.reshape(rows, columns), 1, constant_values=-np.inf)
    expected = [
        (gain[i * columns + j], i * columns + j)
        for i in range(rows)
        for j in range(columns)
        if gain[i * columns + j] > -np.inf and gain[i * columns + j] >= inner[i : i + 3, j : j + 3].max()
    ]
    assert grid.peaks(gain, 7) == [index for _, index in sorted(expected, reverse=True)[:7]]


def test_default_step_follows_bandwidth_and_aperture():
    scenario = Scenario.preset("fig4", bandwidth_hz=200e6)
    delay = main_lobe_m(scenario, scenario.area, delays=True, angles=False)
    assert delay == pytest.approx(0.886 * 299_792_458 / 400e6)
    assert main_lobe_m(scenario, scenario.area, delays=True, angles=True) == delay
    narrow = main_lobe_m(scenario.replace(n_tx=64, n_rx=64), scenario.area, delays=False, angles=True)
    wide = main_lobe_m(scenario, scenario.area, delays=False, angles=True)
    assert narrow == pytest.approx(wide * 6 / 64)


@pytest.mark.parametrize("mode", ["hybrid", "tof-genie", "aoa-genie"])
def test_the_grid_meets_the_main_lobe_within_half_its_power(mode):
    """Single target anywhere in the middle of the area: the best grid point shows at least half of the maximum."""
    rng = np.random.default_rng(5)
    lowest = 1.0
    for _ in range(40):
        scenario = Scenario.preset("fig4", targets=rng.uniform(-35, 35, (1, 2)))
        X = rng.standard_normal((4, 6, 16, 4, 2)) @ np.array([1, 1j])
        X *= (np.arange(4)[:, None] == scenario.subcarrier_node)[:, None, :, None]
        statistics = sufficient_statistics(X, synthesize(scenario, X))
        localizer = Localizer(scenario, mode)
        distance = np.linalg.norm(localizer.grid.points - scenario.targets[0], axis=1)
        near = localizer.grid.points[np.argsort(distance)[:4]]
        best = max(localizer.criterion(statistics, point) for point in near)
        lowest = min(lowest, best / statistics.energy)
    assert lowest > 0.5
