"""From a design problem to its saddle form, and from a saddle point back to covariances and prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disac.designs.bounds.fisher import FisherOperator
from disac.designs.problem.dependence import independent_parameters
from disac.designs.problem.memory import prepared_once
from disac.designs.problem.relaxed import RelaxedProblem
from disac.designs.solvers.native.cones import adjoint, hermitian, smat, svec
from disac.designs.solvers.native.saddle import (
    BlockGroup,
    Blocks,
    Cones,
    Forms,
    NodeSets,
    Prices,
    SaddleProblem,
    SensingField,
    SharedGroup,
    Split,
)
from disac.simulator import Scenario
from disac.simulator.steering import delay_vector, steering_derivative, steering_vector

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]


@dataclass(frozen=True)
class Units:
    """What one stands for in the dimensionless problem.

    Attributes
    ----------
    covariance : P_T / L.
    objective : largest single-parameter bound 1 / F_pp of a coordinate when every antenna sends P_T / L [m^2].
    parameters : (P,) 1 / sqrt(F_pp) there; 0 for nuisance parameters without information, which are left out.
    sinr : (U, L) factor of each SINR constraint.
    """

    covariance: float
    objective: float
    parameters: RealArray
    sinr: RealArray


@dataclass(frozen=True)
class BuiltProblem:
    """A design problem with its saddle form.

    Attributes
    ----------
    relaxed : the design problem.
    saddle : its dimensionless saddle form.
    units : the units of the latter.
    subcarrier : (A,) subcarrier of each sheet.
    split_basis : (L, N, M_t, q) orthonormal bases of the users' channels at each node; q = 0 unless data covariances
        are split off a joint covariance.
    split_channels : (L, N, q, U) normalized channels in these bases.
    """

    relaxed: RelaxedProblem
    saddle: SaddleProblem
    units: Units
    subcarrier: IndexArray
    split_basis: ComplexArray
    split_channels: ComplexArray

    def covariances(self, blocks: Blocks) -> tuple[ComplexArray, ComplexArray]:
        """R_l (L, D, D) and R_c[n, u, l] (N, U, L, M_t, M_t) of block matrices, in units of power."""
        s = self.relaxed.scenario
        n_nodes, n_users, m_t = s.n_nodes, self.relaxed.n_constrained_users, s.n_tx
        total = np.zeros((s.n_subcarriers, n_nodes, m_t, n_nodes, m_t), dtype=complex)
        data = np.zeros((n_nodes, s.n_users, s.n_subcarriers, m_t, m_t), dtype=complex)
        main = blocks.groups[0]
        if self.relaxed.signal == "joint":
            total[:] = main[:, 0].reshape(total.shape)
            node_index = np.arange(n_nodes)
            diagonal = total[:, node_index, :, node_index].copy()
            if n_users == 1:
                data[:, 0] = diagonal
            elif n_users:
                data[:] = self._split(diagonal, blocks.groups[1])
        else:
            sets = self.saddle.field.node_sets
            for node in range(n_nodes):
                own = main[sets.sheets(node)]
                rows = self.subcarrier[sets.sheets(node)]
                total[rows, node, :, node] = own.sum(axis=1)
                if n_users:
                    data[node][:, rows] = own.swapaxes(0, 1)
            for matrices in blocks.shared:
                own_node = sets.of_sheet
                total[self.subcarrier, own_node, :, own_node] += matrices[own_node]
        total *= self.units.covariance
        data *= self.units.covariance
        return total.reshape(s.n_subcarriers, n_nodes * m_t, -1), data

    def _split(self, diagonal: ComplexArray, parts: ComplexArray) -> ComplexArray:
        """Data covariances (N, U, L, M_t, M_t) whose compression to the users' channels V are the ``parts`` C_u.

        With R = F F^H and F^H V = Q K, the covariances F Q K^-H C_u K^-1 Q^H F^H are PSD, compress to C_u, and sum to
        at most R when the C_u sum to V^H R V.
        """
        s = self.relaxed.scenario
        values, vectors = np.linalg.eigh(diagonal)
        factor = vectors * np.sqrt(np.maximum(values, 0))[..., None, :]
        orthonormal, triangular = np.linalg.qr(adjoint(factor) @ self.split_basis.swapaxes(0, 1))
        q = triangular.shape[-1]
        shares = parts.reshape(s.n_subcarriers, s.n_nodes, s.n_users, q, q).transpose(1, 2, 0, 3, 4)
        inverse = np.asarray(np.linalg.inv(triangular), dtype=np.complex128)[:, None]
        lift = (factor @ orthonormal)[:, None]
        data: ComplexArray = lift @ (adjoint(inverse) @ shares @ inverse) @ adjoint(lift)
        return hermitian(data)

    def fisher_weights(self, prices: Prices) -> RealArray:
        """Y (P, 2K) in physical units."""
        scale = np.sqrt(self.units.objective) * self.units.parameters
        weights = np.zeros((len(scale), prices.weights.shape[1]))
        weights[scale > 0] = scale[scale > 0, None] * prices.weights
        return weights

    def power_price(self, prices: Prices) -> RealArray:
        """p (N M_t,) [m^2 per unit of power]."""
        return self.units.objective / self.units.covariance * prices.power[: self.saddle.n_antennas]

    def sidelobe_price(self, prices: Prices) -> RealArray | None:
        """z (J, 3) of the sidelobe limits [m^2 per unit of power]; None without them."""
        limits = self.relaxed.sidelobes
        if limits is None:
            return None
        scale = self.units.objective / (self.units.covariance * self.relaxed.scenario.n_tx)
        return scale * prices.power[self.saddle.n_antennas :].reshape(-1, 3)

    def sinr_price(self, prices: Prices) -> RealArray:
        """mu (U, L)."""
        s = self.relaxed.scenario
        price = np.zeros((s.n_users, s.n_subcarriers))
        n_users = self.relaxed.n_constrained_users
        price[:n_users] = self.units.objective * self.units.sinr[:n_users] * prices.leaf[:, :n_users].T
        return price

    def split_price(self, prices: Prices) -> ComplexArray | None:
        """Z_nl (N, L, M_t, M_t); None when the data covariances are not split off a joint one."""
        q = self.split_basis.shape[-1]
        if not q:
            return None
        s = self.relaxed.scenario
        zeta = smat(prices.leaf[:, s.n_users :].reshape(s.n_subcarriers, s.n_nodes, q * q))
        own = (1 + self.relaxed.sinr) * prices.leaf[:, None, None, : s.n_users] * self.split_channels
        price = self.split_basis @ (zeta + own @ adjoint(self.split_channels)) @ adjoint(self.split_basis)
        return self.units.objective / self.units.covariance * price.swapaxes(0, 1)


def build(relaxed: RelaxedProblem) -> BuiltProblem:
    """The saddle form of a design problem."""
    s = relaxed.scenario
    joint = relaxed.signal == "joint"
    covariance = s.tx_power / s.n_subcarriers
    field, subcarrier, parameters = prepared_once(
        s, ("field", relaxed.signal, relaxed.mode), lambda: _sensing_field(relaxed, joint, covariance)
    )
    positions = np.arange(2 * s.n_targets)
    objective = float(np.max(parameters[positions]) ** 2)
    selection = np.zeros((field.n_parameters, len(positions)))
    selection[positions, positions] = parameters[positions] / np.sqrt(objective)

    channels, strength = _normalized_channels(relaxed)
    n_users = relaxed.n_constrained_users
    q = min(n_users, s.n_tx) if joint and n_users > 1 else 0
    basis = np.zeros((s.n_subcarriers, s.n_nodes, s.n_tx, 0), dtype=complex)
    shared: tuple[SharedGroup, ...] = ()
    if q:
        basis = np.linalg.qr(channels)[0][..., :q]
        groups = _joint_split_groups(relaxed, channels, basis)
    elif joint:
        groups = _joint_groups(relaxed, channels)
    else:
        groups, shared = _separate_groups(relaxed, channels, field, subcarrier)
    cones = _cones(relaxed, field, subcarrier)
    if cones is not None:
        groups = (*groups, BlockGroup(2, len(cones) // 3, 1, None, senses=False))
    thresholds = np.zeros((s.n_subcarriers, n_users + s.n_nodes * q * q))
    thresholds[:, :n_users] = (relaxed.sinr * s.noise_comm / (s.tx_power * strength[:n_users])).T
    saddle = SaddleProblem(
        field=field,
        averaged=relaxed.signal == "beamforming-averaged",
        groups=groups,
        shared=shared,
        selection=selection,
        power_limit=float(s.n_subcarriers),
        thresholds=thresholds,
        n_inequalities=n_users,
        interior=np.r_[np.zeros(n_users), np.tile(svec(np.eye(q, dtype=complex)), s.n_nodes if q else 0)],
        n_antennas=s.n_nodes * s.n_tx,
        split=Split((q + n_users) * np.arange(s.n_nodes)[:, None] + np.arange(q), n_users) if q else None,
        cones=cones,
    )
    units = Units(covariance, objective, parameters, relaxed.sinr / (covariance * strength))
    return BuiltProblem(relaxed, saddle, units, subcarrier, basis, adjoint(basis) @ channels)


def _cones(relaxed: RelaxedProblem, field: SensingField, subcarrier: IndexArray) -> Cones | None:
    """Rows (level r(0), Re r, Im r) / M_t of the sidelobe limits, as forms in the conjugate steering vectors."""
    limits, s = relaxed.sidelobes, relaxed.scenario
    if limits is None or not len(limits):
        return None
    waves = limits.waves(s.n_subcarriers)[:, subcarrier] / s.n_tx
    rows = np.stack([np.abs(waves) * limits.level[limits.node, None], waves.real, waves.imag], axis=1)
    toward, sets = limits.steering.conj().swapaxes(1, 2), field.node_sets
    index = np.arange(len(limits))
    if relaxed.signal == "joint":
        n, k = s.n_nodes, s.n_targets
        embedded = np.zeros((n, s.n_tx, n, k), dtype=complex)
        embedded[np.arange(n), :, np.arange(n)] = toward
        vectors = np.broadcast_to(embedded.reshape(n * s.n_tx, n * k), (len(subcarrier), n * s.n_tx, n * k))
        coefficients = np.zeros((len(limits), 3, len(subcarrier), n * k))
        coefficients[index, :, :, limits.node * k + limits.target] = rows
    else:
        vectors = toward[sets.of_sheet]
        coefficients = np.zeros((len(limits), 3, len(subcarrier), s.n_targets))
        coefficients[index, :, :, limits.target] = rows * (sets.of_sheet == limits.node[:, None])[:, None]
    return Cones(np.ascontiguousarray(vectors), coefficients.reshape(3 * len(limits), *coefficients.shape[2:]))


def _transmit_bases(scenario: Scenario, mode: str) -> ComplexArray:
    """Orthonormal bases (N, M_t, r) of the conjugate steering vectors, and of their slopes where angles matter."""
    angle = scenario.target_geometry.angle
    vectors = steering_vector(angle, scenario.n_tx)
    if mode not in ("tof", "tof-genie"):
        vectors = np.concatenate([vectors, steering_derivative(angle, scenario.n_tx)], axis=1)
    return np.linalg.qr(vectors.conj().swapaxes(1, 2))[0]


def _sensing_field(relaxed: RelaxedProblem, joint: bool, unit: float) -> tuple[SensingField, IndexArray, RealArray]:
    """The field scaled so that F has unit diagonal at unit covariances, its subcarriers, and the parameters' scales."""
    s = relaxed.scenario
    n, k, m_t, n_subcarriers = s.n_nodes, s.n_targets, s.n_tx, s.n_subcarriers
    factors = FisherOperator(s, relaxed.mode).derivative_factors()
    bases = _transmit_bases(s, relaxed.mode)
    r_t = bases.shape[-1]
    r = factors.geometry.shape[3]
    informative = np.any(factors.geometry != 0, axis=(1, 2, 3, 4))
    informative[: 2 * k] = True
    independent, independent_nuisance = independent_parameters(relaxed)
    informative[2 * k :] &= independent_nuisance
    n_geometry = int(np.sum(informative))
    geometry = factors.geometry[informative].reshape(n_geometry, n, n_subcarriers, r, n, m_t)
    geometry = np.einsum("snlrmi,miq->lsnrmq", geometry, bases, optimize=True)
    delays = delay_vector(s.target_geometry.delay_s, n_subcarriers, s.bandwidth_hz)
    transmit = np.einsum("mki,mkl,miq->lmkq", steering_vector(s.target_geometry.angle, m_t), delays, bases).conj()
    phase = delays.transpose(2, 0, 1)

    n_parameters = n_geometry + 2 * n * n * k
    rows = np.r_[: 2 * k, 2 * k + 2 * n * n * k : n_parameters]
    real = 2 * k + np.arange(n * n * k).reshape(n, n, k)
    imag = real + n * n * k
    if joint:
        subcarrier = np.arange(n_subcarriers)
        node_sets = NodeSets(
            np.array([0, n_subcarriers]),
            np.arange(n * m_t)[None],
            real.reshape(1, n, n * k),
            imag.reshape(1, n, n * k),
        )
        basis = np.zeros((n, m_t, n, r_t), dtype=complex)
        basis[np.arange(n), :, np.arange(n)] = bases
        basis = np.broadcast_to(basis.reshape(1, 1, n * m_t, n * r_t), (n_subcarriers, 1, n * m_t, n * r_t))
        geometry = geometry.reshape(n_subcarriers, n_geometry, n, r, n * r_t)
        embedded = np.zeros((n_subcarriers, n, k, n, r_t), dtype=complex)
        embedded[:, np.arange(n), :, np.arange(n)] = transmit.swapaxes(0, 1)
        transmit = embedded.reshape(n_subcarriers, n, k, n * r_t)
    else:
        served = [np.flatnonzero(row) for row in relaxed.serves]
        subcarrier = np.concatenate(served)
        node_sets = NodeSets(
            np.cumsum([0, *map(len, served)]),
            np.arange(n * m_t).reshape(n, m_t),
            real.swapaxes(0, 1),
            imag.swapaxes(0, 1),
        )
        node = node_sets.of_sheet
        basis = bases[node][:, None]
        geometry = geometry[subcarrier, :, :, :, node]
        transmit = transmit[subcarrier, node][:, None]
        phase = phase[subcarrier]
    scale = np.sqrt(factors.scale * unit)
    geometry = scale * geometry.transpose(0, 2, 1, 3, 4)
    receive = scale * factors.receive
    per_set = independent[None] if joint else independent.swapaxes(0, 1)[:, :, None]
    heard: RealArray = per_set.astype(float)
    field = _field(basis, geometry, receive, phase, transmit, heard, rows, node_sets, n_parameters)
    rho = basis.shape[-1]
    diagonal = np.diagonal(field.fisher(np.broadcast_to(np.eye(rho, dtype=complex), (len(subcarrier), rho, rho))))
    parameters = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    kept = np.r_[np.ones(2 * k, dtype=bool), np.ones(2 * n * n * k, dtype=bool), informative[2 * k :]]
    all_parameters = np.zeros(len(kept))
    all_parameters[kept] = parameters
    geometry = geometry * parameters[rows][:, None, None]
    links = heard * parameters[node_sets.real].reshape(heard.shape)
    field = _field(basis, geometry, receive, phase, transmit, links, rows, node_sets, n_parameters)
    return field, subcarrier, all_parameters


def _field(
    basis: ComplexArray,
    geometry: ComplexArray,
    receive: ComplexArray,
    phase: ComplexArray,
    transmit: ComplexArray,
    link_scale: RealArray,
    rows: IndexArray,
    node_sets: NodeSets,
    n_parameters: int,
) -> SensingField:
    """The field with its links stacked below the geometry derivatives (A, N, S, r, rho)."""
    heard = (phase[..., None] * receive)[:, :, None, :, :, None]
    links = heard * transmit.conj()[:, None, :, :, None, :] * link_scale[node_sets.of_sheet][..., None, None]
    n_sheets, n_nodes, m, k, r, rho = links.shape
    stack = np.concatenate([geometry, links.reshape(n_sheets, n_nodes, m * k, r, rho)], axis=2)
    absent = np.zeros(n_parameters)
    silent = (link_scale == 0).reshape(node_sets.real.shape)
    absent[node_sets.real[silent]] = absent[node_sets.imag[silent]] = 1.0
    return SensingField(basis, stack, receive, phase, transmit, link_scale, rows, node_sets, n_parameters, absent)


def _normalized_channels(relaxed: RelaxedProblem) -> tuple[ComplexArray, RealArray]:
    """Channels (L, N, M_t, U) over the strongest serving node's norm, and the squares (U, L) of these norms."""
    channels = relaxed.scenario.channels * relaxed.serves[:, None, :, None]
    strength = np.max(np.sum(np.abs(channels) ** 2, axis=-1), axis=0, initial=0.0)
    strength = np.where(strength > 0, strength, 1.0)
    normalized = channels / np.sqrt(strength)[None, :, :, None]
    return normalized.transpose(2, 0, 3, 1), strength


def _joint_groups(relaxed: RelaxedProblem, channels: ComplexArray) -> tuple[BlockGroup, ...]:
    """One joint covariance per subcarrier, all of it data for the only user."""
    s = relaxed.scenario
    size, n_subcarriers = s.n_nodes * s.n_tx, s.n_subcarriers
    forms = None
    if relaxed.n_constrained_users:
        vectors = _embedded(channels)
        weights = np.eye(s.n_nodes, dtype=complex)[None, None]
        forms = Forms(vectors, weights, np.arange(n_subcarriers))
    return (BlockGroup(size, n_subcarriers, 1, forms, senses=True),)


def _embedded(vectors: ComplexArray) -> ComplexArray:
    """Vectors (L, N, M_t, v) of the nodes as vectors (L, 1, N M_t, N v) of the stacked antennas."""
    n_subcarriers, n, m_t, v = vectors.shape
    embedded = np.zeros((n_subcarriers, n, m_t, n, v), dtype=complex)
    embedded[:, np.arange(n), :, np.arange(n)] = vectors.swapaxes(0, 1)
    return embedded.reshape(n_subcarriers, 1, n * m_t, n * v)


def _joint_split_groups(relaxed: RelaxedProblem, channels: ComplexArray, basis: ComplexArray) -> tuple[BlockGroup, ...]:
    """Joint covariances, and the users' shares of each node's block compressed to the span of the users' channels.

    Only V^H R_c V matters, and PSD shares C_u with sum V^H R_nn V lift to shares of R_nn. So the multiplier Z of the
    split is V zeta V^H with zeta of size q = min(U, M_t) (Anderson and Duffin's shorted operator of any feasible Z is
    feasible). Counting zeta from (1 + Gamma) sum_u mu_u h h^H spares the differences of large multiples of mu.
    """
    s = relaxed.scenario
    n, n_users, n_subcarriers = s.n_nodes, s.n_users, s.n_subcarriers
    q = basis.shape[-1]
    width, n_prices = q + n_users, n_users + n * q * q
    hermitian_basis = smat(np.eye(q * q))
    leaf = np.arange(n_subcarriers)
    user = np.arange(n_users)

    vectors = _embedded(np.concatenate([basis, channels], axis=-1))
    weights = np.zeros((1, n_prices, n, width, n, width), dtype=complex)
    shares = np.zeros((n, n_users, n_prices, width, width), dtype=complex)
    for node in range(n):
        own = slice(n_users + node * q * q, n_users + (node + 1) * q * q)
        weights[0, user, node, q + user, node, q + user] = 1
        weights[0, own, node, :q, node, :q] = hermitian_basis
        shares[node, :, own, :q, :q] = -hermitian_basis
        shares[node, :, user, q + user, q + user] = -(1 + relaxed.sinr)
        shares[node, user, user, q + user, q + user] = 0
    seen = adjoint(basis) @ channels
    identity = np.broadcast_to(np.eye(q, dtype=complex), (n_subcarriers, n, q, q))
    share_vectors = np.repeat(np.concatenate([identity, seen], axis=-1), n_users, axis=1)
    size = n * s.n_tx
    return (
        BlockGroup(
            size, n_subcarriers, 1, Forms(vectors, weights.reshape(1, n_prices, n * width, -1), leaf), senses=True
        ),
        BlockGroup(
            q,
            n_subcarriers,
            n * n_users,
            Forms(share_vectors, shares.reshape(n * n_users, n_prices, width, width), leaf),
            senses=False,
        ),
    )


def _separate_groups(
    relaxed: RelaxedProblem, channels: ComplexArray, field: SensingField, subcarrier: IndexArray
) -> tuple[tuple[BlockGroup, ...], tuple[SharedGroup, ...]]:
    """Data covariances of each node, subcarrier and user, and radar covariances where a node's subcarriers share one.

    Without sharing, a radar part may be counted as data of any user: that raises the SINR and changes nothing else.
    Where not all nodes send data, each vector comes twice, the second time 0 where the node sends that user none.
    """
    s = relaxed.scenario
    n_users, sinr = relaxed.n_constrained_users, relaxed.sinr
    beams = relaxed.signal.startswith("beamforming")
    node = field.node_sets.of_sheet
    shared = (
        (SharedGroup(channels[subcarrier, node][..., :n_users], np.full(n_users, -sinr), subcarrier),) if beams else ()
    )
    forms = None
    if n_users:
        user = np.arange(n_users)
        vectors = channels[subcarrier, node]
        if relaxed.data_from is not None:
            useful = vectors * relaxed.data_from[node, :, subcarrier][:, None]
            vectors = np.concatenate([vectors, useful], axis=-1)
        width = vectors.shape[-1]
        weights = np.zeros((n_users, n_users, width, width), dtype=complex)
        weights[:, user, user, user] = -sinr
        own = width - n_users + user
        weights[user, user, own, own] = 1 if relaxed.data_from is None else 1 + sinr
        forms = Forms(np.ascontiguousarray(vectors)[:, None], weights, subcarrier)
    # without users, beamforming has no data at all: zero members
    n_members = n_users if beams else max(n_users, 1)
    return (BlockGroup(s.n_tx, len(subcarrier), n_members, forms, senses=True),), shared
