"""What a design raises when a threshold or level cannot be met, with the proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.designs.problem.sidelobes import SidelobeLimits

RealArray = NDArray[np.float64]


class SolverFailure(RuntimeError):
    """A solver gave no point at all, or is not installed or licensed."""


@dataclass(frozen=True)
class InfeasibilityProof:
    """Prices that rule out a SINR threshold: weak duality, checked from the scenario alone.

    With p >= 0, mu >= 0 and, for every serving node n, user u and subcarrier l,
    diag(p_n) + sum_u' mu_u'l h h^H - (1 + 1/Gamma) mu_ul h_u h_u^H >= 0, any signals that meet Gamma need
    sum_i p_i P_i >= (sigma_c^2 / L) sum mu, P_i the power of antenna i; so they break the limits P_T when
    ``power_needed`` > 1.

    Attributes
    ----------
    sinr_db : the threshold that is ruled out [dB].
    power_price, sinr_price : p (N, M_t) and mu (U, L).
    power_needed : (sigma_c^2 / L) sum mu / (P_T sum p), a lower bound on max_i P_i / P_T.
    """

    sinr_db: float
    power_price: RealArray = field(repr=False)
    sinr_price: RealArray = field(repr=False)
    power_needed: float


def usable_sinr_db(edge_db: float) -> float:
    """A threshold of three decimals, 0.001 to 0.002 dB below a feasible edge [dB].

    At the edge itself the feasible set has hardly an interior left, and the gap of a design may exceed its limit.
    """
    return float(np.floor(1e3 * edge_db) - 1) / 1e3


class Infeasible(ValueError):
    """No signals of the design's kind give every user the SINR asked for.

    Attributes
    ----------
    largest_feasible_sinr_db : largest threshold for which signals were found [dB]; -inf where a user is out of reach.
    proof : why ``sinr_db`` is out of reach; None when the design has no freedom and its SINR is just lower.
    where : user and subcarrier that are out of reach, or have the least SINR of a design without freedom; else None.

    The message names :func:`usable_sinr_db` instead, a threshold that can be asked for.
    """

    def __init__(
        self,
        name: str,
        sinr_db: float | None,
        largest_feasible_sinr_db: float,
        proof: InfeasibilityProof | None = None,
        where: tuple[int, int] | None = None,
    ) -> None:
        asked = "" if sinr_db is None else f"sinr_db = {sinr_db:g}: "
        if where is not None and np.isneginf(largest_feasible_sinr_db):
            message = (
                f"{name} cannot give user {where[0]} any SINR on subcarrier {where[1]}: nothing sent by the nodes that "
                "serve it there reaches it"
            )
        else:
            reason = "cannot give this SINR to every user on every subcarrier"
            if where is not None:
                reason += f", what it sends is fixed and user {where[0]} gets the least on subcarrier {where[1]}"
            message = f"{name} {reason}; feasible up to {usable_sinr_db(largest_feasible_sinr_db):.3f} dB"
        super().__init__(asked + message)
        self.name = name
        self.sinr_db = float("nan") if sinr_db is None else sinr_db
        self.largest_feasible_sinr_db = largest_feasible_sinr_db
        self.proof = proof
        self.where = where

    def __reduce__(self) -> tuple[type[Infeasible], tuple[Any, ...]]:
        sinr_db = None if np.isnan(self.sinr_db) else self.sinr_db
        return type(self), (self.name, sinr_db, self.largest_feasible_sinr_db, self.proof, self.where)


@dataclass(frozen=True)
class SidelobeProof:
    """Prices that rule out a sidelobe level, in one of two ways, both checked from the scenario alone.

    With a SINR: as in :class:`InfeasibilityProof`, with W_l of :mod:`disac.designs.problem.certificate` taken from the
    dual matrices; any signals that keep level and SINR need a share ``power_needed`` > 1 of P_T. By the spectrum alone:
    w_{mkl} < 0 on every subcarrier of a node, so r(0) > 0 contradicts sum_l w p >= 0: only a node that sends nothing
    towards the target keeps the level, whatever its power. ``power_needed`` is infinite then, the other prices 0.

    Attributes
    ----------
    limits : levels and phases that are ruled out.
    sidelobe_price : z (J, 3).
    power_price, sinr_price : p (N, M_t) and mu (U, L).
    power_needed : a lower bound on max_i P_i / P_T.
    """

    limits: SidelobeLimits = field(repr=False)
    sidelobe_price: RealArray = field(repr=False)
    power_price: RealArray = field(repr=False)
    sinr_price: RealArray = field(repr=False)
    power_needed: float


class SidelobesInfeasible(Infeasible):
    """No signals of the design's kind keep the sidelobe level, together with the SINR, within P_T.

    Attributes
    ----------
    sidelobe_db : the level asked for [dB].
    lowest_sidelobe_db : lowest level for which signals were found [dB].
    sidelobe_proof : rules out a level lower by at most 0.001 dB.
    largest_feasible_sinr_db : NaN; the threshold is in reach without the limit on sidelobes.
    """

    def __init__(
        self,
        name: str,
        sinr_db: float | None,
        sidelobe_db: float,
        lowest_sidelobe_db: float,
        proof: SidelobeProof | None = None,
    ) -> None:
        ValueError.__init__(
            self,
            f"sidelobe_db = {sidelobe_db:g}: {name} cannot keep all sidelobes at this level"
            + ("" if sinr_db is None else f" with {sinr_db:g} dB of SINR")
            + f"; the lowest feasible level is {np.ceil(1e3 * lowest_sidelobe_db) / 1e3:.3f} dB",
        )
        self.name = name
        self.sinr_db = float("nan") if sinr_db is None else sinr_db
        self.sidelobe_db = sidelobe_db
        self.lowest_sidelobe_db = lowest_sidelobe_db
        self.largest_feasible_sinr_db = float("nan")
        self.sidelobe_proof = proof
        self.proof = None
        self.where = None

    def __reduce__(self) -> tuple[type[Infeasible], tuple[Any, ...]]:
        sinr_db = None if np.isnan(self.sinr_db) else self.sinr_db
        return type(self), (self.name, sinr_db, self.sidelobe_db, self.lowest_sidelobe_db, self.sidelobe_proof)
