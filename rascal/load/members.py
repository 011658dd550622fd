"""Members: the agents of a run as its coordinator knows them, and how they are enlisted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred, FirstError, TimeoutError, gatherResults
from twisted.internet.task import deferLater

from rascal.errors import ConfigError, ConfigErrors, CoordinationError, LoadError, RascalError
from rascal.load.beats import Beat, read_beats
from rascal.load.links import AgentInfo
from rascal.load.messages import LAYOUT, Inbox, Message, Outbox
from rascal.load.streams import Writer

if TYPE_CHECKING:
    from rascal.load.redis_link import RedisLink

ANSWER_SECONDS = 5.0
CLOCK = 0.1
"""Seconds by which the clock of an agent may be off, at most."""


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
        self.left = False
        """It has said that it does no more; it does not come back."""
        self.started: float | None = None
        """When its second 0 was, on its clock: the same clock as ours on the same machine."""
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
        for wait in set(waits.values()):
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


async def answers(members: Sequence[Member], kind: str, seconds: float, clock: Any) -> None:
    """Wait until each has answered with this. Raises the first failure: what it said, or
    CoordinationError if it is lost or says nothing."""
    waits = [Deferred.fromCoroutine(_answer(one, kind, seconds, clock)) for one in members]
    try:
        await gatherResults(waits, consumeErrors=True)
    except FirstError as error:
        first: Any = error.subFailure.value
        raise first from error
    finally:
        for wait in waits:
            wait.cancel()


async def _answer(member: Member, kind: str, seconds: float, clock: Any) -> None:
    if member.lost:
        raise CoordinationError(f"agent {member.name} is lost")
    try:
        answer = await member.said(kind, "failed").addTimeout(seconds, clock)
    except TimeoutError as error:
        raise CoordinationError(f"agent {member.name} has not answered for {seconds:g}s") from error
    if answer.kind == "failed":
        raise failure(member.name, answer.data)


class Enlisting:
    """Finds free agents for a link and asks them to join."""

    def __init__(self, link: RedisLink) -> None:
        self.link = link
        self.refused: dict[str, str] = {}
        """Who will not, and why: by instance, a line for people."""

    async def enlist(self, count: int) -> None:
        """Take agents that are free until there are `count`; 0 takes all that are there.

        Raises CoordinationError, with what is wrong with those that are there.
        """
        link = self.link
        deadline = link.reactor.seconds() + link.patience
        while True:
            beats = await read_beats(link.redis, link.keys, link.seal)
            free = []
            for beat in beats:
                if beat.instance in link.members:
                    continue
                if why := self._unusable(beat):
                    self._refuse(beat, why)
                elif self.refused.get(beat.instance) is None:
                    free.append(beat)
            await self._ask(free[: count - len(link.members)] if count else free)
            if link.members and len(link.members) >= count:
                break
            if problem := link.problem():
                raise CoordinationError(problem)
            if link.reactor.seconds() > deadline:
                raise CoordinationError(self._too_few(count))
            for beat in beats:
                if beat.state != "idle":
                    self.refused.pop(beat.instance, None)
            await deferLater(link.reactor, 0.1)
        self._number()

    def _unusable(self, beat: Beat) -> str:
        if beat.problem:
            return beat.problem
        if beat.clock_error > CLOCK:
            return (
                f"its clock is known to {1000 * beat.clock_error:.0f} ms only: Redis is slow for it"
            )
        if self.link.names and beat.name not in self.link.names:
            return "it was not asked for"
        if beat.state != "idle":
            return f"it is busy with run {beat.run}" if beat.run else "it is busy"
        return ""

    def _refuse(self, beat: Beat, why: str) -> None:
        self.refused[beat.instance] = f"{beat.name} ({beat.host}, process {beat.pid}): {why}"

    async def _ask(self, wanted: Sequence[Beat]) -> None:
        """Ask these to join; who does not is refused."""
        link = self.link
        asked = [(self._member(beat), beat) for beat in wanted]
        for member, _ in asked:
            link.members[member.instance] = member
            issued = round(link.offset.redis(link.reactor.seconds()), 3)
            link.say(member, "enlist", issued=issued, layout=LAYOUT)
        for member, beat in asked:
            why = ""
            try:
                wait = member.said("joined", "refused")
                answer = await wait.addTimeout(ANSWER_SECONDS, link.reactor)
                if answer.kind == "refused":
                    why = str(answer.data.get("why")) or "it will not"
            except (TimeoutError, CoordinationError):
                why = "it does not answer"
            if why or member.lost:
                self._refuse(beat, why or "it is gone")
                del link.members[member.instance]

    def _member(self, beat: Beat) -> Member:
        link = self.link
        info = AgentInfo(
            name=beat.name,
            host=beat.host,
            pid=beat.pid,
            version=beat.version,
            cpu=beat.cpu,
            lag=beat.lag,
        )
        address = ("to", link.session, beat.instance)
        key = link.keys.to(beat.instance)
        writer = Writer(link.redis, link.reactor, link.seal, key, address, Outbox())
        member = Member(info, beat, writer)
        member.seen = link.reactor.seconds()
        return member

    def _number(self) -> None:
        """Give each its number and a name that is unique in the run."""
        taken: set[str] = set()
        for index, member in enumerate(self.link.in_order()):
            name, number = member.name, 2
            while name in taken:
                name, number = f"{member.name}-{number}", number + 1
            taken.add(name)
            member.info = attrs.evolve(member.info, name=name, index=index)

    def _too_few(self, count: int) -> str:
        have = len(self.link.members)
        need = f"{count} agents are needed" if count > 1 else "an agent is needed"
        there = f"{have or 'none'} {'are' if have > 1 else 'is'} free"
        lines = "".join(f"; {line}" for line in sorted(set(self.refused.values())))
        return f"{need}, {there} at Redis {self.link.place}{lines}"


def failure(agent: str, data: Mapping[str, Any]) -> RascalError:
    """What an agent could not do, as the error that it had."""
    lines = [str(line) for line in data.get("lines", ())] or ["it failed"]
    if data.get("error") == "config":
        return ConfigErrors([ConfigError(line) for line in lines])
    text = f"agent {agent}: " + "; ".join(lines)
    return CoordinationError(text) if data.get("error") == "coordination" else LoadError(text)
