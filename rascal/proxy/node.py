"""All proxies of one process: opened together, reloaded as a difference, stopped within a bound.

    open() binds every port or none ─► start() accepts ─► reload(), set_panic() … ─► stop()

A reload, as any change of proxies, is validated whole before anything changes: TLS files are
loaded and new ports are bound first; only then are the changes applied, which cannot fail.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from rascal.errors import RascalError
from rascal.proxy.budget import Budget
from rascal.proxy.clock import Clock
from rascal.proxy.hangups import Hangups
from rascal.proxy.lag import Lag
from rascal.proxy.server import Doors, Ground, Proxy, make_dialler, shut_doors
from rascal.proxy.terms import Leases

log = Logger()

Heard = Callable[[Proxy | None, str, Any], None]

STOPPING = 5.0
"""Seconds that connections get at the end to take what was written to them."""


class PanicError(RascalError):
    """New faults are refused until panic is released."""


@attrs.frozen
class Panic:
    """The lever: everything was stopped, and who did it."""

    on: bool = False
    by: str = ""
    since: float | None = None


class Node:
    """The proxies of one configuration.

    Args:
        configuration: as read.
        reactor: what everything runs on.
        read: reads the configuration anew (reload). Raises ConfigErrors.
        compare: what has to be done to what runs, so that what differs between two
            configurations is done to it.

    Attributes:
        revision: counts changes; the version of the state.
        boot: tells the versions of this process from those of others.
    """

    def __init__(
        self,
        configuration: Any,
        reactor: Any,
        *,
        read: Callable[[], Any] | None = None,
        compare: Callable[[Any, Any, Any], Any] | None = None,
    ) -> None:
        self.configuration = configuration
        self.reactor = reactor
        self.read = read
        self.compare = compare
        self.clock = Clock(reactor)
        self.budget = Budget()
        self.hangups = Hangups(reactor)
        self.ground = Ground(
            reactor=reactor, hangups=self.hangups, clock=self.clock, budget=self.budget
        )
        seed = configuration.seed
        self.seed: int = secrets.randbits(32) if seed is None else seed
        self.panic = Panic()
        self.opened = False
        self.started = time.monotonic()
        self.revision = 0
        self.boot = secrets.token_hex(4)
        self.leases = Leases(self.clock, lambda: self.proxies)
        self.lag = Lag(self.clock)
        self.at_stop: list[Callable[[], None]] = []
        self._listeners: list[Heard] = []
        self.proxies: dict[str, Proxy] = {
            name: self._make(spec) for name, spec in configuration.proxies.items()
        }

    def _make(self, spec: Any) -> Proxy:
        made = Proxy(
            spec,
            self.ground,
            seed=self.seed,
            recent=self.configuration.recent,
            admits=self.admits,
            changed=self.touched,
        )
        if self._listeners:
            made.hear(partial(self._heard, made))
        return made

    def touched(self) -> int:
        """Something of the state is another now; the number of its version."""
        self.revision += 1
        return self.revision

    # -- who listens -------------------------------------------------------------------------------
    def listen(self, heard: Heard) -> Callable[[], None]:
        """Tell what happens: heard(proxy or None for the node, what, about). Returns what stops
        it; while nobody listens nothing is told, and the data path does nothing for it."""
        self._listeners.append(heard)
        if len(self._listeners) == 1:
            for proxy in self.proxies.values():
                proxy.hear(partial(self._heard, proxy))

        def stop() -> None:
            self._listeners.remove(heard)
            if not self._listeners:
                for proxy in self.proxies.values():
                    proxy.hear(None)

        return stop

    def _heard(self, proxy: Proxy | None, what: str, about: Any) -> None:
        for heard in list(self._listeners):
            try:
                heard(proxy, what, about)
            except Exception:
                log.failure("somebody failed to hear of {what}", what=what)

    # -- life --------------------------------------------------------------------------------------
    def open(self) -> None:
        """Bind every port. Raises ConfigError; nothing is left bound then."""
        try:
            for proxy in self.proxies.values():
                proxy.open()
        except RascalError:
            self.abandon()
            raise
        self.opened = True

    def start(self) -> None:
        """Let clients in."""
        self.lag.start()
        for proxy in self.proxies.values():
            proxy.start()

    def abandon(self) -> None:
        """Give back what open() took."""
        for proxy in self.proxies.values():
            proxy.shut()

    def stop(self) -> Deferred[None]:
        """Let nobody in, end all connections; fires when their sockets are given back."""
        self.leases.close()
        self.lag.stop()
        for call in self.at_stop:
            call()
        for proxy in self.proxies.values():
            proxy.close()
        done: Deferred[None] = Deferred()
        deadline = self.clock.now() + STOPPING

        def look() -> None:
            if self.hangups.ends and self.clock.now() < deadline:
                self.clock.call_at(self.clock.now() + 0.02, look)
            else:
                self.hangups.close()
                done.callback(None)

        if not self.hangups.ends:
            self.hangups.close()
            return succeed(None)
        look()
        return done

    # -- panic -------------------------------------------------------------------------------------
    def set_panic(self, on: bool, by: str = "") -> Panic:
        """Pull the lever: every fault everywhere goes, new ones are refused; or release it."""
        if on:
            for proxy in self.proxies.values():
                for name in list(proxy.installed):
                    proxy.uninstall(name)
            log.warn("panic: all faults were removed by {by}", by=by or "somebody")
        if on != self.panic.on or by != self.panic.by:
            self.panic = Panic(on, by, time.time() if on else None)
            self.touched()
            self._heard(None, "panic", self.panic)
        return self.panic

    def admits(self) -> None:
        """Raises PanicError while the lever is pulled."""
        if self.panic.on:
            by = f" by {self.panic.by}" if self.panic.by else ""
            raise PanicError(f"everything was stopped{by}: release panic before faults are added")

    # -- changes -----------------------------------------------------------------------------------
    def specs(self) -> dict[str, Any]:
        """The specifications of what runs now, by name."""
        return {name: proxy.current() for name, proxy in self.proxies.items()}

    def reload(self) -> Any:
        """Read the configuration anew and apply what differs from what was read before; what was
        changed in between by others stays as it is.

        Returns the changes. Raises ConfigErrors, ConfigError or PanicError; nothing has changed
        then.
        """
        assert self.read is not None
        assert self.compare is not None
        new = self.read()
        changes = self.compare(self.configuration, new, self.specs())
        self.apply(changes)
        self.configuration = new
        self.proxies = {
            name: self.proxies[name] for name in new.proxies if name in self.proxies
        } | self.proxies
        if "recent" in changes.service:
            for proxy in self.proxies.values():
                proxy.recent.resize(new.recent)
        if "seed" in changes.service and new.seed is not None:
            self.set_seed(new.seed)
        elif changes.service:
            self.touched()
        self._heard(None, "reload", changes)
        return changes

    def apply(self, changes: Any) -> None:
        """Make it so: proxies added, removed and changed, all or none.

        Raises ConfigError or PanicError; nothing has changed then.
        """
        arrivals = [one for change in changes.changed for one in (*change.added, *change.changed)]
        arrivals += [one for spec in changes.added for one in spec.installed]
        if self.panic.on and arrivals:
            self.admits()
        made, doors = self._prepare(changes)
        for spec in changes.removed:
            self.proxies.pop(spec.name).close()
        for change in changes.changed:
            dialler, found = doors[change.name]
            self.proxies[change.name].apply(change, dialler, found)
        for proxy in made:
            self.proxies[proxy.name] = proxy
            proxy.version = self.touched()
            if self.opened:
                proxy.start()
            self._heard(proxy, "proxy-added", proxy)
        if changes.removed:
            self.touched()

    def set_seed(self, seed: int) -> None:
        """Another seed: all draws, match numbers and scripts start from the beginning."""
        self.seed = seed
        for proxy in self.proxies.values():
            proxy.gate.reseed(seed)
        self.touched()
        self._heard(None, "seed", seed)

    def _prepare(self, changes: Any) -> tuple[list[Proxy], dict[str, tuple[Any, Doors | None]]]:
        """Everything that can fail: files of TLS, ports. Ports that move from proxies that go are
        given free first."""
        made: list[Proxy] = []
        ready: dict[str, tuple[Any, Doors | None]] = {}
        wanted = {address for one in changes.changed for address in one.new.listen}
        wanted |= {address for spec in changes.added for address in spec.listen}
        leaving = [self.proxies[spec.name] for spec in changes.removed]
        closed = [proxy for proxy in leaving if proxy.doors and _in_the_way(proxy, wanted)]
        for proxy in closed:
            proxy.shut()
        try:
            for change in changes.changed:
                proxy = self.proxies[change.name]
                dialler = make_dialler(change.new, self.ground) if change.settings else None
                ready[change.name] = (dialler, None)
                if change.listener and change.new.options.enabled and self.opened:
                    ready[change.name] = (dialler, proxy.bind(change.new, proxy.doors))
            for spec in changes.added:
                proxy = self._make(spec)
                proxy.open(listening=self.opened)
                made.append(proxy)
        except RascalError:
            for proxy in made:
                proxy.shut()
            for name, (_, found) in ready.items():
                kept = self.proxies[name].doors
                shut_doors({a: some for a, some in (found or {}).items() if a not in kept})
            for proxy in closed:
                proxy.reopen()
            raise
        return made, ready


def _in_the_way(proxy: Proxy, wanted: set[Any]) -> bool:
    """Whether somebody wants to listen where this proxy does; any host may stand for another."""
    ports = {address.port for address in wanted if address.type == "tcp"}
    return any(
        address in wanted or (address.type == "tcp" and address.port in ports)
        for address in (*proxy.spec.listen, *proxy.addresses)
    )
