"""Plots: where values come to lie, gaps, stacks, marks; and scales."""

from __future__ import annotations

import json
import re

import pytest

from rascal.report.plots import (
    HEIGHT,
    TOP,
    WIDE,
    Across,
    Band,
    Drawing,
    Limit,
    Line,
    Mark,
    Plot,
    draw,
    over_time,
)
from rascal.report.scales import (
    Scale,
    linear,
    logarithmic,
    nice,
    spaced,
    time_ticks,
    width_of_steps,
)
from rascal.report.words import rate_text, time_text


def drawn(*lines: Line, seconds: int = 4, **given: object) -> Drawing:
    return draw(Plot(title="t", across=over_time(seconds, 1), lines=lines, **given))  # type: ignore[arg-type]


def points(path: str) -> list[tuple[float, float]]:
    """Of a path of M and L."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


# ---- scales


@pytest.mark.parametrize(
    ("values", "high", "ticks"),
    [
        ([3], 3, 4),
        ([97], 100, 5),
        ([], 1, 5),
        ([0.0], 1, 5),
        ([130], 150, 4),
        ([0.0031], 0.004, 5),
    ],
)
def test_linear_scales_end_above_all_values(values: list[float], high: float, ticks: int) -> None:
    scale = linear(values)
    assert scale.low == 0 and scale.high == pytest.approx(high)
    assert len(scale.ticks) == ticks and scale.ticks[-1] == pytest.approx(scale.high)
    assert max((*values, 0)) <= scale.high


@pytest.mark.parametrize("low", [1e-6, 0.0004, 0.05, 3.0])
@pytest.mark.parametrize("factor", [1.0, 1.3, 9.0, 70.0, 5e5])
def test_logarithmic_scales_hold_all_values(low: float, factor: float) -> None:
    scale = logarithmic([low, low * factor])
    assert scale.low <= low * 1.001 and scale.high >= low * factor * 0.999
    assert scale.low < scale.high and 2 <= len(scale.ticks) <= 13
    places = [scale.place(one) for one in scale.ticks]
    assert places == sorted(places) and (places[0], places[-1]) == (0.0, 1.0)


def test_nothing_has_a_logarithm() -> None:
    assert logarithmic([]).ticks and logarithmic([0.0]).high > logarithmic([0.0]).low


def test_places_outside_are_on_the_edge() -> None:
    scale = Scale(low=1, high=100, log=True)
    assert [scale.place(one) for one in (0, 1, 10, 100, 1e9)] == [0, 0, pytest.approx(0.5), 1, 1]


def test_steps_of_time() -> None:
    assert time_ticks(0, 45) == [0, 10, 20, 30, 40]
    assert time_ticks(30, 90) == [30, 40, 50, 60, 70, 80, 90]
    assert len(time_ticks(0, 86400 * 30)) <= 9
    assert [width_of_steps(seconds, 300) for seconds in (1, 300, 301, 86400)] == [1, 1, 2, 300]
    for step in (0.0001, 0.7, 1, 23, 51):
        assert step <= nice(step) <= 2.5 * step


def test_ticks_that_are_too_close_are_left_out() -> None:
    scale = Scale(low=0, high=10)
    assert spaced((0, 1, 2, 10), scale, 0.2) == (0, 2, 10)
    assert spaced((0, 5, 10), scale, 0.2) == (0, 5, 10)


# ---- lines


def test_points_lie_in_the_middle_of_their_step() -> None:
    found = drawn(Line(name="a", values=[0, 4, 2, 1]))
    quarter = WIDE / 4
    assert points(found.curves[0].path) == [
        (quarter * (at + 0.5), HEIGHT * (1 - value / 4)) for at, value in enumerate([0, 4, 2, 1])
    ]
    assert [one.text for one in found.y] == ["0", "1", "2", "3", "4"]
    assert float(found.y[0].at) == TOP + HEIGHT and float(found.y[-1].at) == TOP


def test_a_gap_is_no_line_and_a_lone_point_is_a_dash() -> None:
    path = drawn(Line(name="a", values=[1, None, 1, 1])).curves[0].path
    assert path.count("M") == 2 and path.count("H") == 1 and path.count("L") == 1
    assert drawn(Line(name="a", values=[None] * 4)).curves[0].path == ""


def test_layers_stand_on_each_other_and_the_highest_is_drawn_first() -> None:
    found = drawn(
        Line(name="low", values=[1, 2, 0, 1]),
        Line(name="high", values=[3, 0, None, 1]),
        stacked=True,
    )
    assert [one.name for one in found.legend] == ["low", "high"]
    assert [one.name for one in found.curves] == ["high", "low"]
    tops = [HEIGHT - float(y) for y in re.findall(r"V([\d.]+)H", found.curves[0].path)]
    assert tops == [180.0, 90.0, 0.0, 90.0]  # 4 and 2 and 0 and 2 of 4
    assert drawn(Line(name="none", values=[0] * 4), stacked=True).curves[0].path == ""


def test_washes_go_down_to_the_axis() -> None:
    path = drawn(Line(name="a", values=[1, 2, 3, 4], style="wash")).curves[0].path
    assert path.startswith(f"M125 {HEIGHT}L125 ") and path.endswith(f"V{HEIGHT}Z")


# ---- what else stands in it


def test_bands_are_cut_to_the_plot() -> None:
    found = drawn(
        Line(name="a", values=[1] * 4),
        bands=[
            Band(first=1, last=2, label="slow", tone="fault"),
            Band(first=3, last=9),
            Band(first=7, last=9),
        ],
    )
    assert [(one.x, one.width, one.tone) for one in found.stripes] == [
        ("25%", "25%", "fault"),
        ("75%", "25%", "plain"),
    ]


def test_marks_that_are_close_share_a_label() -> None:
    marks = [Mark(at=2.01, label="3", text="c"), Mark(at=1, label="1"), Mark(at=2, label="2")]
    marks.append(Mark(at=77, label="4"))
    found = drawn(Line(name="a", values=[1] * 4), marks=marks).marks
    assert [(x, one.label) for x, one in found] == [("25%", "1"), ("50%", "2–3")]
    assert found[1][1].text == "2: \n3: c"


def test_limits_stand_in_the_scale() -> None:
    found = drawn(Line(name="a", values=[1] * 4), limits=[Limit(value=8, text="< 8")])
    assert [y for y, _ in found.limits] == [str(TOP)]
    assert [one.text for one in found.y][-1] == "8"


def test_readings_name_a_second_by_its_beginning() -> None:
    found = drawn(Line(name="a", values=[1, None, 0.25, 1], colour="red"), text=time_text)
    data = json.loads(found.readings)
    assert data["at"] == ["0:00", "0:01", "0:02", "0:03"]
    assert data["lines"] == [{"name": "a", "colour": "red", "values": ["1s", "", "250ms", "1s"]}]
    assert found.label == "t: a up to 1s."
    assert drawn(Line(name="a", values=[None] * 4)).label == "t: nothing was measured."


def test_other_axes_are_named_by_the_middle() -> None:
    across = Across(
        first=0, last=2, step=1, count=2, ticks=[0, 1, 2], text=str, title="x", by_start=False
    )
    found = draw(Plot(title="t", across=across, lines=[Line(name="a", values=[1, 2])]))
    assert json.loads(found.readings)["at"] == ["0.5", "1.5"]
    assert [(one.at, one.anchor, one.fine) for one in found.x] == [
        ("0%", "start", False),
        ("50%", "middle", True),
        ("100%", "end", False),
    ]


def test_axes_have_no_needless_digits() -> None:
    assert [one.text for one in drawn(Line(name="a", values=[40] * 4), text=rate_text).y] == [
        "0", "10/s", "20/s", "30/s", "40/s",
    ]  # fmt: skip


def test_the_last_step_may_reach_beyond_the_end() -> None:
    across = over_time(7, 2)
    assert (across.count, across.last, across.places) == (4, 8, [1, 3, 5, 7])
