"""Columns of a run as structured NumPy, pandas or xarray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FrameKind: TypeAlias = Literal["numpy", "pandas", "xarray"]
"""A structured array (always there), a DataFrame or a Dataset (with the extra ``disac[io]``)."""


def as_frame(
    columns: Mapping[str, NDArray[Any]], kind: FrameKind, axis: str, units: Mapping[str, str] | None = None
) -> Any:
    """Columns of one length in the form asked for.

    Parameters
    ----------
    columns : mapping of str to (n,) array
    kind : "numpy", "pandas" or "xarray"
    axis : name of the dimension of a Dataset; a column of this name becomes its coordinate, or a DataFrame's index.
    units : units of columns, kept as attributes of a Dataset's variables.

    Raises
    ------
    ValueError : the kind is unknown, or its package is not installed.
    """
    if kind == "numpy":
        plain = {name: values.astype("U") if values.dtype == object else values for name, values in columns.items()}
        length = len(next(iter(plain.values()), ()))
        table = np.zeros(length, dtype=[(name, values.dtype) for name, values in plain.items()])
        for name, values in plain.items():
            table[name] = values
        return table
    if kind not in ("pandas", "xarray"):
        raise ValueError(f"kind = {kind!r}: must be one of numpy, pandas, xarray")
    try:
        if kind == "pandas":
            import pandas

            frame = pandas.DataFrame(dict(columns))
            return frame.set_index(axis) if axis in columns else frame
        import xarray
    except ImportError as error:
        raise ValueError(f"kind = {kind!r}: needs the extra disac[io] ({error}); 'numpy' needs nothing") from None
    described = {
        name: ((axis,), values, {"units": (units or {}).get(name, "1")})
        for name, values in columns.items()
        if name != axis
    }
    return xarray.Dataset(described, coords={axis: columns[axis]} if axis in columns else None)


def mean_and_error(values: NDArray[Any]) -> tuple[complex | float, float]:
    """Mean of the values that are there, and its standard error; NaN where there are too few."""
    present = values[~np.isnan(values)] if values.dtype.kind in "fc" else values.astype(float)
    if not len(present):
        return float("nan"), float("nan")
    error = float(np.std(present, ddof=1) / np.sqrt(len(present))) if len(present) > 1 else float("nan")
    return np.mean(present).item(), error
