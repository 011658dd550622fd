"""The errors of memcached, word for word those of 1.6.18 unless `source` says otherwise.

The server answers a refused command with one line: ERROR, CLIENT_ERROR or SERVER_ERROR and a
text. NOT_STORED, EXISTS and NOT_FOUND are no errors to it, but to those who asked; the meta
commands say NS, EX and NF for them. Lines that are too long get no error: the server closes the
connection without a word (the kind `close` does that).
"""

from __future__ import annotations

from rascal.wire.memcached_heads import RETRIEVAL, STORAGE
from rascal.wire.types import ErrorSpec

_STORING = (*sorted(STORAGE), "MS")
_READING = tuple(sorted(RETRIEVAL))

_ALL = (
    ErrorSpec(
        "out_of_memory",
        "out_of_memory",
        "SERVER_ERROR out of memory storing object",
        "memory is full and nothing may be evicted (-M, or nothing is old enough); the old value"
        " is gone too, as the server removes it",
        commands=_STORING,
    ),
    ErrorSpec(
        "too_large",
        "too_large",
        "SERVER_ERROR object too large for cache",
        "the value is longer than -I allows, 1 MiB unless set; the old value is gone too, as the"
        " server removes it",
        commands=_STORING,
    ),
    ErrorSpec(
        "out_of_memory_reading",
        "out_of_memory_reading",
        "SERVER_ERROR out of memory writing get response",
        "the server has no memory left for its answers",
        source="proto_text.c",
        commands=_READING,
    ),
    ErrorSpec(
        "backend_failure",
        "backend_failure",
        "SERVER_ERROR backend failure",
        "a memcached proxy lost the server behind it",
        source="memcached's built-in proxy, t/proxy.t",
    ),
    ErrorSpec(
        "temporary_failure",
        "temporary_failure",
        "SERVER_ERROR temporary failure",
        "busy, try again: the text of the binary protocol's 0x86",
        source="Couchbase, moxi",
    ),
    ErrorSpec(
        "not_stored",
        "NOT_STORED",
        "NOT_STORED",
        "the condition of add, replace, append or prepend does not hold",
        commands=("ADD", "REPLACE", "APPEND", "PREPEND", "MS"),
    ),
    ErrorSpec(
        "exists",
        "EXISTS",
        "EXISTS",
        "somebody else has changed the item since it was fetched",
        commands=("CAS", "MS", "MD", "MA"),
    ),
    ErrorSpec(
        "not_found",
        "NOT_FOUND",
        "NOT_FOUND",
        "there is no such item; for misses of get use the kind `empty`",
        commands=("CAS", "DELETE", "INCR", "DECR", "TOUCH", "MS", "MD", "MA"),
    ),
    ErrorSpec(
        "pretend_stored",
        "pretend_stored",
        "STORED",
        "no error, which is worse: the client is told that the value is stored, and it is lost",
        source="a node that is evicting, restarted or cut off right after it has answered",
        moments=("request",),
        commands=_STORING,
    ),
    ErrorSpec(
        "too_many_connections",
        "too_many_connections",
        "ERROR Too many open connections",
        "the limit -c is reached: said to a new connection, which is then closed",
        moments=("connect",),
        closes=True,
    ),
    ErrorSpec(
        "unauthenticated",
        "unauthenticated",
        "CLIENT_ERROR unauthenticated",
        "the server wants a password (-Y) and this connection has not given it",
    ),
    ErrorSpec(
        "authentication_failure",
        "authentication_failure",
        "CLIENT_ERROR authentication failure",
        "the password given in the first `set` is wrong (option auth of the proxy)",
        commands=("AUTH",),
    ),
    ErrorSpec(
        "unknown_command",
        "ERROR",
        "ERROR",
        "the server is too old to know the command, or it lacks a word",
    ),
    ErrorSpec(
        "non_numeric",
        "non_numeric",
        "CLIENT_ERROR cannot increment or decrement non-numeric value",
        "incr or decr of a value that is no number",
        commands=("INCR", "DECR", "MA"),
    ),
    ErrorSpec(
        "invalid_delta",
        "invalid_delta",
        "CLIENT_ERROR invalid numeric delta argument",
        "incr or decr by something that is no number",
        commands=("INCR", "DECR"),
    ),
    ErrorSpec(
        "bad_line",
        "bad_line",
        "CLIENT_ERROR bad command line format",
        "the key is longer than 250 bytes, or a number is none",
    ),
    ErrorSpec(
        "bad_data_chunk",
        "bad_data_chunk",
        "CLIENT_ERROR bad data chunk",
        "the data is not as long as announced",
        commands=_STORING,
    ),
    ErrorSpec(
        "flush_not_allowed",
        "flush_not_allowed",
        "CLIENT_ERROR flush_all not allowed",
        "the server was started with -F",
        commands=("FLUSH_ALL",),
    ),
    ErrorSpec(
        "SERVER_ERROR",
        "SERVER_ERROR",
        "SERVER_ERROR out of memory",
        "any other trouble of the server; say its text",
    ),
    ErrorSpec(
        "CLIENT_ERROR",
        "CLIENT_ERROR",
        "CLIENT_ERROR bad command line",
        "any other fault that the server finds with the request; say its text",
    ),
)

ERRORS = {spec.name: spec for spec in _ALL}
_BY_CODE = {spec.code.upper(): spec for spec in _ALL}

META_STATUS = {
    "not_stored": b"NS",
    "exists": b"EX",
    "not_found": b"NF",
    "pretend_stored": b"HD",
}
"""What the meta commands say instead."""

REMOVES = frozenset(("too_large", "out_of_memory"))
"""When the server refuses a set so, it removes what was there (ms in every mode)."""


def error_named(name: str) -> ErrorSpec | None:
    """By name or code, without regard to case."""
    return ERRORS.get(name) or ERRORS.get(name.lower()) or _BY_CODE.get(name.upper())
