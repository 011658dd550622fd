"""Replies out of bytes: every case cut at every byte, and generated ones cut at random."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rascal.errors import LimitError, ProtocolError
from rascal.load.http.errors import TruncatedError
from rascal.load.http.wire import HEAD_LIMIT, INTERIM_LIMIT, LARGE, Held, Reader

OK = b"HTTP/1.1 200 OK\r\n"

# name, HEAD was asked, bytes, status, body, connection can be kept
CASES: list[tuple[str, bool, bytes, int, bytes, bool]] = [
    ("plain", False, OK + b"Content-Length: 5\r\n\r\nhello", 200, b"hello", True),
    ("empty", False, OK + b"Content-Length: 0\r\n\r\n", 200, b"", True),
    ("odd case", False, OK + b"cOnTeNt-LeNgTh:2  \r\n\r\nok", 200, b"ok", True),
    ("same length twice", False, OK + b"Content-Length: 2, 2\r\n\r\nok", 200, b"ok", True),
    (
        "same length in two lines",
        False,
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
        True,
    ),
    (
        "chunked with extension and trailer",
        False,
        OK
        + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n",
        200,
        b"hello world",
        True,
    ),
    (
        "chunked, empty",
        False,
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        200,
        b"",
        True,
    ),
    (
        "chunked and close",
        False,
        OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        200,
        b"ok",
        False,
    ),
    ("204", False, b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n", 204, b"", True),
    ("304 with a length", False, b"HTTP/1.1 304 N\r\nContent-Length: 10\r\n\r\n", 304, b"", True),
    ("close", False, OK + b"Content-Length: 2\r\nConnection: Close\r\n\r\nok", 200, b"ok", False),
    (
        "close in a list",
        False,
        OK + b"Content-Length: 2\r\nConnection: foo, close\r\n\r\nok",
        200,
        b"ok",
        False,
    ),
    ("1.0", False, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
    (
        "1.0 kept",
        False,
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
        True,
    ),
    ("HEAD", True, OK + b"Content-Length: 5\r\n\r\n", 200, b"", True),
    ("HEAD, chunked", True, OK + b"Transfer-Encoding: chunked\r\n\r\n", 200, b"", True),
    (
        "100 first",
        False,
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
        200,
        b"ok",
        True,
    ),
    (
        "103 with headers, then HEAD",
        True,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\n",
        200,
        b"",
        True,
    ),
    ("no reason", False, b"HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno", 404, b"no", True),
    (
        "8 bit in a header",
        False,
        OK + b"X: \xfc\xff\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
        True,
    ),
    (
        "identity",
        False,
        OK + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
        True,
    ),
]

BAD: list[tuple[str, bytes]] = [
    ("two lengths", OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    ("two lengths in a line", OK + b"Content-Length: 2, 3\r\n\r\nok"),
    ("no number", OK + b"Content-Length: +2\r\n\r\nok"),
    ("negative", OK + b"Content-Length: -2\r\n\r\nok"),
    ("empty length", OK + b"Content-Length:\r\n\r\nok"),
    ("huge length", OK + b"Content-Length: 99999999999999999999\r\n\r\nok"),
    (
        "length and chunked",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    ("other coding", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("no HTTP", b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"),
    ("HTTP/2", b"HTTP/2 200\r\n\r\n"),
    ("no number for a status", b"HTTP/1.1 OK\r\n\r\n"),
    ("status 99", b"HTTP/1.1 099 OK\r\n\r\n"),
    ("status 1000", b"HTTP/1.1 1000 OK\r\n\r\n"),
    ("header without colon", OK + b"nonsense\r\n\r\n"),
    ("blank before the colon", OK + b"Content-Length : 2\r\n\r\nok"),
    ("folded", OK + b"X: a\r\n b\r\n\r\n"),
    ("NUL", OK + b"X: a\0b\r\n\r\n"),
    ("lone CR", OK + b"X: a\rb\r\n\r\n"),
    ("switching protocols", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"),
    ("chunk size", OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"),
    ("chunk end", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nokX0\r\n\r\n"),
    ("chunk of 2^70", OK + b"Transfer-Encoding: chunked\r\n\r\n400000000000000000\r\nx"),
]


def reader(head_only: bool = False, **limits: Any) -> Reader:
    made = Reader({}, **limits)
    made.expect(head_only)
    return made


def pieces(data: bytes, cut: int) -> list[bytes]:
    return [part for part in (data[:cut], data[cut:]) if part]


def feed_all(one: Reader, before: list[bytes], last: bytes) -> None:
    for part in before:
        assert not one.feed(part)
    one.feed(last)


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_reply_is_the_same_however_it_is_cut(case: tuple[Any, ...]) -> None:
    _, head_only, data, code, body, keep = case
    for cut in range(len(data)):
        one = reader(head_only)
        states = [one.feed(part) for part in pieces(data, cut)]
        assert states == [False] * (len(states) - 1) + [True], f"cut at {cut}"
        assert (one.head.code, one.body, one.keep) == (code, body, keep), f"cut at {cut}"
    one = reader(head_only)
    states = [one.feed(data[n : n + 1]) for n in range(len(data))]
    assert states == [False] * (len(data) - 1) + [True]
    assert (one.head.code, one.body, one.keep) == (code, body, keep)


@pytest.mark.parametrize("case", BAD, ids=[case[0] for case in BAD])
def test_what_is_no_reply_is_refused_however_it_is_cut(case: tuple[str, bytes]) -> None:
    for cut in range(len(case[1])):
        *before, last = pieces(case[1], cut)
        one = reader()
        with pytest.raises(ProtocolError):
            feed_all(one, before, last)


def test_one_reader_takes_one_reply_after_the_other() -> None:
    one = Reader({})
    for _ in range(2):
        for _, head_only, data, code, body, keep in CASES:
            one.expect(head_only)
            assert not one.begun
            assert one.feed(data)
            assert one.begun
            assert (one.head.code, one.body, one.keep) == (code, body, keep)


@pytest.mark.parametrize(
    "more",
    [
        b"H",
        b"no HTTP at all",
        OK + b"Content-Length: 5\r\n\r\nwrong",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nwrong\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("cut", [None, 3, 20, -3])
@pytest.mark.parametrize(
    "reply",
    [
        OK + b"Content-Length: 2\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
def test_bytes_behind_a_reply_end_the_connection(
    reply: bytes, cut: int | None, more: bytes
) -> None:
    one = reader()
    if cut is not None:
        assert not one.feed(reply[:cut])
        reply = reply[cut:]
    assert one.feed(reply + more)
    assert (one.body, one.keep) == (b"ok", False)


def test_body_until_close() -> None:
    data = OK + b"X: 1\r\n\r\nall that comes"
    for cut in range(len(data)):
        one = reader()
        for part in pieces(data, cut):
            assert not one.feed(part)
        assert one.end()
        assert (one.body, one.keep) == (b"all that comes", False)


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"Content-Length: 5\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        b"HT",
    ],
)
def test_reply_that_ends_early_is_truncated(data: bytes) -> None:
    for cut in range(len(data)):
        one = reader()
        for part in pieces(data, cut):
            assert not one.feed(part)
        with pytest.raises(TruncatedError):
            one.end()


def feed_forever(one: Reader, start: bytes, more: bytes, most: int) -> int:
    """Feed until it is refused; how much it took."""
    one.feed(start)
    taken = 0
    while True:
        try:
            assert not one.feed(more)
        except LimitError:
            return taken
        taken += len(more)
        assert taken <= most


def test_endless_head_is_bounded() -> None:
    feed_forever(reader(), OK, b"X-Filler: abcdefghijklmnop\r\n", HEAD_LIMIT)


def test_long_head_in_one_piece_is_refused() -> None:
    with pytest.raises(LimitError):
        reader().feed(OK + b"X: " + b"a" * HEAD_LIMIT + b"\r\n\r\n")


def test_endless_interim_replies_are_bounded() -> None:
    one = reader()
    feed_forever(one, b"", b"HTTP/1.1 100 Continue\r\n\r\n", 25 * (INTERIM_LIMIT + 1))


def test_interim_replies_in_one_piece_are_bounded() -> None:
    with pytest.raises(LimitError):
        reader().feed(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"\r\n", b"a" * 100),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"64\r\n" + b"a" * 100 + b"\r\n"),
    ],
)
def test_endless_body_is_bounded_or_dropped(start: bytes, more: bytes) -> None:
    assert feed_forever(reader(limit=1000), OK + start, more, 2000) >= 800
    one = reader(limit=1000, discard=True)
    one.feed(OK + start)
    for _ in range(50):
        assert not one.feed(more)


def test_length_over_the_limit_is_refused_at_once() -> None:
    with pytest.raises(LimitError):
        reader(limit=1000).feed(OK + b"Content-Length: 1001\r\n\r\n")
    with pytest.raises(LimitError):
        reader(limit=1000).feed(OK + b"Content-Length: 1001\r\n\r\n" + b"a" * 1001)
    assert reader(limit=1000).feed(OK + b"Content-Length: 1000\r\n\r\n" + b"a" * 1000)


def test_endless_trailers_are_bounded() -> None:
    start = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    feed_forever(reader(), start, b"X-Filler: abcdefghijklmnop\r\n", HEAD_LIMIT + 100)


def test_discarded_bodies_keep_framing() -> None:
    one = reader(discard=True)
    for data in (
        OK + b"Content-Length: 2\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ):
        one.expect(False)
        assert one.feed(data)
        assert (one.body, one.keep) == (b"", True)


def test_what_the_client_needs_of_a_head() -> None:
    one = reader()
    assert one.feed(
        b"HTTP/1.1 302 Found\r\nSet-Cookie: a=1\r\nLOCATION: /There?Q=1 \r\nRetry-After: 3\r\n"
        b"Content-Encoding: GZip\r\nContent-Length: 0\r\n\r\n"
    )
    head = one.head
    assert (head.location, head.sets, head.retry_after) == (b"/There?Q=1", True, True)
    assert head.encoding == b"gzip"


def test_heads_are_remembered_within_bounds() -> None:
    heads: dict[bytes, Any] = {}
    one = Reader(heads)
    for n in range(2000):
        one.expect(False)
        assert one.feed(OK + b"X: %d\r\nContent-Length: 1\r\n\r\na" % (n // 2))
    assert 0 < len(heads) <= 512
    before = len(heads)
    one.expect(False)
    assert one.feed(OK + b"Set-Cookie: a=1\r\nContent-Length: 1\r\n\r\na")
    assert len(heads) == before


TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABC-_!#", min_size=1, max_size=12).filter(
    lambda name: (
        name.lower() not in ("connection", "content-length", "transfer-encoding", "location")
    )
)
VALUE = st.binary(max_size=20).filter(lambda value: not set(value) & set(b"\r\n\0"))


@st.composite
def replies(draw: Any) -> tuple[bytes, int, bytes]:
    """A reply, its status and its body."""
    code = draw(st.integers(200, 599).filter(lambda code: code not in (204, 304)))
    body = draw(st.binary(max_size=60))
    lines = [
        name.encode() + b":" + value
        for name, value in draw(st.lists(st.tuples(TOKEN, VALUE), max_size=4))
    ]
    if draw(st.booleans()):
        lines.append(b"Content-Length: %d" % len(body))
        framed = body
    else:
        lines.append(b"Transfer-Encoding: chunked")
        framed, rest = b"", body
        while rest:
            size = draw(st.integers(1, len(rest)))
            framed += b"%x\r\n" % size + rest[:size] + b"\r\n"
            rest = rest[size:]
        framed += b"0\r\n\r\n"
    lines = draw(st.permutations(lines))
    head = b"HTTP/1.1 %d Some Reason\r\n" % code + b"".join(line + b"\r\n" for line in lines)
    return head + b"\r\n" + framed, code, body


@given(st.lists(replies(), min_size=1, max_size=4), st.data())
def test_generated_replies_cut_at_random(all_: list[tuple[bytes, int, bytes]], data: Any) -> None:
    one = Reader({})
    for raw, code, body in all_:
        one.expect(False)
        cuts = sorted(data.draw(st.lists(st.integers(1, len(raw) - 1), max_size=5, unique=True)))
        parts = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
        states = [one.feed(part) for part in parts]
        assert states == [False] * (len(parts) - 1) + [True]
        assert (one.head.code, one.body, one.keep) == (code, body, True)


@given(st.binary(max_size=300), st.sampled_from([b"", OK, OK + b"Transfer-Encoding: chunked\r\n"]))
def test_any_bytes_are_a_reply_or_an_error(data: bytes, start: bytes) -> None:
    one = reader()
    try:
        for part in pieces(start + data, len(data) // 2):
            if one.feed(part):
                return
        one.end()
    except (ProtocolError, TruncatedError):
        pass


@pytest.mark.parametrize("framing", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_bodies_that_are_coming_are_bounded_together(framing: bytes) -> None:
    held = Held(3 * LARGE)
    block = b"a" * (LARGE // 2)
    piece = b"%x\r\n%s\r\n" % (len(block), block) if framing else block
    readers = [reader(held=held) for _ in range(4)]
    for one in readers:
        one.feed(OK + framing + b"\r\n")
        one.feed(piece)
    small = reader(held=held)
    small.feed(OK + b"Content-Length: 5\r\n\r\nhel")
    for one in readers[:2]:
        one.feed(piece)
    assert held.size == 3 * LARGE + 3
    with pytest.raises(LimitError, match="given up after 1572864 bytes"):
        readers[0].feed(piece)
    assert small.feed(b"lo")
    assert small.body == b"hello"
    for one in readers:
        one.drop()
        one.drop()
    assert held.size == 0
