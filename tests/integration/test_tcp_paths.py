"""How bytes get through: addresses of all sorts, both halves of a connection, RST, PROXY headers,
and what a client sees of an upstream that cannot be had."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Node, look, running
from tcp_peers import (
    Door,
    Echo,
    Full,
    Talk,
    dial,
    nobody,
    read,
    read_address,
    rest,
    send_rst,
    write_address,
)

SORTS = ("v4", "v6", "unix")
SHORT = 0.4
LOOPBACK = {"v4": "127.0.0.1", "v6": "::1"}


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return True
    return False


SORTS_HERE = [sort for sort in SORTS if sort != "v6" or has_ipv6()]


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """A folder with a short name: the path of a UNIX socket has 107 bytes."""
    folder = tempfile.mkdtemp(prefix="rascal-")
    yield Path(folder)
    shutil.rmtree(folder)


def proxy(name: str, listen: str, upstream: Any, **options: Any) -> str:
    more = "".join(f"{key} = {value}\n" for key, value in options.items())
    where = upstream if isinstance(upstream, str) else write_address(upstream)
    return f"[proxy:{name}]\nprotocol = tcp\nlisten = {listen}\nupstream = {where}\n{more}\n"


class Place:
    """Proxies from every sort of address to every sort of address, each in front of a Door."""

    def __init__(self, folder: Path) -> None:
        self.doors = {
            sort: Door(str(folder / "door") if sort == "unix" else (LOOPBACK[sort], 0))
            for sort in SORTS_HERE
        }
        self.node: Any = None
        self.folder = folder

    def ini(self) -> str:
        parts = []
        for a, b in itertools.product(SORTS_HERE, SORTS_HERE):
            listen = {"v4": "127.0.0.1:0", "v6": "[::1]:0", "unix": f"unix:{self.folder}/{a}-{b}"}
            door = self.doors[b].address
            parts.append(proxy(f"{a}-{b}", listen[a], f"unix:{door}" if b == "unix" else door))
        for version, sort in itertools.product(("v1", "v2"), SORTS_HERE):
            listen = {
                "v4": "127.0.0.1:0",
                "v6": "[::1]:0",
                "unix": f"unix:{self.folder}/{version}-{sort}-proxied",
            }
            name = f"{version}-{sort}"
            parts.append(
                proxy(name, listen[sort], self.doors["v4"].address, proxy_protocol=version)
            )
        return "".join(parts)

    def address(self, name: str) -> Any:
        return read_address(self.node.address(name))

    def pair(self, name: str) -> tuple[socket.socket, socket.socket]:
        """Both ends of one connection through that proxy."""
        client = dial(self.address(name))
        return client, self.doors[name.partition("-")[2]].accept()


@pytest.fixture(scope="module")
def place(short: Path) -> Iterator[Place]:
    made = Place(short)
    with contextlib.ExitStack() as stack:
        for door in made.doors.values():
            stack.enter_context(door)
        made.node = stack.enter_context(running(short / "node", made.ini()))
        yield made


PAIRS = [f"{a}-{b}" for a, b in itertools.product(SORTS_HERE, SORTS_HERE)]


@pytest.mark.parametrize("name", PAIRS)
def test_both_halves_close_by_themselves(name: str, place: Place) -> None:
    for first in ("client", "server"):
        client, server = place.pair(name)
        with client, server:
            a, b = (client, server) if first == "client" else (server, client)
            a.sendall(b"all I have")
            a.shutdown(socket.SHUT_WR)
            assert rest(b) == b"all I have"
            big = b"x" * 300_000
            b.sendall(big)  # the other half is as good as before
            assert read(a, len(big)) == big
            b.shutdown(socket.SHUT_WR)
            assert a.recv(1) == b""
    place.node.control.wait_until(lambda: not place.node.control.connections(name))


@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize("name", [name for name in PAIRS if "unix" not in name])
def test_rst_is_rst(name: str, first: str, place: Place) -> None:
    client, server = place.pair(name)
    with client, server:
        client.sendall(b"a")
        server.sendall(b"b")
        assert (server.recv(1), client.recv(1)) == (b"a", b"b")
        a, b = (client, server) if first == "client" else (server, client)
        send_rst(a)
        with pytest.raises(ConnectionResetError):
            b.recv(1)
    place.node.control.wait_until(lambda: not place.node.control.connections(name))


def test_rst_after_fin(place: Place) -> None:
    """The half that was closed is closed; RST ends the other."""
    client, server = place.pair("v4-v4")
    with client, server:
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        send_rst(server)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_much_both_ways_at_once(place: Place) -> None:
    """More than all buffers hold; each side reads while it writes."""
    import threading

    client, server = place.pair(PAIRS[-1])
    data = [bytes([n]) * 4_000_000 for n in (1, 2)]
    with client, server:
        writers = [
            threading.Thread(target=sock.sendall, args=(mine,))
            for sock, mine in zip((client, server), data, strict=True)
        ]
        for writer in writers:
            writer.start()
        assert read(server, 100_000) == data[0][:100_000]
        assert read(client, len(data[1])) == data[1]
        assert read(server, len(data[0]) - 100_000) == data[0][100_000:]
        for writer in writers:
            writer.join(5)


# ---- PROXY protocol: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt -----------------

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


@pytest.mark.parametrize("sort", SORTS_HERE)
def test_proxy_protocol_v1(sort: str, place: Place) -> None:
    client = dial(place.address(f"v1-{sort}"))
    with client, place.doors["v4"].accept() as server:
        client.sendall(b"hello")
        line = b""
        while not line.endswith(b"\r\n"):
            line += read(server, 1)
        if sort == "unix":
            assert line == b"PROXY UNKNOWN\r\n"
        else:
            mine, its = client.getsockname(), client.getpeername()
            family = "TCP4" if sort == "v4" else "TCP6"
            expected = f"PROXY {family} {mine[0]} {its[0]} {mine[1]} {its[1]}\r\n"
            assert line == expected.encode()
        assert read(server, 5) == b"hello"


@pytest.mark.parametrize("sort", SORTS_HERE)
def test_proxy_protocol_v2(sort: str, place: Place) -> None:
    client = dial(place.address(f"v2-{sort}"))
    with client, place.doors["v4"].accept() as server:
        client.sendall(b"hello")
        assert read(server, 12) == SIGNATURE
        version, family, length = struct.unpack("!BBH", read(server, 4))
        block = read(server, length)
        assert version == 0x21
        if sort == "unix":
            assert (family, length) == (0x31, 216)
            assert block[108:].rstrip(b"\0").decode() == place.address("v2-unix")
        else:
            assert family == (0x11 if sort == "v4" else 0x21)
            size = 4 if sort == "v4" else 16
            mine, its = client.getsockname(), client.getpeername()
            packed = socket.inet_pton(client.family, mine[0])
            assert block[:size] == packed
            assert block[2 * size :] == struct.pack("!HH", mine[1], its[1])
        assert read(server, 5) == b"hello"


# ---- upstreams that cannot be had ----------------------------------------------------------------


@pytest.fixture(scope="module")
def lacking(short: Path) -> Iterator[tuple[Node, Full]]:
    """Proxies whose upstreams cannot be had."""
    listen = "127.0.0.1:0"
    with Full() as full:
        where = full.address
        ini = "".join(
            [
                proxy("refused", listen, nobody()),
                proxy("refused-plain", listen, nobody(), mirror="no"),
                proxy("no-path", listen, f"unix:{short}/nothing"),
                proxy("timeout", listen, where, connect_timeout="300ms"),
                proxy("timeout-plain", listen, where, connect_timeout="300ms", mirror="no"),
                proxy("no-name", listen, "nobody.invalid:80", connect_timeout="2s"),
            ]
        )
        with running(short / "lacking", ini) as node:
            yield node, full


def first_byte(node: Node, name: str) -> bytes:
    """A reset may be seen while connecting already."""
    with dial(read_address(node.address(name))) as sock:
        return sock.recv(1)


def outcomes(node: Node, name: str) -> dict[str, int]:
    return dict(node.control.counters()[name]["dials"])


@pytest.mark.parametrize(
    ("name", "sees", "dials"),
    [
        ("refused", ConnectionResetError, {"refused": 1}),
        ("refused-plain", b"", {"refused": 1}),
        ("no-name", b"", {"unresolved": 1}),
        ("timeout-plain", b"", {"timeout": 1}),
    ],
)
def test_what_an_upstream_does_is_mirrored(
    name: str, sees: Any, dials: dict[str, int], lacking: tuple[Node, Full]
) -> None:
    node = lacking[0]
    sight = look(first_byte, node, name)
    if isinstance(sees, bytes):
        sight.got(sees)
    else:
        sight.raised(sees)
    assert sight.seconds < 4
    assert outcomes(node, name) == dials
    assert any(name.partition("-")[0] in note or "unresolved" in note for note in notes(node, name))


def notes(node: Node, name: str) -> list[str]:
    return [f"{note}" for note in node.control.counters()[name]["notes"]]


def test_a_missing_path_is_refused(lacking: tuple[Node, Full]) -> None:
    node = lacking[0]
    look(first_byte, node, "no-path").raised(ConnectionResetError)
    assert outcomes(node, "no-path") == {"refused": 1}


def test_an_upstream_time_out_is_silence(lacking: tuple[Node, Full]) -> None:
    """The client waits, as it would for a server whose queue is full; then it gives up."""
    node = lacking[0]
    with dial(read_address(node.address("timeout")), SHORT) as sock:
        sock.sendall(b"is anybody there")
        look(sock.recv, 1).raised(TimeoutError)
        node.control.wait_until(lambda: outcomes(node, "timeout") == {"timeout": 1})
        sock.sendall(b"hello?")
        look(sock.recv, 1).raised(TimeoutError)
    node.control.wait_until(lambda: not node.control.connections("timeout"))


def test_a_name_is_looked_up_at_each_dial(tmp_path: Path) -> None:
    with Echo() as echo:
        port = echo.address[1]
        with running(tmp_path, proxy("named", "127.0.0.1:0", f"localhost:{port}")) as node:
            for _ in range(3):
                talk = Talk(read_address(node.address("named")))
                assert talk.ping()
                talk.close()
            assert outcomes(node, "named") == {"ok": 3}


def test_a_client_that_leaves_while_the_upstream_is_dialled(lacking: tuple[Node, Full]) -> None:
    node = lacking[0]
    address = read_address(node.address("timeout"))
    for how in (socket.socket.close, send_rst):
        sock = dial(address)
        node.control.wait_until(lambda: node.control.connections("timeout"))
        how(sock)
        node.control.wait_until(lambda: not node.control.connections("timeout"))
