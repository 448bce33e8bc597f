"""From covariances to precoders: Theorems 2 and 3, Eq. (27)-(28) and (33)-(34)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]

WORTHWHILE = 1e-4
"""Relative loss of an extraction that is worth better precoders."""


def data_precoders(scenario: Scenario, comm_covariances: ComplexArray) -> ComplexArray:
    """(N, U, L, M_t) precoders w = R_c h / sqrt(h^H R_c h) of Eq. (27), (33).

    w w^H never exceeds R_c and gives its own user the same power. Where h^H R_c h = 0, to rounding, R_c serves nobody
    and w = 0 (the theorems assume it positive).
    """
    channels = scenario.channels
    filtered = np.einsum("nulmk,nulk->nulm", comm_covariances, channels)
    useful = np.real(np.einsum("nulm,nulm->nul", channels.conj(), filtered))
    trace = np.real(np.einsum("nulmm->nul", comm_covariances))
    gain = np.sum(np.abs(channels) ** 2, axis=-1)
    serves = useful > 1e-14 * trace * gain
    precoders: ComplexArray = np.where(serves, 1 / np.sqrt(np.where(serves, useful, 1)), 0)[..., None] * filtered
    return precoders


def factors(covariances: ComplexArray) -> ComplexArray:
    """Square factors W of positive semidefinite matrices W W^H (..., M, M); negative eigenvalues count as 0."""
    values, vectors = np.linalg.eigh(covariances)
    result: ComplexArray = vectors * np.sqrt(np.maximum(values, 0))[..., None, :]
    return result


def outer(precoders: ComplexArray) -> ComplexArray:
    """w w^H of vectors (..., M)."""
    return precoders[..., :, None] * precoders[..., None, :].conj()
