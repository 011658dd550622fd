"""The memcached codecs under real sessions, made-up traffic, cuts and garbage."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from books import Books, bytewise, cuts
from hypothesis import given, settings
from hypothesis import strategies as st
from test_memcached import QUIETLY, REPLIES

from rascal.errors import ProtocolError
from rascal.wire.memcached import PROTOCOL


def books(**options: Any) -> Books:
    return Books(PROTOCOL, **options)


def said(these: Books) -> list[tuple[str, bytes]]:
    return [(message.head.command, message.data) for message in these.replies]


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
    [*b"q k O1 O22 v s f t c b T0 N30 I ME MR MZ C5 D2 J5 h l u x zz".split(), b"O" + b"x" * 40]
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
