"""What each figure and table of Section V varies, what the paper leaves unstated, and what was chosen: data alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

from disac.experiments.paper.bounds import SIGNALS
from disac.experiments.paper.scenarios import PaperScenario
from disac.experiments.trials.keys import PointValue

Case = tuple[tuple[str, PointValue], ...]
Kind = Literal["modes", "designs", "times"]
"""What is plotted: one design's bounds in several modes, several designs' bounds, or run times."""

NEAR_EDGE_DB = 3.0
"""Where a sweep of the SINR threshold has one more point, below its last: the bounds rise steeply from there on."""

EDGE_MARGIN_DB = 0.05
"""A sweep of the SINR threshold ends this far below the smallest certified edge of its draws: on the edge itself only
data is sent, and the convex problem has no interior."""


@dataclass(frozen=True)
class Effort:
    """How much is computed.

    Attributes
    ----------
    grid : values of the abscissa; a sweep of the SINR threshold also has its last point at the certified edge.
    draws : draws of channels and amplitudes per point.
    refined : how many of them have P.1's precoders refined by a local search.
    """

    grid: tuple[float, ...]
    draws: int
    refined: int = 0


@dataclass(frozen=True)
class Sweep:
    """One figure or table.

    Attributes
    ----------
    name : as on the command line.
    title : what it shows.
    x : the field on the abscissa.
    series : field and values that tell lines apart, besides the design.
    fixed : fields that all points share.
    full, quick : the two efforts.
    unstated : pairs of what the paper leaves open and what was chosen, whatever the effort; see :meth:`choices`.
    compared : a sentence on how our picture compares with the paper's.
    slow : (design, solver) whose solves take minutes: made in ``slow_draws`` draws.
    slow_quick : values of the abscissa at which a quick run makes one slow solve too.
    """

    name: str
    title: str
    kind: Kind
    x: str
    series: tuple[str, tuple[int, ...]]
    fixed: Mapping[str, PointValue]
    full: Effort
    quick: Effort
    unstated: tuple[tuple[str, str], ...]
    designs: tuple[str, ...] = tuple(SIGNALS)
    solvers: tuple[str, ...] = ("native",)
    slow: frozenset[tuple[str, str]] = frozenset()
    slow_draws: int = 3
    slow_quick: tuple[float, ...] = ()
    compared: str = ""

    def effort(self, *, quick: bool) -> Effort:
        """The quick or the full one."""
        return self.quick if quick else self.full

    def cases(self, *, quick: bool, edges_db: Mapping[tuple[bool, int], float] | None = None) -> tuple[Case, ...]:
        """Points of the designs.

        Parameters
        ----------
        edges_db : for a sweep of the SINR threshold, the smallest edge of all draws by (interleaved, series value); the
            grid is cut there, and its last points put there, less :data:`EDGE_MARGIN_DB` and :data:`NEAR_EDGE_DB`.
        """
        cases = []
        for value, solver, design in product(self.series[1], self.solvers, self.designs):
            if (design, solver) in self.slow:
                continue
            grid: list[float] = list(self.effort(quick=quick).grid)
            if self.x == "sinr_db":
                if edges_db is None:
                    raise ValueError("edges_db is needed for a sweep of the SINR threshold")
                last = edges_db[is_interleaved(design), value] - EDGE_MARGIN_DB
                grid = [*(x for x in grid if x < last), last - NEAR_EDGE_DB, last]
            cases += [self._case(design, solver, value, x) for x in grid]
        return tuple(cases)

    def choices(self, *, quick: bool, draws: int, refined: int, seed: int) -> tuple[tuple[str, str], ...]:
        """All pairs of what the paper leaves open and what a run chose: grid, channels, draws and :attr:`unstated`.

        Parameters
        ----------
        draws, refined : draws per point, and how many of them have the precoders of P.1 refined.
        """
        topic, scale = _GRIDS[self.x]
        grid = ", ".join(f"{x / scale:g}" for x in self.effort(quick=quick).grid)
        if self.x == "sinr_db":
            grid += (
                f", ended {EDGE_MARGIN_DB:g} dB below the smallest certified edge of the draws, which is the last "
                f"point, with one {NEAR_EDGE_DB:g} dB before it"
            )
        channel, spread = self.fixed.get("channel"), float(self.fixed.get("delay_spread_s", 0.0))
        fading = "Rayleigh, independent per subcarrier"
        if channel is not None:
            fading = f"{str(channel).upper()} of TR 38.901, delay spread {1e9 * spread:g} ns"
        return (
            (topic, grid),
            ("users' channels", fading),
            ("target amplitudes", "circular normal, every draw scaled to the stated mean of 10 dB"),
            ("draws of both, seed", f"{draws}, the same for all designs and points; seed {seed}"),
            *([("signals of P.1", _REFINED.format(refined))] if refined else []),
            *self.unstated,
        )

    def slow_cases(self, *, quick: bool) -> tuple[Case, ...]:
        """Points of the slow solves, over the whole grid or where a quick run can afford them."""
        return tuple(
            self._case(design, solver, value, x)
            for design, solver in sorted(self.slow)
            for value in self.series[1]
            for x in (self.slow_quick if quick else self.full.grid)
        )

    def _case(self, design: str, solver: str, value: int, x: float) -> Case:
        own = {self.series[0]: value, self.x: int(x) if self.x.startswith("n_") else float(x)}
        return tuple({"design": design, "solver": solver, **self.fixed, **own}.items())

    def edge_cases(self) -> tuple[Case, ...]:
        """Points of the largest feasible threshold; none where the threshold is not swept."""
        if self.x != "sinr_db":
            return ()
        name, values = self.series
        kinds = sorted({is_interleaved(design) for design in self.designs})
        return tuple(
            tuple({"interleaved": kind, **self.fixed, name: value}.items()) for kind, value in product(kinds, values)
        )


def is_interleaved(design: str) -> bool:
    """Whether one node alone serves each subcarrier."""
    return design in ("p2", "p3", "p3-true")


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
_POWER = ("P_T", "per antenna, 1; noise 0.01 gives the stated P_T / sigma^2 = 20 dB")
_SYMBOLS = ("number of OFDM symbols", "bounds are those of one symbol")
_AVERAGE = ("average over draws", "root of the mean CRB trace; 95 % interval by Student's t on its logarithm")
_COMMON = (_POWER, _SYMBOLS, _AVERAGE)
_TWO_NODES = ("which two nodes", "the first two of Section V-A")
_ONE_TARGET = ("position of a single target or user", "target at the origin, user at (0, -20) m")

_SLOW = frozenset({("p1", "clarabel"), ("p1-noncoherent", "clarabel")})
_FULL_THRESHOLDS = (0.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0)
_QUICK_THRESHOLDS = (0.0, 20.0, 30.0)

_SWEEPS = (
    Sweep(
        name="fig4a",
        title="Localization methods against bandwidth (P.2, N = 4, K = U = 2, M = 6, threshold 30 dB)",
        kind="modes",
        x="bandwidth_hz",
        series=("n_nodes", (4,)),
        fixed={"layout": "fig4", "n_targets": 2, "n_users": 2, "sinr_db": 30.0},
        designs=("p2",),
        full=Effort(grid=(1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6), draws=12),
        quick=Effort(grid=(1e6, 5e6, 20e6, 100e6), draws=6),
        unstated=(
            ("what a single-method localizer knows", "the paper's genie; the nuisance bounds are drawn beside it"),
            *_COMMON,
        ),
        compared=(
            "As in the paper, TOF falls onto the hybrid bound as the bandwidth grows while AOA hardly gains; the "
            "dotted bounds, of receivers that do not know the other quantity, are not in the paper."
        ),
    ),
    Sweep(
        name="fig4b",
        title="Localization methods against antennas at constant power (P.2, N = 4, K = U = 2, B = 10 MHz, 30 dB)",
        kind="modes",
        x="n_antennas",
        series=("n_nodes", (4,)),
        fixed={"layout": "fig4", "n_targets": 2, "n_users": 2, "sinr_db": 30.0, "bandwidth_hz": 10e6},
        designs=("p2",),
        full=Effort(grid=(6, 8, 10, 12, 16), draws=12),
        quick=Effort(grid=(6, 8, 12), draws=6),
        unstated=(
            ("fewest antennas", "6; fewer cannot give both users 30 dB on every subcarrier in most draws"),
            ("constant total power", "P_T = 6 / M per antenna"),
            ("draws that cannot reach 30 dB at some M", "left out at every M and counted"),
            *_COMMON,
        ),
        compared=(
            "As in the paper, AOA gains much more from antennas than TOF at constant power, and the hybrid bound lies "
            "below both."
        ),
    ),
    Sweep(
        name="fig5",
        title="Trade-off for several numbers of users (N = 2, K = 2, B = 20 MHz)",
        kind="designs",
        x="sinr_db",
        series=("n_users", (1, 2, 3)),
        fixed={"n_nodes": 2, "n_targets": 2},
        full=Effort(grid=_FULL_THRESHOLDS, draws=8, refined=2),
        quick=Effort(grid=_QUICK_THRESHOLDS, draws=2),
        unstated=(("numbers of users", "1, 2 and 3"), _TWO_NODES, *_COMMON),
        compared=(
            "In full, as in the paper, P.1 lies below P.2 and P.2 below P.3, and users cost CRB and largest threshold; "
            "unlike there, P.3's signals lie above its line, P.1's markers are signals that keep power and SINR, which "
            "the printed extraction does not, and the dashed line shows P.1 when nobody knows the phases between "
            "nodes."
        ),
    ),
    Sweep(
        name="fig6",
        title="Trade-off for several numbers of targets (N = 2, U = 1, B = 20 MHz)",
        kind="designs",
        x="sinr_db",
        series=("n_targets", (1, 2, 3)),
        fixed={"n_nodes": 2, "n_users": 1},
        full=Effort(grid=_FULL_THRESHOLDS, draws=8, refined=2),
        quick=Effort(grid=_QUICK_THRESHOLDS, draws=2),
        unstated=(("numbers of targets", "1, 2 and 3"), _TWO_NODES, _ONE_TARGET, *_COMMON),
        compared=(
            "As in the paper, targets cost CRB and leave the largest threshold where it is. The block-diagonal P.1 "
            "and the dashed line, without phase knowledge, are not in the paper."
        ),
    ),
    Sweep(
        name="fig7",
        title="Trade-off for two and four nodes (K = U = 1, M = 6, B = 20 MHz)",
        kind="designs",
        x="sinr_db",
        series=("n_nodes", (2, 4)),
        fixed={"n_targets": 1, "n_users": 1},
        full=Effort(grid=_FULL_THRESHOLDS, draws=8, refined=2),
        quick=Effort(grid=_QUICK_THRESHOLDS, draws=3, refined=1),
        unstated=(_TWO_NODES, _ONE_TARGET, *_COMMON),
        compared=(
            "As in the paper, four nodes gain in both CRB and largest threshold. The distance from P.1 to the dashed "
            "line, without phase knowledge, grows with the number of nodes."
        ),
    ),
    Sweep(
        name="fig8",
        title="Designs against bandwidth (N = 2, K = U = 1, M = 6, threshold 30 dB)",
        kind="designs",
        x="bandwidth_hz",
        series=("n_nodes", (2,)),
        fixed={"n_targets": 1, "n_users": 1, "sinr_db": 30.0},
        full=Effort(grid=(1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6), draws=12, refined=3),
        quick=Effort(grid=(1e6, 5e6, 20e6, 100e6), draws=6, refined=1),
        unstated=(_TWO_NODES, _ONE_TARGET, *_COMMON),
        compared=(
            "In the paper P.2 meets P.1 at large bandwidths; in full P.2 keeps its distance here from P.1 and from "
            "block-diagonal P.1."
        ),
    ),
    Sweep(
        name="fig9",
        title="Designs against antennas at constant power (N = 2, K = U = 1, B = 5 MHz, threshold 30 dB)",
        kind="designs",
        x="n_antennas",
        series=("n_nodes", (2,)),
        fixed={"n_targets": 1, "n_users": 1, "sinr_db": 30.0, "bandwidth_hz": 5e6},
        full=Effort(grid=(4, 6, 8, 12, 16), draws=10, refined=3),
        quick=Effort(grid=(4, 6, 8, 12), draws=6, refined=1),
        unstated=(
            ("constant total power", "P_T = 6 / M per antenna"),
            ("draws that cannot reach 30 dB at some M", "left out at every M and counted"),
            _TWO_NODES,
            _ONE_TARGET,
            *_COMMON,
        ),
        compared=(
            "In full, P.3's bound comes nearer to P.2's as antennas are added at constant power, as in the paper, but "
            "has not met it with 16."
        ),
    ),
    Sweep(
        name="fig10",
        title="Run time against subcarriers (N = 2, K = U = 1, M = 6)",
        kind="times",
        x="n_subcarriers",
        series=("n_users", (1,)),
        fixed={"n_nodes": 2, "n_targets": 1, "sinr_db": 20.0},
        solvers=("native", "clarabel"),
        full=Effort(grid=(8, 16, 32, 64), draws=6),
        quick=Effort(grid=(8, 16, 32), draws=2),
        slow=_SLOW,
        slow_quick=(8, 16),
        unstated=(
            ("number of nodes and users, threshold, bandwidth", "N = 2, U = 1, 20 dB, 20 MHz"),
            _TWO_NODES,
            _ONE_TARGET,
            ("what a time holds", "processor time of the solver and of building its input, one thread, one at a time"),
            *_COMMON,
        ),
        compared=(
            "Times are those of this machine. In full, the general solver's (dashed) grow with L and fall from P.1 "
            "to P.2 to P.3, as in the paper; the native one is faster, with another order of P.2 and P.3."
        ),
    ),
    Sweep(
        name="table3",
        title="Run time against nodes (K = U = 1, L = 16, M = 6)",
        kind="times",
        x="n_nodes",
        series=("n_users", (1,)),
        fixed={"n_targets": 1, "sinr_db": 20.0},
        solvers=("native", "clarabel"),
        full=Effort(grid=(2, 3, 4), draws=6),
        quick=Effort(grid=(2, 3, 4), draws=2),
        slow=_SLOW,
        slow_quick=(2,),
        unstated=(
            ("threshold, bandwidth", "20 dB, 20 MHz"),
            ("which two or three nodes", "the first ones of Section V-A"),
            _ONE_TARGET,
            ("what a time holds", "processor time of the solver and of building its input, one thread, one at a time"),
            *_COMMON,
        ),
        compared=(
            "Crosses are the paper's seconds on its machine. In full, the general solver's times fall from P.1 to P.2 "
            "to P.3 as in the paper; the native solver is faster and has another order of P.2 and P.3."
        ),
    ),
)

PAPER_SECONDS: Mapping[str, tuple[float, ...]] = {
    "p1": (2.92, 7.66, 52.86),
    "p2": (1.78, 2.96, 12.7),
    "p3": (1.16, 1.45, 8.82),
}
"""Table III: seconds at N = 2, 3, 4."""


def sweep_names() -> tuple[str, ...]:
    """Names of all figures and tables, in the paper's order."""
    return tuple(sweep.name for sweep in _SWEEPS)


def sweep(name: str) -> Sweep:
    """The figure or table called ``name``.

    Raises
    ------
    ValueError : there is none.
    """
    for found in _SWEEPS:
        if found.name == name:
            return found
    raise ValueError(f"figure = {name!r}: must be one of {', '.join(sweep_names())}")


def stated_variables(design: str, scenario: PaperScenario) -> int:
    """Q_1, Q_2, Q_3 of Eq. (42)-(44)."""
    m2 = scenario.n_antennas**2
    n, u, subcarriers = scenario.n_nodes, scenario.n_users, scenario.n_subcarriers
    match design:
        case "p1":
            return m2 * n * n * subcarriers + m2 * n * u * subcarriers
        case "p2":
            return m2 * (subcarriers + u * subcarriers)
        case "p3":
            return m2 * (n + u * subcarriers)
    raise ValueError(f"design = {design!r}: Eq. (42)-(44) count those of p1, p2 and p3")
