"""What P.1's precoders lose against its relaxation, and what they are worth when the phases between nodes are unknown.

    python benchmarks/extractions.py --draws 50 --sinr-db 20 --users 2

RCRB of one symbol [mm] on the paper's nodes, K = 1, L = 16, B = 20 MHz, amplitudes and channels drawn anew each time:
the bound of the relaxation, Eq. (29) as printed (with its excess of P_T and its shortfall of SINR), the radar part
scaled to keep the limits, data fitted into R_l, precoders refined; root mean over 40 draws of the phases for these;
then the block-diagonal design and P.2, which do not depend on the phases.
"""

from __future__ import annotations

import argparse

import numpy as np

from disac.designs import crb_over_phases, design
from disac.designs.catalogue.p1 import extract
from disac.designs.convex import solve_certified
from disac.designs.precoding.joint_extraction import fitted, printed, scaled
from disac.designs.precoding.measure import Transmission, measure
from disac.designs.problem.relaxed import RelaxedProblem
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario
from disac.simulator.presets import PAPER_NODES_M, users_on_y_axis

COLUMNS = (
    "bound",
    "printed",
    "excess",
    "shortfall",
    "scaled",
    "fitted",
    "refined",
    "phases",
    "block bound",
    "block",
    "p2",
)


def draw(seed: int, n_nodes: int, n_users: int) -> Scenario:
    """The paper's nodes with amplitudes and channels of one seed."""
    return Scenario.preset("fig7").replace(
        nodes=PAPER_NODES_M[:n_nodes],
        users=users_on_y_axis(n_users),
        amplitudes=RandomAmplitudes(seed=seed),
        channels=RandomChannels(seed=seed),
    )


def row(scenario: Scenario, sinr_db: float, seed: int) -> list[float]:
    """One line of the table: RCRBs in mm, violations as ratios."""
    problem = RelaxedProblem(scenario, "joint", sinr_db)
    certified = solve_certified("p1", problem, "native")

    def sent(pair: tuple[np.ndarray, np.ndarray]) -> Transmission:
        return measure(scenario, sinr_db, *pair)

    as_printed = sent(printed(scenario, certified.point))
    refined = sent(extract(problem, certified))
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, (40, scenario.n_nodes))
    block, orthogonal = (design(name, scenario, sinr_db) for name in ("p1-noncoherent", "p2"))
    traces = {
        "bound": certified.bound.value,
        "printed": as_printed.value,
        "scaled": sent(scaled(scenario, problem.sinr, certified.point)).value,
        "fitted": sent(fitted(scenario, problem.sinr, certified.point)).value,
        "refined": refined.value,
        "phases": float(crb_over_phases(scenario, refined.covariances, phases).mean()),
        "block bound": block.lower_bound,
        "block": block.value,
        "p2": orthogonal.value,
    }
    violations = {
        "excess": as_printed.certificate.power_excess,
        "shortfall": as_printed.certificate.sinr_shortfall,
    }
    return [violations[name] if name in violations else 1e3 * traces[name] ** 0.5 for name in COLUMNS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--sinr-db", type=float, default=20.0)
    parser.add_argument("--nodes", type=int, default=2, choices=(1, 2, 3, 4))
    parser.add_argument("--users", type=int, default=1)
    options = parser.parse_args()
    print(" seed", *(f"{name:>11}" for name in COLUMNS))
    rows = []
    for seed in range(options.draws):
        rows.append(row(draw(seed, options.nodes, options.users), options.sinr_db, seed))
        print(f"{seed:5d}", *(f"{value:11.4f}" for value in rows[-1]), flush=True)
    table = np.array(rows)
    for name, share in (("lower", 0.25), ("median", 0.5), ("upper", 0.75)):
        print(f"{name:>6}", *(f"{value:10.4f} " for value in np.quantile(table, share, axis=0)))
    print("\nCRB above the bound of the relaxation [%]: median (quartiles), largest")
    bound = table[:, COLUMNS.index("bound")]
    for name in ("scaled", "fitted", "refined", "phases", "block", "p2"):
        loss = 100 * ((table[:, COLUMNS.index(name)] / bound) ** 2 - 1)
        lower, middle, upper = np.quantile(loss, (0.25, 0.5, 0.75))
        print(f"{name:>8}: {middle:8.3f} ({lower:.3f} to {upper:.3f}), {loss.max():.3f}")


if __name__ == "__main__":
    main()
