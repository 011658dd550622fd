"""The agent: a service that shows that it is there, and does what coordinators order, a run at a
time.

It has two connections to Redis: one for commands, one for the blocking read of its orders. Once a
beat it shows its beat and looks for the pulse of its coordinator. All it has to say is kept until
the pulse says that it was heard: see messages, and job for the run itself.
"""

from __future__ import annotations

import os
import platform
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.application import service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rascal.errors import CoordinationError
from rascal.load._redis import Redis, RedisLost
from rascal.load.agent_options import AgentOptions
from rascal.load.beats import Beat, write_beat
from rascal.load.clocks import Offset, measure
from rascal.load.job import BUNDLE_SECONDS, Job
from rascal.load.messages import (
    BEAT_SECONDS,
    LAYOUT,
    Entry,
    Forged,
    Keys,
    Message,
    Outbox,
    Seal,
    loads,
)
from rascal.load.streams import Reader, Writer
from rascal.load.work import EngineWork, MakeWork

log = Logger()

CLOCK_SECONDS = 10.0
"""How often the offset to Redis' clock is measured again."""
ORDER_SECONDS = 60.0
"""An order to enlist that is older is refused."""
MOST_SESSIONS = 10_000
LAG_SECONDS = 0.1


class Agent(service.Service):
    """One agent.

    Args:
        options: checked ones.
        reactor: also the clock.
        make_work: makes what a run does; for tests something smaller.
        on_fatal: called with a line when Redis will never let us in.
    """

    def __init__(
        self,
        options: AgentOptions,
        reactor: Any,
        *,
        make_work: MakeWork = EngineWork,
        on_fatal: Callable[[str], None] | None = None,
    ) -> None:
        self.options = options
        self.reactor = reactor
        self.make_work = make_work
        self.on_fatal = on_fatal
        self.instance = secrets.token_hex(12)
        self.keys = Keys(options.namespace)
        self.seal = Seal(options.token)
        self.redis = Redis(options.place, reactor, "agent")
        self.reading = Redis(options.place, reactor, "agent-reading")
        self.job: Job | None = None
        self.beats = 0
        self.health = Health(reactor)
        self._offset: Offset | None = None
        self._measured = 0.0
        self._reader: Reader | None = None
        self._begins: Deferred[None] | None = None
        self._timer: Any = None
        self._beating = False
        self._load = (0.0, 0.0)
        self._sessions: dict[str, None] = {}

    # ---- the service

    def startService(self) -> None:
        """Connect and begin to beat."""
        super().startService()
        self._begins = Deferred.fromCoroutine(self._begin())
        self._begins.addErrback(self._not_begun)

    def stopService(self) -> Deferred[None]:
        """End the run under way, say good-bye."""
        super().stopService()
        return Deferred.fromCoroutine(self._end())

    async def _begin(self) -> None:
        await self._connect(self.redis)
        await self._connect(self.reading)
        await self._measure()
        self.redis.on_up, self.redis.on_down = self._up, self._down
        key = self.keys.to(self.instance)
        self._reader = Reader(self.reading, self.redis, self.reactor, key, self._came)
        self._reader.start()
        self.health.start()
        self._beat()
        place = self.options.place
        log.info("agent {name} is at Redis {place}", name=self.options.name, place=str(place))

    async def _connect(self, redis: Redis) -> None:
        """Connect; where nobody is there yet, try until somebody is."""
        said = ""
        while True:
            try:
                await redis.connect()
                return
            except RedisLost as error:
                if str(error) != said:
                    said = str(error)
                    log.warn("{error}; trying again", error=said)
            await deferLater(self.reactor, 1.0)

    def _not_begun(self, failure: Any) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(CoordinationError) and self.on_fatal is not None:
            self.on_fatal(failure.getErrorMessage())
        else:
            log.failure("the agent does not start", failure)

    async def _end(self) -> None:
        if self._begins is not None:
            self._begins.cancel()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self.health.stop()
        job = self.job
        if job is not None and job.state not in ("releasing", "over"):
            with suppress(Exception):
                leaving = job.release(job.index == 0, "it was stopped")
                await leaving.addTimeout(10.0, self.reactor)
        if self.redis.up:
            await self.redis.commands(
                ("DEL", self.keys.beat(self.instance), self.keys.to(self.instance)),
                ("ZREM", self.keys.agents, self.instance),
                seconds=1.0,
            )
        if self._reader is not None:
            await self._reader.stop()
        await self.reading.close()
        await self.redis.close()

    # ---- beats

    def _beat(self) -> None:
        self._timer = self.reactor.callLater(BEAT_SECONDS, self._beat)
        self._load = self.health.read()
        self._beat_now()

    def _beat_now(self) -> None:
        if self.job is not None:
            self.job.look()
        if self.job is not None:
            self.job.writer.flush()
        if self.redis.up and not self._beating:
            self._beating = True
            Deferred.fromCoroutine(self._show()).addBoth(self._shown)

    async def _show(self) -> None:
        now = self.reactor.seconds()
        if now - self._measured > CLOCK_SECONDS:
            await self._measure()
        assert self._offset is not None
        self.beats += 1
        await write_beat(self.redis, self.keys, self.seal, self.beat(), self._offset.redis(now))
        job = self.job
        if job is not None:
            sealed = await self.redis.command("GET", self.keys.pulse(job.session))
            if sealed is not None:
                self._pulse(job, sealed)

    def _shown(self, failure: Any) -> None:
        self._beating = False
        if failure is not None and not failure.check(RedisLost):
            log.error("the beat failed: {error}", error=failure.getErrorMessage())

    def _pulse(self, job: Job, sealed: bytes) -> None:
        data = loads(self.seal.open(f"pulse|{job.session}", sealed))
        heard = data.get("heard", {}).get(self.instance)
        if heard is not None:  # else it does without us
            job.pulse(int(data["count"]), int(heard))

    def beat(self) -> Beat:
        """Our beat, as it is now."""
        from rascal import __version__

        job = self.job
        cpu, lag = self._load
        return Beat(
            instance=self.instance,
            name=self.options.name,
            count=self.beats,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            layout=LAYOUT,
            python=platform.python_version(),
            cpu=round(cpu, 4),
            lag=round(lag, 4),
            clock_error=round(self._offset.error, 6) if self._offset else 0.0,
            state=job.state if job else "idle",
            session=job.session if job else "",
            run=job.run if job else "",
            heard=job.inbox.heard if job else 0,
        )

    async def _measure(self) -> Offset:
        """The offset to Redis' clock; the one before if it cannot be had now."""
        try:
            self._offset = await measure(self.redis, self.reactor)
            self._measured = self.reactor.seconds()
        except CoordinationError:
            if self._offset is None:
                raise
        return self._offset

    # ---- Redis comes and goes

    def _down(self, why: str) -> None:
        log.warn("{why}; the agent goes on", why=why)

    def _up(self) -> None:
        log.info("Redis at {place} is back", place=str(self.options.place))
        self._measured = 0.0
        if self.job is not None:
            self.job.outbox.again()
        self._beat_now()

    # ---- orders

    def _came(self, found: Sequence[Entry]) -> None:
        for entry in found:
            if entry.instance != self.instance:
                continue
            try:
                self._take(entry)
            except Forged as error:
                log.warn("an order is refused: {error}", error=str(error))
            except CoordinationError as error:
                log.warn("an order cannot be read: {error}", error=str(error))

    def _take(self, entry: Entry) -> None:
        job = self.job
        if job is not None and entry.session == job.session:
            if entry.number == job.inbox.heard:
                message = entry.open(self.seal, "to")
                job.inbox.take(entry.number)
                job.take(message)
                self._beat_now()  # the coordinator waits for what was heard
        elif entry.number == 0 and entry.session not in self._sessions:
            message = entry.open(self.seal, "to")
            if message.kind == "enlist":
                self._enlist(entry.session, message)

    def _enlist(self, session: str, message: Message) -> None:
        assert self._offset is not None
        self._sessions[session] = None
        while len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        address = ("from", session, self.instance)
        key = self.keys.source(session)
        writer = Writer(self.redis, self.reactor, self.seal, key, address, Outbox())
        why = ""
        age = self._offset.redis(self.reactor.seconds()) - float(message.data.get("issued", 0.0))
        if self.job is not None:
            run = self.job.run
            why = f"it is busy with run {run}" if run else "it is busy"
        elif message.data.get("layout") != LAYOUT:
            why = "its Rascal is of another version"
        elif not -ORDER_SECONDS < age < ORDER_SECONDS:
            why = f"the order to enlist is {age:.0f}s old"
        if why:
            writer.outbox.put(Message("refused", {"why": why}))
            writer.flush()
            return
        self.job = Job(
            self.reactor,
            self.options,
            self.make_work,
            writer,
            fetch=lambda: self._fetch(session),
            offset=self._measure,
            on_over=self._over,
        )
        self.job.inbox.take(0)
        writer.outbox.put(Message("joined"))
        writer.flush()
        self._beat_now()

    def _over(self, job: Job) -> None:
        if self.job is job:
            self.job = None
        self._beat_now()

    async def _fetch(self, session: str) -> bytes:
        """The sealed bundle; the coordinator puts it there again if it vanishes."""
        deadline = self.reactor.seconds() + BUNDLE_SECONDS
        while True:
            with suppress(RedisLost):
                data = await self.redis.command("GET", self.keys.bundle(session), seconds=30.0)
                if data is not None:
                    return bytes(data)
            if self.reactor.seconds() > deadline:
                raise CoordinationError(f"the bundle did not come within {BUNDLE_SECONDS:g}s")
            await deferLater(self.reactor, 0.1)


class Health:
    """CPU and reactor lag of this process, between two reads."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self._timer: Any = None
        self._due = 0.0
        self._lag = 0.0
        self._before = (0.0, 0.0)

    def start(self) -> None:
        """Begin to look."""
        self._before = (self.reactor.seconds(), time.process_time())
        self._arm()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _arm(self) -> None:
        self._due = self.reactor.seconds() + LAG_SECONDS
        self._timer = self.reactor.callLater(LAG_SECONDS, self._tick)

    def _tick(self) -> None:
        self._lag = max(self._lag, self.reactor.seconds() - self._due)
        self._arm()

    def read(self) -> tuple[float, float]:
        """Share of a core, greatest lag; since the last call."""
        now = (self.reactor.seconds(), time.process_time())
        wall = now[0] - self._before[0]
        cpu = (now[1] - self._before[1]) / wall if wall > 0.01 else 0.0
        lag, self._lag, self._before = self._lag, 0.0, now
        return cpu, lag
