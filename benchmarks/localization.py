"""Localization against the plain numpy twin: same statistics, same grid, same starts, same evaluations.

Run as ``python benchmarks/localization.py``. The twin is vectorized over candidates with matrix products, leaves out
silent nodes and gets its steering and delay tables for nothing, as the estimator does; its climbs are scipy's
quasi-Newton with all points of a difference gradient evaluated together. "trial" repeats with the twin every grid and
every climb of one estimate. Times are medians of turns taken in one process on one thread, with accuracy beside them.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import sys
from pathlib import Path

import numpy as np
from side_by_side import median_seconds

from disac.estimators import Localizer, sufficient_statistics
from disac.estimators.ml.multistart import EXPLORE, Trial
from disac.simulator import Scenario, synthesize

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from likelihood_twin import Twin, link_variables


class Recorder(Trial):
    """A trial that remembers which grids and climbs the search asked for."""

    def __init__(self, trial: Trial) -> None:
        self.__dict__.update(trial.__dict__)
        self.grids: list[object] = []
        self.climbs: list[object] = []

    def _candidates(self, given, *limits):
        self.grids.append(given.found)
        return super()._candidates(given, *limits)

    def climb(self, start, tolerance):
        self.climbs.append((start, tolerance))
        return super().climb(start, tolerance)


def waveform(scenario, rng, orthogonal):
    """Gaussian symbols, on the node's own subcarriers or on all."""
    shape = (scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers, scenario.n_symbols, 2)
    X = rng.standard_normal(shape) @ np.array([1, 1j]) / np.sqrt(2 * scenario.n_subcarriers)
    return X * (np.arange(scenario.n_nodes)[:, None] == scenario.subcarrier_node)[:, None, :, None] if orthogonal else X


def compare(name, scenario, orthogonal):
    """Print one row for each stage."""
    rng = np.random.default_rng(0)
    X = waveform(scenario, rng, orthogonal)
    Y = synthesize(scenario, X, rng=rng)
    localizer = Localizer(scenario)
    statistics = sufficient_statistics(X, Y)
    trial = localizer.trial(statistics)
    recorder = Recorder(trial)
    best = recorder.maximize(scenario.n_targets)
    scene = (scenario.nodes, scenario.orientations)
    twin = Twin(statistics.cross, statistics.gram, scenario.bandwidth_hz)
    candidates = twin.factors(*link_variables(*scene, localizer.grid.points))

    def twin_grid(twin, found):
        if not found.labels:
            return twin.gains(candidates)
        return twin.gains(candidates, twin.factors(*link_variables(*scene, found.positions)))

    def twin_climb(twin, start):
        return twin.refine(*scene, start.positions, scenario.area)

    def twin_trial():
        fresh = Twin(statistics.cross, statistics.gram, scenario.bandwidth_hz)
        for found in recorder.grids:
            twin_grid(fresh, found)
        return [twin_climb(fresh, start) for start, _ in recorder.climbs]

    start = next(start for start, tolerance in recorder.climbs if tolerance == EXPLORE)
    none, last = recorder.grids[0], recorder.grids[-1]
    stages = {
        "first grid": (lambda: trial._candidates(trial.condition(none), 6, 0.0), lambda: twin_grid(twin, none)),
        "last grid": (lambda: trial._candidates(trial.condition(last), 6, 0.0), lambda: twin_grid(twin, last)),
        "climb": (lambda: trial.climb(start, 1e-6), lambda: twin_climb(twin, start)),
        "trial": (lambda: localizer.from_statistics(statistics), twin_trial),
    }
    print(
        f"\n{name}: grid {localizer.grid.shape}, {len(recorder.grids)} grids and {len(recorder.climbs)} climbs a trial"
    )
    print("stage          disac [ms]   twin [ms]   ratio")
    for stage, (ours, theirs) in stages.items():
        times = median_seconds({"ours": ours, "twin": theirs}, rounds=7)
        print(
            f"{stage:12s} {1e3 * times['ours']:12.3f} {1e3 * times['twin']:11.2f} {times['twin'] / times['ours']:7.1f}"
        )
    seconds = median_seconds({"statistics": lambda: sufficient_statistics(X, Y)}, rounds=7)
    positions, value, gradients = twin.refine(*scene, best.targets.positions + 0.05, scenario.area)
    print(f"statistics {1e3 * seconds['statistics']:14.3f}   (not in the rows above)")
    print(
        f"largest distance of the two maxima {np.abs(positions - best.targets.positions).max():.1e} m, "
        f"disac's likelihood higher by {(best.value - value) / trial.noise_variance(best):.1e} nats, "
        f"{gradients} gradients by the twin"
    )


def main() -> None:
    print("Fig. 4's scene, N = 4, M_t = M_r = 6, L = 16, T = 16")
    one, two = Scenario.preset("fig4", targets=[[0.0, 0.0]]), Scenario.preset("fig4")
    compare("K = 1, orthogonal, 10 MHz", one, True)
    compare("K = 2, orthogonal, 10 MHz", two, True)
    compare("K = 1, orthogonal, 50 MHz", one.replace(bandwidth_hz=50e6), True)
    compare("K = 1, all nodes on all subcarriers, 10 MHz", one, False)
    compare("K = 2, all nodes on all subcarriers, 10 MHz", two, False)


if __name__ == "__main__":
    main()
