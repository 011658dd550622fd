"""The compatible API asked in memory, from an address of one's choice."""

from __future__ import annotations

import json
from typing import Any

from asking import Answer, Asker, parse

INI = """\
[rascal]
control = 127.0.0.1:8474
seed = 42
{settings}
[proxy:native]
protocol = redis
listen = 127.0.0.1:6390
upstream = 127.0.0.1:6379
faults =
    delay(2s) match command=GET name slow
"""

DB = {"name": "db", "listen": "127.0.0.1:3307", "upstream": "127.0.0.1:3306"}


class ToxiAsker(Asker):
    """Sends requests as Toxiproxy's clients do: no content type, any User-Agent."""

    peer = "127.0.0.1"

    def raw(self, data: bytes, pieces: int = 0) -> bytes:
        """What the site writes when it gets these bytes."""
        from twisted.internet.address import IPv4Address
        from twisted.internet.testing import StringTransport

        transport = StringTransport(peerAddress=IPv4Address("TCP", self.peer, 4711))
        channel = self.site.buildProtocol(None)
        channel.makeConnection(transport)
        channel.dataReceived(data)
        found: bytes = transport.value()
        return found

    def __call__(
        self,
        method: str,
        path: str,
        data: Any = None,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request; `data` is sent as JSON."""
        content = body if body is not None else b"" if data is None else json.dumps(data).encode()
        sent = {"Host": "127.0.0.1:8474", "Content-Length": str(len(content))} | (headers or {})
        head = f"{method} {path} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
        return parse(self.raw(head.encode("latin-1") + b"\r\n" + content))


def refused(answer: Answer, status: int, text: str) -> None:
    """An error, with everything that clients look at."""
    assert (answer.status, answer.body[-1:]) == (status, b"\n"), answer
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-toxiproxy-request-id"]
    assert answer.json == {"error": text, "status": status}


def well(answer: Answer, status: int = 200) -> Any:
    """A success; its data."""
    assert answer.status == status, answer
    assert answer.headers["x-toxiproxy-request-id"]
    if status == 204:
        assert answer.body == b""
        return None
    assert answer.headers["content-type"] == "application/json"
    assert not answer.body.endswith(b"\n")
    return answer.json
