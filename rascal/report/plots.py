"""Plots as SVG: lines, areas and stacks over time or over any other axis, with bands and marks.

A `Plot` says what to show; `draw` turns it into places that the page's template writes down.
Nothing in it depends on the width of the page: what stands across is given in percent, and curves
are stretched, so that texts and strokes keep their size from a telephone to paper. Colours are
names of the page's palette (COLOURS); the style sheet knows what they look like in light, dark and
print.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, Literal

import attrs

from rascal.report.scales import Scale, linear, logarithmic, spaced, time_ticks
from rascal.report.words import clock_text, number

Style = Literal["line", "thin", "dashed", "wash", "area", "hatch"]
Tone = Literal["plain", "warn", "fault"]
Value = float | None

WIDE = 1000
"""Width of the box in which curves are drawn before they are stretched."""
HEIGHT = 180
TOP = 16
"""Room above the curves for the numbers of marks."""
CLOSE = 0.03
"""Marks less than this share of the width apart share a label."""
COLOURS = (
    "blue", "aqua", "yellow", "green", "violet", "red", "magenta", "orange", "grey", "brown",
    "plum", "slate", "wine", "low", "middle", "high",
)  # fmt: skip
"""The palette; low, middle and high are shades of one colour, for percentiles and the like."""


@attrs.frozen(kw_only=True)
class Line:
    """One curve, or one layer of a stack."""

    name: str
    values: Sequence[Value]
    """One for each place of the plot; None where there is none."""
    colour: str = "blue"
    style: Style = "line"


@attrs.frozen(kw_only=True)
class Band:
    """A stretch across the whole height: a fault that was on, seconds that are not sound."""

    first: float
    last: float
    label: str = ""
    tone: Tone = "plain"
    letter: str = ""
    """Stands in the band; what it means stands elsewhere."""


@attrs.frozen(kw_only=True)
class Mark:
    """A moment: an event."""

    at: float
    label: str
    """A number or a letter; what it means stands elsewhere."""
    text: str = ""


@attrs.frozen(kw_only=True)
class Limit:
    """A level that matters: an objective's limit."""

    value: float
    text: str


@attrs.frozen(kw_only=True)
class Across:
    """What runs from left to right: places that are equally far apart."""

    first: float
    last: float
    step: float
    """From one place to the next; the first lies half a step behind `first`."""
    count: int
    ticks: Sequence[float]
    text: Callable[[float], str]
    title: str = ""
    by_start: bool = True
    """A step is named by where it begins (a second is), not by its middle."""

    @property
    def places(self) -> list[float]:
        """The middle of each step."""
        return [self.first + (at + 0.5) * self.step for at in range(self.count)]


def over_time(last: float, step: float, *, first: float = 0.0) -> Across:
    """Seconds of a run."""
    count = max(1, -int(-(last - first) // step))
    end = first + count * step
    return Across(
        first=first,
        last=end,
        step=step,
        count=count,
        ticks=time_ticks(first, end),
        text=clock_text,
    )


@attrs.frozen(kw_only=True)
class Plot:
    """What is to be shown."""

    title: str
    across: Across
    lines: Sequence[Line]
    text: Callable[[float], str] = number
    """A value in words, for the readings."""
    tick: Callable[[float], str] | None = None
    """A value in words, for the axis; None is the same without needless digits."""
    note: str = ""
    log: bool = False
    stacked: bool = False
    over: Sequence[Line] = ()
    """Lines in front of a stack."""
    least_top: float = 0.0
    """The axis goes up to this at least."""
    bands: Sequence[Band] = ()
    marks: Sequence[Mark] = ()
    limits: Sequence[Limit] = ()
    edges: Sequence[float] = ()
    """Places where something else begins: a phase."""
    height: int = HEIGHT


# ---- drawn


@attrs.frozen(kw_only=True)
class Tick:
    """A tick of an axis."""

    at: str
    text: str
    anchor: str = "middle"
    fine: bool = False
    """May be left out where there is little room."""


@attrs.frozen(kw_only=True)
class Curve:
    """A path."""

    name: str
    colour: str
    style: str
    path: str


@attrs.frozen(kw_only=True)
class Stripe:
    """A band, in percent."""

    x: str
    width: str
    label: str
    tone: str
    letter: str = ""
    end: str = ""


@attrs.frozen(kw_only=True)
class Drawing:
    """A plot with everything in its place."""

    title: str
    note: str
    label: str
    """In a sentence, for those who do not see it."""
    height: int
    top: int
    curves: Sequence[Curve]
    legend: Sequence[Curve]
    x: Sequence[Tick]
    y: Sequence[Tick]
    x_title: str
    stripes: Sequence[Stripe]
    marks: Sequence[tuple[str, Mark]]
    limits: Sequence[tuple[str, Limit]]
    edges: Sequence[str]
    readings: str
    """JSON for the script: texts of all values."""

    @property
    def bottom(self) -> int:
        """Where the axis lies."""
        return self.top + self.height


def draw(plot: Plot) -> Drawing:
    """Find the place of everything."""
    layers = _stacked(plot.lines) if plot.stacked else [list(one.values) for one in plot.lines]
    over = [list(one.values) for one in plot.over]
    scale = _scale(plot, [*layers, *over])
    x = Scale(low=plot.across.first, high=plot.across.last)
    curves = [
        Curve(name=line.name, colour=line.colour, style=line.style, path=path)
        for line, path in zip(plot.lines, _paths(plot, layers, scale), strict=True)
    ]
    front = [
        Curve(
            name=line.name,
            colour=line.colour,
            style=line.style,
            path=(_outline if plot.stacked else _curve)(_places(values, scale, plot), plot),
        )
        for line, values in zip(plot.over, over, strict=True)
    ]
    ticks = spaced(scale.ticks, scale, 0.12)
    shown = plot.tick or (lambda value: _plain(plot.text(value)))
    return Drawing(
        title=plot.title,
        note=plot.note,
        label=_label(plot),
        height=plot.height,
        top=TOP,
        curves=[*(reversed(curves) if plot.stacked else curves), *front],
        legend=[*front, *curves],
        x=_x_ticks(plot.across, x),
        y=[
            Tick(at=_short(TOP + (1 - scale.place(one)) * plot.height), text=shown(one))
            for one in ticks
        ],
        x_title=plot.across.title,
        stripes=[one for band in plot.bands for one in _stripe(band, x)],
        marks=_marks(plot, x),
        limits=[
            (_short(TOP + (1 - scale.place(one.value)) * plot.height), one)
            for one in plot.limits
            if scale.low <= one.value <= scale.high
        ],
        edges=[_percent(x.place(one)) for one in plot.edges if x.low < one < x.high],
        readings=_readings(plot),
    )


def _scale(plot: Plot, layers: Sequence[Sequence[Value]]) -> Scale:
    values = [one for layer in layers for one in layer if one is not None]
    values += [one.value for one in plot.limits]
    if plot.log:
        return logarithmic(values)
    return linear(values, least_top=plot.least_top)


def _stacked(lines: Sequence[Line]) -> list[list[Value]]:
    """The upper edge of each layer."""
    found: list[list[Value]] = []
    below: list[float] = []
    for line in lines:
        below = below or [0.0] * len(line.values)
        below = [low + (more or 0.0) for low, more in zip(below, line.values, strict=True)]
        found.append(list(below))
    return found


def _paths(plot: Plot, layers: Sequence[Sequence[Value]], scale: Scale) -> Iterable[str]:
    for line, values in zip(plot.lines, layers, strict=True):
        places = _places(values, scale, plot)
        if plot.stacked:
            yield _steps(places, plot)
        elif line.style in ("wash", "area"):
            yield _area(places, plot)
        else:
            yield _curve(places, plot)


def _places(values: Sequence[Value], scale: Scale, plot: Plot) -> list[Value]:
    return [None if one is None else (1 - scale.place(one)) * plot.height for one in values]


def _x_at(plot: Plot, index: float) -> float:
    across = plot.across
    return index * across.step / (across.last - across.first) * WIDE


def _curve(places: Sequence[Value], plot: Plot) -> str:
    """Straight from the middle of a step to that of the next, with gaps."""
    words: list[str] = []
    for there, group in groupby(enumerate(places), key=lambda one: one[1] is not None):
        if not there:
            continue
        points = list(group)
        if len(points) == 1:  # a point of its own is a short dash
            at, y = points[0]
            assert y is not None
            words.append(f"M{_short(_x_at(plot, at + 0.3))} {_short(y)}")
            words.append(f"H{_short(_x_at(plot, at + 0.7))}")
            continue
        for number_, (at, y) in enumerate(points):
            assert y is not None
            words.append(f"{'L' if number_ else 'M'}{_short(_x_at(plot, at + 0.5))} {_short(y)}")
    return "".join(words)


def _area(places: Sequence[Value], plot: Plot) -> str:
    """The same, filled down to the axis."""
    words: list[str] = []
    for there, group in groupby(enumerate(places), key=lambda one: one[1] is not None):
        if not there:
            continue
        points = list(group)
        first, last = points[0][0], points[-1][0]
        words.append(f"M{_short(_x_at(plot, first + 0.5))} {plot.height}")
        for at, y in points:
            assert y is not None
            words.append(f"L{_short(_x_at(plot, at + 0.5))} {_short(y)}")
        words.append(f"V{plot.height}Z" if first != last else "Z")
    return "".join(words)


def _steps(places: Sequence[Value], plot: Plot) -> str:
    """A column for each step, down to the axis; higher layers are drawn first, behind."""
    if all(one is None or one >= plot.height - 1e-9 for one in places):
        return ""
    words = [f"M0 {plot.height}"]
    before: Value = None
    for at, y in enumerate(places):
        if y is not None and y != before:
            words.append(f"V{_short(y)}")
        words.append(f"H{_short(_x_at(plot, at + 1))}")
        before = y
    return "".join(words) + f"V{plot.height}Z"


def _outline(places: Sequence[Value], plot: Plot) -> str:
    """The upper edge of columns."""
    words: list[str] = []
    before: Value = None
    for at, y in enumerate(places):
        if y is not None:
            words.append(
                f"{'V' if before is not None else f'M{_short(_x_at(plot, at))} '}{_short(y)}"
            )
            words.append(f"H{_short(_x_at(plot, at + 1))}")
        before = y
    return "".join(words)


def _stripe(band: Band, x: Scale) -> Iterable[Stripe]:
    if band.last <= x.low or band.first >= x.high:
        return
    first, last = x.place(band.first), x.place(band.last)
    width = max(last - first, 0.002)
    yield Stripe(
        x=_percent(first),
        width=_percent(width),
        label=band.label,
        tone=band.tone,
        letter=band.letter,
        end=_percent(last),
    )


def _marks(plot: Plot, x: Scale) -> list[tuple[str, Mark]]:
    """Marks; those that lie too close together for their labels are one."""
    there = [one for one in plot.marks if plot.across.first <= one.at <= plot.across.last]
    groups: list[list[Mark]] = []
    for one in sorted(there, key=lambda one: one.at):
        if groups and x.place(one.at) - x.place(groups[-1][0].at) < CLOSE:
            groups[-1].append(one)
        else:
            groups.append([one])
    return [(_percent(x.place(group[0].at)), _one_mark(group)) for group in groups]


def _one_mark(group: Sequence[Mark]) -> Mark:
    if len(group) == 1:
        return group[0]
    text = "\n".join(f"{one.label}: {one.text}" for one in group)
    return Mark(at=group[0].at, label=f"{group[0].label}–{group[-1].label}", text=text)


def _x_ticks(across: Across, x: Scale) -> list[Tick]:
    found = []
    for index, one in enumerate(across.ticks):
        place = x.place(one)
        anchor = "start" if place < 0.02 else "end" if place > 0.98 else "middle"
        found.append(
            Tick(at=_percent(place), text=across.text(one), anchor=anchor, fine=index % 2 == 1)
        )
    return found


def _readings(plot: Plot) -> str:
    """What the script shows at a place: when, and each value in words."""
    values = [
        {
            "name": line.name,
            "colour": line.colour,
            "values": ["" if one is None else plot.text(one) for one in line.values],
        }
        for line in (*plot.over, *plot.lines)
    ]
    across = plot.across
    shift = across.step / 2 if across.by_start else 0.0
    names = [across.text(one - shift) for one in across.places]
    data: dict[str, Any] = {"at": names, "lines": values}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _label(plot: Plot) -> str:
    """`Latency: p50 up to 12ms, p99 up to 300ms.`"""
    parts = []
    for line in (*plot.over, *plot.lines):
        there = [one for one in line.values if one is not None]
        if there:
            parts.append(f"{line.name} up to {plot.text(max(there))}")
    return f"{plot.title}: {', '.join(parts) or 'nothing was measured'}."


def _plain(text: str) -> str:
    """`1ms` for `1.0ms`, `0` for `0us`."""
    text = re.sub(r"(?<=\d)\.0+(?=\D|$)", "", text)
    return "0" if re.fullmatch(r"0\D*", text) else text


def _percent(share: float) -> str:
    return f"{_short(share * 100)}%"


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
