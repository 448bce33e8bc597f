"""Study "fig4a": localization methods against bandwidth (P.2, N = 4, K = U = 2, M = 6, threshold 30 dB)."""

from __future__ import annotations

from disac.experiments.paper.study import (
    FigureSettings,
    Hertz,
    PaperFigure,
    antennas_setting,
    draws_setting,
    subcarriers_setting,
)
from disac.experiments.study.protocol import register_study
from disac.experiments.study.settings import setting


class Fig4aSettings(FigureSettings):
    """What decides the numbers of Fig. 4a."""

    bandwidth_hz: tuple[Hertz, ...] = setting(
        (1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6), "Bandwidths B [Hz].", quick=(1e6, 5e6, 20e6, 100e6)
    )
    n_nodes: int = setting(4, "Nodes, the first of Section V-A.", ge=1, le=4)
    n_targets: int = setting(2, "Targets K.", ge=1, le=4)
    n_users: int = setting(2, "Users U.", ge=1, le=4)
    sinr_db: float = setting(30.0, "SINR threshold Gamma_c [dB].", ge=-300.0, le=300.0)
    n_antennas: int = antennas_setting()
    n_subcarriers: int = subcarriers_setting()
    draws: int = draws_setting(12, quick=6)


@register_study("fig4a")
class Fig4a(PaperFigure[Fig4aSettings]):
    """Figure 4a of the paper."""

    summary = "TOF, AOA and hybrid bounds against bandwidth."
    title = "Localization methods against bandwidth (P.2, N = 4, K = U = 2, M = 6, threshold 30 dB)"
    place = 1
    Settings = Fig4aSettings
    kind = "modes"
    x = "bandwidth_hz"
    series = "n_nodes"
    stated = ("n_targets", "n_users", "sinr_db")
    layout = "fig4"
    compared = (
        "As in the paper, TOF falls onto the hybrid bound as the bandwidth grows while AOA hardly gains; the "
        "dotted bounds, of receivers that do not know the other quantity, are not in the paper."
    )
    left_open = (
        ("what a single-method localizer knows", "the paper's genie; the nuisance bounds are drawn beside it"),
    )
