"""Whole runs on three agents through a real Redis: one is killed, one is paused, Redis restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from agents_place import FILES, Target, agents, nginx, pause, plan, resume
from twisted.internet import reactor
from within import within

from rascal.load import embedded
from rascal.load.embedded import Server
from rascal.load.redis_link import RedisLink
from rascal.load.running import Finished, run_load
from rascal.load.types import Event
from rascal.store import Store

pytestmark = pytest.mark.skipif(not embedded.find_server(), reason="there is no redis-server")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with embedded.redis(port=True, folder=str(tmp_path)) as started:
        yield started


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with nginx(tmp_path) as started:
        yield started


class Watcher:
    """Does something so many seconds after the start."""

    def __init__(self, *does: tuple[float, Callable[[], None]]) -> None:
        self.does = does
        self.events: list[Event] = []
        self.timers: list[Any] = []

    def began(self, run: str, control: Any) -> None:
        pass

    def snapshot(self, snapshot: Any) -> None:
        pass

    def event(self, event: Event) -> None:
        self.events.append(event)
        if event.kind == "started":
            self.timers = [reactor.callLater(at, call) for at, call in self.does]  # type: ignore[attr-defined]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


async def run(
    server: Server, target: Target, profile: str, watcher: Watcher, store: Any = None, **more: Any
) -> Finished:
    link = RedisLink(server.place, reactor, patience=30.0)
    going = run_load(
        reactor, plan(target, profile, **more), FILES,
        link=link, agents=3, listener=watcher, store=store,
    )  # fmt: skip
    try:
        return await within(60, going)
    finally:
        for timer in watcher.timers:
            if timer.active():
                timer.cancel()


@pytest_twisted.ensureDeferred
async def test_one_of_three_agents_is_killed(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server, 3, tmp_path) as processes, Store(tmp_path / "runs.db") as store:
        watcher = Watcher((3.4, processes[1].kill))
        finished = await run(server, target, "hold 150/s for 9s", watcher, store)
        dead = next(
            name
            for name, one in finished.summary["agents"].items()
            if one["pid"] == processes[1].pid
        )
        reports = [report for _, report in store.reports(finished.run)]
        kept = store.results(finished.run).total()
    assert finished.outcome == "completed"
    replies = dict.fromkeys(finished.summary["agents"], 0)
    for report in reports:
        for (kind, _, _), row in report.rows.items():
            replies[report.agent] += row.replies if kind == "flow" else 0
    for name, one in finished.summary["agents"].items():
        seen = target.count(one["pid"])
        if name == dead:  # what it did after its last report died with it
            assert 0 < replies[name] <= seen <= replies[name] + 150
        else:
            assert replies[name] == seen > 0
    assert finished.results.total().replies == sum(replies.values()) == kept.replies
    kinds = watcher.kinds()
    assert kinds.index("agent_lost") < kinds.index("redistributed")
    # From the new share-out on, all arrivals are offered again.
    shared = next(event for event in watcher.events if event.kind == "redistributed")
    rows = finished.results.rows("flow", "home")
    after = [rows[second].planned for second in range(shared.data["second"], 9)]
    assert after
    assert sum(after) > 150 * len(after) * 0.8
    assert any(f"agent {dead} was lost" in one for one in finished.summary["warnings"])


@pytest_twisted.ensureDeferred
async def test_an_agent_is_paused_and_redis_restarts(
    server: Server, target: Target, tmp_path: Path
) -> None:
    """Nothing is counted twice, nothing is missing: what is reported is what nginx answered."""
    with agents(server, 3, tmp_path) as processes:
        watcher = Watcher(
            (1.4, lambda: pause(processes[0])),
            (5.5, lambda: resume(processes[0])),
            (8.2, server.restart),
        )
        finished = await run(server, target, "hold 120/s for 12s", watcher)
    assert finished.outcome == "completed"
    assert finished.results.gaps() == []
    assert finished.results.total().replies == target.count()
    kinds = watcher.kinds()
    assert kinds.count("agent_lost") == kinds.count("agent_back") == 1
    assert kinds.count("redistributed") == 2
    total = finished.results.total()
    assert total.started == sum(total.outcomes.values())
    assert total.planned == total.started + total.dropped
    # The seconds in which an agent slept are known not to be sound.
    assert finished.summary["unsound"]["seconds"]
