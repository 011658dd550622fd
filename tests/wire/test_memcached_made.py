"""What the proxy says in memcached's name: errors, misses, values, ends."""

from __future__ import annotations

from typing import Any

import pytest
from books import Books

from rascal.wire.memcached import PROTOCOL
from rascal.wire.types import ErrorCall, Head


def books() -> Books:
    return Books(PROTOCOL)


def head_of(data: bytes, these: Books | None = None) -> Any:
    """The head of a request that has been parsed and not forwarded."""
    these = these or books()
    return next(iter(these.to_upstream.codec.feed(data))).start


def call(name: str, text: str | None = None) -> ErrorCall:
    spec = PROTOCOL.error(name)
    assert spec is not None
    return ErrorCall(spec, text)


@pytest.mark.parametrize(
    ("name", "line", "reply"),
    [
        ("out_of_memory", b"add a 0 0 1", b"SERVER_ERROR out of memory storing object\r\n"),
        ("NOT_STORED", b"add a 0 0 1", b"NOT_STORED\r\n"),
        ("not_stored", b"ms a 1 ME k O1", b"NS ka O1\r\n"),
        ("not_stored", b"ms a 1 ME c k O1", b"NS c0 ka O1\r\n"),
        ("not_stored", b"ms a 1 ME k O1 c q", b"NS ka O1 c0\r\n"),
        ("exists", b"cas a 0 0 1 9", b"EXISTS\r\n"),
        ("EXISTS", b"md a C9 q", b"EX\r\n"),
        ("not_found", b"ma YQ== b k q", b"NF kYQ== b\r\n"),
        ("not_found", b"incr a 1", b"NOT_FOUND\r\n"),
        ("pretend_stored", b"set a 0 0 1", b"STORED\r\n"),
        ("pretend_stored", b"ms a 1 c O1", b"HD c1 O1\r\n"),
        ("pretend_stored", b"ms a 1 q", b""),
        ("error", b"get a", b"ERROR\r\n"),
        ("unknown_command", b"mg a", b"ERROR\r\n"),
        ("unauthenticated", b"mg a q", b"CLIENT_ERROR unauthenticated\r\n"),
    ],
)
def test_error_lines(name: str, line: bytes, reply: bytes) -> None:
    answer = PROTOCOL.answer(books().session, head_of(line + b"\r\n"), call(name))
    assert answer.reply == reply
    assert answer.upstream == ()
    assert not answer.close


def test_texts_of_the_user() -> None:
    session, head = books().session, head_of(b"get a\r\n")

    def reply(name: str, text: str) -> bytes:
        return PROTOCOL.answer(session, head, call(name, text)).reply

    assert reply("SERVER_ERROR", "busy\r\nnow") == b"SERVER_ERROR busy  now\r\n"
    assert reply("too_large", "CLIENT_ERROR no") == b"CLIENT_ERROR no\r\n"
    assert reply("CLIENT_ERROR", "no") == b"CLIENT_ERROR no\r\n"
    assert reply("not_stored", "LOCKED") == b"LOCKED\r\n"
    assert PROTOCOL.error("nonsense") is None


def test_too_many_connections() -> None:
    answer = PROTOCOL.answer(books().session, Head("CONNECT"), call("too_many_connections"))
    assert answer.reply == b"ERROR Too many open connections\r\n"
    assert answer.close


@pytest.mark.parametrize(
    ("line", "removal"),
    [
        (b"set a 0 0 1", b"delete a\r\n"),
        (b"ms a 1 ME", b"delete a\r\n"),
        (b"ms YQ== 1 b", b"md YQ== b\r\n"),
        (b"add a 0 0 1", None),
    ],
)
def test_a_set_that_is_refused_removes_the_value(line: bytes, removal: bytes | None) -> None:
    for name in ("too_large", "out_of_memory"):
        these = books()
        head = head_of(line + b"\r\n", these)
        answer = PROTOCOL.answer(these.session, head, call(name))
        assert [data for _, data in answer.upstream] == ([] if removal is None else [removal])
        assert all(own.replies and not own.asked for own, _ in answer.upstream)
        PROTOCOL.forwarded(these.session, head)
        assert PROTOCOL.answer(these.session, head, call(name)).upstream == ()


def test_an_answer_behind_quiet_requests_makes_the_server_settle_them() -> None:
    these = books()
    these.up(b"mg a q k\r\n")
    head = head_of(b"mg b k\r\n", these)
    answer = PROTOCOL.answer(these.session, head, call("unknown_command"))
    ((own, data),) = answer.upstream
    assert data == b"mn\r\n"
    assert PROTOCOL.empty(these.session, head) is None, "it would wait for ever"
    assert PROTOCOL.empty(these.session, head_of(b"mg b q k\r\n")) == b""
    these.request(own)
    these.down(b"MN\r\n")
    assert [name for name, _ in ((m.head.command, m.data) for m in these.replies)] == [
        "SILENT",
        "MN",
    ]
    assert PROTOCOL.empty(these.session, head) == b"EN kb\r\n"
    these.up(b"mg c q\r\n")
    PROTOCOL.forwarded(these.session, head)
    assert PROTOCOL.empty(these.session, head) == b"EN kb\r\n", "it is forwarded, it will settle"


EMPTY = [
    (b"get a b", b"END\r\n"),
    (b"gats 0 a", b"END\r\n"),
    (b"mg a v", b"EN\r\n"),
    (b"mg a v k O1 f t", b"EN ka O1\r\n"),
    (b"mg a q", b""),
    (b"mg a N30 t v k", b"VA 0 t30 ka W\r\n\r\n"),
    (b"mg a t N30 s q", b"HD t-1 s0 W\r\n"),
    (b"me a", b"EN\r\n"),
    (b"delete a", b"NOT_FOUND\r\n"),
    (b"touch a 0", b"NOT_FOUND\r\n"),
    (b"cas a 0 0 1 5", b"NOT_FOUND\r\n"),
    (b"append a 0 0 1", b"NOT_STORED\r\n"),
    (b"md a O5 q", b"NF O5\r\n"),
    (b"ma a", b"NF\r\n"),
    (b"ma a N0", None),
    (b"ms a 1 C5 k", b"NF ka\r\n"),
    (b"ms a 1 MR", b"NS\r\n"),
    (b"ms a 1", None),
    (b"set a 0 0 1", None),
    (b"set a 0 0 1 noreply", None),
    (b"delete a noreply", None),
    (b"version", None),
    (b"stats", None),
    (b"get", None),
]


@pytest.mark.parametrize(("line", "reply"), EMPTY)
def test_empty(line: bytes, reply: bytes | None) -> None:
    assert PROTOCOL.empty(books().session, head_of(line + b"\r\n")) == reply


REPLACED = [
    (b"get a b", "xy", b"VALUE a 5 2\r\nxy\r\nVALUE b 5 2\r\nxy\r\nEND\r\n"),
    (b"gets a", "", b"VALUE a 5 0 1\r\n\r\nEND\r\n"),
    (b"mg a v s f t k O1 q", "xy", b"VA 2 s2 f5 t-1 ka O1\r\nxy\r\n"),
    (b"mg a", "xy", b"HD\r\n"),
    (b"incr a 1", "42", b"42\r\n"),
    (b"decr a 1", "x", None),
    (b"ma a v", "42", b"VA 2\r\n42\r\n"),
    (b"ma a q", "42", b""),
    (b"set a 0 0 1", "NOT_STORED", b"NOT_STORED\r\n"),
    (b"set a 0 0 1", "a\r\nb", None),
    (b"set a 0 0 1 noreply", "x", None),
    (b"stats", "x", None),
]


@pytest.mark.parametrize(("line", "given", "reply"), REPLACED)
def test_replacement(line: bytes, given: str, reply: bytes | None) -> None:
    options = PROTOCOL.replace_options.plain({"text": given, "flags": 5})
    head = head_of(line + b"\r\n")
    assert PROTOCOL.replacement(books().session, head, options) == reply
    assert PROTOCOL.replacement(books().session, Head("CONNECT"), options) is None


def test_terminate() -> None:
    session = books().session
    oops = call("SERVER_ERROR", "oops")
    for line, end in [
        (b"get a", b"END\r\n"),
        (b"stats", b"END\r\n"),
        (b"lru_crawler mgdump all", b"EN\r\n"),
        (b"mg a v", None),
        (b"version", None),
    ]:
        head = head_of(line + b"\r\n")
        assert PROTOCOL.terminate(session, head, 0, None) == end
        error = PROTOCOL.terminate(session, head, 0, oops)
        assert error == (None if end is None else b"SERVER_ERROR oops\r\n")


def test_identity_and_rerender() -> None:
    one, two = head_of(b"mg a v k O11 q\r\n"), head_of(b"mg a v k O2\r\n")
    assert one.identity() == two.identity() is not None
    assert head_of(b"get a b\r\n").identity() == head_of(b"get  a b\r\n").identity()
    assert head_of(b"get a\r\n").identity() != head_of(b"gets a\r\n").identity()
    for line in (b"mg a v N30", b"mg a T0", b"set a 0 0 1", b"mg a zz O1 O2", b"delete a"):
        assert head_of(line + b"\r\n").identity() is None
    session = books().session
    assert PROTOCOL.rerender(session, two, b"VA 2 ka O11\r\nOO\r\n") == b"VA 2 ka O2\r\nOO\r\n"
    assert PROTOCOL.rerender(session, two, b"") == b"EN ka O2\r\n"
    assert PROTOCOL.rerender(session, one, b"EN ka O2\r\n") == b""
    assert PROTOCOL.rerender(session, one, b"") == b""
    assert PROTOCOL.rerender(session, head_of(b"get a\r\n"), b"END\r\n") == b"END\r\n"
