"""What is for sale, as the pages show it."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shop.errors import Missing
from shop.models import Product, Review

ON_A_PAGE = 20


def page(session: Session, number: int) -> list[dict]:
    """A page of the catalogue, the best first: one look at all reviews, the shop's dear query."""
    stars = func.avg(Review.stars)
    rows = session.execute(
        select(Product.id, Product.name, Product.cents, stars)
        .join(Review, Review.product == Product.id)
        .group_by(Product.id)
        .order_by(stars.desc(), Product.id)
        .limit(ON_A_PAGE)
        .offset(ON_A_PAGE * (number - 1))
    ).all()
    if not rows:
        raise Missing(f"page {number}")
    return [
        {"id": row.id, "name": row.name, "cents": row.cents, "stars": round(float(row[3]), 1)}
        for row in rows
    ]


def product(session: Session, number: int) -> dict:
    """One product."""
    found = session.get(Product, number)
    if found is None:
        raise Missing(f"product {number}")
    return {"id": found.id, "name": found.name, "cents": found.cents}
