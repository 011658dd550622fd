"""The page about the control API, written from its OpenAPI document and its modules' docstrings."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

SECTIONS = (
    ("Proxies", "_proxies", r"/api/v1/proxies(/\{proxy\}(/(connections|exchanges).*)?)?$"),
    (
        "Faults, scripts, recipes",
        "_faults",
        r"/api/v1/(faults|proxies/.*/(faults|scripts|recipes).*)$",
    ),
    ("The state as a whole", "_state", r"/api/v1/(state|export)$"),
    ("Leases", "_leases", r"/api/v1/leases.*"),
    ("The node", "_node", r"/(api/v1/(counters|panic|seed|reload)|healthz|readyz)$"),
    ("What there is", "_kinds", r"/api/v1/(kinds|protocols|recipes).*"),
)
"""Titles, the modules whose docstrings say more, and the addresses, in this order."""

OTHERS = "Everything else"
ROLES = {"viewer": "everybody", "operator": "operators", "admin": "admins"}


def control_page() -> str:
    """The whole page."""
    from rascal.control._openapi import described

    document = described()
    about = document["info"]["description"]
    parts = [f"# The control API\n\n{about}\n"]
    parts.append(
        "The service itself serves the OpenAPI 3.1 document of what follows at `/openapi.json`.\n"
    )
    for title, module, paths in _sections(document):
        parts.append(f"## {title}\n")
        if module:
            parts.append(_told(module))
        parts.append(_table(paths))
    parts.append("## Shapes\n\nWhat stands in requests and answers, as JSON Schema.\n")
    for name, schema in sorted(document["components"]["schemas"].items()):
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        parts.append(f"### {name}\n\n```json\n{text}\n```\n")
    return "\n".join(parts)


def _sections(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    left = dict(document["paths"])
    for title, module, pattern in SECTIONS:
        found = {path: left.pop(path) for path in list(left) if re.fullmatch(pattern, path)}
        yield title, module, found
    if left:
        yield OTHERS, "", left


def _told(module: str) -> str:
    """A module's docstring without its first line and its list of addresses."""
    text = inspect.cleandoc(import_module(f"rascal.control.{module}").__doc__ or "")
    routes = re.compile(r"\s*(GET|POST|PUT)\b")
    blocks = [block for block in text.split("\n\n")[1:] if not routes.match(block)]
    shown = []
    for block in blocks:
        code = block.startswith("    ")
        shown.append(f"```json\n{inspect.cleandoc(block)}\n```" if code else block)
    return re.sub(r"\s*\(rascal\.[\w.]+\)", "", "\n\n".join(shown)) + "\n"


def _table(paths: Mapping[str, Any]) -> str:
    lines = ["| request | what it does | body | answer | who |", "| --- | --- | --- | --- | --- |"]
    for path, methods in paths.items():
        for method, one in methods.items():
            query = [p["name"] for p in one["parameters"] if p["in"] == "query"]
            asked = f"?{'&'.join(f'{name}=' for name in query)}" if query else ""
            bodies = one.get("requestBody", {}).get("content", {})
            body = _name(next(iter(bodies.values()))["schema"]) if bodies else ""
            status, answer = next(iter(one["responses"].items()))
            kind, content = next(iter(answer["content"].items()))
            given = _name(content["schema"]) if kind == "application/json" else kind
            lines.append(
                f"| `{method.upper()} {path}{asked}` | {one['summary']} | {body} | "
                f"{status} {given} | {ROLES[one['x-role']]} |"
            )
    return "\n".join(lines) + "\n"


def _name(schema: Mapping[str, Any]) -> str:
    """A schema in a word."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        return f"{_name(inner)} by name"
    return str(schema.get("type", "anything"))
