"""Maximum likelihood as registered estimators: one for each mode of :class:`disac.estimators.Localizer`."""

from __future__ import annotations

from typing import ClassVar

from disac.estimators.base import register_estimator
from disac.estimators.ml.localization import Localizer
from disac.simulator.scenario import Scenario


class _OfMode(Localizer):
    """Maximum likelihood in the mode that a subclass names."""

    ml_mode: ClassVar[str]
    efficient = True

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario, self.ml_mode)


@register_estimator("ml", label="ML")
class HybridML(_OfMode):
    """Angles and delays follow from the position."""

    ml_mode = bound = "hybrid"


@register_estimator("tof-genie", label="ML of delays, angles known")
class TofGenie(_OfMode):
    """The true angles are known; the delays locate."""

    ml_mode, bound, genie = "tof-genie", "tof", True


@register_estimator("aoa-genie", label="ML of angles, delays known")
class AoaGenie(_OfMode):
    """The true delays are known; the angles locate."""

    ml_mode, bound, genie = "aoa-genie", "aoa", True


@register_estimator("tof-nuisance", label="ML of delays, angles unknown")
class TofNuisance(_OfMode):
    """The angles are free nuisance parameters; the delays locate."""

    ml_mode = bound = "tof-nuisance"


@register_estimator("aoa-nuisance", label="ML of angles, delays unknown")
class AoaNuisance(_OfMode):
    """The delays are free nuisance parameters; the angles locate."""

    ml_mode = bound = "aoa-nuisance"
