"""Text from stored runs on its way to a terminal: nothing in it steers the terminal, and any encoding can show it."""

from __future__ import annotations

import codecs
import sys
import unicodedata
from pathlib import Path

import click

_PLAIN = {
    "±": "+-",
    "−": "-",
    "–": "-",
    "×": "x",
    "σ": "sigma",
    "Γ": "Gamma",
    "²": "^2",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
}
_STEERING = {"Cc", "Cf", "Zl", "Zp", "Cs"}


def printable(text: str, keep: str = "") -> str:
    r"""Text with its control characters written out, such as ``\x1b``, but those in ``keep``."""
    return "".join(
        repr(character)[1:-1] if unicodedata.category(character) in _STEERING and character not in keep else character
        for character in text
    )


def tell(text: str, *, err: bool = False) -> None:
    """Print one line that holds words of a stored run."""
    click.echo(printable(text), err=err)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in lacking), error.end


def accept_any_encoding() -> None:
    """Let a terminal or pipe that lacks a character show another, where it would end the program."""
    codecs.register_error("disac-plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        change = getattr(stream, "reconfigure", None)
        if change is not None:
            change(errors="disac-plain")


def tell_code_changes(folder: Path) -> None:
    """Say under a table whether the run's trials were made by different versions or sources."""
    from disac.experiments.campaign.operations import status
    from disac.experiments.runs.folder import STORE

    if (folder / STORE).is_file():
        for change in status(folder / STORE).code_changes:
            tell(f"not all trials are of the same code: {change}")
