"""The contract that every registered design keeps, and what is particular to single ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from design_scenes import scene

from disac.designs import Infeasible, Unidentifiable, design, design_names
from disac.designs.convex import solve_certified
from disac.designs.problem.feasibility import largest_feasible_sinr
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.result import GAP_LIMIT
from disac.simulator import Scenario
from disac.testing.designs import SCENE_CHECKS, SINGLE_CHECKS, design_scenes, solved

DESIGNS = design_names()


@pytest.mark.parametrize("key", design_scenes("p2"))
@pytest.mark.parametrize("check", SCENE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", DESIGNS)
def test_contract_in_every_scene(name, check, key):
    check(name, key)


@pytest.mark.parametrize("check", SINGLE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", DESIGNS)
def test_contract(name, check):
    check(name)


@pytest.mark.parametrize("name", ["p1", "p2"])
def test_just_beyond_the_edge_is_refused(name):
    scenario = scene(n_users=2, n_subcarriers=2)
    with pytest.raises(Infeasible) as caught:
        design(name, scenario, 100.0)
    with pytest.raises(Infeasible):
        design(name, scenario, caught.value.largest_feasible_sinr_db + 0.001)


def test_proofs_hold_where_a_problem_has_some_freedom():
    with pytest.raises(Infeasible) as caught:
        design("p2", scene(n_users=2, n_subcarriers=2), 100.0)
    assert caught.value.proof is not None


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

    n_nodes = design_scenes("p2")[key].n_nodes
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (5, n_nodes))
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

    s = design_scenes("p2")["one of each"]
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

    scenario = design_scenes("p2")["two of each"]
    best = solved("single-node", "two of each")
    values = [design("p2", scenario_of_node(scenario, node), best.sinr_db).value for node in range(2)]
    assert best.value == pytest.approx(min(values), rel=GAP_LIMIT)


def test_single_node_passes_over_a_blind_node():
    """Node 0 hears no echo of its own."""
    from disac.designs.catalogue.single_node import scenario_of_node

    scenario = scene(n_nodes=2, n_targets=1, n_users=1)
    amplitudes = scenario.amplitudes.copy()
    amplitudes[0, 0] = 0
    result = design("single-node", scenario.replace(amplitudes=amplitudes), 3.0)
    assert result.value == pytest.approx(design("p2", scenario_of_node(scenario, 1), 3.0).value, rel=GAP_LIMIT)
    amplitudes[1, 1] = 0
    with pytest.raises(Unidentifiable):
        design("single-node", scenario.replace(amplitudes=amplitudes), 3.0)


def test_p1_with_one_antenna_looks_further_than_signals_that_localize_nothing():
    """Data fitted into R_l do not localize here; Clarabel's covariances have the CRB 1.19985e-3 m^2."""
    one = {"targets": [[0.0, 10.0]], "users": [[0.0, 20.0]], "n_tx": 1, "n_rx": 1, "n_subcarriers": 4}
    result = design("p1", Scenario.preset("fig4", **one), 0.0)
    assert result.status == "solved"
    assert result.relaxed_value == pytest.approx(1.19985e-3, rel=1e-4)
    assert result.lower_bound <= result.value < 1.3 * result.relaxed_value
