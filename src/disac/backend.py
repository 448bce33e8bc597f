"""A matplotlib backend that the environment names but that is not there."""

from __future__ import annotations

import importlib.util
import os


def pass_by_missing_backend() -> None:
    """Name the backend that draws files where ``MPLBACKEND`` is a module that is not installed.

    A shell started in Jupyter inherits the name of its backend; where that package is lacking, matplotlib refuses to be
    imported at all.
    """
    kind, _, module = os.environ.get("MPLBACKEND", "").partition("://")
    if kind == "module" and importlib.util.find_spec(module.partition(".")[0]) is None:
        os.environ["MPLBACKEND"] = "agg"
