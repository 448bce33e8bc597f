"""Executors: isolated workers with pinned threads, and foreign executors with the same records as the serial one."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from campaigns import Environment, Noise, digest

from disac.experiments.campaign.executors import LocalPool, WorkerDied, WorkersUnavailable, open_executor
from disac.experiments.campaign.operations import status
from disac.experiments.campaign.runner import CampaignInterrupted, run_campaign
from disac.experiments.campaign.worker import pinned_threads
from disac.experiments.runs import provenance as provenance_module
from disac.experiments.runs.store import RunReader

TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "run"
    run_campaign(Noise(), path, seed=5, trials=40)
    return digest(path)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "condition did not come true"
        time.sleep(0.02)


def test_death_of_a_worker_hits_one_task_alone():
    pool = LocalPool(2)
    try:
        slow = pool.submit(time.sleep, 0.5)
        hopeless = pool.submit(os._exit, 3)
        with pytest.raises(WorkerDied) as caught:
            hopeless.result()
        assert caught.value.cause == "killed"
        assert not caught.value.in_setup
        assert slow.result() is None
        assert pool.submit(pow, 2, 5).result() == 32
    finally:
        pool.shutdown(cancel_futures=True)
    assert pool.pids == ()


def test_shutdown_ends_busy_workers_at_once():
    pool = LocalPool(2)
    futures = [pool.submit(time.sleep, 600) for _ in range(5)]
    wait_until(lambda: len(pool.pids) == 2)
    pids = pool.pids
    begin = time.monotonic()
    pool.shutdown(cancel_futures=True)
    assert time.monotonic() - begin < 5
    assert all(future.done() for future in futures)
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_workers_have_one_thread_and_no_descriptor_of_the_store(tmp_path):
    result = run_campaign(Environment(), tmp_path / "run.sqlite", seed=1, trials=4, workers=2)
    records = result.records(0)
    assert {record["threads"] for record in records} == {1}
    assert {record["numba_threads"] for record in records} == {1}
    assert {record["store_descriptors"] for record in records} == {0}
    assert os.getpid() not in {record["pid"] for record in records}
    here = run_campaign(Environment(), tmp_path / "serial.run.sqlite", seed=1, trials=1).records(0)
    assert here[0]["store_descriptors"] > 0, "the count of descriptors must be able to fail"


def test_serial_run_has_one_blas_thread_and_restores_the_setting(tmp_path):
    from threadpoolctl import threadpool_info, threadpool_limits

    with threadpool_limits(2):
        before = [pool["num_threads"] for pool in threadpool_info()]
        result = run_campaign(Environment(), tmp_path / "run", seed=1, trials=1)
        after = [pool["num_threads"] for pool in threadpool_info()][: len(before)]
    assert result.records(0)[0]["threads"] == 1
    assert after == before


def test_workers_end_when_their_parent_is_killed_and_leave_no_file(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent("""
        import time
        from disac.experiments.campaign.executors import LocalPool
        if __name__ == "__main__":
            pool = LocalPool(2)
            for _ in range(2):
                pool.submit(time.sleep, 600)
            while len(pool.pids) < 2:
                time.sleep(0.01)
            print(*pool.pids, flush=True)
            time.sleep(600)
        """)
    )
    environment = {**os.environ, "TMPDIR": str(scratch)}
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)
    with parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        logs = [
            os.readlink(f) for pid in pids for f in Path(f"/proc/{pid}/fd").iterdir() if "scratch" in os.readlink(f)
        ]
        assert len(logs) == 2, "the workers' logs must be in this folder for the test to see them"
        parent.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in pids))
    assert list(scratch.iterdir()) == []


def test_unguarded_script_is_told_what_to_do(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(TESTS)!r})
        from campaigns import Noise
        from disac.experiments.campaign.runner import run_campaign
        run_campaign(Noise(), {str(tmp_path / "run")!r}, seed=1, trials=2, timeout_s=60.0)
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "WorkersUnavailable" in done.stderr
    assert "__main__" in done.stderr.splitlines()[-1]


def test_forking_pool_is_refused_and_a_spawning_one_is_not(tmp_path, reference):
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor,
        pytest.raises(WorkersUnavailable, match="spawn"),
    ):
        run_campaign(Noise(), tmp_path / "run", seed=5, trials=40, executor=executor)
    assert not (tmp_path / "run").exists()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        run_campaign(Noise(), tmp_path / "run", seed=5, trials=40, executor=executor)
        result = run_campaign(Environment(), tmp_path / "threads", seed=5, trials=2, executor=executor)
    assert digest(tmp_path / "run") == reference
    assert {record["threads"] for record in result.records(0)} == {1}


@pytest.mark.parametrize("name", ["serial", "pool"])
def test_executors_by_name_agree(tmp_path, reference, name):
    with open_executor(name, workers=2) as executor:
        run_campaign(Noise(), tmp_path / "run", seed=5, trials=40, executor=executor)
    assert digest(tmp_path / "run") == reference


def test_unknown_executor_is_refused_by_name():
    with pytest.raises(WorkersUnavailable, match="'ray'"), open_executor("ray"):
        pass


def test_timeout_needs_a_local_pool(tmp_path):
    with open_executor("serial") as executor, pytest.raises(ValueError, match="local pool"):
        run_campaign(Noise(), tmp_path / "run", seed=5, trials=4, executor=executor, timeout_s=1.0)


@contextlib.contextmanager
def dask_executor():
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50, "host": "127.0.0.1"}
        with (
            distributed.LocalCluster(n_workers=2, **options) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            client.register_plugin(ImportPath(str(TESTS)))
            yield client.get_executor()


def test_dask_cluster_equals_serial(tmp_path, reference):
    with dask_executor() as executor:
        run_campaign(Noise(), tmp_path / "run", seed=5, trials=40, executor=executor, batch_size=3)
        threads = run_campaign(Environment(), tmp_path / "threads", seed=5, trials=2, executor=executor)
    assert digest(tmp_path / "run") == reference
    assert {record["threads"] for record in threads.records(0)} == {1}


@pytest.mark.slow
def test_dask_cluster_survives_a_killed_worker(tmp_path, reference):
    with dask_executor() as executor:
        pid = run_campaign(Environment(), tmp_path / "pid", seed=5, trials=1, executor=executor).records(0)[0]["pid"]
        victims = iter([pid])

        def kill_one(progress):
            for victim in victims:
                os.kill(victim, signal.SIGKILL)

        options = {"executor": executor, "batch_size": 3, "progress": kill_one}
        run_campaign(Noise(pause_s=0.005), tmp_path / "run", seed=5, trials=40, **options)
    assert digest(tmp_path / "run") == reference


try:
    from distributed import WorkerPlugin
except ImportError:
    WorkerPlugin = object


class ImportPath(WorkerPlugin):
    """Lets Dask workers import from a folder."""

    def __init__(self, folder):
        self.folder = folder

    def setup(self, worker):
        sys.path.insert(0, self.folder)


def _blocked() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal masks on this system")
def test_workers_are_deaf_to_ctrl_c_from_their_first_instruction():
    with LocalPool(1) as pool:
        assert signal.SIGINT in pool.submit(_blocked).result()
    assert signal.SIGINT not in _blocked()


class KilledWorker(Exception):
    """Stands for Dask's, which blames every task that was on a worker when it died."""

    __module__ = "distributed.scheduler"


class _DyingCluster(Executor):
    """Blames each of the first tasks that it is given."""

    def __init__(self, deaths):
        self.deaths, self.alone = deaths, []

    def submit(self, fn, task):
        future = Future()
        if self.deaths > 0:
            self.deaths -= 1
            future.set_exception(KilledWorker())
        else:
            future.set_result(fn(task))
        return future


def test_innocent_trials_on_workers_that_die_are_not_failed(tmp_path):
    """Every first task of all that run at once is blamed, several times over; alone none dies."""
    run_campaign(Noise(), tmp_path / "serial", seed=2, trials=30)
    result = run_campaign(Noise(), tmp_path / "run", seed=2, trials=30, executor=_DyingCluster(8), workers=4)
    assert result.failed == 0
    assert digest(tmp_path / "run") == digest(tmp_path / "serial")


def test_a_trial_that_dies_alone_twice_is_failed(tmp_path):
    class Guilty(_DyingCluster):
        def submit(self, fn, task):
            self.deaths = task.first <= 3 < task.stop
            return super().submit(fn, task)

    result = run_campaign(Noise((0.0,)), tmp_path / "run", seed=2, trials=8, executor=Guilty(0), batch_size=2)
    assert [failed.trial for failed in result.failures(0)] == [3]
    assert len(result.records(0)) == 7


def test_a_pool_where_descriptors_cannot_be_inherited(tmp_path):
    """Windows has neither os.pread nor DupFd: workers write their last words into a file that has a name."""
    script = f"""
        import sys
        from disac.experiments.campaign import executors
        executors._INHERITS = False
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from campaigns import Faulty
        from disac.experiments.campaign.runner import run_campaign
        if __name__ == "__main__":
            result = run_campaign(
                Faulty((0.0,), crashes=(3,)), {str(tmp_path / "run")!r}, seed=2, trials=8, workers=2, batch_size=2
            )
            (failed,) = result.failures(0)
            assert failed.trial == 3 and "campaigns.py" in failed.failure.trace, failed
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert list(scratch.iterdir()) == []
    run_campaign(Noise((0.0,)), tmp_path / "whole", seed=2, trials=8)
    with RunReader(tmp_path / "run") as run, RunReader(tmp_path / "whole") as whole:
        key = whole.points()[0].key
        expected = [(trial, record) for trial, record in whole.records(key) if trial != 3]
        assert repr(run.records(key)) == repr(expected)


def test_a_system_that_starts_no_workers_runs_serially_and_says_so(tmp_path):
    script = f"""
        import os, sys
        from multiprocessing import reduction
        del os.pread, reduction.DupFd
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from campaigns import Noise
        from disac.experiments.campaign.runner import run_campaign
        if __name__ == "__main__":
            run_campaign(Noise(), {str(tmp_path / "run")!r}, seed=5, trials=40, workers=2)
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("worker processes cannot be started here: ")
    assert line.endswith("; all trials run in this process")
    run_campaign(Noise(), tmp_path / "whole", seed=5, trials=40)
    assert digest(tmp_path / "run") == digest(tmp_path / "whole")


def test_numba_has_one_thread_in_every_trial_and_as_before_afterwards(tmp_path):
    import numba

    before = numba.get_num_threads()
    with ThreadPoolExecutor(2) as threads:
        for name, options in (("serial", {}), ("threads", {"executor": threads, "workers": 2})):
            result = run_campaign(Environment(), tmp_path / name, seed=1, trials=4, **options)
            assert {record["numba_threads"] for record in result.records(0)} == {1}
    assert numba.get_num_threads() == before


def test_the_environment_is_as_before_after_campaigns_in_threads(monkeypatch):
    """The one that began first ends first: the other must not restore what the first had set."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    first, second = pinned_threads(), pinned_threads()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ["OMP_NUM_THREADS"] == "1"
    second.__exit__(None, None, None)
    assert "OMP_NUM_THREADS" not in os.environ
    assert os.environ["MKL_NUM_THREADS"] == "7"


@dataclass(frozen=True)
class Deaf(Noise):
    """Ctrl-C comes in the set-up, at a place where Python drops it, as in a callback of compiled code."""

    name = "deaf"

    def prepare(self, point):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return super().prepare(point)


def test_a_ctrl_c_that_is_dropped_ends_the_run_all_the_same(tmp_path):
    with pytest.raises(CampaignInterrupted):
        run_campaign(Deaf((0.0,)), tmp_path / "run", seed=1, trials=500, batch_size=1)
    with RunReader(tmp_path / "run") as reader:
        assert reader.points()[0].trials < 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_that_goes_on_under_other_code_says_so_first(tmp_path, monkeypatch, caplog):
    path = tmp_path / "run"
    run_campaign(Noise(), path, seed=1, trials=3)
    run_campaign(Noise(), path, seed=1, trials=6, resume=True)
    assert "other code" not in caplog.text
    monkeypatch.setattr(provenance_module, "_source_digest", lambda: "f" * 64)
    run_campaign(Noise(), path, seed=1, trials=9, resume=True, progress=lambda _: caplog.text.index("other code"))
    assert "run goes on under other code: the source of disac was" in caplog.text
    assert ", is ffffffffffff" in caplog.text
    (change,) = status(path).code_changes
    assert change.startswith("the source of disac was")
