"""A protocol of the simulation's own that has everything a protocol can have, in little.

    frame:    type (1)  sequence id (1)  length (2, big-endian)  payload
    request:  Q query  N noreply  L log-in  R rollback            sequence id 0; key = payload[:2]
    reply:    G greeting (id 0)  O ok  X error  H header, r rows …, E end     ids 1, 2, 3 …
              W working, an interim reply (id 0)   P push (id 0)

The server greets. The head of a request is known after its type and key, the rest streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rascal.errors import ProtocolError
from rascal.options import Options
from rascal.wire.types import (
    COMMON_FIELDS,
    Answer,
    Buffer,
    Codec,
    ErrorCall,
    ErrorSpec,
    Field,
    Head,
    Ledger,
    Piece,
    Session,
    WireProtocol,
    skim_requests,
)

COMMANDS = {"Q": "QUERY", "N": "NOREPLY", "L": "LOGIN", "R": "ROLLBACK"}
REPLIES = {"G": "GREETING", "O": "OK", "X": "ERROR", "H": "ROWS", "W": "WORKING", "P": "PUSH"}
KEY = 2


def frame(kind: str, seq: int, payload: bytes) -> bytes:
    """One frame."""
    return kind.encode() + bytes((seq & 255,)) + len(payload).to_bytes(2, "big") + payload


ROLLBACK = frame("R", 0, b"")


@dataclass(slots=True)
class ToyHead(Head):
    key: bytes = b""

    def identity(self) -> Any:
        return self.key if self.command == "QUERY" else None


class _Frames(Codec):
    """Cuts frames; the subclass says what they are."""

    def __init__(self) -> None:
        self.buffer = b""
        self.left = 0  # payload bytes to come of the frame under way
        self.last = False  # it is the last of its message
        self.aside = False  # it answers nothing

    def undecided(self) -> bytes:
        return self.buffer

    def feed(self, data: Buffer) -> Iterator[Piece]:
        self.buffer += bytes(data)
        while self.buffer:
            if self.left:
                taken = self.buffer[: self.left]
                self.buffer = self.buffer[len(taken) :]
                self.left -= len(taken)
                yield Piece(taken, None, False, self.last and not self.left)
                continue
            size = int.from_bytes(self.buffer[2:4], "big")
            known = 4 + min(size, KEY)
            if len(self.buffer) >= 1 and chr(self.buffer[0]) not in self.kinds():
                raise ProtocolError("not a frame of the toy")
            if len(self.buffer) < 4 or len(self.buffer) < known:
                return
            taken, rest = self.buffer[:known], self.buffer[known:]
            piece = self.piece(chr(taken[0]), taken[1], taken, size - known + 4)
            self.buffer = rest
            yield piece

    def under_way(self) -> Literal["", "message", "aside"]:
        if not self.left and not getattr(self, "rows", False):
            return ""
        return "aside" if self.aside else "message"

    def kinds(self) -> str:
        raise NotImplementedError

    def piece(self, kind: str, seq: int, data: bytes, left: int) -> Piece:
        raise NotImplementedError


class ToyRequests(_Frames):
    def __init__(self, protocol: Toy, session: Any, ledger: Ledger) -> None:
        super().__init__()
        self.protocol, self.session, self.ledger = protocol, session, ledger

    def kinds(self) -> str:
        return "QNLR"

    def piece(self, kind: str, seq: int, data: bytes, left: int) -> Piece:
        self.left, self.last = left, True
        head = ToyHead(
            COMMANDS[kind],
            replies=kind != "N",
            asked=kind != "L",
            framing=kind if kind == "L" else None,
            key=data[4:],
        )
        return Piece(data, head, False, not left)

    def skim(self, data: Buffer) -> None:
        skim_requests(self, self.protocol, self.session, self.ledger, data)


class ToyReplies(_Frames):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger
        self.rows = False

    def kinds(self) -> str:
        return "rE" if self.rows else "GOXHWP"

    def piece(self, kind: str, seq: int, data: bytes, left: int) -> Piece:
        self.left = left
        if self.rows:
            self.last = kind == "E"
            self.rows = not self.last
            return Piece(data, None, kind == "r", self.last and not left, seq)
        if kind not in "PW":
            try:
                self.ledger.framing()
            except LookupError:
                raise ProtocolError("a reply to nothing") from None
        self.rows = kind == "H"
        self.last = not self.rows
        self.aside = kind in "PW"
        head = ToyHead(REPLIES[kind], push=kind == "P", interim=kind == "W")
        return Piece(data, head, False, self.last and not left, seq)

    def skim(self, data: Buffer) -> None:
        for piece in self.feed(data):
            if piece.end and not self.aside:
                self.ledger.replied()


class Toy(WireProtocol):
    name = "toy"
    title = "Toy"
    greets = True
    part = "rows"
    fields = (
        *COMMON_FIELDS,
        Field("command", "word", "QUERY, NOREPLY, LOGIN", folded=True),
        Field("key", "text", "the first two bytes"),
        Field("reply", "word", "OK, ERROR, ROWS", "reply", True),
    )
    errors = {
        spec.name: spec
        for spec in (
            ErrorSpec("busy", "1", "busy", "a test", moments=("connect", "request", "reply")),
            ErrorSpec("deadlock", "2", "deadlock", "a test", rolls_back=True),
            ErrorSpec("gone", "3", "gone", "a test", closes=True),
        )
    }

    def session(self, options: Options) -> Session:
        return Session()

    def codecs(self, session: Any, ledger: Ledger) -> tuple[Codec, Codec]:
        return ToyRequests(self, session, ledger), ToyReplies(ledger)

    def answer(self, session: Any, head: Head, call: ErrorCall) -> Answer:
        seq = 0 if head.command == "CONNECT" else 1
        own = ((ToyHead("ROLLBACK", asked=False), ROLLBACK),) if call.spec.rolls_back else ()
        return Answer(
            frame("X", seq, (call.text or call.spec.text).encode()), own, call.spec.closes
        )

    def terminate(self, session: Any, head: Head, mark: int, call: ErrorCall | None) -> bytes:
        if call is None:
            return frame("E", mark, b"cut")
        return frame("X", mark, call.spec.text.encode())

    def empty(self, session: Any, head: Head) -> bytes | None:
        return frame("O", 1, b"nothing") if head.command == "QUERY" else None

    def replacement(self, session: Any, head: Head, options: Options) -> bytes | None:
        return frame("O", 1, b"replaced")


PROTOCOL = Toy()
