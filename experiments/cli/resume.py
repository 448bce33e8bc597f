"""What to say when a run is to go on with other options than it was begun with."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from disac.experiments.runs.folder import RERUN, rerun_line

if TYPE_CHECKING:
    from disac.experiments.runs.store import OtherCampaign

_FREE = ("out", "resumed", "workers")
"""Options that change no record."""


def other_campaign(error: OtherCampaign, same_options: bool) -> str:
    """The refusal of a run of another campaign, by the options that differ where they can be told."""
    folder = error.path.parent
    if not (folder / RERUN).is_file():
        return str(error)
    lines = list(changed_options(folder)) if same_options else []
    refusal = "\n  ".join([f"{folder} was begun with other options; nothing was changed", *lines])
    return f"{refusal if lines else error}\nthe line that began it is in {folder / RERUN}"


def changed_options(folder: Path) -> Iterator[str]:
    """The options of the running command that differ from those that began the run in ``folder``, with both values.

    None where that was another command, or where its line can no longer be read (a scenario file has moved).
    """
    context = click.get_current_context(silent=True)
    begun = None if context is None else _begun(folder, context)
    if context is None or begun is None:
        return
    for option in context.command.params:
        name = str(option.name)
        stored, given = begun.params.get(name), context.params.get(name)
        if name not in _FREE and stored != given:
            yield f"{option.opts[0]}: stored {_shown(stored)}, given {_shown(given)}"


def _begun(folder: Path, context: click.Context) -> click.Context | None:
    """The parsed line of the folder's run, where it is one of the running command."""
    words = shlex.split(rerun_line(folder))[1:]
    command = context.command_path.split()[1:]
    if words[: len(command)] != command:
        return None
    try:
        return context.command.make_context(command[-1], words[len(command) :], parent=context.parent)
    except click.ClickException:
        return None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
