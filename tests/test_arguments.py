"""Every public function of simulator, estimators and designs refuses wrong arguments by name: each has a row here."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from bad_arguments import array, bits, choice, instance, integer, real
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import disac.designs
import disac.estimators
import disac.simulator
from disac.designs import fisher_information, fixed_design
from disac.estimators import Search, expected_spectrum
from disac.simulator import Scenario, draw_streams

SCENE = Scenario(
    nodes=[[-40.0, -12.0], [35.0, -20.0]],
    targets=[[3.0, 4.0]],
    users=[[0.0, -20.0]],
    n_tx=2,
    n_rx=2,
    n_subcarriers=4,
    n_symbols=2,
)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 2, 4, 2)) + 1j
Y = RNG.standard_normal((2, 2, 4, 2)) + 1j
COMM, RADAR = RNG.standard_normal((2, 1, 4, 2)) + 0j, RNG.standard_normal((2, 4, 2, 2)) + 0j
STREAMS = draw_streams(SCENE, 2, order=4, bit_rng=RNG, radar_rng=RNG)
COVARIANCES = np.broadcast_to(np.eye(4), (4, 4, 4)) + 0j
SPECTRUM = expected_spectrum(SCENE, COVARIANCES, 0, 0.1)
VALUES = RNG.standard_normal((4, 2)) + 0j
SAMPLES = RNG.standard_normal(10) + 0j
USER = RNG.standard_normal((1, 4, 2)) + 0j
SENT = np.zeros((1, 4, 2, 2), dtype=np.uint8)
ANGLE = real(-2 * np.pi, 2 * np.pi)


@dataclass(frozen=True)
class Row:
    """Arguments that a function takes, and for each of them those that it refuses.

    ``alias`` is the word that the message has in place of an argument's name.
    """

    good: dict[str, Any]
    bad: dict[str, st.SearchStrategy[Any]]
    alias: tuple[tuple[str, str], ...] = ()


SIMULATOR = {
    "bits_per_symbol": Row({"order": 16}, {"order": integer(4, 256)}),
    "constellation": Row({"order": 16}, {"order": integer(4, 256)}),
    "modulate": Row({"bits": [0, 1], "order": 4}, {"bits": bits([0, 1]), "order": integer(4, 256)}),
    "demodulate": Row({"symbols": VALUES, "order": 4}, {"symbols": array(VALUES), "order": integer(4, 256)}),
    "measured_snr": Row({"clean": X, "noisy": X + 1}, {"clean": array(X), "noisy": array(X)}),
    "preset": Row({"name": "fig4"}, {"name": choice()}, (("name", "preset"),)),
    "preset_names": Row({}, {}),
    "radar_alphabet": Row({"radar": "gaussian"}, {"radar": choice()}),
    "ofdm_modulate": Row({"X": VALUES, "n_cyclic_prefix": 1}, {"X": array(VALUES), "n_cyclic_prefix": integer(0)}),
    "ofdm_demodulate": Row(
        {"samples": SAMPLES, "n_subcarriers": 4, "n_cyclic_prefix": 1},
        {"samples": array(SAMPLES), "n_subcarriers": integer(1), "n_cyclic_prefix": integer(0)},
    ),
    "multipath": Row(
        {
            **{"samples": SAMPLES, "n_subcarriers": 4, "n_cyclic_prefix": 1},
            **{"gains": [1.0, 1j], "delays_s": [0.0, 1e-7], "bandwidth_hz": 1e7},
        },
        {
            "samples": array(SAMPLES),
            "n_subcarriers": integer(1),
            "n_cyclic_prefix": integer(0),
            "gains": array([1.0, 1j]),
            "delays_s": array([0.0, 1e-7]) | st.just([-1e-9, 0.0]) | st.just([1j, 0.0]),
            "bandwidth_hz": real(0, above=True),
        },
    ),
    "prefix_loss": Row(
        {"delay_s": 1e-7, "n_subcarriers": 16, "n_cyclic_prefix": 4, "bandwidth_hz": 1e7},
        {
            "delay_s": real(0),
            "n_subcarriers": integer(1),
            "n_cyclic_prefix": integer(0),
            "bandwidth_hz": real(0, above=True),
        },
    ),
    "echo_samples": Row(
        {"scenario": SCENE, "X": X, "phases": [0.0, 1.0]},
        {"scenario": instance(), "X": array(X), "phases": array([0.0, 1.0], optional=True)},
    ),
    "synthesize": Row(
        {"scenario": SCENE, "X": X, "rng": RNG, "phases": [0.0, 1.0], "clock_offsets_s": [0.0, 1e-9], "out": None},
        {
            "scenario": instance(),
            "X": array(X),
            "rng": instance(optional=True),
            "phases": array([0.0, 1.0], optional=True),
            "clock_offsets_s": array([0.0, 1e-9], optional=True),
            "out": instance(optional=True),
        },
    ),
    "receive_users": Row(
        {"scenario": SCENE, "X": X, "rng": RNG, "phases": [0.0, 1.0], "clock_offsets_s": [0.0, 1e-9]},
        {
            "scenario": instance(),
            "X": array(X),
            "rng": instance(optional=True),
            "phases": array([0.0, 1.0], optional=True),
            "clock_offsets_s": array([0.0, 1e-9], optional=True),
        },
    ),
    "effective_channels": Row(
        {"scenario": SCENE, "comm_precoders": COMM, "radar_precoders": RADAR, "phases": [0.0, 1.0]},
        {
            "scenario": instance(),
            "comm_precoders": array(COMM),
            "radar_precoders": array(RADAR),
            "phases": array([0.0, 1.0], optional=True),
        },
    ),
    "transmit": Row(
        {"comm_precoders": COMM, "radar_precoders": RADAR, "streams": STREAMS},
        {"comm_precoders": array(COMM), "radar_precoders": array(RADAR), "streams": instance()},
    ),
    "draw_streams": Row(
        {
            **{"scenario": SCENE, "n_radar_streams": 1, "order": 4, "radar": "gaussian"},
            **{"bit_rng": RNG, "radar_rng": RNG, "batch": (2,)},
        },
        {
            "scenario": instance(),
            "n_radar_streams": integer(0),
            "order": integer(4, 256),
            "radar": choice(),
            "bit_rng": instance(),
            "radar_rng": instance(),
            "batch": instance() | st.just((-1,)) | st.just((2.0,)),
        },
    ),
}

VIEW = {"rx": 0, "tx": 1, "rx_angle": 0.1, "tx_angle": 0.2}
FILTER = {"receive_filter": "matched", "window": "hann", "oversampling": 4}
BAD_FILTER = {"receive_filter": choice(), "window": choice(), "oversampling": integer(1)}

ESTIMATORS = {
    "estimator": Row({"name": "ml"}, {"name": choice()}, (("name", "estimator"),)),
    "estimator_names": Row({}, {}),
    "detect": Row(
        {"y": USER, "gains": USER[..., 0], "order": 4},
        {"y": array(USER), "gains": array(USER[..., 0]), "order": integer(4, 256)},
    ),
    "count_bit_errors": Row({"detected": SENT, "sent": SENT}, {"detected": bits(SENT), "sent": bits(SENT)}),
    "pilot_symbols": Row(
        {"n_users": 2, "n_subcarriers": 4, "n_pilots": 3},
        {"n_users": integer(0, 3), "n_subcarriers": integer(1), "n_pilots": integer(2)},
        (("n_users", "n_"),),
    ),
    "estimate_gains": Row({"y_pilots": USER, "pilots": USER}, {"y_pilots": array(USER), "pilots": array(USER)}),
    "sufficient_statistics": Row({"X": X, "Y": Y}, {"X": array(X), "Y": array(Y)}),
    "localize": Row(
        {"scenario": SCENE, "X": X, "Y": Y, "mode": "hybrid", "search": Search(n_starts=1)},
        {
            "scenario": instance(),
            "X": array(X),
            "Y": array(Y),
            "mode": choice(),
            "search": instance(optional=True),
        },
    ),
    "expected_spectrum": Row(
        {"scenario": SCENE, "covariances": COVARIANCES, "node": 0, "angle": 0.1},
        {"scenario": instance(), "covariances": array(COVARIANCES), "node": integer(0, 1), "angle": ANGLE},
    ),
    "realized_spectrum": Row(
        {"scenario": SCENE, "X": X, "node": 0, "angle": 0.1},
        {"scenario": instance(), "X": array(X), "node": integer(0, 1), "angle": ANGLE},
    ),
    "range_profile": Row({"spectrum": SPECTRUM, **FILTER}, {"spectrum": instance(), **BAD_FILTER}),
    "measured_profile": Row(
        {"scenario": SCENE, "X": X, "Y": Y, **VIEW, **FILTER},
        {
            "scenario": instance(),
            "X": array(X),
            "Y": array(Y),
            "rx": integer(0, 1),
            "tx": integer(0, 1),
            "rx_angle": ANGLE,
            "tx_angle": ANGLE,
            **BAD_FILTER,
        },
    ),
    "ambiguity_surface": Row(
        {
            **{"scenario": SCENE, "signal": COVARIANCES, "mode": "hybrid", "target": 0, "others": "absent"},
            **{"step_m": 10.0, "area": [[-20.0, 20.0], [-20.0, 20.0]]},
        },
        {
            "scenario": instance(),
            "signal": array(COVARIANCES),
            "mode": choice(),
            "target": integer(0, 0),
            "others": choice(),
            "step_m": real(0, above=True).filter(lambda value: value is not None),
            "area": array([[-20.0, 20.0], [-20.0, 20.0]], optional=True) | st.just([[5.0, 1.0], [0.0, 1.0]]),
        },
    ),
    "Search": Row(
        {
            **{"area": [[0.0, 1.0], [0.0, 1.0]], "step_m": 1.0, "n_starts": 2, "max_cycles": 1, "max_iterations": 3},
            "tolerance": 1e-6,
        },
        {
            "area": array([[0.0, 1.0], [0.0, 1.0]], optional=True),
            "step_m": real(0, above=True).filter(lambda value: value is not None),
            "n_starts": integer(1),
            "max_cycles": integer(0),
            "max_iterations": integer(1),
            "tolerance": real(0, 1, above=True),
        },
    ),
    "Localizer": Row(
        {"scenario": SCENE, "mode": "hybrid", "search": None},
        {"scenario": instance(), "mode": choice(), "search": instance(optional=True)},
    ),
}

PRECODERS = {"comm_precoders": COMM, "radar_precoders": RADAR}
BAD_PRECODERS = {"comm_precoders": array(COMM), "radar_precoders": array(RADAR)}
UNIFORM = fixed_design(SCENE, 0 * COMM, 0.25 * np.broadcast_to(np.eye(2), RADAR.shape) + 0j)
INFORMATION = fisher_information(SCENE, COVARIANCES)
MODE = choice()

DESIGNS = {
    "achieved_sinr": Row({"scenario": SCENE, **PRECODERS}, {"scenario": instance(), **BAD_PRECODERS}),
    "phase_averaged_powers": Row({"scenario": SCENE, **PRECODERS}, {"scenario": instance(), **BAD_PRECODERS}),
    "transmitted_covariances": Row(PRECODERS, BAD_PRECODERS),
    "antenna_power": Row({"covariances": COVARIANCES}, {"covariances": array(COVARIANCES)}),
    "sample_covariances": Row({"symbols": X}, {"symbols": array(X)}),
    "time_moments": Row({"symbols": X}, {"symbols": array(X)}),
    "fisher_information": Row(
        {"scenario": SCENE, "covariances": COVARIANCES, "mode": "hybrid", "n_symbols": 2},
        {"scenario": instance(), "covariances": array(COVARIANCES), "mode": MODE, "n_symbols": integer(1)},
    ),
    "crb": Row(
        {
            **{"scenario": SCENE, "covariances": COVARIANCES, "mode": "hybrid", "n_symbols": 2},
            **{"clock_std_s": 1e-9, "clock_offsets_s": [0.0, 1e-9], "velocity": False},
        },
        {
            "scenario": instance(),
            "covariances": array(COVARIANCES),
            "mode": MODE,
            "n_symbols": integer(1),
            "clock_std_s": real(0).filter(lambda value: value != np.inf),
            "clock_offsets_s": array([0.0, 1e-9], optional=True),
            "velocity": st.sampled_from(["yes", 1, None, np.nan]),
        },
    ),
    "crb_over_phases": Row(
        {"scenario": SCENE, "covariances": COVARIANCES, "phases": [[0.0, 1.0]], "mode": "hybrid"},
        {
            "scenario": instance(),
            "covariances": array(COVARIANCES),
            "phases": array([[0.0, 1.0]]),
            "mode": MODE,
        },
    ),
    "clock_bias": Row(
        {"scenario": SCENE, "covariances": COVARIANCES, "clock_offsets_s": [0.0, 1e-9], "mode": "hybrid"},
        {
            "scenario": instance(),
            "covariances": array(COVARIANCES),
            "clock_offsets_s": array([0.0, 1e-9]),
            "mode": MODE,
        },
    ),
    "crb_from_fisher": Row(
        {"information": INFORMATION, "n_targets": 1},
        {"information": array(INFORMATION), "n_targets": integer(1)},
    ),
    "design": Row(
        {"name": "uniform", "scenario": SCENE, "sinr_db": None, "solver": "native", "options": None},
        {
            "name": choice(),
            "scenario": instance(),
            "sinr_db": real(-300, 300).filter(lambda value: value is not None),
            "solver": choice(),
            "options": st.just(1.0),
        },
        (("name", "design"),),
    ),
    "design_sweep": Row(
        {"name": "uniform", "scenario": SCENE, "sinr_db_values": [None], "solver": "native", "options": None},
        {
            "name": choice(),
            "scenario": instance(),
            "sinr_db_values": st.sampled_from([[np.nan], ["x"], [1e9]]),
            "solver": choice(),
            "options": st.just(1.0),
        },
        (("name", "design"), ("sinr_db_values", "sinr_db")),
    ),
    "design_info": Row({"name": "p2"}, {"name": choice()}, (("name", "design"),)),
    "design_label": Row({"name": "p2"}, {"name": st.sampled_from([None, 3, np.nan, {}])}, (("name", "design"),)),
    "design_names": Row({}, {}),
    "fixed_design": Row(
        {"scenario": SCENE, "name": "mine", "sinr_db": None, "solve_seconds": 0.0}
        | {"comm_precoders": UNIFORM.comm_precoders, "radar_precoders": UNIFORM.radar_precoders},
        {
            "scenario": instance(),
            "comm_precoders": array(UNIFORM.comm_precoders),
            "radar_precoders": array(UNIFORM.radar_precoders),
            "name": st.sampled_from([None, 3, np.nan, {}]),
            "sinr_db": real(-300, 300).filter(lambda value: value is not None),
            "solve_seconds": real(0),
        },
    ),
}

TABLES = ((disac.simulator, SIMULATOR), (disac.estimators, ESTIMATORS), (disac.designs, DESIGNS))
NO_ROW = {
    "register_estimator": "a decorator, see test_registration",
    "register_design": "a decorator, see test_registration",
    "crb_from_blocks": "takes what FisherOperator makes",
    "crb_of_operator": "takes what FisherOperator makes",
    "load_precoders": "files, see test_precoder_files",
    "save_precoders": "files, see test_precoder_files",
}
CASES = [(module, name, argument) for module, rows in TABLES for name, row in rows.items() for argument in row.bad]


def called(module, name, arguments):
    """The function's result; an argument ``options`` stands for one option of that name, a generator is run out."""
    given = {word: value for word, value in arguments.items() if word != "options" or value is not None}
    result = getattr(module, name)(**given)
    return list(result) if inspect.isgenerator(result) else result


@pytest.mark.parametrize(("module", "rows"), TABLES, ids=["simulator", "estimators", "designs"])
def test_every_public_function_and_each_of_its_arguments_has_a_row(module, rows):
    functions = {name for name in module.__all__ if inspect.isfunction(getattr(module, name))}
    assert functions - set(NO_ROW) <= set(rows)
    for name, row in rows.items():
        parameters = set(inspect.signature(getattr(module, name)).parameters)
        assert parameters == set(row.bad) == set(row.good), name


@pytest.mark.parametrize(("module", "rows"), TABLES, ids=["simulator", "estimators", "designs"])
def test_the_good_arguments_of_every_row_are_taken(module, rows):
    for name, row in rows.items():
        called(module, name, row.good)


@pytest.mark.parametrize(("module", "name", "argument"), CASES, ids=[f"{name}-{arg}" for _, name, arg in CASES])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_a_wrong_argument_is_named(module, name, argument, data):
    row = next(rows[name] for known, rows in TABLES if known is module)
    value = data.draw(row.bad[argument])
    with pytest.raises((ValueError, TypeError)) as caught:
        called(module, name, {**row.good, argument: value})
    assert dict(row.alias).get(argument, argument) in str(caught.value)
