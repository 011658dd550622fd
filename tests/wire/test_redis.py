"""The Redis codecs: framing, pairing, heads, answers."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from books import Books, bytewise, cuts
from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.errors import ConfigError, ProtocolError
from rascal.wire.redis import PROTOCOL, read_addresses
from rascal.wire.redis_commands import slot_of
from rascal.wire.redis_words import inline_words
from rascal.wire.types import HEAD_BYTES, ErrorCall, Head


def cmd(*words: str | bytes) -> bytes:
    """A request as clients send it."""
    coded = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(coded) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in coded)


def books(**options: Any) -> Books:
    return Books(PROTOCOL, **options)


def commands(these: Books) -> list[str]:
    return [message.head.command for message in these.requests]


# -- requests ----------------------------------------


@pytest.mark.parametrize("cut", ["whole", "bytewise"])
def test_requests_of_every_shape(cut: str) -> None:
    these = books()
    data = cmd("set", "k", "a\r\nb") + b"PING\r\n" + b"\r\n" + b"*0\r\n" + b"*-1\r\n"
    data += b"get  'my key' \n" + cmd("GET", b"\xff\x00")
    these.up(*(bytewise(data) if cut == "bytewise" else [data]))
    assert commands(these) == ["SET", "PING", "", "", "", "GET", "GET"]
    assert [m.head.replies for m in these.requests] == [True, True, False, False, False, True, True]
    assert these.requests[0].head.value("args") == "k a\r\nb"
    assert these.requests[5].head.value("key") == "my key"
    assert these.requests[6].head.value("key") == "\udcff\x00"
    assert all(m.ended for m in these.requests)
    assert len(these.outstanding) == 4


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"a b", [b"a", b"b"]),
        (b'SET k "a b\\x41\\n\\""', [b"SET", b"k", b'a bA\n"']),
        (b"SET k 'it\\'s'", [b"SET", b"k", b"it's"]),
        (b'x ""', [b"x", b""]),
        (b"   ", []),
    ],
)
def test_inline_words(line: bytes, words: list[bytes]) -> None:
    assert inline_words(line) == words


@pytest.mark.parametrize(
    "data",
    [
        b"*1\r\nPING\r\n",
        b"*x\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$4\r\nPINGxx",
        b"*1\r\n$99999999999999999\r\n",
        b"*" + b"1" * 40,
        b"*1\r\n$" + b"1" * 40,
        b"\x16\x03\x01\x02\x00",
        b'SET "a b\r\n',
        b"a" * (HEAD_BYTES + 1),
        b"GET \x00\r\n",
    ],
)
def test_requests_that_are_none(data: bytes) -> None:
    for chunks in ([data], [data[:3], data[3:]]):
        these = books()
        with pytest.raises(ProtocolError):
            these.up(*chunks)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("GET", "a"), "a"),
        (("MGET", "a", "b"), ("a", "b")),
        (("MSET", "a", "1", "b", "2"), ("a", "b")),
        (("EVAL", "return 1", "2", "a", "b", "c"), ("a", "b")),
        (("EVALSHA", "f00", "0", "c"), None),
        (("XREAD", "COUNT", "2", "STREAMS", "a", "b", "0", "0"), ("a", "b")),
        (("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"), "s"),
        (("XGROUP", "CREATE", "s", "g", "$"), "s"),
        (("OBJECT", "ENCODING", "k"), "k"),
        (("BITOP", "AND", "d", "a", "b"), ("d", "a", "b")),
        (("BLPOP", "a", "b", "0"), ("a", "b")),
        (("ZUNIONSTORE", "d", "2", "a", "b", "WEIGHTS", "1", "2"), ("d", "a", "b")),
        (("LMPOP", "2", "a", "b", "LEFT"), ("a", "b")),
        (("MIGRATE", "h", "1", "k", "0", "1"), "k"),
        (("MIGRATE", "h", "1", "", "0", "1", "KEYS", "a", "b"), ("a", "b")),
        (("SUBSCRIBE", "a", "b"), ("a", "b")),
        (("PUBLISH", "ch", "text"), "ch"),
        (("PING",), None),
        (("JSON.GET", "doc", "$"), "doc"),
        (("ZUNION", "99999999999", "a"), None),
    ],
)
def test_keys(words: tuple[str, ...], key: Any) -> None:
    these = books()
    these.up(cmd(*words))
    assert these.requests[0].head.value("key") == key


def test_fields() -> None:
    these = books()
    these.up(cmd("client", "reply", "on") + cmd("MULTI") + cmd("SET", "k", "v") + cmd("EXEC"))
    these.up(cmd("XREAD", "BLOCK", "0", "STREAMS", "s", "$") + cmd("XREAD", "STREAMS", "s", "0"))
    heads = [message.head for message in these.requests]
    assert heads[0].value("subcommand") == "REPLY"
    assert [head.value("in_transaction") for head in heads[:5]] == [False, False, True, True, False]
    assert [head.value("blocking") for head in heads[4:]] == [True, False]
    assert heads[0].value("nonsense") is None


def test_what_libraries_say_when_they_connect_is_not_numbered() -> None:
    these = books()
    these.up(
        cmd("HELLO", "3", "AUTH", "u", "p") + cmd("AUTH", "p") + cmd("CLIENT", "SETINFO", "a", "b")
    )
    these.up(cmd("CLIENT", "LIST"))
    assert [m.head.asked for m in these.requests] == [False, False, False, True]


@pytest.mark.parametrize("step", [1 << 20, 65536, 1000])
def test_long_requests_stream(step: int) -> None:
    data = cmd("SET", "k", b"v" * 300_000) + cmd("GET", "k")
    these = books()
    these.up(*(data[at : at + step] for at in range(0, len(data), step)))
    first, second = these.requests
    assert first.head.value("args") == "k"
    assert not first.head.whole
    assert first.ended
    assert len(first.data) + len(second.data) == len(data)
    assert second.head.value("key") == "k"


def test_a_long_head_comes_before_its_body() -> None:
    these = books()
    these.up(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n")
    assert commands(these) == ["SET"]
    assert not these.requests[0].ended


def test_memory_is_bounded_by_many_words() -> None:
    these = books()
    these.up(b"*200000\r\n$4\r\nMGET\r\n" + b"$1\r\nk\r\n" * 100_000)
    assert len(these.requests[0].head.words) < HEAD_BYTES / 7
    assert these.to_upstream.codec.undecided() == b""
    these.up(b"$1\r\nk\r\n" * 99_999)
    assert these.requests[0].ended


# -- replies ----------------------------------------

TYPES = [
    (b"+OK\r\n", "OK"),
    (b"+QUEUED\r\n", "QUEUED"),
    (b"-WRONGTYPE Operation\r\n", "WRONGTYPE"),
    (b":-12\r\n", "INTEGER"),
    (b"$5\r\nhe\r\no\r\n", "BULK"),
    (b"$0\r\n\r\n", "BULK"),
    (b"$-1\r\n", "NIL"),
    (b"*-1\r\n", "NIL"),
    (b"_\r\n", "NIL"),
    (b"*0\r\n", "ARRAY"),
    (b"*3\r\n:1\r\n*2\r\n+a\r\n$-1\r\n$1\r\nx\r\n", "ARRAY"),
    (b"#t\r\n", "BOOLEAN"),
    (b",1.5e3\r\n", "DOUBLE"),
    (b",inf\r\n", "DOUBLE"),
    (b"(3492890328409238509324850943850943825024385\r\n", "BIGNUMBER"),
    (b"!21\r\nSYNTAX invalid syntax\r\n", "SYNTAX"),
    (b"=15\r\ntxt:Some string\r\n", "VERBATIM"),
    (b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n%1\r\n+x\r\n_\r\n", "MAP"),
    (b"~2\r\n+a\r\n+b\r\n", "SET"),
    (b"|1\r\n+ttl\r\n:3600\r\n$1\r\nx\r\n", "BULK"),
    (
        b"|1\r\n+key-popularity\r\n%2\r\n$1\r\na\r\n,0.1\r\n$1\r\nb\r\n,0.2\r\n*2\r\n:1\r\n:2\r\n",
        "ARRAY",
    ),
    (b"*3\r\n:1\r\n:2\r\n|1\r\n+ttl\r\n:3600\r\n:3\r\n", "ARRAY"),
    (b"$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;1\r\nd\r\n;0\r\n", "BULK"),
    (b"*?\r\n:1\r\n*2\r\n:2\r\n*?\r\n+in\r\n.\r\n$?\r\n;1\r\nx\r\n;0\r\n:3\r\n.\r\n", "ARRAY"),
    (b"%?\r\n+a\r\n:1\r\n+b\r\n:2\r\n.\r\n", "MAP"),
    (b"*2\r\n*?\r\n.\r\n*1\r\n*0\r\n", "ARRAY"),
]


@pytest.mark.parametrize(("data", "name"), TYPES)
def test_every_type_in_every_chunking(data: bytes, name: str) -> None:
    for chunks in [[data], bytewise(data), *([data[:at], data[at:]] for at in range(len(data)))]:
        these = books()
        these.up(cmd("GET", "k") * 2)
        these.down(*chunks, b"+NEXT\r\n")
        assert [m.head.command for m in these.replies] == [name, "NEXT"]
        assert these.replies[0].data == data
        assert not these.outstanding


def test_parts_are_items() -> None:
    these = books()
    these.up(cmd("LRANGE", "l", "0", "-1") + cmd("HGETALL", "h") + cmd("XREAD"))
    these.down(
        b"*3\r\n$1\r\na\r\n*2\r\n:1\r\n:2\r\n+c\r\n" + b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n"
    )
    these.down(b"*?\r\n:1\r\n:2\r\n.\r\n")
    assert [m.parts for m in these.replies] == [[4, 11, 23], [4, 12], [4, 8]]


def test_errors_have_their_word() -> None:
    these = books()
    these.up(cmd("GET", "a") * 2)
    these.down(b"-MOVED 1 h:1\r\n+OK\r\n")
    assert [m.head.value("error") for m in these.replies] == ["MOVED", None]
    assert [m.head.value("reply") for m in these.replies] == ["ERROR", "OK"]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"$x\r\n",
        b"$5\r\nhelloXX",
        b"*99999999999\r\n",
        b"*1\r\n.\r\n",
        b"*1\r\n;0\r\n",
        b"$?\r\n+x\r\n",
        b"*?\r\n.xx",
        b"*1\r\n" + b"*?\r\n" * 600,
        b"$" + b"9" * 40,
        b"\x00",
        b"$-2\r\n",
    ],
)
def test_replies_that_are_none(data: bytes) -> None:
    for chunks in ([data], bytewise(data)):
        these = books()
        these.up(cmd("GET", "k"))
        with pytest.raises(ProtocolError):
            these.down(*chunks)


def test_a_line_longer_than_the_bound_passes() -> None:
    data = b"+" + b"x" * 200_000 + b"\r\n"
    heads = []
    for step in (1 << 20, 70_000, 997):
        these = books()
        these.up(cmd("ECHO") * 3)
        whole = data + b"*2\r\n" + data + b":1\r\n+OK\r\n"
        these.down(*(whole[at : at + step] for at in range(0, len(whole), step)))
        heads.append([m.head for m in these.replies])
        assert [len(m.data) for m in these.replies] == [len(data), len(data) + 8, 5]
    assert heads[0] == heads[1] == heads[2]


def test_large_bodies_are_views_of_the_input() -> None:
    these = books()
    these.up(cmd("GET", "k"))
    these.down(b"$1000000\r\n")
    chunk = memoryview(b"x" * 65536)
    pieces = list(these.to_client.codec.feed(chunk))
    assert [piece.data is chunk for piece in pieces] == [True]


def test_unsolicited_bytes_are_pushes() -> None:
    these = books()
    these.down(b"-ERR max number of clients reached\r\n")
    assert these.replies[0].head.push


# -- pub/sub, pushes ----------------------------------------


def confirm(kind: str, channel: str | None, count: int, type_: bytes = b"*") -> bytes:
    name = b"$-1\r\n" if channel is None else b"$%d\r\n%b\r\n" % (len(channel), channel.encode())
    return type_ + b"3\r\n$%d\r\n%b\r\n%b:%d\r\n" % (len(kind), kind.encode(), name, count)


MESSAGE = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n"
PMESSAGE = b"*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\na\r\n$2\r\nhi\r\n"
INVALIDATE = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"


@pytest.mark.parametrize("cut", ["whole", "bytewise"])
def test_resp2_subscriptions(cut: str) -> None:
    these = books()
    split = bytewise if cut == "bytewise" else lambda data: [data]
    these.up(cmd("SUBSCRIBE", "a", "b") + cmd("PSUBSCRIBE", "a*"))
    these.down(*split(confirm("subscribe", "a", 1) + confirm("subscribe", "b", 2) + MESSAGE))
    these.down(*split(confirm("psubscribe", "a*", 3) + PMESSAGE))
    assert [(m.head.push, m.head.command) for m in these.replies] == [
        (False, "ARRAY"),
        (True, "MESSAGE"),
        (False, "ARRAY"),
        (True, "PMESSAGE"),
    ]
    assert these.replies[0].parts == [0, len(confirm("subscribe", "a", 1))]
    assert these.replies[0].head.pivot
    these.up(cmd("UNSUBSCRIBE") + cmd("PING") + cmd("PUNSUBSCRIBE", "a*", "x") + cmd("GET", "k"))
    these.down(*split(MESSAGE + confirm("unsubscribe", "a", 2) + confirm("unsubscribe", "b", 1)))
    these.down(*split(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"))
    these.down(*split(confirm("punsubscribe", "a*", 0) + confirm("punsubscribe", "x", 0) + MESSAGE))
    assert [m.head.push for m in these.replies[4:]] == [True, False, False, False, False]
    assert not these.outstanding
    assert not these.session.subscribed


def test_unsubscribing_from_nothing_is_confirmed_once() -> None:
    these = books()
    these.up(cmd("UNSUBSCRIBE") + cmd("GET", "k"))
    these.down(confirm("unsubscribe", None, 0) + b"$-1\r\n")
    assert [m.ended for m in these.replies] == [True, True]
    assert not these.outstanding


def test_a_refused_subscription_is_one_reply() -> None:
    these = books()
    these.up(cmd("SUBSCRIBE", "a", "b") + cmd("SUBSCRIBE") + cmd("GET", "k"))
    these.down(b"-NOPERM no\r\n-ERR wrong number\r\n$-1\r\n")
    assert not these.outstanding


def test_resp3_confirmations_answer_and_pushes_do_not() -> None:
    these = books()
    these.up(cmd("HELLO", "3") + cmd("SUBSCRIBE", "a", "b") + cmd("GET", "k"))
    these.down(b"%1\r\n+proto\r\n:3\r\n" + INVALIDATE)
    assert these.session.resp == 3
    these.down(confirm("subscribe", "a", 1, b">") + confirm("subscribe", "b", 2, b">"))
    these.down(b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n" + b"_\r\n" + INVALIDATE)
    assert [m.head.push for m in these.replies] == [False, True, False, True, False, True]
    assert not these.outstanding


def test_an_array_of_the_word_message_is_a_reply_outside_subscriptions() -> None:
    these = books()
    these.up(cmd("LRANGE", "l", "0", "-1"))
    these.down(MESSAGE)
    assert not these.replies[0].head.push


def test_a_subscription_in_a_transaction() -> None:
    these = books()
    these.up(cmd("MULTI") + cmd("SUBSCRIBE", "a", "b") + cmd("EXEC") + cmd("PING"))
    these.down(b"+OK\r\n+QUEUED\r\n")
    both = confirm("subscribe", "a", 1) + confirm("subscribe", "b", 2)
    these.down(b"*1\r\n" + both + MESSAGE + b"*2\r\n$4\r\npong\r\n$0\r\n\r\n")
    assert [m.head.push for m in these.replies] == [False, False, False, True, False]
    assert not these.outstanding


def test_sharded_unsubscription_by_the_server_is_a_push() -> None:
    these = books()
    these.up(cmd("SSUBSCRIBE", "a"))
    these.down(confirm("ssubscribe", "a", 1) + confirm("sunsubscribe", "a", 0))
    assert [m.head.push for m in these.replies] == [False, True]
    assert not these.session.subscribed


# -- modes of the connection ----------------------------------------


def test_monitor() -> None:
    these = books()
    these.up(cmd("MONITOR"))
    these.down(b'+OK\r\n+1795514742.909235 [0 127.0.0.1:56598] "GET" "a"\r\n')
    these.up(cmd("PING") + cmd("RESET") + cmd("PING"))
    these.down(b'+PONG\r\n+1795514742.909235 [0 lua] "GET"\r\n+RESET\r\n+1.5 [\r\n')
    assert [m.head.push for m in these.replies] == [False, True, False, True, False, False]
    assert not these.outstanding


def test_a_second_monitor_is_ignored_by_the_server() -> None:
    for skims in (False, True):
        these = books(skims=skims)
        these.up(cmd("MONITOR") + cmd("monitor") + cmd("RESET") + cmd("MONITOR") + cmd("PING"))
        assert len(these.outstanding) == 4
        these.down(b"+OK\r\n+RESET\r\n+OK\r\n+PONG\r\n")
        assert not these.outstanding


def test_client_reply() -> None:
    these = books()
    these.up(cmd("CLIENT", "REPLY", "SKIP") + cmd("GET", "a") + cmd("GET", "b"))
    these.up(cmd("CLIENT", "REPLY", "OFF") + cmd("GET", "c") + cmd("SUBSCRIBE", "x"))
    these.up(cmd("CLIENT", "REPLY", "SKIP") + cmd("GET", "c") + cmd("CLIENT", "REPLY", "ON"))
    these.up(cmd("GET", "d") + cmd("CLIENT", "REPLY", "WHAT"))
    assert [m.head.replies for m in these.requests] == [
        *(False, False, True),
        *(False, False, True),
        *(False, False, True),
        *(True, True),
    ]
    these.up(cmd("CLIENT", "REPLY", "OFF") + cmd("GET", "e") + cmd("RESET") + cmd("GET", "f"))
    assert [m.head.replies for m in these.requests[-4:]] == [False, False, True, True]


def test_heads_that_wait_know_whether_they_are_answered() -> None:
    these = books()
    data = cmd("CLIENT", "REPLY", "SKIP") + cmd("GET", "a") + cmd("CLIENT", "REPLY", "OFF")
    data += cmd("GET", "b") + cmd("SUBSCRIBE", "c") + cmd("CLIENT", "REPLY", "ON") + cmd("GET", "d")
    heads: list[Any] = [piece.start for piece in these.to_upstream.codec.feed(data)]
    expected = [False, False, False, False, True, True, True]
    assert [head.replies for head in heads] == expected
    for head in heads:
        PROTOCOL.forwarded(these.session, head)
    assert [head.replies for head in heads] == expected


def test_reset_goes_back_to_resp2() -> None:
    these = books()
    these.up(cmd("HELLO", "3") + cmd("SUBSCRIBE", "a") + cmd("MULTI") + cmd("RESET"))
    these.down(b"%0\r\n" + confirm("subscribe", "a", 1, b">") + b"+OK\r\n+RESET\r\n")
    assert (these.session.resp, these.session.subscribed, these.session.in_transaction) == (
        2,
        False,
        False,
    )


def test_hello_that_is_refused_changes_nothing() -> None:
    these = books()
    these.up(cmd("HELLO", "3"))
    these.down(b"-NOPROTO unsupported protocol version\r\n")
    assert these.session.resp == 2


def test_replication_becomes_a_tunnel() -> None:
    these = books()
    these.up(cmd("PING") + cmd("PSYNC", "?", "-1") + b"REPLCONF ACK 1\r\n", b"\xff\xff\r\n")
    these.down(b"+PO", b"NG\r\n+FULLRESYNC abc 1\r\n$5\r\nREDIS*x\r\n", b"anything")
    assert commands(these) == ["PING", "PSYNC", "TUNNEL"]
    assert [(m.head.command, m.head.push, m.ended) for m in these.replies] == [
        ("PONG", False, True),
        ("TUNNEL", True, False),
    ]
    assert not these.outstanding


# -- answers ----------------------------------------


def call(name: str, text: str | None = None, **extra: Any) -> ErrorCall:
    spec = PROTOCOL.error(name)
    assert spec is not None
    return ErrorCall(spec, text, extra)


def head_of(*words: str, these: Books | None = None) -> Any:
    """The head of a request that has been parsed and not forwarded."""
    these = these or books()
    return next(iter(these.to_upstream.codec.feed(cmd(*words)))).start


@pytest.mark.parametrize(
    ("name", "words", "reply"),
    [
        ("LOADING", ("GET", "a"), "LOADING Redis is loading the dataset in memory"),
        ("readonly", ("SET", "a", "b"), "READONLY You can't write against a read only replica."),
        ("NOPERM", ("GET", "a"), "NOPERM this user has no permissions to run the 'get' command"),
        ("wrong_number_of_arguments", ("GET",), "ERR wrong number of arguments for 'get' command"),
        (
            "unknown_command",
            ("Foo", "a", "b"),
            "ERR unknown command 'Foo', with args beginning with: 'a' 'b' ",
        ),
        ("moved", ("GET", "a"), "MOVED 15495 127.0.0.1:6379"),
        ("CUSTOM", ("GET", "a"), "CUSTOM"),
        ("syntax_error", ("SET", "a"), "ERR syntax error"),
        ("max_clients", ("GET",), "ERR max number of clients reached"),
        (
            "nogroup",
            ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", "0"),
            "NOGROUP No such key 'x' or consumer group 'g' in XREADGROUP with GROUP option",
        ),
    ],
)
def test_error_texts(name: str, words: tuple[str, ...], reply: str) -> None:
    answer = PROTOCOL.answer(books().session, head_of(*words), call(name))
    assert answer.reply == b"-" + reply.encode() + b"\r\n"
    assert answer.upstream == ()


def test_error_options_and_texts_of_the_user() -> None:
    session, head = books().session, head_of("GET", "a")
    moved = PROTOCOL.answer(session, head, call("MOVED", slot=7, address="10.0.0.1:7000"))
    assert moved.reply == b"-MOVED 7 10.0.0.1:7000\r\n"
    assert PROTOCOL.answer(session, head, call("ERR", "a\r\nb")).reply == b"-ERR a  b\r\n"
    assert PROTOCOL.answer(session, head, call("OOM", "OOM no")).reply == b"-OOM no\r\n"
    assert PROTOCOL.answer(session, head, call("syntax_error", "no")).reply == b"-ERR no\r\n"
    assert PROTOCOL.error("lower") is None


def test_too_many_clients_closes() -> None:
    answer = PROTOCOL.answer(books().session, Head("CONNECT"), call("max_clients"))
    assert answer.close


def test_an_error_inside_multi_dooms_the_transaction_upstream() -> None:
    these = books()
    these.up(cmd("MULTI"))
    answer = PROTOCOL.answer(these.session, head_of("SET", "a", "b", these=these), call("OOM"))
    assert [(h.command, data) for h, data in answer.upstream] == [("GET", b"*1\r\n$3\r\nGET\r\n")]
    answer = PROTOCOL.answer(these.session, head_of("EXEC", these=these), call("OOM"))
    assert answer.reply.startswith(b"-EXECABORT Transaction discarded because of: OOM command")
    assert [data for _, data in answer.upstream] == [b"*1\r\n$7\r\nDISCARD\r\n"]
    assert not these.session.in_transaction


def test_an_error_in_place_of_exec_s_reply_discards_nothing() -> None:
    these = books()
    these.up(cmd("MULTI") + cmd("SET", "a", "b") + cmd("EXEC") + cmd("MULTI"))
    for index in (1, 2):
        answer = PROTOCOL.answer(these.session, these.requests[index].head, call("watch_conflict"))
        assert answer.upstream == ()
    assert answer.reply == b"*-1\r\n"


def test_an_answered_multi_opens_nothing() -> None:
    these = books()
    head = head_of("MULTI", these=these)
    assert PROTOCOL.answer(these.session, head, call("NOAUTH")).upstream == ()
    these.up(cmd("SET", "a", "b"))
    assert these.requests[0].head.value("in_transaction") is False


def test_empty_and_replacement_are_no_answer_to_queued_commands() -> None:
    these = books()
    assert PROTOCOL.empty(these.session, head_of("GET", "a", these=these)) == b"$-1\r\n"
    these.up(cmd("MULTI") + cmd("GET", "a"))
    assert PROTOCOL.empty(these.session, these.requests[1].head) is None
    assert PROTOCOL.empty(these.session, Head("CONNECT")) is None


@pytest.mark.parametrize(
    ("words", "given", "reply"),
    [
        (("GET", "a"), "x", b"$1\r\nx\r\n"),
        (("INCR", "a"), "5", b":5\r\n"),
        (("SET", "a", "b"), "NOPE", b"+NOPE\r\n"),
        (("LRANGE", "a", "0", "1"), "x", b"*1\r\n$1\r\nx\r\n"),
    ],
)
def test_replacement(words: tuple[str, ...], given: str, reply: bytes) -> None:
    options = PROTOCOL.replace_options.plain({"text": given})
    assert PROTOCOL.replacement(books().session, head_of(*words), options) == reply


def test_identity() -> None:
    assert head_of("GET", "a").identity() == head_of("get", "a").identity()
    assert head_of("GET", "a").identity() != head_of("GET", "b").identity()
    assert head_of("SET", "a", "b").identity() is None


def test_addresses_of_moved_and_ask() -> None:
    these = books(addresses="10.0.0.1:6379=127.0.0.1:7001, [::1]:6379=localhost:7002")
    assert PROTOCOL.rewrites(these.options) == (False, True)
    these.up(cmd("GET", "a") * 4)
    these.down(
        b"-MOVED 15495 10.0.0.1:6379\r\n-ASK 1 10.0.0.2:6379\r\n-ERR 1 10.0.0.1:6379\r\n+OK\r\n"
    )
    done = [PROTOCOL.rewrite_head(these.session, m.head, m.data) for m in these.replies]
    assert done == [b"-MOVED 15495 127.0.0.1:7001\r\n", None, None, None]
    for wrong in ("a", "a:1", "a:1=b", "a:1=b:99999"):
        with pytest.raises(ConfigError):
            read_addresses(wrong)


@pytest.mark.parametrize(
    ("key", "slot"), [(b"a", 15495), (b"zz{a}", 15495), (b"b", 3300), (b"{}x", 10595)]
)
def test_slots(key: bytes, slot: int) -> None:
    assert slot_of(key) == slot


# -- real sessions ----------------------------------------

CAPTURES: dict[str, list[tuple[str, bytes]]] = {
    name: [(way, data.encode("latin-1")) for way, data in log]
    for name, log in json.loads(
        (pathlib.Path(__file__).parent / "captures" / "redis.json").read_text()
    ).items()
}
"""What redis-py and redis-server 7.0 said to each other, in the order in which it arrived."""


def replay(these: Books, log: list[tuple[str, bytes]], *at: int) -> Books:
    for way, data in log:
        (these.up if way == "up" else these.down)(*cuts(data, *at))
    return these


@pytest.mark.parametrize("name", CAPTURES)
def test_real_sessions_pair(name: str) -> None:
    these = replay(books(), CAPTURES[name])
    assert not these.outstanding
    assert all(m.ended for m in these.requests + these.replies)
    asked = sum(m.head.replies for m in these.requests)
    assert asked == sum(not m.head.push for m in these.replies)
    pushes = sum(m.head.push for m in these.replies)
    assert bool(pushes) == name.startswith(("pubsub-resp2-0", "pubsub-resp3-0", "monitor", "track"))
    wise = books()
    for way, data in CAPTURES[name]:
        (wise.up if way == "up" else wise.down)(*bytewise(data))
    assert [m.head for m in wise.requests] == [m.head for m in these.requests]
    assert [(m.head, m.data, m.parts) for m in wise.replies] == [
        (m.head, m.data, m.parts) for m in these.replies
    ]


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(CAPTURES)), at=st.lists(st.integers(0, 10_000), max_size=8))
def test_any_chunking_says_the_same(name: str, at: list[int]) -> None:
    whole, cut = replay(books(), CAPTURES[name]), replay(books(), CAPTURES[name], *at)
    assert [m.head for m in cut.requests] == [m.head for m in whole.requests]
    assert [(m.head, m.data) for m in cut.replies] == [(m.head, m.data) for m in whole.replies]


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
            flow = mixed.to_upstream if way == "up" else mixed.to_client
            flow.messages, flow.handed, flow.taken = [], bytearray(), bytearray()
            drive_mixed(mixed, flow, chunk)
            assert fed.place() == skimmed.place() == mixed.place()


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


LOADED = (
    "GET",
    "SET",
    "MULTI",
    "EXEC",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "CLIENT",
    "REPLY",
    "OFF",
    "ON",
    "SKIP",
    "RESET",
    "HELLO",
    "3",
    "MONITOR",
    "SELECT",
    "AUTH",
    "discard",
    "k",
)
MODES = [
    cmd(*line.split())
    for line in """CLIENT REPLY OFF;CLIENT REPLY ON;CLIENT REPLY SKIP;MULTI;EXEC;RESET;HELLO 3
DISCARD;SUBSCRIBE a b;UNSUBSCRIBE;MONITOR;GET k;SET k v""".replace("\n", ";").split(";")
]
WORDS = st.lists(
    st.one_of(
        st.sampled_from(LOADED).map(str.encode),
        st.binary(max_size=120),
        st.sampled_from([b"x" * 70_000, b"", b"\r\n"]),
    ),
    min_size=1,
    max_size=7,
).map(lambda words: cmd(*words))
VALUES = st.recursive(
    st.one_of(
        st.sampled_from([data for data, _ in TYPES]),
        st.binary(max_size=120).map(lambda data: b"$%d\r\n%b\r\n" % (len(data), data)),
        st.just(b"$70000\r\n" + b"y" * 70_000 + b"\r\n"),
    ),
    lambda inner: st.lists(inner, max_size=5).map(lambda v: b"*%d\r\n" % len(v) + b"".join(v)),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    requests=st.lists(st.one_of(WORDS, st.sampled_from([*MODES, b"PING\r\n", b"\r\n"]))),
    replies=st.lists(VALUES, max_size=8),
    at=st.lists(st.integers(0, 80_000), max_size=6),
)
def test_made_up_traffic(requests: list[bytes], replies: list[bytes], at: list[int]) -> None:
    up, down = b"".join(requests), b"".join(replies)
    fed, cut, skimmed = books(), books(), books(skims=True)
    for these, places in ((fed, ()), (cut, at), (skimmed, at)):
        these.up(*cuts(up, *places))
        these.down(*cuts(down, *places))
    assert [m.head for m in cut.requests] == [m.head for m in fed.requests]
    assert [(m.head, m.data, m.parts) for m in cut.replies] == [
        (m.head, m.data, m.parts) for m in fed.replies
    ]
    assert fed.place() == cut.place() == skimmed.place()


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
        these.up(cmd("GET", "k"))
        try:
            (these.up if way == "up" else these.down)(*cuts(data, at))
        except ProtocolError:
            continue
