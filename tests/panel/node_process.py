"""A rascal-proxy in a process of its own, before a real redis-server, and a panel for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from panel_process import PATIENCE, PanelProcess

from rascal.demo import servers
from rascal.demo.children import Child, Children, listening
from rascal.demo.node import Node, start_node, twistd

T = TypeVar("T")


class NodeProcess:
    """With the proxies `cache` (redis) and `spare` (tcp), which may be killed and come back."""

    def __init__(self, folder: Path) -> None:
        self.children = Children(folder)
        cache = servers.redis(self.children).address
        self.node: Node = start_node(
            self.children, {"cache": ("redis", cache), "spare": ("tcp", cache)}
        )

    @property
    def port(self) -> int:
        """Of the control API."""
        return int(self.node.url.rpartition(":")[2])

    @property
    def child(self) -> Child:
        """The process."""
        return self.node.child

    def kill(self) -> None:
        """As a crash does it."""
        self.child.process.kill()
        self.child.process.wait()
        self.children.running.remove(self.child)

    def restart(self) -> None:
        """With the same file, so at the same addresses."""
        file = str(self.children.folder / "proxies.ini")
        command = [*twistd(), "-n", "--pidfile=", "rascal-proxy", "--config", file]
        ready = listening(("127.0.0.1", self.port))
        self.node.child = self.children.start("rascal-proxy", command, ready=ready)

    def redis(self) -> Any:
        """A client that is pointed at the proxy; a connection for each call."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        host, port = self.node.addresses["cache"]
        return redis.Redis(host, port, socket_timeout=5, retry=Retry(NoBackoff(), 0))


@contextmanager
def both(folder: Path, **options: str) -> Iterator[tuple[PanelProcess, NodeProcess]]:
    """A panel that has found its node."""
    node = NodeProcess(folder)
    panel = PanelProcess(folder, nodes=f"main={node.node.url}", **options)
    try:
        panel.start()
        until(lambda: state_of(panel)["state"] == "up", "the node is found")
        yield panel, node
    finally:
        panel.stop()
        node.children.stop()


def state_of(panel: PanelProcess) -> dict[str, Any]:
    """The node, as the panel knows it."""
    status, found = panel.call("GET", "/api/v1/nodes/main")
    assert status == 200, found
    return dict(found)


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first true value of it."""
    ends = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < ends, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return found
