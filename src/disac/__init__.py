"""disac: a waveform-level Monte Carlo testbed for noncoherent distributed ISAC."""

import os
import tempfile
from pathlib import Path

__version__ = "0.1.0"


def _provide_kernel_cache() -> None:
    """Point Numba to a temporary cache where neither this package nor the user's cache folder can be written.

    Without any writable place Numba refuses to compile kernels that ask for caching.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    existing = next((folder for folder in (user_cache, *user_cache.parents) if folder.exists()), None)
    places = (Path(__file__).parent, existing)
    if not any(place is not None and os.access(place, os.W_OK) for place in places):
        user = getattr(os, "getuid", lambda: "user")()
        os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"disac-numba-{user}")


_provide_kernel_cache()
