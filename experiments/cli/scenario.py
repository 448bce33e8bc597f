"""Scenarios on the command line: presets, files and ``--set FIELD=VALUE``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from disac.experiments.cli.errors import say
from disac.experiments.study.scene import scenario_from

if TYPE_CHECKING:
    from disac.simulator import Scenario


def scenario_of(
    preset_name: str, file: Path | None, settings: tuple[str, ...], sinr_db: float | None = None
) -> tuple[Scenario, float]:
    """The scenario of a preset or file with fields replaced, and the SINR threshold: ``sinr_db`` or the preset's [dB].

    A file has no threshold of its own; where none is given it is NaN, and :func:`threshold_given` refuses it.
    """
    try:
        scenario, own = scenario_from(preset_name, file, settings)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    threshold = own if sinr_db is None else sinr_db
    return scenario, float("nan") if threshold is None else threshold


def threshold_given(sinr_db: float) -> float:
    """The threshold, where there is one.

    Raises
    ------
    click.UsageError : the scenario comes from a file and no threshold was given.
    """
    if math.isnan(sinr_db):
        raise click.UsageError("--scenario FILE has no SINR threshold of its own: give --sinr-db")
    return sinr_db


def say_warnings(scenario: Scenario) -> None:
    """Tell where the scenario's numbers contradict each other."""
    for warning in scenario.describe().warnings:
        say(f"warning: {warning}")
