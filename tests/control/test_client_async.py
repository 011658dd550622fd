"""The client for reactors, awaited in coroutines of Twisted and in tasks of asyncio."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from live import free_port, service
from twisted.internet.defer import Deferred, ensureDeferred
from within import within

from rascal.config import Token
from rascal.control._site import make_site
from rascal.control.client import Client, Refused, Unproven, Unreachable

ROOT = str(Path(__file__).parents[2])


@pytest.fixture(params=["tcp", "unix"])
def url(request: pytest.FixtureRequest, node: Any, tmp_path: Path) -> Iterator[str]:
    from twisted.internet import reactor

    site = make_site(node)
    if request.param == "tcp":
        port = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]
        found = f"http://127.0.0.1:{port.getHost().port}"
    else:
        port = reactor.listenUNIX(str(tmp_path / "c.sock"), site)  # type: ignore[attr-defined]
        found = f"unix:{tmp_path / 'c.sock'}"
    yield found
    pytest_twisted.blockon(port.stopListening())


def made(url: str, **more: Any) -> Any:
    from rascal.control.client import AsyncClient

    return AsyncClient(url, **more)


def test_both_clients_have_the_same_methods() -> None:
    from rascal.control.client import AsyncClient

    def names(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert names(Client) - names(AsyncClient) == {"wait_until"}
    assert names(AsyncClient) <= names(Client)
    for name in names(AsyncClient):
        assert getattr(AsyncClient, name).__doc__


@pytest_twisted.ensureDeferred
async def test_calls_and_blocks(url: str) -> None:
    async def run() -> None:
        async with made(url) as client:
            assert list(await client.proxies()) == ["cache", "plain"]
            soon = client.seed()
            assert isinstance(soon, Deferred)
            assert await soon == 42
            assert not await client.healthy()
            async with client.fault("cache", "delay 2s", for_="20s") as fault:
                assert fault.text == "delay(2s) for 20s"
                assert (await fault.look())["armed"]
            assert fault.over and fault.fired == 0
            with pytest.raises(Unproven):
                fault.verify()
            async with client.script("cache", "pass", match="command=DEL") as script:
                assert [step["state"] for step in script.steps] == ["unused"]
            async with client.recipe("cache", "cold-cache") as recipe:
                assert recipe.data["parts"]
            before = await client.get("cache", "slow")
            async with client.changed("cache", "slow", {"count": 3}) as now:
                assert now["structure"]["count"] == 3
            assert (await client.get("cache", "slow"))["structure"] == before["structure"]
            data, tag = await client.tagged("cache", "slow")
            assert data["name"] == "slow" and tag.startswith('"')
            with pytest.raises(Refused) as caught:
                await client.add("cache", "delay 2")
            assert (caught.value.code, caught.value.column) == ("unit-missing", 7)
            with pytest.raises(ZeroDivisionError):
                async with client.fault("cache", "hang"):
                    raise ZeroDivisionError
            assert "hang" not in await client.faults("cache")
            assert "[proxy:cache]" in await client.export()

    await within(20, ensureDeferred(run()))


@pytest_twisted.ensureDeferred
async def test_tokens(url: str, node: Any) -> None:
    node.configuration = attrs.evolve(
        node.configuration, tokens=(Token(role="admin", secret="s3cret-of-ours"),)
    )

    async def run() -> None:
        async with made(url) as client:
            with pytest.raises(Refused) as caught:
                await client.proxies()
            assert caught.value.status == 401

    await within(10, ensureDeferred(run()))


@pytest_twisted.ensureDeferred
async def test_nobody_answers_or_not_in_time() -> None:
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory, Protocol

    class Silent(Protocol):
        """Takes everything and says nothing."""

    factory = Factory.forProtocol(Silent)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]

    async def run() -> None:
        async with made("http://127.0.0.1:1") as client:
            with pytest.raises(Unreachable, match="refused"):
                await client.proxies()
        async with made("unix:/nowhere/x.sock") as client:
            with pytest.raises(Unreachable):
                await client.proxies()
        async with made(f"http://127.0.0.1:{port.getHost().port}", timeout=0.2) as client:
            with pytest.raises(Unreachable, match="no answer in time"):
                await client.proxies()

    try:
        await within(10, ensureDeferred(run()))
    finally:
        await port.stopListening()


ASYNCIO = """
import asyncio, sys
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
from twisted.internet import asyncioreactor
asyncioreactor.install(loop)
from rascal.control.client import AsyncClient, Refused

async def main(url):
    async with AsyncClient(url) as client:
        print(sorted(await client.proxies()), await client.healthy())
        both = await asyncio.gather(client.seed(), client.seed())
        print(both)
        async with client.fault("plain", "refuse match client=10.0.0.1") as fault:
            print(fault.name, (await fault.look())["armed"])
        try:
            await client.add("plain", "hnag")
        except Refused as error:
            print(error.code)
        stream = client.events(("snapshot",))
        async for event in stream:
            print(event.kind, sorted(event.data["proxies"]))
            break
        await stream.aclose()

loop.run_until_complete(asyncio.wait_for(main(sys.argv[1]), 20))
"""


def test_in_tasks_of_asyncio(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "proxies.ini"
    file.write_text(
        f"[rascal]\ncontrol = 127.0.0.1:{port}\nseed = 5\n[proxy:plain]\nprotocol = tcp\n"
        "listen = 127.0.0.1:0\nupstream = 127.0.0.1:1\n"
    )
    url = f"http://127.0.0.1:{port}"
    with service(file, url):
        done = subprocess.run(
            [sys.executable, "-c", ASYNCIO, url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PYTHONPATH": ROOT, "PATH": "/usr/bin:/bin"},
        )
    assert done.stdout.splitlines() == [
        "['plain'] True",
        "[5, 5]",
        "refuse True",
        "unknown-name",
        "snapshot ['plain']",
    ], done.stderr
