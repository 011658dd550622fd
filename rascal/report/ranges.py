"""Values with their intervals below each other, against a limit: one glance at many intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import attrs

from rascal.report.scales import Scale, nice
from rascal.report.words import share_text

Sign = Literal["dot", "ring"]


@attrs.frozen(kw_only=True)
class Point:
    """A value, and where it lies."""

    value: float
    low: float
    high: float
    text: str
    """In words, beside it."""
    colour: str = "blue"
    sign: Sign = "dot"


@attrs.frozen(kw_only=True)
class Measured:
    """One thing; several points of it lie below each other."""

    name: str
    points: Sequence[Point]
    more: str = ""


@attrs.frozen(kw_only=True)
class Ranges:
    """All of them, over one axis that begins at 0."""

    rows: Sequence[Measured]
    limit: float | None = None
    limit_text: str = ""
    text: Callable[[float], str] = share_text
    top: float = 1.0
    """The axis goes up to this at least."""
    legend: Sequence[tuple[str, str, Sign]] = ()
    """(name, colour, sign), if there are several points of each."""
    note: str = ""
    kind: str = "ranges"

    @property
    def drawn(self) -> list[tuple[Measured, list[tuple[Point, str, str, str]]]]:
        """Each with its points: (point, value, low, width) in percent."""
        return [(row, [self._place(one) for one in row.points]) for row in self.rows]

    @property
    def ticks(self) -> list[tuple[str, str, str]]:
        """(place, text, anchor)."""
        high = self._scale.high
        step = nice(high / 5)
        found = []
        at = 0.0
        while at <= high * 1.0001:
            anchor = "start" if at == 0 else "end" if at > high * 0.98 else "middle"
            found.append((_percent(self._scale.place(at)), self.text(at), anchor))
            at = round(at + step, 12)
        return found

    @property
    def limit_at(self) -> str:
        """Where the limit lies; empty without one."""
        return "" if self.limit is None else _percent(self._scale.place(self.limit))

    @property
    def _scale(self) -> Scale:
        there = [one.value for row in self.rows for one in row.points]
        high = max((self.top, *there)) * 1.05
        return Scale(low=0.0, high=high)

    def _place(self, one: Point) -> tuple[Point, str, str, str]:
        low, high = self._scale.place(one.low), self._scale.place(one.high)
        return one, _percent(self._scale.place(one.value)), _percent(low), _percent(high - low)


def _percent(share: float) -> str:
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + "%"
