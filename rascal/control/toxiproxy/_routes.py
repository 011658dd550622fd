"""The addresses of the compatible API, who is let in, and how an answer is sent.

A caller without a token is let in as `compatible` says: from this machine only, from everywhere,
or not at all. With a token its role counts. Pages in a browser are refused whatever they are
allowed elsewhere: by User-Agent as Toxiproxy does it, and by what browsers say of a request's
origin.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.address import UNIXAddress
from twisted.logger import Logger
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from rascal.config.toxics import ToxiproxyError, bad, loads
from rascal.control._auth import Role, check_host, is_here, require
from rascal.control._site import address_of
from rascal.control.toxiproxy import _populate, _proxies, _toxics
from rascal.control.toxiproxy._errors import JSON, TEXT, body_of, browser, dumps, from_error
from rascal.errors import RascalError

log = Logger()

FIRST = frozenset(("version", "proxies", "populate", "reset"))
"""The first parts of its addresses."""

VERSION = "2.12.0"
"""The version of Toxiproxy whose API this is; clients compare it."""

ROUTES: tuple[tuple[str, str, Callable[..., Any], Role], ...] = (
    ("GET", "/proxies", _proxies.list_all, "viewer"),
    ("POST", "/proxies", _proxies.create, "admin"),
    ("GET", "/proxies/<proxy>", _proxies.show, "viewer"),
    ("POST", "/proxies/<proxy>", _proxies.change, "admin"),
    ("PATCH", "/proxies/<proxy>", _proxies.change, "admin"),
    ("DELETE", "/proxies/<proxy>", _proxies.remove, "admin"),
    ("GET", "/proxies/<proxy>/toxics", _toxics.list_all, "viewer"),
    ("POST", "/proxies/<proxy>/toxics", _toxics.create, "operator"),
    ("GET", "/proxies/<proxy>/toxics/<toxic>", _toxics.show, "viewer"),
    ("POST", "/proxies/<proxy>/toxics/<toxic>", _toxics.change, "operator"),
    ("PATCH", "/proxies/<proxy>/toxics/<toxic>", _toxics.change, "operator"),
    ("DELETE", "/proxies/<proxy>/toxics/<toxic>", _toxics.remove, "operator"),
    ("POST", "/populate", _populate.populate, "admin"),
    ("POST", "/reset", _populate.reset, "operator"),
)


class Ask(NamedTuple):
    """One request whose caller was let in.

    Attributes:
        node: what is controlled.
        registry: its vocabulary.
        content: the body.
    """

    node: Any
    registry: Any
    content: bytes

    def json(self) -> Any:
        """The body. Raises ToxiproxyError."""
        return loads(self.content)


class Compatible:
    """The compatible API of one node.

    Attributes:
        pages: first parts of addresses at which a GET for text/html is not ours.
    """

    def __init__(self, api: Any) -> None:
        self.api = api
        self.pages: set[str] = set()
        self.app = Klein()
        self.app.url_map.merge_slashes = False
        self.app.handle_errors(HTTPException)(_not_routed)
        for method, rule, handler, role in ROUTES:
            self._add(method, rule, handler, role)
        self.app.route("/version", methods=["GET"])(self._version)
        self.routes = KleinResource(self.app)

    def serve(self, request: Any, path: str) -> Any:
        """Answer a request to one of our addresses; None to any other."""
        first = path.partition("/")[0]
        if first not in FIRST or self._is_page(request, first):
            return None
        request.defaultContentType = None
        request.setHeader(b"x-toxiproxy-request-id", secrets.token_hex(10).encode("ascii"))
        try:
            self._admit(request)
        except RascalError as error:
            return refuse(request, error)
        if request.method in (b"HEAD", b"OPTIONS"):
            return not_allowed(request)
        return self.routes.render(request)

    def _is_page(self, request: Any, first: str) -> bool:
        accept = request.getHeader(b"accept") or b""
        return first in self.pages and request.method == b"GET" and b"text/html" in accept

    def _add(self, method: str, rule: str, handler: Callable[..., Any], role: Role) -> None:
        def answer(request: Any, **names: str) -> bytes:
            request.rule = rule
            return self._answer(request, handler, role, names)

        self.app.route(rule, methods=[method], endpoint=f"{method} {rule}")(answer)

    # ---- who

    def _admit(self, request: Any) -> None:
        """Let the caller in, or raise."""
        header = request.getHeader
        if (
            (header(b"user-agent") or b"").startswith(b"Mozilla/")
            or header(b"origin") is not None
            or header(b"sec-fetch-site") is not None
        ):
            raise browser()
        configuration = self.api.node.configuration
        request.role, request.who = "admin", "compatible"
        token = header(b"authorization") if configuration.tokens else None
        mode = configuration.compatible
        if token:
            request.role, request.who = self.api.tokens.caller(token, configuration.tokens)
        elif mode == "off" or (mode == "loopback" and not is_here(address_of(request))):
            status = 401 if configuration.tokens else 403
            raise ToxiproxyError(status, f"a token is needed here: [rascal] compatible = {mode}")
        if mode != "open" and not isinstance(request.getHost(), UNIXAddress):
            host = header(b"host")
            check_host(None if host is None else host.decode("latin-1"), configuration)

    # ---- answers

    def _answer(
        self, request: Any, handler: Callable[..., Any], role: Role, names: dict[str, str]
    ) -> bytes:
        try:
            require(request.role, role)
            if request.oversize:
                raise ToxiproxyError(413, bad(request.too_large().title).text)
            if request.method != b"GET":
                self.api.buckets.take(address_of(request))
            content = request.content
            content.seek(0)
            ask = Ask(self.api.node, self.api.registry, content.read())
            status, data = handler(ask, **names)
        except RascalError as error:
            return refuse(request, error)
        except Exception:
            log.failure("compatible API: {path} failed", path=request.path[:200])
            return refuse(request, ToxiproxyError(500, "a mistake of Rascal's: see its log"))
        request.setResponseCode(status)
        if request.method != b"GET":
            self.api.audit(request)
        if data is None:
            return b""
        return send(request, JSON, dumps(data))

    def _version(self, request: Any) -> bytes:
        body = b'{"version": "%s"}\n' % VERSION.encode("ascii")
        return send(request, "application/json;charset=utf-8", body)


def send(request: Any, kind: str, body: bytes) -> bytes:
    """A body with what is to be said of it."""
    request.setHeader(b"content-type", kind.encode("ascii"))
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def refuse(request: Any, error: RascalError) -> bytes:
    """An error's answer; HEAD gets no body."""
    found = from_error(error)
    request.setResponseCode(found.status)
    request.setHeader(b"x-content-type-options", b"nosniff")
    for name, value in getattr(error, "headers", {}).items():
        request.setHeader(name, value)
    if request.path == b"/populate" and found.status != 403:
        proxies = getattr(error, "proxies", None)
        body = send(request, JSON, body_of(found, proxies=proxies))
    else:
        body = send(request, TEXT, body_of(found))
    return b"" if request.method == b"HEAD" else body


def not_allowed(request: Any) -> bytes:
    """405, and nothing else."""
    request.setResponseCode(405)
    request.setHeader(b"content-length", b"0")
    return b""


def _not_routed(request: Any, failure: Any) -> bytes:
    if isinstance(failure.value, MethodNotAllowed):
        return not_allowed(request)
    request.setResponseCode(404)
    request.setHeader(b"x-content-type-options", b"nosniff")
    return send(request, TEXT, b"404 page not found\n")
