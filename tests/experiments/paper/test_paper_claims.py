"""Verdicts on the paper's claims: made-up draws for which the answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from disac.experiments.paper.claims import findings
from disac.experiments.paper.evidence import FigureDraws
from disac.experiments.paper.study import full_sweep
from disac.experiments.reproduce.findings import findings_text
from disac.experiments.statistics.draws import PointDraws
from disac.experiments.statistics.means import Ratio
from disac.experiments.statistics.verdicts import joint_verdict

N_DRAWS = 6


def _point(rcrb, rng, **fields):
    """Draws whose RCRB is ``rcrb`` up to a fluctuation, for every column that a claim may ask for."""
    spread = np.exp(0.02 * rng.standard_normal(N_DRAWS))
    squares = (rcrb * spread) ** 2
    columns = {
        "trial": np.arange(N_DRAWS),
        "feasible": np.ones(N_DRAWS, dtype=bool),
        **{name: squares for name in ("relaxed_m2", "lower_bound_m2", "value_m2", "direct_m2")},
        "phases_relaxed_m2": 4 * squares,
        "scaled_m2": 9 * squares,
        "printed_m2": squares / 4,
        "printed_power_excess": np.full(N_DRAWS, 0.7),
        "printed_sinr_shortfall": np.full(N_DRAWS, 0.9),
        "theorem2_residual": np.full(N_DRAWS, 1e-15),
        "gap": np.full(N_DRAWS, 1e-8),
        "relaxed_rank": np.full(N_DRAWS, 9.0),
        "printed_rank": np.full(N_DRAWS, 9.0 - fields.get("sinr_db", 0.0) / 10),
    }
    return PointDraws(fields, columns)


def _figure(name, rcrb_of, xs, x, series, values, seed=0):
    rng = np.random.default_rng(seed)
    points = [
        _point(rcrb_of(design, at, value), rng, design=design, solver="native", **{x: at, series: value})
        for design in ("p1", "p1-noncoherent", "p2", "p3")
        for value in values
        for at in xs
    ]
    return FigureDraws(replace(full_sweep(name), series=(series, tuple(values))), tuple(points), ())


def _verdicts(figure):
    return {finding.claim: finding for finding in findings({figure.sweep.name: figure})}


RANK = {"p1": 1.0, "p1-noncoherent": 1.2, "p2": 1.5, "p3": 2.0}


def _of(figure, start):
    return next(finding for claim, finding in _verdicts(figure).items() if claim.startswith(start))


def test_an_order_that_holds_everywhere_is_confirmed_and_its_reverse_refuted():
    holds = _figure("fig8", lambda d, x, v: RANK[d], (1e6, 1e8), "bandwidth_hz", "n_nodes", (2,))
    assert _of(holds, "P.1 <= P.2 in CRB: bounds").verdict == "confirmed"
    reverse = _figure("fig8", lambda d, x, v: 1 / RANK[d], (1e6, 1e8), "bandwidth_hz", "n_nodes", (2,))
    assert _of(reverse, "P.1 <= P.2 in CRB: bounds").verdict == "refuted"
    mixed = _figure(
        "fig8", lambda d, x, v: RANK[d] if x < 1e7 else 1 / RANK[d], (1e6, 1e8), "bandwidth_hz", "n_nodes", (2,)
    )
    assert _of(mixed, "P.1 <= P.2 in CRB: bounds").verdict == "only under conditions"


def test_convergence_needs_a_shrinking_gap():
    xs = (1e6, 1e7, 1e8)

    def closing(design, x, value):
        return 1.0 + (0.9 * (1e6 / x) ** 0.3 if design == "p2" else 0.0)

    assert _of(_figure("fig8", closing, xs, "bandwidth_hz", "n_nodes", (2,)), "P.2 tends to P.1").verdict == "confirmed"
    opening = _figure("fig8", lambda d, x, v: 1 + (x / 1e7 if d == "p2" else 0), xs, "bandwidth_hz", "n_nodes", (2,))
    assert _of(opening, "P.2 tends to P.1").verdict == "refuted"


def _trade_off(rcrb_of, edge_of):
    """A figure like Fig. 5 without fluctuations."""
    users, thresholds = (1, 2, 3), (0.0, 10.0)
    figure = _figure("fig5", rcrb_of, thresholds, "sinr_db", "n_users", users)
    points = [
        PointDraws(
            point.fields,
            point.columns
            | {
                "relaxed_m2": np.full(
                    N_DRAWS, rcrb_of(*(point.fields[k] for k in ("design", "sinr_db", "n_users"))) ** 2
                )
            },
        )
        for point in figure.points
    ]
    edges = [
        PointDraws(
            {"interleaved": kind, "n_users": u}, {"trial": np.arange(N_DRAWS), "edge_db": np.full(N_DRAWS, edge_of(u))}
        )
        for kind in (False, True)
        for u in users
    ]
    return FigureDraws(full_sweep("fig5"), tuple(points), tuple(edges))


@pytest.mark.parametrize(("growth", "verdict"), [(0.0, "confirmed"), (0.5, "refuted")])
def test_gaps_that_change_with_users_are_seen(growth, verdict):
    def rcrb(design, threshold, users):
        return RANK[design] ** (1 + growth * (users - 1)) * 1.1**users

    figure = _trade_off(rcrb, lambda users: 30.0 - users)
    assert _of(figure, "The gap from P.2 to P.1").verdict == verdict
    assert _of(figure, "More users cost CRB").verdict == "confirmed"
    lower = _of(figure, "More users lower")
    assert lower.verdict == "confirmed"
    assert "-2.000 dB" in lower.effect


def test_rank_that_is_lost_at_high_thresholds_refutes_its_loss_at_low_ones():
    figure = _trade_off(lambda design, threshold, users: RANK[design], lambda users: 30.0)
    finding = _of(figure, "P.1's extraction loses rank")
    assert finding.verdict == "refuted"
    assert "-1.000 [-1.000, -1.000]" in finding.effect


def test_users_that_help_refute_their_cost():
    figure = _trade_off(lambda design, threshold, users: RANK[design] / users, lambda users: 30.0 + users)
    assert _of(figure, "More users cost CRB").verdict == "refuted"
    assert _of(figure, "More users lower").verdict == "refuted"


def test_infeasible_extraction_is_refuted_and_phases_are_weighed():
    figure = _figure("fig8", lambda d, x, v: RANK[d], (1e6, 1e8), "bandwidth_hz", "n_nodes", (2,))
    printed = _of(figure, "P.1's extracted solution")
    assert printed.verdict == "refuted"
    assert "1.70 P_T" in printed.effect
    assert "-10.0 dB" in printed.effect
    assert _of(figure, "P.1 beats P.2 without").verdict == "refuted"
    assert _of(figure, "Rank-one data").verdict == "confirmed"


def test_the_text_names_command_and_every_claim():
    figure = _figure("fig8", lambda d, x, v: RANK[d], (1e6, 1e8), "bandwidth_hz", "n_nodes", (2,))
    text = findings_text({"fig8": figure}, command="disac reproduce --seed 7")
    assert "disac reproduce --seed 7" in text
    for claim in _verdicts(figure):
        assert claim in text
    assert "1.0e-08" in text


def test_ratio_says_what_its_interval_supports():
    logs = np.log(2.0) + 0.01 * np.array([-1.0, 0.0, 1.0])
    ratio = Ratio.of_logs(logs)
    assert ratio.value == pytest.approx(2.0)
    assert ratio.above(1.5) == ratio.below(2.5) == "confirmed"
    assert ratio.above(2.5) == "refuted"
    assert ratio.above(2.0) == "undecided"
    assert Ratio.of_logs(np.array([1.0])).above(1.0) == "undecided"


def test_cases_that_do_not_contradict_each_other_are_no_conditions():
    assert joint_verdict(["confirmed", "confirmed"]) == "confirmed"
    assert joint_verdict(["confirmed", "undecided"]) == joint_verdict(["refuted", "undecided"]) == "undecided"
    assert joint_verdict(["confirmed", "refuted", "undecided"]) == "only under conditions"
    assert joint_verdict(["confirmed", "only under conditions"]) == "only under conditions"
