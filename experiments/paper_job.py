"""The job behind ``disac run fig5`` and the others: edges, designs, summary and picture in one resumable folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from disac.experiments.paper import DesignSweep, EdgeSweep
from disac.experiments.paper_scenarios import Channel
from disac.experiments.paper_summary import PointDraws, Row, read_draws, summarize
from disac.experiments.paper_sweeps import Sweep, sweep
from disac.experiments.summary import write_csv

if TYPE_CHECKING:
    from disac.experiments.experiment import Experiment
    from disac.experiments.runner import Progress

DESIGNS_STORE, EDGES_STORE, SETTINGS = "run.sqlite", "edges.sqlite", "figure.json"


def run_figure(
    name: str,
    folder: Path,
    *,
    seed: int,
    quick: bool,
    draws: int | None = None,
    refined: int | None = None,
    channel: Channel = "independent",
    workers: int = 1,
    rerun_line: str = "",
) -> list[Row]:
    """Compute a figure in ``folder``, or go on with what is there, and write ``summary.csv`` and the picture.

    Run times are measured in this process alone, whatever ``workers`` is.

    Parameters
    ----------
    channel : user channels, :data:`disac.experiments.paper_scenarios.Channel`; delay spread 100 ns.
    draws, refined : draws per point, and how many of them have the precoders of P.1 refined; None takes the effort's.

    Raises
    ------
    ValueError : there is no such figure, or ``folder`` holds one with other settings.
    """
    from disac.experiments.paper_figures import plot_sweep

    spec = sweep(name)
    settings: dict[str, Any] = {"figure": name, "seed": seed, "quick": quick}
    if channel != "independent":
        spec = replace(spec, fixed={**spec.fixed, "channel": channel})
        settings["channel"] = channel
    effort = spec.effort(quick=quick)
    n_draws = draws or effort.draws
    n_refined = 0 if spec.kind != "designs" else effort.refined if refined is None else refined
    _keep_settings(folder, {**settings, "refined": n_refined})

    def campaign(experiment: Experiment, store: str, n_workers: int) -> list[PointDraws]:
        from disac.experiments.runner import run_campaign

        with DrawBar(name) as bar:
            run_campaign(
                experiment,
                folder / store,
                seed=seed,
                trials=n_draws,
                workers=n_workers,
                batch_size=1,
                progress=bar,
                resume=True,
                rerun_line=rerun_line,
            )
        return read_draws(folder / store)

    edges = campaign(EdgeSweep(name, spec.edge_cases()), EDGES_STORE, workers) if spec.edge_cases() else []
    smallest = {
        (bool(edge.fields["interleaved"]), int(edge.fields[spec.series[0]])): float(edge.columns["edge_db"].min())
        for edge in edges
    }
    experiment = DesignSweep(
        name,
        spec.cases(quick=quick, edges_db=smallest),
        refined=n_refined,
        timed=spec.kind == "times",
    )
    campaign(experiment, DESIGNS_STORE, 1 if spec.kind == "times" else workers)
    rows = summarize(*stored_points(folder, spec))
    write_csv(rows, folder / "summary.csv")
    (folder / "unstated.txt").write_text("".join(f"{topic}: {choice}\n" for topic, choice in spec.unstated), "utf-8")
    plot_sweep(spec, rows, folder / name)
    return rows


def stored_points(folder: Path, spec: Sweep) -> tuple[list[PointDraws], list[PointDraws]]:
    """Draws of a figure's designs, and of its edges where it has them, from its folder.

    More draws can lower the smallest edge and move the last points of a sweep; points left behind with fewer draws are
    left out.
    """
    edges = read_draws(folder / EDGES_STORE) if spec.edge_cases() else []
    points = read_draws(folder / DESIGNS_STORE)
    most = max(point.n_draws for point in points)
    return [point for point in points if point.n_draws == most], edges


def _keep_settings(folder: Path, settings: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    if path.is_file():
        stored = json.loads(path.read_text("utf-8"))
        if stored != settings:
            raise ValueError(f"{folder}: holds a run with {stored}, not {settings}; choose another folder")
    path.write_text(json.dumps(settings) + "\n", "utf-8")


class DrawBar:
    """The runner's ``progress`` callable: a bar on a terminal, else a line per point."""

    def __init__(self, title: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=title, disable=None, unit="draw", dynamic_ncols=True, file=sys.stderr)
        self._say: Callable[[str], object] = lambda text: print(text, file=sys.stderr, flush=True)
        self._title = title

    def __call__(self, progress: Progress) -> None:
        """Take in what has just been committed."""
        if not self._bar.disable:
            self._bar.total = progress.expected
            self._bar.n = progress.done
            self._bar.refresh()
        elif progress.done == progress.expected or progress.done % 20 == 0:
            self._say(f"{self._title}: {progress.done} of {progress.expected} draws, {progress.elapsed_s:.0f} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()
