"""Designs by name: what a registered one states, what it is handed, and precoders that are given as they are."""

import numpy as np
import pytest
from design_scenes import covariances_twin, scene, sinr_twin

from disac.designs import (
    Infeasible,
    crb,
    design,
    design_info,
    design_label,
    design_names,
    fixed_design,
    register_design,
    registry,
)
from disac.experiments.plotting.figures import design_name


@pytest.fixture(autouse=True)
def forgotten():
    """Designs of a test are gone after it."""
    before = set(design_names())
    yield
    for name in set(design_names()) - before:
        del registry._designs._entries[name]


def radar_of(scenario, share=1.0):
    s = scenario
    level = np.sqrt(share * s.tx_power / s.n_subcarriers)
    return np.broadcast_to(level * np.eye(s.n_tx), (s.n_nodes, s.n_subcarriers, s.n_tx, s.n_tx))


def silent(s):
    return np.zeros((s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx))


def test_every_file_of_the_catalogue_states_its_names_and_labels():
    assert set(design_names()) >= {"p1", "p1-direct", "p1-noncoherent", "p2", "p3", "p3-true", "p4", "uniform"}
    assert design_label("p1-noncoherent") == "P.1 block-diagonal"
    assert design_info("p2").tight
    assert not design_info("p3").bounds_value
    assert [name for name in design_names() if not design_info(name).depends_on_sinr] == [
        "comm-only",
        "sensing-only",
        "uniform",
    ]
    assert dict(design_info("p4").options) == {"sidelobe_db": None, "mainlobe": 1.0}


def test_a_registered_design_gets_its_options_and_its_label_reaches_the_pictures():
    @register_design("mine", label="Mine", depends_on_sinr=False)
    def mine(scenario, sinr_db, *, share=1.0):
        return fixed_design(scenario, silent(scenario), radar_of(scenario, share), name="mine")

    s = scene()
    assert design_name("mine") == "Mine"
    half = design("mine", s, None, share=0.5)
    np.testing.assert_allclose(half.certificate.antenna_power, s.tx_power / 2)
    np.testing.assert_allclose(design("mine", s, None, share=None).certificate.antenna_power, s.tx_power)
    with pytest.raises(ValueError, match=r"shar = 1: design mine .*its options are share; did you mean 'share'\?"):
        design("mine", s, None, shar=1)
    with pytest.raises(ValueError, match=r"share = 1: design p2 does not take share, it has no options; mine does"):
        design("p2", s, None, share=1)


def test_a_design_that_returns_something_else_is_named():
    register_design("nothing")(lambda scenario, sinr_db: None)
    with pytest.raises(TypeError, match="design = 'nothing': returned NoneType"):
        design("nothing", scene(), None)


def test_given_precoders_are_judged_by_what_they_send():
    s = scene(n_users=2)
    rng = np.random.default_rng(0)
    comm = rng.standard_normal((*silent(s).shape, 2)) @ [0.1, 0.1j]
    radar = 0.1 * radar_of(s)
    result = fixed_design(s, comm, radar)
    sent = covariances_twin(comm, radar)
    assert result.value == result.lower_bound == pytest.approx(np.trace(crb(s, sent)), rel=1e-12)
    np.testing.assert_allclose(result.certificate.sinr, sinr_twin(s, comm, radar))
    assert (result.name, result.sinr_db, result.status) == ("fixed", None, "solved")
    reached = 10 * np.log10(result.certificate.sinr.min())
    assert fixed_design(s, comm, radar, sinr_db=reached - 0.01).sinr_db == reached - 0.01
    with pytest.raises(Infeasible) as caught:
        fixed_design(s, comm, radar, sinr_db=reached + 0.01, name="mine")
    assert caught.value.largest_feasible_sinr_db == pytest.approx(reached)


def test_no_radar_streams_are_as_good_as_silent_ones():
    s = scene()
    comm = 0.1 * np.random.default_rng(0).standard_normal(silent(s).shape)
    without = fixed_design(s, comm, np.zeros((s.n_nodes, s.n_subcarriers, s.n_tx, 0)))
    assert without.value == pytest.approx(fixed_design(s, comm, 0 * radar_of(s)).value)


@pytest.mark.parametrize(
    ("comm", "radar", "message"),
    [
        (lambda s: silent(s)[:1], radar_of, r"comm_precoders has shape \(1, 1, 5, 3\): must be \(2, 1, 5, 3\)"),
        (silent, lambda s: radar_of(s)[..., 0], r"radar_precoders has shape \(2, 5, 3\): must be \(2, 5, 3, q\)"),
        (lambda s: silent(s) + np.nan, radar_of, r"comm_precoders\[0, 0, 0, 0\] = nan: must be finite|list"),
        (lambda s: silent(s).astype(str), radar_of, r"comm_precoders has dtype <U32: must be numbers"),
        (silent, lambda s: 1.01 * radar_of(s), r"antenna 0 of node 0 sends 102.01 .* at most tx_power = 100"),
    ],
)
def test_bad_precoders_are_named(comm, radar, message):
    s = scene(tx_power=100.0)
    with pytest.raises(ValueError, match=message):
        fixed_design(s, comm(s), radar(s))
