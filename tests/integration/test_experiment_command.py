"""`rascal experiment` against a small real shop: Redis behind a proxy, a service before it.

The shop asks Redis for /cached and gives up after 0.2 s with a 503; /plain needs nothing. So a
hanging Redis must be found graceful. All commands run in processes of their own, as people and CI
call them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from control.live import free_port, redis_server, service

from rascal.control.client import Client

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server")

PATIENCE = 240.0
FIRST = ("nice", "-n", "-10") if os.geteuid() == 0 else ()
"""Where it is allowed commands and shop go before others: what they do is measured."""
SHOP = """
import sys
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
import txredisapi

class Root(Resource):
    isLeaf = True

    def render_GET(self, request):
        if request.path != b"/cached":
            return b'{"ok": true}'
        gone = []
        request.notifyFinish().addErrback(gone.append)

        def done(value):
            if not gone:
                request.finish()

        def failed(failure):
            if not gone:
                request.setResponseCode(503)
                request.setHeader(b"Retry-After", b"1")
                request.finish()

        pool.get("a").addTimeout(0.2, reactor).addCallbacks(done, failed)
        return NOT_DONE_YET

def begin(found):
    global pool
    pool = found
    reactor.listenTCP(int(sys.argv[1]), Site(Root()), interface="127.0.0.1")

txredisapi.ConnectionPool("127.0.0.1", int(sys.argv[2]), poolsize=10).addCallback(begin)
reactor.run()
"""
SCENARIOS = """
from rascal.load import scenario

@scenario("cached", weight=6)
async def cached(user):
    (await user.get("/cached", name="cached")).check(status=200)

@scenario("plain", weight=4)
async def plain(user):
    (await user.get("/plain", name="plain")).check(status=200)
"""
FILE = """
target: http://127.0.0.1:{shop}
nodes: {{main: 'http://127.0.0.1:{control}'}}
load: {{scenarios: customers.py, profile: hold 60/s, timeout: 1s}}
phases: {{warm-up: 2s, baseline: 10s, fault: 8s, recovery: 15s}}
faults: [hang on cache match command=GET]
invariants: [{{name: it answers, get: /plain, json: $.ok, equals: 'true'}}]
objectives: ['goodput_kept(plain) >= 90%']
expect: graceful
thresholds: {{unsound: 90%, offered: 80%}}      # the command is tested here, not the machine
seed: 5
"""
PROXIES = """
[rascal]
control = 127.0.0.1:{control}

[proxy:cache]
protocol = redis
listen = 127.0.0.1:{cache}
upstream = 127.0.0.1:{redis}
"""


@attrs.define
class Place:
    """A folder with shop.yml and a store, and everything that it needs on this machine."""

    folder: Path
    client: Client
    url: str

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command, as a shell would start it."""
        known = {name: text for name, text in os.environ.items() if not name.startswith("RASCAL_")}
        known |= {"RASCAL_STORE": str(self.folder / "runs.db"), "PYTHONUNBUFFERED": "1"}
        known |= {"XDG_STATE_HOME": str(self.folder)}
        known.pop("COLUMNS", None)
        code = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from rascal.cli import main; main()"
        )
        return subprocess.Popen(
            [*FIRST, sys.executable, "-c", code, "experiment", *words],
            cwd=self.folder, env=known, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words: str, status: int = 0) -> tuple[str, str]:
        """The same to its end: what it said."""
        return ended(self.start(*words), status)

    def faults(self) -> dict[str, Any]:
        """What is on the proxy."""
        return dict(self.client.faults("cache"))

    def until(self, true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        """Wait for something while a command goes on."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def armed(self) -> bool:
        """The fault is there, and on."""
        return any(one["armed"] for one in self.faults().values())


def ended(process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == status, (process.returncode, out, err)
    assert "Traceback" not in err, err
    return out, err


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("experiment")
    ports = {name: free_port() for name in ("shop", "control", "cache")}
    with redis_server(folder) as redis:
        ports["redis"] = redis
        (folder / "proxies.ini").write_text(PROXIES.format(**ports))
        (folder / "shop.py").write_text(SHOP)
        (folder / "customers.py").write_text(SCENARIOS)
        (folder / "shop.yml").write_text(FILE.format(**ports))
        url = f"http://127.0.0.1:{ports['control']}"
        with service(folder / "proxies.ini", url) as client:
            words = [*FIRST, sys.executable, "shop.py", str(ports["shop"]), str(ports["cache"])]
            shop = subprocess.Popen(words, cwd=folder)
            try:
                found = Place(folder, client, url)
                found.until(lambda: _listens(ports["shop"]), shop)  # type: ignore[arg-type]
                yield found
            finally:
                shop.kill()
                shop.wait()


def _listens(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def judged(place: Place) -> dict[str, Any]:
    """One experiment to its verdict. (A busy machine may spoil a run; it is repeated once.)"""
    out, _ = place.run(
        "run",
        "shop.yml",
        "--repeat",
        "2",
        "--at-least",
        "5%",
        "--label",
        "nightly",
        "--lenient",
        "--json",
    )
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_shop_that_says_no_is_graceful(judged: dict[str, Any], place: Place) -> None:
    assert judged["answer"] == "yes"
    outcome = judged["outcomes"][-1]
    verdict = outcome["verdict"]
    assert verdict["name"] == "graceful"
    # Which flow uses the cache nobody said: it was learned.
    assert (outcome["learned"], outcome["uses"]) == (True, {"cache": ["cached"]})
    flows = {one["name"]: one for one in verdict["flows"]}
    assert flows["cached"]["kept"][0] < 0.3 and flows["plain"]["kept"][0] > 0.9
    assert set(flows["cached"]["failures"]) == {"shed"}
    (fault,) = outcome["faults"]
    assert fault["fired"] > 100 and not fault["stayed"]
    assert fault["on"] == pytest.approx(12.0, abs=0.5)
    assert outcome["invariants"] == [
        {"name": "it answers", "before": True, "after": True, "found": "true"}
    ]
    assert [one["kept"] for one in outcome["objectives"]] == [True]
    assert place.faults() == {} and place.client.leases() == {}


def test_one_run_was_enough(judged: dict[str, Any]) -> None:
    counted = [one for one in judged["runs"] if one["counts"]]
    assert len(counted) == 1
    assert judged["as_expected"]["low"] > 0.05


def test_a_stored_run_judged_again_gives_the_same_bytes(
    judged: dict[str, Any], place: Place
) -> None:
    outcome = judged["outcomes"][-1]
    for words in ((), ("--set", "keep=95%")):
        out, _ = place.run("judge", outcome["run"], *words, "--lenient", "--json")
        assert json.loads(out) == outcome
    out, _ = place.run("judge", outcome["run"], "--expect", "resilient", "--lenient", "--json",
                       status=1)  # fmt: skip
    assert json.loads(out)["met"] == "no"


def test_it_is_in_the_lists(judged: dict[str, Any], place: Place) -> None:
    found = json.loads(place.run("list", "--label", "nightly", "--json")[0])
    assert found[0]["verdict"]["word"] == "graceful"
    report, _ = place.run("show", judged["outcomes"][-1]["run"])
    assert report.startswith("graceful  as expected (expected: graceful)\n")


def test_check_asks_the_nodes_and_leaves_nothing(place: Place) -> None:
    out, _ = place.run("check", "shop.yml")
    assert out == (
        "shop.yml: 0:35 in 4 phases, 1 fault, 2 scenarios, 1 objective, 1 invariant: all well\n"
    )
    text = (place.folder / "shop.yml").read_text()
    wrong = "['hang on cahce', 'error(nonsense) on cache', 'delay 1s on cache match qury=1']"
    wrong = text.replace("[hang on cache match command=GET]", wrong)
    (place.folder / "wrong.yml").write_text(wrong)
    out, err = place.run("check", "wrong.yml", status=1)
    assert "wrong.yml:6: there is no proxy 'cahce'; proxies: cache. Did you mean 'cache'?" in err
    assert place.faults() == {} and place.client.leases() == {}


def test_a_node_that_is_not_there(place: Place) -> None:
    _, err = place.run("check", "shop.yml", "--node", "http://127.0.0.1:9", status=1)
    assert "--offline checks the file alone" in err
    _, err = place.run("run", "shop.yml", "--node", "http://127.0.0.1:9", status=2)
    assert "the node 'main' (http://127.0.0.1:9)" in err


def test_ctrl_c_takes_the_faults_away(place: Place) -> None:
    process = place.start("run", "shop.yml", "--quiet")
    place.until(place.armed, process)
    process.send_signal(signal.SIGINT)
    out, _ = ended(process, 130)
    assert out.startswith("not judged\nThe experiment was ended before it could be judged: ctrl-C")
    assert place.faults() == {} and place.client.leases() == {}


def test_ctrl_c_before_the_load_takes_them_away_too(place: Place) -> None:
    process = place.start("run", "shop.yml", "--quiet")
    place.until(lambda: bool(place.faults()), process)
    process.send_signal(signal.SIGINT)
    ended(process, 130)
    assert place.faults() == {} and place.client.leases() == {}


def test_a_second_experiment_on_the_same_proxy_is_refused(place: Place) -> None:
    process = place.start("run", "shop.yml", "--quiet", "--no-store")
    try:
        place.until(lambda: bool(place.faults()), process)
        _, err = place.run("run", "shop.yml", status=2)
        assert "is busy with the proxy 'cache'" in err
        # What is alive is left alone.
        found = json.loads(place.run("recover", "--node", place.url, "--json")[0])
        assert [one["outcome"] for one in found] == ["alive: left alone"]
        assert place.faults()
    finally:
        process.send_signal(signal.SIGINT)
        ended(process, 130)


def test_what_a_killed_experiment_left_is_recovered(place: Place) -> None:
    process = place.start("run", "shop.yml", "--quiet", "--no-store")
    place.until(lambda: bool(place.faults()), process)
    process.kill()
    process.communicate()
    assert place.faults()
    found = json.loads(place.run("recover", "--node", place.url, "--json")[0])
    assert [(one["what"], one["outcome"]) for one in found] == [("cache/hang", "removed")]
    assert place.faults() == {} and place.client.leases() == {}
    _, err = place.run("recover", "--node", place.url)
    assert "no experiment has left anything behind" in err
