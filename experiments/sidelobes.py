"""Range sidelobes of designs over random draws, and pictures of profiles, ambiguity surfaces and thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disac.designs import DEFAULT_SOLVER, DesignResult, Infeasible, design
from disac.estimators.ambiguity import AmbiguitySurface
from disac.estimators.range_profile import (
    EchoSpectrum,
    Window,
    expected_spectrum,
    range_profile,
    realized_spectrum,
)
from disac.experiments.figures import draw_scene, figure, save, series_marker
from disac.experiments.threshold_theory import IntervalErrors
from disac.simulator import Scenario, draw_streams, transmit
from disac.simulator.random_models import RandomAmplitudes, RandomChannels

FLOOR_DB = -60.0
"""Lower end of the decibel scales."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SidelobeRow:
    """Sidelobes of one profile: a node's subcarriers seen from one target.

    Attributes
    ----------
    design, sinr_db, draw, node, target : which profile; the draw is the seed of amplitudes and channels.
    signal : "expected" for the design's covariances, "realized" for one draw of symbols.
    receive_filter, window : how the profile is made.
    n_symbols : T of a realized signal.
    pslr_db, islr_db : highest level, and energy, outside the main lobe that equal energies on the node's subcarriers
        have under the same window. Own minima would not do: a profile of few uneven tones may have no second maximum
        and yet hardly fall.
    own_pslr_db : highest maximum outside the first minima of the profile itself; -inf where there is none.
    flat_pslr_db, flat_islr_db : the ratios of those equal energies.
    width_m, noise_loss_db, period_m : see :class:`disac.estimators.range_profile.Sidelobes`.
    rcrb_m : root CRB of the design, one symbol [m].
    """

    design: str
    sinr_db: float | None
    draw: int
    node: int
    target: int
    signal: str
    receive_filter: str
    window: Window
    n_symbols: int
    pslr_db: float
    islr_db: float
    own_pslr_db: float
    width_m: float
    noise_loss_db: float
    period_m: float
    flat_pslr_db: float
    flat_islr_db: float
    rcrb_m: float


def redraw(scenario: Scenario, seed: int) -> Scenario:
    """The scenario with amplitudes and channels of random draw ``seed``, the models' other settings kept."""
    amplitudes = scenario.amplitude_model or RandomAmplitudes(seed=seed)
    channels = scenario.channel_model or RandomChannels(seed=seed)
    return scenario.replace(
        amplitudes=amplitudes.model_copy(update={"seed": seed}), channels=channels.model_copy(update={"seed": seed})
    )


def sidelobe_study(
    scenario: Scenario,
    designs: Sequence[str],
    sinr_db: Sequence[float | None],
    n_draws: int,
    *,
    receive_filters: Sequence[str] = ("matched",),
    window: Window = "boxcar",
    order: int | None = None,
    n_symbols: Sequence[int] = (),
    solver: str = DEFAULT_SOLVER,
    seed: int = 0,
) -> Iterator[SidelobeRow]:
    """Sidelobes of every profile of every design, over draws of amplitudes and channels.

    A draw for which a design is infeasible gives no row.

    Parameters
    ----------
    designs : names known to ``disac.designs.design``.
    sinr_db : thresholds Gamma_c [dB]; None for baselines that keep none.
    n_draws : draws, with seeds 0 .. n_draws - 1.
    receive_filters : filters of the realized profiles; expected ones use the matched filter.
    order : QAM order of the data; with it one realization of symbols is drawn per draw and T.
    n_symbols : numbers of OFDM symbols T of the realizations.
    seed : seed of the symbols.
    """
    if n_draws < 1:
        raise ValueError(f"n_draws = {n_draws}: must be at least 1")
    if n_symbols and order is None:
        raise ValueError("order = None: must be a QAM order when n_symbols asks for realized signals")
    for draw in range(n_draws):
        here = redraw(scenario, draw)
        for name in designs:
            for threshold in sinr_db:
                try:
                    result = design(name, here, threshold, solver=solver)
                except Infeasible:
                    continue
                yield from _expected_rows(result, draw, window)
                for t in n_symbols:
                    # one stream of symbols per draw and T, the same for all designs
                    sequence = np.random.SeedSequence(seed, spawn_key=(draw, t))
                    X = draw_symbols(result, int(order or 0), t, sequence)
                    for receive_filter in receive_filters:
                        yield from _realized_rows(result, draw, X, receive_filter, window)


def draw_symbols(
    result: DesignResult, order: int, n_symbols: int, sequence: np.random.SeedSequence
) -> NDArray[np.complex128]:
    """One realization X (N, M_t, L, T) of what a design sends."""
    bits, radar = (np.random.Generator(np.random.Philox(child)) for child in sequence.spawn(2))
    scenario = result.scenario.replace(n_symbols=n_symbols)
    streams = draw_streams(scenario, result.radar_precoders.shape[-1], order=order, bit_rng=bits, radar_rng=radar)
    sent: NDArray[np.complex128] = transmit(result.comm_precoders, result.radar_precoders, streams)
    return sent


def _expected_rows(result: DesignResult, draw: int, window: Window) -> Iterator[SidelobeRow]:
    s = result.scenario
    for node, target, angle in _directions(s):
        spectrum = expected_spectrum(s, result.covariances, node, angle)
        yield _row(result, draw, node, target, "expected", "matched", window, spectrum)


def _realized_rows(
    result: DesignResult, draw: int, X: NDArray[np.complex128], receive_filter: str, window: Window
) -> Iterator[SidelobeRow]:
    for node, target, angle in _directions(result.scenario):
        spectrum = realized_spectrum(result.scenario, X, node, angle)
        yield _row(result, draw, node, target, "realized", receive_filter, window, spectrum)


def _directions(scenario: Scenario) -> Iterator[tuple[int, int, float]]:
    for (node, target), angle in np.ndenumerate(scenario.target_geometry.angle):
        yield node, target, float(angle)


def _row(
    result: DesignResult,
    draw: int,
    node: int,
    target: int,
    signal: str,
    receive_filter: str,
    window: Window,
    spectrum: EchoSpectrum,
) -> SidelobeRow:
    flat = range_profile(_equal_energies(spectrum), window=window).sidelobes()
    profile = range_profile(spectrum, receive_filter=receive_filter, window=window)
    sides = profile.sidelobes(flat.mainlobe_m)
    return SidelobeRow(
        design=result.name,
        sinr_db=result.sinr_db,
        draw=draw,
        node=node,
        target=target,
        signal=signal,
        receive_filter=receive_filter,
        window=window,
        n_symbols=spectrum.n_symbols,
        pslr_db=sides.pslr_db,
        islr_db=sides.islr_db,
        own_pslr_db=profile.sidelobes().pslr_db,
        width_m=sides.width_m,
        noise_loss_db=sides.noise_loss_db,
        period_m=sides.period_m,
        flat_pslr_db=flat.pslr_db,
        flat_islr_db=flat.islr_db,
        rcrb_m=result.rcrb_m,
    )


def _equal_energies(spectrum: EchoSpectrum) -> EchoSpectrum:
    return EchoSpectrum(spectrum.allocated.astype(float), None, spectrum.allocated, 1, spectrum.bandwidth_hz)


def summarize_sidelobes(rows: Sequence[SidelobeRow], level: float = 0.95) -> list[dict[str, Any]]:
    """One summary per design, threshold, signal, filter and T.

    A draw counts once: ``pslr_db`` and ``islr_db`` are means over draws of the mean over its profiles, with Student
    intervals ``_low``, ``_high`` over draws (NaN for one draw). ``worst_pslr_db`` is the mean over draws of the highest
    profile, ``without_sidelobe`` the share of profiles without a second maximum, ``pslr_loss_db`` what the design adds
    to equal power on the same subcarriers, and ``pslr_q10_db``, ``pslr_q90_db`` are quantiles over all profiles.
    """
    groups: dict[tuple[Any, ...], list[SidelobeRow]] = {}
    for row in rows:
        key = (row.design, row.sinr_db, row.signal, row.receive_filter, row.window, row.n_symbols)
        groups.setdefault(key, []).append(row)
    names = ("design", "sinr_db", "signal", "receive_filter", "window", "n_symbols")
    return [dict(zip(names, key, strict=True)) | _summary(group, level) for key, group in groups.items()]


def _summary(rows: Sequence[SidelobeRow], level: float) -> dict[str, Any]:
    draws = sorted({row.draw for row in rows})
    columns = {
        "pslr_db": [row.pslr_db for row in rows],
        "islr_db": [row.islr_db for row in rows],
        "pslr_loss_db": [row.pslr_db - row.flat_pslr_db for row in rows],
        "islr_loss_db": [row.islr_db - row.flat_islr_db for row in rows],
    }
    of_draw = np.array([row.draw for row in rows])
    out: dict[str, Any] = {"draws": len(draws), "profiles": len(rows)}
    for name, values in columns.items():
        per_draw = np.array([np.mean(np.array(values)[of_draw == draw]) for draw in draws])
        low, high = _student(per_draw, level)
        stem = name.removesuffix("_db")
        out |= {name: float(per_draw.mean()), f"{stem}_low_db": low, f"{stem}_high_db": high}
    pslr = np.array(columns["pslr_db"])
    out["worst_pslr_db"] = float(np.mean([pslr[of_draw == draw].max() for draw in draws]))
    out["pslr_q10_db"], out["pslr_q90_db"] = (float(q) for q in np.quantile(pslr, (0.1, 0.9)))
    out["without_sidelobe"] = float(np.mean(np.isneginf([row.own_pslr_db for row in rows])))
    out["noise_loss_db"] = float(np.mean([row.noise_loss_db for row in rows]))
    out["width_m"] = float(np.mean([row.width_m for row in rows]))
    out["period_m"] = float(np.mean([row.period_m for row in rows]))
    out["rcrb_m"] = float(np.sqrt(np.mean([rows[int(np.argmax(of_draw == d))].rcrb_m ** 2 for d in draws])))
    return out


def _student(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Student interval of the mean."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return float("nan"), float("nan")
    half = float(stdtrit(len(values) - 1, (1 + level) / 2) * np.std(values, ddof=1) / np.sqrt(len(values)))
    mean = float(values.mean())
    return mean - half, mean + half


def save_sidelobe_rows(rows: Sequence[SidelobeRow], path: Path) -> None:
    """All rows as CSV, one column per field."""
    import csv

    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(SidelobeRow.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


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
                _draw_profile(ax, _equal_energies(spectrum), window, "equal power", color="0.6", ls=":")
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


def plot_sidelobe_ratios(summary: Sequence[Row], stem: Path) -> list[Path]:
    """PSLR of the expected spectra against the SINR threshold: mean over draws with interval, and the worst profile."""
    with figure() as fig:
        ax = fig.add_subplot()
        expected = [row for row in summary if row["signal"] == "expected" and row["sinr_db"] is not None]
        for index, name in enumerate(dict.fromkeys(row["design"] for row in expected)):
            rows = sorted((row for row in expected if row["design"] == name), key=lambda row: float(row["sinr_db"]))
            at, mean, low, high, worst = (
                np.array([row[column] for row in rows], dtype=float)
                for column in ("sinr_db", "pslr_db", "pslr_low_db", "pslr_high_db", "worst_pslr_db")
            )
            error = np.nan_to_num(np.stack([mean - low, high - mean]))
            color, marker = f"C{index % 7}", series_marker(index)
            ax.errorbar(at, mean, yerr=error, color=color, marker=marker, mfc="white", label=name)
            ax.plot(at, worst, ls=":", color=color)
        ax.plot([], [], ls=":", color="k", label="worst profile of a draw")
        ax.set_xlabel(r"SINR threshold $\Gamma_c$ [dB]")
        ax.set_ylabel("PSLR [dB]")
        ax.legend(loc="best")
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
    intervals: Mapping[str, IntervalErrors],
    snr_db: ArrayLike,
    stem: Path,
    *,
    tx_power: float,
    barankin: Mapping[str, ArrayLike] | None = None,
    simulated: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> list[Path]:
    """Root mean squared error against P_T / sigma_s^2: interval errors, CRB, Barankin-type bound and simulation.

    Parameters
    ----------
    intervals : predictions by label.
    snr_db : (S,) abscissa [dB].
    tx_power : P_T, which turns the abscissa into noise powers.
    barankin : (S,) bounds [m^2] by label.
    simulated : pairs (SNR [dB], RMSE [m]) by label.
    """
    from matplotlib.lines import Line2D

    at = np.asarray(snr_db, dtype=float)
    noise = tx_power / 10 ** (at / 10)
    with figure() as fig:
        ax = fig.add_subplot()
        for index, (label, prediction) in enumerate(intervals.items()):
            color = f"C{index % 7}"
            ax.plot(at, np.sqrt(prediction.mse(noise)), "-", color=color, label=label)
            ax.plot(at, np.sqrt(prediction.crb_per_noise * noise), ":", color=color)
            if barankin and label in barankin:
                ax.plot(at, np.sqrt(barankin[label]), "--", color=color)
            if simulated and label in simulated:
                ax.plot(*np.array(simulated[label]).T, ls="none", marker="o", mfc="white", color=color)
        ax.set_yscale("log")
        ax.set_xlabel(r"$P_T/\sigma_s^2$ [dB]")
        ax.set_ylabel("position error [m]")
        styles = [("-", "interval errors"), (":", "root CRB")]
        styles += [("--", "Barankin-type bound")] if barankin else []
        proxies = [Line2D([], [], color="k", ls=ls, label=label) for ls, label in styles]
        if simulated:
            proxies.append(Line2D([], [], color="k", ls="none", marker="o", mfc="white", label="simulated RMSE"))
        handles = ax.get_legend_handles_labels()[0] if len(intervals) > 1 else []
        ax.legend(handles=[*handles, *proxies], loc="best")
        top = float(max(np.sqrt(p.span_m2) for p in intervals.values()))
        ax.set_ylim(top=3 * top)
        return save(fig, stem)
