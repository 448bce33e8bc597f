"""Files that are there whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file to write beside ``path``, which it replaces when the block ends without an error.

    Whatever stands at ``path`` before, a link to another file included, is replaced and never written through.

    Raises
    ------
    OSError : the file cannot be written, or what stands at ``path`` cannot be replaced; ``filename`` is ``path``.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            yield partial
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno is not None and Path(error.filename or partial) == partial:
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise


def replace_text(path: Path, text: str) -> None:
    """Write ``path`` as UTF-8 text; it holds the old text or the new, whatever happens meanwhile."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")
