"""Mistake: a job believes that it is done once.

Queues deliver at least once: what comes twice is shipped twice. Mend: shop/resilient/jobs.py.
"""

from sqlalchemy.orm import Session

from shop.fragile import database, mail
from shop.models import Shipment


def fulfil(order: int) -> None:
    def ship(session: Session) -> None:
        session.add(Shipment(order=order))

    database.run(ship, "orders")
    mail.send(order)
