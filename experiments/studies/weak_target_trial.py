"""Two targets of unequal strength: how well the weak one is located and detected beside the strong one, per design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from disac.estimators import estimator
from disac.experiments.statistics.metrics import position_errors
from disac.experiments.trials.experiment import Column, Record, content_digest
from disac.experiments.trials.keys import Point, PointValue, TrialKey
from disac.experiments.trials.observation import Transmission
from disac.simulator import Scenario

if TYPE_CHECKING:
    from disac.estimators import Localizer

ComplexArray = NDArray[np.complex128]
RealArray = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class WeakTargetCase:
    """One design's signals."""

    label: str
    comm_precoders: ComplexArray
    radar_precoders: ComplexArray

    @property
    def digest(self) -> str:
        """Hash of the precoders (hexadecimal)."""
        return content_digest("", self.comm_precoders, self.radar_precoders)


@dataclass(frozen=True)
class WeakTargetSweep:
    """Target 0 as it is, target 1 weaker by each of several levels, or absent.

    Two receivers are compared. *Joint*: maximum likelihood of both positions; it models the strong target's sidelobes.
    *One look*: the criterion of one target on the grid, its highest peak and the highest one further than a main lobe
    away. A weak target counts as located within a main lobe of the truth; a sidelobe of the strong one that lies there
    counts as well, so trials without the weak target tell how many hits are false.

    Attributes
    ----------
    scenario : two targets, noise included.
    cases : what is sent.
    weaker_db : how much weaker target 1 is [dB]; empty for trials without it.
    """

    scenario: Scenario
    cases: tuple[WeakTargetCase, ...]
    weaker_db: tuple[float, ...] = ()

    name = "weak-target"
    columns: ClassVar[Mapping[str, Column]] = {
        "gain": Column("1", "log-likelihood that a second target adds to one"),
        "strong_sq_error_m2": Column("m^2", "squared error of the strong target, joint", required=False),
        "weak_sq_error_m2": Column("m^2", "squared error of the weak target, joint", required=False),
        "located": Column("1", "weak target within a main lobe of the truth, joint", required=False),
        "located_in_one_look": Column("1", "one of two peaks within a main lobe of the weak target's place, one look"),
    }

    def __post_init__(self) -> None:
        if self.scenario.n_targets != 2:
            raise ValueError(f"targets: has {self.scenario.n_targets}, must be 2, the strong one first")

    def config(self) -> dict[str, Any]:
        """What, besides the points, decides a record."""
        return {"scenario": self.scenario.digest, "cases": {case.label: case.digest for case in self.cases}}

    def points(self) -> list[dict[str, PointValue]]:
        """Every case at every level, or once without the weak target."""
        levels: list[dict[str, PointValue]] = [{"weaker_db": float(level)} for level in self.weaker_db]
        return [{"design": case.label, **level} for case in self.cases for level in levels or [{}]]

    def prepare(self, point: Point) -> WeakTargetTrial:
        """The echoes of the point's design."""
        (case,) = (case for case in self.cases if case.label == point["design"])
        level = float(point["weaker_db"]) if "weaker_db" in point else np.inf
        sent = Transmission(weakened(self.scenario, level), case.comm_precoders, case.radar_precoders)
        return WeakTargetTrial(sent)

    def run(self, context: WeakTargetTrial, keys: Sequence[TrialKey]) -> list[Record]:
        """One record per key."""
        return [context.run(key) for key in keys]


def weakened(scenario: Scenario, weaker_db: float) -> Scenario:
    """The scenario with target 1 weaker by so many decibels than target 0 in mean power over links; inf is absent."""
    amplitudes = np.array(scenario.amplitudes)
    power = np.mean(np.abs(amplitudes) ** 2, axis=(0, 1))
    amplitudes[:, :, 1] *= np.sqrt(power[0] / power[1]) * 10 ** (-weaker_db / 20)
    return scenario.replace(amplitudes=amplitudes)


@dataclass(frozen=True)
class WeakTargetTrial:
    """The echoes of both targets, with the estimator of one target beside that of two."""

    transmission: Transmission

    @property
    def scenario(self) -> Scenario:
        """What is true."""
        return self.transmission.scenario

    @cached_property
    def both(self) -> Any:
        """Maximum likelihood of two targets."""
        return estimator("ml")(self.scenario)

    @cached_property
    def single(self) -> Any:
        """Maximum likelihood of one target."""
        s = self.scenario
        return estimator("ml")(s.replace(targets=s.targets[:1], amplitudes=s.amplitudes[:, :, :1]))

    @cached_property
    def lobe_m(self) -> float:
        """Width of the main lobe [m]."""
        from disac.estimators.ml.search import main_lobe_m

        return main_lobe_m(self.scenario, self.scenario.area, delays=True, angles=True)

    @property
    def present(self) -> bool:
        """Whether there is a weak target."""
        return bool(np.any(self.scenario.amplitudes[:, :, 1] != 0))

    def run(self, key: TrialKey) -> dict[str, Any]:
        """Localize one target and two, and look for the weak one in the criterion of one."""
        statistics = self.transmission.observe(key).statistics
        one, two = (localizer.from_statistics(statistics) for localizer in (self.single, self.both))
        gain = (two.criterion - one.criterion) / self.scenario.noise_sense_per_subcarrier
        peaks = two_peaks(self.single, self.single.surface(statistics), self.lobe_m)
        near = bool(np.any(np.hypot(*(peaks - self.scenario.targets[1]).T) < self.lobe_m))
        if not self.present:
            return {"gain": gain, "located_in_one_look": near}
        errors = np.sum(position_errors(two.positions, self.scenario.targets) ** 2, axis=1)
        return {
            "gain": gain,
            "strong_sq_error_m2": float(errors[0]),
            "weak_sq_error_m2": float(errors[1]),
            "located": bool(errors[1] < self.lobe_m**2),
            "located_in_one_look": near,
        }


def two_peaks(localizer: Localizer, surface: NDArray[np.floating[Any]], apart_m: float) -> RealArray:
    """Positions (1 or 2, 2) of the highest grid peak and of the highest one more than ``apart_m`` from it."""
    points = localizer.grid.points
    peaks = localizer.grid.peaks(surface, len(points))
    far = [i for i in peaks if np.hypot(*(points[i] - points[peaks[0]])) > apart_m]
    return np.array(points[[peaks[0], *far[:1]]])
