"""Compiled loops of the native solver against plain array expressions."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from disac.designs.problem.relaxed import RelaxedProblem, Signal
from disac.designs.solvers.native import kernels
from disac.designs.solvers.native.arrow import NewtonSystem
from disac.designs.solvers.native.cones import NesterovTodd, adjoint, hermitian, svec
from disac.designs.solvers.native.problems import build
from disac.designs.solvers.native.saddle import Blocks, Prices, SaddleProblem
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario


def complex_normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def random_hermitian(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return hermitian(complex_normal(rng, *shape))


def problem(signal: Signal, n_nodes: int, n_targets: int, n_users: int, **fields: Any) -> SaddleProblem:
    rng = np.random.default_rng(n_nodes + 10 * n_targets + 100 * n_users)
    angle = 2 * np.pi * (np.arange(n_nodes) + 0.1) / n_nodes
    scenario = Scenario(
        nodes=50 * np.stack([np.cos(angle), np.sin(angle)], axis=-1),
        targets=rng.uniform(-20, 20, (n_targets, 2)),
        users=rng.uniform(-20, 20, (n_users, 2)),
        n_tx=3,
        n_rx=4,
        n_subcarriers=5,
        bandwidth_hz=20e6,
        amplitudes=RandomAmplitudes(seed=1),
        channels=RandomChannels(seed=1),
    )
    return build(RelaxedProblem(scenario.replace(**fields), signal, 5.0)).saddle


def blocks(rng: np.random.Generator, saddle: SaddleProblem) -> Blocks:
    groups = [random_hermitian(rng, g.n_rows, g.n_members, g.size, g.size) for g in saddle.groups]
    sets = len(saddle.field.node_sets)
    return Blocks(tuple(groups), tuple(random_hermitian(rng, sets, g.size, g.size) for g in saddle.shared))


def prices(rng: np.random.Generator, saddle: SaddleProblem) -> Prices:
    return Prices(
        rng.standard_normal(saddle.selection.shape),
        rng.standard_normal(saddle.n_antennas),
        rng.standard_normal(saddle.thresholds.shape),
    )


def evaluated(saddle: SaddleProblem, seed: int) -> dict[str, np.ndarray]:
    """All maps of a problem, and a Newton step, at a random point."""
    rng = np.random.default_rng(seed)
    at, step, matrices = prices(rng, saddle), prices(rng, saddle), blocks(rng, saddle)
    combined = saddle.field.combine(at.weights)
    gradient = saddle.gradient(at.weights, matrices)
    factors = [blocks(rng, saddle), blocks(rng, saddle)]
    scalings = [NesterovTodd.from_factors(r, s) for r, s in zip(*factors, strict=True)]
    diagonal = rng.uniform(1, 2, (len(saddle.thresholds), saddle.n_inequalities))
    fisher = saddle.fisher(factors[0].squares())
    system = NewtonSystem(saddle, at.weights, combined, fisher, scalings, np.ones(saddle.n_antennas), diagonal)
    solved = system.solve(step)
    found = {
        "combined": combined,
        "weights": gradient.weights,
        "power": gradient.power,
        "leaf": gradient.leaf,
        "step of weights": solved.weights,
        "step of power": solved.power,
        "step of leaf": solved.leaf,
    }
    found |= {f"slack {i}": matrix for i, matrix in enumerate(saddle.slacks(at))}
    found |= {f"slope {i}": matrix for i, matrix in enumerate(saddle.slope(combined, step))}
    return found


@pytest.mark.parametrize("signal", get_args(Signal))
@pytest.mark.parametrize(("n_nodes", "n_targets", "n_users"), [(2, 1, 1), (2, 2, 2), (1, 1, 2)])
def test_loops_equal_matrix_products(
    signal: Signal, n_nodes: int, n_targets: int, n_users: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without small sizes the solver takes its batches of matrix products."""
    saddle = problem(signal, n_nodes, n_targets, n_users)
    monkeypatch.setattr(kernels, "LARGEST_SPAN", 100)
    by_loops = evaluated(saddle, 1)
    monkeypatch.setattr(kernels, "LARGEST_SPAN", 0)
    monkeypatch.setattr(kernels, "LARGEST_BLOCK", 0)
    by_products = evaluated(saddle, 1)
    for name, expected in by_products.items():
        rounding = 1e-7 if name.startswith("step") else 1e-12
        np.testing.assert_allclose(
            by_loops[name], expected, atol=rounding * np.abs(expected).max(initial=1.0), err_msg=name
        )


def test_congruences() -> None:
    rng = np.random.default_rng(2)
    left, matrices = complex_normal(rng, 5, 4, 4), random_hermitian(rng, 5, 4, 4)
    np.testing.assert_allclose(kernels.congruence(left, matrices), left @ matrices @ adjoint(left), atol=1e-12)
    np.testing.assert_allclose(kernels.adjoint_congruence(left, matrices), adjoint(left) @ matrices @ left, atol=1e-12)
    for found in (kernels.congruence(left, matrices), kernels.adjoint_congruence(left, matrices)):
        np.testing.assert_array_equal(found, adjoint(found))


def test_overlap_is_the_trace_of_the_product() -> None:
    rng = np.random.default_rng(3)
    r, s = complex_normal(rng, 6, 3, 3), complex_normal(rng, 6, 3, 3)
    expected = np.einsum("aij,aji->", r @ adjoint(r), s @ adjoint(s)).real
    assert kernels.squared_overlap(r, s) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("with_steps", [False, True])
def test_complementarity_solves_its_equation(with_steps: bool) -> None:
    rng = np.random.default_rng(4)
    spectrum = rng.uniform(0.5, 2, (5, 3))
    r, s = (random_hermitian(rng, 5 if with_steps else 0, 3, 3) for _ in range(2))
    found = kernels.complementarity(spectrum, 0.7, r, s)
    diagonal = spectrum[:, :, None] * np.eye(3)
    expected = 0.7 * np.eye(3) - diagonal**2 - (hermitian(r @ s) if with_steps else 0)
    np.testing.assert_allclose(hermitian(diagonal @ found), expected, atol=1e-13)


def test_moved_factors_are_factors() -> None:
    rng = np.random.default_rng(5)
    left, step, spectrum = complex_normal(rng, 4, 3, 3), random_hermitian(rng, 4, 3, 3), rng.uniform(1, 2, (4, 3))
    factors = kernels.moved_factors(left, spectrum, step, 0.1)
    expected = left @ (spectrum[:, :, None] * np.eye(3) + 0.1 * step) @ adjoint(left)
    np.testing.assert_allclose(factors @ adjoint(factors), expected, atol=1e-12)
    assert len(kernels.moved_factors(left, spectrum, step, 1e3)) == 0


@pytest.mark.parametrize("most", [0.3, 1e6])
def test_step_limit_is_never_too_long(most: float) -> None:
    rng = np.random.default_rng(6)
    spectrum = rng.uniform(0.1, 2, (20, 5))
    steps = random_hermitian(rng, 20, 5, 5)
    root = np.sqrt(spectrum)
    smallest = np.linalg.eigvalsh(steps / (root[:, :, None] * root[:, None, :])).min()
    exact = min(most, -1 / smallest)
    found = kernels.step_limit(spectrum, steps, most, 1e-4)
    assert exact * (1 - 1.01e-4) <= found <= exact * (1 + 1e-12)
    assert kernels.step_limit(spectrum, np.full_like(steps, np.nan), most, 1e-4) == 0.0


def test_triangularize_is_a_qr_factorization() -> None:
    rng = np.random.default_rng(7)
    matrix = complex_normal(rng, 6, 3)
    matrix[:, 1] = matrix[:, 0] + 1e-9 * matrix[:, 1]
    orthonormal, factor = matrix.copy(), np.empty((3, 3), dtype=complex)
    kernels.triangularize(orthonormal, factor)
    np.testing.assert_allclose(orthonormal @ factor, matrix, atol=1e-14)
    np.testing.assert_allclose(adjoint(orthonormal) @ orthonormal, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(factor, np.triu(factor))
    kernels.triangularize(np.zeros((6, 3), dtype=complex), factor)
    assert not factor.any()


def test_kept_steps_are_eliminated() -> None:
    rng = np.random.default_rng(8)
    rows, coupling = rng.standard_normal((2, 4)), rng.standard_normal((4, 3))
    own, head = np.array([5, 0, 2]), np.zeros((6, 6))
    factor, reduced = kernels.eliminate_kept(rows, coupling, own, head, 1e-15)
    kept = np.eye(4) + rows.T @ rows
    np.testing.assert_allclose(factor @ factor.T, kept, atol=1e-13)
    np.testing.assert_allclose(head[np.ix_(own, own)], coupling.T @ np.linalg.solve(kept, coupling), atol=1e-13)
    assert not np.delete(head, own, axis=0).any()
    right = rng.standard_normal(4)
    np.testing.assert_allclose(factor @ kernels.forward(factor, right), right, atol=1e-13)
    np.testing.assert_allclose(factor.T @ kernels.backward(factor, right), right, atol=1e-13)
    np.testing.assert_allclose(factor @ reduced, coupling, atol=1e-13)


def test_forms_of_the_leaves_in_scaled_coordinates() -> None:
    rng = np.random.default_rng(9)
    scaling, vectors = complex_normal(rng, 4, 2, 5, 5), complex_normal(rng, 4, 1, 5, 2)
    weights, leaf = random_hermitian(rng, 2, 3, 2, 2), np.array([1, 0, 1, 2])
    found = np.zeros((3, 3, 3))
    kernels.add_leaves(found, scaling, vectors, weights, leaf)
    seen = adjoint(scaling) @ vectors
    forms = svec(seen[:, :, None] @ weights @ adjoint(seen)[:, :, None])
    expected = np.zeros_like(found)
    np.add.at(expected, leaf, (forms @ forms.swapaxes(-1, -2)).sum(axis=1))
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())
