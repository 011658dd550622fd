"""How things are, in short: the event that readers begin with, and what has changed in a second."""

from __future__ import annotations

import time
from typing import Any

from rascal.control import _views as views
from rascal.control._ring import Wants

FAULTS = 10_000
"""Faults in one snapshot; of proxies beyond, `faults` is null."""
TEXT = 120
"""Characters of a fault's sentence."""

Counted = dict[str, Any]


def snapshot(node: Any, wants: Wants, id_: str) -> dict[str, Any]:
    """The node and the proxies that are asked for."""
    room = FAULTS
    proxies: dict[str, Any] = {}
    for name, proxy in node.proxies.items():
        if not wants.proxy(name):
            continue
        room -= len(proxy.gate.faults)
        proxies[name] = {
            "protocol": proxy.spec.protocol.name,
            "enabled": proxy.enabled,
            "addresses": [str(address) for address in proxy.addresses],
            "upstream": str(proxy.spec.upstream)[:TEXT],
            **_counted(proxy),
            "faults": _faults(proxy) if room >= 0 else None,
        }
    return {
        "id": id_,
        "at": round(time.time(), 3),
        "revision": node.revision,
        "seed": node.seed,
        "lever": views.panic(node.panic),
        "proxies": proxies,
    }


def _counted(proxy: Any) -> Counted:
    up, down = proxy.gate.traffic()
    return {
        "open": len(proxy.gate.connections),
        "connections": proxy.gate.counts.connections,
        "exchanges": proxy.recent.total,
        "to_upstream": up,
        "to_client": down,
    }


def _faults(proxy: Any) -> dict[str, Any]:
    found = {}
    for name, one in proxy.installed.items():
        faults = views.fault_objects(proxy, one).values()
        text = one.text if one.form == "recipe" else one.specs[0].text
        found[name] = {
            "form": one.form,
            "text": text if len(text) <= TEXT else f"{text[: TEXT - 1]}…",
            "enabled": one.enabled,
            "armed": any(fault.armed for fault in faults),
            "matched": sum(fault.matched for fault in faults),
            "fired": sum(fault.fired for fault in faults),
            "waiting": sum(fault.waiting for fault in faults),
        }
    return found


class Changing:
    """What is counted, compared with a second ago."""

    def __init__(self) -> None:
        self._proxies: dict[str, Counted] = {}
        self._faults: dict[str, dict[str, tuple[int, int, int]]] = {}

    def look(self, node: Any) -> dict[str, Counted]:
        """Of the proxies that have counted since the last look, what they count; of their faults
        those that have: [matched, fired, waiting]."""
        proxies, faults = {}, {}
        changed: dict[str, Counted] = {}
        for name, proxy in node.proxies.items():
            proxies[name] = counted = _counted(proxy)
            faults[name] = books = {
                one.name: (one.matched, one.fired, one.waiting if one.live else 0)
                for one in proxy.gate.faults.values()
            }
            before = self._faults.get(name, {})
            new = {key: list(one) for key, one in books.items() if before.get(key) != one}
            if new or self._proxies.get(name) != counted:
                changed[name] = counted | {"faults": new}
        self._proxies, self._faults = proxies, faults
        return changed
