"""How far P.3's averaged objective is from what P.3 sends, and what its own CRB as the objective gives instead.

    python benchmarks/averaged_objective.py --draws 30

Preset fig5 with 4 transmit antennas, channels and amplitudes drawn anew each time. Of every threshold: the share of
draws whose RCRB is more than 20 % above the relaxed one with its 95 % Clopper-Pearson interval, quartiles of the
excess, and RCRB of P.3-true and P.2 over P.3's. The last line compares P.3 with itself at the lowest threshold.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import argparse

import numpy as np
from scipy.stats import beta

from disac.designs import Infeasible, design
from disac.designs.result import FAR_ABOVE
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario

COLUMNS = ("relaxed", "sent", "p3-true", "p2")


def rcrb_mm(seed: int, sinr_db: float) -> list[float]:
    """RCRB of one symbol [mm] of each column; NaN where the threshold is infeasible."""
    scenario = Scenario.preset("fig5").replace(
        n_tx=4, channels=RandomChannels(seed=seed), amplitudes=RandomAmplitudes(seed=seed)
    )
    try:
        averaged, true, orthogonal = (design(name, scenario, sinr_db) for name in ("p3", "p3-true", "p2"))
    except Infeasible:
        return [np.nan] * len(COLUMNS)
    traces = (averaged.relaxed_value, averaged.value, true.value, orthogonal.value)
    return [1e3 * trace**0.5 for trace in traces]


def share_with_interval(hits: int, trials: int) -> str:
    """Share and its two-sided 95 % Clopper-Pearson interval."""
    low = beta.ppf(0.025, hits, trials - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, trials - hits) if hits < trials else 1.0
    return f"{hits / trials:.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--sinr-db", type=float, nargs="+", default=[0.0, 10.0, 20.0])
    options = parser.parse_args()
    print(" seed  SINR", *(f"{name:>9}" for name in COLUMNS))
    figures = np.full((options.draws, len(options.sinr_db), len(COLUMNS)), np.nan)
    for seed in range(options.draws):
        for i, sinr_db in enumerate(options.sinr_db):
            figures[seed, i] = rcrb_mm(seed, sinr_db)
            print(f"{seed:5d} {sinr_db:5g}", *(f"{value:9.3f}" for value in figures[seed, i]), flush=True)
    for i, sinr_db in enumerate(options.sinr_db):
        solved = figures[np.isfinite(figures[:, i, 0]), i]
        above = solved[:, 1] / solved[:, 0] - 1
        print(f"\n{sinr_db:g} dB, {len(solved)} of {options.draws} draws feasible")
        print(f"  more than 20 % above: {share_with_interval(int(np.sum(above > FAR_ABOVE)), len(solved))}")
        print(f"  above, quartiles and largest [%]: {np.quantile(100 * above, [0.25, 0.5, 0.75, 1]).round(1)}")
        for column in (2, 3):
            ratio = np.quantile(solved[:, column] / solved[:, 1], [0.25, 0.5, 0.75])
            print(f"  RCRB of {COLUMNS[column]} over P.3's, quartiles: {ratio.round(3)}")
    both = np.isfinite(figures[:, :, 1]).all(axis=1)
    tighter = np.sum(figures[both, 1:, 1].min(axis=1) < figures[both, 0, 1])
    print(f"\na tighter threshold localizes better: {share_with_interval(int(tighter), int(both.sum()))}")


if __name__ == "__main__":
    main()
