"""Study "table3": run time against nodes (K = U = 1, L = 16, M = 6)."""

from __future__ import annotations

from disac.experiments.paper.study import (
    MEASURED,
    ONE_TARGET,
    Design,
    Few,
    FigureSettings,
    PaperFigure,
    Solver,
    antennas_setting,
    designs_setting,
    draws_setting,
    slow_draws_setting,
    solvers_setting,
    subcarriers_setting,
)
from disac.experiments.study.protocol import register_study
from disac.experiments.study.settings import setting


class Table3Settings(FigureSettings):
    """What decides the numbers of Table 3."""

    n_nodes: tuple[Few, ...] = setting((2, 3, 4), "Numbers of nodes N.")
    n_targets: int = setting(1, "Targets K.", ge=1, le=4)
    n_users: int = setting(1, "Users U.", ge=1, le=4)
    sinr_db: float = setting(20.0, "SINR threshold Gamma_c [dB].", ge=-300.0, le=300.0)
    designs: tuple[Design, ...] = designs_setting()
    solvers: tuple[Solver, ...] = solvers_setting()
    n_antennas: int = antennas_setting()
    n_subcarriers: int = subcarriers_setting()
    draws: int = draws_setting(6, quick=2)
    slow_at: tuple[Few, ...] = setting(
        (2, 3, 4), "Numbers of nodes at which Clarabel solves P.1 too, in minutes.", quick=(2,)
    )
    slow_draws: int = slow_draws_setting()


@register_study("table3")
class Table3(PaperFigure[Table3Settings]):
    """Table 3 of the paper."""

    summary = "Run times against nodes."
    title = "Run time against nodes (K = U = 1, L = 16, M = 6)"
    place = 9
    Settings = Table3Settings
    kind = "times"
    x = "n_nodes"
    series = "n_users"
    stated = ("n_targets", "sinr_db")
    layout = "axes"
    compared = (
        "Crosses are the paper's seconds on its machine. In full, the general solver's times fall from P.1 to "
        "P.2 to P.3 as in the paper; the native solver is faster and has another order of P.2 and P.3."
    )
    left_open = (
        ("threshold, bandwidth", "20 dB, 20 MHz"),
        ("which two or three nodes", "the first ones of Section V-A"),
        ONE_TARGET,
        MEASURED,
    )
