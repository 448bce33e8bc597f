"""One sensing trial without the users: a design's symbols, their echoes, and what an estimator reads of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from disac.experiments.trials.keys import Purpose, TrialKey
from disac.simulator import Scenario

if TYPE_CHECKING:
    from disac.estimators import Localizer, Statistics

ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class EchoTrial:
    """Echoes of given precoders in a scenario.

    Attributes
    ----------
    scenario : what is true, noise and T included.
    comm_precoders, radar_precoders : (N, U, L, M_t) and (N, L, M_t, Q).
    order : QAM order of the data.
    known_phases : whether the inter-node phases are zero, as the design takes them, in place of unknown.
    """

    scenario: Scenario
    comm_precoders: ComplexArray
    radar_precoders: ComplexArray
    order: int = 4
    known_phases: bool = False

    @cached_property
    def localizer(self) -> Localizer:
        """The estimator of as many targets as the scenario has."""
        from disac.estimators import Localizer

        return Localizer(self.scenario)

    @cached_property
    def bound_m2(self) -> NDArray[np.float64]:
        """(2K, 2K) expected bound for the scenario's T symbols [m^2]."""
        from disac.designs import crb, transmitted_covariances

        sent = transmitted_covariances(self.comm_precoders, self.radar_precoders)
        return crb(self.scenario, sent, "hybrid", self.scenario.n_symbols)

    def observe(self, key: TrialKey) -> Statistics:
        """Sufficient statistics of one trial; unless they are known, inter-node phases are uniform."""
        from disac.estimators import sufficient_statistics
        from disac.simulator import draw_streams, synthesize, transmit

        s = self.scenario
        streams = draw_streams(
            s,
            self.radar_precoders.shape[-1],
            order=self.order,
            bit_rng=key.generator(Purpose.BITS),
            radar_rng=key.generator(Purpose.RADAR),
        )
        X = transmit(self.comm_precoders, self.radar_precoders, streams)
        phases = key.generator(Purpose.PHASES).uniform(0.0, 2 * np.pi, s.n_nodes) * (not self.known_phases)
        return sufficient_statistics(X, synthesize(s, X, rng=key.generator(Purpose.SENSE_NOISE), phases=phases))
