"""What a receiver infers: the user receiver's bits and the localization of targets."""

if __name__ != "disac.estimators":
    raise ImportError(f"import this package as disac.estimators, not as {__name__}")

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from disac.estimators.detection import count_bit_errors, detect, estimate_gains, pilot_symbols

__all__ = [
    "count_bit_errors",
    "detect",
    "estimate_gains",
    "pilot_symbols",
]

_SUBMODULE_OF = {
    "count_bit_errors": "detection",
    "detect": "detection",
    "estimate_gains": "detection",
    "pilot_symbols": "detection",
}
"""Names imported on first use, so that the package itself loads without the compiled kernels."""


def __getattr__(name: str) -> object:
    if name in _SUBMODULE_OF:
        return getattr(import_module(f"{__name__}.{_SUBMODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULE_OF])
