"""The experiment behind the paper's figures: draws, designs, edges, sweeps and their summaries."""

import warnings

import numpy as np
import pytest

from disac.designs import design
from disac.designs.problem.feasibility import EDGE_TOLERANCE_DB
from disac.experiments.campaign.runner import run_campaign
from disac.experiments.paper.bounds import SIGNALS, DesignSweep, EdgeSweep, native_variables, solve_trial
from disac.experiments.paper.scenarios import PaperScenario, warn_of_late_paths
from disac.experiments.paper.study import figure_studies, full_sweep
from disac.experiments.paper.sweeps import EDGE_MARGIN_DB, stated_variables
from disac.experiments.statistics.draws import PointDraws, common_trials, summarize
from disac.experiments.statistics.means import root_ratio
from disac.experiments.study.protocol import get_study
from disac.experiments.trials.experiment import configuration, rebuild
from disac.experiments.trials.keys import TrialKey
from disac.simulator.geometry import node_to_point
from disac.simulator.steering import steering_vector
from disac.simulator.tdl import PROFILES

KEY = TrialKey(3, 11, 1)
SMALL = {"n_nodes": 2, "n_antennas": 3, "n_subcarriers": 4}


def _point(design="p2", sinr_db=10.0, **fields):
    return {"design": design, "solver": "native", "sinr_db": sinr_db, **SMALL, **fields}


def test_smaller_scenarios_are_parts_of_larger_ones():
    large = PaperScenario(n_nodes=4, n_users=3, n_antennas=8).draw(KEY)
    small = PaperScenario(n_nodes=2, n_users=1, n_antennas=3, bandwidth_hz=1e6).draw(TrialKey(3, 99, 1))
    np.testing.assert_array_equal(small.channels, large.channels[:2, :1, :, :3])
    assert not np.array_equal(small.channels, PaperScenario(n_antennas=3).draw(TrialKey(3, 11, 2)).channels)


@pytest.mark.parametrize(
    "fields", [{}, {"n_nodes": 4}, {"n_targets": 3}, {"layout": "fig4", "n_targets": 2, "n_users": 2}]
)
def test_every_draw_has_the_stated_powers(fields):
    scenario = PaperScenario(**fields).draw(KEY)
    assert np.mean(np.abs(scenario.amplitudes) ** 2) == pytest.approx(10.0, rel=1e-12)
    assert scenario.tx_power / scenario.noise_sense == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("name", "taps", "rms", "total"), [("tdl-a", 23, 1.000058, 3.467660), ("tdl-d", 14, 0.993721, 1.075645)]
)
def test_delay_profiles_are_those_of_the_standard(name, taps, rms, total):
    profile = PROFILES[name]
    assert len(profile.delays) == len(profile.powers_db) == taps
    assert profile.rms_delay == pytest.approx(rms, abs=1e-6)
    assert sum(10 ** (power / 10) for power in profile.powers_db) == pytest.approx(total, abs=1e-6)


def test_specular_path_carries_the_k_factor():
    power = PROFILES["tdl-d"].powers
    assert 10 * np.log10(power[0] / power[1:].sum()) == pytest.approx(8.98465, abs=1e-5)


@pytest.mark.statistical(false_alarm=2e-9)
@pytest.mark.parametrize("name", ["tdl-a", "tdl-d"])
def test_tapped_delay_lines_have_unit_gain_and_their_correlation(name):
    frequencies = 100e-9 * np.array([0.0, 625e3, 1e6])
    h = PROFILES[name].draw(np.random.default_rng(0), np.full((40, 50), 0.3), frequencies, 8)
    samples = h.transpose(2, 0, 1, 3).reshape(3, -1)
    np.testing.assert_allclose(np.mean(np.abs(samples) ** 2, axis=1), 1.0, atol=0.05)
    measured = np.mean(samples[1:] * samples[0].conj(), axis=1)
    expected = [PROFILES[name].frequency_correlation(offset) for offset in frequencies[1:]]
    np.testing.assert_allclose(measured, expected, atol=0.05)
    assert not np.allclose(measured, 1.1 * np.array(expected), atol=0.05)
    if name == "tdl-a":
        np.testing.assert_allclose(np.abs(expected), [0.931970, 0.855469], atol=1e-6)


def test_specular_path_points_at_the_user():
    """A single path: the matched beam of the steering vector collects the gain of all antennas."""
    flat = PROFILES["tdl-d"]
    alone = type(flat)(delays=(0.0,), powers_db=(0.0,), specular=True)
    h = alone.draw(np.random.default_rng(1), np.array([[0.4]]), np.zeros(1), 6)[0, 0, 0]
    assert abs(h.conj() @ steering_vector(0.4, 6).conj()) == pytest.approx(6.0)
    scenario = PaperScenario(channel="tdl-d", n_users=2).draw(KEY)
    angles = node_to_point(scenario.nodes, scenario.orientations, scenario.users).angle
    beams = np.einsum("nulm,num->nul", scenario.channels, steering_vector(angles, 6))
    assert np.mean(np.abs(beams) ** 2) / 36 > 0.7


def test_total_power_is_the_same_for_any_number_of_antennas():
    totals = [m * PaperScenario(n_antennas=m).draw(KEY).tx_power for m in (3, 6, 16)]
    np.testing.assert_allclose(totals, 6.0, rtol=1e-14)


@pytest.mark.parametrize(
    "fields", [{"n_nodes": 5}, {"n_users": 0}, {"n_antennas": 17}, {"layout": "fig4"}, {"channel": "x"}]
)
def test_scenarios_outside_the_paper_are_refused(fields):
    name = next(iter(fields))
    with pytest.raises(ValueError, match=name):
        PaperScenario(**fields)


@pytest.mark.parametrize("name", ["p1", "p2", "p3"])
def test_a_trial_is_the_design_of_its_draw(name):
    record = solve_trial(_point(name), KEY, refined=True)
    result = design(name, PaperScenario(**SMALL).draw(KEY), 10.0, solver="native")
    assert record["lower_bound_m2"] == pytest.approx(result.lower_bound, rel=1e-9)
    assert record["relaxed_m2"] == pytest.approx(result.relaxed_value, rel=1e-9)
    assert record["value_m2"] == pytest.approx(result.value, rel=1e-6)
    assert record["lower_bound_m2"] <= record["relaxed_m2"]
    assert record["theorem2_residual"] < 1e-9


def test_bounds_are_ordered_as_their_signal_sets():
    at = {name: solve_trial(_point(name), KEY, refined=False) for name in SIGNALS}
    assert at["p1"]["lower_bound_m2"] < at["p1-noncoherent"]["lower_bound_m2"] < at["p2"]["relaxed_m2"]
    assert at["p1"]["lower_bound_m2"] <= at["p1"]["direct_m2"] * (1 + 1e-9)
    assert at["p1"]["phases_relaxed_m2"] >= at["p1-noncoherent"]["lower_bound_m2"]
    assert np.isnan(at["p1"]["value_m2"])
    assert np.isnan(at["p1-noncoherent"]["direct_m2"])


def test_extraction_as_printed_breaks_its_constraints():
    record = solve_trial(_point("p1"), KEY, refined=False)
    assert record["printed_power_excess"] > 0.01
    assert record["printed_m2"] < record["lower_bound_m2"]
    assert record["scaled_m2"] >= record["lower_bound_m2"]
    assert 1 <= record["printed_rank"] <= record["relaxed_rank"] + 1 <= 7


@pytest.mark.parametrize("interleaved", [False, True])
def test_the_edge_separates_feasible_from_infeasible(interleaved):
    fields = {"interleaved": interleaved, **SMALL}
    (record,) = EdgeSweep("test", (tuple(fields.items()),)).run(fields, [KEY])
    name, edge = "p2" if interleaved else "p1", record["edge_db"]
    assert solve_trial(_point(name, edge - EDGE_MARGIN_DB), KEY, refined=False)["feasible"]
    above = solve_trial(_point(name, edge + 2 * EDGE_TOLERANCE_DB), KEY, refined=False)
    assert not above["feasible"]
    assert above["edge_db"] == pytest.approx(edge, abs=2 * EDGE_TOLERANCE_DB)
    assert np.isnan(above["relaxed_m2"])


def test_native_variables_are_those_of_the_blocks():
    from disac.designs.problem.relaxed import RelaxedProblem

    scenario = PaperScenario(**SMALL).draw(KEY)
    joint = native_variables(RelaxedProblem(scenario, "joint", 10.0))
    assert joint == 4 * (2 * 3) ** 2
    assert native_variables(RelaxedProblem(scenario, "interleaved", 10.0)) % 9 == 0


def test_stated_variables_follow_the_papers_table():
    shape = PaperScenario(n_nodes=4, n_users=2, n_antennas=6, n_subcarriers=16)
    assert stated_variables("p1", shape) == 36 * 16 * 16 + 36 * 4 * 2 * 16
    assert stated_variables("p2", shape) == 36 * (16 + 32)
    assert stated_variables("p3", shape) == 36 * (4 + 32)
    with pytest.raises(ValueError, match="p1-noncoherent"):
        stated_variables("p1-noncoherent", shape)


@pytest.mark.parametrize("study", figure_studies(), ids=lambda study: study.name)
@pytest.mark.parametrize("quick", [True, False])
def test_every_figure_has_points_that_are_scenarios(study, quick):
    settings = study.Settings.chosen(quick=quick)
    spec = study.sweep(settings)
    edges = {(kind, value): 33.0 for kind in (False, True) for value in spec.series[1]}
    cases = (*spec.cases(edges), *spec.slow_cases())
    assert len(set(cases)) == len(cases) > 0
    for case in cases:
        PaperScenario.at(dict(case))
        assert dict(case)["design"] in SIGNALS
    assert all(topic and choice for topic, choice in study.unstated(settings))


def test_choices_are_those_of_the_run_and_not_of_the_paper():
    study = get_study("fig8")
    channel = {"channel": "tdl-a", "delay_spread_ns": 300.0, "draws": 6}
    quick, full = (dict(study.unstated(study.Settings.chosen(channel, quick=quick))) for quick in (True, False))
    assert quick["users' channels"] == "TDL-A of TR 38.901, delay spread 300 ns"
    assert quick["bandwidths [MHz]"] == "1, 5, 20, 100"
    assert full["bandwidths [MHz]"] == "1, 2, 5, 10, 20, 50, 100"
    assert quick["draws of both"].startswith("6,")


def test_a_threshold_sweep_ends_below_the_edge():
    study = get_study("fig5")
    spec = study.sweep(study.Settings.chosen(quick=True))
    edges = {(kind, users): 26.0 - users for kind in (False, True) for users in spec.series[1]}
    thresholds = [dict(case)["sinr_db"] for case in spec.cases(edges) if dict(case)["n_users"] == 2]
    assert max(thresholds) == 24.0 - EDGE_MARGIN_DB
    assert 30.0 not in thresholds
    with pytest.raises(ValueError, match="edges_db"):
        spec.cases()


def test_quick_leaves_out_the_slow_solves():
    study = get_study("table3")
    full, quick = (study.sweep(study.Settings.chosen(quick=quick)) for quick in (False, True))
    solved = {(dict(case)["design"], dict(case)["solver"]) for case in quick.cases()}
    slow, affordable = (
        {(dict(case)["design"], dict(case)["solver"], dict(case)["n_nodes"]) for case in spec.slow_cases()}
        for spec in (full, quick)
    )
    assert affordable == {(name, "clarabel", 2) for name in ("p1", "p1-noncoherent")}
    assert slow == {(name, "clarabel", n) for name in ("p1", "p1-noncoherent") for n in (2, 3, 4)}
    assert not solved & {(name, solver) for name, solver, _ in slow}


def test_users_later_than_the_prefix_are_warned_of():
    point = {"channel": "tdl-a", "delay_spread_s": 1e-6, "bandwidth_hz": 20e6, "n_subcarriers": 16}
    with pytest.warns(UserWarning, match=r"98\.68 % of the users' power .* prefix of 200 ns"):
        warn_of_late_paths([{**point, "delay_spread_s": 1e-7}, point])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_late_paths([{"bandwidth_hz": 20e6}, {**point, "delay_spread_s": 0.0}])


def test_what_is_no_figure_is_refused():
    with pytest.raises(ValueError, match="pareto"):
        full_sweep("pareto")


def test_an_experiment_is_rebuilt_from_its_run_and_repeats(tmp_path):
    experiment = DesignSweep("test", tuple(tuple(_point(sinr_db=x).items()) for x in (5.0, 15.0)), refined=1)
    result = run_campaign(experiment, tmp_path / "run", seed=5, trials=2)
    again = rebuild(configuration(experiment), experiment.points())
    assert again == experiment
    second = run_campaign(again, tmp_path / "again", seed=5, trials=2, batch_size=1)
    for index in range(2):
        for a, b in zip(result.records(index), second.records(index), strict=True):
            assert _without_times(a) == _without_times(b)


def _without_times(record):
    return {k: v for k, v in record.items() if "seconds" not in k and k != "processor_share" and v == v}


def _draws(values, feasible=None, **fields):
    values = np.asarray(values, dtype=float)
    flags = np.ones(len(values), dtype=bool) if feasible is None else np.array(feasible)
    names = ("gap", "residual", "solve_seconds", "compile_seconds", "total_seconds", "processor_share", "iterations")
    columns = {"trial": np.arange(len(values)), "feasible": flags, "relaxed_m2": values}
    return PointDraws(fields, columns | {name: np.full(len(values), 0.5) for name in names})


def test_draws_infeasible_at_one_point_are_left_out_at_all():
    points = [_draws([1.0, 4.0, 9.0], x=1), _draws([1.0, np.nan, 9.0], [True, False, True], x=2)]
    assert common_trials(points).tolist() == [0, 2]
    rows = summarize(points)
    assert [row["rcrb_relaxed_m"] for row in rows] == [pytest.approx(5**0.5)] * 2
    assert [row["infeasible_draws"] for row in rows] == [0, 1]


def test_root_ratio_of_paired_draws():
    rng = np.random.default_rng(0)
    below = rng.exponential(size=50)
    root, interval = root_ratio(9 * below, below)
    assert root == pytest.approx(3.0)
    assert (interval.low, interval.high) == pytest.approx((3.0, 3.0))
    assert root_ratio(np.array([4.0]))[1].high == np.inf


@pytest.mark.statistical(false_alarm=1e-9)
def test_interval_of_the_root_mean_covers():
    rng = np.random.default_rng(1)
    samples = np.exp(0.3 * rng.standard_normal((8000, 5)))
    truth = np.exp(0.5 * 0.3**2 / 2)
    intervals = [root_ratio(sample)[1] for sample in samples]
    assert 0.93 < np.mean([truth in interval for interval in intervals]) < 0.975  # 0.946 over 40,000 samples
    assert not np.mean([1.2 * truth in interval for interval in intervals]) > 0.93
