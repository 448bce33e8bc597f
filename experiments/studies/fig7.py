"""Study "fig7": trade-off for two and four nodes (K = U = 1, M = 6, B = 20 MHz)."""

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


class Fig7Settings(FigureSettings):
    """What decides the numbers of Fig. 7."""

    sinr_db: tuple[Decibels, ...] = setting(
        (0.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0),
        "SINR thresholds Gamma_c [dB]; the certified edge of the draws ends them.",
        quick=(0.0, 20.0, 30.0),
    )
    n_nodes: tuple[Few, ...] = setting((2, 4), "Numbers of nodes N.")
    n_targets: int = setting(1, "Targets K.", ge=1, le=4)
    n_users: int = setting(1, "Users U.", ge=1, le=4)
    designs: tuple[Design, ...] = designs_setting()
    n_antennas: int = antennas_setting()
    n_subcarriers: int = subcarriers_setting()
    draws: int = draws_setting(8, quick=3)
    refined: int = refined_setting(2, quick=1)


@register_study("fig7")
class Fig7(PaperFigure[Fig7Settings]):
    """Figure 7 of the paper."""

    summary = "Bounds of the designs against the SINR threshold for two and four nodes."
    title = "Trade-off for two and four nodes (K = U = 1, M = 6, B = 20 MHz)"
    place = 5
    Settings = Fig7Settings
    kind = "designs"
    x = "sinr_db"
    series = "n_nodes"
    stated = ("n_targets", "n_users")
    layout = "axes"
    compared = (
        "As in the paper, four nodes gain in both CRB and largest threshold. The distance from P.1 to the "
        "dashed line, without phase knowledge, grows with the number of nodes."
    )
    left_open = (
        TWO_NODES,
        ONE_TARGET,
    )
