"""Faults in what Redis has of its own: transactions, pub/sub, blocking commands, pipelines."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from harness import Case, Sight, check, identity, look, usable
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis_place import (
    LOST,
    SHORT,
    Place,
    get,
)
from redis_servers import REDIS

from rascal.control.client import Refused

pytestmark = pytest.mark.skipif(not REDIS, reason="redis-server is not installed")
SEEN = ("redis", "redis-py")


@pytest.mark.parametrize("protocol", [2, 3])
def test_an_error_inside_a_transaction(
    protocol: int, place: Place, seen: Callable[..., None]
) -> None:
    """EXEC aborts by itself, the upstream is unchanged, the connection goes on."""
    client = place.client(protocol=protocol)
    before = identity(client)
    sentence = "error(oom) match command=SET and key=b"
    with place.node.fault("cache", sentence):
        pipeline = client.pipeline().set("a", "new").set("b", "new").incr("n")
        sight = look(pipeline.execute)
        sight.raised(redis.OutOfMemoryError, "Command # 2 .*maxmemory")
    assert place.direct().mget("a", "b", "n") == [b"1", b"2", None]
    after = usable(client, before)
    assert after == "yes"
    assert client.pipeline().set("a", "3").get("a").execute() == [True, b"3"]
    seen("error", f"{sentence} (in MULTI, RESP{protocol})", sight, after)


def test_exec_that_is_done_and_lost(place: Place, seen: Callable[..., None]) -> None:
    client = place.client(socket_timeout=SHORT)
    sentence = "lose_reply match command=EXEC"
    with place.node.fault("cache", sentence):
        sight = look(client.pipeline().set("a", "new").execute)
        sight.raised(*LOST["hang"])
    assert place.direct().get("a") == b"new"
    seen("lose_reply", sentence, sight, usable(client, -1))


def test_pubsub_while_faults_are_armed(place: Place) -> None:
    """Messages reach the subscriber once and in order while its other commands are held."""
    client, direct = place.client(), place.direct()
    with place.node.fault("cache", "delay 5ms", fired=None):
        subscriber = client.pubsub()
        subscriber.subscribe("news")
        assert subscriber.get_message(timeout=5)["type"] == "subscribe"
        with place.node.fault("cache", "error(noperm) match command=GET", fired=0):
            for n in range(200):
                direct.publish("news", n)
            subscriber.ping()
            got = []
            while len(got) < 201:
                message = subscriber.get_message(timeout=5)
                assert message is not None
                got.append(message)
        kinds = [one["type"] for one in got]
        assert [one["data"] for one in got if one["type"] == "message"] == [
            b"%d" % n for n in range(200)
        ]
        assert kinds.count("pong") == 1
        subscriber.unsubscribe()
        assert subscriber.get_message(timeout=5)["type"] == "unsubscribe"
        subscriber.close()


def test_pubsub_refused(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    sentence = "error(noperm) match command=SUBSCRIBE and key=secret"
    with place.node.fault("cache", sentence), client.pubsub() as subscriber:
        subscriber.subscribe("news")
        assert subscriber.get_message(timeout=5)["type"] == "subscribe"
        subscriber.subscribe("secret")
        sight = look(subscriber.get_message, timeout=5)
        sight.raised(exceptions.NoPermissionError, "'subscribe'")
    seen("error", sentence, sight, usable(client))


def test_a_job_is_popped_and_lost(place: Place, seen: Callable[..., None]) -> None:
    """BLPOP takes the job, its reply is lost: nobody has it."""
    client, direct = place.client(), place.direct()
    sentence = "lose_reply(then=reset) match blocking=yes count 1"
    with ThreadPoolExecutor(1) as pool, place.node.fault("cache", sentence):
        waiting = pool.submit(look, client.blpop, "jobs", 5)
        place.node.control.wait_until(
            lambda: any("blpop" in one["cmd"] for one in direct.client_list())
        )
        assert not waiting.done()
        direct.rpush("jobs", "one")
        sight = waiting.result(5)
        sight.raised(*LOST["reset"])
    assert direct.llen("jobs") == 0
    after = usable(client, -1)
    seen("lose_reply", sentence, sight, after)
    direct.rpush("jobs", "two")
    assert client.blpop("jobs", 5) == (b"jobs", b"two")


def test_one_of_a_thousand_pipelined(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    before = identity(client)
    sentence = "error(oom) match key=k500"
    with place.node.fault("cache", sentence):
        pipeline = client.pipeline(transaction=False)
        for n in range(1000):
            pipeline.set(f"k{n}", n)
        replies = pipeline.execute(raise_on_error=False)
        assert isinstance(replies.pop(500), redis.OutOfMemoryError)
        assert replies == [True] * 999
        sight = Sight("999 replies True, the 501st OutOfMemoryError")
    assert place.direct().dbsize() == 5 + 999
    after = usable(client, before)
    assert after == "yes"
    seen("error", f"{sentence} (in a pipeline of 1,000)", sight, after)


def test_a_reply_lost_in_a_pipeline(place: Place, seen: Callable[..., None]) -> None:
    """What was pipelined behind it is done, and nobody learns."""
    client = place.client(socket_timeout=SHORT)
    sentence = "lose_reply match key=k500"
    with place.node.fault("cache", sentence):
        pipeline = client.pipeline(transaction=False)
        for n in range(1000):
            pipeline.set(f"k{n}", n)
        sight = look(pipeline.execute)
        sight.raised(*LOST["hang"])
    assert place.direct().dbsize() == 5 + 1000
    seen("lose_reply", f"{sentence} (in a pipeline of 1,000)", sight, usable(client, -1))


@pytest.mark.parametrize(
    ("sentence", "does", "value"),
    [
        ("empty match command=GET", get, None),
        ("empty match command=HGETALL", lambda c: c.hgetall("hash"), {}),
        ("empty match command=SMEMBERS", lambda c: c.smembers("set"), set()),
        ("replace(9) match command=GET", get, b"9"),
        ("duplicate match command=INCRBY", lambda c: c.incr("n"), 1),
        ("delay 20ms match command=HGETALL", lambda c: c.hgetall("hash"), {b"field": b"value"}),
    ],
)
def test_resp3(
    sentence: str, does: Callable[[Any], Any], value: Any, place: Place, seen: Callable[..., None]
) -> None:
    case = Case(sentence.partition(" ")[0].partition("(")[0], sentence, does, value)
    client = place.client(protocol=3)
    add = lambda name, text, *rest: seen(name, f"{text} (RESP3)", *rest)  # noqa: E731
    check(case, place.node, "cache", client, add)


def test_a_client_that_cannot_have_resp3(place: Place, seen: Callable[..., None]) -> None:
    sentence = "error(noproto) match command=HELLO"
    with place.node.fault("cache", sentence, fired=None):
        sight = look(place.client(protocol=3).get, "a")
        assert sight.error is not None
        sight.raised(type(sight.error), "NOPROTO|unsupported")
    seen("error", f"{sentence} (while connecting)", sight, usable(place.client(protocol=3)))


def test_redis_cannot_end_a_reply_in_the_middle(place: Place) -> None:
    for sentence in ("truncate(items=1, then=end)", "truncate(items=1, error=oom)"):
        with pytest.raises(Refused) as caught:
            place.node.control.add("cache", sentence)
        assert caught.value.status == 422


def test_a_script_and_a_roulette(place: Place) -> None:
    client = place.client()
    with place.node.script("cache", "pass 2, error(oom), lose_reply(then=close)", "command=SET"):
        assert [client.set("a", n) for n in range(2)] == [True, True]
        look(client.set, "a", 2).raised(redis.OutOfMemoryError)
        look(client.set, "a", 3).raised(*LOST["close"])
        assert client.get("a") == b"3"
        assert client.set("a", 4)
    control = place.node.control
    made = control.add("cache", {"roulette": "40% error(oom), 60% error(busy)", "name": "wheel"})
    sights = [look(client.set, "a", 3) for _ in range(50)]
    kinds = {type(one.error).__name__ for one in sights}
    assert kinds == {"OutOfMemoryError", "ResponseError"}
    gone = control.remove("cache", made["name"])
    assert (gone["matched"], gone["fired"]) == (50, 50)


def test_a_pool_recovers(place: Place, seen: Callable[..., None]) -> None:
    """Ten clients of one pool lose their connections; afterwards all ten work."""
    pool = redis.Redis(port=place.port, retry=Retry(NoBackoff(), 0), driver_info=None)
    with ThreadPoolExecutor(10) as threads, pool:
        sentence = "reset match command=GET"
        with place.node.fault("cache", sentence, fired=10):
            sights = list(threads.map(lambda _: look(pool.get, "a"), range(10)))
            for sight in sights:
                sight.raised(*LOST["reset"])
        assert list(threads.map(lambda _: pool.get("a"), range(50))) == [b"1"] * 50
        seen("reset", f"{sentence} (ten clients of one pool)", sights[0], "anew")
