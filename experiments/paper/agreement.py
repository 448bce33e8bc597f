"""Points of the paper's figures solved by two solvers: their certified intervals must overlap."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import cast

import numpy as np

from disac.experiments.paper.bounds import solve_trial
from disac.experiments.paper.evidence import Evidence, FigureDraws
from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.trials.keys import Point, TrialKey

TABLE = "solvers.csv"


@dataclass(frozen=True)
class Agreement:
    """One convex problem solved twice; the optimum lies between bound and value of each [m^2]."""

    figure: str
    design: str
    series: int
    x: float
    native_bound: float
    native_value: float
    other_bound: float
    other_value: float

    @property
    def overlap(self) -> bool:
        """Whether both intervals can hold the same optimum."""
        return self.native_bound <= self.other_value and self.other_bound <= self.native_value

    @property
    def difference(self) -> float:
        """Relative difference of the two values."""
        return abs(self.native_value / self.other_value - 1)


def check_solvers(
    evidence: Evidence,
    folder: Path,
    *,
    seed: int,
    other: str = "clarabel",
    say: Callable[[str], object] = lambda text: None,
) -> list[Agreement]:
    """Solve three points of every design of some figures by two solvers, for the first draw, and write the table.

    Parameters
    ----------
    evidence : the figures.
    folder : where ``solvers.csv`` goes.
    other : the general solver. Points are taken from what does not take it minutes (:func:`_is_slow`). Run times are of
        both solvers anyway: all their points are compared.
    """
    found: list[Agreement] = []
    for name, draws in evidence.items():
        spec = draws.sweep
        if spec.kind == "times":
            found += _solved_twice(draws, other)
            write_agreement(found, folder)
            continue
        for point in _three_points(draws):
            key = TrialKey(seed, 0, 0)
            own = solve_trial({**point, "solver": "native"}, key, refined=False)
            second = solve_trial({**point, "solver": other}, key, refined=False)
            if not own["feasible"]:
                continue
            ends = [cast(float, record[end]) for record in (own, second) for end in ("lower_bound_m2", "relaxed_m2")]
            item = Agreement(name, str(point["design"]), int(point[spec.series[0]]), float(point[spec.x]), *ends)
            found.append(item)
            write_agreement(found, folder)
            say(f"{name} {item.design} {item.series} {item.x:g}: {item.difference:.1e}, overlap {item.overlap}")
    return found


def _solved_twice(draws: FigureDraws, other: str) -> Iterator[Agreement]:
    """The first draw of every point of a table of run times, which holds both solvers' certificates already."""
    points, spec = draws.points, draws.sweep
    for own in points:
        twins = [point for point in points if point.fields == {**own.fields, "solver": other}]
        if own.fields["solver"] == "native" and twins:
            first = np.zeros(1, dtype=np.intp)
            ends = [
                float(point.values(end, first)[0])
                for point in (own, twins[0])
                for end in ("lower_bound_m2", "relaxed_m2")
            ]
            fields = own.fields
            yield Agreement(spec.name, str(fields["design"]), int(fields[spec.series[0]]), float(fields[spec.x]), *ends)


def _is_slow(point: Point) -> bool:
    """Whether a general solver needs minutes: P.1 with more than two nodes, more than 10 antennas."""
    shape = PaperScenario.at(point)
    return shape.n_antennas > 10 or (point["design"] == "p1" and shape.n_nodes > 2)


def _three_points(draws: FigureDraws) -> Iterator[Point]:
    """First, middle and last abscissa of every design, each in another series where there are several."""
    spec = draws.sweep
    points = [point.fields for point in draws.points if not _is_slow(point.fields)]
    for design in spec.designs:
        own = [point for point in points if point["design"] == design]
        values = [value for value in spec.series[1] if any(point[spec.series[0]] == value for point in own)]
        for place in range(3 if own else 0):
            value = values[min(place, len(values) - 1)]
            line = [point for point in own if point[spec.series[0]] == value]
            line.sort(key=lambda point: float(point[spec.x]))
            yield line[(0, len(line) // 2, len(line) - 1)[place]]


def write_agreement(found: list[Agreement], folder: Path) -> None:
    """Write ``solvers.csv``."""
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Agreement)])
        writer.writeheader()
        writer.writerows(asdict(item) for item in found)


def read_agreement(folder: Path) -> list[Agreement]:
    """What ``solvers.csv`` in a folder holds; nothing where there is none."""
    path = folder / TABLE
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Agreement(row["figure"], row["design"], int(row["series"]), *(float(v) for v in list(row.values())[3:]))
            for row in csv.DictReader(file)
        ]
