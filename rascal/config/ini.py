"""The INI dialect of proxies.ini, read so that every character knows its file, line and column.

It is configparser's with `interpolation=None`, `delimiters=("=",)`, `optionxform=str`, `strict`
and no inline comments: everything after the first `=` is the value, indented lines go on with it,
and a line that starts with `#` or `;` is a comment, even inside a value. Beyond configparser,
`${NAME}` in a value is replaced by the environment (`${NAME:-text}`: by the text if it has none;
`$${` is a plain `${`), and all that is wrong with a file is found in one pass.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from rascal.errors import ConfigError
from rascal.language import LanguageError

VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""A plain `${`, or a name of the environment, maybe with what stands there without it."""
_SECTION = re.compile(r"\[([^\]]+)\]\s*")
_INLINE_COMMENT = re.compile(r"\s[#;]")


@dataclass(slots=True)
class Entry:
    """One option of one section: its value, and where each part of it stands.

    `marks` are (offset in text, line, column, whether the columns go on one by one): a new one
    begins with each line of the value and at each end of a replaced `${NAME}`.
    """

    path: str
    section: str
    name: str
    line: int
    name_column: int = 1
    text: str = ""
    marks: list[tuple[int, int, int, bool]] = field(default_factory=list)

    def place(self, at: int) -> tuple[int, int]:
        """Line and column of a character of the value."""
        index = bisect_right(self.marks, (at, 1 << 60, 0, False)) - 1
        start, line, column, counted = self.marks[max(index, 0)]
        return line, column + (at - start if counted and at > start else 0)

    def error(
        self, message: str, at: int = 0, *, allowed: object = (), code: str = ""
    ) -> ConfigError:
        """A finding about the character at `at` of the value."""
        line, column = self.place(at)
        return ConfigError(
            message,
            path=self.path,
            line=line,
            column=column,
            section=self.section,
            option=self.name,
            value=self.text,
            allowed=allowed,  # type: ignore[arg-type]
            code=code or "not-allowed",
        )

    def name_error(self, message: str, *, allowed: object = (), code: str = "") -> ConfigError:
        """A finding about the option's name."""
        found = self.error(message, allowed=allowed, code=code)
        found.line, found.column = self.line, self.name_column
        return found

    def located(self, error: LanguageError) -> ConfigError:
        """A finding of the language about this value, with its place in the file."""
        message = error.message
        begin = self.text.rfind("\n", 0, error.at) + 1
        line = self.text[begin:].partition("\n")[0]
        if _INLINE_COMMENT.search(line):
            message += " (a comment stands on a line of its own)"
        found = self.error(message, error.at, allowed=error.allowed, code=error.code)
        found.value = error.value or self.text
        return found


@dataclass(slots=True)
class Section:
    """One section: its name as written, its line, its options in order."""

    path: str
    name: str
    line: int
    entries: dict[str, Entry] = field(default_factory=dict)

    def error(self, message: str, *, allowed: object = (), code: str = "") -> ConfigError:
        """A finding about the section as a whole."""
        return ConfigError(
            message,
            path=self.path,
            line=self.line,
            column=1,
            section=self.name,
            allowed=allowed,  # type: ignore[arg-type]
            code=code or "not-allowed",
        )


def read_ini(
    text: str, path: str, environ: Mapping[str, str]
) -> tuple[list[Section], list[ConfigError]]:
    """The sections of one file in order, and everything that is wrong with its form."""
    reader = _Lines(path, environ)
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        reader.line(number, line.rstrip("\r"))
    return reader.sections, reader.findings


class _Lines:
    """Takes a file line by line."""

    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self.environ = environ
        self.sections: list[Section] = []
        self.findings: list[ConfigError] = []
        self._seen: dict[str, int] = {}
        self._entry: Entry | None = None
        self._indent = 0
        self._lost = False  # continuation lines of something that was wrong

    def line(self, number: int, line: str) -> None:
        body = line.strip()
        if not body or body[0] in "#;":
            return
        indent = len(line) - len(line.lstrip())
        if indent > self._indent and (self._entry or self._lost):
            if self._entry:
                self._add(self._entry, number, indent, body)
            return
        self._entry, self._lost, self._indent = None, False, indent
        found = _SECTION.fullmatch(body)
        if found:
            self._section(number, found[1])
        elif body[0] == "[":
            self._wrong(
                number, indent, "a section's name ends with ']' and stands alone: [proxy:db]"
            )
        else:
            self._option(number, indent, line, body)

    def _section(self, number: int, name: str) -> None:
        if name != name.strip() or not name:
            # configparser keeps the blanks, so other readers of the file would see another name.
            right = f"[{name.strip() or 'proxy:db'}]"
            self._wrong(number, 0, f"a section has a name without blanks at its ends: {right}")
            name = name.strip()
        elif name in self._seen:
            self._wrong(
                number, 0, f"the section [{name}] stands already in line {self._seen[name]}"
            )
        self._seen.setdefault(name, number)
        self.sections.append(Section(self.path, name, number))

    def _option(self, number: int, indent: int, line: str, body: str) -> None:
        name, equals, value = body.partition("=")
        name = name.strip()
        if not equals or not name:
            colon = " ('=' and not ':' stands between them)" if ":" in body else ""
            self._wrong(number, indent, f"expected 'option = value', found '{body[:40]}'{colon}")
            return
        if not self.sections:
            self._wrong(
                number, indent, f"'{name}' stands before the first section, such as [rascal]"
            )
            return
        section = self.sections[-1]
        entry = Entry(self.path, section.name, name, number, indent + 1)
        start = line.index("=") + 1
        self._add(
            entry, number, start + len(line[start:]) - len(line[start:].lstrip()), value.strip()
        )
        if name in section.entries:
            earlier = section.entries[name].line
            message = f"'{name}' is given already in line {earlier}"
            self.findings.append(entry.name_error(message, code="given-twice"))
        else:
            section.entries[name] = entry
        self._entry = entry

    def _add(self, entry: Entry, number: int, column: int, body: str) -> None:
        """Append one line to a value, with the environment's values in place of ${NAME}."""
        if entry.marks:
            entry.text += "\n"
        entry.marks.append((len(entry.text), number, column + 1, True))
        after = 0
        for found in VARIABLE.finditer(body):
            entry.text += body[after : found.start()]
            name = found[1]
            place = (number, column + found.start() + 1)
            if name is None:
                replaced = "${"
            elif name in self.environ:
                replaced = self.environ[name]
            elif found[2] is not None:
                replaced = found[2]
            else:
                replaced = ""
                error = ConfigError(
                    f"the environment has no '{name}'; for the plain text write $${{{name}}}",
                    path=self.path,
                    line=place[0],
                    column=place[1],
                    section=entry.section,
                    option=entry.name,
                    value=found[0],
                    code="environment",
                )
                self.findings.append(error)
            entry.marks.append((len(entry.text), *place, False))
            entry.text += replaced
            after = found.end()
            entry.marks.append((len(entry.text), number, column + after + 1, True))
        entry.text += body[after:]

    def _wrong(self, number: int, indent: int, message: str) -> None:
        self._lost = True
        self.findings.append(
            ConfigError(message, path=self.path, line=number, column=indent + 1, code="form")
        )
