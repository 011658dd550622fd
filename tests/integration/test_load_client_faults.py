"""The load client against servers that misbehave: each way to fail has its outcome, is bounded and
leaves nothing behind."""

from __future__ import annotations

import errno
import gc
import io
import socket
import weakref
from typing import Any

import pytest
import pytest_twisted
from load_place import Misbehaving, asked, bad, desk, turn
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.defer import TimeoutError as GaveUp
from within import until

from rascal.load.http.errors import RequestFailed
from rascal.load.targets import TargetError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OPEN = b"HTTP/1.1 200 OK\r\n\r\n"


def silent(server: Misbehaving) -> None:
    """Never answer."""


def fine(server: Misbehaving) -> None:
    server.send(OK)


def says(data: bytes, then: str = "") -> Any:
    """Send this, then `close` or `reset` once it is out."""

    def act(server: Misbehaving) -> None:
        server.send(data)
        if then:
            reactor.callLater(0.02, getattr(server, then))  # type: ignore[attr-defined]

    return act


def endlessly(first: bytes, more: bytes, every: float = 0.0) -> Any:
    """Send the first, then ever more."""

    def act(server: Misbehaving) -> None:
        server.send(first)

        def again() -> None:
            if server in server.bad.connections:
                server.send(more)
                reactor.callLater(every, again)  # type: ignore[attr-defined]

        again()

    return act


async def fails(at: Any, outcome: str, said: str = "", method: str = "GET", **how: Any) -> Any:
    """A request that fails in this way, and is counted so."""
    with pytest.raises(RequestFailed, match=said or None) as failed:
        await asked(at.session.request(method, "/", **how))
    assert failed.value.outcome == outcome, failed.value
    call = at.last
    assert (call.outcome, call.detail) == (outcome, failed.value.detail)
    assert call.recorded
    assert call.started <= call.ended
    return failed.value


CASES: list[tuple[str, Any, str, str]] = [
    ("closes", lambda server: server.close(), "reset", "closed without a reply"),
    ("resets", lambda server: server.reset(), "reset", "reset by peer"),
    ("closes in the head", says(b"HTTP/1.1 200 O", "close"), "truncated", "in the head"),
    ("closes in the body", says(LONG + b"a" * 10, "close"), "truncated", "10 of 1000 bytes"),
    ("closes in a chunk", says(CHUNKED + b"5\r\nhel", "close"), "truncated", "3 bytes"),
    ("closes before the last chunk", says(CHUNKED + b"2\r\nok\r\n", "close"), "truncated", ""),
    ("resets in the body", says(LONG + b"a" * 10, "reset"), "reset", "reset by peer"),
    ("resets an open body", says(OPEN + b"abc", "reset"), "reset", "reset by peer"),
    ("no HTTP", says(b"-ERR unknown command\r\n"), "malformed", "not HTTP"),
    ("no HTTP, no line", says(b"\0\1\2"), "malformed", "not HTTP"),
    ("a broken head", says(b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n"), "malformed", "not HTTP"),
    ("a broken chunk", says(CHUNKED + b"xyz\r\n"), "malformed", "chunk"),
    ("endless head", endlessly(b"HTTP/1.1 200 OK\r\n", b"X: a\r\n" * 999), "malformed", "64KiB"),
    ("endless body", endlessly(OPEN, b"a" * 65536), "malformed", "longer than 1000000 bytes"),
    (
        "endless chunks",
        endlessly(CHUNKED, b"400\r\n" + b"a" * 1024 + b"\r\n"),
        "malformed",
        "longer than 1000000 bytes",
    ),
    (
        "endless 1xx",
        endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        "malformed",
        "interim",
    ),
    (
        "a huge length",
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n"),
        "malformed",
        "",
    ),
    ("silence", silent, "timeout", "no reply within 0.3s"),
    ("a trickling head", endlessly(b"HTTP/1.1 200 OK\r\nX: ", b"a", 0.02), "timeout", "complete"),
    ("a trickling body", endlessly(LONG, b"a", 0.02), "timeout", "no complete reply within 0.3s"),
    ("an unfinished body", says(LONG + b"abc"), "timeout", "no complete reply"),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
@pytest_twisted.ensureDeferred
async def test_each_way_to_fail_has_its_outcome(case: tuple[str, Any, str, str]) -> None:
    _, act, outcome, said = case
    # What is no time-out must be found out, however busy this machine is.
    timeout = 0.3 if outcome == "timeout" else 20.0
    async with bad(act) as server, desk(server.url, timeout=timeout) as at:
        at.client.body_limit = 1_000_000
        await fails(at, outcome, said)
        assert at.last.replies == 0
        assert not at.client.connections
        assert at.client.held.size == 0
        assert at.client.resent == 0
        row = next(iter(at.report().rows.values()))
        assert row.outcomes == {outcome: 1}
        server.on_request = fine
        assert (await asked(at.session.get("/"))).body == b"ok"


@pytest_twisted.ensureDeferred
async def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        async with desk(f"http://127.0.0.1:{probe.getsockname()[1]}") as at:
            for _ in range(3):
                await fails(at, "refused", "connection refused")
            results = await asked(
                gatherResults(
                    [at.session.get("/").addErrback(lambda why: why.value) for _ in range(50)]
                )
            )
            assert {one.outcome for one in results} == {"refused"}
            assert at.client.opened == 0


@pytest_twisted.ensureDeferred
async def test_a_user_that_never_waits_does_not_stop_the_reactor(tmp_path: Any) -> None:
    """A connection that fails at once is told in a later turn."""
    async with desk(f"http+unix://{str(tmp_path).replace('/', '%2F')}%2Fnobody") as at:
        seen: list[str] = []

        async def stubborn() -> None:
            while len(seen) < 100:
                try:
                    await at.session.get("/")
                except RequestFailed as error:
                    seen.append(error.outcome)

        turns = 0
        running = Deferred.fromCoroutine(stubborn())
        while not running.called:
            turns += 1
            await turn()
        await running
        assert seen == ["refused"] * 100
        assert turns >= 50


@pytest_twisted.ensureDeferred
async def test_a_server_that_takes_no_connection() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        where = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(where)
        async with desk(f"http://127.0.0.1:{where[1]}", connect_timeout=0.2) as at:
            await fails(at, "timeout", "no connection to 127.0.0.1 within 0.2s")
            await fails(at, "timeout", "no connection within 0.1s", timeout=0.1)
        async with desk(f"http://127.0.0.1:{where[1]}", connect_timeout=60.0, timeout=0.1) as at:
            trying = [at.session.get("/").addErrback(lambda why: why.value) for _ in range(50)]
            assert {one.outcome for one in await asked(gatherResults(trying))} == {"timeout"}
            assert at.client.wheel.entries() == []  # nobody waits for those connections
        for filler in fillers:
            filler.close()


@pytest_twisted.ensureDeferred
async def test_time_outs_are_kept_to_a_tenth() -> None:
    async with bad(silent) as server, desk(server.url, timeout=9.0) as at:
        for timeout in ("100ms", 0.3, "1s"):
            await fails(at, "timeout", timeout=timeout)
            wanted = {"100ms": 0.1, "1s": 1.0}.get(str(timeout), 0.3)
            took = at.last.ended - at.last.started
            assert wanted <= took < wanted * 1.1 + 0.3  # 0.3: a machine that does more than this


@pytest_twisted.ensureDeferred
async def test_many_time_outs_at_once() -> None:
    async with bad(silent) as server, desk(server.url, timeout=0.2) as at:
        answers = [at.session.get("/").addErrback(lambda why: why.value) for _ in range(200)]
        results = await asked(gatherResults(answers))
        assert {one.outcome for one in results} == {"timeout"}
        await until(lambda: not at.client.wheel.entries())


@pytest_twisted.ensureDeferred
async def test_addresses_of_a_name_are_tried_in_turn() -> None:
    tried: list[str] = []

    def allowed(host: str, address: str) -> None:
        assert host == "shop.test"
        tried.append(address)
        if address == "127.0.0.3":
            raise TargetError("not there")

    async with bad(fine) as server:
        port = server.url.rpartition(":")[2]
        async with desk(f"http://shop.test:{port}", allowed, connections="none") as at:
            names = at.client.names
            names._known["shop.test"] = (1e12, ("127.0.0.3", "127.0.0.2", "127.0.0.1"))
            for _ in range(2):
                assert (await asked(at.session.get("/"))).body == b"ok"
            assert tried == ["127.0.0.3", "127.0.0.2", "127.0.0.1", "127.0.0.1"]
            assert b"Host: shop.test:" in server.requests[0]
            names._known["shop.test"] = (1e12, ("127.0.0.2", "127.0.0.3"))
            await fails(at, "refused", "not there")
            names._known["shop.test"] = (1e12, ("127.0.0.3", "127.0.0.2"))
            await fails(at, "refused", "connection refused")


@pytest_twisted.ensureDeferred
async def test_names_that_cannot_be_looked_up() -> None:
    class Resolver:
        waiting: list[Any] = []

        @property
        def nameResolver(self) -> Resolver:  # noqa: N802
            return self

        def resolveHostName(self, receiver: Any, name: str) -> None:
            self.waiting.append(receiver)

    async with desk("http://shop.test", connect_timeout=0.2) as at:
        at.client.names._reactor = resolver = Resolver()
        await fails(at, "timeout", "looking up 'shop.test'")
        waiting = at.session.get("/").addErrback(lambda why: why.value)
        other = at.session.get("/").addErrback(lambda why: why.value)
        resolver.waiting[0].resolutionComplete()
        for one in (waiting, other):
            error = await asked(one)
            assert (error.outcome, error.detail) == ("refused", "'shop.test' has no address")
        assert len(resolver.waiting) == 1


# -- kept connections ------------------------------------------------------------------------------
def leaves(server: Misbehaving) -> None:
    """Answer the first request of each connection, and hang up at the second."""
    if server.requests == 1:
        server.send(OK)
    else:
        server.reset()


@pytest_twisted.ensureDeferred
async def test_request_is_sent_again_when_a_kept_connection_was_closed() -> None:
    async with bad(leaves) as server, desk(server.url) as at:
        for _ in range(4):
            assert (await asked(at.session.get("/"))).body == b"ok"
        assert (at.client.resent, at.client.opened) == (3, 4)
        assert [call.attempts for call in at.calls] == [1] * 4
        assert [call.replies for call in at.calls] == [1] * 4
        # not idempotent: nobody knows whether it was done
        await fails(at, "reset", method="POST", data=b"x")
        assert at.client.resent == 3


@pytest_twisted.ensureDeferred
async def test_plan_can_ask_to_report_the_race_instead() -> None:
    async with bad(leaves) as server, desk(server.url, resend=False) as at:
        await asked(at.session.get("/"))
        await fails(at, "reset")
        assert at.client.resent == 0


@pytest_twisted.ensureDeferred
async def test_request_is_sent_again_once_only() -> None:
    async with bad(fine) as server, desk(server.url) as at:
        await asked(at.session.get("/"))
        server.on_request = lambda connection: connection.reset()
        await fails(at, "reset")
        assert len(server.requests) == 3
        assert at.client.resent == 1


@pytest_twisted.ensureDeferred
async def test_request_is_not_sent_again_once_the_reply_began() -> None:
    def act(server: Misbehaving) -> None:
        if server.requests == 1:
            server.send(OK)
        else:
            says(b"H", "close")(server)

    async with bad(act) as server, desk(server.url) as at:
        await asked(at.session.get("/"))
        await fails(at, "truncated")
        assert (len(server.requests), at.client.resent) == (2, 0)


@pytest_twisted.ensureDeferred
async def test_idle_connections_that_close_are_not_used() -> None:
    async with bad(fine) as server, desk(server.url) as at:
        for act in ("close", "reset"):
            for _ in range(3):
                await asked(at.session.get("/"))
                getattr(server.connections[0], act)()
                await until(lambda: not at.client.connections)
        # bytes that nobody asked for
        await asked(at.session.get("/"))
        server.connections[0].send(OK)
        await until(lambda: not at.client.connections)
        assert (await asked(at.session.get("/"))).body == b"ok"
        assert at.client.resent == 0
        assert at.outcomes == ["served"] * 8


@pytest_twisted.ensureDeferred
async def test_bytes_behind_a_reply_are_never_taken_for_the_next() -> None:
    two = OK + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    async with bad(says(two)) as server, desk(server.url) as at:
        for _ in range(3):
            assert (await asked(at.session.get("/"))).body == b"ok"
        assert at.client.opened == 3


@pytest_twisted.ensureDeferred
async def test_reply_that_comes_before_the_request_is_out() -> None:
    """As with 413: the reply counts, the connection is not used again."""

    def act(server: Misbehaving) -> None:
        server.transport.pauseProducing()  # type: ignore[union-attr]
        server.send(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")

    async with bad(act) as server, desk(server.url) as at:
        response = await asked(at.session.post("/", data=b"x" * 30_000_000))
        assert (response.code, response.body) == (413, b"no")
        assert not at.client.connections


@pytest_twisted.ensureDeferred
async def test_server_that_closes_while_the_request_goes_out() -> None:
    async with bad(lambda server: server.reset()) as server, desk(server.url) as at:
        await fails(at, "reset", method="POST", data=b"x" * 30_000_000)
        assert not at.client.connections


# -- giving up -------------------------------------------------------------------------------------
@pytest_twisted.ensureDeferred
async def test_a_cancelled_call_is_a_time_out_and_frees_its_connection() -> None:
    async with bad(silent) as server, desk(server.url) as at:
        waiting = at.session.get("/")
        await until(lambda: server.requests)
        waiting.cancel()
        with pytest.raises(CancelledError):
            await asked(waiting)
        assert (at.last.outcome, at.last.detail) == ("timeout", "given up")
        assert not at.client.connections
        with pytest.raises(GaveUp):
            await asked(at.session.get("/").addTimeout(0.05, reactor))  # type: ignore[arg-type]
        assert at.outcomes == ["timeout"] * 2
        early = at.session.get("/")
        early.cancel()  # before there is a connection
        with pytest.raises(CancelledError):
            await asked(early)
        server.on_request = fine
        assert (await asked(at.session.get("/"))).body == b"ok"


@pytest_twisted.ensureDeferred
async def test_closing_the_client_ends_all() -> None:
    async with bad(silent) as server, desk(server.url) as at:
        waiting = [at.session.get("/") for _ in range(5)]
        stream = at.session.post("/", data=io.BytesIO(b"x"))
        await until(lambda: len(server.requests) == 6)
        await at.client.close()
        for one in (*waiting, stream):
            with pytest.raises(CancelledError):
                await asked(one)
        assert at.outcomes == ["timeout"] * 6
        assert not at.client.connections
        await fails(at, "refused", "closed")
        await fails(at, "refused", "closed", method="POST", data=io.BytesIO(b"x"))


@pytest_twisted.ensureDeferred
async def test_nothing_is_kept_of_what_has_ended() -> None:
    async with bad(fine) as server, desk(server.url, timeout=60.0) as at:
        kept = [weakref.ref(await asked(at.session.get("/"))) for _ in range(3)]
        await asked(at.session.get("/"))
        assert at.client.wheel.entries() == []
        at.calls.clear()
        gc.collect()
        assert [one() for one in kept] == [None] * 3


# -- our own machine, and stock treq ---------------------------------------------------------------
@pytest_twisted.ensureDeferred
async def test_our_own_limits_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bad(fine) as server, desk(server.url) as at:
        for number, said in ((errno.EMFILE, "ulimit"), (errno.EADDRNOTAVAIL, "no free port")):

            def none(*_: Any, number: int = number) -> Any:
                raise OSError(number, "no")

            with monkeypatch.context() as patch:
                patch.setattr("rascal.load.http.dial.socket.socket", none)
                await fails(at, "refused", said)


STOCK = [
    case
    for case in CASES
    if case[0]
    in (
        "closes",
        "resets",
        "closes in the body",
        "silence",
        "a trickling body",
        "endless head",
        "endless 1xx",
        "endless body",
        "endless chunks",
        "a broken head",
    )
]


@pytest.mark.parametrize("case", STOCK, ids=[case[0] for case in STOCK])
@pytest_twisted.ensureDeferred
async def test_stock_treq_fails_with_the_same_outcomes(case: tuple[str, Any, str, str]) -> None:
    # What is no time-out must be found out, however busy this machine is.
    timeout = 0.3 if case[2] == "timeout" else 20.0
    async with bad(case[1]) as server, desk(server.url, timeout=timeout) as at:
        at.client.body_limit = 1_000_000
        await fails(at, case[2], method="POST", data=io.BytesIO(b"x"))
        assert at.last.replies == 0
        assert at.last.lane == "treq"
        await until(lambda: not server.connections)


@pytest_twisted.ensureDeferred
async def test_a_stream_that_nobody_reads_is_a_time_out() -> None:
    async with bad(says(LONG + b"abc")) as server, desk(server.url, timeout=0.2) as at:
        response = await at.session.get("/", unbuffered=True)
        assert not response.call.recorded
        await until(lambda: response.call.recorded)
        assert (at.last.outcome, at.last.lane, at.last.replies) == ("timeout", "treq", 0)
        await until(lambda: not server.connections)


@pytest_twisted.ensureDeferred
async def test_tls_that_does_not_come_about() -> None:
    for act, outcome, said in (
        (lambda server: server.send(b"HTTP/1.1 400 Bad\r\n\r\n"), "tls", ""),
        (lambda server: server.close(), "tls", "ended within TLS"),
        (silent, "timeout", "no TLS to 127.0.0.1 within 0.2s"),
    ):
        async with bad(silent) as server:
            server.on_connect = act
            url = server.url.replace("http:", "https:")
            async with desk(url, connect_timeout=0.2) as at:
                await fails(at, outcome, said)
                await until(lambda server=server: not server.connections)  # type: ignore[misc]
