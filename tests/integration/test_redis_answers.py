"""What the proxy says in Redis's name, held against what redis-server says."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rascal.wire.redis import PROTOCOL
from rascal.wire.redis_answers import EMPTY
from rascal.wire.redis_session import RedisSession
from rascal.wire.types import ErrorCall, Head, Ledger

REDIS = shutil.which("redis-server") or ""
pytestmark = pytest.mark.skipif(not REDIS, reason="redis-server is not installed")
PATIENCE = 10.0


def cmd(*words: str) -> bytes:
    coded = [word.encode() for word in words]
    return b"*%d\r\n" % len(coded) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in coded)


class Client:
    """A connection to the server; each call is a command and returns the bytes of its reply."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)

    def send(self, *words: str) -> None:
        self.socket.sendall(cmd(*words))

    def read(self) -> bytes:
        return self.socket.recv(1 << 20)

    def __call__(self, *words: str) -> bytes:
        self.send(*words)
        return self.read()


class Server:
    """A redis-server of our own, on a free port, in its own folder."""

    def __init__(self, folder: pathlib.Path, *options: str) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir(exist_ok=True)
        words = f"--port {self.port} --bind 127.0.0.1 --dir {folder} --enable-debug-command yes"
        self.process = subprocess.Popen(
            [REDIS, *words.split(), "--save", "", *options], stdout=subprocess.DEVNULL
        )
        try:
            until(self.reachable)
        except AssertionError:
            self.stop()
            raise

    def reachable(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(Client(self.port)("PING"))
        return False

    def client(self) -> Client:
        return Client(self.port)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    """A port that leaves room for that of the cluster bus, 10,000 above."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port


def until(true: Callable[[], Any]) -> None:
    """Wait for a condition, no longer than PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(*options: str) -> Server:
        servers.append(Server(tmp_path / f"redis{len(servers)}", *options))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


class NoBooks(Ledger):
    def framing(self) -> Any:
        raise LookupError

    def request(self, head: Head) -> None: ...

    def replied(self) -> None: ...


def ours(name: str, *words: str, session: RedisSession | None = None, **extra: Any) -> bytes:
    """What the proxy would answer."""
    session = session or RedisSession()
    head: Head = Head("CONNECT")
    if words:
        codec = PROTOCOL.codecs(session, NoBooks())[0]
        start = next(iter(codec.feed(cmd(*words)))).start
        assert start is not None
        head = start
    spec = PROTOCOL.error(name)
    assert spec is not None
    assert not spec.commands or not words or words[0].upper() in (*spec.commands, "EXEC")
    return PROTOCOL.answer(session, head, ErrorCall(spec, None, extra)).reply


SIMPLE = [
    ("wrong_number_of_arguments", ("GET",)),
    ("unknown_command", ("Foo", "a", "b")),
    ("wrongtype", ("LPUSH", "string", "x")),
    ("noscript", ("EVALSHA", "0" * 40, "0")),
    ("nogroup", ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")),
    ("noproto", ("HELLO", "9")),
    ("wrongpass", ("AUTH", "nobody", "x")),
    ("not_an_integer", ("INCR", "string")),
    ("syntax_error", ("SET", "a", "b", "zz")),
    ("no_such_key", ("RENAME", "none", "b")),
    ("busygroup", ("XGROUP", "CREATE", "stream", "g", "$")),
]


def test_errors_that_a_plain_server_gives(start: Callable[..., Server]) -> None:
    client = start().client()
    client("SET", "string", "abc")
    client("XGROUP", "CREATE", "stream", "g", "$", "MKSTREAM")
    for name, words in SIMPLE:
        assert client(*words) == ours(name, *words), name
    client("SET", "c", "1")
    dump = client("DUMP", "c").split(b"\r\n", 1)[1][:-2]
    client.socket.sendall(
        b"*4\r\n$7\r\nRESTORE\r\n$1\r\nc\r\n$1\r\n0\r\n$%d\r\n%b\r\n" % (len(dump), dump)
    )
    assert client.read() == ours("busykey", "RESTORE", "c", "0", "x")
    client("MULTI"), client("GET")
    assert client("EXEC") == ours("execabort", "EXEC")
    for version in ("2", "3"):
        client("HELLO", version), client("WATCH", "w"), client("SET", "w", version)
        client("MULTI"), client("GET", "w")
        session = RedisSession(resp=int(version))
        assert client("EXEC") == ours("watch_conflict", "EXEC", session=session)


def refused(server: Server, name: str, words: tuple[str, ...], *switch: str) -> None:
    """The error to a command, and to the EXEC of a transaction that was begun before."""
    client, other = server.client(), server.client()
    client("MULTI"), client(*words)
    assert other(*switch) == b"+OK\r\n"
    assert client("EXEC") == ours(name, "EXEC"), name
    assert client(*words) == ours(name, *words), name


def test_errors_of_a_server_in_trouble(start: Callable[..., Server]) -> None:
    server = start()
    write = ("SET", "a", "1")
    admin = server.client()
    config = ("CONFIG", "SET")
    refused(server, "oom", write, *config, "maxmemory", "1")
    admin(*config, "maxmemory", "0")
    refused(server, "noreplicas", write, *config, "min-replicas-to-write", "1")
    admin(*config, "min-replicas-to-write", "0")
    blocked = server.client()
    blocked.send("BLPOP", "q", "0")
    until(lambda: b"blocked_clients:1" in admin("INFO", "clients"))
    refused(server, "readonly", write, "REPLICAOF", "127.0.0.1", "1")
    assert blocked.read() == ours("unblocked", "BLPOP", "q", "0")
    assert blocked.read() == b"", "the server closes"
    admin(*config, "replica-serve-stale-data", "no")
    client = server.client()
    assert client("GET", "a") == ours("masterdown", "GET", "a")
    assert client("SELECT", "0") == b"+OK\r\n"
    admin("REPLICAOF", "NO", "ONE")
    admin("ACL", "SETUSER", "bob", "on", ">pw", "+@all", "-get", "~x*")
    client("AUTH", "bob", "pw")
    assert client("GET", "x") == ours("noperm", "GET", "x")
    assert client("SET", "y", "1") == ours("noperm_key", "SET", "y", "1")
    admin(*config, "requirepass", "pw")
    assert server.client()("GET", "a") == ours("noauth", "GET", "a")


def test_busy(start: Callable[..., Server]) -> None:
    server = start()
    admin, busy = server.client(), server.client()
    admin("CONFIG", "SET", "lua-time-limit", "1")
    busy.send("EVAL", "while true do end", "0")
    until(lambda: admin("PING").startswith(b"-BUSY"))
    assert admin("GET", "a") == ours("busy", "GET", "a")
    assert admin("MULTI") == b"+OK\r\n"
    assert admin("EXEC") == ours("busy", "EXEC")
    admin("SCRIPT", "KILL")


def test_max_clients(start: Callable[..., Server]) -> None:
    server = start("--maxclients", "1")
    until(server.reachable)
    clients = [server.client() for _ in range(2)]
    answer = clients[1].read()
    assert answer == ours("max_clients")
    assert clients[1].read() == b""


def test_misconf(start: Callable[..., Server]) -> None:
    server = start("--save", "3600 1")
    client = server.client()
    client("SET", "a", "1")
    shutil.rmtree(server.folder)
    client("BGSAVE")
    until(lambda: client("PING").startswith(b"-MISCONF"))
    assert client("SET", "a", "1") == ours("misconf", "SET", "a", "1")
    assert client("GET", "a") == b"$1\r\n1\r\n"


def test_loading(start: Callable[..., Server]) -> None:
    server = start()
    client = server.client()
    client("DEBUG", "POPULATE", "200000", "k", "20")
    client("CONFIG", "SET", "key-load-delay", "500")
    client("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
    client.send("DEBUG", "RELOAD")
    other = server.client()
    assert other("GET", "a") == ours("loading", "GET", "a")
    assert other("SELECT", "0") == b"+OK\r\n"


def test_cluster(start: Callable[..., Server]) -> None:
    one, two = start("--cluster-enabled", "yes"), start("--cluster-enabled", "yes")
    a, b = one.client(), two.client()
    assert a("GET", "a") == ours("clusterdown", "GET", "a")
    a("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    a("CLUSTER", "MEET", "127.0.0.1", str(two.port))
    until(lambda: b"cluster_state:ok" in a("CLUSTER", "INFO"))
    until(lambda: b"cluster_state:ok" in b("CLUSTER", "INFO"))
    a("SET", "a", "1")
    assert a("MGET", "a", "b") == ours("crossslot", "MGET", "a", "b")
    address = {"address": f"127.0.0.1:{one.port}"}
    assert b("GET", "a") == ours("moved", "GET", "a", **address)
    identity = [x("CLUSTER", "MYID").split(b"\r\n")[1].decode() for x in (a, b)]
    until(lambda: a("CLUSTER", "SETSLOT", "15495", "MIGRATING", identity[1]) == b"+OK\r\n")
    assert b("CLUSTER", "SETSLOT", "15495", "IMPORTING", identity[0]) == b"+OK\r\n"
    address = {"address": f"127.0.0.1:{two.port}"}
    assert a("GET", "z{a}") == ours("ask", "GET", "z{a}", **address)
    assert a("MGET", "a", "z{a}") == ours("tryagain", "MGET", "a", "z{a}")
    a("CLUSTER", "DELSLOTSRANGE", "0", "100")
    until(lambda: b"cluster_state:fail" in a("CLUSTER", "INFO"))
    assert a("GET", "b") == ours("cluster_is_down", "GET", "b")


ARGUMENTS = """
HGET k f; LINDEX k 0; RPOPLPUSH k d; LMOVE k d LEFT LEFT; RANDOMKEY; ZSCORE k m; ZRANK k m;
ZREVRANK k m; GEODIST k a b; OBJECT ENCODING k; MEMORY USAGE k; BLPOP k 0.01; BRPOP k 0.01;
BZPOPMIN k 0.01; BZPOPMAX k 0.01; LMPOP 1 k LEFT; ZMPOP 1 k MIN; BLMPOP 0.01 1 k LEFT;
BZMPOP 0.01 1 k MIN; XREAD STREAMS k 0; BRPOPLPUSH k d 0.01; BLMOVE k d LEFT LEFT 0.01;
LPOS k e; LPOS k e RANK 1; LPOS k e COUNT 0; HEXISTS k f; SISMEMBER k m; ZCOUNT k 0 1;
ZLEXCOUNT k - +; GETBIT k 0; HDEL k f; SREM k m; ZREM k m; LREM k 0 e; EXPIRE k 1; PEXPIRE k 1;
EXPIREAT k 1; PEXPIREAT k 1; DBSIZE; HSTRLEN k f; PUBLISH k x; SPUBLISH k x; SINTERCARD 1 k;
ZINTERCARD 1 k; XACK k g 1-1; XDEL k 1-1; XTRIM k MAXLEN 1; MOVE k 1; COPY k d; SMOVE k d m;
LPUSHX k e; RPUSHX k e; LINSERT k BEFORE p e; ZREMRANGEBYLEX k - +; ZREMRANGEBYRANK k 0 1;
ZREMRANGEBYSCORE k 0 1; WAIT 0 1; SINTERSTORE d k; SUNIONSTORE d k; SDIFFSTORE d k;
ZINTERSTORE d 1 k; ZUNIONSTORE d 1 k; ZDIFFSTORE d 1 k; ZRANGESTORE d k 0 1; BITPOS k 1;
BITPOS k 0; GEOSEARCHSTORE d k FROMLONLAT 1 1 BYRADIUS 1 km; LRANGE k 0 1; KEYS *; ZRANGE k 0 1;
ZRANGEBYSCORE k 0 1; ZRANGEBYLEX k - +; ZREVRANGE k 0 1; ZREVRANGEBYSCORE k 1 0;
ZREVRANGEBYLEX k + -; XRANGE k - +; XREVRANGE k + -; GEORADIUS k 1 1 1 km; GEORADIUS_RO k 1 1 1 km;
GEOSEARCH k FROMLONLAT 1 1 BYRADIUS 1 km; GEORADIUSBYMEMBER k m 1 km; ZDIFF 1 k; ZINTER 1 k;
GEORADIUSBYMEMBER_RO k m 1 km; ZUNION 1 k; GETRANGE k 0 1; SUBSTR k 0 1; SCAN 0; HSCAN k 0;
SSCAN k 0; ZSCAN k 0; MGET k l; HMGET k f g; ZMSCORE k f g; GEOHASH k f g; GEOPOS k f g;
SMISMEMBER k f g; LPOP k 2; RPOP k 2; SPOP k 2; SRANDMEMBER k 2; HRANDFIELD k 2; ZRANDMEMBER k 2;
HRANDFIELD k 2 WITHVALUES; SORT k; SORT k STORE d; SET k v XX; BITCOUNT k; HRANDFIELD k
"""
ANOTHER_TEST = {"GETSET", "XREADGROUP", "RENAMENX", "SETNX", "HSETNX", "MSETNX", "XCLAIM"}
"""They say so only where the key or group exists."""


@pytest.mark.parametrize("version", [2, 3])
def test_nothing_found(start: Callable[..., Server], version: int) -> None:
    client = start().client()
    client("HELLO", str(version))
    asked = [tuple(line.split()) for line in ARGUMENTS.replace("\n", " ").split(";")]
    named = {words[0] for words in asked} | ANOTHER_TEST
    asked += [(name, "k") for name in EMPTY if name not in named]
    for words in asked:
        session = RedisSession(resp=version)
        head = next(iter(PROTOCOL.codecs(session, NoBooks())[0].feed(cmd(*words)))).start
        assert head is not None
        assert client(*words) == PROTOCOL.empty(session, head), words
