"""The errors of Redis, word for word those of redis-server 7.0 unless `source` says otherwise.

`{command}` and `{args}` stand for those of the request, `{slot}` and `{address}` for what the
user set beside the error.
"""

from __future__ import annotations

import re

from rascal.wire.redis_commands import with_flag, without_flag
from rascal.wire.redis_session import CONFIRMATIONS
from rascal.wire.types import ErrorSpec

_WRITES = with_flag("w")
_BLOCKING = with_flag("b")
_SCRIPTS = ("EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO")
_SUBSCRIPTIONS = tuple(kind.decode().upper() for kind in CONFIRMATIONS)
_STREAM_GROUPS = ("XREADGROUP", "XACK", "XPENDING", "XCLAIM", "XAUTOCLAIM", "XGROUP")
_CONNECTION = (*_SUBSCRIPTIONS, "AUTH", "HELLO", "QUIT", "RESET", "PING", "SELECT", "CLIENT")
_WITH_KEYS = tuple(
    name
    for name in (*with_flag("r"), *_WRITES)
    if name
    not in ("DBSIZE", "KEYS", "LOLWUT", "RANDOMKEY", "SCAN", "FLUSHALL", "FLUSHDB", "SWAPDB")
)
_MANY_KEYS = [
    "MGET",
    "MSET",
    "MSETNX",
    "DEL",
    "UNLINK",
    "EXISTS",
    "TOUCH",
    "RENAME",
    "RENAMENX",
    "SINTER",
    "SUNION",
    "SDIFF",
    "SMOVE",
    "BITOP",
    "SINTERSTORE",
    "SUNIONSTORE",
    "SDIFFSTORE",
    "PFMERGE",
    "PFCOUNT",
    "COPY",
    "LMOVE",
    "RPOPLPUSH",
    "ZUNIONSTORE",
    "ZINTERSTORE",
    "ZDIFFSTORE",
    "BLPOP",
    "BRPOP",
    "EVAL",
    "EVALSHA",
]

_ALL = (
    ErrorSpec(
        "loading",
        "LOADING",
        "Redis is loading the dataset in memory",
        "the server has restarted and reads its data set; commands that need no data are answered",
        commands=without_flag("l"),
    ),
    ErrorSpec(
        "readonly",
        "READONLY",
        "You can't write against a read only replica.",
        "a failover made this server a replica; writes only",
        commands=_WRITES,
    ),
    ErrorSpec(
        "oom",
        "OOM",
        "command not allowed when used memory > 'maxmemory'.",
        "memory is full and nothing may be evicted; commands that need memory only",
        commands=with_flag("m"),
    ),
    ErrorSpec(
        "misconf",
        "MISCONF",
        "Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."
        " Commands that may modify the data set are disabled, because this instance is configured"
        " to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error"
        " option). Please check the Redis logs for details about the RDB error.",
        "snapshots fail; writes and PING only",
        commands=(*_WRITES, "PING"),
    ),
    ErrorSpec(
        "noreplicas",
        "NOREPLICAS",
        "Not enough good replicas to write.",
        "fewer replicas than min-replicas-to-write; writes only",
        commands=_WRITES,
    ),
    ErrorSpec(
        "busy",
        "BUSY",
        "Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "a script runs for longer than busy-reply-threshold",
        commands=without_flag("y"),
    ),
    ErrorSpec(
        "masterdown",
        "MASTERDOWN",
        "Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "a replica lost its primary",
        commands=without_flag("s"),
    ),
    ErrorSpec(
        "noscript",
        "NOSCRIPT",
        "No matching script. Please use EVAL.",
        "EVALSHA of a script that the server has lost, as after a restart or failover",
        commands=("EVALSHA", "EVALSHA_RO"),
    ),
    ErrorSpec(
        "unblocked",
        "UNBLOCKED",
        "force unblock from blocking operation, instance state changed (master -> replica?)",
        "a failover while a command waits; the server closes the connection",
        commands=_BLOCKING,
        closes=True,
    ),
    ErrorSpec(
        "max_clients",
        "max_clients",
        "ERR max number of clients reached",
        "maxclients is reached: said to a new connection, which is then closed",
        moments=("connect",),
        closes=True,
    ),
    ErrorSpec(
        "noauth",
        "NOAUTH",
        "Authentication required.",
        "a password has been set and this connection has not given it",
        commands=without_flag("a"),
    ),
    ErrorSpec(
        "wrongpass",
        "WRONGPASS",
        "invalid username-password pair or user is disabled.",
        "AUTH and HELLO after the password has been changed; matches must name the command",
        commands=("AUTH", "HELLO"),
    ),
    ErrorSpec(
        "noperm",
        "NOPERM",
        "this user has no permissions to run the '{command}' command",
        "an ACL rule forbids the command",
    ),
    ErrorSpec(
        "noperm_key",
        "noperm_key",
        "NOPERM this user has no permissions to access one of the keys used as arguments",
        "an ACL rule forbids the key",
        commands=_WITH_KEYS,
    ),
    ErrorSpec(
        "moved",
        "MOVED",
        "{slot} {address}",
        "cluster: the slot is another node's; options slot (else the key's own) and address",
        commands=(*_WITH_KEYS, *_SCRIPTS),
    ),
    ErrorSpec(
        "ask",
        "ASK",
        "{slot} {address}",
        "cluster: the slot is being moved, this key is there already; options slot and address",
        commands=(*_WITH_KEYS, *_SCRIPTS),
    ),
    ErrorSpec(
        "tryagain",
        "TRYAGAIN",
        "Multiple keys request during rehashing of slot",
        "cluster: the keys of one command are on two nodes while their slot is being moved",
        commands=tuple(_MANY_KEYS),
    ),
    ErrorSpec(
        "clusterdown",
        "CLUSTERDOWN",
        "Hash slot not served",
        "cluster: nobody serves the slot",
        commands=(*_WITH_KEYS, *_SCRIPTS),
    ),
    ErrorSpec(
        "cluster_is_down",
        "cluster_is_down",
        "CLUSTERDOWN The cluster is down",
        "cluster: this node cannot reach a majority",
        commands=(*_WITH_KEYS, *_SCRIPTS),
    ),
    ErrorSpec(
        "crossslot",
        "CROSSSLOT",
        "Keys in request don't hash to the same slot",
        "cluster: the keys of one command belong to several slots",
        commands=tuple(_MANY_KEYS),
    ),
    ErrorSpec(
        "execabort",
        "EXECABORT",
        "Transaction discarded because of previous errors.",
        "a command of the transaction was refused; the transaction is undone",
        commands=("EXEC",),
        rolls_back=True,
    ),
    ErrorSpec(
        "watch_conflict",
        "watch_conflict",
        "",
        "EXEC answers null: a watched key has changed; the transaction is undone",
        commands=("EXEC",),
        rolls_back=True,
    ),
    ErrorSpec(
        "wrongtype",
        "WRONGTYPE",
        "Operation against a key holding the wrong kind of value",
        "the key holds something else, as after a bad deployment",
        commands=_WITH_KEYS,
    ),
    ErrorSpec(
        "nogroup",
        "NOGROUP",
        "No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option",
        "the stream or its consumer group is gone",
        commands=_STREAM_GROUPS,
    ),
    ErrorSpec(
        "noproto",
        "NOPROTO",
        "unsupported protocol version",
        "HELLO 3 to a server or proxy that does not speak it; matches must name the command",
        commands=("HELLO",),
    ),
    ErrorSpec(
        "wrong_number_of_arguments",
        "wrong_number_of_arguments",
        "ERR wrong number of arguments for '{command}' command",
        "too few or too many arguments",
    ),
    ErrorSpec(
        "unknown_command",
        "unknown_command",
        "ERR unknown command '{name}', with args beginning with: {args}",
        "the server is too old, or the command has been renamed",
    ),
    ErrorSpec(
        "syntax_error",
        "syntax_error",
        "ERR syntax error",
        "an option that the server does not know",
    ),
    ErrorSpec(
        "not_an_integer",
        "not_an_integer",
        "ERR value is not an integer or out of range",
        "INCR and its like on a value that is no number",
        commands=("INCR", "INCRBY", "DECR", "DECRBY", "HINCRBY"),
    ),
    ErrorSpec(
        "no_such_key",
        "no_such_key",
        "ERR no such key",
        "RENAME, LSET and others of a key that is gone",
        commands=("RENAME", "RENAMENX", "LSET", "XINFO"),
    ),
    ErrorSpec(
        "busykey",
        "BUSYKEY",
        "Target key name already exists.",
        "RESTORE and MIGRATE onto a key that exists",
        commands=("RESTORE", "MIGRATE"),
    ),
    ErrorSpec(
        "busygroup",
        "BUSYGROUP",
        "Consumer Group name already exists",
        "XGROUP CREATE of a group that exists",
        commands=("XGROUP",),
    ),
    ErrorSpec("ERR", "ERR", "internal error", "any other error; say its text"),
)

ERRORS = {spec.name: spec for spec in _ALL}

DISCARDS = frozenset(
    [
        "loading",
        "readonly",
        "oom",
        "misconf",
        "noreplicas",
        "busy",
        "masterdown",
        "noauth",
        "noperm",
    ]
)
"""Refusals of EXEC itself: the server says EXECABORT … because of: and undoes the transaction."""

_RAW = re.compile(r"[A-Z][A-Z0-9_-]{1,63}")


def error_named(name: str) -> ErrorSpec | None:
    """By name or code without regard to case, else any prefix in capitals that a server can say."""
    spec = ERRORS.get(name) or ERRORS.get(name.lower()) or _BY_CODE.get(name.upper())
    if spec is None and _RAW.fullmatch(name):
        return ErrorSpec(name, name, "", "an error of a module or a newer server; say its text")
    return spec


_BY_CODE = {spec.code.upper(): spec for spec in _ALL}
