"""Study "verdict": what the waveform says of the designs: RMSE, SINR, bit errors and outage, phases known or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.statistics.draws import PointDraws, Row
from disac.experiments.statistics.intervals import (
    Interval,
    bootstrap_rmse_interval,
    clustered_error_rate_interval,
)
from disac.experiments.statistics.means import Ratio, mean_over_points
from disac.experiments.statistics.rounding import interval_text, signed_text_with_interval, text_with_interval
from disac.experiments.statistics.verdicts import Finding, Verdict, joint_verdict
from disac.experiments.studies.waveform_figure import plot_verdict
from disac.experiments.studies.waveform_trial import LABELS, SENT, Case, SceneThresholds, WaveformSweep, feasible_draws
from disac.experiments.study.protocol import Campaign, Study, register_study
from disac.experiments.study.run import StudyRun
from disac.experiments.study.settings import StudySettings, setting
from disac.experiments.trials.keys import PointValue

RealArray = NDArray[np.float64]

ATTAINED_WITHIN = 0.05
"""The bound counts as attained where the interval of RMSE over realized RCRB lies this near to 1."""

MOST_OUTAGE = 0.01
"""Users get the threshold where at most this share of them and of subcarriers is momentarily below it."""

MODULATION_FROM = {0.0: "qpsk", 10.0: "16qam", 20.0: "64qam", 30.0: "256qam"}
"""The QAM order that makes errors from each threshold [dB] on common enough to count."""

FOUND = "sq_error_m2 where the search did not miss"
"""A column's name for the squared errors of the trials in which the search found the likeliest position."""

_ONE = (("n_nodes", 2), ("n_targets", 1), ("n_users", 1))
SCENES: dict[str, tuple[str, tuple[tuple[str, PointValue], ...]]] = {
    "fig5": ("fig5", (("n_nodes", 2), ("n_targets", 2), ("n_users", 2))),
    "fig6": ("fig6", (("n_nodes", 2), ("n_targets", 3), ("n_users", 1))),
    "fig7": ("fig7", (("n_nodes", 4), ("n_targets", 1), ("n_users", 1))),
    "fig8-narrow": ("fig8 at 1 MHz", (*_ONE, ("bandwidth_hz", 1e6))),
    "fig8-wide": ("fig8 at 100 MHz", (*_ONE, ("bandwidth_hz", 100e6))),
    "fig9-few": ("fig9 with M = 4", (*_ONE, ("bandwidth_hz", 5e6), ("n_antennas", 4))),
    "fig9-many": ("fig9 with M = 12", (*_ONE, ("bandwidth_hz", 5e6), ("n_antennas", 12))),
}
"""Scenes by their names in options: what tables call them, and fields of :class:`PaperScenario`."""


class VerdictSettings(StudySettings):
    """What decides the numbers of the study."""

    scenes: tuple[str, ...] = setting(
        (
            "fig5@0/10/20",
            "fig6@0/10/20",
            "fig7@0/10/20/30",
            "fig8-narrow@30",
            "fig8-wide@30",
            "fig9-few@30",
            "fig9-many@30",
        ),
        f"Scenes with their SINR thresholds [dB], SCENE@T1/T2; scenes are {', '.join(SCENES)}.",
        quick=("fig5@0/20", "fig7@20"),
    )
    draws: int = setting(6, "Draws of channels and amplitudes per scene.", quick=2, ge=2, grows=True)
    trials: int = setting(40, "Trials of each draw.", quick=16, ge=2, grows=True)
    n_antennas: int | None = setting(None, "Antennas per node in place of the scenes'.", ge=1, le=16)
    n_subcarriers: int | None = setting(None, "Subcarriers in place of the scenes' 16.", ge=2, le=1024)

    def sent_scenes(self) -> list[SceneThresholds]:
        """The scenes with their thresholds.

        Raises
        ------
        ValueError : an unknown scene, or thresholds that are no numbers.
        """
        own = {"n_antennas": self.n_antennas, "n_subcarriers": self.n_subcarriers}
        replaced = {name: value for name, value in own.items() if value is not None}
        found = []
        for text in self.scenes:
            name, _, thresholds = text.partition("@")
            try:
                title, fields = SCENES[name]
                levels = tuple(float(level) for level in thresholds.split("/"))
            except (KeyError, ValueError):
                known = ", ".join(SCENES)
                raise ValueError(f"scenes = {text!r}: must be SCENE@T1/T2 with a scene of {known}") from None
            found.append(SceneThresholds(title, tuple((dict(fields) | replaced).items()), levels))
        return found


@register_study("verdict")
class WaveformVerdict(Study[VerdictSettings]):
    """The designs of the paper's scenes go over the link, their inter-node phases known or not."""

    summary = "RMSE, SINR, bit errors and outage of every design as sent, inter-node phases known or not."
    title = "The waveform's verdict on the designs"
    caption = (
        "Markers: measured, 95 % intervals; RMSE intervals resample draws. Lines: realized RCRB (left) and exact bit "
        "error theory (middle). Outage: share of users and subcarriers whose momentary SINR is below the threshold."
    )
    place = 10
    Settings = VerdictSettings

    def campaigns(self, run: StudyRun[VerdictSettings]) -> Iterator[Campaign]:
        """All designs of all scenes in the first draws that can reach every threshold of the scene by P.2."""
        settings = run.settings
        sweep = WaveformSweep(cases(settings.sent_scenes(), settings.draws, settings.seed), settings.seed)
        yield Campaign(sweep, trials=settings.trials, unit="trial", batch_size=settings.trials)

    def summarize(self, run: StudyRun[VerdictSettings]) -> list[Row]:
        """One row per scene, design, phases and threshold."""
        return list(Transmissions.of(run.draws()).rows(run.settings.seed))

    def plot(self, run: StudyRun[VerdictSettings], rows: Sequence[Row]) -> None:
        """The scenes with several thresholds, or all where none has."""
        scenes = run.settings.sent_scenes()
        swept = [scene for scene in scenes if len(scene.thresholds_db) > 1] or scenes
        shown = [row for row in rows if row["scene"] in {scene.name for scene in swept}]
        plot_verdict(shown, swept, run.stem)

    def judge(self, run: StudyRun[VerdictSettings], rows: Sequence[Row]) -> list[Finding]:
        """Claims that the waveform decides."""
        return judge_waveforms(Transmissions.of(run.draws()))

    def unstated(self, settings: VerdictSettings) -> tuple[tuple[str, str], ...]:
        """What the paper leaves open."""
        return (
            (
                "how the paper's designs meet unknown phases",
                "one uniform phase per node and trial, constant over 16 symbols",
            ),
            ("phases known", "those that the design was made for, in every trial"),
            ("modulation", "QPSK, 16-, 64- and 256-QAM at 0, 10, 20 and 30 dB, so that errors can be counted"),
            ("draws, trials", f"{settings.draws} draws a scene, {settings.trials} trials of each"),
            ("draws", "the first ones in which P.2 can reach the highest threshold shown"),
            ("precoders of P.1 and of block-diagonal P.1", "refined by a local search in every draw"),
        )


def cases(scenes: Sequence[SceneThresholds], n_draws: int, seed: int) -> tuple[Case, ...]:
    """All designs of all scenes in the first draws that can reach every threshold of the scene by P.2."""
    return tuple(
        tuple(
            {
                "scene": scene.name,
                **dict(scene.fields),
                "design": design,
                "phases": phases,
                "sinr_db": threshold,
                "modulation": _modulation(threshold),
                "estimator": "ml",
                "draw": draw,
            }.items()
        )
        for scene in scenes
        for draw in feasible_draws(scene, n_draws, seed)
        for threshold in scene.thresholds_db
        for design, phases in SENT
    )


def _modulation(threshold_db: float) -> str:
    return [name for least, name in MODULATION_FROM.items() if least <= max(threshold_db, 0.0)][-1]


@dataclass(frozen=True)
class DesignTrials:
    """All trials of one design at one threshold, over its draws."""

    scene: str
    design: str
    phases: str
    sinr_db: float
    points: tuple[PointDraws, ...]

    def column(self, name: str) -> RealArray:
        """A column over all draws' trials."""
        return np.concatenate([np.asarray(point.columns[name], dtype=float) for point in self.points])

    def by_draw(self, name: str) -> RealArray:
        """Means of a column over the trials of each draw; of :data:`FOUND` NaN where the search missed every trial."""
        if name != FOUND:
            return np.array([np.mean(np.asarray(point.columns[name], dtype=float)) for point in self.points])
        kept = [
            point.columns["sq_error_m2"][np.asarray(point.columns["search_missed"], dtype=float) == 0]
            for point in self.points
        ]
        return np.array([squared.mean() if squared.size else math.nan for squared in kept])

    @cached_property
    def n_users(self) -> int:
        """U."""
        return PaperScenario.at(self.points[0].fields).n_users

    @property
    def bits(self) -> int:
        """Bits of one user in one trial."""
        return int(self.points[0].columns["bits"][0]) // self.n_users

    @cached_property
    def n_elements(self) -> int:
        """Subcarriers on which one user can be in outage."""
        return PaperScenario.at(self.points[0].fields).n_subcarriers

    def summed(self, name: str) -> RealArray:
        """Sum over users of a column NAME_u0, NAME_u1, ... per trial."""
        total: RealArray = np.sum([self.column(f"{name}_u{u}") for u in range(self.n_users)], axis=0)
        return total

    def rate(self, name: str, size: int, users: Sequence[int] | None = None) -> tuple[float, Interval]:
        """Rate of the events that a column counts among ``size`` per user and trial; trials are the clusters."""
        chosen = range(self.n_users) if users is None else users
        events = np.sum([self.column(f"{name}_u{u}") for u in chosen], axis=0)
        sizes = np.full(events.size, size * len(chosen))
        return float(events.sum() / sizes.sum()), clustered_error_rate_interval(events, sizes)

    def rmse_ratio(self, rng: np.random.Generator) -> tuple[float, Interval]:
        """RMSE over realized RCRB of the same trials."""
        squared, bound = self.column("sq_error_m2"), self.column("crb_m2")
        ratio = float(np.sqrt(squared.mean() / bound.mean()))
        return ratio, bootstrap_rmse_interval(squared, bounds=bound, rng=rng)

    def log_sinr_ratio(self, user: int) -> RealArray:
        """Per draw: logarithm of the SINR measured over that of Eq. (7), powers summed over subcarriers and trials."""
        useful, disturbance, stated_useful, stated_disturbance = (
            self.by_draw(f"{name}_u{user}") for name in ("useful", "disturbance", "stated_useful", "stated_disturbance")
        )
        logs: RealArray = np.log(useful / disturbance * stated_disturbance / stated_useful)
        return logs


@dataclass(frozen=True)
class Transmissions:
    """Everything that was sent, by scene, design, phases and threshold."""

    groups: tuple[DesignTrials, ...]

    @classmethod
    def of(cls, points: Sequence[PointDraws]) -> Transmissions:
        """All points of a run, grouped."""
        groups: dict[tuple[str, str, str, float], list[PointDraws]] = {}
        for point in points:
            f = point.fields
            key = (str(f["scene"]), str(f["design"]), str(f["phases"]), float(f["sinr_db"]))
            groups.setdefault(key, []).append(point)
        return cls(tuple(DesignTrials(*key, tuple(found)) for key, found in groups.items()))

    def select(self, **fields: Any) -> list[DesignTrials]:
        """Those with these fields."""
        return [item for item in self.groups if all(getattr(item, name) == value for name, value in fields.items())]

    def rows(self, seed: int) -> Iterator[Row]:
        """One row per scene, design, phases and threshold."""
        for item in self.groups:
            yield _row(item, seed)

    def pairs(self, first: tuple[str, str], second: tuple[str, str], column: str) -> RealArray:
        """(points, draws) logs of the ratio of a column's root mean squares, first over second; NaN where missing."""
        rows = []
        for a in self.select(design=first[0], phases=first[1]):
            for b in self.select(design=second[0], phases=second[1], scene=a.scene, sinr_db=a.sinr_db):
                rows.append(0.5 * (np.log(a.by_draw(column)) - np.log(b.by_draw(column))))
        width = max((len(row) for row in rows), default=0)
        return np.array([np.pad(row, (0, width - len(row)), constant_values=np.nan) for row in rows])


def _row(item: DesignTrials, seed: int) -> Row:
    squared, bound, expected = (item.column(name) for name in ("sq_error_m2", "crb_m2", "expected_m2"))
    rng = np.random.default_rng(seed)
    ratio, interval = item.rmse_ratio(rng)
    rmse = bootstrap_rmse_interval(squared, rng=rng, clusters=_labels(item))
    ber, ber_interval = item.rate("bit_errors_known", item.bits)
    outage, outage_interval = item.rate("outages", item.n_elements)
    row: Row = {
        "scene": item.scene,
        "design": item.design,
        "phases": item.phases,
        "sinr_db": item.sinr_db,
        "modulation": item.points[0].fields["modulation"],
        "draws": len(item.points),
        "trials": squared.size,
        "failed": sum(point.failed for point in item.points),
        "rmse_m": float(np.sqrt(squared.mean())),
        "rmse_low_m": rmse.low,
        "rmse_high_m": rmse.high,
        "rcrb_realized_m": float(np.sqrt(bound.mean())),
        "rcrb_expected_m": float(np.sqrt(expected.mean())),
        "ratio": ratio,
        "ratio_low": interval.low,
        "ratio_high": interval.high,
        "gross_errors": _gross_errors(item),
        "search_missed": int(item.column("search_missed").sum()),
        "ber": ber,
        "ber_low": ber_interval.low,
        "ber_high": ber_interval.high,
        "ber_theory": float(item.column("ber_theory").mean()),
        "ber_theory_average_sinr": float(item.column("ber_theory_average_sinr").mean()),
        "outage": outage,
        "outage_low": outage_interval.low,
        "outage_high": outage_interval.high,
        "seed": seed,
    }
    for u in range(item.n_users):
        own, own_interval = item.rate("bit_errors_known", item.bits, [u])
        sinr = Ratio.of_logs(item.log_sinr_ratio(u))
        stated = item.by_draw(f"stated_useful_u{u}") / item.by_draw(f"stated_disturbance_u{u}")
        measured = item.by_draw(f"useful_u{u}") / item.by_draw(f"disturbance_u{u}")
        row |= {
            f"ber_u{u}": own,
            f"ber_u{u}_low": own_interval.low,
            f"ber_u{u}_high": own_interval.high,
            f"sinr_u{u}_db": float(np.mean(10 * np.log10(measured))),
            f"sinr_stated_u{u}_db": float(np.mean(10 * np.log10(stated))),
            f"sinr_over_stated_u{u}": sinr.value,
            f"sinr_over_stated_u{u}_low": sinr.low,
            f"sinr_over_stated_u{u}_high": sinr.high,
        }
    return row


def _labels(item: DesignTrials) -> NDArray[np.intp]:
    return np.repeat(np.arange(len(item.points)), [len(point.columns["trial"]) for point in item.points])


def _gross_errors(item: DesignTrials) -> int:
    return sum(gross_errors(point) for point in item.points)


def gross_errors(point: PointDraws) -> int:
    """Trials of a point whose error is gross (:data:`disac.experiments.statistics.summary.GROSS_ERROR_PROBABILITY`)."""
    from scipy.special import chdtri

    from disac.experiments.statistics.summary import GROSS_ERROR_PROBABILITY

    limit = chdtri(2 * PaperScenario.at(point.fields).n_targets, GROSS_ERROR_PROBABILITY)
    return int(np.sum(np.asarray(point.columns["mahalanobis2"], dtype=float) > limit))


def judge_waveforms(sent: Transmissions) -> list[Finding]:
    """Claims that the waveform decides."""
    return [
        _attained(sent),
        *(
            finding
            for finding in (
                _order(sent, "P.1 <= P.2 in RMSE, phases known", ("p1", "known"), ("p2", "random")),
                _order(sent, "P.1 <= P.2 in RMSE, phases unknown", ("p1", "random"), ("p2", "random")),
                _order(sent, "Block-diagonal P.1 <= P.2 in RMSE", ("p1-noncoherent", "random"), ("p2", "random")),
                _order(sent, "P.2 <= P.3 in RMSE", ("p2", "random"), ("p3", "random")),
            )
            if finding is not None
        ),
        _price(sent),
        _sinr(sent),
        _ber(sent),
    ]


def _attained(sent: Transmissions) -> Finding:
    parts, verdicts, intervals = [], [], []
    for design, phases in SENT:
        items = sent.select(design=design, phases=phases)
        squared, bound, expected = (
            np.concatenate([item.column(name) / item.column("expected_m2").mean() for item in items])
            for name in ("sq_error_m2", "crb_m2", "expected_m2")
        )
        interval = bootstrap_rmse_interval(squared, bounds=bound, rng=np.random.default_rng(0))
        ratio, realized = np.sqrt(squared.mean() / bound.mean()), np.sqrt(bound.mean() / expected.mean())
        gross = sum(_gross_errors(item) for item in items)
        missed = np.concatenate([item.column("search_missed") for item in items]) > 0
        parts.append(
            f"{LABELS[design, phases]}: {text_with_interval(ratio, interval.low, interval.high)}, realized over "
            f"expected RCRB {realized:.3f}, {gross} gross errors in {squared.size} trials"
        )
        if missed.any():
            found = bootstrap_rmse_interval(squared[~missed], bounds=bound[~missed], rng=np.random.default_rng(0))
            parts[-1] += (
                f", {missed.sum()} of them misses of the search, where the truth is likelier than the estimate; "
                f"without these {interval_text(found.low, found.high)}"
            )
        verdicts.append(within(interval, ATTAINED_WITHIN))
        intervals += [item.rmse_ratio(np.random.default_rng(0))[1] for item in items]
    alone = sum(interval.low <= 1 <= interval.high for interval in intervals)
    parts.append(f"of the {len(intervals)} intervals of single scenes and thresholds {alone} hold 1")
    return Finding(
        f"The waveform attains the CRB at the paper's 20 dB (hybrid ML, T = 16; RMSE within {ATTAINED_WITHIN:.0%} of "
        "the realized RCRB)",
        joint_verdict(verdicts),
        "RMSE over realized RCRB: " + "; ".join(parts),
        ("verdict",),
    )


def within(interval: Interval, tolerance: float) -> Verdict:
    """Whether a ratio is 1 within a tolerance."""
    if 1 - tolerance < interval.low and interval.high < 1 + tolerance:
        return "confirmed"
    return "refuted" if interval.low > 1 + tolerance or interval.high < 1 - tolerance else "undecided"


def _order(sent: Transmissions, claim: str, first: tuple[str, str], second: tuple[str, str]) -> Finding | None:
    logs = sent.pairs(first, second, "sq_error_m2")
    if not logs.size:
        return None
    rmse = Ratio.of_logs(mean_over_points(logs))
    bound = Ratio.of_logs(mean_over_points(sent.pairs(first, second, "crb_m2")))
    found = Ratio.of_logs(mean_over_points(sent.pairs(first, second, FOUND)))
    scenes = {
        name: Ratio.of_logs(mean_over_points(np.atleast_2d(block))) for name, block in _by_scene(sent, first, second)
    }
    parts = [f"{name} {ratio}" for name, ratio in scenes.items()]
    apart = {ratio.below(1.0) for ratio in scenes.values()} >= {"confirmed", "refuted"}
    return Finding(
        claim,
        "only under conditions" if apart else rmse.below(1.0),
        f"RMSE ratio {rmse} (without misses of the search {found}, realized RCRB {bound}), paired over {rmse.draws} "
        "draws; " + ", ".join(parts),
        ("verdict",),
    )


def _by_scene(sent: Transmissions, first: tuple[str, str], second: tuple[str, str]) -> Iterator[tuple[str, RealArray]]:
    for scene in dict.fromkeys(item.scene for item in sent.groups):
        yield scene, Transmissions(tuple(sent.select(scene=scene))).pairs(first, second, "sq_error_m2")


def _price(sent: Transmissions) -> Finding:
    """P.1 over unknown phases against known ones and against the block-diagonal design."""
    known, unknown, block = SENT[:3]
    rmse, bound = (Ratio.of_logs(mean_over_points(sent.pairs(unknown, known, c))) for c in (FOUND, "crb_m2"))
    against = Ratio.of_logs(mean_over_points(sent.pairs(unknown, block, FOUND)))
    parts = [
        f"RMSE {rmse} (without misses of the search) and realized RCRB {bound} times those with known phases, "
        f"RMSE {against} times block-diagonal P.1's"
    ]
    for scene in dict.fromkeys(item.scene for item in sent.groups):
        rates = []
        for design, phases in (known, unknown, block):
            items = sent.select(scene=scene, design=design, phases=phases)
            outage = _joint_rate(items, "outages")
            ber = _joint_rate(items, "bit_errors_known")
            rates.append(f"{LABELS[design, phases]} outage {outage}, BER {ber}")
        parts.append(f"{scene}: " + ", ".join(rates))
    verdict: Verdict = rmse.above(1.0)
    return Finding(
        "P.1 pays for unknown inter-node phases in RMSE (and its users in outage)",
        verdict,
        "; ".join(parts),
        ("verdict",),
    )


def _joint_rate(items: Sequence[DesignTrials], name: str) -> str:
    """Share of events over all items, with its interval."""
    rate, interval = _rate_and_interval(items, name)
    return text_with_interval(rate, interval.low, interval.high)


def _rate_and_interval(items: Sequence[DesignTrials], name: str) -> tuple[float, Interval]:
    events = np.concatenate([item.summed(name) for item in items])
    sizes = np.concatenate(
        [
            np.full(item.column("trial").size, item.n_users * (item.n_elements if name == "outages" else item.bits))
            for item in items
        ]
    )
    return float(events.sum() / sizes.sum()), clustered_error_rate_interval(events, sizes)


def _sinr(sent: Transmissions) -> Finding:
    """Measured SINR against Eq. (7), and how often the momentary one is below the threshold."""
    parts, verdicts = [], []
    for design, phases in SENT:
        items = sent.select(design=design, phases=phases)
        logs = [
            np.mean(
                [item.log_sinr_ratio(u) for item in items if item.scene == scene for u in range(item.n_users)], axis=0
            )
            for scene in dict.fromkeys(item.scene for item in items)
        ]
        ratio = Ratio.of_logs(np.concatenate(logs))
        value, low, high = (10 * math.log10(max(end, 1e-30)) for end in (ratio.value, ratio.low, ratio.high))
        parts.append(
            f"{LABELS[design, phases]} {signed_text_with_interval(value, low, high, 'dB')}, outage "
            f"{_joint_rate(items, 'outages')}"
        )
        often = _rate_and_interval(items, "outages")[1].low > MOST_OUTAGE
        verdicts.append("refuted" if often else within(Interval(ratio.low, ratio.high, 0.95, "t"), 0.05))
    return Finding(
        "Users get the SINR of Eq. (7) (measured powers within 5 %), and so the threshold (but for "
        f"{MOST_OUTAGE:.0%} of users and subcarriers)",
        joint_verdict(verdicts),
        "measured over stated SINR, and share of users and subcarriers below the threshold: " + "; ".join(parts),
        ("verdict",),
    )


def _ber(sent: Transmissions) -> Finding:
    """Counted bit errors against exact theory given the phases, and against the average SINR's BER."""
    parts, verdicts = [], []
    for design, phases in SENT:
        items = [
            item for item in sent.select(design=design, phases=phases) if item.summed("bit_errors_known").sum() >= 100
        ]
        if not items:
            continue
        logs = np.array(
            [
                np.log(item.summed("bit_errors_known").sum() / (item.bits * item.n_users))
                - np.log([item.column("ber_theory").sum(), item.column("ber_theory_average_sinr").sum()])
                for item in items
            ]
        )
        exact, average = np.exp(logs.mean(axis=0))
        inside = [item.column("ber_theory").mean() in item.rate("bit_errors_known", item.bits)[1] for item in items]
        verdicts.append(_covered(sum(inside), len(inside)))
        parts.append(
            f"{LABELS[design, phases]}: BER {exact:.3f} times exact theory, {average:.3f} times that of the average "
            f"SINR, theory in {sum(inside)} of {len(inside)} intervals"
        )
    return Finding(
        "Bit errors follow the exact conditional theory (95 % intervals hold it as often as they should)",
        joint_verdict(verdicts),
        "; ".join(parts) + " (points with at least 100 errors)",
        ("verdict",),
    )


def _covered(hits: int, intervals: int) -> Verdict:
    """Whether so many of independent 95 % intervals holding the truth is no surprise, at 1 %."""
    from scipy.special import bdtr

    return "confirmed" if bdtr(hits, intervals, 0.95) > 0.01 else "refuted"
