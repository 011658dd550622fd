"""What a reload has to do: the difference between two configurations.

Connections that need not change are not touched: a proxy is listened for anew only if what its
listener needs has changed, a fault that did not change keeps its counters, and everything else
(upstream, time-outs, TLS) concerns new connections.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from rascal.config.specs import Configuration, Installed, ProxySpec
from rascal.config.tables import LISTENER
from rascal.options import Options

SERVICE_OPTIONS = (
    "control",
    "control_certificate",
    "control_key",
    "seed",
    "hosts",
    "compatible",
    "conditional",
    "tokens",
    "recent",
    "log",
)
"""The options of [rascal] whose changes are told."""


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


def difference(
    old: Configuration, new: Configuration, running: Mapping[str, ProxySpec] | None = None
) -> Changes:
    """What must be done so that what runs as `old` runs as `new`.

    If something else than `old` runs, because the API has changed it, `running` says what; what
    differs between the two configurations is then done to that, and all else stays as it is.
    """
    proxies = (
        proxy_changes(old.proxies, new.proxies)
        if running is None
        else proxy_changes(running, _rebased(old, new, running))
    )
    return attrs.evolve(
        proxies,
        service=tuple(name for name in SERVICE_OPTIONS if getattr(old, name) != getattr(new, name)),
    )


def proxy_changes(old: Mapping[str, ProxySpec], new: Mapping[str, ProxySpec]) -> Changes:
    """What differs between two sets of proxies."""
    changed = []
    for name, proxy in new.items():
        before = old.get(name)
        if before is not None and before is not proxy and (change := proxy_change(before, proxy)):
            changed.append(change)
    return Changes(
        added=tuple(proxy for name, proxy in new.items() if name not in old),
        removed=tuple(proxy for name, proxy in old.items() if name not in new),
        changed=tuple(changed),
        service=(),
    )


def _rebased(
    old: Configuration, new: Configuration, running: Mapping[str, ProxySpec]
) -> dict[str, ProxySpec]:
    """What runs, with what differs between two files done to it."""
    found: dict[str, ProxySpec] = {}
    for name, spec in new.proxies.items():
        before, live = old.proxies.get(name), running.get(name)
        if before is None or live is None:
            change = None if before is None else proxy_change(before, spec)
            if before is None or change:
                found[name] = spec if live is None else _with_installed(spec, None, live)
            continue
        change = proxy_change(before, spec)
        if change is None:
            found[name] = live
        elif change.protocol:
            found[name] = spec
        else:
            found[name] = _onto(change, live)
    rest = {name: spec for name, spec in running.items() if name not in old.proxies}
    return found | {name: spec for name, spec in rest.items() if name not in found}


def _onto(change: ProxyChange, live: ProxySpec) -> ProxySpec:
    """A change of a file done to a proxy that the API has changed too."""
    new = change.new
    names = _differing(change.old, new)

    def mixed(kept: Options, fresh: Options) -> Options:
        values = {name: value for name, value in vars(fresh).items() if name in names}
        return type(kept)(**{**vars(kept), **values})

    given = {name: value for name, value in live.given.items() if name not in names}
    given |= {name: value for name, value in new.given.items() if name in names}
    options = mixed(live.options, new.options)
    spec = attrs.evolve(
        new,
        protocol=live.protocol,
        listen=new.listen if "listen" in names else live.listen,
        upstream=new.upstream if "upstream" in names else live.upstream,
        options=options,
        protocol_options=mixed(live.protocol_options, new.protocol_options)
        if live.protocol.name == new.protocol.name
        else live.protocol_options,
        given=given,
    )
    return _with_installed(spec, change, live)


def _with_installed(spec: ProxySpec, change: ProxyChange | None, live: ProxySpec) -> ProxySpec:
    """What the file lists in its order, then what the API has added."""
    if live.protocol.name != spec.protocol.name:
        return spec
    found = {one.name: one for one in live.installed}
    fresh = spec.installed
    if change is not None:
        for one in change.removed:
            found.pop(one.name, None)
        fresh = (*change.added, *change.changed)
    found |= {one.name: one for one in fresh}
    listed = {one.name: found[one.name] for one in spec.installed if one.name in found}
    return attrs.evolve(spec, installed=tuple((listed | found).values()))


def proxy_change(old: ProxySpec, new: ProxySpec, *, always: bool = False) -> ProxyChange | None:
    """What differs between two specifications of one proxy; None if nothing does."""
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
    return change if always or faults or not change.only_faults else None


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
