"""Read a target's proof: its file, from one of its addresses, or a TXT record of its name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from rascal.load.plan import Plan
from rascal.load.targets import LONGEST_PROOF, PROOF


async def fetch_proof(reactor: Any, plan: Plan, address: str, port: int, patience: float) -> str:
    """The text of the file; "" if there is none. Redirects are not followed: a proof that lies
    elsewhere proves nothing."""
    url = urlsplit(plan.target)
    place = f"{url.scheme}://{url.netloc}{PROOF}".encode("ascii", "replace")
    agent = Agent.usingEndpointFactory(reactor, _At(reactor, plan, address, port, patience))
    asked = agent.request(b"GET", place, Headers({b"User-Agent": [b"rascal"]}))
    body = _Bounded()
    try:
        response: Any = await asked.addTimeout(patience, reactor)
        body.limit = LONGEST_PROOF if response.code == 200 else -1
        response.deliverBody(body)
        return (await body.done.addTimeout(patience, reactor)).decode("utf-8", "replace")
    except Exception:  # whatever went wrong, there is no proof
        body.leave()
        return ""


async def fetch_record(
    reactor: Any, name: str, patience: float, servers: Sequence[tuple[str, int]] | None = None
) -> str:
    """The texts of a name's TXT records, a line each; "" if there are none."""
    from twisted.names import dns
    from twisted.names.client import Resolver

    servers = system_servers() if servers is None else servers
    if not servers:
        return ""
    resolver = Resolver(servers=list(servers), timeout=(1, 3), reactor=reactor)
    try:
        asked = resolver.lookupText(name, timeout=(1, 3))
        answers, _, _ = await asked.addTimeout(patience, reactor)
    except Exception:  # no such name, no answer: there is no proof
        return ""
    found = [
        b"".join(one.payload.data).decode("utf-8", "replace")
        for one in answers[:20]
        if one.type == dns.TXT
    ]
    return "\n".join(found)[:LONGEST_PROOF]


def system_servers(path: str = "/etc/resolv.conf") -> list[tuple[str, int]]:
    """The name servers of this machine."""
    found = []
    with suppress(OSError, UnicodeDecodeError):
        for line in Path(path).read_text("utf-8").splitlines():
            words = line.split()
            if words[:1] == ["nameserver"] and len(words) > 1 and "%" not in words[1]:
                found.append((words[1], 53))
    return found[:3]


@implementer(IAgentEndpointFactory)
class _At:
    """Endpoints at one address; the name stays that of the URL, for TLS as well."""

    def __init__(self, reactor: Any, plan: Plan, address: str, port: int, patience: float) -> None:
        self.reactor = reactor
        self.verify = plan.verify
        self.address = address
        self.port = port
        self.patience = patience

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: N802
        """Twisted's name."""
        kind = TCP6ClientEndpoint if ":" in self.address else TCP4ClientEndpoint
        endpoint = kind(self.reactor, self.address, self.port, self.patience)
        if uri.scheme != b"https":
            return endpoint
        options: Any = (
            optionsForClientTLS(uri.host.decode("ascii"))
            if self.verify
            else CertificateOptions(verify=False)
        )
        return wrapClientTLS(options, endpoint)


class _Bounded(Protocol):
    """Collects a body, and leaves when it is longer than the limit."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred()
        self.limit = 0
        self.parts: list[bytes] = []
        self.size = 0

    def connectionMade(self) -> None:
        """Twisted's name."""
        if self.limit < 0:
            self.leave()

    def dataReceived(self, data: bytes) -> None:
        """Twisted's name."""
        self.parts.append(data)
        self.size += len(data)
        if self.size > self.limit:
            self.leave()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Twisted's name."""
        self.finish(b"".join(self.parts))

    def leave(self) -> None:
        """Close the connection; there is no proof."""
        self.finish(b"")
        if self.transport is not None:
            self.transport.loseConnection()

    def finish(self, body: bytes) -> None:
        """Give what there is, once."""
        if not self.done.called:
            self.done.callback(body)
