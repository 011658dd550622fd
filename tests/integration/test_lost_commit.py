"""The lost COMMIT: it is forwarded and done, and its reply never reaches the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import identity, look, usable
from mysql_place import SHORT, Place, Shop, cleared
from pymysql.err import OperationalError

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
SAYS = {
    "reset": r"^\(2013, 'Lost connection .*Connection reset by peer",
    "close": r"^\(2013, 'Lost connection to MySQL server during query'\)",
    "hang": r"^\(2013, 'Lost connection .*timed out",
}


@pytest.fixture
def place(mysql_node: Place) -> Iterator[Place]:
    with cleared(mysql_node):
        yield mysql_node


@pytest.fixture
def seen(request: pytest.FixtureRequest, place: Place) -> Callable[..., None]:
    return place.keeper(request, "PyMySQL")


def order(shop: Shop, *items: str) -> Any:
    """A transaction of several statements."""
    shop.connection.begin()
    for item in items:
        assert shop.run("INSERT INTO orders (item) VALUES (%s)", item) == 1
    shop.connection.commit()


@pytest.mark.parametrize("then", SAYS)
def test_the_lost_commit(then: str, place: Place, seen: Callable[..., None]) -> None:
    """The rows are there, the client got its error, the counters say fired = 1."""
    shop = place.client()
    before = identity(shop)
    if then == "hang":
        shop.wait(SHORT)
    sentence = f"lose_reply(then={then}) match statement=COMMIT count 1"
    with place.node.fault("db", sentence) as lost:
        sight = look(order, shop, "book", "pen")
        sight.raised(OperationalError, SAYS[then])
        assert place.orders() == ["book", "pen"]
        state = lost.adds_up()
        assert (state["matched"], state["fired"], state["armed"]) == (1, 1, False)
        counters = place.node.control.counters()["db"]
        assert counters["faults"]["lose_reply"]["fired"] == 1
        after = usable(shop, before)
        assert after == "anew"
        order(shop, "cup")  # the fault is used up
    assert place.orders() == ["book", "pen", "cup"]
    struck = place.node.control.exchanges("db", fault="lose_reply")[0]
    assert struck["faults"] == ["lose_reply"]
    assert struck["outcome"] == "reply lost"
    assert struck["fields"]["statement"] == "COMMIT"
    seen("lose_reply", sentence, sight, after)


def test_who_tries_again_does_it_twice(place: Place) -> None:
    """What the fault is for: a retry that is not idempotent."""

    def careless(shop: Shop) -> int:
        for attempt in range(1, 4):
            try:
                order(shop, "book")
            except OperationalError:
                shop.ping()
            else:
                return attempt
        return 0

    with place.node.fault("db", "lose_reply(then=reset) match statement=COMMIT count 1"):
        assert careless(place.client()) == 2
    assert place.orders() == ["book", "book"]


def test_a_commit_that_never_arrives_is_another_thing(place: Place) -> None:
    """The same error for the client, and nothing is there."""
    shop = place.client()
    with place.node.fault("db", "lose_request(then=reset) match statement=COMMIT count 1"):
        look(order, shop, "book").raised(OperationalError, SAYS["reset"])
    place.node.control.wait_until(lambda: not place.locked())
    assert place.orders() == []


@pytest.mark.parametrize("then", SAYS)
def test_the_recipe(then: str, place: Place, seen: Callable[..., None]) -> None:
    shop = place.client()
    if then == "hang":
        shop.wait(SHORT)
    sentence = f"recipe commit-lost then={then}"
    with place.node.recipe("db", sentence, fired=1) as recipe:
        sight = look(order, shop, "book")
        sight.raised(OperationalError, SAYS[then])
        assert place.orders() == ["book"]
        assert recipe.state["parts"]["commit-lost.lost"]["fired"] == 1
    after = usable(shop, 0)
    seen("recipe", sentence, sight, after)


def test_a_commit_without_a_word(place: Place) -> None:
    """PyMySQL's autocommit: the INSERT is the transaction."""
    shop = place.client()
    sentence = "lose_reply(then=close) match statement=INSERT and in_transaction=no"
    with place.node.fault("db", sentence):
        look(shop.run, "INSERT INTO orders (item) VALUES ('one')").raised(
            OperationalError, SAYS["close"]
        )
    assert place.orders() == ["one"]
