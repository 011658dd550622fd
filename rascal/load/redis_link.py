"""The link through Redis: the coordinator's side of a run on many agents. See messages.

Twice a beat the coordinator looks at the beats of its members and gives its own pulse. A member
whose beat does not go on for LOST_SECONDS is lost, on our monotonic clock; but not while Redis
was away, or we ourselves were not running. It is back as soon as its beat goes on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rascal.errors import ConfigError, ConfigErrors, CoordinationError, LoadError, RascalError
from rascal.load import reports
from rascal.load._redis import Place, Redis, RedisLost
from rascal.load.beats import Beat, beats_of, read_beats
from rascal.load.bundle import LIFE_SECONDS, pack
from rascal.load.clocks import Offset, measure
from rascal.load.links import AgentInfo, Callbacks
from rascal.load.messages import (
    BEAT_SECONDS,
    KEEP_MS,
    LAYOUT,
    LOST_SECONDS,
    Entry,
    Inbox,
    Keys,
    Message,
    Outbox,
    Seal,
    dumps,
)
from rascal.load.plan import Plan, Share
from rascal.load.plans_json import share_json
from rascal.load.streams import Reader, Writer
from rascal.load.types import Event

log = Logger()

GATHER_SECONDS = 10.0
ANSWER_SECONDS = 5.0
PREPARE_SECONDS = 900.0
"""With dependencies to install; a member that dies meanwhile is noticed much earlier."""
LOADING_SECONDS = 60.0
"""A member may be silent for so long while it imports a scenario."""
RELEASE_SECONDS = 60.0
LEAD_SECONDS = 0.6
"""From the order to start until the start: all have it by then."""


class Member:
    """One agent of the run, as the coordinator knows it."""

    def __init__(self, info: AgentInfo, beat: Beat, writer: Writer) -> None:
        self.info = info
        self.instance = beat.instance
        self.writer = writer
        self.outbox = writer.outbox
        self.inbox = Inbox()
        self.count = beat.count
        self.seen = 0.0
        """When its beat last went on, on our clock."""
        self.lost = False
        self.ended = False
        self.gone = 0
        """Reports that it had to drop."""
        self._waits: dict[str, Deferred[Message]] = {}
        self._said: dict[str, Message] = {}

    @property
    def name(self) -> str:
        """Its name in the run."""
        return self.info.name

    def answer(self, message: Message) -> None:
        """It said something that somebody may wait for."""
        wait = self._waits.pop(message.kind, None)
        if wait is None:
            self._said[message.kind] = message
        else:
            wait.callback(message)

    def fail(self, error: Exception) -> None:
        """It will say nothing more."""
        waits, self._waits = self._waits, {}
        for wait in waits.values():
            wait.errback(error)

    def said(self, *kinds: str) -> Deferred[Message]:
        """The first message of one of these kinds."""
        wait: Deferred[Message] = Deferred(lambda _: self._forget(kinds))
        for kind in kinds:
            if kind in self._said:
                wait.callback(self._said.pop(kind))
                return wait

        def done(result: Any) -> Any:
            self._forget(kinds)
            return result

        wait.addBoth(done)
        self._waits.update(dict.fromkeys(kinds, wait))
        return wait

    def _forget(self, kinds: Sequence[str]) -> None:
        for kind in kinds:
            self._waits.pop(kind, None)


class RedisLink:
    """The agents that are at a Redis. Implements links.Link; used for one run.

    Args:
        place: the Redis.
        reactor: also the clock.
        token: the secret shared with the agents; "" only where Redis is on this machine.
        namespace: of the keys.
        names: only agents with these names; empty takes any.
        patience: seconds to wait for agents.
        on_closed: called at the end of `close`: ends agents that were started for this run.
    """

    def __init__(
        self,
        place: Place,
        reactor: Any,
        *,
        token: str = "",
        namespace: str = "rascal",
        names: Sequence[str] = (),
        patience: float = GATHER_SECONDS,
        on_closed: Callable[[], Any] | None = None,
    ) -> None:
        self.calls = Callbacks()
        self.place = place
        self.reactor = reactor
        self.token = token
        self.keys = Keys(namespace)
        self.names = tuple(names)
        self.patience = patience
        self.on_closed = on_closed
        self.session = secrets.token_hex(16)
        self.seal = Seal(token)
        self.redis = Redis(place, reactor, "coordinator")
        self.members: dict[str, Member] = {}
        """By instance."""
        self.offset = Offset(0.0, 0.0)
        self.state = "gathering"
        self._reader: Reader | None = None
        self._bundle = b""
        self._pulses = 0
        self._steady = 0.0
        """Since when Redis answers and we run without a break."""
        self._looked = 0.0
        self._timer: Any = None
        self._looking = False

    # ---- the link

    async def gather(self, count: int) -> Sequence[AgentInfo]:
        """See links.Link."""
        if not self.token and not self.place.local:
            raise CoordinationError(
                f"Redis at {self.place} is not on this machine: set RASCAL_TOKEN, or --token-file, "
                "here and for the agents"
            )
        await self.redis.connect()
        self.redis.on_up, self.redis.on_down = self._redis_up, self._redis_down
        self.offset = await measure(self.redis, self.reactor)
        reading = Redis(self.place, self.reactor, "coordinator-reading")
        await reading.connect()
        source = self.keys.source(self.session)
        self._reader = Reader(reading, self.redis, self.reactor, source, self._came)
        self._reader.start()
        self._looked = self._steady = self.reactor.seconds()
        self._look()
        await self._enlist(count)
        return [member.info for member in self._in_order()]

    async def prepare(self, run: str, plan: Plan, files: Mapping[str, bytes]) -> None:
        """See links.Link."""
        self.state = "preparing"
        now = self.offset.redis(self.reactor.seconds())
        seal = Seal(self.token, "bundle")
        self._bundle = pack(self.session, run, plan, files, seal=seal, now=now)
        await self._put_bundle()
        members = self._in_order()
        for member in members:
            self._say(member, "prepare", run=run, members=[one.info.index for one in members])
        await self._answers(members, "prepared", PREPARE_SECONDS)
        for group in (members[:1], members[1:]):
            for member in group:
                self._say(member, "set_up", run=member is members[0])
            await self._answers(group, "ready", PREPARE_SECONDS)
        self._bundle = b""
        self.redis.command("DEL", self.keys.bundle(self.session)).addErrback(lambda _: None)
        self.state = "ready"

    async def start(self) -> float:
        """See links.Link."""
        self.offset = await measure(self.redis, self.reactor)
        at = self.reactor.seconds() + LEAD_SECONDS
        self.state = "running"
        for member in self.members.values():
            self._say(member, "start", at=round(self.offset.redis(at), 6))
        return float(at)

    def change(self, shares: Sequence[Share], second: int) -> None:
        """See links.Link."""
        data = [share_json(share) for share in shares]
        self._say_all("change", shares=data, second=second)

    def reshare(self, members: Sequence[int], second: int) -> None:
        """See links.Link. Members that are lost are told as well: they may come back."""
        self._say_all("reshare", members=list(members), second=second)

    def stop(self, now: bool = False) -> None:
        """See links.Link."""
        self._say_all("stop", now=now)

    async def close(self) -> None:
        """See links.Link."""
        try:
            if self.state in ("preparing", "ready", "running") and self.redis.up:
                await self._release()
            elif self.members and self.redis.up:
                self._say_all("release", run=False)
                await deferLater(self.reactor, 0.05)
        finally:
            self.state = "closed"
            await self._shut()

    # ---- gathering

    async def _enlist(self, count: int) -> None:
        """Take agents that are free, until there are enough."""
        refused: dict[str, str] = {}
        deadline = self.reactor.seconds() + self.patience
        while True:
            beats = await read_beats(self.redis, self.keys, self.seal)
            taken = {member.instance for member in self.members.values()}
            free = [beat for beat in beats if beat.instance not in taken]
            for beat in free:
                if why := self._unusable(beat):
                    refused[beat.instance] = f"{beat.name} ({beat.host}, {beat.pid}): {why}"
            free = [beat for beat in free if beat.instance not in refused]
            wanted = free[: count - len(self.members)] if count else free
            await self._ask(wanted, refused)
            if self.members and len(self.members) >= count:
                return
            if self.reactor.seconds() > deadline:
                raise CoordinationError(self._too_few(count, refused))
            again = [beat.instance for beat in beats if self._unusable(beat)]
            for instance in again:
                refused.pop(instance, None)
            await deferLater(self.reactor, 0.1)

    def _unusable(self, beat: Beat) -> str:
        if self.names and beat.name not in self.names:
            return "not among the agents named"
        if beat.problem:
            return beat.problem
        if beat.state != "idle":
            return f"it is busy with run {beat.run}" if beat.run else "it is busy"
        return ""

    async def _ask(self, wanted: Sequence[Beat], refused: dict[str, str]) -> None:
        """Enlist these; those that will not are refused."""
        asked = []
        for beat in wanted:
            index = self._free_index()
            info = AgentInfo(
                name=self._unique(beat.name),
                index=index,
                host=beat.host,
                pid=beat.pid,
                version=beat.version,
                cpu=beat.cpu,
                lag=beat.lag,
            )
            writer = self._writer(beat.instance)
            member = Member(info, beat, writer)
            member.seen = self.reactor.seconds()
            self.members[beat.instance] = member
            asked.append(member)
            issued = round(self.offset.redis(self.reactor.seconds()), 3)
            data = {"name": info.name, "index": index, "issued": issued, "layout": LAYOUT}
            self._say(member, "enlist", **data)
        for member in asked:
            try:
                wait = member.said("joined", "refused")
                answer = await wait.addTimeout(ANSWER_SECONDS, self.reactor)
                why = answer.data.get("why", "") if answer.kind == "refused" else ""
            except Exception:
                why = "it does not answer"
            if why or member.lost:
                info = member.info
                why = why or "it is gone"
                refused[member.instance] = f"{info.name} ({info.host}, {info.pid}): {why}"
                del self.members[member.instance]

    def _writer(self, instance: str) -> Writer:
        address = ("to", self.session, instance)
        key = self.keys.to(instance)
        return Writer(self.redis, self.reactor, self.seal, key, address, Outbox())

    def _free_index(self) -> int:
        taken = {member.info.index for member in self.members.values()}
        return next(index for index in range(len(taken) + 1) if index not in taken)

    def _unique(self, name: str) -> str:
        taken = {member.name for member in self.members.values()}
        names = [name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))]
        return next(one for one in names if one not in taken)

    def _too_few(self, count: int, refused: Mapping[str, str]) -> str:
        have = len(self.members)
        need = f"{count or 1} agent{'s are' if count > 1 else ' is'} needed"
        there = f"{have or 'none'} {'are' if have > 1 else 'is'} free at Redis {self.place}"
        lines = "".join(f"; {line}" for line in sorted(set(refused.values())))
        return f"{need}, {there}{lines}"

    def _in_order(self) -> list[Member]:
        return sorted(self.members.values(), key=lambda member: member.info.index)

    # ---- preparing and releasing

    async def _put_bundle(self) -> None:
        life = int(LIFE_SECONDS * 1000)
        key = self.keys.bundle(self.session)
        await self.redis.command("SET", key, self._bundle, "PX", life, seconds=30.0)

    async def _answers(self, members: Sequence[Member], kind: str, seconds: float) -> None:
        """Wait for this answer of each; the first failure is raised."""
        for member in members:
            wait = member.said(kind, "failed")
            if member.lost:
                raise CoordinationError(f"agent {member.name} is lost")
            try:
                answer = await wait.addTimeout(seconds, self.reactor)
            except CoordinationError:
                raise
            except Exception as error:
                raise CoordinationError(
                    f"agent {member.name} has not answered for {seconds:g}s"
                ) from error
            if answer.kind == "failed":
                raise _failure(member.name, answer.data)

    async def _release(self) -> None:
        """Let the members go; one of them tears the run down."""
        alive = [member for member in self._in_order() if not member.lost]
        for member in alive[1:]:
            self._say(member, "release", run=False)
        for group in (alive[1:], alive[:1]):
            for member in group:
                if member is alive[0]:
                    self._say(member, "release", run=True)
                try:
                    wait = member.said("released")
                    answer = await wait.addTimeout(RELEASE_SECONDS, self.reactor)
                except Exception:
                    self._event("error", f"agent {member.name} was not released", member.name)
                    continue
                if why := answer.data.get("why"):
                    self._event("error", f"tear-down failed: {why}", member.name)

    async def _shut(self) -> None:
        """Connections and agents of our own end, whatever happens."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        gone = CoordinationError("the link was closed")
        for member in self.members.values():
            member.fail(gone)
        keys = self.keys
        names = [keys.source(self.session), keys.pulse(self.session), keys.bundle(self.session)]
        self.redis.on_down = lambda _: None
        self.redis.on_up = lambda: None
        if self._reader is not None:
            await self._reader.stop()
        if self.redis.up:
            await self.redis.commands(("DEL", *names), seconds=1.0)
        await self.redis.close()
        if self.on_closed is not None:
            done = self.on_closed()
            if isinstance(done, Deferred):
                await done

    # ---- talking

    def _say(self, member: Member, kind: str, **data: Any) -> None:
        member.outbox.put(Message(kind, data))
        member.writer.flush()

    def _say_all(self, kind: str, **data: Any) -> None:
        for member in self.members.values():
            self._say(member, kind, **data)

    def _came(self, found: Sequence[Entry]) -> None:
        """Messages of the members have come."""
        for entry in found:
            member = self.members.get(entry.instance)
            if member is None or entry.session != self.session:
                continue
            if entry.number != member.inbox.heard:
                continue
            try:
                message = entry.open(self.seal, "from")
            except CoordinationError as error:
                log.warn("a message of {name}: {error}", name=member.name, error=str(error))
                continue
            member.inbox.take(entry.number)
            self._heard(member, message)

    def _heard(self, member: Member, message: Message) -> None:
        if message.kind == "report":
            report = reports.decode(message.payload)
            if report.agent != member.name:
                log.warn("{name} reports as {other}", name=member.name, other=report.agent)
                return
            self.calls.on_report(report)
        elif message.kind == "gone":
            member.gone += 1
            text = f"agent {member.name} had to drop a report: Redis was away for too long"
            self._event("reports_lost", text, member.name)
        elif message.kind == "note":
            self._event(
                str(message.data.get("event", "note")), str(message.data["text"]), member.name
            )
        else:
            member.answer(message)

    def _event(self, kind: str, text: str, agent: str = "") -> None:
        self.calls.on_event(Event(second=-1, kind=kind, text=text, agent=agent))

    # ---- beats and pulse

    def _look(self) -> None:
        """Look at the members' beats, give our pulse; four times a second."""
        self._timer = self.reactor.callLater(BEAT_SECONDS / 2, self._look)
        now = self.reactor.seconds()
        if now - self._looked > 1.0:
            self._steady = now  # we were not running: nobody is lost for that
        self._looked = now
        for member in self.members.values():
            member.writer.flush()
        if not self.redis.up:
            self._steady = now
        elif not self._looking:
            self._looking = True
            Deferred.fromCoroutine(self._beats()).addBoth(self._looked_at)
        self._find_lost(now)

    async def _beats(self) -> None:
        self._pulses += 1
        heard = {one.instance: one.inbox.heard for one in self.members.values()}
        pulse = dumps({"count": self._pulses, "heard": heard})
        key = self.keys.pulse(self.session)
        sealed = self.seal.close(f"pulse|{self.session}", pulse)
        await self.redis.command("SET", key, sealed, "PX", KEEP_MS)
        if self._bundle and not await self.redis.command("EXISTS", self.keys.bundle(self.session)):
            await self._put_bundle()
        for beat in await beats_of(self.redis, self.keys, self.seal, list(self.members)):
            member = self.members.get(beat.instance)
            if member is not None and not beat.problem:
                self._beat(member, beat)

    def _looked_at(self, failure: Any) -> None:
        self._looking = False
        if failure is not None and not failure.check(RedisLost):
            log.error("beats: {error}", error=failure.getErrorMessage())
            self._steady = self.reactor.seconds()

    def _beat(self, member: Member, beat: Beat) -> None:
        now = self.reactor.seconds()
        if beat.count <= member.count:
            return
        member.count, member.seen = beat.count, now
        if beat.session == self.session:
            member.outbox.hear(beat.heard, now)
        elif member.outbox.heard and self.state != "closed":
            self._lose(member, "it has given up the run")
            return
        if member.lost:
            member.lost = False
            self.calls.on_back(member.name)

    def _find_lost(self, now: float) -> None:
        patience = LOADING_SECONDS if self.state == "preparing" else LOST_SECONDS
        for member in list(self.members.values()):
            if not member.lost and now - max(member.seen, self._steady) > patience:
                self._lose(member, f"nothing heard of it for {now - member.seen:.1f}s")

    def _lose(self, member: Member, why: str) -> None:
        if member.lost:
            return
        member.lost = True
        member.fail(CoordinationError(f"agent {member.name} is lost: {why}"))
        if self.state == "running":
            self.calls.on_lost(member.name, why)

    # ---- Redis comes and goes

    def _redis_down(self, why: str) -> None:
        self._steady = self.reactor.seconds()
        self._event("note", f"{why}; the agents go on")

    def _redis_up(self) -> None:
        self._steady = self.reactor.seconds()
        for member in self.members.values():
            member.outbox.again()
            member.writer.flush()
        self._event("note", f"Redis at {self.place} is back")


def _failure(agent: str, data: Mapping[str, Any]) -> RascalError:
    """What an agent could not do, as the error that it had."""
    lines = [str(line) for line in data.get("lines", ())] or ["it failed"]
    if data.get("error") == "config":
        return ConfigErrors([ConfigError(line) for line in lines])
    text = f"agent {agent}: " + "; ".join(lines)
    return CoordinationError(text) if data.get("error") == "coordination" else LoadError(text)


def as_json(infos: Sequence[AgentInfo]) -> list[dict[str, Any]]:
    """For `rascal load agents --json`."""
    return [attrs.asdict(info) for info in infos]
