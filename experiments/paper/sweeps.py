"""Points of a figure or table of Section V: what it varies, cut at the certified edge where it varies the threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.trials.keys import PointValue

Case = tuple[tuple[str, PointValue], ...]
Kind = Literal["modes", "designs", "times"]
"""What is plotted: one design's bounds in several modes, several designs' bounds, or run times."""

NEAR_EDGE_DB = 3.0
"""Where a sweep of the SINR threshold has one more point, below its last: the bounds rise steeply from there on."""

EDGE_MARGIN_DB = 0.05
"""A sweep of the SINR threshold ends this far below the smallest certified edge of its draws: on the edge itself only
data is sent, and the convex problem has no interior."""


@dataclass(frozen=True)
class Sweep:
    """The points of one figure or table.

    Attributes
    ----------
    name : of its study.
    kind : what is plotted.
    x, grid : the field on the abscissa and its values; a sweep of the SINR threshold also has its last point at the
        certified edge.
    series : field and values that tell lines apart, besides the design.
    fixed : fields that all points share.
    designs, solvers : what is solved, and by which solvers.
    slow : (design, solver) whose solves take minutes: made at ``slow_grid`` only.
    slow_grid : values of the abscissa of the slow solves.
    """

    name: str
    kind: Kind
    x: str
    grid: tuple[float, ...]
    series: tuple[str, tuple[int, ...]]
    fixed: Mapping[str, PointValue]
    designs: tuple[str, ...]
    solvers: tuple[str, ...] = ("native",)
    slow: frozenset[tuple[str, str]] = frozenset()
    slow_grid: tuple[float, ...] = ()

    def cases(self, edges_db: Mapping[tuple[bool, int], float] | None = None) -> tuple[Case, ...]:
        """Points of the designs.

        Parameters
        ----------
        edges_db : for a sweep of the SINR threshold, the smallest edge of all draws by (interleaved, series value); the
            grid is cut there, and its last points put there, less :data:`EDGE_MARGIN_DB` and :data:`NEAR_EDGE_DB`.
        """
        cases = []
        for value, solver, design in product(self.series[1], self.solvers, self.designs):
            if (design, solver) in self.slow:
                continue
            grid: list[float] = list(self.grid)
            if self.x == "sinr_db":
                if edges_db is None:
                    raise ValueError("edges_db is needed for a sweep of the SINR threshold")
                last = edges_db[is_interleaved(design), value] - EDGE_MARGIN_DB
                grid = [*(x for x in grid if x < last), last - NEAR_EDGE_DB, last]
            cases += [self._case(design, solver, value, x) for x in grid]
        return tuple(cases)

    def slow_cases(self) -> tuple[Case, ...]:
        """Points of the slow solves."""
        return tuple(
            self._case(design, solver, value, x)
            for design, solver in sorted(self.slow)
            for value in self.series[1]
            for x in self.slow_grid
        )

    def _case(self, design: str, solver: str, value: int, x: float) -> Case:
        own = {self.series[0]: value, self.x: int(x) if self.x.startswith("n_") else float(x)}
        return tuple({"design": design, "solver": solver, **self.fixed, **own}.items())

    def edge_cases(self) -> tuple[Case, ...]:
        """Points of the largest feasible threshold; none where the threshold is not swept."""
        if self.x != "sinr_db":
            return ()
        name, values = self.series
        kinds = sorted({is_interleaved(design) for design in self.designs})
        return tuple(
            tuple({"interleaved": kind, **self.fixed, name: value}.items()) for kind, value in product(kinds, values)
        )


def is_interleaved(design: str) -> bool:
    """Whether one node alone serves each subcarrier."""
    return design in ("p2", "p3", "p3-true")


PAPER_SECONDS: Mapping[str, tuple[float, ...]] = {
    "p1": (2.92, 7.66, 52.86),
    "p2": (1.78, 2.96, 12.7),
    "p3": (1.16, 1.45, 8.82),
}
"""Table III: seconds at N = 2, 3, 4."""


def stated_variables(design: str, scenario: PaperScenario) -> int:
    """Q_1, Q_2, Q_3 of Eq. (42)-(44)."""
    m2 = scenario.n_antennas**2
    n, u, subcarriers = scenario.n_nodes, scenario.n_users, scenario.n_subcarriers
    match design:
        case "p1":
            return m2 * n * n * subcarriers + m2 * n * u * subcarriers
        case "p2":
            return m2 * (subcarriers + u * subcarriers)
        case "p3":
            return m2 * (n + u * subcarriers)
    raise ValueError(f"design = {design!r}: Eq. (42)-(44) count those of p1, p2 and p3")
