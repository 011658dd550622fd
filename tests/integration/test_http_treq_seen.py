"""What treq sees of every kind and every catalogue error of HTTP, in front of a real nginx."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import treq
from harness import Sight
from http_place import BIG, CHUNKED, NGINX, NOTE, SHORT, Place, cleared, started
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.web.client import Agent, HTTPConnectionPool
from within import until, within

from rascal.faults.build import tables
from rascal.wire.http import PROTOCOL
from rascal.wire.http_errors import ERRORS

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")
SEEN = ("http", "treq")
HELLO = "200 hello"
PAID = '200 {"paid": true}'


@pytest.fixture(scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with started(tmp_path_factory.mktemp("http")) as place:
        yield place


@pytest.fixture
def place(_place: Place) -> Iterator[Place]:
    with cleared(_place):
        yield _place


class Asker:
    """treq with one connection that is kept, and without Agent's retries."""

    def __init__(self, place: Place, timeout: float = 5.0, proxy: str = "web") -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.url = f"http://127.0.0.1:{place.node.port(proxy)}"
        self.pool = HTTPConnectionPool(reactor, persistent=True)
        self.pool.maxPersistentPerHost = 1
        self.pool.retryAutomatically = False
        agent = Agent(reactor, connectTimeout=timeout, pool=self.pool)
        self.client = treq.client.HTTPClient(agent)
        self.timeout = timeout

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Any:
        options = {"timeout": self.timeout, "unbuffered": True} | options
        return await self.client.request(method, self.url + path, **options)

    async def says(self, path: str, method: str = "GET", **options: Any) -> str:
        """`200 hello`: status and body."""
        reply = await self.ask(path, method, **options)
        body = (await within(self.timeout, reply.content())).decode("utf-8", "replace")
        return f"{reply.code} {body}".rstrip()

    async def number(self) -> str:
        """nginx's number of the connection."""
        self.timeout = 5.0
        return await self.says("/whoami")

    async def usable(self, before: str) -> str:
        """As harness.usable."""
        for _ in range(2):
            try:
                return "yes" if await self.number() == before else "anew"
            except Exception:
                await deferLater(self.reactor, 0.01)
        return "no"

    async def close(self) -> None:
        await self.pool.closeCachedConnections()


async def look(call: Awaitable[Any]) -> Sight:
    """As harness.look."""
    began = time.monotonic()
    try:
        value = await call
    except AssertionError:
        raise
    except Exception as error:
        return Sight(error=error, seconds=time.monotonic() - began)
    return Sight(value=value, seconds=time.monotonic() - began)


def named(error: BaseException | None) -> str:
    """An exception and what it was caused by: ResponseNeverReceived(ConnectionDone)."""
    if error is None:
        return ""
    inner = ", ".join(named(one.value) for one in getattr(error, "reasons", None) or [])
    name = type(error).__name__
    return f"{name}({inner})" if inner else name


# ---- the tables ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """As harness.Case; `sees`: what is said, or the exception as `named` says it."""

    sentence: str
    path: str = "/hello"
    sees: str = HELLO
    after: str = "yes"
    method: str = "GET"
    fired: int | None = 1
    took: tuple[float, float] = (0.0, 5.0)
    hasty: bool = False
    anew: bool = False
    silence: float = 0.0
    served: int | None = None

    @property
    def name(self) -> str:
        words = self.sentence.split()
        kind = words[1] if words[0].endswith("%") else words[0]
        return kind.partition("(")[0]

    def __str__(self) -> str:
        return re.sub(r"[^a-z0-9_]+", "-", self.sentence.lower()).strip("-")


GET, POST = "match path=/hello", "match method=POST"
LARGE, MANY = "match path=/big.txt", "match path=/chunked.txt"
LOST = {
    "hang": "ResponseNeverReceived(CancelledError)",
    "close": "ResponseNeverReceived(ConnectionDone)",
    "reset": "ResponseNeverReceived(ConnectionLost)",
}
CUT = "ResponseFailed(ConnectionDone, _DataLoss)"
X = "200 " + BIG.decode()
C = "200 " + CHUNKED.decode().rstrip()


def charge(sentence: str, sees: str, served: int, **more: Any) -> Case:
    return Case(sentence, "/charge", sees, method="POST", served=served, **more)


# Agent leaves the body of a redirect unread for a moment, and asks by another connection.
CASES = [
    Case("noop"),
    Case(f"delay(80ms) {GET}", took=(0.08, 2)),
    Case(f"delay(60ms) {GET} at request,reply", took=(0.12, 2)),
    Case("delay(40ms) per connection", took=(0.08, 2)),
    Case("delay(80ms) at connect", took=(0.08, 2), anew=True),
    Case(f"stall(1KB, hold=80ms) {LARGE}", "/big.txt", X, took=(0.08, 2)),
    Case(f"stall(chunks=2, hold=80ms) {MANY}", "/chunked.txt", C, took=(0.08, 2)),
    Case(f"stall(1KB) {LARGE}", "/big.txt", "TimeoutError", "anew", hasty=True),
    Case(f"stall {GET}", sees=LOST["hang"], after="anew", hasty=True),
    *(
        charge(f"{kind} {POST}{moment}", LOST[kind], served, after="anew")
        for kind in ("reset", "close")
        for moment, served in (("", 0), (" at reply", 1))
    ),
    Case(f"close(1KB) {LARGE}", "/big.txt", CUT, "anew"),
    Case(f"reset(1KB) {LARGE}", "/big.txt", "ResponseFailed(ConnectionLost, _DataLoss)", "anew"),
    *(
        charge(f"{kind}(then={then}) {POST}", sees, served, after="anew", hasty=then == "hang")
        for kind, served in (("lose_request", 0), ("lose_reply", 1))
        for then, sees in LOST.items()
    ),
    Case(f"truncate(bytes=1KB) {LARGE}", "/big.txt", CUT, "anew"),
    Case(f"truncate(bytes=1KB, then=hang) {LARGE}", "/big.txt", "TimeoutError", "anew", hasty=True),
    Case(f"truncate(chunks=3) {MANY}", "/chunked.txt", CUT, "anew"),
    Case(
        f"truncate(chunks=3, then=end) {MANY}",
        "/chunked.txt",
        "200 " + CHUNKED[:3072].decode().rstrip(),
    ),
    charge(f"duplicate {POST}", PAID, 2),
    Case(f"replace(body='out of order') {GET}", sees="200 out of order"),
    charge(f"empty {POST}", "200", 1),
    charge(f"empty {POST} at request", "200", 0),
    Case(f"error(503, style=text) {GET}", sees="503 Service Unavailable"),
    charge(f"error(502, style=text) {POST} at reply", "502 Bad Gateway", 1),
    Case(f"hang {GET}", sees=LOST["hang"], after="anew", hasty=True),
    Case("hang at connect", sees=LOST["hang"], after="yes", hasty=True, anew=True),
    Case(f"bad_framing(too_long) {LARGE}", "/big.txt", "TimeoutError", "anew", hasty=True),
    Case(f"bad_framing(two_lengths) {LARGE}", "/big.txt", "ResponseFailed(ValueError)", "anew"),
    Case(f"bad_framing(both) {LARGE}", "/big.txt", X),
    Case(
        f"bad_framing(chunk_size) {LARGE}",
        "/big.txt",
        "ResponseFailed(_MalformedChunkedDataError, _DataLoss)",
        "anew",
    ),
    Case(f"bad_framing(no_last_chunk) {LARGE}", "/big.txt", "TimeoutError", "anew", hasty=True),
    Case(f"bad_body(half) {LARGE}", "/big.txt", "200 " + "x" * 2000),
    Case("bad_body(null) match path=/items.json", "/items.json", "200 null"),
    Case("bad_body(without=name)", "/items.json", '200 [{"id":1},{"id":2}]'),
    Case(
        f"huge_headers(100KB, fields=1) {GET}", sees="ResponseFailed(ConnectionDone)", after="anew"
    ),
    Case(f"no_keepalive {GET}", after="anew"),
    Case(f"redirect {GET}", sees="ResponseFailed(InfiniteRedirection)", after="anew", fired=21),
    Case(f"redirect(/login) {GET}", sees="200 in", after="anew"),
    Case(f"redirect(http://127.0.0.1:1/) {GET}", sees="ConnectionRefusedError"),
    Case("throttle(20KB/s) direction to_client", "/big.txt", X, took=(0.15, 2)),
    Case("slice(100B, delay=1ms)", "/big.txt", X, took=(0.03, 2)),
    Case("trickle(2ms, size=100B)", "/big.txt", X, took=(0.08, 2)),
    Case("limit(1000B) direction to_client", "/big.txt", CUT, "anew"),
    Case("limit(50B) direction to_client", sees="ResponseFailed(ConnectionDone)", after="anew"),
    Case("corrupt(gap=3B) direction to_client", sees="ResponseFailed(ParseError)", after="anew"),
    Case("blackhole", sees=LOST["hang"], after="anew", hasty=True),
    Case("blackhole(50ms) direction to_client", sees=LOST["close"], after="anew"),
    Case("max_age(50ms)", silence=0.2, after="anew", fired=None),
    Case("max_age(50ms, then=silent) count 1", sees=LOST["reset"], silence=0.2, after="anew"),
    Case("idle_kill(100ms)", silence=0.3, after="anew", fired=None),
    Case("idle_kill(100ms, then=reset) count 1", silence=0.3, after="anew"),
    Case("max_connections(0)", sees=LOST["reset"], anew=True),
    Case("max_connections(0, then=hang)", sees=LOST["hang"], hasty=True, anew=True),
    Case("close at connect", sees="ResponseNeverReceived(ConnectionDone)", anew=True),
    Case("reset at connect", sees=LOST["reset"], anew=True),
    Case("refuse", sees="ConnectionRefusedError", anew=True),
    Case("refuse count 1", sees=LOST["reset"], anew=True),
    Case("unreachable", sees="ConnectingCancelledError", hasty=True, anew=True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@ensureDeferred
async def test_kinds(case: Case, place: Place, seen: Callable[..., None]) -> None:
    asker = Asker(place)
    other = Asker(place, SHORT if case.hasty else 5.0)
    before = await asker.number()
    asking = other if case.anew else asker
    try:
        with place.node.fault("web", case.sentence, fired=case.fired):
            if case.silence:
                await deferLater(asker.reactor, case.silence)
            if case.hasty:
                asking.timeout = SHORT
            sight = await look(asking.says(case.path, case.method))
            said = named(sight.error) or sight.value
            if said == "ConnectError" and case.anew and case.sees == LOST["reset"]:
                said = case.sees  # its RST was there before the client had looked
            assert said == case.sees, f"{said} {sight.error!r}"[:500]
            assert case.took[0] <= sight.seconds <= case.took[1]
        if case.served is not None:
            place.wait_served("POST /charge 200", case.served)
        after = await asker.usable(before)
        assert after == case.after
        seen(case.name, case.sentence, named(sight.error) or sight, after)
    finally:
        await asker.close()
        await other.close()
        place.node.empty("web")  # whose bodies were never read to their end


@pytest.mark.parametrize("name", ERRORS)
@ensureDeferred
async def test_errors(name: str, place: Place, seen: Callable[..., None]) -> None:
    spec = ERRORS[name]
    location = ", location=/else" if spec.code[0] == "3" and spec.code != "304" else ""
    asker = Asker(place)
    before = await asker.number()
    try:
        with place.node.fault("web", f"error({name}{location}, retry_after=2s)", fired=2) as fault:
            reply = await asker.ask("/hello", allow_redirects=False)
            assert str(reply.code) == spec.code
            assert reply.headers.getRawHeaders("Retry-After") == ["2"]
            body = await within(5, reply.text())
            assert f"<h1>{spec.code} " in body if spec.code != "304" else body == ""
            reply = await asker.ask("/hello", "HEAD", allow_redirects=False)
            assert str(reply.code) == spec.code
            assert await within(5, reply.content()) == b""
            sentence = fault.text
        after = await asker.usable(before)
        assert after == ("anew" if spec.closes else "yes")
        seen(name, sentence, f"{reply.code} {reply.phrase.decode()}, Retry-After: 2", after)
    finally:
        await asker.close()


@ensureDeferred
async def test_hang_until_it_is_removed(place: Place, seen: Callable[..., None]) -> None:
    asker = Asker(place)
    before = await asker.number()
    sentence = f"hang {GET}"
    with place.node.fault("web", sentence) as hang:
        waiting = Deferred.fromCoroutine(asker.says("/hello"))
        await until(lambda: hang.state["waiting"] == 1)
        assert not waiting.called
        hang.remove()
        assert await within(5, waiting) == HELLO
    assert await asker.usable(before) == "yes"
    await asker.close()
    seen("hang", f"{sentence} (removed while it waits)", Sight(HELLO), "yes")


@ensureDeferred
async def test_stale(place: Place, seen: Callable[..., None]) -> None:
    asker = Asker(place)
    before = await asker.number()
    sentence = "stale match path=/note.txt"
    with place.node.fault("web", sentence):
        first = await asker.says("/note.txt")
        assert first == "200 " + NOTE.decode().rstrip()
        place.write(b"another note\n")
        assert await asker.says("/note.txt") == first
    assert await asker.says("/note.txt") == "200 another note"
    after = await asker.usable(before)
    await asker.close()
    seen("stale", sentence, Sight(first), after)


@ensureDeferred
async def test_limits(place: Place, seen: Callable[..., None]) -> None:
    """Requests per second, and at a time: those above it get 429 or wait."""
    askers = [Asker(place) for _ in range(4)]
    sentence = f"rate_limit(1/m, burst=2, error=429, retry_after=3s) {GET}"
    with place.node.fault("web", sentence, fired=2):
        found = await gatherResults([Deferred.fromCoroutine(one.says("/hello")) for one in askers])
        assert sorted(one[:3] for one in found) == ["200", "200", "429", "429"]
    seen("rate_limit", sentence, "2 × 200, 2 × 429", "yes")
    sentence = f"concurrency(1) {GET}"
    with (
        place.node.fault("web", sentence, fired=3),
        place.node.fault("web", f"delay(50ms) {GET} at reply", fired=4),
    ):
        sight = await look(
            gatherResults([Deferred.fromCoroutine(one.says("/hello")) for one in askers])
        )
        assert sight.value == [HELLO] * 4
        assert sight.seconds >= 0.19
    seen("concurrency", sentence, "4 × 200, one after the other", "yes")
    for one in askers:
        await one.close()


def test_every_kind_is_here() -> None:
    alone = {"stale", "rate_limit", "concurrency", "slow_close"}
    assert {case.name for case in CASES} | alone == set(tables(PROTOCOL))
