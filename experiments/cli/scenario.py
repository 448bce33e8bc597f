"""Scenarios on the command line: presets, files and ``--set FIELD=VALUE``."""

from __future__ import annotations

import math
import tomllib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from disac.simulator import Scenario


def scenario_of(
    preset_name: str, file: Path | None, settings: tuple[str, ...], sinr_db: float | None = None
) -> tuple[Scenario, float]:
    """The scenario of a preset or file with fields replaced, and the SINR threshold: ``sinr_db`` or the preset's [dB].

    A file has no threshold of its own; where none is given it is NaN, and :func:`threshold_given` refuses it.
    """
    from disac.simulator import Scenario, preset

    try:
        if file is not None:
            scenario, own = Scenario.from_toml(file), float("nan")
        else:
            chosen = preset(preset_name)
            scenario, own = Scenario(**chosen.fields), chosen.sinr_db
        fields = dict(assignment(text) for text in settings)
        return (scenario.replace(**fields) if fields else scenario), own if sinr_db is None else sinr_db
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None


def threshold_given(sinr_db: float) -> float:
    """The threshold, where there is one.

    Raises
    ------
    click.UsageError : the scenario comes from a file and no threshold was given.
    """
    if math.isnan(sinr_db):
        raise click.UsageError("--scenario FILE has no SINR threshold of its own: give --sinr-db")
    return sinr_db


def assignment(text: str, option: str = "--set") -> tuple[str, Any]:
    """Name and value of ``FIELD=VALUE``, the value as TOML."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.ClickException(f"{option} {text}: must be FIELD=VALUE")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raise click.ClickException(
            f"{option} {text}: {value.strip()!r} is not a TOML value (a number, a list, or a quoted string)"
        ) from None


def say(text: str) -> None:
    """Tell the person, apart from the results that may be piped on."""
    click.echo(text, err=True)


@contextmanager
def said_warnings() -> Iterator[None]:
    """Tell each warning of the library in one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            yield
        finally:
            for warning in caught:
                say(f"warning: {warning.message}")


def say_warnings(scenario: Scenario) -> None:
    """Tell where the scenario's numbers contradict each other."""
    for warning in scenario.describe().warnings:
        say(f"warning: {warning}")
