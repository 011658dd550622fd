"""The runs of the panel: started as processes of their own, followed through the run store.

    page ─► Runs.start_load ─► queue ─► process ──rows, events──► run store
                                                                     │ one thread
    pages ◄─ hub of the run ◄─ ActiveRun ◄─────── Follower ◄─────────┘

Nothing of a run depends on this process: a panel that is killed and started again finds the runs
that go on in the store, reads them from their first second, and shows them as before. Runs that
were started from the command line are shown the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from rascal.control._problems import Problem
from rascal.errors import RascalError
from rascal.load.types import Event
from rascal.panel import desk
from rascal.panel.active import ActiveRun
from rascal.panel.admitting import Admission
from rascal.panel.faults import Noting, lanes_of
from rascal.panel.merging import News
from rascal.panel.queue import Entry

log = Logger()
T = TypeVar("T")

BUSY, IDLE = 0.5, 1.0
"""Seconds between two looks into the store, while something goes on, and else."""
TROUBLE = 3.0
"""The same while the store cannot be read."""
TAKEN = 3.0
"""Seconds for which a request waits until a run has seen what is asked of it."""
GRACE = 2.0
"""Seconds from the lever until a run that is still starting is killed."""
PATIENCE = 20.0
"""Seconds from the lever until processes of ours that go on are ended by a signal."""
FRESH = 10
"""A run of fewer seconds has just begun."""


class Runs(Admission):
    """All runs, those that wait included.

    Args:
        panel: the panel; its settings say where store, scenarios and experiments are.
    """

    def __init__(self, panel: Any) -> None:
        from rascal.store.database import default_path

        path = Path(panel.settings.store or default_path()).expanduser().absolute()
        super().__init__(panel, str(path))
        self.active: dict[str, ActiveRun] = {}
        self.last: list[dict[str, Any]] = []
        """Those that ended last, the newest first."""
        self.problem = ""
        """Why the store cannot be read."""
        self.noting = Noting(self)
        self._desk = desk.Desk(self.path)
        self._pool = ThreadPool(1, 1, "rascal-store")
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
        self._started = False
        self._timer: Any = None
        self._look: Deferred[Any] | None = None
        self._relook = True
        self._stopped: set[str] = set()
        """Runs that were asked to end since the lever was pulled."""
        self._fresh: set[str] = set()
        """Runs that have just begun."""
        panel.snapshots["runs"] = self.snapshot
        panel.closing.append(self.close)
        panel.hub.listeners.append(self.noting.heard)

    # ---- the store's thread

    def ask(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """function(store, *args) in the store's thread; fires with what it gives."""
        return self.in_thread(lambda: function(self._desk.store, *args))

    def in_thread(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """function(*args) in the store's thread. Raises Problem: the panel is stopping."""
        if self._closed:
            raise Problem(503, "stopping", "the panel is stopping")
        if not self._pool.started:
            self._pool.start()
        return deferToThreadPool(self.reactor, self._pool, function, *args)

    def begin_to_look(self) -> None:
        """Begin to look; what waited when the last panel ended waits on."""
        if self._started or self._closed:
            return
        self._started = True
        self.queue.load()
        self._soon(0.0)

    def _soon(self, seconds: float) -> None:
        if not self._closed:
            self._timer = self.reactor.callLater(seconds, self._tick)

    def _tick(self) -> None:
        self._look = Deferred.fromCoroutine(self._turn())
        self._look.addErrback(self._stumbled)

    def _stumbled(self, failure: Any) -> None:
        if not failure.check(CancelledError):
            log.failure("looking after the runs failed", failure)
        self._soon(TROUBLE)

    async def _turn(self) -> None:
        """One look, and what follows from it."""
        try:
            wanted = {
                run_id: frozenset(name for flows in active.views for name in flows)
                for run_id, active in self.active.items()
                if not active.over
            }
            found, going, missing = await self.in_thread(self._desk.look, wanted)
        except RascalError as error:
            if str(error) != self.problem:
                log.error("The run store cannot be read: {error}", error=error)
            self.problem = str(error)
            self._soon(TROUBLE)
            return
        if self._closed:
            return
        self.problem = ""
        for run_id, (news, run) in found.items():
            self._apply(run_id, news, run)
        for run_id in missing:
            self._drop(run_id, "deleted")
        self._going(going)
        self._tidy()
        if self.queue.held and not self._stopped.issuperset(going):
            await self._stop_those_that_run()
            self._stopped.update(going)
        if self._relook:
            self._relook = False
            self.last = await self.ask(desk.ended, self._desk.told)
            self.panel.hub.publish("run", {"last": self.last})
        self.next_ones()
        more = any(news.more for news, _ in found.values())
        self._soon(0.0 if more else BUSY if going or self.queue.starting else IDLE)

    def _apply(self, run_id: str, news: News, run: Mapping[str, Any]) -> None:
        active = self.active.get(run_id)
        if active is None:
            active = self.active[run_id] = ActiveRun(self.reactor, run, self._lanes)
        before, ready, over = active.state, active.ready, active.over
        active.apply(news, run)
        if active.ready and not ready and not active.over and len(active.rows) < FRESH:
            self._fresh.add(run_id)
        if active.over and not over:
            self._relook = True
        if active.ready and (news.rows or before != active.state):
            self.panel.hub.publish("run", active.brief())

    async def look_who_runs(self) -> None:
        """Bring `going` up to date."""
        found = await self.in_thread(self._desk.going)
        self._begun.clear()  # they were in the store before they were told of
        self._relook |= set(found) != set(self.going)
        self.going = found

    def _going(self, going: dict[str, dict[str, Any]]) -> None:
        if set(going) != set(self.going):
            self._relook = True
        self.going = going
        for run_id in [one for one in self._fresh if going.get(one, {}).get("started")]:
            self._fresh.discard(run_id)
            if run_id in self.active:
                self.noting.begun(self.active[run_id])
        self._fresh &= set(going)
        pids = {run["pid"] for run in going.values() if run.get("pid")}
        for entry in list(self.queue.starting.values()):
            # Of a panel that is no more: its run is there, or its process has gone.
            if entry.pid and not self._ours(entry) and (entry.pid in pids or not entry.lives):
                self.queue.starting.pop(entry.id)
                self.queue_changed()

    def _ours(self, entry: Entry) -> bool:
        return any(process.pid == entry.pid for process in self.children)

    def _tidy(self) -> None:
        """Reap processes, let go of runs that nobody looks at."""
        self.children = [one for one in self.children if one.poll() is None]
        for run_id, active in list(self.active.items()):
            if run_id not in self.going and active.forgettable:
                self._let_go(run_id)

    def _drop(self, run_id: str, why: str) -> None:
        active = self.active.get(run_id)
        if active is not None:
            active.gone(why)
        self._let_go(run_id)

    def _let_go(self, run_id: str) -> None:
        active = self.active.pop(run_id, None)
        if active is not None:
            active.close()
        with suppress(Problem):
            self.in_thread(self._desk.forget, run_id)

    # ---- looking at runs

    async def open(self, which: str, flows: tuple[str, ...] = ()) -> ActiveRun:
        """A run to be looked at, with all that is known of it. Raises Problem, StoreError."""
        run_id = await self.find(which)
        active = self.active.get(run_id)
        if active is None:
            run = await self.ask(lambda store: self._desk.told(store.run(run_id)))
            active = self.active.setdefault(run_id, ActiveRun(self.reactor, run, self._lanes))
            self.hurry()
        active.looked = self.reactor.seconds()
        try:
            await active.whenever()
        except CancelledError:
            raise Problem(409, "unreadable", f"run {run_id} cannot be read") from None
        view = active.view(flows)
        if not view.whole:
            found = await self.in_thread(self._flow_rows, run_id, flows)
            for name, rows in found.items():
                view.rows[name] |= {row[0]: row for row in rows}
            view.whole = True
        return active

    def _flow_rows(
        self, run_id: str, flows: tuple[str, ...], first: int = 0, last: int = 1 << 40
    ) -> dict[str, Any]:
        follower = self._desk.followers.get(run_id)
        return follower.series(first, last, list(flows)) if follower is not None else {}

    async def flow_rows(
        self, run_id: str, flows: tuple[str, ...], first: int, last: int
    ) -> dict[str, Any]:
        """Rows of single flows of a run that is open."""
        return await self.in_thread(self._flow_rows, run_id, flows, first, last)

    def hurry(self) -> None:
        """Look at once."""
        if self._timer is not None and self._timer.active():
            self._timer.reset(0.0)

    async def find(self, which: str) -> str:
        """The number of a run. Raises Problem (404)."""
        from rascal.store import StoreError

        if which in self.active:
            return which
        try:
            return str(await self.ask(lambda store: store.number(which)))
        except StoreError as error:
            if self.problem:
                raise
            raise Problem(404, "unknown-name", str(error)) from error

    def _lanes(self, active: ActiveRun) -> list[dict[str, Any]]:
        return lanes_of(active, self.panel.nodes)

    # ---- the lever

    async def stop_all(self, by: str = "", *, now: bool = True) -> list[str]:
        """The lever: everything that runs is stopped, nothing begins. Gives the runs."""
        self.queue.held = {"on": True, "by": by, "at": round(time.time(), 3)}
        kept = self.queue_changed()
        starting = list(self.queue.starting.values())
        for entry in starting:
            entry.signal(SIGTERM)
        if starting:
            self.reactor.callLater(GRACE, self._insist, starting)
        self.reactor.callLater(PATIENCE, self._end_ours, list(self.children))
        stopped = await self._stop_those_that_run(now)
        await kept
        self.hurry()
        return stopped

    async def _stop_those_that_run(self, now: bool = True) -> list[str]:
        """Also those that turn up while the lever is pulled, whoever started them."""
        by = (self.queue.held or {}).get("by") or "the panel"
        stopped = await self.ask(desk.stop_all, f"everything was stopped by {by}", now)
        self._stopped.update(stopped)
        return stopped

    def _insist(self, starting: list[Entry]) -> None:
        """Those that were starting, and have not ended although they were asked to."""
        for entry in starting:
            if self.queue.held and entry.id in self.queue.starting:
                entry.signal(SIGKILL)

    def _end_ours(self, children: list[Any]) -> None:
        """Processes that did not see what the store asked of them: it may be gone."""
        for child in children:
            if self.queue.held and child.poll() is None:
                child.terminate()

    def release(self, by: str = "") -> None:
        """The lever is let go: runs may begin again, first those that wait."""
        self.queue.held = None
        self._stopped.clear()
        self.queue_changed()
        self.hurry()

    # ---- asking something of runs

    async def stop(self, which: str, *, now: bool = False, by: str = "") -> dict[str, Any]:
        """End a run: it drains; at once with `now`. Raises Problem, StoreError."""
        run_id = await self.find(which)
        why = f"stopped by {by}" if by else "stopped in the panel"
        await self.ask(lambda store: store.ask(run_id, "stop", now=now, why=why))
        return {"run": run_id, "taken": await self.taken(run_id)}

    async def change(
        self, which: str, profiles: Mapping[str, str], *, by: str = "", force: bool = False
    ) -> dict[str, Any]:
        """Other load for a run that goes on, from the next second but one. Raises Problem,
        ConfigErrors, StoreError."""
        run_id = await self.find(which)
        await self.ask(desk.change, run_id, dict(profiles), by, force)
        return {"run": run_id, "taken": await self.taken(run_id), "profiles": dict(profiles)}

    async def taken(self, run_id: str) -> bool:
        """Whether the run has seen it; its process looks once a second."""
        ends = float(self.reactor.seconds()) + TAKEN
        while float(self.reactor.seconds()) < ends:
            if await self.ask(desk.seen, run_id):
                self.hurry()
                return True
            await deferLater(self.reactor, 0.1, lambda: None)
        return False

    async def delete(self, which: str) -> None:
        """Take a run away. Raises Problem, StoreError: it goes on."""
        run_id = await self.find(which)
        await self.ask(lambda store: store.delete(run_id))
        self._drop(run_id, "deleted")
        self._relook = True
        self.panel.hub.publish("run", {"id": run_id, "state": "deleted"})

    async def label(self, which: str, add: list[str], remove: list[str]) -> dict[str, Any]:
        """Give a run labels, or take some away."""
        run_id = await self.find(which)
        found = await self.ask(lambda store: self._desk.told(store.label(run_id, add, remove)))
        if run_id in self.active:
            self.active[run_id].run = found
        self._relook = True
        self.hurry()
        return dict(found)

    # ---- hand-made changes

    def noted(self, text: str, data: Mapping[str, Any]) -> None:
        """A fault was changed by hand: it becomes an event of every run that goes on.

        Args:
            text: a line for people.
            data: proxy, name, on (bool), by; and node, text (the fault's sentence) if known.
        """
        self.noting.noted(text, data)

    def record(
        self, kind: str, text: str, data: Mapping[str, Any], at: float, run: str = ""
    ) -> None:
        """Put an event on the timeline of every run that goes on, or of that one; `at` is a time
        of the day."""
        for run_id, known in self.going.items():
            if not known.get("started") or run not in ("", run_id):
                continue
            second = round(max(0.0, at - known["started"]), 3)
            event = Event(second=second, kind=kind, text=text, data=dict(data))
            with suppress(Problem):
                self.ask(desk.note, run_id, event).addErrback(_unnoted)
        self.hurry()

    # ---- the overview

    def snapshot(self, caller: Any) -> dict[str, Any]:
        """What runs, what waits, what ended last."""
        return {
            "active": {
                run_id: {**active.brief(), "spark": active.spark()}
                for run_id, active in self.active.items()
                if active.ready and not active.over
            },
            "queue": self.queue.json(),
            "last": self.last,
            "problem": self.problem,
        }

    async def close(self) -> None:
        """The panel stops; the runs go on."""
        self._closed = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for starting in list(self._pending):
            starting.cancel()
        for active in self.active.values():
            active.close()
        self.noting.close()
        if self._pool.started:
            self._pool.callInThread(self._desk.close)
            self._pool.stop()


def _unnoted(failure: Any) -> None:
    log.warn("An event could not be kept: {why}", why=failure.value)
