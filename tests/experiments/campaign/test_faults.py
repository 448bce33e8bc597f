"""Injected faults: whatever dies, hangs or is interrupted, the file holds a prefix and resumes to the same table."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from campaigns import Faulty, Noise, digest

from disac.experiments.campaign.executors import LocalPool
from disac.experiments.campaign.operations import resume, status
from disac.experiments.campaign.runner import run_campaign
from disac.experiments.runs.store import RunReader, StoreError, read_run

SEED = 99
TRIALS = 100
PAUSE_S = 0.002


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "run"
    run_campaign(Noise(), path, seed=SEED, trials=TRIALS)
    return read_run(path), digest(path)


def start(folder, *, workers, new_session=False):
    """A process that runs or resumes the campaign ``folder/run``."""
    script = folder / "campaign.py"
    script.write_text(
        textwrap.dedent(f"""
        import signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from campaigns import Noise
        from disac.experiments.campaign.runner import run_campaign
        if __name__ == "__main__":
            import numba  # the first batch would load it, and most kills would come before it has
            print("start", flush=True)
            run_campaign(
                Noise(pause_s={PAUSE_S}), {str(folder / "run")!r}, seed={SEED}, trials={TRIALS}, workers={workers},
                resume=True, batch_size=3,
            )
        """)
    )
    return subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=new_session,
    )


def check_prefix(path, expected):
    """Integrity, and that the trials in the file are the first ones of the whole run. Returns how many there are."""
    if not path.exists():
        return 0
    try:
        reader = RunReader(path)
    except StoreError as error:
        assert "no run yet" in str(error)  # noqa: PT017
        return 0
    with reader:
        reader.check()
    run = read_run(path)
    for point in run.points:
        assert point.failures == []
        whole = expected.point(point.status.fields).records
        assert repr(point.records) == repr(whole[: len(point.records)])
    return sum(len(point.records) for point in run.points)


def kill_at_random_times(folder, expected, whole_digest, *, kills, workers, seed):
    """SIGKILL the campaign's process until ``kills`` of them hit; half of them within its first tenths of a second."""
    times = random.Random(seed)
    path = folder / "run"
    survived, before, partial = 0, 0, 0
    while survived < kills:
        process = start(folder, workers=workers)
        with process:
            process.stdout.readline()
            time.sleep(times.choice([0.08, 0.8]) * times.random())
            process.kill()
            process.wait()
            hit = process.returncode == -signal.SIGKILL
        held = check_prefix(path, expected)
        assert held >= before, "committed trials were lost"
        before = held
        survived += hit
        partial += hit and 0 < held < 2 * TRIALS
        if held == 2 * TRIALS and survived < kills:
            assert digest(path) == whole_digest
            path.unlink()
            before = 0
    resume(path) if path.exists() and before else run_campaign(
        Noise(pause_s=PAUSE_S), path, seed=SEED, trials=TRIALS, resume=True
    )
    assert digest(path) == whole_digest
    return partial


@pytest.mark.parametrize(("workers", "kills"), [(1, 4), (2, 2)])
def test_run_killed_at_random_times_resumes_to_the_identical_table(tmp_path, reference, workers, kills):
    kill_at_random_times(tmp_path, *reference, kills=kills, workers=workers, seed=workers)


@pytest.mark.slow
def test_run_killed_at_fifty_random_times(tmp_path, reference):
    partial = kill_at_random_times(tmp_path, *reference, kills=50, workers=1, seed=50)
    assert partial >= 10, "most kills have to hit a run in the middle"


def kill_workers(path, *, kills, trials=TRIALS):
    """Run the campaign and SIGKILL one of its busy workers after every few commits.

    A trial that is hit twice counts as one that kills its process and is recorded as failed, so a new strike waits
    until what was in flight at the last one is committed: four batches of four for two workers.
    """
    chance = random.Random(kills)
    pool = LocalPool(2)
    killed = []
    settled = 0

    def strike(progress):
        nonlocal settled
        if len(killed) < kills and progress.done >= settled and (pids := set(pool.pids) - set(killed)):
            killed.append(chance.choice(sorted(pids)))
            settled = progress.done + 16 + chance.randrange(3)
            os.kill(killed[-1], signal.SIGKILL)

    try:
        run_campaign(
            Noise(pause_s=PAUSE_S), path, seed=SEED, trials=trials, executor=pool, batch_size=4, progress=strike
        )
    finally:
        pool.shutdown(cancel_futures=True)
    return len(killed)


def test_killed_workers_change_nothing(tmp_path, reference):
    assert kill_workers(tmp_path / "run", kills=3) == 3
    assert digest(tmp_path / "run") == reference[1]


@pytest.mark.slow
def test_worker_killed_ten_times_changes_nothing(tmp_path):
    run_campaign(Noise(pause_s=PAUSE_S), tmp_path / "serial", seed=SEED, trials=300)
    assert kill_workers(tmp_path / "run", kills=10, trials=300) == 10
    assert digest(tmp_path / "run") == digest(tmp_path / "serial")


def test_trials_that_kill_crash_or_hang_are_recorded_and_the_others_are_not_harmed(tmp_path):
    experiment = Faulty((0.0,), kills=(4,), crashes=(9,), hangs=(13,), raises=(14,))
    result = run_campaign(experiment, tmp_path / "run", seed=SEED, trials=20, workers=2, batch_size=5, timeout_s=0.7)
    failures = {failed.trial: failed.failure for failed in result.failures(0)}
    assert {trial: failure.kind for trial, failure in failures.items()} == {
        4: "killed",
        9: "killed",
        13: "timeout",
        14: "raised",
    }
    assert failures[4].message == "killed its process twice"
    assert "Segmentation fault" in failures[9].trace
    assert failures[13].message == "ran longer than 0.7 s"
    for trial in (9, 13, 14):
        assert "campaigns.py" in failures[trial].trace, "the traceback leads to the line"
    clean = run_campaign(Noise((0.0,)), tmp_path / "clean", seed=SEED, trials=20)
    expected = [record for trial, record in enumerate(clean.records(0)) if trial not in failures]
    assert repr(result.records(0)) == repr(expected)


def test_slow_batch_is_no_hanging_trial(tmp_path):
    options = {"seed": SEED, "trials": 20, "batch_size": 20}
    result = run_campaign(Noise((0.0,), pause_s=0.05), tmp_path / "run", workers=1, timeout_s=0.5, **options)
    assert result.failed == 0
    run_campaign(Noise((0.0,)), tmp_path / "clean", **options)
    assert digest(tmp_path / "run") == digest(tmp_path / "clean")


def test_trial_that_kills_once_is_run_again(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    experiment = Faulty(kills=(2, 3), once=str(marks))
    result = run_campaign(experiment, tmp_path / "run", seed=SEED, trials=8, workers=2, batch_size=1)
    assert len(list(marks.iterdir())) == 4
    assert result.failed == 0
    run_campaign(Noise(), tmp_path / "clean", seed=SEED, trials=8)
    assert digest(tmp_path / "run") == digest(tmp_path / "clean")


def test_set_up_that_kills_its_process_ends_its_point_alone(tmp_path):
    result = run_campaign(Faulty(setup="kills"), tmp_path / "run", seed=SEED, trials=6, workers=2)
    assert [point.trials for point in result.points] == [0, 6]
    assert result.points[0].stop.kind == "setup-failed"
    assert "died in the set-up" in result.points[0].stop.text


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_resumable_run_and_quiet_workers(tmp_path, reference, workers):
    process = start(tmp_path, workers=workers, new_session=True)
    with process:
        process.stdout.readline()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if status(tmp_path / "run").points[0].trials > 0:
                    break
            except (StoreError, IndexError):
                time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert errors.count("Traceback") <= 2, errors
    assert "CampaignInterrupted: interrupted" in errors
    assert "ProcessPool" not in errors
    assert "leaked" not in errors
    assert 0 < check_prefix(tmp_path / "run", reference[0]) < 2 * TRIALS
    assert status(tmp_path / "run").state == "unfinished"
    assert not (tmp_path / "run.lock").exists()
    resume(tmp_path / "run")
    assert digest(tmp_path / "run") == reference[1]
