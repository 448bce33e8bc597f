"""What an experiment is: a picklable frozen value that turns trial keys into flat records, and a registry of names."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from disac.experiments.keys import Point, TrialKey

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
      and replayed by its file alone.
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
    """An experiment breaks its contract, or is not known by name."""


def columns_of(experiment: Experiment) -> Mapping[str, Column]:
    """Declared columns of an experiment, empty when it declares none."""
    columns: Mapping[str, Column] = getattr(experiment, "columns", {})
    return columns


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
    kind = type(experiment)
    try:
        plain: dict[str, Any] = json.loads(
            json.dumps({"class": f"{kind.__module__}:{kind.__qualname__}", "settings": settings})
        )
    except TypeError as error:
        raise ExperimentError(f"experiment {experiment.name!r}: configuration is not JSON: {error}") from None
    return plain


def rebuild(config: Mapping[str, Any], points: Sequence[Point]) -> Experiment:
    """Experiment of a stored `configuration`, for points that may be a part of the original sweep.

    Raises
    ------
    ExperimentError : its class cannot be imported or has no ``from_config``.
    """
    path = str(config["class"])
    module, _, name = path.partition(":")
    try:
        kind: Any = importlib.import_module(module)
        for part in name.split("."):
            kind = getattr(kind, part)
        factory = kind.from_config
    except (ImportError, AttributeError) as error:
        raise ExperimentError(f"cannot rebuild the experiment {path} from its run: {error}") from None
    experiment: Experiment = factory(config["settings"], points)
    return experiment


Kind = TypeVar("Kind", bound=Callable[..., Any])

_REGISTERED: dict[str, Callable[..., Any]] = {}
_BUILT_IN: dict[str, str] = {}
"""Names of the package's own experiments and the modules that register them, imported when first asked for."""


def register_experiment(name: str) -> Callable[[Kind], Kind]:
    """Class decorator: make an experiment known under ``name``."""

    def register(kind: Kind) -> Kind:
        known = _REGISTERED.setdefault(name, kind)
        if known is not kind and known.__qualname__ != kind.__qualname__:
            raise ExperimentError(f"experiment name {name!r} is taken by {known.__module__}.{known.__qualname__}")
        _REGISTERED[name] = kind
        return kind

    return register


def experiment_names() -> tuple[str, ...]:
    """Names of all known experiments, sorted."""
    return tuple(sorted({*_REGISTERED, *_BUILT_IN}))


def experiment_class(name: str) -> Callable[..., Any]:
    """Class registered under ``name``.

    Raises
    ------
    ExperimentError : no experiment has that name.
    """
    if name not in _REGISTERED and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])
    if name not in _REGISTERED:
        raise ExperimentError(f"experiment {name!r} is not known; known are {', '.join(experiment_names()) or 'none'}")
    return _REGISTERED[name]
