"""Allocations of subcarriers to nodes: the comb, blocks, permutations, and one found by exchange."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from design_scenes import scene

from disac.designs import crb, design
from disac.designs.allocation import allocation_quality, equal_power, optimize_allocation
from disac.simulator import Scenario, ScenarioError, SubcarrierAllocation
from disac.simulator.describe import widest_comb


@pytest.mark.parametrize("kind", ["interleaved", "block", "random"])
@pytest.mark.parametrize(("n_nodes", "n_subcarriers"), [(2, 5), (3, 16), (4, 4), (1, 7)])
def test_every_node_gets_its_share(kind, n_nodes, n_subcarriers):
    nodes = SubcarrierAllocation(kind=kind, seed=1).draw(n_nodes, n_subcarriers)
    counts = np.bincount(nodes, minlength=n_nodes)
    assert counts.sum() == n_subcarriers
    assert counts.max() - counts.min() <= 1
    if kind == "interleaved":
        assert np.array_equal(nodes, np.arange(n_subcarriers) % n_nodes)
    if kind == "block":
        assert np.all(np.diff(nodes) >= 0)


def test_random_allocations_follow_their_seed():
    draws = [SubcarrierAllocation(kind="random", seed=seed).draw(4, 64) for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_the_scenario_keeps_rule_and_nodes(tmp_path):
    scenario = scene(subcarrier_allocation={"kind": "random", "seed": 3})
    assert scenario.allocation_model == SubcarrierAllocation(kind="random", seed=3)
    assert len(scenario.replace(n_subcarriers=9).subcarrier_node) == 9
    explicit = scenario.replace(subcarrier_allocation=[0, 1, 1, 0, 1])
    assert explicit.allocation_model is None
    for here in (scenario, explicit, scene(subcarrier_allocation={"kind": "block"})):
        here.to_toml(tmp_path / "scene.toml")
        assert Scenario.from_toml(tmp_path / "scene.toml") == here
    assert len({scene().digest, scenario.digest, explicit.digest}) == 3
    assert scene(subcarrier_allocation={"kind": "interleaved"}).digest == scene().digest


def test_wrong_allocations_are_refused():
    for wrong, said in (
        ([0, 1, 2, 0, 1], r"subcarrier_allocation: holds nodes \[0, 1, 2\], must be in \[0, 1\]"),
        ([0, 0, 0, 0, 0], r"subcarrier_allocation: nodes \[1\] serve no subcarrier"),
        ([0, 1, 0], r"subcarrier_allocation: has shape \(3,\), must have shape \(5,\)"),
        ([0.5, 1, 0, 1, 0], "must be a list of L node numbers"),
        ({"kind": "comb"}, "subcarrier_allocation.kind"),
    ):
        with pytest.raises(ScenarioError, match=said):
            scene(subcarrier_allocation=wrong)


def test_unambiguous_path_is_that_of_the_widest_comb():
    assert widest_comb(scene(n_subcarriers=12, n_nodes=3)) == 3
    assert widest_comb(scene(n_subcarriers=12, n_nodes=3, subcarrier_allocation={"kind": "block"})) == 1
    d = scene(n_subcarriers=12, subcarrier_allocation={"kind": "block"}).describe()
    assert d.unambiguous_path_interleaved_m == d.unambiguous_path_m


@pytest.mark.parametrize("kind", ["block", "random"])
@pytest.mark.parametrize("name", ["p2", "p3", "p3-true", "single-node"])
def test_designs_send_where_the_allocation_says(kind, name):
    scenario = scene(subcarrier_allocation={"kind": kind, "seed": 2})
    result = design(name, scenario, 5.0)
    assert result.status == "solved"
    if name == "single-node":
        return
    power = np.einsum("lii->li", result.covariances).real.reshape(5, 2, 3).sum(axis=2)
    assert np.array_equal(power.argmax(axis=1), scenario.subcarrier_node)
    assert power.min(axis=1).max() == 0
    assert result.value == pytest.approx(np.trace(crb(scenario, result.covariances)), rel=1e-9)


def test_quality_against_a_plain_sum():
    scenario = scene(n_subcarriers=16, subcarrier_allocation={"kind": "random", "seed": 5})
    quality = allocation_quality(scenario)
    delays = np.linspace(1, 8, 20_001)
    highest = 0.0
    for node in range(2):
        tones = np.flatnonzero(scenario.subcarrier_node == node)
        profile = np.exp(2j * np.pi * np.multiply.outer(delays, tones) / 16).mean(axis=1)
        highest = max(highest, np.abs(profile).max())
    assert quality.pslr_db == pytest.approx(20 * np.log10(highest), abs=1e-4)
    power = np.einsum("lii->i", equal_power(scenario)).real
    np.testing.assert_allclose(power, scenario.tx_power)
    assert quality.rcrb_m == pytest.approx(np.sqrt(np.trace(crb(scenario, equal_power(scenario)))))


def test_comb_and_block_have_the_ambiguities_they_are_known_for():
    comb = allocation_quality(scene(n_subcarriers=32, n_nodes=4, n_rx=4))
    block = allocation_quality(scene(n_subcarriers=32, n_nodes=4, n_rx=4, subcarrier_allocation={"kind": "block"}))
    assert comb.pslr_db == pytest.approx(0.0, abs=1e-9)
    dirichlet = abs(np.sin(8 * np.pi / 32) / (8 * np.sin(np.pi / 32)))
    assert block.pslr_db == pytest.approx(20 * np.log10(dirichlet), abs=1e-9)


def test_exchange_lowers_ambiguity_for_little_crb_and_repeats():
    start = scene(n_subcarriers=24)
    found = [optimize_allocation(start, np.random.default_rng(7), patience=40) for _ in range(2)]
    assert found[0] == found[1]
    before, after = allocation_quality(start), allocation_quality(found[0])
    assert after.pslr_db < before.pslr_db - 4
    assert after.rcrb_m < 1.1 * before.rcrb_m
    assert np.array_equal(np.bincount(found[0].subcarrier_node), np.bincount(start.subcarrier_node))
    only_crb = optimize_allocation(start, np.random.default_rng(7), pslr_weight=0.0, patience=40)
    assert allocation_quality(only_crb).rcrb_m <= before.rcrb_m
    with pytest.raises(ValueError, match=r"pslr_weight = -1: must be a number in \[0, 1e6\]"):
        optimize_allocation(start, np.random.default_rng(7), pslr_weight=-1)


def test_the_script_of_the_page_prints_its_table(capsys):
    page = (Path(__file__).resolve().parents[2] / "docs" / "p4.md").read_text(encoding="utf-8")
    section = page.split("## Other allocations than the comb")[1]
    exec(section.split("```python\n")[1].split("```")[0], {})
    rows = [re.findall(r"-?\d+\.\d+", line) for line in section.splitlines() if re.search(r"\| \d\.\d+ mm \|", line)]
    printed = [re.findall(r"-?\d+\.\d+", line) for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == 4
    for said, found in zip(rows, printed, strict=True):
        np.testing.assert_allclose(np.array(found, float), np.array(said, float), rtol=5e-3, atol=5e-3)
