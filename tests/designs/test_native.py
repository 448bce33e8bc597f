"""The native interior-point solver against certified bounds, Clarabel, its own dense algebra and invariances."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest

from disac.designs.bounds.crb import Unidentifiable
from disac.designs.bounds.fisher import FisherOperator
from disac.designs.convex import certify, solve_certified, strictly_feasible_point
from disac.designs.problem.relaxed import RelaxedProblem, Signal
from disac.designs.solvers.native import solve
from disac.designs.solvers.native.arrow import NewtonSystem
from disac.designs.solvers.native.cones import NesterovTodd, adjoint, smat, svec
from disac.designs.solvers.native.predictor_corrector import run
from disac.designs.solvers.native.problems import BuiltProblem, build
from disac.designs.solvers.native.saddle import Blocks, Prices
from disac.designs.solvers.native.starting_point import starting_point
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario

SIGNALS: tuple[Signal, ...] = get_args(Signal)


def scene(
    n_nodes: int = 2, n_targets: int = 1, n_users: int = 1, n_subcarriers: int = 5, seed: int = 0, **fields: Any
) -> Scenario:
    """A small scenario with M_t != M_r and L not a multiple of N."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * (np.arange(n_nodes) + 0.1 * rng.standard_normal(n_nodes)) / n_nodes
    return Scenario(
        **{
            "nodes": 50 * np.stack([np.cos(angle), np.sin(angle)], axis=-1),
            "targets": rng.uniform(-20, 20, (n_targets, 2)),
            "users": rng.uniform(-20, 20, (n_users, 2)),
            "n_tx": 3,
            "n_rx": 4,
            "n_subcarriers": n_subcarriers,
            "bandwidth_hz": 20e6,
            "amplitudes": RandomAmplitudes(seed=seed),
            "channels": RandomChannels(seed=seed),
            **fields,
        }
    )


def random_hermitian(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    matrix = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return matrix + adjoint(matrix)


def random_prices(rng: np.random.Generator, built: BuiltProblem) -> Prices:
    saddle = built.saddle
    return Prices(
        rng.standard_normal(saddle.selection.shape),
        rng.standard_normal(saddle.n_antennas),
        rng.standard_normal(saddle.thresholds.shape),
    )


def random_blocks(rng: np.random.Generator, built: BuiltProblem) -> Blocks:
    saddle = built.saddle
    groups = [random_hermitian(rng, (g.n_rows, g.n_members, g.size, g.size)) for g in saddle.groups]
    n_sets = len(saddle.field.node_sets)
    shared = [random_hermitian(rng, (n_sets, group.size, group.size)) for group in saddle.shared]
    return Blocks(tuple(groups), tuple(shared))


def inner(first: Blocks, second: Blocks) -> float:
    return sum(float(np.sum(a.conj() * b).real) for a, b in zip(first, second, strict=True))


def paired(first: Prices, second: Prices) -> float:
    return float(np.sum(first.weights * second.weights) + first.power @ second.power + np.sum(first.leaf * second.leaf))


CASES = [
    pytest.param(signal, n_nodes, n_users, id=f"{signal}-N{n_nodes}U{n_users}")
    for signal in SIGNALS
    for n_nodes, n_users in ((2, 0), (2, 1), (2, 2), (1, 4))
]


# --- cones ---------------------------------------------------------------------------------------------------------


def test_svec_keeps_inner_products_and_inverts() -> None:
    rng = np.random.default_rng(1)
    a, b = random_hermitian(rng, (7, 5, 5)), random_hermitian(rng, (7, 5, 5))
    traces = np.einsum("kij,kji->k", a, b)
    np.testing.assert_allclose(np.sum(svec(a) * svec(b), axis=-1), traces.real, rtol=1e-13)
    np.testing.assert_allclose(smat(svec(a)), a, rtol=1e-14)


def test_scaling_maps_both_matrices_to_one_diagonal() -> None:
    rng = np.random.default_rng(2)
    primal = rng.standard_normal((4, 3, 3)) + 1j * rng.standard_normal((4, 3, 3))
    dual = rng.standard_normal((4, 3, 3)) + 1j * rng.standard_normal((4, 3, 3))
    scaling = NesterovTodd.from_factors(primal, dual)
    diagonal = scaling.spectrum[..., None] * np.eye(3)
    np.testing.assert_allclose(scaling.scale_dual(dual @ adjoint(dual)), diagonal, atol=1e-12)
    np.testing.assert_allclose(scaling.inverse @ scaling.basis, np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(scaling.primal(diagonal.astype(complex)), primal @ adjoint(primal), atol=1e-12)


def test_step_limit_is_where_an_eigenvalue_vanishes() -> None:
    rng = np.random.default_rng(3)
    factor = np.stack([np.eye(4), 2 * np.eye(4)]).astype(complex)
    scaling = NesterovTodd.from_factors(factor, factor)
    step = random_hermitian(rng, (2, 4, 4))
    limit = scaling.step_limit(step, 1e10)
    here = scaling.spectrum[..., None] * np.eye(4)
    assert np.linalg.eigvalsh(here + 0.999 * limit * step).min() > 0
    assert np.linalg.eigvalsh(here + 1.001 * limit * step).min() < 0
    assert scaling.step_limit(step, 0.5 * limit) == 0.5 * limit


# --- saddle form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("signal", "n_nodes", "n_users"), CASES)
def test_gradient_is_the_adjoint_of_the_slope(signal: Signal, n_nodes: int, n_users: int) -> None:
    rng = np.random.default_rng(4)
    built = build(RelaxedProblem(scene(n_nodes, 2, n_users), signal, 5.0))
    saddle = built.saddle
    at, step, matrices = random_prices(rng, built), random_prices(rng, built), random_blocks(rng, built)
    slope = saddle.slope(saddle.field.combine(at.weights), step)
    assert inner(slope, matrices) == pytest.approx(paired(saddle.gradient(at.weights, matrices), step), rel=1e-11)
    half = 1e-6
    change = saddle.slacks(at + step * -half).map(np.subtract, saddle.slacks(at + step * half))
    for found, differences in zip(slope, change, strict=True):
        np.testing.assert_allclose(differences / (2 * half), found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", ["hybrid", "tof", "aoa", "tof-nuisance", "aoa-nuisance"])
@pytest.mark.parametrize("signal", ["joint", "block-diagonal", "interleaved"])
def test_information_equals_that_of_the_covariances(signal: Signal, mode: str) -> None:
    built = build(RelaxedProblem(scene(3, 2, 2), signal, 5.0, mode))
    blocks = random_blocks(np.random.default_rng(5), built).squares()
    covariances, _ = built.covariances(blocks)
    scale = built.units.parameters
    expected = FisherOperator(built.relaxed.scenario, mode).apply(covariances) * scale * scale[:, None]
    np.testing.assert_allclose(built.saddle.fisher(blocks), expected, atol=1e-11 * np.abs(expected).max())


# --- arrow elimination ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("signal", "n_nodes", "n_users"), CASES)
def test_elimination_solves_the_dense_newton_system(signal: Signal, n_nodes: int, n_users: int) -> None:
    """H = G^T (W x W) G + D, built column by column from the operators, at a point off the central path."""
    rng = np.random.default_rng(6)
    built = build(RelaxedProblem(scene(n_nodes, 1, n_users, 4), signal, 5.0))
    saddle = built.saddle
    weights = rng.standard_normal(saddle.selection.shape)
    combined = saddle.field.combine(weights)
    factors = [random_blocks(rng, built), random_blocks(rng, built)]
    scalings = [NesterovTodd.from_factors(r, s) for r, s in zip(*factors, strict=True)]
    fisher = saddle.fisher(factors[0].squares())
    power_diagonal = rng.uniform(1, 2, saddle.n_antennas)
    leaf_diagonal = rng.uniform(1, 2, (len(saddle.thresholds), saddle.n_inequalities))
    system = NewtonSystem(saddle, weights, combined, fisher, scalings, power_diagonal, leaf_diagonal)
    step = random_prices(rng, built)

    slope = saddle.slope(combined, step)
    moved = slope.map(lambda m, w: w.primal(w.scale_dual(m)), scalings)
    diagonal = np.zeros_like(step.leaf)
    diagonal[:, : saddle.n_inequalities] = leaf_diagonal * step.leaf[:, : saddle.n_inequalities]
    right = saddle.gradient(weights, moved) + Prices(2 * fisher @ step.weights, power_diagonal * step.power, diagonal)
    found = system.solve(right)
    for name in ("weights", "power", "leaf"):
        expected = getattr(step, name)
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-7 * np.abs(expected).max(initial=1.0))


# --- solutions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("signal", "n_nodes", "n_users"), CASES)
def test_solution_is_certified(signal: Signal, n_nodes: int, n_users: int) -> None:
    n_targets = 2 if n_nodes == 2 else 1
    problem = RelaxedProblem(scene(n_nodes, n_targets, n_users, 6, n_tx=4), signal, 5.0)
    certified = solve_certified(signal, problem, "native")
    assert certified.solution.status == "solved"
    assert 0 <= certified.relaxed_value / certified.bound.value - 1 <= 2e-7
    assert certified.point.mix <= 1e-7


@pytest.mark.parametrize("mode", ["tof", "aoa", "tof-nuisance", "aoa-nuisance"])
@pytest.mark.parametrize("signal", ["joint", "beamforming-averaged"])
def test_every_mode_is_certified(signal: Signal, mode: str) -> None:
    certified = solve_certified(signal, RelaxedProblem(scene(3, 1, 2), signal, 5.0, mode), "native")
    assert certified.relaxed_value / certified.bound.value - 1 <= 2e-7


@pytest.mark.parametrize(
    ("signal", "n_users", "mode"),
    [
        ("joint", 1, "hybrid"),
        ("joint", 2, "hybrid"),
        ("block-diagonal", 2, "aoa"),
        ("interleaved", 2, "hybrid"),
        ("beamforming", 2, "tof"),
        ("beamforming-averaged", 2, "hybrid"),
        ("interleaved", 0, "hybrid"),
    ],
)
def test_value_equals_that_of_clarabel(signal: Signal, n_users: int, mode: str) -> None:
    problem = RelaxedProblem(scene(2, 1, n_users, 4, seed=7), signal, 8.0, mode)
    own = solve_certified(signal, problem, "native")
    other = solve_certified(signal, problem, "clarabel")
    gap = other.relaxed_value / other.bound.value - 1
    assert gap < 1e-4
    assert own.bound.value <= other.relaxed_value * (1 + 1e-9)
    assert other.bound.value <= own.relaxed_value * (1 + 1e-9)
    assert own.relaxed_value == pytest.approx(other.relaxed_value, rel=gap + 1e-7)


@pytest.mark.parametrize("n_users", [1, 2])
def test_data_from_some_nodes_only_has_the_value_of_clarabel(n_users: int) -> None:
    """Between P.1 with block-diagonal covariances and P.2, which keeps the other nodes silent too."""
    s = scene(2, 1, n_users, 4, seed=7)
    everywhere = RelaxedProblem(s, "block-diagonal", 8.0)
    data_from = np.repeat(RelaxedProblem(s, "interleaved", 8.0).serves[:, None], n_users, axis=1)
    problem = replace(everywhere, data_from=data_from)
    own, other = (solve_certified("test", problem, solver) for solver in ("native", "clarabel"))
    assert own.relaxed_value / own.bound.value - 1 <= 2e-7
    gap = other.relaxed_value / other.bound.value - 1
    assert gap < 1e-4
    assert own.bound.value <= other.relaxed_value * (1 + 1e-9)
    assert other.bound.value <= own.relaxed_value * (1 + 1e-9)
    freer, tighter = (solve_certified("test", p, "native") for p in (everywhere, RelaxedProblem(s, "interleaved", 8.0)))
    assert freer.relaxed_value < 0.999 * own.bound.value
    assert own.relaxed_value < 0.999 * tighter.bound.value


def test_users_may_be_served_by_different_nodes() -> None:
    """A node that serves one user of a subcarrier disturbs the other there."""
    s = scene(2, 1, 2, 4, seed=7)
    data_from = np.zeros((2, 2, 4), dtype=bool)
    data_from[[0, 1], [0, 1]] = True
    problem = RelaxedProblem(s, "block-diagonal", 8.0, data_from=data_from)
    own, other = (solve_certified("test", problem, solver) for solver in ("native", "clarabel"))
    assert own.relaxed_value / own.bound.value - 1 <= 2e-7
    assert own.bound.value <= other.relaxed_value * (1 + 1e-9)
    assert other.bound.value <= own.relaxed_value * (1 + 1e-9)
    both = solve_certified("test", replace(problem, data_from=np.ones_like(data_from)), "native")
    assert both.relaxed_value < own.bound.value


def test_data_from_is_for_block_diagonal_covariances() -> None:
    s = scene(2, 1, 1, 4)
    with pytest.raises(ValueError, match=r"data_from: is for signal = 'block-diagonal', not 'joint'"):
        RelaxedProblem(s, "joint", 8.0, data_from=np.ones((2, 1, 4), dtype=bool))


def test_designs_are_ordered_by_their_freedom() -> None:
    s = scene(2, 1, 2, 6)
    found = [solve(RelaxedProblem(s, signal, 10.0)) for signal in SIGNALS[:4]]
    for freer, stricter in pairwise(found):
        assert freer.bound <= stricter.value
    assert found[0].value < 0.99 * found[2].value


def test_nodes_with_one_antenna_and_known_delays_send_all_their_power() -> None:
    """Then F depends on each node's total power only, so the value is the bound at full power, however it is spread."""
    s = scene(2, 1, 1, 4, n_tx=1, n_rx=4)
    free = solve(RelaxedProblem(s, "interleaved", None, "aoa"))
    uniform = np.zeros_like(free.covariances)
    for subcarrier, node in enumerate(s.subcarrier_node):
        uniform[subcarrier, node, node] = s.tx_power / np.sum(s.subcarrier_node == node)
    information = FisherOperator(s, "aoa").apply(uniform)
    scale = 1 / np.sqrt(np.diag(information))
    inverse = np.linalg.inv(information * scale * scale[:, None]) * scale * scale[:, None]
    assert free.value == pytest.approx(np.trace(inverse[:2, :2]), rel=1e-6)


@pytest.mark.parametrize("signal", ["joint", "interleaved"])
def test_units_and_phases_change_nothing(signal: Signal) -> None:
    s = scene(2, 2, 2, 5)
    reference = solve(RelaxedProblem(s, signal, 6.0))
    rng = np.random.default_rng(8)
    phases = np.exp(2j * np.pi * rng.uniform(size=(2, 2, 5)))
    power = 1e-9
    changed = {
        "power": s.replace(
            tx_power=power * s.tx_power, noise_comm=power * s.noise_comm, noise_sense=power * s.noise_sense
        ),
        "amplitude": s.replace(amplitudes=1e5 * s.amplitudes, noise_sense=1e10 * s.noise_sense),
        "channel": s.replace(channels=1e-4 * s.channels, noise_comm=1e-8 * s.noise_comm),
        "phase": s.replace(channels=s.channels * phases[..., None]),
        "length": s.replace(
            nodes=1e-3 * s.nodes,
            targets=1e-3 * s.targets,
            users=1e-3 * s.users,
            area=1e-3 * s.area,
            bandwidth_hz=1e3 * s.bandwidth_hz,
            orientations=s.orientations,
        ),
    }
    for name, scenario in changed.items():
        other = solve(RelaxedProblem(scenario, signal, 6.0))
        unit = 1e-6 if name == "length" else 1.0
        assert other.value == pytest.approx(unit * reference.value, rel=1e-6), name
        assert abs(other.iterations - reference.iterations) <= 1, name


def test_more_power_never_hurts_and_a_higher_threshold_never_helps() -> None:
    s = scene(2, 1, 2, 5)
    at_power = [solve(RelaxedProblem(s.replace(tx_power=p), "interleaved", 8.0)).value for p in (1.0, 1.1, 2.0)]
    assert np.all(np.diff(at_power) < 0)
    at_threshold = [solve(RelaxedProblem(s, "interleaved", db)) for db in (-10.0, 5.0, 15.0)]
    for easier, harder in pairwise(at_threshold):
        assert easier.bound <= harder.value


@pytest.mark.parametrize("signal", SIGNALS)
def test_infeasible_threshold_is_proved_by_a_dual_ray(signal: Signal) -> None:
    """The prices must prove it from the scenario alone, see ``InfeasibilityProof``."""
    s = scene(2, 1, 2, 5)
    problem = RelaxedProblem(s, signal, 60.0)
    found = solve(problem)
    assert found.status == "infeasible"
    price, mu = found.power_price.reshape(s.n_nodes, s.n_tx), found.sinr_price
    assert price.min() >= 0
    assert mu.min() >= 0
    assert s.noise_comm_per_subcarrier * mu.sum() > s.tx_power * price.sum() > 0
    for node, subcarrier in np.argwhere(problem.serves):
        vectors = s.channels[node, :, subcarrier]
        outer = vectors[:, :, None] * vectors[:, None, :].conj() * mu[:, subcarrier, None, None]
        for user in range(s.n_users):
            matrix = np.diag(price[node]) + outer.sum(axis=0) - (1 + 1 / problem.sinr) * outer[user]
            assert np.linalg.eigvalsh(matrix).min() >= -1e-9 * np.abs(price).max()


def test_threshold_just_below_the_edge_is_solved() -> None:
    from disac.designs.problem.feasibility import largest_feasible_sinr

    s = scene(2, 1, 2, 5, seed=3)
    for signal in ("joint", "interleaved"):
        edge = largest_feasible_sinr(s, RelaxedProblem(s, signal, 0.0).serves).sinr_db
        problem = RelaxedProblem(s, signal, edge - 0.05)
        certified = certify(problem, solve(problem), strictly_feasible_point(signal, problem))
        assert certified.relaxed_value / certified.bound.value - 1 <= 1e-6


def test_user_without_channel_makes_the_problem_infeasible() -> None:
    s = scene(2, 1, 1, 4)
    channels = s.channels.copy()
    channels[:, 0, 2] = 0
    found = solve(RelaxedProblem(s.replace(channels=channels), "joint", 0.0))
    assert found.status == "infeasible"


def test_unidentifiable_targets_are_named() -> None:
    with pytest.raises(Unidentifiable, match="target 0"):
        solve(RelaxedProblem(scene(1), "interleaved", 5.0, "tof"))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"n_users": 5, "seed": 1}, id="more users than antennas"),
        pytest.param({"n_nodes": 3, "n_subcarriers": 3}, id="one subcarrier per node"),
        pytest.param({"n_tx": 1}, id="one transmit antenna"),
        pytest.param({"n_targets": 2, "targets": [[0.0, 0.0], [0.5, 0.0]]}, id="targets within a resolution cell"),
        pytest.param({"n_targets": 4}, id="more targets than antennas"),
        pytest.param({"amplitudes": np.array([[[0.0], [0.0]], [[0.0], [1e3 + 0j]]])}, id="links without echo"),
    ],
)
@pytest.mark.parametrize("signal", ["joint", "interleaved", "beamforming-averaged"])
def test_extreme_sizes_are_certified(signal: Signal, fields: dict[str, Any]) -> None:
    certified = solve_certified(signal, RelaxedProblem(scene(**fields), signal, -9.0), "native")
    assert certified.relaxed_value / certified.bound.value - 1 <= 2e-7


def test_monitor_sees_the_bracket_close() -> None:
    saddle = build(RelaxedProblem(scene(), "interleaved", 5.0)).saddle
    gaps: list[float] = []
    outcome = run(saddle, 1e-7, monitor=lambda _, bracket, __: gaps.append(bracket.gap))
    assert gaps[0] > 0.5
    assert min(gaps) == outcome.best.gap <= 1e-7
    assert outcome.iterations <= 20


def test_starting_point_is_interior() -> None:
    for signal in SIGNALS:
        saddle = build(RelaxedProblem(scene(2, 1, 3), signal, 20.0)).saddle
        point = starting_point(saddle)
        assert all(np.linalg.eigvalsh(m).min() > 0 for m in saddle.slacks(point.prices))
        assert np.all(saddle.power(point.covariances()) < saddle.power_limit)
        assert point.leaf_slack.min() > 0


@pytest.mark.parametrize(("signal", "n_users"), [("joint", 1), ("joint", 2), ("block-diagonal", 1), ("interleaved", 2)])
def test_warm_start_saves_iterations_and_changes_nothing(signal: Signal, n_users: int) -> None:
    s = scene(2, 1, n_users, 6)
    before = solve(RelaxedProblem(s, signal, 10.0))
    problem = RelaxedProblem(s.replace(bandwidth_hz=1.1 * s.bandwidth_hz), signal, 10.0)
    cold, warm = solve(problem), solve(problem, warm_start=before)
    assert warm.value == pytest.approx(cold.value, rel=2e-7)
    assert warm.iterations <= cold.iterations - 2
    other = RelaxedProblem(scene(2, 1, n_users, 7), signal, 10.0)
    assert solve(other, warm_start=before).iterations == solve(other).iterations


@pytest.mark.parametrize("tolerance", [0.0, 1.0, float("nan")])
def test_tolerance_out_of_range_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance = "):
        solve(RelaxedProblem(scene(), "interleaved", 5.0), tolerance=tolerance)
