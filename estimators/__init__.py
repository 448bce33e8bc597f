"""What a receiver infers: position estimates from sufficient statistics, and the users' symbol decisions."""

if __name__ != "disac.estimators":
    raise ImportError(f"import this package as disac.estimators, not as {__name__}")

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from disac.estimators.detection import count_bit_errors, detect, estimate_gains, pilot_symbols
    from disac.estimators.localization import MODES, Estimate, Localizer, NoEstimate, localize
    from disac.estimators.search import Search
    from disac.estimators.statistics import Statistics, sufficient_statistics

__all__ = [
    "MODES",
    "Estimate",
    "Localizer",
    "NoEstimate",
    "Search",
    "Statistics",
    "count_bit_errors",
    "detect",
    "estimate_gains",
    "localize",
    "pilot_symbols",
    "sufficient_statistics",
]

_SUBMODULE_OF = {
    "MODES": "localization",
    "Estimate": "localization",
    "Localizer": "localization",
    "NoEstimate": "localization",
    "Search": "search",
    "Statistics": "statistics",
    "count_bit_errors": "detection",
    "detect": "detection",
    "estimate_gains": "detection",
    "localize": "localization",
    "pilot_symbols": "detection",
    "sufficient_statistics": "statistics",
}
"""Names imported on first use, so that the package itself loads without the compiled kernels."""


def __getattr__(name: str) -> object:
    if name in _SUBMODULE_OF:
        return getattr(import_module(f"{__name__}.{_SUBMODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULE_OF])
