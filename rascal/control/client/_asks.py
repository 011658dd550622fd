"""Every call of the API: what is sent, and what is read from the answer. No I/O.

An Ask is a request as a value; the clients carry it out, each in its way. So the two have the same
methods, and what a method takes and gives is written once, here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from rascal.control.client._access import Unreachable
from rascal.control.client._data import (
    ConnectionData,
    CountersData,
    ExchangeData,
    FaultData,
    LeaseData,
    PanicData,
    ProxyData,
    ReloadData,
    StateData,
)

T = TypeVar("T")
Data = dict[str, Any]
Collection = Literal["faults", "scripts", "recipes"]
Lease = str | Mapping[str, Any] | None


class Answer(NamedTuple):
    """What came back: the body, and the ETag."""

    content: bytes
    etag: str = ""


class Ask(NamedTuple, Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[Answer], T]
    data: Any = None
    headers: Mapping[str, str] = {}


def json_of(answer: Answer) -> Any:
    """The JSON of an answer. Raises Unreachable if it is none."""
    try:
        return json.loads(answer.content) if answer.content.strip() else None
    except ValueError:
        raise _unlike() from None


def _object(answer: Answer) -> Any:
    found = json_of(answer)
    if not isinstance(found, dict):
        raise _unlike()
    return found


def _unlike() -> Unreachable:
    return Unreachable("the service does not answer like the control API")


def _member(name: str) -> Callable[[Answer], Any]:
    def read(answer: Answer) -> Any:
        found = _object(answer)
        if name not in found:
            raise _unlike()
        return found[name]

    return read


def _tagged(answer: Answer) -> tuple[Any, str]:
    return _object(answer), answer.etag


def _path(proxy: str | None = None, *parts: str) -> str:
    names = () if proxy is None else (proxy, *parts)
    return "".join(["/api/v1/proxies", *(f"/{quote(part, safe='')}" for part in names)])


def _query(given: Mapping[str, Any]) -> str:
    known = {name.rstrip("_"): value for name, value in given.items() if value is not None}
    return f"?{urlencode(known)}" if known else ""


def _conditional(if_match: str | None) -> Mapping[str, str]:
    return {} if if_match is None else {"If-Match": if_match}


def _clauses(given: Mapping[str, Any]) -> Data:
    return {name.rstrip("_"): value for name, value in given.items() if value is not None}


# ---- proxies


def proxies() -> Ask[dict[str, ProxyData]]:
    """All proxies, by name."""
    return Ask("GET", _path(), _object)


def proxy(name: str) -> Ask[ProxyData]:
    """One proxy."""
    return Ask("GET", _path(name), _object)


def add_proxy(
    name: str,
    protocol: str,
    listen: str,
    upstream: str,
    *,
    enabled: bool | None = None,
    **options: Any,
) -> Ask[ProxyData]:
    """A new proxy, listening when this returns; `options` are those of proxies.ini."""
    given = {"name": name, "protocol": protocol, "listen": listen, "upstream": upstream}
    more = _clauses({"enabled": enabled, "options": _clauses(options) or None})
    return Ask("POST", _path(), _object, given | more)


def change_proxy(
    name: str, changes: Mapping[str, Any], *, if_match: str | None = None
) -> Ask[ProxyData]:
    """Other settings, by a merge patch: listen, upstream, protocol, enabled, options; connections
    that need not change stay."""
    return Ask("PATCH", _path(name), _object, dict(changes), _conditional(if_match))


def enable_proxy(name: str, on: bool = True, *, if_match: str | None = None) -> Ask[ProxyData]:
    """Let it listen, or stop it and end its connections."""
    return change_proxy(name, {"enabled": on}, if_match=if_match)


def remove_proxy(name: str, *, if_match: str | None = None) -> Ask[ProxyData]:
    """Take it away with all that is on it; its last state."""
    return Ask("DELETE", _path(name), _object, headers=_conditional(if_match))


# ---- faults, scripts, recipes


def faults(proxy: str, collection: Collection = "faults") -> Ask[dict[str, FaultData]]:
    """The faults (scripts, recipes) of a proxy, by name, in the order they are asked in."""
    return Ask("GET", _path(proxy, collection), _object)


def get(proxy: str, name: str, collection: Collection = "faults") -> Ask[FaultData]:
    """One of them, with its counters."""
    return Ask("GET", _path(proxy, collection, name), _object)


def tagged(
    proxy: str, name: str | None = None, collection: Collection = "faults"
) -> Ask[tuple[Data, str]]:
    """One of them, or the proxy, with its ETag: what `if_match` takes."""
    path = _path(proxy) if name is None else _path(proxy, collection, name)
    return Ask("GET", path, _tagged)


def add(
    proxy: str,
    what: str | Mapping[str, Any],
    *,
    collection: Collection = "faults",
    lease: Lease = None,
    enable_in: Any = None,
    **clauses: Any,
) -> Ask[FaultData]:
    """Install a fault: a sentence with clauses beside it (`for_` is `for`), or a structure."""
    given: Data = dict(what) if isinstance(what, Mapping) else {"text": what}
    given |= _clauses({**clauses, "lease": lease, "enable_in": enable_in})
    return Ask("POST", _path(proxy, collection), _object, given)


def add_script(
    proxy: str,
    steps: str | Sequence[Any],
    match: Any = None,
    name: str | None = None,
    *,
    lease: Lease = None,
    enabled: bool | None = None,
) -> Ask[FaultData]:
    """Install a script: `pass 2, error(deadlock), pass`."""
    steps = steps if isinstance(steps, str) else list(steps)
    given = {"steps": steps, "match": match, "name": name, "lease": lease, "enabled": enabled}
    return Ask("POST", _path(proxy, "scripts"), _object, _clauses(given))


def add_recipe(
    proxy: str, recipe: str | Mapping[str, Any], *, lease: Lease = None, **clauses: Any
) -> Ask[FaultData]:
    """Apply a recipe: its name, perhaps with options (`database-failover outage=3s`)."""
    if isinstance(recipe, str) and not re.match(r"\s*recipe\b(?!-)", recipe):
        recipe = f"recipe {recipe}"
    return add(proxy, recipe, collection="recipes", lease=lease, **clauses)


def change(
    proxy: str,
    name: str,
    changes: Any,
    *,
    collection: Collection = "faults",
    if_match: str | None = None,
) -> Ask[FaultData]:
    """Change a fault: a merge patch or a new sentence."""
    path = _path(proxy, collection, name)
    return Ask("PATCH", path, _object, changes, _conditional(if_match))


def enable(
    proxy: str, name: str, *, collection: Collection = "faults", if_match: str | None = None
) -> Ask[FaultData]:
    """Arm it."""
    return change(proxy, name, {"enabled": True}, collection=collection, if_match=if_match)


def disable(
    proxy: str, name: str, *, collection: Collection = "faults", if_match: str | None = None
) -> Ask[FaultData]:
    """Disarm it; what it holds is let go."""
    return change(proxy, name, {"enabled": False}, collection=collection, if_match=if_match)


def restart(
    proxy: str, name: str, *, collection: Collection = "faults", if_match: str | None = None
) -> Ask[FaultData]:
    """Match numbers, used count and steps from the beginning, armed."""
    path = _path(proxy, collection, name, "restart")
    return Ask("POST", path, _object, {}, _conditional(if_match))


def remove(
    proxy: str, name: str, *, collection: Collection = "faults", if_match: str | None = None
) -> Ask[FaultData]:
    """Take it away; its last state, with the counters that prove what it did."""
    path = _path(proxy, collection, name)
    return Ask("DELETE", path, _object, headers=_conditional(if_match))


# ---- traffic


def exchanges(
    proxy: str,
    *,
    limit: int | None = None,
    after: int | None = None,
    fault: str | None = None,
    outcome: str | None = None,
    command: str | None = None,
) -> Ask[list[ExchangeData]]:
    """The latest exchanges, newest first."""
    given = {"limit": limit, "after": after, "fault": fault, "outcome": outcome}
    query = _query({**given, "command": command})
    return Ask("GET", _path(proxy, "exchanges") + query, _member("exchanges"))


def connections(proxy: str) -> Ask[dict[str, ConnectionData]]:
    """The connections that live, by number."""
    return Ask("GET", _path(proxy, "connections"), _object)


def connection(proxy: str, number: int | str) -> Ask[ConnectionData]:
    """One connection."""
    return Ask("GET", _path(proxy, "connections", str(number)), _object)


def end_connection(
    proxy: str, number: int | str, how: Literal["reset", "close"] = "reset"
) -> Ask[ConnectionData]:
    """End one connection; what it was."""
    path = _path(proxy, "connections", str(number)) + _query({"how": how})
    return Ask("DELETE", path, _object)


def counters() -> Ask[dict[str, CountersData]]:
    """What each proxy and each of its faults has counted."""
    return Ask("GET", "/api/v1/counters", _object)


def reset_counters() -> Ask[dict[str, CountersData]]:
    """All counters to zero; what they were."""
    return Ask("DELETE", "/api/v1/counters", _object)


# ---- the node


def state() -> Ask[StateData]:
    """Everything that requests may change; nothing that is counted."""
    return Ask("GET", "/api/v1/state", _object)


def change_state(
    changes: Sequence[Mapping[str, Any]], *, if_match: str | None = None
) -> Ask[StateData]:
    """Make several changes, all or none: {"method": …, "path": …, "data": …} each."""
    changes = [dict(one) for one in changes]
    return Ask("POST", "/api/v1/state", _object, changes, _conditional(if_match))


def panic(on: bool | None = None, by: str = "") -> Ask[PanicData]:
    """The lever: pull it (True), release it (False), or look (None)."""
    if on is None:
        return Ask("GET", "/api/v1/panic", _object)
    return Ask("PUT", "/api/v1/panic", _object, {"on": on} | ({"by": by} if by else {}))


def seed() -> Ask[int]:
    """The seed of all draws."""
    return Ask("GET", "/api/v1/seed", _member("seed"))


def set_seed(seed: int | None = None) -> Ask[int]:
    """Another seed (None: one is drawn); draws, match numbers and scripts begin anew."""
    return Ask("PUT", "/api/v1/seed", _member("seed"), {"seed": seed})


def reload() -> Ask[ReloadData]:
    """Read the configuration again; what has changed."""
    return Ask("POST", "/api/v1/reload", _object, {})


def export() -> Ask[str]:
    """proxies.ini of the state as it is now."""
    accept = {"Accept": "text/plain"}
    return Ask("GET", "/api/v1/export", _text, headers=accept)


def _text(answer: Answer) -> str:
    return answer.content.decode("utf-8", "replace")


def leases() -> Ask[dict[str, LeaseData]]:
    """All leases, by id."""
    return Ask("GET", "/api/v1/leases", _object)


def lease(id: str) -> Ask[LeaseData]:
    """One lease."""
    return Ask("GET", _lease(id), _object)


def renew_lease(id: str, for_: Any = None) -> Ask[LeaseData]:
    """It lasts from now on, so long if it is said."""
    return Ask("PUT", _lease(id), _object, _clauses({"for_": for_}))


def end_lease(id: str) -> Ask[LeaseData]:
    """Give it up: what is under it is removed now."""
    return Ask("DELETE", _lease(id), _object)


def _lease(id: str) -> str:
    return f"/api/v1/leases/{quote(id, safe='')}"


# ---- what there is to choose from


def kinds(protocol: str | None = None) -> Ask[dict[str, Data]]:
    """The kinds of faults, of one protocol if it is named."""
    return Ask("GET", "/api/v1/kinds" + _query({"protocol": protocol}), _object)


def kind(name: str, protocol: str | None = None) -> Ask[Data]:
    """One kind; on a protocol if it is named."""
    path = f"/api/v1/kinds/{quote(name, safe='')}" + _query({"protocol": protocol})
    return Ask("GET", path, _object)


def protocols() -> Ask[dict[str, Data]]:
    """The protocols, in short."""
    return Ask("GET", "/api/v1/protocols", _object)


def protocol(name: str) -> Ask[Data]:
    """One protocol with fields, errors and kinds."""
    return Ask("GET", f"/api/v1/protocols/{quote(name, safe='')}", _object)


def recipes() -> Ask[dict[str, Data]]:
    """The recipes and their options."""
    return Ask("GET", "/api/v1/recipes", _object)


def openapi() -> Ask[Data]:
    """The OpenAPI document."""
    return Ask("GET", "/api/v1/openapi.json", _object)


def metrics() -> Ask[str]:
    """What Prometheus scrapes."""
    return Ask("GET", "/metrics", _text, headers={"Accept": "text/plain"})


def ready() -> Ask[Data]:
    """Whether all proxies listen; Refused if not."""
    return Ask("GET", "/readyz", _object)


def raw(method: str, path: str, data: Any = None) -> Ask[Any]:
    """Any request; the JSON of its answer."""
    return Ask(method, path, json_of, data)


EVENTS = "/api/v1/events"


def event_path(types: Sequence[str] = (), proxies: Sequence[str] = ()) -> str:
    """Where events come from."""
    return EVENTS + _query({"types": ",".join(types) or None, "proxy": ",".join(proxies) or None})
