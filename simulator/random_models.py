"""Seeded random models of target amplitudes and user channels, drawn reproducibly from their fields alone."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

ComplexArray = NDArray[np.complex128]

_AMPLITUDES, _CHANNELS = 1, 2


class RandomModel(BaseModel):
    """Settings common to the random models: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    seed: Annotated[int, Field(ge=0, le=2**63 - 1)]

    def _generator(self, purpose: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self.seed, spawn_key=(purpose,))))


def _circular_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> ComplexArray:
    pairs = rng.standard_normal((*shape, 2))
    samples: ComplexArray = (pairs[..., 0] + 1j * pairs[..., 1]) / np.sqrt(2)
    return samples


class RandomAmplitudes(RandomModel):
    """Target amplitudes b[rx, tx, target] whose mean of |b|^2 over all links is exactly ``mean_power_db``.

    Attributes
    ----------
    seed : seed of the draw.
    mean_power_db : mean of |b|^2 over the N^2 K links of every draw [dB], as in Section V of the paper.
    fading : "rayleigh" draws circular normal amplitudes, "constant" gives all links one modulus and random phases.
    """

    mean_power_db: Annotated[float, Field(ge=-300, le=300)] = 10.0
    fading: Literal["rayleigh", "constant"] = "rayleigh"

    def draw(self, n_nodes: int, n_targets: int) -> ComplexArray:
        """Amplitudes of shape (N, N, K)."""
        amplitudes = _circular_normal(self._generator(_AMPLITUDES), (n_nodes, n_nodes, n_targets))
        if self.fading == "constant":
            amplitudes = amplitudes / np.abs(amplitudes)
        mean_power = np.mean(np.abs(amplitudes) ** 2)
        scaled: ComplexArray = amplitudes * np.sqrt(10 ** (self.mean_power_db / 10) / mean_power)
        return scaled


class RandomChannels(RandomModel):
    """Rayleigh user channels h[n, u, l, m_t], independent per node, user, subcarrier and antenna.

    The mean gain E|h|^2 per antenna is ``mean_power_db`` over the ensemble, not over one draw.
    """

    mean_power_db: Annotated[float, Field(ge=-300, le=300)] = 0.0

    def draw(self, n_nodes: int, n_users: int, n_subcarriers: int, n_tx: int) -> ComplexArray:
        """Channels of shape (N, U, L, M_t)."""
        channels = _circular_normal(self._generator(_CHANNELS), (n_nodes, n_users, n_subcarriers, n_tx))
        scaled: ComplexArray = channels * 10 ** (self.mean_power_db / 20)
        return scaled
