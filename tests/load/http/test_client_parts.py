"""Names, time-outs, cookies, decoding and errors of the load client, each alone."""

from __future__ import annotations

import gzip
import socket
import ssl
import zlib
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock

from rascal.errors import LimitError
from rascal.load.http.cookies import COOKIES, LINES, Jar
from rascal.load.http.errors import UnresolvedError, failure_of
from rascal.load.http.names import KEPT, MOST, Names, is_literal
from rascal.load.http.response import decode
from rascal.load.http.urls import Headers, Template, Urls
from rascal.load.http.wheel import Wheel
from rascal.load.http.wire import Head


# -- names -----------------------------------------------------------------------------------------
class Resolver:
    """Answers when told to."""

    def __init__(self) -> None:
        self.nameResolver = self
        self.asked: list[tuple[Any, str]] = []

    def resolveHostName(self, receiver: Any, name: str) -> None:
        self.asked.append((receiver, name))

    def answer(self, *addresses: str) -> None:
        receiver, _ = self.asked[-1]
        receiver.resolutionBegan(None)
        for address in addresses:
            form = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(form("TCP", address, 0))
        receiver.resolutionComplete()


def test_names_are_asked_once_and_kept_for_a_while() -> None:
    clock, resolver = Clock(), Resolver()
    names = Names(resolver, clock.seconds)
    found: list[Any] = []
    for _ in range(3):
        names.ask("shop", lambda addresses, error: found.append((addresses, error)))
    assert len(resolver.asked) == 1
    assert names.known("shop") == ()
    resolver.answer("10.0.0.1", "::2", "10.0.0.1")
    assert found == [(("10.0.0.1", "::2"), None)] * 3
    assert names.known("shop") == ("10.0.0.1", "::2")
    names.first("shop", "::2")
    assert names.known("shop") == ("::2", "10.0.0.1")
    names.first("shop", "10.9.9.9")
    names.first("other", "::2")
    assert names.known("shop") == ("::2", "10.0.0.1")
    clock.advance(KEPT + 1)
    assert names.known("shop") == ()


def test_names_without_address_are_asked_again() -> None:
    resolver = Resolver()
    names = Names(resolver, Clock().seconds)
    found: list[Any] = []
    for _ in range(2):
        names.ask("shop", lambda addresses, error: found.append((addresses, error)))
        resolver.answer()
    assert len(resolver.asked) == 2
    assert [addresses for addresses, _ in found] == [None, None]
    assert isinstance(found[0][1], UnresolvedError)
    failed = failure_of(found[0][1])
    assert (failed.outcome, failed.detail) == ("refused", "'shop' has no address")


def test_resolver_that_raises_and_memory_of_names() -> None:
    resolver = Resolver()
    names = Names(resolver, Clock().seconds)
    for n in range(MOST + 5):
        names.ask(f"h{n}", lambda addresses, error: None)
        resolver.answer("10.0.0.1")
    assert len(names._known) <= MOST

    def broken(receiver: Any, name: str) -> None:
        raise ValueError("label too long")

    resolver.resolveHostName = broken  # type: ignore[method-assign]
    found: list[Any] = []
    names.ask("x", lambda addresses, error: found.append(error))
    assert "label too long" in str(found[0])


def test_literals() -> None:
    for host in ("127.0.0.1", "::1", "fe80::1%eth0"):
        assert is_literal(host)
    for host in ("localhost", "1.2.3", "a.b", "", "1.2.3.4.5", "\0"):
        assert not is_literal(host)


# -- the wheel -------------------------------------------------------------------------------------
class Entry:
    def __init__(self, wheel: Wheel, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.deadline = clock.seconds() + seconds
        self.table = wheel.table(seconds)
        self.table[self] = None
        self.expired: float | None = None

    def end(self) -> None:
        self.table.pop(self, None)

    def expire(self) -> None:
        self.end()
        self.expired = self.clock.seconds()


def test_entries_expire_soon_after_their_time() -> None:
    clock = Clock()
    wheel = Wheel(clock, clock.seconds)
    entries = {seconds: Entry(wheel, clock, seconds) for seconds in (30.0, 0.2, 1.0, 0.05, 5.0)}
    clock.pump([0.001] * 40_000)
    for seconds, entry in entries.items():
        assert entry.expired is not None
        assert seconds <= entry.expired <= seconds + max(0.011, min(0.102, seconds / 9))


def test_what_has_ended_does_not_expire_and_leaves_no_timer() -> None:
    clock = Clock()
    wheel = Wheel(clock, clock.seconds)
    entries = [Entry(wheel, clock, 1.0) for _ in range(1000)]
    for entry in entries[:-1]:
        entry.end()
    assert len(wheel.entries()) == 1
    clock.pump([0.01] * 200)
    assert [entry.expired is None for entry in entries] == [True] * 999 + [False]
    assert clock.getDelayedCalls() == []
    again = Entry(wheel, clock, 1.0)
    clock.pump([0.01] * 120)
    assert again.expired is not None


def test_short_time_out_among_long_ones_is_seen_in_time() -> None:
    clock = Clock()
    wheel = Wheel(clock, clock.seconds)
    Entry(wheel, clock, 30.0)
    clock.advance(0.01)
    short = Entry(wheel, clock, 0.05)
    clock.pump([0.001] * 70)
    assert short.expired is not None
    assert short.expired <= 0.01 + 0.05 + 0.011


def test_one_that_expires_may_end_another_and_begin_one() -> None:
    clock = Clock()
    wheel = Wheel(clock, clock.seconds)
    first, second = Entry(wheel, clock, 1.0), Entry(wheel, clock, 1.0)
    seen: list[str] = []
    first.expire = lambda: (first.end(), Entry(wheel, clock, 1.0), seen.append("first"))  # type: ignore[method-assign,assign,return-value]
    clock.pump([0.01] * 120)
    assert seen == ["first"]
    assert second.expired is not None
    assert len(wheel.entries()) == 1


def test_closed_wheel_is_still() -> None:
    clock = Clock()
    wheel = Wheel(clock, clock.seconds)
    entry = Entry(wheel, clock, 1.0)
    wheel.close()
    Entry(wheel, clock, 1.0)
    assert clock.getDelayedCalls() == []
    clock.advance(5)
    assert entry.expired is None


# -- cookies ---------------------------------------------------------------------------------------
def template(url: str) -> Template:
    return _URLS.get("GET", url)


_URLS = Urls("", Headers({}), Headers({}))


def sets(*lines: str) -> Head:
    raw = "".join(f"Set-Cookie: {line}\r\n" for line in lines)
    return Head(f"HTTP/1.1 200 OK\r\n{raw}\r\n".encode())


def test_cookies_go_where_they_belong() -> None:
    jar = Jar()
    jar.take(template("http://a.example/x/y"), sets("a=1; Path=/", "b=2", "s=3; Secure; Path=/"))
    assert jar.line(template("http://a.example/")) == b"Cookie: a=1\r\n"
    both = jar.line(template("http://a.example/x/z?q"))
    assert sorted(both[8:-2].split(b"; ")) == [b"a=1", b"b=2"]
    assert b"s=3" in jar.line(template("https://a.example/"))
    assert jar.line(template("http://b.example/")) == b""


def test_line_is_made_once_until_the_jar_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    jar = Jar()
    at = template("http://a.example/")
    jar.take(at, sets("a=1"))
    made: list[Any] = []
    real = Jar.add_cookie_header
    monkeypatch.setattr(Jar, "add_cookie_header", lambda *one: (made.append(1), real(*one)))
    for _ in range(5):
        assert jar.line(at) == b"Cookie: a=1\r\n"
    assert len(made) == 1
    jar.take(at, sets("a=1"))  # the same once more
    jar.take(at, sets("a=1"))
    jar.line(at)
    assert len(made) <= 2
    jar.take(at, sets("a=2"))
    assert jar.line(at) == b"Cookie: a=2\r\n"
    jar.take(at, sets("a=; Max-Age=0"))
    assert jar.line(at) == b""
    jar.give(at, {"c": "4"})
    assert jar.line(at) == b"Cookie: c=4\r\n"
    jar.clear()
    assert jar.line(at) == b""


def test_cookie_that_ends_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    jar = Jar()
    at = template("http://a.example/")
    jar.take(at, sets("a=1; Max-Age=10", "b=2"))
    assert sorted(jar.line(at)[8:-2].split(b"; ")) == [b"a=1", b"b=2"]
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 20)
    assert jar.line(at) == b"Cookie: b=2\r\n"


def test_jar_is_bounded_and_takes_odd_lines() -> None:
    jar = Jar()
    at = template("http://a.example/")
    for line in ("", "=", ";;;", "a", "a=\xff; Path=\xff", "x" * 5000, 'q="a;b"; Expires=never'):
        jar.take(at, sets(line))
    for n in range(COOKIES + 50):
        jar.take(at, sets(f"n{n}=1"))
    assert len(jar) <= COOKIES
    for n in range(3 * LINES):
        jar.line(template(f"http://a.example/{n}"))
    assert len(jar._lines) <= LINES


# -- bodies ----------------------------------------------------------------------------------------
def test_encodings_are_undone() -> None:
    plain = b"hello " * 100
    assert decode(gzip.compress(plain), b"gzip", 1000) == plain
    assert decode(gzip.compress(b"a") + gzip.compress(b"b") + b"\0\0", b"x-gzip", 10) == b"ab"
    assert decode(zlib.compress(plain), b"deflate", 1000) == plain
    raw = zlib.compressobj(wbits=-15)
    assert decode(raw.compress(plain) + raw.flush(), b"deflate", 1000) == plain


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_bodies_that_cannot_be_decoded(encoding: bytes) -> None:
    packed = gzip.compress(b"a" * 5000) if encoding == b"gzip" else zlib.compress(b"a" * 5000)
    for body in (packed[:-1], packed[: len(packed) // 2], b"\x78", b"nonsense", b"\0"):
        with pytest.raises((ValueError, zlib.error)):
            decode(body, encoding, 10_000)
    with pytest.raises(ValueError, match="longer than 4999"):
        decode(packed, encoding, 4999)
    assert len(decode(packed, encoding, 5000)) == 5000


# -- errors ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "refused", "connection refused"),
        (ConnectionResetError(104, "Connection reset by peer"), "reset", "reset by peer"),
        (BrokenPipeError(32, "Broken pipe"), "reset", "broken pipe"),
        (OSError(113, "No route to host"), "refused", "no route"),
        (OSError(101, "Network is unreachable"), "refused", "unreachable"),
        (TimeoutError(110, "Connection timed out"), "timeout", "timed out"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "tls", "wrong"),
        (LimitError("too long"), "malformed", "too long"),
        (socket.gaierror(-2, "Name or service not known"), "refused", "not known"),
        (RuntimeError("odd"), "malformed", "RuntimeError: odd"),
    ],
)
def test_errors_have_their_class(error: Exception, outcome: str, said: str) -> None:
    failed = failure_of(error)
    assert failed.outcome == outcome
    assert said in failed.detail
    assert failed.__cause__ is error
    assert failure_of(failed) is failed
