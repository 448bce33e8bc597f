"""``--import``: files and modules of the user's, whose designs, estimators and studies the commands then know."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from disac.registration import import_plugin, missing_plugins

if TYPE_CHECKING:
    from disac.experiments.trials.experiment import ImportNeeded

FLAG = "--import"
ARGUMENTS = "disac.arguments"
"""Where the context of a command keeps the arguments of the command line."""


def import_option() -> click.Option:
    """The option that says so in a command's help; the values are imported before the command is looked up."""
    return click.Option(
        [FLAG, "imports"],
        multiple=True,
        expose_value=False,
        metavar="FILE|MODULE",
        help="Import a FILE.py or a module first, so that what it registers is known by name; repeatable.",
    )


def with_import(command: click.Command) -> click.Command:
    """The command with :func:`import_option`."""
    if all(FLAG not in parameter.opts for parameter in command.params):
        command.params.append(import_option())
    return command


def import_given(arguments: Sequence[str]) -> None:
    """Import what the arguments of a command line name, then check that a run that goes on has all that it needs.

    Raises
    ------
    click.ClickException : a file or module cannot be imported, or the run of ``--resume`` needs another one.
    """
    for text in _values(arguments, FLAG):
        try:
            import_plugin(text)
        except ValueError as error:
            raise click.ClickException(str(error).replace("import = ", f"{FLAG} ", 1)) from None
    for folder in _values(arguments, "--resume"):
        lacking = missing_plugins(_imports_of(Path(folder)))
        if lacking:
            raise click.ClickException(f"{folder}: {needs(lacking, arguments)}")


def needs(imports: Sequence[str], arguments: Sequence[str]) -> str:
    """What a run needs, with the line to type."""
    listed = [shlex.quote("".join(c if c.isprintable() else "?" for c in text)) for text in imports]
    line = " ".join([shlex.join(["disac", *arguments]), *(f"{FLAG} {text}" for text in listed)])
    return f"the run was begun with {FLAG} {', '.join(listed)}; if you trust it, type: {line}"


def import_needed(error: ImportNeeded) -> str:
    """What to say of a run that is not rebuilt, with the line to type where the run tells what it was begun with."""
    context = click.get_current_context(silent=True)
    if not error.imports or context is None:
        return str(error)
    return f"{str(error).partition(';')[0]}; {needs(error.imports, context.meta[ARGUMENTS])}"


def _imports_of(folder: Path) -> tuple[str, ...]:
    """What had been imported for the user when the folder's run was begun."""
    try:
        facts = json.loads((folder / "provenance.json").read_text("utf-8"))
        return tuple(map(str, facts.get("imports", ())))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return ()


def _values(arguments: Sequence[str], flag: str) -> Iterator[str]:
    """Values of an option among the arguments, ``--flag VALUE`` or ``--flag=VALUE``."""
    words = iter(arguments)
    for word in words:
        if word == "--":
            return
        if word == flag:
            value = next(words, None)
            if value is not None:
                yield value
        elif word.startswith(f"{flag}="):
            yield word.partition("=")[2]
