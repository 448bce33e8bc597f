"""The Fisher operator against the numerically differentiated mean, Appendix A and its own derivative matrices."""

from __future__ import annotations

import re

import fisher_twin
import numpy as np
import pytest
from appendix_a import Appendix
from fisher_scenes import circular, random_covariances, random_scenario, random_symbols, scaled_error, twin_scene

from disac.designs import MODES, FisherOperator, InformationBlocks, fisher_information, sample_covariances
from disac.simulator import synthesize

OWN_MODES = ("hybrid", "tof", "aoa", "tof-nuisance", "aoa-nuisance")
SCENES = {
    "general": {},
    "one node": {"n_nodes": 1},
    "four nodes, one target": {"n_nodes": 4, "n_targets": 1},
    "three targets": {"n_nodes": 2, "n_targets": 3, "seed": 5},
    "one transmit antenna": {"n_nodes": 2, "n_tx": 1},
    "one receive antenna": {"n_nodes": 2, "n_rx": 1},
    "one subcarrier per node": {"n_subcarriers": 3},
}
N_SYMBOLS = 5


@pytest.fixture(params=SCENES.values(), ids=SCENES.keys())
def scenario(request):
    return random_scenario(**request.param)


@pytest.mark.parametrize("mode", OWN_MODES)
def test_information_of_a_signal_equals_that_of_the_differentiated_mean(scenario, mode):
    symbols = random_symbols(scenario, N_SYMBOLS)
    information = fisher_information(scenario, sample_covariances(symbols), mode, N_SYMBOLS)
    assert scaled_error(information, fisher_twin.fisher(twin_scene(scenario, symbols), mode)) < 1e-11


@pytest.mark.parametrize("mode", ["hybrid", "tof", "aoa"])
def test_information_equals_the_corrected_blocks_of_appendix_a(scenario, mode):
    symbols = random_symbols(scenario, N_SYMBOLS)
    information = fisher_information(scenario, sample_covariances(symbols), mode, N_SYMBOLS)
    assert scaled_error(information, Appendix(scenario, symbols, mode).of_positions()) < 1e-12


def test_corrected_blocks_of_appendix_a_equal_the_differentiated_mean_in_the_parameters_of_eq_8(scenario):
    symbols = random_symbols(scenario, N_SYMBOLS)
    expected = fisher_twin.fisher(twin_scene(scenario, symbols), "eq8")
    assert scaled_error(Appendix(scenario, symbols).of_eq8(), expected) < 1e-11


def test_information_equals_central_differences_of_the_synthesized_mean():
    scenario = random_scenario(n_nodes=2)
    symbols = random_symbols(scenario, N_SYMBOLS)
    slopes = []
    for axis in range(2):
        for target in range(scenario.n_targets):
            step = np.zeros((scenario.n_targets, 2))
            step[target, axis] = 0.05
            difference = sum(
                weight * sign * synthesize(scenario.replace(targets=scenario.targets + sign * i * step), symbols)
                for i, weight in {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}.items()
                for sign in (1, -1)
            )
            slopes.append(difference.ravel() / 0.05)
    derivatives = np.array(slopes)
    expected = 2 / scenario.noise_sense_per_subcarrier * (derivatives.conj() @ derivatives.T).real
    information = fisher_information(scenario, sample_covariances(symbols), "hybrid", N_SYMBOLS)
    n = len(expected)
    assert scaled_error(information[:n, :n], expected) < 1e-8


@pytest.mark.parametrize("mode", ["hybrid", "aoa-nuisance"])
def test_derivative_matrices_give_the_information(scenario, mode):
    operator = FisherOperator(scenario, mode)
    covariances = random_covariances(scenario)
    derivatives = operator.derivatives()
    assert derivatives.shape == (
        operator.n_parameters,
        scenario.n_nodes,
        scenario.n_subcarriers,
        scenario.n_rx,
        operator.dimension,
    )
    expected = operator.scale * np.einsum(
        "pnlri,qnlrj,lji->pq", derivatives.conj(), derivatives, covariances, optimize=True
    )
    assert scaled_error(operator.apply(covariances), expected.real) < 1e-12


@pytest.mark.parametrize("mode", ["hybrid", "tof-nuisance"])
def test_derivative_factors_keep_every_product_over_the_receive_antennas(scenario, mode):
    operator = FisherOperator(scenario, mode)
    factors = operator.derivative_factors()
    n_nodes, n_targets, rank = factors.receive.shape
    assert rank == min(scenario.n_rx, 2 * n_targets)
    shape = (n_nodes, n_nodes, n_targets, n_nodes, scenario.n_subcarriers, rank, n_nodes, scenario.n_tx)
    of_amplitudes = np.zeros(shape, dtype=complex)
    for n in range(n_nodes):
        for m in range(n_nodes):
            for k in range(n_targets):
                outer = factors.receive[n, k][None, :, None] * factors.transmit[n, m, k][:, None, :]
                of_amplitudes[n, m, k, n, :, :, m] = outer
    of_amplitudes = of_amplitudes.reshape(-1, n_nodes, scenario.n_subcarriers, rank, operator.dimension)
    positions, nuisance = np.split(factors.geometry, [2 * n_targets])
    compressed = np.concatenate([positions, of_amplitudes, 1j * of_amplitudes, nuisance])
    covariances = random_covariances(scenario)
    expected = factors.scale * np.einsum(
        "pnlri,qnlrj,lji->pq", compressed.conj(), compressed, covariances, optimize=True
    )
    assert scaled_error(operator.apply(covariances), expected.real) < 1e-12


@pytest.mark.parametrize("mode", OWN_MODES)
def test_adjoint_identity(scenario, mode):
    rng = np.random.default_rng(0)
    operator = FisherOperator(scenario, mode)
    root = circular(rng, scenario.n_subcarriers, operator.dimension, operator.dimension)
    covariances = root + root.conj().swapaxes(1, 2)
    scale = np.diag(operator.apply(random_covariances(scenario))).copy()
    scale[scale == 0] = 1.0
    weights = rng.standard_normal((operator.n_parameters,) * 2) / np.sqrt(np.outer(scale, scale))
    information = operator.apply(covariances)
    adjoint = operator.adjoint(weights)
    left = np.sum(information * weights)
    right = np.einsum("lij,lji->", adjoint, covariances)
    size = np.linalg.norm(information * np.sqrt(np.outer(1 / scale, 1 / scale))) * np.linalg.norm(
        weights * np.sqrt(np.outer(scale, scale))
    )
    assert abs(left - right) < 1e-13 * size
    assert np.array_equal(adjoint, adjoint.conj().swapaxes(1, 2))


@pytest.mark.parametrize("mode", OWN_MODES)
def test_adjoint_of_a_vector_is_the_gram_matrix_of_the_derivative_along_it(mode):
    scenario = random_scenario()
    operator = FisherOperator(scenario, mode)
    direction = np.random.default_rng(4).standard_normal(operator.n_parameters)
    direction /= np.sqrt(np.diag(operator.apply(random_covariances(scenario))))
    along = np.tensordot(direction, operator.derivatives(), axes=1)
    expected = operator.scale * np.einsum("nlri,nlrj->lij", along.conj(), along)
    np.testing.assert_allclose(
        operator.adjoint(np.outer(direction, direction)), expected, rtol=0, atol=1e-13 * np.abs(expected).max()
    )


def test_operator_is_linear_and_symmetric(scenario):
    operator = FisherOperator(scenario)
    first, second = random_covariances(scenario, 1), random_covariances(scenario, 2)
    combined = operator.apply(0.3 * first - 2.0 * second)
    separate = 0.3 * operator.apply(first) - 2.0 * operator.apply(second)
    assert np.array_equal(combined, combined.T)
    np.testing.assert_allclose(combined, separate, rtol=0, atol=1e-13 * np.abs(separate).max())
    reference = operator.apply(first + second)
    assert scaled_error(operator.apply(first) + operator.apply(second), reference) < 1e-13


def test_sample_covariances_are_means_over_the_symbols():
    scenario = random_scenario()
    symbols = random_symbols(scenario, N_SYMBOLS)
    covariances = sample_covariances(symbols)
    stacked = symbols.reshape(-1, scenario.n_subcarriers, N_SYMBOLS)
    for subcarrier in range(scenario.n_subcarriers):
        mean = sum(np.outer(x, x.conj()) for x in stacked[:, subcarrier].T) / N_SYMBOLS
        np.testing.assert_allclose(covariances[subcarrier], mean, rtol=1e-12)


@pytest.mark.parametrize(("short", "long"), [("tof", "tof-genie"), ("aoa", "aoa-genie")])
def test_genie_modes_have_two_names(short, long):
    scenario = random_scenario()
    covariances = random_covariances(scenario)
    assert np.array_equal(
        fisher_information(scenario, covariances, short), fisher_information(scenario, covariances, long)
    )


@pytest.mark.parametrize("mode", ["tof", "aoa"])
def test_nuisance_parameters_are_appended_at_the_end(mode):
    scenario = random_scenario()
    covariances = random_covariances(scenario)
    genie = fisher_information(scenario, covariances, mode)
    nuisance = fisher_information(scenario, covariances, f"{mode}-nuisance")
    assert len(nuisance) == len(genie) + scenario.n_nodes * scenario.n_targets
    assert scaled_error(nuisance[: len(genie), : len(genie)], genie) < 1e-14


def test_symbols_add_up():
    scenario = random_scenario(n_symbols=3)
    covariances = random_covariances(scenario)
    one = fisher_information(scenario, covariances)
    np.testing.assert_allclose(fisher_information(scenario, covariances, n_symbols=16), 16 * one, rtol=1e-15)


@pytest.mark.parametrize("mode", OWN_MODES)
def test_with_amplitudes_equals_a_new_operator_and_leaves_the_old_one(mode):
    scenario = random_scenario()
    covariances = random_covariances(scenario)
    amplitudes = circular(np.random.default_rng(9), *scenario.amplitudes.shape)
    operator = FisherOperator(scenario, mode)
    before = operator.apply(covariances)
    turned = operator.with_amplitudes(amplitudes)
    expected = fisher_information(scenario.replace(amplitudes=amplitudes), covariances, mode)
    assert np.array_equal(turned.apply(covariances), expected)
    assert np.array_equal(FisherOperator(scenario, mode, amplitudes).apply(covariances), expected)
    assert np.array_equal(operator.apply(covariances), before)


@pytest.mark.parametrize("mode", OWN_MODES)
def test_blocks_and_matrix_hold_the_same(scenario, mode):
    information = fisher_information(scenario, random_covariances(scenario), mode)
    blocks = InformationBlocks.from_matrix(information, scenario.n_targets)
    assert blocks.n_nodes == scenario.n_nodes
    assert np.array_equal(blocks.matrix(), information)


def test_sizes_of_different_node_numbers_and_modes_are_never_confused():
    sizes = {}
    for n_targets in range(1, 6):
        for n_nodes in range(1, 40):
            for size in (
                2 * n_targets * (1 + n_nodes**2),
                2 * n_targets * (1 + n_nodes**2) + n_nodes * n_targets,
            ):
                assert sizes.setdefault((n_targets, size), n_nodes) == n_nodes


WRONG_INPUT = {
    "mode = 'angles': must be one of hybrid, tof": lambda s, R: fisher_information(s, R, "angles"),
    "covariances: has shape (6, 12, 12), must have shape (7, 12, 12)": lambda s, R: fisher_information(s, R[:-1]),
    "covariances: has shape (12, 12), must have shape (7, 12, 12)": lambda s, R: FisherOperator(s).apply(R[0]),
    "every entry must be finite": lambda s, R: fisher_information(s, R * np.nan),
    "differs from its Hermitian transpose by 0.002": lambda s, R: fisher_information(s, R + 1e-3j),
    "n_symbols = 0: must be a whole number, at least 1": lambda s, R: fisher_information(s, R, n_symbols=0),
    "weights: has shape (3, 3), must have shape (40, 40)": lambda s, R: FisherOperator(s).adjoint(np.eye(3)),
    "amplitudes: has shape (3,), must have shape (3, 3, 2)": lambda s, R: FisherOperator(s, amplitudes=np.ones(3)),
    "information: has shape (41, 41), must be square": lambda s, R: InformationBlocks.from_matrix(np.eye(41), 2),
    "information: is not symmetric": lambda s, R: InformationBlocks.from_matrix(np.tri(40), 2),
}


@pytest.mark.parametrize(("message", "call"), WRONG_INPUT.items(), ids=WRONG_INPUT.keys())
def test_wrong_input_is_named(message, call):
    scenario = random_scenario()
    with pytest.raises(ValueError, match=re.escape(message)):
        call(scenario, random_covariances(scenario))


def test_modes_are_listed():
    assert set(OWN_MODES) | {"tof-genie", "aoa-genie"} == set(MODES)
