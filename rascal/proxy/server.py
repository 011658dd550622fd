"""One running proxy: its listeners, how it dials, its gate, and the connections that live.

    accepted socket ─► End ─► Connection(gate, end, dial) ─► start()
                                    └ when it may: Dialler ─► joined(upstream) / dial_failed

What the configuration says of it is a ProxySpec (rascal.config.specs), used here by its
attributes only: name, protocol, listen, upstream, options, protocol_options, path, line.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.logger import Logger

from rascal.errors import ConfigError, RascalError
from rascal.faults.fault import Fault
from rascal.language import Address
from rascal.proxy.clock import Clock, Reactor
from rascal.proxy.connection import Connection
from rascal.proxy.dialler import Dialler, Originate
from rascal.proxy.ends import End
from rascal.proxy.gate import Gate
from rascal.proxy.hangups import Hangups
from rascal.proxy.listener import ListenError, listen
from rascal.proxy.recent import Recent
from rascal.proxy.tally import Shelf, Tally
from rascal.proxy.terms import Terms
from rascal.proxy.tls import TlsError, client_context
from rascal.proxy.udp import Clients, UdpListener, listen_udp

log = Logger()

TRIES = 20
"""Times that a port is looked for which is free for UDP and TCP."""

Doors = dict[Address, list[Any]]
"""Listeners by the address that was asked for; a name may have several."""


@attrs.frozen(kw_only=True)
class Ground:
    """What all proxies of a process stand on."""

    reactor: Reactor
    hangups: Hangups
    clock: Clock
    budget: Any
    shelf: Shelf = attrs.field(factory=Shelf)


class Proxy:
    """A proxy of one configuration.

    Args:
        spec: as configured.
        ground: what it stands on.
        seed: of all draws.
        recent: exchanges to keep.
        admits: raises if no fault may be added now (panic).
        changed: is told when something of its state has changed; gives the version's number.

    Attributes:
        gate: its faults, counters and connections.
        recent: its latest exchanges.
        installed: faults, scripts, roulettes and recipes, by name.
        enabled: whether it listens; `enable()` changes it.
        version: of its own settings; `versions` of what is installed, by name.
    """

    def __init__(
        self,
        spec: Any,
        ground: Ground,
        *,
        seed: int,
        recent: int,
        admits: Callable[[], None] = lambda: None,
        changed: Callable[[], int] = lambda: 0,
    ) -> None:
        self.spec = spec
        self.ground = ground
        self.enabled: bool = spec.options.enabled
        self.tally = Tally(spec.protocol, ground.shelf)
        self.recent = Recent(recent, ground.clock.now, self.tally)
        self.doors: Doors = {}
        self._bound: dict[Address, Address] = {}
        self.dialler: Dialler | None = None
        self.installed: dict[str, Any] = {}
        self.version = 0
        self.versions: dict[str, int] = {}
        self.terms: dict[str, Terms] = {}
        self._admits = admits
        self._changed = changed
        self._refuse = self._full = False
        self._started = False
        self._heard: Callable[[str, Any], None] | None = None
        self.clients = Clients(self)
        self.gate = self._gate(spec, seed)
        for one in spec.installed:
            self._put(one)

    def _gate(self, spec: Any, seed: int) -> Gate:
        self.tally.speak(spec.protocol)
        gate = Gate(
            spec.name,
            spec.protocol,
            spec.protocol_options,
            self.ground.clock,
            self.ground.budget,
            seed=seed,
            observer=self.recent,
            listener=self._listener,
            mirror=spec.options.mirror,
        )
        gate.on_event = self._heard
        return gate

    def hear(self, heard: Callable[[str, Any], None] | None) -> None:
        """Tell what happens here, or nobody."""
        self._heard = self.gate.on_event = heard

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return str(self.spec.name)

    @property
    def dials(self) -> Counter[str]:
        """How dialling the upstream went."""
        return self.gate.counts.dials

    @property
    def listeners(self) -> list[Any]:
        """None while it is disabled."""
        return [one for some in self.doors.values() for one in some]

    @property
    def addresses(self) -> list[Address]:
        """Where it really listens."""
        return list(dict.fromkeys(one.address for one in self.listeners))

    def where(self) -> list[Address]:
        """Where it listens; of a disabled one where it would: a port that was chosen stays."""
        return self.addresses or [self._bound.get(one, one) for one in self.spec.listen]

    def describe(self) -> str:
        """`db (mysql): 127.0.0.1:3307 to 127.0.0.1:3306`."""
        where = ", ".join(map(str, self.addresses)) or "disabled"
        return f"{self.name} ({self.spec.protocol.name}): {where} to {self.spec.upstream}"

    def current(self) -> Any:
        """The specification of what runs now, with what was changed since it was read."""
        return self.spec.live(self.enabled, tuple(self.installed.values()))

    # -- what is installed -------------------------------------------------------------------------
    def install(self, one: Any) -> list[Fault]:
        """Add a fault, script, roulette or recipe. Its name must be free. Raises PanicError."""
        self._admits()
        found = self._put(one)
        self.versions[one.name] = self._changed()
        self.gate.tell("added", one)
        return found

    def _put(self, one: Any) -> list[Fault]:
        self.installed[one.name] = one
        return [self.gate.add(spec) for spec in self._specs(one)]

    def _specs(self, one: Any) -> list[Any]:
        """What the gate installs; a disabled recipe disables all its parts."""
        return [
            attrs.evolve(spec, enabled=spec.enabled and one.enabled)
            if hasattr(spec, "__attrs_attrs__")
            else spec
            for spec in one.specs
        ]

    def change(self, one: Any) -> list[Fault]:
        """Another meaning for a name that is installed; counters go on. Raises PanicError."""
        self._admits()
        old = self.installed[one.name]
        if old.enabled != one.enabled and attrs.evolve(old, enabled=one.enabled) == one:
            self.arm(one.name, one.enabled)
            return self.faults_of(one.name)
        specs = self._specs(one)
        names = [spec.name for spec in specs]
        for spec in old.specs:
            if spec.name not in names:
                self.gate.remove(spec.name)
        found = []
        fresh = False
        for spec in specs:
            fault = self.gate.faults.get(spec.name)
            if fault is None:
                found.append(self.gate.add(spec))
                fresh = True
                continue
            self.gate.replace(fault, spec)
            if fault.armed and not spec.enabled:
                self.gate.disarm(fault)
            elif spec.enabled and not old.enabled and not fault.armed:
                self.gate.arm(fault)
            found.append(fault)
        self.installed[one.name] = one
        if fresh:
            self.gate.order([spec.name for each in self.installed.values() for spec in each.specs])
        self.versions[one.name] = self._changed()
        self.gate.tell("changed", one)
        return found

    def uninstall(self, name: str) -> None:
        """Take it away; what it holds is let go now. KeyError if there is none."""
        one = self.installed.pop(name)
        self.gate.tell("removed", one)  # with what it has counted
        for spec in one.specs:
            if spec.name in self.gate.faults:
                self.gate.remove(spec.name)
        self.versions.pop(name, None)
        if terms := self.terms.pop(name, None):
            terms.cancel()
        self._changed()

    def faults_of(self, name: str) -> list[Fault]:
        """The faults of the gate that stand for an installed name."""
        return [self.gate.faults[spec.name] for spec in self.installed[name].specs]

    def arm(self, name: str, on: bool) -> None:
        """Enable or disable. Raises PanicError."""
        if on:
            self._admits()
        if terms := self.terms.get(name):
            terms.cancel()
        for fault in self.faults_of(name):
            if on:
                self.gate.arm(fault)
            else:
                self.gate.disarm(fault)
        self.installed[name] = attrs.evolve(self.installed[name], enabled=on)
        self.versions[name] = self._changed()
        self.gate.tell("enabled" if on else "disabled", self.installed[name])

    def under(self, name: str, lease: str | None) -> None:
        """Put something that is installed under a lease, or under none."""
        self.terms.setdefault(name, Terms()).lease = lease
        self.versions[name] = self._changed()
        self.gate.tell("changed", self.installed[name])

    def arm_in(self, name: str, seconds: float) -> None:
        """Enable something that is installed after so long."""
        terms = self.terms.setdefault(name, Terms())
        terms.cancel()
        terms.enable_at = self.ground.clock.now() + seconds

        def arm() -> None:
            terms.timer = None
            try:
                self.arm(name, True)
            except RascalError as error:
                log.warn(
                    "{proxy}/{name} is not armed: {why}", proxy=self.name, name=name, why=error
                )

        terms.timer = self.ground.clock.call_at(terms.enable_at, arm)
        self.versions[name] = self._changed()
        self.gate.tell("changed", self.installed[name])

    def restart(self, name: str) -> None:
        """Match numbers, used counts and steps from the beginning, armed. Raises PanicError."""
        self._admits()
        if terms := self.terms.get(name):
            terms.cancel()
        for fault in self.faults_of(name):
            self.gate.restart(fault)
        self.installed[name] = attrs.evolve(self.installed[name], enabled=True)
        self.versions[name] = self._changed()
        self.gate.tell("restarted", self.installed[name])

    def reset_counters(self) -> None:
        """All counters to zero; match numbers go on."""
        self.gate.reset_counters()

    # -- life --------------------------------------------------------------------------------------
    def open(self, listening: bool = True) -> None:
        """Read the files that TLS needs and bind the ports. Raises ConfigError."""
        self.dialler = make_dialler(self.spec, self.ground)
        if self.enabled and listening:
            self.doors = self.bind(self.spec, {})

    def reopen(self) -> None:
        """After a reload that failed: listen where it listened. A port that is lost is logged."""
        try:
            self.doors = self.bind(self.spec, {})
        except ConfigError as error:
            log.error("{error}", error=str(error))
            self.enabled = False
        if self._started:
            self.start()

    def start(self) -> None:
        """Accept."""
        self._started = True
        for one in self.listeners:
            one.start()

    def enable(self, on: bool) -> None:
        """Listen or stop listening; stopping ends the connections too. Raises ConfigError."""
        if on and not self.doors:
            self.doors = self.bind(self.spec, {})
            if self._started:
                self.start()
        elif not on:
            self.shut()
            self.end_connections("proxy disabled")
        self.enabled = on
        self.version = self._changed()
        self.gate.tell("proxy-changed", self)

    def shut(self) -> None:
        """Stop listening."""
        shut_doors(self.doors)
        self.doors = {}

    def close(self) -> None:
        """It goes: its listeners, connections and timers."""
        self.shut()
        for name in list(self.installed):
            self.uninstall(name)
        self.end_connections("proxy removed")
        self.clients.close()
        self.gate.tell("proxy-removed", self)
        self.gate.close()
        self.tally.close()

    def apply(self, change: Any, dialler: Dialler | None, doors: Doors | None) -> None:
        """What can fail has been done already."""
        new = change.new
        if not change.only_faults:
            self.version = self._changed()
        if change.listener:
            found = doors or {}
            old, self.doors = self.doors, found
            shut_doors({a: some for a, some in old.items() if a not in found})
            self.enabled = new.options.enabled
            for some in found.values():
                for one in some:
                    one.set_backlog(new.options.backlog)
            if self._started:
                self.start()
            if not self.enabled:
                self.end_connections("proxy disabled")
        if dialler is not None:
            self.dialler = dialler
        self.spec = new
        self.gate.mirror = new.options.mirror
        if not change.only_faults:
            self.gate.tell("proxy-changed", self)
        if change.protocol:
            self._speak(new)
            return
        for one in change.removed:
            if one.name in self.installed:
                self.uninstall(one.name)
        for one in change.added:
            if one.name in self.installed:
                self.uninstall(one.name)
            self._put(one)
            self.versions[one.name] = self._changed()
            self.gate.tell("added", one)
        for one in change.changed:
            self.change(one)
        if change.settings:
            self.gate.set_options(new.protocol_options)
        known = {one.name: self.installed[one.name] for one in new.installed}
        if list(self.installed) != list(known):
            self.installed = {**known, **self.installed}
            self.gate.order([spec.name for one in self.installed.values() for spec in one.specs])
            self._changed()

    def _speak(self, spec: Any) -> None:
        """Another protocol: its connections and faults go."""
        seed = self.gate.seed
        for name in list(self.installed):
            self.uninstall(name)
        self.end_connections("protocol changed")
        self.gate.close()
        self.gate = self._gate(spec, seed)
        for one in spec.installed:
            self._put(one)
            self.versions[one.name] = self._changed()
            self.gate.tell("added", one)

    def bind(self, spec: Any, kept: Mapping[Address, list[Any]]) -> Doors:
        """Doors for a specification, those in `kept` used again. Raises ConfigError."""
        made: Doors = {}
        if spec.protocol.carriers != self.spec.protocol.carriers:
            kept = {}
        try:
            for address in spec.listen:
                made[address] = kept.get(address) or self._listen(spec, address)
        except ListenError as error:
            shut_doors({a: some for a, some in made.items() if a not in kept})
            raise problem(spec, "listen", str(error)) from error
        return made

    def _listen(self, spec: Any, address: Address) -> list[Any]:
        # Port 0 is the kernel's choice once: a proxy that is disabled comes back where it was.
        where = self._bound.get(address, address)
        made = self._carried(spec, where)
        for _ in range(TRIES):  # a port that TCP was given may be taken for UDP
            if made:
                break
            made = self._carried(spec, where)
        if not made:
            raise ListenError(f"cannot listen on {address}: no port is free for UDP and TCP")
        if address.type == "tcp" and not address.port:
            self._bound[address] = made[0].address
        for one in made:
            one.refuse(self._refuse)
            one.full(self._full)
        return made

    def _carried(self, spec: Any, where: Address) -> list[Any]:
        """Listeners for all that carries the protocol; none: a port of the kernel's choice is
        not free for both."""
        carriers = spec.protocol.carriers
        made: list[Any] = []
        if "tcp" in carriers:
            made += listen(self.ground.reactor, where, self._accept, spec.options.backlog)
        if "udp" in carriers:
            there = made[0].address if made and not where.port else where
            try:
                made += listen_udp(self.ground.reactor, there, self._taken)
            except ListenError:
                for one in made:
                    one.stop()
                if there is where:
                    raise
                return []
        return made

    def _taken(self, listener: UdpListener, data: bytes, name: Any) -> None:
        self.clients.taken(listener, data, name)

    def _listener(self, refuse: bool, full: bool) -> None:
        """Faults on the listening socket: the kernel refuses, or attempts go unanswered."""
        self._refuse, self._full = refuse, full
        for one in self.listeners:
            one.refuse(refuse)
            one.full(full)

    # -- connections -------------------------------------------------------------------------------
    def _accept(self, sock: socket.socket, peer: str) -> None:
        end = End(self.ground.reactor, self.ground.hangups, sock, peer)
        end.pause()
        Connection(self.gate, end, self._dial).start()

    def _dial(self, connection: Connection) -> Any:
        assert self.dialler is not None
        return self.dialler.dial(connection)

    def end_connections(self, why: str) -> None:
        """Close all of them."""
        for connection in list(self.gate.connections.values()):
            connection.end("close", why)


def make_dialler(spec: Any, ground: Ground) -> Dialler:
    """How to reach the upstream of a specification. Raises ConfigError."""
    options = spec.options
    tls = None
    if "udp" in spec.protocol.carriers:
        if spec.upstream.type != "tcp":
            raise problem(spec, "upstream", f"{spec.protocol.name} needs host:port")
        for option in ("tls", "proxy_protocol"):
            if getattr(options, option) != "off":
                raise problem(spec, option, f"there is none for {spec.protocol.name}")
    if options.tls == "originate":
        alpn = ["http/1.1"] if spec.protocol.name == "http" else []
        try:
            context = client_context(
                ca=options.tls_ca,
                verify=options.tls_verify,
                certificate=options.tls_certificate,
                key=options.tls_key,
                alpn=alpn,
            )
        except TlsError as error:
            raise problem(spec, "tls", str(error)) from error
        tls = Originate(context=context, name=options.tls_name or spec.upstream.host or spec.name)
    return Dialler(
        ground.reactor,
        ground.hangups,
        spec.upstream,
        timeout=options.connect_timeout,
        proxy_protocol=options.proxy_protocol,
        tls=tls,
    )


def problem(spec: Any, option: str, text: str) -> ConfigError:
    """A finding about an option of a proxy."""
    section = f"proxy:{spec.name}"
    return ConfigError(
        f"[{section}] {option}: {text}",
        path=spec.path,
        line=spec.line,
        section=section,
        option=option,
        code="not-possible",
    )


def shut_doors(doors: Mapping[Address, list[Any]]) -> None:
    """Stop listening at all of them."""
    for some in doors.values():
        for one in some:
            one.stop()
