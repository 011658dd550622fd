"""DNS messages as bytes: header, question, records (RFC 1035 4), EDNS (RFC 6891).

    id 2 · flags 2 · counts of question, answer, authority, additional 2 each
    question: name, type 2, class 2
    record:   name, type 2, class 2, ttl 4, length 2, data

Nothing here is strict: a message that ends early has no question, or no more records, and is
relayed as it is. Only less than a header is no message.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from struct import Struct
from typing import NamedTuple

HEADER = Struct(">6H")
_QUESTION = Struct(">HH")
_RECORD = Struct(">HHIH")

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
OPCODE, RCODE = 0x7800, 0x000F

OPCODES = {0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}
RCODES = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
}
TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    35: "NAPTR",
    41: "OPT",
    43: "DS",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    50: "NSEC3",
    52: "TLSA",
    64: "SVCB",
    65: "HTTPS",
    251: "IXFR",
    252: "AXFR",
    255: "ANY",
    257: "CAA",
}
A, NS, CNAME, SOA, AAAA, OPT, SVCB, HTTPS = 1, 2, 5, 6, 28, 41, 64, 65
IN = 1
EDE = 15
"""The EDNS option of extended errors (RFC 8914)."""
MOST_HOPS = 64
"""Pointers that are followed in one name."""


class Question(NamedTuple):
    """The first question: its bytes as they stand, and what they say."""

    raw: bytes
    name: str
    type: int
    klass: int


class Record(NamedTuple):
    """One record: where it stands, and what it holds."""

    section: int
    """1: answer, 2: authority, 3: additional."""
    start: int
    type: int
    klass: int
    ttl_at: int
    ttl: int
    data_at: int
    end: int


def name_at(data: bytes, at: int) -> tuple[str, int]:
    """The name that begins at `at`, without its last dot, and where it ends; the root is `.`.

    Raises ValueError if it does not end, or points in a circle.
    """
    labels: list[str] = []
    end = -1
    hops = 0
    while True:
        if at >= len(data):
            raise ValueError("a name without end")
        size = data[at]
        if size >= 0xC0:
            if at + 1 >= len(data) or hops >= MOST_HOPS:
                raise ValueError("a name that points nowhere")
            end = at + 2 if end < 0 else end
            at = (size & 0x3F) << 8 | data[at + 1]
            hops += 1
            continue
        if size > 63:
            raise ValueError("a label of an unknown kind")
        at += 1
        if not size:
            break
        if at + size > len(data) or len(labels) > 128:
            raise ValueError("a name without end")
        labels.append(data[at : at + size].decode("latin-1").replace(".", "\\."))
        at += size
    return ".".join(labels) or ".", at if end < 0 else end


def as_name(name: str) -> bytes:
    """A name on the wire. Raises ValueError: an empty label, one over 63 or a name over 255."""
    found = b""
    for label in name.rstrip(".").split(".") if name.strip(".") else ():
        raw = label.encode("idna") if not label.isascii() else label.encode("ascii")
        if not 0 < len(raw) < 64:
            raise ValueError(f"'{name}' is no name")
        found += bytes((len(raw),)) + raw
    if len(found) > 254:
        raise ValueError(f"'{name}' is too long")
    return found + b"\0"


def question_of(data: bytes) -> Question | None:
    """The first question; None: there is none, or it is cut off."""
    if len(data) < 12 or not HEADER.unpack_from(data)[2]:
        return None
    try:
        name, end = name_at(data, 12)
    except ValueError:
        return None
    if end + 4 > len(data):
        return None
    kind, klass = _QUESTION.unpack_from(data, end)
    return Question(data[12 : end + 4], name, kind, klass)


def records_of(data: bytes) -> Iterator[Record]:
    """The records, as far as they can be read."""
    if len(data) < 12:
        return
    _, _, questions, *counts = HEADER.unpack_from(data)
    at = 12
    try:
        for _ in range(questions):
            at = name_at(data, at)[1] + 4
        for section, count in enumerate(counts, 1):
            for _ in range(count):
                start = at
                at = name_at(data, at)[1]
                if at + 10 > len(data):
                    return
                kind, klass, ttl, size = _RECORD.unpack_from(data, at)
                end = at + 10 + size
                if end > len(data):
                    return
                yield Record(section, start, kind, klass, at + 4, ttl, at + 10, end)
                at = end
    except ValueError:
        return


class Edns(NamedTuple):
    """What the client's OPT record says."""

    size: int
    dnssec: bool


def edns_of(data: bytes) -> Edns | None:
    """The OPT record of a query; None: there is none."""
    for record in records_of(data):
        if record.type == OPT:
            return Edns(record.klass, bool(record.ttl & 0x8000))
    return None


def opt_record(edns: Edns, options: bytes = b"") -> bytes:
    """An OPT record of ours."""
    ttl = 0x8000 if edns.dnssec else 0
    return b"\0" + _RECORD.pack(OPT, 1232, ttl, len(options)) + options


def record(kind: int, ttl: int, data: bytes, name: bytes = b"\xc0\x0c") -> bytes:
    """A record; its name is the question's unless given."""
    return name + _RECORD.pack(kind, IN, ttl, len(data)) + data


def address_record(address: str, ttl: int) -> bytes:
    """An A or AAAA record."""
    packed = ip_address(address).packed
    return record(A if len(packed) == 4 else AAAA, ttl, packed)


def type_name(kind: int) -> str:
    """A, AAAA …; of others TYPE65280, as RFC 3597 writes them."""
    return TYPES.get(kind) or f"TYPE{kind}"
