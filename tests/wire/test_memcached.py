"""The memcached codecs: framing, pairing, quiet requests, heads, answers."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from books import Books, bytewise, cuts
from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.errors import LimitError, ProtocolError
from rascal.wire import memcached_session
from rascal.wire.memcached import PROTOCOL
from rascal.wire.memcached_lines import split
from rascal.wire.memcached_session import QUIET_KEPT
from rascal.wire.types import HEAD_BYTES, ErrorCall, Head


def books(**options: Any) -> Books:
    return Books(PROTOCOL, **options)


def heads(data: bytes) -> list[Any]:
    """The heads of requests that have been parsed and forwarded."""
    these = books()
    these.up(data)
    return [message.head for message in these.requests]


def head_of(data: bytes, these: Books | None = None) -> Any:
    """The head of a request that has been parsed and not forwarded."""
    these = these or books()
    return next(iter(these.to_upstream.codec.feed(data))).start


def said(these: Books) -> list[tuple[str, bytes]]:
    return [(message.head.command, message.data) for message in these.replies]


# -- requests ----------------------------------------

REQUESTS = [
    b"get a b  c\r\n",
    b"gats 30 a\r\n",
    b"set a 5 0 7\r\na\r\nb\r\nc\r\n",
    b"set a 5 0 0 noreply\r\n\r\n",
    b"cas a 0 -1 2 99\r\nhi\r\n",
    b"delete a noreply\r\n",
    b"incr a 5\n",
    b"flush_all\r\n",
    b"ms a 3 T60 q\r\nabc\r\n",
    b"mg a v k Oopaque\r\n",
    b"mn\r\n",
    b"stats items\r\n",
    b"quit\r\n",
]


@pytest.mark.parametrize("cut", ["whole", "bytewise"])
def test_requests_of_every_shape(cut: str) -> None:
    these = books()
    data = b"".join(REQUESTS)
    these.up(*(bytewise(data) if cut == "bytewise" else [data]))
    assert [message.data for message in these.requests] == REQUESTS
    assert all(message.ended for message in these.requests)
    names = " ".join(message.head.command for message in these.requests)
    assert names == "GET GATS SET SET CAS DELETE INCR FLUSH_ALL MS MG MN STATS QUIT"
    answered = [message.head.replies for message in these.requests]
    assert answered == [True, True, True, False, True, False, *[True] * 6, False]


FIELDS = [
    (b"get a b\r\n", {"key": ("a", "b"), "keys": 2, "noreply": False, "size": None}),
    (b"gat 0 a\r\n", {"key": "a", "keys": 1}),
    (b"set k 0 0 3 noreply\r\nabc\r\n", {"key": "k", "size": 3, "noreply": True}),
    (b"ms k 3 q\r\nabc\r\n", {"key": "k", "size": 3, "noreply": True, "command": "MS"}),
    (b"mg \xff\x80 v\r\n", {"key": "\udcff\udc80", "noreply": False}),
    (b"touch k 0 noreply\r\n", {"key": "k", "noreply": True}),
    (b"version\r\n", {"key": None, "keys": None, "command": "VERSION"}),
    (b"\r\n", {"command": None, "key": None}),
    (b"FLUSH k\r\n", {"command": "FLUSH", "key": None, "nonsense": None}),
]


@pytest.mark.parametrize(("data", "values"), FIELDS)
def test_fields(data: bytes, values: dict[str, Any]) -> None:
    (head,) = heads(data)
    assert {name: head.value(name) for name in values} == values


FOLLOWS = [
    # line, bytes of data that follow, whether it is answered; as memcached 1.6.18 takes it
    (b"set a 0 0 5", 7, True),
    (b"set a 0 0 5 noreply", 7, False),
    (b"set a 0 0 5 foo", 7, True),
    (b"set a 0 0 5 noreply extra", 0, True),
    (b"set a 0 0 noreply", 0, False),
    (b"set a 0 0 x noreply", 0, False),
    (b"set a x 0 5", 0, True),
    (b"set a -1 0 5", 0, True),
    (b"set a 0 9999999999 5", 0, True),
    (b"set a 0 0 -1", 0, True),
    (b"set a 0 0 2147483646", 0, True),
    (b"set " + b"k" * 251 + b" 0 0 5", 0, True),
    (b"set " + b"k" * 250 + b" 0 0 5", 7, True),
    (b"set\ta 0 0 5", 0, True),
    (b"SET a 0 0 5", 0, True),
    (b" set a 0 0 5", 7, True),
    (b"set a 0 0 5\0x y z", 7, True),
    (b"cas a 0 0 5", 0, True),
    (b"cas a 0 0 5 x", 0, True),
    (b"cas a 0 0 5 9 noreply", 7, False),
    (b"ms a", 0, True),
    (b"ms a S5", 0, True),
    (b"ms a -1 q", 0, True),
    (b"ms a 5 MZ q", 7, True),
    (b"ms " + b"k" * 251 + b" 5", 0, True),
    (b"ms a 5" + b" a" * 17, 0, True),
    (b"delete a 0 noreply", 0, False),
    (b"delete a 5 noreply", 0, False),
    (b"delete noreply", 0, True),
    (b"delete a 0 noreply x", 0, True),
    (b"incr a noreply", 0, False),
    (b"incr a", 0, True),
    (b"flush_all noreply", 0, False),
    (b"flush_all x noreply", 0, False),
    (b"verbosity noreply", 0, False),
    (b"verbosity", 0, True),
    (b"slabs automove 0 noreply", 0, False),
    (b"version noreply", 0, True),
    (b"quit noreply", 0, False),
    (b"nonsense noreply", 0, True),
]


@pytest.mark.parametrize(("line", "body", "replies"), FOLLOWS)
def test_what_follows_a_line(line: bytes, body: int, replies: bool) -> None:
    for skims in (False, True):
        these = books(skims=skims)
        these.up(line + b"\r\n" + b"x" * body + b"mn\r\n")
        expected = [these.requests[0].head.framing] if replies and not skims else []
        if not skims:
            assert len(these.requests) == 2
            assert len(these.requests[0].data) == len(line) + 2 + body
            assert these.requests[0].head.replies == replies
            assert list(these.outstanding) == [*expected, "noop"]
        else:
            assert len(these.outstanding) == 1 + replies
            assert these.outstanding[-1] == "noop"
        assert these.to_upstream.codec.undecided() == b""


def test_words() -> None:
    assert split(b"  get  a\tb \r") == [b"get", b"a\tb"]
    assert split(b"get a\0b c") == [b"get", b"a"]
    assert split(b"") == []


@pytest.mark.parametrize("skims", [False, True])
def test_the_binary_protocol_is_named(skims: bool) -> None:
    these = books(skims=skims)
    with pytest.raises(ProtocolError, match="binary protocol"):
        these.up(b"\x80\x0b" + b"\0" * 22)
    assert these.to_upstream.codec.undecided() == b"\x80\x0b" + b"\0" * 22
    these = books(skims=skims)
    these.up(b"mn\r\n", b"\x80\x0b\r\n")
    assert len(these.outstanding) == 2


@pytest.mark.parametrize("step", [1 << 20, 65536, 1000])
def test_large_values_stream(step: int) -> None:
    data = b"set k 0 0 300000\r\n" + b"v" * 300_000 + b"\r\nget k\r\n"
    these = books()
    these.up(*(data[at : at + step] for at in range(0, len(data), step)))
    first, second = these.requests
    assert first.ended
    assert second.data == b"get k\r\n"


def test_a_head_comes_before_its_data() -> None:
    these = books()
    these.up(b"set k 0 0 1000000\r\n")
    assert these.requests[0].head.value("size") == 1_000_000
    assert not these.requests[0].ended
    chunk = memoryview(b"x" * 65536)
    assert [piece.data is chunk for piece in these.to_upstream.codec.feed(chunk)] == [True]


@pytest.mark.parametrize("step", [1 << 20, 65536, 997])
def test_a_retrieval_may_be_longer_than_the_bound(step: int) -> None:
    data = b"get " + b" ".join(b"key:%06d" % i for i in range(20_000)) + b"\r\nmn\r\n"
    these = books()
    these.up(*(data[at : at + step] for at in range(0, len(data), step)))
    first, second = these.requests
    assert 5000 < first.head.value("keys") < HEAD_BYTES / 10
    assert {len(key) for key in first.head.value("key")} == {10}
    assert not first.head.whole
    assert first.head.identity() is None
    assert second.data == b"mn\r\n"
    assert these.to_upstream.codec.undecided() == b""


@pytest.mark.parametrize("line", [b"mg ", b"set ", b"", b"Get "])
def test_no_other_line_may(line: bytes) -> None:
    for skims in (False, True):
        these = books(skims=skims)
        with pytest.raises(LimitError):
            these.up(*([line + b"x" * 30_000] * 4))


# -- replies ----------------------------------------

REPLIES = [
    (b"get a", b"END\r\n", "END"),
    (b"get a", b"VALUE a 0 5\r\nhe\r\no\r\nEND\r\n", "VALUE"),
    (b"get a b", b"VALUE a 0 0\r\n\r\nVALUE b 7 5\r\nEND\r\n\r\nEND\r\n", "VALUE"),
    (b"gets a", b"VALUE a 0 1 99\r\nx\r\nEND\r\n", "VALUE"),
    (b"get a", b"SERVER_ERROR out of memory writing get response\r\n", "SERVER_ERROR"),
    (b"get a b", b"VALUE a 0 1\r\nx\r\nSERVER_ERROR oops\r\n", "VALUE"),
    (b"set a 0 0 1\r\nx", b"STORED\r\n", "STORED"),
    (b"incr a 1", b"18446744073709551615\r\n", "NUMBER"),
    (b"nonsense", b"ERROR\r\n", "ERROR"),
    (b"shutdown", b"ERROR: shutdown not enabled\r\n", "ERROR"),
    (b"version", b"VERSION 1.6.18\r\n", "VERSION"),
    (b"mg a v", b"VA 5 f0\r\nhe\r\no\r\n", "VA"),
    (b"mg a v", b"VA 0\r\n\r\n", "VA"),
    (b"mg a", b"HD\r\n", "HD"),
    (b"mg a", b"EN\r\n", "EN"),
    (b"me a", b"ME a exp=-1 la=0 cas=2 fetch=no cls=1 size=63\r\n", "ME"),
    (b"mn", b"MN\r\n", "MN"),
    (b"stats", b"STAT pid 1\r\nSTAT uptime 2\r\nEND\r\n", "STAT"),
    (b"stats items", b"END\r\n", "END"),
    (b"stats reset", b"RESET\r\n", "RESET"),
    (b"stats detail dump", b"PREFIX a get 1 hit 0 set 0 del 0\r\nEND\r\n", "PREFIX"),
    (b"stats cachedump 1 1", b"ITEM a [1 b; 0 s]\r\nEND\r\n", "ITEM"),
    (b"stats new", b"ANYTHING x\r\nEND\r\n", "ANYTHING"),
    (b"lru_crawler metadump all", b"key=a exp=-1 la=1 size=62\nkey=b exp=-1\nEND\r\n", "key=a"),
    (b"lru_crawler metadump all", b"BUSY currently processing crawler request\r\n", "BUSY"),
    (b"lru_crawler mgdump all", b"mg a\r\nmg END\r\nEN\r\n", "mg"),
]


@pytest.mark.parametrize(("request_line", "data", "name"), REPLIES)
def test_every_reply_in_every_chunking(request_line: bytes, data: bytes, name: str) -> None:
    asked = request_line + b"\r\nversion\r\n"
    chunkings = [[data], bytewise(data), *([data[:at], data[at:]] for at in range(len(data)))]
    for chunks in chunkings:
        these = books()
        these.up(asked)
        these.down(*chunks, b"VERSION 1\r\n")
        assert said(these) == [(name, data), ("VERSION", b"VERSION 1\r\n")]
        assert not these.outstanding
        skimmed = books(skims=True)
        skimmed.up(asked)
        skimmed.down(*chunks, b"VERSION 1\r\n")
        assert skimmed.place() == these.place()


def test_parts_are_items_and_lines() -> None:
    these = books()
    these.up(b"get a b\r\nstats\r\nmg a v\r\nget a\r\n")
    these.down(b"VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\ny\r\nEND\r\n")
    these.down(b"STAT a 1\r\nSTAT b 2\r\nEND\r\n", b"VA 1\r\nx\r\n", b"END\r\n")
    assert [message.parts for message in these.replies] == [[0, 16], [0, 10], [], []]


@pytest.mark.parametrize(
    ("data", "hit"),
    [
        (b"END\r\n", False),
        (b"VALUE a 0 1\r\nx\r\n", True),
        (b"EN\r\n", False),
        (b"HD\r\n", True),
        (b"VA 1\r\nx\r\n", True),
        (b"STORED\r\n", None),
        (b"NOT_FOUND\r\n", False),
    ],
)
def test_hits(data: bytes, hit: bool | None) -> None:
    these = books()
    these.up(
        b"get a\r\n" if data[0] in b"V" and data[1] in b"A" and data[2] in b"L" else b"mg a\r\n"
    )
    (reply,) = these.down(data)
    assert reply.head.value("hit") is hit
    assert reply.head.value("reply") == reply.head.command


@pytest.mark.parametrize(
    "data",
    [
        b"VALUE a 0 5\r\nhelloXX",
        b"VALUE a 0 x\r\n",
        b"VALUE a\r\n",
        b"VALUE a 0 9999999999\r\n",
        b"VA x\r\n",
        b"VA 1\r\nxyz\r\n",
        b"\x81\x00\x00",
        b"\r\n",
        b" x\r\n",
        b"VALUE a 0 1\r\nx\r\nSTORED\r\n",
        b"x" * (HEAD_BYTES + 1),
    ],
)
def test_replies_that_are_none(data: bytes) -> None:
    for chunks in ([data], bytewise(data)):
        for skims in (False, True):
            these = books(skims=skims)
            these.up(b"get a\r\n")
            with pytest.raises(ProtocolError):
                these.down(*chunks)


def test_large_values_are_views_of_the_input() -> None:
    these = books()
    these.up(b"get k\r\n")
    these.down(b"VALUE k 0 1000000\r\n")
    chunk = memoryview(b"x" * 65536)
    assert [piece.data is chunk for piece in these.to_client.codec.feed(chunk)] == [True]


def test_unsolicited_lines_are_pushes() -> None:
    these = books()
    these.up(b"set a 0 0 1 noreply\r\nx\r\n")
    these.down(b"SERVER_ERROR out of memory storing object\r\n")
    assert these.replies[0].head.push
    these.up(b"get a\r\n")
    these.down(b"END\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
    assert [message.head.push for message in these.replies] == [True, False, True]


# -- quiet requests ----------------------------------------

QUIETLY = [
    # requests, what the server says, replies
    (b"mg a v q k;mg b v q k;mn", b"VA 1 kb\r\n1\r\nMN\r\n", ["SILENT", "VA", "MN"]),
    (b"mg a v q O1;mg b v q O2;mg c v q O3;mn", b"VA 1 O2\r\n1\r\nMN\r\n", "SILENT VA SILENT MN"),
    (b"mg a q;mg b q;mn", b"HD\r\nMN\r\n", "HD SILENT MN"),
    (b"mg a q;mg b;mn", b"EN\r\nMN\r\n", "SILENT EN MN"),
    (b"mg a q k;mg b k;mn", b"HD kb\r\nMN\r\n", "SILENT HD MN"),
    (b"ms a 1 q;x;ms b 1 q O2;x;ms c 1 q;x;mn", b"NS O2\r\nMN\r\n", "SILENT NS SILENT MN"),
    (b"ms a 1 q;x;get a", b"END\r\n", "SILENT END"),
    (b"ms a 1 q;x;set a 0 0 1;x;get a", b"STORED\r\nEND\r\n", "SILENT STORED END"),
    (b"ms a 1 q;x;ms b 1;x", b"HD\r\n", "SILENT HD"),
    (b"md a q;md b q;mn", b"NF\r\nMN\r\n", "NF SILENT MN"),
    (b"ma a q v;ma b v;mn", b"VA 1\r\n5\r\nMN\r\n", "SILENT VA MN"),
    (
        b"ma a q;mn",
        b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\nMN\r\n",
        "CLIENT_ERROR MN",
    ),
    (
        b"mg a q;ma b q;mn",
        b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\nMN\r\n",
        "SILENT CLIENT_ERROR MN",
    ),
    (
        b"ms a 1 q;x;incr n 1",
        b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
        "SILENT CLIENT_ERROR",
    ),
    (b"mg a q;mg b q zz!;mn", b"CLIENT_ERROR invalid flag\r\nMN\r\n", "SILENT CLIENT_ERROR MN"),
    (
        b"ms a 1 q;x;ms b 1 q MZ;x;mn",
        b"CLIENT_ERROR invalid mode for ms M token\r\nMN\r\n",
        "SILENT CLIENT_ERROR MN",
    ),
    (
        b"ms a 1 q;x;ms b 1000 q;" + b"x" * 1000 + b";mn",
        b"SERVER_ERROR object too large for cache\r\nMN\r\n",
        "SILENT SERVER_ERROR MN",
    ),
    (
        b"mg a q;ms b 1 q;x;mn",
        b"SERVER_ERROR out of memory storing object\r\nMN\r\n",
        "SILENT SERVER_ERROR MN",
    ),
    (b"ms a 3 q;abc;mn", b"CLIENT_ERROR bad data chunk\r\nMN\r\n", "CLIENT_ERROR MN"),
    (
        b"mg a q;mg b q;mn",
        b"SERVER_ERROR backend failure\r\n" * 2 + b"MN\r\n",
        "SERVER_ERROR SERVER_ERROR MN",
    ),
    # nobody can tell whose error that is; the next `mn` is found all the same
    (
        b"mg a q;mn;mg b;mn",
        b"CLIENT_ERROR what\r\nMN\r\nEN\r\nMN\r\n",
        "SILENT *CLIENT_ERROR MN EN MN",
    ),
    # it was that of `set`, and taken for that of `ms`: the next reply betrays it
    (
        b"ms a 1 q;x;set b 0 0 1;x;get a;mn",
        b"SERVER_ERROR out of memory storing object\r\nEND\r\nMN\r\n",
        "SERVER_ERROR SILENT END MN",
    ),
    (b"mn", b"ERROR\r\n", "ERROR"),
    (b"ms a 1 q;x;mn", b"ERROR\r\n", "SILENT *ERROR"),
    (b"me a q", b"EN\r\n", "EN"),
]


@pytest.mark.parametrize(("requests", "data", "replies"), QUIETLY)
def test_replies_find_their_quiet_requests(requests: bytes, data: bytes, replies: Any) -> None:
    asked = requests.replace(b";", b"\r\n") + b"\r\n"
    expected = replies if isinstance(replies, list) else replies.split()
    for chunks in ([data], bytewise(data)):
        these, skimmed = books(), books(skims=True)
        for one in (these, skimmed):
            one.up(asked)
            one.down(*chunks)
        told = ["*" * message.head.push + message.head.command for message in these.replies]
        assert told == expected
        assert b"".join(message.data for message in these.replies) == data
        assert skimmed.place() == these.place()


def test_quiet_requests_are_in_the_books_until_it_is_clear() -> None:
    these = books()
    these.up(b"mg a q\r\nmg b q\r\n")
    assert len(these.outstanding) == 2
    assert all(message.head.replies for message in these.requests)
    these.up(b"mn\r\n")
    these.down(b"MN\r\n")
    assert not these.outstanding
    assert not these.session.quiet


def test_the_end_of_the_stream_ends_their_silence() -> None:
    these = books()
    these.up(b"mg a q\r\nms b 1 q\r\nx\r\nquit\r\n")
    these.eof()
    assert [name for name, _ in said(these)] == ["SILENT", "SILENT"]
    assert not these.outstanding
    these.up(b"mg a q\r\nget a\r\n")
    these.eof()
    assert len(these.outstanding) == 1, "a request that wants an answer stays"


def test_a_guess_is_forgotten_when_nothing_is_outstanding() -> None:
    these = books()
    these.up(b"ms a 1 q\r\nx\r\n")
    these.down(b"SERVER_ERROR out of memory storing object\r\n")
    assert these.session.guesses == 1
    these.up(b"set a 0 0 1\r\nx\r\n")
    assert these.session.guesses == 0
    these.down(b"END\r\n")
    assert not these.replies[-1].head.push


@pytest.mark.parametrize("skims", [False, True])
def test_memory_is_bounded_by_many_quiet_requests(
    skims: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    these = books(skims=skims)
    count = QUIET_KEPT * 3
    these.up(b"".join(b"mg k%d q k\r\n" % i for i in range(count)))
    assert len(these.session.quiet) == QUIET_KEPT + 1
    these.up(b"mn\r\n")
    these.down(b"HD kk5\r\nHD kk%d\r\nMN\r\n" % (count - 1))
    assert not these.outstanding
    assert not these.session.quiet
    these.up(b"ms k 1 q\r\nx\r\n" * 10_000)
    assert len(these.session.quiet) == 1, "equal ones are counted"


# -- modes of the connection ----------------------------------------


def test_watch_makes_logs_of_the_connection() -> None:
    these = books()
    these.up(b"version\r\nwatch fetchers\r\n")
    these.down(b"VERSION 1\r\nOK\r\nts=1.2 gid=1 type=item_get key=a\r\n", b"ts=1.3 gid=2\r\n")
    assert [(m.head.command, m.head.push, m.head.pivot) for m in these.replies] == [
        ("VERSION", False, False),
        ("OK", False, True),
        ("WATCH", True, False),
    ]
    these.up(b"get a\r\nget b", b"\r\n")
    assert [(m.head.command, m.head.replies) for m in these.requests[2:]] == [("TUNNEL", False)]
    assert these.requests[-1].data == b"get a\r\nget b\r\n"
    assert not these.outstanding


def test_watch_that_is_refused_changes_nothing() -> None:
    these = books()
    these.up(b"watch nonsense\r\nget a\r\n")
    these.down(b"ERROR\r\nEND\r\n")
    assert [name for name, _ in said(these)] == ["ERROR", "END"]


def test_the_first_set_is_the_log_in_where_a_password_is_wanted() -> None:
    data = b"get a\r\nset key 0 0 9\r\nuser pass\r\nset key 0 0 1\r\nx\r\n"
    for skims in (False, True):
        these = books(auth=True, skims=skims)
        these.up(data)
        assert these.counted == 2
        if not skims:
            assert [m.head.command for m in these.requests] == ["GET", "AUTH", "SET"]
            assert [m.head.asked for m in these.requests] == [True, False, True]


def test_under_way() -> None:
    these = books()
    up, down = these.to_upstream.codec, these.to_client.codec
    assert (up.under_way(), down.under_way()) == ("", "")
    these.up(b"set a 0 0 5\r\nhe")
    assert up.under_way() == "message"
    these.up(b"llo\r\nget a")
    assert up.under_way() == ""
    these.down(b"VA")
    assert down.under_way() == ""
    these.down(b"LUE a 0 5\r\n")
    assert down.under_way() == "message"
    these.down(b"hello\r\nEND\r\n")
    these.down(b"VALUE a 0 5\r\n")
    assert down.under_way() == "aside"


# -- answers ----------------------------------------


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
    assert [name for name, _ in said(these)] == ["SILENT", "MN"]
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


# -- real sessions ----------------------------------------

CAPTURES: dict[str, list[tuple[str, bytes]]] = {
    name: [(way, data.encode("latin-1")) for way, data in log]
    for name, log in json.loads(
        (pathlib.Path(__file__).parent / "captures" / "memcached.json").read_text()
    ).items()
}
"""What pymemcache, or a socket by hand, and memcached 1.6.18 said to each other."""


def replay(these: Books, log: list[tuple[str, bytes]], *at: int) -> Books:
    for way, data in log:
        (these.up if way == "up" else these.down)(*cuts(data, *at))
    return these


def told(these: Books) -> list[Any]:
    return [
        [message.head for message in these.requests],
        [(message.head, message.data, message.parts) for message in these.replies],
    ]


@pytest.mark.parametrize("name", CAPTURES)
def test_real_sessions_pair(name: str) -> None:
    these = replay(books(), CAPTURES[name])
    assert not these.outstanding
    watched = name.startswith("watch")
    assert all(m.ended for m in these.requests + these.replies) or watched
    asked = sum(m.head.replies for m in these.requests)
    assert asked == sum(not m.head.push for m in these.replies)
    assert any(m.head.push for m in these.replies) == watched
    assert not these.session.quiet
    silent = [m for m in these.replies if m.head.command == "SILENT"]
    assert bool(silent) == name.startswith(("meta", "quiet"))
    wise = books()
    for way, data in CAPTURES[name]:
        (wise.up if way == "up" else wise.down)(*bytewise(data))
    assert told(wise) == told(these)


def test_real_quiet_sessions_pair_each_reply_with_its_key() -> None:
    these = replay(books(), CAPTURES["quiet-0"])
    requests = [m for m in these.requests if m.head.replies]
    pairs = list(zip(requests, these.replies, strict=True))
    echoed = [(a, b) for a, b in pairs if b" kk" in b.data.split(b"\r\n")[0]]
    assert len(echoed) > 10
    for asked, reply in echoed:
        assert b" k" + asked.head.words[1] in reply.data


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(CAPTURES)), at=st.lists(st.integers(0, 10_000), max_size=8))
def test_any_chunking_says_the_same(name: str, at: list[int]) -> None:
    assert told(replay(books(), CAPTURES[name], *at)) == told(replay(books(), CAPTURES[name]))


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(sorted(CAPTURES)),
    at=st.lists(st.integers(0, 10_000), max_size=8),
    switches=st.lists(st.booleans(), min_size=1, max_size=7),
)
def test_skim_and_feed_agree(name: str, at: list[int], switches: list[bool]) -> None:
    fed, skimmed, mixed = books(), books(skims=True), books()
    turn = 0
    for way, data in CAPTURES[name]:
        for chunk in cuts(data, *at):
            mixed.skims = switches[turn % len(switches)]
            turn += 1
            for these in (fed, skimmed):
                (these.up if way == "up" else these.down)(chunk)
            drive_mixed(mixed, mixed.to_upstream if way == "up" else mixed.to_client, chunk)
            assert fed.place() == skimmed.place() == mixed.place()
            assert [flow.codec.under_way() for flow in (fed.to_upstream, fed.to_client)] == [
                flow.codec.under_way() for flow in (skimmed.to_upstream, skimmed.to_client)
            ]


def drive_mixed(these: Books, flow: Any, chunk: bytes) -> None:
    """One chunk by feed or skim, without the checks that need all of it to be one of them."""
    if these.skims:
        flow.codec.skim(chunk)
        return
    for piece in flow.codec.feed(chunk):
        if flow is these.to_upstream:
            if piece.start is not None:
                PROTOCOL.forwarded(these.session, piece.start)
                these.request(piece.start)
        elif piece.end and flow.codec.counts:
            these.replied()


KEY = st.sampled_from([b"a", b"b", b"key:1", b"k" * 250, b"k" * 251, b"\xff", b"noreply", b"q"])
NUMBER = st.sampled_from([b"0", b"1", b"5", b"-1", b"x", b"99999", b"2147483646", b"+3"])
FLAG = st.sampled_from(
    b"q k O1 O22 v s f t c b T0 N30 I ME MR MZ C5 D2 J5 h l u x zz".split() + [b"O" + b"x" * 40]
)
WORDS = st.one_of(
    st.tuples(st.sampled_from([b"get", b"gets", b"gat", b"gats", b"bget", b"GET"]), KEY, KEY),
    st.tuples(st.sampled_from([b"get", b"gets", b"delete", b"touch", b"incr"]), KEY),
    st.tuples(st.sampled_from([b"delete", b"incr", b"decr", b"touch"]), KEY, NUMBER),
    st.tuples(st.just(b"delete"), KEY, st.just(b"noreply")),
    st.lists(FLAG, max_size=4).flatmap(
        lambda flags: st.tuples(
            st.sampled_from([b"mg", b"md", b"ma", b"me"]), KEY, *map(st.just, flags)
        )
    ),
    st.tuples(
        st.sampled_from(
            b"mn;version;stats;stats items;flush_all noreply;quit;lru_crawler metadump all;"
            b"verbosity 1;nonsense;;slabs automove 1;watch".split(b";")
        )
    ),
).map(lambda words: b" ".join(words) + b"\r\n")


def stored(name: bytes, key: bytes, data: bytes, tail: tuple[bytes, ...], length: bytes) -> bytes:
    size = length if length in (b"x", b"-1") else b"%d" % len(data)
    numbers = (size,) if name == b"ms" else (b"0", b"0", size)
    numbers += (b"9",) if name == b"cas" else ()
    return b" ".join((name, key, *numbers, *tail)) + b"\r\n" + data + b"\r\n"


VALUE = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"", b"\r\n", b"END\r\n", b"x" * 70_000])
)
STORED = st.builds(
    stored,
    st.sampled_from([b"set", b"add", b"append", b"cas", b"ms"]),
    KEY,
    VALUE,
    st.sampled_from([(), (b"noreply",), (b"q",), (b"q", b"k"), (b"MR", b"O1")]),
    NUMBER,
)
REPLY = st.one_of(
    st.sampled_from([data for _, data, _ in REPLIES if not data.startswith((b"key=", b"mg "))]),
    st.sampled_from([data for _, data, _ in QUIETLY]),
    st.builds(
        lambda key, data: b"VALUE %b 0 %d\r\n%b\r\nEND\r\n" % (key, len(data), data), KEY, VALUE
    ),
    st.builds(lambda key, data: b"VA %d k%b O1\r\n%b\r\n" % (len(data), key, data), KEY, VALUE),
)


@settings(max_examples=200, deadline=None)
@given(
    requests=st.lists(st.one_of(WORDS, STORED), max_size=12),
    replies=st.lists(REPLY, max_size=12),
    at=st.lists(st.integers(0, 80_000), max_size=6),
)
def test_made_up_traffic(requests: list[bytes], replies: list[bytes], at: list[int]) -> None:
    up, down = b"".join(requests), b"".join(replies)
    fed, cut, skimmed = books(), books(), books(skims=True)
    outcomes = []
    for these, places in ((fed, ()), (cut, at), (skimmed, at)):
        try:
            these.up(*cuts(up, *places))
            these.down(*cuts(down, *places))
        except ProtocolError:
            outcomes.append(False)
        else:
            outcomes.append(True)
    assert len(set(outcomes)) == 1
    if outcomes[0]:
        assert told(cut) == told(fed)
        assert fed.place() == cut.place() == skimmed.place()
        assert bytes(fed.to_client.handed) + fed.to_client.codec.undecided() == down


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(CAPTURES)),
    edits=st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(0, 3), st.binary(max_size=3)),
        min_size=1,
        max_size=4,
    ),
    skims=st.booleans(),
)
def test_mutated_sessions_raise_nothing_else(
    name: str, edits: list[tuple[int, int, bytes]], skims: bool
) -> None:
    log = [(way, bytearray(data)) for way, data in CAPTURES[name]]
    size = sum(len(data) for _, data in log)
    for place, gone, new in edits:
        place %= size
        for _, data in log:
            if place < len(data):
                data[place : place + gone] = new
                break
            place -= len(data)
    these = books(skims=skims)
    try:
        replay(these, [(way, bytes(data)) for way, data in log])
    except ProtocolError:
        return


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), skims=st.booleans(), at=st.integers(0, 200))
def test_garbage_raises_nothing_else(data: bytes, skims: bool, at: int) -> None:
    for way in ("up", "down"):
        these = books(skims=skims)
        these.up(b"mg k q\r\nget k\r\n")
        try:
            (these.up if way == "up" else these.down)(*cuts(data, at))
        except ProtocolError:
            continue


@settings(max_examples=200, deadline=None)
@given(
    wants=st.lists(
        st.tuples(st.sampled_from("gsda"), st.booleans(), st.booleans(), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_any_pipeline_of_quiet_requests_pairs(
    wants: list[tuple[str, bool, bool, bool]],
) -> None:
    """A model server answers quiet and loud requests that all echo: every reply is its own."""
    asked, given_, expected = b"", b"", []
    for number, (kind, quiet, nominal, key) in enumerate(wants):
        token = b"k" if key else b"O%d" % number
        back = b"kx%d" % number if key else token
        line = b"m%b x%d %b%b" % (
            kind.encode(),
            number,
            b"1 " if kind == "s" else b"",
            token + (b" q" if quiet else b""),
        )
        asked += line + (b"\r\nx\r\n" if kind == "s" else b"\r\n")
        status = {
            "g": (b"EN", b"HD"),
            "s": (b"HD", b"NS"),
            "d": (b"HD", b"NF"),
            "a": (b"HD", b"NF"),
        }
        says = status[kind][0 if nominal else 1]
        if quiet and nominal:
            expected.append(("SILENT", b""))
        else:
            expected.append((says.decode(), says + b" " + back + b"\r\n"))
        given_ += expected[-1][1]
    these = books()
    these.up(asked + b"mn\r\n")
    these.down(given_ + b"MN\r\n")
    assert said(these) == [*expected, ("MN", b"MN\r\n")]


def test_marks_tell_requests_apart() -> None:
    marks = {
        memcached_session.mark_of(head)
        for head in heads(
            b"mg a q\r\nmg a q k\r\nmg b q k\r\nmg a q O1\r\nmg a q O1 k\r\nmg a q zz\r\n"
        )
    }
    assert len(marks) == 6
