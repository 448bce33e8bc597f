"""Study "fig4b": localization methods against antennas at constant power (P.2, N = 4, K = U = 2, B = 10 MHz, 30 dB)."""

from __future__ import annotations

from disac.experiments.paper.study import (
    CONSTANT_POWER,
    LEFT_OUT,
    Antennas,
    FigureSettings,
    PaperFigure,
    draws_setting,
    subcarriers_setting,
)
from disac.experiments.study.protocol import register_study
from disac.experiments.study.settings import setting


class Fig4bSettings(FigureSettings):
    """What decides the numbers of Fig. 4b."""

    n_antennas: tuple[Antennas, ...] = setting(
        (6, 8, 10, 12, 16), "Antennas per node at constant power of a node.", quick=(6, 8, 12)
    )
    n_nodes: int = setting(4, "Nodes, the first of Section V-A.", ge=1, le=4)
    n_targets: int = setting(2, "Targets K.", ge=1, le=4)
    n_users: int = setting(2, "Users U.", ge=1, le=4)
    sinr_db: float = setting(30.0, "SINR threshold Gamma_c [dB].", ge=-300.0, le=300.0)
    bandwidth_hz: float = setting(10e6, "Bandwidth B [Hz].", gt=0.0, le=1e12)
    n_subcarriers: int = subcarriers_setting()
    draws: int = draws_setting(12, quick=6)


@register_study("fig4b")
class Fig4b(PaperFigure[Fig4bSettings]):
    """Figure 4b of the paper."""

    summary = "TOF, AOA and hybrid bounds against antennas at constant power."
    title = "Localization methods against antennas at constant power (P.2, N = 4, K = U = 2, B = 10 MHz, 30 dB)"
    place = 2
    Settings = Fig4bSettings
    kind = "modes"
    x = "n_antennas"
    series = "n_nodes"
    stated = ("n_targets", "n_users", "sinr_db", "bandwidth_hz")
    layout = "fig4"
    compared = (
        "As in the paper, AOA gains much more from antennas than TOF at constant power, and the hybrid bound "
        "lies below both."
    )
    left_open = (
        ("fewest antennas", "6; fewer cannot give both users 30 dB on every subcarrier in most draws"),
        CONSTANT_POWER,
        LEFT_OUT,
    )
