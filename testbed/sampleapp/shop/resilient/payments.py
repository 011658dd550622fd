"""Mend: every purchase has a key, so that it is paid once however often it is asked for.

A time-out within the request's, a few connections that are kept, at most so many payments at once;
one more try if the budget allows it; a circuit breaker, which stays open for as long as a peer asks
for with Retry-After. Mistake: shop/fragile/payments.py.
"""

import requests
from requests.adapters import HTTPAdapter

from shop import settings
from shop.errors import Conflict, Unavailable
from shop.resilient import limits
from shop.resilient.guards import Breaker, Budget, Bulkhead, left

breaker = Breaker("payment")
budget = Budget()
places = Bulkhead("payments", limits.PAYMENT_AT_ONCE, 0.0)
session = requests.Session()
session.trust_env = False
session.mount("http://", HTTPAdapter(pool_maxsize=limits.PAYMENT_AT_ONCE))


def charge(reference: str, cents: int, key: str) -> int:
    body = {"reference": reference, "cents": cents}
    budget.called()
    with places:
        while True:
            try:
                return _ask("charges", body, key)["id"]
            except Unavailable as error:
                # One that says when to come back is not asked before.
                if isinstance(error.__cause__, requests.RequestException) and budget.spend():
                    continue
                raise


def void(key: str) -> None:
    """Give the money back, and have no charge under this key ever after."""
    _ask("voids", {"key": key}, key)


def _ask(path: str, body: dict, key: str) -> dict:
    breaker.check()
    try:
        reply = session.post(
            f"{settings.PAYMENT}/{path}",
            json=body,
            headers={"Idempotency-Key": key},
            timeout=(left(limits.PAYMENT_CONNECT, "payment"), left(limits.PAYMENT, "payment")),
        )
        found = reply.json() if reply.ok else {}
    except requests.RequestException as error:
        breaker.failed()
        raise Unavailable("payment") from error
    if reply.status_code == 409:
        breaker.succeeded()
        raise Conflict("this purchase was called off")
    if reply.status_code in (429, 503):
        seconds = min(float(reply.headers.get("Retry-After", "1")), 5.0)
        breaker.pause(seconds)
        raise Unavailable("payment", seconds)
    if not reply.ok:
        breaker.failed()
        raise Unavailable("payment")
    breaker.succeeded()
    return found
