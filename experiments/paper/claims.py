"""The paper's claims in Section V, judged: verdict and effect size with interval from the draws of its figures.

A claim is confirmed or refuted only where the whole interval, or every draw, lies on one side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from disac.designs.solvers.conic import covariance_variables
from disac.experiments.paper.bounds import native_variables, problem_of
from disac.experiments.paper.evidence import (
    Evidence,
    FigureDraws,
    RealArray,
    every,
    finite,
    over_figures,
    present,
)
from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.paper.sweeps import PAPER_SECONDS, stated_variables
from disac.experiments.statistics.draws import common_trials
from disac.experiments.statistics.means import Mean, Ratio, mean_over_points
from disac.experiments.statistics.rounding import signed_text_with_interval
from disac.experiments.statistics.verdicts import Finding, Verdict, joint_verdict
from disac.experiments.trials.keys import TrialKey

SAME_WITHIN = 0.02
"""Relative change of an RCRB ratio below which it counts as unchanged."""


Claim = Callable[[Evidence], "Finding | None"]

_BOUND = ("relaxed_m2", "relaxed_m2")
_SENT = ("value_m2", "value_m2")
_TRADE_OFFS = ("fig5", "fig6", "fig7", "fig8", "fig9")


def findings(evidence: Evidence) -> list[Finding]:
    """Every claim for which there are runs."""
    found = (claim(evidence) for claim in _CLAIMS)
    return [finding for finding in found if finding is not None]


def _order(claim: str, first: str, second: str, columns: tuple[str, str]) -> Claim:
    """Claim that the RCRB of one design is at most that of another, in every draw at every point."""

    def judge(evidence: Evidence) -> Finding | None:
        figures = present(evidence, _TRADE_OFFS)
        logs = over_figures(evidence, figures, lambda f: f.pairs({"design": first}, {"design": second}, columns))
        if not finite(logs).size:
            return None
        ratio = Ratio.of_logs(mean_over_points(logs))
        holds = finite(logs) <= 1e-5
        verdict: Verdict = "only under conditions"
        if holds.all():
            verdict = "confirmed" if ratio.draws > 1 else "undecided"
        elif not holds.any():
            verdict = "refuted" if ratio.draws > 1 else "undecided"
        worst, best = np.exp([finite(logs).max(), finite(logs).min()])
        effect = (
            f"ratio {ratio}, {best:.3f} to {worst:.3f} in single draws; "
            f"holds in {holds.sum()} of {holds.size} draws and points"
        )
        return Finding(claim, verdict, effect, figures)

    return judge


def _p2_extraction(evidence: Evidence) -> Finding | None:
    figures = present(evidence, _TRADE_OFFS)
    logs = over_figures(
        evidence, figures, lambda f: f.pairs({"design": "p2"}, {"design": "p2"}, ("value_m2", "relaxed_m2"))
    )
    losses = np.expm1(2 * finite(logs))
    if not losses.size:
        return None
    worst = float(np.abs(losses).max())
    return Finding(
        "The extraction of P.2 loses nothing (Theorem 3)",
        "confirmed" if worst < 1e-6 else "refuted",
        f"largest relative difference between the CRB sent and the relaxed one: {worst:.1e} in {losses.size} solves",
        figures,
    )


def _theorem_2(evidence: Evidence) -> Finding | None:
    figures = present(evidence, _TRADE_OFFS)
    if not figures:
        return None
    values = np.concatenate([every(evidence[name], "theorem2_residual") for name in figures])
    return Finding(
        "Rank-one data covariances keep every constraint of the relaxed problem and its optimum (Theorem 2)",
        "confirmed" if values.max() < 1e-6 else "refuted",
        f"largest violation of SINR or R - sum w w^H >= 0: {values.max():.1e} in {values.size} solves",
        figures,
    )


def _printed_extraction(evidence: Evidence) -> Finding | None:
    figures = present(evidence, _TRADE_OFFS)
    if not figures:
        return None
    power, short = (
        np.concatenate([every(evidence[name], column, design="p1") for name in figures])
        for column in ("printed_power_excess", "printed_sinr_shortfall")
    )
    logs = over_figures(
        evidence, figures, lambda f: f.pairs({"design": "p1"}, {"design": "p1"}, ("printed_m2", "relaxed_m2"))
    )
    if not power.size:
        return None
    feasible = (power < 1e-6) & (short < 1e-6)
    ratio = Ratio.of_logs(mean_over_points(logs))
    verdict: Verdict = "confirmed" if feasible.all() else "only under conditions" if feasible.any() else "refuted"
    return Finding(
        "P.1's extracted solution, Eq. (27)-(29), is feasible",
        verdict,
        f"feasible in {feasible.sum()} of {feasible.size} solves; median power {1 + np.median(power):.2f} P_T, median "
        f"SINR of the worst user {10 * np.log10(max(1 - np.median(short), 1e-30)):+.1f} dB from the threshold; its "
        f"RCRB is {ratio} times the bound that no feasible signal can beat",
        figures,
    )


def _p1_extraction(evidence: Evidence) -> Finding | None:
    """Loss of P.1's feasible extractions at the lowest threshold against the highest."""
    figures = present(evidence, ("fig5", "fig6", "fig7"))
    parts: list[str] = []
    verdicts: list[Verdict] = []
    for column, label in (
        ("scaled_m2", "Eq. (29) with its radar part scaled until feasible"),
        ("direct_m2", "our direct extraction"),
        ("value_m2", "our refined precoders"),
    ):
        low, high = (
            over_figures(evidence, figures, lambda f, end=end, column=column: _loss_at_end(f, column, end))  # type: ignore[misc]
            for end in (0, -1)
        )
        if not finite(low).size:
            continue
        lowest, highest = Ratio.of_logs(mean_over_points(low)), Ratio.of_logs(mean_over_points(high))
        change = Ratio.of_logs(mean_over_points(low) - mean_over_points(high))
        verdicts.append(change.above(1.0))
        parts.append(
            f"{label}: RCRB {lowest} times the bound at the lowest threshold, {highest} at the highest "
            f"(change {change}, {change.draws} draws)"
        )
    if not parts:
        return None
    verdict = joint_verdict(verdicts)
    return Finding("P.1's extraction degrades at low thresholds", verdict, "; ".join(parts), figures)


def _rank_loss(evidence: Evidence) -> Finding | None:
    """Ranks of R_l and of the radar covariance of Eq. (29) at the lowest threshold against the highest."""
    figures = present(evidence, ("fig5", "fig6", "fig7"))
    ranks = {
        (column, end): over_figures(evidence, figures, lambda f, c=column, e=end: _at_end(f, c, e))  # type: ignore[misc]
        for column in ("relaxed_rank", "printed_rank")
        for end in (0, -1)
    }
    lost = [mean_over_points(ranks["relaxed_rank", end] - ranks["printed_rank", end]) for end in (0, -1)]
    if not lost[0].size:
        return None
    change = Mean.of(lost[0] - lost[1])
    texts = [
        f"R_l {Mean.of(mean_over_points(ranks['relaxed_rank', end])).value:.2f}, radar of (29) "
        f"{Mean.of(mean_over_points(ranks['printed_rank', end])).value:.2f} at the {name} threshold"
        for end, name in ((0, "lowest"), (-1, "highest"))
    ]
    return Finding(
        "P.1's extraction loses rank at low thresholds (radar covariance of Eq. (29) against R_l)",
        change.sign,
        f"mean rank over subcarriers: {'; '.join(texts)}; rank lost, lowest less highest {change}",
        figures,
    )


def _at_end(draws: FigureDraws, column: str, end: int) -> RealArray:
    """(series, draws) of a column of P.1 at the first or last threshold."""
    spec = draws.sweep
    series, values = spec.series
    rows = []
    for value in values:
        fields = {"design": "p1", series: value}
        if not draws.select(**fields):
            continue
        rows.append(draws.column(column, **fields, **{spec.x: draws.values(spec.x, **fields)[end]}))
    return np.array(rows).reshape(len(rows), draws.trials.size)


def _loss_at_end(draws: FigureDraws, column: str, end: int) -> RealArray:
    spec = draws.sweep
    series, values = spec.series
    rows = []
    for value in values:
        fields = {"design": "p1", series: value}
        if not draws.select(**fields):
            continue
        at = {spec.x: draws.values(spec.x, **fields)[end]}
        rows.append(draws.log_rcrb(column, **fields, **at) - draws.log_rcrb("relaxed_m2", **fields, **at))
    return np.array(rows).reshape(len(rows), draws.trials.size)


def _costs(claim: str, figure: str) -> Claim:
    """Claim that the last value of a figure's series has a larger RCRB than the first at equal thresholds."""

    def judge(evidence: Evidence) -> Finding | None:
        if figure not in evidence:
            return None
        draws, spec = evidence[figure], evidence[figure].sweep
        series, values = spec.series
        parts, verdicts = [], []
        for design in spec.designs:
            first, last = ({"design": design, series: value} for value in (values[0], values[-1]))
            logs = np.array(
                [
                    draws.log_rcrb("relaxed_m2", **last, **{spec.x: x})
                    - draws.log_rcrb("relaxed_m2", **first, **{spec.x: x})
                    for x in draws.shared_values(spec.x, (first, last))
                ]
            )
            if not logs.size:
                continue
            lowest, highest = Ratio.of_logs(logs[0]), Ratio.of_logs(logs[-1])
            verdicts.append(Ratio.of_logs(mean_over_points(logs)).above(1.0))
            parts.append(f"{_NAMES[design]} {lowest} at the lowest common threshold, {highest} at the highest")
        if not parts:
            return None
        verdict = joint_verdict(verdicts)
        symbol = _SYMBOLS[series]
        effect = f"RCRB at {symbol} = {values[-1]} over {symbol} = {values[0]}: " + "; ".join(parts)
        return Finding(claim, verdict, effect, (figure,))

    return judge


_NAMES = {"p1": "P.1", "p1-noncoherent": "block-diagonal P.1", "p2": "P.2", "p3": "P.3"}
_SYMBOLS = {"n_users": "U", "n_targets": "K", "n_nodes": "N"}


def _edge_changes(claim: str, figure: str, *, rises: bool) -> Claim:
    """Claim that the largest feasible threshold rises or falls along a figure's series."""

    def judge(evidence: Evidence) -> Finding | None:
        if figure not in evidence:
            return None
        series, values = evidence[figure].sweep.series
        parts, verdicts = [], []
        for interleaved in (False, True):
            edges = {
                edge.fields[series]: edge.columns["edge_db"]
                for edge in evidence[figure].edges
                if bool(edge.fields["interleaved"]) == interleaved
            }
            if values[0] == values[-1] or not {values[0], values[-1]} <= edges.keys():
                continue
            first, last = edges[values[0]], edges[values[-1]]
            change = Ratio.of_logs(np.log(10.0) / 10 * (np.asarray(last) - np.asarray(first)))
            verdicts.append(change.above(1.0) if rises else change.below(1.0))
            value, low, high = (
                10 * math.log10(x) if 0 < x < math.inf else math.nan for x in (change.value, change.low, change.high)
            )
            kind = "P.2, P.3" if interleaved else "P.1"
            parts.append(f"{kind}: {signed_text_with_interval(value, low, high, 'dB')} over {change.draws} draws")
        if not parts:
            return None
        verdict = joint_verdict(verdicts)
        effect = f"largest feasible threshold, {_SYMBOLS[series]} = {values[0]} to {values[-1]}: " + "; ".join(parts)
        return Finding(claim, verdict, effect, (figure,))

    return judge


def _edge_without_targets(evidence: Evidence) -> Finding | None:
    if "fig6" not in evidence:
        return None
    draws, spec = evidence["fig6"], evidence["fig6"].sweep
    tried = feasible = 0
    for value in spec.series[1]:
        for design in spec.designs:
            fields = {"design": design, spec.series[0]: value}
            (last,) = draws.select(**fields, sinr_db=draws.values("sinr_db", **fields)[-1])
            tried += len(last.columns["trial"])
            feasible += len(last.feasible_trials)
    return Finding(
        "The largest feasible threshold does not depend on the number of targets",
        "confirmed" if feasible == tried else "refuted",
        f"by construction: radar only interferes, so the edge is that of data alone; {feasible} of {tried} solves just "
        "below the certified edge are feasible for every K",
        ("fig6",),
    )


def _same_gaps(claim: str, figure: str, first: str, second: str) -> Claim:
    """Claim that the ratio of two designs' bounds is the same for all values of a figure's series."""

    def judge(evidence: Evidence) -> Finding | None:
        if figure not in evidence:
            return None
        draws, spec = evidence[figure], evidence[figure].sweep
        series, values = spec.series
        a, b = ({"design": design} for design in (first, second))
        selections = [d | {series: v} for d in (a, b) for v in values]
        shared = draws.shared_values(spec.x, selections)
        if not shared:
            return None

        def gap(value: int) -> RealArray:
            logs = [
                draws.log_rcrb("relaxed_m2", **a, **{series: value, spec.x: x})
                - draws.log_rcrb("relaxed_m2", **b, **{series: value, spec.x: x})
                for x in shared
            ]
            return mean_over_points(np.array(logs))

        gaps = [Ratio.of_logs(gap(value)) for value in values]
        change = Ratio.of_logs(gap(values[-1]) - gap(values[0]))
        verdict: Verdict = "undecided"
        if 1 - SAME_WITHIN < change.low and change.high < 1 + SAME_WITHIN:
            verdict = "confirmed"
        elif change.low > 1 + SAME_WITHIN or change.high < 1 - SAME_WITHIN:
            verdict = "refuted"
        symbol = _SYMBOLS[series]
        listed = ", ".join(f"{symbol} = {value}: {ratio}" for value, ratio in zip(values, gaps, strict=True))
        effect = (
            f"RCRB of {_NAMES[first]} over {_NAMES[second]}: {listed}; change {change} (same within {SAME_WITHIN:.0%})"
        )
        return Finding(claim, verdict, effect, (figure,))

    return judge


def _converges(claim: str, figure: str, first: tuple[str, str], second: tuple[str, str]) -> Claim:
    """Claim that the RCRB ratio of two (design, column) tends to 1: its logarithm at least halves over the abscissa."""

    def judge(evidence: Evidence) -> Finding | None:
        if figure not in evidence or not evidence[figure].trials.size:
            return None
        draws, spec = evidence[figure], evidence[figure].sweep
        value = spec.series[1][-1]
        a, b = ({"design": design, spec.series[0]: value} for design, _ in (first, second))
        xs = draws.shared_values(spec.x, (a, b))
        if len(xs) < 2:
            return None
        logs = [
            draws.log_rcrb(first[1], **a, **{spec.x: x}) - draws.log_rcrb(second[1], **b, **{spec.x: x}) for x in xs
        ]
        ratios = [Ratio.of_logs(values) for values in logs]
        shrink = Ratio.of_logs(np.log(np.abs(logs[-1])) - np.log(np.abs(logs[0])))
        half: Verdict = shrink.below(0.5)
        verdict: Verdict = "confirmed" if half == "confirmed" else "refuted" if shrink.low > 1 else half
        if verdict == "refuted" and shrink.high < 1:
            verdict = "only under conditions"
        listed = ", ".join(f"{_quantity(spec.x, x)}: {ratio}" for x, ratio in zip(xs, ratios, strict=True))
        effect = f"RCRB ratio {listed}; its logarithm ends at {shrink} times where it began (tends: half at most)"
        return Finding(claim, verdict, effect, (figure,))

    return judge


def _quantity(x: str, value: float) -> str:
    return f"B = {value / 1e6:g} MHz" if x == "bandwidth_hz" else f"M = {value:g}"


def _aperture(evidence: Evidence) -> Finding | None:
    if "fig4b" not in evidence or not evidence["fig4b"].trials.size:
        return None
    draws = evidence["fig4b"]
    antennas = draws.values("n_antennas")
    gains = {
        name: Ratio.of_logs(
            draws.log_rcrb(column, n_antennas=antennas[0]) - draws.log_rcrb(column, n_antennas=antennas[-1])
        )
        for name, column in (("AOA", "aoa_m2"), ("TOF", "tof_m2"), ("hybrid", "value_m2"))
    }
    both = draws.log_rcrb("tof_m2", n_antennas=antennas[-1]) - draws.log_rcrb("tof_m2", n_antennas=antennas[0])
    both += draws.log_rcrb("aoa_m2", n_antennas=antennas[0]) - draws.log_rcrb("aoa_m2", n_antennas=antennas[-1])
    advantage = Ratio.of_logs(both)
    listed = ", ".join(f"{name} {ratio}" for name, ratio in gains.items())
    return Finding(
        "AOA gains more from antennas than TOF at constant total power",
        advantage.above(1.0),
        f"RCRB at M = {antennas[0]} over M = {antennas[-1]}: {listed}; AOA's gain over TOF's {advantage}",
        ("fig4b",),
    )


def _nodes_help(evidence: Evidence) -> Finding | None:
    if "fig7" not in evidence:
        return None
    draws = evidence["fig7"]
    parts, verdicts = [], []
    for design in draws.sweep.designs:
        two, four = ({"design": design, "n_nodes": n} for n in (2, 4))
        logs = np.array(
            [
                draws.log_rcrb("relaxed_m2", **two, sinr_db=x) - draws.log_rcrb("relaxed_m2", **four, sinr_db=x)
                for x in draws.shared_values("sinr_db", (two, four))
            ]
        )
        if not logs.size:
            continue
        gain = Ratio.of_logs(mean_over_points(logs))
        verdicts.append(gain.above(1.0))
        parts.append(f"{_NAMES[design]} {gain}")
    if not parts:
        return None
    verdict = joint_verdict(verdicts)
    return Finding(
        "Four nodes localize better than two", verdict, "RCRB at N = 2 over N = 4: " + "; ".join(parts), ("fig7",)
    )


def _phases(evidence: Evidence) -> Finding | None:
    figures = present(evidence, _TRADE_OFFS)

    def logs(second: str) -> Callable[[FigureDraws], RealArray]:
        return lambda f: f.pairs({"design": "p1"}, {"design": second}, ("phases_relaxed_m2", "relaxed_m2"))

    against = {second: over_figures(evidence, figures, logs(second)) for second in ("p1", "p1-noncoherent", "p2")}
    if not finite(against["p2"]).size:
        return None
    ratios = {second: Ratio.of_logs(mean_over_points(values)) for second, values in against.items()}
    better = finite(against["p2"]) < 0
    verdict: Verdict = "confirmed" if better.all() else "refuted" if not better.any() else "only under conditions"
    return Finding(
        "P.1 beats P.2 without phase synchronization (the paper's setting; its bound takes the phases as known)",
        verdict,
        f"P.1's RCRB averaged over unknown phases: {ratios['p1']} times its own with known phases, {ratios['p2']} "
        f"times P.2, {ratios['p1-noncoherent']} times block-diagonal P.1; better than P.2 in {better.sum()} of "
        f"{better.size} draws and points",
        figures,
    )


def _times(figure: str, claim: str) -> Claim:
    """Claim that the median run times of P.1, P.2 and P.3 fall in this order at every abscissa, solver by solver."""

    def judge(evidence: Evidence) -> Finding | None:
        if figure not in evidence:
            return None
        draws, x = evidence[figure], evidence[figure].sweep.x
        parts, ordered = [], []
        for solver in draws.values("solver"):
            for value in draws.values(x, solver=solver):
                seconds = {
                    design: _seconds(draws, {"design": design, "solver": solver, x: value})
                    for design in _NAMES
                    if draws.select(design=design, solver=solver, **{x: value})
                }
                listed = ", ".join(_quartiles(design, times, x, value) for design, times in seconds.items())
                parts.append(f"{solver}, {_X_SYMBOLS[x]} = {value}: {listed}")
                medians = [float(np.median(seconds[design])) for design in PAPER_SECONDS if design in seconds]
                ordered.append(all(a > b for a, b in pairwise(medians)))
        verdict: Verdict = "confirmed" if all(ordered) else "only under conditions" if any(ordered) else "refuted"
        effect = "processor time [s], median (quartiles, solves): " + "; ".join(parts)
        return Finding(claim, verdict, effect, (figure,))

    return judge


_X_SYMBOLS = {"n_nodes": "N", "n_subcarriers": "L"}


def _quartiles(design: str, seconds: RealArray, x: str, value: int) -> str:
    low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    stated = f", paper {PAPER_SECONDS[design][value - 2]:g}" if x == "n_nodes" and design in PAPER_SECONDS else ""
    return f"{_NAMES[design]} {middle:.3g} ({low:.3g} to {high:.3g}, {seconds.size}{stated})"


def _seconds(draws: FigureDraws, fields: dict[str, Any]) -> RealArray:
    (point,) = draws.select(**fields)
    trials = common_trials([point])
    wall = point.values("solve_seconds", trials) + point.values("compile_seconds", trials)
    return wall * point.values("processor_share", trials)


def _variables(evidence: Evidence) -> Finding | None:
    figures = present(evidence, ("fig10", "table3"))
    points = [point.fields for name in figures for point in evidence[name].select(solver="native")]
    points += [{**fields, "n_users": users} for fields in points[:1] for users in (2, 3)]
    parts, equal = [], []
    for fields in points:
        shape = PaperScenario.at(fields)
        for design in PAPER_SECONDS:
            problem = problem_of({**fields, "design": design}, shape.draw(TrialKey(0, 0, 0)))
            stated, created = stated_variables(design, shape), covariance_variables(problem)
            equal.append(stated == created)
            sizes = f"N = {shape.n_nodes}, U = {shape.n_users}, L = {shape.n_subcarriers}"
            counts = f"{stated} stated, {created} created, {native_variables(problem)} native"
            text = f"{_NAMES[design]} {sizes}: {counts}"
            parts += [text] if text not in parts else []
    if not parts:
        return None
    verdict: Verdict = "confirmed" if all(equal) else "only under conditions" if any(equal) else "refuted"
    return Finding(
        "Q_1 to Q_3 of Eq. (42)-(44) count the real scalars of R and R_c that a general solver is given",
        verdict,
        "; ".join(parts) + "; the native solver has no R_c and no radar blocks of P.3 (docs/designs.md)",
        figures,
    )


_CLAIMS: tuple[Claim, ...] = (
    _order("P.1 <= P.2 in CRB: bounds, phases known", "p1", "p2", _BOUND),
    _order(
        "P.2 <= P.3 in CRB: bound of P.2 against the signals that P.3 sends", "p2", "p3", ("relaxed_m2", "value_m2")
    ),
    _order("P.2 <= P.3 in CRB: bound of P.2 against P.3's averaged bound", "p2", "p3", _BOUND),
    _order("P.1 <= P.2 in CRB: signals sent, phases known (refined where computed)", "p1", "p2", _SENT),
    _order("Block-diagonal P.1 <= P.2 in CRB: bounds, any phases", "p1-noncoherent", "p2", _BOUND),
    _order("Block-diagonal P.1 <= P.2 in CRB: signals sent, any phases", "p1-noncoherent", "p2", _SENT),
    _phases,
    _order("P.1's signals beat P.2's without phase synchronization", "p1", "p2", ("phases_value_m2", "value_m2")),
    _p2_extraction,
    _theorem_2,
    _printed_extraction,
    _p1_extraction,
    _rank_loss,
    _costs("More users cost CRB at the same threshold", "fig5"),
    _edge_changes("More users lower the largest feasible threshold", "fig5", rises=False),
    _costs("More targets cost CRB at the same threshold", "fig6"),
    _edge_without_targets,
    _same_gaps("The gap from P.2 to P.1 does not depend on the number of users", "fig5", "p2", "p1"),
    _same_gaps("The gap from P.3 to P.2 does not depend on the number of users", "fig5", "p3", "p2"),
    _same_gaps("The gap from P.2 to P.1 does not depend on the number of targets", "fig6", "p2", "p1"),
    _same_gaps("The gap from P.3 to P.2 does not depend on the number of targets", "fig6", "p3", "p2"),
    _converges("P.2 tends to P.1 as the bandwidth grows (bounds)", "fig8", ("p2", "relaxed_m2"), ("p1", "relaxed_m2")),
    _converges(
        "P.2 tends to block-diagonal P.1 as the bandwidth grows (bounds)",
        "fig8",
        ("p2", "relaxed_m2"),
        ("p1-noncoherent", "relaxed_m2"),
    ),
    _converges(
        "P.3 tends to P.2 as antennas grow at constant power (bound of P.2, P.3's averaged bound)",
        "fig9",
        ("p3", "relaxed_m2"),
        ("p2", "relaxed_m2"),
    ),
    _converges(
        "P.3 tends to P.2 as antennas grow at constant power (signals sent)",
        "fig9",
        ("p3", "value_m2"),
        ("p2", "value_m2"),
    ),
    _converges("TOF tends to hybrid as the bandwidth grows", "fig4a", ("p2", "tof_m2"), ("p2", "value_m2")),
    _aperture,
    _nodes_help,
    _edge_changes("Four nodes raise the largest feasible threshold over two", "fig7", rises=True),
    _times("table3", "Run times fall from P.1 to P.2 to P.3 as nodes are added (Table III)"),
    _times("fig10", "Run times fall from P.1 to P.2 to P.3 as subcarriers are added (Fig. 10)"),
    _variables,
)
