"""What the shop does when its database and its cache misbehave."""

from concurrent.futures import ThreadPoolExecutor

import pytest


def test_a_deadlock_is_retried(shop, db, charges):
    with db.script("error(deadlock), pass", match="statement=UPDATE") as script:
        assert shop.checkout("order-1", "teapot") == "paid"
    script.verify()  # both steps were used: there was a second attempt
    assert charges("order-1") == 1


def test_a_lost_commit_charges_once(shop, db, charges):
    with db.fault("lose_reply then=reset match statement=COMMIT count 1"):
        assert shop.checkout("order-2", "teapot") == "paid"
    assert charges("order-2") == 1


def test_a_hanging_database_does_not_stop_the_page(shop, db, cache):
    assert shop.price_of("teapot") == 12
    with (
        ThreadPoolExecutor() as threads,
        cache.fault("empty match command=GET and key=price:teapot"),  # it has expired
        db.fault("hang match statement=SELECT") as hang,
    ):
        page = threads.submit(shop.price_of, "teapot")
        hang.wait_until_stuck()
        assert page.result(timeout=2) == 12


def test_an_order_outlives_a_queue_that_is_full(shop, cache, charges):
    with cache.fault("error(oom) match command=LPUSH"):
        assert shop.checkout("order-3", "teapot") == "paid"
    assert charges("order-3") == 1
    shop.checkout("order-4", "teapot")
    assert sorted(shop.cache.lrange("mails", 0, -1)) == [b"order-3", b"order-4"]


@pytest.mark.rascal("cache", "refuse")
def test_without_a_cache_there_are_prices(shop):
    assert shop.price_of("teapot") == 12
