"""Stopping policies: where they look, what they decide, what they store, and what sequential stopping costs."""

import json
import math

import numpy as np
import pytest

from disac.experiments.trials.stopping import (
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


@pytest.mark.statistical(false_alarm=1e-15)
def test_ratio_counts_a_trial_as_one_cluster():
    rng = np.random.default_rng(2)
    bits = 1000
    policy = RelativeHalfWidth("errors", 0.1, "ratio", per="bits")
    n = 5000
    independent = rng.binomial(bits, 0.1, n)
    shared = rng.binomial(bits, rng.beta(2, 18, n))
    z = 1.959963984540054
    binomial = z * math.sqrt(0.1 * 0.9 / (n * bits)) / 0.1
    assert policy.half_width(prefix(errors=independent, bits=np.full(n, bits))) == pytest.approx(binomial, rel=0.1)
    assert policy.half_width(prefix(errors=shared, bits=np.full(n, bits))) > 5 * binomial


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


def stopped(policy, draw, runs, seed, most=4000):
    """Mean of the values at the stop, its standard error, and the number of trials, for independent runs."""
    rng = np.random.default_rng(seed)
    found = np.empty((runs, 3))
    for run in range(runs):
        values, count = draw(rng, most), policy.checkpoint(1)
        while policy.decide(prefix(**{policy.column: values[:count]})) is None:
            count = policy.checkpoint(count + 1)
            assert count <= most
        found[run] = values[:count].mean(), values[:count].std(ddof=1) / math.sqrt(count), count
    return found.T


def planar_squares(rng, n):
    """Squared lengths of planar Gaussian errors of mean square 1."""
    return rng.chisquare(2, n) / 2


def rare_errors(rng, n):
    return (rng.random(n) < 0.1).astype(float)


def check_precision_stop(runs):
    policy = RelativeHalfWidth("e", 0.1)
    mean, error, trials = stopped(policy, planar_squares, runs, seed=3)
    covered = np.mean(abs(mean - 1) < 1.959964 * error)
    assert 100 <= trials.mean() < 130  # z^2 / 4 / 0.1^2 = 96 trials would do without looking
    assert abs(mean.mean() - 1) < 0.005 + 6.5 * mean.std() / math.sqrt(runs)
    assert covered > 0.93 - 6.5 * math.sqrt(0.95 * 0.05 / runs)
    assert not np.mean(abs(mean - 1.3) < 1.959964 * error) > 0.93 - 6.5 * math.sqrt(0.95 * 0.05 / runs)


def check_error_count_stop(runs):
    policy = ErrorCount("e", 20, Checkpoints(20, 1.05))
    rate, _, _ = stopped(policy, rare_errors, runs, seed=4)
    bias, error = rate.mean() / 0.1 - 1, rate.std() / 0.1 / math.sqrt(runs)
    # Inverse binomial sampling: E[r / n] exceeds p by about p / r when every trial is a checkpoint.
    assert bias == pytest.approx(0.045, abs=0.015 + 6.5 * error)
    assert bias + 0.2 != pytest.approx(0.045, abs=0.015 + 6.5 * error)
    return bias / error


@pytest.mark.statistical(false_alarm=1e-9)
def test_bias_of_sequential_stopping_is_as_stated():
    check_precision_stop(300)
    check_error_count_stop(300)


@pytest.mark.statistical(false_alarm=1e-9)
@pytest.mark.slow
def test_bias_of_sequential_stopping_is_as_stated_and_seen():
    check_precision_stop(5000)
    assert check_error_count_stop(5000) > 5, "the bias must be large enough to be seen"
