"""What the system's resolver sees: getent in a mount namespace whose resolv.conf names the proxy.

The namespace has a resolv.conf of its own and nothing else; the proxy listens on port 53 of a
loopback address, so that root is needed.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dns_servers import UNBOUND, unbound
from harness import Node, Sight, running

SEEN = ("dns", "getent (glibc)")


def _usable() -> bool:
    if os.geteuid() or not UNBOUND or not shutil.which("unshare") or not shutil.which("getent"):
        return False
    found = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    return found.returncode == 0


pytestmark = pytest.mark.skipif(not _usable(), reason="needs root, unshare, getent and unbound")


class System:
    """The resolver of the system, as a program that is started in the namespace sees it."""

    def __init__(self, node: Node, conf: Path) -> None:
        self.node = node
        self.conf = conf

    def getent(self, database: str, name: str) -> Sight:
        """What it prints: addresses, or its status in words."""
        command = f"mount --bind {self.conf} /etc/resolv.conf && exec getent {database} {name}"
        began = time.monotonic()
        found = subprocess.run(
            ["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, timeout=30
        )
        seconds = time.monotonic() - began
        assert not found.stderr, found.stderr
        assert found.returncode in (0, 2)
        addresses = list(dict.fromkeys(line.split()[0] for line in found.stdout.splitlines()))
        value = addresses if found.returncode == 0 else "not found (status 2)"
        return Sight(value=value, seconds=seconds)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    chance = random.Random(os.getpid())
    host = f"127.{chance.randrange(64, 250)}.{chance.randrange(250)}.{chance.randrange(1, 250)}"
    conf = folder / "resolv.conf"
    conf.write_text(f"nameserver {host}\noptions timeout:1 attempts:2\n", "utf-8")
    with unbound(folder / "unbound") as port:
        ini = f"[proxy:names]\nprotocol = dns\nlisten = {host}:53\nupstream = 127.0.0.1:{port}\n"
        ini += "answers = www.elsewhere.internal=127.0.0.8\n"
        with running(folder / "node", ini) as node:
            yield System(node, conf)


V4, HOSTS = "ahostsv4", "hosts"
NOT_FOUND = "not found (status 2)"
CASES = [
    ("nxdomain", "error(nxdomain) match name=db.shop.internal", V4, NOT_FOUND, (0, 1)),
    ("nodata", "error(nodata) match name=db.shop.internal", HOSTS, NOT_FOUND, (0, 1)),
    ("servfail", "error(servfail) match name=db.shop.internal", V4, NOT_FOUND, (0, 3)),
    ("refused", "error(refused) match name=db.shop.internal", V4, NOT_FOUND, (0, 3)),
    ("truncated", "error(truncated) match transport=udp", V4, ["127.0.0.1"], (0, 1)),
    ("lose_request", "lose_request match name=db.shop.internal", V4, NOT_FOUND, (2, 5)),
    ("lose_reply", "lose_reply match type=A count 1", V4, ["127.0.0.1"], (1, 3)),
    ("nodata", "error(nodata) match type=AAAA", HOSTS, ["127.0.0.1"], (0, 1)),
    ("lose_request", "lose_request match type=AAAA count 1", HOSTS, ["::1"], (1, 3)),
    ("delay", "delay 300ms match type=A", V4, ["127.0.0.1"], (0.3, 1)),
    (
        "replace",
        "replace(address=127.0.0.9) match name=db.shop.internal",
        V4,
        ["127.0.0.9"],
        (0, 1),
    ),
    ("blackhole", "blackhole", V4, NOT_FOUND, (2, 5)),
    ("refuse", "refuse", V4, NOT_FOUND, (0, 1)),
]


@pytest.mark.parametrize(
    ("name", "sentence", "database", "sees", "took"), CASES, ids=[case[1] for case in CASES]
)
def test_faults(
    system: System,
    seen: Callable[..., None],
    name: str,
    sentence: str,
    database: str,
    sees: object,
    took: tuple[float, float],
) -> None:
    system.node.clear()
    assert system.getent(V4, "db.shop.internal").value == ["127.0.0.1"]
    with system.node.fault("names", sentence, fired=None):
        sight = system.getent(database, "db.shop.internal")
    assert sight.value == sees
    assert took[0] <= sight.seconds <= took[1], sight.seconds
    assert system.getent(HOSTS, "db.shop.internal").value == ["::1"]
    seen(name, sentence, sight, "yes")


def test_without_faults(system: System) -> None:
    system.node.clear()
    found = system.getent(V4, "many.shop.internal").value
    assert sorted(found) == ["127.0.0.11", "127.0.0.12", "127.0.0.13"]
    assert system.getent(V4, "none.shop.internal").value == NOT_FOUND


def test_a_name_that_is_the_proxys_own(system: System) -> None:
    system.node.clear()
    assert system.getent(V4, "www.elsewhere.internal").value == ["127.0.0.8"]
    assert system.getent(HOSTS, "www.elsewhere.internal").value == ["127.0.0.8"]
