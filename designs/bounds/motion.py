"""Fisher information of positions and velocities: a frame of symbols in which the echo of each target turns.

The echo of target k over the link from m to n turns by exp(-j (nu_nk + nu_mk) s_t), s_t = (t - (T - 1) / 2) T_s, with
nu = (2 pi f_c / c) u . v and u the unit vector from node to target. At each symbol the derivatives are those of
:mod:`disac.designs.bounds.fisher` with the amplitudes b turned, and the Doppler rates add -j s_t (d nu_n + d nu_m) b to
the amplitude kind of atoms. The rates depend on the velocity and, through u, on the position.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from disac.designs.bounds.fisher import FisherOperator, check_n_symbols, check_symbol_axes
from disac.designs.bounds.information import ComplexArray, InformationBlocks, RealArray
from disac.simulator import Scenario
from disac.simulator.geometry import doppler_gradients

_CHUNK = 64
"""Symbols worked on at a time."""


def centred_symbols(n_symbols: int) -> RealArray:
    """Symbol numbers counted from mid-frame, t - (T - 1) / 2, shape (T,)."""
    numbers: RealArray = np.arange(n_symbols, dtype=float) - (n_symbols - 1) / 2
    return numbers


def time_moments(symbols: ComplexArray) -> ComplexArray:
    """Time moments of one signal, R[p, l, i, j] = (1/T) sum_t (t - (T - 1) / 2)^p x x^H for p = 0, 1, 2.

    Parameters
    ----------
    symbols : ndarray, shape (N, M_t, L, T)
        Transmit symbols X.

    Returns
    -------
    ndarray, shape (3, L, N M_t, N M_t)
        What a realized bound on moving targets needs; the first is that of
        :func:`~disac.designs.sample_covariances`.

    Examples
    --------
    >>> import numpy as np
    >>> from disac.designs import sample_covariances, time_moments
    >>> X = np.random.default_rng(0).standard_normal((2, 3, 4, 8)) + 0j
    >>> moments = time_moments(X)
    >>> moments.shape, bool(np.allclose(moments[0], sample_covariances(X)))
    ((3, 4, 6, 6), True)
    """
    symbols = check_symbol_axes(symbols)
    n_nodes, n_tx, n_subcarriers, n_symbols = symbols.shape
    stacked = symbols.reshape(n_nodes * n_tx, n_subcarriers, n_symbols).transpose(1, 0, 2)
    weights = centred_symbols(n_symbols) ** np.arange(3)[:, None]
    moments: ComplexArray = (stacked * weights[:, None, None]) @ stacked.conj().swapaxes(1, 2) / n_symbols
    return moments


class MotionOperator:
    """The map from covariances to the information on positions, velocities, amplitudes and clock offsets of a frame.

    Parameters are x_1..x_K, y_1..y_K, v_x, v_y of all targets, Re b, Im b and, with ``clocks``, the offsets of nodes 1
    to N - 1.

    Parameters
    ----------
    scenario : Scenario
        The truth: positions at mid-frame, velocities, carrier frequency and symbol interval.
    amplitudes : ndarray, shape (N, N, K), optional
        b[rx, tx, target] in place of the scenario's.
    clocks : bool
        Whether clock offsets are parameters.
    clock_offsets_s : array_like, shape (N,), optional
        True clock offsets [s].

    Raises
    ------
    ValueError
        Wrong shape of the amplitudes or of the offsets.
    """

    def __init__(
        self,
        scenario: Scenario,
        amplitudes: ComplexArray | None = None,
        *,
        clocks: bool = False,
        clock_offsets_s: ArrayLike | None = None,
    ) -> None:
        self.scenario = scenario
        self._still = FisherOperator(scenario, "hybrid", amplitudes, clocks=clocks, clock_offsets_s=clock_offsets_s)
        n, k = scenario.n_nodes, scenario.n_targets
        still = self._still.slopes_at_unit_amplitude
        turning = self._turning(np.zeros((*still.shape[:-1], still.shape[-1] + 2 * k), dtype=complex))
        plain = np.zeros_like(turning)
        plain[..., : 2 * k], plain[..., 4 * k :] = still[..., : 2 * k], still[..., 2 * k :]
        link = (scenario.amplitudes if amplitudes is None else amplitudes)[:, None, :, :, None]
        shape = (n, still.shape[1] * n * k, -1)
        self._plain, self._turning_slopes = (plain * link).reshape(shape), (turning * link).reshape(shape)

    def _turning(self, slopes: ComplexArray) -> ComplexArray:
        """Derivatives of the turn by positions and velocities per second from mid-frame, (N, 4, N, K, S)."""
        s = self.scenario
        own = np.eye(s.n_targets)
        gradients = doppler_gradients(s.nodes, s.targets, s.velocities, s.carrier_hz)
        for part, gradient in enumerate(gradients):
            columns = slice(2 * s.n_targets * part, 2 * s.n_targets * (part + 1))
            rates = np.einsum("nkc,kq->nkcq", gradient, own).reshape(s.n_nodes, s.n_targets, -1)
            slopes[:, 0, ..., columns] = -1j * (rates[:, None] + rates[None, :])
        return slopes

    def blocks(self, covariances: ComplexArray, n_symbols: int) -> InformationBlocks:
        """The information of a frame of ``n_symbols`` symbols.

        Parameters
        ----------
        covariances : ndarray, shape (L, N M_t, N M_t) or (3, L, N M_t, N M_t)
            Covariances R_l, constant over the frame, or the :func:`time_moments` of one signal. Moments give the
            information exactly where no two echoes of different Doppler share a subcarrier; elsewhere x x^H is taken as
            the parabola in time that has these moments.
        n_symbols : int
            T.

        Returns
        -------
        InformationBlocks
            Geometry parameters are positions, velocities and clock offsets, in this order.

        Raises
        ------
        ValueError
            Wrong shape, or fewer than one symbol.
        """
        check_n_symbols(n_symbols)
        s = self.scenario
        powers = self._powers_of_time(np.asarray(covariances), n_symbols)
        steps = centred_symbols(n_symbols)
        n_geometry, per_node = self._plain.shape[-1], s.n_nodes * s.n_targets
        geometry = np.zeros((n_geometry, n_geometry))
        cross: ComplexArray = np.zeros((s.n_nodes, n_geometry, per_node), dtype=complex)
        amplitude: ComplexArray = np.zeros((s.n_nodes, per_node, per_node), dtype=complex)
        rates = s.doppler_rates
        link_rates = (rates[:, None] + rates[None, :]).reshape(s.n_nodes, per_node)
        for first in range(0, n_symbols, _CHUNK):
            step = steps[first : first + _CHUNK, None, None]
            turn = np.exp(-1j * link_rates * step * s.symbol_interval_s)
            atoms = np.sum([power * step[..., None] ** p for p, power in enumerate(powers)], axis=0)
            turns = np.tile(turn, (1, 1, self._plain.shape[1] // per_node))[..., None]
            slopes = (self._plain + self._turning_slopes * (step[..., None] * s.symbol_interval_s)) * turns
            weighted = atoms @ slopes
            geometry += np.tensordot(slopes.conj(), weighted, axes=((0, 1, 2), (0, 1, 2))).real
            cross += np.sum(turn[..., None] * weighted[:, :, :per_node].conj(), axis=0).swapaxes(1, 2)
            own = atoms[:, :, :per_node, :per_node]
            amplitude += np.sum(turn.conj()[..., None] * own * turn[:, :, None], axis=0)
        scale = self._still.scale
        geometry, amplitude = (geometry + geometry.T) / 2, (amplitude + amplitude.conj().swapaxes(1, 2)) / 2
        return InformationBlocks(
            geometry=scale * geometry,
            cross=np.asarray(scale * cross, dtype=complex),
            amplitude=np.asarray(scale * amplitude, dtype=complex),
            n_targets=s.n_targets,
            n_coordinates=4,
        )

    def _powers_of_time(self, covariances: ComplexArray, n_symbols: int) -> list[ComplexArray]:
        """Products of the atoms as a polynomial in t - (T - 1) / 2, lowest power first."""
        if covariances.ndim == 3:
            return [self._still.atom_products(covariances)]
        if covariances.ndim != 4 or len(covariances) != 3:
            raise ValueError(
                f"covariances: has shape {covariances.shape}, must have shape (L, N M_t, N M_t) or (3, L, N M_t, N M_t)"
            )
        moments = np.stack([self._still.atom_products(moment) for moment in covariances])
        n_terms = min(n_symbols, 3)
        steps = centred_symbols(n_symbols)
        sums = np.array([[np.mean(steps ** (p + q)) for q in range(n_terms)] for p in range(n_terms)])
        return list(np.tensordot(np.linalg.inv(sums), moments[:n_terms], axes=1))
