"""Redis: RESP2 and RESP3, inline commands, pipelines, transactions, pub/sub.

A request is a command, a reply one value; where that is not so the modules beside this one say
how it is dealt with: redis_session (effects of commands on the connection), redis_requests and
redis_replies (the codecs), redis_commands (what is known of the commands), redis_errors and
redis_answers (what the proxy says itself).

AUTH, HELLO, CLIENT SETINFO and CLIENT SETNAME are what client libraries say when they connect:
they are not numbered, and only faults whose match names the command are asked. PSYNC and SYNC
make the connection a replication link, which is relayed as bytes.

MOVED and ASK errors name another node; with `addresses` the node is replaced by a proxy's
address, so that clients stay behind proxies. Replies of CLUSTER SLOTS, CLUSTER SHARDS, CLUSTER
NODES and SENTINEL are relayed as they are.
"""

from __future__ import annotations

from typing import ClassVar

from rascal.errors import ConfigError
from rascal.options import Option, Options, OptionTable
from rascal.wire.redis_answers import empty_reply, error_answer, replaced
from rascal.wire.redis_commands import COMMANDS
from rascal.wire.redis_errors import ERRORS, error_named
from rascal.wire.redis_replies import ReplyCodec
from rascal.wire.redis_requests import RequestCodec
from rascal.wire.redis_session import RedisSession, ReplyHead, RequestHead
from rascal.wire.types import (
    COMMON_FIELDS,
    Answer,
    Codec,
    ErrorCall,
    ErrorSpec,
    Field,
    Head,
    Ledger,
    WireProtocol,
)


def read_addresses(given: str | None) -> dict[str, str]:
    """`10.0.0.1:6379=127.0.0.1:7001, …` as a table. Raises ConfigError."""
    table: dict[str, str] = {}
    for pair in (given or "").split(","):
        if not pair.strip():
            continue
        node, equals, instead = (part.strip() for part in pair.partition("="))
        for address in (node, instead):
            host, _, port = address.rpartition(":")
            if not equals or not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise ConfigError(
                    f"'{pair.strip()}' is not NODE=PROXY; write host:port=host:port, …",
                    option="addresses",
                    value=given,
                )
        table[node] = instead
    return table


class Redis(WireProtocol):
    """The protocol as the rest of Rascal sees it."""

    name = "redis"
    title = "Redis"
    part = "items"
    verbatim = ("command", "key")
    usual = frozenset(COMMANDS)
    fields = (
        *COMMON_FIELDS,
        Field("command", "word", "the command, such as GET", folded=True),
        Field(
            "subcommand", "word", "its first argument as a word: REPLY in CLIENT REPLY", folded=True
        ),
        Field("key", "text", "the key, any of several; for pub/sub the channel"),
        Field("args", "text", "all arguments joined by blanks, up to 64 KiB"),
        Field("in_transaction", "flag", "it stands between MULTI and EXEC, or is that EXEC"),
        Field("blocking", "flag", "it may wait: BLPOP and its like, XREAD BLOCK"),
        Field("reply", "word", "OK, NIL, INTEGER, BULK, ARRAY, MAP, ERROR …", "reply", True),
        Field("error", "word", "the first word of an error, such as WRONGTYPE", "reply", True),
    )
    errors = ERRORS
    options = OptionTable(
        Option(
            "addresses",
            "text",
            "node=proxy, …: what stands instead of a node's host:port in MOVED and ASK errors",
        ),
    )
    error_options = OptionTable(
        Option("slot", "count", "slot in MOVED and ASK; unset: the key's own", maximum=16383),
        Option("address", "address", "node in MOVED and ASK", "127.0.0.1:6379"),
    )
    replace_options = OptionTable(
        Option(
            "text",
            "text",
            "the value, in the shape that the command usually answers with",
            required=True,
        ),
    )
    _connection: ClassVar[frozenset[str]] = frozenset(("EXEC", "DISCARD", "RESET", "QUIT"))

    def session(self, options: Options) -> RedisSession:
        return RedisSession(addresses=read_addresses(getattr(options, "addresses", None)))

    def codecs(self, session: RedisSession, ledger: Ledger) -> tuple[Codec, Codec]:
        return RequestCodec(self, session, ledger), ReplyCodec(session, ledger)

    def forwarded(self, session: RedisSession, head: Head) -> None:
        if isinstance(head, RequestHead):
            session.forwarded(head)

    def rewrites(self, options: Options) -> tuple[bool, bool]:
        return (False, bool(read_addresses(getattr(options, "addresses", None))))

    def rewrite_head(self, session: RedisSession, head: Head, data: bytes) -> bytes | None:
        """MOVED and ASK with the address of the proxy; None where it is not in the table."""
        if not isinstance(head, ReplyHead) or head.error not in ("MOVED", "ASK"):
            return None
        words = data.split(b" ")
        if len(words) != 3 or not words[2].endswith(b"\r\n"):
            return None
        instead = session.addresses.get(words[2][:-2].decode("utf-8", "surrogateescape"))
        if instead is None:
            return None
        return b" ".join((*words[:2], instead.encode("utf-8", "surrogateescape") + b"\r\n"))

    def error(self, name: str) -> ErrorSpec | None:
        return error_named(name)

    def answer(self, session: RedisSession, head: Head, call: ErrorCall) -> Answer:
        return error_answer(session, head, call)

    def empty(self, session: RedisSession, head: Head) -> bytes | None:
        if not self._answerable(session, head):
            return None
        assert isinstance(head, RequestHead)
        return empty_reply(session, head)

    def replacement(self, session: RedisSession, head: Head, options: Options) -> bytes | None:
        if not self._answerable(session, head):
            return None
        assert isinstance(head, RequestHead)
        return replaced(session, head, str(options.text))

    def _answerable(self, session: RedisSession, head: Head) -> bool:
        """Not what changes the connection, nor what a transaction queues: QUEUED is its reply."""
        return (
            isinstance(head, RequestHead)
            and head.effect is None
            and head.command not in self._connection
            and not head.in_transaction
            and not (session.in_transaction and head.transaction == 0)
        )

    def rerender(self, session: RedisSession, head: Head, kept: bytes) -> bytes | None:
        return kept if self._answerable(session, head) else None


PROTOCOL: WireProtocol = Redis()
