"""Whole runs on real agents: signed, with set-ups and dependencies, through losses and Redis' end.

Here the product's own coordinator runs them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from agents_place import FILES, Target, agents, nginx, pause, plan, resume
from within import until, within

from rascal.load import embedded
from rascal.load.embedded import Server
from rascal.load.redis_link import RedisLink
from rascal.load.running import Finished, run_load
from rascal.store import Store

TOKEN = "a token that is long enough"


pytestmark = pytest.mark.skipif(not embedded.find_server(), reason="there is no redis-server")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with embedded.redis(port=True, folder=str(tmp_path)) as started:
        yield started


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with nginx(tmp_path) as started:
        yield started


class Watcher:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.second = -1

    def began(self, run: str, control: Any) -> None:
        self.control = control

    def snapshot(self, snapshot: Any) -> None:
        self.second = snapshot.second

    def event(self, event: Any) -> None:
        self.events.append(event)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def start(
    server: Server, target: Target, profile: str, count: int, files: Any = None, **more: Any
) -> tuple[Any, Watcher, RedisLink]:
    from twisted.internet import reactor

    link = RedisLink(server.place, reactor, token=more.pop("token", ""), patience=40.0)
    store = more.pop("store", None)
    watcher = Watcher()
    run = run_load(
        reactor,
        plan(target, profile, **more),
        files or FILES,
        link=link,
        agents=count,
        listener=watcher,
        store=store,
    )
    return run, watcher, link


def replies(finished: Finished) -> int:
    return int(finished.results.total(kind="flow").replies)


@pytest_twisted.ensureDeferred
async def test_one_of_three_agents_is_killed_half_way(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server.place, 3, tmp_path) as processes, Store(tmp_path / "runs.db") as store:
        run, watcher, link = start(server, target, "hold 150/s for 9s", 3, store=store)
        await until(lambda: watcher.second >= 3, seconds=60)
        killed = next(one for one in link.in_order() if one.info.pid == processes[0].pid)
        processes[0].kill()
        finished = await within(60, run)
        reports = [report for _, report in store.reports(finished.run)]
        assert store.results(finished.run).total().replies == replies(finished)
    assert finished.outcome == "completed"
    assert watcher.kinds.count("agent_lost") == 1 and "redistributed" in watcher.kinds
    told = dict.fromkeys(finished.summary["agents"], 0)
    for report in reports:
        told[report.agent] += sum(
            row.replies for (kind, _, _), row in report.rows.items() if kind == "flow"
        )
    assert sum(told.values()) == replies(finished)
    for member in link.in_order():
        seen = target.count(member.info.pid)
        if member is killed:
            # What it did after its last report, and what it was doing, nobody knows: two seconds
            # at most, and as much again for a machine that was busy.
            assert 0 < told[member.name] <= seen <= told[member.name] + 200
        else:
            assert told[member.name] == seen > 0
    assert any(f"agent {killed.name} was lost" in one for one in finished.summary["warnings"])
    rows = finished.results.rows("flow", "home")
    assert sum(rows[n].planned for n in (7, 8)) > 220  # all of it, by two


@pytest_twisted.ensureDeferred
async def test_one_of_three_agents_stands_still_for_a_while(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server.place, 3, tmp_path) as processes:
        run, watcher, _ = start(server, target, "hold 150/s for 11s", 3)
        await until(lambda: watcher.second >= 1, seconds=60)
        pause(processes[0])
        await until(lambda: "redistributed" in watcher.kinds, seconds=10)
        taken = watcher.events[watcher.kinds.index("redistributed")].data["second"]
        await until(lambda: watcher.second >= taken, seconds=10)
        resume(processes[0])
        finished = await within(60, run)
    assert finished.outcome == "completed"
    assert watcher.kinds.count("agent_lost") == watcher.kinds.count("agent_back") == 1
    assert watcher.kinds.count("redistributed") == 2
    # The seconds in which it slept are known not to be sound.
    assert finished.summary["unsound"]["seconds"]
    total = finished.results.total()
    assert total.planned == total.started + total.dropped
    assert total.started == sum(total.outcomes.values())
    assert replies(finished) == target.count()
    assert not finished.results.gaps()
    rows = finished.results.rows("flow", "home")
    assert all(row.planned < 210 for row in rows.values()), {n: rows[n].planned for n in rows}
    assert sum(rows[n].planned for n in (9, 10)) > 220


@pytest_twisted.ensureDeferred
async def test_redis_is_started_again_with_empty_memory(
    server: Server, target: Target, tmp_path: Path
) -> None:
    with agents(server.place, 2, tmp_path):
        run, watcher, _ = start(server, target, "hold 150/s for 6s", 2)
        await until(lambda: watcher.second >= 2, seconds=60)
        server.restart()
        finished = await within(60, run)
    assert finished.outcome == "completed"
    assert "agent_lost" not in watcher.kinds
    assert replies(finished) == target.count() > 700
    assert not finished.results.gaps()


SET_UPS = b"""
import os
from rascal.load import once_per_agent, once_per_run, scenario

@once_per_run
async def make(user):
    await user.get(f"/made/{os.getpid()}", name="make")
    yield
    await user.get(f"/unmade/{os.getpid()}", name="unmake")

@once_per_agent
async def warm(user):
    await user.get(f"/warm/{os.getpid()}", name="warm")

@scenario("look")
async def look(user):
    import tinything
    await user.get(f"/{os.getpid()}?{tinything.VERSION}", name="home")
"""


@pytest_twisted.ensureDeferred
async def test_a_signed_run_with_set_ups_and_dependencies(
    server: Server, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index").mkdir()
    wheel(tmp_path / "index")
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    words = ["--token-file", str(tmp_path / "token"), "--dependencies"]
    words += ["--cache", str(tmp_path / "cache")]
    with agents(server.place, 2, tmp_path, words=words):
        run, _, link = start(
            server,
            target,
            "hold 40/s for 2s",
            2,
            files={"look.py": SET_UPS},
            token=TOKEN,
            dependencies=("tinything==1.0",),
        )
        finished = await within(90, run)
    log = (target.folder / "access.log").read_text()
    assert finished.outcome == "completed"
    assert replies(finished) == target.count() > 40
    first = link.in_order()[0].info.pid
    assert log.count("/made/") == log.count(f"/made/{first}") == 1
    assert log.count("/unmade/") == log.count(f"/unmade/{first}") == 1
    assert log.count("/warm/") == 2
    assert log.index("/made/") < log.index("/warm/") < log.rindex("/unmade/")


def wheel(folder: Path) -> None:
    """The smallest wheel there can be."""
    import zipfile

    info = "tinything-1.0.dist-info"
    with zipfile.ZipFile(folder / "tinything-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tinything.py", "VERSION = '1.0'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinything\nVersion: 1.0")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: any\n")
        archive.writestr(f"{info}/RECORD", f"tinything.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")


# ---- agents that do not begin


def run_agent(*words: str, seconds: float = 20.0, **environ: str) -> subprocess.CompletedProcess:
    import os

    command = embedded.agent_command("x", "y")[:6]
    return subprocess.run(
        [*command, *words],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **environ},
        check=False,
    )


def test_an_agent_with_a_wrong_password_ends_with_a_line(tmp_path: Path) -> None:
    with embedded.redis(port=True, folder=str(tmp_path)) as server:
        command = ["redis-cli", "-p", str(server.port), "CONFIG", "SET", "requirepass", "kettle"]
        subprocess.run(command, check=True, capture_output=True)
        url = f"redis://127.0.0.1:{server.port}"
        found = run_agent("--redis", url, RASCAL_REDIS_PASSWORD="wrong")
        line = f"rascal-agent: Redis at 127.0.0.1:{server.port} refuses the password"
        assert line in found.stderr.splitlines()
        assert found.returncode == 1
        assert "Traceback" not in found.stderr + found.stdout
        found = run_agent("--redis", url)
        assert "needs a password" in found.stderr and found.returncode == 1


def test_an_agent_of_something_else_ends_with_a_line(target: Target) -> None:
    port = target.url.rpartition(":")[2]
    found = run_agent("--redis", f"127.0.0.1:{port}")
    assert f"what listens at 127.0.0.1:{port} is not Redis" in found.stderr
    assert found.returncode == 1


def test_an_agent_with_wrong_options_ends_with_their_lines() -> None:
    found = run_agent("--redis", "http://x", "--orphan", "3")
    lines = [line for line in found.stderr.splitlines() if line]
    assert lines == [
        "rascal-agent: --orphan: '3' has no unit: write 3s or 3ms (units: us, ms, s, m, h, d)",
        "rascal-agent: 'http://' is no Redis; allowed: redis://, rediss://, unix://",
    ]
    assert found.returncode == 1
