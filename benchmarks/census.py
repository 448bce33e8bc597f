"""How often the native solver fails: random and symmetric feasible scenarios, each certified from recomputed figures.

Run as ``python benchmarks/census.py --count 1000`` or ``--kind symmetric``. N 1-4, K 1-3, U 1-3, M 2-8, L 8-24, B 3-300
MHz, five signal models, hybrid, TOF and AOA bounds, thresholds from -10 dB to 0.1 dB below the certified edge (15 %
right there). Symmetric scenes put the nodes on a lattice, a line or a circle, and the targets on the line of two nodes,
on the line of symmetry between them, on an axis or on a lattice of their own.
A scenario counts as solved when its certified relative gap is at most 1e-5, as inaccurate when it is larger, as refused
when positions are not identifiable, and as failed when anything else is raised. Every scenario that is neither solved
nor refused is printed with the seed that draws it again.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import argparse
from collections import Counter
from collections.abc import Sequence
from time import thread_time
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from disac.designs import Unidentifiable
from disac.designs.convex import certify, strictly_feasible_point
from disac.designs.problem.feasibility import largest_feasible_sinr
from disac.designs.problem.relaxed import RelaxedProblem, Signal
from disac.designs.result import GAP_LIMIT
from disac.designs.solvers.native.driver import solve
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario

SIGNALS: tuple[Signal, ...] = ("joint", "block-diagonal", "interleaved", "beamforming", "beamforming-averaged")
Outcome = Literal["solved", "inaccurate", "refused", "failed"]
Points = NDArray[np.float64]


def symmetric_nodes(rng: np.random.Generator, n_nodes: int) -> Points:
    """Nodes on a lattice, a line or a circle, at round coordinates [m]."""
    index = np.arange(n_nodes)
    match rng.integers(3):
        case 0:
            return 50.0 * np.stack([2 * (index % 2) - 1, 2 * (index // 2) - 1], axis=1).astype(float)
        case 1:
            return np.stack([40.0 * index - 50.0, np.zeros(n_nodes)], axis=1)
        case _:
            angle = 2 * np.pi * index / n_nodes
            return 50.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def symmetric_targets(rng: np.random.Generator, nodes: Points, n_targets: int) -> Points:
    """Targets on the line of two nodes, on the line of symmetry between them, on an axis or on a lattice [m]."""
    first, second = nodes[0], nodes[-1] if len(nodes) > 1 else nodes[0] + [100.0, 0.0]
    along, middle = second - first, (first + second) / 2
    across = np.array([-along[1], along[0]])
    share = 0.125 * (1 + np.arange(n_targets))[:, None]
    match rng.integers(4):
        case 0:
            return first + share * along
        case 1:
            return middle + share * across
        case 2:
            return 10.0 * np.stack([np.arange(n_targets), np.zeros(n_targets)], axis=1)
        case _:
            return 5.0 + 10.0 * np.stack([np.arange(n_targets) % 2, np.arange(n_targets) // 2], axis=1)


def draw(
    seed: int,
    *,
    symmetric: bool = False,
    signals: Sequence[Signal] = SIGNALS,
    nodes: tuple[int, int] = (1, 4),
    antennas: tuple[int, int] = (2, 8),
    subcarriers: tuple[int, int] = (8, 24),
) -> RelaxedProblem:
    """A feasible problem, random or symmetric; ranges are inclusive."""
    rng = np.random.default_rng(seed)
    n_nodes, n_targets, n_users = (int(rng.integers(*bounds)) for bounds in ((nodes[0], nodes[1] + 1), (1, 4), (1, 4)))
    places = rng.uniform(-50, 50, (n_nodes, 2)), rng.uniform(-30, 30, (n_targets, 2))
    users = rng.uniform(-30, 30, (n_users, 2))
    if symmetric:
        own = np.random.default_rng([seed, 1])
        lattice = symmetric_nodes(own, n_nodes)
        places = lattice, symmetric_targets(own, lattice, n_targets)
    scenario = Scenario(
        nodes=places[0],
        targets=places[1],
        users=users,
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


def judged(problem: RelaxedProblem) -> tuple[Outcome, float, int, float, str]:
    """Outcome, certified gap, iterations, processor time [s] and what was raised."""
    start = thread_time()
    try:
        solution = solve(problem)
        seconds = thread_time() - start
        certified = certify(problem, solution, strictly_feasible_point(problem.signal, problem))
    except Unidentifiable as error:
        return "refused", np.nan, 0, np.nan, str(error)
    except Exception as error:
        return "failed", np.nan, 0, np.nan, repr(error)
    if not certified.bound.value > 0:
        return "inaccurate", np.inf, solution.iterations, seconds, ""
    gap = certified.relaxed_value / certified.bound.value - 1
    return ("solved" if gap <= GAP_LIMIT else "inaccurate"), gap, solution.iterations, seconds, ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=100, help="number of scenarios")
    parser.add_argument("--kind", choices=["random", "symmetric"], default="random", help="how nodes and targets stand")
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    gaps, seconds, iterations = [], [], []
    for seed in range(options.first, options.first + options.count):
        problem = draw(seed, symmetric=options.kind == "symmetric")
        outcome, gap, count, took, error = judged(problem)
        outcomes[outcome] += 1
        if outcome in ("failed", "inaccurate"):
            what = error or f"certified gap {gap:.1e}"
            print(f"seed {seed}: {outcome}: {what}, {problem.signal}, {problem.mode}", flush=True)
        if outcome in ("solved", "inaccurate"):
            gaps.append(gap)
            iterations.append(count)
            seconds.append(took)
    print(", ".join(f"{outcomes[name]} {name}" for name in ("solved", "inaccurate", "refused", "failed")))
    print(f"certified gap: median {np.median(gaps):.1e}, largest {np.max(gaps):.1e}")
    print(f"iterations: mean {np.mean(iterations):.1f}, largest {np.max(iterations)}")
    print(f"processor time: median {np.median(seconds):.3f} s, largest {np.max(seconds):.2f} s")


if __name__ == "__main__":
    main()
