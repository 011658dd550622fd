"""Opening a connection: the name's addresses in turn, the check of each, TCP, TLS.

Every step is timed. An address that does not answer gets an equal part of what is left of the
connect time-out; one that nobody allowed ends it all before a packet is sent to it.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

from rascal.load.http.connections import Connection, SecureConnection, Times
from rascal.load.http.errors import RequestFailed

if TYPE_CHECKING:
    from rascal.load.http.pools import Pool

_PENDING = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR)


class Dial:
    """One attempt to have a connection. It tells its pool how it ended, once."""

    __slots__ = (
        "_address",
        "_addresses",
        "_began",
        "_last",
        "_reading",
        "_step",
        "_sync",
        "_table",
        "_writing",
        "deadline",
        "ends",
        "exchange",
        "fd",
        "over",
        "pool",
        "sock",
        "times",
    )

    def __init__(self, pool: Pool, exchange: Any) -> None:
        self.pool = pool
        self.exchange = exchange
        """Who waits for it; None: nobody any more."""
        self.times = Times()
        self.sock: Any = None
        self.fd = -1
        self.over = False
        self._began = pool.client.now()
        self.ends = self._began + pool.client.connect_timeout
        """When it must have a connection."""
        self.deadline = self.ends
        """Of this step."""
        self._table: dict[Any, None] | None = None
        self._addresses: list[str] = []
        self._address = ""
        self._last: Exception | None = None
        self._step = "connect"
        self._reading = self._writing = False
        self._sync = True

    def start(self) -> None:
        """Begin. Failures are told in a later turn of the reactor."""
        origin = self.pool.origin
        if origin.unix or origin.literal:
            self._addresses = [origin.host]
            self._next()
        else:
            known = self.pool.client.names.known(origin.host)
            if known:
                self._addresses = list(known)
                self._next()
            else:
                self._step = "resolve"
                self._watch(self.ends)
                self.pool.client.names.ask(origin.host, self._found)
        self._sync = False

    def _found(self, addresses: tuple[str, ...] | None, error: Exception | None) -> None:
        if self.over:
            return
        now = self.pool.client.now()
        self.times.dns = now - self._began
        if addresses is None:
            self._fail(error or RequestFailed("refused", "no address"))
            return
        self._addresses = list(addresses)
        self._next()

    # -- one address after the other ---------------------------------------------------------------
    def _next(self) -> None:
        """Connect to the next address."""
        self._drop()
        if not self._addresses:
            self._fail(self._last or RequestFailed("refused", "no address"))
            return
        origin, client = self.pool.origin, self.pool.client
        self._address = address = self._addresses.pop(0)
        self._step = "connect"
        try:
            client.allowed("localhost" if origin.unix else origin.host, address)
        except Exception as error:
            asked = (
                None if origin.unix else client.prove(origin.host, origin.port, origin.tls, address)
            )
            if asked is None:
                self._failed_here(error)
                return
            self._last = error
            self._step = "prove"
            self._watch(self.ends)
            asked.addCallback(self._proved, address)
            return
        self._began = now = client.now()
        self._watch(now + (self.ends - now) / (len(self._addresses) + 1))
        try:
            number = self._connect(address)
        except OSError as error:
            number = error.errno or errno.EINVAL
        if not number:
            self._connected()
        elif number in _PENDING and self.sock is not None:
            self._write(True)
        else:
            self._failed_here(OSError(number, os.strerror(number)))

    def _proved(self, well: bool, address: str) -> None:
        """An address that nobody allowed has shown that it may be loaded, or has not."""
        if self.over or self._step != "prove" or self._address != address:
            return
        if well:
            self._addresses.insert(0, address)
        self._next()

    def _connect(self, address: str) -> int:
        origin = self.pool.origin
        if origin.unix:
            self.sock = sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            where: Any = address
        elif ":" in address:
            self.sock = sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            where = socket.getaddrinfo(
                address, origin.port, socket.AF_INET6, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST
            )[0][4]
        else:
            self.sock = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            where = (address, origin.port)
        sock.setblocking(False)
        self.fd = sock.fileno()
        if not origin.unix:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = sock.connect_ex(where)
        if number in _PENDING and not origin.unix:
            try:  # on loopback it is often there already
                sock.getpeername()
            except OSError:
                return number
            return 0
        if number == errno.EAGAIN and origin.unix:
            return errno.ECONNREFUSED  # its queue is full, and nobody would tell us when not
        return number

    def doWrite(self) -> None:
        """The socket is connected, or it is not; or TLS wants to write."""
        if self._step == "tls":
            self._shake()
            return
        number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._failed_here(OSError(number, os.strerror(number)))
        else:
            self._connected()

    def doRead(self) -> None:
        """TLS wants to read."""
        self._shake()

    def _connected(self) -> None:
        now = self.pool.client.now()
        self.times.connect = now - self._began
        if not self.pool.origin.literal and not self.pool.origin.unix:
            self.pool.client.names.first(self.pool.origin.host, self._address)
        if not self.pool.origin.tls:
            self._done(Connection)
            return
        self._write(False)
        self._step = "tls"
        self._began = now
        try:
            self._wrap()
        except (OSError, ValueError) as error:
            self._failed_here(error)
            return
        self._shake()

    # -- TLS ---------------------------------------------------------------------------------------
    def _wrap(self) -> None:
        pool = self.pool
        self.sock = pool.client.tls.wrap_socket(
            self.sock,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            server_hostname=pool.origin.host,
            session=pool.session,
        )

    def _shake(self) -> None:
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._write(False)
            self._read(True)
        except ssl.SSLWantWriteError:
            self._write(True)
        except ssl.SSLError as error:
            self._fail(error)
        except OSError as error:
            self._failed_here(error)
        else:
            self.times.tls = self.pool.client.now() - self._began
            self._done(SecureConnection)

    # -- the end -----------------------------------------------------------------------------------
    def _done(self, form: type[Connection]) -> None:
        self._read(False)
        self._write(False)
        self._unwatch()
        self.over = True
        sock, self.sock = self.sock, None
        pool = self.pool
        pool.opened(self, form(pool, sock, self.times))

    def _failed_here(self, error: Exception) -> None:
        """This address does not work: try the next."""
        self._last = error
        self._next()

    def _fail(self, error: Exception) -> None:
        if self.over:
            return
        self.stop()
        self.pool.dials.add(self)  # until it is told
        if self._sync:
            self.pool.client.later(self.pool.failed, self, error)
        else:
            self.pool.failed(self, error)

    def stop(self) -> None:
        """Give all back; nobody is told."""
        self.over = True
        self._drop()
        self._unwatch()
        self.pool.dials.discard(self)

    abandon = stop

    def expire(self) -> None:
        """The time of this step is over."""
        if self.over:
            return
        if self._step == "resolve":
            self._fail(RequestFailed("timeout", f"looking up '{self.pool.origin.host}'"))
            return
        if self._step == "prove":
            self._next()  # it goes on asking; what waits here says that it is not allowed
            return
        what = "no connection" if self._step == "connect" else "no TLS"
        seconds = f"{self.pool.client.connect_timeout:g}s"
        self._failed_here(
            RequestFailed("timeout", f"{what} to {self._address or '?'} within {seconds}")
        )

    def _drop(self) -> None:
        if self.sock is None:
            return
        self._read(False)
        self._write(False)
        self.sock.close()
        self.sock = None
        self.fd = -1

    def _watch(self, deadline: float) -> None:
        self._unwatch()
        self.deadline = deadline
        left = max(0.01, round(deadline - self.pool.client.now(), 2))
        self._table = self.pool.client.wheel.table(left)
        self._table[self] = None

    def _unwatch(self) -> None:
        if self._table is not None:
            self._table.pop(self, None)
            self._table = None

    def _read(self, on: bool) -> None:
        if on != self._reading:
            self._reading = on
            reactor = self.pool.client.reactor
            (reactor.addReader if on else reactor.removeReader)(self)

    def _write(self, on: bool) -> None:
        if on != self._writing:
            self._writing = on
            reactor = self.pool.client.reactor
            (reactor.addWriter if on else reactor.removeWriter)(self)

    # -- what reactors ask of a reader or writer ---------------------------------------------------
    def fileno(self) -> int:
        return self.fd

    def logPrefix(self) -> str:
        return "load"

    def connectionLost(self, reason: object) -> None:
        """The reactor saw an error: the connection was refused, or lost within TLS."""
        if self.over or self.sock is None:
            return
        number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET
        self._failed_here(OSError(number, os.strerror(number)))
