"""The contract that every registered design keeps, and what is particular to single ones."""

from __future__ import annotations

import functools
import itertools
import pickle

import numpy as np
import pytest
from design_scenes import covariances_twin, scene, sinr_twin

from disac.designs import DEFAULT_SOLVER, Infeasible, Unidentifiable, crb, design, design_names
from disac.designs.convex import solve_certified
from disac.designs.problem.feasibility import largest_feasible_sinr
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.result import GAP_LIMIT, RESIDUAL_LIMIT

DESIGNS = design_names()
TIGHT = ("p2", "sensing-only", "single-node", "comm-only", "uniform")
"""Designs whose precoders lose nothing against the problem solved."""
UNBOUNDED = ("p3", "p4-p3")
"""Designs whose bound refers to another objective than the CRB of what is sent."""
SCENES = {
    "one of each": dict(n_nodes=2, n_targets=1, n_users=1),
    "two of each": dict(n_nodes=2, n_targets=2, n_users=2, seed=1),
    "three nodes": dict(n_nodes=3, n_targets=1, n_users=2, seed=2, n_tx=2, n_subcarriers=4),
    "one node": dict(n_nodes=1, n_targets=1, n_users=2, seed=3, n_subcarriers=3),
}


def scene_for(name, **fields):
    """A scene; for designs that limit sidelobes one with enough subcarriers that every node has some."""
    if name.startswith("p4"):
        fields["n_subcarriers"] = 4 * fields.get("n_nodes", 2) + 1
    return scene(**fields)


def limits_for(name, sidelobe_db):
    """A sidelobe level for the designs that take one; equal power's is the lowest of P.3's signals without users."""
    return {"sidelobe_db": sidelobe_db} if name.startswith("p4") else {}


@functools.cache
def solved(name, key, sinr_db=5.0, solver=DEFAULT_SOLVER):
    """The result of a design, or the largest threshold it can do below the one asked for."""
    scenario = scene_for(name, **SCENES[key])
    try:
        return design(name, scenario, sinr_db, solver=solver)
    except Infeasible as refusal:
        return design(name, scenario, refusal.largest_feasible_sinr_db - 0.1, solver=solver)


@pytest.fixture(params=SCENES, scope="module")
def key(request):
    return request.param


@pytest.fixture(params=DESIGNS, scope="module")
def result(request, key):
    return solved(request.param, key)


def test_is_solved(result):
    assert result.status == "solved"
    assert 0 <= result.gap <= GAP_LIMIT
    assert result.certificate.residual <= RESIDUAL_LIMIT
    assert result.lower_bound > 0


def test_power_and_sinr_recomputed_from_what_is_sent(result):
    scenario = result.scenario
    sent = covariances_twin(result.comm_precoders, result.radar_precoders)
    unit = scenario.tx_power / scenario.n_subcarriers
    np.testing.assert_allclose(result.covariances, sent, rtol=0, atol=1e-12 * unit)
    power = np.einsum("lii->i", sent).real
    assert power.max() <= scenario.tx_power * (1 + 1e-9)
    np.testing.assert_allclose(result.certificate.antenna_power, power, rtol=1e-12)
    sinr = sinr_twin(scenario, result.comm_precoders, result.radar_precoders)
    np.testing.assert_allclose(result.certificate.sinr, sinr, rtol=1e-9)
    if result.sinr_db is not None and scenario.n_users:
        assert sinr.min() >= 10 ** (result.sinr_db / 10) * (1 - 1e-9)


def test_covariances_are_hermitian_and_semidefinite(result):
    unit = result.scenario.tx_power / result.scenario.n_subcarriers
    assert np.abs(result.covariances - result.covariances.conj().swapaxes(1, 2)).max() <= 1e-12 * unit
    assert np.linalg.eigvalsh(result.covariances).min() >= -1e-12 * unit


def test_value_is_the_crb_of_what_is_sent(result):
    bound = np.trace(crb(result.scenario, covariances_twin(result.comm_precoders, result.radar_precoders)))
    assert result.value == pytest.approx(bound, rel=1e-9)


def test_bounds_are_in_order(result):
    assert result.lower_bound <= result.relaxed_value
    if result.name not in UNBOUNDED:
        assert result.lower_bound <= result.value * (1 + 1e-12)
    if result.name in TIGHT:
        assert abs(result.extraction_loss) <= 1e-9


def test_shapes_name_nodes_users_and_streams(result):
    s = result.scenario
    assert result.comm_precoders.shape == (s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx)
    assert result.radar_precoders.shape[:3] == (s.n_nodes, s.n_subcarriers, s.n_tx)
    assert result.radar_precoders.shape[3] in (s.n_tx, s.n_nodes * s.n_tx)


def test_results_and_refusals_can_be_sent_between_processes(result):
    copy = pickle.loads(pickle.dumps(result))
    assert copy.value == result.value
    refusal = Infeasible("p2", 40.0, 30.0)
    copy = pickle.loads(pickle.dumps(refusal))
    assert (copy.largest_feasible_sinr_db, str(copy)) == (30.0, str(refusal))


@pytest.mark.parametrize("name", DESIGNS)
def test_too_much_sinr_is_refused_with_the_edge(name):
    scenario = scene_for(name, n_users=2, n_subcarriers=2)
    if name == "sensing-only":
        assert design(name, scenario, 100.0).sinr_db is None
        return
    with pytest.raises(Infeasible, match=r"feasible up to [\d.]+ dB") as caught:
        design(name, scenario, 100.0)
    edge = caught.value.largest_feasible_sinr_db
    assert edge < 100
    usable = float(str(caught.value).split("feasible up to ")[1].removesuffix(" dB"))
    assert edge - 0.0021 < usable < edge - 0.0009
    loose = limits_for(name, -1e-3)
    assert design(name, scenario, usable, **loose).status == "solved"
    near = design(name, scenario, edge - 0.1, **loose)
    assert near.status == "solved"
    assert near.certificate.sinr.min() >= 10 ** ((edge - 0.1) / 10) * (1 - 1e-9)
    if name in ("p1", "p2"):
        with pytest.raises(Infeasible):
            design(name, scenario, edge + 0.001)


@pytest.mark.parametrize("name", DESIGNS)
def test_without_users(name):
    scenario = scene_for(name, n_users=0, n_subcarriers=4)
    if name == "comm-only":
        with pytest.raises(ValueError, match="users"):
            design(name, scenario, 10.0)
        return
    result = design(name, scenario, 10.0, **limits_for(name, -6.0))
    assert result.status == "solved"
    assert result.comm_precoders.shape == (result.scenario.n_nodes, 0, scenario.n_subcarriers, 3)


@pytest.mark.parametrize("name", DESIGNS)
def test_without_a_threshold_users_ask_for_nothing(name):
    result = design(name, scene_for(name, n_users=2, n_subcarriers=4), None, **limits_for(name, -6.0))
    assert result.status == "solved"
    assert result.sinr_db is None
    assert result.certificate.sinr_shortfall == 0


def test_unknown_names_and_values_are_refused():
    scenario = scene()
    with pytest.raises(ValueError, match=r"design = 'uniforn': must be one of .*p1, .*; did you mean 'uniform'\?"):
        design("uniforn", scenario, 10.0)
    with pytest.raises(ValueError, match=r"solver = 'glpk': must be one of native"):
        design("p2", scenario, 10.0, solver="glpk")
    with pytest.raises(ValueError, match=r"sinr_db = nan"):
        design("p2", scenario, float("nan"))


def test_a_target_that_no_signal_can_locate():
    in_line = scene(n_nodes=1, n_users=1, n_rx=1, n_tx=1)
    with pytest.raises(Unidentifiable):
        design("p2", in_line, 0.0)


@pytest.mark.parametrize("key", ["one of each", "two of each", "three nodes"])
def test_more_freedom_bounds_lower(key):
    chain = [solved(name, key) for name in ("sensing-only", "p1", "p1-noncoherent", "p2", "p3-true")]
    for freer, tighter in itertools.pairwise(chain):
        assert freer.lower_bound <= tighter.relaxed_value, (freer.name, tighter.name)
    assert solved("p1-noncoherent", key).value <= solved("p2", key).value * (1 + GAP_LIMIT)


@pytest.mark.parametrize("key", ["one of each", "two of each", "three nodes"])
def test_uncorrelated_nodes_do_not_care_for_phases(key):
    from disac.designs.bounds.phases import crb_over_phases

    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (5, SCENES[key]["n_nodes"]))
    for name in ("p1-noncoherent", "p2", "p3-true"):
        result = solved(name, key)
        np.testing.assert_allclose(
            crb_over_phases(result.scenario, result.covariances, phases), result.value, rtol=1e-8
        )
    joint = solved("sensing-only", key)
    spread = crb_over_phases(joint.scenario, joint.covariances, phases)
    assert spread.mean() > joint.value


@pytest.mark.parametrize("key", ["one of each", "two of each", "three nodes"])
def test_one_node_per_user_and_subcarrier_sends_data_without_loss(key):
    """Uncorrelated nodes, and for the nodes that serve, the CRB sent is the relaxed one: Theorem 2 applies."""
    result = solved("p1-noncoherent", key)
    s = result.scenario
    sending = np.abs(result.comm_precoders).max(axis=3) > 1e-9
    assert np.all(sending.sum(axis=0) == 1)
    served = RelaxedProblem(s, "block-diagonal", result.sinr_db, data_from=sending)
    certified = solve_certified("test", served, "native")
    assert certified.bound.value * (1 - GAP_LIMIT) <= result.value <= certified.bound.value * (1 + GAP_LIMIT)
    blocks = result.covariances.reshape(s.n_subcarriers, s.n_nodes, s.n_tx, s.n_nodes, s.n_tx)
    between = blocks.transpose(1, 3, 0, 2, 4)[~np.eye(s.n_nodes, dtype=bool)]
    assert not between.any()


def test_several_servers_near_the_edge_are_said_to_correlate_nodes():
    """Beyond what one server per symbol reaches the CRB depends on the phases, and its mean keeps the bound."""
    from disac.designs.bounds.phases import crb_over_phases

    s = scene(**SCENES["one of each"])
    everywhere = np.ones((s.n_nodes, s.n_subcarriers), dtype=bool)
    result = design("p1-noncoherent", s, largest_feasible_sinr(s, everywhere).sinr_db - 0.01)
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (200, s.n_nodes))
    assert result.correlates_nodes
    assert not solved("p1-noncoherent", "one of each").correlates_nodes
    assert not solved("p2", "one of each").correlates_nodes
    over_phases = crb_over_phases(s, result.covariances, phases)
    assert over_phases.mean() > result.lower_bound
    assert np.ptp(over_phases) > 0.01 * result.value


def test_effort_of_block_diagonal_p1_counts_every_problem_it_solves():
    result = solved("p1-noncoherent", "two of each")
    relaxed = solve_certified(
        "test", RelaxedProblem(result.scenario, "block-diagonal", result.sinr_db), "native"
    ).solution
    assert result.iterations > relaxed.iterations


def test_p2_sends_on_its_own_subcarriers_only():
    result = solved("p2", "two of each")
    owner = result.scenario.subcarrier_node
    for node in range(result.scenario.n_nodes):
        assert not result.comm_precoders[node][:, owner != node].any()
        assert not result.radar_precoders[node][owner != node].any()


@pytest.mark.parametrize("name", ["p3", "p3-true"])
def test_beamforming_radar_is_the_same_on_all_subcarriers_of_a_node(name):
    result = solved(name, "two of each")
    for node in range(2):
        own = result.radar_precoders[node][result.scenario.subcarrier_node == node]
        radar = own @ own.conj().swapaxes(1, 2)
        np.testing.assert_allclose(radar, np.broadcast_to(radar[0], radar.shape), atol=1e-12)


def test_single_node_is_the_best_of_its_nodes():
    from disac.designs.catalogue.single_node import scenario_of_node

    scenario = scene(**SCENES["two of each"])
    best = solved("single-node", "two of each")
    values = [design("p2", scenario_of_node(scenario, node), best.sinr_db).value for node in range(2)]
    assert best.value == pytest.approx(min(values), rel=GAP_LIMIT)
