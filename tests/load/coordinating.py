"""A link without agents, on a Clock: tests say what agents report, and when they are lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rascal.load.coordinator import Coordinator
from rascal.load.links import AgentInfo, Callbacks
from rascal.load.plan import Plan, Share
from rascal.load.planning import plan_of
from rascal.load.running import Finished, Snapshot
from rascal.load.types import Event, Meters, Report, Row

SOON = 0.25


class FakeLink:
    """Does what it is told, and remembers it."""

    def __init__(self, clock: Clock, names: Sequence[str]) -> None:
        self.calls = Callbacks()
        self.clock = clock
        self.infos = [AgentInfo(name=name, index=n) for n, name in enumerate(names)]
        self.said: list[tuple[Any, ...]] = []
        self.prepared: Deferred[None] | None = None
        """A test may make `prepare` wait."""
        self.broken: dict[str, Exception] = {}

    def _say(self, *what: Any) -> None:
        self.said.append(what)
        if what[0] in self.broken:
            raise self.broken[what[0]]

    async def gather(self, count: int) -> Sequence[AgentInfo]:
        self._say("gather", count)
        return self.infos

    async def prepare(self, run: str, plan: Plan, files: Mapping[str, bytes]) -> None:
        self._say("prepare", run)
        if self.prepared is not None:
            await self.prepared

    async def start(self) -> float:
        self._say("start")
        return float(self.clock.seconds()) + SOON

    def change(self, shares: Sequence[Share], second: int) -> None:
        self._say("change", shares, second)

    def reshare(self, members: Sequence[int], second: int) -> None:
        self._say("reshare", list(members), second)

    def stop(self, now: bool = False) -> None:
        self._say("stop", now)

    async def close(self) -> None:
        self._say("close")

    def words(self) -> list[str]:
        return [one[0] for one in self.said]


class Watcher:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.snapshots: list[Snapshot] = []
        self.control: Any = None
        self.run = ""

    def began(self, run: str, control: Any) -> None:
        self.run, self.control = run, control

    def snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def text(self, kind: str) -> str:
        return next(event.text for event in self.events if event.kind == kind)


class FakeStore:
    """Keeps a run in lists; `fails` makes every call raise it."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.plan: Mapping[str, Any] = {}
        self.about: dict[str, Any] = {}
        self.reports: list[Report] = []
        self.events: list[Event] = []
        self.asked: list[Mapping[str, Any]] = []
        self.finished: tuple[str, Mapping[str, Any]] | None = None
        self.began: float | None = None

    def _check(self) -> None:
        if self.fails is not None:
            raise self.fails

    def create(self, plan: Mapping[str, Any], source: Mapping[str, bytes], **about: Any) -> str:
        self._check()
        self.plan, self.about = plan, about
        return "17"

    def begin(self, run: str, started: float) -> None:
        self._check()
        self.began = started

    def add(self, run: str, report: Report) -> bool:
        self._check()
        self.reports.append(report)
        return True

    def event(self, run: str, event: Event) -> None:
        self._check()
        self.events.append(event)

    def finish(self, run: str, outcome: str, summary: Mapping[str, Any]) -> None:
        self._check()
        self.finished = (outcome, summary)

    def requests(self, run: str) -> list[Mapping[str, Any]]:
        self._check()
        asked, self.asked = self.asked, []
        return asked


class Stage:
    """A coordinator, its clock, its agents."""

    def __init__(
        self,
        names: Sequence[str] = ("a",),
        *,
        store: FakeStore | None = None,
        files: Mapping[str, bytes] | None = None,
        **values: Any,
    ) -> None:
        given = {"target": "http://127.0.0.1:1", "rate": "10/s", "for": "5s", "spacing": "even"}
        given |= {"for" if name == "for_" else name: value for name, value in values.items()}
        self.plan = plan_of(given, scenarios=("look",), file="shop.py")
        self.clock = Clock()
        self.clock.advance(100)
        self.link = FakeLink(self.clock, names)
        self.watcher = Watcher()
        self.store = store
        self.coordinator = Coordinator(
            self.plan,
            files or {"shop.py": b""},
            self.link,
            store,
            clock=self.clock,
            listener=self.watcher,
            agents=len(names),
            now=lambda: 1_700_000_000.0 + self.clock.seconds(),
        )
        self.sequences = dict.fromkeys(names, 0)
        self.ended: Deferred[Finished] | None = None

    def begin(self) -> Deferred[Finished]:
        self.ended = Deferred.fromCoroutine(self.coordinator.run())
        return self.ended

    def until(self, second: float) -> None:
        """Turn the clock to a second of the run."""
        start = self.coordinator.start
        assert start is not None
        while (left := start + second - self.clock.seconds()) > 1e-9:
            self.clock.advance(min(left, 1 / 16))

    def report(
        self,
        agent: str,
        second: int,
        planned: int = 10,
        *,
        last: bool = False,
        outcomes: Mapping[str, int] | None = None,
        dropped: int = 0,
        latency: float = 0.01,
        events: Sequence[Event] = (),
        **meters: Any,
    ) -> Report:
        """An agent did this in a second."""
        found = dict(outcomes if outcomes is not None else {"served": planned - dropped})
        rows = {}
        for kind, name in (("flow", "home"), ("scenario", "look")):
            row = Row()
            row.planned, row.dropped = planned, dropped
            row.started = row.attempts = planned - dropped
            row.replies = row.started
            row.outcomes = dict(found)
            row.served.record(int(latency * 1e6), found.get("served", 0))
            row.served_actual.record(1000, found.get("served", 0))
            if planned:
                rows[kind, name, second] = row
        report = Report(
            run=self.coordinator.keeper.id,
            agent=agent,
            sequence=self.sequences[agent],
            second=second,
            rows=rows,  # type: ignore[arg-type]
            meters=Meters(begun=planned - dropped, **meters),
            events=list(events),
            last=last,
        )
        self.sequences[agent] += 1
        self.link.calls.on_report(report)
        return report

    def go(self, seconds: int, *agents: str, **given: Any) -> None:
        """Agents report these seconds of the run, from where they are, each in its time."""
        for _ in range(seconds):
            second = self.coordinator.second
            self.until(second + 1)
            for agent in agents or self.sequences:
                self.report(agent, second, **given)

    def last(self, *agents: str) -> None:
        """Agents have drained."""
        for agent in agents or self.sequences:
            self.report(agent, self.coordinator.second, 0, last=True)

    def result(self) -> Finished:
        """The run has ended."""
        found: list[Finished] = []
        assert self.ended is not None
        self.ended.addCallback(found.append)
        assert found, "the run goes on"
        return found[0]
