"""Minutes of mixed traffic under faults that come and go: nothing grows, nothing is left.

RASCAL_SOAK_SECONDS (180) and RASCAL_SOAK_SEED (1) change how long and what. Impatient client
processes (clients.py) talk to MySQL, memcached, Redis and an HTTP service through one node, whose
faults are added, switched and removed over its control API at random. Checked on the way:
descriptors and connections stay within bounds, every fault's counters add up, no client ever gets
an answer to another question. Checked at rest, after a warm-up and again at the end: no connection,
no descriptor, no memory is left. Clients leave while hangs are still on.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rascal.demo import servers
from rascal.demo.children import Children
from rascal.demo.node import Armed, Node, NodeError, counters_of, start_node
from rascal.demo.steps import shop

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

SECONDS = float(os.environ.get("RASCAL_SOAK_SECONDS", "180"))
SEED = int(os.environ.get("RASCAL_SOAK_SEED", "1"))
THREADS = 6
WARM_UP = max(45.0, SECONDS / 4)
"""Seconds after which memory counts: by then the rings of latest exchanges are full."""
LET_GO = 30.0
"""A client that left behind a hang is let go after 10 seconds; what a connection that ended still
has to say (a shaper keeps it back) has 30."""
TICK = 0.1
AT_ONCE = 3
"""Faults on a proxy at the same time."""
OPEN = 800
"""Connections of a proxy, those that clients left behind a hang among them."""
GROWTH = 8_000_000
"""Bytes that the process may have grown from one rest to the next."""

EVERYWHERE = (
    "delay(1ms..40ms)",
    "hang",
    "refuse",
    "30% reset at connect",
    "30% close at connect",
    "throttle(200KB/s)",
    "slice(7B)",
    "trickle(1ms, size=500B)",
    "limit(30KB)",
    "max_age(300ms)",
    "idle_kill(100ms)",
    "max_connections(3)",
    "stall(1KB) per connection",
    "blackhole",
    "blackhole(close_after=100ms)",
    "slow_close(200ms)",
)
MESSAGES = (
    "delay(lognormal(5ms, 60ms)) at request,reply",
    "10% hang at reply",
    "20% hang on_remove close",
    "10% lose_request(then=reset)",
    "10% lose_reply(then=hang)",
    "10% lose_reply(then=close)",
    "10% lose_reply(then=reset)",
    "20% duplicate",
    "10% truncate(bytes=10B, then=reset)",
    "10% truncate(bytes=10B, then=hang)",
    "20% empty",
    "20% stale",
    "30% stall(10B, hold=100ms)",
    "rate_limit(50/s)",
    "concurrency(2)",
)
FAULTS = {
    "redis": (
        "20% error(oom) match command=SET",
        "20% error(loading)",
        "hang match command=EXEC",
        "lose_reply(then=close) match command=SET every 5",
    ),
    "memcached": ("empty match key~[05]$", "20% error(out_of_memory) match command=set"),
    "http": (
        "30% error(503, retry_after=2s) match method=POST",
        "10% error(500)",
        "hang match path=/catalogue count 5",
    ),
    "mysql": (
        "20% error(deadlock) match statement=INSERT",
        "20% error(lock_wait)",
        "lose_reply(then=reset) match statement=COMMIT every 4",
        "error(too_many_connections) match command=CONNECT every 3",
        "10% truncate(rows=0, then=reset) match statement=SELECT",
    ),
    "tcp": ("corrupt(1%)", "corrupt(gap=50B)"),
}


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    with Children(tmp_path) as made:
        yield made


class Watch:
    """Looks at the process, and keeps the extremes."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.most: Counter[str] = Counter()

    def memory(self) -> int:
        text = Path(f"/proc/{self.node.child.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.node.child.pid}/fd"))

    def open(self) -> dict[str, int]:
        counters = self.node.call("GET", "counters")
        return {name: one["open"] for name, one in counters.items()}

    def left(self, opened: dict[str, int]) -> str:
        """What the API says of some of the connections that live."""
        lines = []
        for name in (name for name, count in opened.items() if count):
            found = self.node.call("GET", f"proxies/{name}/connections")
            lines += [f"{name}: {one}" for one in list(found.values())[:5]]
        return "\n".join(lines)

    def look(self) -> None:
        """One sample; what must hold at any time."""
        opened = self.open()
        now = {"memory": self.memory(), "fds": self.descriptors(), "open": max(opened.values())}
        self.most |= Counter(now)
        assert now["open"] < OPEN, opened
        assert now["fds"] < 2 * sum(opened.values()) + 400, (now, opened)

    def rest(self, seconds: float) -> dict[str, int]:
        """What is there when nobody is connected any more."""
        deadline = time.monotonic() + seconds
        while any((opened := self.open()).values()):
            assert time.monotonic() < deadline, f"left: {opened}\n{self.left(opened)}"
            time.sleep(0.1)
        return {"memory": self.memory(), "fds": self.descriptors()}


class Trouble:
    """Adds, switches and removes faults at random, from a seed."""

    def __init__(self, node: Node, kinds: dict[str, tuple[str, ...]], seed: int) -> None:
        self.node = node
        self.kinds = kinds
        self.rng = random.Random(seed)
        self.armed: list[tuple[float, Armed]] = []
        self.totals: Counter[str] = Counter()
        self.added: Counter[str] = Counter()

    def tick(self) -> None:
        """Do one thing, and take away what is due."""
        now = time.monotonic()
        for due, fault in self.armed[:]:
            if due <= now:
                self.armed.remove((due, fault))
                self._account(fault)
        name = self.rng.choice(list(self.kinds))
        here = [fault for _, fault in self.armed if fault.proxy == name]
        chance = self.rng.random()
        if chance < 0.1 and here:
            fault, on = self.rng.choice(here), self.rng.random() < 0.6
            self.node.call("PATCH", f"proxies/{name}/faults/{fault.name}", {"enabled": on})
        elif chance < 0.12:
            self.node.call("POST", "reload")  # the file has no faults: those added stay or go
            self._forget()
        elif chance < 0.13:
            self._panic()
        elif len(here) < AT_ONCE:
            sentence = self.rng.choice(self.kinds[name])
            fault = self.node.add(name, sentence)
            self.added[fault.text.split("(")[0]] += 1
            self.armed.append((now + self.rng.uniform(0.2, 3), fault))

    def lift(self) -> None:
        """Take all of them away."""
        for _, fault in self.armed:
            self._account(fault)
        self.armed = []

    def _account(self, fault: Armed) -> None:
        last = fault.remove()
        assert last.add_up, (fault.text, last)
        self.totals.update(matched=last.matched, fired=last.fired)

    def _panic(self) -> None:
        self.node.panic(True)
        with pytest.raises(NodeError, match="panic"):
            self.node.add("redis", "hang")
        self.node.panic(False)
        self.armed = []

    def _forget(self) -> None:
        """Those that a reload took away are no longer ours."""
        for name in self.kinds:
            there = self.node.call("GET", f"proxies/{name}/faults")
            for one in there.values():
                assert counters_of(one).add_up, one
            self.armed = [
                (due, fault)
                for due, fault in self.armed
                if fault.proxy != name or fault.name in there
            ]


def soak(node: Node, watch: Watch, trouble: Trouble, seconds: float, seed: int) -> dict[str, Any]:
    """Clients for so long; the last faults are hangs, and stay while the clients leave."""
    script = Path(__file__).with_name("clients.py")
    clients = {
        name: subprocess.Popen(
            [
                sys.executable,
                script,
                *map(str, (name, *node.addresses[name], seconds, seed, THREADS)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in node.addresses
    }
    try:
        end, sampled = time.monotonic() + seconds - 1, 0.0
        while time.monotonic() < end:
            trouble.tick()
            if time.monotonic() - sampled > 0.5:
                sampled = time.monotonic()
                watch.look()
            time.sleep(TICK)
        trouble.lift()
        hangs = [node.add(name, "hang") for name in node.addresses]
        found = {name: json.loads(one.communicate(timeout=30)[0]) for name, one in clients.items()}
        watch.rest(LET_GO + 8)
        for hang in hangs:
            assert hang.remove().add_up
        return found
    finally:
        for one in clients.values():
            one.kill()
            one.communicate()


def complaints(log: str) -> list[str]:
    """What was logged as a mistake, each sort once."""
    lines = log.splitlines()
    found = {}
    for n, line in enumerate(lines):
        if any(word in line for word in ("Unhandled", "Traceback", "#error", "#critical")):
            part = lines[n : n + 25]
            end = next((k for k, one in enumerate(part) if k and one[:2] == "20"), len(part))
            text = "\n".join(part[:end])
            found.setdefault(text[26:] if text[:2] == "20" else text, text)
    return list(found.values())[:10]


def test_soak(children: Children, capsys: pytest.CaptureFixture[str]) -> None:
    upstreams: dict[str, Any] = {}
    for make in servers.SERVERS.values():
        server = make(children)
        upstreams[server.protocol] = (server.protocol, server.address)
    upstreams["tcp"] = ("tcp", upstreams["redis"][1])
    with shop(upstreams["mysql"][1]) as db, db.cursor() as cursor:
        cursor.execute("CREATE TABLE soak (id INTEGER PRIMARY KEY AUTO_INCREMENT, who CHAR(40))")
    node = start_node(children, upstreams, seed=SEED)
    kinds = {
        name: EVERYWHERE + FAULTS[name] + (() if name == "tcp" else MESSAGES) for name in upstreams
    }
    for name, sentences in kinds.items():
        for sentence in sentences:
            node.add(name, f"{sentence} enabled no").remove()
    watch, trouble = Watch(node), Trouble(node, kinds, SEED)
    before = watch.descriptors()

    soak(node, watch, trouble, WARM_UP, SEED)
    warm = watch.rest(5)
    found = soak(node, watch, trouble, max(15.0, SECONDS - WARM_UP), SEED + 1)
    end = watch.rest(5)

    with capsys.disabled():
        print(f"\nseed {SEED}, {SECONDS:.0f}s; at rest first {warm}, last {end}")
        print(f"most {dict(watch.most)}; faults {trouble.added.total()}, {dict(trouble.totals)}")
        for name, one in found.items():
            print(f"{name}: {one['counts']}")
    assert not (bad := complaints(node.child.text)), "\n\n".join(bad)
    assert trouble.totals["fired"] > SECONDS, trouble.totals
    for name, one in found.items():
        assert not one["wrong"], (name, one)
        assert one["counts"].get("ok", 0) > SECONDS, (name, one)
    for name, counters in node.call("GET", "counters").items():
        assert counters.get("desyncs", 0) == 0, (name, counters)
        assert not counters["faults"], (name, counters)
    assert end["fds"] <= max(before, warm["fds"]) + 2, (before, warm, end)
    assert end["memory"] - warm["memory"] < GROWTH, (warm, end)
    assert node.child.stop() in (0, -15, 143)
