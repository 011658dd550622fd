"""The plots of a run: what was offered and what came of it, latencies, failures, agents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from rascal.histogram import Histogram
from rascal.load.outputs.gathered import Gathered
from rascal.load.types import OUTCOMES, SERVED, Meters, Row
from rascal.report.plots import Across, Band, Limit, Line, Mark, Plot, over_time
from rascal.report.words import number, rate_text, share_text, stretch_text, time_text

COLOURS: Mapping[str, str] = {
    SERVED: "blue",
    "shed": "aqua",
    "http_4xx": "yellow",
    "http_5xx": "orange",
    "timeout": "red",
    "refused": "violet",
    "reset": "magenta",
    "tls": "brown",
    "truncated": "plum",
    "malformed": "slate",
    "check_failed": "green",
    "wrong_data": "wine",
    "dropped": "grey",
}
"""Of outcomes, the same in every report."""
MARKED = (
    "agent_joined", "agent_lost", "agent_back", "redistributed", "reports_lost",
    "coordinator_lost", "stopping", "changed", "stop_rule", "limit", "note", "error",
)  # fmt: skip
"""Events that stand in the plots."""
MARKS = 20
LIMITS = 3
AGENTS = 6
"""Of more than these only the highest and the middle are drawn."""
_AGENT_COLOURS = ("blue", "orange", "aqua", "violet", "magenta", "green")
POINTS = 240
SHORTEST = 0.2
RARE = 0.25
"""Failures are drawn alone as well where their share stays below it."""

Values = list[float | None]


def timelines(it: Gathered) -> list[Plot]:
    """All plots over time."""
    found = [_rates(it), _latency(it), _outcomes(it)]
    failures = _failures(it)
    if failures is not None:
        found.append(failures)
    return [*found, _in_flight(it), *_agents(it)]


def marks(it: Gathered) -> list[Mark]:
    """Events with the numbers that they have in the table."""
    found = [
        Mark(at=event.second, label=str(at), text=event.text or event.kind)
        for at, event in enumerate(it.events, 1)
        if event.kind in MARKED
    ]
    return found[:MARKS]


def bands(it: Gathered) -> list[Band]:
    """Seconds that are not to be trusted."""
    found: list[Band] = []
    for _, group in groupby(enumerate(it.unsound), key=lambda one: one[1] - one[0]):
        seconds = [second for _, second in group]
        reasons = dict.fromkeys(word for second in seconds for word in it.unsound[second])
        text = f"{stretch_text(seconds[0], seconds[-1])}: {', '.join(reasons)}"
        found.append(
            Band(first=seconds[0], last=seconds[-1] + 1, label=f"not sound, {text}", tone="warn")
        )
    return found


def _plot(it: Gathered, title: str, lines: Sequence[Line], **more: object) -> Plot:
    across = over_time(it.end, it.step)
    given = {"marks": marks(it), "bands": bands(it), **more}
    return Plot(title=title, across=across, lines=lines, **given)  # type: ignore[arg-type]


def _per_second(it: Gathered, count: Callable[[Row], float]) -> Values:
    """What a step comes to, a second; the last one may be cut off by the end of the load."""
    found: Values = []
    for at, row in enumerate(it.rows):
        over = at * it.step >= it.seconds and not row.planned
        found.append(None if over else count(row) / _lasted(it, at))
    return found


def _lasted(it: Gathered, at: int) -> float:
    """For how many seconds of a step load was offered; all of it where there was next to none."""
    lasted = min(it.step, it.seconds - at * it.step)
    return lasted if lasted > SHORTEST else it.step


def _rates(it: Gathered) -> Plot:
    begun: Values = [
        sum(one.begun for one in there if one is not None) / _lasted(it, at)
        for at, there in enumerate(zip(*it.agents.values(), strict=True))
    ] or [None] * len(it.rows)
    lines = [
        Line(
            name="offered",
            values=_per_second(it, lambda row: row.planned),
            colour="grey",
            style="wash",
        ),
        Line(name="requests begun, by the clock", values=begun, colour="violet", style="thin"),
        Line(name="started", values=_per_second(it, lambda row: row.started), colour="orange"),
        Line(name="served", values=_per_second(it, _served), colour="blue"),
    ]
    return _plot(
        it,
        "Calls a second",
        lines,
        text=rate_text,
        note="by the second in which they should have started",
    )


def _served(row: Row) -> float:
    return row.outcomes.get(SERVED, 0)


def _latency(it: Gathered) -> Plot:
    values: list[Values] = [[], [], [], [], []]
    for row in it.rows:
        if row.served.count > 0:
            found = row.served.percentiles((50, 95, 99))
            actual = row.served_actual
            five: list[float | None] = [*found, row.served.most / 1e6]
            five.append(actual.percentile(99) if actual.count > 0 else None)
        else:
            five = [None] * 5
        for line, one in zip(values, five, strict=True):
            line.append(None if one is None else max(one, 1e-6))
    names = ("p50", "p95", "p99", "max", "p99 uncorrected")
    colours = ("low", "middle", "high", "grey", "orange")
    styles = ("line", "line", "line", "thin", "thin")
    return _plot(
        it,
        "Latency of served calls",
        [
            Line(name=name, values=line, colour=colour, style=style)  # type: ignore[arg-type]
            for name, line, colour, style in zip(names, values, colours, styles, strict=True)
        ],
        text=time_text,
        log=True,
        note="from the intended start; uncorrected: from the actual one; logarithmic",
        limits=_limits(it),
    )


def _limits(it: Gathered) -> list[Limit]:
    """Of objectives for the latency of all flows together, as it is drawn."""
    found = [
        Limit(value=one["limit"], text=str(one.get("text", "")))
        for one in it.summary.get("objectives", ())
        if one.get("type") == "duration"
        and one.get("limit")
        and one.get("measure") != "lateness"
        and (not one.get("flow") or list(it.flows) == [one["flow"]])
    ]
    return found[:LIMITS]


def _counted(name: str) -> Callable[[Row], float]:
    return lambda row: row.dropped if name == "dropped" else row.outcomes.get(name, 0)


def _layers(it: Gathered, names: Sequence[str]) -> list[Line]:
    return [
        Line(
            name=name,
            values=_per_second(it, _counted(name)),
            colour=COLOURS.get(name, "slate"),
            style="area",
        )
        for name in names
        if _counted(name)(it.all) > 0
    ]


def _order() -> list[str]:
    """From the bottom: served, explicit, hard, dropped."""
    first = [SERVED, "shed", "http_4xx", "http_5xx"]
    return [*first, *(one for one in OUTCOMES if one not in (*first, "dropped")), "dropped"]


def _outcomes(it: Gathered) -> Plot:
    return _plot(
        it, "Outcomes a second", _layers(it, _order()), text=rate_text, stacked=True, note="stacked"
    )


def _failures(it: Gathered) -> Plot | None:
    """Without what was served, if it would hide the rest."""
    bad = it.all.planned - it.served
    if bad <= 0 or bad > RARE * max(it.all.planned, 1):
        return None
    layers = _layers(it, _order()[1:])
    return _plot(it, "Failures a second", layers, text=rate_text, stacked=True, note="stacked")


def _in_flight(it: Gathered) -> Plot:
    def summed(name: str) -> Values:
        found: Values = []
        for there in zip(*it.agents.values(), strict=True):
            known = [getattr(one, name) for one in there if one is not None]
            found.append(float(sum(known)) if known else None)
        return found or [None] * len(it.rows)

    return _plot(
        it,
        "In flight",
        [
            Line(name="iterations", values=summed("users"), colour="aqua"),
            Line(name="calls", values=summed("in_flight"), colour="blue"),
        ],
        text=number,
        least_top=4,
        note="at the end of each second, all agents together",
    )


def _agents(it: Gathered) -> Iterator[Plot]:
    if not it.agents:
        return
    yield _plot(
        it,
        "CPU of the agents",
        _agent_lines(it, lambda one: one.cpu),
        text=share_text,
        least_top=1.0,
        note="share of one core; near 100 % the tool is the bottleneck",
    )
    late = [
        histogram.percentile(99) if histogram.count > 0 else None for histogram in _lateness(it)
    ]
    lines = _agent_lines(it, lambda one: one.lag)
    if any(one is not None for one in late):
        lines.append(Line(name="p99 of late starts", values=late, colour="red", style="dashed"))
    yield _plot(
        it,
        "Lag of the agents",
        lines,
        text=time_text,
        least_top=0.002,
        note="how late the agents' own loop was, and how late arrivals began",
    )


def _lateness(it: Gathered) -> Iterator[Histogram]:
    for there in zip(*it.agents.values(), strict=True):
        found = Histogram()
        for one in there:
            if one is not None:
                found.add(one.lateness)
        yield found


def _agent_lines(it: Gathered, value: Callable[[Meters], float]) -> list[Line]:
    measured = {
        name: [None if one is None else value(one) for one in meters]
        for name, meters in it.agents.items()
    }
    if len(measured) <= AGENTS:
        return [
            Line(name=name, values=values, colour=colour)
            for (name, values), colour in zip(measured.items(), _AGENT_COLOURS, strict=False)
        ]
    highest: Values = []
    middle: Values = []
    for there in zip(*measured.values(), strict=True):
        known = sorted(one for one in there if one is not None)
        highest.append(known[-1] if known else None)
        middle.append(known[len(known) // 2] if known else None)
    return [
        Line(name=f"highest of {len(measured)}", values=highest, colour="orange"),
        Line(name="middle", values=middle, colour="blue"),
    ]


# ---- distribution


def distribution(row: Row, title: str = "Latency by percentile") -> Plot | None:
    """How latencies are distributed, corrected beside uncorrected; None of nothing."""
    count = row.served.count
    if count <= 1:
        return None
    end = min(6.0, max(1.0, math.log10(count)))
    across = Across(
        first=0.0,
        last=end,
        step=end / POINTS,
        count=POINTS,
        ticks=[at for at in (0.0, math.log10(2), *map(float, range(1, 7))) if at <= end + 1e-9],
        text=percentile_text,
        title="percentile",
        by_start=False,
    )
    shares = [100 * (1 - 10**-at) for at in across.places]
    lines = [
        Line(
            name=name,
            values=[max(one, 1e-6) for one in histogram.percentiles(shares)],
            colour=colour,
            style=style,  # type: ignore[arg-type]
        )
        for name, histogram, colour, style in (
            ("from the intended start", row.served, "blue", "line"),
            ("uncorrected: from the actual start", row.served_actual, "orange", "dashed"),
        )
        if histogram.count > 0
    ]
    return Plot(
        title=title,
        note=f"of {number(count)} served calls; both axes logarithmic",
        across=across,
        lines=lines,
        text=time_text,
        log=True,
        height=220,
    )


def percentile_text(at: float) -> str:
    """`99.9 %` for 3: as many nines as there are."""
    digits = math.ceil(max(0.0, at - 1e-9))
    text = f"{100 * (1 - 10**-at):.{max(0, digits - 1)}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"
