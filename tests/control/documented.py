"""Holds every answer of the tests to the OpenAPI document."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from asking import Answer, Asker

_PARAMETER = re.compile(r"\{\w+\}")


@cache
def document() -> dict[str, Any]:
    from rascal.control._openapi import described

    return described()


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """The longest, most definite first."""
    paths = sorted(document()["paths"].items(), key=lambda item: item[0].count("{"))
    return [
        (re.compile("[^/]+".join(map(re.escape, _PARAMETER.split(path)))), methods)
        for path, methods in paths
    ]


@cache
def _validator(reference: str) -> Any:
    import jsonschema_rs

    schema = json.loads(reference) | {"components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


def check(method: str, target: str, answer: Answer) -> None:
    """Assert that the document allows this answer to such a request."""
    path = urlsplit(target).path
    found = [methods for pattern, methods in _paths() if pattern.fullmatch(path)]
    if not found or method.lower() not in found[0]:
        return  # no address of the API, or HEAD and OPTIONS
    known = found[0][method.lower()]["responses"]
    assert str(answer.status) in known, f"{method} {target}: {answer.status} is not documented"
    said = known[str(answer.status)]
    if "$ref" in said:
        said = document()["components"]["responses"][said["$ref"].rpartition("/")[2]]
    content = said.get("content")
    if not content:
        assert answer.body == b""
        return
    kind = answer.headers["content-type"]
    assert kind in content, f"{method} {target}: {kind} is not documented"
    for name, header in said.get("headers", {}).items():
        assert not header["required"] or name.lower() in answer.headers, name
    if "json" in kind:
        validator = _validator(json.dumps(content[kind]["schema"]))
        wrong = [f"{error.instance_path}: {error.message}" for error in
                 validator.iter_errors(answer.json)]  # fmt: skip
        assert not wrong, f"{method} {target}: {wrong[:3]}"


class Documented(Asker):
    """Asks, and holds what comes back to the document."""

    def __call__(self, method: str, path: str, *args: Any, **more: Any) -> Answer:
        answer = super().__call__(method, path, *args, **more)
        check(method, path, answer)
        return answer
