"""The OpenAPI 3.1 document of the API, made of the routes' declarations and the option tables.

GET  /api/v1/openapi.json      (and /openapi.json)

docs/control.md is written from the same document, and the tests hold the API to it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from rascal.config.registry import Registry
from rascal.control import _schemas as schemas
from rascal.control._call import JSON, MERGE_PATCH, Call
from rascal.control._problems import CONTENT_TYPE
from rascal.control._site import Api, Route

VERSION = "1"
_PART = re.compile(r"<(\w+)>")

WHAT = {
    "proxy": "the proxy's name",
    "name": "the name (of a connection its number)",
}


def routes(api: Api) -> None:
    """Add the addresses of this module."""

    def get(call: Call) -> dict[str, Any]:
        """This document."""
        return document(api.routes, api.registry, bool(api.node.configuration.tokens))

    for rule in ("/openapi.json", "/api/v1/openapi.json"):
        api.add("GET", rule, get, gives=schemas.ANYTHING)


def document(routes_: Iterable[Route], registry: Registry, tokens: bool = False) -> dict[str, Any]:
    """The whole document; `tokens`: whether callers need one."""
    paths: dict[str, Any] = {}
    for route in routes_:
        if route.listed:
            path = paths.setdefault(_PART.sub(r"{\1}", route.rule), {})
            path[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rascal's control API",
            "version": VERSION,
            "description": inspect.cleandoc(ABOUT),
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}] if tokens else [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components(registry),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": {
                    "description": "refused: what is wrong and what is allowed",
                    "content": {CONTENT_TYPE: {"schema": schemas.ref("Problem")}},
                },
            },
        },
    }


def described() -> dict[str, Any]:
    """The document of this installation, without a service: for the reference pages."""
    from twisted.internet.task import Clock

    from rascal.config import Configuration
    from rascal.control._site import make_api
    from rascal.proxy.node import Node

    node = Node(Configuration(control=None, seed=0), Clock())
    api = make_api(node)
    node.hangups.close()
    return document(api.routes, api.registry, tokens=True)


ABOUT = """
    What a node's fault proxies do is seen and changed here. Requests and answers are JSON; a
    quantity is a text with its unit ("2s", "64KB", "20%"), what was measured is a plain number in
    seconds and bytes. What is wrong with a request is told in a problem object (RFC 9457), all
    findings at once, each with a JSON pointer and the allowed values.

    A change is answered with the new state of what was changed. `ETag` is "VERSION.HASH": send it
    back as `If-Match` and the change is made only if nobody has changed the same thing since (412);
    counting is no change. With `[rascal] conditional = required` this must be said (428). A `GET`
    with `If-None-Match` is answered by 304 if nothing at all is different.

    Roles: a viewer reads; an operator also changes faults, scripts, recipes, leases and panic; an
    admin also proxies, the seed, and reloads. Without tokens in the configuration everybody on
    this machine is admin.

    Bounds: 64 KiB for a request's body (256 KiB for /api/v1/state), 32 levels of nesting, 2000
    changes a second from one address (4000 at once), 15 s for a request to arrive, 60 s of silence
    on a connection, 512 connections (who is silent longest gives way).
"""


def _operation(route: Route) -> dict[str, Any]:
    handler = getattr(route.handler, "func", route.handler)  # behind a partial
    text = inspect.cleandoc(handler.__doc__ or "")
    summary, _, rest = text.partition("\n")
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": WHAT.get(name, name),
            "schema": schemas.TEXT,
        }
        for name in _PART.findall(route.rule)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in route.query.items()
    ]
    if route.conditional:
        parameters.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": False,
                "description": "the ETag of what is to be changed",
                "schema": {"type": "string", "pattern": r'^(\*|"[!#-~]*")$'},
            }
        )
    found: dict[str, Any] = {
        "operationId": _id(route),
        "summary": summary,
        "parameters": parameters,
        "responses": _responses(route),
        "x-role": route.role,
    }
    if rest.strip():
        found["description"] = rest.strip()
    if route.takes is not None:
        kinds = (JSON, MERGE_PATCH) if route.method == "PATCH" else (JSON,)
        found["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": route.takes} for kind in kinds},
        }
    if route.open:
        found["security"] = []
    return found


def _responses(route: Route) -> dict[str, Any]:
    headers = {}
    if route.tagged or (route.conditional and route.method != "DELETE"):
        headers["ETag"] = {"required": True, "schema": schemas.TEXT}
    if route.status == 201:
        headers["Location"] = {"required": True, "schema": schemas.TEXT}
    content = {"schema": route.gives} if route.gives is not None else {"schema": schemas.ANYTHING}
    found: dict[str, Any] = {
        str(route.status): {
            "description": "done" if route.method != "GET" else "as asked for",
            "content": {route.kind: content},
        }
    }
    if headers:
        found[str(route.status)]["headers"] = headers
    if route.method == "GET" and route.kind != "text/event-stream":
        found["304"] = {"description": "nothing is different (If-None-Match)"}
    codes = ["400", "401", "403", "404", "405", "408", "413", "429", "431"]
    if route.method != "GET":
        codes += ["409", "415"]
    if route.takes is not None or route.query or route.method != "GET":
        codes += ["422"]
    if route.conditional:
        codes += ["412", "428"]
    codes += ["500", "503"]
    if route.method == "GET":
        codes.append("422")
    return found | {code: {"$ref": "#/components/responses/Problem"} for code in sorted({*codes})}


def _id(route: Route) -> str:
    words = [word for word in re.split(r"\W+", route.rule.removeprefix("/api/v1")) if word]
    return "_".join([route.method.lower(), *words]) or route.method.lower()
