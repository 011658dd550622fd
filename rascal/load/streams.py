"""The two ends of a stream in Redis: writing what an outbox has, reading what has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rascal.errors import CoordinationError
from rascal.load._redis import Redis, RedisLost, RedisRefused
from rascal.load.messages import STREAM_MS, Entry, Outbox, Seal, add_words, entries

log = Logger()

BLOCK_SECONDS = 1.0
AT_ONCE = 64
"""Entries a read."""


class Writer:
    """Sends what an outbox has to one stream. What fails is sent again: see Outbox.

    Args:
        redis: the connection for commands.
        key: the stream.
        address: way, session and instance, which the seals name.
    """

    def __init__(
        self,
        redis: Redis,
        clock: Any,
        seal: Seal,
        key: str,
        address: tuple[str, str, str],
        outbox: Outbox,
    ) -> None:
        self.redis = redis
        self.clock = clock
        self.seal = seal
        self.key = key
        self.address = address
        self.outbox = outbox
        self.refused = ""
        """What Redis last said against a message."""

    def flush(self) -> None:
        """Send what is due."""
        if not self.redis.up:
            return
        items = self.outbox.take(self.clock.seconds())
        for item in items:
            words = add_words(self.key, self.seal, *self.address, item)
            self.redis.command(*words).addCallbacks(self._taken, self._failed)
        if items:
            self.redis.command("PEXPIRE", self.key, STREAM_MS).addErrback(lambda _: None)

    def _taken(self, _: Any) -> None:
        self.refused = ""

    def _failed(self, failure: Any) -> None:
        failure.trap(CoordinationError)
        text = failure.getErrorMessage()
        if failure.check(RedisRefused) and text != self.refused:
            self.refused = text
            log.error("Redis takes no messages: {text}", text=text)


class Reader:
    """Reads one stream on a connection of its own, and deletes what it has handed on.

    After a new connection it reads from the stream's beginning: Redis' ids follow its clock,
    which may be another one now. What was handed on already is known by its number.
    """

    def __init__(
        self,
        redis: Redis,
        commands: Redis,
        reactor: Any,
        key: str,
        handle: Callable[[Sequence[Entry]], None],
    ) -> None:
        self.redis = redis
        self.commands = commands
        self.reactor = reactor
        self.key = key
        self.handle = handle
        self._up: Deferred[None] | None = None
        self._stopped = False
        self._wait: Deferred[None] | None = None
        self._done: Deferred[None] | None = None
        redis.on_up = self._on_up

    def start(self) -> None:
        """Begin to read."""
        self._done = Deferred.fromCoroutine(self._run())

    async def stop(self) -> None:
        """Stop, and close the connection."""
        self._stopped = True
        self._on_up()
        if self._wait is not None:
            self._wait.cancel()
        await self.redis.close()
        if self._done is not None:
            await self._done

    def _on_up(self) -> None:
        waiting, self._up = self._up, None
        if waiting is not None:
            waiting.callback(None)

    async def _run(self) -> None:
        connection, last = -1, b"0"
        while not self._stopped:
            if not self.redis.up:
                self._up = Deferred()
                await self._up
                continue
            if connection != self.redis.connections:
                connection, last = self.redis.connections, b"0"
            try:
                found = entries(await self._read(last))
            except RedisLost:
                continue
            except RedisRefused as error:
                if not self._stopped:
                    log.error("Redis gives no messages: {error}", error=str(error))
                    await self._pause(1.0)
                continue
            if found and not self._stopped:
                last = found[-1].id
                self._take(found)

    def _read(self, last: bytes) -> Any:
        block = int(BLOCK_SECONDS * 1000)
        words = ("XREAD", "COUNT", AT_ONCE, "BLOCK", block, "STREAMS", self.key, last)
        return self.redis.blocking(*words, seconds=BLOCK_SECONDS)

    def _take(self, found: Sequence[Entry]) -> None:
        try:
            self.handle(found)
        except Exception:
            log.failure("a message of {key} failed", key=self.key)
        done = self.commands.command("XDEL", self.key, *(entry.id for entry in found))
        done.addErrback(lambda _: None)

    async def _pause(self, seconds: float) -> None:
        self._wait = deferLater(self.reactor, seconds)
        try:
            await self._wait
        except Exception:
            return
        finally:
            self._wait = None
