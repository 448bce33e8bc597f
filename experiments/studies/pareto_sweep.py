"""The Pareto front of sidelobes, CRB and SINR: sidelobe-limited designs at bound level and at waveform level.

A trial is one draw of amplitudes and channels, the same at every point. Its design is solved and certified, and its
precoders are sent a number of times with new symbols, phases and noise. Target 0 is strong, target 1 weak. Each node
then looks with its own range profile (matched filter, both arrays steered at the weak target) for two echoes: the
highest peak, and the highest level outside the main lobe round it, that of equal power. The weak target counts as
detected when one of the two lies within half that main lobe's half width of its path; by chance that happens in about
two of as many cases as the node has tones. The first realizations are localized too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.studies.sidelobe_sweep import equal_energies, profile_levels
from disac.experiments.trials.experiment import Column, Record
from disac.experiments.trials.keys import Point, PointValue, Purpose, TrialKey, plain_point
from disac.experiments.trials.observation import Transmission
from disac.simulator import Scenario
from disac.simulator.geometry import SPEED_OF_LIGHT
from disac.simulator.presets import PAPER_NODES_M
from disac.simulator.random_models import RandomAmplitudes, RandomChannels

if TYPE_CHECKING:
    from disac.designs import DesignResult

ComplexArray = NDArray[np.complex128]

LIMITED = {"p1": "p4", "p2": "p4-p2", "p3": "p4-p3"}
"""Designs and their counterparts with limited sidelobes."""


def pareto_scene() -> Scenario:
    """Two nodes of the paper with 16 interleaved tones each, and two targets three resolution cells apart in range."""
    return Scenario(
        nodes=PAPER_NODES_M[:2],
        targets=[[0.0, 0.0], [0.0, 10.0]],
        users=[[0.0, -20.0]],
        n_tx=4,
        n_rx=4,
        n_subcarriers=32,
        n_symbols=16,
        bandwidth_hz=100e6,
        tx_power=1.0,
        noise_comm=0.01,
        noise_sense=0.01,
        area=[[-20.0, 20.0], [-15.0, 25.0]],
    )


@dataclass(frozen=True)
class ParetoSweep:
    """Bound, sidelobes and detection of the weak target over designs, SINR thresholds and sidelobe levels.

    Attributes
    ----------
    scenario : with two targets; amplitudes and channels are drawn for every trial.
    designs : among the keys of :data:`LIMITED`.
    sinr_db : thresholds Gamma_c [dB].
    sidelobe_db : levels of the limited designs [dB].
    weak_db : power of the weak target's amplitudes over the strong one's [dB].
    realizations : transmissions per draw.
    localized : how many of these are localized.
    mainlobe : see :func:`disac.designs.design`.
    order : QAM order of the data.
    """

    scenario: Scenario
    designs: tuple[str, ...] = ("p2", "p3")
    sinr_db: tuple[float, ...] = (20.0,)
    sidelobe_db: tuple[float, ...] = (-3.0, -6.0, -10.0, -13.0)
    weak_db: float = -10.0
    realizations: int = 50
    localized: int = 5
    mainlobe: float = 1.0
    order: int = 4

    name = "pareto"

    def __post_init__(self) -> None:
        if self.scenario.n_targets != 2:
            raise ValueError(f"scenario: has {self.scenario.n_targets} targets, must have 2, a strong and a weak one")
        for name in self.designs:
            if name not in LIMITED:
                raise ValueError(f"designs = {name!r}: must be one of {', '.join(LIMITED)}")
        for level in self.sidelobe_db:
            if not -300 <= level < 0:
                raise ValueError(f"sidelobe_db = {level}: must be within [-300, 0) dB")
        self._check_limits()
        if self.realizations < 1:
            raise ValueError(f"realizations = {self.realizations}: must be at least 1")
        if not 0 <= self.localized <= self.realizations:
            raise ValueError(f"localized = {self.localized}: must be in [0, {self.realizations}]")
        if not -100 <= self.weak_db <= 0:
            raise ValueError(f"weak_db = {self.weak_db}: must be within [-100, 0] dB")

    def _check_limits(self) -> None:
        """Refuse widths that leave a design no sidelobe to limit."""
        from disac.designs.catalogue.p4 import limits_of

        if self.sidelobe_db:
            for name in self.designs:
                limits_of(LIMITED[name], self.scenario, self.sidelobe_db[0], self.mainlobe)

    @property
    def columns(self) -> Mapping[str, Column]:
        """Unit and meaning of the records' columns."""
        return {
            "feasible": Column("1", "whether SINR and sidelobe level can be met"),
            "lowest_db": Column("dB", "lowest feasible sidelobe level, certified, where the level is not", False),
            "rcrb_m": Column("m", "root CRB of the design, one symbol", False),
            "gap": Column("1", "certified relative gap", False),
            "pslr_db": Column("dB", "highest sidelobe of any node towards any target, expected spectrum", False),
            "realized_pslr_db": Column(
                "dB", "the same of the symbols sent, mean over transmissions and profiles", False
            ),
            "looks": Column("1", "range profiles searched for the weak target", False),
            "detected": Column("1", "range profiles in which it was found", False),
            "localized": Column("1", "transmissions localized", False),
            "sq_error_m2": Column("m^2", "squared error of both positions, sum over these", False),
            "crb_m2": Column("m^2", "expected CRB trace of one transmission", False),
        }

    def config(self) -> dict[str, Any]:
        """What, besides the points, decides a record."""
        return {
            "scenario": self.scenario.digest,
            "weak_db": self.weak_db,
            "realizations": self.realizations,
            "localized": self.localized,
            "mainlobe": self.mainlobe,
            "order": self.order,
        }

    def points(self) -> list[dict[str, PointValue]]:
        """Each design without a limit and its counterpart at every level, and equal power."""
        points: list[dict[str, PointValue]] = [{"design": "uniform"}]
        for sinr_db in self.sinr_db:
            for name in self.designs:
                points.append({"design": name, "sinr_db": float(sinr_db)})
                points += [
                    {"design": LIMITED[name], "sinr_db": float(sinr_db), "sidelobe_db": float(level)}
                    for level in self.sidelobe_db
                ]
        return points

    def prepare(self, point: Point) -> dict[str, PointValue]:
        """The point itself."""
        return plain_point(point)

    def run(self, context: Point, keys: Sequence[TrialKey]) -> list[Record]:
        """One record per key."""
        return [self._record(context, key) for key in keys]

    def drawn(self, key: TrialKey) -> Scenario:
        """The scenario with the amplitudes and channels of a trial: links of one modulus per target, random phases."""
        common = key.of_all_points()
        seeds = [int(common.generator(purpose).integers(2**63 - 1)) for purpose in (Purpose.AMPLITUDE, Purpose.CHANNEL)]
        amplitudes = RandomAmplitudes(seed=seeds[0], fading="constant").draw(self.scenario.n_nodes, 2)
        amplitudes = amplitudes * np.array([1.0, 10 ** (self.weak_db / 20)])
        return self.scenario.replace(amplitudes=amplitudes, channels=RandomChannels(seed=seeds[1]))

    def _record(self, point: Point, key: TrialKey) -> Record:
        from disac.designs import Infeasible, SidelobesInfeasible, crb, design
        from disac.estimators import estimator

        record: Record = {name: float("nan") for name in self.columns}
        scenario = self.drawn(key)
        options: dict[str, Any] = {}
        if "sidelobe_db" in point:
            options = {"sidelobe_db": float(point["sidelobe_db"]), "mainlobe": self.mainlobe}
        threshold = float(point["sinr_db"]) if "sinr_db" in point else None
        try:
            result = design(str(point["design"]), scenario, threshold, **options)
        except SidelobesInfeasible as refusal:
            return {**record, "feasible": False, "lowest_db": refusal.lowest_sidelobe_db}
        except Infeasible:
            return {**record, "feasible": False}
        record |= {"feasible": True, "rcrb_m": result.rcrb_m, "gap": float(result.gap)}
        record["pslr_db"] = max(self._levels(result, None))
        record["crb_m2"] = float(np.trace(crb(scenario, result.covariances, n_symbols=scenario.n_symbols)))
        localizer = estimator("ml")(scenario) if self.localized else None
        common = key.of_all_points()
        seen = [
            self._realization(result, common.repeated(i), localizer if i < self.localized else None)
            for i in range(self.realizations)
        ]
        levels, hits, errors = zip(*seen, strict=True)
        record |= {
            "realized_pslr_db": float(np.mean(levels)),
            "looks": self.realizations * scenario.n_nodes,
            "detected": int(np.sum(hits)),
            "localized": self.localized,
            "sq_error_m2": float(np.sum(errors[: self.localized])),
        }
        return record

    def _levels(self, result: DesignResult, X: ComplexArray | None) -> list[float]:
        """PSLR of every node towards every target [dB], of the design or of symbols X."""
        from disac.estimators.range_profile import expected_spectrum, realized_spectrum

        s = result.scenario
        levels = []
        for (node, _), angle in np.ndenumerate(s.target_geometry.angle):
            spectrum = (
                expected_spectrum(s, result.covariances, node, angle)
                if X is None
                else realized_spectrum(s, X, node, angle)
            )
            levels.append(profile_levels(spectrum)["pslr_db"])
        return levels

    def _realization(
        self, result: DesignResult, key: TrialKey, localizer: Callable[..., Any] | None
    ) -> tuple[float, int, float]:
        """Mean realized PSLR [dB], nodes that found the weak target, and squared error of the positions [m^2]."""
        from disac.experiments.statistics.metrics import position_errors

        turns = np.exp(2j * np.pi * key.generator(Purpose.TARGET_PHASES).uniform(size=result.scenario.amplitudes.shape))
        s = result.scenario.replace(amplitudes=result.scenario.amplitudes * turns)
        sent = Transmission(s, result.comm_precoders, result.radar_precoders, order=self.order, known_phases=True)
        seen = sent.observe(key)
        X, Y = seen.X, seen.Y
        found = sum(self._finds_weak(s, X, Y, node) for node in range(s.n_nodes))
        error = 0.0
        if localizer is not None:
            error = float(np.sum(position_errors(localizer(X, Y).positions, s.targets) ** 2))
        return float(np.mean(self._levels(result, X))), found, error

    def _finds_weak(self, s: Scenario, X: ComplexArray, Y: NDArray[np.complexfloating[Any, Any]], node: int) -> bool:
        from disac.estimators.range_profile import measured_profile, range_profile, realized_spectrum

        angle = float(s.target_geometry.angle[node, 1])
        path = 2 * SPEED_OF_LIGHT * float(s.target_geometry.delay_s[node, 1])
        profile = measured_profile(s, X, Y, rx=node, tx=node, rx_angle=angle, tx_angle=angle)
        flat = range_profile(equal_energies(realized_spectrum(s, X, node, angle))).sidelobes()
        first = profile.peak_m
        second = first + profile.sidelobes(flat.mainlobe_m).highest_m
        off = (np.array([first, second]) - path + profile.period_m / 2) % profile.period_m - profile.period_m / 2
        return bool(np.min(np.abs(off)) <= flat.mainlobe_m[1] / 2)
