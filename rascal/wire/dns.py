"""DNS over UDP and TCP.

The proxy listens on both, on one port, and speaks to the upstream as it is spoken to. A query with
its answer is an exchange, by its id; over TCP answers may come in another order than the queries,
and one that a fault holds back holds those behind it, which over UDP pass it.
A server that does not answer is `lose_request` (of one query; clients try again) or `hang`.

`answers` points names at addresses of your choice, such as Rascal's own proxies: set it as the
resolver of an application, and all that this speaks to goes through them.

```ini
[proxy:names]
protocol = dns
listen = 127.0.0.53:5300
upstream = 192.168.1.1:53
answers = db.shop.internal=127.0.0.1, *.cache.shop.internal=127.0.0.2
```

A name in `answers` has these addresses and no others: a question for the other family, or for
HTTPS records, finds nothing. The upstream is asked all the same, and faults come after: an
NXDOMAIN of its own does not count, one that a fault says does.

What is sent in the name of a server echoes the question byte by byte (resolvers that vary the case
of letters check it), and says EDNS where the query does. Messages that are no DNS pass, which is
noted; over TCP their connection is relayed as bytes.

Source: RFC 1035, RFC 2308, RFC 6891 (EDNS), RFC 7766 (TCP), RFC 8914 (extended errors).
"""

from __future__ import annotations

from rascal.errors import ConfigError
from rascal.options import Option, Options, OptionTable
from rascal.wire.dns_answers import (
    edited,
    error_answer,
    message,
    pointed,
    replaced,
    rerendered,
    soa,
)
from rascal.wire.dns_errors import ERRORS, error_named
from rascal.wire.dns_messages import TYPES, as_name
from rascal.wire.dns_session import DnsHead, DnsSession, read_addresses, read_answers, read_head
from rascal.wire.dns_stream import StreamCodec
from rascal.wire.types import (
    COMMON_FIELDS,
    UDP_OPTIONS,
    Answer,
    Codec,
    ErrorCall,
    ErrorSpec,
    Field,
    Head,
    Ledger,
    WireProtocol,
)


class Dns(WireProtocol):
    """The protocol as the rest of Rascal sees it."""

    name = "dns"
    title = "DNS"
    carriers = ("udp", "tcp")
    usual = frozenset(TYPES.values())
    fields = (
        *COMMON_FIELDS,
        Field("command", "word", "QUERY, NOTIFY, UPDATE …", folded=True),
        Field("name", "name", "the name that is asked for, without a last dot", folded=True),
        Field("type", "word", "A, AAAA, MX, SRV …; others as TYPE65280", folded=True),
        Field("transport", "word", "udp or tcp", folded=True),
        Field("size", "size", "bytes of the query"),
        Field("edns", "flag", "the query says EDNS"),
        Field("rcode", "word", "NOERROR, NXDOMAIN, SERVFAIL …", "reply", True),
        Field("answers", "number", "records in the answer section", "reply"),
        Field("address", "text", "the addresses in it, any of several", "reply"),
        Field("ttl", "number", "the shortest lifetime in it, seconds", "reply"),
        Field("truncated", "flag", "it says TC: come again over TCP", "reply"),
        Field("authoritative", "flag", "it says AA", "reply"),
    )
    errors = ERRORS
    options = OptionTable(
        Option("answers", "text", "name=address, …: names that the proxy points elsewhere"),
        Option("answers_ttl", "duration", "lifetime of these answers", 0.0, minimum=0),
        *UDP_OPTIONS,
    )
    error_options = OptionTable(
        Option("ttl", "duration", "how long NXDOMAIN and NODATA may be kept; unset: an hour"),
        Option("zone", "text", "whose SOA they carry; unset: the name without its first label"),
        Option("extended", "count", "an extended error, such as 22 (no reachable authority)"),
        Option("edns", "flag", "say EDNS where the query does", True),
    )
    replace_options = OptionTable(
        Option("address", "text", "the addresses instead, of A and AAAA: 10.0.0.9 or several"),
        Option("cname", "text", "an alias instead, whatever is asked for"),
        Option("ttl", "duration", "lifetime of the records; alone: of those that the upstream has"),
        Option("keep", "positive", "at reply: so many addresses of those that the upstream has"),
    )

    def session(self, options: Options) -> DnsSession:
        table = read_answers(getattr(options, "answers", None))
        return DnsSession(table, int(getattr(options, "answers_ttl", None) or 0))

    def codecs(self, session: DnsSession, ledger: Ledger) -> tuple[Codec, Codec]:
        return (
            StreamCodec(self, session, ledger, True),
            StreamCodec(self, session, ledger, False),
        )

    def datagram(self, session: DnsSession, data: bytes, to_upstream: bool) -> Head:
        return read_head(data, False, to_upstream)

    def classed(self, head: Head) -> str:
        """By the type that is asked for."""
        return str(head.value("type") or head.command)

    def rewrites(self, options: Options) -> tuple[bool, bool]:
        return (False, bool(read_answers(getattr(options, "answers", None))))

    def rewrite_head(self, session: DnsSession, head: Head, data: bytes) -> bytes | None:
        """The answer of the proxy's own table."""
        if not isinstance(head, DnsHead) or head.question is None:
            return None
        addresses = session.addresses(head.question.name)
        return None if addresses is None else pointed(head, addresses, session.ttl)

    def error(self, name: str) -> ErrorSpec | None:
        return error_named(name)

    def answer(self, session: DnsSession, head: Head, call: ErrorCall) -> Answer:
        assert isinstance(head, DnsHead)
        return Answer(error_answer(head, call))

    def empty(self, session: DnsSession, head: Head) -> bytes | None:
        """NODATA."""
        if not isinstance(head, DnsHead) or head.command != "QUERY":
            return None
        return message(head, 0, (), soa(head, None, 60))

    def replacement(self, session: DnsSession, head: Head, options: Options) -> bytes | None:
        return replaced(head, options) if isinstance(head, DnsHead) else None

    def edited(
        self, session: DnsSession, head: Head, reply: bytes, options: Options
    ) -> bytes | None:
        return edited(head, reply, options) if isinstance(head, DnsHead) else None

    def check_options(self, kind: str, options: Options) -> None:
        for option in ("zone", "cname"):
            given = getattr(options, option, None)
            try:
                as_name(given or "")
            except ValueError as error:
                raise ConfigError(str(error), option=option, value=given) from None
        if kind == "replace":
            if options.address is not None:
                read_addresses(options.address, "address")
            if all(getattr(options, name, None) is None for name in self.replace_options):
                raise ConfigError(
                    "replace takes one of address, cname, ttl and keep", option="address"
                )

    def rerender(self, session: DnsSession, head: Head, kept: bytes) -> bytes | None:
        return rerendered(head, kept)


PROTOCOL: WireProtocol = Dns()
