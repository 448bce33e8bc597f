"""Pictures of range profiles and of thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from disac.estimators.range_profile import EchoSpectrum, Window, expected_spectrum, range_profile
from disac.experiments.plotting.figures import design_name, figure, save
from disac.experiments.studies.sidelobe_sweep import equal_energies

if TYPE_CHECKING:
    from disac.designs import DesignResult
    from disac.experiments.studies.threshold_sweep import ThresholdTheory

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
