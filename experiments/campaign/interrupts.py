"""Ctrl-C that is not lost: one that comes where Python drops it, as in a callback of compiled code, is raised later."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_pending = threading.Event()


def _interrupt(number: int, frame: FrameType | None) -> None:
    _pending.set()
    raise KeyboardInterrupt


@contextmanager
def noticed_interrupts() -> Iterator[None]:
    """Remember every Ctrl-C of the block, for :func:`raise_interrupt`; only where Python's own handler would raise."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _pending.clear()
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _pending.clear()


def raise_interrupt() -> None:
    """Raise a Ctrl-C that came inside :func:`noticed_interrupts`, whether or not it was dropped on its way."""
    if _pending.is_set():
        _pending.clear()
        raise KeyboardInterrupt
