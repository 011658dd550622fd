r"""From client to server: command lines, chunks, messages.

    RCPT TO:<ann@example.org>\r\n           a line
    BDAT 5 LAST\r\nhello                    a line that announces so many bytes
    DATA\r\n  ──354──►  …\r\n.\r\n          the message: MESSAGE, an exchange of its own
    AUTH LOGIN\r\n  ──334──►  YW5u\r\n      lines of a dialogue: AUTH again

Lines are kept whole, at most HEAD_BYTES of them; messages and chunks stream. A message ends with
CRLF . CRLF and with nothing else, unless its DATA ended in a bare LF: then LF . LF will do, as
servers that take such lines see it. Dots that were doubled at the beginning of a line (RFC 5321
4.5.2) stay as they are.

A MESSAGE is never one piece: its head comes before its last byte, so that the proxy never answers
it as if the server did not wait for its end (WireProtocol.drops_safely).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from rascal.errors import LimitError, ProtocolError
from rascal.wire.smtp_session import (
    AUTH,
    BLIND,
    DATA,
    HELLO,
    MESSAGE,
    MOST_RECIPIENTS,
    RESET,
    STARTTLS,
    RequestHead,
    SMTPSession,
    text,
)
from rascal.wire.types import HEAD_BYTES, Buffer, Codec, Ledger, Piece, skim_requests

if TYPE_CHECKING:
    from rascal.wire.types import WireProtocol

VIEW_BYTES = 4096
"""Pieces from here on are views of the input, not copies."""
MOST_CHUNK = 1 << 40

END = b"\r\n.\r\n"
_BARE_END = re.compile(rb"\n\.\r?\n")
_PATH = re.compile(rb"(?i:FROM|TO):[ \t]*(?:<([^>]*)>|([^ \t]*))")
_SIZE = re.compile(rb"(?i: SIZE)=(\d{1,18})(?![^ \t])")
_ROUTE = re.compile(rb"@[^:]*:")
_CHUNK = re.compile(rb"(\d{1,18})(?:[ \t]+((?i:LAST)))?[ \t]*")
_PLAIN = re.compile(rb"[\t\r\n\x20-\x7e]")
_SESSION = frozenset(("EHLO", "HELO", "LHLO", "STARTTLS", "AUTH", "XCLIENT"))
"""What clients say to begin: these are not numbered."""

NOWHERE, CONTENT, CHUNK = 0, 1, 2


def address_of(argument: bytes) -> bytes | None:
    """The address in `FROM:<…>` or `TO:<…>`, without a source route; None: there is none."""
    found = _PATH.match(argument)
    if found is None:
        return None
    path: bytes = found[1] if found[1] is not None else found[2]
    return _ROUTE.sub(b"", path, count=1)[:1000]


class RequestCodec(Codec):
    """The client's direction.

    States: between messages · in a message (CONTENT), in a chunk (CHUNK, `body` bytes are to
    come) · waiting for the reply to `awaited`.
    """

    def __init__(self, protocol: WireProtocol, session: SMTPSession, ledger: Ledger) -> None:
        self.protocol = protocol
        self.session = session
        self.ledger = ledger
        self.data: Buffer = b""
        self.at = 0
        self.scan = 0  # offset in `data` before which there is no line end
        self.mode = NOWHERE
        self.body = 0
        self.tail = b""  # the last bytes of a message that have been handed out
        self.begun = False  # the head of the message under way is out
        self.bare = False  # lines end in LF alone
        self.awaited = ""  # the framing of the request that the client waits for
        self.dialogue = False  # the next line belongs to AUTH
        self.secret = False  # TLS has begun
        self.sender: bytes | None = None  # as the client has said, whatever came of it
        self.recipients: list[bytes] = []
        self.size: int | None = None

    def undecided(self) -> bytes:
        return bytes(self.data[self.at :])

    def under_way(self) -> Literal["", "message", "aside"]:
        return "message" if self.mode == CHUNK or (self.mode and self.begun) else ""

    # -- feed ----------------------------------------
    def feed(self, data: Buffer) -> Iterator[Piece]:
        left = self.data[self.at :]
        self.data = taken = bytes(left) + bytes(data) if left else bytes(data)
        self.scan = max(0, self.scan - self.at)
        self.at = 0
        size = len(taken)
        while True:
            if self.waiting and not self._decided(size):
                break
            if self.at >= size:
                break
            if self.secret:
                raise ProtocolError(BLIND)
            if self.mode == CONTENT:
                piece = self._content(taken, size)
            elif self.mode == CHUNK:
                piece = self._chunk(taken, size)
            else:
                found = self._line(taken, size)
                if found is None:
                    break
                piece = found
            yield piece
        if self.at:
            self.data = taken[self.at :]
            self.scan = max(0, self.scan - self.at)
            self.at = 0

    def skim(self, data: Buffer) -> None:
        skim_requests(self, self.protocol, self.session, self.ledger, data)

    # -- waiting ----------------------------------------
    def _await(self, framing: str) -> None:
        self.waiting = True
        self.awaited = framing
        self.session.verdict = None

    def _decided(self, size: int) -> bool:
        """Whether the reply has come that says what follows."""
        session = self.session
        verdict = session.verdict
        if verdict is None:
            if size - self.at > HEAD_BYTES:
                raise LimitError(f"too much behind {self.awaited.upper()} before its reply")
            session.stalled = size > self.at
            return False
        self.waiting = session.stalled = False
        session.verdict = None
        self.dialogue = self.awaited == AUTH and verdict == 334
        self.secret = self.awaited == STARTTLS and verdict == 220
        if self.awaited == DATA and 300 <= verdict < 400:
            self.mode = CONTENT
            self.begun = False
            self.tail = b"\r\n"
        return True

    # -- messages and chunks ----------------------------------------
    def _content(self, data: bytes, size: int) -> Piece:
        """More of the message, up to its end."""
        start = self.at
        window = self.tail + data[start:]
        shift = start - len(self.tail)
        if self.bare:
            found = _BARE_END.search(window)
            end = found.end() + shift if found else -1
        else:
            at = window.find(END)
            end = at + len(END) + shift if at >= 0 else -1
        head: RequestHead | None = None
        if not self.begun:
            head = self._message_head()
            self.begun = True
            if end >= 0:
                end -= 1  # its last byte is a piece of its own
                stop = end
                end = -1
            else:
                stop = size
        else:
            stop = end if end >= 0 else size
        self.tail = (self.tail + data[max(start, stop - 4) : stop])[-4:]
        self.at = self.scan = stop
        if end >= 0:
            self.mode = NOWHERE
            self._over()
        return Piece(_cut(data, start, stop), head, False, end >= 0)

    def _message_head(self) -> RequestHead:
        session = self.session
        return RequestHead(
            "MESSAGE",
            framing=MESSAGE,
            sender=session.sender,
            recipients=tuple(session.recipients),
            size=self.size,
        )

    def _chunk(self, data: bytes, size: int) -> Piece:
        start = self.at
        step = min(self.body, size - start)
        self.body -= step
        self.at = self.scan = start + step
        if not self.body:
            self.mode = NOWHERE
        return Piece(_cut(data, start, self.at), None, False, not self.body)

    def _over(self) -> None:
        """The mail is complete, or given up."""
        self.sender, self.recipients, self.size = None, [], None

    # -- lines ----------------------------------------
    def _line(self, data: bytes, size: int) -> Piece | None:
        """The next command; None: its line is not there yet."""
        start = self.at
        if _PLAIN.match(data, start) is None:
            raise ProtocolError("no SMTP command (TLS from the start?)")
        end = data.find(b"\n", max(start, self.scan), start + HEAD_BYTES) + 1
        if not end:
            if size - start >= HEAD_BYTES:
                raise LimitError("a line longer than 64 KiB")
            self.scan = size
            return None
        self.bare = data[end - 2 : end - 1] != b"\r" or end - start < 2
        line = data[start:end].rstrip(b"\r\n")
        head = self._dialogue() if self.dialogue else self._read(line)
        stop = end
        if head.command == "BDAT" and head.size is not None:
            stop = min(size, end + head.size)
            self.body = end + head.size - stop
            self.mode = CHUNK if self.body else NOWHERE
            if head.last:
                self._over()
        self.at = self.scan = stop
        return Piece(_cut(data, start, stop), head, False, not self.body)

    def _dialogue(self) -> RequestHead:
        self.dialogue = False
        self._await(AUTH)
        return RequestHead("AUTH", asked=False, framing=AUTH, dialogue=True)

    def _read(self, line: bytes) -> RequestHead:
        verb, _, argument = line.strip(b" \t").partition(b" ")
        command = text(verb.upper())
        head = RequestHead(command, argument=argument.strip(b" \t"))
        head.asked = command not in _SESSION
        if command == "MAIL":
            self._over()
            self.sender = address_of(head.argument)
            declared = _SIZE.search(head.argument)
            self.size = int(declared[1]) if declared else None
            head.framing = ("mail", self.sender)
        elif command == "RCPT":
            head.recipient = address_of(head.argument)
            if head.recipient is not None and len(self.recipients) < MOST_RECIPIENTS:
                self.recipients.append(head.recipient)
            head.framing = ("rcpt", head.recipient or b"")
        elif command in ("RSET", "EHLO", "HELO", "LHLO"):
            self._over()
            head.framing = RESET if command == "RSET" else HELLO
        elif command == "DATA":
            head.framing = DATA
            self._await(DATA)
        elif command == "BDAT":
            self._bdat(head)
            head.sender, head.recipients = self.sender, tuple(self.recipients)
            return head
        elif command == "AUTH":
            head.argument = head.argument.split(b" ")[0]
            head.framing = AUTH
            self._await(AUTH)
        elif command == "STARTTLS":
            head.framing = STARTTLS
            self._await(STARTTLS)
        if command in ("MAIL", "RCPT", "DATA"):
            head.sender, head.size = self.sender, self.size
            head.recipients = tuple(self.recipients) if command == "DATA" else ()
        return head

    def _bdat(self, head: RequestHead) -> None:
        found = _CHUNK.fullmatch(head.argument)
        if found is None:
            return
        head.size = int(found[1])
        if head.size > MOST_CHUNK:
            raise LimitError("a chunk longer than a terabyte")
        head.last = found[2] is not None
        if head.last:
            head.framing = MESSAGE


def _cut(data: bytes, start: int, end: int) -> Buffer:
    if end - start < VIEW_BYTES:
        return data[start:end]
    return memoryview(data)[start:end]
