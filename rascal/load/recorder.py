"""What one process records of its calls and arrivals, second by second, until it is reported.

`Recorder.done` is on the path of every request: it finds the row with one comparison, counts the
outcome and puts two durations into histograms, all with as few calls as can be. What follows from
other numbers (planned, started, counts of histograms) is worked out when a row is reported.

A report holds what was added since the last one. A call whose outcome changes later (a check
after the call was recorded) is moved by negative numbers, so merging stays plain addition.

    engine.start       recorder.start = monotonic time of second 0 (what set-up recorded is dropped)
    session            begin() … done(call), or amend(call, outcome) if it was recorded already
    engine             planned(scenario, intended), dropped(…), iteration(…), report(second, meters)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from rascal.histogram import Histogram
from rascal.load.samples import SampleKeeper
from rascal.load.types import (
    EXPLICIT,
    SERVED,
    Call,
    Event,
    Flow,
    FlowKind,
    Meters,
    Report,
    Row,
    Sample,
)

MAX_FLOWS = 500
"""Names that one process keeps apart; calls beyond it are counted under OTHERS."""
MAX_NAME = 200
MAX_EVENTS = 100
"""In one report."""
OTHERS = "(other flows)"


class HardEnd(BaseException):
    """The run's hard end in requests. No Exception: a loop that catches those must end as well."""


class Recorder:
    """Counts what one agent does. One a process and run.

    Args:
        run: the run's id.
        agent: the agent's name, unique in the run.
        start: monotonic time of second 0; the engine sets it before load begins.
        clock: monotonic seconds, for events.
    """

    def __init__(
        self,
        run: str,
        agent: str,
        start: float = 0.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run = run
        self.agent = agent
        self.in_flight = 0
        """Calls begun and not done."""
        self.begun = 0
        """Calls begun since the beginning, attempts of retries each."""
        self.most = math.inf
        """Of them; whoever begins another ends by HardEnd."""
        self._begun = 0
        self.sequence = 0
        """Of the next report."""
        self._start = start
        self._clock = clock
        self._flows: dict[str, Flow] = {}
        self._scenarios: dict[str, Flow] = {}
        self._first: dict[str, str] = {}
        self.deadlines: dict[str, float] = {}
        """Of scenarios, as far as they have one; set by who knows them."""
        self._owners: dict[str, str] = {}
        self._owned: dict[str, str] = {}
        self._held: dict[str, dict[int, int]] = {}
        self._keeper = SampleKeeper()
        self._samples: list[Sample] = []
        self._events: list[Event] = []
        self._unsaid = 0

    @property
    def start(self) -> float:
        """Monotonic time of second 0. Setting it drops what was counted so far: set-up is no load.
        Its samples and events stay, in seconds before the start."""
        return self._start

    @start.setter
    def start(self, value: float) -> None:
        shift = self._start - value
        for sample in self._samples:
            sample.second += shift
        for event in self._events:
            event.second += shift
        self._keeper.shift(shift)
        self._start = value
        self._held.clear()
        self._owners.clear()
        self._owned.clear()
        for flow in (*self._flows.values(), *self._scenarios.values()):
            _reset(flow)

    def flow(self, name: str) -> Flow:
        """The flow of this name; always the same object."""
        return self._flows.get(name) or self._new(self._flows, name, "flow")

    def scenario(self, name: str) -> Flow:
        """The rows of a scenario, which count iterations."""
        return self._scenarios.get(name) or self._new(self._scenarios, name, "scenario")

    def _new(self, flows: dict[str, Flow], name: str, kind: FlowKind) -> Flow:
        name = name[:MAX_NAME]
        if name in flows:
            return flows[name]
        if len(flows) >= MAX_FLOWS:
            name = OTHERS
            if name in flows:
                return flows[name]
            self.event("note", f"over {MAX_FLOWS} names of flows: the others count together")
        flow = flows[name] = Flow(name, kind)
        return flow

    def owned(self, flow: Flow, scenario: str) -> None:
        """A scenario calls this flow: its deadline is the flow's if nobody else does."""
        name = flow.name
        owner = self._owners.get(name)
        if owner != scenario and owner != "":
            self._owners[name] = self._owned[name] = scenario if owner is None else ""

    def begin(self) -> None:
        """A call is under way. Raises HardEnd if there were enough."""
        if self.begun >= self.most:
            raise HardEnd("the hard end in requests was reached")
        self.in_flight += 1
        self.begun += 1

    def done(self, call: Call) -> None:
        """Count a call that has its outcome. Once a call."""
        self.in_flight -= 1
        call.recorded = True
        flow = call.flow
        intended = call.intended
        second = int(intended - self._start)
        row = flow.row
        if second != flow.second or row is None:
            row = _row_of(flow, second)
        outcome = call.outcome
        try:
            row.outcomes[outcome] += 1
        except KeyError:
            row.outcomes[outcome] = 1
        row.replies += call.replies
        row.sent += call.sent
        row.received += call.received
        if call.attempts != 1 or call.lane != "fast":
            _count_unusual(row, call)
        if outcome == "served":
            corrected, actual = row.served, row.served_actual
            if call.reduced:
                row.reduced += 1
        elif outcome in EXPLICIT:
            corrected, actual = row.explicit, row.explicit_actual
        else:
            return
        _record(corrected, actual, intended, call.started, call.ended)

    def amend(self, call: Call, outcome: str, detail: str = "") -> None:
        """Give a call that was recorded another outcome; one that was not just takes it."""
        before, reduced = call.outcome, call.reduced
        call.outcome = outcome
        call.detail = detail or call.detail
        if not call.recorded or outcome == before:
            return
        row = _row_of(call.flow, int(call.intended - self._start))
        for name, times in ((before, -1), (outcome, 1)):
            row.outcomes[name] = row.outcomes.get(name, 0) + times
            if name == SERVED and reduced:
                row.reduced += times
            for histogram, since in _histograms(row, name, call):
                histogram.record(_micro(call.ended - since), times)

    def reduce(self, call: Call) -> None:
        """Mark a call as reduced service, also after it was recorded."""
        if call.reduced:
            return
        call.reduced = True
        if call.recorded and call.outcome == SERVED:
            _row_of(call.flow, int(call.intended - self._start)).reduced += 1

    def planned(self, scenario: Flow | str, intended: float) -> None:
        """An arrival is due."""
        flow = self.scenario(scenario) if isinstance(scenario, str) else scenario
        second = int(intended - self._start)
        row = flow.row
        if second != flow.second or row is None:
            row = _row_of(flow, second)
        row.planned += 1

    def dropped(self, scenario: Flow | str, intended: float) -> None:
        """An arrival that was planned cannot start: the bound of calls in flight is reached."""
        flow = self.scenario(scenario) if isinstance(scenario, str) else scenario
        second = max(int(intended - self._start), 0)
        _row_of(flow, second).dropped += 1
        name = scenario if isinstance(scenario, str) else scenario.name
        first = self._first.get(name)
        if first is None:
            held = self._held.setdefault(name, {})
            held[second] = held.get(second, 0) + 1
        else:
            _row_of(self.flow(first), second).dropped += 1

    def first_flow(self, scenario: Flow | str, name: str) -> None:
        """A scenario begins with a call of this flow: arrivals that were dropped count there."""
        key = scenario if isinstance(scenario, str) else scenario.name
        if key in self._first:
            return
        self._first[key] = name
        for second, times in self._held.pop(key, {}).items():
            _row_of(self.flow(name), second).dropped += times

    def iteration(
        self,
        scenario: Flow | str,
        intended: float,
        started: float,
        ended: float,
        outcome: str = SERVED,
        detail: str = "",
    ) -> None:
        """An iteration has ended."""
        flow = self.scenario(scenario) if isinstance(scenario, str) else scenario
        second = int(intended - self._start)
        row = flow.row
        if second != flow.second or row is None:
            row = _row_of(flow, second)
        try:
            row.outcomes[outcome] += 1
        except KeyError:
            row.outcomes[outcome] = 1
        row.attempts += 1
        if outcome == "served":
            _record(row.served, row.served_actual, intended, started, ended)
        elif outcome in EXPLICIT:
            _record(row.explicit, row.explicit_actual, intended, started, ended)

    def sample(
        self, call: Call, method: str, url: str, request: bytes = b"", reply: bytes = b""
    ) -> None:
        """Keep a failing exchange, if there is room for one of its flow and outcome."""
        sample = self._keeper.sample(call, call.intended - self._start, method, url, request, reply)
        if sample is not None:
            sample.agent = self.agent
            self._samples.append(sample)

    def event(self, kind: str, text: str, **data: Any) -> None:
        """Put something on the run's timeline."""
        if len(self._events) >= MAX_EVENTS:
            self._unsaid += 1
            return
        second = self._clock() - self._start
        self._events.append(Event(second=second, kind=kind, text=text, agent=self.agent, data=data))

    def report(self, second: int, meters: Meters, last: bool = False) -> Report:
        """What was added since the last report; the recorder begins anew.

        Args:
            second: that has ended, of the agent's clock.
            meters: how the agent was in it; `in_flight` and `begun` are filled in here.
            last: the agent has drained.
        """
        if last:
            for scenario in list(self._held):  # no iteration of it has ever ended
                self.first_flow(scenario, scenario)
        if self._unsaid:
            self._events.append(
                Event(
                    second=float(second),
                    kind="note",
                    text=f"{self._unsaid} more events in this second",
                    agent=self.agent,
                )
            )
            self._unsaid = 0
        meters.in_flight = self.in_flight
        meters.begun, self._begun = self.begun - self._begun, self.begun
        report = Report(
            run=self.run,
            agent=self.agent,
            sequence=self.sequence,
            second=second,
            meters=meters,
            samples=self._samples,
            events=self._events,
            owners=self._owned,
            deadlines=dict(self.deadlines) if self._owned else {},
            last=last,
        )
        self._owned = {}
        self.sequence += 1
        self._samples, self._events = [], []
        self._keeper.reported()
        for flows in (self._flows, self._scenarios):
            for flow in flows.values():
                for number, row in flow.rows.items():
                    _close(row, flow.kind == "flow")
                    report.rows[flow.kind, flow.name, number] = row
                _reset(flow)
        return report


def _micro(seconds: float) -> int:
    return int(seconds * 1e6 + 0.5)


def _record(
    corrected: Histogram, actual: Histogram, intended: float, started: float, ended: float
) -> None:
    """Histogram.record, twice, written out. Counts follow from the buckets in `_close`."""
    value = int((ended - intended) * 1e6 + 0.5)
    if value > 255:
        shift = value.bit_length() - 8
        index = (shift << 7) + (value >> shift)
    else:
        index = value = value if value > 0 else 0
    corrected.total += value
    if value > corrected.high:
        corrected.high = value
    if value < corrected.low:
        corrected.low = value
    try:
        corrected.buckets[index] += 1
    except KeyError:
        corrected.buckets[index] = 1
    if started != intended:
        value = int((ended - started) * 1e6 + 0.5)
        if value > 255:
            shift = value.bit_length() - 8
            index = (shift << 7) + (value >> shift)
        else:
            index = value = value if value > 0 else 0
    actual.total += value
    if value > actual.high:
        actual.high = value
    if value < actual.low:
        actual.low = value
    try:
        actual.buckets[index] += 1
    except KeyError:
        actual.buckets[index] = 1


def _row_of(flow: Flow, second: int) -> Row:
    """The row of a second, made if need be; the next look-up begins there."""
    if second < 0:
        second = 0
    row = flow.rows.get(second)
    if row is None:
        row = flow.rows[second] = Row()
    flow.second, flow.row = second, row
    return row


def _reset(flow: Flow) -> None:
    flow.rows = {}
    flow.row = None
    flow.second = -1


def _count_unusual(row: Row, call: Call) -> None:
    """What most calls do not have. `attempts` holds those above one a call until `_close`."""
    row.attempts += call.attempts - 1
    if call.lane != "fast":
        row.lanes[call.lane] = row.lanes.get(call.lane, 0) + 1
    for name, times in (call.failures or {}).items():
        row.failures[name] = row.failures.get(name, 0) + times


def _histograms(row: Row, outcome: str, call: Call) -> tuple[tuple[Histogram, float], ...]:
    """Where a call of this outcome is, and since when it counts there."""
    if outcome == SERVED:
        return (row.served, call.intended), (row.served_actual, call.started)
    if outcome in EXPLICIT:
        return (row.explicit, call.intended), (row.explicit_actual, call.started)
    return ()


def _close(row: Row, calls: bool) -> None:
    """Work out what follows from the other numbers."""
    row.started = sum(row.outcomes.values())
    if calls:
        row.attempts += row.started
        row.planned = row.started + row.dropped
    for histogram in (row.served, row.explicit, row.served_actual, row.explicit_actual):
        histogram.count = sum(histogram.buckets.values())
