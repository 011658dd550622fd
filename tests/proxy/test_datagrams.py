"""Datagrams and faults: lost, late, twice, out of order, garbled; the books; the end of faults."""

from __future__ import annotations

from typing import Any

import pytest
from datagram_bench import DatagramBench
from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.faults.build import tables
from rascal.proxy.lanes import LANE_BYTES
from rascal.wire.redis import PROTOCOL as REDIS
from rascal.wire.udp import PROTOCOL

A, B, C, D = b"a", b"bb", b"ccc", b"dddd"


def bench(*sentences: str, **options: Any) -> DatagramBench:
    return DatagramBench(PROTOCOL, *sentences, **options)


def test_datagrams_pass() -> None:
    one = bench()
    one.client(A, b"", B)
    one.server(C, D, b"")
    assert (one.seen, one.got) == ([A, b"", B], [C, D, b""])
    assert one.gate.traffic() == (3, 7)
    one.end()
    assert (one.gate.traffic(), one.gate.delivered()) == ((3, 7), (3, 7))
    assert one.gate.counts.peers == 1


@pytest.mark.parametrize("then", ["", "(then=close)", "(then=reset)"])
def test_one_is_lost_and_the_others_are_not(then: str) -> None:
    one = bench(f"lose_request{then} every 2")
    one.client(A, B, C, D)
    one.server(A, B)
    assert (one.seen, one.got) == ([A, C], [A, B])
    (fault,) = one.faults
    assert (fault.matched, fault.fired) == (4, 2), "what the upstream says is not asked"
    one.end()


def test_replies_are_lost() -> None:
    one = bench("lose_reply match size>=3B")
    one.client(C)
    one.server(B, C, D)
    assert (one.seen, one.got) == ([C], [B])
    assert one.faults[0].fired == 2
    one.end()


def test_match_fields() -> None:
    one = bench(
        "lose_request match client=10.0.0.0/8 and n=2",
        "lose_reply match data^=c",
        "lose_request match direction=to_client",
        "lose_request match client=192.168.0.1",
    )
    one.client(A, B, C)
    one.server(A, C)
    assert (one.seen, one.got) == ([A, C], [A])
    assert [fault.fired for fault in one.faults] == [1, 1, 0, 0]
    one.end()


def test_a_delayed_datagram_is_overtaken() -> None:
    one = bench("delay 2s match n=1", "delay 1s at reply match n=1")
    one.client(A, B)
    one.server(A, B)
    assert (one.seen, one.got) == ([B], [B])
    one.wait(1.0)
    assert (one.seen, one.got) == ([B], [B, A])
    one.wait(1.0)
    assert (one.seen, one.got) == ([B, A], [B, A])
    one.end()


def test_delays_add_up_and_both_ways_have_one_each() -> None:
    one = bench("delay 1s", "delay 2s at request,reply")
    one.client(A)
    one.server(B)
    one.wait(1.9)
    assert one.got == []
    one.wait(0.2)
    assert (one.seen, one.got) == ([], [B])
    one.wait(1.0)
    assert one.seen == [A]
    assert [fault.fired for fault in one.faults] == [1, 2]
    one.end()


def test_a_hang_is_released_by_its_removal_and_by_nothing_else() -> None:
    one = bench("hang count 2")
    one.client(A, B, C)
    assert one.seen == [C]
    one.wait(1000)
    assert one.seen == [C]
    assert one.faults[0].waiting == 2
    one.check()
    one.gate.remove("f0")
    one.turn()
    assert one.seen == [C, A, B]
    one.end()


def test_on_remove_close_drops_what_was_held() -> None:
    one = bench("hang on_remove close")
    one.client(A, B)
    one.gate.remove("f0")
    one.turn()
    one.client(C)
    assert one.seen == [C]
    one.end()


def test_what_is_held_is_bounded() -> None:
    one = bench("hang")
    data = b"x" * 10_000
    one.client(*[data] * 100)
    assert one.gate.budget.held <= one.gate.hold_bytes
    assert 10 < len(one.connection.held) < 30
    one.check()
    one.gate.remove("f0")
    one.turn()
    assert 10 < len(one.seen) < 30
    assert one.gate.counts.notes["datagrams were dropped: full"] > 70
    one.end()


def test_twice() -> None:
    one = bench("duplicate match n=1", "duplicate at reply match n=2")
    one.client(A, B)
    one.server(A, B)
    assert (one.seen, one.got) == ([A, A, B], [A, B, B])
    one.end()


def test_out_of_order() -> None:
    one = bench("reorder(2) match n=1", "reorder at reply match n=1,2")
    one.client(A)
    assert one.seen == []
    one.client(B, C, D)
    assert one.seen == [B, C, A, D]
    one.server(A, B, C, D)
    assert one.got == [C, A, B, D]
    assert [fault.fired for fault in one.faults] == [1, 2]
    one.end()


def test_nobody_comes_to_overtake() -> None:
    one = bench("reorder(after=3, wait=500ms)")
    one.client(A)
    one.wait(0.4)
    assert one.seen == []
    one.wait(0.2)
    assert one.seen == [A]
    one.client(B)
    one.gate.remove("f0")
    one.turn()
    assert one.seen == [A, B], "its removal lets it go"
    one.client(C)
    one.end()


def test_corrupt() -> None:
    one = bench("corrupt(gap=4B) direction to_upstream")
    one.client(b"abcdef", b"ghij")
    one.server(b"abcdef")
    assert one.got == [b"abcdef"]
    assert [len(data) for data in one.seen] == [6, 4]
    changed = [a != b for a, b in zip(b"".join(one.seen), b"abcdefghij", strict=True)]
    assert changed == [n % 4 == 3 for n in range(10)]
    one.end()


def test_throttle() -> None:
    one = bench("throttle(1KB/s) direction to_client")
    one.client(A)
    one.server(*[b"x" * 500] * 4)
    assert (one.seen, one.got) == ([A], [])
    for seconds in (0.6, 0.5, 0.5, 0.5):
        before = len(one.got)
        one.wait(seconds)
        assert len(one.got) == before + 1
    one.server(*[b"y" * 1000] * 100)
    lane = one.connection.lanes[False]
    assert lane.size <= LANE_BYTES
    assert lane.dropped > 30
    one.change(one.faults[0], "throttle(1MB/s) direction to_client")
    one.wait(1)
    assert lane.size == 0, "another rate is another rate at once"
    one.server(*[b"y" * 1000] * 10)
    one.gate.remove("f0")
    one.turn()
    assert lane.size == 0
    one.end()


def test_a_blackhole() -> None:
    one = bench("blackhole direction to_upstream")
    one.client(A)
    one.server(B)
    assert (one.seen, one.got) == ([], [B])
    one.gate.remove("f0")
    one.turn()
    one.client(C)
    assert one.seen == [C], "the client's address goes on"
    fault = one.add("blackhole")
    one.client(D)
    one.server(D)
    assert (one.seen, one.got) == ([C], [B])
    assert fault.fired == 1
    one.end()


def test_every_datagram_is_delayed_per_connection() -> None:
    one = bench("delay 1s per connection direction to_client")
    one.client(A)
    one.server(B)
    assert (one.seen, one.got) == ([A], [])
    one.wait(1.0)
    assert one.got == [B]
    one.server(C)
    one.gate.remove("f0")
    one.turn()
    assert one.got == [B, C]
    one.end()


def test_a_script_takes_what_clients_send() -> None:
    one = bench()
    script = one.script("pass, lose_request, duplicate")
    one.client(A)
    one.server(A)
    one.client(B, C, D)
    assert one.seen == [A, C, C, D]
    assert script.step_states == ["used"] * 3
    one.end()


def test_a_script_of_replies() -> None:
    one = bench()
    one.script("pass, lose_reply")
    one.client(A)
    one.server(A, B, C)
    assert one.got == [A, C]
    one.end()


def test_a_roulette() -> None:
    one = bench()
    roulette = one.roulette("40% lose_request, 40% duplicate")
    one.client(*[A] * 200)
    assert roulette.matched == 200
    assert 120 < roulette.fired < 200
    one.end()


def test_draws_are_those_of_the_seed() -> None:
    def run() -> list[bytes]:
        one = bench("30% lose_request")
        one.client(*(bytes([n]) for n in range(100)))
        one.end()
        return one.seen

    first = run()
    assert first == run()
    assert 50 < len(first) < 90


def test_a_fault_that_is_used_up_leaves() -> None:
    one = bench("lose_request count 2")
    one.client(A, B, C)
    assert one.seen == [C]
    assert not one.faults[0].armed
    one.end()


def test_clients_are_told_apart() -> None:
    one = bench("lose_request match n=1")
    other = one.another("10.0.0.2:53")
    one.client(A)
    other.arrived(B, True)
    other.arrived(C, True)
    assert one.seen == [C]
    other.end("close", "peers")
    one.end()


def test_what_needs_a_stream_is_not_there() -> None:
    names = set(tables(PROTOCOL))
    assert {"delay", "hang", "lose_request", "lose_reply", "duplicate", "reorder"} <= names
    assert {"corrupt", "throttle", "blackhole", "refuse", "rate_limit"} <= names
    assert names.isdisjoint({"reset", "slice", "idle_kill", "slow_close", "truncate", "error"})
    assert "reorder" not in tables(REDIS)


def test_refused_per_connection_is_told_as_skipped() -> None:
    one = bench("50% refuse", "noop")
    for n in range(20):
        one.another(f"10.0.0.1:{n}").end("close", "peers")
    refuse, noop = one.faults
    assert refuse.fired == 0
    assert refuse.skipped["datagram"] + refuse.skipped["probability"] == 21
    assert noop.fired == 21
    one.end()


def test_a_rate_limit_lets_datagrams_wait() -> None:
    one = bench("rate_limit(10/s, burst=1)")
    one.client(A, B, C)
    assert one.seen == [A]
    one.wait(0.11)
    assert one.seen == [A, B]
    one.wait(0.1)
    assert one.seen == [A, B, C]
    one.end()


SENTENCES = [
    "delay 10ms..200ms",
    "20% hang for 300ms",
    "30% lose_request",
    "30% lose_reply at reply",
    "duplicate every 3",
    "25% duplicate at reply",
    "reorder(2, wait=100ms) every 2",
    "reorder at reply every 3",
    "throttle(20KB/s)",
    "corrupt(10%)",
    "blackhole direction to_client for 200ms",
    "delay 50ms per connection",
    "hang count 2 on_remove close",
]


@settings(max_examples=150, deadline=None)
@given(
    sentences=st.lists(st.sampled_from(SENTENCES), max_size=4),
    doings=st.lists(
        st.tuples(st.sampled_from(["client", "server", "wait", "remove"]), st.binary(max_size=40)),
        max_size=30,
    ),
)
def test_nothing_is_made_up_and_the_books_add_up(
    sentences: list[str], doings: list[tuple[str, bytes]]
) -> None:
    one = bench(*sentences)
    said: dict[str, list[bytes]] = {"client": [], "server": []}
    for what, data in doings:
        if what == "wait":
            one.wait(0.05)
        elif what == "remove":
            if one.gate.faults:
                one.gate.remove(next(iter(one.gate.faults)))
                one.turn()
        else:
            said[what].append(data)
            getattr(one, what)(data)
        one.check()
    names = " ".join(sentences)
    for name in list(one.gate.faults):
        one.gate.remove(name)
    one.turn()
    one.wait(1)
    assert not one.connection.held, "every held datagram is released"
    for way, out in ((said["client"], one.seen), (said["server"], one.got)):
        if "corrupt" not in names:
            assert set(out) <= set(way)
        if not any(word in names for word in ("lose", "blackhole", "close", "duplicate")):
            assert sorted(map(len, out)) == sorted(map(len, way))
    if not sentences:
        assert (one.seen, one.got) == (said["client"], said["server"])
    one.end()
