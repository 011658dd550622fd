"""Mend: nobody waits for DNS, nothing is believed for long, and a new address has to prove itself.

A thread asks again every two seconds, whatever lifetime the answers claim. A new address is tried
before it goes first; the last ones that worked stay behind it, and are all there is while DNS
fails. Mistake: shop/fragile/names.py.
"""

import socket
import threading
import time

from shop import dns
from shop.resilient import limits

KEEP = 3

_known: dict[tuple[str, int], list[str]] = {}


def install() -> None:
    dns.install(addresses)
    threading.Thread(target=_refresh, name="names", daemon=True).start()


def addresses(host: str, port: int) -> list[str]:
    known = _known.get((host, port))
    if known is None:
        known, _ = dns.look_up(host, timeout=limits.NAMES / 2, lifetime=limits.NAMES)
        _known[host, port] = known
    return known


def _refresh() -> None:
    while True:
        time.sleep(limits.NAMES_REFRESH)
        for (host, port), known in list(_known.items()):
            try:
                found, _ = dns.look_up(host, timeout=limits.NAMES, lifetime=limits.NAMES)
            except OSError:
                continue
            good = [one for one in found if one == known[0] or _answers(one, port)]
            old = [one for one in known if one not in good]
            _known[host, port] = [*good, *old][:KEEP]


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=limits.NAMES_PROBE).close()
    except OSError:
        return False
    return True
