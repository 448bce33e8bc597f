"""Pictures of a design: the beampattern of every node and the power on every subcarrier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from disac.experiments.plotting.figures import figure, save
from disac.simulator.steering import steering_vector

if TYPE_CHECKING:
    from disac.designs import DesignResult


def plot_beampatterns(result: DesignResult, stem: Path) -> list[Path]:
    """Power that each node sends towards each angle, summed over subcarriers, with the targets' angles marked."""
    s = result.scenario
    angles = np.deg2rad(np.linspace(-90, 90, 721))
    vectors = steering_vector(angles, s.n_tx)
    geometry = s.target_geometry
    n_columns = min(s.n_nodes, 2)
    n_rows = -(-s.n_nodes // n_columns)
    with figure(figsize=(3.5, 1.5 * n_rows + 0.3)) as fig:
        axes = fig.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
        for ax in axes.flat[s.n_nodes :]:
            ax.set_axis_off()
        for n in range(s.n_nodes):
            ax = axes.flat[n]
            own = slice(n * s.n_tx, (n + 1) * s.n_tx)
            total = result.covariances[:, own, own].sum(axis=0)
            power = np.einsum("ai,ij,aj->a", vectors, total, vectors.conj()).real
            # radiated power relative to all antennas sending P_T without correlation
            level_db = 10 * np.log10(np.maximum(power / (s.n_tx * s.tx_power), 1e-6))
            ax.plot(np.rad2deg(angles), level_db, label="beampattern")
            for k, angle in enumerate(np.rad2deg(geometry.angle[n])):
                ax.axvline(angle, color="C2", ls="--", lw=0.8, label="target" if k == 0 else None)
            ax.set_title(f"node {n}")
        for ax in axes[-1]:
            ax.set_xlabel("angle off broadside [deg]")
        for ax in axes[:, 0]:
            ax.set_ylabel("gain [dB]")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside upper center", ncols=2)
        return save(fig, stem)


def plot_subcarrier_power(result: DesignResult, stem: Path) -> list[Path]:
    """Power on every subcarrier, split into data and radar, relative to an even spread of the full power."""
    s = result.scenario
    even = s.n_nodes * s.n_tx * s.tx_power / s.n_subcarriers
    data = np.sum(np.abs(result.comm_precoders) ** 2, axis=(0, 1, 3)) / even
    radar = np.sum(np.abs(result.radar_precoders) ** 2, axis=(0, 2, 3)) / even
    subcarriers = np.arange(s.n_subcarriers)
    with figure() as fig:
        ax = fig.add_subplot()
        ax.bar(subcarriers, data, color="0.45", edgecolor="k", lw=0.4, label="data")
        ax.bar(subcarriers, radar, bottom=data, color="white", edgecolor="k", hatch="////", lw=0.4, label="radar")
        ax.axhline(1.0, color="C2", ls="--", label="even, full power")
        ax.set_xlabel("subcarrier")
        ax.set_ylabel("power / even spread")
        ax.set_ylim(0, 1.35 * max(float(np.max(data + radar)), 1.0))
        ax.legend(loc="upper center", ncols=3)
        return save(fig, stem)
