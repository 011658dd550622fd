"""`rascal wrap` on three Compose projects of other shapes, up on a real engine, and faulted.

Minutes, images and an engine: apart from the other integration tests (mark `slow`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from wrap_place import UP, Place, free_port, need_engine, need_image, need_rascal, project, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def _engine() -> Iterator[None]:
    client = need_engine()
    need_rascal()
    yield
    client.close()


def up(place: Place) -> None:
    """Build it and bring it up."""
    began = time.monotonic()
    place.compose("build")
    place.compose("up", "-d")
    until(lambda: place.get("/health").ok, UP)
    print(f"up after {time.monotonic() - began:.0f} s")


def stands_between(place: Place, client: str, name: str, node: str = "rascal-proxy") -> None:
    """The name is the node to the client, and the server behind it has no name there."""
    assert place.addresses(client, name) <= set(place.networks(node).values())
    assert place.addresses(client, name)
    assert not place.addresses(client, f"{name}-behind")


def test_a_django_application_with_postgresql_and_redis(tmp_path: Path) -> None:
    for tag in ("postgres:15", "redis:7"):
        need_image(tag)
    with project("django", tmp_path, "HTTP_PORT") as place:
        place.wrap()
        up(place)
        assert place.post("/notes", "first").json() == {"id": 1}
        assert place.get("/notes").json() == {"notes": 1}
        assert place.get("/visits").json() == {"visits": 1}
        for name in ("db", "cache"):
            stands_between(place, "web", name)
        stands_between(place, "nginx", "web")
        place.rascal("experiment", "check", str(place.folder / "rascal" / "cache.yml"))
        with place.client() as client:
            with client.fault("cache", "error(oom) match command=INCRBY") as oom:
                assert place.get("/visits").status_code == 500
                assert place.get("/notes").ok
                assert oom.fired >= 1
            with client.fault("db", "delay 700ms") as slow:
                began = time.monotonic()
                assert place.get("/notes").ok
                assert time.monotonic() - began > 0.7
                assert place.get("/visits").elapsed.total_seconds() < 0.7
                assert slow.fired >= 1
            with client.fault("web", "error(503) match path=/health"):
                assert place.get("/health").status_code == 503
                assert place.get("/notes").ok
        assert place.get("/visits").json() == {
            "visits": 3
        }  # one of them while the database was slow


def test_a_php_application_with_mariadb_and_memcached(tmp_path: Path) -> None:
    for tag in ("mariadb:10.11", "memcached:1.6", "debian:bookworm-slim"):
        need_image(tag)
    database = free_port()
    with project("php", tmp_path, "BLOG_PORT", BLOG_DB_PORT=str(database)) as place:
        # First as its users know it: what they have in the database is there with proxies, too.
        place.compose("build", files=())
        place.compose("up", "-d", files=())
        until(lambda: place.get("/posts").ok, UP)
        add = ["mysql", "-uroot", "-proot", "blog", "-e", "INSERT INTO posts (title) VALUES ('3')"]
        place.compose("exec", "-T", "database", *add, files=())

        place.wrap()
        up(place)
        posts = {"posts": ["Hello", "World", "3"]}
        assert until(lambda: place.get("/posts").ok) and place.get("/posts").json() == posts
        assert place.get("/hits").json()["hits"] == 1
        proxy = place.networks("rascal-proxy")
        assert proxy["back"] == "172.29.77.10"  # the database's, that it was given
        for name in ("mysql.blog.local", "database", "blog-database", "cache", "memcached"):
            assert place.addresses("app", name) == {proxy["back"]}, name
        assert not place.addresses("app", "database-behind")
        with place.client() as client:
            with client.fault("database", "error(deadlock) match statement=SELECT") as deadlock:
                assert "Deadlock found" in place.get("/posts").json()["error"]
                assert place.get("/hits").ok
                assert deadlock.fired == 1
            with client.fault("memcached", "empty match command=incr") as cold:
                assert place.get("/hits").json()["hits"] is False
                assert cold.fired >= 1
            with client.fault("memcached", "hang"):
                assert place.get("/posts").json() == posts
        place.rascal("experiment", "check", str(place.folder / "rascal" / "database.yml"))

        # And without proxies again.
        place.compose("down", "-t", "2")
        place.compose("up", "-d", files=())
        until(lambda: place.get("/posts").ok, UP)
        assert place.get("/posts").json() == posts
        assert "rascal-proxy" not in place.compose("ps", files=())


def test_workers_with_rabbitmq(tmp_path: Path) -> None:
    for tag in ("rabbitmq:3.10", "python:3.12-slim"):
        need_image(tag)
    with project("worker", tmp_path, "API_PORT") as place:
        place.wrap()
        up(place)
        for _ in range(3):
            assert place.post("/").ok
        until(lambda: place.get("/").json().get("done") == 3)
        stands_between(place, "api", "broker")
        with place.client() as client:
            before = client.counters()["broker"]["connections"]
            assert before >= 2 + 4  # two workers, and one for each request
            with client.fault("broker", "delay 300ms"):
                assert place.post("/").elapsed.total_seconds() > 0.6
            until(lambda: place.get("/").json().get("done") == 4)
            with client.fault("broker", "reset") as gone:
                assert place.post("/").status_code == 503
                assert gone.fired >= 1
            # The workers were cut off, too, and come back by themselves.
            assert until(lambda: place.post("/").ok)
            until(lambda: place.get("/").json().get("done", 0) >= 5)
