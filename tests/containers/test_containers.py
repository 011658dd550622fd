"""Every kind of container fault on a real engine: it strikes, and is undone whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from within import within

from rascal.containers import ContainerError, Containers, Journal, recover
from rascal.containers.journal import Entry

pytestmark = pytest.mark.integration


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "struck")


@pytest.fixture
def containers(docker: Any, project: str, journal: Journal) -> Containers:
    from twisted.internet import reactor

    return Containers(reactor, project, journal=journal, client=docker, owner="7")


def states(docker: Any, project: str, service: str) -> list[str]:
    found = docker.containers.list(all=True, filters={"name": f"{project}-{service}-"})
    return [one.status for one in found]


def aliases(docker: Any, name: str) -> list[str]:
    networks = docker.containers.get(name).attrs["NetworkSettings"]["Networks"]
    return [alias for one in networks.values() for alias in one.get("Aliases") or ()]


@pytest.mark.parametrize(
    ("kind", "struck"), [("pause", "paused"), ("kill", "exited"), ("stop", "exited")]
)
@pytest_twisted.ensureDeferred
async def test_all_containers_of_a_service_are_struck_and_mended(
    docker: Any, project: str, containers: Containers, journal: Journal, kind: str, struck: str
) -> None:
    options = {"grace": 1.0} if kind == "stop" else {}
    found = await within(60, containers.strike("web", kind, options))
    assert states(docker, project, "web") == [struck, struck]
    assert states(docker, project, "db") == ["running"]
    assert [entry.kind for entry in journal.entries()] == [kind, kind]
    await within(60, found.undo())
    assert states(docker, project, "web") == ["running", "running"]
    assert list(journal.entries()) == []
    await found.undo()


@pytest_twisted.ensureDeferred
async def test_a_restart_is_over_at_once(docker: Any, project: str, containers: Containers) -> None:
    before = docker.containers.get(f"{project}-db-1").attrs["State"]["StartedAt"]
    found = await within(60, containers.strike("db", "restart", {"grace": 1.0}))
    assert states(docker, project, "db") == ["running"]
    assert docker.containers.get(f"{project}-db-1").attrs["State"]["StartedAt"] != before
    await within(60, found.undo())


@pytest_twisted.ensureDeferred
async def test_a_network_comes_back_with_its_names(
    docker: Any, project: str, containers: Containers
) -> None:
    name = f"{project}-db-1"
    before = aliases(docker, name)
    assert "db.internal" in before
    found = await within(60, containers.strike("db", "disconnect", {"network": "default"}))
    assert f"{project}_default" not in str(
        docker.containers.get(name).attrs["NetworkSettings"]["Networks"]
    )
    await within(60, found.undo())
    assert {"db", "db.internal"} <= set(aliases(docker, name))


@pytest_twisted.ensureDeferred
async def test_limits_are_lifted_to_what_was(
    docker: Any, project: str, containers: Containers
) -> None:
    def limits(service: str) -> tuple[int, int]:
        host = docker.containers.get(f"{project}-{service}-1").attrs["HostConfig"]
        return host["CpuQuota"], host["Memory"]

    assert limits("db") == (0, 64 * 2**20)
    cpu = await within(60, containers.strike("db", "limit_cpu", {"cpu": 0.25}))
    memory = await within(60, containers.strike("db", "limit_memory", {"memory": 32 * 2**20}))
    assert limits("db") == (25_000, 32 * 2**20)
    await within(60, cpu.undo())
    await within(60, memory.undo())
    quota, size = limits("db")
    assert (quota in (0, -1), size) == (True, 64 * 2**20)


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_struck(project: str, containers: Containers, docker: Any) -> None:
    with pytest.raises(ContainerError, match=r"no service 'wev' .* Did you mean 'web'\?"):
        await within(60, containers.strike("wev", "pause"))
    with pytest.raises(ContainerError, match="not on a network 'nowhere'"):
        await within(60, containers.strike("web", "disconnect", {"network": "nowhere"}))
    docker.containers.get(f"{project}-web-1").pause()
    with pytest.raises(ContainerError, match="is paused: only what runs can be struck"):
        await within(60, containers.strike("web", "kill"))
    # Nothing stays struck: the second container was mended again if it had been hit first.
    assert sorted(states(docker, project, "web")) == ["paused", "running"]


@pytest_twisted.ensureDeferred
async def test_closing_mends_all(
    docker: Any, project: str, containers: Containers, journal: Journal
) -> None:
    await within(60, containers.strike("web", "pause"))
    await within(60, containers.strike("db", "kill"))
    await within(60, containers.close())
    assert states(docker, project, "web") + states(docker, project, "db") == ["running"] * 3
    assert list(journal.entries()) == []


DYING = """
import os, signal, sys
from pathlib import Path
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from rascal.containers import Containers, Journal

async def main():
    async with Containers(reactor, sys.argv[1], journal=Journal(Path(sys.argv[2]))) as containers:
        await containers.strike("db", "pause")
        os.kill(os.getpid(), signal.SIGKILL)

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()).addErrback(print))
reactor.callLater(60, reactor.stop)
reactor.run()
"""


def test_what_a_dead_process_left_is_found_and_mended(
    docker: Any, project: str, journal: Journal
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING, project, str(journal.folder)],
        timeout=90, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done
    assert states(docker, project, "db") == ["paused"]
    ((entry, wrong),) = recover(docker, journal)
    assert (entry.kind, wrong) == ("pause", "")
    assert states(docker, project, "db") == ["running"]
    assert recover(docker, journal) == []


def test_what_the_living_struck_is_left_alone(docker: Any, journal: Journal) -> None:
    entry = Entry(container="none", name="x", kind="pause", data={}, pid=os.getpid())
    journal.write(entry)
    assert recover(docker, journal) == []
    assert len(list(journal.entries())) == 1


def test_a_journal_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "folder")
    entry = Entry(container="none", name="x", kind="pause", data={}, pid=1)
    with pytest.raises(ContainerError, match="cannot be written, so the strike could not be"):
        journal.write(entry)
