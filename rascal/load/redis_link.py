"""The link through Redis: the coordinator's side of a run on many agents. See messages.

Twice a beat the coordinator looks at the beats of its members and gives its own pulse. A member
whose beat does not go on for LOST_SECONDS is lost, on our monotonic clock; but not while Redis
was away, or we ourselves were not running. It is back as soon as its beat goes on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rascal.errors import CoordinationError
from rascal.load import reports
from rascal.load._redis import Place, Redis, RedisLost
from rascal.load.beats import Beat, beats_of
from rascal.load.bundle import LIFE_SECONDS, pack
from rascal.load.clocks import Offset, measure
from rascal.load.links import AgentInfo, Callbacks
from rascal.load.members import Enlisting, Member, answers, failure
from rascal.load.messages import (
    BEAT_SECONDS,
    KEEP_MS,
    LOST_SECONDS,
    Entry,
    Keys,
    Message,
    Seal,
    dumps,
)
from rascal.load.plan import Plan, Share
from rascal.load.plans_json import share_json
from rascal.load.streams import Reader
from rascal.load.types import Event

log = Logger()

GATHER_SECONDS = 10.0
ANSWER_SECONDS = 5.0
PREPARE_SECONDS = 900.0
"""With dependencies to install; a member that dies meanwhile is noticed much earlier."""
LOADING_SECONDS = 60.0
"""A member may be silent for so long while it imports a scenario."""
RELEASE_SECONDS = 20.0
LEAD_SECONDS = 0.6
"""From the order to start until the start: all have it by then."""


class RedisLink:
    """The agents that are at a Redis. Implements links.Link; used for one run.

    Args:
        place: the Redis.
        reactor: also the clock.
        token: the secret shared with the agents; "" only where Redis is on this machine.
        namespace: of the keys.
        names: only agents with these names; empty takes any.
        patience: seconds to wait for agents.
        check_target: whether agents look before the start that the target takes connections.
        problem: says why not to wait for agents before the start, such as LocalAgents.problem.
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
        check_target: bool = True,
        problem: Callable[[], str] = lambda: "",
    ) -> None:
        self.calls = Callbacks()
        self.place = place
        self.reactor = reactor
        self.token = token
        self.keys = Keys(namespace)
        self.names = tuple(names)
        self.patience = patience
        self.check_target = check_target
        self.problem = problem
        self.session = secrets.token_hex(16)
        self.seal = Seal(token)
        self.redis = Redis(place, reactor, "coordinator")
        self.members: dict[str, Member] = {}
        """By instance."""
        self.offset = Offset(0.0, 0.0)
        self.state = "gathering"
        self._begun = 0.0
        """Second 0 on our clock."""
        self._shared: tuple[int, ...] = ()
        """Whom the arrivals belong to."""
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
        await Enlisting(self).enlist(count)
        found = [member.info for member in self.in_order()]
        self._shared = tuple(info.index for info in found)
        return found

    async def prepare(self, run: str, plan: Plan, files: Mapping[str, bytes]) -> None:
        """See links.Link."""
        self.state = "preparing"
        now = self.offset.redis(self.reactor.seconds())
        seal = Seal(self.token, "bundle")
        self._bundle = pack(self.session, run, plan, files, seal=seal, now=now)
        await self._put_bundle()
        members = self.in_order()
        order = {"run": run, "members": list(self._shared), "check": self.check_target}
        for member in members:
            self.say(member, "prepare", name=member.name, index=member.info.index, **order)
        await answers(members, "prepared", PREPARE_SECONDS, self.reactor)
        for group in (members[:1], members[1:]):
            for member in group:
                self.say(member, "set_up", run=member is members[0])
            await answers(group, "ready", PREPARE_SECONDS, self.reactor)
        self._bundle = b""
        self.redis.command("DEL", self.keys.bundle(self.session)).addErrback(lambda _: None)
        self.state = "ready"

    async def start(self) -> float:
        """See links.Link."""
        self.offset = await measure(self.redis, self.reactor)
        self._begun = at = self.reactor.seconds() + LEAD_SECONDS
        self.state = "running"
        for member in self.members.values():
            self.say(member, "start", at=round(self.offset.redis(at), 6))
        return float(at)

    def change(self, shares: Sequence[Share], second: int) -> None:
        """See links.Link."""
        data = [share_json(share) for share in shares]
        self._say_all("change", shares=data, second=second)

    def reshare(self, members: Sequence[int], second: int) -> None:
        """See links.Link. Members that are lost are told as well: they may come back."""
        self._shared = tuple(members)
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

    # ---- preparing and releasing

    async def _put_bundle(self) -> None:
        life = int(LIFE_SECONDS * 1000)
        key = self.keys.bundle(self.session)
        await self.redis.command("SET", key, self._bundle, "PX", life, seconds=30.0)

    async def _release(self) -> None:
        """Let the members go; one of them tears the run down."""
        self.state = "releasing"
        deadline = self.reactor.seconds() + RELEASE_SECONDS
        alive = [member for member in self.in_order() if not member.lost]
        for member in alive[1:]:
            self.say(member, "release", run=False)
        for group in (alive[1:], alive[:1]):
            for member in group:
                if member is alive[0]:
                    self.say(member, "release", run=True)
                wait = member.said("released")
                try:
                    left = max(0.1, deadline - self.reactor.seconds())
                    answer = await wait.addTimeout(left, self.reactor)
                except (TimeoutError, CoordinationError):
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

    # ---- talking

    def in_order(self) -> list[Member]:
        """The members, by number."""
        members = self.members.values()
        return sorted(members, key=lambda one: (one.info.index, one.name, one.instance))

    def say(self, member: Member, kind: str, **data: Any) -> None:
        """Order something of a member."""
        member.outbox.put(Message(kind, data))
        member.writer.flush()

    def _say_all(self, kind: str, **data: Any) -> None:
        for member in self.members.values():
            self.say(member, kind, **data)

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
                member.inbox.take(entry.number)
                self._heard(member, message)
            except CoordinationError as error:
                log.warn("a message of {name}: {error}", name=member.name, error=str(error))

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
        elif message.kind == "started":
            member.started = float(message.data.get("at", 0.0))
            if message.data.get("late"):
                self._event("note", f"agent {member.name} began late", member.name)
        elif message.kind == "paused":
            self._resume(member)
        elif message.kind == "leaving" or (message.kind == "failed" and self.state == "running"):
            member.left = True
            why = str(message.data.get("why") or failure(member.name, message.data))
            self._lose(member, why)
        else:
            member.answer(message)

    def _resume(self, member: Member) -> None:
        """A member that did not run begins nothing; let it, if it still has a part."""
        if member.info.index in self._shared:
            second = int(self.reactor.seconds() - self._begun) + 2
            self.say(member, "reshare", members=list(self._shared), second=second)

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
        elif member.outbox.heard:
            if self.state == "releasing":
                member.answer(Message("released"))
            else:
                self._lose(member, "it has given up the run")
            return
        if member.lost and not member.left:
            member.lost = False
            self.calls.on_back(member.name)

    def _find_lost(self, now: float) -> None:
        if self.state in ("gathering", "preparing") and (why := self.problem()):
            for member in self.members.values():
                member.fail(CoordinationError(why))
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
