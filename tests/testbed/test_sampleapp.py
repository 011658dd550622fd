"""The testbed's shop: what it does when all is well, each of its mistakes, and the mend of each.

Every mistake is shown by one small fault, on the fragile shop; the resilient one must bear the same
fault, in the same test. Each shop is a set of processes that lives as long as this module; a test
that leaves the fragile one broken starts that part of it anew (`renewed`).
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from shop_place import Place, Shop, at_once, missing, place

pytestmark = pytest.mark.integration

SOON = 2.0
"""Seconds within which the resilient shop has answered, on a busy machine."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if why := missing():  # asked when it is needed: it may make an environment
        pytest.skip(f"the shop cannot run here: {why}")
    with place(tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture(scope="module")
def shops(here: Place) -> Iterator[Callable[[str], Shop]]:
    """Makes a shop when it is first asked for."""
    made: dict[str, Shop] = {}
    with contextlib.ExitStack() as stack:

        def get(mode: str) -> Shop:
            if mode not in made:
                made[mode] = stack.enter_context(here.shop(mode))
            return made[mode]

        yield get


@pytest.fixture
def clean(here: Place, shops: Callable[[str], Shop]) -> Callable[[str], Shop]:
    """A shop with empty books, and no fault anywhere."""

    def get(mode: str) -> Shop:
        here.node.clear()
        shop = shops(mode)
        shop.reset()
        return shop

    return get


@pytest.fixture(params=["fragile", "resilient"])
def shop(request: pytest.FixtureRequest, clean: Callable[[str], Shop]) -> Shop:
    return clean(request.param)


@pytest.fixture
def fragile(clean: Callable[[str], Shop]) -> Shop:
    return clean("fragile")


@pytest.fixture
def resilient(clean: Callable[[str], Shop]) -> Iterator[Shop]:
    shop = clean("resilient")
    yield shop
    _well(shop)


@contextlib.contextmanager
def renewed(shop: Shop, *programs: str) -> Iterator[None]:
    """The fragile shop may be broken for good by what is done here: these start anew."""
    try:
        yield
    finally:
        for program in programs if shop.mode == "fragile" else ():
            shop.restart(program)


@contextlib.contextmanager
def without_worker(shop: Shop) -> Iterator[None]:
    """So that only the web application meets the fault."""
    shop.stop("worker")
    try:
        yield
    finally:
        shop.start("worker")


def _well(shop: Shop) -> None:
    """Until it sells again."""
    end = time.monotonic() + 15
    while True:
        bought = shop.post("/cart", json={"product": 9})
        if bought.status_code == 201 and shop.checkout(bought.json()["cart"]).status_code == 201:
            return
        assert time.monotonic() < end, f"it does not come back: {bought.text}\n{shop.logs}"
        time.sleep(0.2)


def _rested(shop: Shop) -> Shop:
    """Its budget has one retry again, whatever was before."""
    time.sleep(1.1)
    return shop


def _hangs(call: Callable[..., requests.Response], *about: Any, seconds: float = 1.5) -> None:
    with pytest.raises(requests.Timeout):
        call(*about, timeout=seconds)


def _quick(call: Callable[..., requests.Response], *about: Any) -> requests.Response:
    """A breaker is open: nothing is waited for, but for a trial now and then."""
    replies = [call(*about) for _ in range(3)]
    reply = min(replies, key=lambda reply: reply.elapsed)
    assert reply.elapsed.total_seconds() < 0.1
    return reply


def _refused(reply: requests.Response, within: float = SOON) -> None:
    """A quick and honest no."""
    assert reply.status_code == 503, reply.text
    assert int(reply.headers["Retry-After"]) >= 1
    assert reply.elapsed.total_seconds() < within


# ---- all is well ---------------------------------------------------------------------------------


def test_it_shows_what_it_has(shop: Shop) -> None:
    page = shop.get("/catalogue?page=3").json()
    assert len(page["products"]) == 20
    assert page == shop.get("/catalogue?page=3").json()
    assert shop.get("/catalogue?page=16").status_code == 404
    assert shop.get("/products/7").json() == {
        "id": 7,
        "name": "heavy cup no. 7",
        "cents": 950,
        "stale": False,
    }
    assert shop.get("/products/301").status_code == 404
    assert shop.get("/cart/999").status_code == 404
    assert "sans-serif" in shop.get("/static/shop.css").text
    assert shop.get("/health").json() == {"mode": shop.mode}


def test_it_sells(shop: Shop) -> None:
    cart = shop.cart(7, 3)
    shown = shop.get(f"/cart/{cart}").json()
    assert [line["product"] for line in shown["lines"]] == [7, 3]
    placed = shop.checkout(cart)
    assert placed.status_code == 201
    order = placed.json()["order"]
    books = shop.settled(1)
    assert books == {
        "mode": shop.mode,
        "orders": 1,
        "orders_pending": 0,
        "orders_twice": 0,
        "orders_without_charge": 0,
        "charges": 1,
        "charged_twice": 0,
        "charged_without_order": 0,
        "jobs_done": 1,
        "jobs_lost": 0,
        "jobs_twice": 0,
        "mails_sent": 1,
        "mails_missing": 0,
        "mails_twice": 0,
        "settled": True,
    }
    assert shop.get("/invariants").json() == books
    known = shop.get(f"/orders/{order}").json()
    assert known == {"order": order, "status": "finished", "reduced": False}
    assert shop.get("/orders/999").status_code == 404


def test_many_customers_at_once(shop: Shop) -> None:
    replies = at_once(5, lambda n: shop.checkout(shop.cart(n % 3 + 1, 3 - n % 3)))
    assert [reply.status_code for reply in replies] == [201] * 5
    assert shop.settled(5)["charges"] == 5
    shop.reset()
    assert shop.books["orders"] == shop.books["charges"] == shop.books["mails_sent"] == 0


# ---- database ------------------------------------------------------------------------------------


def test_a_lost_commit_is_charged_twice(fragile: Shop) -> None:
    cart = fragile.cart()
    lost = "lose_reply(then=reset) match statement=COMMIT count 1"
    with without_worker(fragile), fragile.fault("db", lost):
        assert fragile.checkout(cart).status_code == 201
    books = fragile.wait(lambda books: books["jobs_done"])
    assert (books["orders"], books["charged_twice"], books["orders_twice"]) == (2, 1, 1)


@pytest.mark.parametrize("skip", [0, 1])
def test_a_lost_commit_is_charged_once(resilient: Shop, skip: int) -> None:
    """Whichever of its two transactions it is."""
    with without_worker(_rested(resilient)):
        cart = resilient.cart()
        lost = f"lose_reply(then=reset) match statement=COMMIT skip {skip} count 1"
        with resilient.fault("db", lost):
            assert resilient.checkout(cart).status_code == 201
    books = resilient.settled(1)
    assert (books["charges"], books["charged_twice"], books["orders_twice"]) == (1, 0, 0)


def test_a_deadlock_after_the_payment(shop: Shop) -> None:
    cart = _rested(shop).cart()
    statement = "INSERT" if shop.mode == "fragile" else "UPDATE"
    deadlock = f"error(deadlock) match statement={statement} and sql~orders count 1"
    with without_worker(shop), shop.fault("db", deadlock):
        assert shop.checkout(cart).status_code == 201
    books = shop.settled(1)
    assert books["charged_twice"] == (1 if shop.mode == "fragile" else 0)
    assert books["charges"] == 1 + books["charged_twice"]


def test_a_database_that_hangs_takes_all_threads(fragile: Shop) -> None:
    with renewed(fragile, "web"):
        with fragile.fault("db", "hang match command=QUERY", fired=None):
            at_once(32, lambda _: _hangs(fragile.get, "/cart/1", seconds=1.0))
            _hangs(fragile.get, "/health")
        fragile.get("/health")


def test_a_database_that_hangs_takes_only_what_needs_it(resilient: Shop) -> None:
    with resilient.fault("db", "hang match command=QUERY", fired=None):
        replies = at_once(24, lambda _: resilient.get("/cart/1"))
        assert {reply.status_code for reply in replies} == {503}
        assert resilient.get("/health").elapsed.total_seconds() < SOON
        _refused(_quick(resilient.get, "/cart/1"))


def test_too_many_connections(here: Place, shop: Shop) -> None:
    """After an outage everybody knocks at once."""
    cart = shop.cart()
    with shop.fault("db", "error(too_many_connections) at greeting", fired=None) as full:
        here.node.empty(shop.proxy("db"))
        if shop.mode == "fragile":
            before = full.fired
            at_once(8, lambda _: _hangs(shop.get, f"/cart/{cart}"))
            assert full.fired - before > 40
        else:
            for _ in range(20):
                _refused(shop.get(f"/cart/{cart}"))
            before = full.fired
            at_once(8, lambda _: _refused(shop.get(f"/cart/{cart}")))
            assert full.fired - before < 8
    _well(shop)


def test_a_server_that_only_reads_is_left(here: Place, resilient: Shop) -> None:
    """Its connections are given up, so the new ones may lead to the new primary."""
    before = set(here.node.control.connections(resilient.proxy("db")))
    with resilient.fault("db", "error(read_only) match statement=INSERT", fired=None):
        for _ in range(3):
            _refused(resilient.post("/cart", json={"product": 7}))
    _well(resilient)
    assert before - set(here.node.control.connections(resilient.proxy("db")))


# ---- cache ---------------------------------------------------------------------------------------


def until_it_reads(shop: Shop) -> None:
    """A breaker may be open from before: until something that is in no cache is read."""
    ends = time.monotonic() + 20
    for product in itertools.cycle(range(200, 300)):
        if shop.get(f"/products/{product}").status_code == 200:
            return
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_cold_cache(shop: Shop) -> None:
    """Eight want the same page, which is in no cache: a stampede, or a single flight."""
    until_it_reads(shop)
    with shop.fault("db", "delay 300ms match sql~reviews", fired=None) as query:
        replies = at_once(8, lambda _: shop.get("/catalogue?page=5"))
    assert {reply.status_code for reply in replies} == {200}
    assert query.state["fired"] == (8 if shop.mode == "fragile" else 1)


def test_a_cache_that_hangs(shop: Shop) -> None:
    shop.get("/products/8")
    with renewed(shop, "web"), shop.fault("cache", "hang", fired=None):
        if shop.mode == "fragile":
            _hangs(shop.get, "/products/8")
        else:
            for _ in range(8):
                assert shop.get("/products/8").status_code == 200
            _quick(shop.get, "/products/8")


def test_a_cache_that_is_gone(shop: Shop) -> None:
    """Both go on without; the fragile one asks the database each time."""
    shop.get("/products/8")
    seen = "delay 1ms match statement=SELECT and sql~products"
    with (
        shop.fault("cache", "reset at request", fired=None) as gone,
        shop.fault("db", seen, fired=None) as query,
    ):
        while shop.mode == "resilient" and not gone.fired:
            shop.get("/products/8")  # a breaker may be open from before
        replies = [shop.get(f"/products/{product}") for product in (8, 8, 8, 11)]
    assert {reply.status_code for reply in replies} == {200}
    assert query.state["fired"] == (4 if shop.mode == "fragile" else 1)


def test_an_old_page_is_better_than_none(shop: Shop) -> None:
    assert shop.get("/catalogue?page=2").json()["stale"] is False
    time.sleep(1.1)  # what CATALOGUE_SECONDS is here
    with (
        renewed(shop, "web"),
        shop.fault("db", "error(lock_wait) match sql~reviews", fired=None),
    ):
        if shop.mode == "fragile":
            _hangs(shop.get, "/catalogue?page=2")
        else:
            reply = shop.get("/catalogue?page=2")
            assert reply.json()["stale"] is True
            assert len(reply.json()["products"]) == 20
            _refused(shop.get("/catalogue?page=14"))  # never seen


# ---- payment -------------------------------------------------------------------------------------


def test_a_payment_that_hangs(fragile: Shop) -> None:
    carts = [fragile.cart() for _ in range(32)]
    with fragile.fault("payment", "hang", fired=None):
        at_once(32, lambda n: _hangs(fragile.checkout, carts[n], seconds=1.0))
        _hangs(fragile.get, "/health")
    _well(fragile)


def test_a_payment_that_hangs_opens_the_breaker(resilient: Shop) -> None:
    carts = [resilient.cart() for _ in range(12)]
    with resilient.fault("payment", "hang", fired=None):
        for reply in at_once(12, lambda n: resilient.checkout(carts[n])):
            _refused(reply)
        assert resilient.get("/health").elapsed.total_seconds() < SOON
        _refused(_quick(resilient.checkout, carts[0]))
    _well(resilient)
    # What stayed pending is called off, its money, if it was taken, is given back.
    books = resilient.wait(lambda books: books["settled"])
    assert books["charged_without_order"] == books["orders_without_charge"] == 0
    assert resilient.checkout(carts[0]).status_code == 409


def test_a_payment_whose_reply_is_lost(shop: Shop) -> None:
    cart = _rested(shop).cart()
    with shop.fault("payment", "lose_reply(then=reset) match method=POST count 1"):
        assert shop.checkout(cart).status_code == 201
    books = shop.settled(1)
    assert books["charged_twice"] == (1 if shop.mode == "fragile" else 0)


def test_a_payment_that_limits_the_rate(shop: Shop) -> None:
    cart = shop.cart()
    with shop.fault("payment", "error(429, retry_after=3s)", fired=None) as limited:
        if shop.mode == "fragile":
            _hangs(shop.checkout, cart)
            assert limited.fired > 5
        else:
            _refused(shop.checkout(cart))
            reply = shop.checkout(cart)
            _refused(reply, within=0.3)
            assert int(reply.headers["Retry-After"]) in (2, 3)
            assert limited.fired == 1
    _well(shop)


def test_a_customer_who_asks_again(shop: Shop) -> None:
    cart = shop.cart()
    orders = {shop.checkout(cart, **{"Idempotency-Key": "mine"}).json()["order"] for _ in range(2)}
    assert len(orders) == (2 if shop.mode == "fragile" else 1)
    assert shop.settled(len(orders))["charged_twice"] == len(orders) - 1


def test_money_without_an_order_goes_back(shop: Shop) -> None:
    """The database is lost between the payment and the order."""
    cart = shop.cart()
    gone = "INSERT and sql~orders" if shop.mode == "fragile" else "UPDATE and sql~orders.*paid"
    with (
        renewed(shop, "web"),
        shop.fault("db", f"error(disk_full) match statement={gone}", fired=None),
    ):
        if shop.mode == "fragile":
            _hangs(shop.checkout, cart)
            books = shop.books
            assert (books["orders"], books["charged_without_order"]) == (0, 1)
            assert books["charged_twice"] > 1
        else:
            _refused(shop.checkout(cart))
            assert shop.books["charged_without_order"] == 1
    if shop.mode == "resilient":
        books = shop.settled(0)
        assert (books["charges"], books["charged_without_order"]) == (0, 0)


# ---- queue ---------------------------------------------------------------------------------------


def test_the_queue_is_gone(shop: Shop) -> None:
    carts = [shop.cart() for _ in range(3)]
    with (
        renewed(shop, "worker"),
        shop.fault("jobs", "reset at request", fired=None) as gone,
    ):
        for cart in carts:
            if shop.mode == "fragile":
                _hangs(shop.checkout, cart)
            else:
                assert shop.checkout(cart).status_code == 201
        gone.wait(fired=1)
    assert shop.settled(3)["jobs_done"] == 3


def test_the_queue_is_full(shop: Shop) -> None:
    with (
        without_worker(shop) if shop.mode == "fragile" else contextlib.nullcontext(),
        shop.fault("jobs", "error(oom) match command=RPUSH,HSET", fired=None) as full,
    ):
        reply = shop.checkout(shop.cart())
        assert reply.status_code == 201  # the fragile shop has swallowed it
        full.wait(fired=1)
    if shop.mode == "fragile":
        books = shop.wait(lambda books: books["orders"])
        assert (books["jobs_lost"], books["mails_missing"]) == (1, 1)
    else:
        assert shop.settled(1)["jobs_done"] == 1


def test_the_queue_loses_what_it_had(here: Place, resilient: Shop) -> None:
    """It comes back empty: what was told and not done is told again."""
    import redis

    with without_worker(resilient):
        resilient.checkout(resilient.cart())
    resilient.settled(1)
    with resilient.fault(
        "db", "error(lock_wait) match sql~shipments and statement=INSERT", fired=None
    ) as f:
        resilient.checkout(resilient.cart())
        f.wait(fired=1)
        with redis.Redis(port=here.direct["jobs"], db=1) as server:
            server.flushdb()
    assert resilient.settled(2)["jobs_twice"] == 0


def test_a_job_that_comes_twice(shop: Shop) -> None:
    cart = shop.cart()
    if shop.mode == "fragile":
        with (
            without_worker(shop),
            shop.fault("jobs", "lose_reply(then=reset) match command=EXEC skip 1 count 1"),
        ):
            assert shop.checkout(cart).status_code == 201
        books = shop.wait(lambda books: books["jobs_twice"])
        assert (books["jobs_twice"], books["orders"]) == (1, 1)
        shop.wait(lambda books: books["mails_twice"] == 1)
    else:
        shop.checkout(cart)
        shop.settled(1)
        shop.again(1)
        books = shop.settled(1)
        assert (books["jobs_twice"], books["mails_twice"]) == (0, 0)


def test_the_status_of_an_order(shop: Shop) -> None:
    order = shop.checkout(shop.cart()).json()["order"]
    shop.settled(1)
    with renewed(shop, "web"), shop.fault("jobs", "hang", fired=None):
        if shop.mode == "fragile":
            _hangs(shop.get, f"/orders/{order}")
        else:
            reply = shop.get(f"/orders/{order}").json()
            assert reply == {"order": order, "status": "finished", "reduced": True}


# ---- mail ----------------------------------------------------------------------------------------


def test_a_mail_server_that_greylists(shop: Shop) -> None:
    with shop.fault("mail", "error(greylisted) match command=RCPT count 1") as grey:
        assert shop.checkout(shop.cart()).status_code == 201
        grey.wait(fired=1)
    if shop.mode == "fragile":
        assert shop.wait(lambda books: books["jobs_done"])["mails_missing"] == 1
    else:
        assert shop.settled(1)["mails_sent"] == 1


def test_a_mail_server_that_hangs(shop: Shop) -> None:
    with renewed(shop, "worker"), shop.fault("mail", "hang", fired=None) as hung:
        for _ in range(2):
            assert shop.checkout(shop.cart()).status_code == 201
        hung.wait(fired=1)
        if shop.mode == "fragile":
            time.sleep(1)
            assert shop.books["jobs_done"] == 1  # the second waits behind the mail of the first
        else:
            shop.wait(lambda books: books["jobs_done"] == 2)
    if shop.mode == "resilient":
        assert shop.settled(2)["mails_sent"] >= 2


# ---- names ---------------------------------------------------------------------------------------


def test_a_wrong_address_for_an_hour(shop: Shop) -> None:
    """Nobody is at 127.0.0.9; the answer says that it holds for an hour."""
    shop.checkout(shop.cart())
    wrong = "replace(address=127.0.0.9, ttl=1h) match name=payment.shop.internal"
    with renewed(shop, "web"):
        with shop.fault("names", wrong, fired=None) as bent:
            if shop.mode == "fragile":
                time.sleep(1.1)  # the lifetime of the right answer
                _hangs(shop.checkout, shop.cart())
            else:
                bent.wait(fired=2)
                assert shop.checkout(shop.cart()).status_code == 201
        if shop.mode == "fragile":
            _hangs(shop.checkout, shop.cart())  # all is well but for the shop
        else:
            assert shop.checkout(shop.cart()).status_code == 201


def test_a_slow_name_server(shop: Shop) -> None:
    shop.checkout(shop.cart())
    with shop.fault("names", "delay 1500ms", fired=None) as slow:
        time.sleep(1.1)
        took = shop.checkout(shop.cart()).elapsed.total_seconds()
        slow.wait(fired=1)
    assert took > 1.5 if shop.mode == "fragile" else took < 1.0
