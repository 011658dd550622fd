"""What the proxy says in an SMTP server's name, held against what Postfix says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from fidelity import Fidelity
from postfix_server import POSTFIX, Client, Server, postfix, version

from rascal.wire.smtp import PROTOCOL
from rascal.wire.smtp_errors import ERRORS
from rascal.wire.smtp_requests import RequestCodec
from rascal.wire.types import ErrorCall, Head, Ledger

pytestmark = pytest.mark.skipif(not POSTFIX, reason="Postfix is not here, or we are not root")

MAIL, RCPT = b"MAIL FROM:<eve@example.net>", b"RCPT TO:<ann@example.org>"
NOT_PROVOKED = {
    "no_service": "RFC 5321; Postfix refuses at RCPT",
    "service_unavailable": "RFC 5321; Postfix has many texts of its own",
    "auth_required": "RFC 4954; submission servers say so",
    "auth_failed": "needs a server of passwords behind Postfix",
    "auth_unavailable": "needs a server of passwords that fails",
    "auth_too_weak": "RFC 4954",
    "encryption_required": "RFC 4954",
    "greylisted": "said by a policy server beside Postfix",
    "mailbox_busy": "RFC 5321",
    "sender_domain_unknown": "needs DNS that does not answer",
    "user_not_local": "RFC 5321",
    "mailbox_full": "RFC 3463; said by a policy server",
    "sender_not_owned": "needs a log-in",
    "client_blocked": "needs a block list in DNS",
    "local_error": "a queue that cannot be written",
    "spam": "said by a filter beside Postfix",
}


def fields(data: bytes) -> dict[str, Any]:
    """A reply in its parts."""
    found = re.fullmatch(rb"(\d{3})([ -])([245]\.\d+\.\d+)? ?(.*?)(\r\n)", data, re.DOTALL)
    assert found is not None, data
    return {
        "code": found[1],
        "enhanced": found[3],
        "text": found[4],
        "lines": data.count(b"\r\n"),
    }


class NoBooks(Ledger):
    def framing(self) -> Any:
        raise LookupError

    def request(self, head: Head) -> None: ...

    def replied(self) -> None: ...


def ours(name: str, *lines: bytes, message: bool = False) -> tuple[bytes, bool]:
    """What the proxy would answer to the last of these lines, and whether it closes."""
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    session.host = "mx.example.org"
    head = Head("CONNECT")
    codec = RequestCodec(PROTOCOL, session, NoBooks())
    for line in lines:
        for piece in codec.feed(line + b"\r\n"):
            if piece.start is not None:
                head = piece.start
    answer = PROTOCOL.answer(session, Head("MESSAGE") if message else head, ErrorCall(ERRORS[name]))
    return answer.reply, answer.close


@pytest.fixture(scope="module")
def table() -> Iterator[Fidelity]:
    made = Fidelity("smtp", version(), fields)
    yield made
    made.write()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("postfix")
    checks = folder / "checks"
    checks.write_text("/^Subject: bad/ REJECT\n", "utf-8")
    with postfix(
        "message_size_limit = 20000",
        "smtpd_recipient_limit = 2",
        "smtpd_recipient_overshoot_limit = 1000",
        f"header_checks = regexp:{checks}",
        "smtpd_tls_security_level = may",
        f"smtpd_tls_cert_file = {folder}/none.pem",
    ) as running:
        yield running


def hold(table: Fidelity, client: Client, name: str, provoked: str, *lines: bytes) -> None:
    """Provoke an error with the last line."""
    for line in lines[:-1]:
        assert client(line)[:1] == b"2", line
    real = client(lines[-1])
    injected, closes = ours(name, *lines)
    table.hold(name, provoked, real, injected, also={"closes": (_closes(client), closes)})


def _closes(client: Client) -> bool:
    try:
        client.socket.sendall(b"NOOP\r\n")
        return client.reply()[:1] != b"2"
    except OSError:
        return True


LARGE = b"MAIL FROM:<eve@example.net> SIZE=999999"
SIMPLE: list[tuple[str, str, tuple[bytes, ...]]] = [
    ("too_many_recipients", "RCPT beyond smtpd_recipient_limit", (MAIL, RCPT, RCPT, RCPT)),
    ("no_such_user", "RCPT of nobody", (MAIL, b"RCPT TO:<nobody@example.org>")),
    ("relay_denied", "RCPT of another domain", (MAIL, b"RCPT TO:<ann@example.com>")),
    ("too_large", "MAIL that announces too much", (LARGE,)),
    ("unknown_command", "a command that there is not", (b"FOO bar",)),
    ("bad_arguments", "MAIL without an address", (b"MAIL FROM",)),
    ("bad_arguments", "RCPT without an address", (MAIL, b"RCPT TO")),
    ("bad_arguments", "EHLO without a name", (b"EHLO",)),
    ("bad_sequence", "RCPT before MAIL", (RCPT,)),
    ("bad_sequence", "DATA before RCPT", (b"DATA",)),
    ("nested_mail", "MAIL within a mail", (MAIL, MAIL)),
    ("unsupported_option", "MAIL with FOO=1", (MAIL + b" FOO=1",)),
    ("starttls_unavailable", "STARTTLS without a certificate", (b"STARTTLS",)),
]


@pytest.mark.parametrize(("name", "provoked", "lines"), SIMPLE, ids=[row[1] for row in SIMPLE])
def test_errors_of_a_plain_server(
    table: Fidelity, server: Server, name: str, provoked: str, lines: tuple[bytes, ...]
) -> None:
    with server.client() as client:
        hold(table, client, name, provoked, *lines)


def test_no_valid_recipients(table: Fidelity, server: Server) -> None:
    with server.client() as client:
        client(MAIL)
        client(b"RCPT TO:<nobody@example.org>")
        hold(table, client, "no_valid_recipients", "DATA after refused recipients", b"DATA")


@pytest.mark.parametrize(
    ("name", "provoked", "content"),
    [
        ("too_big", "a message of 200 kB", b"x" * 70 + b"\r\n"),
        ("content_rejected", "a subject that header_checks rejects", b""),
    ],
)
def test_messages_that_are_refused(
    table: Fidelity, server: Server, name: str, provoked: str, content: bytes
) -> None:
    """The server has the message by then: the connection goes on (`at reply`)."""
    with server.client() as client:
        for line in (MAIL, RCPT, b"DATA"):
            client(line)
        real = client(b"Subject: bad\r\n\r\n" + content * 3000 + b".")
        injected, _ = ours(name, message=True)
        closes = (_closes(client), ERRORS[name].closes)
        table.hold(name, provoked, real, injected, also={"closes": closes})


def test_a_message_too_big_of_a_known_size(server: Server) -> None:
    """The proxy's own codec reads what this server says: the reply to 354's message is one."""
    with server.client() as client:
        for line in (MAIL, RCPT, b"BDAT 2 LAST\r\n"):
            assert client(line)[:3] == b"250"


@pytest.mark.parametrize(
    ("name", "provoked", "setting", "lines"),
    [
        ("timeout", "silence for smtpd_timeout", "smtpd_timeout = 1s", ()),
        ("too_many_errors", "two commands that fail", "smtpd_hard_error_limit = 1", (b"A", b"B")),
        ("insufficient_storage", "queue_minfree", "queue_minfree = 9000000000000000", (MAIL,)),
        ("not_implemented", "STARTTLS without TLS", "", (b"STARTTLS",)),
        (
            "starttls_required",
            "MAIL before STARTTLS",
            "smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {cert}",
            (MAIL,),
        ),
        (
            "too_much_mail",
            "a second mail in a minute",
            "smtpd_client_message_rate_limit = 1",
            (MAIL, b"RSET", MAIL),
        ),
    ],
)
def test_errors_of_other_servers(
    table: Fidelity,
    tmp_path: Path,
    name: str,
    provoked: str,
    setting: str,
    lines: tuple[bytes, ...],
) -> None:
    if "{cert}" in setting:
        (tmp_path / "both.pem").write_bytes(certificate())
        setting = setting.format(cert=tmp_path / "both.pem")
    with postfix(*setting.splitlines()) as server, server.client() as client:
        real = client.reply() if not lines else b""
        for line in lines:
            real = client(line)
        injected, closes = ours(name, *lines)
        table.hold(name, provoked, real, injected, also={"closes": (_closes(client), closes)})


def certificate() -> bytes:
    """A key and its certificate in one file."""
    made = trustme.CA().issue_cert("mx.example.org")
    return b"".join(blob.bytes() for blob in (made.private_key_pem, *made.cert_chain_pems))


def test_too_many_connections(table: Fidelity) -> None:
    limit = "smtpd_client_connection_count_limit = 1"
    with postfix(limit) as server:
        while True:  # the test's own look whether it runs may be counted still
            first = Client(server.port)
            if first.reply()[:3] == b"220":
                break
            first.close()
        with first, Client(server.port) as second:
            real = second.reply()
            injected, closes = ours("too_many_connections")
            table.hold(
                "too_many_connections",
                "a second connection, smtpd_client_connection_count_limit = 1",
                real,
                injected,
                also={"closes": (second.closed(), closes)},
            )


def test_every_error_was_provoked_or_cannot_be() -> None:
    provoked = {name for name, _, _ in SIMPLE} | {
        *("no_valid_recipients", "too_big", "content_rejected", "timeout", "too_many_errors"),
        *("insufficient_storage", "not_implemented", "starttls_required", "too_much_mail"),
        "too_many_connections",
    }
    assert provoked.isdisjoint(NOT_PROVOKED)
    assert provoked | set(NOT_PROVOKED) == set(ERRORS)
