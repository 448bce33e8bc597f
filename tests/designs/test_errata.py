"""Every figure of docs/errata.md, computed again; ``python tests/test_errata.py`` prints them for the page."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import fisher_twin
import numpy as np
import pytest
from appendix_a import BLOCK_MISPRINTS, Appendix
from fisher_scenes import circular, random_scenario, random_symbols, scaled_error, twin_scene

from disac.designs import Bound, FisherOperator, crb, crb_from_blocks, fisher_information, sample_covariances
from disac.simulator import Scenario

PAGE = Path(__file__).parents[2] / "docs" / "errata.md"


@cache
def general():
    """N = 3, K = 2, M_t = 4, M_r = 3, L = 7, b_nm != b_mn, rotated arrays, and one signal of five symbols."""
    scenario = random_scenario()
    return scenario, random_symbols(scenario, 5)


def uniform_interleaved(scenario):
    """All antennas of node l mod N at equal power, uncorrelated, full power over all subcarriers."""
    s = scenario
    serves = np.arange(s.n_nodes)[None, :] == s.subcarrier_node[:, None]
    share = serves / serves.sum(axis=0) * s.tx_power
    return np.einsum("ld,de->lde", np.repeat(share, s.n_tx, axis=1), np.eye(s.n_nodes * s.n_tx, dtype=complex))


def rcrb(scenario, mode="hybrid"):
    return Bound(crb(scenario, uniform_interleaved(scenario), mode)).total


@cache
def misprint_error(name):
    """Largest entry error, relative to sqrt(F_pp F_qq), that one misprint of Appendix A makes."""
    scenario, symbols = general()
    expected = fisher_twin.fisher(twin_scene(scenario, symbols), "eq8")
    return scaled_error(Appendix(scenario, symbols, printed=(name,)).of_eq8(), expected)


@cache
def appendix_without_misprints():
    scenario, symbols = general()
    expected = fisher_twin.fisher(twin_scene(scenario, symbols), "eq8")
    return scaled_error(Appendix(scenario, symbols).of_eq8(), expected)


@cache
def broadside_ratio():
    """RCRB of AOA with every array facing +x, over that with arrays facing the origin, nodes of Fig. 4."""
    scenario = Scenario.preset("fig4")
    return rcrb(scenario.replace(orientations=np.zeros(4)), "aoa") / rcrb(scenario, "aoa")


@cache
def score_covariance_ratio():
    """Variance of the score of Eq. (10) as printed over the Fisher information, by simulation of one parameter."""
    scenario, symbols = general()
    derivative = fisher_twin.jacobian_of_mean(twin_scene(scenario, symbols), "hybrid")[0]
    variance = scenario.noise_sense_per_subcarrier
    noise = np.sqrt(variance) * circular(np.random.default_rng(0), 4000, derivative.size)
    printed_score = 2 * (noise @ derivative.conj()).real
    return np.var(printed_score) / (2 / variance * np.vdot(derivative, derivative).real) / variance**2


@cache
def position_share_of_printed_trace():
    """Share of the positions in the trace of Eq. (13) as printed, which sums square metres and amplitudes squared."""
    scenario = Scenario.preset("fig4")
    information = fisher_information(scenario, uniform_interleaved(scenario))
    root = np.sqrt(np.diag(information))
    inverse = np.linalg.inv(information / np.outer(root, root)) / np.outer(root, root)
    return np.trace(inverse[:4, :4]) / np.trace(inverse)


def column_products(a, b):
    return np.stack([np.kron(x, y) for x, y in zip(a.T, b.T, strict=True)], axis=1)


@cache
def lemma_1_error():
    """Eq. (16) with column-wise products against V^H V, relative."""
    rng = np.random.default_rng(1)
    X_i, X_j = circular(rng, 4, 7), circular(rng, 4, 7)
    A_i, A_j, D_i, D_j = circular(rng, 4, 2), circular(rng, 4, 2), circular(rng, 7, 2), circular(rng, 7, 2)
    direct = ((X_i.T @ A_i) * D_i).conj().T @ ((X_j.T @ A_j) * D_j)
    middle = column_products(X_i.conj(), np.eye(7)) @ column_products(X_j, np.eye(7)).T
    lemma = column_products(A_i, D_i).conj().T @ middle @ column_products(A_j, D_j)
    return np.max(np.abs(direct - lemma)) / np.max(np.abs(direct))


@cache
def transposed_block_error():
    """E[x_i^* x_j^T] against R_ij^T as printed below Eq. (17), and against R_ji^T, relative."""
    rng = np.random.default_rng(2)
    x_i, x_j = circular(rng, 4, 100), circular(rng, 4, 100) + 0.5
    x_j = x_j + x_i
    moment = x_i.conj() @ x_j.T
    R_ij = x_i @ x_j.conj().T
    printed = np.linalg.norm(moment - R_ij.T) / np.linalg.norm(moment)
    return printed, np.linalg.norm(moment - R_ij.conj()) / np.linalg.norm(moment)


@cache
def single_antenna_ratio():
    """RCRB of TOF with one receive antenna over that with the paper's six and known angles, K = 1."""
    scenario = Scenario.preset("fig7")
    return rcrb(scenario.replace(n_rx=1), "tof") / rcrb(scenario, "tof")


@cache
def nuisance_ratio(quantity):
    """RCRB with the other quantity unknown over that with it known, Fig. 4."""
    scenario = Scenario.preset("fig4")
    return rcrb(scenario, f"{quantity}-nuisance") / rcrb(scenario, quantity)


@cache
def realized_excess(n_symbols):
    """Root-mean realized bound over the expected one, minus 1, Gaussian symbols, Fig. 4."""
    scenario = Scenario.preset("fig4")
    rng = np.random.default_rng(3)
    covariances = uniform_interleaved(scenario)
    root = np.sqrt(np.einsum("lii->il", covariances).real).reshape(scenario.n_nodes, scenario.n_tx, -1, 1)
    operator = FisherOperator(scenario)
    realized = [
        np.trace(crb_from_blocks(operator.blocks(sample_covariances(root * circular(rng, *root.shape[:3], n_symbols)))))
        for _ in range(300)
    ]
    return np.sqrt(np.mean(realized)) / rcrb(scenario) - 1


@cache
def phase_spread():
    """Largest over smallest RCRB of 64 inter-node phase draws, correlated node signals at equal power, Fig. 7."""
    scenario = Scenario.preset("fig7")
    rng = np.random.default_rng(4)
    operator = FisherOperator(scenario)
    roots = circular(rng, scenario.n_subcarriers, operator.dimension, 6)
    covariances = roots @ roots.conj().swapaxes(1, 2)
    bounds = []
    for _ in range(64):
        phases = rng.uniform(0, 2 * np.pi, scenario.n_nodes)
        amplitudes = scenario.amplitudes * np.exp(1j * (phases[None, :] - phases[:, None]))[..., None]
        bounds.append(Bound(crb_from_blocks(operator.with_amplitudes(amplitudes).blocks(covariances))).total)
    return max(bounds) / min(bounds)


FIGURES = {
    "appendix-a-corrected": appendix_without_misprints,
    **{f"appendix-a {name}": lambda name=name: misprint_error(name) for name in BLOCK_MISPRINTS},
    "broadside-aoa-rcrb-ratio": broadside_ratio,
    "score-covariance-over-sigma^4-F": score_covariance_ratio,
    "position-share-of-trace-13": position_share_of_printed_trace,
    "lemma-1-columnwise": lemma_1_error,
    "block-17-printed": lambda: transposed_block_error()[0],
    "block-17-corrected": lambda: transposed_block_error()[1],
    "single-antenna-tof-rcrb-ratio": single_antenna_ratio,
    "tof-nuisance-over-genie": lambda: nuisance_ratio("tof"),
    "aoa-nuisance-over-genie": lambda: nuisance_ratio("aoa"),
    **{f"realized-excess T={t}": lambda t=t: realized_excess(t) for t in (1, 4, 16)},
    "phase-spread": phase_spread,
}


def page_claims():
    """(name, relation, printed value) of every figure on the page."""
    return re.findall(r"`([^`]+)` (=|<) (\d+(?:\.\d+)?(?:e[-+]?\d+)?)", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "relation", "printed"), page_claims())
def test_figure_of_the_page_is_what_is_computed(name, relation, printed):
    computed = FIGURES[name]()
    if relation == "<":
        assert computed < float(printed)
    else:
        assert computed == pytest.approx(float(printed), rel=6e-4)


def test_page_and_figures_have_the_same_names():
    assert {name for name, *_ in page_claims()} == set(FIGURES)


@pytest.mark.parametrize("name", BLOCK_MISPRINTS)
def test_each_misprint_of_appendix_a_is_one(name):
    assert misprint_error(name) > 0.1


def test_zeroing_the_arrays_leaves_no_information():
    assert not np.any(Appendix(*general(), printed=("V-A TOF",)).of_eq8())


def test_zeroing_the_delay_matrix_leaves_delays_and_removes_angles():
    scenario, symbols = general()
    information = Appendix(scenario, symbols, printed=("V-A AOA",)).of_eq8()
    links = scenario.n_nodes * scenario.n_targets
    delays = slice(links, 2 * links)
    right = Appendix(scenario, symbols).of_eq8()
    np.testing.assert_allclose(information[delays, delays], right[delays, delays])
    information[delays, delays] = 0
    assert not np.any(information)


@pytest.mark.statistical(false_alarm=1e-10)
def test_simulated_score_agrees_with_its_closed_form():
    tolerance = 7 * np.sqrt(2 / 4000)
    assert score_covariance_ratio() == pytest.approx(1.0, abs=tolerance)
    assert 2 * score_covariance_ratio() != pytest.approx(1.0, abs=tolerance)


def test_printed_lmi_of_a_silent_amplitude_is_infeasible():
    scenario, _ = general()
    covariances = np.zeros((scenario.n_subcarriers, 12, 12), dtype=complex)
    covariances[:, :8, :8] = np.eye(8)
    information = fisher_information(scenario, covariances)
    silent = int(np.flatnonzero(np.diag(information) == 0)[0])
    for t in (1e-3, 1.0, 1e12):
        assert np.linalg.eigvalsh([[information[silent, silent], 1.0], [1.0, t]])[0] < 0


def test_phases_matter_only_to_signals_that_are_correlated_between_nodes():
    assert phase_spread() > 1.01
    assert single_antenna_ratio() == pytest.approx(np.sqrt(6), rel=1e-9)


if __name__ == "__main__":
    for name, figure in FIGURES.items():
        print(f"`{name}` = {figure():.4g}")
