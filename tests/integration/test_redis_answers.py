"""What the proxy says in Redis's name, held against what redis-server says.

The table of what was compared goes to docs/fidelity/redis.json.
"""

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
from fidelity import Fidelity

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
        self.clients: list[Client] = []
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
            client = Client(self.port)
            try:
                return bool(client("PING"))
            finally:
                client.socket.close()
        return False

    def client(self) -> Client:
        self.clients.append(Client(self.port))
        return self.clients[-1]

    def stop(self) -> None:
        for client in self.clients:
            client.socket.close()
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


def fields(data: bytes) -> dict[str, Any]:
    """An error in its parts; of other replies the type and all the rest."""
    line = data.removesuffix(b"\r\n")
    parts: dict[str, Any] = {"type": line[:1], "line end": data[len(line) :]}
    code, _, text = line[1:].partition(b" ")
    return parts | ({"code": code, "text": text} if line[:1] == b"-" else {"rest": line[1:]})


def version() -> str:
    """`redis-server 7.0.15`"""
    said = subprocess.run([REDIS, "--version"], capture_output=True, text=True, check=True).stdout
    return "redis-server " + said.partition("v=")[2].partition(" ")[0]


@pytest.fixture(scope="module")
def table() -> Iterator[Fidelity]:
    made = Fidelity("redis", version(), fields)
    yield made
    made.write()


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


def held(
    table: Fidelity,
    name: str,
    provoked: str,
    real: bytes,
    *words: str,
    closed: bool = False,
    port: int = 0,
    **options: Any,
) -> None:
    """Hold a real reply to `words` against ours; `port` stands as 6379 in the table."""
    spec = PROTOCOL.error(name)
    assert spec is not None
    injected = ours(name, *words, **options)
    if port:
        given = b":%d\r\n" % port
        assert real.endswith(given), "the address is the other node's"
        real = real.removesuffix(given) + b":6379\r\n"
        injected = injected.removesuffix(given) + b":6379\r\n"
    table.hold(name, provoked, real, injected, also={"closes": (closed, spec.closes)})


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


def test_errors_that_a_plain_server_gives(start: Callable[..., Server], table: Fidelity) -> None:
    client = start().client()
    client("SET", "string", "abc")
    client("XGROUP", "CREATE", "stream", "g", "$", "MKSTREAM")
    for name, words in SIMPLE:
        held(table, name, " ".join(words), client(*words), *words)
    client("SET", "c", "1")
    dump = client("DUMP", "c").split(b"\r\n", 1)[1][:-2]
    client.socket.sendall(
        b"*4\r\n$7\r\nRESTORE\r\n$1\r\nc\r\n$1\r\n0\r\n$%d\r\n%b\r\n" % (len(dump), dump)
    )
    provoked = "RESTORE onto a key that exists"
    held(table, "busykey", provoked, client.read(), "RESTORE", "c", "0", "x")
    client("MULTI"), client("GET")
    provoked = "EXEC after a command that was refused"
    held(table, "execabort", provoked, client("EXEC"), "EXEC")
    for version in ("2", "3"):
        client("HELLO", version), client("WATCH", "w"), client("SET", "w", version)
        client("MULTI"), client("GET", "w")
        session = RedisSession(resp=int(version))
        provoked = f"EXEC after a change of a watched key, RESP{version}"
        held(table, "watch_conflict", provoked, client("EXEC"), "EXEC", session=session)


def refused(
    table: Fidelity, server: Server, name: str, words: tuple[str, ...], *switch: str
) -> None:
    """The error to a command, and to the EXEC of a transaction that was begun before."""
    client, other = server.client(), server.client()
    client("MULTI"), client(*words)
    assert other(*switch) == b"+OK\r\n"
    how = " ".join(switch)
    held(table, name, f"EXEC of a {words[0]} after {how}", client("EXEC"), "EXEC")
    held(table, name, f"{words[0]} after {how}", client(*words), *words)


def test_errors_of_a_server_in_trouble(start: Callable[..., Server], table: Fidelity) -> None:
    server = start()
    write = ("SET", "a", "1")
    admin = server.client()
    config = ("CONFIG", "SET")
    refused(table, server, "oom", write, *config, "maxmemory", "1")
    admin(*config, "maxmemory", "0")
    refused(table, server, "noreplicas", write, *config, "min-replicas-to-write", "1")
    admin(*config, "min-replicas-to-write", "0")
    blocked = server.client()
    blocked.send("BLPOP", "q", "0")
    until(lambda: b"blocked_clients:1" in admin("INFO", "clients"))
    refused(table, server, "readonly", write, "REPLICAOF", "127.0.0.1", "1")
    real = blocked.read()
    closed = blocked.read() == b""
    held(table, "unblocked", "REPLICAOF while BLPOP waits", real, "BLPOP", "q", "0", closed=closed)
    admin(*config, "replica-serve-stale-data", "no")
    client = server.client()
    provoked = "GET at a replica without its primary, replica-serve-stale-data no"
    held(table, "masterdown", provoked, client("GET", "a"), "GET", "a")
    assert client("SELECT", "0") == b"+OK\r\n"
    admin("REPLICAOF", "NO", "ONE")
    admin("ACL", "SETUSER", "bob", "on", ">pw", "+@all", "-get", "~x*")
    client("AUTH", "bob", "pw")
    held(table, "noperm", "GET by a user with -get", client("GET", "x"), "GET", "x")
    real = client("SET", "y", "1")
    held(table, "noperm_key", "SET y by a user with ~x*", real, "SET", "y", "1")
    admin(*config, "requirepass", "pw")
    real = server.client()("GET", "a")
    held(table, "noauth", "GET after CONFIG SET requirepass", real, "GET", "a")


def test_busy(start: Callable[..., Server], table: Fidelity) -> None:
    server = start()
    admin, busy = server.client(), server.client()
    admin("CONFIG", "SET", "lua-time-limit", "1")
    busy.send("EVAL", "while true do end", "0")
    until(lambda: admin("PING").startswith(b"-BUSY"))
    held(table, "busy", "GET while a script runs for ever", admin("GET", "a"), "GET", "a")
    assert admin("MULTI") == b"+OK\r\n"
    held(table, "busy", "EXEC while a script runs for ever", admin("EXEC"), "EXEC")
    admin("SCRIPT", "KILL")


def test_max_clients(start: Callable[..., Server], table: Fidelity) -> None:
    server = start("--maxclients", "1")
    until(server.reachable)
    clients = [server.client() for _ in range(2)]
    real = clients[1].read()
    closed = clients[1].read() == b""
    held(table, "max_clients", "a second connection with maxclients 1", real, closed=closed)


def test_misconf(start: Callable[..., Server], table: Fidelity) -> None:
    server = start("--save", "3600 1")
    client = server.client()
    client("SET", "a", "1")
    shutil.rmtree(server.folder)
    client("BGSAVE")
    until(lambda: client("PING").startswith(b"-MISCONF"))
    provoked = "SET after BGSAVE into a folder that is gone"
    held(table, "misconf", provoked, client("SET", "a", "1"), "SET", "a", "1")
    assert client("GET", "a") == b"$1\r\n1\r\n"


def test_loading(start: Callable[..., Server], table: Fidelity) -> None:
    server = start()
    client = server.client()
    client("DEBUG", "POPULATE", "200000", "k", "20")
    client("CONFIG", "SET", "key-load-delay", "500")
    client("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
    client.send("DEBUG", "RELOAD")
    other = server.client()
    held(table, "loading", "GET during DEBUG RELOAD", other("GET", "a"), "GET", "a")
    assert other("SELECT", "0") == b"+OK\r\n"


def test_cluster(start: Callable[..., Server], table: Fidelity) -> None:
    one, two = start("--cluster-enabled", "yes"), start("--cluster-enabled", "yes")
    a, b = one.client(), two.client()
    provoked = "GET of a slot that nobody has"
    held(table, "clusterdown", provoked, a("GET", "a"), "GET", "a")
    a("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    a("CLUSTER", "MEET", "127.0.0.1", str(two.port))
    until(lambda: b"cluster_state:ok" in a("CLUSTER", "INFO"))
    until(lambda: b"cluster_state:ok" in b("CLUSTER", "INFO"))
    a("SET", "a", "1")
    held(table, "crossslot", "MGET of two slots", a("MGET", "a", "b"), "MGET", "a", "b")
    where = {"address": f"127.0.0.1:{one.port}", "port": one.port}
    held(table, "moved", "GET at the wrong node", b("GET", "a"), "GET", "a", **where)
    identity = [x("CLUSTER", "MYID").split(b"\r\n")[1].decode() for x in (a, b)]
    until(lambda: a("CLUSTER", "SETSLOT", "15495", "MIGRATING", identity[1]) == b"+OK\r\n")
    assert b("CLUSTER", "SETSLOT", "15495", "IMPORTING", identity[0]) == b"+OK\r\n"
    where = {"address": f"127.0.0.1:{two.port}", "port": two.port}
    real = a("GET", "z{a}")
    held(table, "ask", "GET of a key that has gone, slot migrating", real, "GET", "z{a}", **where)
    real = a("MGET", "a", "z{a}")
    held(table, "tryagain", "MGET of which one key has gone", real, "MGET", "a", "z{a}")
    a("CLUSTER", "DELSLOTSRANGE", "0", "100")
    until(lambda: b"cluster_state:fail" in a("CLUSTER", "INFO"))
    provoked = "GET with slots that nobody has"
    held(table, "cluster_is_down", provoked, a("GET", "b"), "GET", "b")


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
