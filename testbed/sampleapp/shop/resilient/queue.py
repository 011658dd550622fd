"""Mend: the checkout needs no queue (transactional outbox).

What has to be done is noted in the outbox, in the transaction of the order itself; a chore of the
worker tells the queue, again and again until it is told. Asking for a status waits a moment, then
looks into the database. Mistake: shop/fragile/queue.py.
"""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shop import settings
from shop.errors import Missing, Unavailable
from shop.models import Order, Outgoing, Shipment
from shop.resilient import database, limits
from shop.resilient.guards import Breaker

connection = redis.Redis.from_url(
    settings.QUEUE,
    socket_timeout=limits.QUEUE,
    socket_connect_timeout=limits.QUEUE,
    retry=Retry(NoBackoff(), 1),
)
queue = Queue("orders", connection=connection)
breaker = Breaker("queue")


def tell(at_most: int = 50) -> int:
    """Tell the queue what waits in the outbox. Told twice is no harm: jobs are idempotent."""
    orders = database.run(
        lambda session: session.scalars(
            select(Outgoing.order).where(Outgoing.told.is_(None)).limit(at_most)
        ).all()
    )
    told = []
    try:
        for order in orders:
            queue.enqueue("shop.jobs.fulfil", order, job_id=f"order-{order}")
            told.append(order)
    finally:
        if told:
            mark = update(Outgoing).where(Outgoing.order.in_(told)).values(told=func.now())
            database.run(lambda session: session.execute(mark), "orders")
    return len(told)


def status(order: int) -> tuple[str, bool]:
    try:
        breaker.check()
        job = Job.fetch(f"order-{order}", connection=connection)
        breaker.succeeded()
        return job.get_status(refresh=False).value, False
    except NoSuchJobError:
        breaker.succeeded()
        return database.run(lambda session: _known(session, order)), False
    except redis.RedisError:
        breaker.failed()
    except Unavailable:
        pass
    return database.run(lambda session: _known(session, order)), True


def _known(session: Session, order: int) -> str:
    """What the books say."""
    if session.scalar(select(Shipment.id).where(Shipment.order == order)):
        return "finished"
    status = session.scalar(select(Order.status).where(Order.id == order))
    if status is None:
        raise Missing(f"order {order}")
    return "queued" if status == "paid" else status
