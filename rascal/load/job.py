"""One run on one agent: what its coordinator orders, in which order, and what is said of it.

    enlisted ── prepare ─→ loading ─→ prepared ── set_up ─→ setting up ─→ ready ── start ─→ running
    running ─ the last report is out ─→ ended;  from everywhere: release ─→ releasing ─→ over
    what goes wrong before the start ─→ failed

`STATES` says which order is taken when; another one is answered with "failed". What takes time
(loading, set-up, release) is done one after the other; a release ends what is under way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rascal.errors import ConfigErrors, CoordinationError, RascalError
from rascal.load import reports
from rascal.load.agent_options import AgentOptions
from rascal.load.bundle import unpack
from rascal.load.clocks import Offset
from rascal.load.guard import Guard
from rascal.load.messages import LOST_SECONDS, Inbox, Message, Seal
from rascal.load.plans_json import shares_from_json
from rascal.load.streams import Writer
from rascal.load.types import Report
from rascal.load.work import NOBODY, MakeWork, Work

log = Logger()

STATES: Mapping[str, tuple[str, ...]] = {
    "prepare": ("enlisted",),
    "set_up": ("prepared",),
    "start": ("ready",),
    "change": ("ready", "running", "ended"),
    "reshare": ("ready", "running", "ended"),
    "stop": ("ready", "running", "ended"),
    "release": (
        *("enlisted", "loading", "prepared", "setting up", "ready", "running", "ended", "failed"),
    ),
}
BUNDLE_SECONDS = 20.0
TEAR_DOWN_SECONDS = 15.0
END_SECONDS = 5.0
IDLE_ORPHAN = 6.0
"""A run that has not begun is given up when its coordinator is silent for so long."""


class Job:
    """One run.

    Args:
        reactor: the clock.
        options: the agent's.
        make_work: makes what does the work.
        writer: to the coordinator.
        fetch: waits for the sealed bundle.
        offset: measures the offset to Redis' clock.
        on_over: called at the end.
    """

    def __init__(
        self,
        reactor: Any,
        options: AgentOptions,
        make_work: MakeWork,
        writer: Writer,
        *,
        fetch: Callable[[], Any],
        offset: Callable[[], Any],
        on_over: Callable[[Job], None],
    ) -> None:
        self.reactor = reactor
        self.options = options
        self.make_work = make_work
        self.session = writer.address[1]
        self.name = ""
        self.index = 0
        self.writer = writer
        self.outbox = writer.outbox
        self.inbox = Inbox()
        self.fetch = fetch
        self.offset = offset
        self.on_over = on_over
        self.run = ""
        self.state = "enlisted"
        self.begun = 0.0
        """The reactor's time of second 0."""
        self.work: Work | None = None
        self.guard = Guard(reactor, LOST_SECONDS, self._paused)
        self.pulses = 0
        self.pulse_at = reactor.seconds()
        """When the coordinator was last heard."""
        self.orphaned = False
        self._patience = 0.0
        """Seconds that calls under way may take to end: the plan's time-out."""
        self._drained = math.inf
        """An orphan that drains is released by then."""
        self._doing: Deferred[None] | None = None
        self._running: Deferred[None] | None = None

    # ---- orders

    def take(self, message: Message) -> None:
        """An order of the coordinator has come."""
        kind = message.kind
        if self.state not in STATES.get(kind, ()):
            log.warn("{kind} came while {state}", kind=kind, state=self.state)
            if self.state not in ("failed", "releasing", "over"):
                self._fail(CoordinationError(f"it was told to {kind} while {self.state}"))
            return
        try:
            getattr(self, f"do_{kind}")(message.data)
        except Exception as error:
            self._fail(error)

    def do_prepare(self, data: Mapping[str, Any]) -> None:
        """Fetch and load the bundle."""
        self.run = str(data["run"])
        self.name, self.index = str(data["name"]), int(data["index"])
        self._do("loading", self._load(data), "prepared", "prepared")

    def do_set_up(self, data: Mapping[str, Any]) -> None:
        """Run the set-ups."""
        assert self.work is not None
        self._do("setting up", self.work.set_up(bool(data.get("run"))), "ready", "ready")

    def do_start(self, data: Mapping[str, Any]) -> None:
        """Begin at a time of Redis' clock."""
        self.state = "running"
        self._running = Deferred.fromCoroutine(self._run(float(data["at"])))
        self._running.addErrback(self._broken)

    def do_change(self, data: Mapping[str, Any]) -> None:
        """Other shares."""
        assert self.work is not None
        self.work.change(shares_from_json(data["shares"]), int(data["second"]))

    def do_reshare(self, data: Mapping[str, Any]) -> None:
        """Other members."""
        assert self.work is not None
        members = tuple(int(one) for one in data["members"])
        self.work.reshare(members or NOBODY, int(data["second"]))

    def do_stop(self, data: Mapping[str, Any]) -> None:
        """No more arrivals."""
        assert self.work is not None
        self.work.stop(now=bool(data.get("now")))

    def do_release(self, data: Mapping[str, Any]) -> None:
        """The run is over for this agent."""
        self.release(bool(data.get("run")))

    # ---- what takes time

    def _do(self, doing: str, what: Any, done: str, answer: str) -> None:
        self.state = doing

        def finished(_: Any) -> None:
            self._doing = None
            if self.state == doing:
                self.state = done
                self._say(answer)

        def failed(failure: Any) -> None:
            self._doing = None
            if self.state == doing:
                self.state = "failed"
                self._fail(failure.value)

        self._doing = Deferred.fromCoroutine(what)
        self._doing.addCallbacks(finished, failed)

    async def _load(self, data: Mapping[str, Any]) -> None:
        sealed = await self.fetch()
        offset: Offset = await self.offset()
        bundle = unpack(
            sealed,
            self.session,
            seal=Seal(self.options.token, "bundle"),
            now=offset.redis(self.reactor.seconds()),
            local=self.options.place.local,
        )
        if bundle.run != self.run:
            raise CoordinationError("the bundle is another run's")
        self._patience = bundle.plan.timeout
        self.work = self.make_work(
            self.reactor,
            self.guard,
            self.options,
            self._emit,
            name=self.name,
            index=self.index,
            members=tuple(int(one) for one in data.get("members", (self.index,))),
        )
        await self.work.load(bundle, check_target=bool(data.get("check", True)))

    async def _run(self, at: float) -> None:
        offset: Offset = await self.offset()
        self.begun = offset.ours(at)
        assert self.work is not None
        self._say("started", at=self.begun, late=self.reactor.seconds() > self.begun)
        self.guard.start()
        try:
            await self.work.start(self.begun)
        finally:
            self.guard.stop()
        if self.state == "running":
            self.state = "ended"
        self._say("ended")

    def _broken(self, failure: Any) -> None:
        if self.state == "running":
            self.state = "failed"
            self._fail(failure.value)

    # ---- the end

    def release(self, run: bool, why: str = "") -> Deferred[None]:
        """End whatever goes on, tear down, be over.

        Args:
            run: tear down what is there once a run.
            why: said first if it was not the coordinator's will: others take over then.
        """
        if why:
            self._say("leaving", why=why)
        self.state = "releasing"
        return Deferred.fromCoroutine(self._let_go(run))

    async def _let_go(self, run: bool) -> None:
        why = ""
        try:
            if self._doing is not None:
                self._doing.cancel()
            if self.work is not None:
                if self._running is not None and not self._running.called:
                    self.work.stop(now=True)
                    ended: Deferred[None] = Deferred()
                    self._running.addBoth(lambda _: None if ended.called else ended.callback(None))
                    await ended.addTimeout(END_SECONDS, self.reactor)
                gone = Deferred.fromCoroutine(self.work.tear_down(run))
                await gone.addTimeout(TEAR_DOWN_SECONDS, self.reactor)
        except Exception as error:
            log.failure("the end of a run failed")
            why = f"{type(error).__name__}: {error}"
        self._say("released", why=why)
        with suppress(CoordinationError):
            # Redis answers in order: it has what was said before.
            await self.writer.redis.command("PING", seconds=1.0)
        self.state = "over"
        self.on_over(self)

    # ---- the coordinator is heard, or not

    def pulse(self, count: int, heard: int) -> None:
        """A pulse of the coordinator."""
        now = self.reactor.seconds()
        if count <= self.pulses:
            return
        self.pulses, self.pulse_at = count, now
        self.outbox.hear(heard, now)
        if self.orphaned:
            self.orphaned = False
            self._note("note", "the coordinator is heard again")

    def look(self) -> None:
        """Once a beat: go on without a coordinator for a while, then drain and be free."""
        now = self.reactor.seconds()
        silent = now - self.pulse_at
        if self.state in ("releasing", "over"):
            return
        if self.state not in ("running", "ended"):
            if silent > IDLE_ORPHAN:
                log.warn("the coordinator of run {run} is gone", run=self.run)
                self.release(self.index == 0)
            return
        if silent > self.options.orphan:
            self._give_up(now)
        elif silent > LOST_SECONDS and not self.orphaned:
            self.orphaned = True
            text = f"the coordinator is not heard; the run goes on for {self.options.orphan:g}s"
            self._note("coordinator_lost", text)

    def _give_up(self, now: float) -> None:
        """No more arrivals; once the calls under way have ended, or had their time, be free."""
        if self.state == "running" and math.isinf(self._drained):
            assert self.work is not None
            self._drained = now + self._patience + END_SECONDS
            self._note("note", "the coordinator is not heard: this agent's load ends")
            self.work.stop()
        elif self.state == "ended" or now > self._drained:
            log.warn("run {run} ends: its coordinator is gone", run=self.run)
            self.release(self.index == 0)

    def _paused(self, began: float, now: float) -> None:
        """This process did not run: what was due meanwhile may be others' by now."""
        if self.work is None or self.state != "running" or now < self.begun:
            return
        first = max(0, math.ceil(began - self.begun))
        self.work.reshare(NOBODY, first)
        text = f"the agent did not run for {now - began:.1f}s; it begins nothing until told to"
        self._note("note", text)
        self._say("paused", second=first)

    # ---- talking

    def _say(self, kind: str, **data: Any) -> None:
        self.outbox.put(Message(kind, data))
        self.writer.flush()

    def _note(self, kind: str, text: str) -> None:
        log.warn("{text}", text=text)
        if self.work is not None:
            self.work.event(kind, text)

    def _emit(self, report: Report) -> None:
        self.outbox.put(Message("report", {}, reports.encode(report)))
        self.writer.flush()

    def _fail(self, error: BaseException) -> None:
        """Say what could not be done."""
        lines, kind = [str(error) or type(error).__name__], "load"
        if isinstance(error, ConfigErrors):
            lines, kind = [str(one) for one in error.findings], "config"
        elif isinstance(error, CoordinationError):
            kind = "coordination"
        elif not isinstance(error, RascalError):
            lines = [f"{type(error).__name__}: {error}"]
        log.error("run {run}: {lines}", run=self.run, lines="; ".join(lines))
        self._say("failed", error=kind, lines=lines[:20])
