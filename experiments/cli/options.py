"""Options of the command line made from the fields of settings: the one place that knows how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from disac.experiments.cli.types import ListOption, Names, Numbers
from disac.experiments.study.settings import OptionSpec, StudySettings, options_of, value_text


class InputFile(click.Path):
    """A file that exists, as the text of its absolute path: the line that repeats a run works in any folder."""

    name = "file"

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check; click calls this."""
        return str(Path(str(super().convert(value, param, ctx))).absolute())


def options_for(settings: type[StudySettings]) -> list[click.Option]:
    """One option per field; one that is not given is None or, given once per value, empty."""
    return [_option(spec) for spec in options_of(settings)]


def given_values(settings: type[StudySettings], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the fields whose options were given, out of a command's parameters."""
    context = click.get_current_context()
    source = click.core.ParameterSource.COMMANDLINE
    return {
        spec.field: parameters[spec.field]
        for spec in options_of(settings)
        if context.get_parameter_source(spec.field) is source
    }


def _option(spec: OptionSpec) -> click.Option:
    kind = _type(spec)
    if spec.many and not spec.repeated:
        return ListOption(
            [spec.flag, spec.field],
            type=kind,
            show_default=_default_text(spec),
            help=spec.description,
            metavar=spec.metavar,
        )
    return click.Option(
        [spec.flag, spec.field],
        type=kind,
        is_flag=spec.kind is bool,
        multiple=spec.repeated,
        default=None if spec.kind is not bool else False,
        show_default=_default_text(spec),
        help=spec.description,
        metavar=spec.metavar,
    )


def _default_text(spec: OptionSpec) -> str | bool:
    """Both defaults as help shows them; False where there is nothing to say."""
    if spec.kind is bool or spec.default is None or spec.repeated or spec.default == ():
        return False
    quick = "" if spec.quick is None else f"; with --quick {value_text(spec.quick)}"
    return value_text(spec.default) + quick


def _type(spec: OptionSpec) -> Any:
    low = -math.inf if spec.lowest is None else spec.lowest
    high = math.inf if spec.highest is None else spec.highest
    if spec.repeated:
        return str
    if spec.file:
        return InputFile()
    if spec.many:
        return Names(spec.choices) if spec.kind is str else Numbers(spec.kind, low, high)
    if spec.choices:
        return click.Choice(list(spec.choices))
    if spec.kind is int:
        return click.IntRange(_whole(spec.lowest), _whole(spec.highest), spec.lowest_open, spec.highest_open)
    if spec.kind is float:
        return click.FloatRange(spec.lowest, spec.highest, spec.lowest_open, spec.highest_open)
    return spec.kind


def _whole(end: float | None) -> int | None:
    return None if end is None else int(end)
