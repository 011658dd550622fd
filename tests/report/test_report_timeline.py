"""Lanes over one axis, intervals below each other, signs and hatchings."""

from __future__ import annotations

import re

from rascal.report.page import Page, Plots, Section, Sign, Verdict, render
from rascal.report.plots import Band, Line, Plot, draw, over_time
from rascal.report.ranges import Measured, Point, Ranges
from rascal.report.timeline import Lane, Stretch, Timeline

ACROSS = over_time(100, 1)
EVIL = "<i>'\"&"


def plot(title: str = "calls") -> Plot:
    return Plot(
        title=title,
        across=ACROSS,
        lines=[Line(name="bad", values=[1.0] * 100, colour="red", style="hatch")],
        over=[Line(name="offered", values=[2.0] * 50 + [None] * 50, colour="high")],
        stacked=True,
        bands=[Band(first=20, last=40, tone="fault", letter="A")],
        edges=[0, 20, 100],
    )


def test_lines_in_front_stand_first_and_make_room() -> None:
    drawn = draw(plot())
    assert [one.name for one in drawn.legend] == ["offered", "bad"]
    assert [one.name for one in drawn.curves] == ["bad", "offered"]
    assert drawn.y[-1].text == "2" and drawn.curves[1].path == "M0 0" + "".join(
        f"{'V0' if at else ''}H{10 * (at + 1)}" for at in range(50)
    )
    assert '"name":"offered"' in drawn.readings and "offered up to 2" in drawn.label
    assert drawn.edges == ["20%"]
    assert (drawn.stripes[0].x, drawn.stripes[0].end) == ("20%", "40%")


def test_lanes_have_places_and_only_words_that_fit() -> None:
    lane = Lane(
        stretches=[
            Stretch(first=-5, last=50, text="baseline"),
            Stretch(first=50, last=52, text="fault"),
            Stretch(first=52, last=64, text="recovery", tone="strong"),
            Stretch(first=200, last=300, text="never"),
        ]
    )
    (row,) = Timeline(ACROSS, [lane], []).rows
    assert [(one.x, one.width, one.text) for one in row.boxes] == [
        ("0%", "50%", "baseline"), ("50%", "2%", ""), ("52%", "12%", "recovery"),
    ]  # fmt: skip
    assert [one.tight for one in row.boxes] == [False, True, True]
    assert row.boxes[1].label == "fault"


def test_intervals_lie_on_one_axis() -> None:
    point = Point(value=0.5, low=0.4, high=0.6, text="50 %")
    over = Point(value=2.0, low=1.9, high=9.0, text="200 %")
    ranges = Ranges(rows=[Measured(name="a", points=[point, over])], limit=0.95)
    ((row, points),) = ranges.drawn
    assert row.name == "a" and points[0][1:] == ("23.81%", "19.05%", "9.52%")
    assert points[1][1] == "95.24%" and points[1][2:] == ("90.48%", "9.52%")
    assert ranges.limit_at == "45.24%" and ranges.ticks[0] == ("0%", "0.0 %", "start")


def test_the_page_has_hatchings_that_are_used_letters_and_no_styles_of_its_own() -> None:
    lane = Lane(letter="A", title=EVIL, stretches=[Stretch(first=1, last=9, label=EVIL)])
    ranges = Ranges(
        rows=[Measured(name=EVIL, points=[Point(value=1, low=1, high=1, text=EVIL)], more=EVIL)],
        legend=[(EVIL, "blue", "ring")],
        limit=0.9,
        limit_text=EVIL,
    )
    page = Page(
        title="t",
        verdicts=[Verdict(word=EVIL, sign=Sign(path="M0 0", dashed="M1 1", tone="bad"), note=EVIL)],
        headline=["h"],
        sections=[
            Section("a", "A", [Timeline(ACROSS, [lane], [plot()], "time"), ranges]),
            Section("b", "B", [Plots([plot("again")])]),
        ],
    )
    text = render(page)
    assert "<i>" not in text and " style=" not in text
    assert text.count('<pattern id="hatch-red"') == 1 and "hatch-orange" not in text
    assert set(re.findall(r'fill="url\(([^)]*)\)"', text)) == {"#hatch-red"}
    assert '<span class="letter">A</span>' in text and '<text class="letter"' in text
    assert 'd="M0 0"' in text and 'class="second" d="M1 1"' in text
    assert page.hatched == ["red"]
