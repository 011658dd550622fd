"""One leg of a proxied connection: a non-blocking socket that is its own reader and writer.

An end is not a Twisted transport: a write goes out at once, only what the kernel did not take is
kept; half-close stays half-close; RST is told apart from FIN in both directions.

    reading:   idle ──resume──► reading ◄──resume/pause──► paused (watched for hang-ups)
                                   └── FIN read: on_eof, then never again
    writing:   open ──shut──► FIN after the rest
    life:      open ──close──► FIN after the rest; what still comes is dropped, until the peer's
                               FIN, at most CLOSING seconds, then RST
                    ──reset──► RST at once
                    ──RST read──► owner.lost
               both FINs are out: the socket is given back, `closed`

Reads go to one buffer that the whole process shares: `on_data` gets a view of it that is valid
during the call only. A read event reads once, so that a busy peer cannot starve others.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from rascal.proxy.clock import Reactor
from rascal.proxy.hangups import Hangups

log = Logger()

BUFFER = bytearray(256 * 1024)
"""What one read can take; large enough for bulk, small enough for the caches."""
VIEW = memoryview(BUFFER)
CLOSING = 30.0
"""Seconds after close() until the peer gets RST if it neither takes the rest nor closes."""
DROPPED = 64 * 1024 * 1024
"""So many bytes are dropped after close() before the peer gets RST."""
_RST_ON_CLOSE = struct.pack("ii", 1, 0)


class Owner(Protocol):
    """Who is told of an end's fate besides its bytes (rascal.proxy.connection)."""

    def hangup(self, end: Any) -> None:
        """The peer's FIN or RST was seen while nobody reads. Told once."""

    def lost(self, end: Any) -> None:
        """The peer's RST, behind all its bytes. The end is closed."""

    def drained(self, end: Any) -> None:
        """The rest is out."""


class _Nobody:
    def hangup(self, end: Any) -> None: ...
    def lost(self, end: Any) -> None: ...
    def drained(self, end: Any) -> None: ...


NOBODY: Owner = _Nobody()


def ignore_data(view: memoryview) -> None:
    """Drop what was read."""


def ignore_eof() -> None:
    """Take no notice of the FIN."""


class End:
    """A connected socket. It starts idle: call `resume()` to read, `pause()` to watch only.

    Attributes:
        rest: bytes accepted by write() and not yet by the kernel.
        taken: bytes that were read so far; sent: that the kernel took so far.
        closed: close() or reset() was called, or the connection is over both ways.
        fin: shut() or close() was called; nothing can be written any more.
        peer: the address of the other side, as text.
        on_data: gets what was read. Replaced at will.
        on_eof: the peer's FIN, behind its bytes.
        owner: is told of hang-ups, losses and drained rests.
    """

    __slots__ = (
        "__weakref__",
        "_broken",
        "_dropped",
        "_eof",
        "_hung",
        "_left",
        "_mute",
        "_reading",
        "_recv_into",
        "_send",
        "_timer",
        "_watched",
        "_writing",
        "closed",
        "fd",
        "fin",
        "hangups",
        "on_data",
        "on_eof",
        "owner",
        "peer",
        "reactor",
        "rest",
        "sent",
        "sock",
        "taken",
    )

    def __init__(
        self, reactor: Reactor, hangups: Hangups, sock: socket.socket, peer: str = ""
    ) -> None:
        self.reactor = reactor
        self.hangups = hangups
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = peer
        self.rest = 0
        self.taken = self.sent = 0
        self.closed = False
        self.fin = False
        self.on_data: Callable[[memoryview], None] = ignore_data
        self.on_eof: Callable[[], None] = ignore_eof
        self.owner: Owner = NOBODY
        self._recv_into = sock.recv_into
        self._send = sock.send
        self._left = bytearray()
        self._reading = self._writing = self._watched = False
        self._eof = self._hung = self._broken = False
        self._mute = False  # fin, closed or broken: writes go nowhere
        self._dropped = 0
        self._timer: IDelayedCall | None = None
        hangups.ends.add(self)

    # -- writing -----------------------------------------------------------------------------------
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send now; what the kernel does not take is copied behind the rest."""
        if self._mute:
            return
        if self.rest:
            self._left += data
            self.rest = len(self._left)
            return
        try:
            count = self._send(data)
        except BlockingIOError:
            count = 0
        except OSError:
            self._break()
            return
        self.sent += count
        if count != len(data):
            self._left += memoryview(data)[count:]
            self.rest = len(self._left)
            self._writing = True
            self.reactor.addWriter(self)

    def doWrite(self) -> None:
        """The kernel takes more."""
        if self.fd < 0 or not self.rest:
            return
        try:
            count = self._send(self._left)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        self.sent += count
        del self._left[:count]
        self.rest -= count
        if not self.rest:
            self._left = bytearray()
            self._stop_writing()
            if self.fin:
                self._send_fin()
            if not self.closed:
                self._tell(self.owner.drained)

    def shut(self) -> None:
        """FIN behind the rest; reading goes on."""
        if self.fin or self.closed:
            return
        self.fin = self._mute = True
        if not self.rest:
            self._send_fin()

    def close(self) -> None:
        """FIN behind the rest; nothing more is delivered. RST after CLOSING if it does not end."""
        if self.closed:
            return
        self.on_data, self.on_eof = ignore_data, ignore_eof
        self.closed = True
        if self._broken:
            self._finish()
            return
        if not self.fin:
            self.fin = self._mute = True
            if not self.rest:
                self._send_fin()
        if self.fd >= 0:
            self._timer = self.reactor.callLater(CLOSING, self.reset)
            self._start_reading()

    def reset(self) -> None:
        """RST now; the rest is dropped."""
        if self.fd < 0:
            return
        with suppress(OSError):  # it is gone already
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        self._finish()

    def _send_fin(self) -> None:
        with suppress(OSError):  # reset by the peer: reading will tell
            self.sock.shutdown(socket.SHUT_WR)
        if self._eof:
            self._finish()

    def _break(self) -> None:
        """The peer is gone: it takes nothing, but what it sent is still there to be read."""
        self._broken = self._mute = True
        self._left = bytearray()
        self.rest = 0
        self._stop_writing()
        if self.closed:
            self._finish()
        elif self._eof:
            # Not now: this is in the middle of somebody's write.
            self._timer = self.reactor.callLater(0, self._lose)

    # -- reading -----------------------------------------------------------------------------------
    def pause(self) -> None:
        """Do not read; a hang-up of the peer is still told."""
        if self._reading:
            self._reading = False
            self.reactor.removeReader(self)
        if not (self._watched or self._hung or self._eof or self.closed):
            self._watched = True
            self.hangups.watch(self)

    def resume(self) -> None:
        """Read."""
        if not (self._reading or self.closed):
            self._start_reading()

    def _start_reading(self) -> None:
        if self._reading or self._eof or self.fd < 0:
            return
        if self._watched:
            self._watched = False
            self.hangups.unwatch(self)
        self._reading = True
        self.reactor.addReader(self)

    def doRead(self) -> None:
        """Read once and hand it on."""
        if not self._reading:
            return
        try:
            count = self._recv_into(BUFFER)
        except BlockingIOError:
            return
        except OSError:
            self._lose()
            return
        if not count:
            self._read_eof()
        elif self.closed:
            self._dropped += count
            if self._dropped > DROPPED:
                self.reset()
        else:
            self.taken += count
            try:
                self.on_data(VIEW[:count])
            except Exception:
                self._failed()

    fast_event = doRead

    def _read_eof(self) -> None:
        self._eof = True
        self._reading = False
        self.reactor.removeReader(self)
        if self._broken:
            self._lose()
            return
        if not self.closed:
            try:
                self.on_eof()
            except Exception:
                self._failed()
        if self.fin and not self.rest:
            self._finish()

    def hung_up(self, broken: bool) -> None:
        """Called by Hangups: FIN, or RST if `broken`, was seen while paused."""
        self._watched = False
        self._hung = True
        if broken:
            self._break()
        self._tell(self.owner.hangup)

    # -- the end of it -----------------------------------------------------------------------------
    def names(self) -> tuple[Any, Any] | None:
        """The socket addresses of the peer and of our side; None if they are gone."""
        try:
            return self.sock.getpeername(), self.sock.getsockname()
        except OSError:
            return None

    def _lose(self) -> None:
        if self.fd < 0:
            return
        owner, told = self.owner, not self.closed
        self._finish()
        if told:
            self._tell(owner.lost)

    def _finish(self) -> None:
        """Give the socket back. Breaks the cycles of references too."""
        if self.fd < 0:
            return
        if self._reading:
            self._reading = False
            self.reactor.removeReader(self)
        self._stop_writing()
        if self._watched:
            self._watched = False
            self.hangups.unwatch(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self.hangups.ends.discard(self)
        self.closed = self.fin = self._mute = True
        self.rest = 0
        self._left = bytearray()
        self.on_data, self.on_eof = ignore_data, ignore_eof
        self.owner = NOBODY
        self.fd = -1
        self.sock.close()

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self.reactor.removeWriter(self)

    def _tell(self, what: Callable[[Any], None]) -> None:
        try:
            what(self)
        except Exception:
            self._failed()

    def _failed(self) -> None:
        """A mistake of ours: this connection ends, the proxy lives on."""
        log.failure("the data path failed at {peer}", peer=self.peer)
        owner, told = self.owner, not self.closed
        self.reset()
        if told:
            try:
                owner.lost(self)
            except Exception:
                log.failure("and once more at {peer}", peer=self.peer)

    # -- what reactors ask of a reader or writer ---------------------------------------------------
    def fileno(self) -> int:
        return self.fd

    def logPrefix(self) -> str:
        return self.peer

    def connectionLost(self, reason: object) -> None:
        """The reactor saw an error while only writing was wanted."""
        if self._watched:
            self._break()  # Hangups tells, and what the peer sent may still be read
        else:
            self._lose()
