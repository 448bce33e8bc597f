"""What a run keeps of its designs' certificates: ``designs.json`` in the run folder, a flat record per design."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disac.experiments.runs.reading import read_json
from disac.experiments.runs.replacing import replace_text

if TYPE_CHECKING:
    from disac.designs import DesignResult

FILE = "designs.json"


FAR_ABOVE = 0.2
"""Share of RCRB by which what a design sends may exceed its own problem's value before every output says so."""


def design_mark(record: Mapping[str, Any]) -> tuple[str, str]:
    """A mark for tables and legends, and a note, on a design that is not solved or sends far more than it solved for.

    Parameters
    ----------
    record : Mapping
        As :func:`design_record` makes it.

    Returns
    -------
    tuple of str
        Both empty where there is nothing to say.
    """
    named = f"design {record['fields'].get('design', '')}"
    if record.get("given"):
        return "given", f"{named}: precoders of a file; no problem was solved, so nothing is proved of them"
    if record["status"] != "solved":
        found = f"relative gap {record['gap']:.1e}, largest violation {record['residual']:.1e}"
        return record["status"], f"{named} is {record['status']}: {found}"
    excess = math.sqrt(record["value_m2"] / record["relaxed_value_m2"]) - 1
    if excess > FAR_ABOVE:
        return "", f"{named} sends {100 * excess:.0f} % of RCRB above the value of its own problem"
    return "", ""


def design_record(result: DesignResult, fields: Mapping[str, Any], *, given: bool = False) -> dict[str, Any]:
    """The certificate of one design as plain numbers, with the swept ``fields`` that tell it from the others.

    ``given`` marks precoders that came from a file.
    """
    certificate = result.certificate
    return {
        "fields": dict(fields),
        "given": given,
        "solver": result.solver,
        "status": result.status,
        "solver_status": result.solver_status,
        "lower_bound_m2": float(result.lower_bound),
        "relaxed_value_m2": float(result.relaxed_value),
        "value_m2": float(result.value),
        "gap": float(result.gap),
        "extraction_loss": float(result.extraction_loss),
        "residual": float(certificate.residual),
        "least_sinr_db": float(10 * np.log10(certificate.sinr.min())) if certificate.sinr.size else None,
        "largest_power": float(certificate.antenna_power.max() / result.scenario.tx_power),
        "solve_seconds": float(result.solve_seconds),
        "compile_seconds": float(result.compile_seconds),
        "iterations": int(result.iterations),
    }


def save_design_records(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write the records into a run folder."""
    replace_text(folder / FILE, json.dumps(list(records), indent=2) + "\n")


def load_design_records(folder: Path) -> list[dict[str, Any]]:
    """The records of a run folder, none when it keeps none."""
    path = folder / FILE
    records: list[dict[str, Any]] = read_json(path, list) if path.is_file() else []
    return records
