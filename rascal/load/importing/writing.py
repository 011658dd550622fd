"""Python of recorded steps: a scenario file that a person can read, edit and keep."""

from __future__ import annotations

import keyword
import pprint
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from rascal.load.importing.steps import SECRET, Recorded, Recording, Step

WIDTH = 96


def scenario_text(recorded: Recorded, file: str = "imported.py") -> str:
    """The whole file; it is valid Python and runs as it is, once its options have values."""
    secrets = secrets_of(recorded)
    target = recorded.target or "http://127.0.0.1:8080"
    head = [f"Made of {recorded.origin}. Read it through before it runs.", ""]
    head += [f"rascal load run {file} --target {target} --rate 10/s --for 60s"]
    if recorded.notes:
        head += ["", "Look at this:"]
        head += [part for note in recorded.notes for part in _folded(f"- {note}")]
    text = "\n".join(_doc_safe(line) for line in head)
    names = "Option, scenario" if secrets else "scenario"
    out = [f'"""{text}\n"""', "", f"from rascal.load import {names}"]
    if secrets:
        out.append("")
    for name, about in secrets.items():
        out.append(f'{name} = Option("{name}", str, "", {_literal(about)})')
    taken: set[str] = set()
    for one in recorded.recordings:
        out += ["", "", *_scenario(one, secrets, taken)]
    return "\n".join(out) + "\n"


def _folded(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ") or [text]


def _doc_safe(text: str) -> str:
    return (
        "".join(ch if ch.isprintable() else " " for ch in text)
        .replace("\\", "/")
        .replace('"""', "'''")
    )


def secrets_of(recorded: Recorded) -> dict[str, str]:
    """Options for what does not belong into a file, by name."""
    found: dict[str, str] = {}
    for step in (step for one in recorded.recordings for step in one.steps):
        for header in step.headers:
            if header.lower() in SECRET or step.headers[header] == "secret":
                found[_identifier(header)] = f"The header {header}"
        if step.auth:
            found["password"] = f"The password of {step.auth}"
    return found


def _identifier(text: str, fallback: str = "step") -> str:
    name = re.sub(r"\W+", "_", text.encode("ascii", "replace").decode()).strip("_").lower()[:60]
    if not name or name[0].isdigit():
        name = f"{fallback}_{name}".rstrip("_")
    return f"{name}_" if keyword.iskeyword(name) or name in ("scenario", "user") else name


def _scenario(one: Recording, secrets: dict[str, str], taken: set[str]) -> Iterator[str]:
    function = _identifier(one.name, "scenario")
    while function in taken or function in secrets:
        function += "_2"
    taken.add(function)
    weight = f", weight={one.weight}" if one.weight != 1 else ""
    yield f"@scenario({_literal(one.name)}{weight})"
    yield f"async def {function}(user):"
    if one.about:
        about = _doc_safe(" ".join(one.about.split()))[:WIDTH]
        yield f'    """{about.rstrip(chr(34))}"""'
    for step in one.steps:
        if step.think:
            yield f'    await user.think("{_seconds(step.think)}")'
        yield from _request(step, secrets)


def _seconds(value: float) -> str:
    return f"{round(value * 10) / 10:g}s" if value >= 1 else f"{round(value, 1) * 1000:.0f}ms"


def _request(step: Step, secrets: dict[str, str]) -> Iterator[str]:
    verb = step.method.lower()
    known = verb in ("get", "post", "put", "patch", "delete", "head", "options")
    words = [] if known else [_literal(step.method)]
    words += [_literal(step.path), f"name={_literal(step.name)}"]
    if step.headers:
        words.append(f"headers={_headers(step.headers, secrets)}")
    if step.has_json:
        words.append(f"json={_literal(step.json)}")
    elif step.data is not None:
        data = step.data if isinstance(step.data, str) else dict(step.data)
        words.append(f"data={_literal(data)}" + (".encode()" if isinstance(data, str) else ""))
    if step.auth:
        words.append(f"auth=({_literal(step.auth)}, str(password))")
    if not step.redirects:
        words.append("allow_redirects=False")
    call = f"await user.{verb if known else 'request'}"
    reply = "reply = " if step.status else ""
    line = f"    {reply}{call}({', '.join(words)})"
    if len(line) <= WIDTH and "\n" not in line:
        yield line
    else:
        yield f"    {reply}{call}("
        for word in words:
            yield textwrap.indent(f"{word},", " " * 8)
        yield "    )"
    if step.status:
        yield f"    reply.check(status={step.status})"


def _headers(headers: Any, secrets: dict[str, str]) -> str:
    parts = []
    for name, value in headers.items():
        option = _identifier(name)
        parts.append(
            f"{_literal(name)}: {f'str({option})' if option in secrets else _literal(value)}"
        )
    return "{" + ", ".join(parts) + "}"


def _literal(value: Any) -> str:
    """A Python literal, strings in double quotes where that needs no backslash."""
    if isinstance(value, str):
        plain = value.isprintable() and '"' not in value and "\\" not in value
        return f'"{value}"' if plain else repr(value)
    return pprint.pformat(value, width=WIDTH - 16, sort_dicts=False)
