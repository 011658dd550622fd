"""What redis-py sees of every catalogue error and every kind, in front of a real redis-server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from harness import Case, Node, Sight, check, identity, look, running, usable
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis_servers import REDIS, redis_server

from rascal.control.client import Refused
from rascal.wire.redis import PROTOCOL
from rascal.wire.redis_errors import ERRORS

pytestmark = pytest.mark.skipif(not REDIS, reason="redis-server is not installed")
SEEN = ("redis", "redis-py")
INI = """\
[proxy:cache]
protocol = redis
listen = 127.0.0.1:0
upstream = 127.0.0.1:{port}
"""
SHORT = 0.3
"""Seconds that a client waits for what never comes."""


class Place:
    """A redis-server and a rascal-proxy in front of it."""

    def __init__(self, node: Node, upstream: int) -> None:
        self.node = node
        self.upstream = upstream
        self.port = node.port("cache")
        self.clients: list[Any] = []

    def client(self, port: int | None = None, **options: Any) -> Any:
        """redis-py with one connection and without retries."""
        wanted: dict[str, Any] = {
            "port": port or self.port,
            "host": "127.0.0.1",
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "retry": Retry(NoBackoff(), 0),
            "max_connections": 1,
            "protocol": 2,
            "driver_info": None,
        }
        made = redis.Redis(**(wanted | options))
        self.clients.append(made)
        return made

    def direct(self) -> Any:
        """Past the proxy."""
        return self.client(self.upstream)

    def raw(self, timeout: float = 5) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def close(self) -> None:
        while self.clients:
            self.clients.pop().close()


@pytest.fixture(scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("redis")
    with (
        redis_server(folder / "server") as port,
        running(folder, INI.format(port=port)) as node,
    ):
        yield Place(node, port)


@pytest.fixture
def place(_place: Place) -> Iterator[Place]:
    """The place with a known content, nothing installed and nobody connected."""
    _place.node.clear()
    direct = _place.direct()
    direct.flushall()
    direct.mset({"a": "1", "b": "2", "big": "x" * 4000})
    direct.rpush("list", *range(20))
    direct.hset("hash", "field", "value")
    _place.node.empty("cache")
    yield _place
    _place.close()
    _place.node.clear()


def fresh(client: Any, **options: Any) -> Any:
    """Another client of the same server, which connects anew."""
    found = client.connection_pool.connection_kwargs
    names = ("host", "port", "socket_timeout", "socket_connect_timeout", "retry", "protocol")
    return redis.Redis(**({name: found[name] for name in names} | {"driver_info": None} | options))


def by_fresh(does: Callable[[Any], Any], **options: Any) -> Callable[[Any], Any]:
    """Do it as a client that connects anew."""

    def call(client: Any) -> Any:
        with fresh(client, **options) as other:
            return does(other)

    return call


def get(client: Any) -> Any:
    return client.get("a")


def command(*words: Any) -> Callable[[Any], Any]:
    return lambda client: client.execute_command(*words)


# ---- catalogue errors ----------------------------------------------------------------------------

_GET = command("GET", "a")
_SET = command("SET", "a", "2")


def error(
    name: str,
    does: Callable[[Any], Any],
    sees: Any,
    text: str,
    options: str = "",
    match: str = "",
    after: str = "yes",
) -> Case:
    sentence = f"error({name}{options})" + (f" match {match}" if match else "")
    return Case(name, sentence, does, sees, text, after)


# redis-py drops a connection itself after errors that it counts among the ConnectionErrors:
# BusyLoadingError and AuthenticationError; the server would have kept it (see the test below).
RESPONSE = redis.ResponseError
ERROR_CASES = [
    error("loading", _GET, redis.BusyLoadingError, "loading the dataset in memory", after="anew"),
    error("readonly", _SET, redis.ReadOnlyError, "against a read only replica"),
    error("oom", _SET, redis.OutOfMemoryError, "used memory > 'maxmemory'"),
    error("misconf", _SET, RESPONSE, "^MISCONF Redis is configured to save RDB snapshots"),
    error("noreplicas", _SET, RESPONSE, "^NOREPLICAS Not enough good replicas"),
    error("busy", _GET, RESPONSE, "^BUSY Redis is busy running a script"),
    error("masterdown", _GET, exceptions.MasterDownError, "Link with MASTER is down"),
    error(
        "noscript", command("EVALSHA", "0" * 40, 0), exceptions.NoScriptError, "No matching script"
    ),
    error("unblocked", command("BLPOP", "none", 1), RESPONSE, "^UNBLOCKED force", after="anew"),
    Case(
        "max_clients",
        "error(max_clients)",
        by_fresh(get, client_name="shop"),  # so that it reads something before it asks
        redis.ConnectionError,
        "max number of clients reached",
        fired=None,
    ),
    error("noauth", _GET, redis.AuthenticationError, "Authentication required", after="anew"),
    error(
        "wrongpass",
        command("AUTH", "me", "wrong"),
        redis.AuthenticationError,
        "invalid username-password pair",
        match="command=AUTH",
        after="anew",
    ),
    error("noperm", _GET, exceptions.NoPermissionError, "no permissions to run the 'get' command"),
    error(
        "noperm_key", _GET, exceptions.NoPermissionError, "no permissions to access one of the keys"
    ),
    error("moved", _GET, exceptions.MovedError, "15495 127.0.0.1:7001", ", address=127.0.0.1:7001"),
    error("ask", _GET, exceptions.AskError, "7 127.0.0.1:7001", ", address=127.0.0.1:7001, slot=7"),
    error(
        "tryagain", command("MGET", "a", "b"), exceptions.TryAgainError, "during rehashing of slot"
    ),
    error("clusterdown", _GET, exceptions.ClusterDownError, "Hash slot not served"),
    error("cluster_is_down", _GET, exceptions.ClusterDownError, "The cluster is down"),
    error(
        "crossslot",
        command("MGET", "a", "b"),
        exceptions.ClusterCrossSlotError,
        "hash to the same slot",
    ),
    error(
        "execabort",
        lambda client: client.pipeline().set("a", "2").execute(),
        exceptions.ExecAbortError,
        "discarded because of previous errors",
        match="command=EXEC",
    ),
    error(
        "watch_conflict",
        lambda client: client.pipeline().set("a", "2").execute(),
        redis.WatchError,
        "Watched variable changed",
        match="command=EXEC",
    ),
    error("wrongtype", _GET, RESPONSE, "^WRONGTYPE Operation against a key holding the wrong"),
    error(
        "nogroup",
        command("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"),
        RESPONSE,
        "^NOGROUP No such key 's' or consumer group 'g'",
    ),
    error(
        "noproto",
        command("HELLO", 3),
        RESPONSE,
        "^NOPROTO unsupported protocol version",
        match="command=HELLO",
    ),
    error("wrong_number_of_arguments", _GET, RESPONSE, "^wrong number of arguments for 'get'"),
    error("unknown_command", _GET, RESPONSE, "^unknown command 'GET', with args beginning with"),
    error("syntax_error", _SET, RESPONSE, "^syntax error$"),
    error("not_an_integer", command("INCR", "a"), RESPONSE, "^value is not an integer"),
    error("no_such_key", command("RENAME", "a", "z"), RESPONSE, "^no such key$"),
    error("busykey", command("RESTORE", "z", 0, "x"), RESPONSE, "^BUSYKEY Target key name"),
    error(
        "busygroup",
        command("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"),
        RESPONSE,
        "^BUSYGROUP Consumer Group name already",
    ),
    error("ERR", _GET, RESPONSE, "^the disk is on fire$", ', text="the disk is on fire"'),
]
"""MISCONF and the like have no class of their own in redis-py: ResponseError is the proper one."""


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_errors(case: Case, place: Place, seen: Callable[..., None]) -> None:
    check(case, place.node, "cache", place.client(), seen)
    direct = place.direct()
    assert (direct.get("a"), direct.exists("z"), direct.exists("s")) == (b"1", 0, 0)


def test_every_error_of_the_catalogue_is_here() -> None:
    assert [case.name for case in ERROR_CASES] == list(ERRORS)


def wire(*words: Any) -> bytes:
    coded = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(coded) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in coded)


@pytest.mark.parametrize("name", [n for n in ERRORS if n != "max_clients"])
def test_errors_leave_the_connection_as_a_server_does(name: str, place: Place) -> None:
    """A client library may drop it; the server's end is open, unless the catalogue says not."""
    spec = ERRORS[name]
    word = spec.commands[0] if spec.commands else "GET"
    words = {"EXEC": [], "HELLO": [3], "AUTH": ["x"]}.get(word, ["a", "b"])
    with place.raw() as sock:
        with place.node.fault("cache", f"error({name}, text='X of ours') match command={word}"):
            if word == "EXEC":
                sock.sendall(wire("MULTI"))
                assert sock.recv(100) == b"+OK\r\n"
            sock.sendall(wire(word, *words))
            reply = sock.recv(1000)
            assert reply[:1] == (b"*" if name == "watch_conflict" else b"-"), reply
        sock.sendall(wire("PING"))
        assert sock.recv(100) == (b"" if spec.closes else b"+PONG\r\n")


# ---- kinds on messages ---------------------------------------------------------------------------


def took(low: float, high: float = 5.0) -> tuple[float, float]:
    return (low, high)


def has(key: str, value: bytes | None) -> Callable[[Any], None]:
    """The upstream has it; asked through the proxy, whose fault is gone."""

    def proves(client: Any) -> None:
        assert client.get(key) == value

    return proves


def has_list(*items: bytes) -> Callable[[Any], None]:
    def proves(client: Any) -> None:
        assert client.lrange("jobs", 0, -1) == list(items)

    return proves


LPUSH = command("LPUSH", "jobs", "1")
LOST = {
    "hang": (redis.TimeoutError, "Timeout reading from"),
    "close": (redis.ConnectionError, "Connection closed by server"),
    "reset": (redis.ConnectionError, "Connection reset by peer"),
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
MESSAGE_CASES = [
    *(
        Case("delay", f"delay({text}) match command=GET", get, b"1", took=took(low))
        for text, low in DELAYS
    ),
    Case("delay", "delay(60ms) match key=a at request,reply", get, b"1", took=took(0.12)),
    Case("delay", "delay(60ms) match key=a at reply", get, b"1", took=took(0.06)),
    Case(
        "delay",
        "delay(20ms) match key=p",
        lambda client: client.pipeline(transaction=False).incr("p").incr("p").incr("p").execute(),
        [1, 2, 3],
        fired=3,
        took=took(0.02, 1),
    ),
    Case("stall", "stall(2B) match command=GET", get, *LOST["hang"], "anew"),
    Case("stall", "stall(after=4B, hold=80ms) match key=a", get, b"1", took=took(0.08)),
    Case(
        "stall",
        "stall(items=2, hold=80ms) match command=LRANGE",
        lambda client: client.lrange("list", 0, 2),
        [b"0", b"1", b"2"],
        took=took(0.08),
    ),
    Case("reset", "reset match command=SET", _SET, *LOST["reset"], "anew", proves=has("a", b"1")),
    Case(
        "reset",
        "reset match command=SET at reply",
        _SET,
        *LOST["reset"],
        "anew",
        proves=has("a", b"2"),
    ),
    Case("reset", "reset(3B) match command=GET", get, *LOST["reset"], "anew"),
    Case("close", "close match command=SET", _SET, *LOST["close"], "anew", proves=has("a", b"1")),
    Case(
        "close",
        "close match command=SET at reply",
        _SET,
        *LOST["close"],
        "anew",
        proves=has("a", b"2"),
    ),
    Case("close", "close(3B) match command=GET", get, *LOST["close"], "anew"),
    *(
        Case(
            "lose_request",
            f"lose_request(then={then}) match command=LPUSH",
            LPUSH,
            *LOST[then],
            "anew",
            proves=has_list(),
        )
        for then in LOST
    ),
    *(
        Case(
            "lose_reply",
            f"lose_reply(then={then}) match command=LPUSH count 1",
            LPUSH,
            *LOST[then],
            "anew",
            proves=has_list(b"1"),
        )
        for then in LOST
    ),
    *(
        Case(
            "truncate",
            f"truncate(bytes=3B, then={then}) match command=GET",
            get,
            *LOST[then],
            "anew",
        )
        for then in LOST
    ),
    Case(
        "truncate",
        "truncate(items=2) match command=LRANGE",
        lambda client: client.lrange("list", 0, -1),
        *LOST["close"],
        "anew",
    ),
    Case(
        "duplicate",
        "duplicate match command=INCRBY",
        lambda client: client.incr("n"),
        1,
        proves=has("n", b"2"),
    ),
    Case("replace", "replace(42) match command=GET", get, b"42", proves=has("a", b"1")),
    Case(
        "replace", "replace(7) match command=INCR", command("INCR", "n"), 7, proves=has("n", b"1")
    ),
    Case(
        "replace",
        "replace(7) match command=INCR at request",
        command("INCR", "n"),
        7,
        proves=has("n", None),
    ),
    Case("empty", "empty match command=GET", get, None),
    Case("empty", "empty match command=MGET", lambda c: c.mget("a", "b"), [None, None]),
    Case("empty", "empty match command=LRANGE", lambda c: c.lrange("list", 0, -1), []),
    Case("empty", "empty match command=HGETALL", lambda c: c.hgetall("hash"), {}),
    Case("empty", "empty match command=TTL at request", lambda c: c.ttl("a"), -2),
    Case(
        "error",
        "error(oom) match command=SET at reply",
        _SET,
        redis.OutOfMemoryError,
        "maxmemory",
        proves=has("a", b"2"),
    ),
    Case(
        "error",
        "error(BORED, text='not today') match command=GET",
        get,
        redis.ResponseError,
        "^BORED not today$",
    ),
]


def impatient(case: Case) -> bool:
    """It waits for what never comes."""
    return case.sees is redis.TimeoutError


@pytest.mark.parametrize("case", MESSAGE_CASES, ids=str)
def test_kinds_on_messages(case: Case, place: Place, seen: Callable[..., None]) -> None:
    client = place.client(socket_timeout=SHORT if impatient(case) else 5)
    check(case, place.node, "cache", client, seen)


def test_hang_until_it_is_removed(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
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
    case = Case("hang", "hang match command=SET", _SET, *LOST["hang"], "anew")
    check(case, place.node, "cache", place.client(socket_timeout=SHORT), seen)
    # what was held is released in order when the hang goes; its client has left behind it
    direct = place.direct()
    place.node.control.wait_until(lambda: direct.get("a") == b"2")


def test_hang_that_closes_on_removal(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    sentence = "hang match command=SET on_remove close"
    with ThreadPoolExecutor(1) as pool, place.node.fault("cache", sentence) as hang:
        waiting = pool.submit(look, _SET, client)
        hang.wait(waiting=1)
        hang.remove()
        sight = waiting.result(5)
        sight.raised(*LOST["close"])
    after = usable(client, -1)
    seen("hang", sentence, sight, after)
    assert place.direct().get("a") == b"1"


def test_the_lost_lpush(place: Place) -> None:
    """The job is there, its producer got an error, and the counters say so."""
    client = place.client(socket_timeout=SHORT)
    with place.node.fault("cache", "lose_reply match command=LPUSH count 1") as lost:
        sight = look(client.lpush, "jobs", "one")
        sight.raised(redis.TimeoutError)
        assert place.direct().lrange("jobs", 0, -1) == [b"one"]
        assert client.lpush("jobs", "two") == 2  # by a new connection; the fault is used up
        state = lost.adds_up()
        assert (state["matched"], state["fired"], state["armed"]) == (1, 1, False)
    assert place.direct().lrange("jobs", 0, -1) == [b"two", b"one"]
    struck = place.node.control.exchanges("cache", fault="lose_reply")
    assert (struck[0]["command"], struck[0]["faults"]) == ("LPUSH", ["lose_reply"])
    assert struck[0]["outcome"] == "reply lost"


def test_stale(place: Place, seen: Callable[..., None]) -> None:
    client, direct = place.client(), place.direct()
    before = identity(client)
    sentence = "stale match command=GET"
    with place.node.fault("cache", sentence, fired=2) as stale:
        assert client.get("a") == b"1"
        direct.set("a", "new")
        sight = look(client.get, "a")
        sight.got(b"1")
        assert client.get("a") == b"1"
        assert client.get("none") is None
        assert stale.skipped == {"nothing": 2}
    after = usable(client, before)
    seen("stale", sentence, sight, after)
    assert client.get("a") == b"new"


def test_stale_by_age(place: Place, seen: Callable[..., None]) -> None:
    client, direct = place.client(), place.direct()
    sentence = "stale(300ms) match command=GET"
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
    before = identity(client)
    sentence = "rate_limit(1/m, burst=2, error=busy) match command=GET"
    with place.node.fault("cache", sentence, fired=1) as limit:
        assert [get(client), get(client)] == [b"1", b"1"]
        sight = look(get, client)
        sight.raised(redis.ResponseError, "^BUSY")
        assert limit.skipped == {"under": 2}
    seen("rate_limit", sentence, sight, usable(client, before))
    sentence = "rate_limit(10/s, burst=1) match command=GET"
    with place.node.fault("cache", sentence, fired=2):
        sight = look(lambda: [get(client) for _ in range(3)])
        sight.got([b"1"] * 3)
        assert 0.19 <= sight.seconds < 3
    seen("rate_limit", sentence, sight, usable(client, before))
    for mode in ("close", "reset"):
        sentence = f"rate_limit(1/m, burst=1, mode={mode}) match command=GET"
        with place.node.fault("cache", sentence, fired=1):
            assert get(client) == b"1"
            sight = look(get, client)
            sight.raised(*LOST[mode])
        seen("rate_limit", sentence, sight, usable(client, before))


def test_concurrency(place: Place, seen: Callable[..., None]) -> None:
    slow, client = place.client(), place.client()
    for sentence in ("concurrency(1) match command=BLPOP,GET", "concurrency(1, error=busy)"):
        waits = "error" not in sentence
        with ThreadPoolExecutor(2) as pool, place.node.fault("cache", sentence) as limit:
            popping = pool.submit(slow.blpop, "jobs", 5)
            limit.wait(matched=1)
            getting = pool.submit(look, client.get, "a")
            limit.wait(matched=2)
            if waits:
                limit.wait(waiting=1)
                assert not getting.done()
            else:
                getting.result(5).raised(redis.ResponseError, "^BUSY")
            place.direct().lpush("jobs", "x")
            assert popping.result(5) == (b"jobs", b"x")
            sight = getting.result(5)
            if waits:
                sight.got(b"1")
        seen("concurrency", sentence, sight, usable(client))


# ---- kinds on connections and bytes --------------------------------------------------------------


def big(client: Any) -> Any:
    return client.get("big")


def silence(seconds: float, then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Say nothing for a while: what these kinds wait for."""

    def call(client: Any) -> Any:
        time.sleep(seconds)
        return then(client)

    return call


BIG = b"x" * 4000
BYTE_CASES = [
    Case("delay", "delay(40ms) per connection", get, b"1", took=took(0.08)),
    Case("delay", "delay(80ms) at connect", by_fresh(get), b"1", took=took(0.08)),
    Case("throttle", "throttle(20KB/s) direction to_client", big, BIG, took=took(0.15, 2)),
    Case("throttle", "throttle(0) direction to_client", get, *LOST["hang"], "anew"),
    Case("noop", "noop", get, b"1"),
    Case("slice", "slice(100B, delay=1ms)", big, BIG, took=took(0.03)),
    Case("slice", "slice(300B, vary=200B) direction to_client", big, BIG),
    Case("trickle", "trickle(2ms, size=100B)", big, BIG, took=took(0.08)),
    Case("stall", "stall(500B, hold=100ms) per connection", big, BIG, took=took(0.1)),
    Case("limit", "limit(1000B) direction to_client", big, *LOST["close"], "anew"),
    Case("limit", "limit(1000B, then=reset) direction to_client", big, *LOST["reset"], "anew"),
    Case("limit", "limit(0) direction to_client", get, *LOST["close"], "anew"),
    Case("reset", "reset(hold=80ms) per connection", get, *LOST["reset"], "anew", took=took(0.08)),
    Case("reset", "reset(1000B) per connection", big, *LOST["reset"], "anew"),
    Case("close", "close(1000B) per connection", big, *LOST["close"], "anew"),
    # redis-py connects a second time if it finds a new connection closed
    Case("reset", "reset at connect", by_fresh(get), *LOST["reset"], fired=None),
    Case("close", "close at connect", by_fresh(get), *LOST["close"], fired=None),
    Case(
        "corrupt",
        "corrupt(gap=6B) direction to_client",
        lambda client: client.lrange("list", 0, -1),  # *20\r\n and then not $
        exceptions.InvalidResponse,
        "Protocol Error",
        "anew",
    ),
    Case(
        "corrupt",
        "corrupt(gap=1000B) direction to_client",
        big,
        lambda sight: garbled(sight),
    ),
    Case("blackhole", "blackhole", get, *LOST["hang"], "anew"),
    Case("blackhole", "blackhole(50ms) direction to_client", get, *LOST["close"], "anew"),
    Case(
        "blackhole",
        "blackhole(50ms, idle=yes) count 1",
        silence(0.3, get),
        b"1",  # by a new connection
        after="anew",
    ),
    Case("hang", "hang per connection", get, *LOST["hang"], "anew"),
    Case("hang", "hang at connect", by_fresh(get, socket_timeout=SHORT), *LOST["hang"]),
    # redis-py looks whether a pooled connection has been closed before it uses it
    Case("max_age", "max_age(50ms)", silence(0.2, get), b"1", after="anew", fired=None),
    Case(
        "max_age",
        "max_age(100ms, then=silent) count 1",
        silence(0.3, get),
        *LOST["reset"],
        "anew",
    ),
    Case("idle_kill", "idle_kill(100ms)", silence(0.3, get), b"1", after="anew", fired=None),
    Case(
        "idle_kill", "idle_kill(100ms, then=reset) count 1", silence(0.3, get), b"1", after="anew"
    ),
    Case(
        "idle_kill",
        "idle_kill(100ms, then=silent) count 1",
        silence(0.3, get),
        *LOST["reset"],
        "anew",
    ),
    Case(
        "max_connections",
        "max_connections(1)",
        by_fresh(get, client_name="shop"),  # so that it reads something before it asks
        redis.ConnectionError,
        "max number of clients reached",
        fired=None,
    ),
    Case(
        "max_connections",
        "max_connections(1, then=reset)",
        by_fresh(get),
        *LOST["reset"],
        fired=None,
    ),
    Case(
        "max_connections",
        "max_connections(0, then=close)",
        by_fresh(get),
        *LOST["close"],
        fired=None,
    ),
    Case(
        "max_connections",
        "max_connections(1, then=hang)",
        by_fresh(get, socket_timeout=SHORT),
        *LOST["hang"],
    ),
    Case("refuse", "refuse", by_fresh(get), redis.ConnectionError, "Error 111 .*refused"),
    Case(
        "refuse",
        "99.9% refuse match client=127.0.0.0/8",
        by_fresh(get),
        *LOST["reset"],
        fired=None,
    ),
    Case("refuse", "refuse count 2", by_fresh(get), *LOST["reset"], fired=None),
    Case(
        "unreachable",
        "unreachable",
        by_fresh(get, socket_connect_timeout=SHORT),
        redis.TimeoutError,
        "Timeout connecting to",
    ),
]


def garbled(sight: Sight) -> None:
    """As long as it was, and not what it was."""
    assert len(sight.value) == len(BIG)
    assert 2 <= sum(one != ord("x") for one in sight.value) <= 5


@pytest.mark.parametrize("case", BYTE_CASES, ids=str)
def test_kinds_on_connections(case: Case, place: Place, seen: Callable[..., None]) -> None:
    client = place.client(socket_timeout=SHORT if impatient(case) else 5)
    check(case, place.node, "cache", client, seen)


def test_slow_close(place: Place, seen: Callable[..., None]) -> None:
    sentence = "slow_close(200ms) direction to_client"
    with place.node.fault("cache", sentence), place.raw() as sock:
        sock.sendall(wire("QUIT"))
        assert sock.recv(100) == b"+OK\r\n"
        sight = look(sock.recv, 100)
        sight.got(b"")
        assert sight.seconds >= 0.15
    seen("slow_close", sentence, sight, usable(place.client()))


def test_every_kind_is_here() -> None:
    cases = {case.name for case in (*MESSAGE_CASES, *BYTE_CASES)}
    alone = {"stale", "rate_limit", "concurrency", "slow_close"}
    from rascal.faults.build import tables

    assert cases | alone == set(tables(PROTOCOL))


# ---- what Redis has of its own -------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
def test_an_error_inside_a_transaction(
    protocol: int, place: Place, seen: Callable[..., None]
) -> None:
    """EXEC aborts by itself, the upstream is unchanged, the connection goes on."""
    client = place.client(protocol=protocol)
    before = identity(client)
    sentence = "error(oom) match command=SET and key=b"
    with place.node.fault("cache", sentence):
        pipeline = client.pipeline().set("a", "new").set("b", "new").incr("n")
        sight = look(pipeline.execute)
        sight.raised(redis.OutOfMemoryError, "Command # 2 .*maxmemory")
    assert place.direct().mget("a", "b", "n") == [b"1", b"2", None]
    after = usable(client, before)
    assert after == "yes"
    assert client.pipeline().set("a", "3").get("a").execute() == [True, b"3"]
    seen("error", f"{sentence} (in MULTI, RESP{protocol})", sight, after)


def test_exec_that_is_done_and_lost(place: Place, seen: Callable[..., None]) -> None:
    client = place.client(socket_timeout=SHORT)
    sentence = "lose_reply match command=EXEC"
    with place.node.fault("cache", sentence):
        sight = look(client.pipeline().set("a", "new").execute)
        sight.raised(*LOST["hang"])
    assert place.direct().get("a") == b"new"
    seen("lose_reply", sentence, sight, usable(client, -1))


def test_pubsub_while_faults_are_armed(place: Place) -> None:
    """Messages reach the subscriber once and in order while its other commands are held."""
    client, direct = place.client(), place.direct()
    with place.node.fault("cache", "delay 5ms", fired=None):
        subscriber = client.pubsub()
        subscriber.subscribe("news")
        assert subscriber.get_message(timeout=5)["type"] == "subscribe"
        with place.node.fault("cache", "error(noperm) match command=GET", fired=0):
            for n in range(200):
                direct.publish("news", n)
            subscriber.ping()
            got = []
            while len(got) < 201:
                message = subscriber.get_message(timeout=5)
                assert message is not None
                got.append(message)
        kinds = [one["type"] for one in got]
        assert [one["data"] for one in got if one["type"] == "message"] == [
            b"%d" % n for n in range(200)
        ]
        assert kinds.count("pong") == 1
        subscriber.unsubscribe()
        assert subscriber.get_message(timeout=5)["type"] == "unsubscribe"
        subscriber.close()


def test_pubsub_refused(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    sentence = "error(noperm) match command=SUBSCRIBE and key=secret"
    with place.node.fault("cache", sentence), client.pubsub() as subscriber:
        subscriber.subscribe("news")
        assert subscriber.get_message(timeout=5)["type"] == "subscribe"
        subscriber.subscribe("secret")
        sight = look(subscriber.get_message, timeout=5)
        sight.raised(exceptions.NoPermissionError, "'subscribe'")
    seen("error", sentence, sight, usable(client))


def test_a_job_is_popped_and_lost(place: Place, seen: Callable[..., None]) -> None:
    """BLPOP takes the job, its reply is lost: nobody has it."""
    client, direct = place.client(), place.direct()
    sentence = "lose_reply(then=reset) match blocking=yes count 1"
    with ThreadPoolExecutor(1) as pool, place.node.fault("cache", sentence):
        waiting = pool.submit(look, client.blpop, "jobs", 5)
        place.node.control.wait_until(
            lambda: any("blpop" in one["cmd"] for one in direct.client_list())
        )
        assert not waiting.done()
        direct.rpush("jobs", "one")
        sight = waiting.result(5)
        sight.raised(*LOST["reset"])
    assert direct.llen("jobs") == 0
    after = usable(client, -1)
    seen("lose_reply", sentence, sight, after)
    direct.rpush("jobs", "two")
    assert client.blpop("jobs", 5) == (b"jobs", b"two")


def test_one_of_a_thousand_pipelined(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    before = identity(client)
    sentence = "error(oom) match key=k500"
    with place.node.fault("cache", sentence):
        pipeline = client.pipeline(transaction=False)
        for n in range(1000):
            pipeline.set(f"k{n}", n)
        replies = pipeline.execute(raise_on_error=False)
        assert isinstance(replies.pop(500), redis.OutOfMemoryError)
        assert replies == [True] * 999
        sight = Sight("999 replies True, the 501st OutOfMemoryError")
    assert place.direct().dbsize() == 5 + 999
    after = usable(client, before)
    assert after == "yes"
    seen("error", f"{sentence} (in a pipeline of 1,000)", sight, after)


def test_a_reply_lost_in_a_pipeline(place: Place, seen: Callable[..., None]) -> None:
    """What was pipelined behind it is done, and nobody learns."""
    client = place.client(socket_timeout=SHORT)
    sentence = "lose_reply match key=k500"
    with place.node.fault("cache", sentence):
        pipeline = client.pipeline(transaction=False)
        for n in range(1000):
            pipeline.set(f"k{n}", n)
        sight = look(pipeline.execute)
        sight.raised(*LOST["hang"])
    assert place.direct().dbsize() == 5 + 1000
    seen("lose_reply", f"{sentence} (in a pipeline of 1,000)", sight, usable(client, -1))


@pytest.mark.parametrize(
    ("sentence", "does", "value"),
    [
        ("empty match command=GET", get, None),
        ("empty match command=HGETALL", lambda c: c.hgetall("hash"), {}),
        ("empty match command=SMEMBERS", lambda c: c.smembers("set"), set()),
        ("replace(9) match command=GET", get, b"9"),
        ("duplicate match command=INCRBY", lambda c: c.incr("n"), 1),
        ("delay 20ms match command=HGETALL", lambda c: c.hgetall("hash"), {b"field": b"value"}),
    ],
)
def test_resp3(
    sentence: str, does: Callable[[Any], Any], value: Any, place: Place, seen: Callable[..., None]
) -> None:
    case = Case(sentence.partition(" ")[0].partition("(")[0], sentence, does, value)
    client = place.client(protocol=3)
    add = lambda name, text, *rest: seen(name, f"{text} (RESP3)", *rest)  # noqa: E731
    check(case, place.node, "cache", client, add)


def test_a_client_that_cannot_have_resp3(place: Place, seen: Callable[..., None]) -> None:
    sentence = "error(noproto) match command=HELLO"
    with place.node.fault("cache", sentence, fired=None):
        sight = look(place.client(protocol=3).get, "a")
        assert sight.error is not None
        sight.raised(type(sight.error), "NOPROTO|unsupported")
    seen("error", f"{sentence} (while connecting)", sight, usable(place.client(protocol=3)))


def test_redis_cannot_end_a_reply_in_the_middle(place: Place) -> None:
    for sentence in ("truncate(items=1, then=end)", "truncate(items=1, error=oom)"):
        with pytest.raises(Refused) as caught:
            place.node.control.add("cache", sentence)
        assert caught.value.status == 422


def test_a_script_and_a_roulette(place: Place) -> None:
    client = place.client()
    with place.node.script("cache", "pass 2, error(oom), lose_reply(then=close)", "command=SET"):
        assert [client.set("a", n) for n in range(2)] == [True, True]
        look(client.set, "a", 2).raised(redis.OutOfMemoryError)
        look(client.set, "a", 3).raised(*LOST["close"])
        assert client.get("a") == b"3"
        assert client.set("a", 4)
    control = place.node.control
    made = control.add("cache", {"roulette": "40% error(oom), 60% error(busy)", "name": "wheel"})
    sights = [look(client.set, "a", 3) for _ in range(50)]
    kinds = {type(one.error).__name__ for one in sights}
    assert kinds == {"OutOfMemoryError", "ResponseError"}
    gone = control.remove("cache", made["name"])
    assert (gone["matched"], gone["fired"]) == (50, 50)


def test_a_pool_recovers(place: Place, seen: Callable[..., None]) -> None:
    """Ten clients of one pool lose their connections; afterwards all ten work."""
    pool = redis.Redis(port=place.port, retry=Retry(NoBackoff(), 0), driver_info=None)
    with ThreadPoolExecutor(10) as threads, pool:
        sentence = "reset match command=GET"
        with place.node.fault("cache", sentence, fired=10):
            sights = list(threads.map(lambda _: look(pool.get, "a"), range(10)))
            for sight in sights:
                sight.raised(*LOST["reset"])
        assert list(threads.map(lambda _: pool.get("a"), range(50))) == [b"1"] * 50
        seen("reset", f"{sentence} (ten clients of one pool)", sights[0], "anew")
