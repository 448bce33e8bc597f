"""The store: exact values, a prefix whatever happens, one writer, any number of readers, clear refusals."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
from campaigns import Faulty, Noise, digest
from hypothesis import given, settings
from hypothesis import strategies as st

from disac.experiments.campaign.runner import run_campaign
from disac.experiments.runs import store as store_module
from disac.experiments.runs.file import sqlite_uri
from disac.experiments.runs.store import (
    RunReader,
    RunWriter,
    StoreBusy,
    StoreError,
    StoreFull,
    file_system_type,
    is_network_file_system,
    read_run,
    writer_of,
)
from disac.experiments.trials.experiment import Column
from disac.experiments.trials.failure import Failure
from disac.experiments.trials.keys import point_key
from disac.experiments.trials.stopping import StopReason

POINT = {"snr_db": 10.0}
KEY = point_key(POINT)


def new_run(path):
    writer = RunWriter(path)
    writer.add_point(KEY, POINT)
    return writer


FLOATS = st.floats()
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "real": FLOATS,
            "complex": st.complex_numbers(),
            "int": st.integers(-(2**63), 2**63 - 1),
            "flag": st.booleans(),
            "text": st.text(),
            'odd, "name"; --': FLOATS,
        }
    ),
    min_size=1,
    max_size=6,
)


@given(rows=ROWS)
@settings(deadline=None, max_examples=25)
def test_values_come_back_bit_for_bit(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("store") / "run"
    with new_run(path) as writer:
        for trial, row in enumerate(rows):
            writer.commit(KEY, trial, [row])
    with RunReader(path) as reader:
        stored = [record for _, record in reader.records(KEY)]
        assert [repr(sorted(record.items())) for record in stored] == [repr(sorted(row.items())) for row in rows]
        table = reader.table(KEY)
    assert {name: values.dtype.kind for name, values in table.items() if name != "trial"} == {
        "real": "f",
        "complex": "c",
        "int": "i",
        "flag": "b",
        "text": "O",
        'odd, "name"; --': "f",
    }
    assert repr(table["complex"].tolist()) == repr([row["complex"] for row in rows])
    np.testing.assert_array_equal(table["int"], [row["int"] for row in rows])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_column_types_widen_whatever_comes_first(tmp_path, order):
    rows = [{"x": True}, {"x": 2}, {"x": 1.5 - 2j}]
    with new_run(tmp_path / "run") as writer:
        for trial, which in enumerate(order):
            writer.commit(KEY, trial, [rows[which]])
    with RunReader(tmp_path / "run") as reader:
        assert reader.kinds() == {"x": "complex"}
        assert [record["x"] for _, record in reader.records(KEY)] == [complex(rows[which]["x"]) for which in order]
        np.testing.assert_array_equal(reader.table(KEY)["x"], [complex(rows[which]["x"]) for which in order])


def test_text_and_numbers_do_not_mix_and_nothing_is_stored(tmp_path):
    with new_run(tmp_path / "run") as writer:
        writer.commit(KEY, 0, [{"x": 1.0}])
        with pytest.raises(StoreError, match="'x' holds both text and numbers"):
            writer.commit(KEY, 1, [{"x": 2.0, "y": 1}, {"x": "two"}])
        writer.commit(KEY, 1, [{"x": 3.0, "z": 1}])
        assert list(writer.kinds()) == ["x", "z"]


@pytest.mark.parametrize("record", [{"trial": 1}, {"Point": 1}, {"x": 1.0, "X": 2.0}, {"z": 1j, "z.imag": 0.0}])
def test_names_that_sql_cannot_tell_apart_are_refused(tmp_path, record):
    with new_run(tmp_path / "run") as writer:
        with pytest.raises(StoreError, match="rename it"):
            writer.commit(KEY, 0, [record])
        assert writer.points()[0].trials == 0


def test_missing_values(tmp_path):
    with new_run(tmp_path / "run") as writer:
        writer.commit(KEY, 0, [{"n": 1, "b": True, "s": "a", "c": 1j}, {"other": 2.0}])
        table = writer.table(KEY)
        assert [record for _, record in writer.records(KEY)][1].keys() == {"other", "c"}
    np.testing.assert_array_equal(table["n"], [1.0, np.nan])
    np.testing.assert_array_equal(table["b"], [1.0, np.nan])
    assert list(table["s"]) == ["a", ""]
    np.testing.assert_array_equal(np.isnan(table["c"]), [False, True])


def test_only_the_next_trial_can_be_committed(tmp_path):
    with new_run(tmp_path / "run") as writer:
        writer.commit(KEY, 0, [{"x": 1.0}, Failure("raised", "no", "trace")])
        for first in (0, 1, 3):
            with pytest.raises(StoreError, match="not the next"):
                writer.commit(KEY, first, [{"x": 1.0}])
        writer.commit(KEY, 2, [{"x": 2.0}], stop=StopReason("fixed-trials", "3 trials"))
        (point,) = writer.points()
        assert (point.trials, point.failed, point.stop.text) == (3, 1, "3 trials")
        assert writer.row(KEY, 1) == Failure("raised", "no", "trace")
        assert writer.row(KEY, 3) is None


def test_units_are_stored(tmp_path):
    with new_run(tmp_path / "run") as writer:
        writer.declare_columns({"x": Column("m", "error")})
        writer.commit(KEY, 0, [{"x": 1.0, "y": 2}])
        assert writer.columns() == {"x": Column("m", "error"), "y": Column("1", "")}
        writer.declare_columns({"y": Column("s")})
        assert writer.columns()["y"].unit == "s"


def test_second_writer_is_refused_by_name(tmp_path):
    path = tmp_path / "run"
    assert writer_of(path) is None
    with new_run(path) as writer:
        code = f"from disac.experiments.runs.store import RunWriter; RunWriter({str(path)!r}, resume=True)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "StoreBusy" in done.stderr
        assert f"is being written by process {os.getpid()} on" in done.stderr
        with pytest.raises(StoreBusy, match=f"process {os.getpid()}"):
            RunWriter(path, resume=True)
        assert f"process {os.getpid()}" in writer_of(path)
        writer.commit(KEY, 0, [{"x": 1.0}])
    assert writer_of(path) is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_lock_of_a_dead_process_does_not_block(tmp_path):
    (tmp_path / "run.lock").write_text("process 1 on elsewhere")
    with new_run(tmp_path / "run") as writer:
        writer.commit(KEY, 0, [{"x": 1.0}])
    assert not (tmp_path / "run.lock").exists()


def test_newer_version_is_refused_unchanged(tmp_path):
    new_run(tmp_path / "run").close()
    with sqlite3.connect(tmp_path / "run") as db:
        db.execute("PRAGMA user_version = 3")
    db.close()
    before = (tmp_path / "run").read_bytes()
    for opener in (RunReader, lambda path: RunWriter(path, resume=True), RunWriter):
        with pytest.raises(StoreError, match="schema version 3, this disac reads up to 2"):
            opener(tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\0" + b"\xff" * 200, b"SQLite format 3\0"])
def test_other_files_are_refused_unchanged(tmp_path, content):
    (tmp_path / "run").write_bytes(content)
    for opener in (RunReader, lambda path: RunWriter(path, resume=True)):
        with pytest.raises(StoreError, match="nothing was changed"):
            opener(tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == content
    with sqlite3.connect(tmp_path / "other") as db:
        db.execute("CREATE TABLE theirs (x)")
        db.execute("PRAGMA application_id = 77")
    db.close()
    with pytest.raises(StoreError, match="not a disac run"):
        RunWriter(tmp_path / "other", resume=True)


def test_foreign_database_without_an_id_is_refused_unchanged(tmp_path):
    with sqlite3.connect(tmp_path / "theirs") as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = (tmp_path / "theirs").read_bytes()
    for opener in (RunReader, lambda path: RunWriter(path, resume=True)):
        with pytest.raises(StoreError):
            opener(tmp_path / "theirs")
    assert (tmp_path / "theirs").read_bytes() == before


def test_damaged_run_is_refused_unchanged(tmp_path):
    path = tmp_path / "run"
    run_campaign(Noise(), path, seed=1, trials=300)
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], whole[:8192] + b"\x55" * 20000 + whole[28192:]):
        path.write_bytes(damage)
        with pytest.raises(StoreError, match="damaged"):
            run_campaign(Noise(), path, seed=1, trials=400, resume=True)
        assert path.read_bytes() == damage
    with pytest.raises(StoreError, match="damaged"), RunReader(path) as reader:
        reader.check()


def test_no_such_run_and_no_such_folder(tmp_path):
    with pytest.raises(StoreError, match="no such run"):
        RunReader(tmp_path / "run")
    with pytest.raises(StoreError, match="folder"):
        RunWriter(tmp_path / "missing" / "run")
    (tmp_path / "run").touch()
    with pytest.raises(StoreError, match="no run yet"):
        RunReader(tmp_path / "run")
    new_run(tmp_path / "run").close()


def test_viewer_with_a_read_lock_does_not_stop_the_writer(tmp_path):
    path = tmp_path / "run"
    with new_run(path) as writer:
        writer.commit(KEY, 0, [{"x": 1.0}])
        with RunReader(path) as reader, reader.snapshot():
            assert len(reader.records(KEY)) == 1
            for trial in range(1, 50):
                writer.commit(KEY, trial, [{"x": float(trial)}])
            assert len(reader.records(KEY)) == 1, "a snapshot does not move"
        with RunReader(path) as reader:
            assert len(reader.records(KEY)) == 50


def test_viewers_in_a_loop_during_a_run(tmp_path):
    path = tmp_path / "run"
    errors, looks = [], 0
    done = threading.Event()

    def look():
        nonlocal looks
        while not done.is_set():
            try:
                if path.exists() and path.stat().st_size > 0:
                    for point in read_run(path).points:
                        trials = sorted([*point.failures, *range(len(point.records))])
                        assert trials == list(range(point.status.trials))
                    looks += 1
            except StoreError as error:
                if "no run yet" not in str(error):
                    errors.append(error)

    viewers = [threading.Thread(target=look) for _ in range(2)]
    for viewer in viewers:
        viewer.start()
    try:
        run_campaign(Noise(), path, seed=1, trials=120, batch_size=2)
    finally:
        done.set()
        for viewer in viewers:
            viewer.join()
    assert errors == []
    assert looks > 3


def test_finished_run_is_one_file_that_a_read_only_folder_can_show(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    run_campaign(Noise(), folder / "run", seed=1, trials=5)
    assert [entry.name for entry in folder.iterdir()] == ["run"]
    expected = digest(folder / "run")
    assert in_read_only_folder(folder) == expected


def test_unfinished_run_in_a_read_only_folder_is_shown_or_explained(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    code = f"""
        import os
        from disac.experiments.trials.keys import point_key
        from disac.experiments.runs.store import RunWriter
        writer = RunWriter({str(folder / "run")!r})
        writer.add_point(point_key({POINT}), {POINT})
        writer.commit(point_key({POINT}), 0, [{{"x": 1.0}}])
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    assert (folder / "run-wal").stat().st_size > 0
    (folder / "run-shm").unlink()
    shown = in_read_only_folder(folder)
    assert shown == digest(folder / "run") or "write access" in shown


def in_read_only_folder(folder):
    """Digest or error of a copy of a run, as seen by a process without write access, root's privilege given up."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copytree(folder, Path(place) / "copy"))
        for entry in copy.iterdir():
            entry.chmod(0o444)
        copy.chmod(0o555)
        Path(place).chmod(0o755)
        code = f"""
            import os
            from disac.experiments.runs.store import *
            os.chdir("/")
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            try:
                with RunReader({str(copy / "run")!r}) as reader:
                    print(reader.digest())
            except StoreError as error:
                print(error)
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
        copy.chmod(0o755)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_network_file_systems_get_a_rollback_journal_and_a_note(tmp_path, monkeypatch, caplog):
    with new_run(tmp_path / "local") as writer:
        assert writer.journal_mode == "wal"
        assert "network file system" not in writer.journal_note
    monkeypatch.setattr(store_module, "file_system_type", lambda path: "nfs4")
    run_campaign(Noise(), tmp_path / "remote", seed=1, trials=6)
    assert "network file system (nfs4)" in caplog.text
    with RunWriter(tmp_path / "remote", resume=True) as writer:
        assert writer.journal_mode == "truncate"
        assert "network file system (nfs4)" in writer.journal_note
        with RunReader(tmp_path / "remote") as reader:
            assert len(reader.points()) == 2
    monkeypatch.undo()
    run_campaign(Noise(), tmp_path / "local-too", seed=1, trials=6)
    assert digest(tmp_path / "remote") == digest(tmp_path / "local-too")


def test_file_system_types(tmp_path, monkeypatch):
    table = (
        "proc /proc proc rw 0 0\n/dev/a / ext4 rw 0 0\n"
        "host:/x /data\\040set nfs4 rw 0 0\ntmpfs /data\\040set/fast tmpfs rw 0 0\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda self, *a, **k: table)
    assert file_system_type(Path("/data set/run")) == "nfs4"
    assert file_system_type(Path("/data set/fast/run")) == "tmpfs"
    assert file_system_type(Path("/data settings/run")) == "ext4"
    assert all(map(is_network_file_system, ("nfs", "nfs4", "cifs", "smb3", "lustre", "fuse.sshfs", "9p")))
    assert not any(map(is_network_file_system, ("ext4", "xfs", "btrfs", "tmpfs", "overlay", "apfs", "zfs", "unknown")))


def test_file_that_may_not_grow_keeps_what_it_has(tmp_path):
    path = tmp_path / "run"
    code = f"""
        import resource, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from campaigns import Noise
        from disac.experiments.campaign.runner import run_campaign
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        run_campaign(Noise(), {str(path)!r}, seed=3, trials=3000, batch_size=20)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "StoreFull" in done.stderr
    assert "resume the run" in done.stderr.splitlines()[-1]
    held = read_run(path).points[0].status.trials
    assert 0 < held < 3000
    assert held % 20 == 0
    run_campaign(Noise(), path, seed=3, trials=held + 50, resume=True)
    run_campaign(Noise(), tmp_path / "whole", seed=3, trials=held + 50)
    assert digest(path) == digest(tmp_path / "whole")


def test_full_disk_is_told_apart_and_rolled_back(tmp_path):
    with new_run(tmp_path / "run") as writer:
        writer.commit(KEY, 0, [{"x": "a" * 100}])
        pages = writer._query("PRAGMA page_count")[0][0]
        writer._query(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreFull, match="safe"):
            writer.commit(KEY, 1, [{"x": "a" * 5000} for _ in range(20)])
        assert writer.points()[0].trials == 1
        writer._query("PRAGMA max_page_count = 100000")
        writer.commit(KEY, 1, [{"x": "b"}])
        assert writer.points()[0].trials == 2


def test_meta_is_json_and_plain_sqlite_reads_the_records(tmp_path):
    run_campaign(Noise(), tmp_path / "run", seed=12345678901234567890, trials=4)
    with sqlite3.connect(tmp_path / "run") as db:
        meta = {key: json.loads(value) for key, value in db.execute("SELECT * FROM meta")}
        rows = db.execute('SELECT dx, z, "z.imag" FROM records ORDER BY point, trial').fetchall()
    db.close()
    assert meta["seed"] == "12345678901234567890"
    assert meta["experiment"] == "noise"
    assert meta["sessions"][0]["provenance"]["python"]["version"]
    assert len(rows) == 8
    assert all(dx == re for dx, re, _ in rows)


def test_digest_sees_every_bit_but_not_times(tmp_path):
    for name in ("a", "b"):
        run_campaign(Noise(), tmp_path / name, seed=1, trials=4)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    with sqlite3.connect(tmp_path / "b") as db:
        db.execute("UPDATE records SET maybe = 0.0 WHERE trial = 0")
    db.close()
    assert digest(tmp_path / "a") != digest(tmp_path / "b")


CHANGES = (
    "UPDATE records SET dx = dx * (1 + 1e-15) WHERE trial = 3",
    "UPDATE records SET maybe = NULL WHERE trial = 0",
    "UPDATE records SET tag = 'y' WHERE trial = 1",
    "UPDATE records SET trial = 77 WHERE trial = 11",
    "DELETE FROM records WHERE trial = 11",
    "UPDATE failures SET message = 'fine'",
    "DELETE FROM failures",
    "DELETE FROM batches WHERE first_trial = 0",
    "UPDATE points SET fields = '{}'",
    "UPDATE stops SET text = 'enough'",
    "UPDATE columns SET unit = 'km' WHERE name = 'dx'",
    "UPDATE meta SET value = '\"7\"' WHERE key = 'seed'",
)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    path = tmp_path_factory.mktemp("sealed") / "run"
    run_campaign(Faulty((0.0,), raises=(2,)), path, seed=4, trials=12, batch_size=5)
    with RunReader(path) as reader:
        reader.verify()
    return path


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_anything_that_was_written_is_found(sealed, tmp_path, change):
    path = tmp_path / "run"
    shutil.copy(sealed, path)
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    with RunReader(path) as reader:
        reader.check()
        with pytest.raises(StoreError, match=rf"{path} is damaged"):
            reader.verify()


def test_flipped_bits_are_found_or_change_no_result(sealed, tmp_path):
    """200 single bits; what passes left every result as it was (free space, times)."""
    path = tmp_path / "run"
    content = sealed.read_bytes()
    wanted, chance, passed = digest(sealed), random.Random(5), 0
    for _ in range(200):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        try:
            with RunReader(path) as reader:
                reader.verify()
                found = reader.digest()
        except StoreError:
            continue
        passed += 1
        assert found == wanted
    assert passed < 200


def test_digests_survive_columns_that_come_and_widen(tmp_path):
    with new_run(tmp_path / "run") as writer:
        key = point_key(POINT)
        writer.commit(key, 0, [{"a": 1, "b": True}, {"a": 2, "b": False}])
        writer.commit(key, 2, [{"a": 0.5, "b": True, "late": "x"}])
        writer.commit(key, 3, [{"a": complex(1.0, -0.0), "b": True}, {"a": float("nan"), "b": True}])
        writer.verify()


def test_a_file_system_without_a_log_falls_back(tmp_path, monkeypatch, caplog):
    """exFAT, 9p: SQLite keeps another journal, or fails to map the log's index."""
    query = RunReader._query

    def refuse(self, sql, parameters=()):
        if sql == "PRAGMA journal_mode = WAL":
            if self.path.name == "fails":
                raise StoreError("disk I/O error")
            return [("delete",)]
        return query(self, sql, parameters)

    run_campaign(Noise(), tmp_path / "usual", seed=1, trials=5)
    monkeypatch.setattr(RunReader, "_query", refuse)
    for name in ("other", "fails"):
        caplog.clear()
        run_campaign(Noise(), tmp_path / name, seed=1, trials=5)
        assert digest(tmp_path / name) == digest(tmp_path / "usual")
        assert "takes no write-ahead log: rollback journal instead" in caplog.text


@pytest.mark.parametrize(
    "kind",
    ["ceph", "fuse.ceph-fuse", "virtiofs", "weka", "wekafs", "orangefs", "fuse.s3fs", "vmhgfs", "fuse.vmhgfs-fuse"],
)
def test_more_network_file_systems(kind):
    assert is_network_file_system(kind)


def test_too_many_columns_are_refused_before_the_first_trial(tmp_path):
    class Wide(Noise):
        columns = {f"c{i}": Column() for i in range(2000)}  # noqa: RUF012

        def one(self, scale, key):
            raise AssertionError("a trial ran")

    with pytest.raises(StoreError, match="2000 columns, more than the 1998 that an SQLite table takes"):
        run_campaign(Wide(), tmp_path / "run", seed=1, trials=1)
    with new_run(tmp_path / "other") as writer, pytest.raises(StoreError, match="1999 columns"):
        writer.commit(point_key(POINT), 0, [{f"c{i}": 1 for i in range(1999)}])


def test_a_share_of_windows_is_a_path_to_sqlite():
    share = PureWindowsPath("//srv/share/a run/run.sqlite")
    assert sqlite_uri(share) == "file:////srv/share/a%20run/run.sqlite"
    assert sqlite_uri(PureWindowsPath("C:/a#b/run")) == "file:///C:/a%23b/run"
    assert sqlite_uri(Path("/a#b?c%41 d")) == "file:///a%23b%3Fc%2541%20d"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, ""])
def test_a_description_that_is_no_json_is_named(sealed, tmp_path, text):
    path = tmp_path / "run"
    shutil.copy(sealed, path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = ?", (text,))
    db.close()
    with RunReader(path) as reader, pytest.raises(StoreError, match=rf"{path} is damaged: a description"):
        reader.meta()


@pytest.mark.parametrize("change", ["UPDATE records SET dx = 'far'", "UPDATE points SET first_trial = -4"])
def test_values_of_another_kind_are_named(sealed, tmp_path, change):
    path = tmp_path / "run"
    shutil.copy(sealed, path)
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    with pytest.raises(StoreError, match=rf"{path} is damaged"):
        read_run(path)
