"""Ends on real sockets: what a peer sees is what a peer of the real server would see."""

from __future__ import annotations

import gc
import hashlib
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from pump import REACTORS, Loop, Pump, Witness, abort, loop, stuff

from rascal.proxy import ends
from rascal.proxy.ends import End


@pytest.fixture
def lean() -> Iterator[Loop]:
    with loop() as made:
        yield made


@pytest.fixture(params=list(REACTORS))
def any_loop(request: pytest.FixtureRequest) -> Iterator[Loop]:
    with loop(request.param) as made:
        yield made


def proxied(at: Loop, family: str = "tcp"):
    """A client, a server, and the pump between them."""
    client, a = at.end(family)
    server, b = at.end(family)
    return client, server, Pump(a, b)


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_relays_both_ways_and_fin_as_fin(any_loop: Loop, family: str) -> None:
    client, server, pump = proxied(any_loop, family)
    client.send(b"request")
    assert any_loop.read(server, 7) == b"request"
    server.send(b"reply")
    assert any_loop.read(client, 5) == b"reply"
    client.close()
    assert any_loop.ending(server) == "FIN"
    assert not pump.upstream.closed
    server.close()
    any_loop.until(lambda: pump.upstream.closed and pump.client.closed)
    assert not any_loop.hangups.ends


def test_late_reply_after_half_close(any_loop: Loop) -> None:
    client, server, pump = proxied(any_loop)
    client.send(b"all I have")
    client.shutdown(1)
    assert any_loop.read(server, 100) == b"all I have"
    any_loop.turn()
    any_loop.send(server, b"late" * 10_000)
    assert any_loop.read(client, 40_000) == b"late" * 10_000
    server.close()
    assert any_loop.ending(client) == "FIN"
    any_loop.until(lambda: pump.upstream.closed and pump.client.closed)


@pytest.mark.parametrize("from_client", [True, False])
def test_rst_as_rst(any_loop: Loop, from_client: bool) -> None:
    client, server, pump = proxied(any_loop)
    client.send(b"x")
    any_loop.read(server, 1)
    first, second = (client, server) if from_client else (server, client)
    first.send(b"last words")
    any_loop.read(second, 10)
    abort(first)
    assert any_loop.ending(second) == "RST"
    assert [what for what, _ in pump.told] == ["lost"]
    assert not any_loop.hangups.ends


def test_what_came_before_the_rst_is_read_first(lean: Loop) -> None:
    peer, end = lean.end()
    seen = Witness(end)
    peer.send(b"before")
    abort(peer)
    end.resume()
    lean.until(lambda: "lost" in seen.told)
    assert bytes(seen.data) in (b"before", b"")  # the kernel may drop it; it never comes after
    assert seen.told == ["lost"]
    assert end.closed


def test_bulk_is_unchanged_and_bounded(any_loop: Loop) -> None:
    client, server, pump = proxied(any_loop)
    size, sent = 3 << 20, 0
    block = bytes(range(256)) * 4096
    got, want = hashlib.sha256(), hashlib.sha256()
    received = 0

    def step() -> bool:
        nonlocal sent, received
        while sent < size:
            try:
                count = server.send(block)
            except BlockingIOError:
                break
            want.update(block[:count])
            sent += count
        try:
            data = client.recv(40_000)
        except BlockingIOError:
            return False
        got.update(data)
        received += len(data)
        return received >= size and sent == received

    any_loop.until(step, "bulk", 20)
    assert got.digest() == want.digest()
    assert ("drained", pump.client) in pump.told, "back-pressure was never felt"
    assert pump.most <= len(ends.BUFFER)
    server.close()
    assert any_loop.ending(client) == "FIN"


def test_a_reader_that_does_not_read_costs_one_read(lean: Loop) -> None:
    client, server, pump = proxied(lean)
    total = 0

    def stuck() -> bool:
        nonlocal total
        count = stuff(server)
        total += count
        return pump.client.rest > 0 and not count

    lean.until(stuck, "the sender is stopped", 10)
    lean.turn(50)
    assert stuff(server) == 0
    assert 0 < pump.client.rest <= len(ends.BUFFER)
    received = len(lean.read(client, total, 10))
    assert received == total
    lean.until(lambda: pump.client.rest == 0)


def test_write_appends_to_the_rest(lean: Loop) -> None:
    peer, end = lean.end()
    seen = Witness(end)
    first = b"a" * (2 << 20)
    end.write(first)
    left = end.rest
    assert 0 < left < len(first)
    end.write(b"b" * 10)
    end.write(memoryview(b"c" * 10))
    assert end.rest == left + 20
    assert not seen.told
    got = lean.read(peer, len(first) + 20)
    assert got == first + b"b" * 10 + b"c" * 10
    lean.until(lambda: seen.told == ["drained"])
    assert end.rest == 0


def test_rest_is_a_copy(lean: Loop) -> None:
    peer, end = lean.end()
    data = bytearray(b"a" * (2 << 20))
    end.write(memoryview(data))
    data[:] = b"z" * len(data)
    assert lean.read(peer, len(data)) == b"a" * len(data)


def test_a_read_event_reads_once(lean: Loop) -> None:
    peer, end = lean.end()
    stuff(peer)
    reads: list[int] = []
    end.on_data = lambda view: reads.append(len(view))
    end.resume()
    end.doRead()
    assert len(reads) == 1
    assert reads[0] <= len(ends.BUFFER)


def test_starts_idle_pauses_and_resumes(any_loop: Loop) -> None:
    peer, end = any_loop.end()
    seen = Witness(end)
    peer.send(b"one")
    any_loop.turn()
    assert not seen.data
    end.pause()
    end.pause()
    any_loop.turn()
    assert not seen.data
    end.resume()
    end.resume()
    any_loop.until(lambda: seen.data == b"one")
    end.pause()
    peer.send(b"two")
    any_loop.turn()
    assert seen.data == b"one"
    end.resume()
    any_loop.until(lambda: seen.data == b"onetwo")
    assert not seen.told


@pytest.mark.parametrize("family", ["tcp", "unix"])
@pytest.mark.parametrize("rst", [False, True])
def test_hangup_is_seen_while_paused_once(any_loop: Loop, rst: bool, family: str) -> None:
    peer, end = any_loop.end(family)
    seen = Witness(end)
    end.resume()
    end.pause()
    peer.send(b"still unread")
    any_loop.turn()
    assert seen.told == []
    if rst:
        abort(peer)
    else:
        peer.shutdown(1)
    any_loop.until(lambda: seen.told == ["hangup"])
    end.pause()
    any_loop.turn()
    assert seen.told == ["hangup"]
    assert not seen.data
    end.resume()
    if rst and family == "tcp":
        any_loop.until(lambda: seen.told == ["hangup", "lost"])
    else:
        any_loop.until(lambda: seen.told == ["hangup", "eof"])
        assert seen.data == b"still unread"


def test_hangups_of_many_with_one_that_closes_others(lean: Loop) -> None:
    """A call may close ends whose events are in the same batch."""
    made = [lean.end() for _ in range(20)]
    seen = []

    class CloseAll:
        def hangup(self, end: End) -> None:
            seen.append(end)
            for _, other in made:
                other.reset()

        lost = drained = hangup

    for peer, end in made:
        end.owner = CloseAll()
        end.pause()
        peer.close()
    lean.until(lambda: seen)
    lean.turn()
    assert len(seen) == 1
    assert not lean.hangups.ends


def test_shut_after_the_rest(lean: Loop) -> None:
    peer, end = lean.end()
    seen = Witness(end)
    end.resume()
    data = b"d" * (2 << 20)
    end.write(data)
    assert end.rest
    end.shut()
    end.write(b"too late")
    peer.send(b"still read")
    lean.until(lambda: seen.data == b"still read")
    assert lean.read(peer, len(data) + 100) == data
    assert lean.ending(peer) == "FIN"
    assert not end.closed
    peer.close()
    lean.until(lambda: end.closed)
    assert seen.told == ["drained", "eof"]


def test_close_sends_the_rest_then_fin_and_delivers_nothing(lean: Loop) -> None:
    peer, end = lean.end()
    seen = Witness(end)
    end.resume()
    data = b"d" * (2 << 20)
    end.write(data)
    end.close()
    assert end.closed
    assert end.fin
    peer.send(b"nobody hears this")
    assert lean.read(peer, len(data) + 100) == data
    assert lean.ending(peer) == "FIN"
    peer.send(b"nor this")  # no RST: that could overtake the reply in the peer's kernel
    lean.turn()
    peer.send(b"nor this")
    peer.close()
    lean.until(lambda: not lean.hangups.ends)
    assert not seen.data
    assert not seen.told


def test_close_resets_after_its_time(lean: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "CLOSING", 0.05)
    peer, end = lean.end()
    end.close()
    assert lean.ending(peer) == "FIN"
    assert lean.hangups.ends
    lean.until(lambda: not lean.hangups.ends)
    with suppress(OSError):  # the RST came at once, or answers this
        peer.send(b"x")
    lean.turn()
    with pytest.raises(OSError, match=r"reset|pipe"):
        peer.send(b"x")


def test_close_resets_who_sends_without_end(lean: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "DROPPED", 1 << 20)
    peer, end = lean.end()
    end.close()

    def reset() -> bool:
        try:
            peer.send(b"x" * 65536)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False

    lean.until(reset)


def test_reset_is_rst_and_drops_the_rest(lean: Loop) -> None:
    peer, end = lean.end()
    seen = Witness(end)
    end.write(b"d" * (2 << 20))
    end.reset()
    assert end.closed
    assert end.rest == 0
    end.write(b"x")
    end.shut()
    end.close()
    end.pause()
    end.resume()
    end.reset()
    assert lean.ending(peer) == "RST"
    assert not seen.told


def test_a_peer_that_is_gone_breaks_writes_and_is_lost_once(lean: Loop) -> None:
    peer, end = lean.end()
    seen = Witness(end)
    peer.shutdown(1)
    end.resume()
    lean.until(lambda: seen.told == ["eof"])
    abort(peer)

    def write() -> bool:
        end.write(b"x")
        return "lost" in seen.told

    lean.until(write)
    lean.turn()
    assert seen.told == ["eof", "lost"]
    assert end.closed


def test_lost_while_a_rest_waits(any_loop: Loop) -> None:
    peer, end = any_loop.end()
    seen = Witness(end)
    end.resume()
    end.write(b"d" * (2 << 20))
    assert end.rest
    abort(peer)
    any_loop.until(lambda: "lost" in seen.told)
    assert seen.told == ["lost"]
    assert end.rest == 0


def test_lost_while_a_rest_waits_and_reading_is_paused(any_loop: Loop) -> None:
    peer, end = any_loop.end()
    seen = Witness(end)
    end.pause()
    end.write(b"d" * (2 << 20))
    abort(peer)
    any_loop.until(lambda: seen.told)
    assert seen.told == ["hangup"]
    assert end.rest == 0
    end.resume()
    any_loop.until(lambda: "lost" in seen.told)
    assert seen.told == ["hangup", "lost"]


@pytest.mark.parametrize("where", ["on_data", "on_eof", "hangup", "drained"])
def test_a_mistake_ends_one_connection_and_is_logged(
    lean: Loop, where: str, logged_failures: Any
) -> None:
    peer, end = lean.end()
    seen = Witness(end)

    def wrong(*_: object) -> None:
        raise RuntimeError("ours")

    setattr(end if where.startswith("on_") else seen, where, wrong)
    if where == "hangup":
        end.pause()
        peer.shutdown(1)
    else:
        end.resume()
        if where == "drained":
            end.write(b"x" * (2 << 20))
            assert lean.ending(peer) == "RST"
        else:
            peer.send(b"x")
            peer.shutdown(1)
    lean.until(lambda: "lost" in seen.told)
    assert end.closed
    assert [str(failure.value) for failure in logged_failures.flush(RuntimeError)] == ["ours"]


def test_no_cyclic_garbage(lean: Loop) -> None:
    """A connection that is over is freed at once, without the collector."""
    gc.collect()
    gc.disable()
    try:
        client, server, pump = proxied(lean)
        client.send(b"x")
        lean.read(server, 1)
        refs = [weakref.ref(pump.client), weakref.ref(pump.upstream)]
        client.close()
        server.close()
        lean.until(lambda: not lean.hangups.ends)
        lean.turn()
        del pump
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()
