"""Every estimator keeps the contract, and one that breaks a part of it is refused with the part's name."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from disac.estimators import Estimate, estimator, estimator_names, register_estimator
from disac.estimators.base import ESTIMATORS, EstimatorKind, withhold_truth
from disac.estimators.ml.localization import MODES, Localizer
from disac.simulator import Scenario, synthesize
from disac.testing import check_estimator
from disac.testing.estimators import _symbols


@pytest.mark.statistical(false_alarm=7e-9)
@pytest.mark.parametrize("name", estimator_names())
def test_every_estimator_keeps_the_contract(name):
    with threadpool_limits(1):
        check_estimator(name)


def test_every_ml_mode_is_an_estimator_with_the_bound_of_its_mode():
    built_in = {name: estimator(name) for name in estimator_names() if issubclass(estimator(name).make, Localizer)}
    assert {kind.make.ml_mode for kind in built_in.values()} == set(MODES)
    for name, kind in built_in.items():
        assert kind.genie == ("genie" in name)
        assert kind.bound == kind.make.ml_mode.removesuffix("-genie")
        assert kind(Scenario.preset("fig4")).mode == kind.make.ml_mode


class Altered:
    """Maximum likelihood with one fault."""

    def __init__(self, scenario):
        self.scenario, self.localizer = scenario, Localizer(scenario)

    def __call__(self, X, Y):
        return Estimate(positions=self.altered(X, Y))


class Shifted(Altered):
    def altered(self, X, Y):
        return self.localizer(X, Y).positions + 1e-3


class OfTheArea(Altered):
    """Noise-free data give the truth; noise moves it with the place of the scene."""

    def altered(self, X, Y):
        found = self.localizer(X, Y)
        return found.positions + 1e-3 * self.scenario.nodes[0] * (found.noise_variance > 1e-12)


class InMilliwatts(Altered):
    def altered(self, X, Y):
        found = self.localizer(X, Y)
        return found.positions + found.noise_variance * (found.positions - self.scenario.nodes.mean(axis=0))


class Peeking(Altered):
    """Falls back on the truth where it can."""

    def altered(self, X, Y):
        found = self.localizer(X, Y).positions
        return found + np.nan_to_num(1e-9 * (self.scenario.targets[: len(found)] - found))


class Overconfident(Altered):
    def __call__(self, X, Y):
        return Estimate(positions=self.localizer(X, Y).positions, covariance=1e-9 * np.eye(2))


class Careless(Altered):
    def altered(self, X, Y):
        return self.localizer(np.nan_to_num(X), np.nan_to_num(Y)).positions


class Claiming(Altered):
    efficient = True

    def __init__(self, scenario):
        super().__init__(scenario)
        self.localizer = Localizer(scenario, "aoa-nuisance")

    def altered(self, X, Y):
        return self.localizer(X, Y).positions


@pytest.mark.parametrize(
    ("broken", "part"),
    [
        (Shifted, "noise-free data of K = 1 must give the truth"),
        (OfTheArea, "a scene turned and moved"),
        (InMilliwatts, "amplitudes and noise twice as large"),
        (Claiming, "6 m of path more"),
        (Peeking, "reads targets or amplitudes"),
        (Overconfident, "errors must have the covariance"),
        (Careless, "NaN in X must be refused"),
    ],
)
def test_a_broken_part_is_named(broken, part):
    with pytest.raises(AssertionError, match=part):
        check_estimator(broken)


def test_what_is_withheld_cannot_be_read():
    scenario = Scenario.preset("fig4")
    told = withhold_truth(scenario)
    assert np.isnan(told.targets).all()
    assert np.isnan(told.amplitudes).all()
    assert told.amplitude_model is None
    assert np.isnan(told.target_geometry.angle).all()
    assert (told.n_targets, told.area.tolist()) == (scenario.n_targets, scenario.area.tolist())

    class Lazy:
        def __init__(self, scenario):
            self.truth = scenario.targets

        def __call__(self, X, Y):
            return Estimate(positions=self.truth)

    X = _symbols(scenario, np.random.default_rng(0))
    found = EstimatorKind.of("lazy", Lazy)(scenario)(X, synthesize(scenario, X))
    assert np.isnan(found.positions).all()


def test_a_registration_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"estimator = 'mll': .* did you mean 'ml'"):
        estimator("mll")
    with pytest.raises(ValueError, match="bound = 'crb', must be one of hybrid"):
        EstimatorKind.of("mine", type("Mine", (), {"bound": "crb"}))
    with pytest.raises(ValueError, match="must hold the word genie"):
        EstimatorKind.of("mine", type("Mine", (), {"genie": True}))
    with pytest.raises(ValueError, match="already registered"):
        register_estimator("ml")(lambda scenario: None)
    assert ESTIMATORS.label("two-step") == "two-step"
