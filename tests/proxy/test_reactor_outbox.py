"""Sends of the load client are held back while several events are dispatched, and no longer."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from pump import Loop, loop

from rascal import reactor as module
from rascal.reactor import FINE, HELD, count_no_more, count_waiting


@pytest.fixture
def lean() -> Iterator[Loop]:
    with loop() as made:
        made.reactor.holders += 1
        yield made
        for reader in made.reactor.getReaders():
            if isinstance(reader, Asker):
                made.reactor.removeReader(reader)


class Asker:
    """Sends something whenever something came, as a load client's connection does."""

    def __init__(self, reactor: object, sock: socket.socket, log: list[str], name: str) -> None:
        self.reactor = reactor
        self.sock = sock
        self.log = log
        self.name = name
        self.then: Callable[[], None] | None = None

    def fileno(self) -> int:
        return self.sock.fileno()

    def logPrefix(self) -> str:
        return "asker"

    def connectionLost(self, reason: object) -> None:
        self.sock.close()

    def fast_event(self) -> None:
        try:
            self.sock.recv(100)
        except BlockingIOError:  # read already, in a turn within this one
            return
        self.log.append(f"read {self.name}")
        outbox = self.reactor.outbox  # type: ignore[attr-defined]
        if outbox is None:
            self.send()
        else:
            outbox.append(self.send)
        if self.then is not None:
            self.then()

    def send(self) -> None:
        self.log.append(f"send {self.name}")


def askers(lean: Loop, count: int) -> tuple[list[Asker], list[str]]:
    """So many, all of them readable."""
    log: list[str] = []
    made = []
    for number in range(count):
        peer, sock = lean.pair()
        made.append(Asker(lean.reactor, sock, log, str(number)))
        lean.reactor.addReader(made[-1])
        peer.send(b"x")
    return made, log


def test_one_event_alone_sends_at_once(lean: Loop) -> None:
    _, log = askers(lean, 1)
    lean.reactor.doPoll(1)
    assert log == ["read 0", "send 0"]


def test_several_read_first_and_send_then(lean: Loop) -> None:
    _, log = askers(lean, 3)
    lean.reactor.doPoll(1)
    assert [word[:4] for word in log] == ["read"] * 3 + ["send"] * 3
    assert lean.reactor.outbox is None


def test_not_more_than_a_few_are_held(lean: Loop) -> None:
    _, log = askers(lean, HELD + 2)
    lean.reactor.doPoll(1)
    assert [word[:4] for word in log] == (
        ["read"] * HELD + ["send"] * HELD + ["read"] * 2 + ["send"] * 2
    )


def test_who_iterates_within_an_event_has_earlier_sends_sent(lean: Loop) -> None:
    made, log = askers(lean, 2)
    for one in made:
        one.then = lambda: lean.reactor.doPoll(0)
    lean.reactor.doPoll(1)
    assert log[:2] in (["read 0", "send 0"], ["read 1", "send 1"])
    assert sorted(log) == ["read 0", "read 1", "send 0", "send 1"]
    assert lean.reactor.outbox is None


def test_an_event_that_fails_leaves_no_send_behind(lean: Loop) -> None:
    made, log = askers(lean, 2)

    def interrupt() -> None:
        raise KeyboardInterrupt

    made[1].then = interrupt
    with pytest.raises(KeyboardInterrupt):
        lean.reactor.doPoll(1)
    assert log.count("send 1") == 1
    assert lean.reactor.outbox is None


def test_without_a_holder_nothing_is_held(lean: Loop) -> None:
    lean.reactor.holders -= 1
    _, log = askers(lean, 2)
    lean.reactor.doPoll(1)
    assert [word[:4] for word in log] == ["read", "send", "read", "send"]


@pytest.mark.parametrize("counted", [False, True])
def test_short_waits_are_exact_while_load_is_sent(
    lean: Loop, monkeypatch: pytest.MonkeyPatch, counted: bool
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(module, "select", lambda r, w, x, timeout: waits.append(timeout))
    if counted:
        count_waiting(lean.reactor)
    lean.reactor.doPoll(FINE / 4)
    lean.reactor.doPoll(FINE * 4)  # epoll is exact enough
    assert waits == [FINE / 4]
    lean.reactor.holders -= 1
    lean.reactor.doPoll(FINE / 4)
    assert waits == [FINE / 4]
    if counted:
        count_no_more(lean.reactor)


def test_an_event_ends_an_exact_wait(lean: Loop) -> None:
    _, log = askers(lean, 1)
    lean.reactor.doPoll(FINE / 4)
    assert log == ["read 0", "send 0"]


def test_exact_waits_count_as_waiting(lean: Loop) -> None:
    total = count_waiting(lean.reactor)
    assert total is not None
    for _ in range(3):
        lean.reactor.doPoll(FINE / 2)
    assert total() >= 3 * FINE / 2
    count_no_more(lean.reactor)
