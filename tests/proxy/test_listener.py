"""Listeners on real sockets: what a client that connects meets."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pump import Loop, loop

from rascal.language import Address
from rascal.proxy import listener as module
from rascal.proxy.listener import Listener, ListenError, listen, peer_text

LOCAL = Address("tcp", "127.0.0.1", 0)
TIMEOUT = 0.3
"""Seconds; the kernel repeats an unanswered SYN after one second."""


@pytest.fixture
def lean() -> Iterator[Loop]:
    with loop() as made:
        yield made


class Door:
    """A listener and what it let in."""

    def __init__(self, at: Loop, address: Address, backlog: int = 100) -> None:
        self.at = at
        self.accepted: list[socket.socket] = []
        self.peers: list[str] = []
        self.listener = listen(at.reactor, address, self.take, backlog)[0]
        self.listener.start()

    def take(self, sock: socket.socket, peer: str) -> None:
        self.accepted.append(sock)
        self.peers.append(peer)
        self.at.sockets.append(sock)

    def connect(self) -> tuple[str, socket.socket]:
        """What a client gets: "open", "refused", "time-out"."""
        where = self.listener.address
        unix = where.type == "unix"
        sock = socket.socket(socket.AF_UNIX if unix else family(where.host))
        self.at.sockets.append(sock)
        sock.settimeout(TIMEOUT)
        try:
            sock.connect(where.path if unix else (where.host, where.port))
        except ConnectionRefusedError:
            return "refused", sock
        except (TimeoutError, BlockingIOError):
            return "time-out", sock
        return "open", sock

    def served(self) -> bool:
        """A client gets through to us."""
        before = len(self.accepted)
        how, _ = self.connect()
        if how == "open":
            self.at.until(lambda: len(self.accepted) > before, "accepted")
        return how == "open"


def family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@pytest.fixture(params=["v4", "v6", "unix"])
def door(request: pytest.FixtureRequest, lean: Loop, tmp_path: Path) -> Iterator[Door]:
    made = Door(
        lean,
        {
            "v4": LOCAL,
            "v6": Address("tcp", "::1", 0),
            "unix": Address("unix", path=str(tmp_path / "s")),
        }[request.param],
    )
    yield made
    made.listener.stop()


def test_accepts(door: Door, lean: Loop) -> None:
    how, client = door.connect()
    assert how == "open"
    lean.until(lambda: door.accepted)
    sock = door.accepted[0]
    assert not sock.getblocking()
    if door.listener.unix:
        assert door.peers == [f"unix:{door.listener.address.path}"]
    else:
        assert door.peers == [peer_text(client.getsockname())]
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert door.listener.address.port


def test_before_start_clients_wait(lean: Loop) -> None:
    got: list[str] = []

    def take(sock: socket.socket, peer: str) -> None:
        got.append(peer)
        sock.close()

    listener = listen(lean.reactor, LOCAL, take)[0]
    with socket.create_connection(("127.0.0.1", listener.address.port)):
        lean.turn()
        assert not got
        listener.start()
        lean.until(lambda: got)
    listener.stop()


def test_stop_gives_the_port_back(door: Door) -> None:
    assert door.served()
    door.listener.stop()
    door.listener.stop()
    if door.listener.unix:
        assert not os.path.exists(door.listener.address.path)
    else:
        assert door.connect()[0] == "refused"
    door.listener.open()  # the same place
    door.listener.start()
    assert door.served()


def test_refuse_and_back(door: Door, lean: Loop) -> None:
    address = door.listener.address
    assert door.served()
    for _ in range(3):
        door.listener.refuse(True)
        door.listener.refuse(True)
        assert door.connect()[0] == "refused"
        assert door.listener.address == address
        door.listener.refuse(False)
        assert door.served()
    assert door.listener.state == "listening"


def test_refuse_leaves_connections_and_serves_those_that_waited(door: Door, lean: Loop) -> None:
    _, first = door.connect()
    lean.until(lambda: door.accepted)
    how, _ = door.connect()
    assert how == "open"
    door.listener.refuse(True)
    assert len(door.accepted) == 2
    door.accepted[0].send(b"still here")
    assert first.recv(100) == b"still here"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("reuse", [0, 1])
def test_nobody_takes_the_port_of_one_that_refuses(lean: Loop, host: str, reuse: int) -> None:
    door = Door(lean, LOCAL)
    door.served()
    door.listener.refuse(True)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        with pytest.raises(OSError, match="in use"):
            thief.bind((host, door.listener.address.port))
    door.listener.refuse(False)
    assert door.served()
    door.listener.stop()


def test_full_and_back(door: Door, lean: Loop) -> None:
    assert door.served()
    before = len(door.accepted)
    for _ in range(2):
        door.listener.full(True)
        assert door.connect()[0] == "time-out"
        lean.turn()
        assert len(door.accepted) == before, "our own connection, or a client, came through"
        door.listener.full(False)
        lean.turn()
        assert len(door.accepted) == before
        assert door.served()
        before += 1


def test_full_serves_those_that_waited(door: Door, lean: Loop) -> None:
    assert door.connect()[0] == "open"
    door.listener.full(True)
    assert len(door.accepted) == 1
    assert door.connect()[0] == "time-out"


def test_refuse_wins_over_full(door: Door) -> None:
    door.listener.full(True)
    door.listener.refuse(True)
    assert door.connect()[0] == "refused"
    door.listener.refuse(False)
    assert door.connect()[0] == "time-out"
    door.listener.full(False)
    assert door.served()


def test_faults_live_through_stop_and_open(door: Door) -> None:
    door.listener.refuse(True)
    door.listener.stop()
    door.listener.open()
    door.listener.start()
    assert door.connect()[0] == "refused"
    door.listener.refuse(False)
    assert door.served()


def test_full_on_all_addresses(lean: Loop) -> None:
    door = Door(lean, Address("tcp", "0.0.0.0", 0))
    door.listener.full(True)
    assert door.connect()[0] == "time-out"
    door.listener.full(False)
    assert door.served()
    door.listener.stop()


def test_a_taken_port_is_one_line(lean: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            listen(lean.reactor, Address("tcp", "127.0.0.1", port), lambda *_: None)
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: address already in use"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Address("tcp", "192.0.2.1", 0), "cannot listen on 192.0.2.1:0: cannot assign"),
        (Address("tcp", "no-such-host.invalid", 1), "cannot listen on no-such-host.invalid:1: "),
        (Address("unix", path="/no/such/folder/s"), "cannot listen on unix:/no/such/folder/s: no"),
    ],
)
def test_impossible_addresses_are_one_line(lean: Loop, address: Address, text: str) -> None:
    with pytest.raises(ListenError) as caught:
        listen(lean.reactor, address, lambda *_: None)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


def test_unix_takes_over_a_stale_socket_only(lean: Loop, tmp_path: Path) -> None:
    address = Address("unix", path=str(tmp_path / "s"))
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(address.path)
    door = Door(lean, address)
    assert door.served()
    with pytest.raises(ListenError, match="in use"):
        Door(lean, address)
    assert door.served()
    door.listener.stop()
    Path(address.path).write_text("a file")
    with pytest.raises(ListenError, match="in use"):
        Door(lean, address)
    assert Path(address.path).read_text() == "a file"


def test_unix_keeps_its_mode_and_leaves_a_successor_alone(lean: Loop, tmp_path: Path) -> None:
    address = Address("unix", path=str(tmp_path / "s"))
    door = Door(lean, address)
    os.chmod(address.path, 0o600)
    door.listener.refuse(True)
    door.listener.refuse(False)
    assert stat.S_IMODE(os.stat(address.path).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["s"]
    os.unlink(address.path)
    successor = Door(lean, address)
    door.listener.stop()
    assert successor.served()
    successor.listener.stop()


def test_both_families_of_a_name(lean: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = [socket.AF_INET, socket.AF_INET6]
    both = [
        module.Place(names[0], ("127.0.0.1", port)),
        module.Place(names[1], ("::1", port, 0, 0)),
    ]
    listeners = [Listener(lean.reactor, place, lambda *_: None) for place in both]
    for one in listeners:
        one.open()
    assert [str(one.address) for one in listeners] == [f"127.0.0.1:{port}", f"[::1]:{port}"]
    for one in listeners:
        one.stop()


def test_many_at_once_and_a_mistake_of_ours(lean: Loop, logged_failures: Any) -> None:
    door = Door(lean, LOCAL, 1024)
    take, wrong = door.listener.accepted, []

    def sometimes(sock: socket.socket, peer: str) -> None:
        if not wrong:
            wrong.append(peer)
            raise RuntimeError("ours")
        take(sock, peer)

    door.listener.accepted = sometimes
    for _ in range(150):
        assert door.connect()[0] == "open"
    lean.until(lambda: len(door.accepted) == 149)
    assert [str(failure.value) for failure in logged_failures.flush(RuntimeError)] == ["ours"]
    door.listener.stop()


def test_without_descriptors_it_rests_and_recovers(
    lean: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BREATHER", 0.02)
    door = Door(lean, LOCAL)
    clients = [socket.socket() for _ in range(3)]
    lean.sockets += clients
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    looks = 0
    again = door.listener._again

    def counted() -> None:
        nonlocal looks
        looks += 1
        again()

    monkeypatch.setattr(door.listener, "_again", counted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
    blockers = []
    try:
        with suppress(OSError):
            while True:
                blockers.append(os.dup(0))
        for client in clients:
            client.setblocking(False)
            assert client.connect_ex(("127.0.0.1", door.listener.address.port)) in (
                0,
                errno.EINPROGRESS,
            )
        lean.until(lambda: looks >= 3)
        assert not door.accepted
        before = looks
        lean.turn(50)
        assert looks - before <= 2, "it spins"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in blockers:
            os.close(fd)
    lean.until(lambda: len(door.accepted) == 3)
    door.listener.stop()


def test_it_leaves_descriptors_to_others(lean: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BREATHER", 0.02)
    monkeypatch.setattr(module, "SPARED", 8)
    door = Door(lean, LOCAL)
    clients = [socket.socket() for _ in range(6)]
    lean.sockets += clients
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(*map(int, os.listdir("/proc/self/fd")), 64) + 16
    blockers = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        while not blockers or blockers[-1] < most - 11:
            blockers.append(os.dup(0))
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", door.listener.address.port))
        lean.until(lambda: len(door.accepted) == 3)
        lean.turn(50)
        assert len(door.accepted) == 3
        others = [os.dup(0) for _ in range(7)]
        for fd in others:
            os.close(fd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in blockers:
            os.close(fd)
    lean.until(lambda: len(door.accepted) == 6)
    door.listener.stop()
