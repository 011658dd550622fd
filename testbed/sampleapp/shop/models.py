"""The shop's tables. Both modes have the same, each in a schema of its own."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "products"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    cents: Mapped[int]
    stock: Mapped[int]


class Review(Base):
    __tablename__ = "reviews"
    id: Mapped[int] = mapped_column(primary_key=True)
    product: Mapped[int] = mapped_column(ForeignKey("products.id"))
    stars: Mapped[int]


class Cart(Base):
    __tablename__ = "carts"
    id: Mapped[int] = mapped_column(primary_key=True)
    made: Mapped[datetime] = mapped_column(server_default=func.now())


class CartLine(Base):
    __tablename__ = "cart_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    cart: Mapped[int] = mapped_column(ForeignKey("carts.id"))
    product: Mapped[int]
    quantity: Mapped[int]


class Order(Base):
    """`pending`, then `paid`; or `voiding`, then `void`. The fragile shop knows only `paid`."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    cart: Mapped[int] = mapped_column(index=True)
    cents: Mapped[int]
    status: Mapped[str] = mapped_column(String(12), index=True)
    charge: Mapped[int | None]
    # The customer's key for this purchase. The fragile shop leaves it out, and MySQL lets
    # any number of NULLs pass as unique.
    token: Mapped[str | None] = mapped_column(String(80), unique=True)
    made: Mapped[datetime] = mapped_column(server_default=func.now())


class Shipment(Base):
    """A job that was done."""

    __tablename__ = "shipments"
    id: Mapped[int] = mapped_column(primary_key=True)
    order: Mapped[int] = mapped_column("order_id", index=True)
    job: Mapped[str | None] = mapped_column(String(40), unique=True)  # as with Order.token


class Outgoing(Base):
    """The outbox: orders that the queue has to be told of (resilient only)."""

    __tablename__ = "outbox"
    order: Mapped[int] = mapped_column("order_id", primary_key=True, autoincrement=False)
    told: Mapped[datetime | None] = mapped_column(index=True)


class Letter(Base):
    """A mail that has to leave (resilient only)."""

    __tablename__ = "letters"
    order: Mapped[int] = mapped_column("order_id", primary_key=True, autoincrement=False)
    sent: Mapped[bool] = mapped_column(default=False)
    tries: Mapped[int] = mapped_column(default=0)
    due: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
