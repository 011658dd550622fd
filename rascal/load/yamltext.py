"""YAML as people write it here: every scalar is the text that stands there, with its place.

`no`, `1:30`, `012` and `20%` arrive as written; the place of a value decides its type later
(docs/language.md). Mappings keep no key twice; anchors, aliases and tags are refused, because a
file that is read by people should say what it means where it means it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from rascal.config.ini import VARIABLE
from rascal.errors import ConfigError, ConfigErrors

LIMIT = 1 << 20
"""Characters of a file."""
_HINT = "a text that begins with \" ' % * & ! [ { > | @ or holds ': ' or ' #' stands in quotes"
_YAML = "tag:yaml.org,2002:"
_PLAIN = ["str", "int", "float", "bool", "null", "timestamp", "merge", "value", "map", "seq"]
"""What YAML takes plain scalars for; all of it is text here."""


class Text(str):
    """A scalar with the place where it begins."""

    __slots__ = ("column", "line", "style")

    line: int
    column: int
    style: str
    """"" (plain), a quote, or | and > (a block, whose text begins one line further down)."""

    @classmethod
    def at(cls, text: str, line: int, column: int, style: str = "") -> Text:
        """Make one; line and column count from 1."""
        made = cls(text)
        made.line, made.column, made.style = line, column, style
        return made


class Block(dict[str, Any]):
    """A mapping with the place where it begins; its keys are Text."""

    line: int = 0
    column: int = 0


class Items(list[Any]):
    """A sequence with the place where it begins."""

    line: int = 0
    column: int = 0


def read_yaml(text: str, path: str) -> Any:
    """The one document of a file as Block, Items and Text; None if it is empty.

    Raises ConfigErrors: all double keys, or the first thing that is not YAML.
    """
    if len(text) > LIMIT:
        raise ConfigErrors([ConfigError(f"longer than {LIMIT} characters", path=path)])
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(error.problem or error.context or "cannot be read").split())
        raise ConfigErrors(
            [
                ConfigError(
                    f"this is not YAML: {what}; {_HINT}",
                    path=path,
                    line=mark.line + 1 if mark else None,
                    column=mark.column + 1 if mark else None,
                    code="yaml",
                )
            ]
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        what = " ".join(str(error).split()) or "nested too deeply"
        raise ConfigErrors([ConfigError(f"this is not YAML: {what}", path=path)]) from error
    findings: list[ConfigError] = []
    found = _value(node, path, findings, set()) if node is not None else None
    if findings:
        raise ConfigErrors(findings)
    return found


def resolved(found: Any, path: str, environ: Mapping[str, str], used: dict[str, str]) -> Any:
    """The same with the environment's values in place of `${NAME}`, as in INI files.

    Args:
        found: what read_yaml gave.
        path: the file, for findings.
        environ: the environment.
        used: takes the variables that were there, and their values.

    Raises:
        ConfigErrors: names that the environment does not have.
    """
    findings: list[ConfigError] = []

    def text(value: Text) -> Text:
        def replaced(match: re.Match[str]) -> str:
            name = match[1]
            if name is None:
                return "${"
            if name in environ:
                used[name] = environ[name]
                return environ[name]
            if match[2] is None:
                message = f"the environment has no '{name}'; for the plain text write $${{{name}}}"
                findings.append(ConfigError(message, path=path, value=match[0], **place(value)))
            return match[2] or ""

        if "${" not in value:
            return value
        return Text.at(VARIABLE.sub(replaced, value), value.line, value.column, value.style)

    def walk(value: Any) -> Any:
        if isinstance(value, Text):
            return text(value)
        if isinstance(value, Items):
            value[:] = [walk(item) for item in value]
        elif isinstance(value, Block):
            for key, item in value.items():
                value[key] = walk(item)
        return value

    made = walk(found)
    if findings:
        raise ConfigErrors(findings)
    return made


def place(value: Any) -> dict[str, Any]:
    """`line` and `column` of a value, for ConfigError; nothing if it is from elsewhere."""
    if getattr(value, "line", 0):
        return {"line": value.line, "column": value.column}
    return {}


def _value(node: Any, path: str, findings: list[ConfigError], seen: set[int]) -> Any:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1

    def wrong(message: str, code: str = "yaml") -> None:
        findings.append(ConfigError(message, path=path, line=line, column=column, code=code))

    if id(node) in seen:
        wrong("an alias (*name) means what stands here: write it again there instead")
        return None
    seen.add(id(node))
    if node.tag.removeprefix(_YAML) not in _PLAIN:
        wrong(f"tags are not used here: '{node.tag.replace(_YAML, '!!')}'; {_HINT}")
    if isinstance(node, yaml.ScalarNode):
        return Text.at(node.value, line, column, node.style or "")
    if isinstance(node, yaml.SequenceNode):
        items = Items(_value(item, path, findings, seen) for item in node.value)
        items.line, items.column = line, column
        return items
    block = Block()
    block.line, block.column = line, column
    for name, given in node.value:
        line, column = name.start_mark.line + 1, name.start_mark.column + 1
        if not isinstance(name, yaml.ScalarNode):
            wrong("a name is one word or text")
            continue
        key = Text.at(name.value, line, column, name.style or "")
        if key in block:
            first = next(known for known in block if known == key)
            wrong(f"'{key}' stands twice, first in line {place(first)['line']}", "given-twice")
            continue
        block[key] = _value(given, path, findings, seen)
    return block
