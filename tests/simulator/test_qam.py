"""QAM against the formulas of 3GPP TS 38.211 and exhaustive nearest-point decisions."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disac.simulator import bits_per_symbol, constellation, demodulate, modulate

ORDERS = (4, 16, 64, 256)


def point_of_38211(b):
    """Sections 5.1.3 (QPSK), 5.1.4 (16QAM), 5.1.5 (64QAM) and 5.1.6 (256QAM), as printed."""

    def s(i):
        return 1 - 2 * b[i]

    match len(b):
        case 2:
            return (s(0) + 1j * s(1)) / sqrt(2)
        case 4:
            return (s(0) * (2 - s(2)) + 1j * s(1) * (2 - s(3))) / sqrt(10)
        case 6:
            return (s(0) * (4 - s(2) * (2 - s(4))) + 1j * s(1) * (4 - s(3) * (2 - s(5)))) / sqrt(42)
        case 8:
            in_phase = s(0) * (8 - s(2) * (4 - s(4) * (2 - s(6))))
            quadrature = s(1) * (8 - s(3) * (4 - s(5) * (2 - s(7))))
            return (in_phase + 1j * quadrature) / sqrt(170)


def bits_of(label, n_bits):
    return [(label >> (n_bits - 1 - i)) & 1 for i in range(n_bits)]


@pytest.mark.parametrize("order", ORDERS)
def test_points_are_those_of_38211(order):
    n_bits = bits_per_symbol(order)
    assert 2**n_bits == order
    expected = [point_of_38211(bits_of(label, n_bits)) for label in range(order)]
    np.testing.assert_allclose(constellation(order), expected, rtol=0, atol=1e-15)


def test_corner_points():
    """All-zero bits lie nearest the axes in the first quadrant; QPSK's 10 has a negative real part."""
    assert constellation(4)[0b00] == pytest.approx((1 + 1j) / sqrt(2))
    assert constellation(4)[0b10] == pytest.approx((-1 + 1j) / sqrt(2))
    assert constellation(16)[0b0000] == pytest.approx((1 + 1j) / sqrt(10))
    assert constellation(16)[0b1011] == pytest.approx((-3 + 3j) / sqrt(10))
    assert constellation(64)[0b000000] == pytest.approx((3 + 3j) / sqrt(42))
    assert constellation(256)[0b00000000] == pytest.approx((5 + 5j) / sqrt(170))


MOMENTS = {4: (1.0, 1.0), 16: (1.32, 17 / 9), 64: (1.380952, 2.685417), 256: (1.395294, 3.437130)}


@pytest.mark.parametrize("order", ORDERS)
def test_moments(order):
    points = constellation(order)
    fourth, inverse = MOMENTS[order]
    assert abs(np.mean(points)) < 1e-14
    assert abs(np.mean(points**2)) < 1e-14
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1, abs=1e-12)
    assert np.mean(np.abs(points) ** 4) == pytest.approx(fourth, abs=1e-6)
    assert np.mean(1 / np.abs(points) ** 2) == pytest.approx(inverse, abs=1e-6)


@pytest.mark.parametrize("order", ORDERS)
def test_nearest_neighbours_differ_in_one_bit(order):
    points = constellation(order)
    distance = np.abs(points[:, None] - points[None, :])
    spacing = distance[distance > 1e-9].min()
    differing = np.bitwise_count(np.arange(order)[:, None] ^ np.arange(order)[None, :])
    neighbours = np.abs(distance - spacing) < 1e-9
    side = int(sqrt(order))
    assert neighbours.sum() == 4 * side * (side - 1)
    assert np.all(differing[neighbours] == 1)


@settings(deadline=None, max_examples=60)
@given(order=st.sampled_from(ORDERS), seed=st.integers(0, 2**32), scale=st.sampled_from([0.1, 0.5, 3.0]))
def test_decision_is_the_nearest_point(order, seed, scale):
    rng = np.random.default_rng(seed)
    sent = rng.integers(0, order, 200)
    noise = scale * (rng.standard_normal(200) + 1j * rng.standard_normal(200))
    received = constellation(order)[sent] + noise
    distance = np.abs(received[:, None] - constellation(order)[None, :])
    nearest = np.argmin(distance, axis=1)
    n_bits = bits_per_symbol(order)
    expected = [bits_of(int(label), n_bits) for label in nearest]
    np.testing.assert_array_equal(demodulate(received, order).reshape(200, n_bits), expected)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_round_trip_over_leading_axes(order, dtype):
    bits = np.random.default_rng(3).integers(0, 2, (2, 3, 5 * bits_per_symbol(order)), dtype=np.uint8)
    symbols = modulate(bits, order)
    assert symbols.shape == (2, 3, 5)
    decided = demodulate(symbols.astype(dtype), order)
    assert decided.dtype == np.uint8
    np.testing.assert_array_equal(decided, bits)


def test_decision_far_out_stays_in_the_alphabet_and_none_is_made_on_nan():
    corner = demodulate(np.array([1e300 - 1e300j, 1e300 + 1e300j]), 16)
    np.testing.assert_array_equal(corner, bits_of(0b0111, 4) + bits_of(0b0011, 4))
    for value in (complex(np.nan, 0.0), complex(0.0, np.inf)):
        with pytest.raises(ValueError, match=r"symbols: entry \[1\] is .*, every entry must be finite"):
            demodulate(np.array([0.0, value]), 256)


def test_strided_input():
    bits = np.random.default_rng(3).integers(0, 2, (8, 10), dtype=np.uint8)
    np.testing.assert_array_equal(
        demodulate(modulate(bits.T, 16)[:, ::-1], 16), np.hstack([bits.T[:, 4:], bits.T[:, :4]])
    )


@pytest.mark.parametrize("order", [0, 2, 8, 32, 1024, -4])
def test_unknown_order_is_named(order):
    with pytest.raises(ValueError, match=rf"order = {order}: must be one of 4, 16, 64, 256"):
        bits_per_symbol(order)
    with pytest.raises(ValueError, match=r"order = "):
        modulate(np.zeros(4, dtype=np.uint8), order)


def test_wrong_bits_are_named():
    with pytest.raises(ValueError, match=r"bits: has shape \(3, 5\), the last axis must be a multiple of 4 for 16-QAM"):
        modulate(np.zeros((3, 5), dtype=np.uint8), 16)
    with pytest.raises(ValueError, match=r"bits: holds 2, must hold only 0 and 1"):
        modulate(np.array([0, 1, 2, 0], dtype=np.uint8), 16)


def test_constellation_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        constellation(16)[0] = 0
