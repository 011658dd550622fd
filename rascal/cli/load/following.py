"""A run that another process goes on with, read from the store: the same looks as there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rascal.load.types import Event

if TYPE_CHECKING:
    from rascal.load.plan import Plan
    from rascal.load.results import Results
    from rascal.load.running import Snapshot
    from rascal.store import Run, Store


class Follower:
    """Reads what is new of a run, once a second."""

    def __init__(self, store: Store, run: str) -> None:
        from rascal.load.links import AgentInfo
        from rascal.load.plans_json import plan_from_json
        from rascal.load.results import Results

        self._store = store
        self.run: Run = store.run(run)
        self.plan: Plan = plan_from_json(dict(self.run.plan))
        self.results: Results = Results()
        self._report = self._event = 0
        self._last: dict[str, int] = {}
        self._ended: set[str] = set()
        self._gone: dict[str, bool] = {}
        self._draining = False
        self._agents = {
            str(one["name"]): AgentInfo(name=str(one["name"]), host=str(one.get("host", "")))
            for one in self.run.about.get("agents", ())
        }

    def read(self) -> list[Event]:
        """Merge what is new; gives the events among it."""
        self.run = self._store.run(self.run.id)
        for number, report in self._store.reports(self.run.id, self._report):
            self._report = number
            self.results.add(report)
            self._last[report.agent] = max(report.second, self._last.get(report.agent, -1))
            if report.last:
                self._ended.add(report.agent)
        events = []
        for number, event in self._store.news(self.run.id, self._event):
            self._event = number
            events.append(event)
            if event.agent and event.kind in ("agent_lost", "agent_back"):
                self._gone[event.agent] = event.kind == "agent_lost"
            self._draining |= event.kind == "stopping"
        return events

    @property
    def lost(self) -> tuple[str, ...]:
        """Agents that are gone."""
        return tuple(name for name, gone in self._gone.items() if gone)

    @property
    def closed(self) -> int:
        """The last second that all agents have reported past."""
        ongoing = [
            second
            for agent, second in self._last.items()
            if agent not in self._ended and agent not in self.lost
        ]
        return min(ongoing) if ongoing else max(self._last.values(), default=-1)

    def snapshot(self, now: float) -> Snapshot:
        """The run as its own process shows it, about a second behind."""
        from rascal.load.running import Snapshot

        second = max(self._last.values(), default=-1) + 1
        if self.run.started is not None and self.run.state == "running":
            second = max(second, int(now - self.run.started))
        ends = ends_of(self.plan)
        state: Any = "running"
        if self.run.state != "running":
            state = "ended"
        elif not self._last:
            state = "starting"
        elif self._draining or (ends is not None and second > ends):
            state = "draining"
        return Snapshot(
            run=self.run.id,
            second=second,
            closed=self.closed,
            results=self.results,
            state=state,
            agents=self._agents,
            lost=self.lost,
            ends=ends,
        )

    def follow(self, every: float = 1.0) -> Iterator[tuple[Snapshot, list[Event]]]:
        """A look and what happened, until the run has ended; the last look is of its end."""
        while True:
            events = self.read()
            yield self.snapshot(time.time()), events
            if self.run.state != "running":
                return
            time.sleep(every)


def ends_of(plan: Plan) -> float | None:
    """Seconds until the last profile ends; None if it goes on."""
    found = 0.0
    for share in plan.shares:
        for stretch in share.profile:
            if stretch.lasts is None:
                return None
        found = max(found, sum(float(one.lasts.value) for one in share.profile if one.lasts))
    return found or None
