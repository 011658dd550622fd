"""The web site of the control API: what every request passes, whatever it asks for.

    bytes ─► HttpRequest (bounded body) ─► Door (Host, Origin, token) ─► Klein (routes) ─► handler
                                              └──────── problems ◄───────────────────────────┘

Handlers are synchronous and fast; they return a value that becomes JSON, or a Reply. What they
raise on purpose becomes a problem; anything else is our own mistake: 500, logged once with the id
that the caller gets.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import attrs
from klein import Klein
from klein.resource import KleinResource
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from rascal.config.registry import Registry, installed
from rascal.control._auth import Role, Tokens, check_exposed, check_host, check_origin, require
from rascal.control._call import JSON, Call
from rascal.control._json import dumps
from rascal.control._limits import Buckets
from rascal.control._problems import CONTENT_TYPE, Problem, from_error
from rascal.control._server import ControlSite, HttpRequest
from rascal.control._tags import matches, tag
from rascal.errors import RascalError, did_you_mean

log = Logger()
audit = Logger("rascal.control.audit")

SAID = 500
"""Characters of a change's body that are logged."""

MODULES = (
    "_proxies",
    "_faults",
    "_kinds",
    "_node",
    "_state",
    "_leases",
    "_events",
    "_metrics",
    "_openapi",
)
"""Each has routes(api), which adds its addresses."""

LOOKING = (b"GET", b"HEAD")
"""Methods that change nothing and may be answered with 304."""

OPEN = (b"/healthz", b"/readyz")
"""Answered to everybody, under any name: they tell nothing and probes know no names."""


@attrs.frozen
class Reply:
    """An answer that is not simply 200.

    Attributes:
        data: what becomes JSON; a text of another `kind` is sent as it is.
        status: of HTTP.
        headers: further ones.
        kind: the content type.
        version: of what can be changed of it, for the ETag.
    """

    data: Any
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    kind: str = JSON
    version: str | None = None

    def body(self) -> bytes:
        """The bytes."""
        if self.kind == JSON:
            return dumps(self.data)
        return self.data if isinstance(self.data, bytes) else str(self.data).encode("utf-8")


@attrs.frozen
class Stream:
    """An answer without an end of its own: `begin` gets the request and writes from then on.

    The status is 200 and the headers are set already; for HEAD `begin` is not called.
    """

    begin: Callable[[Any], None]
    kind: str
    headers: Mapping[str, str] = attrs.field(factory=dict)


Handler = Callable[..., Any]

Pages = Callable[[Any, str], Any]
"""Answers what browsers ask for pages; None for everything else."""

Served = Callable[[HttpRequest, float], None]
"""Gets a request that was answered (`rule`, `code`) and how many seconds it took."""


@attrs.frozen
class Route:
    """One address and method: how it is answered, and what the OpenAPI document says of it.

    Attributes:
        method, rule, handler, role: as of Api.add.
        takes: the schema of the body; None: there is none.
        gives: the schema of the answer.
        status, kind: of the answer.
        query: schemas of the parameters after '?'.
        conditional: If-Match is heeded.
        tagged: the answer has an ETag.
        open: everybody may call.
        listed: whether the document names it.
        quiet: a question that changes nothing, though it has a body; it is not audited.
    """

    method: str
    rule: str
    handler: Handler
    role: Role = "viewer"
    takes: Mapping[str, Any] | None = None
    gives: Mapping[str, Any] | None = None
    status: int = 200
    kind: str = JSON
    query: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    conditional: bool = False
    tagged: bool = False
    open: bool = False
    listed: bool = True
    quiet: bool = False


class Api:
    """The routes of one node's API, and how they are answered.

    Attributes:
        node: what is controlled.
        registry: protocols, kinds and recipes.
        app: Klein's routing.
        served: who is told of every answer.
    """

    def __init__(self, node: Any, registry: Registry) -> None:
        self.node = node
        self.registry = registry
        self.tokens = Tokens()
        self.buckets = Buckets()
        self.app = Klein()
        self.rules: list[tuple[str, ...]] = []
        self.served: list[Served] = []
        self.routes: list[Route] = []
        self.app.url_map.merge_slashes = False
        self.app.url_map.strict_slashes = False
        self.app.handle_errors(HTTPException)(self._not_routed)

    def add(
        self, method: str, rule: str, handler: Handler, role: Role = "viewer", **more: Any
    ) -> None:
        """Answer `method` on `rule` by handler(call, **names) for callers with that role; what
        more there is to say of it is said in attributes of Route."""
        route = Route(method, rule, handler, role, **more)
        self.routes.append(route)

        def answer(request: Any, **names: str) -> Any:
            request.rule = rule
            return self._answer(request, route, names)

        self.rules.append(tuple(rule.strip("/").split("/")))
        self.app.route(rule, methods=[method], endpoint=f"{method} {rule}")(answer)

    def admit(self, request: HttpRequest) -> None:
        """Let the caller in, or raise Problem."""
        if request.oversize:
            raise request.too_large()
        if request.path in OPEN:
            return
        configuration = self.node.configuration
        host = _header(request, b"host")
        if not isinstance(request.getHost(), UNIXAddress):
            check_host(host, configuration)
        check_origin(_header(request, b"origin"), _header(request, b"sec-fetch-site"), host)
        authorization = request.getHeader(b"authorization")
        request.role, request.who = self.tokens.caller(authorization or b"", configuration.tokens)
        check_exposed(configuration, address_of(request))
        if request.method not in LOOKING:
            self.buckets.take(address_of(request))

    # ---- answers

    def _answer(self, request: Any, route: Route, names: dict[str, str]) -> Any:
        try:
            require(request.role, route.role)
            found = route.handler(Call(self.node, self.registry, request, request.role), **names)
            if isinstance(found, Stream):
                return self._stream(request, found)
            reply = found if isinstance(found, Reply) else Reply(found)
            body = reply.body()
        except RascalError as error:
            return tell(request, from_error(error))
        except Exception:
            return tell(request, our_mistake(request))
        if request.method not in LOOKING and not route.quiet:
            self.audit(request)
        if reply.status == 200 and (reply.version or request.method in LOOKING):
            found = tag(reply.version, body)
            request.setHeader(b"etag", found)
            given = request.requestHeaders.getRawHeaders(b"if-none-match")
            if given and request.method in LOOKING and matches(given, found):
                request.setHeader(b"cache-control", b"no-store")
                request.setResponseCode(304)
                return b""
        return send(request, reply.status, reply.kind, body, reply.headers)

    def audit(self, request: Any) -> None:
        """Who has changed what: one line for each change."""
        request.content.seek(0)
        said = request.content.read(SAID + 1).decode("utf-8", "replace")
        said = " ".join(said.split())
        audit.info(
            "{who} at {address}: {method} {path} {said}",
            who=request.who,
            address=address_of(request),
            method=_shown(request.method),
            path=_shown(request.uri),
            said=said if len(said) <= SAID else f"{said[:SAID]}…",
        )

    def _stream(self, request: Any, stream: Stream) -> Any:
        say(request, 200, stream.kind, stream.headers)
        if request.method == b"HEAD":
            return b""
        stream.begin(request)
        return Deferred[Any]()  # Klein ends the answer of everything else

    def _not_routed(self, request: Any, failure: Failure) -> bytes:
        error = failure.value
        if isinstance(error, MethodNotAllowed):
            allowed = sorted({*(error.valid_methods or ()), "OPTIONS"})
            method = request.method.decode("ascii")
            if method == "OPTIONS":
                say(request, 204, JSON, {"Allow": ", ".join(allowed)})
                return b""
            title = f"{method} is not for this address; allowed: {', '.join(allowed)}"
            headers = {"Allow": ", ".join(allowed)}
            return tell(request, Problem(405, "method", title, headers=headers, allowed=allowed))
        return tell(request, self._no_such_address(request.path.decode("utf-8", "replace")))

    def _no_such_address(self, path: str) -> Problem:
        parts = path.strip("/").split("/")
        rules, allowed = self.rules, list[str]()
        for index, part in enumerate(parts):
            rules = [rule for rule in rules if len(rule) > index]
            allowed = sorted({rule[index] for rule in rules})
            fitting = [rule for rule in rules if rule[index] in (part, "<name>", "<proxy>")]
            if not fitting:
                break
            rules = fitting
        else:
            allowed, part = [], ""
        words = [word for word in allowed if not word.startswith("<")]
        near = did_you_mean(part, words) if part else ""
        title = f"there is nothing at {path[:200]}"
        if words:
            title += f"; here stands one of: {', '.join(words)}"
        return Problem(404, "unknown-address", title + (f".{near}" if near else ""), allowed=words)


class Door(Resource):
    """Lets callers in and hands them to Klein; nothing gets past it unanswered."""

    isLeaf = True

    def __init__(self, api: Api) -> None:
        super().__init__()
        self.api = api
        self.routes = KleinResource(api.app)
        from rascal.control.toxiproxy import Compatible

        self.compatible = Compatible(api)
        self.pages: Pages | None = None

    def render(self, request: Any) -> Any:
        """Answer a request."""
        began = time.perf_counter()
        answer = self._answer(request)
        for served in self.api.served:
            served(request, time.perf_counter() - began)
        return answer

    def _answer(self, request: Any) -> Any:
        request.setHeader(b"server", b"rascal")
        try:
            method = request.method.decode("ascii")
            path = b"/".join(request.postpath).decode("utf-8")
        except UnicodeDecodeError:
            body = tell(request, Problem(400, "address", "the address is not UTF-8"))
            return b"" if request.method == b"HEAD" else body
        answer = self.pages(request, path) if self.pages is not None else None
        if answer is None:
            answer = self.compatible.serve(request, path)
        if answer is not None:
            return answer
        try:
            self.api.admit(request)
            if not method.isalpha() or "\0" in path or not request.path.startswith(b"/"):
                raise Problem(400, "address", "this is no request to a web site")
        except RascalError as error:
            return tell(request, from_error(error))
        except Exception:
            return tell(request, our_mistake(request))
        return self.routes.render(request)


def send(
    request: Any, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None
) -> bytes:
    """Set what is to be said of an answer and return its body."""
    say(request, status, kind, headers)
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def say(request: Any, status: int, kind: str, headers: Mapping[str, str] | None = None) -> None:
    """Set status and headers."""
    request.setResponseCode(status)
    for name, value in (headers or {}).items():
        request.setHeader(name, value)
    request.setHeader(b"content-type", kind.encode("ascii"))
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"x-content-type-options", b"nosniff")


def tell(request: Any, problem: Problem) -> bytes:
    """Answer with a problem."""
    return send(request, problem.status, CONTENT_TYPE, dumps(problem.json()), problem.headers)


def our_mistake(request: Any) -> Problem:
    """500: log the exception under way once, with an id that the caller gets too."""
    id_ = secrets.token_hex(6)
    log.failure(
        "control: {method} {path} failed ({id})",
        method=_shown(request.method),
        path=_shown(request.path),
        id=id_,
    )
    detail = f"the log has it as {id_}; nothing else is known to be wrong"
    return Problem(500, "internal", "this is a mistake of Rascal's", detail, id=id_)


def address_of(request: Any) -> str:
    """Where the caller is; over a UNIX socket everyone is at one place."""
    return str(getattr(request.getClientAddress(), "host", "") or "unix")


def _header(request: HttpRequest, name: bytes) -> str | None:
    value = request.getHeader(name)
    return None if value is None else value.decode("latin-1")


def _shown(text: Any) -> str:
    return bytes(text or b"")[:200].decode("utf-8", "backslashreplace")


def make_api(node: Any, registry: Registry | None = None) -> Api:
    """The API of a node with all its routes."""
    api = Api(node, registry or installed())
    for name in MODULES:
        if find_spec(f"rascal.control.{name}"):
            import_module(f"rascal.control.{name}").routes(api)
    return api


def make_site(
    node: Any,
    registry: Registry | None = None,
    *,
    reactor: Any = None,
    pages: Pages | None = None,
) -> Site:
    """The web site of a node's API; `reactor` times idle connections out, `pages` is asked before
    the API."""
    door = Door(make_api(node, registry))
    door.pages = pages
    return ControlSite(door, reactor)
