"""The refusals of SMTP servers: reply code, enhanced code (RFC 3463), text.

The texts are Postfix's where it has one, else those of RFC 5321 4.2.3 or of the RFC that defines
the code. `{host}` is the server's name as it greeted, `{recipient}`, `{sender}` and `{argument}`
come from the request, `{need}` is the command that is missing before it.
tests/integration/test_smtp_answers.py holds them against Postfix.
"""

from __future__ import annotations

import re

from rascal.wire.types import ErrorSpec, Moment

_CONNECT: tuple[Moment, ...] = ("connect", "greeting")
_CONTENT = ("MESSAGE", "BDAT")
_MAIL = ("MAIL", "RCPT", "DATA", "BDAT")


def _spec(
    name: str,
    code: str,
    text: str,
    help: str,
    commands: tuple[str, ...] = (),
    source: str = "Postfix",
    moments: tuple[Moment, ...] = (),
    closes: bool = False,
) -> ErrorSpec:
    return ErrorSpec(name, code, text, help, source, moments, commands, closes)


_ALL = (
    # -- at the beginning
    _spec(
        "too_many_connections",
        "421 4.7.0",
        "{host} Error: too many connections from 127.0.0.1",
        "more connections at once from this client than the server allows",
        ("CONNECT",),
        moments=_CONNECT,
        closes=True,
    ),
    _spec(
        "no_service",
        "554",
        "{host} No SMTP service here",
        "a server that takes no mail, or none of this client",
        ("CONNECT",),
        "RFC 5321 3.1",
        _CONNECT,
    ),
    # -- at any time
    _spec(
        "service_unavailable",
        "421 4.3.2",
        "{host} Service not available, closing transmission channel",
        "it is shutting down, or overloaded; at any command",
        source="RFC 5321 4.2.3",
        closes=True,
    ),
    _spec(
        "timeout",
        "421 4.4.2",
        "{host} Error: timeout exceeded",
        "the client has said nothing for too long",
        closes=True,
    ),
    _spec(
        "too_many_errors",
        "421 4.7.0",
        "{host} Error: too many errors",
        "smtpd_hard_error_limit commands have failed",
        closes=True,
    ),
    _spec(
        "too_much_mail",
        "450 4.7.1",
        "Error: too much mail from 127.0.0.1",
        "more messages in a while than the server allows one client",
        ("MAIL",),
    ),
    # -- sessions
    _spec(
        "starttls_required",
        "530 5.7.0",
        "Must issue a STARTTLS command first",
        "the server takes no mail without TLS",
        ("MAIL", "RCPT", "DATA", "BDAT", "VRFY", "ETRN", "AUTH"),
    ),
    _spec(
        "starttls_unavailable",
        "454 4.7.0",
        "TLS not available due to local problem",
        "its certificate is missing or cannot be read",
        ("STARTTLS",),
    ),
    _spec(
        "auth_required",
        "530 5.7.0",
        "Authentication required",
        "the server takes mail of those only who have logged in",
        _MAIL,
        "RFC 4954 6",
    ),
    _spec(
        "auth_failed",
        "535 5.7.8",
        "Error: authentication failed: authentication failure",
        "wrong user or password, or one that has expired",
        ("AUTH",),
    ),
    _spec(
        "auth_unavailable",
        "454 4.7.0",
        "Temporary authentication failure: Connection lost to authentication server",
        "the server cannot reach what knows the passwords",
        ("AUTH",),
    ),
    _spec(
        "auth_too_weak",
        "534 5.7.9",
        "Authentication mechanism is too weak",
        "another mechanism is wanted of this user",
        ("AUTH",),
        "RFC 4954 6",
    ),
    _spec(
        "encryption_required",
        "538 5.7.11",
        "Encryption required for requested authentication mechanism",
        "passwords in clear need TLS first",
        ("AUTH",),
        "RFC 4954 6",
    ),
    # -- senders and recipients
    _spec(
        "greylisted",
        "451 4.7.1",
        "Greylisting in action, please come back later",
        "a sender that the server does not know is to try again: say it once, count 1",
        ("RCPT",),
        "RFC 6647 2.4",
    ),
    _spec(
        "mailbox_busy",
        "450 4.2.1",
        "<{recipient}>: Recipient address rejected: mailbox unavailable",
        "the mailbox is locked or over its rate",
        ("RCPT",),
        "RFC 5321 4.2.3",
    ),
    _spec(
        "sender_domain_unknown",
        "450 4.1.8",
        "<{sender}>: Sender address rejected: Domain not found",
        "the sender's domain is not in DNS, or DNS is down",
        ("MAIL", "RCPT"),
    ),
    _spec(
        "too_many_recipients",
        "452 4.5.3",
        "Error: too many recipients",
        "beyond smtpd_recipient_limit: the rest is to come in another mail",
        ("RCPT",),
    ),
    _spec(
        "no_such_user",
        "550 5.1.1",
        "<{recipient}>: Recipient address rejected: User unknown in local recipient table",
        "there is no such mailbox",
        ("RCPT",),
    ),
    _spec(
        "user_not_local",
        "551 5.1.6",
        "User not local; please try another address",
        "the mailbox has moved",
        ("RCPT",),
        "RFC 5321 4.2.3",
    ),
    _spec(
        "mailbox_full",
        "552 5.2.2",
        "<{recipient}>: Mailbox full",
        "the mailbox is over its quota",
        ("RCPT", *_CONTENT),
        "RFC 3463 3.3",
    ),
    _spec(
        "sender_not_owned",
        "553 5.7.1",
        "<{sender}>: Sender address rejected: not owned by user",
        "a sender's address that is not the user's own",
        ("MAIL", "RCPT"),
    ),
    _spec(
        "relay_denied",
        "554 5.7.1",
        "<{recipient}>: Relay access denied",
        "the server takes no mail for that domain from this client",
        ("RCPT",),
    ),
    _spec(
        "client_blocked",
        "554 5.7.1",
        "Service unavailable; Client host [127.0.0.1] blocked using zen.spamhaus.org",
        "the client stands on a block list",
        ("RCPT", "MAIL"),
    ),
    # -- content
    _spec(
        "local_error",
        "451 4.3.0",
        "Error: queue file write error",
        "the server cannot keep the message at the moment",
        ("MAIL", "RCPT", "DATA", *_CONTENT),
    ),
    _spec(
        "insufficient_storage",
        "452 4.3.1",
        "Insufficient system storage",
        "the disk is full",
        ("MAIL", *_CONTENT),
    ),
    _spec(
        "too_large",
        "552 5.3.4",
        "Message size exceeds fixed limit",
        "more than SIZE says: at MAIL where the client announces it",
        ("MAIL",),
    ),
    _spec(
        "too_big",
        "552 5.3.4",
        "Error: message file too big",
        "more than SIZE says, found at its end",
        _CONTENT,
    ),
    _spec(
        "content_rejected",
        "550 5.7.1",
        "message content rejected",
        "a filter does not like it",
        _CONTENT,
    ),
    _spec(
        "spam",
        "554 5.7.1",
        "Message rejected as spam",
        "a filter is sure",
        _CONTENT,
        "RFC 3463 3.8",
    ),
    _spec(
        "no_valid_recipients",
        "554 5.5.1",
        "Error: no valid recipients",
        "every recipient was refused, and the client goes on all the same",
        ("DATA", "BDAT"),
    ),
    # -- misunderstandings
    _spec(
        "unknown_command",
        "500 5.5.2",
        "Error: command not recognized",
        "the server does not know the command",
    ),
    _spec(
        "bad_arguments",
        "501 5.5.4",
        "Syntax: {syntax}",
        "the command's arguments are wrong",
        ("MAIL", "RCPT", "EHLO", "HELO", "DATA", "RSET", "AUTH", "VRFY", "BDAT"),
    ),
    _spec(
        "not_implemented",
        "502 5.5.1",
        "Error: command not implemented",
        "known and not provided: STARTTLS on a server without TLS",
    ),
    _spec(
        "bad_sequence",
        "503 5.5.1",
        "Error: need {need} command",
        "a command is missing before it",
        ("RCPT", "DATA", "BDAT"),
    ),
    _spec(
        "nested_mail",
        "503 5.5.1",
        "Error: nested MAIL command",
        "the mail before has not been ended, nor given up by RSET",
        ("MAIL",),
    ),
    _spec(
        "unsupported_option",
        "555 5.5.4",
        "Unsupported option: {option}",
        "a parameter of MAIL or RCPT that the server does not know",
        ("MAIL", "RCPT"),
    ),
)

ERRORS = {spec.name: spec for spec in _ALL}

_RAW = {
    "421": "{host} Service not available, closing transmission channel",
    "450": "Requested mail action not taken: mailbox unavailable",
    "451": "Requested action aborted: local error in processing",
    "452": "Requested action not taken: insufficient system storage",
    "454": "Temporary failure",
    "455": "Server unable to accommodate parameters",
    "500": "Syntax error, command unrecognized",
    "501": "Syntax error in parameters or arguments",
    "502": "Command not implemented",
    "503": "Bad sequence of commands",
    "504": "Command parameter not implemented",
    "521": "{host} does not accept mail",
    "530": "Authentication required",
    "535": "Authentication credentials invalid",
    "550": "Requested action not taken: mailbox unavailable",
    "551": "User not local; please try another address",
    "552": "Requested mail action aborted: exceeded storage allocation",
    "553": "Requested action not taken: mailbox name not allowed",
    "554": "Transaction failed",
    "555": "MAIL FROM/RCPT TO parameters not recognized or not implemented",
    "556": "Domain does not accept mail",
}
"""What RFC 5321 4.2.3 and RFC 7504 say of the codes."""
_CODE = re.compile(r"([45][0-5][0-9])(?: ([45]\.[0-9]{1,3}\.[0-9]{1,3}))?")


def error_named(name: str) -> ErrorSpec | None:
    """By name or code: 451, or "451 4.7.1"; any other code from 400 to 559 as well."""
    if name in ERRORS:
        return ERRORS[name]
    found = _CODE.fullmatch(name)
    if found is None:
        return None
    for spec in _ALL:
        if found[2] and spec.code == name:
            return spec
    words = _RAW.get(found[1], "Temporary failure" if name[0] == "4" else "Permanent failure")
    return ErrorSpec(
        name, name, words, "any other code", "RFC 5321 4.2.3", closes=found[1] in ("421", "521")
    )
