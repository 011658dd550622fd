"""What the parts of the load client hand each other: outcomes, calls, rows, reports, events.

A *call* is one logical request of a flow: one outcome, however many attempts it took. It belongs
to the second of its *intended* start. A *row* adds up the calls of one flow and one such second;
a *report* is what one agent adds to the rows within one second of its own clock. Everything a
report holds merges by addition, and each (agent, sequence) is merged once, so any tree of agents
gives the same numbers.

Times are seconds of the process's monotonic clock in calls, and seconds since the start of the
run in rows, reports and events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import attrs

from rascal.histogram import Histogram
from rascal.language.profile import OUTCOMES as FAILURES

SERVED = "served"
EXPLICIT = ("http_4xx", "http_5xx", "shed")
"""Replies that say no: honest, if they come in time."""
HARD = tuple(name for name in FAILURES if name not in EXPLICIT and name != "dropped")
"""Nobody answered, or what came cannot be used."""
OUTCOMES = (SERVED, *FAILURES)
"""Every outcome that a call can have; each call has one."""

Lane = Literal["fast", "treq", "other"]
"""Who carried a call: our client, stock treq, or a client of the user's in a timer block."""


class Flow:
    """A named kind of request, as one process records it. One object a name and process."""

    __slots__ = ("__weakref__", "kind", "name", "row", "rows", "second")

    def __init__(self, name: str, kind: FlowKind = "flow") -> None:
        self.name = name
        self.kind = kind
        self.rows: dict[int, Row] = {}
        """What was recorded since the last report, by second of intended start."""
        self.second = -1
        """The second of `row`, so that the commonest look-up is one comparison."""
        self.row: Row | None = None


FlowKind = Literal["flow", "scenario"]
"""A flow counts calls. Every scenario has a row set of its own, which counts iterations."""


class Call:
    """One logical call: under way, or ended with an outcome. The client makes it, `Recorder.done`
    counts it once it is sure (after the user's code that waited for the reply has run on)."""

    __slots__ = (
        "attempts",
        "detail",
        "ended",
        "failures",
        "first_byte",
        "flow",
        "held",
        "intended",
        "lane",
        "outcome",
        "received",
        "recorded",
        "reduced",
        "replies",
        "sent",
        "started",
    )

    def __init__(self, flow: Flow, intended: float, started: float) -> None:
        self.flow = flow
        self.intended = intended
        """When it should have begun: the arrival's intended start for the first call of an
        iteration, when the user's code asked for it for the others."""
        self.started = started
        """When the client began with it (then it looks for a connection or makes one)."""
        self.first_byte = 0.0
        self.ended = 0.0
        self.outcome = SERVED
        self.detail = ""
        """What went wrong, short, for samples: 'status 503', 'within 300ms: took 412ms'."""
        self.reduced = False
        self.attempts = 1
        self.replies = 0
        """Complete replies that came, over all attempts: what the server's log should count."""
        self.failures: dict[str, int] | None = None
        """Outcomes of the attempts before the last, by class."""
        self.sent = 0
        """Bytes, over all attempts; so is `received`."""
        self.received = 0
        self.lane: Lane = "fast"
        self.recorded = False
        self.held = False
        """An attempt within `user.retry` or `user.until`, which will record it."""


class Row:
    """Calls of one flow whose intended start fell into one second. Merges by addition.

    `planned` = `started` + `dropped` once the run has ended; `started` = the sum of `outcomes`
    (without dropped). In rows of scenarios a "call" is an iteration.
    """

    __slots__ = (
        "attempts",
        "dropped",
        "explicit",
        "explicit_actual",
        "failures",
        "lanes",
        "outcomes",
        "planned",
        "received",
        "reduced",
        "replies",
        "sent",
        "served",
        "served_actual",
        "started",
    )

    def __init__(self) -> None:
        self.planned = 0
        self.started = 0
        self.dropped = 0
        self.reduced = 0
        self.attempts = 0
        self.replies = 0
        self.sent = 0
        self.received = 0
        self.outcomes: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        """Outcomes of attempts that were followed by another."""
        self.lanes: dict[str, int] = {}
        """Calls not carried by the fast lane."""
        self.served = Histogram()
        """Of served calls, from the intended start; `explicit` for replies that say no."""
        self.explicit = Histogram()
        self.served_actual = Histogram()
        """The same, from the actual start: what a tool would report that does not correct."""
        self.explicit_actual = Histogram()

    def add(self, other: Row) -> None:
        """Add what `other` counted."""
        self.planned += other.planned
        self.started += other.started
        self.dropped += other.dropped
        self.reduced += other.reduced
        self.attempts += other.attempts
        self.replies += other.replies
        self.sent += other.sent
        self.received += other.received
        _add(self.outcomes, other.outcomes)
        _add(self.failures, other.failures)
        _add(self.lanes, other.lanes)
        self.served.add(other.served)
        self.explicit.add(other.explicit)
        self.served_actual.add(other.served_actual)
        self.explicit_actual.add(other.explicit_actual)


def _add(mine: dict[str, int], other: Mapping[str, int]) -> None:
    for name, times in other.items():
        mine[name] = mine.get(name, 0) + times


@attrs.define(kw_only=True)
class Meters:
    """How one agent was in one second: is it the bottleneck?"""

    in_flight: int = 0
    """Calls under way at the end of the second."""
    users: int = 0
    """Iterations under way (open model), users alive (closed model)."""
    cpu: float = 0.0
    """Share of one core that the process used."""
    busy: float = 0.0
    """Share of the second that the reactor was not waiting."""
    lag: float = 0.0
    """The reactor's greatest lag, seconds."""
    begun: int = 0
    """Calls (attempts) begun in the second."""
    gc: float = 0.0
    """The longest pause of the garbage collector, seconds."""
    lateness: Histogram = attrs.Factory(Histogram)
    """Actual minus intended start of arrivals."""
    connections: int = 0
    """Connections opened."""
    reused_lost: int = 0
    """Requests sent again because a kept connection had been closed by the server just then."""
    unsound: tuple[str, ...] = ()
    """Why this second's numbers are not to be trusted: "lag", "cpu", "late", "busy"."""


@attrs.define(kw_only=True)
class Sample:
    """One failing exchange, kept to be looked at. Secrets are masked before it is made."""

    second: float
    flow: str
    outcome: str
    detail: str
    method: str = ""
    url: str = ""
    request: str = ""
    """Head and the beginning of the body."""
    reply: str = ""
    took: float = 0.0
    agent: str = ""
    attempts: int = 1


@attrs.define(kw_only=True)
class Event:
    """Something that happened in a run and belongs on its timeline.

    `kind` is one of KINDS; `data` is plain JSON.
    """

    second: float
    kind: str
    text: str
    agent: str = ""
    data: Mapping[str, Any] = attrs.Factory(dict)


KINDS = (
    "started",
    "ended",
    "stopping",
    "changed",
    "agent_joined",
    "agent_lost",
    "agent_back",
    "redistributed",
    "reports_lost",
    "coordinator_lost",
    "unsound",
    "stop_rule",
    "limit",
    "note",
    "error",
)


@attrs.define(kw_only=True)
class Report:
    """What one agent adds in one second. `rows` maps (kind, flow, second) to what is added."""

    run: str
    agent: str
    sequence: int
    """From 0, without gaps: a report is merged once, and a gap is seen."""
    second: int
    rows: dict[tuple[str, str, int], Row] = attrs.Factory(dict)
    meters: Meters = attrs.Factory(Meters)
    samples: list[Sample] = attrs.Factory(list)
    events: list[Event] = attrs.Factory(list)
    owners: dict[str, str] = attrs.Factory(dict)
    """Flows that became known since the last report, and whose they are: the scenario that calls
    them, "" for several. Only in runs in which a scenario has a deadline."""
    deadlines: dict[str, float] = attrs.Factory(dict)
    """Seconds, of scenarios; whenever there are `owners`."""
    last: bool = False
    """The agent has drained; nothing follows."""


class RunStore(Protocol):
    """Where coordinator and judge keep runs; `rascal.store` implements it."""

    def create(self, plan: Mapping[str, Any], source: Mapping[str, bytes], **about: Any) -> str:
        """Keep a new run (its plan as JSON, the files of its bundle, versions, seed, host, pid)
        and give its id, such as "17"."""

    def begin(self, run: str, started: float) -> None:
        """Say at which time of the day second 0 was."""

    def add(self, run: str, report: Report) -> bool:
        """Merge a report; False if this (agent, sequence) is already there."""

    def event(self, run: str, event: Event) -> None:
        """Put an event on the run's timeline."""

    def finish(self, run: str, outcome: str, summary: Mapping[str, Any]) -> None:
        """End it: "completed", "stopped", "aborted", "interrupted", "failed", or "refused" if
        no load was ever sent."""

    def requests(self, run: str) -> list[Mapping[str, Any]]:
        """What others asked of the run since the last look (stop, change the profile)."""
