"""What the shop's customers do. Who waits for longer than a second has gone to another shop.

    rascal load run customers.py --target http://127.0.0.1:8082 --rate 50/s --for 30s

Flows and what they need: `catalogue` and `product` cache and database, `cart` the database,
`checkout` database, payment and queue, `status` the queue, `static` nothing. Options:
`--set attempts=3` for customers who click again when nothing happens.
"""

from collections import deque

from rascal.load import Option, scenario

PATIENCE = "1s"
PAGES, PRODUCTS = 15, 300

attempts = Option("attempts", int, 1, "How often a checkout is tried before the customer goes")

orders: deque[int] = deque(maxlen=50)
"""Of the customers of this process, the newest last."""


async def fresh(reply):
    """An old page is less than a fresh one, and more than none."""
    if reply.code == 200 and (await reply.json())["stale"]:
        reply.reduced()


@scenario("look", weight=8, deadline=PATIENCE)
async def look(user):
    page = user.random.randint(1, PAGES)
    await fresh(await user.get(f"/catalogue?page={page}", name="catalogue"))


@scenario("choose", weight=10, deadline=PATIENCE)
async def choose(user):
    product = user.random.randint(1, PRODUCTS)
    await fresh(await user.get(f"/products/{product}", name="product"))


@scenario("buy", weight=16, deadline=PATIENCE)
async def buy(user):
    """Something into the cart, then to the till."""
    what = {"product": user.random.randint(1, PRODUCTS), "quantity": 1}
    reply = await user.post("/cart", json=what, name="cart")
    if reply.code != 201:
        return
    cart = (await reply.json())["cart"]
    key = user.unique("order")

    def pay():
        return user.post(
            "/checkout", json={"cart": cart}, headers={"Idempotency-Key": key}, name="checkout"
        )

    reply = await (pay() if attempts.value == 1 else user.retry(pay, attempts=attempts.value))
    if reply.code == 201:
        orders.append((await reply.json())["order"])


@scenario("ask", weight=8, deadline=PATIENCE)
async def ask(user):
    """Where is my order?"""
    if orders:
        reply = await user.get(f"/orders/{orders[-1]}", name="status")
        if reply.code == 200 and (await reply.json())["reduced"]:
            reply.reduced()


@scenario("read", weight=8, deadline=PATIENCE)
async def read(user):
    await user.get("/static/shop.css", name="static")
