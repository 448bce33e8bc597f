"""What an experiment is: a picklable frozen value that turns trial keys into flat records."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from disac.experiments.trials.keys import Point, TrialKey

RecordValue: TypeAlias = bool | int | float | complex | str
Record: TypeAlias = dict[str, RecordValue]


@dataclass(frozen=True)
class Column:
    """Meaning of one record column.

    Attributes
    ----------
    unit : SI unit, "1" for a pure number.
    description : one line for tables and exported files.
    required : a record in which a required column is missing or NaN is a failed trial.
    """

    unit: str = "1"
    description: str = ""
    required: bool = True


class Experiment(Protocol):
    """A pure function of (configuration, point, trial key).

    An experiment is a frozen, picklable value, defined in an importable module. Besides the members below it may have

    - ``columns``: mapping of column names to `Column`. Columns it does not list count as required and have no unit.
    - ``config() -> dict``: JSON-ready description of everything but the points that changes a record. Two runs
      are of one campaign when their experiment name, seed and configuration agree. Without it the fields of a dataclass
      count.
    - ``from_config(config, points)``: class method that rebuilds the experiment, so that a stored run can be resumed
      and replayed by its file alone. A dataclass whose fields are all in ``config()`` needs none.
    - ``from_folder(folder)``: the same from what lies beside the run's file, for an experiment whose configuration
      does not hold everything.
    """

    @property
    def name(self) -> str:
        """Name of the experiment, stored with every run."""

    def points(self) -> Sequence[Point]:
        """Points of the sweep, each a flat mapping of field names to numbers, strings or bools; no two equal."""

    def prepare(self, point: Point) -> Any:
        """Deterministic expensive set-up of one point (design, grids), cached by every worker process."""

    def run(self, context: Any, keys: Sequence[TrialKey]) -> Sequence[Mapping[str, RecordValue]]:
        """One flat record per key, in order; it depends on its own key alone, not on its neighbours in the batch."""


class ExperimentError(ValueError):
    """An experiment breaks its contract, or cannot be rebuilt from its run."""


def columns_of(experiment: Experiment) -> Mapping[str, Column]:
    """Declared columns of an experiment, empty when it declares none."""
    columns: Mapping[str, Column] = getattr(experiment, "columns", {})
    return columns


def content_digest(text: str, *arrays: NDArray[Any]) -> str:
    """Hash of a text and arrays (hexadecimal), by which :meth:`Experiment.config` tells large contents apart."""
    content = hashlib.sha256(text.encode())
    for array in arrays:
        content.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def configuration(experiment: Experiment) -> dict[str, Any]:
    """JSON-ready configuration of an experiment as it is stored with a run, the import path of its class included.

    Raises
    ------
    ExperimentError : the experiment has neither ``config()`` nor dataclass fields that JSON can hold.
    """
    describe = getattr(experiment, "config", None)
    if describe is not None:
        settings = describe()
    elif dataclasses.is_dataclass(experiment) and not isinstance(experiment, type):
        settings = dataclasses.asdict(experiment)
    else:
        settings = {}
    try:
        plain: dict[str, Any] = json.loads(json.dumps({"class": _import_path(type(experiment)), "settings": settings}))
    except TypeError as error:
        raise ExperimentError(f"experiment {experiment.name!r}: configuration is not JSON: {error}") from None
    return plain


def _import_path(kind: type) -> str:
    """``module:Class``; a class of the script being run counts to the module that the script is for everybody else."""
    module = kind.__module__
    if module in ("__main__", "__mp_main__"):
        main = sys.modules[module]
        spec = getattr(main, "__spec__", None)
        module = spec.name if spec is not None else Path(getattr(main, "__file__", None) or "__main__").stem
    return f"{module}:{kind.__qualname__}"


def rebuild(config: Mapping[str, Any], points: Sequence[Point], folder: Path = Path()) -> Experiment:
    """Experiment of a stored `configuration`.

    Parameters
    ----------
    points : what the rebuilt experiment is to have, perhaps a part of the original sweep.
    folder : where the run's file lies.

    Raises
    ------
    ExperimentError : its class cannot be imported, offers no way to rebuild it, or now has another configuration.
    """
    path = str(config["class"])
    module, _, name = path.partition(":")
    settings = config["settings"]
    try:
        kind: Any = importlib.import_module(module)
        for part in name.split("."):
            kind = getattr(kind, part)
    except (ImportError, AttributeError) as error:
        raise ExperimentError(
            f"cannot rebuild the experiment {path} of {folder}: {error}; run this where {module} can be imported, for "
            f"example as `python -m disac` in the folder of {module}.py"
        ) from None
    experiment: Any
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else None
    if hasattr(kind, "from_config"):
        experiment = kind.from_config(settings, points)
    elif hasattr(kind, "from_folder"):
        experiment = kind.from_folder(folder)
    elif settings.keys() == fields:
        experiment = kind(**settings)
    else:
        raise ExperimentError(f"cannot rebuild the experiment {path}: it has neither from_config nor from_folder")
    now = configuration(experiment)
    if now != dict(config):
        raise ExperimentError(f"the experiment {path} is not what it was in {folder}: {now!r:.200} for {config!r:.200}")
    rebuilt: Experiment = experiment
    return rebuilt
