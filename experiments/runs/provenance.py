"""Where numbers come from: versions, machine, threads and source state of this process, as a plain dictionary."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np  # noqa: F401 (loads the BLAS that is reported)
from packaging.requirements import Requirement
from threadpoolctl import threadpool_info

import disac
from disac.registration import plugins

_COMPUTES = ("numpy", "scipy", "numba", "llvmlite", "cvxpy", "clarabel", "scs")
"""Distributions whose version may change the last digit of a number."""
_ALSO_RELEVANT = ("llvmlite", "pandas", "xarray", "h5netcdf", "pyarrow", "dask", "distributed", "mpi4py", "scs")


def provenance(rerun_line: str = "") -> dict[str, Any]:
    """Everything about this process that may change a number or a run time, ready for JSON.

    Works for an installed wheel as for a checkout, writes nothing, and imports no heavy package.
    """
    return {
        "disac": disac.__version__,
        "rerun": rerun_line,
        "imports": list(plugins()),
        "source": _source(),
        "distributions": _distributions(),
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "executable": sys.executable,
        },
        "machine": {
            "platform": platform.platform(),
            "host": platform.node(),
            "cpu": _cpu_model(),
            "cpus": os.cpu_count(),
            "usable_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        },
        "blas": _thread_pools(),
        "numba": _numba(),
    }


@cache
def _distributions() -> dict[str, str]:
    versions = {}
    for name in sorted({*_required(), *_ALSO_RELEVANT}):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _required() -> Iterator[str]:
    try:
        requirements = importlib.metadata.requires("disac") or []
    except importlib.metadata.PackageNotFoundError:
        return
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def code_changes(sessions: Sequence[Mapping[str, Any]]) -> list[str]:
    """What changed from one session of a run to the next that may change a number, a phrase each.

    Parameters
    ----------
    sessions : the run's, each with its ``provenance``; one that lacks a fact is taken as equal in it.
    """
    found = []
    for before, after in pairwise(_code(session.get("provenance", {})) for session in sessions):
        found += [
            f"{name} was {before[name]}, is {value}"
            for name, value in after.items()
            if before.get(name, value) != value
        ]
    return list(dict.fromkeys(found))


def _code(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a session that decide the last digit of a number."""
    distributions = facts.get("distributions", {})
    versions = {name: distributions[name] for name in _COMPUTES if name in distributions}
    source = facts.get("source", {})
    sources = {"the source of disac": source["digest"][:12]} if source.get("digest") else {}
    return {
        "disac": facts.get("disac"),
        **sources,
        "Python": facts.get("python", {}).get("version"),
        **versions,
        "the processor": facts.get("machine", {}).get("cpu"),
    }


@cache
def _source_digest() -> str:
    """SHA-256 of the package's own Python files, in which a kernel that was edited shows."""
    top = Path(disac.__file__).parent
    hashed = hashlib.sha256()
    for folder, folders, files in os.walk(top, followlinks=True):
        folders.sort()
        for name in sorted(name for name in files if name.endswith(".py")):
            path = Path(folder) / name
            hashed.update(f"{path.relative_to(top)}\n".encode() + path.read_bytes())
    return hashed.hexdigest()


def _source() -> dict[str, Any]:
    """Installed version or checkout: whether editable, and the commit of the repository that holds the package."""
    folder = Path(disac.__file__).resolve().parent
    places = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    editable = not places & set(folder.parents) and "site-packages" not in folder.parts
    source: dict[str, Any] = {
        "editable": editable,
        "folder": str(folder),
        "digest": _source_digest(),
        "commit": None,
        "dirty": None,
    }
    if not editable:
        return source
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is not None:
        source["commit"] = commit
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no", ":/")
        source["dirty"] = None if changes is None else bool(changes)
    return source


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _thread_pools() -> list[dict[str, Any]]:
    wanted = ("internal_api", "version", "num_threads", "threading_layer", "architecture")
    return [{key: pool[key] for key in wanted if pool.get(key) is not None} for pool in threadpool_info()]


def _numba() -> dict[str, Any]:
    """Settings of Numba that matter; the package itself is not imported for them."""
    settings: dict[str, Any] = {name: value for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_")}
    loaded = sys.modules.get("numba")
    if loaded is not None:
        settings["threads"] = loaded.get_num_threads()
        settings["cpu"] = loaded.core.config.CPU_NAME or "host"
    return settings
