"""The agents that wait at a real Redis: who they are, and one request of each."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_process import SCENARIO, PanelProcess, free_port, target
from stored_runs import Browser

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not here"),
]
PATIENCE = 40.0
TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile="]


class Machine:
    """A Redis, agents that wait at it, and a panel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.redis = self.begin(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--dir", str(folder)]
        )  # fmt: skip
        self.panel = PanelProcess(folder, nodes="main=http://127.0.0.1:9", redis=self.url)

    def begin(self, words: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "others.log").open("ab") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.folder)
        self.processes.append(process)
        return process

    def agent(self, name: str) -> subprocess.Popen[bytes]:
        return self.begin([*TWISTD, "rascal-agent", "--redis", self.url, "--name", name])

    def end(self) -> None:
        self.panel.stop()
        for process in self.processes:
            process.kill()
            process.wait()

    def until(self, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What the panel tells, once it is as wanted."""
        ends = time.monotonic() + PATIENCE
        while True:
            status, found = self.panel.call("GET", "/api/v1/agents")
            assert status == 200
            if good(found):
                return dict(found)
            assert time.monotonic() < ends, (found, (self.folder / "others.log").read_text())
            time.sleep(0.1)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    (tmp_path / "shop.py").write_text(SCENARIO)
    made = Machine(tmp_path)
    try:
        made.panel.start()
        yield made
    finally:
        made.end()


def agents(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for host in found["hosts"] for one in host["agents"]}


def test_agents_come_are_checked_and_go(machine: Machine) -> None:
    page = Browser(machine.panel)
    machine.until(lambda found: found["looked"] and not found["hosts"])
    assert "No agent waits" in page.page("/agents")
    one = machine.agent("ann-1")
    machine.agent("ann-2")
    found = machine.until(lambda found: found["usable"] == 2)
    assert found["redis"] == f"127.0.0.1:{machine.port}"
    assert len(found["hosts"]) == 1
    both = agents(found)
    assert both["ann-1"]["pid"] == one.pid
    assert both["ann-1"]["words"] in ("waits", "waits, busy")
    assert both["ann-1"]["lag"] >= 0
    assert both["ann-1"]["clock"] >= 0
    text = page.page("/agents")
    assert "ann-1" in text
    assert "2 agents" in text
    assert f"rascal-agent --redis redis://127.0.0.1:{machine.port}" in text

    with target() as url:
        status, said = machine.panel.call("POST", "/api/v1/agents/check", {"target": url})
        assert status == 200, said
        assert {one["name"]: one["answered"] for one in said["agents"]} == {
            "ann-1": True, "ann-2": True,
        }  # fmt: skip
        assert all(one["took"] > 0 for one in said["agents"])
    machine.until(lambda found: found["usable"] == 2)
    nobody = f"http://127.0.0.1:{free_port()}"
    ends = time.monotonic() + PATIENCE
    while True:  # one that is slow to answer the first check misses this one
        status, said = machine.panel.call("POST", "/api/v1/agents/check", {"target": nobody})
        assert status == 200, said
        if len(said["agents"]) == 2:
            break
        assert time.monotonic() < ends, said
    assert [one["answered"] for one in said["agents"]] == [False, False]
    assert {one["outcome"] for one in said["agents"]} == {"refused"}
    for wrong in ({}, {"target": ""}, {"target": "not a URL"}, []):
        assert machine.panel.call("POST", "/api/v1/agents/check", wrong)[0] in (400, 409, 422)

    one.terminate()
    machine.until(lambda found: set(agents(found)) == {"ann-2"})


def test_redis_goes_and_comes_back(machine: Machine) -> None:
    machine.agent("ann")
    machine.until(lambda found: found["usable"] == 1)
    machine.redis.kill()
    machine.redis.wait()
    machine.until(lambda found: bool(found["problem"]))
    text = Browser(machine.panel).page("/agents")
    assert "Redis cannot be asked" in text
    assert Browser(machine.panel).page("/runs")
    machine.begin(list(machine.redis.args))  # type: ignore[call-overload]
    machine.until(lambda found: not found["problem"] and found["usable"] == 1)


def test_without_a_redis_runs_have_agents_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SCENARIO)
    panel = PanelProcess(tmp_path, nodes="main=http://127.0.0.1:9")
    panel.start()
    try:
        text = Browser(panel).page("/agents")
        assert "every run sends its load from processes of its own" in text
        assert "rascal-agent --redis redis://127.0.0.1:6379" in text
        assert "Check all agents" not in text
        assert (
            panel.call("POST", "/api/v1/agents/check", {"target": "http://127.0.0.1:1"})[0] == 409
        )
        with target() as url:
            values = {"file": "shop.py", "target": url, "rate": "10/s", "for": "4s"}
            run = panel.started({"load": values})
            ends = time.monotonic() + PATIENCE
            while not (found := panel.call("GET", "/api/v1/agents")[1])["hosts"]:
                assert time.monotonic() < ends
                time.sleep(0.1)
            (one,) = agents(found).values()
            assert one["link"] == f"/runs/{run}/live"
            assert not one["shared"]
            panel.until_ended(run)
    finally:
        panel.stop()
