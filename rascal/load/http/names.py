"""Addresses of hosts: literals at once, names from the reactor's resolver, kept for a while."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from rascal.load.http.errors import UnresolvedError

KEPT = 30.0
"""Seconds that an answer is used."""
MOST = 1024
"""Names that are kept."""

Found = Callable[[tuple[str, ...] | None, Exception | None], None]
"""Told the addresses, or why there are none."""


def is_literal(host: str) -> bool:
    """Whether it is an IPv4 or IPv6 address."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False


class Names:
    """The names that one client has looked up."""

    def __init__(self, reactor: Any, now: Callable[[], float]) -> None:
        self._reactor = reactor
        self._now = now
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._asked: dict[str, list[Found]] = {}

    def known(self, host: str) -> tuple[str, ...]:
        """The addresses, if they are known now."""
        found = self._known.get(host)
        if found is not None and found[0] > self._now():
            return found[1]
        return ()

    def ask(self, host: str, found: Found) -> None:
        """Look it up. Many may ask for one name: it is looked up once."""
        waiting = self._asked.get(host)
        if waiting is not None:
            waiting.append(found)
            return
        self._asked[host] = [found]
        try:
            self._reactor.nameResolver.resolveHostName(
                _Receiver(lambda addresses: self._answer(host, addresses)), host
            )
        except Exception:
            self._answer(host, [], Failure())

    def first(self, host: str, address: str) -> None:
        """This address worked: try it first from now on."""
        found = self._known.get(host)
        if found is not None and address in found[1] and found[1][0] != address:
            rest = tuple(one for one in found[1] if one != address)
            self._known[host] = (found[0], (address, *rest))

    def _answer(self, host: str, addresses: list[str], why: Failure | None = None) -> None:
        waiting = self._asked.pop(host, ())
        unique = tuple(dict.fromkeys(addresses))
        error = None
        if unique:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[host] = (self._now() + KEPT, unique)
        else:
            said = f": {why.getErrorMessage()}" if why is not None else ""
            error = UnresolvedError(f"'{host}' has no address{said}")
        for found in waiting:
            found(unique or None, error)


@implementer(IResolutionReceiver)
class _Receiver:
    def __init__(self, done: Callable[[list[str]], None]) -> None:
        self._done = done
        self._addresses: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None: ...

    def addressResolved(self, address: IAddress) -> None:
        host = getattr(address, "host", None)
        if host:
            self._addresses.append(str(host))

    def resolutionComplete(self) -> None:
        self._done(self._addresses)
