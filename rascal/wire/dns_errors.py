"""What resolvers and servers answer when they do not answer: RCODEs, and the shapes of nothing.

Source: RFC 1035 4.1.1, RFC 2308 (NXDOMAIN, NODATA: the SOA says how long it may be kept), RFC 8914
(extended errors). tests/integration/test_dns_answers.py holds them against unbound.
"""

from __future__ import annotations

from rascal.wire.dns_messages import RCODES
from rascal.wire.types import ErrorSpec

_QUERY = ("QUERY",)


def _spec(
    name: str, code: int, text: str, help: str, source: str, commands: tuple[str, ...] = ()
) -> ErrorSpec:
    return ErrorSpec(name, str(code), text, help, source, commands=commands)


_ALL = (
    _spec(
        "nxdomain",
        3,
        "NXDOMAIN, SOA in authority",
        "the name does not exist; resolvers keep that for `ttl`, so recovery is slow",
        "RFC 2308 2.1",
        _QUERY,
    ),
    _spec(
        "nodata",
        0,
        "NOERROR, no answer, SOA in authority",
        "the name exists and has nothing of this type",
        "RFC 2308 2.2",
        _QUERY,
    ),
    _spec(
        "servfail",
        2,
        "SERVFAIL",
        "the resolver could not find out: upstream servers are down, or time ran out",
        "RFC 1035 4.1.1",
    ),
    _spec(
        "bogus",
        2,
        "SERVFAIL, extended error 6",
        "DNSSEC says that the answer is forged",
        "RFC 8914 4.7",
        _QUERY,
    ),
    _spec("refused", 5, "REFUSED", "not for this client, or not this server's", "RFC 1035 4.1.1"),
    _spec("formerr", 1, "FORMERR", "the server does not understand the query", "RFC 1035 4.1.1"),
    _spec("notimp", 4, "NOTIMP", "the server does not do this kind of query", "RFC 1035 4.1.1"),
    _spec(
        "truncated",
        0,
        "NOERROR, TC",
        "the answer does not fit: clients come again over TCP",
        "RFC 1035 4.2.1",
        _QUERY,
    ),
    _spec(
        "lame",
        0,
        "NOERROR, no answer, the root in authority",
        "a server that is named for a zone and knows nothing of it",
        "RFC 8499 7",
        _QUERY,
    ),
)

ERRORS = {spec.name: spec for spec in _ALL}
_BY_RCODE = {name.lower(): number for number, name in RCODES.items()}


def error_named(name: str) -> ErrorSpec | None:
    """By name, in either case, or by RCODE from 1 to 15."""
    name = name.lower()
    if name in ERRORS:
        return ERRORS[name]
    number = int(name) if name.isdigit() and len(name) < 3 else _BY_RCODE.get(name, 0)
    if not 0 < number < 16:
        return None
    known = RCODES.get(number, f"RCODE{number}").lower()
    return ERRORS.get(known) or ErrorSpec(
        known, str(number), known.upper(), "any other RCODE", "RFC 6895 2.3"
    )
