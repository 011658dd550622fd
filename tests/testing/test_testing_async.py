"""Blocks in coroutines: of asyncio, of Twisted, and in trial."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from site_thread import InThread, Site, get
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.threads import deferToThread
from within import within

from rascal.testing import AsyncFault, FaultMissed, NotYet, Proxy, proxy
from rascal.testing._blocks import Block


def names(web: Proxy) -> list[str]:
    return list(web.node.call(lambda client: client.faults(web.name)))


# ---- asyncio


def in_asyncio(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it in a loop of its own, in a thread: this one may have the reactor's."""
    error = InThread(asyncio.run, asyncio.wait_for(coroutine, 60)).result(70)
    if error is not None:
        raise error


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  (what changes is in another process)
        await asyncio.sleep(0.002)


def test_in_asyncio(web: Proxy, site: Site) -> None:
    async def run() -> None:
        async with proxy("http", upstream=site.upstream) as other:
            assert await asyncio.to_thread(get, other.address) == 200
        async with web.fault("hang match path=/slow") as hang:
            assert isinstance(hang, AsyncFault)
            call = asyncio.create_task(asyncio.to_thread(get, web.address, "/slow"))
            await hang.wait_until_stuck()
            assert (hang.waiting, call.done()) == (1, False)
            await hang.release()
            assert await call == 200
            await hang.arm()
            assert (await hang.look())["armed"]
            with pytest.raises(NotYet, match="fired=2"):
                await hang.wait(fired=2, timeout="20ms")
        hang.verify(fired=1)
        with pytest.raises(FaultMissed, match="never struck"):
            async with web.script("error(503)"):
                pass
        async with web.script("pass, error(503)") as script:
            assert [await asyncio.to_thread(get, web.address) for _ in range(2)] == [200, 503]
        script.verify()

    in_asyncio(run())


def test_the_loop_goes_on_while_a_call_is_made(web: Proxy) -> None:
    """Another client has the node for a while: the call waits for it, the loop does not."""

    async def run() -> None:
        turns = 0
        held, free = threading.Event(), threading.Event()

        def hold() -> None:
            def wait(client: object) -> None:
                held.set()
                free.wait(20)

            web.node.call(wait)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(20)

        async def enter() -> None:
            async with web.fault("delay 1ms", may_miss=True):
                pass

        entering = asyncio.create_task(enter())
        for _ in range(20):
            await asyncio.sleep(0.001)
            turns += not entering.done()
        free.set()
        await entering
        thread.join()
        assert turns == 20

    in_asyncio(run())


def test_a_task_that_is_cancelled_leaves_nothing(
    web: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside the block, and in the middle of entering it."""
    entered, go = threading.Event(), threading.Event()
    original = Block._install

    def slowly(block: Block, node: object) -> object:
        found = original(block, node)  # type: ignore[arg-type]
        entered.set()
        go.wait(20)
        return found

    async def stand() -> None:
        async with web.fault("hang", may_miss=True):
            await asyncio.sleep(600)

    async def run() -> None:
        task = asyncio.create_task(stand())
        await until(lambda: names(web))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert names(web) == []

        monkeypatch.setattr(Block, "_install", slowly)
        task = asyncio.create_task(stand())
        await asyncio.to_thread(entered.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert names(web) == ["hang"]
        go.set()
        await until(lambda: not names(web))

    in_asyncio(run())


# ---- Twisted


@pytest_twisted.ensureDeferred
async def test_in_twisted(web: Proxy) -> None:
    async def run() -> None:
        async with web.fault("hang match path=/slow") as hang:
            call = deferToThread(get, web.address, "/slow")
            await hang.wait_until_stuck()
            assert not call.called
            await hang.release()
            assert await call == 200
        hang.verify(fired=1)
        with pytest.raises(FaultMissed):
            async with web.fault("hang"):
                pass

    await within(60, run())


@pytest_twisted.ensureDeferred
async def test_a_deferred_that_is_cancelled_leaves_nothing(
    web: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go = threading.Event(), threading.Event()
    original = Block._install

    def slowly(block: Block, node: object) -> object:
        found = original(block, node)  # type: ignore[arg-type]
        entered.set()
        go.wait(20)
        return found

    monkeypatch.setattr(Block, "_install", slowly)

    async def stand() -> None:
        async with web.fault("hang", may_miss=True):
            await Deferred()

    async def run() -> None:
        from twisted.internet.task import deferLater

        standing = ensureDeferred(stand())
        await deferToThread(entered.wait, 20)
        standing.cancel()
        with pytest.raises(CancelledError):
            await standing
        go.set()
        while names(web):
            await deferLater(reactor, 0.002)  # type: ignore[arg-type]

    await within(60, run())


TRIAL = """
import sys
sys.path.insert(0, {here!r})
from site_thread import get, running
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from rascal.testing import FaultMissed, proxy


class Tests(TestCase):
    def setUp(self):
        self.site = self.enterContext(running())
        self.web = proxy("http", upstream=self.site.upstream).start()
        self.addCleanup(self.web.stop)

    def test_blocking(self):
        with self.web.script("error(503), pass") as script:
            self.assertEqual(get(self.web.address), 503)
            self.assertEqual(get(self.web.address), 200)
        script.verify()

    async def test_awaited(self):
        async with self.web.fault("hang") as hang:
            call = deferToThread(get, self.web.address)
            await hang.wait_until_stuck()
            await hang.release()
            self.assertEqual(await call, 200)

    async def test_missed(self):
        async with self.web.fault("hang"):
            pass
"""


def test_in_trial(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(TRIAL.format(here=str(Path(__file__).parent)))
    done = subprocess.run(
        [sys.executable, "-m", "twisted.trial", "test_it"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "FAILED (errors=1, successes=2)" in said, said
    assert "http/hang hang never struck" in said
