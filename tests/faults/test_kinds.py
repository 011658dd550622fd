"""Every kind: what it wants done, on a fake exchange or connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from subjects import PLAIN, QUIET, TOY, Connection, Subject, act, fault, lanes, spec

from rascal.faults.build import kinds, tables
from rascal.faults.replies import KEPT_REPLIES, Kept
from rascal.faults.types import (
    INF,
    Age,
    CloseHold,
    ConnectHold,
    Cut,
    Discard,
    End,
    Hold,
    Idle,
    ListenFull,
    ListenRefuse,
    Lose,
    Pace,
    Refuse,
    Repeat,
    Reply,
    Stall,
    StreamHold,
)
from rascal.language import CLAUSES
from rascal.wire import protocols

ACTS: list[tuple[Any, str, Any]] = [
    (TOY, "refuse", ListenRefuse()),
    (TOY, "refuse count 1", Refuse("reset")),
    (TOY, "unreachable", ListenFull()),
    (TOY, "delay 2s", Hold("request", 2.0)),
    (TOY, "delay 2s at reply", Hold("reply", 2.0)),
    (TOY, "delay 2s at greeting", Hold("reply", 2.0)),
    (TOY, "delay 2s at connect", ConnectHold(2.0)),
    (TOY, "hang", Hold("request", INF)),
    (TOY, "hang at reply", Hold("reply", INF)),
    (TOY, "hang at connect", ConnectHold(INF)),
    (TOY, "stall 10KB", Stall(10_000, "bytes", INF)),
    (TOY, "stall 10KB hold=5s", Stall(10_000, "bytes", 5.0)),
    (TOY, "stall rows=3 hold=5s", Stall(3, "parts", 5.0)),
    (TOY, "reset", End("request", "reset")),
    (TOY, "reset at reply", End("reply", "reset")),
    (TOY, "reset at connect", End("connect", "reset")),
    (TOY, "reset at during", Cut(0, "bytes", "reset")),
    (TOY, "reset 1KB", Cut(1000, "bytes", "reset")),
    (PLAIN, "reset", End("connect", "reset")),
    (TOY, "close", End("request", "close")),
    (TOY, "close 1KB", Cut(1000, "bytes", "close")),
    (PLAIN, "close", End("connect", "close")),
    (TOY, "truncate 1KB", Cut(1000, "bytes", "close")),
    (TOY, "truncate rows=10 then=reset", Cut(10, "parts", "reset")),
    (TOY, "truncate rows=10 then=end", Cut(10, "parts", "end")),
    (TOY, "truncate rows=0 then=hang", Cut(0, "parts", "hang")),
    (TOY, "lose_request", Lose("request", "hang")),
    (TOY, "lose_request then=reset", Lose("request", "reset")),
    (TOY, "lose_reply", Lose("reply", "hang")),
    (TOY, "lose_reply then=close", Lose("reply", "close")),
    (TOY, "blackhole", Discard("both", INF)),
    (TOY, "blackhole 3s direction to_client", Discard("to_client", 3.0)),
    (TOY, "slow_close 2s", CloseHold("both", 2.0)),
    (TOY, "slow_close 2s direction to_upstream", CloseHold("to_upstream", 2.0)),
    (TOY, "duplicate", Repeat(65536)),
    (TOY, "max_age 60s", Age(60.0, "close", True)),
    (TOY, "max_age 60s then=silent boundary=no", Age(60.0, "silent", False)),
    (PLAIN, "max_age 60s", Age(60.0, "close", False)),
    (TOY, "idle_kill 60s", Idle(60.0, "close")),
    (TOY, "idle_kill 60s then=silent", Idle(60.0, "silent")),
]


@pytest.mark.parametrize(("protocol", "text", "expected"), ACTS)
def test_what_a_kind_wants(protocol: Any, text: str, expected: Any) -> None:
    found = spec(text, protocol)
    assert act(found) == expected


UDP_ONLY = ("reorder",)


@pytest.mark.parametrize("name", sorted(kinds()))
def test_every_kind_describes_itself(name: str) -> None:
    kind = kinds()[name]
    assert kind.name == name
    assert kind.summary.endswith(".")
    assert "\n" not in kind.summary
    assert kind.faithful.endswith(".")
    assert len(kind.faithful) > 60
    protocol = protocols()[kind.protocols[0]] if kind.protocols else TOY
    if name in UDP_ONLY:
        protocol = protocols()["udp"]
    table = kind.table(protocol)
    assert table is not None
    assert not set(table) & set(CLAUSES)
    assert all(option.help for option in table.values())
    assert any(name in tables(one) for one in (protocol, QUIET, PLAIN))


# ---- drawn times


@pytest.mark.parametrize(
    "written",
    [
        "1s..3s",
        "normal(2s, 1s)",
        "exponential(2s)",
        "pareto(100ms, 1.5)",
        "lognormal(400ms, 2s)",
        "one_of(1s, 2s, 3s)",
        "percentiles(p50=20ms, p95=180ms, p99=1.2s)",
    ],
)
def test_delays_follow_their_distribution(written: str) -> None:
    found = spec(f"delay {written}")
    drawn = [act(found, n=n).seconds for n in range(4000)]
    again = [act(found, n=n).seconds for n in range(4000)]
    assert drawn == again
    assert min(drawn) >= 0
    mean = sum(drawn) / len(drawn)
    if not written.startswith("pareto"):  # its tail has no variance to go by
        assert mean == pytest.approx(found.options.delay.mean(), rel=0.1)


def test_each_moment_has_a_draw_of_its_own() -> None:
    found = fault(spec("delay 1s..3s at request,reply"))
    strike = found.pick(Subject(), True, set(), False)
    assert strike is not None
    request, reply = strike.acts
    assert (request.moment, reply.moment) == ("request", "reply")
    assert request.seconds != reply.seconds


def test_a_delay_of_bytes_is_drawn_for_each_read() -> None:
    found = act(spec("delay 1s..3s direction to_client", PLAIN))
    assert isinstance(found, StreamHold)
    assert found.direction == "to_client"
    drawn = [found.sample(k) for k in range(1000)]
    assert len(set(drawn)) == 1000
    assert all(1 <= seconds < 3 for seconds in drawn)
    assert sum(drawn) / 1000 == pytest.approx(2, rel=0.05)
    assert drawn == [found.sample(k) for k in range(1000)]


def test_a_hang_of_bytes_never_ends() -> None:
    found = act(spec("hang", PLAIN))
    assert isinstance(found, StreamHold)
    assert (found.direction, found.sample(0), found.sample(9)) == ("both", INF, INF)


def test_ages_are_drawn_for_each_connection() -> None:
    found = spec("max_age 50s..60s")
    ages = {act(found, n=n).seconds for n in range(20)}
    assert len(ages) == 20
    assert all(50 <= age < 60 for age in ages)


# ---- errors and other replies


def test_an_error_is_what_the_protocol_says() -> None:
    made = act(spec('error(deadlock, text="too busy", retry_after=2s)'))
    assert isinstance(made, Reply)
    assert (made.moment, made.repairs) == ("request", True)
    answer = made.make(Subject())
    assert answer is not None
    assert answer.reply == b"-1213 too busy {'retry_after': 2.0}"
    plain = act(spec("error 1213 at reply"))
    assert plain.moment == "reply"
    assert plain.make(Subject()).reply == b"-1213 Deadlock found {}"


def test_an_error_at_connect_turns_the_client_away() -> None:
    made = act(spec("error too_many"))
    assert isinstance(made, Refuse)
    assert made.then == "close"
    assert made.call is not None
    assert made.call.spec.name == "too_many"


def test_a_reply_in_the_middle_ends_with_an_error() -> None:
    made = act(spec("truncate(rows=3, error=late)"))
    assert (made.after, made.unit, made.then) == (3, "parts", "error")
    assert made.call.spec.name == "late"


def test_replace_and_empty_and_what_they_cannot_say() -> None:
    replaced, empty = act(spec("replace(value=x)")), act(spec("empty at request"))
    assert replaced.moment == "reply"
    assert empty.moment == "request"
    assert replaced.make(Subject("GET")).reply == b"x"
    assert empty.make(Subject("GET")).reply == b"nil"
    assert replaced.make(Subject("SET")) is None
    assert empty.make(Subject("SET")) is None


# ---- stale


def ended(found: Any, state: Any, at: float, reply: bytes, **more: Any) -> None:
    x = Subject(began=at, **more)
    x.ended = at
    found.kind.finished(found.options, x, None, reply, state)


def test_stale_without_an_age_keeps_the_first_reply() -> None:
    found = spec("stale")
    state = found.kind.state(found.options)
    assert act(found, state=state) == "nothing"
    ended(found, state, 1.0, b"one")
    ended(found, state, 2.0, b"two")
    made = act(found, Subject(began=2.0), state=state)
    assert made.make(Subject()).reply == b"re:one"
    assert act(found, Subject(key="other"), state=state) == "nothing"
    assert act(found, Subject("WRITE"), state=state) == "nothing"


def test_stale_with_an_age_says_what_was_true_then() -> None:
    found = spec("stale 2s")
    state = found.kind.state(found.options)

    def at(now: float) -> Any:
        made = act(found, Subject(began=now), state=state)
        return made if isinstance(made, str) else made.make(Subject()).reply

    ended(found, state, 1.0, b"one")
    ended(found, state, 2.0, b"two")
    assert at(2.9) == "nothing"
    ended(found, state, 2.95, b"two")
    assert at(3.0) == b"re:one"
    assert at(4.0) == b"re:two"
    ended(found, state, 4.0, b"three")
    assert at(5.9) == b"re:two"
    assert at(6.0) == b"re:three"


def test_errors_and_unfinished_replies_are_not_kept() -> None:
    found = spec("stale")
    state = found.kind.state(found.options)
    x = Subject()
    found.kind.finished(found.options, x, None, None, state)
    found.kind.finished(found.options, x, None, b"", state)
    assert x.reply_head is not None
    x.reply_head.command = "ERR"
    found.kind.finished(found.options, x, None, b"bad", state)
    x.reply_head = SimpleNamespace(  # type: ignore[assignment]
        command="503", value=lambda name: 503 if name == "status" else None
    )
    found.kind.finished(found.options, x, None, b"bad", state)
    x.reply_head = SimpleNamespace(  # type: ignore[assignment]
        command="SIMPLE", value=lambda name: "WRONGTYPE" if name == "error" else None
    )
    found.kind.finished(found.options, x, None, b"bad", state)
    assert act(found, Subject(), state=state) == "nothing"


def test_only_so_many_replies_are_kept() -> None:
    kept = Kept(None)
    for number in range(KEPT_REPLIES + 10):
        kept.put(number, 0.0, b"x")
        kept.put(0, 0.0, b"y")  # asked for again and again
    assert kept.count == KEPT_REPLIES == sum(map(len, kept.replies.values()))
    assert kept.get(0, 1.0) == b"x"
    assert kept.get(1, 1.0) is None
    aged = Kept(5.0)
    for number in range(1000):
        aged.put("one", number * 0.001, b"%d" % number)
    assert aged.count == KEPT_REPLIES
    for number in range(10):
        aged.put("one", 100.0 + number, b"%d" % number)
    assert aged.count < 10  # what is older than the newest old one went


# ---- limits


def test_rate_limit_is_exact_over_time() -> None:
    found = spec("rate_limit(10/s, burst=1, error=deadlock)")
    state = found.kind.state(found.options)
    passed = []
    for tick in range(10_000):  # 1,000 requests per second for 10 seconds
        now = tick / 1000
        if act(found, Subject(began=now), state=state) == "under":
            passed.append(now)
    assert len(passed) == 100
    assert passed == pytest.approx([number / 10 for number in range(100)], abs=1.1e-3)


def test_rate_limit_allows_a_burst_of_a_second_unless_told_otherwise() -> None:
    found = spec("rate_limit(10/s, error=deadlock)")
    state = found.kind.state(found.options)
    at_once = [act(found, Subject(began=5.0), state=state) for _ in range(12)]
    assert at_once[:10] == ["under"] * 10
    assert all(isinstance(made, Reply) for made in at_once[10:])
    assert at_once[10].make(Subject()).reply.startswith(b"-1213")


def test_requests_wait_for_their_token_in_turn() -> None:
    found = spec("rate_limit(10/s, burst=1)")
    state = found.kind.state(found.options)
    made = [act(found, Subject(began=0.0), state=state) for _ in range(4)]
    assert made[0] == "under"
    assert [one.seconds for one in made[1:]] == pytest.approx([0.1, 0.2, 0.3])
    assert act(found, Subject(began=0.25), state=state).seconds == pytest.approx(0.15)


@pytest.mark.parametrize("mode", ["close", "reset"])
def test_rate_limit_may_end_connections(mode: str) -> None:
    found = spec(f"rate_limit(1/s, mode={mode})")
    state = found.kind.state(found.options)
    assert act(found, state=state) == "under"
    assert act(found, state=state) == End("request", mode)  # type: ignore[arg-type]


class Served:
    """Exchanges under one concurrency fault, as a gate would run them."""

    def __init__(self, text: str) -> None:
        self.fault = fault(spec(text))
        self.spec: Any = self.fault.spec
        self.slots = self.fault.state[id(self.spec)]

    def begin(self) -> Subject:
        x = Subject()
        strike = self.fault.pick(x, True, set(), False)
        if strike is not None:
            x.strikes.append(strike)
            if isinstance(strike.acts[0], Hold):
                strike.fire()
        return x

    def end(self, x: Subject) -> None:
        x.finished = True
        for strike in x.strikes:
            strike.done()
        self.spec.kind.finished(self.spec.options, x, None, None, self.slots)

    def held(self, x: Subject) -> bool:
        return any(strike.state == "fired" for strike in x.strikes)


def test_concurrency_starts_the_next_in_line() -> None:
    served = Served("concurrency 2")
    a, b, c, d = (served.begin() for _ in range(4))
    assert [served.held(x) for x in (a, b, c, d)] == [False, False, True, True]
    served.end(b)
    assert [served.held(x) for x in (c, d)] == [False, True]
    assert c.connection.pumped == 1
    e = served.begin()
    assert served.held(e), "who comes later waits behind who waits already"
    served.end(a)
    assert [served.held(x) for x in (d, e)] == [False, True]
    for x in (c, d, e):
        served.end(x)
    assert not served.slots.running
    assert not served.slots.waiting
    assert served.fault.matched == 5 == served.fault.fired + served.fault.skipped["under"]
    assert served.fault.fired == 3


def test_who_gives_up_waiting_takes_no_slot() -> None:
    served = Served("concurrency 1")
    a, b, c = (served.begin() for _ in range(3))
    served.end(b)
    assert served.held(c)
    served.end(a)
    assert not served.held(c)
    assert served.slots.running == {c}


def test_slots_of_exchanges_that_ended_unheard_of_come_back() -> None:
    served = Served("concurrency 1")
    served.begin().finished = True
    assert not served.held(served.begin())


def test_who_was_let_go_by_other_means_counts_as_running() -> None:
    served = Served("concurrency 1")
    a, b, c = (served.begin() for _ in range(3))
    b.strikes[0].done("removed")
    served.end(a)
    assert b in served.slots.running
    assert served.held(c)


def test_a_queue_has_an_end() -> None:
    served = Served("concurrency(1, error=deadlock, queue=1)")
    served.begin()
    waits, away = served.begin(), served.begin()
    assert served.held(waits)
    assert isinstance(away.strikes[0].acts[0], Reply)


# ---- connections


def gate_of(*connections: Connection) -> SimpleNamespace:
    gate = SimpleNamespace(connections=dict(enumerate(connections)))
    for connection in connections:
        connection.gate = gate
    return gate


def test_max_connections_counts_those_that_live() -> None:
    found = spec("max_connections 2")
    old, gone, away, new = (Connection() for _ in range(4))
    gate_of(old, gone, away, new)
    gone.ended_by = "somebody"
    away.turned_away = True
    assert act(found, new) == "under"
    gone.ended_by = ""
    made = act(found, new)
    assert isinstance(made, Refuse)
    assert (made.then, made.call and made.call.spec.name) == ("close", "too_many")


def test_max_connections_counts_those_that_match() -> None:
    found = spec("max_connections 1 match client=10.0.0.0/8")
    other, new = Connection(client="192.168.0.1"), Connection()
    gate_of(other, new)
    assert act(found, new) == "under"
    other.client = "10.9.9.9"
    assert isinstance(act(found, new), Refuse)


@pytest.mark.parametrize(
    ("protocol", "text", "then", "error"),
    [
        (TOY, "max_connections 0", "close", "too_many"),
        (TOY, "max_connections 0 error=deadlock", "close", "deadlock"),
        (TOY, "max_connections 0 error=too_many then=reset", "reset", "too_many"),
        (TOY, "max_connections 0 then=reset", "reset", None),
        (QUIET, "max_connections 0", "reset", None),
        (PLAIN, "max_connections 0 then=hang", "hang", None),
    ],
)
def test_how_max_connections_turns_away(
    protocol: Any, text: str, then: str, error: str | None
) -> None:
    connection = Connection(protocol=protocol)
    gate_of(connection)
    made = act(spec(text, protocol), connection)
    assert (made.then, made.call and made.call.spec.name) == (then, error)


def test_kinds_on_bytes_say_their_direction() -> None:
    for text in ("throttle 1KB/s", "slice 10B", "trickle 1s", "limit 1KB", "corrupt 1%"):
        for direction in ("to_client", "to_upstream", "both"):
            made = act(spec(f"{text} direction {direction}"))
            assert isinstance(made, Pace)
            assert made.direction == direction
            assert made.make() is not made.make()


def test_lanes_are_pure() -> None:
    assert lanes(n=3)(1) == lanes(n=3)(1) != lanes(n=4)(1)
