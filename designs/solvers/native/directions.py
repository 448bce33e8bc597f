"""Derivatives of Q by the entries of Y and their inner products in a scaled metric, by rank-one links.

The derivative of Q(Y) = sum_c sum_n G(y_c)^H G(y_c) by an amplitude is f g^H + h.c. (by Re b) or -j f g^H + h.c. (by
Im b) with f the transmit vector of its link and g = G_n(y_c)^H a_r of its receive node. f depends on (m, k) only and g
on (n, k, c) only, once the phase of the delay to the receive node is counted with g. So for links i and j

    tr(f_i g_i^H f_j g_j^H) = (g_i^H f_j) (g_j^H f_i),      tr(f_i g_i^H g_j f_j^H) = (g_i^H g_j) (f_j^H f_i),

and for every pair of targets the sums over blocks are matrix products of the small tables g^H f, g^H g and f^H f.
Derivatives by positions have no such form and are kept as dense Hermitian matrices; there are few of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disac.designs.solvers.native.cones import adjoint, svec
from disac.designs.solvers.native.saddle import SaddleProblem

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


def square_svec(vectors: ComplexArray) -> RealArray:
    """svec of x x^H for vectors (..., n)."""
    return svec(vectors[..., :, None] * vectors[..., None, :].conj())


@dataclass(frozen=True)
class Directions:
    """Derivatives on A sheets, or scaled ones on as many blocks, of g node sets with equally many sheets each.

    Attributes
    ----------
    geometry : (A, S C, rho, rho) Hermitian.
    transmit : (A, M, K, rho) f of unit scale.
    received : (A, N, K, C, rho) g.
    scale : (g, N, M, K) scale of each link.
    """

    geometry: ComplexArray
    transmit: ComplexArray
    received: ComplexArray
    scale: RealArray

    @classmethod
    def at(cls, problem: SaddleProblem, combined: ComplexArray, sheets: slice) -> Directions:
        """At Y given as ``field.combine(Y)``, on sheets of one node set or on all sheets of equally large ones."""
        field = problem.field
        n_geometry = len(field.rows)
        y = combined[sheets]
        n_sheets, n_nodes, n_columns, n_rx, rho = y.shape
        own = field.stack[sheets, :, :n_geometry].transpose(0, 2, 1, 3, 4).reshape(n_sheets, n_geometry, 1, -1, rho)
        moved = y.transpose(0, 2, 1, 3, 4).reshape(n_sheets, 1, n_columns, n_nodes * n_rx, rho)
        geometry = adjoint(own) @ moved
        geometry = (geometry + adjoint(geometry)).reshape(n_sheets, -1, rho, rho)
        # (1, N, K, 1, 1, r) @ (A, N, 1, C, r, rho) -> (A, N, K, C, rho)
        heard = np.matmul(field.receive.conj()[None, :, :, None, None, :], y[:, :, None])[..., 0, :].conj()
        received = field.phase[sheets][..., None, None] * heard
        first, last = field.node_sets.of_sheet[[sheets.start, sheets.stop - 1]]
        return cls(geometry, field.transmit[sheets], received, field.link_scale[first : last + 1])

    def scaled(self, root: ComplexArray) -> Directions:
        """root b root^H for (A, B, rho, rho) roots, as A B blocks."""
        rho = root.shape[-1]
        geometry = root[:, :, None] @ self.geometry[:, None] @ adjoint(root)[:, :, None]
        transposed = root.swapaxes(-1, -2)
        transmit = self.transmit[:, None] @ transposed[:, :, None]
        received = self.received[:, None] @ transposed[:, :, None, None]
        return Directions(
            geometry.reshape(-1, *self.geometry.shape[1:]),
            transmit.reshape(-1, *self.transmit.shape[1:3], rho),
            received.reshape(-1, *self.received.shape[1:4], rho),
            self.scale,
        )

    def mean(self) -> ComplexArray:
        """Mean over the sheets of each node set as dense Hermitian matrices (g, n_y, rho, rho)."""
        g, rho = len(self.scale), self.transmit.shape[-1]
        transmit = self.transmit.reshape(g, -1, *self.transmit.shape[1:])
        received = self.received.reshape(g, -1, *self.received.shape[1:])
        outer = np.einsum("gamkq,gankcr->gnmkcqr", transmit, received.conj(), optimize=True)
        outer = (outer * (self.scale / transmit.shape[1])[..., None, None, None]).reshape(g, -1, rho, rho)
        imag = -1j * outer
        geometry = self.geometry.reshape(g, -1, *self.geometry.shape[1:]).mean(axis=1)
        return np.concatenate([geometry, outer + adjoint(outer), imag + adjoint(imag)], axis=1)

    def gram(self) -> RealArray:
        """Inner products of all directions, summed over the blocks of each node set, (g, n_y, n_y)."""
        g = len(self.scale)
        crossed = self.against(self.geometry, g)
        n_geometry = crossed.shape[1]
        both, one = self._link_products()
        size = both.shape[-1]
        gram = np.empty((g, n_geometry + 2 * size, n_geometry + 2 * size))
        re, im = slice(n_geometry, n_geometry + size), slice(n_geometry + size, None)
        gram[:, :n_geometry] = crossed
        gram[:, n_geometry:, :n_geometry] = crossed[:, :, n_geometry:].swapaxes(1, 2)
        gram[:, re, re] = 2 * (both.real + one.real)
        gram[:, im, im] = 2 * (one.real - both.real)
        gram[:, re, im] = 2 * (both.imag - one.imag)
        gram[:, im, re] = 2 * (both.imag + one.imag)
        return gram

    def _link_products(self) -> tuple[ComplexArray, ComplexArray]:
        """Sums over the blocks of tr(f_i g_i^H f_j g_j^H) and of tr(f_i g_i^H g_j f_j^H) for all pairs of links."""
        n_blocks, m, k, rho = self.transmit.shape
        n, c, g = self.received.shape[1], self.received.shape[3], len(self.scale)
        sent_by = self.transmit.reshape(n_blocks, m * k, rho)
        heard_by = self.received.reshape(n_blocks, n * k * c, rho)
        # rows (n, k, c), columns (m', k') -> (g, k, k', (n, c, m'), block)
        heard = (heard_by.conj() @ sent_by.swapaxes(1, 2)).reshape(g, -1, n, k, c, m, k)
        heard = heard.transpose(0, 3, 6, 2, 4, 5, 1).reshape(g, k, k, n * c * m, -1)
        both = heard @ heard.transpose(0, 2, 1, 4, 3)
        both = both.reshape(g, k, k, n, c, m, n, c, m).transpose(0, 3, 8, 1, 4, 6, 5, 2, 7)
        received = (heard_by.conj() @ heard_by.swapaxes(1, 2)).reshape(g, -1, n, k, c, n, k, c)
        received = received.transpose(0, 3, 6, 2, 4, 5, 7, 1).reshape(g, k, k, n * c * n * c, -1)
        # rows (m', k'), columns (m, k) -> (g, k, k', block, (m', m))
        sent = (sent_by.conj() @ sent_by.swapaxes(1, 2)).reshape(g, -1, m, k, m, k)
        sent = sent.transpose(0, 5, 3, 1, 2, 4).reshape(g, k, k, -1, m * m)
        one = (received @ sent).reshape(g, k, k, n, c, n, c, m, m).transpose(0, 3, 8, 1, 4, 5, 7, 2, 6)
        size = n * m * k * c
        scale = np.broadcast_to(self.scale[..., None], (g, n, m, k, c)).reshape(g, size)
        scales = scale[:, :, None] * scale[:, None, :]
        return both.reshape(scales.shape) * scales, one.reshape(scales.shape) * scales

    def against(self, matrices: ComplexArray, n_sums: int) -> RealArray:
        """Inner products of Hermitian matrices (A, h, rho, rho) with all directions, summed over equal runs of blocks.

        Returns (n_sums, h, n_y).
        """
        n_blocks, h, rho, _ = matrices.shape
        _, m, k, _ = self.transmit.shape
        n, c = self.received.shape[1], self.received.shape[3]
        moved = matrices @ self.transmit.reshape(n_blocks, 1, m * k, rho).swapaxes(-1, -2)
        moved = moved.reshape(n_sums, -1, h, rho, m, k).transpose(0, 5, 1, 3, 2, 4).reshape(n_sums, k, -1, h * m)
        heard = self.received.conj().reshape(n_sums, -1, n, k, c, rho).transpose(0, 3, 2, 4, 1, 5)
        links = (heard.reshape(n_sums, k, n * c, -1) @ moved).reshape(n_sums, k, n, c, h, m)
        scale = np.repeat(self.scale, n_sums // len(self.scale), axis=0)
        links = links.transpose(0, 4, 2, 5, 1, 3) * (2 * scale[:, None, ..., None])
        links = links.reshape(n_sums, h, -1)
        own = svec(matrices).reshape(n_sums, -1, h, rho * rho).swapaxes(1, 2).reshape(n_sums, h, -1)
        n_geometry = self.geometry.shape[1]
        geometry = svec(self.geometry).reshape(n_sums, -1, n_geometry, rho * rho).swapaxes(1, 2)
        dense = own @ geometry.reshape(n_sums, n_geometry, -1).swapaxes(1, 2)
        return np.concatenate([dense, links.real, links.imag], axis=-1)

    def against_squares(self, vectors: ComplexArray) -> RealArray:
        """Inner products with x_a x_a^H for vectors (A, rho, d), summed over the blocks of each set, (g, n_y, d)."""
        n_blocks, m, k, rho = self.transmit.shape
        n, c, d, g = self.received.shape[1], self.received.shape[3], vectors.shape[-1], len(self.scale)
        heard = (self.received.reshape(n_blocks, -1, rho).conj() @ vectors).reshape(g, -1, n, k, c, d)
        sent = (self.transmit.reshape(n_blocks, -1, rho) @ vectors.conj()).reshape(g, -1, m, k, d)
        heard = heard.transpose(0, 3, 5, 2, 4, 1).reshape(g, k, d, n * c, -1)
        links = (heard @ sent.transpose(0, 3, 4, 1, 2)).reshape(g, k, d, n, c, m).transpose(0, 3, 5, 1, 4, 2)
        links = (links * (2 * self.scale[..., None, None])).reshape(g, -1, d)
        own = square_svec(vectors.swapaxes(1, 2)).swapaxes(1, 2).reshape(g, -1, d)
        geometry = svec(self.geometry).swapaxes(1, 2).reshape(g, -1, self.geometry.shape[1])
        return np.concatenate([geometry.swapaxes(1, 2) @ own, links.real, links.imag], axis=1)


@dataclass(frozen=True)
class DenseDirections:
    """Scaled derivatives on a set of blocks, all dense: for Q averaged over subcarriers, where no link is rank one.

    Attributes
    ----------
    coordinates : (g, blocks of a node set, n_y, rho^2) svec.
    """

    coordinates: RealArray

    @classmethod
    def scaled(cls, matrices: ComplexArray, root: ComplexArray) -> DenseDirections:
        """root b root^H for directions (g, n_y, rho, rho) and (A, B, rho, rho) roots."""
        g, rho = len(matrices), root.shape[-1]
        flat = root.reshape(g, -1, 1, rho, rho)
        return cls(svec(flat @ matrices[:, None] @ adjoint(flat)))

    def gram(self) -> RealArray:
        """As in :class:`Directions`."""
        g, _, n_y, _ = self.coordinates.shape
        flat = self.coordinates.swapaxes(2, 3).reshape(g, -1, n_y)
        gram: RealArray = flat.swapaxes(1, 2) @ flat
        return gram

    def against(self, matrices: ComplexArray, n_sums: int) -> RealArray:
        """As in :class:`Directions`."""
        own = self.coordinates.reshape(len(matrices), *self.coordinates.shape[2:])
        products: RealArray = svec(matrices) @ own.swapaxes(1, 2)
        sums: RealArray = np.sum(products.reshape(n_sums, -1, *products.shape[1:]), axis=1)
        return sums

    def against_squares(self, vectors: ComplexArray) -> RealArray:
        """As in :class:`Directions`."""
        g, _, n_y, _ = self.coordinates.shape
        own = square_svec(vectors.swapaxes(1, 2)).swapaxes(1, 2).reshape(g, -1, vectors.shape[-1])
        products: RealArray = self.coordinates.swapaxes(2, 3).reshape(g, -1, n_y).swapaxes(1, 2) @ own
        return products
