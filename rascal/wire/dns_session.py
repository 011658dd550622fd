"""What is known of a DNS connection, and the heads of its messages."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from rascal.errors import ConfigError, ProtocolError
from rascal.wire.dns_messages import (
    AA,
    AAAA,
    HEADER,
    OPCODE,
    OPCODES,
    QR,
    RCODE,
    RCODES,
    TC,
    A,
    Question,
    edns_of,
    question_of,
    records_of,
    type_name,
)
from rascal.wire.types import Head, Session

Addresses = tuple[str, ...]


@dataclass(slots=True)
class DnsHead(Head):
    """A query or an answer, whole.

    Attributes:
        data: the message, without the length that goes before it over TCP.
        stream: it came over TCP.
        question: the first.
    """

    data: bytes = b""
    stream: bool = False
    question: Question | None = None

    @property
    def flags(self) -> int:
        return int.from_bytes(self.data[2:4], "big")

    def value(self, name: str) -> Any:
        question = self.question
        if name == "command":
            return self.command
        if name == "transport":
            return "tcp" if self.stream else "udp"
        if name == "name":
            return None if question is None else question.name
        if name == "type":
            return None if question is None else type_name(question.type)
        if name == "size":
            return len(self.data)
        if name == "edns":
            return edns_of(self.data) is not None
        return None

    def identity(self) -> Hashable | None:
        """The same question, however it is spelled, over the same transport."""
        if self.question is None or self.command != "QUERY":
            return None
        dialect = (self.stream, edns_of(self.data))
        return (self.question.name.lower(), self.question.type, self.question.klass, dialect)


@dataclass(slots=True)
class ReplyHead(DnsHead):
    """An answer. `command` is its RCODE in words."""

    def value(self, name: str) -> Any:
        if name == "rcode":
            return self.command
        if name == "truncated":
            return bool(self.flags & TC)
        if name == "authoritative":
            return bool(self.flags & AA)
        if name == "answers":
            return int(HEADER.unpack_from(self.data)[3])
        if name == "address":
            found = tuple(
                str(ip_address(self.data[one.data_at : one.end]))
                for one in records_of(self.data)
                if one.section == 1 and (one.type, one.end - one.data_at) in ((A, 4), (AAAA, 16))
            )
            return found or None
        if name == "ttl":
            return min((one.ttl for one in records_of(self.data) if one.section == 1), default=None)
        return None


def read_head(data: bytes, stream: bool, to_upstream: bool) -> DnsHead:
    """The head of a message. Raises ProtocolError: it is none."""
    if len(data) < 12:
        raise ProtocolError("less than the header of a message")
    number, flags = HEADER.unpack_from(data)[:2]
    if bool(flags & QR) == to_upstream:
        raise ProtocolError("an answer from a client" if to_upstream else "a query from a server")
    question = question_of(data)
    if to_upstream:
        opcode = (flags & OPCODE) >> 11
        command = OPCODES.get(opcode, f"OPCODE{opcode}")
        return DnsHead(command, framing=number, data=data, stream=stream, question=question)
    rcode = RCODES.get(flags & RCODE, f"RCODE{flags & RCODE}")
    return ReplyHead(rcode, framing=number, data=data, stream=stream, question=question)


@dataclass(slots=True)
class DnsSession(Session):
    """Facts of one connection.

    Attributes:
        answers: names (or *.names) with the addresses that the proxy gives them.
        ttl: of these answers.
    """

    answers: Mapping[str, Addresses] = field(default_factory=dict)
    ttl: int = 0

    def addresses(self, name: str) -> Addresses | None:
        """What the proxy's own table has for a name."""
        name = name.lower()
        found = self.answers.get(name)
        while found is None and "." in name:
            name = name.partition(".")[2]
            found = self.answers.get(f"*.{name}")
        return found


def read_addresses(given: str, option: str) -> Addresses:
    """`10.0.0.9, ::1` as addresses. Raises ConfigError."""
    found = tuple(word for word in given.replace(",", " ").split() if word)
    for word in found:
        try:
            ip_address(word)
        except ValueError:
            raise ConfigError(
                f"'{word}' is no IP address; write 10.0.0.9 or fd00::9, several with commas",
                option=option,
                value=given,
            ) from None
    if not found:
        raise ConfigError("an IP address is missing", option=option, value=given)
    return found


def read_answers(given: str | None) -> dict[str, Addresses]:
    """`db.internal=127.0.0.1, *.shop=127.0.0.2` as a table. Raises ConfigError."""
    table: dict[str, Addresses] = {}
    for pair in (given or "").replace("\n", ",").split(","):
        if not pair.strip():
            continue
        name, equals, address = (part.strip() for part in pair.partition("="))
        name = name.rstrip(".").lower()
        if not equals or not name.removeprefix("*.") or "*" in name.removeprefix("*."):
            raise ConfigError(
                f"'{pair.strip()}' is not NAME=ADDRESS; write db.internal=127.0.0.1, "
                "*.shop.internal=127.0.0.2, …",
                option="answers",
                value=given,
            )
        table[name] = (*table.get(name, ()), *read_addresses(address, "answers"))
    return table
