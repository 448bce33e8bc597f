"""What one trial observes: a design's symbols, their echoes, the users' samples, all drawn by the trial's key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.trials.keys import Purpose, TrialKey
from disac.simulator import Scenario

if TYPE_CHECKING:
    from disac.estimators import Statistics
    from disac.simulator import Streams
    from disac.simulator.streams import RadarSequence

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
AnyComplexArray = NDArray[np.complexfloating[Any, Any]]


@dataclass(frozen=True)
class Observation:
    """The arrays of one trial.

    Attributes
    ----------
    X : (N, M_t, L, T) array of complex
        What the nodes sent.
    Y : (N, M_r, L, T) array of complex
        What they received, noise included.
    streams : Streams
        Bits, data symbols and radar sequences in X.
    phases : (N,) array of float
        Inter-node phases [rad].
    """

    X: ComplexArray
    Y: AnyComplexArray
    streams: Streams
    phases: RealArray

    @cached_property
    def statistics(self) -> Statistics:
        """Sufficient statistics of X and Y."""
        from disac.estimators import sufficient_statistics

        return sufficient_statistics(self.X, self.Y)


@dataclass(frozen=True)
class Transmission:
    """Precoders with the law of what they carry, sent in a scenario.

    Attributes
    ----------
    scenario : Scenario
        What is true, noise and T included.
    comm_precoders : (N, U, L, M_t) array of complex
        Precoders of the data.
    radar_precoders : (N, L, M_t, Q) array of complex
        Precoders of the radar streams.
    order : int
        QAM order of the data.
    radar : str
        Law of the radar sequences, as in :func:`disac.simulator.draw_streams`.
    known_phases : bool
        Whether the inter-node phases are zero, as the design takes them, in place of unknown.
    """

    scenario: Scenario
    comm_precoders: ComplexArray
    radar_precoders: ComplexArray
    order: int = 4
    radar: RadarSequence = "constant-modulus"
    known_phases: bool = False

    @cached_property
    def covariances(self) -> ComplexArray:
        """(L, N M_t, N M_t) expected covariances of what is sent."""
        from disac.designs import transmitted_covariances

        return transmitted_covariances(self.comm_precoders, self.radar_precoders)

    def expected_crb(self, bound: str = "hybrid") -> RealArray:
        """(2K, 2K) expected bound for the scenario's T symbols [m^2], a mode of :func:`disac.designs.crb`."""
        from disac.designs import crb

        return crb(self.scenario, self.covariances, bound, self.scenario.n_symbols)

    def draw_phases(self, key: TrialKey) -> RealArray:
        """Inter-node phases of a trial (N,) [rad]: zero where they are known, else uniform."""
        return key.generator(Purpose.PHASES).uniform(0.0, 2 * np.pi, self.scenario.n_nodes) * (not self.known_phases)

    def observe(self, key: TrialKey) -> Observation:
        """Draw phases, bits, radar sequences and noise of a trial; send and receive."""
        from disac.simulator import draw_streams, synthesize, transmit

        s = self.scenario
        phases = self.draw_phases(key)
        streams = draw_streams(
            s,
            self.radar_precoders.shape[-1],
            order=self.order,
            radar=self.radar,
            bit_rng=key.generator(Purpose.BITS),
            radar_rng=key.generator(Purpose.RADAR),
        )
        X = transmit(self.comm_precoders, self.radar_precoders, streams)
        Y = synthesize(s, X, rng=key.generator(Purpose.SENSE_NOISE), phases=phases)
        return Observation(X, Y, streams, phases)

    def echoes(self, observation: Observation) -> AnyComplexArray:
        """What the nodes would have received without noise (N, M_r, L, T)."""
        from disac.simulator import synthesize

        return synthesize(self.scenario, observation.X, phases=observation.phases)

    def users_samples(self, observation: Observation, key: TrialKey | None = None) -> AnyComplexArray:
        """What the users received (U, L, T); without a key the noise-free samples."""
        from disac.simulator import receive_users

        rng = key.generator(Purpose.USER_NOISE) if key is not None else None
        return receive_users(self.scenario, observation.X, rng=rng, phases=observation.phases)
