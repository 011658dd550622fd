"""What requests sees of every kind on HTTP, in front of a real nginx."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Case, Sight, check, identity, look, usable
from http_place import (
    BIG,
    CHUNKED,
    NGINX,
    NOTE,
    SHORT,
    Place,
    Web,
    by_fresh,
    cleared,
    started,
)
from requests import exceptions

from rascal.faults.build import tables
from rascal.wire.http import PROTOCOL

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")
SEEN = ("http", "requests")


@pytest.fixture(scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with started(tmp_path_factory.mktemp("http")) as place:
        yield place


@pytest.fixture
def place(_place: Place) -> Iterator[Place]:
    with cleared(_place):
        yield _place


def get(path: str) -> Callable[[Web], Any]:
    return lambda web: web.says(path)


def hello(web: Web) -> str:
    return web.says("/hello")


def charge(web: Web) -> str:
    """Without a body, so that all is sent at once: http.client is at a loss between two sends."""
    return web.says("/charge", "POST")


def big(web: Web) -> bytes:
    return web.ask("/big.txt").content


def chunked(web: Web) -> bytes:
    return web.ask("/chunked.txt").content


def read_some(path: str, wanted: int) -> Callable[[Web], Any]:
    """Stream the body; if that fails, it is remembered how much came before."""

    def call(web: Web) -> Any:
        got = b""
        with web.ask(path, stream=True) as reply:
            try:
                for data in reply.iter_content(100):
                    got += data
            except exceptions.RequestException as error:
                assert len(got) == wanted, f"{len(got)} bytes came"
                raise type(error)(f"after {len(got)} bytes: {error}") from error
        return f"{len(got)} bytes"

    return call


PAID = '200 {"paid": true}'
HELLO = "200 hello"
# ---- kinds on messages ---------------------------------------------------------------------------


def took(low: float, high: float = 5.0) -> tuple[float, float]:
    return (low, high)


LOST: dict[str, tuple[Any, str]] = {
    "hang": (exceptions.ReadTimeout, "Read timed out"),
    "close": (exceptions.ConnectionError, "RemoteDisconnected"),
    "reset": (exceptions.ConnectionError, "Connection reset by peer"),
}
# in the middle of a body
BROKEN: dict[str, tuple[Any, str]] = {
    "hang": (exceptions.ConnectionError, "Read timed out"),
    "close": (exceptions.ChunkedEncodingError, "IncompleteRead|ended prematurely"),
    "reset": (exceptions.ChunkedEncodingError, "Connection reset by peer"),
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
GET, POST = "match method=GET and path=/hello", "match method=POST"
LARGE, MANY = "match path=/big.txt", "match path=/chunked.txt"


def done(count: int) -> Callable[[Any], None]:
    """So many charges were made; filled in by the test, which knows the place."""

    def proves(web: Any) -> None:
        web.place.wait_served("POST /charge 200", count)

    return proves


MESSAGE_CASES = [
    *(Case("delay", f"delay({text}) {GET}", hello, HELLO, took=took(low)) for text, low in DELAYS),
    Case("delay", f"delay(60ms) {GET} at request,reply", hello, HELLO, took=took(0.12)),
    Case("delay", f"delay(60ms) {GET} at reply", hello, HELLO, took=took(0.06)),
    Case("stall", f"stall {GET}", hello, *LOST["hang"], "anew"),
    Case("stall", f"stall(20B, hold=80ms) {GET}", hello, HELLO, took=took(0.08)),
    Case("stall", f"stall(1KB, hold=80ms) {LARGE}", big, BIG, took=took(0.08)),
    Case("stall", f"stall(1KB) {LARGE}", big, *BROKEN["hang"], "anew"),
    Case("stall", f"stall(chunks=2, hold=80ms) {MANY}", chunked, CHUNKED, took=took(0.08)),
    Case(
        "stall",
        f"stall(chunks=2) {MANY}",
        read_some("/chunked.txt", 2048),
        exceptions.ConnectionError,
        "after 2048 bytes: .*Read timed out",
        "anew",
    ),
    *(
        Case(kind, f"{kind} {POST}{moment}", charge, *LOST[kind], "anew", proves=done(count))
        for kind in ("reset", "close")
        for moment, count in (("", 0), (" at reply", 1))
    ),
    # http.client takes what there is of a head for all of it, and the end for the body's
    Case("close", f"close(20B) {GET}", hello, "200", after="anew"),
    Case("reset", f"reset(20B) {GET}", hello, *LOST["reset"], "anew"),
    Case("close", f"close(1KB) {LARGE}", big, *BROKEN["close"], "anew"),
    Case("reset", f"reset(1KB) {LARGE}", big, *BROKEN["reset"], "anew"),
    *(
        Case(
            "lose_request",
            f"lose_request(then={then}) {POST}",
            charge,
            *LOST[then],
            "anew",
            proves=done(0),
        )
        for then in LOST
    ),
    *(
        Case(
            "lose_reply",
            f"lose_reply(then={then}) {POST} count 1",
            charge,
            *LOST[then],
            "anew",
            proves=done(1),
        )
        for then in LOST
    ),
    *(
        Case("truncate", f"truncate(bytes=1KB, then={then}) {LARGE}", big, *BROKEN[then], "anew")
        for then in LOST
    ),
    *(
        Case(
            "truncate",
            f"truncate(chunks=3, then={then}) {MANY}",
            read_some("/chunked.txt", 3072) if then != "reset" else chunked,
            BROKEN[then][0],
            ("after 3072 bytes: .*" if then != "reset" else "") + f"({BROKEN[then][1]})",
            "anew",
        )
        for then in LOST
    ),
    Case("truncate", f"truncate(chunks=3, then=end) {MANY}", chunked, CHUNKED[:3072]),
    Case("truncate", f"truncate(chunks=0, then=end) {MANY}", chunked, b""),
    Case("duplicate", f"duplicate {POST}", charge, PAID, proves=done(2)),
    Case("replace", f"replace(body='out of order') {GET}", hello, "200 out of order"),
    Case(
        "replace",
        "replace(status=202, body='{\"paid\": false}') match path=/charge at request",
        lambda web: web.ask("/charge", "POST").json(),
        {"paid": False},
        proves=done(0),
    ),
    Case("replace", f"replace(style=login) {GET}", hello, lambda s: contains(s, "password")),
    Case("empty", "empty match path=/items.json", get("/items.json"), "200"),
    Case("empty", f"empty {POST}", charge, "200", proves=done(1)),
    Case("empty", f"empty {POST} at request", charge, "200", proves=done(0)),
    Case("error", f"error(503) {GET}", hello, lambda s: contains(s, "503")),
]


def contains(sight: Sight, text: str) -> None:
    assert text in str(sight.value)


def impatient(case: Case) -> bool:
    """It waits for what never comes."""
    return "timed out" in case.text


@pytest.mark.parametrize("case", MESSAGE_CASES, ids=str)
def test_kinds_on_messages(case: Case, place: Place, seen: Callable[..., None]) -> None:
    web = place.client(timeout=SHORT if impatient(case) else 5)
    web.place = place  # type: ignore[attr-defined]
    check(case, place.node, "web", web, seen)


# ---- kinds that only HTTP has --------------------------------------------------------------------

OWN_CASES = [
    Case(
        "bad_framing",
        f"bad_framing(too_long) {LARGE}",
        read_some("/big.txt", 4000),
        exceptions.ConnectionError,
        "after 4000 bytes: .*Read timed out",
        "anew",
    ),
    Case(
        "bad_framing",
        f"bad_framing(two_lengths) {LARGE}",
        big,
        exceptions.InvalidHeader,
        "Content-Length contained multiple unmatching values",
        "anew",
    ),
    Case("bad_framing", f"bad_framing(both) {LARGE}", big, BIG),
    Case(
        "bad_framing",
        f"bad_framing(chunk_size) {LARGE}",
        big,
        exceptions.ChunkedEncodingError,
        "InvalidChunkLength.*b'xyz",
        "anew",
    ),
    Case(
        "bad_framing",
        f"bad_framing(no_last_chunk) {LARGE}",
        read_some("/big.txt", 4000),
        exceptions.ConnectionError,
        "after 4000 bytes: .*Read timed out",
        "anew",
    ),
    Case("bad_body", f"bad_body(half) {LARGE}", big, BIG[:2000]),
    Case(
        "bad_body",
        "bad_body(half) match path=/items.json",
        lambda web: web.ask("/items.json").json(),
        exceptions.JSONDecodeError,
        "Unterminated string|Expecting",
    ),
    Case(
        "bad_body",
        "bad_body(null) match path=/items.json",
        lambda web: web.ask("/items.json").json(),
        None,
    ),
    Case(
        "bad_body",
        "bad_body(html) match path=/items.json",
        lambda web: web.ask("/items.json").json(),
        exceptions.JSONDecodeError,
        "Expecting value",
    ),
    Case(
        "bad_body",
        "bad_body(gzip) match path=/items.json",
        lambda web: web.ask("/items.json").json(),  # what could be unpacked passes for all
        exceptions.JSONDecodeError,
        "Unterminated string",
    ),
    Case(
        "bad_body",
        "bad_body(charset) match path=/hello",
        lambda web: web.ask("/hello").encoding,
        "utf-16",
    ),
    Case(
        "bad_body",
        "bad_body(type) match path=/items.json",
        lambda web: web.ask("/items.json").headers["Content-Type"],
        "application/octet-stream",
    ),
    Case(
        "bad_body",
        "bad_body(without=name) match path=/items.json",
        lambda web: web.ask("/items.json").json(),
        [{"id": 1}, {"id": 2}],
    ),
    Case(
        "huge_headers",
        f"huge_headers(64KiB) {GET}",
        lambda web: sum(map(len, web.ask("/hello").headers.values())) > 60_000,
        True,
    ),
    Case(
        "huge_headers",
        f"huge_headers(100KB, fields=1) {GET}",
        hello,
        exceptions.ConnectionError,
        "got more than 65536 bytes when reading header line",
        "anew",
    ),
    Case(
        "huge_headers",
        f"huge_headers(10KB, fields=200) {GET}",
        hello,
        exceptions.ConnectionError,
        "got more than 100 headers",
        "anew",
    ),
    Case("no_keepalive", f"no_keepalive {GET}", hello, HELLO, after="anew"),
    Case(
        "redirect",
        f"redirect {GET}",
        hello,
        exceptions.TooManyRedirects,
        "Exceeded 30 redirects",
        fired=31,
    ),
    Case(
        "redirect",
        f"redirect(http://127.0.0.1:1/) {GET}",
        hello,
        exceptions.ConnectionError,
        "Connection refused",
    ),
    Case("redirect", f"redirect(/login) {GET}", hello, "200 in"),
    Case(
        "redirect",
        "redirect(/login, status=303) match path=/charge at reply",
        charge,
        "200 in",
        proves=done(1),
    ),
    Case(
        "redirect",
        "redirect(/charge, status=307) match path=/hello at request",
        lambda web: web.says("/hello", "POST", json={}),
        PAID,
        proves=done(1),
    ),
    Case(
        "redirect",
        "redirect(/charge, status=302) match path=/hello at request",
        lambda web: web.ask("/hello", "POST", json={}).request.method,
        "GET",
        proves=done(0),
    ),
]


@pytest.mark.parametrize("case", OWN_CASES, ids=str)
def test_kinds_of_http(case: Case, place: Place, seen: Callable[..., None]) -> None:
    test_kinds_on_messages(case, place, seen)


def test_a_length_that_is_too_short(place: Place, seen: Callable[..., None]) -> None:
    """What is left over is thrown away with the buffer it was read into; if it comes later, urllib3
    finds the idle connection readable and drops it. By hand it stands before the next reply."""
    web = place.client()
    before = identity(web)
    sentence = f"bad_framing(too_short, bytes=7B) {LARGE}"
    with place.node.fault("web", sentence):
        sight = look(big, web)
        sight.got(BIG[:3993])
    assert hello(web) == HELLO
    assert usable(web, before) in ("yes", "anew")
    seen("bad_framing", sentence, sight, "yes")
    with place.raw() as raw, place.node.fault("web", sentence):
        assert raw(b"GET /big.txt HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"x" * 3993)
        reply = raw(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert reply.startswith(b"x" * 7 + b"HTTP/1.1 200 OK\r\n")


def test_replies_that_cannot_be_changed_pass(place: Place) -> None:
    """Too large a body, or none at all."""
    (place.folder / "www" / "large.txt").write_bytes(b"x" * 100_000)
    web = place.client()
    with place.node.fault("web", "bad_body(null)", fired=0) as fault:
        assert len(web.ask("/large.txt").content) == 100_000
        assert web.ask("/nothing").status_code == 204
        assert web.ask("/big.txt", "HEAD").headers["Content-Length"] == "4000"
        assert fault.skipped == {"too_large": 1, "nothing": 2}


# ---- held, old, limited --------------------------------------------------------------------------


def test_hang_until_it_is_removed(place: Place, seen: Callable[..., None]) -> None:
    web = place.client()
    before = identity(web)
    for sentence in (f"hang {GET}", f"hang {GET} at reply", "hang per connection"):
        with ThreadPoolExecutor(1) as pool, place.node.fault("web", sentence) as hang:
            if "per" not in sentence:
                waiting = pool.submit(look, hello, web)
                hang.wait(waiting=1)
            else:
                hang.wait(fired=1)
                waiting = pool.submit(look, hello, web)
                with pytest.raises(TimeoutError):
                    waiting.result(SHORT)
            assert not waiting.done()
            hang.remove()
            sight = waiting.result(5)
            sight.got(HELLO)
        after = usable(web, before)
        assert after == "yes"
        seen("hang", sentence, sight, after)


def test_hang_that_outlasts_the_client(place: Place, seen: Callable[..., None]) -> None:
    web = place.client(timeout=SHORT)
    before = identity(web)
    sentence = f"hang {POST}"
    with place.node.fault("web", sentence):
        sight = look(charge, web)
        sight.raised(*LOST["hang"])
        assert place.served("POST /charge 200") == 0
    after = usable(web, before)
    assert after == "anew"
    # what was held is released in order when the hang goes; its client has left behind it: nginx
    # answers, or says 499, that the client has gone
    place.node.control.wait_until(
        lambda: place.served("POST /charge 200") + place.served("POST /charge 499")
    )
    seen("hang", sentence, sight, after)


def test_hang_that_closes_on_removal(place: Place, seen: Callable[..., None]) -> None:
    web = place.client()
    before = identity(web)
    sentence = f"hang {POST} on_remove close"
    with ThreadPoolExecutor(1) as pool, place.node.fault("web", sentence) as hang:
        waiting = pool.submit(look, charge, web)
        hang.wait(waiting=1)
        hang.remove()
        sight = waiting.result(5)
        sight.raised(*LOST["close"])
    seen("hang", sentence, sight, usable(web, before))
    assert place.served("POST /charge 200") == 0


def note(web: Web) -> bytes:
    return web.ask("/note.txt").content


def test_stale(place: Place, seen: Callable[..., None]) -> None:
    web = place.client()
    before = identity(web)
    sentence = "stale match path=/note.txt"
    with place.node.fault("web", sentence, fired=2) as stale:
        assert note(web) == NOTE
        place.write(b"another note\n")
        sight = look(note, web)
        sight.got(NOTE)
        assert web.ask("/note.txt?v=2").content == b"another note\n"  # another question
        assert note(web) == NOTE
        assert stale.skipped == {"nothing": 2}
    after = usable(web, before)
    assert after == "yes"
    seen("stale", sentence, sight, after)
    assert note(web) == b"another note\n"


def test_stale_by_age(place: Place, seen: Callable[..., None]) -> None:
    web = place.client()
    sentence = "stale(300ms) match path=/note.txt"
    with place.node.fault("web", sentence, fired=None):
        assert note(web) == NOTE
        place.write(b"another note\n")
        began = time.monotonic()
        place.node.control.wait_until(lambda: time.monotonic() - began > 0.31)
        sight = look(note, web)
        sight.got(NOTE)
        place.node.control.wait_until(lambda: note(web) != NOTE, seconds=2, every=0.1)
    seen("stale", sentence, sight, usable(web, identity(web)))


def test_stale_chunks(place: Place) -> None:
    web = place.client()
    with place.node.fault("web", f"stale {MANY}", fired=1):
        assert chunked(web) == CHUNKED
        assert chunked(web) == CHUNKED
    assert usable(web, identity(web)) == "yes"


def test_rate_limits(place: Place, seen: Callable[..., None]) -> None:
    web = place.client()
    before = identity(web)
    sentence = f"rate_limit(1/m, burst=2, error=429, retry_after=3s) {GET}"
    with place.node.fault("web", sentence, fired=1) as limit:
        assert [hello(web), hello(web)] == [HELLO, HELLO]
        sight = look(lambda: web.ask("/hello").headers["Retry-After"])
        sight.got("3")
        assert limit.skipped == {"under": 2}
    seen("rate_limit", sentence, Sight("429, Retry-After: 3"), usable(web, before))
    sentence = f"rate_limit(10/s, burst=1) {GET}"
    with place.node.fault("web", sentence, fired=2):
        sight = look(lambda: [hello(web) for _ in range(3)])
        sight.got([HELLO] * 3)
        assert 0.19 <= sight.seconds < 3
    after = usable(web, before)
    assert after == "yes"
    seen("rate_limit", sentence, sight, after)
    for mode in ("close", "reset"):
        sentence = f"rate_limit(1/m, burst=1, mode={mode}) {GET}"
        before = identity(web)
        with place.node.fault("web", sentence, fired=1):
            assert hello(web) == HELLO
            sight = look(hello, web)
            sight.raised(*LOST[mode])
        seen("rate_limit", sentence, sight, usable(web, before))


def test_concurrency(place: Place, seen: Callable[..., None]) -> None:
    """The slot is held by a request whose reply a hang keeps."""
    slow, web = place.client(), place.client()
    before = identity(web)
    for sentence in (
        "concurrency(1) match path=/hello,/charge",
        "concurrency(1, error=503) match path=/hello,/charge",
    ):
        waits = "error" not in sentence
        control = place.node.control
        with ThreadPoolExecutor(2) as pool, place.node.fault("web", sentence) as limit:
            hang = control.add("web", f"hang {POST} at reply")
            charging = pool.submit(charge, slow)
            limit.wait(matched=1)
            asking = pool.submit(look, hello, web)
            limit.wait(matched=2)
            if waits:
                limit.wait(waiting=1)
                assert not asking.done()
            else:
                assert "503" in asking.result(5).value
            control.remove("web", hang["name"])
            assert charging.result(5) == PAID
            sight = asking.result(5)
            if waits:
                sight.got(HELLO)
        after = usable(web, before)
        assert after == "yes"
        seen("concurrency", sentence, sight, after)


# ---- kinds on connections and bytes --------------------------------------------------------------


def silence(seconds: float, then: Callable[[Web], Any]) -> Callable[[Web], Any]:
    """Say nothing for a while: what these kinds wait for."""

    def call(web: Web) -> Any:
        time.sleep(seconds)
        return then(web)

    return call


def garbled(sight: Sight) -> None:
    """As long as it was, and not what it was."""
    assert len(sight.value) == len(BIG)
    assert 2 <= sum(one != ord("x") for one in sight.value) <= 5


OUT = "direction to_client"
BYTE_CASES = [
    Case("noop", "noop", hello, HELLO),
    Case("delay", "delay(40ms) per connection", hello, HELLO, took=took(0.08)),
    Case("delay", "delay(80ms) at connect", by_fresh(hello), HELLO, took=took(0.08)),
    Case("throttle", f"throttle(20KB/s) {OUT}", big, BIG, took=took(0.15, 2)),
    Case("slice", "slice(100B, delay=1ms)", big, BIG, took=took(0.03)),
    Case("slice", f"slice(300B, vary=200B) {OUT}", chunked, CHUNKED),
    Case("trickle", "trickle(2ms, size=100B)", big, BIG, took=took(0.08)),
    Case("stall", "stall(500B, hold=100ms) per connection", big, BIG, took=took(0.1)),
    Case("limit", f"limit(1000B) {OUT}", big, *BROKEN["close"], "anew"),
    Case("limit", f"limit(1000B, then=reset) {OUT}", big, *BROKEN["reset"], "anew"),
    Case("limit", f"limit(50B) {OUT}", hello, "200", after="anew"),
    Case("limit", f"limit(5B) {OUT}", hello, exceptions.ConnectionError, "BadStatusLine", "anew"),
    Case("reset", "reset(1000B) per connection", big, *BROKEN["reset"], "anew"),
    Case("close", "close(1000B) per connection", big, *BROKEN["close"], "anew"),
    Case("reset", "reset at connect", by_fresh(hello), *LOST["reset"]),
    Case(
        "close",
        "close at connect",
        by_fresh(hello),
        exceptions.ConnectionError,
        "RemoteDisconnected|reset by peer|Broken pipe",
    ),
    Case("corrupt", f"corrupt(gap=1000B) {OUT}", big, garbled),
    Case(
        "corrupt",
        f"corrupt(gap=3B) {OUT}",
        hello,
        exceptions.ConnectionError,
        "BadStatusLine|Remote end closed|Connection aborted",
        "anew",
    ),
    Case("blackhole", "blackhole", hello, *LOST["hang"], "anew"),
    Case("blackhole", f"blackhole(50ms) {OUT}", hello, *LOST["close"], "anew"),
    Case("hang", "hang per connection", hello, *LOST["hang"], "anew"),
    Case("hang", "hang at connect", by_fresh(hello, timeout=SHORT), *LOST["hang"]),
    # urllib3 looks whether a connection has been closed before it uses it again
    Case("max_age", "max_age(50ms)", silence(0.2, hello), HELLO, after="anew", fired=None),
    Case(
        "max_age",
        "max_age(100ms, then=silent) count 1",
        silence(0.3, hello),
        *LOST["reset"],
        "anew",
    ),
    Case("idle_kill", "idle_kill(100ms)", silence(0.3, hello), HELLO, after="anew", fired=None),
    Case(
        "idle_kill",
        "idle_kill(100ms, then=reset) count 1",
        silence(0.3, hello),
        HELLO,
        after="anew",
    ),
    Case(
        "idle_kill",
        "idle_kill(100ms, then=silent) count 1",
        silence(0.3, hello),
        *LOST["reset"],
        "anew",
    ),
    Case("max_connections", "max_connections(1)", by_fresh(hello), *LOST["reset"]),
    Case(
        "max_connections",
        "max_connections(0, then=close)",
        by_fresh(hello),
        exceptions.ConnectionError,
        "RemoteDisconnected|reset by peer|Broken pipe",
    ),
    Case(
        "max_connections",
        "max_connections(1, then=hang)",
        by_fresh(hello, timeout=SHORT),
        *LOST["hang"],
    ),
    Case("refuse", "refuse", by_fresh(hello), exceptions.ConnectionError, "Connection refused"),
    Case("refuse", "99.9% refuse match client=127.0.0.0/8", by_fresh(hello), *LOST["reset"]),
    Case("refuse", "refuse count 2", by_fresh(hello), *LOST["reset"]),
    Case(
        "unreachable",
        "unreachable",
        by_fresh(hello, timeout=SHORT),
        exceptions.ConnectTimeout,
        "timed out",
    ),
]


@pytest.mark.parametrize("case", BYTE_CASES, ids=str)
def test_kinds_on_connections(case: Case, place: Place, seen: Callable[..., None]) -> None:
    test_kinds_on_messages(case, place, seen)


def test_slow_close(place: Place, seen: Callable[..., None]) -> None:
    sentence = f"slow_close(200ms) {OUT}"
    with place.node.fault("web", sentence), place.raw() as raw:
        reply = raw(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert reply.endswith(b"hello")
        sight = look(raw.socket.recv, 100)
        sight.got(b"")
        assert sight.seconds >= 0.15
    seen("slow_close", sentence, sight, usable(place.client()))


def test_every_kind_is_here() -> None:
    cases = {case.name for case in (*MESSAGE_CASES, *OWN_CASES, *BYTE_CASES)}
    alone = {"stale", "rate_limit", "concurrency", "slow_close"}
    assert cases | alone == set(tables(PROTOCOL))


def test_a_pool_recovers(place: Place, seen: Callable[..., None]) -> None:
    """Ten connections are reset; afterwards all work."""
    webs = [place.client() for _ in range(10)]
    for web in webs:
        hello(web)
    sentence = f"reset {GET}"
    with ThreadPoolExecutor(10) as pool:
        with place.node.fault("web", sentence, fired=10):
            sights = list(pool.map(lambda web: look(hello, web), webs))
            for sight in sights:
                sight.raised(*LOST["reset"])
        assert list(pool.map(hello, webs)) == [HELLO] * 10
    seen("reset", f"{sentence} (ten clients at a time)", sights[0], "anew")
