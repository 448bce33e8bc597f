"""What a person sees while a campaign runs: a bar on a terminal, a plain line per point elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from disac.experiments.projection import project, row_bytes

COMPILING_S = 20.0
"""Time after which all workers have compiled their kernels, so that speed can be projected [s]."""

if TYPE_CHECKING:
    from disac.experiments.runner import Progress


class CampaignBar:
    """Context manager whose instance is the runner's ``progress`` callable.

    On a terminal it is a tqdm bar with trials per second, the time left, and the present point's RMSE over its realized
    bound with a rough 95 % interval (normal, from the spread of the squared errors; the final table has the exact one).
    Where the error output is a file or pipe it writes one line at the end of every point, without control characters.
    """

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(disable=None, unit="trial", smoothing=0.05, dynamic_ncols=True, file=sys.stderr)
        self._plain = bool(self._bar.disable)
        self._index: int | None = None
        self._name = ""
        self._trials = 0
        self._squared: list[float] = []
        self._bound: list[float] = []
        self._first: tuple[int, float] | None = None
        self._projected = False

    def __call__(self, progress: Progress) -> None:
        """Take in what has just been committed."""
        if progress.point_index != self._index:
            self._finish_point()
            self._index = progress.point_index
            self._name = " ".join(f"{name}={value}" for name, value in progress.point.items())
            self._squared.clear()
            self._bound.clear()
        self._trials = progress.trials
        self._project(progress)
        for row in progress.rows:
            if isinstance(row, dict) and "sq_error_m2" in row:
                self._squared.append(float(row["sq_error_m2"]))  # type: ignore[arg-type]
                self._bound.append(float(row["crb_m2"]))  # type: ignore[arg-type]
        if not self._plain:
            self._bar.total = progress.expected
            self._bar.n = progress.done
            self._bar.set_postfix_str(f"point {progress.point_index + 1}/{progress.n_points} {self._ratio()}")

    def _project(self, progress: Progress) -> None:
        """Say once how long the rest will take and how much disk; the first batches, which compile, do not count."""
        if self._projected or progress.expected is None:
            return
        if self._first is None:
            if progress.elapsed_s > COMPILING_S or progress.done >= progress.expected // 10:
                self._first = (progress.done, progress.elapsed_s)
            return
        done, elapsed_s = progress.done - self._first[0], progress.elapsed_s - self._first[1]
        sizes = [row_bytes(row) for row in progress.rows if isinstance(row, dict)]
        if done > 0 and sizes and elapsed_s > 1.0:
            rest = project(
                progress.expected - progress.done,
                seconds_per_trial=elapsed_s / done,
                bytes_per_row=sum(sizes) / len(sizes),
            )
            self._bar.write(f"still to come: {rest}", file=sys.stderr)
            self._projected = True

    def _ratio(self) -> str:
        if len(self._squared) < 2:
            return ""
        squared, bound = np.array(self._squared), np.array(self._bound)
        ratio = squared.sum() / bound.sum()
        half = 1.96 * np.std(squared - ratio * bound, ddof=1) / (bound.mean() * np.sqrt(len(squared)))
        low, high = np.sqrt(max(ratio - half, 0.0)), np.sqrt(ratio + half)
        return f"RMSE/RCRB {np.sqrt(ratio):.3f} [{low:.3f}, {high:.3f}]"

    def _finish_point(self) -> None:
        if self._plain and self._index is not None:
            print(f"{self._name}: {self._trials} trials {self._ratio()}".rstrip(), file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finish_point()
        self._bar.close()
