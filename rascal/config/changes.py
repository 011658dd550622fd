"""What a reload has to do: the difference between two configurations.

Connections that need not change are not touched: a proxy is listened for anew only if what its
listener needs has changed, a fault that did not change keeps its counters, and everything else
(upstream, time-outs, TLS) concerns new connections.
"""

from __future__ import annotations

import attrs

from rascal.config.specs import Configuration, Installed, ProxySpec
from rascal.config.tables import LISTENER


@attrs.frozen(kw_only=True)
class ProxyChange:
    """One proxy that stands in both configurations and differs.

    Attributes:
        old, new: its specifications.
        listener: it must listen anew (addresses, backlog, enabled); its connections may stay.
        protocol: it speaks another protocol: its connections must go.
        settings: names of other options that changed; they concern new connections.
        added, removed: faults, scripts, roulettes and recipes by name; one that changed is in
            `changed` and keeps its place.
        reordered: the order in which they are asked is another.
    """

    old: ProxySpec
    new: ProxySpec
    listener: bool
    protocol: bool
    settings: tuple[str, ...]
    added: tuple[Installed, ...]
    removed: tuple[Installed, ...]
    changed: tuple[Installed, ...]
    reordered: bool

    @property
    def name(self) -> str:
        """The proxy's name."""
        return self.new.name

    @property
    def only_faults(self) -> bool:
        """Nothing but what is installed on it has changed."""
        return not (self.listener or self.protocol or self.settings)


@attrs.frozen(kw_only=True)
class Changes:
    """What differs between two configurations.

    Attributes:
        added, removed: whole proxies.
        changed: proxies that stand in both and differ.
        service: names of the options of [rascal] that changed; control and tokens may need a
            restart of the control API.
    """

    added: tuple[ProxySpec, ...]
    removed: tuple[ProxySpec, ...]
    changed: tuple[ProxyChange, ...]
    service: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.service)

    def summary(self) -> str:
        """One line, for the log and for `rascal reload`."""
        parts = [
            f"{sign}{proxy.name}"
            for sign, proxies in (("+", self.added), ("-", self.removed))
            for proxy in proxies
        ]
        for change in self.changed:
            what = [*(["listener"] if change.listener else []), *change.settings]
            what += [f"+{one.name}" for one in change.added]
            what += [f"-{one.name}" for one in change.removed]
            what += [f"~{one.name}" for one in change.changed]
            what += ["order"] if change.reordered else []
            parts.append(f"{change.name} ({', '.join(what)})")
        parts += [f"[rascal] {name}" for name in self.service]
        return ", ".join(parts) or "no change"


def difference(old: Configuration, new: Configuration) -> Changes:
    """What must be done so that what runs as `old` runs as `new`."""
    changed = []
    for name, proxy in new.proxies.items():
        before = old.proxies.get(name)
        if before and (change := _change(before, proxy)):
            changed.append(change)
    return Changes(
        added=tuple(proxy for name, proxy in new.proxies.items() if name not in old.proxies),
        removed=tuple(proxy for name, proxy in old.proxies.items() if name not in new.proxies),
        changed=tuple(changed),
        service=tuple(
            name
            for name in ("control", "seed", "hosts", "compatible", "tokens", "recent")
            if getattr(old, name) != getattr(new, name)
        ),
    )


def _change(old: ProxySpec, new: ProxySpec) -> ProxyChange | None:
    options = _differing(old, new)
    before = {one.name: one for one in old.installed}
    after = {one.name: one for one in new.installed}
    kept = [name for name in after if name in before]
    protocol = old.protocol.name != new.protocol.name
    change = ProxyChange(
        old=old,
        new=new,
        listener=bool({*LISTENER} & {*options}),
        protocol=protocol,
        settings=tuple(name for name in options if name not in LISTENER),
        added=tuple(one for name, one in after.items() if name not in before),
        removed=tuple(one for name, one in before.items() if name not in after),
        changed=tuple(after[name] for name in kept if protocol or after[name] != before[name]),
        reordered=kept != [name for name in before if name in after],
    )
    faults = change.added or change.removed or change.changed or change.reordered
    return change if faults or not change.only_faults else None


def _differing(old: ProxySpec, new: ProxySpec) -> list[str]:
    """Names of the options whose values differ, defaults compared with what is given."""
    names = ["protocol"] if old.protocol.name != new.protocol.name else []
    names += [name for name in ("listen", "upstream") if getattr(old, name) != getattr(new, name)]
    for before, after in (
        (vars(old.options), vars(new.options)),
        (vars(old.protocol_options), vars(new.protocol_options)),
    ):
        for name in sorted({*before, *after} - {*names, "listen", "upstream", "protocol"}):
            if before.get(name) != after.get(name):
                names.append(name)
    return names
