"""P.1, P.2 and P.3 as semidefinite programs for CVXPY: the oracle that other solvers are compared with.

One joint linear matrix inequality [[F, E], [E^T, Z]] >= 0 takes the place of the 2K of Eq. (23b). A Hermitian matrix is a
real vector of its diagonal and of the real and imaginary parts above it, so it is Hermitian by construction, and its cone
is that of the real symmetric matrix [[Re, -Im], [Im, Re]]. All maps are sparse matrices of those vectors: the model has a
handful of expressions whatever the number of subcarriers.

Scaling: R by P_T / L, F by its diagonal at uniform power, the objective by the CRB at uniform power.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disac.designs.fisher import FisherOperator
from disac.designs.relaxed import RelaxedProblem, RelaxedSolution

if TYPE_CHECKING:
    from scipy.sparse import csr_array

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_OPTIONS: dict[str, dict[str, Any]] = {
    "clarabel": {"accept_unknown": True},
    "scs": {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 20_000},
    "mosek": {},
}


class SolverFailure(RuntimeError):
    """A solver gave no point at all, or is not installed or licensed."""


@cache
def hermitian_basis(size: int) -> ComplexArray:
    """(size^2, size, size) matrices H_k with R = sum_k x_k H_k: diagonal, real parts above it, imaginary parts above it."""
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
    from scipy.sparse import csr_array

    basis = hermitian_basis(size)
    embedded = np.block([[basis.real, -basis.imag], [basis.imag, basis.real]])
    return csr_array(embedded.reshape(size * size, -1).T)


def from_embedding(price: RealArray) -> ComplexArray:
    """Hermitian Z with Re tr(Z H) = tr(price [[Re H, -Im H], [Im H, Re H]]), for the dual of a real symmetric cone."""
    size = len(price) // 2
    a, b, c = price[:size, :size], price[:size, size:], price[size:, size:]
    z = (a + c) + 1j * (b.T - b)
    hermitian: ComplexArray = (z + z.conj().T) / 2
    return hermitian


@dataclass(frozen=True)
class _Layout:
    """Where each Hermitian block sits in the vector of variables.

    Attributes
    ----------
    size : side of the blocks that the Fisher information depends on: D for joint signals, M_t otherwise.
    total : (node, subcarrier) of those blocks; node is -1 for joint, subcarrier is -1 for averaged beamforming.
    comm : (node, user, subcarrier) of the data blocks.
    radar : nodes with a radar block common to their subcarriers.
    """

    size: int
    n_tx: int
    total: list[tuple[int, int]]
    comm: list[tuple[int, int, int]]
    radar: list[int]

    @property
    def n_total(self) -> int:
        return len(self.total) * self.size**2

    @property
    def n_comm(self) -> int:
        return len(self.comm) * self.n_tx**2

    @property
    def n_variables(self) -> int:
        return self.n_total + self.n_comm + len(self.radar) * self.n_tx**2

    def total_at(self, index: int) -> slice:
        return slice(index * self.size**2, (index + 1) * self.size**2)

    def comm_at(self, index: int) -> slice:
        start = self.n_total + index * self.n_tx**2
        return slice(start, start + self.n_tx**2)

    def radar_at(self, index: int) -> slice:
        start = self.n_total + self.n_comm + index * self.n_tx**2
        return slice(start, start + self.n_tx**2)


def _layout(problem: RelaxedProblem) -> _Layout:
    s = problem.scenario
    serving = [(int(n), int(m)) for m, n in zip(*np.nonzero(problem.serves.T), strict=True)]
    comm = [(n, u, m) for n, m in serving for u in range(problem.n_constrained_users)]
    nodes = list(range(s.n_nodes))
    match problem.signal:
        case "joint":
            return _Layout(s.n_nodes * s.n_tx, s.n_tx, [(-1, m) for m in range(s.n_subcarriers)], comm, [])
        case "block-diagonal" | "interleaved":
            return _Layout(s.n_tx, s.n_tx, serving, comm, [])
        case "beamforming":
            return _Layout(s.n_tx, s.n_tx, serving, comm, nodes)
        case "beamforming-averaged":
            return _Layout(s.n_tx, s.n_tx, [(n, -1) for n in nodes], comm, nodes)


def _fisher_map(problem: RelaxedProblem, layout: _Layout, operator: FisherOperator) -> tuple[RealArray, RealArray]:
    """Lower triangle of F by the coordinates of the blocks it depends on, and F at R = I for every served block.

    Averaged beamforming: the block is the mean covariance of the node, sent on each of its subcarriers.
    """
    s = problem.scenario
    derivatives = operator.derivatives()
    n_parameters = operator.n_parameters
    rows, columns = np.tril_indices(n_parameters)
    maps = np.empty((len(rows), layout.n_total))

    def contributions(node: int, subcarrier: int) -> RealArray:
        own = slice(None) if node < 0 else slice(node * s.n_tx, (node + 1) * s.n_tx)
        factors = derivatives[:, :, subcarrier, :, own].reshape(n_parameters, -1, layout.size)
        flat = factors.transpose(1, 0, 2).reshape(factors.shape[1], -1)
        products = (flat.conj().T @ flat).reshape(n_parameters, layout.size, n_parameters, layout.size)
        # tr(G_p^H G_q R): rows of G_p^H G_q belong to p.
        return operator.scale * hermitian_coordinates(products[rows, :, columns, :])

    for index, (node, subcarrier) in enumerate(layout.total):
        if subcarrier >= 0:
            maps[:, layout.total_at(index)] = contributions(node, subcarrier)
        else:
            own = np.flatnonzero(s.subcarrier_node == node)
            maps[:, layout.total_at(index)] = sum(contributions(node, int(m)) for m in own)
    unit = np.tile(np.concatenate([np.ones(layout.size), np.zeros(layout.size**2 - layout.size)]), len(layout.total))
    uniform = np.empty((n_parameters, n_parameters))
    uniform[rows, columns] = uniform[columns, rows] = maps @ unit
    return maps, uniform


def _sum_of_comm(layout: _Layout, node: int, subcarriers: NDArray[np.intp], share: float) -> csr_array:
    """Map from the variables to share * sum of the data blocks of one node on some subcarriers, all users."""
    from scipy.sparse import csr_array

    size = layout.n_tx**2
    blocks = [i for i, (n, _, m) in enumerate(layout.comm) if n == node and m in subcarriers]
    columns = np.concatenate([np.arange(size) + layout.comm_at(i).start for i in blocks] or [np.empty(0, dtype=int)])
    rows = np.tile(np.arange(size), len(blocks))
    return csr_array((np.full(len(rows), share), (rows, columns)), shape=(size, layout.n_variables))


def _node_block(layout: _Layout, index: int, node: int) -> csr_array:
    """Map from the variables to the coordinates of the diagonal block of a node in a total block."""
    from scipy.sparse import csr_array

    if layout.size == layout.n_tx:
        coordinates = np.arange(layout.size**2)
    else:
        basis = hermitian_basis(layout.size)
        own = slice(node * layout.n_tx, (node + 1) * layout.n_tx)
        inside = basis[:, own, own].reshape(len(basis), -1)
        coordinates = np.flatnonzero(np.any(inside, axis=1))
        order = np.argmax(
            np.abs(hermitian_basis(layout.n_tx).reshape(layout.n_tx**2, -1).conj() @ inside[coordinates].T), axis=1
        )
        coordinates = coordinates[order]
    columns = coordinates + layout.total_at(index).start
    size = layout.n_tx**2
    return csr_array((np.ones(size), (np.arange(size), columns)), shape=(size, layout.n_variables))


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
    from scipy.sparse import csr_array

    started = time.perf_counter()
    s = problem.scenario
    operator = FisherOperator(s, problem.mode)
    layout = _layout(problem)
    n_parameters, n_positions = operator.n_parameters, 2 * s.n_targets
    unit_power = s.tx_power / s.n_subcarriers

    maps, uniform = _fisher_map(problem, layout, operator)
    uniform = uniform * unit_power
    scale = 1 / np.sqrt(np.diag(uniform))
    root_crb = scale[:n_positions] * np.sqrt(
        np.diag(np.linalg.inv(uniform * scale[:, None] * scale[None, :]))[:n_positions]
    )
    objective_scale = float(np.sum(root_crb**2))
    rows, columns = np.tril_indices(n_parameters)
    maps *= (unit_power * scale[rows] * scale[columns])[:, None]

    x = cp.Variable(layout.n_variables)
    side = n_parameters + n_positions
    z_rows, z_columns = np.tril_indices(n_positions)
    z = cp.Variable(len(z_rows))
    fisher = csr_array(np.where(np.abs(maps) > 1e-14 * np.abs(maps).max(), maps, 0))
    place_fisher = _symmetric_placement(rows, columns, side)
    place_bound = _symmetric_placement(z_rows + n_parameters, z_columns + n_parameters, side)
    corner = np.zeros((side, side))
    position = np.arange(n_positions)
    corner[position, n_parameters + position] = corner[n_parameters + position, position] = (
        scale[:n_positions] / root_crb
    )
    joint = cp.reshape(
        (place_fisher @ fisher) @ x[: layout.n_total] + place_bound @ z + corner.ravel(), (side, side), order="C"
    )
    lmi = joint >> 0

    comm_cones = [_cone(cp, x[layout.comm_at(i)], layout.n_tx) for i in range(len(layout.comm))]
    total_cones = [
        _cone(cp, x[layout.total_at(i)], layout.size) for i in range(len(layout.total)) if layout.size > layout.n_tx
    ]
    radar_cones = [_cone(cp, x[layout.radar_at(i)], layout.n_tx) for i in range(len(layout.radar))]
    split_cones, equalities = _splits(cp, problem, layout, x)

    power_map = _power_map(problem, layout)
    power = power_map @ x <= np.ones(power_map.shape[0])
    constraints = [lmi, power, *comm_cones, *total_cones, *radar_cones, *split_cones.values(), *equalities]
    sinr = None
    if layout.comm:
        sinr_map, sinr_scale = _sinr_map(problem, layout)
        sinr = sinr_map @ x >= sinr_scale * s.noise_comm_per_subcarrier / unit_power
        constraints.append(sinr)
    weights = np.zeros(len(z_rows))
    weights[z_rows == z_columns] = root_crb**2 / objective_scale
    program = cp.Problem(cp.Minimize(weights @ z), constraints)
    status = _run(cp, program, solver, {**_OPTIONS[solver], **options})
    elapsed = time.perf_counter() - started
    solve_seconds = float(program.solver_stats.solve_time or 0.0)

    coordinates = x.value * unit_power
    covariances, comm = _unpack(problem, layout, coordinates)
    dual = np.asarray(lmi.dual_value)
    cross = dual[:n_parameters, n_parameters:]
    prices = np.zeros((s.n_users, s.n_subcarriers))
    if sinr is not None:
        prices = (np.asarray(sinr.dual_value) * sinr_scale).reshape(s.n_users, s.n_subcarriers)
    split = np.zeros((s.n_nodes, s.n_subcarriers, s.n_tx, s.n_tx), dtype=complex)
    for (node, subcarrier), constraint in split_cones.items():
        split[node, subcarrier] = from_embedding(np.asarray(constraint.dual_value)) * objective_scale / unit_power
    return RelaxedSolution(
        covariances=covariances,
        comm_covariances=comm,
        power_price=np.asarray(power.dual_value) * objective_scale / s.tx_power,
        sinr_price=prices * objective_scale / unit_power,
        fisher_weights=-objective_scale * scale[:, None] * cross / root_crb,
        split_price=split if problem.signal == "joint" else None,
        status=status,
        iterations=int(program.solver_stats.num_iters or 0),
        solve_seconds=solve_seconds,
        compile_seconds=max(0.0, elapsed - solve_seconds),
    )


def _symmetric_placement(rows: NDArray[np.intp], columns: NDArray[np.intp], side: int) -> csr_array:
    """(side^2, len(rows)) map that writes entries of a triangle to both triangles of a flattened symmetric matrix."""
    from scipy.sparse import csr_array

    entry = np.arange(len(rows))
    off = rows != columns
    flat = np.concatenate([rows * side + columns, (columns * side + rows)[off]])
    source = np.concatenate([entry, entry[off]])
    return csr_array((np.ones(len(flat)), (flat, source)), shape=(side * side, len(rows)))


def _cone(cp: Any, coordinates: Any, size: int) -> Any:
    """The constraint H(coordinates) >= 0."""
    return cp.reshape(real_embedding(size) @ coordinates, (2 * size, 2 * size), order="C") >> 0


def _splits(cp: Any, problem: RelaxedProblem, layout: _Layout, x: Any) -> tuple[dict[tuple[int, int], Any], list[Any]]:
    """R_nn,l - sum_u R_c >= 0 per served block, or its equality form where the radar covariance is a variable."""
    s = problem.scenario
    cones: dict[tuple[int, int], Any] = {}
    equalities = []
    for index, (node, subcarrier) in enumerate(layout.total):
        if layout.radar:
            own = np.flatnonzero(s.subcarrier_node == node) if subcarrier < 0 else np.array([subcarrier])
            comm = _sum_of_comm(layout, node, own, 1 / len(own))
            equalities.append(x[layout.total_at(index)] == x[layout.radar_at(layout.radar.index(node))] + comm @ x)
            continue
        for n in range(s.n_nodes) if node < 0 else (node,):
            rest = _node_block(layout, index, n) - _sum_of_comm(layout, n, np.array([subcarrier]), 1.0)
            cones[n, subcarrier] = _cone(cp, rest @ x, layout.n_tx)
    return cones, equalities


def _power_map(problem: RelaxedProblem, layout: _Layout) -> csr_array:
    """(D, variables) map to the power of each antenna as a share of P_T."""
    from scipy.sparse import csr_array

    s = problem.scenario
    rows, columns, weights = [], [], []
    for index, (node, subcarrier) in enumerate(layout.total):
        first = 0 if node < 0 else node * s.n_tx
        repeats = 1 if subcarrier >= 0 else int(np.sum(s.subcarrier_node == node))
        for i in range(layout.size):
            rows.append(first + i)
            columns.append(layout.total_at(index).start + i)
            weights.append(repeats / s.n_subcarriers)
    return csr_array((weights, (rows, columns)), shape=(s.n_nodes * s.n_tx, layout.n_variables))


def _sinr_map(problem: RelaxedProblem, layout: _Layout) -> tuple[csr_array, RealArray]:
    """(U L, variables) map to the left sides of the SINR constraints, scaled, and their scales.

    The scale Gamma / (1 + Gamma) / (mean channel gain) keeps the coefficients near 1 at any threshold and channel gain.
    """
    from scipy.sparse import lil_array

    s = problem.scenario
    serves = problem.serves
    gain = np.sum(np.abs(s.channels) ** 2 * serves[:, None, :, None], axis=(0, 3))
    scale = problem.sinr / (1 + problem.sinr) / gain
    outer = s.channels[..., :, None] * s.channels[..., None, :].conj()
    toward = hermitian_coordinates(outer) * scale[None, :, :, None]
    result = lil_array((s.n_users * s.n_subcarriers, layout.n_variables))

    def add(user: int, subcarrier: int, at: slice, weights: RealArray) -> None:
        row = user * s.n_subcarriers + subcarrier
        result[[row], at] = result[[row], at].toarray() + weights

    for index, (n, i, m) in enumerate(layout.comm):
        add(i, m, layout.comm_at(index), (1 + 1 / problem.sinr) * toward[n, i, m])
        if layout.radar:
            for u in range(s.n_users):
                add(u, m, layout.comm_at(index), -toward[n, u, m])
    for u in range(s.n_users):
        if layout.radar:
            for m, n in enumerate(s.subcarrier_node):
                add(u, m, layout.radar_at(layout.radar.index(int(n))), -toward[n, u, m])
        else:
            for index, (node, m) in enumerate(layout.total):
                if node >= 0:
                    add(u, m, layout.total_at(index), -toward[node, u, m])
                    continue
                spread = np.zeros((layout.size, layout.size), dtype=complex)
                for n in range(s.n_nodes):
                    own = slice(n * s.n_tx, (n + 1) * s.n_tx)
                    spread[own, own] = scale[u, m] * outer[n, u, m]
                add(u, m, layout.total_at(index), -hermitian_coordinates(spread))
    return result.tocsr(), scale.ravel()


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


def _unpack(problem: RelaxedProblem, layout: _Layout, coordinates: RealArray) -> tuple[ComplexArray, ComplexArray]:
    """Covariances (L, D, D) and data covariances (N, U, L, M_t, M_t) of a vector of variables."""
    s = problem.scenario
    comm = np.zeros((s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx, s.n_tx), dtype=complex)
    small, large = hermitian_basis(s.n_tx), hermitian_basis(layout.size)
    for index, (n, u, m) in enumerate(layout.comm):
        comm[n, u, m] = np.tensordot(coordinates[layout.comm_at(index)], small, 1)
    covariances = np.zeros((s.n_subcarriers, s.n_nodes, s.n_tx, s.n_nodes, s.n_tx), dtype=complex)
    if layout.radar:
        radar = {n: np.tensordot(coordinates[layout.radar_at(i)], small, 1) for i, n in enumerate(layout.radar)}
        for m, n in enumerate(s.subcarrier_node):
            covariances[m, n, :, n, :] = radar[int(n)] + comm[n, :, m].sum(axis=0)
    else:
        for index, (n, m) in enumerate(layout.total):
            block = np.tensordot(coordinates[layout.total_at(index)], large, 1)
            if n < 0:
                covariances[m] = block.reshape(s.n_nodes, s.n_tx, s.n_nodes, s.n_tx)
            else:
                covariances[m, n, :, n, :] = block
    return covariances.reshape(s.n_subcarriers, s.n_nodes * s.n_tx, -1), comm
