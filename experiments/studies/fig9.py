"""Study "fig9": designs against antennas at constant power (N = 2, K = U = 1, B = 5 MHz, threshold 30 dB)."""

from __future__ import annotations

from disac.experiments.paper.study import (
    CONSTANT_POWER,
    LEFT_OUT,
    ONE_TARGET,
    TWO_NODES,
    Antennas,
    Design,
    FigureSettings,
    PaperFigure,
    designs_setting,
    draws_setting,
    refined_setting,
    subcarriers_setting,
)
from disac.experiments.study.protocol import register_study
from disac.experiments.study.settings import setting


class Fig9Settings(FigureSettings):
    """What decides the numbers of Fig. 9."""

    n_antennas: tuple[Antennas, ...] = setting(
        (4, 6, 8, 12, 16), "Antennas per node at constant power of a node.", quick=(4, 6, 8, 12)
    )
    n_nodes: int = setting(2, "Nodes, the first of Section V-A.", ge=1, le=4)
    n_targets: int = setting(1, "Targets K.", ge=1, le=4)
    n_users: int = setting(1, "Users U.", ge=1, le=4)
    sinr_db: float = setting(30.0, "SINR threshold Gamma_c [dB].", ge=-300.0, le=300.0)
    bandwidth_hz: float = setting(5e6, "Bandwidth B [Hz].", gt=0.0, le=1e12)
    designs: tuple[Design, ...] = designs_setting()
    n_subcarriers: int = subcarriers_setting()
    draws: int = draws_setting(10, quick=6)
    refined: int = refined_setting(3, quick=1)


@register_study("fig9")
class Fig9(PaperFigure[Fig9Settings]):
    """Figure 9 of the paper."""

    summary = "Bounds of the designs against antennas at constant power."
    title = "Designs against antennas at constant power (N = 2, K = U = 1, B = 5 MHz, threshold 30 dB)"
    place = 7
    Settings = Fig9Settings
    kind = "designs"
    x = "n_antennas"
    series = "n_nodes"
    stated = ("n_targets", "n_users", "sinr_db", "bandwidth_hz")
    layout = "axes"
    compared = (
        "In full, P.3's bound comes nearer to P.2's as antennas are added at constant power, as in the paper, "
        "but has not met it with 16."
    )
    left_open = (
        CONSTANT_POWER,
        LEFT_OUT,
        TWO_NODES,
        ONE_TARGET,
    )
