"""Where the likelihood is searched: settings, the coarse grid and its peaks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disac.simulator.checks import check_integer, check_numbers, check_real
from disac.simulator.geometry import SPEED_OF_LIGHT
from disac.simulator.scenario import Scenario

RealArray = NDArray[np.float64]

MAX_GRID_POINTS = 4_000_000
"""Largest coarse grid that is accepted."""

MIN_GRID_SIDE = 5
"""Grid points along each side of an area that is smaller than the main lobe."""


def check_area(area: object) -> RealArray:
    """A search area as an array [[x_min, x_max], [y_min, y_max]].

    Raises
    ------
    ValueError : it is not of that shape, not finite, or has no extent.
    """
    sides = check_numbers("area", area, real=True).astype(float)
    if sides.shape != (2, 2) or not np.all(sides[:, 0] < sides[:, 1]):
        raise ValueError(f"area = {sides.tolist()}: must be [[x_min, x_max], [y_min, y_max]] with min < max")
    return sides


@dataclass(frozen=True)
class Search:
    """How :func:`disac.estimators.localize` looks for the maximum of the likelihood.

    Attributes
    ----------
    area : [[x_min, x_max], [y_min, y_max]] that holds every estimate [m]; default: the scenario's area.
    step_m : largest spacing of the coarse grid [m]; default: half of the main lobe (:func:`main_lobe_m`), a quarter for
        signals that nodes send on the same subcarriers.
    n_starts : grid peaks from which the climb starts.
    max_cycles : rounds in which each of several targets is searched again with the others held.
    max_iterations : Newton steps of one climb.
    tolerance : Newton decrement that ends a climb, in standard deviations of the estimate.

    Raises
    ------
    ValueError : names the field, its value and the allowed range.
    """

    area: Sequence[Sequence[float]] | RealArray | None = None
    step_m: float | None = None
    n_starts: int = 16
    max_cycles: int = 3
    max_iterations: int = 60
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if self.area is not None:
            area = check_area(self.area)
            object.__setattr__(self, "area", tuple(tuple(side) for side in area.tolist()))
        if self.step_m is not None:
            check_real("step_m", self.step_m, 0, above=True, unit="m")
        for name, least in (("n_starts", 1), ("max_cycles", 0), ("max_iterations", 1)):
            check_integer(name, getattr(self, name), least)
        check_real("tolerance", self.tolerance, 0, 1 - 1e-16, above=True)


@dataclass(frozen=True)
class Grid:
    """Centres of the cells that tile the area, row by row in y.

    Attributes
    ----------
    points : (G, 2) grid points [m].
    shape : numbers of points along y and x, whose product is G.
    step_m : larger of the two spacings [m].
    """

    points: RealArray
    shape: tuple[int, int]
    step_m: float

    def cell(self, count: int) -> RealArray:
        """Offsets (count^2, 2) of the centres of ``count`` by ``count`` cells that tile a grid point's cell [m]."""
        rows, columns = self.shape
        spacing = [np.ptp(self.points[:, axis]) / (n - 1) for axis, n in enumerate((columns, rows))]
        x, y = (((np.arange(count) + 0.5) / count - 0.5) * side for side in spacing)
        return np.stack([np.tile(x, count), np.repeat(y, count)], axis=-1)

    def peaks(self, gain: NDArray[np.floating], count: int) -> list[int]:
        """Indices of the ``count`` highest local maxima of ``gain`` (G,), best first; points at -inf are left out."""
        rows, columns = self.shape
        surface = np.full((rows + 2, columns + 2), -np.inf)
        surface[1:-1, 1:-1] = gain.reshape(self.shape)
        middle = surface[1:-1, 1:-1]
        peak = middle > -np.inf
        for i in (0, 1, 2):
            for j in (0, 1, 2):
                if (i, j) != (1, 1):
                    peak &= middle >= surface[i : i + rows, j : j + columns]
        where = np.flatnonzero(peak)
        return [int(i) for i in where[np.argsort(-gain[where], kind="stable")[:count]]]


def main_lobe_m(scenario: Scenario, area: RealArray, *, delays: bool, angles: bool) -> float:
    """Half-power width of the likelihood's main lobe across the area [m], the narrower of delay and angle.

    The delay lobe is 0.886 c / (2 B) wide. The two-way beam of M_t and M_r half-wavelength spaced antennas is
    0.886 * 2 / sqrt(M_t^2 + M_r^2) rad wide at broadside, times the root mean square distance from the nearest node to
    the points of the area. Closer to a node only that node's own lobe is narrower.
    """
    widths = [float("inf")]
    if delays:
        widths.append(0.886 * SPEED_OF_LIGHT / (2 * scenario.bandwidth_hz))
    if angles and scenario.n_tx * scenario.n_rx > 1:
        spread = float(np.sum((area[:, 1] - area[:, 0]) ** 2)) / 12
        nearest = float(np.min(np.sum((scenario.nodes - area.mean(axis=1)) ** 2, axis=1)))
        widths.append(0.886 * 2 / math.hypot(scenario.n_tx, scenario.n_rx) * math.sqrt(nearest + spread))
    return min(widths)


def coarse_grid(area: RealArray, step_m: float) -> Grid:
    """Grid over ``area`` with spacing of at most ``step_m`` and at least a few points a side.

    Raises
    ------
    ValueError : the grid would have more than ``MAX_GRID_POINTS`` points.
    """
    sides = area[:, 1] - area[:, 0]
    counts = np.maximum(np.ceil(sides / step_m), MIN_GRID_SIDE)
    if counts.prod() > MAX_GRID_POINTS:
        smallest = math.sqrt(float(sides.prod()) / MAX_GRID_POINTS)
        raise ValueError(
            f"step_m = {step_m:.6g}: gives {counts.prod():.3g} grid points, must give at most {MAX_GRID_POINTS}; "
            f"for this area at least about {smallest:.3g} m"
        )
    n_x, n_y = (int(c) for c in counts)
    x = area[0, 0] + (np.arange(n_x) + 0.5) * (sides[0] / n_x)
    y = area[1, 0] + (np.arange(n_y) + 0.5) * (sides[1] / n_y)
    points = np.stack([np.tile(x, n_y), np.repeat(y, n_x)], axis=-1)
    return Grid(points=points, shape=(n_y, n_x), step_m=float(np.max(sides / (n_x, n_y))))
