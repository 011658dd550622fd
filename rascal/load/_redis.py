"""Redis, typed: the only module that knows txredisapi.

    place = parse_place("redis://:secret@10.0.0.5/2")
    redis = Redis(place, reactor)
    await redis.connect()              # CoordinationError with one line if it cannot be
    await redis.command("SET", "key", b"value")

A `Redis` is one connection for one role: a blocking read (`blocking`) has a connection of its
own, since everything behind it waits. We use txredisapi's protocol and none of its pools, which
wait for ever for a server that is gone, resubscribe nothing and check no certificate:

- every wait ends: a command that is not answered in time aborts the connection, since whatever
  is behind it would wait as well;
- a lost connection is noticed, said (`on_down`), made again with a short back-off, and said
  again (`on_up`); a command meanwhile fails at once with `RedisLost`;
- what comes back is bytes, int, None or lists of them, whatever parser is installed;
- the server shows who it is before the password goes out: a PING is answered, in Redis' own
  protocol, and over TLS by a certificate that has the name.

txredisapi imports the reactor, so it is imported when the first connection is made.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from rascal.errors import CoordinationError
from rascal.load.places import (
    CONNECT_SECONDS,
    Place,
    auth_failed,
    authorities,
    check_names,
    no_greeting,
    not_let_in,
    parse_place,
    unreachable,
)

__all__ = ["Place", "Redis", "RedisLost", "RedisRefused", "parse_place"]

REPLY_SECONDS = 5.0
BACK_OFF = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between attempts to connect again; the last one is repeated."""


class RedisLost(CoordinationError):
    """There is no connection, it was lost, or no answer came in time."""


class RedisRefused(CoordinationError):
    """Redis answered with an error."""


class Redis:
    """One connection, for one role, made again when it is lost. See the module.

    Args:
        place: where.
        reactor: connects, and is the clock of every time-out.
        role: what the connection is for; Redis shows it in CLIENT LIST.
    """

    def __init__(self, place: Place, reactor: Any, role: str = "commands") -> None:
        self.place = place
        self.reactor = reactor
        self.role = role
        self.connections = 0
        """How often it was connected."""
        self.problem = ""
        """Why there is no connection now, for people."""
        self.on_up: Callable[[], None] = lambda: None
        self.on_down: Callable[[str], None] = lambda why: None
        self._protocol: Any = None
        self._closed = False
        self._again: Any = None
        self._opening: Any = None

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self._protocol is not None

    async def connect(self) -> None:
        """Connect for the first time; from then on it is kept up.

        Raises CoordinationError: one line that says why not.
        """
        await self._open()

    def command(self, *words: Any, seconds: float = REPLY_SECONDS) -> Any:
        """Send a command; a Deferred of its reply.

        It fails with RedisLost (nothing is known about whether it was carried out, unless there
        was no connection at all) or RedisRefused.
        """
        from twisted.internet.defer import fail

        if self._protocol is None:
            return fail(RedisLost(self.problem or f"Redis at {self.place} is not connected"))
        return self._send(self._protocol, words, seconds)

    async def commands(self, *several: Sequence[Any], seconds: float = REPLY_SECONDS) -> list[Any]:
        """Send several commands at once; their replies, or an exception in place of one."""
        from twisted.internet.defer import DeferredList

        waits = [self.command(*words, seconds=seconds) for words in several]
        found = await DeferredList(waits, consumeErrors=True)
        return [value if good else value.value for good, value in found]

    def blocking(self, *words: Any, seconds: float) -> Any:
        """Send a command that Redis itself ends after `seconds`."""
        return self.command(*words, seconds=seconds + REPLY_SECONDS)

    async def close(self) -> None:
        """Disconnect for good."""
        self._closed = True
        if self._again is not None and self._again.active():
            self._again.cancel()
        if self._opening is not None:
            self._opening.cancel()
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            gone = protocol.whenDisconnected()
            protocol.transport.loseConnection()
            with suppress(Exception):
                await gone.addTimeout(1.0, self.reactor)

    # ---- connecting

    async def _open(self) -> None:
        from twisted.internet.protocol import Factory

        factory = Factory.forProtocol(_protocol_class())
        factory.noisy = False
        try:
            connecting = self._endpoint().connect(factory)
            protocol = await connecting.addTimeout(CONNECT_SECONDS, self.reactor)
        except CoordinationError:
            raise
        except Exception as error:
            raise RedisLost(unreachable(self.place, error)) from error
        try:
            await self._greet(protocol)
        except BaseException:
            protocol.transport.abortConnection()
            raise
        if self._closed:
            protocol.transport.abortConnection()
            raise RedisLost(f"the connection to Redis at {self.place} was closed")
        self._protocol = protocol
        self.problem = ""
        self.connections += 1
        protocol.whenDisconnected().addCallback(self._lost)

    def _endpoint(self) -> Any:
        from twisted.internet.endpoints import (
            HostnameEndpoint,
            UNIXClientEndpoint,
            wrapClientTLS,
        )

        if self.place.path:
            return UNIXClientEndpoint(self.reactor, self.place.path, timeout=CONNECT_SECONDS)
        plain = HostnameEndpoint(
            self.reactor, self.place.host, self.place.port, timeout=CONNECT_SECONDS
        )
        if not self.place.tls:
            return plain
        from twisted.internet.ssl import optionsForClientTLS

        trust = authorities(self.place.authorities)
        return wrapClientTLS(optionsForClientTLS(self.place.host, trustRoot=trust), plain)

    async def _greet(self, protocol: Any) -> None:
        """See that it is Redis, log in, choose the database."""
        place = self.place
        try:
            pong = await self._send(protocol, ("PING",), CONNECT_SECONDS)
        except RedisRefused as error:
            pong = str(error)
        except RedisLost as error:
            other = bool(protocol.foreign) or place.tls
            raise (RedisRefused if other else RedisLost)(no_greeting(place, protocol)) from error
        if place.tls:
            check_names(place, protocol)
        if place.password:
            words: tuple[Any, ...] = ("AUTH", *([place.user] if place.user else []), place.password)
            try:
                await self._send(protocol, words, CONNECT_SECONDS)
            except RedisRefused as error:
                raise RedisRefused(auth_failed(place, str(error))) from error
        elif isinstance(pong, str):
            raise RedisRefused(not_let_in(place, pong))
        for words in (("PING",), *([("SELECT", place.database)] if place.database else [])):
            try:
                await self._send(protocol, words, CONNECT_SECONDS)
            except RedisRefused as error:
                raise RedisRefused(not_let_in(place, str(error))) from error
        with suppress(RedisRefused):
            await self._send(protocol, ("CLIENT", "SETNAME", f"rascal-{self.role}"), 5.0)

    def _lost(self, protocol: Any) -> None:
        if protocol is not self._protocol:
            return
        self._protocol = None
        self.problem = f"the connection to Redis at {self.place} was lost"
        self.on_down(self.problem)
        self._later(0)

    def _later(self, attempt: int) -> None:
        if self._closed:
            return
        seconds = BACK_OFF[min(attempt, len(BACK_OFF) - 1)] * random.uniform(0.8, 1.2)
        self._again = self.reactor.callLater(seconds, self._try, attempt)

    def _try(self, attempt: int) -> None:
        from twisted.internet.defer import Deferred

        def failed(failure: Any) -> None:
            self._opening = None
            if not self._closed:
                self.problem = failure.getErrorMessage()
                self._later(attempt + 1)

        def done(_: None) -> None:
            self._opening = None
            self.on_up()

        self._opening = Deferred.fromCoroutine(self._open())
        self._opening.addCallbacks(done, failed)

    # ---- commands

    def _send(self, protocol: Any, words: Sequence[Any], seconds: float) -> Any:
        """One command on this connection; the reply is never waited for longer than `seconds`."""
        from twisted.internet.defer import Deferred, TimeoutError, fail
        from twisted.python.failure import Failure

        place = self.place

        def late(value: Any, after: float) -> Any:
            protocol.transport.abortConnection()
            raise RedisLost(f"Redis at {place} did not answer within {after:g}s")

        def failed(failure: Failure) -> Any:
            if failure.check(RedisLost, TimeoutError):
                return failure
            text = failure.getErrorMessage()
            if failure.check(_api().ResponseError):
                raise RedisRefused(text)
            raise RedisLost(f"the connection to Redis at {place} was lost")

        try:
            reply: Deferred[Any] = protocol.execute_command(*words, apply_timeout=False)
        except Exception:
            return fail(RedisLost(f"the connection to Redis at {place} was lost"))
        reply.addTimeout(seconds, self.reactor, onTimeoutCancel=late)
        return reply.addCallbacks(_plain, failed)


def _api() -> Any:
    import txredisapi

    return txredisapi


@functools.cache
def _protocol_class() -> Any:
    """txredisapi's protocol that gives bytes, and gives up where nobody speaks Redis."""

    class Protocol(_api().RedisProtocol):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(charset=None, convertNumbers=False)
            self.heard = False
            self.foreign = b""
            self.reason: Any = None

        def dataReceived(self, data: bytes, unpause: bool = False) -> None:
            if not self.heard and data:
                self.heard = True
                if data[:1] not in b"+-:$*":
                    self.foreign = data[:40]
                    self.transport.abortConnection()
                    return
            if not self.foreign:
                super().dataReceived(data, unpause)

        def connectionLost(self, why: Any) -> None:
            self.reason = why
            super().connectionLost(why)

    return Protocol


def _plain(value: Any) -> Any:
    """The same for both parsers: bytes, int, None, lists; an error in a list as RedisRefused."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return RedisRefused(str(value)) if isinstance(value, Exception) else value
