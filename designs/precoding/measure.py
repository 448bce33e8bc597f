"""What given precoders do in a scenario: SINR, power, CRB, and the violations of what was asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disac.designs.bounds.crb import Unidentifiable, position_information
from disac.designs.bounds.fisher import FisherOperator
from disac.designs.precoders import achieved_sinr, antenna_power, transmitted_covariances
from disac.designs.problem.refusals import Infeasible
from disac.designs.problem.sidelobes import SidelobeLimits
from disac.designs.result import Certificate, DesignResult
from disac.simulator import Scenario
from disac.simulator.checks import check_instance, check_real

ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class Transmission:
    """Figures of precoders as they are sent.

    Attributes
    ----------
    covariances : (L, N M_t, N M_t).
    value : CRB trace of one symbol [m^2].
    value_error : estimate of its relative rounding error.
    certificate : SINR, power and their violations; the dual entries are empty.
    """

    covariances: ComplexArray
    value: float
    value_error: float
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
    information = position_information(FisherOperator(scenario, mode), covariances)
    return Transmission(
        covariances=covariances,
        value=float(np.trace(information.covariance)),
        value_error=information.error,
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


def try_measure(
    scenario: Scenario,
    sinr_db: float | None,
    comm_precoders: ComplexArray,
    radar_precoders: ComplexArray,
    mode: str = "hybrid",
    sidelobes: SidelobeLimits | None = None,
) -> Transmission | None:
    """As :func:`measure`, but None where these signals do not localize the targets: others may."""
    try:
        return measure(scenario, sinr_db, comm_precoders, radar_precoders, mode, sidelobes)
    except Unidentifiable:
        return None


POWER_LIMIT = 1e-6
"""Largest relative excess over P_T that given precoders may have, room for rounding alone."""


def fixed_design(
    scenario: Scenario,
    comm_precoders: ArrayLike,
    radar_precoders: ArrayLike,
    *,
    name: str = "fixed",
    sinr_db: float | None = None,
    solve_seconds: float = 0.0,
) -> DesignResult:
    """The result of transmitting given precoders: their CRB, power and SINR, recomputed from them.

    Nothing is optimized, so ``lower_bound``, ``relaxed_value`` and ``value`` coincide; ``certificate.sinr`` states the
    SINR of Eq. (7) that is reached, ``certificate.antenna_power`` the powers of Eq. (14b).

    Parameters
    ----------
    scenario : Scenario
        What is true.
    comm_precoders : (N, U, L, M_t) array_like of complex
        Data precoders, in units of the root of ``scenario.tx_power``.
    radar_precoders : (N, L, M_t, q) array_like of complex
        Radar precoders of q streams shared by all nodes; q = 0 sends none.
    name : str
        What tables and legends call it.
    sinr_db : float or None
        Threshold that is refused where it is missed [dB]; None only states what is reached.
    solve_seconds : float
        Time that it took to find the precoders [s].

    Raises
    ------
    ValueError : a shape does not fit the scenario, a value is not finite, or an antenna sends more than P_T.
    Infeasible : the precoders do not reach ``sinr_db``.
    Unidentifiable : these signals do not localize the targets.

    Examples
    --------
    >>> import numpy as np
    >>> from disac.designs import fixed_design
    >>> from disac.simulator import Scenario
    >>> s = Scenario.preset("fig4")
    >>> comm = np.zeros((s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx))
    >>> radar = np.zeros((s.n_nodes, s.n_subcarriers, s.n_tx, s.n_tx))
    >>> radar[:] = np.sqrt(s.tx_power / s.n_subcarriers) * np.eye(s.n_tx)
    >>> result = fixed_design(s, comm, radar, name="isotropic radar")
    >>> bool(np.allclose(result.certificate.antenna_power, s.tx_power))
    True
    """
    s = scenario
    check_instance("scenario", scenario, Scenario)
    check_instance("name", name, str)
    if sinr_db is not None:
        check_real("sinr_db", sinr_db, -300, 300, unit="dB")
    check_real("solve_seconds", solve_seconds, 0.0, unit="s")
    comm = _precoders("comm_precoders", comm_precoders, (s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx))
    radar = _precoders("radar_precoders", radar_precoders, (s.n_nodes, s.n_subcarriers, s.n_tx, None))
    _check_power(s, comm, radar)
    sent = measure(scenario, sinr_db, comm, radar)
    if sinr_db is not None and scenario.n_users:
        sinr = sent.certificate.sinr
        user, subcarrier = np.unravel_index(int(sinr.argmin()), sinr.shape)
        least = float(sinr[user, subcarrier])
        reached_db = 10 * math.log10(least) if least > 0 else -math.inf
        if reached_db < sinr_db - 1e-9:
            raise Infeasible(name, sinr_db, reached_db, where=(int(user), int(subcarrier)))
    return DesignResult(
        name=name,
        sinr_db=sinr_db,
        solver="closed form",
        scenario=scenario,
        covariances=sent.covariances,
        comm_precoders=comm,
        radar_precoders=radar,
        lower_bound=sent.value,
        relaxed_value=sent.value,
        value=sent.value,
        value_error=sent.value_error,
        certificate=sent.certificate,
        solve_seconds=solve_seconds,
        solver_status="closed form",
    )


def _precoders(field: str, values: ArrayLike, shape: tuple[int | None, ...]) -> ComplexArray:
    """The array as complex, contiguous and of a shape where None stands for any length."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{field}: must be an array of numbers, one length along each axis") from None
    wanted = ", ".join("q" if length is None else str(length) for length in shape)
    fits = array.ndim == len(shape) and all(w in (None, n) for w, n in zip(shape, array.shape, strict=True))
    if not fits:
        raise ValueError(f"{field} has shape {array.shape}: must be ({wanted})")
    if array.dtype.kind not in "fciu":
        raise ValueError(f"{field} has dtype {array.dtype}: must be numbers")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{field}{list(where)} = {array[where]}: must be finite")
    return np.ascontiguousarray(array, dtype=np.complex128)


def _check_power(scenario: Scenario, comm: ComplexArray, radar: ComplexArray) -> None:
    power = antenna_power(transmitted_covariances(comm, radar)).reshape(scenario.n_nodes, scenario.n_tx)
    node, antenna = np.unravel_index(int(power.argmax()), power.shape)
    if power[node, antenna] > scenario.tx_power * (1 + POWER_LIMIT):
        raise ValueError(
            f"comm_precoders and radar_precoders: antenna {antenna} of node {node} sends {power[node, antenna]:.6g} "
            f"over all subcarriers: must be at most tx_power = {scenario.tx_power:g} (Eq. 14b)"
        )
