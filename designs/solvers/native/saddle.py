"""The saddle form that all designs share: blocks R_j >= 0 with linear maps to F, to antenna powers and to SINR slacks.

For F > 0, tr(E^T F^-1 E) = max_Y 2 tr(E^T Y) - tr(Y^T F Y), and tr(Y^T F(R) Y) = sum_j <Q_j(Y), R_j>. So

    min_R  tr(E^T F(R)^-1 E)      s.t.  sum_j power_a(R_j) <= P  (price p_a),   a_i(R) >= b_i or = b_i  (price lambda_i)

has the dual

    max    2 tr(E^T Y) - P sum_a p_a + sum_i b_i lambda_i
    s.t.   S_j = diag(w p)_j - Q_j(Y) - sum_i lambda_i A_ij >= 0   for every block j.

The prices lambda belong to subcarriers (the leaves of the arrow); Y and p belong to all (its head). Every A_ij is a
small Hermitian form V k_i V^H in a few vectors V, the users' channels. All quantities here are dimensionless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from disac.designs.solvers.native import kernels
from disac.designs.solvers.native.cones import adjoint, hermitian, overlap

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]
SPIN: ComplexArray = np.array([[[1, 0], [0, 1]], [[1, 0], [0, -1]], [[0, 1], [1, 0]]], dtype=np.complex128) / 2
"""C_0, C_1, C_2 with tr(C_i M) = c_i for M = c_0 I + c_1 sigma_z + c_2 sigma_x."""
Number = TypeVar("Number", np.float64, np.complex128)


@dataclass(frozen=True)
class NodeSets:
    """The sheets in runs, one per set of nodes that send on them, and what each set touches.

    Attributes
    ----------
    edges : (m + 1,) sheets edges[i] to edges[i + 1] belong to set i; no set is empty.
    antennas : (m, d) antennas in 0..N M_t - 1 of the blocks of each set.
    real, imag : (m, N, a) rows of Y that hold Re b and Im b of the a links from these nodes to every receive node.
    """

    edges: IndexArray
    antennas: IndexArray
    real: IndexArray
    imag: IndexArray

    def __len__(self) -> int:
        return len(self.antennas)

    @cached_property
    def counts(self) -> IndexArray:
        """(m,) sheets of each set."""
        return np.diff(self.edges)

    @cached_property
    def every_sheet(self) -> IndexArray:
        """(A,) the sheets in order."""
        return np.arange(self.edges[-1])

    @cached_property
    def of_sheet(self) -> IndexArray:
        """(A,) set of each sheet."""
        return np.repeat(np.arange(len(self)), self.counts)

    def sheets(self, index: int) -> slice:
        """Sheets of one set."""
        return slice(int(self.edges[index]), int(self.edges[index + 1]))

    def total(self, values: NDArray[Number]) -> NDArray[Number]:
        """Sums of (A, ...) over the sheets of each set."""
        return np.add.reduceat(values, self.edges[:-1], axis=0)


@dataclass(frozen=True)
class SensingField:
    """Derivatives of the received mean on A sheets, one per subcarrier and set of sending nodes, in compressed spaces.

    Receive antennas enter only through G^H G and are replaced by r rows; transmit antennas enter only through the span
    of the conjugate steering vectors and their slopes, of dimension rho, with orthonormal ``basis``: G = G' basis^H.

    Attributes
    ----------
    basis : (A, 1, d, rho) orthonormal columns.
    stack : (A, N, S + a, r, rho) G' per receive node: by positions (first 2K) and nuisance parameters, then by Re b of
        the a links to this node; the derivative by Im b is j times that by Re b.
    receive : (N, K, r) receive vectors.
    phase : (A, N, K) phase of the delay from target k to receive node n.
    transmit : (A, M, K, rho) conjugate transmit vectors f of the M sending nodes, phase of their delays included: with
        a = (m, k), G' by Re b is link_scale receive phase transmit^H.
    link_scale : (m, N, M, K) scale of the links of each node set.
    rows : (S,) rows of Y that belong to positions and nuisance parameters.
    node_sets : the runs of sheets.
    n_parameters : P.
    absent : (P,) 1 at amplitudes that depend on others and are left out, where F is 0, else 0.
    """

    basis: ComplexArray
    stack: ComplexArray
    receive: ComplexArray
    phase: ComplexArray
    transmit: ComplexArray
    link_scale: RealArray
    rows: IndexArray
    node_sets: NodeSets
    n_parameters: int
    absent: RealArray

    @cached_property
    def _local_rows(self) -> IndexArray:
        """(m, N, S + 2 a) rows of Y that move the mean at each receive node: geometry, Re b, Im b."""
        sets = self.node_sets
        geometry = np.broadcast_to(self.rows, (*sets.real.shape[:2], len(self.rows)))
        return np.concatenate([geometry, sets.real, sets.imag], axis=-1)

    @cached_property
    def _entries(self) -> IndexArray:
        """Flat index into F of all entries of all local information matrices."""
        local = self._local_rows
        return (local[..., :, None] * self.n_parameters + local[..., None, :]).ravel()

    @property
    def compiled(self) -> bool:
        """Whether the matrices are so small that compiled loops beat batches of matrix products."""
        return bool(self.basis.shape[-1] <= kernels.LARGEST_SPAN)

    @cached_property
    def flat_basis(self) -> ComplexArray:
        """(A, d, rho) contiguous basis."""
        return np.ascontiguousarray(self.basis[:, 0])

    @cached_property
    def y_index(self) -> IndexArray:
        """(m, n_y) position in Y, column by column, of what moves the mean of each node set.

        The order is that of :func:`disac.designs.solvers.native.kernels.directions`: geometry (S, C),
        Re b (N, a, C), Im b.
        """
        sets = self.node_sets
        column = np.arange(2 * self.receive.shape[1]) * self.n_parameters
        geometry = np.broadcast_to(self.rows, (len(sets), len(self.rows)))
        rows = np.concatenate([geometry, sets.real.reshape(len(sets), -1), sets.imag.reshape(len(sets), -1)], axis=1)
        index: IndexArray = (rows[:, :, None] + column).reshape(len(sets), -1)
        return index

    def compress(self, matrices: ComplexArray) -> ComplexArray:
        """basis^H M basis of block matrices (A, B, d, d)."""
        return adjoint(self.basis) @ matrices @ self.basis

    def fisher(self, grams: ComplexArray) -> RealArray:
        """F (P, P) from compressed covariances (A, rho, rho)."""
        sets = self.node_sets
        if self.compiled:
            return kernels.information(
                self.stack, grams, self.rows, sets.real, sets.imag, sets.of_sheet, self.n_parameters
            )
        n_sheets, n_nodes, n_local, n_rx, rho = self.stack.shape
        moved = (self.stack.reshape(n_sheets, -1, rho) @ grams).reshape(n_sheets, n_nodes, n_local, n_rx * rho)
        products = self.node_sets.total(self.stack.reshape(moved.shape).conj() @ moved.swapaxes(-1, -2))
        n_geometry = len(self.rows)
        upper = np.concatenate([products.real, -products.imag[..., n_geometry:]], axis=-1)
        lower = np.concatenate([products.imag, products.real[..., n_geometry:]], axis=-1)
        local = np.concatenate([upper, lower[..., n_geometry:, :]], axis=-2)
        size = self.n_parameters
        information = np.bincount(self._entries, local.ravel(), size * size).reshape(size, size)
        return (information + information.T) / 2

    def combine(self, weights: RealArray) -> ComplexArray:
        """G'(y_c) = sum_p y_pc G'_p for the columns of Y (P, C), shape (A, N, C, r, rho)."""
        n_sheets, n_nodes, n_local, n_rx, rho = self.stack.shape
        sets = self.node_sets
        if self.compiled:
            return kernels.combine(weights, self.rows, sets.real, sets.imag, sets.of_sheet, self.stack)
        local = np.empty((len(sets), n_nodes, n_local, weights.shape[1]), dtype=complex)
        local[:, :, : len(self.rows)] = weights[self.rows]
        local[:, :, len(self.rows) :] = weights[sets.real] + 1j * weights[sets.imag]
        combined = local.swapaxes(-1, -2)[sets.of_sheet] @ self.stack.reshape(n_sheets, n_nodes, n_local, n_rx * rho)
        return combined.reshape(n_sheets, n_nodes, -1, n_rx, rho)

    def curvature(self, combined: ComplexArray) -> ComplexArray:
        """Q(Y) = sum_c sum_n G'(y_c)^H G'(y_c) on every sheet (A, rho, rho), from :meth:`combine`."""
        rows = combined.reshape(len(combined), -1, combined.shape[-1])
        return adjoint(rows) @ rows

    def curvature_slope(self, combined: ComplexArray, step: ComplexArray) -> ComplexArray:
        """Derivative of Q(Y) along a step of Y, both given through :meth:`combine`."""
        rows = combined.reshape(len(combined), -1, combined.shape[-1])
        return 2 * hermitian(adjoint(rows) @ step.reshape(rows.shape))


@dataclass(frozen=True)
class Forms:
    """Hermitian forms V k_i V^H of the leaf prices on the blocks of one group.

    Attributes
    ----------
    vectors : (A, 1, d, v) V, or (A, B, d, v) where it differs between members.
    weights : (B, s, v, v) Hermitian k_i for the s prices of a leaf, per member.
    leaf : (A,) leaf of each row of blocks.
    """

    vectors: ComplexArray
    weights: ComplexArray
    leaf: IndexArray

    def add_lifted(self, matrices: ComplexArray, prices: RealArray) -> None:
        """Add sum_i lambda_i A_i for prices (L, s) to every block (A, B, d, d)."""
        if self.compiled:
            kernels.add_forms(matrices, self.vectors, self.weights, self.leaf, prices)
            return
        inner = np.tensordot(prices[self.leaf], self.weights, axes=(1, 1))
        matrices += self.vectors @ inner @ adjoint(self.vectors)

    @property
    def compiled(self) -> bool:
        """Whether the matrices are so small that compiled loops beat batches of matrix products."""
        size, width = self.vectors.shape[-2:]
        return bool(size <= kernels.LARGEST_BLOCK and width <= kernels.LARGEST_SPAN)

    def add_gradient(self, values: RealArray, matrices: ComplexArray) -> None:
        """Add <A_i, M>, summed over the members, to the values (L, s) of the leaves."""
        if self.compiled:
            kernels.add_form_values(values, self.vectors, self.weights, self.leaf, matrices)
            return
        seen = adjoint(self.vectors) @ matrices @ self.vectors
        n_rows, n_members, v, _ = seen.shape
        flat = self.weights.transpose(0, 3, 2, 1).reshape(n_members * v * v, -1)
        np.add.at(values, self.leaf, (seen.reshape(n_rows, -1) @ flat).real)


@dataclass(frozen=True)
class Split:
    """Equalities that tie shares C_nu of the second group to the first: V_n^H R V_n = sum_u C_nu for every node n.

    Their prices are Hermitian matrices zeta_n, the free prices of a leaf in svec coordinates, node by node.

    Attributes
    ----------
    columns : (N, q) columns of the first group's vectors that are V_n; in the second group the identity comes first.
    n_shares : shares of each node; member n * n_shares + u of the second group is C_nu.
    """

    columns: IndexArray
    n_shares: int

    def rebased(self, vectors: Sequence[ComplexArray], roots: ComplexArray) -> list[ComplexArray]:
        """Vectors of both groups with V_n G_n for V_n, G (L, N, q, q); zeta_n becomes G_n^-1 zeta_n G_n^-H."""
        q = self.columns.shape[1]
        whole, shares = (own.copy() for own in vectors)
        for node, columns in enumerate(self.columns):
            members = slice(node * self.n_shares, (node + 1) * self.n_shares)
            whole[..., columns] = whole[..., columns] @ roots[:, node, None]
            shares[:, members, :, :q] = shares[:, members, :, :q] @ roots[:, node, None]
        return [whole, shares]


@dataclass(frozen=True)
class BlockGroup:
    """PSD blocks of one size, (A, B) in number: A rows with one leaf each and B members per row.

    Attributes
    ----------
    size : d.
    n_rows, n_members : A and B.
    forms : the leaf prices on these blocks; None without prices.
    senses : whether the blocks enter F and the antenna powers, on the sheets of the field, A = number of sheets.
    """

    size: int
    n_rows: int
    n_members: int
    forms: Forms | None
    senses: bool


@dataclass(frozen=True)
class SharedGroup:
    """One PSD block per node set that is the same on all its sheets, with multiplicity their number.

    Attributes
    ----------
    vectors : (A, d, s) and
    weights : (s,) of the rank-one forms w_i v_i v_i^H of the s prices of the leaf of each sheet.
    leaf : (A,) leaf of each sheet.
    """

    vectors: ComplexArray
    weights: RealArray
    leaf: IndexArray

    @property
    def size(self) -> int:
        """Block size d."""
        return int(self.vectors.shape[1])

    @cached_property
    def forms(self) -> Forms:
        """The same forms, as those of one block per sheet."""
        index = np.arange(len(self.weights))
        weights = np.zeros((1, *(len(index),) * 3), dtype=complex)
        weights[0, index, index, index] = self.weights
        return Forms(np.ascontiguousarray(self.vectors)[:, None], weights, self.leaf)

    def lift(self, prices: RealArray, sets: NodeSets) -> ComplexArray:
        """sum_i lambda_i A_i, (m, d, d), for prices (L, s)."""
        matrices = np.zeros((len(self.leaf), 1, self.size, self.size), dtype=complex)
        self.forms.add_lifted(matrices, prices)
        return sets.total(matrices[:, 0])

    def add_gradient(self, values: RealArray, matrices: ComplexArray, sets: NodeSets) -> None:
        """Add <A_i, M>, from (m, d, d), to the values (L, s) of the leaves."""
        self.forms.add_gradient(values, matrices[sets.of_sheet][:, None])


@dataclass(frozen=True)
class Cones:
    """Second-order cones (c_0, c_1, c_2)(R), c_0 >= |(c_1, c_2)|, of J limits across the sheets.

    c_i(R) = sum_a sum_v c_iav f_av^H R_a f_av with R_a the sum of all blocks sensed on sheet a. The cone is that of the
    real 2 x 2 matrices M = c_0 I + c_1 sigma_z + c_2 sigma_x >= 0, so every limit has a PSD block M of its own, in the
    last group, and three free prices z in the head, after those of the antennas, of the rows tr(C_i M) = c_i(R).

    Attributes
    ----------
    vectors : (A, d, V) f.
    coefficients : (3 J, A, V) c, limit by limit.
    """

    vectors: ComplexArray
    coefficients: RealArray

    def __len__(self) -> int:
        return len(self.coefficients)

    @cached_property
    def flat(self) -> RealArray:
        """(3 J, A V) coefficients."""
        return self.coefficients.reshape(len(self), -1)

    def values(self, matrices: ComplexArray) -> RealArray:
        """c(R) of sums of blocks (A, d, d), (3 J,)."""
        seen = np.real(np.sum(self.vectors.conj() * (matrices @ self.vectors), axis=1))
        values: RealArray = self.flat @ seen.ravel()
        return values

    def lift(self, prices: RealArray) -> ComplexArray:
        """sum_i z_i c_iav f f^H, (A, d, d)."""
        weights = (prices @ self.flat).reshape(len(self.vectors), 1, -1)
        return (self.vectors * weights) @ adjoint(self.vectors)

    @staticmethod
    def coordinates(matrices: ComplexArray) -> RealArray:
        """tr(C_i M) of matrices (J, 1, 2, 2), (3 J,)."""
        coordinates: RealArray = np.real(np.einsum("jkl,ilk->ji", matrices[:, 0], SPIN)).ravel()
        return coordinates

    @staticmethod
    def matrices(prices: RealArray) -> ComplexArray:
        """sum_i z_i C_i of prices (3 J,), (J, 1, 2, 2)."""
        return np.ascontiguousarray(np.tensordot(prices.reshape(-1, 1, 3), SPIN, axes=(2, 0)))


@dataclass(frozen=True)
class Blocks:
    """One Hermitian matrix per block of a problem.

    Attributes
    ----------
    groups : per group (A, B, d, d).
    shared : none, or the matrices (m, d, d) of the shared group.
    """

    groups: tuple[ComplexArray, ...]
    shared: tuple[ComplexArray, ...]

    def __iter__(self) -> Iterator[ComplexArray]:
        yield from self.groups
        yield from self.shared

    def squares(self) -> Blocks:
        """L L^H of every factor L."""
        return self.map(lambda factor: hermitian(factor @ adjoint(factor)))

    def map(self, function: Callable[..., ComplexArray], *others: Iterable[object]) -> Blocks:
        """``function`` of each matrix array and its partners in ``others``."""
        results = [function(*items) for items in zip(self, *others, strict=True)]
        return Blocks(tuple(results[: len(self.groups)]), tuple(results[len(self.groups) :]))


@dataclass(frozen=True)
class Prices:
    """Dual variables other than S: a point, a step or a gradient.

    Attributes
    ----------
    weights : (P, 2K) Y.
    power : (N M_t + 3 J,) p, then the free z of the cones.
    leaf : (L, s) lambda; the first ``n_inequalities`` columns are prices mu >= 0, the rest are free.
    """

    weights: RealArray
    power: RealArray
    leaf: RealArray

    def __add__(self, other: Prices) -> Prices:
        return Prices(self.weights + other.weights, self.power + other.power, self.leaf + other.leaf)

    def __sub__(self, other: Prices) -> Prices:
        return Prices(self.weights - other.weights, self.power - other.power, self.leaf - other.leaf)

    def __mul__(self, factor: float) -> Prices:
        return Prices(self.weights * factor, self.power * factor, self.leaf * factor)


@dataclass(frozen=True)
class Iterate:
    """A point in the interior of all cones.

    Attributes
    ----------
    primal, dual : factors L with R = L L^H and S = L L^H.
    prices : (Y, p, lambda).
    power_slack, leaf_slack : (N M_t,) and (L, n_inequalities) positive slacks of the power and SINR constraints.
    """

    primal: Blocks
    dual: Blocks
    prices: Prices
    power_slack: RealArray
    leaf_slack: RealArray

    def covariances(self) -> Blocks:
        """R."""
        return self.primal.squares()

    def dual_matrices(self) -> Blocks:
        """S."""
        return self.dual.squares()

    def complementarity(self, n_inequalities: int) -> float:
        """Sum of the products tr(R S), p s_p and lambda s_lambda."""
        blocks = sum(overlap(primal, dual) for primal, dual in zip(self.primal, self.dual, strict=True))
        leaves = float(np.sum(self.prices.leaf[:, :n_inequalities] * self.leaf_slack))
        return blocks + leaves + float(self.prices.power[: len(self.power_slack)] @ self.power_slack)


@dataclass(frozen=True)
class SaddleProblem:
    """One design problem in the form of the module docstring, dimensionless.

    Attributes
    ----------
    field : derivatives on the sheets.
    averaged : F sees on every sheet the mean over its node set (P.3) instead of the sheet's own covariance.
    groups, shared : the blocks; at most one shared group, with one block per node set.
    selection : (P, 2K) E.
    power_limit : P, the same for every antenna.
    thresholds : (L, s) b; the rows of the equalities are 0.
    n_inequalities : prices of each leaf that belong to inequalities.
    interior : (s,) change of a leaf's prices that adds the identity to S of every block outside F.
    split : the equalities of the leaves, if any; then there are two groups.
    n_antennas : N M_t.
    cones : limits across the sheets, if any; their blocks are the last group.
    """

    field: SensingField
    averaged: bool
    groups: tuple[BlockGroup, ...]
    shared: tuple[SharedGroup, ...]
    selection: RealArray
    power_limit: float
    thresholds: RealArray
    n_inequalities: int
    interior: RealArray
    n_antennas: int
    split: Split | None = None
    cones: Cones | None = None

    @cached_property
    def limits(self) -> RealArray:
        """(N M_t + 3 J,) right sides of the power limits and of the rows of the cones."""
        n_rows = 0 if self.cones is None else len(self.cones)
        return np.concatenate([np.full(self.n_antennas, self.power_limit), np.zeros(n_rows)])

    @property
    def degree(self) -> int:
        """Degree of the barrier: sum of block sizes and number of inequalities."""
        blocks = sum(g.size * g.n_rows * g.n_members for g in self.groups) + sum(
            len(self.field.node_sets) * b.size for b in self.shared
        )
        return int(blocks + self.n_antennas + len(self.thresholds) * self.n_inequalities)

    def spread(self, sheets: ComplexArray) -> ComplexArray:
        """The mean over each node set, on each of its sheets, if F is averaged; else ``sheets``."""
        if not self.averaged:
            return sheets
        sets = self.field.node_sets
        return (sets.total(sheets) / sets.counts[:, None, None])[sets.of_sheet]

    def fisher(self, covariances: Blocks) -> RealArray:
        """F (P, P) of block matrices."""
        grams = np.zeros((len(self.field.basis), *(self.field.basis.shape[-1],) * 2), dtype=complex)
        sets, compiled = self.field.node_sets, self.field.compiled
        for group, matrices in zip(self.groups, covariances.groups, strict=True):
            if group.senses and compiled:
                kernels.add_compressed(self.field.flat_basis, matrices, sets.every_sheet, grams)
            elif group.senses:
                grams += self.field.compress(matrices).sum(axis=1)
        for matrices in covariances.shared:
            if compiled:
                kernels.add_compressed(self.field.flat_basis, matrices[:, None], sets.of_sheet, grams)
                continue
            basis = self.field.basis[sets.edges[:-1], 0]
            grams += (adjoint(basis) @ matrices @ basis)[sets.of_sheet]
        return self.field.fisher(self.spread(grams))

    def power(self, covariances: Blocks) -> RealArray:
        """Power of each antenna, summed over subcarriers, then tr(C_i M) - c_i(R) of the cones (N M_t + 3 J,)."""
        sets = self.field.node_sets
        power = np.zeros(len(self.limits))
        for group, matrices in zip(self.groups, covariances.groups, strict=True):
            if group.senses:
                kernels.add_power(power, matrices, sets.antennas[sets.of_sheet])
        for matrices in covariances.shared:
            kernels.add_power(power, sets.counts[:, None, None, None] * matrices[:, None], sets.antennas)
        if self.cones is not None:
            own = self.cones.coordinates(covariances.groups[-1])
            power[self.n_antennas :] = own - self.cones.values(self.sensed(covariances))
        return power

    def sensed(self, covariances: Blocks) -> ComplexArray:
        """(A, d, d) sums of all blocks sensed on each sheet."""
        sets = self.field.node_sets
        size = sets.antennas.shape[1]
        total = np.zeros((len(sets.of_sheet), size, size), dtype=complex)
        for group, matrices in zip(self.groups, covariances.groups, strict=True):
            if group.senses:
                total += matrices.sum(axis=1)
        for matrices in covariances.shared:
            total += matrices[sets.of_sheet]
        return total

    def forms(self, covariances: Blocks) -> RealArray:
        """Values a_i(R) of the leaf constraints (L, s)."""
        values = np.zeros_like(self.thresholds)
        for group, matrices in zip(self.groups, covariances.groups, strict=True):
            if group.forms is not None:
                group.forms.add_gradient(values, matrices)
        for shared, matrices in zip(self.shared, covariances.shared, strict=True):
            shared.add_gradient(values, matrices, self.field.node_sets)
        return values

    def lift(self, curvature: ComplexArray, prices: Prices) -> Blocks:
        """-S, that is Q_j - diag(w p)_j + sum_i lambda_i A_ij on every block, from Q on the sheets (A, rho, rho).

        Cones add sum_i z_i c_i to the blocks on the sheets, and leave -sum_i z_i C_i on their own.
        """
        sets = self.field.node_sets
        power = prices.power[sets.antennas]
        sheets = self._on_blocks(sets.every_sheet, self.spread(curvature), power[sets.of_sheet])
        pulled = None
        if self.cones is not None:
            pulled = self.cones.lift(prices.power[self.n_antennas :])
            sheets = sheets + pulled
        groups = []
        for group in self.groups:
            shape = (group.n_rows, group.n_members, group.size, group.size)
            matrices = np.zeros(shape, dtype=complex)
            if group.senses:
                matrices += sheets[:, None]
            if group.forms is not None:
                group.forms.add_lifted(matrices, prices.leaf)
            groups.append(hermitian(matrices))
        if self.cones is not None:
            groups[-1] = -self.cones.matrices(prices.power[self.n_antennas :])
        lifted = []
        for shared in self.shared:
            first = sets.edges[:-1]
            total, price = sets.total(curvature), sets.counts[:, None] * power
            matrices = self._on_blocks(first, total, price) + shared.lift(prices.leaf, sets)
            if pulled is not None:
                matrices += sets.total(pulled)
            lifted.append(hermitian(matrices))
        return Blocks(tuple(groups), tuple(lifted))

    def _on_blocks(self, sheets: IndexArray, curvature: ComplexArray, power: RealArray) -> ComplexArray:
        """basis Q basis^H - diag(p) on the blocks of some sheets, (a, d, d), from (a, rho, rho) and (a, d)."""
        field = self.field
        if field.compiled:
            compiled: ComplexArray = kernels.sensed(field.flat_basis, sheets, curvature, power)
            return compiled
        basis = field.basis[sheets, 0]
        matrices: ComplexArray = basis @ curvature @ adjoint(basis)
        diagonal = np.arange(matrices.shape[-1])
        matrices[:, diagonal, diagonal] -= power
        return matrices

    def curvature(self, weights: RealArray) -> Blocks:
        """Q_j(Y) on every block."""
        prices = Prices(weights, np.zeros(len(self.limits)), np.zeros_like(self.thresholds))
        return self.lift(self.field.curvature(self.field.combine(weights)), prices)

    def slacks(self, prices: Prices) -> Blocks:
        """S_j = diag(w p)_j - Q_j(Y) - sum_i lambda_i A_ij."""
        curvature = self.field.curvature(self.field.combine(prices.weights))
        return self.lift(curvature, prices).map(np.negative)

    def slope(self, combined: ComplexArray, step: Prices) -> Blocks:
        """Derivative of -S along a step of the prices, at Y given as ``field.combine(Y)``."""
        slope = self.field.curvature_slope(combined, self.field.combine(step.weights))
        return self.lift(slope, step)

    def gradient(self, weights: RealArray, matrices: Blocks) -> Prices:
        """Adjoint of :meth:`slope` at Y: (2 F(M) Y, -power(M), a(M))."""
        return Prices(2 * self.fisher(matrices) @ weights, -self.power(matrices), self.forms(matrices))
