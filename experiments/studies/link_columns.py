"""Units and meanings of the columns of a link record."""

from __future__ import annotations

from collections.abc import Iterator

from disac.experiments.trials.experiment import Column
from disac.simulator import Scenario


def link_columns(scenario: Scenario, *, pilots: bool) -> dict[str, Column]:
    """Columns of the records of one case, in the order of the records; ``pilots`` for users that estimate channels."""
    return dict(_columns(scenario, pilots))


def _columns(s: Scenario, pilots: bool) -> Iterator[tuple[str, Column]]:
    for n in range(s.n_nodes):
        yield f"phase_{n}_rad", Column("rad", f"phase of node {n}")
    yield "snr_sense", Column("1", "power of the noise-free echoes over that of the noise drawn, a ratio")
    yield "sq_error_m2", Column("m^2", "squared error of all positions")
    yield "crb_m2", Column("m^2", "trace of the bound for the symbols and phases of this trial")
    yield "crb_squared_m4", Column("m^4", "squared Frobenius norm of that bound")
    yield "mahalanobis2", Column("1", "squared error in units of that bound")
    yield "converged", Column("1", "whether the climb ended at a maximum")
    yield "at_edge", Column("1", "whether an estimate lies on the edge of the search area")
    yield "search_missed", Column("1", "whether the true positions explain the data better than the estimate")
    yield "gradient_norm", Column("1", "Newton decrement at the end")
    yield "iterations", Column("1", "Newton steps")
    for k in range(s.n_targets):
        for name in "xy":
            yield f"error_{name}{k}_m", Column("m", f"error of {name} of target {k}")
            yield f"crb_{name}{k}_m2", Column("m^2", "its bound for the symbols and phases of this trial")
    if not s.n_users:
        return
    yield "snr_comm", Column("1", "power of the users' noise-free signals over that of the noise drawn, a ratio")
    yield "bits", Column("1", "bits sent to each user")
    yield "independent_groups", Column("1", "groups of resource elements whose bit errors are independent")
    if pilots:
        yield "independent_groups_estimated", Column("1", "the same with estimated channels")
    for kind in ("known", "estimated") if pilots else ("known",):
        for u in range(s.n_users):
            yield f"bit_errors_{kind}_u{u}", Column("1", f"wrong bits of user {u}, channel {kind}")
        if kind == "known":
            yield "bit_errors", Column("1", "wrong bits of all users, channels known")
    yield "ber_theory", Column("1", "exact bit error rate given channels and phases")
    yield "ber_theory_gaussian", Column("1", "bit error rate if interference were Gaussian")
    yield "ber_theory_average_sinr", Column("1", "Gaussian bit error rate at the average SINR of the designs")
    if pilots:
        yield "ber_estimated_theory", Column("1", "exact bit error rate given the estimated channels")
