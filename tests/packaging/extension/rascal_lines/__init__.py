"""Lines: a request is a line, its reply a line.

The first word of a request is its command. A protocol and a kind that a third party brings: this
is all that it writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from rascal.errors import LimitError
from rascal.faults.types import Act, Draw, Edit, Kind
from rascal.options import Option, Options, OptionTable
from rascal.wire.types import (
    COMMON_FIELDS,
    HEAD_BYTES,
    Answer,
    Buffer,
    Codec,
    ErrorCall,
    ErrorSpec,
    Field,
    Head,
    Ledger,
    Moment,
    Piece,
    WireProtocol,
    skim_replies,
    skim_requests,
)


@dataclass(slots=True)
class Line(Head):
    """What is known of a line."""

    text: str = ""


class LineCodec(Codec):
    """Cuts at line ends."""

    def __init__(self, ledger: Ledger, session: Any = None) -> None:
        self.ledger = ledger
        self.session = session
        self.rest = b""
        self.counts = [False]

    def feed(self, data: Buffer) -> Iterator[Piece]:
        self.rest += bytes(data)
        while b"\n" in self.rest:
            line, _, self.rest = self.rest.partition(b"\n")
            text = line.decode(errors="replace").strip()
            head = Line(command=text.partition(" ")[0].upper(), text=text)
            yield Piece(line + b"\n", start=head, end=True)
        if len(self.rest) > HEAD_BYTES:
            raise LimitError("a line has no end")

    def undecided(self) -> bytes:
        return self.rest

    def under_way(self) -> Literal["", "message", "aside"]:
        return ""

    def skim(self, data: Buffer) -> None:
        if self.session is None:
            skim_replies(self, self.ledger, data, self.counts)
        else:
            skim_requests(self, PROTOCOL, self.session, self.ledger, data)


class Lines(WireProtocol):
    """The protocol."""

    name = "lines"
    title = "Lines"
    fields = (
        *COMMON_FIELDS,
        Field("command", "word", "the first word", folded=True),
        Field("text", "text", "the whole line"),
    )
    errors: ClassVar = {
        "busy": ErrorSpec("busy", "ERR", "ERR busy", "the server has too much to do")
    }

    def codecs(self, session: Any, ledger: Ledger) -> tuple[Codec, Codec]:
        return LineCodec(ledger, session), LineCodec(ledger)

    def answer(self, session: Any, head: Head, call: ErrorCall) -> Answer:
        return Answer((call.text or call.spec.text).encode() + b"\n")


class Yell(Kind):
    """The reply in capitals."""

    name = "yell"
    summary = "The reply comes in capitals."
    faithful = "As a server whose operator pressed the wrong key."
    options = OptionTable(Option("mark", "text", "what stands at its end", default="!"))
    moments: ClassVar[tuple[Moment, ...]] = ("reply",)
    protocols = ("lines",)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        mark = options.mark.encode()
        return Edit(lambda _, reply: reply.rstrip(b"\n").upper() + mark + b"\n", 65536)


PROTOCOL = Lines()
