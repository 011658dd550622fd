"""Mend: what was left behind is put in order, and a worker that fails starts again.

Beside the jobs three threads tell the queue what the outbox holds, send letters, and settle: an
order that stayed pending is called off and its money returned, a job that was told of and not done
is told again. Mistake: shop/fragile/chores.py.
"""

import logging
import random
import threading
import time
from collections.abc import Callable

import redis
from rq import SimpleWorker
from sqlalchemy import delete, func, select, text, update

from shop import settings
from shop.models import Order, Outgoing, Shipment
from shop.resilient import database, limits, mail, payments, queue

log = logging.getLogger(__name__)


def work() -> None:
    """Do jobs and chores until told to stop."""
    for pause, chore in ((0.2, queue.tell), (0.2, mail.send_due), (1.0, settle)):
        threading.Thread(target=_repeat, args=(pause, chore), daemon=True).start()
    while True:
        connection = redis.Redis.from_url(settings.QUEUE)  # RQ sets its time-outs
        worker = Worker(["orders"], connection=connection, worker_ttl=20)
        try:
            worker.work(logging_level="ERROR")
        except Exception as error:
            log.warning("the worker starts again: %s", error)
        if worker.was_stopped:
            return
        time.sleep(random.uniform(0.5, 1.5))


class Worker(SimpleWorker):
    """One that looks for Redis every other second, and remembers that it was told to stop."""

    max_connection_wait_time = 2.0
    was_stopped = False

    def request_stop(self, *about):
        self.was_stopped = True
        super().request_stop(*about)


def _repeat(pause: float, chore: Callable[[], object]) -> None:
    while True:
        try:
            chore()
            time.sleep(pause)
        except Exception as error:
            log.warning("later: %s", error)
            time.sleep(random.uniform(0.5, 1.5))


def settle() -> None:
    ago = func.now() - text(f"INTERVAL {int(limits.SETTLE_AFTER)} SECOND")

    # Called off first, given back then: a payment that comes in between finds the order closed.
    def call_off(session) -> list[tuple[int, str]]:
        session.execute(
            update(Order)
            .where(Order.status == "pending", Order.made < ago)
            .values(status="voiding")
        )
        return session.execute(select(Order.id, Order.token).where(Order.status == "voiding")).all()

    for order, token in database.run(call_off, "orders"):
        payments.void(token)
        database.run(
            lambda session, order=order: session.execute(
                update(Order).where(Order.id == order).values(status="void")
            ),
            "orders",
        )

    def tell_again(session) -> None:
        done = select(Shipment.order)
        session.execute(
            delete(Outgoing).where(Outgoing.told.is_not(None), Outgoing.order.in_(done))
        )
        session.execute(update(Outgoing).where(Outgoing.told < ago).values(told=None))

    database.run(tell_again, "orders")
