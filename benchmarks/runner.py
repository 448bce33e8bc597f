"""What the runner costs: processor time per trial of runner and store, and trials/s with two workers against one.

Run as ``python benchmarks/runner.py``. The ceiling of the scaling is what two plain processes reach on this machine at
that moment with the same trials and neither runner nor store; all take turns, start-up is not counted, and the records
of one and two workers must have the same digest.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from disac.experiments.campaign.runner import run_campaign
from disac.experiments.runs.store import RunReader
from disac.experiments.trials.keys import Purpose, TrialKey, point_key

ROUNDS = 5
TRIALS = 600


@dataclass(frozen=True)
class Flat:
    """Does nothing and records ten columns."""

    name = "flat"

    def points(self):
        return [{"x": 1}]

    def prepare(self, point):
        return None

    def run(self, context, keys):
        return [
            {"a": 0.1 + key.trial, "b": 2.5, "c": 1e-3 * key.trial, "d": 4.0, "e": 5.5, "f": 6.5, "g": 1j}
            | {"n": 7, "bits": 100, "hit": True}
            for key in keys
        ]


@dataclass(frozen=True)
class Busy:
    """About 5 ms of processor time a trial."""

    name = "busy"

    def points(self):
        return [{"x": 1}]

    def prepare(self, point):
        return np.random.default_rng(0).standard_normal((60, 60)) / 10

    def run(self, matrix, keys):
        return [{"sum": self.one(matrix, key)} for key in keys]

    def one(self, matrix, key):
        state = key.generator(Purpose.SENSE_NOISE).standard_normal((60, 60))
        for _ in range(60):
            state = np.tanh(matrix @ state)
        return float(state.sum())


def overhead(folder, batch_size, trials):
    """Processor time of this process per trial beyond the experiment's own [s]."""
    experiment = Flat()
    start = time.process_time()
    experiment.run(None, [TrialKey(1, 2, trial) for trial in range(trials)])
    own = time.process_time() - start
    start = time.process_time()
    run_campaign(experiment, folder / f"overhead-{batch_size}", seed=1, trials=trials, batch_size=batch_size)
    return (time.process_time() - start - own) / trials


def bare(trials):
    """Seconds for ``trials`` trials in a loop."""
    experiment = Busy()
    matrix = experiment.prepare({})
    start = time.perf_counter()
    experiment.run(matrix, [TrialKey(1, point_key({"x": 1}), trial) for trial in range(trials)])
    return time.perf_counter() - start


def campaign_rate(path, workers):
    """Trials/s between the first and the last commit."""
    ticks = []
    run_campaign(
        Busy(),
        path,
        seed=1,
        trials=TRIALS,
        workers=workers,
        progress=lambda progress: ticks.append((time.perf_counter(), progress.done)),
    )
    return (ticks[-1][1] - ticks[0][1]) / (ticks[-1][0] - ticks[0][0])


def digest(path):
    with RunReader(path) as reader:
        return reader.digest()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_campaign(Flat(), folder / "warm-up", seed=1, trials=10)
        for batch_size, trials in ((None, 30_000), (16, 10_000), (1, 2000)):
            size = "automatic" if batch_size is None else batch_size
            print(f"runner and store, batch {size}: {1e6 * overhead(folder, batch_size, trials):.1f} us a trial")
        rates = {"plain, 1 process": [], "plain, 2 processes": [], "runner, 1 worker": [], "runner, 2 workers": []}
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            pool.map(bare, (1, 1), chunksize=1)
            for i in range(ROUNDS):
                rates["plain, 1 process"].append(TRIALS / pool.apply(bare, (TRIALS,)))
                both = pool.map(bare, (TRIALS // 2, TRIALS // 2), chunksize=1)
                rates["plain, 2 processes"].append(TRIALS / max(both))
                for workers in (1, 2):
                    rate = campaign_rate(folder / f"{workers}-{i}", workers)
                    rates[f"runner, {workers} worker{'s' if workers > 1 else ''}"].append(rate)
                assert digest(folder / f"1-{i}") == digest(folder / f"2-{i}")
        for case, samples in rates.items():
            print(
                f"{case}: {np.median(samples):.1f} trials/s (median of {', '.join(f'{rate:.0f}' for rate in samples)})"
            )
        plain, runner = (
            np.array(rates[f"{kind}, 2 {plural}"]) / np.array(rates[f"{kind}, 1 {single}"])
            for kind, single, plural in (("plain", "process", "processes"), ("runner", "worker", "workers"))
        )
        for name, ratios in (("plain processes", plain), ("runner", runner)):
            listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            print(f"two against one, {name}: median {np.median(ratios):.2f} of {listed}")
        print("records of one and two workers: equal in every round")


if __name__ == "__main__":
    main()
