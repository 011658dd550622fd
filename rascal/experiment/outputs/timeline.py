"""The timeline of an experiment, all over one axis: phases, faults, what became of the calls.

Purple is what Rascal did, warm and hatched what broke, blue what works.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rascal.experiment.outputs.counted import GOOD, HONEST, LATE, LATE_NO, Side, sides
from rascal.experiment.outputs.gathered import Fault, Gathered
from rascal.load.outputs.curves import bands as unsound_bands
from rascal.report.plots import Band, Limit, Line, Mark, Plot, over_time
from rascal.report.timeline import Lane, Stretch, Timeline
from rascal.report.words import clock_text, number, rate_text, span, time_text

COLOURS = {
    GOOD: "blue", HONEST: "yellow", LATE: "orange", LATE_NO: "brown", "timeout": "red",
    "refused": "wine", "reset": "magenta", "dropped": "grey", "check_failed": "brown",
    "wrong_data": "wine",
}  # fmt: skip
PLAIN = (GOOD, HONEST)
"""These are not hatched: what works, and what said no in time."""
TALL, LOW = 108, 64
SHOWN = 0.005
"""Attempts per call are drawn if they differ from 1 by more."""
MARKED = (
    "agent_lost", "agent_back", "redistributed", "reports_lost", "stopping", "stop_rule", "limit",
    "error",
)  # fmt: skip
MARKS = 8
LIMITS = 3

Values = list[float | None]


def timeline(it: Gathered) -> Timeline:
    """Lanes above plots."""
    across = over_time(it.load.step * math.ceil(it.end / it.load.step), it.load.step)
    using, others = sides(it)
    drawn = _Drawing(it, using, others)
    lanes = [_phases(it), *(_lane(one) for one in it.faults)]
    return Timeline(across=across, lanes=lanes, plots=list(drawn.plots(across)), group="time")


def phases(it: Gathered) -> list[tuple[str, float, float]]:
    """All of them in order, with the probe's ramp."""
    found = [(name, first, last) for name, (first, last) in it.kept.phases.items() if last > first]
    found.sort(key=lambda one: one[1])
    known = {name: (first, last) for name, first, last in found}
    if "down" in known and "back" in known and known["back"][0] > known["down"][1]:
        at = next(index for index, one in enumerate(found) if one[0] == "back")
        found.insert(at, ("ramp", known["down"][1], known["back"][0]))
    return found


def _phases(it: Gathered) -> Lane:
    stretches = []
    for name, first, last in phases(it):
        label = f"{name}: {clock_text(first)} to {clock_text(last)}"
        tone = "strong" if name == "fault" else "plain"
        stretches.append(
            Stretch(first=first, last=last, text=name, label=label, tone=tone)  # type: ignore[arg-type]
        )
    return Lane(stretches=stretches)


def _lane(fault: Fault) -> Lane:
    record = fault.record
    real = span(record.off - record.on) if record.off > record.on else "never on"
    text = fault_words(fault)
    return Lane(
        letter=fault.letter,
        title=record.name,
        more=f"{fault.text}: {text}" if fault.text else text,
        stretches=[
            Stretch(
                first=fault.planned[0],
                last=fault.planned[1],
                tone="planned",
                label=f"{fault.letter} as planned: {_window(*fault.planned)}",
            ),
            Stretch(
                first=record.on,
                last=record.off,
                tone="fault",
                label=f"{fault.letter} as it was: {_window(record.on, record.off)}, {real}",
            ),
        ],
    )


def fault_words(fault: Fault) -> str:
    """`fired 371 times (of 371 matches); took effect 8.0ms late, lasted 6.0s of 6s planned`."""
    record = fault.record
    fired = "never fired" if not record.fired else f"fired {number(record.fired)} ×"
    if record.matched > record.fired:
        fired += f" of {number(record.matched)} matches"
    first, last = fault.planned
    late = record.on - first
    when = f"took effect {span(abs(late))} {'late' if late >= 0 else 'early'}"
    lasted = f"lasted {span(record.off - record.on)} of {span(last - first)} planned"
    stayed = "; COULD NOT BE REMOVED" if record.stayed else ""
    return f"{fired}; {when}, {lasted}{stayed}"


def _window(first: float, last: float) -> str:
    return f"{first:.1f}s to {last:.1f}s"


class _Drawing:
    """The plots of one experiment."""

    def __init__(self, it: Gathered, using: Side, others: Side) -> None:
        self.it, self.using, self.others = it, using, others
        self.step = it.load.step

    def plots(self, across: Any) -> Iterator[Plot]:
        """From top to bottom."""
        it = self.it
        more: dict[str, Any] = {
            "across": across,
            "bands": self._bands(),
            "edges": [first for _, first, _ in phases(it)][1:],
        }
        mapped = it.verdict.mapped if it.verdict is not None else it.kept.uses is not None
        name = _named(self.using.flows, "uses" if len(self.using.flows) == 1 else "use")
        dependency = ", ".join(dict.fromkeys(one.record.dependency for one in it.faults)) or "it"
        title = f"Calls a second that use {dependency}" if mapped else "Calls a second"
        first = True
        for side, words, about in (
            (self.using, title, name),
            (self.others, "Calls a second that do not", _named(self.others.flows, "")),
        ):
            if side.flows:
                yield self._stack(side, words, about, {**more, "marks": self._marks(first)})
                first = False
        yield self._latency(more)
        attempts = self._attempts(more)
        if attempts is not None:
            yield attempts
        yield self._in_flight(more)
        work = self._work(more)
        if work is not None:
            yield work

    def _bands(self) -> list[Band]:
        bands = [one for one in unsound_bands(self.it.load) if one.first < self.it.end]
        return bands + [
            Band(
                first=one.record.on,
                last=max(one.record.off, one.record.on + 0.05),
                tone="fault",
                letter=one.letter,
                label=f"{one.letter}: {one.record.name}",
            )
            for one in self.it.faults
        ]

    def _marks(self, first: bool) -> list[Mark]:
        """When it was well again, and what happened to the tool."""
        it = self.it
        found = [
            Mark(at=one.second, label="!", text=one.text or one.kind)
            for one in it.load.events
            if one.kind in MARKED and one.second <= it.end
        ][:MARKS]
        if first and it.verdict is not None and it.word not in ("invalid", "corrupt"):
            took = max((one.time_to_recover for one in it.verdict.flows if one.uses), default=0)
            at = it.verdict.windows["fault"][1] + took
            if took and at < it.verdict.windows["tail"][1] - 1:
                text = f"well again, {took} s after the fault ended"
                found.append(Mark(at=at, label="well again", text=text))
        return found

    def _lasted(self, at: int) -> float:
        """For how long a step lasted: the last one may be cut off."""
        return max(1.0, min(self.step, self.it.end - at * self.step))

    def _stack(self, side: Side, title: str, about: str, more: dict[str, Any]) -> Plot:
        offered: Values = [one.offered / self._lasted(at) for at, one in enumerate(side.steps)]
        lines = [
            Line(
                name=_class_text(name),
                values=[
                    one.classes.get(name, 0) / self._lasted(at) for at, one in enumerate(side.steps)
                ],
                colour=COLOURS.get(name, "slate"),
                style="area" if name in PLAIN else "hatch",
            )
            for name in side.there
        ]
        return Plot(
            title=title,
            note=about,
            lines=lines,
            over=[Line(name="offered", values=offered, colour="high", style="dashed")],
            text=rate_text,
            stacked=True,
            height=TALL,
            **more,
        )

    def _latency(self, more: dict[str, Any]) -> Plot:
        lines = []
        for share, colour in ((50, "low"), (95, "middle"), (99, "high")):
            values = [_percentile(one.served, share) for one in self.using.steps]
            lines.append(Line(name=f"p{share}", values=values, colour=colour))
        if self.others.flows:
            values = [_percentile(one.served, 95) for one in self.others.steps]
            lines.append(Line(name="p95 of the others", values=values, colour="grey", style="thin"))
        limits: dict[float, list[str]] = {}
        for flow, limit in self.using.deadlines.items():
            if flow in self.using.flows:
                limits.setdefault(round(limit, 6), []).append(flow)
        one = len(limits) == 1
        return Plot(
            title="Latency of served calls",
            note="from the intended start; logarithmic",
            lines=lines,
            text=time_text,
            log=True,
            limits=[
                Limit(
                    value=limit,
                    text=f"deadline {time_text(limit)}" + ("" if one else f" ({', '.join(flows)})"),
                )
                for limit, flows in sorted(limits.items())[:LIMITS]
            ],
            height=TALL,
            **more,
        )

    def _attempts(self, more: dict[str, Any]) -> Plot | None:
        lines = []
        for side, name, colour in (
            (self.using, "flows that use it", "plum"),
            (self.others, "others", "grey"),
        ):
            values: Values = [
                one.attempts / one.started if one.started else None for one in side.steps
            ]
            if any(one is not None for one in values):
                lines.append(Line(name=name, values=values, colour=colour))
        there = [one for line in lines for one in line.values if one is not None]
        if not any(abs(one - 1) > SHOWN for one in there):
            return None
        return Plot(
            title="Attempts per call", lines=lines, text=_times_text, least_top=2.0, height=LOW,
            **more,
        )  # fmt: skip

    def _in_flight(self, more: dict[str, Any]) -> Plot:
        values: Values = []
        agents = self.it.load.agents.values()
        for there in zip(*agents, strict=True):
            known = [one.in_flight for one in there if one is not None]
            values.append(float(sum(known)) if known else None)
        count = len(self.using.steps)
        values = (values + [None] * count)[:count]
        return Plot(
            title="In flight",
            note="calls that wait for their outcome",
            lines=[Line(name="calls", values=values, colour="blue")],
            text=number,
            least_top=4,
            height=LOW,
            **more,
        )

    def _work(self, more: dict[str, Any]) -> Plot | None:
        names = [one.record.dependency for one in self.it.faults]
        known = list(dict.fromkeys((*names, *self.it.kept.work)))
        lines = []
        colours = ("aqua", "green", "slate", "brown", "grey")
        for name, colour in zip(known, colours, strict=False):
            seconds = self.it.kept.work.get(name)
            if not seconds:
                continue
            values: Values = [0.0] * len(self.using.steps)
            for second, count in seconds.items():
                if 0 <= second // self.step < len(values):
                    at = second // self.step
                    values[at] = (values[at] or 0.0) + count / self._lasted(at)
            lines.append(Line(name=name, values=values, colour=colour))
        if not lines:
            return None
        return Plot(
            title="Work at the dependency",
            note="sent to it through its proxy",
            lines=lines,
            text=bytes_text,
            height=LOW,
            **more,
        )


def _percentile(served: Any, share: float) -> float | None:
    return max(served.percentile(share), 1e-6) if served.count > 0 else None


def _named(flows: Sequence[str], verb: str) -> str:
    """`cached, search and 3 more`."""
    shown = ", ".join(flows[:4])
    return shown + (f" and {len(flows) - 4} more" if len(flows) > 4 else "")


def _class_text(name: str) -> str:
    words = {GOOD: "served in time", HONEST: "quick no", LATE_NO: "no, but late"}
    return words.get(name, name.replace("_", " "))


def _times_text(value: float) -> str:
    return f"{value:.2f} ×"


def bytes_text(value: float) -> str:
    """`1.2 kB/s`."""
    for factor, unit in ((1e6, "MB/s"), (1e3, "kB/s")):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f} B/s"
