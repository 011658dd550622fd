"""What both directions of a Redis connection know, and the heads of its messages.

Requests change the session in `RedisSession.forwarded` only, when the server will see them;
replies when they are parsed. Whatever makes the server answer in an unusual way (SUBSCRIBE a b:
two messages; HELLO 3: another protocol; RESET; MONITOR) is an *effect*: it is noted when the
request is forwarded and looked up by the reply codec when that reply begins. Such a request's
`framing` is SPECIAL; of all others it is None, so that the books stay small.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rascal.wire.redis_commands import COMMANDS, keys_of
from rascal.wire.types import Head, Session

SPECIAL = "special"
"""The framing of a request that has an effect on its reply."""

Effect = tuple[Any, ...]
"""("multi",) ("exec",) ("discard",) ("reset",) ("monitor",) ("sync",) ("hello", version)
("reply", "ON" | "OFF" | "SKIP") ("sub", confirmation, how many; 0 = all that there are)"""

REPLY_ON, REPLY_OFF, REPLY_SKIP = 0, 1, 2

CONFIRMATIONS = {
    b"subscribe": "channels",
    b"unsubscribe": "channels",
    b"psubscribe": "patterns",
    b"punsubscribe": "patterns",
    b"ssubscribe": "shards",
    b"sunsubscribe": "shards",
}
"""First element of a confirmation, and what it counts."""


def text(word: bytes) -> str:
    """As people write it; bytes that are not UTF-8 survive as surrogates."""
    return word.decode("utf-8", "surrogateescape")


@dataclass(slots=True)
class RequestHead(Head):
    """A command. `words` are those that end within HEAD_BYTES; `whole`: they are all of them."""

    words: Sequence[bytes] = ()
    whole: bool = True
    in_transaction: bool = False
    effect: Effect | None = None
    database: bytes = b"0"
    resp: int = 2
    transaction: int = 0
    """0 until it is forwarded; then the number of the transaction it belongs to, else -1."""

    def value(self, name: str) -> Any:
        if name == "command":
            return self.command or None
        if name == "key":
            found = [text(key) for key in keys_of(self.command, self.words)]
            return None if not found else found[0] if len(found) == 1 else tuple(found)
        if name == "args":
            return text(b" ".join(self.words[1:]))
        if name == "subcommand":
            return text(self.words[1]).upper() if len(self.words) > 1 else None
        if name == "in_transaction":
            return self.in_transaction
        if name == "blocking":
            return self.blocks()
        return None

    def blocks(self) -> bool:
        """Whether it may wait: BLPOP and its like, XREAD with BLOCK."""
        command = COMMANDS.get(self.command)
        if command is None or "b" not in command.flags:
            return False
        if not self.command.startswith("XREAD"):
            return True
        return any(word.upper() == b"BLOCK" for word in self.words[1:6])

    def identity(self) -> Hashable | None:
        command = COMMANDS.get(self.command)
        if command is None or "r" not in command.flags or not self.whole or self.in_transaction:
            return None
        return (self.database, self.resp, self.command, *self.words[1:])


@dataclass(slots=True)
class ReplyHead(Head):
    """A reply or a push. `command`: OK, PONG, NIL, INTEGER, BULK, ARRAY, MAP …, an error's word."""

    error: str | None = None

    def value(self, name: str) -> Any:
        if name == "error":
            return self.error
        if name == "reply":
            return "ERROR" if self.error else self.command
        return None


@dataclass(slots=True)
class Muting:
    """What CLIENT REPLY has made of the connection."""

    mode: int = REPLY_ON

    def replies(self, effect: Effect | None, queued: bool) -> bool:
        """Whether the next command is answered; `queued`: it stands in a transaction."""
        what = effect[0] if effect else ""
        if what == "reply" and not queued and effect:
            if effect[1] == "ON":
                self.mode = REPLY_ON
                return True
            always = effect[1] == "OFF" or self.mode == REPLY_OFF
            self.mode = REPLY_OFF if always else REPLY_SKIP
            return False
        muted = self.mode
        if muted == REPLY_SKIP or (muted and what == "reset"):
            self.mode = REPLY_ON
        if muted == REPLY_OFF and what == "reset":
            return True
        # Confirmations are sent whatever CLIENT REPLY says.
        return not muted or (what == "sub" and not queued)


@dataclass(slots=True)
class RedisSession(Session):
    """Facts of one connection.

    Attributes:
        resp: the protocol version that the server speaks, as of the last reply parsed.
        in_transaction: the server is between MULTI and EXEC, as of the last request forwarded.
        transactions: how many MULTIs have been forwarded.
        muting: what CLIENT REPLY has made of it.
        channels, patterns, shards: subscriptions, as confirmed.
        monitor: MONITOR is on. tunnel: PSYNC or SYNC: what follows is no RESP.
        expected: effects of requests forwarded and not yet answered, with their counts.
        queued: effects of commands queued in the transaction.
        addresses: replacements in MOVED and ASK.
    """

    addresses: Mapping[str, str] = field(default_factory=dict)
    resp: int = 2
    in_transaction: bool = False
    transactions: int = 0
    muting: Muting = field(default_factory=Muting)
    channels: int = 0
    patterns: int = 0
    shards: int = 0
    monitor: bool = False
    tunnel: bool = False
    expected: deque[list[Any]] = field(default_factory=deque)
    queued: list[Effect] = field(default_factory=list)
    opened: RequestHead | None = None
    """The MULTI that was parsed last, while no EXEC has been: the codec's view."""

    def forwarded(self, head: RequestHead) -> None:
        """The server will see this request."""
        effect = head.effect
        queued = self.in_transaction
        head.transaction = self.transactions if queued else -1
        if effect is None:
            if self.muting.mode:
                head.replies = self.muting.replies(None, queued) and head.replies
            return
        what = effect[0]
        if what == "sync":
            self.tunnel = True
            return
        head.replies = self.muting.replies(effect, queued)
        if what == "multi":
            self.transactions += not queued
            self.in_transaction = True
            head.transaction = self.transactions
        elif what in ("exec", "discard", "reset"):
            effect = (what, tuple(self.queued) if what == "exec" else ())
            self.leave_transaction()
        elif queued:
            self.queued.append(effect)
            effect = ("queued",)
        if head.framing is not SPECIAL:
            return
        if not head.replies:
            self.apply(effect)
        elif self.expected and self.expected[-1][0] == effect:
            self.expected[-1][1] += 1
        else:
            self.expected.append([effect, 1])

    def leave_transaction(self) -> None:
        """EXEC, DISCARD or RESET have gone to the server."""
        self.in_transaction = False
        self.queued = []

    def next_effect(self) -> Effect | None:
        """The effect of the request whose reply begins."""
        if not self.expected:
            return None
        first = self.expected[0]
        first[1] -= 1
        if not first[1]:
            self.expected.popleft()
        effect: Effect = first[0]
        return effect

    def apply(self, effect: Effect) -> None:
        """The server has done it."""
        what = effect[0]
        if what == "hello":
            self.resp = effect[1]
        elif what == "monitor":
            self.monitor = True
        elif what == "reset":
            self.resp = 2
            self.channels = self.patterns = self.shards = 0
            self.monitor = False

    def confirmed(self, kind: bytes, total: int) -> None:
        """A confirmation of (un)subscribing says how many subscriptions there are now."""
        which = CONFIRMATIONS[kind]
        if which == "shards":
            self.shards = total
        elif which == "channels":
            self.channels = max(0, total - self.patterns)
        else:
            self.patterns = max(0, total - self.channels)

    @property
    def subscribed(self) -> bool:
        """Messages may come between replies."""
        return bool(self.channels or self.patterns or self.shards)

    def confirmations(self, kind: bytes, count: int) -> int:
        """How many confirmations answer a request; 0 channels named: all that there are."""
        return count or max(1, int(getattr(self, CONFIRMATIONS[kind])))
