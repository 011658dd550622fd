"""The shop's web application.

    python -m shop.web

GET /catalogue · GET /products/7 · POST /cart · GET /cart/1 · POST /checkout · GET /orders/1 ·
GET /static/shop.css · GET /health · and the back office's GET /invariants and POST /reset.
"""

import logging
import math
from functools import partial

from flask import Flask, request
from werkzeug.exceptions import HTTPException

from shop import carts, catalogue, settings, setup
from shop.errors import Conflict, Missing, Unavailable
from shop.office import office

logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")


def create_app() -> Flask:
    """The application, when its database is there."""
    from shop.parts import cache, checkout, database, doors, names, queue

    names.install()
    setup.prepare()
    app = Flask("shop")
    app.register_blueprint(office)
    app.register_error_handler(Missing, lambda error: ({"missing": str(error)}, 404))
    app.register_error_handler(Conflict, lambda error: ({"conflict": str(error)}, 409))
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(HTTPException, lambda error: ({"error": error.name}, error.code))

    @app.get("/catalogue")
    def get_catalogue():
        number = request.args.get("page", 1, int)
        with doors.through("pages"):
            make = partial(database.run, lambda session: catalogue.page(session, number))
            found, stale = cache.through(f"catalogue:{number}", settings.CATALOGUE_SECONDS, make)
        return {"products": found, "stale": stale}

    @app.get("/products/<int:number>")
    def get_product(number: int):
        with doors.through("pages"):
            make = partial(database.run, lambda session: catalogue.product(session, number))
            found, stale = cache.through(f"product:{number}", settings.PRODUCT_SECONDS, make)
        return {**found, "stale": stale}

    @app.post("/cart")
    def post_cart():
        asked = request.get_json()
        put = partial(
            carts.add,
            cart=asked.get("cart"),
            product=int(asked["product"]),
            quantity=int(asked.get("quantity", 1)),
        )
        with doors.through("carts"):
            return database.run(put, "orders"), 201

    @app.get("/cart/<int:number>")
    def get_cart(number: int):
        with doors.through("carts"):
            return database.run(lambda session: carts.show(session, number))

    @app.post("/checkout")
    def post_checkout():
        cart = int(request.get_json()["cart"])
        with doors.through("orders"):
            order = checkout.place(cart, request.headers.get("Idempotency-Key"))
        return {"order": order, "status": "paid"}, 201

    @app.get("/orders/<int:number>")
    def get_order(number: int):
        with doors.through("status"):
            status, reduced = queue.status(number)
        return {"order": number, "status": status, "reduced": reduced}

    @app.get("/health")
    def get_health():
        return {"mode": settings.MODE}

    return app


def _unavailable(error: Unavailable):
    seconds = str(max(1, math.ceil(error.retry_after)))
    return {"unavailable": str(error)}, 503, {"Retry-After": seconds}


if __name__ == "__main__":
    from shop.serving import serve

    serve("shop.web:create_app()", 8080)
