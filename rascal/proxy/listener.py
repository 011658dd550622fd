"""A listening socket, and the two faults that only a listening socket can have.

    closed ──open──► bound and listening ──start──► accepting ──stop──► closed
                         │ refuse(True): bound, not listening: the kernel refuses, and nobody
                         │               else can take the port
                         │ full(True):   nothing is accepted and the accept queue is filled by a
                         │               connection of our own: SYNs go unanswered (Linux)
                         └ refuse wins over full; both take effect at once and keep the port

A change of faults never binds anew. With few descriptors left, clients wait in the kernel's queue:
the listener rests a moment instead of spinning, and leaves the last ones to the control port.
"""

from __future__ import annotations

import errno
import math
import os
import resource
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import attrs
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from rascal.errors import RascalError
from rascal.language import Address
from rascal.proxy.clock import Reactor

log = Logger()

BATCH = 64
"""Connections that are accepted in one turn of the loop."""
BREATHER = 0.1
"""Seconds that a listener rests when there are few descriptors left."""
SPARED = 32
"""Descriptors that listeners leave to others: to the control port, lest nobody can let go what
holds the rest, to dials and to files."""
STARVED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
LINUX = sys.platform == "linux"
UNIX_PATH = 107

Accepted = Callable[[socket.socket, str], None]
State = Literal["closed", "listening", "refusing", "full"]


def _scarce_from() -> float:
    """The number of a new descriptor that shows that few are left: the lowest free one is taken."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return math.inf if most == resource.RLIM_INFINITY else most - min(SPARED, most // 8)


class ListenError(RascalError):
    """An address cannot be listened on; one line."""


@attrs.frozen
class Place:
    """One socket address to listen on."""

    family: socket.AddressFamily
    name: Any


def places(address: Address) -> list[Place]:
    """The socket addresses of an address; those of a name may be several. Raises ListenError."""
    if address.type == "unix":
        return [Place(socket.AF_UNIX, address.path)]
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror}") from error
    made = [Place(family, name) for family, _, _, _, name in found]
    if not address.port:  # one port for all is not to be had
        made.sort(key=lambda place: place.family != socket.AF_INET)
        del made[1:]
    return list(dict.fromkeys(made))


def listen(
    reactor: Reactor, address: Address, accepted: Accepted, backlog: int = 1024
) -> list[Listener]:
    """Bind and listen, on all addresses of a name that this machine has; accept nothing yet.

    Raises:
        ListenError: nothing is left bound then.
    """
    made: list[Listener] = []
    missing: ListenError | None = None
    for place in places(address):
        listener = Listener(reactor, place, accepted, backlog)
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


class Listener:
    """One listening socket. `accepted(socket, peer)` gets what connects, non-blocking.

    Attributes:
        address: where it really listens (the port that the kernel chose).
        state: what a client finds.
    """

    def __init__(
        self, reactor: Reactor, place: Place, accepted: Accepted, backlog: int = 1024
    ) -> None:
        self.reactor = reactor
        self.place = place
        self.accepted = accepted
        self.backlog = backlog
        self.unix = place.family == socket.AF_UNIX
        self.address = _address(place.family, place.name)
        self.state: State = "closed"
        self.sock: socket.socket | None = None
        self._started = False
        self._reading = False
        self._refuse = False
        self._full = False
        self._starved = False
        self._fillers: list[socket.socket] = []
        self._timer: IDelayedCall | None = None
        self._inode: tuple[int, int] | None = None

    # -- life --------------------------------------------------------------------------------------
    def open(self) -> None:
        """Bind and listen; what connects waits until start(). Raises ListenError."""
        try:
            self.sock = self._bound_unix() if self.unix else self._bound_tcp()
            self.sock.listen(self.backlog)
        except OSError as error:
            if self.sock is not None:
                self.sock.close()
                self.sock = None
            text = (error.strerror or str(error)).lower()
            raise ListenError(f"cannot listen on {self.address}: {text}") from error
        self.state = "listening"
        self.address = _address(self.place.family, self.place.name if self.unix else self._name())
        self._apply()

    def start(self) -> None:
        """Accept."""
        self._started = True
        self._read()

    def stop(self) -> None:
        """Stop listening; who waits to be accepted is reset by the kernel."""
        self._started = False
        self._unread()
        self._close_fillers()
        if self.sock is not None:
            if self.unix and self._inode == _inode(self.place.name):
                with suppress(OSError):
                    os.unlink(self.place.name)
            self.sock.close()
            self.sock = None
        self.state = "closed"

    def set_backlog(self, backlog: int) -> None:
        """Let so many connections wait from now on."""
        self.backlog = backlog
        if self.state == "listening" and self.sock is not None:
            self.sock.listen(backlog)

    # -- faults ------------------------------------------------------------------------------------
    def refuse(self, on: bool) -> None:
        """Let the kernel refuse every attempt, or listen again. Lives through stop and open."""
        self._refuse = on
        self._apply()

    def full(self, on: bool) -> None:
        """Leave every attempt unanswered, or accept again. Raises ListenError off Linux."""
        if on and not LINUX:
            raise ListenError("only Linux can leave connection attempts unanswered")
        self._full = on
        self._apply()

    def _apply(self) -> None:
        if self.sock is None:
            return
        wanted: State = "refusing" if self._refuse else "full" if self._full else "listening"
        if wanted == self.state:
            return
        if self.state == "full":
            self._make_room()
        if wanted == "refusing":
            self._unread()
            self._stop_listening()
        else:
            if self.state == "refusing" and not self.unix:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.listen(0 if wanted == "full" else self.backlog)
        self.state = wanted
        if wanted == "full":
            self._unread()
            self._fill()
        elif wanted == "listening" and self._started:
            self._read()

    def _stop_listening(self) -> None:
        assert self.sock is not None
        self._accept(self.backlog)  # they were here before
        if self.unix:
            old = self.sock
            self.sock = self._placed_unix()
            old.close()
            return
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # Linux: no longer listening, still bound
        except OSError:
            self.sock.close()
            self.sock = _bind(self.place.family, self._where())
        # Sharing is allowed among those that do not listen: then others could bind and listen.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def _fill(self) -> None:
        """Take the one place that a backlog of 0 has."""
        assert self.sock is not None
        for _ in range(8):
            self._accept(self.backlog)  # they were here before
            filler = socket.socket(self.place.family, socket.SOCK_STREAM)
            filler.setblocking(False)
            if self.unix:
                filler.bind("")  # a name of its own, to know it again
            filler.connect_ex(self.place.name if self.unix else _reachable(self._name()))
            self._fillers.append(filler)
            with suppress(OSError):
                filler.getpeername()
                return
            self._fillers.remove(filler)
            filler.close()
        log.warn("the queue of {address} could not be filled", address=self.address)

    def _make_room(self) -> None:
        """Drop our own connections; who else got in is served."""
        self._accept(self.backlog)
        self._close_fillers()

    def _close_fillers(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    # -- accepting ---------------------------------------------------------------------------------
    def doRead(self) -> None:
        """Somebody connected."""
        self._accept(BATCH)

    fast_event = doRead

    def _accept(self, most: int) -> None:
        ours = {filler.getsockname() for filler in self._fillers}
        scarce_from = _scarce_from()
        for _ in range(most):
            if self.sock is None:
                return
            try:
                sock, name = self.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in STARVED:
                    self._starve(error.strerror or str(error))
                    return
                continue  # it was gone before we came
            number = sock.fileno()
            if name and name in ours:
                sock.close()
            else:
                self._take(sock, name)
            if number >= scarce_from:
                self._starve("too few file descriptors are left")
                return
            self._starved = False

    def _take(self, sock: socket.socket, name: Any) -> None:
        sock.setblocking(False)
        if not (LINUX or self.unix):  # on Linux it inherits the listening socket's
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.accepted(sock, f"unix:{self.place.name}" if self.unix else peer_text(name))
        except Exception:
            log.failure("a connection to {address} could not begin", address=self.address)
            sock.close()

    def _starve(self, why: str) -> None:
        if not self._starved:
            self._starved = True
            log.warn("{address} cannot accept: {error}", address=self.address, error=why)
        if self._reading:
            self._unread()
            self._timer = self.reactor.callLater(BREATHER, self._again)

    def _again(self) -> None:
        self._timer = None
        if not self._started or self.state != "listening" or self.sock is None:
            return
        try:
            number = os.dup(self.sock.fileno())
        except OSError:
            scarce = True
        else:
            os.close(number)
            scarce = number >= _scarce_from()
        if scarce:
            self._timer = self.reactor.callLater(BREATHER, self._again)
        else:
            self._read()

    def _read(self) -> None:
        if self.sock is not None and not self._reading and self.state == "listening":
            self._reading = True
            self.reactor.addReader(self)

    def _unread(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reading:
            self._reading = False
            self.reactor.removeReader(self)

    # -- sockets -----------------------------------------------------------------------------------
    def _name(self) -> Any:
        assert self.sock is not None
        return self.sock.getsockname()

    def _where(self) -> Any:
        """The place with the port that was chosen."""
        return (self.place.name[0], self.address.port, *self.place.name[2:])

    def _bound_tcp(self) -> socket.socket:
        if self.address.port:  # chosen by the user, or by the kernel before a stop
            return _bind(self.place.family, self._where())
        # A port that was not asked for by number is given up when the socket stops listening.
        for last in (False, False, False, True):
            with _bind(self.place.family, self.place.name) as chosen:
                name = chosen.getsockname()
            try:
                return _bind(self.place.family, name)
            except OSError:
                if last:
                    raise
        raise AssertionError

    def _bound_unix(self) -> socket.socket:
        path = self.place.name
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            try:
                sock.bind(path)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not _stale(path):
                    raise
                os.unlink(path)
                sock.bind(path)
        except OSError:
            sock.close()
            raise
        self._inode = _inode(path)
        return sock

    def _placed_unix(self) -> socket.socket:
        """A bound socket in place of the one that listens; clients find the one or the other."""
        path = self.place.name
        beside = f"{path}~"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else None
        with suppress(OSError):
            os.unlink(beside if len(os.fsencode(beside)) <= UNIX_PATH else path)
        if len(os.fsencode(beside)) <= UNIX_PATH:
            sock.bind(beside)
            os.rename(beside, path)
        else:
            sock.bind(path)
        if mode is not None:
            os.chmod(path, mode)
        self._inode = _inode(path)
        return sock

    # -- what reactors ask of a reader -------------------------------------------------------------
    def fileno(self) -> int:
        return -1 if self.sock is None else self.sock.fileno()

    def logPrefix(self) -> str:
        return f"listener {self.address}"

    def connectionLost(self, reason: object) -> None:
        if self._reading:
            self._reading = False
            log.error("{address} is no longer read: {why}", address=self.address, why=reason)


def peer_text(name: Any) -> str:
    """A socket address as `host:port` or `[v6]:port`."""
    if not isinstance(name, tuple):
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def _address(family: socket.AddressFamily, name: Any) -> Address:
    if family == socket.AF_UNIX:
        return Address("unix", path=name)
    return Address("tcp", name[0], name[1])


def _bind(family: socket.AddressFamily, name: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # [::] and 0.0.0.0 may stand side by side
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(name)
    except OSError:
        sock.close()
        raise
    return sock


def _reachable(name: Any) -> Any:
    """Where to connect to reach what is bound here."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name[0], name[0])
    return (host, *name[1:])


def _stale(path: str) -> bool:
    """Whether a socket file is left over from a process that is gone."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
