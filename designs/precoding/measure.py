"""What given precoders do in a scenario: SINR, power, CRB, and the violations of what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.designs.bounds.crb import crb
from disac.designs.precoders import achieved_sinr, antenna_power, transmitted_covariances
from disac.designs.problem.refusals import Infeasible
from disac.designs.problem.sidelobes import SidelobeLimits
from disac.designs.result import Certificate, DesignResult
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class Transmission:
    """Figures of precoders as they are sent.

    Attributes
    ----------
    covariances : (L, N M_t, N M_t).
    value : CRB trace of one symbol [m^2].
    certificate : SINR, power and their violations; the dual entries are empty.
    """

    covariances: ComplexArray
    value: float
    certificate: Certificate


def measure(
    scenario: Scenario,
    sinr_db: float | None,
    comm_precoders: ComplexArray,
    radar_precoders: ComplexArray,
    mode: str = "hybrid",
    sidelobes: SidelobeLimits | None = None,
) -> Transmission:
    """Recompute everything that can be known from precoders alone; ``sidelobes`` are the levels that were asked for."""
    covariances = transmitted_covariances(comm_precoders, radar_precoders)
    sinr = achieved_sinr(scenario, comm_precoders, radar_precoders)
    power = antenna_power(covariances)
    asked = 0.0 if sinr_db is None else 10 ** (sinr_db / 10)
    shortfall = float(np.max(1 - sinr / asked, initial=0.0)) if asked else 0.0
    skew = float(np.abs(covariances - covariances.conj().swapaxes(1, 2)).max())
    levels: dict[str, Any] = {}
    if sidelobes is not None:
        levels = {
            "sidelobe_excess": max(0.0, sidelobes.excess(covariances)),
            "sidelobe_ratios": sidelobes.ratios(covariances),
            "sidelobes": sidelobes,
        }
    return Transmission(
        covariances=covariances,
        value=float(np.trace(crb(scenario, covariances, mode))),
        certificate=Certificate(
            sinr=sinr,
            antenna_power=power,
            power_excess=max(0.0, float(power.max()) / scenario.tx_power - 1),
            sinr_shortfall=shortfall,
            psd_residual=0.0,
            hermitian_residual=skew * scenario.n_subcarriers / scenario.tx_power,
            power_price=np.zeros(len(power)),
            sinr_price=np.zeros(sinr.shape),
            dual_shift=0.0,
            primal_mix=0.0,
            **levels,
        ),
    )


def fixed_design(
    name: str,
    scenario: Scenario,
    sinr_db: float | None,
    comm_precoders: ComplexArray,
    radar_precoders: ComplexArray,
    solve_seconds: float,
) -> DesignResult:
    """The result of a design that has no CRB problem to solve: bound, relaxed value and value coincide.

    Raises
    ------
    Infeasible : its precoders do not reach ``sinr_db``.
    """
    sent = measure(scenario, sinr_db, comm_precoders, radar_precoders)
    if sinr_db is not None and scenario.n_users:
        reached_db = float(10 * np.log10(max(float(sent.certificate.sinr.min()), 1e-300)))
        if reached_db < sinr_db - 1e-9:
            raise Infeasible(name, sinr_db, reached_db)
    return DesignResult(
        name=name,
        sinr_db=sinr_db,
        solver="closed form",
        scenario=scenario,
        covariances=sent.covariances,
        comm_precoders=comm_precoders,
        radar_precoders=radar_precoders,
        lower_bound=sent.value,
        relaxed_value=sent.value,
        value=sent.value,
        certificate=sent.certificate,
        solve_seconds=solve_seconds,
        solver_status="closed form",
    )
