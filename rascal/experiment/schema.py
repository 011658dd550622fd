"""The JSON Schema of experiment files, for editors: made of the same tables as the reader.

What a sentence of the language may say, JSON Schema cannot; `rascal experiment check` does. Every
scalar is a text to the reader, so an editor may take `seed: 1` for a number.
"""

from __future__ import annotations

from typing import Any

import attrs

from rascal.experiment.expectation import WORDS
from rascal.experiment.questions import DURATIONS, TESTS, WAYS
from rascal.experiment.reading import LOAD_NAMES, NAMES, OPTIONS, OTHERS, SHARES
from rascal.experiment.record import Thresholds
from rascal.experiment.specification import DEFAULT_NODE, DEFAULT_PHASES, PHASES
from rascal.load.wishes import PLAN, SHARE
from rascal.options import Option

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What editors know."""
DURATION = r"^\d+(\.\d+)?\s*(us|ms|s|m|h|d)(\s*\d+(\.\d+)?\s*(us|ms|s|m|h|d))*$"
SCALAR = {"type": ["string", "number", "boolean"]}

_HELP = {
    "recipe": "An incident, such as 'overloaded-database on db', or several",
    "nodes": f"Control URLs of the rascal-proxy processes, by name (main: {DEFAULT_NODE})",
    "load": "Scenarios, and how much load; it lasts as long as the phases",
    "phases": "Whole seconds of each phase",
    "faults": "Sentences: 30% error(deadlock) on db match statement=UPDATE from fault+20s for 20s",
    "scripts": "Exact steps for the next exchanges of a proxy",
    "uses": "Which flows use which dependency; left out it is learned",
    "deadlines": "By flow: in what time a call must be served; others are derived",
    "objectives": "Such as 'p95(checkout) < 500ms in fault', 'time_to_recover <= 20s'",
    "stop": "What ends the experiment: 'failed > 80% for 15s', or a check",
    "invariants": "What must be true before, and again after",
    "expect": "The verdict that is hoped for, or 'exactly WORD'",
    "thresholds": "What the judge compares with",
    "labels": "For lists",
}
_LOAD_HELP = {
    "scenarios": "The scenario file, beside this one",
    "profile": "Such as 'ramp 0..200/s for 10s, hold 200/s'",
    "profiles": "By scenario",
    "rate": "Instead of a profile: 200/s",
    "objectives": "Of the load alone; those of the experiment stand at the top",
    "stop": "As at the top",
    "labels": "As at the top",
    "only": "Some scenarios of the file",
    "options": "Of the scenario file",
    "headers": "Sent with every request",
    "dependencies": "Python requirements of the scenarios",
}
_CHECK_HELP = {
    "name": "In words, what must hold",
    "get": "A URL, or a path on the target",
    "sql": "A query; its first column is the value",
    "redis": "A command",
    "command": "A command line",
    "at": "The server of sql and redis: mysql://…, postgresql://…, redis://…",
    "json": "A path to the value in the reply, such as $.count",
    "equals": "The answer is this",
    "at_most": "The answer is a number, and not above this",
    "at_least": "The answer is a number, and not below this",
    "contains": "The answer has this in it",
    "unchanged": "The same after as before",
    "within": "Seconds after the experiment until which it must hold again",
    "for": "Of a stop rule: how long it must fail",
    "timeout": "Of one question",
}
_SCRIPT_HELP = {
    "on": "The proxy",
    "match": "Which exchanges it takes; without it all",
    "steps": "What happens to them, one after the other: 'pass 2, error(deadlock)'",
    "name": "What it is called on its proxy",
    "from": "When it begins, such as fault+10s; with the phase, if nothing is said",
    "until": "When it ends; with the phase, if nothing is said",
    "for": "How long it lasts, in place of until",
}


def schema() -> dict[str, Any]:
    """The schema of a whole file."""
    found = {
        "$schema": DIALECT,
        "title": "Rascal experiment",
        "description": "Load, faults and a verdict on one clock; docs/experiments.md",
        **_object({name: _member(name) for name in NAMES}),
        "patternProperties": {f"^{OTHERS}": {}},
        "required": ["target", "load"],
        "anyOf": [{"required": [name]} for name in ("faults", "scripts", "recipe")],
    }
    return found


def _member(name: str) -> dict[str, Any]:
    if name in OPTIONS:
        return _option(OPTIONS[name])
    return {"description": _HELP[name], **_MEMBERS[name]}


def _object(members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "additionalProperties": False}


def _one_or_more(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item}]}


def _option(option: Option) -> dict[str, Any]:
    """One value, as the reader takes it."""
    found: dict[str, Any] = {"description": option.help}
    if isinstance(option.type, tuple):
        found["enum"] = list(option.type)
    elif option.type == "flag":
        found["enum"] = [True, False, "yes", "no", "on", "off"]
    elif option.type in ("count", "positive"):
        found |= {"type": "integer", "minimum": int(option.type == "positive")}
    elif option.type == "duration":
        found |= {"type": "string", "pattern": DURATION}
    else:
        found["type"] = "string"
    return found


def _duration(help_: str, default: float | None = None) -> dict[str, Any]:
    found = {"type": "string", "pattern": DURATION, "description": help_}
    return {**found, "default": f"{default:g}s"} if default is not None else found


def _check() -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name in ("name", *WAYS, "at", "json", *TESTS):
        members[name] = {**SCALAR, "description": _CHECK_HELP.get(name, name.replace("_", " "))}
    for name in DURATIONS:
        members[name] = _duration(_CHECK_HELP[name])
    found = _object(members)
    found["oneOf"] = [{"required": [way]} for way in WAYS]
    return found


def _load() -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name in LOAD_NAMES:
        option = PLAN.get(name) or SHARE.get(name)
        members[name] = _option(option) if option else dict(_LOAD.get(name, SCALAR))
        if name in _LOAD_HELP:
            members[name]["description"] = _LOAD_HELP[name]
    return {**_object(members), "required": ["scenarios"]}


def _thresholds() -> dict[str, Any]:
    members = {}
    for field in attrs.fields(Thresholds):
        kind = "a share, such as 95%" if field.name in SHARES else "a number, or a time (3s)"
        members[field.name] = {
            "type": ["string", "number"],
            "description": f"{kind}; default {field.default:g}",
        }
    return _object(members)


_TEXT = {"type": "string"}
_TEXTS = _one_or_more(_TEXT)
_LOAD: dict[str, dict[str, Any]] = {
    "only": _TEXTS,
    "objectives": _TEXTS,
    "stop": _TEXTS,
    "labels": _TEXTS,
    "dependencies": _TEXTS,
    "profiles": {"type": "object"},
    "options": {"type": "object"},
    "headers": {"type": "object"},
}
_MEMBERS: dict[str, dict[str, Any]] = {
    "recipe": _TEXTS,
    "nodes": {
        "type": "object",
        "additionalProperties": {"type": "string", "pattern": "^https?://"},
    },
    "load": _load(),
    "phases": _object({name: _duration(f"Of {name}", DEFAULT_PHASES[name]) for name in PHASES}),
    "faults": _TEXTS,
    "scripts": _one_or_more(
        {
            **_object(
                {
                    name: {**(_TEXTS if name == "steps" else _TEXT), "description": help_}
                    for name, help_ in _SCRIPT_HELP.items()
                }
            ),
            "required": ["on", "steps"],
        }
    ),
    "uses": {"type": "object", "additionalProperties": _TEXTS},
    "deadlines": {"type": "object", "additionalProperties": _duration("Of this flow")},
    "objectives": _TEXTS,
    "stop": _one_or_more({"anyOf": [_TEXT, _check()]}),
    "invariants": _one_or_more(_check()),
    "expect": {
        "enum": [*(word for word in WORDS if word != "invalid"), *(f"exactly {w}" for w in WORDS)]
    },
    "thresholds": _thresholds(),
    "labels": _TEXTS,
}
