"""Sidelobe-limited designs: what the limits mean, what their certificates prove, and what an infeasible level says."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from design_scenes import covariances_twin, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from disac.designs import SidelobesInfeasible, crb, design
from disac.designs.bounds.crb import position_information
from disac.designs.bounds.fisher import FisherOperator
from disac.designs.convex import certify, solve_certified, strictly_feasible_point
from disac.designs.problem.certificate import dual_bound, feasible_point, spectrum_weights
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.problem.sidelobes import Comb, first_minimum, sidelobe_limits
from disac.designs.result import GAP_LIMIT, RESIDUAL_LIMIT
from disac.designs.solvers.sidelobe_feasibility import LEVEL_TOLERANCE_DB, lowest_of_comb
from disac.estimators.range_profile import EchoSpectrum, expected_spectrum, range_profile
from disac.simulator.steering import steering_vector

SIGNALS = ("joint", "block-diagonal", "interleaved", "beamforming", "beamforming-averaged")


def small(**fields):
    return scene(**{"n_tx": 2, "n_rx": 2, "n_subcarriers": 15, **fields})


def problem(signal="interleaved", level_db=-10.0, sinr_db=3.0, scenario=None, mainlobe=1.0):
    scenario = scenario or small()
    free = RelaxedProblem(scenario, signal, sinr_db)
    return replace(free, sidelobes=sidelobe_limits(scenario, free.serves, level_db, mainlobe))


def profile_twin(scenario, covariances, node, target, phases, first, spacing):
    """|r(phi)| / r(0), sample by sample, from covariances."""
    a = steering_vector(scenario.target_geometry.angle[node, target], scenario.n_tx)
    own = slice(node * scenario.n_tx, (node + 1) * scenario.n_tx)
    total, profile = 0.0, np.zeros(len(phases), dtype=complex)
    for m in range(scenario.n_subcarriers):
        power = (a @ covariances[m, own, own] @ a.conj()).real
        total += power
        profile += power * np.exp(1j * phases * (m - first) / spacing)
    return np.abs(profile) / total


# --- what is limited -------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 12), spacing=st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_extrema_bound_a_dense_profile(seed, n, spacing):
    rng = np.random.default_rng(seed)
    comb = Comb.of(rng.integers(0, 3) + spacing * np.sort(rng.choice(16, n, replace=False)))
    powers = rng.uniform(0, 1, n)
    low = rng.uniform(0, 3)
    phase, values = comb.extrema(powers, low)
    dense = np.linspace(low, np.pi, 20_001)
    profile = np.abs(np.exp(1j * np.multiply.outer(dense, comb.tones / comb.spacing)) @ powers)
    assert np.all((phase >= low) & (phase <= np.pi))
    assert profile.max() <= values.max() * (1 + 1e-12)
    # between its points the grid misses no more than (D step)^2 / 8 of r(0), D <= 15 the span of the tones
    assert profile.max() >= values.max() - 1e-6 * powers.sum()


def test_edge_and_level_are_those_of_the_range_profile():
    """Two modules, one definition: the first minimum and the PSLR of equal powers, in metres and in phase."""
    for tones in ([0, 3, 6, 9, 12], [1, 2, 3, 4], [0, 1, 4, 9, 11], [2, 5]):
        comb = Comb.of(np.array(tones))
        allocated = np.isin(np.arange(16), tones)
        profile = range_profile(EchoSpectrum(allocated.astype(float), None, allocated, 1, 20e6, comb.spacing))
        sides = profile.sidelobes()
        metres = profile.period_m / (2 * np.pi)
        assert first_minimum(comb) * metres == pytest.approx(sides.mainlobe_m[1], rel=1e-6)
        if len(tones) > 2:
            level = comb.extrema(np.ones(len(tones)), first_minimum(comb))[1].max() / len(tones)
            assert 20 * np.log10(level) == pytest.approx(sides.pslr_db, abs=1e-6)


@pytest.mark.parametrize("n", [3, 4, 9, 16])
def test_lowest_level_of_even_tones_is_dolphs(n):
    comb = Comb.of(2 * np.arange(n))
    edge = 2 * np.pi / n
    found = lowest_of_comb(comb, edge, np.linspace(edge, np.pi, 4 * n))
    dolph = 1 / np.cosh((n - 1) * np.arccosh(1 / np.cos(edge / 2)))
    assert found.lower <= dolph * (1 + 1e-9)
    assert found.upper >= dolph * (1 - 1e-9)
    assert found.upper <= found.lower * (1 + 1e-5)


def test_bad_levels_and_designs_without_limits_are_refused():
    scenario = small()
    with pytest.raises(ValueError, match=r"sidelobe_db = 1.0: must be within \[-300, 0\) dB"):
        design("p4-p2", scenario, 3.0, sidelobe_db=1.0)
    with pytest.raises(ValueError, match=r"mainlobe = 0.5: must be a number of at least 1"):
        design("p4-p2", scenario, 3.0, mainlobe=0.5)
    with pytest.raises(
        ValueError,
        match=r"design p2 does not take sidelobe_db, it has no options; p4, p4-p2, p4-p3 do",
    ):
        design("p2", scenario, 3.0, sidelobe_db=-13.0)


# --- the designs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limited", "free"), [("p4", "p1"), ("p4-p2", "p2"), ("p4-p3", "p3")])
def test_a_loose_level_changes_nothing_and_a_tight_one_is_kept(limited, free):
    scenario = small(n_users=1, n_subcarriers=9)
    reference = design(free, scenario, 3.0)
    loose = design(limited, scenario, 3.0, sidelobe_db=-1e-6)
    assert loose.status == "solved"
    assert loose.relaxed_value == pytest.approx(reference.relaxed_value, rel=2 * GAP_LIMIT)
    tight = design(limited, scenario, 3.0, sidelobe_db=-8.0)
    assert tight.status == "solved"
    assert tight.certificate.residual <= RESIDUAL_LIMIT
    assert tight.lower_bound >= loose.lower_bound * (1 - GAP_LIMIT)
    sent = covariances_twin(tight.comm_precoders, tight.radar_precoders)
    spacing = 1 if limited == "p4" else 2
    highest = 0.0
    for node in range(2):
        first = 0 if limited == "p4" else node
        tones = np.arange(first, 9, spacing)
        phases = np.linspace(2 * np.pi / len(tones), np.pi, 8 * 4 * len(tones))
        highest = max(highest, profile_twin(scenario, sent, node, 0, phases, first, spacing).max())
    assert 20 * np.log10(highest) <= -8.0 + 1e-5
    assert tight.certificate.pslr_db == pytest.approx(20 * np.log10(highest), abs=0.05)
    assert tight.value == pytest.approx(np.trace(crb(scenario, sent)), rel=1e-9)


@pytest.mark.parametrize("sinr_db", [None, 3.0])
def test_p3_without_users_has_the_level_of_equal_power(sinr_db):
    """Its spectra are flat, so the default level is kept by all of its signals and none has room."""
    scenario = small(n_users=0)
    result = design("p4-p3", scenario, sinr_db)
    assert result.status == "solved"
    assert result.certificate.sidelobe_excess <= 1e-9
    assert result.value == pytest.approx(design("p3", scenario, sinr_db).value, rel=GAP_LIMIT)
    with pytest.raises(SidelobesInfeasible) as caught:
        design("p4-p3", scenario, sinr_db, sidelobe_db=result.certificate.pslr_db - 0.01)
    assert caught.value.lowest_sidelobe_db == pytest.approx(result.certificate.pslr_db, abs=2e-3)


def test_the_profile_of_what_is_sent_has_the_level():
    scenario = small(n_targets=2, n_subcarriers=14)
    result = design("p4-p2", scenario, 3.0)
    flat = range_profile(
        EchoSpectrum(np.arange(14) % 2 == 0.0, None, np.arange(14) % 2 == 0, 1, scenario.bandwidth_hz, 2)
    ).sidelobes()
    for node in range(2):
        for target in range(2):
            angle = float(scenario.target_geometry.angle[node, target])
            profile = range_profile(expected_spectrum(scenario, result.covariances, node, angle))
            assert profile.sidelobes(flat.mainlobe_m).pslr_db <= flat.pslr_db + 1e-4


@pytest.mark.parametrize(("limited", "n_subcarriers"), [("p4", 2), ("p4-p2", 4), ("p4-p3", 4)])
def test_a_limit_on_too_few_tones_is_refused(limited, n_subcarriers):
    """Two tones: the main lobe fills the period, and the design would silently be the one without a limit."""
    with pytest.raises(
        ValueError, match=rf"n_subcarriers = {n_subcarriers}: no node transmits on more than 2, must be at"
    ):
        design(limited, small(n_subcarriers=n_subcarriers), 3.0, sidelobe_db=-30.0)


@pytest.mark.parametrize(("limited", "widest"), [("p4", 6), ("p4-p2", 3), ("p4-p3", 3)])
def test_a_main_lobe_as_wide_as_the_period_is_refused(limited, widest):
    scenario = small(n_subcarriers=12, n_users=1)
    for mainlobe in (widest, 9.0):
        with pytest.raises(
            ValueError, match=rf"mainlobe = {mainlobe:g}: must be below {widest}, beyond which no delay"
        ):
            design(limited, scenario, 3.0, mainlobe=mainlobe)
    narrower = design(limited, scenario, 3.0, sidelobe_db=-1.0, mainlobe=0.999 * widest)
    assert narrower.status == "solved"
    assert np.isfinite(narrower.certificate.pslr_db)


def test_nodes_without_sidelobes_are_named_while_others_are_limited():
    scenario = small(n_subcarriers=5)
    with pytest.warns(UserWarning, match=r"not limited: 1 \(2 subcarriers\)"):
        limited = design("p4-p2", scenario, 3.0, sidelobe_db=-3.0)
    assert limited.status == "solved"
    assert limited.certificate.sidelobes.limited.tolist() == [0]
    assert limited.certificate.pslr_db <= -3.0 + 1e-5


def test_the_trade_off_refuses_a_main_lobe_without_sidelobes_before_it_solves():
    from disac.experiments.studies.pareto_sweep import ParetoSweep, pareto_scene

    with pytest.raises(ValueError, match="mainlobe = 9: must be below 8"):
        ParetoSweep(pareto_scene(), ("p2",), mainlobe=9.0)


# --- certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", SIGNALS)
def test_prices_of_any_quality_give_a_true_bound(signal):
    here = problem(signal, -6.0, scenario=small(n_subcarriers=6, n_users=2))
    certified = solve_certified("test", here, "clarabel")
    here = replace(here, sidelobes=certified.sidelobes)
    assert certified.relaxed_value <= certified.bound.value * (1 + GAP_LIMIT)
    price = certified.bound.sidelobe_price
    assert np.all(price[:, 0] >= np.hypot(price[:, 1], price[:, 2]))
    assert price.max() > 0
    interior = strictly_feasible_point("test", here)
    rng = np.random.default_rng(1)
    for spread in (1e-3, 0.1, 1.0):
        z = certified.solution.sidelobe_price
        spoiled = replace(certified.solution, sidelobe_price=z * (1 + spread * rng.standard_normal(z.shape)))
        bound = certify(here, spoiled, interior).bound
        assert bound.value <= certified.relaxed_value
    assert bound.value < certified.bound.value * (1 - 1e-3)


def test_weights_are_the_adjoint_of_the_limits():
    here = problem(scenario=small(n_targets=2))
    limits, s = here.sidelobes, here.scenario
    rng = np.random.default_rng(2)
    z, factors = rng.standard_normal((len(limits), 3)), rng.standard_normal((15, 4, 4)) + 0j
    spectra = limits.spectra(factors @ factors.conj().swapaxes(1, 2))
    paired = 0.0
    for j in range(len(limits)):
        node, target, phase = limits.node[j], limits.target[j], limits.phase[j]
        own = np.flatnonzero(s.subcarrier_node == node)
        powers = spectra[node, target, own]
        r = np.sum(powers * np.exp(1j * phase * np.arange(len(own))))
        paired += z[j] @ [limits.level[node] * powers.sum(), r.real, r.imag]
    assert np.sum(spectrum_weights(limits, z, 15) * spectra) == pytest.approx(paired, rel=1e-10)


def test_a_tampered_solution_is_caught():
    """Edge-loaded covariances under the limits of a flat one: mixed until they keep the level, and the gap tells."""
    here = problem("interleaved", -11.0)
    honest = solve_certified("test", here, "clarabel")
    free = solve_certified("test", replace(here, sidelobes=None), "clarabel")
    assert here.sidelobes.excess(free.point.covariances) > 0.1
    lie = replace(
        honest.solution,
        covariances=free.solution.covariances,
        comm_covariances=free.solution.comm_covariances,
    )
    interior = strictly_feasible_point("test", here)
    here = replace(here, sidelobes=honest.sidelobes)
    caught = certify(here, lie, interior)
    assert here.sidelobes.excess(caught.point.covariances) <= 0
    assert caught.point.mix > 1e-2
    assert caught.relaxed_value > caught.bound.value * (1 + 100 * GAP_LIMIT)


def test_mixing_stops_at_the_level():
    here = problem("interleaved", -9.0)
    free = solve_certified("test", replace(here, sidelobes=None), "native")
    interior = strictly_feasible_point("test", here)
    point = feasible_point(here, free.solution, interior)
    assert -0.05 <= here.sidelobes.excess(point.covariances) <= 0
    bound = dual_bound(
        here,
        FisherOperator(here.scenario),
        replace(free.solution, sidelobe_price=np.zeros((len(here.sidelobes), 3))),
        position_information(FisherOperator(here.scenario), point.covariances).inverse_columns(),
    )
    assert bound.value <= free.relaxed_value


def test_refinement_follows_its_gradient():
    from disac.designs.precoding.refinement import _Lagrangian

    rng = np.random.default_rng(3)
    here = problem("joint", -8.0, scenario=small(n_subcarriers=6, n_targets=2))
    shape = (6, 4, 3)
    unknown = np.arange(72).reshape(shape)
    lagrangian = _Lagrangian(here.scenario, here.sinr, unknown, FisherOperator(here.scenario), here.sidelobes)
    lagrangian.multipliers = rng.uniform(0, 1, len(lagrangian.multipliers))
    vector, step = rng.standard_normal(144), rng.standard_normal(144)
    _, gradient = lagrangian(vector)
    ahead, behind = lagrangian(vector + 1e-6 * step)[0], lagrangian(vector - 1e-6 * step)[0]
    assert gradient @ step == pytest.approx((ahead - behind) / 2e-6, rel=1e-6)


def test_an_extraction_that_raises_sidelobes_is_refined():
    """Three nodes share a symbol; fitting it into R_l loses the spectrum, and with it the level."""
    scenario = scene(n_nodes=3, n_targets=1, n_users=2, seed=2, n_tx=2, n_subcarriers=4)
    result = design("p4", scenario, 5.0)
    assert result.status == "solved"
    assert result.certificate.pslr_db <= 20 * np.log10(result.certificate.sidelobes.level.max()) + 1e-5
    assert 1e-4 < result.extraction_loss < 0.1


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("n_users", [1, 2])
def test_native_and_clarabel_agree(signal, n_users):
    here = problem(signal, -7.0, scenario=small(n_subcarriers=7, n_users=n_users, seed=n_users))
    native, clarabel = (solve_certified("test", here, solver) for solver in ("native", "clarabel"))
    assert native.solution.status == "solved"
    for one, other in ((native, clarabel), (clarabel, native)):
        assert one.relaxed_value <= one.bound.value * (1 + GAP_LIMIT)
        assert one.bound.value <= other.relaxed_value
    assert native.relaxed_value == pytest.approx(clarabel.relaxed_value, rel=GAP_LIMIT)
    assert here.sidelobes.excess(native.point.covariances) <= 0


@pytest.mark.parametrize("signal", SIGNALS)
def test_native_newton_step_solves_its_rows(signal):
    """The step with cones satisfies the linearized rows, which the products of G with itself never see."""
    from disac.designs.solvers.native.bounds import Evaluation
    from disac.designs.solvers.native.predictor_corrector import Linearization
    from disac.designs.solvers.native.problems import build
    from disac.designs.solvers.native.starting_point import starting_point

    saddle = build(problem(signal, -7.0, scenario=small(n_subcarriers=6, n_targets=2, n_users=2))).saddle
    assert saddle.cones is not None
    point = starting_point(saddle)
    system = Linearization(saddle, Evaluation.at(saddle, point))
    step = system.step(0.1, checked=False)
    covariances = saddle.gradient(point.prices.weights, step.covariances)
    rows = covariances.power[saddle.n_antennas :] + system._power_residual[saddle.n_antennas :] * -1
    assert np.abs(rows).max() <= 1e-9 * saddle.power_limit


def test_native_maps_are_adjoint():
    from disac.designs.solvers.native.problems import build
    from disac.designs.solvers.native.saddle import Prices
    from disac.designs.solvers.native.starting_point import starting_point

    rng = np.random.default_rng(4)
    saddle = build(problem("beamforming", scenario=small(n_subcarriers=7, n_targets=2))).saddle
    point = starting_point(saddle)
    matrices = point.covariances().map(
        lambda m: m + 0.1 * (lambda x: x + x.conj().swapaxes(-1, -2))(rng.standard_normal(m.shape) + 0j)
    )
    step = Prices(
        rng.standard_normal(point.prices.weights.shape),
        rng.standard_normal(point.prices.power.shape),
        rng.standard_normal(point.prices.leaf.shape),
    )
    slope = saddle.slope(saddle.field.combine(point.prices.weights), step)
    counts = [1.0] * len(matrices.groups) + [1.0] * len(matrices.shared)
    paired = sum(c * np.sum(a * b.conj()).real for c, a, b in zip(counts, slope, matrices, strict=True))
    gradient = saddle.gradient(point.prices.weights, matrices)
    expected = np.sum(gradient.weights * step.weights) + gradient.power @ step.power
    expected += np.sum(gradient.leaf * step.leaf)
    assert paired == pytest.approx(expected, rel=1e-10)


# --- infeasible levels -----------------------------------------------------------------------------------------------


def assert_ruled_out(problem, proof):
    """The prices of a proof, constraint by constraint, against plain matrices."""
    s, z, limits = problem.scenario, proof.sidelobe_price, proof.limits
    assert np.all(z[:, 0] >= np.hypot(z[:, 1], z[:, 2]))
    weights = spectrum_weights(limits, z, s.n_subcarriers)
    if np.isinf(proof.power_needed):
        node = limits.node[0]
        assert weights[node, 0, limits.combs[node].tones].max() < 0
        return
    assert proof.power_price.min() >= 0
    assert proof.sinr_price.min() >= 0
    for n, m in zip(*np.nonzero(problem.serves), strict=True):
        total = np.diag(proof.power_price[n]).astype(complex)
        for k in range(s.n_targets):
            a = steering_vector(s.target_geometry.angle[n, k], s.n_tx)
            total -= weights[n, k, m] * np.outer(a.conj(), a)
        h = s.channels[n, :, m]
        for u in range(s.n_users):
            total += proof.sinr_price[u, m] * np.outer(h[u], h[u].conj())
        for u in range(s.n_users):
            data = total - (1 + 1 / problem.sinr) * proof.sinr_price[u, m] * np.outer(h[u], h[u].conj())
            assert np.linalg.eigvalsh(data)[0] >= -1e-12 * np.linalg.norm(total)
        assert np.linalg.eigvalsh(total)[0] >= -1e-12 * np.linalg.norm(total)
    needed = s.noise_comm / s.n_subcarriers * proof.sinr_price.sum()
    assert needed > s.tx_power * proof.power_price.sum()


def test_below_dolphs_level_no_power_helps():
    scenario = small(n_subcarriers=12)
    with pytest.raises(SidelobesInfeasible, match=r"the lowest feasible level is -1\d\.\d+ dB") as caught:
        design("p4-p2", scenario, 3.0, sidelobe_db=-30.0)
    dolph = -20 * np.log10(np.cosh(5 * np.arccosh(1 / np.cos(np.pi / 6))))
    assert caught.value.lowest_sidelobe_db == pytest.approx(dolph, abs=LEVEL_TOLERANCE_DB)
    assert_ruled_out(problem(scenario=scenario), caught.value.sidelobe_proof)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.lowest_sidelobe_db, str(copy)) == (caught.value.lowest_sidelobe_db, str(caught.value))
    wider = design("p4-p2", scenario, 3.0, sidelobe_db=-30.0, mainlobe=2.0)
    assert wider.status == "solved"


def test_near_the_edge_of_sinr_the_power_limits_the_level():
    from disac.designs.problem.feasibility import largest_feasible_sinr

    scenario = small(n_subcarriers=12)
    serves = RelaxedProblem(scenario, "interleaved", 0.0).serves
    sinr_db = largest_feasible_sinr(scenario, serves).sinr_db - 0.3
    with pytest.raises(SidelobesInfeasible) as caught:
        design("p4-p2", scenario, sinr_db, sidelobe_db=-15.0)
    lowest, proof = caught.value.lowest_sidelobe_db, caught.value.sidelobe_proof
    assert -15 < lowest < -0.1
    assert 1 < proof.power_needed < np.inf
    assert_ruled_out(problem(scenario=scenario, sinr_db=sinr_db), proof)
    assert design("p4-p2", scenario, sinr_db, sidelobe_db=lowest + 1.0).status == "solved"
    with pytest.raises(SidelobesInfeasible):
        design("p4-p2", scenario, sinr_db, sidelobe_db=lowest - 0.01)


def test_two_tones_have_no_sidelobe_ratio_and_no_warning():
    """Their main lobe fills the period: undefined, and left out of the means."""
    from disac.experiments.statistics.draws import PointDraws
    from disac.experiments.studies.sidelobe_sweep import SidelobeSweep
    from disac.experiments.studies.sidelobes import summarize_sidelobes, summary_lines
    from disac.experiments.trials.keys import TrialKey

    for n_subcarriers, defined in ((4, False), (5, True)):
        sweep = SidelobeSweep(small(n_subcarriers=n_subcarriers), ("p2",), (0.0,))
        records = sweep.run(sweep.points()[0], [TrialKey(1, 2, trial) for trial in range(3)])
        columns = {name: np.array([record[name] for record in records]) for name in records[0]}
        assert np.isnan(columns["expected: pslr_db n1 k0"]).all()
        assert not np.isnan(columns["expected: width_m n1 k0"]).any()
        draws = PointDraws({"design": "p2", "sinr_db": 0.0}, {**columns, "trial": np.arange(3)})
        (row,) = summarize_sidelobes([draws], sweep.signals)
        assert np.isfinite(row["pslr_db"]) == defined
        (line,) = summary_lines([row])
        assert ("no sidelobe, the main lobe of two subcarriers a node fills the period" in line) == (not defined)
        assert "nan" not in line
        if defined:
            assert row["pslr_db"] == pytest.approx(columns["expected: pslr_db n0 k0"].mean())


def test_the_command_line_designs_and_refuses(tmp_path):
    from click.testing import CliRunner

    from disac.experiments.cli.main import cli

    small_scene = ["--preset", "fig7", "--set", "n_tx=2", "--set", "n_rx=2", "--sinr-db", "5"]
    run = ["design", "p4-p2", *small_scene, "--out", str(tmp_path / "d"), "--sidelobe-db"]
    good = CliRunner().invoke(cli, [*run, "-9"])
    assert good.exit_code == 0, good.output
    assert "highest sidelobe        -9.0000 dB" in good.output
    bad = CliRunner().invoke(cli, ["design", "p4-p2", *small_scene, "--sidelobe-db", "-40"])
    assert bad.exit_code != 0
    assert "the lowest feasible level is -16.9" in bad.output


def test_the_command_line_tells_what_a_limit_leaves_out(tmp_path):
    from click.testing import CliRunner

    from disac.experiments.cli.main import cli

    def invoke(n_subcarriers, *options):
        fields = [f"--set={field}" for field in ("n_tx=2", "n_rx=2", f"n_subcarriers={n_subcarriers}")]
        return CliRunner().invoke(cli, ["design", "p4-p2", "--preset", "fig7", *fields, "--sinr-db", "5", *options])

    bad = invoke(16, "--mainlobe", "9")
    assert bad.exit_code == 1
    assert "Error: mainlobe = 9: must be below 2, beyond which no delay is left outside the main lobe" in bad.output
    some = invoke(9, "--sidelobe-db", "-3", "--out", str(tmp_path / "d"))
    assert some.exit_code == 0, some.output
    assert "warning: nodes without a delay outside the main lobe" in some.output
