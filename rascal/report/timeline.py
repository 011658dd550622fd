"""A timeline: lanes and plots over one axis, in one box.

A lane is a row of stretches: phases beside each other, or when one thing was planned and when it
really was. Plots below share the axis, which is written once, at the bottom.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import attrs

from rascal.report.plots import Across, Drawing, Plot, draw
from rascal.report.scales import Scale

Tone = Literal["plain", "strong", "fault", "planned", "warn"]
LETTER, SMALL = 0.0092, 0.021
"""The part of the width that a letter takes, on a page and on a telephone."""


@attrs.frozen(kw_only=True)
class Stretch:
    """From here to there."""

    first: float
    last: float
    text: str = ""
    tone: Tone = "plain"
    label: str = ""
    """In full, for the pointer."""


@attrs.frozen(kw_only=True)
class Lane:
    """A row of stretches; `planned` ones are outlines around what really was."""

    stretches: Sequence[Stretch]
    letter: str = ""
    title: str = ""
    more: str = ""


@attrs.frozen
class Timeline:
    """Lanes above plots."""

    across: Across
    lanes: Sequence[Lane]
    plots: Sequence[Plot]
    group: str = ""
    kind: str = "timeline"

    @property
    def drawings(self) -> list[Drawing]:
        """The plots, as the template needs them."""
        return [draw(one) for one in self.plots]

    @property
    def rows(self) -> list[Row]:
        """The lanes, as the template needs them."""
        x = Scale(low=self.across.first, high=self.across.last)
        return [Row(lane=lane, boxes=list(_boxes(lane, x))) for lane in self.lanes]


@attrs.frozen(kw_only=True)
class Box:
    """A stretch, in percent."""

    x: str
    width: str
    middle: str
    text: str
    tone: str
    label: str
    tight: bool
    """There is no room for the text on a telephone."""


@attrs.frozen(kw_only=True)
class Row:
    """A lane with everything in its place."""

    lane: Lane
    boxes: Sequence[Box]


def _boxes(lane: Lane, x: Scale) -> Iterator[Box]:
    for one in lane.stretches:
        if one.last <= x.low or one.first >= x.high:
            continue
        first, last = x.place(one.first), x.place(one.last)
        yield Box(
            x=_percent(first),
            width=_percent(max(last - first, 0.003)),
            middle=_percent((first + last) / 2),
            text=one.text if last - first >= LETTER * len(one.text) else "",
            tone=one.tone,
            label=one.label or one.text,
            tight=last - first < SMALL * len(one.text),
        )


def _percent(share: float) -> str:
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + "%"
