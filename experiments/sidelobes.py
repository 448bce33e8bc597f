"""Pictures of range profiles and their sidelobes, ambiguity surfaces and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from disac.estimators.range_profile import EchoSpectrum, Window, expected_spectrum, range_profile
from disac.experiments.figures import draw_scene, figure, save, series_marker
from disac.experiments.sidelobe_sweep import equal_energies

if TYPE_CHECKING:
    from disac.designs import DesignResult
    from disac.estimators.ambiguity import AmbiguitySurface
    from disac.experiments.threshold_sweep import ThresholdTheory
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
                _draw_profile(ax, equal_energies(spectrum), window, "equal power", color="0.6", ls=":")
                first = False
            label = result.name if result.sinr_db is None else rf"{result.name}, $\Gamma_c$ = {result.sinr_db:g} dB"
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
        names = list(dict.fromkeys(row["design"] for row in shown))
        for ax, stem_of, label in ((axes[0], "pslr", "PSLR"), (axes[1], "islr", "ISLR")):
            for index, name in enumerate(names):
                rows = [row for row in shown if row["design"] == name]
                mean, low, high = (
                    np.array([row[f"{stem_of}_loss{end}_db"] for row in rows], dtype=float)
                    for end in ("", "_low", "_high")
                )
                color = f"C{index % 7}"
                if rows[0]["sinr_db"] is None:
                    ax.axhline(mean[0], color=color, ls="--", label=name)
                    ax.axhspan(low[0], high[0], color=color, alpha=0.15, lw=0)
                    continue
                at = np.array([row["sinr_db"] for row in rows], dtype=float)
                error = np.nan_to_num(np.stack([mean - low, high - mean]))
                ax.errorbar(at, mean, yerr=error, color=color, marker=series_marker(index), mfc="white", label=name)
            ax.set_xlabel(r"SINR threshold $\Gamma_c$ [dB]")
            ax.set_ylabel(f"{label} above equal power [dB]")
        fig.suptitle(f"matched filter, {signal} spectrum", fontsize="medium")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return save(fig, stem)


def plot_ambiguity(scenario: Scenario, surface: AmbiguitySurface, stem: Path, *, n_marked: int = 3) -> list[Path]:
    """Expected likelihood surface in decibels with nodes, targets, users and the highest sidelobes."""
    with figure(figsize=(4.4, 3.6)) as fig:
        from matplotlib import colormaps
        from matplotlib.colors import ListedColormap

        ax = fig.add_subplot()
        level_db = 10 * np.log10(np.maximum(surface.level, 10 ** (FLOOR_DB / 10)))
        lowest = max(-20.0, 5 * np.floor(float(level_db.min()) / 5))
        light = ListedColormap(colormaps["Blues"](np.linspace(0, 0.75, 256)))
        image = ax.pcolormesh(
            surface.x, surface.y, level_db, vmin=lowest, vmax=0, cmap=light, shading="gouraud", rasterized=True
        )
        fig.colorbar(image, ax=ax, label="expected criterion [dB]")
        draw_scene(ax, scenario)
        centre = scenario.area.mean(axis=1)
        for rank, peak in enumerate(surface.sidelobes[:n_marked]):
            label = None if rank else "sidelobe, its level in dB"
            ax.plot(*peak.position, ls="none", marker="o", mfc="none", color="#D55E00", ms=7, label=label)
            left = peak.position[0] > centre[0]
            ax.annotate(
                f"{peak.level_db:.1f}",
                peak.position,
                xytext=(-6 if left else 6, 5),
                textcoords="offset points",
                ha="right" if left else "left",
                color="#D55E00",
            )
        ax.grid(False)
        others = f", others {surface.others}" if scenario.n_targets > 1 else ""
        ax.set_title(f"target {surface.target}, {surface.mode}{others}")
        fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return save(fig, stem)


def plot_threshold(
    rows: Sequence[Row], theory: Mapping[str, ThresholdTheory], stem: Path, *, relative_db: ArrayLike
) -> list[Path]:
    """Position error against SNR, one panel per design: simulation, CRB, interval errors and Ziv-Zakai bound.

    Parameters
    ----------
    rows : simulated points, see :func:`disac.experiments.threshold_sweep.threshold_rows`.
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
            ax.errorbar(snr, rmse, yerr=error, ls="none", marker="o", ms=3, mfc="white", color="k", label="simulated")
            ax.axvline(predicted.threshold_db, color="0.6", lw=0.8)
            ax.set_yscale("log")
            ax.set_title(label)
            ax.set_xlabel(r"$P_T/\sigma_s^2$ [dB]")
            ax.set_ylabel("position error [m]")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return save(fig, stem)
