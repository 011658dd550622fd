"""A connection of the load client: a non-blocking socket that reads and writes for itself.

It is no Twisted transport. A request goes out at once, in the call that asks for it; only what
the kernel does not take waits for the reactor. It stays registered for reading all its life, so
that an idle connection that the server closes is never used again.

    idle ──start──► busy ──reply──► idle (released to its pool), or closed
      └─FIN, RST, stray bytes──► closed        └─FIN, RST, no HTTP──► closed, the exchange is told

TLS is OpenSSL on the socket itself (`ssl.SSLSocket`): the same code with other exceptions.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from twisted.logger import Logger

from rascal.errors import ProtocolError
from rascal.load.http.errors import TruncatedError
from rascal.load.http.wire import Reader

if TYPE_CHECKING:
    from rascal.load.http.pools import Pool
    from rascal.load.types import Call

log = Logger()

READ = 64 * 1024
LINGER = 1.0
"""Seconds that the server gets to close first where both sides said that they would."""
_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError, InterruptedError)

_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""FIN without TLS's own goodbye, or a write behind it."""


class Busy(Protocol):
    """Who uses a connection: one request (rascal.load.http.exchange)."""

    data: bytes
    head_only: bool
    call: Call
    connection: Connection | None

    def replied(self, connection: Connection, now: float) -> None:
        """`connection.reader` holds the reply; the connection is still ours."""

    def broke(self, connection: Connection | None, error: Exception) -> None:
        """There will be no reply. The connection is closed."""


class Times:
    """How long it took to have a connection: seconds, 0 for what was not needed."""

    __slots__ = ("connect", "dns", "tls")

    def __init__(self) -> None:
        self.dns = self.connect = self.tls = 0.0


NO_TIMES = Times()


class Connection:
    """One open connection.

    Attributes:
        used: requests that it has carried.
        times: what it took to open it.
    """

    __slots__ = (
        "_left",
        "_now",
        "_recv",
        "_send",
        "_table",
        "_writing",
        "closed",
        "deadline",
        "exchange",
        "fd",
        "parked",
        "pool",
        "reactor",
        "reader",
        "sock",
        "times",
        "used",
    )

    def __init__(self, pool: Pool, sock: socket.socket, times: Times) -> None:
        self.pool = pool
        self.sock = sock
        self.fd = sock.fileno()
        self.times = times
        self.reactor = pool.client.reactor
        client = pool.client
        self.reader = Reader(client.heads, client.body_limit, client.discard, client.held)
        self.exchange: Busy | None = None
        self.used = 0
        self.closed = False
        self.parked = False
        """It stands in its pool's list of idle ones."""
        self.deadline = 0.0
        self._now = pool.client.now
        self._left: memoryview | None = None
        self._writing = False
        self._table: dict[Any, None] | None = None
        self._send = sock.send
        self._recv = sock.recv
        pool.client.connections.add(self)
        self.reactor.addReader(self)

    # -- a request ---------------------------------------------------------------------------------
    def start(self, exchange: Busy) -> None:
        """Send it: now, or in a moment beside others (rascal.reactor)."""
        self.exchange = exchange
        exchange.connection = self
        self.used += 1
        reader = self.reader
        reader.head_only = exchange.head_only
        reader.begun = False
        outbox = getattr(self.reactor, "outbox", None)
        if outbox is None:
            self.send()
        else:
            outbox.append(self.send)

    def send(self) -> None:
        """Send what was started, unless that has ended meanwhile."""
        exchange = self.exchange
        if exchange is None:
            return
        data = exchange.data
        try:
            count = self._send(data)
        except _AGAIN:
            count = 0
        except OSError as error:
            self._cannot_send(error)
            return
        if count != len(data):
            self._left = memoryview(data)[count:]
            self._start_writing()

    def doWrite(self) -> None:
        """The kernel takes more."""
        left = self._left
        if not left:
            self._stop_writing()
            return
        try:
            count = self._send(left)
        except _AGAIN:
            return
        except OSError as error:
            self._stop_writing()
            self._cannot_send(error)
            return
        if count == len(left):
            self._left = None
            self._stop_writing()
        else:
            self._left = left[count:]

    def _cannot_send(self, error: OSError) -> None:
        """The peer takes no more; what it said before may still be there. Read it next turn."""
        self._left = memoryview(b"")  # not to be used again
        self.pool.client.later(self._read_rest, error)

    def _read_rest(self, error: OSError) -> None:
        exchange, used = self.exchange, self.used
        while not self.closed and self.exchange is exchange and exchange and self.used == used:
            try:
                data = self._recv(READ)
            except _AGAIN:
                self._fail(error)
            except OSError:
                self._fail(error)
            else:
                self._take(data)

    # -- the reply ---------------------------------------------------------------------------------
    def doRead(self) -> None:
        """Something came."""
        try:
            data = self._recv(READ)
        except _AGAIN:
            return
        except OSError as error:
            if self.closed:
                return
            self._fail(error)
            return
        self._take(data)

    fast_event = doRead

    def _take(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None or not data:
            self._odd()
            return
        now = self._now()
        call = exchange.call
        call.received += len(data)
        if not call.first_byte:
            call.first_byte = now
        try:
            complete = self.reader.feed(data)
        except ProtocolError as error:
            self._fail(error)
            return
        if complete:
            self.exchange = None
            exchange.replied(self, now)

    def _odd(self) -> None:
        """FIN, or bytes that nobody asked for."""
        exchange = self.exchange
        if exchange is None:
            self.close()
            return
        reader = self.reader
        if not reader.begun:
            self._fail(ConnectionResetError(errno.ECONNRESET, "closed without a reply"))
            return
        try:
            reader.end()
        except TruncatedError as error:
            self._fail(error)
            return
        self.exchange = None
        exchange.replied(self, self._now())

    def release(self) -> None:
        """The reply has been taken: carry another request, or close."""
        pool = self.pool
        if self._left is not None:
            self.close()
        elif not self.reader.keep:
            self._linger()
        elif not pool.persistent:
            self.close()
        elif pool.waiting or pool.closed or pool.origin.tls:
            pool.released(self)
        else:
            self.parked = True
            pool.idle.append(self)

    def _linger(self) -> None:
        """Let the server close first: its port waits then, not one of ours."""
        client = self.pool.client
        self.deadline = self._now() + LINGER
        self._table = client.wheel.table(LINGER)
        self._table[self] = None

    def expire(self) -> None:
        """The server did not close."""
        self.close()

    # -- the end -----------------------------------------------------------------------------------
    def _fail(self, error: Exception) -> None:
        exchange, self.exchange = self.exchange, None
        if isinstance(error, _ENDED):
            if self.reader.begun:
                error = TruncatedError("the connection ended within TLS")
            else:
                error = ConnectionResetError(errno.ECONNRESET, "closed without a reply")
        self.close()
        if exchange is not None:
            exchange.broke(self, error)

    def close(self) -> None:
        """Give the socket back; the exchange, if there is one, is not told."""
        if self.closed:
            return
        self.closed = True
        self.exchange = None
        if self._table is not None:
            self._table.pop(self, None)
            self._table = None
        self._stop_writing()
        self._left = None
        self.reader.drop()
        self.reactor.removeReader(self)
        self.pool.client.connections.discard(self)
        self.pool.gone(self)
        self.fd = -1
        self.sock.close()

    abandon = close

    def _start_writing(self) -> None:
        if not self._writing:
            self._writing = True
            self.reactor.addWriter(self)

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self.reactor.removeWriter(self)

    # -- what reactors ask of a reader or writer ---------------------------------------------------
    def fileno(self) -> int:
        return self.fd

    def logPrefix(self) -> str:
        return "load"

    def connectionLost(self, reason: object) -> None:
        """The reactor saw an error, or a mistake of ours: it ends here."""
        if self.closed:
            return
        number = 0
        with suppress(OSError):
            number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        value = getattr(reason, "value", None)
        if number:
            self._fail(OSError(number, os.strerror(number)))
        elif isinstance(value, OSError):
            self._fail(value)
        else:
            self._fail(ConnectionResetError(errno.ECONNRESET, "the connection was lost"))


class SecureConnection(Connection):
    """The same over TLS: OpenSSL may hold more decrypted bytes than one read took."""

    __slots__ = ()

    sock: ssl.SSLSocket

    def doRead(self) -> None:
        """Read all that is decrypted: the reactor does not know of it."""
        while True:
            Connection.doRead(self)
            if self.closed or not self.sock.pending():
                return

    fast_event = doRead
