"""The INI dialect of Vaurien's files, with the line of every option. No meaning yet.

It is that of Python 2's RawConfigParser: `=` or `:` after an option, option names in any case,
indented lines that go on, `#` and `;` at the start of a line (`rem` too) and ` ;` within it begin
comments, later options replace earlier ones. `extends` in [DEFAULT] names files whose options hold
where this file has none; `${NAME}` is the environment's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import attrs

from rascal.errors import ConfigError

_SECTION = re.compile(r"\[([^\]]+)\]")
_OPTION = re.compile(r"([^:=\s][^:=]*?)\s*[:=]\s*(.*)$")
_COMMENT = re.compile(r"\s;.*$")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")

MISSING = "environment"
"""The code of a finding that leaves a value unknown."""

DEEPEST = 10
"""Files that extend each other."""


@attrs.define
class Line:
    """One option: where it stands and what it says."""

    path: str
    line: int
    section: str
    name: str
    text: str

    def error(self, message: str, allowed: tuple[str, ...] = ()) -> ConfigError:
        """A finding about it."""
        return ConfigError(
            message,
            path=self.path,
            line=self.line,
            section=self.section,
            option=self.name,
            value=self.text,
            allowed=allowed,
        )


@attrs.define
class Sections:
    """A file's options by section, and where each section begins."""

    options: dict[str, dict[str, Line]] = attrs.field(factory=dict)
    begins: dict[str, Line] = attrs.field(factory=dict)

    def beneath(self, other: Sections) -> None:
        """Take what the other has and this one has not."""
        for name, lines in other.options.items():
            self.options[name] = {**lines, **self.options.get(name, {})}
            self.begins.setdefault(name, other.begins[name])


def read(path: str, environ: Mapping[str, str], findings: list[ConfigError]) -> Sections:
    """A file with those that it extends; what is wrong goes to `findings`."""
    return _read(path, environ, findings, 0)


def _read(
    path: str, environ: Mapping[str, str], findings: list[ConfigError], depth: int
) -> Sections:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        findings.append(ConfigError(f"'{path}' cannot be read: {why}", value=path, code="file"))
        return Sections()
    found = _sections(path, text, findings)
    for lines in found.options.values():
        for line in lines.values():
            _check_environment(line, environ, findings)
    extends = found.options.pop("DEFAULT", {}).get("extends")
    if extends is not None:
        if depth >= DEEPEST:
            findings.append(extends.error(f"files extend each other more than {DEEPEST} deep"))
            return found
        for name in extends.text.split("\n"):
            if name:
                beside = str(Path(path).parent / expanded(name, environ))
                before = len(findings)
                found.beneath(_read(beside, environ, findings, depth + 1))
                for one in findings[before:]:
                    if one.code == "file" and one.line is None:
                        one.path, one.line = extends.path, extends.line
    return found


def _sections(path: str, text: str, findings: list[ConfigError]) -> Sections:
    found = Sections()
    section = ""
    last: Line | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        if not raw.strip() or raw[0] in "#;" or raw.split(None, 1)[0].lower() == "rem":
            continue
        if raw[0].isspace() and last is not None:
            last.text = f"{last.text}\n{_COMMENT.sub('', raw).strip()}".strip()
            continue
        last = None
        if begin := _SECTION.match(raw):
            section = begin[1].strip()
            found.options.setdefault(section, {})
            found.begins.setdefault(section, Line(path, number, section, "", ""))
            continue
        option = _OPTION.match(raw.strip())
        if option is None or not section:
            what = "no option (name = value)" if section else "an option before any [section]"
            error = ConfigError(f"'{raw.strip()}' is {what}", path=path, line=number)
            findings.append(error)
            continue
        name = option[1].strip().lower()
        value = _COMMENT.sub("", option[2]).strip()
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        last = found.options[section][name] = Line(path, number, section, name, value)
    return found


def _check_environment(line: Line, environ: Mapping[str, str], findings: list[ConfigError]) -> None:
    for name in _VARIABLE.findall(line.text):
        if name not in environ:
            error = line.error(f"the environment has no '{name}'")
            error.code = MISSING
            findings.append(error)


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """The text with the environment's values; names that are not there stay."""
    return _VARIABLE.sub(lambda found: environ.get(found[1], found[0]), text)
