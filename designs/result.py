"""What a design returns, and what it raises when the SINR threshold cannot be met."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from disac.designs.sidelobes import SidelobeLimits
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

GAP_LIMIT = 1e-5
"""Largest relative gap between relaxed value and verified lower bound of a result that counts as solved."""
RESIDUAL_LIMIT = 1e-6
"""Largest constraint violation, relative to the scale of its constraint, of a result that counts as solved."""


@dataclass(frozen=True)
class Certificate:
    """Quantities recomputed from the precoders that are sent and from the dual point, never taken from a solver.

    Attributes
    ----------
    sinr : (U, L) SINR of Eq. (7), linear.
    antenna_power : (N M_t,) power of each antenna (Eq. 14b).
    power_excess : largest relative excess over P_T, 0 when every antenna keeps it.
    sinr_shortfall : largest relative shortfall below Gamma_c, 0 when every user on every subcarrier has it.
    psd_residual : most negative eigenvalue of the covariances of the verified feasible point, relative to P_T / L.
    hermitian_residual : largest |R - R^H| of its covariances, relative to P_T / L.
    power_price, sinr_price : (N M_t,) and (U, L) dual point that proves the lower bound.
    dual_shift : what had to be added to the power prices to make them dual feasible, relative to their mean.
    primal_mix : share of a strictly feasible point mixed into the solver's answer to make it feasible exactly.
    sidelobe_excess : largest relative excess of a link's |r| / r(0) over its level anywhere outside the main lobe,
        between the phases of the problem too; 0 when all links keep it or none was asked for.
    sidelobe_ratios : (N, K) largest |r| / r(0) outside the main lobe for each transmitter and target; empty when no
        level was asked for.
    sidelobes, sidelobe_price : the limits at the phases of the problem, and their prices (J, 3).
    """

    sinr: RealArray = field(repr=False)
    antenna_power: RealArray = field(repr=False)
    power_excess: float
    sinr_shortfall: float
    psd_residual: float
    hermitian_residual: float
    power_price: RealArray = field(repr=False)
    sinr_price: RealArray = field(repr=False)
    dual_shift: float
    primal_mix: float
    sidelobe_excess: float = 0.0
    sidelobe_ratios: RealArray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    sidelobes: SidelobeLimits | None = field(default=None, repr=False)
    sidelobe_price: RealArray = field(default_factory=lambda: np.zeros((0, 3)), repr=False)

    @property
    def residual(self) -> float:
        """Largest of the relative violations."""
        return max(
            self.power_excess, self.sinr_shortfall, self.psd_residual, self.hermitian_residual, self.sidelobe_excess
        )

    @property
    def pslr_db(self) -> float:
        """Highest sidelobe of any link over its peak [dB], outside the main lobe that was asked for; -inf for none."""
        highest = float(self.sidelobe_ratios.max(initial=0.0))
        return 20 * float(np.log10(highest)) if highest > 0 else -float("inf")


@dataclass(frozen=True)
class DesignResult:
    """Precoders and what is proved about them. Bounds are CRB traces of one OFDM symbol [m^2].

    Attributes
    ----------
    name, sinr_db, solver : what was asked for; ``sinr_db`` is None where no SINR is asked for.
    scenario : the scenario that the precoders are for (the one given, except for designs that use fewer nodes).
    covariances : (L, N M_t, N M_t) covariances of what is sent.
    comm_precoders : (N, U, L, M_t) data precoders.
    radar_precoders : (N, L, M_t, q) radar precoders; the q streams are shared by all nodes.
    lower_bound : verified dual bound of the convex problem that was solved [m^2].
    relaxed_value : objective of that problem at a verified feasible point [m^2].
    value : CRB trace of what is sent [m^2].
    certificate : recomputed constraint values and the dual point.
    solve_seconds, compile_seconds : time in the solver, and time to build its input [s].
    iterations : the solver's iterations.
    solver_status : the solver's own word, which decides nothing.

    A design that solves no convex CRB problem (a baseline in closed form) reports its value in all three places.
    """

    name: str
    sinr_db: float | None
    solver: str
    scenario: Scenario = field(repr=False)
    covariances: ComplexArray = field(repr=False)
    comm_precoders: ComplexArray = field(repr=False)
    radar_precoders: ComplexArray = field(repr=False)
    lower_bound: float
    relaxed_value: float
    value: float
    certificate: Certificate
    solve_seconds: float
    compile_seconds: float = 0.0
    iterations: int = 0
    solver_status: str = ""

    @property
    def gap(self) -> float:
        """(relaxed_value - lower_bound) / lower_bound; infinite without a positive bound."""
        if not self.lower_bound > 0:
            return float("inf")
        return (self.relaxed_value - self.lower_bound) / self.lower_bound

    @property
    def extraction_loss(self) -> float:
        """value / relaxed_value - 1, what the step from covariances to precoders costs."""
        return self.value / self.relaxed_value - 1

    @property
    def status(self) -> Literal["solved", "inaccurate"]:
        """``solved`` when gap and residuals are within their limits, whatever the solver says."""
        solved = self.gap <= GAP_LIMIT and self.certificate.residual <= RESIDUAL_LIMIT
        return "solved" if solved else "inaccurate"

    @property
    def correlates_nodes(self) -> bool:
        """Whether nodes send correlated signals; then ``value`` holds for the phases between them that are assumed."""
        n_nodes, n_tx = self.comm_precoders.shape[0], self.comm_precoders.shape[-1]
        power = np.abs(self.covariances).reshape(-1, n_nodes, n_tx, n_nodes, n_tx).max(axis=(0, 2, 4))
        between = power[~np.eye(n_nodes, dtype=bool)]
        return bool(between.max(initial=0.0) > 1e-12 * power.max())

    @property
    def rcrb_m(self) -> float:
        """Root of ``value``: RCRB of one OFDM symbol [m]."""
        return float(np.sqrt(self.value))


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
    largest_feasible_sinr_db : largest threshold for which signals were found [dB].
    proof : why ``sinr_db`` is out of reach; None when the design has no freedom and its SINR is just lower.

    The message names :func:`usable_sinr_db` instead, a threshold that can be asked for.
    """

    def __init__(
        self, name: str, sinr_db: float, largest_feasible_sinr_db: float, proof: InfeasibilityProof | None = None
    ) -> None:
        super().__init__(
            f"sinr_db = {sinr_db:g}: {name} cannot give this SINR to every user on every subcarrier; "
            f"feasible up to {usable_sinr_db(largest_feasible_sinr_db):.3f} dB"
        )
        self.name = name
        self.sinr_db = sinr_db
        self.largest_feasible_sinr_db = largest_feasible_sinr_db
        self.proof = proof

    def __reduce__(self) -> tuple[type[Infeasible], tuple[Any, ...]]:
        return type(self), (self.name, self.sinr_db, self.largest_feasible_sinr_db, self.proof)


@dataclass(frozen=True)
class SidelobeProof:
    """Prices that rule out a sidelobe level, in one of two ways, both checked from the scenario alone.

    With a SINR: as in :class:`InfeasibilityProof`, with W_l of :mod:`disac.designs.certificate` taken from the dual
    matrices; any signals that keep level and SINR need a share ``power_needed`` > 1 of P_T. By the spectrum alone:
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

    def __reduce__(self) -> tuple[type[Infeasible], tuple[Any, ...]]:
        sinr_db = None if np.isnan(self.sinr_db) else self.sinr_db
        return type(self), (self.name, sinr_db, self.sidelobe_db, self.lowest_sidelobe_db, self.sidelobe_proof)
