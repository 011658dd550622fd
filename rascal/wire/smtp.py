"""SMTP and LMTP: pipelines, chunks, AUTH dialogues.

The server greets: the connection itself is exchange 0, CONNECT, its reply the greeting. A command
with its reply is an exchange. DATA is one, answered by 354; the message that follows it, up to the
final dot, is another: MESSAGE. So `lose_reply match command=MESSAGE` is the final dot that was
accepted and never acknowledged, after which clients send the mail twice, and
`lose_request match command=MESSAGE` a connection that breaks while the message is sent.

`sender` and `recipient` are known of MAIL, RCPT, DATA, BDAT and MESSAGE: a fault can strike the
message to one address. EHLO, HELO, LHLO, STARTTLS and AUTH (each line of its dialogue) are what
clients say when they connect: they are not numbered, and only faults whose match names the command
are asked.

A server that has said 354 waits for the message whatever happens. Where MESSAGE is answered
instead of sent on (`error` or `replace` at request), the connection ends behind the answer and the
server forgets the mail; at reply it has taken the mail, and the connection goes on.

STARTTLS hides messages. `negotiate` (on unless said otherwise) takes it out of the reply to EHLO,
so that clients do without; to refuse it aloud, add error(starttls_unavailable) match
command=STARTTLS with `negotiate = no`. After a 220 to STARTTLS the connection is relayed as bytes,
which is noted, and so is one that begins with TLS.

Of LMTP the reply to a message is as many replies as it has accepted recipients.

Source: RFC 5321; RFC 2920 (PIPELINING), RFC 3030 (BDAT), RFC 3207 (STARTTLS), RFC 4954 (AUTH),
RFC 2033 (LMTP), RFC 3463 (enhanced codes).
"""

from __future__ import annotations

from rascal.options import Option, Options, OptionTable
from rascal.wire.smtp_answers import error_answer, replaced, terminated
from rascal.wire.smtp_errors import ERRORS, error_named
from rascal.wire.smtp_replies import ReplyCodec, without_starttls
from rascal.wire.smtp_requests import RequestCodec
from rascal.wire.smtp_session import PIVOTS, ReplyHead, RequestHead, SMTPSession
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

_USUAL = """
AUTH BDAT DATA EHLO ETRN EXPN HELO HELP LHLO MAIL MESSAGE NOOP QUIT RCPT RSET STARTTLS VRFY
"""
_ENHANCED = Option("enhanced", "text", "the enhanced code, such as 5.7.1; none: leave it out")


class SMTP(WireProtocol):
    """The protocol as the rest of Rascal sees it."""

    name = "smtp"
    title = "SMTP and LMTP"
    greets = True
    part = "lines"
    waits = True
    usual = frozenset(_USUAL.split())
    fields = (
        *COMMON_FIELDS,
        Field("command", "word", "MAIL, RCPT, DATA, MESSAGE (the mail itself) …", folded=True),
        Field("argument", "text", "what stands behind the command; of AUTH the mechanism"),
        Field(
            "sender",
            "text",
            "the address in MAIL FROM, of all that belongs to the mail",
            "request",
            True,
        ),
        Field(
            "recipient",
            "text",
            "the address in RCPT TO; of DATA, BDAT and MESSAGE any of them",
            "request",
            True,
        ),
        Field("size", "size", "the mail's size as MAIL announces it; of BDAT the chunk's"),
        Field("status", "number", "the reply's code, such as 451", "reply"),
        Field("enhanced", "text", "its enhanced code, such as 4.7.1", "reply"),
        Field("text", "text", "the text of its first line", "reply", True),
    )
    errors = ERRORS
    options = OptionTable(
        Option(
            "negotiate",
            "flag",
            "take STARTTLS out of the reply to EHLO, so that messages can be seen",
            True,
        ),
    )
    error_options = OptionTable(_ENHANCED)
    replace_options = OptionTable(
        Option("text", "text", "what it says", "Ok"),
        Option("status", "count", "its code", 250, minimum=200, maximum=559),
        _ENHANCED,
    )

    def session(self, options: Options) -> SMTPSession:
        return SMTPSession(negotiate=bool(getattr(options, "negotiate", True)))

    def codecs(self, session: SMTPSession, ledger: Ledger) -> tuple[Codec, Codec]:
        return RequestCodec(self, session, ledger), ReplyCodec(session, ledger)

    def forwarded(self, session: SMTPSession, head: Head) -> None:
        if isinstance(head, RequestHead):
            session.forwarded(head)

    def rewrites(self, options: Options) -> tuple[bool, bool]:
        return (False, bool(getattr(options, "negotiate", True)))

    def rewrite_head(self, session: SMTPSession, head: Head, data: bytes) -> bytes | None:
        """The reply to EHLO without STARTTLS. A client may say EHLO at any time."""
        return without_starttls(data) if isinstance(head, ReplyHead) and head.hello else None

    def error(self, name: str) -> ErrorSpec | None:
        return error_named(name)

    def answer(self, session: SMTPSession, head: Head, call: ErrorCall) -> Answer:
        return error_answer(session, head, call)

    def terminate(
        self, session: SMTPSession, head: Head, mark: int, call: ErrorCall | None
    ) -> bytes | None:
        return terminated(head, mark, call)

    def replacement(self, session: SMTPSession, head: Head, options: Options) -> bytes | None:
        return replaced(session, head, options)

    def repeats(self, head: Head) -> bool:
        """A message twice would be read as commands."""
        return head.framing not in PIVOTS and head.command != "MESSAGE"

    def answers_late(self, head: Head) -> bool:
        """A server says nothing to a message before its end."""
        return head.command == "MESSAGE"

    def drops_safely(self, head: Head) -> bool:
        """The server waits for the end of a message."""
        return head.command != "MESSAGE"

    def rewinds(self, session: SMTPSession, head: Head) -> None:
        """The proxy has refused what the client waits for: commands go on."""
        if head.framing in PIVOTS:
            session.verdict = 0


PROTOCOL: WireProtocol = SMTP()
