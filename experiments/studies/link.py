"""The waveform-level link: one trial sends a design's symbols, receives them, localizes, detects and counts.

Scenario, design and estimator are those of the configuration; a trial draws bits, radar sequences, inter-node phases
and noise, forms one array X that carries both the users' bits and the echoes, and returns one flat record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.studies.link_columns import link_columns
from disac.experiments.trials.experiment import Column, content_digest
from disac.experiments.trials.keys import Point, PointValue, Purpose, TrialKey
from disac.simulator import Scenario

if TYPE_CHECKING:
    from disac.designs import FisherOperator
    from disac.estimators import Localizer, Search
    from disac.simulator.streams import RadarSequence

ComplexArray = NDArray[np.complex128]
Scalar = int | float | complex | str | bool

BOUND_OF_MODE = {
    "hybrid": "hybrid",
    "tof-genie": "tof",
    "aoa-genie": "aoa",
    "tof-nuisance": "tof-nuisance",
    "aoa-nuisance": "aoa-nuisance",
}
"""The bound of :func:`disac.designs.bounds.crb` that each localization mode is compared with."""

MODULATIONS = {"qpsk": 4, "16qam": 16, "64qam": 64, "256qam": 256}
"""QAM orders by the name that the command line takes."""


@dataclass(frozen=True)
class LinkCase:
    """One design transmitted in one scenario.

    Attributes
    ----------
    fields : pairs that tell this case from others of a sweep, for example ``(("sinr_db", 30.0),)``.
    scenario : what is true; its noise is replaced by that of the point's SNR where the point has one.
    comm_precoders : (N, U, L, M_t).
    radar_precoders : (N, L, M_t, Q).
    """

    fields: tuple[tuple[str, PointValue], ...]
    scenario: Scenario
    comm_precoders: ComplexArray
    radar_precoders: ComplexArray

    @property
    def digest(self) -> str:
        """Hash of scenario and precoders (hexadecimal)."""
        return content_digest(self.scenario.digest, self.comm_precoders, self.radar_precoders)


@dataclass(frozen=True)
class LinkExperiment:
    """Monte Carlo of the link over the product of cases, SNRs, modulations and localization modes.

    Attributes
    ----------
    cases : the designs to transmit.
    snr_db : values of P_T / sigma_s^2 = P_T / sigma_c^2 [dB]; empty keeps each scenario's own noise.
    modulations : names in :data:`MODULATIONS`.
    modes : localization modes, the keys of :data:`BOUND_OF_MODE`.
    radar : law of the radar sequences, as in :func:`disac.simulator.draw_streams`.
    n_pilots : OFDM symbols of known data sent before the trial, from which users estimate their channel; 0 for none.
    search : search settings of the localization; None takes the defaults.
    """

    cases: tuple[LinkCase, ...]
    snr_db: tuple[float, ...] = ()
    modulations: tuple[str, ...] = ("qpsk",)
    modes: tuple[str, ...] = ("hybrid",)
    radar: RadarSequence = "constant-modulus"
    n_pilots: int = 0
    search: Search | None = None

    name = "link"

    def __post_init__(self) -> None:
        for field, values, known in (
            ("modulations", self.modulations, MODULATIONS),
            ("modes", self.modes, BOUND_OF_MODE),
        ):
            for value in values:
                if value not in known:
                    raise ValueError(f"{field} = {value!r}: must be one of {', '.join(known)}")
        most_users = max((case.scenario.n_users for case in self.cases), default=0)
        if self.n_pilots and self.n_pilots < most_users:
            raise ValueError(f"n_pilots = {self.n_pilots}: must be 0 or at least U = {most_users}, one per user")

    @property
    def columns(self) -> dict[str, Column]:
        """Columns of all cases; one that some case lacks is not required."""
        of_cases = [link_columns(case.scenario, pilots=self.n_pilots > 0) for case in self.cases]
        return {
            name: replace(column, required=all(name in columns for columns in of_cases))
            for known in of_cases
            for name, column in known.items()
        }

    @classmethod
    def from_folder(cls, folder: Path) -> LinkExperiment:
        """The experiment of the run in a folder of ``disac run link``."""
        from disac.experiments.studies.link_job import load_job

        return load_job(folder)[0].experiment

    def config(self) -> dict[str, Any]:
        """What, besides the points, decides a record: two runs with equal configuration can be merged."""
        return {
            "cases": [{**dict(case.fields), "digest": case.digest} for case in self.cases],
            "radar": self.radar,
            "n_pilots": self.n_pilots,
            "search": None if self.search is None else repr(self.search),
        }

    def points(self) -> list[dict[str, PointValue]]:
        """One point per case, SNR, modulation and mode, as field values."""
        return [
            {
                **dict(case.fields),
                "n_symbols": case.scenario.n_symbols,
                "modulation": modulation,
                "mode": mode,
                "snr_db": snr_db,
            }
            for case in self.cases
            for modulation in self.modulations
            for mode in self.modes
            for snr_db in self._snrs_db(case)
        ]

    def _snrs_db(self, case: LinkCase) -> Sequence[PointValue]:
        if self.snr_db:
            return self.snr_db
        own = float(10 * np.log10(case.scenario.tx_power / case.scenario.noise_sense))
        return (dict(case.fields).get("snr_db", own),)

    def prepare(self, point: Point) -> LinkTrial:
        """Everything that the trials of ``point`` share."""
        case = next(
            case
            for case in self.cases
            if all(point.get(name) == value for name, value in (*case.fields, ("n_symbols", case.scenario.n_symbols)))
        )
        return LinkTrial(
            case=case,
            scenario=at_snr(case.scenario, float(point["snr_db"])) if self.snr_db else case.scenario,
            order=MODULATIONS[str(point["modulation"])],
            mode=str(point["mode"]),
            radar=self.radar,
            n_pilots=self.n_pilots,
            search=self.search,
        )

    def run(self, context: LinkTrial, keys: Sequence[TrialKey]) -> list[dict[str, Scalar]]:
        """One record per key."""
        return [context.run(key) for key in keys]


def at_snr(scenario: Scenario, snr_db: float) -> Scenario:
    """The scenario with noise such that P_T / sigma_s^2 = P_T / sigma_c^2 = ``snr_db``."""
    noise = scenario.tx_power / 10 ** (snr_db / 10)
    return scenario.replace(noise_sense=noise, noise_comm=noise)


@dataclass(frozen=True)
class LinkTrial:
    """The link at one point: :meth:`run` is a pure function of the trial's key."""

    case: LinkCase
    scenario: Scenario
    order: int
    mode: str
    radar: RadarSequence
    n_pilots: int
    search: Search | None

    @cached_property
    def localizer(self) -> Localizer:
        """The estimator, with the tables that depend on geometry and search grid only."""
        from disac.estimators import Localizer

        return Localizer(self.scenario, mode=self.mode, search=self.search)

    @cached_property
    def fisher(self) -> FisherOperator:
        """Fisher information of the mode's bound as an operator of the covariances."""
        from disac.designs import FisherOperator

        return FisherOperator(self.scenario, BOUND_OF_MODE[self.mode])

    @cached_property
    def expected_crb_m2(self) -> NDArray[np.float64]:
        """Diagonal of the expected bound for T symbols, x_1..x_K, y_1..y_K [m^2]."""
        from disac.designs import crb, transmitted_covariances

        sent = transmitted_covariances(self.case.comm_precoders, self.case.radar_precoders)
        return np.diag(crb(self.scenario, sent, BOUND_OF_MODE[self.mode], self.scenario.n_symbols))

    @cached_property
    def single_node_subcarriers(self) -> bool:
        """Whether one node alone sends on each subcarrier, so that inter-node phases cannot change what users see."""
        power = np.abs(self.case.comm_precoders).sum(axis=(1, 3)) + np.abs(self.case.radar_precoders).sum(axis=(2, 3))
        return bool(np.all((power > 0).sum(axis=0) <= 1))

    @cached_property
    def fixed_ber_theory(self) -> dict[str, float]:
        """BER theory where it does not depend on the trial's phases."""
        return self.ber_theory(np.zeros(self.scenario.n_nodes))

    def ber_theory(self, phases: NDArray[np.float64]) -> dict[str, float]:
        """Means over users and subcarriers of the exact conditional BER, and of Gaussian theory at two SINRs."""
        from disac.experiments.theory.ber import average_sinr_ber, conditional_ber, gaussian_ber

        if self.scenario.n_users == 0:
            return {}
        gains = self._gains(phases)
        noise = self.scenario.noise_comm_per_subcarrier
        return {
            "ber_theory": float(np.mean(conditional_ber(*gains, noise, self.order, self.radar))),
            "ber_theory_gaussian": float(np.mean(gaussian_ber(*gains, noise, self.order))),
            "ber_theory_average_sinr": float(
                np.mean(
                    average_sinr_ber(self.scenario, self.case.comm_precoders, self.case.radar_precoders, self.order)
                )
            ),
        }

    def _gains(self, phases: NDArray[np.float64]) -> tuple[ComplexArray, ComplexArray]:
        from disac.simulator import effective_channels

        return effective_channels(self.scenario, self.case.comm_precoders, self.case.radar_precoders, phases)

    def run(self, key: TrialKey) -> dict[str, Scalar]:
        """Transmit, receive, localize, detect and compare with the bounds at the truth of this trial.

        ``independent_groups`` counts the resource elements whose bit errors are independent given the channels: all of
        them where one node serves each subcarrier, one group where the trial's phases are common to all. With estimated
        channels the symbols of a subcarrier share one estimate: ``independent_groups_estimated`` counts subcarriers.
        """
        from disac.simulator import draw_streams, transmit

        s, case = self.scenario, self.case
        phases = self.draw_phases(key)
        streams = draw_streams(
            s,
            case.radar_precoders.shape[-1],
            order=self.order,
            radar=self.radar,
            bit_rng=key.generator(Purpose.BITS),
            radar_rng=key.generator(Purpose.RADAR),
        )
        X = transmit(case.comm_precoders, case.radar_precoders, streams)
        record: dict[str, Scalar] = {f"phase_{n}_rad": float(phase) for n, phase in enumerate(phases)}
        record.update(self._sense(X, phases, key))
        if s.n_users:
            record.update(self._communicate(X, streams.bits, phases, key))
        return record

    def draw_phases(self, key: TrialKey) -> NDArray[np.float64]:
        """Inter-node phases of a trial (N,) [rad]: unknown, so uniform."""
        return key.generator(Purpose.PHASES).uniform(0.0, 2 * np.pi, self.scenario.n_nodes)

    def _sense(self, X: ComplexArray, phases: NDArray[np.float64], key: TrialKey) -> dict[str, Scalar]:
        from disac.designs import crb_of_operator, sample_covariances
        from disac.estimators import sufficient_statistics
        from disac.experiments.statistics.metrics import position_errors
        from disac.simulator import measured_snr, synthesize

        s = self.scenario
        Y = synthesize(s, X, rng=key.generator(Purpose.SENSE_NOISE), phases=phases)
        statistics = sufficient_statistics(X, Y)
        estimate = self.localizer.from_statistics(statistics)
        turned = s.amplitudes * np.exp(1j * (phases[None, :] - phases[:, None]))[..., None]
        bound = crb_of_operator(self.fisher.with_amplitudes(turned), sample_covariances(X)) / s.n_symbols
        errors = position_errors(estimate.positions, s.targets)
        stacked = errors.T.ravel()
        record: dict[str, Scalar] = {
            "snr_sense": measured_snr(synthesize(s, X, phases=phases), Y),
            "sq_error_m2": float(np.sum(errors**2)),
            "crb_m2": float(np.trace(bound)),
            "crb_squared_m4": float(np.sum(bound**2)),
            "mahalanobis2": float(stacked @ np.linalg.solve(bound, stacked)),
            "converged": bool(estimate.converged),
            "at_edge": bool(np.any(estimate.at_edge)),
            "search_missed": self.localizer.missed(statistics, estimate, s.targets),
            "gradient_norm": float(estimate.gradient_norm),
            "iterations": int(estimate.iterations),
        }
        for k in range(s.n_targets):
            for axis, name in enumerate("xy"):
                record[f"error_{name}{k}_m"] = float(errors[k, axis])
                record[f"crb_{name}{k}_m2"] = float(bound[axis * s.n_targets + k, axis * s.n_targets + k])
        return record

    def _communicate(
        self, X: ComplexArray, bits: NDArray[np.uint8], phases: NDArray[np.float64], key: TrialKey
    ) -> dict[str, Scalar]:
        from disac.estimators import count_bit_errors, detect
        from disac.simulator import measured_snr, receive_users

        s = self.scenario
        clean = receive_users(s, X, phases=phases)
        y = receive_users(s, X, rng=key.generator(Purpose.USER_NOISE), phases=phases)
        own = np.einsum("uul->ul", self._gains(phases)[0])
        record: dict[str, Scalar] = {
            "snr_comm": measured_snr(clean, y),
            "bits": int(bits[0].size),
            "independent_groups": s.n_subcarriers * s.n_symbols if self.single_node_subcarriers else 1,
        }
        gains: dict[str, NDArray[np.complexfloating[Any, Any]]] = {"known": own}
        if self.n_pilots:
            gains["estimated"] = self._estimated_gains(phases, key)
            record["independent_groups_estimated"] = s.n_subcarriers if self.single_node_subcarriers else 1
        for kind, gain in gains.items():
            errors = count_bit_errors(detect(y, gain, self.order), bits)
            for u in range(s.n_users):
                record[f"bit_errors_{kind}_u{u}"] = int(errors[u])
            if kind == "known":
                record["bit_errors"] = int(errors.sum())
        theory = self.fixed_ber_theory if self.single_node_subcarriers else self.ber_theory(phases)
        record.update(theory)
        if "estimated" in gains:
            record["ber_estimated_theory"] = self._ber_theory_of(gains["estimated"], phases)
        return record

    def _ber_theory_of(self, estimates: NDArray[np.complexfloating[Any, Any]], phases: NDArray[np.float64]) -> float:
        from disac.experiments.theory.ber import conditional_ber

        noise = self.scenario.noise_comm_per_subcarrier
        rates = conditional_ber(*self._gains(phases), noise, self.order, self.radar, estimates=estimates)
        return float(np.mean(rates))

    def _estimated_gains(self, phases: NDArray[np.float64], key: TrialKey) -> NDArray[np.complexfloating[Any, Any]]:
        """Users' gains from a preamble that is sent with the same precoders, radar sequences included."""
        from disac.estimators import estimate_gains, pilot_symbols
        from disac.simulator import Streams, draw_streams, receive_users, transmit

        s = self.scenario.replace(n_symbols=self.n_pilots)
        rng = key.generator(Purpose.PILOTS)
        drawn = draw_streams(
            s,
            self.case.radar_precoders.shape[-1],
            order=4,
            radar=self.radar,
            bit_rng=rng,
            radar_rng=rng,
        )
        pilots = pilot_symbols(s.n_users, s.n_subcarriers, self.n_pilots)
        X = transmit(
            self.case.comm_precoders,
            self.case.radar_precoders,
            Streams(bits=drawn.bits, data=pilots, radar=drawn.radar),
        )
        return estimate_gains(receive_users(s, X, rng=rng, phases=phases), pilots)
