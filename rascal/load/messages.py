"""What coordinator and agents say to each other through Redis, and how it arrives exactly once.

No I/O here: bytes in, bytes out. docs/decisions has why it is as it is.

    {ns}:agents              sorted set: instance -> when it was last heard (Redis' ms)
    {ns}:agent:{instance}    the beat of an agent: who it is, how it is, what it has heard (expires)
    {ns}:to:{instance}       stream: commands for it
    {ns}:pulse:{session}     the pulse of a coordinator: what it has heard of each agent (expires)
    {ns}:from:{session}      stream: what the agents of a run say, reports first of all
    {ns}:bundle:{session}    plan and files (expires)

An instance is one life of an agent process, a session one run of one coordinator; both are
random. Whatever goes over a stream has a number, kept by its sender until beat or pulse say that
it was heard, and sent again when that takes too long or Redis was lost. Its receiver takes the
next number and nothing else. So streams and keys may vanish at any time: nothing is lost that its
sender still has, and nothing counts twice.

Everything is sealed with the token that both sides share (HMAC-SHA256 over the place where it
stands, so that it is good for this session, instance and number only). Without a token it is
not sealed: both sides allow that only where Redis is on their own machine.
"""

from __future__ import annotations

import hmac
import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import attrs

from rascal.errors import CoordinationError

LAYOUT = 1
"""Of keys and messages; another one is not understood."""
BEAT_SECONDS = 0.5
LOST_SECONDS = 2.5
"""Nothing heard for so long: an agent is lost; from when on it checks whether it was itself."""
KEEP_MS = 5_000
"""How long beat and pulse outlive their writer."""
STREAM_MS = 120_000
STREAM_ENTRIES = 5_000
RESEND_SECONDS = 2.5
WINDOW = 128
"""Messages that are under way at most; those behind wait for a sign that they were heard."""
LARGEST_MESSAGE = 4 << 20
LARGEST_BEAT = 16 << 10
_MAC = 32


class Forged(CoordinationError):
    """A seal that is not right: another token, or somebody who has none."""


class Seal:
    """Seals and opens messages; `domain` keeps seals of one kind from standing for another's."""

    def __init__(self, token: str, domain: str = "message") -> None:
        self.signs = bool(token)
        salt = f"rascal {LAYOUT} {domain}".encode()
        self._key = hmac.digest(token.encode(), salt, "sha256") if token else b""

    def close(self, place: str, body: bytes) -> bytes:
        """The body with its seal for this place."""
        if not self.signs:
            return b"-" + body
        return b"+" + hmac.digest(self._key, _bound(place, body), "sha256") + body

    def open(self, place: str, sealed: bytes) -> bytes:
        """The body. Raises Forged if the seal is not ours for this place."""
        if not self.signs:
            if sealed[:1] != b"-":
                raise Forged("it is sealed with a token, and there is none here")
            return sealed[1:]
        if sealed[:1] != b"+":
            raise Forged("it is not sealed, and a token is set here")
        mac, body = sealed[1 : 1 + _MAC], sealed[1 + _MAC :]
        if not hmac.compare_digest(mac, hmac.digest(self._key, _bound(place, body), "sha256")):
            raise Forged("it is sealed with another token")
        return body

    @staticmethod
    def peek(sealed: bytes) -> bytes:
        """The body, whoever wrote it: to be shown, not to be believed."""
        return sealed[1 + _MAC :] if sealed[:1] == b"+" else sealed[1:]


def _bound(place: str, body: bytes) -> bytes:
    head = place.encode()
    return len(head).to_bytes(4, "big") + head + body


@attrs.frozen
class Keys:
    """The names in Redis."""

    namespace: str = "rascal"

    @property
    def agents(self) -> str:
        """The sorted set of agents."""
        return f"{self.namespace}:agents"

    def beat(self, instance: str) -> str:
        """The beat of an agent."""
        return f"{self.namespace}:agent:{instance}"

    def to(self, instance: str) -> str:
        """The stream of its commands."""
        return f"{self.namespace}:to:{instance}"

    def pulse(self, session: str) -> str:
        """The pulse of a coordinator."""
        return f"{self.namespace}:pulse:{session}"

    def source(self, session: str) -> str:
        """The stream of what its agents say."""
        return f"{self.namespace}:from:{session}"

    def bundle(self, session: str) -> str:
        """Plan and files."""
        return f"{self.namespace}:bundle:{session}"


@attrs.frozen
class Message:
    """One thing said: its kind, plain JSON, and bytes (a report)."""

    kind: str
    data: Mapping[str, Any] = attrs.Factory(dict)
    payload: bytes = b""

    def encode(self) -> bytes:
        """As bytes."""
        return dumps({"kind": self.kind, **self.data}) + b"\n" + self.payload

    @classmethod
    def decode(cls, body: bytes) -> Message:
        """Of bytes. Raises CoordinationError."""
        if len(body) > LARGEST_MESSAGE:
            raise CoordinationError(f"a message has {len(body)} bytes")
        head, _, payload = body.partition(b"\n")
        data = loads(head)
        kind = data.pop("kind", None)
        if not isinstance(kind, str):
            raise CoordinationError("a message has no kind")
        return cls(kind, data, payload)


def dumps(data: Mapping[str, Any]) -> bytes:
    """Canonical JSON."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def loads(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises CoordinationError."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CoordinationError("a message is not JSON") from error
    if not isinstance(found, dict):
        raise CoordinationError("a message is not a JSON object")
    return found


class Outbox:
    """Messages on their way to one receiver, kept until they were heard.

    Bounded: when it holds too much, the oldest reports in it are dropped, an empty message
    ("gone") in place of each, so that numbers go on and the receiver can say what was lost.
    """

    def __init__(self, entries: int = 2_000, size: int = 64 << 20) -> None:
        self.entries = entries
        self.size = size
        self.number = 0
        """Of the next message."""
        self.heard = 0
        """All below were heard."""
        self.gone = 0
        """Reports that were dropped."""
        self._kept: deque[tuple[str, bytes]] = deque()
        self._held = 0
        self._reports = 0
        self._sent = 0
        self._progress = 0.0

    @property
    def empty(self) -> bool:
        """Whether all was heard."""
        return not self._kept

    def put(self, message: Message) -> int:
        """Keep a message to be sent; its number."""
        body = message.encode()
        self._kept.append((message.kind, body))
        self._held += len(body)
        self._reports += message.kind == "report"
        self.number += 1
        if self._reports > self.entries or self._held > self.size:
            self._drop()
        return self.number - 1

    def _drop(self) -> None:
        for at, (kind, body) in enumerate(self._kept):
            if self._reports <= self.entries and self._held <= self.size:
                return
            if kind == "report" and at < len(self._kept) - 1:
                empty = Message("gone").encode()
                self._kept[at] = ("gone", empty)
                self._held += len(empty) - len(body)
                self._reports -= 1
                self.gone += 1

    def take(self, now: float) -> list[tuple[int, bytes]]:
        """What is to be sent now, with numbers."""
        if self._sent > self.heard and now - self._progress > RESEND_SECONDS:
            self.again()
        until = min(self.heard + WINDOW, self.number)
        if self._sent == self.heard < until:
            self._progress = now
        found = [
            (number, self._kept[number - self.heard][1]) for number in range(self._sent, until)
        ]
        self._sent = max(self._sent, until)
        return found

    def again(self) -> None:
        """Send everything again that was not heard: Redis was lost."""
        self._sent = self.heard

    def hear(self, heard: int, now: float) -> None:
        """The receiver has everything below `heard`."""
        heard = min(heard, self.number)
        if heard <= self.heard:
            return
        self._progress = now
        while self.heard < heard:
            kind, body = self._kept.popleft()
            self._held -= len(body)
            self._reports -= kind == "report"
            self.heard += 1
        self._sent = max(self._sent, self.heard)


class Inbox:
    """Takes each message once and in order; one behind a gap is sent again in time."""

    def __init__(self) -> None:
        self.heard = 0

    def take(self, number: int) -> bool:
        """Whether this is the next one."""
        if number != self.heard:
            return False
        self.heard += 1
        return True


def place(way: str, session: str, instance: str, number: int) -> str:
    """What the seal of a message is good for; `way` is "to" or "from" the agent."""
    return f"{way}|{session}|{instance}|{number}"


def add_words(
    key: str, seal: Seal, way: str, session: str, instance: str, item: tuple[int, bytes]
) -> tuple[Any, ...]:
    """The XADD of one message."""
    number, body = item
    sealed = seal.close(place(way, session, instance, number), body)
    head = ("XADD", key, "MAXLEN", "~", STREAM_ENTRIES, "*")
    return (*head, "s", session, "i", instance, "n", number, "m", sealed)


@attrs.frozen
class Entry:
    """One entry of a stream: sealed still."""

    id: bytes
    session: str
    instance: str
    number: int
    sealed: bytes

    def open(self, seal: Seal, way: str) -> Message:
        """The message. Raises Forged or CoordinationError."""
        where = place(way, self.session, self.instance, self.number)
        return Message.decode(seal.open(where, self.sealed))


def entries(reply: Any) -> list[Entry]:
    """The entries of an XREAD of one stream; what is not ours is left out."""
    found = []
    for _, items in reply or ():
        for id_, fields in items:
            named = dict(zip(fields[::2], fields[1::2], strict=False)) if fields else {}
            try:
                entry = Entry(
                    id_,
                    named[b"s"].decode("ascii"),
                    named[b"i"].decode("ascii"),
                    int(named[b"n"]),
                    named[b"m"],
                )
            except (KeyError, ValueError):
                entry = Entry(id_, "", "", -1, b"")
            found.append(entry)
    return found
