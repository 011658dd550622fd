"""Nodes, their proxies and faults for pages and programs; the lever.

    GET   /api/v1/nodes                              how they are, with all they have
    *     /api/v1/nodes/{node}/proxies/…             the node's own API, passed through
    GET   /api/v1/nodes/{node}/kinds|protocols|recipes|…
    POST  /api/v1/demo                               a shop to try it on, and an experiment
    GET, PUT  /api/v1/panic                          the lever of all nodes, and of runs
    GET   /api/v1/events?look=NODE/PROXY             the overview's events; exchanges of that proxy

What is changed here by hand becomes an event of the runs that go on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from rascal.control._problems import Problem
from rascal.control.client import Refused, Unreachable
from rascal.panel.demonstrating import Demo
from rascal.panel.nodes import Nodes
from rascal.panel.site import Call, Panel

LOOKED_AT = ("proxies", "faults", "kinds", "protocols", "recipes", "counters", "leases", "seed")
"""What of a node's API everybody may look at."""
HELD = 503
COLLECTIONS = ("faults", "scripts", "recipes")


def routes(panel: Panel) -> None:
    """Add the addresses, and the nodes themselves."""
    panel.nodes = nodes = Nodes(panel)
    panel.snapshots["nodes"] = lambda caller: nodes.json()
    panel.snapshots["lever"] = lambda caller: nodes.levers()
    panel.closing.append(nodes.close)
    begin = getattr(panel.reactor, "callWhenRunning", None)
    if begin is not None:
        begin(nodes.begin)
    panel.api("GET", "/api/v1/nodes", _list)
    panel.api("GET", "/api/v1/nodes/<node>", _get)
    panel.api("GET", "/api/v1/nodes/<node>/<path:rest>", _look)
    panel.asks("/api/v1/nodes/<node>/check/<path:rest>", _check, "operator")
    panel.api("POST", "/api/v1/nodes/<node>/proxies", _proxy_added, "admin")
    one = "/api/v1/nodes/<node>/proxies/<proxy>"
    panel.api("PATCH", one, _proxy_changed, "admin")
    panel.api("DELETE", one, _proxy_changed, "admin")
    for method in ("POST", "PATCH", "DELETE"):
        panel.api(method, f"{one}/<path:rest>", _changed, "operator")
    panel.api("DELETE", "/api/v1/nodes/<node>/counters", _counters, "operator")
    demo = Demo(panel)
    panel.closing.append(demo.close)
    panel.api("POST", "/api/v1/demo", lambda call: demo.begin(call.caller.name), "admin")
    panel.api("GET", "/api/v1/demo", lambda call: demo.state())
    panel.api("GET", "/api/v1/panic", _lever)
    panel.api("PUT", "/api/v1/panic", _panic, "operator")


# ---- looking


def _list(call: Call) -> Any:
    return call.panel.nodes.json()


def _get(call: Call, node: str) -> Any:
    return call.panel.nodes.node(node).json()


async def _look(call: Call, node: str, rest: str) -> Any:
    if rest.partition("/")[0] not in LOOKED_AT:
        raise Problem(404, "unknown-address", f"there is nothing at {rest[:100]} of a node")
    return await _ask(call, node, "GET", rest, call.query)


# ---- changing


async def _check(call: Call, node: str, rest: str) -> Any:
    """What would come of a fault that is added, or of a change of one; {"problem": …} is an answer
    too: while one types it is nothing to complain of."""
    parts = rest.split("/")
    if len(parts) not in (3, 4) or parts[0] != "proxies" or parts[2] not in COLLECTIONS:
        raise Problem(404, "unknown-address", f"nothing can be checked at {rest[:100]}")
    try:
        return await _ask(call, node, "POST", f"check/{rest}", {}, call.body())
    except Problem as problem:
        if problem.status not in (400, 409, 422):
            raise
        return {"problem": problem.json()}


async def _proxy_added(call: Call, node: str) -> Any:
    return await _ask(call, node, "POST", "proxies", {}, call.body())


async def _proxy_changed(call: Call, node: str, proxy: str) -> Any:
    method = call.request.method.decode("latin-1")
    body = call.body() if method == "PATCH" else None
    return await _ask(call, node, method, f"proxies/{proxy}", {}, body)


async def _counters(call: Call, node: str) -> Any:
    return await _ask(call, node, "DELETE", "counters")


async def _changed(call: Call, node: str, proxy: str, rest: str) -> Any:
    method = call.request.method.decode("latin-1")
    body = None if method == "DELETE" else call.body()
    query = call.query if rest.startswith("connections/") else {}
    before = dict(_fault(call, node, proxy, rest))
    found = await _ask(call, node, method, f"proxies/{proxy}/{rest}", query, body)
    if rest.partition("/")[0] in COLLECTIONS and isinstance(found, Mapping):
        # Known here before the node's event comes: who asks next sees what he has done.
        change = "removed" if method == "DELETE" else "changed"
        told = {"proxy": proxy, "name": found.get("name"), "change": change, "at": time.time()}
        call.panel.nodes.node(node).proxies.hear("faults", {**told, "state": found})
        _noted(call, node, proxy, method, before, found)
    return found


def _fault(call: Call, node: str, proxy: str, rest: str) -> Mapping[str, Any]:
    """What the path names, as it was before."""
    name = rest.partition("/")[2].partition("/")[0]
    faults: Mapping[str, Any] = call.panel.nodes.node(node).faults.get(proxy, {})
    return dict(faults.get(name) or {})


def _noted(
    call: Call,
    node: str,
    proxy: str,
    method: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
) -> None:
    """Tell the runs that go on, if it strikes now or did before."""
    removed = method == "DELETE"
    on = bool(now.get("enabled")) and not removed
    was = bool(before.get("enabled"))
    if call.panel.runs is None or not (on or was or removed):
        return
    name, text = str(now.get("name")), str(now.get("text") or "")
    if removed:
        what = "taken away"
    elif on == was:
        what = f"changed: {text}"
    else:
        what = f"on: {text}" if on else "off"
    data = {"node": node, "proxy": proxy, "name": name, "on": on, "by": call.caller.name}
    more = {"removed": True} if removed else {}
    call.panel.runs.noted(
        f"{proxy}/{name} is {what}, by {call.caller.name}", {**data, **more, "text": text}
    )


async def _ask(
    call: Call, node: str, method: str, path: str, query: Mapping[str, str] | None = None,
    body: Any = None,
) -> Any:  # fmt: skip
    """A request to the node. Raises Problem: what the node says, or that it is away."""
    found = call.panel.nodes.node(node)
    parts = path.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):  # who builds URLs may shorten them
        raise Problem(404, "unknown-address", f"there is nothing at {path[:100]} of a node")
    where = "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
    if query:
        where += "?" + urlencode(query)
    if body is None and method in ("POST", "PATCH"):
        body = {}
    try:
        return await found.client.call(method, where, body)
    except Refused as error:
        if error.status in (401, 403):
            title = f"node {node} does not let the panel do that: {error.title}"
            raise Problem(502, "node-refuses", title, error.detail) from error
        more = {
            k: v for k, v in error.problem.items() if k not in ("type", "title", "status", "detail")
        }
        raise Problem(error.status, error.code, error.title, error.detail, **more) from error
    except Unreachable as error:
        raise Problem(503, "node-away", f"node {node} does not answer", str(error)) from error


# ---- the lever


def _lever(call: Call) -> Any:
    return call.panel.nodes.levers()


async def _panic(call: Call) -> Any:
    """{"on": true}: no fault, no load, until it is released; {"on": false} releases it."""
    body = call.body()
    if not isinstance(body, dict) or not isinstance(body.get("on"), bool):
        raise Problem(422, "not-allowed", 'pull or release: {"on": true}', pointer="/on")
    on, by = body["on"], call.caller.name
    panel = call.panel
    waiting = panel.nodes.panic_soon(on, by)
    stopped: list[str] = []
    if panel.runs is not None:
        if on:
            stopped = await panel.runs.stop_all(by)
        else:
            panel.runs.release(by)
    nodes = await waiting
    panel.nodes.tell_lever()
    return {**panel.nodes.levers(), "trouble": {k: why for k, why in nodes.items() if why},
            "stopped": stopped}  # fmt: skip
