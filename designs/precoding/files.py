"""Precoders on disk: NPZ always, NetCDF with the ``io`` extra."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from disac.designs.result import DesignResult
from disac.simulator import Scenario

ComplexArray = NDArray[np.complex128]

_FORMAT = 1
_SUFFIXES = (".npz", ".nc")


@dataclass(frozen=True)
class SavedPrecoders:
    """Precoders read from a file.

    Attributes
    ----------
    name : the design that they are from.
    sinr_db : SINR threshold they were designed for [dB]; None without one.
    scenario_digest : digest of the scenario they were designed for.
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
    """Read precoders and check that they fit a scenario.

    Parameters
    ----------
    same_scenario : refuse precoders that were designed for another scenario; otherwise only shapes have to fit.

    Raises
    ------
    ValueError : the file is no precoder file, its shapes do not fit the scenario, or it belongs to another one.
    """
    path = _checked(path)
    try:
        saved = _read_npz(path) if path.suffix == ".npz" else _read_netcdf(path)
    except FileNotFoundError:
        raise
    except (KeyError, TypeError, ValueError, EOFError, OSError, BadZipFile) as error:
        reason = "" if "pickled" in str(error) else f" ({error})"
        raise ValueError(f"{path}: is not a precoder file of disac{reason}") from None
    s = scenario
    expected = {
        "comm_precoders": ((s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx), saved.comm_precoders.shape),
        "radar_precoders": (
            (s.n_nodes, s.n_subcarriers, s.n_tx, *saved.radar_precoders.shape[3:4]),
            saved.radar_precoders.shape,
        ),
    }
    for name, (wanted, found) in expected.items():
        if len(found) != 4 or wanted != found:
            raise ValueError(f"{path}: {name} has shape {found}, the scenario needs {wanted}")
    if same_scenario and saved.scenario_digest != s.digest:
        raise ValueError(
            f"{path}: designed for scenario {saved.scenario_digest[:12]}, not for {s.digest[:12]}; "
            "pass same_scenario=False to use the precoders all the same"
        )
    return saved


def _checked(path: str | os.PathLike[str]) -> Path:
    checked = Path(path)
    if checked.suffix not in _SUFFIXES:
        raise ValueError(f"path = {str(path)!r}: must end in {' or '.join(_SUFFIXES)}")
    return checked


def _read_npz(path: Path) -> SavedPrecoders:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        return _saved(
            str(file["name"]),
            float(file["sinr_db"]),
            str(file["scenario"]),
            file["comm_precoders"],
            file["radar_precoders"],
        )


def _read_netcdf(path: Path) -> SavedPrecoders:
    import xarray

    with xarray.open_dataset(path, engine="h5netcdf") as file:
        comm, radar = (
            _complex(np.asarray(file[f"{name}_real"]), np.asarray(file[f"{name}_imag"]))
            for name in ("comm_precoders", "radar_precoders")
        )
        facts = file.attrs
        return _saved(str(facts["name"]), float(facts["sinr_db"]), str(facts["scenario"]), comm, radar)


def _complex(real: NDArray[np.float64], imag: NDArray[np.float64]) -> ComplexArray:
    """Both parts bit for bit; ``real + 1j * imag`` would lose the signs of zeros, and with them the digest."""
    values = np.empty(real.shape, dtype=np.complex128)
    values.real, values.imag = real, imag
    return values


def _saved(name: str, sinr_db: float, digest: str, comm: ComplexArray, radar: ComplexArray) -> SavedPrecoders:
    comm, radar = comm.astype(np.complex128), radar.astype(np.complex128)
    if not (np.isfinite(comm).all() and np.isfinite(radar).all()):
        raise ValueError("a precoder is not finite")
    return SavedPrecoders(name, None if np.isnan(sinr_db) else sinr_db, digest, comm, radar)
