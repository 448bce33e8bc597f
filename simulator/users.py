"""What the users receive: Eq. (4), and the effective scalar channels that its streams see."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from disac.simulator.checks import check_numbers
from disac.simulator.clocks import late_start
from disac.simulator.scenario import Scenario
from disac.simulator.streams import check_precoders
from disac.simulator.synthesis import check_scenario, check_symbols, draw_unit_noise, phase_turns

AnyComplexArray = NDArray[np.complexfloating[Any, Any]]
ComplexArray = NDArray[np.complex128]


def receive_users(
    scenario: Scenario,
    X: AnyComplexArray,
    *,
    rng: np.random.Generator | None = None,
    phases: ArrayLike | None = None,
    clock_offsets_s: ArrayLike | None = None,
) -> AnyComplexArray:
    """Samples y[u, l, t] = sum_n e^{j phi_n} h_{n,u,l}^H x_{n,l}[t] + z of Eq. (4).

    Parameters
    ----------
    scenario : gives the channels and the noise variance sigma_c^2 / L of each sample.
    X : (..., N, M_t, L, T) complex transmit symbols, complex128 or complex64.
    rng : draws the noise; None gives the noise-free samples.
    phases : (N,) or (..., N) phases phi_n of the nodes [rad], constant over the T symbols; default zero.
    clock_offsets_s : (N,) clock offsets delta_n of the nodes [s], which turn the link of node n by
        e^{+j 2 pi (B/L) l delta_n}; default none.

    Returns
    -------
    (..., U, L, T) received samples, of the precision of X.

    Raises
    ------
    ValueError : X, phases or clock_offsets_s has a wrong shape or type.
    """
    X, batch = check_symbols(scenario, X)
    if clock_offsets_s is not None:
        X = late_start(X, clock_offsets_s, scenario.bandwidth_hz)
    n_symbols = X.shape[-1]
    real = X.real.dtype
    turns = phase_turns(phases, batch, scenario.n_nodes, X.dtype)
    channels = scenario.channels.conj().transpose(1, 2, 0, 3)
    y, noise_scale = draw_unit_noise(
        (*batch, scenario.n_users, scenario.n_subcarriers, n_symbols), X.dtype, rng, scenario.noise_comm_per_subcarrier
    )
    n_trials = len(turns)
    _add_links(
        X.reshape(n_trials, *X.shape[len(batch) :]).view(real),
        np.ascontiguousarray(channels).astype(X.dtype),
        turns,
        real.type(noise_scale),
        rng is not None,
        y.reshape(n_trials, *y.shape[len(batch) :]).view(real),
    )
    return y


def effective_channels(
    scenario: Scenario, comm_precoders: ComplexArray, radar_precoders: ComplexArray, phases: ArrayLike | None = None
) -> tuple[ComplexArray, ComplexArray]:
    """Gains of all streams at every user: y_{u,l} = sum_i comm[u, i, l] s_{c,i,l} + sum_q radar[u, q, l] s_{s,q,l} + z.

    Parameters
    ----------
    scenario : gives the channels.
    comm_precoders : (N, U, L, M_t) precoders of the data streams.
    radar_precoders : (N, L, M_t, Q) precoders of the radar streams.
    phases : (N,) or (..., N) phases phi_n of the nodes [rad]; default zero.

    Returns
    -------
    comm : (..., U, U, L) gain sum_n e^{j phi_n} h_{n,u,l}^H w_{c,n,i,l} of the data stream of user i at user u.
    radar : (..., U, Q, L) gain of radar stream q at user u.

    Raises
    ------
    ValueError : precoders or phases have a wrong shape.
    """
    check_scenario(scenario)
    comm_precoders = check_numbers("comm_precoders", comm_precoders)
    radar_precoders = check_numbers("radar_precoders", radar_precoders)
    sizes = (scenario.n_nodes, scenario.n_users, scenario.n_subcarriers, scenario.n_tx)
    check_precoders(comm_precoders, radar_precoders, sizes, (0, *radar_precoders.shape)[-1])
    turns = np.ones(scenario.n_nodes) if phases is None else np.exp(1j * check_numbers("phases", phases, real=True))
    if turns.shape[-1:] != (scenario.n_nodes,):
        raise ValueError(f"phases: has shape {turns.shape}, must have shape (..., {scenario.n_nodes}) (..., N)")
    rows = scenario.channels.conj()
    comm = np.einsum("nulm,nilm->nuil", rows, comm_precoders)
    radar = np.einsum("nulm,nlmq->nuql", rows, radar_precoders)
    return np.tensordot(turns, comm, axes=1), np.tensordot(turns, radar, axes=1)


@njit(cache=True, nogil=True)
def _add_links(x, rows, turns, noise_scale, noisy, y):  # type: ignore[no-untyped-def]
    """Scale unit noise in y[b, u, l, 2t] (or clear it) and add the links; x[b, n, m, l, 2t], rows[u, l, n, m] = h*."""
    n_trials, n_nodes, n_tx, n_subcarriers, n_reals = x.shape
    n_users = rows.shape[0]
    for b in range(n_trials):
        for u in range(n_users):
            for l in range(n_subcarriers):  # noqa: E741
                if noisy:
                    for j in range(n_reals):
                        y[b, u, l, j] *= noise_scale
                else:
                    for j in range(n_reals):
                        y[b, u, l, j] = 0
                for n in range(n_nodes):
                    for m in range(n_tx):
                        gain = turns[b, n] * rows[u, l, n, m]
                        re, im = gain.real, gain.imag
                        for j in range(0, n_reals, 2):
                            y[b, u, l, j] += re * x[b, n, m, l, j] - im * x[b, n, m, l, j + 1]
                            y[b, u, l, j + 1] += re * x[b, n, m, l, j + 1] + im * x[b, n, m, l, j]
