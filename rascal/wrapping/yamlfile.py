"""YAML of Compose files: every scalar as it stands there, with its place and its style.

Unlike rascal.load.yamltext this takes all that YAML has (anchors, merge keys, Compose's !reset and
!override), because these files are other people's. What is not changed is written as it was read:
`yes` stays a plain word and "yes" stays in quotes, so that every version of Compose makes of the
copy what it made of the original.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml
from yaml.resolver import Resolver

from rascal.errors import ConfigError, ConfigErrors

LIMIT = 1 << 21
"""Characters of a file."""
NODES = 200_000
"""Values of a file once its aliases are written out; a file of many aliases grows fast."""
NULLS = ("", "~", "null", "Null", "NULL")
TAGS = ("!reset", "!override")
"""What Compose has of its own: of a value that replaces, and of one that takes away."""
_MERGE = "tag:yaml.org,2002:merge"
_YAML = "tag:yaml.org,2002:"


class Text(str):
    """A scalar: what stands there, where, and in which quotes."""

    __slots__ = ("column", "line", "path", "style", "tag")

    path: str
    line: int
    column: int
    style: str
    """"" (plain), a quote, or | and > (a block)."""
    tag: str

    @classmethod
    def of(cls, text: str, like: Any = None, style: str | None = None, tag: str = "") -> Text:
        """A text at the place of another value; in its style, unless another is given."""
        made = cls(text)
        made.path, made.line = getattr(like, "path", ""), getattr(like, "line", 0)
        made.column = getattr(like, "column", 0)
        made.style = getattr(like, "style", "") if style is None else style
        made.tag = tag
        return made


class Block(dict[str, Any]):
    """A mapping; its keys are Text."""

    path: str = ""
    line: int = 0
    column: int = 0
    tag: str = ""

    @classmethod
    def of(cls, values: Any = (), like: Any = None) -> Block:
        """A mapping at the place of another value."""
        made = cls(values)
        _place(made, like)
        return made


class Items(list[Any]):
    """A sequence."""

    path: str = ""
    line: int = 0
    column: int = 0
    tag: str = ""

    @classmethod
    def of(cls, values: Iterable[Any] = (), like: Any = None) -> Items:
        """A sequence at the place of another value."""
        made = cls(values)
        _place(made, like)
        return made


def _place(made: Block | Items, like: Any) -> None:
    made.path, made.line = getattr(like, "path", ""), getattr(like, "line", 0)
    made.column = getattr(like, "column", 0)


def wrong(message: str, at: Any, path: str = "") -> ConfigError:
    """A finding at the place of a value."""
    return ConfigError(
        message,
        path=getattr(at, "path", "") or path or None,
        line=getattr(at, "line", 0) or None,
        column=getattr(at, "column", 0) or None,
    )


def is_null(value: Any) -> bool:
    """Whether nothing stands there."""
    return value is None or (
        isinstance(value, Text) and not value.style and value in NULLS and value.tag != "!override"
    )


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, dict):
        return "'name: value' lines"
    if isinstance(value, list):
        return "a list"
    return "nothing" if is_null(value) else f"'{value}'"


def read(text: str, path: str) -> Any:
    """The document of a file as Block, Items and Text; None if it is empty. Raises ConfigErrors."""
    if len(text) > LIMIT:
        raise ConfigErrors([ConfigError(f"longer than {LIMIT} characters", path=path)])
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(error.problem or error.context or "cannot be read").split())
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        message = f"this is not YAML: {what}"
        finding = ConfigError(message, path=path, line=line, column=column, code="yaml")
        raise ConfigErrors([finding]) from error
    except (yaml.YAMLError, RecursionError) as error:
        what = " ".join(str(error).split()) or "nested too deeply"
        raise ConfigErrors([ConfigError(f"this is not YAML: {what}", path=path)]) from error
    if len(documents) > 1:
        message = "several documents ('---') in one file: Compose takes one"
        line = documents[1].start_mark.line + 1
        raise ConfigErrors([ConfigError(message, path=path, line=line)])
    return _Reader(path).value(documents[0]) if documents else None


class _Reader:
    """Turns nodes into values; an alias is written out where it stands."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.count = 0
        self.open: set[int] = set()

    def value(self, node: Any) -> Any:
        self.count += 1
        if self.count > NODES:
            raise self._fail(f"more than {NODES} values once its aliases are written out", node)
        if id(node) in self.open:
            raise self._fail("this alias (*name) holds itself", node)
        self.open.add(id(node))
        try:
            return self._value(node)
        except RecursionError as error:
            raise self._fail("nested too deeply", node) from error
        finally:
            self.open.discard(id(node))

    def _value(self, node: Any) -> Any:
        tag = node.tag if node.tag in TAGS else ""
        if not tag and not node.tag.startswith(_YAML):
            allowed = f"Compose has {' and '.join(TAGS)}"
            raise self._fail(f"the tag '{node.tag}' is not known; {allowed}", node)
        made: Any
        if isinstance(node, yaml.ScalarNode):
            made = Text(node.value)
            made.style = node.style or ""
        elif isinstance(node, yaml.SequenceNode):
            made = Items(self.value(item) for item in node.value)
        else:
            made = self._mapping(node)
        made.path, made.tag = self.path, tag
        made.line, made.column = node.start_mark.line + 1, node.start_mark.column + 1
        return made

    def _mapping(self, node: Any) -> Block:
        own, taken = Block(), Block()
        for name, given in node.value:
            if name.tag == _MERGE:
                found = self.value(given)
                for one in found if isinstance(found, list) else [found]:
                    if not isinstance(one, dict):
                        raise self._fail("what is merged here (<<) has no names", given)
                    for key, value in one.items():
                        taken.setdefault(key, value)
                continue
            if not isinstance(name, yaml.ScalarNode):
                raise self._fail("a name is one word or text", name)
            key = self.value(name)
            if key in own:
                first = getattr(next(one for one in own if one == key), "line", 0)
                raise self._fail(f"'{key}' stands twice, first in line {first}", name)
            own[key] = self.value(given)
        # PyYAML puts what is merged first; the file's own order reads better.
        return Block({**own, **{key: v for key, v in taken.items() if key not in own}})

    def _fail(self, message: str, node: Any) -> ConfigErrors:
        mark = node.start_mark
        return ConfigErrors(
            [ConfigError(message, path=self.path, line=mark.line + 1, column=mark.column + 1)]
        )


def plain(value: Any) -> Any:
    """The same as plain data, typed as YAML types it; for tests and comparisons."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, Text) and not value.style:
        return yaml.safe_load(value) if value else None
    return value if value is None or isinstance(value, bool | int | float) else str(value)


# ---- writing


class _Dumper(yaml.SafeDumper):
    """Block style, two blanks, lists below their name; nothing is an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _text(dumper: Any, value: Text) -> Any:
    style = value.style or None
    if style is None:
        tag = dumper.resolve(yaml.ScalarNode, str(value), (True, False))
        return yaml.ScalarNode(tag, str(value), style=None)
    return yaml.ScalarNode(_YAML + "str", str(value), style=style)


def _string(dumper: Any, value: str) -> Any:
    return yaml.ScalarNode(_YAML + "str", value, style='"' if _ambiguous(value) else None)


def _ambiguous(value: str) -> bool:
    """Whether a plain scalar could be taken for something else by some reader."""
    if value.lower() in ("y", "n", "yes", "no", "on", "off", "true", "false"):
        return True
    if ":" in value and value.replace(":", "").isdigit():
        return True  # of base 60, for YAML 1.1
    found: str = Resolver().resolve(yaml.ScalarNode, value, (True, False))
    return found != _YAML + "str"


def _flow_when_short(dumper: Any, value: list[Any]) -> Any:
    node = dumper.represent_sequence(_YAML + "seq", value)
    node.flow_style = False
    return node


_Dumper.add_representer(Text, _text)
_Dumper.add_representer(str, _string)
_Dumper.add_representer(Block, lambda dumper, value: dumper.represent_dict(value.items()))
_Dumper.add_representer(dict, lambda dumper, value: dumper.represent_dict(value.items()))
_Dumper.add_representer(Items, _flow_when_short)


def dump(value: Any) -> str:
    """The text of Blocks, Items, Texts and plain data."""
    return yaml.dump(
        value, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True,
        width=100,
    )  # fmt: skip
