"""The convex problems P.1 to P.4 (Eq. 24, 32, 39 and ours) and their solutions, as values shared by every solver.

All of them minimize tr(E^T F(R)^-1 E) over covariances R_l of the stacked transmit signal and covariances R_c[n,u,l] of
the data that each node sends to each user,

    sum_l [R_l]_ii <= P_T                                                     for every antenna i   (price p_i)
    sum_n (1 + 1/Gamma) h^H R_c[n,u,l] h - h^H R_nn,l h >= sigma_c^2 / L      for every u and l     (price mu_ul)
    R_c[n,u,l] >= 0,   R_nn,l - sum_u R_c[n,u,l] >= 0,   R_l >= 0             (multiplier of the second: Z_nl)

and differ only in what R_l may be, which :data:`Signal` names. P.4 is any of them with limits on range sidelobes,

    (level r(0), Re r(phi_j), Im r(phi_j)) in the second-order cone, r = r_{m,k}          (multiplier z_j in that cone)

for each of the phases of :class:`disac.designs.problem.sidelobes.SidelobeLimits`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from disac.designs.problem.sidelobes import SidelobeLimits
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

Signal = Literal["joint", "block-diagonal", "interleaved", "beamforming", "beamforming-averaged"]
"""Signal models.

- ``joint``: any R_l (P.1).
- ``block-diagonal``: nodes send uncorrelated signals, R_l = blkdiag(R_nn,l).
- ``interleaved``: node l mod N alone serves subcarrier l (P.2, Eq. 30).
- ``beamforming``: interleaved, and each node's radar covariance is the same on all its subcarriers (Eq. 37).
- ``beamforming-averaged``: the same signals, but F is computed from each node's covariance averaged over its own
  subcarriers (P.3, Eq. 38-39), so the optimum is no bound on the CRB of what is sent.
"""


@dataclass(frozen=True)
class RelaxedProblem:
    """One convex design problem.

    The problem of Eq. (23) with its SINR in the form of Eq. (22), where one node serves a subcarrier that of Eq. (31).

    Attributes
    ----------
    scenario : what is true.
    signal : which R_l are allowed.
    sinr_db : SINR threshold Gamma_c of every user on every subcarrier [dB]; None drops the SINR constraints.
    mode : the estimator whose bound is minimized, as in :func:`disac.designs.bounds.crb`.
    sidelobes : limits on the autocorrelation of each link's spectrum; None for none.
    data_from : (N, U, L) whether node n sends user u data on subcarrier l, for ``block-diagonal``; None for all nodes.
        Elsewhere R_c does not count as useful power, so that it may be taken for radar.
    """

    scenario: Scenario
    signal: Signal
    sinr_db: float | None
    mode: str = "hybrid"
    sidelobes: SidelobeLimits | None = None
    data_from: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.data_from is not None and self.signal != "block-diagonal":
            raise ValueError(f"data_from: is for signal = 'block-diagonal', not {self.signal!r}")
        if self.signal not in get_args(Signal):
            raise ValueError(f"signal = {self.signal!r}: must be one of {', '.join(get_args(Signal))}")
        if self.sinr_db is not None and not -300 <= self.sinr_db <= 300:
            raise ValueError(f"sinr_db = {self.sinr_db}: must be a finite number within [-300, 300] dB")

    @property
    def sinr(self) -> float:
        """Gamma_c, linear; 0 without SINR constraints."""
        return 0.0 if self.sinr_db is None else float(10 ** (self.sinr_db / 10))

    @property
    def n_constrained_users(self) -> int:
        """Users whose SINR is constrained: U, or 0 without SINR constraints."""
        return 0 if self.sinr_db is None else self.scenario.n_users

    @property
    def serves(self) -> NDArray[np.bool_]:
        """(N, L) whether node n sends on subcarrier l."""
        s = self.scenario
        if self.signal in ("joint", "block-diagonal"):
            return np.ones((s.n_nodes, s.n_subcarriers), dtype=bool)
        served: NDArray[np.bool_] = np.arange(s.n_nodes)[:, None] == s.subcarrier_node[None, :]
        return served

    @property
    def sends_data(self) -> NDArray[np.bool_]:
        """(N, U, L) whether data of node n on subcarrier l count as useful power of user u."""
        if self.data_from is not None:
            return self.data_from
        return np.broadcast_to(self.serves[:, None], self.scenario.channels.shape[:3])


@dataclass(frozen=True)
class RelaxedSolution:
    """What a solver returns for a :class:`RelaxedProblem`: a claim, of which nothing is believed until it is certified.

    Everything is in the units of the scenario, unscaled.

    Attributes
    ----------
    covariances : (L, D, D) R_l of all that is sent, D = N M_t, data included; forbidden blocks are 0.
    comm_covariances : (N, U, L, M_t, M_t) R_c[n, u, l]; 0 where node n does not serve subcarrier l.
    power_price : (D,) multipliers p of the power limits [m^2 per unit of power].
    sinr_price : (U, L) multipliers mu of the SINR constraints, as written above.
    fisher_weights : (P, 2K) Y of the saddle form 2 tr(E^T Y) - tr(Y^T F Y), near F^-1 E; None to have it computed.
    split_price : (N, L, M_t, M_t) Z_nl of R_nn,l - sum_u R_c >= 0; needed only for ``joint`` with two users or more.
    sidelobe_price : (J, 3) multipliers z of the sidelobe limits; None without them.
    status : the solver's own word.
    iterations : its iterations.
    solve_seconds, compile_seconds : time in the solver, and time to build the problem for it [s].
    """

    covariances: ComplexArray
    comm_covariances: ComplexArray
    power_price: RealArray
    sinr_price: RealArray
    fisher_weights: RealArray | None
    split_price: ComplexArray | None
    status: str
    iterations: int
    solve_seconds: float
    compile_seconds: float
    sidelobe_price: RealArray | None = field(default=None, kw_only=True)
