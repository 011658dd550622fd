"""What the tests of ends need: a loop turned by hand, a plain relay, peers with bare sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor

from rascal.proxy.ends import End
from rascal.proxy.hangups import Hangups
from rascal.reactor import LeanEPollReactor

REACTORS: dict[str, Callable[[], Any]] = {
    "lean": LeanEPollReactor,
    "epoll": EPollReactor,
    "poll": PollReactor,
    "select": SelectReactor,
    "asyncio": lambda: AsyncioSelectorReactor(asyncio.new_event_loop()),
}


class Loop:
    """A reactor of its own, not the installed one, turned by the test."""

    def __init__(self, name: str = "lean") -> None:
        self.reactor = REACTORS[name]()
        self.hangups = Hangups(self.reactor)
        self.own = set(self.reactor.getReaders())
        self.sockets: list[socket.socket] = []

    def until(self, condition: Callable[[], Any], what: str = "", seconds: float = 5.0) -> Any:
        """Turn until the condition holds; its value."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
            self._iterate(0.005)
        return found

    def turn(self, times: int = 5) -> None:
        """Let what is due happen."""
        for _ in range(times):
            self._iterate(0)

    def _iterate(self, seconds: float) -> None:
        """One turn; pytest's own reactor may be an asyncio loop that is running around us."""
        around = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            self.reactor.iterate(seconds)
        finally:
            asyncio._set_running_loop(around)

    def clean(self) -> None:
        """Nothing of ours is left in the reactor."""
        self.hangups.close()
        for sock in self.sockets:
            sock.close()
        left = set(self.reactor.getReaders()) - self.own
        left |= set(self.reactor.getWriters())
        timers = [call for call in self.reactor.getDelayedCalls() if call.active()]
        for waker in self.own:
            self.reactor.removeReader(waker)
            with suppress(Exception):
                waker.connectionLost(None)
        with suppress(AttributeError):
            self.reactor._poller.close()
        with suppress(AttributeError):
            self.reactor._asyncioEventloop.close()
        assert not left, f"left in the reactor: {left}"
        assert not timers, f"timers left: {timers}"

    def pair(self, family: str = "tcp") -> tuple[socket.socket, socket.socket]:
        """Two connected non-blocking sockets with small buffers in the kernel."""
        if family == "unix":
            ours, theirs = socket.socketpair()
        else:
            with socket.create_server(("127.0.0.1", 0)) as server:
                ours = socket.create_connection(server.getsockname())
                theirs, _ = server.accept()
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.sockets += [ours, theirs]
        return ours, theirs

    def end(self, family: str = "tcp") -> tuple[socket.socket, End]:
        """A peer and the end that faces it."""
        peer, sock = self.pair(family)
        return peer, End(self.reactor, self.hangups, sock, "peer")

    def read(self, sock: socket.socket, count: int, seconds: float = 5.0) -> bytes:
        """Exactly so many bytes, or fewer at EOF."""
        got = bytearray()

        def more() -> bool:
            while len(got) < count:
                try:
                    data = sock.recv(min(count - len(got), 1 << 20))
                except BlockingIOError:
                    return False
                if not data:
                    return True
                got.extend(data)
            return True

        self.until(more, f"{count} bytes", seconds)
        return bytes(got)

    def send(self, sock: socket.socket, data: bytes) -> None:
        """All of it, as fast as it is taken."""
        left = memoryview(data)

        def more() -> bool:
            nonlocal left
            with suppress(BlockingIOError):
                left = left[sock.send(left) :]
            return not left

        self.until(more, "all is sent")

    def ending(self, sock: socket.socket, seconds: float = 5.0) -> str:
        """How the peer sees its connection end: "FIN" or "RST"; what comes before is dropped."""

        def end() -> str | None:
            try:
                return None if sock.recv(1 << 20) else "FIN"
            except BlockingIOError:
                return None
            except ConnectionResetError:
                return "RST"

        return self.until(end, "an end", seconds)


@contextmanager
def loop(name: str = "lean") -> Iterator[Loop]:
    """A loop that must be clean in the end."""
    made = Loop(name)
    yield made
    made.clean()


class Pump:
    """The plainest relay of two ends: what a connection does without faults."""

    def __init__(self, client: Any, upstream: Any) -> None:
        self.client = client
        self.upstream = upstream
        self.told: list[tuple[str, Any]] = []
        self.most = 0
        for source, target in ((client, upstream), (upstream, client)):
            source.owner = self
            source.on_data = self.relay(source, target)
            source.on_eof = target.shut
        client.resume()
        upstream.resume()

    def relay(self, source: Any, target: Any) -> Callable[[memoryview], None]:
        def data(view: memoryview) -> None:
            target.write(view)
            self.most = max(self.most, target.rest)
            if target.rest:
                source.pause()

        return data

    def other(self, end: Any) -> Any:
        return self.upstream if end is self.client else self.client

    def drained(self, end: Any) -> None:
        self.told.append(("drained", end))
        self.other(end).resume()

    def hangup(self, end: Any) -> None:
        self.told.append(("hangup", end))

    def lost(self, end: Any) -> None:
        self.told.append(("lost", end))
        self.other(end).reset()


class Witness:
    """An owner that only writes down what it is told."""

    def __init__(self, end: Any) -> None:
        self.told: list[str] = []
        self.data = bytearray()
        end.owner = self
        end.on_data = self.data.extend
        end.on_eof = lambda: self.told.append("eof")

    def drained(self, end: Any) -> None:
        self.told.append("drained")

    def hangup(self, end: Any) -> None:
        self.told.append("hangup")

    def lost(self, end: Any) -> None:
        self.told.append("lost")


def abort(sock: socket.socket) -> None:
    """RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def stuff(sock: socket.socket, data: bytes = b"x" * (1 << 20)) -> int:
    """Send until the kernel takes no more; the count."""
    sent = 0
    with suppress(BlockingIOError):
        while True:
            sent += sock.send(data)
    return sent
