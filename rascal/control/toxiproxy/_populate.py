"""Many proxies at once, and everything as it was.

POST  /populate    a list of proxies: those that are there as they are wanted stay untouched
POST  /reset       every toxic goes, every proxy is enabled
"""

from __future__ import annotations

from typing import Any

from rascal.config.toxics import ToxiproxyError
from rascal.config.toxiproxy import Entry, read_entries
from rascal.control.toxiproxy import _state as state


class PartlyError(ToxiproxyError):
    """It ended half-way; `proxies` are there."""

    def __init__(self, error: ToxiproxyError, proxies: list[dict[str, Any]]) -> None:
        super().__init__(error.status, error.text)
        self.proxies = proxies


def populate(ask: Any) -> tuple[int, dict[str, Any]]:
    """Make the proxies of a list. It is read whole first; a port that cannot be had ends it."""
    entries = read_entries(ask.json())
    found: list[dict[str, Any]] = []
    for entry in entries:
        try:
            found.append(state.shown(_one(ask, entry)))
        except ToxiproxyError as error:
            raise PartlyError(error, found) from error
    return 201, {"proxies": found or None}


def _one(ask: Any, entry: Entry) -> Any:
    proxy = ask.node.proxies.get(entry.name)
    if proxy is not None:
        same = state.same_listen(proxy, entry.listen) and proxy.spec.upstream == entry.upstream
        if same:
            return proxy
    return state.create(ask.node, ask.registry, entry, instead=proxy)


def reset(ask: Any) -> tuple[int, None]:
    """As after the start, but with the proxies of now."""
    state.reset(ask.node)
    return 204, None
