"""Settings of studies: defaults, ranges, descriptions and quick values in one place, and the words that repeat them."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

_LOWER, _UPPER = ("ge", "gt"), ("le", "lt")


def setting(
    default: Any,
    description: str,
    *,
    quick: Any = None,
    option: str | None = None,
    grows: bool = False,
    repeated: bool = False,
    file: bool = False,
    metavar: str | None = None,
    **limits: Any,
) -> Any:
    """A field of :class:`StudySettings`.

    Parameters
    ----------
    default
        Value where none is given.
    description : str
        The option's line of help.
    quick
        Value in place of ``default`` with ``--quick``; None leaves it.
    option : str, optional
        Name of the option without its dashes; by default the field's, with ``-`` for ``_``.
    grows : bool
        Whether a run may go on with a larger value: the number of draws or trials of a point.
    repeated : bool
        Whether the option is given once per value, in place of one list with commas: for free text.
    file : bool
        Whether the text is the path of a file that exists; the command line makes it absolute.
    metavar : str, optional
        What help calls the value.
    limits
        ``ge``, ``gt``, ``le``, ``lt`` of a number. Those of a list's numbers stand in its type.

    Examples
    --------
    >>> class Coin(StudySettings):
    ...     draws: int = setting(100, "Throws of the coin.", quick=10, ge=1, grows=True)
    >>> Coin.chosen(quick=True).draws
    10
    """
    extra = {"quick": quick, "option": option, "grows": grows, "repeated": repeated, "file": file, "metavar": metavar}
    return Field(default, description=description, json_schema_extra=extra, **limits)


Decibels = Annotated[float, Field(ge=-300.0, le=300.0)]
"""A level that a list of settings holds [dB]."""
Count = Annotated[int, Field(ge=1, le=1_000_000)]
"""A whole number above zero that a list of settings holds."""


class StudySettings(BaseModel):
    """Everything that decides the numbers of a study's run; the command line's options are made from the fields.

    Subclasses add fields by :func:`setting`. Allowed are bool (False by default), int, float, str, ``Literal`` of
    texts, tuples of these, and ``X | None``.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    seed: int = setting(0, "Campaign seed.", ge=0, le=2**63 - 1)

    @classmethod
    def chosen(cls, given: dict[str, Any] | None = None, *, quick: bool = False) -> Self:
        """Settings of the values given over the defaults, or the quick ones.

        Raises
        ------
        ValueError : a field is unknown or its value is not allowed; one line per field.
        """
        quickly = {o.field: o.quick for o in options_of(cls) if quick and o.quick is not None}
        try:
            return cls(**{**quickly, **(given or {})})
        except ValidationError as error:
            raise ValueError("\n".join(_problems(cls, error))) from None

    def words(self, *, quick: bool = False) -> list[str]:
        """Words of the command line that give these settings: options that differ from the defaults, and the seed."""
        words = ["--quick"] if quick else []
        for option in options_of(type(self)):
            value = getattr(self, option.field)
            default = option.quick if quick and option.quick is not None else option.default
            if value != default or option.field == "seed":
                words += option.words(value)
        return words


@dataclass(frozen=True)
class OptionSpec:
    """A field of settings as an option of the command line.

    Attributes
    ----------
    field, flag : names of the field and of the option, for example ``sinr_db`` and ``--sinr-db``.
    kind : bool, int, float or str; of the elements where there are ``many``.
    many : whether the value is a tuple.
    repeated : whether the option is given once per element.
    choices : texts allowed; empty where any is.
    lowest, highest : ends of the range of a number, None where open.
    lowest_open, highest_open : whether an end is not itself allowed.
    default, quick : default values; ``quick`` None where it is the same.
    grows : whether a run may go on with a larger value.
    file : whether the text is a path.
    """

    field: str
    flag: str
    kind: type
    many: bool
    repeated: bool
    choices: tuple[str, ...]
    lowest: float | None
    highest: float | None
    lowest_open: bool
    highest_open: bool
    default: Any
    quick: Any
    grows: bool
    file: bool
    metavar: str | None
    description: str

    def words(self, value: Any) -> list[str]:
        """Words that give ``value`` on the command line."""
        if self.kind is bool:
            return [self.flag] if value else []
        if self.repeated:
            return [word for item in value for word in (self.flag, item)]
        return [self.flag, value_text(value)]


def value_text(value: Any) -> str:
    """A value as the command line takes it; numbers exactly, lists with commas."""
    if isinstance(value, tuple):
        return ",".join(map(value_text, value))
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def options_of(settings: type[StudySettings]) -> list[OptionSpec]:
    """Options of all fields, the seed last."""
    specs = [_spec(name, field) for name, field in settings.model_fields.items()]
    return sorted(specs, key=lambda spec: spec.field == "seed")


def _spec(name: str, field: FieldInfo) -> OptionSpec:
    extra: dict[str, Any] = dict(field.json_schema_extra or {})  # type: ignore[arg-type]
    annotation, metadata = _plain(field.annotation, list(field.metadata))
    many = get_origin(annotation) is tuple
    if many:
        annotation, metadata = _plain(get_args(annotation)[0], [])
    choices = tuple(get_args(annotation)) if get_origin(annotation) is Literal else ()
    limits = _limits(metadata)
    return OptionSpec(
        field=name,
        flag="--" + (extra.get("option") or name.replace("_", "-")),
        kind=str if choices else annotation,
        many=many,
        repeated=bool(extra.get("repeated")),
        choices=choices,
        lowest=limits.get("ge", limits.get("gt")),
        highest=limits.get("le", limits.get("lt")),
        lowest_open="gt" in limits,
        highest_open="lt" in limits,
        default=field.default,
        quick=extra.get("quick"),
        grows=bool(extra.get("grows")),
        file=bool(extra.get("file")),
        metavar=extra.get("metavar"),
        description=field.description or "",
    )


def _plain(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any]]:
    """The type without None and without its limits, which join the others."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not NoneType)
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        for item in more:
            metadata = metadata + (list(item.metadata) if isinstance(item, FieldInfo) else [item])
    return annotation, metadata


def _limits(metadata: list[Any]) -> dict[str, float]:
    return {
        name: getattr(item, name)
        for item in metadata
        for name in (*_LOWER, *_UPPER)
        if getattr(item, name, None) is not None
    }


def _problems(settings: type[StudySettings], error: ValidationError) -> list[str]:
    """One line ``field = value: what is allowed`` per problem."""
    lines = []
    for item in error.errors():
        message = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        if not item["loc"]:
            lines.append(message)
        elif item["type"] == "extra_forbidden":
            lines.append(f"{item['loc'][0]}: unknown setting; there are {', '.join(settings.model_fields)}")
        else:
            lines.append(f"{'.'.join(map(str, item['loc']))} = {item['input']!r}: {message}")
    return lines
