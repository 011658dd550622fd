"""Where the API is, with which token, and what its answers mean. No I/O but reading a token."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rascal.errors import ConfigError, ControlError, RascalError

DEFAULT_URL = "http://127.0.0.1:8474"
PORT = 8474
TOKEN_BYTES = 4096
"""A file that is longer holds no token."""


class Unreachable(RascalError):
    """Nobody answers at the URL, or what answers is not the control API."""


class Refused(ControlError):
    """The API has refused a request.

    Attributes:
        status: of HTTP.
        code: short stable name of the problem, such as "unit-missing".
        problem: the problem object.
        errors: all findings of the request; at least the problem itself.
        pointer: JSON pointer to what is wrong, if a part of the request is.
        column: of the sentence that the pointer leads to, from 1.
        allowed: what is allowed there, if it can be listed.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        title = str(problem.get("title") or f"status {status}")
        code = str(problem.get("type") or "").rpartition("/")[2]
        super().__init__(status, code, title, str(problem.get("detail") or ""))
        self.problem = dict(problem)

    @property
    def errors(self) -> list[dict[str, Any]]:
        """All findings; at least the problem itself."""
        return list(self.problem.get("errors") or [self.problem])

    @property
    def pointer(self) -> str | None:
        """JSON pointer to what is wrong."""
        found: str | None = self.problem.get("pointer")
        return found

    @property
    def column(self) -> int | None:
        """Where in the sentence, from 1."""
        found: int | None = self.problem.get("column")
        return found

    @property
    def allowed(self) -> tuple[str, ...]:
        """What is allowed."""
        return tuple(self.problem.get("allowed") or ())

    def __str__(self) -> str:
        lines = []
        for one in self.errors:
            title = str(one.get("title") or self.title)
            where = str(one.get("pointer") or one.get("path") or "")
            column = f" column {one['column']}" if one.get("column") else ""
            if one.get("path") and one.get("line"):
                where, column = f"{one['path']}:{one['line']}", f":{one.get('column') or 1}"
            lines.append(f"{where}{column}: {title}" if where or column else title)
        return "\n".join([*lines, *([self.detail] if self.detail else [])])


class Place(NamedTuple):
    """Where the API is served: a host and port, or the path of a UNIX socket."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def netloc(self) -> str:
        """Host and port as a URL writes them."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def usual_url() -> str:
    """RASCAL_URL, else the address at which a service on this machine listens."""
    return os.environ.get("RASCAL_URL") or DEFAULT_URL


def place(url: str) -> Place:
    """Where a URL leads. Raises ConfigError."""
    hint = "write http://127.0.0.1:8474, https://HOST:PORT or unix:/PATH"
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        if not path.startswith("/"):
            raise ConfigError(f"'{url}' is no URL of a service; {hint}", option="url", value=url)
        return Place("unix", "localhost", 0, path)
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        port = parts.port
    except ValueError:
        raise ConfigError(f"'{url}' has no usable port; {hint}", option="url", value=url) from None
    scheme = parts.scheme or "http"
    beyond = parts.path not in ("", "/") or parts.query or parts.fragment or parts.username
    if scheme not in ("http", "https") or not parts.hostname or beyond:
        raise ConfigError(f"'{url}' is no URL of a service; {hint}", option="url", value=url)
    return Place(scheme, parts.hostname, port or (443 if scheme == "https" else PORT))


def usual_token() -> str | None:
    """RASCAL_TOKEN, else what the file says that RASCAL_TOKEN_FILE names. Raises ConfigError."""
    token = os.environ.get("RASCAL_TOKEN", "").strip()
    if token:
        return checked(token, "RASCAL_TOKEN")
    file = os.environ.get("RASCAL_TOKEN_FILE")
    if not file:
        return None
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(TOKEN_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "no file").lower()
        raise ConfigError(f"the token file '{file}' cannot be read: {reason}") from error
    return checked(content.decode("latin-1").strip(), f"the token file '{file}'")


def checked(token: str, where: str) -> str:
    """A token that can stand in a header. Raises ConfigError, which does not show it."""
    if not token or len(token) > TOKEN_BYTES or not token.isascii() or not token.isprintable():
        raise ConfigError(f"{where} holds no token: one line of printable ASCII", option="token")
    return token


def headers(token: str | None, content: bool, more: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of a request."""
    found = {"Accept": "application/json", **(more or {})}
    if content:
        found["Content-Type"] = "application/json"
    if token:
        found["Authorization"] = f"Bearer {token}"
    return found


def encoded(data: Any) -> bytes:
    """A request's body. Raises ConfigError for what JSON cannot say."""
    try:
        return json.dumps(data, allow_nan=False, default=_special).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"this cannot be sent: {error}") from error


def _special(value: Any) -> Any:
    from datetime import timedelta

    if isinstance(value, timedelta):
        return duration(value.total_seconds())
    raise TypeError(f"{type(value).__name__} is no JSON; a duration is a text or a timedelta")


def duration(seconds: float) -> str:
    """A duration in the language's words."""
    return f"{round(seconds * 1_000_000)}us"


def refused(status: int, content: bytes, url: str) -> Refused | Unreachable:
    """What an answer of that status raises."""
    try:
        problem = json.loads(content)
    except ValueError:
        problem = None
    if isinstance(problem, dict) and "title" in problem:
        return Refused(status, problem)
    return Unreachable(f"{url} does not answer like the control API (status {status})")
