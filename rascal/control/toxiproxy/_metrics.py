"""The bytes of proxies under Toxiproxy's names, counted as they move and not only at the end."""

from __future__ import annotations

from typing import Any

from rascal.control.toxiproxy._state import listen_text
from rascal.exposition import Exposition, labels

PROXIES = 1000
"""So many proxies are shown; the rest is under rascal_* in sum."""


def write_toxiproxy(out: Exposition, node: Any) -> None:
    """Both families."""
    received: list[tuple[str, float]] = []
    sent: list[tuple[str, float]] = []
    for proxy in list(node.proxies.values())[:PROXIES]:
        known = {
            "proxy": proxy.name,
            "listener": listen_text(proxy.where()),
            "upstream": str(proxy.spec.upstream),
        }
        came, went = proxy.gate.traffic(), proxy.gate.delivered()
        for n, direction in enumerate(("upstream", "downstream")):
            label = labels(direction=direction, **known)
            received.append((label, came[n]))
            sent.append((label, went[n]))
    out.counter("toxiproxy_proxy_received_bytes", "Bytes that came into a proxy.", received)
    out.counter("toxiproxy_proxy_sent_bytes", "Bytes that a proxy passed on.", sent)
