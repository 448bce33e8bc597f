"""The experiment behind the paper's figures: one trial draws channels and amplitudes and solves one design for them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.trials.experiment import Column, Record
from disac.experiments.trials.keys import Point, PointValue, Purpose, TrialKey, plain_point

if TYPE_CHECKING:
    from disac.designs.convex import CertifiedSolution
    from disac.designs.problem.relaxed import RelaxedProblem, Signal
    from disac.designs.result import DesignResult
    from disac.simulator import Scenario

SIGNALS: Mapping[str, Signal] = {
    "p1": "joint",
    "p1-noncoherent": "block-diagonal",
    "p2": "interleaved",
    "p3": "beamforming-averaged",
}
"""The paper's designs and block-diagonal P.1, with the signal model of each."""

EVALUATED_MODES = ("tof", "aoa", "tof-nuisance", "aoa-nuisance")
"""Bounds besides the hybrid one that the signals of a hybrid design are evaluated in."""

N_PHASES = 32
"""Draws of inter-node phases that the CRB of P.1 is averaged over."""

RANK_FLOOR = 1e-5
"""Eigenvalue over the largest from which a direction counts: interior-point solutions have no exact zeros."""

_NAN = float("nan")


def _optional(unit: str, description: str) -> Column:
    return Column(unit, description, required=False)


@dataclass(frozen=True)
class DesignSweep:
    """Designs over the points of one figure; a trial is one draw of channels and amplitudes, the same at every point.

    Attributes
    ----------
    figure : name of the figure, which keeps its runs apart from others.
    cases : points; each names ``design``, ``sinr_db``, ``solver`` and fields of :class:`PaperScenario`.
    refined : number of trials, from 0, in which the slow local search for the precoders of P.1 and of block-diagonal
        P.1 is made; the other trials have P.1's direct extraction only and none of block-diagonal P.1.
    timed : run times are the point: solve once before the first trial of a point, so that no time holds the loading of
        libraries and kernels, and count the variables.
    """

    figure: str
    cases: tuple[tuple[tuple[str, PointValue], ...], ...]
    refined: int = 0
    timed: bool = False

    name = "paper-designs"
    columns: ClassVar[Mapping[str, Column]] = {
        "feasible": Column("1", "whether the SINR threshold can be met"),
        "edge_db": _optional("dB", "largest feasible SINR threshold, where the one asked for is infeasible"),
        "lower_bound_m2": _optional("m^2", "certified lower bound of the convex problem, one symbol"),
        "relaxed_m2": _optional("m^2", "objective of the convex problem at a verified feasible point"),
        "gap": _optional("1", "(relaxed_m2 - lower_bound_m2) / lower_bound_m2"),
        "residual": _optional("1", "largest relative constraint violation of the signals sent"),
        "value_m2": _optional("m^2", "CRB trace of the signals sent, P.1's after a local search"),
        "direct_m2": _optional("m^2", "CRB trace of the signals of a direct extraction, without a local search"),
        "printed_m2": _optional("m^2", "CRB trace of P.1's signals by Eq. (27)-(29) as printed"),
        "printed_power_excess": _optional("1", "relative excess of those signals over P_T on the worst antenna"),
        "printed_sinr_shortfall": _optional("1", "relative shortfall of their SINR below the threshold, worst user"),
        "relaxed_rank": _optional("1", "rank of the relaxed covariances R_l, mean over subcarriers"),
        "printed_rank": _optional("1", "rank of the radar covariances of Eq. (29), mean over subcarriers"),
        "scaled_m2": _optional("m^2", "CRB trace of those signals, radar scaled down until power and SINR hold"),
        "theorem2_residual": _optional("1", "what Theorem 2's rank-one data break: SINR, or R - sum w w^H >= 0"),
        "phases_relaxed_m2": _optional("m^2", "mean CRB trace of the relaxed covariances over unknown phases"),
        "phases_value_m2": _optional("m^2", "mean CRB trace of the signals sent over unknown phases"),
        **{f"{mode}_m2": _optional("m^2", f"CRB trace of the signals sent, mode {mode}") for mode in EVALUATED_MODES},
        "iterations": _optional("1", "iterations of the solver"),
        "solve_seconds": _optional("s", "time in the solver"),
        "compile_seconds": _optional("s", "time to build the solver's input"),
        "processor_share": _optional(
            "1", "processor time over wall time of solver and certificate; below 1 on a busy machine"
        ),
        "total_seconds": _optional("s", "time of solver, certificate and direct extraction"),
        "variables": _optional("1", "real scalars in the covariances of the native solver's problem"),
    }

    def config(self) -> dict[str, Any]:
        """What, besides the points, decides a record."""
        return {"figure": self.figure, "refined": self.refined, "timed": self.timed}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], points: Sequence[Point]) -> DesignSweep:
        """The experiment of a stored run."""
        return cls(cases=tuple(tuple(plain_point(point).items()) for point in points), **config)

    def points(self) -> list[dict[str, PointValue]]:
        """The cases as points."""
        return [dict(case) for case in self.cases]

    def prepare(self, point: Point) -> Prepared:
        """The point with its number of variables, after a first solve, if run times are the point."""
        if not self.timed:
            return Prepared(plain_point(point), _NAN)
        key = TrialKey(0, 0, 0)
        solve_trial(point, key, refined=False)
        return Prepared(plain_point(point), native_variables(problem_of(point, PaperScenario.at(point).draw(key))))

    def run(self, context: Prepared, keys: Sequence[TrialKey]) -> list[Record]:
        """One record per key."""
        return [
            {
                **solve_trial(context.point, key, refined=key.trial < self.refined),
                "variables": context.variables,
            }
            for key in keys
        ]


@dataclass(frozen=True)
class Prepared:
    """A point and the number of real variables of its native problem, NaN where nobody asked."""

    point: dict[str, PointValue]
    variables: float


@dataclass(frozen=True)
class EdgeSweep:
    """Largest feasible SINR threshold of each draw. Targets, bandwidth and sensing noise do not enter it.

    Attributes
    ----------
    cases : points; each names ``interleaved`` (whether one node alone serves a subcarrier) and fields of
        :class:`PaperScenario`.
    """

    figure: str
    cases: tuple[tuple[tuple[str, PointValue], ...], ...]

    name = "paper-edges"
    columns: ClassVar[Mapping[str, Column]] = {
        "edge_db": Column("dB", "largest SINR threshold for which signals were found, within 1e-4 dB of a proof"),
    }

    def config(self) -> dict[str, Any]:
        """What, besides the points, decides a record."""
        return {"figure": self.figure}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], points: Sequence[Point]) -> EdgeSweep:
        """The experiment of a stored run."""
        return cls(cases=tuple(tuple(plain_point(point).items()) for point in points), **config)

    def points(self) -> list[dict[str, PointValue]]:
        """The cases as points."""
        return [dict(case) for case in self.cases]

    def prepare(self, point: Point) -> dict[str, PointValue]:
        """The point itself."""
        return plain_point(point)

    def run(self, context: Point, keys: Sequence[TrialKey]) -> list[Record]:
        """One record per key."""
        from disac.designs.problem.feasibility import largest_feasible_sinr

        records: list[Record] = []
        for key in keys:
            scenario = PaperScenario.at(context).draw(key)
            serves = np.ones((scenario.n_nodes, scenario.n_subcarriers), dtype=bool)
            if context["interleaved"]:
                serves = np.arange(scenario.n_nodes)[:, None] == scenario.subcarrier_node[None, :]
            records.append({"edge_db": largest_feasible_sinr(scenario, serves).sinr_db})
        return records


def solve_trial(point: Point, key: TrialKey, *, refined: bool) -> Record:
    """Solve the point's design for one draw, certify it, extract precoders and evaluate them."""
    from disac.designs import Infeasible
    from disac.designs.convex import solve_certified

    design, solver = str(point["design"]), str(point["solver"])
    scenario = PaperScenario.at(point).draw(key)
    problem = problem_of(point, scenario)
    record: Record = {name: _NAN for name in DesignSweep.columns}
    started, busy = time.perf_counter(), time.process_time()
    try:
        certified = solve_certified(design, problem, solver)
    except Infeasible as error:
        return {**record, "feasible": False, "edge_db": error.largest_feasible_sinr_db}
    share = (time.process_time() - busy) / (time.perf_counter() - started)
    direct = _direct(problem, solver, certified)
    seconds = time.perf_counter() - started
    solution = certified.solution
    record |= {
        "feasible": True,
        "lower_bound_m2": certified.bound.value,
        "relaxed_m2": certified.relaxed_value,
        "gap": certified.relaxed_value / certified.bound.value - 1,
        "iterations": solution.iterations,
        "solve_seconds": solution.solve_seconds,
        "compile_seconds": solution.compile_seconds,
        "processor_share": share,
        "total_seconds": seconds,
    }
    quickly_sent = design in ("p2", "p3") or (design == "p1-noncoherent" and solver == "native")
    sent = _refined(problem, solver, certified) if refined or quickly_sent else None
    if direct is not None:
        record["direct_m2"] = direct.value
    if sent is not None:
        record["value_m2"] = sent.value
    best = sent or direct
    if best is not None:
        record["residual"] = best.certificate.residual
        record |= _in_other_modes(best)
    record["theorem2_residual"] = _theorem2_residual(scenario, certified)
    if design == "p1":
        record |= _by_the_paper(problem, certified)
        record |= _over_phases(scenario, key, certified, sent)
    return record


def problem_of(point: Point, scenario: Scenario) -> RelaxedProblem:
    """The convex problem of a point in a draw."""
    from disac.designs.problem.relaxed import RelaxedProblem

    return RelaxedProblem(scenario, SIGNALS[str(point["design"])], float(point["sinr_db"]))


def _direct(problem: RelaxedProblem, solver: str, certified: CertifiedSolution) -> DesignResult | None:
    """What a direct extraction sends; None where there is none."""
    from disac.designs.catalogue import p2, p3
    from disac.designs.convex import assemble
    from disac.designs.precoding.joint_extraction import fitted

    match problem.signal:
        case "joint":
            precoders = fitted(problem.scenario, problem.sinr, certified.point)
        case "interleaved":
            precoders = p2.extract(problem, certified)
        case "beamforming-averaged":
            precoders = p3.extract(problem, certified)
        case _:
            return None
    return assemble(_name(problem), problem, solver, certified, *precoders)


def _refined(problem: RelaxedProblem, solver: str, certified: CertifiedSolution) -> DesignResult | None:
    """What the design of this name sends, a local search included where it makes one."""
    from disac.designs import design
    from disac.designs.catalogue import p1
    from disac.designs.convex import assemble

    match problem.signal:
        case "joint":
            return assemble("p1", problem, solver, certified, *p1.extract(problem, certified))
        case "block-diagonal":
            return design("p1-noncoherent", problem.scenario, problem.sinr_db, solver=solver)
        case _:
            return _direct(problem, solver, certified)


def _theorem2_residual(scenario: Scenario, certified: CertifiedSolution) -> float:
    """Largest relative violation after Eq. (25)-(26): of the useful power, or of R_nn - sum_u w w^H >= 0."""
    from disac.designs.precoding.extraction import data_precoders, outer
    from disac.designs.problem.certificate import node_blocks

    point = certified.point
    precoders = data_precoders(scenario, point.comm_covariances)
    rest = node_blocks(point.covariances, scenario.n_nodes) - outer(precoders).sum(axis=1)
    negative = -float(np.linalg.eigvalsh(rest).min()) * scenario.n_subcarriers / scenario.tx_power
    h = scenario.channels
    before = np.einsum("nulm,nulmk,nulk->ul", h.conj(), point.comm_covariances, h).real
    after = (np.abs(np.einsum("nulm,nulm->nul", h.conj(), precoders)) ** 2).sum(axis=0)
    return max(0.0, negative, float(np.max(np.abs(after / before - 1))))


def _by_the_paper(problem: RelaxedProblem, certified: CertifiedSolution) -> Record:
    """P.1's extraction as printed, and made feasible by scaling its radar part."""
    from disac.designs.precoding.joint_extraction import printed, scaled
    from disac.designs.precoding.measure import measure

    s = problem.scenario
    comm, radar = printed(s, certified.point)
    stacked = radar.transpose(1, 0, 2, 3).reshape(s.n_subcarriers, s.n_nodes * s.n_tx, -1)
    as_printed = measure(s, problem.sinr_db, comm, radar, problem.mode)
    as_scaled = measure(s, problem.sinr_db, *scaled(s, problem.sinr, certified.point), problem.mode)
    return {
        "printed_m2": as_printed.value,
        "printed_power_excess": as_printed.certificate.power_excess,
        "printed_sinr_shortfall": as_printed.certificate.sinr_shortfall,
        "scaled_m2": as_scaled.value,
        "relaxed_rank": _mean_rank(certified.point.covariances),
        "printed_rank": _mean_rank(stacked @ stacked.conj().swapaxes(1, 2)),
    }


def _mean_rank(covariances: NDArray[np.complex128]) -> float:
    """Mean over subcarriers of the number of eigenvalues of (L, D, D) above :data:`RANK_FLOOR` of the largest."""
    eigenvalues = np.linalg.eigvalsh(covariances)
    return float(np.mean(np.sum(eigenvalues > RANK_FLOOR * eigenvalues[:, -1:], axis=1)))


def _name(problem: RelaxedProblem) -> str:
    return next(name for name, signal in SIGNALS.items() if signal == problem.signal)


def _in_other_modes(sent: DesignResult) -> Record:
    from disac.designs import Unidentifiable, crb

    record: Record = {}
    for mode in EVALUATED_MODES:
        try:
            record[f"{mode}_m2"] = float(np.trace(crb(sent.scenario, sent.covariances, mode)))
        except Unidentifiable:
            record[f"{mode}_m2"] = _NAN
    return record


def _over_phases(scenario: Scenario, key: TrialKey, certified: CertifiedSolution, sent: DesignResult | None) -> Record:
    from disac.designs.bounds.phases import crb_over_phases

    shape = (N_PHASES, scenario.n_nodes)
    phases = key.of_all_points().generator(Purpose.PHASES).uniform(0.0, 2 * np.pi, shape)
    record: Record = {
        "phases_relaxed_m2": float(np.mean(crb_over_phases(scenario, certified.point.covariances, phases)))
    }
    if sent is not None:
        record["phases_value_m2"] = float(np.mean(crb_over_phases(scenario, sent.covariances, phases)))
    return record


def native_variables(problem: RelaxedProblem) -> int:
    """Real scalars in the Hermitian blocks that the native solver optimizes."""
    from disac.designs.solvers.native.problems import build
    from disac.designs.solvers.native.starting_point import starting_point

    return sum(block.size for block in starting_point(build(problem).saddle).covariances())
