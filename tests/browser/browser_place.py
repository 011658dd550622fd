"""The system that the browser looks at: a shop, its cache, proxies before both, and the panel.

    browser ─► rascal-panel ─► rascal-proxy: shop  ─► the shop ─► cache (proxy) ─► redis-server
                    └── load ────────────┘

All of it are processes of their own on free loopback ports.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from rascal.demo import servers
from rascal.demo.children import Child, Children, free_port, listening
from rascal.demo.node import Node, start_node, twistd

T = TypeVar("T")

HERE = Path(__file__).parent
PATIENCE = 40.0

SCENARIOS = '''\
"""What customers of the kettle shop do."""

from rascal.load import Option, scenario

patience = Option("patience", "duration", "2s", "How long a customer waits for an answer")


@scenario("browse")
async def browse(user):
    """Looks at the kettles: needs nothing but the shop itself."""
    (await user.get("/browse", name="browse", timeout=patience.value)).check(status=200)


@scenario("order")
async def order(user):
    """Orders one: the shop asks its cache for the price."""
    (await user.post("/order", name="order", timeout=patience.value)).check(status=200)
'''
EXPERIMENT = """\
# The cache stops answering for a few seconds. The shop should say so at once.
name: cache-hangs
target: {target}
load: {{scenarios: customers.py, profile: hold 120/s, timeout: 1s}}
phases: {{warm-up: 1s, baseline: 4s, fault: 4s, recovery: 5s}}
faults:
  - hang on cache
uses: {{cache: [order]}}
objectives: ['goodput_kept >= 90%']
learn: no
"""

PAGES = {
    "overview": "/",
    "proxies": "/proxies",
    "proxy": "/proxies/cache",
    "connect": "/connect",
    "scenarios": "/scenarios",
    "scenario": "/scenarios/customers.py",
    "experiments": "/experiments",
    "experiment": "/experiments/cache-hangs",
    "editor": "/experiments/cache-hangs/edit",
    "runs": "/runs",
    "run": "/runs/{run}",
    "live": "/runs/{run}/live",
    "compare": "/compare?runs={run},{other}",
    "agents": "/agents",
    "settings": "/settings",
    "targets": "/settings/targets",
    "tokens": "/settings/tokens",
    "people": "/settings/people",
    "observers": "/settings/observers",
    "about": "/settings/about",
    "jobs": "/jobs",
    "nowhere": "/runs/99999",
}
"""Every address of the panel that shows something."""


class Place:
    """The system, its parts, and a small client for each."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        self.options = options
        self.children = Children(folder)
        try:
            self._start()
        except BaseException:
            self.children.stop()
            raise

    def _start(self) -> None:
        folder = self.folder
        self.cache = servers.redis(self.children)
        self.shop_port, cache_port = free_port(), self.cache.address[1]
        upstreams = {
            "cache": ("redis", ("127.0.0.1", cache_port)),
            "shop": ("http", ("127.0.0.1", self.shop_port)),
        }
        self.node: Node = start_node(self.children, upstreams)
        words = [sys.executable, HERE / "kettle_shop.py", str(self.shop_port)]
        words.append(str(self.node.addresses["cache"][1]))
        self.children.start("shop", words, ready=listening(("127.0.0.1", self.shop_port)))
        (folder / "customers.py").write_text(SCENARIOS)
        (folder / "cache-hangs.yml").write_text(EXPERIMENT.format(target=self.target))
        self.port = free_port()
        self.panel: Child = self.start_panel()

    @property
    def url(self) -> str:
        """The panel, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def target(self) -> str:
        """The shop, as its customers know it: through the proxy."""
        return f"http://127.0.0.1:{self.node.addresses['shop'][1]}"

    # ---- processes

    def start_panel(self) -> Child:
        """Until it answers."""
        options = {
            "listen": f"127.0.0.1:{self.port}",
            "nodes": f"main={self.node.url}",
            "store": str(self.folder / "runs.db"),
            "scenarios": str(self.folder),
            "experiments": str(self.folder),
            **self.options,
        }
        lines = [f"{name} = {value}\n" for name, value in options.items()]
        file = self.folder / "panel.ini"
        file.write_text("".join(["[panel]\n", *lines]))
        command = [*twistd(), "-n", "--pidfile=", "rascal-panel", "--config", str(file)]
        return self.children.start("panel", command, ready=listening(("127.0.0.1", self.port)))

    def kill_panel(self) -> None:
        """As a crash does it."""
        self.panel.process.send_signal(signal.SIGKILL)
        self.panel.process.wait()
        self.children.running.remove(self.panel)

    def restart_panel(self) -> None:
        """After a kill, at the same address."""
        self.panel = self.start_panel()

    def kill_node(self) -> None:
        """The proxies' process, as a crash does it."""
        self.node.child.process.send_signal(signal.SIGKILL)
        self.node.child.process.wait()
        self.children.running.remove(self.node.child)

    def restart_node(self) -> None:
        """With the same file, so at the same addresses."""
        file = str(self.folder / "proxies.ini")
        command = [*twistd(), "-n", "--pidfile=", "rascal-proxy", "--config", file]
        ready = listening(("127.0.0.1", int(self.node.url.rpartition(":")[2])))
        self.node.child = self.children.start("rascal-proxy", command, ready=ready)

    def close(self) -> None:
        """No process is left, the runs' neither."""
        with suppress(OSError, KeyError, TypeError):
            for run in self.runs().values():
                if run["state"] == "running":
                    with suppress(ProcessLookupError):
                        os.kill(run["pid"], signal.SIGKILL)
        self.children.stop()

    # ---- the panel's API

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON (or bytes) of one request, as our own page would make it."""
        given = dict(headers or {})
        if method != "GET" and headers is None:
            given = {"Origin": self.url, "X-CSRF-Token": self.form()}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            given.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, data, given)
            answer = connection.getresponse()
            found = answer.read()
            if found and "json" in (answer.getheader("content-type") or ""):
                return answer.status, json.loads(found)
            return answer.status, found
        finally:
            connection.close()

    def form(self) -> str:
        """The form token."""
        return str(next(self.events("/api/v1/events"))[1]["csrf"])

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """Kind and data of each event of a stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            kind = ""
            for line in answer:
                if line.startswith(b"event: "):
                    kind = line[7:].decode().strip()
                elif line.startswith(b"data: "):
                    yield kind, json.loads(line[6:])
        finally:
            connection.close()

    def runs(self) -> dict[str, Any]:
        """All runs of the store."""
        return dict(self.ask("GET", "/api/v1/runs")[1]["runs"])

    def load(self, **more: Any) -> str:
        """A run that has begun: 40 customers a second."""
        order = {"file": "customers.py", "target": self.target, "rate": "40/s", "for": "30s"}
        status, found = self.ask("POST", "/api/v1/runs", {"load": {**order, **more}})
        assert status == 201, (status, found)
        self.first(found["run"])
        return str(found["run"])

    def experiment(self) -> str:
        """The one of the folder, begun."""
        body = {"experiment": {"file": "cache-hangs.yml"}}
        status, found = self.ask("POST", "/api/v1/runs", body)
        assert status == 201, (status, found)
        self.first(found["run"])
        return str(found["run"])

    def first(self, run: str) -> None:
        """Where it is allowed the run goes before the browser: what it does is measured."""
        pid = self.ask("GET", f"/api/v1/runs/{run}")[1]["pid"]
        threads = Path(f"/proc/{pid}/task")
        if threads.is_dir() and os.geteuid() == 0:
            for thread in list(threads.iterdir()):
                with suppress(OSError):  # it has ended, or we may not after all
                    os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(1))

    def until_ended(self, run: str) -> dict[str, Any]:
        """What became of it."""

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask("GET", f"/api/v1/runs/{run}")[1]
            return found if found.get("state") == "ended" else None

        return until(ended, f"run {run} ends", 120)

    def calm(self) -> None:
        """Nothing runs, nothing waits, no fault is on, the lever is released."""
        self.node.panic(True)
        assert self.ask("PUT", "/api/v1/runs/lever", {"on": True})[0] == 200
        until(
            lambda: all(one["state"] == "ended" for one in self.runs().values()), "runs have ended"
        )
        assert self.ask("PUT", "/api/v1/runs/lever", {"on": False})[0] == 200
        self.node.panic(False)
        for proxy in ("cache", "shop"):
            for name in self.faults(proxy):
                self.node.call("DELETE", f"proxies/{proxy}/faults/{name}")

    # ---- what is not the panel's

    def faults(self, proxy: str) -> dict[str, Any]:
        """By name, as the proxy has them."""
        return dict(self.node.call("GET", f"proxies/{proxy}/faults"))

    def customer(self, path: str = "/order") -> int:
        """A customer who is no part of any run: the status that the shop's proxy gives; 0: none."""
        request = urllib.request.Request(f"{self.target}{path}")
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first true value of it."""
    ends = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < ends, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return found
