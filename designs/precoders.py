"""What a pair of precoder arrays sends: covariances, power per antenna and the SINR of Eq. (7).

Axes: ``comm_precoders[n, u, l, m_t]`` and ``radar_precoders[n, l, m_t, q]``; the data symbol of a user and each of the
q radar streams are shared by all nodes (Eq. 1, 15).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.simulator import Scenario
from disac.simulator.checks import check_instance, check_numbers

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


def checked_precoders(comm_precoders: ComplexArray, radar_precoders: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    """Both arrays, if they are finite and of four axes.

    Raises
    ------
    ValueError : names the array and what is wrong with it.
    """
    pair = []
    for name, value, axes in (
        ("comm_precoders", comm_precoders, "N, U, L, M_t"),
        ("radar_precoders", radar_precoders, "N, L, M_t, q"),
    ):
        array: ComplexArray = check_numbers(name, value)
        if array.ndim != 4:
            raise ValueError(f"{name}: has shape {array.shape}, must have shape ({axes})")
        pair.append(array)
    return pair[0], pair[1]


def stacked_precoders(comm_precoders: ComplexArray, radar_precoders: ComplexArray) -> ComplexArray:
    """(L, N M_t, U + q) precoder of the stacked transmit vector on each subcarrier, data streams first (Eq. 19)."""
    comm_precoders, radar_precoders = checked_precoders(comm_precoders, radar_precoders)
    n_nodes, n_users, n_subcarriers, n_tx = comm_precoders.shape
    comm = comm_precoders.transpose(2, 0, 3, 1).reshape(n_subcarriers, n_nodes * n_tx, n_users)
    radar = radar_precoders.transpose(1, 0, 2, 3).reshape(n_subcarriers, n_nodes * n_tx, -1)
    return np.concatenate([comm, radar], axis=-1)


def transmitted_covariances(comm_precoders: ComplexArray, radar_precoders: ComplexArray) -> ComplexArray:
    """(L, N M_t, N M_t) covariances R_l of what is sent by all nodes, Eq. (19).

    Blocks (i, j) are Eq. (18), the whole is Eq. (20), the blocks of one node are Eq. (21).
    """
    stacked = stacked_precoders(comm_precoders, radar_precoders)
    covariances: ComplexArray = stacked @ stacked.conj().swapaxes(-1, -2)
    return covariances


def antenna_power(covariances: ComplexArray) -> RealArray:
    """(N M_t,) power of each antenna summed over subcarriers, the left side of Eq. (14b)."""
    return np.real(np.einsum("lii->i", check_numbers("covariances", covariances)))


def phase_averaged_powers(
    scenario: Scenario, comm_precoders: ComplexArray, radar_precoders: ComplexArray
) -> tuple[RealArray, RealArray]:
    """Useful and disturbing powers of Eq. (7), numerator and denominator, each (U, L).

    Powers of the nodes are added, which averages each power over independent phases between nodes. Where one node alone
    serves a subcarrier they are those of every phase.

    Parameters
    ----------
    scenario : gives channels and noise.
    comm_precoders : (N, U, L, M_t) precoders of the data streams.
    radar_precoders : (N, L, M_t, Q) precoders of the radar streams.
    """
    check_instance("scenario", scenario, Scenario)
    comm_precoders, radar_precoders = checked_precoders(comm_precoders, radar_precoders)
    channels = scenario.channels.conj()
    gains = np.abs(np.einsum("nulm,nilm->uiln", channels, comm_precoders)) ** 2
    radar = np.sum(np.abs(np.einsum("nulm,nlmq->ulnq", channels, radar_precoders)) ** 2, axis=(2, 3))
    powers = gains.sum(axis=-1)
    useful: RealArray = np.einsum("uul->ul", powers)
    disturbing: RealArray = powers.sum(axis=1) - useful + radar + scenario.noise_comm_per_subcarrier
    return useful, disturbing


def achieved_sinr(scenario: Scenario, comm_precoders: ComplexArray, radar_precoders: ComplexArray) -> RealArray:
    """(U, L) SINR of Eq. (7), linear: the ratio of :func:`phase_averaged_powers`."""
    useful, disturbing = phase_averaged_powers(scenario, comm_precoders, radar_precoders)
    return useful / disturbing
