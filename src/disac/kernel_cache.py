"""A place for compiled kernels that nobody else can write to.

Numba loads what it finds in its cache by unpickling it, so whoever can write there can run code in this process.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from pathlib import Path


def provide_kernel_cache() -> None:
    """Point Numba to a private temporary cache where neither this package's nor the user's cache folder can be written.

    Without any writable place Numba refuses to compile kernels that ask for caching. A cache that the user names in
    ``NUMBA_CACHE_DIR`` is left alone.
    """
    if "NUMBA_CACHE_DIR" not in os.environ and not _numba_finds_a_place():
        os.environ["NUMBA_CACHE_DIR"] = str(_private_folder())


def _numba_finds_a_place() -> bool:
    """Whether Numba can write beside our sources or into the user's cache."""
    if os.access(Path(__file__).parent, os.W_OK):
        return True
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "numba"
    if cache.is_dir():  # Numba keeps a folder per source folder in it, and any of them may be another user's
        return all(os.access(place, os.W_OK | os.X_OK) for place in (cache, *filter(Path.is_dir, cache.iterdir())))
    nearest = next((folder for folder in cache.parents if folder.exists()), None)
    return not cache.exists() and nearest is not None and os.access(nearest, os.W_OK)


def _private_folder() -> Path:
    """A temporary folder that is ours alone: the same in every process, or a new one that goes at exit."""
    user = getattr(os, "getuid", lambda: "user")()
    folder = Path(tempfile.gettempdir()) / f"disac-numba-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if _is_ours_alone(folder):
            return folder
    except OSError:
        pass  # a file of that name, or a link that leads nowhere
    fresh = Path(tempfile.mkdtemp(prefix="disac-numba-"))
    atexit.register(shutil.rmtree, fresh, ignore_errors=True)
    return fresh


def _is_ours_alone(folder: Path) -> bool:
    """Whether this is a folder, not a link to one, that belongs to this user and that no other may enter."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        return False
    return not hasattr(os, "getuid") or (found.st_uid == os.getuid() and found.st_mode & 0o077 == 0)
