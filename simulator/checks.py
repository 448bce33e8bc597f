"""Checks of arguments: each raises an error that names the field, its value and what is allowed."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_integer(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """A whole number within ``least`` and ``most``; numbers with a decimal point and truth values are none.

    Raises
    ------
    ValueError : names the field, the value and the range.
    """
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        ends = [f"at least {least}"] if least is not None else []
        ends += [f"at most {most}"] if most is not None else []
        raise ValueError(f"{name} = {_shown(value)}: must be a whole number{', ' if ends else ''}{' and '.join(ends)}")
    return number


def check_real(
    name: str, value: object, least: float = -np.inf, most: float = np.inf, *, unit: str = "", above: bool = False
) -> float:
    """A finite number in [least, most], or in (least, most] with ``above``.

    Raises
    ------
    ValueError : names the field, the value and the range.
    """
    number = np.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = np.inf
    if not (np.isfinite(number) and least <= number <= most) or (above and number == least):
        ends = [f"{'above' if above else 'at least'} {least:g}"] if np.isfinite(least) else []
        ends += [f"at most {most:g}"] if np.isfinite(most) else []
        in_unit = f" [{unit}]" if unit else ""
        raise ValueError(
            f"{name} = {_shown(value)}: must be a finite number{', ' if ends else ''}{' and '.join(ends)}{in_unit}"
        )
    return number


def check_angle(name: str, value: object) -> float:
    """An angle within [-2 pi, 2 pi]; larger ones look like degrees.

    Raises
    ------
    ValueError : names the field, the value and the range.
    """
    return check_real(name, value, -2 * np.pi, 2 * np.pi, unit="rad")


def check_numbers(name: str, value: object, *, real: bool = False) -> NDArray[Any]:
    """An array of finite numbers, complex ones unless ``real``; NaN and infinity are refused with their place.

    Raises
    ------
    ValueError : names the field and the first entry that is not allowed.
    """
    kind = "real" if real else "complex"
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in ("iuf" if real else "iufc"):
        raise ValueError(f"{name} = {_shown(value)}: must be an array of {kind} numbers")
    if not np.isfinite(array).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}: entry {list(first)} is {array[first]}, every entry must be finite")
    return array


def check_bits(name: str, value: object) -> NDArray[np.uint8]:
    """An array of 0 and 1.

    Raises
    ------
    ValueError : names the field and a value that is neither.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biu":
        raise ValueError(f"{name} = {_shown(value)}: must hold only the whole numbers 0 and 1")
    if array.size and (array.max() > 1 or array.min() < 0):
        wrong = array.max() if array.max() > 1 else array.min()
        raise ValueError(f"{name}: holds {wrong}, must hold only 0 and 1")
    return np.ascontiguousarray(array, dtype=np.uint8)


def check_choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """One of some words.

    Raises
    ------
    ValueError : names the field, the value and the words.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} = {_shown(value)}: must be one of {', '.join(map(repr, allowed))}")
    return value


def check_instance(name: str, value: object, kind: type, *, optional: bool = False) -> None:
    """An object of a class, or None where ``optional``.

    Raises
    ------
    TypeError : names the field, the value and the class.
    """
    if not isinstance(value, kind) and not (optional and value is None):
        also = " or None" if optional else ""
        raise TypeError(f"{name} = {_shown(value)}: must be a {kind.__name__}{also}")


def _shown(value: object) -> str:
    text = np.array2string(value, threshold=6, precision=6) if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
