"""What an experiment is: a picklable frozen value that turns trial keys into flat records."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from disac.experiments.trials.keys import Point, TrialKey, draw_key
from disac.registration import installed_modules, missing_plugins, plugin_modules

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

    An experiment is a frozen, picklable value, defined in an importable module, in a file that ``--import`` names, or
    in a notebook. Besides the members below it may have

    - ``columns``: mapping of column names to `Column`. Columns it does not list count as required and have no unit.
    - ``config() -> dict``: JSON-ready description of everything but the points that changes a record. Two runs
      are of one campaign when their experiment name, seed and configuration agree. Without it the fields of a dataclass
      count.
    - ``from_config(config, points)``: class method that rebuilds the experiment, so that a stored run can be resumed
      and replayed by its file alone. A dataclass whose fields are all in ``config()`` needs none.
    - ``compared``: names of point fields that choose a method, as "phases known" does, besides those of
      :data:`disac.experiments.trials.keys.COMPARED`. Points that differ in them alone see the same random numbers.
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


def trial_key(experiment: Experiment, point: Point, seed: int, trial: int) -> TrialKey:
    """Address of the randomness of one trial, the same at all points that the experiment compares."""
    return TrialKey(seed, draw_key(point, getattr(experiment, "compared", ())), trial)


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


class ImportNeeded(ExperimentError):
    """A run needs a file or module of the user's that this process has not been told to import.

    Attributes
    ----------
    imports : what to give to ``--import``, or to :func:`disac.registration.import_plugin`; empty where it is not known.
    """

    def __init__(self, message: str, imports: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.imports = tuple(imports)


def _import_path(kind: type) -> str:
    """``module:Class``; a class of the script being run counts to the module that the script is for everybody else."""
    module = kind.__module__
    if module in ("__main__", "__mp_main__"):
        module = _name_of_script(sys.modules[module])
    return f"{module}:{kind.__qualname__}"


def _name_of_script(main: ModuleType) -> str:
    """Name under which others import the script that runs; ``__main__`` for a notebook or a prompt."""
    spec = getattr(main, "__spec__", None)
    return spec.name if spec is not None else Path(getattr(main, "__file__", None) or "__main__").stem


def _class_of(path: str, folder: Path, imports: Sequence[str]) -> type:
    """The experiment's class that a stored run names, out of modules that are trusted before the run is read.

    Trusted are those of this package, of installed packages that offer studies, those the user names with ``--import``,
    and those that the calling program has imported or is. Nothing else is imported, and names are followed through
    classes alone: a run can be written by anybody.
    """
    module, _, name = path.partition(":")
    for known in _trusted_modules(module):
        kind: Any = known
        for part in name.split("."):
            kind = vars(kind).get(part) if kind is known or isinstance(kind, type) else None
        if isinstance(kind, type) and kind.__module__ == known.__name__:
            if all(callable(getattr(kind, member, None)) for member in ("points", "prepare", "run")):
                return kind
            raise ExperimentError(f"cannot rebuild the experiment {path!r} of {folder}: the class is no experiment")
    raise ImportNeeded(
        f"cannot rebuild the experiment {path!r} of {folder}: it is none of disac's, and a run does not say what is "
        "imported; give --import FILE.py (in Python: import its module first) if you trust it",
        imports,
    )


def _trusted_modules(name: str) -> Iterator[ModuleType]:
    """Modules in which a class may be looked up that a run says is in module ``name``."""
    if name in sys.modules:
        yield sys.modules[name]
    main = sys.modules.get("__main__")
    if main is not None and _name_of_script(main) == name:
        yield main
    if name == "__main__":  # made in a notebook or at a prompt, and saved in a file since
        yield from (sys.modules[plugin] for plugin in plugin_modules())
    if _is_of_this_package(name) or name in installed_modules("disac.studies"):
        yield importlib.import_module(name)


def _is_of_this_package(name: str) -> bool:
    """Whether a dotted name is that of a file of ``disac.experiments``, found without importing anything."""
    parts = name.split(".")
    if parts[:2] != ["disac", "experiments"] or not all(part.isidentifier() for part in parts[2:]):
        return False
    return Path(__file__).resolve().parents[1].joinpath(*parts[2:]).with_suffix(".py").is_file()


def rebuild(
    config: Mapping[str, Any], points: Sequence[Point], folder: Path = Path(), imports: Sequence[str] = ()
) -> Experiment:
    """Experiment of a stored `configuration`.

    Parameters
    ----------
    points : what the rebuilt experiment is to have, perhaps a part of the original sweep.
    folder : where the run's file lies.
    imports : what the process that began the run had imported for the user, to be named when it is needed.

    Raises
    ------
    ImportNeeded : its class is of a module that is not trusted; none is imported because a run says so.
    ExperimentError : its class is no experiment, offers no way to rebuild it, or now has another configuration.
    """
    path = str(config["class"])
    settings = config["settings"]
    kind = _class_of(path, folder, missing_plugins(imports))
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
    if path.startswith("__main__:"):
        now["class"] = path
    if now != dict(config):
        raise ExperimentError(f"the experiment {path} is not what it was in {folder}: {now!r:.200} for {config!r:.200}")
    rebuilt: Experiment = experiment
    return rebuilt
