"""Time several ways of doing the same thing in one run, so that their ratios do not depend on the machine's mood."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import thread_time

import numpy as np


def median_seconds(
    cases: Mapping[str, Callable[[], object]], *, rounds: int = 15, seconds_per_round: float = 0.02
) -> dict[str, float]:
    """Median processor time of one call of each single-threaded case [s].

    Every case is called once to warm up (compilation, caches), then the cases take turns, ``rounds`` times; in its turn
    a case is repeated for about ``seconds_per_round``. Time that the thread did not run does not count.
    """
    calls = {}
    for name, case in cases.items():
        case()
        start = thread_time()
        case()
        calls[name] = max(1, round(seconds_per_round / max(thread_time() - start, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            start = thread_time()
            for _ in range(calls[name]):
                case()
            times[name].append((thread_time() - start) / calls[name])
    return {name: float(np.median(samples)) for name, samples in times.items()}
