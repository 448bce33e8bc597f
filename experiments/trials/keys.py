"""Keys of randomness: a trial's random streams are addressed by seed, point, trial and purpose, never by draw order.

Points that differ only in what is compared (design, estimator, modulation, ...) share their streams: common random
numbers, so that a difference between them is one of the methods and not of the draws.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypeAlias

import numpy as np

PointValue: TypeAlias = bool | int | float | str
Point: TypeAlias = Mapping[str, PointValue]

MAX_TRIALS = 2**32
"""Trial numbers are below this, so that a trial is one 32-bit word of the spawn key and no two keys can coincide."""


class Purpose(IntEnum):
    """What a random stream is for. The numbers are part of every stored run: add new ones, never renumber."""

    BITS = 1
    RADAR = 2
    PHASES = 3
    SENSE_NOISE = 4
    USER_NOISE = 5
    CHANNEL = 6
    AMPLITUDE = 7
    BOOTSTRAP = 8
    PILOTS = 9
    GEOMETRY = 10
    PILOT_NOISE = 11
    TARGET_PHASES = 12


COMPARED = frozenset({"design", "solver", "estimator", "mode", "modulation", "sinr_db", "sidelobe_db"})
"""Point fields that choose a method and leave the world as it is: they enter no random stream."""


def plain_point(fields: Point) -> dict[str, PointValue]:
    """The same point with Python scalars in place of numpy's."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in fields.items()}


def _canonical(name: str, plain: object) -> tuple[str, str, str]:
    if isinstance(plain, bool):
        return name, "bool", str(plain)
    if isinstance(plain, str):
        return name, "text", plain
    if isinstance(plain, int):
        return name, "number", str(plain)
    if isinstance(plain, float):
        if math.isnan(plain):
            raise ValueError(f"point field {name!r} is NaN; a point must be a definite value")
        return name, "number", str(int(plain)) if plain.is_integer() else plain.hex()
    raise ValueError(f"point field {name!r} is {plain!r}; allowed are bool, int, float and str")


def point_key(fields: Point) -> int:
    """Stable 63-bit hash of a point's field names and values.

    Neither the position of the point in a sweep nor the order of its fields enters. Numbers compare by value: 1 and
    1.0, 0.0 and -0.0 are the same; True is not 1. Numpy scalars count as the Python number they hold, so float32(0.1)
    is not 0.1.

    Raises
    ------
    ValueError : a value is NaN or not a bool, int, float or str.
    """
    canonical = sorted(_canonical(name, value) for name, value in plain_point(fields).items())
    digest = hashlib.blake2b(json.dumps(canonical).encode(), digest_size=8).digest()
    # The set top bit makes every key two 32-bit words long in a SeedSequence, and it still fits SQLite's integer.
    return int.from_bytes(digest, "big") >> 2 | 1 << 62


def draw_key(fields: Point, compared: Collection[str] = ()) -> int:
    """Key of a point's random streams: `point_key` of the fields that say what is true.

    Parameters
    ----------
    fields : the point.
    compared : fields that enter no random stream besides :data:`COMPARED`, by which an experiment compares too.

    Examples
    --------
    >>> draw_key({"design": "p1", "snr_db": 0}) == draw_key({"design": "p2", "snr_db": 0})
    True
    >>> draw_key({"design": "p1", "snr_db": 0}) == draw_key({"design": "p1", "snr_db": 10})
    False
    """
    left_out = COMPARED.union(compared)
    return point_key({name: value for name, value in fields.items() if name not in left_out})


_ALL_POINTS = point_key({"draw": "common to all points"})


@dataclass(frozen=True, slots=True)
class TrialKey:
    """Address of one trial's randomness.

    Attributes
    ----------
    seed : root seed of the campaign, a non-negative integer.
    point : key of the point, from `draw_key`; points that are compared have the same.
    trial : number of the trial at that point, from 0.
    repetition : which of several realizations within the trial, from 0.
    """

    seed: int
    point: int
    trial: int
    repetition: int = 0

    def generator(self, purpose: Purpose) -> np.random.Generator:
        """Fresh generator at the start of this trial's stream for one purpose: the same numbers at every call."""
        again = (self.repetition,) if self.repetition else ()
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self.point, self.trial, int(purpose), *again))
        return np.random.Generator(np.random.Philox(sequence))

    def of_all_points(self) -> TrialKey:
        """The key of the same trial that all points of the run share."""
        return replace(self, point=_ALL_POINTS)

    def repeated(self, repetition: int) -> TrialKey:
        """The key of another realization within the same trial."""
        return replace(self, repetition=repetition)
