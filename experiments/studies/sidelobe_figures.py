"""Pictures of range profiles and their sidelobes, ambiguity surfaces and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from disac.estimators.range_profile import EchoSpectrum, Window, expected_spectrum, range_profile
from disac.experiments.plotting.figures import design_name, draw_scene, figure, halo, save, series_marker, write_beside
from disac.experiments.studies.sidelobe_sweep import equal_energies

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from disac.designs import DesignResult
    from disac.estimators.ambiguity import AmbiguitySurface
    from disac.experiments.studies.threshold_sweep import ThresholdTheory
    from disac.simulator import Scenario

FLOOR_DB = -60.0
"""Lower end of the decibel scales."""

Row = Mapping[str, Any]


def plot_range_profiles(
    results: Sequence[DesignResult], stem: Path, *, node: int = 0, target: int = 0, window: Window = "boxcar"
) -> list[Path]:
    """Expected matched-filter profiles of designs for one node and target, and that of equal power as reference."""
    with figure() as fig:
        ax = fig.add_subplot()
        first = True
        for index, result in enumerate(results):
            s = result.scenario
            spectrum = expected_spectrum(s, result.covariances, node, float(s.target_geometry.angle[node, target]))
            if first:
                _draw_profile(ax, equal_energies(spectrum), window, design_name("uniform"), color="0.6", ls=":")
                first = False
            label = design_name(result.name)
            label += "" if result.sinr_db is None else rf", $\Gamma_c$ = {result.sinr_db:g} dB"
            _draw_profile(ax, spectrum, window, label, color=f"C{index % 7}", ls=("-", "--", "-.")[index % 3])
        ax.set_ylim(-40, 1)
        ax.set_xlabel(f"path length off the echo of target {target} [m]")
        ax.set_ylabel("profile [dB]")
        ax.set_title(f"node {node}, matched filter, window {window}")
        fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return save(fig, stem)


def _draw_profile(ax: Any, spectrum: EchoSpectrum, window: Window, label: str, **style: Any) -> None:
    profile = range_profile(spectrum, window=window, oversampling=max(16, 1024 // int(spectrum.allocated.sum())))
    ax.plot(profile.path_m, 10 * np.log10(np.maximum(profile.power, 10 ** (FLOOR_DB / 10))), label=label, **style)


def plot_sidelobe_ratios(summary: Sequence[Row], stem: Path, *, signal: str = "expected") -> list[Path]:
    """What designs add to the PSLR and ISLR of equal power, against the SINR threshold.

    Means over draws with intervals; baselines without a threshold are lines with bands.
    """
    with figure(figsize=(6.4, 3.2)) as fig:
        axes = fig.subplots(1, 2)
        shown = [row for row in summary if row["signal"] == signal and row["draws"]]
        thresholds = sorted({row["sinr_db"] for row in shown} - {None})
        for ax, quantity in zip(axes, ("pslr", "islr"), strict=True):
            dashes = cycle(("--", ":", "-."))
            for index, name in enumerate(dict.fromkeys(row["design"] for row in shown)):
                own = [row for row in shown if row["design"] == name]
                if own[0]["sinr_db"] is None:
                    _draw_baseline(ax, own[0], quantity, color=f"C{index % 7}", ls=next(dashes))
                else:
                    _draw_ratios(ax, own, quantity, index)
            if len(thresholds) < 2:
                ax.set_xticks(thresholds)
            ax.set_xlabel(r"SINR threshold $\Gamma_c$ [dB]")
            ax.set_ylabel(f"{quantity.upper()} above equal power [dB]")
        known = any(np.isfinite(row["pslr_loss_low_db"]) for row in shown)
        intervals = "; bars and bands: 95 % intervals" if known else ""
        fig.suptitle(f"matched filter, {signal} spectrum{intervals}", fontsize="medium")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return save(fig, stem)


def _draw_baseline(ax: Axes, row: Row, quantity: str, *, color: str, ls: str) -> None:
    ax.axhline(row[f"{quantity}_loss_db"], color=color, ls=ls, label=design_name(row["design"]))
    ax.axhspan(row[f"{quantity}_loss_low_db"], row[f"{quantity}_loss_high_db"], color=color, alpha=0.15, lw=0)


def _draw_ratios(ax: Axes, rows: Sequence[Row], quantity: str, index: int) -> None:
    """A design's means over its thresholds; a line has two of them at least."""
    mean, low, high = (
        np.array([row[f"{quantity}_loss{end}_db"] for row in rows], dtype=float) for end in ("", "_low", "_high")
    )
    ax.errorbar(
        np.array([row["sinr_db"] for row in rows], dtype=float),
        mean,
        yerr=np.nan_to_num(np.stack([mean - low, high - mean])),
        color=f"C{index % 7}",
        ls="-" if len(rows) > 1 else "none",
        marker=series_marker(index),
        mfc="white",
        label=design_name(rows[0]["design"]),
    )


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


def plot_threshold(
    rows: Sequence[Row], theory: Mapping[str, ThresholdTheory], stem: Path, *, relative_db: ArrayLike
) -> list[Path]:
    """Position error against SNR, one panel per design: simulation, CRB, interval errors and Ziv-Zakai bound.

    Parameters
    ----------
    rows : simulated points, see :func:`disac.experiments.studies.threshold_sweep.threshold_rows`.
    theory : predictions by design.
    relative_db : SNRs of the curves relative to each design's predicted threshold [dB], beside those simulated.
    """
    n_columns = min(2, len(theory))
    n_rows = -(-len(theory) // n_columns)
    with figure(figsize=(3.3 * n_columns, 2.6 * n_rows + 0.4)) as fig:
        axes = fig.subplots(n_rows, n_columns, squeeze=False).ravel()
        for ax in axes[len(theory) :]:
            ax.set_axis_off()
        for ax, (label, predicted) in zip(axes, theory.items(), strict=False):
            own = [row for row in rows if row["design"] == label]
            snr, rmse, low, high = (
                np.array([row[name] for row in own]) for name in ("snr_db", "rmse_m", "rmse_low_m", "rmse_high_m")
            )
            at = np.union1d(predicted.threshold_db + np.asarray(relative_db, dtype=float), snr)
            curves = [predicted.row(float(one)) for one in at]
            for column, style, name in (
                ("mie_rmse_m", "-", "interval errors"),
                ("rcrb_m", ":", "root CRB"),
                ("zz_rmse_m", "--", "Ziv-Zakai, concentrated"),
                ("zz_coupled_rmse_m", "-.", "Ziv-Zakai, coupled"),
            ):
                ax.plot(at, [row[column] for row in curves], style, label=name)
            error = np.stack([rmse - low, high - rmse])
            ax.errorbar(snr, rmse, yerr=error, fmt="ko", ms=3, mfc="white", label="simulated, 95 % interval")
            ax.axvline(predicted.threshold_db, color="0.6", lw=0.8, label="predicted threshold")
            ax.set_yscale("log")
            ax.set_title(design_name(label))
            ax.set_xlabel(r"$P_T/\sigma_s^2$ [dB]")
            ax.set_ylabel("position error [m]")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return save(fig, stem)
