"""A trial that left no record, and why."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """A trial without a record.

    Attributes
    ----------
    kind : "raised", "nan" (NaN or nothing in a required column), "invalid" (not a flat record), "killed" (its process
        died) or "timeout".
    message : one line.
    trace : Python traceback, as far as there is one.
    """

    kind: str
    message: str
    trace: str = ""
