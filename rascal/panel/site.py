"""The panel's web site: pages, API, streams and files, behind one door.

    request ─► Door (Host, Origin, session, form token) ─► Klein ─► handler(call) ─► page or JSON

A page handler gives (template, values); an API handler gives what becomes JSON; both may be
coroutines. What they raise on purpose becomes an error page or a problem object (RFC 9457).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

import attrs
from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from werkzeug.exceptions import HTTPException

from rascal.control._auth import Role
from rascal.control._json import dumps
from rascal.control._problems import CONTENT_TYPE, Problem, from_error
from rascal.control._server import ControlSite
from rascal.control._site import address_of, our_mistake
from rascal.errors import RascalError
from rascal.panel import assets
from rascal.panel.compressed import compressed
from rascal.panel.door import HEADERS, LOOKING, Caller, Door
from rascal.panel.hub import Hub
from rascal.panel.settings import Settings

log = Logger()
audit = Logger("rascal.panel.audit")

BODY = 1 << 20
AUDITED = 500
"""Changes that are kept to be shown."""
SECTIONS = (
    ("", "Overview"),
    ("proxies", "Proxies"),
    ("scenarios", "Scenarios"),
    ("experiments", "Experiments"),
    ("runs", "Runs"),
    ("agents", "Agents"),
    ("settings", "Settings"),
)
MODULES = ("nodes_api", "runs_api", "login", "overview", "proxies", "scenarios", "experiments",
           "runs", "downloads", "live", "compare", "agents", "settings", "jobs",
           "connect")  # fmt: skip
"""Modules of rascal.panel.pages; each has routes(panel)."""


@attrs.define
class Call:
    """A request on its way through a handler."""

    panel: Panel
    request: Any
    caller: Caller

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters after '?'; of several of a name the last."""
        text = self.request.uri.partition(b"?")[2].decode("utf-8", "replace")
        try:
            found = parse_qs(text, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            raise Problem(400, "query", "an address has at most 100 parameters") from None
        return {name: values[-1] for name, values in found.items()}

    def body(self) -> Any:
        """The JSON of a change. Raises Problem."""
        if (self.request.getHeader(b"content-type") or b"").partition(b";")[
            0
        ] != b"application/json":
            raise Problem(415, "content-type", "a change is sent as application/json")
        if getattr(self.request, "oversize", False):
            raise self.request.too_large()
        self.request.content.seek(0)
        data = self.request.content.read(BODY + 1)
        if len(data) > BODY:
            raise Problem(413, "too-large", "a request's body has at most 1 MiB here")
        try:
            return json.loads(data or b"{}")
        except (ValueError, RecursionError):
            raise Problem(400, "json", "this is not JSON") from None


@attrs.frozen
class Raw:
    """An answer that is neither page nor JSON: a report, a download."""

    data: bytes
    type: str
    headers: Mapping[str, str] = attrs.Factory(dict)
    status: int = 200
    short: bytes | None = None
    """The same as gzip, where that is known."""


@attrs.frozen
class Redirect:
    """Look elsewhere (303)."""

    to: str
    headers: Mapping[str, str] = attrs.Factory(dict)


class Panel:
    """Everything that the panel's pages share.

    Attributes:
        settings: the operator's.
        reactor: the reactor.
        door: who gets in.
        hub: the events of the overview.
        nodes, runs, scenarios, experiments: set by the modules that own them (rascal.panel.nodes,
            rascal.panel.running, rascal.panel.scenario_files, rascal.panel.experiment_files).
        jobs, observers, targets: likewise (rascal.panel.jobs, .observers, .owned).
    """

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self.settings = settings
        self.reactor = reactor
        self.door = Door(settings, reactor.seconds)
        self.hub = Hub(reactor, self.snapshot)
        self.snapshots: dict[str, Callable[[Caller], Any]] = {}
        """Parts of the overview's snapshot, by name."""
        self.audited: list[dict[str, Any]] = []
        self.closing: list[Callable[[], Any]] = []
        """Called when the service stops; may give Deferreds."""
        self.nodes: Any = None
        self.runs: Any = None
        self.scenarios: Any = None
        self.experiments: Any = None
        self.jobs: Any = None
        self.observers: Any = None
        self.targets: Any = None
        self.reports: Any = None
        """Makes files of runs (rascal.panel.reports)."""
        self.app = Klein()
        self.app.url_map.strict_slashes = False
        self.app.handle_errors(HTTPException)(self._not_routed)
        self.templates = assets.environment(SECTIONS)
        self.get("/static/<path:path>", self._static, open_=True)
        self.api("GET", "/api/v1/events", self._events)
        for name in MODULES:
            import_module(f"rascal.panel.pages.{name}").routes(self)

    # ---- routes

    def page(self, rule: str, handler: Callable[..., Any], role: Role = "viewer") -> None:
        """A page: handler(call, **names) gives (template, values), a Redirect or a Raw."""
        self._route("GET", rule, handler, role, page=True)

    def api(
        self, method: str, rule: str, handler: Callable[..., Any], role: Role = "viewer"
    ) -> None:
        """JSON: handler(call, **names) gives what is sent; None is 204. Changes are audited."""
        self._route(method, rule, handler, role, page=False)

    def asks(self, rule: str, handler: Callable[..., Any], role: Role = "viewer") -> None:
        """A question that is too long for an address: POST, changes nothing, is not audited."""
        self._route("POST", rule, handler, role, page=False, noted=False)

    def get(self, rule: str, handler: Callable[..., Any], *, open_: bool = False) -> None:
        """Something else that is looked at; `open_` needs no log-in."""
        self._route("GET", rule, handler, "viewer", page=True, open_=open_)

    def post_form(self, rule: str, handler: Callable[..., Any]) -> None:
        """A form that is sent without a session (the log-in)."""
        self._route("POST", rule, handler, "viewer", page=True, open_=True)

    def _route(
        self,
        method: str,
        rule: str,
        handler: Callable[..., Any],
        role: Role,
        *,
        page: bool,
        open_: bool = False,
        noted: bool = True,
    ) -> None:
        def answer(request: Any, **names: str) -> Any:
            return Deferred.fromCoroutine(
                self._answer(
                    request, handler, names, role=role, page=page, open_=open_, noted=noted
                )
            )

        self.app.route(rule, methods=[method], endpoint=f"{method} {rule}")(answer)

    async def _answer(
        self, request: Any, handler: Callable[..., Any], names: Mapping[str, str], *,
        role: Role, page: bool, open_: bool, noted: bool,
    ) -> Any:  # fmt: skip
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        request.setHeader(b"server", b"rascal")
        request.setHeader(b"cache-control", b"no-store")
        caller = None
        try:
            caller = self._caller(request, open_)
            if caller is None:
                if page:
                    return self._send(request, Redirect("/login"))
                raise Problem(401, "log-in", "log in first", headers={"WWW-Authenticate": "Bearer"})
            if not caller.may(role):
                raise Problem(403, "role", f"this needs the role {role}; yours is {caller.role}")
            call = Call(self, request, caller)
            found = handler(call, **names)
            if hasattr(found, "__await__"):
                found = await found
            if request.method not in LOOKING and not open_ and noted:
                self.note(call)
            return self._send(request, found, caller)
        except RascalError as error:
            return self._problem(request, from_error(error), page, caller)
        except CancelledError:
            return b""  # whoever asked has gone
        except Exception:
            return self._problem(request, our_mistake(request), page, caller)

    def _caller(self, request: Any, open_: bool) -> Caller | None:
        if not open_ or request.method in LOOKING:
            found = self.door.caller(request)
            if found is not None or not open_:
                return found
        else:
            # A form without a session: Host and Origin are checked all the same.
            method, request.method = request.method, b"GET"
            try:
                self.door.caller(request)
            finally:
                request.method = method
        return Caller("viewer", "", "")

    # ---- answers

    def _send(self, request: Any, found: Any, caller: Caller | None = None) -> Any:
        if found is STREAMING:
            return Deferred()  # the hub writes, and ends it
        if isinstance(found, Redirect):
            request.setResponseCode(303)
            request.setHeader(b"location", found.to.encode())
            for name, value in found.headers.items():
                request.setHeader(name.encode(), value.encode())
            return b""
        if isinstance(found, Raw):
            request.setResponseCode(found.status)
            request.setHeader(b"content-type", found.type.encode())
            for name, value in found.headers.items():
                request.setHeader(name.encode(), value.encode())
            return compressed(request, found.data, found.short)
        if isinstance(found, tuple):
            template, values = found
            return self._page(request, template, values, caller)
        if found is None:
            request.setResponseCode(204)
            return b""
        request.setHeader(b"content-type", b"application/json")
        return compressed(request, dumps(found))

    def _page(self, request: Any, template: str, values: Mapping[str, Any], caller: Any) -> bytes:
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        here = request.path.decode("utf-8", "replace").strip("/").partition("/")[0]
        known = {"here": here, "caller": caller, "stamp": self.stamp, "title": "Rascal"}
        inside = caller is not None and bool(caller.form or caller.name)
        known["lever"] = self.nodes.levers() if inside and self.nodes else None
        known["who_may"] = self.door.who_may("operator") if inside else ""
        text = self.templates.get_template(template).render({**known, **values})
        return compressed(request, text.encode("utf-8", "replace"))

    def _problem(self, request: Any, problem: Problem, page: bool, caller: Caller | None) -> bytes:
        for name, value in problem.headers.items():
            request.setHeader(name.encode(), value.encode())
        request.setResponseCode(problem.status)
        if not page:
            request.setHeader(b"content-type", CONTENT_TYPE.encode())
            return dumps(problem.json())
        values = {"problem": problem, "title": problem.title}
        return self._page(request, "error.html", values, caller or Caller("viewer", "", ""))

    def _not_routed(self, request: Any, failure: Any) -> Any:
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        code = getattr(failure.value, "code", 404)
        path = request.path.decode("utf-8", "replace")[:200]
        title = (
            f"there is no page at {path}" if code == 404 else f"{path} cannot be asked like that"
        )
        page = not path.startswith("/api/")
        try:
            caller = self.door.caller(request)
        except RascalError as error:
            return self._problem(request, from_error(error), page, None)
        return self._problem(request, Problem(code, "unknown-address", title), page, caller)

    # ---- what all share

    def note(self, call: Call) -> None:
        """Who has changed what, when, from where."""
        request = call.request
        path = request.path.decode("utf-8", "replace")[:200]
        entry = {
            "at": round(time.time(), 3),
            "who": call.caller.name,
            "from": address_of(request),
            "what": f"{request.method.decode('latin-1')} {path}",
        }
        self.audited.append(entry)
        del self.audited[:-AUDITED]
        audit.info("{who} at {place}: {what}", place=entry["from"], **entry)
        self.hub.publish("audit", entry)

    def snapshot(self, caller: Caller | None) -> dict[str, Any]:
        """What a page of the overview begins with."""
        who = caller or Caller("viewer", "", "")
        return {"csrf": who.form, **{name: make(who) for name, make in self.snapshots.items()}}

    def _events(self, call: Call) -> Any:
        node, _, proxy = call.query.get("look", "").partition("/")
        if proxy and self.nodes is not None:
            self.nodes.look_until(node, proxy, call.request.notifyFinish())
        return self.stream(call, self.hub)

    def stream(self, call: Call, hub: Hub) -> Any:
        """Answer with the events of a hub."""
        request = call.request
        request.setHeader(b"content-type", b"text/event-stream; charset=utf-8")
        request.setHeader(b"x-accel-buffering", b"no")
        after = (request.getHeader(b"last-event-id") or b"").decode("latin-1")
        after = after or call.query.get("after", "")  # of a page that opens its stream anew
        hub.read(request, call.caller, after, lambda: self.door.lasts(call.caller))
        return STREAMING

    @property
    def stamp(self) -> str:
        """Part of the addresses of static files."""
        return assets.stamp()

    def _static(self, call: Call, path: str) -> Raw:
        name, kind, kept = assets.asked(path)
        if not name:
            raise Problem(404, "unknown-address", "there is no such file")
        return Raw(assets.known()[name], kind, {"cache-control": kept}, short=assets.short(name))

    def site(self) -> ControlSite:
        """The factory of its connections."""
        return ControlSite(_Root(self), self.reactor, limit=BODY)

    async def close(self) -> None:
        """The service stops."""
        self.hub.close()
        for close in reversed(self.closing):
            found = close()
            if hasattr(found, "__await__"):
                await found


STREAMING = object()


class _Root(Resource):
    """Hands everything to Klein."""

    isLeaf = True

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self.routes = KleinResource(panel.app)

    def render(self, request: Any) -> Any:
        return self.routes.render(request)
