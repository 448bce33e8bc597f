"""What a design returns: precoders and what is proved about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from disac.designs.problem.sidelobes import SidelobeLimits
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

GAP_LIMIT = 1e-5
"""Largest relative gap between relaxed value and verified lower bound of a result that counts as solved."""
ROUNDING = 1e-9
"""Relative rounding error of a value and a bound in well-conditioned problems, with room to spare."""
FAR_ABOVE = 0.2
"""Excess of the RCRB of what is sent over that of the relaxed problem from which on a result says so."""
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
    value_error : estimate of the relative rounding error of ``value``.
    bounds_value : whether ``lower_bound`` bounds ``value``: not in P.3, whose problem is that of an averaged F.

    Raises
    ------
    ValueError : ``value`` lies below a ``lower_bound`` that bounds it, by more than rounding and what its violations of
        power, SINR and sidelobes are worth at their prices. One of the two is wrong then.

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
    value_error: float = 0.0
    bounds_value: bool = True

    def __post_init__(self) -> None:
        if not self.bounds_value:
            return
        least = self.lower_bound * (1 - ROUNDING - self.value_error) - self._worth_of_violations()
        if self.value < least:
            raise ValueError(
                f"value = {self.value:.9g} m^2: lies below lower_bound = {self.lower_bound:.9g} m^2, must not"
            )

    def _worth_of_violations(self) -> float:
        """What weak duality lets the value fall below the bound because precoders miss constraints [m^2]."""
        s, certificate = self.scenario, self.certificate
        worth = s.tx_power * float(np.sum(certificate.power_price)) * certificate.power_excess
        if certificate.sinr_shortfall and self.sinr_db is not None:
            n_nodes, n_tx = self.comm_precoders.shape[0], self.comm_precoders.shape[-1]
            split = self.covariances.reshape(-1, n_nodes, n_tx, n_nodes, n_tx)
            heard = np.einsum("nulm,lnmnk,nulk->ul", s.channels.conj(), split, s.channels, optimize=True).real
            disturbance = (heard + s.noise_comm_per_subcarrier) / (1 + certificate.sinr)
            missing = np.maximum(0.0, 1 - certificate.sinr / 10 ** (self.sinr_db / 10))
            worth += float(np.sum(certificate.sinr_price * disturbance * missing))
        limits = certificate.sidelobes
        if certificate.sidelobe_excess and limits is not None:
            peak = limits.spectra(self.covariances).sum(axis=-1)[limits.node, limits.target]
            price = certificate.sidelobe_price[:, 0]
            worth += certificate.sidelobe_excess * float(np.sum(price * limits.level[limits.node] * peak))
        return worth

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
    def rcrb_excess(self) -> float:
        """Root of ``value / relaxed_value`` - 1: what is sent against the problem solved, in RCRB."""
        return float(np.sqrt(self.value / self.relaxed_value)) - 1

    @property
    def rcrb_m(self) -> float:
        """Root of ``value``: RCRB of one OFDM symbol [m]."""
        return float(np.sqrt(self.value))
