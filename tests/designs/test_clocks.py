"""Clock offsets: reference values of an independent derivation, limits, symmetries, finite differences of the mean."""

import math

import numpy as np
import pytest

from disac.designs import FisherOperator, clock_bias, crb, crb_from_fisher
from disac.simulator import Scenario, synthesize

NODES = [(-46.19, -19.13), (46.19, -19.13), (-19.13, -46.19), (19.13, -46.19)]


def reference_scene(n_nodes, target, bandwidth_hz):
    """The scene of the reference values: P_T / sigma^2 = 100 and known amplitudes."""
    rx, tx = np.indices((n_nodes, n_nodes))
    amplitudes = np.sqrt(10) * (1 + 0.5 * np.cos(rx - 2 * tx)) * np.exp(1j * (rx + 2 * tx))
    return Scenario(
        nodes=NODES[:n_nodes],
        targets=[target],
        users=[],
        bandwidth_hz=bandwidth_hz,
        amplitudes=amplitudes[..., None],
    )


def isotropic(scene, senders=None):
    """R_l = (P_T N / L) I on node l mod N, or (P_T / L) I on the antennas of the given nodes on every subcarrier."""
    n, m = scene.n_nodes, scene.n_tx
    covariances = np.zeros((scene.n_subcarriers, n, m, n, m), dtype=complex)
    for line in range(scene.n_subcarriers):
        for node in [line % n] if senders is None else senders:
            power = n if senders is None else 1
            covariances[line, node, :, node] = np.eye(m) * power / scene.n_subcarriers
    return covariances.reshape(scene.n_subcarriers, n * m, n * m)


TWO, FOUR = (2, (5.0, 10.0), 20e6), (4, (0.0, 10.0), 10e6)


def rcrb_mm(scene, covariances, clock_std_s, **options):
    return 1e3 * np.sqrt(np.trace(crb(scene, covariances, clock_std_s=clock_std_s, **options)))


@pytest.mark.parametrize(
    ("place", "expected_mm"),
    [
        (TWO, (3.063393, 3.063603, 3.076221, 3.095598, 3.096097)),
        (FOUR, (2.626687, 2.626730, 2.629918, 2.639193, 2.639572)),
    ],
)
def test_bound_with_clock_offsets_has_the_values_of_an_independent_derivation(place, expected_mm):
    scene = reference_scene(*place)
    for std_s, expected in zip((0.0, 1e-12, 1e-11, 1e-10, math.inf), expected_mm, strict=True):
        assert rcrb_mm(scene, isotropic(scene), std_s) == pytest.approx(expected, abs=6e-7)


@pytest.mark.parametrize(("place", "known_mm", "free_mm"), [(TWO, 4.271775, 4.738528), (FOUR, 5.115942, 5.465331)])
def test_one_sender_leaves_no_reverse_link_that_cancels_the_offsets(place, known_mm, free_mm):
    scene = reference_scene(*place)
    covariances = isotropic(scene, senders=[0])
    assert rcrb_mm(scene, covariances, 0.0) == pytest.approx(known_mm, abs=6e-7)
    assert rcrb_mm(scene, covariances, math.inf) == pytest.approx(free_mm, abs=6e-7)


@pytest.mark.parametrize(("place", "expected_mm"), [(TWO, (-1.1775, 25.4013)), (FOUR, (6.3515, -8.6017))])
def test_bias_of_ignored_offsets_per_nanosecond_at_node_1(place, expected_mm):
    scene = reference_scene(*place)
    offsets = np.zeros(scene.n_nodes)
    offsets[1] = 1e-9
    bias_mm = 1e3 * clock_bias(scene, isotropic(scene), offsets)
    assert bias_mm == pytest.approx(expected_mm, abs=6e-5)
    assert clock_bias(scene, isotropic(scene), -offsets) == pytest.approx(-1e-3 * bias_mm)
    assert clock_bias(scene, isotropic(scene), offsets + 3e-9) == pytest.approx(1e-3 * bias_mm)


def test_free_clocks_are_known_to_18_ps():
    scene = reference_scene(*TWO)
    information = FisherOperator(scene, clocks=True).apply(isotropic(scene))
    scale = np.sqrt(np.diag(information))
    covariance = np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
    assert 1e12 * np.sqrt(covariance[-1, -1]) == pytest.approx(17.6501, abs=6e-5)
    assert crb_from_fisher(information, 1) == pytest.approx(crb(scene, isotropic(scene), clock_std_s=math.inf))


def test_the_prior_counts_once_for_all_symbols():
    scene = reference_scene(*TWO)
    covariances, std_s, n_symbols = isotropic(scene), 1e-11, 16
    information = n_symbols * FisherOperator(scene, clocks=True).apply(covariances)
    information[-1, -1] += 1 / (2 * std_s**2)
    expected = crb_from_fisher(information, 1)
    assert crb(scene, covariances, n_symbols=n_symbols, clock_std_s=std_s) == pytest.approx(expected, rel=1e-9)
    assert rcrb_mm(scene, covariances, std_s, n_symbols=n_symbols) > rcrb_mm(scene, covariances, std_s) / 4


def test_limits_of_the_prior_and_a_single_node():
    scene = reference_scene(*FOUR)
    covariances = isotropic(scene)
    assert np.array_equal(crb(scene, covariances, clock_std_s=0.0), crb(scene, covariances))
    assert crb(scene, covariances, clock_std_s=1e-18) == pytest.approx(crb(scene, covariances), rel=1e-6)
    assert crb(scene, covariances, clock_std_s=1.0) == pytest.approx(
        crb(scene, covariances, clock_std_s=math.inf), rel=1e-6
    )
    alone = reference_scene(1, (5.0, 10.0), 20e6)
    assert np.array_equal(crb(alone, isotropic(alone), clock_std_s=math.inf), crb(alone, isotropic(alone)))


def test_the_node_that_the_others_are_compared_with_does_not_matter():
    scene = reference_scene(*FOUR)
    order = [2, 0, 3, 1]
    moved = scene.replace(
        nodes=scene.nodes[order],
        orientations=scene.orientations[order],
        amplitudes=scene.amplitudes[np.ix_(order, order)],
        subcarrier_allocation=np.argsort(order)[scene.subcarrier_allocation],
    )
    n, m = 4, scene.n_tx
    turned = isotropic(scene).reshape(-1, n, m, n, m)[:, order][:, :, :, order].reshape(-1, n * m, n * m)
    for std_s in (3e-12, math.inf):
        assert crb(moved, turned, clock_std_s=std_s) == pytest.approx(
            crb(scene, isotropic(scene), clock_std_s=std_s), rel=1e-8
        )


@pytest.mark.parametrize("mode", ["hybrid", "tof", "aoa", "tof-nuisance", "aoa-nuisance"])
@pytest.mark.parametrize("offsets_s", [None, (0.0, 4e-9, -7e-9, 2e-9)])
def test_derivatives_by_the_offsets_are_those_of_the_synthesized_mean(mode, offsets_s):
    rng = np.random.default_rng(7)
    scene = reference_scene(*FOUR).replace(targets=[[0.0, 10.0], [8.0, -3.0]], amplitudes=None, n_symbols=1)
    operator = FisherOperator(scene, mode, clocks=True, clock_offsets_s=offsets_s)
    shape = (scene.n_nodes, scene.n_tx, scene.n_subcarriers, 1)
    X = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    stacked = X[..., 0].transpose(2, 0, 1).reshape(scene.n_subcarriers, -1)
    slopes = np.einsum("pnlri,li->pnrl", operator.derivatives()[-3:], stacked)
    step = 1e-13
    for node, slope in zip((1, 2, 3), slopes, strict=True):
        up, down = (np.zeros(4) if offsets_s is None else np.array(offsets_s) for _ in range(2))
        up[node] += step
        down[node] -= step
        difference = synthesize(scene, X, clock_offsets_s=up) - synthesize(scene, X, clock_offsets_s=down)
        numeric = difference[..., 0] / (2 * step)
        assert np.abs(slope - numeric).max() < 1e-6 * np.abs(slope).max()


def test_offsets_change_the_bound_only_where_nodes_share_subcarriers():
    scene = reference_scene(*TWO)
    offsets = [0.0, 20e-9]
    alone, shared = isotropic(scene), isotropic(scene, senders=[0, 1])
    cross = np.full((scene.n_tx, scene.n_tx), 0.5 / scene.n_subcarriers)
    shared[:, : scene.n_tx, scene.n_tx :], shared[:, scene.n_tx :, : scene.n_tx] = cross, cross
    assert crb(scene, alone, clock_offsets_s=offsets) == pytest.approx(crb(scene, alone), rel=1e-9)
    assert crb(scene, shared, clock_offsets_s=offsets) != pytest.approx(crb(scene, shared), rel=1e-3)


@pytest.mark.parametrize("std_s", [-1e-12, math.nan, "1e-9", None, True])
def test_a_standard_deviation_that_is_none_is_refused(std_s):
    scene = reference_scene(*TWO)
    with pytest.raises(ValueError, match=r"clock_std_s = .*must be at least 0 s"):
        crb(scene, isotropic(scene), clock_std_s=std_s)


@pytest.mark.parametrize("offsets", [[0.0], [0.0, math.nan], [0.0, math.inf], "late", [[0.0, 1e-9]]])
def test_offsets_of_wrong_shape_or_value_are_refused(offsets):
    scene = reference_scene(*TWO)
    with pytest.raises(ValueError, match="clock_offsets_s"):
        clock_bias(scene, isotropic(scene), offsets)
    X = np.ones((2, 6, 16, 1), dtype=complex)
    with pytest.raises(ValueError, match="clock_offsets_s"):
        synthesize(scene, X, clock_offsets_s=offsets)
