"""The node as the compatible API sees it: proxies with toxics, made and changed one by one."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from rascal.config.changes import Changes, ProxyChange
from rascal.config.registry import Registry
from rascal.config.specs import Installed, ProxySpec
from rascal.config.toxics import Toxic, ToxiproxyError, toxic_fault
from rascal.config.toxiproxy import ANY4, ANY6, Entry, spec_of, with_port
from rascal.control.toxiproxy._errors import from_error, no_proxy, no_toxic, toxic_exists
from rascal.errors import RascalError
from rascal.language import Address

PROXIES = 10_000
"""Proxies of one node."""

TOXICS = 1_000
"""Faults on one proxy."""

TRIES = 5
"""Ports that are tried where any port of all addresses is wanted."""

WHY = "proxy changed"
"""Why connections end whose proxy listens or dials elsewhere now."""


# ---- what is there


def proxy_of(node: Any, name: str) -> Any:
    """The proxy of that name. Raises ToxiproxyError (404)."""
    found = node.proxies.get(name)
    if found is None:
        raise no_proxy()
    return found


def toxics_of(proxy: Any) -> list[Toxic]:
    """Its toxics, upstream ones first, each side in the order of their coming."""
    found = [one.toxic for one in proxy.installed.values() if one.toxic is not None]
    return sorted(found, key=lambda toxic: not toxic.upstream)


def toxic_of(proxy: Any, name: str) -> Toxic:
    """One of them. Raises ToxiproxyError (404)."""
    one = proxy.installed.get(name)
    if one is None or one.toxic is None:
        raise no_toxic()
    found: Toxic = one.toxic
    return found


def shown(proxy: Any) -> dict[str, Any]:
    """A proxy as JSON."""
    return {
        "name": proxy.name,
        "listen": listen_text(proxy.where()),
        "upstream": str(proxy.spec.upstream),
        "enabled": proxy.enabled,
        "toxics": [toxic.json() for toxic in toxics_of(proxy)],
    }


def listen_text(addresses: Iterable[Address]) -> str:
    """Where a proxy listens, in one address."""
    found = sorted(addresses, key=lambda one: ":" in one.host)
    hosts = {one.host for one in found}
    if {ANY4, ANY6} <= hosts:
        return f"[{ANY6}]:{found[0].port}"
    return str(found[0])


def same_listen(proxy: Any, wanted: tuple[Address, ...]) -> bool:
    """Whether a proxy listens where this says; a port that is left open is another one."""
    if not all(one.port for one in wanted):
        return False
    if set(wanted) == set(proxy.spec.listen):
        return True
    return listen_text(_resolved(wanted)) == listen_text(proxy.where())


def _resolved(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """The first socket address of a name."""
    if len(addresses) != 1 or addresses[0].type != "tcp":
        return addresses
    one = addresses[0]
    try:
        found = socket.getaddrinfo(one.host, one.port, type=socket.SOCK_STREAM)
    except OSError:
        return addresses
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    return (Address("tcp", str(found[0][4][0]), one.port),)


# ---- changes


def create(node: Any, registry: Registry, entry: Entry, *, instead: Any = None) -> Any:
    """A new proxy, listening; `instead` goes for it. Raises ToxiproxyError; all stays then."""
    if len(node.proxies) >= PROXIES and instead is None:
        raise ToxiproxyError(409, f"a node has at most {PROXIES} proxies")
    removed = () if instead is None else (instead.current(),)

    def make() -> Changes:
        spec = spec_of(entry, registry)
        return Changes(added=(spec,), removed=removed, changed=(), service=())

    _apply(node, make, entry.listen)
    return node.proxies[entry.name]


def remove(node: Any, proxy: Any) -> None:
    """A proxy goes, and all that is on it."""
    spec = proxy.current()
    node.apply(Changes(added=(), removed=(spec,), changed=(), service=()))


def move(
    node: Any,
    proxy: Any,
    *,
    listen: tuple[Address, ...] | None,
    upstream: Address | None,
    enabled: bool,
) -> None:
    """Let a proxy listen or dial elsewhere, or stop it or start it; connections that went the old
    way end. Raises ToxiproxyError; all stays then."""
    old = proxy.current()
    if listen is not None and same_listen(proxy, listen):
        listen = None
    if upstream is not None and upstream == old.upstream:
        upstream = None
    if listen is None and upstream is None:
        if enabled != proxy.enabled:
            _enable(proxy, enabled)
        return
    upstream = upstream or old.upstream
    entry = Entry(name=proxy.name, listen=listen or old.listen, upstream=upstream)

    def make() -> Changes:
        where = entry.listen if listen is None else with_port(entry).listen
        given = {**old.given, "listen": where, "upstream": upstream}
        new = attrs.evolve(old, listen=where, upstream=upstream, given=given)
        change = _change(old, new.live(enabled, old.installed))
        return Changes(added=(), removed=(), changed=(change,), service=())

    _apply(node, make, entry.listen)
    proxy.end_connections(WHY)


def _enable(proxy: Any, on: bool) -> None:
    try:
        proxy.enable(on)
    except RascalError as error:
        raise from_error(error) from error


def reset(node: Any) -> None:
    """Every toxic goes, every proxy listens. Raises ToxiproxyError for the first that cannot,
    when all the others do."""
    problem: ToxiproxyError | None = None
    for proxy in list(node.proxies.values()):
        for toxic in toxics_of(proxy):
            proxy.uninstall(toxic.name)
        if not proxy.enabled:
            try:
                _enable(proxy, True)
            except ToxiproxyError as error:
                problem = problem or error
    if problem is not None:
        raise problem


def _apply(node: Any, make: Callable[[], Changes], listen: tuple[Address, ...]) -> None:
    """Make it so. A free port of all addresses may be gone when it is bound: then another."""
    tries = TRIES if len(listen) > 1 and not listen[0].port else 1
    for attempt in range(1, tries + 1):
        try:
            node.apply(make())
        except RascalError as error:
            if attempt < tries:
                continue
            raise from_error(error) from error
        return


def _change(old: ProxySpec, new: ProxySpec) -> ProxyChange:
    settings = ("upstream",) if old.upstream != new.upstream else ()
    return ProxyChange(
        old=old,
        new=new,
        listener=old.listen != new.listen or old.options.enabled != new.options.enabled,
        protocol=False,
        settings=settings,
        added=(),
        removed=(),
        changed=(),
        reordered=False,
    )


# ---- toxics


def add_toxic(proxy: Any, registry: Registry, toxic: Toxic) -> None:
    """Install it. Raises ToxiproxyError."""
    if toxic.name in proxy.installed or toxic.name in proxy.gate.faults:
        raise toxic_exists()
    if len(proxy.installed) >= TOXICS:
        raise ToxiproxyError(409, f"a proxy has at most {TOXICS} toxics")
    proxy.install(_fault(proxy, registry, toxic))


def change_toxic(proxy: Any, registry: Registry, toxic: Toxic) -> None:
    """Another meaning for it, from now on and for live connections too; nothing is redrawn."""
    one = proxy.installed[toxic.name]
    proxy.change(_fault(proxy, registry, toxic, enabled=one.enabled))


def _fault(proxy: Any, registry: Registry, toxic: Toxic, enabled: bool = True) -> Installed:
    return toxic_fault(toxic, proxy.spec.protocol, registry, enabled=enabled)
