"""Connections to one origin: those that are idle, and requests that wait for one.

A request takes the connection that became idle last; if there is none, one is opened, and the
request takes whichever is free first. There are never fewer connections being opened than
requests that wait.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from rascal.load.http.connections import Connection
from rascal.load.http.dial import Dial
from rascal.load.http.errors import RequestFailed
from rascal.load.http.urls import Origin

if TYPE_CHECKING:
    from rascal.load.http.client import Client


class Pool:
    """The connections to one origin, of all users or of one.

    Attributes:
        persistent: connections carry more than one request.
        session: the TLS session of a connection before, to be resumed.
    """

    __slots__ = (
        "_dead",
        "client",
        "closed",
        "dials",
        "idle",
        "origin",
        "persistent",
        "session",
        "waiting",
    )

    def __init__(self, client: Client, origin: Origin, persistent: bool) -> None:
        self.client = client
        self.origin = origin
        self.persistent = persistent
        self.idle: list[Connection] = []
        self.waiting: deque[Any] = deque()
        """Exchanges; some may be over by the time that it is their turn."""
        self.dials: set[Dial] = set()
        self.session: Any = None
        self.closed = False
        self._dead = 0

    def start(self, exchange: Any) -> None:
        """Send it on an idle connection, else on the next that is free."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if not connection.closed:
                connection.parked = False
                connection.start(exchange)
                return
            self._dead -= 1
        self.start_fresh(exchange)

    def start_fresh(self, exchange: Any) -> None:
        """Send it on a connection that is opened now."""
        if self.client.closed:
            closed = RequestFailed("refused", "the load client is closed")
            self.client.later(exchange.broke, None, closed)
            return
        if exchange.resent:
            self.waiting.appendleft(exchange)
        else:
            self.waiting.append(exchange)
        dial = Dial(self)
        self.dials.add(dial)
        dial.start()

    def released(self, connection: Connection) -> None:
        """It can carry another request."""
        if self.origin.tls and connection.used == 1:  # the server's tickets come with its reply
            self.session = connection.sock.session  # type: ignore[attr-defined]
        waiting = self.waiting
        while waiting:
            exchange = waiting[0]
            if exchange.over:
                waiting.popleft()
                continue
            if exchange.resent and connection.used:
                break
            waiting.popleft()
            connection.start(exchange)
            return
        if self.closed:
            connection.close()
        else:
            connection.parked = True
            self.idle.append(connection)

    def opened(self, dial: Dial, connection: Connection) -> None:
        """A new connection is there."""
        self.dials.discard(dial)
        self.client.opened += 1
        if self.persistent or self.waiting:
            self.released(connection)
            if not self.persistent and connection.exchange is None:
                connection.close()
        else:
            connection.close()

    def failed(self, dial: Dial, error: Exception) -> None:
        """A connection could not be opened: the request that waited longest fails."""
        self.dials.discard(dial)
        waiting = self.waiting
        while waiting:
            exchange = waiting.popleft()
            if not exchange.over:
                exchange.broke(None, error)
                return

    def gone(self, connection: Connection) -> None:
        """It is closed. It may still be in `idle`."""
        if connection.parked:
            self._dead += 1
            if self._dead > 32 and self._dead * 2 > len(self.idle):
                self.idle = [one for one in self.idle if not one.closed]
                self._dead = 0

    def close(self) -> None:
        """Close what is idle; what is busy closes when its reply has come."""
        self.closed = True
        for connection in self.idle:
            connection.close()
        self.idle.clear()
        for dial in list(self.dials):
            if not self.waiting:
                dial.stop()
