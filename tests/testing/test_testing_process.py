"""The child process: it never outlives us, it is ours alone, and what is elsewhere stays there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from site_thread import PATIENCE, Site, get

from rascal.control.client import Client
from rascal.errors import ConfigError
from rascal.testing import NodeError, proxy
from rascal.testing import _node as nodes
from rascal.testing._node import ChildNode, close_nodes, current_node

HERE = Path(__file__).parent

PARENT = """
import os, sys, time
from rascal.testing import proxy
from rascal.testing._node import current_node
with proxy("tcp", upstream="127.0.0.1:9") as one:
    node = current_node()
    print(node.process.pid, node.folder, one.port, flush=True)
    {then}
"""


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process is no more (one that nobody has waited for yet counts as gone)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def parent() -> Iterator[Callable[[str], tuple[subprocess.Popen[str], int, Path, int]]]:
    """Starts a process with a proxy; gives it, the child's pid and folder, the proxy's port."""
    running = []

    def start(then: str) -> tuple[subprocess.Popen[str], int, Path, int]:
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT.format(then=then)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        assert process.stdout is not None
        pid, folder, port = process.stdout.readline().split()
        return process, int(pid), Path(folder), int(port)

    yield start
    for process in running:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def test_importing_it_imports_neither_twisted_nor_pytest_nor_the_client() -> None:
    code = (
        "import sys, rascal.testing; heavy = 'twisted', 'pytest', '_pytest', 'klein'; "
        "print([m for m in sys.modules if m.split('.')[0] in heavy or 'rascal.control' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    code = "import sys; from rascal.testing import proxy; print('twisted' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_child_leaves_when_its_parent_ends(parent: Any) -> None:
    process, pid, folder, _ = parent("sys.stdin.readline()")
    assert not gone(pid)
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == 0
    assert gone(pid)
    assert not folder.exists()


@pytest.mark.parametrize(
    "then",
    [
        pytest.param("time.sleep(600)", id="alone"),
        pytest.param("os.fork(); time.sleep(600)", id="a fork holds its standard input"),
    ],
)
def test_the_child_leaves_when_its_parent_is_killed(parent: Any, then: str) -> None:
    process, pid, folder, _ = parent(then)
    group = process.pid
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: gone(pid), "the child leaves")
    assert not folder.exists()
    os.killpg(group, signal.SIGKILL)


def test_an_interrupt_at_the_terminal_is_for_the_parent_alone(parent: Any) -> None:
    process, pid, _, _ = parent(
        "\n    try: print('ready', flush=True); time.sleep(600)"
        "\n    except KeyboardInterrupt: print(one.connections(), flush=True)"
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "{}\n"
    assert process.wait(PATIENCE) == 0
    assert gone(pid)


def test_a_fork_has_a_node_of_its_own_and_does_not_end_ours(parent: Any) -> None:
    process, pid, _, _ = parent(
        "\n    if os.fork() == 0:"
        "\n        with proxy('tcp', upstream='127.0.0.1:9') as two:"
        "\n            print(current_node().process.pid, two.name, flush=True)"
        "\n        sys.exit()"
        "\n    os.wait()"
        "\n    print(one.connections(), flush=True)"
    )
    other, name = process.stdout.readline().split()
    assert int(other) != pid
    assert name == "tcp"
    assert process.stdout.readline() == "{}\n"
    assert process.wait(PATIENCE) == 0
    assert gone(pid)
    assert gone(int(other))


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The nodes of a test of its own."""
    monkeypatch.setattr(nodes, "_nodes", {})
    yield monkeypatch
    close_nodes()


def test_a_child_that_was_killed_is_said_to_be_gone_and_is_replaced(
    apart: pytest.MonkeyPatch, site: Site
) -> None:
    with proxy("http", upstream=site.upstream) as web:
        node = current_node()
        assert isinstance(node, ChildNode)
        node.process.kill()
        with pytest.raises(NodeError, match="has ended"), web.fault("delay 1ms"):
            pytest.fail("it was installed")
    with proxy("http", upstream=site.upstream) as web:
        assert current_node() is not node
        assert get(web.address) == 200
    assert not node.folder.exists()


def test_a_child_that_cannot_start_says_why(
    apart: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    apart.setenv("RASCAL_SEED", "seven")
    with pytest.raises(NodeError, match="invalid int value: 'seven'"):
        proxy("tcp", upstream="127.0.0.1:9").start()
    apart.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(NodeError, match=r"does not start: .*No such file"):
        proxy("tcp", upstream="127.0.0.1:9").start()


def test_rascal_seed_is_the_seed(apart: pytest.MonkeyPatch) -> None:
    apart.setenv("RASCAL_SEED", "77")
    with proxy("tcp", upstream="127.0.0.1:9") as one:
        assert one.node.seed == 77


def test_where_there_are_no_short_paths_a_port_of_this_machine_serves(
    apart: pytest.MonkeyPatch, site: Site
) -> None:
    apart.setattr(nodes, "SOCKET_PATH", 0)
    with proxy("http", upstream=site.upstream) as web:
        assert web.node.url.startswith("http://127.0.0.1:")
        with web.fault("error(503)"):
            assert get(web.address) == 503


# ---- a service elsewhere


@pytest.fixture
def elsewhere(apart: pytest.MonkeyPatch, site: Site) -> Iterator[Client]:
    """A service that was there before us, with a proxy called web."""
    service = ChildNode()
    host, port = site.upstream
    with Client(service.url) as client:
        client.add_proxy("web", "http", "0.0.0.0:0", f"{host}:{port}")
        apart.setenv("RASCAL_URL", service.url)
        yield client
    close_nodes()
    service.close()


def test_a_proxy_that_is_there_is_used_by_its_name_and_stays(elsewhere: Client) -> None:
    with proxy("http", name="web") as web:
        assert web.node.remote
        assert web.host == "127.0.0.1", "an address that can be reached"
        assert get(web.address) == 200
        with web.fault("error(503)") as fault:
            assert get(web.address) == 503
            (lease,) = elsewhere.leases().values()
            assert lease["holds"] == ["web/error"]
        assert fault.fired == 1
    with proxy(name="web") as web:
        assert web.protocol == "http"
    assert list(elsewhere.proxies()) == ["web"]


def test_what_is_left_by_somebody_who_was_killed_goes(
    elsewhere: Client, parent: Any, apart: pytest.MonkeyPatch
) -> None:
    code = """
import os
from rascal.testing import _node, proxy
_node.LEASE = 1.0
with proxy(name="web") as web, web.fault("hang"):
    print(web.node.url, flush=True)
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(elsewhere.faults("web")) == ["hang"]
    until(lambda: not elsewhere.faults("web"), "the lease lapses")


def test_a_lease_is_renewed_as_long_as_something_stands(
    elsewhere: Client, apart: pytest.MonkeyPatch
) -> None:
    apart.setattr(nodes, "LEASE", 1.0)
    with proxy(name="web") as web, web.fault("hang", may_miss=True) as hang:
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            assert hang.armed
            time.sleep(0.05)


def test_what_is_not_there_is_named(elsewhere: Client) -> None:
    with pytest.raises(ConfigError, match=r"no proxy 'wbe'; proxies: web\. Did you mean 'web'\?"):
        proxy(name="wbe").start()
    with pytest.raises(ConfigError, match="speaks http, not redis"):
        proxy("redis", name="web").start()
    with pytest.raises(ConfigError, match="a name to be given"):
        proxy("http").start()


def test_a_new_proxy_is_made_only_where_it_can_be_reached(
    elsewhere: Client, site: Site, apart: pytest.MonkeyPatch
) -> None:
    with proxy("http", upstream=site.upstream) as web:
        assert web.name.startswith("tests-")
        assert get(web.address) == 200
        assert web.name in elsewhere.proxies()
    assert list(elsewhere.proxies()) == ["web"]
    apart.setattr("rascal.testing._proxy._near", lambda place: False)
    with pytest.raises(ConfigError, match="a name to be given"):
        proxy("http", upstream=site.upstream).start()
