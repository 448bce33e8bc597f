"""Types of option values: lists of numbers with ranges, lists of names, parts of an array job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """Numbers separated by commas, each possibly a range ``start:stop:step`` with both ends included."""

    name = "numbers"

    def __init__(self, kind: type[int] | type[float], minimum: float, maximum: float) -> None:
        self.kind, self.minimum, self.maximum = kind, minimum, maximum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Parse and check; click calls this."""
        if isinstance(value, tuple):
            return value
        numbers: list[Any] = []
        for part in str(value).split(",") if value else ():
            try:
                ends = [self.kind(end) for end in part.split(":")]
                numbers += ends if len(ends) == 1 else _inclusive_range(*ends)
            except (ValueError, TypeError):
                kind = "a whole number" if self.kind is int else "a number"
                self.fail(f"{part!r} is not {kind} or a range start:stop:step", param, ctx)
        if (twice := first_repeated(numbers)) is not None:
            self.fail(f"{twice:g} is given twice", param, ctx)
        for number in numbers:
            if not self.minimum <= number <= self.maximum:
                self.fail(f"{number} is out of range: must be in [{self.minimum:g}, {self.maximum:g}]", param, ctx)
        return tuple(numbers)


def first_repeated(values: Sequence[Any]) -> Any:
    """The first value that stands there again, None without one."""
    return next((value for i, value in enumerate(values) if value in values[:i]), None)


def _inclusive_range(start: float, stop: float, step: float = 1) -> list[float]:
    count = (stop - start) / step
    if count < 0:
        raise ValueError
    return [start + i * step for i in range(int(count + 1e-9) + 1)]


class Names(click.ParamType):  # type: ignore[type-arg]
    """Names separated by commas; out of ``known`` in lower case, or any texts where that is empty."""

    name = "names"

    def __init__(self, known: Sequence[str] = ()) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Parse and check; click calls this."""
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in str(value).split(",")) if value else ()
        if self.known:
            names = tuple(name.lower() for name in names)
            for name in names:
                if name not in self.known:
                    self.fail(f"{name!r} is not one of {', '.join(self.known)}", param, ctx)
        if (twice := first_repeated(names)) is not None:
            self.fail(f"{twice} is given twice", param, ctx)
        return names


class ListOption(click.Option):
    """An option whose value is a list: ``--x 1,2`` and ``--x 1 --x 2`` mean the same; None where it is not given.

    Its type is :class:`Numbers` or :class:`Names`; no value may stand there twice.
    """

    def __init__(self, names: Sequence[str], default: str | None = None, **others: Any) -> None:
        super().__init__(names, default=None if default is None else [default], **{**others, "multiple": True})

    def type_cast_value(self, ctx: click.Context, value: Any) -> tuple[Any, ...] | None:
        """Parse every list and join them; click calls this."""
        if value is None:
            return None
        joined = tuple(item for part in super().type_cast_value(ctx, value) for item in part)
        if (twice := first_repeated(joined)) is not None:
            raise click.BadParameter(f"{twice if isinstance(twice, str) else f'{twice:g}'} is given twice", ctx, self)
        return joined


class Shard(click.ParamType):  # type: ignore[type-arg]
    """Part ``i/n`` of an array job, 1 <= i <= n."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Parse and check; click calls this."""
        part, _, parts = str(value).partition("/")
        if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
            self.fail(f"{value!r} is not I/N with 1 <= I <= N", param, ctx)
        return int(part), int(parts)
