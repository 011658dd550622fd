"""The shapes of requests and answers, as JSON Schema (2020-12), for the OpenAPI document.

What the option tables and the registry know is taken from there. A text in the language has a
`format`, as no pattern says what a sentence is: rascal-fault, rascal-script, rascal-duration,
rascal-address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rascal.config.proxying import PLAIN
from rascal.config.registry import Registry
from rascal.config.tables import PROXY
from rascal.control._auth import ROLES
from rascal.control._draft import CHANGING
from rascal.control._schema import option_schema
from rascal.language import CLAUSES
from rascal.language.reader import LONGEST_NAME

Schema = dict[str, Any]

NAME = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number"}
SENTENCE: Schema = {"type": "string", "format": "rascal-fault"}
DURATION: Schema = {"type": "string", "format": "rascal-duration"}
ADDRESS: Schema = {"type": "string", "format": "rascal-address"}
A_NAME: Schema = {"type": "string", "pattern": NAME, "maxLength": LONGEST_NAME}
A_LEASE: Schema = {"type": "string", "pattern": NAME, "maxLength": 100}
ANYTHING: Schema = {"type": "object"}


def ref(name: str) -> Schema:
    """One of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def maybe(schema: Schema) -> Schema:
    """Or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def listed(schema: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": schema}


def named(schema: Schema) -> Schema:
    """An object whose names are those of things."""
    return {"type": "object", "additionalProperties": schema}


def exactly(properties: Mapping[str, Schema], *optional: str, about: str = "") -> Schema:
    """An object with these members and no other."""
    required = [name for name in properties if name not in optional]
    found: Schema = {"type": "object", "properties": dict(properties)}
    found["additionalProperties"] = False
    if required:
        found["required"] = required
    return found | ({"description": about} if about else {})


def components(registry: Registry) -> dict[str, Schema]:
    """All schemas that have a name."""
    return {**_answers(), **_requests(registry)}


# ---- answers

_SETTINGS: dict[str, Schema] = {
    "name": TEXT,
    "protocol": TEXT,
    "listen": listed(TEXT),
    "upstream": TEXT,
    "enabled": FLAG,
    "options": ANYTHING,
}
_BOOKS: dict[str, Schema] = {
    "matched": COUNT,
    "fired": COUNT,
    "reserved": COUNT,
    "waiting": COUNT,
    "skipped": named(COUNT),
}


def _answers() -> dict[str, Schema]:
    finding = {
        "type": TEXT,
        "title": TEXT,
        "pointer": {**TEXT, "description": "JSON pointer into the request"},
        "line": COUNT,
        "column": COUNT,
        "path": TEXT,
        "section": TEXT,
        "option": TEXT,
        "allowed": listed(TEXT),
    }
    return {
        "Problem": {
            "type": "object",
            "description": "RFC 9457: what is wrong, where, and what is allowed",
            "properties": {
                **finding,
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": TEXT,
                "errors": listed({"type": "object", "properties": finding}),
            },
            "required": ["type", "title", "status"],
        },
        "Proxy": exactly(
            _SETTINGS
            | {
                "addresses": {**listed(TEXT), "description": "where it listens in fact"},
                "connections": exactly({"open": COUNT, "total": COUNT}),
                "exchanges": COUNT,
                "faults": exactly({"installed": COUNT, "armed": COUNT}),
            }
        ),
        "Installed": _installed(),
        "Exchange": exactly(
            {
                "number": COUNT,
                "connection": COUNT,
                "n": {"type": "integer"},
                "client": TEXT,
                "command": TEXT,
                "at": {**SECONDS, "description": "when it began, seconds since 1970"},
                "seconds": SECONDS,
                "outcome": TEXT,
                "faults": listed(TEXT),
                "size": COUNT,
                "fields": ANYTHING,
            }
        ),
        "Exchanges": exactly({"total": COUNT, "kept": COUNT, "exchanges": listed(ref("Exchange"))}),
        "Connection": exactly(
            {
                "number": COUNT,
                "client": TEXT,
                "seconds": SECONDS,
                "idle": SECONDS,
                "state": TEXT,
                "ended_by": TEXT,
                "faults": listed(TEXT),
                "held_by": listed(TEXT),
            }
        ),
        "Counters": {
            "type": "object",
            "properties": {
                "connections": COUNT,
                "open": COUNT,
                "exchanges": COUNT,
                "to_upstream": COUNT,
                "to_client": COUNT,
                "dials": named(COUNT),
                "desyncs": COUNT,
                "raw": COUNT,
                "notes": named(COUNT),
                "ends": named(COUNT),
                "faults": named(exactly(_BOOKS)),
            },
            "required": ["connections", "open", "exchanges", "to_upstream", "to_client", "faults"],
        },
        "Panic": exactly({"on": FLAG, "by": TEXT, "since": maybe(SECONDS)}),
        "Seed": exactly({"seed": COUNT}),
        "Lease": exactly(
            {
                "id": TEXT,
                "seconds": SECONDS,
                "expires_in": SECONDS,
                "holds": {**listed(TEXT), "description": "PROXY/NAME of what is under it"},
            }
        ),
        "State": exactly(
            {
                "revision": COUNT,
                "seed": COUNT,
                "panic": ref("Panic"),
                "proxies": named(ref("Definition")),
                "leases": named(SECONDS),
            }
        ),
        "Definition": exactly(
            _SETTINGS | {name: named(ref("Defined")) for name in ("faults", "scripts", "recipes")}
        ),
        "Defined": exactly(
            {
                "form": TEXT,
                "text": TEXT,
                "enabled": FLAG,
                "lease": maybe(TEXT),
                "structure": ANYTHING,
            }
        ),
        "Reloaded": {
            "type": "object",
            "properties": {
                "summary": TEXT,
                "added": listed(TEXT),
                "removed": listed(TEXT),
                "changed": named(ANYTHING),
                "service": listed(TEXT),
            },
            "required": ["summary", "added", "removed", "changed", "service"],
        },
        "Kind": {
            "type": "object",
            "properties": {
                "name": TEXT,
                "summary": TEXT,
                "faithful": TEXT,
                "levels": listed(TEXT),
                "moments": listed(TEXT),
                "composes": FLAG,
                "directional": FLAG,
                "protocols": listed(TEXT),
                "options": {**ANYTHING, "description": "a JSON Schema"},
            },
            "required": ["name", "protocols", "options"],
        },
        "Protocol": {
            "type": "object",
            "properties": {
                "name": TEXT,
                "title": TEXT,
                "messages": FLAG,
                "greets": FLAG,
                "part": maybe(TEXT),
                "options": {**ANYTHING, "description": "a JSON Schema"},
            },
            "required": ["name", "title", "messages", "greets", "fields", "errors", "kinds"],
        },
        "Recipe": exactly(
            {"name": TEXT, "summary": TEXT, "protocols": listed(TEXT), "options": ANYTHING}
        ),
        "Checked": exactly(
            {
                "name": TEXT,
                "form": {"enum": ["fault", "roulette", "script", "recipe"]},
                "text": {**TEXT, "description": "the sentence"},
                "match": {**TEXT, "description": "its match, as a sentence has it"},
                "enabled": FLAG,
                "structure": ANYTHING,
                "says": {**TEXT, "description": "in plain words what it would do"},
            }
        ),
        "Health": exactly({"status": {"const": "ok"}}),
    }


def _installed() -> Schema:
    state = {
        "name": TEXT,
        "form": {"enum": ["fault", "roulette", "script", "recipe"]},
        "text": {**TEXT, "description": "the sentence"},
        "structure": ANYTHING,
        "enabled": FLAG,
        "armed": {**FLAG, "description": "enabled, not expired and not used up"},
        "lease": maybe(TEXT),
        "enables_in": maybe(SECONDS),
        "expires_in": maybe(SECONDS),
        "used": COUNT,
        "hits": {**listed(COUNT), "description": "the latest match numbers that were struck"},
        **_BOOKS,
        "steps": listed(exactly({"n": COUNT, "text": TEXT, "state": TEXT})),
        "reached": COUNT,
        "unused": listed(COUNT),
        "void": listed(COUNT),
        "match": TEXT,
        "parts": named(ref("Installed")),
        "recipe": {**TEXT, "description": "whose part it is"},
    }
    always = ("name", "form", "text", "structure", "enabled", "armed", *_BOOKS)
    return exactly(state, *(name for name in state if name not in always))


# ---- requests


def _requests(registry: Registry) -> dict[str, Schema]:
    clauses = {
        name: {"description": f"the clause {name}"}
        for name in CLAUSES
        if name not in ("on", "from", "until", "enabled", "name", "count", "skip", "every")
    }
    counts: Schema = {"type": "integer", "minimum": 1}
    common: dict[str, Schema] = {
        "name": A_NAME,
        "enabled": FLAG,
        "count": counts,
        "skip": {"type": "integer", "minimum": 0},
        "every": counts,
    }
    terms: dict[str, Schema] = {"enable_in": DURATION, "lease": ref("LeaseWish")}
    words = {**common, **clauses, **terms}
    kinds = sorted({name for one in registry.protocols.values() for name in registry.kinds(one)})
    kind: Schema = {"enum": kinds}
    options = {**ANYTHING, "description": "see /api/v1/kinds"}
    said = exactly({"text": SENTENCE, **words}, *words, about="a sentence with clauses beside it")
    built = exactly({"kind": kind, "options": options, **words}, "options", *words)
    shares = {"roulette": {"anyOf": [SENTENCE, listed(ref("Step"))]}}
    whole = {"name": A_NAME, "enabled": FLAG, **terms}
    roulette = exactly({**shares, **whole}, *whole)
    text: Schema = {"type": "string", "format": "rascal-script"}
    steps = {"steps": {"anyOf": [text, listed(ref("Step"))]}}
    script = {"match": {"type": ["string", "array"]}, "text": TEXT, **whole}
    changes = {**words, "kind": kind, "options": options, "text": SENTENCE, **shares, **steps}
    every = [option for option in PROXY.values() if option.name not in PLAIN]
    every += [o for one in registry.protocols.values() for o in one.options.values()]
    proxy = {
        "name": A_NAME,
        "protocol": {"enum": list(registry.protocols)},
        "listen": {"anyOf": [ADDRESS, {**listed(ADDRESS), "minItems": 1, "maxItems": 100}]},
        "upstream": ADDRESS,
        "enabled": FLAG,
        "options": exactly(
            {one.name: maybe(option_schema(one)) for one in every}, *(o.name for o in every)
        ),
    }
    rest = {name: schema for name, schema in proxy.items() if name != "name"}
    return {
        "Fault": {"anyOf": [SENTENCE, said, built, roulette]},
        "Script": {
            "anyOf": [
                {"type": "string", "format": "rascal-script"},
                exactly({**steps, **script}, *script),
            ]
        },
        "NewRecipe": {
            "anyOf": [
                {"type": "string", "format": "rascal-recipe"},
                exactly({"text": {"type": "string", "format": "rascal-recipe"}, **terms}, *terms),
            ]
        },
        "Step": {
            "anyOf": [
                SENTENCE,
                exactly(
                    {"kind": {"enum": [*kinds, "pass"]}, **words, "options": options},
                    "options",
                    *words,
                ),
            ]
        },
        "Change": {
            "description": "a merge patch, or another sentence",
            "anyOf": [
                SENTENCE,
                {
                    "type": "object",
                    "properties": {
                        name: maybe(schema) if name != "text" else schema
                        for name, schema in changes.items()
                    },
                    "additionalProperties": False,
                },
            ],
        },
        "LeaseWish": {
            "description": "a name, a duration (15s is usual), or both; null: under none",
            "anyOf": [
                A_LEASE,
                DURATION,
                exactly({"id": A_LEASE, "for": DURATION}, "for"),
                exactly({"for": DURATION}),
                {"type": "null"},
            ],
        },
        "NewProxy": exactly(proxy, "enabled", "options"),
        "ProxyChange": exactly(rest, *rest),
        "Lever": exactly({"on": FLAG, "by": {"type": "string", "maxLength": 200}}, "by"),
        "NewSeed": exactly({"seed": maybe({**COUNT, "maximum": 10**15 - 1})}),
        "Renewal": exactly({"for": DURATION}, "for"),
        "Nothing": {"type": "object", "maxProperties": 0},
        "Changes": {
            **listed(
                exactly(
                    {
                        "method": {"enum": list(CHANGING)},
                        "path": {"type": "string", "pattern": "^/api/v1/proxies(/|$)"},
                        "data": {"description": "as the request to that path would hold it"},
                    },
                    "data",
                )
            ),
            "maxItems": 1000,
        },
    }


def roles() -> list[str]:
    """Who may call."""
    return list(ROLES)
