"""A rascal-proxy in a child process, and a small client of its control API.

It uses the standard library alone and blocks: for demos, benchmarks and soak tests, whose clients
block too.
"""

from __future__ import annotations

import json
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from rascal.demo.children import Address, Child, Children, free_port
from rascal.errors import RascalError

SECONDS = 10.0


class NodeError(RascalError):
    """The control API refused something."""


@attrs.frozen(kw_only=True)
class Counters:
    """What a fault has done."""

    matched: int
    fired: int
    reserved: int
    waiting: int
    skipped: Mapping[str, int]

    @property
    def add_up(self) -> bool:
        """matched = fired + skipped + reserved."""
        return self.matched == self.fired + self.reserved + sum(self.skipped.values())

    def __str__(self) -> str:
        parts = [f"matched {self.matched}", f"fired {self.fired}"]
        parts += [f"skipped {n} ({reason})" for reason, n in self.skipped.items() if n]
        if self.waiting:
            parts.append(f"waiting {self.waiting}")
        return ", ".join(parts)


class Armed:
    """One installed fault."""

    def __init__(self, node: Node, proxy: str, name: str, text: str) -> None:
        self.node = node
        self.proxy = proxy
        self.name = name
        self.text = text
        self.last: Counters | None = None

    @property
    def counters(self) -> Counters:
        """Its counters now, or as they were when it was removed."""
        return self.last or counters_of(self.node.call("GET", self._path))

    def remove(self) -> Counters:
        """Take it away; what it holds is released. Its last counters."""
        if self.last is None:
            self.last = counters_of(self.node.call("DELETE", self._path))
        return self.last

    @property
    def _path(self) -> str:
        return f"proxies/{self.proxy}/faults/{self.name}"


class Node:
    """One rascal-proxy process by its control URL."""

    def __init__(self, url: str, child: Child, ports: Mapping[str, int]) -> None:
        self.url = url
        self.child = child
        self.addresses: dict[str, Address] = {
            name: ("127.0.0.1", port) for name, port in ports.items()
        }

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request to `/api/v1/PATH`. Raises NodeError."""
        request = urllib.request.Request(
            f"{self.url}/api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as reply:
                text = reply.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise NodeError(f"{method} {path}: {error.code} {said}") from error
        except OSError as error:
            raise NodeError(f"{method} {path}: {error}") from error
        return json.loads(text) if text else None

    def add(self, proxy: str, sentence: str) -> Armed:
        """Install a fault."""
        made = self.call("POST", f"proxies/{proxy}/faults", {"text": sentence})
        return Armed(self, proxy, made["name"], made["text"])

    @contextmanager
    def fault(self, proxy: str, sentence: str) -> Iterator[Armed]:
        """A fault for the length of a block."""
        armed = self.add(proxy, sentence)
        try:
            yield armed
        finally:
            armed.remove()

    def panic(self, on: bool) -> None:
        """Remove every fault everywhere, or allow new ones again."""
        self.call("PUT", "panic", {"on": on, "by": "demo"})


def counters_of(fault: Mapping[str, Any]) -> Counters:
    """The counters in the API's description of a fault."""
    return Counters(
        matched=fault["matched"],
        fired=fault["fired"],
        reserved=fault["reserved"],
        waiting=fault["waiting"],
        skipped=fault["skipped"],
    )


def start_node(
    children: Children,
    upstreams: Mapping[str, tuple[str, Address]],
    *,
    seed: int = 42,
    faults: Mapping[str, str] | None = None,
    prefix: tuple[str, ...] = (),
) -> Node:
    """Write proxies.ini and run rascal-proxy with it.

    Args:
        children: who ends it; the file is written into their folder.
        upstreams: protocol and address of the real server, by the name of its proxy.
        seed: of all draws.
        faults: sentences that are armed from the start, one a line, by the name of the proxy.
        prefix: words before the command, such as those that pin it to a core.
    """
    control = free_port()
    ports = {name: free_port() for name in upstreams}
    lines = ["[rascal]", f"control = 127.0.0.1:{control}", f"seed = {seed}"]
    for name, (protocol, (host, port)) in upstreams.items():
        lines += ["", f"[proxy:{name}]", f"protocol = {protocol}"]
        lines += [f"listen = 127.0.0.1:{ports[name]}", f"upstream = {host}:{port}"]
        if faults and name in faults:
            lines += ["faults =", *(f"    {line}" for line in faults[name].splitlines())]
    file = children.folder / "proxies.ini"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    url = f"http://127.0.0.1:{control}"
    command = [*prefix, *twistd(), "-n", "--pidfile=", "rascal-proxy", "--config", str(file)]
    child = children.start("rascal-proxy", command, ready=lambda: _answers(f"{url}/readyz"))
    return Node(url, child, ports)


def twistd() -> list[str]:
    """The command twistd of this environment."""
    beside = Path(sys.executable).with_name("twistd")
    if beside.exists():
        return [str(beside)]
    found = shutil.which("twistd")
    if found:
        return [found]
    return [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
