"""What pymemcache sees of every catalogue error and every kind, in front of a real memcached."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Case, Sight, check, identity, look, usable
from memcached_place import BIG, SHORT, Place, by_fresh, cleared, started
from memcached_server import MEMCACHED
from pymemcache import exceptions
from pymemcache.client.base import PooledClient
from pymemcache.client.hash import HashClient

from rascal.control.client import Refused
from rascal.faults.build import tables
from rascal.wire.memcached import PROTOCOL
from rascal.wire.memcached_errors import ERRORS

pytestmark = pytest.mark.skipif(not MEMCACHED, reason="memcached is not installed")
SEEN = ("memcached", "pymemcache")


@pytest.fixture(scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with started(tmp_path_factory.mktemp("memcached")) as place:
        yield place


@pytest.fixture
def place(_place: Place) -> Iterator[Place]:
    with cleared(_place):
        yield _place


def get(client: Any) -> Any:
    return client.get("a")


def put(client: Any) -> Any:
    return client.set("a", "new")


def many(client: Any) -> Any:
    return client.get_many(["a", "b", "c", "none"])


def big(client: Any) -> Any:
    return client.get("big")


THREE = {"a": b"1", "b": b"2", "c": b"3"}

# ---- catalogue errors ----------------------------------------------------------------------------

SERVER, CLIENT = exceptions.MemcacheServerError, exceptions.MemcacheClientError
UNKNOWN = exceptions.MemcacheUnknownCommandError


def error(
    name: str,
    does: Callable[[Any], Any],
    sees: Any,
    text: str = "",
    options: str = "",
    match: str = "",
    after: str = "yes",
    keeps: bytes | None = b"1",
) -> Case:
    """`keeps`: what `a` is afterwards; who refuses a value for its size removes the old one."""
    sentence = f"error({name}{options})" + (f" match {match}" if match else "")

    def proves(client: Any) -> None:
        assert client.get("a") == keeps

    return Case(name, sentence, does, sees, text, after, proves=proves)


# pymemcache drops its connection itself after every error; the server would have kept it, which
# test_errors_leave_the_connection_as_a_server_does sees by a socket of its own.
ERROR_CASES = [
    error("out_of_memory", put, SERVER, "out of memory storing object", after="anew", keeps=None),
    error("too_large", put, SERVER, "object too large for cache", after="anew", keeps=None),
    error("out_of_memory_reading", get, SERVER, "out of memory writing get resp", after="anew"),
    error("backend_failure", get, SERVER, "backend failure", after="anew"),
    error("temporary_failure", get, SERVER, "temporary failure", after="anew"),
    error("not_stored", lambda c: c.add("z", "1"), False),
    error("exists", lambda c: c.cas("a", "2", b"77"), False),
    error("not_found", lambda c: c.incr("n", 1), None),
    error("pretend_stored", put, True),
    Case(
        "too_many_connections",
        "error(too_many_connections)",
        by_fresh(get),
        UNKNOWN,
    ),
    error("unauthenticated", get, CLIENT, "unauthenticated", after="anew"),
    error(
        "authentication_failure",
        put,
        CLIENT,
        "authentication failure",
        match="command=SET",
        after="anew",
    ),
    error("unknown_command", lambda c: c.touch("a", 5), UNKNOWN, "touch", after="anew"),
    error("non_numeric", lambda c: c.incr("n", 1), CLIENT, "increment or decrement", after="anew"),
    error("invalid_delta", lambda c: c.decr("n", 1), CLIENT, "invalid numeric", after="anew"),
    error("bad_line", get, CLIENT, "bad command line format", after="anew"),
    error("bad_data_chunk", put, CLIENT, "bad data chunk", after="anew"),
    error(
        "flush_not_allowed", lambda c: c.flush_all(), CLIENT, "flush_all not allowed", after="anew"
    ),
    error("SERVER_ERROR", get, SERVER, "^b'on fire'$", ", text='on fire'", after="anew"),
    error("CLIENT_ERROR", get, CLIENT, "^b'not today'$", ", text='not today'", after="anew"),
]


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_errors(case: Case, place: Place, seen: Callable[..., None]) -> None:
    check(case, place.node, "cache", place.client(), seen)


def test_every_error_of_the_catalogue_is_here() -> None:
    assert [case.name for case in ERROR_CASES] == list(ERRORS)


LINES = {"CAS": b"cas a 0 0 1 7\r\nx\r\n", "INCR": b"incr n 1\r\n", "DECR": b"decr n 1\r\n"}
LINES |= {"FLUSH_ALL": b"flush_all\r\n", "AUTH": b"set a 0 0 1\r\nx\r\n"}
LINES |= dict.fromkeys(("ADD", "APPEND", "SET", "REPLACE", "PREPEND"), b"%b a 0 0 1\r\nx\r\n")


@pytest.mark.parametrize("name", [n for n in ERRORS if n != "too_many_connections"])
def test_errors_leave_the_connection_as_a_server_does(name: str, place: Place) -> None:
    """pymemcache drops it; the server's end is open, and in step."""
    spec = ERRORS[name]
    command = spec.commands[0] if spec.commands else "GET"
    line = LINES.get(command, b"%b a\r\n").replace(b"%b", command.lower().encode())
    proxy = "locked" if command == "AUTH" else "cache"
    sentence = f"error({name}) match command={command} count 1"
    with place.raw(proxy) as raw, place.node.fault(proxy, sentence):
        raw.says(line, spec.text.encode() + b"\r\n")
        raw.says(b"get b c\r\n", b"VALUE b 0 1\r\n2\r\nVALUE c 0 1\r\n3\r\nEND\r\n")


def test_the_catalogue_in_meta_commands(place: Place) -> None:
    """NS, EX, NF and HD, with the flags that were asked for; errors word for word."""
    said = [
        ("error(not_stored)", b"ms a 1 k ME\r\nx\r\n", b"NS ka\r\n"),
        ("error(exists)", b"ms a 1 k C7 O3\r\nx\r\n", b"EX ka O3\r\n"),
        ("error(not_found)", b"md a O9\r\n", b"NF O9\r\n"),
        ("error(pretend_stored)", b"ms a 1\r\nx\r\n", b"HD\r\n"),
        (
            "error(out_of_memory)",
            b"ms b 1\r\nx\r\n",
            b"SERVER_ERROR out of memory storing object\r\n",
        ),
        ("error(temporary_failure)", b"mg a v\r\n", b"SERVER_ERROR temporary failure\r\n"),
        ("empty", b"mg a v t\r\n", b"EN\r\n"),
        ("empty", b"ma n N60 v\r\n", None),
        ("replace(7)", b"mg a v s k\r\n", b"VA 1 s1 ka\r\n7\r\n"),
        ("replace(7)", b"ma n v\r\n", b"VA 1\r\n7\r\n"),
    ]
    with place.raw() as raw:
        for sentence, line, reply in said:
            command = line[:2].decode().upper()
            fired = 1 if reply is not None else 0
            with place.node.fault("cache", f"{sentence} match command={command}", fired=fired):
                if reply is not None:
                    raw.says(line, reply)
                else:
                    raw.says(line, b"VA 2\r\n11\r\n")
    assert place.direct().get_many(["a", "b", "c", "n"]) == {"a": b"1", "c": b"3", "n": b"12"}


# ---- kinds on messages ---------------------------------------------------------------------------


def took(low: float, high: float = 5.0) -> tuple[float, float]:
    return (low, high)


def has(key: str, value: bytes | None) -> Callable[[Any], None]:
    """The upstream has it; asked through the proxy, whose fault is gone."""

    def proves(client: Any) -> None:
        assert client.get(key) == value

    return proves


def incr(client: Any) -> Any:
    return client.incr("n", 1)


LOST: dict[str, tuple[Any, str]] = {
    "hang": (TimeoutError, "timed out"),
    "close": (exceptions.MemcacheUnexpectedCloseError, ""),
    "reset": (ConnectionResetError, "reset by peer"),
}
DELAYS = [
    ("80ms", 0.08),
    ("60ms..90ms", 0.06),
    ("normal(90ms, 5ms)", 0.05),
    ("exponential(40ms, max=1s)", 0.0),
    ("pareto(60ms, 3)", 0.06),
    ("one_of(50ms, 70ms)", 0.05),
    ("lognormal(60ms, 90ms)", 0.01),
    ("percentiles(min=40ms, p50=60ms, p95=90ms)", 0.04),
]
GET, SET, INCR = "match command=GET", "match command=SET", "match command=INCR"
MESSAGE_CASES = [
    *(Case("delay", f"delay({text}) {GET}", get, b"1", took=took(low)) for text, low in DELAYS),
    Case("delay", "delay(60ms) match key=a at request,reply", get, b"1", took=took(0.12)),
    Case("delay", "delay(60ms) match key=a at reply", get, b"1", took=took(0.06)),
    Case("stall", f"stall(2B) {GET}", get, *LOST["hang"], "anew"),
    Case("stall", "stall(after=4B, hold=80ms) match key=a", get, b"1", took=took(0.08)),
    Case("stall", "stall(items=2, hold=80ms) match keys=4", many, THREE, took=took(0.08)),
    *(
        Case(kind, f"{kind} {SET}{moment}", put, *LOST[kind], "anew", proves=has("a", value))
        for kind in ("reset", "close")
        for moment, value in (("", b"1"), (" at reply", b"new"))
    ),
    Case("reset", f"reset(3B) {GET}", get, *LOST["reset"], "anew"),
    Case("close", f"close(3B) {GET}", get, *LOST["close"], "anew"),
    *(
        Case(
            "lose_request",
            f"lose_request(then={then}) {INCR}",
            incr,
            *LOST[then],
            "anew",
            proves=has("n", b"10"),
        )
        for then in LOST
    ),
    *(
        Case(
            "lose_reply",
            f"lose_reply(then={then}) {INCR} count 1",
            incr,
            *LOST[then],
            "anew",
            proves=has("n", b"11"),
        )
        for then in LOST
    ),
    *(
        Case("truncate", f"truncate(bytes=3B, then={then}) {GET}", get, *LOST[then], "anew")
        for then in LOST
    ),
    *(
        Case("truncate", f"truncate(items=2, then={then}) {GET}", many, *LOST[then], "anew")
        for then in LOST
    ),
    Case("truncate", f"truncate(items=2, then=end) {GET}", many, {"a": b"1", "b": b"2"}),
    Case("truncate", f"truncate(items=0, then=end) {GET}", many, {}),
    Case(
        "truncate",
        f"truncate(items=2, error=temporary_failure) {GET}",
        many,
        SERVER,
        "temporary failure",
        "anew",
    ),
    Case("truncate", f"truncate(items=3) {GET}", many, THREE, fired=0),
    Case("duplicate", f"duplicate {INCR}", incr, 11, proves=has("n", b"12")),
    Case(
        "duplicate",
        "duplicate match command=APPEND",
        lambda c: c.append("a", "x"),
        True,
        proves=has("a", b"1xx"),
    ),
    Case("replace", f"replace(42) {GET}", get, b"42", proves=has("a", b"1")),
    Case(
        "replace",
        f"replace(42) {GET}",
        many,
        {"a": b"42", "b": b"42", "c": b"42", "none": b"42"},
    ),
    Case("replace", f"replace(7) {INCR}", incr, 7, proves=has("n", b"11")),
    Case("replace", f"replace(7) {INCR} at request", incr, 7, proves=has("n", b"10")),
    Case("empty", f"empty {GET}", get, None),
    Case("empty", f"empty {GET}", many, {}),
    Case("empty", f"empty {GET} at request", get, None),
    Case("empty", f"empty {INCR}", incr, None, proves=has("n", b"11")),
    Case("empty", f"empty {INCR} at request", incr, None, proves=has("n", b"10")),
    Case(
        "empty",
        "empty match command=DELETE at request",
        lambda c: c.delete("a"),
        False,
        proves=has("a", b"1"),
    ),
    Case("empty", f"empty {SET}", put, True, fired=0),
    Case(
        "error",
        f"error(temporary_failure) {SET} at reply",
        put,
        SERVER,
        "temporary failure",
        "anew",
        proves=has("a", b"new"),
    ),
]


def impatient(case: Case) -> bool:
    """It waits for what never comes."""
    return case.sees is TimeoutError


@pytest.mark.parametrize("case", MESSAGE_CASES, ids=str)
def test_kinds_on_messages(case: Case, place: Place, seen: Callable[..., None]) -> None:
    client = place.client(timeout=SHORT if impatient(case) else 5)
    check(case, place.node, "cache", client, seen)


def test_hang_until_it_is_removed(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    assert get(client) == b"1"
    before = identity(client)
    for sentence in ("hang match key=a", "hang match key=a at reply", "hang per connection"):
        with ThreadPoolExecutor(1) as pool, place.node.fault("cache", sentence) as hang:
            if "per" not in sentence:
                waiting = pool.submit(look, client.get, "a")
                hang.wait(waiting=1)
            else:
                hang.wait(fired=1)
                waiting = pool.submit(look, client.get, "a")
                with pytest.raises(TimeoutError):
                    waiting.result(SHORT)
            assert not waiting.done()
            hang.remove()
            sight = waiting.result(5)
            sight.got(b"1")
        after = usable(client, before)
        assert after == "yes"
        seen("hang", sentence, sight, after)


def test_hang_that_outlasts_the_client(place: Place, seen: Callable[..., None]) -> None:
    case = Case("hang", f"hang {SET}", put, *LOST["hang"], "anew")
    check(case, place.node, "cache", place.client(timeout=SHORT), seen)
    direct = place.direct()
    place.node.control.wait_until(lambda: direct.get("a") == b"new")


def test_hang_that_closes_on_removal(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    sentence = f"hang {SET} on_remove close"
    with ThreadPoolExecutor(1) as pool, place.node.fault("cache", sentence) as hang:
        waiting = pool.submit(look, put, client)
        hang.wait(waiting=1)
        hang.remove()
        sight = waiting.result(5)
        sight.raised(*LOST["close"])
    seen("hang", sentence, sight, usable(client, -1))
    assert place.direct().get("a") == b"1"


def test_stale(place: Place, seen: Callable[..., None]) -> None:
    client, direct = place.client(), place.direct()
    assert get(client) == b"1"
    before = identity(client)
    sentence = f"stale {GET}"
    with place.node.fault("cache", sentence, fired=2) as stale:
        assert client.get("a") == b"1"
        direct.set("a", "new")
        sight = look(client.get, "a")
        sight.got(b"1")
        assert client.get("a") == b"1"
        assert client.get("none") is None
        assert stale.skipped == {"nothing": 2}
    after = usable(client, before)
    assert after == "yes"
    seen("stale", sentence, sight, after)
    assert client.get("a") == b"new"


def test_stale_by_age(place: Place, seen: Callable[..., None]) -> None:
    client, direct = place.client(), place.direct()
    sentence = f"stale(300ms) {GET}"
    with place.node.fault("cache", sentence, fired=None):
        assert client.get("a") == b"1"
        direct.set("a", "new")
        began = time.monotonic()
        place.node.control.wait_until(lambda: time.monotonic() - began > 0.31)
        sight = look(client.get, "a")  # as it was 300 ms ago
        sight.got(b"1")
        place.node.control.wait_until(lambda: client.get("a") == b"new", seconds=2, every=0.1)
    seen("stale", sentence, sight, usable(client))


def test_rate_limits(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    sentence = f"rate_limit(1/m, burst=2, error=temporary_failure) {GET}"
    with place.node.fault("cache", sentence, fired=1) as limit:
        assert [get(client), get(client)] == [b"1", b"1"]
        sight = look(get, client)
        sight.raised(SERVER, "temporary failure")
        assert limit.skipped == {"under": 2}
    seen("rate_limit", sentence, sight, usable(client, -1))
    sentence = f"rate_limit(10/s, burst=1) {GET}"
    before = identity(client)
    with place.node.fault("cache", sentence, fired=2):
        sight = look(lambda: [get(client) for _ in range(3)])
        sight.got([b"1"] * 3)
        assert 0.19 <= sight.seconds < 3
    after = usable(client, before)
    assert after == "yes"
    seen("rate_limit", sentence, sight, after)
    for mode in ("close", "reset"):
        sentence = f"rate_limit(1/m, burst=1, mode={mode}) {GET}"
        with place.node.fault("cache", sentence, fired=1):
            assert get(client) == b"1"
            sight = look(get, client)
            sight.raised(*LOST[mode])
        seen("rate_limit", sentence, sight, usable(client, -1))


def test_concurrency(place: Place, seen: Callable[..., None]) -> None:
    """The slot is held by a request that a delay keeps waiting."""
    slow, client = place.client(), place.client()
    for sentence in (
        "concurrency(1) match command=GET,INCR",
        "concurrency(1, error=temporary_failure) match command=GET,INCR",
    ):
        waits = "error" not in sentence
        control = place.node.control
        with ThreadPoolExecutor(2) as pool, place.node.fault("cache", sentence) as limit:
            hang = control.add("cache", f"hang {INCR} at reply")
            counting = pool.submit(incr, slow)
            limit.wait(matched=1)
            getting = pool.submit(look, client.get, "a")
            limit.wait(matched=2)
            if waits:
                limit.wait(waiting=1)
                assert not getting.done()
            else:
                getting.result(5).raised(SERVER, "temporary failure")
            control.remove("cache", hang["name"])
            assert counting.result(5) in (11, 12)
            sight = getting.result(5)
            if waits:
                sight.got(b"1")
        seen("concurrency", sentence, sight, usable(client))


# ---- kinds on connections and bytes --------------------------------------------------------------


def silence(seconds: float, then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Say nothing for a while: what these kinds wait for."""

    def call(client: Any) -> Any:
        time.sleep(seconds)
        return then(client)

    return call


def garbled(sight: Sight) -> None:
    """As long as it was, and not what it was."""
    assert len(sight.value) == len(BIG)
    assert 2 <= sum(one != ord("x") for one in sight.value) <= 5


def met(client: Any) -> Any:
    """Connect, and ask when the end of the stream has come."""
    client._connect()
    time.sleep(0.1)
    return get(client)


HASTY = {"timeout": SHORT}
BYTE_CASES = [
    Case("noop", "noop", get, b"1"),
    Case("delay", "delay(40ms) per connection", get, b"1", took=took(0.08)),
    Case("delay", "delay(80ms) at connect", by_fresh(get), b"1", took=took(0.08)),
    Case("throttle", "throttle(20KB/s) direction to_client", big, BIG, took=took(0.15, 2)),
    Case("slice", "slice(100B, delay=1ms)", big, BIG, took=took(0.03)),
    Case("slice", "slice(300B, vary=200B) direction to_client", big, BIG),
    Case("trickle", "trickle(2ms, size=100B)", big, BIG, took=took(0.08)),
    Case("stall", "stall(500B, hold=100ms) per connection", big, BIG, took=took(0.1)),
    Case("limit", "limit(1000B) direction to_client", big, *LOST["close"], "anew"),
    Case("limit", "limit(1000B, then=reset) direction to_client", big, *LOST["reset"], "anew"),
    Case("reset", "reset(1000B) per connection", big, *LOST["reset"], "anew"),
    Case("close", "close(1000B) per connection", big, *LOST["close"], "anew"),
    Case("reset", "reset at connect", by_fresh(get), *LOST["reset"]),
    Case("close", "close at connect", by_fresh(met), *LOST["close"]),
    Case("corrupt", "corrupt(gap=1000B) direction to_client", big, garbled),
    Case(
        "corrupt",
        "corrupt(gap=5B) direction to_client",
        get,
        exceptions.MemcacheUnknownError,
        "^b'VALU",
        "anew",
    ),
    Case("blackhole", "blackhole", get, *LOST["hang"], "anew"),
    Case("blackhole", "blackhole(50ms) direction to_client", get, *LOST["close"], "anew"),
    Case("hang", "hang per connection", get, *LOST["hang"], "anew"),
    Case("hang", "hang at connect", by_fresh(get, **HASTY), *LOST["hang"]),
    Case("max_age", "max_age(50ms)", silence(0.2, get), *LOST["close"], "anew", None),
    Case("max_age", "max_age(50ms, then=reset) count 1", silence(0.2, get), *LOST["reset"], "anew"),
    Case(
        "max_age", "max_age(100ms, then=silent) count 1", silence(0.3, get), *LOST["reset"], "anew"
    ),
    Case("idle_kill", "idle_kill(100ms)", silence(0.3, get), *LOST["close"], "anew", None),
    Case(
        "idle_kill",
        "idle_kill(100ms, then=reset) count 1",
        silence(0.3, get),
        *LOST["reset"],
        "anew",
    ),
    Case(
        "idle_kill",
        "idle_kill(100ms, then=silent) count 1",
        silence(0.3, get),
        *LOST["reset"],
        "anew",
    ),
    Case("max_connections", "max_connections(1)", by_fresh(get), UNKNOWN),
    Case("max_connections", "max_connections(1, then=reset)", by_fresh(get), *LOST["reset"]),
    Case("max_connections", "max_connections(0, then=close)", by_fresh(met), *LOST["close"]),
    Case("max_connections", "max_connections(1, then=hang)", by_fresh(get, **HASTY), *LOST["hang"]),
    Case("refuse", "refuse", by_fresh(get), ConnectionRefusedError),
    Case("refuse", "99.9% refuse match client=127.0.0.0/8", by_fresh(get), *LOST["reset"]),
    Case("refuse", "refuse count 2", by_fresh(get), *LOST["reset"]),
    Case("unreachable", "unreachable", by_fresh(get, connect_timeout=SHORT), TimeoutError),
]


@pytest.mark.parametrize("case", BYTE_CASES, ids=str)
def test_kinds_on_connections(case: Case, place: Place, seen: Callable[..., None]) -> None:
    client = place.client(timeout=SHORT if impatient(case) else 5)
    check(case, place.node, "cache", client, seen)


def test_slow_close(place: Place, seen: Callable[..., None]) -> None:
    sentence = "slow_close(200ms) direction to_client"
    with place.node.fault("cache", sentence), place.raw() as raw:
        raw.send(b"quit\r\n")
        sight = look(raw.read, 100)
        sight.got(b"")
        assert sight.seconds >= 0.15
    seen("slow_close", sentence, sight, usable(place.client()))


def test_every_kind_is_here() -> None:
    cases = {case.name for case in (*MESSAGE_CASES, *BYTE_CASES)}
    alone = {"stale", "rate_limit", "concurrency", "slow_close"}
    assert cases | alone == set(tables(PROTOCOL))


# ---- what memcached has of its own ---------------------------------------------------------------


def test_a_miss_storm(place: Place, seen: Callable[..., None]) -> None:
    """One prefix misses, the rest hits; in a get of several keys the whole reply is empty."""
    direct = place.direct()
    direct.set_many({f"session:{n}": str(n) for n in range(50)} | {"user:1": "anna"})
    client = place.client()
    before = identity(client)
    sentence = "empty match key^=session:"
    with place.node.fault("cache", sentence, fired=51):
        sight = look(lambda: [client.get(f"session:{n}") for n in range(50)])
        sight.got([None] * 50)
        assert client.get("user:1") == b"anna"
        assert client.set("session:1", "new")
        assert client.get_many(["user:1", "session:2"]) == {}
    after = usable(client, before)
    seen("empty", sentence, Sight("50 misses of 50"), after)
    assert client.get("session:1") == b"new"
    with place.node.fault("cache", "30% empty match key^=session:", fired=None):
        found = [client.get(f"session:{n % 50}") for n in range(200)]
        assert 100 < sum(one is not None for one in found) < 175


def test_a_shard_of_keys(place: Place) -> None:
    """The keys that end in 0 or 5 are served by a server that does not answer."""
    client = place.client(timeout=SHORT)
    with place.node.fault("cache", "hang match key~[05]$", fired=2):
        assert client.set("k1", "x")
        look(client.get, "k10").raised(TimeoutError)
        look(client.get, "k5").raised(TimeoutError)
        assert client.get("k1") == b"x"


@pytest.mark.parametrize("sentence", ["delay(1ms)", "error(not_stored) match command=ADD"])
def test_noreply(sentence: str, place: Place) -> None:
    """Nothing is answered, nothing is out of step."""
    client = place.client()
    with place.node.fault("cache", sentence, fired=None if "delay" in sentence else 0):
        for n in range(100):
            client.set("quick", str(n), noreply=True)
            client.incr("n", 1, noreply=True)
        assert client.get("quick") == b"99"
        assert client.get("n") == b"110"


def test_errors_do_not_strike_what_is_not_answered(place: Place) -> None:
    client = place.client()
    with place.node.fault("cache", f"error(out_of_memory) {SET}", fired=1) as fault:
        client.set("a", "2", noreply=True)
        look(put, client).raised(SERVER)
        assert fault.skipped == {"no_reply": 1}
    with place.node.fault("cache", "error(not_found) match noreply=yes", fired=0):
        client.delete("b", noreply=True)
        assert client.get("b") is None


def test_quiet_meta_commands(place: Place) -> None:
    """Misses are left out, hits are told, and an injected error keeps its place."""
    line = b"mg a v q k\r\nmg none v q k\r\nmg b v q k\r\n"
    with place.raw() as raw:
        with place.node.fault("cache", "delay(5ms) match command=MG", fired=3):
            raw.says(line, b"VA 1 ka\r\n1\r\nVA 1 kb\r\n2\r\n")
        with place.node.fault("cache", "empty match command=MG and key=a", fired=1):
            raw.says(line, b"VA 1 kb\r\n2\r\n")
        with place.node.fault("cache", "error(temporary_failure) match key=b"):
            raw.says(line, b"VA 1 ka\r\n1\r\nSERVER_ERROR temporary failure\r\n")
        raw.says(b"ms z 1 q\r\nx\r\nmg z v\r\n", b"VA 1\r\nx\r\n")


def test_pipelined_by_hand(place: Place) -> None:
    """One of a thousand is struck; order and number of the replies are as they were asked."""
    lines = b"".join(b"set k%d 0 0 1\r\nx\r\n" % n for n in range(1000))
    replies = b"STORED\r\n" * 500 + b"SERVER_ERROR out of memory storing object\r\n"
    with place.raw() as raw, place.node.fault("cache", "error(out_of_memory) match key=k500"):
        raw.says(lines, replies + b"STORED\r\n" * 499)
    assert place.direct().get("k500") is None
    assert place.direct().get("k501") == b"x"


def test_two_faults_at_a_time(place: Place) -> None:
    """Two delays of one exchange add up; of two answers the first wins."""
    client = place.client()
    node = place.node
    with (
        node.fault("cache", f"delay(40ms) {GET}"),
        node.fault("cache", f"delay(50ms) {GET} name b"),
    ):
        sight = look(get, client)
        sight.got(b"1")
        assert sight.seconds >= 0.09
    with (
        node.fault("cache", f"empty {GET}"),
        node.fault("cache", f"replace(5) {GET}", fired=0) as second,
    ):
        assert get(client) is None
        assert second.skipped == {"outranked": 1}


@pytest.mark.parametrize(
    ("match", "hit", "miss"),
    [
        ("command=get", get, put),
        ("command=MG,GET", get, put),
        ("key=a", get, big),
        ("key^=bi", big, get),
        ("key~^[ab]$", get, big),
        ("keys>=3", many, get),
        ("size>=1KB", lambda c: c.set("z", BIG), put),
        ("reply=STORED", put, get),
        ("hit=yes", get, lambda c: c.get("none")),
        ("hit=no", lambda c: c.get("none"), get),
        ("n=2", lambda c: [get(c), get(c)], None),
        ("client=10.0.0.0/8", None, get),
    ],
)
def test_match_fields(match: str, hit: Any, miss: Any, place: Place) -> None:
    sentence = f"error(temporary_failure) match {match}"
    if miss is not None:
        with place.node.fault("cache", sentence, fired=0):
            miss(place.client())
    if hit is not None:
        with place.node.fault("cache", sentence):
            look(hit, place.client()).raised(SERVER, "temporary failure")


def test_what_memcached_cannot_say(place: Place) -> None:
    for sentence in ("error(deadlock)", "error(too_large) at connect", "replace"):
        with pytest.raises(Refused) as caught:
            place.node.control.add("cache", sentence)
        assert caught.value.status == 422


def test_a_script_and_a_roulette(place: Place) -> None:
    client = place.client()
    steps = "pass 2, error(out_of_memory), lose_reply(then=close)"
    with place.node.script("cache", steps, "command=SET"):
        assert [client.set("a", str(n)) for n in range(2)] == [True, True]
        look(client.set, "a", "2").raised(SERVER)
        look(client.set, "a", "3").raised(*LOST["close"])
        assert client.get("a") == b"3"
        assert client.set("a", "4")
    control = place.node.control
    made = control.add("cache", {"roulette": "50% error(temporary_failure), 50% empty"})
    sights = [look(client.get, "a") for _ in range(50)]
    assert {type(one.error).__name__ for one in sights} == {"MemcacheServerError", "NoneType"}
    assert all(one.value is None for one in sights)
    gone = control.remove("cache", made["name"])
    assert (gone["matched"], gone["fired"]) == (50, 50)


@pytest.mark.parametrize(
    ("sentence", "does", "sees", "text"),
    [
        ("cold-cache", get, None, ""),
        ("cold-cache", many, {}, ""),
        ("cache-down", get, ConnectionResetError, ""),
        ("queue-full", put, SERVER, "out of memory"),
        ("slow-peer delay=50ms", get, b"1", ""),
        ("slow-peer delay=1ms rate=20KB/s", big, BIG, ""),
        ("network-partition", get, TimeoutError, ""),
    ],
)
def test_recipes(
    sentence: str, does: Any, sees: Any, text: str, place: Place, seen: Callable[..., None]
) -> None:
    client = place.client(timeout=SHORT if sees is TimeoutError else 5)
    assert get(client) == b"1"
    with place.node.recipe("cache", sentence):
        sight = look(does, client)
        if isinstance(sees, type):
            sight.raised(sees, text)
        else:
            sight.got(sees)
        if "down" in sentence:
            look(get, client).raised(ConnectionRefusedError)
    seen("recipe", f"recipe {sentence}", sight, usable(client, -1))


def test_rate_limited_and_flaky_peers(place: Place) -> None:
    client = place.client()
    with place.node.recipe("cache", "rate-limited-peer rate=20/s") as recipe:
        sight = look(lambda: [get(client) for _ in range(23)])
        assert sight.value == [b"1"] * 23
        assert sight.seconds >= 0.1
        assert recipe.fired >= 2
    with place.node.recipe("cache", "flaky-peer strength=20% delay=1ms..5ms"):
        sights = [look(get, client) for _ in range(60)]
        assert {type(one.error) for one in sights} <= {
            type(None),
            ConnectionResetError,
            exceptions.MemcacheUnexpectedCloseError,
        }
    assert get(client) == b"1"


def test_pools_recover(place: Place, seen: Callable[..., None]) -> None:
    """Ten connections of a pool are reset; afterwards all work."""
    pool = PooledClient(("127.0.0.1", place.port), max_pool_size=10, timeout=5)
    sentence = f"reset {GET}"
    with ThreadPoolExecutor(10) as threads:
        with place.node.fault("cache", sentence, fired=10):
            sights = list(threads.map(lambda _: look(pool.get, "a"), range(10)))
            for sight in sights:
                sight.raised(*LOST["reset"])
        assert list(threads.map(lambda _: pool.get("a"), range(50))) == [b"1"] * 50
    pool.close()
    seen("reset", f"{sentence} (ten clients of one pool)", sights[0], "anew")


def test_one_of_two_servers_is_down(place: Place, seen: Callable[..., None]) -> None:
    """HashClient takes a server out after its failures and asks the other."""
    both = [("127.0.0.1", place.port), ("127.0.0.1", place.upstream)]
    client = HashClient(both, timeout=SHORT, retry_attempts=0, dead_timeout=60, ignore_exc=True)
    with place.node.fault("cache", "hang", fired=None):
        sight = look(lambda: [client.get(f"key{n}", "missed") for n in range(20)])
        assert sight.value == ["missed"] * 20
        assert sight.seconds < 5
        assert list(client._dead_clients) == [("127.0.0.1", place.port)]
    for one in client.clients.values():
        one.close()
    seen("hang", "hang (one of two servers of a HashClient)", Sight("20 misses"), "anew")


def test_the_binary_protocol_is_raw(place: Place) -> None:
    """Nothing is seen in it, which is said; its bytes pass."""
    version = b"\x80\x0b" + bytes(22)
    with place.raw() as raw, place.node.fault("cache", "error(temporary_failure)", fired=0):
        raw.send(version)
        head = raw.read(24)
        assert head[:2] == b"\x81\x0b"
        assert raw.read(int.from_bytes(head[8:12], "big"))
        (state,) = (one["state"] for one in place.node.control.connections("cache").values())
        assert state == "raw"
    counts = place.node.control.counters()["cache"]
    assert counts["raw"] == 1
    (note,) = counts["notes"]
    assert "binary" in note
