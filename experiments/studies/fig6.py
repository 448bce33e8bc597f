"""Study "fig6": trade-off for several numbers of targets (N = 2, U = 1, B = 20 MHz)."""

from __future__ import annotations

from disac.experiments.paper.study import (
    ONE_TARGET,
    TWO_NODES,
    Design,
    Few,
    FigureSettings,
    PaperFigure,
    antennas_setting,
    designs_setting,
    draws_setting,
    refined_setting,
    subcarriers_setting,
)
from disac.experiments.study.protocol import register_study
from disac.experiments.study.settings import Decibels, setting


class Fig6Settings(FigureSettings):
    """What decides the numbers of Fig. 6."""

    sinr_db: tuple[Decibels, ...] = setting(
        (0.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0),
        "SINR thresholds Gamma_c [dB]; the certified edge of the draws ends them.",
        quick=(0.0, 20.0, 30.0),
    )
    n_targets: tuple[Few, ...] = setting((1, 2, 3), "Numbers of targets K.")
    n_nodes: int = setting(2, "Nodes, the first of Section V-A.", ge=1, le=4)
    n_users: int = setting(1, "Users U.", ge=1, le=4)
    designs: tuple[Design, ...] = designs_setting()
    n_antennas: int = antennas_setting()
    n_subcarriers: int = subcarriers_setting()
    draws: int = draws_setting(8, quick=2)
    refined: int = refined_setting(2, quick=0)


@register_study("fig6")
class Fig6(PaperFigure[Fig6Settings]):
    """Figure 6 of the paper."""

    summary = "Bounds of the designs against the SINR threshold for several numbers of targets."
    title = "Trade-off for several numbers of targets (N = 2, U = 1, B = 20 MHz)"
    place = 4
    Settings = Fig6Settings
    kind = "designs"
    x = "sinr_db"
    series = "n_targets"
    stated = ("n_nodes", "n_users")
    layout = "axes"
    compared = (
        "As in the paper, targets cost CRB and leave the largest threshold where it is. The block-diagonal "
        "P.1 and the dashed line, without phase knowledge, are not in the paper."
    )
    left_open = (
        TWO_NODES,
        ONE_TARGET,
    )
