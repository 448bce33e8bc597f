"""What a run keeps of its designs' certificates: ``designs.json`` in the run folder, a flat record per design."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disac.experiments.runs.reading import read_json
from disac.experiments.runs.replacing import replace_text

if TYPE_CHECKING:
    from disac.designs import DesignResult

FILE = "designs.json"


def design_record(result: DesignResult, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The certificate of one design as plain numbers, with the swept ``fields`` that tell it from the others."""
    certificate = result.certificate
    return {
        "fields": dict(fields),
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
