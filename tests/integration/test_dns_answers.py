"""What the proxy says in a DNS server's name, held against what unbound says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from dns_servers import UNBOUND, ask, exchange, unbound, version
from fidelity import Fidelity

from rascal.wire.dns import PROTOCOL
from rascal.wire.dns_errors import ERRORS
from rascal.wire.types import ErrorCall

pytestmark = pytest.mark.skipif(not UNBOUND, reason="unbound is not installed")

NOT_PROVOKED = {
    "bogus": "needs signed zones",
    "lame": "RFC 8499; unbound refuses what it does not know",
}
OWN_ZONE = "unbound speaks for this zone itself; the proxy as a resolver that has asked"


def fields(data: bytes) -> dict[str, Any]:
    """An answer in its parts."""
    made = dns.message.from_wire(data)
    found: dict[str, Any] = {
        "rcode": dns.rcode.to_text(made.rcode()),
        "opcode": dns.opcode.to_text(made.opcode()),
        "question": data[12 : 12 + len(made.question[0].name.to_wire() or b"") + 4]
        if made.question
        else b"",
        "answers": [rrset.to_text() for rrset in made.answer],
        "authority": [dns.rdatatype.to_text(rrset.rdtype) for rrset in made.authority],
        "EDNS": made.edns,
        "DO": bool(made.ednsflags & dns.flags.DO),
        "payload": made.payload,
    }
    for flag in ("QR", "AA", "TC", "RD", "RA", "AD", "CD"):
        found[flag] = bool(made.flags & getattr(dns.flags, flag))
    for rrset in made.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            found["zone"] = rrset.name.to_text()
            found["SOA ttl"] = rrset.ttl
            found["SOA minimum"] = rrset[0].minimum
    return found


@pytest.fixture(scope="module")
def table() -> Iterator[Fidelity]:
    made = Fidelity("dns", version(), fields)
    yield made
    made.write()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with unbound(tmp_path_factory.mktemp("unbound")) as one:
        yield one


def ours(name: str, query: bytes, **extra: Any) -> bytes:
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    head = PROTOCOL.datagram(session, query, True)
    return PROTOCOL.answer(session, head, ErrorCall(ERRORS[name], None, extra)).reply


LIKE = {"ttl": 300.0}
CASES: list[tuple[str, str, str, str, dict[str, Any], set[str]]] = [
    ("nxdomain", "a name that is not there", "no.shop.internal", "A", LIKE, {"AA", "SOA minimum"}),
    ("nodata", "a name without AAAA", "v4.shop.internal", "AAAA", LIKE, {"AA", "SOA minimum"}),
    ("refused", "a zone that is refused", "x.refused.internal", "A", {}, {"AA"}),
    ("servfail", "a zone whose server fails", "x.down.internal", "A", {}, set()),
    ("truncated", "a TXT of 1.5 kB", "big.shop.internal", "TXT", {}, {"AA"}),
]


@pytest.mark.parametrize("edns", [False, True])
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_errors(table: Fidelity, port: int, case: Any, edns: bool) -> None:
    error, provoked, name, kind, extra, differing = case
    spelled = "".join(c.upper() if n % 3 else c for n, c in enumerate(name))
    query = dns.message.make_query(spelled, kind, use_edns=edns, want_dnssec=edns, id=1)
    query.flags |= dns.flags.CD
    data = query.to_wire()
    reasons = {"AA": OWN_ZONE, "SOA minimum": "the proxy's is its ttl"}
    told = f"{provoked}{', with EDNS and DO' if edns else ''}"
    differs = {one: reasons[one] for one in differing}
    table.hold(error, told, exchange(port, data), ours(error, data, **extra), differs=differs)


def test_operations_that_are_not_there(table: Fidelity, port: int) -> None:
    query = dns.message.make_query("db.shop.internal", "A", id=1)
    query.set_opcode(dns.opcode.STATUS)
    data = query.to_wire()
    table.hold("notimp", "STATUS", exchange(port, data), ours("notimp", data))


def test_queries_that_are_not_understood(table: Fidelity, port: int) -> None:
    data = dns.message.make_query("db.shop.internal", "A", use_edns=0, id=1).to_wire()
    question = data[12:-11]
    two = data[:4] + b"\0\2" + data[6:12] + question + data[12:]
    table.hold("formerr", "two questions", exchange(port, two), ours("formerr", two))


def test_every_error_was_provoked_or_cannot_be() -> None:
    provoked = {case[0] for case in CASES} | {"notimp", "formerr"}
    assert provoked.isdisjoint(NOT_PROVOKED)
    assert provoked | set(NOT_PROVOKED) == set(ERRORS)


def test_an_address_instead_looks_like_one(port: int) -> None:
    for edns in (False, True):
        query = dns.message.make_query("db.shop.internal", "A", use_edns=edns)
        real = ask_as(port, query)
        session = PROTOCOL.session(PROTOCOL.options.plain({}))
        options = PROTOCOL.replace_options.plain({"address": "127.0.0.1", "ttl": 300.0})
        head = PROTOCOL.datagram(session, query.to_wire(), True)
        injected = PROTOCOL.replacement(session, head, options)
        assert injected is not None
        assert {**fields(real), "AA": False} == fields(injected)


def ask_as(port: int, query: dns.message.Message) -> bytes:
    return exchange(port, query.to_wire())


def test_the_server_over_tcp(port: int) -> None:
    assert fields(ask(port, "big.shop.internal", "TXT", tcp=True))["TC"] is False
