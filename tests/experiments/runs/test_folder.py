"""A run folder is claimed by one process, and its set-up is there whole or not at all, whatever kills the process."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from disac.experiments.runs.folder import (
    FolderError,
    begun,
    check_begun,
    new_run,
    records_kept,
    run_folder,
    write_provenance,
)
from disac.experiments.runs.replacing import replace_text, replacing

FILES = {"config.toml": "seed = 1\n", "scenario-0.toml": "n_tx = 6\n", "rerun.txt": "disac run link\n"}


def _fill(folder):
    for name, text in FILES.items():
        (folder / name).write_text(text)


def _files(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_set_up_appears_whole(tmp_path):
    out = tmp_path / "deep" / "run"
    with new_run("link", out) as new:
        assert new.folder == out
        _fill(new.staging)
        assert not set(FILES) & {path.name for path in out.iterdir()}
    assert _files(out) == FILES
    assert begun(out)


@pytest.mark.parametrize("existed", [False, True])
def test_a_set_up_that_fails_leaves_nothing(tmp_path, existed):
    out = tmp_path / "run"
    if existed:
        out.mkdir()

    def fail():
        with new_run("link", out) as new:
            _fill(new.staging)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert out.exists() == existed
    assert not existed or list(out.iterdir()) == []
    with new_run("link", out) as new:
        _fill(new.staging)
    assert _files(out) == FILES


def test_two_starts_with_one_folder(tmp_path):
    """The second is refused while the first still solves its design, and afterwards."""
    out = tmp_path / "run"
    with new_run("link", out) as new:
        with pytest.raises(FolderError, match=f"is being set up in it by process {os.getpid()} on"), new_run("b", out):
            raise AssertionError
        with pytest.raises(FolderError, match="no run has begun"):
            check_begun(out)
        _fill(new.staging)
    with pytest.raises(FolderError, match="not empty"), new_run("link", out):
        raise AssertionError
    assert _files(out) == FILES


_KILLED = """
    import os, signal, sys, threading
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from campaigns import Noise, digest
    from disac.experiments.campaign.runner import run_campaign
    from disac.experiments.runs.folder import begun, new_run, run_folder
    from disac.experiments.runs.store import RunReader

    base, count = Path(sys.argv[1]), [0, -1]
    WATCHED = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "sqlite3.connect")

    def step(*_):
        count[0] += 1
        if count[0] == count[1]:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event, args):
        reading = event == "open" and not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        if event in WATCHED and str(base) in str(args[0]) and not reading:
            step()

    query = RunReader._query
    def counted(self, *args):
        step()
        return query(self, *args)

    def the_line(folder):
        if not begun(folder):
            with new_run("noise", folder) as new:
                for name in ("config.toml", "scenario-0.toml", "rerun.txt"):
                    (new.staging / name).write_text(name)
        assert all((folder / name).read_text() == name for name in ("config.toml", "scenario-0.toml", "rerun.txt"))
        run_campaign(Noise((0.0,)), folder / "run.sqlite", seed=5, trials=3, batch_size=1, resume=True)

    def child(folder, at):
        pid = os.fork()
        if pid:
            status = os.waitpid(pid, 0)[1]
            return os.WIFSIGNALED(status), status
        try:
            count[:] = 0, at
            sys.addaudithook(watch)
            RunReader._query = counted
            the_line(folder)
            os._exit(0)
        except BaseException as error:
            print(f"step {{at}}: {{error!r}}", flush=True)
            os._exit(1)

    the_line(base / "whole")
    expected, at, kills = digest(base / "whole" / "run.sqlite"), 1, 0
    while True:
        folder = base / str(at)
        was_killed, _ = child(folder, at)
        kills += was_killed
        assert child(folder, -1)[1] == 0, at
        assert digest(folder / "run.sqlite") == expected, at
        assert {{path.name for path in folder.iterdir()}} - {{".setup.lock"}} == {{"config.toml", "scenario-0.toml",
            "rerun.txt", "run.sqlite"}}, list(folder.iterdir())
        if not was_killed:
            break
        at += 1
    print(f"kills {{kills}}")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_every_step_of_its_set_up_and_first_batches_a_run_goes_on(tmp_path):
    """SIGKILL at every opening, renaming and removing below the folder and at every SQL statement, one by one."""
    script = textwrap.dedent(_KILLED).format(tests=str(Path(__file__).parents[2]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split("kills ")[1]) > 60


@pytest.mark.parametrize("place", ["staging", "half moved"])
def test_the_line_after_a_kill(tmp_path, place):
    out = tmp_path / "run"
    out.mkdir()
    (out / ".setup.lock").touch()
    if place == "staging":
        (out / ".setup").mkdir()
        (out / ".setup" / "config.toml").write_text("half")
        with pytest.raises(FolderError, match=r"no run has begun in it; begin one there with --out"):
            check_begun(out)
        with new_run("link", out) as new:
            _fill(new.staging)
    else:
        (out / ".ready").mkdir()
        _fill(out / ".ready")
        (out / ".ready" / "rerun.txt").rename(out / "rerun.txt")
        with pytest.raises(FolderError, match="not empty; resume it"), new_run("link", out):
            raise AssertionError
        check_begun(out)
    assert _files(out) == FILES


def test_a_run_that_only_keeps_its_line(tmp_path):
    folder = run_folder("fig5", tmp_path / "run", None, "disac run fig5 --seed 3")
    assert sorted(_files(folder)) == ["provenance.json", "rerun.txt"]
    assert (folder / "rerun.txt").read_text() == "disac run fig5 --seed 3\n"
    assert run_folder("fig5", None, folder, "other") == folder
    with pytest.raises(FolderError, match="no run has begun"):
        run_folder("fig5", None, tmp_path / "other", "")


def test_a_file_is_replaced_whole_and_never_written_through_a_link(tmp_path):
    other, path = tmp_path / "other", tmp_path / "report.html"
    other.write_text("precious")
    path.symlink_to(other)

    def fail():
        with replacing(path) as partial:
            partial.write_text("half")
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert path.is_symlink()
    replace_text(path, "whole\n")
    assert (path.is_symlink(), path.read_text(), other.read_text()) == (False, "whole\n", "precious")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["other", "report.html"]


def test_what_cannot_be_replaced_is_named(tmp_path):
    (tmp_path / "summary.csv").mkdir()
    with pytest.raises(FolderError) as caught, records_kept(tmp_path):
        replace_text(tmp_path / "summary.csv", "x")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'summary.csv'}: cannot be written ({os.strerror(errno.EISDIR)})")
    assert f"--resume {tmp_path} writes the tables without a new trial" in message
    with pytest.raises(OSError, match="No such file") as lacking:
        replace_text(tmp_path / "none" / "x", "x")
    assert lacking.value.filename == str(tmp_path / "none" / "x")


def test_a_full_disk_in_the_set_up_leaves_no_half_run(tmp_path):
    script = f"""
        import resource
        from pathlib import Path
        from disac.experiments.runs.folder import new_run
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with new_run("link", Path({str(tmp_path / "run")!r})) as new:
            (new.staging / "config.toml").write_text("x" * 900)
            (new.staging / "rerun.txt").write_text("x" * 5000)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert "OSError" in done.stderr
    assert not (tmp_path / "run").exists()
    with new_run("link", tmp_path / "run") as new:
        write_provenance(new.staging, "disac run")
    assert begun(tmp_path / "run")
