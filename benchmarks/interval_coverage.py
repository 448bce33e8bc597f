"""How often do the intervals cover the truth where a few large errors, or a few deep fades, carry the mean?

Prints the tables of docs/statistics.md: ``python benchmarks/interval_coverage.py [RUNS]``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from disac.experiments.statistics.intervals import Interval, bootstrap_rmse_interval, clustered_error_rate_interval

LARGE = 10.0
"""Outliers' errors over the others'."""


def squared_errors(rng: np.random.Generator, axes: int, trials: int, share: float) -> NDArray[np.float64]:
    """Squared Gaussian errors of ``axes`` equal axes, of which a share is LARGE times as large."""
    squared: NDArray[np.float64] = rng.chisquare(axes, trials) / axes
    return np.where(rng.random(trials) < share, LARGE**2 * squared, squared)


def misses(runs: int, truth: float, interval: Callable[[np.random.Generator], Interval]) -> tuple[float, float, float]:
    """Shares of runs that cover, whose interval lies above the truth, and below it."""
    rng = np.random.default_rng(1)
    found = [interval(rng) for _ in range(runs)]
    above, below = (sum(i.low > truth for i in found) / runs, sum(i.high < truth for i in found) / runs)
    return 1 - above - below, above, below


def main() -> None:
    """Both tables."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| trials | outliers | axes | covers | lies above | lies below |\n|---|---|---|---|---|---|")
    for trials, share in ((20, 0), (50, 0), (200, 0), (200, 0.01), (200, 0.03), (200, 0.05), (200, 0.2), (2000, 0.005)):
        for axes in (1, 2):
            truth = float(np.sqrt(1 - share + share * LARGE**2))
            shares = misses(
                runs,
                truth,
                lambda rng: bootstrap_rmse_interval(squared_errors(rng, axes, trials, share), rng=rng),  # noqa: B023
            )
            print(
                f"| {trials} | {100 * share:g} % | {axes} | " + " | ".join(f"{x:.3f}" for x in shares) + " |",
                flush=True,
            )
    print(
        "\n| SNR [dB] | channels | bits each | BER | covers | lies above | lies below |\n|---|---|---|---|---|---|---|"
    )
    for snr_db, channels, bits in ((10, 200, 100), (20, 200, 1000), (30, 200, 1000), (30, 2000, 1000), (40, 200, 1000)):
        snr = 10 ** (snr_db / 10)
        truth = 0.5 * (1 - np.sqrt(snr / (2 + snr)))

        def interval(rng: np.random.Generator) -> Interval:
            rates = stats.norm.sf(np.sqrt(snr * rng.exponential(size=channels)))  # noqa: B023
            return clustered_error_rate_interval(rng.binomial(bits, rates), bits)  # noqa: B023

        shares = misses(runs, truth, interval)
        numbers = " | ".join(f"{x:.3f}" for x in shares)
        print(f"| {snr_db} | {channels} | {bits} | {truth:.3g} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
