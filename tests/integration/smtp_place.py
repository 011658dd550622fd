"""An aiosmtpd behind a rascal-proxy, and smtplib in front of it.

The server keeps what is delivered; it logs in ann (secret), and offers STARTTLS.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from harness import Node, running

from rascal.demo.children import free_port

MAIL = b"Subject: hello\r\n\r\n.leading dot\r\nbye\r\n"
SENDER, ANN, BOB = "eve@example.net", "ann@example.org", "bob@example.org"


class Delivered:
    """The server's handler: it keeps the mails it has taken."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], bytes]] = []

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return f"550 5.1.1 <{address}>: no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Any, envelope: Envelope
    ) -> str:
        self.mails.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        return "250 2.0.0 Ok: queued"


def authenticate(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
    good = (data.login, data.password) == (b"ann", b"secret")
    return AuthResult(success=good, handled=False)


class Mailer:
    """smtplib that connects when it must.

    Attributes:
        smtp: the client; None before the first use.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.smtp: smtplib.SMTP | None = None

    @property
    def client(self) -> smtplib.SMTP:
        if self.smtp is None or self.smtp.sock is None:
            self.close()
            self.smtp = smtplib.SMTP(
                "127.0.0.1", self.port, local_hostname="client.example.net", timeout=1
            )
            self.smtp.ehlo()
        return self.smtp

    @property
    def sock(self) -> Any:
        return self.client.sock

    def send(self, *to: str, sender: str = SENDER, mail: bytes = MAIL) -> Any:
        """What smtplib returns: the recipients that were refused."""
        return self.client.sendmail(sender, to or [ANN], mail)

    def ping(self) -> bool:
        return self.client.noop()[0] == 250

    def anew(self) -> None:
        """Another connection."""
        self.close()
        assert self.client

    def close(self) -> None:
        smtp, self.smtp = self.smtp, None
        if smtp is not None:
            smtp.close()


class Place:
    def __init__(self, node: Node, delivered: Delivered, trust: ssl.SSLContext) -> None:
        self.node = node
        self.delivered = delivered
        self.trust = trust
        self.mailer = Mailer(node.port("mail"))


@contextlib.contextmanager
def smtp_place(folder: Path) -> Iterator[Place]:
    """Proxies `mail` and `open` (negotiate = no) in front of one server."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    delivered = Delivered()
    port = free_port()
    controller = Controller(
        delivered,
        hostname="127.0.0.1",
        port=port,
        server_hostname="mx.example.org",
        tls_context=context,
        authenticator=authenticate,
        auth_require_tls=False,
    )
    controller.start()
    proxy = "protocol = smtp\nlisten = 127.0.0.1:{free}\nupstream = 127.0.0.1:" + str(port)
    try:
        with running(
            folder, f"[proxy:mail]\n{proxy}\n\n[proxy:open]\n{proxy}\nnegotiate = no\n"
        ) as node:
            place = Place(node, delivered, trust)
            try:
                yield place
            finally:
                place.mailer.close()
    finally:
        controller.stop()
