"""Who runs when: at once or in the queue, and nothing while the lever is pulled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from rascal.control._problems import Problem
from rascal.errors import RascalError
from rascal.panel.asking import Orders
from rascal.panel.queue import Entry, Queue, save
from rascal.panel.starting import Start, start
from rascal.store.machine import process

ANSWER = 20.0
"""Seconds for which a request waits until its run has begun."""
SEEN = 2.0
"""Seconds until the look at the store has surely seen a run that has begun."""
T = TypeVar("T")


class Admission(Orders):
    """Starts runs in their turn; rascal.panel.running knows which go on.

    Args:
        panel: the panel.
        path: of the run store; the queue's file is beside it.
    """

    def __init__(self, panel: Any, path: str) -> None:
        super().__init__(panel)
        self.path = path
        self.queue = Queue(str(Path(path).with_suffix(".queue.json")))
        self.going: dict[str, dict[str, Any]] = {}
        """Runs that go on, as of the last look."""
        self.children: list[Any] = []
        self._begun: dict[str, float] = {}
        self._pending: set[Deferred[Any]] = set()
        self._closed = False

    def in_thread(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """In the store's thread. Raises Problem: the panel is stopping."""
        raise NotImplementedError

    async def look_who_runs(self) -> None:
        """Bring `going` up to date."""
        raise NotImplementedError

    def begin_to_look(self) -> None:
        """Whoever starts a run wants to see it."""
        raise NotImplementedError

    def hurry(self) -> None:
        """Look at once."""
        raise NotImplementedError

    async def begin(self, order: dict[str, Any], *, title: str, kind: str, by: str) -> Any:
        """Start a run, or let it wait: {"run": id}, {"starting": entry} or {"queued": entry}.

        Raises Problem: the lever is pulled, or it cannot be started.
        """
        self._check_lever()
        self.begin_to_look()
        entry = self.queue.entry(order, title=title, kind=kind, by=by)
        if not self.queue.waiting and self._full():
            await self.look_who_runs()  # one may have ended just now
        if self.queue.waiting or self._full():
            place = self.queue.add(entry)
            await self.queue_changed()
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
            self.queue_changed()
            raise
        finally:
            if timer.active():
                timer.cancel()
        return {"run": run} if run else {"starting": entry.json()}

    async def enqueue(self, order: dict[str, Any], *, title: str, kind: str, by: str) -> Entry:
        """Let it stand in the line at once, whoever runs; its turn may come in this moment.

        Raises Problem: the lever is pulled, or the line is full.
        """
        self._check_lever()
        self.begin_to_look()
        entry = self.queue.entry(order, title=title, kind=kind, by=by)
        self.queue.add(entry)
        await self.queue_changed()
        self.hurry()
        return entry

    async def _spawn(self, entry: Entry) -> Start:
        self.queue.starting[entry.id] = entry
        order = {**entry.order, "entry": entry.id, "by": entry.by}
        try:
            started = await self.in_thread(
                start, order, str(Path(self.path).parent / "logs"), entry.id,
                self.panel.settings.node_token,
            )  # fmt: skip
            if self.lever() is not None:  # pulled while the store's thread was busy
                self.children.append(started.process)  # to be reaped
                started.drop()
                self._check_lever()
        except BaseException as error:
            self.queue.fail(entry, str(error))
            self.queue_changed()
            raise
        entry.pid, entry.born = started.pid, process(started.pid)
        self.children.append(started.process)
        self.queue_changed()
        return started

    async def _first_word(self, started: Start, entry: Entry) -> str:
        try:
            run = await started.number(self.reactor)
        except Problem as problem:
            self.queue.fail(entry, "; ".join(titles(problem)))
            self.queue_changed()
            raise
        self.queue.starting.pop(entry.id, None)
        self._begun[run] = self.reactor.seconds()
        self.queue_changed()
        self.hurry()
        return run

    def _full(self) -> bool:
        """As many run as may; those that have just begun may not have been seen yet."""
        now = self.reactor.seconds()
        self._begun = {run: at for run, at in self._begun.items() if now - at < SEEN}
        many = len({*self.going, *self._begun}) + len(self.queue.starting)
        return bool(many >= self.panel.settings.running)

    def next_ones(self) -> None:
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
        self._pending.add(running)

        def done(result: Any) -> Any:
            self._pending.discard(running)
            return result

        return running.addBoth(done)

    async def _its_turn(self, entry: Entry) -> None:
        started = await self._spawn(entry)
        await self._first_word(started, entry)

    def queue_changed(self) -> Deferred[None]:
        """Tell it, and keep it; fires once it is kept."""
        self.panel.hub.publish("queue", self.queue.json())
        if self._closed:
            return succeed(None)
        return self.in_thread(save, self.queue.path, self.queue.dumps())

    async def cancel(self, entry: str) -> None:
        """Take one out of the queue. Raises Problem."""
        self.queue.cancel(entry)
        await self.queue_changed()

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


def titles(problem: Problem) -> list[str]:
    """All that is wrong."""
    errors = problem.more.get("errors") or ()
    return [str(one["title"]) for one in errors] or [f"{problem.title} {problem.detail}".strip()]
