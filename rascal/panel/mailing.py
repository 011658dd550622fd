"""Mail through an SMTP server: `smtp://[USER:PASSWORD@]HOST[:PORT]/?from=A&to=B,C`.

`smtps://` speaks TLS from the first byte; `smtp://` changes to it where the server can, and must
before a password is sent off this machine. `tls=no` leaves it out.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

SECONDS = 15.0
"""For each answer of the server."""
EXAMPLE = "smtp://mail.example.org:25/?from=rascal@example.org&to=ops@example.org"
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]]{1,64}@[^\s@<>,;:\"()\[\]]{1,253}")


@attrs.frozen(kw_only=True)
class Mail:
    """Where mail goes, and as whose."""

    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    secure: bool = False
    """TLS from the first byte."""
    tls: bool = True
    """TLS after the greeting, where the server can."""
    user: str = attrs.field(default="", repr=False)
    password: str = attrs.field(default="", repr=False)

    @property
    def shown(self) -> str:
        """For pages: nothing secret."""
        return f"{', '.join(self.to)} through {self.host}:{self.port}"


def mail_of(text: str) -> Mail:
    """Read the URL. Raises ValueError with a line for people."""
    try:
        url = urlsplit(text)
        port = url.port
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    except ValueError:
        raise ValueError(f"mail is no URL, such as {EXAMPLE}") from None
    if url.scheme not in ("smtp", "smtps") or not url.hostname or port == 0:
        raise ValueError(f"mail is a URL of an SMTP server, such as {EXAMPLE}")
    unknown = sorted(set(query) - {"from", "to", "tls"})
    if unknown:
        raise ValueError(f"mail: '{unknown[0]}' is not known; names: from, to, tls")
    to = tuple(one.strip() for one in query.get("to", "").split(",") if one.strip())
    for one in (query.get("from", ""), *(to or ("",))):
        if not _ADDRESS.fullmatch(one):
            raise ValueError(f"mail: '{one}' is no address; write {EXAMPLE}")
    if query.get("tls", "yes") not in ("yes", "no"):
        raise ValueError("mail: tls is yes or no")
    secure = url.scheme == "smtps"
    return Mail(
        host=url.hostname,
        port=port or (465 if secure else 25),
        sender=query["from"],
        to=to,
        secure=secure,
        tls=query.get("tls", "yes") == "yes",
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
    )


def mail_problem(text: str) -> str:
    """What is wrong with the URL; it may hold a password and is not repeated."""
    try:
        mail_of(text)
    except ValueError as error:
        return str(error)
    return ""


def message_of(mail: Mail, subject: str, text: str, number: str) -> EmailMessage:
    """A mail; `number` is the same whenever it is sent again."""
    made = EmailMessage()
    made["Subject"] = " ".join(subject.split())[:200]
    made["From"] = mail.sender
    made["To"] = ", ".join(mail.to)
    made["Date"] = formatdate()
    made["Message-ID"] = f"<{number}@{mail.sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(text)
    return made


def send(mail: Mail, message: EmailMessage, hold: Callable[[smtplib.SMTP], None]) -> None:
    """Send it, in a thread. Raises OSError, SMTPException or ValueError.

    Args:
        hold: is told of the connection, so that it can be shut from elsewhere.
    """
    context = ssl.create_default_context()
    if mail.secure:
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            mail.host, mail.port, timeout=SECONDS, context=context
        )
    else:
        server = smtplib.SMTP(mail.host, mail.port, timeout=SECONDS)
    hold(server)
    with server:
        server.ehlo()
        safe = mail.secure
        if not safe and mail.tls and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
            safe = True
        if mail.user:
            if not safe and not _near(server):
                raise ValueError("the server has no TLS: the password is not sent in the open")
            server.login(mail.user, mail.password)
        server.send_message(message, mail.sender, list(mail.to))


def _near(server: smtplib.SMTP) -> bool:
    sock = server.sock
    if not isinstance(sock, socket.socket) or sock.family == socket.AF_UNIX:
        return False
    return str(sock.getpeername()[0]).startswith(("127.", "::1"))


def shut(server: smtplib.SMTP) -> None:
    """Whoever waits for it waits no more."""
    with suppress(OSError, AttributeError):
        assert server.sock is not None
        server.sock.shutdown(socket.SHUT_RDWR)
