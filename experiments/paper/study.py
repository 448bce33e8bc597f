"""Studies of the paper's figures and tables: settings, campaigns, tables and claims, but for what each figure varies.

Each figure is a file of ``experiments/studies`` that says what it varies and what the paper leaves open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, model_validator

from disac.experiments.paper.bounds import DesignSweep, EdgeSweep
from disac.experiments.paper.claims import findings
from disac.experiments.paper.evidence import Evidence, FigureDraws
from disac.experiments.paper.figures import plot_sweep
from disac.experiments.paper.scenarios import MOST_ANTENNAS, PaperScenario, warn_of_late_paths
from disac.experiments.paper.sweeps import EDGE_MARGIN_DB, NEAR_EDGE_DB, Kind, Sweep
from disac.experiments.runs.folder import STORE
from disac.experiments.statistics.draws import Row, summarize, summarize_times
from disac.experiments.statistics.verdicts import Finding
from disac.experiments.study.protocol import Campaign, Study, get_study, reproduced_studies
from disac.experiments.study.run import TIMES, StudyRun
from disac.experiments.study.settings import StudySettings, setting
from disac.experiments.trials.keys import PointValue

SLOW_STORE, EDGES_STORE = "slow.sqlite", "edges.sqlite"

Hertz = Annotated[float, Field(gt=0.0, le=1e12)]
Nodes = Annotated[int, Field(ge=1, le=4)]
Few = Annotated[int, Field(ge=1, le=4)]
Antennas = Annotated[int, Field(ge=1, le=MOST_ANTENNAS)]
Subcarriers = Annotated[int, Field(ge=1, le=4096)]
Design = Literal["p1", "p1-noncoherent", "p2", "p3"]

DESIGNS: tuple[Design, ...] = ("p1", "p1-noncoherent", "p2", "p3")


def draws_setting(full: int, quick: int) -> Any:
    """Number of draws of a figure."""
    return setting(full, "Draws of channels and amplitudes per point.", quick=quick, ge=2, le=1_000_000, grows=True)


def refined_setting(full: int, quick: int) -> Any:
    """Number of draws in which P.1's precoders are refined."""
    return setting(full, "How many draws have P.1's precoders refined (slow).", quick=quick, ge=0)


def antennas_setting() -> Any:
    """Antennas per node of a figure that does not vary them."""
    return setting(6, "Antennas per node; P_T = 6 / M per antenna.", ge=1, le=MOST_ANTENNAS)


def subcarriers_setting() -> Any:
    """Subcarriers of a figure that does not vary them."""
    return setting(16, "Subcarriers L.", ge=1, le=4096)


Solver = Literal["native", "clarabel"]


def solvers_setting() -> Any:
    """Solvers that are timed."""
    return setting(("native", "clarabel"), "Solvers.", option="solver")


def slow_draws_setting() -> Any:
    """Number of draws of what takes minutes."""
    return setting(3, "Draws of what takes minutes.", quick=1, ge=1, grows=True)


def designs_setting() -> Any:
    """Designs of a figure."""
    return setting(DESIGNS, "Designs.", option="design")


class FigureSettings(StudySettings):
    """What all figures can be told; each adds what it varies and its numbers of draws.

    A field with the name of one of :class:`PaperScenario`, or ``sinr_db``, is that field of the points, with several
    values where the figure varies it.
    """

    channel: Literal["independent", "tdl-a", "tdl-d"] = setting(
        "independent", "User channels: the paper's, or a tapped delay line of TR 38.901."
    )
    delay_spread_ns: float | None = setting(
        None, "Root mean square delay spread of a tapped delay line; default: 100 [ns].", ge=0.0, le=1e6
    )

    @model_validator(mode="after")
    def _spread_of_a_line(self) -> Self:
        if self.delay_spread_ns is not None and self.channel == "independent":
            raise ValueError(f"--delay-spread-ns {self.delay_spread_ns:g}: needs --channel tdl-a or tdl-d")
        return self


F = TypeVar("F", bound=FigureSettings)

POWER = ("P_T", "per antenna, 1; noise 0.01 gives the stated P_T / sigma^2 = 20 dB")
CONSTANT_POWER = ("constant total power", "P_T = 6 / M per antenna")
LEFT_OUT = ("draws that cannot reach 30 dB at some M", "left out at every M and counted")
TWO_NODES = ("which two nodes", "the first two of Section V-A")
ONE_TARGET = ("position of a single target or user", "target at the origin, user at (0, -20) m")
MEASURED = ("what a time holds", "processor time of the solver and of building its input, one thread, one at a time")
_COMMON = (
    POWER,
    ("number of OFDM symbols", "bounds are those of one symbol"),
    ("average over draws", "root of the mean CRB trace; 95 % interval by Student's t on its logarithm"),
)
_GRIDS = {
    "bandwidth_hz": ("bandwidths [MHz]", 1e6),
    "n_antennas": ("numbers of antennas", 1),
    "sinr_db": ("SINR thresholds [dB]", 1),
    "n_subcarriers": ("numbers of subcarriers", 1),
    "n_nodes": ("numbers of nodes", 1),
}
"""What the values of an abscissa are called, and the unit they are listed in."""
_REFINED = (
    "refined by a local search in the first {} of these draws; markers are the bound times the mean ratio there, and "
    "rcrb_sent_m in the data is the mean of those draws alone"
)
_BARS: dict[Kind, str] = {
    "modes": "Bands are 95 % intervals over draws.",
    "designs": "Bands are 95 % intervals over draws.",
    "times": "Medians, bars from the lower to the upper quartile.",
}
_SLOW = frozenset({("p1", "clarabel"), ("p1-noncoherent", "clarabel")})


class PaperFigure(Study[F]):
    """A figure or table of Section V.

    Attributes
    ----------
    kind : what is plotted.
    x, series : fields of the settings that the abscissa and the lines or panels vary.
    stated : fields that all points name, in the order of the table's columns; others are named where they are not those
        of :class:`PaperScenario`.
    layout : where targets and users are.
    compared : a sentence on how our picture compares with the paper's.
    left_open : pairs of what the paper leaves open and what was chosen, whatever the settings.
    """

    kind: ClassVar[Kind] = "designs"
    x: ClassVar[str] = "sinr_db"
    series: ClassVar[str] = "n_nodes"
    stated: ClassVar[tuple[str, ...]] = ()
    layout: ClassVar[Literal["axes", "fig4"]] = "axes"
    compared: ClassVar[str] = ""
    left_open: ClassVar[tuple[tuple[str, str], ...]] = ()

    @property
    def about(self) -> str:  # type: ignore[override]
        """What its help says besides."""
        return f"The paper's {self.name}, with what it leaves unstated in unstated.txt."

    @property
    def caption(self) -> str:  # type: ignore[override]
        """The comparison with the paper, and what bands and bars are."""
        return f"{self.compared} {_BARS[self.kind]}"

    def sweep(self, settings: F) -> Sweep:
        """The points."""
        values = settings.model_dump()
        fixed: dict[str, PointValue] = {} if self.layout == "axes" else {"layout": self.layout}
        varied = (self.x, self.series)
        fixed |= {name: values[name] for name in self.stated if name not in varied}
        usual = PaperScenario()
        for name in ("n_nodes", "n_targets", "n_users", "n_antennas", "n_subcarriers", "bandwidth_hz"):
            if name in values and name not in (*varied, *fixed) and values[name] != getattr(usual, name):
                fixed[name] = values[name]
        if settings.channel != "independent":
            spread = 100.0 if settings.delay_spread_ns is None else settings.delay_spread_ns
            fixed |= {"channel": settings.channel, "delay_spread_s": 1e-9 * spread}
        lines = values[self.series]
        times = self.kind == "times"
        return Sweep(
            name=self.name,
            kind=self.kind,
            x=self.x,
            grid=tuple(values[self.x]),
            series=(self.series, lines if isinstance(lines, tuple) else (lines,)),
            fixed=fixed,
            designs=values.get("designs", ("p2",)),
            solvers=values.get("solvers", ("native",)),
            slow=frozenset(s for s in _SLOW if s[0] in values["designs"] and s[1] in values["solvers"])
            if times
            else frozenset(),
            slow_grid=tuple(values.get("slow_at", ())),
        )

    def campaigns(self, run: StudyRun[F]) -> Iterator[Campaign]:
        """Edges where the threshold is varied, the designs, and what the general solver takes minutes for."""
        settings, sweep = run.settings, self.sweep(run.settings)
        values = settings.model_dump()
        draws, timed = int(values["draws"]), self.kind == "times"
        edges = []
        if sweep.edge_cases():
            yield Campaign(EdgeSweep(self.name, sweep.edge_cases()), draws, store=EDGES_STORE)
            edges = run.draws(EDGES_STORE)
        smallest = {
            (bool(edge.fields["interleaved"]), int(edge.fields[self.series])): float(edge.columns["edge_db"].min())
            for edge in edges
        }
        refined = int(values.get("refined", 0))
        warn_of_late_paths(dict(case) for case in sweep.cases(smallest))
        yield Campaign(DesignSweep(self.name, sweep.cases(smallest), refined=refined, timed=timed), draws, alone=timed)
        if sweep.slow_cases():
            slow = DesignSweep(self.name, sweep.slow_cases(), timed=timed)
            yield Campaign(slow, int(values["slow_draws"]), store=SLOW_STORE, alone=True)

    def evidence(self, run: StudyRun[F]) -> FigureDraws:
        """Its draws."""
        sweep = self.sweep(run.settings)
        points = run.draws(STORE) + (run.draws(SLOW_STORE) if sweep.slow_cases() else [])
        edges = run.draws(EDGES_STORE) if sweep.edge_cases() else []
        return FigureDraws(sweep, tuple(points), tuple(edges))

    def summarize(self, run: StudyRun[F]) -> list[Row]:
        """One row per point, averages over the draws that are feasible at all of them; then one per edge."""
        draws = self.evidence(run)
        return summarize(draws.points, draws.edges, paired=self.kind != "times")

    def other_tables(self, run: StudyRun[F], rows: Sequence[Row]) -> dict[str, list[Row]]:
        """Run times, one row per point."""
        return {TIMES: summarize_times(self.evidence(run).points, paired=self.kind != "times")}

    def plot(self, run: StudyRun[F], rows: Sequence[Row]) -> None:
        """The picture in the paper's form."""
        plot_sweep(self.sweep(run.settings), run.rows(TIMES) if self.kind == "times" else rows, run.stem)

    def judge(self, run: StudyRun[F], rows: Sequence[Row]) -> list[Finding]:
        """The paper's claims that this figure decides alone."""
        return findings({self.name: self.evidence(run)})

    def unstated(self, settings: F) -> tuple[tuple[str, str], ...]:
        """Grid, channels, draws, and what is left open whatever the settings."""
        sweep, values = self.sweep(settings), settings.model_dump()
        topic, scale = _GRIDS[self.x]
        grid = ", ".join(f"{x / scale:g}" for x in sweep.grid)
        if self.x == "sinr_db":
            grid += (
                f", ended {EDGE_MARGIN_DB:g} dB below the smallest certified edge of the draws, which is the last "
                f"point, with one {NEAR_EDGE_DB:g} dB before it"
            )
        fading = "Rayleigh, independent per subcarrier"
        if settings.channel != "independent":
            spread = 1e9 * float(sweep.fixed["delay_spread_s"])
            fading = f"{settings.channel.upper()} of TR 38.901, delay spread {spread:g} ns"
        refined = values.get("refined", 0)
        return (
            (topic, grid),
            ("users' channels", fading),
            ("target amplitudes", "circular normal, every draw scaled to the stated mean of 10 dB"),
            ("draws of both", f"{values['draws']}, the same for all designs and points"),
            *([("signals of P.1", _REFINED.format(refined))] if refined else []),
            *self._lines_chosen(sweep),
            *self.left_open,
            *_COMMON,
        )

    def _lines_chosen(self, sweep: Sweep) -> list[tuple[str, str]]:
        """Numbers of users or targets, where the figure shows several and the paper does not say which."""
        field, values = sweep.series
        noun = {"n_users": "users", "n_targets": "targets"}.get(field)
        if noun is None or len(values) < 2:
            return []
        return [(f"numbers of {noun}", f"{', '.join(map(str, values[:-1]))} and {values[-1]}")]


def figure_studies() -> list[PaperFigure[Any]]:
    """The paper's figures and tables in their order."""
    return [study for study in reproduced_studies() if isinstance(study, PaperFigure)]


def full_sweep(name: str) -> Sweep:
    """The points of a figure at its default settings."""
    study = get_study(name)
    if not isinstance(study, PaperFigure):
        raise ValueError(f"study = {name!r}: is no figure of the paper")
    return study.sweep(study.Settings())


def load_evidence(folder: Path) -> Evidence:
    """The finished figures that a folder of ``disac reproduce`` holds."""
    evidence: Evidence = {}
    for study in figure_studies():
        if (folder / study.name / "summary.csv").is_file():
            run = StudyRun.load(folder / study.name)
            evidence[study.name] = study.evidence(run)
    return evidence
