"""The faults part of the panel on a rascal-proxy's own control port: no panel is needed for it.

    GET /                   its proxies
    GET /proxies/{proxy}    one of them
    GET /static/…           the panel's files

The same templates and scripts as in the panel; they talk to the node's own API. With tokens
configured the pages hold nothing until somebody has given one: it stays in the browser's tab and
goes with each request, so no cookie lets anybody else's page do anything.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, unquote

from rascal.control._auth import check_exposed, check_host, check_origin
from rascal.control._problems import Problem, from_error
from rascal.control._ring import Wants
from rascal.control._site import address_of
from rascal.control._snapshot import snapshot
from rascal.errors import RascalError
from rascal.panel import assets
from rascal.panel.compressed import compressed
from rascal.panel.door import HEADERS, Caller

SECTIONS = (("proxies", "Proxies"),)
WANTED = Wants(frozenset(("snapshot",)))
NOBODY = Caller("admin", "", "")
"""What somebody may do is decided by the API, by the token of each request."""


class _State(dict[str, Any]):
    """The node as templates know nodes of a panel."""

    name = ""
    state = "up"

    @property
    def proxies(self) -> Any:
        return self.get("proxies") or {}


class Pages:
    """Answers requests of browsers for one node."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.templates = assets.environment(SECTIONS)
        self.templates.filters["path"] = lambda name: quote(str(name), safe="")
        for name in ("proxies.html", "proxy.html", "error.html"):
            self.templates.get_template(name)
        assets.stamp()

    def answer(self, request: Any, path: str) -> bytes:
        """The body; the request has its status and headers."""
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        request.setHeader(b"server", b"rascal")
        request.setHeader(b"cache-control", b"no-store")
        try:
            self._admit(request)
            if path.startswith("static/"):
                return self._file(request, path.removeprefix("static/"))
            found = self._page(path)
        except RascalError as error:
            problem = from_error(error)
            request.setResponseCode(problem.status)
            found = "error.html", {"problem": problem, "title": problem.title}
        return self._render(request, *found)

    def _admit(self, request: Any) -> None:
        configuration = self.node.configuration
        host = _header(request, b"host")
        check_host(host, configuration)
        check_origin(_header(request, b"origin"), _header(request, b"sec-fetch-site"), host)
        check_exposed(configuration, address_of(request))

    def _page(self, path: str) -> tuple[str, dict[str, Any]]:
        state = self._state()
        first = _script(state)
        if path in ("", "proxies"):
            return "proxies.html", {
                "title": "Proxies", "first": first, "nodes": [state], "connects": False,
            }  # fmt: skip
        proxy = unquote(path.removeprefix("proxies/"))
        if proxy not in self.node.proxies and not self.node.configuration.tokens:
            raise Problem(404, "unknown-name", f"there is no proxy '{proxy[:64]}' here")
        return "proxy.html", {
            "title": proxy, "first": first, "node": state, "proxy": proxy,
            "state": state.proxies.get(proxy),
        }  # fmt: skip

    def _state(self) -> _State:
        """What the page begins with; with tokens nothing."""
        if self.node.configuration.tokens:
            return _State()
        return _State(snapshot(self.node, WANTED, ""))

    def _render(self, request: Any, template: str, values: dict[str, Any]) -> bytes:
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        locked = bool(self.node.configuration.tokens)
        known = {
            "here": "proxies",
            "caller": NOBODY,
            "stamp": assets.stamp(),
            "alone": "locked" if locked else "open",
            "lever": {"on": False, "by": ""} if locked else _lever(self.node),
            "who_may": "",
        }
        text = self.templates.get_template(template).render({**known, **values})
        return compressed(request, text.encode("utf-8", "replace"))

    def _file(self, request: Any, path: str) -> bytes:
        name, kind, kept = assets.asked(path)
        if not name:
            raise Problem(404, "unknown-address", "there is no such file")
        request.setHeader(b"content-type", kind.encode())
        request.setHeader(b"cache-control", kept.encode())
        return compressed(request, assets.known()[name], assets.short(name))


def _lever(node: Any) -> dict[str, Any]:
    return {"on": node.panic.on, "by": node.panic.by}


def _script(value: Any) -> str:
    """JSON that may stand in a script element."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _header(request: Any, name: bytes) -> str | None:
    value = request.getHeader(name)
    return None if value is None else value.decode("latin-1")
