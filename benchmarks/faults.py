"""Faults injected into campaigns, counted: how many were tried, and how many left what docs/campaigns.md promises.

Run as ``python benchmarks/faults.py`` in a clone whose ``[test]`` extra is installed; it takes some minutes. Every try
has a random time, place or trial of its own from a fixed seed, and ends with a comparison: the run that went through
the fault must have the digest of one that did not, or exactly the failed trials that were ordered; a file that cannot
be used must be refused unchanged. ``--quick`` tries each fault twice.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "experiments" / "campaign"))

from campaigns import Faulty, Noise, digest
from test_faults import SEED, TRIALS, check_prefix, kill_at_random_times, kill_workers, start

from disac.experiments.campaign.operations import resume
from disac.experiments.campaign.runner import run_campaign
from disac.experiments.runs.store import RunReader, RunWriter, StoreError, read_run

TESTS = Path(__file__).resolve().parents[1] / "tests"


class Whole:
    """The undisturbed run that others are compared with."""

    def __init__(self, folder):
        run_campaign(Noise(), folder / "whole", seed=SEED, trials=TRIALS)
        self.run, self.digest = read_run(folder / "whole"), digest(folder / "whole")


def killed_process(folder, whole, chance):
    """The campaign's process is killed in its first 0.08 s or 0.8 s."""
    workers = chance.choice([1, 1, 2])
    kill_at_random_times(folder, whole.run, whole.digest, kills=1, workers=workers, seed=chance.random())


def killed_worker(folder, whole, chance):
    """One of two workers is killed, ten times in one run."""
    run_campaign(Noise(), folder / "serial", seed=SEED, trials=300)
    assert kill_workers(folder / "run", kills=10, trials=300) == 10
    assert digest(folder / "run") == digest(folder / "serial")


def bad_trial(kind):
    """A trial that does ``kind``, in a batch with others."""

    def inject(folder, whole, chance):
        trial = chance.randrange(20)
        result = run_campaign(
            Faulty((0.0,), **{kind: (trial,)}),
            folder / "run",
            seed=SEED,
            trials=20,
            workers=2,
            batch_size=5,
            timeout_s=1.0,
        )
        (failed,) = result.failures(0)
        expected = {"raises": "raised", "nan": "nan", "invalid": "invalid", "hangs": "timeout"}.get(kind, "killed")
        assert (failed.trial, failed.failure.kind) == (trial, expected)
        if kind in ("raises", "hangs", "crashes"):
            assert "campaigns.py" in failed.failure.trace
        clean = [record for _, record in enumerate(whole.run.points[0].records[:20]) if _ != trial]
        assert repr(result.records(0)) == repr(clean)

    inject.__doc__ = bad_trial.__doc__.replace("``kind``", kind)
    return inject


def full_disk(folder, whole, chance):
    """The file may not grow beyond a random size, then may."""
    script = f"""
        import resource, sys
        sys.path.insert(0, {str(TESTS)!r})
        from campaigns import Noise
        from disac.experiments.campaign.runner import run_campaign
        resource.setrlimit(resource.RLIMIT_FSIZE, ({chance.randrange(40_000, 90_000)}, resource.RLIM_INFINITY))
        run_campaign(Noise(), {str(folder / "run")!r}, seed={SEED}, trials=2000, batch_size={chance.randrange(1, 30)})
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "StoreFull" in done.stderr.splitlines()[-1], done.stderr
    run_campaign(Noise(), folder / "run", seed=SEED, trials=2000, resume=True)
    run_campaign(Noise(), folder / "serial", seed=SEED, trials=2000)
    assert digest(folder / "run") == digest(folder / "serial")


def two_processes(folder, whole, chance):
    """A second process opens a run that is being written."""
    process = start(folder, workers=1)
    with process:
        process.stdout.readline()
        while not (folder / "run.lock").exists():
            time.sleep(0.001)
        time.sleep(0.2 * chance.random())
        refusal = refused(lambda: RunWriter(folder / "run", resume=True).close())
        assert process.poll() is not None or f"is being written by process {process.pid} on" in refusal
        assert process.wait() == 0
    assert digest(folder / "run") == whole.digest


def damaged(folder, whole, chance):
    """The file loses its end, or a page in its middle is overwritten."""
    path = folder / "run"
    run_campaign(Noise(), path, seed=SEED, trials=300)
    content = path.read_bytes()
    pages = len(content) // 4096
    if chance.random() < 0.5:
        content = content[: 4096 * chance.randrange(1, pages)]
    else:
        place = 4096 * chance.randrange(pages)
        content = content[:place] + chance.randbytes(4096) + content[place + 4096 :]
    refused_unchanged(path, content)


def newer(folder, whole, chance):
    """The file is of a newer version, or is something else."""
    path = folder / "run"
    run_campaign(Noise(), path, seed=SEED, trials=3)
    content = bytearray(path.read_bytes())
    if chance.random() < 0.5:
        content[60:64] = chance.randrange(2, 1000).to_bytes(4, "big")
    else:
        content[68:72] = chance.randbytes(4)
    refused_unchanged(path, bytes(content))


def refused(action):
    """The message with which an action is refused, empty where it is not."""
    try:
        action()
    except StoreError as error:
        return str(error)
    return ""


def refused_unchanged(path, content):
    """A run with this content must be refused by name and stay as it is."""
    path.write_bytes(content)
    assert str(path) in refused(lambda: run_campaign(Noise(), path, seed=SEED, trials=400, resume=True))
    assert path.read_bytes() == content


def reading_viewer(folder, whole, chance):
    """A viewer holds a read transaction during the run."""
    path = folder / "run"
    process = start(folder, workers=1)
    with process:
        process.stdout.readline()
        seen = None
        while seen is None:
            try:
                reader = RunReader(path)
                seen = len(reader.points())
            except StoreError:
                time.sleep(0.001)
        time.sleep(0.2 * chance.random())
        with reader, reader.snapshot():
            before = [point.trials for point in reader.points()]
            assert process.wait() == 0
            assert [point.trials for point in reader.points()] == before
    assert digest(path) == whole.digest


def interrupted(folder, whole, chance):
    """Ctrl-C to the whole process group, once trials are running."""
    process = start(folder, workers=chance.choice([1, 2]), new_session=True)
    path = folder / "run"
    with process:
        process.stdout.readline()
        while process.poll() is None and not (path.exists() and check_prefix(path, whole.run)):
            time.sleep(0.002)
        time.sleep(0.3 * chance.random())
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 or "Interrupt" in errors.splitlines()[-1], errors
    check_prefix(path, whole.run)
    resume(path)
    assert digest(path) == whole.digest


def closed_pipe(folder, whole, chance):
    """``disac run`` writes into a pipe whose reader goes away after its first lines."""
    small = ["--set", "targets=[[0, 0]]", "--set", "n_subcarriers=8", "--design", "uniform", "--sinr-db", "-30"]
    run = ["run", "link", *small, "--snr-db", "10,20", "--trials", "20", "--workers", "1"]
    for name in ("whole", "run"):
        reader = subprocess.Popen(["head", "-n", "3" if name == "run" else "1000"], stdin=subprocess.PIPE, stdout=-3)
        with reader:
            command = [sys.executable, "-m", "disac", *run, "--out", str(folder / name)]
            subprocess.run(command, stdout=reader.stdin, stderr=reader.stdin, check=False)
            reader.stdin.close()
    assert digest(folder / "run" / "run.sqlite") == digest(folder / "whole" / "run.sqlite")


def dead_parent(folder, whole, chance):
    """A pool's process is killed: its workers must end, and no file may stay in the temporary folder."""
    scratch = folder / "scratch"
    scratch.mkdir()
    os.environ["TMPDIR"] = str(scratch)
    try:
        process = start(folder, workers=2, new_session=True)
    finally:
        del os.environ["TMPDIR"]
    with process:
        process.stdout.readline()
        time.sleep(2.5 * chance.random())
        process.kill()
    end = time.monotonic() + 10
    while members(process.pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not members(process.pid)
    assert list(scratch.iterdir()) == []


LINE = [
    *("run", "link", "--set", "targets=[[0, 0]]", "--set", "n_subcarriers=8", "--set", "n_symbols=2"),
    *("--design", "uniform", "--sinr-db", "-30", "--snr-db", "20", "--trials", "2", "--workers", "1"),
]
WRITES = "mkdir,rename,renameat,renameat2,unlink,unlinkat,rmdir,ftruncate,pwrite64,fsync,fdatasync,fchmod"


def killed_in_set_up(folder, whole, chance):
    """``disac run link`` is killed at its n-th system call that writes, one after the other (needs strace)."""
    place = int(folder.parent.joinpath("place").read_text()) if folder.parent.joinpath("place").exists() else 1
    folder.parent.joinpath("place").write_text(str(place + 1))
    inject = f"inject={WRITES}:signal=KILL:when={place}"
    line_or_resume(folder, ["strace", "-f", "-o", "/dev/null", "-e", f"trace={WRITES}", "-e", inject])


def killed_soon(folder, whole, chance):
    """``disac run link`` is killed at a random time of its first two seconds."""
    line_or_resume(folder, ["timeout", "-s", "KILL", f"{2 * chance.random():.3f}"])


def line_or_resume(folder, kill):
    """After a kill the run goes on by --resume, or where nothing has begun the same line begins it."""
    command, run = [sys.executable, "-m", "disac"], folder / "run"
    told = {"capture_output": True, "text": True, "check": False}
    subprocess.run([*kill, *command, *LINE, "--out", str(run)], **told)
    done = subprocess.run([*command, "run", "link", "--resume", str(run), "--workers", "1"], **told)
    if done.returncode:
        assert not run.exists() or "no run has begun in it" in " ".join(done.stderr.split()), done.stderr
        done = subprocess.run([*command, *LINE, "--out", str(run)], **told)
    assert done.returncode == 0, done.stderr
    reference = folder.parent / "link"
    if not reference.exists():
        subprocess.run([*command, *LINE, "--out", str(reference)], **told)
    assert digest(run / "run.sqlite") == digest(reference / "run.sqlite")
    assert (run / "summary.csv").read_bytes() == (reference / "summary.csv").read_bytes()
    assert (run / "rerun.txt").read_bytes() == (reference / "rerun.txt").read_bytes()


def two_starts(folder, whole, chance):
    """Two starts with one --out and two seeds: one wins, and settings and records are both its own."""
    command, run = [sys.executable, "-m", "disac"], folder / "run"
    starts = []
    for seed in "12":
        line = [*command, *LINE, "--seed", seed, "--out", str(run)]
        starts.append(subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(0.3 * chance.random())
    assert sorted(start.wait() for start in starts) == [0, 1]
    seed = str(1 + [start.returncode for start in starts].index(0))
    assert read_run(run / "run.sqlite").meta["seed"] == seed
    assert f"--seed {seed}" in (run / "rerun.txt").read_text()
    assert f"seed = {seed}" in (run / "config.toml").read_text()


def flipped_bit(folder, whole, chance):
    """A bit of a finished run is flipped: it is found, or no result changed (free space, times)."""
    path = folder / "run"
    run_campaign(Noise(), path, seed=SEED, trials=100)
    expected, content = digest(path), bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    try:
        with RunReader(path) as reader:
            reader.verify()
            assert reader.digest() == expected
    except StoreError:
        pass


def members(session):
    """Processes of a session that are not zombies."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = entry.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            found.append(entry)
    return found


FAULTS = {
    "process killed (SIGKILL) at a random time": (killed_process, 50),
    "`disac run link` killed at a system call that writes, one after the other": (killed_in_set_up, 200),
    "`disac run link` killed (SIGKILL) at a random time of its first 2 s": (killed_soon, 200),
    "two starts with one --out": (two_starts, 10),
    "a bit of a finished run flipped": (flipped_bit, 200),
    "a worker killed ten times in one run": (killed_worker, 3),
    "trial raises": (bad_trial("raises"), 5),
    "trial returns NaN": (bad_trial("nan"), 5),
    "trial returns no flat record": (bad_trial("invalid"), 5),
    "trial kills its process": (bad_trial("kills"), 5),
    "trial crashes in compiled code": (bad_trial("crashes"), 5),
    "trial hangs past its limit": (bad_trial("hangs"), 5),
    "disk full": (full_disk, 10),
    "two processes on one run": (two_processes, 10),
    "file damaged": (damaged, 20),
    "file newer or not a run": (newer, 20),
    "viewer holds a read lock": (reading_viewer, 10),
    "Ctrl-C": (interrupted, 10),
    "output into a pipe that closes": (closed_pipe, 3),
    "parent of a pool killed": (dead_parent, 10),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two tries of each fault")
    parser.add_argument("--only", metavar="TEXT", default="", help="faults whose name holds this text")
    parser.add_argument("--tries", type=int, metavar="N", help="tries of each fault")
    options = parser.parse_args()
    lost = 0
    print("| fault | tried | survived |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        whole = Whole(Path(name))
        for fault, (inject, tries) in FAULTS.items():
            if options.only not in fault:
                continue
            tries = options.tries or (min(tries, 2) if options.quick else tries)
            troubles = []
            for i in range(tries):
                folder = Path(tempfile.mkdtemp(dir=name))
                try:
                    inject(folder, whole, random.Random(f"{fault} {i}"))
                except Exception as error:
                    troubles.append(f"try {i}: {type(error).__name__}: {error}")
            lost += len(troubles)
            print(f"| {fault} | {tries} | {tries - len(troubles)} |", flush=True)
            for trouble in troubles:
                print(trouble, file=sys.stderr)
    raise SystemExit(lost > 0)


if __name__ == "__main__":
    main()
