"""Study "ambiguity": the likelihood's expected surface of one design over the search area, with its sidelobes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from disac.experiments.plotting.figures import draw_scene, figure, halo, save, write_beside
from disac.experiments.study.protocol import Campaign, Study, register_study
from disac.experiments.study.run import StudyRun
from disac.experiments.study.scene import SceneSettings, needed_threshold, warn_of_contradictions
from disac.experiments.study.settings import setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from disac.estimators.ambiguity import AmbiguitySurface
    from disac.simulator import Scenario

FLOOR_DB = -60.0
"""Lower end of the decibel scale."""

Row = dict[str, Any]


class AmbiguitySettings(SceneSettings):
    """What decides the surface."""

    design: str = setting("p2", "Design.")
    sinr_db: float | None = setting(None, "Threshold Gamma_c [dB]; default: the preset's.", ge=-300.0, le=300.0)
    mode: Literal["hybrid", "tof-genie", "aoa-genie"] = setting("hybrid", "Mode.")
    target: int = setting(0, "Target that is moved.", ge=0)
    others: Literal["absent", "held", "unmodelled"] = setting(
        "absent", "The other targets: not there, held at the truth, or there but not modelled."
    )
    step_m: float | None = setting(None, "Distance of the grid's points [m]; default: by the bandwidth.", gt=0)


@register_study("ambiguity")
class Ambiguity(Study[AmbiguitySettings]):
    """A sidelobe is a local maximum outside the basin of the true position; ``summary.csv`` holds all of them."""

    summary = "The likelihood's expected surface over the search area, with its highest sidelobes."
    about = "A sidelobe is a local maximum outside the basin of the true position; all of them are in summary.csv."
    title = "Ambiguity surface"
    Settings = AmbiguitySettings

    def campaigns(self, run: StudyRun[AmbiguitySettings]) -> Iterator[Campaign]:
        """None: the surface is expected, nothing is drawn."""
        warn_of_contradictions(_surface(run.settings)[0])
        yield from ()

    def summarize(self, run: StudyRun[AmbiguitySettings]) -> list[Row]:
        """One row per sidelobe, the highest first."""
        _, surface = _surface(run.settings)
        return [
            {"x_m": float(peak.position[0]), "y_m": float(peak.position[1]), "level_db": float(peak.level_db)}
            for peak in surface.sidelobes
        ]

    def plot(self, run: StudyRun[AmbiguitySettings], rows: Sequence[Row]) -> None:
        """The surface with the scene and the highest sidelobes."""
        plot_ambiguity(*_surface(run.settings), run.stem)

    def lines(self, run: StudyRun[AmbiguitySettings], rows: Sequence[Row]) -> Iterator[str]:
        """The highest sidelobes."""
        for row in rows[:5]:
            yield f"{run.settings.mode}: sidelobe {row['level_db']:.2f} dB at ({row['x_m']:.2f}, {row['y_m']:.2f}) m"
        yield f"{len(rows)} sidelobes in the area"


@lru_cache(maxsize=1)
def _surface(settings: AmbiguitySettings) -> tuple[Scenario, AmbiguitySurface]:
    """The scenario that was designed for and the surface."""
    from disac.designs import design
    from disac.estimators.ambiguity import ambiguity_surface

    scenario, own = settings.scene()
    result = design(settings.design, scenario, needed_threshold(settings.sinr_db, own))
    surface = ambiguity_surface(
        result.scenario,
        result.covariances,
        mode=settings.mode,
        target=settings.target,
        others=settings.others,
        step_m=settings.step_m,
    )
    return result.scenario, surface


def plot_ambiguity(scenario: Scenario, surface: AmbiguitySurface, stem: Path, *, n_marked: int = 3) -> list[Path]:
    """Expected likelihood surface in decibels with nodes, targets, users and the highest sidelobes."""
    with figure(figsize=(4.4, 3.9)) as fig:
        ax = fig.add_subplot()
        _draw_surface(ax, surface, scenario.area)
        draw_scene(ax, scenario)
        marked = surface.sidelobes[:n_marked]
        if marked:
            at = np.array([peak.position for peak in marked]).T
            ax.plot(
                *at, ls="none", marker="o", mfc="none", color="k", ms=7, label="sidelobe, its level in dB",
                path_effects=halo(),
            )  # fmt: skip
        ax.grid(False)
        others = f", others {surface.others}" if scenario.n_targets > 1 else ""
        ax.set_title(f"target {surface.target}, {surface.mode}{others}")
        fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        levels = [f"{peak.level_db:.1f}".replace("-", "\N{MINUS SIGN}") for peak in marked]
        nodes = [str(n) for n in range(scenario.n_nodes)]
        write_beside(fig, ax, [*(peak.position for peak in marked), *scenario.nodes], [*levels, *nodes])
        return save(fig, stem)


def _draw_surface(ax: Axes, surface: AmbiguitySurface, area: ArrayLike) -> None:
    """The surface in decibels with its colour bar; the outer half cells have the value of their cell."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from matplotlib.ticker import MultipleLocator

    (x0, x1), (y0, y1) = np.asarray(area, dtype=float)
    level_db = 10 * np.log10(np.maximum(surface.level, 10 ** (FLOOR_DB / 10)))
    lowest = max(-20.0, 5 * np.floor(float(level_db.min()) / 5))
    image = ax.pcolormesh(
        np.concatenate([[min(x0, surface.x[0])], surface.x, [max(x1, surface.x[-1])]]),
        np.concatenate([[min(y0, surface.y[0])], surface.y, [max(y1, surface.y[-1])]]),
        np.pad(level_db, 1, mode="edge"),
        vmin=lowest,
        vmax=0,
        cmap=ListedColormap(colormaps["Blues"](np.linspace(0, 0.75, 256))),
        shading="gouraud",
        rasterized=True,
    )
    ax.figure.colorbar(
        image,
        ax=ax,
        label="expected criterion [dB]",
        extend="min" if level_db.min() < lowest else "neither",
        ticks=MultipleLocator(5),
    )
