"""Mistake: nobody looks after what was left behind, and a worker that fails is gone.

Mend: shop/resilient/chores.py.
"""

from rq import SimpleWorker

from shop.fragile import queue


def work() -> None:
    """Do jobs until told to stop, or until something unexpected happens."""
    SimpleWorker([queue.queue], connection=queue.connection).work(logging_level="WARNING")
