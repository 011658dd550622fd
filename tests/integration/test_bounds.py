"""What a proxy holds is bounded, whatever its peers do, and its control API always answers.

Memory is that of the process alone (RssAnon in /proc); what lies in the kernel's socket buffers is
not the proxy's.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rascal.demo.children import Address, Children
from rascal.demo.node import Node, start_node

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

GIGABYTE = 10**9
MEGABYTE = 10**6
CONNECTIONS = 1000
KERNEL = 64 * MEGABYTE
"""More than the socket buffers of a connection and its upstream hold."""

HELD = 256 * 1024 * 1024
"""Bytes that a process holds back, at most."""
BATCH = 600
"""Requests that each of many connections sends at once: small ones, whose price is in the objects
made of them. All that are sent cost much more than HELD if nothing bounds them, yet no machine."""

PING = b"*1\r\n$4\r\nPING\r\n"
PONG = b"+PONG\r\n"
BULK = b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n"


Reply = Callable[[bytes, int], tuple[bytes, int]]


class Upstream:
    """A server of threads that counts what it could send and what came.

    Each read is answered with what `reply` makes of it and of the bytes before it on its
    connection: these bytes, and so many more.
    """

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.sent = self.received = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address: Address = self.listener.getsockname()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self._open.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        block = memoryview(b"x" * MEGABYTE)
        before = 0
        with contextlib.suppress(OSError), sock:
            while data := sock.recv(65536):
                self.received += len(data)
                head, body = self.reply(data, before)
                before += len(data)
                sock.sendall(head)
                while body:
                    n = sock.send(block[: min(body, len(block))])
                    self.sent += n
                    body -= n

    def close(self) -> None:
        for sock in [self.listener, *self._open]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    with Children(tmp_path) as made:
        yield made


@pytest.fixture
def upstream() -> Iterator[Callable[[Reply], Upstream]]:
    made: list[Upstream] = []

    def make(reply: Reply) -> Upstream:
        made.append(Upstream(reply))
        return made[-1]

    yield make
    for one in made:
        one.close()


def memory(node: Node) -> int:
    text = Path(f"/proc/{node.child.pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def descriptors(node: Node) -> int:
    return len(list(Path(f"/proc/{node.child.pid}/fd").iterdir()))


def settled(value: Callable[[], int], seconds: float = 60) -> int:
    """The value, once it has not changed for a second."""
    deadline = time.monotonic() + seconds
    last, since = value(), time.monotonic()
    while time.monotonic() - since < 1:
        assert time.monotonic() < deadline, f"still changing: {last}"
        time.sleep(0.05)
        now = value()
        if now != last:
            last, since = now, time.monotonic()
    return last


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def dial(address: Address) -> socket.socket:
    sock = socket.create_connection(address, timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def exchange(address: Address, request: bytes) -> None:
    with dial(address) as sock:
        sock.sendall(request)
        assert sock.recv(100)


GIANTS = {
    "tcp": (b"small", b"big", b"", b""),
    "http": (
        b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIGABYTE,
    ),
    "redis": (PING, BULK, PONG, b"$%d\r\n" % GIGABYTE),
    "memcached": (
        b"get small\r\n",
        b"get big\r\n",
        b"END\r\n",
        b"VALUE big 0 %d\r\n" % GIGABYTE,
    ),
}
ARMED = {
    "tcp": "delay 1ms",
    "http": "delay 1ms match path=/big",
    "redis": "delay 1ms match key=big",
    "memcached": "delay 1ms match key=big",
}


@pytest.mark.parametrize("armed", [False, True], ids=["observed", "held"])
@pytest.mark.parametrize("protocol", list(GIANTS))
def test_a_giant_reply_that_nobody_reads(
    protocol: str,
    armed: bool,
    children: Children,
    upstream: Callable[..., Upstream],
) -> None:
    small, big, short, giant = GIANTS[protocol]

    def reply(data: bytes, before: int) -> tuple[bytes, int]:
        return (giant, GIGABYTE) if b"big" in data else (short or b"ok", 0)

    server = upstream(reply)
    faults = {"p": ARMED[protocol]} if armed else None
    node = start_node(children, {"p": (protocol, server.address)}, faults=faults)
    for _ in range(20):
        exchange(node.addresses["p"], small)
    before = memory(node)
    with dial(node.addresses["p"]) as sock:
        sock.sendall(big)
        until(lambda: server.sent > 0, "the reply never began")
        sent = settled(lambda: server.sent)
        held = memory(node) - before
        assert sent < KERNEL, f"the proxy took {sent} bytes that nobody read"
        assert held < MEGABYTE, f"{held} bytes more than before"
        got = 0
        while got < KERNEL:  # and it goes on as soon as somebody reads
            part = sock.recv(MEGABYTE)
            assert part
            got += len(part)
    assert memory(node) - before < MEGABYTE
    until(lambda: node.call("GET", "proxies/p")["connections"]["open"] == 0, "still open")


@pytest.fixture
def many() -> Iterator[Callable[[Address], list[socket.socket]]]:
    """Opens a thousand connections and closes them in the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS * 4 + 500
    if hard < wanted:
        pytest.skip(f"needs {wanted} file descriptors, has {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    opened: list[socket.socket] = []

    def open_all(address: Address) -> list[socket.socket]:
        opened.extend(dial(address) for _ in range(CONNECTIONS))
        return opened

    yield open_all
    for sock in opened:
        sock.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def pongs(children: Children, upstream: Callable[..., Upstream]) -> tuple[Node, Upstream]:
    """A proxy in front of something that answers each PING."""

    def reply(data: bytes, before: int) -> tuple[bytes, int]:
        size = len(PING)
        return PONG * ((before + len(data)) // size - before // size), 0

    server = upstream(reply)
    node = start_node(children, {"p": ("redis", server.address)})
    exchange(node.addresses["p"], PING)
    return node, server


@pytest.mark.parametrize(
    "sentence", ["hang match command=PING", "delay 60s match command=PING", "stall(0B)"]
)
def test_a_thousand_held_connections_stay_bounded(
    sentence: str, pongs: tuple[Node, Upstream], many: Callable[[Address], list[socket.socket]]
) -> None:
    node, server = pongs
    before, fds = memory(node), descriptors(node)
    fault = node.add("p", sentence)
    socks = many(node.addresses["p"])
    batch = PING * BATCH
    for sock in socks:
        sock.sendall(batch)
    held = settled(lambda: memory(node) // MEGABYTE) * MEGABYTE - before
    offered = len(batch) * len(socks)
    assert held < HELD * 1.5, f"{held} bytes are held for {offered} offered"
    began = time.monotonic()
    fault.remove()
    assert time.monotonic() - began < 1, "the removal waited for traffic"
    for n, sock in enumerate(socks):
        expected = BATCH * len(PONG)
        got = 0
        while got < expected:
            part = sock.recv(65536)
            assert part, f"connection {n} ended after {got} of {expected}"
            got += len(part)
        assert got == expected
        sock.close()
    until(lambda: node.call("GET", "proxies/p")["connections"]["open"] == 0, "still open")
    until(lambda: descriptors(node) <= fds + 2, "descriptors were left")
    assert server.received > 0


def test_control_answers_while_a_thousand_hang(
    pongs: tuple[Node, Upstream], many: Callable[[Address], list[socket.socket]]
) -> None:
    node, _ = pongs
    hang = node.add("p", "hang match command=PING")
    for sock in many(node.addresses["p"]):
        sock.sendall(PING)
    until(lambda: hang.counters.waiting == CONNECTIONS, "they do not all hang")
    times = {}

    def timed(name: str, call: Callable[[], object]) -> None:
        began = time.perf_counter()
        call()
        times[name] = time.perf_counter() - began

    for n in range(10):
        timed(f"health {n}", lambda: node.call("GET", "panic"))
        timed(f"faults {n}", lambda: node.call("GET", "proxies/p/faults"))
        timed(f"counters {n}", lambda: node.call("GET", "counters"))
        timed(f"install {n}", lambda: node.add("p", "error(oom) match command=SET name other"))
        timed(f"remove {n}", lambda: node.call("DELETE", "proxies/p/faults/other"))
    timed("list connections", lambda: node.call("GET", "proxies/p/connections"))
    timed("lift the hang", hang.remove)
    slow = {name: round(took, 3) for name, took in times.items() if took >= 0.1}
    assert len(slow) <= 1, slow  # one may meet a busy machine
    assert all(took < 0.5 for took in times.values()), slow
