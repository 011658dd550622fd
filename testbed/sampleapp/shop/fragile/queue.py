"""Mistake: the customer waits for the queue, and what the queue does not take is lost.

While Redis is gone the checkout, its order long paid, tries again for ever; a job whose reply was
lost is queued twice; any other refusal (a full queue) is written to a log that nobody reads. Mend:
shop/resilient/queue.py.
"""

import logging
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job

from shop import settings
from shop.errors import Missing

log = logging.getLogger(__name__)

connection = redis.Redis.from_url(
    settings.QUEUE, socket_timeout=None, socket_connect_timeout=None, retry=Retry(NoBackoff(), 0)
)
queue = Queue("orders", connection=connection)


def push(order: int) -> None:
    while True:
        try:
            queue.enqueue("shop.jobs.fulfil", order, job_id=f"order-{order}")
            return
        except (redis.ConnectionError, redis.TimeoutError) as error:
            log.info("once more: %s", error)
            time.sleep(0.1)
        except redis.RedisError as error:
            log.warning("order %s is not in the queue: %s", order, error)
            return


def status(order: int) -> tuple[str, bool]:
    try:
        return Job.fetch(f"order-{order}", connection=connection).get_status().value, False
    except NoSuchJobError:
        raise Missing(f"a job for order {order}") from None
