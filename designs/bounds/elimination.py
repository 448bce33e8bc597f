"""The information on positions that is left when amplitudes and nuisance parameters are unknown.

The least squares form decides all questions of precision. With J_g and J_a the derivatives of the mean by the geometry
and by the amplitudes, what is left of J_g is its residual J_g - J_a X with X = J_a^+ J_g, and the information on the
geometry is the Gram matrix of that residual. Two ways lead there:

- from the Gram matrices, by the Schur complement T - E G^-1 E^H. It is fast, and loses twice the digits that X and the
  residual lose. It serves as long as no amplitude is nearly dependent on the others.
- from triangular factors of the derivatives, by a QR factorization with column pivoting. Columns that depend on others
  to rounding are dropped, which is the pseudo-inverse: J_g lies in the span of what is kept, so its range condition
  holds. Echoes of two targets on the line of two nodes are such columns.

Both estimate the rounding error of what they return. Nothing is regularized.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from disac.designs.bounds.information import ComplexArray, InformationBlocks, RealArray

EPSILON = float(np.finfo(float).eps)
_TINY = float(np.finfo(float).tiny)
_DEPENDENT = 16.0
"""Size of the residual of a column of length 1, in units of its rounding error, up to which it counts as dependent."""
_INDEPENDENT = 1e-6
"""Smallest conditional variance of a normalized parameter at which Gram matrices are used without a look at ranks."""

NumberArray: TypeAlias = NDArray[np.inexact]


@dataclass(frozen=True, eq=False)
class PositionInformation:
    """The information on positions in scaled coordinates, and how the unknown parameters respond to positions.

    Attributes
    ----------
    eigenvalues, eigenvectors : (2K,) ascending and (2K, 2K) of the scaled information.
    relative_error : (2K,) estimated rounding error of each inverse eigenvalue, relative to it; infinite where rank or
        range could not be decided.
    scale, amplitude_scale : (S,) and (N, NK) units of the geometry parameters and amplitudes in scaled coordinates, as
        inverses.
    nuisance : (S - 2K, 2K) X of the nuisance parameters, scaled.
    amplitude : (N, NK, S) X of the amplitudes, scaled.
    independent : (N, NK) amplitudes, and
    independent_nuisance : (S - 2K,) nuisance parameters that were kept; the others depend on them. From Gram matrices
        all are kept, or all of a block of which some are dependent are not.
    """

    eigenvalues: RealArray
    eigenvectors: RealArray
    relative_error: RealArray
    scale: RealArray
    amplitude_scale: RealArray
    nuisance: RealArray
    amplitude: NumberArray
    independent: NDArray[np.bool_]
    independent_nuisance: NDArray[np.bool_]

    @property
    def full_rank(self) -> bool:
        """Whether no amplitude and no nuisance parameter depends on others."""
        return bool(self.independent.all() and self.independent_nuisance.all())

    @property
    def error(self) -> float:
        """Largest of the estimated relative errors."""
        return float(self.relative_error.max())

    @property
    def covariance(self) -> RealArray:
        """Position bound (2K, 2K) [m^2]: the inverse in the units of the positions."""
        roots = self.eigenvectors / (np.sqrt(self.eigenvalues) * self.scale[: len(self.eigenvalues), None])
        covariance: RealArray = roots @ roots.T
        return covariance

    def inverse_columns(self) -> RealArray:
        """Columns F^-1 E (P, 2K) in the order of :class:`FisherOperator`; a solution Y of F Y = E if F is singular."""
        n_positions = len(self.eigenvalues)
        own = self.scale[:n_positions]
        covariance = self.covariance
        response = self.amplitude[:, :, :n_positions] - self.amplitude[:, :, n_positions:] @ self.nuisance
        response = response * own / self.amplitude_scale[:, :, None]
        amplitudes = -(response.reshape(-1, n_positions) @ covariance)
        nuisance = self.nuisance * own / self.scale[n_positions:, None]
        return np.concatenate([covariance, amplitudes.real, amplitudes.imag, -nuisance @ covariance])


def geometry_scale(diagonal: RealArray, n_targets: int, n_coordinates: int = 2) -> RealArray:
    """Root information of each geometry parameter, one figure for both axes of a position or velocity; 1 where zero.

    Raises
    ------
    ValueError : the diagonal (S,) of the information is not finite.
    """
    diagonal = diagonal.copy()
    if not np.all(np.isfinite(diagonal)):
        raise ValueError("the information is not finite: covariances and amplitudes must be finite")
    for first in range(0, n_coordinates * n_targets, 2 * n_targets):
        both = diagonal[first : first + 2 * n_targets].reshape(2, n_targets)
        both[:] = (both[0] + both[1]) / 2
    return _root(diagonal)


def _root(diagonal: RealArray) -> RealArray:
    roots: RealArray = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    return roots


@dataclass(frozen=True, eq=False)
class _Reduced:
    """One elimination: what is left, X, the rounding error that what is left carries, and which parameters stayed."""

    left: RealArray
    response: NumberArray
    rounding: float
    independent: NDArray[np.bool_]


def from_blocks(blocks: InformationBlocks) -> PositionInformation:
    """Elimination from the blocks of the Fisher information, that is from Gram matrices.

    Raises
    ------
    ValueError : the information is not finite or not positive semidefinite.
    """
    n_positions = blocks.n_wanted
    scale = geometry_scale(np.diag(blocks.geometry), blocks.n_targets, blocks.n_coordinates)
    rounding = EPSILON * (len(scale) + 2 * blocks.amplitude.shape[0] * blocks.amplitude.shape[1])

    diagonal = np.einsum("nii->ni", blocks.amplitude).real
    amplitude_scale = _root(diagonal)
    amplitude = blocks.amplitude / (amplitude_scale[:, :, None] * amplitude_scale[:, None, :])
    cross = blocks.cross / (scale[:, None] * amplitude_scale[:, None, :])
    first = schur_complement(blocks.geometry / np.outer(scale, scale), cross, amplitude, rounding)
    left, rounding = first.left, first.rounding
    response = np.zeros((0, n_positions))
    stayed = np.zeros(0, dtype=bool)
    if len(left) > n_positions:
        second = schur_complement(
            left[:n_positions, :n_positions],
            left[None, :n_positions, n_positions:],
            left[None, n_positions:, n_positions:],
            rounding,
        )
        left, rounding = second.left, second.rounding
        response, stayed = second.response[0].real, second.independent[0]

    eigenvalues, eigenvectors = np.linalg.eigh(left)
    if np.isfinite(rounding) and eigenvalues[0] < -rounding:
        raise ValueError(
            f"the information on positions has the negative eigenvalue {eigenvalues[0]:.3g} relative to its scale: "
            "the covariances must be Hermitian and positive semidefinite"
        )
    relative_error = np.where(eigenvalues > 0, rounding / np.maximum(eigenvalues, _TINY), np.inf)
    return PositionInformation(
        eigenvalues=eigenvalues,
        eigenvectors=eigenvectors,
        relative_error=relative_error,
        scale=scale,
        amplitude_scale=amplitude_scale,
        nuisance=response,
        amplitude=first.response,
        independent=first.independent,
        independent_nuisance=stayed,
    )


def schur_complement(kept: RealArray, cross: NumberArray, removed: NumberArray, rounding: float) -> _Reduced:
    """kept - sum_n Re(cross_n removed_n^-1 cross_n^H) of blocks with unit or zero diagonal.

    A perturbation delta of a removed block changes the complement by X^H delta X with X = removed^-1 cross^H. Where a
    block is singular, or so near that its inverse is rounding, its eigenvalues tell what to do: those of the size of
    rounding are dropped if the cross block vanishes in their directions, as it does for parameters without information
    and for dependent ones. If it does not, information hides below rounding, and the error is infinite.
    """
    try:
        pivots = np.diagonal(np.linalg.cholesky(removed), axis1=1, axis2=2).real
        regular = bool(pivots.min(initial=1.0) ** 2 > _INDEPENDENT)
    except np.linalg.LinAlgError:
        regular = False
    right = cross.conj().swapaxes(1, 2)
    if regular:
        independent = np.ones(removed.shape[:2], dtype=bool)
        response = np.linalg.solve(removed, right)
        complement = kept - np.einsum("nsa,nat->st", cross, response).real
        error = rounding * (1.0 + float(np.vdot(response, response).real))
        return _Reduced((complement + complement.T) / 2, response, error, independent)
    return _by_ranks(kept, cross, removed, rounding)


def _by_ranks(kept: RealArray, cross: NumberArray, removed: NumberArray, rounding: float) -> _Reduced:
    complement, error = kept, rounding
    independent = np.zeros(removed.shape[:2], dtype=bool)
    responses = []
    for index, (own, block) in enumerate(zip(cross, removed, strict=True)):
        values, vectors = np.linalg.eigh(block)
        if values.min(initial=0.0) < -_DEPENDENT * rounding * max(1.0, values.max(initial=0.0)):
            raise ValueError(
                f"the information has the negative eigenvalue {values[0]:.3g} relative to its scale: "
                "the covariances must be Hermitian and positive semidefinite"
            )
        seen = values > _DEPENDENT * rounding
        moved = own @ vectors
        response = (vectors[:, seen] / values[seen]) @ moved[:, seen].conj().T
        complement = complement - (own @ response).real
        hidden = bool(np.any(np.abs(moved[:, ~seen]) > _DEPENDENT * rounding))
        error = np.inf if hidden else error + rounding * float(np.vdot(response, response).real)
        independent[index] = seen.all()
        responses.append(response)
    return _Reduced((complement + complement.T) / 2, np.stack(responses), error, independent)


def from_factors(
    factors: ComplexArray,
    n_targets: int,
    reference: tuple[RealArray, RealArray],
    rounding: float,
    prior: RealArray | None = None,
) -> PositionInformation:
    """Elimination from triangular factors of the derivatives, that is by orthogonal transformations alone.

    Parameters
    ----------
    factors : (N, rows, S + NK) factors of the derivatives at each receive node, by the S geometry parameters, then by
        the amplitudes b[n, m, k] in (m, k) order.
    n_targets : K.
    reference : (S,) and (N, NK) lengths that the columns would have if each node sent its power in all directions.
        What rounding does to a column is a share of this length: signals that avoid a target leave nothing else.
    rounding : that share.
    prior : (Z, Z) prior information on the last Z geometry parameters, positive definite or 0; default none.
    """
    n_geometry = factors.shape[2] - len(factors) * n_targets
    n_positions = 2 * n_targets
    lengths = np.sum(np.abs(factors[:, :, :n_geometry]) ** 2, axis=(0, 1))
    if prior is not None:
        lengths[-len(prior) :] += np.diag(prior)
    scale = geometry_scale(lengths, n_targets)
    scale[n_positions:] = np.maximum(scale[n_positions:], reference[0][n_positions:])
    amplitude_scale = np.where(reference[1] > 0, reference[1], 1.0)
    avoided = float(np.max(reference[0] / scale))
    geometry = factors[:, :, :n_geometry] / scale
    amplitude = factors[:, :, n_geometry:] / amplitude_scale[:, None, :]

    parts = [_residual(own, removed, rounding) for own, removed in zip(geometry, amplitude, strict=True)]
    residual = np.concatenate([half for part in parts for half in (part.left.real, part.left.imag)])
    if prior is not None and prior.any():
        known = np.zeros((len(prior), n_geometry))
        known[:, -len(prior) :] = np.linalg.cholesky(prior).T / scale[-len(prior) :]
        residual = np.concatenate([residual, known])
    error = rounding * avoided + max(part.rounding for part in parts)
    nuisance = np.zeros((0, n_positions))
    stayed = np.zeros(0, dtype=bool)
    if n_geometry > n_positions:
        second = _residual(residual[:, :n_positions], residual[:, n_positions:], error)
        residual, nuisance, error, stayed = second.left.real, second.response.real, second.rounding, second.independent

    _, singular, turned = np.linalg.svd(np.linalg.qr(residual, mode="r"))
    values = np.zeros(n_positions)
    values[: len(singular)] = singular
    relative_error = np.full(n_positions, np.inf)
    np.divide(2 * error, values, out=relative_error, where=values > 0)
    return PositionInformation(
        eigenvalues=values[::-1] ** 2,
        eigenvectors=turned.T[:, ::-1],
        relative_error=relative_error[::-1],
        scale=scale,
        amplitude_scale=amplitude_scale,
        nuisance=nuisance,
        amplitude=np.stack([part.response for part in parts]),
        independent=np.stack([part.independent for part in parts]),
        independent_nuisance=stayed,
    )


def _residual(kept: NumberArray, removed: NumberArray, rounding: float) -> _Reduced:
    """kept - removed X with the least squares X, up to an orthogonal transformation, by QR with column pivoting."""
    from scipy.linalg import qr, solve_triangular

    orthogonal, triangle, pivots = qr(removed, mode="full", pivoting=True)
    lengths = np.abs(np.diagonal(triangle))
    rank = int(np.sum(lengths > _DEPENDENT * rounding))
    turned = orthogonal.conj().T @ kept
    response = np.zeros((removed.shape[1], kept.shape[1]), dtype=turned.dtype)
    response[pivots[:rank]] = solve_triangular(triangle[:rank, :rank], turned[:rank])
    independent = np.zeros(removed.shape[1], dtype=bool)
    independent[pivots[:rank]] = True
    largest = float(np.linalg.norm(response, axis=0).max(initial=0.0))
    return _Reduced(turned[rank:], response, rounding * (1.0 + largest), independent)


def same_point(blocks: InformationBlocks) -> tuple[int, int] | None:
    """The first two targets whose echoes are one and the same on every link, as far as Gram matrices can tell."""
    n_nodes, n_targets = blocks.n_nodes, blocks.n_targets
    links = blocks.amplitude.reshape(n_nodes, n_nodes, n_targets, n_nodes, n_targets)
    own = np.arange(n_nodes)
    grams = links[:, own, :, own].swapaxes(0, 1)
    rounding = EPSILON * (len(blocks.geometry) + 2 * n_nodes * blocks.amplitude.shape[1])
    power = np.einsum("nmkk->nmk", grams).real
    products = power[..., :, None] * power[..., None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = 1 - np.abs(grams) ** 2 / products
    return _never_apart(np.where(products > 0, apart, np.nan), _DEPENDENT * rounding)


def same_columns(factors: ComplexArray, n_targets: int, rounding: float) -> tuple[int, int] | None:
    """The first two targets whose echoes are one and the same, to rounding, on every link that carries any."""
    n_nodes = len(factors)
    amplitude = factors[:, :, factors.shape[2] - n_nodes * n_targets :]
    links = amplitude.reshape(n_nodes, -1, n_nodes, n_targets).swapaxes(1, 2)
    lengths = np.linalg.norm(links, axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = links / lengths[:, :, None]
    along = np.einsum("nmrk,nmrq->nmkq", unit.conj(), unit)
    difference = unit[:, :, :, None, :] - unit[:, :, :, :, None] * along[:, :, None]
    return _never_apart(np.linalg.norm(difference, axis=2), _DEPENDENT * rounding)


def _never_apart(apart: RealArray, limit: float) -> tuple[int, int] | None:
    """The first pair of targets with ``apart`` (N, N, K, K) within the limit wherever it is a number."""
    heard = np.isfinite(apart)
    same = heard.any(axis=(0, 1)) & np.all((apart <= limit) | ~heard, axis=(0, 1))
    pairs = np.argwhere(np.triu(same, 1))
    return None if not len(pairs) else (int(pairs[0, 0]), int(pairs[0, 1]))
