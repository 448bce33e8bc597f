"""A run's file as a file: whether it is a run, where it lies, who writes it, and what its errors mean."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

SCHEMA_VERSION = 2
APPLICATION_ID = 0x44495341
_LOCK_ATTEMPTS = 10
_NETWORK_FILE_SYSTEM = re.compile(
    r"(fuse\.)?(nfs\d?|cifs|smb\w*|9p|lustre|gpfs|beegfs\w*|ceph(-fuse)?|afs|coda|glusterfs|sshfs|pvfs2|orangefs|panfs|"
    r"ocfs2|gfs2|davfs2?|vboxsf|vmhgfs(-fuse)?|prl_fs|virtiofs|weka\w*|s3fs|s3ql|goofys|gcsfuse|blobfuse2?|rclone|"
    r"juicefs|mfs|moosefs|quobyte\w*|hdfs|fuse_dfs|acfs|ncpfs)"
)


class StoreError(RuntimeError):
    """A run's file cannot be used as asked; the message names the file and nothing in it was changed."""


class OtherCampaign(StoreError):
    """The run to go on with has another seed, configuration or shard; ``path`` is its file."""

    def __init__(self, path: Path, changes: str) -> None:
        super().__init__(f"{path} belongs to another campaign: {changes}; nothing was changed")
        self.path = path


class StoreBusy(StoreError):
    """Another process writes this run; ``owner`` says which."""

    def __init__(self, message: str, owner: str = "another program") -> None:
        super().__init__(message)
        self.owner = owner


class StoreFull(StoreError):
    """The disk is full or the file may not grow; what was committed before is safe and the run can be resumed."""


def file_system_type(path: Path) -> str:
    """Type of the file system that holds ``path``, e.g. "ext4" or "nfs4"; "unknown" where it cannot be told."""
    real = Path(os.path.realpath(path))
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return "unknown"
    best, kind = -1, "unknown"
    for line in mounts:
        _, folder, name = line.split(" ")[:3]
        mount = folder.replace("\\040", " ")
        if len(mount) >= best and (real == Path(mount) or Path(mount) in real.parents):
            best, kind = len(mount), name
    return kind


def is_network_file_system(kind: str) -> bool:
    """Whether SQLite's write-ahead log, which needs memory shared between processes, is unsafe on this type."""
    return _NETWORK_FILE_SYSTEM.fullmatch(kind) is not None


def sqlite_uri(path: PurePath) -> str:
    """An absolute path as the URI that SQLite opens: it takes no host, so a share of Windows goes into the path."""
    uri = path.as_uri()
    return uri if uri.startswith("file:///") else uri.replace("file://", "file:////", 1)


def check_header(path: Path) -> None:
    """Refuse what is not a run of ours or is newer than us, by its first bytes and without opening it as a database."""
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) == 0:
        return
    if len(header) < 100 or header[:16] != b"SQLite format 3\0":
        raise StoreError(f"{path} is not a disac run, or its header is damaged; nothing was changed")
    version, application = int.from_bytes(header[60:64], "big"), int.from_bytes(header[68:72], "big")
    if (version, application) == (0, 0):
        return  # a database created a moment ago; the caller looks at its tables
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is an SQLite file but not a disac run; nothing was changed")
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this disac reads {SCHEMA_VERSION}: it was written by an older "
            "disac; nothing was changed"
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this disac reads up to {SCHEMA_VERSION}: it was written by a newer "
            "disac; nothing was changed"
        )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "full" in text or ("I/O error" in text and isinstance(error, sqlite3.OperationalError)):
            raise StoreFull(
                f"{path}: {text}; every batch committed before is safe, free some space and resume the run"
            ) from error
        if "locked" in text:
            raise StoreBusy(f"{path} is locked by another program ({text}); resume the run later") from error
        if "malformed" in text or "not a database" in text:
            raise StoreError(f"{path} is damaged ({text}); nothing was changed") from error
        if "unable to open" in text or "readonly" in text:
            raise StoreError(f"{path}: {text}; check that file and folder exist and can be accessed") from error
        raise StoreError(f"{path}: {text}") from error


class WriterLock:
    """Lock file beside the run, held by the operating system for the writing process and freed at its death."""

    def __init__(self, run: Path) -> None:
        """Take the lock of ``run``, or raise `StoreBusy`."""
        self.path = Path(f"{run}.lock")
        for _ in range(_LOCK_ATTEMPTS):
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _lock_descriptor(self._file)
                if os.stat(self.path).st_ino == os.fstat(self._file).st_ino:
                    break
                owner = "a process that ends just now"
            except FileNotFoundError:
                owner = "a process that ends just now"
            except OSError:
                owner = _owner(self._file)
            os.close(self._file)
            time.sleep(0.02)  # it may be a `writer_of` that looks
        else:
            raise StoreBusy(f"{run} is being written by {owner}; a run has one writer at a time", owner)
        started = time.strftime("%Y-%m-%d %H:%M:%S %z")
        with suppress(OSError):  # on a full disk the lock holds all the same, only without a name
            os.ftruncate(self._file, 0)
            os.write(self._file, f"process {os.getpid()} on {socket.gethostname()} since {started}".encode())

    def release(self) -> None:
        """Give the run free and remove the lock file."""
        with suppress(OSError):
            self.path.unlink()
        os.close(self._file)


def _lock_descriptor(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def writer_of(path: str | os.PathLike[str]) -> str | None:
    """Process that writes the run now, as "process PID on HOST since TIME", or None."""
    lock = Path(f"{os.fspath(path)}.lock")
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        _lock_descriptor(descriptor)
    except OSError:
        return _owner(descriptor)
    finally:
        os.close(descriptor)
    return None


def _owner(lock: int) -> str:
    return os.read(lock, 200).decode(errors="replace").strip() or "another process"
