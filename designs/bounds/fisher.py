"""Fisher information of the target positions as a linear operator of the transmit covariances (Theorem 1, Appendix A).

At receive node n and subcarrier l every derivative of the mean of Eq. (5) is a combination of rank-one *atoms*

    rho(theta_n^k) (omega_l)^p d_l(tau_n^k + tau_m^k) v(theta_m^k)^T x_{m,l}

with rho in {a_r, da_r/dtheta}, v in {a_t, da_t/dtheta}, p in {0, 1} and omega_l = 2 pi l B / L. Four kinds occur: the
amplitude kind (a_r, a_t, 0), the arrival kind (da_r, a_t, 0), the departure kind (a_r, da_t, 0) and the delay kind
(a_r, a_t, 1). So the covariances enter only through the 2NK x 2NK Gram matrix of the transmit vectors against R_l, and
the delays only as phases in the sums over subcarriers weighted by omega_l^0, omega_l^1 and omega_l^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disac.designs.bounds.information import InformationBlocks
from disac.simulator import Scenario
from disac.simulator.checks import check_instance, check_integer, check_numbers
from disac.simulator.clocks import check_clock_offsets
from disac.simulator.geometry import NodeToPoint
from disac.simulator.steering import delay_vector, steering_derivative, steering_vector, subcarrier_frequencies

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

MODES = ("hybrid", "tof", "tof-genie", "aoa", "aoa-genie", "tof-nuisance", "aoa-nuisance")
"""What the position is inferred from (see :class:`FisherOperator`)."""

_AMPLITUDES = (1e-120, 1e120)
"""Range of the largest amplitude in which squares of information stay within that of floating point."""
_CHUNK = 64
"""Subcarriers whose derivatives are formed at a time, so that nothing beside the result is large."""
_KINDS = 4
_AMPLITUDE, _ARRIVAL, _DEPARTURE, _DELAY = range(_KINDS)


@dataclass(frozen=True, eq=False)
class DerivativeFactors:
    """The derivatives G_{p,n,l} of the mean by the parameters, in factored form and with compressed receive space.

    d mu_{n,l} / d psi_p = G_{p,n,l} x_l with stacked transmit symbols x_l. Only products G_p^H G_q over the receive
    antennas enter the information, so the M_r antennas of node n are replaced by the r = min(M_r, 2K) rows of the
    triangular factor of its receive vectors, which keeps every such product.

    Attributes
    ----------
    geometry : (S, N, L, r, D) dense derivatives by x, y and, in the nuisance modes, the nuisance parameters.
    receive : (N, K, r) receive vector of the amplitudes b[n, m, k].
    transmit : (N, N, K, L, M_t) transmit vector of b[n, m, k] at node m: the derivative by Re b[n, m, k] is the outer
        product receive[n, k] transmit[n, m, k, l]^T on the antennas of node m and zero elsewhere; that by Im b is j
        times it.
    scale : 2 L / sigma_s^2, so that F_pq = scale Re sum_{n,l} tr(G_p^H G_q R_l).
    """

    geometry: ComplexArray
    receive: ComplexArray
    transmit: ComplexArray
    scale: float


class FisherOperator:
    """The map from covariances R_l to the Fisher information F of one OFDM symbol, at the truth of a scenario.

    Linear in the covariances of Eq. (18): Theorem 1, which Eq. (16) and Eq. (17) prepare.

    F_pq = (2 L / sigma_s^2) Re sum_n sum_l tr(G_{p,n,l}^H G_{q,n,l} R_l) with the derivatives G of the mean of Eq. (5).
    It is linear in R_l, real and exact. T symbols carry T F with R_l the mean of their x_l x_l^H.

    The parameters are x_1..x_K, y_1..y_K, Re b, Im b with b in [rx, tx, target] order, 2K + 2KN^2 in number; the
    nuisance modes append the NK nuisance parameters in [node, target] order at the end. What each mode infers from:

    ==============  ===============================  ==========================================
    mode            function of the position         otherwise
    ==============  ===============================  ==========================================
    hybrid          angles and delays
    tof, tof-genie  delays                           angles known
    aoa, aoa-genie  angles                           delays known
    tof-nuisance    delays                           angles theta_n^k unknown [rad]
    aoa-nuisance    angles                           one-way delays tau_n^k unknown [s]
    ==============  ===============================  ==========================================

    Everything that depends on the geometry alone is prepared once; :meth:`with_amplitudes` shares it.

    Parameters
    ----------
    scenario : the truth.
    mode : one of :data:`MODES`.
    amplitudes : (N, N, K) complex b[rx, tx, target] in place of the scenario's, for instance those of one trial with
        its inter-node phases.
    clocks : whether the clock offsets of nodes 1 to N - 1 relative to node 0 are parameters too [s]; they come last.
    clock_offsets_s : (N,) true clock offsets delta_n: the delay of the link from m to n is tau_n + tau_m + delta_n -
        delta_m [s]. They change the information only where nodes share subcarriers. Default: none.

    Raises
    ------
    ValueError : unknown mode, wrong shape of the amplitudes or of the offsets.
    """

    def __init__(
        self,
        scenario: Scenario,
        mode: str = "hybrid",
        amplitudes: ComplexArray | None = None,
        *,
        clocks: bool = False,
        clock_offsets_s: ArrayLike | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode = {mode!r}: must be one of {', '.join(MODES)}")
        self.scenario = scenario
        self.mode = mode
        self.scale = 2.0 / scenario.noise_sense_per_subcarrier
        geometry = scenario.target_geometry
        offsets_s = np.zeros((scenario.n_nodes, 1))
        if clock_offsets_s is not None:
            offsets_s = check_clock_offsets(clock_offsets_s, scenario.n_nodes)[:, None]
        self._clocks = clocks
        self._prepare_transmit(geometry, offsets_s)
        self._prepare_receive(geometry, offsets_s)
        slopes = _atom_slopes(*_jacobian(geometry, mode))
        if clocks:
            slopes = np.concatenate([slopes, _clock_slopes(scenario.n_nodes, scenario.n_targets)], axis=-1)
        self._atom_slopes = slopes
        self._set_amplitudes(scenario.amplitudes if amplitudes is None else amplitudes)

    def with_amplitudes(self, amplitudes: ComplexArray) -> FisherOperator:
        """The operator of the same geometry and mode at other amplitudes (N, N, K)."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._set_amplitudes(amplitudes)
        return other

    @property
    def slopes_at_unit_amplitude(self) -> ComplexArray:
        """Derivatives of the atoms' coefficients by the geometry parameters at b = 1, (N, 4, N, K, S)."""
        return self._atom_slopes

    @property
    def n_parameters(self) -> int:
        """Number of parameters P."""
        s = self.scenario
        return int(self._atom_slopes.shape[-1]) + 2 * s.n_nodes**2 * s.n_targets

    @property
    def dimension(self) -> int:
        """Number D = N M_t of stacked transmit antennas."""
        return self.scenario.n_nodes * self.scenario.n_tx

    def apply(self, covariances: ComplexArray) -> RealArray:
        """Fisher information matrix (P, P) of one symbol with Hermitian covariances R[l, i, j] of shape (L, D, D).

        Raises
        ------
        ValueError : wrong shape.
        """
        return self.blocks(covariances).matrix()

    def blocks(self, covariances: ComplexArray) -> InformationBlocks:
        """The information of :meth:`apply` as the complex blocks that :func:`~disac.designs.crb_from_blocks` takes.

        Raises
        ------
        ValueError : wrong shape.
        """
        s = self.scenario
        atoms = self.atom_products(covariances)
        per_node = s.n_nodes * s.n_targets
        weighted = atoms @ self._slopes
        geometry = np.tensordot(self._slopes.conj(), weighted, axes=((0, 1), (0, 1))).real
        amplitude = atoms[:, :per_node, :per_node]
        return InformationBlocks(
            geometry=self.scale * (geometry + geometry.T) / 2,
            cross=self.scale * weighted[:, :per_node].conj().swapaxes(1, 2),
            amplitude=self.scale * (amplitude + amplitude.conj().swapaxes(1, 2)) / 2,
            n_targets=s.n_targets,
        )

    def atom_products(self, covariances: ComplexArray) -> ComplexArray:
        """Inner products of the atoms at each receive node under covariances R[l, i, j], (N, 4NK, 4NK).

        Raises
        ------
        ValueError : wrong shape.
        """
        expected = (self.scenario.n_subcarriers, self.dimension, self.dimension)
        if np.shape(covariances) != expected:
            raise ValueError(
                f"covariances: has shape {np.shape(covariances)}, must have shape {expected} (L, N M_t, N M_t)"
            )
        products: ComplexArray = self._receive_gram * self._moments(covariances).ravel()[self._moment_index]
        return products

    def adjoint(self, weights: RealArray) -> ComplexArray:
        """The adjoint map: Hermitian (L, D, D) matrices with <apply(R), Y> = sum_l Re tr(adjoint(Y)_l R_l).

        Parameters
        ----------
        weights : (P, P) real matrix Y, of which only the symmetric part matters. For Y = y y^T the result is the matrix
            Q_l(y) = (2 L / sigma_s^2) sum_n G_{n,l}(y)^H G_{n,l}(y) with G(y) = sum_p y_p G_p, positive semidefinite.

        Raises
        ------
        ValueError : wrong shape.
        """
        s = self.scenario
        n_parameters = self.n_parameters
        if np.shape(weights) != (n_parameters, n_parameters):
            raise ValueError(
                f"weights: has shape {np.shape(weights)}, must have shape {(n_parameters, n_parameters)} (P, P)"
            )
        weights = np.asarray(weights, dtype=float)
        weights = (weights + weights.T) / 2
        columns, coefficients = self._parameter_columns()
        own = weights[columns[:, :, None], columns[:, None, :]]
        atom_weights = coefficients @ own @ coefficients.conj().swapaxes(1, 2)
        pulled = (self._receive_gram * atom_weights.swapaxes(1, 2)).ravel()
        index, size = self._moment_index.ravel(), self._moment_size
        moments = np.bincount(index, pulled.real, size) + 1j * np.bincount(index, pulled.imag, size)
        n, k, n_subcarriers, m_t = s.n_nodes, s.n_targets, s.n_subcarriers, s.n_tx
        grams = self._subcarrier_weights.swapaxes(2, 3) @ moments.reshape(k, k, 3 * n, 4 * n * n)
        grams = (grams.reshape(k, k, n_subcarriers, 2, 2, n, n) * self._gram_phases).conj()
        # (k, k', l, a, a', m, m') -> (m', (l, m, k, a), (k', a'))
        grams = grams.transpose(6, 2, 5, 0, 3, 1, 4).reshape(n, n_subcarriers * n * 2 * k, 2 * k)
        half = (grams @ self._transmit.conj()).reshape(n, n_subcarriers, n, 2 * k, m_t)
        # (m', l, m, (k, a), j) -> (m, (k, a), (l, m', j))
        half = half.transpose(2, 3, 1, 0, 4).reshape(n, 2 * k, n_subcarriers * n * m_t)
        full = (self._transmit.swapaxes(1, 2) @ half).reshape(n, m_t, n_subcarriers, n * m_t)
        matrices = self.scale * full.transpose(2, 3, 0, 1).reshape(n_subcarriers, n * m_t, n * m_t)
        result: ComplexArray = (matrices + matrices.conj().swapaxes(1, 2)) / 2
        return result

    def curvature(self, weights: RealArray) -> tuple[ComplexArray, float]:
        """sum_c Q_l(y_c) of the columns of Y: that of :meth:`adjoint` at Y Y^T, squared after its terms have cancelled.

        Parameters
        ----------
        weights : (P, C) real Y.

        Returns
        -------
        matrices : (L, D, D) Hermitian positive semidefinite.
        error : bound on the spectral norm of what rounding does to any of them.
        """
        s = self.scenario
        columns, coefficients = self._parameter_columns()
        atoms = coefficients @ weights[columns]
        receive = self._compressed_receive()
        matrices = np.zeros((s.n_subcarriers, self.dimension, self.dimension), dtype=complex)
        sizes = self._atom_sizes()
        error = np.zeros(s.n_subcarriers)
        for node in range(s.n_nodes):
            lost = self.rounding * (sizes[node] @ (np.abs(coefficients[node]) @ np.abs(weights[columns[node]])))
            for start in range(0, s.n_subcarriers, _CHUNK):
                rows = slice(start, start + _CHUNK)
                combined = self._combined(receive[node], node, atoms[node], rows)
                size = np.linalg.norm(combined, axis=(2, 3))
                error[rows] += lost @ (2 * size + lost[:, None])
                stacked = combined.transpose(1, 0, 2, 3).reshape(combined.shape[1], -1, self.dimension)
                matrices[rows] += stacked.conj().swapaxes(1, 2) @ stacked
        matrices *= self.scale
        return matrices, self.scale * float(error.max())

    def _atom_sizes(self) -> RealArray:
        """Norms of the atoms at each receive node, (N, 4NK), at the highest subcarrier for those with delays."""
        s = self.scenario
        receive = np.linalg.norm(self._receive, axis=2), np.linalg.norm(self._receive_slope, axis=2)
        transmit = np.linalg.norm(self._transmit.reshape(s.n_nodes, s.n_targets, 2, s.n_tx), axis=3)
        omega = 2 * np.pi * float(subcarrier_frequencies(s.n_subcarriers, s.bandwidth_hz)[-1])
        sizes = np.empty((s.n_nodes, _KINDS, s.n_nodes, s.n_targets))
        for kind in range(_KINDS):
            own = receive[int(kind == _ARRIVAL)][:, None] * transmit[None, :, :, int(kind == _DEPARTURE)]
            sizes[:, kind] = own * (omega if kind == _DELAY else 1.0)
        return sizes.reshape(s.n_nodes, -1)

    def _compressed_receive(self) -> ComplexArray:
        """Receive vectors and slopes (N, K, r, 2) in the r = min(M_r, 2K) dimensions that they span."""
        s = self.scenario
        stacked = np.concatenate([self._receive, self._receive_slope], axis=1).swapaxes(1, 2)
        triangular: ComplexArray = np.linalg.qr(stacked).R
        return triangular.reshape(s.n_nodes, -1, 2, s.n_targets).transpose(0, 3, 1, 2)

    def derivatives(self) -> ComplexArray:
        """Dense derivatives G[p, n, l, m_r, i] with d mu_{n,l} / d psi_p = G_{p,n,l} x_l, shape (P, N, L, M_r, D)."""
        receive = np.stack([self._receive, self._receive_slope], axis=-1)
        return self._dense(receive)

    def derivative_factors(self) -> DerivativeFactors:
        """The derivatives for structured solvers: dense by the geometry, outer products by the amplitudes."""
        s = self.scenario
        n, k = s.n_nodes, s.n_targets
        receive = self._compressed_receive()
        geometry = np.zeros(
            (self._atom_slopes.shape[-1], n, s.n_subcarriers, receive.shape[2], n * s.n_tx), dtype=complex
        )
        for start in range(0, s.n_subcarriers, _CHUNK):
            rows = slice(start, start + _CHUNK)
            for node in range(n):
                geometry[:, node, rows] = self._combined(receive[node], node, self._slopes[node], rows)
        transmit = self._path_delays()[..., None] * self._transmit.reshape(n, k, 2, s.n_tx)[None, :, :, 0, None, :]
        return DerivativeFactors(geometry, np.ascontiguousarray(receive[..., 0]), transmit, self.scale)

    def triangular_factors(self, covariances: ComplexArray) -> ComplexArray:
        """Square roots of the information of each receive node, from which no digits are lost.

        Parameters
        ----------
        covariances : (L, D, D) Hermitian PSD R[l, i, j].

        Returns
        -------
        (N, S + NK, S + NK) upper triangular factors of sqrt(2 L) / sigma_s G_{p,n,l} R_l^(1/2), stacked over l, with
        the columns p of the S geometry parameters, then of Re b[n, m, k] in (m, k) order; that of Im b is j times it.

        Raises
        ------
        ValueError : a covariance that is not positive semidefinite.
        """
        s = self.scenario
        roots = _square_roots(covariances)
        receive = self._compressed_receive()
        per_node, n_geometry = s.n_nodes * s.n_targets, self._slopes.shape[2]
        n_columns = n_geometry + per_node
        amplitudes = np.eye(self._slopes.shape[1], per_node, dtype=complex)
        factors = np.zeros((s.n_nodes, n_columns, n_columns), dtype=complex)
        for node in range(s.n_nodes):
            coefficients = np.concatenate([self._slopes[node], amplitudes], axis=1)
            factor: ComplexArray = np.zeros((0, n_columns), dtype=complex)
            for start in range(0, s.n_subcarriers, _CHUNK):
                rows = slice(start, start + _CHUNK)
                moved = self._combined(receive[node], node, coefficients, rows) @ roots[rows]
                factor = np.linalg.qr(np.concatenate([factor, moved.reshape(n_columns, -1).T])).R
            factors[node, : len(factor)] = factor
        factors *= np.sqrt(self.scale)
        return factors

    @property
    def rounding(self) -> float:
        """Rounding error of the derivatives relative to their size: that of their phases, in radians."""
        s = self.scenario
        path_s = 2 * float(s.target_geometry.delay_s.max())
        phase = 2 * np.pi * s.bandwidth_hz * path_s + np.pi * max(s.n_tx, s.n_rx)
        return float(np.finfo(float).eps * (8 + phase))

    def _path_delays(self) -> ComplexArray:
        """Delay vectors of the paths (N, N, K, L)."""
        paths: ComplexArray = self._delays[:, None] * self._delays_tx[None, :]
        return paths

    def _dense(self, receive: ComplexArray) -> ComplexArray:
        """Dense derivatives from receive vectors (N, K, r, 2): the vectors and their slopes."""
        s = self.scenario
        columns, coefficients = self._parameter_columns()
        shape = (self.n_parameters, s.n_nodes, s.n_subcarriers, receive.shape[2], self.dimension)
        result = np.zeros(shape, dtype=complex)
        for node in range(s.n_nodes):
            result[columns[node], node] = self._combined(receive[node], node, coefficients[node], slice(None))
        return result

    def _combined(
        self, receive: ComplexArray, node: int, coefficients: ComplexArray, subcarriers: slice
    ) -> ComplexArray:
        """Combinations of the atoms of one receive node on some subcarriers, (C, l, r, D).

        Parameters
        ----------
        receive : (K, r, 2) receive vectors of the node, and their slopes.
        coefficients : (4NK, C) of the atoms in each combination.
        """
        s = self.scenario
        n, k, m_t = s.n_nodes, s.n_targets, s.n_tx
        own = coefficients.reshape(_KINDS, n, k, -1)
        transmit = self._transmit.reshape(n, k, 2, m_t)
        paths = (self._delays[node] * self._delays_tx)[..., subcarriers]
        omega = 2 * np.pi * subcarrier_frequencies(s.n_subcarriers, s.bandwidth_hz)[subcarriers]
        result = np.zeros((own.shape[-1], paths.shape[-1], receive.shape[1], n, m_t), dtype=complex)
        for kind in range(_KINDS):
            result += np.einsum(
                "mkp,kr,mkl,mki->plrmi",
                own[kind],
                receive[..., int(kind == _ARRIVAL)],
                paths * omega if kind == _DELAY else paths,
                transmit[:, :, int(kind == _DEPARTURE)],
                optimize=True,
            )
        return result.reshape(*result.shape[:3], n * m_t)

    def _prepare_transmit(self, geometry: NodeToPoint, offsets_s: RealArray) -> None:
        """Transmit vectors (N, 2K, M_t) in (target, vector or slope) order, delay vectors (N, K, L) from the
        transmitters, early by their clock offsets, and the phases that these add to the Gram matrix,
        (K, K', L, 1, 1, N, N').
        """
        s = self.scenario
        n, k, n_subcarriers = s.n_nodes, s.n_targets, s.n_subcarriers
        pair = (steering_vector(geometry.angle, s.n_tx), steering_derivative(geometry.angle, s.n_tx))
        self._transmit = np.stack(pair, axis=2).reshape(n, 2 * k, s.n_tx)
        self._delays_tx = delay_vector(geometry.delay_s - offsets_s, n_subcarriers, s.bandwidth_hz)
        own = self._delays_tx.transpose(1, 2, 0)
        phases = own.conj()[:, None, :, :, None] * own[None, :, :, None, :]
        self._gram_phases = phases[:, :, :, None, None]

    def _prepare_receive(self, geometry: NodeToPoint, offsets_s: RealArray) -> None:
        """What turns the Gram matrix of the transmit vectors into that of the atoms of each receive node.

        The weights (K, K', 3N, L) of the sums over subcarriers hold omega_l^p and the phases of the delays to receive
        node n; the sums, or moments, have the axes [k, k', n, p, a, a', m, m'] with a = 1 for slopes. Atoms have the
        axes [kind, m, k]; for each pair of them the receive Gram holds the product of their receive vectors and the
        moment index the place of their moment, both (N, 4NK, 4NK).
        """
        s = self.scenario
        n, k, n_subcarriers = s.n_nodes, s.n_targets, s.n_subcarriers
        self._delays = delay_vector(geometry.delay_s + offsets_s, n_subcarriers, s.bandwidth_hz)
        self._receive = steering_vector(geometry.angle, s.n_rx)
        self._receive_slope = steering_derivative(geometry.angle, s.n_rx)
        omega = 2 * np.pi * subcarrier_frequencies(n_subcarriers, s.bandwidth_hz)
        pair_phases = self._delays.conj()[:, :, None] * self._delays[:, None]
        weights = pair_phases[:, None] * omega ** np.arange(3)[:, None, None, None]
        self._subcarrier_weights = np.ascontiguousarray(weights.transpose(2, 3, 0, 1, 4)).reshape(
            k, k, 3 * n, n_subcarriers
        )

        vectors = np.stack([self._receive, self._receive_slope, self._receive, self._receive], axis=1)
        gram = np.einsum("nakr,nbqr->nakbq", vectors.conj(), vectors)
        shape = (n, _KINDS, n, k, _KINDS, n, k)
        self._receive_gram = np.broadcast_to(gram[:, :, None, :, :, None, :], shape).reshape(n, _KINDS * n * k, -1)
        node, kind, tx, target, kind2, tx2, target2 = np.indices(shape)
        power = (kind == _DELAY).astype(int) + (kind2 == _DELAY)
        slope, slope2 = (kind == _DEPARTURE).astype(int), (kind2 == _DEPARTURE).astype(int)
        entry = (target, target2, node, power, slope, slope2, tx, tx2)
        moment_shape = (k, k, n, 3, 2, 2, n, n)
        self._moment_index = np.ravel_multi_index(entry, moment_shape).reshape(self._receive_gram.shape)
        self._moment_size = int(np.prod(moment_shape))

    def _set_amplitudes(self, amplitudes: ComplexArray) -> None:
        """Derivatives of the atoms' coefficients by the geometry parameters, (N, 4NK, S), linear in the amplitudes."""
        s = self.scenario
        expected = (s.n_nodes, s.n_nodes, s.n_targets)
        if np.shape(amplitudes) != expected:
            raise ValueError(
                f"amplitudes: has shape {np.shape(amplitudes)}, must have shape {expected} [rx, tx, target]"
            )
        largest = float(np.abs(amplitudes).max())
        low, high = _AMPLITUDES
        if largest and not low <= largest <= high:
            raise ValueError(
                f"amplitudes: the largest is {largest:.3g}, must be within [{low:g}, {high:g}]; scale noise_sense too"
            )
        slopes = self._atom_slopes * np.asarray(amplitudes, dtype=complex)[:, None, :, :, None]
        self._slopes = slopes.reshape(s.n_nodes, _KINDS * s.n_nodes * s.n_targets, -1)

    def _parameter_columns(self) -> tuple[NDArray[np.intp], ComplexArray]:
        """Per receive node the parameters that move its mean, and the atoms that each of them moves.

        Returns
        -------
        columns : (N, S + 2NK) indices into the P parameters.
        coefficients : (N, 4NK, S + 2NK) atoms by those parameters.
        """
        s = self.scenario
        per_node, n_positions = s.n_nodes * s.n_targets, 2 * s.n_targets
        n_amplitudes = s.n_nodes * per_node
        shape_columns = np.r_[:n_positions, n_positions + 2 * n_amplitudes : self.n_parameters]
        real = n_positions + np.arange(n_amplitudes).reshape(s.n_nodes, per_node)
        columns = np.concatenate([np.tile(shape_columns, (s.n_nodes, 1)), real, real + n_amplitudes], axis=1)
        own = np.zeros((s.n_nodes, self._slopes.shape[1], 2 * per_node), dtype=complex)
        own[:, :per_node] = np.concatenate([np.eye(per_node), 1j * np.eye(per_node)], axis=1)
        return columns, np.concatenate([self._slopes, own], axis=2)

    def _moments(self, covariances: ComplexArray) -> ComplexArray:
        """Sums over subcarriers of omega_l^p times the Gram matrix, indexed as :meth:`_prepare_receive` says."""
        s = self.scenario
        n, k, n_subcarriers, m_t = s.n_nodes, s.n_targets, s.n_subcarriers, s.n_tx
        stacked = np.asarray(covariances, dtype=complex).reshape(n_subcarriers, n, m_t, n * m_t)
        left = self._transmit @ stacked.transpose(1, 2, 0, 3).reshape(n, m_t, n_subcarriers * n * m_t)
        left = left.reshape(n * 2 * k * n_subcarriers, n, m_t).transpose(1, 0, 2)
        grams = (left @ self._transmit.conj().swapaxes(1, 2)).reshape(n, n, k, 2, n_subcarriers, k, 2)
        # (m', m, k, a, l, k', a') -> (k, k', l, a, a', m, m')
        grams = grams.transpose(2, 5, 4, 3, 6, 1, 0).conj() * self._gram_phases
        moments: ComplexArray = self._subcarrier_weights @ grams.reshape(k, k, n_subcarriers, 4 * n * n)
        return moments


def _jacobian(geometry: NodeToPoint, mode: str) -> tuple[RealArray, RealArray]:
    """Derivatives of theta_n^k and tau_n^k by the geometry parameters of a mode, each (S, N, K); cf. Eq. (45).

    It is the Jacobian of Eq. (12), from the parameters of Eq. (8) to those of Eq. (9).
    """
    n_nodes, n_targets = geometry.angle.shape
    own = np.eye(n_targets)
    angle, delay = (
        np.einsum("nkc,kq->cqnk", gradient, own).reshape(2 * n_targets, n_nodes, n_targets)
        for gradient in (geometry.angle_gradient, geometry.delay_gradient)
    )
    free = np.eye(n_nodes * n_targets).reshape(-1, n_nodes, n_targets)
    match mode:
        case "hybrid":
            return angle, delay
        case "tof" | "tof-genie":
            return np.zeros_like(angle), delay
        case "aoa" | "aoa-genie":
            return angle, np.zeros_like(delay)
        case "tof-nuisance":
            return np.concatenate([np.zeros_like(angle), free]), np.concatenate([delay, np.zeros_like(free)])
        case _:
            return np.concatenate([angle, np.zeros_like(free)]), np.concatenate([np.zeros_like(delay), free])


def _atom_slopes(angle: RealArray, delay: RealArray) -> ComplexArray:
    """Derivative of each atom's coefficient by the geometry parameters at unit amplitude, (N, 4, N, K, S).

    Parameters
    ----------
    angle, delay : (S, N, K) Jacobian of the angles and one-way delays.
    """
    n_geometry, n_nodes, n_targets = angle.shape
    slopes = np.zeros((n_nodes, _KINDS, n_nodes, n_targets, n_geometry), dtype=complex)
    angle, delay = np.moveaxis(angle, 0, -1), np.moveaxis(delay, 0, -1)
    slopes[:, _ARRIVAL] = angle[:, None]
    slopes[:, _DEPARTURE] = angle[None, :]
    slopes[:, _DELAY] = -1j * (delay[:, None] + delay[None, :])
    return slopes


def _clock_slopes(n_nodes: int, n_targets: int) -> ComplexArray:
    """Derivative of each atom's coefficient by the clock offsets of nodes 1..N-1 at unit amplitude, (N, 4, N, K, N-1).

    A link from m to n is late by delta_n - delta_m, whatever the target.
    """
    own = np.eye(n_nodes)[:, 1:]
    slopes = np.zeros((n_nodes, _KINDS, n_nodes, n_targets, n_nodes - 1), dtype=complex)
    slopes[:, _DELAY] = -1j * (own[:, None, None] - own[None, :, None])
    return slopes


def _square_roots(covariances: ComplexArray) -> ComplexArray:
    """(L, D, q) factors A_l with A_l A_l^H = R_l, q the largest rank.

    Raises
    ------
    ValueError : names a covariance with a negative eigenvalue.
    """
    power = np.einsum("lii->li", covariances).real
    amplitude = np.sqrt(np.where(power > 0, power, 0.0))
    unit = np.where(amplitude > 0, amplitude, 1.0)
    values, vectors = np.linalg.eigh(covariances / (unit[:, :, None] * unit[:, None, :]))
    largest = np.maximum(np.abs(values).max(axis=1), np.finfo(float).tiny)
    worst = int(np.argmin(values[:, 0] / largest))
    if values[worst, 0] < -1e-9 * largest[worst]:
        raise ValueError(
            f"covariances[{worst}]: has the eigenvalue {values[worst, 0]:.3g} in units of the antennas' powers, "
            "must be Hermitian and positive semidefinite"
        )
    values[values <= np.finfo(float).eps * largest[:, None]] = 0.0
    first = int(np.argmax(np.any(values > 0, axis=0))) if values.any() else values.shape[1] - 1
    roots: ComplexArray = amplitude[:, :, None] * vectors[:, :, first:] * np.sqrt(values[:, None, first:])
    return roots


def check_symbol_axes(symbols: ComplexArray) -> ComplexArray:
    """Symbols of one signal as an array of axes (N, M_t, L, T).

    Raises
    ------
    ValueError : not finite, or of other axes.
    """
    array: ComplexArray = check_numbers("symbols", symbols)
    if array.ndim != 4 or array.shape[-1] == 0:
        raise ValueError(f"symbols: has shape {array.shape}, must have shape (N, M_t, L, T) with T at least 1")
    return array


def sample_covariances(symbols: ComplexArray) -> ComplexArray:
    """Covariances R_l = X_l X_l^H / T of one signal X[n, m_t, l, t], shape (L, N M_t, N M_t)."""
    symbols = check_symbol_axes(symbols)
    n_nodes, n_tx, n_subcarriers, n_symbols = symbols.shape
    stacked = symbols.reshape(n_nodes * n_tx, n_subcarriers, n_symbols).transpose(1, 0, 2)
    covariances: ComplexArray = stacked @ stacked.conj().swapaxes(1, 2) / n_symbols
    return covariances


def fisher_information(
    scenario: Scenario, covariances: ComplexArray, mode: str = "hybrid", n_symbols: int = 1
) -> RealArray:
    """Fisher information matrix of ``n_symbols`` OFDM symbols with covariances R[l, i, j].

    The parameters are those of Eq. (9): Eq. (11), of the likelihood of Eq. (10), after the chain rule of Eq. (12).

    Parameters
    ----------
    scenario : the truth; its own number of symbols does not enter.
    covariances : (L, N M_t, N M_t) Hermitian, of the design for the expected bound or
        :func:`sample_covariances` for the realized one.
    mode : see :class:`FisherOperator`, which also states the parameter order.
    n_symbols : number of OFDM symbols.

    Returns
    -------
    (P, P) symmetric matrix, P = 2K + 2KN^2, and NK more in the nuisance modes.

    Raises
    ------
    ValueError : unknown mode, wrong shape, or a matrix that is not finite and Hermitian.
    """
    check_n_symbols(n_symbols)
    check_covariances(scenario, covariances)
    return n_symbols * FisherOperator(scenario, mode).apply(covariances)


def check_n_symbols(n_symbols: int) -> None:
    check_integer("n_symbols", n_symbols, 1)


def check_covariances(scenario: Scenario, covariances: ComplexArray) -> None:
    """Refuse covariances that are not finite Hermitian matrices R[l, i, j] of the scenario's size.

    Raises
    ------
    ValueError : names what is wrong and where.
    """
    check_instance("scenario", scenario, Scenario)
    covariances = check_numbers("covariances", covariances)
    dimension = scenario.n_nodes * scenario.n_tx
    expected = (scenario.n_subcarriers, dimension, dimension)
    if covariances.shape != expected:
        raise ValueError(f"covariances: has shape {covariances.shape}, must have shape {expected} (L, N M_t, N M_t)")
    skew = np.abs(covariances - covariances.conj().swapaxes(1, 2)).max(axis=(1, 2))
    worst = int(np.argmax(skew))
    if skew[worst] > 1e-9 * np.abs(covariances).max():
        raise ValueError(
            f"covariances[{worst}]: differs from its Hermitian transpose by {skew[worst]:.3g}, must be Hermitian"
        )
