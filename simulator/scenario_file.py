"""Scenarios on disk: settings as TOML, explicit amplitude, channel and allocation arrays in an NPZ beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from disac.simulator.errors import ScenarioError

if TYPE_CHECKING:
    from disac.simulator.scenario import Scenario

_ARRAYS = {"amplitudes": "amplitude_model", "channels": "channel_model", "subcarrier_allocation": "allocation_model"}


def write_toml(scenario: Scenario, path: Path) -> None:
    """Write ``scenario`` to ``path`` and, where it holds explicit arrays, to the NPZ of the same stem."""
    settings: dict[str, Any] = {}
    arrays = {}
    for name in type(scenario).model_fields:
        value = getattr(scenario, name)
        if name in _ARRAYS.values():
            continue
        if name in _ARRAYS:
            model = getattr(scenario, _ARRAYS[name])
            if model is None:
                arrays[name] = value
            else:
                settings[name] = model.model_dump()
        else:
            settings[name] = value.tolist() if isinstance(value, np.ndarray) else value
    if arrays:
        archive = path.with_suffix(".npz")
        np.savez(archive, allow_pickle=False, **arrays)
        settings["arrays"] = archive.name
    path.write_text(tomli_w.dumps(settings), encoding="utf-8")


def read_settings(path: Path) -> dict[str, Any]:
    """Read the fields of a scenario; the key ``arrays`` names an NPZ in the same folder that holds explicit arrays.

    Raises
    ------
    ScenarioError : the file is not TOML, names an archive that is not there, or holds a wrong value.
    FileNotFoundError : there is no such file.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: not a TOML file: {error}") from None
    if "arrays" in settings:
        archive = path.parent / settings.pop("arrays")
        if not archive.is_file():
            raise ScenarioError(f"arrays = {archive.name!r}: no such file beside {path}")
        with np.load(archive, allow_pickle=False) as stored:
            settings.update({name: stored[name] for name in stored.files})
    return settings
