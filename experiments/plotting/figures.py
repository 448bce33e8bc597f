"""Pictures made to be read in a paper: RMSE and BER against SNR beside their bounds, and the scene.

Every figure is drawn on a file canvas, so that neither a display nor the user's matplotlib backend matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogFormatterMathtext, LogLocator, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

from disac.estimators.base import ESTIMATORS
from disac.simulator import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

Row = Mapping[str, Any]

FORMATS = ("png", "svg", "pdf")
_RATIO_TOP = 2.5
"""Ratios above this are drawn at the edge of their panel."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_NO_DATE: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
_AXIS_LABELS = {
    "snr_db": r"$P_T/\sigma^2$ [dB]",
    "sinr_db": r"SINR threshold $\Gamma_c$ [dB]",
    "bandwidth_hz": "bandwidth B [Hz]",
    "n_symbols": "OFDM symbols T",
    "n_tx": r"transmit antennas $M_t$",
}
_FIELD_LABELS = {
    "n_symbols": "T = {}",
    "modulation": "{}",
    "sinr_db": r"$\Gamma_c$ = {:g} dB",
    "bandwidth_hz": "B = {:.3g} Hz",
}
_SIDES = ((1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0))
"""Where a text may stand beside its place, from the one preferred on: right or left, above or below."""


def design_name(name: str) -> str:
    """What pictures call a design: the label that it is registered with; one that is not known here keeps its name."""
    from disac.designs import design_label

    return design_label(name)


@contextmanager
def figure(**size: Any) -> Iterator[Figure]:
    """A figure in the project's style, whatever the user's own is, on a canvas that needs no display."""
    with style.context(Path(__file__).with_name("disac.mplstyle"), after_reset=True):
        fig = Figure(**size)
        FigureCanvasAgg(fig)
        yield fig


def save(fig: Figure, stem: Path) -> list[Path]:
    """Write the figure as PNG, SVG and PDF; equal figures give equal files."""
    paths = [stem.with_suffix(f".{kind}") for kind in FORMATS]
    for path in paths:
        fig.savefig(path, metadata=_NO_DATE.get(path.suffix[1:], {}))
    return paths


def series_of(rows: Sequence[Row], x: str, fields: Sequence[str]) -> dict[str, list[Row]]:
    """Rows grouped by every swept field but ``x``, each group sorted by ``x`` and named by the fields that vary."""
    varying = [name for name in fields if name != x and len({row.get(name) for row in rows}) > 1]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        label = ", ".join(_field_label(name, row[name]) for name in varying if row.get(name) is not None)
        groups.setdefault(label, []).append(row)
    return {label: sorted(group, key=lambda row: row[x]) for label, group in groups.items()}


def _field_label(name: str, value: Any) -> str:
    if name == "design":
        return design_name(value)
    if name == "estimator":
        return ESTIMATORS.label(value)
    return _FIELD_LABELS.get(name, name + " = {}").format(value)


def _column(rows: Sequence[Row], name: str) -> Any:
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], dtype=float)


def save_rmse(
    rows: Sequence[Row],
    stem: Path,
    *,
    fields: Sequence[str],
    x: str = "snr_db",
) -> list[Path]:
    """Write the picture of :func:`draw_rmse`, and below it :func:`draw_ratio`, where a gap of some per cent shows."""
    with figure(figsize=(3.5, 3.6)) as fig:
        ax, below = fig.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        named = draw_rmse(ax, rows, fields=fields, x=x)
        draw_ratio(below, rows, fields=fields, x=x)
        ax.set_xlabel("")
        proxies = [
            Line2D([], [], color="k", marker="o", mfc="white", ls="none", label="RMSE, 95 % interval"),
            Line2D([], [], color="k", marker="x", ls="none", label="bias / root CRB"),
            Line2D([], [], color="k", ls="-", label="root CRB, realized signal"),
            Line2D([], [], color="k", ls=":", label="root CRB, expected"),
        ]
        same = coinciding(series_of(rows, x, fields))
        if same:
            ax.set_title("; ".join(f"{a or 'first'} and {b or 'second'} coincide" for a, b in same), fontsize=6.5)
        _legend_below(fig, ax, proxies, named)
        return save(fig, stem)


def draw_rmse(ax: Axes, rows: Sequence[Row], *, fields: Sequence[str], x: str = "snr_db") -> bool:
    """RMSE with its 95 % interval as markers, realized and expected root CRB as lines; whether series have names."""
    groups = series_of(rows, x, fields)
    for index, (label, group) in enumerate(groups.items()):
        at = _column(group, x)
        color = f"C{index % 7}"
        bound_line(ax, at, _column(group, "rcrb_realized_m"), "-", color)
        bound_line(ax, at, _column(group, "rcrb_expected_m"), ":", color)
        _with_interval(ax, at, group, "rmse", "_m", color, series_marker(index), label)
    ax.set_yscale("log")
    _label_abscissa(ax, rows, x)
    ax.set_ylabel("position error [m]")
    return len(groups) > 1


def draw_ratio(ax: Axes, rows: Sequence[Row], *, fields: Sequence[str], x: str = "snr_db") -> None:
    """RMSE over realized root CRB with its 95 % interval, and the size of the bias over the same, against 1.

    What lies above the panel is drawn as an arrow at its edge.
    """
    top = 1.0
    for index, group in enumerate(series_of(rows, x, fields).values()):
        at, color = _column(group, x), f"C{index % 7}"
        ratio = _column(group, "ratio")
        shown = ratio <= _RATIO_TOP
        kept = [row for row, inside in zip(group, shown, strict=True) if inside]
        _with_interval(ax, at[shown], kept, "ratio", "", color, series_marker(index), "")
        ax.plot(
            at[~shown], np.full((~shown).sum(), 0.93 * _RATIO_TOP), ls="none", marker=r"$\uparrow$", color=color, ms=6
        )
        bias = np.array([_bias_m(row) for row in group]) / _column(group, "rcrb_realized_m")
        ax.plot(at[bias <= _RATIO_TOP], bias[bias <= _RATIO_TOP], ls="none", marker="x", ms=3, color=color)
        highest = [float(row.get("ratio_high") or row["ratio"]) for row in kept]
        top = max([top, *highest, *([_RATIO_TOP] if not shown.all() else [])])
    ax.axhline(1.0, color="k", linewidth=0.8)
    ax.set_ylim(0, min(1.1 * top, _RATIO_TOP))
    _label_abscissa(ax, rows, x)
    ax.set_ylabel("RMSE / root CRB")


def _bias_m(row: Row) -> float:
    """Length of the mean error of all targets together [m]."""
    return float(np.sqrt(sum(float(value) ** 2 for name, value in row.items() if name.startswith("bias_"))))


def coinciding(groups: Mapping[str, Sequence[Row]]) -> list[tuple[str, str]]:
    """Pairs of series whose RMSE is the same number at every point, so that one hides the other."""
    values = {label: [row.get("rmse_m") for row in group] for label, group in groups.items()}
    return [(a, b) for a, b in combinations(values, 2) if values[a] == values[b] and None not in values[a]]


def save_ber(
    rows: Sequence[Row],
    stem: Path,
    *,
    fields: Sequence[str],
    x: str = "snr_db",
    theory: Sequence[Row] = (),
) -> list[Path]:
    """Write the picture of :func:`draw_ber`."""
    with figure() as fig:
        ax = fig.add_subplot()
        named = draw_ber(ax, rows, fields=fields, x=x, theory=theory)
        proxies = [
            Line2D([], [], color="k", marker="o", mfc="white", ls="none", label="simulated, 95 % interval"),
            Line2D([], [], color="k", marker=r"$\downarrow$", ls="none", ms=6, label="no error: upper bound"),
            Line2D([], [], color="k", ls="-", label="theory, exact given the channel"),
            Line2D([], [], color="k", ls=":", label="theory at Eq. (7)'s SINR"),
        ]
        _legend_below(fig, ax, proxies, named)
        return save(fig, stem)


def draw_ber(
    ax: Axes, rows: Sequence[Row], *, fields: Sequence[str], x: str = "snr_db", theory: Sequence[Row] = ()
) -> bool:
    """Bit error ratio with its 95 % interval as markers, theory as lines; no error is drawn as an upper bound.

    ``theory`` holds rows between the simulated points for a smooth curve; without them the line joins the points.
    Returns whether series have names.
    """
    groups = series_of(rows, x, [name for name in fields if name != "estimator"])
    curves = series_of(theory, x, [name for name in fields if name != "estimator"])
    for index, (label, every) in enumerate(groups.items()):
        group = [row for row in every if row.get("estimator") == every[0].get("estimator")]
        color = f"C{index % 7}"
        curve = curves.get(label, group)
        for name, dashes in (("ber_theory", "-"), ("ber_theory_average_sinr", ":")):
            bound_line(ax, _column(curve, x), _column(curve, name), dashes, color)
        seen = [row for row in group if row.get("ber") is not None and row["ber"] > 0]
        none = [row for row in group if row.get("ber") == 0]
        _with_interval(ax, _column(seen, x), seen, "ber", "", color, series_marker(index), label)
        ax.plot(_column(none, x), _column(none, "ber_high"), ls="none", marker=r"$\downarrow$", color=color, ms=6)
    ax.set_yscale("log")
    _, top = ax.get_ylim()
    lowest = min((row["ber_low"] or row["ber_high"] for row in rows if row.get("ber") is not None), default=1e-6)
    ax.set_ylim(max(lowest / 5, 1e-9), min(top, 1.0))
    _label_abscissa(ax, rows, x)
    ax.set_ylabel("bit error ratio")
    return len(groups) > 1


def bound_line(ax: Axes, at: Any, values: Any, style: str, color: str, **options: Any) -> None:
    """A theory or bound line; across the axes where there is one point only."""
    if len(at) == 1:
        ax.axhline(values[0], ls=style, color=color, **options)
    else:
        ax.plot(at, values, ls=style, color=color, **options)


def log_ordinate(ax: Axes) -> None:
    """A logarithmic y axis with as many ticks a decade as fit into view, in plain numbers unless these are tiny."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    tiny = low < 1e-3
    steps: tuple[float, ...] = (1, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9)
    for span, coarser in ((2.0, (1, 1.5, 2, 3, 4, 5, 6, 8)), (8.0, (1, 2, 5)), (10.0 if tiny else 1e4, (1,))):
        steps = coarser if high > span * low else steps
    ax.yaxis.set_major_locator(LogLocator(subs=steps))
    ax.yaxis.set_major_formatter(LogFormatterMathtext() if tiny else FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _label_abscissa(ax: Axes, rows: Sequence[Row], x: str) -> None:
    """Name the abscissa; a quantity that is not in decibels and spans more than a decade gets a log scale."""
    values = _column(rows, x)
    if not x.endswith("_db") and values.min() > 0 and values.max() > 10 * values.min():
        ax.set_xscale("log")
    ax.set_xlabel(_AXIS_LABELS.get(x, x))


def _with_interval(
    ax: Axes, at: Any, rows: Sequence[Row], name: str, unit: str, color: str, marker: str, label: str
) -> None:
    value, low, high = (_column(rows, name + part + unit) for part in ("", "_low", "_high"))
    known = np.isfinite(value)
    error = np.stack([value - low, high - value])[:, known]
    ax.errorbar(at[known], value[known], yerr=error, ls="none", color=color, marker=marker, mfc="white", label=label)


def series_marker(index: int) -> str:
    """Marker of a series; with the seven colours it repeats after 49 series only."""
    return _MARKERS[(index + index // len(_MARKERS)) % len(_MARKERS)]


def _legend_below(fig: Figure, ax: Axes, proxies: list[Any], named: bool) -> None:
    """One legend under the axes, where it covers no data; the figure grows with it."""
    handles = [*(ax.get_legend_handles_labels()[0] if named else []), *proxies]
    width, height = fig.get_size_inches()
    fig.set_size_inches(width, height + 0.15 * -(-len(handles) // 2))
    fig.legend(handles=handles, loc="outside lower center", ncols=2)


def save_scene(scenario: Scenario, stem: Path) -> list[Path]:
    """Nodes with their broadside, targets, users and the search area."""
    with figure(figsize=(3.5, 3.7)) as fig:
        ax = fig.add_subplot()
        draw_scene(ax, scenario)
        fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        write_beside(fig, ax, scenario.nodes, [str(n) for n in range(scenario.n_nodes)])
        return save(fig, stem)


def draw_scene(ax: Axes, scenario: Scenario) -> None:
    """Draw nodes, broadsides, targets, users and search area into ``ax`` (equal axes, metres)."""
    s = scenario
    (x0, x1), (y0, y1) = s.area
    ax.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], ls="--", color="0.6", lw=0.8, label="search area")
    ax.plot(*s.nodes.T, ls="none", marker="^", color="k", ms=6, label="node, arrow: broadside")
    directions = np.stack([np.cos(s.orientations), np.sin(s.orientations)], axis=-1)
    tips = s.nodes + 0.12 * max(x1 - x0, y1 - y0) * directions
    for position, tip in zip(s.nodes, tips, strict=True):
        ax.annotate("", tip, position, arrowprops={"arrowstyle": "->", "color": "0.3", "lw": 0.8})
    ax.update_datalim(tips)
    ax.use_sticky_edges = False
    ax.plot(*s.targets.T, ls="none", marker="x", color="k", ms=6, mew=1.5, label="target", path_effects=halo())
    ax.plot(*s.users.T, ls="none", marker="s", color="#0072B2", mfc="white", label="user")
    ax.set_aspect("equal")
    ax.set_xlabel("x [m]")
    ax.set_ylabel("y [m]")


def halo() -> list[Any]:
    """A white rim, so that what is drawn can be read on any ground, in grey too."""
    return [withStroke(linewidth=2.5, foreground="white")]


def write_beside(fig: Figure, ax: Axes, places: ArrayLike, texts: Sequence[str]) -> None:
    """Write a text beside each place (n, 2), on the side where it covers least of the markers, arrows and texts there.

    To be called last: nothing that changes the size of the axes may follow.
    """
    fig.draw_without_rendering()
    taken = _drawn_boxes(ax)
    for place, text in zip(np.asarray(places, dtype=float), texts, strict=True):
        note = ax.annotate(text, place, xytext=(0, 0), textcoords="offset points", path_effects=halo())
        note.set_in_layout(False)
        _move(note, min(_SIDES, key=lambda side: _covered(_move(note, side), taken, ax.bbox)))
        taken.append(note.get_window_extent())


def _move(note: Annotation, side: tuple[int, int]) -> Bbox:
    """Put a text on a side of its place, and tell the box it takes there [pixel]."""
    right, up = side
    note.set(
        position=(6 * right, 6 * up),
        ha=("right", "center", "left")[right + 1],
        va=("top", "center", "bottom")[up + 1],
    )
    return note.get_window_extent()


def _covered(box: Bbox, taken: Sequence[Bbox], frame: Bbox) -> float:
    """How much of a box lies on others or outside the frame [pixel^2]."""
    inside = _overlap(box, frame)
    return box.width * box.height - inside + sum(_overlap(box, other) for other in taken)


def _overlap(a: Bbox, b: Bbox) -> float:
    common = a.intersection(a, b)
    return 0.0 if common is None else common.width * common.height


def _drawn_boxes(ax: Axes) -> list[Bbox]:
    """Boxes [pixel] of the markers and arrows in ``ax``, with a rim."""
    boxes = []
    rim = 2.5 * ax.figure.dpi / 72
    for line in ax.lines:
        if line.get_marker() not in ("None", ""):
            half = line.get_markersize() / 2 * ax.figure.dpi / 72 + rim
            boxes += [Bbox([at - half, at + half]) for at in ax.transData.transform(line.get_xydata())]
    for arrow in ax.texts:
        if isinstance(arrow, Annotation):
            tip, start = ax.transData.transform([arrow.xyann, arrow.xy])
            boxes += [Bbox([at - rim, at + rim]) for at in np.linspace(start, tip, 12)]
    return boxes
