"""Mistake: a payment is tried until it succeeds, and no try is known for the same purchase.

No time-out, a new connection each time, no end to the attempts: a peer that is slow or says 429
gets all the more of them, and a reply that was lost means that the customer pays twice. Mend:
shop/resilient/payments.py.
"""

import logging
import time

import requests

from shop import settings

log = logging.getLogger(__name__)


def charge(reference: str, cents: int, key: str | None = None) -> int:
    while True:
        try:
            reply = requests.post(
                f"{settings.PAYMENT}/charges", json={"reference": reference, "cents": cents}
            )
            if reply.status_code == 201:
                return reply.json()["id"]
            log.info("payment says %s", reply.status_code)
        except (requests.RequestException, ValueError) as error:
            log.info("once more: %s", error)
        time.sleep(0.1)
