"""Replies that the proxy makes itself: errors, "nothing found", and replaced values.

Each is what redis-server would say to this command, in the protocol version that the connection
speaks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rascal.wire.redis_commands import keys_of, slot_of
from rascal.wire.redis_errors import DISCARDS
from rascal.wire.redis_session import RedisSession, RequestHead, text
from rascal.wire.types import Answer, ErrorCall, Head

_CODE = re.compile(r"[A-Z][A-Z0-9_-]*(?= |$)")

POISON = b"*1\r\n$3\r\nGET\r\n"
"""A command that no server queues: the transaction is doomed, and nothing else happens."""
DISCARD = b"*1\r\n$7\r\nDISCARD\r\n"

_EMPTY: dict[str, str] = {
    "nil": "GET GETDEL GETEX GETSET HGET LINDEX RPOPLPUSH LMOVE RANDOMKEY DUMP ZSCORE ZRANK"
    " ZREVRANK GEODIST OBJECT MEMORY SET",
    # one value, or with a count an array
    "nil-or-nils": "LPOP RPOP",
    "nil-or-array": "HRANDFIELD ZRANDMEMBER SRANDMEMBER LPOS",
    "nil-or-set": "SPOP",
    "nils": "BLPOP BRPOP BZPOPMIN BZPOPMAX LMPOP ZMPOP BLMPOP BZMPOP XREAD XREADGROUP",
    "blocked-nil": "BRPOPLPUSH BLMOVE",
    "0": "EXISTS STRLEN LLEN HLEN SCARD ZCARD XLEN HEXISTS SISMEMBER ZCOUNT ZLEXCOUNT PFCOUNT"
    " BITCOUNT GETBIT DEL UNLINK HDEL SREM ZREM LREM EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST"
    " TOUCH DBSIZE HSTRLEN PUBLISH SPUBLISH SINTERCARD ZINTERCARD XACK XDEL XTRIM MOVE COPY"
    " RENAMENX SMOVE LPUSHX RPUSHX LINSERT ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE"
    " WAIT SETNX HSETNX MSETNX SINTERSTORE SUNIONSTORE SDIFFSTORE ZINTERSTORE ZUNIONSTORE"
    " ZDIFFSTORE ZRANGESTORE GEOSEARCHSTORE",
    "-1": "BITPOS",
    "-2": "TTL PTTL EXPIRETIME PEXPIRETIME",
    "array": "LRANGE KEYS HKEYS HVALS ZRANGE ZRANGEBYSCORE ZRANGEBYLEX ZREVRANGE"
    " ZREVRANGEBYSCORE ZREVRANGEBYLEX ZPOPMIN ZPOPMAX XRANGE XREVRANGE GEOSEARCH GEORADIUS"
    " GEORADIUSBYMEMBER GEORADIUS_RO GEORADIUSBYMEMBER_RO SORT SORT_RO ZDIFF ZINTER ZUNION XCLAIM",
    "set": "SMEMBERS SINTER SUNION SDIFF",
    "map": "HGETALL",
    "string": "GETRANGE SUBSTR",
    "scan": "SCAN",
    "scan-of": "HSCAN SSCAN ZSCAN",
    "none": "TYPE",
    "each-nil": "MGET",
    "each-field-nil": "HMGET ZMSCORE GEOHASH",
    "each-field-nils": "GEOPOS",
    "each-field-0": "SMISMEMBER",
}
EMPTY = {name: how for how, names in _EMPTY.items() for name in names.split()}

_INTEGERS = frozenset(
    [
        "INCR",
        "DECR",
        "INCRBY",
        "DECRBY",
        "APPEND",
        "LPUSH",
        "RPUSH",
        "SADD",
        "ZADD",
        "HSET",
        "HINCRBY",
        "SETRANGE",
        "SETBIT",
        "PFADD",
        "GEOADD",
        "BITOP",
        "LASTSAVE",
    ]
)
_STATUSES = frozenset(
    [
        "SET",
        "SETEX",
        "PSETEX",
        "MSET",
        "HMSET",
        "LSET",
        "LTRIM",
        "RENAME",
        "SELECT",
        "FLUSHALL",
        "FLUSHDB",
        "AUTH",
        "PING",
        "TYPE",
        "MULTI",
        "WATCH",
        "UNWATCH",
        "DISCARD",
        "RESTORE",
        "SWAPDB",
        "QUIT",
        "RESET",
        "PFMERGE",
        "SAVE",
        "BGSAVE",
        "ASKING",
        "READONLY",
        "READWRITE",
        "REPLICAOF",
        "SLAVEOF",
    ]
)


def nil(session: RedisSession, of_array: bool = False) -> bytes:
    """Null in the connection's version."""
    if session.resp >= 3:
        return b"_\r\n"
    return b"*-1\r\n" if of_array else b"$-1\r\n"


def bulk(data: bytes) -> bytes:
    """A bulk string."""
    return b"$%d\r\n%b\r\n" % (len(data), data)


# -- errors ----------------------------------------


def error_text(head: Head, call: ErrorCall) -> str:
    """The line that the server says, without `-`."""
    spec = call.spec
    own = call.text is None
    body = _filled(spec.text, head, call.extra) if own else call.text or ""
    prefix = spec.code if _RAW_CODE.fullmatch(spec.code) else ""
    if prefix:
        line = body if body.startswith(f"{prefix} ") else f"{prefix} {body}".rstrip(" ")
    elif own or _CODE.match(body):
        line = body
    else:  # a text of the user's for one of the catalogue's ERR … or NOPERM …
        line = f"{spec.text.partition(' ')[0]} {body}"
    return line.replace("\r", " ").replace("\n", " ")


_RAW_CODE = re.compile(r"[A-Z][A-Z0-9_-]*")


def _filled(template: str, head: Head, extra: Any) -> str:
    if "{" not in template:
        return template
    words: Sequence[bytes] = head.words if isinstance(head, RequestHead) else ()
    name = text(words[0]) if words else head.command
    keys = keys_of(head.command, words)
    slot = extra.get("slot")
    if slot is None:
        slot = slot_of(keys[0]) if keys else 0
    values = {
        "command": head.command.lower(),
        "name": name[:128],
        "args": "".join(f"'{text(word)[:128]}' " for word in words[1:20])[:128],
        "slot": str(int(slot)),
        "address": str(extra.get("address") or "127.0.0.1:6379"),
        "key": text(keys[0]) if keys else "",
        "group": text(words[2]) if len(words) > 2 else "",
    }
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), template)


def error_answer(session: RedisSession, head: Head, call: ErrorCall) -> Answer:
    """An error, and what keeps the server's transaction in step with what the client believes."""
    spec = call.spec
    line = error_text(head, call)
    sent = isinstance(head, RequestHead) and head.transaction != 0
    upstream: tuple[tuple[Head, bytes], ...] = ()
    if head.command == "EXEC" and isinstance(head, RequestHead):
        if spec.name in DISCARDS and call.text is None:
            line = f"EXECABORT Transaction discarded because of: {line}"
        if not sent and session.in_transaction:
            upstream = ((RequestHead("DISCARD", asked=False), DISCARD),)
            session.leave_transaction()
    elif head.command == "MULTI":
        if session.opened is head:
            session.opened = None
    elif isinstance(head, RequestHead) and head.command not in (
        "DISCARD",
        "WATCH",
        "RESET",
        "QUIT",
    ):
        same = not sent or head.transaction == session.transactions
        if session.in_transaction and same:
            upstream = ((RequestHead("GET", asked=False), POISON),)
    if spec.name == "watch_conflict":
        reply = nil(session, of_array=True)
    else:
        reply = b"-" + line.encode("utf-8", "surrogateescape") + b"\r\n"
    return Answer(reply, upstream, spec.closes)


# -- nothing found ----------------------------------------


def _items(items: Sequence[bytes]) -> bytes:
    return b"*%d\r\n" % len(items) + b"".join(items)


def empty_reply(session: RedisSession, head: RequestHead) -> bytes | None:
    """What redis-server says when the key is not there."""
    how = EMPTY.get(head.command)
    if how is None:
        return None
    words = head.words
    if how.startswith("each"):
        if not head.whole:
            return None
        count = len(words) - (1 if how == "each-nil" else 2)
        if count < 1:
            return None
        one = b":0\r\n" if how.endswith("0") else nil(session, how.endswith("nils"))
        return _items([one] * count)
    special = _by_arguments(head.command, words)
    if special is not None:
        return nil(session) if special == b"nil" else special or None
    counted = len(words) > 2 and how.startswith("nil-or")
    if counted and head.command == "LPOS":
        counted = any(word.upper() == b"COUNT" for word in words[3:])
    if how == "nil-or-nils":
        return nil(session, counted)
    if counted:
        how = how.removeprefix("nil-or-")
    if how in ("scan", "scan-of"):
        return b"*2\r\n$1\r\n0\r\n*0\r\n"
    if how.startswith("nil") or how == "blocked-nil":
        return nil(session, how in ("nils", "blocked-nil"))
    if how in ("array", "string", "none"):
        return {"array": b"*0\r\n", "string": b"$0\r\n\r\n", "none": b"+none\r\n"}[how]
    if how in ("set", "map"):
        return b"*0\r\n" if session.resp < 3 else {"set": b"~0\r\n", "map": b"%0\r\n"}[how]
    return b":%s\r\n" % how.encode()


def _by_arguments(command: str, words: Sequence[bytes]) -> bytes | None:
    """Where the arguments decide: the reply, nil, or b"" for no such reply; None: they do not."""
    options = {word.upper() for word in words[1:]}
    if command == "SET":
        return b"nil" if len(words) > 3 and options & {b"NX", b"XX", b"GET"} else b""
    if command in ("OBJECT", "MEMORY"):
        known = {b"ENCODING", b"FREQ", b"IDLETIME", b"REFCOUNT", b"USAGE"}
        return None if len(words) > 2 and words[1].upper() in known else b""
    if command == "BITPOS" and words[2:3] == [b"0"]:
        return b":0\r\n"
    if command in ("SORT", "GEORADIUS", "GEORADIUSBYMEMBER") and options & {b"STORE", b"STOREDIST"}:
        return b":0\r\n"
    return None


def replaced(session: RedisSession, head: RequestHead, given: str) -> bytes:
    """A value in the shape that the command usually answers with."""
    data = given.encode("utf-8", "surrogateescape")
    how = EMPTY.get(head.command, "")
    if head.command in _INTEGERS or how in ("0", "-1", "-2"):
        if re.fullmatch(r"-?\d{1,19}", given):
            return b":" + data + b"\r\n"
        return bulk(data)
    if head.command in _STATUSES and not re.search(rb"[\r\n]", data):
        return b"+" + data + b"\r\n"
    if how in ("array", "nils", "each-nil", "each-field-nil"):
        return _items([bulk(data)])
    if how == "set":
        return (b"*1\r\n" if session.resp < 3 else b"~1\r\n") + bulk(data)
    return bulk(data)
