"""OpenAPI 3.0 and 3.1 descriptions, JSON or YAML: one scenario an operation.

Values come from the description's own examples, defaults and enumerations, else from the schema.
GET and HEAD are taken; what changes data only if its method is named.
Source: the OpenAPI Specification 3.0.4 and 3.1.1 (paths, parameters, request bodies).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from rascal.errors import ConfigError
from rascal.load.importing.steps import Recorded, Recording, Step, origin_of

METHODS = ("get", "head", "options", "post", "put", "patch", "delete", "trace")
SAFE = ("get", "head")
DEEPEST = 12
LARGEST = 2_000
"""Values in one example; a schema that refers to itself would go on for ever."""


def read_openapi(path: str, data: Any, *, methods: Sequence[str] = ()) -> Recorded:
    """The operations of a description."""
    if not isinstance(data, dict) or not str(data.get("openapi", "")).startswith("3."):
        raise ConfigError("this is not an OpenAPI 3 description (openapi: 3.x)", path=path)
    if not isinstance(data.get("paths"), dict):
        raise ConfigError("this description has no paths", path=path)
    wanted = {*SAFE, *(method.lower() for method in methods)}
    unknown = wanted - set(METHODS)
    if unknown:
        raise ConfigError(
            f"'{sorted(unknown)[0]}' is not a method; methods: {', '.join(METHODS)}",
            allowed=METHODS,
        )
    document = _Document(path, data)
    target, prefix = document.server()
    notes: list[str] = []
    found: dict[str, Recording] = {}
    left: dict[str, int] = {}
    for route, method, operation, shared in document.operations():
        if method not in wanted:
            left[method] = left.get(method, 0) + 1
            continue
        step, missing = document.step(prefix + route, method, operation, shared)
        if missing:
            notes.append(f"{method.upper()} {route}: {missing}")
            continue
        name = _name(operation, method, route)
        while name in found:
            name += "_2"
        about = str(operation.get("summary", "")).strip()
        found[name] = Recording(name=name, steps=(step,), about=about)
    for method, count in left.items():
        notes.append(f"left out: {count} {method.upper()} (--method {method} takes them)")
    return Recorded(
        recordings=tuple(found.values()),
        target=target,
        origin="an OpenAPI description",
        notes=tuple(notes),
    )


def _name(operation: Mapping[str, Any], method: str, route: str) -> str:
    name = str(operation.get("operationId") or f"{method}_{route}")
    return re.sub(r"\W+", "_", name).strip("_").lower()[:60] or method


class _Document:
    """A description with its references."""

    def __init__(self, path: str, data: Mapping[str, Any]) -> None:
        self.path = path
        self.data = data
        self._values = 0

    def server(self) -> tuple[str, str]:
        """Origin and path of the first server, variables at their defaults."""
        servers = self.data.get("servers")
        first = self.at(servers[0]) if isinstance(servers, list) and servers else {}
        variables = self.at(first.get("variables"))
        url = str(first.get("url", ""))
        for name, variable in variables.items():
            url = url.replace("{" + str(name) + "}", str(self.at(variable).get("default", "")))
        origin = origin_of(url)
        return origin, urlsplit(url).path.rstrip("/") if url else ""

    def at(self, value: Any, depth: int = 0) -> dict[str, Any]:
        """A mapping, behind its references (within this document)."""
        if not isinstance(value, dict):
            return {}
        reference = value.get("$ref")
        if reference is None:
            return value
        if not str(reference).startswith("#/") or depth > DEEPEST:
            raise ConfigError(
                f"the reference '{reference}' leads out of this file or in circles", path=self.path
            )
        found: Any = self.data
        for part in str(reference)[2:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            found = found.get(part) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise ConfigError(f"the reference '{reference}' leads nowhere", path=self.path)
        return self.at(found, depth + 1)

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any], list[Any]]]:
        """Route, method, operation, and the parameters that all operations of the route have."""
        for route, item in self.data["paths"].items():
            known = self.at(item)
            shared = known.get("parameters")
            for method in METHODS:
                if isinstance(known.get(method), dict):
                    yield str(route), method, known[method], shared if shared else []

    def step(
        self, route: str, method: str, operation: Mapping[str, Any], shared: list[Any]
    ) -> tuple[Step, str]:
        """The request, and what is missing if it cannot be made."""
        query: dict[str, Any] = {}
        headers: dict[str, str] = {}
        flow = route
        own = operation.get("parameters")
        parameters = {
            (one.get("in"), one.get("name")): one
            for one in (self.at(p) for p in [*shared, *(own if isinstance(own, list) else [])])
        }
        for (where, name), parameter in parameters.items():
            if where != "path" and not parameter.get("required"):
                continue
            value = self.value(parameter)
            if where == "path":
                route = route.replace("{" + str(name) + "}", quote(_text(value), safe=""))
            elif where == "query":
                query[str(name)] = value if isinstance(value, list) else _text(value)
            elif where == "header":
                headers[str(name)] = _text(value)
        if "{" in route:
            route = re.sub(r"\{[^}]*\}", "1", route)
        body, has_body, missing = self.body(operation)
        if query:
            route += "?" + urlencode(query, doseq=True)
        headers |= self.secrets(operation)
        step = Step(
            method=method.upper(),
            path=route,
            name=f"{method.upper()} {flow}",
            headers=headers,
            json=body,
            has_json=has_body,
            status=_status(operation),
        )
        return step, missing

    def secrets(self, operation: Mapping[str, Any]) -> dict[str, str]:
        """The header of the first way to prove who one is, without a value."""
        needs = operation.get("security", self.data.get("security"))
        schemes = self.at(self.at(self.data.get("components")).get("securitySchemes"))
        for name in (n for one in (needs or ()) if isinstance(one, dict) for n in one):
            scheme = self.at(schemes.get(name))
            if scheme.get("type") == "apiKey" and scheme.get("in") == "header":
                return {str(scheme.get("name")): "secret"}
            if scheme.get("type") in ("http", "oauth2", "openIdConnect"):
                return {"Authorization": "secret"}
        return {}

    def body(self, operation: Mapping[str, Any]) -> tuple[Any, bool, str]:
        """The body as JSON, whether there is one, and what is missing."""
        given = self.at(operation.get("requestBody"))
        content = self.at(given.get("content"))
        if not content:
            return None, False, ""
        media = next((m for m in content if "json" in str(m)), None)
        if media is None:
            needed = f"its body is {', '.join(map(str, content))}, not JSON"
            return None, False, needed if given.get("required") else ""
        return self.value(self.at(content[media])), True, ""

    def value(self, owner: Mapping[str, Any], depth: int = 0) -> Any:
        """An example of a parameter, a body or a schema."""
        self._values = 0
        if "example" in owner:
            return owner["example"]
        examples = owner.get("examples")
        if isinstance(examples, dict) and examples:
            first = self.at(next(iter(examples.values())))
            if "value" in first:
                return first["value"]
        if isinstance(examples, list) and examples:
            return examples[0]
        return self.sample(self.at(owner.get("schema")) or owner, depth)

    def sample(self, schema: Mapping[str, Any], depth: int = 0) -> Any:
        """The plainest value that a schema allows."""
        for name in ("example", "default", "const"):
            if name in schema:
                return schema[name]
        for name in ("enum", "examples"):
            if isinstance(schema.get(name), list) and schema[name]:
                return schema[name][0]
        self._values += 1
        if depth > DEEPEST or self._values > LARGEST:
            return None
        for name in ("oneOf", "anyOf"):
            if isinstance(schema.get(name), list) and schema[name]:
                return self.sample(self.at(schema[name][0]), depth + 1)
        parts = schema.get("allOf")
        if isinstance(parts, list):
            merged: dict[str, Any] = {}
            for part in parts:
                one = self.sample(self.at(part), depth + 1)
                merged |= one if isinstance(one, dict) else {}
            return merged
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) and kind else kind
        if kind == "object" or "properties" in schema:
            return self._object(schema, depth)
        if kind == "array":
            return [self.sample(self.at(schema.get("items")), depth + 1)]
        return _plain(kind, schema)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required")
        wanted = required if isinstance(required, list) else []
        properties = schema.get("properties")
        known = properties if isinstance(properties, dict) else {}
        chosen = [name for name in known if name in wanted] if wanted else list(known)
        return {name: self.sample(self.at(known[name]), depth + 1) for name in chosen}


def _plain(kind: Any, schema: Mapping[str, Any]) -> Any:
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    if kind == "boolean":
        return True
    formats = {
        "date": "2026-01-01",
        "date-time": "2026-01-01T00:00:00Z",
        "uuid": "00000000-0000-4000-8000-000000000000",
        "email": "user@example.com",
        "uri": "http://example.com/",
    }
    text = formats.get(str(schema.get("format")), "text")
    least = schema.get("minLength")
    return text.ljust(least, "x") if isinstance(least, int) and least < 1000 else text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _status(operation: Mapping[str, Any]) -> int | None:
    replies = operation.get("responses")
    for status in replies if isinstance(replies, dict) else ():
        if re.fullmatch(r"2\d\d", str(status)):
            return int(status)
    return None
