"""Faults switch at planned times on real proxies, and nothing stays whatever happens."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from harness import ROOT, Node, command, running, written
from redis_servers import redis_server
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from within import within

from rascal.control.client import Client
from rascal.demo.children import Children
from rascal.errors import ConfigErrors
from rascal.experiment.conductor import Conductor
from rascal.experiment.errors import ExperimentError
from rascal.experiment.reading import experiment_of
from rascal.experiment.record import FaultRecord
from rascal.experiment.timeline import timeline_of

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server")

INI = """
[proxy:cache]
protocol = redis
listen = 127.0.0.1:0
upstream = 127.0.0.1:{upstream}
[proxy:other]
protocol = tcp
listen = 127.0.0.1:0
upstream = 127.0.0.1:{upstream}
"""

PHASES = {"warm-up": 0.0, "baseline": 1.0, "fault": 2.0, "recovery": 1.0}


class Run:
    """A conductor, what it told, and why it could not go on."""

    def __init__(self, url: str, faults: str, run: str = "7", **phases: float) -> None:
        from twisted.internet import reactor

        text = f"target: http://h/\nload: {{scenarios: s.py}}\nnodes: {{main: '{url}'}}\n{faults}"
        found = experiment_of(text, "shop.yml")
        self.experiment = attrs.evolve(found, phases={**PHASES, **phases})
        self.told: list[tuple[str, str, Any]] = []
        self.trouble: list[str] = []
        self.reactor: Any = reactor
        self.conductor = Conductor(
            reactor,
            self.experiment,
            timeline_of(self.experiment),
            run=run,
            tell=lambda kind, text, data: self.told.append((kind, text, data)),
            trouble=self.trouble.append,
        )

    async def whole(self) -> tuple[FaultRecord, ...]:
        """From beginning to end."""
        await within(10, self.conductor.prepare())
        self.conductor.begin(self.reactor.seconds())
        await self.wait(sum(self.experiment.phases.values()))
        return await within(10, self.conductor.end())

    def wait(self, seconds: float) -> Deferred[None]:
        return deferLater(self.reactor, seconds, lambda: None)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with redis_server(tmp_path) as port, running(tmp_path, INI.format(upstream=port)) as found:
        yield found


def ping(node: Node, proxy: str = "cache") -> bytes:
    """What a client of the proxy sees, in a thread."""
    with socket.create_connection(("127.0.0.1", node.port(proxy)), 5) as client:
        client.settimeout(5)
        client.sendall(b"PING\r\n")
        return client.recv(100)


async def asked(node: Node, proxy: str = "cache") -> bytes:
    from twisted.internet.threads import deferToThread

    return await within(10, deferToThread(ping, node, proxy))


async def clean(node: Node) -> bool:
    from twisted.internet.threads import deferToThread

    def look() -> bool:
        held = [node.control.faults(name) for name in ("cache", "other")]
        scripts = node.control.faults("cache", "scripts")
        return not any(held) and not scripts and not node.control.leases()

    return await deferToThread(look)


@pytest_twisted.ensureDeferred
async def test_a_fault_is_on_for_its_window_and_gone_after_it(node: Node) -> None:
    run = Run(node.control.url, "faults: [error(oom) on cache match command=PING]\n")
    await within(10, run.conductor.prepare())
    assert await asked(node) == b"+PONG\r\n"
    run.conductor.begin(run.reactor.seconds())
    await run.wait(1.5)
    assert b"OOM" in await asked(node)
    await run.wait(2)
    assert await asked(node) == b"+PONG\r\n"
    (record,) = await within(10, run.conductor.end())
    assert (record.fired, record.matched, record.stayed) == (1, 1, False)
    assert abs(record.on - 1) < 0.1 and abs(record.off - 3) < 0.1
    assert run.trouble == []
    assert [kind for kind, _, _ in run.told] == ["fault_on", "fault_off", "fault_removed"]
    assert await clean(node)


@pytest_twisted.ensureDeferred
async def test_scripts_and_recipes_have_windows_too(node: Node) -> None:
    faults = (
        "recipe: cold-cache on cache\n"
        "scripts: [{on: cache, match: command=PING, steps: 'error(oom) count 100'}]\n"
    )
    run = Run(node.control.url, faults)
    await within(10, run.conductor.prepare())
    run.conductor.begin(run.reactor.seconds())
    await run.wait(1.5)
    assert b"OOM" in await asked(node)
    await run.wait(2)
    assert await asked(node) == b"+PONG\r\n"
    records = {one.name: one for one in await within(10, run.conductor.end())}
    assert records["cache/script"].fired == 1
    assert records["cache/cold-cache"].fired == 0
    assert all(abs(one.on - 1) < 0.1 and abs(one.off - 3) < 0.2 for one in records.values())
    assert await clean(node)


@pytest_twisted.ensureDeferred
async def test_what_is_wrong_is_known_before_anything_starts(node: Node) -> None:
    for faults, message in (
        (
            "faults: [hang on cahce]\n",
            "shop.yml:4: there is no proxy 'cahce'; proxies: cache, other",
        ),
        ("faults: [hang on cache match statement=X]\n", "redis has no match field 'statement'"),
        ("faults: [hang on other match command=X]\n", "shop.yml:4: other: "),
        ("faults: [error(nonsense) on cache]\n", "nonsense"),
    ):
        run = Run(node.control.url, faults)
        with pytest.raises(ConfigErrors) as caught:
            await within(10, run.conductor.prepare())
        assert message in str(caught.value)
        assert await clean(node)
    run = Run("http://127.0.0.1:1", "faults: [hang on cache]\n")
    with pytest.raises(ExperimentError, match=r"the node 'main' \(http://127.0.0.1:1\): "):
        await within(10, run.conductor.prepare())


@pytest_twisted.ensureDeferred
async def test_two_experiments_do_not_share_a_proxy(node: Node) -> None:
    first = Run(node.control.url, "faults: [hang on cache]\n")
    await within(10, first.conductor.prepare())
    second = Run(node.control.url, "faults: [delay 1s on cache]\n", run="8")
    with pytest.raises(ExperimentError, match="the experiment 7 is busy with the proxy 'cache'"):
        await within(10, second.conductor.prepare())
    elsewhere = Run(node.control.url, "faults: [delay 1s on other]\n", run="9")
    await within(10, elsewhere.conductor.prepare())
    await within(10, elsewhere.conductor.end())
    await within(10, first.conductor.end())
    assert await clean(node)


@pytest_twisted.ensureDeferred
async def test_the_lever_keeps_experiments_out(node: Node) -> None:
    from twisted.internet.threads import deferToThread

    await deferToThread(node.control.panic, True, "me")
    run = Run(node.control.url, "faults: [hang on cache]\n")
    with pytest.raises(ExperimentError, match="the panic lever"):
        await within(10, run.conductor.prepare())
    await deferToThread(node.control.panic, False, "me")


@pytest_twisted.ensureDeferred
async def test_the_lever_in_the_middle_is_trouble(node: Node) -> None:
    from twisted.internet.threads import deferToThread

    run = Run(node.control.url, "faults: [hang on cache]\n", fault=20.0)
    await within(10, run.conductor.prepare())
    run.conductor.begin(run.reactor.seconds())
    await run.wait(1.5)
    await deferToThread(node.control.panic, True, "me")
    ends = run.reactor.seconds() + 10
    while not run.trouble and run.reactor.seconds() < ends:
        await run.wait(0.1)
    (record,) = await within(10, run.conductor.end())
    assert run.trouble and record.off is not None and record.off < 5
    await deferToThread(node.control.panic, False, "me")
    assert await clean(node)


@pytest_twisted.ensureDeferred
async def test_a_node_that_dies_is_trouble(tmp_path: Path) -> None:
    from twisted.internet.threads import deferToThread

    file, url = written(tmp_path / "dying", INI.format(upstream=1))
    with Children(file.parent) as children, Client(url) as client:
        environment = {"PYTHONPATH": str(ROOT)}
        child = children.start(
            "rascal-proxy", command(file), ready=client.healthy, environment=environment
        )
        run = Run(url, "faults: [hang on cache]\n", fault=30.0)
        await within(10, run.conductor.prepare())
        run.conductor.begin(run.reactor.seconds())
        await run.wait(0.2)
        await deferToThread(child.stop)
        ends = run.reactor.seconds() + 20
        while not run.trouble and run.reactor.seconds() < ends:
            await run.wait(0.1)
        (record,) = await within(20, run.conductor.end())
        assert run.trouble and record.stayed
