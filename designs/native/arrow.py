"""The Newton system in the prices, assembled in scaled coordinates and solved by arrow elimination.

Eliminating the primal steps leaves H = G^T (W x W) G + diag(2F, s_p / p, s_mu / mu), with G the slope of -S along the prices
(Y, p, lambda). Leaves are coupled only through the head (Y, p): every leaf is eliminated alone, in one batch. Blocks that many
leaves share would fill the leaf part; their scaled primal step is kept as a further head unknown instead.

In scaled coordinates a column of G is T^H (.) T. Q lives in the rho-dimensional span of ``field.basis``, so with the QR
factorization T^H basis = U K the Y columns are K b K^H, of rho^2 real coordinates instead of d^2, and an antenna or a form
V k V^H meets them only through U^H T^H e_a and U^H T^H V.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from disac.designs.native.cones import NesterovTodd, adjoint, smat, svec, upper_pairs
from disac.designs.native.saddle import BlockGroup, Prices, SaddleProblem, SharedBlock, Split

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]

REGULARIZATIONS = (1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10)
"""Relative enlargements of a diagonal that are tried in turn; iterative refinement makes up for them."""
CHUNK_ELEMENTS = 4_000_000
"""Largest number of real coordinates of Y columns formed at a time (32 MB)."""


def _outer_svec(left: ComplexArray, right: ComplexArray) -> tuple[RealArray, RealArray]:
    """svec of the Hermitian matrices z f g^H + h.c. for z = 1 and for z = -j, from f (..., n) and g (..., n)."""
    size = left.shape[-1]
    row, column, weight = upper_pairs(size)
    one = left[..., row] * (right[..., column].conj() * weight)
    two = left[..., column].conj() * (right[..., row] * weight)
    real, imag = one + two, one - two
    return (
        np.concatenate([real.real, real.imag[..., size:]], axis=-1),
        np.concatenate([imag.imag, -imag.real[..., size:]], axis=-1),
    )


def _square_svec(vectors: ComplexArray) -> RealArray:
    """svec of x x^H for vectors (..., n)."""
    size = vectors.shape[-1]
    row, column, weight = upper_pairs(size)
    half = vectors[..., row] * (vectors[..., column].conj() * weight)
    return np.concatenate([half.real, half.imag[..., size:]], axis=-1)


def _regularized_cholesky(matrices: RealArray) -> RealArray:
    """Lower Cholesky factors; diagonals are enlarged as little as it takes where rounding has made a matrix indefinite."""
    diagonal = np.arange(matrices.shape[-1])
    largest = np.abs(matrices[..., diagonal, diagonal])
    for relative in (0.0, *REGULARIZATIONS):
        enlarged = matrices.copy()
        enlarged[..., diagonal, diagonal] += relative * largest
        try:
            return np.linalg.cholesky(enlarged)
        except np.linalg.LinAlgError:
            continue
    raise np.linalg.LinAlgError("the Newton matrix is indefinite beyond rounding")


def _cholesky_solve(factor: RealArray, right: RealArray) -> RealArray:
    solution: RealArray = cho_solve((factor, True), right)
    return solution


def _triangular(matrices: ComplexArray) -> ComplexArray:
    """Triangular factor of the QR factorization."""
    factor: ComplexArray = np.linalg.qr(matrices, mode="r")  # type: ignore[assignment]
    return factor


def _y_index(problem: SaddleProblem) -> IndexArray:
    """(m, n_y) head index of the Y columns of each node set: geometry (S, C), Re b (N, a, C), Im b (N, a, C)."""
    field, sets = problem.field, problem.field.node_sets
    column = np.arange(problem.selection.shape[1]) * field.n_parameters
    geometry = np.broadcast_to(field.rows, (len(sets), len(field.rows)))
    rows = np.concatenate([geometry, sets.real.reshape(len(sets), -1), sets.imag.reshape(len(sets), -1)], axis=1)
    return (rows[:, :, None] + column).reshape(len(sets), -1)


def _mean_directions(problem: SaddleProblem, combined: ComplexArray) -> ComplexArray:
    """(m, n_y, rho, rho) derivatives of Q by the entries of Y, averaged over the sheets of each node set."""
    sets = problem.field.node_sets
    return np.stack([Directions.at(problem, combined, sets.sheets(i)).mean() for i in range(len(sets))])


@dataclass(frozen=True)
class Directions:
    """Derivatives b of Q by the entries of Y, compressed: dense for the geometry rows, f g^H for the links.

    Attributes
    ----------
    geometry : (A, S C, rho, rho) Hermitian.
    transmit : (A, N, a, 1, rho) f.
    received : (A, N, a, C, rho) g; b by Re b_link is f g^H + h.c., by Im b_link -j f g^H + h.c.
    """

    geometry: ComplexArray
    transmit: ComplexArray
    received: ComplexArray

    @classmethod
    def at(cls, problem: SaddleProblem, combined: ComplexArray, sheets: slice) -> Directions:
        """At Y given as ``field.combine(Y)``, on some sheets."""
        field = problem.field
        n_geometry = len(field.rows)
        y = combined[sheets]
        n_sheets, n_nodes, n_columns, n_rx, rho = y.shape
        own = field.stack[sheets, :, :n_geometry].transpose(0, 2, 1, 3, 4).reshape(n_sheets, n_geometry, 1, -1, rho)
        moved = y.transpose(0, 2, 1, 3, 4).reshape(n_sheets, 1, n_columns, n_nodes * n_rx, rho)
        geometry = adjoint(own) @ moved
        geometry = (geometry + adjoint(geometry)).reshape(n_sheets, -1, rho, rho)
        received = np.matmul(field.receive.conj()[None, :, :, None, None, :], y[:, :, None])[..., 0, :].conj()
        return cls(geometry, field.transmit[sheets][:, :, :, None, :], received)

    def mean(self) -> ComplexArray:
        """Mean over the sheets as dense Hermitian matrices (n_directions, rho, rho)."""
        n_sheets, rho = self.received.shape[0], self.received.shape[-1]
        outer = np.einsum("anlq,anlcr->nlcqr", self.transmit[..., 0, :], self.received.conj()).reshape(-1, rho, rho)
        outer /= n_sheets
        imag = -1j * outer
        return np.concatenate([self.geometry.mean(axis=0), outer + adjoint(outer), imag + adjoint(imag)])

    def columns(self, root: ComplexArray) -> RealArray:
        """svec of root b root^H for every block (A, B), shape (A, B, n_directions, rho^2)."""
        n_rows, n_members = root.shape[:2]
        rho = root.shape[-1]
        geometry = svec(root[:, :, None] @ self.geometry[:, None] @ adjoint(root)[:, :, None])
        left = self.transmit[:, None] @ root.swapaxes(-1, -2)[:, :, None, None]
        right = self.received[:, None] @ root.swapaxes(-1, -2)[:, :, None, None]
        real, imag = _outer_svec(left, right)
        flat = (n_rows, n_members, -1, rho * rho)
        return np.concatenate([geometry, real.reshape(flat), imag.reshape(flat)], axis=2)


@dataclass(frozen=True)
class LeafBasis:
    """Coordinates of the free prices in which the leaf equations are well scaled.

    zeta_n = K^-H zeta'_n K^-1 with K K^H = sum_u W_nu over the scalings of the shares that zeta_n is compared with: in
    these coordinates the W_nu sum to the identity, and a diagonal scaling, which Cholesky factors do not feel, does the rest.

    Attributes
    ----------
    root : (L, N, q, q) K^-H.
    n_inequalities : prices of a leaf that keep their coordinates.
    """

    root: ComplexArray
    n_inequalities: int

    @classmethod
    def from_scaling(cls, split: Split, shares: NesterovTodd, n_inequalities: int) -> LeafBasis:
        """Basis for the scaling of the group of shares."""
        n_nodes, q = split.columns.shape
        stacked = adjoint(shares.basis).reshape(-1, n_nodes, split.n_shares * q, q)
        return cls(np.linalg.inv(_triangular(stacked)), n_inequalities)

    def rows(self, leaf: RealArray) -> RealArray:
        """Right sides (L, s) in these coordinates."""
        return self._map(leaf, adjoint(self.root))

    def prices(self, leaf: RealArray) -> RealArray:
        """Prices (L, s) back in the original coordinates."""
        return self._map(leaf, self.root)

    def _map(self, leaf: RealArray, left: ComplexArray) -> RealArray:
        n_leaves, n_nodes, q, _ = left.shape
        own, free = leaf[:, : self.n_inequalities], leaf[:, self.n_inequalities :]
        moved = left @ smat(free.reshape(n_leaves, n_nodes, q * q)) @ adjoint(left)
        return np.concatenate([own, svec(moved).reshape(free.shape)], axis=1)


class NewtonSystem:
    """Factorized Newton matrix at one iterate.

    Parameters
    ----------
    problem : the problem.
    weights : Y.
    combined : ``field.combine(Y)``.
    fisher : F at the iterate's covariances.
    scalings : Nesterov-Todd scaling of every group, then of every shared block.
    power_diagonal, leaf_diagonal : s_p / p and s_mu / mu.

    Raises
    ------
    numpy.linalg.LinAlgError : the matrix is not positive definite in floating point.
    """

    def __init__(
        self,
        problem: SaddleProblem,
        weights: RealArray,
        combined: ComplexArray,
        fisher: RealArray,
        scalings: list[NesterovTodd],
        power_diagonal: RealArray,
        leaf_diagonal: RealArray,
    ) -> None:
        self._problem = problem
        self._combined = combined
        n_parameters, n_columns = weights.shape
        self._n_y = n_parameters * n_columns
        self._n_head = self._n_y + problem.n_antennas
        self._y_index = _y_index(problem)
        self._means = _mean_directions(problem, combined) if problem.shared else None
        n_leaves, n_prices = problem.thresholds.shape
        n_kept = sum(block.size**2 for block in problem.shared)
        self._border = np.zeros((n_leaves, n_prices, self._n_head + n_kept))
        self._leaf = np.zeros((n_leaves, n_prices, n_prices))
        self._head = np.zeros((self._n_head + n_kept,) * 2)
        for column in range(n_columns):
            own = slice(column * n_parameters, (column + 1) * n_parameters)
            self._head[own, own] = 2 * fisher
        antennas = np.arange(self._n_y, self._n_head)
        self._head[antennas, antennas] = power_diagonal
        inequality = np.arange(problem.n_inequalities)
        self._leaf[:, inequality, inequality] = leaf_diagonal
        self._leaf_basis = None if problem.split is None else LeafBasis.from_scaling(problem.split, scalings[1], problem.n_inequalities)
        vectors = [None if group.forms is None else group.forms.vectors for group in problem.groups]
        if problem.split is not None:
            assert self._leaf_basis is not None
            vectors = problem.split.rebased(vectors, self._leaf_basis.root)
        for group, scaling, own in zip(problem.groups, scalings, vectors, strict=False):
            self._add_group(group, scaling, own)
        start = self._n_head
        for block, scaling in zip(problem.shared, scalings[len(problem.groups) :], strict=True):
            self._add_shared(block, scaling, slice(start, start + block.size**2))
            start += block.size**2
        self._factorize()

    def _add_group(self, group: BlockGroup, scaling: NesterovTodd, vectors: ComplexArray | None) -> None:
        basis = scaling.basis
        if group.forms is not None:
            assert vectors is not None
            root = adjoint(basis) @ vectors
            if root.shape[-1] < root.shape[-2]:
                root = _triangular(root)
            forms = svec(root[:, :, None] @ group.forms.weights @ adjoint(root)[:, :, None])
            np.add.at(self._leaf, group.forms.leaf, (forms @ forms.swapaxes(-1, -2)).sum(axis=1))
        if group.senses and group.n_members:
            rho = self._problem.field.basis.shape[-1]
            per_row = group.n_members * self._y_index.shape[1] * rho * rho
            chunk = max(1, CHUNK_ELEMENTS // per_row)
            for first in range(0, group.n_rows, chunk):
                self._add_sensing(group, basis, vectors, slice(first, min(first + chunk, group.n_rows)))

    def _add_sensing(
        self, group: BlockGroup, basis: ComplexArray, vectors: ComplexArray | None, rows: slice
    ) -> None:
        """Contribution of some rows of blocks that enter F."""
        field, sets = self._problem.field, self._problem.field.node_sets
        t = basis[rows]
        orthonormal, root = np.linalg.qr(adjoint(t) @ field.basis[rows])
        if self._means is None or not self._problem.averaged:
            columns = Directions.at(self._problem, self._combined, rows).columns(root)
        else:
            own = self._means[sets.of_sheet[rows]][:, None]
            columns = svec(root[:, :, None] @ own @ adjoint(root)[:, :, None])
        reduced = adjoint(orthonormal) @ adjoint(t)
        antennas = _square_svec(reduced.swapaxes(-1, -2))
        metric = t @ adjoint(t)
        squares = (metric.real**2 + metric.imag**2).sum(axis=1)
        n_y, n_p = columns.shape[2], antennas.shape[2]
        border = np.zeros((len(t), 0, n_y + n_p))
        if group.forms is not None:
            assert vectors is not None
            seen = reduced @ vectors[rows]
            forms = svec(seen[:, :, None] @ group.forms.weights @ adjoint(seen)[:, :, None])
            at_antennas = metric @ vectors[rows]
            moved = at_antennas[:, :, None] @ group.forms.weights
            crossed = (moved * at_antennas.conj()[:, :, None]).sum(axis=-1).real.sum(axis=1)
            border = np.concatenate([(forms @ columns.swapaxes(-1, -2)).sum(axis=1), -crossed], axis=-1)
        for index in range(sets.of_sheet[rows.start], sets.of_sheet[rows.stop - 1] + 1):
            first = max(rows.start, int(sets.edges[index]))
            last = min(rows.stop, int(sets.edges[index + 1]))
            own_rows = slice(first - rows.start, last - rows.start)
            y, p = self._y_index[index], self._n_y + sets.antennas[index]
            flat = columns[own_rows].swapaxes(-1, -2).reshape(-1, n_y)
            crossed = flat.T @ antennas[own_rows].swapaxes(-1, -2).reshape(-1, n_p)
            self._head[np.ix_(y, y)] += flat.T @ flat
            self._head[np.ix_(y, p)] -= crossed
            self._head[np.ix_(p, y)] -= crossed.T
            self._head[np.ix_(p, p)] += squares[own_rows].sum(axis=0)
            if group.forms is not None:
                # a leaf occurs at most once among the rows of one node set
                leaf = group.forms.leaf[first:last, None, None]
                self._border[leaf, np.arange(border.shape[1])[:, None], np.r_[y, p]] += border[own_rows]

    def _add_shared(self, block: SharedBlock, scaling: NesterovTodd, own: slice) -> None:
        field, sets = self._problem.field, self._problem.field.node_sets
        assert self._means is not None
        count = sets.counts[block.node_set]
        t = scaling.basis
        root = adjoint(t) @ field.basis[sets.edges[block.node_set], 0]
        columns = count * svec(root @ self._means[block.node_set] @ adjoint(root))
        antennas = -count * _square_svec(t.conj())
        for index, coupling in (
            (self._y_index[block.node_set], columns),
            (self._n_y + sets.antennas[block.node_set], antennas),
        ):
            self._head[index, own] = coupling
            self._head[own, index] = coupling.T
        diagonal = np.arange(own.start, own.stop)
        self._head[diagonal, diagonal] = -1
        seen = (adjoint(t) @ block.vectors).swapaxes(-1, -2)
        self._border[block.leaf, :, own] += block.weights[:, None] * _square_svec(seen)

    def _factorize(self) -> None:
        n_leaves, n_prices, n_all = self._border.shape
        if n_prices:
            self._leaf_factor = _regularized_cholesky(self._leaf)
            self._eliminated = np.linalg.solve(self._leaf_factor, self._border)
            flat = self._eliminated.reshape(n_leaves * n_prices, n_all)
            self._head -= flat.T @ flat
        head, kept = slice(0, self._n_head), slice(self._n_head, n_all)
        if n_all > self._n_head:
            self._kept_factor = _regularized_cholesky(-self._head[kept, kept])
            self._kept_coupling = self._head[kept, head].copy()
            self._head[head, head] += self._kept_coupling.T @ _cholesky_solve(self._kept_factor, self._kept_coupling)
        self._head_factor = _regularized_cholesky(self._head[head, head])

    def solve(self, right: Prices) -> Prices:
        """Step H^-1 right."""
        n_all = self._border.shape[2]
        full = np.concatenate([right.weights.T.ravel(), right.power, np.zeros(n_all - self._n_head)])
        has_leaves = self._leaf.shape[1] > 0
        if has_leaves:
            rows = right.leaf if self._leaf_basis is None else self._leaf_basis.rows(right.leaf)
            reduced = np.linalg.solve(self._leaf_factor, rows[..., None])
            full -= np.tensordot(self._eliminated, reduced[..., 0], axes=([0, 1], [0, 1]))
        head, kept = full[: self._n_head], full[self._n_head :]
        if len(kept):
            kept = _cholesky_solve(self._kept_factor, kept)
            head = head + self._kept_coupling.T @ kept
        head = _cholesky_solve(self._head_factor, head)
        if len(kept):
            kept = _cholesky_solve(self._kept_factor, self._kept_coupling @ head) - kept
        leaf = np.zeros_like(right.leaf)
        if has_leaves:
            moved = reduced - (self._eliminated @ np.concatenate([head, kept]))[..., None]
            leaf = np.linalg.solve(self._leaf_factor.swapaxes(-1, -2), moved)[..., 0]
            if self._leaf_basis is not None:
                leaf = self._leaf_basis.prices(leaf)
        n_parameters, n_columns = right.weights.shape
        return Prices(head[: self._n_y].reshape(n_columns, n_parameters).T, head[self._n_y :], leaf)
