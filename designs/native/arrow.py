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
from scipy.linalg import cho_factor, cho_solve

from disac.designs.native.cones import NesterovTodd, adjoint, svec, upper_pairs
from disac.designs.native.saddle import BlockGroup, NodeSet, Prices, SaddleProblem, SharedBlock

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]

CHUNK_ELEMENTS = 4_000_000
"""Largest number of real coordinates of Y columns formed at a time (32 MB)."""


def y_index(node_set: NodeSet, rows: IndexArray, n_parameters: int, n_columns: int) -> IndexArray:
    """Head index of the Y columns of one node set: geometry (S, C), Re b (N, a, C), Im b (N, a, C); head index c P + row."""
    column = np.arange(n_columns) * n_parameters
    parts = (rows, node_set.real.ravel(), node_set.imag.ravel())
    return np.concatenate([(part[:, None] + column).ravel() for part in parts])


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
        n_sheets, n_nodes, n_links, n_columns, rho = self.received.shape
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
        for group, scaling in zip(problem.groups, scalings, strict=False):
            self._add_group(group, scaling)
        start = self._n_head
        for block, scaling in zip(problem.shared, scalings[len(problem.groups) :], strict=True):
            self._add_shared(block, scaling, slice(start, start + block.size**2))
            start += block.size**2
        self._factorize()

    def _add_group(self, group: BlockGroup, scaling: NesterovTodd) -> None:
        basis = scaling.basis
        if group.forms is not None:
            seen = adjoint(basis) @ group.forms.vectors
            if seen.shape[-1] > seen.shape[-2]:
                root = seen
            else:
                root = np.linalg.qr(seen, mode="r")
            forms = svec(root[:, :, None] @ group.forms.weights @ adjoint(root)[:, :, None])
            np.add.at(self._leaf, group.forms.leaf, (forms @ forms.swapaxes(-1, -2)).sum(axis=1))
        if group.senses:
            for node_set in self._problem.field.node_sets:
                self._add_sensing(group, basis, node_set)

    def _add_sensing(self, group: BlockGroup, basis: ComplexArray, node_set: NodeSet) -> None:
        field = self._problem.field
        n_columns = self._problem.selection.shape[1]
        y = y_index(node_set, field.rows, field.n_parameters, n_columns)
        p = self._n_y + node_set.antennas
        averaged = (
            Directions.at(self._problem, self._combined, node_set.sheets).mean() if self._problem.averaged else None
        )
        rho = field.basis.shape[-1]
        rows_per_chunk = max(1, CHUNK_ELEMENTS // (max(group.n_members, 1) * len(y) * rho * rho))
        yy = np.zeros((len(y), len(y)))
        yp = np.zeros((len(y), len(p)))
        pp = np.zeros((len(p), len(p)))
        for first in range(node_set.sheets.start, node_set.sheets.stop, rows_per_chunk):
            rows = slice(first, min(first + rows_per_chunk, node_set.sheets.stop))
            t = basis[rows]
            orthonormal, root = np.linalg.qr(adjoint(t) @ field.basis[rows])
            if averaged is None:
                columns = Directions.at(self._problem, self._combined, rows).columns(root)
            else:
                columns = svec(root[:, :, None] @ averaged @ adjoint(root)[:, :, None])
            reduced = adjoint(orthonormal) @ adjoint(t)
            antennas = _square_svec(reduced.swapaxes(-1, -2))
            flat = columns.swapaxes(-1, -2).reshape(-1, len(y))
            yy += flat.T @ flat
            yp += flat.T @ antennas.swapaxes(-1, -2).reshape(-1, len(p))
            metric = t @ adjoint(t)
            pp += (metric.real**2 + metric.imag**2).sum(axis=(0, 1))
            if group.forms is not None:
                seen = reduced @ group.forms.vectors[rows]
                forms = svec(seen[:, :, None] @ group.forms.weights @ adjoint(seen)[:, :, None])
                border = np.zeros((rows.stop - rows.start, forms.shape[2], len(y) + len(p)))
                border[..., : len(y)] = (forms @ columns.swapaxes(-1, -2)).sum(axis=1)
                at_antennas = metric @ group.forms.vectors[rows]
                moved = at_antennas[:, :, None] @ group.forms.weights
                border[..., len(y) :] = -(moved * at_antennas.conj()[:, :, None]).sum(axis=-1).real.sum(axis=1)
                leaf = group.forms.leaf[rows]
                index = np.r_[y, p]
                # every leaf occurs once among the rows of one node set
                self._border[leaf[:, None, None], np.arange(forms.shape[2])[:, None], index] += border
        self._head[np.ix_(y, y)] += yy
        self._head[np.ix_(y, p)] -= yp
        self._head[np.ix_(p, y)] -= yp.T
        self._head[np.ix_(p, p)] += pp

    def _add_shared(self, block: SharedBlock, scaling: NesterovTodd, own: slice) -> None:
        field = self._problem.field
        node_set = field.node_sets[block.node_set]
        y = y_index(node_set, field.rows, field.n_parameters, self._problem.selection.shape[1])
        p = self._n_y + node_set.antennas
        t = scaling.basis
        root = adjoint(t) @ field.basis[node_set.sheets.start, 0]
        mean = Directions.at(self._problem, self._combined, node_set.sheets).mean()
        columns = node_set.n_sheets * svec(root @ mean @ adjoint(root))
        antennas = -node_set.n_sheets * _square_svec(t.conj())
        for index, coupling in ((y, columns), (p, antennas)):
            self._head[index, own] = coupling
            self._head[own, index] = coupling.T
        diagonal = np.arange(own.start, own.stop)
        self._head[diagonal, diagonal] = -1
        seen = (adjoint(t) @ block.vectors).swapaxes(-1, -2)
        self._border[block.leaf, :, own] += block.weights[:, None] * _square_svec(seen)

    def _factorize(self) -> None:
        n_leaves, n_prices, n_all = self._border.shape
        if n_prices:
            self._leaf_factor = np.linalg.cholesky(self._leaf)
            self._eliminated = np.linalg.solve(self._leaf_factor, self._border)
            flat = self._eliminated.reshape(n_leaves * n_prices, n_all)
            self._head -= flat.T @ flat
        head, kept = slice(0, self._n_head), slice(self._n_head, n_all)
        if n_all > self._n_head:
            self._kept_factor = cho_factor(-self._head[kept, kept], lower=True)
            self._kept_coupling = self._head[kept, head].copy()
            self._head[head, head] += self._kept_coupling.T @ cho_solve(self._kept_factor, self._kept_coupling)
        self._head_factor = cho_factor(self._head[head, head], lower=True)

    def solve(self, right: Prices) -> Prices:
        """Step H^-1 right."""
        n_all = self._border.shape[2]
        full = np.concatenate([right.weights.T.ravel(), right.power, np.zeros(n_all - self._n_head)])
        has_leaves = self._leaf.shape[1] > 0
        if has_leaves:
            reduced = np.linalg.solve(self._leaf_factor, right.leaf[..., None])
            full -= np.tensordot(self._eliminated, reduced[..., 0], axes=([0, 1], [0, 1]))
        head, kept = full[: self._n_head], full[self._n_head :]
        if len(kept):
            kept = cho_solve(self._kept_factor, kept)
            head = head + self._kept_coupling.T @ kept
        head = cho_solve(self._head_factor, head)
        if len(kept):
            kept = cho_solve(self._kept_factor, self._kept_coupling @ head) - kept
        leaf = np.zeros_like(right.leaf)
        if has_leaves:
            moved = reduced - (self._eliminated @ np.concatenate([head, kept]))[..., None]
            leaf = np.linalg.solve(adjoint(self._leaf_factor), moved)[..., 0]
        n_parameters, n_columns = right.weights.shape
        return Prices(head[: self._n_y].reshape(n_columns, n_parameters).T, head[self._n_y :], leaf)
