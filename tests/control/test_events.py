"""Events in memory: what is told, in which order, to whom; and what happens to slow readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from asking import Asker
from listening import Listener

from rascal.control import _hub as hubs
from rascal.control import _reader as readers


@pytest.fixture
def site(node: Any) -> Any:
    from rascal.control._site import make_site

    return make_site(node, reactor=node.reactor)


@pytest.fixture
def ask(site: Any) -> Asker:
    return Asker(site)


@pytest.fixture
def listen(site: Any, node: Any) -> Iterator[Callable[..., Listener]]:
    """Begins to read; everybody leaves at the end."""
    found: list[Listener] = []

    def begin(query: str = "", **more: Any) -> Listener:
        found.append(Listener(site, query, **more))
        return found[-1]

    yield begin
    for call in node.at_stop:
        call()


@pytest.fixture
def wait(node: Any) -> Callable[[float], None]:
    """Let time go by, in steps."""

    def advance(seconds: float = 0.2) -> None:
        while seconds > 0:
            node.reactor.advance(min(0.1, seconds))
            seconds -= 0.1

    return advance


def kinds(events: list[Any]) -> list[str]:
    """Their types, without the ticks."""
    return [event.kind for event in events if event.kind != "counters"]


def strike(node: Any, n: int, proxy: str = "cache", fault: str = "slow") -> Any:
    """A strike as the data path tells of it."""
    connection = SimpleNamespace(number=7)
    connection.connection = connection
    subject = SimpleNamespace(connection=connection, n=3, head=SimpleNamespace(command="GET"))
    found = node.proxies[proxy].gate.faults[fault]
    found.matched, found.fired = n + 1, n + 1
    return SimpleNamespace(fault=found, n=n, subject=subject, spec=found.spec)


def connection(node: Any, number: int, ended_by: str = "") -> Any:
    """A connection as the data path tells of it."""
    return SimpleNamespace(
        number=number,
        client_address="127.0.0.1",
        client=SimpleNamespace(taken=10),
        upstream=SimpleNamespace(taken=20),
        clock=node.clock,
        began=node.clock.now() - 1.5,
        ended_by=ended_by,
    )


# ---- what is told


def test_a_reader_begins_with_how_things_are(listen: Any, node: Any) -> None:
    listener = listen()
    (first,) = listener.read()
    assert listener.status == 200
    assert b"text/event-stream" in listener.head
    assert b"no-store" in listener.head
    assert first.kind == "snapshot"
    assert first.id == f"{node.boot}-0"
    assert list(first.data["proxies"]) == ["cache", "plain"]
    assert first.data["lever"] == {"on": False, "by": "", "since": None}
    slow = first.data["proxies"]["cache"]["faults"]["slow"]
    assert slow == {
        "form": "fault",
        "text": "delay(2s) match command=GET name slow",
        "enabled": True,
        "armed": True,
        "matched": 0,
        "fired": 0,
        "waiting": 0,
    }


def test_changes_of_faults_are_told_with_their_state(
    listen: Any, ask: Any, wait: Any, node: Any
) -> None:
    listener = listen("types=faults")
    assert listener.read() == []
    faults = "/api/v1/proxies/cache/faults"
    assert ask("POST", faults, "hang match key^=x for 30s").status == 201
    assert ask("PATCH", f"{faults}/hang", {"enabled": False}).status == 200
    assert ask("PATCH", f"{faults}/hang", {"enabled": True}).status == 200
    assert ask("POST", f"{faults}/hang/restart", {}).status == 200
    wait()
    assert ask("PATCH", f"{faults}/hang", {"count": 3}).status == 200
    wait()
    node.proxies["cache"].gate._expired(node.proxies["cache"].gate.faults["hang"])
    assert ask("DELETE", f"{faults}/hang").status == 200
    wait()
    told = listener.read()
    changes = ["added", "disabled", "enabled", "restarted", "changed", "expired", "removed"]
    assert [one.data["change"] for one in told] == changes
    assert {one.kind for one in told} == {"faults"}
    assert {(one.data["proxy"], one.data["name"]) for one in told} == {("cache", "hang")}
    assert [one.data["state"]["armed"] for one in told[:5]] == [True] * 5
    assert not told[-1].data["state"]["armed"]
    assert told[4].data["state"]["text"] == "hang match key^=x count 3 for 30s"
    ids = [int(one.id.rpartition("-")[2]) for one in told]
    assert ids == sorted(set(ids))


def test_a_removed_fault_is_told_with_what_it_has_counted(
    listen: Any, ask: Any, wait: Any, node: Any
) -> None:
    listener = listen("types=faults")
    fault = node.proxies["cache"].gate.faults["slow"]
    fault.matched = fault.fired = 5
    ask("DELETE", "/api/v1/proxies/cache/faults/slow")
    wait()
    (told,) = listener.read()
    assert (told.data["change"], told.data["state"]["fired"]) == ("removed", 5)
    assert told.data["state"]["structure"]["name"] == "slow"


def test_the_lever_the_seed_and_proxies_are_told(listen: Any, ask: Any, wait: Any) -> None:
    listener = listen()
    listener.read()
    ask("PUT", "/api/v1/seed", {"seed": 9})
    ask("PATCH", "/api/v1/proxies/plain", {"enabled": False})
    new = {"name": "new", "protocol": "tcp", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:7009"}
    assert ask("POST", "/api/v1/proxies", new).status == 201
    ask("DELETE", "/api/v1/proxies/new")
    ask("POST", "/api/v1/reload", {})
    ask("PUT", "/api/v1/panic", {"on": True, "by": "somebody"})
    wait()
    told = [one for one in listener.read() if one.kind not in ("counters", "faults")]
    assert [one.kind for one in told] == ["seed", "proxy", "proxy", "proxy", "reload", "lever"]
    assert told[0].data == {"seed": 9}
    assert [one.data["proxy"] for one in told[1:4]] == ["plain", "new", "new"]
    assert [one.data["change"] for one in told[1:4]] == ["changed", "added", "removed"]
    assert told[1].data["state"]["enabled"] is False
    assert "summary" in told[4].data
    assert (told[5].data["on"], told[5].data["by"]) == (True, "somebody")


def test_strikes_of_one_moment_are_one_event(listen: Any, wait: Any, node: Any) -> None:
    listener = listen("types=fired")
    for n in range(50):
        node.proxies["cache"].gate.tell("fault-fired", strike(node, n))
    wait()
    (told,) = listener.read()
    data = told.data
    assert (data["proxy"], data["fault"], data["count"]) == ("cache", "slow", 50)
    assert (data["matched"], data["fired"], data["waiting"]) == (50, 50, 0)
    assert len(data["strikes"]) == 20
    assert data["strikes"][0] == {
        "match": 0,
        "kind": "delay",
        "connection": 7,
        "n": 3,
        "command": "GET",
    }
    node.proxies["cache"].gate.tell("fault-fired", strike(node, 50))
    wait()
    (told,) = listener.read()
    assert (told.data["count"], told.data["fired"]) == (1, 51)


def test_a_fault_on_the_listener_fires_when_it_takes_effect(
    listen: Any, ask: Any, wait: Any
) -> None:
    listener = listen("types=fired")
    ask("POST", "/api/v1/proxies/plain/faults", "refuse")
    wait()
    (told,) = listener.read()
    assert (told.data["fault"], told.data["count"], told.data["strikes"]) == ("refuse", 1, [])


def test_steps_of_a_script_are_told(listen: Any, wait: Any, node: Any) -> None:
    listener = listen("types=step")
    fault = node.proxies["cache"].gate.faults["steps"]
    fault._step(0)
    wait()
    fault._step(1)
    fault.step_is(2, "void (gone)")
    wait()
    first, second = listener.read()
    assert first.data["steps"] == [{"n": 1, "state": "used"}]
    assert second.data["steps"] == [{"n": 2, "state": "used"}, {"n": 3, "state": "void (gone)"}]
    assert (second.data["proxy"], second.data["script"]) == ("cache", "steps")
    assert (second.data["reached"], second.data["of"], second.data["more"]) == (3, 3, 0)


def test_connections_are_told_and_in_a_rush_counted(listen: Any, wait: Any, node: Any) -> None:
    listener = listen("types=connection")
    gate = node.proxies["cache"].gate
    gate.tell("connection-opened", connection(node, 1))
    gate.tell("connection-failed", (connection(node, 1), "refused", "no way"))
    gate.tell("connection-desync", (connection(node, 1), "not a command"))
    gate.tell("connection-closed", connection(node, 1, "refused"))
    wait()
    (told,) = listener.read()
    opened, failed, desync, closed = told.data["connections"]
    assert (opened["change"], opened["number"], opened["client"]) == ("opened", 1, "127.0.0.1")
    assert (failed["change"], failed["how"], failed["detail"]) == ("failed", "refused", "no way")
    assert (desync["change"], desync["detail"]) == ("desync", "not a command")
    assert (closed["change"], closed["ended_by"]) == ("closed", "refused")
    assert (closed["to_upstream"], closed["to_client"]) == (10, 20)
    assert 1.4 < closed["seconds"] < 10
    for n in range(100):
        gate.tell("connection-opened", connection(node, n))
    wait()
    (told,) = listener.read()
    assert len(told.data["connections"]) == 20
    assert told.data["more"] == {"opened": 80}


def test_counters_are_told_once_a_second_if_they_have_changed(
    listen: Any, wait: Any, node: Any
) -> None:
    listener = listen()
    listener.read()
    wait(1.1)
    (told,) = listener.read()
    assert (told.kind, told.data["proxies"], told.data["held"]) == ("counters", {}, 0)
    node.proxies["cache"].gate.counts.connections += 2
    strike(node, 4)
    wait(1.0)
    (told,) = listener.read()
    assert told.id == f"{node.boot}-0"
    assert list(told.data["proxies"]) == ["cache"]
    cache = told.data["proxies"]["cache"]
    assert (cache["connections"], cache["faults"]) == (2, {"slow": [5, 5, 0]})


# ---- exchanges


def record(node: Any, proxy: str, n: int) -> None:
    """An exchange is over."""
    from rascal.wire.types import Head

    owner = node.proxies[proxy]
    exchange = SimpleNamespace(
        connection=SimpleNamespace(number=1, client_address="127.0.0.1"),
        protocol=owner.spec.protocol,
        n=n,
        head=Head("GET"),
        reply_head=None,
        began=1.0,
        ended=1.5,
        outcome="ok",
        struck=[],
        reply_size=5,
        size=10,
    )
    owner.recent.finished(exchange)


def test_exchanges_are_watched_as_long_as_somebody_wants_them(
    listen: Any, wait: Any, node: Any
) -> None:
    gate, other = node.proxies["cache"].gate, node.proxies["plain"].gate
    record(node, "cache", 1)
    plain = listen()
    assert not gate.watching
    listener = listen("types=exchanges&proxy=cache")
    assert gate.watching
    assert not other.watching
    record(node, "cache", 2)
    record(node, "cache", 3)
    wait()
    (told,) = listener.read()
    assert [one["n"] for one in told.data["exchanges"]] == [2, 3]
    assert told.data["more"] == 0
    assert "exchanges" not in kinds(plain.read())
    hub = _hub(node)
    hub._flushed = node.clock.now()
    for n in range(500):
        record(node, "cache", n)
    wait()
    (told,) = listener.read()
    count = len(told.data["exchanges"])
    assert 100 <= count < 500  # more if the flush was late
    assert [one["n"] for one in told.data["exchanges"]] == list(range(500 - count, 500))
    assert told.data["more"] == 500 - count
    gate.watch_until = node.clock.now() + 0.5  # its time is renewed
    wait(1.1)
    assert gate.watch_until > node.clock.now() + 1.5
    listener.leave()
    wait(1.1)
    gate.watch_until = node.clock.now() + 0.5
    wait(3.0)
    assert gate.watch_until < node.clock.now() + 1.0


# ---- filters


def test_readers_get_what_they_ask_for(listen: Any, ask: Any, wait: Any, node: Any) -> None:
    cache, both = listen("types=proxy,faults&proxy=cache"), listen("types=faults&proxy=cache,plain")
    nothing = listen("types=lever")
    ask("POST", "/api/v1/proxies/plain/faults", "slow_close(1s)")
    ask("PATCH", "/api/v1/proxies/plain", {"enabled": False})
    ask("POST", "/api/v1/proxies/cache/faults", "hang")
    wait(1.2)
    assert [one.data["proxy"] for one in cache.read()] == ["cache"]
    assert [one.data["proxy"] for one in both.read()] == ["plain", "cache"]
    assert nothing.read() == []
    (first, *_) = listen("proxy=plain").read()
    assert list(first.data["proxies"]) == ["plain"]


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("types=fierd", 422, "Did you mean 'fired'"),
        ("types=fired,", 200, ""),
        ("proxy=cach", 404, "cache"),
        ("kinds=fired", 422, "types, proxy, after"),
        ("types=fired&types=step", 422, "twice"),
    ],
)
def test_what_there_is_not_is_told(listen: Any, query: str, status: int, words: str) -> None:
    listener = listen(query)
    body = listener.body
    assert int(listener.head.split()[1]) == status
    assert words.encode() in body


def test_a_head_request_is_answered_at_once(ask: Any, node: Any) -> None:
    found = ask("HEAD", "/api/v1/events")
    assert (found.status, found.body) == (200, b"")
    assert node.proxies["cache"].gate.on_event is None


# ---- coming back


def test_who_comes_back_gets_what_was_missed(listen: Any, ask: Any, wait: Any) -> None:
    first = listen("types=faults,snapshot")
    first.read()
    ask("POST", "/api/v1/proxies/cache/faults", "hang")
    wait()
    (seen,) = first.read()
    first.leave()
    ask("DELETE", "/api/v1/proxies/cache/faults/hang")
    ask("POST", "/api/v1/proxies/cache/faults", "empty")
    wait()
    for how in ({"last": seen.id}, {"query": f"types=faults,snapshot&after={seen.id}"}):
        again = listen(**{"query": "types=faults,snapshot", **how})
        missed = again.read()
        assert [one.data["change"] for one in missed] == ["removed", "added"]
        assert [one.data["name"] for one in missed] == ["hang", "empty"]


@pytest.mark.parametrize("last", ["deadbeef-3", "{boot}-99", "nonsense", "{boot}--1", "{boot}-x"])
def test_who_was_elsewhere_begins_anew(listen: Any, node: Any, last: str) -> None:
    events = listen(last=last.format(boot=node.boot)).read()
    assert kinds(events) == ["snapshot"]


def test_what_fell_out_of_the_ring_is_a_gap(
    listen: Any, ask: Any, wait: Any, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen()
    listener.read()
    hub = _hub(node)
    hub.ring._count = 10
    ask("PUT", "/api/v1/seed", {"seed": 1})
    wait()
    (seen,) = [one for one in listener.read() if one.kind == "seed"]
    listener.leave()
    for n in range(12):
        ask("PUT", "/api/v1/seed", {"seed": n})
    wait()
    assert len(hub.ring) == 10
    gap, snapshot = listen(last=seen.id).read()
    assert (gap.kind, gap.data) == ("gap", {"after": seen.id, "to": gap.id})
    assert (snapshot.kind, snapshot.id) == ("snapshot", gap.id)
    assert snapshot.data["seed"] == 11
    (only,) = listen("types=seed", last=seen.id).read()
    assert only.kind == "gap"


def test_the_ring_is_bounded_in_bytes(node: Any) -> None:
    from rascal.control._ring import Ring

    ring = Ring("e", count=100, size=1000)
    for n in range(50):
        ring.add("seed", None, {"x": "y" * 100, "n": n})
    assert sum(len(one.data) for one in ring._entries) <= 1000
    assert ring.since(ring.last - 2) == list(ring._entries)[-2:]
    assert ring.since(1) is None
    assert ring.since(ring.last) == []


def _hub(node: Any) -> Any:
    (close,) = node.at_stop
    return close.__self__


# ---- nobody listens, or too many


def test_nothing_is_told_while_nobody_listens(listen: Any, ask: Any, wait: Any, node: Any) -> None:
    gates = [proxy.gate for proxy in node.proxies.values()]
    assert all(gate.on_event is None for gate in gates)
    assert not node.reactor.getDelayedCalls()
    listener = listen()
    assert all(gate.on_event is not None for gate in gates)
    (seen,) = listener.read()
    new = {"name": "new", "protocol": "tcp", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:7009"}
    ask("POST", "/api/v1/proxies", new)
    assert node.proxies["new"].gate.on_event is not None
    ask("PATCH", "/api/v1/proxies/new", {"protocol": "redis"})
    assert node.proxies["new"].gate.on_event is not None
    listener.leave()
    wait(hubs.LINGER - 2)
    assert all(gate.on_event is not None for gate in gates)
    wait(4)
    gates = [proxy.gate for proxy in node.proxies.values()]
    assert all(gate.on_event is None for gate in gates)
    ask("PUT", "/api/v1/seed", {"seed": 5})
    assert kinds(listen(last=seen.id).read()) == ["gap", "snapshot"]


def test_no_more_readers_than_there_is_room_for(
    listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "READERS", 3)
    some = [listen() for _ in range(3)]
    late = listen()
    body = late.body
    assert late.head.split()[1] == b"503"
    assert b"Retry-After: 5" in late.head
    assert b"no more than 3 readers" in body
    some[0].leave()
    assert listen().status == 200


def test_the_end_of_the_node_is_the_end_of_the_stream(listen: Any, node: Any, ask: Any) -> None:
    listener = listen()
    for call in node.at_stop:
        call()
    assert listener.transport.disconnecting
    assert not node.reactor.getDelayedCalls()
    assert listen().status == 503


# ---- slow readers


def test_a_reader_that_is_full_gets_the_rest_when_it_has_room(
    listen: Any, ask: Any, wait: Any, node: Any
) -> None:
    slow, quick = listen("types=seed", room=0), listen("types=seed")
    slow.read()
    for n in range(20):
        ask("PUT", "/api/v1/seed", {"seed": n})
        wait()
    assert len(quick.read()) == 20
    assert slow.read() == []
    slow.room = 1 << 30
    slow.resume()
    assert [one.data["seed"] for one in slow.read()] == list(range(20))
    ask("PUT", "/api/v1/seed", {"seed": 20})
    wait()
    assert [one.data["seed"] for one in slow.read()] == [20]


def test_a_reader_that_catches_up_is_not_given_all_at_once(
    listen: Any, ask: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "PIECE", 300)
    slow = listen("types=seed", room=0)
    slow.read()
    for n in range(50):
        ask("PUT", "/api/v1/seed", {"seed": n})
        wait()
    got: list[int] = []
    while len(got) < 50:
        slow.resume()
        new = slow.read()
        assert 0 < len(new) <= 10
        got += [one.data["seed"] for one in new]
    assert got == list(range(50))


def test_a_reader_that_never_reads_costs_nothing_and_is_let_go(
    listen: Any, ask: Any, wait: Any, node: Any
) -> None:
    never = listen(room=0)
    size = len(never.transport.value())
    for n in range(200):
        ask("PUT", "/api/v1/seed", {"seed": n})
        wait()
    assert len(never.transport.value()) == size
    wait(readers.STALLED + 1)
    assert never.transport.disconnecting
    assert not _hub(node).readers


def test_a_storm_is_told_as_a_gap(listen: Any, wait: Any, node: Any) -> None:
    listener = listen()
    listener.read()
    for n in range(5000):
        node._heard(None, "seed", n)
    assert len(_hub(node)._happenings._later) <= 2000
    wait()
    assert kinds(listener.read()) == ["gap", "snapshot"]
    node._heard(None, "seed", 1)
    wait()
    assert kinds(listener.read()) == ["seed"]


def test_a_quiet_reader_gets_signs_of_life_and_where_it_is(
    listen: Any, ask: Any, wait: Any, node: Any
) -> None:
    listener = listen("types=lever")
    listener.read()
    ask("PUT", "/api/v1/seed", {"seed": 1})
    wait(readers.QUIET + 1)
    assert listener.read() == []
    assert listener.reader.last == f"{node.boot}-1"


def test_a_mistake_in_one_event_does_not_end_the_others(
    listen: Any, ask: Any, wait: Any, node: Any, logged_failures: Any
) -> None:
    listener = listen()
    listener.read()
    node._heard(None, "panic", object())
    wait()
    assert logged_failures.flush(AttributeError)
    listener.read()
    ask("PUT", "/api/v1/seed", {"seed": 1})
    wait()
    assert "seed" in kinds(listener.read())
