"""What a receiver infers: position estimates from sufficient statistics, and the users' symbol decisions."""

if __name__ != "disac.estimators":
    raise ImportError(f"import this package as disac.estimators, not as {__name__}")

from importlib import import_module
from typing import TYPE_CHECKING

# at once, or a later import of the module would hide its function of the same name
from disac.estimators.range_profile import (
    EchoSpectrum,
    RangeProfile,
    expected_spectrum,
    measured_profile,
    range_profile,
    realized_spectrum,
)

if TYPE_CHECKING:
    from disac.estimators.ambiguity import AmbiguitySurface, ambiguity_surface
    from disac.estimators.detection import count_bit_errors, detect, estimate_gains, pilot_symbols
    from disac.estimators.ml.localization import MODES, Estimate, Localizer, NoEstimate, localize
    from disac.estimators.ml.search import Search
    from disac.estimators.ml.statistics import Statistics, sufficient_statistics

__all__ = [
    "MODES",
    "AmbiguitySurface",
    "EchoSpectrum",
    "Estimate",
    "Localizer",
    "NoEstimate",
    "RangeProfile",
    "Search",
    "Statistics",
    "ambiguity_surface",
    "count_bit_errors",
    "detect",
    "estimate_gains",
    "expected_spectrum",
    "localize",
    "measured_profile",
    "pilot_symbols",
    "range_profile",
    "realized_spectrum",
    "sufficient_statistics",
]

_SUBMODULE_OF = {
    "MODES": "ml.localization",
    "AmbiguitySurface": "ambiguity",
    "Estimate": "ml.localization",
    "Localizer": "ml.localization",
    "NoEstimate": "ml.localization",
    "Search": "ml.search",
    "Statistics": "ml.statistics",
    "ambiguity_surface": "ambiguity",
    "count_bit_errors": "detection",
    "detect": "detection",
    "estimate_gains": "detection",
    "localize": "ml.localization",
    "pilot_symbols": "detection",
    "sufficient_statistics": "ml.statistics",
}
"""Names imported on first use, so that the package itself loads without the compiled kernels."""


def __getattr__(name: str) -> object:
    if name in _SUBMODULE_OF:
        return getattr(import_module(f"{__name__}.{_SUBMODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULE_OF])
