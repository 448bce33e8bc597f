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

from disac.designs.native.cones import adjoint, svec
from disac.designs.native.saddle import SaddleProblem

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


def square_svec(vectors: ComplexArray) -> RealArray:
    """svec of x x^H for vectors (..., n)."""
    return svec(vectors[..., :, None] * vectors[..., None, :].conj())


@dataclass(frozen=True)
class Directions:
    """Derivatives on A sheets of one node set, or scaled ones on the A blocks of one member.

    Attributes
    ----------
    geometry : (A, S C, rho, rho) Hermitian.
    transmit : (A, M, K, rho) f of unit scale.
    received : (A, N, K, C, rho) g.
    scale : (N, M, K) scale of each link.
    """

    geometry: ComplexArray
    transmit: ComplexArray
    received: ComplexArray
    scale: RealArray

    @classmethod
    def at(cls, problem: SaddleProblem, combined: ComplexArray, sheets: slice) -> Directions:
        """At Y given as ``field.combine(Y)``, on some sheets of one node set."""
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
        return cls(geometry, field.transmit[sheets], received, field.link_scale[field.node_sets.of_sheet[sheets.start]])

    def scaled(self, root: ComplexArray) -> Directions:
        """root b root^H for (A, B, rho, rho) roots, as (A B) blocks."""
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
        """Mean over the blocks as dense Hermitian matrices (n_y, rho, rho)."""
        rho = self.transmit.shape[-1]
        outer = np.einsum("amkq,ankcr->nmkcqr", self.transmit, self.received.conj(), optimize=True)
        outer *= self.scale[..., None, None, None] / len(self.transmit)
        outer = outer.reshape(-1, rho, rho)
        imag = -1j * outer
        return np.concatenate([self.geometry.mean(axis=0), outer + adjoint(outer), imag + adjoint(imag)])

    def gram(self) -> RealArray:
        """Sum over the blocks of the inner products of all directions (n_y, n_y)."""
        geometry = svec(self.geometry)
        n_geometry = geometry.shape[1]
        flat = geometry.swapaxes(1, 2).reshape(-1, n_geometry)
        crossed = self.against(self.geometry, sum_blocks=True)
        both, one = self._link_products()
        size = len(both)
        gram = np.empty((n_geometry + 2 * size,) * 2)
        re, im = slice(n_geometry, n_geometry + size), slice(n_geometry + size, None)
        gram[:n_geometry, :n_geometry] = flat.T @ flat
        gram[:n_geometry, n_geometry:] = crossed[:, n_geometry:]
        gram[n_geometry:, :n_geometry] = crossed[:, n_geometry:].T
        gram[re, re] = 2 * (both.real + one.real)
        gram[im, im] = 2 * (one.real - both.real)
        gram[re, im] = 2 * (both.imag - one.imag)
        gram[im, re] = 2 * (both.imag + one.imag)
        return gram

    def _link_products(self) -> tuple[ComplexArray, ComplexArray]:
        """Sums over the blocks of tr(f_i g_i^H f_j g_j^H) and of tr(f_i g_i^H g_j f_j^H) for all pairs of links."""
        n_blocks, m, k, rho = self.transmit.shape
        n, c = self.received.shape[1], self.received.shape[3]
        f = self.transmit.reshape(n_blocks, m * k, rho)
        g = self.received.reshape(n_blocks, n * k * c, rho)
        # rows (n, k, c), columns (m', k') -> (k, k', (n, c, m'), block)
        heard = (g.conj() @ f.swapaxes(1, 2)).reshape(n_blocks, n, k, c, m, k)
        heard = heard.transpose(2, 5, 1, 3, 4, 0).reshape(k, k, n * c * m, n_blocks)
        both = heard @ heard.transpose(1, 0, 3, 2)
        both = both.reshape(k, k, n, c, m, n, c, m).transpose(2, 7, 0, 3, 5, 4, 1, 6)
        received = (g.conj() @ g.swapaxes(1, 2)).reshape(n_blocks, n, k, c, n, k, c)
        received = received.transpose(2, 5, 1, 3, 4, 6, 0).reshape(k, k, n * c * n * c, n_blocks)
        # rows (m', k'), columns (m, k) -> (k, k', block, (m', m))
        sent = (f.conj() @ f.swapaxes(1, 2)).reshape(n_blocks, m, k, m, k)
        sent = sent.transpose(4, 2, 0, 1, 3).reshape(k, k, n_blocks, m * m)
        one = (received @ sent).reshape(k, k, n, c, n, c, m, m).transpose(2, 7, 0, 3, 4, 6, 1, 5)
        size = n * m * k * c
        scale = np.broadcast_to(self.scale[..., None], (n, m, k, c)).reshape(-1)
        scales = scale * scale[:, None]
        return both.reshape(size, size) * scales, one.reshape(size, size) * scales

    def against(self, matrices: ComplexArray, *, sum_blocks: bool, n_members: int = 1) -> RealArray:
        """Inner products of Hermitian matrices (A B, h, rho, rho) with all directions.

        Summed over blocks, (h, n_y), or over the B = ``n_members`` members of every row, (A, h, n_y).
        """
        n_blocks, h, rho, _ = matrices.shape
        n_rows = 1 if sum_blocks else n_blocks // n_members
        per_row = n_blocks // n_rows
        _, m, k, _ = self.transmit.shape
        n, c = self.received.shape[1], self.received.shape[3]
        moved = matrices @ self.transmit.reshape(n_blocks, 1, m * k, rho).swapaxes(-1, -2)
        moved = moved.reshape(n_rows, per_row, h, rho, m, k).transpose(0, 5, 1, 3, 2, 4)
        heard = self.received.conj().reshape(n_rows, per_row, n, k, c, rho).transpose(0, 3, 2, 4, 1, 5)
        links = heard.reshape(n_rows, k, n * c, -1) @ moved.reshape(n_rows, k, per_row * rho, h * m)
        links = links.reshape(n_rows, k, n, c, h, m).transpose(0, 4, 2, 5, 1, 3) * (2 * self.scale[..., None])
        links = links.reshape(n_rows, h, -1)
        own = svec(matrices).reshape(n_rows, per_row, h, -1).swapaxes(1, 2).reshape(n_rows, h, -1)
        geometry = svec(self.geometry).reshape(n_rows, per_row, self.geometry.shape[1], -1).swapaxes(1, 2)
        dense = own @ geometry.reshape(n_rows, self.geometry.shape[1], -1).swapaxes(1, 2)
        products: RealArray = np.concatenate([dense, links.real, links.imag], axis=-1)
        return products[0] if sum_blocks else products

    def against_squares(self, vectors: ComplexArray) -> RealArray:
        """Inner products with x_a x_a^H for vectors (blocks, rho, d), summed over the blocks, (n_y, d)."""
        n_blocks, m, k, rho = self.transmit.shape
        n, c, d = self.received.shape[1], self.received.shape[3], vectors.shape[-1]
        heard = (self.received.reshape(n_blocks, -1, rho).conj() @ vectors).reshape(n_blocks, n, k, c, d)
        sent = (self.transmit.reshape(n_blocks, -1, rho) @ vectors.conj()).reshape(n_blocks, m, k, d)
        heard = heard.transpose(2, 4, 1, 3, 0).reshape(k, d, n * c, n_blocks)
        links = (heard @ sent.transpose(2, 3, 0, 1)).reshape(k, d, n, c, m).transpose(2, 4, 0, 3, 1)
        links = (links * (2 * self.scale[..., None, None])).reshape(-1, d)
        own = square_svec(vectors.swapaxes(1, 2)).swapaxes(1, 2).reshape(-1, d)
        geometry = svec(self.geometry).swapaxes(1, 2).reshape(len(own), -1)
        return np.concatenate([geometry.T @ own, links.real, links.imag])


@dataclass(frozen=True)
class DenseDirections:
    """Scaled derivatives on a set of blocks, all dense: for Q averaged over subcarriers, where no link is rank one.

    Attributes
    ----------
    coordinates : (blocks, n_y, rho^2) svec.
    """

    coordinates: RealArray

    @classmethod
    def scaled(cls, matrices: ComplexArray, root: ComplexArray) -> DenseDirections:
        """root b root^H for directions (n_y, rho, rho) and (A, B, rho, rho) roots."""
        rho = root.shape[-1]
        flat = root.reshape(-1, 1, rho, rho)
        return cls(svec(flat @ matrices @ adjoint(flat)))

    def gram(self) -> RealArray:
        """As in :class:`Directions`."""
        flat = self.coordinates.swapaxes(1, 2).reshape(-1, self.coordinates.shape[1])
        gram: RealArray = flat.T @ flat
        return gram

    def against(self, matrices: ComplexArray, *, sum_blocks: bool, n_members: int = 1) -> RealArray:
        """As in :class:`Directions`."""
        products: RealArray = svec(matrices) @ self.coordinates.swapaxes(1, 2)
        members = products[None] if sum_blocks else products.reshape(-1, n_members, *products.shape[1:])
        sums: RealArray = np.sum(members, axis=1)
        return sums[0] if sum_blocks else sums

    def against_squares(self, vectors: ComplexArray) -> RealArray:
        """As in :class:`Directions`."""
        own = square_svec(vectors.swapaxes(1, 2)).swapaxes(1, 2).reshape(-1, vectors.shape[-1])
        flat = self.coordinates.swapaxes(1, 2).reshape(len(own), -1)
        products: RealArray = flat.T @ own
        return products
