"""The memcached codecs: framing, pairing, quiet requests, heads, answers."""

from __future__ import annotations

from typing import Any

import pytest
from books import Books, bytewise

from rascal.errors import LimitError, ProtocolError
from rascal.wire import memcached_quiet
from rascal.wire.memcached import PROTOCOL
from rascal.wire.memcached_lines import split
from rascal.wire.memcached_quiet import QUIET_KEPT
from rascal.wire.types import HEAD_BYTES


def books(**options: Any) -> Books:
    return Books(PROTOCOL, **options)


def heads(data: bytes) -> list[Any]:
    """The heads of requests that have been parsed and forwarded."""
    these = books()
    these.up(data)
    return [message.head for message in these.requests]


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
    (b"mg a q;mg b v q;mn", b"VA 1\r\n1\r\nMN\r\n", "SILENT VA MN"),
    (b"mg a v q;mg b;mn", b"HD\r\nMN\r\n", "SILENT HD MN"),
    # how a key comes back is up to who stored it
    (b"mg Yg== b q k;mg a q k;mn", b"HD kb\r\nHD kYQ== b\r\nMN\r\n", "HD HD MN"),
    # nobody can tell whose HD that is; VERSION betrays it
    (b"mg a q;mg b;version", b"HD\r\nVERSION 1\r\n", "HD SILENT VERSION"),
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


def test_a_quiet_request_is_not_silent_where_an_answer_was_cut_off() -> None:
    these = books()
    these.up(b"mg a v q\r\n")
    these.down(b"VA 10")
    these.eof()
    assert not these.replies
    assert len(these.outstanding) == 1


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


def test_marks_tell_requests_apart() -> None:
    marks = {
        memcached_quiet.mark_of(head)
        for head in heads(
            b"mg a q\r\nmg a q k\r\nmg b q k\r\nmg a q O1\r\nmg a q O1 k\r\n"
            b"mg a q v\r\nmg a q E5\r\nmg a q v zz\r\n"
        )
    }
    assert len(marks) == 8


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
