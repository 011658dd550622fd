"""HTTP beyond single requests: keep-alive, pipelining, Expect, chunked uploads, WebSocket, CONNECT,
Host, TLS to the upstream, match fields, scripts, recipes; in front of a real nginx."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Sight, look, usable
from http_place import BIG, NGINX, SHORT, Place, Web, by_fresh, cleared, started
from nginx_server import Client
from requests import exceptions
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from rascal.control.client import Refused

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")
SEEN = ("http", "requests")
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


def hello(web: Web) -> str:
    return web.says("/hello")


def charge(web: Web) -> str:
    return web.says("/charge", "POST")


# ---- many requests of one connection -------------------------------------------------------------


def request(path: str, method: str = "GET", body: bytes = b"", *fields: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: shop.example", *fields]
    lines += [f"Content-Length: {len(body)}"] if body or method == "POST" else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def status(reply: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", reply)
    assert found, reply[:80]
    return int(found[1])


def test_the_head_keeps_the_connection(place: Place) -> None:
    """Every reply that the proxy makes leaves the next one where it belongs."""
    faults = ("error(503)", "replace(body=x)", "empty", "redirect(/login)", "error(404) at reply")
    with place.raw() as raw:
        for fault in faults:
            for method in ("GET", "HEAD", "POST"):
                with place.node.fault("web", f"{fault} count 1"):
                    raw.socket.sendall(request("/hello", method) + request("/login"))
                    raw.reply(head_only=method == "HEAD")
                    last = raw.reply()
                    assert last.endswith(b"\r\n\r\nin"), (fault, method, last)


def test_pipelined(place: Place, seen: Callable[..., None]) -> None:
    """Two of a hundred are struck; order and number of the replies are as they were asked."""
    sentence = "error(503) match path=/hello and query=n=30,n=70"
    with place.raw() as raw, place.node.fault("web", sentence, fired=2):
        raw.socket.sendall(b"".join(request(f"/hello?n={n}") for n in range(100)))
        found = [status(raw.reply()) for _ in range(100)]
    assert [n for n in range(100) if found[n] != 200] == [30, 70]
    assert {found[30], found[70]} == {503}
    seen(
        "error",
        f"{sentence} (100 pipelined by a socket)",
        Sight("98 times 200, 2 times 503"),
        "yes",
    )


def test_pipelined_and_lost(place: Place) -> None:
    """Behind a reply that went missing nothing follows; what was asked before is there."""
    with place.raw() as raw, place.node.fault("web", "lose_reply(then=close) match query=n=3"):
        raw.socket.sendall(b"".join(request(f"/hello?n={n}") for n in range(6)))
        assert [status(raw.reply()) for _ in range(3)] == [200] * 3
        with pytest.raises(AssertionError, match="the server closed after b''"):
            raw.reply()


def test_pipelined_and_delayed(place: Place) -> None:
    """Delays of pipelined requests overlap."""
    with place.raw() as raw, place.node.fault("web", "delay(100ms)", fired=20):
        raw.socket.sendall(request("/hello") * 20)
        sight = look(lambda: [status(raw.reply()) for _ in range(20)])
        sight.got([200] * 20)
        assert 0.09 <= sight.seconds < 1.5


def test_an_answer_in_the_middle_of_an_upload(place: Place) -> None:
    """The rest of the body is read and dropped; the connection goes on. Beyond a MiB it closes."""
    with (
        place.raw() as raw,
        place.node.fault("web", "error(413, close=no) match method=POST"),
    ):
        head = request("/app/echo", "POST", b"", "X: 1").replace(b"Length: 0", b"Length: 200000")
        raw.socket.sendall(head + b"x" * 1000)
        assert status(raw.reply()) == 413
    with place.raw() as raw, place.node.fault("web", "error(422) match method=POST", fired=2):
        raw.socket.sendall(head + b"x" * 1000)
        assert status(raw.reply()) == 422
        raw.socket.sendall(b"x" * 199_000 + request("/hello"))
        assert raw.reply().endswith(b"hello")
        raw.socket.sendall(head.replace(b"200000", b"2000000"))
        reply = raw.reply()
        assert status(reply) == 422
        assert b"\r\nConnection: close\r\n" in reply


# ---- uploads -------------------------------------------------------------------------------------

EXPECTS = request("/app/echo", "POST", b"", "Expect: 100-continue").replace(
    b"Length: 0", b"Length: 10"
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("sentence", ["", "delay(20ms)", "error(503) match path=/none"])
def test_expect_100_continue(sentence: str, place: Place) -> None:
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(place.raw())
        if sentence:
            fired = 0 if "match" in sentence else None
            stack.enter_context(place.node.fault("web", sentence, fired=fired))
        for _ in range(2):
            raw.socket.sendall(EXPECTS)
            assert raw.reply() == CONTINUE
            raw.socket.sendall(b"0123456789")
            assert raw.reply().endswith(b'{"got": 10}')


def test_who_expects_is_answered_instead(place: Place, seen: Callable[..., None]) -> None:
    """The body may never come, so the connection ends; or nobody says 100 and the client waits."""
    sentence = "error(417) match header.Expect=100-continue"
    with place.raw() as raw, place.node.fault("web", sentence):
        reply = raw(EXPECTS)
        assert status(reply) == 417
        assert b"\r\nConnection: close\r\n" in reply
        assert raw.closed(1)
    seen("error", f"{sentence} (a socket)", Sight("417, then the connection ends"), "anew")
    sentence = "hang match header.Expect=100-continue"
    with place.raw() as raw, place.node.fault("web", sentence) as hang:
        raw.socket.sendall(EXPECTS)
        assert not raw.closed(SHORT)
        hang.remove()
        assert raw.reply() == CONTINUE
        raw.socket.sendall(b"0123456789")
        assert raw.reply().endswith(b'{"got": 10}')
    seen("hang", f"{sentence} (a socket)", Sight("100 Continue only when the fault is gone"), "yes")


def test_chunked_uploads(place: Place, seen: Callable[..., None]) -> None:
    web = place.client()
    before = web.thread_id()

    def upload() -> str:
        return web.says("/app/echo", "POST", data=iter([b"x" * 1000] * 50))

    for sentence in ("delay(10ms) match method=POST", "slice(999B)", "duplicate match path=/none"):
        with place.node.fault("web", sentence, fired=0 if "none" in sentence else None):
            assert upload() == '200 {"got": 50000}'
    sentence = "error(411) match header.Transfer-Encoding=chunked"
    with place.node.fault("web", sentence):
        sight = look(upload)
        assert sight.error is None
        assert sight.value.startswith("411 ")
    after = usable(web, before)
    assert after == "yes"
    seen("error", f"{sentence} (chunked upload)", Sight("411"), after)


def test_large_bodies_pass_while_faults_are_armed(place: Place) -> None:
    (place.folder / "www" / "huge.bin").write_bytes(bytes(range(256)) * 20_000)
    web = place.client()
    with (
        place.node.fault("web", "error(503) match path=/none and status=200", fired=0),
        place.node.fault("web", "delay(1ms) at reply", fired=None),
    ):
        assert web.ask("/huge.bin").content == bytes(range(256)) * 20_000
        assert web.says("/app/echo", "POST", data=b"x" * 900_000) == '200 {"got": 900000}'


# ---- WebSocket and CONNECT -----------------------------------------------------------------------


def websocket(place: Place) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{place.port}/ws", proxy=None, open_timeout=5, close_timeout=1)


@pytest.mark.parametrize(
    "sentence",
    ["", "error(503) match path=/hello", "error(503) match status=404", "delay(20ms)", "slice(7B)"],
)
def test_websockets_pass(sentence: str, place: Place) -> None:
    with contextlib.ExitStack() as stack:
        if sentence:
            fired = 0 if "error" in sentence else None
            stack.enter_context(place.node.fault("web", sentence, fired=fired))
        with websocket(place) as ws:
            for n in range(50):
                ws.send(f"message {n}")
                assert ws.recv(5) == f"message {n}"
            ws.send(b"x" * 300_000)
            assert ws.recv(5) == b"x" * 300_000
            with place.node.fault("web", "error(503)", fired=0):  # armed later: no request any more
                ws.send("on")
                assert ws.recv(5) == "on"


def test_websockets_are_refused(place: Place, seen: Callable[..., None]) -> None:
    for sentence, code in (
        ("error(503) match path=/ws", 503),
        ("error(403) match status=101", 403),
    ):
        with place.node.fault("web", sentence):
            sight = look(websocket, place)
            sight.raised(InvalidStatus, f"rejected WebSocket connection: HTTP {code}")
        with websocket(place) as ws:
            ws.send("again")
            assert ws.recv(5) == "again"
        seen("error", f"{sentence} (websockets)", sight, "anew")


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("reset(600B) per connection direction to_client", "no close frame received or sent"),
        ("close(600B) per connection direction to_client", "no close frame received or sent"),
        ("limit(600B) direction to_client", "no close frame received or sent"),
        ("max_age(100ms, boundary=no)", "no close frame received or sent"),
    ],
)
def test_websockets_end(sentence: str, text: str, place: Place, seen: Callable[..., None]) -> None:
    """1006: without a close frame."""

    def talk() -> None:
        with websocket(place) as ws:
            for n in range(1000):
                ws.send(f"message {n}")
                ws.recv(5)

    with place.node.fault("web", sentence, fired=None):
        sight = look(talk)
        sight.raised(ConnectionClosedError, text)
    seen(sentence.partition("(")[0], f"{sentence} (websockets)", sight, "anew")


def test_a_websocket_goes_silent(place: Place, seen: Callable[..., None]) -> None:
    sentence = "blackhole direction to_client"
    with websocket(place) as ws:
        ws.send("one")
        assert ws.recv(5) == "one"
        with place.node.fault("web", sentence):
            ws.send("two")
            sight = look(ws.recv, SHORT)
            sight.raised(TimeoutError)
        with contextlib.suppress(ConnectionClosedError, TimeoutError):
            ws.recv(5)
    seen("blackhole", f"{sentence} (websockets)", sight, "anew")


def tunnel(place: Place) -> tuple[Client, bytes]:
    raw = place.raw("tunnels")
    where = f"127.0.0.1:{place.upstream}".encode()
    raw.socket.sendall(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (where, where))
    raw._until(lambda: b"\r\n\r\n" in raw.data)
    head, _, raw.data = raw.data.partition(b"\r\n\r\n")
    return raw, head


@pytest.mark.parametrize("sentence", ["", "error(503) match method=GET", "delay(10ms)"])
def test_a_connect_tunnel(sentence: str, place: Place) -> None:
    with contextlib.ExitStack() as stack:
        if sentence:
            fired = 0 if "error" in sentence else None
            stack.enter_context(place.node.fault("tunnels", sentence, fired=fired))
        raw, head = tunnel(place)
        with raw:
            assert status(head + b"\r\n") == 200
            for _ in range(3):  # plain HTTP inside the tunnel is bytes
                assert raw(request("/hello")).endswith(b"hello")
            raw.socket.shutdown(socket.SHUT_WR)
            assert raw.closed(5)


def test_a_connect_that_is_refused(place: Place, seen: Callable[..., None]) -> None:
    for sentence in ("error(407) match method=CONNECT", "error(502) match status=200"):
        with place.node.fault("tunnels", sentence):
            raw, head = tunnel(place)
            raw.socket.close()
            assert status(head + b"\r\n") in (407, 502)
        seen("error", f"{sentence} (CONNECT)", Sight(head.split(b"\r\n")[0].decode()), "anew")
    raw, head = tunnel(place)
    raw.socket.close()
    assert status(head + b"\r\n") == 200


# ---- Host and TLS --------------------------------------------------------------------------------


def test_host_is_rewritten(place: Place) -> None:
    web = place.client("hosted")
    assert web.says("/host") == "200 shop.example:8080 over http"
    own = f"127.0.0.1:{place.node.port('hosted')}"
    with place.node.fault("hosted", "delay(1ms) match host=127.0.0.1"):  # matches see the client's
        assert web.says("/host") == "200 shop.example:8080 over http"
    with place.raw("hosted") as raw:
        line = f"http://{own}/host"
        assert raw(request(line)).endswith(b"shop.example:8080 over http")
        raw.socket.sendall(request("/host") * 50)
        assert all(raw.reply().endswith(b"shop.example:8080 over http") for _ in range(50))
        upload = request("/app/echo", "POST", b"x" * 100_000)
        assert raw(upload).endswith(b'{"got": 100000}')
    assert place.client().says("/host") == f"200 127.0.0.1:{place.port} over http"


@pytest.mark.parametrize(
    ("sentence", "sees"),
    [
        ("delay(20ms)", "200 127.0.0.1 over https"),
        ("error(503, style=text) match path=/host", "503 Service Unavailable"),
        ("replace(body=x) at request", "200 x"),
        ("close at reply", exceptions.ConnectionError),
        ("reset at reply", exceptions.ConnectionError),
        ("lose_reply(then=close)", exceptions.ConnectionError),
        ("truncate(bytes=100B)", exceptions.ConnectionError),
        ("slice(50B) direction to_client", "200 127.0.0.1 over https"),
    ],
)
def test_tls_to_the_upstream(
    sentence: str, sees: Any, place: Place, seen: Callable[..., None]
) -> None:
    """Messages are seen in clear on this side, whatever the other speaks."""
    web = place.client("secure")
    with place.node.fault("secure", sentence):
        sight = look(web.says, "/host", headers={"Host": "127.0.0.1"})
        if isinstance(sees, str):
            sight.got(sees)
        elif "truncate" in sentence:  # in its head or its body
            assert sight.value != "200 127.0.0.1 over https"
        else:
            sight.raised(sees)
    assert web.says("/host").endswith("over https")
    assert web.ask("/big.txt").content == BIG
    seen(
        sentence.partition("(")[0].partition(" ")[0], f"{sentence} (tls = originate)", sight, "yes"
    )


def test_an_upstream_that_is_not_trusted(place: Place, seen: Callable[..., None]) -> None:
    sight = look(place.client("distrusted").says, "/host")
    sight.raised(exceptions.ConnectionError, "RemoteDisconnected|reset by peer")
    assert "certificate is not valid for 'other.example'" in place.node.log


# ---- match fields --------------------------------------------------------------------------------


def sends(path: str, method: str = "GET", **options: Any) -> Callable[[Web], Any]:
    return lambda web: web.ask(path, method, **options).status_code


ORDER = {"amount": 5, "customer": {"name": "anna"}, "items": [{"id": "pen"}, {"id": "cup"}]}


def charges(**options: Any) -> Callable[[Web], Any]:
    return sends("/charge", "POST", **options)


@pytest.mark.parametrize(
    ("match", "hit", "miss"),
    [
        ("method=post", charges(), sends("/charge")),
        ("command=POST,PUT", charges(), sends("/charge")),
        ("path=/hello", sends("/hello?a=b"), sends("/login")),
        ("path^=/hel", sends("/hello"), sends("/login")),
        ("path~^/(hello|login)$", sends("/login"), sends("/host")),
        ("query.user=7", sends("/hello?user=7"), sends("/hello?user=8")),
        ("query.name='a b'", sends("/hello?name=a%20b"), sends("/hello?name=a")),
        ("query~user", sends("/hello?user=7"), sends("/hello")),
        (
            "host=shop.example",
            sends("/hello", headers={"Host": "SHOP.example:8080"}),
            sends("/hello"),
        ),
        (
            "header.X-Tenant=acme",
            sends("/hello", headers={"x-tenant": "acme"}),
            sends("/hello", headers={"X-Tenant": "other"}),
        ),
        ("header.Cookie~session=", sends("/hello", cookies={"session": "1"}), sends("/hello")),
        (
            "not header.Authorization~.",
            sends("/hello"),
            sends("/hello", headers={"Authorization": "x"}),
        ),
        ("size>=1000", charges(data="x" * 2000), charges(data="x")),
        ("size=0", sends("/hello"), charges(data="x")),
        ("body~anna", charges(json=ORDER), charges(json={})),
        ("body~^user=7", charges(data={"user": "7"}), charges(data={"user": "8"})),
        ("json.amount=5", charges(json=ORDER), charges(json=ORDER | {"amount": 6})),
        ("json.amount=5", charges(json=ORDER), charges(data={"amount": "5"})),
        ("json.customer.name=anna", charges(json=ORDER), charges(json={"customer": {}})),
        ("json.items.1.id=cup", charges(json=ORDER), charges(json={"items": ["cup"]})),
        ("status=404", sends("/none"), sends("/hello")),
        ("status=400..599", sends("/failing"), sends("/hello")),
        ("status=200 and path=/hello", sends("/hello"), sends("/login")),
        ("type=application/json", sends("/items.json"), sends("/hello")),
        ("reply_header.Transfer-Encoding=chunked", sends("/chunked.txt"), sends("/big.txt")),
        ("reply_size>=1000", sends("/big.txt"), sends("/hello")),
        ("n=3", lambda web: [sends("/hello")(web) for _ in range(3)][-1], None),
        ("client=127.0.0.0/8", sends("/hello"), None),
        ("client=10.0.0.0/8", None, sends("/hello")),
    ],
)
def test_match_fields(match: str, hit: Any, miss: Any, place: Place) -> None:
    sentence = f"error(418) match {match}"
    if miss is not None:
        with place.node.fault("web", sentence, fired=0):
            assert miss(place.client()) != 418
    if hit is not None:
        web = place.client()
        with place.node.fault("web", sentence):
            assert hit(web) == 418
        assert web.says("/hello") == HELLO


def test_a_status_is_matched_when_the_work_is_done(place: Place) -> None:
    web = place.client()
    with place.node.fault("web", "lose_reply(then=close) match status=200 and method=POST"):
        look(charge, web).raised(exceptions.ConnectionError, "RemoteDisconnected")
    place.wait_served("POST /charge 200", 1)


def test_bodies_beyond_the_bound_are_not_matched(place: Place) -> None:
    """Nor is their request held up."""
    web = place.client()
    with place.node.fault("web", "error(418) match json.amount=5", fired=0) as fault:
        assert web.ask("/app/echo", "POST", json=ORDER | {"more": "x" * 20_000}).status_code == 200
        assert fault.state["matched"] == 0


def test_what_http_does_not_match(place: Place) -> None:
    for sentence in (
        "error(503) match pth=/hello",
        "error(503) match status=abc",
        "error(503) match path=/a*",
        "bad_framing(how=odd)",
        "bad_body",
        "redirect(status=200)",
    ):
        with pytest.raises(Refused) as caught:
            place.node.control.add("web", sentence)
        assert caught.value.status == 422


# ---- scripts, roulettes, recipes -----------------------------------------------------------------


def test_a_script(place: Place) -> None:
    web = place.client()
    steps = "pass 2, error(503, retry_after=1s), lose_reply(then=close), redirect(/login)"
    with place.node.script("web", steps, "path=/charge"):
        assert [charge(web), charge(web)] == [PAID, PAID]
        assert web.ask("/charge", "POST").headers["Retry-After"] == "1"
        assert hello(web) == HELLO
        look(charge, web).raised(exceptions.ConnectionError, "RemoteDisconnected")
        assert charge(web) == "200 in"
        assert charge(web) == PAID
    place.wait_served("POST /charge 200", 4)


def test_a_roulette(place: Place) -> None:
    web = place.client()
    control = place.node.control
    made = control.add("web", {"roulette": "40% error(503), 30% error(429), 30% replace(body=x)"})
    found = {web.ask("/hello").status_code for _ in range(60)}
    gone = control.remove("web", made["name"])
    assert found == {503, 429, 200}
    assert (gone["matched"], gone["fired"]) == (60, 60)


@pytest.mark.parametrize(
    ("sentence", "does", "sees", "text"),
    [
        ("overloaded-database strength=100% delay=30ms", hello, "503", ""),
        ("commit-lost", charge, exceptions.ConnectionError, "reset by peer"),
        ("commit-lost then=close", charge, exceptions.ConnectionError, "RemoteDisconnected"),
        ("commit-lost then=hang", charge, exceptions.ReadTimeout, "timed out"),
        ("cache-down", hello, exceptions.ConnectionError, "refused|reset"),
        ("queue-full", charge, "507", ""),
        ("slow-peer delay=50ms", hello, HELLO, ""),
        ("slow-peer delay=1ms rate=20KB/s", lambda w: w.ask("/big.txt").content, BIG, ""),
        ("network-partition", hello, exceptions.ReadTimeout, "timed out"),
    ],
)
def test_recipes(
    sentence: str, does: Any, sees: Any, text: str, place: Place, seen: Callable[..., None]
) -> None:
    web = place.client(timeout=SHORT if "timed out" in text else 5)
    web.says("/hello")
    with place.node.recipe("web", sentence):
        sight = look(does, web)
        if isinstance(sees, type):
            sight.raised(sees, text)
        elif isinstance(sees, str) and sees.isdigit():
            assert str(sight.value).startswith(sees), sight
            sight = Sight(str(sight.value)[:3], None, sight.seconds)
        else:
            sight.got(sees)
    if "commit-lost" in sentence:
        place.wait_served("POST /charge 200", 1)
    seen("recipe", f"recipe {sentence}", sight, usable(web, 0))


def test_a_rate_limited_peer(place: Place, seen: Callable[..., None]) -> None:
    web = place.client()
    sentence = "rate-limited-peer rate=5/s retry_after=2s"
    with place.node.recipe("web", sentence):
        replies = [web.ask("/hello") for _ in range(10)]
    limited = [one for one in replies if one.status_code == 429]
    assert limited
    assert replies[0].status_code == 200
    assert {one.headers["Retry-After"] for one in limited} == {"2"}
    seen("recipe", f"recipe {sentence}", Sight("429, Retry-After: 2"), usable(web, web.thread_id()))


def test_a_flaky_peer(place: Place) -> None:
    """Now and then: 502, a reset, a lost reply; and nothing else."""
    web = place.client()
    with (
        place.node.recipe("web", "flaky-peer strength=15% delay=1ms..5ms"),
        ThreadPoolExecutor(4) as pool,
    ):
        sights = list(pool.map(lambda _: look(by_fresh(hello), web), range(80)))
    seen = {type(s.error).__name__ if s.error else str(s.value)[:3] for s in sights}
    assert seen == {"200", "502", "ConnectionError"}
    assert hello(web) == HELLO


def test_json_of_the_exchanges(place: Place) -> None:
    """Recent exchanges say what was asked and what struck."""
    web = place.client()
    with place.node.fault("web", "error(503) match path=/charge"):
        web.ask("/charge?x=1", "POST", data=json.dumps(ORDER))
    (struck,) = place.node.control.exchanges("web", limit=1, fault="error")
    assert (struck["command"], struck["outcome"], struck["faults"]) == (
        "POST",
        "answered",
        ["error"],
    )
    assert struck["fields"]["path"] == "/charge"
