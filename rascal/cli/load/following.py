"""A run that another process goes on with, read from the store: the same looks as there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rascal.load.types import Event

if TYPE_CHECKING:
    from rascal.load.plan import Plan, Share
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
        self.ends = ends_of(self.plan.shares)
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
            self._draining |= event.kind in ("stopping", "stop_rule", "limit")
            if event.kind == "changed" and "shares" in event.data:
                self._changed(event)
        return events

    def _changed(self, event: Event) -> None:
        """Another profile, from a second on."""
        from rascal.load.plans_json import shares_from_json

        lasts = ends_of(shares_from_json(event.data["shares"]))
        second = float(event.data.get("second", event.second))
        self.ends = None if lasts is None else second + lasts

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
        ends = self.ends
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


def ends_of(shares: Sequence[Share]) -> float | None:
    """Seconds until the last profile ends; None if one goes on, or is a log that is replayed."""
    found = 0.0
    for share in shares:
        lasts = [stretch.lasts for stretch in share.profile]
        if not lasts or any(one is None for one in lasts):
            return None
        found = max(found, sum(float(one.value) for one in lasts if one is not None))
    return found
