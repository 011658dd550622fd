"""The lean reactor: fast where asked for, Twisted's own ways everywhere else."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pump import Loop, loop
from twisted.internet import protocol


@pytest.fixture
def lean() -> Iterator[Loop]:
    with loop() as made:
        yield made


class Reader:
    """A reader with both ways; says which was taken."""

    def __init__(self, sock: socket.socket, answer: Any = None, fast: bool = True) -> None:
        self.sock = sock
        self.answer = answer
        self.calls: list[str] = []
        if fast:
            self.fast_event = self.fast

    def fileno(self) -> int:
        return self.sock.fileno()

    def logPrefix(self) -> str:
        return "reader"

    def fast(self) -> Any:
        self.calls.append("fast")
        return self.read()

    def doRead(self) -> Any:
        self.calls.append("slow")
        return self.read()

    def read(self) -> Any:
        self.sock.recv(100)
        if isinstance(self.answer, Exception) and self.answer.args:
            raise self.answer
        return self.answer

    def doWrite(self) -> Any:
        self.calls.append("write")

    def connectionLost(self, reason: Any) -> None:
        self.calls.append("lost")
        self.sock.close()


def test_readable_and_nothing_else_is_fast(lean: Loop) -> None:
    peer, sock = lean.pair()
    reader = Reader(sock)
    lean.reactor.addReader(reader)
    peer.send(b"x")
    lean.until(lambda: reader.calls)
    assert reader.calls == ["fast"]
    lean.reactor.addWriter(reader)
    peer.send(b"x")
    lean.until(lambda: "slow" in reader.calls)
    assert reader.calls[-2:] == ["slow", "write"]
    lean.reactor.removeReader(reader)
    lean.reactor.removeWriter(reader)


def test_without_fast_event_it_is_twisted_way(lean: Loop) -> None:
    peer, sock = lean.pair()
    reader = Reader(sock, fast=False)
    lean.reactor.addReader(reader)
    peer.send(b"x")
    lean.until(lambda: reader.calls)
    assert reader.calls == ["slow"]
    lean.reactor.removeReader(reader)


@pytest.mark.parametrize("fast", [True, False])
def test_a_failing_reader_is_logged_and_disconnected(
    lean: Loop, fast: bool, logged_failures: Any
) -> None:
    peer, sock = lean.pair()
    reader = Reader(sock, RuntimeError("ours"), fast)
    lean.reactor.addReader(reader)
    peer.send(b"x")
    lean.until(lambda: "lost" in reader.calls)
    assert [str(failure.value) for failure in logged_failures.flush(RuntimeError)] == ["ours"]
    assert reader not in lean.reactor.getReaders()


def test_a_result_disconnects(lean: Loop) -> None:
    peer, sock = lean.pair()
    reader = Reader(sock, RuntimeError())
    lean.reactor.addReader(reader)
    peer.send(b"x")
    lean.until(lambda: reader.calls == ["fast", "lost"])


def test_one_that_was_closed_earlier_in_the_same_turn_is_left_alone(lean: Loop) -> None:
    pairs = [lean.pair() for _ in range(2)]
    readers = [Reader(sock) for _, sock in pairs]

    def close_the_other(which: int) -> None:
        readers[which].calls.append("fast")
        for reader in readers:
            lean.reactor.removeReader(reader)
        readers[1 - which].sock.close()

    for which, reader in enumerate(readers):
        reader.fast_event = lambda which=which: close_the_other(which)
        lean.reactor.addReader(reader)
    for peer, _ in pairs:
        peer.send(b"x")
    lean.until(lambda: any(reader.calls for reader in readers))
    lean.turn()
    assert sorted(reader.calls for reader in readers) == [[], ["fast"]]


def test_timers_follow_the_monotonic_clock(lean: Loop) -> None:
    assert abs(lean.reactor.seconds() - time.monotonic()) < 1
    fired: list[float] = []
    start = time.monotonic()
    lean.reactor.callLater(0.02, lambda: fired.append(time.monotonic()))
    lean.until(lambda: fired)
    assert 0.02 <= fired[0] - start < 1


def test_twisted_servers_and_clients_work_on_it(lean: Loop) -> None:
    class Echo(protocol.Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)
            self.transport.loseConnection()

    port = lean.reactor.listenTCP(0, protocol.Factory.forProtocol(Echo), interface="127.0.0.1")
    client = socket.create_connection(("127.0.0.1", port.getHost().port))
    client.setblocking(False)
    lean.sockets.append(client)
    client.send(b"x" * 1000)
    assert lean.read(client, 2000) == b"x" * 1000
    lean.until(lambda: len(lean.reactor.getReaders()) == len(lean.own) + 1)
    port.stopListening()
    lean.turn()


def child(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_install() -> None:
    code = "from rascal.reactor import install_unless_loaded as i; i(); i(); "
    code += "from twisted.internet import reactor; print(type(reactor).__name__)"
    assert child(code) == "LeanEPollReactor"


def test_a_reactor_that_was_chosen_stays() -> None:
    code = "from twisted.internet import selectreactor; selectreactor.install(); "
    code += "from rascal.reactor import install_unless_loaded as i; i(); "
    code += "from twisted.internet import reactor; print(type(reactor).__name__)"
    assert child(code) == "SelectReactor"


def test_importing_it_chooses_none() -> None:
    code = "import sys, rascal.reactor, rascal.proxy.ends, rascal.proxy.listener, "
    code += "rascal.proxy.dialler, rascal.proxy.tls, rascal.proxy.transports; "
    code += "print('twisted.internet.reactor' in sys.modules)"
    assert child(code) == "False"
