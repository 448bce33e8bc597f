"""Precoders on disk: NPZ always, NetCDF with the ``io`` extra."""

from __future__ import annotations

import os
import warnings
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from disac.designs.bounds.crb import Unidentifiable
from disac.designs.precoding.measure import fixed_design
from disac.designs.result import DesignResult
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]

_FORMAT = 1
_SUFFIXES = (".npz", ".nc")
_MOST_STREAMS = 4096


@dataclass(frozen=True)
class SavedPrecoders:
    """Precoders read from a file.

    Attributes
    ----------
    name : the design that they are from; the name of the file where it names none.
    sinr_db : SINR threshold they were designed for [dB]; None without one.
    scenario_digest : digest of the scenario they were designed for; empty where the file names none.
    comm_precoders, radar_precoders : (N, U, L, M_t) and (N, L, M_t, q).
    """

    name: str
    sinr_db: float | None
    scenario_digest: str
    comm_precoders: ComplexArray = field(repr=False)
    radar_precoders: ComplexArray = field(repr=False)


def save_precoders(path: str | os.PathLike[str], result: DesignResult | SavedPrecoders) -> None:
    """Write the precoders of a design with the digest of its scenario; ``path`` ends in .npz or .nc (NetCDF)."""
    path = _checked(path)
    sinr_db = np.nan if result.sinr_db is None else result.sinr_db
    digest = result.scenario_digest if isinstance(result, SavedPrecoders) else result.scenario.digest
    facts = {"format": _FORMAT, "name": result.name, "sinr_db": sinr_db, "scenario": digest}
    if path.suffix == ".npz":
        np.savez(path, comm_precoders=result.comm_precoders, radar_precoders=result.radar_precoders, **facts)  # type: ignore[arg-type]
        return
    import xarray

    arrays = {
        "comm_precoders": (("node", "user", "subcarrier", "tx_antenna"), result.comm_precoders),
        "radar_precoders": (("node", "subcarrier", "tx_antenna", "stream"), result.radar_precoders),
    }
    parts = {
        f"{name}_{part}": (axes, getattr(values, part), {"units": "square root of the unit of tx_power"})
        for name, (axes, values) in arrays.items()
        for part in ("real", "imag")
    }
    xarray.Dataset(parts, attrs=facts).to_netcdf(path, engine="h5netcdf")


def load_precoders(path: str | os.PathLike[str], scenario: Scenario, *, same_scenario: bool = True) -> SavedPrecoders:
    """Read precoders and check that they fit a scenario; ``docs/precoders.md`` describes the files.

    Parameters
    ----------
    path : str or path
        A file that ends in .npz or .nc.
    scenario : Scenario
        What the shapes have to fit.
    same_scenario : bool
        Refuse precoders of a file that names another scenario as the one they were designed for.

    Raises
    ------
    FileNotFoundError : there is no such file.
    ValueError : the file is no precoder file, lacks an array, has one of a wrong shape or type or one that is not
        finite, or belongs to another scenario. The message names file, array, what it has and what is allowed.
    """
    path = _checked(path)
    try:
        saved = _read_npz(path, scenario) if path.suffix == ".npz" else _read_netcdf(path, scenario)
    except FileNotFoundError:
        raise
    except _BadPrecoders as error:
        raise ValueError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, EOFError, OSError, NotImplementedError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: is not a file of precoders ({error})") from None
    if same_scenario and saved.scenario_digest not in ("", scenario.digest):
        raise ValueError(
            f"{path}: designed for scenario {saved.scenario_digest[:12]}, not for {scenario.digest[:12]}; "
            "pass same_scenario=False to use the precoders all the same"
        )
    return saved


def design_of_file(path: str | os.PathLike[str], scenario: Scenario) -> DesignResult:
    """The result of transmitting the precoders of a file, see :func:`disac.designs.fixed_design`.

    The threshold that the file names is kept where the precoders reach it in this scenario. A file that names another
    scenario is warned of.

    Raises
    ------
    FileNotFoundError, ValueError : see :func:`load_precoders`; or an antenna would send more than P_T.
    Unidentifiable : these signals do not localize the targets.
    """
    saved = load_precoders(path, scenario, same_scenario=False)
    if saved.scenario_digest not in ("", scenario.digest):
        warnings.warn(
            f"{path} was designed for another scenario; its SINR and power limits need not hold in this one",
            stacklevel=2,
        )
    try:
        result = fixed_design(scenario, saved.comm_precoders, saved.radar_precoders, name=saved.name)
    except Unidentifiable:
        raise
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    reached = saved.sinr_db is not None and np.all(result.certificate.sinr >= 10 ** (saved.sinr_db / 10) * (1 - 1e-9))
    return replace(result, sinr_db=saved.sinr_db) if reached else result


def is_precoder_file(name: str) -> bool:
    """Whether the name of a design is the path of a file with precoders: it ends in .npz or .nc."""
    return Path(name).suffix in _SUFFIXES


class _BadPrecoders(Exception):
    """Says what is wrong with an array of a file."""


_Shape: TypeAlias = tuple[int | None, ...]


def _expected(s: Scenario) -> dict[str, _Shape]:
    """Shapes of both arrays; None stands for the number of radar streams q."""
    return {
        "comm_precoders": (s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx),
        "radar_precoders": (s.n_nodes, s.n_subcarriers, s.n_tx, None),
    }


def _check_array(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], wanted: _Shape) -> None:
    """Refuse an array by its declared shape and type, before its values are read."""
    text = ", ".join("q" if length is None else str(length) for length in wanted)
    if len(shape) != len(wanted) or any(w not in (None, n) for w, n in zip(wanted, shape, strict=True)):
        raise _BadPrecoders(f"{name} has shape {shape}, the scenario needs ({text})")
    if shape[-1] > _MOST_STREAMS and wanted[-1] is None:
        raise _BadPrecoders(f"{name} has q = {shape[-1]} streams, allowed are at most {_MOST_STREAMS}")
    if dtype.kind not in "fciu":
        raise _BadPrecoders(f"{name} has dtype {dtype}, must be numbers")


def _checked(path: str | os.PathLike[str]) -> Path:
    checked = Path(path)
    if checked.suffix not in _SUFFIXES:
        raise ValueError(f"path = {str(path)!r}: must end in {' or '.join(_SUFFIXES)}")
    return checked


def _read_npz(path: Path, scenario: Scenario) -> SavedPrecoders:
    with path.open("rb") as opened, ZipFile(opened) as archive:
        entries = {name.removesuffix(".npy") for name in archive.namelist()}
        for name, wanted in _expected(scenario).items():
            if name not in entries:
                listed = ", ".join(sorted(entries)) or "nothing"
                raise _BadPrecoders(f"has no array {name}, which a file of precoders needs; it holds {listed}")
            _check_array(name, *_declared(archive, name), wanted)
        facts = {name: _fact(archive, name) for name in ("name", "sinr_db", "scenario") if name in entries}
        opened.seek(0)
        with np.load(opened, allow_pickle=False) as file:
            arrays = file["comm_precoders"], file["radar_precoders"]
    return _saved(path, facts.get("name"), facts.get("sinr_db"), facts.get("scenario"), *arrays)


def _declared(archive: ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that an entry of an NPZ file declares."""
    with archive.open(f"{name}.npy") as entry:
        version = np.lib.format.read_magic(entry)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(entry)
    return shape, dtype


def _fact(archive: ZipFile, name: str) -> Any:
    """A single value of an NPZ file."""
    shape, dtype = _declared(archive, name)
    if shape != () or dtype.itemsize > 4096 or dtype.hasobject:
        raise _BadPrecoders(f"{name} has shape {shape} and dtype {dtype}, must be a single text or number")
    with archive.open(f"{name}.npy") as entry:
        return np.lib.format.read_array(entry, allow_pickle=False).item()


def _read_netcdf(path: Path, scenario: Scenario) -> SavedPrecoders:
    import xarray

    with xarray.open_dataset(path, engine="h5netcdf") as file:
        for name, wanted in _expected(scenario).items():
            for part in (f"{name}_real", f"{name}_imag"):
                if part not in file:
                    raise _BadPrecoders(f"has no variable {part}, which a file of precoders needs")
                _check_array(name, file[part].shape, file[part].dtype, wanted)
        comm, radar = (
            _complex(np.asarray(file[f"{name}_real"]), np.asarray(file[f"{name}_imag"]))
            for name in ("comm_precoders", "radar_precoders")
        )
        facts = file.attrs
        return _saved(path, facts.get("name"), facts.get("sinr_db"), facts.get("scenario"), comm, radar)


def _complex(real: NDArray[np.float64], imag: NDArray[np.float64]) -> ComplexArray:
    """Both parts bit for bit; ``real + 1j * imag`` would lose the signs of zeros, and with them the digest."""
    values = np.empty(real.shape, dtype=np.complex128)
    values.real, values.imag = real, imag
    return values


def _saved(path: Path, name: Any, sinr_db: Any, digest: Any, comm: NDArray[Any], radar: NDArray[Any]) -> SavedPrecoders:
    """Facts that are absent take their defaults: the file's name, no threshold, no scenario."""
    if sinr_db is not None and not isinstance(sinr_db, int | float | np.floating):
        raise _BadPrecoders(f"sinr_db is {sinr_db!r}, must be a number in dB, NaN for none")
    comm, radar = comm.astype(np.complex128), radar.astype(np.complex128)
    for field_name, values in (("comm_precoders", comm), ("radar_precoders", radar)):
        if not np.isfinite(values).all():
            where = [int(i) for i in np.argwhere(~np.isfinite(values))[0]]
            raise _BadPrecoders(f"{field_name}{where} is {values[tuple(where)]}, must be finite")
    threshold = None if sinr_db is None or np.isnan(sinr_db) else float(sinr_db)
    return SavedPrecoders(
        str(name) if name else path.stem, threshold, "" if digest is None else str(digest), comm, radar
    )
