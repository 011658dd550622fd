"""DNS over UDP at the gate: answers find their queries, faults strike the exchange."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import dns.message
import dns.rrset
from datagram_bench import DatagramBench
from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.proxy.exchange import Books, Exchange
from rascal.wire.dns import PROTOCOL
from rascal.wire.types import Head

NAME = "db.shop.internal."


def query(number: int = 1, name: str = NAME, kind: str = "A") -> dns.message.Message:
    made = dns.message.make_query(name, kind, use_edns=False)
    made.id = number
    return made


def reply(asked: dns.message.Message, address: str = "10.0.0.1") -> dns.message.Message:
    made = dns.message.make_response(asked, recursion_available=True)
    name = asked.question[0].name.to_text()
    made.answer.append(dns.rrset.from_text(name, 300, "IN", "A", address))
    return made


class Bench(DatagramBench):
    def __init__(self, *sentences: str, **options: Any) -> None:
        super().__init__(PROTOCOL, *sentences, **options)

    def ask(self, *queries: dns.message.Message) -> None:
        self.client(*(one.to_wire() for one in queries))

    def say(self, *replies: dns.message.Message) -> None:
        self.server(*(one.to_wire() for one in replies))

    def told(self) -> list[tuple[int, int, list[str]]]:
        """What the client got since the last look: id, RCODE, addresses."""
        got, self.got = self.got[:], []
        self.connection._senders = (self.got.append, self.connection._senders[1])
        messages = [dns.message.from_wire(data) for data in got]
        return [
            (m.id, int(m.rcode()), [rr.address for rrset in m.answer for rr in rrset])
            for m in messages
        ]


def test_answers_find_their_queries_in_any_order() -> None:
    one = Bench("error(servfail) at reply match name=b.example.org")
    queries = [query(n, f"{letter}.example.org.") for n, letter in enumerate("abc")]
    one.ask(*queries)
    one.say(*(reply(asked) for asked in reversed(queries)))
    assert one.told() == [(2, 0, ["10.0.0.1"]), (1, 2, []), (0, 0, ["10.0.0.1"])]
    one.end()


def test_an_error_instead_of_the_upstream() -> None:
    one = Bench("error(nxdomain) match name=DB.shop.internal and type=A count 2")
    one.ask(query(1), query(2, kind="AAAA"), query(3), query(4))
    assert one.told() == [(1, 3, []), (3, 3, [])]
    assert len(one.seen) == 2
    one.end()


def test_reply_fields() -> None:
    one = Bench("error(servfail) match rcode=NOERROR and address=10.0.0.7")
    one.ask(query(1), query(2))
    one.say(reply(query(1), "10.0.0.7"), reply(query(2), "10.0.0.8"))
    assert one.told() == [(1, 2, []), (2, 0, ["10.0.0.8"])]
    one.end()


def test_the_old_address_for_a_while() -> None:
    one = Bench("replace(address=10.0.0.9, ttl=5s) match name=db.shop.internal for 40s")
    one.ask(query(1))
    one.say(reply(query(1)))
    one.wait(41)
    one.ask(query(2))
    one.say(reply(query(2)))
    assert one.told() == [(1, 0, ["10.0.0.9"]), (2, 0, ["10.0.0.1"])]
    one.end()


def test_lifetimes_of_real_answers() -> None:
    one = Bench("replace(ttl=0)")
    one.ask(query(1))
    one.say(reply(query(1)))
    assert dns.message.from_wire(one.got[0]).answer[0].ttl == 0
    one.end()


def test_a_stale_answer_has_the_new_id() -> None:
    one = Bench("stale")
    one.ask(query(1))
    one.say(reply(query(1), "10.0.0.1"))
    one.ask(query(2))
    one.say(reply(query(2), "10.0.0.2"))
    assert one.told() == [(1, 0, ["10.0.0.1"]), (2, 0, ["10.0.0.1"])]
    one.end()


def test_lost_queries_and_answers() -> None:
    one = Bench("lose_request count 1", "lose_reply skip 1 count 1")
    one.ask(query(0))
    assert one.seen == []
    one.ask(query(1), query(2))
    one.say(reply(query(1)), reply(query(2)))
    assert [fault.fired for fault in one.faults] == [1, 1]
    assert one.told() == [(2, 0, ["10.0.0.1"])]
    one.end()


def test_a_slow_answer_is_overtaken() -> None:
    one = Bench("delay 1s at reply match type=AAAA")
    one.ask(query(1, kind="AAAA"), query(2))
    one.say(reply(query(1, kind="AAAA")), reply(query(2)))
    assert [number for number, _, _ in one.told()] == [2]
    one.wait(1)
    assert [number for number, _, _ in one.told()] == [1]
    one.end()


def test_a_query_that_is_repeated_with_its_id() -> None:
    """As glibc does: the oldest is answered first."""
    one = Bench("error(servfail) at reply match n=1")
    one.ask(query(1), query(1))
    one.say(reply(query(1)), reply(query(1)))
    assert one.told() == [(1, 2, []), (1, 0, ["10.0.0.1"])]
    one.end()


def test_answers_that_nobody_waits_for_pass() -> None:
    one = Bench("error(servfail) at reply")
    one.say(reply(query(9)))
    assert one.told() == [(9, 0, ["10.0.0.1"])]
    one.client(b"no dns")
    one.server(b"no dns")
    assert (one.seen[-1:], one.got) == ([b"no dns"], [b"no dns"])
    assert one.gate.counts.desyncs == 2
    one.end()


def test_queries_that_are_never_answered_are_bounded() -> None:
    one = Bench("lose_reply")
    for n in range(3000):
        one.connection.arrived(query(n).to_wire(), True)
    assert len(one.connection.outstanding) == 1024
    assert one.faults[0].reserved == 1024
    one.end()


def test_the_table_of_the_proxy_is_under_faults() -> None:
    one = Bench(answers="db.shop.internal=127.0.0.1")
    one.ask(query(1))
    one.say(reply(query(1)))
    one.add("error(nxdomain)")
    one.ask(query(2))
    assert one.told() == [(1, 0, ["127.0.0.1"]), (2, 3, [])]
    one.end()


def test_so_many_at_a_time() -> None:
    one = Bench("concurrency(1)")
    one.ask(query(1), query(2), query(3))
    assert len(one.seen) == 1
    one.say(reply(query(1)))
    assert len(one.seen) == 2
    one.say(reply(query(2)))
    one.say(reply(query(3)))
    assert [number for number, _, _ in one.told()] == [1, 2, 3]
    one.end()


# -- the books of a stream ----------------------------------------


def books(watched: bool, *framings: int) -> Books:
    made = Books(SimpleNamespace())  # type: ignore[arg-type]
    if watched:
        made.watch()
    for framing in framings:
        made.request(Head("", framing=framing))
    return made


def framings(queue: Any) -> list[Any]:
    return [entry.framing for entry in queue for _ in range(getattr(entry, "count", 1))]


def test_books_turn_to_the_request_that_is_answered() -> None:
    for watched in (False, True):
        made = books(watched, 1, 2, 3)
        assert made.turn(3)
        assert not made.turn(9)
        assert framings(made.forwarded) == [3, 1, 2]
        assert framings(made.owed) == ([3, 1, 2] if watched else [])
        made.replied()
        assert made.turn(2)
        made.replied()
        assert framings(made.forwarded) == [1]


def test_one_of_several_alike_is_turned_to() -> None:
    made = books(True, 7, 5, 5)
    assert made.turn(5)
    assert framings(made.forwarded) == [5, 7, 5]
    assert framings(made.owed) == [5, 7, 5]


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 8), seed=st.integers(0, 10_000))
def test_replies_leave_in_the_order_of_their_arrival(count: int, seed: int) -> None:
    """Whatever is held between parsing a reply and delivering it."""
    chance = random.Random(seed)
    made = Books(SimpleNamespace())  # type: ignore[arg-type]
    made.watch()
    for n in range(count):
        if chance.random() < 0.5:
            made.run(n)
        else:
            x = Exchange(None, n, Head("", framing=n), 0.0)  # type: ignore[arg-type]
            made.expects(x)
            made.owes(x)
    order = chance.sample(range(count), count)
    parsed: list[int] = []
    left = list(order)
    while left or parsed:
        if left and (not parsed or chance.random() < 0.5):
            number = left.pop(0)
            assert made.turn(number)
            assert made.forwarded[0].framing == number
            made.parsed()
            parsed.append(number)
        else:
            number = parsed.pop(0)
            assert made.owed[0].framing == number, "the first to be parsed is the first to leave"
            if isinstance(made.owed[0], Exchange):
                made.owed.popleft()
            else:
                made.delivered_run()
    assert not made.owed
    assert not made.forwarded
