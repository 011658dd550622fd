"""What there is to write, as plain data: kinds, protocols and recipes with their option tables.

`rascal kinds`, `rascal protocols` and the reference pages show the same facts, so they are
gathered once, here. Quantities are in the language's words (2s, 64KB), ready to be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rascal.config.registry import Registry
from rascal.errors import ConfigError, did_you_mean, listed
from rascal.faults.recipes import Recipe
from rascal.faults.types import Kind
from rascal.options import Option, OptionTable
from rascal.units import UNITS, plain_text
from rascal.wire.types import Field, WireProtocol

STRIKES = {"listener": "the listener", "connection": "connections", "message": "exchanges"}
SIDES = {"request": "request", "reply": "reply", "connection": "connection"}


def named(what: str, name: str, allowed: Mapping[str, Any], command: str) -> Any:
    """The one of that name. Raises ConfigError with the allowed ones and the nearest."""
    if name in allowed:
        return allowed[name]
    raise ConfigError(
        f"there is no {what} '{name}'; {what}s: {listed(allowed, command)}."
        f"{did_you_mean(name, allowed)}".rstrip("."),
        option=what,
        value=name,
        allowed=tuple(allowed),
        code="unknown-name",
    )


def all_kinds() -> Mapping[str, Kind]:
    """The kinds of this installation."""
    from rascal.faults.build import kinds

    return kinds()


def option_facts(option: Option) -> dict[str, Any]:
    """One option: type, default, bounds, help."""
    choice = isinstance(option.type, tuple)
    facts: dict[str, Any] = {"type": "choice" if choice else option.type}
    if choice:
        facts["choices"] = list(option.type)
    if option.required:
        facts["required"] = True
    for name in ("default", "minimum", "maximum"):
        value = getattr(option, name)
        if value is not None:
            facts[name] = _text(option, value)
    return facts | {"help": option.help}


def table_facts(table: OptionTable) -> dict[str, Any]:
    """The options of a table, by name."""
    return {name: option_facts(option) for name, option in table.items()}


def kind_facts(
    kind: Kind, registry: Registry, protocol: WireProtocol | None = None
) -> dict[str, Any]:
    """One kind; with a protocol as it is there. Raises ConfigError if it is not there."""
    homes = [name for name, one in registry.protocols.items() if kind.name in registry.kinds(one)]
    table: OptionTable | None = kind.options
    if protocol is not None:
        table = kind.table(protocol)
        if table is None:
            raise ConfigError(
                f"{protocol.name} has no '{kind.name}'; protocols that have it: "
                f"{', '.join(homes) or 'none'}",
                option="protocol",
                value=protocol.name,
                allowed=homes,
            )
    assert table is not None
    return {
        "name": kind.name,
        "summary": kind.summary,
        "faithful": kind.faithful,
        "strikes": [level for level in kind.levels if _has(level, protocol)],
        "moments": moments(kind, protocol),
        "composes": kind.composes,
        "directional": kind.directional,
        "protocols": homes,
        "spoken": table.spoken,
        "options": table_facts(table),
    }


def moments(kind: Kind, protocol: WireProtocol | None = None) -> list[str]:
    """When it may strike; on a protocol, only those that it has there."""
    found: list[str] = list(kind.moments)
    if protocol is None:
        return found
    if not protocol.messages:
        return [moment for moment in found if moment == "connect"]
    if "greeting" in found and not protocol.greets:
        found.remove("greeting")
    if protocol.greets and "reply" in found and "greeting" not in found:
        found.append("greeting")
    return found


def protocol_facts(protocol: WireProtocol, registry: Registry) -> dict[str, Any]:
    """One protocol: options of its proxies, match fields, errors, kinds."""
    return {
        "name": protocol.name,
        "title": protocol.title,
        "messages": protocol.messages,
        "server_speaks_first": protocol.greets,
        "parts": protocol.part,
        "options": table_facts(protocol.options),
        "fields": {field.name: field_facts(field) for field in protocol.fields},
        "errors": {name: _error(error) for name, error in protocol.errors.items()},
        "kinds": list(registry.kinds(protocol)),
    }


def field_facts(field: Field) -> dict[str, Any]:
    """One match field."""
    facts: dict[str, Any] = {"type": field.type, "known_with": SIDES[field.side]}
    return facts | {"ignores_case": field.folded, "help": field.help}


def recipe_facts(recipe: Recipe) -> dict[str, Any]:
    """One recipe: what it imitates, its options, its faults on each protocol by default."""
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "imitates": recipe.imitates,
        "options": table_facts(recipe.options),
        "faults": {protocol: dict(recipe.sentences(protocol)) for protocol in recipe.parts},
    }


def range_text(facts: Mapping[str, Any]) -> str:
    """The bounds of an option in words: `1ms..10m`, `at least 1`, or nothing."""
    low, high = facts.get("minimum"), facts.get("maximum")
    if low is not None and high is not None:
        return f"{low}..{high}"
    if low is not None:
        return f"at least {low}"
    return f"at most {high}" if high is not None else ""


def type_text(facts: Mapping[str, Any]) -> str:
    """The type of an option in words; of a choice its words."""
    return " | ".join(facts["choices"]) if "choices" in facts else str(facts["type"])


def default_text(facts: Mapping[str, Any]) -> str:
    """The default in words: what must be given, what has none."""
    return "required" if facts.get("required") else str(facts.get("default", ""))


def _has(level: str, protocol: WireProtocol | None) -> bool:
    return protocol is None or protocol.messages or level != "message"


def _error(error: Any) -> dict[str, Any]:
    return {
        "code": error.code,
        "text": error.text,
        "help": error.help,
        "moments": list(error.moments),
        "commands": list(error.commands),
        "closes": error.closes,
        "rolls_back": error.rolls_back,
        "sqlstate": error.sqlstate,
        "source": error.source,
    }


def _text(option: Option, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    type_ = "duration" if option.type == "distribution" else option.type
    if value == float("inf"):
        return "without end"
    if isinstance(type_, str) and (type_ in UNITS or type_ in ("percentage", "probability")):
        return plain_text(type_, value)
    return f"{value:g}" if isinstance(value, float) else str(value)
