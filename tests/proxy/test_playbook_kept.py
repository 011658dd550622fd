"""Playbooks of replies that are kept: what the upstream said counts, not what the client got."""

from __future__ import annotations

from typing import Any

import attrs
from bench import Bench, fault, ok, query, rows

from rascal.faults.replies import Stale
from rascal.options import Options


def stale(age: float) -> Any:
    options = Options()
    options.age = age
    made = fault(lambda m, d: "", "reply")
    return attrs.evolve(made, kind=Stale(), options=options)


def test_what_is_kept_goes_on_while_older_replies_are_shown() -> None:
    bench = Bench(stale(1.0))
    for now, said, shown in [
        (0.0, b"1", b"1"),
        (0.6, b"2", b"2"),  # nothing is that old
        (1.2, b"3", b"1"),  # as it was at 0.2
        (1.7, b"4", b"2"),
        (3.0, b"5", b"4"),
    ]:
        bench.wait(now - bench.reactor.now())
        bench.client(query(b"k1"))
        bench.server(ok(said))
        assert bench.got == ok(shown), now


def test_half_a_reply_is_not_kept() -> None:
    bench = Bench(stale(1.0))
    bench.client(query(b"k1"))
    bench.server(rows(b"one"))
    bench.wait(1.0)
    bench.client(query(b"k1"))
    bench.server(rows(b"two", b"three")[:9])
    bench.right.fin()
    bench.turn()
    assert bench.got == rows(b"one") + rows(b"one")
    kept = next(iter(bench.gate.faults["f"].state.values())).replies
    assert [reply for _, reply in kept[b"k1"]] == [rows(b"one")]
