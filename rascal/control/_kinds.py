"""What there is to choose from, with option tables as JSON Schema.

GET  /api/v1/kinds[?protocol=NAME]      kinds of faults; of one protocol with its own options
GET  /api/v1/kinds/{kind}
GET  /api/v1/protocols                  in short
GET  /api/v1/protocols/{protocol}       with fields, error catalogue and kinds
GET  /api/v1/recipes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rascal.control._call import Call
from rascal.control._problems import unknown
from rascal.control._schema import schema
from rascal.control._schemas import named, ref
from rascal.control._site import Api


def routes(api: Api) -> None:
    """Add the addresses of this module."""
    kind, protocol = ref("Kind"), ref("Protocol")
    query = {"protocol": {"enum": list(api.registry.protocols)}}
    api.add("GET", "/api/v1/kinds", list_kinds, gives=named(kind), query=query)
    api.add("GET", "/api/v1/kinds/<name>", get_kind, gives=kind, query=query)
    api.add("GET", "/api/v1/protocols", list_protocols, gives=named(protocol))
    api.add("GET", "/api/v1/protocols/<name>", get_protocol, gives=protocol)
    api.add("GET", "/api/v1/recipes", list_recipes, gives=named(ref("Recipe")))


def list_kinds(call: Call) -> dict[str, Any]:
    """All kinds, or those of one protocol."""
    given = call.query("protocol")
    if "protocol" in given:
        protocol = _protocol(call, given["protocol"])
        tables = call.registry.kinds(protocol)
        return {name: _kind(call, name, table) for name, table in tables.items()}
    return {name: _kind(call, name, kind.options) for name, kind in _kinds().items()}


def get_kind(call: Call, name: str) -> dict[str, Any]:
    """One kind; with ?protocol= its options there."""
    found = list_kinds(call)
    if name not in found:
        raise unknown("kind", name, found, "rascal kinds")
    one: dict[str, Any] = found[name]
    return one


def list_protocols(call: Call) -> dict[str, Any]:
    """All protocols, in short."""
    call.query()
    return {name: _short(call, one) for name, one in call.registry.protocols.items()}


def get_protocol(call: Call, name: str) -> dict[str, Any]:
    """One protocol with all that it has."""
    call.query()
    protocol = _protocol(call, name)
    return {
        **_short(call, protocol),
        "fields": {
            field.name: {"type": field.type, "side": field.side, "help": field.help}
            for field in protocol.fields
        },
        "errors": {
            error.name: {
                "code": error.code,
                "text": error.text,
                "help": error.help,
                "moments": list(error.moments),
                "commands": list(error.commands),
                "closes": error.closes,
                "rolls_back": error.rolls_back,
                "source": error.source,
            }
            for error in protocol.errors.values()
        },
        "kinds": {
            kind: schema(table, kind) for kind, table in call.registry.kinds(protocol).items()
        },
    }


def list_recipes(call: Call) -> dict[str, Any]:
    """All recipes and their options."""
    call.query()
    from rascal.faults.recipes import RECIPES

    return {
        name: {
            "name": name,
            "summary": RECIPES[name].summary if name in RECIPES else "",
            "protocols": list(RECIPES[name].parts) if name in RECIPES else [],
            "options": schema(table, name),
        }
        for name, table in call.registry.recipes.items()
    }


def _protocol(call: Call, name: str) -> Any:
    found = call.registry.protocols.get(name)
    if found is None:
        raise unknown("protocol", name, call.registry.protocols, "rascal protocols")
    return found


def _short(call: Call, protocol: Any) -> dict[str, Any]:
    return {
        "name": protocol.name,
        "title": protocol.title,
        "messages": protocol.messages,
        "greets": protocol.greets,
        "part": protocol.part,
        "fields": [field.name for field in protocol.fields],
        "errors": list(protocol.errors),
        "kinds": list(call.registry.kinds(protocol)),
        "options": schema(protocol.options, f"{protocol.name} proxy"),
    }


def _kinds() -> Mapping[str, Any]:
    from rascal.faults import build

    return build.kinds()


def _kind(call: Call, name: str, table: Any) -> dict[str, Any]:
    kind = _kinds().get(name)
    protocols = [
        protocol.name
        for protocol in call.registry.protocols.values()
        if name in call.registry.kinds(protocol)
    ]
    known = {"name": name, "protocols": protocols, "options": schema(table, name)}
    if kind is None:
        return known
    return {
        "name": name,
        "summary": kind.summary,
        "faithful": kind.faithful,
        "levels": list(kind.levels),
        "moments": list(kind.moments),
        "composes": kind.composes,
        "directional": kind.directional,
    } | known
