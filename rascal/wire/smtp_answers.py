"""Replies that the proxy makes itself.

A server that has said 354 waits for the end of the message and can be told nothing else: where
the proxy answers a MESSAGE instead of sending it on, the connection ends behind the answer, and
the server drops what it had of the mail. In a dialogue of AUTH the server is told `*`, which gives
it up (RFC 4954 4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rascal.options import Options
from rascal.wire.smtp_session import HELLO, PIVOTS, RequestHead, SMTPSession, text
from rascal.wire.types import Answer, ErrorCall, Head

_PLACE = re.compile(r"\{(\w+)\}")
_SYNTAX = {
    "MAIL": "MAIL FROM:<address>",
    "RCPT": "RCPT TO:<address>",
    "EHLO": "EHLO hostname",
    "HELO": "HELO hostname",
    "AUTH": "AUTH mechanism",
    "VRFY": "VRFY address",
    "BDAT": "BDAT count [LAST]",
}
_PARAMETER = re.compile(r"> +(\S+)")


def error_answer(session: SMTPSession, head: Head, call: ErrorCall) -> Answer:
    """A refusal; what the server must be told besides; whether it closes."""
    spec = call.spec
    code, _, enhanced = spec.code.partition(" ")
    if spec.name == "bad_arguments" and head.framing == HELLO:
        enhanced = ""  # as nobody has been told yet that there are such codes
    words = _filled(spec.text, session, head) if call.text is None else call.text
    reply = line(code, _enhanced(call.extra, enhanced), words) * _times(session, head)
    closes = spec.closes or _half_told(head)
    upstream: tuple[tuple[Head, bytes], ...] = ()
    if isinstance(head, RequestHead) and head.dialogue and not head.sent:
        upstream = ((RequestHead("AUTH", asked=False, dialogue=True), b"*\r\n"),)
    return Answer(reply, upstream, closes)


def line(code: str, enhanced: str, words: str) -> bytes:
    """One reply of one line."""
    said = " ".join(part for part in (code, enhanced, re.sub(r"[\r\n]", " ", words)) if part)
    return said.encode("utf-8", "surrogateescape") + b"\r\n"


def _enhanced(extra: Mapping[str, Any], usual: str) -> str:
    given = extra.get("enhanced")
    if given is None:
        return usual
    return "" if given == "none" else str(given)


def _times(session: SMTPSession, head: Head) -> int:
    """LMTP answers a message once for each recipient."""
    if isinstance(head, RequestHead) and head.framing == "message" and session.lmtp:
        return max(1, session.accepted)
    return 1


def _half_told(head: Head) -> bool:
    return isinstance(head, RequestHead) and head.command == "MESSAGE" and not head.sent


def _filled(template: str, session: SMTPSession, head: Head) -> str:
    if "{" not in template:
        return template
    asked = head if isinstance(head, RequestHead) else RequestHead(head.command)
    argument = text(asked.argument)
    recipient = asked.recipient or next(iter(asked.recipients), b"")
    option = _PARAMETER.search(argument)
    values = {
        "host": session.host or "localhost",
        "recipient": text(recipient),
        "sender": text(asked.sender or b""),
        "argument": argument,
        "need": "MAIL" if asked.command == "RCPT" else "RCPT",
        "syntax": _SYNTAX.get(asked.command, asked.command),
        "option": option[1] if option else "",
    }
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), template)


def replaced(session: SMTPSession, head: Head, options: Options) -> bytes | None:
    """Another reply; None: where a 354, 334 or 220 would part the two sides."""
    if not isinstance(head, RequestHead):
        return None
    status = int(options.status)
    if 300 <= status < 400 or (head.framing in PIVOTS and status < 300 and not head.dialogue):
        return None
    if head.dialogue and not head.sent:
        return None
    extra = {} if options.enhanced is None else {"enhanced": options.enhanced}
    usual = {2: "2.0.0", 4: "4.0.0", 5: "5.0.0"}[status // 100]
    return line(str(status), _enhanced(extra, usual), str(options.text)) * _times(session, head)


def terminated(head: Head, mark: int, call: ErrorCall | None) -> bytes | None:
    """The last line of a reply of several, which has the same code."""
    if call is not None or not 200 <= mark < 600:
        return None
    return b"%d \r\n" % mark
