"""The waveform-level link: one trial sends a design's symbols, receives them, localizes, detects and counts.

Scenario, design and estimators are those of the configuration; a trial draws bits, radar sequences, inter-node phases
and noise, and forms one array X that carries both the users' bits and the echoes. All estimators of a run see the same
X and Y. A trial is an :class:`Outcome`; its record is one flat row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disac.estimators.base import EstimatorKind, HasPositions, NoEstimate, estimator
from disac.experiments.studies.link_columns import estimator_prefix, link_columns
from disac.experiments.trials.experiment import Column, content_digest
from disac.experiments.trials.keys import Point, PointValue, Purpose, TrialKey
from disac.experiments.trials.observation import Observation, Transmission
from disac.simulator import Scenario

if TYPE_CHECKING:
    from disac.designs import FisherOperator
    from disac.simulator.streams import RadarSequence

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
AnyComplexArray = NDArray[np.complexfloating[Any, Any]]
Scalar = int | float | complex | str | bool

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
    """Monte Carlo of the link over the product of cases, SNRs and modulations; all estimators see every trial.

    Attributes
    ----------
    cases : the designs to transmit.
    snr_db : values of P_T / sigma_s^2 = P_T / sigma_c^2 [dB]; empty keeps each scenario's own noise.
    modulations : names in :data:`MODULATIONS`.
    estimators : names of registered estimators. The first is the reference: its columns have plain names, those of
        each further one begin with its name, and it is compared with them in pairs.
    radar : law of the radar sequences, as in :func:`disac.simulator.draw_streams`.
    n_pilots : OFDM symbols of known data sent before the trial, from which users estimate their channel; 0 for none.
    """

    cases: tuple[LinkCase, ...]
    snr_db: tuple[float, ...] = ()
    modulations: tuple[str, ...] = ("qpsk",)
    estimators: tuple[str, ...] = ("ml",)
    radar: RadarSequence = "constant-modulus"
    n_pilots: int = 0

    name = "link"

    def __post_init__(self) -> None:
        for value in self.modulations:
            if value not in MODULATIONS:
                raise ValueError(f"modulations = {value!r}: must be one of {', '.join(MODULATIONS)}")
        if not self.estimators or len(set(self.estimators)) < len(self.estimators):
            raise ValueError(f"estimators = {self.estimators!r}: must name at least one, and none twice")
        for value in self.estimators:
            estimator(value)
        most_users = max((case.scenario.n_users for case in self.cases), default=0)
        if self.n_pilots and self.n_pilots < most_users:
            raise ValueError(f"n_pilots = {self.n_pilots}: must be 0 or at least U = {most_users}, one per user")

    @property
    def columns(self) -> dict[str, Column]:
        """Columns of all cases; one that some case lacks is not required."""
        pilots = self.n_pilots > 0
        of_cases = [link_columns(case.scenario, pilots=pilots, estimators=self.estimators) for case in self.cases]
        return {
            name: replace(column, required=column.required and all(name in columns for columns in of_cases))
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
            "estimators": list(self.estimators),
        }

    def points(self) -> list[dict[str, PointValue]]:
        """One point per case, SNR and modulation, as field values."""
        return [
            {
                **dict(case.fields),
                "n_symbols": case.scenario.n_symbols,
                "modulation": modulation,
                "snr_db": snr_db,
            }
            for case in self.cases
            for modulation in self.modulations
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
            transmission=Transmission(
                at_snr(case.scenario, float(point["snr_db"])) if self.snr_db else case.scenario,
                case.comm_precoders,
                case.radar_precoders,
                order=MODULATIONS[str(point["modulation"])],
                radar=self.radar,
            ),
            estimators=self.estimators,
            n_pilots=self.n_pilots,
        )

    def run(self, context: LinkTrial, keys: Sequence[TrialKey]) -> list[dict[str, Scalar]]:
        """One record per key."""
        return [context.run(key) for key in keys]


def at_snr(scenario: Scenario, snr_db: float) -> Scenario:
    """The scenario with noise such that P_T / sigma_s^2 = P_T / sigma_c^2 = ``snr_db``."""
    noise = scenario.tx_power / 10 ** (snr_db / 10)
    return scenario.replace(noise_sense=noise, noise_comm=noise)


@dataclass(frozen=True)
class Outcome:
    """Everything that one trial of the link gave, as values.

    Attributes
    ----------
    observation : Observation
        X, Y, streams and phases.
    estimates : mapping of str to estimate or None
        What each estimator made of X and Y; None where it refused (:class:`disac.estimators.NoEstimate`).
    bounds : mapping of str to (2K, 2K) array of float
        Bounds of the estimators for the symbols and phases of this trial [m^2], order x_1..x_K, y_1..y_K; without
        those by which positions are not identifiable.
    users_samples : (U, L, T) array of complex
        What the users received.
    users_gains : mapping of str to (U, L) array of complex
        Gain of each user's own stream, by which it detects: "known", and "estimated" where pilots are sent.
    """

    observation: Observation
    estimates: Mapping[str, HasPositions | None]
    bounds: Mapping[str, RealArray]
    users_samples: AnyComplexArray
    users_gains: Mapping[str, AnyComplexArray]


@dataclass(frozen=True)
class LinkTrial:
    """The link at one point: :meth:`outcome` is a pure function of the trial's key, :meth:`record` its columns.

    Attributes
    ----------
    transmission : Transmission
        Scenario, precoders and the law of what they carry.
    estimators : tuple of str
        Names of the estimators, the reference first.
    n_pilots : int
        OFDM symbols of known data before the trial, 0 for none.
    """

    transmission: Transmission
    estimators: tuple[str, ...] = ("ml",)
    n_pilots: int = 0

    @property
    def scenario(self) -> Scenario:
        """What is true."""
        return self.transmission.scenario

    @cached_property
    def kinds(self) -> tuple[EstimatorKind, ...]:
        """What the estimators declare."""
        return tuple(estimator(name) for name in self.estimators)

    @cached_property
    def localizers(self) -> tuple[Any, ...]:
        """The estimators, built once: with the tables that depend on geometry and search grid only."""
        return tuple(kind(self.scenario) for kind in self.kinds)

    @cached_property
    def fishers(self) -> dict[str, FisherOperator]:
        """Fisher information of each estimator's bound as an operator of the covariances."""
        from disac.designs import FisherOperator

        return {bound: FisherOperator(self.scenario, bound) for bound in dict.fromkeys(k.bound for k in self.kinds)}

    def expected_crb_m2(self, bound: str) -> RealArray:
        """Diagonal of an expected bound for T symbols, x_1..x_K, y_1..y_K [m^2]."""
        return np.diag(self.transmission.expected_crb(bound))

    @cached_property
    def single_node_subcarriers(self) -> bool:
        """Whether one node alone sends on each subcarrier, so that inter-node phases cannot change what users see."""
        sent = self.transmission
        power = np.abs(sent.comm_precoders).sum(axis=(1, 3)) + np.abs(sent.radar_precoders).sum(axis=(2, 3))
        return bool(np.all((power > 0).sum(axis=0) <= 1))

    @cached_property
    def fixed_ber_theory(self) -> dict[str, float]:
        """BER theory where it does not depend on the trial's phases."""
        return self.ber_theory(np.zeros(self.scenario.n_nodes))

    def ber_theory(self, phases: RealArray) -> dict[str, float]:
        """Means over users and subcarriers of the exact conditional BER, and of Gaussian theory at two SINRs."""
        from disac.experiments.theory.ber import average_sinr_ber, conditional_ber, gaussian_ber

        if self.scenario.n_users == 0:
            return {}
        sent, gains = self.transmission, self.gains(phases)
        noise = self.scenario.noise_comm_per_subcarrier
        average = average_sinr_ber(self.scenario, sent.comm_precoders, sent.radar_precoders, sent.order)
        return {
            "ber_theory": float(np.mean(conditional_ber(*gains, noise, sent.order, sent.radar))),
            "ber_theory_gaussian": float(np.mean(gaussian_ber(*gains, noise, sent.order))),
            "ber_theory_average_sinr": float(np.mean(average)),
        }

    def gains(self, phases: RealArray) -> tuple[ComplexArray, ComplexArray]:
        """Gains of all data and radar streams at every user; see :func:`disac.simulator.effective_channels`."""
        from disac.simulator import effective_channels

        sent = self.transmission
        return effective_channels(self.scenario, sent.comm_precoders, sent.radar_precoders, phases)

    def run(self, key: TrialKey) -> dict[str, Scalar]:
        """The record of one trial."""
        return self.record(self.outcome(key))

    def outcome(self, key: TrialKey) -> Outcome:
        """Transmit, receive, localize with every estimator, and take the bounds at the truth of this trial.

        Raises
        ------
        NoEstimate : the one estimator of the run refused. Where there are several, a refusal is an estimate of None.
        Unidentifiable : no estimator of the run has a bound.
        """
        seen = self.transmission.observe(key)
        samples, gains = np.empty((0, self.scenario.n_subcarriers, self.scenario.n_symbols), dtype=complex), {}
        if self.scenario.n_users:
            samples = self.transmission.users_samples(seen, key)
            gains["known"] = np.einsum("uul->ul", self.gains(seen.phases)[0])
            if self.n_pilots:
                gains["estimated"] = self._estimated_gains(seen.phases, key)
        return Outcome(seen, self._estimates(seen), self._bounds(seen), samples, gains)

    def _estimates(self, seen: Observation) -> dict[str, HasPositions | None]:
        estimates: dict[str, HasPositions | None] = {}
        for name, localize in zip(self.estimators, self.localizers, strict=True):
            try:
                of_statistics = hasattr(localize, "from_statistics")
                estimates[name] = (
                    localize.from_statistics(seen.statistics) if of_statistics else localize(seen.X, seen.Y)
                )
            except NoEstimate:
                if len(self.estimators) == 1:
                    raise
                estimates[name] = None
        return estimates

    def _bounds(self, seen: Observation) -> dict[str, RealArray]:
        from disac.designs import Unidentifiable, crb_of_operator, sample_covariances

        s, sent = self.scenario, sample_covariances(seen.X)
        turned = s.amplitudes * np.exp(1j * (seen.phases[None, :] - seen.phases[:, None]))[..., None]
        bounds = {}
        for bound, fisher in self.fishers.items():
            try:
                bounds[bound] = crb_of_operator(fisher.with_amplitudes(turned), sent) / s.n_symbols
            except Unidentifiable:
                if len(self.fishers) == 1:
                    raise
        return bounds

    def record(self, outcome: Outcome) -> dict[str, Scalar]:
        """The outcome as columns.

        ``independent_groups`` counts the resource elements whose bit errors are independent given the channels: all of
        them where one node serves each subcarrier, one group where the trial's phases are common to all. With estimated
        channels the symbols of a subcarrier share one estimate: ``independent_groups_estimated`` counts subcarriers.
        """
        from disac.simulator import measured_snr

        seen = outcome.observation
        record: dict[str, Scalar] = {f"phase_{n}_rad": float(phase) for n, phase in enumerate(seen.phases)}
        record["snr_sense"] = measured_snr(self.transmission.echoes(seen), seen.Y)
        for index, (kind, localizer) in enumerate(zip(self.kinds, self.localizers, strict=True)):
            found, prefix = outcome.estimates[kind.name], estimator_prefix(index, kind.name)
            if found is not None and kind.bound in outcome.bounds:
                columns = self._localization(found, outcome.bounds[kind.bound])
                record.update({f"{prefix}{name}": value for name, value in columns})
                if hasattr(localizer, "missed"):
                    record[f"{prefix}search_missed"] = localizer.missed(seen.statistics, found, self.scenario.targets)
        if self.scenario.n_users:
            record.update(self._detection(outcome))
        return record

    def _localization(self, estimate: HasPositions, bound: RealArray) -> Iterator[tuple[str, Scalar]]:
        """Columns of one estimator; those of a diagnosis that its estimate does not give are left out."""
        from disac.experiments.statistics.metrics import position_errors

        s = self.scenario
        errors = position_errors(estimate.positions, s.targets)
        stacked = errors.T.ravel()
        yield "sq_error_m2", float(np.sum(errors**2))
        yield "crb_m2", float(np.trace(bound))
        yield "crb_squared_m4", float(np.sum(bound**2))
        yield "mahalanobis2", float(stacked @ np.linalg.solve(bound, stacked))
        claimed = getattr(estimate, "covariance", None)
        if claimed is not None:
            yield "claimed_m2", float(np.trace(claimed))
        yield "converged", bool(getattr(estimate, "converged", True))
        edge = np.any((estimate.positions <= s.area[:, 0]) | (estimate.positions >= s.area[:, 1]))
        yield "at_edge", bool(getattr(estimate, "at_edge", edge))
        for name, kind in (("gradient_norm", float), ("iterations", int)):
            if hasattr(estimate, name):
                yield name, kind(getattr(estimate, name))
        for k in range(s.n_targets):
            for axis, name in enumerate("xy"):
                yield f"error_{name}{k}_m", float(errors[k, axis])
                yield f"crb_{name}{k}_m2", float(bound[axis * s.n_targets + k, axis * s.n_targets + k])

    def _detection(self, outcome: Outcome) -> dict[str, Scalar]:
        from disac.estimators import count_bit_errors, detect
        from disac.simulator import measured_snr

        s, seen, order = self.scenario, outcome.observation, self.transmission.order
        bits = seen.streams.bits
        record: dict[str, Scalar] = {
            "snr_comm": measured_snr(self.transmission.users_samples(seen), outcome.users_samples),
            "bits": int(bits.size),
            "independent_groups": s.n_subcarriers * s.n_symbols if self.single_node_subcarriers else 1,
        }
        if "estimated" in outcome.users_gains:
            record["independent_groups_estimated"] = s.n_subcarriers if self.single_node_subcarriers else 1
        for kind, gain in outcome.users_gains.items():
            errors = count_bit_errors(detect(outcome.users_samples, gain, order), bits)
            for u in range(s.n_users):
                record[f"bit_errors_{kind}_u{u}"] = int(errors[u])
            if kind == "known":
                record["bit_errors"] = int(errors.sum())
        record.update(self.fixed_ber_theory if self.single_node_subcarriers else self.ber_theory(seen.phases))
        if "estimated" in outcome.users_gains:
            record["ber_estimated_theory"] = self._ber_theory_of(outcome.users_gains["estimated"], seen.phases)
        return record

    def _ber_theory_of(self, estimates: AnyComplexArray, phases: RealArray) -> float:
        from disac.experiments.theory.ber import conditional_ber

        noise, sent = self.scenario.noise_comm_per_subcarrier, self.transmission
        rates = conditional_ber(*self.gains(phases), noise, sent.order, sent.radar, estimates=estimates)
        return float(np.mean(rates))

    def _estimated_gains(self, phases: RealArray, key: TrialKey) -> AnyComplexArray:
        """Users' gains from a preamble that is sent with the same precoders, radar sequences included."""
        from disac.estimators import estimate_gains, pilot_symbols
        from disac.simulator import draw_streams, receive_users, transmit

        sent = self.transmission
        s = self.scenario.replace(n_symbols=self.n_pilots)
        rng = key.generator(Purpose.PILOTS)
        n_streams = sent.radar_precoders.shape[-1]
        drawn = draw_streams(s, n_streams, order=4, radar=sent.radar, bit_rng=rng, radar_rng=rng)
        pilots = pilot_symbols(s.n_users, s.n_subcarriers, self.n_pilots)
        X = transmit(sent.comm_precoders, sent.radar_precoders, replace(drawn, data=pilots))
        noise = key.generator(Purpose.PILOT_NOISE)
        return estimate_gains(receive_users(s, X, rng=noise, phases=phases), pilots)
