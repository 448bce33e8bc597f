"""The runner: same seed, same records, whatever the workers, batches, order and interruptions."""

import random
import re
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from campaigns import Faulty, Noise, digest

from disac.experiments.campaign.operations import compare, experiment_of, merge, replay, resume, show, status
from disac.experiments.campaign.runner import CampaignInterrupted, Shard, run_campaign
from disac.experiments.runs.store import RunReader, StoreError, read_run
from disac.experiments.trials.experiment import ExperimentError, trial_key
from disac.experiments.trials.keys import point_key
from disac.experiments.trials.stopping import Checkpoints, ErrorCount, FixedTrials, RelativeHalfWidth, TimeLimit

SEED = 20240607
PRECISE = RelativeHalfWidth("squared_error", 0.12, checkpoints=Checkpoints(20, 1.3))

OPTIONS = {"fixed": {"trials": 60}, "precise": {"stopping": PRECISE, "trials": 2000}}


class Shuffled(Executor):
    """Finishes tasks late and in random order."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.threads = ThreadPoolExecutor(4)

    def submit(self, fn, /, *args, **kwargs):
        def late():
            time.sleep(self.random.random() * 0.01)
            return fn(*args, **kwargs)

        return self.threads.submit(late)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.threads.shutdown(wait, cancel_futures=cancel_futures)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Serial runs, one trial at a time, with a fixed number of trials and with a policy."""
    folder = tmp_path_factory.mktemp("reference")
    for name, options in OPTIONS.items():
        run_campaign(Noise(), folder / name, seed=SEED, batch_size=1, **options)
    return {name: digest(folder / name) for name in ("fixed", "precise")}


def test_records_are_those_of_direct_calls(tmp_path):
    experiment = Noise()
    result = run_campaign(experiment, tmp_path / "run", seed=SEED, trials=9)
    for index, point in enumerate(experiment.points()):
        keys = [trial_key(experiment, point, SEED, trial) for trial in range(9)]
        expected = experiment.run(experiment.prepare(point), keys)
        for record, wanted in zip(result.records(index), expected, strict=True):
            assert list(record) == list(wanted)
            for name, value in wanted.items():
                np.testing.assert_array_equal(record[name], value)
                assert isinstance(record[name], type(np.asarray(value).item()))
        assert [np.signbit(record["maybe"]) for record in result.records(index)[::3]] == [True] * 3
    assert result.complete
    assert result.points[0].stop.text == "9 trials asked for"


@pytest.mark.parametrize("batch_size", [None, 2, 7, 1000])
@pytest.mark.parametrize("name", ["fixed", "precise"])
def test_batch_size_and_order_change_nothing(tmp_path, reference, name, batch_size):
    options = OPTIONS[name]
    run_campaign(Noise(), tmp_path / "serial", seed=SEED, batch_size=batch_size, **options)
    assert digest(tmp_path / "serial") == reference[name]
    with Shuffled(batch_size) as executor:
        run_campaign(
            Noise(), tmp_path / "run", seed=SEED, executor=executor, workers=4, batch_size=batch_size, **options
        )
    assert digest(tmp_path / "run") == reference[name]


def test_seed_and_configuration_change_the_records(tmp_path, reference):
    run_campaign(Noise(), tmp_path / "seed", seed=SEED + 1, trials=60)
    run_campaign(Noise(bias=1e-12), tmp_path / "bias", seed=SEED, trials=60)
    assert len({digest(tmp_path / "seed"), digest(tmp_path / "bias"), reference["fixed"]}) == 3


def test_processes_change_nothing(tmp_path, reference):
    run_campaign(Noise(), tmp_path / "fixed", seed=SEED, trials=60, workers=2)
    assert digest(tmp_path / "fixed") == reference["fixed"]
    run_campaign(Noise(), tmp_path / "precise", seed=SEED, stopping=PRECISE, trials=2000, workers=3, batch_size=5)
    assert digest(tmp_path / "precise") == reference["precise"]


def test_added_points_change_no_other(tmp_path):
    few = run_campaign(Noise((0.0, 10.0)), tmp_path / "few", seed=SEED, trials=5)
    many = run_campaign(Noise((-5.0, 10.0, 0.0, 20.0)), tmp_path / "many", seed=SEED, trials=5)
    assert repr(few.records(0)) == repr(many.records(2))
    assert repr(few.records(1)) == repr(many.records(1))
    run_campaign(Noise((-5.0, 0.0, 10.0, 20.0)), tmp_path / "few", seed=SEED, trials=5, resume=True)
    assert digest(tmp_path / "few") == digest(tmp_path / "many")


def test_policy_stops_at_its_first_satisfied_checkpoint(tmp_path):
    result = run_campaign(Noise(), tmp_path / "run", seed=SEED, stopping=PRECISE, trials=2000)
    everything = run_campaign(Noise(), tmp_path / "all", seed=SEED, trials=2000)
    for index, point in enumerate(result.points):
        squared = everything.table(index)["squared_error"]
        count = 20
        while True:
            first = squared[:count]
            if 1.959964 * np.std(first, ddof=1) / np.sqrt(count) / 2 <= 0.12 * np.mean(first):
                break
            count = int(np.ceil(count * 1.3))
        assert point.trials == count < 2000
        assert point.stop.kind == "relative-half-width"


def test_cap_and_error_count(tmp_path):
    result = run_campaign(
        Noise((0.0, 40.0)), tmp_path / "run", seed=1, stopping=ErrorCount("bit_errors", 300, Checkpoints(10)), trials=77
    )
    assert [point.stop.kind for point in result.points] == ["error-count", "cap"]
    assert result.points[1].trials == 77
    assert result.table(0)["bit_errors"].sum() >= 300


def test_time_limit_is_kept_and_said_not_to_be_repeatable(tmp_path):
    result = run_campaign(Noise((0.0,), pause_s=0.01), tmp_path / "run", seed=1, stopping=TimeLimit(0.1), batch_size=1)
    assert 5 <= result.points[0].trials <= 11
    assert not result.points[0].stop.repeatable
    again = run_campaign(Noise((0.0,), pause_s=0.01), tmp_path / "run", seed=1, stopping=TimeLimit(0.1), resume=True)
    assert again.points[0].trials == result.points[0].trials


def test_policy_needs_its_columns_and_an_end(tmp_path):
    with pytest.raises(ValueError, match="may never stop"):
        run_campaign(Noise(), tmp_path / "a", seed=1, stopping=PRECISE)
    with pytest.raises(ExperimentError, match="'errors'"):
        run_campaign(Noise(), tmp_path / "b", seed=1, stopping=ErrorCount("errors", 1), trials=10)


@pytest.mark.parametrize(("workers", "commits"), [(1, 1), (1, 4), (2, 3)])
def test_interrupted_run_resumes_to_the_same_file(tmp_path, reference, workers, commits):
    left = commits

    def interrupt(progress):
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    with pytest.raises(CampaignInterrupted, match="interrupted") as caught:
        run_campaign(Noise(), tmp_path / "run", seed=SEED, trials=60, batch_size=9, workers=workers, progress=interrupt)
    partial = caught.value.result
    assert not partial.complete
    assert sum(point.trials for point in partial.points) >= 9
    assert len(partial.records(0)) == partial.points[0].trials
    assert status(tmp_path / "run").state == "unfinished"
    result = resume(tmp_path / "run", workers=workers)
    assert result.complete
    assert digest(tmp_path / "run") == reference["fixed"]
    assert len(status(tmp_path / "run").meta["sessions"]) == 2


def test_resume_refuses_another_campaign_and_changes_nothing(tmp_path):
    run_campaign(Noise(), tmp_path / "run", seed=1, trials=3)
    before = (tmp_path / "run").read_bytes()
    with pytest.raises(StoreError, match="exists"):
        run_campaign(Noise(), tmp_path / "run", seed=1, trials=3)
    with pytest.raises(StoreError, match="seed: stored '1', given '2'; nothing was changed"):
        run_campaign(Noise(), tmp_path / "run", seed=2, trials=3, resume=True)
    with pytest.raises(StoreError, match=r"seed: stored '1', given '2'; config.settings.bias: stored 0.0, given 0.5;"):
        run_campaign(Noise(bias=0.5), tmp_path / "run", seed=2, trials=3, resume=True)
    assert (tmp_path / "run").read_bytes() == before


def test_resume_with_more_trials_extends(tmp_path, reference):
    run_campaign(Noise(), tmp_path / "run", seed=SEED, trials=25)
    run_campaign(Noise(), tmp_path / "run", seed=SEED, trials=60, resume=True)
    assert digest(tmp_path / "run") == reference["fixed"]
    fewer = run_campaign(Noise(), tmp_path / "run", seed=SEED, trials=30, resume=True)
    assert [point.trials for point in fewer.points] == [60, 60]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_merge_to_one_run(tmp_path, reference, count):
    paths = [tmp_path / f"shard{index}" for index in range(1, count + 1)]
    for index, path in enumerate(paths, 1):
        run_campaign(Noise(), path, seed=SEED, trials=60, shard=(index, count))
    random.Random(1).shuffle(paths)
    merged = merge(paths, tmp_path / "merged")
    assert digest(tmp_path / "merged") == reference["fixed"]
    assert merged.state == "complete"
    assert not (tmp_path / "merged.partial").exists()
    if count > 2:
        paths.remove(tmp_path / "shard2")
        with pytest.raises(StoreError, match="none of the runs"):
            merge(paths, tmp_path / "gap")
        assert not (tmp_path / "gap").exists()


@pytest.mark.parametrize(("parts", "lacking"), [((1, 2), "trials 40 to 59"), ((2, 3), "trials 0 to 19")])
def test_a_merger_without_all_shards_says_what_it_lacks(tmp_path, reference, parts, lacking):
    for index in (1, 2, 3):
        line = f"disac run noise --shard {index}/3 --workers {index}"
        run_campaign(Noise(), tmp_path / f"{index}", seed=SEED, trials=60, shard=(index, 3), rerun_line=line)
    merged = merge([tmp_path / f"{index}" for index in parts], tmp_path / "merged")
    assert merged.state == "unfinished"
    assert merged.missing == (f"{lacking} of every point",)
    assert merged.meta["rerun"] == (
        f"disac run noise --shard {parts[0]}/3 --workers {parts[0]} --out part-1 && disac run noise --shard "
        f"{parts[1]}/3 --workers {parts[1]} --out part-2 && disac merge part-1 part-2 --out merged"
    )
    if parts == (1, 2):
        resume(tmp_path / "merged")
        assert digest(tmp_path / "merged") == reference["fixed"]
        assert status(tmp_path / "merged").state == "complete"
    else:
        with pytest.raises(StoreError, match=r"trials 0 to 19 of point .* can only be merged into it"):
            resume(tmp_path / "merged")
    whole = merge([tmp_path / "merged", *(tmp_path / f"{i}" for i in (1, 2, 3))], tmp_path / "whole")
    assert (whole.state, whole.missing) == ("complete", ())
    assert digest(tmp_path / "whole") == reference["fixed"]
    whole = merge([tmp_path / f"{i}" for i in (3, 1, 2)], tmp_path / "line")
    assert whole.meta["rerun"] == "disac run noise --workers 3"


def test_a_merger_of_sequential_shards_says_whose_points_it_lacks(tmp_path):
    points = (0.0, 5.0, 10.0)
    for index in (1, 3):
        run_campaign(Noise(points), tmp_path / f"{index}", seed=1, stopping=PRECISE, trials=400, shard=(index, 3))
    merged = merge([tmp_path / "1", tmp_path / "3"], tmp_path / "merged")
    assert (merged.state, merged.missing) == ("unfinished", ("the points of shard 2 of 3",))


def test_sequential_shards_take_whole_points(tmp_path, reference):
    for index in (1, 2):
        run_campaign(Noise(), tmp_path / f"{index}", seed=SEED, stopping=PRECISE, trials=2000, shard=(index, 2))
        assert len(status(tmp_path / f"{index}").points) == 1
    merge([tmp_path / "1", tmp_path / "2"], tmp_path / "merged")
    assert digest(tmp_path / "merged") == reference["precise"]


def test_shard_of_whole_points_is_resumed_from_its_file(tmp_path):
    points = (0.0, 5.0, 10.0, 15.0, 20.0)
    run_campaign(Noise(points), tmp_path / "whole", seed=SEED, stopping=PRECISE, trials=400, shard=(1, 2))

    def interrupt(progress):
        raise KeyboardInterrupt

    options = {"seed": SEED, "stopping": PRECISE, "trials": 400, "shard": (1, 2), "progress": interrupt}
    with pytest.raises(CampaignInterrupted):
        run_campaign(Noise(points), tmp_path / "run", **options)
    resume(tmp_path / "run")
    assert [point.fields["snr_db"] for point in status(tmp_path / "run").points] == [0.0, 10.0, 20.0]
    assert digest(tmp_path / "run") == digest(tmp_path / "whole")


def test_more_shards_than_trials(tmp_path):
    paths = []
    for index in range(1, 6):
        paths.append(tmp_path / f"{index}")
        run_campaign(Noise(), paths[-1], seed=SEED, trials=3, shard=Shard(index, 5))
    merge(paths, tmp_path / "merged")
    run_campaign(Noise(), tmp_path / "one", seed=SEED, trials=3)
    assert digest(tmp_path / "merged") == digest(tmp_path / "one")


def test_overlapping_runs_merge_and_contradicting_ones_do_not(tmp_path, monkeypatch):
    run_campaign(Noise((0.0,)), tmp_path / "a", seed=1, trials=10)
    run_campaign(Noise((5.0, 0.0)), tmp_path / "b", seed=1, trials=25)
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "merged")
    run_campaign(Noise((0.0, 5.0)), tmp_path / "one", seed=1, trials=25)
    assert digest(tmp_path / "merged") == digest(tmp_path / "one")
    run_campaign(Noise((0.0,)), tmp_path / "other", seed=2, trials=10)
    with pytest.raises(StoreError, match="seed"):
        merge([tmp_path / "a", tmp_path / "other"], tmp_path / "wrong")
    right = Noise.one
    with monkeypatch.context() as patch:
        patch.setattr(Noise, "one", lambda self, scale, key: right(self, scale * (1 + 1e-15 * (key.trial == 4)), key))
        run_campaign(Noise((0.0,)), tmp_path / "turned", seed=1, trials=10)
    with pytest.raises(StoreError, match="trial 4"):
        merge([tmp_path / "turned", tmp_path / "b"], tmp_path / "wrong")
    import sqlite3

    with sqlite3.connect(tmp_path / "a") as db:
        db.execute("UPDATE records SET dx = dx + 1e-15 WHERE trial = 4")
    db.close()
    with pytest.raises(StoreError, match="damaged: trials 1 to 9 of point"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


def test_replay_gives_the_same_bytes(tmp_path):
    experiment = Faulty(raises=(3,), nan=(5,))
    run_campaign(experiment, tmp_path / "run", seed=SEED, trials=8, workers=2)
    for point in (0, 1, "1", {"design": "p2", "snr_db": 10}, point_key({"design": "p2", "snr_db": 0})):
        for trial in range(8):
            again = replay(experiment, tmp_path / "run", point, trial)
            assert again.identical, again
    beyond = replay(experiment, tmp_path / "run", 0, 100)
    assert beyond.stored is None
    assert beyond.identical is None
    other = replay(Faulty(bias=1e-9), tmp_path / "run", 0, 0)
    assert other.identical is False
    with pytest.raises(StoreError, match="no point"):
        replay(experiment, tmp_path / "run", {"snr_db": 3}, 0)


def test_replay_needs_only_the_file(tmp_path):
    run_campaign(Noise(bias=0.25), tmp_path / "run", seed=SEED, trials=4)
    assert experiment_of(tmp_path / "run") == Noise(bias=0.25)
    assert replay(None, tmp_path / "run", 1, 2).identical


def test_failures_are_recorded_and_only_the_guilty_fail(tmp_path):
    for batch_size in (1, 4, 50):
        path = tmp_path / f"{batch_size}"
        experiment = Faulty(raises=(3, 4), nan=(0,), invalid=(9,))
        result = run_campaign(experiment, path, seed=SEED, trials=12, batch_size=batch_size)
        assert [point.trials for point in result.points] == [12, 12]
        assert result.failed == 8
        failures = {failed.trial: failed.failure for failed in result.failures(0)}
        assert {trial: failure.kind for trial, failure in failures.items()} == {
            0: "nan",
            3: "raised",
            4: "raised",
            9: "invalid",
        }
        assert failures[3].message == "ValueError: trial 3 is not to be"
        assert "campaigns.py" in failures[3].trace
        assert "'dx' is NaN" in failures[0].message
        assert list(result.table(0)["trial"]) == [1, 2, 5, 6, 7, 8, 10, 11]
    assert len({digest(tmp_path / f"{size}") for size in (1, 4, 50)}) == 1
    with RunReader(tmp_path / "1") as one, RunReader(tmp_path / "50") as many:
        key = result.points[0].key
        assert [f.failure.trace for f in one.failures(key)] == [f.failure.trace for f in many.failures(key)]


@pytest.mark.parametrize("workers", [1, 2])
def test_failed_set_up_ends_its_point_alone_and_is_tried_again(tmp_path, workers):
    result = run_campaign(Faulty(setup="raises"), tmp_path / "run", seed=1, trials=5, workers=workers)
    assert not result.complete
    assert [point.trials for point in result.points] == [0, 5]
    assert result.points[0].stop.text == "ArithmeticError: no design meets this threshold"
    with RunReader(tmp_path / "run") as reader:
        assert "campaigns.py" in reader.stop_detail(result.points[0].key)
    again = run_campaign(Faulty(), tmp_path / "run", seed=1, trials=5, resume=True)
    assert again.complete


def test_wrong_number_of_records_is_a_failure_of_each_trial(tmp_path):
    class Short(Noise):
        def run(self, scale, keys):
            return []

    import campaigns

    campaigns.Short = Short
    Short.__module__, Short.__qualname__ = "campaigns", "Short"
    try:
        result = run_campaign(Short(), tmp_path / "run", seed=1, trials=2)
    finally:
        del campaigns.Short
    assert result.failed == 4
    assert "0 records for 1 keys" in result.failures(0)[0].failure.message


def test_progress_counts(tmp_path):
    seen = []
    run_campaign(Faulty(nan=(2,)), tmp_path / "run", seed=1, trials=10, batch_size=4, progress=seen.append)
    assert sum(len(progress.rows) for progress in seen) == seen[-1].done == seen[-1].expected == 20
    assert [progress.trials for progress in seen] == [4, 8, 10] * 2
    assert seen[-1].failed == 1
    assert seen[-1].trials_per_second > 0


def test_two_campaigns_from_two_threads(tmp_path, reference):
    names = ("a", "b")
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: run_campaign(Noise(), tmp_path / name, seed=SEED, trials=60), names))
    assert {digest(tmp_path / name) for name in names} == {reference["fixed"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials is 0"),
        ({}, "trials=N"),
        ({"trials": 1, "workers": 0}, "workers is 0"),
        ({"trials": 1, "batch_size": 0}, "batch_size is 0"),
        ({"trials": 1, "seed": -1}, "seed is -1"),
        ({"trials": 1, "shard": (3, 2)}, "shard is 3/2"),
        ({"trials": 1, "timeout_s": -1.0}, "timeout_s is -1.0"),
    ],
)
def test_wrong_parameters_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run_campaign(Noise(), tmp_path / "run", **{"seed": 1, **options})
    assert list(tmp_path.iterdir()) == []


def test_equal_points_are_refused(tmp_path):
    with pytest.raises(ValueError, match="same point"):
        run_campaign(Noise((0.0, 1.0, 0)), tmp_path / "run", seed=1, trials=1)


def test_show_compare_and_read_run(tmp_path):
    run_campaign(Noise(), tmp_path / "a", seed=1, trials=200)
    run_campaign(Noise(bias=0.5), tmp_path / "b", seed=1, trials=100)
    (point, means), _ = show(tmp_path / "a")
    dx = read_run(tmp_path / "a").point({"snr_db": 0, "design": "p2"})
    values = np.array([record["dx"] for record in dx.records])
    assert point.fields == {"snr_db": 0.0, "design": "p2"}
    assert means["dx"].unit == "m"
    np.testing.assert_allclose(means["dx"].mean, values.mean(), rtol=1e-12)
    np.testing.assert_allclose(means["dx"].standard_error, values.std(ddof=1) / np.sqrt(200), rtol=1e-12)
    assert compare(tmp_path / "a", tmp_path / "a").identical
    found = compare(tmp_path / "a", tmp_path / "b")
    assert not found.identical
    assert any("bias" in line for line in found.description)
    assert [(p.trials_a, p.trials_b, p.common, p.identical) for p in found.points] == [(200, 100, 100, 0)] * 2
    # Paired trials share their noise: the difference of the means of dx is the bias, almost exactly.
    assert found.points[0].columns["dx"].standard_error < 1e-12
    assert found.points[0].columns["bits"].standard_error == 0


def test_experiment_without_a_json_configuration_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match="not JSON"):
        run_campaign(Noise(bias=1j), tmp_path / "run", seed=1, trials=1)
    assert not (tmp_path / "run").exists()


def test_stored_policy_is_the_one_of_the_run(tmp_path):
    run_campaign(Noise(), tmp_path / "run", seed=1, stopping=PRECISE, trials=30)
    assert status(tmp_path / "run").meta["stopping"]["policies"][0]["target"] == 0.12
    result = run_campaign(Noise(), tmp_path / "run", seed=1, stopping=FixedTrials(40), resume=True)
    assert {point.trials for point in result.points} == {40}


def test_example_of_the_documentation_runs(tmp_path):
    page = (Path(__file__).resolve().parents[3] / "docs" / "campaigns.md").read_text(encoding="utf-8")
    (tmp_path / "example.py").write_text(re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1))
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.count("within ±") == 2
    assert done.stderr == ""
    assert len(read_run(tmp_path / "noise.sqlite").points) == 2


def test_future_of_a_broken_executor_is_raised_and_the_run_stays_usable(tmp_path):
    class Broken(Executor):
        def submit(self, fn, /, *args, **kwargs):
            future = Future()
            future.set_exception(OSError("the cluster is gone"))
            return future

    with pytest.raises(OSError, match="cluster is gone"):
        run_campaign(Noise(), tmp_path / "run", seed=SEED, trials=60, executor=Broken())
    assert resume(tmp_path / "run").complete
