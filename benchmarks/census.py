"""How often the native solver fails: random feasible scenarios, each certified from recomputed quantities.

Run as ``python benchmarks/census.py --count 1000``. N 1-4, K 1-3, U 1-3, M 2-8, L 8-24, B 3-300 MHz, five signal
models, hybrid, TOF and AOA bounds, thresholds from -10 dB to 0.1 dB below the certified edge (15 % right there).
A scenario counts as solved when its certified relative gap is at most 1e-5, as inaccurate when it is larger, and as
failed when anything is raised. Every scenario that is not solved is printed with the seed that draws it again.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import argparse
from collections import Counter
from collections.abc import Sequence
from time import thread_time

import numpy as np

from disac.designs.convex import certify, strictly_feasible_point
from disac.designs.problem.feasibility import largest_feasible_sinr
from disac.designs.problem.relaxed import RelaxedProblem, Signal
from disac.designs.result import GAP_LIMIT
from disac.designs.solvers.native import solve
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario

SIGNALS: tuple[Signal, ...] = ("joint", "block-diagonal", "interleaved", "beamforming", "beamforming-averaged")


def draw(
    seed: int,
    *,
    signals: Sequence[Signal] = SIGNALS,
    nodes: tuple[int, int] = (1, 4),
    antennas: tuple[int, int] = (2, 8),
    subcarriers: tuple[int, int] = (8, 24),
) -> RelaxedProblem:
    """A random feasible problem; ranges are inclusive."""
    rng = np.random.default_rng(seed)
    n_nodes, n_targets, n_users = (int(rng.integers(*bounds)) for bounds in ((nodes[0], nodes[1] + 1), (1, 4), (1, 4)))
    scenario = Scenario(
        nodes=rng.uniform(-50, 50, (n_nodes, 2)),
        targets=rng.uniform(-30, 30, (n_targets, 2)),
        users=rng.uniform(-30, 30, (n_users, 2)),
        n_tx=int(rng.integers(max(antennas[0], n_users), max(antennas[1], n_users) + 1)),
        n_rx=int(rng.integers(antennas[0], antennas[1] + 1)),
        n_subcarriers=int(rng.integers(max(n_nodes, subcarriers[0]), subcarriers[1] + 1)),
        bandwidth_hz=float(10 ** rng.uniform(6.5, 8.5)),
        amplitudes=RandomAmplitudes(seed=seed),
        channels=RandomChannels(seed=seed),
    )
    signal = signals[seed % len(signals)]
    edge = largest_feasible_sinr(scenario, RelaxedProblem(scenario, signal, 0.0).serves).sinr_db - 0.1
    sinr_db = edge if rng.uniform() < 0.15 else rng.uniform(-10, edge)
    # a target on the line of two nodes, or seen by one, cannot be placed by delays alone
    mode = "hybrid" if n_nodes <= 2 else str(rng.choice(["hybrid", "hybrid", "tof", "aoa"]))
    return RelaxedProblem(scenario, signal, float(sinr_db), mode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=100, help="number of scenarios")
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    gaps, seconds, iterations = [], [], []
    for seed in range(options.first, options.first + options.count):
        try:
            problem = draw(seed)
            start = thread_time()
            solution = solve(problem)
            seconds.append(thread_time() - start)
            certified = certify(problem, solution, strictly_feasible_point(problem.signal, problem))
            gap = certified.relaxed_value / certified.bound.value - 1
        except Exception as error:
            outcomes["failed"] += 1
            print(f"seed {seed}: failed: {error!r}", flush=True)
            continue
        gaps.append(gap)
        iterations.append(solution.iterations)
        outcome = "solved" if gap <= GAP_LIMIT else "inaccurate"
        outcomes[outcome] += 1
        if outcome != "solved":
            print(f"seed {seed}: {outcome}: certified gap {gap:.1e}, {problem.signal}, {problem.mode}", flush=True)
    print(", ".join(f"{outcomes[name]} {name}" for name in ("solved", "inaccurate", "failed")))
    print(f"certified gap: median {np.median(gaps):.1e}, largest {np.max(gaps):.1e}")
    print(f"iterations: mean {np.mean(iterations):.1f}, largest {np.max(iterations)}")
    print(f"processor time: median {np.median(seconds):.3f} s, largest {np.max(seconds):.2f} s")


if __name__ == "__main__":
    main()
