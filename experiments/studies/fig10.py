"""Study "fig10": run time against subcarriers (N = 2, K = U = 1, M = 6)."""

from __future__ import annotations

from disac.experiments.paper.study import (
    MEASURED,
    ONE_TARGET,
    TWO_NODES,
    Design,
    FigureSettings,
    PaperFigure,
    Solver,
    Subcarriers,
    antennas_setting,
    designs_setting,
    draws_setting,
    slow_draws_setting,
    solvers_setting,
)
from disac.experiments.study.protocol import register_study
from disac.experiments.study.settings import setting


class Fig10Settings(FigureSettings):
    """What decides the numbers of Fig. 10."""

    n_subcarriers: tuple[Subcarriers, ...] = setting((8, 16, 32, 64), "Numbers of subcarriers L.", quick=(8, 16, 32))
    n_nodes: int = setting(2, "Nodes, the first of Section V-A.", ge=1, le=4)
    n_targets: int = setting(1, "Targets K.", ge=1, le=4)
    n_users: int = setting(1, "Users U.", ge=1, le=4)
    sinr_db: float = setting(20.0, "SINR threshold Gamma_c [dB].", ge=-300.0, le=300.0)
    designs: tuple[Design, ...] = designs_setting()
    solvers: tuple[Solver, ...] = solvers_setting()
    n_antennas: int = antennas_setting()
    draws: int = draws_setting(6, quick=2)
    slow_at: tuple[Subcarriers, ...] = setting(
        (8, 16, 32, 64), "Subcarriers at which Clarabel solves P.1 too, in minutes.", quick=(8, 16)
    )
    slow_draws: int = slow_draws_setting()


@register_study("fig10")
class Fig10(PaperFigure[Fig10Settings]):
    """Figure 10 of the paper."""

    summary = "Run times against subcarriers, and numbers of variables."
    title = "Run time against subcarriers (N = 2, K = U = 1, M = 6)"
    place = 8
    Settings = Fig10Settings
    kind = "times"
    x = "n_subcarriers"
    series = "n_users"
    stated = ("n_nodes", "n_targets", "sinr_db")
    layout = "axes"
    compared = (
        "Times are those of this machine. In full, the general solver's (dashed) grow with L and fall from "
        "P.1 to P.2 to P.3, as in the paper; the native one is faster, with another order of P.2 and P.3."
    )
    left_open = (
        ("number of nodes and users, threshold, bandwidth", "N = 2, U = 1, 20 dB, 20 MHz"),
        TWO_NODES,
        ONE_TARGET,
        MEASURED,
    )
