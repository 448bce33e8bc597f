"""Cones of Hermitian positive semidefinite blocks: real coordinates and Nesterov-Todd scaling, batched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from disac.designs.solvers.native import kernels

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]


NO_BLOCKS = np.zeros((0, 1, 1), dtype=np.complex128)
LENGTH_PRECISION = 1e-4
"""Relative precision of the length of a step to the boundary of the cone, which is never overestimated."""


@lru_cache(maxsize=64)
def upper_pairs(size: int) -> tuple[IndexArray, IndexArray, RealArray]:
    """Row and column of the diagonal, then of the strict upper triangle, and the svec weights 1 and sqrt(2)."""
    row, column = np.triu_indices(size, 1)
    diagonal = np.arange(size)
    weight = np.r_[np.ones(size), np.full(len(row), np.sqrt(2.0))]
    return np.r_[diagonal, row], np.r_[diagonal, column], weight


def svec(matrices: ComplexArray) -> RealArray:
    """Real coordinates (..., n^2) of Hermitian matrices (..., n, n) with svec(A) . svec(B) = tr(A B).

    The order is the diagonal, sqrt(2) Re and sqrt(2) Im of the strict upper triangle.
    """
    size = matrices.shape[-1]
    row, column, weight = upper_pairs(size)
    half = matrices[..., row, column] * weight
    return np.concatenate([half.real, half.imag[..., size:]], axis=-1)


def smat(coordinates: RealArray) -> ComplexArray:
    """Hermitian matrices of :func:`svec` coordinates."""
    size = int(np.sqrt(coordinates.shape[-1]))
    row, column, weight = upper_pairs(size)
    matrices = np.zeros((*coordinates.shape[:-1], size, size), dtype=complex)
    half = coordinates[..., : len(row)].astype(complex)
    half[..., size:] += 1j * coordinates[..., len(row) :]
    half /= weight
    matrices[..., column, row] = half.conj()
    matrices[..., row, column] = half
    return matrices


def adjoint(matrices: ComplexArray) -> ComplexArray:
    """Conjugate transpose of the last two axes."""
    return matrices.conj().swapaxes(-1, -2)


def _stacked(matrices: ComplexArray) -> ComplexArray:
    """Matrices (..., d, d) in one contiguous batch (B, d, d)."""
    return np.ascontiguousarray(matrices).reshape(-1, *matrices.shape[-2:])


def hermitian(matrices: ComplexArray) -> ComplexArray:
    """Hermitian part (M + M^H) / 2."""
    return (matrices + adjoint(matrices)) / 2


def overlap(primal: ComplexArray, dual: ComplexArray) -> float:
    """tr(R S), summed over all blocks, from factors of R and S."""
    return float(kernels.squared_overlap(_stacked(primal), _stacked(dual)))


@dataclass(frozen=True)
class NesterovTodd:
    """Scaling T of blocks R and S with T^-1 R T^-H = T^H S T = diag(spectrum), so that W = T T^H has W S W = R.

    It is computed from any factors R = L_R L_R^H and S = L_S L_S^H by one singular value decomposition of L_S^H L_R,
    which keeps digits that forming R S loses. The iterates are kept as such factors.

    Attributes
    ----------
    basis : (..., d, d) T.
    inverse : (..., d, d) T^-1.
    spectrum : (..., d) positive, descending.
    """

    basis: ComplexArray
    inverse: ComplexArray
    spectrum: RealArray

    @classmethod
    def from_factors(cls, primal_factor: ComplexArray, dual_factor: ComplexArray) -> NesterovTodd:
        """Scaling of R = L_R L_R^H and S = L_S L_S^H."""
        left, spectrum, right = np.linalg.svd(adjoint(dual_factor) @ primal_factor)
        root = np.sqrt(spectrum)
        basis = (primal_factor @ adjoint(right)) / root[..., None, :]
        inverse = adjoint(dual_factor @ left) / root[..., :, None]
        return cls(basis, inverse, spectrum)

    def primal(self, scaled: ComplexArray) -> ComplexArray:
        """T X T^H: a scaled primal matrix in original coordinates, Hermitian to the last bit."""
        if self.basis.shape[-1] > kernels.LARGEST_BLOCK:
            return hermitian(self.basis @ scaled @ adjoint(self.basis))
        return kernels.congruence(_stacked(self.basis), _stacked(scaled)).reshape(scaled.shape)

    def scale_dual(self, matrices: ComplexArray) -> ComplexArray:
        """T^H S T of dual matrices, Hermitian to the last bit."""
        if self.basis.shape[-1] > kernels.LARGEST_BLOCK:
            return hermitian(adjoint(self.basis) @ matrices @ self.basis)
        return kernels.adjoint_congruence(_stacked(self.basis), _stacked(matrices)).reshape(matrices.shape)

    def complementarity(self, target: float, steps: tuple[ComplexArray, ComplexArray] | None) -> ComplexArray:
        """Scaled sum of the primal and dual steps that moves every R S to ``target`` I.

        Solves sym(diag(spectrum) X) = target I - diag(spectrum)^2 - sym(dR dS) with earlier scaled ``steps`` dR and dS.
        """
        shape, size = self.basis.shape, self.spectrum.shape[-1]
        spectrum = self.spectrum.reshape(-1, size)
        if steps is None:
            return kernels.complementarity(spectrum, target, NO_BLOCKS, NO_BLOCKS).reshape(shape)
        primal, dual = steps
        if size > kernels.LARGEST_BLOCK:
            right = -hermitian(primal @ dual)
            diagonal = np.arange(size)
            right[..., diagonal, diagonal] += target - self.spectrum**2
            return 2 * right / (self.spectrum[..., :, None] + self.spectrum[..., None, :])
        return kernels.complementarity(spectrum, target, _stacked(primal), _stacked(dual)).reshape(shape)

    def step_limit(self, scaled_step: ComplexArray, most: float) -> float:
        """Largest step up to ``most`` that stays within the cone, from below to a relative :data:`LENGTH_PRECISION`."""
        size = self.spectrum.shape[-1]
        return float(kernels.step_limit(self.spectrum.reshape(-1, size), _stacked(scaled_step), most, LENGTH_PRECISION))

    def moved_factors(
        self, primal_step: ComplexArray, dual_step: ComplexArray, length: float
    ) -> tuple[ComplexArray, ComplexArray]:
        """Factors of R and S after scaled steps of the given length.

        Raises
        ------
        numpy.linalg.LinAlgError : they are not positive definite.
        """
        return self._moved(self.basis, primal_step, length), self._moved(adjoint(self.inverse), dual_step, length)

    def _moved(self, left: ComplexArray, step: ComplexArray, length: float) -> ComplexArray:
        size = self.spectrum.shape[-1]
        if size > kernels.LARGEST_BLOCK:
            moved: ComplexArray = left @ np.linalg.cholesky(self.spectrum[..., None] * np.eye(size) + length * step)
            return moved
        spectrum = self.spectrum.reshape(-1, size)
        factors = kernels.moved_factors(_stacked(left), spectrum, _stacked(step), length)
        if len(factors) < len(spectrum):
            raise np.linalg.LinAlgError("the step leaves the cone")
        return factors.reshape(step.shape)


def positive_step_limit(value: RealArray, step: RealArray, most: float) -> float:
    """Largest step up to ``most`` that keeps ``value`` >= 0."""
    return 1 / max(float(np.max(-step / value, initial=0.0)), 1 / most)
