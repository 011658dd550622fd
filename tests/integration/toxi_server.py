"""rascal-toxiproxy in a child, and its API asked over a socket.

with standing_in(tmp_path) as toxi:
    proxy = toxi.proxy("db", upstream=door.address)
    toxi.toxic("db", "latency", latency=100)
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from tcp_peers import Address, read_address, write_address

from rascal.control.client import Client
from rascal.demo.children import Child, Children, free_port, listening, module

ROOT = Path(__file__).parents[2]
BAD = re.compile(r"Traceback|Unhandled", re.IGNORECASE)


@attrs.frozen
class Got:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Toxi:
    """A running stand-in."""

    def __init__(self, port: int, child: Child) -> None:
        self.port = port
        self.child = child
        self.native = Client(f"http://127.0.0.1:{port}")

    def ask(self, method: str, path: str, data: Any = None, **headers: str) -> Got:
        """One request; bytes are sent as they are."""
        body = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Got(answer.status, found, answer.read())
        finally:
            connection.close()

    def done(self, method: str, path: str, data: Any = None) -> Any:
        """What comes of a request that must succeed."""
        got = self.ask(method, path, data)
        assert got.status < 300, got
        return got.json if got.body else None

    def proxy(self, name: str, upstream: Address, **more: Any) -> Address:
        """A new proxy; where it listens."""
        data = {"name": name, "listen": "127.0.0.1:0", "upstream": write_address(upstream)}
        found = self.done("POST", "/proxies", data | more)
        return read_address(found["listen"])

    def toxic(
        self, proxy: str, type_: str, stream: str = "downstream", **attributes: Any
    ) -> dict[str, Any]:
        """A new toxic."""
        toxicity = attributes.pop("toxicity", 1.0)
        data = {"type": type_, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        found: dict[str, Any] = self.done("POST", f"/proxies/{proxy}/toxics", data)
        return found

    def change(self, proxy: str, toxic: str, **data: Any) -> dict[str, Any]:
        """Other attributes, another toxicity."""
        found: dict[str, Any] = self.done("POST", f"/proxies/{proxy}/toxics/{toxic}", data)
        return found

    def drop(self, proxy: str, toxic: str) -> None:
        """It goes."""
        self.done("DELETE", f"/proxies/{proxy}/toxics/{toxic}")

    def clear(self) -> None:
        """No proxy is left."""
        for name in self.done("GET", "/proxies"):
            self.done("DELETE", f"/proxies/{name}")


@contextlib.contextmanager
def standing_in(folder: Path, *flags: str) -> Iterator[Toxi]:
    """rascal-toxiproxy on a free port; its log is checked at the end."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    with Children(folder) as children:
        child = children.start(
            "rascal-toxiproxy",
            module("rascal.tap.toxiproxy", "-port", str(port), "-host", "127.0.0.1", *flags),
            ready=listening(("127.0.0.1", port)),
            environment={"PYTHONPATH": str(ROOT)},
        )
        toxi = Toxi(port, child)
        with toxi.native:
            yield toxi
        assert child.process.poll() is None, child.text
        assert not BAD.search(child.text), child.text
