"""DNS: heads, answers that the proxy makes and changes, the stream over TCP. dnspython judges."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from books import Books, bytewise, cuts
from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.errors import ConfigError, ProtocolError
from rascal.faults.build import build_fault, tables
from rascal.language import parse
from rascal.wire.dns import PROTOCOL
from rascal.wire.dns_errors import ERRORS
from rascal.wire.dns_messages import as_name, name_at, question_of, records_of
from rascal.wire.dns_session import read_answers
from rascal.wire.types import ErrorCall

NAME = "db.shop.internal"


def query(name: str = NAME, kind: str = "A", **more: Any) -> dns.message.Message:
    more.setdefault("use_edns", False)
    more.setdefault("id", 4711)
    return dns.message.make_query(name, kind, **more)


def reply(asked: dns.message.Message, *records: str, rcode: int = 0) -> dns.message.Message:
    made = dns.message.make_response(asked, recursion_available=True)
    made.set_rcode(rcode)
    for text in records:
        name, ttl, kind, value = text.split(" ", 3)
        made.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, value))
    return made


def head_of(message: dns.message.Message | bytes, to_upstream: bool = True) -> Any:
    data = message if isinstance(message, bytes) else message.to_wire()
    return PROTOCOL.datagram(session(), data, to_upstream)


def session(**options: Any) -> Any:
    return PROTOCOL.session(PROTOCOL.options.plain(options))


def values(head: Any, *names: str) -> list[Any]:
    return [head.value(name) for name in names]


# -- heads ----------------------------------------


def test_fields_of_a_query() -> None:
    head = head_of(query("Db.Shop.Internal", "AAAA", use_edns=0))
    assert values(head, "command", "name", "type", "transport", "edns") == [
        "QUERY",
        "Db.Shop.Internal",
        "AAAA",
        "udp",
        True,
    ]
    assert head.value("size") == len(head.data)
    assert head.value("rcode") is None
    assert values(head_of(query(".", "NS")), "name", "type", "edns") == [".", "NS", False]
    assert head_of(query("x.", "TYPE65280")).value("type") == "TYPE65280"
    assert PROTOCOL.classed(head) == "AAAA"


def test_fields_of_an_answer() -> None:
    asked = query()
    made = reply(asked, f"{NAME}. 300 A 10.0.0.1", f"{NAME}. 60 A 10.0.0.2")
    made.flags |= dns.flags.AA | dns.flags.TC
    head = head_of(made, False)
    assert values(head, "rcode", "answers") == ["NOERROR", 2]
    assert values(head, "address", "ttl") == [("10.0.0.1", "10.0.0.2"), 60]
    assert values(head, "truncated", "authoritative") == [True, True]
    head = head_of(reply(asked, rcode=3), False)
    assert values(head, "rcode", "answers", "address", "ttl") == ["NXDOMAIN", 0, None, None]
    head = head_of(reply(query(kind="AAAA"), f"{NAME}. 5 AAAA fd00::1"), False)
    assert head.value("address") == ("fd00::1",)


def test_other_operations() -> None:
    asked = query()
    asked.set_opcode(4)
    assert head_of(asked).value("command") == "NOTIFY"
    asked.set_opcode(2)
    assert head_of(asked).value("command") == "STATUS"
    assert head_of(asked).identity() is None
    asked.set_opcode(9)
    assert head_of(asked).value("command") == "OPCODE9"


@pytest.mark.parametrize("data", [b"", b"x" * 11, query().to_wire()[:11]])
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="header"):
        head_of(data)


def test_directions() -> None:
    asked = query()
    with pytest.raises(ProtocolError, match="answer from a client"):
        head_of(reply(asked))
    with pytest.raises(ProtocolError, match="query from a server"):
        head_of(asked, False)


def test_questions_that_are_cut_off() -> None:
    data = query().to_wire()
    for size in range(12, len(data)):
        head = head_of(data[:size])
        assert head.value("name") is None
        assert head.identity() is None
    assert head_of(b"\0\1\1\0" + b"\0" * 8).value("name") is None


@pytest.mark.parametrize(
    "name",
    [b"\xc0\x0c", b"\xc0", b"\x01a\xc0\x0c", b"\x40a", b"\x3f" + b"x" * 10, b"\x01a" * 200],
)
def test_names_that_go_nowhere(name: bytes) -> None:
    with pytest.raises(ValueError, match=r"name|label"):
        name_at(b"\0" * 12 + name, 12)


def test_names() -> None:
    assert as_name("a.bc.") == b"\x01a\x02bc\0"
    assert as_name("") == as_name(".") == b"\0"
    assert as_name("bücher.example") == b"\x0dxn--bcher-kva\x07example\0"
    for wrong in ("a..b", "x" * 64, ".".join(["abc"] * 70)):
        with pytest.raises((ValueError, UnicodeError)):
            as_name(wrong)
    assert name_at(b"\x03a.b\x01c\0", 0)[0] == "a\\.b.c"


def test_records_are_those_of_dnspython() -> None:
    asked = query("www.example.org", "A", use_edns=0)
    made = reply(asked, "www.example.org. 5 CNAME x.example.org.", "x.example.org. 9 A 10.0.0.1")
    data = made.to_wire()
    found = [(r.section, r.type, r.ttl) for r in records_of(data)]
    assert found == [(1, 5, 5), (1, 1, 9), (3, 41, 0)]
    for size in range(len(data)):
        assert len(list(records_of(data[:size]))) <= 3


def test_the_same_question() -> None:
    asked = head_of(query("DB.shop.internal"))
    assert asked.identity() == head_of(query(NAME)).identity()
    for other in (
        query(kind="AAAA"),
        query("x"),
        query(use_edns=0),
        query(use_edns=0, payload=4000),
    ):
        assert asked.identity() != head_of(other).identity()


# -- answers ----------------------------------------


def answered(asked: dns.message.Message, name: str, text: str | None = None, **extra: Any) -> Any:
    spec = PROTOCOL.error(name)
    assert spec is not None
    call = ErrorCall(spec, text, extra)
    return checked(asked, PROTOCOL.answer(session(), head_of(asked), call).reply)


def checked(asked: dns.message.Message, data: bytes) -> dns.message.Message:
    """dnspython reads it, and takes it for an answer to that query."""
    made = dns.message.from_wire(data)
    assert asked.is_response(made)
    assert made.flags & dns.flags.RD == asked.flags & dns.flags.RD
    assert made.flags & dns.flags.CD == asked.flags & dns.flags.CD
    assert (made.edns >= 0) == (asked.edns >= 0)
    raw = question_of(asked.to_wire())
    assert raw is not None
    assert data[12 : 12 + len(raw.raw)] == raw.raw, "letter by letter"
    return made


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("edns", [False, True])
def test_errors(name: str, edns: bool) -> None:
    asked = query("dB.sHOp.internal", "A", use_edns=edns, want_dnssec=edns)
    made = answered(asked, name)
    spec = ERRORS[name]
    assert made.rcode() == int(spec.code)
    assert not made.answer
    assert bool(made.flags & dns.flags.TC) == (name == "truncated")
    assert bool(made.flags & dns.flags.RA) == (name not in ("lame", "formerr", "notimp"))
    negative = name in ("nxdomain", "nodata")
    assert [rrset.rdtype for rrset in made.authority] == (
        [dns.rdatatype.SOA] if negative else [dns.rdatatype.NS] if name == "lame" else []
    )
    assert bool(made.ednsflags & dns.flags.DO) == edns


def test_how_long_nothing_is_kept() -> None:
    made = answered(query(), "nxdomain")
    (soa,) = made.authority
    assert (str(soa.name), soa.ttl, soa[0].minimum) == ("shop.internal.", 3600, 3600)
    (soa,) = answered(query(), "nodata", ttl=86400.0, zone="example.org").authority
    assert (str(soa.name), soa.ttl, soa[0].minimum) == ("example.org.", 86400, 86400)
    (soa,) = answered(query("org"), "nxdomain", zone=".").authority
    assert str(soa.name) == "."


def test_extended_errors() -> None:
    asked = query(use_edns=0)
    (option,) = answered(asked, "bogus").options
    assert (option.code, option.text or "") == (6, "")
    (option,) = answered(asked, "servfail", "no way", extended=22).options
    assert (option.code, option.text) == (22, "no way")
    (option,) = answered(asked, "servfail", "no way").options
    assert (option.code, option.text) == (0, "no way")
    assert not answered(asked, "servfail").options
    assert answered(query(), "bogus").edns < 0, "not to those who do not say EDNS"


def test_a_server_without_edns() -> None:
    asked = query(use_edns=0)
    spec = PROTOCOL.error("formerr")
    assert spec is not None
    call = ErrorCall(spec, None, {"edns": False})
    made = dns.message.from_wire(PROTOCOL.answer(session(), head_of(asked), call).reply)
    assert (made.edns, made.rcode()) == (-1, dns.rcode.FORMERR)


def test_errors_by_code() -> None:
    assert answered(query(), "3").rcode() == dns.rcode.NXDOMAIN
    assert answered(query(), "SERVFAIL").rcode() == dns.rcode.SERVFAIL
    assert answered(query(), "YXRRSET").rcode() == dns.rcode.YXRRSET
    assert answered(query(), "11").rcode() == 11
    for name in ("0", "16", "NOERROR", "x", "", "-1"):
        assert PROTOCOL.error(name) is None


def test_messages_without_a_question() -> None:
    data = b"\x12\x34\x10\x00" + b"\0" * 8  # STATUS
    call = ErrorCall(ERRORS["notimp"])
    made = dns.message.from_wire(PROTOCOL.answer(session(), head_of(data), call).reply)
    assert (made.id, made.rcode(), made.opcode()) == (0x1234, dns.rcode.NOTIMP, 2)
    call = ErrorCall(ERRORS["nxdomain"])
    assert dns.message.from_wire(PROTOCOL.answer(session(), head_of(data), call).reply).id == 0x1234


def options(**given: Any) -> Any:
    return SimpleNamespace(**{"address": None, "cname": None, "ttl": None, "keep": None, **given})


def replaced(asked: dns.message.Message, **given: Any) -> Any:
    data = PROTOCOL.replacement(session(), head_of(asked), options(**given))
    return None if data is None else checked(asked, data)


def texts(made: Any) -> list[str]:
    return [line for rrset in made.answer for line in rrset.to_text().split("\n")]


def test_other_addresses() -> None:
    both = "10.0.0.9, 10.0.0.10, fd00::9"
    made = replaced(query(), address=both)
    assert texts(made) == [f"{NAME}. 60 IN A 10.0.0.9", f"{NAME}. 60 IN A 10.0.0.10"]
    made = replaced(query(kind="AAAA"), address=both, ttl=0.0)
    assert texts(made) == [f"{NAME}. 0 IN AAAA fd00::9"]
    made = replaced(query(kind="AAAA"), address="10.0.0.9")
    assert (made.rcode(), made.answer, len(made.authority)) == (0, [], 1)
    assert texts(replaced(query(kind="HTTPS"), address=both)) == []
    assert replaced(query(kind="MX"), address=both) is None
    made = replaced(query(), cname="other.example.org", ttl=5.0)
    assert texts(made) == [f"{NAME}. 5 IN CNAME other.example.org."]
    assert replaced(query(), ttl=5.0) is None


def test_what_does_not_fit_is_truncated() -> None:
    many = ",".join(f"10.0.0.{n}" for n in range(1, 60))
    made = replaced(query(), address=many)
    assert made.flags & dns.flags.TC
    assert not made.answer
    made = replaced(query(use_edns=0, payload=4096), address=many)
    assert not made.flags & dns.flags.TC
    assert len(texts(made)) == 59


def edited(asked: dns.message.Message, made: dns.message.Message, **given: Any) -> Any:
    data = PROTOCOL.edited(session(), head_of(asked), made.to_wire(), options(**given))
    return None if data is None else checked(asked, data)


def test_lifetimes() -> None:
    asked = query(use_edns=0)
    made = reply(asked, f"{NAME}. 300 CNAME x.org.", "x.org. 9 A 10.0.0.1")
    found = edited(asked, made, ttl=604800.0)
    assert [rrset.ttl for rrset in found.answer] == [604800, 604800]
    assert edited(asked, made, ttl=0.5).answer[0].ttl == 1
    assert found.ednsflags == made.ednsflags
    assert (
        edited(asked, made, address="10.0.0.9").answer[0].to_text() == f"{NAME}. 60 IN A 10.0.0.9"
    )


def test_fewer_addresses() -> None:
    asked = query(use_edns=0)
    addresses = [f"x.org. 9 A 10.0.0.{n}" for n in (1, 2, 3)]
    made = reply(asked, f"{NAME}. 300 CNAME x.org.", *addresses)
    found = edited(asked, made, keep=1)
    assert texts(found) == [f"{NAME}. 300 IN CNAME x.org.", "x.org. 9 IN A 10.0.0.1"]
    assert texts(edited(asked, made, keep=2, ttl=1.0))[1:] == [
        "x.org. 1 IN A 10.0.0.1",
        "x.org. 1 IN A 10.0.0.2",
    ]
    for whole in (made.to_wire(), reply(asked).to_wire()):
        assert PROTOCOL.edited(session(), head_of(asked), whole, options(keep=3)) == whole


def test_nothing() -> None:
    asked = query()
    data = PROTOCOL.empty(session(), head_of(asked))
    assert data is not None
    made = checked(asked, data)
    assert (made.rcode(), made.answer, len(made.authority)) == (0, [], 1)


def test_kept_answers_fit_another_query() -> None:
    first, second = query("db.shop.internal"), query("DB.Shop.INTERNAL")
    kept = reply(first, f"{NAME}. 300 A 10.0.0.1").to_wire()
    data = PROTOCOL.rerender(session(), head_of(second), kept)
    assert data is not None
    assert texts(checked(second, data)) == ["DB.Shop.INTERNAL. 300 IN A 10.0.0.1"]
    assert PROTOCOL.rerender(session(), head_of(query("x")), kept) is None


# -- the proxy's own table ----------------------------------------


def test_names_that_point_elsewhere() -> None:
    table = "db.shop.internal=127.0.0.1, *.cache.shop.internal = 127.0.0.2,v6=::1,v6=127.0.0.3"
    facts = session(answers=table)
    assert PROTOCOL.rewrites(PROTOCOL.options.plain({"answers": table})) == (False, True)
    assert PROTOCOL.rewrites(PROTOCOL.options.plain({})) == (False, False)

    def told(name: str, kind: str = "A", rcode: int = 0) -> Any:
        asked = query(name, kind)
        made = reply(asked, rcode=rcode).to_wire()
        data = PROTOCOL.rewrite_head(facts, head_of(made, False), made)
        return None if data is None else checked(asked, data)

    assert texts(told("DB.shop.internal", rcode=3)) == ["DB.shop.internal. 0 IN A 127.0.0.1"]
    assert told("DB.shop.internal", rcode=3).rcode() == 0
    assert texts(told("a.b.cache.shop.internal")) == ["a.b.cache.shop.internal. 0 IN A 127.0.0.2"]
    assert told("cache.shop.internal") is None
    assert told("xdb.shop.internal") is None
    assert texts(told("db.shop.internal", "AAAA")) == []
    assert texts(told("v6", "AAAA")) == ["v6. 0 IN AAAA ::1"]
    assert told("db.shop.internal", "MX") is None


@pytest.mark.parametrize("given", ["x", "x=", "x=y", "=127.0.0.1", "a*b=127.0.0.1", "*.=::1"])
def test_wrong_tables(given: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_answers(given)
    assert raised.value.option == "answers"


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("replace(address=x)", "address"),
        ("replace(address=10.0.0)", "address"),
        ("replace(cname=a..b)", "cname"),
        ("replace at request", "address"),
        ("error(nxdomain, zone=a..b)", "zone"),
        ("error(nonsense)", "error"),
    ],
)
def test_wrong_options(text: str, option: str) -> None:
    phrase = parse("fault", text, kinds=tables(PROTOCOL), fields=PROTOCOL.fields)
    with pytest.raises(ConfigError, match=r"."):
        build_fault(phrase, PROTOCOL)
    assert option


# -- over TCP ----------------------------------------


def framed(*messages: dns.message.Message) -> bytes:
    found = b""
    for one in messages:
        data = one.to_wire()
        found += len(data).to_bytes(2, "big") + data
    return found


@pytest.mark.parametrize("cut", ["whole", "bytewise"])
def test_a_pipeline_that_is_answered_in_another_order(cut: str) -> None:
    asked = [query(f"{n}.example.org") for n in range(4)]
    for n, one in enumerate(asked):
        one.id = 100 + n
    order = [2, 0, 3, 1]
    up = framed(*asked)
    down = framed(*(reply(asked[n], f"{n}.example.org. 5 A 10.0.0.{n}") for n in order))
    these = Books(PROTOCOL)
    these.up(*(bytewise(up) if cut == "bytewise" else [up]))
    assert list(these.outstanding) == [100, 101, 102, 103]
    these.down(*(bytewise(down) if cut == "bytewise" else [down]))
    assert not these.outstanding
    assert [m.head.value("address") for m in these.replies] == [(f"10.0.0.{n}",) for n in order]
    assert these.requests[0].head.value("transport") == "tcp"
    assert not any(m.head.push for m in these.replies)


def test_further_messages_of_a_transfer_are_asides() -> None:
    asked = query("example.org", "AXFR")
    these = Books(PROTOCOL)
    these.up(framed(asked))
    one = reply(asked)
    these.down(framed(one, one, one))
    assert [m.head.push for m in these.replies] == [False, True, True]


def test_answers_have_their_length() -> None:
    asked = query()
    these = Books(PROTOCOL)
    (message,) = these.up(framed(asked))
    call = ErrorCall(ERRORS["nxdomain"])
    data = PROTOCOL.answer(these.session, message.head, call).reply
    assert int.from_bytes(data[:2], "big") == len(data) - 2
    assert checked(asked, data[2:]).rcode() == 3
    made = framed(reply(asked, f"{NAME}. 300 A 10.0.0.1"))
    data = PROTOCOL.edited(these.session, message.head, made, options(ttl=5.0)) or b""
    assert checked(asked, data[2:]).answer[0].ttl == 5
    data = PROTOCOL.rerender(these.session, message.head, made) or b""
    assert checked(asked, data[2:]).answer


@pytest.mark.parametrize("skims", [False, True])
@pytest.mark.parametrize("data", [b"\0\0", b"\0\x0b" + b"x" * 11, framed(reply(query()))])
def test_streams_that_are_something_else(data: bytes, skims: bool) -> None:
    these = Books(PROTOCOL, skims=skims)
    with pytest.raises(ProtocolError):
        these.up(data)
    assert these.to_upstream.codec.undecided() == data


def test_the_longest_message() -> None:
    data = b"\xff\xff" + query().to_wire().ljust(65535, b"\0")
    these = Books(PROTOCOL)
    these.up(data[:40000], data[40000:])
    assert these.requests[0].data == data


NAMES = st.sampled_from(["a.example.org", "b.example.org", "Db.Shop.internal", ".", "x"])
QUERIES = st.builds(
    lambda name, kind, number, edns: (name, kind, number, edns),
    NAMES,
    st.sampled_from(["A", "AAAA", "TXT", "ANY"]),
    st.integers(0, 5),
    st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(
    asked=st.lists(QUERIES, max_size=6),
    order=st.randoms(use_true_random=False),
    at=st.lists(st.integers(0, 1000), max_size=6),
)
def test_skim_is_feed(asked: list[Any], order: Any, at: list[int]) -> None:
    queries = []
    for name, kind, number, edns in asked:
        one = query(name, kind, use_edns=edns)
        one.id = number
        queries.append(one)
    replies = [reply(one) for one in queries] + [reply(query("unasked", id=77))]
    order.shuffle(replies)
    up, down = framed(*queries), framed(*replies)
    fed, cut, skimmed = Books(PROTOCOL), Books(PROTOCOL), Books(PROTOCOL, skims=True)
    for these, places in ((fed, ()), (cut, at), (skimmed, at)):
        these.up(*cuts(up, *places))
        these.down(*cuts(down, *places))
    assert fed.place() == cut.place() == skimmed.place()
    assert not fed.outstanding
    assert [m.data for m in fed.requests] == [framed(one) for one in queries]
    assert bytes(fed.to_client.handed) == down
    assert sum(m.head.push for m in fed.replies) == 1


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=120), place=st.integers(0, 100), gone=st.integers(0, 4))
def test_whatever_comes_is_read_or_refused(data: bytes, place: int, gone: int) -> None:
    made = reply(query(use_edns=0), f"{NAME}. 300 A 10.0.0.1").to_wire()
    mutated = made[:place] + data + made[place + gone :]
    for raw, to_upstream in ((data, True), (mutated, False), (mutated, True)):
        try:
            head = head_of(raw, to_upstream)
        except ProtocolError:
            continue
        for field in PROTOCOL.fields:
            head.value(field.name)
        head.identity()
        for name in ERRORS:
            answer = PROTOCOL.answer(session(), head, ErrorCall(ERRORS[name])).reply
            assert answer[:2] == raw[:2]
        PROTOCOL.edited(session(), head, mutated, options(keep=1, ttl=1.0))
        PROTOCOL.rerender(session(), head, mutated)
