"""The Newton system in the prices, assembled in scaled coordinates and solved by arrow elimination.

Eliminating the primal steps leaves H = G^T (W x W) G + diag(2F, s_p / p, s_mu / mu), with G the slope of -S along the
prices (Y, p, lambda). Leaves are coupled only through the head (Y, p): every leaf is eliminated alone, in one batch.
Blocks that many leaves share would fill the leaf part; their scaled primal step is kept as a further head unknown.

In scaled coordinates a column of G is T^H (.) T. Q lives in the rho-dimensional span of ``field.basis``, so with the QR
factorization T^H basis = U K the Y columns are K b K^H, of rho^2 real coordinates instead of d^2, and an antenna or a
form V k V^H meets them only through U^H T^H e_a and U^H T^H V.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrs

from disac.designs.solvers.native import kernels
from disac.designs.solvers.native.cones import NesterovTodd, adjoint, smat, svec
from disac.designs.solvers.native.directions import DenseDirections, Directions, square_svec
from disac.designs.solvers.native.saddle import (
    SPIN,
    BlockGroup,
    Cones,
    NodeSets,
    Prices,
    SaddleProblem,
    SharedGroup,
    Split,
)

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]

REGULARIZATIONS = (1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10)
"""Relative enlargements of a diagonal that are tried in turn; iterative refinement makes up for them."""
NO_VECTORS = np.zeros((0, 0, 0, 0), dtype=complex)
NO_WEIGHTS = np.zeros((0, 0, 0, 0), dtype=complex)
NO_LEAVES = np.zeros(0, dtype=np.intp)
CHUNK_BLOCKS = 256
"""Largest number of blocks whose contributions are formed at a time."""


def _regularized_cholesky(matrices: RealArray) -> RealArray:
    """Lower Cholesky factors; diagonals are enlarged as little as it takes where rounding made a matrix indefinite."""
    diagonal = np.arange(matrices.shape[-1])
    largest = np.abs(matrices[..., diagonal, diagonal])
    for relative in (0.0, *REGULARIZATIONS):
        enlarged = matrices.copy()
        enlarged[..., diagonal, diagonal] += relative * largest
        try:
            return np.asarray(np.linalg.cholesky(enlarged), dtype=np.float64)
        except np.linalg.LinAlgError:
            continue
    raise np.linalg.LinAlgError("the Newton matrix is indefinite beyond rounding")


def _cholesky_solve(factor: RealArray, right: RealArray) -> RealArray:
    solution: RealArray = dpotrs(factor, right, lower=1)[0]
    return solution


def _batch_solve(factors: RealArray, right: RealArray) -> RealArray:
    """A^-1 B of a batch."""
    if factors.shape[-1] == 1:
        return right / factors
    return np.asarray(np.linalg.solve(factors, right), dtype=np.float64)


def _triangular(matrices: ComplexArray) -> ComplexArray:
    """Triangular factor of the QR factorization."""
    factor: ComplexArray = np.linalg.qr(matrices, mode="r")  # type: ignore[assignment]
    return factor


def _chunks(sets: NodeSets, most: int) -> Iterator[slice]:
    """Runs of at most ``most`` sheets, at least one: all sheets of some equally large node sets, or part of one set."""
    index = 0
    while index < len(sets):
        count = int(sets.counts[index])
        together = 1
        while (
            index + together < len(sets)
            and sets.counts[index + together] == count
            and (together + 1) * count <= max(most, 1)
        ):
            together += 1
        start, stop = int(sets.edges[index]), int(sets.edges[index + together])
        step = stop - start if together > 1 else max(most, 1)
        for first in range(start, stop, step):
            yield slice(first, min(first + step, stop))
        index += together


def _mean_directions(problem: SaddleProblem, combined: ComplexArray) -> ComplexArray:
    """(m, n_y, rho, rho) derivatives of Q by the entries of Y, averaged over the sheets of each node set."""
    chunks = _chunks(problem.field.node_sets, len(combined))
    return np.concatenate([Directions.at(problem, combined, rows).mean() for rows in chunks])


@dataclass(frozen=True)
class LeafBasis:
    """Coordinates of the free prices in which the leaf equations are well scaled.

    zeta_n = K^-H zeta'_n K^-1 with K K^H = sum_u W_nu over the scalings of the shares that zeta_n is compared with: in
    these coordinates the W_nu sum to the identity, and a diagonal scaling, to which Cholesky factors are indifferent,
    does the rest.

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
        return cls(np.asarray(np.linalg.inv(_triangular(stacked)), dtype=np.complex128), n_inequalities)

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


class KeptSteps:
    """Elimination of the scaled primal step of one shared block, which couples the leaves and prices of its node set.

    With leaves eliminated, its rows of the Newton matrix are -(I + E^T E) and C - E^T E_head, where E are the
    eliminated rows that couple leaves to it and C couples it to the head.

    Parameters
    ----------
    own : (h,) head prices of the node set.
    leaves : (A,) its leaves.
    border : (A, s, d^2) rows of their prices.
    coupling : (d^2, h) C.
    """

    def __init__(self, own: IndexArray, leaves: IndexArray, border: RealArray, coupling: RealArray) -> None:
        self._own, self._leaves = own, leaves
        self._eliminated = border
        self._coupling = coupling

    def eliminate_leaves(self, leaf_factor: RealArray, eliminated: RealArray) -> None:
        """Take the Cholesky factors of the leaves and the rows (L, s, n_head) that they leave of the head."""
        self._eliminated = _batch_solve(leaf_factor[self._leaves], self._eliminated)
        rows = eliminated[self._leaves][..., self._own].reshape(-1, len(self._own))
        self._coupling = self._coupling - self._flat.T @ rows

    @property
    def _flat(self) -> RealArray:
        return self._eliminated.reshape(-1, len(self._coupling))

    def factorize(self, head: RealArray) -> None:
        """Eliminate from the head matrix."""
        self._factor, self._reduced = kernels.eliminate_kept(
            self._flat, self._coupling, self._own, head, REGULARIZATIONS[0]
        )

    def reduce(self, leaves: RealArray, head: RealArray) -> None:
        """Eliminate from a right side, of which ``leaves`` (L, s) are eliminated already."""
        self._right = -kernels.forward(self._factor, leaves[self._leaves].ravel() @ self._flat)
        head[self._own] += self._right @ self._reduced

    def substitute(self, head: RealArray, leaves: RealArray) -> None:
        """Take the step's share out of the leaf rows, given the head of a solution."""
        step = kernels.backward(self._factor, self._reduced @ head[self._own] - self._right)
        leaves[self._leaves] -= (self._flat @ step).reshape(len(self._leaves), -1)


class NewtonSystem:
    """Factorized Newton matrix at one iterate.

    Parameters
    ----------
    problem : the problem.
    weights : Y.
    combined : ``field.combine(Y)``.
    fisher : F at the iterate's covariances.
    scalings : Nesterov-Todd scaling of every group, then of the shared group.
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
        self._n_head = self._n_y + len(problem.limits)
        field, sets = problem.field, problem.field.node_sets
        self._y_index = field.y_index
        self._slopes = kernels.directions(field.stack, combined, len(field.rows)) if field.compiled else None
        self._means: ComplexArray | None = None
        if problem.shared and self._slopes is not None:
            self._means = sets.total(self._slopes) / sets.counts[:, None, None, None]
        elif problem.shared:
            self._means = _mean_directions(problem, combined)
        n_leaves, n_prices = problem.thresholds.shape
        self._border = np.zeros((n_leaves, n_prices, self._n_head))
        self._leaf = np.zeros((n_leaves, n_prices, n_prices))
        self._head = np.zeros((self._n_head, self._n_head))
        self._kept: list[KeptSteps] = []
        for column in range(n_columns):
            own = slice(column * n_parameters, (column + 1) * n_parameters)
            self._head[own, own] = 2 * (fisher + np.diag(field.absent))
        limits = np.arange(self._n_y, self._n_head)
        self._head[limits, limits] = power_diagonal
        inequality = np.arange(problem.n_inequalities)
        self._leaf[:, inequality, inequality] = leaf_diagonal
        self._leaf_basis = (
            None
            if problem.split is None
            else LeafBasis.from_scaling(problem.split, scalings[1], problem.n_inequalities)
        )
        vectors = [NO_VECTORS if group.forms is None else group.forms.vectors for group in problem.groups]
        if problem.split is not None:
            assert self._leaf_basis is not None
            vectors[:2] = problem.split.rebased(vectors[:2], self._leaf_basis.root)
        for group, scaling, group_vectors in zip(problem.groups, scalings, vectors, strict=False):
            self._add_group(group, scaling, group_vectors)
        for shared, scaling in zip(problem.shared, scalings[len(problem.groups) :], strict=True):
            self._add_shared(shared, scaling)
        if problem.cones is not None:
            self._add_cone_blocks(scalings[len(problem.groups) - 1])
        self._factorize()

    def _add_group(self, group: BlockGroup, scaling: NesterovTodd, vectors: ComplexArray) -> None:
        basis = scaling.basis
        if group.forms is not None and group.forms.compiled:
            kernels.add_leaves(self._leaf, basis, vectors, group.forms.weights, group.forms.leaf)
        elif group.forms is not None:
            root = adjoint(basis) @ vectors
            if root.shape[-1] < root.shape[-2]:
                root = _triangular(root)
            forms = svec(root[:, :, None] @ group.forms.weights @ adjoint(root)[:, :, None])
            np.add.at(self._leaf, group.forms.leaf, (forms @ forms.swapaxes(-1, -2)).sum(axis=1))
        if group.senses and group.n_members and self._slopes is not None:
            self._add_compiled_sensing(group, basis, vectors, self._slopes)
        elif group.senses and group.n_members:
            for rows in _chunks(self._problem.field.node_sets, CHUNK_BLOCKS // group.n_members):
                self._add_sensing(group, basis[rows], vectors, rows)
        if group.senses and group.n_members and self._problem.cones is not None:
            self._add_cones(self._problem.cones, group, basis, vectors)

    def _add_cones(self, cones: Cones, group: BlockGroup, t: ComplexArray, vectors: ComplexArray) -> None:
        """Inner products of the cones' columns T^H f f^H T with all others, on blocks with scaling T (A, B, d, d)."""
        field, sets = self._problem.field, self._problem.field.node_sets
        at = np.arange(self._n_y + self._problem.n_antennas, self._n_head)
        moved = t @ (adjoint(t) @ cones.vectors[:, None])
        products = np.sum(np.abs(adjoint(cones.vectors)[:, None] @ moved) ** 2, axis=1)
        crossed = (cones.coefficients.swapaxes(0, 1) @ products).swapaxes(0, 1)
        self._head[np.ix_(at, at)] += crossed.reshape(len(cones), -1) @ cones.flat.T

        at_antennas = np.sum(np.abs(moved) ** 2, axis=1).swapaxes(-1, -2)
        lowered = adjoint(field.basis) @ moved
        squares = lowered.transpose(0, 3, 2, 1) @ lowered.transpose(0, 3, 1, 2).conj()
        at_y = self._against_slopes(squares)
        for index, (y, p) in enumerate(zip(self._y_index, self._n_y + sets.antennas, strict=True)):
            rows = sets.sheets(index)
            own = cones.coefficients[:, rows].reshape(len(cones), -1)
            others = np.concatenate([at_y[rows], -at_antennas[rows]], axis=-1)
            block = own @ others.reshape(own.shape[1], -1)
            here = np.r_[y, p]
            self._head[np.ix_(at, here)] += block
            self._head[np.ix_(here, at)] += block.T
        if group.forms is not None:
            heard = adjoint(vectors) @ moved
            values = np.einsum("abvf,bkvw,abwf->akf", heard.conj(), group.forms.weights, heard, optimize=True).real
            border = values @ cones.coefficients.transpose(1, 2, 0)
            np.add.at(self._border[:, :, at[0] :], group.forms.leaf, border)

    def _add_cone_blocks(self, scaling: NesterovTodd) -> None:
        """Inner products of the columns of the cones' own blocks, three for each limit."""
        columns = svec(adjoint(scaling.basis) @ SPIN @ scaling.basis)
        gram = columns @ columns.swapaxes(1, 2)
        at = self._n_y + self._problem.n_antennas + np.arange(3 * len(gram)).reshape(-1, 3)
        self._head[at[:, :, None], at[:, None, :]] += gram

    def _against_slopes(self, matrices: ComplexArray) -> RealArray:
        """tr(b M) of the derivatives b of Q, averaged where Q is, with Hermitian M (A, V, rho, rho), (A, V, n_y)."""
        sets = self._problem.field.node_sets
        slopes = self._slopes
        if self._problem.averaged:
            assert self._means is not None
            slopes = self._means[sets.of_sheet]
        if slopes is not None:
            flat = slopes.reshape(*slopes.shape[:2], -1).conj()
            return np.real(matrices.reshape(*matrices.shape[:2], -1) @ flat.swapaxes(1, 2))
        parts = []
        for rows in _chunks(sets, CHUNK_BLOCKS):
            directions = Directions.at(self._problem, self._combined, rows)
            parts.append(directions.against(matrices[rows], rows.stop - rows.start))
        return np.concatenate(parts)

    def _add_compiled_sensing(
        self, group: BlockGroup, t: ComplexArray, vectors: ComplexArray, slopes: ComplexArray
    ) -> None:
        """Contribution of the blocks, with scaling T, on all sheets."""
        field, sets = self._problem.field, self._problem.field.node_sets
        of_slope = sets.every_sheet
        if self._problem.averaged:
            assert self._means is not None
            slopes, of_slope = self._means, sets.of_sheet
        weights, leaf = (NO_WEIGHTS, NO_LEAVES) if group.forms is None else (group.forms.weights, group.forms.leaf)
        kernels.add_sensing(
            self._head,
            self._border,
            t,
            field.flat_basis,
            slopes,
            of_slope,
            self._y_index,
            self._n_y + sets.antennas,
            sets.of_sheet,
            vectors,
            weights,
            leaf,
        )

    def _add_sensing(self, group: BlockGroup, t: ComplexArray, vectors: ComplexArray, rows: slice) -> None:
        """Contribution of the blocks, with scaling T, on one chunk of sheets."""
        field, sets = self._problem.field, self._problem.field.node_sets
        first, last = sets.of_sheet[[rows.start, rows.stop - 1]]
        orthonormal, root = np.linalg.qr(adjoint(t) @ field.basis[rows])
        reduced = adjoint(orthonormal) @ adjoint(t)
        rho, n_p = reduced.shape[-2:]
        metric = t @ adjoint(t)
        directions: Directions | DenseDirections
        if self._problem.averaged:
            assert self._means is not None
            directions = DenseDirections.scaled(self._means[first : last + 1], root)
        else:
            directions = Directions.at(self._problem, self._combined, rows).scaled(root)
        gram = directions.gram()
        crossed = directions.against_squares(reduced.reshape(-1, rho, n_p))
        squares = (metric.real**2 + metric.imag**2).sum(axis=1).reshape(len(gram), -1, n_p, n_p).sum(axis=1)
        n_prices = self._leaf.shape[1]
        border = np.zeros((len(t), n_prices, gram.shape[1] + n_p))
        if group.forms is not None:
            seen = (reduced @ vectors[rows])[:, :, None]
            forms = seen @ group.forms.weights @ adjoint(seen)
            at_antennas = (metric @ vectors[rows])[:, :, None]
            at_p = ((at_antennas @ group.forms.weights) * at_antennas.conj()).sum(axis=-1).real.sum(axis=1)
            at_y = directions.against(forms.reshape(-1, n_prices, rho, rho), len(t))
            border = np.concatenate([at_y, -at_p], axis=-1)
        border = border.reshape(len(gram), len(t) // len(gram), *border.shape[1:])
        for i, index in enumerate(range(first, last + 1)):
            y, p = self._y_index[index], self._n_y + sets.antennas[index]
            self._head[y[:, None], y] += gram[i]
            self._head[y[:, None], p] -= crossed[i]
            self._head[p[:, None], y] -= crossed[i].T
            self._head[p[:, None], p] += squares[i]
            if group.forms is not None:
                # a leaf occurs at most once among the sheets of one node set
                start = rows.start + i * border.shape[1]
                leaf = group.forms.leaf[start : start + border.shape[1], None, None]
                self._border[leaf, np.arange(n_prices)[:, None], np.r_[y, p]] += border[i]

    def _add_shared(self, shared: SharedGroup, scaling: NesterovTodd) -> None:
        """Coupling of the kept scaled steps of the shared blocks to head and leaves."""
        field, sets = self._problem.field, self._problem.field.node_sets
        assert self._means is not None
        t = scaling.basis
        count = sets.counts[:, None, None]
        root = (adjoint(t) @ field.basis[sets.edges[:-1], 0])[:, None]
        columns = count * svec(root @ self._means @ adjoint(root))
        antennas = -count * square_svec(t.conj())
        coupling = np.concatenate([columns, antennas], axis=1)
        heads = np.concatenate([self._y_index, self._n_y + sets.antennas], axis=1)
        seen = (adjoint(t)[sets.of_sheet] @ shared.vectors).swapaxes(-1, -2)
        border = shared.weights[:, None] * square_svec(seen)
        cones = self._problem.cones
        for index, own in enumerate(heads):
            rows = sets.sheets(index)
            columns = coupling[index]
            if cones is not None:
                mine = np.flatnonzero(np.any(cones.coefficients[:, rows] != 0, axis=(1, 2)))
                f = cones.vectors[rows]
                forms = np.einsum("iav,adv,aev->ide", cones.coefficients[mine, rows], f, f.conj(), optimize=True)
                own = np.r_[own, self._n_y + self._problem.n_antennas + mine]
                columns = np.concatenate([columns, svec(adjoint(t[index]) @ forms @ t[index])])
            self._kept.append(KeptSteps(own, shared.leaf[rows], border[rows], np.ascontiguousarray(columns.T)))

    def _factorize(self) -> None:
        n_leaves, n_prices, n_head = self._border.shape
        if n_prices:
            self._leaf_factor = _regularized_cholesky(self._leaf)
            self._eliminated = _batch_solve(self._leaf_factor, self._border)
            flat = self._eliminated.reshape(n_leaves * n_prices, n_head)
            self._head -= flat.T @ flat
            for kept in self._kept:
                kept.eliminate_leaves(self._leaf_factor, self._eliminated)
        for kept in self._kept:
            kept.factorize(self._head)
        self._head_factor = _regularized_cholesky(self._head)

    def solve(self, right: Prices) -> Prices:
        """Step H^-1 right."""
        full = np.concatenate([right.weights.T.ravel(), right.power])
        n_leaves, n_prices, n_head = self._border.shape
        reduced = np.zeros((n_leaves, n_prices))
        if n_prices:
            rows = right.leaf if self._leaf_basis is None else self._leaf_basis.rows(right.leaf)
            reduced = _batch_solve(self._leaf_factor, rows[..., None])[..., 0]
            full -= reduced.ravel() @ self._eliminated.reshape(-1, n_head)
        for kept in self._kept:
            kept.reduce(reduced, full)
        head = _cholesky_solve(self._head_factor, full)
        leaf = np.zeros_like(right.leaf)
        if n_prices:
            moved = reduced - self._eliminated @ head
            for kept in self._kept:
                kept.substitute(head, moved)
            leaf = _batch_solve(self._leaf_factor.swapaxes(-1, -2), moved[..., None])[..., 0]
            if self._leaf_basis is not None:
                leaf = self._leaf_basis.prices(leaf)
        n_parameters, n_columns = right.weights.shape
        return Prices(head[: self._n_y].reshape(n_columns, n_parameters).T, head[self._n_y :], leaf)
