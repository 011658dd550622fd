"""A real service in front of real servers, for the commands: one for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from control.live import free_port, redis_server, service
from served import PROXIES, Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The service of a module."""
    folder = tmp_path_factory.mktemp("commands")
    with redis_server(folder) as redis:
        ports = {name: free_port() for name in ("control", "cache", "db", "nothing")}
        ports["redis"] = redis
        file = folder / "proxies.ini"
        file.write_text(PROXIES.format(**ports))
        url = f"http://127.0.0.1:{ports['control']}"
        with service(file, url) as client:
            yield Place(url, client, ports, file)


@pytest.fixture
def clean(place: Place) -> Iterator[Place]:
    """The same, with nothing installed before and after."""
    wipe(place)
    yield place
    wipe(place)


def wipe(place: Place) -> None:
    """No fault, no lever, only the proxies of the file."""
    client = place.client
    client.panic(True)
    client.panic(False)
    for name in client.proxies():
        if name not in ("cache", "db"):
            client.remove_proxy(name)
    client.set_seed(42)
    client.reset_counters()
