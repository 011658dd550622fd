"""Proxies.

GET, POST                  /proxies            POST: 201 and the proxy, listening
GET, POST, PATCH, DELETE   /proxies/{proxy}    POST changes as PATCH does: older clients use it
"""

from __future__ import annotations

from typing import Any

from rascal.config.toxics import flag_of, members, text_of
from rascal.config.toxiproxy import read_entry, read_listen, read_upstream
from rascal.control.toxiproxy import _state as state
from rascal.control.toxiproxy._errors import proxy_exists


def list_all(ask: Any) -> tuple[int, dict[str, Any]]:
    """All proxies by name."""
    proxies = ask.node.proxies
    return 200, {name: state.shown(proxies[name]) for name in sorted(proxies)}


def create(ask: Any) -> tuple[int, dict[str, Any]]:
    """A new proxy."""
    entry = read_entry(ask.json())
    if entry.name in ask.node.proxies:
        raise proxy_exists()
    return 201, state.shown(state.create(ask.node, ask.registry, entry))


def show(ask: Any, proxy: str) -> tuple[int, dict[str, Any]]:
    """One proxy."""
    return 200, state.shown(state.proxy_of(ask.node, proxy))


def change(ask: Any, proxy: str) -> tuple[int, dict[str, Any]]:
    """Let it listen or dial elsewhere, stop it, start it. Its name stays, whatever is said."""
    found = state.proxy_of(ask.node, proxy)
    given = members(ask.json(), "a proxy")
    listen, upstream = text_of(given, "listen"), text_of(given, "upstream")
    state.move(
        ask.node,
        found,
        listen=read_listen(listen) if listen else None,
        upstream=read_upstream(upstream) if upstream else None,
        enabled=flag_of(given, "enabled", found.enabled),
    )
    return 200, state.shown(found)


def remove(ask: Any, proxy: str) -> tuple[int, None]:
    """It goes, with its connections."""
    state.remove(ask.node, state.proxy_of(ask.node, proxy))
    return 204, None
