"""Mend: one fetches for all (single-flight), and an old value is better than none.

Values carry the time at which they were made, and are kept for much longer than they are fresh.
Whoever finds an old one has it made anew, alone; everybody else gets the old one meanwhile, and so
do all if making it fails. The process remembers what it has seen, for the time when the cache is
slow, cold or gone; a breaker keeps a cache that hangs from costing more than a moment. Mistake:
shop/fragile/cache.py.
"""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from pymemcache.client.base import PooledClient

from shop import settings
from shop.errors import Missing, Unavailable
from shop.resilient import limits
from shop.resilient.guards import Breaker, left

memcached = PooledClient(
    settings.CACHE, connect_timeout=limits.CACHE, timeout=limits.CACHE, no_delay=True
)
breaker = Breaker("cache")

Entry = tuple[float, Any]
"""When it was made, and what it is."""

_remembered: OrderedDict[str, Entry] = OrderedDict()
_flights: dict[str, threading.Event] = {}
_lock = threading.Lock()


def through(key: str, seconds: int, make: Callable[[], Any]) -> tuple[Any, bool]:
    entry = _look(key)
    if entry is not None and time.time() - entry[0] < seconds:
        return entry[1], False
    with _lock:
        flight = _flights.get(key)
        if leader := flight is None:
            flight = _flights[key] = threading.Event()
    if leader:
        try:
            return _made(key, make), False
        except Unavailable:
            if entry is None:
                raise
            return entry[1], True
        finally:
            del _flights[key]
            flight.set()
    if entry is not None:
        return entry[1], True
    flight.wait(left(limits.REQUEST, "the page"))
    entry = _remembered.get(key)
    if entry is None:
        raise Unavailable("the page could not be made")
    return entry[1], False


def _look(key: str) -> Entry | None:
    """The newest that is known: the cache's, or the process's own."""
    own = _remembered.get(key)
    try:
        breaker.check()
        found = memcached.get(f"{settings.MODE}:{key}")
        breaker.succeeded()
        shared = tuple(json.loads(found)) if found is not None else None
    except Unavailable:
        shared = None
    except Exception:
        breaker.failed()
        shared = None
    if shared is not None and (own is None or shared[0] > own[0]):
        _remember(key, shared)
        return shared
    return own


def _made(key: str, make: Callable[[], Any]) -> Any:
    try:
        value = make()
    except Missing:
        with _lock:
            _remembered.pop(key, None)
        raise
    entry = (time.time(), value)
    _remember(key, entry)
    try:
        breaker.check()
        memcached.set(f"{settings.MODE}:{key}", json.dumps(entry).encode(), limits.CACHE_KEEPS)
        breaker.succeeded()
    except Unavailable:
        pass
    except Exception:
        breaker.failed()
    return value


def _remember(key: str, entry: Entry) -> None:
    with _lock:
        _remembered[key] = entry
        _remembered.move_to_end(key)
        if len(_remembered) > limits.CACHE_REMEMBERS:
            _remembered.popitem(last=False)
