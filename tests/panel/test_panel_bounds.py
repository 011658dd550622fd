"""What whoever runs experiments in the panel may not have done: programs, tokens, strange files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from panel_process import PATIENCE, SCENARIO, PanelProcess, target
from twisted.internet.defer import succeed

from rascal.control._problems import Problem
from rascal.experiment.bounds import Bounds
from rascal.experiment.reading import experiment_of
from rascal.panel.admitting import Admission
from rascal.panel.desk import Desk
from rascal.panel.folders import digest_of
from rascal.panel.queue import Entry
from rascal.panel.starting import start
from rascal.store import Store
from rascal.store.machine import process

TEXT = (
    "target: http://127.0.0.1:1\n"
    "load: {scenarios: shop.py, profile: hold 5/s}\n"
    "faults: [hang on x]\n"
)
NODE = "http://127.0.0.1:8474"


def problems(more: str = "", scenarios: str = "/place/shop.py", **bounds: Any) -> list[str]:
    given = {"urls": (NODE,), "folders": ("/place",), **bounds}
    experiment = experiment_of(TEXT + more, "x.yml", {})
    return [one.message for one in Bounds(**given).problems(experiment, scenarios)]


def test_the_usual_is_within_bounds() -> None:
    assert problems() == []
    assert problems(f"nodes: {{main: '{NODE}/'}}\n") == []


def test_only_the_panel_s_nodes_are_asked() -> None:
    (found,) = problems("nodes: {main: 'http://127.0.0.1:9999'}\n")
    assert found.startswith("the node main (http://127.0.0.1:9999) is none of the panel's")


@pytest.mark.parametrize("path", ["/elsewhere/shop.py", "/place/../shop.py", "/place/shop.yml"])
def test_scenarios_are_code_from_the_folders(path: str) -> None:
    (found,) = problems(scenarios=path)
    assert "scenarios are a .py file in /place" in found


def test_a_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    place, out = tmp_path / "place", tmp_path / "out.py"
    place.mkdir()
    out.write_text("")
    (place / "in.py").symlink_to(out)
    assert problems(scenarios=str(place / "in.py"), folders=(str(place),))


@pytest.mark.parametrize(
    "more",
    [
        "invariants: [{name: n, command: id, equals: 1}]\n",
        "stop: [{name: n, command: id, for: 3s}]\n",
    ],
)
def test_programs_are_for_admins(more: str) -> None:
    (found,) = problems(more)
    assert found == "'n' runs a program: that needs the role admin here"
    assert problems(more, trusted=True) == []


# ---- against a real panel


@pytest.fixture
def panel(tmp_path: Path) -> Any:
    (tmp_path / "shop.py").write_text(SCENARIO)
    made = PanelProcess(tmp_path, nodes="http://127.0.0.1:1")
    made.start()
    yield made
    made.stop()


real = pytest.mark.integration


@real
@pytest.mark.parametrize(
    "text",
    [
        TEXT + "nodes: {main: 'http://127.0.0.1:2'}\n",
        TEXT.replace("shop.py", "shop.yml"),
        TEXT.replace("shop.py", "../shop.py"),
        TEXT.replace("shop.py", "/etc/passwd"),
    ],
)
def test_what_goes_beyond_is_not_begun(panel: Any, tmp_path: Path, text: str) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "shop.yml").write_text(f"open({str(mark)!r}, 'w').close()\n{SCENARIO}")
    status, found = panel.call("POST", "/api/v1/runs", {"experiment": {"text": text}})
    assert status == 422, found
    assert not mark.exists()
    assert panel.call("GET", "/api/v1/runs")[1]["runs"] == {}


@real
@pytest.mark.parametrize("more", [{"folder": "/etc"}, {"by": "root"}, {"trusted": True}])
def test_only_what_is_a_flag_is_taken(panel: Any, more: dict[str, Any]) -> None:
    body = {"experiment": {"text": TEXT, **more}}
    status, found = panel.call("POST", "/api/v1/runs", body)
    assert status == 422
    assert next(iter(more)) in json.dumps(found)


@real
def test_a_run_that_does_not_want_to_end_is_ended_by_the_lever(panel: Any, tmp_path: Path) -> None:
    ready = tmp_path / "starting"
    stubborn = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(ready)!r}, 'w').write(str(__import__('os').getpid()))\ntime.sleep(600)\n"
    )
    (tmp_path / "stubborn.py").write_text(stubborn + SCENARIO)
    with target() as url:
        order = {"load": {"file": "stubborn.py", "target": url, "rate": "5/s", "for": "20s"}}
        asked = subprocess.Popen(
            [sys.executable, "-c", ASK, str(Path(__file__).parent), str(tmp_path), str(panel.port),
             json.dumps(order)],
        )  # fmt: skip
        try:
            until(lambda: ready.exists() and ready.read_text())
            pid = int(ready.read_text())
            assert panel.call("PUT", "/api/v1/panic", {"on": True})[0] == 200
            until(lambda: not running(pid))
            until(lambda: not panel.call("GET", "/api/v1/queue")[1]["starting"])
            assert panel.call("GET", "/api/v1/runs")[1]["runs"] == {}
        finally:
            asked.kill()
            asked.wait()


ASK = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from panel_process import PanelProcess
panel = PanelProcess(Path(sys.argv[2]))
panel.port = int(sys.argv[3])
panel.call("POST", "/api/v1/runs", json.loads(sys.argv[4]))
"""


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Any) -> None:
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


@real
def test_only_experiments_are_read_and_written_over(panel: Any, tmp_path: Path) -> None:
    file = tmp_path / "secrets.yml"
    file.write_text("password: hunter2\n")
    assert panel.call("GET", "/api/v1/experiments/secrets.yml")[0] == 404
    digest = digest_of(file.read_bytes())
    change = {"text": TEXT, "digest": digest}
    assert panel.call("PUT", "/api/v1/experiments/secrets.yml", change)[0] == 404
    body = {"text": "password: x\n", "file": "new.yml"}
    assert panel.call("POST", "/api/v1/experiments", body)[0] == 422
    assert file.read_text() == "password: hunter2\n"
    assert not (tmp_path / "new.yml").exists()


@real
def test_a_visit_that_says_too_much_is_cut(panel: Any, tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text("print('x' * 2_000_000)\n" + SCENARIO)
    with target() as url:
        status, found = panel.call("POST", "/api/v1/scenarios/loud.py/once", {"target": url})
    assert status == 200, found
    assert not found["well"] and found["text"].endswith("says more than 200 kB: ended")


# ---- processes and files that are others by now


def test_a_number_that_is_somebody_else_s_is_not_signalled() -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        kept = process(other.pid)
        entry = Entry(id="q1", order={}, title="t", kind="load", pid=other.pid, born=kept + "0")
        assert not entry.lives
        entry.signal(signal.SIGKILL)
        assert other.poll() is None
        assert Entry(id="q1", order={}, title="t", kind="load", pid=other.pid, born=kept).lives
        assert not Entry(id="q1", order={}, title="t", kind="load", pid=other.pid).lives
    finally:
        other.communicate(b"\n")


def test_a_store_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    path = str(tmp_path / "runs.db")
    with Store(path) as store:
        store.create({}, {}, name="old")
    desk = Desk(path)
    try:
        assert set(desk.going()) == {"1"}
        for one in tmp_path.iterdir():
            one.unlink()
        with Store(path) as store:
            store.create({}, {}, name="new")
            store.create({}, {}, name="newer")
        assert {run["name"] for run in desk.going().values()} == {"new", "newer"}
        for one in tmp_path.iterdir():
            one.unlink()
        assert desk.going() == {}
        assert os.path.exists(path)
    finally:
        desk.close()


class Busy(Admission):
    """Its store's thread is busy until the lever has been pulled."""

    def __init__(self, path: str, reactor: Any) -> None:
        settings = SimpleNamespace(running=1, node_token="")
        hub = SimpleNamespace(publish=lambda kind, data: None)
        panel = SimpleNamespace(settings=settings, hub=hub, nodes=None, reactor=reactor)
        super().__init__(panel, path)

    def in_thread(self, function: Any, *args: Any) -> Any:
        if function is not start:
            return succeed(None)
        self.started = function({**args[0], "python": sys.executable}, *args[1:])
        self.queue.held = {"on": True, "by": "ann", "at": 1.0}
        return succeed(self.started)

    def begin_to_look(self) -> None:
        """Nothing is looked at here."""

    def hurry(self) -> None:
        """Nor in a hurry."""


@pytest_twisted.ensureDeferred
async def test_a_lever_that_is_pulled_while_a_run_is_started_ends_it(tmp_path: Path) -> None:
    from twisted.internet import reactor

    busy = Busy(str(tmp_path / "runs.db"), reactor)
    with pytest.raises(Problem, match="everything was stopped by ann"):
        await busy.begin({"kind": "load"}, title="t", kind="load", by="bob")
    assert busy.started.process.wait(10) == -signal.SIGKILL
    assert busy.children == [busy.started.process], "it is reaped like the others"
    assert not busy.queue.starting
