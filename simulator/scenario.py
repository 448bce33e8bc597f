"""The scenario: everything that is true about nodes, targets, users and the OFDM carrier, as one frozen value."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from disac.simulator.allocation import SubcarrierAllocation
from disac.simulator.errors import MAX_ENTRIES, ScenarioError
from disac.simulator.geometry import NodeToPoint, doppler_rates, node_to_point
from disac.simulator.presets import preset
from disac.simulator.random_models import RandomAmplitudes, RandomChannels
from disac.simulator.scenario_file import read_settings, write_toml

if TYPE_CHECKING:
    from disac.simulator.describe import Description

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]

MIN_SEPARATION_M = 1e-3
"""Smallest distance between a node and a target or another node [m]."""


def _shown(value: object) -> str:
    text = np.array2string(value, threshold=6, precision=6) if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _array(dtype: type, shape: str) -> BeforeValidator:
    """Validator from nested lists or arrays to a read-only finite array with as many axes as ``shape`` names."""
    n_axes = len(shape.split(","))

    def parse(value: object) -> NDArray[Any]:
        array: NDArray[Any]
        try:
            raw = np.asarray(value)
            if raw.dtype.kind not in ("iufc" if dtype is complex else "iuf"):
                raise TypeError
            array = np.array(raw, dtype=dtype, order="C")
        except (TypeError, ValueError):
            kind = "complex" if dtype is complex else "real"
            raise ValueError(f"must be an array of {kind} numbers of shape ({shape})") from None
        if array.ndim != n_axes:
            raise ValueError(f"has shape {array.shape}, must have shape ({shape})")
        if not np.all(np.isfinite(array)):
            first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"entry {list(first)} is {array[first]}, every entry must be finite")
        array.setflags(write=False)
        return array

    return BeforeValidator(parse)


def _plane(shape: str) -> BeforeValidator:
    """Validator of (count, 2) coordinate lists; an empty list is a (0, 2) array."""
    parse = _array(float, shape).func

    def parse_points(value: object) -> NDArray[Any]:
        if isinstance(value, list | tuple) and len(value) == 0:
            value = np.zeros((0, 2))
        array: NDArray[Any] = parse(value)  # type: ignore[call-arg]
        if array.shape[1] != 2:
            raise ValueError(f"has shape {array.shape}, must have shape ({shape})")
        return array

    return BeforeValidator(parse_points)


def _nodes(value: object) -> IndexArray:
    """(L,) whole numbers."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError("must be a list of L node numbers, or {kind = ...}") from None
    nodes = array.astype(np.intp)
    nodes.setflags(write=False)
    return nodes


_MODELS = {
    "amplitudes": "amplitude_model",
    "channels": "channel_model",
    "subcarrier_allocation": "allocation_model",
}
"""Array fields and the attributes that remember the models that drew them."""

MAX_COUNT = 65536
"""Largest number of antennas, subcarriers, symbols or samples."""

Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Positive = Annotated[float, Field(gt=0, le=1e30)]


class Scenario(BaseModel):
    """Nodes, targets, users and carrier of one noncoherent distributed ISAC system (Section II).

    The value is frozen and validated as a whole; :meth:`replace` validates again. Units are SI, angles radians, powers
    linear. ``amplitudes`` and ``channels`` are given as arrays or as :class:`RandomAmplitudes` and
    :class:`RandomChannels`; reading them always gives arrays.

    Parameters
    ----------
    nodes : (N, 2) node positions [m].
    targets : (K, 2) target positions [m], K >= 1.
    users : (U, 2) user positions [m]; U may be 0. They never enter a path loss: ``channels`` alone says how strong
        a user's channel is.
    orientations : (N,) direction of each array's broadside, counter-clockwise from +x [rad]; default to the origin.
    n_tx, n_rx : antennas M_t and M_r per node.
    n_subcarriers : subcarriers L, at least N.
    n_symbols : OFDM symbols T of one trial.
    n_cyclic_prefix : cyclic prefix [samples of 1/B]; default L // 4.
    bandwidth_hz : signal bandwidth B [Hz].
    tx_power : power limit P_T of each antenna, summed over subcarriers (Eq. 14b).
    noise_comm, noise_sense : sigma_c^2 and sigma_s^2; noise per subcarrier sample is CN(0, sigma^2 / L).
    amplitudes : (N, N, K) complex target amplitudes b[rx, tx, target], or a random model (default seed 0, 10 dB).
    channels : (N, U, L, M_t) complex user channels h with y = h^H x, or a random model (default seed 0).
    velocities : (K, 2) velocities of the targets [m/s]; default zero. The positions are those of mid-frame.
    carrier_hz : carrier frequency f_c, that of subcarrier l = 0 [Hz]; it matters for moving targets.
    symbol_interval_s : time T_s from one OFDM symbol to the next [s]; default (L + n_cyclic_prefix) / B, longer where a
        frame skips symbols.
    subcarrier_allocation : (L,) node that serves each subcarrier under orthogonal signaling, or a
        :class:`SubcarrierAllocation`; default: interleaved. Every node serves at least one.
    area : [[x_min, x_max], [y_min, y_max]] where targets may be [m]; default: the square 1.25 times as wide as the
        box round nodes and users. The targets do not enter the default.

    Raises
    ------
    ScenarioError : names each wrong field, its value and the allowed range.

    Examples
    --------
    >>> from disac.simulator import Scenario
    >>> scene = Scenario.preset("fig4", bandwidth_hz=20e6)
    >>> scene.n_nodes, scene.amplitudes.shape
    (4, (4, 4, 2))
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        revalidate_instances="never",
    )

    nodes: Annotated[RealArray, _plane("N, 2")]
    targets: Annotated[RealArray, _plane("K, 2")]
    users: Annotated[RealArray, _plane("U, 2")]
    orientations: Annotated[RealArray, _array(float, "N")]
    n_tx: Count = 6
    n_rx: Count = 6
    n_subcarriers: Count = 16
    n_symbols: Count = 16
    n_cyclic_prefix: Annotated[int, Field(ge=0, le=65536)]
    bandwidth_hz: Positive = 10e6
    tx_power: Positive = 1.0
    noise_comm: Positive = 0.01
    noise_sense: Positive = 0.01
    amplitudes: Annotated[ComplexArray, _array(complex, "N, N, K")]
    channels: Annotated[ComplexArray, _array(complex, "N, U, L, M_t")]
    area: Annotated[RealArray, _plane("2, 2")]
    velocities: Annotated[RealArray, _plane("K, 2")]
    carrier_hz: Positive = 3.5e9
    symbol_interval_s: Annotated[float, Field(gt=0, le=1e6)]
    subcarrier_allocation: Annotated[IndexArray, BeforeValidator(_nodes)]
    allocation_model: SubcarrierAllocation | None = None
    amplitude_model: RandomAmplitudes | None = None
    channel_model: RandomChannels | None = None

    def __init__(self, /, **fields: Any) -> None:
        for array, model in _MODELS.items():
            if model in fields:
                raise ScenarioError(f"{model}: follows from {array}; give {array} = {{seed = ...}} or an array instead")
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in fields.items()}
        try:
            super().__init__(**plain)
        except ValidationError as error:
            raise ScenarioError("\n".join(_lines(type(self), error))) from None

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Resolve defaults that depend on other fields and draw the random models."""
        fields = {name: value for name, value in fields.items() if value is not None}
        try:
            nodes = np.asarray(fields["nodes"], dtype=float).reshape(-1, 2)
            users = np.asarray(fields["users"], dtype=float).reshape(-1, 2)
            n_targets = len(np.asarray(fields["targets"], dtype=float).reshape(-1, 2))
            n_subcarriers = int(fields.get("n_subcarriers", 16))
            n_tx = int(fields.get("n_tx", 6))
            if not 0 <= n_subcarriers <= MAX_COUNT or not 0 <= n_tx <= MAX_COUNT:
                raise ValueError
        except (KeyError, TypeError, ValueError, OverflowError):
            nodes, users, n_targets, n_subcarriers, n_tx = np.ones((1, 2)), np.ones((0, 2)), 1, 1, 1
        n_nodes, n_users = len(nodes), len(users)
        if n_nodes == 0 or n_targets == 0:
            empty = "nodes" if n_nodes == 0 else "targets"
            raise ValueError(f"{empty} = []: at least 1 is needed")
        for array, shape in (
            ("amplitudes", (n_nodes, n_nodes, n_targets)),
            ("channels", (n_nodes, n_users, n_subcarriers, n_tx)),
        ):
            if math.prod(shape) > MAX_ENTRIES:
                raise ValueError(f"{array}: would have shape {shape}, must have at most {MAX_ENTRIES} entries")
        fields.setdefault("orientations", _towards_origin(nodes))
        fields.setdefault("n_cyclic_prefix", n_subcarriers // 4)
        fields.setdefault("velocities", np.zeros((n_targets, 2)))
        if "symbol_interval_s" not in fields:
            fields["symbol_interval_s"] = _default_interval_s(fields)
        if "area" not in fields:
            fields["area"] = _default_area(np.concatenate([nodes, users]))
        _draw(fields, "amplitudes", "amplitude_model", RandomAmplitudes, lambda model: model.draw(n_nodes, n_targets))
        _draw(
            fields,
            "channels",
            "channel_model",
            RandomChannels,
            lambda model: model.draw(n_nodes, n_users, n_subcarriers, n_tx),
        )
        _draw(
            fields,
            "subcarrier_allocation",
            "allocation_model",
            SubcarrierAllocation,
            lambda model: model.draw(n_nodes, n_subcarriers),
        )
        return fields

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        problems = list(_joint_problems(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @classmethod
    def preset(cls, name: str, **fields: Any) -> Scenario:
        """The paper's setup ``name`` (see ``disac presets``) with ``fields`` replaced."""
        return cls(**{**preset(name).fields, **fields})

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Scenario:
        """Load a scenario written by :meth:`to_toml` or by hand; explicit arrays come from the NPZ that it names.

        Raises
        ------
        ScenarioError : the file or its archive is damaged or holds a wrong value; the message begins with the file.
        FileNotFoundError : there is no such file.
        """
        settings = read_settings(Path(path))
        try:
            return cls(**settings)
        except ScenarioError as error:
            raise ScenarioError(f"{path}: {error}") from None

    def to_toml(self, path: str | os.PathLike[str]) -> None:
        """Save without loss: settings as TOML, explicit amplitude and channel arrays in an NPZ beside it."""
        write_toml(self, Path(path))

    def replace(self, **fields: Any) -> Scenario:
        """A new scenario with ``fields`` replaced, validated again; random models are drawn anew for the new sizes.

        Fields that were left at a default that follows from others (orientations, prefix, area) are kept as resolved
        unless the field that they follow from is replaced and they equal its default.
        """
        unknown = (set(fields) - set(type(self).model_fields)) | (set(fields) & set(_MODELS.values()))
        if unknown:
            type(self)(**{**self._inputs(), **fields})
        inputs = self._inputs()
        inputs_before = dict(inputs)
        if "nodes" in fields and np.array_equal(self.orientations, _towards_origin(self.nodes)):
            del inputs["orientations"]
        if {"nodes", "users"} & set(fields) and np.array_equal(
            self.area, _default_area(np.concatenate([self.nodes, self.users]))
        ):
            del inputs["area"]
        if "n_subcarriers" in fields and self.n_cyclic_prefix == self.n_subcarriers // 4:
            del inputs["n_cyclic_prefix"]
        if "targets" in fields and not self.velocities.any():
            del inputs["velocities"]
        if {"n_subcarriers", "n_cyclic_prefix", "bandwidth_hz"} & set(fields) and (
            self.symbol_interval_s == _default_interval_s(inputs_before)
        ):
            del inputs["symbol_interval_s"]
        return type(self)(**{**inputs, **fields})

    def _inputs(self) -> dict[str, Any]:
        """Constructor arguments that give this value: random models in place of the arrays that they drew."""
        inputs = {name: getattr(self, name) for name in type(self).model_fields}
        for array, model in _MODELS.items():
            drawn_by = inputs.pop(model)
            if drawn_by is not None:
                inputs[array] = drawn_by
        return inputs

    @property
    def n_nodes(self) -> int:
        """Number of nodes N."""
        return len(self.nodes)

    @property
    def n_targets(self) -> int:
        """Number of targets K."""
        return len(self.targets)

    @property
    def n_users(self) -> int:
        """Number of users U."""
        return len(self.users)

    @property
    def subcarrier_node(self) -> NDArray[np.intp]:
        """(L,) node that serves each subcarrier under orthogonal signaling, counted from 0."""
        return self.subcarrier_allocation

    @property
    def noise_comm_per_subcarrier(self) -> float:
        """Variance sigma_c^2 / L of one user sample (below Eq. 4)."""
        return self.noise_comm / self.n_subcarriers

    @property
    def noise_sense_per_subcarrier(self) -> float:
        """Variance sigma_n^2 = sigma_s^2 / L of one received sensing sample (below Eq. 6)."""
        return self.noise_sense / self.n_subcarriers

    @property
    def target_geometry(self) -> NodeToPoint:
        """Distances, angles, delays and their derivatives from every node to every target."""
        return node_to_point(self.nodes, self.orientations, self.targets)

    @property
    def doppler_rates(self) -> RealArray:
        """(N, K) phase rate nu of each leg between node and target, (2 pi f_c / c) u . v [rad/s].

        The link from m to n of target k turns by exp(-j (nu_nk + nu_mk) (t - (T - 1) / 2) T_s); u points from node to
        target, so that an approaching target has a positive Doppler frequency.
        """
        return doppler_rates(self.nodes, self.targets, self.velocities, self.carrier_hz)

    @property
    def digest(self) -> str:
        """Hash of all field values, equal for equal scenarios (hexadecimal).

        The interleaved allocation and targets at rest leave no trace, so that scenarios from before there was a choice
        keep theirs.
        """
        text = hashlib.sha256()
        interleaved = SubcarrierAllocation().draw(self.n_nodes, self.n_subcarriers)
        usual = np.array_equal(self.subcarrier_allocation, interleaved)
        for name in type(self).model_fields:
            if usual and name in ("subcarrier_allocation", "allocation_model"):
                continue
            if name in ("velocities", "carrier_hz", "symbol_interval_s") and not self.velocities.any():
                continue
            value = getattr(self, name)
            content = (
                f"{value.dtype.str}{value.shape}".encode() + value.tobytes()
                if isinstance(value, np.ndarray)
                else repr(value).encode()
            )
            text.update(name.encode() + b"=" + content + b";")
        return text.hexdigest()

    def describe(self) -> Description:
        """What the OFDM numbers mean (prefix, delays, unambiguous path, link budget) and what contradicts them."""
        from disac.simulator.describe import describe

        return describe(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scenario):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in type(self).model_fields)

    def __hash__(self) -> int:
        return hash(self.digest)


def _default_interval_s(fields: Mapping[str, Any]) -> float:
    """Length (L + N_cp) / B of an OFDM symbol with its prefix [s]; a placeholder where these are refused anyway."""
    defaults = {name: Scenario.model_fields[name].default for name in ("n_subcarriers", "bandwidth_hz")}
    try:
        given = {**defaults, **fields}
        return float((given["n_subcarriers"] + given["n_cyclic_prefix"]) / given["bandwidth_hz"]) or 1.0
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return 1.0


def _towards_origin(nodes: RealArray) -> RealArray:
    angles: RealArray = np.arctan2(0.0 - nodes[:, 1], 0.0 - nodes[:, 0])
    return angles


def _default_area(known_points: RealArray) -> RealArray:
    """Square 1.25 times as wide as the box round the known points, 100 m wide when they are one point."""
    low, high = known_points.min(axis=0), known_points.max(axis=0)
    half = 0.625 * float(np.max(high - low)) or 50.0
    center = (low + high) / 2
    return np.stack([center - half, center + half], axis=-1)


def _draw(fields: dict[str, Any], array: str, model: str, kind: type[Any], draw: Callable[[Any], NDArray[Any]]) -> None:
    """Replace a model given under the name of its array by the array, and remember the model."""
    source = fields.get(array)
    if source is None:
        source = fields.get(model) or kind(seed=0)
    if isinstance(source, Mapping):
        try:
            source = kind(**source)
        except ValidationError as error:
            raise ValueError("\n".join(_lines(kind, error, prefix=f"{array}."))) from None
    if isinstance(source, kind):
        fields[model] = source
        fields[array] = draw(source)
    else:
        fields.pop(model, None)


def _joint_problems(s: Scenario) -> list[str]:
    """Problems that need several fields; each line names the field, the value and what is allowed."""
    problems: list[str] = []
    n, k, u = s.n_nodes, s.n_targets, s.n_users
    for i in range(n):
        for j in range(i + 1, n):
            if np.hypot(*(s.nodes[i] - s.nodes[j])) < MIN_SEPARATION_M:
                problems.append(
                    f"nodes[{j}] = {s.nodes[j].tolist()}: same point as nodes[{i}], "
                    f"must be at least {MIN_SEPARATION_M} m apart"
                )
        for j in range(k):
            if np.hypot(*(s.nodes[i] - s.targets[j])) < MIN_SEPARATION_M:
                problems.append(
                    f"targets[{j}] = {s.targets[j].tolist()}: lies on nodes[{i}], "
                    f"must be at least {MIN_SEPARATION_M} m away"
                )
    for i in range(k):
        for j in range(i + 1, k):
            if np.hypot(*(s.targets[i] - s.targets[j])) <= _same_point_m(s):
                problems.append(
                    f"targets[{j}] = {s.targets[j].tolist()}: same point as targets[{i}], targets must differ"
                )
    if s.orientations.shape != (n,):
        problems.append(f"orientations: has shape {s.orientations.shape}, must have shape ({n},), one angle per node")
    for i, value in enumerate(s.orientations):
        if abs(value) > 2 * np.pi:
            problems.append(
                f"orientations[{i}] = {value}: must be in radians within [-2 pi, 2 pi]; this looks like degrees "
                f"(np.deg2rad({value:g}) = {np.deg2rad(value):.6g})"
            )
    if s.n_subcarriers < n:
        problems.append(
            f"n_subcarriers = {s.n_subcarriers}: L must be at least N = {n}, "
            "so that every node serves a subcarrier (Eq. 30)"
        )
    for name, expected, axes in (
        ("subcarrier_allocation", (s.n_subcarriers,), "L,"),
        ("velocities", (k, 2), "K, 2"),
        ("amplitudes", (n, n, k), "N, N, K"),
        ("channels", (n, u, s.n_subcarriers, s.n_tx), "N, U, L, M_t"),
        ("area", (2, 2), "[x_min, x_max], [y_min, y_max]"),
    ):
        shape = getattr(s, name).shape
        if shape != expected:
            problems.append(f"{name}: has shape {shape}, must have shape {expected} ({axes})")
    served = np.unique(s.subcarrier_allocation)
    if np.any(served < 0) or np.any(served >= n):
        problems.append(f"subcarrier_allocation: holds nodes {served.tolist()}, must be in [0, {n - 1}]")
    elif s.n_subcarriers >= n and len(served) < n:
        silent = sorted(set(range(n)) - set(served.tolist()))
        problems.append(f"subcarrier_allocation: nodes {silent} serve no subcarrier, each needs at least one")
    if s.area.shape == (2, 2) and not np.all(s.area[:, 0] < s.area[:, 1]):
        problems.append(f"area = {s.area.tolist()}: must be [[x_min, x_max], [y_min, y_max]] with min < max")
    return problems


def _same_point_m(s: Scenario) -> float:
    """Distance [m] up to which two points differ by the rounding of coordinates of this size."""
    return float(16 * np.finfo(float).eps * max(np.abs(s.nodes).max(), np.abs(s.targets).max()))


def _allowed(model: type[BaseModel], name: str) -> str:
    """The declared range of a field, for example ``in [1, 65536]``."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    field = model.model_fields.get(name)
    bounds = [
        f"{sign} {getattr(item, key):g}"
        for item in (field.metadata if field else [])
        for key, sign in signs.items()
        if hasattr(item, key)
    ]
    return " and ".join(bounds)


def _lines(model: type[BaseModel], error: ValidationError, prefix: str = "") -> list[str]:
    """One line ``field = value: what is allowed`` for each problem that pydantic found."""
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if not where:
            lines.append(message)
            continue
        name = prefix + where
        if item["type"] == "missing":
            lines.append(f"{name}: missing, must be given")
        elif item["type"] == "extra_forbidden":
            known = ", ".join(field for field in model.model_fields if field not in _MODELS.values())
            lines.append(f"{name} = {_shown(item['input'])}: unknown field; the fields are {known}")
        else:
            allowed = _allowed(model, str(item["loc"][0]))
            hint = f" (allowed: {allowed})" if allowed else ""
            lines.append(f"{name} = {_shown(item['input'])}: {message}{hint}")
    return lines
