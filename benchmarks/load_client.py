"""What a request costs the load client: CPU per request beside stock treq and wrk.

    python benchmarks/load_client.py [--rounds 5] [--seconds 1.5] [--users 1,10,100] [--new]

The target is an nginx with one worker on loopback that answers a small JSON body; contenders take
turns in every round, each in a process of its own, and ratios are of the same round. The load
client does all that it does in a run: coroutine, status and body looked at, recording. `--new`
makes a new connection for each request; `--json` prints every sample too.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

BODY = '{"items": [1, 2, 3], "name": "shop"}'
NGINX = """
daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; default_type application/json;
client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c;
uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
server {{ listen 127.0.0.1:{1} backlog=4096;
location / {{ return 200 '{2}'; }} location /status {{ stub_status; }} }} }}
"""
CONTENDERS = ("rascal", "treq", "wrk")


@contextmanager
def nginx() -> Iterator[int]:
    """A running target; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder, "nginx.conf")
        conf.write_text(NGINX.format(folder, port, BODY))
        command = ["nginx", "-p", folder, "-c", str(conf)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with socket.socket() as probe:
                    if not probe.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.02)
            yield port
        finally:
            process.kill()
            process.wait()


def run_rascal(url: str, users: int, seconds: float, new: bool) -> dict[str, Any]:
    """One round of our client."""
    from rascal.reactor import install

    install()
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred, gatherResults

    from rascal.load.http.client import Client
    from rascal.load.http.session import Session
    from rascal.load.plan import Plan
    from rascal.load.recorder import Recorder

    plan = Plan(file="", shares=(), target=url, connections="none" if new else "shared")
    client = Client(reactor, plan)
    recorder = Recorder("1", "a", start=time.monotonic())
    counted = {"served": 0}

    async def user(ends: float) -> None:
        session = Session(client, recorder, url)
        while time.monotonic() < ends:
            response = await session.get("/items", name="items")
            if response.code == 200 and await response.content():
                counted["served"] += 1

    async def main() -> dict[str, Any]:
        await user(time.monotonic() + 0.2)
        counted["served"] = 0
        opened, began, cpu = client.opened, time.monotonic(), time.process_time()
        ends = began + seconds
        await gatherResults([Deferred.fromCoroutine(user(ends)) for _ in range(users)])
        found = sample(counted["served"], began, cpu) | {"opened": client.opened - opened}
        await client.close()
        return found

    return _drive(reactor, main)


def run_treq(url: str, users: int, seconds: float, new: bool) -> dict[str, Any]:
    """One round of stock treq."""
    from twisted.internet.epollreactor import install

    install()
    from treq.client import HTTPClient
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred, gatherResults
    from twisted.web.client import Agent, HTTPConnectionPool

    pool = HTTPConnectionPool(reactor, persistent=not new)
    pool.maxPersistentPerHost = users
    client = HTTPClient(Agent(reactor, pool=pool))
    counted = {"served": 0}

    async def user(ends: float) -> None:
        while time.monotonic() < ends:
            response = await client.get(f"{url}/items", reactor=reactor)
            if response.code == 200 and await response.content():
                counted["served"] += 1

    async def main() -> dict[str, Any]:
        await user(time.monotonic() + 0.2)
        counted["served"] = 0
        began, cpu = time.monotonic(), time.process_time()
        ends = began + seconds
        await gatherResults([Deferred.fromCoroutine(user(ends)) for _ in range(users)])
        found = sample(counted["served"], began, cpu)
        await pool.closeCachedConnections()
        return found

    return _drive(reactor, main)


def _drive(reactor: Any, main: Any) -> dict[str, Any]:
    from twisted.internet.defer import Deferred

    found: list[Any] = []
    reactor.callWhenRunning(
        lambda: (
            Deferred.fromCoroutine(main())
            .addBoth(found.append)
            .addBoth(lambda _: reactor.callLater(0.01, reactor.stop))
        )
    )
    reactor.run()
    if not isinstance(found[0], dict):
        found[0].raiseException()
    return found[0]  # type: ignore[no-any-return]


def sample(served: int, began: float, cpu: float) -> dict[str, Any]:
    """CPU and rate since then."""
    took, used = time.monotonic() - began, time.process_time() - cpu
    return {"served": served, "us": used / max(served, 1) * 1e6, "rate": served / took}


def run_wrk(url: str, users: int, seconds: float, new: bool) -> dict[str, Any]:
    """One round of wrk."""
    header = ["-H", "Connection: close"] if new else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["wrk", "-t1", f"-c{users}", f"-d{max(1, round(seconds))}s", *header, f"{url}/items"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    served = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s*([\d.]+)", said)[1])  # type: ignore[index]
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"served": served, "us": used / max(served, 1) * 1e6, "rate": rate}


def one(name: str, *arguments: Any) -> dict[str, Any]:
    """A round of one contender, in a process of its own."""
    command = [sys.executable, __file__, "--contender", name, *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode:
        raise SystemExit(f"{name} failed: {said.stderr[-800:]}")
    return json.loads(said.stdout)  # type: ignore[no-any-return]


def compare(url: str, users: int, rounds: int, seconds: float, new: bool) -> dict[str, Any]:
    """All rounds at one number of users."""
    names = [name for name in CONTENDERS if name != "wrk" or shutil.which("wrk")]
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in random.sample(names, len(names)):
            samples[name].append(one(name, url, users, seconds, int(new)))
    mine = [sample["us"] for sample in samples["rascal"]]
    print(f"{users} in flight{', new connections' if new else ''}")
    for name in names:
        costs = [sample["us"] for sample in samples[name]]
        ratios = sorted(cost / own for cost, own in zip(costs, mine, strict=True))
        rate = median(sample["rate"] for sample in samples[name])
        spread = (
            ""
            if name == "rascal"
            else f"{median(ratios):7.2f} x [{ratios[0]:.2f}-{ratios[-1]:.2f}]"
        )
        print(f"  {name:<8} {median(costs):8.1f} us/request {rate:10,.0f}/s {spread}", flush=True)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--users", default="1,10,100")
    parser.add_argument("--new", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--contender", nargs=5)
    options = parser.parse_args()
    if options.contender:
        name, url, users, seconds, new = options.contender
        run = {"rascal": run_rascal, "treq": run_treq, "wrk": run_wrk}[name]
        print(json.dumps(run(url, int(users), float(seconds), new == "1")))
        return
    found = {}
    with nginx() as port:
        for users in map(int, options.users.split(",")):
            found[users] = compare(
                f"http://127.0.0.1:{port}", users, options.rounds, options.seconds, options.new
            )
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
