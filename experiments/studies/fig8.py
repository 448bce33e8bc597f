"""Study "fig8": designs against bandwidth (N = 2, K = U = 1, M = 6, threshold 30 dB)."""

from __future__ import annotations

from disac.experiments.paper.study import (
    ONE_TARGET,
    TWO_NODES,
    Design,
    FigureSettings,
    Hertz,
    PaperFigure,
    antennas_setting,
    designs_setting,
    draws_setting,
    refined_setting,
    subcarriers_setting,
)
from disac.experiments.study.protocol import register_study
from disac.experiments.study.settings import setting


class Fig8Settings(FigureSettings):
    """What decides the numbers of Fig. 8."""

    bandwidth_hz: tuple[Hertz, ...] = setting(
        (1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6), "Bandwidths B [Hz].", quick=(1e6, 5e6, 20e6, 100e6)
    )
    n_nodes: int = setting(2, "Nodes, the first of Section V-A.", ge=1, le=4)
    n_targets: int = setting(1, "Targets K.", ge=1, le=4)
    n_users: int = setting(1, "Users U.", ge=1, le=4)
    sinr_db: float = setting(30.0, "SINR threshold Gamma_c [dB].", ge=-300.0, le=300.0)
    designs: tuple[Design, ...] = designs_setting()
    n_antennas: int = antennas_setting()
    n_subcarriers: int = subcarriers_setting()
    draws: int = draws_setting(12, quick=6)
    refined: int = refined_setting(3, quick=1)


@register_study("fig8")
class Fig8(PaperFigure[Fig8Settings]):
    """Figure 8 of the paper."""

    summary = "Bounds of the designs against bandwidth."
    title = "Designs against bandwidth (N = 2, K = U = 1, M = 6, threshold 30 dB)"
    place = 6
    Settings = Fig8Settings
    kind = "designs"
    x = "bandwidth_hz"
    series = "n_nodes"
    stated = ("n_targets", "n_users", "sinr_db")
    layout = "axes"
    compared = (
        "In the paper P.2 meets P.1 at large bandwidths; in full P.2 keeps its distance here from P.1 and "
        "from block-diagonal P.1."
    )
    left_open = (
        TWO_NODES,
        ONE_TARGET,
    )
