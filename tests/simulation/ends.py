"""Ends in memory: the real `rascal.proxy.ends.End` on a socket that is a pair of byte arrays.

    peer ──send, fin, rst──► inbox ──recv_into──► End        End ──send──► wire ──take──► peer
                                                              (at most `window` bytes in it)

So the rules of ends (rests, half-close, FIN behind the rest, RST behind the bytes, hang-ups while
paused, the closing time-out) are those of the product; only the kernel is ours.
"""

from __future__ import annotations

import socket
import traceback
from typing import Any

from rascal.proxy.ends import End
from tests.simulation import tape
from tests.simulation.clock import VirtualHangups, VirtualReactor


class Wire:
    """A connected socket of the proxy, and its peer in the world.

    Attributes:
        taken: all that the peer has read. fin_out: behind it, the proxy's FIN.
        rst_out: the proxy reset it. rst_in: the peer did, or its kernel answered data so.
    """

    fds = 1000

    def __init__(self, window: int) -> None:
        Wire.fds += 1
        self.fd = Wire.fds
        self.window = window
        self.chunk = 1 << 30
        self.inbox = bytearray()
        self.wire = bytearray()
        self.taken = bytearray()
        self.sent = 0
        self.fin_in = self.rst_in = self.gone = False
        self.fin_out = self.rst_out = self.closed = self.linger = False

    # -- what the proxy does with it ---------------------------------------------------------------
    def fileno(self) -> int:
        return self.fd

    def send(self, data: Any) -> int:
        assert not self.closed, "a write to a closed socket"
        assert not self.fin_out, "a write behind FIN"
        assert len(data), "a write of nothing"
        if self.rst_in:
            raise ConnectionResetError
        if self.gone:
            self.rst_in = True
            return len(data)
        room = self.window - len(self.wire)
        if room <= 0:
            raise BlockingIOError
        count = min(room, len(data))
        self.wire += memoryview(data)[:count]
        return count

    def recv_into(self, buffer: Any) -> int:
        assert not self.closed, "a read from a closed socket"
        count = min(self.chunk, len(self.inbox), len(buffer))
        if count:
            buffer[:count] = self.inbox[:count]
            del self.inbox[:count]
            return count
        if self.rst_in:
            raise ConnectionResetError
        if self.fin_in:
            return 0
        raise BlockingIOError

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        if self.rst_in:
            raise OSError
        self.fin_out = True

    def setsockopt(self, *args: Any) -> None:
        self.linger = True

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True
        if self.linger or self.inbox:
            self.rst_out = True
            self.wire.clear()
        else:
            self.fin_out = True

    def getpeername(self) -> Any:
        raise OSError

    # -- what the peer does ------------------------------------------------------------------------
    @property
    def readable(self) -> bool:
        return bool(self.inbox or self.fin_in or self.rst_in)

    @property
    def room(self) -> bool:
        return self.rst_in or self.gone or len(self.wire) < self.window

    @property
    def over(self) -> bool:
        """The peer has seen the proxy's FIN or RST."""
        return self.rst_out or (self.fin_out and not self.wire)

    def feed(self, data: bytes) -> None:
        """The peer sends."""
        assert not (self.fin_in or self.gone)
        if not self.closed:
            self.inbox += data
            self.sent += len(data)

    def take(self, count: int) -> bytes:
        """The peer reads."""
        data = bytes(self.wire[:count])
        del self.wire[:count]
        self.taken += data
        return data

    def fin(self) -> None:
        self.fin_in = True

    def leave(self) -> None:
        """The peer closes its socket: FIN, and RST to what still comes."""
        self.fin_in = self.gone = True
        if self.wire:
            self.rst_in = True
        self.wire.clear()

    def rst(self) -> None:
        """The peer resets."""
        self.rst_in = self.gone = True
        self.wire.clear()


class MemoryEnd(End):
    """An end that remembers when how much was read and written."""

    __slots__ = ("reads", "total", "wire", "writes")

    def __init__(
        self, reactor: VirtualReactor, hangups: VirtualHangups, wire: Wire, peer: str
    ) -> None:
        super().__init__(reactor, hangups, wire, peer)  # type: ignore[arg-type]
        self.wire = wire
        self.total = 0
        self.reads: list[tuple[int, float]] = []
        """(bytes delivered so far, when)"""
        self.writes: list[tuple[int, float]] = []
        """(bytes written so far, when)"""

    def write(self, data: Any) -> None:
        if not self._mute and len(data):
            tape.wrote(self, data, self.total)
            self.total += len(data)
            self.writes.append((self.total, self.reactor.now()))  # type: ignore[attr-defined]
        elif self._mute:
            tape.dropped()
        super().write(data)

    def turn_read(self, chunk: int) -> bool:
        """The kernel says readable; False: it has nothing to say."""
        wire = self.wire
        if self._reading and not wire.closed and wire.readable:
            wire.chunk = chunk
            before = self.reads[-1][0] if self.reads else 0
            if wire.inbox and not self.closed:
                self.reads.append(
                    (before + min(chunk, len(wire.inbox)), self.reactor.now())  # type: ignore[attr-defined]
                )
            self.doRead()
            return True
        if self._watched and (wire.fin_in or wire.rst_in):
            self.hangups.unwatch(self)
            self.hung_up(wire.rst_in)
            return True
        return False

    def turn_write(self) -> bool:
        """The kernel says writable."""
        if self._writing and self.wire.room:
            self.doWrite()
            return True
        if self._writing and self.wire.rst_in:
            self.doWrite()
            return True
        return False

    def _failed(self) -> None:
        self.reactor.failures.append(traceback.format_exc())  # type: ignore[attr-defined]
        super()._failed()

    @property
    def reading(self) -> bool:
        return self._reading
