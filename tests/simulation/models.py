"""What the world's clients say and its servers answer: the common part, the toy and plain tcp.

A model is one connection's client and server, written without the codecs of the product. The
world moves the bytes; the model makes requests, splits what reached the server, answers, and
reads what reached the client strictly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.simulation import toy


class Violation(AssertionError):
    """Somebody got bytes that are not the protocol."""


@dataclass(slots=True)
class Request:
    """A message of the client. `waits`: so many messages must have reached the client before."""

    data: bytes
    command: str = ""
    asked: bool = True
    waits: int = 0
    key: bytes = b""
    replies: bool = True


@dataclass(slots=True)
class Reply:
    """What the server says.

    Attributes:
        request: which of the client's requests it answers; None: of the proxy's own.
        parts: offsets where a row, item, chunk begins.
        what: reply, interim or push. again: to a request that came twice.
        closes: the server closes after it.
    """

    data: bytes
    request: int | None = None
    parts: tuple[int, ...] = ()
    what: str = "reply"
    again: bool = False
    closes: bool = False


class Model:
    """Client and server of one connection."""

    name = ""
    greets = False
    pipelines = True
    """Whether clients of this protocol may send without waiting."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.requests: list[Request] = []
        self.index: dict[bytes, int] = {}
        self.seen: list[tuple[bytes, int | None]] = []
        """What reached the server: the message, and which request it is (None: a stranger)."""
        self.messages = 0
        """Replies (not pushes) that the client has read to their end."""
        self.buffer = bytearray()
        self.heard = bytearray()
        self.serial = 0
        self.largest = 0
        self.broken = False
        """The server got something that is not its protocol."""

    # -- the client --------------------------------------------------------------------------------
    def next(self) -> Request:
        """One more request."""
        number = len(self.requests)
        request = self.make(number)
        assert request.data not in self.index, request.data
        self.index[request.data] = number
        self.requests.append(request)
        self.largest = max(self.largest, len(request.data))
        return request

    def make(self, number: int) -> Request:
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether the client may speak at all: it was greeted, it has logged in."""
        return not self.greets or bool(self.messages)

    def idle(self) -> bool:
        """For clients that do not pipeline: whether the next request may go."""
        return True

    def quiet(self) -> Callable[[Request], bool]:
        """Asked of each request that is forwarded, in order: whether it gets no reply."""
        return lambda request: not request.replies

    def may_be_silent(self, request: Request) -> bool:
        """Whether the server may do it without a word, so that only what follows tells."""
        return False

    def hear(self, data: bytes) -> None:
        """The client reads. Raises Violation if it is no well-formed stream of replies."""
        self.heard += data

    # -- the server --------------------------------------------------------------------------------
    def greeting(self) -> list[Reply]:
        return []

    def serve(self, data: bytes) -> Iterator[Reply]:
        """The server reads, and answers every whole request."""
        if self.broken:
            return
        self.buffer += data
        while self.buffer and not self.broken:
            size = self.split(self.buffer)
            if not size:
                return
            raw = bytes(self.buffer[:size])
            del self.buffer[:size]
            number = self.index.get(raw)
            again = any(number == n for _, n in self.seen) if number is not None else False
            self.seen.append((raw, number))
            self.serial += 1
            for reply in self.answer(raw):
                if reply.what != "push":
                    reply.request, reply.again = number, again
                yield reply

    def split(self, buffer: bytearray) -> int:
        """The length of the first request; 0: it is not all there."""
        raise NotImplementedError

    def answer(self, raw: bytes) -> list[Reply]:
        raise NotImplementedError

    def push(self) -> Reply | None:
        """A message that belongs to no request."""
        return None

    def closing(self) -> bytes:
        """Behind FIN of the client: what ends a reply that only EOF ends."""
        return b""

    bulky = False

    def pad(self, large: int = 3000) -> bytes:
        """Filling: mostly little."""
        r = self.rng
        k = r.random()
        if self.bulky and k < 0.5:
            return b"y" * r.randrange(large)
        if k < 0.5:
            return b""
        return b"x" * (r.randrange(40) if k < 0.9 else r.randrange(large))


class TcpModel(Model):
    """Bytes, in no messages."""

    name = "tcp"

    def make(self, number: int) -> Request:
        return Request(b"<%d %d>" % (number, self.rng.randrange(1000)) + self.pad())

    def split(self, buffer: bytearray) -> int:
        return len(buffer)

    def answer(self, raw: bytes) -> list[Reply]:
        if self.rng.random() < 0.3:
            return []
        return [Reply(b"{%d}" % self.serial + raw[: self.rng.randrange(40)] + self.pad(8000))]

    def push(self) -> Reply | None:
        self.serial += 1
        return Reply(b"[%d]" % self.serial, what="push")


class ToyModel(Model):
    """See toy.py."""

    name = "toy"
    greets = True

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.seq = 0
        self.rows = False
        self.started = False

    def greeting(self) -> list[Reply]:
        return [Reply(toy.frame("G", 0, b"hello"))]

    def make(self, number: int) -> Request:
        r = self.rng
        key = b"k%d" % r.randrange(4)
        body = key + b"#%d#" % number + self.pad()
        if number == 0:
            return Request(toy.frame("L", 0, body), "LOGIN", False, 1, key)
        kind = r.choice("QQQQQN")
        return Request(toy.frame(kind, 0, body), toy.COMMANDS[kind], key=key, replies=kind != "N")

    def split(self, buffer: bytearray) -> int:
        if len(buffer) < 4:
            return 0
        if chr(buffer[0]) not in toy.COMMANDS:
            self.broken = True
            return 0
        size = 4 + int.from_bytes(buffer[2:4], "big")
        return size if len(buffer) >= size else 0

    def answer(self, raw: bytes) -> list[Reply]:
        r, kind = self.rng, chr(raw[0])
        mark = b"%d:" % self.serial + raw[4:10]
        if kind == "N":
            return []
        if kind in "LR":
            return [Reply(toy.frame("O", 1, mark))]
        found = []
        if r.random() < 0.1:
            found.append(Reply(toy.frame("W", 0, mark), what="interim"))
        k = r.random()
        if k < 0.3:
            found.append(Reply(toy.frame("O", 1, mark + self.pad())))
        elif k < 0.4:
            found.append(Reply(toy.frame("X", 1, b"own " + mark)))
        else:
            data, parts = toy.frame("H", 1, mark), []
            for n in range(r.choice((0, 1, 2, 5, 20))):
                parts.append(len(data))
                data += toy.frame("r", 2 + n, mark + self.pad(300))
            data += toy.frame("E", 2 + len(parts), b"")
            found.append(Reply(data, parts=tuple(parts)))
        return found

    def push(self) -> Reply | None:
        self.serial += 1
        return Reply(toy.frame("P", 0, b"push %d" % self.serial + self.pad(600)), what="push")

    def hear(self, data: bytes) -> None:
        """Sequence ids go on without a gap; nothing follows but what may."""
        self.heard += data
        buffer = self.heard
        while len(buffer) >= 4:
            kind, seq, size = chr(buffer[0]), buffer[1], int.from_bytes(buffer[2:4], "big")
            if len(buffer) < 4 + size:
                return
            del buffer[: 4 + size]
            if kind in "PW" and not self.rows:
                continue
            if self.rows:
                if kind not in "rEX" or seq != self.seq + 1 & 255:
                    raise Violation(f"{kind}{seq} behind {self.seq} inside rows")
                self.seq = seq
                self.rows = kind == "r"
            else:
                want = 0 if not self.started else 1
                if kind not in ("GX" if not self.started else "OXH") or seq != want:
                    raise Violation(f"{kind}{seq} where a reply begins")
                self.started = True
                self.seq, self.rows = seq, kind == "H"
            self.messages += not self.rows


def plain_toy(subject: object) -> bytes:
    """A legal reply to anything, for faults that replace."""
    head = subject.head  # type: ignore[attr-defined]
    if head.command == "CONNECT":
        return toy.frame("G", 0, b"replaced")
    return toy.frame("O", 1, b"replaced")


def plain_redis(subject: object) -> bytes:
    return b"+replaced\r\n"


def plain_memcached(subject: object) -> bytes:
    return b"SERVER_ERROR replaced\r\n"


def plain_http(subject: object) -> bytes:
    return b"HTTP/1.1 204 No Content\r\nX-Replaced: 1\r\n\r\n"
