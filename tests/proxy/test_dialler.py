"""Dialling real sockets: every way in which a connection can fail to come about."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pump import Loop, Witness, loop
from twisted.internet.address import IPv4Address, IPv6Address

from rascal.language import Address
from rascal.proxy import dialler as module
from rascal.proxy.dialler import Dialler, plain_address
from rascal.proxy.proxyprotocol import SIGNATURE


@pytest.fixture
def lean() -> Iterator[Loop]:
    with loop() as made:
        yield made


class Wanting:
    """What the data path's connection is to the dialler."""

    def __init__(self, client: Any = None) -> None:
        self.client = client
        self.upstream: Any = None
        self.failure: tuple[str, str] | None = None
        self.told = 0

    def joined(self, upstream: Any) -> None:
        self.told += 1
        self.upstream = upstream

    def dial_failed(self, how: str, detail: str) -> None:
        self.told += 1
        self.failure = how, detail


def dial(at: Loop, address: Address, client: Any = None, **options: Any) -> tuple[Wanting, Any]:
    wanting = Wanting(client)
    dialling = Dialler(at.reactor, at.hangups, address, **options).dial(wanting)
    assert not wanting.told, "nothing is told before dial() has returned"
    return wanting, dialling


def outcome(at: Loop, address: Address, **options: Any) -> Wanting:
    wanting, _ = dial(at, address, **options)
    at.until(lambda: wanting.told)
    at.turn()
    assert wanting.told == 1
    return wanting


@pytest.fixture
def server(lean: Loop) -> socket.socket:
    made = socket.create_server(("127.0.0.1", 0))
    lean.sockets.append(made)
    return made


@pytest.fixture
def refusing(lean: Loop) -> int:
    """A port that is bound and not listened on."""
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    lean.sockets.append(made)
    return int(made.getsockname()[1])


@pytest.fixture
def silent(lean: Loop) -> int:
    """A port whose queue is full: attempts go unanswered."""
    made = socket.create_server(("127.0.0.1", 0), backlog=0)
    filler = socket.create_connection(made.getsockname())
    lean.sockets += [made, filler]
    return int(made.getsockname()[1])


def port(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_joins(lean: Loop, server: socket.socket) -> None:
    wanting = outcome(lean, Address("tcp", "127.0.0.1", port(server)))
    upstream = wanting.upstream
    assert upstream.peer == f"127.0.0.1:{port(server)}"
    accepted, _ = server.accept()
    lean.sockets.append(accepted)
    assert upstream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    seen = Witness(upstream)
    accepted.send(b"hello")
    lean.turn()
    assert not seen.data, "it starts paused"
    upstream.resume()
    lean.until(lambda: seen.data == b"hello")


def test_joins_unix(lean: Loop, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        wanting = outcome(lean, Address("unix", path=str(tmp_path / "s")))
        assert wanting.upstream.peer == f"unix:{tmp_path / 's'}"


def test_unix_with_a_full_queue_is_waited_for(
    lean: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.01)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen(0)
        first = socket.socket(socket.AF_UNIX)
        first.connect(str(tmp_path / "s"))
        lean.sockets.append(first)
        wanting, _ = dial(lean, Address("unix", path=str(tmp_path / "s")))
        lean.turn(20)
        assert not wanting.told
        server.accept()[0].close()
        lean.until(lambda: wanting.upstream)
        late = outcome(lean, Address("unix", path=str(tmp_path / "s")), timeout=0.05)
        assert late.failure
        assert late.failure[0] == "timeout"


def test_refused(lean: Loop, refusing: int) -> None:
    wanting = outcome(lean, Address("tcp", "127.0.0.1", refusing))
    assert wanting.failure == ("refused", f"127.0.0.1:{refusing}: connection refused")


@pytest.mark.parametrize("there", [True, False])
def test_refused_unix(lean: Loop, tmp_path: Path, there: bool) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        if there:
            server.bind(str(tmp_path / "s"))
        wanting = outcome(lean, Address("unix", path=str(tmp_path / "s")))
        assert wanting.failure
        assert wanting.failure[0] == "refused"


def test_silence_is_a_timeout(lean: Loop, silent: int) -> None:
    wanting = outcome(lean, Address("tcp", "127.0.0.1", silent), timeout=0.05)
    detail = f"127.0.0.1:{silent}: no connection within 0.05 s"
    assert wanting.failure == ("timeout", detail)


def test_unreachable(lean: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: errno.ENETUNREACH)
    wanting = outcome(lean, Address("tcp", "127.0.0.1", 9))
    assert wanting.failure == ("unreachable", "127.0.0.1:9: network is unreachable")


@pytest.mark.parametrize("after", [0, 3])
def test_cancel_gives_everything_back(lean: Loop, silent: int, after: int) -> None:
    wanting, dialling = dial(lean, Address("tcp", "127.0.0.1", silent))
    lean.turn(after)
    dialling.cancel()
    dialling.cancel()
    lean.turn()
    assert not wanting.told
    assert not lean.hangups.ends


class Resolver:
    """Answers at once, later, or never."""

    def __init__(self, *answers: Any, later: float | None = 0.0) -> None:
        self.answers = answers
        self.later = later
        self.asked: list[tuple[str, int]] = []

    def install(self, at: Loop) -> Resolver:
        self.reactor = at.reactor
        at.reactor.installNameResolver(self)
        return self

    def resolveHostName(self, receiver: Any, host: str, port: int, **_: Any) -> None:
        self.asked.append((host, port))

        def answer() -> None:
            receiver.resolutionBegan(None)
            for one in self.answers:
                receiver.addressResolved(one)
            receiver.resolutionComplete()

        if self.later is None:
            answer()
        elif self.later < 100:
            self.reactor.callLater(self.later, answer)


def v4(port: int, host: str = "127.0.0.1") -> IPv4Address:
    return IPv4Address("TCP", host, port)


def test_names_are_looked_up_at_each_dial(lean: Loop, server: socket.socket) -> None:
    resolver = Resolver(v4(port(server)))
    lean.reactor.nameResolver  # noqa: B018 - there is one before
    resolver.install(lean)
    dialler = Dialler(lean.reactor, lean.hangups, Address("tcp", "db.example", port(server)))
    assert resolver.asked == []
    for _ in range(2):
        wanting = Wanting()
        dialler.dial(wanting)
        lean.until(lambda wanting=wanting: wanting.upstream)
    assert resolver.asked == [("db.example", port(server))] * 2


@pytest.mark.parametrize("later", [None, 0.0])
def test_a_name_without_addresses(lean: Loop, later: float | None) -> None:
    Resolver(later=later).install(lean)
    wanting = outcome(lean, Address("tcp", "db.example", 1))
    assert wanting.failure == (
        "unresolved",
        "db.example:1: the name db.example does not resolve",
    )


def test_a_resolver_that_does_not_answer(lean: Loop) -> None:
    Resolver(later=1000).install(lean)
    wanting = outcome(lean, Address("tcp", "db.example", 1), timeout=0.05)
    assert wanting.failure
    assert wanting.failure[0] == "timeout"


def test_an_answer_that_is_too_late(lean: Loop, server: socket.socket) -> None:
    Resolver(v4(port(server)), later=0.05).install(lean)
    wanting, dialling = dial(lean, Address("tcp", "db.example", 1))
    dialling.cancel()
    lean.until(lambda: not lean.reactor.getDelayedCalls())
    assert not wanting.told
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.accept()


def test_the_next_address_when_one_refuses(lean: Loop, server: socket.socket) -> None:
    Resolver(IPv6Address("TCP", "::1", port(server)), v4(port(server))).install(lean)
    wanting = outcome(lean, Address("tcp", "db.example", port(server)))
    assert wanting.upstream.peer == f"127.0.0.1:{port(server)}"


def test_the_next_address_when_one_is_silent(
    lean: Loop, server: socket.socket, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STAGGER", 0.02)
    Resolver(v4(silent), v4(port(server))).install(lean)
    wanting = outcome(lean, Address("tcp", "db.example", 1))
    assert wanting.upstream.peer == f"127.0.0.1:{port(server)}"


def test_all_addresses_fail(lean: Loop, refusing: int) -> None:
    Resolver(v4(refusing), v4(refusing, "127.0.0.2")).install(lean)
    wanting = outcome(lean, Address("tcp", "db.example", refusing))
    assert wanting.failure == ("refused", f"db.example:{refusing}: connection refused")


def test_a_port_that_would_connect_to_itself_is_refused(lean: Loop, refusing: int) -> None:
    """Bound to the port that it connects to, a socket is its own peer."""
    sock = socket.socket()
    lean.sockets.append(sock)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        name = free.getsockname()
    sock.bind(name)

    def own(*_: Any) -> socket.socket:
        return sock

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.socket, "socket", own)
        wanting, _ = dial(lean, Address("tcp", *name))
    lean.until(lambda: wanting.told)
    assert wanting.failure
    assert wanting.failure[0] == "refused"


def test_proxy_protocol_goes_first(lean: Loop, server: socket.socket) -> None:
    client, end = lean.end()
    for version in ("v1", "v2"):
        outcome_ = Wanting(end)
        address = Address("tcp", "127.0.0.1", port(server))
        Dialler(lean.reactor, lean.hangups, address, proxy_protocol=version).dial(outcome_)
        lean.until(lambda wanting=outcome_: wanting.upstream)
        outcome_.upstream.write(b"then this")
        accepted, _ = server.accept()
        lean.sockets.append(accepted)
        got = accepted.recv(1000)
        assert got.endswith(b"then this")
        if version == "v1":
            (host, source), (_, target) = client.getsockname(), client.getpeername()
            assert got == f"PROXY TCP4 {host} {host} {source} {target}\r\nthen this".encode()
        else:
            assert got.startswith(SIGNATURE)


def test_many_at_once(lean: Loop, server: socket.socket) -> None:
    server.listen(200)
    dialler = Dialler(lean.reactor, lean.hangups, Address("tcp", "127.0.0.1", port(server)))
    all_ = [Wanting() for _ in range(100)]
    for one in all_:
        dialler.dial(one)
    lean.until(lambda: all(one.upstream for one in all_))
    lean.hangups.close()
    assert not lean.reactor.getDelayedCalls()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp:127.0.0.1:80", Address("tcp", "127.0.0.1", 80)),
        ("tcp:host=db:port=3306", Address("tcp", "db", 3306)),
        ("tcp:\\:\\:1:80", Address("tcp", "::1", 80)),
        ("unix:path=/run/x", Address("unix", path="/run/x")),
        ("tcp:db:3306:timeout=3", None),
        ("tls:db:3306", None),
    ],
)
def test_endpoint_strings_that_are_addresses(text: str, address: Address | None) -> None:
    found = Address("endpoint", path=text)
    assert plain_address(found) == (address or found)


class TestTransports:
    """Endpoint strings that need Twisted's own transports."""

    def through(self, at: Loop, server: socket.socket) -> tuple[socket.socket, Any]:
        text = f"tcp:127.0.0.1:{port(server)}:timeout=3"
        wanting = outcome(at, Address("endpoint", path=text))
        accepted, _ = server.accept()
        accepted.setblocking(False)
        at.sockets.append(accepted)
        return accepted, wanting.upstream

    def test_both_ways_with_half_close(self, lean: Loop, server: socket.socket) -> None:
        peer, end = self.through(lean, server)
        seen = Witness(end)
        peer.send(b"greeting")
        lean.turn()
        assert not seen.data
        end.resume()
        lean.until(lambda: seen.data == b"greeting")
        end.pause()
        end.write(b"request")
        end.shut()
        assert lean.read(peer, 100) == b"request"
        peer.send(b"late")
        end.resume()
        lean.until(lambda: seen.data == b"greetinglate")
        peer.close()
        lean.until(lambda: end.closed)
        assert seen.told == ["eof"]
        assert (end.taken, end.sent) == (12, 7)

    def test_back_pressure(self, lean: Loop, server: socket.socket) -> None:
        peer, end = self.through(lean, server)
        seen = Witness(end)
        end.write(b"x" * (16 << 20))
        assert end.rest
        assert len(lean.read(peer, 16 << 20, 10)) == 16 << 20
        lean.until(lambda: seen.told == ["drained"])
        assert not end.rest
        end.close()
        assert lean.ending(peer) == "FIN"

    def test_rst_both_ways(self, lean: Loop, server: socket.socket) -> None:
        peer, end = self.through(lean, server)
        end.reset()
        assert lean.ending(peer) == "RST"
        peer, end = self.through(lean, server)
        seen = Witness(end)
        end.resume()
        with suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        lean.until(lambda: seen.told == ["lost"])

    def test_failures(self, lean: Loop, refusing: int, silent: int) -> None:
        for text, how in (
            (f"tcp:127.0.0.1:{refusing}:timeout=3", "refused"),
            (f"tcp:127.0.0.1:{silent}:timeout=30", "timeout"),
            ("nothing:at:all", "unreachable"),
        ):
            wanting = outcome(lean, Address("endpoint", path=text), timeout=0.05)
            assert wanting.failure
            assert wanting.failure[0] == how
