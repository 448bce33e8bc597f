"""The convex design problems: native solver against Clarabel and SCS through CVXPY, at an equal certified gap.

Run as ``python benchmarks/solvers.py [PART ...]``; parts: peers, growth, targets-users, antennas, nodes; default all.
Every figure is one problem in one fresh process with one BLAS thread, after a small one has loaded libraries and
compiled code (column ``load s``): processor time in the solver and to build its
input (which other work on the machine does not stretch), largest resident memory of the process, and the gap
(value - bound) / bound that the library certifies from the answer, outside the timing. A peer's own tolerance is
tightened until the certified gap is within 1e-5, and only the run that reaches it counts. Medians of ``--repeats``.
The limit is on the processor time of a process too: a run that it ends was "not reached".
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import argparse
import json
import multiprocessing
import platform
import resource
import time
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, get_args

import numpy as np

from disac.designs.problem.relaxed import Signal

TARGET_GAP = 1e-5
PEER_TOLERANCES = {"clarabel": (1e-6, 1e-7, 1e-8, 1e-9), "scs": (1e-5, 1e-6, 1e-7, 1e-8)}


@dataclass(frozen=True)
class Case:
    """One problem for one solver: N nodes, K targets, U users, M antennas each way, L subcarriers, at ``sinr_db``."""

    signal: str
    solver: str
    n_nodes: int
    n_targets: int = 1
    n_users: int = 1
    n_antennas: int = 6
    n_subcarriers: int = 16
    sinr_db: float = 20.0


@dataclass(frozen=True)
class Measured:
    """What one run took."""

    solve_seconds: float
    compile_seconds: float
    peak_mb: float
    iterations: int
    gap: float
    load_seconds: float


def problem_of(case: Case) -> Any:
    """Fig. 7's setting with K targets and U users of Section V-B; more than four nodes stand on a circle."""
    from disac.designs.problem.relaxed import RelaxedProblem
    from disac.simulator import Scenario
    from disac.simulator.presets import targets_on_x_axis, users_on_y_axis

    base = Scenario.preset("fig7")
    angles = 2 * np.pi * (np.arange(case.n_nodes) + 0.25) / case.n_nodes
    ring = 50.0 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    scenario = base.replace(
        nodes=base.nodes[: case.n_nodes] if case.n_nodes <= base.n_nodes else ring,
        targets=targets_on_x_axis(case.n_targets),
        users=users_on_y_axis(case.n_users),
        n_tx=case.n_antennas,
        n_rx=case.n_antennas,
        n_subcarriers=case.n_subcarriers,
    )
    return RelaxedProblem(scenario, case.signal, case.sinr_db)  # type: ignore[arg-type]


def run_case(case: Case, pipe: Connection, limit_seconds: int) -> None:
    """Solve in this process, then certify, and send what was measured."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit_seconds, limit_seconds))
    from disac.designs.convex import certify, strictly_feasible_point

    load_seconds = load(case)
    problem = problem_of(case)
    interior = strictly_feasible_point(case.signal, problem)
    if case.solver == "native":
        from disac.designs.solvers.native import solve

        attempts = [lambda: solve(problem, tolerance=TARGET_GAP / 2)]
    else:
        from disac.designs.solvers.conic import solve_with_cvxpy

        def peer(tolerance: float) -> Any:
            names = {"clarabel": ("tol_gap_rel", "tol_gap_abs", "tol_feas"), "scs": ("eps_abs", "eps_rel")}
            options = dict.fromkeys(names[case.solver], tolerance)
            if case.solver == "scs":
                options["max_iters"] = 10_000_000
            return solve_with_cvxpy(problem, case.solver, **options)

        attempts = [lambda t=t: peer(t) for t in PEER_TOLERANCES[case.solver]]
    for attempt in attempts:
        started = time.process_time()
        solution = attempt()
        in_solver = solution.solve_seconds / (solution.solve_seconds + solution.compile_seconds)
        process_seconds = time.process_time() - started
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        certified = certify(problem, solution, interior)
        gap = certified.relaxed_value / certified.bound.value - 1 if certified.bound.value > 0 else np.inf
        if gap <= TARGET_GAP:
            break
    pipe.send(
        Measured(
            process_seconds * in_solver,
            process_seconds * (1 - in_solver),
            peak_mb,
            solution.iterations,
            float(gap),
            load_seconds,
        )
    )


def load(case: Case) -> float:
    """Have the solver solve a small problem of the same kind, so that its libraries and compiled code are in memory."""
    from disac.designs.convex import solve_relaxed

    started = time.process_time()
    solve_relaxed(problem_of(replace(case, n_nodes=2, n_subcarriers=2 * case.n_users + 2, sinr_db=-10.0)), case.solver)
    return time.process_time() - started


def measure(case: Case, limit_seconds: int) -> Measured | None:
    """One run in a fresh process; None when it has not ended, or has died, within the limit."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run_case, args=(case, sender, limit_seconds))
    process.start()
    sender.close()
    try:
        return receiver.recv()  # type: ignore[no-any-return]
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()


def cases_of(part: str) -> list[Case]:
    """The problems of one part."""
    if part == "peers":
        return [
            Case(signal, solver, n_nodes)
            for signal in ("joint", "block-diagonal", "interleaved", "beamforming", "beamforming-averaged")
            for n_nodes in (2, 3, 4)
            for solver in ("native", "clarabel", "scs")
        ]
    if part == "growth":
        return [
            Case(signal, "native", n_nodes, n_subcarriers=n_subcarriers)
            for signal in ("joint", "interleaved")
            for n_nodes in (2, 4)
            for n_subcarriers in (16, 64, 256, 1024)
        ]
    if part == "targets-users":
        return [
            Case(signal, "native", 4, n_targets, n_users, sinr_db=10.0)
            for signal in ("joint", "interleaved")
            for n_targets, n_users in ((1, 1), (2, 1), (4, 1), (1, 2), (1, 4), (2, 2), (4, 4))
        ]
    if part == "antennas":
        return [
            Case(signal, "native", 4, n_antennas=n_antennas)
            for signal in ("joint", "interleaved")
            for n_antennas in (4, 8, 12, 16)
        ]
    return [Case(signal, "native", 8, n_subcarriers=64) for signal in ("joint", "block-diagonal", "interleaved")]


PARTS = ("peers", "growth", "targets-users", "antennas", "nodes")


def median_of(runs: list[Measured]) -> Measured:
    """Entrywise median."""
    return Measured(**{name: float(np.median([asdict(run)[name] for run in runs])) for name in asdict(runs[0])})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}")
    parser.add_argument("--signals", nargs="+", choices=get_args(Signal), help="only these; default all")
    parser.add_argument("--solvers", nargs="+", choices=("native", *PEER_TOLERANCES), help="only these; default all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=int, default=600, help="processor seconds of a run")
    parser.add_argument("--json", type=Path, help="also append one line per case to this file")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"PART = {sorted(unknown)[0]!r}: must be one of {', '.join(PARTS)}")

    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, gap {TARGET_GAP:g}")
    header = (
        f"{'signal':22s}{'solver':10s} N  K  U  M     L |   solve s  compile s  load s  peak MB  iterations"
        "      gap | ratio"
    )
    for part in arguments.parts or PARTS:
        print(f"\n{part}\n{header}")
        native: dict[Case, float] = {}
        for case in cases_of(part):
            if arguments.signals and case.signal not in arguments.signals:
                continue
            if arguments.solvers and case.solver not in arguments.solvers:
                continue
            runs: list[Measured] = []
            for _ in range(arguments.repeats):
                run = measure(case, arguments.limit)
                if run is None:
                    break
                runs.append(run)
                if run.solve_seconds > arguments.limit / 10:
                    break
            left = (
                f"{case.signal:22s}{case.solver:10s}{case.n_nodes:2d} {case.n_targets:2d} {case.n_users:2d} "
                f"{case.n_antennas:2d} {case.n_subcarriers:5d} |"
            )
            if not runs:
                print(f"{left} not reached in {arguments.limit} s", flush=True)
                continue
            result = median_of(runs)
            same = Case(**{**asdict(case), "solver": "native"})
            if case.solver == "native":
                native[case] = result.solve_seconds
            ratio = result.solve_seconds / native.get(same, np.nan)
            mark = "" if result.gap <= TARGET_GAP else "  gap not reached"
            print(
                f"{left}{result.solve_seconds:10.3f}{result.compile_seconds:11.3f}{result.load_seconds:8.2f}"
                f"{result.peak_mb:9.0f}{result.iterations:12.0f}{result.gap:9.1e} |{ratio:6.1f}{mark}",
                flush=True,
            )
            if arguments.json:
                with arguments.json.open("a") as file:
                    file.write(json.dumps({"part": part, **asdict(case), **asdict(result)}) + "\n")


if __name__ == "__main__":
    main()
