"""What plain sockets and redis-py see of every kind that needs no codec (protocol tcp)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from harness import Case, Node, Sight, check, identity, look, running, usable
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis_servers import REDIS, redis_server
from tcp_peers import Door, Echo, Talk, dial, read, read_address, rest, write_address

from rascal.faults.build import tables
from rascal.wire.tcp import PROTOCOL

SEEN = ("tcp", "socket")
INI = """\
[proxy:echo]
protocol = tcp
listen = 127.0.0.1:0
upstream = {echo}

[proxy:door]
protocol = tcp
listen = 127.0.0.1:0
upstream = {door}
"""
SHORT = 0.3


class Place:
    """A proxy in front of an Echo, another in front of a Door."""

    def __init__(self, node: Node, echo: Echo, door: Door) -> None:
        self.node = node
        self.echo = echo
        self.door = door
        self.talks: list[Talk] = []

    def talk(self, timeout: float = 5) -> Talk:
        self.talks.append(Talk(read_address(self.node.address("echo")), timeout))
        return self.talks[-1]

    def pair(self) -> tuple[Any, Any]:
        """Both ends of one connection through the proxy."""
        client = dial(read_address(self.node.address("door")))
        return client, self.door.accept()


@pytest.fixture(scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tcp")
    with Echo() as echo, Door() as door:
        ini = INI.format(echo=write_address(echo.address), door=write_address(door.address))
        with running(folder, ini) as node:
            yield Place(node, echo, door)


@pytest.fixture
def place(_place: Place) -> Iterator[Place]:
    _place.node.clear()
    for proxy in ("echo", "door"):
        _place.node.empty(proxy)
    yield _place
    while _place.talks:
        _place.talks.pop().close()
    _place.node.clear()


def word(talk: Talk) -> bytes:
    return talk.say(b"hello")


DATA = bytes(range(256)) * 16


def much(talk: Talk) -> bytes:
    return talk.say(DATA)


def another(does: Callable[[Talk], Any]) -> Callable[[Talk], Any]:
    """Do it on a new connection; its own is left alone."""

    def call(talk: Talk) -> Any:
        other = Talk(talk.address, talk.timeout)
        try:
            return does(other)
        finally:
            other.close()

    return call


def later(seconds: float, does: Callable[[Talk], Any]) -> Callable[[Talk], Any]:
    def call(talk: Talk) -> Any:
        time.sleep(seconds)
        return does(talk)

    return call


def garbled(sight: Sight) -> None:
    assert len(sight.value) == len(DATA)
    wrong = [n for n, (a, b) in enumerate(zip(sight.value, DATA, strict=True)) if a != b]
    assert wrong == [n for n in range(len(DATA)) if n % 1000 == 999]


def impatient(talk: Talk) -> bytes:
    talk.sock.settimeout(SHORT)
    return word(talk)


RESET, TIMEOUT = ConnectionResetError, TimeoutError
CASES = [
    Case("delay", "delay(50ms)", word, b"hello", took=(0.1, 2)),
    Case("delay", "delay(50ms) direction to_client", word, b"hello", took=(0.05, 2)),
    Case("delay", "delay(40ms..60ms) direction to_upstream", word, b"hello", took=(0.04, 2)),
    Case("delay", "delay(normal(60ms, 5ms)) direction to_client", word, b"hello", took=(0.03, 2)),
    Case("delay", "delay(exponential(20ms)) direction to_client", word, b"hello"),
    Case("delay", "delay(pareto(40ms, 3)) direction to_client", word, b"hello", took=(0.04, 2)),
    Case("delay", "delay(one_of(40ms, 50ms)) direction to_client", word, b"hello", took=(0.04, 2)),
    Case("delay", "delay(lognormal(40ms, 60ms)) direction to_client", word, b"hello"),
    Case(
        "delay",
        "delay(percentiles(min=40ms, p50=60ms)) direction to_client",
        word,
        b"hello",
        took=(0.04, 2),
    ),
    Case("delay", "delay(80ms) at connect", another(word), b"hello", took=(0.08, 2)),
    Case("throttle", "throttle(20KB/s) direction to_client", much, DATA, took=(0.15, 2)),
    Case("throttle", "throttle(20KB/s)", much, DATA, took=(0.15, 2)),
    Case("throttle", "throttle(0) direction to_client", impatient, TIMEOUT, "timed out", "anew"),
    Case("noop", "noop", word, b"hello"),
    Case("slice", "slice(100B, vary=50B, delay=1ms)", much, DATA, took=(0.03, 2)),
    Case("trickle", "trickle(2ms, size=100B) direction to_upstream", much, DATA, took=(0.08, 2)),
    Case("stall", "stall(1000B, hold=100ms) direction to_client", much, DATA, took=(0.1, 2)),
    Case("stall", "stall(2B)", impatient, TIMEOUT, "timed out", "anew"),
    Case("corrupt", "corrupt(gap=1000B) direction to_client", much, garbled),
    Case("limit", "limit(1000B) direction to_client", much, EOFError, "after 1000 b", "anew"),
    Case("limit", "limit(1000B, then=reset)", much, RESET, after="anew"),
    Case("limit", "limit(0)", word, EOFError, "FIN after 0 bytes", "anew"),
    Case("close", "close(1000B) direction to_client", much, EOFError, "after 1000 b", "anew"),
    Case("close", "close at connect", another(word), EOFError, "FIN after 0 bytes"),
    Case("reset", "reset(1000B) direction to_upstream", much, RESET, after="anew"),
    Case(
        "reset", "reset(hold=80ms) direction to_upstream", word, RESET, "", "anew", took=(0.08, 2)
    ),
    Case("reset", "reset at connect", another(word), RESET),
    Case("hang", "hang", impatient, TIMEOUT, "timed out", "anew"),
    Case("hang", "hang at connect", another(impatient), TIMEOUT, "timed out"),
    Case("blackhole", "blackhole", impatient, TIMEOUT, "timed out", "anew"),
    Case("blackhole", "blackhole direction to_client", impatient, TIMEOUT, "timed out", "anew"),
    Case("blackhole", "blackhole(50ms)", word, EOFError, "FIN after 0", "anew", took=(0.04, 2)),
    Case("blackhole", "blackhole(50ms, idle=yes)", later(0.3, word), EOFError, "", "anew"),
    Case("max_age", "max_age(50ms)", later(0.2, word), EOFError, "FIN after 0", "anew"),
    Case("max_age", "max_age(50ms, then=reset)", later(0.2, word), RESET, after="anew"),
    Case("max_age", "max_age(50ms, then=silent)", later(0.2, word), RESET, after="anew"),
    Case("idle_kill", "idle_kill(100ms)", later(0.3, word), EOFError, "FIN after 0", "anew"),
    Case("idle_kill", "idle_kill(100ms, then=reset)", later(0.3, word), RESET, after="anew"),
    Case("idle_kill", "idle_kill(100ms, then=silent)", later(0.3, word), RESET, after="anew"),
    Case("max_connections", "max_connections(1)", another(word), RESET),
    Case("max_connections", "max_connections(1, then=close)", another(word), EOFError, "after 0"),
    Case("max_connections", "max_connections(1, then=hang)", another(impatient), TIMEOUT),
    Case("refuse", "refuse", another(word), ConnectionRefusedError),
    Case("refuse", "99.9% refuse", another(word), RESET),
    Case("refuse", "refuse count 1", another(word), RESET),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kinds(case: Case, place: Place, seen: Callable[..., None]) -> None:
    check(case, place.node, "echo", place.talk(), seen)


def test_every_kind_is_here() -> None:
    alone = {"slow_close", "unreachable"}
    assert {case.name for case in CASES} | alone == set(tables(PROTOCOL))


def test_unreachable(place: Place, seen: Callable[..., None]) -> None:
    talk = place.talk()
    before = identity(talk)
    with place.node.fault("echo", "unreachable"):
        sight = look(dial, talk.address, SHORT)
        sight.raised(TIMEOUT, "timed out")
        assert talk.ping()  # those that live already are left alone
    after = usable(talk, before)
    assert after == "yes"
    assert word(place.talk()) == b"hello"
    seen("unreachable", "unreachable", sight, after)


def test_slow_close(place: Place, seen: Callable[..., None]) -> None:
    """FIN comes late, each way; what was sent does not."""
    for direction in ("to_upstream", "to_client"):
        sentence = f"slow_close(200ms) direction {direction}"
        client, server = place.pair()
        with client, server, place.node.fault("door", sentence, fired=1) as fault:
            fault.wait(matched=1)
            ends = (client, server) if direction == "to_upstream" else (server, client)
            ends[0].sendall(b"bye")
            ends[0].shutdown(1)
            assert read(ends[1], 3) == b"bye"
            sight = look(ends[1].recv, 10)
            sight.got(b"")
            assert 0.15 < sight.seconds < 2
            ends[1].sendall(b"half")  # the other half is open
            assert read(ends[0], 4) == b"half"
        seen("slow_close", sentence, sight, "yes")


def test_a_hang_is_released_in_order(place: Place, seen: Callable[..., None]) -> None:
    client, server = place.pair()
    with client, server, place.node.fault("door", "hang direction to_upstream") as hang:
        hang.wait(fired=1)
        for n in range(100):
            client.sendall(b"%03d" % n)
        client.shutdown(1)
        server.sendall(b"free")
        assert read(client, 4) == b"free"
        server.settimeout(SHORT)
        with pytest.raises(TimeoutError):
            server.recv(1)
        server.settimeout(5)
        hang.remove()
        sight = look(rest, server)
        sight.got(b"".join(b"%03d" % n for n in range(100)))
    seen("hang", "hang direction to_upstream", sight, "yes")


def test_a_throttled_line_takes_new_options_at_once(place: Place) -> None:
    """Nothing is matched or drawn anew, the connection is slow as before or fast from now on."""
    talk = place.talk()
    sentence = "throttle(100B/s) direction to_client"
    with ThreadPoolExecutor(1) as pool, place.node.fault("echo", sentence) as slow:
        slow.wait(fired=1)
        waiting = pool.submit(look, much, talk)
        with pytest.raises(TimeoutError):
            waiting.result(SHORT)
        place.node.control.change("echo", slow.name, {"options": {"rate": "1MB/s"}})
        waiting.result(5).got(DATA)


@pytest.mark.skipif(not REDIS, reason="redis-server is not installed")
@pytest.mark.parametrize(
    ("sentence", "sees", "after"),
    [
        ("delay(50ms)", b"1", "yes"),
        ("slice(1B)", b"1", "yes"),
        ("limit(6B) direction to_client", redis.ConnectionError, "anew"),
        ("reset(2B) direction to_client", redis.ConnectionError, "anew"),
        ("blackhole", redis.TimeoutError, "anew"),
        ("stall(2B)", redis.TimeoutError, "anew"),
    ],
)
def test_redis_as_bytes(
    sentence: str,
    sees: Any,
    after: str,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> None:
    """A client library without the proxy knowing its protocol."""
    node, port = request.getfixturevalue("bytes_of_redis")
    node.clear()
    node.empty("redis")
    with redis.Redis(
        port=port, retry=Retry(NoBackoff(), 0), max_connections=1, socket_timeout=SHORT, protocol=2
    ) as client:
        client.set("a", "1")
        name = sentence.partition("(")[0]
        add = request.getfixturevalue("seen")
        check(
            Case(name, sentence, lambda c: c.get("a"), sees, after=after),
            node,
            "redis",
            client,
            lambda name, text, *rest: add(name, f"{text} (redis-py)", *rest),
        )


@pytest.fixture(scope="module")
def bytes_of_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, int]]:
    folder = tmp_path_factory.mktemp("redis")
    ini = "[proxy:redis]\nprotocol = tcp\nlisten = 127.0.0.1:0\nupstream = 127.0.0.1:{}\n"
    with redis_server(folder) as port, running(folder, ini.format(port)) as node:
        yield node, node.port("redis")
