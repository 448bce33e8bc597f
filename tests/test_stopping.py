"""Stopping policies: where they look, what they decide, what they store, and what sequential stopping costs."""

import json
import math

import numpy as np
import pytest

from disac.experiments.stopping import (
    Checkpoints,
    ErrorCount,
    FirstOf,
    FixedTrials,
    Prefix,
    RelativeHalfWidth,
    TimeLimit,
    TrialCap,
    policy_from_dict,
    policy_to_dict,
)


def prefix(**columns):
    arrays = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    return Prefix(len(next(iter(arrays.values()))), arrays)


def test_checkpoints_widen_and_cover_every_count():
    points = Checkpoints(10, 1.25)
    assert [points.at_or_after(n) for n in (1, 10, 11, 13, 14, 17, 18)] == [10, 10, 13, 13, 17, 17, 22]
    assert Checkpoints(2, 1.01).at_or_after(5) == 5
    assert len({points.at_or_after(n) for n in range(1, 20_000)}) < 40


def test_half_widths_are_those_of_the_textbook():
    rng = np.random.default_rng(1)
    values = rng.exponential(2.0, 400)
    z = 1.959963984540054
    mean = RelativeHalfWidth("x", 0.1, "mean").half_width(prefix(x=values))
    assert mean == pytest.approx(z * values.std(ddof=1) / math.sqrt(400) / values.mean(), rel=1e-12)
    assert RelativeHalfWidth("x", 0.1).half_width(prefix(x=values)) == pytest.approx(mean / 2, rel=1e-12)
    # With one weight per trial a ratio is a mean; a common factor of the weights does not matter.
    ratio = RelativeHalfWidth("x", 0.1, "ratio", per="n")
    assert ratio.half_width(prefix(x=values, n=np.full(400, 50.0))) == pytest.approx(mean, rel=1e-12)


def test_ratio_counts_a_trial_as_one_cluster():
    rng = np.random.default_rng(2)
    bits = 1000
    policy = RelativeHalfWidth("errors", 0.1, "ratio", per="bits")
    independent = rng.binomial(bits, 0.1, 500)
    shared = rng.binomial(bits, rng.beta(2, 18, 500))
    z = 1.959963984540054
    binomial = z * math.sqrt(0.1 * 0.9 / (500 * bits)) / 0.1
    assert policy.half_width(prefix(errors=independent, bits=np.full(500, bits))) == pytest.approx(binomial, rel=0.1)
    assert policy.half_width(prefix(errors=shared, bits=np.full(500, bits))) > 5 * binomial


@pytest.mark.parametrize("values", [[], [1.0], [0.0, 0.0, 0.0]])
def test_nothing_measured_means_no_precision(values):
    assert RelativeHalfWidth("x", 0.5).decide(Prefix(3, {"x": np.array(values)})) is None


def test_reasons_say_what_was_reached():
    policy = RelativeHalfWidth("squared_error", 0.2)
    assert policy.decide(prefix(squared_error=[1.0, 3.0] * 5)) is not None
    reason = policy.decide(prefix(squared_error=[1.0, 1.2] * 50))
    assert reason.kind == "relative-half-width"
    assert reason.text == "rmse of squared_error within ±0.00895 relative at 0.95 (asked 0.2)"
    assert ErrorCount("e", 5).decide(prefix(e=[2, 2])) is None
    assert ErrorCount("e", 5).decide(prefix(e=[2, 3])).text == "5 in e (asked 5)"
    assert TimeLimit(2.0).overtime(1.9) is None
    assert TimeLimit(2.0).overtime(2.0).repeatable is False


def test_first_of_asks_each_policy_at_its_own_checkpoints_only():
    policy = FirstOf((ErrorCount("e", 1, Checkpoints(10)), TrialCap(12), TimeLimit(5.0)))
    assert [policy.checkpoint(n) for n in (1, 10, 11, 12, 13)] == [10, 10, 12, 12, 13]
    assert policy.most_trials == 12
    assert policy.columns == ("e",)
    assert policy.decide(prefix(e=[0] * 10)) is None
    assert policy.decide(prefix(e=[0] * 11 + [1])).kind == "cap"
    assert policy.decide(prefix(e=[0] * 9 + [1])).kind == "error-count"
    assert policy.overtime(6.0).kind == "time"


@pytest.mark.parametrize(
    "policy",
    [
        FixedTrials(7),
        TimeLimit(3.5),
        FirstOf((RelativeHalfWidth("a", 0.1, "ratio", per="b", checkpoints=Checkpoints(7, 2.0)), TrialCap(9))),
        ErrorCount("bit_errors", 100),
    ],
)
def test_policies_survive_json(policy):
    assert policy_from_dict(json.loads(json.dumps(policy_to_dict(policy)))) == policy


def test_unknown_policy_is_refused_by_name():
    with pytest.raises(ValueError, match="'Forever'"):
        policy_from_dict({"policy": "Forever"})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FixedTrials(0), "trials is 0"),
        (lambda: Checkpoints(1), "first is 1"),
        (lambda: Checkpoints(10, 1.0), r"growth is 1\.0"),
        (lambda: RelativeHalfWidth("x", 0.0), r"target is 0\.0"),
        (lambda: RelativeHalfWidth("x", 0.1, "ratio"), "per is None"),
        (lambda: RelativeHalfWidth("x", 0.1, per="n"), "per is 'n'"),
        (lambda: RelativeHalfWidth("x", 0.1, confidence=95.0), r"confidence is 95\.0"),
        (lambda: ErrorCount("x", 0), "minimum is 0"),
        (lambda: TimeLimit(0.0), r"seconds is 0\.0"),
        (lambda: FirstOf(()), "policies is"),
    ],
)
def test_wrong_settings_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def stopped_estimates(policy, draw, estimate, runs, seed, most=20_000):
    """Estimate and trial count of sequentially stopped runs of independent draws."""
    rng = np.random.default_rng(seed)
    found = np.empty((runs, 2))
    for run in range(runs):
        values, count = draw(rng, most), policy.checkpoint(1)
        while policy.decide(prefix(**{policy.column: values[:count]})) is None:
            count = policy.checkpoint(count + 1)
            assert count <= most
        found[run] = estimate(values[:count]), count
    return found


def sequential_bias(runs, seed):
    """Relative bias of the RMSE of planar Gaussian errors stopped at ±10 %, its standard error, and the mean trials."""
    policy = RelativeHalfWidth("e", 0.1, checkpoints=Checkpoints(20, 1.25))
    found = stopped_estimates(policy, lambda rng, n: rng.chisquare(2, n) / 2, lambda e: math.sqrt(e.mean()), runs, seed)
    ratio = found[:, 0]
    return ratio.mean() - 1, ratio.std() / math.sqrt(runs), found[:, 1].mean()


def test_sequential_stopping_biases_by_a_small_part_of_its_target():
    bias, error, trials = sequential_bias(400, seed=3)
    assert 80 < trials < 140  # z^2/4/0.1^2 = 96 trials would do without looking
    assert abs(bias) < 0.02 + 5 * error


@pytest.mark.slow
def test_sequential_bias_is_below_two_per_cent_and_not_zero():
    bias, error, _ = sequential_bias(20_000, seed=4)
    assert 5 * error < abs(bias) < 0.02
