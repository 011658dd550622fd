"""What redis-py sees of every error of the catalogue, in front of a real redis-server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from harness import Case, check
from redis import exceptions
from redis_place import (
    GET,
    SET,
    Place,
    by_fresh,
    command,
    get,
    wire,
)
from redis_servers import REDIS

from rascal.wire.redis_errors import ERRORS

pytestmark = pytest.mark.skipif(not REDIS, reason="redis-server is not installed")
SEEN = ("redis", "redis-py")


def error(
    name: str,
    does: Callable[[Any], Any],
    sees: Any,
    text: str,
    options: str = "",
    match: str = "",
    after: str = "yes",
) -> Case:
    sentence = f"error({name}{options})" + (f" match {match}" if match else "")
    return Case(name, sentence, does, sees, text, after)


# redis-py drops a connection itself after errors that it counts among the ConnectionErrors:
# BusyLoadingError and AuthenticationError; the server would have kept it (see the test below).
RESPONSE = redis.ResponseError
ERROR_CASES = [
    error("loading", GET, redis.BusyLoadingError, "loading the dataset in memory", after="anew"),
    error("readonly", SET, redis.ReadOnlyError, "against a read only replica"),
    error("oom", SET, redis.OutOfMemoryError, "used memory > 'maxmemory'"),
    error("misconf", SET, RESPONSE, "^MISCONF Redis is configured to save RDB snapshots"),
    error("noreplicas", SET, RESPONSE, "^NOREPLICAS Not enough good replicas"),
    error("busy", GET, RESPONSE, "^BUSY Redis is busy running a script"),
    error("masterdown", GET, exceptions.MasterDownError, "Link with MASTER is down"),
    error(
        "noscript", command("EVALSHA", "0" * 40, 0), exceptions.NoScriptError, "No matching script"
    ),
    error("unblocked", command("BLPOP", "none", 1), RESPONSE, "^UNBLOCKED force", after="anew"),
    Case(
        "max_clients",
        "error(max_clients)",
        by_fresh(get, client_name="shop"),  # so that it reads something before it asks
        redis.ConnectionError,
        "max number of clients reached",
        fired=None,
    ),
    error("noauth", GET, redis.AuthenticationError, "Authentication required", after="anew"),
    error(
        "wrongpass",
        command("AUTH", "me", "wrong"),
        redis.AuthenticationError,
        "invalid username-password pair",
        match="command=AUTH",
        after="anew",
    ),
    error("noperm", GET, exceptions.NoPermissionError, "no permissions to run the 'get' command"),
    error(
        "noperm_key", GET, exceptions.NoPermissionError, "no permissions to access one of the keys"
    ),
    error("moved", GET, exceptions.MovedError, "15495 127.0.0.1:7001", ", address=127.0.0.1:7001"),
    error("ask", GET, exceptions.AskError, "7 127.0.0.1:7001", ", address=127.0.0.1:7001, slot=7"),
    error(
        "tryagain", command("MGET", "a", "b"), exceptions.TryAgainError, "during rehashing of slot"
    ),
    error("clusterdown", GET, exceptions.ClusterDownError, "Hash slot not served"),
    error("cluster_is_down", GET, exceptions.ClusterDownError, "The cluster is down"),
    error(
        "crossslot",
        command("MGET", "a", "b"),
        exceptions.ClusterCrossSlotError,
        "hash to the same slot",
    ),
    error(
        "execabort",
        lambda client: client.pipeline().set("a", "2").execute(),
        exceptions.ExecAbortError,
        "discarded because of previous errors",
        match="command=EXEC",
    ),
    error(
        "watch_conflict",
        lambda client: client.pipeline().set("a", "2").execute(),
        redis.WatchError,
        "Watched variable changed",
        match="command=EXEC",
    ),
    error("wrongtype", GET, RESPONSE, "^WRONGTYPE Operation against a key holding the wrong"),
    error(
        "nogroup",
        command("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"),
        RESPONSE,
        "^NOGROUP No such key 's' or consumer group 'g'",
    ),
    error(
        "noproto",
        command("HELLO", 3),
        RESPONSE,
        "^NOPROTO unsupported protocol version",
        match="command=HELLO",
    ),
    error("wrong_number_of_arguments", GET, RESPONSE, "^wrong number of arguments for 'get'"),
    error("unknown_command", GET, RESPONSE, "^unknown command 'GET', with args beginning with"),
    error("syntax_error", SET, RESPONSE, "^syntax error$"),
    error("not_an_integer", command("INCR", "a"), RESPONSE, "^value is not an integer"),
    error("no_such_key", command("RENAME", "a", "z"), RESPONSE, "^no such key$"),
    error("busykey", command("RESTORE", "z", 0, "x"), RESPONSE, "^BUSYKEY Target key name"),
    error(
        "busygroup",
        command("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"),
        RESPONSE,
        "^BUSYGROUP Consumer Group name already",
    ),
    error("ERR", GET, RESPONSE, "^the disk is on fire$", ', text="the disk is on fire"'),
]
"""MISCONF and the like have no class of their own in redis-py: ResponseError is the proper one."""


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_errors(case: Case, place: Place, seen: Callable[..., None]) -> None:
    check(case, place.node, "cache", place.client(), seen)
    direct = place.direct()
    assert (direct.get("a"), direct.exists("z"), direct.exists("s")) == (b"1", 0, 0)


def test_every_error_of_the_catalogue_is_here() -> None:
    assert [case.name for case in ERROR_CASES] == list(ERRORS)


@pytest.mark.parametrize("name", [n for n in ERRORS if n != "max_clients"])
def test_errors_leave_the_connection_as_a_server_does(name: str, place: Place) -> None:
    """A client library may drop it; the server's end is open, unless the catalogue says not."""
    spec = ERRORS[name]
    word = spec.commands[0] if spec.commands else "GET"
    words = {"EXEC": [], "HELLO": [3], "AUTH": ["x"]}.get(word, ["a", "b"])
    with place.raw() as sock:
        with place.node.fault("cache", f"error({name}, text='X of ours') match command={word}"):
            if word == "EXEC":
                sock.sendall(wire("MULTI"))
                assert sock.recv(100) == b"+OK\r\n"
            sock.sendall(wire(word, *words))
            reply = sock.recv(1000)
            assert reply[:1] == (b"*" if name == "watch_conflict" else b"-"), reply
        sock.sendall(wire("PING"))
        assert sock.recv(100) == (b"" if spec.closes else b"+PONG\r\n")
