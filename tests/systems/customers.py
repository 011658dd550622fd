"""What customers do in the small shops of this folder: half of them look around, half order.

rascal load run customers.py --target http://127.0.0.1:8080 --rate 60/s --for 30s
"""

import time

from rascal.load import Option, scenario

attempts = Option("attempts", int, 1, "How often an order is tried before the customer gives up")
patience = Option("patience", "duration", "10s", "How long the customer waits for each of them")
blocking = Option("blocking", "duration", "0s", "Python at work in every look: nothing else runs")


@scenario("browse")
async def browse(user):
    """Needs nothing but the shop itself."""
    time.sleep(blocking.value)  # noqa: ASYNC251  (the mistake that the option is for)
    await user.get("/browse", name="browse")


@scenario("order")
async def order(user):
    """Needs the shop's dependency."""
    key = user.unique("order")

    def once():
        return user.post(f"/order?{key}", name="order", timeout=patience.value)

    if attempts.value > 1:
        await user.retry(once, attempts=attempts.value, backoff="100ms..300ms")
    else:
        await once()
