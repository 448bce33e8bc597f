"""From the draws of a figure to one row per point: averages with intervals, and paired comparisons between points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.runs.store import RunReader
from disac.experiments.statistics.means import root_ratio

RealArray = NDArray[np.float64]
Row = dict[str, Any]

ROOTS = {
    "lower_bound_m2": "rcrb_bound",
    "relaxed_m2": "rcrb_relaxed",
    "value_m2": "rcrb_sent",
    "direct_m2": "rcrb_direct",
    "printed_m2": "rcrb_printed",
    "scaled_m2": "rcrb_scaled",
    "phases_relaxed_m2": "rcrb_phases",
    "phases_value_m2": "rcrb_sent_phases",
    "tof_m2": "rcrb_tof",
    "aoa_m2": "rcrb_aoa",
    "tof-nuisance_m2": "rcrb_tof_nuisance",
    "aoa-nuisance_m2": "rcrb_aoa_nuisance",
}
"""CRB traces of the records and the names of their roots in the summary."""

LOSSES = {"value_m2": "sent_over_bound", "direct_m2": "direct_over_bound"}
"""What extractions lose: the ratio of RCRBs, sent over bound, of the same draws."""

TIMES = ("solve_seconds", "compile_seconds", "total_seconds")


@dataclass(frozen=True)
class PointDraws:
    """All draws of one point.

    Attributes
    ----------
    fields : the point.
    columns : record columns, in trial order; ``trial`` is the trial number.
    failed : trials without a record.
    """

    fields: Mapping[str, Any]
    columns: Mapping[str, NDArray[Any]]
    failed: int = 0

    def values(self, name: str, trials: NDArray[np.intp]) -> RealArray:
        """A column in the given trials; NaN where a trial has none."""
        every = np.full(int(max(trials.max(initial=-1), self.columns["trial"].max(initial=-1))) + 1, np.nan)
        if name in self.columns:
            every[self.columns["trial"]] = self.columns[name]
        return every[trials]

    @property
    def n_draws(self) -> int:
        """Trials that were made."""
        return len(self.columns["trial"]) + self.failed

    @property
    def feasible_trials(self) -> set[int]:
        """Trials in which the design exists."""
        feasible = np.asarray(self.columns.get("feasible", ()), dtype=bool)
        return set(self.columns["trial"][feasible].tolist()) if feasible.size else set()

    @property
    def infeasible(self) -> int:
        """Number of trials in which the design does not exist; a failed trial says nothing of that."""
        return len(self.columns["trial"]) - len(self.feasible_trials)


def without_design(row: Row) -> str:
    """What is to be said of a row without draws: failed is not infeasible."""
    failed, infeasible = row.get("failed", 0), row["infeasible_draws"]
    if not failed:
        return "infeasible in every draw"
    return f"{failed} draws failed" + (f", the other {infeasible} are infeasible" if infeasible else "")


def read_draws(store: Path) -> list[PointDraws]:
    """All points of a stored run."""
    with RunReader(store) as reader, reader.snapshot():
        return [PointDraws(point.fields, reader.table(point.key), point.failed) for point in reader.points()]


def common_trials(points: Sequence[PointDraws]) -> NDArray[np.intp]:
    """Trials feasible at every point: averages over others would compare different channels."""
    shared = set.intersection(*(point.feasible_trials for point in points))
    return np.array(sorted(shared), dtype=np.intp)


def summarize(points: Sequence[PointDraws], edges: Sequence[PointDraws] = (), *, paired: bool = True) -> list[Row]:
    """One row per point, over the draws that are feasible at all points or, if not ``paired``, at the point itself."""
    rows = []
    for point in points:
        shared = common_trials(points if paired else [point])
        row: Row = {
            **point.fields,
            "draws": len(shared),
            "infeasible_draws": point.infeasible,
            "failed": point.failed,
        }
        for column, name in ROOTS.items():
            values = point.values(column, shared)
            values = values[np.isfinite(values)]
            if values.size:
                root, interval = root_ratio(values)
                row |= {
                    f"{name}_m": root,
                    f"{name}_low_m": interval.low,
                    f"{name}_high_m": interval.high,
                    f"{name}_draws": values.size,
                }
        for column, name in LOSSES.items():
            row |= _loss(point, column, name, shared)
        row |= _quality(point, shared)
        rows.append(row)
    return [*rows, *(_edge_row(edge) for edge in edges)]


def summarize_times(points: Sequence[PointDraws], *, paired: bool = True) -> list[Row]:
    """Quartiles of the run times, one row per point over the draws of :func:`summarize`; no rerun repeats them."""
    rows = []
    for point in points:
        shared = common_trials(points if paired else [point])
        row: Row = {**point.fields, "draws": len(shared)}
        for name in TIMES:
            row |= _quartiles(name, point.values(name, shared))
        wall = point.values("solve_seconds", shared) + point.values("compile_seconds", shared)
        row |= _quartiles("build_and_solve_seconds", wall)
        row |= _quartiles("processor_seconds", wall * point.values("processor_share", shared))
        rows.append(row)
    return rows


def _loss(point: PointDraws, column: str, name: str, shared: NDArray[np.intp]) -> Row:
    values, bounds = point.values(column, shared), point.values("lower_bound_m2", shared)
    known = np.isfinite(values)
    if not known.any():
        return {}
    ratio, interval = root_ratio(values[known], bounds[known])
    return {name: ratio, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _quality(point: PointDraws, shared: NDArray[np.intp]) -> Row:
    gap, residual = point.values("gap", shared), point.values("residual", shared)
    row: Row = {
        "worst_gap": float(np.max(gap, initial=0.0)),
        "worst_residual": float(np.max(residual[np.isfinite(residual)], initial=0.0)),
    }
    row["iterations"] = float(np.median(point.values("iterations", shared)))
    variables = point.values("variables", shared)
    if point.fields.get("solver", "native") == "native" and np.all(np.isfinite(variables)) and variables.size:
        row["variables"] = int(variables[0])
    return row


def _quartiles(name: str, values: RealArray) -> Row:
    if not values.size:
        return {}
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    return {f"{name}_{which}": float(q) for which, q in zip(("q1", "median", "q3"), quartiles, strict=True)}


def _edge_row(edge: PointDraws) -> Row:
    values = np.asarray(edge.columns["edge_db"], dtype=float)
    return {
        **edge.fields,
        "draws": values.size,
        "edge_min_db": float(values.min()),
        "edge_median_db": float(np.median(values)),
        "edge_max_db": float(values.max()),
    }
