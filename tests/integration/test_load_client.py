"""The load client against a real nginx: what a user gets, and what is counted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
import treq
from hyperlink import DecodedURL, EncodedURL
from load_place import Place, asked, desk, echo, place
from treq.auth import UnknownAuthConfig
from treq.client import HTTPClient
from treq.response import _Response
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.ssl import PrivateCertificate
from twisted.web.iweb import IAgent, IResponse
from within import until
from zope.interface.verify import verifyObject

from rascal.errors import RascalError
from rascal.load.http.agent import FastAgent
from rascal.load.http.errors import RequestFailed
from rascal.load.http.session import Session
from rascal.load.targets import TargetError, Targets


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("load")) as made:
        yield made


@pytest_twisted.ensureDeferred
async def test_get_gives_a_treq_response(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        response = await asked(at.session.get("/items.json", name="items"))
        assert isinstance(at.session, HTTPClient)
        assert isinstance(response, _Response)
        verifyObject(IResponse, response)
        assert response.code == 200
        assert response.version == (b"HTTP", 1, 1)
        assert response.phrase == b"OK"
        assert response.headers.getRawHeaders("content-type") == ["application/json"]
        assert response.length == len(response.body)
        assert (await response.json())[3] == {"id": 3}
        assert (await response.text()).startswith('[{"id": 0}')
        assert await response.content() == await treq.content(response) == response.body
        pieces: list[bytes] = []
        await treq.collect(response, pieces.append)
        assert b"".join(pieces) == response.body
        assert response.history() == []
        assert response.request.absoluteURI == f"{nginx.url}/items.json".encode()
        assert response.request.method == b"GET"
        assert response.request.headers.getRawHeaders("accept-encoding") == ["gzip"]
        assert response.lane == "fast"
        call = at.last
        assert call is response.call
        assert (call.flow.name, call.outcome, call.replies, call.attempts) == (
            "items",
            "served",
            1,
            1,
        )
        assert call.intended == call.started <= call.first_byte <= call.ended
        assert call.sent > 50
        assert call.received > len(response.body)


@pytest_twisted.ensureDeferred
async def test_calls_equal_the_servers_log(nginx: Place) -> None:
    before = len(nginx.log())
    async with desk(nginx.url) as at:

        async def user() -> None:
            for path in ("/items.json", "/to", "/missing", "/none", "/busy", "/broken"):
                await at.session.get(path)
            await at.session.head("/large.bin")

        await asked(gatherResults([Deferred.fromCoroutine(user()) for _ in range(20)]))
        assert at.client.opened <= 20
        report = at.report()
        replies = sum(row.replies for row in report.rows.values())
        assert replies == 20 * 8
        log = await until(lambda: (lines := nginx.log()[before:])[159:] and lines)
        assert len(log) == replies
        outcomes: dict[str, int] = {}
        for row in report.rows.values():
            for name, count in row.outcomes.items():
                outcomes[name] = outcomes.get(name, 0) + count
        assert outcomes == {"served": 80, "http_4xx": 20, "shed": 20, "http_5xx": 20}


@pytest_twisted.ensureDeferred
async def test_connections_shared_per_user_and_none(nginx: Place) -> None:
    for connections, opened in (("shared", 1), ("user", 3), ("none", 6)):
        async with desk(nginx.url, connections=connections) as at:
            users = [at.user() for _ in range(3)]
            for user in users * 2:
                assert (await asked(user.get("/hello"))).body == b"hello"
            assert at.client.opened == opened, connections
            for user in users:
                user.close()
            if connections != "shared":
                await until(lambda at=at: not at.client.connections)  # type: ignore[misc]


@pytest_twisted.ensureDeferred
async def test_timings_are_of_what_was_done(nginx: Place) -> None:
    async with desk(f"http://localhost:{nginx.port}") as at:
        first = await asked(at.session.get("/hello"))
        again = await asked(at.session.get("/hello"))
        for response in (first, again):
            took = response.timings
            assert 0 < took.first_byte <= took.total < 20
        assert first.timings.dns > 0
        assert first.timings.connect > 0
        assert first.timings.dns + first.timings.connect <= first.timings.first_byte
        assert (again.timings.dns, again.timings.connect, again.timings.tls) == (0, 0, 0)
        other = at.user()
        async with desk(nginx.secure, verify=False) as secure:
            assert (await asked(secure.session.get("/hello"))).timings.tls > 0
        assert (await asked(other.get(f"{nginx.url}/hello"))).timings.dns == 0


@pytest_twisted.ensureDeferred
async def test_outcomes_of_replies(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        for path, outcome, detail in (
            ("/hello", "served", ""),
            ("/none", "served", ""),
            ("/absent", "http_4xx", "status 404"),
            ("/broken", "http_5xx", "status 500"),
            ("/busy", "shed", "status 503"),
            ("/many", "shed", "status 429"),
        ):
            response = await asked(at.session.get(path))
            assert (response.outcome, response.call.detail) == (outcome, detail)
        samples = at.report().samples
        assert [sample.outcome for sample in samples] == ["http_4xx", "http_5xx", "shed", "shed"]
        assert samples[0].request.startswith("GET /absent HTTP/1.1")
        assert samples[0].reply.startswith("HTTP/1.1 404")


@pytest_twisted.ensureDeferred
async def test_checks_count_before_and_after_the_call_is_recorded(nginx: Place) -> None:
    async with desk(nginx.url) as at:

        async def user() -> Any:
            response = await at.session.get("/hello", name="x")
            assert not response.call.recorded
            response.check(contains="good bye")
            assert at.calls == []
            return response

        response = await asked(user())
        assert at.outcomes == ["check_failed"]
        late = await asked(at.session.get("/hello", name="x"))
        assert late.call.recorded
        late.wrong("not what was put there")
        late.reduced()
        (row,) = [row for key, row in at.report().rows.items() if key[1] == "x"][:1]
        assert {k: v for k, v in row.outcomes.items() if v} == {
            "check_failed": 1,
            "wrong_data": 1,
        }
        assert response.outcome == "check_failed"


@pytest_twisted.ensureDeferred
async def test_first_call_counts_from_its_intended_start(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        at.session.due = due = at.client.now() - 1.5
        await asked(at.session.get("/hello", name="first"))
        await asked(at.session.get("/hello", name="second"))
        first, second = at.calls
        assert first.intended == due < first.started
        assert second.intended == second.started
        assert at.session.first is first.flow
        assert at.session.due == 0.0


@pytest_twisted.ensureDeferred
async def test_retried_calls_are_held(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        at.session.retrying = held = []
        waiting = at.session.get("/broken")
        assert [call.held for call in held] == [True]
        response = await asked(waiting)
        assert at.calls == []
        assert response.outcome == "http_5xx"
        at.session.retrying = None
        at.recorder.done(held[0])


@pytest_twisted.ensureDeferred
async def test_bodies_arrive_as_treq_would_send_them(nginx: Place) -> None:
    cases: list[dict[str, Any]] = [
        {"json": {"a": [1, "ä"]}},
        {"json": None},
        {"data": b"\0\xff raw"},
        {"data": {"a": "1 2", "b": ["x", "y"]}},
        {"data": [("a", "1"), ("a", "2")]},
        {"data": b""},
        {"data": b"x", "headers": {"Content-Type": "application/x"}},
        {"params": {"q": "a b", "n": [1, 2]}},
        {"params": [("q", "ü&=")]},
        {"auth": ("user", "pass:word")},
        {"headers": {"X-One": ["1", "2"], b"X-Two": b"3"}},
        {"cookies": {"a": "1"}},
    ]
    unlike = {"user-agent", "accept", "host", "connection"}
    async with echo() as url, desk(url) as at:
        stock = HTTPClient(at.client.stock(None))
        for case in cases:
            for verb in ("POST", "PUT"):
                mine = await at.user().request(verb, "/x?y=1", **case)
                theirs = await stock.request(verb, f"{url}/x?y=1", reactor=reactor, **case)
                said = []
                for response in (mine, theirs):
                    echoed = await response.json()
                    for name in unlike:
                        echoed["headers"].pop(name, None)
                    said.append(echoed)
                assert said[0] == said[1], case
            stock._cookiejar.clear()
        text = await at.session.post("/", data="grüße")
        assert (await text.json())["body"].encode("latin-1").decode() == "grüße"
        assert {call.lane for call in at.calls} == {"fast"}


@pytest_twisted.ensureDeferred
async def test_headers_of_plan_user_and_request(nginx: Place) -> None:
    async with echo() as url, desk(url, headers={"X-Plan": "p", "User-Agent": "mine"}) as at:
        at.session.headers["X-User"] = "u"
        response = await asked(at.session.get("/", headers={"x-plan": "own", "Host": "a"}))
        echoed = await response.json()
        assert echoed["headers"]["x-plan"] == ["own"]
        assert echoed["headers"]["x-user"] == ["u"]
        assert echoed["headers"]["user-agent"] == ["mine"]
        assert echoed["host"] == ["a"]
        for wrong in ({"X": "a\r\nY: b"}, {"X\r\nY": "a"}, {"": "a"}):
            with pytest.raises(ValueError, match="header"):
                at.session.get("/", headers=wrong)
        with pytest.raises(TypeError):
            at.session.get("/", headers={"X": 1})
        with pytest.raises(TypeError):
            at.session.post("/", data=b"x", json={})
        for url in ("ftp://x/", "http://", "http://a b/", "http://x:99999/", "http://[x/"):
            with pytest.raises(ValueError, match=r"URL|host"):
                at.session.get(url)
        for timeout in (-1, "2 sheep", float("nan")):
            with pytest.raises((ValueError, RascalError)):
                at.session.get("/", timeout=timeout)
        with pytest.raises(UnknownAuthConfig):
            at.session.get("/", auth=object())
        with pytest.raises(ValueError, match="method"):
            at.session.request("GE T", "/")
        assert at.recorder.in_flight == 0


@pytest_twisted.ensureDeferred
async def test_redirects_are_followed_counted_and_bounded(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        response = await asked(at.session.get("/two"))
        assert (response.code, response.body, response.call.replies) == (200, b"hello", 3)
        assert [one.code for one in response.history()] == [301, 302]
        assert response.url == f"{nginx.url}/hello"
        assert at.client.opened == 1
        plain = await asked(at.session.get("/to", allow_redirects=False))
        assert (plain.code, plain.outcome) == (302, "served")
        posted = await asked(at.session.post("/see", data=b"x"))
        assert (posted.body, posted.request.method) == (b"hello", b"GET")
        kept = await asked(at.session.post("/to", data=b"x"))
        assert kept.code == 302
        browser = await asked(at.session.post("/to", data=b"x", browser_like_redirects=True))
        assert (browser.code, browser.request.method) == (200, b"GET")
        head = await asked(at.session.head("/two"))
        assert (head.code, head.body, head.request.method) == (200, b"", b"HEAD")
        for path, said in (
            ("/loop", "more than 20"),
            ("/nowhere", "gopher"),
            ("/socket", "socket of this machine"),
        ):
            with pytest.raises(RequestFailed, match=said) as failed:
                await asked(at.session.get(path))
            assert failed.value.outcome == "malformed"
        assert at.calls[-3].replies == 21


@pytest_twisted.ensureDeferred
async def test_secrets_stay_with_their_origin(nginx: Place) -> None:
    secrets = {"Authorization": "Bearer s", "Cookie": "k=v", "X-Mine": "m"}
    async with desk(nginx.url, headers={"Authorization": "Basic plan"}) as at:
        for path, headers, seen in (
            ("/seen", secrets, b"Bearer s|k=v|m"),
            ("/away", secrets, b"||m"),
            ("/seen", None, b"Basic plan||"),
            ("/away", None, b"||"),
            (f"http://localhost:{nginx.port}/seen", None, b"||"),
        ):
            response = await asked(at.session.get(path, headers=headers))
            assert response.body == seen, path
        signed = await asked(at.session.get("/away", auth=("a", "b")))
        assert signed.body == b"||"


@pytest_twisted.ensureDeferred
async def test_cookies_are_a_users_own(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        user, other = at.session, at.user()
        assert (await user.get("/seen")).body == b"||"
        assert user._jar is None
        first = await user.get("/set")
        assert first.cookies()["a"] == "1"
        assert (await user.get("/seen")).body == b"|a=1|"
        assert (await other.get("/seen")).body == b"||"
        await user.get("/set/deep")
        assert (await user.get("/seen")).body == b"|a=1|"
        assert set((await user.get("/deep")).body.split(b"; ")) == {b"a=1", b"b=2"}
        assert (await user.get("/set/to")).body == b"|a=1; c=3|"
        assert (await user.get(f"http://localhost:{nginx.port}/seen")).body == b"||"
        await user.get("/set/gone")
        assert (await user.get("/seen")).body == b"|c=3|"
        user.cookies.clear()
        assert (await user.get("/seen")).body == b"||"
        assert (await user.get("/seen", cookies={"z": "26"})).body == b"|z=26|"
        assert {call.lane for call in at.calls} == {"fast"}


@pytest_twisted.ensureDeferred
async def test_encoded_bodies_are_decoded_when_read(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        response = await asked(at.session.get("/gzip/items.json"))
        assert b"gzip" in response.raw().lower()
        assert not response.headers.hasHeader("content-encoding")
        assert response.call.received < 400
        assert len(await response.json()) == 20


@pytest_twisted.ensureDeferred
async def test_large_bodies_both_ways(nginx: Place) -> None:
    large = (nginx.folder / "www" / "large.bin").read_bytes()
    async with desk(nginx.url) as at:
        responses = await asked(gatherResults([at.session.get("/large.bin") for _ in range(3)]))
        assert all(response.body == large for response in responses)
    async with echo() as url, desk(url, timeout=20.0) as at:
        body = b"0123456789" * 800_000
        response = await asked(at.session.post("/", data=body))
        assert (await response.json())["body"].encode() == body
        assert at.last.sent > len(body)


@pytest_twisted.ensureDeferred
async def test_tls_is_verified_resumed_and_kept(nginx: Place) -> None:
    async with desk(nginx.secure) as at:
        with pytest.raises(RequestFailed, match="certificate refused") as failed:
            await asked(at.session.get("/hello"))
        assert failed.value.outcome == "tls"
    async with desk(nginx.secure) as at:
        at.client.tls = nginx.trust()
        for _ in range(3):
            assert (await asked(at.session.get("/hello"))).body == b"hello"
        assert at.client.opened == 1
        with pytest.raises(RequestFailed, match="certificate refused"):
            await asked(at.session.get(f"https://127.0.0.1:{nginx.tls_port}/hello"))
        responses = await asked(gatherResults([at.session.get("/large.bin") for _ in range(3)]))
        assert {len(response.body) for response in responses} == {20 << 20}
        resumed = [one.sock.session_reused for one in at.client.connections]
        assert resumed.count(True) >= 1
    async with desk(f"https://127.0.0.1:{nginx.tls_port}", verify=False) as at:
        assert (await asked(at.session.get("/hello"))).body == b"hello"
    async with desk(f"https://127.0.0.1:{nginx.port}", verify=False) as at:
        with pytest.raises(RequestFailed) as failed:
            await asked(at.session.get("/hello"))
        assert failed.value.outcome == "tls"


@pytest_twisted.ensureDeferred
async def test_large_request_over_tls(nginx: Place) -> None:
    pem = (nginx.folder / "key.pem").read_text() + (nginx.folder / "chain.pem").read_text()
    certificate = PrivateCertificate.loadPEM(pem)
    async with echo(certificate.options()) as url, desk(url) as at:
        at.client.tls = nginx.trust()
        body = b"0123456789" * 500_000
        for _ in range(2):
            response = await asked(at.session.post("/", data=body))
            assert (await response.json())["body"].encode() == body
        assert at.client.opened == 1


@pytest_twisted.ensureDeferred
async def test_unix_sockets_and_ipv6(nginx: Place) -> None:
    async with desk(nginx.unix) as at:
        response = await asked(at.session.get("/two"))
        assert (response.body, response.call.replies) == (b"hello", 3)
        await asked(at.session.get("/set"))
        assert (await asked(at.session.get("/seen"))).body == b"|a=1|"
        assert at.client.opened == 1
    async with desk(f"http://[::1]:{nginx.port}") as at:
        response = await asked(at.session.get("/hello"))
        assert response.body == b"hello"
        assert response.url == f"http://[::1]:{nginx.port}/hello"
    async with desk(f"http+unix://{str(nginx.folder).replace('/', '%2F')}%2Fabsent") as at:
        with pytest.raises(RequestFailed, match="no such file") as failed:
            await asked(at.session.get("/hello"))
        assert failed.value.outcome == "refused"


@pytest_twisted.ensureDeferred
async def test_connections_that_the_server_closes(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        for _ in range(5):
            assert (await asked(at.session.get("/close"))).body == b"bye"
        assert at.client.opened == 5
        assert (at.client.resent, at.outcomes) == (0, ["served"] * 5)
        await until(lambda: not at.client.connections)


@pytest_twisted.ensureDeferred
async def test_urls_of_every_kind(nginx: Place) -> None:
    async with desk("http://127.0.0.1:1") as at:
        url = f"{nginx.url}/hello"
        for form in (url, url.encode(), DecodedURL.from_text(url), EncodedURL.from_text(url)):
            assert (await asked(at.session.get(form))).body == b"hello"
        with pytest.raises(TypeError):
            at.session.get(7)


@pytest_twisted.ensureDeferred
async def test_discarded_bodies_are_counted_and_not_kept(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        at.client.discard = True
        for path, least in (("/large.bin", 20 << 20), ("/hello", 5)):
            response = await asked(at.session.get(path))
            assert (response.body, response.outcome) == (b"", "served")
            assert at.last.received > least
        assert at.client.opened == 1


@pytest_twisted.ensureDeferred
async def test_targets_are_asked_for_each_address_and_redirect(nginx: Place) -> None:
    seen: list[tuple[str, str]] = []
    rule = Targets()

    def allowed(host: str, address: str) -> None:
        seen.append((host, address))
        rule(host, address)

    async with desk(nginx.url, allowed) as at:
        await asked(at.session.get("/away"))
        assert seen[0] == ("127.0.0.1", "127.0.0.1")
        assert {host for host, _ in seen[1:]} == {"localhost"}
        with pytest.raises(RequestFailed, match="not allowed") as failed:
            await asked(at.session.get("/denied"))
        assert failed.value.outcome == "refused"
        assert isinstance(failed.value.__cause__, TargetError)
        assert at.last.replies == 1
        with pytest.raises(RequestFailed, match="not allowed"):
            await asked(at.session.get("/denied", unbuffered=True))
        assert at.last.lane == "treq"


# -- stock treq above and beside -------------------------------------------------------------------
@pytest_twisted.ensureDeferred
async def test_agent_under_an_untouched_treq_client(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        agent = FastAgent(at.client)
        verifyObject(IAgent, agent)
        client = HTTPClient(agent)
        response = await asked(client.get(f"{nginx.url}/two", reactor=reactor))
        assert await response.content() == b"hello"
        assert len(response.history()) == 2
        coded = await asked(client.get(f"{nginx.url}/gzip/items.json", reactor=reactor))
        assert len(await coded.json()) == 20
        await asked(client.get(f"{nginx.url}/set", reactor=reactor))
        seen = await asked(client.get(f"{nginx.url}/seen", reactor=reactor))
        assert await seen.text() == "|a=1|"
        with pytest.raises(RequestFailed):
            await asked(client.get("http://127.0.0.1:1/", reactor=reactor))
        assert at.client.opened == 1
    async with echo() as url, desk(url) as at:
        client = HTTPClient(FastAgent(at.client))
        for data in (b"bytes", io.BytesIO(b"bytes")):
            response = await asked(client.post(url, data=data, reactor=reactor))
            assert (await response.json())["body"] == "bytes"
        files = {"f": ("a.txt", io.BytesIO(b"in the file"))}
        response = await asked(client.post(url, files=files, reactor=reactor))
        assert "in the file" in (await response.json())["body"]


@pytest_twisted.ensureDeferred
async def test_unusual_requests_go_through_stock_treq_and_are_counted(nginx: Place) -> None:
    async with echo() as url, desk(url, headers={"X-Plan": "p"}) as at:
        files = {"f": ("a.txt", io.BytesIO(b"in the file"))}
        response = await asked(at.session.post("/up", files=files, name="up"))
        echoed = await response.json()
        assert "in the file" in echoed["body"]
        assert echoed["headers"]["x-plan"] == ["p"]
        assert (response.lane, response.outcome, response.call.replies) == ("treq", "served", 1)
        assert response.check(status=200, contains="in the file")
        stream = await asked(at.session.put("/", data=io.BytesIO(b"streamed")))
        assert (await stream.json())["body"] == "streamed"
        rows = at.report().rows
        assert {key[1]: row.lanes for key, row in rows.items()} == {
            "up": {"treq": 1},
            "PUT /": {"treq": 1},
        }
        await until(lambda: at.recorder.in_flight == 0)


@pytest_twisted.ensureDeferred
async def test_stock_treq_keeps_cookies_redirects_and_outcomes(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        await at.session.get("/set")
        got = await asked(at.session.get("/seen", unbuffered=True))
        assert not got.call.recorded
        assert got.body is None
        assert await got.content() == b"|a=1|"
        assert got.call.recorded
        assert at.last.lane == "treq"
        two = await asked(at.session.get("/two", unbuffered=True))
        assert (await two.text(), two.call.replies) == ("hello", 3)
        assert [one.code for one in two.history()] == [301, 302]
        busy = await asked(at.session.post("/busy", data=io.BytesIO(b"x")))
        assert busy.outcome == "shed"
        answer = await asked(at.session.post("/to", data=io.BytesIO(b"x")))
        assert answer.code == 302
        with pytest.raises(RequestFailed) as failed:
            await asked(at.session.get("/loop", unbuffered=True))
        assert failed.value.outcome == "malformed"
    async with desk(nginx.unix) as at:
        got = await asked(at.session.get("/hello", unbuffered=True))
        assert await got.text() == "hello"
    async with desk(nginx.secure) as at:
        with pytest.raises(RequestFailed) as failed:
            await asked(at.session.get("/hello", unbuffered=True))
        assert failed.value.outcome == "tls"
    async with desk(nginx.secure) as at:
        at.client.tls = nginx.trust()
        got = await asked(at.session.get("/hello", unbuffered=True))
        assert await got.text() == "hello"
    async with desk(f"https://127.0.0.1:{nginx.tls_port}", verify=False) as at:
        got = await asked(at.session.get("/hello", unbuffered=True))
        assert await got.text() == "hello"
    async with desk("http://127.0.0.1:1") as at:
        with pytest.raises(RequestFailed) as failed:
            await asked(at.session.get("/hello", unbuffered=True))
        assert failed.value.outcome == "refused"


@pytest_twisted.ensureDeferred
async def test_an_agent_of_the_users_carries_all(nginx: Place) -> None:
    async with desk(nginx.url) as at:
        user = at.user(agent=FastAgent(at.client))
        response = await asked(user.get("/items.json"))
        assert len(await response.json()) == 20
        assert (response.lane, at.outcomes) == ("treq", ["served"])


def test_a_sleeping_user_costs_little(nginx: Place) -> None:
    import tracemalloc

    from load_place import Desk

    at = Desk(nginx.url)
    at.user()
    tracemalloc.start()
    users = [Session(at.client, at.recorder, nginx.url) for _ in range(1000)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(users) == 1000
    assert size < 1_000_000
