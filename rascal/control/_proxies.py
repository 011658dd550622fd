"""Proxies, what passes them, and who is connected.

GET, POST             /api/v1/proxies                 all, by name; {"name": …, "protocol": …}
GET, PATCH, DELETE    /api/v1/proxies/{proxy}         {"enabled": false}, {"upstream": …}
GET          /api/v1/proxies/{proxy}/connections
GET, DELETE  /api/v1/proxies/{proxy}/connections/{id}    ?how=close instead of a reset
GET          /api/v1/proxies/{proxy}/exchanges?limit=&after=&fault=&outcome=&command=
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote

from rascal.control import _views as views
from rascal.control._call import Call
from rascal.control._draft import Draft
from rascal.control._problems import Problem, unknown
from rascal.control._schemas import COUNT, TEXT, named, ref
from rascal.control._site import Api, Reply

LIMIT = 100
"""Exchanges in an answer, unless another limit is asked for."""

SEARCHED = 10_000
"""Exchanges that are looked at; older ones are not searched, so that a call stays short."""

ENDS = ("reset", "close")
"""How a connection is ended: the client's leg by RST or by FIN."""

ENDED_BY = "control"
"""The reason that such a connection shows and that is counted."""


def routes(api: Api) -> None:
    """Add the addresses of this module."""
    one = "/api/v1/proxies/<proxy>"
    proxy, connection = ref("Proxy"), ref("Connection")
    api.add("GET", "/api/v1/proxies", list_proxies, gives=named(proxy))
    new: dict[str, Any] = {"takes": ref("NewProxy"), "gives": proxy, "status": 201}
    api.add("POST", "/api/v1/proxies", create_proxy, "admin", **new)
    api.add("GET", one, get_proxy, gives=proxy, tagged=True)
    changed: dict[str, Any] = {"takes": ref("ProxyChange"), "gives": proxy, "conditional": True}
    api.add("PATCH", one, change_proxy, "admin", **changed)
    api.add("DELETE", one, remove_proxy, "admin", gives=proxy, conditional=True)
    api.add("GET", f"{one}/connections", list_connections, gives=named(connection))
    api.add("GET", f"{one}/connections/<name>", get_connection, gives=connection)
    ends: dict[str, Any] = {"gives": connection, "query": {"how": {"enum": list(ENDS)}}}
    api.add("DELETE", f"{one}/connections/<name>", end_connection, "operator", **ends)
    whole = {**COUNT, "maximum": 10**15 - 1}
    filters = {"limit": whole, "after": whole, "fault": TEXT, "outcome": TEXT, "command": TEXT}
    exchanges: dict[str, Any] = {"gives": ref("Exchanges"), "query": filters}
    api.add("GET", f"{one}/exchanges", list_exchanges, **exchanges)


def list_proxies(call: Call) -> dict[str, Any]:
    """All proxies."""
    call.query()
    return {name: views.proxy(proxy) for name, proxy in call.node.proxies.items()}


def create_proxy(call: Call) -> Reply:
    """A new proxy, listening when the answer comes."""
    draft = Draft(call.node, call.registry)
    name = draft.create(call.body())
    draft.commit()
    return _shown(call, name, 201, {"Location": f"/api/v1/proxies/{quote(name)}"})


def get_proxy(call: Call, proxy: str) -> Reply:
    """One proxy."""
    call.query()
    call.proxy(proxy)
    return _shown(call, proxy)


def change_proxy(call: Call, proxy: str) -> Reply:
    """Change its settings by a merge patch; connections that need not change stay."""
    call.expect(call.proxy(proxy).version)
    draft = Draft(call.node, call.registry)
    draft.change_proxy(proxy, call.body())
    draft.commit()
    return _shown(call, proxy)


def remove_proxy(call: Call, proxy: str) -> dict[str, Any]:
    """Take it away with all that is on it; its connections are closed. Its last state."""
    call.query()
    found = call.proxy(proxy)
    call.expect(found.version)
    shown = views.proxy(found)
    draft = Draft(call.node, call.registry)
    draft.remove_proxy(proxy)
    draft.commit()
    return shown


def _shown(
    call: Call, proxy: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply:
    found = call.proxy(proxy)
    version = call.version(found.version)
    return Reply(views.proxy(found), status, headers or {}, version=version)


def list_connections(call: Call, proxy: str) -> dict[str, Any]:
    """The connections that live, by number."""
    call.query()
    found = call.proxy(proxy).gate.connections
    return {str(number): views.connection(one) for number, one in list(found.items())}


def get_connection(call: Call, proxy: str, name: str) -> dict[str, Any]:
    """One connection."""
    call.query()
    return views.connection(_connection(call, proxy, name))


def end_connection(call: Call, proxy: str, name: str) -> dict[str, Any]:
    """End one connection, by RST or ?how=close; the answer shows it as it was."""
    how = call.query("how").get("how", "reset")
    if how not in ENDS:
        title = f"'how' is one of: {', '.join(ENDS)}; found '{how[:40]}'"
        raise Problem(422, "not-allowed", title, parameter="how", allowed=list(ENDS))
    found = _connection(call, proxy, name)
    shown = views.connection(found)
    found.end(how, ENDED_BY)
    return shown


def _connection(call: Call, proxy: str, name: str) -> Any:
    connections = call.proxy(proxy).gate.connections
    found = connections.get(int(name)) if name.isascii() and name.isdigit() else None
    if found is None:
        raise unknown("connection", name, map(str, connections))
    return found


def list_exchanges(call: Call, proxy: str) -> dict[str, Any]:
    """The latest exchanges, newest first; `total` counts those that have fallen out too."""
    recent = call.proxy(proxy).recent
    given = call.query("limit", "after", "fault", "outcome", "command")
    limit, after = _whole(given, "limit", LIMIT), _whole(given, "after", 0)
    found = islice(_filtered(recent, given, after), limit)
    return {
        "total": recent.total,
        "kept": len(recent),
        "exchanges": [views.record(one) for one in found],
    }


def _filtered(recent: Any, given: dict[str, str], after: int) -> Iterator[Any]:
    fault, outcome = given.get("fault"), given.get("outcome")
    command = given.get("command", "").upper()
    for one in islice(recent, SEARCHED):
        if one.number <= after:
            return
        if fault is not None and fault not in one.faults:
            continue
        if outcome is not None and outcome != one.outcome:
            continue
        if command and command != str(one.command).upper():
            continue
        yield one


def _whole(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Problem(
            422, "not-allowed", f"'{name}' is a whole number, found '{text[:40]}'", parameter=name
        )
    return int(text)
