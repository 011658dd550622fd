"""A panel in memory: requests as bytes in, answers as bytes out, no socket, a clock in hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.testing import MemoryReactorClock, StringTransport

from rascal.config.tokens import hash_token
from rascal.panel.settings import settings_of
from rascal.panel.site import Panel

HOST = "127.0.0.1:8480"
TOKENS = {role: f"the-token-of-the-{role}" for role in ("viewer", "operator", "admin")}


@attrs.frozen
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class MemoryPanel:
    """A Panel and its requests. With `tokens` one has to log in."""

    def __init__(self, folder: Path, *, tokens: bool = False, **options: str) -> None:
        given = {"store": str(folder / "runs.db"), "scenarios": str(folder), **options}
        given.setdefault("experiments", str(folder))
        file = None
        if tokens:
            lines = (f"    {role} {hash_token(token)} {role}" for role, token in TOKENS.items())
            file = folder / "panel.ini"
            file.write_text("[panel]\ntokens =\n" + "\n".join(lines) + "\n")
        self.reactor = MemoryReactorClock()
        self.panel = Panel(settings_of(str(file) if file else None, given, {}), self.reactor)
        self.site = self.panel.site()
        self.cookie = ""
        self.form = self.panel.door._open_form

    def raw(self, data: bytes) -> bytes:
        """What it writes when it gets these bytes."""
        channel = self.site.buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(data)
        found: bytes = transport.value()
        return found

    def __call__(
        self, method: str, path: str, data: Any = None, *, body: bytes | None = None, **more: str
    ) -> Answer:
        """One request; `data` is sent as JSON, `more` are headers (an empty one is left out)."""
        content = body if body is not None else b"" if data is None else json.dumps(data).encode()
        sent = {"Host": HOST, "Content-Length": str(len(content)), "Cookie": self.cookie}
        if method not in ("GET", "HEAD"):
            sent |= {"Origin": f"http://{HOST}", "X-CSRF-Token": self.form}
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in more.items()}
        head = f"{method} {path} HTTP/1.0\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
        first, _, rest = self.raw(head.encode("latin-1") + b"\r\n" + content).partition(b"\r\n\r\n")
        line, *lines = first.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
        }
        return Answer(int(line.split()[1]), headers, rest)

    def log_in(self, role: str) -> Answer:
        """As a browser does it; later requests have the cookie and the form token."""
        found = self(
            "POST", "/login", body=f"token={TOKENS[role]}".encode(), X_CSRF_Token="",
            Content_Type="application/x-www-form-urlencoded",
        )  # fmt: skip
        self.cookie = found.headers["set-cookie"].partition(";")[0]
        page = self("GET", "/settings/about").text
        self.form = page.partition('name="csrf-token" content="')[2].partition('"')[0]
        return found
