"""A small client for the control API: synchronous, standard library only.

    client = Client("http://127.0.0.1:8474")
    client.add("db", "delay 2s match statement=SELECT", count=3)
    client.fault("db", "delay")["fired"]
    client.remove("db", "delay")

`unix:/run/rascal.sock` is a URL too. What the API refuses is raised as Refused, with the problem
object that it sent; a service that cannot be reached as Unreachable. One connection is kept and
used again; a Client belongs to one thread at a time.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from rascal.errors import ControlError, RascalError

T = TypeVar("T")
Data = dict[str, Any]
Collection = Literal["faults", "scripts", "recipes"]

DEFAULT_URL = "http://127.0.0.1:8474"


class Unreachable(RascalError):
    """Nobody answers at the URL, or what answers is not the control API."""


class Refused(ControlError):
    """The API has refused a request.

    Attributes:
        problem: the problem object.
        errors: all findings of the request.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        title = str(problem.get("title") or f"status {status}")
        code = str(problem.get("type") or "").rpartition("/")[2]
        super().__init__(status, code, title, str(problem.get("detail") or ""))
        self.problem = dict(problem)

    @property
    def errors(self) -> list[Data]:
        """All findings; at least the problem itself."""
        return list(self.problem.get("errors") or [self.problem])

    def __str__(self) -> str:
        lines = []
        for one in self.errors:
            where = one.get("pointer") or one.get("path") or ""
            column = f" column {one['column']}" if one.get("column") else ""
            lines.append(f"{where}{column}: {one['title']}" if where or column else one["title"])
        return "\n".join([*lines, *([self.detail] if self.detail else [])])


class Client:
    """Calls the API of one node.

    Args:
        url: http://HOST:PORT or unix:/PATH.
        token: sent as a bearer token.
        timeout: seconds for each call.
    """

    def __init__(
        self, url: str = DEFAULT_URL, token: str | None = None, *, timeout: float = 10.0
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    # ---- proxies and faults

    def proxies(self) -> dict[str, Data]:
        """All proxies, by name."""
        return self._object("GET", "/api/v1/proxies")

    def proxy(self, name: str) -> Data:
        """One proxy."""
        return self._object("GET", _path(name))

    def enable_proxy(self, name: str, on: bool = True) -> Data:
        """Let it listen, or stop it and end its connections."""
        return self._object("PATCH", _path(name), {"enabled": on})

    def faults(self, proxy: str, collection: Collection = "faults") -> dict[str, Data]:
        """The faults (scripts, recipes) of a proxy, by name, in the order they are asked in."""
        return self._object("GET", _path(proxy, collection))

    def fault(self, proxy: str, name: str, collection: Collection = "faults") -> Data:
        """One of them, with its counters."""
        return self._object("GET", _path(proxy, collection, name))

    def add(
        self,
        proxy: str,
        what: str | Mapping[str, Any],
        *,
        collection: Collection = "faults",
        **clauses: Any,
    ) -> Data:
        """Install a fault: a sentence with clauses beside it (`for_` is `for`), or a structure."""
        given: Any = dict(what) if isinstance(what, Mapping) else {"text": what}
        given |= {name.rstrip("_"): value for name, value in clauses.items()}
        return self._object("POST", _path(proxy, collection), given)

    def script(self, proxy: str, steps: Any, match: Any = None, name: str | None = None) -> Data:
        """Install a script: `pass 2, error(deadlock), pass`."""
        given = {"steps": steps, "match": match, "name": name}
        given = {key: value for key, value in given.items() if value is not None}
        return self._object("POST", _path(proxy, "scripts"), given)

    def change(
        self, proxy: str, name: str, changes: Any, *, collection: Collection = "faults"
    ) -> Data:
        """Change a fault: a merge patch or a new sentence."""
        return self._object("PATCH", _path(proxy, collection, name), changes)

    def enable(self, proxy: str, name: str, *, collection: Collection = "faults") -> Data:
        """Arm it."""
        return self.change(proxy, name, {"enabled": True}, collection=collection)

    def disable(self, proxy: str, name: str, *, collection: Collection = "faults") -> Data:
        """Disarm it; what it holds is let go."""
        return self.change(proxy, name, {"enabled": False}, collection=collection)

    def restart(self, proxy: str, name: str, *, collection: Collection = "faults") -> Data:
        """Match numbers, used count and steps from the beginning, armed."""
        return self._object("POST", _path(proxy, collection, name, "restart"), {})

    def remove(self, proxy: str, name: str, *, collection: Collection = "faults") -> Data:
        """Take it away; its last state, with the counters that prove what it did."""
        return self._object("DELETE", _path(proxy, collection, name))

    # ---- traffic

    def counters(self) -> dict[str, Data]:
        """What each proxy and each of its faults has counted."""
        return self._object("GET", "/api/v1/counters")

    def reset_counters(self) -> dict[str, Data]:
        """All counters to zero; what they were."""
        return self._object("DELETE", "/api/v1/counters")

    def exchanges(self, proxy: str, **filters: Any) -> list[Data]:
        """The latest exchanges, newest first; filters: limit, after, fault, outcome, command."""
        query = f"?{urlencode(filters)}" if filters else ""
        found: list[Data] = self._object("GET", _path(proxy, "exchanges") + query)["exchanges"]
        return found

    def connections(self, proxy: str) -> dict[str, Data]:
        """The connections that live, by number."""
        return self._object("GET", _path(proxy, "connections"))

    def end_connection(
        self, proxy: str, number: int | str, how: Literal["reset", "close"] = "reset"
    ) -> Data:
        """End one connection."""
        return self._object("DELETE", _path(proxy, "connections", str(number)) + f"?how={how}")

    # ---- the node

    def panic(self, on: bool | None = None, by: str = "") -> Data:
        """The lever: pull it (True), release it (False), or look (None)."""
        if on is None:
            return self._object("GET", "/api/v1/panic")
        return self._object("PUT", "/api/v1/panic", {"on": on} | ({"by": by} if by else {}))

    def seed(self) -> int:
        """The seed of all draws."""
        return int(self._object("GET", "/api/v1/seed")["seed"])

    def reload(self) -> Data:
        """Read the configuration again; what has changed."""
        return self._object("POST", "/api/v1/reload", {})

    def kinds(self, protocol: str | None = None) -> dict[str, Data]:
        """The kinds of faults, of one protocol if it is named."""
        query = f"?{urlencode({'protocol': protocol})}" if protocol else ""
        return self._object("GET", f"/api/v1/kinds{query}")

    def protocols(self) -> dict[str, Data]:
        """The protocols."""
        return self._object("GET", "/api/v1/protocols")

    def healthy(self) -> bool:
        """Whether the service answers and all its proxies listen."""
        try:
            self._object("GET", "/readyz")
        except RascalError:
            return False
        return True

    # ---- waiting

    def wait_until(
        self, predicate: Callable[[], T], *, seconds: float = 5.0, every: float = 0.01
    ) -> T:
        """Ask until the predicate's value is true; that value.

        Raises TimeoutError. While it waits, a service that cannot be reached counts as false.
        """
        deadline = time.monotonic() + seconds
        while True:
            found: T | None = None
            error: Exception | None = None
            try:
                found = predicate()
            except Unreachable as failure:
                error = failure
            if found:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s") from error
            time.sleep(every)

    # ---- calls

    def call(self, method: str, path: str, data: Any = None) -> Any:
        """Send a request and return the JSON of its answer. Raises Refused, Unreachable."""
        headers = {"Accept": "application/json"}
        body = None
        if data is not None:
            body = json.dumps(data, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        status, content = self._send(method, path, body, headers)
        try:
            answer = json.loads(content) if content.strip() else None
        except ValueError:
            raise Unreachable(f"{self.url} does not answer like the control API") from None
        if status >= 400:
            raise Refused(status, answer if isinstance(answer, dict) else {})
        return answer

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _object(self, method: str, path: str, data: Any = None) -> Data:
        found = self.call(method, path, data)
        if not isinstance(found, dict):
            raise Unreachable(f"{self.url} does not answer like the control API")
        return found

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        if self._connection is not None and _closed(self._connection.sock):
            self.close()  # while it was idle
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request(method, path, body, dict(headers))
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise Unreachable(f"{self.url}: {_reason(error)}") from error

    def _connect(self) -> http.client.HTTPConnection:
        if self.url.startswith("unix:"):
            return _UnixConnection(self.url.removeprefix("unix:"), self.timeout)
        parts = urlsplit(self.url if "//" in self.url else f"//{self.url}")
        if parts.scheme not in ("", "http", "https") or not parts.hostname:
            raise Unreachable(f"'{self.url}' is no URL: write http://127.0.0.1:8474 or unix:/path")
        try:
            port = parts.port
        except ValueError:
            raise Unreachable(f"'{self.url}' has no usable port") from None
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.hostname, port, timeout=self.timeout)
        return http.client.HTTPConnection(parts.hostname, port or 8474, timeout=self.timeout)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _closed(sock: socket.socket | None) -> bool:
    """Whether the other side has ended an idle connection: nothing else makes it readable."""
    return sock is None or bool(select.select([sock], [], [], 0)[0])


def _path(proxy: str, *parts: str) -> str:
    return "/api/v1/proxies/" + "/".join(quote(part, safe="") for part in (proxy, *parts))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()
