"""Verdicts on claims, and how those of several cases join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["confirmed", "refuted", "only under conditions", "undecided"]


def joint_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim that several cases share; under conditions where some confirm and some refute it."""
    kinds = set(verdicts)
    if len(kinds) == 1:
        return verdicts[0]
    apart = kinds >= {"confirmed", "refuted"} or "only under conditions" in kinds
    return "only under conditions" if apart else "undecided"


@dataclass(frozen=True)
class Finding:
    """A claim with what the runs say of it.

    Attributes
    ----------
    claim : the statement, with what it is judged by.
    verdict : confirmed or refuted only where the whole interval, or every draw, lies on one side; undecided where an
        interval holds both.
    effect : numbers behind the verdict, with 95 % intervals.
    figures : names of the figures or parts whose runs were used, each a command ``disac run NAME``.
    """

    claim: str
    verdict: Verdict
    effect: str
    figures: tuple[str, ...]
