"""Mistake: what the cache does not know everybody fetches, and nothing is ever waited for too long.

When a popular page runs out, all who want it run the same dear query at once (a stampede). An error
of the cache counts as a miss, so the load that it kept away hits the database instead. A cache
that hangs hangs the page. Mend: shop/resilient/cache.py.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from pymemcache.client.base import PooledClient

from shop import settings

log = logging.getLogger(__name__)

memcached = PooledClient(settings.CACHE, no_delay=True)


def through(key: str, seconds: int, make: Callable[[], Any]) -> tuple[Any, bool]:
    key = f"{settings.MODE}:{key}"
    found = None
    try:
        found = memcached.get(key)
    except Exception as error:
        log.info("no cache: %s", error)
    if found is not None:
        return json.loads(found), False
    value = make()
    try:
        memcached.set(key, json.dumps(value).encode(), expire=seconds)
    except Exception as error:
        log.info("no cache: %s", error)
    return value, False
