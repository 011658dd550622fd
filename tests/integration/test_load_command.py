"""`rascal load` against a real nginx, as people and CI call it: in processes of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from control.live import redis_server
from nginx_server import NGINX, nginx

from rascal.load.embedded import agents, find_server
from rascal.load.places import Place as RedisPlace

pytestmark = pytest.mark.skipif(not NGINX, reason="there is no nginx")
needs_redis = pytest.mark.skipif(not find_server(), reason="there is no redis-server")

PATIENCE = 60.0
SHOP = """
from rascal.load import Option, once_per_user, scenario

page = Option("page", str, "/hello", "What is opened")

@once_per_user
async def login(user):
    await user.get("/hello", name="login")

@scenario("browse")
async def browse(user):
    reply = await user.get(f"{page}", name="page")
    reply.check(status=200, contains="hello")

@scenario("lost", tags=["bad"])
async def lost(user):
    reply = await user.get("/nowhere", name="nowhere")
    assert reply.code == 200, "it is not there"
"""


@attrs.define
class Place:
    """A folder with shop.py, a store, and nginx."""

    folder: Path
    port: int

    @property
    def target(self) -> tuple[str, str]:
        return "--target", f"http://127.0.0.1:{self.port}"

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        """A command in a process of its own, as a shell would start it."""
        known = {name: text for name, text in os.environ.items() if not name.startswith("RASCAL_")}
        known |= {"RASCAL_STORE": str(self.folder / "runs.db"), "PYTHONUNBUFFERED": "1"}
        known.pop("COLUMNS", None)
        code = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from rascal.cli import main; main()"
        )
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
        return subprocess.Popen(
            [sys.executable, "-c", code, "load", *words],
            cwd=self.folder, env=known, text=True, **given,
        )  # fmt: skip

    def run(self, *words: str, status: int = 0) -> tuple[str, str]:
        """The same to its end: what it said."""
        return finished(self.start(*words), status)

    def offer(self, *words: str, status: int = 0) -> tuple[str, str]:
        """`run` with this target."""
        return self.run("run", "shop.py", *self.target, *words, status=status)


def finished(process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == status, (process.returncode, out, err)
    assert "Traceback" not in err, err
    return out, err


def read_until(process: subprocess.Popen[str], true: Callable[[str], bool]) -> str:
    """Lines of its output, until one is as wanted."""
    said = ""
    assert process.stdout is not None
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            said += line
            if true(line):
                return said
    finally:
        watchdog.cancel()
    raise AssertionError(said)


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with nginx(tmp_path_factory.mktemp("nginx")) as port:
        yield port


@pytest.fixture
def place(tmp_path: Path, server: int) -> Place:
    (tmp_path / "shop.py").write_text(SHOP)
    return Place(tmp_path, server)


def table_of(out: str) -> dict[str, list[str]]:
    """The rows of the report, by flow."""
    lines = out[out.index("FLOW ") :].partition("\n\n")[0].splitlines()
    return {
        line.split()[0]: line.split()[1:] for line in lines[1:] if re.match(r"\w+ +[\d.]", line)
    }


# ---- runs


def test_a_run_its_lines_and_its_report(place: Place) -> None:
    out, err = place.offer("browse", "--rate", "40/s", "--for", "2500ms", "--seed", "3")
    seconds = [line for line in out.splitlines() if re.match(r"\d\d:\d\d:\d\d  ", line)]
    assert 2 <= len(seconds) <= 5
    assert re.search(
        r"0:02/0:02  arrivals offered [\d.]+/s, started .*p99 \S+  max \S+  in flight", out
    )
    rows = table_of(out)
    assert set(rows) == {"page", "login", "all"}
    assert len(rows["page"]) == 2 + 2 + 4 + 4
    assert rows["page"][2:4] == ["0.0", "%"]
    assert "* from the actual start" in out
    assert "run 1: completed after 0:02  (hold 40/s for 2.5s)" in out
    assert out.rstrip().endswith("rascal runs show 1")
    assert err == ""
    again, _ = place.run("attach", "1")
    assert table_of(again) == rows


def test_the_same_seed_offers_the_same(place: Place) -> None:
    def planned() -> int:
        words = ("browse", "--rate", "50/s", "--for", "1s", "--seed", "7", "--json", "--no-store")
        found = json.loads(place.offer(*words)[0])
        return int(found["total"]["planned"])

    assert planned() == planned() > 50


def test_json_is_all_that_is_said(place: Place) -> None:
    out, err = place.offer("browse", "--rate", "20/s", "--for", "1s", "--json")
    found = json.loads(out)
    assert (found["run"], found["outcome"], found["status"]) == ("1", "completed", 0)
    assert set(found["flows"]) == {"login", "page"}
    assert err == ""


def test_objectives_decide_the_status(place: Place) -> None:
    words = ("--rate", "30/s", "--for", "1s")
    out, _ = place.offer("browse", *words, "--objective", "p95(page) < 5s")
    assert re.search(r"^page .*p95\(page\) < 5s  kept$", out, re.MULTILINE)
    out, _ = place.offer(*words, "--objective", "failed < 1%", status=1)
    assert re.search(r"failed < 1%  not kept: \d+ %", out)
    assert "completed after 0:01: an objective was not kept" in out


def test_a_stop_rule_ends_it(place: Place) -> None:
    rule = ("--stop", "failed > 20% for 2s")
    out, err = place.offer("lost", "--rate", "30/s", "--for", "60s", *rule, status=4)
    assert "stop rule: failed > 20% for 2s" in out and "stop rule" in err
    assert "FAILURES, ONE OF EACH KIND" in out
    assert re.search(r"nowhere  http_4xx: status 404  \(GET http\S+/nowhere, ", out)


def test_a_load_file(place: Place) -> None:
    (place.folder / "evening.yml").write_text(
        f"scenarios: shop.py\ntarget: http://127.0.0.1:{place.port}\n"
        "profiles:\n  browse: hold 20/s for 1s\n  lost: {profile: hold 5/s for 1s}\n"
        "options: {page: /index.html}\nobjectives: ['p99(page) < 5s']\n"
    )
    out, _ = place.run("run", "evening.yml")
    assert {"page", "login", "nowhere"} < set(table_of(out))
    out, _ = place.run("run", "evening.yml", "browse", "--users", "2", "--for", "1s", "--quiet")
    assert out.startswith("FLOW ") and "nowhere" not in out


# ---- how it ends


def test_an_interrupt_drains_and_reports(place: Place) -> None:
    process = place.start(
        "run", "shop.py", "browse", *place.target, "--rate", "20/s", "--for", "9m"
    )
    read_until(process, lambda line: " 0:02/" in line)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = finished(process, 130)
    assert time.monotonic() - began < 10
    assert "FLOW " in out and "run 1: interrupted after 0:0" in out
    assert "ctrl-C" in err


def test_three_times_ends_a_scenario_that_never_waits(place: Place) -> None:
    text = (
        SHOP
        + '\n@scenario("stuck")\nasync def stuck(user):\n    print("here")\n    while 1: pass\n'
    )
    (place.folder / "shop.py").write_text(text)
    process = place.start(
        "run", "shop.py", "stuck", *place.target, "--rate", "9/s", "--for", "9s", "--quiet"
    )
    read_until(process, lambda line: "here" in line)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)  # signals that wait together are one
    finished(process, 130)


def test_an_output_that_is_closed(place: Place) -> None:
    words = ("run", "shop.py", "browse", *place.target, "--rate", "9/s", "--for", "1s")
    process = place.start(*words, stdout=None, preexec_fn=lambda: os.close(1))
    finished(process, 0)


def test_twice_ends_at_once(place: Place) -> None:
    (place.folder / "slow.py").write_text(
        "from rascal.load import scenario\n"
        "@scenario('slow')\nasync def slow(user):\n"
        "    await user.get('/hello')\n    await user.sleep(60)\n    await user.get('/hello')\n"
    )
    words = ("slow.py", *place.target, "--users", "2", "--for", "9m", "--timeout", "50s")
    process = place.start("run", *words)
    read_until(process, lambda line: " 0:02/" in line)
    process.send_signal(signal.SIGINT)
    read_until(process, lambda line: "draining" in line)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = finished(process, 130)
    assert time.monotonic() - began < 15
    assert "run 1: interrupted" in out


def test_nobody_reads_and_the_run_goes_on(place: Place) -> None:
    words = ("run", "shop.py", "browse", *place.target, "--rate", "20/s", "--for", "3s")
    process = place.start(*words)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.wait(PATIENCE)
    out, _ = place.run("attach", "1")
    assert "run 1: completed after 0:03" in out
    assert process.stderr is not None
    with process.stderr:
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "http://127.0.0.1:1"), "127.0.0.1:1: connection refused"),
        (("--target", "http://10.255.255.1"), "is not allowed from here: allow it with --allow"),
        (("--redis", "redis://127.0.0.1:1"), "Redis at 127.0.0.1:1 refuses connections"),
        (("--store", "/dev/null/runs.db"), "/dev/null"),
    ],
)
def test_what_cannot_start_says_so_in_one_line(
    place: Place, words: tuple[str, ...], said: str
) -> None:
    load = ("--rate", "5/s", "--for", "1s")
    out, err = place.run("run", "shop.py", *place.target, *load, *words, status=2)
    assert out == ""
    assert err.startswith("error: ") and said in err and err.count("\n") == 1


def test_a_set_up_that_fails(place: Place) -> None:
    (place.folder / "broken.py").write_text(
        "from rascal.load import once_per_run, scenario\n"
        "@once_per_run\nasync def prepare(user):\n    raise ValueError('no data')\n"
        "@scenario('x')\nasync def x(user):\n    await user.get('/')\n"
    )
    words = ("run", "broken.py", *place.target, "--rate", "5/s", "--for", "1s")
    _, err = place.run(*words, status=2)
    assert "broken.py:4: set-up 'prepare' failed: no data" in err


# ---- instead of load


def test_once_request_by_request(place: Place) -> None:
    out, _ = place.offer("--once", "--page", "/index.html", status=1)
    assert re.search(r"browse\nGET /hello  login\n  200 in \S+  5 B of text/plain, new conn", out)
    assert re.search(r"GET /index.html  page\n  200 in \S+  6 B of text/html\n  hello\n", out)
    assert "✓ status=200  ✓ contains=hello" in out
    assert "✓ browse went well, in " in out
    assert "counts as http_4xx: status 404" in out
    assert "✗ lost ended early: check_failed: shop.py:18: it is not there, in " in out
    assert out.endswith("1 of 2 scenarios went well\n")
    assert not (place.folder / "runs.db").exists()


def test_once_for_programs(place: Place) -> None:
    found = json.loads(place.offer("browse", "--once", "--json")[0])
    one = found["iterations"][0]
    assert (one["scenario"], one["outcome"]) == ("browse", "served")
    assert [call["name"] for call in one["calls"]] == ["login", "page"]
    page = one["calls"][1]
    assert (page["status"], page["outcome"], page["bytes"]) == (200, "served", 5)
    assert [check["problem"] for check in page["checks"]] == ["", ""]


def test_the_starter_runs_as_it_is(place: Place) -> None:
    place.run("init")
    out, _ = place.run("run", "scenario.py", *place.target, "--once")
    assert "2 of 2 scenarios went well" in out
    words = ("--rate", "10/s", "--for", "1s", "--quiet", "--page", "/hello")
    out, _ = place.run("run", "scenario.py", *place.target, *words)
    assert "0.0 %" in out


def test_check_agents_in_this_process(place: Place) -> None:
    out, _ = place.offer("--check-agents")
    assert re.search(r"^local .* served$", out, re.MULTILINE)
    assert out.endswith("1 of 1 agent got an answer; no load was sent\n")


# ---- in the background


def test_detached_attached_changed_and_stopped(place: Place) -> None:
    words = ("run", "shop.py", "browse", *place.target, "--rate", "20/s", "--for", "9m", "--detach")
    out, _ = place.run(*words)
    started = re.match(r"run 1  goes on in the background \(process (\d+)\), log (\S+)\n", out)
    assert started is not None, out
    pid, log = int(started[1]), Path(started[2])
    try:
        assert os.getsid(pid) == pid
        watching = place.start("attach")
        said = read_until(
            watching,
            lambda line: re.search(r"\d:\d\d/9:00  arrivals offered [1-9]", line) is not None,
        )
        assert said
        changed, _ = place.run("change", "last", "hold 60/s for 8m")
        assert changed == "run 1  changed: hold 60/s for 8m\n"
        _, err = place.run("change", "1", "hol 60/s", status=2)
        assert "Did you mean 'hold'?" in err
        stopped, _ = place.run("stop", "--wait")
        assert stopped == "run 1  ended: interrupted\n"
        out, err = finished(watching, 130)
        assert "run 1: interrupted after 0:" in out and "rascal load stop" in out
        assert "hold 60/s for 8m" in err
        eventually(lambda: not Path(f"/proc/{pid}").exists())
        assert table_of(log.read_text()) == table_of(out)
        _, err = place.run("stop", "1", status=2)
        assert "run 1 (shop) has ended: interrupted" in err
        _, err = place.run("attach", status=2)
        assert "no run goes on" in err
    finally:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)


def test_leaving_an_attached_view_leaves_the_run_alone(place: Place) -> None:
    process = place.start("run", "shop.py", "browse", *place.target, "--rate", "9/s", "--for", "6s")
    read_until(process, lambda line: " 0:01/" in line)
    watching = place.start("attach", "1")
    read_until(watching, lambda line: "offered" in line)
    watching.send_signal(signal.SIGINT)
    _, err = finished(watching, 130)
    assert "run 1 goes on: rascal load attach 1" in err
    out, _ = finished(process)
    assert "completed after 0:06" in out


def test_a_run_that_was_killed_is_lost(place: Place) -> None:
    process = place.start("run", "shop.py", "browse", *place.target, "--rate", "9/s", "--for", "9m")
    read_until(process, lambda line: " 0:02/" in line)
    process.kill()
    process.communicate()
    out, err = place.run("attach", "1", status=3)
    assert "run 1 is lost: its process on" in err
    assert "page" in table_of(out)


def test_what_cannot_start_detached(place: Place) -> None:
    words = ("--rate", "9/s", "--for", "1s", "--detach", "--target", "http://127.0.0.1:1")
    _, err = place.run("run", "shop.py", *words, status=2)
    assert "127.0.0.1:1: connection refused" in err
    assert list((place.folder / "logs").iterdir()) == []


# ---- several agents


@needs_redis
def test_agents_of_its_own(place: Place) -> None:
    out, err = place.offer("browse", "--rate", "40/s", "--for", "2s", "--agents", "2", "--json")
    found = json.loads(out)
    assert sorted(found["agents"]) == ["local-1", "local-2"]
    assert found["total"]["outcomes"] == {"served": found["total"]["planned"]}
    assert found["status"] == 0
    out, _ = place.offer("--check-agents", "--agents", "2")
    assert "2 of 2 agents got an answer" in out
    assert err == ""


@pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server")
def test_agents_that_are_there(place: Place, tmp_path: Path) -> None:
    with redis_server(tmp_path) as port:
        url = f"redis://127.0.0.1:{port}"
        out, err = place.run("agents", "--redis", url, status=1)
        assert out == "" and f"no agent waits at 127.0.0.1:{port}" in err
        _, err = place.offer(
            "--rate", "5/s", "--for", "1s", "--redis", url, "--agents", "3", status=2
        )
        assert "error: 3 agents are needed, none is free" in err
        with agents(RedisPlace(port=port), 2, prefix="far"):

            def listed() -> list[dict[str, Any]]:
                process = place.start("agents", "--redis", url, "--json")
                found: list[dict[str, Any]] = json.loads(process.communicate(timeout=PATIENCE)[0])
                return found

            eventually(lambda: len(listed()) == 2)
            assert [(one["name"], one["state"], one["problem"]) for one in listed()] == [
                ("far-1", "idle", ""),
                ("far-2", "idle", ""),
            ]
            out, _ = place.run("agents", "--redis", url)
            assert out.splitlines()[0].split()[:3] == ["AGENT", "HOST", "PID"]
            out, _ = place.offer(
                "browse", "--rate", "40/s", "--for", "2s", "--redis", url, "--json"
            )
            assert sorted(json.loads(out)["agents"]) == ["far-1", "far-2"]
            out, _ = place.offer("--check-agents", "--redis", url)
            assert "2 of 2 agents got an answer" in out


def test_agents_that_use_names_of_their_own_in_redis(place: Place, tmp_path: Path) -> None:
    (tmp_path / "agent.ini").write_text("[agent]\nnamespace = staging\n")
    words = ["--config", str(tmp_path / "agent.ini")]
    with redis_server(tmp_path) as port:
        url = f"redis://127.0.0.1:{port}"
        with agents(RedisPlace(port=port), 1, prefix="far", words=words):

            def listed(*more: str) -> list[str]:
                process = place.start("agents", "--redis", url, "--json", *more)
                found = json.loads(process.communicate(timeout=PATIENCE)[0])
                return [one["name"] for one in found]

            eventually(lambda: listed("--namespace", "staging") == ["far-1"])
            assert listed() == []
            out, _ = place.offer("--check-agents", "--redis", url, "--namespace", "staging")
            assert "1 of 1 agent got an answer" in out
