"""Toxics of a proxy.

GET, POST                  /proxies/{proxy}/toxics            POST answers 200, not 201
GET, POST, PATCH, DELETE   /proxies/{proxy}/toxics/{toxic}    POST changes as PATCH does
"""

from __future__ import annotations

from typing import Any

from rascal.config.toxics import changed_toxic, read_toxic
from rascal.control.toxiproxy import _state as state


def list_all(ask: Any, proxy: str) -> tuple[int, list[dict[str, Any]]]:
    """All of them, upstream ones first."""
    found = state.toxics_of(state.proxy_of(ask.node, proxy))
    return 200, [toxic.json() for toxic in found]


def create(ask: Any, proxy: str) -> tuple[int, dict[str, Any]]:
    """A new toxic, at work when the answer comes, on live connections too."""
    found = state.proxy_of(ask.node, proxy)
    toxic = read_toxic(ask.json())
    state.add_toxic(found, ask.registry, toxic)
    return 200, toxic.json()


def show(ask: Any, proxy: str, toxic: str) -> tuple[int, dict[str, Any]]:
    """One of them."""
    return 200, state.toxic_of(state.proxy_of(ask.node, proxy), toxic).json()


def change(ask: Any, proxy: str, toxic: str) -> tuple[int, dict[str, Any]]:
    """Other attributes (those that are named) or another toxicity."""
    found = state.proxy_of(ask.node, proxy)
    changed = changed_toxic(state.toxic_of(found, toxic), ask.json())
    state.change_toxic(found, ask.registry, changed)
    return 200, changed.json()


def remove(ask: Any, proxy: str, toxic: str) -> tuple[int, None]:
    """It goes; what it held goes on, and where bytes were lost the connection ends."""
    found = state.proxy_of(ask.node, proxy)
    state.toxic_of(found, toxic)
    found.uninstall(toxic)
    return 204, None
