"""Links that are blocked, faint or noise-free: solved where other nodes serve, else refused by user and subcarrier."""

from __future__ import annotations

import numpy as np
import pytest
from design_scenes import scene, sinr_twin

from disac.designs import Infeasible, design, design_info, design_names
from disac.designs.problem.feasibility import EDGE_TOLERANCE_DB, largest_feasible_sinr, least_power, unreachable_user

BASE = scene(n_nodes=2, n_targets=1, n_users=2, seed=1, n_subcarriers=9)
ORTHOGONAL = ("p2", "p3", "p3-true", "p4-p2", "p4-p3")
"""Designs in which one given node serves a subcarrier."""


def with_gain(where, gain, base=BASE):
    channels = base.channels.copy()
    channels[where] *= gain
    return base.replace(channels=channels)


def solved(name, scenario, sinr_db):
    limits = {"sidelobe_db": -1.0} if "sidelobe_db" in design_info(name).options else {}
    return design(name, scenario, sinr_db, **limits)


@pytest.mark.parametrize("gain", [0.0, 1e-9, 1e-150])
@pytest.mark.parametrize("name", design_names())
def test_one_blocked_node_leaves_the_others_to_serve(name, gain):
    """Node 0 does not reach user 1. It serves subcarriers 0, 2, ... alone in the orthogonal designs."""
    scenario = with_gain(np.s_[0, 1], gain)
    if name not in ORTHOGONAL:
        result = solved(name, scenario, 3.0)
        assert result.status == "solved"
        assert np.all(np.isfinite(result.comm_precoders))
        assert np.all(result.certificate.antenna_power >= 0)
        if name != "sensing-only":
            sinr = sinr_twin(result.scenario, result.comm_precoders, result.radar_precoders)
            assert sinr.min() >= 10**0.3 * (1 - 1e-9)
        return
    with pytest.raises(Infeasible) as caught:
        solved(name, scenario, 3.0)
    if gain == 1e-9:
        assert -160 < caught.value.largest_feasible_sinr_db < -140
        return
    assert caught.value.where == (1, 0)
    assert caught.value.largest_feasible_sinr_db == -np.inf
    assert "user 1 any SINR on subcarrier 0" in str(caught.value)
    assert "inf" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in design_names() if name != "sensing-only"])
def test_a_user_that_no_node_reaches_is_named(name):
    with pytest.raises(Infeasible, match="user 1 any SINR on subcarrier 3") as caught:
        solved(name, with_gain(np.s_[:, 1, 3], 0.0), 3.0)
    assert caught.value.where == (1, 3)


@pytest.mark.parametrize("name", [name for name in design_names() if name != "comm-only"])
def test_without_a_threshold_blocked_users_change_nothing_else(name):
    result = solved(name, with_gain(np.s_[:, 1, 3], 0.0), None)
    assert result.status == "solved"
    assert np.all(np.isfinite(result.comm_precoders))
    assert np.all(np.isfinite(result.radar_precoders))
    assert result.certificate.sinr[1, 3] == 0


def test_a_user_that_no_node_reaches_has_a_proof():
    """The price of its SINR keeps the condition of the proof and calls for more than all power."""
    scenario = with_gain(np.s_[:, 1, 3], 0.0)
    everywhere = np.ones((2, 9), dtype=bool)
    assert unreachable_user(scenario, everywhere) == (1, 3)
    answer = least_power(scenario, everywhere, 2.0)
    assert answer.upper == np.inf
    assert answer.lower == answer.proof.power_needed > 1
    priced = np.argwhere(answer.proof.sinr_price)
    assert priced.tolist() == [[1, 3]]
    assert not scenario.channels[:, 1, 3].any()


@pytest.mark.parametrize(
    ("change", "shift_db"),
    [
        ({"noise_comm": 1e-14 * BASE.noise_comm}, 140.0),
        ({"channels": 1e9 * BASE.channels}, 180.0),
        ({"channels": 1e-9 * BASE.channels}, None),
        ({"noise_comm": 1e12 * BASE.noise_comm, "channels": 1e6 * BASE.channels}, 0.0),
    ],
)
def test_the_edge_of_extreme_scenes(change, shift_db):
    """With little noise users are separated by direction alone, and each dB of noise less is one of SINR more."""
    everywhere = np.ones((2, 9), dtype=bool)
    scenario = BASE.replace(**change)
    edge = largest_feasible_sinr(scenario, everywhere)
    silent = np.zeros((2, 9, 3, 0), dtype=complex)
    sinr = sinr_twin(scenario, edge.comm_precoders, silent)
    assert 10 * np.log10(sinr.min()) == pytest.approx(edge.sinr_db, abs=1e-5)
    assert edge.proof.sinr_db <= edge.sinr_db + EDGE_TOLERANCE_DB * 1.01
    assert edge.proof.power_needed > 1
    plain = largest_feasible_sinr(BASE, everywhere).sinr_db
    if shift_db is not None:
        # interference-free from 27 dB on, so the edges are those of zero forcing but for what noise still matters
        assert edge.sinr_db - shift_db == pytest.approx(plain, abs=0.0005 if shift_db == 0 else 0.5)


def test_faint_users_of_one_scene_do_not_disturb_the_others():
    """180 dB between two users: the edge is that of the faint one alone, its disturbance of the other is nothing."""
    everywhere = np.ones((2, 9), dtype=bool)
    both = with_gain(np.s_[:, 1], 1e-9)
    alone = both.replace(channels=both.channels[:, 1:], users=both.users[1:])
    together = largest_feasible_sinr(both, everywhere).sinr_db
    assert together == pytest.approx(largest_feasible_sinr(alone, everywhere).sinr_db, abs=2 * EDGE_TOLERANCE_DB)
