"""Scenarios of studies: a preset or a file, with fields replaced."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from disac.experiments.study.settings import StudySettings, setting

if TYPE_CHECKING:
    from disac.simulator import Scenario


class SceneSettings(StudySettings):
    """Settings of a study of one scenario.

    Attributes
    ----------
    default_preset : name of the preset where none is given; None where the study has a scene of its own.
    """

    default_preset: ClassVar[str | None] = "fig4"

    preset: str | None = setting(None, "The paper's scenario to use (disac presets) in place of the study's own.")
    scenario: str | None = setting(None, "Scenario TOML.", file=True)
    fields: tuple[str, ...] = setting(
        (), "Replace a scenario field (TOML value).", option="set", repeated=True, metavar="FIELD=VALUE"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.preset is not None and self.scenario is not None:
            raise ValueError("--preset and --scenario exclude each other")
        return self

    def scene(self) -> tuple[Scenario, float | None]:
        """The scenario, and its own SINR threshold [dB] where it has one."""
        preset = self.preset if self.scenario is not None else self.preset or self.default_preset
        file = None if self.scenario is None else Path(self.scenario)
        if preset is None and file is None:
            raise ValueError("preset: must be given, or a scenario file")
        return scenario_from(preset, file, self.fields)


def needed_threshold(given: float | None, own: float | None) -> float:
    """The SINR threshold given, or else the preset's own [dB].

    Raises
    ------
    ValueError : there is neither, as the scenario comes from a file.
    """
    threshold = own if given is None else given
    if threshold is None:
        raise ValueError("--scenario FILE has no SINR threshold of its own: give --sinr-db")
    return threshold


def scenario_from(preset: str | None, file: Path | None, fields: Sequence[str]) -> tuple[Scenario, float | None]:
    """The scenario of a file, or else of a preset, with fields replaced, and the preset's SINR threshold [dB].

    Parameters
    ----------
    fields : texts ``FIELD=VALUE``, the value in TOML.

    Raises
    ------
    ValueError : no such preset, or fields that make no scenario.
    OSError : the file cannot be read.
    """
    from disac.simulator import Scenario
    from disac.simulator import preset as find

    threshold = None
    if file is not None:
        scenario = Scenario.from_toml(file)
    else:
        found = find(str(preset))
        scenario, threshold = Scenario(**found.fields), found.sinr_db
    replaced = dict(assignment(text) for text in fields)
    return (scenario.replace(**replaced) if replaced else scenario), threshold


def assignment(text: str, option: str = "--set") -> tuple[str, Any]:
    """Name and value of ``FIELD=VALUE``, the value in TOML.

    Raises
    ------
    ValueError : it is none.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{option} {text}: must be FIELD=VALUE")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raise ValueError(
            f"{option} {text}: {value.strip()!r} is not a TOML value (a number, a list, or a quoted string)"
        ) from None


def warn_of_contradictions(scenario: Scenario) -> None:
    """Warn where the scenario's numbers contradict each other."""
    import warnings

    for text in scenario.describe().warnings:
        warnings.warn(text, stacklevel=2)
