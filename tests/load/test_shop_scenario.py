"""The scenario file of the documentation, as it stands there, against a shop on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from within import until, within
from worlds import total

from rascal.load.book import Book, load_bundle
from rascal.load.http.client import Client
from rascal.load.plan import Plan
from rascal.load.recorder import Recorder
from rascal.load.types import Meters, Report
from rascal.load.world import World

SHOP = b'''
"""The shop in the evening."""
from rascal.load import Option, feeder, once_per_user, scenario

items = feeder("items.csv", order="shuffle")
size = Option("catalogue_size", int, 100, "Items on a catalogue page")

@once_per_user
async def login(user):
    await user.post("/login", json={"name": user.name}, name="login")

@scenario("browse", weight=8, think="10ms", deadline="5s")
async def browse(user):
    page = await user.get(f"/catalogue?n={size}", name="catalogue")
    page.check(status=200, json="$.items", within="5s")
    await user.think()
    await user.get(f"/items/{user.data(items)['id']}", name="item")

@scenario("buy", weight=2, think="10ms..20ms", deadline="10s", tags=["money"])
async def buy(user):
    await user.post("/cart", json={"item": user.data(items)["id"]}, name="cart")
    await user.think()
    key = user.unique("order")
    async def pay():
        reply = await user.post("/checkout", json={"key": key}, name="checkout", timeout="2s")
        reply.check(status=201, json="$.order")
        return await reply.json()
    order = await user.retry(pay, attempts=3, backoff="10ms..30ms", budget="100%")
    async with user.timer("job done"):
        await user.until(f"/orders/{order['order']}", json="$.done", every="20ms", within="8s")

@scenario("hang", deadline="300ms")
async def hang(user):
    await user.get("/hang", name="hang")
'''


class Shop(Resource):
    """Every second payment is refused; an order is done when it is asked for the third time."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.keys: list[str] = []
        self.cookies: list[bytes | None] = []

    def render(self, request: Any) -> Any:
        path = request.uri.decode()
        self.asked.append(path)
        request.setHeader(b"content-type", b"application/json")
        found: dict[str, Any] = {"items": [1, 2]}
        if path == "/login":
            request.addCookie(b"who", json.loads(request.content.read())["name"].encode())
        elif path == "/hang":
            return NOT_DONE_YET
        elif path == "/checkout":
            self.cookies.append(request.getCookie(b"who"))
            if self.asked.count(path) % 2:
                request.setResponseCode(503)
            else:
                request.setResponseCode(201)
                self.keys.append(json.loads(request.content.read())["key"])
                found = {"order": 17}
        elif path.startswith("/orders/"):
            found = {"done": self.asked.count(path) == 3}
        return json.dumps(found).encode()


class Street:
    """A world whose users really connect."""

    def __init__(self) -> None:
        self.shop = Shop()
        self.port = reactor.listenTCP(0, Site(self.shop), interface="127.0.0.1")  # type: ignore[attr-defined]
        self.plan = Plan(
            file="shop.py", shares=(), target=f"http://127.0.0.1:{self.port.getHost().port}"
        )
        self.book: Book = load_bundle(
            {"shop.py": SHOP, "items.csv": b"id,name\n7,tea\n8,milk\n"},
            "shop.py",
            {"catalogue_size": "20"},
        )
        self.client = Client(reactor, self.plan)
        start = reactor.seconds()  # type: ignore[attr-defined]
        self.recorder = Recorder("1", "a", start, clock=reactor.seconds)  # type: ignore[attr-defined]
        self.world = World(self.plan, self.book, self.recorder, self.client, reactor)

    async def run(self, scenario: str, number: int = 0) -> tuple[str, str]:
        """One iteration."""
        user = self.world.user(number, scenario)
        user.due = reactor.seconds()  # type: ignore[attr-defined]
        ended = await within(15, user.scenario.iterate(user))
        await until(lambda: not self.recorder.in_flight)  # the last call is counted after that
        leaving = user.leave()
        if leaving is not None:
            await leaving
        return ended

    def report(self) -> Report:
        return self.recorder.report(0, Meters())


@pytest.fixture
def street() -> Iterator[Street]:
    made = Street()
    yield made
    pytest_twisted.blockon(made.client.close())
    pytest_twisted.blockon(made.port.stopListening())


@pytest_twisted.ensureDeferred
async def test_browsing(street: Street) -> None:
    assert [await street.run("browse", number) for number in range(2)] == [("served", "")] * 2
    report = street.report()
    for flow in ("login", "catalogue", "item"):
        row = total(report, flow)
        assert (row.outcomes, row.replies, row.lanes) == ({"served": 2}, 2, {}), flow
    assert street.shop.asked[:2] == ["/login", "/catalogue?n=20"]
    assert {"/items/7", "/items/8"} <= set(street.shop.asked)


@pytest_twisted.ensureDeferred
async def test_buying_with_a_retry_and_polls(street: Street) -> None:
    assert await street.run("buy", 4) == ("served", "")
    report = street.report()
    paid = total(report, "checkout")
    assert (paid.outcomes, paid.attempts, paid.replies) == ({"served": 1}, 2, 2)
    assert paid.failures == {"http_5xx": 1}
    polled = total(report, "GET /orders/*")
    assert (polled.outcomes, polled.attempts, polled.replies) == ({"served": 1}, 3, 3)
    done = total(report, "job done")
    assert (done.outcomes, done.lanes) == ({"served": 1}, {"other": 1})
    assert street.shop.cookies == [b"buy-4", b"buy-4"]
    assert street.shop.keys[0].startswith("order-")
    replies = sum(row.replies for key, row in report.rows.items() if key[0] == "flow")
    assert replies == len(street.shop.asked)
    assert street.recorder.in_flight == 0


@pytest_twisted.ensureDeferred
async def test_a_deadline_ends_a_request_that_hangs(street: Street) -> None:
    assert await street.run("hang") == ("timeout", "not done within its deadline of 300ms")
    row = total(street.report(), "hang")
    assert (row.outcomes, row.replies) == ({"timeout": 1}, 0)
    assert street.recorder.in_flight == 0 and street.client.in_flight == 0
