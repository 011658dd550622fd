"""What a plain socket sees of faults on datagrams, in front of a server that echoes them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import Case, Node, check, look, running, usable

SEEN = ("udp", "a socket")


class Echo:
    """Says back what it gets, in capitals; remembers who asked."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.heard: list[bytes] = []
        self.peers: set[Any] = set()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            data, peer = self.socket.recvfrom(65535)
            if data == b"stop":
                return
            if data != b"works":
                self.heard.append(data)
            self.peers.add(peer)
            self.socket.sendto(data.upper(), peer)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"stop", ("127.0.0.1", self.port))
        self.thread.join(5)
        self.socket.close()


class Asker:
    """A connected socket: it hears of ICMP, too."""

    def __init__(self, port: int) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(0.3)
        self.sock.connect(("127.0.0.1", port))

    def ask(self, *datagrams: bytes) -> list[bytes]:
        """Send them; what has come until nothing does for a while, or as many have."""
        for data in datagrams:
            self.sock.send(data)
        found: list[bytes] = []
        while len(found) < len(datagrams):
            found.append(self.sock.recv(65535))
        return found

    def all(self, *datagrams: bytes) -> list[bytes]:
        """Send them; what comes until nothing does for a while."""
        for data in datagrams:
            self.sock.send(data)
        found: list[bytes] = []
        while True:
            try:
                found.append(self.sock.recv(65535))
            except TimeoutError:
                return found

    def ping(self) -> bool:
        return self.ask(b"works") == [b"WORKS"]

    def close(self) -> None:
        self.sock.close()


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    one = Echo()
    yield one
    one.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, echo: Echo) -> Iterator[Node]:
    ini = f"""
[proxy:echo]
protocol = udp
listen = 127.0.0.1:{{free}}
upstream = 127.0.0.1:{echo.port}

[proxy:brief]
protocol = udp
listen = 127.0.0.1:{{free}}
upstream = localhost:{echo.port}
idle = 200ms
clients = 2

[proxy:nowhere]
protocol = udp
listen = 127.0.0.1:{{free}}
upstream = 127.0.0.1:{{free}}
"""
    with running(tmp_path_factory.mktemp("udp"), ini) as one:
        yield one


@pytest.fixture
def asker(node: Node, echo: Echo) -> Iterator[Asker]:
    node.clear()
    node.empty("echo")
    one = Asker(node.port("echo"))
    assert one.ping()
    echo.heard.clear()
    yield one
    one.close()


def two(asker: Asker) -> Any:
    return asker.ask(b"a", b"b")


def every(asker: Asker) -> Any:
    return asker.all(b"a", b"b", b"c")


CASES = [
    Case("lose_request", "lose_request match data=a", every, [b"B", b"C"], took=(0.3, 2)),
    Case("lose_reply", "lose_reply match data=A", every, [b"B", b"C"], took=(0.3, 2)),
    Case("delay", "delay 80ms at request,reply match data=a,A", two, [b"B", b"A"], fired=2),
    Case("delay", "delay 50ms per connection", two, [b"A", b"B"], took=(0.1, 1)),
    Case("hang", "hang match data=b", every, [b"A", b"C"]),
    Case("duplicate", "duplicate match data=a", every, [b"A", b"A", b"B", b"C"]),
    Case("duplicate", "duplicate at reply match data=C", every, [b"A", b"B", b"C", b"C"]),
    Case("reorder", "reorder match data=a", every, [b"B", b"A", b"C"]),
    Case("reorder", "reorder(2) at reply match data=A", every, [b"B", b"C", b"A"]),
    Case(
        "corrupt",
        "corrupt(100%) direction to_upstream",
        lambda asker: [byte == 48 for byte in asker.ask(b"0" * 20)[0]],
        [False] * 20,
    ),
    Case(
        "throttle",
        "throttle(10KB/s) direction to_client",
        lambda asker: [len(data) for data in asker.ask(*[b"x" * 500] * 3)],
        [500] * 3,
        took=(0.12, 1),
    ),
    Case("blackhole", "blackhole", two, TimeoutError, "timed out"),
    Case("refuse", "refuse", two, ConnectionRefusedError, "refused"),
    Case("unreachable", "unreachable", two, TimeoutError, "timed out"),
    Case("rate_limit", "rate_limit(10/s, burst=1)", two, [b"A", b"B"], took=(0.08, 1)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kinds(node: Node, asker: Asker, seen: Callable[..., None], case: Case) -> None:
    check(case, node, "echo", asker, seen)


def test_the_released_datagram_arrives(node: Node, asker: Asker) -> None:
    asker.sock.settimeout(10)
    with node.fault("echo", "hang match data=a") as fault:
        asker.sock.send(b"a")
        fault.wait(waiting=1)
        fault.remove()
        assert asker.sock.recv(100) == b"A"


def test_every_client_has_its_own_way(node: Node, asker: Asker, echo: Echo) -> None:
    echo.peers.clear()
    others = [Asker(node.port("echo")) for _ in range(20)]
    try:
        for n, other in enumerate(others):
            other.sock.send(b"%d" % n)
        assert [other.sock.recv(10) for other in others] == [b"%d" % n for n in range(20)]
        assert len(echo.peers) == 20
        addresses = node.control.connections("echo")
        assert len(addresses) >= 20
        with node.fault("echo", "lose_request match n=2", fired=20) as fault:
            for other in others:
                other.sock.send(b"lost")
            fault.wait(fired=20)
        asker.ask(b"end")
        assert b"lost" not in echo.heard
    finally:
        for other in others:
            other.close()


def test_large_and_empty_datagrams(asker: Asker, echo: Echo) -> None:
    data = b"a" * 60_000
    assert asker.ask(b"", data) == [b"", data.upper()]


def test_silent_clients_are_forgotten(node: Node, echo: Echo) -> None:
    echo.peers.clear()
    asker = Asker(node.port("brief"))
    try:
        assert asker.ping()
        node.control.wait_until(lambda: not node.control.connections("brief"))
        asker.sock.settimeout(5)
        assert asker.ping()
        assert len(echo.peers) == 2
    finally:
        asker.close()


def test_so_many_clients_at_once(node: Node) -> None:
    askers = [Asker(node.port("brief")) for _ in range(4)]
    try:
        for asker in askers:
            asker.sock.settimeout(5)
            assert asker.ping()
            assert len(node.control.connections("brief")) <= 2
    finally:
        for asker in askers:
            asker.close()


def test_nobody_is_there(node: Node) -> None:
    asker = Asker(node.port("nowhere"))
    try:
        look(asker.ask, b"a").raised(TimeoutError)
        look(asker.ask, b"a").raised(TimeoutError)
        dials = node.control.proxy("nowhere")
        assert "refused" in str(dials) or "refused" in node.log
    finally:
        asker.close()


def test_a_proxy_that_is_disabled_comes_back(node: Node, asker: Asker) -> None:
    with node.control.down("echo"):
        look(asker.ask, b"a").raised(ConnectionRefusedError)
    assert usable(asker) == "yes"
