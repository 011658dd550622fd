"""Faults (and roulettes), scripts and recipes of a proxy: listed, added, changed, removed.

    GET, POST            /api/v1/proxies/{proxy}/{faults|scripts|recipes}
    GET, PATCH, DELETE   …/{name}
    POST                 …/{name}/restart         match numbers, used count and steps from the start

A request says what it wants as a JSON string that holds the sentence, as {"text": sentence} with
clauses beside it, or as the structure. A change is a merge patch: what it does not name stays.
`enabled` alone arms or disarms. A recipe's faults are listed among the faults under their own
names and belong to the recipe.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

from rascal.config.installing import changed, make_installed
from rascal.config.specs import Form
from rascal.control import _views as views
from rascal.control._call import Call
from rascal.control._problems import Problem, unknown
from rascal.control._site import Api, Reply
from rascal.errors import ConfigError

COLLECTIONS: dict[str, tuple[str, ...]] = {
    "faults": ("fault", "roulette"),
    "scripts": ("script",),
    "recipes": ("recipe",),
}
"""The collections of a proxy and the forms that they hold."""


def routes(api: Api) -> None:
    """Add the addresses of this module."""
    for collection in COLLECTIONS:
        many = f"/api/v1/proxies/<proxy>/{collection}"
        one = f"{many}/<name>"
        api.add("GET", many, partial(list_all, collection))
        api.add("POST", many, partial(add, collection), "operator")
        api.add("GET", one, partial(get, collection))
        api.add("PATCH", one, partial(change, collection), "operator")
        api.add("DELETE", one, partial(remove, collection), "operator")
        api.add("POST", f"{one}/restart", partial(restart, collection), "operator")


def list_all(collection: str, call: Call, proxy: str) -> dict[str, Any]:
    """All of them, in the order in which they are asked."""
    call.query()
    found = call.proxy(proxy)
    return {name: views.installed(found, one, part) for name, one, part in _in(collection, found)}


def get(collection: str, call: Call, proxy: str, name: str) -> dict[str, Any]:
    """One of them."""
    call.query()
    found = call.proxy(proxy)
    one, part = _find(collection, found, name)
    return views.installed(found, one, part)


def add(collection: str, call: Call, proxy: str) -> Reply:
    """Install what the body says."""
    found = call.proxy(proxy)
    form: Form = "fault" if collection == "faults" else collection[:-1]  # type: ignore[assignment]
    taken = {*found.installed, *found.gate.faults}
    one = make_installed(form, call.body(), found.spec, taken, registry=call.registry)
    _check_parts(one, taken)
    found.install(one)
    where = next(key for key, forms in COLLECTIONS.items() if one.form in forms)
    location = f"/api/v1/proxies/{quote(found.name)}/{where}/{quote(one.name)}"
    shown = views.installed(found, found.installed.get(one.name, one))
    return Reply(shown, 201, {"Location": location})


def change(collection: str, call: Call, proxy: str, name: str) -> dict[str, Any]:
    """Change it by a merge patch; {"enabled": …} alone arms or disarms."""
    found = call.proxy(proxy)
    one = _own(collection, found, name)
    patch = call.body()
    if not isinstance(patch, dict | str):
        message = "a change is an object with the members that change, or a sentence"
        raise ConfigError(message, pointer="")
    made = changed(one, patch, found.spec, registry=call.registry)
    flagged = isinstance(patch, dict) and isinstance(patch.get("enabled"), bool)
    if made != one and not (flagged and len(patch) == 1):
        _check_parts(made, found.gate.faults.keys() - {spec.name for spec in one.specs})
        found.change(made)
    if flagged:
        assert isinstance(patch, dict)
        found.arm(name, patch["enabled"])
    return views.installed(found, found.installed.get(name, made))


def remove(collection: str, call: Call, proxy: str, name: str) -> dict[str, Any]:
    """Take it away; what it holds is let go. The answer is its last state: the proof."""
    found = call.proxy(proxy)
    one = _own(collection, found, name)
    before = views.fault_objects(found, one)
    found.uninstall(name)
    return views.of_faults(found, one, before)


def restart(collection: str, call: Call, proxy: str, name: str) -> dict[str, Any]:
    """Start it from the beginning, armed."""
    found = call.proxy(proxy)
    _own(collection, found, name)
    call.nothing()
    found.restart(name)
    return views.installed(found, found.installed[name])


def _check_parts(one: Any, taken: Container[str]) -> None:
    """The parts of a recipe have names of their own."""
    clash = next((spec.name for spec in one.specs if spec.name in taken), None)
    if clash is not None:
        message = f"'{clash}' is the name of another fault of this proxy"
        raise ConfigError(message, pointer="", code="name-taken")


def _in(collection: str, proxy: Any) -> Iterator[tuple[str, Any, str | None]]:
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
    all_ = {key: (one, part) for key, one, part in _in(collection, proxy)}
    if name in all_:
        return all_[name]
    problem = unknown(collection[:-1], name, all_)
    other = proxy.installed.get(name)
    if other is not None:
        problem.title = f"'{name}' is a {other.form}: see {other.form}s"
    raise problem


def _own(collection: str, proxy: Any, name: str) -> Any:
    """Something that may be changed by itself."""
    one, part = _find(collection, proxy, name)
    if part is not None:
        raise Problem(
            409,
            "part-of-recipe",
            f"'{name}' belongs to the recipe '{one.name}': change or lift the recipe",
            recipe=one.name,
        )
    return one
