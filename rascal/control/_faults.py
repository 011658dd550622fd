"""Faults (and roulettes), scripts and recipes of a proxy: listed, added, changed, removed.

    GET                  /api/v1/faults               those of all proxies, by proxy
    GET, POST            /api/v1/proxies/{proxy}/{faults|scripts|recipes}
    GET, PATCH, DELETE   …/{name}
    POST                 …/{name}/restart         match numbers, used count and steps from the start
    POST                 /api/v1/check/proxies/{proxy}/…    what would come of it; nothing changes

A request says what it wants as a JSON string that holds the sentence, as {"text": sentence} with
clauses beside it, or as the structure. A change is a merge patch: what it does not name stays.
`enabled` alone arms or disarms. A recipe's faults are listed among the faults under their own
names and belong to the recipe.

For controllers, beside these: `enable_in` (a duration; until then it is disabled) and `lease`
(a name, {"id": name, "for": "15s"}, or a duration alone): what is under a lease is removed unless
the lease is renewed (rascal.control._leases).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

from rascal.control import _views as views
from rascal.control._call import Call
from rascal.control._draft import COLLECTIONS, Draft, missing, own
from rascal.control._saying import says
from rascal.control._schemas import named, ref
from rascal.control._site import Api, Reply
from rascal.language import show

TAKEN = {"faults": "Fault", "scripts": "Script", "recipes": "NewRecipe"}
"""The schemas of what is added."""


def routes(api: Api) -> None:
    """Add the addresses of this module."""
    one_ = ref("Installed")
    api.add("GET", "/api/v1/faults", list_everywhere, gives=named(named(one_)))
    for collection in COLLECTIONS:
        many = f"/api/v1/proxies/<proxy>/{collection}"
        one = f"{many}/<name>"
        new = {"takes": ref(TAKEN[collection]), "gives": one_, "status": 201}
        changed = {"gives": one_, "conditional": True}
        api.add("GET", many, partial(list_all, collection), gives=named(one_))
        api.add("POST", many, partial(add, collection), "operator", **new)
        api.add("GET", one, partial(get, collection), gives=one_, tagged=True)
        changes = {"takes": ref("Change"), **changed}
        api.add("PATCH", one, partial(change, collection), "operator", **changes)
        gone = {"gives": one_, "conditional": True}
        api.add("DELETE", one, partial(remove, collection), "operator", **gone)
        again = {"takes": ref("Nothing"), **changed}
        api.add("POST", f"{one}/restart", partial(restart, collection), "operator", **again)
        asked: dict[str, Any] = {"gives": ref("Checked"), "quiet": True}
        check = f"/api/v1/check/proxies/<proxy>/{collection}"
        api.add("POST", check, partial(check_new, collection), takes=new["takes"], **asked)
        asked["takes"] = ref("Change")
        api.add("POST", f"{check}/<name>", partial(check_change, collection), **asked)


def list_all(collection: str, call: Call, proxy: str) -> dict[str, Any]:
    """All of them, in the order in which they are asked."""
    call.query()
    return _all(collection, call.proxy(proxy))


def _all(collection: str, proxy: Any) -> dict[str, Any]:
    return {
        name: views.installed(proxy, one, part) for name, one, part in listed(collection, proxy)
    }


def list_everywhere(call: Call) -> dict[str, Any]:
    """The faults of all proxies, by proxy."""
    call.query()
    return {name: _all("faults", proxy) for name, proxy in call.node.proxies.items()}


def get(collection: str, call: Call, proxy: str, name: str) -> Reply:
    """One of them."""
    call.query()
    found = call.proxy(proxy)
    one, part = _find(collection, found, name)
    return _shown(call, found, one, part)


def add(collection: str, call: Call, proxy: str) -> Reply:
    """Install what the body says."""
    call.proxy(proxy)
    draft = Draft(call.node, call.registry)
    one = draft.add(collection, proxy, call.body())
    draft.commit()
    found = call.proxy(proxy)
    where = next(key for key, forms in COLLECTIONS.items() if one.form in forms)
    location = f"/api/v1/proxies/{quote(found.name)}/{where}/{quote(one.name)}"
    return _shown(call, found, found.installed[one.name], status=201, location=location)


def change(collection: str, call: Call, proxy: str, name: str) -> Reply:
    """Change it by a merge patch; {"enabled": …} alone arms or disarms."""
    found = _checked(collection, call, proxy, name)
    draft = Draft(call.node, call.registry)
    draft.change(collection, proxy, name, call.body())
    draft.commit()
    return _shown(call, found, found.installed[name])


def remove(collection: str, call: Call, proxy: str, name: str) -> dict[str, Any]:
    """Take it away; what it holds is let go. The answer is its last state: the proof."""
    call.query()
    found = _checked(collection, call, proxy, name)
    one = found.installed[name]
    before = views.fault_objects(found, one)
    terms = found.terms.get(name)
    draft = Draft(call.node, call.registry)
    draft.remove(collection, proxy, name)
    draft.commit()
    return views.of_faults(found, one, before, terms=terms)


def restart(collection: str, call: Call, proxy: str, name: str) -> Reply:
    """Start it from the beginning, armed."""
    found = _checked(collection, call, proxy, name)
    call.nothing()
    draft = Draft(call.node, call.registry)
    draft.restart(collection, proxy, name)
    draft.commit()
    return _shown(call, found, found.installed[name])


def check_new(collection: str, call: Call, proxy: str) -> dict[str, Any]:
    """What would be installed, and in plain words what it would do; nothing changes."""
    call.query()
    call.proxy(proxy)
    return _said(Draft(call.node, call.registry).add(collection, proxy, call.body()))


def check_change(collection: str, call: Call, proxy: str, name: str) -> dict[str, Any]:
    """The same of something installed, if it were changed like that."""
    call.query()
    own(collection, call.proxy(proxy).current(), name)
    return _said(Draft(call.node, call.registry).change(collection, proxy, name, call.body()))


def _said(one: Any) -> dict[str, Any]:
    """What it would be."""
    match = one.match if one.form == "script" else one.phrases[0].clause("match")
    return {
        "name": one.name,
        "form": one.form,
        "text": one.text,
        "match": show(match) if match else "",
        "enabled": one.enabled,
        "structure": one.structure,
        "says": says(one),
    }


def _checked(collection: str, call: Call, proxy: str, name: str) -> Any:
    """The proxy; the thing is there and is what the caller believes it to be."""
    found = call.proxy(proxy)
    own(collection, found.current(), name)
    call.expect(found.versions.get(name, 0))
    return found


def _shown(
    call: Call,
    proxy: Any,
    one: Any,
    part: str | None = None,
    *,
    status: int = 200,
    location: str = "",
) -> Reply:
    headers = {"Location": location} if location else {}
    version = call.version(proxy.versions.get(one.name, 0))
    return Reply(views.installed(proxy, one, part), status, headers, version=version)


def listed(collection: str, proxy: Any) -> Iterator[tuple[str, Any, str | None]]:
    """(name, installed, part) of a collection, in the order in which the gate asks; the parts of
    recipes stand among the faults."""
    forms = COLLECTIONS[collection]
    owners = {spec.name: one for one in proxy.installed.values() for spec in one.specs}
    seen: set[str] = set()
    for name in list(proxy.gate.faults):
        one = owners.get(name)
        if one is None:
            continue
        if one.form in forms and one.name not in seen:
            seen.add(one.name)
            yield one.name, one, None
        elif one.form == "recipe" and collection == "faults":
            yield name, one, name


def _find(collection: str, proxy: Any, name: str) -> tuple[Any, str | None]:
    for key, one, part in listed(collection, proxy):
        if key == name:
            return one, part
    raise missing(collection, proxy.installed.values(), name)
