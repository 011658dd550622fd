"""What the proxy says in memcached's name, held against what memcached says."""

from __future__ import annotations

import contextlib
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fidelity import Fidelity
from memcached_server import MEMCACHED, Client, Server, memcached, until, version

from rascal.wire.memcached import PROTOCOL
from rascal.wire.memcached_errors import ERRORS
from rascal.wire.types import ErrorCall, Head, Ledger

pytestmark = pytest.mark.skipif(not MEMCACHED, reason="memcached is not installed")

NOT_PROVOKED = {
    "backend_failure": "memcached's proxy says so, which Debian does not build",
    "temporary_failure": "said by other servers",
    "out_of_memory_reading": "a server without memory for its answers cannot be had on purpose",
    "SERVER_ERROR": "any text",
    "pretend_stored": "is the reply of a set that went well",
}
LARGE = b"x" * 1_100_000


def fields(data: bytes) -> dict[str, Any]:
    """A reply in its parts: status, words or flags behind it, value, line ends."""
    line, end, rest = data.partition(b"\r\n")
    status, _, words = line.partition(b" ")
    parts: dict[str, Any] = {"status": status, "line end": end, "rest": rest}
    if re.fullmatch(rb"VA|HD|EN|NF|NS|EX", status):
        parts["flags"] = words
    else:
        parts["text"] = words
    return parts


class NoBooks(Ledger):
    def framing(self) -> Any:
        raise LookupError

    def request(self, head: Head) -> None: ...

    def replied(self) -> None: ...


def head_of(data: bytes, *, auth: bool = False) -> Head:
    session = PROTOCOL.session(PROTOCOL.options.plain({"auth": auth}))
    head = next(iter(PROTOCOL.codecs(session, NoBooks())[0].feed(data))).start
    assert head is not None
    return head


def ours(name: str, data: bytes = b"", **options: Any) -> bytes:
    """What the proxy would answer to this request."""
    spec = PROTOCOL.error(name)
    assert spec is not None
    head = head_of(data, **options) if data else Head("CONNECT")
    assert not spec.commands or head.command in spec.commands
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    return PROTOCOL.answer(session, head, ErrorCall(spec)).reply


@pytest.fixture(scope="module")
def table() -> Iterator[Fidelity]:
    made = Fidelity("memcached", version(), fields)
    yield made
    made.write()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with memcached() as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with server.client() as one:
        one(b"flush_all\r\nset text 0 0 3\r\nabc\r\nset n 0 0 1\r\n1\r\n")
        yield one


def hold(table: Fidelity, client: Client, name: str, provoked: str, data: bytes) -> None:
    """Provoke an error with one request, and see that the connection outlives it."""
    real = client(data)
    assert client(b"get none\r\n") == b"END\r\n"
    spec = ERRORS[name]
    table.hold(name, provoked, real, ours(name, data), also={"closes": (False, spec.closes)})


SIMPLE = [
    ("too_large", "set of 1.1 MB", b"set big 0 0 1100000\r\n" + LARGE + b"\r\n"),
    ("too_large", "ms of 1.1 MB, quiet", b"ms big 1100000 q k\r\n" + LARGE + b"\r\n"),
    ("not_stored", "add of a key that exists", b"add n 0 0 1\r\nx\r\n"),
    ("not_stored", "append to a key that does not", b"append none 0 0 1\r\nx\r\n"),
    ("not_stored", "ms ME of a key that exists, quiet", b"ms n 1 ME q O1 k\r\nx\r\n"),
    ("not_stored", "ms MR that wants the cas back", b"ms none 1 MR k c O1\r\nx\r\n"),
    ("exists", "cas with another unique", b"cas n 0 0 1 987654321\r\nx\r\n"),
    ("exists", "ms with another unique", b"ms n 1 C987654321 k O1 c\r\nx\r\n"),
    ("exists", "md with another unique, quiet", b"md n C987654321 q O1 k\r\n"),
    ("exists", "ma with another unique", b"ma n C987654321 O1\r\n"),
    ("not_found", "cas of a key that is gone", b"cas none 0 0 1 5\r\nx\r\n"),
    ("not_found", "delete of a key that is gone", b"delete none\r\n"),
    ("not_found", "incr of a key that is gone", b"incr none 1\r\n"),
    ("not_found", "touch of a key that is gone", b"touch none 0\r\n"),
    ("not_found", "md of a key that is gone", b"md none k O1\r\n"),
    ("not_found", "ma of a key that is gone, in base64", b"ma YQ== O1 k b\r\n"),
    ("unknown_command", "a command that there is not", b"nonsense a b\r\n"),
    ("unknown_command", "get without a key", b"get\r\n"),
    ("non_numeric", "incr of a text", b"incr text 1\r\n"),
    ("non_numeric", "ma of a text, quiet", b"ma text q\r\n"),
    ("invalid_delta", "incr by x", b"incr n x\r\n"),
    ("bad_line", "get of a key of 251 bytes", b"get " + b"k" * 251 + b"\r\n"),
    ("bad_line", "mg of a key of 251 bytes", b"mg " + b"k" * 251 + b"\r\n"),
    ("bad_data_chunk", "data that is too long by two bytes", b"set a 0 0 1\r\nxxx"),
    ("CLIENT_ERROR", "stats cachedump with a word missing", b"stats cachedump 1\r\n"),
]


@pytest.mark.parametrize(("name", "provoked", "data"), SIMPLE, ids=[row[1] for row in SIMPLE])
def test_errors_of_a_plain_server(
    table: Fidelity, client: Client, name: str, provoked: str, data: bytes
) -> None:
    hold(table, client, name, provoked, data)


def test_a_full_server(table: Fidelity) -> None:
    with memcached("-M", "-m", "2") as server, server.client() as client:
        data = b"x" * 400_000
        for number in range(50):
            if client(b"set k%d 0 0 400000\r\n%b\r\n" % (number, data)) != b"STORED\r\n":
                break
        quiet = b"ms more 400000 q\r\n" + data + b"\r\n"
        hold(table, client, "out_of_memory", "ms with -M and 2 MB that are full, quiet", quiet)
        request = b"set k0 0 0 400000\r\n" + data + b"\r\n"
        assert client(b"get k0\r\n").startswith(b"VALUE k0 ")
        hold(table, client, "out_of_memory", "set with -M and 2 MB that are full", request)
        assert client(b"get k0\r\n") == b"END\r\n", "the server removes the old value"


@pytest.mark.parametrize("request_line", [b"set a 0 0 1100000", b"ms a 1100000 ME"])
def test_a_value_that_is_too_large_removes_the_old_one(client: Client, request_line: bytes) -> None:
    """As the proxy's own request does when it answers so (memcached_answers)."""
    client(b"set a 0 0 1\r\nx\r\n")
    assert client(request_line + b"\r\n" + LARGE + b"\r\n").startswith(b"SERVER_ERROR object")
    assert client(b"get a\r\n") == b"END\r\n"
    client(b"set a 0 0 1\r\nx\r\n")
    client(b"add a 0 0 1100000\r\n" + LARGE + b"\r\n")
    assert client(b"get a\r\n") == b"VALUE a 0 1\r\nx\r\nEND\r\n"


def test_too_many_connections(table: Fidelity) -> None:
    with memcached("-c", "16", "-o", "maxconns_fast") as server, server.client() as first:

        def counted(name: bytes) -> int:
            found = re.search(rb"STAT %b (\d+)" % name, first(b"stats\r\n"))
            assert found is not None
            return int(found[1])

        def seen() -> int:
            return counted(b"total_connections") + counted(b"rejected_connections")

        with contextlib.ExitStack() as stack:
            while not counted(b"rejected_connections"):
                before = seen()
                last = stack.enter_context(server.client())
                until(lambda before=before: seen() > before)  # type: ignore[misc]
            real = last.until(b"\r\n")
            closes = last.socket.recv(1) == b""
        table.hold(
            "too_many_connections",
            "one connection more than -c allows",
            real,
            ours("too_many_connections"),
            also={"closes": (closes, ERRORS["too_many_connections"].closes)},
        )


def test_passwords(table: Fidelity, tmp_path: pathlib.Path) -> None:
    users = tmp_path / "users"
    users.write_text("ann:secret\n")
    with memcached("-Y", str(users)) as server, server.client() as client:

        def real(data: bytes) -> bytes:
            client.send(data)
            return client.until(b"\r\n")

        for name, provoked, data in (
            ("unauthenticated", "get before the log-in", b"get a\r\n"),
            ("unauthenticated", "mg before the log-in, quiet", b"mg a q\r\n"),
            ("authentication_failure", "a wrong password", b"set k 0 0 9\r\nann wrong\r\n"),
        ):
            injected = ours(name, data, auth=name == "authentication_failure")
            table.hold(name, provoked, real(data), injected, also={"closes": (False, False)})
        assert real(b"set k 0 0 10\r\nann secret\r\n") == b"STORED\r\n"
        assert client(b"get a\r\n") == b"END\r\n"


def test_a_server_that_may_not_be_flushed(table: Fidelity) -> None:
    with memcached("-F") as server, server.client() as client:
        hold(table, client, "flush_not_allowed", "flush_all with -F", b"flush_all\r\n")


def test_every_error_was_provoked_or_cannot_be() -> None:
    provoked = {name for name, _, _ in SIMPLE} | {
        "out_of_memory",
        "too_many_connections",
        "unauthenticated",
        "authentication_failure",
        "flush_not_allowed",
    }
    assert provoked.isdisjoint(NOT_PROVOKED)
    assert provoked | set(NOT_PROVOKED) == set(ERRORS)


@pytest.mark.parametrize(
    "data", [b"set a 5 60 1\r\nx\r\n", b"ms a 1 k O1\r\nx\r\n", b"ms a 1 q\r\nx\r\n"]
)
def test_a_pretended_success_looks_like_one(client: Client, data: bytes) -> None:
    assert client(data) == ours("pretend_stored", data)


MISSES = b"""get a b;gets a;gat 0 a;gats 0 a b;mg a;mg a v k O1 f t s c;mg a k q O1;mg YQ== b k;
mg viv1 N30 t v k O1 f s h l;mg viv2 t N30 s;me a;delete a;incr a 1;decr a 1;touch a 0;
md a;md a k O1;md a q O1;ma a;ma a k v;
cas a 0 0 1 5|x;replace a 0 0 1|x;append a 0 0 1|x;prepend a 0 0 1|x;
ms a 1 C5 k|x;ms a 1 MR O1|x;ms a 1 MA k q|x;ms a 1 MR C5 c|x;ms a 1 MP C5|x"""


@pytest.mark.parametrize("line", MISSES.replace(b"\n", b"").split(b";"))
def test_nothing_found(table: Fidelity, client: Client, line: bytes) -> None:
    data = line.replace(b"|", b"\r\n") + b"\r\n"
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    injected = PROTOCOL.empty(session, head_of(data))
    assert injected is not None
    table.hold("(empty)", line.replace(b"|", b" ").decode(), client(data), injected)


HITS = b"get a b none;gat 0 a;mg a v;mg a v s f t k O1 q;mg a h l;mg Yw== b k v;mg a T60 t v"


@pytest.mark.parametrize("line", HITS.split(b";"))
def test_a_value_instead_looks_like_one(client: Client, line: bytes) -> None:
    data = line + b"\r\n"
    client(b"set a 5 0 3\r\nabc\r\nset b 5 0 3\r\nabc\r\nms Yw== 3 b F5\r\nabc\r\n")
    client(b"get a b\r\n")
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    options = PROTOCOL.replace_options.plain({"text": "abc", "flags": 5})
    injected = PROTOCOL.replacement(session, head_of(data), options)
    assert injected is not None
    if b"none" in line:
        injected = injected.replace(b"VALUE none 5 3\r\nabc\r\n", b"")
    assert client(data) == injected


def test_numbers_instead(client: Client) -> None:
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    for line in (b"incr n 1", b"ma n v k", b"ma n O1 t", b"ma n q v"):
        real = client(b"set n 0 0 1\r\n4\r\n").removeprefix(b"STORED\r\n") + client(line + b"\r\n")
        options = PROTOCOL.replace_options.plain({"text": "5"})
        assert real == PROTOCOL.replacement(session, head_of(line + b"\r\n"), options)
