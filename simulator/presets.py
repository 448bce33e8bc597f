"""The paper's setups of Section V by name, each with what the paper leaves unstated and what we chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.simulator.random_models import RandomAmplitudes, RandomChannels

PAPER_NODES_M = ((-46.19, -19.13), (46.19, -19.13), (-19.13, -46.19), (19.13, -46.19))
"""Positions of the paper's four nodes, 50 m from the origin [m]."""


@dataclass(frozen=True)
class Preset:
    """A named scenario of the paper.

    Attributes
    ----------
    fields : of the :class:`~disac.simulator.Scenario`; ``Scenario.preset(name)`` builds it.
    source : where the paper states it.
    sinr_db : the SINR threshold Gamma_c that goes with it [dB].
    unstated : pairs of what the paper leaves open and what we chose.
    """

    name: str
    source: str
    fields: Mapping[str, Any]
    sinr_db: float
    unstated: tuple[tuple[str, str], ...]


_COMMON = (
    ("P_T itself", "tx_power = 1; noise_comm = noise_sense = 0.01 gives the stated P_T / sigma^2 = 20 dB"),
    ("number of OFDM symbols T", "n_symbols = 16"),
    ("cyclic prefix", "n_cyclic_prefix = L // 4 samples"),
    (
        "law of the target amplitudes",
        "circular normal, scaled so that every draw has the stated mean of 10 dB; no reciprocity",
    ),
    ("seeds and number of draws", "amplitude and channel seed 0, one draw"),
    ("gain of the Rayleigh channels", "E|h|^2 = 1 per antenna over the ensemble, independent per subcarrier"),
    ("search area of the localization", "120 m x 120 m, not centred on a target"),
)


def targets_on_x_axis(n_targets: int) -> NDArray[np.float64]:
    """K targets spread over x in [-30, 30] m, y = 0 (Section V-B); a single one sits at the origin."""
    x = np.linspace(-30.0, 30.0, n_targets) if n_targets > 1 else np.zeros(1)
    return np.stack([x, np.zeros(n_targets)], axis=-1)


def users_on_y_axis(n_users: int) -> NDArray[np.float64]:
    """U users spread over y in [-20, 20] m, x = 0 (Section V-B); a single one sits at y = -20 m."""
    return np.stack([np.zeros(n_users), np.linspace(-20.0, 20.0, n_users)], axis=-1)


@cache
def _presets() -> dict[str, Preset]:
    shared = {
        "n_tx": 6,
        "n_rx": 6,
        "n_subcarriers": 16,
        "n_symbols": 16,
        "tx_power": 1.0,
        "noise_comm": 0.01,
        "noise_sense": 0.01,
        "amplitudes": RandomAmplitudes(seed=0),
        "channels": RandomChannels(seed=0),
        "area": [[-63.0, 57.0], [-55.0, 65.0]],
    }
    one_target = ("position of the single target and user", "target at the origin, user at (0, -20) m")
    return {
        preset.name: preset
        for preset in (
            Preset(
                name="fig4",
                source="Section V-A, Fig. 4: N = 4, K = 2, U = 2, B = 10 MHz, Gamma_c = 30 dB, design P.2",
                fields=dict(
                    nodes=PAPER_NODES_M,
                    targets=[[0.0, 0.0], [0.0, 10.0]],
                    users=[[0.0, -20.0], [0.0, 20.0]],
                    bandwidth_hz=10e6,
                    **shared,
                ),
                sinr_db=30.0,
                unstated=_COMMON,
            ),
            Preset(
                name="fig5",
                source="Section V-B, Fig. 5 and 6: N = 2, K = 2, B = 20 MHz, users and targets varied",
                fields=dict(
                    nodes=PAPER_NODES_M[:2],
                    targets=targets_on_x_axis(2),
                    users=users_on_y_axis(2),
                    bandwidth_hz=20e6,
                    **shared,
                ),
                sinr_db=20.0,
                unstated=(
                    ("which two nodes", "the first two of Section V-A"),
                    ("numbers of users in Fig. 5", "U = 2 here; users_on_y_axis gives others"),
                    ("grid of Gamma_c", "20 dB here; the figure sweeps it"),
                    *_COMMON,
                ),
            ),
            Preset(
                name="fig7",
                source="Section V-B, Fig. 7: N = 4, K = U = 1, B = 20 MHz",
                fields=dict(
                    nodes=PAPER_NODES_M,
                    targets=targets_on_x_axis(1),
                    users=users_on_y_axis(1),
                    bandwidth_hz=20e6,
                    **shared,
                ),
                sinr_db=20.0,
                unstated=(
                    one_target,
                    ("number of nodes shown here", "N = 4; the figure also has N = 2, the first two nodes"),
                    ("grid of Gamma_c", "20 dB here; the figure sweeps it"),
                    *_COMMON,
                ),
            ),
        )
    }


def preset_names() -> tuple[str, ...]:
    """Names of all presets."""
    return tuple(_presets())


def preset(name: str) -> Preset:
    """The preset called ``name``.

    Raises
    ------
    ValueError : no preset has this name; the message lists those that exist.
    """
    known = _presets()
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"preset = {name!r}: must be one of {', '.join(known)}")
    return known[name]
