"""Study "weak-target": what sidelobes do to a target that is weaker than its neighbour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disac.experiments.plotting.figures import bound_line, design_name, figure, save, series_marker
from disac.experiments.statistics.draws import PointDraws
from disac.experiments.statistics.intervals import Interval, bootstrap_rmse_interval, clopper_pearson
from disac.experiments.statistics.verdicts import Finding, Verdict
from disac.experiments.studies.link import at_snr
from disac.experiments.studies.weak_target_trial import WeakTargetCase, WeakTargetSweep, weakened
from disac.experiments.study.protocol import Campaign, Study, register_study
from disac.experiments.study.run import StudyRun
from disac.experiments.study.scene import SceneSettings
from disac.experiments.study.settings import Decibels, setting
from disac.experiments.trials.keys import Purpose, TrialKey, point_key
from disac.simulator import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from disac.designs import DesignResult

RealArray = NDArray[np.float64]
Row = dict[str, Any]

FALSE_ALARM = 0.05
"""Probability of a false alarm that sets the detection threshold, from trials without the weak target."""
_SHIFT = 0.016
"""Distance of neighbouring markers at one level, over the range of levels."""


class Place(NamedTuple):
    """Where the weak target is, what is sent there, and its levels below the strong one at the origin [dB]."""

    x_m: float
    y_m: float
    designs: tuple[str, ...]
    weaker_db: tuple[float, ...]

    def store(self, present: str) -> str:
        """Name of the file of the trials with the weak target ("present") or without it ("absent")."""
        return f"{present}-x{self.x_m:g}-y{self.y_m:g}.sqlite"


class WeakTargetSettings(SceneSettings):
    """What decides the numbers of the study."""

    default_preset: ClassVar[str | None] = "fig7"

    x_m: float = setting(0.0, "The weak target's x [m]; the strong one is at the origin.")
    y_m: float = setting(10.0, "The weak target's y [m].")
    designs: tuple[str, ...] = setting(
        ("p2", "p3", "p1", "p1-noncoherent", "p4-p2", "uniform"),
        "Designs sent to the first place.",
        option="design",
        quick=("p2", "p3"),
    )
    weaker_db: tuple[Decibels, ...] = setting(
        (0.0, 5.0, 10.0, 20.0, 25.0, 30.0),
        "Levels of the weak target below the strong one [dB].",
        quick=(0.0, 10.0, 20.0),
    )
    other_places: tuple[str, ...] = setting(
        ("20:-10", "-25:20"), "Further places X:Y of the weak target, for P.2 and P.3 [m].", quick=()
    )
    other_weaker_db: tuple[Decibels, ...] = setting((10.0, 20.0, 25.0), "Levels at the further places [dB].")
    sinr_db: float = setting(20.0, "SINR threshold Gamma_c of the designs that know one [dB].", ge=-300.0, le=300.0)
    snr_db: float = setting(-30.0, "P_T/sigma_s^2 [dB].", ge=-100.0, le=100.0)
    trials: int = setting(100, "Trials per level; twice as many without the weak target.", quick=60, ge=2, grows=True)

    def places(self) -> list[Place]:
        """The first place and the further ones.

        Raises
        ------
        ValueError : a further place is not X:Y.
        """
        found = [Place(self.x_m, self.y_m, self.designs, self.weaker_db)]
        for text in self.other_places:
            try:
                x, y = map(float, text.split(":"))
            except ValueError:
                raise ValueError(f"other_places = {text!r}: must be X:Y, two numbers in metres") from None
            found.append(Place(x, y, ("p2", "p3"), self.other_weaker_db))
        return found

    def scene_at(self, place: Place) -> Scenario:
        """The scene with both targets, at the preset's noise."""
        scenario, _ = self.scene()
        return scenario.replace(targets=[[0.0, 0.0], [place.x_m, place.y_m]])


@register_study("weak-target")
class WeakTarget(Study[WeakTargetSettings]):
    """Designs are made for two equal targets and see unequal ones."""

    summary = "RMSE and detection of a target beside a stronger one, 0 to 30 dB weaker."
    title = "A weak target beside a strong one"
    caption = "Weak target at (0, 10) m, strong one at the origin; 95 % intervals; designs are set apart sideways."
    place = 15
    Settings = WeakTargetSettings

    def campaigns(self, run: StudyRun[WeakTargetSettings]) -> Iterator[Campaign]:
        """Two per place: without the weak target, then with it at every level."""
        settings = run.settings
        for place in settings.places():
            scenario = at_snr(settings.scene_at(place), settings.snr_db)
            sent = _designed(settings, place)
            cases = tuple(WeakTargetCase(name, r.comm_precoders, r.radar_precoders) for name, r in sent.items())
            for kind, levels, times in (("absent", (), 2), ("present", place.weaker_db, 1)):
                yield Campaign(
                    WeakTargetSweep(scenario, cases, levels),
                    trials=times * settings.trials,
                    store=place.store(kind),
                    title=f"weak-target at {place.x_m:g}, {place.y_m:g} m, {kind}",
                    unit="trial",
                    batch_size=None,
                )

    def summarize(self, run: StudyRun[WeakTargetSettings]) -> list[Row]:
        """One row per place, design and level."""
        return [row for place in run.settings.places() for row in _rows(run, place)]

    def plot(self, run: StudyRun[WeakTargetSettings], rows: Sequence[Row]) -> None:
        """The first place."""
        plot_weak_target([row for row in rows if _place(row) == _place(rows[0])], run.stem)

    def judge(self, run: StudyRun[WeakTargetSettings], rows: Sequence[Row]) -> list[Finding]:
        """Whether P.3 detects weak targets that P.2 does not."""
        return judge_weak_target(rows)

    def unstated(self, settings: WeakTargetSettings) -> tuple[tuple[str, str], ...]:
        """What the paper leaves open."""
        scenario, _ = settings.scene()
        source = str(settings.scenario or settings.preset or settings.default_preset).replace("fig", "Fig. ")
        return (
            ("trials", f"{settings.trials} a point, twice as many without the weak target"),
            (
                "scene",
                f"{source}'s with a second target, P_T/sigma_s^2 = {settings.snr_db:g} dB, T = {scenario.n_symbols}, "
                "one amplitude draw",
            ),
            (
                "design",
                f"at Gamma_c = {settings.sinr_db:g} dB, made for targets of equal strength; equal power knows no "
                "threshold",
            ),
            ("inter-node phases", "unknown; root CRBs are those of known phases, which matters for P.1 alone"),
            (
                "detection",
                "second target's likelihood gain above its 95 % quantile without the target, and within a lobe",
            ),
        )


@lru_cache(maxsize=8)
def _designed(settings: WeakTargetSettings, place: Place) -> dict[str, DesignResult]:
    """What every design sends to two targets of equal strength."""
    from disac.designs import design, design_info

    scenario = weakened(settings.scene_at(place), 0.0)
    return {
        name: design(name, scenario, settings.sinr_db if design_info(name).depends_on_sinr else None)
        for name in place.designs
    }


def _rows(run: StudyRun[WeakTargetSettings], place: Place) -> list[Row]:
    from disac.designs import crb

    settings = run.settings
    scenario = at_snr(settings.scene_at(place), settings.snr_db)
    bounds = {
        (name, level): crb(weakened(scenario, level), result.covariances, "hybrid", scenario.n_symbols)
        for name, result in _designed(settings, place).items()
        for level in place.weaker_db
    }
    present, absent = (run.draws(place.store(kind)) for kind in ("present", "absent"))
    rows = weak_target_rows(present, absent, bounds, settings.seed)
    return [{"weak_x_m": place.x_m, "weak_y_m": place.y_m, **row} for row in rows]


def _place(row: Mapping[str, Any]) -> tuple[float, float]:
    return float(row["weak_x_m"]), float(row["weak_y_m"])


def weak_target_rows(
    points: Sequence[PointDraws],
    absent: Sequence[PointDraws],
    bounds_m2: Mapping[tuple[str, float], RealArray],
    seed: int,
) -> list[Row]:
    """One row per design and level: RMSE and bound of the weak target, shares located and detected, with intervals.

    Parameters
    ----------
    points, absent : trials with the weak target and without it.
    bounds_m2 : (4, 4) bound of both targets at each (design, level).
    """
    limits = {
        str(point.fields["design"]): float(np.quantile(np.asarray(point.columns["gain"], float), 1 - FALSE_ALARM))
        for point in absent
    }
    false = {
        str(point.fields["design"]): np.asarray(point.columns["located_in_one_look"], dtype=bool) for point in absent
    }
    rows = []
    for point in points:
        label, level = str(point.fields["design"]), float(point.fields["weaker_db"])
        squared = np.asarray(point.columns["weak_sq_error_m2"], dtype=float)
        located = np.asarray(point.columns["located"], dtype=bool)
        seen = np.asarray(point.columns["gain"], dtype=float) > limits[label]
        rng = TrialKey(seed, point_key(point.fields), 0).generator(Purpose.BOOTSTRAP)
        rmse = bootstrap_rmse_interval(squared, rng=rng)
        bound = bounds_m2[label, level]
        row: Row = {
            "design": label,
            "weaker_db": level,
            "trials": len(squared),
            "failed": point.failed,
            "rmse_m": float(np.sqrt(squared.mean())),
            "rmse_low_m": rmse.low,
            "rmse_high_m": rmse.high,
            "rcrb_m": float(np.sqrt(bound[1, 1] + bound[3, 3])),
            "strong_rmse_m": float(np.sqrt(np.mean(np.asarray(point.columns["strong_sq_error_m2"], float)))),
            "strong_rcrb_m": float(np.sqrt(bound[0, 0] + bound[2, 2])),
            "detection_threshold": limits[label],
        }
        for name, hits in (
            ("detected", seen & located),
            ("located", located),
            ("one_look", np.asarray(point.columns["located_in_one_look"], dtype=bool)),
            ("one_look_false", false[label]),
        ):
            row |= _share(name, hits)
        rows.append(row)
    return rows


def _share(name: str, hits: NDArray[np.bool_]) -> Row:
    interval: Interval = clopper_pearson(int(hits.sum()), hits.size)
    return {name: float(hits.mean()), f"{name}_low": interval.low, f"{name}_high": interval.high}


def plot_weak_target(rows: Sequence[Mapping[str, Any]], stem: Path) -> list[Path]:
    """RMSE of the weak target with its bound, and the shares of trials in which each receiver finds it."""
    with figure(figsize=(6.8, 3.3)) as fig:
        panels = fig.subplots(1, 2)
        names = list(dict.fromkeys(row["design"] for row in rows))
        step = _SHIFT * np.ptp([float(row["weaker_db"]) for row in rows])
        for index, name in enumerate(names):
            own = sorted((row for row in rows if row["design"] == name), key=lambda row: float(row["weaker_db"]))
            _draw_design(panels, own, index, step * (index - (len(names) - 1) / 2))
        panels[0].set_yscale("log")
        panels[0].set_ylabel("error of the weak target [m]")
        panels[1].set_ylabel("share of trials")
        for ax in panels:
            ax.set_xticks(sorted({float(row["weaker_db"]) for row in rows}))
            ax.set_xlabel("weaker than its neighbour by [dB]")
        handles, _ = panels[0].get_legend_handles_labels()
        fig.legend(handles=[*handles, *_handles()], loc="outside lower center", ncols=3)
        return save(fig, stem)


def _draw_design(panels: Sequence[Axes], rows: Sequence[Mapping[str, Any]], index: int, shift: float) -> None:
    """A design's curves; markers are set apart from those of other designs at the same level."""

    def column(key: str) -> Any:
        return np.array([row[key] for row in rows], dtype=float)

    left, right = panels
    color, marker = f"C{index % 7}", series_marker(index)
    at = column("weaker_db")
    bound_line(left, at, column("rcrb_m"), "-", color)
    for ax, key, unit, fill, style in (
        (left, "rmse", "_m", "white", "none"),
        (right, "detected", "", "white", "-"),
        (right, "one_look", "", color, ":"),
    ):
        middle, low, high = (column(f"{key}{end}{unit}") for end in ("", "_low", "_high"))
        ax.errorbar(
            at + shift, middle, yerr=np.stack([middle - low, high - middle]), color=color, marker=marker, mfc=fill,
            ls=style, label=design_name(rows[0]["design"]) if key == "rmse" else None,
        )  # fmt: skip


def _handles() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color="k", marker="o", mfc="white", ls="none", label="left: RMSE, 95 % interval"),
        Line2D([], [], color="k", label="left: root CRB"),
        Line2D([], [], color="k", marker="o", mfc="white", label="right: detected, joint"),
        Line2D([], [], color="k", marker="o", ls=":", label="right: located in one look"),
    ]


def judge_weak_target(rows: Sequence[Row]) -> list[Finding]:
    """Whether P.3 detects weak targets that P.2 does not."""
    shares: dict[tuple[float, float], dict[str, dict[float, Row]]] = {}
    for row in rows:
        shares.setdefault(_place(row), {}).setdefault(row["design"], {})[float(row["weaker_db"])] = row
    if not all({"p2", "p3"} <= place.keys() for place in shares.values()):
        return []
    worse = [
        _compared(row, place["p3"][level], "detected")
        for place in shares.values()
        for level, row in place["p2"].items()
    ]
    verdict: Verdict = "undecided"
    if any(side < 0 for side in worse):
        verdict = "only under conditions" if any(side > 0 for side in worse) else "confirmed"
    elif any(side > 0 for side in worse):
        verdict = "refuted"
    parts = []
    for (x, y), place in shares.items():
        levels = ", ".join(f"{level:g}" for level in place["p2"])
        detected = "; ".join(
            f"{name}: " + ", ".join(f"{float(row['detected']):.2f}" for row in own.values())
            for name, own in place.items()
        )
        parts.append(f"share detected at ({x:g}, {y:g}) m, {levels} dB below the neighbour: {detected}")
    return [
        Finding(
            "P.3 detects weaker targets beside a strong one than P.2, whose bound is lower "
            f"(joint maximum likelihood, false alarms {100 * FALSE_ALARM:g} %)",
            verdict,
            "; ".join(parts),
            ("weak-target",),
        )
    ]


def _compared(first: Mapping[str, Any], second: Mapping[str, Any], key: str) -> int:
    """-1 where the first's share is surely lower (intervals apart), +1 where it is surely higher, else 0."""
    if float(first[f"{key}_high"]) < float(second[f"{key}_low"]):
        return -1
    return int(float(first[f"{key}_low"]) > float(second[f"{key}_high"]))
