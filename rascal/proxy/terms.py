"""What a controller agrees on for the things it installs: leases, and arming after a while.

A leased thing goes when its owner stops renewing the lease: a controller that has died must not
leave its faults behind. `enable_in` arms a thing some time after it was installed, on this
process's clock, so that several nodes begin together. Both end with the thing itself.

    granted ──renewed──► granted … ──► lapsed: everything under it is removed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.logger import Logger

from rascal.errors import RascalError

log = Logger()

LEASE = 15.0
"""Seconds that a lease lasts unless it says otherwise; owners renew three times as often."""

LEASES = 10_000
"""Leases at one time."""


class LeasesError(RascalError):
    """LEASES are granted."""


@attrs.define(eq=False)
class Terms:
    """Of one installed thing.

    Attributes:
        lease: the id of its lease.
        enable_at: when it is armed, on the clock; with the timer that does it.
    """

    lease: str | None = None
    enable_at: float | None = None
    timer: Any = None

    def cancel(self) -> None:
        """Do not arm it."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.enable_at = None


@attrs.define(eq=False)
class Lease:
    """One lease: how long it lasts after each renewal, and when it lapses."""

    id: str
    seconds: float
    ends: float = 0.0
    timer: Any = None


class Leases:
    """All leases of a node.

    Args:
        clock: of the node.
        proxies: gives the node's proxies by name.
    """

    def __init__(self, clock: Any, proxies: Callable[[], Mapping[str, Any]]) -> None:
        self.clock = clock
        self.proxies = proxies
        self.granted: dict[str, Lease] = {}

    def grant(self, id_: str, seconds: float | None) -> Lease:
        """A new lease, or one more renewal of one that is there. Raises LeasesError."""
        if id_ not in self.granted:
            if len(self.granted) >= LEASES:
                raise LeasesError(f"no more than {LEASES} leases at one time")
            self.granted[id_] = Lease(id_, LEASE if seconds is None else seconds)
        return self.renew(id_, seconds)

    def renew(self, id_: str, seconds: float | None = None) -> Lease:
        """It lasts from now on. KeyError if it has lapsed."""
        lease = self.granted[id_]
        if seconds is not None:
            lease.seconds = seconds
        if lease.timer is not None:
            lease.timer.cancel()
        lease.ends = self.clock.now() + lease.seconds
        lease.timer = self.clock.call_at(lease.ends, lambda: self._lapsed(lease))
        return lease

    def members(self, id_: str) -> list[tuple[Any, str]]:
        """The proxies and names of what is under it."""
        return [
            (proxy, name)
            for proxy in self.proxies().values()
            for name, terms in proxy.terms.items()
            if terms.lease == id_
        ]

    def end(self, id_: str) -> list[tuple[Any, str]]:
        """Give it up: what is under it is removed. KeyError if it has lapsed."""
        lease = self.granted.pop(id_)
        if lease.timer is not None:
            lease.timer.cancel()
            lease.timer = None
        found = self.members(id_)
        for proxy, name in found:
            proxy.uninstall(name)
        return found

    def _lapsed(self, lease: Lease) -> None:
        lease.timer = None
        gone = self.end(lease.id)
        names = ", ".join(f"{proxy.name}/{name}" for proxy, name in gone) or "nothing"
        log.warn("lease {id} has lapsed: removed {names}", id=lease.id, names=names)

    def close(self) -> None:
        """No timer is left."""
        for lease in self.granted.values():
            if lease.timer is not None:
                lease.timer.cancel()
        self.granted = {}
