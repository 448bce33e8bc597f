"""Pictures for a notebook or a script: drawn into axes of the caller, or into new ones, which are returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from disac.experiments.plotting.figures import draw_ber, draw_rmse, draw_scene
from disac.simulator import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]


def plot_rmse(
    rows: Sequence[Row], *, x: str = "snr_db", fields: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """RMSE of a run of ``link`` with its 95 % interval, realized (solid) and expected (dotted) root CRB.

    Parameters
    ----------
    rows : sequence of mappings
        Rows of ``summary.csv``, see :func:`disac.experiments.read_table`.
    x : str
        Column of the abscissa.
    fields : sequence of str, optional
        Columns that tell series apart; by default those before ``trials``, which are the swept ones.
    ax : matplotlib Axes, optional
        Where to draw; new axes of pyplot without it.

    Returns
    -------
    Axes
    """
    drawn = [row for row in rows if row.get("rmse_m") is not None]
    ax = _axes(ax)
    if draw_rmse(ax, drawn, fields=_fields(drawn, fields), x=x):
        ax.legend()
    return ax


def plot_ber(
    rows: Sequence[Row], *, x: str = "snr_db", fields: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Bit error ratio of a run of ``link`` with its 95 % interval and theory; see :func:`plot_rmse`."""
    drawn = [row for row in rows if row.get("ber") is not None]
    ax = _axes(ax)
    if draw_ber(ax, drawn, fields=_fields(drawn, fields), x=x):
        ax.legend()
    return ax


def plot_scene(scenario: Scenario, *, ax: Axes | None = None) -> Axes:
    """Nodes with their broadside, targets, users and the search area."""
    ax = _axes(ax)
    draw_scene(ax, scenario)
    ax.legend()
    return ax


def _fields(rows: Sequence[Row], fields: Sequence[str] | None) -> Sequence[str]:
    if fields is not None:
        return fields
    every = list(dict.fromkeys(name for row in rows for name in row))
    return every[: every.index("trials")] if "trials" in every else []


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]
