"""From records to one row per point: RMSE and BER with intervals beside their bounds, as table and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from disac.experiments.statistics.intervals import (
    bootstrap_rmse_interval,
    chi_square_rmse_interval,
    clustered_error_rate_interval,
    share_upper_bound,
    zero_error_bound,
)
from disac.experiments.statistics.rounding import (
    number_text,
    text_beside_interval,
    text_with_interval,
    upper_bound_text,
)
from disac.experiments.trials.keys import Purpose, TrialKey, point_key

Record = Mapping[str, Any]
Row = dict[str, Any]

GROSS_ERROR_PROBABILITY = 1e-7
"""A trial is a gross error when its error, measured in the realized CRB, would be this unlikely for a Gaussian of that
covariance: the estimate sits on another peak of the likelihood."""


BOOTSTRAP_TRIALS = 50
"""Trials from which the RMSE's interval is the bootstrap-t. Resamples of fewer trials cover too seldom; there the
interval is that of Gaussian errors with the realized CRB's (effective) degrees of freedom, which gross errors break."""


BELOW_LEVEL = 0.999
"""Confidence from which an RMSE below its bound is noted."""
BELOW_BOUND = "RMSE below its bound: area-limited or biased, the bound does not apply"
"""The note on such a row."""


def summarize_point(
    point: Mapping[str, Any],
    records: Sequence[Record],
    *,
    failed: int,
    expected_crb_m2: NDArray[np.float64],
    seed: int,
    stop_reason: str,
    level: float = 0.95,
) -> Row:
    """The row of ``summary.csv`` for one point of a link experiment.

    Parameters
    ----------
    point : its swept fields.
    records : records of the trials that gave an estimate; outliers and unconverged fits included.
    failed : number of trials without one; a count above zero marks the row.
    expected_crb_m2 : (2K,) diagonal of the expected bound.
    seed : the campaign's seed, which also keys the bootstrap.
    stop_reason : why the point has this many trials.
    level : confidence level of the intervals.
    """
    row: Row = {
        **point,
        "trials": len(records),
        "failed": failed,
        "status": "ok" if not failed else f"{failed} failed",
        "stop_reason": stop_reason,
        "rcrb_expected_m": float(np.sqrt(expected_crb_m2.sum())),
        "seed": seed,
        "interval_level": level,
    }
    if not records:
        return {**row, "status": "no estimate"}
    row.update(_localization(point, records, seed, level))
    if "bits" in records[0] and len(records) > 1:
        row.update(_detection(records, level))
    return row


def infeasible_row(point: Mapping[str, Any], reason: str) -> Row:
    """The row of a point whose design problem has no solution, or at which no position is identifiable."""
    status = reason if reason.startswith("unidentifiable:") else f"infeasible: {reason}"
    return {**point, "trials": 0, "failed": 0, "status": status}


def _column(records: Sequence[Record], name: str) -> NDArray[np.float64]:
    return np.array([record[name] for record in records], dtype=float)


def _localization(point: Mapping[str, Any], records: Sequence[Record], seed: int, level: float) -> Row:
    squared, bound = _column(records, "sq_error_m2"), _column(records, "crb_m2")
    n_targets = sum(name.startswith("error_x") for name in records[0])
    rng = TrialKey(seed, point_key(point), 0).generator(Purpose.BOOTSTRAP)
    rmse, rcrb = float(np.sqrt(squared.mean())), float(np.sqrt(bound.mean()))
    row: Row = {"rmse_m": rmse, "rcrb_realized_m": rcrb, "ratio": rmse / rcrb}
    if len(records) > 1:
        degrees = float(len(records) * bound.mean() ** 2 / _column(records, "crb_squared_m4").mean())
        if len(records) < BOOTSTRAP_TRIALS:
            absolute = chi_square_rmse_interval(rmse, degrees, level)
            relative = chi_square_rmse_interval(rmse / rcrb, degrees, level)
        else:
            absolute = bootstrap_rmse_interval(squared, rng=rng, level=level)
            relative = bootstrap_rmse_interval(squared, bounds=bound, rng=rng, level=level)
        row.update(rmse_low_m=absolute.low, rmse_high_m=absolute.high, rmse_interval=absolute.method)
        row.update(ratio_low=relative.low, ratio_high=relative.high)
        if relative.high < 1 and _surely_below(squared, bound, degrees, rng):
            row["note"] = BELOW_BOUND
    for axis in "xy":
        per_target = np.stack([_column(records, f"error_{axis}{k}_m") for k in range(n_targets)])
        bounds = np.stack([_column(records, f"crb_{axis}{k}_m2") for k in range(n_targets)])
        row[f"rmse_{axis}_m"] = float(np.sqrt(np.mean(np.sum(per_target**2, axis=0))))
        row[f"rcrb_{axis}_m"] = float(np.sqrt(np.mean(bounds.sum(axis=0))))
        for k in range(n_targets):
            row[f"rmse_{axis}{k}_m"] = float(np.sqrt(np.mean(per_target[k] ** 2)))
            row[f"rcrb_{axis}{k}_m"] = float(np.sqrt(np.mean(bounds[k])))
            row[f"bias_{axis}{k}_m"] = float(np.mean(per_target[k]))
    gross = count_gross_errors(records, n_targets)
    row.update(
        gross_errors=gross,
        gross_error_rate_high=share_upper_bound(gross, len(records), level),
        unconverged=int(np.sum(_column(records, "converged") == 0)),
        at_edge=int(_column(records, "at_edge").sum()),
        **({"search_missed": int(_column(records, "search_missed").sum())} if "search_missed" in records[0] else {}),
        snr_sense_measured_db=float(10 * np.log10(_column(records, "snr_sense").mean())),
    )
    return row


def _surely_below(
    squared: NDArray[np.float64], bound: NDArray[np.float64], degrees: float, rng: np.random.Generator
) -> bool:
    """Whether the RMSE lies below the root bound with :data:`BELOW_LEVEL` confidence, one-sided."""
    level = 2 * BELOW_LEVEL - 1
    if squared.size < BOOTSTRAP_TRIALS:
        return chi_square_rmse_interval(float(np.sqrt(squared.mean() / bound.mean())), degrees, level).high < 1
    return bootstrap_rmse_interval(squared, bounds=bound, rng=rng, level=level, n_resamples=10_000).high < 1


def count_gross_errors(records: Sequence[Record], n_targets: int) -> int:
    """Trials whose error is a gross one (:data:`GROSS_ERROR_PROBABILITY`)."""
    limit = chdtri(2 * n_targets, GROSS_ERROR_PROBABILITY)
    return int(np.sum(_column(records, "mahalanobis2") > limit))


def _detection(records: Sequence[Record], level: float) -> Row:
    users = [name.rsplit("_u", 1)[1] for name in records[0] if name.startswith("bit_errors_known_u")]
    bits = np.full(len(records), int(records[0]["bits"]))
    row: Row = {
        "snr_comm_measured_db": float(10 * np.log10(_column(records, "snr_comm").mean())),
        "bits": int(bits.sum()),
    }
    for kind, prefix in (("known", "ber"), ("estimated", "ber_estimated")):
        if f"bit_errors_{kind}_u{users[0]}" not in records[0]:
            continue
        per_user = np.stack([_column(records, f"bit_errors_{kind}_u{u}") for u in users])
        errors = per_user.sum(axis=0)
        if errors.sum() == 0:
            groups = _column(records, "independent_groups" if kind == "known" else "independent_groups_estimated")
            interval = zero_error_bound(int(groups.sum()), level)
        else:
            interval = clustered_error_rate_interval(errors, bits, level)
        row.update(
            {
                prefix: float(errors.sum() / bits.sum()),
                f"{prefix}_low": interval.low,
                f"{prefix}_high": interval.high,
                f"{prefix}_errors": int(errors.sum()),
            }
        )
        for u, mean in zip(users, len(users) * per_user.mean(axis=1) / records[0]["bits"], strict=True):
            row[f"{prefix}_u{u}"] = float(mean)
    for name in ("ber_theory", "ber_theory_gaussian", "ber_theory_average_sinr", "ber_estimated_theory"):
        if name in records[0]:
            row[name] = float(_column(records, name).mean())
    return row


def table_lines(rows: Sequence[Row], fields: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the table that the terminal shows: the design and swept fields that vary, then results."""
    varying = [name for name in fields if name == "design" or len({row.get(name) for row in rows}) > 1]
    if varying == ["design"]:
        varying += fields[-1:] if fields[-1] != "design" else []
    estimated = any("ber_estimated" in row for row in rows)
    bers = ("BER (95 %)", "theory", *(("BER, channel estimated", "theory") if estimated else ()))
    missed = any(row.get("search_missed") for row in rows)
    counts = ("trials", "failed", *(("missed",) if missed else ()))
    paired = ("RMSE over that of",) if any(row.get("paired_ratio") is not None for row in rows) else ()
    header = [*varying, "RMSE [m] (95 %)", "RCRB realized", "expected", "ratio (95 %)", *paired, *bers, *counts]
    bounds = ("rcrb_realized_m", "rcrb_expected_m")
    cells = []
    for row in rows:
        fields_text = [_field_text(row.get(name)) for name in varying]
        counts_text = [str(row["trials"]), str(row["failed"]), *([str(row.get("search_missed", ""))] if missed else [])]
        if row.get("rmse_m") is None:
            blanks = [""] * (3 + len(paired) + len(bers))
            cells.append([*fields_text, row["status"].partition(":")[0], *blanks, *counts_text])
            continue
        bers_text = [_ber_text(row, "ber"), _theory_text(row, "ber", "ber_theory")]
        if estimated:
            bers_text += [_ber_text(row, "ber_estimated"), _theory_text(row, "ber_estimated", "ber_estimated_theory")]
        cells.append(
            [
                *fields_text,
                text_with_interval(row["rmse_m"], *_ends(row, "rmse", "_m")),
                *(text_beside_interval(row[name], row["rmse_m"], *_ends(row, "rmse", "_m")) for name in bounds),
                text_with_interval(row["ratio"], *_ends(row, "ratio")) + (" *" if row.get("note") else ""),
                *([_paired_text(row)] if paired else []),
                *bers_text,
                *counts_text,
            ]
        )
    return header, cells


def notes(rows: Sequence[Row]) -> list[str]:
    """What is to be said of the rows that the table marks with a star."""
    return [f"* {note}" for note in dict.fromkeys(row["note"] for row in rows if row.get("note"))]


def _paired_text(row: Row) -> str:
    if row.get("paired_ratio") is None:
        return ""
    return f"{row['paired_with']}: {text_with_interval(row['paired_ratio'], *_ends(row, 'paired_ratio'))}"


def _field_text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def _ends(row: Row, name: str, unit: str = "") -> tuple[float, float]:
    return row.get(f"{name}_low{unit}", np.nan), row.get(f"{name}_high{unit}", np.nan)


def _ber_text(row: Row, name: str) -> str:
    if name not in row:
        return ""
    low, high = _ends(row, name)
    return f"{upper_bound_text(high)} (0 errors)" if row[name] == 0 else text_with_interval(row[name], low, high)


def _theory_text(row: Row, name: str, theory: str) -> str:
    if theory not in row:
        return ""
    low, high = _ends(row, name)
    return (
        number_text(row[theory]) if row.get(name, 0) == 0 else text_beside_interval(row[theory], row[name], low, high)
    )
