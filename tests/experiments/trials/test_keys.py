"""Trial keys: stable, addressed by value, and never shared."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disac.experiments.trials.keys import Purpose, TrialKey, plain_point, point_key

VALUES = st.one_of(st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False), st.text(max_size=8))
POINTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=5)


def test_known_key_never_changes():
    # Stored runs are resumed and merged by these numbers: a change of the hash breaks every run on disk.
    text = b'[["bandwidth_hz", "number", "20000000"], ["coherent", "bool", "False"], ["design", "text", "p2"]'
    text += b', ["snr_db", "number", "0x1.999999999999ap-4"]]'
    expected = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 2 | 1 << 62
    assert point_key({"snr_db": 0.1, "design": "p2", "coherent": False, "bandwidth_hz": 20e6}) == expected
    assert point_key({}) == 6656704380548225393


def test_key_is_the_same_in_a_new_process():
    code = "from disac.experiments.trials.keys import point_key; print(point_key({'a': 0.1, 'b': 'x', 'c': True}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == point_key({"a": 0.1, "b": "x", "c": True})


@given(POINTS, st.randoms())
@settings(deadline=None)
def test_order_of_fields_does_not_matter_and_key_is_two_words_long(point, random):
    names = list(point)
    random.shuffle(names)
    key = point_key({name: point[name] for name in names})
    assert key == point_key(point)
    assert 2**62 <= key < 2**63


@given(POINTS, POINTS)
@settings(deadline=None)
def test_different_points_have_different_keys(a, b):
    def tagged(point):
        return {name: (isinstance(value, bool), value) for name, value in point.items()}

    assert (point_key(a) == point_key(b)) == (tagged(a) == tagged(b))


def test_numbers_compare_by_value_and_types_are_told_apart():
    assert point_key({"x": 1}) == point_key({"x": 1.0}) == point_key({"x": np.int64(1)})
    assert point_key({"x": 0.0}) == point_key({"x": -0.0})
    assert point_key({"x": np.float64(0.1)}) == point_key({"x": 0.1}) != point_key({"x": np.float32(0.1)})
    assert len({point_key({"x": value}) for value in (1, True, "1", "True", float("inf"), 1 + 2**-52)}) == 6
    assert point_key({"a": 1, "b": 2}) != point_key({"a": 2, "b": 1})
    assert plain_point({"x": np.float64(2.5)}) == {"x": 2.5}
    assert type(plain_point({"x": np.bool_(True)})["x"]) is bool


@pytest.mark.parametrize("value", [float("nan"), np.float32("nan"), None, 1j, [1], np.zeros(2)])
def test_indefinite_values_are_refused_by_name(value):
    with pytest.raises(ValueError, match="'snr_db'"):
        point_key({"snr_db": value})


def test_generator_is_the_documented_construction():
    key = TrialKey(7, point_key({"x": 1}), 3)
    sequence = np.random.SeedSequence(7, spawn_key=(key.point, 3, Purpose.PHASES))
    expected = np.random.Generator(np.random.Philox(sequence)).random(5)
    np.testing.assert_array_equal(key.generator(Purpose.PHASES).random(5), expected)
    np.testing.assert_array_equal(key.generator(Purpose.PHASES).random(5), expected)


def test_no_two_streams_share_their_numbers():
    seen = {
        TrialKey(seed, point_key({"x": x}), trial).generator(purpose).bytes(16)
        for seed in (0, 1, 2**32, 2**64)
        for x in (0, 1)
        for trial in (*range(40), 2**32 - 1)
        for purpose in Purpose
    }
    assert len(seen) == 4 * 2 * 41 * len(Purpose)


def test_purposes_keep_their_numbers():
    assert {purpose.name: int(purpose) for purpose in Purpose} == {
        "BITS": 1,
        "RADAR": 2,
        "PHASES": 3,
        "SENSE_NOISE": 4,
        "USER_NOISE": 5,
        "CHANNEL": 6,
        "AMPLITUDE": 7,
        "BOOTSTRAP": 8,
        "PILOTS": 9,
        "GEOMETRY": 10,
        "PILOT_NOISE": 11,
        "TARGET_PHASES": 12,
    }
