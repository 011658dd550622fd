"""Files of `NAME=value` lines: .env of a project, env_file of a service.

Quotes: "…" may hold \\n, \\t, \\" and variables, '…' is taken as it stands; both may run over
lines. Outside quotes ` #` begins a comment. `export NAME=…` and `NAME: value` are taken too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rascal.errors import ConfigError
from rascal.wrapping.interpolation import Unreadable, Variables

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*(?:[=:]\s*(.*?))?\s*", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


def read_env(path: Path, shown: str, around: Mapping[str, str]) -> dict[str, str]:
    """The values of a file; those around it are used for variables in it.

    Raises:
        ConfigError: it cannot be read, or a line is no assignment.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"cannot be read: {why}", path=shown) from error
    found: dict[str, str] = {}
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = _LINE.fullmatch(line)
        if not parts:
            message = f"'{line.strip()}' is not 'NAME=value'"
            raise ConfigError(message, path=shown, line=number)
        name, value = parts[1], parts[2]
        if value is None:  # a bare name: the value around it, if there is one
            if name in around:
                found[name] = around[name]
            continue
        quote = value[:1] if value[:1] in ("'", '"') else ""
        while quote and _end(value, quote) < 0 and at < len(lines):
            value += "\n" + lines[at]
            at += 1
        found[name] = _value(value, quote, {**found, **around}, shown, number)
    return found


def _end(value: str, quote: str) -> int:
    """Where the quoted text ends; -1 if it does not."""
    index = 1
    while index < len(value):
        if quote == '"' and value[index] == "\\":
            index += 2
            continue
        if value[index] == quote:
            return index
        index += 1
    return -1


def _value(value: str, quote: str, values: Mapping[str, str], shown: str, line: int) -> str:
    end = _end(value, quote) if quote else -1
    if quote == "'" and end > 0:
        return value[1:end]
    if quote and end > 0:
        inner = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), value[1:end], flags=re.DOTALL)
    else:
        inner = re.split(r"\s#", value, maxsplit=1)[0].strip()
    try:
        return Variables(values)._text(inner, None, 20)
    except Unreadable:
        return inner  # older versions take such a text as it stands
