"""Precoders from the covariances of P.1: as printed in Eq. (29), repaired, and fitted.

Theorem 2 keeps the diagonal blocks R_nn,l, but a data symbol is shared by all nodes: its covariance w w^H of stacked
precoders has blocks between nodes that the relaxation never saw, and R_l - sum_u w_u w_u^H of Eq. (28) need not be
positive semidefinite. Yet R A (A^H R A)^-1 A^H R <= R for every A, so stacked data precoders R A (A^H R A)^-1/2
always leave a radar covariance, R_l is kept whole, and only the SINR is at stake. With one user, H = blkdiag_n(h_n)
and total received power tr(H^H R H), the most useful power of this kind is the largest eigenvalue of H^H R H: nothing
is lost where it has rank one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.designs.precoders import antenna_power, stacked_precoders, transmitted_covariances
from disac.designs.precoding.extraction import data_precoders, factors
from disac.designs.problem.certificate import FeasiblePoint
from disac.simulator import Scenario

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Precoders = tuple[ComplexArray, ComplexArray]
"""Data precoders (N, U, L, M_t) and radar precoders (N, L, M_t, q)."""


def printed(scenario: Scenario, point: FeasiblePoint) -> Precoders:
    """Eq. (27)-(29) to the letter: the radar covariance is the projection of Eq. (28) on the semidefinite cone.

    The projection adds a positive semidefinite matrix to R_l. So the result exceeds the power limits, can miss the
    SINR, and its CRB lies below the optimum of the relaxation: it is no design, and no bound.
    """
    comm = data_precoders(scenario, point.comm_covariances)
    return comm, _projected_rest(scenario, point.covariances, comm)


def scaled(scenario: Scenario, sinr: float, point: FeasiblePoint) -> Precoders:
    """Eq. (29) made feasible: data kept, the radar part scaled by the largest alpha <= 1 that power and SINR allow.

    Both hold at alpha = 0, since w w^H never exceeds R_c, and both are linear in the radar power.

    Parameters
    ----------
    sinr : Gamma_c, linear; 0 asks for none.
    """
    comm, radar = printed(scenario, point)
    spare = scenario.tx_power - antenna_power(transmitted_covariances(comm, radar[..., :0]))
    alpha = _share(spare, antenna_power(transmitted_covariances(0 * comm, radar)))
    alpha = min(alpha, float(_sinr_share(scenario, sinr, comm, radar).min()))
    return comm, np.sqrt(alpha) * radar


def fitted(scenario: Scenario, sinr: float, point: FeasiblePoint) -> Precoders:
    """An extraction that keeps power and SINR exactly and leaves R_l alone on every subcarrier where it can.

    Two kinds of data precoders are tried on each subcarrier: stacked ones that fit into R_l whatever it is, and those
    of Theorem 2 with the phases between nodes fitted to R_l. Radar is the positive part of the rest, less what users
    hear of it beyond their SINR, scaled by the largest alpha_l <= 1 that exceeds no diagonal entry of R_l. The kind
    that sends more is taken.
    """
    candidates = [
        _with_radar(scenario, sinr, point, comm)
        for comm in (_stacked_data(scenario, point), _aligned_data(scenario, point))
    ]
    sent = np.stack([np.real(np.einsum("lii->l", transmitted_covariances(*precoders))) for precoders in candidates])
    possible = np.stack([_data_alone_meets(scenario, sinr, comm) for comm, _ in candidates])
    choice = np.argmax(np.where(possible, sent, -1.0), axis=0)
    first = choice[None, None, :, None] == 0
    (comm, radar), (other_comm, other_radar) = candidates
    return np.where(first, comm, other_comm), np.where(first[:, 0, :, :, None], radar, other_radar)


def _with_radar(scenario: Scenario, sinr: float, point: FeasiblePoint, comm: ComplexArray) -> Precoders:
    radar = _projected_rest(scenario, point.covariances, comm)
    radar = _quieted(scenario, radar, 1 - _sinr_share(scenario, sinr, comm, radar))
    spare = np.real(np.einsum("lii->li", point.covariances - transmitted_covariances(comm, radar[..., :0])))
    needed = np.real(np.einsum("lii->li", transmitted_covariances(0 * comm, radar)))
    alpha = np.array([_share(*pair) for pair in zip(spare, needed, strict=True)])
    return comm, np.sqrt(alpha)[None, :, None, None] * radar


def _quieted(scenario: Scenario, radar: ComplexArray, beta: RealArray) -> ComplexArray:
    """Radar precoders whose power at every user is 1 - beta_l of what it was.

    With W the stacked precoder, H the channels of all nodes and users and P the projection on the range of W^H H,
    they are W (I - P + sqrt(1 - beta) P): the covariance loses beta W P W^H >= 0 and nothing else.
    """
    s = scenario
    channels = np.zeros((s.n_subcarriers, s.n_nodes, s.n_tx, s.n_nodes, s.n_users), dtype=complex)
    own = np.arange(s.n_nodes)
    channels[:, own, :, own] = s.channels.transpose(0, 2, 3, 1)
    stacked = stacked_precoders(np.zeros_like(s.channels[:, :0]), radar)
    received = stacked.conj().swapaxes(1, 2) @ channels.reshape(s.n_subcarriers, s.n_nodes * s.n_tx, -1)
    heard, sizes, _ = np.linalg.svd(received, full_matrices=False)
    heard = heard * (sizes > 1e-9 * sizes[:, :1])[:, None, :]
    removed = (1 - np.sqrt(1 - beta))[:, None, None] * (stacked @ heard) @ heard.conj().swapaxes(1, 2)
    shape = (s.n_subcarriers, s.n_nodes, s.n_tx, -1)
    return np.ascontiguousarray((stacked - removed).reshape(shape).transpose(1, 0, 2, 3))


def _share(spare: RealArray, needed: RealArray) -> float:
    """Largest alpha <= 1 with alpha * needed <= spare, up to rounding of what is spare."""
    tolerance = 1e-14 * (np.abs(spare) + needed)
    short = needed > spare + tolerance
    return float(np.min(np.maximum(spare, 0.0)[short] / needed[short], initial=1.0))


def _sinr_share(scenario: Scenario, sinr: float, comm: ComplexArray, radar: ComplexArray) -> RealArray:
    """(L,) largest alpha <= 1 of the radar power that leaves every user its SINR; 0 where data alone fail."""
    if not sinr or scenario.n_users == 0:
        return np.ones(scenario.n_subcarriers)
    room = _room_for_radar(scenario, sinr, comm)
    heard = np.sum(np.abs(np.einsum("nulm,nlmq->ulnq", scenario.channels.conj(), radar)) ** 2, axis=(2, 3))
    alpha = np.maximum(room, 0.0) / np.maximum(heard, np.finfo(float).tiny)
    share: RealArray = np.minimum(alpha.min(axis=0), 1.0)
    return share


def _room_for_radar(scenario: Scenario, sinr: float, comm: ComplexArray) -> RealArray:
    """(U, L) radar power that each user can hear before its SINR drops below the threshold."""
    gains = np.sum(np.abs(np.einsum("nulm,nilm->uiln", scenario.channels.conj(), comm)) ** 2, axis=-1)
    signal = np.einsum("uul->ul", gains)
    room: RealArray = signal / sinr - (gains.sum(axis=1) - signal) - scenario.noise_comm_per_subcarrier
    return room


def _data_alone_meets(scenario: Scenario, sinr: float, comm: ComplexArray) -> NDArray[np.bool_]:
    """(L,) whether data without radar give every user its SINR."""
    if not sinr or scenario.n_users == 0:
        return np.ones(scenario.n_subcarriers, dtype=bool)
    room = _room_for_radar(scenario, sinr, comm)
    meets: NDArray[np.bool_] = np.all(room >= -1e-9 * scenario.noise_comm_per_subcarrier, axis=0)
    return meets


def _stacked_data(scenario: Scenario, point: FeasiblePoint) -> ComplexArray:
    """W = R A (A^H R A)^-1/2 with a_u = H_u v_u, v_u the leading eigenvector of H_u^H R H_u."""
    s = scenario
    if s.n_users == 0:
        return np.zeros(s.channels.shape, dtype=complex)
    blocks = point.covariances.reshape(s.n_subcarriers, s.n_nodes, s.n_tx, s.n_nodes, s.n_tx)
    received = np.einsum("nuli,lnimj,mulj->ulnm", s.channels.conj(), blocks, s.channels, optimize=True)
    leading = np.linalg.eigh(received)[1][..., -1]
    directions = (s.channels * leading.transpose(2, 0, 1)[..., None]).transpose(2, 0, 3, 1)
    directions = directions.reshape(s.n_subcarriers, s.n_nodes * s.n_tx, s.n_users)
    filtered = point.covariances @ directions
    values, vectors = np.linalg.eigh(directions.conj().swapaxes(1, 2) @ filtered)
    roots = np.where(values > 1e-12 * values[:, -1:], 1 / np.sqrt(np.maximum(values, np.finfo(float).tiny)), 0)
    stacked = filtered @ ((vectors * roots[:, None, :]) @ vectors.conj().swapaxes(1, 2))
    split: ComplexArray = stacked.reshape(s.n_subcarriers, s.n_nodes, s.n_tx, s.n_users)
    return split.transpose(1, 3, 0, 2)


def _aligned_data(scenario: Scenario, point: FeasiblePoint) -> ComplexArray:
    """Data precoders of Theorem 2 whose phases bring sum_u w_u w_u^H near R_l between nodes.

    For each user and subcarrier the phases z maximize about z^H C z with C_nm = w_n^H R_nm w_m: those of the leading
    eigenvector of C.
    """
    comm = data_precoders(scenario, point.comm_covariances)
    n_nodes, n_tx = scenario.n_nodes, scenario.n_tx
    blocks = point.covariances.reshape(scenario.n_subcarriers, n_nodes, n_tx, n_nodes, n_tx)
    coupling = np.einsum("nuli,lnimj,mulj->ulnm", comm.conj(), blocks, comm, optimize=True)
    leading = np.linalg.eigh(coupling)[1][..., -1]
    size = np.abs(leading)
    phases = np.where(size > 0, leading / np.where(size > 0, size, 1), 1)
    return comm * phases.transpose(2, 0, 1)[..., None]


def _projected_rest(scenario: Scenario, covariances: ComplexArray, comm: ComplexArray) -> ComplexArray:
    """Radar precoders (N, L, M_t, N M_t) of the positive part of R_l - sum_u w_u w_u^H, Eq. (28)-(29)."""
    nothing = np.zeros((scenario.n_nodes, scenario.n_subcarriers, scenario.n_tx, 0), dtype=complex)
    data = stacked_precoders(comm, nothing)
    radar = factors(covariances - data @ data.conj().swapaxes(1, 2))
    shape = (scenario.n_subcarriers, scenario.n_nodes, scenario.n_tx, -1)
    return np.ascontiguousarray(radar.reshape(shape).transpose(1, 0, 2, 3))
