"""Kinds of arguments for table-driven tests: for each kind, values that a function must refuse by name."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

WORDS = st.sampled_from(["", "x", "7", "hybrid "])
NOT_FINITE = st.sampled_from([math.nan, math.inf, -math.inf])


def integer(least, most=None):
    """A whole number in [least, most]."""
    outside = st.integers(max_value=least - 1) | (st.integers(min_value=most + 1) if most is not None else st.nothing())
    fractions = st.floats(allow_nan=True, allow_infinity=True)
    return outside | fractions | WORDS | st.none() | st.just([least]) | st.just(True) | st.just(least + 0j)


def real(least=None, most=None, *, above=False):
    """A finite number in [least, most], or above least."""
    bad = NOT_FINITE | WORDS | st.none() | st.just([1.0, 2.0]) | st.just(1j)
    if least is not None:
        bad |= st.just(least) if above else st.floats(max_value=least, exclude_max=True, allow_infinity=False)
    if most is not None:
        bad |= st.floats(min_value=most, exclude_min=True, allow_infinity=False)
    return bad


def array(good, *, optional=False):
    """Finite numbers, for example ``good``."""
    good = np.asarray(good)

    def spoiled(place_and_value):
        place, value = place_and_value
        bad = np.array(good, dtype=np.result_type(good.dtype, float), ndmin=1)
        bad.flat[place % bad.size] = value
        return bad.reshape(good.shape)

    bad = st.tuples(st.integers(0, 10**6), NOT_FINITE).map(spoiled)
    bad |= WORDS | st.just(np.array(["a"])) | st.just(np.array([object()])) | st.just([[1.0], [2.0, 3.0]])
    return bad if optional else bad | st.none()


def bits(good):
    """An array of 0 and 1."""

    def spoiled(place_and_value):
        place, value = place_and_value
        bad = np.array(good, dtype=np.result_type(np.asarray(value), np.int64))
        bad.flat[place % bad.size] = value
        return bad

    values = st.integers(2, 2**40) | st.integers(-(2**40), -1) | st.sampled_from([0.5, 0.9, math.nan])
    return st.tuples(st.integers(0, 10**6), values).map(spoiled) | WORDS | st.none()


def choice():
    """One of some words."""
    return st.sampled_from(["", "x", None, 3, math.nan, ["hybrid"], {}])


def instance(*, optional=False):
    """An object of a class of ours or of NumPy."""
    bad = st.sampled_from(["x", 3, math.nan, [1], object])
    return bad if optional else bad | st.none()
