"""The contract of estimators: what every registered estimator keeps, shown on small scenes with drawn symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from disac.designs import crb, sample_covariances
from disac.estimators.base import EstimatorKind, estimator, withhold_truth
from disac.experiments.statistics.metrics import position_errors
from disac.simulator import Scenario, synthesize
from disac.simulator.geometry import SPEED_OF_LIGHT, node_to_point

RealArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_TARGETS = ((1.3, 2.1), (-4.0, 13.0))
_SAME_M = 1e-6
"""Two estimates are the same within this distance [m]."""
_TRIALS = 60
FALSE_ALARM = 1e-9
"""Probability that an estimator that keeps a statistical part of the contract is refused, for each such part."""


def check_estimator(which: str | Callable[[Scenario], Any], *, name: str | None = None) -> None:
    """Refuse an estimator that breaks the contract; nothing happens when it keeps it.

    Noise-free data give the truth. Turning and moving the whole scene moves the estimate with it; the order of the
    nodes, and an amplitude and a noise twice as large, change nothing. A longer delay shows up where delays locate, and
    does not where they are a nuisance. Targets and amplitudes are not read unless it is a genie. Errors reach the bound
    if it claims that (``efficient``), and have the covariance that it claims. NaN and shapes of another scenario are
    refused.

    Parameters
    ----------
    which : str or callable
        Name of a registered estimator, or a class or function that takes a scenario.
    name : str, optional
        Name of a class that is not registered; default: its own.

    Raises
    ------
    AssertionError : says which part of the contract is broken.

    Examples
    --------
    >>> from disac.testing import check_estimator
    >>> check_estimator("ml")
    """
    if isinstance(which, str):
        kind = estimator(which)
    else:
        kind = EstimatorKind.of(name or str(getattr(which, "__name__", "estimator")), which)
    _finds_the_truth(kind)
    _follows_the_scene(kind)
    _ignores_units(kind)
    _sees_delays(kind)
    _reads_no_truth(kind)
    _keeps_what_it_claims(kind)
    _refuses_nonsense(kind)


def _scene(n_targets: int = 1, **fields: Any) -> Scenario:
    return Scenario.preset("fig4", **{"targets": [list(q) for q in _TARGETS[:n_targets]], **fields})


def _symbols(scenario: Scenario, rng: np.random.Generator) -> ComplexArray:
    """White symbols of every node on its own subcarriers, (N, M_t, L, T)."""
    shape = (scenario.n_nodes, scenario.n_tx, scenario.n_subcarriers, scenario.n_symbols)
    power = scenario.tx_power * scenario.n_nodes / scenario.n_subcarriers
    X = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) * np.sqrt(power / 2)
    own = np.arange(scenario.n_nodes)[:, None] == scenario.subcarrier_node
    return np.asarray(X * own[:, None, :, None], dtype=complex)


def _trial(scenario: Scenario, seed: int) -> tuple[ComplexArray, ComplexArray]:
    rng = np.random.default_rng(seed)
    X = _symbols(scenario, rng)
    return X, np.asarray(synthesize(scenario, X, rng=rng), dtype=complex)


def _same(kind: EstimatorKind, found: Any, expected: RealArray, what: str, within_m: float = _SAME_M) -> None:
    positions = np.asarray(found.positions)
    assert positions.shape == expected.shape, (
        f"{kind.name}: {what}: positions have shape {positions.shape}, must have shape {expected.shape}"
    )
    worst = float(np.abs(position_errors(positions, expected)).max())
    assert worst <= within_m, f"{kind.name}: {what}: an estimate is {worst:.3g} m away"


def _finds_the_truth(kind: EstimatorKind) -> None:
    for n_targets in (1, 2):
        scenario = _scene(n_targets)
        X = _symbols(scenario, np.random.default_rng(3))
        found = kind(scenario)(X, synthesize(scenario, X))
        _same(kind, found, scenario.targets, f"noise-free data of K = {n_targets} must give the truth")


def _follows_the_scene(kind: EstimatorKind) -> None:
    scenario = _scene()
    X, Y = _trial(scenario, 4)
    positions = np.asarray(kind(scenario)(X, Y).positions)
    quarter, shift = np.array([[0.0, -1.0], [1.0, 0.0]]), np.array([130.0, -40.0])

    def moved(points: RealArray) -> RealArray:
        return np.asarray(points @ quarter.T + shift)

    there = scenario.replace(
        nodes=moved(scenario.nodes),
        orientations=scenario.orientations + np.pi / 2,
        targets=moved(scenario.targets),
        users=moved(scenario.users),
        area=np.sort(moved(scenario.area.T).T, axis=1),
    )
    _same(kind, kind(there)(X, Y), moved(positions), "a scene turned and moved must move the estimate with it")
    order = [2, 0, 3, 1]
    renamed = scenario.replace(
        nodes=scenario.nodes[order],
        orientations=scenario.orientations[order],
        amplitudes=scenario.amplitudes[np.ix_(order, order)],
        channels=scenario.channels[order],
    )
    _same(kind, kind(renamed)(X[order], Y[order]), positions, "the order of the nodes must change nothing")


def _ignores_units(kind: EstimatorKind) -> None:
    scenario = _scene()
    X, Y = _trial(scenario, 5)
    louder = scenario.replace(noise_sense=4 * scenario.noise_sense, amplitudes=2 * scenario.amplitudes)
    positions = np.asarray(kind(scenario)(X, Y).positions)
    _same(kind, kind(louder)(X, 2 * Y), positions, "amplitudes and noise twice as large must change nothing")


def _sees_delays(kind: EstimatorKind) -> None:
    """Echoes with the delays of one place and the angles of another, or one delay more for all."""
    if kind.bound == "aoa":
        return  # it is told the delays, so that others contradict what it knows
    scenario = _scene()
    X = _symbols(scenario, np.random.default_rng(6))
    tones = 2 * np.pi * scenario.bandwidth_hz / scenario.n_subcarriers * np.arange(scenario.n_subcarriers)
    if kind.bound == "aoa-nuisance":
        Y = synthesize(scenario, X) * np.exp(-1j * tones * 20.0 / SPEED_OF_LIGHT)[:, None]
        what = "a delay common to all paths must not move an estimate that takes delays as unknown"
        _same(kind, kind(scenario)(X, Y), scenario.targets, what)
        return
    if kind.bound == "hybrid":
        lone = scenario.replace(
            nodes=scenario.nodes[:1],
            orientations=scenario.orientations[:1],
            amplitudes=scenario.amplitudes[:1, :1, :1],
            users=np.empty((0, 2)),
            area=scenario.area,
        )
        X = _symbols(lone, np.random.default_rng(6))
        Y = synthesize(lone, X) * np.exp(-1j * tones * 2 * 3.0 / SPEED_OF_LIGHT)[:, None]
        away = lone.targets - lone.nodes
        expected = lone.targets + 3.0 * away / np.linalg.norm(away)
        _same(kind, kind(lone)(X, Y), expected, "6 m of path more must move the estimate 3 m away from the one node")
        return
    place = scenario.targets + np.array([[0.8, -0.5]])
    added = (node_to_point(scenario.nodes, scenario.orientations, place).delay_s - scenario.target_geometry.delay_s)[
        :, 0
    ]
    late = np.exp(-1j * tones * (added[:, None, None] + added[scenario.subcarrier_node]))
    Y = synthesize(scenario, X) * late[..., None]
    _same(kind, kind(scenario)(X, Y), place, "delays of another place must move the estimate there")


def _reads_no_truth(kind: EstimatorKind) -> None:
    if kind.genie:
        return
    scenario = _scene(2)
    X, Y = _trial(scenario, 7)
    told, untold = (np.asarray(kind.make(s)(X, Y).positions) for s in (scenario, withhold_truth(scenario)))
    assert told.tobytes() == untold.tobytes(), f"{kind.name}: reads targets or amplitudes, but its name says no genie"


def _keeps_what_it_claims(kind: EstimatorKind) -> None:
    scenario = _scene()
    localize = kind(scenario)
    of_bound, of_claim = [], []
    for seed in range(_TRIALS):
        X, Y = _trial(scenario, seed)
        found = localize(X, Y)
        error = (np.asarray(found.positions) - scenario.targets).T.ravel()
        bound = crb(scenario, sample_covariances(X), kind.bound, scenario.n_symbols)
        of_bound.append(float(error @ np.linalg.solve(bound, error)))
        claimed = getattr(found, "covariance", None)
        if claimed is not None:
            of_claim.append(float(error @ np.linalg.solve(claimed, error)))
    if kind.efficient:
        _chi_square(kind, of_bound, f"errors must be those of the bound {kind.bound!r}, which it claims to attain")
    if of_claim:
        _chi_square(kind, of_claim, "errors must have the covariance that it claims")


def _chi_square(kind: EstimatorKind, normalized: list[float], what: str) -> None:
    degrees = 2 * len(normalized)
    low, high = chi2.ppf(FALSE_ALARM / 2, degrees), chi2.isf(FALSE_ALARM / 2, degrees)
    total = sum(normalized)
    assert low < total < high, (
        f"{kind.name}: {what}: squared errors over it sum to {total:.4g} in {len(normalized)} trials, "
        f"allowed are {low:.4g} to {high:.4g}"
    )


def _refuses_nonsense(kind: EstimatorKind) -> None:
    scenario = _scene()
    X, Y = _trial(scenario, 8)
    localize = kind(scenario)
    for name in "XY":
        arrays = {"X": X.copy(), "Y": Y.copy()}
        arrays[name][1, 2, np.flatnonzero(scenario.subcarrier_node == 1)[0], 4] = np.nan
        _raises(kind, localize, arrays["X"], arrays["Y"], f"NaN in {name}")
    _raises(kind, localize, X[:, :-1], Y, "X with an antenna less")
    _raises(kind, localize, X, Y[:-1], "Y with a node less")


def _raises(kind: EstimatorKind, localize: Any, X: ComplexArray, Y: ComplexArray, what: str) -> None:
    try:
        localize(X, Y)
    except ValueError:
        return
    raise AssertionError(f"{kind.name}: {what} must be refused by a ValueError")
