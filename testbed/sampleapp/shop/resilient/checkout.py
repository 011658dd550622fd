"""Mend: a purchase has an identity, and its steps can each be done again.

The order is written down first, as pending, under the customer's key (or the cart's); then it is
paid, under the same key and outside any transaction; then one transaction makes it paid, takes the
stock and leaves a note for the queue in the outbox. Whoever asks again goes on where it stopped.
What stays pending is given up and its money returned (shop/resilient/chores.py). Mistake:
shop/fragile/checkout.py.
"""

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shop import carts
from shop.errors import Conflict
from shop.models import Order, Outgoing, Product
from shop.resilient import database, payments


def place(cart: int, token: str | None) -> int:
    token = token or f"cart-{cart}"
    payments.breaker.check(only_ask=True)
    try:
        order = database.run(lambda session: _opened(session, cart, token), "orders")
    except IntegrityError:  # somebody else has just opened it
        order = database.run(lambda session: _opened(session, cart, token), "orders")
    if order.status == "pending":
        charge = payments.charge(f"cart-{order.cart}", order.cents, token)
        database.run(lambda session: _paid(session, order, charge), "orders")
    elif order.status != "paid":
        raise Conflict(f"order {order.id} was called off")
    return order.id


def _opened(session: Session, cart: int, token: str) -> Order:
    order = session.scalar(select(Order).where(Order.token == token))
    if order is None:
        total = carts.show(session, cart)["total"]
        order = Order(cart=cart, cents=total, status="pending", token=token)
        session.add(order)
        session.flush()
    return order


def _paid(session: Session, order: Order, charge: int) -> None:
    """Done once, even if the reply to the first COMMIT was lost."""
    changed = session.execute(
        update(Order)
        .where(Order.id == order.id, Order.status == "pending")
        .values(status="paid", charge=charge)
    )
    if not changed.rowcount:
        status = session.scalar(select(Order.status).where(Order.id == order.id))
        if status != "paid":
            raise Conflict(f"order {order.id} was called off")
        return
    lines = carts.show(session, order.cart)["lines"]
    for line in sorted(lines, key=lambda line: line["product"]):  # always in the same order
        session.execute(
            update(Product)
            .where(Product.id == line["product"])
            .values(stock=Product.stock - line["quantity"])
        )
    session.add(Outgoing(order=order.id))
