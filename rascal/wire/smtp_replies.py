r"""From server to client: the greeting and replies of one or more lines.

    250-mx.example.org\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n

A part is a line. Of LMTP the reply to a message is as many replies as it has accepted recipients,
here one message. What the server says unasked (421 before it closes) is an aside.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Literal

from rascal.errors import LimitError, ProtocolError
from rascal.wire.smtp_session import (
    AUTH,
    DATA,
    HELLO,
    MESSAGE,
    STARTTLS,
    ReplyHead,
    SMTPSession,
    text,
)
from rascal.wire.types import HEAD_BYTES, Buffer, Codec, Ledger, Piece, skim_replies

_LINE = re.compile(rb"([0-9]{3})(?:([ -])(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![^ ]))?(.*))?", re.S)


class ReplyCodec(Codec):
    """The server's direction. `left`: replies that the message under way still has."""

    def __init__(self, session: SMTPSession, ledger: Ledger) -> None:
        self.session = session
        self.ledger = ledger
        self.data = b""
        self.at = 0
        self.scan = 0
        self.left = 0
        self.counts = False
        self.framing: Hashable = None
        self.skimming = [False]

    def undecided(self) -> bytes:
        return self.data[self.at :]

    def under_way(self) -> Literal["", "message", "aside"]:
        if not self.left:
            return ""
        return "message" if self.counts else "aside"

    def feed(self, data: Buffer) -> Iterator[Piece]:
        self.data = self.data[self.at :] + bytes(data)
        self.scan = max(0, self.scan - self.at)
        self.at = 0
        while self.at < len(self.data):
            piece = self._next(self.data)
            if piece is None:
                break
            yield piece
        if self.at:
            self.data = self.data[self.at :]
            self.scan = max(0, self.scan - self.at)
            self.at = 0

    def skim(self, data: Buffer) -> None:
        skim_replies(self, self.ledger, data, self.skimming)

    def _next(self, data: bytes) -> Piece | None:
        """A line; of what EHLO is told all of them."""
        start = self.at
        end = self._line_end(data, max(start, self.scan), start)
        if not end:
            self.scan = len(data)
            return None
        found = _LINE.fullmatch(data[start:end].rstrip(b"\r\n"))
        if found is None:
            raise ProtocolError(f"no reply of SMTP: {data[start : start + 40]!r}")
        head: ReplyHead | None = None
        last = found[2] != b"-"
        if not self.left:
            self._expect()
            head = self._head(found)
            if head.hello and not last:
                whole = self._whole(data, end)
                if not whole:
                    return None
                end, last = whole, True
            self._begin(head)
        mark = int(found[1])
        if last:
            self.left -= 1
            if not self.left and self.framing == MESSAGE and self.counts:
                self.session.clear()
        self.at = self.scan = end
        return Piece(data[start:end], head, True, not self.left, mark)

    def _line_end(self, data: bytes, scan: int, start: int) -> int:
        """Behind the line that begins at `start`; 0: it is not there yet."""
        end = data.find(b"\n", scan, start + HEAD_BYTES) + 1
        if not end and len(data) - start >= HEAD_BYTES:
            raise LimitError("a line longer than 64 KiB")
        return end

    def _whole(self, data: bytes, at: int) -> int:
        """Behind a reply of several lines, of which the one before `at` was not the last."""
        start = self.at
        while True:
            end = self._line_end(data, at, start)
            if not end:
                return 0
            if data[at + 3 : at + 4] != b"-":
                return end
            at = end

    def _expect(self) -> None:
        """Which request is answered."""
        self.counts = True
        self.framing = None
        try:
            self.framing = self.ledger.framing()
        except LookupError:
            if self.session.stalled:
                # It answers what was kept back (and had left already) behind DATA, AUTH, STARTTLS.
                raise ProtocolError("a reply to a request behind one that must wait") from None
            self.counts = False

    def _head(self, found: re.Match[bytes]) -> ReplyHead:
        status = int(found[1])
        said = text((found[4] or b"").strip())
        head = ReplyHead(text(found[1]), push=not self.counts, status=status, text=said)
        head.enhanced = text(found[3] or b"")
        head.pivot = (self.framing, status) in ((DATA, 354), (AUTH, 334), (STARTTLS, 220))
        head.hello = self.framing == HELLO and status == 250 and self.session.negotiate
        return head

    def _begin(self, head: ReplyHead) -> None:
        session = self.session
        if not session.host:
            session.host = head.text.split(" ")[0][:255] or "localhost"
        self.left = 1
        if not self.counts:
            return
        if self.framing == MESSAGE and session.lmtp:
            self.left = max(1, session.accepted)
        session.replied(self.framing, head.status)


def without_starttls(reply: bytes) -> bytes | None:
    """A reply to EHLO without the line STARTTLS; None: there is none."""
    lines = reply.splitlines(keepends=True)
    kept = [lines[0], *(line for line in lines[1:] if line[4:].strip().upper() != b"STARTTLS")]
    if len(kept) == len(lines):
        return None
    kept = [line[:3] + b"-" + line[4:] for line in kept]
    kept[-1] = kept[-1][:3] + b" " + kept[-1][4:]
    return b"".join(kept)
