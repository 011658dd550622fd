"""The runs of the panel: started as processes of their own, followed through the run store.

    page ─► Runs.start_load ─► queue ─► process ──rows, events──► run store
                                                                     │ one thread
    pages ◄─ hub of the run ◄─ ActiveRun ◄─────── Follower ◄─────────┘

Nothing of a run depends on this process: a panel that is killed and started again finds the runs
that go on in the store, reads them from their first second, and shows them as before. Runs that
were started from the command line are shown the same way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from rascal.control._problems import Problem
from rascal.errors import RascalError
from rascal.load.types import Event
from rascal.panel.active import ActiveRun
from rascal.panel.asking import Orders
from rascal.panel.faults import Noting, lanes_of
from rascal.panel.following import Follower, News
from rascal.panel.queue import Entry, Queue, save
from rascal.panel.runs_json import run_json
from rascal.panel.starting import Start, lives, start

log = Logger()
T = TypeVar("T")

BUSY, IDLE = 0.5, 1.0
"""Seconds between two looks into the store, while something goes on, and else."""
TROUBLE = 3.0
"""The same while the store cannot be read."""
ANSWER = 20.0
"""Seconds for which a request waits until its run has begun."""
TAKEN = 3.0
"""Seconds for which a request waits until a run has seen what is asked of it."""
LAST = 12
"""Runs that have ended, as the overview shows them."""

Found = tuple[News, dict[str, Any]]


class Desk:
    """What is done in the store's thread: one store, one follower for each run."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.followers: dict[str, Follower] = {}
        self._store: Any = None

    @property
    def store(self) -> Any:
        """The run store; opened by the thread that uses it. Raises StoreError."""
        if self._store is None:
            from rascal.store import Store

            self._store = Store(self.path)
        return self._store

    def look(
        self, wanted: set[str]
    ) -> tuple[dict[str, Found], dict[str, dict[str, Any]], set[str]]:
        """News of all runs that go on and of those that are wanted; the runs that go on; those
        that are not there."""
        store = self.store
        going = {}
        for (number,) in store.database.select("SELECT id FROM runs WHERE ended IS NULL"):
            run = store.run(str(number))
            if run.state == "running":
                going[run.id] = run_json(run)
        found, missing = {}, set()
        for run_id in sorted({*wanted, *going}, key=int):
            try:
                found[run_id] = self._news(run_id)
            except RascalError as error:
                log.debug("Run {run}: {error}", run=run_id, error=error)
                missing.add(run_id)
        return found, going, missing

    def _news(self, run_id: str) -> Found:
        follower = self.followers.get(run_id)
        if follower is None:
            follower = self.followers[run_id] = Follower(self.store, run_id)
        news = follower.read()
        return news, self.told(follower.run)

    def told(self, run: Any) -> dict[str, Any]:
        """A run as JSON, with its verdict."""
        from rascal.store.verdicts import verdict_of

        return run_json(run, verdict_of(self.store, run.id) if run.kind == "experiment" else None)

    def forget(self, run_id: str) -> None:
        """Nobody looks at it any more."""
        self.followers.pop(run_id, None)

    def close(self) -> None:
        """Give the file back."""
        if self._store is not None:
            self._store.close()
            self._store = None


class Runs(Orders):
    """All runs, those that wait included.

    Args:
        panel: the panel; its settings say where store, scenarios and experiments are.
    """

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        from rascal.store.database import default_path

        self.path = str(Path(panel.settings.store or default_path()).expanduser().absolute())
        self.active: dict[str, ActiveRun] = {}
        self.going: dict[str, dict[str, Any]] = {}
        """Runs that go on, as of the last look."""
        self.last: list[dict[str, Any]] = []
        """Those that ended last, the newest first."""
        self.queue = Queue(str(Path(self.path).with_suffix(".queue.json")))
        self.problem = ""
        """Why the store cannot be read."""
        self.noting = Noting(self)
        self._desk = Desk(self.path)
        self._pool = ThreadPool(1, 1, "rascal-store")
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
        self._started = self._closed = False
        self._timer: Any = None
        self._look: Deferred[Any] | None = None
        self._children: list[Any] = []
        self._starting: set[Deferred[Any]] = set()
        self._relook = True
        panel.snapshots["runs"] = self.snapshot
        panel.closing.append(self.close)
        panel.hub.listeners.append(self.noting.heard)

    # ---- the store's thread

    def ask(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """function(store, *args) in the store's thread; fires with what it gives."""
        return self._thread(lambda: function(self._desk.store, *args))

    def _thread(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        if self._closed:
            raise Problem(503, "stopping", "the panel is stopping")
        if not self._pool.started:
            self._pool.start()
        return deferToThreadPool(self.reactor, self._pool, function, *args)

    def start(self) -> None:
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
            wanted = {run_id for run_id, active in self.active.items() if not active.over}
            found, going, missing = await self._thread(self._desk.look, wanted)
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
        if self._relook:
            self._relook = False
            self.last = await self.ask(_ended, self._desk.told)
            self.panel.hub.publish("run", {"last": self.last})
        self._next()
        more = any(news.more for news, _ in found.values())
        self._soon(0.0 if more else BUSY if going or self.queue.starting else IDLE)

    def _apply(self, run_id: str, news: News, run: Mapping[str, Any]) -> None:
        active = self.active.get(run_id)
        if active is None:
            active = self.active[run_id] = ActiveRun(self.reactor, run, self._lanes)
        before = active.state
        active.apply(news, run)
        if active.ready and (news.rows or before != active.state):
            self.panel.hub.publish("run", active.brief())

    def _going(self, going: dict[str, dict[str, Any]]) -> None:
        if set(going) != set(self.going):
            self._relook = True
        self.going = going
        pids = {run["pid"] for run in going.values() if run.get("pid")}
        for entry in list(self.queue.starting.values()):
            # Of a panel that is no more: its run is there, or its process has gone.
            if entry.pid and not self._ours(entry) and (entry.pid in pids or not lives(entry.pid)):
                self.queue.starting.pop(entry.id)
                self._queue_changed()

    def _ours(self, entry: Entry) -> bool:
        return any(process.pid == entry.pid for process in self._children)

    def _tidy(self) -> None:
        """Reap processes, let go of runs that nobody looks at."""
        self._children = [one for one in self._children if one.poll() is None]
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
            self._thread(self._desk.forget, run_id)

    # ---- looking at runs

    async def open(self, which: str, flows: tuple[str, ...] = ()) -> ActiveRun:
        """A run to be looked at, with all that is known of it. Raises Problem, StoreError."""
        run_id = await self.find(which)
        active = self.active.get(run_id)
        if active is None:
            run = await self.ask(lambda store: self._desk.told(store.run(run_id)))
            active = self.active.setdefault(run_id, ActiveRun(self.reactor, run, self._lanes))
            self._hurry()
        active.looked = self.reactor.seconds()
        await active.whenever()
        if flows and flows not in active.views:
            view = active.view(flows)
            found = await self._thread(self._flow_rows, run_id, flows)
            for name, rows in found.items():
                view.rows[name] |= {row[0]: row for row in rows}
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
        return await self._thread(self._flow_rows, run_id, flows, first, last)

    def _hurry(self) -> None:
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

    # ---- starting

    async def begin(self, order: dict[str, Any], *, title: str, kind: str, by: str) -> Any:
        """Start a run, or let it wait: {"run": id}, {"starting": entry} or {"queued": entry}.

        Raises Problem: the lever is pulled, or it cannot be started.
        """
        self._check_lever()
        self.start()
        entry = self.queue.entry(order, title=title, kind=kind, by=by)
        if self.queue.waiting or self._full():
            place = self.queue.add(entry)
            await self._queue_changed()
            return {"queued": entry.json(place)}
        started = await self._spawn(entry)
        answer: Deferred[Any] = Deferred()

        def known(result: Any) -> None:
            if not answer.called:
                answer.callback(result)
            elif isinstance(result, Failure):
                result.trap(RascalError, CancelledError)

        def slow() -> None:
            if not answer.called:
                answer.callback(None)

        self._keep(self._first_word(started, entry)).addBoth(known)
        timer = self.reactor.callLater(ANSWER, slow)
        try:
            run = await answer
        except RascalError:  # whoever asked is told; it need not stand in the list
            self.queue.failed = [one for one in self.queue.failed if one.id != entry.id]
            self._queue_changed()
            raise
        finally:
            if timer.active():
                timer.cancel()
        return {"run": run} if run else {"starting": entry.json()}

    async def _spawn(self, entry: Entry) -> Start:
        self.queue.starting[entry.id] = entry
        order = {**entry.order, "entry": entry.id, "by": entry.by}
        try:
            started = await self._thread(
                start, order, str(Path(self.path).parent / "logs"), entry.id
            )
        except BaseException as error:
            self.queue.fail(entry, str(error))
            self._queue_changed()
            raise
        entry.pid = started.pid
        self._children.append(started.process)
        self._queue_changed()
        return started

    async def _first_word(self, started: Start, entry: Entry) -> str:
        try:
            run = await started.number(self.reactor)
        except Problem as problem:
            self.queue.fail(entry, "; ".join(_titles(problem)))
            self._queue_changed()
            raise
        self.queue.starting.pop(entry.id, None)
        self.going.setdefault(run, {"id": run, "pid": started.pid})
        self._queue_changed()
        self._hurry()
        return run

    def _full(self) -> bool:
        return bool(len(self.going) + len(self.queue.starting) >= self.panel.settings.running)

    def _next(self) -> None:
        """Those whose turn it is."""
        while self.queue.waiting and not self._full() and not self.lever():
            entry = self.queue.next()
            if entry is None:
                return
            turn = self._keep(self._its_turn(entry))
            turn.addErrback(lambda failure: failure.trap(RascalError, CancelledError) and None)

    def _keep(self, coroutine: Any) -> Deferred[Any]:
        """Run it; it is cancelled when the panel stops."""
        running: Deferred[Any] = Deferred.fromCoroutine(coroutine)
        self._starting.add(running)

        def done(result: Any) -> Any:
            self._starting.discard(running)
            return result

        return running.addBoth(done)

    async def _its_turn(self, entry: Entry) -> None:
        started = await self._spawn(entry)
        await self._first_word(started, entry)

    def _queue_changed(self) -> Deferred[None]:
        """Tell it, and keep it; fires once it is kept."""
        self.panel.hub.publish("queue", self.queue.json())
        if self._closed:
            return succeed(None)
        return self._thread(save, self.queue.path, self.queue.dumps())

    async def cancel(self, entry: str) -> None:
        """Take one out of the queue. Raises Problem."""
        self.queue.cancel(entry)
        await self._queue_changed()

    # ---- the lever

    def lever(self) -> dict[str, Any] | None:
        """Whether new runs are refused: by whom, since when."""
        if self.queue.held is not None:
            return self.queue.held
        found = getattr(self.panel.nodes, "lever", None)
        if isinstance(found, Mapping):
            return dict(found) if found.get("on", True) else None
        return {"by": "", "at": None} if found else None

    @property
    def held(self) -> dict[str, Any] | None:
        """The same."""
        return self.lever()

    def _check_lever(self) -> None:
        held = self.lever()
        if held is not None:
            by = f" by {held['by']}" if held.get("by") else ""
            text = f"everything was stopped{by}: new runs are refused until that is released"
            raise Problem(409, "lever", text)

    async def stop_all(self, by: str = "", *, now: bool = True) -> list[str]:
        """The lever: everything that runs is stopped, nothing begins. Gives the runs."""
        self.queue.held = {"on": True, "by": by, "at": round(time.time(), 3)}
        kept = self._queue_changed()
        for entry in list(self.queue.starting.values()):
            if entry.pid:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(entry.pid, 15)
        stopped = await self.ask(_stop_all, f"everything was stopped by {by or 'the panel'}", now)
        await kept
        self._hurry()
        return stopped

    def release(self, by: str = "") -> None:
        """The lever is let go: runs may begin again, first those that wait."""
        self.queue.held = None
        self._queue_changed()
        self._hurry()

    # ---- asking something of runs

    async def stop(self, which: str, *, now: bool = False, by: str = "") -> dict[str, Any]:
        """End a run: it drains; at once with `now`. Raises Problem, StoreError."""
        run_id = await self.find(which)
        why = f"stopped by {by}" if by else "stopped in the panel"
        await self.ask(lambda store: store.ask(run_id, "stop", now=now, why=why))
        return {"run": run_id, "taken": await self._taken(run_id)}

    async def change(
        self, which: str, profiles: Mapping[str, str], *, by: str = "", force: bool = False
    ) -> dict[str, Any]:
        """Other load for a run that goes on, from the next second but one. Raises Problem,
        ConfigErrors, StoreError."""
        run_id = await self.find(which)
        await self.ask(_change, run_id, dict(profiles), by, force)
        return {"run": run_id, "taken": await self._taken(run_id), "profiles": dict(profiles)}

    async def _taken(self, run_id: str) -> bool:
        """Whether the run has seen it; its process looks once a second."""
        ends = float(self.reactor.seconds()) + TAKEN
        while float(self.reactor.seconds()) < ends:
            if await self.ask(_seen, run_id):
                self._hurry()
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
        self._hurry()
        return dict(found)

    # ---- hand-made changes

    def noted(self, text: str, data: Mapping[str, Any]) -> None:
        """A fault was changed by hand: it becomes an event of every run that goes on.

        Args:
            text: a line for people.
            data: proxy, name, on (bool), by; and node, text (the fault's sentence) if known.
        """
        self.noting.noted(text, data)

    def record(self, kind: str, text: str, data: Mapping[str, Any], at: float) -> None:
        """Put an event on the timeline of every run that goes on; `at` is a time of the day."""
        for run_id, run in self.going.items():
            if run.get("started"):
                second = round(at - run["started"], 3)
                event = Event(second=second, kind=kind, text=text, data=dict(data))
                with suppress(Problem):
                    told = self.ask(
                        lambda store, run_id=run_id, event=event: store.note(run_id, event)
                    )
                    told.addErrback(lambda failure: log.warn("{why}", why=failure.value))
        self._hurry()

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
        for starting in list(self._starting):
            starting.cancel()
        for active in self.active.values():
            active.close()
        self.noting.close()
        if self._pool.started:
            self._pool.callInThread(self._desk.close)
            self._pool.stop()


def _ended(store: Any, told: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for (number,) in store.database.select(
        "SELECT id FROM runs WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT ?", LAST
    ):
        found.append(told(store.run(str(number))))
    return found


def _seen(store: Any, run_id: str) -> bool:
    return bool(store.taken(run_id)) or store.run(run_id).state != "running"


def _stop_all(store: Any, why: str, now: bool) -> list[str]:
    stopped = []
    for run in store.runs(outcomes=("running",)):
        with suppress(RascalError):
            stopped.append(store.ask(run.id, "stop", now=now, why=why))
    return stopped


def _change(store: Any, run_id: str, profiles: dict[str, str], by: str, force: bool) -> None:
    from rascal.load.planning import with_profiles
    from rascal.load.plans_json import plan_from_json

    run = store.run(run_id)
    if run.kind == "experiment" and not force:
        raise Problem(
            409, "experiment", "an experiment needs the load of its plan: a change would make "
            "its verdict worthless",
        )  # fmt: skip
    with_profiles(plan_from_json(dict(run.plan)).shares, profiles)
    store.ask(run_id, "change", profiles=profiles, by=by)


def _titles(problem: Problem) -> list[str]:
    errors = problem.more.get("errors") or ()
    return [str(one["title"]) for one in errors] or [f"{problem.title} {problem.detail}".strip()]
