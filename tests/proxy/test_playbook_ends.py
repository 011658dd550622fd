"""Playbooks of how connections end: what comes too late, what silence or a change leaves behind."""

from __future__ import annotations

from bench import Bench, error, fault, frame, ok, query

from rascal.faults.types import INF, Age, Discard, Edit, End, Pace, Reply, Shaper
from rascal.proxy.connection import ABANDON
from rascal.proxy.ends import CLOSING
from rascal.wire.types import Answer


class Never(Shaper):
    """Lets nothing out, ever."""

    def allow(self, now: float, available: int) -> tuple[int, float]:
        return 0, INF


def held(bench: Bench) -> int:
    return int(bench.gate.budget.held)


def test_requests_behind_the_end_are_dropped_and_cost_nothing() -> None:
    """The client's leg waits for a shaper; what it still sends is not looked at."""
    shaped = fault(lambda m, d: Pace("to_client", Never), level="connection", name="slow")
    bench = Bench(
        shaped, fault(lambda m, d: End("request", "close"), "request", skip=1, name="end")
    )
    bench.client(query(b"k1"))
    bench.server(ok(b"1"))
    bench.client(query(b"k2"))
    assert bench.connection.ended_by == "end"
    bench.client(query(b"k3") + query(b"k4"))
    assert bench.gate.faults["end"].matched == 2
    bench.wait(CLOSING)
    bench.turn()
    assert not bench.gate.connections
    assert held(bench) == 0


def test_a_reply_that_was_gathered_goes_on_when_sync_is_lost() -> None:
    bench = Bench(fault(lambda m, d: Edit(lambda x, reply: b"?", 4096), "reply"))
    bench.client(query(b"k1"))
    reply = ok(b"a long reply")
    bench.server(reply[:6])
    assert bench.got == b""
    bench.client(b"\xff" * 40)
    assert bench.connection.is_raw
    bench.server(reply[6:])
    assert bench.got == reply


def test_who_left_before_the_silence_is_not_waited_for() -> None:
    old = fault(lambda m, d: Age(3.0, "silent"), level="connection", name="old")
    bench = Bench(old)
    bench.left.fin()
    bench.turn()
    bench.wait(3.0 + ABANDON)
    bench.turn()
    assert not bench.gate.connections


def test_a_blackhole_that_turns_round_ends_the_connection() -> None:
    """Bytes of the other direction are lost: what follows them must not be taken for them."""
    direction = "to_client"
    hole = fault(lambda m, d: Discard(direction, INF), level="connection")
    bench = Bench(hole)
    bench.client(query(b"k1"))
    bench.server(ok(b"1"))
    direction = "to_upstream"
    bench.gate.replace(bench.gate.faults["f"], hole)
    bench.server(ok(b"2"))
    assert bench.connection.ended_by == "fault changed"
    assert bench.got == b""


def test_an_injected_reply_waits_for_the_end_of_a_push() -> None:
    """A push is in no queue, and may be half out when the answer is ready."""
    bench = Bench(
        fault(lambda m, d: Reply(m, lambda x: Answer(error(b"no"))), "request", name="error")
    )
    push = frame("P", 0, b"news" * 100)
    bench.server(push[:50])
    assert bench.got == push[:50]
    bench.client(query(b"k1"))
    assert bench.got == b""
    bench.server(push[50:])
    assert bench.got == push[50:] + error(b"no")
