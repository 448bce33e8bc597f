"""P.1 to P.4 as semidefinite programs for CVXPY: the oracle that other solvers are compared with.

One joint linear matrix inequality [[F, E], [E^T, Z]] >= 0 takes the place of the 2K of Eq. (23b). Receive nodes share
no amplitudes, so it falls apart without loss: [[F_qq,n - J_n, F_qb,n], [F_bq,n, F_bb,n]] >= 0 for the information
gathered by each receive node n on the positions q and on its own amplitudes b, and [[sum_n J_n, E], [E^T, Z]] >= 0.

A Hermitian matrix is a real vector of its diagonal and of the real and imaginary parts above it, so it is Hermitian by
construction, and its cone is that of the real symmetric matrix [[Re, -Im], [Im, Re]]. All maps are sparse matrices of
those vectors. Scaling: R by P_T / L, F by its diagonal at uniform power, the objective by the CRB at uniform power, and
signals damped in the directions of the users that they disturb.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_array

from disac.designs.bounds.crb import crb_of_operator
from disac.designs.bounds.fisher import FisherOperator
from disac.designs.problem.dependence import independent_parameters
from disac.designs.problem.refusals import SolverFailure
from disac.designs.problem.relaxed import RelaxedProblem, RelaxedSolution
from disac.designs.problem.sidelobes import SidelobeLimits

if TYPE_CHECKING:
    from scipy.sparse import csr_array

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_OPTIONS: dict[str, dict[str, Any]] = {
    "clarabel": {
        "accept_unknown": True,
        "direct_solve_method": "qdldl",
        "tol_gap_abs": 1e-10,
        "tol_gap_rel": 1e-10,
        "tol_feas": 1e-10,
    },
    "scs": {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 20_000},
    "mosek": {},
}


@cache
def hermitian_basis(size: int) -> ComplexArray:
    """(size^2, size, size) matrices H_k with R = sum_k x_k H_k: diagonal, then real, then imaginary parts above it."""
    rows, columns = np.triu_indices(size, 1)
    n_upper = len(rows)
    basis = np.zeros((size * size, size, size), dtype=complex)
    diagonal, upper = np.arange(size), np.arange(n_upper)
    basis[diagonal, diagonal, diagonal] = 1
    basis[size + upper, rows, columns] = basis[size + upper, columns, rows] = 1
    basis[size + n_upper + upper, rows, columns] = 1j
    basis[size + n_upper + upper, columns, rows] = -1j
    basis.setflags(write=False)
    return basis


def hermitian_coordinates(matrices: ComplexArray) -> RealArray:
    """Coordinates c with Re tr(C H(x)) = c^T x for Hermitian H(x), of matrices C (..., size, size) of any kind."""
    size = matrices.shape[-1]
    rows, columns = np.triu_indices(size, 1)
    above, below = matrices[..., rows, columns], matrices[..., columns, rows]
    diagonal = np.real(np.einsum("...ii->...i", matrices))
    return np.concatenate([diagonal, np.real(above + below), np.imag(above - below)], axis=-1)


@cache
def real_embedding(size: int) -> csr_array:
    """(4 size^2, size^2) sparse map from coordinates to the flattened real symmetric matrix [[Re, -Im], [Im, Re]]."""
    basis = hermitian_basis(size)
    embedded: RealArray = np.block([[basis.real, -basis.imag], [basis.imag, basis.real]])
    return csr_array(embedded.reshape(size * size, -1).T)


def from_embedding(price: RealArray) -> ComplexArray:
    """Hermitian Z with Re tr(Z H) = tr(price [[Re H, -Im H], [Im H, Re H]]), for the dual of a real symmetric cone."""
    size = len(price) // 2
    a, b, c = price[:size, :size], price[:size, size:], price[size:, size:]
    z = (a + c) + 1j * (b.T - b)
    return np.asarray((z + z.conj().T) / 2, dtype=complex)


@dataclass(frozen=True)
class _Layout:
    """The Hermitian blocks that signals are made of, in the order of the vector of parts, and those that F depends on.

    Attributes
    ----------
    n_tx : side M_t of the radar and data blocks.
    size : side of the total blocks: D for joint signals, M_t otherwise.
    radar : (node, subcarriers) of each radar block, the same covariance on all of these subcarriers.
    comm : (node, user, subcarrier) of each data block.
    total : (nodes, subcarriers) of each total block, a mean over the subcarriers where they are several.
    """

    n_tx: int
    size: int
    radar: list[tuple[int, NDArray[np.intp]]]
    comm: list[tuple[int, int, int]]
    total: list[tuple[list[int], NDArray[np.intp]]]

    def radar_at(self, index: int) -> slice:
        """Coordinates of a radar block in the vector of parts."""
        return slice(index * self.n_tx**2, (index + 1) * self.n_tx**2)

    def comm_at(self, index: int) -> slice:
        """Coordinates of a data block in the vector of parts."""
        return self.radar_at(len(self.radar) + index)

    @property
    def n_parts(self) -> int:
        """Length of the vector of parts."""
        return (len(self.radar) + len(self.comm)) * self.n_tx**2

    @property
    def n_total(self) -> int:
        """Length of the vector of all total blocks."""
        return len(self.total) * self.size**2

    def total_at(self, index: int) -> slice:
        """Coordinates of a total block in the vector of all total blocks."""
        return slice(index * self.size**2, (index + 1) * self.size**2)

    def node_coordinates(self, node: int) -> NDArray[np.intp]:
        """Coordinates of the diagonal block of a node among those of a joint total block."""
        place = np.zeros((self.size, self.size), dtype=np.intp)
        rows, columns = np.triu_indices(self.size, 1)
        place[rows, columns] = self.size + np.arange(len(rows))
        first = node * self.n_tx
        rows, columns = np.triu_indices(self.n_tx, 1)
        real = place[first + rows, first + columns]
        n_upper = self.size * (self.size - 1) // 2
        return np.concatenate([first + np.arange(self.n_tx), real, real + n_upper])


def _layout(problem: RelaxedProblem) -> _Layout:
    s = problem.scenario
    serving = [(int(n), int(m)) for m, n in zip(*np.nonzero(problem.serves.T), strict=True)]
    comm = [(n, u, m) for n, m in serving for u in range(problem.n_constrained_users)]
    single = [(n, np.array([m])) for n, m in serving]
    common = [(n, np.flatnonzero(s.subcarrier_node == n)) for n in range(s.n_nodes)]
    all_nodes = list(range(s.n_nodes))
    match problem.signal:
        case "joint":
            total = [(all_nodes, np.array([m])) for m in range(s.n_subcarriers)]
            return _Layout(s.n_tx, s.n_nodes * s.n_tx, single, comm, total)
        case "block-diagonal" | "interleaved":
            return _Layout(s.n_tx, s.n_tx, single, comm, [([n], m) for n, m in single])
        case "beamforming":
            return _Layout(s.n_tx, s.n_tx, common, comm, [([n], m) for n, m in single])
        case "beamforming-averaged":
            return _Layout(s.n_tx, s.n_tx, common, comm, [([n], m) for n, m in common])


def covariance_variables(problem: RelaxedProblem) -> int:
    """Real scalars in the covariances R and R_c of a program; radar blocks R - sum R_c and epigraphs come on top."""
    layout = _layout(problem)
    return layout.n_total + len(layout.comm) * layout.n_tx**2


def _sums(layout: _Layout) -> tuple[csr_array, NDArray[np.intp]]:
    """Map from the parts to the diagonal blocks of the totals, radar plus (mean) data, and their places there."""
    size = layout.n_tx**2
    places: list[NDArray[np.intp]] = []
    columns: list[int] = []
    rows: list[int] = []
    weights: list[float] = []
    for index, (nodes, subcarriers) in enumerate(layout.total):
        for node in nodes:
            parts = [
                (layout.radar_at(i).start, 1.0)
                for i, (n, m) in enumerate(layout.radar)
                if n == node and subcarriers[0] in m
            ]
            data = [
                layout.comm_at(i).start for i, (n, _, m) in enumerate(layout.comm) if n == node and m in subcarriers
            ]
            for start, weight in (*parts, *((start, 1 / len(subcarriers)) for start in data)):
                rows.append(len(places) * size)
                columns.append(start)
                weights.append(weight)
            inside = np.arange(size) if len(nodes) == 1 else layout.node_coordinates(node)
            places.append(layout.total_at(index).start + inside)
    offsets = np.arange(size)
    entries = (np.repeat(weights, size), tuple((np.array(at)[:, None] + offsets).ravel() for at in (rows, columns)))
    return csr_array(entries, shape=(len(places) * size, layout.n_parts)), np.concatenate(places)


def _damping(problem: RelaxedProblem, layout: _Layout) -> ComplexArray:
    """(parts, M_t, M_t) Hermitian D with part = D part~ D: 1 / sqrt(Gamma) towards the users that the part disturbs.

    Signals keep less than about 1 / Gamma of their power in these directions. Damped, the parts have entries of order 1
    and the SINR constraints coefficients of order 1, without which a conic solver loses the digits that matter.
    """
    s = problem.scenario
    keep = max(1.0, problem.sinr) ** -0.5
    users = np.arange(problem.n_constrained_users)
    disturbed = [(n, m, users) for n, m in layout.radar]
    disturbed += [(n, np.array([m]), users[users != u]) for n, u, m in layout.comm]
    result = np.empty((len(disturbed), s.n_tx, s.n_tx), dtype=complex)
    for index, (node, subcarriers, victims) in enumerate(disturbed):
        result[index] = np.eye(s.n_tx)
        channels = s.channels[node][np.ix_(victims, subcarriers)].reshape(-1, s.n_tx).T
        if keep < 1 and 0 < channels.shape[1] < s.n_tx:
            basis, _ = np.linalg.qr(channels)
            result[index] -= (1 - keep) * basis @ basis.conj().T
    return result


def _congruence(damping: ComplexArray) -> csr_array:
    """Map from the coordinates of all damped parts to those of the parts."""
    basis = hermitian_basis(damping.shape[-1])
    size = damping.shape[-1]
    rows, columns = np.triu_indices(size, 1)
    blocks = []
    for matrix in damping:
        images = matrix @ basis @ matrix
        above = images[:, rows, columns]
        diagonal = np.real(np.einsum("kii->ki", images))
        blocks.append(np.concatenate([diagonal, above.real, above.imag], axis=1).T)
    return block_diag(blocks, format="csr")


@dataclass(frozen=True)
class _FisherMaps:
    """Information gathered by each receive node as a linear map of the blocks it depends on.

    Attributes
    ----------
    shape : indices of the S geometry parameters: positions and, in the nuisance modes, nuisance parameters that move
        the mean at all.
    amplitudes : (N, 2NK) indices of the amplitudes of each receive node.
    absent : (N, S + 2NK) 1 at amplitudes that depend on others and are left out, where the maps are 0, else 0.
    maps : (N, rows, coordinates) lower triangle of each node's information on its own S + 2NK parameters, geometry
        first.
    uniform : (P, P) F at R = I for every served block.
    """

    shape: NDArray[np.intp]
    amplitudes: NDArray[np.intp]
    absent: RealArray
    maps: RealArray
    uniform: RealArray

    def own(self, node: int) -> NDArray[np.intp]:
        """Parameters that receive node ``node`` tells something about."""
        return np.concatenate([self.shape, self.amplitudes[node]])


def _fisher_maps(problem: RelaxedProblem, layout: _Layout, operator: FisherOperator) -> _FisherMaps:
    """Maps of the information; averaged beamforming sends a node's block on each of its subcarriers."""
    s = problem.scenario
    n_positions, n_amplitudes = 2 * s.n_targets, s.n_nodes**2 * s.n_targets
    shape = np.r_[:n_positions, n_positions + 2 * n_amplitudes : operator.n_parameters]
    real = n_positions + np.arange(n_amplitudes).reshape(s.n_nodes, -1)
    amplitudes = np.concatenate([real, real + n_amplitudes], axis=1)
    derivatives = operator.derivatives()
    independent, independent_nuisance = independent_parameters(problem)
    kept = np.r_[np.ones(n_positions, dtype=bool), independent_nuisance]
    shape = shape[kept & np.any(derivatives[shape] != 0, axis=(1, 2, 3, 4))]
    absent = np.zeros((s.n_nodes, len(shape) + amplitudes.shape[1]))
    absent[:, len(shape) :] = np.tile(~independent.reshape(s.n_nodes, -1), 2)
    rows, columns = np.tril_indices(len(shape) + amplitudes.shape[1])
    maps = np.zeros((s.n_nodes, len(rows), layout.n_total))
    result = _FisherMaps(shape, amplitudes, absent, maps, np.zeros((operator.n_parameters, operator.n_parameters)))
    unit = np.tile(np.arange(layout.size**2) < layout.size, len(layout.total)).astype(float)
    for receiver in range(s.n_nodes):
        own = result.own(receiver)
        for index, (nodes, subcarriers) in enumerate(layout.total):
            antennas = slice(nodes[0] * s.n_tx, (nodes[-1] + 1) * s.n_tx)
            factors = derivatives[own, receiver][:, subcarriers, :, antennas].reshape(len(own), -1, layout.size)
            flat = factors.transpose(1, 0, 2).reshape(factors.shape[1], -1)
            products = (flat.conj().T @ flat).reshape(len(own), layout.size, len(own), layout.size)
            maps[receiver, :, layout.total_at(index)] = operator.scale * hermitian_coordinates(
                products[rows, :, columns]
            )
        left_out = absent[receiver].astype(bool)
        maps[receiver, left_out[rows] | left_out[columns]] = 0.0
        block = np.zeros((len(own), len(own)))
        block[rows, columns] = block[columns, rows] = maps[receiver] @ unit
        result.uniform[np.ix_(own, own)] += block
    return result


class _Information:
    """Inequalities that tie the total blocks to the bound, and the way back from their prices to Y."""

    def __init__(self, cp: Any, problem: RelaxedProblem, layout: _Layout, total: Any) -> None:
        s = problem.scenario
        operator = FisherOperator(s, problem.mode)
        self.fisher = _fisher_maps(problem, layout, operator)
        unit_power = s.tx_power / s.n_subcarriers
        uniform = self.fisher.uniform * unit_power
        diagonal = np.diag(uniform)
        self.scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        self.n_positions, self.n_shape = 2 * s.n_targets, len(self.fisher.shape)
        positions = self.scale[: self.n_positions]
        serves = np.repeat(problem.serves.T, s.n_tx, axis=1)
        equal: ComplexArray = np.asarray(
            unit_power * serves[:, :, None] * np.eye(s.n_nodes * s.n_tx), dtype=np.complex128
        )
        self.root_crb = np.sqrt(np.diag(crb_of_operator(operator, equal)))
        self.objective_scale = float(np.sum(self.root_crb**2))

        shape_rows, shape_columns = np.tril_indices(self.n_shape)
        gains = [cp.Variable(len(shape_rows)) for _ in range(s.n_nodes)]
        self.receivers = []
        for node in range(s.n_nodes):
            own_scale = self.scale[self.fisher.own(node)]
            rows, columns = np.tril_indices(len(own_scale))
            weights = self.fisher.maps[node] * (unit_power * own_scale[rows] * own_scale[columns])[:, None]
            weights[np.abs(weights) < 1e-14 * np.abs(weights).max()] = 0
            side = len(own_scale)
            information = _symmetric_placement(rows, columns, side) @ csr_array(weights)
            gain = _symmetric_placement(shape_rows, shape_columns, side)
            unit = np.diag(self.fisher.absent[node]).ravel()
            left = information @ total - gain @ gains[node] + unit
            self.receivers.append(cp.reshape(left, (side, side), order="C") >> 0)

        side = self.n_shape + self.n_positions
        bound_rows, bound_columns = np.tril_indices(self.n_positions)
        bound = cp.Variable(len(bound_rows))
        corner = np.zeros((side, side))
        position = np.arange(self.n_positions)
        corner[position, self.n_shape + position] = positions / self.root_crb
        joint = _symmetric_placement(shape_rows, shape_columns, side) @ sum(gains[1:], gains[0])
        joint += _symmetric_placement(bound_rows + self.n_shape, bound_columns + self.n_shape, side) @ bound
        self.joint = cp.reshape(joint + (corner + corner.T).ravel(), (side, side), order="C") >> 0
        weights = np.zeros(len(bound_rows))
        weights[bound_rows == bound_columns] = self.root_crb**2 / self.objective_scale
        self.objective = weights @ bound

    def weights(self) -> RealArray:
        """Y (P, 2K): its position rows from the joint price, those of the amplitudes from the receive nodes' prices."""
        result = np.zeros((len(self.scale), self.n_positions))
        shape = -np.asarray(self.joint.dual_value)[: self.n_shape, self.n_shape :] / self.root_crb
        result[self.fisher.shape] = self.objective_scale * shape
        project = shape @ np.linalg.inv(shape.T @ shape)
        for node, cone in enumerate(self.receivers):
            price = np.asarray(cone.dual_value)[self.n_shape :, : self.n_shape]
            present = 1 - self.fisher.absent[node, self.n_shape :, None]
            result[self.fisher.amplitudes[node]] = present * (price @ project)
        return self.scale[:, None] * result


def solve_with_cvxpy(problem: RelaxedProblem, solver: str, **options: Any) -> RelaxedSolution:
    """Solve one design problem by a general conic solver through CVXPY.

    Parameters
    ----------
    problem : what to solve; its SINR threshold must be feasible.
    solver : "clarabel", "scs" or "mosek".
    options : solver options in place of the defaults, by the solver's own names.

    Raises
    ------
    SolverFailure : the solver is missing or returned no point.
    """
    import cvxpy as cp

    started = time.perf_counter()
    s = problem.scenario
    layout = _layout(problem)
    unit_power = s.tx_power / s.n_subcarriers

    damping = _damping(problem, layout)
    congruence = _congruence(damping)
    damped, total = cp.Variable(layout.n_parts), cp.Variable(layout.n_total)
    sums, places = _sums(layout)
    keep = _selection(places, layout.n_total)
    information = _Information(cp, problem, layout, total)
    radar_cones = [_cone(cp, damped[layout.radar_at(i)], layout.n_tx) for i in range(len(layout.radar))]
    comm_cones = [_cone(cp, damped[layout.comm_at(i)], layout.n_tx) for i in range(len(layout.comm))]
    power_map = _power_map(problem, layout)
    power = power_map @ total <= np.ones(power_map.shape[0])
    constraints = [information.joint, *information.receivers, *radar_cones, *comm_cones, power]
    constraints.append(keep @ total == (sums @ congruence) @ damped)
    if problem.signal == "joint":
        constraints += [_cone(cp, total[layout.total_at(i)], layout.size) for i in range(len(layout.total))]
    if layout.comm:
        sinr_map, sinr_scale = _sinr_map(problem, layout)
        sinr = (sinr_map @ congruence) @ damped >= sinr_scale * s.noise_comm_per_subcarrier / unit_power
        constraints.append(sinr)
    limits = None
    if problem.sidelobes is not None and len(problem.sidelobes):
        limits = _SidelobeCones(
            cp, problem.sidelobes, s.n_subcarriers, _spectrum_map(problem, layout) @ congruence @ damped
        )
        constraints += [limits.link, limits.cone]
    program = cp.Problem(cp.Minimize(information.objective), constraints)
    status = _run(cp, program, solver, {**_OPTIONS[solver], **options})
    elapsed = time.perf_counter() - started
    solve_seconds = float(program.solver_stats.solve_time or 0.0)

    parts = congruence @ np.asarray(damped.value) * unit_power
    covariances, comm = _unpack(problem, layout, parts, np.asarray(total.value) * unit_power)
    price_unit = information.objective_scale / unit_power
    sinr_price = np.zeros((s.n_users, s.n_subcarriers))
    if layout.comm:
        sinr_price = price_unit * (np.asarray(sinr.dual_value) * sinr_scale).reshape(sinr_price.shape)
    split = None
    if problem.signal == "joint":
        split = np.zeros((s.n_nodes, s.n_subcarriers, s.n_tx, s.n_tx), dtype=complex)
        for index, (node, subcarriers) in enumerate(layout.radar):
            undo = np.linalg.inv(damping[index])
            price = from_embedding(np.asarray(radar_cones[index].dual_value))
            split[node, subcarriers[0]] = price_unit * undo @ price @ undo
    return RelaxedSolution(
        covariances=covariances,
        comm_covariances=comm,
        power_price=np.asarray(power.dual_value) * information.objective_scale / s.tx_power,
        sinr_price=sinr_price,
        fisher_weights=information.weights(),
        split_price=split,
        sidelobe_price=None if limits is None else price_unit * limits.price() / s.n_tx,
        status=status,
        iterations=int(program.solver_stats.num_iters or 0),
        solve_seconds=solve_seconds,
        compile_seconds=max(0.0, elapsed - solve_seconds),
    )


class _SidelobeCones:
    """Second-order cones (level r(0) - margin, Re r, Im r) of the autocorrelations of spectra given in units of M_t."""

    def __init__(self, cp: Any, limits: SidelobeLimits, n_subcarriers: int, spectra: Any, margin: Any = 0.0) -> None:
        n_targets = limits.steering.shape[1]
        waves = limits.waves(n_subcarriers)
        j, subcarrier = np.nonzero(waves)
        at = (limits.node[j] * n_targets + limits.target[j]) * n_subcarriers + subcarrier
        shape = (len(limits), len(limits.combs) * n_targets * n_subcarriers)
        values = waves[j, subcarrier]
        total, real, imaginary = (
            csr_array((entries, (j, at)), shape=shape) for entries in (np.ones(len(j)), values.real, values.imag)
        )
        self.spectra = cp.Variable(shape[1])
        self.link = self.spectra == spectra
        height = cp.multiply(limits.level[limits.node], total @ self.spectra) - margin
        self.cone = cp.SOC(height, cp.vstack([real @ self.spectra, imaginary @ self.spectra]), axis=0)

    def price(self) -> RealArray:
        """(J, 3) multipliers of the cones."""
        return _cone_price(self.cone)


def _spectrum_map(problem: RelaxedProblem, layout: _Layout) -> csr_array:
    """(N K L, parts) map to the power spectra a_t^T R_nn,l a_t^* towards the targets, over M_t."""
    assert problem.sidelobes is not None
    s, steering = problem.scenario, problem.sidelobes.steering
    outer = steering.conj()[..., :, None] * steering[..., None, :]
    toward = hermitian_coordinates(outer) / s.n_tx
    blocks = [(n, m, layout.radar_at(i)) for i, (n, subcarriers) in enumerate(layout.radar) for m in subcarriers]
    blocks += [(n, m, layout.comm_at(i)) for i, (n, _, m) in enumerate(layout.comm)]
    rows, columns, values = [], [], []
    inside = np.arange(s.n_tx**2)
    for n, m, at in blocks:
        for k in range(s.n_targets):
            rows.append(np.full(len(inside), (n * s.n_targets + k) * s.n_subcarriers + m))
            columns.append(at.start + inside)
            values.append(toward[n, k])
    shape = (s.n_nodes * s.n_targets * s.n_subcarriers, layout.n_parts)
    entries = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(values), entries), shape=shape)


@dataclass(frozen=True)
class SidelobeMargin:
    """The most room that power, SINR and sidelobe limits leave at once, and the prices that say why no more.

    Attributes
    ----------
    value : s with P_i <= (1 - s) P_T, SINR slack and noise in the ratio s, |r| <= level (r(0) - s r_0), r_0 that of
        P_T / L in every direction of the tones; negative when the limits exclude each other, by the solver's word.
    covariances, comm_covariances : (L, D, D) block diagonal and (N, U, L, M_t, M_t) that have the room.
    power_price, sinr_price, sidelobe_price : (N, M_t), (U, L) and (J, 3), any common scale.
    """

    value: float
    covariances: ComplexArray
    comm_covariances: ComplexArray
    power_price: RealArray
    sinr_price: RealArray
    sidelobe_price: RealArray


def sidelobe_margin(problem: RelaxedProblem, solver: str = "clarabel") -> SidelobeMargin:
    """Signals with the most room in all limits at once; nodes stay uncorrelated, which none of the limits sees.

    Parameters
    ----------
    problem : with sidelobe limits.
    """
    import cvxpy as cp

    limits = problem.sidelobes
    assert limits is not None
    if problem.signal == "joint":
        problem = replace(problem, signal="block-diagonal")
    elif problem.signal == "beamforming-averaged":
        problem = replace(problem, signal="beamforming")
    s = problem.scenario
    layout = _layout(problem)
    congruence = _congruence(_damping(problem, layout))
    damped, room = cp.Variable(layout.n_parts), cp.Variable()
    parts = congruence @ damped
    sums, places = _sums(layout)
    total = _selection(places, layout.n_total).T @ (sums @ parts)
    cones = [_cone(cp, damped[layout.radar_at(i)], layout.n_tx) for i in range(len(layout.radar))]
    cones += [_cone(cp, damped[layout.comm_at(i)], layout.n_tx) for i in range(len(layout.comm))]
    power = _power_map(problem, layout) @ total <= 1 - room
    unit_power = s.tx_power / s.n_subcarriers
    tones = np.array([len(comb.tones) for comb in limits.combs])[limits.node]
    sidelobes = _SidelobeCones(
        cp, limits, s.n_subcarriers, _spectrum_map(problem, layout) @ parts, limits.level[limits.node] * tones * room
    )
    constraints = [*cones, power, sidelobes.link, sidelobes.cone]
    if layout.comm:
        sinr_map, sinr_scale = _sinr_map(problem, layout)
        noise = sinr_scale * s.noise_comm_per_subcarrier / unit_power
        sinr = sinr_map @ parts >= noise + noise * room
        constraints.append(sinr)
    program = cp.Problem(cp.Maximize(room), constraints)
    _run(cp, program, solver, _OPTIONS[solver])
    covariances, comm = _unpack(
        problem, layout, congruence @ np.asarray(damped.value) * unit_power, np.asarray(total.value) * unit_power
    )
    sinr_price = np.zeros((s.n_users, s.n_subcarriers))
    if layout.comm:
        sinr_price = (np.asarray(sinr.dual_value) * sinr_scale).reshape(sinr_price.shape) / unit_power
    return SidelobeMargin(
        value=float(np.asarray(room.value)),
        covariances=covariances,
        comm_covariances=comm,
        power_price=np.asarray(power.dual_value).reshape(s.n_nodes, s.n_tx) / s.tx_power,
        sinr_price=sinr_price,
        sidelobe_price=sidelobes.price() / (unit_power * s.n_tx),
    )


def least_peak(waves: ComplexArray) -> tuple[RealArray, RealArray]:
    """Powers p >= 0 (n,) of sum 1 with the least max_j |sum_l p_l waves_jl|, and multipliers (J, 3) of the cones."""
    import cvxpy as cp

    return _least_peak(cp, waves)


def _least_peak(cp: Any, waves: ComplexArray) -> tuple[RealArray, RealArray]:
    powers, level = cp.Variable(waves.shape[1]), cp.Variable()
    height = cp.multiply(np.ones(len(waves)), level)
    cone = cp.SOC(height, cp.vstack([waves.real @ powers, waves.imag @ powers]), axis=0)
    program = cp.Problem(cp.Minimize(level), [cone, cp.sum(powers) == 1, powers >= 0])
    _run(cp, program, "clarabel", {**_OPTIONS["clarabel"], "tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11})
    return np.maximum(np.asarray(powers.value), 0.0), _cone_price(cone)


def _cone_price(cone: Any) -> RealArray:
    """(J, 3) multipliers of stacked second-order cones."""
    first, rest = cone.dual_value
    return np.column_stack([np.ravel(first), np.asarray(rest).reshape(2, -1).T])


def _selection(places: NDArray[np.intp], size: int) -> csr_array:
    """(len(places), size) map that picks entries."""
    return csr_array((np.ones(len(places)), (np.arange(len(places)), places)), shape=(len(places), size))


def _symmetric_placement(rows: NDArray[np.intp], columns: NDArray[np.intp], side: int) -> csr_array:
    """(side^2, len(rows)) map that writes entries of a triangle to both triangles of a flattened symmetric matrix."""
    entry = np.arange(len(rows))
    off = rows != columns
    flat = np.concatenate([rows * side + columns, (columns * side + rows)[off]])
    source = np.concatenate([entry, entry[off]])
    return csr_array((np.ones(len(flat)), (flat, source)), shape=(side * side, len(rows)))


def _cone(cp: Any, coordinates: Any, size: int) -> Any:
    """The constraint H(coordinates) >= 0."""
    return cp.reshape(real_embedding(size) @ coordinates, (2 * size, 2 * size), order="C") >> 0


def _power_map(problem: RelaxedProblem, layout: _Layout) -> csr_array:
    """(D, total coordinates) map to the power of each antenna as a share of P_T."""
    s = problem.scenario
    starts = np.array([layout.total_at(i).start for i in range(len(layout.total))])
    antennas = np.array([nodes[0] * s.n_tx for nodes, _ in layout.total])[:, None] + np.arange(layout.size)
    columns = starts[:, None] + np.arange(layout.size)
    shares = np.array([len(subcarriers) / s.n_subcarriers for _, subcarriers in layout.total])
    weights = np.broadcast_to(shares[:, None], columns.shape)
    shape = (s.n_nodes * s.n_tx, layout.n_total)
    return csr_array((weights.ravel(), (antennas.ravel(), columns.ravel())), shape=shape)


def _sinr_map(problem: RelaxedProblem, layout: _Layout) -> tuple[csr_array, RealArray]:
    """(U L, parts) map to the left sides of the SINR constraints, scaled, and their scales.

    The left side is sum_n h^H R_c h / Gamma minus the interference of radar and of the other users' data, so nothing
    cancels; the scale Gamma / (channel gain) gives the useful power a coefficient of 1 at any threshold and gain.
    """
    s = problem.scenario
    gain = np.sum(np.abs(s.channels) ** 2 * problem.serves[:, None, :, None], axis=(0, 3))
    scale = problem.sinr / gain
    outer = s.channels[..., :, None] * s.channels[..., None, :].conj()
    toward = hermitian_coordinates(outer) * scale[None, :, :, None]
    rows: list[int] = []
    starts: list[int] = []
    weights: list[RealArray] = []

    def add(user: int, subcarrier: int, at: slice, values: RealArray) -> None:
        rows.append(user * s.n_subcarriers + subcarrier)
        starts.append(at.start)
        weights.append(values)

    for u in range(s.n_users):
        for index, (n, i, m) in enumerate(layout.comm):
            useful = i == u and problem.sends_data[n, u, m]
            add(u, m, layout.comm_at(index), toward[n, u, m] * (1 / problem.sinr if useful else -1.0))
        for index, (n, subcarriers) in enumerate(layout.radar):
            for m in subcarriers:
                add(u, int(m), layout.radar_at(index), -toward[n, u, m])
    values = np.stack(weights)
    columns = np.array(starts)[:, None] + np.arange(values.shape[1])
    entries = (values.ravel(), (np.repeat(rows, values.shape[1]), columns.ravel()))
    return csr_array(entries, shape=(s.n_users * s.n_subcarriers, layout.n_parts)), scale.ravel()


def _run(cp: Any, program: Any, solver: str, options: dict[str, Any]) -> str:
    if solver.upper() not in cp.installed_solvers():
        raise SolverFailure(f"solver = {solver!r}: is not installed; found are {', '.join(cp.installed_solvers())}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program.solve(solver=solver.upper(), **options)
        except cp.error.SolverError as error:
            raise SolverFailure(f"solver = {solver!r}: {error}") from None
    if program.variables()[0].value is None:
        raise SolverFailure(f"solver = {solver!r}: no point, its status is {program.status}")
    return str(program.status)


def _unpack(
    problem: RelaxedProblem, layout: _Layout, parts: RealArray, total: RealArray
) -> tuple[ComplexArray, ComplexArray]:
    """Covariances (L, D, D) and data covariances (N, U, L, M_t, M_t) from the coordinates of parts and totals."""
    s = problem.scenario
    comm = np.zeros((s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx, s.n_tx), dtype=complex)
    basis = hermitian_basis(s.n_tx)
    for index, (n, u, m) in enumerate(layout.comm):
        comm[n, u, m] = np.tensordot(parts[layout.comm_at(index)], basis, 1)
    if problem.signal == "joint":
        blocks = total.reshape(s.n_subcarriers, layout.size**2)
        covariances: ComplexArray = np.tensordot(blocks, hermitian_basis(layout.size), 1)
        return covariances, comm
    covariances = np.zeros((s.n_subcarriers, s.n_nodes * s.n_tx, s.n_nodes * s.n_tx), dtype=complex)
    data = comm.sum(axis=1)
    for index, (n, subcarriers) in enumerate(layout.radar):
        own = slice(n * s.n_tx, (n + 1) * s.n_tx)
        radar = np.tensordot(parts[layout.radar_at(index)], basis, 1)
        covariances[subcarriers, own, own] = radar + data[n, subcarriers]
    return covariances, comm
