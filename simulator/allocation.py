"""Which node serves which subcarrier under orthogonal signaling: the paper's comb, and what else there is."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

IndexArray = NDArray[np.intp]

_ALLOCATION = 3


class SubcarrierAllocation(BaseModel):
    """A rule for the (L,) nodes of the subcarriers; every node serves floor(L / N) of them or one more.

    Attributes
    ----------
    kind : "interleaved", node l mod N serves subcarrier l (Eq. 30, counted from 0): full aperture in frequency, but
        delays repeat with L / (N B). "block", node floor(l N / L): nothing repeats before L / B, at 1 / N of the
        aperture. "random", a permutation of the interleaved one: full aperture, repetitions turned into sidelobes.
    seed : seed of the permutation.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["interleaved", "block", "random"] = "interleaved"
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0

    def draw(self, n_nodes: int, n_subcarriers: int) -> IndexArray:
        """(L,) node of each subcarrier."""
        subcarriers = np.arange(n_subcarriers)
        if self.kind == "block":
            return subcarriers * n_nodes // n_subcarriers
        nodes = subcarriers % n_nodes
        if self.kind == "random":
            sequence = np.random.SeedSequence(self.seed, spawn_key=(_ALLOCATION,))
            nodes = np.random.Generator(np.random.Philox(sequence)).permutation(nodes)
        return nodes
