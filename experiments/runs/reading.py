"""Files of a run as they may come from anywhere: what cannot be read is one error that names the file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from disac.experiments.runs.file import StoreError


def read_toml(path: Path) -> dict[str, Any]:
    """The table that a TOML file holds.

    Raises
    ------
    StoreError : the file cannot be read or is no TOML.
    """
    found: dict[str, Any] = _read(path, tomllib.loads, dict, "TOML")
    return found


def read_json(path: Path, kind: type[Any]) -> Any:
    """What a JSON file holds, of the Python type ``kind``.

    Raises
    ------
    StoreError : the file cannot be read, is no JSON, or holds something else.
    """
    return _read(path, json.loads, kind, "JSON")


def _read(path: Path, parse: Callable[[str], Any], kind: type[Any], language: str) -> Any:
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read as {language}: {error}") from None
    if not isinstance(found, kind):
        raise StoreError(f"{path}: holds {type(found).__name__}, not {kind.__name__}")
    return found
