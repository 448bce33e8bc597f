"""Why trials of a stored run left no record, in a line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from disac.experiments.runs.store import RunReader

SHOWN = 3
"""Different reasons that a line names."""


@dataclass(frozen=True)
class Failures:
    """Failed trials of a run, and its points whose set-up failed.

    Attributes
    ----------
    trials : number of trials stored, failed ones included.
    failed : number of failed trials.
    reasons : message and how often it came, the most frequent first.
    """

    trials: int
    failed: int
    reasons: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, store: Path) -> Failures:
        """Count those of a file of records."""
        reasons: Counter[str] = Counter()
        with RunReader(store) as reader, reader.snapshot():
            points = reader.points()
            for point in points:
                reasons.update(stored.failure.message for stored in reader.failures(point.key))
                if point.stop is not None and point.stop.kind == "setup-failed":
                    reasons[point.stop.text] += 1
        return cls(
            sum(point.trials for point in points),
            sum(point.failed for point in points),
            tuple(reasons.most_common()),
        )

    @property
    def total(self) -> bool:
        """Whether there is no record, for trials or set-ups that failed."""
        return bool(self.reasons) and self.failed == self.trials

    def __str__(self) -> str:
        counted = [f"{message} ({count} times)" if count > 1 else message for message, count in self.reasons[:SHOWN]]
        if len(self.reasons) > SHOWN:
            counted.append(f"and {len(self.reasons) - SHOWN} other reasons")
        which = f"all {self.trials}" if self.total else f"{self.failed} of {self.trials}"
        head = f"{which} trials failed" if self.trials else "no trial could begin"
        return f"{head}: {'; '.join(counted)}"
