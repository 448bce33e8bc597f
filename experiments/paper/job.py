"""The job behind ``disac run fig5`` and the others: edges, designs, summary and picture in one resumable folder."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from disac.experiments.paper.bounds import DesignSweep, EdgeSweep
from disac.experiments.paper.scenarios import Channel, PaperScenario
from disac.experiments.paper.sweeps import Sweep, sweep
from disac.experiments.runs.choices import write_choices
from disac.experiments.runs.replacing import replace_text
from disac.experiments.runs.tables import write_csv
from disac.experiments.statistics.draws import PointDraws, Row, read_draws, summarize
from disac.experiments.trials.keys import Point, PointValue

if TYPE_CHECKING:
    from disac.experiments.campaign.runner import Progress
    from disac.experiments.trials.experiment import Experiment

DESIGNS_STORE, SLOW_STORE, EDGES_STORE, SETTINGS = "run.sqlite", "slow.sqlite", "edges.sqlite", "figure.json"


@dataclass(frozen=True)
class FigureSettings:
    """How a figure is to be computed.

    Attributes
    ----------
    seed : campaign seed.
    quick : few draws and coarse grids.
    draws, refined : draws per point, and how many of them have the precoders of P.1 refined; None takes the effort's.
    channel : user channels, :data:`disac.experiments.paper.scenarios.Channel`.
    delay_spread_s : of a tapped delay line [s].
    workers : worker processes. Run times are measured in this process alone, whatever their number.
    """

    seed: int = 0
    quick: bool = False
    draws: int | None = None
    refined: int | None = None
    channel: Channel = "independent"
    delay_spread_s: float = 100e-9
    workers: int = 1

    @property
    def options(self) -> str:
        """The options of the command line that give these settings, other than the number of workers."""
        options = ["--quick"] if self.quick else []
        if self.channel != "independent":
            options.append(f"--channel {self.channel} --delay-spread-ns {1e9 * self.delay_spread_s:g}")
        numbers = {"draws": self.draws, "refined": self.refined, "seed": self.seed}
        return " ".join(options + [f"--{name} {value}" for name, value in numbers.items() if value is not None])


def run_figure(name: str, folder: Path, settings: FigureSettings) -> list[Row]:
    """Compute a figure in ``folder``, or go on with what is there, and write ``summary.csv`` and the picture.

    Raises
    ------
    ValueError : there is no such figure, or ``folder`` holds one with other settings.
    """
    from disac.experiments.paper.figures import plot_sweep

    spec, quick = sweep(name), settings.quick
    if settings.channel != "independent":
        channel: dict[str, PointValue] = {"channel": settings.channel, "delay_spread_s": settings.delay_spread_s}
        spec = replace(spec, fixed={**spec.fixed, **channel})
    effort = spec.effort(quick=quick)
    n_draws = settings.draws or effort.draws
    n_refined = effort.refined if settings.refined is None else settings.refined
    n_refined = n_refined if spec.kind == "designs" else 0
    _keep_settings(folder, name, settings, n_refined)

    def campaign(experiment: Experiment, store: str, trials: int, workers: int) -> list[PointDraws]:
        from disac.experiments.campaign.runner import run_campaign

        with DrawBar(name) as bar:
            run_campaign(
                experiment,
                folder / store,
                seed=settings.seed,
                trials=trials,
                workers=workers,
                batch_size=1,
                progress=bar,
                resume=True,
                rerun_line=f"disac run {name} {settings.options}",
            )
        return read_draws(folder / store)

    edges = []
    if spec.edge_cases():
        edges = campaign(EdgeSweep(name, spec.edge_cases()), EDGES_STORE, n_draws, settings.workers)
    smallest = {
        (bool(edge.fields["interleaved"]), int(edge.fields[spec.series[0]])): float(edge.columns["edge_db"].min())
        for edge in edges
    }
    timed = spec.kind == "times"
    cases = spec.cases(quick=quick, edges_db=smallest)
    warn_of_late_paths(dict(case) for case in cases)
    designs = DesignSweep(name, cases, refined=n_refined, timed=timed)
    campaign(designs, DESIGNS_STORE, n_draws, 1 if timed else settings.workers)
    slow = spec.slow_cases(quick=quick)
    if slow:
        campaign(DesignSweep(name, slow, timed=timed), SLOW_STORE, 1 if quick else spec.slow_draws, 1)
    rows = summarize(*stored_points(folder, spec), paired=not timed)
    write_csv(rows, folder / "summary.csv")
    write_choices(folder, spec.choices(quick=quick, draws=n_draws, refined=n_refined, seed=settings.seed))
    plot_sweep(spec, rows, folder / name)
    return rows


def warn_of_late_paths(points: Iterable[Point]) -> None:
    """Warn where users' paths arrive later than the cyclic prefix, with the largest share of power of all points."""
    worst = max(map(PaperScenario.at, points), key=lambda shape: shape.late_user_power, default=PaperScenario())
    if worst.late_user_power > 0:
        prefix_s = (worst.n_subcarriers // 4) / worst.bandwidth_hz
        warnings.warn(
            f"{100 * worst.late_user_power:.2f} % of the users' power ({worst.channel}, delay spread "
            f"{worst.delay_spread_s * 1e9:g} ns) arrives later than the cyclic prefix of {prefix_s * 1e9:g} ns (B = "
            f"{worst.bandwidth_hz / 1e6:g} MHz, L = {worst.n_subcarriers}): the interference that real symbols would "
            "suffer is left out of Eq. (4)",
            stacklevel=2,
        )


def stored_points(folder: Path, spec: Sweep) -> tuple[list[PointDraws], list[PointDraws]]:
    """Draws of a figure's designs, and of its edges where it has them, from its folder.

    More draws can lower the smallest edge and move the last points of a sweep; points left behind with fewer draws are
    left out. So is a slow solve that is not finished.
    """
    edges = read_draws(folder / EDGES_STORE) if spec.edge_cases() else []
    points = []
    for store in (DESIGNS_STORE, SLOW_STORE):
        stored = read_draws(folder / store) if (folder / store).is_file() else []
        most = max((point.n_draws for point in stored), default=0)
        points += [point for point in stored if point.n_draws == most > 0]
    return points, edges


def _keep_settings(folder: Path, name: str, settings: FigureSettings, n_refined: int) -> None:
    kept: dict[str, Any] = {"figure": name, "seed": settings.seed, "quick": settings.quick, "refined": n_refined}
    if settings.channel != "independent":
        kept |= {"channel": settings.channel, "delay_spread_s": settings.delay_spread_s}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    if path.is_file():
        stored = json.loads(path.read_text("utf-8"))
        if stored != kept:
            changes = ", ".join(
                f"{name} {stored.get(name, 'unset')}, not {kept.get(name, 'unset')}"
                for name in {**stored, **kept}
                if stored.get(name) != kept.get(name)
            )
            raise ValueError(f"{folder}: holds a run with {changes}; choose another folder, or see its rerun.txt")
    replace_text(path, json.dumps(kept) + "\n")


class DrawBar:
    """The runner's ``progress`` callable: a bar on a terminal, else a line every so many draws."""

    def __init__(self, title: str, every: int = 20) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=title, disable=None, unit="draw", dynamic_ncols=True, file=sys.stderr)
        self._say: Callable[[str], object] = lambda text: print(text, file=sys.stderr, flush=True)
        self._title, self._every = title, every

    def __call__(self, progress: Progress) -> None:
        """Take in what has just been committed."""
        if not self._bar.disable:
            self._bar.total = progress.expected
            self._bar.n = progress.done
            self._bar.refresh()
        elif progress.done == progress.expected or progress.done % self._every == 0:
            self._say(f"{self._title}: {progress.done} of {progress.expected} draws, {progress.elapsed_s:.0f} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()
