"""The back office: whether the books add up. It asks all who know, with no proxy in between.

    python -m shop.office

GET /invariants · POST /reset. The web application has the same routes; this program answers, too,
when that one hangs.
"""

from collections import Counter

import redis
import requests
from flask import Blueprint, Flask
from pymemcache.client.base import Client
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from shop import dns, settings
from shop.models import CartLine, Letter, Order, Outgoing, Shipment
from shop.setup import PRODUCTS, STOCK

office = Blueprint("office", __name__)

PATIENCE = 10
PAGES = 15
SENDER = {"sender": settings.SENDER}
MAILS = f"{settings.DIRECT_MAIL}/mails"
CHARGES = f"{settings.DIRECT_PAYMENT}/charges"

engine = create_engine(
    settings.sqlalchemy_url(settings.DIRECT_DATABASE),
    poolclass=NullPool,
    connect_args={"connect_timeout": PATIENCE, "read_timeout": PATIENCE},
)


@office.get("/invariants")
def get_invariants():
    """How many of everything, and how many of what must not be."""
    with engine.connect() as connection:
        paid = connection.execute(select(Order.id, Order.cart).where(Order.status == "paid")).all()
        waiting = connection.scalar(
            select(func.count()).where(Order.status.in_(("pending", "voiding")))
        )
        shipped = Counter(connection.scalars(select(Shipment.order)))
        unsent = connection.scalar(select(func.count()).where(~Letter.sent))
    carts = {f"cart-{order.cart}" for order in paid}
    charges = requests.get(CHARGES, timeout=PATIENCE).json()["charges"]
    mails = requests.get(MAILS, params=SENDER, timeout=PATIENCE).json()
    paid_for = Counter(charge["reference"] for charge in charges)
    lost = sum(order.id not in shipped for order in paid)
    missing = max(0, len(paid) - mails["letters"])
    return {
        "mode": settings.MODE,
        "orders": len(paid),
        "orders_pending": waiting,
        "orders_twice": len(paid) - len(carts),
        "orders_without_charge": len(carts - paid_for.keys()),
        "charges": len(charges),
        "charged_twice": len(charges) - len(paid_for),
        "charged_without_order": len(paid_for.keys() - carts),
        "jobs_done": len(shipped),
        "jobs_lost": lost,
        "jobs_twice": shipped.total() - len(shipped),
        "mails_sent": mails["mails"],
        "mails_missing": missing,
        "mails_twice": mails["mails"] - mails["letters"],
        "settled": not (waiting or lost or missing or unsent),
    }


@office.post("/reset")
def post_reset():
    """As on the first day. 503 if somebody still holds a table."""
    try:
        with engine.connect() as connection:
            connection.execute(text("SET SESSION lock_wait_timeout = 5"))
            connection.execute(text("SET SESSION innodb_lock_wait_timeout = 5"))
            connection.execute(text("SET SESSION foreign_key_checks = 0"))
            for table in (Letter, Outgoing, Shipment, Order, CartLine):
                connection.execute(text(f"TRUNCATE TABLE {table.__tablename__}"))
            connection.execute(text("TRUNCATE TABLE carts"))
            connection.execute(text("UPDATE products SET stock = :stock"), {"stock": STOCK})
            connection.commit()
    except SQLAlchemyError as error:
        return {"error": str(error)}, 503
    redis.Redis.from_url(settings.DIRECT_QUEUE, socket_timeout=PATIENCE).flushdb()
    cache = Client(settings.DIRECT_CACHE, timeout=PATIENCE, connect_timeout=PATIENCE)
    keys = [f"catalogue:{page}" for page in range(1, PAGES + 1)]
    keys += [f"product:{product}" for product in range(1, PRODUCTS + 1)]
    cache.delete_many([f"{settings.MODE}:{key}" for key in keys])
    cache.close()
    requests.delete(CHARGES, timeout=PATIENCE)
    requests.delete(MAILS, params=SENDER, timeout=PATIENCE)
    return {"reset": settings.MODE}


def create_app() -> Flask:
    """The back office alone."""
    dns.install(lambda host, port: dns.look_up(host, timeout=2, lifetime=PATIENCE)[0])
    app = Flask(__name__)
    app.register_blueprint(office)

    @app.get("/health")
    def get_health():
        return {"mode": settings.MODE}

    return app


if __name__ == "__main__":
    from shop.serving import serve

    serve("shop.office:create_app()", 8090, threads=2)
