"""Printed intervals hold the exact ones, and printed values are told from their ends."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disac.experiments.statistics.rounding import (
    interval_text,
    number_text,
    signed_text_with_interval,
    text_beside_interval,
    text_with_interval,
    upper_bound_text,
)

NUMBERS = st.floats(-1e9, 1e9, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-30)


def _numbers(text):
    return [float(found) for found in re.findall(r"-?[\d.]+(?:e-?\d+)?", text)]


@given(st.lists(NUMBERS, min_size=3, max_size=3).map(sorted))
def test_printed_interval_holds_the_exact_one_and_the_value(ends):
    low, value, high = ends
    shown, shown_low, shown_high = _numbers(text_with_interval(value, low, high))
    assert shown_low <= low
    assert high <= shown_high
    assert shown_low <= shown <= shown_high
    assert value - low <= 1e-6 * abs(value) or shown_low < shown
    assert high - value <= 1e-6 * abs(value) or shown < shown_high


@given(st.floats(1e-30, 1e9), st.floats(1e-5, 0.5), st.floats(1e-5, 0.5))
def test_no_end_moves_by_more_than_a_tenth_of_its_distance(value, below, above):
    low, high = value * (1 - below), value * (1 + above)
    shown, shown_low, shown_high = _numbers(text_with_interval(value, low, high))
    assert low - shown_low <= 0.101 * (value - low)
    assert shown_high - high <= 0.101 * (high - value)
    assert abs(shown - value) <= 0.051 * min(value - low, high - value)


@given(st.floats(1e-30, 1e9))
def test_upper_bound_is_rounded_up(high):
    (shown,) = _numbers(upper_bound_text(high)[2:])
    assert high <= shown <= 1.11 * high


@given(st.lists(NUMBERS, min_size=2, max_size=2).map(sorted))
def test_interval_alone_is_rounded_outwards(ends):
    low, high = _numbers(interval_text(*ends))
    assert low <= ends[0]
    assert ends[1] <= high


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.362, 0.35623, 0.3689), "0.3620 [0.3562, 0.3689]"),
        ((1.034, 0.987, 1.086), "1.034 [0.987, 1.086]"),
        ((2.5e-6, 2.5e-8, 5.57e-5), "2.50e-6 [2e-8, 5.6e-5]"),
        ((0.0, 0.0, 1.04e-3), "0 [0, 1.1e-3]"),
        ((-3.2, -4.41, -1.13), "-3.20 [-4.5, -1.1]"),
        ((123456.0, 120000.0, 130000.0), "1.235e5 [1.200e5, 1.300e5]"),
        ((1.3, 1.2999999999999998, 1.3000000000000003), "1.300 [1.299, 1.301]"),
        ((5.0, 1.0, math.inf), "5.00 [1.0, inf]"),
        ((5.0, math.nan, math.nan), "5.000"),
    ],
)
def test_examples(arguments, text):
    assert text_with_interval(*arguments) == text


def test_numbers_beside_an_interval_have_its_digits():
    assert text_beside_interval(0.358049, 0.362, 0.35623, 0.3689) == "0.3580"
    assert text_beside_interval(0.358049, 0.362, math.nan, math.nan) == "0.358"
    assert upper_bound_text(0.000585) == "< 5.9e-4"
    assert number_text(0.0) == "0"


@given(st.lists(NUMBERS, min_size=3, max_size=3).map(sorted))
def test_differences_carry_their_signs_and_round_outwards(ends):
    low, value, high = ends
    text = signed_text_with_interval(value, low, high, "dB")
    shown, shown_low, shown_high = _numbers(text.replace(" dB", ""))
    assert shown_low <= low
    assert high <= shown_high
    assert all(number == 0 or f"{'+' if number > 0 else '-'}" in text for number in (shown, shown_low, shown_high))


def test_terminal_lines_of_the_studies_round_outwards():
    """Nearest rounding printed ends inside the interval: 0.0951 as 0.10, 1.2344 as 1.23."""
    from disac.experiments.campaign.progress import _RunningRatio
    from disac.experiments.reproduce.findings import _certified
    from disac.experiments.studies import pareto, sidelobes

    ratio = _RunningRatio()
    for above in (0.5, 1.5, 1.1):
        ratio.add(above, 1.0)
    assert str(ratio) == "1.02 [0.75, 1.23]"  # 1.0165 [0.7538, 1.2242]
    assert _certified((1.00000001234e-6, 1.00000002e-6)) == "[1.0000000, 1.0000001]"
    levels = {"pslr_db": -9.88, "pslr_low_db": -9.98444, "pslr_high_db": -9.77556}
    row = {"design": "p2", "signal": "expected", "draws": 9, "infeasible_draws": 0, "islr_loss_db": 0.0} | levels
    row |= {name.replace("pslr", "islr"): value for name, value in levels.items()} | {"pslr_loss_db": 0.0}
    (line,) = sidelobes.summary_lines([row])
    assert "PSLR -9.88 dB [-9.99, -9.77]" in line
    row = {"design": "p2", "draws": 9, "infeasible_draws": 0, "rcrb_m": 1.0, "pslr_db": -9.0, "looks": 9}
    row |= {"realized_pslr_db": -9.0, "detection": 0.9, "detection_low": 0.84446, "detection_high": 0.93337}
    (line,) = pareto.summary_lines([row])
    assert "found in 0.900 [0.844, 0.934] of" in line
