"""Whom load may be sent to: who sends it must allow it, unless it stays on this machine.

An address is allowed if it is loopback (or a UNIX socket); if it lies in a network, or its host
name fits a pattern, that the operator of this process allowed; or if the target proves that it
belongs to whoever holds the token that panel and agents share, by a file that holds the token's
fingerprint:

    $ curl http://shop.test/.well-known/rascal-target
    sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

or by the same text in a TXT record of `_rascal-target.HOST`, which proves the name and not its
addresses: whoever answers for a network lists that network instead.

The check is made on the address that is really connected to, for every connection and thus again
after redirects; so a name that resolves to another address later is asked again. The proof counts
for the host and the addresses it was read from, and for a day (rascal.load.known_proofs).
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import attrs

from rascal.errors import ConfigError, ConfigErrors, LoadError
from rascal.load.plan import Plan

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from rascal.load.known_proofs import KnownProofs

PROOF = "/.well-known/rascal-target"
LONGEST_PROOF = 4096
RECORD = "_rascal-target"
"""The name below the host's whose TXT record holds the same."""
PATIENCE = 5.0
"""Seconds for each step of a check."""
AGAIN = 60.0
"""Seconds until a host that showed no proof is asked again."""
ASKED = 1000
"""Hosts that are remembered to have shown none."""
_SCHEMES = ("http", "https", "http+unix", "https+unix")
_PATTERN = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class TargetError(LoadError):
    """The target cannot be reached, or load to it is not allowed."""


def fingerprint(token: str | bytes) -> str:
    """What the proof file on the target holds: it tells who, and gives nothing away."""
    raw = token.encode() if isinstance(token, str) else token
    return "sha256:" + hashlib.sha256(b"rascal-target:" + raw).hexdigest()


class Targets:
    """The rule of one process. Call it with the host of the URL and the address of a connection.

    Args:
        allow: host names (`shop.test`, `*.shop.test`), addresses and networks.
        token: the token shared with the targets' owners, if there is one.
        known: proofs of the last day; None: targets are asked each time.

    Raises ConfigErrors if `allow` holds something else.
    """

    def __init__(
        self,
        allow: Iterable[str] = (),
        token: str | bytes | None = None,
        known: KnownProofs | None = None,
    ) -> None:
        self.networks: list[Network] = []
        self.hosts: set[str] = set()
        self.token = token
        self.known = known
        self.name_servers: list[tuple[str, int]] | None = None
        """For TXT records; None: those of the system."""
        self._proven: set[tuple[str, str]] = set()
        self._none: dict[tuple[str, str], float] = {}
        """Who showed no proof, and when."""
        self._asking: dict[tuple[str, str], list[Deferred[bool]]] = {}
        findings = []
        for pattern in allow:
            try:
                self.networks.append(ipaddress.ip_network(pattern.strip().strip("[]"), False))
                continue
            except ValueError:
                pass
            name = pattern.strip().lower()
            if _PATTERN.fullmatch(name) and not _numeric(name):
                self.hosts.add(name.rstrip("."))
            else:
                findings.append(
                    ConfigError(
                        f"'{pattern}' is neither a host (shop.test, *.shop.test) nor an address "
                        "or network (10.1.0.0/16); ports and URLs do not belong here",
                        option="allow",
                        value=pattern,
                    )
                )
        if findings:
            raise ConfigErrors(findings)

    def __call__(self, host: str, address: str) -> None:
        """Raise TargetError unless load to this address, connected to as `host`, is allowed."""
        if not self.permits(host, address):
            raise TargetError(refusal(host, address))

    def permits(self, host: str, address: str) -> bool:
        """Whether it is allowed. `address` is an IP address, or the path of a UNIX socket."""
        if not address or address.startswith(("/", "unix:", "\0", "@")):
            return True
        try:
            found = _mapped(ipaddress.ip_address(address.strip("[]")))
        except ValueError:
            return False
        if found.is_loopback or found.is_unspecified:
            return True  # an unspecified address connects to this machine
        if any(found in network for network in self.networks):
            return True
        name = host.lower().strip("[]").rstrip(".")
        if (name, str(found)) in self._proven:
            return True
        return name in self.hosts or any(
            f"*.{name[cut + 1 :]}" in self.hosts for cut, c in enumerate(name) if c == "."
        )

    def proven(self, host: str, address: str) -> None:
        """The target has shown its proof there."""
        self._proven.add(_where(host, address))

    async def check(self, reactor: Any, plan: Plan) -> None:
        """Before load starts: the target resolves, is allowed (or proves itself), takes a
        connection. Raises TargetError with one line that says what to do."""
        url = urlsplit(plan.target)
        patience = min(PATIENCE, plan.connect_timeout)
        if url.scheme.endswith("+unix"):
            await _connect_unix(reactor, plan.target, unquote(url.netloc), patience)
            return
        host = url.hostname or ""
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        addresses = await resolve(reactor, host, port, patience)
        if not addresses:
            raise TargetError(f"target {plan.target}: the name '{host}' has no address")
        for address in addresses:
            if self.permits(host, address):
                continue
            await self.prove(reactor, plan, address)
        good = [address for address in addresses if self.permits(host, address)]
        if not good:
            raise TargetError(f"target {plan.target}: {refusal(host, addresses[0])}")
        await _connect_one(reactor, plan.target, good, port, patience)

    async def prove(self, reactor: Any, plan: Plan, address: str, *, fresh: bool = False) -> str:
        """Let the plan's target prove itself at this address: how it did ("file", "dns"), or "".

        Args:
            fresh: ask it whatever is known.
        """
        if self.token is None:
            return ""
        from rascal.load.proof import fetch_proof, fetch_record

        url = urlsplit(plan.target)
        host, place = _where(url.hostname or "", address)
        if not fresh and self.known is not None and self.known.holds(host, place):
            self.proven(host, place)
            return "known"
        port = url.port or (443 if url.scheme == "https" else 80)
        how, wanted = "", fingerprint(self.token)
        if wanted in _lines(await fetch_proof(reactor, plan, address, port, PATIENCE)):
            how = "file"
        elif not _literal(host):
            name = f"{RECORD}.{host}"
            found = await fetch_record(reactor, name, PATIENCE, self.name_servers)
            how = "dns" if wanted in _lines(found) else ""
        if how:
            self.proven(host, place)
        if self.known is not None:
            if how:
                self.known.add(host, place, how)
            else:
                self.known.drop(host, place)
        return how

    def ask(
        self, reactor: Any, plan: Plan, base: str, host: str, address: str
    ) -> Deferred[bool] | None:
        """While load runs: whether a host that nobody allowed (of a redirect, or one whose name
        leads elsewhere now) proves itself there. None: it has not, a moment ago, or cannot.

        Args:
            base: scheme, host and port, as a URL.
        """
        from twisted.internet.defer import Deferred

        where = _where(host, address)
        asked = self._none.get(where)
        if self.token is None or (asked is not None and reactor.seconds() - asked < AGAIN):
            return None
        waiting: Deferred[bool] = Deferred()
        if where in self._asking:
            self._asking[where].append(waiting)
            return waiting
        self._asking[where] = [waiting]
        other = attrs.evolve(plan, target=base)

        def told(how: Any) -> None:
            well = isinstance(how, str) and bool(how)
            if not well:
                while len(self._none) >= ASKED:
                    self._none.pop(next(iter(self._none)))
                self._none[where] = reactor.seconds()
            for one in self._asking.pop(where):
                if not one.called:
                    one.callback(well)

        Deferred.fromCoroutine(self.prove(reactor, other, address)).addBoth(told)
        return waiting


def _where(host: str, address: str) -> tuple[str, str]:
    return host.lower().strip("[]").rstrip("."), str(_mapped(ipaddress.ip_address(address)))


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines()}


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def refusal(host: str, address: str) -> str:
    """The one line that says why not, and how."""
    name = host if host.strip("[]") == address else f"{host} ({address})"
    return (
        f"load to {name} is not allowed from here: allow it with --allow {host or address} "
        f"(agents: targets = in [agent]), or let the target prove itself at {PROOF}"
    )


def target_problems(target: str) -> list[str]:
    """What is wrong with a base URL."""
    example = "http://127.0.0.1:8080"
    if any(c.isspace() or ord(c) < 33 for c in target):
        return [f"the target '{target}' holds blanks: write a base URL such as {example}"]
    try:
        url = urlsplit(target)
        port = url.port
    except ValueError as error:
        return [f"the target '{target}' is no URL ({error}): write one such as {example}"]
    if url.scheme not in _SCHEMES or not url.netloc:
        return [
            f"the target '{target}' is no base URL: write http://HOST[:PORT], https://… or "
            "http+unix://%2Frun%2Fapp.sock"
        ]
    problems = []
    if url.username is not None or url.password is not None:
        problems.append("the target holds a password: send it as a header, from the scenario")
    if url.query or url.fragment:
        problems.append(f"the target '{target}' is a base URL: no '?' and no '#'")
    if not url.hostname or port == 0:
        problems.append(f"the target '{target}' names no host and port")
    return problems


async def resolve(reactor: Any, host: str, port: int, patience: float) -> list[str]:
    """The addresses of a name, in the resolver's order; of an address itself."""
    from twisted.internet.defer import Deferred, TimeoutError
    from twisted.internet.interfaces import IResolutionReceiver
    from zope.interface import implementer

    try:
        return [str(ipaddress.ip_address(host.strip("[]")))]
    except ValueError:
        pass

    @implementer(IResolutionReceiver)
    class Receiver:
        def __init__(self) -> None:
            self.found: list[str] = []
            self.done: Deferred[list[str]] = Deferred()

        def resolutionBegan(self, resolution: Any) -> None:
            pass

        def addressResolved(self, address: Any) -> None:
            if address.host not in self.found:
                self.found.append(address.host)

        def resolutionComplete(self) -> None:
            if not self.done.called:
                self.done.callback(self.found)

    receiver = Receiver()
    reactor.nameResolver.resolveHostName(receiver, host, port)
    try:
        return await receiver.done.addTimeout(patience, reactor)
    except TimeoutError:
        return []


async def _connect_one(
    reactor: Any, target: str, addresses: list[str], port: int, patience: float
) -> None:
    """A connection to one of the addresses, closed at once."""
    from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint

    problem = ""
    for address in addresses[:4]:
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        problem = await _connect(reactor, kind(reactor, address, port, patience), patience)
        if not problem:
            return
        problem = f"{address}:{port}: {problem}"
    raise TargetError(f"target {target} cannot be reached: {problem}")


async def _connect_unix(reactor: Any, target: str, path: str, patience: float) -> None:
    from twisted.internet.endpoints import UNIXClientEndpoint

    problem = await _connect(reactor, UNIXClientEndpoint(reactor, path, patience), patience)
    if problem:
        raise TargetError(f"target {target} cannot be reached: {path}: {problem}")


async def _connect(reactor: Any, endpoint: Any, patience: float) -> str:
    """What is in the way of a connection; nothing if it comes about."""
    from twisted.internet import error
    from twisted.internet.defer import CancelledError, Deferred, TimeoutError
    from twisted.internet.protocol import Factory, Protocol

    gone: Deferred[None] = Deferred()

    class Visit(Protocol):
        def connectionLost(self, reason: Any = None) -> None:
            gone.callback(None)

    try:
        visit: Any = await endpoint.connect(Factory.forProtocol(Visit)).addTimeout(
            patience, reactor
        )
    except (error.TimeoutError, TimeoutError, CancelledError):
        return f"no answer within {patience:g} s"
    except error.ConnectionRefusedError:
        return "connection refused"
    except error.ConnectError as problem:
        return str(problem.osError or problem).rstrip(".") or type(problem).__name__
    visit.transport.abortConnection()
    await gone
    return ""


def _mapped(address: IP) -> IP:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def _numeric(name: str) -> bool:
    """Digits and dots alone are a mistyped address, not a name."""
    return not any(c.isalpha() for c in name)
