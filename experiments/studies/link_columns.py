"""Units and meanings of the columns of a link record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from disac.experiments.trials.experiment import Column
from disac.simulator import Scenario


def estimator_prefix(index: int, name: str) -> str:
    """What the columns of the estimator of this number begin with: nothing for the first, its name for others."""
    return f"{name}: " if index else ""


def own_record(record: Mapping[str, Any], index: int, estimators: Sequence[str]) -> dict[str, Any] | None:
    """Columns of a record that concern one estimator, under plain names; None where it gave no estimate."""
    prefix = estimator_prefix(index, estimators[index])
    known = {name: value for name, value in record.items() if value == value}
    if f"{prefix}sq_error_m2" not in known:
        return None
    of_others = tuple(estimator_prefix(i, name) for i, name in enumerate(estimators) if i)
    shared = {name: value for name, value in known.items() if not of_others or not name.startswith(of_others)}
    if not prefix:
        return shared
    own = {name.removeprefix(prefix): value for name, value in known.items() if name.startswith(prefix)}
    return {name: value for name, value in shared.items() if name not in _OF_ESTIMATORS} | own


def link_columns(scenario: Scenario, *, pilots: bool, estimators: Sequence[str] = ("ml",)) -> dict[str, Column]:
    """Columns of the records of one case, in the order of the records.

    Parameters
    ----------
    pilots : bool
        Whether users estimate their channels.
    estimators : sequence of str
        Names of the estimators. Where there are several, a trial without an estimate of one counts for the others.
    """
    columns = {f"phase_{n}_rad": Column("rad", f"phase of node {n}") for n in range(scenario.n_nodes)}
    columns["snr_sense"] = Column("1", "power of the noise-free echoes over that of the noise drawn, a ratio")
    for index, name in enumerate(estimators):
        for column, meaning in _localization_columns(scenario):
            required = meaning.required and len(estimators) == 1
            columns[f"{estimator_prefix(index, name)}{column}"] = replace(meaning, required=required)
    return columns | dict(_detection_columns(scenario, pilots))


_OF_ESTIMATORS = frozenset({"claimed_m2", "search_missed", "gradient_norm", "iterations"})
"""Columns that an estimator may lack; without its own it must not get those of another."""


def _localization_columns(s: Scenario) -> Iterator[tuple[str, Column]]:
    yield "sq_error_m2", Column("m^2", "squared error of all positions")
    yield "crb_m2", Column("m^2", "trace of the bound for the symbols and phases of this trial")
    yield "crb_squared_m4", Column("m^4", "squared Frobenius norm of that bound")
    yield "mahalanobis2", Column("1", "squared error in units of that bound")
    yield "claimed_m2", Column("m^2", "trace of the covariance that the estimator claims", required=False)
    yield "converged", Column("1", "whether the estimator came to its end, a maximum in ML's case")
    yield "at_edge", Column("1", "whether an estimate lies on the edge of the search area")
    yield "search_missed", Column("1", "whether the truth explains the data better, ML alone", required=False)
    yield "gradient_norm", Column("1", "Newton decrement at the end", required=False)
    yield "iterations", Column("1", "Newton steps", required=False)
    for k in range(s.n_targets):
        for name in "xy":
            yield f"error_{name}{k}_m", Column("m", f"error of {name} of target {k}")
            yield f"crb_{name}{k}_m2", Column("m^2", "its bound for the symbols and phases of this trial")


def _detection_columns(s: Scenario, pilots: bool) -> Iterator[tuple[str, Column]]:
    if not s.n_users:
        return
    yield "snr_comm", Column("1", "power of the users' noise-free signals over that of the noise drawn, a ratio")
    yield "bits", Column("1", "bits sent to all users")
    yield "independent_groups", Column("1", "groups of resource elements whose bit errors are independent")
    if pilots:
        yield "independent_groups_estimated", Column("1", "the same with estimated channels")
    for kind in ("known", "estimated") if pilots else ("known",):
        for u in range(s.n_users):
            yield f"bit_errors_{kind}_u{u}", Column("1", f"wrong bits of user {u}, channel {kind}")
        if kind == "known":
            yield "bit_errors", Column("1", "wrong bits of all users, channels known")
    yield "ber_theory", Column("1", "exact bit error rate given channels and phases")
    yield "ber_theory_gaussian", Column("1", "bit error rate if interference were Gaussian")
    yield "ber_theory_average_sinr", Column("1", "Gaussian bit error rate at the average SINR of the designs")
    if pilots:
        yield "ber_estimated_theory", Column("1", "exact bit error rate given the estimated channels")
