"""Carts."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.errors import Missing
from shop.models import Cart, CartLine, Product


def add(session: Session, cart: int | None, product: int, quantity: int) -> dict:
    """Put something into a cart, a new one if there is none yet."""
    if session.get(Product, product) is None:
        raise Missing(f"product {product}")
    if cart is None:
        made = Cart()
        session.add(made)
        session.flush()
        cart = made.id
    session.add(CartLine(cart=cart, product=product, quantity=quantity))
    session.flush()
    return show(session, cart)


def show(session: Session, cart: int) -> dict:
    """What is in it, and what that costs."""
    lines = session.execute(
        select(CartLine.product, CartLine.quantity, Product.cents)
        .join(Product, Product.id == CartLine.product)
        .where(CartLine.cart == cart)
        .order_by(CartLine.id)
    ).all()
    if not lines:
        raise Missing(f"cart {cart}")
    return {
        "cart": cart,
        "lines": [{"product": line.product, "quantity": line.quantity} for line in lines],
        "total": sum(line.quantity * line.cents for line in lines),
    }
