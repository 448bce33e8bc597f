"""Study "fig5": trade-off for several numbers of users (N = 2, K = 2, B = 20 MHz)."""

from __future__ import annotations

from disac.experiments.paper.study import (
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


class Fig5Settings(FigureSettings):
    """What decides the numbers of Fig. 5."""

    sinr_db: tuple[Decibels, ...] = setting(
        (0.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0),
        "SINR thresholds Gamma_c [dB]; the certified edge of the draws ends them.",
        quick=(0.0, 20.0, 30.0),
    )
    n_users: tuple[Few, ...] = setting((1, 2, 3), "Numbers of users U.")
    n_nodes: int = setting(2, "Nodes, the first of Section V-A.", ge=1, le=4)
    n_targets: int = setting(2, "Targets K.", ge=1, le=4)
    designs: tuple[Design, ...] = designs_setting()
    n_antennas: int = antennas_setting()
    n_subcarriers: int = subcarriers_setting()
    draws: int = draws_setting(8, quick=2)
    refined: int = refined_setting(2, quick=0)


@register_study("fig5")
class Fig5(PaperFigure[Fig5Settings]):
    """Figure 5 of the paper."""

    summary = "Bounds of the designs against the SINR threshold for several numbers of users."
    title = "Trade-off for several numbers of users (N = 2, K = 2, B = 20 MHz)"
    place = 3
    Settings = Fig5Settings
    kind = "designs"
    x = "sinr_db"
    series = "n_users"
    stated = ("n_nodes", "n_targets")
    layout = "axes"
    compared = (
        "In full, as in the paper, P.1 lies below P.2 and P.2 below P.3, and users cost CRB and largest "
        "threshold; unlike there, P.3's signals lie above its line, P.1's markers are signals that keep power "
        "and SINR, which the printed extraction does not, and the dashed line shows P.1 when nobody knows the "
        "phases between nodes."
    )
    left_open = (TWO_NODES,)
