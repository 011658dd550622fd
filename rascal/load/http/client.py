"""What a process's load goes out through: connections, names, TLS, time-outs, prepared requests.

One client serves all users of a run in this process; each user has a `Session` on top of it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed

from rascal.load.http.connections import Connection
from rascal.load.http.names import Names
from rascal.load.http.pools import Pool
from rascal.load.http.urls import SENSITIVE, Headers, Origin, Urls, header_line
from rascal.load.http.wheel import Wheel
from rascal.load.http.wire import BODY_LIMIT, Head, Held
from rascal.load.plan import Plan

Allowed = Callable[[str, str], None]
"""(host, address): raises TargetError if load must not go there. For a UNIX socket the host is
"localhost" and the address its path."""

POOLS = 1024
DEFAULTS = {"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "rascal"}


def allow_all(host: str, address: str) -> None:
    """For tests and for callers that have checked."""


class Client:
    """The load client of one process and run.

    Attributes:
        opened: connections opened; resent: requests sent again because a kept connection turned
            out closed.
        body_limit: longest body that is accepted; discard: read bodies, but keep none.
    """

    def __init__(self, reactor: Any, plan: Plan, allowed: Allowed = allow_all) -> None:
        self.reactor = reactor
        self.now: Callable[[], float] = reactor.seconds
        self.plan = plan
        self.allowed = allowed
        self._ask = getattr(allowed, "ask", None)
        self.timeout = plan.timeout
        self.connect_timeout = plan.connect_timeout
        self.resend = plan.resend
        self.per_user = plan.connections == "user"
        self.persistent = plan.connections != "none"
        self.body_limit = BODY_LIMIT
        self.held = Held()
        self.discard = False
        if hasattr(reactor, "holders"):
            reactor.holders += 1
        self.heads: dict[bytes, Head] = {}
        self.names = Names(reactor, self.now)
        self.wheel = Wheel(reactor, self.now)
        self.connections: set[Connection] = set()
        self.opened = 0
        self.resent = 0
        self.closed = False
        self._pools: dict[str, Pool] = {}
        self._urls: dict[str, Urls] = {}
        self._tls: ssl.SSLContext | None = None
        self.own_trust: ssl.SSLContext | None = None
        """The context that was set as `tls`."""
        self._stock: dict[Origin | None, Any] = {}

    def prove(self, host: str, port: int, tls: bool, address: str) -> Deferred[bool] | None:
        """Whether a host that is not allowed proves itself at this address; None: it cannot."""
        if self._ask is None:
            return None
        name = f"[{host}]" if ":" in host else host
        base = f"{'https' if tls else 'http'}://{name}:{port}"
        asked: Deferred[bool] | None = self._ask(self.reactor, self.plan, base, host, address)
        return asked

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return sum(1 for entry in self.wheel.entries() if hasattr(entry, "call"))

    @property
    def tls(self) -> ssl.SSLContext:
        """Trust of the system (SSL_CERT_FILE and the like), or none is asked for."""
        if self._tls is None:
            context = ssl.create_default_context()
            context.set_alpn_protocols(["http/1.1"])
            if not self.plan.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._tls = context
        return self._tls

    @tls.setter
    def tls(self, context: ssl.SSLContext) -> None:
        self._tls = self.own_trust = context

    def stock(self, origin: Origin | None) -> Any:
        """Twisted's Agent, for what this client does not do; with the same checks and trust.
        For a UNIX socket one of its own."""
        found = self._stock.get(origin)
        if found is None:
            from rascal.load.http.stock import StockAgent

            found = self._stock[origin] = StockAgent(self, origin)
        return found

    def urls(self, base: str) -> Urls:
        """The prepared requests below this base."""
        found = self._urls.get(base)
        if found is None:
            named: dict[str, str] = dict(DEFAULTS)
            if not self.persistent:
                named["Connection"] = "close"
            own = _headers(named, self.plan.headers)
            foreign = Headers({k: v for k, v in own.named.items() if k not in SENSITIVE})
            found = self._urls[base] = Urls(base, own, foreign)
        return found

    def pool(self, origin: Origin) -> Pool:
        """The connections that all users share."""
        found: Pool | None = origin.pool
        if found is None:
            found = self._pools.get(origin.text)
            if found is None:
                if len(self._pools) >= POOLS:
                    self._drop_pools()
                found = self._pools[origin.text] = Pool(self, origin, self.persistent)
            origin.pool = found
        return found

    def _drop_pools(self) -> None:
        """Forget those with nothing idle and nobody waiting (redirects to ever new hosts)."""
        for text, pool in list(self._pools.items()):
            pool.idle = [one for one in pool.idle if not one.closed]
            if not (pool.idle or pool.waiting or pool.dials):
                del self._pools[text]

    def later(self, what: Callable[..., None], *arguments: Any) -> None:
        """Call it in the next turn of the reactor."""
        self.reactor.callLater(0, what, *arguments)

    def close(self) -> Deferred[None]:
        """End all: requests under way are cancelled, connections closed."""
        if self.closed:
            return succeed(None)
        self.closed = True
        if hasattr(self.reactor, "holders"):
            self.reactor.holders -= 1
        for entry in list(self.wheel.entries()):
            entry.abandon()
        self.wheel.close()
        for connection in list(self.connections):
            connection.close()
        self._pools.clear()
        stock = [agent.close() for agent in self._stock.values()]
        return DeferredList(stock).addCallback(lambda _: None) if stock else succeed(None)


def _headers(*sources: Mapping[str, str]) -> Headers:
    named: dict[bytes, bytes] = {}
    for source in sources:
        for name, value in source.items():
            lower, line = header_line(name, value)
            named[lower] = line
    return Headers(named)
