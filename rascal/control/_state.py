"""The state as a whole: what there is, several changes at once, and the file that says the same.

GET          /api/v1/state
POST         /api/v1/state        a list of changes, made all or none
GET          /api/v1/export       proxies.ini of the state: text/plain

A change is a request to this API written down:

    [{"method": "PATCH", "path": "/api/v1/proxies/db", "data": {"upstream": "10.0.0.5:3306"}},
     {"method": "POST", "path": "/api/v1/proxies/db/faults", "data": "delay 2s"},
     {"method": "DELETE", "path": "/api/v1/proxies/db/faults/hang"}]

Each sees what those before it have changed. If one of them cannot be had, or a port cannot be
bound at the end, nothing has changed; the pointer of the problem begins with the number of the
change.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import attrs

from rascal.config import SERVICE, Configuration, export
from rascal.control import _views as views
from rascal.control._call import Call
from rascal.control._draft import CHANGING, COLLECTIONS, Draft
from rascal.control._problems import Problem, from_error
from rascal.control._schemas import TEXT, ref
from rascal.control._site import Api, Reply
from rascal.errors import ConfigError, RascalError

CHANGES = 1000
"""In one request."""

PLAIN_TEXT = "text/plain; charset=utf-8"

MEMBERS = ("method", "path", "data")

ADMINS = "only an admin changes proxies"


def routes(api: Api) -> None:
    """Add the addresses of this module."""
    state: dict[str, Any] = {"gives": ref("State")}
    api.add("GET", "/api/v1/state", get_state, tagged=True, **state)
    api.add(
        "POST",
        "/api/v1/state",
        change_state,
        "operator",
        takes=ref("Changes"),
        conditional=True,
        **state,
    )
    api.add("GET", "/api/v1/export", get_export, gives=TEXT, kind=PLAIN_TEXT)


def get_state(call: Call) -> Reply:
    """Everything that requests may change; nothing that is counted."""
    call.query()
    return _shown(call)


def change_state(call: Call) -> Reply:
    """Make a list of changes, all or none; the answer is the new state."""
    call.expect(call.node.revision)
    data = call.body()
    if not isinstance(data, list) or len(data) > CHANGES:
        raise ConfigError(f"the changes are a list of at most {CHANGES}", pointer="")
    draft = Draft(call.node, call.registry)
    for n, one in enumerate(data):
        try:
            _change(call, draft, one)
        except RascalError as error:
            raise _under(from_error(error), f"/{n}") from error
    draft.commit()
    return _shown(call)


def get_export(call: Call) -> Reply:
    """proxies.ini of the state; tokens (hashed) for admins only."""
    call.query()
    text = export(configuration(call.node), secrets=call.role == "admin")
    return Reply(text, kind=PLAIN_TEXT)


def configuration(node: Any) -> Configuration:
    """The configuration that would begin in this state."""
    found: Configuration = node.configuration
    given: dict[str, Any] = {}
    for name, option in SERVICE.items():
        value = node.seed if name == "seed" else getattr(found, name, None)
        if name == "control" and value is None:
            value = "off"
        usual = value in (None, ()) or str(value) == str(option.default)
        if not usual or (name in found.given and name != "include"):
            given[name] = value
    return attrs.evolve(found, seed=node.seed, given=given, proxies=node.specs())


def _shown(call: Call) -> Reply:
    node = call.node
    data = {
        "revision": node.revision,
        "seed": node.seed,
        "panic": views.panic(node.panic),
        "proxies": {name: views.definition(one) for name, one in node.proxies.items()},
        "leases": {id_: one.seconds for id_, one in node.leases.granted.items()},
    }
    return Reply(data, version=call.version(node.revision))


# ---- one change


def _change(call: Call, draft: Draft, one: Any) -> None:
    if not isinstance(one, dict):
        raise ConfigError("a change is an object: method, path, data", pointer="")
    call.members(one, MEMBERS, "a change")
    method, path = one.get("method"), one.get("path")
    if method not in CHANGING:
        code = "not-allowed" if "method" in one else "value-missing"
        message = f"'method' is one of: {', '.join(CHANGING)}"
        raise ConfigError(message, pointer="/method", allowed=CHANGING, code=code)
    parts = _parts(path)
    if parts is None:
        raise _no_change(one)
    if method == "DELETE" and one.get("data") is not None:
        raise ConfigError("what is removed has no data", pointer="/data")
    if method != "DELETE" and "data" not in one and parts[-1:] != ["restart"]:
        raise ConfigError("the change has no data", pointer="/data", code="value-missing")
    if len(parts) <= 1 and call.role != "admin":
        raise Problem(403, "role-missing", ADMINS, pointer="/path", allowed=["admin"])
    try:
        done = _route(draft, str(method), parts, one.get("data"))
    except RascalError as error:
        raise _under(from_error(error), "/data" if method != "DELETE" else "/path") from error
    if not done:
        raise _no_change(one)


def _route(draft: Draft, method: str, parts: list[str], data: Any) -> bool:
    match method, parts:
        case "POST", []:
            draft.create(data)
        case "PATCH", [proxy]:
            draft.change_proxy(proxy, data)
        case "DELETE", [proxy]:
            draft.remove_proxy(proxy)
        case "POST", [proxy, collection]:
            draft.add(collection, proxy, data)
        case "PATCH", [proxy, collection, name]:
            draft.change(collection, proxy, name, data)
        case "DELETE", [proxy, collection, name]:
            draft.remove(collection, proxy, name)
        case "POST", [proxy, collection, name, "restart"] if not data:
            draft.restart(collection, proxy, name)
        case _:
            return False
    return True


def _parts(path: Any) -> list[str] | None:
    """What follows /api/v1/proxies, if it is something that can be changed."""
    prefix = "/api/v1/proxies"
    if not isinstance(path, str) or not (path == prefix or path.startswith(prefix + "/")):
        return None
    parts = [unquote(part) for part in path[len(prefix) :].split("/")[1:]]
    if len(parts) > 1 and parts[1] not in COLLECTIONS:
        return None
    return None if "" in parts else parts


def _no_change(one: dict[str, Any]) -> ConfigError:
    method, path = one.get("method"), str(one.get("path"))[:100]
    where = "/api/v1/proxies[/{proxy}[/{faults|scripts|recipes}[/{name}[/restart]]]]"
    return ConfigError(
        f"{method} {path} is no change that can be made here: the path is {where}",
        pointer="/path",
        code="not-allowed" if "path" in one else "value-missing",
    )


def _under(problem: Problem, prefix: str) -> Problem:
    """The same, with pointers that lead there from further up."""
    more = problem.more
    pointer = more.get("pointer") or ""
    more["pointer"] = prefix + pointer
    if "errors" in more:
        more["errors"] = [
            one | {"pointer": prefix + (one.get("pointer") or "")} for one in more["errors"]
        ]
    return problem
