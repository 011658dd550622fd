"""Connections to one origin: those that are idle, and requests that wait for one.

A request takes the connection that became idle last; if there is none, one is opened for it, and
it takes whichever is free first. So each request that waits has one connection being opened (a
dial): if that fails, so does the request; if the request gives up, so does the dial; if another
connection came first, what the dial opens will be idle.
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
        exchange.dial = dial = Dial(self, exchange)
        self.dials.add(dial)
        dial.start()

    def released(self, connection: Connection) -> None:
        """It can carry another request."""
        if self.origin.tls and connection.used == 1:  # the server's tickets come with its reply
            self.session = connection.sock.session  # type: ignore[attr-defined]
        if self.waiting:
            first = self._first()
            if first is not None and not first.resent:
                self.waiting.popleft()
                first.dial.exchange = None  # what it opens will be idle
                first.dial = None
                connection.start(first)
                return
        self._park(connection)

    def opened(self, dial: Dial, connection: Connection) -> None:
        """A new connection is there: for the request that has waited longest."""
        self.dials.discard(dial)
        self.client.opened += 1
        first = self._first()
        if first is None:
            self._park(connection)
            return
        self.waiting.popleft()
        owner = dial.exchange
        if first is not owner:  # whose it was waits for the other's instead
            first.dial.exchange = owner
            if owner is not None:
                owner.dial = first.dial
        first.dial = None
        connection.start(first)

    def failed(self, dial: Dial, error: Exception) -> None:
        """A connection could not be opened."""
        self.dials.discard(dial)
        exchange = dial.exchange
        if exchange is not None and not exchange.over:
            exchange.dial = None
            exchange.broke(None, error)
        self._tidy()

    def left(self, exchange: Any) -> None:
        """It gave up waiting: nobody needs the connection that is being opened for it."""
        exchange.dial.stop()
        exchange.dial = None
        self._tidy()

    def _first(self) -> Any:
        """Who has waited longest, if anybody waits."""
        waiting = self.waiting
        while waiting:
            if not waiting[0].over:
                return waiting[0]
            waiting.popleft()
        return None

    def _tidy(self) -> None:
        if not self.dials:
            self.waiting.clear()  # all of them are over

    def _park(self, connection: Connection) -> None:
        if self.persistent and not self.closed:
            connection.parked = True
            self.idle.append(connection)
        else:
            connection.close()

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
            if dial.exchange is None:
                dial.stop()
