"""Mend: a job leaves a mark that can be left only once.

The shipment carries the job's name, which is unique: done again, it finds the mark and goes. The
letter is written down in the same transaction and sent by a chore. Mistake: shop/fragile/jobs.py.
"""

import contextlib

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shop.models import Letter, Shipment
from shop.resilient import database


def fulfil(order: int) -> None:
    job = f"order-{order}"

    def ship(session: Session) -> None:
        if session.scalar(select(Shipment.id).where(Shipment.job == job)) is None:
            session.add(Shipment(order=order, job=job))
            session.add(Letter(order=order))

    with contextlib.suppress(IntegrityError):  # another worker has just done it
        database.run(ship, "orders")
