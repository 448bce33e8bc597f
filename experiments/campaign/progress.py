"""What a person sees while a campaign runs: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from disac.experiments.campaign.projection import project, row_bytes
from disac.experiments.statistics.rounding import text_with_interval

if TYPE_CHECKING:
    from disac.experiments.campaign.runner import Progress

COMPILING_S = 20.0
"""Time after which all workers have compiled their kernels, so that speed can be projected [s]."""

PLAIN_LINES = 10
"""Lines that a whole campaign writes where there is no terminal."""


class CampaignBar:
    """Context manager whose instance is the runner's ``progress`` callable.

    On a terminal it is a tqdm bar with trials per second, the time left and, where a ratio is asked for, the present
    point's with a rough 95 % interval (normal, from the spread of the records; the final table has the exact one).
    Where the error output is a file or pipe it writes a line every tenth of the trials, without control characters.
    Where nobody reads any more (a closed pipe or terminal) it falls silent and the campaign goes on.

    Parameters
    ----------
    title : what the campaign is called; "" for nothing.
    unit : what a trial is called.
    ratio : columns a and b of the records and a label: the root of sum(a) / sum(b) is shown.
    """

    def __init__(self, title: str = "", *, unit: str = "trial", ratio: tuple[str, str, str] | None = None) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            desc=title or None, disable=None, unit=unit, smoothing=0.05, dynamic_ncols=True, file=sys.stderr
        )
        self._plain = bool(self._bar.disable)
        self._title, self._unit, self._ratio = title, unit, ratio
        self._lines = 0
        self._ratios: dict[int, _RunningRatio] = {}
        self._first: tuple[int, float] | None = None
        self._projected = False
        self._silent = False

    def __call__(self, progress: Progress) -> None:
        """Take in what has just been committed; two neighbouring points may take turns."""
        if not self._silent:
            try:
                self._show(progress)
            except OSError:
                self._silent = True

    def _show(self, progress: Progress) -> None:
        ratio = self._ratios.setdefault(progress.point_index, _RunningRatio())
        if self._ratio is not None:
            above, below, _ = self._ratio
            for row in progress.rows:
                if isinstance(row, dict) and above in row:
                    ratio.add(float(row[above]), float(row[below]))  # type: ignore[arg-type]
        self._project(progress)
        if self._plain:
            self._write_line(progress, ratio)
        else:
            self._bar.total = progress.expected
            self._bar.n = progress.done
            self._bar.set_postfix_str(f"point {progress.point_index + 1}/{progress.n_points} {self._text(ratio)}")

    def _text(self, ratio: _RunningRatio) -> str:
        return f"{self._ratio[2]} {ratio}" if self._ratio is not None and ratio.n > 1 else ""

    def _write_line(self, progress: Progress, ratio: _RunningRatio) -> None:
        expected = progress.expected or 0
        if expected and progress.done * PLAIN_LINES < (self._lines + 1) * expected:
            return
        self._lines = progress.done * PLAIN_LINES // expected if expected else self._lines + 1
        rate = progress.done / progress.elapsed_s if progress.elapsed_s > 0 else 0.0
        total = f" of {expected}" if expected else ""
        title = f"{self._title}: " if self._title else ""
        point = f"point {progress.point_index + 1} of {progress.n_points}, {progress.trials} {self._unit}s"
        line = f"{title}{progress.done}{total} {self._unit}s, {rate:.1f}/s; {point}: {self._text(ratio)}"
        print(line.rstrip(": "), file=sys.stderr, flush=True)

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._bar.close()


class _RunningRatio:
    """Running sums of two columns e and c of one point; prints as the root of their ratio with its interval."""

    def __init__(self) -> None:
        self.n = 0
        self.e = self.c = self.ee = self.ec = self.cc = 0.0

    def add(self, above: float, below: float) -> None:
        self.n += 1
        self.e += above
        self.c += below
        self.ee += above**2
        self.ec += above * below
        self.cc += below**2

    def __str__(self) -> str:
        ratio = self.e / self.c
        spread = max(self.ee - 2 * ratio * self.ec + ratio**2 * self.cc, 0.0)
        half = 1.96 * spread**0.5 / self.c
        low, high = max(ratio - half, 0.0) ** 0.5, (ratio + half) ** 0.5
        return text_with_interval(ratio**0.5, low, high)
