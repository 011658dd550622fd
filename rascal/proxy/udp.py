"""The sockets of UDP: where clients send to, one to the upstream for each client, and who is who.

    UdpListener ─► Clients ─► DatagramConnection ─► UdpLeg ─► upstream
                   by listener and address; forgotten when silent, the longest silent first

Nothing here is ever written late: a datagram that the kernel does not take is dropped, as it may.
"""

from __future__ import annotations

import errno
import itertools
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IResolutionReceiver
from twisted.logger import Logger
from zope.interface import implementer

from rascal.language import Address
from rascal.proxy.clock import Reactor
from rascal.proxy.datagrams import DatagramConnection
from rascal.proxy.listener import ListenError, Place, peer_text, places

log = Logger()

DATAGRAM = 65535
BATCH = 64
"""Datagrams that are read from one socket in one turn of the loop."""
EARLY = 16
"""Datagrams that wait until the upstream's name has been looked up."""
BUFFER = 1 << 20
"""What the kernel is asked to keep for us between two turns."""

_numbers = itertools.count()
Key = tuple[int, Any]
"""A listener's number and a client's socket address."""
Target = tuple[socket.AddressFamily, Any]


def listen_udp(reactor: Reactor, address: Address, taken: Taken) -> list[UdpListener]:
    """Bind, on all addresses of a name that this machine has. Raises ListenError."""
    if address.type != "tcp":
        raise ListenError(f"cannot listen on {address}: datagrams need host:port")
    made: list[UdpListener] = []
    missing: ListenError | None = None
    for place in places(address):
        listener = UdpListener(reactor, place, taken)
        try:
            listener.open()
        except ListenError as error:
            cause = error.__cause__
            if getattr(cause, "errno", 0) in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                missing = error
                continue
            for one in made:
                one.stop()
            raise
        made.append(listener)
    if not made:
        raise missing or ListenError(f"cannot listen on {address}")
    return made


class _Socket:
    """A datagram socket that is read by the reactor."""

    sock: socket.socket | None = None

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.reading = False

    def read(self) -> None:
        """Read from now on."""
        if self.sock is not None and not self.reading:
            self.reading = True
            self.reactor.addReader(self)

    def close(self) -> None:
        """Give it back."""
        if self.reading:
            self.reading = False
            self.reactor.removeReader(self)
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def fileno(self) -> int:
        return -1 if self.sock is None else self.sock.fileno()

    def connectionLost(self, reason: object) -> None:
        self.reading = False


Taken = Callable[["UdpListener", bytes, Any], None]


class UdpListener(_Socket):
    """One address that clients send to; `taken(listener, data, name)` gets what comes.

    It looks like a Listener to its proxy. refuse: nothing is bound, and the kernel answers with
    "port unreachable" (ICMP). full: what comes is dropped in silence.
    """

    def __init__(self, reactor: Reactor, place: Place, taken: Taken) -> None:
        super().__init__(reactor)
        self.place = place
        self.taken = taken
        self.address = Address("tcp", place.name[0], place.name[1])
        self.number = next(_numbers)
        self._started = self._refuse = self._full = False

    # -- life --------------------------------------------------------------------------------------
    def open(self) -> None:
        """Bind. Raises ListenError."""
        if self._refuse:
            return
        try:
            self.sock = self._bound()
        except OSError as error:
            text = (error.strerror or str(error)).lower()
            raise ListenError(f"cannot listen on {self.address} (UDP): {text}") from error
        name = self.sock.getsockname()
        self.address = Address("tcp", name[0], name[1])
        self.place = Place(self.place.family, name)

    def _bound(self) -> socket.socket:
        sock = socket.socket(self.place.family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if self.place.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            sock.bind(self.place.name)
        except OSError:
            sock.close()
            raise
        return sock

    def start(self) -> None:
        """Take what comes."""
        self._started = True
        self.read()

    def stop(self) -> None:
        """Listen no more."""
        self._started = False
        self.close()

    def set_backlog(self, backlog: int) -> None:
        """Datagrams have none."""

    # -- faults ------------------------------------------------------------------------------------
    def refuse(self, on: bool) -> None:
        """Let the kernel refuse what comes, or take it again."""
        if on == self._refuse:
            return
        self._refuse = on
        if on:
            self.close()
            return
        try:
            self.open()
        except ListenError as error:
            log.error("{error}", error=str(error))
        if self._started:
            self.read()

    def full(self, on: bool) -> None:
        """Drop what comes, or take it again."""
        self._full = on

    # -- datagrams ---------------------------------------------------------------------------------
    def doRead(self) -> None:
        """Something has come."""
        for _ in range(BATCH):
            if self.sock is None:
                return
            try:
                data, name = self.sock.recvfrom(DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP message about what we sent to somebody
            if not self._full:
                self.taken(self, data, name)

    fast_event = doRead

    def send(self, data: bytes, name: Any) -> None:
        """To a client."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.sendto(data, name)

    def logPrefix(self) -> str:
        return f"listener {self.address} (UDP)"


class UdpLeg(_Socket):
    """The socket that speaks to the upstream for one client."""

    def __init__(self, clients: Clients, key: Key) -> None:
        super().__init__(clients.reactor)
        self.clients = clients
        self.key = key
        self.early: list[bytes] | None = []
        self.connection: DatagramConnection | None = None

    def dial(self, targets: list[Target]) -> None:
        """The upstream's addresses are known: use the first that can be had."""
        early, self.early = self.early or [], None
        connection = self.connection
        if connection is None or connection.ended_by:
            return
        code = errno.EADDRNOTAVAIL
        for family, name in targets:
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            try:
                sock.connect(name)
            except OSError as error:
                code = error.errno or code
                sock.close()
                continue
            self.sock = sock
            connection.gate.counts.dials["ok"] += 1
            self.read()
            for data in early:
                self.send(data)
            return
        host = self.clients.host()
        if targets:
            connection.failed("unreachable", errno.errorcode.get(code, str(code)))
        else:
            connection.failed("unresolved", f"the name {host} does not resolve")
        connection.end("close", "unreachable" if targets else "unresolved")

    def send(self, data: bytes) -> None:
        """To the upstream."""
        if self.early is not None:
            if len(self.early) < EARLY:
                self.early.append(data)
        elif self.sock is not None:
            try:
                self.sock.send(data)
            except BlockingIOError:
                return
            except OSError as error:
                self._failed(error)

    def doRead(self) -> None:
        """Something has come."""
        for _ in range(BATCH):
            if self.sock is None:
                return
            try:
                data = self.sock.recv(DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                self._failed(error)
                continue
            if self.connection is not None:
                self.connection.arrived(data, False)
                self.clients.used(self.key)

    fast_event = doRead

    def _failed(self, error: OSError) -> None:
        """ICMP has said that what was sent did not arrive."""
        if self.connection is not None:
            refused = error.errno == errno.ECONNREFUSED
            how = "refused" if refused else "unreachable"
            self.connection.failed(how, (error.strerror or "").lower())

    def logPrefix(self) -> str:
        return "a client's way to the upstream (UDP)"


class Clients:
    """Who speaks to one proxy by datagrams.

    Args:
        proxy: its gate, dialler and ground.
    """

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy
        self.reactor = proxy.ground.reactor
        self.clock = proxy.ground.clock
        self.legs: OrderedDict[Key, UdpLeg] = OrderedDict()
        self._timer: Any = None

    def host(self) -> str:
        """The upstream's name."""
        return str(self.proxy.dialler.address.host)

    def taken(self, listener: UdpListener, data: bytes, name: Any) -> None:
        """A datagram of a client."""
        key = (listener.number, name)
        leg = self.legs.get(key)
        if leg is None:
            leg = self._begin(listener, key)
        else:
            self.legs.move_to_end(key)
        if leg.connection is not None:
            leg.connection.arrived(data, True)

    def used(self, key: Key) -> None:
        """A datagram of the upstream."""
        if key in self.legs:
            self.legs.move_to_end(key)

    def _begin(self, listener: UdpListener, key: Key) -> UdpLeg:
        options = self.proxy.gate.options
        while len(self.legs) >= (options.clients or 1):
            self._forget(next(iter(self.legs)), "too many clients")
        leg = self.legs[key] = UdpLeg(self, key)
        name = key[1]
        leg.connection = DatagramConnection(
            self.proxy.gate,
            peer_text(name),
            lambda data: listener.send(data, name),
            leg.send,
            lambda connection: self._ended(key, leg),
        )
        self._look_up(leg)
        if self._timer is None:
            self._sweep()
        return leg

    def _look_up(self, leg: UdpLeg) -> None:
        dialler = self.proxy.dialler
        if dialler.fixed:
            leg.dial(list(dialler.fixed))
        else:
            self.reactor.nameResolver.resolveHostName(
                _Answers(leg),
                dialler.address.host,
                dialler.address.port,
                transportSemantics="UDP",
            )

    def _ended(self, key: Key, leg: UdpLeg) -> None:
        leg.close()
        if self.legs.get(key) is leg:
            del self.legs[key]

    def _forget(self, key: Key, why: str) -> None:
        connection = self.legs[key].connection
        if connection is not None:
            connection.end("close", why)
        self.legs.pop(key, None)

    def _sweep(self) -> None:
        """Forget who has been silent for long; the table is in the order of last use."""
        self._timer = None
        idle = float(self.proxy.gate.options.idle)
        now = self.clock.now()
        again = now + idle
        for key, leg in list(self.legs.items()):
            connection = leg.connection
            since = now if connection is None else connection.idle_since()
            if since == float("inf"):
                continue  # something waits
            if since + idle > now:
                again = since + idle
                break
            self._forget(key, "peers")  # they are silent
        if self.legs:
            self._timer = self.clock.call_at(max(again, now + 0.01), self._sweep)

    def close(self) -> None:
        """The proxy goes."""
        for key in list(self.legs):
            self._forget(key, "proxy removed")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@implementer(IResolutionReceiver)
class _Answers:
    """Collects what the reactor's resolver finds."""

    def __init__(self, leg: UdpLeg) -> None:
        self.leg = leg
        self.found: list[Target] = []

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """It cannot be stopped."""

    def addressResolved(self, address: Any) -> None:
        v6 = ":" in address.host
        family = socket.AF_INET6 if v6 else socket.AF_INET
        name = (address.host, address.port, 0, 0) if v6 else (address.host, address.port)
        if (family, name) not in self.found:
            self.found.append((family, name))

    def resolutionComplete(self) -> None:
        self.leg.dial(self.found)
