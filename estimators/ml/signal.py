"""The statistics of one trial and the scene in the layout that the likelihood kernels read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from disac.estimators.ml.statistics import Statistics

RealArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]


SILENT = 1e-250
"""Share of the strongest power below which a node counts as silent: squares of such shares are no numbers."""


class Signal(NamedTuple):
    """Statistics of one trial without the blocks of silent nodes, which are exactly zero.

    A *pair* is a node that transmits on a subcarrier; pairs are sorted by node, then subcarrier. An *overlap* is a pair
    of pairs (m, l), (m', l) on one subcarrier, sorted by m, m', l; orthogonal signals overlap only with themselves.

    Attributes
    ----------
    active : nodes that transmit at all.
    node, line : (P,) node and subcarrier of each pair.
    start : (N + 1,) pairs of node m are start[m] : start[m + 1].
    overlap_start : (N^2 + 1,) overlaps of (m, m') start at entry m N + m'.
    own, other : (Q,) the two pairs of each overlap.
    cross_r, cross_i : (N, M_r, M_t P) sums of y x^H, the pair running fastest.
    gram_r, gram_i : (M_t, M_t, Q) sums of x_m' x_m^H, rows m', columns m.
    orthogonal : no two nodes share a subcarrier.
    energy : sum of |y|^2.
    n_samples : number of received samples.
    """

    active: IndexArray
    node: IndexArray
    line: IndexArray
    start: IndexArray
    overlap_start: IndexArray
    own: IndexArray
    other: IndexArray
    cross_r: RealArray
    cross_i: RealArray
    gram_r: RealArray
    gram_i: RealArray
    orthogonal: bool
    energy: float
    n_samples: int


class Scene(NamedTuple):
    """What is known of the geometry, and how the link variables follow from the parameters.

    Attributes
    ----------
    nodes, orientations : (N, 2) [m] and (N,) [rad].
    delay_scale : delay in radians per subcarrier of one metre, 2 pi B / (L c).
    area : (2, 2) [[x_min, x_max], [y_min, y_max]] that holds every estimate [m].
    angle_rule, delay_rule : TIED, FIXED or FREE of :mod:`disac.estimators.ml.likelihood`.
    """

    nodes: RealArray
    orientations: RealArray
    delay_scale: float
    area: RealArray
    angle_rule: int
    delay_rule: int


def kernel_signal(statistics: Statistics) -> Signal:
    """Sort the statistics of a trial into pairs and overlaps."""
    n_nodes, _, n_rx = statistics.cross.shape[:3]
    n_tx = statistics.gram.shape[2]
    power = np.einsum("lmimi->ml", statistics.gram).real
    transmits = power > SILENT * power.max(initial=0.0)
    node, line = np.nonzero(transmits)
    first, second, shared = np.nonzero(transmits[:, None, :] & transmits[None, :, :])
    pair_of = np.cumsum(transmits).reshape(transmits.shape) - 1
    cross = statistics.cross.transpose(0, 2, 4, 3, 1)[:, :, :, node, line].reshape(n_nodes, n_rx, n_tx * len(node))
    gram = statistics.gram.transpose(2, 4, 0, 1, 3)[:, :, shared, second, first]
    return Signal(
        active=np.flatnonzero(transmits.any(axis=1)),
        node=node,
        line=line,
        start=np.searchsorted(node, np.arange(n_nodes + 1)),
        overlap_start=np.searchsorted(first * n_nodes + second, np.arange(n_nodes**2 + 1)),
        own=pair_of[first, shared],
        other=pair_of[second, shared],
        cross_r=np.ascontiguousarray(cross.real),
        cross_i=np.ascontiguousarray(cross.imag),
        gram_r=np.ascontiguousarray(gram.real),
        gram_i=np.ascontiguousarray(gram.imag),
        orthogonal=len(shared) == len(node),
        energy=statistics.energy,
        n_samples=statistics.n_samples,
    )
