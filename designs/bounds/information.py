"""The Fisher information matrix as the blocks of Eq. (46), in the form from which bounds are computed fast."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from disac.simulator.checks import check_integer, check_numbers

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class InformationBlocks:
    """The blocks T, E and G of Eq. (46), kept complex and per receive node, scaled by 2 L / sigma_s^2.

    An amplitude b enters as Re b and Im b with derivatives of the mean that differ by the factor j, so one complex
    entry stands for the real entries of both; amplitudes of different receive nodes share no information.

    Attributes
    ----------
    geometry : (S, S) block T of x_1..x_K, y_1..y_K and, in the nuisance modes, the NK nuisance angles or delays; then
        the clock offsets where they are parameters.
    cross : (N, S, NK) block E, receive node n against its amplitudes b[n, m, k] in (m, k) order; the entry for Re b is
        its real part, the one for Im b minus its imaginary part.
    amplitude : (N, NK, NK) Hermitian block G of the amplitudes of each receive node.
    n_targets : K.
    n_coordinates : coordinates of each target, 2 for its position or 4 for position and velocity; they come first.
    """

    geometry: RealArray
    cross: ComplexArray
    amplitude: ComplexArray
    n_targets: int
    n_coordinates: int = 2

    @property
    def n_nodes(self) -> int:
        """Number of nodes N."""
        return len(self.amplitude)

    @property
    def n_wanted(self) -> int:
        """Number of leading geometry parameters that are wanted: positions, and velocities where they are unknown."""
        return self.n_coordinates * self.n_targets

    def with_nuisance_prior(self, prior: RealArray) -> Self:
        """The blocks with prior information (Z, Z) on the last Z nuisance parameters added."""
        geometry = self.geometry.copy()
        last = slice(len(geometry) - len(prior), None)
        geometry[last, last] += prior
        return replace(self, geometry=geometry)

    def matrix(self) -> RealArray:
        """The Fisher information matrix (P, P) in the parameter order of :class:`FisherOperator`."""
        n_nodes, n_geometry, per_node = self.cross.shape
        n_positions, n_amplitudes = self.n_wanted, n_nodes * per_node
        information = np.zeros((n_geometry + 2 * n_amplitudes,) * 2)
        shape_rows = np.r_[:n_positions, n_positions + 2 * n_amplitudes : len(information)]
        information[np.ix_(shape_rows, shape_rows)] = self.geometry
        re = slice(n_positions, n_positions + n_amplitudes)
        im = slice(re.stop, re.stop + n_amplitudes)
        cross = self.cross.transpose(1, 0, 2).reshape(n_geometry, n_amplitudes)
        information[shape_rows, re], information[shape_rows, im] = cross.real, -cross.imag
        information[re, shape_rows], information[im, shape_rows] = cross.real.T, -cross.imag.T
        for n, block in enumerate(self.amplitude):
            own_re = slice(re.start + n * per_node, re.start + (n + 1) * per_node)
            own_im = slice(im.start + n * per_node, im.start + (n + 1) * per_node)
            information[own_re, own_re] = information[own_im, own_im] = block.real
            information[own_re, own_im], information[own_im, own_re] = -block.imag, block.imag
        return information

    @classmethod
    def from_matrix(cls, information: RealArray, n_targets: int) -> Self:
        """The blocks of a matrix that :meth:`matrix` returned, or of a combination of such matrices.

        The number of nodes and whether there are nuisance parameters follow from the size.

        Raises
        ------
        ValueError : the matrix is not symmetric or its size fits no mode with this number of targets.
        """
        check_integer("n_targets", n_targets, 1)
        information = check_numbers("information", information, real=True).astype(float)
        n_nodes, plain = _nodes_of(information.shape, n_targets)
        if not np.allclose(information, information.T, rtol=0, atol=1e-9 * np.abs(information).max()):
            raise ValueError("information: is not symmetric, must be a Fisher information matrix")
        n_positions, per_node = 2 * n_targets, n_nodes * n_targets
        n_amplitudes = n_nodes * per_node
        shape_rows = np.r_[:n_positions, plain : len(information)]
        re = slice(n_positions, n_positions + n_amplitudes)
        im = slice(re.stop, plain)
        cross = (information[shape_rows, re] - 1j * information[shape_rows, im]).reshape(-1, n_nodes, per_node)
        amplitude = (information[re, re] + 1j * information[im, re]).reshape(n_nodes, per_node, n_nodes, per_node)
        own = np.arange(n_nodes)
        geometry = information[np.ix_(shape_rows, shape_rows)]
        return cls(geometry, cross.transpose(1, 0, 2), amplitude[own, :, own, :], n_targets)


def _nodes_of(shape: tuple[int, ...], n_targets: int) -> tuple[int, int]:
    """Number of nodes N of a square information matrix, and 2K + 2KN^2, to which nuisance parameters may add."""
    size = shape[0] if len(shape) == 2 and shape[0] == shape[1] else 0
    n_nodes = math.isqrt(max(size // (2 * n_targets) - 1, 0))
    plain = 2 * n_targets * (1 + n_nodes**2)
    nuisance, clocks = n_nodes * n_targets, n_nodes - 1
    if n_nodes == 0 or size - plain not in (0, nuisance, clocks, nuisance + clocks):
        raise ValueError(
            f"information: has shape {shape}, must be square of size 2K + 2KN^2, or NK more in a nuisance mode, "
            f"or N - 1 more with clock offsets, with K = n_targets = {n_targets}"
        )
    return n_nodes, plain
