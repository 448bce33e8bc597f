"""Numbers with intervals as text: ends rounded outwards, with digits enough to tell the value from either end."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

SIDE_DIGITS = 2
"""Significant digits of the distance between a value and an end of its interval that are printed."""


NEGLIGIBLE = 1e-6
"""An end nearer to the value than this share of it asks for no digits of its own."""

_EXACT = Context(prec=700)
"""Holds every digit of any float down to the smallest step."""


def text_with_interval(value: float, low: float, high: float) -> str:
    """``value [low, high]``, the ends rounded outwards.

    The printed interval holds the exact one, the printed value lies in the printed interval, and a value that differs
    from an end by more than a millionth is printed differently. An interval that is not known (NaN) is left out.

    Examples
    --------
    >>> text_with_interval(0.35623, 0.34871, 0.36542)
    '0.3562 [0.3487, 0.3655]'
    >>> text_with_interval(2.5e-6, 1.2e-7, 5.57e-5)
    '2.50e-6 [1e-7, 5.6e-5]'
    """
    return " ".join(text for text in texts_with_interval(value, low, high) if text)


def texts_with_interval(value: float, low: float, high: float) -> tuple[str, str]:
    """The two parts of :func:`text_with_interval`, value and interval; the second is empty where none is known."""
    if math.isnan(low) or math.isnan(high) or not math.isfinite(value):
        return number_text(value, 4), ""
    below, above = _steps(value, low, high)
    low_text = _text(low, min(below, _step(low, 1)), ROUND_FLOOR)
    high_text = _text(high, above, ROUND_CEILING)
    return _text(value, min(below, above, _step(value, 3)), ROUND_HALF_EVEN), f"[{low_text}, {high_text}]"


def text_beside_interval(other: float, value: float, low: float, high: float) -> str:
    """A number that is to be compared with ``value [low, high]``, with as many digits.

    Examples
    --------
    >>> text_beside_interval(0.358049, 0.35623, 0.34871, 0.36542)
    '0.3580'
    """
    if not all(map(math.isfinite, (other, value, low, high))):
        return number_text(other)
    return _text(other, min(*_steps(value, low, high), _step(other, 4)), ROUND_HALF_EVEN)


def upper_bound_text(high: float) -> str:
    """``< high``, rounded up to two significant digits.

    Examples
    --------
    >>> upper_bound_text(0.000585)
    '< 5.9e-4'
    """
    return f"< {_text(high, _step(high, 2), ROUND_CEILING)}"


def signed_text_with_interval(value: float, low: float, high: float, unit: str) -> str:
    """``+value unit [+low, +high]``: a difference as :func:`text_with_interval` rounds it, each number with its sign.

    Examples
    --------
    >>> signed_text_with_interval(0.3, -0.0951, 0.6951, "dB")
    '+0.30 dB [-0.10, +0.70]'
    """
    number, interval = texts_with_interval(value, low, high)
    ends = [_signed(end) for end in interval.strip("[]").split(", ")] if interval else []
    return f"{_signed(number)} {unit}" + (f" [{', '.join(ends)}]" if ends else "")


def _signed(text: str) -> str:
    return text if text.startswith("-") or text in ("0", "nan") else f"+{text}"


def interval_text(low: float, high: float, digits: int = 4) -> str:
    """``[low, high]`` without a value, rounded outwards to that many significant digits.

    Examples
    --------
    >>> interval_text(4.7964e-4, 12345.6)
    '[4.796e-4, 1.235e4]'
    """
    return f"[{_text(low, _step(low, digits), ROUND_FLOOR)}, {_text(high, _step(high, digits), ROUND_CEILING)}]"


def number_text(value: float, digits: int = 3) -> str:
    """A number without an interval, to that many significant digits.

    Examples
    --------
    >>> number_text(0.000123456)
    '1.23e-4'
    """
    return _text(value, _step(value, digits), ROUND_HALF_EVEN)


def _steps(value: float, low: float, high: float) -> tuple[int, int]:
    """Decimal exponents of the last printed digit of either end."""
    sides = [abs(value - end) for end in (low, high)]
    known = [side for side in sides if side > NEGLIGIBLE * abs(value) and math.isfinite(side)]
    least = _step(value, 4) if not known else None
    below, above = (
        _step(side, SIDE_DIGITS) if side in known else (least if least is not None else _step(known[0], SIDE_DIGITS))
        for side in sides
    )
    return below, above


def _step(value: float, digits: int) -> int:
    """Exponent of the last of that many significant digits."""
    if value == 0 or not math.isfinite(value):
        return 0
    return Decimal(repr(float(value))).adjusted() - digits + 1


def _text(value: float, step: int, rounding: str) -> str:
    """``value`` rounded to a multiple of 10^step; scientific below 0.01 and from 10,000 on."""
    if not math.isfinite(value):
        return f"{value:g}"
    rounded = Decimal(repr(float(value))).quantize(Decimal((0, (1,), step)), rounding, _EXACT)
    if rounded == 0:
        return "0"
    if Decimal("0.01") <= abs(rounded) < 10_000:
        return f"{rounded:f}" if step < 0 else f"{rounded.quantize(Decimal(1)):f}"
    digits = max(rounded.adjusted() - step, 0)
    mantissa, exponent = f"{rounded:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
