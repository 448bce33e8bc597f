"""Scenarios on disk: settings as TOML, explicit amplitude, channel and allocation arrays in an NPZ beside it."""

from __future__ import annotations

import codecs
import math
import struct
import tomllib
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from disac.simulator.errors import MAX_ENTRIES, ScenarioError

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

    A byte-order mark is passed over. An array is read only where it is declared with the shape that the settings imply,
    so that a small file cannot ask for much memory.

    Raises
    ------
    ScenarioError : the file is not TOML in UTF-8, names an archive that is not there, or holds a wrong value.
    FileNotFoundError : there is no such file.
    """
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ScenarioError(f"{path}: is UTF-16, not UTF-8; save it as UTF-8")
    try:
        settings = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"{path}: not a TOML file: {error}") from None
    if "arrays" in settings:
        name = settings.pop("arrays")
        if not isinstance(name, str) or {"/", "\\", "\0"} & set(name) or Path(name).name != name or ":" in name:
            raise ScenarioError(f"{path}: arrays = {name!r}: must be the name of a file in the same folder")
        archive = path.parent / name
        if not archive.is_file():
            raise ScenarioError(f"{path}: arrays = {name!r}: no such file beside it")
        settings.update(_read_arrays(archive, _array_shapes(settings)))
    return settings


def _array_shapes(settings: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays that the settings imply; none where they name no valid sizes and are refused anyway."""
    try:
        n, k, u = (len(settings[name]) for name in ("nodes", "targets", "users"))
        n_subcarriers, n_tx = int(settings.get("n_subcarriers", 16)), int(settings.get("n_tx", 6))
    except (KeyError, TypeError, ValueError, OverflowError):
        return {}
    shapes = {
        "amplitudes": (n, n, k),
        "channels": (n, u, n_subcarriers, n_tx),
        "subcarrier_allocation": (n_subcarriers,),
    }
    return {name: shape for name, shape in shapes.items() if math.prod(shape) <= MAX_ENTRIES}


def _read_arrays(archive: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The arrays of an NPZ that have the given names and shapes.

    Raises
    ------
    ScenarioError : the archive is damaged, or an array has another name, shape or type; the message names the file.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(archive) as members:
            for member in members.namelist():
                name = member.removesuffix(".npy")
                if name not in _ARRAYS:
                    raise ScenarioError(f"{archive}: holds {name!r}; the arrays are {', '.join(_ARRAYS)}")
                if name not in shapes:
                    continue
                with members.open(member) as file:
                    shape, kind = _declared(file)
                if shape != shapes[name] or kind not in "iufc":
                    raise ScenarioError(
                        f"{archive}: {name} has shape {shape} and type kind {kind!r}, must be numbers of shape "
                        f"{shapes[name]}"
                    )
                with members.open(member) as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    except ScenarioError:
        raise
    except (ValueError, EOFError, RuntimeError, OSError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise ScenarioError(f"{archive}: not a sound NPZ file: {error}") from None
    return arrays


def _declared(file: IO[bytes]) -> tuple[tuple[int, ...], str]:
    """Shape and kind of type that the header of an NPY file declares."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype.kind
