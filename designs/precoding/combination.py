"""Precoders of P.1 improved by convex problems: the users' combinations of the nodes in turn with everything else.

What the relaxation of P.1 does not see is that all nodes send one and the same data symbol. For a given combination of
the nodes this coupling is convex (:mod:`disac.designs.solvers.native.combined`), and at their own combination precoders
are feasible there. So the optimum of that problem is no worse, and has the next combination: the CRB only falls. Every
step of the combination is stretched; one that does not help is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from disac.designs.precoding.extraction import factors
from disac.designs.precoding.measure import Transmission, try_measure
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.result import RESIDUAL_LIMIT
from disac.designs.solvers.native.combined import CombinedProblem
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]
Precoders = tuple[ComplexArray, ComplexArray]

_ROUNDS = 6
_STRETCH = 4.0
_TOLERANCE = 1e-4
_LEAST_GAIN = 1e-3
"""Relative gain of a round from which on the next one is worth its time."""
_ROUNDING = 1e-12
"""Relative violation of power or SINR up to which precoders count as feasible."""
_EXCHANGES = 8
"""Solutions of one round that may exceed sidelobe limits between the phases of its problem."""


@dataclass(frozen=True)
class Improved:
    """Feasible precoders.

    Attributes
    ----------
    precoders : data (N, U, L, M_t) and radar (N, L, M_t, N M_t).
    sent : what they do.
    """

    precoders: Precoders
    sent: Transmission


def improve(
    problem: RelaxedProblem, comm_precoders: ComplexArray, *, value: float = np.inf, enough: float = 0.0
) -> Improved | None:
    """Precoders of lower CRB than given ones, or None where none were found.

    Parameters
    ----------
    problem : RelaxedProblem
        P.1 or P.4, with a SINR threshold and at least one user.
    comm_precoders : (N, U, L, M_t) array of complex
        Data precoders that reach the threshold without radar.
    value : float
        CRB to improve on [m^2].
    enough : float
        CRB at which to stop [m^2].
    """
    restricted = _Restricted(problem)
    best: Improved | None = None
    own = stretched = _combination(problem, comm_precoders)
    stretch = _STRETCH
    for _ in range(_ROUNDS):
        found = restricted.solve(stretched)
        if found is None or found.sent.value >= value:
            if stretched is own:
                break
            stretched, stretch = own, 0.0
            continue
        gain = 1 - found.sent.value / value
        best, value = found, found.sent.value
        if value <= enough or gain < _LEAST_GAIN:
            break
        own = _combination(problem, found.precoders[0])
        own = own * _phase(np.sum(own.conj() * stretched, axis=-1, keepdims=True))
        stretched = _unit(own + stretch * (own - stretched)) if stretch else own
    return best


class _Restricted:
    """Solves the restriction to a combination; phases of sidelobe limits are added where a solution exceeds them."""

    def __init__(self, problem: RelaxedProblem) -> None:
        self._problem = problem
        self._combined = CombinedProblem(problem)

    def solve(self, combination: ComplexArray) -> Improved | None:
        """Precoders that keep every limit; None where the combination has none or rounding breaks one."""
        for _ in range(_EXCHANGES):
            signals = self._combined.solve(combination, _TOLERANCE)
            if signals is None:
                return None
            p = self._problem
            precoders = _precoders(p.scenario, *signals)
            sent = try_measure(p.scenario, p.sinr_db, *precoders, p.mode, p.sidelobes)
            if sent is None or max(sent.certificate.power_excess, sent.certificate.sinr_shortfall) > _ROUNDING:
                return None
            if sent.certificate.sidelobe_excess <= RESIDUAL_LIMIT:
                return Improved(precoders, sent)
            assert p.sidelobes is not None
            finer = p.sidelobes.with_maxima_of(sent.covariances)
            if finer is p.sidelobes:
                return None
            self._problem = replace(p, sidelobes=finer)
            self._combined = CombinedProblem(self._problem)
        return None


def _precoders(scenario: Scenario, covariances: ComplexArray, data: ComplexArray) -> Precoders:
    """Data as it is and the rest of the covariances as radar, scaled down to the power limit where rounding exceeds it.

    Parameters
    ----------
    covariances, data : R (L, N M_t, N M_t) and stacked data precoders W (L, N M_t, U), W W^H <= R.
    """
    s = scenario
    stacked = np.concatenate([data, factors(covariances - data @ data.conj().swapaxes(1, 2))], axis=-1)
    power = float(np.sum(np.abs(stacked) ** 2, axis=(0, 2)).max()) / s.tx_power
    split = (stacked / np.sqrt(max(power * (1 + 1e-15), 1.0))).reshape(s.n_subcarriers, s.n_nodes, s.n_tx, -1)
    return (
        np.ascontiguousarray(split[..., : s.n_users].transpose(1, 3, 0, 2)),
        np.ascontiguousarray(split[..., s.n_users :].transpose(1, 0, 2, 3)),
    )


def _combination(problem: RelaxedProblem, comm_precoders: ComplexArray) -> ComplexArray:
    """(L, U, N) directions of H^H w over the nodes."""
    return _unit(np.einsum("nulm,nulm->lun", problem.scenario.channels.conj(), comm_precoders))


def _unit(vectors: ComplexArray) -> ComplexArray:
    result: ComplexArray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return result


def _phase(values: ComplexArray) -> ComplexArray:
    size = np.abs(values)
    return np.where(size > 0, values / np.where(size > 0, size, 1), 1)
