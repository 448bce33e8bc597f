"""The contract of designs: what every registered design keeps, recomputed from the precoders that it returns."""

from __future__ import annotations

import functools
import pickle
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from disac.designs import (
    DEFAULT_SOLVER,
    DesignResult,
    InfeasibilityProof,
    Infeasible,
    crb,
    design,
    design_info,
    design_names,
)
from disac.designs.result import GAP_LIMIT, RESIDUAL_LIMIT
from disac.simulator import RandomAmplitudes, RandomChannels, Scenario
from disac.testing.oracles import covariances_twin, sinr_twin

SINR_DB = 5.0
"""Threshold that the suite asks for [dB]; a design that cannot give it is asked for a little less than it can."""
OUT_OF_REACH_DB = 100.0

_NODES = ((-46.19, -19.13), (46.19, -19.13), (-19.13, -46.19), (19.13, -46.19))
_TARGETS = ((3.0, 5.0), (-20.0, 12.0))
_USERS = ((0.0, -20.0), (0.0, 20.0), (10.0, 0.0))
_SAME = 2 * GAP_LIMIT
"""Relative difference within which two solutions of equal problems agree."""


def scene(
    n_nodes: int = 2,
    n_targets: int = 1,
    n_users: int = 1,
    *,
    seed: int = 0,
    n_tx: int = 3,
    n_rx: int = 4,
    n_subcarriers: int = 5,
    **fields: Any,
) -> Scenario:
    """A small scenario with M_t != M_r and L no multiple of N."""
    return Scenario(
        nodes=_NODES[:n_nodes],
        targets=_TARGETS[:n_targets],
        users=_USERS[:n_users],
        n_tx=n_tx,
        n_rx=n_rx,
        n_subcarriers=n_subcarriers,
        amplitudes=RandomAmplitudes(seed=seed),
        channels=RandomChannels(seed=seed),
        bandwidth_hz=20e6,
        **fields,
    )


_SCENES: dict[str, dict[str, int]] = {
    "one of each": {"n_nodes": 2, "n_targets": 1, "n_users": 1},
    "two of each": {"n_nodes": 2, "n_targets": 2, "n_users": 2, "seed": 1},
    "three nodes": {"n_nodes": 3, "n_targets": 1, "n_users": 2, "seed": 2, "n_tx": 2, "n_subcarriers": 4},
    "one node": {"n_nodes": 1, "n_targets": 1, "n_users": 2, "seed": 3, "n_subcarriers": 3},
}


def _limits_sidelobes(name: str) -> bool:
    return "sidelobe_db" in design_info(name).options


def scene_for(name: str, **fields: int) -> Scenario:
    """A scene; for designs that limit sidelobes one with enough subcarriers that every node has some."""
    if _limits_sidelobes(name):
        fields["n_subcarriers"] = 4 * fields.get("n_nodes", 2) + 1
    return scene(**fields)


def design_scenes(name: str) -> dict[str, Scenario]:
    """The scenes in which the suite tries design ``name``."""
    return {key: scene_for(name, **fields) for key, fields in _SCENES.items()}


def _loose(name: str, sidelobe_db: float) -> dict[str, Any]:
    """A sidelobe level for the designs that take one; equal power's is the lowest of P.3's signals without users."""
    return {"sidelobe_db": sidelobe_db} if _limits_sidelobes(name) else {}


@functools.lru_cache(maxsize=256)
def solved(name: str, key: str, sinr_db: float = SINR_DB, solver: str = DEFAULT_SOLVER) -> DesignResult:
    """The result of a design in one of its scenes, or at the largest threshold it can do below the one asked for."""
    scenario = scene_for(name, **_SCENES[key])
    try:
        return design(name, scenario, sinr_db, solver=solver)
    except Infeasible as refusal:
        return design(name, scenario, refusal.largest_feasible_sinr_db - 0.1, solver=solver)


def is_solved(name: str, key: str) -> None:
    """Gap and residuals are within the limits that count as solved, and the bound is positive."""
    result = solved(name, key)
    assert result.name == name, f"the result calls itself {result.name!r}, the design is registered as {name!r}"
    assert result.status == "solved", f"status is {result.status}: gap {result.gap}, {result.certificate.residual}"
    assert 0 <= result.gap <= GAP_LIMIT, f"gap is {result.gap}"
    assert result.certificate.residual <= RESIDUAL_LIMIT, f"residual is {result.certificate.residual}"
    assert result.lower_bound > 0, f"lower_bound is {result.lower_bound}"


def keeps_power_and_sinr(name: str, key: str) -> None:
    """Power (14b) and SINR (14c), recomputed from the precoders, keep their limits and are those of the certificate."""
    result = solved(name, key)
    s = result.scenario
    sent = covariances_twin(result.comm_precoders, result.radar_precoders)
    np.testing.assert_allclose(
        result.covariances, sent, rtol=0, atol=1e-12 * s.tx_power / s.n_subcarriers, err_msg="covariances"
    )
    power = np.einsum("lii->i", sent).real
    assert power.max() <= s.tx_power * (1 + 1e-9), f"an antenna sends {power.max() / s.tx_power} P_T"
    np.testing.assert_allclose(result.certificate.antenna_power, power, rtol=1e-12, err_msg="antenna_power")
    sinr = sinr_twin(s, result.comm_precoders, result.radar_precoders)
    np.testing.assert_allclose(result.certificate.sinr, sinr, rtol=1e-9, err_msg="certificate.sinr")
    if result.sinr_db is not None and s.n_users:
        reached = 10 * np.log10(sinr.min())
        assert sinr.min() >= 10 ** (result.sinr_db / 10) * (1 - 1e-9), f"{reached} dB for {result.sinr_db} dB"


def covariances_are_semidefinite(name: str, key: str) -> None:
    """Covariances are Hermitian and positive semidefinite."""
    result = solved(name, key)
    unit = result.scenario.tx_power / result.scenario.n_subcarriers
    skew = np.abs(result.covariances - result.covariances.conj().swapaxes(1, 2)).max()
    assert skew <= 1e-12 * unit, f"covariances differ from their conjugate transposes by {skew}"
    lowest = np.linalg.eigvalsh(result.covariances).min()
    assert lowest >= -1e-12 * unit, f"an eigenvalue of the covariances is {lowest}"


def value_is_the_crb(name: str, key: str) -> None:
    """``value`` is the CRB trace of the signals that are sent."""
    result = solved(name, key)
    bound = np.trace(crb(result.scenario, covariances_twin(result.comm_precoders, result.radar_precoders)))
    assert abs(result.value / bound - 1) <= 1e-9, f"value is {result.value}, the CRB of what is sent {bound}"


def bounds_are_in_order(name: str, key: str) -> None:
    """The bound lies below the relaxed value, and below ``value`` where the design says so; a tight one loses none."""
    result, info = solved(name, key), design_info(name)
    assert result.lower_bound <= result.relaxed_value, f"{result.lower_bound} above {result.relaxed_value}"
    if info.bounds_value:
        assert result.lower_bound <= result.value * (1 + 1e-12), f"{result.lower_bound} above value {result.value}"
    if info.tight:
        assert abs(result.extraction_loss) <= 1e-9, f"extraction_loss is {result.extraction_loss}"


def shapes_name_axes(name: str, key: str) -> None:
    """Precoders have axes (N, U, L, M_t) and (N, L, M_t, q), with no more streams than covariances can need."""
    result = solved(name, key)
    s = result.scenario
    comm, radar = result.comm_precoders.shape, result.radar_precoders.shape
    assert comm == (s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx), f"comm_precoders has shape {comm}"
    assert radar[:3] == (s.n_nodes, s.n_subcarriers, s.n_tx), f"radar_precoders has shape {radar}"
    assert len(radar) == 4, f"radar_precoders has shape {radar}"
    assert radar[3] <= s.n_nodes * s.n_tx, f"radar_precoders has {radar[3]} streams, N M_t = {s.n_nodes * s.n_tx}"


def can_be_sent_between_processes(name: str, key: str) -> None:
    """A result survives pickling."""
    result = solved(name, key)
    assert pickle.loads(pickle.dumps(result)).value == result.value


def too_much_sinr_is_refused(name: str) -> None:
    """Out of reach, a design says that it keeps no threshold, or refuses with the edge, and with a proof if it has one.

    A little below the edge, and at the threshold that the message names, it has to succeed.
    """
    s = scene_for(name, n_users=2, n_subcarriers=2)
    try:
        result = design(name, s, OUT_OF_REACH_DB)
    except Infeasible as error:
        refusal = error
    else:
        assert result.sinr_db is None, f"claims {result.sinr_db} dB, which no signals give"
        return
    edge = refusal.largest_feasible_sinr_db
    copy = pickle.loads(pickle.dumps(refusal))
    assert (copy.largest_feasible_sinr_db, str(copy)) == (edge, str(refusal)), "the refusal does not survive pickling"
    assert edge < OUT_OF_REACH_DB, f"refused although {edge} dB are feasible"
    named = re.search(r"feasible up to (-?[\d.]+) dB", str(refusal))
    assert named is not None, f"the refusal does not say what is feasible: {refusal}"
    usable = float(named[1])
    assert edge - 0.0021 < usable < edge - 0.0009, f"the message names {usable} dB, the edge is {edge} dB"
    loose = _loose(name, -1e-3)
    assert design(name, s, usable, **loose).status == "solved", f"not solved at {usable} dB"
    near = design(name, s, edge - 0.1, **loose)
    assert near.status == "solved", f"not solved at {edge - 0.1} dB"
    assert near.certificate.sinr.min() >= 10 ** ((edge - 0.1) / 10) * (1 - 1e-9), "SINR missed below the edge"
    if refusal.proof is not None:
        _check_proof(s, refusal.proof, edge)


def _check_proof(s: Scenario, proof: InfeasibilityProof, edge_db: float) -> None:
    """The prices rule the threshold out by weak duality at least where all nodes may serve all users."""
    assert edge_db <= proof.sinr_db + 1e-9, f"the proof rules out {proof.sinr_db} dB, yet {edge_db} dB are feasible"
    power, prices = np.asarray(proof.power_price), np.asarray(proof.sinr_price)
    assert power.min() >= 0, "a price of the proof is negative"
    assert prices.min() >= 0, "a price of the proof is negative"
    needed = s.noise_comm / s.n_subcarriers * prices.sum() / (s.tx_power * power.sum())
    assert abs(needed / proof.power_needed - 1) <= 1e-6, f"power_needed is {proof.power_needed}, prices give {needed}"
    assert needed > 1 - 1e-6, f"the proof needs a share {needed} of P_T, which there is"


def users_may_be_absent(name: str) -> None:
    """Without users a design solves, or says that it needs some."""
    s = scene_for(name, n_users=0, n_subcarriers=4)
    try:
        result = design(name, s, 10.0, **_loose(name, -6.0))
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = ""
    assert not refusal or "users" in refusal, f"refused a scenario without users by: {refusal}"
    if refusal:
        return
    assert result.status == "solved", f"status without users is {result.status}"
    shape = result.comm_precoders.shape
    assert shape == (result.scenario.n_nodes, 0, s.n_subcarriers, s.n_tx), f"comm_precoders has shape {shape}"


def threshold_may_be_absent(name: str) -> None:
    """Without a threshold users ask for nothing."""
    result = design(name, scene_for(name, n_users=2, n_subcarriers=4), None, **_loose(name, -6.0))
    assert result.status == "solved", f"status without a threshold is {result.status}"
    assert result.sinr_db is None, f"claims {result.sinr_db} dB, none was asked for"
    assert result.certificate.sinr_shortfall == 0, "says that a threshold is missed, none was asked for"


def _small(name: str) -> Scenario:
    return scene_for(name, n_tx=2, n_subcarriers=4)


def _bound(name: str, scenario: Scenario) -> float:
    """The lower bound at a low threshold, which every scene of the suite allows."""
    return design(name, scenario, -10.0, **_loose(name, -1e-3)).lower_bound


def more_power_never_hurts(name: str) -> None:
    """With twice P_T the bound is no larger."""
    s = _small(name)
    before, after = _bound(name, s), _bound(name, s.replace(tx_power=2 * s.tx_power))
    assert after <= before * (1 + _SAME), f"lower_bound grows from {before} to {after} with twice P_T"


def phases_of_channels_do_not_matter(name: str) -> None:
    """A phase of a user's channels, the same at all nodes, is one of its data symbol and changes no bound."""
    s = _small(name)
    turns = np.exp(2j * np.pi * np.random.default_rng(0).random(s.channels.shape[1:3]))[..., None]
    before, after = _bound(name, s), _bound(name, s.replace(channels=s.channels * turns))
    assert abs(after / before - 1) <= _SAME, f"lower_bound goes from {before} to {after} with other channel phases"


def unit_of_power_does_not_matter(name: str) -> None:
    """P_T and both noises in another unit leave the bound as it is."""
    s = _small(name)
    scaled = s.replace(tx_power=1e3 * s.tx_power, noise_comm=1e3 * s.noise_comm, noise_sense=1e3 * s.noise_sense)
    before, after = _bound(name, s), _bound(name, scaled)
    assert abs(after / before - 1) <= _SAME, f"lower_bound goes from {before} to {after} with powers in mW"


def stronger_echoes_scale_the_bound(name: str) -> None:
    """Echo amplitudes twice as large divide the bound by four: signals that are best stay best."""
    s = _small(name)
    before, after = _bound(name, s), _bound(name, s.replace(amplitudes=2 * s.amplitudes))
    assert abs(4 * after / before - 1) <= _SAME, f"lower_bound goes from {before} to {after}, not to a quarter"


SceneCheck: TypeAlias = Callable[[str, str], None]
Check: TypeAlias = Callable[[str], None]

SCENE_CHECKS: tuple[SceneCheck, ...] = (
    is_solved,
    keeps_power_and_sinr,
    covariances_are_semidefinite,
    value_is_the_crb,
    bounds_are_in_order,
    shapes_name_axes,
    can_be_sent_between_processes,
)
"""Checks of one scene: design and name of the scene in, an `AssertionError` where the contract is broken."""
SINGLE_CHECKS: tuple[Check, ...] = (
    too_much_sinr_is_refused,
    users_may_be_absent,
    threshold_may_be_absent,
    more_power_never_hurts,
    phases_of_channels_do_not_matter,
    unit_of_power_does_not_matter,
    stronger_echoes_scale_the_bound,
)
"""Checks with scenes of their own."""


def _in_all_scenes(check: SceneCheck) -> Check:
    @functools.wraps(check)
    def run(name: str) -> None:
        for key in _SCENES:
            try:
                check(name, key)
            except AssertionError as error:
                raise AssertionError(f"in the scene {key!r}: {error}") from error

    return run


DESIGN_CHECKS: Mapping[str, Check] = {
    check.__name__: check for check in (*map(_in_all_scenes, SCENE_CHECKS), *SINGLE_CHECKS)
}
"""The suite by names of its parts; each takes the name of a design."""


def check_design(name: str) -> None:
    """Run the whole contract suite on one registered design.

    Parameters
    ----------
    name : str
        A name of :func:`disac.designs.design_names`.

    Raises
    ------
    AssertionError : the design breaks its contract; every broken part is named.
    ValueError : there is no design of this name.

    Examples
    --------
    >>> from disac.testing import check_design
    >>> check_design("uniform")
    """
    if name not in design_names():
        design_info(name)  # raises with the names that there are
    broken = []
    for title, check in DESIGN_CHECKS.items():
        try:
            check(name)
        except AssertionError as error:
            broken.append(f"{title}: {error}")
        except Exception as error:
            broken.append(f"{title}: raised {type(error).__name__}: {error}")
    assert not broken, f"design {name} breaks its contract\n" + "\n".join(broken)
