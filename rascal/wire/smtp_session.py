"""What both directions of an SMTP connection know, and the heads of its messages.

Three commands make the client wait for their reply before anybody can tell what its next bytes
are: DATA (354: the message), AUTH (334: a line of the dialogue), STARTTLS (220: TLS). The request
codec waits for their `verdict`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from rascal.wire.types import Head, Session

DATA, AUTH, STARTTLS, HELLO, RESET, MESSAGE = (
    "data",
    "auth",
    "starttls",
    "hello",
    "reset",
    "message",
)
"""Framings of requests, beside ("mail", sender) and ("rcpt", recipient); None: one reply."""
PIVOTS = frozenset((DATA, AUTH, STARTTLS))
"""Their replies say what the client's next bytes are."""

MOST_RECIPIENTS = 1000
"""Recipients of one message that matches can see."""

BLIND = (
    "the client has chosen TLS (STARTTLS); its messages cannot be seen: only faults on connections"
    " and bytes strike"
)


def text(word: bytes) -> str:
    """As people write it; bytes that are not UTF-8 survive as surrogates."""
    return word.decode("utf-8", "surrogateescape")


@dataclass(slots=True)
class RequestHead(Head):
    """A command, a line of an AUTH dialogue, or a message (MESSAGE).

    Attributes:
        argument: what stands behind the command; of AUTH the mechanism alone.
        sender, recipients: of the mail that it belongs to, as far as the client has named them;
            of MESSAGE those that the server has accepted.
        recipient: of RCPT.
        size: the mail's announced size, of BDAT the chunk's.
        last: BDAT LAST.
        dialogue: a line of an AUTH dialogue.
        sent: the server will see it.
    """

    argument: bytes = b""
    sender: bytes | None = None
    recipient: bytes | None = None
    recipients: tuple[bytes, ...] = ()
    size: int | None = None
    last: bool = False
    dialogue: bool = False
    sent: bool = False

    def value(self, name: str) -> Any:
        if name == "command":
            return self.command or None
        if name == "argument":
            return text(self.argument) or None
        if name == "sender":
            return None if self.sender is None else text(self.sender)
        if name == "recipient":
            if self.recipient is not None:
                return text(self.recipient)
            found = tuple(text(one) for one in self.recipients)
            return None if not found else found[0] if len(found) == 1 else found
        if name == "size":
            return self.size
        return None


@dataclass(slots=True)
class ReplyHead(Head):
    """A reply. `command` is its code as text; `hello`: a whole 250 to EHLO, in one piece."""

    status: int = 0
    enhanced: str = ""
    text: str = ""
    hello: bool = False

    def value(self, name: str) -> Any:
        if name == "status":
            return self.status
        if name == "enhanced":
            return self.enhanced or None
        if name == "text":
            return self.text or None
        return None


@dataclass(slots=True)
class SMTPSession(Session):
    """Facts of one connection.

    Attributes:
        negotiate: STARTTLS is taken out of the reply to EHLO.
        host: the server's name, as it greeted.
        lmtp: the client has said LHLO: a message gets a reply for each recipient.
        verdict: the code of the reply to the request that the client waits for; 0: the proxy has
            answered it; None: none has come.
        stalled: bytes are kept back until that verdict comes.
        sender, recipients, accepted: what the server has accepted for the mail under way.
    """

    negotiate: bool = True
    host: str = ""
    lmtp: bool = False
    verdict: int | None = None
    stalled: bool = False
    sender: bytes | None = None
    recipients: list[bytes] = field(default_factory=list)
    accepted: int = 0

    def forwarded(self, head: RequestHead) -> None:
        """The server will see this request."""
        head.sent = True
        if head.command == "LHLO":
            self.lmtp = True

    def replied(self, framing: Hashable, status: int) -> None:
        """A reply to a request of this framing begins."""
        if framing in PIVOTS:
            self.verdict = status
        elif status >= 400:
            return
        elif isinstance(framing, tuple):
            what, address = framing
            if what == "mail":
                self.clear()
                self.sender = address
            else:
                self.accepted += 1
                if len(self.recipients) < MOST_RECIPIENTS:
                    self.recipients.append(address)
        elif framing in (RESET, HELLO):
            self.clear()

    def clear(self) -> None:
        """No mail is under way."""
        self.sender = None
        self.recipients = []
        self.accepted = 0
