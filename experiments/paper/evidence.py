"""The draws of the paper's figures as evidence: paired comparisons of points and their intervals.

Comparisons are paired by draw. A ratio is the geometric mean over draws of a ratio of RCRBs, its 95 % interval
Student's t on the logarithms; over several points each draw first takes its own mean, so that points that share a draw
do not count as independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.paper.sweeps import Sweep
from disac.experiments.statistics.draws import PointDraws, common_trials

RealArray = NDArray[np.float64]


@dataclass(frozen=True)
class FigureDraws:
    """Draws of one figure, restricted to those feasible at every point."""

    sweep: Sweep
    points: tuple[PointDraws, ...]
    edges: tuple[PointDraws, ...]

    @cached_property
    def trials(self) -> NDArray[np.intp]:
        """Draws that are feasible at all points."""
        return common_trials(self.points)

    def select(self, **fields: Any) -> list[PointDraws]:
        """Points with these fields."""
        return [point for point in self.points if all(point.fields.get(k) == v for k, v in fields.items())]

    def values(self, field: str, **fields: Any) -> list[Any]:
        """Sorted values of a field among the points with the others."""
        return sorted({point.fields[field] for point in self.select(**fields)})

    def shared_values(self, field: str, selections: Iterable[dict[str, Any]]) -> list[Any]:
        """Values of a field at which every selection has a point."""
        return sorted(set.intersection(*(set(self.values(field, **fields)) for fields in selections)))

    def column(self, name: str, **fields: Any) -> RealArray:
        """A column of the one point with these fields, over the common draws."""
        (point,) = self.select(**fields)
        return point.values(name, self.trials)

    def log_rcrb(self, column: str, **fields: Any) -> RealArray:
        """Logarithm of the RCRB of each draw."""
        return 0.5 * np.log(self.column(column, **fields))

    def pairs(self, first: dict[str, Any], second: dict[str, Any], columns: tuple[str, str]) -> RealArray:
        """(points, draws) logarithms of RCRB ratios first / second at all points that both have, series by series."""
        spec = self.sweep
        series, values = spec.series
        rows = []
        for value in values:
            a, b = first | {series: value}, second | {series: value}
            for x in self.shared_values(spec.x, (a, b)):
                at = {spec.x: x}
                rows.append(self.log_rcrb(columns[0], **a, **at) - self.log_rcrb(columns[1], **b, **at))
        return np.array(rows).reshape(len(rows), self.trials.size)


Evidence = dict[str, FigureDraws]
"""Figures by name."""


def over_figures(evidence: Evidence, names: Sequence[str], logs: Callable[[FigureDraws], RealArray]) -> RealArray:
    """(points, draws) of several figures; draws are the same in all of them, missing ones NaN."""
    blocks = []
    width = max((int(evidence[name].trials.max(initial=-1)) + 1 for name in names if name in evidence), default=0)
    for name in names:
        if name in evidence:
            values = logs(evidence[name])
            block = np.full((len(values), width), np.nan)
            block[:, evidence[name].trials] = values
            blocks.append(block)
    return np.concatenate(blocks) if blocks else np.empty((0, 0))


def present(evidence: Evidence, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in evidence)


def finite(values: RealArray) -> RealArray:
    return values[np.isfinite(values)]


def every(draws: FigureDraws, column: str, **fields: Any) -> RealArray:
    found = [point.values(column, draws.trials) for point in draws.select(**fields)]
    return finite(np.concatenate(found)) if found else np.empty(0)
