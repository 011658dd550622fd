"""The API asked in memory: bytes in, bytes out, no socket; and the configuration of these tests."""

from __future__ import annotations

import json
from typing import Any

import attrs

INI = """\
[rascal]
control = 127.0.0.1:8474
seed = 42

[proxy:cache]
protocol = redis
listen = 127.0.0.1:6390
upstream = 127.0.0.1:6379
faults =
    delay(2s) match command=GET name slow

[script:cache/steps]
steps = pass 2, error(LOADING)
match = command=SET

[proxy:plain]
protocol = tcp
listen = 127.0.0.1:7001, 127.0.0.1:7002
upstream = 127.0.0.1:7000
"""


@attrs.frozen
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Asker:
    """Sends requests to a site in memory."""

    def __init__(self, site: Any) -> None:
        self.site = site
        self.closed = False

    def raw(self, data: bytes, pieces: int = 0) -> bytes:
        """What the site writes when it gets these bytes."""
        from twisted.internet.testing import StringTransport

        channel = self.site.buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        for at in range(0, len(data), pieces or len(data) or 1):
            if not transport.disconnecting:
                channel.dataReceived(data[at : at + (pieces or len(data))])
        self.closed = transport.disconnecting
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
        sent = {"Host": "127.0.0.1:8474", "Content-Length": str(len(content))}
        if body is not None or data is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        head = f"{method} {path} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
        return parse(self.raw(head.encode("latin-1") + b"\r\n" + content))


def parse(data: bytes) -> Answer:
    """The one answer in these bytes."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    return Answer(int(first.split()[1]), headers, body)
