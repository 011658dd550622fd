"""Answers that the proxy makes itself, and real ones that it changes.

Each echoes the id, the question byte by byte (resolvers check the case of its letters, 0x20), the
flags RD and CD, and says EDNS where the query does. Over TCP its length goes before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from math import ceil
from typing import Any

from rascal.options import Options
from rascal.wire.dns_messages import (
    AAAA,
    CD,
    CNAME,
    EDE,
    HEADER,
    HTTPS,
    IN,
    NS,
    OPCODE,
    OPT,
    QR,
    RA,
    RD,
    SOA,
    SVCB,
    TC,
    A,
    address_record,
    as_name,
    edns_of,
    opt_record,
    record,
    records_of,
)
from rascal.wire.dns_session import Addresses, DnsHead, read_addresses
from rascal.wire.types import ErrorCall, Head

LEAST = 512
"""Bytes that every client takes over UDP."""
NEGATIVE_TTL = 3600
BOGUS, OTHER = 6, 0
"""Extended errors."""


def framed(head: DnsHead, message: bytes) -> bytes:
    """As its transport has it."""
    return len(message).to_bytes(2, "big") + message if head.stream else message


def message(
    head: DnsHead,
    rcode: int,
    answers: Sequence[bytes] = (),
    authority: Sequence[bytes] = (),
    *,
    flags: int = RA,
    options: bytes = b"",
    edns: bool = True,
) -> bytes:
    """An answer to the query, in full."""
    said = edns_of(head.data) if edns else None
    question = b"" if head.question is None else head.question.raw
    additional = () if said is None else (opt_record(said, options),)
    flags |= QR | head.flags & (OPCODE | RD | CD) | rcode
    number = int.from_bytes(head.data[:2], "big")

    def made(flags: int, answers: Sequence[bytes], authority: Sequence[bytes]) -> bytes:
        counts = (len(answers), len(authority), len(additional))
        header = HEADER.pack(number, flags, bool(question), *counts)
        return b"".join((header, question, *answers, *authority, *additional))

    whole = made(flags, answers, authority)
    most = LEAST if said is None else max(LEAST, said.size)
    if not head.stream and len(whole) > most:
        whole = made(flags | TC, (), ())
    return framed(head, whole)


def soa(head: DnsHead, zone: str | None, ttl: int) -> tuple[bytes, ...]:
    """The SOA of a negative answer: its TTL and MINIMUM say how long that may be kept."""
    if head.question is None:
        return ()
    owner = _parent(head.question.raw) if zone is None else as_name(zone)
    numbers = (1, 3600, 900, 604800, ttl)
    data = b"\2ns" + owner + b"\nhostmaster" + owner
    return (record(SOA, ttl, data + b"".join(n.to_bytes(4, "big") for n in numbers), owner),)


def _parent(question: bytes) -> bytes:
    """The question's name without its first label, as a pointer into it."""
    return bytes((0xC0, 13 + question[0])) if 0 < question[0] < 64 else b"\0"


def error_answer(head: DnsHead, call: ErrorCall) -> bytes:
    """An error of the catalogue."""
    name, rcode, extra = call.spec.name, int(call.spec.code), call.extra
    ttl = _seconds(extra.get("ttl"), NEGATIVE_TTL)
    flags = 0 if name == "notimp" else RA
    authority: tuple[bytes, ...] = ()
    if name in ("nxdomain", "nodata"):
        authority = soa(head, extra.get("zone"), ttl)
    elif name == "truncated":
        flags |= TC
    elif name == "lame":
        flags = 0
        authority = (record(NS, ttl, as_name("a.root-servers.net"), b"\0"),)
    options = _extended(call, BOGUS if name == "bogus" else None)
    edns = bool(extra.get("edns", True))
    if name == "formerr" and edns:  # the query as it came, as servers do that gave it up
        said = QR | head.flags & (OPCODE | RD | CD) | rcode
        return framed(head, head.data[:2] + said.to_bytes(2, "big") + head.data[4:])
    return message(head, rcode, (), authority, flags=flags, options=options, edns=edns)


def _extended(call: ErrorCall, usual: int | None) -> bytes:
    """The EDNS option of an extended error, if there is one."""
    code = call.extra.get("extended", usual)
    if code is None and call.text is None:
        return b""
    words = (call.text or "").encode("utf-8", "surrogateescape")[:200]
    data = int(OTHER if code is None else code).to_bytes(2, "big") + words
    return EDE.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def _seconds(given: Any, usual: int) -> int:
    return usual if given is None else min(2**31 - 1, ceil(given))


def pointed(head: DnsHead, addresses: Addresses, ttl: int) -> bytes | None:
    """The name has these addresses and no others; None: the question is about something else."""
    question = head.question
    if question is None or question.klass != IN or question.type not in (A, AAAA, HTTPS, SVCB):
        return None
    wanted = {A: 4, AAAA: 6}.get(question.type)
    found = [address for address in addresses if ip_address(address).version == wanted]
    if not found:
        return message(head, 0, (), soa(head, None, ttl))
    return message(head, 0, [address_record(address, ttl) for address in found])


def replaced(head: DnsHead, options: Options) -> bytes | None:
    """What replace(…) says without the upstream's answer: addresses, or an alias."""
    ttl = _seconds(options.ttl, 60)
    if options.address is not None:
        return pointed(head, read_addresses(options.address, "address"), ttl)
    if options.cname is not None and head.question is not None:
        return message(head, 0, (record(CNAME, ttl, as_name(options.cname)),))
    return None


def edited(head: DnsHead, reply: bytes, options: Options) -> bytes | None:
    """The upstream's answer with other addresses, lifetimes, or fewer records."""
    made = replaced(head, options)
    if made is not None or options.address is not None or options.cname is not None:
        return made
    data = bytearray(reply[2:] if head.stream else reply)
    records = list(records_of(bytes(data)))
    if options.ttl is not None:
        ttl = _seconds(options.ttl, 0).to_bytes(4, "big")
        for one in records:
            if one.type != OPT:
                data[one.ttl_at : one.ttl_at + 4] = ttl
    if options.keep is not None:
        _keep(data, options.keep)
    return framed(head, bytes(data))


def _keep(data: bytearray, most: int) -> None:
    """Only the first addresses; what leads to them (CNAME) stays.

    What is behind them goes as well, for it may point into what is gone; not so the OPT record.
    """
    kept = found = end = 0
    opt = b""
    for one in records_of(bytes(data)):
        if one.type == OPT:
            opt = bytes(data[one.start : one.end])
        elif one.section == 1 and not end:
            found += one.type in (A, AAAA)
            if found > most:
                end = one.start
            else:
                kept += 1
    if end:
        data[end:] = opt
        data[6:12] = HEADER.pack(0, 0, 0, kept, 0, bool(opt))[6:]


def rerendered(head: Head, kept: bytes) -> bytes | None:
    """A kept answer with this query's id and the letters of its question."""
    if not isinstance(head, DnsHead) or head.question is None:
        return None
    at = 2 if head.stream else 0
    question = head.question.raw
    if kept[at + 12 : at + 12 + len(question)].lower() != question.lower():
        return None
    body = kept[at + 12 + len(question) :]
    return kept[:at] + head.data[:2] + kept[at + 2 : at + 12] + question + body
